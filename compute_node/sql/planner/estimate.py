"""Row estimates: selectivities by the kind of condition, with PostgreSQL's defaults where nothing is known."""

from __future__ import annotations

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Const,
    Expr,
    Not,
    NullTest,
    Or,
    SubPlan,
    Var,
)
from compute_node.sql.planner.quals import strip_relabel
from compute_node.sql.query import RangeEntry

EQUAL = 0.005
RANGE = 1.0 / 3.0
DEFAULT_ROWS = 1000.0


def table_rows(relation: RelationDesc) -> float:
    """The table's estimated row count, at least 1."""
    if relation.rows >= 0 and (relation.rows > 0 or relation.pages > 0):
        return max(relation.rows, 1.0)
    return max(relation.pages * 60.0, DEFAULT_ROWS)


def table_pages(relation: RelationDesc) -> float:
    """The table's estimated page count, at least 1."""
    return float(max(relation.pages, 1)) if relation.pages else max(1.0, table_rows(relation) / 60.0)


def is_unique_column(relation: RelationDesc | None, attno: int) -> bool:
    """Whether a one-column unique index says so."""
    if relation is None:
        return False
    return any(index.unique and index.columns == (attno,) and index.predicate is None for index in relation.indexes)


def _equality(node: Expr, entries: list[RangeEntry], rows: float) -> float:
    node = strip_relabel(node)
    if isinstance(node, Var) and node.levels_up == 0 and is_unique_column(entries[node.rte].relation, node.attno):
        relation = entries[node.rte].relation
        return 1.0 / (table_rows(relation) if relation is not None else rows)
    return EQUAL


def selectivity(catalog: CatalogView, node: Expr, entries: list[RangeEntry], rows: float = 1000.0) -> float:
    """The fraction of rows for which the condition is true, in (0, 1]."""
    if isinstance(node, Const):
        return 1.0 if node.value is True else 1e-6
    if isinstance(node, And):
        result = 1.0
        for item in node.arguments:
            result *= selectivity(catalog, item, entries, rows)
        return result
    if isinstance(node, Or):
        missing = 1.0
        for item in node.arguments:
            missing *= 1.0 - selectivity(catalog, item, entries, rows)
        return max(1.0 - missing, 1e-6)
    if isinstance(node, Not):
        return max(1.0 - selectivity(catalog, node.argument, entries, rows), 1e-6)
    if isinstance(node, NullTest):
        return 0.995 if node.negated else EQUAL
    if isinstance(node, (Var, BooleanTest, SubPlan)):
        return 0.5
    if isinstance(node, ArrayOp) and node.use_or:
        count = 10
        if isinstance(node.right, ArrayExpr):
            count = len(node.right.elements)
        elif isinstance(node.right, Const) and isinstance(node.right.value, list):
            count = len(node.right.value)
        return min(1.0, max(count, 1) * _equality(node.left, entries, rows))
    if isinstance(node, Call) and node.operator:
        name = catalog.operator(node.operator).name
        if name == "=":
            return min(_equality(item, entries, rows) for item in node.arguments)
        if name in ("<", "<=", ">", ">="):
            return RANGE
        if name == "<>":
            return 0.995
        if name in ("~~", "~~*", "~", "~*"):
            return 0.02
    return 1.0 / 3.0
