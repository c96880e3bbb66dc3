"""How many groups rows make (manual, 76.2): the product of the different values of each table's columns, never more
than its rows. Of rows that conditions have left, Yao's and Dell'Era's estimate of the values that are left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from compute_node.relations.extended_statistics import ExtendedStatistics
from compute_node.sql.expressions import Expr, Var
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.selectivity.variable import Variable
from compute_node.types import oids

CORRELATED = 0.1
"""of a table's rows: more groups by several of its columns than that are not believed"""


def count_groups(
    keys: Iterable[Expr],
    rows: float,
    examine: Callable[[Expr], Variable],
    left_of: Callable[[int], float],
    together: Callable[[int], Sequence[ExtendedStatistics]],
) -> float:
    """Groups by ``keys`` of so many input rows; ``left_of`` a range entry: its rows after its conditions; ``together``:
    what is known of several of its columns."""
    different = list(dict.fromkeys(keys))
    found = 2.0 ** sum(key.type == oids.BOOL for key in different)
    by_entry: dict[int, dict[Expr, Variable]] = {}
    for part, known in _parts(different, examine):
        entry = next((var.rte for var in local_vars(part)), -1)
        by_entry.setdefault(entry, {}).setdefault(part, known)
    for entry, variables in by_entry.items():
        left = left_of(entry) if entry >= 0 else rows
        found *= _of_entry(list(variables.values()), left, together(entry) if len(variables) > 1 and entry >= 0 else ())
    return min(max(found, 1.0), max(rows, 1.0))


def groups_are_guessed(keys: Iterable[Expr], examine: Callable[[Expr], Variable]) -> bool:
    """Whether nothing is known of how many values one of the keys has (PostgreSQL's SELFLAG_USED_DEFAULT)."""
    return any(known.counted[1] for _, known in _parts(keys, examine))


def _counted_together(
    variables: list[Variable], together: Sequence[ExtendedStatistics]
) -> tuple[list[float], list[Variable]]:
    """The different values of columns that are counted together, the statistics of most columns first; the others."""
    counts: list[float] = []
    while True:
        columns = {each.node.attno for each in variables if isinstance(each.node, Var)}
        shared = [(columns.intersection(each.columns), each.distinct) for each in together if each.distinct]
        best, distinct = max(shared, key=lambda item: len(item[0]), default=(set[int](), {}))
        known = distinct.get(frozenset(best)) if len(best) > 1 else None
        if known is None:
            return counts, variables
        counts.append(known)
        variables = [each for each in variables if not (isinstance(each.node, Var) and each.node.attno in best)]


def _parts(keys: Iterable[Expr], examine: Callable[[Expr], Variable]) -> Iterator[tuple[Expr, Variable]]:
    """What groups are counted by, with what is known of it: a key, or the columns in it. No booleans."""
    for key in keys:
        if key.type == oids.BOOL:
            continue
        known = examine(key)
        if known.statistics is not None or known.is_unique:
            yield key, known
        else:
            yield from ((var, examine(var)) for var in local_vars(key))


def _of_entry(variables: list[Variable], left: float, together: Sequence[ExtendedStatistics]) -> float:
    total = max((each.rows for each in variables), default=0.0)
    counts, variables = _counted_together(variables, together)
    counts += [each.distinct for each in variables]
    product = math.prod(counts)
    most = max([1.0, *counts])
    if total <= 0:
        return product
    bound = total
    if len(counts) > 1:
        bound = min(max(total * CORRELATED, most), total)
    product = min(product, bound)
    if product > 0 and left < total:
        product *= 1.0 - ((total - left) / total) ** (total / product)
    return max(product, 1.0)
