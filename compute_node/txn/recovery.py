"""Whether this instance is a reader, and what its sessions ask of what follows the writer's log.

PostgreSQL's word for a reader is "in recovery": it replays the writer's log, and its sessions may read (manual, 27.4
Hot Standby). One ``Recovery`` belongs to the transactions of a volume, so all databases of the instance share it. The
role may change while sessions live: ``set`` tells them, and their next transaction is judged by the new one.

::

    the replica stream ─ replay, is_paused ─► Recovery ─► functions, views, settings
                       ◄─ pause_requested, promote ─
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from aurora.ids import Lsn
from compute_node.hub import HUB, Waiter

if TYPE_CHECKING:
    from compute_node.txn.manager import TransactionManager


class Conflict(Enum):
    """Why the replay of the log cannot go on beside a statement of this reader; the value is PostgreSQL's DETAIL."""

    SNAPSHOT = "User query might have needed to see row versions that must be removed."
    LOCK = "User was holding a relation lock for too long."
    BUFFER_PIN = "User was holding shared buffer pin for too long."
    TABLESPACE = "User was or might have been using tablespace that must be dropped."
    DEADLOCK = "User transaction caused buffer deadlock with recovery."
    DATABASE = "User was connected to a database that must be dropped."
    DISCONNECTED = "User query may not have access to page data to replica disconnect."
    """Aurora's own: the instance was silent so long that storage no longer keeps what it read (counted as SNAPSHOT)"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The stream from the writer, for pg_stat_wal_receiver. Times in µs since 2000-01-01 UTC, 0 for never."""

    status: str
    start_lsn: Lsn
    received_lsn: Lsn
    sent_us: int
    received_us: int
    host: str
    port: int
    timeline: int = 1


class Replay(Protocol):
    """What follows the writer's log, as sessions ask it."""

    @property
    def received_lsn(self) -> Lsn:
        """The last record that has come."""

    @property
    def applied_lsn(self) -> Lsn:
        """Everything up to this LSN can be read here."""

    @property
    def last_commit_us(self) -> int:
        """When the newest applied transaction was committed, µs since 2000-01-01 UTC; 0 before the first."""

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""

    def receiver(self) -> Receiver | None:
        """The stream; None when there is none now."""


class RoleListener(Protocol):
    """Who hears that the instance has another role: a session."""

    def role_changed(self) -> None:
        """It has. Must neither wait nor raise."""


class Recovery:
    """``active``: this instance is a reader. ``replay``: what follows the log, None when nothing does. ``promote``:
    asks for this instance to become the writer, without waiting for it; None where that cannot be. ``conflicts``: of a
    database's OID, how many statements and sessions of it were ended, by reason."""

    def __init__(self, txns: TransactionManager) -> None:
        self._txns = txns
        self.active = False
        self.replay: Replay | None = None
        self.promote: Callable[[], None] | None = None
        self.pause_requested = False
        """the replay is to stand still"""
        self.on_pause: Callable[[], None] | None = None
        """called when ``pause_requested`` has changed; set by whoever applies the log"""
        self.conflicts: dict[int, dict[Conflict, int]] = {}
        self.listeners: WeakSet[RoleListener] = WeakSet()
        self._last: tuple[Lsn | None, Lsn | None, int | None] = (None, None, None)
        self._ending: list[Waiter] = []

    def set(self, active: bool) -> None:
        """From now on this instance is a reader, or the writer."""
        if active == self.active:
            return
        if not active:
            self._last = self.received_lsn, self.applied_lsn, self.last_commit_us
            self.pause_requested = False
        self.active = active
        self._txns.role_changed(active)
        for listener in list(self.listeners):
            listener.role_changed()
        if not active:
            waiting, self._ending = self._ending, []
            for waiter in waiting:
                waiter.wake(True)

    def pause(self, wanted: bool) -> None:
        """pg_wal_replay_pause and pg_wal_replay_resume."""
        if wanted == self.pause_requested:
            return
        self.pause_requested = wanted
        if self.on_pause is not None:
            self.on_pause()

    @property
    def is_paused(self) -> bool:
        """Whether the replay stands still because somebody asked for it."""
        return self.pause_requested and self.replay is not None and self.replay.is_paused

    def wait_for_end(self, seconds: float) -> bool:
        """Wait until this instance is the writer, at most so long; whether it is."""
        if not self.active:
            return True
        waiter = Waiter()
        self._ending.append(waiter)
        timer = HUB.loop.call_later(seconds, waiter.wake, False)
        try:
            return bool(HUB.wait(waiter))
        finally:
            timer.cancel()
            if waiter in self._ending:
                self._ending.remove(waiter)

    @property
    def received_lsn(self) -> Lsn | None:
        """pg_last_wal_receive_lsn; of a promoted instance the last of its life as a reader, None if it had none."""
        if not self.active:
            return self._last[0]
        return self.applied_lsn if self.replay is None else self.replay.received_lsn or None

    @property
    def applied_lsn(self) -> Lsn | None:
        """pg_last_wal_replay_lsn, likewise."""
        if not self.active:
            return self._last[1]
        return (self._txns.vdl if self.replay is None else self.replay.applied_lsn) or None

    @property
    def last_commit_us(self) -> int | None:
        """pg_last_xact_replay_timestamp, likewise."""
        if not self.active:
            return self._last[2]
        return None if self.replay is None else self.replay.last_commit_us or None

    def count(self, database: int, reason: Conflict) -> None:
        """A statement or session of that database is ended for ``reason``."""
        counts = self.conflicts.setdefault(database, {})
        counts[reason] = counts.get(reason, 0) + 1

    def counted(self, database: int, *reasons: Conflict) -> int:
        """How many were; without a reason all of them."""
        counts = self.conflicts.get(database, {})
        return sum(counts.get(reason, 0) for reason in reasons or Conflict)
