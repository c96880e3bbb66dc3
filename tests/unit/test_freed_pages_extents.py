"""Freed extents: given back to storage, counted, reused; tables that vacuum shortens; room that COPY finds again; pages
that are ensured before they are used."""

from __future__ import annotations

from typing import Any

import pytest

from aurora.errors import InvariantViolation
from aurora.kernels.python.clog import extent_first, extent_pages
from aurora.kernels.python.redo import is_free, scan
from aurora.page import PAGE_BYTES
from compute_node.access.auto_vacuum import AutoVacuum
from compute_node.access.extents import CLEAN, ENTRIES_PER_PAGE, RECYCLED
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.vacuum_truncate import truncate_tail
from compute_node.txn.locks import ACCESS_SHARE, SHARE_UPDATE_EXCLUSIVE
from tests.unit.support_access import INT4, TEXT, create, describe, latest, make_storage, rows_of, run_greenlets

ROWS = 6300


def _fill(storage: Any, table: Any, start: int, rows: int = ROWS) -> list[tuple[int, int]]:
    txn = storage.txns.begin()
    made = [(start + n, n) for n in range(rows)]
    table.insert_many(txn, made)
    storage.txns.commit(txn)
    return made


def _drop(storage: Any, *relfiles: int) -> None:
    txn = storage.txns.begin()
    for relfile in relfiles:
        storage.drop_storage(txn, relfile)
    storage.txns.commit(txn)


def _delete(storage: Any, table: Any, above: int) -> None:
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    for batch in list(table.scan(snapshot, (1,), True)):
        for value, tid in batch:
            if value >= above:
                assert table.delete(txn, snapshot, tid, lambda row, at: True, ())
    storage.txns.commit(txn)


def _vacuum(storage: Any, table: Any) -> int:
    storage.vacuum(table)
    txn = storage.txns.begin()
    try:
        assert storage.locks.lock_relation(txn, table.desc.oid, SHARE_UPDATE_EXCLUSIVE)
        return truncate_tail(txn, table)
    finally:
        storage.txns.abort(txn)


def test_a_dropped_tables_pages_are_given_back_and_used_again() -> None:
    def scenario() -> None:
        volume = MemoryVolume(keep_history=True)
        storage = make_storage(volume, frames=2048)
        keep = create(storage, describe(50, [INT4, INT4]))
        kept = _fill(storage, keep, 0)
        used = storage.size()["used_bytes"]
        table = create(storage, describe(100, [INT4, INT4], [((1,), True)]))
        _fill(storage, table, 0)
        starts = list(table.file.map.starts)
        written = set(volume.pages)
        _drop(storage, 100, 101)
        assert storage.size()["used_bytes"] == used
        volume.advance()
        before = len(volume.history)
        assert storage.give_back() > 0
        assert storage.give_back() == 0
        volume.advance()
        freed = {
            page_no
            for pg, prev, _, _, _, data in volume.history[before:]
            for _, _, page_no, page_prev, _, offset, end in scan(data, prev)
            if page_no >= 0 and is_free(page_prev, offset, end)
        }
        assert written & freed and set(starts) <= freed
        assert not freed & set(volume.pages)
        assert rows_of(keep) == kept
        # The same pages, never written as far as anybody can tell: no read of them is needed.
        high_water, reads = storage.superblock.high_water, volume.reads
        again = create(storage, describe(200, [INT4, INT4], [((1,), True)]))
        expected = _fill(storage, again, 7)
        assert storage.superblock.high_water == high_water
        assert volume.reads == reads
        assert not any(entry.flags & RECYCLED for entry in again.file.entries)
        volume.advance()
        reopened = make_storage(volume, frames=2048)
        assert rows_of(reopened.table(describe(200, [INT4, INT4], [((1,), True)]))) == expected
        assert rows_of(reopened.table(describe(50, [INT4, INT4]))) == kept
        assert reopened.size() == storage.size()

    run_greenlets(scenario)


def test_only_what_was_used_is_given_back_and_not_before_the_horizon() -> None:
    def scenario() -> None:
        volume = MemoryVolume(auto=False)
        storage = make_storage(volume, frames=2048)
        table = create(storage, describe(100, [INT4, INT4]))
        _fill(storage, table, 0)
        volume.advance()
        reader = storage.txns.begin()
        storage.txns.snapshot(reader)
        blocks, entries = table.file.map.blocks, list(table.file.entries)
        _drop(storage, 100)
        volume.advance()
        assert storage.give_back() == 0
        storage.txns.abort(reader)
        assert storage.give_back() == blocks
        assert all(entry.flags & CLEAN for entry in entries)
        # Not durable yet, so not for anybody to have.
        again = create(storage, describe(200, [INT4, INT4]))
        assert not set(again.file.map.starts) & {entry.start for entry in entries}

    run_greenlets(scenario)


def test_a_page_that_is_loaded_or_pinned_stays_for_the_next_time() -> None:
    def scenario() -> None:
        storage = make_storage(MemoryVolume(), frames=2048)
        table = create(storage, describe(100, [INT4, INT4]))
        _fill(storage, table, 0)
        frame = storage.cache.get(table.file.map.page_no(0))
        storage.arena.pin(frame)
        _drop(storage, 100)
        storage.volume.advance()
        first = storage.give_back()
        storage.arena.unpin(frame)
        assert first == 0
        assert storage.give_back() > 0

    run_greenlets(scenario)


def test_extents_of_an_aborted_creator_are_given_back_after_a_restart() -> None:
    def scenario() -> None:
        volume = MemoryVolume()
        storage = make_storage(volume, frames=2048)
        create(storage, describe(50, [INT4]))  # with the first xid the commit log gets its pages
        used = storage.size()["used_bytes"]
        txn = storage.txns.begin()
        storage.create_storage(txn, 300)
        table = storage.table(describe(300, [INT4, INT4]))
        table.insert_many(txn, [(n, n) for n in range(ROWS)])
        volume.advance()
        reopened = make_storage(volume, frames=2048)
        assert reopened.orphans() == [300]
        reopened.reclaim([300])
        volume.advance()
        assert reopened.size()["used_bytes"] == used
        assert reopened.give_back() > 0

    run_greenlets(scenario)


def test_vacuum_cuts_empty_blocks_off_and_the_table_grows_again() -> None:
    def scenario() -> None:
        volume = MemoryVolume()
        storage = make_storage(volume, frames=2048)
        desc = describe(100, [INT4, INT4], [((1,), True)])
        table = create(storage, desc)
        rows = _fill(storage, table, 0)
        blocks = table.file.map.blocks
        _delete(storage, table, 1000)
        assert _vacuum(storage, table) > 0
        assert table.file.map.blocks < blocks // 3
        assert rows_of(table) == rows[:1000]
        expected = rows[:1000] + _fill(storage, table, 10_000)
        assert rows_of(table) == expected
        volume.advance()
        reopened = make_storage(volume, frames=2048).table(desc)
        assert rows_of(reopened) == expected
        # To nothing: the first extent stays.
        _delete(storage, table, 0)
        assert _vacuum(storage, table) > 0
        assert table.file.map.blocks == 0
        assert len(table.file.entries) == 1
        assert storage.give_back() > 0
        expected = _fill(storage, table, 5)
        volume.advance()
        assert rows_of(make_storage(volume, frames=2048).table(desc)) == expected

    run_greenlets(scenario)


def test_a_reader_keeps_vacuum_from_cutting_and_a_little_is_not_worth_it() -> None:
    storage = make_storage(MemoryVolume(), frames=2048)
    table = create(storage, describe(100, [INT4, INT4]))
    _fill(storage, table, 0)
    _delete(storage, table, 1000)
    blocks = table.file.map.blocks
    reader = storage.txns.begin()
    storage.locks.lock_relation(reader, 100, ACCESS_SHARE)
    assert _vacuum(storage, table) == 0
    assert table.file.map.blocks == blocks
    storage.txns.abort(reader)
    assert _vacuum(storage, table) > 0
    # A block or two of many: the lock is not asked for.
    _fill(storage, table, 0, 20_000)
    last = max(tid >> 16 for batch in table.scan(latest(storage), (), True) for (tid,) in batch)
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    for batch in table.scan_blocks(snapshot, (), True, last, last + 1):
        for (tid,) in list(batch):
            table.delete(txn, snapshot, tid, lambda row, at: True, ())
    storage.txns.commit(txn)
    table.file.map.blocks = table.file.fresh  # without what is merely reserved
    assert _vacuum(storage, table) == 0


def test_the_vacuuming_transaction_keeps_its_weaker_lock() -> None:
    storage = make_storage(MemoryVolume(), frames=2048)
    table = create(storage, describe(100, [INT4, INT4]))
    _fill(storage, table, 0)
    _delete(storage, table, 0)
    storage.vacuum(table)
    txn = storage.txns.begin()
    storage.locks.lock_relation(txn, 100, SHARE_UPDATE_EXCLUSIVE)
    assert truncate_tail(txn, table) > 0
    assert txn.table_locks == {100: 1 << SHARE_UPDATE_EXCLUSIVE}
    assert not storage.locks.strong
    storage.txns.abort(txn)
    assert not storage.locks.relations


def test_autovacuum_cuts_too() -> None:
    storage = make_storage(MemoryVolume(), frames=2048)
    table = create(storage, describe(100, [INT4, INT4]))
    _fill(storage, table, 0)
    _delete(storage, table, 0)
    stats = AutoVacuum(storage).step()
    assert stats is not None and stats.truncated > 0
    assert table.file.map.blocks == 0


@pytest.mark.parametrize("wide", [1, 300])
def test_bulk_inserts_use_the_room_that_vacuum_found(wide: int) -> None:
    def scenario() -> None:
        storage = make_storage(MemoryVolume(), frames=4096)
        table = create(storage, describe(100, [INT4, TEXT], [((1,), True)]))

        def fill(start: int) -> None:
            txn = storage.txns.begin()
            table.insert_many(txn, [(start + n, "x" * wide) for n in range(4000)])
            storage.txns.commit(txn)

        fill(0)
        fill(10_000)
        blocks = table.file.fresh
        # Whole pages empty up to 4000, every other row gone behind.
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        for batch in list(table.scan(snapshot, (1,), True)):
            for value, tid in batch:
                if value < 4000 or value % 2:
                    table.delete(txn, snapshot, tid, lambda row, at: True, ())
        storage.txns.commit(txn)
        storage.vacuum(table)
        fill(20_000)
        assert table.file.fresh <= blocks + 1
        expected = [10_000 + n for n in range(0, 4000, 2)] + [20_000 + n for n in range(4000)]
        assert [row[0] for row in rows_of(table)] == expected
        for key in (10_000, 20_000, 23_999):
            assert table.indexes[0].lookup(latest(storage), (key,), (1,), False) == [(key,)]

    run_greenlets(scenario)


class WatchfulVolume(MemoryVolume):
    """Raises when log for a page is allocated before ``ensure_pages`` was asked for the page."""

    def check(self) -> None:
        """Hold the log so far against what was ensured."""
        limit = max(self.ensured, default=2)
        for run in self.history:
            for _, _, page_no, _, _, _, _ in scan(run[5], run[1]):
                assert page_no < limit, f"log of page {page_no}, ensured below {limit}"

    def ensure_pages(self, upto_page: int) -> None:
        """See ``MemoryVolume.ensure_pages``; all log up to now is of pages that were ensured."""
        self.advance()
        self.check()
        super().ensure_pages(upto_page)


def test_pages_are_ensured_before_any_log_of_them() -> None:
    def scenario() -> None:
        volume = WatchfulVolume(keep_history=True)
        storage = make_storage(volume, frames=4096, verify=False)
        tables = [create(storage, describe(100 + 10 * i, [INT4, TEXT], [((1,), True)])) for i in range(3)]
        for table in tables:
            txn = storage.txns.begin()
            table.insert_many(txn, [(n, "x" * 100) for n in range(3000)])
            for n in range(3000, 3300):
                table.insert(txn, (n, "y" * 100))
            storage.txns.commit(txn)
        # Enough relations for a second page of the directory.
        for relfile in range(5000, 5000 + ENTRIES_PER_PAGE):
            txn = storage.txns.begin()
            storage.create_storage(txn, relfile)
            storage.txns.commit(txn)
        volume.advance()
        volume.check()
        assert max(volume.ensured) == storage.superblock.high_water
        assert volume.ensured == sorted(set(volume.ensured))
        assert storage.extents.used_pages == make_storage(volume, frames=4096).extents.used_pages

    run_greenlets(scenario)


def test_pages_are_not_ensured_while_an_mtr_is_edited() -> None:
    storage = make_storage(MemoryVolume())
    with pytest.raises(InvariantViolation, match="not while one is being edited"), storage.mtr:
        storage.volume.ensure_pages(10)


def test_block_map_gives_its_last_extent_up() -> None:
    from aurora.kernels.native.clog import BlockMap as Native

    from aurora.kernels.python.clog import BlockMap as Pure

    for kind in (Pure, Native):
        blocks = kind()
        for extent in range(13):
            blocks.add_extent(10_000 * (extent + 1))
        blocks.blocks = extent_first(12) + 1
        with pytest.raises(InvariantViolation, match="is in use"):
            blocks.pop_extent()
        blocks.blocks = extent_first(12)
        blocks.pop_extent()
        assert blocks.capacity() == extent_first(12) == extent_first(11) + extent_pages(11)
        assert len(blocks.starts) == 12
        blocks.add_extent(77)
        blocks.blocks += 1
        assert blocks.page_no(extent_first(12)) == 77


def test_sizes_are_counted_in_pages_of_extents() -> None:
    storage = make_storage(MemoryVolume())
    create(storage, describe(50, [INT4]))  # with the first xid the commit log gets its pages
    size = storage.size()
    assert size["used_bytes"] % PAGE_BYTES == 0
    table = create(storage, describe(100, [INT4]))
    assert storage.size()["used_bytes"] == size["used_bytes"] + PAGE_BYTES
    txn = storage.txns.begin()
    table.insert(txn, (1,))
    storage.drop_storage(txn, 100)
    storage.txns.abort(txn)
    assert storage.size()["used_bytes"] == size["used_bytes"] + PAGE_BYTES
    _drop(storage, 100)
    assert storage.size() == {
        "used_bytes": size["used_bytes"],
        "allocated_bytes": size["allocated_bytes"] + PAGE_BYTES,
    }
