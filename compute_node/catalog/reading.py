"""The replica stream behind a reader's sessions: what functions ask of it, and whose statements stand in its way.

::

    Replica ─ positions, last commit ─► Recovery ─► sessions
            ◄─ pause ──────────────────┘
            ── relation lock held too long, database dropped ─► conflicts ─► sessions that hold it, are in it
            ── rows removed that nobody has held ────────────► conflicts ─► sessions that may need them
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.ids import Lsn
from aurora.notes import Invalidations
from compute_node.catalog.rows import CatalogReader
from compute_node.hub import HUB
from compute_node.relations.schema import CATALOGS
from compute_node.replica.replica import Replica
from compute_node.session.conflicts import cancel_for_conflict
from compute_node.session.settings import SettingValue
from compute_node.txn.recovery import Conflict, Receiver

if TYPE_CHECKING:
    from compute_node.catalog.databases import Databases
    from compute_node.session.state import SessionState

_PG_DATABASE = CATALOGS["pg_database"].desc.oid
LOOK_S = 0.01
"""Between two looks whether somebody still reads what is to be removed."""
FOREVER_S = 10 * 365 * 86400.0
"""a delay of -1"""


class ReplicaReplay:
    """See ``txn.recovery.Replay``. ``sender``: HOST:PORT of the writer's feed, empty when nobody is followed now."""

    def __init__(self, replica: Replica, sender: Callable[[], str]) -> None:
        self._replica = replica
        self._sender = sender
        self._start_lsn = replica.volume.vdl

    @property
    def received_lsn(self) -> Lsn:
        """The last record that has come."""
        return self._replica.core.received_lsn

    @property
    def applied_lsn(self) -> Lsn:
        """The VDL that sessions read at."""
        return self._replica.volume.vdl

    @property
    def last_commit_us(self) -> int:
        """Of the newest transaction applied."""
        return self._replica.last_commit_us or 0

    @property
    def is_paused(self) -> bool:
        """Whether nothing is being applied."""
        return self._replica.stands_still

    def receiver(self) -> Receiver | None:
        """The stream, without the times of its messages."""
        host, _, port = self._sender().rpartition(":")
        if not port.isdigit():
            return None
        return Receiver("streaming", self._start_lsn, self.received_lsn, 0, 0, host, int(port))


def holders(databases: Databases, relation: int) -> Iterator[SessionState]:
    """Sessions whose transaction has a lock on that relation (database OID << 32 | OID)."""
    for session in databases.sessions():
        txn = session.txn
        if txn is None:
            continue
        weak = any(held == relation for locks in txn.weak_locks for held, _ in locks.modes)
        if weak or txn.table_locks.get(relation):
            yield session


def _in_the_way(session: SessionState, below: Lsn) -> bool:
    """Whether a session's transaction may read below an LSN: by the snapshot of its statement, or of the transaction,
    or by what outlives a statement, as a cursor."""
    txn = session.txn
    if txn is None:
        return False
    snapshots = [hold.lsn for hold in txn.ties.holds] if txn.ties is not None else []
    if txn.snapshot_lsn or session.greenlet is not None:
        snapshots.append(txn.oldest_lsn)
    return any(lsn and lsn < below for lsn in snapshots)


def make_way(databases: Databases, replica: Replica, below: Lsn, patience_s: float) -> None:
    """Wait until nobody reads below ``below``; whoever still does after ``patience_s`` ends. In a greenlet."""
    holds, deadline_s = databases.storage.txns.holds, HUB.loop.time() + patience_s
    ended: set[int] = set()
    while not replica.stopping:
        there = [session for session in databases.sessions() if _in_the_way(session, below)]
        is_over = HUB.loop.time() >= deadline_s
        if not there and holds.oldest(below) >= below:  # others that hold something, catalog readers, are soon done
            return
        if is_over:
            for session in there:
                if session.pid not in ended:
                    ended.add(session.pid)
                    cancel_for_conflict(session, Conflict.SNAPSHOT)
        HUB.sleep(LOOK_S)


def load_settings(databases: Databases, replica: Replica) -> None:
    """What ALTER SYSTEM has set of the replay; at the start, and at each reload. In a greenlet; may wait."""

    def value(name: str) -> SettingValue:
        found: SettingValue = databases.initial.session_function(None, "system_setting", name)
        return found

    def seconds(name: str) -> float:
        delay_ms = int(value(name))
        return delay_ms / 1000 if delay_ms >= 0 else FOREVER_S

    replica.max_delay_s = seconds("max_standby_streaming_delay")
    replica.archive_delay_s = seconds("max_standby_archive_delay")
    replica.feedback = bool(value("hot_standby_feedback"))


def attach(databases: Databases, replica: Replica, sender: Callable[[], str]) -> None:
    """Put them together."""
    recovery = databases.storage.txns.recovery
    recovery.replay = ReplicaReplay(replica, sender)
    recovery.on_pause = lambda: replica.pause(recovery.pause_requested)
    replica.removed = lambda below, patience_s: make_way(databases, replica, below, patience_s)

    def conflict(relation: int) -> None:
        for session in list(holders(databases, relation)):
            cancel_for_conflict(session, Conflict.LOCK)

    def catalog_changed(invalidations: Invalidations, commit_lsn: Lsn) -> None:
        databases.replayed(invalidations, commit_lsn)
        for oid in invalidations.rows.get(_PG_DATABASE, ()):
            end_dropped(databases, oid)

    replica.conflict = conflict
    replica.catalog_changed = catalog_changed


def end_dropped(databases: Databases, oid: int) -> None:
    """A row of pg_database has changed: if it is gone, so is the database, and its sessions end. May wait."""
    if CatalogReader(databases.storage).one("pg_database", oid=oid) is not None:
        return
    for session in databases.sessions():
        if session.engine.database_oid == oid:
            cancel_for_conflict(session, Conflict.DATABASE)
    databases.close(oid)
