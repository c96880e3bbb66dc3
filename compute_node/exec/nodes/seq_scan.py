"""Sequential scan: a table's visible rows, a page's batch at a time, or by columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.nodes.base import Batch, executes
from compute_node.exec.nodes.table_scan import TableScanNode
from compute_node.exec.vectors.scan import is_large
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.SeqScan)
class SeqScanNode(TableScanNode):
    """In the order of the pages."""

    __slots__ = ()

    def __init__(self, plan: pl.SeqScan, builder: Builder) -> None:
        super().__init__(plan, builder, plan.filter, is_large(builder, plan.relation))

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        if self._relation.kind == "S" and not self._want_tid and min(self._columns, default=1) > 0:
            # The stored row is ahead of the values handed out.
            row = ctx.session.catalog_function("sequence_row", self._relation.oid)
            yield [tuple(row[attno - 1] for attno in self._columns)]
        else:
            yield from ctx.storage.table(self._relation).scan(ctx.snapshot, self._columns, self._want_tid)

    def _column_source(self, ctx: ExecContext, attnos: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        return ctx.storage.table(self._relation).scan_columns(ctx.snapshot, attnos, kinds)
