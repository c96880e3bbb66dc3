"""Sequential scan: a table's visible rows, filtered and projected a page's batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable, scan_nullable
from compute_node.exec.stored_values import scan_columns
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.SeqScan)
class SeqScanNode(Node):
    """Filter and projection are one list comprehension."""

    __slots__ = ("_columns", "_relation", "_shape", "_stored", "_want_tid")

    def __init__(self, plan: pl.SeqScan, builder: Builder) -> None:
        self._relation = plan.relation
        read = scan_columns(builder, plan.relation, plan.columns, plan.output, plan.filter)
        self._columns, self._stored = read.columns, read.output
        self._want_tid = plan.want_tid
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, plan.filter, len(source), source, read.stored)

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        if self._relation.kind == "S" and not self._want_tid and min(self._columns, default=1) > 0:
            # The stored row is ahead of the values handed out.
            row = ctx.session.catalog_function("sequence_row", self._relation.oid)
            yield [tuple(row[attno - 1] for attno in self._columns)]
        else:
            yield from ctx.storage.table(self._relation).scan(ctx.snapshot, self._columns, self._want_tid)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Reads with the context's snapshot."""
        shape = self._shape
        check = ctx.check
        stored = self._stored
        for batch in self._source(ctx):
            check()
            rows = batch if shape is None else shape(ctx, batch)
            if stored:
                yield from stored.resolved(rows)
            elif rows:
                yield rows
