"""Rule: ``l LEFT JOIN r ON … WHERE r.column IS NULL`` is an anti join, when no pair that meets ON has NULL there.

What is left are the rows of ``l`` without a partner, so everything above may take the columns of ``r`` for NULL.
Source: PostgreSQL's ``prepjointree.c`` (reduce_outer_joins) has the same rule.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from aurora.errors import InvariantViolation
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const, Expr, NullTest, RowExpr, Var
from compute_node.sql.planner.from_tree import FromTree, leaves
from compute_node.sql.planner.quals import conjuncts, contains_volatile, nonnull_vars, strip_relabel
from compute_node.sql.query import FromItem, JoinItem, Query
from compute_node.sql.rewrite import deep_map, map_query_expressions


class AntiJoin(NamedTuple):
    """``tree`` has no row for which ``condition`` is true."""

    tree: FromTree
    condition: Expr


def take_anti_joins(catalog: CatalogView, query: Query) -> tuple[Query, list[AntiJoin]]:
    """The query without such left joins, and these."""
    nulls = _null_columns(catalog, query.where)
    taken: list[AntiJoin] = []
    while nulls and (found := _first(catalog, query, nulls)) is not None:
        query, anti = _without(query, found)
        gone = leaves(found.right)
        taken = [each._replace(condition=_as_nulls(each.condition, gone, 0)) for each in taken]
        taken.append(anti)
    return query, taken


def _null_columns(catalog: CatalogView, where: Expr | None) -> set[tuple[int, int]]:
    """Columns (range entry, attno) that a condition wants to be NULL. A row value may be so without being missing."""
    found: set[tuple[int, int]] = set()
    for part in conjuncts(where):
        if isinstance(part, NullTest) and not part.negated:
            column = strip_relabel(part.argument)
            if isinstance(column, Var) and not column.levels_up and column.attno > 0:
                if part.as_value or catalog.type(column.type).root.kind in "berm":
                    found.add((column.rte, column.attno))
    return found


def _first(catalog: CatalogView, query: Query, nulls: set[tuple[int, int]]) -> JoinItem | None:
    """The outermost such join, as a left one. Whatever is joined to its left side later, rows of it are only dropped
    for their own sake."""
    locked = frozenset(rte for _, _, entries in query.locking for rte in entries)

    def visit(item: FromTree) -> JoinItem | None:
        if isinstance(item, FromItem) or item.kind == "full":
            return None
        if item.kind == "inner":
            return visit(item.left) or visit(item.right)
        kept, lost = (item.left, item.right) if item.kind == "left" else (item.right, item.left)
        gone = leaves(lost)
        wanted = {(rte, attno) for rte, attno in nulls if rte in gone}
        if (
            item.condition is not None
            and any((each.rte, each.attno) in wanted for each in nonnull_vars(catalog, item.condition))
            and not contains_volatile(catalog, item.condition)
            and not gone & locked
            and not any(query.range_table[rte].lateral for rte in gone)
        ):
            return item
        return visit(kept)

    for tree in query.from_items:
        found = visit(tree)
        if found is not None:
            return found
    return None


def _without(query: Query, join: JoinItem) -> tuple[Query, AntiJoin]:
    """The query with only the rows' own side of the join in its place."""
    kept, lost = (join.left, join.right) if join.kind == "left" else (join.right, join.left)
    if join.condition is None:
        raise InvariantViolation("an outer join without a condition has no partner that is missing")

    def visit(item: FromTree) -> FromTree:
        if item is join:
            return kept
        if isinstance(item, FromItem):
            return item
        return dataclasses.replace(item, left=visit(item.left), right=visit(item.right))

    gone = leaves(lost)
    outer = dataclasses.replace(query, from_items=[visit(tree) for tree in query.from_items])
    outer = map_query_expressions(outer, lambda expr, depth: _as_nulls(expr, gone, depth - 1))
    # What the tables of the other side are asked for themselves is about their rows.
    outer.range_table = [
        query.range_table[rte] if rte in gone else entry for rte, entry in enumerate(outer.range_table)
    ]
    return outer, AntiJoin(lost, join.condition)


def _as_nulls(expr: Expr, gone: frozenset[int], depth: int) -> Expr:
    """The expression, ``depth`` levels below the query, where these entries have no row."""

    def replaced(node: Expr, level: int) -> Expr:
        if isinstance(node, Var) and node.levels_up == level and node.rte in gone:
            return Const(type=node.type, typmod=node.typmod, value=None)
        if isinstance(node, RowExpr) and node.whole and all(_is_null(field) for field in node.arguments):
            return Const(type=node.type, value=None)
        return node

    return deep_map(expr, replaced, depth)


def _is_null(node: Expr) -> bool:
    return isinstance(node, Const) and node.value is None
