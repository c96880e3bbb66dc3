"""Free space: hints in memory and in the space map, found again after a restart; the end of a relation; counters."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support_access import INT4, TEXT, create, describe, make_storage, rows_of
from support_catalog import Engine, in_greenlet

from aurora.page import HEADER_BYTES, OFF_KIND, PAGE_BYTES, PageKind
from compute_node.access import free_space
from compute_node.access.auto_vacuum import AutoVacuum, built_in
from compute_node.access.free_space import BLOCKS_PER_PAGE, FreeSpace
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.vacuum import vacuum
from compute_node.catalog import statistics

DESC = describe(1000, [INT4, TEXT], [((1,), True)])


def test_blocks_are_taken_by_need_in_turn_and_once() -> None:
    free = FreeSpace()
    for block, room in ((3, 1000), (5, 4000), (9, 600), (11, 100)):
        free.note(block, room)
    assert len(free) == 3  # less than a sixteenth of a page is not offered
    assert free.take(500, 12) == 3
    assert free.take(3000, 12) == 5
    assert free.take(3000, 12) == -1
    free.note(3, 5000)
    assert free.take(500, 9) == 3  # round again, and nothing at or beyond the limit
    assert free.take(500, 9) == -1
    assert free.take(500, 12) == 9
    assert len(free) == 0 and free.changed == {0}
    free.put(BLOCKS_PER_PAGE, 7)
    assert free.changed == {0, 1}
    free.put(3, free_space.WHOLE_BLOCK)
    assert free.take(PAGE_BYTES + 1000, 12) == -1  # a long row and the fill factor's reserve: no used page will do
    free.cut(4)
    assert len(free) == 1 and len(free.rooms) == 4


def fill(table: Any, start: int, count: int, bulk: bool = False) -> None:
    txn = table.storage.txns.begin()
    rows = [(number, "x" * 400) for number in range(start, start + count)]
    if bulk:
        table.insert_many(txn, rows)
    else:
        for row in rows:
            table.insert(txn, row)
    table.storage.txns.commit(txn)


def empty(table: Any, which: Any = lambda number: True) -> None:
    storage = table.storage
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    for batch in list(table.scan(snapshot, (1,), True)):
        for number, tid in batch:
            if which(number):
                table.delete(txn, snapshot, tid, lambda row: True, ())
    storage.txns.commit(txn)


def reopened(volume: MemoryVolume, crash: bool = False) -> Any:
    if not crash:
        volume.advance()
    return make_storage(volume).table(DESC)


@pytest.mark.parametrize("bulk", [False, True])
def test_space_that_vacuum_found_is_used_after_a_restart(bulk: bool) -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 2000)
    blocks = table.file.map.blocks
    empty(table, lambda number: number % 4)
    vacuum(table)
    assert table.file.space_map is not None
    table = reopened(volume)
    fill(table, 10_000, 1400, bulk)
    assert table.file.map.blocks == blocks
    assert len(rows_of(table)) == 1900
    # And what was filled since is not offered once more, after the next restart.
    AutoVacuum(table.storage).keep()
    before = bytes(table.file.free.rooms)
    table = reopened(volume)
    free_space.load(table.storage, table.file)
    assert bytes(table.file.free.rooms) == before
    assert len(table.file.free) < 20


def test_hints_that_a_crash_left_behind_are_found_out() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 1000)
    empty(table)
    vacuum(table)
    table = reopened(volume)
    fill(table, 0, 1000)  # the map still says that these blocks are empty
    blocks = table.file.map.blocks
    table = reopened(volume)
    offered = len(table.file.free)
    fill(table, 5000, 300)
    assert len(rows_of(table)) == 1300
    assert offered == 0 and len(table.file.free) == 0  # loaded, tried, found full
    assert table.file.map.blocks > blocks


def test_a_small_table_needs_no_map() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 60)
    blocks = table.file.map.blocks
    empty(table)
    vacuum(table)
    assert table.file.space_map is None
    table = reopened(volume)
    fill(table, 100, 60)
    assert table.file.map.blocks == blocks


def test_blocks_reserved_and_never_written_are_handed_out_after_a_restart() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 2000)
    blocks, fresh = int(table.file.map.blocks), table.file.fresh
    assert blocks > fresh
    for turn in range(5):
        table = reopened(volume)
        assert table.file.fresh == blocks
        fill(table, 3000 + 3 * turn, 3)
        assert table.file.map.blocks == blocks
    assert table.file.fresh <= fresh + 2
    assert len(rows_of(table)) == 2015


def test_a_cut_table_offers_nothing_beyond_its_end() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 2000)
    empty(table)
    vacuum(table)
    assert len(table.file.free) > 90
    storage = table.storage
    with storage.mtr:
        storage.extents.cut(table.file, 10, int(storage.log.next_lsn))
    assert len(table.file.free) <= 10
    free_space.write(storage, table.file)
    table = reopened(volume)
    free_space.load(table.storage, table.file)
    assert 0 < len(table.file.free) <= 10
    fill(table, 0, 2000)
    assert len(rows_of(table)) == 2000


def test_a_map_goes_with_its_relation_and_its_pages_have_one_owner() -> None:
    volume = MemoryVolume()
    storage = make_storage(volume)
    table = create(storage, DESC)
    fill(table, 0, 1000)
    empty(table)
    vacuum(table)
    used = storage.extents.used_pages
    assert table.file.space_map is not None
    pages = sum(entry.pages for entry in table.file.every_entry())
    txn = storage.txns.begin()
    storage.drop_storage(txn, DESC.relfile)
    storage.txns.commit(txn)
    assert storage.extents.used_pages == used - pages
    again = make_storage(volume)
    assert again.extents.used_pages == used - pages
    assert DESC.relfile not in again.extents.files


def test_page_of_the_map() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 400)
    empty(table)
    vacuum(table)
    fork = table.file.space_map
    page = table.storage.arena.page(table.storage.cache.get(fork.map.page_no(0)))
    assert page[OFF_KIND] == PageKind.SPACE_MAP
    room = (PAGE_BYTES - HEADER_BYTES - 4) // 32  # the line pointers of a page without rows go
    assert abs(page[HEADER_BYTES] - room) <= 1


def test_counters_survive_a_clean_stop_and_a_crash_about() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 500)
    vacuum(table)
    assert (table.file.rows, table.file.dead_rows) == (500, 0)
    empty(table, lambda number: number < 100)
    daemon = AutoVacuum(table.storage, built_in(autovacuum_vacuum_threshold=1000))
    daemon.keep()
    empty(table, lambda number: number < 130)
    daemon.keep()  # thirty more do not matter
    table = reopened(volume)
    assert (table.file.rows, table.file.dead_rows) == (500, 100)
    empty(table, lambda number: number < 140)
    AutoVacuum(table.storage).keep(True)
    table = reopened(volume)
    assert (table.file.rows, table.file.dead_rows) == (500, 110)


def test_autovacuum_after_a_restart_knows_where_it_stood() -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume), DESC)
    fill(table, 0, 500)
    empty(table)
    AutoVacuum(table.storage, built_in(autovacuum=0)).step()
    volume.advance()
    storage = make_storage(volume)
    assert storage.open_table(DESC.relfile) is None  # nobody has used it yet
    assert AutoVacuum(storage).step() is None
    stats = AutoVacuum(storage, find=lambda relfile: storage.table(DESC) if relfile == DESC.relfile else None).step()
    assert stats is not None and stats.versions == 500


@pytest.mark.parametrize("restarts", [False, True])
def test_a_table_updated_200_times_over_keeps_its_size(restarts: bool) -> None:
    volume = MemoryVolume()
    table = create(make_storage(volume, verify=False), DESC)
    rng = random.Random(5)
    fill(table, 0, 300)
    size = int(table.file.map.blocks) + int(table.indexes[0].file.map.blocks)
    for turn in range(200):
        storage = table.storage
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        for batch in list(table.scan(snapshot, (1,), True)):
            for number, tid in batch:
                text = rng.choice("yz") * rng.randrange(380, 420)
                changed = ((1, 2), (number + 1000, text)) if turn % 3 == 0 else ((2,), (text,))
                table.update_columns(txn, snapshot, tid, changed[0], lambda row, new=changed[1]: new, ())
        storage.txns.commit(txn)
        if restarts and turn % 7 == 3:
            volume.advance()
            storage = make_storage(volume, verify=False)
            table = storage.table(DESC)
        tables = {DESC.relfile: table}
        AutoVacuum(storage, find=tables.get).step()
    assert len(rows_of(table)) == 300
    now = int(table.file.map.blocks) + int(table.indexes[0].file.map.blocks)
    assert now <= 3 * size, f"{size} blocks have become {now}"


def test_vacuum_sets_reltuples_and_relpages() -> None:
    def body() -> None:
        session = Engine().session()
        session.run("create table t (id int primary key, a text)")
        session.run("insert into t select g, repeat('x', 300) from generate_series(1, 1000) g")
        sizes = "select relname, reltuples, relpages from pg_class where relname in ('t', 't_pkey') order by 1"
        assert session.run(sizes) == [("t", -1.0, 0), ("t_pkey", 0.0, 0)] or session.run(sizes)[0][1] == -1.0
        session.run("delete from t where id > 900")
        session.run("vacuum t")
        engine = session.engine
        desc = engine.catalog.view(session).find_relation(None, "t")
        blocks = engine.storage.blocks(desc.relfile)
        assert session.run(sizes)[0] == ("t", 900.0, blocks)
        assert session.run(sizes)[1][1] == 900.0
        assert (desc.rows, desc.pages) == (900.0, blocks)
        # Another session's DDL on the same row is not in the way, and goes on.
        session.begin()
        session.run("alter table t rename to u")
        statistics.vacuumed(engine.catalog, desc, type("Stats", (), {"rows": 7})())
        session.commit()
        assert session.run("select reltuples from pg_class where relname = 'u'") == [(900.0,)]

    in_greenlet(body)


def test_autovacuum_finds_a_table_by_its_relation_file() -> None:
    def body() -> None:
        session = Engine().session()
        session.run("create table t (id int primary key)")
        engine = session.engine
        desc = engine.catalog.view(session).find_relation(None, "t")
        table = statistics.table_of(engine.catalog, desc.relfile)
        assert table.desc.oid == desc.oid
        assert statistics.table_of(engine.catalog, desc.indexes[0].relfile) is None

    in_greenlet(body)


def test_a_round_vacuums_each_table_that_needs_it() -> None:
    storage = make_storage()
    tables = [create(storage, describe(2000 + number, [INT4, TEXT])) for number in range(3)]
    for table in tables:
        fill(table, 0, 500)
    for table in tables[:2]:
        empty(table)
    vacuum = AutoVacuum(storage)
    assert (vacuum.round(), vacuum.round()) == (2, 0)
    assert [table.file.dead_rows for table in tables] == [0, 0, 0]


def test_only_so_many_tables_are_kept_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute_node.access.storage.TABLES_MAX", 3)
    storage = make_storage()
    descs = [describe(2000 + 10 * number, [INT4, TEXT], [((1,), False)]) for number in range(5)]
    tables = [create(storage, desc) for desc in descs]
    fill(tables[0], 0, 10)  # who has it goes on with it
    ready = [storage.open_table(desc.relfile) for desc in descs]
    assert ready == [None, None, *tables[2:]]
    assert len(storage._indexed) == 3
    again = storage.table(descs[0])
    assert again is not tables[0] and len(rows_of(again)) == 10
