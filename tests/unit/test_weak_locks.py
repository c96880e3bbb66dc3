"""The relation locks of SELECT and DML: left in the transaction, and made ordinary ones when somebody wants more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support_access import FakeSession, make_storage

from aurora.errors import DeadlockDetected
from compute_node.access.memory_volume import MemoryVolume
from compute_node.hub import HUB
from compute_node.txn.locks import ACCESS_EXCLUSIVE, ACCESS_SHARE, ROW_EXCLUSIVE, SHARE, WeakLocks

READ = WeakLocks(((1000, ACCESS_SHARE),))
WRITE = WeakLocks(((1000, ROW_EXCLUSIVE), (1001, ACCESS_SHARE)))


class Bench:
    """Storage in memory, and sessions."""

    def __init__(self) -> None:
        self.storage = make_storage(MemoryVolume())
        self.sessions = 0

    def begin(self) -> Any:
        self.sessions += 1
        return self.storage.txns.begin(session=FakeSession(self.sessions))


def run(main: Callable[[], Any]) -> None:
    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())
        await main()

    asyncio.run(go())


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def waits_for(locks: Any, txn: Any, oid: int, mode: int) -> asyncio.Future[bool]:
    return asyncio.ensure_future(HUB.call(locks.lock_relation, txn, oid, mode))


def test_weak_locks_leave_no_trace() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns
    one, two = bench.begin(), bench.begin()
    locks.take_weak(one, READ)
    locks.take_weak(two, WRITE)
    assert not locks.relations
    txns.commit(one)
    txns.abort(two)
    assert not locks.relations
    assert not locks.strong


def test_a_strong_lock_waits_for_weak_ones() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns

    async def main() -> None:
        reader, writer, ddl, late, free = (bench.begin() for _ in range(5))
        locks.take_weak(reader, READ)
        locks.take_weak(writer, WRITE)
        exclusive = waits_for(locks, ddl, 1000, ACCESS_EXCLUSIVE)
        await turns()
        behind = asyncio.ensure_future(HUB.call(locks.take_weak, late, READ))
        # Another relation is not concerned.
        locks.take_weak(free, WeakLocks(((1001, ROW_EXCLUSIVE),)))
        await turns()
        assert not exclusive.done()
        assert not behind.done()
        txns.commit(reader)
        await turns()
        assert not exclusive.done()
        txns.commit(writer)
        assert await exclusive
        await turns()
        assert not behind.done()
        txns.commit(ddl)
        await behind
        txns.commit(late)
        txns.commit(free)

    run(main)
    assert not locks.relations
    assert not locks.strong


def test_share_lets_readers_pass_and_stops_writers() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns

    async def main() -> None:
        index, reader, writer = bench.begin(), bench.begin(), bench.begin()
        locks.lock_relation(index, 1000, SHARE)
        locks.take_weak(reader, READ)
        task = asyncio.ensure_future(HUB.call(locks.take_weak, writer, WRITE))
        await turns()
        assert not task.done()
        txns.commit(index)
        await task
        txns.commit(reader)
        txns.commit(writer)

    run(main)
    assert not locks.strong


def test_upgrades_of_two_readers_are_a_deadlock() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns

    async def main() -> None:
        one, two = bench.begin(), bench.begin()
        locks.take_weak(one, READ)
        locks.take_weak(two, READ)
        first = waits_for(locks, one, 1000, ACCESS_EXCLUSIVE)
        await turns()
        with pytest.raises(DeadlockDetected):
            await waits_for(locks, two, 1000, ACCESS_EXCLUSIVE)
        txns.abort(two)
        assert await first
        txns.commit(one)
        # The lock is remembered until its last holder's commit is durable; whoever comes next looks.
        locks.take_weak(bench.begin(), READ)

    run(main)
    assert not locks.relations


def test_a_refused_strong_lock_takes_its_mark_back() -> None:
    bench = Bench()
    locks, txns = bench.storage.locks, bench.storage.txns
    reader, ddl = bench.begin(), bench.begin()
    locks.take_weak(reader, READ)
    assert not locks.lock_relation(ddl, 1000, ACCESS_EXCLUSIVE, "t", "skip")
    assert not locks.strong
    txns.commit(reader)
    txns.commit(ddl)
    assert not locks.relations
