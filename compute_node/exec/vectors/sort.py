"""Sorting by columns: keys as integers in the order of the values.

A rank is an int64 with the value's place in the order: of integers themselves, of floats by their bits, of what is
descending all bits turned over. NULLs have a flag of their own beside it. Texts have no rank, as their order is a
collation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from aurora.datum import Datum, Row
from aurora.kernels.python.columns import BATCH_ROWS
from compute_node.exec.compile.rows import column_index
from compute_node.exec.vectors.expressions import Evaluate, Vectorizer
from compute_node.exec.vectors.files import packed_batches, unpacked_batch
from compute_node.exec.vectors.vector import (
    KINDS,
    ColumnBatch,
    Ints,
    Unsuited,
    Vector,
    concatenated,
    rescaled,
    stacked,
)
from compute_node.hub import HUB
from compute_node.work.sorting import FAN_IN_MIN, FEW_ROWS
from compute_node.work.spill import BLOCK_BYTES
from compute_node.work.ties import TIES_MAX, arranged
from compute_node.work.workers import run_in_thread

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex
    from compute_node.work.account import Area
    from compute_node.work.spill import TempFile

RANKED: Final = frozenset("ifbn")
IN_THREAD_ROWS: Final = 20_000
"""So many are sorted in a thread: it takes milliseconds."""
OUT_ROWS: Final = 1000
BLOCK_ROWS: Final = 2000
"""of a run in a file"""
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class ColumnSort:
    """The first keys of a sort that have ranks; ``is_whole``: all of them have."""

    __slots__ = ("_evaluate", "_keys", "is_whole", "places")

    def __init__(self, evaluate: Sequence[Evaluate], keys: Sequence[ex.SortKey[ex.Expr]], is_whole: bool) -> None:
        self._evaluate, self._keys = evaluate, keys
        self.places = [-1 if KINDS[key.expression.type] == "n" else column_index(key.expression) for key in keys]
        """of each key the column that it is; -1 for what is computed, and for numerics, which get one scale"""
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

    def bytes_of(self, keys: Sequence[Vector]) -> Datum:
        """The keys of each row as bytes in their order."""
        found = np.zeros((len(keys[0]), 9 * len(keys)), np.uint8)
        for place, (column, key) in enumerate(zip(keys, self._keys, strict=True)):
            rank = ranks(column, key.descending)
            if column.nulls is not None:
                rank = np.where(column.nulls, 0, rank)
                found[:, 9 * place] = column.nulls != key.nulls_first
            elif key.nulls_first:
                found[:, 9 * place] = 1
            turned = (np.ascontiguousarray(rank).view(np.uint64) ^ np.uint64(1 << 63)).astype(">u8")
            found[:, 9 * place + 1 : 9 * place + 9] = turned.view(np.uint8).reshape(-1, 8)
        return found.view(f"S{9 * len(keys)}").ravel()

    def order(self, batches: Sequence[Sequence[Vector]]) -> Ints:
        """The rows of several batches in order; equal ones as they came, or as
        ``ties`` has them. ``Unsuited`` when they are not comparable."""
        sorted_by: list[Ints] = []
        for place, key in enumerate(self._keys):
            HUB.pulse()
            column = concatenated([keys[place] for keys in batches])
            if column.kind not in RANKED:
                raise Unsuited
            rank = ranks(column, key.descending)
            if column.nulls is not None:
                sorted_by.append((column.nulls != key.nulls_first).astype(np.int64))
                rank = np.where(column.nulls, 0, rank)
            sorted_by.append(rank)
        # The last is the first to sort by.
        return _with_ties(sorted_rows(sorted_by[::-1]), sorted_by)


def _with_ties(order: Ints, sorted_by: Sequence[Ints]) -> Ints:
    """The order of few rows, with equal ones as the sort by rows leaves them."""
    count = len(order)
    if not FEW_ROWS <= count <= TIES_MAX:
        return order
    steps = np.zeros(count, np.int64)
    for keys in sorted_by:
        arranged_keys = keys[order]
        steps[1:] |= arranged_keys[1:] != arranged_keys[:-1]
    places = np.cumsum(steps)
    if places[-1] == count - 1:
        return order
    found = np.empty(count, np.int64)
    found[order] = places
    return np.array(arranged(found.tolist(), None), np.int64)


def sorted_rows(arrays: list[Datum]) -> Ints:
    """Rows in the order of the last array, then the one before …; equal ones as they stand. Arrays of numbers, or of
    bytes of one length."""
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
            if self._scale < 0 and not column.is_empty:
                self._scale = column.scale
            scale = max(self._scale, 0)
            if column.scale > scale:
                raise Unsuited
            column = Vector("n", rescaled(column, scale), column.nulls, scale)
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
    seen = 0
    for batch in source:
        seen += batch.count
        try:
            # Of few rows all are sorted, so that equal ones come as they do without columns.
            rows = None if least is None or seen <= TIES_MAX else least.sift(sort.keys(batch, ctx)[0])
        except Unsuited:
            rows = None
        some = batch if rows is None else batch.some(rows)
        if some.count:
            yield some.rows()


class Kept:
    """All rows of a sort, by column: in memory, and past its area in sorted runs in a file each."""

    __slots__ = ("_area", "_batches", "_keys", "_open_file", "_order", "_runs", "_scales", "_sort", "file_bytes")

    def __init__(self, sort: ColumnSort, area: Area, open_file: Callable[[], TempFile]) -> None:
        self._sort, self._area, self._open_file = sort, area, open_file
        self._batches: list[ColumnBatch] = []
        self._keys: list[list[Vector]] = []
        self._order: Ints = np.zeros(0, np.int64)
        self._scales: list[int] | None = None
        self._runs: list[TempFile] = []
        self.file_bytes = 0

    def rest(self, ctx: ExecContext, source: Iterator[ColumnBatch]) -> Iterator[list[Row]] | None:
        """Keep and sort the batches; all of their rows, as they came, when that is not for columns."""
        for batch in source:
            ctx.check()
            try:
                keys = self._comparable(self._sort.keys(batch, ctx))
                # A key that is a column of the batch takes nothing more.
                size = batch.size_bytes + sum(key.size_bytes for key in self._besides(keys))
                self._batches.append(batch)
                self._keys.append(keys)
                if self._area.add(size):
                    self._write_run()
            except Unsuited:
                more = [batch] if not self._batches or self._batches[-1] is not batch else []
                return self._as_they_came(chain(more, source))
        try:
            if self._runs and self._batches:
                self._write_run()
            elif self._keys:
                self._order = self._sort.order(self._keys)
        except Unsuited:
            return self._as_they_came(source)
        return None

    def _comparable(self, keys: list[Vector]) -> list[Vector]:
        """Numerics with as many decimals as those of the first batch."""
        scales = self._scales or [-1] * len(keys)
        found = []
        for place, key in enumerate(keys):
            if key.kind == "n":
                if scales[place] < 0 and not key.is_empty:
                    scales[place] = key.scale
                scale = max(scales[place], 0)
                if key.scale > scale:
                    raise Unsuited
                key = Vector("n", rescaled(key, scale), key.nulls, scale)
            found.append(key)
        self._scales = scales
        return found

    def _besides(self, keys: Sequence[Vector]) -> list[Vector]:
        """The keys that are no columns of the rows."""
        return [key for key, place in zip(keys, self._sort.places, strict=True) if place < 0]

    def _as_they_came(self, source: Iterator[ColumnBatch]) -> Iterator[list[Row]]:
        for run in self._runs:
            for block in run.batches():
                yield _unpacked(block)[0].rows()
        for batch in chain(self._batches, source):
            yield batch.rows()

    def _write_run(self) -> None:
        order = self._sort.order(self._keys)
        whole = stacked(self._batches)
        besides = zip(*map(self._besides, self._keys), strict=True)
        keys = ColumnBatch(whole.count, [concatenated(list(column)) for column in besides])
        run = self._open_file()
        self._runs.append(run)
        self._write(run, whole, keys, order)
        self._batches, self._keys = [], []
        self._area.clear()

    def _write(self, run: TempFile, rows: ColumnBatch, keys: ColumnBatch, order: Ints) -> None:
        """Append rows to a run, in blocks."""
        before = run.bytes
        each = max(1, min(BLOCK_ROWS, BLOCK_BYTES * len(order) // max(rows.size_bytes, 1)))
        for start in range(0, len(order), each):
            some = order[start : start + each]
            run.write(packed_batches(rows.some(some), keys.some(some)))
        self.file_bytes += run.bytes - before

    @property
    def peak_bytes(self) -> int:
        """The most memory that was taken."""
        return self._area.peak_bytes

    def ordered(self) -> Iterator[ColumnBatch]:
        """The rows in order, in batches."""
        if self._runs:
            self._join_runs()
            for rows, _, order in self._merged(self._runs):
                yield rows.some(order)
        elif self._batches:
            whole = stacked(self._batches)
            self._batches, self._keys = [whole], []
            for start in range(0, len(self._order), BATCH_ROWS):
                yield whole.some(self._order[start : start + BATCH_ROWS])

    def rows(self) -> Iterator[list[Row]]:
        """The rows in order, in parts."""
        for batch in self.ordered():
            for start in range(0, batch.count, OUT_ROWS):
                yield batch.some(np.arange(start, min(start + OUT_ROWS, batch.count))).rows()

    def _join_runs(self) -> None:
        """Several runs become one, until the blocks of all that are left have room in the area."""
        fan_in = max(FAN_IN_MIN, self._area.limit_bytes // BLOCK_BYTES)
        while len(self._runs) > fan_in:
            runs, self._runs = self._runs, []
            for start in range(0, len(runs), fan_in):
                run = self._open_file()
                for rows, keys, order in self._merged(runs[start : start + fan_in]):
                    self._write(run, rows, keys, order)
                self._runs.append(run)

    def _merged(self, runs: Sequence[TempFile]) -> Iterator[tuple[ColumnBatch, ColumnBatch, Ints]]:
        """From each run what is not after the least of their last keys at hand: rows and keys, and their order."""
        sources = [_Run(run, self._sort) for run in runs]
        while sources := [each for each in sources if each.refill()]:
            bound = min(each.order[-1] for each in sources)
            parts = [each.until(bound) for each in sources]
            rows, keys = (stacked([part[at] for part in parts]) for at in (0, 1))
            yield rows, keys, sorted_rows([np.concatenate([part[2] for part in parts])])


class _Run:
    """A sorted run that is read a block at a time."""

    __slots__ = ("_at", "_batch", "_file", "_keys", "_next", "_sort", "order")

    def __init__(self, file: TempFile, sort: ColumnSort) -> None:
        self._file, self._sort = file, sort
        self._next = self._at = 0
        self._batch = self._keys = ColumnBatch(0, ())
        self.order: Datum = np.zeros(0, "S1")
        """the keys of the block's rows as bytes, which are in the order of the rows"""

    def refill(self) -> bool:
        """Have a row at hand; False at the end."""
        if self._at < self._batch.count:
            return True
        if self._next == len(self._file):
            self._file.close()
            return False
        self._batch, self._keys = _unpacked(self._file.read(self._next))
        besides = iter(range(self._keys.width))
        self.order = self._sort.bytes_of(
            [
                self._keys.column(next(besides)) if place < 0 else self._batch.column(place)
                for place in self._sort.places
            ]
        )
        self._next += 1
        self._at = 0
        return True

    def until(self, bound: Datum) -> tuple[ColumnBatch, ColumnBatch, Datum]:
        """The rows that are not after ``bound``, which are then done, their keys, and these as bytes."""
        start, self._at = self._at, int(np.searchsorted(self.order, bound, side="right"))
        rows = np.arange(start, self._at)
        return self._batch.some(rows), self._keys.some(rows), self.order[start : self._at]


def _unpacked(block: list[Row]) -> tuple[ColumnBatch, ColumnBatch]:
    """Rows, and the keys beside them; one of the two has columns."""
    rows, keys = (unpacked_batch(part, 0) for part in block)
    # Without columns a batch has as many rows as there are keys.
    return rows if rows.width else ColumnBatch(keys.count, ()), keys
