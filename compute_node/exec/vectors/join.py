"""Hash joins of column batches: the inner side whole, its keys numbered; the outer side a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from compute_node.exec.vectors.expressions import Evaluate, Vectorizer, compiled_all
from compute_node.exec.vectors.keys import KEY_KINDS, JoinKeys, Numbers
from compute_node.exec.vectors.project import ColumnOutput, ColumnTest
from compute_node.exec.vectors.sort import sorted_rows
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, stacked
from compute_node.hub import HUB
from compute_node.sql import expressions as ex
from compute_node.types import oids

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import plan as pl
    from compute_node.work.account import Area

OUT_ROWS: Final = 16_384
"""Pairs that are looked at at once."""
ROW_BYTES: Final = 4 + 8 + 1
"""of an inner row beside its columns: the number of its key, its place, whether it was met"""
PLACES_BYTES: Final = 2 * 8
"""of a key: how many rows it has, and where they begin"""
JOIN_KINDS: Final = frozenset(("inner", "left", "right", "full", "semi", "anti"))


@dataclass(frozen=True, slots=True)
class KeySide:
    """One side's keys: how they are computed, their kinds and types; the kinds of the side's rows."""

    evaluate: Sequence[Evaluate]
    kinds: str
    types: Sequence[int]
    row_kinds: str


class ColumnJoin:
    """The keys, condition and output of a join, compiled for columns. ``kinds``: of the output."""

    __slots__ = ("_condition", "_kind", "_left", "_output", "_right", "inner_kinds", "kinds")

    def __init__(
        self, kind: str, left: KeySide, right: KeySide, condition: ColumnTest | None, output: ColumnOutput
    ) -> None:
        self._kind = kind
        self._left, self._right = left, right
        self._condition = condition
        self._output, self.kinds = output, output.kinds
        self.inner_kinds = right.row_kinds

    @classmethod
    def of(cls, plan: pl.HashJoin, builder: Builder, outer: str | None, inner: str) -> ColumnJoin | None:
        """None when a key, the condition or the output is not for columns."""
        if outer is None or plan.kind not in JOIN_KINDS or plan.null_aware:
            return None
        width = len(outer)
        inner_keys = [beside(key, 0, 0) for key in plan.inner_keys]
        kinds = _key_kinds(plan.outer_keys, inner_keys)
        if kinds is None:
            return None
        left = compiled_all(Vectorizer(builder, outer, True), plan.outer_keys)
        right = compiled_all(Vectorizer(builder, inner, True), inner_keys)
        output = ColumnOutput.of(builder, outer + inner, [beside(item, 0, width) for item in plan.output])
        test = None
        if plan.condition is not None:
            test = ColumnTest.of(builder, outer + inner, beside(plan.condition, 0, width))
        if left is None or right is None or output is None or (plan.condition is not None and test is None):
            return None
        types = [key.type for key in plan.outer_keys]
        return cls(
            plan.kind, KeySide(left, kinds, types, outer), KeySide(right, kinds, types, inner), test, output
        )  # fmt: skip

    def start(self) -> Inner:
        """The inner side, without rows."""
        return Inner(self._right)

    def joined(self, ctx: ExecContext, batch: ColumnBatch, inner: Inner) -> Iterator[ColumnBatch]:
        """The output for a batch of the outer side; what has no match on the inner side comes later, as ``unmatched``.
        ``Unsuited``, before anything is given, when the batch is for the row-wise code: its keys, and of semi and anti
        joins what rows after the first match would be asked."""
        numbers = inner.keys.find([key(batch, ctx).spread(batch.count) for key in self._left.evaluate])
        if self._kind not in ("semi", "anti"):
            return self._matches(ctx, batch, numbers, inner)
        if self._condition is None:
            met = inner.places.counts(numbers) > 0
        else:
            met = np.zeros(batch.count, np.bool_)
            batch = batch.narrow
            for outer_rows, inner_rows in inner.pairs(numbers):
                ctx.check()
                pairs = ColumnBatch.joined(len(outer_rows), (batch, outer_rows), (inner.batch, inner_rows))
                chosen = self._condition.chosen(pairs, ctx)
                met[outer_rows if chosen is None else outer_rows[chosen]] = True
        return self._alone(ctx, batch, np.flatnonzero(met if self._kind == "semi" else ~met))

    def _matches(self, ctx: ExecContext, batch: ColumnBatch, numbers: Numbers, inner: Inner) -> Iterator[ColumnBatch]:
        met = np.zeros(batch.count, np.bool_)
        batch = batch.narrow
        for outer_rows, inner_rows in inner.pairs(numbers):
            ctx.check()
            pairs = ColumnBatch.joined(len(outer_rows), (batch, outer_rows), (inner.batch, inner_rows))
            chosen = None if self._condition is None else self._condition.chosen_anyway(pairs, ctx)
            if chosen is not None:
                pairs, outer_rows, inner_rows = pairs.some(chosen), outer_rows[chosen], inner_rows[chosen]
            met[outer_rows] = True
            if self._kind in ("right", "full"):
                inner.mark(inner_rows)
            if pairs.count:
                yield self._output.shown(pairs, ctx)
        if self._kind in ("left", "full"):
            yield from self._alone(ctx, batch, np.flatnonzero(~met))

    def _alone(self, ctx: ExecContext, batch: ColumnBatch, rows: Ints) -> Iterator[ColumnBatch]:
        """Outer rows beside nothing."""
        if len(rows):
            nulls = ColumnBatch.of_nulls(1, self.inner_kinds)
            beside = (nulls, np.zeros(len(rows), np.int64))
            yield self._output.shown(ColumnBatch.joined(len(rows), (batch, rows), beside), ctx)

    def unmatched(self, ctx: ExecContext, inner: Inner) -> Iterator[ColumnBatch]:
        """The inner rows of right and full joins that no outer row met."""
        nulls = ColumnBatch.of_nulls(1, self._left.row_kinds)
        rows = inner.missed()
        for start in range(0, len(rows), OUT_ROWS):
            ctx.check()
            part = rows[start : start + OUT_ROWS]
            beside = (nulls, np.zeros(len(part), np.int64))
            yield self._output.shown(ColumnBatch.joined(len(part), beside, (inner.batch, part)), ctx)


class Places:
    """Places of rows in the order of their numbers; ``counts``: how many each number has."""

    __slots__ = ("_counts", "_starts")

    def __init__(self, counts: Ints) -> None:
        self._counts = counts
        self._starts = np.cumsum(counts) - counts

    def counts(self, numbers: Ints | Numbers) -> Ints:
        """How many places has each of these numbers; none below 0."""
        if not len(self._counts):
            return np.zeros(len(numbers), np.int64)
        return np.where(numbers >= 0, self._counts[np.maximum(numbers, 0)], 0)

    def pairs(self, numbers: Ints | Numbers) -> Iterator[tuple[Ints, Ints]]:
        """(rows of ``numbers``, places of the same number), rows in order, so many at a time."""
        counts = self.counts(numbers)
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for start in range(0, total, OUT_ROWS):
            pair = np.arange(start, min(start + OUT_ROWS, total))
            rows = np.searchsorted(ends, pair, side="right")
            yield rows, self._starts[numbers[rows]] + pair - (ends - counts)[rows]


class Inner:
    """The inner side: its rows, and which of them have a key."""

    __slots__ = ("_numbers", "_order", "_side", "batch", "batches", "keys", "met", "places")

    def __init__(self, side: KeySide) -> None:
        self._side = side
        self.keys = JoinKeys(side.kinds, side.types)
        self.batches: list[ColumnBatch] = []
        """what was added"""
        self.batch = ColumnBatch(0, ())
        """all rows, when no more come"""
        self.met = bytearray()
        """of right and full joins: 1 for each row that an outer row met"""
        self.places = Places(np.zeros(0, np.int64))
        """of the rows by their keys"""
        self._numbers: list[Numbers] = []
        self._order = np.zeros(0, np.int64)

    def add(self, batch: ColumnBatch, ctx: ExecContext) -> int:
        """Keep a batch; about how many bytes it takes, also when all are together. ``Unsuited``, and it is not kept,
        when it is not for columns."""
        before = self.keys.size_bytes, self.keys.count
        numbers = self.keys.add([key(batch, ctx).spread(batch.count) for key in self._side.evaluate])
        self._numbers.append(numbers)
        self.batches.append(batch)
        grown = self.keys.size_bytes - before[0] + PLACES_BYTES * (self.keys.count - before[1])
        return batch.size_bytes + ROW_BYTES * batch.count + grown

    def finish(self, area: Area) -> None:
        """No more rows come. ``area`` counts what was added, and what it takes to put that together."""
        batches, self.batches = self.batches, []
        whole = stacked(batches or [ColumnBatch.of_nulls(0, self._side.row_kinds)], area)
        self.batch = whole.narrow
        area.add(max(self.batch.size_bytes - whole.size_bytes, 0))
        self.batches = [self.batch]
        self.met = bytearray(self.batch.count)
        numbers, self._numbers = np.concatenate([np.zeros(0, np.int32), *self._numbers]), []
        without = int((numbers < 0).sum())
        HUB.pulse()
        self._order = sorted_rows([numbers])[without:]
        HUB.pulse()
        self.places = Places(np.bincount(numbers[numbers >= 0], minlength=self.keys.count))

    def mark(self, rows: Ints) -> None:
        """These rows have a match."""
        np.frombuffer(self.met, np.uint8)[rows] = 1

    def missed(self) -> Ints:
        """The rows that have none."""
        return np.flatnonzero(np.frombuffer(self.met, np.uint8) == 0)

    def pairs(self, numbers: Numbers) -> Iterator[tuple[Ints, Ints]]:
        """(outer rows, inner rows) that have the same key, outer rows in order, so many at a time."""
        for outer_rows, places in self.places.pairs(numbers):
            yield outer_rows, self._order[places]


def _key_kinds(outer: Sequence[ex.Expr], inner: Sequence[ex.Expr]) -> str | None:
    """The kinds of pairs of keys that are equal when their numbers are."""
    kinds = ""
    for a, b in zip(outer, inner, strict=True):
        kind = KINDS.get(a.type, "o")
        padded = oids.BPCHAR in (a.type, b.type) and a.type != b.type
        dates = oids.DATE in (a.type, b.type) and a.type != b.type
        if kind not in KEY_KINDS or KINDS.get(b.type) != kind or padded or dates:
            return None
        kinds += kind
    return kinds or None


def beside(node: ex.Expr, first: int, second: int) -> ex.Expr:
    """The expression over both sides in one row: columns of side 0 from ``first`` on, of side 1 from ``second``."""
    if isinstance(node, ex.Column):
        start = second if node.side else first
        return ex.Column(type=node.type, typmod=node.typmod, index=node.index + start)
    return ex.map_children(node, lambda child: beside(child, first, second))
