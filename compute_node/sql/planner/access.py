"""Rule: how to read one table: sequentially, by addresses, through an index or by bitmaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from compute_node.relations.foreign import require_handler
from compute_node.sql.expressions import CurrentOf, Expr, SortKey
from compute_node.sql.planner.bitmap_paths import BitmapPaths
from compute_node.sql.planner.classes import Classes, Order, begins
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.exclusion import Refutation, constraints_of
from compute_node.sql.planner.families import FamilyPaths, Member
from compute_node.sql.planner.index_paths import IndexPath, IndexPaths
from compute_node.sql.planner.paths import CPU_TUPLE_COST, SEQ_PAGE_COST, AppendPath, ScanPath, test_cost
from compute_node.sql.planner.push_down import leaks
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.selectivity import Estimator, table_size
from compute_node.sql.planner.state import Statement
from compute_node.sql.planner.tid_paths import CTID, TidPaths
from compute_node.sql.query import Query, RangeEntry


def _is_foreign(entry: RangeEntry) -> bool:
    """Whether it is read by a wrapper, which knows no addresses."""
    return entry.relation is not None and entry.relation.kind == "f"


class Access:
    """Paths of the tables of one query level."""

    def __init__(
        self, statement: Statement, query: Query, families: Mapping[int, Sequence[Member]] = MappingProxyType({})
    ) -> None:
        self.statement = statement
        self._families = families
        self.catalog = statement.catalog
        self.entries = query.range_table
        keeps = bool(query.locking) or query.command != "select"
        known = statement.estimators.get(id(query.range_table))
        if known is None:
            known = Estimator(statement.catalog, query.range_table, statement.peeking)
            statement.estimators[id(query.range_table)] = known
        self.estimator = known
        self._indexes = IndexPaths(statement, self.estimator, keeps)
        self._bitmaps = BitmapPaths(self.estimator, self._indexes, keeps)
        self._tids = TidPaths(statement, self.estimator)

    def _index_paths(
        self,
        rte: int,
        entry: RangeEntry,
        quals: Sequence[Expr],
        loops: float = 1.0,
        for_order: bool = False,
    ) -> Iterator[IndexPath]:
        """See ``IndexPaths.paths``; with ``enable_indexscan`` off they are dear."""
        if entry.sample is not None:
            return
        off = not self.statement.enabled("enable_indexscan")
        keys = self._free(entry, quals)
        for found in self._indexes.paths(rte, entry, keys, quals, loops, for_order):
            if off:
                found.path.startup += DISABLED_COST
                found.path.cost += DISABLED_COST
            yield found

    def _free(self, entry: RangeEntry, quals: Sequence[Expr]) -> Sequence[Expr]:
        """The conditions that an index may check: behind a barrier none that tell of rows which nobody may see."""
        if not entry.security:
            return quals
        return [item for item in quals if item in entry.security or not leaks(self.catalog, item)]

    def seq_path(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> ScanPath:
        """The whole table, filtered."""
        relation = entry.relation
        if relation is not None and relation.kind == "f":
            require_handler(relation)
        pages, total = table_size(self.catalog, relation) if relation is not None else (1.0, 1000.0)
        rows = total * self.estimator.of_all(quals)
        cost = pages * SEQ_PAGE_COST + total * (CPU_TUPLE_COST + test_cost(quals))
        startup = 0.0 if self.statement.enabled("enable_seqscan") else DISABLED_COST
        cost += startup
        return ScanPath(
            relids=frozenset({rte}),
            rows=max(1.0, round(rows)),
            startup=startup,
            cost=cost,
            rte=rte,
            entry=entry,
            filter=list(quals),
        )

    def family(self, rte: int) -> FamilyPaths | None:
        """How the family of a range entry is read; None for a table by itself."""
        members = self._families.get(rte)
        return None if members is None else FamilyPaths(self, members)

    def _nothing(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> AppendPath | None:
        """Of a table whose constraints say that it has no such row, with ``constraint_exclusion`` on: no scan."""
        settings, relation = self.statement.settings, entry.relation
        if settings is None or settings.get("constraint_exclusion") != "on" or relation is None or not quals:
            return None
        literals = self.statement.decisive_literals
        if Refutation(self.catalog, quals, literals).refutes(constraints_of(self.catalog, relation, rte)):
            return AppendPath(
                relids=frozenset({rte}), rte=rte, entry=entry, members=[], children=[], filter=list(quals)
            )
        return None

    def indexed(self, rte: int, entry: RangeEntry) -> set[int]:
        """The columns by which a scan may find rows: those that indexes of a table, or of one of a family, have (0
        among them for an expression), and ctid."""
        members = self._families.get(rte)
        if members is None:
            indexes = entry.relation.indexes if entry.relation is not None else ()
            return {CTID, *(attno for index in indexes for attno in index.columns)}
        found = {CTID}
        for member in members:
            mine = {attno for index in member.relation.indexes for attno in index.columns}
            found |= {place for place, attno in enumerate(member.attnos, 1) if attno in mine} | ({0} & mine)
        return found

    def paths(
        self, rte: int, entry: RangeEntry, quals: Sequence[Expr], classes: Classes
    ) -> Sequence[ScanPath | AppendPath]:
        """The scans of a table, or of a family of tables, that may be of use, with the orders that they give."""
        family = self.family(rte)
        if family is not None:
            return family.paths(rte, entry, quals, classes)
        nothing = self._nothing(rte, entry, quals)
        if nothing is not None:
            return [nothing]
        return self.table_paths(rte, entry, quals, lambda keys: classes.order(keys) or (), classes)

    def table_paths(
        self,
        rte: int,
        entry: RangeEntry,
        quals: Sequence[Expr],
        order_of: Callable[[Sequence[SortKey[Expr]]], Order],
        classes: Classes,
    ) -> list[ScanPath]:
        """The scans of one table. One that finds at most one row by a unique key is the only one, since statistics may
        be stale. ``order_of``: what order an index's keys make."""
        sequential = self.seq_path(rte, entry, quals)
        found = [sequential]
        if entry.sample is not None or _is_foreign(entry):
            return found
        for by_tid in self._tids.paths(rte, entry, quals):
            if by_tid.tids is not None and any(isinstance(value, CurrentOf) for value in by_tid.tids.values):
                return [by_tid]
            found.append(by_tid)
        for each in self._index_paths(rte, entry, quals, for_order=bool(classes.interesting)):
            path = each.path
            if path.index is not None and path.index.unique:
                return [path]
            order = order_of(each.order) if each.order and classes.interesting else ()
            useful = bool(order) and order[0][0] in classes.interesting
            if useful:
                backward = tuple((number, not down, not first) for number, down, first in order)
                if begins(backward, classes.wanted) and path.index is not None:
                    other = dataclasses.replace(path, index=dataclasses.replace(path.index, backward=True))
                    other.order = backward
                    found.append(other)
                path.order = order
            if each.finds or useful:
                found.append(path)
        if classes.wanted:
            for nearest in self._indexes.nearest(rte, entry, quals, classes.sorted_by):
                nearest.path.order = order_of(nearest.order)
                found.append(nearest.path)
        bitmap = self._bitmap(rte, entry, quals)
        found += [] if bitmap is None else [bitmap]
        return found

    def given_paths(
        self, rte: int, entry: RangeEntry, quals: Sequence[Expr], loops: float
    ) -> Iterator[ScanPath | AppendPath]:
        """Scans whose conditions name columns of other entries, too."""
        family = self.family(rte)
        if family is not None:
            return family.given_paths(rte, entry, quals, loops)
        return self.given_scans(rte, entry, quals, loops)

    def given_scans(self, rte: int, entry: RangeEntry, quals: Sequence[Expr], loops: float) -> Iterator[ScanPath]:
        """Those of one table."""
        if _is_foreign(entry):
            return
        found = [each.path for each in self._index_paths(rte, entry, quals, loops) if each.path.required]
        single = [path for path in found if path.index is not None and path.index.unique]
        if single:
            yield single[0]
            return
        yield from found
        for by_tid in self._tids.paths(rte, entry, quals):
            by_tid.required = frozenset(var for item in by_tid.conditions for var in local_vars(item) if var.rte != rte)
            if by_tid.required:
                yield by_tid
        bitmap = self._bitmap(rte, entry, quals, loops)
        if bitmap is not None and bitmap.required:
            yield bitmap

    def _bitmap(self, rte: int, entry: RangeEntry, quals: Sequence[Expr], loops: float = 1.0) -> ScanPath | None:
        if len(self._free(entry, quals)) < len(quals):
            return None
        bitmap = self._bitmaps.best(rte, entry, quals, loops)
        if bitmap is not None and not self.statement.enabled("enable_bitmapscan"):
            bitmap.startup += DISABLED_COST
            bitmap.cost += DISABLED_COST
        return bitmap
