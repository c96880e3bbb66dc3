"""Many transactions on few rows: every one gets its turn, nothing is lost, nobody is left waiting."""

from __future__ import annotations

import asyncio
import random

import pytest

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
