"""The way of a row: insert, scan, look up, update, delete, commit, abort."""

from __future__ import annotations

import pytest
from support_access import INT4, TEXT, create, describe, make_storage, rows_of

from aurora.errors import UniqueViolation
from compute_node.access.index_access import ScanKey


def test_rows_come_and_go() -> None:
    storage = make_storage()
    table = create(storage, describe(1000, [INT4, TEXT], [((1,), True)]))
    txns = storage.txns
    txn = txns.begin()
    for i in range(2000):
        table.insert(txn, (i, f"row {i}"))
    txns.commit(txn)
    assert rows_of(table) == [(i, f"row {i}") for i in range(2000)]
    txn = txns.begin()
    snapshot = txns.snapshot(txn)
    index = table.indexes[0]
    for i in range(0, 2000, 7):
        [(a, b, tid)] = index.lookup(snapshot, (i,), (1, 2), True)
        assert (a, b) == (i, f"row {i}")
        assert table.update_columns(txn, snapshot, tid, (2,), lambda row: (row[0] + "!",), (2,))
    for i in range(1, 2000, 7):
        [(tid,)] = index.lookup(snapshot, (i,), (), True)
        assert table.delete(txn, snapshot, tid, lambda row, at: True, ())
    expected = [(i, f"row {i}" + "!" * (i % 7 == 0)) for i in range(2000) if i % 7 != 1]
    assert rows_of(table, txn) == expected
    txns.commit(txn)
    assert rows_of(table) == expected
    txn = txns.begin()
    snapshot = txns.snapshot(txn)
    assert index.lookup(snapshot, (1,), (1,), False) == []
    assert index.lookup(snapshot, (7,), (2,), False) == [("row 7!",)]
    keys = [ScanKey(0, 4, 100), ScanKey(0, 1, 200)]
    found = [r for batch in index.scan(snapshot, keys, False, (1,), False) for r in batch]
    assert found == [(i,) for i in range(100, 200) if i % 7 != 1]
    keys = [ScanKey(0, 5, 100), ScanKey(0, 2, 900)]
    found = [r for batch in index.scan(snapshot, keys, True, (1,), False) for r in batch]
    assert found == [(i,) for i in range(900, 100, -1) if i % 7 != 1]
    with pytest.raises(UniqueViolation) as caught:
        table.insert(txn, (7, "again"))
    assert caught.value.detail == "Key (a)=(7) already exists."
    txns.abort(txn)
    assert rows_of(table) == expected


def test_restart_finds_everything() -> None:
    storage = make_storage()
    volume = storage.volume
    table = create(storage, describe(1000, [INT4, TEXT], [((1,), True)]))
    txn = storage.txns.begin()
    table.insert_many(txn, [(i, "x" * (i % 50)) for i in range(3000)])
    storage.txns.commit(txn)
    lost = storage.txns.begin()
    table.insert(lost, (9999, "lost"))
    volume.advance()
    again = make_storage(volume)
    table = again.table(describe(1000, [INT4, TEXT], [((1,), True)]))
    assert rows_of(table) == [(i, "x" * (i % 50)) for i in range(3000)]
    txn = again.txns.begin()
    assert table.indexes[0].lookup(again.txns.snapshot(txn), (2999,), (1,), False) == [(2999,)]
    table.insert(txn, (9999, "now"))
    again.txns.commit(txn)
    assert (9999, "now") in rows_of(table)


def test_log_replays_to_the_cached_pages() -> None:
    storage = make_storage()
    table = create(storage, describe(1000, [INT4, TEXT], [((1,), True), ((2,), False)]))
    txn = storage.txns.begin()
    table.insert_many(txn, [(i, f"{i % 13}") for i in range(1500)])
    storage.txns.commit(txn)
    storage.volume.advance()
    arena = storage.arena
    for frame in range(arena.frames):
        page_no = int(arena.page_of[frame])
        if page_no >= 0 and page_no in storage.volume.pages:
            assert bytes(arena.page(frame)) == bytes(storage.volume.pages[page_no])
