"""Who waits for which LSN to become durable: the commit path.

Waiters come in nearly in LSN order, so a deque with a rare insertion does; each costs one append and one popleft.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from aurora.errors import SqlError

Done = Callable[[SqlError | None], None]
"""Called with None once the LSN is durable, or with the error that ended the volume."""


class DurableQueue:
    """Waiters by LSN. A callback must not raise: it only wakes somebody."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Done]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, lsn: int, done: Done) -> None:
        """Call ``done(None)`` when the VDL reaches ``lsn``."""
        waiting = self._waiting
        if not waiting or waiting[-1][0] <= lsn:
            waiting.append((lsn, done))
        else:
            ordered = list(waiting)
            insort(ordered, (lsn, done), key=itemgetter(0))
            self._waiting = deque(ordered)

    def advance(self, vdl: int) -> None:
        """The VDL is ``vdl`` now."""
        while self._waiting and self._waiting[0][0] <= vdl:
            self._waiting.popleft()[1](None)

    def fail(self, error: SqlError) -> None:
        """Nothing that waits will become durable as far as this writer will ever know."""
        while self._waiting:
            self._waiting.popleft()[1](error)
