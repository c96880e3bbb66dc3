"""Wrong passwords cost time: a delay a (role, address) that doubles with each failure, sans I/O.

An attempt reserves its turn: attempts at the same role from the same address are answered one after another, ``delay``
apart, so that many connections at once guess no faster than one. A right password ends it; so does quiet. The table is
bounded: the longest-quiet entries go first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FIRST_DELAY_S: Final = 0.1
DELAY_MAX_S: Final = 8.0
FREE_FAILURES: Final = 2
"""Failures that cost nothing: libpq tries twice (with and without TLS), people mistype."""
QUIET_S: Final = 600.0
"""After so long without a failure an entry is forgotten."""
WAIT_MAX_S: Final = 30.0
"""Who would have to wait longer is refused at once."""
ENTRIES_MAX: Final = 10_000


@dataclass(slots=True)
class _Entry:
    failures: int
    last_s: float
    free_at_s: float


class Throttle:
    """Times are seconds of one monotonic clock. ``failures`` counts all wrong passwords."""

    def __init__(self) -> None:
        self.failures = 0
        self.refusals = 0
        """Attempts that were refused unheard, because too many waited before them."""
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def wait_s(self, role: str, address: str, now_s: float) -> float | None:
        """How long this attempt has to wait for its turn; None: refuse it."""
        entry = self._entries.get((role, address))
        if entry is None or entry.failures <= FREE_FAILURES:
            return 0.0
        if now_s - entry.last_s > QUIET_S:
            del self._entries[(role, address)]
            return 0.0
        wait = max(0.0, entry.free_at_s - now_s)
        if wait > WAIT_MAX_S:
            self.refusals += 1
            return None
        entry.free_at_s = max(entry.free_at_s, now_s) + self._delay_s(entry)
        return wait

    def failed(self, role: str, address: str, now_s: float) -> None:
        """A wrong password."""
        self.failures += 1
        entry = self._entries.setdefault((role, address), _Entry(0, now_s, now_s))
        if now_s - entry.last_s > QUIET_S:
            entry.failures, entry.free_at_s = 0, now_s
        entry.failures += 1
        entry.last_s = now_s
        self._entries.move_to_end((role, address))
        entry.free_at_s = max(entry.free_at_s, now_s + self._delay_s(entry))
        while len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)

    def succeeded(self, role: str, address: str) -> None:
        """A right password."""
        self._entries.pop((role, address), None)

    @staticmethod
    def _delay_s(entry: _Entry) -> float:
        paid = entry.failures - FREE_FAILURES
        return 0.0 if paid <= 0 else float(min(DELAY_MAX_S, FIRST_DELAY_S * 2.0 ** min(paid - 1, 16)))
