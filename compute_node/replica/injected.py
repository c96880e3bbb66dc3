"""A failure of replication that somebody asked for: ``aurora_inject_replica_failure`` → what the feed asks before it
sends log to a reader.

::

    FeedCore ─► HeldOutlet.send ─┬ no failure, or no log ──► the stream
                                 └ log, kept back ──► waits, and is asked for again every ``AGAIN_S`` ──► the stream

Time and chance come from outside. While a failure lasts, each message of log to a reader that it names is kept back
with its probability, and what follows waits behind it; topology goes on, so that nobody takes the writer for gone. A
reader for which more waits than the feed allows is sent away, and begins anew as after any cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from compute_node.replica.feed import Outlet

AGAIN_S: Final = 0.05

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


Later = Callable[[float, Callable[[], None]], object]
_LOG: Final = b"\x12"
"""how a FollowReply with log begins: field 2, bytes"""


class HeldOutlet:
    """An ``Outlet`` to one reader that suffers what is injected. ``later(seconds, call)`` calls it then."""

    def __init__(
        self,
        outlet: Outlet,
        injected: InjectedFailure,
        reader: str,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._outlet, self._injected, self._reader, self._later = outlet, injected, reader, later
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._closed = False

    def send(self, message: bytes) -> None:
        """See ``Outlet``."""
        held, injected = self._held, self._injected
        if (held or injected.active) and message[:1] == _LOG and (held or injected.keeps_back(self._reader)):
            if not held:
                self._later(AGAIN_S, self._again)
            held.append(message)
            self._held_bytes += len(message)
        else:
            self._outlet.send(message)

    def _again(self) -> None:
        held = self._held
        while held and not self._closed:
            if self._injected.keeps_back(self._reader):
                self._later(AGAIN_S, self._again)
                return
            message = held.popleft()
            self._held_bytes -= len(message)
            self._outlet.send(message)

    @property
    def backlog_bytes(self) -> int:
        """See ``Outlet``."""
        return self._outlet.backlog_bytes + self._held_bytes

    def close(self) -> None:
        """See ``Outlet``."""
        self._closed = True
        self._held.clear()
        self._held_bytes = 0
        self._outlet.close()
