"""What sessions have waited for: counts and times by event, and the numbers and names of the events.

Input: (event, seconds) at the end of a wait → output: rows of ``aurora_stat_system_waits()`` and its kin. An event's
number is its type's in the highest byte and its own below, as in PostgreSQL; the numbers within a type are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

TYPES: Final = {
    1: "LWLock", 3: "Lock", 4: "BufferPin", 5: "Activity", 6: "Client", 7: "Extension", 8: "IPC", 9: "Timeout",
    10: "IO", 11: "LSN",
}  # fmt: skip
"""Aurora's types of events by number."""

_LOCK, _IPC, _TIMEOUT, _IO, _LSN = 3 << 24, 8 << 24, 9 << 24, 10 << 24, 11 << 24
RELATION: Final = _LOCK
TUPLE: Final = _LOCK | 4
TRANSACTION: Final = _LOCK | 5
OBJECT: Final = _LOCK | 8
ADVISORY: Final = _LOCK | 10
FORWARD_CONNECT: Final = _IPC | 1
FORWARD_CONSISTENCY: Final = _IPC | 2
FORWARD_EXECUTE: Final = _IPC | 3
FORWARD_ASK: Final = _IPC | 4
FORWARD_ABORT: Final = _IPC | 5
FORWARD_COMMIT: Final = _IPC | 6
FORWARD_START: Final = _IPC | 7
SLEEP: Final = _TIMEOUT | 2
PAGE_READ: Final = _IO | 17
LSN_DURABLE: Final = _LSN

EVENTS: Final = {
    RELATION: "relation",
    TUPLE: "tuple",
    TRANSACTION: "transactionid",
    OBJECT: "object",
    ADVISORY: "advisory",
    FORWARD_CONNECT: "AuroraWriteForwardConnect",
    FORWARD_CONSISTENCY: "AuroraWriteForwardConsistencyPoint",
    FORWARD_EXECUTE: "AuroraWriteForwardExecute",
    FORWARD_ASK: "AuroraWriteForwardGetGlobalConsistencyPoint",
    FORWARD_ABORT: "AuroraWriteForwardXactAbort",
    FORWARD_COMMIT: "AuroraWriteForwardXactCommit",
    FORWARD_START: "AuroraWriteForwardXactStart",
    SLEEP: "PgSleep",
    PAGE_READ: "DataFileRead",
    LSN_DURABLE: "LsnDurable",
}
"""The events that are counted here, by number."""


def type_of(event: int) -> int:
    """The number of an event's type."""
    return event >> 24


class Waits:
    """Counts and times by event, of one session or of all."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, float]] = {}

    def note(self, event: int, seconds: float, count: int = 1) -> None:
        """``count`` waits for an event have ended, which took that long together."""
        waits, total_s = self._found.get(event, (0, 0.0))
        self._found[event] = waits + count, total_s + seconds

    def rows(self) -> Iterator[tuple[int, int, float]]:
        """(event, waits, seconds) of each that there was, by number."""
        for event in sorted(self._found):
            yield (event, *self._found[event])
