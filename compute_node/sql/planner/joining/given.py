"""Scans of a table whose keys come from the outer side of a nested loop (PostgreSQL's parameterised paths).

Each set of other entries that conditions of an index name makes one path an index: all conditions with those entries
are checked by the scan. How often it will run is taken from the smallest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compute_node.sql.expressions import Expr, Var
from compute_node.sql.planner.access import Access
from compute_node.sql.planner.joining.clauses import Clause
from compute_node.sql.planner.paths import ScanPath
from compute_node.sql.planner.quals import local_vars

SETS_MAX = 12
"""sets of other entries that are looked at for one table"""


@dataclass(slots=True, eq=False)
class Given:
    """A path that needs the entries ``outer``, and checks ``clauses``."""

    path: ScanPath
    outer: int
    clauses: list[Clause]

    def leaves(self, clauses: Sequence[Clause]) -> list[Clause]:
        """The conditions that it does not check. Of a class one is enough, for the outer side's members are equal."""
        met = {clause.of_class for clause in self.clauses if clause.of_class >= 0}
        return [each for each in clauses if each not in self.clauses and each.of_class not in met]


def given_scans(
    access: Access,
    scan: ScanPath,
    own: Sequence[Expr],
    clauses: Sequence[Clause],
    rows_of: Callable[[int], float],
) -> list[Given]:
    """Those of the table of ``scan``, whose conditions are ``own``. ``clauses``: those with other entries;
    ``rows_of``: the rows of the smallest of some entries."""
    relation, mask = scan.entry.relation, 1 << scan.rte
    if relation is None or scan.entry.sample is not None or not relation.indexes:
        return []
    columns = {attno for index in relation.indexes for attno in index.columns}
    usable = [each for each in clauses if _names(each.node, scan.rte, columns)]
    sets: list[int] = []
    for clause in usable:
        for outer in [clause.ids & ~mask, *(known | (clause.ids & ~mask) for known in list(sets))]:
            if outer not in sets and len(sets) < SETS_MAX:
                sets.append(outer)
    found: list[Given] = []
    for outer in sets:
        within = outer | mask
        checked = [each for each in clauses if not each.ids & ~within]
        seen: set[int] = set()
        chosen = []
        for each in checked:
            if each.of_class < 0 or each.of_class not in seen:
                chosen.append(each)
                seen.add(each.of_class)
        quals = [*own, *(each.node for each in chosen)]
        for path in access.given_paths(scan.rte, scan.entry, quals, rows_of(outer)):
            path.required = (
                frozenset(
                    var
                    for item in (*path.filter, *path.keys, *path.conditions)
                    for var in local_vars(item)
                    if _is_other(var, scan.rte)
                )
                | path.required
            )
            needed = 0
            for var in path.required:
                needed |= 1 << var.rte
            if needed == outer:
                found.append(Given(path, outer, chosen))
    return found


def _is_other(var: Var, rte: int) -> bool:
    return var.rte != rte


def _names(node: Expr, rte: int, columns: set[int]) -> bool:
    """Whether a condition has a column of some index, or what may be an indexed expression."""
    return any(var.rte == rte and (var.attno in columns or 0 in columns) for var in local_vars(node))
