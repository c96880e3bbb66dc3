"""Conditions: conjuncts, which relations they mention, which they make non-null."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayOp,
    BooleanTest,
    Call,
    CoerceTypmod,
    CoerceViaIO,
    Const,
    DistinctTest,
    ExecParam,
    Expr,
    Not,
    NullIf,
    NullTest,
    Relabel,
    RowCompare,
    Var,
    map_children,
    walk,
)
from compute_node.types import oids
from compute_node.types.collation import collation_of
from compute_node.types.registry import Function


def conjuncts(node: Expr | None) -> list[Expr]:
    """The operands of nested ANDs; constant TRUE vanishes."""
    if node is None:
        return []
    if isinstance(node, And):
        return [item for argument in node.arguments for item in conjuncts(argument)]
    if isinstance(node, Const) and node.value is True:
        return []
    return [node]


def conjunction(items: Iterable[Expr]) -> Expr | None:
    """The AND of the items; None for none."""
    found = tuple(items)
    if not found:
        return None
    return found[0] if len(found) == 1 else And(type=oids.BOOL, arguments=found)


def local_vars(node: Expr) -> list[Var]:
    """The Vars of the current level in the expression, without duplicates, in order of appearance."""
    if isinstance(node, Var):
        return [node] if node.levels_up == 0 else []
    found = [item for item in walk(node) if isinstance(item, Var) and item.levels_up == 0]
    return list(dict.fromkeys(found))


def relids(node: Expr) -> frozenset[int]:
    """The range entries that the expression's columns come from."""
    return frozenset(item.rte for item in walk(node) if isinstance(item, Var) and item.levels_up == 0)


class Functions(Protocol):
    """Where functions are found."""

    def function(self, oid: int) -> Function:
        """By OID."""


def contains_volatile(functions: Functions, *nodes: Expr) -> bool:
    """Whether a volatile function is called anywhere inside (sub-plans count as not volatile)."""
    return any(
        functions.function(oid).volatility == "v" for node in nodes for item in walk(node) for oid in _called(item)
    )


def _called(node: Expr) -> Sequence[int]:
    if isinstance(node, (Call, ArrayOp)):
        return (node.function,)
    if isinstance(node, (DistinctTest, NullIf)):
        return (node.equality,)
    return (*node.less, *node.equal) if isinstance(node, RowCompare) else ()


def contains_set(catalog: CatalogView, node: Expr) -> bool:
    """Whether a set-returning function is called anywhere inside."""
    return any(isinstance(item, Call) and catalog.function(item.function).returns_set for item in walk(node))


def as_given(node: Expr, rte: int) -> Expr:
    """A condition with what other entries' columns are left open: as it is for one row of them."""
    if isinstance(node, Var):
        return node if node.rte == rte or node.levels_up else ExecParam(type=node.type, typmod=node.typmod, number=-1)
    return node if isinstance(node, Const) else map_children(node, lambda child: as_given(child, rte))


def strip_relabel(node: Expr) -> Expr:
    """The expression below binary-coercible casts."""
    while isinstance(node, Relabel):
        node = node.argument
    return node


def strip_collation(node: Expr) -> Expr:
    """The expression whose type under a collation this is."""
    return node.argument if isinstance(node, Relabel) and collation_of(node.type) else node


def nonnullable(catalog: CatalogView, node: Expr) -> frozenset[int]:
    """Entries of which some column must be non-null for the condition to be true."""
    return frozenset(column.rte for column in nonnull_vars(catalog, node))


def nonnull_vars(catalog: CatalogView, node: Expr, top: bool = True) -> frozenset[Var]:
    """Columns that must be non-null for the condition to be true; not ``top``: for the expression to be non-null."""
    if isinstance(node, Var):
        return frozenset({node}) if node.levels_up == 0 else frozenset()
    if isinstance(node, And) and top:
        return frozenset().union(*(nonnull_vars(catalog, item, True) for item in node.arguments))
    if isinstance(node, Call):
        if catalog.function(node.function).strict:
            return frozenset().union(*(nonnull_vars(catalog, item, False) for item in node.arguments))
        return frozenset()
    if isinstance(node, (Relabel, CoerceTypmod, CoerceViaIO, Not)):
        return nonnull_vars(catalog, node.argument, False)
    if isinstance(node, ArrayOp) and node.use_or:
        if catalog.function(node.function).strict:
            return nonnull_vars(catalog, node.left, False)
        return frozenset()
    if isinstance(node, NullTest) and node.negated and top:
        return nonnull_vars(catalog, node.argument, False)
    if isinstance(node, BooleanTest) and top and not node.negated and node.target is not None:
        return nonnull_vars(catalog, node.argument, False)
    return frozenset()
