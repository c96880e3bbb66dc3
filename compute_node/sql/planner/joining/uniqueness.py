"""Whether an outer row can have more than one match: not where the inner side's columns that equal the outer one's are
a unique key (PostgreSQL's innerrel_is_unique)."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.expressions import Var
from compute_node.sql.planner.joining.clauses import Clause, Clauses
from compute_node.sql.planner.paths import Rel, ScanPath, SubPath
from compute_node.sql.planner.quals import strip_relabel
from compute_node.sql.query import Query


def finds_one(clauses: Clauses, rel: Rel | None, conditions: Sequence[Clause], outer: int) -> bool:
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
    relation = path.entry.relation if isinstance(path, ScanPath) else None
    if relation is None:
        return False
    return any(
        index.unique and index.immediate and index.valid and index.predicate is None
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


__all__ = ["finds_one"]
