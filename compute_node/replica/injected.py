"""A failure of replication that somebody asked for: ``aurora_inject_replica_failure`` → what the feed asks before it
sends log to a reader.

Sans-I/O: time and chance come from who asks. While a failure lasts, each message to a reader that it names is kept
back with its probability; kept back means that the reader gets it, and what follows, later: once ``keeps_back`` has
said yes, it is asked again with the same message at the next opportunity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

ALL = ""
"""in the place of a reader's id: all of them"""


class Failure(NamedTuple):
    """``share``: 0 … 1 of the messages; ``until_s`` by the clock of who asks."""

    share: float
    until_s: float


class InjectedFailure:
    """``now_s`` is a monotonic clock, ``chance`` gives numbers from 0 up to 1."""

    def __init__(self, now_s: Callable[[], float], chance: Callable[[], float]) -> None:
        self._now_s, self._chance = now_s, chance
        self._failures: dict[str, Failure] = {}

    def inject(self, percent: float, seconds: float, reader: str = ALL) -> None:
        """Begin a failure; it replaces an earlier one of the same reader, and with 0 % or 0 s ends it."""
        if percent <= 0 or seconds <= 0:
            self._failures.pop(reader, None)
        else:
            self._failures[reader] = Failure(percent / 100, self._now_s() + seconds)

    @property
    def active(self) -> bool:
        """Whether there is any: the feed need ask for nothing else while there is none."""
        return bool(self._failures)

    def keeps_back(self, reader: str) -> bool:
        """Whether a message to this reader is to be kept back now."""
        now_s = self._now_s()
        for name in (reader, ALL):
            failure = self._failures.get(name)
            if failure is None:
                continue
            if now_s >= failure.until_s:
                del self._failures[name]
            elif self._chance() < failure.share:
                return True
        return False
