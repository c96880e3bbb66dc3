"""Bitmap scans: row addresses from one or several indexes, then the rows in the order of their pages.

``BitmapIndexScan``, ``BitmapAnd`` and ``BitmapOr`` hand on batches of row addresses, not rows; ``BitmapHeapScan``
gathers them, sorts them and fetches. Slot 0 stands for all rows of a page (``compute_node/access/lossy_pages.py``).
Where an index promises less than its condition, the condition is tested again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from compute_node.access.lossy_pages import intersected, parts_of
from compute_node.exec.compile.rows import BatchFunction, batch_function
from compute_node.exec.index_keys import IndexKeys, scan_condition
from compute_node.exec.nodes.base import Batch, Node, executes, scan_nullable
from compute_node.exec.nodes.table_scan import TableScanNode
from compute_node.exec.stored_values import scan_columns
from compute_node.exec.vectors.scan import ROWS_MIN
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.txn.serializable import SerialSnapshot
from compute_node.types import oids

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.work.account import Area

FETCH_TIDS = 1024
"""Row addresses looked up at a time."""


@executes(pl.BitmapIndexScan)
class BitmapIndexScanNode(Node):
    """The row addresses that an index gives for its keys."""

    __slots__ = ("_index", "_keys", "_relation")

    def __init__(self, plan: pl.BitmapIndexScan, builder: Builder) -> None:
        self._relation = plan.relation
        self._index = plan.index
        self._keys = IndexKeys(plan.relation, plan.index, plan.keys, False, builder)
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Row addresses, in no order, perhaps more than once; where all other nodes give rows."""
        index = ctx.storage.table(self._relation).index(self._index)
        for keys in self._keys.probes(ctx, False):
            if isinstance(ctx.snapshot, SerialSnapshot):
                index.note_span(ctx.snapshot, keys)
            index.counts.scans += 1
            for tids in index.tids(keys, area=ctx.area()):
                ctx.check()
                index.counts.returned += len(tids)
                batch: list[Datum] = tids
                yield batch


class _CombiningNode(Node):
    __slots__ = ("_children",)

    def __init__(self, plan: Any, builder: Builder) -> None:
        self._children = [builder.node(child) for child in plan.children]
        self.nullable = None


@executes(pl.BitmapOr)
class BitmapOrNode(_CombiningNode):
    """The row addresses of any child."""

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In no order, perhaps more than once."""
        for child in self._children:
            yield from child.batches(ctx)


@executes(pl.BitmapAnd)
class BitmapAndNode(_CombiningNode):
    """The row addresses of all children."""

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Sorted, each once. A child is not looked at when those before have nothing in common."""
        common: NDArray[np.int64] | None = None
        area = ctx.area()
        for child in self._children:
            tids = gathered(child, ctx, area)
            common = tids if common is None else intersected(common, tids)
            if not len(common):
                return
        if common is not None:
            yield common.tolist()


def gathered(node: Node, ctx: ExecContext, area: Area) -> NDArray[np.int64]:
    """All row addresses of a bitmap node, sorted, each once; counted in ``area`` with what puts them together."""
    parts: list[NDArray[np.int64]] = []
    for tids in node.batches(ctx):
        parts.append(np.array(tids, dtype=np.int64))
        area.add(2 * parts[-1].nbytes)
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


@executes(pl.BitmapHeapScan)
class BitmapHeapScanNode(TableScanNode):
    """The visible rows of a bitmap, in the order of the table's pages."""

    __slots__ = ("_bitmap", "_left_out", "_recheck")

    def __init__(self, plan: pl.BitmapHeapScan, builder: Builder) -> None:
        self._left_out = None if plan.recheck is None else builder.column_filtering(plan.child)
        # EXPLAIN ANALYZE tells of the rows that are checked again and left out: they are looked at first, by rows.
        super().__init__(plan, builder, scan_condition(plan), plan.rows >= ROWS_MIN and self._left_out is None)
        self._recheck: BatchFunction | None = None
        if self._left_out is not None:
            read = scan_columns(builder, plan.relation, plan.columns, plan.output, scan_condition(plan))
            source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
            same = [ex.Column(type=oids.UNKNOWN, index=at) for at in range(len(source))]
            self._recheck = batch_function(builder, same, plan.recheck, len(source), source, read.stored)
        self._bitmap = builder.node(plan.child)

    def _parts(self, ctx: ExecContext) -> Iterator[tuple[bool, NDArray[np.int64]]]:
        """The bitmap, as ``parts_of``; EXPLAIN is told of the blocks."""
        told = ctx.told(self)
        if not told:
            ctx.tell(self, Exact_Heap_Blocks=0, Lossy_Heap_Blocks=0)
            told = ctx.told(self)
        for lossy, tids in parts_of(gathered(self._bitmap, ctx, ctx.area())):
            kind = "Lossy Heap Blocks" if lossy else "Exact Heap Blocks"
            blocks = tids >> 16
            told[kind] = int(told[kind]) + 1 + int(np.count_nonzero(blocks[1:] != blocks[:-1]))
            yield lossy, tids

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        recheck, left_out = self._recheck, self._left_out
        for batch in self._rows(ctx):
            if recheck is not None and left_out is not None:
                rows = recheck(ctx, batch)
                left_out(len(batch) - len(rows))
                yield rows
            else:
                yield batch

    def _rows(self, ctx: ExecContext) -> Iterator[Batch]:
        table = ctx.storage.table(self._relation)
        for lossy, tids in self._parts(ctx):
            if lossy:
                found = table.scan_pages(ctx.snapshot, (tids >> 16).tolist(), self._columns, self._want_tid)
            else:
                found = self._fetched(ctx, table, tids)
            for batch in found:
                table.counts.fetched += len(batch)
                yield batch

    def _fetched(self, ctx: ExecContext, table: Table, tids: NDArray[np.int64]) -> Iterator[Batch]:
        for part in _some(tids):
            yield from table.fetch_chains(ctx.snapshot, part, self._columns, self._want_tid)

    def _column_source(self, ctx: ExecContext, attnos: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        table = ctx.storage.table(self._relation)
        for lossy, tids in self._parts(ctx):
            if lossy:
                found = table.page_columns(ctx.snapshot, (tids >> 16).tolist(), attnos, kinds)
            else:
                found = table.fetch_columns(ctx.snapshot, _some(tids), attnos, kinds)
            for each in found:
                table.counts.fetched += each[0]
                yield each


def _some(tids: NDArray[np.int64]) -> Iterator[list[int]]:
    """Row addresses, a few at a time."""
    for start in range(0, len(tids), FETCH_TIDS):
        yield tids[start : start + FETCH_TIDS].tolist()
