"""A function in FROM: the rows of a set-returning one, one row of any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
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


@executes(pl.FunctionScan)
class FunctionScanNode(Node):
    """The scan row is the function's columns, then the ordinality."""

    __slots__ = ("_call", "_columns", "_composite", "_ordinality", "_returns_set", "_shape")

    def __init__(self, plan: pl.FunctionScan, builder: Builder) -> None:
        call = plan.call
        function = builder.function(call.function) if isinstance(call, ex.Call) else None
        self._returns_set = function is not None and function.returns_set
        kind = builder.type(call.type).root
        self._composite = kind.kind == "c" or kind.oid == RECORD or plan.column_count > 1
        self._columns = plan.column_count
        self._ordinality = plan.with_ordinality
        if self._returns_set and isinstance(call, ex.Call):
            self._call: Callable[..., Datum] = set_function(builder, call, None)
        else:
            self._call = value_function(builder, call)
        width = plan.column_count + (1 if plan.with_ordinality else 0)
        self._shape = batch_function(builder, plan.output, plan.filter, width)
        self.nullable = None

    def _values(self, ctx: ExecContext) -> Iterator[Datum]:
        if self._returns_set:
            yield from self._call(ctx)
        else:
            yield self._call(ctx)

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
                rows = [(None,) * self._columns if value is None else tuple(value) for value in chunk]
            if self._ordinality:
                rows = [(*row, number + index) for index, row in enumerate(rows)]
                number += len(rows)
            if shape is not None:
                rows = shape(ctx, rows)
            if rows:
                yield rows
                large = value_bytes(rows[-1]) * size > BATCH_BYTES
                size = max(size // 2, 1) if large else min(2 * size, BATCH_ROWS)
