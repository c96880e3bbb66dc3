"""Many transactions on few rows: every one gets its turn, nothing is lost, nobody is left waiting."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aurora.errors import DeadlockDetected
from compute_node.hub import HUB
from tests.unit.support_access import INT4, FakeSession, create, describe, make_storage, rows_of, spawn

CLIENTS, ROUNDS, ROWS = 24, 15, 4


@pytest.mark.parametrize("seed", range(12))
def test_contended_updates_all_finish(seed: int) -> None:
    rng = random.Random(seed)

    async def scenario() -> None:
        HUB.bind(asyncio.get_running_loop())
        storage = await HUB.call(make_storage)
        first = await HUB.call(create, storage, describe(100, [INT4, INT4], [((1,), True)]))
        second = await HUB.call(create, storage, describe(200, [INT4, INT4], [((1,), True)]))

        def fill() -> None:
            txn = storage.txns.begin()
            for key in range(ROWS):
                first.insert(txn, (key, 0))
            second.insert(txn, (1, 0))
            storage.txns.commit(txn)

        await HUB.call(fill)

        def client(number: int) -> None:
            session = FakeSession(number)
            for _ in range(ROUNDS):
                txn = storage.txns.begin(session=session)
                for table, key in ((first, rng.randrange(ROWS)), (second, 1)):
                    snapshot = storage.txns.snapshot(txn)
                    found = table.indexes[0].lookup(snapshot, (key,), (), True)
                    done = table.update_columns(txn, snapshot, found[0][0], (2,), lambda row: (row[0] + 1,), (2,))
                    assert done is not None
                    if rng.random() < 0.7:
                        HUB.yield_turn()
                if rng.random() < 0.1:
                    storage.txns.abort(txn)
                else:
                    storage.txns.commit(txn)
                    committed.append(number)
                if rng.random() < 0.5:
                    HUB.yield_turn()

        committed: list[int] = []
        clients = [lambda number=number: client(number) for number in range(CLIENTS)]  # type: ignore[misc]
        results = await asyncio.wait_for(spawn(*clients), 60)
        assert results == [None] * CLIENTS
        assert await HUB.call(rows_of, second) == [(1, len(committed))]
        assert sum(row[1] for row in await HUB.call(rows_of, first)) == len(committed)
        assert not storage.locks.rows
        assert not storage.txns.active

    asyncio.run(scenario())


def test_a_circle_closed_by_those_who_move_along_is_found() -> None:
    """One holds row 1, on which two and three wait; three holds row 2. A rollback to a savepoint has two look again,
    and meanwhile one waits for row 2: only when two takes three along to the queue of one is the circle closed."""

    async def scenario() -> None:
        HUB.bind(asyncio.get_running_loop())
        storage = await HUB.call(make_storage)
        table = await HUB.call(create, storage, describe(100, [INT4, INT4], [((1,), True)]))
        txns = storage.txns
        tids: list[int] = []

        def fill() -> None:
            txn = txns.begin()
            tids.extend(table.insert(txn, (key, 0)) for key in (1, 2))
            txns.commit(txn)

        await HUB.call(fill)
        one, two, three = (txns.begin(session=FakeSession(number)) for number in (1, 2, 3))

        def change(txn: Any, row: int) -> Any:
            return table.update_columns(txn, txns.snapshot(txn), tids[row], (2,), lambda _: (txn.pid,), ())

        await HUB.call(change, one, 0)
        await HUB.call(change, three, 1)
        waits = [asyncio.ensure_future(HUB.call(change, txn, 0)) for txn in (two, three)]
        await turns(waits)

        def go_back_and_wait() -> Any:
            txns.savepoint(one, "s")
            txns.rollback_to(one, "s")
            return change(one, 1)

        last = asyncio.ensure_future(HUB.call(go_back_and_wait))
        with pytest.raises(DeadlockDetected, match="deadlock detected"):
            await asyncio.wait_for(waits[1], 20)
        await HUB.call(txns.abort, three)
        assert await asyncio.wait_for(last, 20)
        await HUB.call(txns.commit, one)
        assert await asyncio.wait_for(waits[0], 20)
        await HUB.call(txns.commit, two)
        assert not txns.active

    asyncio.run(scenario())


async def turns(waits: list[asyncio.Future[Any]]) -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(each.done() for each in waits)
