"""Calls with WITHIN GROUP: ordered-set and hypothetical-set aggregates (manual, 4.2.7)."""

from __future__ import annotations

import dataclasses

from pglast import ast

from aurora.errors import GroupingError, NotSupported, SqlError, UndefinedFunction, WrongObjectType
from compute_node.sql.analyze.coercion import coerce_to_common, select_common_type
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.functions import (
    aggregate_filter,
    call_function,
    function_signature,
    given_arguments,
    level_of,
    not_an_aggregate,
    owner_of_aggregate,
    resolve_unknown,
)
from compute_node.sql.analyze.operators import check_sortable
from compute_node.sql.expressions import AggregateCall, Expr, SortKey, Var, WindowCall, walk
from compute_node.sql.rewrite import deep_walk
from compute_node.types import oids
from compute_node.types.registry import Aggregate, Function


def ordered_set_call(scope: Scope, node: ast.FuncCall, schema: str | None, name: str, location: int) -> Expr:
    """An aggregate over the rows in an order: the direct arguments stand in parentheses, what is sorted by behind
    WITHIN GROUP."""
    from compute_node.sql.analyze.expressions import transform

    outer, scope.in_aggregate = scope.in_aggregate, True
    scope.analysis.keep_depth += 1
    try:
        given, _ = given_arguments(scope, node)
        sorted_by = [transform(scope, item.node) for item in node.agg_order]
        function, resolved = call_function(
            scope,
            schema,
            name,
            [*given, *sorted_by],
            location,
            variadic=bool(node.func_variadic),
            aggregate_syntax="WITHIN GROUP",
        )
        if isinstance(resolved, Expr):
            raise not_an_aggregate("WITHIN GROUP", name, location)
        if function.kind == "w":
            raise fail(WrongObjectType, f"window function {name} cannot have WITHIN GROUP", location)
        aggregate = scope.catalog.aggregate(function.oid)
        if aggregate is None or not aggregate.ordered_set:
            message = f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"
            raise fail(WrongObjectType, message, location)
        if node.over is not None:
            raise fail(NotSupported, f"OVER is not supported for ordered-set aggregate {name}", location)
        _check_numbers(scope, function, aggregate, name, [*given, *sorted_by], len(sorted_by), location)
        values = resolved[0]
        direct, ordered = list(values[: len(given)]), list(values[len(given) :])
        if aggregate.hypothetical:
            direct, ordered = _unified(scope, function, direct, ordered)
        condition = aggregate_filter(scope, node)
    finally:
        scope.analysis.keep_depth -= 1
        scope.in_aggregate = outer
    keys = _keys(scope, node, ordered)
    inner = [*ordered, *([] if condition is None else [condition])]
    _check_inside(scope, inner, direct, outer, location)
    owner, level = owner_of_aggregate(scope, inner, location)
    owner.query.has_aggregates = True
    return AggregateCall(
        type=resolved[1],
        function=function.oid,
        arguments=tuple(key.expression for key in keys),
        order_by=tuple(keys),
        filter=condition,
        levels_up=level,
        direct=tuple(direct),
        location=location,
    )


def _keys(scope: Scope, node: ast.FuncCall, ordered: list[Expr]) -> list[SortKey[Expr]]:
    from compute_node.sql.analyze.select import sort_direction

    keys = []
    for item, value in zip(node.agg_order, ordered, strict=True):
        expr = resolve_unknown(scope, value)
        descending, nulls_first = sort_direction(item)
        check_sortable(scope, expr.type, expr.location)
        keys.append(SortKey(expr, expr.type, descending, nulls_first))
    return keys


def _check_inside(scope: Scope, inner: list[Expr], direct: list[Expr], outer: bool, location: int) -> None:
    for item in (part for each in [*inner, *direct] for part in walk(each)):
        if isinstance(item, WindowCall):
            message = "aggregate function calls cannot contain window function calls"
            raise fail(GroupingError, message, item.location)
    level = level_of(scope, inner)
    if outer and level == 0:
        raise fail(GroupingError, "aggregate function calls cannot be nested", location)
    for each in direct:
        for item, depth in deep_walk(each):
            if isinstance(item, AggregateCall) and item.levels_up - depth == level:
                raise fail(GroupingError, "aggregate function calls cannot be nested", item.location)
            if isinstance(item, Var) and depth <= item.levels_up < depth + level:
                message = "outer-level aggregate cannot contain a lower-level variable in its direct arguments"
                raise fail(GroupingError, message, item.location)


def _check_numbers(
    scope: Scope,
    function: Function,
    aggregate: Aggregate,
    name: str,
    arguments: list[Expr],
    ordered: int,
    location: int,
) -> None:
    direct = len(arguments) - ordered

    def missing(hint: str) -> SqlError:
        shown = function_signature(scope, name, arguments)
        return fail(UndefinedFunction, f"function {shown} does not exist", location, hint=hint)

    declared = aggregate.direct
    variadic_direct = bool(function.variadic) and declared >= len(function.arguments)
    if not variadic_direct:
        if direct != declared:
            noun = "argument" if declared == 1 else "arguments"
            raise missing(
                f"There is an ordered-set aggregate {name}, but it requires {declared} direct {noun}, not {direct}."
            )
        return
    gathered = len(arguments) - len(function.arguments) + 1
    if aggregate.hypothetical:
        if gathered != 2 * ordered:
            raise missing(
                f"To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments"
                f" (here {gathered - ordered}) must match the number of ordering columns (here {ordered})."
            )
    elif gathered <= ordered:
        noun = "argument" if declared == 1 else "arguments"
        raise missing(f"There is an ordered-set aggregate {name}, but it requires at least {declared} direct {noun}.")


def _unified(
    scope: Scope, function: Function, direct: list[Expr], ordered: list[Expr]
) -> tuple[list[Expr], list[Expr]]:
    """The last direct arguments with the types of what they are compared with."""
    if function.variadic != oids.ANY:
        return direct, ordered
    start = len(direct) - len(ordered)
    for index, value in enumerate(ordered):
        pair = [direct[start + index], value]
        common = select_common_type(scope, [value, direct[start + index]], "WITHIN GROUP")
        direct[start + index], ordered[index] = (coerce_to_common(scope, each, common, "WITHIN GROUP") for each in pair)
    return [dataclasses.replace(each) for each in direct], ordered
