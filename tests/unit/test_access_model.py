"""Tables and indexes against a dict, with splits, vacuum, evictions, aborts and restarts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support_access import INT4, TEXT, create, describe, latest, make_storage, rows_of

from aurora.errors import UniqueViolation
from compute_node.access.auto_vacuum import AutoVacuum
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.vacuum import Pace, vacuum
from compute_node.hub import HUB
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn import locks

DESC = describe(1000, [INT4, TEXT, INT4], [((1,), True), ((2,), False), ((3, 1), False)])


def in_greenlet(function: Callable[[], Any]) -> Any:
    async def go() -> Any:
        HUB.bind(asyncio.get_running_loop())
        return await HUB.call(function)

    return asyncio.run(go())


def check(table: Any, model: dict[int, tuple[Any, ...]]) -> None:
    """Heap and each index agree with the model, forwards and backwards."""
    storage = table.storage
    assert rows_of(table) == sorted(model.values())
    snapshot = latest(storage)
    for index, order in zip(table.indexes, ((0,), (1,), (2, 0)), strict=True):
        rows = [row for batch in index.scan(snapshot, [], False, (1, 2, 3), False) for row in batch]
        keys = [tuple(row[i] for i in order) for row in rows]
        assert keys == sorted(tuple(row[i] for i in order) for row in model.values())
        back = [row for batch in index.scan(snapshot, [], True, (1, 2, 3), False) for row in batch]
        assert back == rows[::-1]


@pytest.mark.parametrize("seed", range(10))
def test_random_work(seed: int) -> None:
    rng = random.Random(seed)

    def work() -> None:
        volume = MemoryVolume(keep_history=True)
        frames = 48 if seed % 2 else 2000
        storage = make_storage(volume, frames)
        table = create(storage, DESC)
        model: dict[int, tuple[Any, ...]] = {}
        for _ in range(60):
            txn = storage.txns.begin()
            draft = dict(model)
            for _ in range(rng.randrange(40)):
                change(txn, storage, table, draft)
            if rng.random() < 0.25:
                storage.txns.abort(txn)
            else:
                storage.txns.commit(txn)
                model = draft
            if rng.random() < 0.2:
                vacuum(table, rng.random() < 0.5)
            if rng.random() < 0.1:
                volume.advance()
                storage = make_storage(volume, frames)
                table = storage.table(DESC)
        check(table, model)
        vacuum(table, True)
        check(table, model)
        # The log alone gives the pages.
        volume.advance()
        for frame in range(storage.arena.frames):
            page_no = int(storage.arena.page_of[frame])
            if page_no in volume.pages:
                assert bytes(storage.arena.page(frame)) == bytes(volume.pages[page_no])

    def change(txn: Any, storage: Any, table: Any, draft: dict[int, tuple[Any, ...]]) -> None:
        kind = rng.random()
        if kind < 0.5 or not draft:
            row = (rng.randrange(2000), rng.choice("abc") * rng.randrange(900), rng.randrange(5))
            if row[0] in draft:
                storage.txns.savepoint(txn, "s")
                with pytest.raises(UniqueViolation):
                    table.insert(txn, row)
                storage.txns.rollback_to(txn, "s")
            else:
                table.insert(txn, row)
                draft[row[0]] = row
            return
        key = rng.choice(list(draft))
        snapshot = storage.txns.snapshot(txn)
        [(tid,)] = table.indexes[0].lookup(snapshot, (key,), (), True)
        if kind < 0.6:
            assert table.delete(txn, snapshot, tid, lambda row, at: True, (1,))
            del draft[key]
        elif kind < 0.8:
            text = rng.choice("xyz") * rng.randrange(900)
            assert table.update_columns(txn, snapshot, tid, (2,), lambda row: (text,), ())
            draft[key] = (key, text, draft[key][2])
        else:
            number = rng.randrange(5)
            assert table.update_columns(txn, snapshot, tid, (3,), lambda row: (number,), (1,))
            draft[key] = (*draft[key][:2], number)

    in_greenlet(work)


def test_many_rows_in_bulk_and_index_build() -> None:
    storage = make_storage(frames=3000)
    bare = describe(2000, [INT4, TEXT])
    table = create(storage, bare)
    rows = [(i * 7919 % 20011, f"{i % 100}") for i in range(20000)]
    txn = storage.txns.begin()
    for start in range(0, 20000, 1000):
        table.insert_many(txn, rows[start : start + 1000])
    storage.txns.commit(txn)
    txn = storage.txns.begin()
    index = build_index(txn, table, IndexDesc(2001, 2001, "i", (1,), True, True))
    storage.txns.commit(txn)
    snapshot = latest(storage)
    found = [row for batch in index.scan(snapshot, [], False, (1, 2), False) for row in batch]
    assert found == sorted(rows)
    txn = storage.txns.begin()
    with pytest.raises(UniqueViolation) as caught:
        build_index(txn, table, IndexDesc(2002, 2002, "j", (2,), True, False))
    assert caught.value.message == 'could not create unique index "j"'
    assert "is duplicated." in (caught.value.detail or "")
    storage.txns.abort(txn)
    assert not storage.exists(2002)
    assert storage.orphans() == []


def test_hot_row_does_not_bloat() -> None:
    storage = make_storage()
    table = create(storage, describe(3000, [INT4, INT4], [((1,), True)]))
    txn = storage.txns.begin()
    table.insert(txn, (1, 0))
    storage.txns.commit(txn)
    for _ in range(3000):
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        [(tid,)] = table.indexes[0].lookup(snapshot, (1,), (), True)
        table.update_columns(txn, snapshot, tid, (2,), lambda row: (row[0] + 1,), (2,))
        storage.txns.commit(txn)
    assert rows_of(table) == [(1, 3000)]
    assert table.file.fresh == 1


def test_vacuum_gives_space_back_and_autovacuum_finds_the_table() -> None:
    storage = make_storage()
    table = create(storage, describe(4000, [INT4, TEXT], [((1,), True)]))
    sizes = []
    for turn in range(4):
        txn = storage.txns.begin()
        for i in range(300):
            table.insert(txn, (turn * 1000 + i, "x" * 200))
        storage.txns.commit(txn)
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        for batch in list(table.scan(snapshot, (), True)):
            for (tid,) in batch:
                assert table.delete(txn, snapshot, tid, lambda row, at: True, ())
        storage.txns.commit(txn)
        stats = AutoVacuum(storage).step()
        assert stats is not None
        assert stats.versions == stats.index_entries == stats.line_pointers == 300
        sizes.append(table.file.fresh)
    assert AutoVacuum(storage).step() is None
    assert sizes[-1] <= sizes[0] + 1


def test_relation_files_are_dropped_and_reused() -> None:
    storage = make_storage()
    first = create(storage, describe(5000, [INT4]))
    txn = storage.txns.begin()
    first.insert_many(txn, [(i,) for i in range(2000)])
    storage.txns.commit(txn)
    high_water = storage.superblock.high_water
    txn = storage.txns.begin()
    storage.drop_storage(txn, 5000)
    storage.txns.abort(txn)
    assert storage.exists(5000)
    txn = storage.txns.begin()
    storage.drop_storage(txn, 5000)
    storage.txns.commit(txn)
    assert not storage.exists(5000)
    second = create(storage, describe(6000, [INT4]))
    txn = storage.txns.begin()
    for i in range(2000):
        second.insert(txn, (i,))
    storage.txns.commit(txn)
    assert rows_of(second) == [(i,) for i in range(2000)]
    assert storage.superblock.high_water == high_water


def test_insert_or_find_and_numbers() -> None:
    storage = make_storage()
    table = create(storage, describe(7000, [INT4, INT4], [((1,), True)]))
    txn = storage.txns.begin()
    tid, found = table.insert_or_find(txn, (1, 1), table.indexes)
    assert tid and not found
    assert table.insert_or_find(txn, (1, 2), table.indexes) == (0, tid)
    assert table.insert_or_find(txn, (None, 2), table.indexes)[0]
    assert table.insert_or_find(txn, (None, 3), table.indexes)[0]
    storage.txns.commit(txn)
    assert storage.next_oid() == 16384
    assert storage.next_oid() == 16385
    assert storage.new_relfile() + 1 == storage.new_relfile()


def test_runs_go_behind_all_other_keys() -> None:
    """Ascending runs make new rightmost leaves; a key that is there already is found wherever it is in the run."""
    storage = make_storage(frames=2000)
    table = create(storage, DESC)
    rows = [(number, f"key {number:07}", number % 7) for number in range(9000)]
    txn = storage.txns.begin()
    for start in range(0, 9000, 1500):
        table.insert_many(txn, rows[start : start + 1500])
    storage.txns.commit(txn)
    check(table, {row[0]: row for row in rows})
    for wrong in (0, 700, 1999):
        run = [(number, "", 0) for number in range(9000, 11000)]
        run[wrong] = (8999, "", 0)
        txn = storage.txns.begin()
        with pytest.raises(UniqueViolation) as failure:
            table.insert_many(txn, run)
        assert failure.value.row == wrong
        storage.txns.abort(txn)
    again = [(number, "", 0) for number in (*range(9000, 10500), 9700)]
    txn = storage.txns.begin()
    with pytest.raises(UniqueViolation, match="t1000_i0"):
        table.insert_many(txn, again)
    storage.txns.abort(txn)
    vacuum(table)
    check(table, {row[0]: row for row in rows})


@pytest.mark.parametrize(
    ("option", "runs"),
    [("autovacuum_enabled=off", False), ("autovacuum_enabled=F", False), ("autovacuum_enabled=0", False),
     ("autovacuum_enabled=on", True), ("autovacuum_enabled=o", True), ("fillfactor=100", True)],
)  # fmt: skip
def test_autovacuum_leaves_tables_alone_that_want_none(option: str, runs: bool) -> None:
    storage = make_storage()
    desc = replace(describe(3000, [INT4, INT4]), options=(option,))
    table = create(storage, desc)
    txn = storage.txns.begin()
    table.insert_many(txn, [(number, 0) for number in range(200)])
    storage.txns.commit(txn)
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    tids = [row[0] for batch in table.scan(snapshot, (), True) for row in batch]
    assert table.delete_many(txn, snapshot, tids, lambda row, at: True, ()) == 200
    storage.txns.commit(txn)
    assert (AutoVacuum(storage).step() is not None) is runs


def test_autovacuum_makes_haste_while_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = make_storage(frames=2000)
    table = create(storage, describe(3000, [INT4, TEXT]))
    txn = storage.txns.begin()
    table.insert_many(txn, [(number, "x" * 500) for number in range(2000)])
    storage.txns.abort(txn)
    naps: list[bool] = []
    monkeypatch.setattr(HUB, "sleep", lambda _: naps.append(storage.locks.is_awaited(table.desc.lock_id)))

    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())
        waiting = storage.txns.begin()
        holder = storage.txns.begin()
        mode = locks.SHARE_UPDATE_EXCLUSIVE
        assert storage.locks.lock_relation(holder, table.desc.lock_id, mode, "t")
        await HUB.call(lambda: vacuum(table, pace=Pace(1000, limit=1)))
        assert naps
        assert not any(naps)
        naps.clear()
        task = asyncio.ensure_future(
            HUB.call(lambda: storage.locks.lock_relation(waiting, table.desc.lock_id, mode, "t"))
        )
        while not storage.locks.is_awaited(table.desc.lock_id):
            await asyncio.sleep(0)
        table.file.clean.cover(0)
        await HUB.call(lambda: vacuum(table, pace=Pace(1000, limit=1)))
        assert naps == []
        storage.txns.abort(holder)
        assert await task
        assert not storage.locks.is_awaited(table.desc.lock_id)

    asyncio.run(go())
