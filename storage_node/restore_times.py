"""When was what committed: the writer's times, read from the timed notes of the staged log.

The log carries the writer's clock in its notes (``aurora/notes.py``), all of them in one protection group's chain. A
time is looked for by bisection over that PG's log objects, so it costs a few objects, and then note by note. No node's
clock takes part. Where the writer's clock was set back, one of the places where the time was passed is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aurora import notes, truncation
from aurora.batch import Batch
from aurora.kernels import redo
from storage_node.backup_objects import LogName

UNIX_EPOCH_MS = -946_684_800_000
"""1970-01-01 as notes count (from 2000-01-01 UTC), in ms"""

Timed = tuple[int, int]
"""(LSN of the note, its time in ms since 1970)"""


class CommitTimes:
    """The timed notes of a log. ``logs``: the objects of the notes' PG, in LSN order; ``read`` gives the batches of
    one, None when it cannot be read; ``void``: truncated ranges."""

    def __init__(
        self,
        logs: Sequence[LogName],
        read: Callable[[LogName], list[Batch] | None],
        void: list[truncation.Range],
    ) -> None:
        self._logs, self._read, self._void = logs, read, void
        self._known: dict[str, list[Timed] | None] = {}

    def _timed(self, log: LogName) -> list[Timed] | None:
        """The timed notes of one object; None when it cannot be read."""
        if log.name not in self._known:
            batches = self._read(log)
            self._known[log.name] = None if batches is None else list(self._notes(batches))
        return self._known[log.name]

    def _notes(self, batches: list[Batch]) -> Iterator[Timed]:
        for batch in batches:
            for lsn, _, _, _, flags, offset, end in redo.scan(batch.records, batch.prev_lsn):
                time_us = notes.time_of(batch.records[offset:end]) if flags & redo.FLAG_NOTE else None
                if time_us is not None and not truncation.is_void(self._void, lsn):
                    yield lsn, time_us // 1000 - UNIX_EPOCH_MS

    def _from(self, index: int) -> Iterator[Timed]:
        for log in self._logs[index:]:
            yield from self._timed(log) or ()

    def _last_before(self, field: int, value: int) -> int:
        """The last object whose first timed note is at or before the LSN (field 0) or time (1); 0 when none is."""
        low, high = 0, len(self._logs)
        while high - low > 1:
            middle = (low + high) // 2
            first = next(self._from(middle), None)
            if first is not None and first[field] <= value:
                low = middle
            else:
                high = middle
        return low

    def first_after(self, wall_ms: int) -> tuple[int, bool] | None:
        """The LSN of the first note later than that time, and whether none is earlier. None when there is no later
        one. An object that cannot be read counts as later: a restore to a time never brings anything after it."""
        start = self._last_before(1, wall_ms)
        earlier = False
        for log in self._logs[start:]:
            found = self._timed(log)
            if found is None:
                return log.prev_lsn + 1, not earlier and start == 0
            for lsn, when in found:
                if when > wall_ms:
                    return lsn, not earlier and start == 0
                earlier = True
        return None

    def at(self, lsn: int) -> int:
        """The time of the last timed note at or below ``lsn``, ms since 1970; 0 when there is none."""
        last = 0
        for note_lsn, when in self._from(self._last_before(0, lsn)):
            if note_lsn > lsn:
                break
            last = when
        return last

    @property
    def any(self) -> bool:
        """Whether the log has times at all."""
        return next(self._from(0), None) is not None
