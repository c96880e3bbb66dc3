"""After a pause a writer asks whether it still is the writer before it shows what it reads. Sans-I/O.

::

    a beat comes late (the process was stopped, or one turn took very long) ─► in doubt: nothing is shown
    enough nodes say that they have adopted no newer epoch ───────────────────► sure again
    a node has adopted a newer one ───────────────────────────────────────────► stays in doubt: ask again, until fenced

A commit of a writer that was superseded is refused by the nodes; what it reads from its cache nobody refuses. Another
writer needs a write quorum in every protection group. So none was open if the nodes that answered, after the pause and
without a newer epoch, leave it none in some group (``WriterCore.excludes_others``).
"""

from __future__ import annotations

from typing import Final

from aurora.errors import SqlError
from compute_node.volume.durable import Done

PAUSE_S: Final = 0.4
"""A gap between two beats in which another writer may have opened. Beats come every 100 ms
(``volume.HOUSEKEEPING_S``)."""


class Doubt:
    """``now_s`` are seconds of one monotonic clock. ``since_s`` is set while in doubt."""

    def __init__(self, now_s: float) -> None:
        self.beat_s = now_s
        self.late_s = now_s + PAUSE_S
        """from when on nothing may be shown without ``is_late`` being asked; each answer to a client looks at it"""
        self.since_s: float | None = None
        self.times = 0
        """How often there was a pause."""
        self._waiting: list[Done] = []

    def is_late(self, now_s: float) -> bool:
        """Whether nothing may be shown now."""
        return self.since_s is not None or now_s - self.beat_s > PAUSE_S

    def beat(self, now_s: float) -> bool:
        """The process runs. True when a pause has just ended: ask the nodes."""
        late = now_s - self.beat_s > PAUSE_S
        self.beat_s = now_s
        if self.since_s is not None:
            return False
        self.late_s = now_s + PAUSE_S
        if not late:
            return False
        self.since_s, self.late_s = now_s, float("-inf")
        self.times += 1
        return True

    def when_sure(self, done: Done) -> None:
        """Call ``done(None)`` once the doubt is over, ``done(error)`` when this writer is."""
        self._waiting.append(done)

    def settle(self, now_s: float) -> None:
        """No other writer was open when the nodes were asked."""
        self.beat_s, self.late_s, self.since_s = now_s, now_s + PAUSE_S, None
        self._tell(None)

    def fail(self, error: SqlError) -> None:
        """This writer is over."""
        self._tell(error)

    def _tell(self, error: SqlError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(error)
