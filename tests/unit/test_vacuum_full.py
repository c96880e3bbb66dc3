"""VACUUM FULL writes a table anew: what is in it stays, the space of what has gone is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.access.dead_rows import DeadRows
from compute_node.hub import HUB
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]
SETUP = """
create table t (id int primary key, gone text, k text, long text);
alter table t alter k set storage main, alter long set storage external;
insert into t select i, 'gone', 'k' || i % 50, case when i % 100 = 0 then repeat(md5(i::text), 300) end
from generate_series(1, 2000) i;
create index on t using hash (k);
create index on t ((id % 7)) where id % 2 = 0;
alter table t drop gone;
delete from t where id % 10 <> 0
"""
ROWS = "select count(*), sum(id), md5(string_agg(t::text, ',' order by id)) from t"


def served(test: Callable[[Server, CountingEngine, Db], Awaitable[None]]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        db = await connect(server)
        for statement in SETUP.split(";\n"):
            await db.execute(statement.encode())
        await test(server, engine, db)
        await db.close()

    serve_engine(body)


async def one(db: Db, sql: str) -> Any:
    return await (await db.execute(sql.encode())).fetchone()


def test_rows_stay_and_space_is_given_back() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        before = await one(db, ROWS)
        files = set(engine.storage.extents.files)
        used = engine.storage.size()["used_bytes"]
        size, number, toast = await one(
            db,
            "select pg_relation_size('t'), relfilenode, reltoastrelid::regclass::text from pg_class"
            " where relname = 't'",
        )
        inserter = await one(db, "select min(xmin::text), max(xmin::text) from t")
        await db.execute("vacuum full t")
        assert await one(db, ROWS) == before
        assert await one(db, "select min(xmin::text), max(xmin::text) from t") == inserter
        now, after, toast_now, pages, rows = await one(
            db,
            "select pg_relation_size('t'), relfilenode, reltoastrelid::regclass::text, relpages, reltuples"
            " from pg_class where relname = 't'",
        )
        assert after != number and toast_now == toast
        assert now * 5 < size and (pages, rows) == (now // 8192, 200)
        assert engine.storage.size()["used_bytes"] < used
        assert len(set(engine.storage.extents.files) - files) == len(files - set(engine.storage.extents.files)) == 6
        found = await (
            await db.execute("select reltuples from pg_class where relname ~ '^t_' order by relname")
        ).fetchall()
        assert found == [(200,), (200,), (200,)]
        assert await (await db.execute("select * from aurora_check_relation('t'::regclass)")).fetchall() == []
        await db.execute("set enable_seqscan = off")
        assert await one(db, "select count(*) from t where k = 'k0'") == (40,)
        await db.execute("insert into t values (1, 'k1', 'x'); delete from t where id = 2000")
        assert await one(db, "select count(*) from t where id % 7 >= 0 and id % 2 = 0") == (199,)

    served(body)


def test_an_older_snapshot_sees_what_it_saw_and_nothing_newer() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        old = await connect(server)
        await old.execute("begin isolation level repeatable read; select 1")
        await db.execute("insert into t values (5000, 'new', null)")
        await db.execute("vacuum full t")
        assert await one(old, "select count(*), max(id) from t") == (200, 2000)
        assert await one(db, "select count(*), max(id) from t") == (201, 5000)
        await old.execute("commit")
        assert await one(old, "select count(*), max(id) from t") == (201, 5000)
        await old.close()

    served(body)


def test_it_waits_for_readers_and_can_be_cancelled() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        reader = await connect(server)
        await reader.execute("begin; select 1 from t limit 1")
        number = await one(db, "select relfilenode from pg_class where relname = 't'")
        await db.execute("set lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            await db.execute("vacuum full t")
        await db.execute("set lock_timeout = 0")
        running = asyncio.ensure_future(db.execute("vacuum full t"))
        waiting = "select count(*) from pg_locks where relation = 't'::regclass and not granted"
        while await one(reader, waiting) == (0,):
            await asyncio.sleep(0.01)
        await one(reader, f"select pg_cancel_backend({db.info.backend_pid})")
        with pytest.raises(errors.QueryCanceled):
            await running
        assert await one(reader, "select relfilenode from pg_class where relname = 't'") == number
        await reader.execute("commit")
        await db.execute("vacuum full t")
        assert await one(db, "select relfilenode from pg_class where relname = 't'") != number
        await reader.close()

    served(body)


def test_a_table_that_cannot_be_written_anew_stays_and_the_next_are_not_reached() -> None:
    """Each table is a transaction of its own: what is done before the one that fails is done."""

    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        await db.execute("create function f(int) returns int language sql immutable as 'select $1'")
        await db.execute("create table a (x int); create table b (x int); create table c (x int)")
        await db.execute("insert into a values (1); insert into b values (1); insert into c values (1)")
        await db.execute("create index on b (f(x))")
        await db.execute("create or replace function f(int) returns int language sql immutable as 'select $1 / 0'")
        numbers = "select relfilenode from pg_class where relname in ('a', 'b', 'c') order by relname"
        before = await (await db.execute(numbers)).fetchall()
        files = len(engine.storage.extents.files)
        with pytest.raises(errors.DivisionByZero):
            await db.execute("vacuum full a, b, c")
        after = await (await db.execute(numbers)).fetchall()
        assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True]
        assert len(engine.storage.extents.files) == files
        assert await one(db, "select * from b") == (1,)

    served(body)


def test_a_toast_table_alone() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        for _ in range(3):
            await db.execute("update t set long = long || 'x' where long is not null")
        before = await one(db, ROWS)
        toast = (await one(db, "select reltoastrelid::regclass::text from pg_class where relname = 't'"))[0]
        size = f"select pg_relation_size('{toast}'), pg_relation_filenode('{toast}')"
        pages, number = await one(db, size)
        reader = await connect(server)
        await reader.execute("begin; select 1 from t limit 1")
        await db.execute("set lock_timeout = '50ms'")
        for statement in (f"vacuum full {toast}", f"reindex table {toast}", f"reindex index {toast}_index"):
            with pytest.raises(errors.LockNotAvailable):
                await db.execute(statement.encode())
        await reader.execute("commit")
        await reader.close()
        await db.execute(f"vacuum full {toast}".encode())
        now, other = await one(db, size)
        assert now < pages and other != number
        assert await one(db, ROWS) == before
        await db.execute(f"reindex table {toast}".encode())
        assert await one(db, ROWS) == before
        await db.execute("update t set long = long || 'y' where long is not null")
        assert await (await db.execute("select * from aurora_check_relation('t'::regclass)")).fetchall() == []

    served(body)


def test_reindex_mends_the_index_of_a_catalog() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        wrong = "select * from aurora_check_relation('pg_class'::regclass)"
        assert await (await db.execute(wrong)).fetchall() == []
        (at,) = await one(db, "select ctid::text from pg_class where relname = 't'")
        block = int(at.strip("()").partition(",")[0])
        table = engine.storage.table(engine.catalog.catalogs.tables["pg_class"].desc)
        index = next(each for each in table.indexes if each.desc.name == "pg_class_relname_nsp_index")
        assert await HUB.call(lambda: index.remove(_all_of(block), HUB.pulse)) > 0
        assert await (await db.execute(wrong)).fetchall() != []
        await db.execute("reindex index pg_class_relname_nsp_index")
        assert await (await db.execute(wrong)).fetchall() == []
        assert await one(db, "select 't'::regclass::text") == ("t",)

    served(body)


def _all_of(block: int) -> DeadRows:
    """As if all rows of a page were dead."""
    dead = DeadRows()
    dead.add(block, b"\xff" * 128, 1024)
    return dead


def test_others_tables_are_passed_over() -> None:
    async def body(server: Server, engine: CountingEngine, db: Db) -> None:
        await db.execute("create role pl login; grant all on t to pl; grant all on schema public to pl")
        numbers = "select relname, relfilenode from pg_class where relname in ('t', 'mine') order by 1"
        await db.execute("set role pl; create table mine (a int)")
        before = await (await db.execute(numbers)).fetchall()
        told: list[str] = []
        db.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        await db.execute("vacuum full t, mine")
        assert told == ['skipping "t" --- only table or database owner can vacuum it']
        after = await (await db.execute(numbers)).fetchall()
        assert after[1] == before[1] and after[0] != before[0]

    served(body)
