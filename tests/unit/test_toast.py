"""TOAST over a volume in memory: who is moved where, what lives as long as its row, what damage is told."""

from __future__ import annotations

import asyncio
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support_catalog import Engine, Session, in_greenlet

from aurora.errors import (
    DataCorrupted,
    InsufficientPrivilege,
    InvalidParameterValue,
    NotNullViolation,
    NotSupported,
    ProgramLimitExceeded,
    TooManyColumns,
    WrongObjectType,
)
from compute_node.access import stored, toast
from compute_node.access.free_space import UNIT_BYTES
from compute_node.access.memory_volume import MemoryVolume
from compute_node.catalog.bootstrap import install
from compute_node.hub import HUB

NOISE = random.Random(7).randbytes(400_000).hex()
"""Text that pglz finds nothing in."""
WORDS = "the same words again and again; "


def on_engine(function: Callable[[Session], Any], **options: Any) -> Any:
    return in_greenlet(lambda: function(Engine(**options).session()))


def chunks(session: Session, table: str = "t") -> list[tuple[int, int]]:
    """(chunks, bytes) of each value out of line, in order of age."""
    oid = session.run(f"select '{table}'::regclass::oid")[0][0]
    query = (
        "select count(*), sum(octet_length(chunk_data)) from pg_toast.pg_toast_{} group by chunk_id order by chunk_id"
    )
    found = session.run(query.format(oid))
    return [tuple(row) for row in found]


def put(session: Session, text: str, key: int = 1, table: str = "t") -> None:
    session.run(f"insert into {table} values ({key}, '{text}')")


def test_a_table_that_can_have_long_rows_gets_its_toast_table() -> None:
    def body(session: Session) -> None:
        for columns, wanted in (
            ("a int, b text", True),
            ("a int, b int8", False),
            ("a varchar(100)", False),
            ("a varchar(600)", True),
            ("a bpchar(88), b int", False),
            ("a numeric(1000)", False),
            ("a numeric", True),
            ("a int[]", True),
            ("a name", False),
        ):
            session.run(f"create table c ({columns})")
            assert bool(session.run("select reltoastrelid from pg_class where relname = 'c'")[0][0]) is wanted, columns
            session.run("drop table c")
        assert session.run("select relname from pg_class where relkind = 't' and oid >= 16384") == []
        session.run("create table c (a int)")
        session.run("alter table c add column b text")
        oid = session.run("select 'c'::regclass::oid")[0][0]
        assert session.run(
            "select relname, relkind from pg_class where relnamespace = 99 and oid > 16384 order by 1"
        ) == [
            (f"pg_toast_{oid}", "t"),
            (f"pg_toast_{oid}_index", "i"),
        ]
        session.run("create table d as select 'x'::text as a")
        assert session.run("select reltoastrelid > 0 from pg_class where relname = 'd'") == [(True,)]

    on_engine(body)


def test_long_values_go_out_of_line_and_come_back() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE)
        put(session, "short", 2)
        put(session, WORDS * 1000, 3)
        put(session, (WORDS + NOISE[:64]) * 3000, 4)
        rows = session.run("select a from t order by id")
        assert [row[0] for row in rows] == [NOISE, "short", WORDS * 1000, (WORDS + NOISE[:64]) * 3000]
        found = chunks(session)
        assert found[0] == (401, 800_000)
        assert len(found) == 2
        assert session.run("select id from t where a = '" + WORDS * 1000 + "'") == [(3,)]
        assert session.run("select count(distinct a), max(length(a)) from t") == [(4, 800_000)]

    on_engine(body)


def test_an_update_keeps_the_pointer_of_what_it_leaves() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text, n int, b text)")
        session.run(f"insert into t values (1, '{NOISE[:9000]}', 0, '{NOISE[:5000]}')")
        before = session.run("select chunk_id, chunk_seq, ctid from pg_toast.pg_toast_16384 order by 1, 2")
        assert len(before) == 5 + 3
        for change in ("n = n + 1", "n = 5, id = 2"):
            session.run(f"update t set {change}")
            after = session.run("select chunk_id, chunk_seq, ctid from pg_toast.pg_toast_16384 order by 1, 2")
            assert after == before
        session.run("update t set a = 'short'")
        assert chunks(session) == [(3, 5000)]
        session.run("update t set b = b || 'x'")
        assert chunks(session) == [(3, 5001)]
        assert session.run("select id, a, n, b from t") == [(2, "short", 5, NOISE[:5000] + "x")]
        session.run("update t set b = null")
        assert chunks(session) == []

    on_engine(body)


def test_chunks_live_and_die_with_their_row() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        session.begin()
        old = session.engine.storage.txns.snapshot(session.txn)
        other = session.engine.session(2)
        other.run("delete from t")
        assert chunks(other) == []
        put(other, NOISE[:5000])
        other.run("vacuum t")
        table = session.engine.storage.table(session.engine.catalog.view(session).find_relation(None, "t"))
        # The older snapshot's row and chunks are still there: it is registered with its transaction.
        assert [row for batch in table.scan(old, (1, 2), False) for row in batch] == [(1, NOISE[:9000])]
        session.rollback()
        other.run("vacuum t")
        storage = session.engine.storage
        file = storage.file(session.run("select relfilenode from pg_class where relname = 'pg_toast_16384'")[0][0])
        assert sum(file.free.rooms) * UNIT_BYTES > 6000
        # What a rolled-back insert wrote is found by vacuum too.
        session.begin()
        put(session, NOISE, 7)
        session.rollback()
        assert chunks(session) == [(3, 5000)]
        blocks, room = storage.blocks(file.relfile), sum(file.free.rooms)
        session.run("vacuum (process_toast false) t")
        assert sum(file.free.rooms) == room
        session.run("vacuum t")
        assert sum(file.free.rooms) > room
        put(session, NOISE, 8)
        assert storage.blocks(file.relfile) == blocks
        assert session.run("select id, a from t order by 1") == [(1, NOISE[:5000]), (8, NOISE)]

    on_engine(body)


def test_bulk_inserts_mix_long_and_short_rows() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        session.run("create table u (id int, a text)")
        rows = [(i, NOISE[i : i + 3000] if i % 3 == 0 else f"row {i}") for i in range(200)]
        values = ", ".join(f"({i}, '{text}')" for i, text in rows)
        session.run(f"insert into u values {values}")
        session.run("insert into t select * from u")
        for name in ("t", "u"):
            assert [tuple(row) for row in session.run(f"select * from {name} order by id")] == rows
            assert chunks(session, name) == [(2, 3000)] * 67

    on_engine(body)


def test_storage_modes() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int, a text)")
        session.run("alter table t alter a set storage external")
        put(session, WORDS * 200)
        assert chunks(session) == [(4, 6400)]
        session.run("truncate t; alter table t alter a set storage main")
        put(session, WORDS * 200)
        put(session, NOISE[:6000], 2)
        assert chunks(session) == []
        put(session, NOISE[:9000], 3)
        assert chunks(session) == [(5, 9000)]
        session.run("truncate t; alter table t alter a set storage plain")
        put(session, NOISE[:6000])
        assert chunks(session) == []
        with pytest.raises(ProgramLimitExceeded, match="row is too big: size 9038, maximum size 8160"):
            put(session, NOISE[:9000])
        session.run("alter table t alter a set storage extended; alter table t set (toast_tuple_target = 128)")
        put(session, WORDS * 100 + NOISE[:300], 2)
        assert len(chunks(session)) == 1
        with pytest.raises(InvalidParameterValue, match='invalid storage type "big"'):
            session.run("alter table t alter a set storage big")
        with pytest.raises(NotSupported, match="column data type integer can only have storage PLAIN"):
            session.run("alter table t alter id set storage extended")

    on_engine(body)


@pytest.mark.parametrize("method", ["pglz", "lz4"])
def test_compression_methods(method: str) -> None:
    def body(session: Session) -> None:
        session.run(f"create table t (id int, a text compression {method})")
        put(session, WORDS * 200)
        session.run("create table u (id int, a text)")
        session.settings.values["default_toast_compression"] = method
        put(session, WORDS * 200, 1, "u")
        handle_kinds = {"pglz": 1, "lz4": 2}
        for name in ("t", "u"):
            table = session.engine.storage.table(session.engine.catalog.view(session).find_relation(None, name))
            with session.engine.storage.txns.reading("test") as snapshot:
                [[(handle,)]] = list(table.scan(snapshot, (2 + stored.LAZY,), False))
            assert handle.method == handle_kinds[method]
            assert session.run(f"select a from {name}") == [(WORDS * 200,)]
        with pytest.raises(InvalidParameterValue, match='invalid compression method "zip"'):
            session.run("create table v (a text compression zip)")
        with pytest.raises(NotSupported, match="column data type integer does not support compression"):
            session.run("create table v (a int compression pglz)")

    on_engine(body)


def test_savepoint_rolled_back_leaves_the_old_value() -> None:
    def body(session: Session) -> None:
        storage = session.engine.storage
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        session.begin()
        storage.txns.savepoint(session.txn, "s")
        session.run(f"update t set a = '{NOISE[9000:20000]}'")
        session.run("delete from t where id = 2")
        assert session.run("select a from t") == [(NOISE[9000:20000],)]
        storage.txns.rollback_to(session.txn, "s")
        assert session.run("select a from t") == [(NOISE[:9000],)]
        session.commit()
        assert chunks(session) == [(5, 9000)]
        session.run("vacuum t")
        assert session.run("select a from t") == [(NOISE[:9000],)]

    on_engine(body)


def test_system_catalogs_take_long_texts() -> None:
    def body(session: Session) -> None:
        columns = ", ".join(f"'{NOISE[i * 100 : i * 100 + 60]}'::text as column_number_{i}" for i in range(300))
        session.run(f"create view v as select {columns}")
        assert len(session.run("select * from v")[0]) == 300
        session.run(f"comment on view v is '{NOISE[:30000]}'")
        assert session.run("select description from pg_description where objoid = 'v'::regclass") == [(NOISE[:30000],)]
        session.run(f"create table d (a text default '{NOISE[:20000]}')")
        session.run("insert into d default values")
        assert session.run("select a from d") == [(NOISE[:20000],)]
        assert session.run(
            "select reltoastrelid::int from pg_class where relname in ('pg_rewrite', 'pg_proc') order by 1"
        ) == [
            (2836,),
            (2838,),
        ]
        session.run("drop view v; drop table d")

    on_engine(body)


def test_a_table_of_1600_columns() -> None:
    def body(session: Session) -> None:
        session.run("create table t (" + ", ".join(f"c{i} int" for i in range(1600)) + ")")
        values = ["null" if i % 2 else str(i) for i in range(1600)]
        session.run(f"insert into t values ({', '.join(values)})")
        assert session.run("select c0, c1, c1598, c1599 from t") == [(0, None, 1598, None)]
        session.run("update t set c1599 = 5")
        assert session.run("select c1598, c1599 from t") == [(1598, 5)]
        with pytest.raises(TooManyColumns, match="tables can have at most 1600 columns"):
            session.run("alter table t add column more int")

    on_engine(body)


# -- waiting


def test_others_are_served_while_a_long_value_is_written_and_read() -> None:
    async def main() -> tuple[int, int]:
        HUB.bind(asyncio.get_running_loop())
        volume = MemoryVolume()
        await HUB.call(install, volume)
        engine = await HUB.call(Engine, volume, 512)
        writer, reader = engine.session(1), engine.session(2)
        await HUB.call(writer.run, "create table t (id int primary key, a text); create table u (a int)")
        turns = 0

        async def beside(work: Any) -> int:
            count = 0
            while not work.done():
                await HUB.call(reader.run, "insert into u values (1)")
                count += 1
                await asyncio.sleep(0)
            await work
            return count

        turns = await beside(asyncio.ensure_future(HUB.call(put, writer, NOISE * 2)))
        reads = await beside(asyncio.ensure_future(HUB.call(writer.run, "select length(a || '') from t")))
        assert (await HUB.call(writer.run, "select a from t")) == [(NOISE * 2,)]
        return turns, reads

    writes, reads = asyncio.run(main())
    # 804 chunks go in batches of 64; a leaf of the index names some hundred.
    assert writes > 10
    assert reads > 2


def test_pages_that_left_the_cache_are_loaded_again() -> None:
    def body(session: Session) -> None:
        engine = session.engine
        session.run("create table t (id int primary key, a text)")
        for i in range(8):
            put(session, NOISE[i:], i)
        engine.volume.advance()
        small = Engine(engine.volume, 64).session()
        for i in (0, 7, 3):
            assert small.run(f"select a from t where id = {i}") == [(NOISE[i:],)]
        assert small.run("select count(*) from t where a like '%" + NOISE[-40:] + "'") == [(8,)]

    on_engine(body)


# -- damage


def damaged(session: Session) -> Any:
    """The TOAST table's ``Table`` of table t, and a transaction to damage it with."""
    view = session.engine.catalog.view(session)
    return session.engine.storage.table(view.find_relation(None, "t").toast)


@pytest.mark.parametrize(
    ("seqs", "message"),
    [
        ((2,), "missing chunk number 2 for toast value 1 in pg_toast_16384"),
        ((4,), "missing chunk number 4 for toast value 1 in pg_toast_16384"),
        ((0, 1, 2, 3, 4), "missing chunk number 0 for toast value 1 in pg_toast_16384"),
    ],
)
def test_missing_chunks_are_told(seqs: tuple[int, ...], message: str) -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        put(session, "sound", 2)
        chunk_table, storage = damaged(session), session.engine.storage
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        for batch in list(chunk_table.scan(snapshot, (2,), True)):
            for seq, tid in batch:
                if seq in seqs:
                    assert chunk_table.delete(txn, snapshot, tid, lambda _row: True, ())
        storage.txns.commit(txn)
        storage.vacuum(chunk_table)
        with pytest.raises(DataCorrupted, match=message):
            session.run("select a from t")
        assert session.run("select a from t where id = 2") == [("sound",)]
        assert session.run("select id from t order by id") == [(1,), (2,)]
        # The row can be removed.
        session.run("delete from t where id = 1")

    on_engine(body)


def test_a_chunk_of_another_size_is_told() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        chunk_table, storage = damaged(session), session.engine.storage
        txn = storage.txns.begin()
        snapshot = storage.txns.snapshot(txn)
        for batch in list(chunk_table.scan(snapshot, (2,), True)):
            for seq, tid in batch:
                if seq == 1:
                    chunk_table.delete(txn, snapshot, tid, lambda _row: True, ())
        storage.txns.commit(txn)
        storage.vacuum(chunk_table)
        txn = storage.txns.begin()
        chunk_table.insert(txn, (1, 1, b"short"))
        storage.txns.commit(txn)
        message = r"unexpected chunk size 5 \(expected 1996\) in chunk 1 of 5 for toast value 1 in pg_toast_16384"
        with pytest.raises(DataCorrupted, match=message):
            session.run("select a from t")

    on_engine(body)


@pytest.mark.parametrize("method", ["pglz", "lz4"])
def test_a_flipped_bit_in_a_compressed_value_is_told(method: str) -> None:
    def body(session: Session) -> None:
        session.run(f"create table t (id int primary key, a text compression {method})")
        put(session, WORDS * 200)
        table = session.engine.storage.table(session.engine.catalog.view(session).find_relation(None, "t"))
        with session.engine.storage.txns.reading("test") as snapshot:
            [[(handle,)]] = list(table.scan(snapshot, (2 + stored.LAZY,), False))
        told: set[str] = set()
        for at in range(len(handle.data)):
            for bit in (1, 128):
                data = handle.data[:at] + bytes((handle.data[at] ^ bit,)) + handle.data[at + 1 :]
                broken = stored.Toasted(
                    handle.codec, handle.column, handle.method, handle.raw_bytes, len(data), data=data
                )
                try:
                    table.toast.value(broken)
                except DataCorrupted as error:
                    told.add(str(error))
        assert told == {f"compressed {method} data is corrupt", "a stored value is not valid UTF-8"}

    on_engine(body)


def test_a_pointer_to_another_toast_table_is_told() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        desc = session.engine.catalog.view(session).find_relation(None, "t")
        table = session.engine.storage.table(desc)
        handle = stored.Toasted(table.codec, 1, 0, 9000, 9000, 1, 4711)
        with pytest.raises(DataCorrupted, match="TOAST pointer of t names relation 4711"):
            table.toast.value(handle)

    on_engine(body)


def test_ids_of_values_wrap_round_those_in_use() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        file = damaged(session).file
        file.next_value_id = toast.VALUE_ID_MAX
        put(session, NOISE[1:9000], 2)
        put(session, NOISE[2:9000], 3)
        assert session.run("select chunk_id::int8 from pg_toast.pg_toast_16384 group by 1 order by 1") == [
            (1,),
            (2,),
            (toast.VALUE_ID_MAX,),
        ]
        session.engine.volume.advance()
        again = Engine(session.engine.volume).session()
        put(again, NOISE[3:9000], 4)
        assert [row[0] for row in again.run("select a from t order by id")] == [NOISE[i:9000] for i in range(4)]

    on_engine(body)


def test_a_value_over_the_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toast, "VALUE_BYTES_MAX", 10_000)

    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        with pytest.raises(ProgramLimitExceeded, match="requested length too large"):
            put(session, NOISE[:10_001])
        put(session, NOISE[:10_000])
        assert session.run("select length(a) from t") == [(10_000,)]

    on_engine(body)


def test_a_column_of_its_own_descriptor_has_no_toast() -> None:
    """A descriptor without TOAST has no limit but the page."""

    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        desc = session.engine.catalog.view(session).find_relation(None, "t")
        table = session.engine.storage.table(replace(desc, toast=None))
        txn = session.engine.storage.txns.begin()
        with pytest.raises(ProgramLimitExceeded, match="row is too big"):
            table.insert(txn, (1, NOISE[:9000]))
        session.engine.storage.txns.abort(txn)

    on_engine(body)


# -- who reads what


def fetched(session: Session, monkeypatch: pytest.MonkeyPatch, query: str) -> tuple[Any, list[tuple[int, int]]]:
    """The query's rows, and the stored bytes that it read out of line, as (start, end)."""
    ranges: list[tuple[int, int]] = []
    original = toast.ToastReader._fetch

    def fetch(self: Any, handle: Any, start: int, end: int) -> bytes:
        ranges.append((start, end))
        return original(self, handle, start, end)

    with monkeypatch.context() as patch:
        patch.setattr(toast.ToastReader, "_fetch", fetch)
        return session.run(query), ranges


def test_only_what_is_looked_at_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text, b bytea)")
        session.run("alter table t alter a set storage external; alter table t alter b set storage external")
        for i in range(5):
            session.run(f"insert into t values ({i}, '{NOISE[i:100_000]}', '\\x{NOISE[:40_000]}')")
        whole = [(i, NOISE[i:100_000]) for i in range(5)]
        for query, rows, ranges in (
            ("select id from t order by id", [(i,) for i in range(5)], []),
            ("select count(a), count(*) from t", [(5, 5)], []),
            ("select id from t where a is not null and id > 3", [(4,)], []),
            ("select octet_length(a) from t where id = 2", [(99_998,)], []),
            ("select pg_column_size(a), octet_length(b) from t where id = 0", [(100_000, 20_000)], []),
            ("select substr(a, 50001, 5) from t where id = 0", [(NOISE[50000:50005],)], [(0, 200_020)]),
            ("select left(a, 3) from t where id = 1", [(NOISE[1:4],)], [(0, 12)]),
            (
                "select get_byte(b, 10000) from t where id = 1",
                [(bytes.fromhex(NOISE[:40_000])[10000],)],
                [(10000, 10001)],
            ),
            ("select id, a from t where id = 3", [whole[3]], [(0, 99_997)]),
            ("select id, a from t order by id desc limit 1", [whole[4]], [(0, 99_996)]),
            ("select id, left(a, 2) from t order by id desc limit 2", [(4, NOISE[4:6]), (3, NOISE[3:5])], [(0, 8)] * 5),
            ("select x from (select id, a as x from t order by id offset 2) s limit 1", [whole[2][1:]], [(0, 99_998)]),
            ("select length(a), pg_column_size(a) from t where id = 0", [(100_000, 100_000)], [(0, 100_000)]),
        ):
            found, read = fetched(session, monkeypatch, query)
            assert found == rows, query
            # A slice ends with the value.
            assert [(start, min(end, 100_000)) for start, end in read] == [
                (start, min(end, 100_000)) for start, end in ranges
            ], query
        _, read = fetched(session, monkeypatch, "update t set id = id + 10 where id = 1")
        assert read == []
        _, read = fetched(session, monkeypatch, "delete from t where id = 11")
        assert read == []

    on_engine(body)


def test_a_filter_is_applied_before_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int, a text, n int)")
        for i in range(10):
            session.run(f"insert into t values ({i}, '{NOISE[i:9000]}', {i % 5})")
        rows, read = fetched(session, monkeypatch, "select a from t where n = 3")
        assert sorted(rows) == sorted([(NOISE[3:9000],), (NOISE[8:9000],)])
        assert len(read) == 2
        rows, read = fetched(session, monkeypatch, "select id from t where a like '%" + NOISE[8990:9000] + "'")
        assert len(rows) == len(read) == 10

    on_engine(body)


def test_handles_in_a_temporary_file_come_back() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text)")
        put(session, NOISE[:9000])
        put(session, WORDS * 200, 2)
        table = session.engine.storage.table(session.engine.catalog.view(session).find_relation(None, "t"))
        with session.engine.storage.txns.reading("test") as snapshot:
            [rows] = list(table.scan(snapshot, (2 + stored.LAZY,), False))
        again = pickle.loads(pickle.dumps(rows))
        assert again == rows
        assert [stored.resolved_row(row, (0,)) for row in again] == [(NOISE[:9000],), (WORDS * 200,)]

    on_engine(body)


def test_a_toast_table_is_nobodys_to_change() -> None:
    def body(session: Session) -> None:
        session.run("create table t (a text) with (toast.autovacuum_enabled = false, fillfactor = 50)")
        session.run(f"insert into t values ('{NOISE[:9000]}')")
        name = session.run("select reltoastrelid::regclass::text from pg_class where relname = 't'")[0][0]
        for statement, error in (
            (f"drop index {name}_index", InsufficientPrivilege),
            (f"alter table {name} rename to y", InsufficientPrivilege),
            (f"drop table {name}", WrongObjectType),
            (f"select * from {name} for update", WrongObjectType),
            (f"delete from {name}", WrongObjectType),
        ):
            with pytest.raises(error):
                session.run(statement)
        options = f"select reloptions from pg_class where oid in ('t'::regclass, '{name}'::regclass) order by relkind"
        assert session.run(options) == [(["fillfactor=50"],), (["autovacuum_enabled=false"],)]
        session.run("drop table t")

    on_engine(body)


def test_insert_of_a_select_copies_what_is_stored() -> None:
    def body(session: Session) -> None:
        session.run("create table t (id int primary key, a text compression lz4)")
        session.run("create table u (id int, a text)")
        session.run("create table v (id int, a text not null, unique (id))")
        session.run("create table w (id int, a text check (length(a) > 3))")
        session.run("create table p (id int, a text); alter table p alter a set storage plain")
        rows = [(1, WORDS * 200), (2, NOISE[:9000]), (3, (WORDS + NOISE[:400]) * 60), (4, "short")]
        for key, text in rows:
            put(session, text, key)
        for name in ("u", "v", "w"):
            session.run(f"insert into {name} select * from t order by id")
            assert session.run(f"select * from {name} order by id") == rows
            kinds = [row[0] for row in session.run(f"select pg_column_compression(a) from {name} order by id")]
            # A check looks at the value, which is compressed anew.
            assert kinds == (["pglz", None, "pglz", None] if name == "w" else ["lz4", None, "lz4", None])
        assert chunks(session, "u") == chunks(session, "t")
        session.run("insert into u select id + 10, a from u")
        session.run("delete from t")
        session.run("vacuum t")
        assert session.run("select id, a from u where id > 10 order by id") == [(key + 10, text) for key, text in rows]
        with pytest.raises(NotNullViolation) as caught:
            session.run("create table n (id int not null, a text); insert into n select null, a from u where id = 1")
        assert caught.value.detail == f"Failing row contains (null, {(WORDS * 200)[:64]}...)."
        session.run("insert into p select * from u where id = 1")
        assert session.run("select a, pg_column_compression(a) from p") == [(WORDS * 200, None)]

    on_engine(body)
