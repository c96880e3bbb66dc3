"""Whether an outer row can have more than one match: not where the inner side's columns that equal the outer one's are
a unique key (PostgreSQL's innerrel_is_unique)."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Expr, Var
from compute_node.sql.planner.index_columns import is_usable
from compute_node.sql.planner.joining.clauses import Clause, Clauses
from compute_node.sql.planner.paths import Rel, ScanPath, SubPath
from compute_node.sql.planner.quals import relids, strip_relabel
from compute_node.sql.query import Query, RangeEntry


def finds_one(
    catalog: CatalogView, clauses: Clauses, rel: Rel | None, conditions: Sequence[Clause], outer: int
) -> bool:
    """Whether the conditions find at most one row of the inner side ``rel`` for each outer row."""
    if rel is None or not rel.paths or len(rel.relids) != 1:
        return False
    columns: set[int] = set()
    for clause in conditions:
        if clause.left_class >= 0 and clause.crosses(outer, rel.mask):
            inner = strip_relabel(clause.sides(outer)[1])
            if isinstance(inner, Var):
                columns.add(inner.attno)
    if not columns:
        return False
    path = rel.paths[0]
    if isinstance(path, SubPath):
        return path.entry.query is not None and _is_distinct(path.entry.query, columns)
    return isinstance(path, ScanPath) and _has_key(catalog, path.entry, columns)


def is_unique_key(catalog: CatalogView, entry: RangeEntry, rte: int, conditions: Sequence[Expr]) -> bool:
    """Whether conditions leave of an entry at most one row for each row of the others."""
    columns: set[int] = set()
    for node in conditions:
        if not isinstance(node, Call) or not node.operator or len(node.arguments) != 2:
            continue
        if not catalog.operator(node.operator).can_merge:
            continue
        for one, other in (node.arguments, node.arguments[::-1]):
            column = strip_relabel(one)
            if isinstance(column, Var) and column.rte == rte and not column.levels_up and rte not in relids(other):
                columns.add(column.attno)
    return bool(columns) and entry.kind == "relation" and entry.sample is None and _has_key(catalog, entry, columns)


def _has_key(catalog: CatalogView, entry: RangeEntry, columns: set[int]) -> bool:
    """Whether some of the columns are a unique key."""
    relation = entry.relation
    return relation is not None and not entry.has_family and any(
        index.unique and index.immediate and is_usable(catalog, index) and index.predicate is None
        and 0 not in index.columns and columns.issuperset(index.columns)
        for index in relation.indexes
    )  # fmt: skip


def _is_distinct(query: Query, columns: set[int]) -> bool:
    """Whether a sub-select has no two rows with the same values in these columns."""
    visible = [number for number, target in enumerate(query.targets) if not target.junk]
    if query.has_srfs:
        return False
    if query.distinct:
        keys = query.distinct_on or visible
        return all(number + 1 in columns for number in keys)
    if query.set_op is not None:
        return not query.set_op[1] and all(number + 1 in columns for number in visible)
    if query.grouping_sets is not None:
        return False
    if query.group_by:
        return all(number + 1 in columns for number in query.group_by)
    return bool(query.has_aggregates)
