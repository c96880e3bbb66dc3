"""Rule: conditions on a sub-select in FROM are checked inside of it, where that leaves the same rows; conditions of
HAVING that ask no aggregate are checked before grouping.

A condition may go in when it needs nothing but the sub-select's columns, and none of these depends on rows that the
condition would take away: no LIMIT, no window over other partitions, no DISTINCT ON another column. Through UNION and
INTERSECT it goes into both sides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Const,
    ExecParam,
    Expr,
    GroupingCall,
    Not,
    NullTest,
    Or,
    Param,
    Relabel,
    SubLink,
    SubPlan,
    Var,
    WindowCall,
    map_children,
    walk,
)
from compute_node.sql.planner.quals import conjunction, conjuncts, contains_set, contains_volatile
from compute_node.sql.query import Query


def push_down(
    catalog: CatalogView, query: Query, rte: int, conditions: Sequence[Expr], is_barrier: bool
) -> tuple[Query, list[Expr]]:
    """(the sub-select with those of the conditions that may be checked inside, the others). ``rte``: what the
    conditions call the sub-select. Into a view that ``is_barrier`` go those that tell nothing of the rows they see."""
    if not conditions or not _is_open(query):
        return query, list(conditions)
    closed = _closed_columns(catalog, query)
    moved = [item for item in conditions if _may_move(catalog, item, rte, closed)]
    if is_barrier:
        moved = [item for item in moved if not leaks(catalog, item)]
    if not moved:
        return query, list(conditions)
    return _with_conditions(query, rte, moved), [item for item in conditions if item not in moved]


_QUIET = (And, Or, Not, NullTest, BooleanTest, Const, Param, Var, Relabel, ArrayExpr)
"""What calls no function."""


def having_as_where(catalog: CatalogView, query: Query) -> Query:
    """The query with conditions of HAVING that only speak of its groups' keys in WHERE."""
    if query.having is None or not query.group_by or query.grouping_sets is not None:
        return query
    parts = conjuncts(query.having)
    early = [item for item in parts if not _is_of_groups(catalog, item)]
    if not early:
        return query
    late = [item for item in parts if item not in early]
    where = conjunction([*conjuncts(query.where), *early])
    return dataclasses.replace(query, where=where, having=conjunction(late))


def _is_of_groups(catalog: CatalogView, node: Expr) -> bool:
    """Whether a condition can be checked of whole groups alone."""
    kinds = (AggregateCall, SubLink)
    return any(isinstance(item, kinds) for item in walk(node)) or contains_volatile(catalog, node)


def _is_open(query: Query) -> bool:
    """Whether fewer rows may go through the query."""
    if query.command != "select" or query.limit is not None or query.offset is not None or query.locking:
        return False
    if query.grouping_sets is not None or query.ctes:
        return False
    if query.set_op is None:
        return True
    kind, _, left, right = query.set_op
    return kind != "except" and _is_open(left) and _is_open(right)


def _closed_columns(catalog: CatalogView, query: Query) -> frozenset[int]:
    """Attnos of the columns that a condition must not look at inside."""
    if query.set_op is not None:
        _, _, left, right = query.set_op
        found = set(_closed_columns(catalog, left) | _closed_columns(catalog, right))
        outer = [item.expression.type for item in query.targets if not item.junk]
        for side in (left, right):
            inner = [item.expression.type for item in side.targets if not item.junk]
            found |= {at for at, (one, other) in enumerate(zip(outer, inner, strict=True), 1) if one != other}
        return frozenset(found)
    found = set()
    for at, target in enumerate(query.targets):
        node = target.expression
        partitions = [[key.expression for key in window.partition] for window in query.windows]
        computed = any(isinstance(item, (WindowCall, SubLink, GroupingCall)) for item in walk(node))
        elsewhere = bool(query.distinct_on) and at not in query.distinct_on
        elsewhere = elsewhere or (query.has_windows and any(at not in keys for keys in partitions))
        if computed or elsewhere or contains_set(catalog, node) or contains_volatile(catalog, node):
            found.add(at + 1)
    return frozenset(found)


def _may_move(catalog: CatalogView, node: Expr, rte: int, closed: frozenset[int]) -> bool:
    for item in walk(node):
        if isinstance(item, (SubLink, SubPlan, ExecParam)):
            return False
        if isinstance(item, Var) and (item.levels_up or item.rte != rte or item.attno <= 0 or item.attno in closed):
            return False
    return not contains_volatile(catalog, node)


def leaks(catalog: CatalogView, node: Expr) -> bool:
    """Whether a condition may tell of values by other means than its result, as an error's message does."""
    for item in walk(node):
        if isinstance(item, (Call, ArrayOp)):
            if not catalog.is_leakproof(item.function):
                return True
        elif not isinstance(item, _QUIET):
            return True
    return False


def _with_conditions(query: Query, rte: int, conditions: Sequence[Expr]) -> Query:
    if query.set_op is not None:
        kind, keep_all, left, right = query.set_op
        sides = [_with_conditions(side, rte, conditions) for side in (left, right)]
        return dataclasses.replace(query, set_op=(kind, keep_all, sides[0], sides[1]))
    inside = [_inside(item, query, rte) for item in conditions]
    if not (query.has_aggregates or query.group_by or query.having is not None):
        return dataclasses.replace(query, where=conjunction([*conjuncts(query.where), *inside]))
    return dataclasses.replace(query, having=conjunction([*conjuncts(query.having), *inside]))


def _inside(node: Expr, query: Query, rte: int) -> Expr:
    """A condition in the sub-select's own terms."""
    if isinstance(node, Var) and node.rte == rte:
        return query.targets[node.attno - 1].expression
    return map_children(node, lambda child: _inside(child, query, rte))
