"""Transactions beside each other: snapshots, waiting for rows, re-checks, deadlocks, early lock release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support_access import INT4, FakeSession, create, describe, make_storage, rows_of, spawn

from aurora.errors import DeadlockDetected, LockNotAvailable, QueryCanceled, SerializationFailure, UniqueViolation
from compute_node.access.memory_volume import MemoryVolume
from compute_node.hub import HUB, Waiter
from compute_node.txn.locks import ACCESS_EXCLUSIVE, ACCESS_SHARE, ROW_EXCLUSIVE, SHARE


class Bench:
    """A table (a int4 primary key, b int4) with rows (1, 0) … (5, 0), and sessions."""

    def __init__(self, auto: bool = True) -> None:
        self.volume = MemoryVolume(auto=auto)
        self.storage = make_storage(self.volume)
        self.table = create(self.storage, describe(1000, [INT4, INT4], [((1,), True)]))
        txn = self.storage.txns.begin()
        for i in range(1, 6):
            self.table.insert(txn, (i, 0))
        self.storage.txns.commit(txn)
        self.volume.advance()
        self.sessions = 0

    def begin(self, isolation: str = "read committed") -> Any:
        self.sessions += 1
        return self.storage.txns.begin(isolation, session=FakeSession(self.sessions))

    def find(self, txn: Any, key: int, snapshot: Any = None) -> tuple[Any, int]:
        snapshot = snapshot or self.storage.txns.snapshot(txn)
        [(tid,)] = self.table.indexes[0].lookup(snapshot, (key,), (), True)
        return snapshot, tid

    def add(self, txn: Any, key: int, amount: int) -> int | None:
        snapshot, tid = self.find(txn, key)
        result: int | None = self.table.update_columns(txn, snapshot, tid, (2,), lambda row: (row[0] + amount,), (2,))
        return result


def run(main: Callable[[], Any]) -> Any:
    async def go() -> Any:
        HUB.bind(asyncio.get_running_loop())
        return await main()

    return asyncio.run(go())


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_no_lost_update_among_many() -> None:
    bench = Bench()

    def client() -> None:
        for _ in range(5):
            txn = bench.begin()
            assert bench.add(txn, 1, 1)
            HUB.yield_turn()
            bench.storage.txns.commit(txn)

    async def main() -> None:
        results = await spawn(*[client] * 40)
        assert results == [None] * 40

    run(main)
    assert rows_of(bench.table)[0] == (1, 200)
    assert not bench.storage.locks.rows
    assert not bench.storage.txns.active


def test_only_the_head_of_the_queue_wakes() -> None:
    bench = Bench()
    done: list[int] = []

    def client(number: int) -> None:
        txn = bench.begin()
        bench.add(txn, 1, 1)
        done.append(number)
        gates[number].wait_here()
        bench.storage.txns.commit(txn)

    class Gate:
        def __init__(self) -> None:
            self.waiter = Waiter()

        def wait_here(self) -> None:
            HUB.wait(self.waiter)

    gates = [Gate() for _ in range(10)]

    async def main() -> None:
        tasks = [asyncio.ensure_future(HUB.call(client, i)) for i in range(10)]
        await turns()
        for i in range(10):
            assert done == list(range(i + 1))
            gates[i].waiter.wake()
            await turns()
        await asyncio.gather(*tasks)

    run(main)
    assert rows_of(bench.table)[0] == (1, 10)


def test_recheck_sees_the_new_version_and_may_decline() -> None:
    bench = Bench()
    seen: list[Any] = []

    async def main() -> None:
        first = bench.begin()
        bench.add(first, 1, 7)
        second = bench.begin()

        def update() -> int | None:
            snapshot, tid = bench.find(second, 1)
            result: int | None = bench.table.update_columns(
                second,
                snapshot,
                tid,
                (2,),
                lambda row: seen.append(row) or None,
                (1, 2),  # type: ignore[func-returns-value]
            )
            return result

        task = asyncio.ensure_future(HUB.call(update))
        await turns()
        assert not seen
        bench.storage.txns.commit(first)
        assert await task is None
        bench.storage.txns.commit(second)

    run(main)
    assert seen == [(1, 7)]
    assert not bench.storage.locks.rows


def test_deleted_row_is_gone_for_the_waiter_and_aborted_delete_is_not() -> None:
    bench = Bench()

    async def main() -> None:
        for end, expected in ((bench.storage.txns.abort, True), (bench.storage.txns.commit, False)):
            first, second = bench.begin(), bench.begin()
            snapshot, tid = bench.find(first, 2)
            assert bench.table.delete(first, snapshot, tid, lambda row, at: True, ())
            task = asyncio.ensure_future(HUB.call(bench.add, second, 2, 1))
            await turns()
            end(first)
            assert (await task is not None) is expected
            bench.storage.txns.commit(second)

    run(main)
    assert [row for row in rows_of(bench.table) if row[0] == 2] == []


def test_repeatable_read_fails_with_40001() -> None:
    bench = Bench()
    first, second = bench.begin(), bench.begin("repeatable read")
    bench.find(second, 1)
    bench.add(first, 1, 1)
    bench.storage.txns.commit(first)
    with pytest.raises(SerializationFailure, match="could not serialize access due to concurrent update"):
        bench.add(second, 1, 1)
    bench.storage.txns.abort(second)
    assert rows_of(bench.table)[0] == (1, 1)


def test_deadlock_is_detected() -> None:
    bench = Bench()

    def client(one: int, other: int) -> None:
        txn = bench.begin()
        try:
            bench.add(txn, one, 1)
            HUB.yield_turn()
            bench.add(txn, other, 1)
        except BaseException:
            bench.storage.txns.abort(txn)
            raise
        bench.storage.txns.commit(txn)

    async def main() -> list[Any]:
        return await spawn(lambda: client(1, 2), lambda: client(2, 1))

    results = run(main)
    [error] = [each for each in results if each is not None]
    assert isinstance(error, DeadlockDetected)
    assert error.message == "deadlock detected"
    assert "Process 2 waits for ShareLock on transaction" in (error.detail or "")
    assert "blocked by process 1." in (error.detail or "")
    assert sorted(row[1] for row in rows_of(bench.table)) == [0, 0, 0, 1, 1]


def test_locks_pass_on_before_the_commit_is_durable() -> None:
    bench = Bench(auto=False)
    vdl = bench.volume.vdl

    async def main() -> None:
        first, second = bench.begin(), bench.begin()
        bench.add(first, 1, 1)
        task = asyncio.ensure_future(HUB.call(bench.add, second, 1, 1))
        await turns()
        lsn = bench.storage.txns.commit(first)
        assert await task
        assert bench.volume.vdl == vdl < lsn
        assert second.session.dependency.lsn >= lsn
        third = bench.begin()
        snapshot = bench.storage.txns.snapshot(third)
        assert bench.table.indexes[0].lookup(snapshot, (1,), (2,), False) == [(0,)]
        bench.storage.txns.commit(second)
        again = bench.storage.txns.begin(session=second.session)
        snapshot = bench.storage.txns.snapshot(again)
        assert bench.table.indexes[0].lookup(snapshot, (1,), (2,), False) == [(2,)]

    run(main)


def test_unique_insert_waits_for_the_one_in_doubt() -> None:
    bench = Bench()

    async def main() -> None:
        first, second = bench.begin(), bench.begin()
        bench.table.insert(first, (9, 1))
        task = asyncio.ensure_future(HUB.call(bench.table.insert, second, (9, 2)))
        await turns()
        assert not task.done()
        bench.storage.txns.abort(first)
        await task
        bench.storage.txns.commit(second)
        third, fourth = bench.begin(), bench.begin()
        bench.table.insert(third, (10, 1))
        task = asyncio.ensure_future(HUB.call(bench.table.insert, fourth, (10, 2)))
        await turns()
        bench.storage.txns.commit(third)
        with pytest.raises(UniqueViolation):
            await task
        bench.storage.txns.abort(fourth)

    run(main)
    assert rows_of(bench.table)[-2:] == [(9, 2), (10, 1)]


def test_cancel_and_timeout_end_a_wait() -> None:
    bench = Bench()

    async def main() -> None:
        first, second, third = bench.begin(), bench.begin(), bench.begin()
        bench.add(first, 1, 1)
        task = asyncio.ensure_future(HUB.call(bench.add, second, 1, 1))
        await turns()
        second.waiting.waiter.fail(QueryCanceled("canceling statement due to user request"))
        with pytest.raises(QueryCanceled):
            await task
        third.session.lock_timeout_ms = 5
        with pytest.raises(LockNotAvailable):
            await HUB.call(bench.add, third, 1, 1)
        for txn in (second, third):
            bench.storage.txns.abort(txn)
        bench.storage.txns.commit(first)

    run(main)
    assert not bench.storage.locks.rows


def test_savepoints() -> None:
    bench = Bench()
    txns = bench.storage.txns
    txn = bench.begin()
    bench.add(txn, 1, 1)
    txns.savepoint(txn, "s")
    bench.add(txn, 1, 10)
    bench.table.insert(txn, (6, 6))
    txns.rollback_to(txn, "s")
    assert rows_of(bench.table, txn)[0] == (1, 1)
    bench.add(txn, 2, 5)
    txns.savepoint(txn, "t")
    bench.add(txn, 3, 5)
    txns.release(txn, "s")
    txns.commit(txn)
    assert rows_of(bench.table) == [(1, 1), (2, 5), (3, 5), (4, 0), (5, 0)]


def test_row_locks() -> None:
    bench = Bench()
    table, txns = bench.table, bench.storage.txns

    async def main() -> None:
        first, second, third = bench.begin(), bench.begin(), bench.begin()
        snapshot, tid = bench.find(first, 1)
        assert table.lock(first, snapshot, tid, "share") == (tid, (1, 0), False)
        snapshot, tid = bench.find(second, 1)
        assert table.lock(second, snapshot, tid, "share") == (tid, (1, 0), False)
        snapshot, tid = bench.find(third, 1)
        assert table.lock(third, snapshot, tid, "update", "skip") is None
        with pytest.raises(LockNotAvailable):
            table.lock(third, snapshot, tid, "update", "nowait")
        task = asyncio.ensure_future(HUB.call(bench.add, third, 1, 1))
        await turns()
        txns.commit(first)
        await turns()
        assert not task.done()
        txns.commit(second)
        assert await task
        txns.commit(third)

    run(main)
    assert rows_of(bench.table)[0] == (1, 1)
    assert not bench.storage.locks.rows


def test_relation_locks() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns

    async def main() -> None:
        reader, writer, other, ddl = bench.begin(), bench.begin(), bench.begin(), bench.begin()
        locks.lock_relation(reader, 1000, ACCESS_SHARE)
        locks.lock_relation(writer, 1000, ROW_EXCLUSIVE)
        assert not locks.lock_relation(other, 1000, SHARE, "t", "skip")
        with pytest.raises(LockNotAvailable, match='could not obtain lock on relation "t"'):
            locks.lock_relation(other, 1000, SHARE, "t", "nowait")
        exclusive = asyncio.ensure_future(HUB.call(locks.lock_relation, ddl, 1000, ACCESS_EXCLUSIVE))
        await turns()
        # Who comes later queues behind the one that waits for everybody.
        late = asyncio.ensure_future(HUB.call(locks.lock_relation, other, 1000, ACCESS_SHARE))
        await turns()
        assert not exclusive.done()
        assert not late.done()
        txns.commit(reader)
        txns.commit(writer)
        assert await exclusive
        await turns()
        assert not late.done()
        txns.commit(ddl)
        assert await late
        txns.commit(other)

    run(main)
    assert not locks.relations
