"""Rule: how to read one table: sequentially, through an index, or by tid; the cheapest way wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compute_node.sql.expressions import Call, Expr, SortKey, Var
from compute_node.sql.planner.bitmap_paths import BitmapPaths
from compute_node.sql.planner.index_paths import IndexPaths
from compute_node.sql.planner.paths import CPU_TUPLE_COST, DISABLED_COST, SEQ_PAGE_COST, ScanPath, test_cost
from compute_node.sql.planner.quals import relids
from compute_node.sql.planner.selectivity import Estimator, table_size
from compute_node.sql.planner.state import Statement
from compute_node.sql.query import Query, RangeEntry


class Access:
    """Paths of the tables of one query level."""

    def __init__(self, statement: Statement, query: Query) -> None:
        self.statement = statement
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
        self._wants_few = query.limit is not None

    def index_paths(
        self,
        rte: int,
        entry: RangeEntry,
        quals: Sequence[Expr],
        filter_quals: Sequence[Expr],
        order: Sequence[SortKey[Expr]] = (),
        loops: float = 1.0,
    ) -> Iterator[tuple[ScanPath, bool]]:
        """See ``IndexPaths.paths``; with ``enable_indexscan`` off they are dear."""
        if entry.sample is not None:
            return
        off = not self.statement.enabled("enable_indexscan")
        for path, ordered in self._indexes.paths(rte, entry, quals, filter_quals, order, loops):
            if off:
                path.startup += DISABLED_COST
                path.cost += DISABLED_COST
            yield path, ordered

    def seq_path(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> ScanPath:
        """The whole table, filtered; by tid when a condition says ``ctid = …``."""
        relation = entry.relation
        pages, total = table_size(self.catalog, relation) if relation is not None else (1.0, 1000.0)
        rows = total * self.estimator.of_all(quals)
        for qual in quals if entry.sample is None else ():
            if isinstance(qual, Call) and qual.operator and len(qual.arguments) == 2:
                if self.catalog.operator(qual.operator).name != "=":
                    continue
                for column, key in (qual.arguments, qual.arguments[::-1]):
                    is_ctid = (
                        isinstance(column, Var) and column.rte == rte and column.attno == -1 and column.levels_up == 0
                    )
                    if is_ctid and not relids(key):
                        rest = [item for item in quals if item is not qual]
                        return ScanPath(
                            relids=frozenset({rte}), rows=1.0, cost=4.01, rte=rte, entry=entry, filter=rest, tid=key
                        )
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

    def best_scan(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> ScanPath:
        """The cheapest scan; one that finds at most one row by a unique key always wins, since statistics may be
        stale."""
        best = self.seq_path(rte, entry, quals)
        if entry.sample is not None:
            return best
        for path, _ in self.index_paths(rte, entry, quals, quals):
            if path.index is not None and path.index.unique:
                return path
            if path.cost < best.cost and best.tid is None:
                best = path
        if best.tid is None and not self._wants_few:
            # Under a LIMIT an index that gives its first rows at once is better.
            bitmap = self._bitmaps.best(rte, entry, quals)
            if bitmap is not None and not self.statement.enabled("enable_bitmapscan"):
                bitmap.startup += DISABLED_COST
                bitmap.cost += DISABLED_COST
            if bitmap is not None and bitmap.cost < best.cost:
                return bitmap
        return best
