"""What CREATE and ALTER FUNCTION say besides arguments and body: language, volatility, costs, SECURITY, SET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    InvalidParameterValue,
    NotSupported,
    SqlSyntaxError,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.session import setting_statements
from compute_node.session.settings import DEFINITIONS

_VOLATILITY: Final = {"immutable": "i", "stable": "s", "volatile": "v"}
_PARALLEL: Final = {"safe": "s", "unsafe": "u", "restricted": "r"}
_NOT_OF_PROCEDURES: Final = ("window", "volatility", "strict", "leakproof", "cost", "rows", "support", "parallel")
_COLUMNS: Final = {
    "strict": "proisstrict",
    "security": "prosecdef",
    "leakproof": "proleakproof",
}


class Attributes:
    """The options of one statement, by name."""

    def __init__(self, options: Sequence[ast.DefElem], is_procedure: bool) -> None:
        self.given: dict[str, ast.Node] = {}
        self.sets: list[ast.VariableSetStmt] = []
        for item in options:
            if is_procedure and item.defname in _NOT_OF_PROCEDURES:
                raise InvalidFunctionDefinition("invalid attribute in procedure definition", position=_position(item))
            if item.defname == "set":
                self.sets.append(item.arg)
                continue
            if item.defname in self.given:
                raise SqlSyntaxError("conflicting or redundant options", position=_position(item))
            self.given[item.defname] = item.arg

    @property
    def language(self) -> str | None:
        """LANGUAGE, in lower case as the grammar leaves it."""
        item = self.given.get("language")
        return None if item is None else str(item.sval)

    def columns(self, ctx: DdlContext) -> dict[str, Datum]:
        """What pg_proc holds of those that are given. 22023, 42501, 42601."""
        values: dict[str, Datum] = {
            column: bool(self.given[name].boolval) for name, column in _COLUMNS.items() if name in self.given
        }
        if "volatility" in self.given:
            values["provolatile"] = _VOLATILITY[self.given["volatility"].sval]
        if "cost" in self.given:
            values["procost"] = number_of(self.given["cost"])
            if values["procost"] <= 0:
                raise InvalidParameterValue("COST must be positive")
        if "rows" in self.given:
            values["prorows"] = number_of(self.given["rows"])
            if values["prorows"] <= 0:
                raise InvalidParameterValue("ROWS must be positive")
        if "parallel" in self.given:
            values["proparallel"] = parallel_of(self.given["parallel"].sval)
        if values.get("proleakproof"):
            ctx.require_superuser("only superuser can define a leakproof function")
        if "support" in self.given:
            raise NotSupported("planner support functions are not supported")
        if "transform" in self.given:
            raise NotSupported("TRANSFORM is not supported")
        return values


def _position(item: ast.DefElem) -> int | None:
    return None if item.location is None or item.location < 0 else item.location + 1


def number_of(node: ast.Node) -> float:
    """The value of a numeric option."""
    return float(node.ival if isinstance(node, ast.Integer) else node.fval)


def parallel_of(word: str) -> str:
    """pg_proc.proparallel of PARALLEL's word; 42601."""
    found = _PARALLEL.get(word)
    if found is None:
        raise SqlSyntaxError('parameter "parallel" must be SAFE, RESTRICTED, or UNSAFE')
    return found


def configuration(
    ctx: DdlContext, sets: Sequence[ast.VariableSetStmt], before: Sequence[str] | None
) -> list[str] | None:
    """pg_proc.proconfig after SET and RESET clauses; each value is checked as SET would."""
    kinds = enums.VariableSetKind
    found = dict(item.split("=", 1) for item in before or ())
    for node in sets:
        if node.kind == kinds.VAR_RESET_ALL:
            found.clear()
            continue
        setting = DEFINITIONS.get(node.name.lower())
        name = node.name if setting is None else setting.name
        if node.kind in (kinds.VAR_RESET, kinds.VAR_SET_DEFAULT):
            found.pop(name, None)
            continue
        if node.kind == kinds.VAR_SET_CURRENT:
            value = setting_statements.show(ctx.session, name) or ""
        else:
            value = setting_statements.set_text(ctx.session, node)
        _check(ctx, name, value)
        found[name] = value
    return [f"{name}={value}" for name, value in found.items()] or None


def _check(ctx: DdlContext, name: str, value: str) -> None:
    """Raise what SET would raise; the session's own setting stays. What the catalog may yet get has a notice."""
    settings = ctx.session.settings
    try:
        setting_statements.of_catalog(ctx.session, name, value)
    except InvalidParameterValue:
        ctx.notice(f'text search configuration "{value}" does not exist', sqlstate="42704")
    mark = settings.mark()
    try:
        settings.set(name, value, local=True)
    finally:
        settings.rollback_to(mark)


def require_language(ctx: DdlContext, name: str) -> None:
    """Who may write functions in it; 0A000 for what does not run here, 42501."""
    if name == "internal" and not ctx.rights.superuser:
        raise InsufficientPrivilege("permission denied for language internal")
