"""Index-only scan: an index scan of columns that the index has. Who sees a row is asked of the table for each row, as
no map tells on which pages everybody sees all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.nodes.base import Batch, Ran, executes
from compute_node.exec.nodes.index_scan import IndexScanNode
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.exec.vectors.vector import ColumnBatch


@executes(pl.IndexOnlyScan)
class IndexOnlyScanNode(IndexScanNode):
    """Tells how many rows were asked of the table."""

    __slots__ = ()

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """See ``IndexScanNode``."""
        for batch in super().batches(ctx):
            self._count(ctx, len(batch))
            yield batch

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """See ``IndexScanNode``."""
        for batch in super().columns(ctx):
            self._count(ctx, batch.count)
            yield batch

    def fetch(self, ctx: ExecContext) -> Batch:
        """See ``IndexScanNode``."""
        if not self._keys.is_lookup:
            return super().fetch(ctx)
        rows = super().fetch(ctx)
        self._count(ctx, len(rows))
        return rows

    def ran(self, ctx: ExecContext, given: Ran, read: Ran) -> None:
        """See ``Node``."""
        self._count(ctx, read.rows)

    def _count(self, ctx: ExecContext, rows: int) -> None:
        told = ctx.told(self)
        if told:
            told["Heap Fetches"] = int(told["Heap Fetches"]) + rows
        else:
            ctx.tell(self, Heap_Fetches=rows)
