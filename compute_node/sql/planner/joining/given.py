"""Scans of a table whose keys come from the outer side of a nested loop (PostgreSQL's parameterised paths).

Each set of other entries that conditions of an index name makes one path an index: all conditions with those entries
are checked by the scan. How often it will run is taken from the smallest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Expr, Var
from compute_node.sql.planner.access import Access
from compute_node.sql.planner.joining.clauses import Clause
from compute_node.sql.planner.paths import AppendPath, ScanPath
from compute_node.sql.planner.quals import contains_volatile, local_vars

SETS_MAX = 12
"""sets of other entries that are looked at for one table"""


@dataclass(slots=True, eq=False)
class Given:
    """A path that needs the entries ``outer``, and checks ``clauses``."""

    path: ScanPath | AppendPath
    outer: int
    clauses: list[Clause]
    distinct: tuple[float, float] | None = None
    """how many different values its keys have in so many outer rows"""
    _may_cache: bool | None = None

    def may_cache(self, catalog: CatalogView) -> bool:
        """Whether equal keys give the same rows again."""
        if self._may_cache is None:
            path = self.path
            conditions = path.filter if isinstance(path, AppendPath) else (*path.filter, *path.keys)
            self._may_cache = not any(contains_volatile(catalog, item) for item in conditions)
        return self._may_cache

    def leaves(self, clauses: Sequence[Clause]) -> list[Clause]:
        """The conditions that it does not check. Of a class one is enough, for the outer side's members are equal."""
        met = {clause.of_class for clause in self.clauses if clause.of_class >= 0}
        return [each for each in clauses if each not in self.clauses and each.of_class not in met]


class GivenScans:
    """Those of the table of ``scan``, whose conditions are ``own``, made when they are first asked for. ``clauses``:
    those with other entries; ``rows_of``: the rows of the smallest of some entries."""

    def __init__(
        self,
        access: Access,
        scan: ScanPath | AppendPath,
        own: Sequence[Expr],
        clauses: Sequence[Clause],
        rows_of: Callable[[int], float],
    ) -> None:
        self._access, self._scan, self._own, self._rows_of = access, scan, own, rows_of
        self._clauses = list(clauses)
        self._made: dict[int, list[Given]] = {}
        relation = scan.entry.relation
        self._sets: list[int] = []
        if relation is not None and scan.entry.sample is None:
            columns = access.indexed(scan.rte, scan.entry)
            self._sets = self._outer_sets([each for each in clauses if _names(each.node, scan.rte, columns)])

    def _outer_sets(self, usable: Sequence[Clause]) -> list[int]:
        """The sets of other entries that conditions name, and unions of them. Of a class one condition is enough."""
        mask = 1 << self._scan.rte
        found: dict[int, frozenset[int]] = {}
        for clause in usable:
            outer = clause.ids & ~mask
            mine = frozenset([clause.of_class]) if clause.of_class >= 0 else frozenset()
            unions = {known | outer: had | mine for known, had in found.items() if not mine & had}
            for each, classes in {outer: mine, **unions}.items():
                if each not in found and len(found) < SETS_MAX:
                    found[each] = classes
        return list(found)

    def within(self, outer: int) -> list[Given]:
        """Those whose keys these entries give."""
        found: list[Given] = []
        for each in self._sets:
            if not each & ~outer:
                made = self._made.get(each)
                if made is None:
                    made = self._made[each] = self._make(each)
                found += made
        return found

    def _make(self, outer: int) -> list[Given]:
        scan = self._scan
        within = outer | 1 << scan.rte
        seen: set[int] = set()
        chosen = []
        for each in self._clauses:
            if not each.ids & ~within and (each.of_class < 0 or each.of_class not in seen):
                chosen.append(each)
                seen.add(each.of_class)
        quals = [*self._own, *(each.node for each in chosen)]
        found: list[Given] = []
        for path in self._access.given_paths(scan.rte, scan.entry, quals, self._rows_of(outer)):
            if isinstance(path, ScanPath):
                named = (*path.filter, *path.keys, *path.conditions)
                path.required |= frozenset(
                    var for item in named for var in local_vars(item) if _is_other(var, scan.rte)
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
