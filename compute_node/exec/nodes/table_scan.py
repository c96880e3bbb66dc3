"""What scans of a table have in common: filter and projection, by rows or by columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import BatchFunction, batch_function
from compute_node.exec.nodes.base import Batch, Node, output_nullable, scan_nullable
from compute_node.exec.stored_values import scan_columns
from compute_node.exec.vectors.scan import ColumnScan, by_columns, has_handles
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited

if TYPE_CHECKING:
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex
    from compute_node.sql import plan as pl


REFUSED_MAX = 2
"""After so many batches whose filter is not for columns the others are not tried."""


class TableScanNode(Node):
    """By rows, filter and projection are one list comprehension. By columns when the parent asks for them, and where a
    filter is for columns: then only the rows that pass are made."""

    __slots__ = ("_columns", "_output", "_relation", "_scan", "_shape", "_stored", "_want_tid")

    def __init__(
        self,
        plan: pl.SeqScan | pl.IndexScan | pl.BitmapHeapScan,
        builder: Builder,
        condition: ex.Expr | None,
        many: bool,
    ) -> None:
        """``many``: so many rows are expected that columns are worth it."""
        self._relation = plan.relation
        read = scan_columns(builder, plan.relation, plan.columns, plan.output, condition)
        self._columns, self._stored = read.columns, read.output
        self._want_tid = plan.want_tid
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, condition, len(source), source, read.stored)
        self._scan: ColumnScan | None = None
        self._output: BatchFunction | None = self._shape
        if many and not plan.want_tid:
            self._scan = ColumnScan.of(builder, plan.relation, read, plan.output, condition, source)
            if self._scan is not None and condition is not None:
                self._scan.expects(plan.rows, builder)
                self._output = batch_function(builder, plan.output, None, len(source), source, read.stored)

    @abstractmethod
    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        """Unfiltered rows."""

    @abstractmethod
    def _column_source(self, ctx: ExecContext, attnos: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        """Unfiltered rows by column."""

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Reads with the context's snapshot."""
        shape, stored, scan = self._shape, self._stored, self._scan
        if scan is not None and shape is not None and scan.sifts and by_columns(ctx):
            yield from self._filtered(ctx, scan)
            return
        check = ctx.check
        for batch in self._source(ctx):
            check()
            rows = batch if shape is None else shape(ctx, batch)
            if stored:
                yield from stored.resolved(rows)
            elif rows:
                yield rows

    def _column_batches(self, ctx: ExecContext, scan: ColumnScan) -> Iterator[ColumnBatch]:
        return scan.batches(ctx, lambda attnos, kinds: self._column_source(ctx, attnos, kinds))

    def _filtered(self, ctx: ExecContext, scan: ColumnScan) -> Iterator[Batch]:
        shape, output, stored = self._shape, self._output, self._stored
        refused = 0
        for batch in self._column_batches(ctx, scan):
            rows = self._passed(ctx, scan, batch) if refused < REFUSED_MAX else None
            if rows is None:
                refused += 1
                rows = batch.rows()
                rows = rows if shape is None else shape(ctx, rows)
            elif output is not None and rows:
                rows = output(ctx, rows)
            if stored:
                yield from stored.resolved(rows)
            elif rows:
                yield rows

    @staticmethod
    def _passed(ctx: ExecContext, scan: ColumnScan, batch: ColumnBatch) -> Batch | None:
        """The rows that pass the filter, as the scan reads them; None when that is for the row-wise code to say."""
        if scan.filter is None:
            return None
        try:
            return scan.filter.passed(batch, ctx).rows()
        except Unsuited:
            return None

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        return None if self._scan is None else self._scan.kinds

    def has_columns(self, ctx: ExecContext) -> bool:
        """See ``Node``."""
        return self._scan is not None and self._scan.kinds is not None and by_columns(ctx)

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """Reads with the context's snapshot."""
        scan, shape, stored = self._scan, self._shape, self._stored
        if scan is None or scan.filter is None:
            return
        refused = 0
        for batch in self._column_batches(ctx, scan):
            rows: Batch
            try:
                if refused >= REFUSED_MAX:
                    raise Unsuited
                passed = scan.filter.passed(batch, ctx)
            except Unsuited:
                refused += 1
                rows = batch.rows()
                rows = rows if shape is None else shape(ctx, rows)
            else:
                if not passed.count:
                    continue
                found = self._shown(ctx, scan, passed)
                if isinstance(found, ColumnBatch):
                    yield found
                    continue
                rows = found
            for part in stored.resolved(rows) if stored else [rows]:
                if part:
                    yield ColumnBatch.of_rows(part, len(part[0]))

    def _shown(self, ctx: ExecContext, scan: ColumnScan, passed: ColumnBatch) -> ColumnBatch | Batch:
        """The output of rows that passed the filter; as rows where that is for the row-wise code, or has handles."""
        try:
            found = scan.output(passed, ctx)
        except Unsuited:
            rows = passed.rows()
            return rows if self._output is None else self._output(ctx, rows)
        return found.rows() if self._stored and has_handles(found, self._stored.positions) else found
