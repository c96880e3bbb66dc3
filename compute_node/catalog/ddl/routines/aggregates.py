"""CREATE [OR REPLACE] AGGREGATE over existing functions. Source: PostgreSQL manual, CREATE AGGREGATE, ch. 38.12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    DatatypeMismatch,
    DuplicateFunction,
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    NotSupported,
    SqlSyntaxError,
    UndefinedFunction,
    WrongObjectType,
)
from compute_node.catalog.builders import function_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_OPERATOR, CLASS_PROC, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.create_table import check_type_usage
from compute_node.catalog.ddl.routines.attributes import parallel_of
from compute_node.catalog.ddl.routines.find import shown_routine
from compute_node.catalog.ddl.routines.parameters import (
    INTERNAL,
    Parameters,
    check_polymorphic,
    read_parameters,
)
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.permissions import denied
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.candidates import select_candidate
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.polymorphism import EXACT, POLYMORPHIC, resolve
from compute_node.sql.analyze.typenames import format_type
from compute_node.types.oids import ANY
from compute_node.types.ordered_sets import FINALS, SET_TRANSITIONS
from compute_node.types.registry import Function, Parameter

_KINDS = {"f": "a function", "p": "a procedure", "w": "a window function"}
_NAMES = {"sfunc1": "sfunc", "stype1": "stype", "initcond1": "initcond"}
_KNOWN = frozenset(
    (  # noqa: SIM905
        "sfunc finalfunc combinefunc serialfunc deserialfunc msfunc minvfunc mfinalfunc finalfunc_extra "
        "mfinalfunc_extra finalfunc_modify mfinalfunc_modify sortop basetype hypothetical stype sspace mstype msspace "
        "initcond minitcond parallel"
    ).split()
)
_MODIFY = {"read_only": "r", "shareable": "s", "read_write": "w"}


class _Definition:
    """The options of one statement, by name."""

    def __init__(self, ctx: DdlContext, node: ast.DefineStmt) -> None:
        self.ctx = ctx
        self.usual = "r" if _direct(node) < 0 else "w"
        self.given: dict[str, ast.Node] = {}
        for item in node.definition or ():
            name = _NAMES.get(item.defname.lower(), item.defname.lower())
            if name not in _KNOWN or item.defname != item.defname.lower():
                ctx.notice(f'aggregate attribute "{item.defname}" not recognized', severity="WARNING", sqlstate="42601")
                continue
            self.given[name] = item.arg

    def function(self, name: str) -> list[str] | None:
        """The parts of a function's name."""
        item = self.given.get(name)
        return None if item is None else _names(item)

    def type(self, name: str) -> int:
        """A type's OID; 0 without."""
        item = self.given.get(name)
        if item is None:
            return 0
        return type_of(self.ctx, item if isinstance(item, ast.TypeName) else _type_name(item))

    def text(self, name: str) -> str | None:
        """A string, or what is written as one word."""
        item = self.given.get(name)
        if item is None:
            return None
        if isinstance(item, ast.TypeName):
            return ".".join(each.sval for each in item.names)
        if isinstance(item, ast.Integer):
            return str(item.ival)
        return str(item.fval if isinstance(item, ast.Float) else item.sval)

    def flag(self, name: str) -> bool:
        """A word that stands for true, or true and false."""
        if name not in self.given:
            return False
        text = self.text(name)
        return text is None or text.lower() in ("true", "on", "1")

    def modify(self, name: str) -> str:
        """READ_ONLY, SHAREABLE or READ_WRITE; of an ordered-set aggregate the last unless said."""
        text = self.text(name)
        if text is None:
            return self.usual
        if text not in _MODIFY:
            raise SqlSyntaxError(f'parameter "{name}" must be READ_ONLY, SHAREABLE, or READ_WRITE')
        return _MODIFY[text]


def _names(item: Any) -> list[str]:
    if isinstance(item, ast.TypeName):
        return [each.sval for each in item.names]
    if isinstance(item, tuple):
        return [each.sval for each in item]
    return [item.sval]


def _type_name(item: Any) -> ast.TypeName:
    return ast.TypeName(names=(ast.String(sval=item.sval),), typemod=-1, location=-1)


def _direct(node: ast.DefineStmt) -> int:
    """How many direct arguments an ordered-set aggregate has; -1 of any other."""
    if node.oldstyle:
        return -1
    direct = node.args[1].ival
    return -1 if direct is None else int(direct)


def _parameters(ctx: DdlContext, node: ast.DefineStmt, definition: _Definition) -> Parameters:
    if not node.oldstyle:
        listed, _ = node.args
        if "basetype" in definition.given:
            raise InvalidFunctionDefinition("basetype is redundant with aggregate input type specification")
        found = read_parameters(ctx, listed or (), "aggregate")
        if any(item.mode in "obt" for item in found.items):
            raise InvalidFunctionDefinition("aggregates cannot have output arguments")
        return found
    if "basetype" not in definition.given:
        raise InvalidFunctionDefinition("aggregate input type must be specified")
    if (definition.text("basetype") or "").lower() in ("any", '"any"'):
        return Parameters()
    return Parameters([Parameter("i", "", definition.type("basetype"))])


def create_aggregate(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE AGGREGATE. Errors: 42P13, 42883, 42804, 42501."""
    namespace, name = ctx.place(node.defnames)
    definition = _Definition(ctx, node)
    parameters = _parameters(ctx, node, definition)
    arguments = parameters.input_types
    if "stype" not in definition.given:
        raise InvalidFunctionDefinition("aggregate stype must be specified")
    if "sfunc" not in definition.given:
        raise InvalidFunctionDefinition("aggregate sfunc must be specified")
    _check_moving(definition)
    direct = _direct(node)
    if "hypothetical" in definition.given and definition.flag("hypothetical") and direct < 0:
        raise InvalidFunctionDefinition("only ordered-set aggregates can be hypothetical")
    kind = "n" if direct < 0 else "h" if definition.flag("hypothetical") else "o"
    maker = _Maker(ctx, definition, parameters, direct)
    state = maker.state_type("stype", "transition")
    initial = definition.text("initcond")
    if initial is not None and ctx.view.type(state).kind != "p":
        ctx.view.type(state).input(initial, -1, ctx.session.env)
    row, result = maker.plain(state, initial)
    row |= maker.moving(result)
    oid = _write(ctx, node, namespace, name, parameters, result, definition)
    ctx.rows.insert("pg_aggregate", aggfnoid=oid, aggkind=kind, aggnumdirectargs=max(direct, 0), **row)
    address = (CLASS_PROC, oid, 0)
    needed = {(CLASS_TYPE, kind, 0) for kind in (*arguments, state, result)}
    needed |= {(CLASS_NAMESPACE, namespace, 0)}
    needed |= {(CLASS_PROC, value, 0) for key, value in row.items() if key.endswith("fn") and value}
    if row["aggsortop"]:
        needed.add((CLASS_OPERATOR, row["aggsortop"], 0))
    for referenced in sorted(needed):
        ctx.depend(address, referenced, "n")
    ctx.changes.touch(oid)
    return "CREATE AGGREGATE"


def _check_moving(definition: _Definition) -> None:
    if "mstype" in definition.given:
        for name in ("msfunc", "minvfunc"):
            if name not in definition.given:
                raise InvalidFunctionDefinition(f"aggregate {name} must be specified when mstype is specified")
        return
    for name in ("msfunc", "minvfunc", "mfinalfunc", "msspace", "minitcond"):
        if name in definition.given:
            raise InvalidFunctionDefinition(f"aggregate {name} must not be specified without mstype")


class _Maker:
    """Finds and checks the functions of one aggregate."""

    def __init__(self, ctx: DdlContext, definition: _Definition, parameters: Parameters, direct: int) -> None:
        self.ctx = ctx
        self.definition = definition
        self.arguments = parameters.input_types
        self.variadic = parameters.variadic
        self._direct = direct

    @property
    def _sorted(self) -> list[int]:
        """The types of what a transition function gets: all arguments, or those that an ordered-set aggregate sorts
        by."""
        if self._direct < 0:
            return list(self.arguments)
        return list(self.arguments[self._direct :] or self.arguments[-1:])

    def state_type(self, option: str, what: str) -> int:
        """The type of the state; 42P13 for a pseudo-type."""
        state = self.definition.type(option)
        kind = self.ctx.view.type(state)
        check_type_usage(self.ctx, kind)
        if kind.kind == "p" and state not in POLYMORPHIC and not (state == INTERNAL and self.ctx.rights.superuser):
            shown = format_type(self.ctx.view, state)
            raise InvalidFunctionDefinition(f"aggregate transition data type cannot be {shown}")
        if state != INTERNAL:
            check_polymorphic(self.ctx, state, self.arguments, what)
        return state

    def plain(self, state: int, initial: str | None) -> tuple[dict[str, Datum], int]:
        """pg_aggregate's columns of the plain implementation, and the result type."""
        definition, view = self.definition, self.ctx.view
        names = definition.function("sfunc") or []
        transition, kind = self.lookup(names, (state, *self._sorted))
        if kind != state:
            raise self.wrong_result("transition", names, state)
        if self._direct >= 0 and (state != INTERNAL or transition.oid not in SET_TRANSITIONS):
            raise NotSupported(f"ordered-set aggregates with transition function {'.'.join(names)} are not supported")
        if transition.strict and initial is None:
            if not self.arguments or not is_binary_coercible(view, self.arguments[0], state):
                raise InvalidFunctionDefinition(
                    "must not omit initial value when transition function is strict and transition type is not "
                    "compatible with input type"
                )
        final, result = self._final("finalfunc", state)
        combine = self._combine(state)
        serial, deserial = self._serial(state)
        check_polymorphic(self.ctx, result, self.arguments)
        row = {
            "aggtransfn": transition.oid,
            "aggfinalfn": final,
            "aggcombinefn": combine,
            "aggserialfn": serial,
            "aggdeserialfn": deserial,
            "aggfinalextra": definition.flag("finalfunc_extra"),
            "aggfinalmodify": definition.modify("finalfunc_modify"),
            "aggsortop": self._sort_operator(),
            "aggtranstype": state,
            "aggtransspace": int(definition.text("sspace") or 0),
            "agginitval": initial,
        }
        return row, result

    def moving(self, result: int) -> dict[str, Datum]:
        """The columns of the implementation for moving windows, which is only kept."""
        definition = self.definition
        row: dict[str, Datum] = {"aggmfinalmodify": "r"}
        if "mstype" not in definition.given:
            return row
        state = self.state_type("mstype", "transition")
        names = definition.function("msfunc") or []
        forward, kind = self.lookup(names, (state, *self.arguments))
        if kind != state:
            raise self.wrong_result("transition", names, state)
        names = definition.function("minvfunc") or []
        inverse, kind = self.lookup(names, (state, *self.arguments))
        if kind != state:
            raise self.wrong_result("inverse transition", names, state)
        if forward.strict != inverse.strict:
            raise InvalidFunctionDefinition(
                "strictness of aggregate's forward and inverse transition functions must match"
            )
        final, kind = self._final("mfinalfunc", state)
        if kind != result:
            have, wanted = format_type(self.ctx.view, kind), format_type(self.ctx.view, result)
            raise InvalidFunctionDefinition(
                f"moving-aggregate implementation returns type {have}, but plain implementation returns type {wanted}"
            )
        return row | {
            "aggmtransfn": forward.oid,
            "aggminvtransfn": inverse.oid,
            "aggmfinalfn": final,
            "aggmfinalextra": definition.flag("mfinalfunc_extra"),
            "aggmfinalmodify": definition.modify("mfinalfunc_modify"),
            "aggmtranstype": state,
            "aggmtransspace": int(definition.text("msspace") or 0),
            "aggminitval": definition.text("minitcond"),
        }

    def _final(self, option: str, state: int) -> tuple[int, int]:
        names = self.definition.function(option)
        if names is None:
            if self._direct >= 0:
                raise NotSupported("ordered-set aggregates without a final function are not supported")
            return 0, state
        extra = self.definition.flag(f"{option}_extra")
        given = self.arguments if extra else self.arguments[: max(self._direct, 0)]
        function, result = self.lookup(names, (state, *given))
        if self._direct >= 0 and function.name not in FINALS:
            raise NotSupported(f"ordered-set aggregates with final function {function.name} are not supported")
        if extra and function.strict:
            raise InvalidFunctionDefinition("final function with extra arguments must not be declared STRICT")
        return function.oid, result

    def _combine(self, state: int) -> int:
        names = self.definition.function("combinefunc")
        if names is None:
            return 0
        function, result = self.lookup(names, (state, state))
        if result != state:
            raise self.wrong_result("combine", names, state)
        if state == INTERNAL and function.strict:
            shown = format_type(self.ctx.view, state)
            raise InvalidFunctionDefinition(
                f"combine function with transition type {shown} must not be declared STRICT"
            )
        return function.oid

    def _serial(self, state: int) -> tuple[int, int]:
        serial, deserial = self.definition.function("serialfunc"), self.definition.function("deserialfunc")
        if serial is None and deserial is None:
            return 0, 0
        if serial is None or deserial is None:
            raise InvalidFunctionDefinition(
                "must specify both or neither of serialization and deserialization functions"
            )
        if state != INTERNAL:
            shown = format_type(self.ctx.view, INTERNAL)
            raise InvalidFunctionDefinition(
                "serialization functions may be specified only when the aggregate transition data type is " + shown
            )
        first, kind = self.lookup(serial, (INTERNAL,))
        if kind != 17:
            raise self.wrong_result("serialization", serial, 17)
        second, kind = self.lookup(deserial, (17, INTERNAL))
        if kind != INTERNAL:
            raise self.wrong_result("deserialization", deserial, INTERNAL)
        return first.oid, second.oid

    def _sort_operator(self) -> int:
        names = self.definition.function("sortop")
        if names is None:
            return 0
        if len(self.arguments) != 1:
            raise InvalidFunctionDefinition("sort operator can only be specified for single-argument aggregates")
        kind = self.arguments[0]
        for item in self.ctx.view.operators(names[-2] if len(names) > 1 else None, names[-1]):
            if (item.left, item.right) == (kind, kind):
                return item.oid
        shown = format_type(self.ctx.view, kind)
        raise UndefinedFunction(f"operator does not exist: {shown} {'.'.join(names)} {shown}")

    def lookup(self, names: Sequence[str], types: Sequence[int]) -> tuple[Function, int]:
        """A function for arguments of these types and its result type there. 42883, 42804, 42501."""
        view = self.ctx.view
        shown = shown_routine(self.ctx, ".".join(names), types)
        candidates = [
            item
            for item in view.functions(names[-2] if len(names) > 1 else None, names[-1])
            if item.kind == "f" and len(item.arguments) == len(types)
        ]
        exact = next((item for item in candidates if item.arguments == tuple(types)), None)
        if exact is None:
            chosen, _ = select_candidate(view, tuple(types), [item.arguments for item in candidates])
            exact = None if chosen is None else candidates[chosen]
        if exact is None or not _same_openness(types, exact.arguments):
            raise UndefinedFunction(f"function {shown} does not exist")
        if exact.returns_set:
            raise DatatypeMismatch(f"function {shown} returns a set")
        if self.variadic == ANY and exact.variadic != ANY and len(types) > 1:
            raise DatatypeMismatch(f"function {shown} must accept VARIADIC ANY to be used in this aggregate")
        result = exact.result
        declared = list(exact.arguments)
        if any(kind in POLYMORPHIC for kind in types):
            # Of a polymorphic aggregate: what the result is follows from the argument that is declared alike.
            result = next((have for have, wanted in zip(types, declared, strict=True) if wanted == result), result)
        elif any(kind in POLYMORPHIC for kind in (*declared, result)):
            declared, result = resolve(view, types, declared, result)
        for have, wanted in zip(types, declared, strict=True):
            if have != wanted and not is_binary_coercible(view, have, wanted):
                if not (have in POLYMORPHIC and wanted in POLYMORPHIC):
                    shown = shown_routine(self.ctx, ".".join(names), declared)
                    raise DatatypeMismatch(f"function {shown} requires run-time type coercion")
        if not self.ctx.rights.function(exact.oid):
            raise denied("function", exact.name)
        return exact, result

    def wrong_result(self, what: str, names: Sequence[str], wanted: int) -> DatatypeMismatch:  # type: ignore[valid-type]
        """42804 for a support function of another result type."""
        shown = format_type(self.ctx.view, wanted)
        return DatatypeMismatch(f"return type of {what} function {'.'.join(names)} is not {shown}")


def _same_openness(types: Sequence[int], declared: Sequence[int]) -> bool:
    """Whether the types that stand for pseudo-types of one family are all known, or all still open."""
    open_ones = {have in POLYMORPHIC for have, wanted in zip(types, declared, strict=True) if wanted in EXACT}
    return len(open_ones) < 2


def _write(
    ctx: DdlContext,
    node: ast.DefineStmt,
    namespace: int,
    name: str,
    parameters: Parameters,
    result: int,
    definition: _Definition,
) -> int:
    arguments = parameters.input_types
    values = {
        "prokind": "a",
        "prolang": 12,
        "prosrc": "aggregate_dummy",
        "provolatile": "i",
        "proparallel": parallel_of(definition.text("parallel") or "unsafe"),
        "prorettype": result,
        "proisstrict": False,
    } | parameters.columns()
    existing = next(
        (
            row
            for row in ctx.rows.find("pg_proc", proname=name)
            if row.pronamespace == namespace and list(row.proargtypes) == arguments
        ),
        None,
    )
    if existing is None:
        oid = ctx.next_oid()
        owned = values | {"proowner": ctx.user_oid}
        ctx.rows.insert_many("pg_proc", [function_row(oid, name, namespace, arguments, owned)])
        record_owner(ctx, CLASS_PROC, oid, ctx.user_oid)
        return oid
    if not node.replace:
        raise DuplicateFunction(f'function "{name}" already exists with same argument types')
    if existing.oid < FIRST_NORMAL_OID or not ctx.owns(existing.proowner):
        raise InsufficientPrivilege(f"must be owner of aggregate {name}")
    if existing.prokind != "a":
        raise WrongObjectType("cannot change routine kind", detail=f'"{name}" is {_KINDS[existing.prokind]}.')
    if existing.prorettype != result:
        shown = shown_routine(ctx, name, arguments).replace(", ", ",")
        raise InvalidFunctionDefinition(
            "cannot change return type of existing function", hint=f"Use DROP AGGREGATE {shown} first."
        )
    for old, new in zip(existing.proargnames or (), (item.name for item in parameters.items), strict=False):
        if old and old != new:
            shown = shown_routine(ctx, name, arguments).replace(", ", ",")
            raise InvalidFunctionDefinition(
                f'cannot change name of input parameter "{old}"', hint=f"Use DROP AGGREGATE {shown} first."
            )
    ctx.rows.delete_where("pg_depend", classid=CLASS_PROC, objid=existing.oid)
    ctx.rows.delete_where("pg_aggregate", aggfnoid=existing.oid)
    ctx.rows.update("pg_proc", existing, **values)
    return int(existing.oid)
