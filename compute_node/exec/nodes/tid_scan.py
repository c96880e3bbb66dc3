"""WHERE ctid = …: one row by its tid (or the rows of an array of tids)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function, value_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable, scan_nullable
from compute_node.exec.stored_values import scan_columns
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.TidScan)
class TidScanNode(Node):
    """Fetches by tid what the snapshot sees."""

    __slots__ = ("_columns", "_relation", "_shape", "_stored", "_tid", "_want_tid")

    def __init__(self, plan: pl.TidScan, builder: Builder) -> None:
        self._relation = plan.relation
        read = scan_columns(builder, plan.relation, plan.columns, plan.output, plan.filter)
        self._columns, self._stored = read.columns, read.output
        self._want_tid = plan.want_tid
        self._tid = value_function(builder, plan.tid)
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, plan.filter, len(source), source, read.stored)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the order of the tids."""
        wanted = self._tid(ctx)
        tids = wanted if isinstance(wanted, list) else [wanted]
        table = ctx.storage.table(self._relation)
        rows = []
        for tid in sorted({tid for tid in tids if tid is not None}):
            row = table.fetch(ctx.snapshot, tid, self._columns)
            if row is not None:
                rows.append((*row, tid) if self._want_tid else row)
        if rows and self._shape is not None:
            rows = self._shape(ctx, rows)
        if self._stored:
            yield from self._stored.resolved(rows)
        elif rows:
            yield rows
