"""A table's writes, with everything that belongs to them; how it is read is ``TableReader``'s.

A write is: log space reserved, heap kernel (one mini-transaction), then an entry in each index that needs one. A
kernel that misses a page is restarted after the load. An update stays on its page when there is room, after pruning
if need be; when no indexed column changes it leaves the indexes alone. Who meets a row that somebody else is changing
waits at the row and goes on with the newest version (READ COMMITTED) or fails with 40001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, LockNotAvailable, SerializationFailure, SqlError
from aurora.ids import Lsn
from aurora.kernels.python.heap import AWAY, BUSY, GONE, NEEDS_TOAST, OK, RETRY, SELF
from aurora.page import PAGE_BYTES
from compute_node.access import free_space
from compute_node.access.index_access import HeapReader, IndexAccess, RowKeys
from compute_node.access.methods import open_index
from compute_node.access.page_updates import ComputeMany, PageUpdates
from compute_node.access.stored import LAZY, resolved_row
from compute_node.access.table_reader import WRITE_REDO_BYTES, TableReader
from compute_node.access.toast import Toaster
from compute_node.access.vacuum_truncate import is_empty
from compute_node.hub import HUB
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.txn.counts import (
    DELETED,
    INSERTED,
    ONE_DELETED,
    ONE_HOT,
    ONE_INSERTED,
    ONE_UPDATED,
    PENDING_MAX,
    RowChange,
)
from compute_node.txn.locks import FOR_KEY_SHARE, FOR_NO_KEY_UPDATE, FOR_UPDATE, NOWAIT, SKIP_LOCKED, WAIT, RowQueue
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.tuples import Projection
    from compute_node.access.storage import Storage
    from compute_node.txn.serializable import SerialTxn


Probe = tuple[int, int, Lsn, Datum]
"""``(code, tid, LSN of the change, columns or who is changing it)``: see the heap kernel's ``probe``."""
Compute = Callable[[Row], Sequence[Datum] | None]

BULK_ROWS_MIN = 16
OWN_ROWS = 64
"""Rows whose pages are in the cache at the same time."""
STRENGTHS = {"key share": 0, "share": 1, "no key update": 2, "update": 3}


class RowMoved(SqlError):
    """The row has left the table for another partition since the snapshot."""

    sqlstate = "40001"


class UpdatePlan:
    """What an update of certain columns means for this table's rows and indexes."""

    __slots__ = (
        "by_pages",
        "hot",
        "key_positions",
        "keys",
        "may_wait",
        "positions",
        "projection",
        "unchanged",
        "uniques",
    )

    def __init__(self, table: Table, changed: tuple[int, ...], needed: tuple[int, ...]) -> None:
        self.positions = tuple(attno - 1 for attno in changed)
        self.projection = table.projection(needed, False)
        touched = set(changed)
        affected = {index for index in table.indexes if index.keys.depends_on(touched)}
        self.hot = not affected and not any(keys.depends_on(touched) for keys in table.coming)
        keys = {attno for index in affected if index.is_row_key for attno in index.desc.columns if attno in touched}
        named = [(place, attno) for place, attno in enumerate(changed) if attno in keys]
        self.key_positions = tuple(place for place, _ in named)
        """Which of the new values are of columns that make a row known; they may be what they were."""
        self.keys = table.projection(tuple(attno for _, attno in named), False) if named else None
        self.unchanged = [index not in affected for index in table.indexes]
        self.may_wait = not any(index.desc.unique or index.desc.exclusion for index in affected)
        """Whether nobody notices index entries that come later in the statement: a key that is to be its own does."""
        self.uniques = [index for index in affected if index.desc.unique and index.desc.immediate]
        self.by_pages: bool = all(index.is_row_key for index in self.uniques) and not any(
            index.desc.exclusion for index in affected
        )
        """Whether it can be told of new keys whether the order of the rows matters for them."""


class Table(TableReader):
    """The access methods of one relation descriptor; made by ``Storage.table``."""

    def __init__(self, storage: Storage, desc: RelationDesc) -> None:
        super().__init__(storage, desc)
        self.toast = None if desc.toast is None else Toaster(self)
        self._chains = HeapReader(self)
        self.fill_reserve = PAGE_BYTES * (100 - desc.fillfactor) // 100
        self._plans: dict[tuple[tuple[int, ...], tuple[int, ...]], UpdatePlan] = {}
        self.full_page: tuple[int, int, int] | None = None
        """(block, xid, cid): that page has no room for new versions, as that statement has found"""
        self._every = tuple(range(1, len(desc.columns) + 1))
        self._assign = storage.txns.assign
        self._locks = storage.locks
        self._probe = self.heap.probe
        self._update = self.heap.update
        self._encode = self.codec.encode
        self._insert = self.heap.insert
        counts = self.counts
        self._one_inserted, self._one_deleted = RowChange(counts, ONE_INSERTED), RowChange(counts, ONE_DELETED)
        self._one_updated, self._one_hot = RowChange(counts, ONE_UPDATED), RowChange(counts, ONE_HOT)
        self._reader = self.for_indexes()
        self.indexes = [open_index(self._reader, each) for each in desc.indexes if each.ready]
        self.coming = [RowKeys(storage, desc, each) for each in desc.indexes if each.live and not each.ready]
        """Of the indexes that rows are not entered into yet (CREATE INDEX CONCURRENTLY): whoever builds them finds one
        key a chain of versions."""
        self._by_oid = {each.desc.oid: each for each in self.indexes}
        self._keyed = self._every
        """every column, those that no index needs as they are stored"""
        keys = {attno for index in self.indexes for attno in index.keys.attnos}
        if self.toast is not None and 0 not in keys:
            self._keyed = tuple(each % LAZY if each % LAZY in keys else each for each in self.toast.lazy_columns)

    def index(self, desc: IndexDesc) -> IndexAccess:
        """The index of that descriptor."""
        found = self._by_oid.get(desc.oid)
        return found if found is not None else open_index(self._reader, desc)

    def reserve_bytes(self, nbytes: int) -> None:
        """Reserve log space, before the change of several rows of a page; may wait."""
        self._reserve(nbytes)

    # Inserting

    def insert(self, txn: Txn, values: Sequence[Datum]) -> int:
        """Insert a row; its tid. Errors: 22003, 23505, 40P01, 54000."""
        tid = self._insert_heap(txn, values)
        txn.levels[-1].note(self._one_inserted)
        if txn.serial is not None:
            self._note_insert(txn.serial, values)
        for index in self.indexes:
            index.add(txn, values, tid)
        return tid

    def _note_insert(self, serial: SerialTxn, values: Sequence[Datum]) -> None:
        if self.serial_id:
            serial.inserts(self.serial_id)
            for index in self.indexes:
                index.note_entry(serial, values)

    def _insert_heap(self, txn: Txn, values: Sequence[Datum]) -> int:
        image = self._encode(values)
        if image is None:
            image = self._toast_image(txn, values)
        self._reserve(WRITE_REDO_BYTES)
        xid = txn.write_xid or self._assign(txn)
        file = self.file
        while True:
            block = file.target
            if block >= 0:
                tid: int = self._insert(block, image, xid, txn.cid, self.fill_reserve)
                if tid > 0:
                    return tid
                if tid < 0:
                    self._load(-tid)
                    continue
            file.target = self._next_block(len(image) + self.fill_reserve)

    def _toast_image(self, txn: Txn, values: Sequence[Datum]) -> bytes:
        """The image of a row that the codec found too long."""
        if self.toast is None:
            raise InvariantViolation(f"table {self.name} has a limit and no TOAST table")
        return self.toast.image(txn, values)

    def _next_block(self, need: int) -> int:
        """A block with at least ``need`` free bytes as far as is known, else a new one. May wait."""
        file = self.file
        if not file.free.loaded:
            self._find_room()
        elif file.target >= 0:
            # What is left there is too little for this row, and may do for others.
            room = self.heap.free_space(file.target)
            if 0 <= room < need:
                file.free.note(file.target, room)
        block = file.free.take(need, file.fresh)
        return block if block >= 0 else int(self.storage.extents.new_block(file))

    def _find_room(self) -> None:
        """The first insert after a restart: what the space map says, and the last block, or all blocks of a few."""
        file = self.file
        free_space.load(self.storage, file)
        few = file.fresh <= free_space.BLOCKS_WITHOUT_MAP
        for block in range(0 if few else file.fresh - 1, file.fresh):
            while (room := self.heap.free_space(block)) < 0:
                self._load(-room)
            file.free.note(block, room)

    def insert_or_find(self, txn: Txn, values: Sequence[Datum], arbiters: Sequence[IndexAccess]) -> tuple[int, int]:
        """Insert unless a live row has an equal key in one of ``arbiters``: ``(tid, 0)``, or ``(0, that row's tid)``
        after waiting for rows in doubt. The row found may be newer than the statement's snapshot."""
        locks, excludes = self.storage.locks, any(index.desc.exclusion for index in arbiters)
        while True:
            for index in arbiters:
                found = index.find_conflict(txn, values)
                if found:
                    return 0, found
            tid = self._insert_heap(txn, values)
            txn.levels[-1].note(self._one_inserted)
            if txn.serial is not None:
                self._note_insert(txn.serial, values)
            with locks.speculation(txn) if excludes else nullcontext():
                if self._is_entered(txn, values, tid, arbiters):
                    return tid, 0
                # Somebody came in between: take the row back and look again.
                while (outcome := self.heap.delete(tid, txn.write_xid, txn.cid)) < RETRY:
                    self._load(-outcome)
                txn.levels[-1].note(self._one_deleted)
                if self.toast is not None:
                    self.toast.drop_version(txn, tid)
                if excludes:
                    txn.tie().withdrawn.add((self.desc.relfile, tid))

    def _is_entered(self, txn: Txn, values: Sequence[Datum], tid: int, arbiters: Sequence[IndexAccess]) -> bool:
        """Enter a row in its indexes, up to the first arbiter that finds a conflict; whether there was none."""
        for index in self.indexes:
            if index not in arbiters:
                index.add(txn, values, tid)
            elif index.try_add(txn, values, tid):
                return False
        return True

    def insert_many(self, txn: Txn, rows: Sequence[Sequence[Datum]]) -> int:
        """Insert rows, whole pages at a time where they fill some; their number. Errors as for ``insert``, with ``row``
        where it is known which one it was."""
        if len(rows) < BULK_ROWS_MIN:
            for number, row in enumerate(rows):
                try:
                    self.insert(txn, row)
                except SqlError as error:
                    error.row = number
                    raise
            return len(rows)
        self._insert_bulk(txn, rows)
        return len(rows)

    def refill(self, txn: Txn, rows: Sequence[Sequence[Datum]], xid: int = 0) -> None:
        """``insert_many`` of rows that the table had before it was written anew: nothing is to follow from them, and
        statistics do not count them. ``xid``: who inserted them, if it is not to be ``txn``."""
        self._insert_bulk(txn, rows, counted=False, xid=xid)

    def _insert_bulk(self, txn: Txn, rows: Sequence[Sequence[Datum]], counted: bool = True, xid: int = 0) -> list[int]:
        """Whole pages, and the index entries in one go; the rows' tids."""
        tids = self._insert_pages(txn, rows, xid)
        if counted:
            txn.levels[-1].changed(self.counts)[INSERTED] += len(tids)
        if txn.serial is not None:
            for row in rows:
                self._note_insert(txn.serial, row)
        for index in self.indexes:
            index.add_many(txn, rows, tids)
        return tids

    def _insert_pages(self, txn: Txn, rows: Sequence[Sequence[Datum]], xid: int = 0) -> list[int]:
        storage, heap, file = self.storage, self.heap, self.file
        xid = xid or txn.write_xid or self._assign(txn)
        tids: list[int] = []
        at, total = 0, len(rows)
        rows = list(rows) if self.toast is not None else rows
        while at < total:
            # The open page takes what it can, then those in which vacuum found room; the rest goes to fresh pages. A
            # page without a row is logged as one image.
            self._reserve(WRITE_REDO_BYTES)
            block = file.target
            if block >= 0:
                stored = heap.insert_rows(block, rows, at, xid, txn.cid, self.fill_reserve)
                if isinstance(stored, int):
                    self._load(stored)
                    continue
                if stored:
                    tids += stored
                    at += len(stored)
                    continue
            row = rows[at]
            image = row if isinstance(row, bytes) else self._encode(row)
            if image is None:
                # The kernels end a page before a row that needs TOAST; from here on it is given as its image.
                rows[at] = self._toast_image(txn, row)  # type: ignore[index]
                continue
            block = self._next_block(len(image) + self.fill_reserve)
            frame = self._cache.get(file.map.page_no(block))
            if not is_empty(self._cache.arena.page(frame), self.relfile):
                file.target = block
                continue
            page, count = heap.fill_page(rows, at, xid, txn.cid, self.fill_reserve)
            with storage.mtr:
                storage.mtr.image(frame, page)
            first = block << 16 | 1
            tids += range(first, first + count)
            at += count
            file.rows += count
            file.target = block if at >= total or self.toast is not None else -1
        return tids

    # Meeting others

    def _settle(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        proj: Projection,
        strength: int,
        wait: str = WAIT,
        turn: RowQueue | None = None,
        locking: bool = False,
    ) -> tuple[Probe | None, RowQueue | None]:
        """Wait until nobody else is changing the row or holds it against ``strength``: the ``OK`` probe (None: the
        row is gone) and the row's queue, if this transaction had its turn there. A change that leaves the key alone is
        no obstacle to FOR KEY SHARE: the probe is ``BUSY`` then. Errors: 40001, 40P01, 55P03."""
        try:
            while True:
                found = self._probe(tid, snapshot, proj, txn.follow)
                if isinstance(found, int):
                    self._load(found)
                    continue
                code, at, lsn, extra = found
                if lsn:
                    if not txn.follow:
                        # To SELECT … FOR, PostgreSQL says "update" of a deleted row too.
                        what = "delete" if code == GONE and not locking else "update"
                        raise SerializationFailure(f"could not serialize access due to concurrent {what}")
                    txn.depend(lsn)
                if code == AWAY:
                    raise RowMoved("tuple to be locked was already moved to another partition due to concurrent update")
                if code in (GONE, SELF):
                    return None, turn
                blockers = None
                if code == OK or (strength == FOR_KEY_SHARE and self._versions(at, snapshot)):
                    blockers = self._locks.row_blockers(txn, self.relfile, at, strength) if self._locks.rows else None
                    if not blockers:
                        return found, turn
                if wait == SKIP_LOCKED:
                    return None, turn
                if wait == NOWAIT:
                    raise LockNotAvailable(f'could not obtain lock on row in relation "{self.name}"')
                if blockers:
                    turn = self._locks.wait_for_lockers(txn, self.relfile, at, blockers, self.name, turn)
                else:
                    turn = self._locks.wait_for_row(txn, self.relfile, at, extra, self.name, turn)
        except BaseException:
            if turn is not None:
                self._locks.turn_over(turn)
            raise

    # Updating

    def plan_of(self, changed: tuple[int, ...], needed: tuple[int, ...]) -> UpdatePlan:
        """What an update of these columns means."""
        plan = self._plans.get((changed, needed))
        if plan is None:
            plan = self._plans[changed, needed] = UpdatePlan(self, changed, needed)
        return plan

    def update_many(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tids: list[int],
        changed: tuple[int, ...],
        compute: ComputeMany,
        needed: tuple[int, ...],
        later: list[int],
    ) -> int:
        """``update_columns`` of many rows, in mini-transactions of a page's rows where nobody is in the way; how many
        qualified."""
        return PageUpdates(self, txn, snapshot, changed, needed, later).run(tids, compute)

    def update_columns(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        changed: tuple[int, ...],
        compute: Compute,
        needed: tuple[int, ...],
        recheck: Callable[[int, Row], Compute | None] | None = None,
        later: list[int] | None = None,
    ) -> int | None:
        """Update the row whose version ``tid`` the snapshot sees: ``compute`` gets the columns ``needed`` of its
        newest version and gives the new values of ``changed``, or None when the row no longer qualifies. ``recheck``
        is asked when that version (tid, columns) is newer than the snapshot: it gives the function to take instead, or
        None. Tids in ``later`` are for ``enter_many`` to enter into the indexes. The new tid, None when not updated.
        Errors: 23505, 40001, 40P01, 54000, 55P03."""
        plan = self._plans.get((changed, needed)) or self.plan_of(changed, needed)
        self._reserve(WRITE_REDO_BYTES)
        xid = txn.write_xid or self._assign(txn)  # now: between the look at the row and its change nothing may wait
        locks, projection = self._locks, plan.projection
        found: Probe | int | None = self._probe(tid, snapshot, projection, txn.follow)
        entry = None
        strength, new_key = FOR_NO_KEY_UPDATE, False
        try:
            while True:
                qualified = compute
                if not isinstance(found, tuple) or found[0] != OK or found[2] or locks.rows:
                    found, entry = self._settle(txn, snapshot, tid, projection, strength, WAIT, entry)
                    if found is None:
                        return None
                    if found[2] and recheck is not None:
                        again = recheck(found[1], self._resolved(found[3], projection))
                        if again is None:
                            return None
                        qualified = again
                values = qualified(found[3] if self.toast is None else self._resolved(found[3], projection))
                if values is None:
                    return None
                at = found[1]
                if plan.keys is not None:
                    # Who holds it FOR KEY SHARE is in the way of a new key only.
                    new_key = self._has_new_key(plan, plan.keys, snapshot, at, values)
                    strength = FOR_UPDATE if new_key else FOR_NO_KEY_UPDATE
                if locks.rows and locks.row_blockers(txn, self.relfile, at, strength):
                    found = self._probe(tid, snapshot, projection, txn.follow)
                    continue
                elsewhere = -1
                if later is not None and self.full_page == (at >> 16, xid, txn.cid):
                    elsewhere = self.file.target
                new_tid: int = self._update(at, plan.positions, values, xid, txn.cid, plan.hot, new_key, elsewhere)
                if new_tid <= 0:
                    new_tid = self._update_elsewhere(txn, at, plan, values, new_key, new_tid, elsewhere)
                if new_tid != RETRY:
                    break
                found = self._probe(tid, snapshot, projection, txn.follow)
            if entry is not None or locks.rows:
                locks.row_taken(txn, self.relfile, at, new_tid, entry)
        finally:
            if entry is not None:
                locks.turn_over(entry)
        if self.toast is not None:
            self.toast.drop_superseded(txn, at, plan.positions, new_tid)
        if txn.serial is not None and self.serial_id:
            txn.serial.replaces(self.serial_id, self.relfile, at)
        rows = txn.levels[-1].rows
        if plan.hot and new_tid >> 16 == at >> 16:
            rows.append(self._one_hot)
        else:
            rows.append(self._one_updated)
            self.file.dead_rows += 1
            if later is None or not plan.may_wait:
                self._enter(txn, new_tid, plan)
            else:
                later.append(new_tid)
        if len(rows) > PENDING_MAX:
            txn.levels[-1].sums()
        return new_tid

    def enter_many(self, txn: Txn, changed: tuple[int, ...], needed: tuple[int, ...], tids: list[int]) -> None:
        """Enter into the indexes what ``update_columns`` of these columns has left for later."""
        if not tids or not self.indexes:
            return
        plan = self._plans[changed, needed]
        rows: list[Row] = []
        for start in range(0, len(tids), OWN_ROWS):
            rows += self._own_rows(tids[start : start + OWN_ROWS])
            HUB.pulse()
        if txn.serial is not None and self.serial_id:
            for row in rows:
                self._note_insert(txn.serial, row)
        for index, unchanged in zip(self.indexes, plan.unchanged, strict=True):
            index.add_many(txn, rows, tids, not unchanged)
            HUB.pulse()

    def _has_new_key(
        self, plan: UpdatePlan, keys: Projection, snapshot: Snapshot, tid: int, values: Sequence[Datum]
    ) -> bool:
        """Whether the new values of the columns that make a row known are others than those of version ``tid``."""
        while isinstance(found := self._probe(tid, snapshot, keys, False), int):
            self._load(found)
        if found[0] != OK:
            return True  # it has changed while its page was waited for: the update will notice
        return self._resolved(found[3], keys) != tuple(values[place] for place in plan.key_positions)

    def _resolved(self, row: Row, proj: Projection) -> Row:
        """The row with values in place of the handles that the projection may give."""
        return row if self.toast is None or not proj.eager else resolved_row(row, proj.eager)

    def _update_elsewhere(
        self,
        txn: Txn,
        tid: int,
        plan: UpdatePlan,
        values: Sequence[Datum],
        new_key: bool,
        outcome: int,
        block: int,
    ) -> int:
        """Go on with an update whose page was missing or full, or whose new version is too long: TOAST, prune, else put
        the new version on another page."""
        pruned, positions, toasted = block >= 0, plan.positions, False
        while outcome <= 0 and outcome != RETRY:
            if outcome == NEEDS_TOAST:
                stored = self._toast_version(txn, tid, positions, values)
                if stored is None:
                    return RETRY
                positions, values, toasted = tuple(range(len(stored))), stored, True
                self._reserve(WRITE_REDO_BYTES)
            elif outcome < 0:
                self._load(-outcome)
            elif not pruned:
                pruned = True
                txns = self.storage.txns
                horizon = txns.recent_horizon()
                removed = self.heap.prune(tid >> 16, horizon)
                if not removed:
                    horizon = txns.row_horizon()
                    removed = self.heap.prune(tid >> 16, horizon)
                if removed > 0:
                    txns.removed(horizon)
                    self.counts.dead -= removed
                if removed < 0:
                    self._load(-removed)
                    pruned = False
                elif not removed:
                    self.full_page = (tid >> 16, txn.write_xid, txn.cid)
                    block = self.file.target if self.file.target != tid >> 16 else -1
            else:
                if block >= 0 or self.file.target < 0 or self.file.target == tid >> 16:
                    self._reserve(WRITE_REDO_BYTES)
                    self.file.target = self._next_block(256 + self.fill_reserve)
                block = self.file.target
            strength = FOR_UPDATE if new_key else FOR_NO_KEY_UPDATE
            if self._locks.rows and self._locks.row_blockers(txn, self.relfile, tid, strength):
                outcome = RETRY  # locked while this waited
                break
            xid, cid = txn.write_xid, txn.cid
            outcome = self._update(tid, positions, values, xid, cid, plan.hot, new_key, block, toasted)
        if outcome == RETRY and toasted and self.toast is not None:
            # Somebody changed the row meanwhile: what was moved out of line belongs to no version.
            old = {handle.value_id for handle in self.toast.externals(tid)}
            for value in values:
                if self.toast.is_external(value) and value.value_id not in old:
                    self.toast.delete(txn, value)
        return outcome

    def _toast_version(
        self, txn: Txn, tid: int, positions: Sequence[int], values: Sequence[Datum]
    ) -> Sequence[Datum] | None:
        """The columns of version ``tid`` with ``positions`` set to ``values``, stored so that the row is short; None
        when the version is gone."""
        if self.toast is None:
            raise InvariantViolation(f"table {self.name} has a limit and no TOAST table")
        old = self.toast.version(tid)
        if old is None:
            return None
        cells = list(old)
        for position, value in zip(positions, values, strict=True):
            cells[position] = value
        return self.toast.shrink(txn, cells)

    def _enter(self, txn: Txn, tid: int, plan: UpdatePlan) -> None:
        """Index entries of a new version that is not heap-only."""
        if not self.indexes:
            return
        row = self._own_row(txn, tid)
        if txn.serial is not None and self.serial_id:
            for index in self.indexes:
                index.note_entry(txn.serial, row)
        for index, unchanged in zip(self.indexes, plan.unchanged, strict=True):
            # An unchanged key was unique already, in a version that this transaction has superseded.
            index.add(txn, row, tid, not unchanged)

    def _own_row(self, txn: Txn, tid: int) -> Row:
        snapshot = self.storage.txns.latest_snapshot(txn)
        row = self.fetch(snapshot, tid, self._keyed)
        if row is None:
            raise SerializationFailure("could not serialize access due to concurrent update")
        return row

    def _own_rows(self, tids: list[int]) -> list[Row]:
        """The rows of versions that this statement has just made."""
        proj = self.projection(self._keyed, False)
        while isinstance(rows := self.heap.fetch_stored(tids, proj), int):
            self._load(rows)
        if len(rows) != len(tids):
            raise SerializationFailure("could not serialize access due to concurrent update")
        return rows if self.toast is None or not proj.eager else [resolved_row(row, proj.eager) for row in rows]

    def update(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        new_values: Sequence[Datum],
        changed: tuple[int, ...],
        recompute: Callable[[Row], Sequence[Datum] | None],
    ) -> int | None:
        """``update_columns`` with the whole new row at hand: ``recompute`` gets the newest version when the row has
        changed since the snapshot, and gives the new row or None."""
        seen = self.fetch(snapshot, tid, self._every)

        def compute(row: Row) -> Sequence[Datum] | None:
            new = new_values if row == seen else recompute(row)
            return None if new is None else [new[attno - 1] for attno in changed]

        return self.update_columns(txn, snapshot, tid, changed, compute, self._every)

    def delete(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        recheck: Callable[[Row, int], bool],
        needed: tuple[int, ...],
        away: bool = False,
    ) -> int:
        """Delete the row whose version ``tid`` the snapshot sees; ``recheck`` gets the columns ``needed`` and the tid
        of a version newer than that. ``away``: the row goes to another partition, and who waits for it learns that.
        The tid of the version that was deleted, 0 when none was. Errors: 40001, 40P01, 55P03."""
        proj = self.projection(needed, False)
        self._reserve(WRITE_REDO_BYTES)
        if not txn.write_xid:
            self._assign(txn)  # now, as in ``update_columns``
        entry = None
        try:
            while True:
                found, entry = self._settle(txn, snapshot, tid, proj, FOR_UPDATE, WAIT, entry)
                if found is None:
                    return 0
                at = found[1]
                if found[2]:
                    if not recheck(self._resolved(found[3], proj), at):
                        return 0
                    if self._locks.rows and self._locks.row_blockers(txn, self.relfile, at, FOR_UPDATE):
                        continue  # locked meanwhile
                outcome = self.heap.delete(at, txn.write_xid, txn.cid, away)
                if outcome == 1:
                    self.file.dead_rows += 1
                    txn.levels[-1].note(self._one_deleted)
                    if entry is not None:
                        self._locks.row_taken(txn, self.relfile, at, 0, entry)
                    if self.toast is not None:
                        self.toast.drop_version(txn, at)
                    if txn.serial is not None and self.serial_id:
                        txn.serial.replaces(self.serial_id, self.relfile, at)
                    return at
                if outcome < RETRY:
                    self._load(-outcome)
        finally:
            if entry is not None:
                self._locks.turn_over(entry)

    def delete_many(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tids: list[int],
        recheck: Callable[[Row, int], bool],
        needed: tuple[int, ...],
    ) -> int:
        """``delete`` of many rows, in mini-transactions of a page's rows where nobody is in the way; their number."""
        alone = txn.serial is None or not self.serial_id
        xid = txn.write_xid or self._assign(txn)
        at = count = 0
        while at < len(tids):
            self._reserve(WRITE_REDO_BYTES)
            done = self.heap.delete_many(tids, at, xid, txn.cid) if alone and not self._locks.rows else 0
            if done < 0:
                self._load(-done)
                continue
            if done:
                self.file.dead_rows += done
                txn.levels[-1].changed(self.counts)[DELETED] += done
                count += done
            else:
                done = 1
                count += self.delete(txn, snapshot, tids[at], recheck, needed) != 0
            at += done
        return count

    def lock(
        self, txn: Txn, snapshot: Snapshot, tid: int, strength: int | str, wait: str = WAIT
    ) -> tuple[int, Row, bool] | None:
        """Lock the row whose version ``tid`` the snapshot sees: ``(tid, whole row, moved)`` of the version that the
        lock is for, ``moved`` when it is newer than the snapshot's; None when the row is gone (or is locked, with
        ``wait`` "skip"). ``strength`` as SQL writes it ("update", "no key update", "share", "key share") or 3–0.
        Errors: 40001, 40P01, 53200, 55P03."""
        level = STRENGTHS[strength] if isinstance(strength, str) else strength
        wait = WAIT if wait == "block" else wait
        if not txn.write_xid:
            self._assign(txn)  # now: between the look at the row and its lock nothing may wait
        if level == FOR_KEY_SHARE:
            row = self._lock_key(txn, snapshot, tid)
            if row is not None:
                return tid, row, False
        proj = self.projection(self._every, False)
        entry = None
        try:
            while True:
                found, entry = self._settle(txn, snapshot, tid, proj, level, wait, entry, True)
                if found is None:
                    return None
                code, at, lsn, row = found
                if code != BUSY:
                    self._locks.hold_row(txn, self.relfile, [at], level, entry)
                    return at, self._resolved(row, proj), lsn != 0
                waits = self._cache.waits
                row = self.fetch(self.storage.txns.latest_snapshot(txn), at, self._every)
                versions = self._versions(at, snapshot)
                if self._cache.waits != waits:
                    continue
                if row is None or not versions:
                    raise SerializationFailure("could not serialize access due to concurrent update")
                self._locks.hold_row(txn, self.relfile, versions, level, entry)
                return at, row, lsn != 0
        finally:
            if entry is not None:
                self._locks.turn_over(entry)

    def _lock_key(self, txn: Txn, snapshot: Snapshot, tid: int) -> Row | None:
        """FOR KEY SHARE of a row beside changes that leave its key alone: the snapshot's row; None when there is more
        to it."""
        while True:
            waits = self._cache.waits
            versions = self._versions(tid, snapshot)
            if not versions or self._key_is_held(txn, versions):
                return None
            row = self.fetch(snapshot, tid, self._every)
            if row is None:
                return None
            if self._cache.waits == waits:
                self._locks.hold_row(txn, self.relfile, versions, FOR_KEY_SHARE, None)
                return row

    def _key_is_held(self, txn: Txn, versions: list[int]) -> bool:
        """Whether somebody holds one of a row's versions FOR UPDATE."""
        locks = self._locks
        return bool(locks.rows) and any(locks.row_blockers(txn, self.relfile, at, FOR_KEY_SHARE) for at in versions)

    def _key_is_changing(self, tid: int) -> bool:
        while (changing := self.heap.key_is_changing(tid)) < 0:
            self._load(-changing)
        return bool(changing)

    def _versions(self, tid: int, snapshot: Snapshot) -> list[int] | None:
        """The version ``tid`` and those after it, committed or not, as long as none of them changes the key or deletes
        the row: what FOR KEY SHARE locks. None when one does, or this transaction itself changed the row."""
        proj = self.projection((), False)
        versions = [tid]
        while True:
            at = versions[-1]
            found = self._probe(at, snapshot, proj, False)
            if isinstance(found, int):
                self._load(found)
                continue
            if found[0] == OK:
                return versions
            if (found[0] == SELF and len(versions) == 1) or self._key_is_changing(at):
                return None
            while (following := self.heap.successor(at)) < 0:
                self._load(-following)
            if not following:
                return None
            versions.append(following)
