"""Locks in the writer's memory: relations, rows, transactions; waiting in turn; deadlock detection.

A row version's in-progress xmax is the lock of an update. Who meets one queues with the holder: at its end the holder
wakes only the head, and gives it the rest of the queue as its ``turn``. The head looks at the row again. It takes the
row, and the rest then waits for it; or somebody was faster, and head and rest queue, in front, with that one; or it
gives up, and the next has the turn. So a queue always hangs on a transaction that runs or holds, never on a row's
address. Locks of SELECT … FOR … are kept by row version. Bounds: ``max_row_locks`` locked versions (53200).

A transaction that holds very many rows FOR KEY SHARE, as a bulk load under a foreign key does, holds from then on all
rows of the table so (``WHOLE``): who wants to delete one or to change its key waits, and nobody else.

The relation locks of SELECT and DML conflict with few others, so a statement just leaves its ``WeakLocks`` in its
transaction (``take_weak``). Who wants a mode that conflicts with them marks the relation in ``strong`` and first turns
what the running transactions have left into ordinary locks; as long as the mark stays, everybody takes ordinary ones.

A lock passes on when its holder's commit LSN is allocated, and who takes it must see what the holder did: the taker
depends on that LSN (``Txn.depend``), so that its next snapshot has it. For a row version the holder's xmax tells the
LSN. For a lock of SELECT … FOR … and for a strong relation lock it is kept here (``released_lsn``) until the VDL has
passed it; who takes a strong relation lock depends on the last commit of all.
Sources: PostgreSQL manual, chapter 13.3 (lock modes and their conflicts).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurora.errors import DeadlockDetected, InvariantViolation, LockNotAvailable, OutOfMemory
from aurora.ids import NO_LSN, Lsn
from compute_node.hub import HUB, Waiter
from compute_node.txn import deadlocks
from compute_node.txn.transaction import Ties, Txn
from compute_node.work import waits

if TYPE_CHECKING:
    from compute_node.txn.manager import TransactionManager


ACCESS_SHARE, ROW_SHARE, ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE = 1, 2, 3, 4
SHARE, SHARE_ROW_EXCLUSIVE, EXCLUSIVE, ACCESS_EXCLUSIVE = 5, 6, 7, 8
MODE_NAMES = (
    "",
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_CONFLICTS = {
    ACCESS_SHARE: (8,),
    ROW_SHARE: (7, 8),
    ROW_EXCLUSIVE: (5, 6, 7, 8),
    SHARE_UPDATE_EXCLUSIVE: (4, 5, 6, 7, 8),
    SHARE: (3, 4, 6, 7, 8),
    SHARE_ROW_EXCLUSIVE: (3, 4, 5, 6, 7, 8),
    EXCLUSIVE: (2, 3, 4, 5, 6, 7, 8),
    ACCESS_EXCLUSIVE: (1, 2, 3, 4, 5, 6, 7, 8),
}
FIRST_STRONG = SHARE
"""From this mode on a lock conflicts with those of SELECT and DML."""
CONFLICT_MASK = {mode: sum(1 << other for other in others) for mode, others in _CONFLICTS.items()}
"""mode → bit mask (1 << mode) of the modes it conflicts with."""

FOR_KEY_SHARE, FOR_SHARE, FOR_NO_KEY_UPDATE, FOR_UPDATE = 0, 1, 2, 3
_ROW_CONFLICT = {0: (3,), 1: (2, 3), 2: (1, 2, 3), 3: (0, 1, 2, 3)}

FIRST_ADVISORY = 1 << 64
"""Relations are known to the lock table by (database << 32 | OID), advisory locks by numbers from here."""
FIRST_OBJECT = 1 << 128
"""Objects that are no relations are known by numbers from here; see ``object_key``."""
WHOLE = -1
"""in the place of a row version: all rows of the table"""
KEY_SHARE_MAX = 20_000
"""Rows that a transaction holds, after which a table's next one FOR KEY SHARE is all of them."""
WAIT, NOWAIT, SKIP_LOCKED = "wait", "nowait", "skip"


def object_key(database: int, class_oid: int, oid: int) -> int:
    """The key of an object that is no relation, by its catalog too: users choose the OIDs of large objects. Database
    0: of all."""
    return FIRST_OBJECT | database << 64 | class_oid << 32 | oid


class WeakLocks:
    """The relation locks that a statement needs: (OID, mode), modes up to ROW EXCLUSIVE. Compared by identity."""

    __slots__ = ("modes",)

    def __init__(self, modes: tuple[tuple[int, int], ...]) -> None:
        self.modes = modes


def _described(lock_id: int) -> str:
    """A lock as a deadlock's detail names it."""
    if lock_id >= FIRST_OBJECT:
        database, class_oid = lock_id >> 64 & 0xFFFFFFFF, lock_id >> 32 & 0xFFFFFFFF
        return f"object {lock_id & 0xFFFFFFFF} of class {class_oid} of database {database}"
    if lock_id >= FIRST_ADVISORY:
        return f"advisory lock [{lock_id >> 32 & 0xFFFFFFFF},{lock_id & 0xFFFFFFFF}]"
    return f"relation {lock_id & 0xFFFFFFFF} of database {lock_id >> 32}"


class RelationLock:
    """Holders (transaction → mask of modes) and the queue of one relation."""

    __slots__ = ("held", "holders", "oid", "queue", "released_lsn")

    def __init__(self, oid: int) -> None:
        self.oid = oid
        self.released_lsn = NO_LSN
        """Commit LSN of the last holder of a strong mode"""
        self.holders: dict[Txn, int] = {}
        self.held = 0
        self.queue: deque[tuple[Txn, int, Waiter]] = deque()


class RowQueue:
    """Who waits for a row, in order, and the transaction it depends on: the ``holder`` in whose ``row_queues`` it hangs
    (``attached``), or the head that was woken and now has the turn."""

    __slots__ = ("attached", "holder", "waiting")

    def __init__(self, holder: Txn) -> None:
        self.waiting: deque[Waiting] = deque()
        self.holder = holder
        self.attached = True


class RowHolders:
    """Who holds a row with SELECT … FOR, and the versions by which it is known. Each holder has a list of (strength,
    savepoint level), the strongest last: a rollback to a savepoint undoes an upgrade, not the lock before it."""

    __slots__ = ("holders", "keys", "released_lsn")

    def __init__(self, key: tuple[int, int]) -> None:
        self.keys = [key]
        self.released_lsn = NO_LSN
        """Commit LSN of the last one who held it and is gone"""
        self.holders: dict[Txn, list[tuple[int, int]]] = {}


class Waiting:
    """What ``txn`` waits for, for the waits-for graph and its messages."""

    __slots__ = ("entry", "object_text", "txn", "waiter", "what")

    def __init__(
        self, txn: Txn, entry: tuple[RelationLock, int] | RowQueue | Txn, waiter: Waiter, what: str, object_text: str
    ) -> None:
        self.txn = txn
        self.entry = entry
        self.waiter = waiter
        self.what = what
        self.object_text = object_text

    @property
    def event(self) -> int:
        """What is waited for, as a number of ``work.waits``."""
        entry = self.entry
        if isinstance(entry, tuple):
            if entry[0].oid >= FIRST_OBJECT:
                return waits.OBJECT
            return waits.ADVISORY if entry[0].oid >= FIRST_ADVISORY else waits.RELATION
        return waits.TUPLE if isinstance(entry, RowQueue) else waits.TRANSACTION

    @property
    def is_first(self) -> bool:
        """Whether it waits for a row, and nobody before it."""
        entry = self.entry
        return isinstance(entry, RowQueue) and bool(entry.waiting) and entry.waiting[0] is self


class LockManager:
    """All locks of the process."""

    def __init__(self, manager: TransactionManager, max_row_locks: int = 200_000) -> None:
        self._manager = manager
        self._max_row_locks = max_row_locks
        self.relations: dict[int, RelationLock] = {}
        self.strong: set[int] = set()
        """relations on which a strong mode is held or waited for"""
        self.rows: dict[tuple[int, int], RowHolders] = {}
        self.whole: set[int] = set()
        """tables of which somebody holds all rows"""
        self.last_commit_lsn = NO_LSN
        self._passing: deque[tuple[int, RelationLock | RowHolders]] = deque()
        """Locks released by commits that were not durable yet, in the order of those"""
        self.waits = 0
        self.waited = waits.Waits()
        """for what, and how long"""
        self.deadlocks = 0
        self._gone: deque[tuple[int, int, int]] = deque()
        """ACCESS EXCLUSIVE locks released lately: the LSN by which that was, xid, relation"""

    # Relations

    def take_weak(self, txn: Txn, locks: WeakLocks) -> None:
        """Take a statement's relation locks until the transaction ends; may wait. Errors: 40P01, 55P03, 57014."""
        strong = self.strong
        if self._passing:
            self._pass()
        if strong and any(oid in strong for oid, _ in locks.modes):
            # During a wait for one, another may become strong: all of them as ordinary locks.
            for oid, mode in locks.modes:
                self.lock_relation(txn, oid, mode)
        txn.weak_locks.add(locks)

    def _mark_strong(self, oid: int) -> RelationLock:
        """The relation's lock, with what running transactions have of it as weak locks."""
        lock = self.relations.get(oid)
        if lock is None:
            lock = self.relations[oid] = RelationLock(oid)
        if oid not in self.strong:
            self.strong.add(oid)
            for txn in self._manager.active:
                for locks in txn.weak_locks:
                    for each, mode in locks.modes:
                        if each == oid:
                            self._grant(lock, txn, mode)
        return lock

    def _settle(self, lock: RelationLock) -> None:
        """After holders or waiters went: forget a lock that nobody has, and a mark that nobody needs."""
        lock.held = 0
        for modes in lock.holders.values():
            lock.held |= modes
        if lock.released_lsn > self._manager.vdl or self.relations.get(lock.oid) is not lock:
            return
        if lock.held < 1 << FIRST_STRONG and not any(mode >= FIRST_STRONG for _, mode, _ in lock.queue):
            self.strong.discard(lock.oid)
            if not lock.holders and not lock.queue:
                self.relations.pop(lock.oid, None)

    def lock_relation(self, txn: Txn, oid: int, mode: int, name: str = "", wait: str = WAIT) -> bool:
        """Take a relation lock until the transaction ends; False only with SKIP_LOCKED. Errors: 40P01, 55P03, 57014."""
        if txn.table_locks.get(oid, 0) >> mode & 1:
            return True
        taken = self._take_relation(txn, oid, mode, name, wait)
        if taken and mode == ACCESS_EXCLUSIVE:
            self._manager.log_lock(txn, oid)
        return taken

    def holders(self, txn: Txn, oid: int, mode: int) -> list[Txn]:
        """The transactions of others that hold a relation in a mode that conflicts with ``mode``."""
        mask = CONFLICT_MASK[mode]
        lock = self.relations.get(oid)
        found: dict[Txn, int] = {} if lock is None else dict(lock.holders)
        for each in self._manager.active:
            for locks in each.weak_locks:
                for held, weak in locks.modes:
                    if held == oid:
                        found[each] = found.get(each, 0) | 1 << weak
        return [each for each, modes in found.items() if modes & mask and each.session is not txn.session]

    def is_awaited(self, oid: int) -> bool:
        """Whether somebody waits for a lock on the relation."""
        lock = self.relations.get(oid)
        return lock is not None and bool(lock.queue)

    def _take_relation(self, txn: Txn, oid: int, mode: int, name: str, wait: str) -> bool:
        lock = self._mark_strong(oid) if mode >= FIRST_STRONG else self.relations.get(oid)
        if lock is None:
            lock = self.relations[oid] = RelationLock(oid)
        if not self._relation_blockers(lock, txn, mode, None):
            self._grant(lock, txn, mode)
            return True
        if wait == SKIP_LOCKED:
            self._settle(lock)
            return False
        if wait == NOWAIT:
            self._settle(lock)
            raise LockNotAvailable(f'could not obtain lock on relation "{name}"')
        waiter = Waiter()
        lock.queue.append((txn, mode, waiter))
        try:
            self._wait(txn, Waiting(txn, (lock, mode), waiter, MODE_NAMES[mode], _described(oid)))
        except BaseException:
            if waiter.done and waiter.error is None:
                return True
            lock.queue = deque(entry for entry in lock.queue if entry[2] is not waiter)
            self._grant_waiters(lock)
            raise
        return True

    def _relation_blockers(self, lock: RelationLock, txn: Txn, mode: int, me: Waiter | None) -> list[Txn]:
        """Who must go first: holders of conflicting modes, and conflicting requests ahead in the queue."""
        mask = CONFLICT_MASK[mode]
        blockers = []
        if lock.held & mask:
            session = txn.session
            blockers = [
                holder
                for holder, modes in lock.holders.items()
                # What the session itself holds (advisory locks) is no obstacle to its transaction.
                if holder is not txn and modes & mask and (session is None or holder.session is not session)
            ]
        if lock.queue and (me is not None or txn not in lock.holders):
            for ahead, wanted, waiter in lock.queue:
                if waiter is me:
                    break
                if ahead is not txn and 1 << wanted & mask:
                    blockers.append(ahead)
        return blockers

    def _grant(self, lock: RelationLock, txn: Txn, mode: int) -> None:
        modes = lock.holders.get(txn, 0) | 1 << mode
        lock.holders[txn] = txn.tie().table_locks[lock.oid] = modes
        lock.held |= 1 << mode
        lsn = self.last_commit_lsn if mode >= FIRST_STRONG else lock.released_lsn
        txn.depend(lsn)

    def _released(self, lock: RelationLock | RowHolders, commit_lsn: Lsn) -> None:
        """A holder has let go by its commit."""
        lock.released_lsn = commit_lsn
        self._passing.append((commit_lsn, lock))

    def _pass(self) -> None:
        """Forget what was released by commits that are durable by now."""
        vdl, passing = self._manager.vdl, self._passing
        while passing and passing[0][0] <= vdl:
            lock = passing.popleft()[1]
            if isinstance(lock, RelationLock):
                self._settle(lock)
            elif not lock.holders and lock.released_lsn <= vdl:
                self._forget_row(lock)

    def _grant_waiters(self, lock: RelationLock) -> None:
        for entry in list(lock.queue):
            txn, mode, waiter = entry
            if not self._relation_blockers(lock, txn, mode, waiter):
                lock.queue.remove(entry)
                self._grant(lock, txn, mode)
                waiter.wake()
        self._settle(lock)

    def exclusive_at(self, vdl: Lsn) -> Iterator[tuple[int, int]]:
        """(xid, relation) of the ACCESS EXCLUSIVE locks held at ``vdl``, by what the log up to there tells: a holder
        whose end is not durable has it still."""
        self._forget_gone(vdl)
        for _, xid, oid in self._gone:
            yield xid, oid
        for lock in self.relations.values():
            for holder, modes in lock.holders.items():
                if modes >> ACCESS_EXCLUSIVE & 1 and holder.xid:
                    yield holder.xid, lock.oid

    def _forget_gone(self, vdl: Lsn) -> None:
        gone = self._gone
        while gone and gone[0][0] <= vdl:
            gone.popleft()

    # Rows

    def wait_for_row(
        self, txn: Txn, relfile: int, tid: int, holder_xid: int, name: str, turn: RowQueue | None
    ) -> RowQueue | None:
        """Queue with the transaction of ``holder_xid``, which is changing the row; back when it is ``txn``'s turn to
        look.

        ``turn``: what the previous wait for this row returned; somebody overtook it then, so it goes to the front. What
        this returns goes to ``row_taken`` and ``turn_over`` after the look. Errors: 40P01, 55P03, 57014.
        """
        holder = self._manager.by_xid.get(holder_xid)
        if holder is None:
            raise InvariantViolation(f"transaction {holder_xid} is in progress, and nobody runs it")
        return self._wait_with(txn, holder, (relfile, tid), f"transaction {holder_xid}", name, turn)

    def wait_for_lockers(
        self, txn: Txn, relfile: int, tid: int, blockers: list[Txn], name: str, turn: RowQueue | None
    ) -> RowQueue:
        """Queue with the first of those who hold the row with SELECT … FOR; as ``wait_for_row``."""
        holder = blockers[0]
        return self._wait_with(txn, holder, (relfile, tid), f"transaction {holder.xid or 0}", name, turn)

    def _wait_with(
        self, txn: Txn, holder: Txn, key: tuple[int, int], text: str, name: str, turn: RowQueue | None
    ) -> RowQueue:
        queues = holder.tie().row_queues
        queue = queues.get(key)
        if queue is None:
            queue = queues[key] = RowQueue(holder)
        waiter = Waiter()
        me = Waiting(txn, queue, waiter, "ShareLock", text)
        if turn is None:
            locked = self.rows.get(key)
            if locked is not None and txn in locked.holders:
                # Who holds the row and wants more of it goes first: the others wait for it as well.
                queue.waiting.appendleft(me)
            else:
                queue.waiting.append(me)
        else:
            self._put_before(queue, turn)
            queue.waiting.appendleft(me)
        try:
            self._wait(txn, me)
        except BaseException as error:
            if waiter.done and waiter.error is None:
                self.turn_over(waiter.value)
            waiter.done = True
            if isinstance(error, DeadlockDetected):
                error.where = f'while locking tuple ({key[1] >> 16},{key[1] & 0xFFFF}) in relation "{name}"'
            raise
        woken_with: RowQueue = waiter.value
        return woken_with

    @staticmethod
    def _put_before(queue: RowQueue, turn: RowQueue) -> None:
        """Move the rest of a turn to the front of ``queue``."""
        while turn.waiting:
            each = turn.waiting.pop()
            each.entry = queue
            queue.waiting.appendleft(each)

    def turn_over(self, turn: RowQueue) -> None:
        """A transaction has had its turn at the row: when it did not take it, the next one has its turn."""
        if not turn.attached:
            self._wake_head(turn)

    @staticmethod
    def _wake_head(queue: RowQueue) -> None:
        queue.attached = False
        while queue.waiting:
            head = queue.waiting.popleft()
            # Those who gave up stay in the queue, done.
            if not head.waiter.done:
                queue.holder = head.txn
                head.waiter.wake(queue)
                return

    def row_taken(self, txn: Txn, relfile: int, tid: int, new_tid: int, turn: RowQueue | None) -> None:
        """``txn`` has superseded version ``tid`` by ``new_tid`` (0: deleted the row, ``tid``: locked it): who waits,
        waits for it now, and locks beside the update move to the new version."""
        if turn is not None and turn.waiting:
            held = txn.tie().row_queues.setdefault((relfile, tid), turn)
            if held is turn:
                turn.holder, turn.attached = txn, True
            else:
                self._put_before(held, turn)
        if new_tid and new_tid != tid and self.rows:
            locked = self.rows.get((relfile, tid))
            if locked is not None:
                self.rows[relfile, new_tid] = locked
                locked.keys.append((relfile, new_tid))

    def row_blockers(self, txn: Txn, relfile: int, tid: int, strength: int) -> list[Txn]:
        """Holders of SELECT … FOR locks that conflict with ``strength``."""
        if self._passing:
            self._pass()
        locked = self.rows.get((relfile, tid))
        found = [] if locked is None else self._conflicting(txn, locked, strength)
        if self.whole and relfile in self.whole:
            found += self._conflicting(txn, self.rows[relfile, WHOLE], strength)
        return found

    @staticmethod
    def _conflicting(txn: Txn, locked: RowHolders, strength: int) -> list[Txn]:
        txn.depend(locked.released_lsn)
        conflicts = _ROW_CONFLICT[strength]
        return [other for other, held in locked.holders.items() if other is not txn and held[-1][0] in conflicts]

    def hold_row(
        self, txn: Txn, relfile: int, versions: list[int], strength: int, turn: RowQueue | None = None
    ) -> None:
        """Record a SELECT … FOR lock of a row, known by these versions. Error: 53200."""
        if self.whole and strength == FOR_KEY_SHARE and relfile in self.whole:
            if txn in self.rows[relfile, WHOLE].holders:
                return
        locked = self._locked(relfile, versions)
        held = locked.holders.get(txn)
        if held is None or held[-1][0] < strength:
            held = locked.holders.setdefault(txn, [])
            held.append((strength, len(txn.levels) - 1))
            row_locks = txn.tie().row_locks
            row_locks[locked] = None
            if strength == FOR_KEY_SHARE and len(row_locks) >= KEY_SHARE_MAX and not len(row_locks) % 1000:
                self._hold_all_keys(txn, relfile)
        if strength >= FOR_NO_KEY_UPDATE:
            # A weaker lock leaves the turn to the next, who may share it.
            self.row_taken(txn, relfile, versions[0], versions[0], turn)

    def _hold_all_keys(self, txn: Txn, relfile: int) -> None:
        """Now that it holds very many rows: all of the table, if it is this table's."""
        row_locks = txn.tie().row_locks
        if sum(each.keys[0][0] == relfile for each in row_locks) < KEY_SHARE_MAX // 2:
            return
        locked = self._locked(relfile, [WHOLE])
        self.whole.add(relfile)
        if txn not in locked.holders:
            locked.holders[txn] = [(FOR_KEY_SHARE, len(txn.levels) - 1)]
            row_locks[locked] = None

    def _locked(self, relfile: int, versions: list[int]) -> RowHolders:
        """The holders of a row, the same for all its versions; made when there are none."""
        keys = [(relfile, version) for version in versions]
        known = list(dict.fromkeys(filter(None, map(self.rows.get, keys))))
        if not known:
            if len(self.rows) >= self._max_row_locks:
                raise OutOfMemory("out of shared memory", hint="You might need to increase max_locks_per_transaction.")
            known = [RowHolders(keys[0])]
        locked, *others = known
        for other in others:
            # Two snapshots have found the row at different versions, and nobody had followed it from one to the other.
            for holder, held in other.holders.items():
                mine = locked.holders.setdefault(holder, [])
                mine[:] = sorted({*mine, *held})
                ties = holder.tie()
                ties.row_locks.pop(other, None)
                ties.row_locks[locked] = None
            locked.released_lsn = max(locked.released_lsn, other.released_lsn)
            keys += other.keys
        for key in keys:
            if self.rows.get(key) is not locked:
                self.rows[key] = locked
                if key not in locked.keys:
                    locked.keys.append(key)
        return locked

    def rows_of(self, txn: Txn) -> list[tuple[int, list[int], int]]:
        """The rows that it holds with SELECT … FOR: relation file, versions, strength."""
        found = []
        for locked in () if txn.ties is None else txn.ties.row_locks:
            tids = sorted({version for _, version in locked.keys})
            found.append((locked.keys[0][0], tids, max(strength for strength, _ in locked.holders[txn])))
        return found

    def hold_again(self, txn: Txn, relations: list[tuple[int, int]], rows: list[tuple[int, list[int], int]]) -> None:
        """What a transaction of an earlier process held, before anybody else asks for a lock: relations with their
        masks of modes, and ``rows_of`` it."""
        for oid, modes in relations:
            for mode in range(ACCESS_SHARE, ACCESS_EXCLUSIVE + 1):
                if modes >> mode & 1:
                    lock = self._mark_strong(oid) if mode >= FIRST_STRONG else self.relations.get(oid)
                    self._grant(lock or self.relations.setdefault(oid, RelationLock(oid)), txn, mode)
        for relfile, versions, strength in rows:
            if versions == [WHOLE]:
                self.whole.add(relfile)
            self.hold_row(txn, relfile, versions, strength)

    def _release_row(self, txn: Txn, locked: RowHolders, commit_lsn: Lsn = NO_LSN) -> None:
        del locked.holders[txn]
        if commit_lsn:
            self._released(locked, commit_lsn)
        elif not locked.holders and locked.released_lsn <= self._manager.vdl:
            self._forget_row(locked)

    def _forget_row(self, locked: RowHolders) -> None:
        if locked.keys[0][1] == WHOLE:
            self.whole.discard(locked.keys[0][0])
        for key in locked.keys:
            if self.rows.get(key) is locked:
                del self.rows[key]

    # Transactions

    def wait_for_xid(self, txn: Txn, xid: int, name: str, again: bool = False) -> None:
        """Wait until the transaction of ``xid`` ends (a unique key that it is inserting). Errors: 40P01, 57014."""
        holder = self._manager.by_xid.get(xid)
        if holder is txn:
            return
        if holder is None:
            raise InvariantViolation(f"transaction {xid} is in progress, and nobody runs it")
        try:
            self._wait_for(txn, holder, f"transaction {xid}")
        except DeadlockDetected as error:
            error.where = f'while inserting index tuple in relation "{name}"'
            raise

    def wait_for_end(self, txn: Txn, other: Txn) -> None:
        """Wait until another transaction has ended. Errors: 40P01, 55P03, 57014."""
        while not other.ended and other in self._manager.active:
            self._wait_for(txn, other, f"virtual transaction {other.pid}")

    def _wait_for(self, txn: Txn, other: Txn, shown: str) -> None:
        """Wait until another transaction wakes those who wait for it: at its end, or when it has undone something."""
        waiter = Waiter()
        waiters = other.tie().waiters
        waiters.append(waiter)
        try:
            self._wait(txn, Waiting(txn, other, waiter, "ShareLock", shown))
        except BaseException:
            if waiter in waiters:
                waiters.remove(waiter)
            raise

    # Rows of INSERT … ON CONFLICT that exclusion constraints look at

    @contextmanager
    def speculation(self, txn: Txn) -> Iterator[None]:
        """A row goes into its indexes, or is taken back. Who waits for its transaction looks again afterwards."""
        ties = txn.tie()
        ties.speculates = True
        try:
            yield
        finally:
            ties.speculates = False
            self._wake_waiters(ties)

    def is_withdrawn(self, xid: int, relfile: int, tid: int) -> bool:
        """Whether a row in doubt is known to be taken back: nobody need wait for it."""
        holder = self._manager.by_xid.get(xid)
        return holder is not None and holder.ties is not None and (relfile, tid) in holder.ties.withdrawn

    def may_wait_for_row(self, txn: Txn, xid: int) -> bool:
        """Of two rows that are in each other's way before either is certain, the older transaction's stays, and the
        other one is taken back: so neither waits for ever. Whether ``txn``, whose row is uncertain, is the older."""
        holder = self._manager.by_xid.get(xid)
        return holder is not None and holder.ties is not None and holder.ties.speculates and txn.write_xid < xid

    # Waiting

    def _wait(self, txn: Txn, waiting: Waiting) -> None:
        txn.waiting = waiting
        timer = None
        self.waits += 1
        session, began_s = txn.session, HUB.now_s()
        try:
            deadlocks.check(self, txn)
            timeout_ms = 0 if session is None else session.lock_timeout_ms
            if timeout_ms > 0:
                error = LockNotAvailable("canceling statement due to lock timeout")
                timer = HUB.loop.call_later(timeout_ms / 1000, waiting.waiter.fail, error)
            HUB.wait(waiting.waiter)
        finally:
            txn.waiting = None
            if timer is not None:
                timer.cancel()
            event, took_s = waiting.event, HUB.now_s() - began_s
            self.waited.note(event, took_s)
            if session is not None:
                session.has_waited(event, took_s)

    def blockers(self, txn: Txn) -> list[Txn]:
        """Whom ``txn`` waits for; nobody when it does not wait."""
        waiting = txn.waiting
        if waiting is None or waiting.waiter.done:
            return []
        entry = waiting.entry
        if isinstance(entry, Txn):
            return [entry]
        if isinstance(entry, RowQueue):
            return [entry.holder]
        lock, mode = entry
        return [self._agent(each) for each in self._relation_blockers(lock, txn, mode, waiting.waiter)]

    def _agent(self, holder: Txn) -> Txn:
        """Who must go on before ``holder`` lets go: itself, or for a session's own locks the session's transaction."""
        if holder in self._manager.active or holder.session is None:
            return holder
        return holder.session.txn or holder

    def put_ahead(self, waits: Txn, ahead: Txn) -> Callable[[bool], None] | None:
        """See ``deadlocks.Waits``."""
        waiting = waits.waiting
        if waiting is None or not isinstance(waiting.entry, tuple):
            return None
        lock, mode = waiting.entry
        if any(modes & CONFLICT_MASK[mode] and self._agent(each) is ahead for each, modes in lock.holders.items()):
            return None
        before = lock.queue
        mine = next(each for each in before if each[2] is waiting.waiter)
        others = [each for each in before if each is not mine]
        at = next((number for number, each in enumerate(others) if each[0] is ahead), len(others))
        lock.queue = deque([*others[:at], mine, *others[at:]])

        def decide(stays: bool) -> None:
            if stays:
                self._grant_waiters(lock)
            else:
                lock.queue = before

        return decide

    # Release

    def release_relation(self, txn: Txn, oid: int) -> None:
        """Give one lock back before the end."""
        lock = self.relations[oid]
        del lock.holders[txn], txn.tie().table_locks[oid]
        self._settle(lock)
        if lock.queue:
            self._grant_waiters(lock)

    def release_mode(self, txn: Txn, oid: int, mode: int) -> None:
        """Give one mode of a lock back before the end."""
        lock = self.relations[oid]
        modes = txn.table_locks[oid] & ~(1 << mode)
        if not modes:
            self.release_relation(txn, oid)
            return
        lock.holders[txn] = txn.tie().table_locks[oid] = modes
        self._settle(lock)
        if lock.queue:
            self._grant_waiters(lock)

    def release_tables(self, txn: Txn, kept: Mapping[int, int], weak: frozenset[WeakLocks]) -> None:
        """A rollback to a savepoint: the relation and advisory locks that were not held before it go."""
        txn.weak_locks &= weak
        table_locks = txn.tie().table_locks
        if not table_locks:
            return
        masks = dict(kept)
        for locks in weak:
            for oid, mode in locks.modes:
                masks[oid] = masks.get(oid, 0) | 1 << mode
        for oid, modes in list(table_locks.items()):
            for mode in range(ACCESS_SHARE, ACCESS_EXCLUSIVE + 1):
                if (modes & ~masks.get(oid, 0)) >> mode & 1:
                    self.release_mode(txn, oid, mode)

    def hand_over(self, txn: Txn, owner: Txn, key: int, mode: int) -> None:
        """``owner`` has from now on what ``txn`` holds too: nobody comes in between."""
        self._grant(self.relations[key], owner, mode)

    def release_all(self, txn: Txn, ties: Ties, commit_lsn: Lsn) -> None:
        """The transaction has ended (``commit_lsn`` 0: aborted or read-only): everybody who waited for it goes on."""
        for oid, modes in ties.table_locks.items():
            lock = self.relations[oid]
            del lock.holders[txn]
            if modes >> ACCESS_EXCLUSIVE & 1 and txn.xid:
                self._forget_gone(self._manager.vdl)
                self._gone.append((self._manager.last_lsn, txn.xid, oid))
            if commit_lsn and modes >= 1 << FIRST_STRONG:
                self._released(lock, commit_lsn)
            self._settle(lock)
            if lock.queue:
                self._grant_waiters(lock)
        ties.table_locks.clear()
        self._wake_waiters(ties)
        for locked in ties.row_locks:
            self._release_row(txn, locked, commit_lsn)
        ties.row_locks.clear()
        self._wake_queues(ties)

    @staticmethod
    def _wake_waiters(ties: Ties) -> None:
        for waiter in ties.waiters:
            waiter.wake()
        ties.waiters.clear()

    def _wake_queues(self, ties: Ties) -> None:
        if ties.row_queues:
            queues = list(ties.row_queues.values())
            ties.row_queues.clear()
            for queue in queues:
                self._wake_head(queue)

    def keep_rows_of_level(self, txn: Txn, index: int) -> None:
        """Savepoint level ``index`` is released: what it locked is the parent's."""
        for locked in txn.tie().row_locks:
            held = locked.holders[txn]
            if held[-1][1] >= index:
                # An upgrade inside is the parent's now: one entry a level is enough.
                below = [entry for entry in held if entry[1] < index - 1]
                strongest = max(strength for strength, _ in held)
                held[:] = [*below, (strongest, index - 1)]

    def release_rows_of_level(self, txn: Txn, index: int) -> None:
        """A rollback to savepoint level ``index``: its row locks go, and who waits looks again."""
        ties = txn.tie()
        for locked in list(ties.row_locks):
            held = locked.holders[txn]
            held[:] = [entry for entry in held if entry[1] < index]
            if not held:
                del ties.row_locks[locked]
                self._release_row(txn, locked)
        # Whether a row itself was given back only its version tells: the heads look, and wait again if not.
        self._wake_queues(ties)
        self._wake_waiters(ties)
