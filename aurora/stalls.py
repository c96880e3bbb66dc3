"""Stalls of the event loop: stretches over 20 ms in which one piece of work kept all others waiting.

::

    a turn that was timed (session greenlet, sync)  ─ note(start, end, what) ─┐
    heartbeat that came late                        ─ note(due, now, "")     ─┴─ count, longest, one log line each

What was timed is known by name and exactly; the heartbeat finds the rest, as far as it falls into a beat. It beats
every 10 ms while there is work, and seldom in an idle process, whose wake-ups cost and whose loop nobody waits for.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Final

STALL_S: Final = 0.020
BEAT_BUSY_S: Final = 0.010
BEAT_IDLE_S: Final = 0.5
LOG_WINDOW_S: Final = 1.0
LOG_LINES_MAX: Final = 5
"""Lines in such a window; the first line of the next one tells how many stalls had none."""
WHAT_MAX: Final = 200

logger = logging.getLogger(__name__)


class Stalls:
    """Counts stalls. Times are those of ``time.monotonic``, passed in by whoever measured."""

    def __init__(self, log: Callable[[str], None] = logger.warning) -> None:
        self.count = 0
        self.seconds = 0.0
        self.longest_s = 0.0
        self._log = log
        self._end_s = 0.0
        self._window_s = float("-inf")
        self._lines = 0
        self._unlogged = 0

    def note(self, start_s: float, end_s: float, what: str = "") -> None:
        """From ``start_s`` to ``end_s`` the loop did not turn; what a stall noted before explains counts once."""
        took_s = end_s - max(start_s, self._end_s)
        if took_s <= STALL_S:
            return
        self._end_s = end_s
        self.count += 1
        self.seconds += took_s
        self.longest_s = max(self.longest_s, took_s)
        if end_s - self._window_s >= LOG_WINDOW_S:
            self._window_s, self._lines = end_s, 0
        if self._lines >= LOG_LINES_MAX:
            self._unlogged += 1
            return
        more = f", and {self._unlogged} more since the last such line" if self._unlogged else ""
        self._unlogged = 0
        self._lines += 1
        self._log(f"the event loop stood still for {took_s * 1000:.0f} ms in {what[:WHAT_MAX] or 'unknown work'}{more}")


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Stalls] = weakref.WeakKeyDictionary()


def stalls_of_running_loop() -> Stalls:
    """The one count of the running loop: a writer and six nodes that share a loop (embedded mode) see each stall
    once. Without a running loop a count of its own."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Stalls()
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = Stalls()
    return found


class Heartbeat:
    """Beats on the running loop until ``close``. ``work`` gives a number that grows with whatever the process does."""

    def __init__(self, stalls: Stalls, work: Callable[[], int]) -> None:
        self._stalls = stalls
        self._work = work
        self._seen = work()
        self._loop = asyncio.get_running_loop()
        self._due_s = 0.0
        self._timer = self._arm(BEAT_BUSY_S)

    def _arm(self, pause_s: float) -> asyncio.TimerHandle:
        self._due_s = monotonic() + pause_s
        return self._loop.call_later(pause_s, self._beat)

    def _beat(self) -> None:
        self._stalls.note(self._due_s, monotonic())
        done = self._work()
        busy, self._seen = done != self._seen, done
        self._timer = self._arm(BEAT_BUSY_S if busy else BEAT_IDLE_S)

    def close(self) -> None:
        """Beat no more."""
        self._timer.cancel()
