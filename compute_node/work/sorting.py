"""Sorting any number of rows, with other work between and in bounded memory.

::

    rows ─► run of at most RUN_ROWS, sorted ─┬─ within work_mem ─► kept ─────────┐
                                             └─ past it: RUNS_MAX merged ─► file ┴─► merge ─► batches, in order

A merge takes from the runs whatever is not greater than the smallest of their last rows at hand, and sorts that
together: the runs' parts are in order, so this is a merge by Python's own sort. No step works on more than a bounded
number of rows. Equal rows stay in the order in which they came; of few rows, in the order that PostgreSQL leaves them
in (``ties``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import gt, lt
from typing import Protocol

from aurora.datum import Datum, Row
from compute_node.hub import HUB
from compute_node.work.account import Area, batch_bytes
from compute_node.work.spill import BLOCK_BYTES, TempFile, Writer
from compute_node.work.ties import TIES_MAX, arranged

RUN_ROWS = 10_000
MERGE_ROWS = 10_000
FAN_IN_MIN = 6
BATCH_ROWS = 1000
FEW_ROWS = 4
"""Fewer rows of one order are in every algorithm's."""

Batch = list[Datum]
"""Rows, or other things that the passes know"""
Pass = tuple[Callable[[Datum], Datum], bool]
"""(key function of a row, reverse): stable sorts to apply one after the other. A key function may have ``plain``:
what gives each part of the key, to sort by when no part of any row is None."""


def itself(item: Datum) -> Datum:
    """The key of what is its own key; ``sort_rows`` knows that it need not be called."""
    return item


def sort_rows(rows: Batch, passes: list[Pass]) -> None:
    """Sort in place, in one step: for few rows."""
    for key, reverse in passes:
        plain = getattr(key, "plain", ())
        if plain and not any(None in map(each, rows) for each in plain):
            # One sort by numbers or texts after the other is faster than one by tuples of them.
            for each in reversed(plain):
                rows.sort(key=each, reverse=reverse)
        else:
            rows.sort(key=None if key is itself else key, reverse=reverse)


def sort_few(rows: Batch, passes: list[Pass], least: int | None = None) -> None:
    """Sort at most ``TIES_MAX`` rows in place, equal ones in PostgreSQL's order."""
    count = len(rows)
    if count < FEW_ROWS:
        sort_rows(rows, passes)
        return
    ordered = list(rows)
    sort_rows(ordered, passes)
    key, reverse = passes[-1]
    firsts = ordered if key is itself else list(map(key, ordered))
    if all(map(gt if reverse else lt, firsts, firsts[1:])):
        # No two rows have the same first key: the usual case.
        rows[:] = ordered
        return
    order = list(range(count))
    columns = []
    for key, reverse in passes:
        keys = rows if key is itself else list(map(key, rows))
        order.sort(key=keys.__getitem__, reverse=reverse)
        columns.append(keys)
    ranks = [0] * count
    rank, last = 0, order[0]
    for at in order[1:]:
        for keys in columns:
            one, other = keys[last], keys[at]
            if one is not other and one != other and (one < other or other < one):
                rank += 1
                break
        ranks[at] = rank
        last = at
    if rank < count - 1:
        order = arranged(ranks, least)
    rows[:] = [rows[at] for at in order]


def sorted_batches(rows: Batch, passes: list[Pass]) -> Iterator[Batch]:
    """Rows that are in memory already, in order; the list is used up."""
    if len(rows) <= RUN_ROWS:
        if len(rows) <= TIES_MAX:
            sort_few(rows, passes)
        else:
            sort_rows(rows, passes)
        yield rows
        return
    runs = []
    while rows:
        run = rows[-RUN_ROWS:]
        del rows[-RUN_ROWS:]
        sort_rows(run, passes)
        runs.append(run)
        HUB.pulse()
    part = max(MERGE_ROWS // len(runs), 16)
    yield from merge([_KeptRun(run, part) for run in reversed(runs)], passes)


class _Source(Protocol):
    """A sorted run that is read in order. ``rows`` from ``at`` on are at hand."""

    rows: Batch
    at: int

    def refill(self) -> bool:
        """Have at least one row at hand; False at the end."""


class _KeptRun:
    """A run in memory, shown a part at a time so that a merge step stays small."""

    __slots__ = ("_next", "_part", "_run", "at", "rows")

    def __init__(self, run: Batch, part: int) -> None:
        self._run, self._part, self._next = run, part, 0
        self.rows: Batch = []
        self.at = 0

    def refill(self) -> bool:
        if self.at == len(self.rows):
            self.rows, self.at = self._run[self._next : self._next + self._part], 0
            self._next += self._part
        return bool(self.rows)


class _FileRun:
    """A run in a file, read block by block."""

    __slots__ = ("_file", "_next", "at", "rows")

    def __init__(self, file: TempFile) -> None:
        self._file, self._next = file, 0
        self.rows: Batch = []
        self.at = 0

    def refill(self) -> bool:
        if self.at == len(self.rows):
            if self._next == len(self._file):
                self.rows, self.at = [], 0
                self._file.close()
                return False
            self.rows, self.at = self._file.read(self._next), 0
            self._next += 1
        return True


class Sorter:
    """``add`` rows, then ``finish`` gives them in order. ``least``: how many of the first rows are wanted at most.
    Without ``tuples`` they are byte strings."""

    def __init__(
        self,
        passes: list[Pass],
        area: Area,
        open_file: Callable[[], TempFile],
        least: int | None = None,
        tuples: bool = True,
    ) -> None:
        self._tuples = tuples
        self._passes, self._area, self._open_file, self._least = passes, area, open_file, least
        self._pending: Batch = []
        self._runs: list[Batch] = []
        self._files: list[TempFile] = []
        self.file_bytes = 0
        """what was written to files for the sort"""
        self.rows = 0

    def add(self, batch: Batch, size: int | None = None) -> None:
        """More rows, or other things that the passes know, of ``size`` bytes; the list is not kept."""
        self.rows += len(batch)
        pending = self._pending
        pending += batch
        full = self._area.add(batch_bytes(batch) if size is None else size)
        least = self._least
        if least is not None and 2 * least + BATCH_ROWS <= RUN_ROWS:
            if len(pending) > 2 * least + (0 if full else BATCH_ROWS):
                self._cut(least)
                return
            if not full:
                return
        if len(pending) >= RUN_ROWS or full:
            self._end_run()
        if full and self._runs:
            self._spill()

    def add_run(self, batches: Iterator[Batch]) -> None:
        """More rows, in order already; they go to a file."""
        self._files.append(self._write(batches))
        self._area.clear()

    def _cut(self, least: int) -> None:
        """A short result: no more than about twice as many rows are kept."""
        pending = self._pending
        sort_rows(pending, self._passes)
        del pending[least:]
        self._area.clear()
        self._area.add(batch_bytes(pending))
        HUB.pulse()

    def _end_run(self) -> None:
        run, self._pending = self._pending, []
        if len(run) == self.rows <= TIES_MAX and self._tuples:
            sort_few(run, self._passes, self._least)
            self._runs.append(run)
            HUB.pulse()
            return
        for start in range(0, len(run), RUN_ROWS):
            part = run if len(run) <= RUN_ROWS else run[start : start + RUN_ROWS]
            sort_rows(part, self._passes)
            self._runs.append(part)
            HUB.pulse()

    def _spill(self) -> None:
        """What is kept becomes one run in a file."""
        runs, self._runs = self._runs, []
        self._files.append(self._write(merge([_KeptRun(run, self._part(len(runs))) for run in runs], self._passes)))
        self._area.clear()

    def _write(self, batches: Iterator[Batch]) -> TempFile:
        writer = Writer(self._open_file())
        for batch in batches:
            writer.add(batch, batch_bytes(batch) if self._tuples else sum(map(len, batch)))
        writer.flush()
        self.file_bytes += writer.file.bytes
        return writer.file

    @staticmethod
    def _part(runs: int) -> int:
        return max(MERGE_ROWS // max(runs, 1), 16)

    @property
    def method(self) -> str:
        """As PostgreSQL calls it."""
        if self.file_bytes:
            return "external merge"
        least = self._least
        return "top-N heapsort" if least is not None and self.rows > 2 * least else "quicksort"

    @property
    def peak_bytes(self) -> int:
        """The most that was kept in memory."""
        return self._area.peak_bytes

    def finish(self) -> Iterator[Batch]:
        """The rows in order, in batches of some thousand at most."""
        self._end_run()
        return self._finished()

    def _finished(self) -> Iterator[Batch]:
        fan_in = max(FAN_IN_MIN, self._area.limit_bytes // BLOCK_BYTES)
        while len(self._files) > fan_in:
            files, self._files = self._files, []
            for start in range(0, len(files), fan_in):
                group = [_FileRun(file) for file in files[start : start + fan_in]]
                self._files.append(self._write(merge(group, self._passes)))
        sources: list[_Source] = [_FileRun(file) for file in self._files]
        runs, self._runs = self._runs, []
        sources += [_KeptRun(run, self._part(len(runs))) for run in runs]
        try:
            yield from merge(sources, self._passes)
        finally:
            self._area.clear()


def merge(sources: Sequence[_Source], passes: list[Pass]) -> Iterator[Batch]:
    """The rows of sorted sources in order; of equal ones those of earlier sources first."""
    if len(sources) == 1:
        only = sources[0]
        while only.refill():
            yield only.rows[only.at :]
            only.at = len(only.rows)
        return
    order = passes[::-1]
    # The last row at hand of each source, by number: the smallest decides how far a step goes.
    sources = [source for source in sources if source.refill()]
    while sources:
        bounds = [(source.rows[-1], number) for number, source in enumerate(sources)]
        _sort_bounds(bounds, passes)
        bound, chosen = bounds[0]
        keys = [key(bound) for key, _ in order]
        taken: Batch = []
        ended = False
        for number, source in enumerate(sources):
            if number == chosen:
                end = len(source.rows)
            else:
                end = _split(source.rows, source.at, order, keys, number < chosen)
            if end > source.at:
                taken += source.rows[source.at : end]
                source.at = end
                if end == len(source.rows) and not source.refill():
                    ended = True
        sort_rows(taken, passes)
        HUB.pulse()
        yield taken
        if ended:
            sources = [source for source in sources if source.rows]


def _sort_bounds(bounds: list[tuple[Row, int]], passes: list[Pass]) -> None:
    for key, reverse in passes:
        bounds.sort(key=lambda pair, key=key: key(pair[0]), reverse=reverse)  # type: ignore[misc]


def _split(rows: Sequence[Datum], start: int, order: list[Pass], bound: Batch, with_equals: bool) -> int:
    """How far the rows come before the bound (or are equal to it, ``with_equals``)."""
    low, high = start, len(rows)
    while low < high:
        middle = (low + high) // 2
        row = rows[middle]
        before = with_equals
        for (key, reverse), there in zip(order, bound, strict=True):
            here = key(row)
            if here != there:
                before = (here < there) != reverse
                break
        if before:
            low = middle + 1
        else:
            high = middle
    return low


class SortedOrder:
    """The order that some passes sort by, to find places in sorted rows."""

    def __init__(self, passes: list[Pass]) -> None:
        self._order = passes[::-1]

    def key(self, row: Row) -> Datum:
        """What is equal for equal rows."""
        return [key(row) for key, _ in self._order]

    def before(self, rows: Sequence[Row], row: Row, *, with_equals: bool) -> int:
        """How many of the sorted rows come before a row, or are equal to it (``with_equals``)."""
        return _split(rows, 0, self._order, [key(row) for key, _ in self._order], with_equals)
