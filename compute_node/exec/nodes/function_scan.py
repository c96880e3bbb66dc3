"""A function in FROM: the rows of a set-returning one, one row of any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.rows import batch_function, value_function
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.set_functions import set_function
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import RECORD
from compute_node.work.account import value_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 1000
FIRST_ROWS = 32
BATCH_BYTES = 4 << 20


class _Source:
    """The rows of one function: tuples when it gives rows, else values."""

    __slots__ = ("_call", "composite", "returns_set", "width")

    def __init__(self, call: ex.Expr, width: int, builder: Builder) -> None:
        function = builder.function(call.function) if isinstance(call, ex.Call) else None
        self.returns_set = function is not None and function.returns_set
        kind = builder.type(call.type).root
        self.composite = kind.kind == "c" or kind.oid == RECORD or width > 1
        self.width = width
        if self.returns_set and isinstance(call, ex.Call):
            self._call: Callable[..., Datum] = set_function(builder, call, None)
        else:
            self._call = value_function(builder, call)

    def values(self, ctx: ExecContext) -> Iterator[Datum]:
        """What it gives, as it gives it."""
        values = self._call(ctx) if self.returns_set else (self._call(ctx),)
        if not self.composite:
            return iter(values)
        nothing = (None,) * self.width
        return (nothing if value is None else value for value in values)

    def rows(self, ctx: ExecContext) -> Iterator[tuple[Datum, ...]]:
        """The same, each as a row."""
        return map(tuple, self.values(ctx)) if self.composite else ((value,) for value in self.values(ctx))


@executes(pl.FunctionScan)
class FunctionScanNode(Node):
    """The scan row is the functions' columns, then the ordinality."""

    __slots__ = ("_composite", "_ordinality", "_shape", "_sources")

    def __init__(self, plan: pl.FunctionScan, builder: Builder) -> None:
        call = plan.call
        if isinstance(call, ex.RowsFrom):
            self._sources = [_Source(each, width, builder) for each, width in zip(call.calls, call.widths, strict=True)]
        else:
            self._sources = [_Source(call, plan.column_count, builder)]
        self._composite = len(self._sources) > 1 or self._sources[0].composite
        self._ordinality = plan.with_ordinality
        width = plan.column_count + (1 if plan.with_ordinality else 0)
        self._shape = batch_function(builder, plan.output, plan.filter, width)
        self.nullable = None

    def _values(self, ctx: ExecContext) -> Iterator[Datum]:
        if len(self._sources) == 1:
            return self._sources[0].values(ctx)
        return self._side_by_side(ctx)

    def _side_by_side(self, ctx: ExecContext) -> Iterator[Datum]:
        missing = [(None,) * source.width for source in self._sources]
        for parts in zip_longest(*(source.rows(ctx) for source in self._sources)):
            row: list[Datum] = []
            for part, nothing in zip(parts, missing, strict=True):
                row += nothing if part is None else part
            yield row

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """A thousand rows a batch, but few at first, and fewer where they are large."""
        values = self._values(ctx)
        shape = self._shape
        number = 1
        size = FIRST_ROWS
        while chunk := list(islice(values, size)):
            ctx.check()
            if not self._composite:
                rows: Batch = [(value,) for value in chunk]
            else:
                rows = [tuple(value) for value in chunk]
            if self._ordinality:
                rows = [(*row, number + index) for index, row in enumerate(rows)]
                number += len(rows)
            if shape is not None:
                rows = shape(ctx, rows)
            if rows:
                yield rows
                large = value_bytes(rows[-1]) * size > BATCH_BYTES
                size = max(size // 2, 1) if large else min(2 * size, BATCH_ROWS)
