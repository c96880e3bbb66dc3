"""Rule: outer joins whose nullable side a condition above needs non-null become inner joins (or full ones
one-sided)."""

from __future__ import annotations

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.planner.quals import nonnullable
from compute_node.sql.query import FromItem, JoinItem

FromTree = FromItem | JoinItem


def leaves(item: FromTree) -> frozenset[int]:
    """The range entries at the leaves."""
    if isinstance(item, FromItem):
        return frozenset({item.rte})
    return leaves(item.left) | leaves(item.right)


def nullable(item: FromTree) -> frozenset[int]:
    """The range entries whose rows an outer join may replace by NULLs."""
    if isinstance(item, FromItem):
        return frozenset()
    below = nullable(item.left) | nullable(item.right)
    if item.kind in ("left", "full"):
        below |= leaves(item.right)
    if item.kind in ("right", "full"):
        below |= leaves(item.left)
    return below


def reduce_outer(catalog: CatalogView, item: FromTree, nonnull: frozenset[int]) -> FromTree:
    """The tree with outer joins reduced, given that columns of ``nonnull`` must be non-null in every result row."""
    if isinstance(item, FromItem):
        return item
    kind, left, right = item.kind, item.left, item.right
    if kind == "right":
        kind, left, right = "left", right, left
    if kind == "full":
        keeps_left, keeps_right = bool(leaves(left) & nonnull), bool(leaves(right) & nonnull)
        if keeps_left and keeps_right:
            kind = "inner"
        elif keeps_left:
            kind = "left"
        elif keeps_right:
            kind, left, right = "left", right, left
    if kind == "left" and leaves(right) & nonnull:
        kind = "inner"
    own = nonnullable(catalog, item.condition) if item.condition is not None else frozenset()
    below_left = below_right = frozenset[int]()
    if kind == "inner":
        below_left = below_right = nonnull | own
    elif kind == "left":
        below_left, below_right = nonnull, own
    return JoinItem(
        kind,
        reduce_outer(catalog, left, below_left),
        reduce_outer(catalog, right, below_right),
        item.condition,
        item.rte,
    )
