"""Begins and ends transactions, hands out xids and snapshots, knows the row horizon.

A commit is one mini-transaction: a note for those who follow the log (``aurora/notes.py``), whose LSN is the commit
LSN, and that LSN in the commit log for the xid and its sub-xids. Nothing waits for durability here: locks pass on at
once, and the session gates its output on its ``Dependency``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurora import notes
from aurora.errors import InvalidSavepoint, InvariantViolation, NotSupported
from aurora.ids import FIRST_NORMAL_XID, NO_LSN, NO_XID, Lsn, RelFile, Xid
from aurora.kernels import clog as clog_kernel
from aurora.kernels.python.clog import ABORTED, PREPARED, XIDS_PER_PAGE
from compute_node.hub import HUB, Waiter
from compute_node.txn import counts
from compute_node.txn.horizon import Hold, Holds
from compute_node.txn.locks import LockManager
from compute_node.txn.prepared import Prepared, PreparedTransactions, detach
from compute_node.txn.recovery import Recovery
from compute_node.txn.serializable import Serializables, serial_snapshot
from compute_node.txn.transaction import READ_COMMITTED, SERIALIZABLE, Level, ReadingTxn, Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.txn.interface import TxnSession, TxnStorage


COMMIT_REDO_BYTES = 160
LOCK_REDO_BYTES = 64
XID_RANGE = 4096
"""Xids reserved by one logged write of the superblock's limit."""
RECENT_USES = 8
"""How often a row horizon is used before it is looked up again."""
WEAK_LOCKS_KEPT = 16
"""Statements whose weak locks a retired transaction keeps for its next life."""


class TransactionManager:
    """``active`` holds the transactions that have not ended, in begin
    order."""

    def __init__(self, storage: TxnStorage) -> None:
        self._storage = storage
        self._counted = storage.counts.pending
        self._volume = storage.volume
        self._log = storage.volume.log
        self._clog = storage.clog
        self._mtr = storage.mtr
        self._cache = storage.cache
        self._clock: Callable[[], int] = storage.clock
        self.active: dict[Txn, None] = {}
        self.by_xid: dict[int, Txn] = {}
        self.holds = Holds()
        self._recent_horizon: Lsn = NO_LSN
        self.removed_below: Lsn = NO_LSN
        """What only snapshots below it see may be gone: readers that hold nothing here are told."""
        self._recent_uses = 0
        self.xid_range = XID_RANGE
        self._reserving: list[Waiter] | None = None
        self.commits = 0
        self.rollbacks = 0
        self.follows = False
        """A reader instance: the transactions that write are another's, whose log this one applies."""
        self.serials = Serializables(self)
        self.locks = LockManager(self)
        self.prepared = PreparedTransactions(self)
        self.reader = False
        """every transaction is read-only: ``recovery`` sets it"""
        self.recovery = Recovery(self)
        self.next_xid: Xid = storage.superblock.xid_limit
        self._clog.recovered_below = self.next_xid
        # A restart may have cut the log off between the commit log's growth and the reservation that it was for: blocks
        # beyond what the limit needs were perhaps never made its pages, and are handed out anew.
        ready = self.next_xid // XIDS_PER_PAGE + 1 if self.next_xid > FIRST_NORMAL_XID else 0
        storage.clog_file.fresh = min(storage.clog_file.fresh, ready)

    # Begin, xids, snapshots

    def begin(
        self,
        isolation: str = READ_COMMITTED,
        read_only: bool = False,
        deferrable: bool = False,
        session: TxnSession | None = None,
    ) -> Txn:
        """A new transaction; it costs nothing until it writes."""
        txn = Txn(isolation, read_only, deferrable, session)
        self.active[txn] = None
        return txn

    def _begin_reading(
        self,
        isolation: str = READ_COMMITTED,
        read_only: bool = False,
        deferrable: bool = False,
        session: TxnSession | None = None,
    ) -> Txn:
        """``begin`` on a reader."""
        txn = ReadingTxn(isolation, read_only, deferrable, session)
        self.active[txn] = None
        return txn

    def role_changed(self, reader: bool) -> None:
        """See ``Recovery.set``. On a reader what is under way goes on read-only; one that began there stays so."""
        self.reader = reader
        if not reader:
            del self.retire, self.begin  # the class's own again
            return
        self.retire = self._retire_reading  # type: ignore[method-assign] # the writer's hot path asks nothing
        self.begin = self._begin_reading  # type: ignore[method-assign]
        for txn in self.active:
            txn.read_only = True

    def retire(self, txn: Txn) -> bool:
        """End a plain transaction, of just READ COMMITTED, that nothing is tied to, for ``resume`` to begin it again:
        most transactions are single reads. False: it is not one of these, and goes on."""
        if txn.ties is not None or txn.isolation != READ_COMMITTED or txn.read_only or txn.deferrable:
            return False
        if len(txn.weak_locks) > WEAK_LOCKS_KEPT:
            return False
        del self.active[txn]
        self.commits += 1
        return True

    def _retire_reading(self, txn: Txn) -> bool:
        """``retire`` on a reader, where a plain transaction is read-only."""
        if txn.ties is not None or txn.isolation != READ_COMMITTED or txn.deferrable:
            return False
        if not isinstance(txn, ReadingTxn) or txn.declared_read_only:
            return False
        if len(txn.weak_locks) > WEAK_LOCKS_KEPT:
            return False
        del self.active[txn]
        self.commits += 1
        return True

    def resume(self, txn: Txn) -> None:
        """Begin a retired transaction anew. Its weak locks are taken again with it, unless somebody has a strong one by
        now.
        """
        txn.oldest_lsn = NO_LSN
        if self.locks.strong:
            txn.weak_locks.clear()
        self.active[txn] = None

    def assign(self, txn: Txn) -> Xid:
        """The xid that the current level writes with, taken now if need be (levels below get theirs first)."""
        txn.tie()
        for level in txn.levels:
            if not level.xid:
                while self.next_xid >= self._storage.superblock.xid_limit:
                    self._reserve_xids()
                level.xid = self.next_xid
                self.next_xid += 1  # type: ignore[assignment] # a call of Xid would cost each transaction
                level.xids.append(level.xid)
                txn.own.add(level.xid)
                self.by_xid[level.xid] = txn
        txn.write_xid = txn.levels[-1].xid
        return txn.write_xid

    def _reserve_xids(self) -> None:
        """Raise the limit, once for all who need it now."""
        if self._reserving is not None:
            waiter = Waiter()
            self._reserving.append(waiter)
            HUB.wait(waiter)
            return
        self._reserving = []
        try:
            self._raise_xid_limit()
        finally:
            waiting, self._reserving = self._reserving, None
            for waiter in waiting:
                waiter.wake()

    def _raise_xid_limit(self) -> None:
        storage = self._storage
        self._volume.reserve(4096)
        limit = Xid(self.next_xid + self.xid_range)
        storage.extend_clog(limit // XIDS_PER_PAGE)
        with self._mtr:
            storage.superblock.put_xid_limit(limit)
        storage.superblock.xid_limit = limit

    def snapshot(self, txn: Txn) -> Snapshot:
        """The snapshot of the transaction's next statement. It begins a new command: it sees what the earlier ones
        wrote."""
        if txn.own:
            txn.cid += 1
        if txn.snapshot_lsn:
            if txn.serial is not None:
                return serial_snapshot(txn.serial, txn.own, txn.cid)
            return clog_kernel.Snapshot(txn.snapshot_lsn, txn.own, txn.cid)
        lsn = self._volume.vdl
        depended_lsn = txn.dependency.lsn
        if depended_lsn > lsn:
            lsn = depended_lsn
        txn.oldest_lsn = lsn
        if not txn.follow:
            if self.reader and txn.isolation == SERIALIZABLE:
                raise NotSupported(
                    "cannot use serializable mode in a hot standby",
                    detail='"default_transaction_isolation" is set to "serializable".',
                    hint="You can use \"SET default_transaction_isolation = 'repeatable read'\" to change the default.",
                )
            txn.snapshot_lsn = lsn
            if txn.isolation == SERIALIZABLE:
                return self._first_serial_snapshot(txn, lsn)
        return clog_kernel.Snapshot(lsn, txn.own, txn.cid)

    def next_query(self, txn: Txn, snapshot: Snapshot) -> Snapshot:
        """The snapshot of the next query of a statement that is several: of the same time, but for what the queries
        before it wrote."""
        if txn.own:
            txn.cid += 1
        if txn.serial is not None:
            return serial_snapshot(txn.serial, txn.own, txn.cid)
        return clog_kernel.Snapshot(snapshot.lsn, txn.own, txn.cid)

    def _first_serial_snapshot(self, txn: Txn, lsn: Lsn) -> Snapshot:
        """A READ ONLY DEFERRABLE transaction waits for a snapshot under which it cannot fail."""
        txn.serial = self.serials.begin(lsn, txn.read_only, txn.pid)
        while txn.read_only and txn.deferrable and not self.serials.wait_until_known(txn.serial):
            self.serials.ended(txn.serial, False, 0)
            txn.serial = None
            txn.snapshot_lsn = txn.oldest_lsn = max(self.vdl, txn.dependency.lsn)
            txn.serial = self.serials.begin(txn.snapshot_lsn, True, txn.pid)
        return serial_snapshot(txn.serial, txn.own, txn.cid)

    def latest_snapshot(self, txn: Txn) -> Snapshot:
        """Everything committed so far, durable or not, and all that ``txn`` has written, its current command
        included. Who shows what it read must depend on the LSN of the changes (``Txn.depend``)."""
        if not txn.oldest_lsn:
            txn.oldest_lsn = self._volume.vdl
        return clog_kernel.Snapshot(self._log.next_lsn - 1, txn.own, txn.cid + 1)

    def last_snapshot_before(self, txn: Txn) -> Snapshot:
        """Everything committed so far, and what ``txn`` had written before its current command: it still sees the
        versions which that command has replaced."""
        return clog_kernel.Snapshot(self._log.next_lsn - 1, txn.own, txn.cid)

    @contextmanager
    def reading(self, owner: str) -> Iterator[Snapshot]:
        """A snapshot of everything committed so far, durable or not, for a reader without a transaction (catalog,
        vacuum); it holds the row horizon as long as the ``with`` lasts. As for ``latest_snapshot``, who shows what it
        read must depend on the LSN of the changes."""
        lsn = Lsn(self._log.next_lsn - 1)  # the next record may be a commit's
        with self.holds.add(lsn, owner):
            yield clog_kernel.Snapshot(lsn, set(), 0)

    def hold(self, lsn: Lsn, owner: str, txn: Txn | None = None) -> Hold:
        """Keep the versions that a snapshot at ``lsn`` sees until the hold is released, at the latest when ``txn``
        ends. Take it while the statement of that snapshot is still ``txn``'s newest."""
        hold = self.holds.add(lsn, owner)
        if txn is not None:
            hold.tie(txn.tie().holds)
        return hold

    @property
    def vdl(self) -> Lsn:
        """The volume's VDL."""
        return self._volume.vdl

    @property
    def last_lsn(self) -> Lsn:
        """Of the newest record, durable or not."""
        return self._log.last_lsn

    def own_snapshot(self, txn: Txn, snapshot: Snapshot) -> Snapshot:
        """What ``snapshot`` sees, and all that ``txn`` has written since."""
        return clog_kernel.Snapshot(snapshot.lsn, txn.own, txn.cid + 1)

    def row_horizon(self) -> Lsn:
        """LSN of the oldest snapshot that may still be in use: versions deleted at or below it are seen by nobody."""
        horizon = self._volume.vdl
        for txn in self.active:
            if txn.oldest_lsn and txn.oldest_lsn < horizon:
                horizon = txn.oldest_lsn
        return self.holds.oldest(horizon)

    def looking_back(self, txn: Txn, lsn: Lsn) -> list[Txn]:
        """The transactions of other sessions of ``txn``'s database that look at a snapshot of ``lsn`` or before, now or
        later: their own, their statement's, a cursor's."""
        session = txn.session
        if session is None:
            return []
        return [
            each
            for each in self.active
            if each.session is not None
            and each.session is not session
            and each.session.database == session.database
            and 0 < _oldest_in_use(each, each.session) <= lsn
        ]

    def recent_horizon(self) -> Lsn:
        """A row horizon of a moment ago, which is never above the one of now: to look at every transaction for each
        page that is pruned would cost more than the pruning."""
        if not self._recent_uses:
            self._recent_uses, self._recent_horizon = RECENT_USES, self.row_horizon()
        self._recent_uses -= 1
        return self._recent_horizon

    def removed(self, below: int) -> None:
        """What only snapshots below ``below`` see has just been removed: row versions, or what freed pages held."""
        if below > self.removed_below:
            self.removed_below = Lsn(below)

    def state(self, xid: int) -> int:
        """0 in progress, 1 aborted, or a commit LSN; may wait for a page of the commit log."""
        state = self._clog.state(xid)
        while state < 0:
            self._cache.load(-state)
            state = self._clog.state(xid)
        return int(state)

    def is_aborted(self, xid: int) -> bool:
        """Whether ``xid`` aborted, or was cut off by a restart; may wait for a page of the commit log."""
        return self.state(xid) == ABORTED

    @property
    def first_xid(self) -> int:
        """The first xid that this writer has given out."""
        return int(self._clog.recovered_below)

    # End

    def commit(self, txn: Txn) -> Lsn:
        """Commit: the commit LSN, 0 when nothing was written. An exception means that the transaction goes on, to be
        aborted."""
        if txn.ended:
            raise InvariantViolation("commit of a transaction that has ended")
        serial = txn.serial
        if serial is not None and not serial.prepared:
            self.serials.before_commit(serial)
        lsn = self._write_commit(txn) if txn.own else NO_LSN
        if lsn:
            self.locks.last_commit_lsn = lsn
        self._end(txn, lsn)
        if serial is not None:
            self.serials.ended(serial, True, lsn)
        self.commits += 1
        if lsn:
            level = txn.levels[0]
            if level.changes is None and len(txn.levels) == 1:
                self._counted += level.rows
                if len(self._counted) > counts.PENDING_MAX:
                    counts.settle(self._counted)
            else:
                counts.apply(txn.levels, True, self._counted)
            txn.depend(lsn)
            ties = txn.ties
            if ties is not None:
                for _, committed in ties.on_commit:
                    committed(lsn)
                if ties.catalog is not None:
                    ties.ended()
            self._volume.flush_soon("commit")
        return lsn

    def _write_commit(self, txn: Txn) -> Lsn:
        levels = txn.levels
        created, dropped = levels[0].created, levels[0].dropped
        if len(levels) > 1:
            created = [relfile for level in levels for relfile in level.created]
            dropped = [relfile for level in levels for relfile in level.dropped]
        catalog = txn.catalog if txn.catalog_changed else None
        changed = None if catalog is None else catalog.invalidations()
        note_bytes = 0 if changed is None else 8 * changed.numbers
        self._volume.reserve(COMMIT_REDO_BYTES + 24 * len(txn.own) + note_bytes + 1024 * (len(created) + len(dropped)))
        self._load_states(txn.own)
        with self._mtr:
            # The note comes first, so that its LSN is the commit LSN.
            lsn = self._log.next_lsn
            self._mtr.note(self._ended(notes.COMMIT, txn, txn.own, changed))
            for xid in txn.own if len(txn.own) == 1 else sorted(txn.own):
                if self._clog.set(xid, lsn):
                    raise InvariantViolation(f"the commit log's page of xid {xid} went away")
            for relfile in created:
                self._storage.extents.committed(relfile)
            for relfile in dropped:
                self._storage.release_storage(relfile, lsn)
        return lsn

    # Two-phase commit

    def check_commit(self, txn: Txn) -> None:
        """What a SERIALIZABLE transaction is asked before it is prepared, and not again: 40001."""
        if txn.serial is not None:
            self.serials.before_commit(txn.serial)

    def prepare(self, prepared: Prepared, save: Callable[[Xid, bytes], None]) -> Lsn:
        """Make a transaction that writes nothing any more outlive its session and this process; ``save`` keeps its
        state. The LSN from which on that holds. An exception means that the transaction goes on, to be aborted."""
        txn = prepared.txn
        while len(txn.levels) > 1:
            self.release(txn, txn.levels[1].name)
        if not txn.write_xid:
            self.assign(txn)
        save(prepared.xid, self.prepared.state(prepared))
        self._volume.reserve(COMMIT_REDO_BYTES + 24 * len(txn.own))
        self._load_states(txn.own)
        with self._mtr:
            for xid in sorted(txn.own):
                self._clog.set(xid, PREPARED)
        detach(txn)
        self.prepared.add(prepared)
        self._volume.flush_soon("commit")
        return self._log.last_lsn

    def finish(self, prepared: Prepared, committing: bool) -> Lsn:
        """Commit or roll back a prepared transaction; the commit LSN."""
        lsn = NO_LSN
        if committing:
            lsn = self.commit(prepared.txn)
        else:
            self.abort(prepared.txn)
        self.prepared.remove(prepared)
        return lsn

    def _ended(self, kind: int, txn: Txn, xids: Collection[Xid], changed: notes.Invalidations | None = None) -> bytes:
        """The note of an end: of the transaction, or of what a savepoint undoes."""
        xid = txn.levels[0].xid
        subxids = () if len(xids) == 1 and xid in xids else sorted(each for each in xids if each != xid)
        return notes.encode_end(kind, xid, subxids, self._clock(), changed)

    def log_lock(self, txn: Txn, oid: int) -> None:
        """Tell those who follow the log of an ACCESS EXCLUSIVE lock, before anything that it protects. May wait."""
        if self.follows:
            return
        if not txn.write_xid:
            self.assign(txn)
        self._volume.reserve(LOCK_REDO_BYTES)
        with self._mtr:
            # In the name of the whole transaction, whose end they are told of.
            self._mtr.note(notes.encode_lock(txn.levels[0].xid, (oid,)))

    def _load_states(self, xids: Iterable[Xid]) -> None:
        again = True
        while again:
            again = False
            for xid in xids:
                page_no = self._storage.clog_file.map.page_no(xid // XIDS_PER_PAGE)
                if not self._cache.arena.contains(page_no):
                    self._cache.load(page_no)
                    again = True

    def abort(self, txn: Txn) -> None:
        """Roll back and release everything; nothing has to be durable. A second abort does nothing."""
        if txn.ended:
            return
        created = [relfile for level in txn.levels for relfile in level.created]
        if txn.own:
            self._write_aborts(notes.ABORT, txn, txn.own, created)
            counts.apply(txn.levels, False, self._counted)
        ties = txn.ties
        if ties is not None:
            txn.undone(0)
        self._end(txn, NO_LSN)
        if ties is not None and ties.catalog is not None:
            ties.ended()
        if txn.serial is not None:
            self.serials.ended(txn.serial, False, 0)
        # One that never looked at anything was only begun anew (SET TRANSACTION), or might as well not have begun.
        self.rollbacks += bool(txn.oldest_lsn or txn.own)

    def _write_aborts(self, kind: int, txn: Txn, xids: Collection[Xid], created: list[RelFile]) -> None:
        with HUB.shield():
            self._load_states(xids)
        with self._mtr:
            lsn = self._log.next_lsn
            self._mtr.note(self._ended(kind, txn, xids))
            for xid in sorted(xids):
                self._clog.set(xid, ABORTED)
            for relfile in created:
                self._storage.release_storage(relfile, lsn)

    def _end(self, txn: Txn, lsn: Lsn) -> None:
        txn.ended = True
        del self.active[txn]
        for xid in txn.own:
            del self.by_xid[xid]
        ties = txn.ties
        if ties is not None:
            for hold in list(ties.holds):
                hold.release()
            self.locks.release_all(txn, ties, lsn)

    # Savepoints

    def savepoint(self, txn: Txn, name: str) -> None:
        """Open a subtransaction; its xid comes with its first write."""
        txn.levels.append(Level(name, dict(txn.tie().table_locks), frozenset(txn.weak_locks)))
        txn.write_xid = NO_XID

    def _level(self, txn: Txn, name: str) -> int:
        for index in range(len(txn.levels) - 1, 0, -1):
            if txn.levels[index].name == name:
                return index
        raise InvalidSavepoint(f'savepoint "{name}" does not exist')

    def release(self, txn: Txn, name: str) -> None:
        """Merge the newest savepoint ``name`` and those after it into their parent. Error: 3B001."""
        index = self._level(txn, name)
        parent = txn.levels[index - 1]
        for level in txn.levels[index:]:
            parent.xids += level.xids
            parent.created += level.created
            parent.dropped += level.dropped
        counts.keep(txn.levels[index - 1 :])
        del txn.levels[index:]
        txn.write_xid = parent.xid
        txn.kept(index)
        self.locks.keep_rows_of_level(txn, index)

    def rollback_to(self, txn: Txn, name: str) -> None:
        """Undo back to the newest savepoint ``name``, which stays open; locks taken since go. Error: 3B001."""
        index = self._level(txn, name)
        undone = txn.levels[index:]
        xids = [xid for level in undone for xid in level.xids]
        if xids:
            self._write_aborts(notes.UNDO, txn, xids, [relfile for level in undone for relfile in level.created])
            for xid in xids:
                txn.own.discard(xid)
                del self.by_xid[xid]
        before = undone[0]
        for level in undone:
            txn.levels[index - 1].lose(level)
        events = txn.tie().events
        if events is not None:
            events.forget_statement()
        txn.levels[index:] = [Level(name, before.table_locks, before.weak_locks)]
        txn.write_xid = NO_XID
        txn.undone(index)
        self.locks.release_rows_of_level(txn, index)
        self.locks.release_tables(txn, before.table_locks, before.weak_locks)


def _oldest_in_use(txn: Txn, session: TxnSession) -> int:
    """The LSN of the oldest snapshot that a transaction may still read under; 0: none. One of READ COMMITTED that is
    idle has none but its cursors'."""
    held = [] if txn.ties is None else [hold.lsn for hold in txn.ties.holds]
    if txn.snapshot_lsn:
        held.append(txn.snapshot_lsn)
    elif txn.oldest_lsn and session.state == "active":
        held.append(txn.oldest_lsn)
    return min(held, default=0)
