"""Window functions: calls with OVER, the WINDOW clause, frames (manual, 4.2.8 and 7.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pglast import ast

from aurora.errors import (
    InvalidColumnReference,
    NotSupported,
    SqlError,
    UndefinedObject,
    WindowingError,
    WrongObjectType,
)
from compute_node.sql.analyze.coercion import can_coerce, coerce_type
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.operators import check_groupable, check_sortable
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import Call, Expr, SortKey, Var, WindowCall, walk
from compute_node.sql.query import Frame, Window
from compute_node.types import oids
from compute_node.types.in_range import IN_RANGE

if TYPE_CHECKING:
    from compute_node.types.registry import Function

_DEFAULT = 0x00422
"""frameOptions of a window without a frame clause: RANGE UNBOUNDED PRECEDING"""
_MODES = {0x2: "range", 0x4: "rows", 0x8: "groups"}
_STARTS = {
    0x20: "unbounded preceding", 0x80: "unbounded following", 0x200: "current row", 0x800: "preceding",
    0x2000: "following",
}  # fmt: skip
_ENDS = {
    0x40: "unbounded preceding", 0x100: "unbounded following", 0x400: "current row", 0x1000: "preceding",
    0x4000: "following",
}  # fmt: skip
_EXCLUSIONS = {0x8000: "current row", 0x10000: "group", 0x20000: "ties"}
_OFFSET = ("preceding", "following")
_REFUSED = {
    "WHERE": "WHERE",
    "JOIN/ON": "JOIN conditions",
    "HAVING": "HAVING",
    "FILTER": "FILTER",
    "GROUP BY": "GROUP BY",
    "LIMIT": "LIMIT",
    "OFFSET": "OFFSET",
    "UPDATE": "UPDATE",
    "VALUES": "VALUES",
    "VALUES ROW": "VALUES",
    "RETURNING": "RETURNING",
    "FROM": "functions in FROM",
    "WINDOW": "window definitions",
    "FRAME ROWS": "window definitions",
    "FRAME RANGE": "window definitions",
    "FRAME GROUPS": "window definitions",
    "CHECK": "check constraints",
    "COPY": "COPY FROM WHERE conditions",
    "PUBLICATION": "WHERE",
    "POLICY": "policy expressions",
    "STATISTICS": "statistics expressions",
    "DEFAULT": "DEFAULT expressions",
    "GENERATED": "column generation expressions",
    "INDEX": "index expressions",
    "TRANSFORM": "transform expressions",
    "CALL": "CALL arguments",
    "EXECUTE": "EXECUTE parameters",
    "WHEN": "MERGE WHEN conditions",
    "PARTITION": "partition key expressions",
    "BOUND": "partition bound",
}


def window_call(
    scope: Scope,
    node: ast.FuncCall,
    function: Function,
    name: str,
    arguments: tuple[Expr, ...],
    result: int,
    location: int,
) -> Expr:
    """A call with OVER of a window function or an aggregate."""
    from compute_node.sql.analyze.functions import aggregate_filter

    condition = aggregate_filter(scope, node)
    _check_call(scope, node, function, name, arguments, location)
    place = _REFUSED.get(scope.clause)
    if place is not None:
        raise fail(WindowingError, f"window functions are not allowed in {place}", location)
    number = _window_number(scope, node.over)
    scope.query.has_windows = True
    return WindowCall(
        type=result,
        function=function.oid,
        arguments=arguments,
        window=number,
        filter=condition,
        star=bool(node.agg_star),
        location=location,
    )


def _check_call(
    scope: Scope, node: ast.FuncCall, function: Function, name: str, arguments: tuple[Expr, ...], location: int
) -> None:
    refused: str | None = None
    aggregate = function.kind == "a"
    found = scope.catalog.aggregate(function.oid) if aggregate else None
    if found is not None and found.ordered_set:
        raise fail(WrongObjectType, f"WITHIN GROUP is required for ordered-set aggregate {name}", location)
    if node.agg_distinct:
        refused = "DISTINCT is not implemented for window functions"
    elif aggregate and not arguments and not node.agg_star:
        message = f"{name}(*) must be used to call a parameterless aggregate function"
        raise fail(WrongObjectType, message, location)
    elif node.agg_order:
        refused = "aggregate ORDER BY is not implemented for window functions"
    elif node.agg_filter is not None and not aggregate:
        refused = "FILTER is not implemented for non-aggregate window functions"
    if refused is not None:
        raise fail(NotSupported, refused, location)
    for item in (part for argument in arguments for part in walk(argument)):
        if isinstance(item, WindowCall):
            raise fail(WindowingError, "window function calls cannot be nested", item.location)
        if isinstance(item, Call) and scope.catalog.function(item.function).returns_set:
            raise fail(
                NotSupported,
                "window function calls cannot contain set-returning function calls",
                item.location,
                hint="You might be able to move the set-returning function into a LATERAL FROM item.",
            )


def _window_number(scope: Scope, over: ast.WindowDef) -> int:
    """The place of the window that an OVER means among the level's."""
    location = over.location if over.location is not None else -1
    if over.name:
        for number, item in enumerate(scope.windows):
            if item.name == over.name:
                return number
        raise fail(UndefinedObject, f'window "{over.name}" does not exist', location)
    for number, item in enumerate(scope.windows):
        if _same(item, over):
            return number
    scope.windows.append(over)
    return len(scope.windows) - 1


def _same(one: ast.WindowDef, other: ast.WindowDef) -> bool:
    """Whether an OVER may share the window."""
    return all(
        getattr(one, field) == getattr(other, field)
        for field in ("refname", "partitionClause", "orderClause", "frameOptions", "startOffset", "endOffset")
    )


def define_windows(scope: Scope) -> None:
    """The windows of this level, in the order in which they are numbered; adds what they order by to the targets."""
    scope.analysis.keep_depth += 1
    clause, scope.clause = scope.clause, "WINDOW"
    try:
        for node in scope.windows:
            scope.query.windows.append(_define(scope, node))
    finally:
        scope.analysis.keep_depth -= 1
        scope.clause = clause


def _define(scope: Scope, node: ast.WindowDef) -> Window:
    location = node.location if node.location is not None else -1
    known = {item.name: item for item in scope.query.windows if item.name}
    if node.name and node.name in known:
        raise fail(WindowingError, f'window "{node.name}" is already defined', location)
    base = None
    if node.refname:
        base = known.get(node.refname)
        if base is None:
            raise fail(UndefinedObject, f'window "{node.refname}" does not exist', location)
    order = _order(scope, node)
    partition = _partition(scope, node, order)
    if base is not None:
        if partition:
            raise fail(WindowingError, f'cannot override PARTITION BY clause of window "{node.refname}"', location)
        if order and base.order:
            raise fail(WindowingError, f'cannot override ORDER BY clause of window "{node.refname}"', location)
        if base.frame != Frame() or base.start is not None:
            bare = not (node.name or order or node.frameOptions != _DEFAULT)
            raise fail(
                WindowingError,
                f'cannot copy window "{node.refname}" because it has a frame clause',
                location,
                hint="Omit the parentheses in this OVER clause." if bare else None,
            )
        partition, order = base.partition, order or base.order
    return _framed(scope, node, partition, order, location)


def _order(scope: Scope, node: ast.WindowDef) -> tuple[SortKey[int], ...]:
    from compute_node.sql.analyze.select import find_expression, sort_direction

    keys: list[SortKey[int]] = []
    for item in node.orderClause or ():
        index = find_expression(scope, item.node, "WINDOW")
        expression = scope.query.targets[index].expression
        descending, nulls_first = sort_direction(item)
        check_sortable(scope, expression.type, expression.location)
        if all(key.expression != index for key in keys):
            keys.append(SortKey(index, expression.type, descending, nulls_first))
    return tuple(keys)


def _partition(scope: Scope, node: ast.WindowDef, order: tuple[SortKey[int], ...]) -> tuple[SortKey[int], ...]:
    """PARTITION BY: in the direction of ORDER BY where that names the same."""
    from compute_node.sql.analyze.select import find_expression

    keys: list[SortKey[int]] = []
    for item in node.partitionClause or ():
        index = find_expression(scope, item, "WINDOW")
        expression = scope.query.targets[index].expression
        check_groupable(scope, expression.type, expression.location)
        if any(key.expression == index for key in keys):
            continue
        same = next((key for key in order if key.expression == index), None)
        keys.append(SortKey(index, expression.type) if same is None else same)
    return tuple(keys)


# --- frames ---------------------------------------------------------------------------------------------------------


def _bit(options: int, table: dict[int, str]) -> str:
    return next((text for bit, text in table.items() if options & bit), "")


def _framed(
    scope: Scope,
    node: ast.WindowDef,
    partition: tuple[SortKey[int], ...],
    order: tuple[SortKey[int], ...],
    location: int,
) -> Window:
    options = node.frameOptions or _DEFAULT
    mode, start, end = _bit(options, _MODES), _bit(options, _STARTS), _bit(options, _ENDS)
    if mode == "range" and (start in _OFFSET or end in _OFFSET) and len(order) != 1:
        message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"
        raise fail(WindowingError, message, location)
    if mode == "groups" and not order:
        raise fail(WindowingError, "GROUPS mode requires an ORDER BY clause", location)
    first, first_function = _frame_offset(scope, mode, order, node.startOffset)
    last, last_function = _frame_offset(scope, mode, order, node.endOffset)
    frame = Frame(mode, start, end, _bit(options, _EXCLUSIONS), first_function, last_function)
    return Window(node.name or "", partition, order, frame, first, last, node)


def _frame_offset(
    scope: Scope, mode: str, order: tuple[SortKey[int], ...], node: ast.Node | None
) -> tuple[Expr | None, int]:
    """The offset as the mode wants it, and the function that compares with it."""
    from compute_node.sql.analyze.expressions import expression_location, transform

    if node is None:
        return None, 0
    previous, scope.clause = scope.clause, f"FRAME {mode.upper()}"
    value = transform(scope, node)
    scope.clause = previous
    function = 0
    wanted = oids.INT8
    if mode == "range":
        wanted, function = _in_range(scope, order[0].type, value)
    converted = value
    if value.type != wanted:
        if not can_coerce(scope.catalog, (value.type,), (wanted,), "a"):
            raise _wrong_type(scope, mode, wanted, value, expression_location(node))
        converted = coerce_type(scope, value, wanted, -1, "a", value.location)
    for item in walk(converted):
        if isinstance(item, Var) and item.levels_up == 0:
            message = f"argument of {mode.upper()} must not contain variables"
            raise fail(InvalidColumnReference, message, item.location)
    return converted, function


def _wrong_type(scope: Scope, mode: str, wanted: int, value: Expr, location: int) -> SqlError:
    from aurora.errors import DatatypeMismatch

    names = format_type(scope.catalog, wanted), format_type(scope.catalog, value.type)
    message = f"argument of {mode.upper()} must be type {names[0]}, not type {names[1]}"
    return fail(DatatypeMismatch, message, location)


def _in_range(scope: Scope, column: int, value: Expr) -> tuple[int, int]:
    """(offset type, in_range function) for RANGE over a column of this type."""
    catalog = scope.catalog
    found = catalog.default_operator_class(catalog.type(column).root.oid)
    choices = () if found is None else IN_RANGE.get((found.family, found.input_type), ())
    shown = format_type(catalog, column)
    plain = "RANGE with offset PRECEDING/FOLLOWING"
    if found is None or not choices:
        raise fail(NotSupported, f"{plain} is not supported for column type {shown}", value.location)
    preferred = value.type if value.type != oids.UNKNOWN else found.input_type
    usable = [item for item in choices if can_coerce(catalog, (value.type,), (item[0],), "i")]
    chosen = next((item for item in usable if item[0] == preferred), None)
    given = format_type(catalog, value.type)
    if not usable:
        raise fail(
            NotSupported,
            f"{plain} is not supported for column type {shown} and offset type {given}",
            value.location,
            hint="Cast the offset value to an appropriate type.",
        )
    if chosen is None and len(usable) > 1:
        raise fail(
            NotSupported,
            f"{plain} has multiple interpretations for column type {shown} and offset type {given}",
            value.location,
            hint="Cast the offset value to the exact intended type.",
        )
    return chosen or usable[0]
