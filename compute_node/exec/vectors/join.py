"""Hash joins of column batches: the inner side whole, its keys numbered; the outer side a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from compute_node.exec.vectors.expressions import Evaluate, Filter, Vectorizer, filter_of
from compute_node.exec.vectors.keys import KEY_KINDS, JoinKeys, Numbers
from compute_node.exec.vectors.project import Rowwise, output_kinds
from compute_node.exec.vectors.sort import sorted_rows
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, Unsuited, Vector, concatenated
from compute_node.hub import HUB
from compute_node.sql import expressions as ex
from compute_node.types import oids

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import plan as pl

Output: TypeAlias = "tuple[Sequence[Evaluate], str]"
OUT_ROWS: Final = 16_384
"""Pairs that are looked at at once."""
JOIN_KINDS: Final = frozenset(("inner", "left", "right", "full", "semi", "anti"))


@dataclass(frozen=True, slots=True)
class KeySide:
    """One side's keys: how they are computed, their kinds and types; the kinds of the side's rows."""

    evaluate: Sequence[Evaluate]
    kinds: str
    types: Sequence[int]
    row_kinds: str


class ColumnJoin:
    """The keys, condition and output of a join, compiled for columns."""

    __slots__ = ("_condition", "_kind", "_left", "_output", "_right", "_rowwise", "inner_kinds", "kinds")

    def __init__(
        self, kind: str, left: KeySide, right: KeySide, condition: Filter | None, output: Output, rowwise: Rowwise
    ) -> None:
        self._kind = kind
        self._left, self._right = left, right
        self._condition = condition
        self._output, self.kinds = output
        """``kinds``: of the output"""
        self._rowwise = rowwise
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
        condition = None if plan.condition is None else beside(plan.condition, 0, width)
        shown = [beside(item, 0, width) for item in plan.output]
        both = Vectorizer(builder, outer + inner, True)
        left = _compiled(Vectorizer(builder, outer, True), plan.outer_keys)
        right = _compiled(Vectorizer(builder, inner, True), inner_keys)
        test = None if condition is None else filter_of(both, condition)
        output = _compiled(both, shown)
        if left is None or right is None or output is None or (condition is not None and test is None):
            return None
        known = outer + inner
        types = [key.type for key in plan.outer_keys]
        return cls(
            plan.kind,
            KeySide(left, kinds, types, outer),
            KeySide(right, kinds, types, inner),
            test,
            (output, output_kinds(shown, known)),
            Rowwise(builder, condition, shown, len(known)),
        )

    def start(self) -> Inner:
        """The inner side, without rows."""
        return Inner(self._right)

    def found(self, ctx: ExecContext, batch: ColumnBatch, inner: Inner) -> Numbers:
        """The numbers of the outer rows' keys. ``Unsuited`` when they are for the row-wise code."""
        return inner.keys.find([key(batch, ctx).spread(batch.count) for key in self._left.evaluate])

    def matches(self, ctx: ExecContext, batch: ColumnBatch, numbers: Numbers, inner: Inner) -> Iterator[ColumnBatch]:
        """The output for a batch of the outer side, whose keys have these numbers; what has no match on the inner side
        comes later, as ``unmatched``."""
        if self._condition is None and self._kind in ("semi", "anti"):
            met = inner.counts(numbers) > 0
        else:
            met = np.zeros(batch.count, np.bool_)
            batch = ColumnBatch(batch.count, [batch.column(index).narrow for index in range(batch.width)])
            for outer_rows, inner_rows in inner.pairs(numbers):
                ctx.check()
                pairs = ColumnBatch.joined(len(outer_rows), (batch, outer_rows), (inner.batch, inner_rows))
                chosen = self._chosen(ctx, pairs)
                if chosen is not None:
                    pairs, outer_rows = pairs.some(chosen), outer_rows[chosen]
                met[outer_rows] = True
                if self._kind in ("right", "full"):
                    inner.mark(inner_rows if chosen is None else inner_rows[chosen])
                if pairs.count and self._kind not in ("semi", "anti"):
                    yield self._shown(ctx, pairs)
        if self._kind in ("inner", "right"):
            return
        rows = np.flatnonzero(met if self._kind == "semi" else ~met)
        if len(rows):
            nulls = ColumnBatch.of_nulls(1, self.inner_kinds)
            beside = (nulls, np.zeros(len(rows), np.int64))
            yield self._shown(ctx, ColumnBatch.joined(len(rows), (batch, rows), beside))

    def unmatched(self, ctx: ExecContext, inner: Inner) -> Iterator[ColumnBatch]:
        """The inner rows of right and full joins that no outer row met."""
        nulls = ColumnBatch.of_nulls(1, self._left.row_kinds)
        rows = inner.missed()
        for start in range(0, len(rows), OUT_ROWS):
            ctx.check()
            part = rows[start : start + OUT_ROWS]
            beside = (nulls, np.zeros(len(part), np.int64))
            yield self._shown(ctx, ColumnBatch.joined(len(part), beside, (inner.batch, part)))

    def _chosen(self, ctx: ExecContext, pairs: ColumnBatch) -> Ints | None:
        if self._condition is None:
            return None
        try:
            return self._condition.chosen(pairs, ctx)
        except Unsuited:
            return self._rowwise.chosen(ctx, pairs)

    def _shown(self, ctx: ExecContext, pairs: ColumnBatch) -> ColumnBatch:
        try:
            return ColumnBatch(pairs.count, [output(pairs, ctx) for output in self._output])
        except Unsuited:
            return ColumnBatch.of_rows(self._rowwise.shown(ctx, pairs), len(self.kinds))


class Inner:
    """The inner side: its rows, and which of them have a key."""

    __slots__ = ("_counts", "_numbers", "_order", "_side", "_starts", "batch", "batches", "keys", "met")

    def __init__(self, side: KeySide) -> None:
        self._side = side
        self.keys = JoinKeys(side.kinds, side.types)
        self.batches: list[ColumnBatch] = []
        """what was added"""
        self.batch = ColumnBatch(0, ())
        """all rows, when no more come"""
        self.met = bytearray()
        """of right and full joins: 1 for each row that an outer row met"""
        self._numbers: list[Numbers] = []
        self._counts = self._starts = self._order = np.zeros(0, np.int64)

    def add(self, batch: ColumnBatch, ctx: ExecContext) -> int:
        """Keep a batch; about how many bytes it takes. ``Unsuited``, and it is not kept, when it is not for columns."""
        before = self.keys.size_bytes
        numbers = self.keys.add([key(batch, ctx).spread(batch.count) for key in self._side.evaluate])
        self._numbers.append(numbers)
        self.batches.append(batch)
        return batch.size_bytes + 4 * batch.count + self.keys.size_bytes - before

    def finish(self) -> None:
        """No more rows come."""
        count = sum(batch.count for batch in self.batches)
        columns: list[Vector] = []
        for index in range(len(self._side.row_kinds)):
            HUB.pulse()
            parts = [batch.column(index).spread(batch.count) for batch in self.batches]
            whole = concatenated(parts) if parts else ColumnBatch.of_nulls(0, self._side.row_kinds).column(index)
            columns.append(whole.narrow)
        self.batch = ColumnBatch(count, columns)
        self.batches = [self.batch]
        self.met = bytearray(count)
        numbers = np.concatenate([np.zeros(0, np.int32), *self._numbers])
        without = int((numbers < 0).sum())
        HUB.pulse()
        self._order = sorted_rows([numbers])[without:]
        HUB.pulse()
        self._counts = np.bincount(numbers[numbers >= 0], minlength=self.keys.count)
        self._starts = np.cumsum(self._counts) - self._counts

    def mark(self, rows: Ints) -> None:
        """These rows have a match."""
        np.frombuffer(self.met, np.uint8)[rows] = 1

    def missed(self) -> Ints:
        """The rows that have none."""
        return np.flatnonzero(np.frombuffer(self.met, np.uint8) == 0)

    def counts(self, numbers: Numbers) -> Ints:
        """How many inner rows has each key; none where there is no number."""
        if not len(self._counts):
            return np.zeros(len(numbers), np.int64)
        return np.where(numbers >= 0, self._counts[np.maximum(numbers, 0)], 0)

    def pairs(self, numbers: Numbers) -> Iterator[tuple[Ints, Ints]]:
        """(outer rows, inner rows) that have the same key, outer rows in order, so many at a time."""
        counts = self.counts(numbers)
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for start in range(0, total, OUT_ROWS):
            pair = np.arange(start, min(start + OUT_ROWS, total))
            outer = np.searchsorted(ends, pair, side="right")
            within = pair - (ends - counts)[outer]
            yield outer, self._order[self._starts[numbers[outer]] + within]


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


def _compiled(vectorizer: Vectorizer, nodes: Sequence[ex.Expr]) -> list[Evaluate] | None:
    found = [vectorizer.compile(node) for node in nodes]
    return [each for each in found if each is not None] if None not in found else None


def beside(node: ex.Expr, first: int, second: int) -> ex.Expr:
    """The expression over both sides in one row: columns of side 0 from ``first`` on, of side 1 from ``second``."""
    if isinstance(node, ex.Column):
        start = second if node.side else first
        return ex.Column(type=node.type, typmod=node.typmod, index=node.index + start)
    return ex.map_children(node, lambda child: beside(child, first, second))
