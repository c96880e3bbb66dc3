"""A lock passes on when its holder's commit LSN is allocated: who takes it sees what the holder did, durable or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support_access import INT4, FakeSession, create, describe, make_storage, run_greenlets, spawn

from aurora.errors import InvariantViolation, QueryCanceled
from aurora.kernels import clog as clog_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.hub import HUB
from compute_node.txn.locks import (
    ACCESS_EXCLUSIVE,
    EXCLUSIVE,
    FOR_KEY_SHARE,
    FOR_UPDATE,
    ROW_EXCLUSIVE,
    SHARE,
    WeakLocks,
)

DESC = describe(1000, [INT4, INT4], [((1,), True)])


def opened() -> tuple[MemoryVolume, Storage, Any]:
    """A table with row 1, durable; from now on nothing becomes so."""
    volume = MemoryVolume(auto=False)
    storage = make_storage(volume)
    table = create(storage, DESC)
    txn = storage.txns.begin()
    table.insert(txn, (1, 0))
    storage.txns.commit(txn)
    volume.advance()
    return volume, storage, table


def tid_of(storage: Storage, table: Any, txn: Any) -> tuple[Any, int]:
    """A snapshot, and the address of row 1 in it."""
    snapshot = storage.txns.snapshot(txn)
    return snapshot, table.indexes[0].lookup(snapshot, (1,), (), True)[0][0]


def seen(storage: Storage, table: Any, txn: Any) -> list[int]:
    """Keys that the transaction's next statement sees."""
    snapshot = storage.txns.snapshot(txn)
    return sorted(row[0] for batch in table.scan(snapshot, (1,), False) for row in batch)


@pytest.mark.parametrize("strength", [FOR_UPDATE, FOR_KEY_SHARE])
def test_who_takes_a_row_lock_sees_what_its_last_holder_committed(strength: int) -> None:
    volume, storage, table = opened()
    txn = storage.txns.begin(session=FakeSession(1))
    table.lock(txn, *tid_of(storage, table, txn), FOR_UPDATE)
    table.insert(txn, (2, 0))
    lsn = storage.txns.commit(txn)
    assert lsn > volume.vdl
    session = FakeSession(2)
    other = storage.txns.begin(session=session)
    snapshot, tid = tid_of(storage, table, other)
    assert seen(storage, table, other) == [1]
    table.lock(other, snapshot, tid, strength)
    assert seen(storage, table, other) == [1, 2]
    assert session.dependency.lsn >= lsn  # and what it shows waits for that
    volume.advance()
    storage.txns.abort(other)
    assert seen(storage, table, storage.txns.begin()) == [1, 2]
    third = storage.txns.begin()
    table.lock(third, *tid_of(storage, table, third), FOR_UPDATE)
    storage.txns.commit(third)
    volume.advance()
    assert not storage.locks.row_blockers(storage.txns.begin(), DESC.relfile, tid, FOR_UPDATE)
    assert storage.locks.rows == {}


def test_who_updates_a_row_sees_what_the_last_to_lock_it_committed() -> None:
    _, storage, table = opened()
    txn = storage.txns.begin()
    table.lock(txn, *tid_of(storage, table, txn), FOR_UPDATE)
    table.insert(txn, (2, 0))
    storage.txns.commit(txn)
    other = storage.txns.begin()
    assert table.update_columns(other, *tid_of(storage, table, other), (2,), lambda row: (7,), ())
    assert seen(storage, table, other) == [1, 2]


@pytest.mark.parametrize(("held", "taken"), [(EXCLUSIVE, SHARE), (EXCLUSIVE, ROW_EXCLUSIVE), (ROW_EXCLUSIVE, SHARE)])
def test_who_takes_a_table_lock_sees_what_its_last_holder_committed(held: int, taken: int) -> None:
    volume, storage, table = opened()

    def lock(txn: Any, mode: int) -> None:
        if mode == ROW_EXCLUSIVE:
            storage.locks.take_weak(txn, WeakLocks(((DESC.oid, mode),)))
        else:
            storage.locks.lock_relation(txn, DESC.oid, mode)

    txn = storage.txns.begin()
    lock(txn, held)
    table.insert(txn, (2, 0))
    storage.txns.commit(txn)
    other = storage.txns.begin()
    assert seen(storage, table, other) == [1]
    lock(other, taken)
    assert seen(storage, table, other) == [1, 2]
    storage.txns.abort(other)
    volume.advance()
    again = storage.txns.begin()
    storage.locks.take_weak(again, WeakLocks(((DESC.oid, ROW_EXCLUSIVE),)))
    assert storage.locks.strong == set() and not storage.locks.relations


def test_a_lock_that_passed_on_is_forgotten_once_and_not_its_successor() -> None:
    volume, storage, table = opened()
    for turn in range(2):
        txn = storage.txns.begin()
        storage.locks.lock_relation(txn, DESC.oid, EXCLUSIVE)
        table.insert(txn, (10 + turn, 0))
        storage.txns.commit(txn)
    volume.advance()
    reader = storage.txns.begin()
    storage.locks.lock_relation(reader, DESC.oid, ACCESS_EXCLUSIVE)
    storage.txns.abort(reader)
    holder = storage.txns.begin()
    storage.locks.lock_relation(holder, DESC.oid, ACCESS_EXCLUSIVE)
    storage.locks.row_blockers(reader, DESC.relfile, 1, FOR_UPDATE)
    assert list(storage.locks.relations[DESC.oid].holders) == [holder]
    storage.txns.abort(holder)


def test_who_takes_the_key_of_a_removed_row_sees_that_it_is_gone() -> None:
    _, storage, table = opened()
    txn = storage.txns.begin()
    snapshot, tid = tid_of(storage, table, txn)
    table.delete(txn, snapshot, tid, lambda row: True, ())
    storage.txns.commit(txn)
    other = storage.txns.begin()
    assert seen(storage, table, other) == [1]
    table.insert(other, (1, 5))
    assert seen(storage, table, other) == [1]  # its own, and not beside the one removed


def test_a_commit_after_a_latest_snapshot_is_not_in_it() -> None:
    _, storage, table = opened()
    txn = storage.txns.begin()
    table.insert(txn, (2, 0))
    with storage.txns.reading("test") as shared:
        own = storage.txns.latest_snapshot(storage.txns.begin())
        lsn = storage.txns.commit(txn)
        assert shared.lsn < lsn and own.lsn < lsn
        rows = [row for batch in table.scan(shared, (1,), False) for row in batch]
    assert rows == [(1,)]


def test_a_cancel_does_not_cut_a_rollback_short() -> None:
    class SlowPages(MemoryVolume):
        slow = False

        def read_page(self, page_no: int) -> bytes | None:
            if self.slow:
                HUB.sleep(0.001)
            return super().read_page(page_no)

    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())
        volume = SlowPages()
        storage = make_storage(volume)
        table = create(storage, DESC)
        txn = storage.txns.begin()
        cancelled: list[bool] = []

        def work() -> None:
            table.insert(txn, (1, 0))
            storage.arena.drop(storage.clog_file.map.page_no(txn.write_xid // 1021))
            storage.clog = storage.txns._clog = clog_kernel.Clog(storage.arena, storage.mtr, storage.clog_file.map)
            volume.slow = True
            me = HUB.current()
            HUB.loop.call_soon(lambda: cancelled.append(HUB.interrupt(me, QueryCanceled("cancelled"))))
            storage.txns.abort(txn)

        assert await spawn(work) == [None]
        assert cancelled == [False]
        assert txn.ended and not storage.txns.active

    asyncio.run(go())


def test_a_version_of_nobody_is_a_defect_and_no_endless_wait() -> None:
    _, storage, _ = opened()

    def work() -> None:
        txn = storage.txns.begin()
        with pytest.raises(InvariantViolation):
            storage.locks.wait_for_xid(txn, 999_999, "i")
        with pytest.raises(InvariantViolation):
            storage.locks.wait_for_row(txn, 1, 1, 999_999, "t", None)

    run_greenlets(work)


def test_xids_are_reserved_by_one_for_all() -> None:
    """Page 3 of the commit log comes from a recycled extent, so that making it waits."""

    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())

        class SlowPages(MemoryVolume):
            def reserve(self, nbytes: int) -> None:
                if HUB.in_greenlet():
                    HUB.sleep(0.0001)

        storage = make_storage(SlowPages())
        table = create(storage, DESC)
        storage.txns.xid_range, storage.txns.next_xid = 1, storage.superblock.xid_limit

        def work(number: int) -> None:
            txn = storage.txns.begin()
            table.insert(txn, (number, 0))
            storage.txns.commit(txn)

        results = await spawn(*(lambda number=number: work(number) for number in range(40)))  # type: ignore[misc]
        assert results == [None] * 40
        assert storage.superblock.xid_limit >= storage.txns.next_xid

    asyncio.run(go())


def _writes_of_two_sessions(change: Any) -> list[str]:
    """What two sessions do to row 1, each of which has to wait for an xid first: ``has`` it, then ``ends``."""
    log: list[str] = []

    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())

        class SlowLog(MemoryVolume):
            def reserve(self, nbytes: int) -> None:
                if HUB.in_greenlet():
                    HUB.sleep(0.0001)

        storage = make_storage(SlowLog())
        table = create(storage, DESC)
        txn = storage.txns.begin()
        table.insert(txn, (1, 0))
        storage.txns.commit(txn)
        storage.txns.xid_range, storage.txns.next_xid = 1, storage.superblock.xid_limit

        def work(number: int) -> None:
            txn = storage.txns.begin()
            snapshot, tid = tid_of(storage, table, txn)
            if number == 0:
                table.lock(txn, snapshot, tid, FOR_UPDATE)
            else:
                change(table, txn, snapshot, tid)
            log.append("has")
            HUB.sleep(0.003)
            log.append("ends")
            storage.txns.commit(txn)

        assert await spawn(*(lambda number=number: work(number) for number in range(3))) == [None] * 3  # type: ignore[misc]

    asyncio.run(go())
    return log


@pytest.mark.parametrize(
    "change",
    [
        lambda table, txn, snapshot, tid: table.lock(txn, snapshot, tid, FOR_UPDATE),
        lambda table, txn, snapshot, tid: table.update_columns(txn, snapshot, tid, (2,), lambda row: (1,), ()),
    ],
    ids=["for update", "update"],
)
def test_nothing_comes_between_the_look_at_a_row_and_its_lock(change: Any) -> None:
    assert _writes_of_two_sessions(change) == ["has", "ends"] * 3
