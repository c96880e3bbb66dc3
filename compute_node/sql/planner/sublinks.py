"""Rule: EXISTS and IN sub-selects in WHERE become semi joins (NOT EXISTS: anti joins) of the query around them."""

from __future__ import annotations

import dataclasses

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import AggregateCall, Expr, SubColumn, SubLink, Var, map_children
from compute_node.sql.planner.from_tree import FromTree
from compute_node.sql.planner.pull_up import moved_callback, moved_entry, pull_up, shift_tree
from compute_node.sql.planner.quals import conjuncts, contains_set, contains_volatile
from compute_node.sql.query import JoinItem, Query
from compute_node.sql.rewrite import deep_map, deep_walk, map_query_expressions, query_expressions


def pull_up_exists(
    catalog: CatalogView, query: Query, link: SubLink
) -> tuple[Query, list[FromTree], list[Expr]] | None:
    """(the query with the sub-select's range entries added, its FROM trees, the join conditions); no tree where it has
    one row, of no table. None when the sub-select must stay one: grouped, limited, without FROM, or correlated
    elsewhere than in WHERE."""
    inner = link.query
    if inner.set_op is not None or inner.has_aggregates or inner.group_by or inner.having is not None:
        return None
    if inner.limit is not None or inner.offset is not None or inner.ctes or inner.locking or inner.has_srfs:
        return None
    if inner.has_windows or not inner.from_items or (link.kind == "ANY" and link.test is None):
        return None
    if any(_has_sublink(item) for item in conjuncts(inner.where)):
        return None
    inner = pull_up(catalog, inner)
    if _correlated_outside_where(inner) or (not inner.from_items and link.kind == "EXISTS"):
        return None
    if link.kind == "ANY":
        for target in inner.targets:
            if contains_volatile(catalog, target.expression) or contains_set(catalog, target.expression):
                return None
    offset = len(query.range_table)
    move = moved_callback(offset)
    inner = map_query_expressions(
        inner, lambda expr, depth: deep_map(expr, move, depth - 1, moved_entry), entry_hook=moved_entry, hook_depth=0
    )
    conditions = conjuncts(inner.where)
    if link.kind == "ANY" and link.test is not None:
        columns = [item.expression for item in inner.targets if not item.junk]
        conditions = conjuncts(_substituted(link.test, columns)) + conditions
    if not any(_mentions_outside(item, offset) for item in conditions):
        if link.kind == "EXISTS":
            return None
    merged = dataclasses.replace(query, range_table=query.range_table + inner.range_table)
    return merged, [shift_tree(item, offset) for item in inner.from_items], conditions


def _substituted(node: Expr, columns: list[Expr]) -> Expr:
    if isinstance(node, SubColumn):
        return columns[node.index]
    return map_children(node, lambda child: _substituted(child, columns))


def _has_sublink(node: Expr) -> bool:
    return any(isinstance(item, SubLink) for item, _ in deep_walk(node))


def _mentions_outside(node: Expr, offset: int) -> bool:
    return any(
        isinstance(item, Var) and item.levels_up == depth and item.rte < offset for item, depth in deep_walk(node)
    )


def _correlated_outside_where(query: Query) -> bool:
    """Whether anything but WHERE refers to the level around the sub-select, or an aggregate of that level is used."""
    where = {id(item) for item in [query.where]}
    for top, depth in query_expressions(query, 0):
        for item, level in deep_walk(top, depth):
            if isinstance(item, AggregateCall) and item.levels_up > level:
                return True
            if isinstance(item, Var) and item.levels_up > level and id(top) not in where:
                return not _is_target(query, top)
    return any(isinstance(item, JoinItem) and item.kind == "full" for item in query.from_items)


def _is_target(query: Query, top: Expr) -> bool:
    return any(item.expression is top for item in query.targets)
