"""Rows by their addresses: WHERE ctid = …, ctid = ANY (…), ctid < …."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from compute_node.exec.compile.rows import batch_function, value_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable, scan_nullable
from compute_node.exec.nodes.table_scan import TableScanNode
from compute_node.exec.stored_values import scan_columns
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

_FETCHED = 256
"""rows of a batch"""
_SLOT_BITS = 16
_LAST = (1 << 48) - 1
"""no address is greater"""


@executes(pl.TidScan)
class TidScanNode(Node):
    """Fetches by tid what the snapshot sees."""

    __slots__ = ("_columns", "_relation", "_shape", "_stored", "_tids", "_want_tid")

    def __init__(self, plan: pl.TidScan, builder: Builder) -> None:
        self._relation = plan.relation
        read = scan_columns(builder, plan.relation, plan.columns, plan.output, plan.filter)
        self._columns, self._stored = read.columns, read.output
        self._want_tid = plan.want_tid
        self._tids = [value_function(builder, value) for value in plan.tids]
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, plan.filter, len(source), source, read.stored)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the order of the tids."""
        found: set[int] = set()
        for value in self._tids:
            wanted = value(ctx)
            if isinstance(wanted, list):
                found.update(wanted)
            elif wanted is not None:
                found.add(wanted)
        found.discard(None)
        tids = sorted(found)
        table = ctx.storage.table(self._relation)
        for start in range(0, len(tids), _FETCHED):
            ctx.check()
            rows = []
            for tid in tids[start : start + _FETCHED]:
                row = table.fetch(ctx.snapshot, tid, self._columns)
                if row is not None:
                    rows.append((*row, tid) if self._want_tid else row)
            if rows and self._shape is not None:
                rows = self._shape(ctx, rows)
            if self._stored:
                yield from self._stored.resolved(rows)
            elif rows:
                yield rows


@executes(pl.TidRangeScan)
class TidRangeScanNode(TableScanNode):
    """In the order of the pages: those pages that the bounds leave, and of the first and the last what is within."""

    __slots__ = ("_lower", "_upper")

    def __init__(self, plan: pl.TidRangeScan, builder: Builder) -> None:
        super().__init__(plan, builder, plan.filter, many=False)
        self._lower = [(value_function(builder, bound.value), bound.inclusive) for bound in plan.lower]
        self._upper = [(value_function(builder, bound.value), bound.inclusive) for bound in plan.upper]

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        first, last = 0, _LAST
        for value, inclusive in self._lower:
            tid = value(ctx)
            if tid is None:
                return
            first = max(first, tid if inclusive else tid + 1)
        for value, inclusive in self._upper:
            tid = value(ctx)
            if tid is None:
                return
            last = min(last, tid if inclusive else tid - 1)
        if first > last:
            return
        table, want_tid = ctx.storage.table(self._relation), self._want_tid
        blocks = range(first >> _SLOT_BITS, (last >> _SLOT_BITS) + 1)
        for rows in table.scan_blocks(ctx.snapshot, self._columns, True, blocks.start, blocks.stop):
            if rows[0][-1] < first or rows[-1][-1] > last:
                rows = [row for row in rows if first <= row[-1] <= last]
            yield rows if want_tid else [row[:-1] for row in rows]

    def _column_source(self, ctx: ExecContext, attnos: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        raise InvariantViolation("a range of row addresses is read by rows")
