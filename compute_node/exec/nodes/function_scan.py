"""Functions in FROM: the rows of set-returning ones, one row of any other; several in step, the shorter padded with
NULLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from aurora.errors import DatatypeMismatch
from compute_node.exec.compile.rows import batch_function, value_function
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.set_functions import set_function
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.sql.analyze.typenames import format_type
from compute_node.types.oids import RECORD
from compute_node.work.account import value_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 1000
FIRST_ROWS = 32
BATCH_BYTES = 4 << 20
_MISMATCH = "function return row and query-specified return row do not match"


class _Source:
    """One function: its rows as tuples of ``count`` columns."""

    __slots__ = ("_call", "_catalog", "_composite", "_kept", "_nulls", "_returns_set", "_right", "_types")

    def __init__(self, call: ex.Expr, types: Sequence[int], builder: Builder) -> None:
        function = builder.function(call.function) if isinstance(call, ex.Call) else None
        self._returns_set = function is not None and function.returns_set
        self._kept = self._returns_set and function is not None and function.routine is not None
        is_row = call.type == RECORD or builder.type(call.type).root.kind == "c"
        self._composite = len(types) != 1 or is_row
        self._types = tuple(types) if call.type == RECORD else ()
        self._nulls = (None,) * len(types)
        self._catalog = builder.catalog
        self._right: Any = None
        if self._returns_set and isinstance(call, ex.Call):
            self._call: Callable[..., Datum] = set_function(builder, call, None)
        else:
            self._call = value_function(builder, call)

    def rows(self, ctx: ExecContext) -> Iterator[Row]:
        """Its rows. What a function in SQL gives is there as a whole before the first row is seen, as in
        PostgreSQL: it may do something, too."""
        values = iter(self._call(ctx)) if self._returns_set else iter((self._call(ctx),))
        rows = map(self._row, values) if self._composite else ((value,) for value in values)
        if not self._kept:
            yield from rows
            return
        store = ctx.tuplestore()
        while batch := list(islice(rows, BATCH_ROWS)):
            ctx.check()
            store.append(batch)
        for batch in store.batches():
            yield from batch

    def _row(self, value: Datum) -> Row:
        if value is None:
            return self._nulls
        if self._types:
            types = getattr(value, "types", None)
            if types is not self._right or types is None:
                self._check(value, types)
        return tuple(value)

    def _check(self, value: Datum, types: Any) -> None:
        """42804 when the columns are not those that the query says."""
        wanted = self._types
        if len(value) != len(wanted):
            raise DatatypeMismatch(
                _MISMATCH,
                detail=f"Returned row contains {len(value)} attribute{'s' if len(value) != 1 else ''}, "
                f"but query expects {len(wanted)}.",
            )
        for number, (have, kind) in enumerate(zip(types or (), wanted, strict=False), 1):
            if have.oid != kind:
                raise DatatypeMismatch(
                    _MISMATCH,
                    detail=f"Returned type {format_type(self._catalog, have.oid)} at ordinal position {number}, "
                    f"but query expects {format_type(self._catalog, kind)}.",
                )
        self._right = types


@executes(pl.FunctionScan)
class FunctionScanNode(Node):
    """The scan row is the functions' columns, then the ordinality."""

    __slots__ = ("_counts", "_ordinality", "_shape", "_sources")

    def __init__(self, plan: pl.FunctionScan, builder: Builder) -> None:
        call = plan.call
        calls = call.calls if isinstance(call, ex.RowsFrom) else (call,)
        self._counts = call.widths if isinstance(call, ex.RowsFrom) else (plan.column_count,)
        types = iter(plan.column_types or (call.type,) * plan.column_count)
        self._sources = [
            _Source(each, tuple(islice(types, count)), builder) for each, count in zip(calls, self._counts, strict=True)
        ]
        self._ordinality = plan.with_ordinality
        width = plan.column_count + (1 if plan.with_ordinality else 0)
        self._shape = batch_function(builder, plan.output, plan.filter, width)
        self.nullable = None

    def _rows(self, ctx: ExecContext) -> Iterator[Row]:
        if len(self._sources) == 1:
            return self._sources[0].rows(ctx)
        return self._in_step(ctx)

    def _in_step(self, ctx: ExecContext) -> Iterator[Row]:
        missing = [(None,) * count for count in self._counts]
        for parts in zip_longest(*(source.rows(ctx) for source in self._sources)):
            row: Row = ()
            for part, nulls in zip(parts, missing, strict=True):
                row += nulls if part is None else part
            yield row

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """A thousand rows a batch, but few at first, and fewer where they are large."""
        found = self._rows(ctx)
        shape = self._shape
        number = 1
        size = FIRST_ROWS
        while rows := list(islice(found, size)):
            ctx.check()
            if self._ordinality:
                rows = [(*row, number + index) for index, row in enumerate(rows)]
                number += len(rows)
            if shape is not None:
                rows = shape(ctx, rows)
            if rows:
                yield rows
                large = value_bytes(rows[-1]) * size > BATCH_BYTES
                size = max(size // 2, 1) if large else min(2 * size, BATCH_ROWS)
