"""Rule: simple sub-selects in FROM (views, inlined CTEs, wrapped VALUES) become part of the query around them.

Works on copies: an analyzed Query is never changed. A sub-select is simple when its rows are those of its FROM and
WHERE: no set operation, aggregate, DISTINCT, LIMIT, ORDER BY, locking, set-returning or volatile targets, WITH of its
own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aurora.errors import InvariantViolation
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import AggregateCall, And, Expr, RowExpr, Var
from compute_node.sql.planner.quals import contains_set, contains_volatile
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.types import oids

FromTree = FromItem | JoinItem


def pull_up(catalog: CatalogView, query: Query) -> Query:
    """The query with its simple sub-selects merged in, innermost ones by repetition."""
    if not any(item.kind == "subquery" and item.query is not None for item in query.range_table):
        return query
    changed = True
    while changed:
        changed = False
        places = _leaf_places(query)
        for rte, nullable in places.items():
            entry = query.range_table[rte]
            if entry.kind != "subquery" or entry.query is None or entry.is_barrier:
                continue
            if rte == query.result_rte or not _is_simple(catalog, entry.query):
                continue
            if query.grouping_sets is not None and not _has_plain_targets(entry.query):
                continue
            if nullable != "no" and not (nullable == "left" and _is_plain(entry.query)):
                continue
            if not entry.query.from_items and not _under_inner_only(query, rte):
                continue
            query = _merge(query, rte)
            changed = True
            break
    return query


def _leaf_places(query: Query) -> dict[int, str]:
    """Each FROM leaf with where it stands: ``no`` not nullable, ``left`` directly the right side of a LEFT join,
    ``deep`` elsewhere on a nullable side."""
    places: dict[int, str] = {}

    def visit(item: FromTree, state: str) -> None:
        if isinstance(item, FromItem):
            places[item.rte] = state
            return
        left, right = state, state
        if item.kind == "left":
            right = "left" if isinstance(item.right, FromItem) else "deep"
        elif item.kind == "right":
            left = "left" if isinstance(item.left, FromItem) else "deep"
        elif item.kind == "full":
            left = right = "deep"
        visit(item.left, left)
        visit(item.right, right)

    for item in query.from_items:
        visit(item, "no")
    return places


def _under_inner_only(query: Query, rte: int) -> bool:
    """Whether the leaf has only inner joins above it (a sub-select without FROM leaves no leaf behind)."""

    def visit(item: FromTree, inner: bool) -> bool:
        if isinstance(item, FromItem):
            return inner and item.rte == rte
        inner = inner and item.kind == "inner"
        return visit(item.left, inner) or visit(item.right, inner)

    return any(visit(item, True) for item in query.from_items)


def _is_simple(catalog: CatalogView, query: Query) -> bool:
    if query.command != "select" or query.set_op is not None or query.has_aggregates or query.group_by:
        return False
    if query.having is not None or query.distinct or query.limit is not None or query.offset is not None:
        return False
    if query.order_by or query.locking or query.ctes or query.has_srfs or query.has_windows:
        return False
    for target in query.targets:
        if contains_volatile(catalog, target.expression) or contains_set(catalog, target.expression):
            return False
    return True


def _has_plain_targets(query: Query) -> bool:
    """Whether each column is one of another entry, which grouping sets may make NULL under its own name."""
    return all(isinstance(item.expression, Var) for item in query.targets)


def _is_plain(query: Query) -> bool:
    """Can stand on the nullable side of a LEFT join: one table, its targets plain columns of it."""
    if len(query.from_items) != 1 or not isinstance(query.from_items[0], FromItem):
        return False
    rte = query.from_items[0].rte
    return all(
        isinstance(item.expression, Var) and item.expression.levels_up == 0 and item.expression.rte == rte
        for item in query.targets
    )


def moved_callback(offset: int) -> Callable[[Expr, int], Expr]:
    """Callback: an expression of the sub-select as one of the query around it."""

    def move(node: Expr, depth: int) -> Expr:
        if isinstance(node, Var):
            if node.levels_up == depth:
                return dataclasses.replace(node, rte=node.rte + offset)
            if node.levels_up > depth:
                return dataclasses.replace(node, levels_up=node.levels_up - 1)
        elif isinstance(node, AggregateCall) and node.levels_up > depth:
            return dataclasses.replace(node, levels_up=node.levels_up - 1)
        return node

    return move


def moved_entry(entry: RangeEntry, depth: int) -> RangeEntry:
    """A CTE reference from a sub-select that moves one level out."""
    if entry.kind == "cte" and entry.cte_levels_up > depth:
        return dataclasses.replace(entry, cte_levels_up=entry.cte_levels_up - 1)
    return entry


def _merge(query: Query, rte: int) -> Query:
    entry = query.range_table[rte]
    inner = entry.query
    if inner is None:
        raise InvariantViolation(f"range entry {rte} has no sub-select to pull up")
    offset = len(query.range_table)
    move = moved_callback(offset)
    inner = map_query_expressions(
        inner, lambda expr, depth: deep_map(expr, move, depth - 1, moved_entry), entry_hook=moved_entry, hook_depth=0
    )
    columns = [item.expression for item in inner.targets if not item.junk]
    names = entry.column_names

    def substitute(node: Expr, depth: int) -> Expr:
        if not isinstance(node, Var) or node.levels_up != depth or node.rte != rte:
            return node
        if node.attno == 0:
            value: Expr = RowExpr(type=oids.RECORD, arguments=tuple(columns), names=names, whole=True)
        else:
            value = columns[node.attno - 1]
        if not depth:
            return value
        return deep_map(value, _deeper(depth))

    lateral = any(item.lateral for item in inner.range_table) or entry.lateral
    outer = map_query_expressions(query, lambda expr, depth: deep_map(expr, substitute, depth - 1))
    added = [
        dataclasses.replace(item, lateral=item.lateral or lateral)
        if item.kind in ("subquery", "function", "values")
        else item
        for item in inner.range_table
    ]
    outer.range_table = outer.range_table + added
    inner_items = [shift_tree(item, offset) for item in inner.from_items]
    where = inner.where
    new_items: list[FromTree] = []
    extra_where: list[Expr] = []
    for item in outer.from_items:
        replaced, conditions = _replace(item, rte, inner_items, where)
        new_items += replaced
        extra_where += conditions
    outer.from_items = new_items
    if extra_where:
        parts = tuple(extra_where) + ((outer.where,) if outer.where is not None else ())
        outer.where = parts[0] if len(parts) == 1 else And(type=oids.BOOL, arguments=parts)
    return outer


def _deeper(levels: int) -> Callable[[Expr, int], Expr]:
    def shift(node: Expr, depth: int) -> Expr:
        if isinstance(node, (Var, AggregateCall)) and node.levels_up >= depth:
            return dataclasses.replace(node, levels_up=node.levels_up + levels)
        return node

    return shift


def shift_tree(item: FromTree, offset: int) -> FromTree:
    if isinstance(item, FromItem):
        return FromItem(item.rte + offset)
    return JoinItem(
        item.kind, shift_tree(item.left, offset), shift_tree(item.right, offset), item.condition, item.rte + offset
    )


def _joined(items: list[FromTree]) -> FromTree | None:
    tree: FromTree | None = None
    for item in items:
        tree = item if tree is None else JoinItem("inner", tree, item, None, -1)
    return tree


def _replace(item: FromTree, rte: int, inner: list[FromTree], where: Expr | None) -> tuple[list[FromTree], list[Expr]]:
    """The tree with leaf ``rte`` replaced: what stands in its place at top level, and conditions that rise to WHERE."""
    if isinstance(item, FromItem):
        if item.rte != rte:
            return [item], []
        return list(inner), [where] if where is not None else []
    left, left_where = _replace(item.left, rte, inner, where)
    right, right_where = _replace(item.right, rte, inner, where)
    condition = item.condition
    if item.kind == "inner":
        rising = left_where + right_where
        one, other = _joined(left), _joined(right)
        if one is None or other is None:
            kept = one if one is not None else other
            if condition is not None:
                rising.append(condition)
            return ([kept] if kept is not None else []), rising
        return [JoinItem("inner", one, other, condition, item.rte)], rising
    rising = []
    for side_where, nullable in (
        (left_where, item.kind in ("right", "full")),
        (right_where, item.kind in ("left", "full")),
    ):
        if nullable and side_where:
            parts = tuple(side_where) + ((condition,) if condition is not None else ())
            condition = parts[0] if len(parts) == 1 else And(type=oids.BOOL, arguments=parts)
        else:
            rising += side_where
    one, other = _joined(left), _joined(right)
    if one is None or other is None:
        raise InvariantViolation("a sub-select without FROM was pulled up under an outer join")
    return [JoinItem(item.kind, one, other, condition, item.rte)], rising
