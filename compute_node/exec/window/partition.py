"""A partition's rows, by number: a list while they fit into work_mem, then a file that is read chunk by chunk."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, overload

from aurora.datum import Datum, Row
from compute_node.work.account import batch_bytes, column_bytes

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.work.account import Area
    from compute_node.work.spill import Tuplestore

CHUNK_ROWS = 1000
KEPT_CHUNKS = 8
"""of a file: frames' two ends, and what looks back and ahead"""

Batch = list[Row]
Evaluate = Callable[["ExecContext", Batch], list[Datum]]
"""rows → the value of one expression for each"""


class StoredValues(Sequence[Datum]):
    """One value a row of a partition in a file, computed as it is asked for."""

    def __init__(self, count: int, load: Callable[[int], list[Datum]]) -> None:
        self._count, self._load = count, load
        self._chunks: OrderedDict[int, list[Datum]] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    def _chunk(self, number: int) -> list[Datum]:
        found = self._chunks.get(number)
        if found is None:
            found = self._chunks[number] = self._load(number)
            if len(self._chunks) > KEPT_CHUNKS:
                self._chunks.popitem(last=False)
        return found

    @overload
    def __getitem__(self, index: int) -> Datum: ...
    @overload
    def __getitem__(self, index: slice) -> list[Datum]: ...

    def __getitem__(self, index: int | slice) -> Datum:
        """By number from 0; slices go forward, by one."""
        if isinstance(index, int):
            number, place = divmod(index, CHUNK_ROWS)
            return self._chunk(number)[place]
        start, stop, _ = index.indices(self._count)
        out: list[Datum] = []
        while start < stop:
            number, place = divmod(start, CHUNK_ROWS)
            part = self._chunk(number)[place : place + stop - start]
            out += part
            start += len(part)
        return out


class Partition:
    """``add`` its rows and where its groups of peers begin; ``close`` it to read them."""

    def __init__(self, ctx: ExecContext, area: Area) -> None:
        self.ctx = ctx
        self._area = area
        self._rows: Batch = []
        self._store: Tuplestore | None = None
        self.count = 0
        self.groups = array("q")
        """numbers of the rows with which groups of peers begin; only of windows with ORDER BY"""
        self.shared: dict[object, Sequence[Datum]] = {}
        """values that several functions ask for, by what they are"""

    def add(self, rows: Batch, groups: Sequence[int]) -> None:
        """More rows; ``groups``: at which of them a group of peers begins."""
        if groups:
            count = self.count
            self.groups.extend([count + place for place in groups])
        self.count += len(rows)
        if self._store is not None:
            self._store.append(rows)
            return
        self._rows += rows
        if self._area.add(batch_bytes(rows)):
            self._store = self.ctx.tuplestore()
            self._store.append(self._rows)
            self._rows = []
            self._area.clear()

    def rows(self, start: int, stop: int) -> Batch:
        """Some of the rows."""
        if self._store is not None:
            return self._store.rows(start, stop)
        return self._rows if stop - start >= len(self._rows) else self._rows[start:stop]

    def values(self, evaluate: Evaluate) -> Sequence[Datum]:
        """One expression's values over all rows."""
        found = self.shared.get(evaluate)
        if found is None:
            if self._store is None:
                found = self._kept_values(evaluate)
            if found is None:
                found = StoredValues(self.count, lambda number: self._load(evaluate, number))
            self.shared[evaluate] = found
        return found

    def _kept_values(self, evaluate: Evaluate) -> list[Datum] | None:
        """All values as a list; None when that would take too much memory."""
        found: list[Datum] = []
        kept_bytes = 0
        for number in range(-(-self.count // CHUNK_ROWS)):
            if number:
                self.ctx.check()
            values = self._load(evaluate, number)
            found += values
            size = column_bytes(values)
            kept_bytes += size
            if self._area.add(size):
                self._area.take_back(kept_bytes)
                return None
        return found

    def by_group(self, start: int, stop: int, value: Callable[[int], Datum]) -> list[Datum]:
        """For each of some rows what ``value`` gives for the number of its group of peers."""
        group = self.group_of(start)
        out: list[Datum] = []
        while start < stop:
            end = min(self.group_start(group + 1), stop)
            out += [value(group)] * (end - start)
            start, group = end, group + 1
        return out

    def _load(self, evaluate: Evaluate, number: int) -> list[Datum]:
        start = number * CHUNK_ROWS
        return evaluate(self.ctx, self.rows(start, start + CHUNK_ROWS))

    def group_of(self, row: int) -> int:
        """The number of a row's group of peers."""
        return bisect_right(self.groups, row) - 1 if self.groups else 0

    def group_start(self, group: int) -> int:
        """The first row of a group; behind the last row for a group behind the last."""
        if group <= 0:
            return 0
        if not self.groups:
            return self.count
        return self.groups[group] if group < len(self.groups) else self.count

    def close(self) -> None:
        """Give memory and file back."""
        self._rows = []
        self.shared = {}
        if self._store is not None:
            self._store.close()
        self._area.clear()
