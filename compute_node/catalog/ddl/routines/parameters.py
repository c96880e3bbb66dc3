"""The arguments of CREATE FUNCTION, PROCEDURE and AGGREGATE: modes, types, names and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    DatatypeMismatch,
    InvalidFunctionDefinition,
    NotSupported,
    SqlSyntaxError,
    TooManyArguments,
    UndefinedColumn,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.create_table import check_type_usage
from compute_node.catalog.ddl.expressions import named_objects, references
from compute_node.catalog.ddl.types import find_type, type_of
from compute_node.sql.analyze.coercion import coerce
from compute_node.sql.analyze.context import Analysis, Scope, session_env
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.polymorphism import ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, POLYMORPHIC, signature_problem
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.expressions import walk
from compute_node.sql.query import Query
from compute_node.types import oids
from compute_node.types.registry import Parameter

ARGUMENTS_MAX = 100
INTERNAL = 2281


@dataclass(slots=True)
class Parameters:
    """What a list of arguments says. ``required``: the result type that OUT arguments give; 0 without any."""

    items: list[Parameter] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    default_types: list[int] = field(default_factory=list)
    variadic: int = 0
    required: int = 0
    outputs: int = 0

    @property
    def inputs(self) -> list[Parameter]:
        """Those that a call gives."""
        return [item for item in self.items if item.mode in "ibv"]

    @property
    def input_types(self) -> list[int]:
        """Their types: the signature."""
        return [item.type for item in self.inputs]

    def columns(self) -> dict[str, Datum]:
        """What pg_proc holds of them."""
        plain = all(item.mode == "i" for item in self.items)
        named = any(item.name for item in self.items)
        return {
            "provariadic": self.variadic,
            "proallargtypes": None if plain else [item.type for item in self.items],
            "proargmodes": None if plain else [item.mode for item in self.items],
            "proargnames": [item.name for item in self.items] if named else None,
            "pronargdefaults": len(self.defaults),
            "proargdefaults": "\n".join(self.defaults) if self.defaults else None,
        }


def read_parameters(
    ctx: DdlContext, nodes: Sequence[ast.FunctionParameter], noun: str, language: str = "sql"
) -> Parameters:
    """The arguments of a ``function``, ``procedure`` or ``aggregate``. 42P13, 42704, 54023."""
    found = Parameters()
    for node in nodes:
        _add(ctx, found, node, noun, language)
    if len(found.items) > ARGUMENTS_MAX:
        raise TooManyArguments(f"{noun}s cannot have more than {ARGUMENTS_MAX} arguments")
    if (noun == "procedure" and found.outputs) or found.outputs > 1:
        found.required = oids.RECORD
    return found


def _add(ctx: DdlContext, found: Parameters, node: ast.FunctionParameter, noun: str, language: str) -> None:
    mode = _mode(node)
    if node.argType.setof:
        raise InvalidFunctionDefinition(f"{noun}s cannot accept set arguments")
    column = type_of_column(ctx, node.argType)
    kind = column or shell_of(ctx, node.argType, "argument", language) or _type(ctx, node.argType)
    name = node.name or ""
    is_input = mode in "ibv"
    if is_input and found.variadic:
        raise InvalidFunctionDefinition("VARIADIC parameter must be the last input parameter")
    if not is_input and noun == "procedure" and found.variadic:
        raise InvalidFunctionDefinition("VARIADIC parameter must be the last parameter")
    if not is_input and noun == "procedure" and found.defaults:
        raise InvalidFunctionDefinition("procedure OUT parameters cannot appear after one with a default value")
    if mode in "obt":
        if not found.outputs:
            found.required = kind
        found.outputs += 1
    if mode == "v":
        found.variadic = _element(ctx, kind)
    _check_name(found, mode, name)
    if node.defexpr is not None:
        if not is_input:
            raise InvalidFunctionDefinition("only input parameters can have default values")
        _add_default(ctx, found, node.defexpr, kind)
    elif is_input and found.defaults:
        raise InvalidFunctionDefinition("input parameters after one with a default value must also have defaults")
    found.items.append(Parameter(mode, name, kind))


def type_of_column(ctx: DdlContext, node: ast.TypeName) -> int:
    """The type that ``table.column%TYPE`` means, with a notice; 0 for another type name. 42P01, 42703."""
    if not node.pct_type:
        return 0
    *relation, column = [item.sval for item in node.names]
    if not relation:
        raise SqlSyntaxError(f"improper %TYPE reference (too few dotted names): {column}")
    name = ast.RangeVar(relname=relation[-1], schemaname=relation[-2] if len(relation) > 1 else None)
    desc = ctx.find(name)
    found = None if desc is None else desc.column(column)
    if found is None:
        raise UndefinedColumn(f'column "{column}" of relation "{relation[-1]}" does not exist')
    kind = ctx.view.type(found.type)
    oid = kind.array if node.arrayBounds and kind.array else kind.oid
    shown = ".".join((*relation, column)) + "%TYPE"
    ctx.notice(f"type reference {shown} converted to {format_type(ctx.view, oid)}")
    return oid


def shell_of(ctx: DdlContext, node: ast.TypeName, role: str, language: str) -> int:
    """The shell that an argument's or the result's type is, with a notice; 0 for another type. 42P13 in SQL."""
    if node.arrayBounds or node.pct_type or not node.names:
        return 0
    found = find_type(ctx, node, missing_ok=True)
    if found is None or not found.is_shell:
        return 0
    shown = format_type(ctx.view, found.oid)
    if language == "sql":
        verb = "accept" if role == "argument" else "return"
        raise InvalidFunctionDefinition(f"SQL function cannot {verb} shell type {shown}")
    ctx.notice(f"{role} type {shown} is only a shell", sqlstate="42809")
    return found.oid


def _type(ctx: DdlContext, node: ast.TypeName) -> int:
    try:
        found = type_of(ctx, node)
    except UndefinedObject:
        shown = ".".join(item.sval for item in node.names) + "[]" * len(node.arrayBounds or ())
        raise UndefinedObject(f"type {shown} does not exist") from None
    check_type_usage(ctx, ctx.view.type(found))
    return found


def _mode(node: ast.FunctionParameter) -> str:
    mode = str(node.mode.value)
    return "i" if mode == "d" else mode


def _element(ctx: DdlContext, kind: int) -> int:
    if kind == oids.ANY:
        return oids.ANY
    if kind == oids.ANYARRAY:
        return oids.ANYELEMENT
    if kind == ANYCOMPATIBLEARRAY:
        return ANYCOMPATIBLE
    item = ctx.view.type(kind)
    if not is_true_array(item):
        raise InvalidFunctionDefinition("VARIADIC parameter must be an array")
    return item.element


def _check_name(found: Parameters, mode: str, name: str) -> None:
    """A name may stand twice when one is only given and the other only returned."""
    if not name:
        return
    for other in found.items:
        apart = (mode in "iv" and other.mode in "ot") or (mode in "ot" and other.mode in "iv")
        if other.name == name and not apart:
            raise InvalidFunctionDefinition(f'parameter name "{name}" used more than once')


def _add_default(ctx: DdlContext, found: Parameters, node: ast.Node, kind: int) -> None:
    subqueries = references(node)[1]
    if subqueries:
        raise NotSupported("cannot use subquery in DEFAULT expression", position=subqueries[0] + 1)
    view = ctx.tracing()
    analysis = Analysis(view, [], ctx.source, session_env(ctx.session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="DEFAULT")
    expr = transform(scope, node)
    result = expr if kind in POLYMORPHIC and expr.type != oids.UNKNOWN else coerce(scope, expr, kind, context="a")
    if result is None:
        wanted, have = format_type(view, kind), format_type(view, expr.type)
        raise DatatypeMismatch(
            f"argument of DEFAULT must be type {wanted}, not type {have}",
            position=expr.location + 1 if expr.location >= 0 else None,
        )
    found.defaults.append(ctx.keep(deparse_stored(result, ctx.stored_view, None), view, named_objects(walk(result))))
    found.default_types.append(result.type)


# results of pseudo-types


def check_polymorphic(ctx: DdlContext, result: int, inputs: Sequence[int], shown: str = "result") -> None:
    """42P13 when the actual type of a result cannot follow from those of the arguments."""
    problem = signature_problem(result, inputs)
    if problem is not None:
        raise InvalidFunctionDefinition(f"cannot determine {shown} data type", detail=problem)
    if result == INTERNAL and INTERNAL not in inputs:
        raise InvalidFunctionDefinition(
            'unsafe use of pseudo-type "internal"',
            detail="A result of type internal requires at least one input of type internal.",
        )
