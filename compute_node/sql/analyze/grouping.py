"""GROUP BY: expressions, GROUPING SETS, ROLLUP, CUBE; GROUPING(…) (manual, 7.2.4 and 9.21)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import combinations
from typing import TypeAlias

from pglast import ast

from aurora.errors import GroupingError, StatementTooComplex, TooManyArguments, TooManyColumns
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.functions import owner_of_aggregate, resolve_unknown
from compute_node.sql.analyze.operators import check_groupable
from compute_node.sql.expressions import Expr, GroupingCall
from compute_node.sql.query import Grouping
from compute_node.types import oids

SETS_MAX = 4096
CUBE_MAX = 12
GROUPING_MAX = 31

Set: TypeAlias = tuple[int, ...]


def transform_group_by(scope: Scope, node: ast.SelectStmt) -> None:
    """``group_by`` and ``grouping_sets`` of the query."""
    query = scope.query
    items = node.groupClause or ()
    found: list[int] = []
    groupings = [_item(scope, item, found) for item in items]
    parts: list[list[Set]] = [_sets(item) for item in groupings]
    query.group_by = tuple(found)
    if not any(isinstance(item, ast.GroupingSet) for item in items):
        return
    sets: list[Set] = [()]
    for part in parts:
        if len(sets) * len(part) > SETS_MAX:
            message = f"too many grouping sets present (maximum {SETS_MAX})"
            raise StatementTooComplex(message)
        sets = [_merged(one, other) for one in sets for other in part]
    sets.sort(key=len)
    if node.groupDistinct:
        sets = list({frozenset(item): item for item in reversed(sets)}.values())[::-1]
    query.has_aggregates = True
    query.groupings = tuple(groupings)
    query.group_distinct = bool(node.groupDistinct)
    query.grouping_sets = tuple(sets)


def _location(node: ast.Node) -> int:
    location = getattr(node, "location", None)
    return location if location is not None else -1


def _merged(one: Set, other: Set) -> Set:
    return tuple(dict.fromkeys((*one, *other)))


def _is_row(item: ast.Node) -> bool:
    return isinstance(item, ast.RowExpr) and bool(item.row_format.name == "COERCE_IMPLICIT_CAST")


def _target(scope: Scope, node: ast.Node, found: list[int]) -> int:
    """The target that an expression of GROUP BY is."""
    from compute_node.sql.analyze.expressions import expression_location
    from compute_node.sql.analyze.select import find_target

    index = find_target(scope, node, "GROUP BY")
    target = scope.query.targets[index]
    target.expression = resolve_unknown(scope, target.expression)
    check_groupable(scope, target.expression.type, expression_location(node))
    if index not in found:
        found.append(index)
    return index


def _unit(scope: Scope, item: ast.Node, found: list[int]) -> Set:
    """An expression, or several in parentheses that belong together."""
    nodes: Sequence[ast.Node] = (item,)
    if isinstance(item, ast.RowExpr) and _is_row(item):
        nodes = item.args or ()
    return tuple(dict.fromkeys(_target(scope, each, found) for each in nodes))


def _item(scope: Scope, item: ast.Node, found: list[int]) -> Grouping:
    """An item of GROUP BY."""
    if not isinstance(item, ast.GroupingSet):
        return Grouping("simple", _unit(scope, item, found))
    kind = item.kind.name.removeprefix("GROUPING_SET_").lower()
    content = tuple([_item(scope, each, found) for each in item.content or ()])
    if kind == "cube" and len(content) > CUBE_MAX:
        raise fail(TooManyColumns, f"CUBE is limited to {CUBE_MAX} elements", _location(item))
    return Grouping(kind, content=content)


def _sets(item: Grouping) -> list[Set]:
    """The grouping sets that an item of GROUP BY stands for."""
    if item.kind in ("simple", "empty"):
        return [item.targets]
    if item.kind == "sets":
        return [each for part in item.content for each in _sets(part)]
    units = [each.targets for each in item.content]
    if item.kind == "rollup":
        return [_flat(units[:count]) for count in range(len(units), -1, -1)]
    chosen: list[Set] = []
    for count in range(len(units), -1, -1):
        chosen += [_flat(each) for each in combinations(units, count)]
    return chosen


def _flat(units: Sequence[Set]) -> Set:
    return tuple(dict.fromkeys(index for unit in units for index in unit))


def grouping_call(scope: Scope, node: ast.GroupingFunc) -> Expr:
    """GROUPING(…)."""
    from compute_node.sql.analyze.expressions import expression_location, transform

    location = _location(node)
    if len(node.args) > GROUPING_MAX:
        raise fail(TooManyArguments, "GROUPING must have fewer than 32 arguments", location)
    scope.analysis.keep_depth += 1
    arguments = tuple(
        [dataclasses.replace(transform(scope, item), location=expression_location(item)) for item in node.args]
    )
    scope.analysis.keep_depth -= 1
    owner, level = owner_of_aggregate(scope, arguments, location, "grouping operations")
    if scope.in_aggregate and not level:
        raise fail(GroupingError, "aggregate function calls cannot be nested", location)
    owner.query.has_aggregates = True
    return GroupingCall(type=oids.INT4, function=0, arguments=arguments, levels_up=level, location=location)


def not_grouped(location: int) -> Exception:
    """The error of an argument of GROUPING that is not grouped by."""
    message = "arguments to GROUPING must be grouping expressions of the associated query level"
    return fail(GroupingError, message, location)
