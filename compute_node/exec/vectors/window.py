"""Window functions over sorted column batches, whole partitions at a time: numbers, ranks, and sums that run to the
current row or to its last peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from aurora.datum import Row
from aurora.kernels import columns as kernel
from compute_node.exec.vectors.expressions import Evaluate, Vectorizer
from compute_node.exec.vectors.vector import (
    EXACT_FLOAT,
    KINDS,
    ColumnBatch,
    Flags,
    Ints,
    Unsuited,
    Vector,
    stacked,
)
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.types.oids import BPCHAR

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex
    from compute_node.sql import plan as pl

PARTITION_ROWS_MAX: Final = 50_000
"""A longer partition goes row by row, as it comes."""
_SUMS: Final = frozenset((2107, 2108, 2109, 2114))
_COUNTS: Final = frozenset((2803, 2147))

Values: TypeAlias = "Callable[[Ends, Vector | None], Vector]"


class Ends:
    """Where partitions and groups of peers begin in sorted rows, and where each row's frame ends."""

    __slots__ = ("begins", "first", "group", "last", "rows")

    def __init__(self, begins: Flags, groups: Flags, by_row: bool) -> None:
        self.rows = np.arange(len(begins))
        self.begins = begins
        self.first = np.maximum.accumulate(np.where(begins, self.rows, 0))
        """of each row: its partition's first row"""
        self.group = np.maximum.accumulate(np.where(groups, self.rows, 0))
        """its group's first row"""
        ends = np.append(np.flatnonzero(groups)[1:], len(begins)) - 1
        self.last = self.rows if by_row else ends[np.cumsum(groups) - 1]
        """the last row of its frame"""


def _row_number(ends: Ends, argument: Vector | None) -> Vector:
    return Vector("i", ends.rows - ends.first + 1)


def _rank(ends: Ends, argument: Vector | None) -> Vector:
    return Vector("i", ends.group - ends.first + 1)


def _dense_rank(ends: Ends, argument: Vector | None) -> Vector:
    number = np.cumsum(ends.group == ends.rows)
    return Vector("i", number - number[ends.first] + 1)


def _running(ends: Ends, values: Ints) -> Ints:
    """Sums of the frames. They wrap around like the sums before their partitions, so the differences are right."""
    sums = np.cumsum(values)
    return sums[ends.last] - sums[ends.first] + values[ends.first]


def _count(ends: Ends, argument: Vector | None) -> Vector:
    if argument is None:
        return Vector("i", ends.last - ends.first + 1)
    known = np.ones(len(ends.rows), np.int64)
    if argument.kind == "o":
        known = np.array([value is not None for value in argument.values], np.int64)
    elif argument.nulls is not None:
        known = (~argument.nulls).astype(np.int64)
    return Vector("i", _running(ends, known))


def _sum(kind: str) -> Values:
    def compute(ends: Ends, argument: Vector | None) -> Vector:
        if argument is None or argument.kind not in "in" or argument.scales is not None:
            raise Unsuited
        if len(argument) and np.abs(argument.values * 1.0).sum() >= EXACT_FLOAT:
            raise Unsuited
        nulls = None
        if argument.nulls is not None:
            nulls = _running(ends, (~argument.nulls).astype(np.int64)) == 0
            nulls = nulls if nulls.any() else None
        values = argument.values if argument.nulls is None else np.where(argument.nulls, 0, argument.values)
        return Vector(kind, _running(ends, values), nulls, argument.scale)

    return compute


def _call(call: ex.WindowCall, builder: Builder, running: bool) -> Values | None:
    """How a call runs by columns; None when it does not."""
    if call.filter is not None:
        return None
    function = builder.function(call.function)
    if function.oid >= FIRST_NORMAL_OID:
        return None
    if function.kind == "w":
        return {"row_number": _row_number, "rank": _rank, "dense_rank": _dense_rank}.get(function.name)
    if not running:
        return None
    if call.function in _COUNTS:
        return _count
    return _sum(KINDS[call.type]) if call.function in _SUMS else None


class ColumnWindow:
    """The keys and calls of a window, compiled for columns."""

    __slots__ = ("_arguments", "_by_row", "_calls", "_padded", "_partition", "_peers", "kinds")

    def __init__(
        self,
        keys: tuple[Sequence[Evaluate], Sequence[Evaluate]],
        padded: tuple[Sequence[bool], Sequence[bool]],
        calls: Sequence[Values],
        arguments: Sequence[Evaluate | None],
        by_row: bool,
        kinds: str,
    ) -> None:
        self._partition, self._peers = keys
        self._padded = padded
        """of which keys blanks at the end do not count"""
        self._calls, self._arguments, self._by_row = calls, arguments, by_row
        self.kinds = kinds
        """of the child's columns and the calls' values"""

    @classmethod
    def of(cls, plan: pl.WindowAgg, builder: Builder, kinds: str | None) -> ColumnWindow | None:
        """None when a key or a call is not for columns."""
        if kinds is None or not plan.partition:
            return None
        frame = plan.frame
        running = frame.start == "unbounded preceding" and frame.end == "current row" and not frame.exclude
        vectorizer = Vectorizer(builder, kinds, True)
        partition = [vectorizer.compile(key) for key in plan.partition]
        peers = [vectorizer.compile(key) for key in plan.peers]
        calls = [_call(call, builder, running) for call in plan.calls]
        arguments = [vectorizer.compile(call.arguments[0]) if call.arguments else None for call in plan.calls]
        if None in partition or None in peers or None in calls:
            return None
        if any(call.arguments and found is None for call, found in zip(plan.calls, arguments, strict=True)):
            return None
        if any(KINDS.get(key.type, "o") == "o" for key in (*plan.partition, *plan.peers)):
            return None
        return cls(
            ([each for each in partition if each], [each for each in peers if each]),
            ([key.type == BPCHAR for key in plan.partition], [key.type == BPCHAR for key in plan.peers]),
            [each for each in calls if each],
            arguments,
            frame.mode == "rows",
            kinds + "".join(KINDS.get(call.type, "o") for call in plan.calls),
        )

    def start(self) -> Run:
        """A run, without rows."""
        return Run(self)

    def begins(self, batch: ColumnBatch, ctx: ExecContext) -> Flags:
        """Where a partition begins. ``Unsuited`` when that is for the row-wise code."""
        return _changes(self._partition, self._padded[0], batch, ctx)

    def computed(self, batch: ColumnBatch, begins: Flags, ctx: ExecContext) -> ColumnBatch:
        """Whole partitions with the calls' values."""
        groups = begins
        if self._peers:
            groups = begins | _changes(self._peers, self._padded[1], batch, ctx)
        ends = Ends(begins, groups, self._by_row)
        values = []
        for call, argument in zip(self._calls, self._arguments, strict=True):
            values.append(call(ends, None if argument is None else argument(batch, ctx).spread(batch.count)))
        width = len(self.kinds) - len(values)
        return ColumnBatch(batch.count, [*(batch.column(index).spread(batch.count) for index in range(width)), *values])


class Run:
    """One run: the rows of the last partition, which may go on, wait."""

    __slots__ = ("_held", "_window")

    def __init__(self, window: ColumnWindow) -> None:
        self._window = window
        self._held: list[ColumnBatch] = []

    def partitions(self, ctx: ExecContext, source: Iterator[ColumnBatch]) -> Iterator[ColumnBatch]:
        """The child's rows with the calls' values, as far as that goes by columns; then ``rest`` has the others."""
        area = ctx.area()
        for batch in source:
            self._held.append(batch)
            area.clear()
            if area.add(sum(each.size_bytes for each in self._held)) and len(self._held) > 1:
                raise Unsuited
            whole = self._together()
            begins = self._window.begins(whole, ctx)
            last = int(np.flatnonzero(begins)[-1])
            if last:
                yield self._window.computed(whole.some(np.arange(last)), begins[:last], ctx)
                self._held = [whole.some(np.arange(last, whole.count))]
            if whole.count - last > PARTITION_ROWS_MAX:
                raise Unsuited
        if self._held:
            whole = self._together()
            yield self._window.computed(whole, self._window.begins(whole, ctx), ctx)
            self._held = []

    def rest(self, source: Iterator[ColumnBatch]) -> Iterator[list[Row]]:
        """The rows that were not given: whole partitions."""
        return (batch.rows() for batch in chain(self._held, source))

    def _together(self) -> ColumnBatch:
        if len(self._held) > 1:
            self._held = [stacked(self._held)]
        return self._held[0]


def _changes(keys: Sequence[Evaluate], padded: Sequence[bool], batch: ColumnBatch, ctx: ExecContext) -> Flags:
    """Where a key is another than that of the row before; the first row has none before it."""
    found = np.zeros(batch.count, np.bool_)
    found[:1] = True
    if batch.count < 2:
        return found
    for evaluate, is_padded in zip(keys, padded, strict=True):
        key = evaluate(batch, ctx).spread(batch.count)
        if key.kind == "o":
            raise Unsuited
        if key.kind == "s":
            other = ~kernel.pairwise_equal(key.values, key.offsets[1:], key.values, key.offsets[:-1], is_padded)
        else:
            other = key.values[1:] != key.values[:-1]
            if key.kind == "f":
                other &= ~(np.isnan(key.values[1:]) & np.isnan(key.values[:-1]))
        if key.nulls is not None:
            nulls = key.nulls
            other = np.where(nulls[1:] | nulls[:-1], nulls[1:] != nulls[:-1], other)
        found[1:] |= other
    return found
