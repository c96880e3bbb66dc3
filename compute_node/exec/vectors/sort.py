"""Sorting by columns: keys as integers in the order of the values.

A rank is an int64 with the value's place in the order: of integers themselves, of floats by their bits, of what is
descending all bits turned over. NULLs have a flag of their own beside it. Texts have no rank, as their order is a
collation's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from aurora.datum import Row
from compute_node.exec.vectors.expressions import Evaluate, Vectorizer
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, Unsuited, Vector, concatenated, rescaled
from compute_node.hub import HUB
from compute_node.work.workers import run_in_thread

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex
    from compute_node.work.account import Area

RANKED: Final = frozenset("ifbn")
IN_THREAD_ROWS: Final = 20_000
"""So many are sorted in a thread: it takes milliseconds."""
OUT_ROWS: Final = 1000
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class ColumnSort:
    """The first keys of a sort that have ranks; ``is_whole``: all of them have."""

    __slots__ = ("_evaluate", "_keys", "is_whole")

    def __init__(self, evaluate: Sequence[Evaluate], keys: Sequence[ex.SortKey[ex.Expr]], is_whole: bool) -> None:
        self._evaluate, self._keys = evaluate, keys
        self.is_whole = is_whole

    @classmethod
    def of(cls, keys: Sequence[ex.SortKey[ex.Expr]], builder: Builder, kinds: str | None) -> ColumnSort | None:
        """None when the first key has no rank."""
        if kinds is None:
            return None
        vectorizer = Vectorizer(builder, kinds, True)
        found: list[Evaluate] = []
        for key in keys:
            evaluate = vectorizer.compile(key.expression)
            if evaluate is None or KINDS.get(key.expression.type) not in RANKED or key.type != key.expression.type:
                break
            found.append(evaluate)
        return cls(found, keys[: len(found)], len(found) == len(keys)) if found else None

    def keys(self, batch: ColumnBatch, ctx: ExecContext) -> list[Vector]:
        """The columns that are sorted by. ``Unsuited`` when they have no ranks."""
        found = [evaluate(batch, ctx).spread(batch.count) for evaluate in self._evaluate]
        if any(each.kind not in RANKED for each in found):
            raise Unsuited
        return found

    def least(self, limit: int) -> Least:
        """For the first ``limit`` rows."""
        return Least(self._keys[0], limit)

    def order(self, batches: Sequence[Sequence[Vector]]) -> Ints:
        """The rows of several batches in order; equal ones as they came. ``Unsuited`` when they are not comparable."""
        sorted_by: list[Ints] = []
        for place, key in enumerate(self._keys):
            column = concatenated([keys[place] for keys in batches])
            if column.kind not in RANKED:
                raise Unsuited
            rank = ranks(column, key.descending)
            if column.nulls is not None:
                sorted_by.append((column.nulls != key.nulls_first).astype(np.int64))
                rank = np.where(column.nulls, 0, rank)
            sorted_by.append(rank)
        # The last is the first to sort by.
        return sorted_rows(sorted_by[::-1])


def sorted_rows(arrays: list[Ints]) -> Ints:
    """Rows in the order of the last array, then the one before …; equal ones as they stand."""
    return _sorted(arrays) if len(arrays[0]) < IN_THREAD_ROWS else run_in_thread(_sorted, arrays)


def _sorted(arrays: list[Ints]) -> Ints:
    if len(arrays) == 1:
        return np.argsort(arrays[0], kind="stable")
    return np.lexsort(arrays)


def ranks(column: Vector, descending: bool) -> Ints:
    """The values' places in their order; of a NULL anything."""
    values = column.values
    if column.kind == "f":
        # Zeros are equal, and so are NaNs, which are above all.
        values = np.where(np.isnan(values), np.nan, values + 0.0)
        bits = np.ascontiguousarray(values).view(np.int64)
        rank = np.where(bits < 0, bits ^ _MOST, bits)
    else:
        rank = values.astype(np.int64, copy=False)
    found: Ints = ~rank if descending else rank
    return found


class Least:
    """Sifts rows that may be among the first ``limit`` by the first key of a sort."""

    __slots__ = ("_best", "_descending", "_limit", "_nulls_first", "_scale")

    def __init__(self, key: ex.SortKey[ex.Expr], limit: int) -> None:
        self._limit = limit
        self._descending, self._nulls_first = key.descending, key.nulls_first
        self._best: Ints = np.zeros(0, np.int64)
        self._scale = -1

    def sift(self, column: Vector) -> Ints:
        """The rows that may still be wanted. ``Unsuited`` when they are not comparable with those before."""
        if column.kind == "n":
            if self._scale < 0:
                self._scale = column.scale
            if column.scale > self._scale:
                raise Unsuited
            column = Vector("n", rescaled(column, self._scale), column.nulls, self._scale)
        rank = ranks(column, self._descending)
        if column.nulls is not None:
            rank = np.where(column.nulls, _LEAST if self._nulls_first else _MOST, rank)
        if len(self._best) >= self._limit:
            rows = np.flatnonzero(rank <= self._best.max())
        else:
            rows = np.arange(len(rank))
        together = np.concatenate([self._best, rank[rows]])
        if len(together) > self._limit:
            together = np.partition(together, self._limit - 1)[: self._limit]
            rows = rows[rank[rows] <= together.max()]
        self._best = together
        return rows


def sifted(ctx: ExecContext, sort: ColumnSort, source: Iterator[ColumnBatch], limit: int | None) -> Iterator[list[Row]]:
    """The rows of batches; with ``limit`` only those that may be among the first of them."""
    least = None if limit is None else sort.least(limit)
    for batch in source:
        try:
            rows = None if least is None else least.sift(sort.keys(batch, ctx)[0])
        except Unsuited:
            rows = None
        some = batch if rows is None else batch.some(rows)
        if some.count:
            yield some.rows()


class Kept:
    """All rows of a sort, by column."""

    __slots__ = ("_batches", "_keys", "_order", "_sort")

    def __init__(self, sort: ColumnSort) -> None:
        self._sort = sort
        self._batches: list[ColumnBatch] = []
        self._keys: list[list[Vector]] = []
        self._order: Ints = np.zeros(0, np.int64)

    def rest(self, ctx: ExecContext, source: Iterator[ColumnBatch], area: Area) -> Iterator[list[Row]] | None:
        """Keep and sort the batches; all of their rows, as they came, when that is not for columns."""
        for batch in source:
            ctx.check()
            self._batches.append(batch)
            try:
                self._keys.append(self._sort.keys(batch, ctx))
            except Unsuited:
                return self._as_they_came(source)
            if area.add(batch.size_bytes + sum(key.size_bytes for key in self._keys[-1])):
                return self._as_they_came(source)
        try:
            if self._keys:
                self._order = self._sort.order(self._keys)
        except Unsuited:
            return self._as_they_came(source)
        return None

    def _as_they_came(self, source: Iterator[ColumnBatch]) -> Iterator[list[Row]]:
        return (batch.rows() for batch in chain(self._batches, source))

    def rows(self) -> Iterator[list[Row]]:
        """The rows in order, in parts."""
        if not self._batches:
            return
        width = self._batches[0].width
        columns = []
        for index in range(width):
            HUB.pulse()
            columns.append(concatenated([batch.column(index).spread(batch.count) for batch in self._batches]))
        whole = ColumnBatch(len(self._order), columns)
        self._batches = [whole]
        for start in range(0, len(self._order), OUT_ROWS):
            yield whole.some(self._order[start : start + OUT_ROWS]).rows()
