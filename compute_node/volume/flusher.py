"""When the log leaves the writer: what is pending is flushed, held until the volume has grown, or lingers. Sans-I/O.

::

    RedoLog ── lingers? ── room? ── take ── the volume has the PGs? ──► WriterCore.flush ──► SENT
                  │          │                       └─ no: held, growth is asked for ─────► GROW
                  │          └─ no: wanted, the next ack looks again ──────────────────────► NOTHING
                  └─ others are about to commit: the loop turns on

Until a quorum of nodes has room the log gathers: that costs no time. Runs of PGs that the volume does not have yet are
held, and what is logged meanwhile waits behind them.

Invariants: runs leave in the order of the log; none leaves before the descriptor with its PG is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from aurora.kernels.python.mtr import Run
from compute_node.volume.fleet import Fleet
from compute_node.volume.writer_core import WriterCore

if TYPE_CHECKING:
    from aurora.kernels.python.mtr import RedoLog


FLUSH_BYTES: Final = 64 << 10
"""So much pending log leaves without lingering."""
QUIET_S: Final = 0.00015
"""How long the log must not have grown before a flush leaves while others are writing."""
LINGER_MAX_S: Final = 0.003
"""The longest that a flush waits for others."""


class Flushed(Enum):
    """What is to be done after ``Flusher.flush``."""

    NOTHING = "nothing"
    GROW = "take the fleet's next step: the volume must grow first"
    SENT = "write the streams' messages"
    SENT_FIRST = "the same, and flush again: more was logged while the volume grew"


class Flusher:
    """``log``: a ``RedoLog``. ``pgmrpl``: the lowest read point still needed, asked for with each flush.

    ``wanted``: a flush found no room, the next ack is to try again.
    """

    def __init__(self, log: RedoLog, core: WriterCore, fleet: Fleet, pgmrpl: Callable[[], int]) -> None:
        self.wanted = False
        self.sent: Callable[[list[Run]], None] | None = None
        """Told what has left for the nodes: who feeds readers."""
        self._log = log
        self._core = core
        self._fleet = fleet
        self._pgmrpl = pgmrpl
        self._held: list[Run] = []
        """Runs that wait for the volume to grow."""
        self._lingering_since = self._grown_at = 0.0
        self._lingering_lsn = 0

    @property
    def pending(self) -> bool:
        """Whether there is log that has not been flushed."""
        return bool(self._log.pending_bytes or self._held)

    def lingers(self, siblings: Callable[[], int], monotonic: Callable[[], float]) -> bool:
        """Whether it pays to wait for the commits of others: each flush costs the same however many it carries.

        ``siblings``: how many transactions are writing and have not committed.
        """
        if self._log.pending_bytes >= FLUSH_BYTES or not siblings():
            self._lingering_since = 0.0
            return False
        now = monotonic()
        if not self._lingering_since:
            self._lingering_since = now
        if self._log.next_lsn != self._lingering_lsn:
            self._lingering_lsn, self._grown_at = self._log.next_lsn, now
        if now - self._grown_at < QUIET_S and now - self._lingering_since < LINGER_MAX_S:
            return True
        self._lingering_since = 0.0
        return False

    def flush(self) -> Flushed:
        """Queue what is pending for the nodes, if that can be."""
        core = self._core
        if not self.pending:
            return Flushed.NOTHING
        if not core.has_room():
            self.wanted = True
            return Flushed.NOTHING
        self.wanted = False
        held = bool(self._held)
        runs = self._held or self._log.take()
        if not self._fleet.covers(runs):
            self._held = runs
            return Flushed.GROW if self._fleet.grow(1 + max(run[0] for run in runs)) else Flushed.NOTHING
        self._held = []
        core.pgmrpl = self._pgmrpl()
        core.flush(runs)
        if self.sent is not None:
            self.sent(runs)
        return Flushed.SENT_FIRST if held else Flushed.SENT
