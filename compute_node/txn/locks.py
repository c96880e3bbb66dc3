"""Locks in the writer's memory: relations, rows, transactions; waiting in turn; deadlock detection.

A row version's in-progress xmax is the lock of an update. Who meets one queues at the row: at its end the holder wakes
only the head, which takes the row and so becomes the holder for the rest of the queue; the queue moves along with the
row to its new version. Row locks of SELECT … FOR … live in the same entries. Bounds: ``max_row_locks`` entries (53200).
Sources: PostgreSQL manual, chapter 13.3 (lock modes and their conflicts).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from aurora.errors import DeadlockDetected, LockNotAvailable, OutOfMemory, SqlError
from compute_node.hub import HUB, Waiter
from compute_node.txn.transaction import Txn

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
CONFLICT_MASK = {mode: sum(1 << other for other in others) for mode, others in _CONFLICTS.items()}
"""mode → bit mask (1 << mode) of the modes it conflicts with."""

FOR_KEY_SHARE, FOR_SHARE, FOR_NO_KEY_UPDATE, FOR_UPDATE = 0, 1, 2, 3
_ROW_CONFLICT = {0: (3,), 1: (2, 3), 2: (1, 2, 3), 3: (0, 1, 2, 3)}

ROW_KEYS_MAX = 64
"""Versions by which a locked row is known."""

WAIT, NOWAIT, SKIP_LOCKED = "wait", "nowait", "skip"


class RelationLock:
    """Holders (transaction → mask of modes) and the queue of one relation."""

    __slots__ = ("held", "holders", "oid", "queue")

    def __init__(self, oid: int) -> None:
        self.oid = oid
        self.holders: dict[Txn, int] = {}
        self.held = 0
        self.queue: deque[tuple[Txn, int, Waiter]] = deque()


class RowEntry:
    """One row that is locked or waited for: ``holders`` of SELECT … FOR locks (→ strength, level), the ``queue``, the
    ``keys`` (relfile, tid) of its versions so far, and the ``updater`` that the queue waits for."""

    __slots__ = ("holders", "keys", "queue", "updater")

    def __init__(self, key: tuple[int, int]) -> None:
        self.keys = [key]
        self.holders: dict[Txn, tuple[int, int]] = {}
        self.queue: deque[tuple[Txn, Waiter]] = deque()
        self.updater: Txn | None = None


class Waiting:
    """What a transaction waits for, for the waits-for graph and its messages."""

    __slots__ = ("entry", "object_text", "waiter", "what")

    def __init__(self, entry: Any, waiter: Waiter, what: str, object_text: str) -> None:
        self.entry = entry
        self.waiter = waiter
        self.what = what
        self.object_text = object_text


class LockManager:
    """All locks of the process."""

    def __init__(self, manager: Any, max_row_locks: int = 200_000) -> None:
        self._manager = manager
        self._max_row_locks = max_row_locks
        self.relations: dict[int, RelationLock] = {}
        self.rows: dict[tuple[int, int], RowEntry] = {}

    # Relations

    def lock_relation(self, txn: Txn, oid: int, mode: int, name: str = "", wait: str = WAIT) -> bool:
        """Take a relation lock until the transaction ends; False only with SKIP_LOCKED. Errors: 40P01, 55P03, 57014."""
        bit = 1 << mode
        mine = txn.table_locks.get(oid, 0)
        if mine & bit:
            return True
        lock = self.relations.get(oid)
        if lock is None:
            lock = self.relations[oid] = RelationLock(oid)
        if not self._relation_blockers(lock, txn, mode, None):
            self._grant(lock, txn, mode)
            return True
        if wait == SKIP_LOCKED:
            return False
        if wait == NOWAIT:
            raise LockNotAvailable(f'could not obtain lock on relation "{name}"')
        waiter = Waiter()
        lock.queue.append((txn, mode, waiter))
        try:
            self._wait(txn, Waiting((lock, mode), waiter, MODE_NAMES[mode], f"relation {oid} of database 5"))
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
            blockers = [holder for holder, modes in lock.holders.items() if holder is not txn and modes & mask]
        if lock.queue and (me is not None or txn not in lock.holders):
            for ahead, wanted, waiter in lock.queue:
                if waiter is me:
                    break
                if ahead is not txn and 1 << wanted & mask:
                    blockers.append(ahead)
        return blockers

    def _grant(self, lock: RelationLock, txn: Txn, mode: int) -> None:
        modes = lock.holders.get(txn, 0) | 1 << mode
        lock.holders[txn] = txn.table_locks[lock.oid] = modes
        lock.held |= 1 << mode

    def _grant_waiters(self, lock: RelationLock) -> None:
        for entry in list(lock.queue):
            txn, mode, waiter = entry
            if not self._relation_blockers(lock, txn, mode, waiter):
                lock.queue.remove(entry)
                self._grant(lock, txn, mode)
                waiter.wake()
        if not lock.holders and not lock.queue:
            self.relations.pop(lock.oid, None)

    # Rows

    def wait_for_row(
        self, txn: Txn, relfile: int, tid: int, holder_xid: int, name: str, turn: RowEntry | None
    ) -> RowEntry | None:
        """Queue at a row whose ``holder_xid`` is in progress; back when it is this transaction's turn to look again.

        ``turn``: what the previous wait at this row returned. Somebody overtook it then, so it goes to the front.
        Pass what this returns to ``row_moved`` or ``turn_over`` after the look. Errors: 40P01, 53200, 55P03, 57014.
        """
        holder = self._manager.by_xid.get(holder_xid)
        if holder is None:
            return turn
        entry = self._same_row(relfile, tid, turn)
        entry.updater = holder
        holder.row_queues.add(entry)
        text = f"transaction {holder_xid}"
        return self._wait_in_row(txn, entry, turn is not None, "ShareLock", text, f'relation "{name}"', tid)

    def _same_row(self, relfile: int, tid: int, turn: RowEntry | None) -> RowEntry:
        """The entry of version ``tid``; known to be a later version of ``turn``'s row, it is the same entry."""
        if turn is None:
            return self._row(relfile, tid)
        self._add_key(turn, (relfile, tid))
        for key in turn.keys:
            self.rows.setdefault(key, turn)
        return turn

    def _add_key(self, entry: RowEntry, key: tuple[int, int]) -> None:
        other = self.rows.get(key)
        if other is entry:
            return
        if other is not None:
            # Two queues of one row meet: who came by the older version goes first.
            entry.queue.extend(other.queue)
            for holder, held in other.holders.items():
                entry.holders.setdefault(holder, held)
                level = holder.row_locks.pop(other, 0)
                holder.row_locks.setdefault(entry, level)
            for waiting, _ in other.queue:
                if waiting.waiting is not None:
                    waiting.waiting.entry = entry
            other.queue.clear()
            other.holders.clear()
            for each in other.keys:
                self.rows[each] = entry
            entry.keys += other.keys
        else:
            self.rows[key] = entry
            entry.keys.append(key)
        if len(entry.keys) > ROW_KEYS_MAX:
            # The oldest versions' waiters have long followed the row.
            old = entry.keys.pop(0)
            if self.rows.get(old) is entry:
                del self.rows[old]

    def _row(self, relfile: int, tid: int) -> RowEntry:
        entry = self.rows.get((relfile, tid))
        if entry is None:
            if len(self.rows) >= self._max_row_locks:
                raise OutOfMemory(
                    "out of shared memory", hint="You might need to increase max_locks_per_transaction."
                )
            entry = self.rows[relfile, tid] = RowEntry((relfile, tid))
        return entry

    def _wait_in_row(
        self, txn: Txn, entry: RowEntry, front: bool, what: str, text: str, relation: str, tid: int
    ) -> RowEntry:
        waiter = Waiter()
        if front:
            entry.queue.appendleft((txn, waiter))
        else:
            entry.queue.append((txn, waiter))
        try:
            self._wait(txn, Waiting(entry, waiter, what, text))
        except BaseException as error:
            taken = not any(other is waiter for _, other in entry.queue)
            entry.queue = deque(each for each in entry.queue if each[1] is not waiter)
            if taken:
                self.turn_over(entry)
            self._drop_if_idle(entry)
            if isinstance(error, DeadlockDetected):
                error.where = f"while locking tuple ({tid >> 16},{tid & 0xFFFF}) in {relation}"
            raise
        return entry

    def turn_over(self, entry: RowEntry) -> None:
        """A transaction has had its turn at the row: when nobody took the row, the next one has it."""
        if entry.updater is None:
            self._wake_head(entry)

    def _wake_head(self, entry: RowEntry) -> None:
        entry.updater = None
        while entry.queue:
            _, waiter = entry.queue.popleft()
            if not waiter.done:
                waiter.wake(entry)
                return
        self._drop_if_idle(entry)

    def _drop_if_idle(self, entry: RowEntry) -> None:
        if not entry.queue and not entry.holders and entry.updater is None:
            for key in entry.keys:
                if self.rows.get(key) is entry:
                    del self.rows[key]

    def row_moved(self, txn: Txn, relfile: int, tid: int, new_tid: int, turn: RowEntry | None) -> None:
        """``txn`` has superseded version ``tid`` by ``new_tid`` (0: deleted the row): the queue goes along and waits
        for it."""
        entry = turn or self.rows.get((relfile, tid))
        if entry is None:
            return
        if entry.queue or entry.holders:
            self._add_key(entry, (relfile, tid))
            if new_tid:
                self._add_key(entry, (relfile, new_tid))
        if entry.queue:
            entry.updater = txn
            txn.row_queues.add(entry)
        else:
            entry.updater = None
            self._drop_if_idle(entry)

    def row_blockers(self, txn: Txn, relfile: int, tid: int, strength: int) -> list[Txn]:
        """Holders of SELECT … FOR locks that conflict with ``strength``."""
        entry = self.rows.get((relfile, tid))
        if entry is None or not entry.holders:
            return []
        conflicts = _ROW_CONFLICT[strength]
        return [other for other, (held, _) in entry.holders.items() if other is not txn and held in conflicts]

    def hold_row(self, txn: Txn, relfile: int, tid: int, strength: int) -> None:
        """Record a SELECT … FOR lock. Error: 53200."""
        entry = self._row(relfile, tid)
        level = len(txn.levels) - 1
        held = entry.holders.get(txn)
        if held is None or held[0] < strength:
            entry.holders[txn] = (strength, level if held is None else held[1])
            txn.row_locks[entry] = level if held is None else held[1]

    def wait_for_lockers(
        self, txn: Txn, relfile: int, tid: int, blockers: list[Txn], name: str, turn: RowEntry | None
    ) -> RowEntry:
        """Queue at a row that others hold with SELECT … FOR; as ``wait_for_row``."""
        entry = self._same_row(relfile, tid, turn)
        text = f"transaction {blockers[0].xid or 0}"
        return self._wait_in_row(txn, entry, turn is not None, "ShareLock", text, f'relation "{name}"', tid)

    # Transactions

    def wait_for_xid(self, txn: Txn, xid: int, name: str, again: bool = False) -> None:
        """Wait until the transaction of ``xid`` ends (a unique key that it is inserting). Errors: 40P01, 57014."""
        holder = self._manager.by_xid.get(xid)
        if holder is None or holder is txn:
            return
        waiter = Waiter()
        holder.waiters.append(waiter)
        try:
            self._wait(txn, Waiting(holder, waiter, "ShareLock", f"transaction {xid}"))
        except BaseException as error:
            if waiter in holder.waiters:
                holder.waiters.remove(waiter)
            if isinstance(error, DeadlockDetected):
                error.where = f'while inserting index tuple in relation "{name}"'
            raise

    # Waiting

    def _wait(self, txn: Txn, waiting: Waiting) -> None:
        txn.waiting = waiting
        timer = None
        try:
            self._check_deadlock(txn)
            session = txn.session
            timeout_ms = 0 if session is None else int(getattr(session, "lock_timeout_ms", 0) or 0)
            if timeout_ms > 0:
                error = LockNotAvailable("canceling statement due to lock timeout")
                timer = HUB.loop.call_later(timeout_ms / 1000, waiting.waiter.fail, error)
            if session is not None:
                session.lock_waiter = waiting.waiter
            HUB.wait(waiting.waiter)
        finally:
            txn.waiting = None
            if timer is not None:
                timer.cancel()
            if txn.session is not None:
                txn.session.lock_waiter = None

    def _blockers(self, txn: Txn) -> list[Txn]:
        waiting = txn.waiting
        if waiting is None or waiting.waiter.done:
            return []
        entry = waiting.entry
        if isinstance(entry, Txn):
            return [entry]
        if isinstance(entry, RowEntry):
            found = [holder for holder in entry.holders if holder is not txn]
            if entry.updater is not None and entry.updater is not txn:
                found.append(entry.updater)
            return found
        lock, mode = entry
        return self._relation_blockers(lock, txn, mode, waiting.waiter)

    def _check_deadlock(self, txn: Txn) -> None:
        """Depth-first over the waits-for graph; a way back to ``txn`` is 40P01."""
        path: list[Txn] = [txn]
        seen: set[Txn] = {txn}
        stack: list[Iterator[Txn]] = [iter(self._blockers(txn))]
        while stack:
            blocker = next(stack[-1], None)
            if blocker is None:
                stack.pop()
                path.pop()
            elif blocker is txn:
                raise self._deadlock(path)
            elif blocker not in seen:
                seen.add(blocker)
                path.append(blocker)
                stack.append(iter(self._blockers(blocker)))

    @staticmethod
    def _deadlock(path: list[Txn]) -> SqlError:
        lines = []
        for i, txn in enumerate(path):
            blocker = path[(i + 1) % len(path)]
            waiting = txn.waiting
            lines.append(
                f"Process {txn.pid} waits for {waiting.what} on {waiting.object_text};"
                f" blocked by process {blocker.pid}."
            )
        return DeadlockDetected("deadlock detected", detail="\n".join(lines), hint="See server log for query details.")

    # Release

    def release_all(self, txn: Txn, commit_lsn: int) -> None:
        """The transaction ended (``commit_lsn`` 0: aborted or read-only): everybody who waited for it goes on."""
        for oid in txn.table_locks:
            lock = self.relations[oid]
            del lock.holders[txn]
            if lock.queue or not lock.holders:
                lock.held = 0
                for modes in lock.holders.values():
                    lock.held |= modes
                self._grant_waiters(lock)
        txn.table_locks.clear()
        for waiter in txn.waiters:
            waiter.wake()
        txn.waiters.clear()
        if txn.row_locks:
            for entry in list(txn.row_locks):
                entry.holders.pop(txn, None)
                if entry not in txn.row_queues and entry.updater is None:
                    self._wake_head(entry)
            txn.row_locks.clear()
        if txn.row_queues:
            for entry in txn.row_queues:
                if entry.updater is txn:
                    self._wake_head(entry)
            txn.row_queues.clear()

    def release_rows_of_level(self, txn: Txn, index: int) -> None:
        """A rollback to savepoint level ``index``: its row locks go, and who waits looks again."""
        for entry, level in list(txn.row_locks.items()):
            if level >= index:
                del txn.row_locks[entry]
                entry.holders.pop(txn, None)
                if entry.updater is None:
                    self._wake_head(entry)
        for entry in list(txn.row_queues):
            # Whether the row itself was given back only its version tells: the head looks, and waits again if not.
            if entry.updater is txn:
                txn.row_queues.discard(entry)
                self._wake_head(entry)
        for waiter in txn.waiters:
            waiter.wake()
        txn.waiters.clear()
