"""Rule: reading a table through bitmaps of row addresses, of one index or of several under AND and OR.

A top-level OR can be served when each of its branches can. Bitmaps are put together under AND as long as one more makes
the whole cheaper. Source: PostgreSQL's ``choose_bitmap_and``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aurora.errors import InvariantViolation
from compute_node.relations.access_methods import BRIN, GIN, METHODS, pages_per_range
from compute_node.relations.descriptors import IndexDesc
from compute_node.sql.expressions import Expr, Or, Param
from compute_node.sql.plan import IndexKey
from compute_node.sql.planner.index_columns import is_usable
from compute_node.sql.planner.index_cost import ScanSize, bitmap_heap_cost, bitmap_index_cost, brin_cost, gin_cost
from compute_node.sql.planner.index_paths import Choice, IndexPaths, descents
from compute_node.sql.planner.index_proof import Proof
from compute_node.sql.planner.item_counts import count_items
from compute_node.sql.planner.paths import CPU_OPERATOR_COST, ScanPath, test_cost
from compute_node.sql.planner.quals import as_given, conjunction, conjuncts, local_vars
from compute_node.sql.planner.selectivity import Estimator, table_size
from compute_node.sql.query import RangeEntry
from compute_node.types import oids

COMBINED_MAX = 4
"""Bitmaps under one AND."""
AND_COST = 100 * CPU_OPERATOR_COST
"""What one bitmap more costs."""


@dataclass(slots=True)
class Bitmap:
    """A bitmap: of an index, or of ``parts`` under ``kind`` and/or. ``meets``: conditions that it stands for, over the
    table's columns; ``shown`` the same as EXPLAIN shows them. ``lossy``: its rows need not meet them."""

    fraction: float
    cost: float
    meets: list[Expr]
    shown: list[Expr]
    lossy: bool
    quals: list[Expr]
    """the top-level conditions of the query that it makes true"""
    index: IndexDesc | None = None
    keys: tuple[IndexKey, ...] = ()
    conditions: tuple[Expr, ...] = ()
    kind: str = ""
    parts: tuple[Bitmap, ...] = ()


class BitmapPaths:
    """Bitmap paths of one statement's tables."""

    def __init__(self, estimator: Estimator, indexes: IndexPaths, keep_implied: bool) -> None:
        self._estimator = estimator
        self._catalog = estimator.catalog
        self._indexes = indexes
        self._keep_implied = keep_implied
        self._loops = 1.0

    def best(self, rte: int, entry: RangeEntry, quals: Sequence[Expr], loops: float = 1.0) -> ScanPath | None:
        """The cheapest path; None when no index serves a condition. ``loops``: how often it will run."""
        self._loops = loops
        found = list(self._bitmaps(rte, entry, quals, quals))
        for qual in quals:
            if isinstance(qual, Or):
                found += self._of_or(rte, entry, qual, quals)
        best: ScanPath | None = None
        found.sort(key=lambda bitmap: bitmap.cost)
        for first in range(len(found)):
            path = self._combined(rte, entry, found[first:], quals)
            if best is None or path.cost < best.cost:
                best = path
        return best

    def _bitmaps(
        self, rte: int, entry: RangeEntry, quals: Sequence[Expr], filter_quals: Sequence[Expr]
    ) -> Iterator[Bitmap]:
        """Of each index that serves one of ``quals``."""
        for index in entry.relation.indexes if entry.relation is not None else ():
            if not is_usable(self._catalog, index):
                continue
            found = self._indexes.match(index, rte, entry, quals, filter_quals)
            if found is not None and found[0].keys:
                yield self._of_index(index, rte, entry, found[0], found[1])

    def _of_index(
        self, index: IndexDesc, rte: int, entry: RangeEntry, choice: Choice, predicate: tuple[Expr, ...]
    ) -> Bitmap:
        relation = entry.relation
        if relation is None:
            raise InvariantViolation("relation is not there")
        keyed = _distinct([each.qual for each in choice.keys])
        pages, total = table_size(self._catalog, relation)
        fraction = self._estimator.of_all([as_given(item, rte) for item in _distinct([*keyed, *predicate])])
        if index.unique and choice.point:
            fraction = 1.0 / total
        size = ScanSize(
            total,
            pages,
            max(1.0, total * fraction),
            0,
            loops=self._loops,
            descents=descents(choice),
            index_pages=index.pages,
        )
        fraction, cost = self._of_ranges(index, rte, choice, size) or (fraction, self._cost(index, size, choice))
        exact = [each for each in choice.clauses if each.exact]
        checked = METHODS[index.method].lossy or any(each.lossy or each not in choice.keys for each in exact)
        derived = [each.shown for each in choice.keys if not each.exact]
        conditions = _distinct([each.shown for each in choice.clauses])
        original = _distinct([each.qual for each in choice.clauses])
        # What the keys imply of the predicate is neither checked again nor shown.
        literals: list[Param] = []
        proof = Proof(self._catalog, [each.qual for each in exact], literals)
        added = [item for item in predicate if not proof.implies((item,)) or literals]
        return Bitmap(
            fraction=fraction,
            cost=cost,
            meets=_distinct([*(each.qual for each in exact), *derived, *added]),
            shown=_distinct([*original, *added]),
            lossy=checked,
            quals=_distinct([*(each.qual for each in exact), *([] if self._keep_implied else predicate)]),
            index=index,
            keys=tuple(
                IndexKey(each.column, each.strategy, each.value, each.array, each.width) for each in choice.keys
            ),
            conditions=tuple(conditions),
        )

    def _of_ranges(self, index: IndexDesc, rte: int, choice: Choice, size: ScanSize) -> tuple[float, float] | None:
        """(fraction of the table, cost) of a BRIN index; None of any other."""
        if METHODS[index.method] is not BRIN:
            return None
        columns = {index.columns[each.column] for each in choice.keys} - {0}
        known = [self._estimator.column(rte, attno) for attno in columns]
        correlation = max((abs(each.correlation) for each in known if each.statistics is not None), default=0.0)
        found = brin_cost(replace(size, correlation=correlation), pages_per_range(index.options))
        return found.fraction, found.cost

    @staticmethod
    def _cost(index: IndexDesc, size: ScanSize, choice: Choice) -> float:
        if METHODS[index.method] is GIN:
            items = count_items(choice.keys, index.codes) or max(size.index_pages, 1)
            return gin_cost(size, len(choice.keys), items)
        return bitmap_index_cost(size, len(choice.keys))

    def _of_or(self, rte: int, entry: RangeEntry, qual: Or, quals: Sequence[Expr]) -> list[Bitmap]:
        """The OR of the cheapest bitmaps of its branches; empty when a branch has none."""
        parts: list[Bitmap] = []
        rest = [item for item in quals if item is not qual]
        for branch in qual.arguments:
            wanted = conjuncts(branch)
            found = list(self._bitmaps(rte, entry, wanted, [*wanted, *rest]))
            if not found:
                return []
            parts.append(min(found, key=lambda bitmap: bitmap.cost + bitmap.fraction * 1e6))
        missing = 1.0
        for part in parts:
            missing *= 1.0 - part.fraction
        whole = all(
            all(item in part.quals for item in conjuncts(branch))
            for part, branch in zip(parts, qual.arguments, strict=True)
        )
        return [
            Bitmap(
                fraction=max(1.0 - missing, 1e-9),
                cost=sum(part.cost for part in parts),
                meets=[_any_of([part.meets for part in parts])],
                shown=[_any_of([part.shown for part in parts])],
                lossy=any(part.lossy for part in parts),
                quals=[qual] if whole else [],
                kind="or",
                parts=tuple(parts),
            )
        ]

    def _combined(self, rte: int, entry: RangeEntry, found: Sequence[Bitmap], quals: Sequence[Expr]) -> ScanPath:
        """The first bitmap, with those of the others that make it cheaper."""
        chosen = [found[0]]
        path = self._path(rte, entry, chosen, quals)
        for other in found[1:]:
            known = [qual for each in chosen for qual in each.meets]
            if len(chosen) >= COMBINED_MAX or any(qual in known for qual in other.meets):
                continue
            longer = self._path(rte, entry, [*chosen, other], quals)
            if longer.cost < path.cost:
                chosen.append(other)
                path = longer
        return path

    def _path(self, rte: int, entry: RangeEntry, chosen: Sequence[Bitmap], quals: Sequence[Expr]) -> ScanPath:
        relation = entry.relation
        if relation is None:
            raise InvariantViolation("relation is not there")
        pages, total = table_size(self._catalog, relation)
        fraction = 1.0
        for bitmap in chosen:
            fraction *= bitmap.fraction
        met = [qual for bitmap in chosen for qual in bitmap.quals]
        rest = [item for item in quals if item not in met]
        matched = max(1.0, total * fraction)
        rows = round(total * self._estimator.of_all([as_given(item, rte) for item in quals])) if quals else matched
        size = ScanSize(total, pages, matched, test_cost(quals), loops=self._loops)
        startup = sum(bitmap.cost for bitmap in chosen) + AND_COST * (len(chosen) - 1)
        whole = chosen[0]
        if len(chosen) > 1:
            whole = Bitmap(
                fraction=fraction,
                cost=startup,
                meets=[item for bitmap in chosen for item in bitmap.meets],
                shown=[item for bitmap in chosen for item in bitmap.shown],
                lossy=any(bitmap.lossy for bitmap in chosen),
                quals=met,
                kind="and",
                parts=tuple(chosen),
            )
        return ScanPath(
            relids=frozenset({rte}),
            rows=min(matched, max(rows, 1.0)),
            startup=startup,
            cost=startup + bitmap_heap_cost(size),
            required=frozenset(item for qual in [*whole.meets, *rest] for item in local_vars(qual) if item.rte != rte),
            rte=rte,
            entry=entry,
            filter=rest,
            keys=met,
            bitmap=whole,
            conditions=[item for item in whole.shown if item not in rest],
            recheck=whole.meets if whole.lossy else [],
        )


def _any_of(branches: Sequence[Sequence[Expr]]) -> Expr:
    parts = [part for part in (conjunction(items) for items in branches) if part is not None]
    return parts[0] if len(parts) == 1 else Or(type=oids.BOOL, arguments=tuple(parts))


def _distinct(nodes: Sequence[Expr]) -> list[Expr]:
    found: list[Expr] = []
    for node in nodes:
        if node not in found:
            found.append(node)
    return found
