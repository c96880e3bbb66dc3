"""Cursors and portals on the real engine: rows as they are fetched, kept past work_mem in files, drivers' cursors."""

from __future__ import annotations

from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import Raw, bind, connect, execute, parse
from wire_fakes import tags

from compute_node.protocol.messages import message
from compute_node.wire.server import Server

ROWS = 20_000


async def filled(server: Server) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute("create sequence s")
    await db.execute("create table t (a int primary key, b text)")
    await db.execute(f"insert into t select g, repeat('x', 20) from generate_series(1, {ROWS}) g")
    return db


async def one(db: psycopg.AsyncConnection[Any], sql: str) -> Any:
    return (await (await db.execute(sql)).fetchone() or (None,))[0]


def test_rows_are_computed_as_they_are_fetched() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server)
        async with db.transaction():
            await db.execute("declare c no scroll cursor for select nextval('s') from t")
            assert await one(db, "fetch 1 from c") == 1
            assert await one(db, "select last_value from s") < 3000
            await db.execute("move 10000 in c")
            assert 10_000 <= await one(db, "select last_value from s") < 13_000
            assert len(await (await db.execute("fetch all from c")).fetchall()) == ROWS - 10_001
        await db.execute("select setval('s', 1)")
        raw = await Raw.open(server)
        raw.send(parse("", "select nextval('s') from t") + bind("p", "") + execute("p", 5) + message(b"H", b""))
        while True:
            if (await raw.one())[:1] == b"s":
                break
        assert await one(db, "select last_value from s") < 3000

    serve_engine(body)


def test_kept_rows_go_to_a_file_past_work_mem() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server)
        await db.execute("set work_mem = '64kB'")
        (session,) = server.sessions.values()
        async with db.transaction():
            await db.execute("declare c scroll cursor with hold for select a, b from t order by a")
            assert await one(db, "fetch last from c") == ROWS
            assert session.portals[b"c"]._kept.spilled
            assert await one(db, "fetch first from c") == 1
            assert await one(db, "fetch absolute 12345 from c") == 12345
            back = await (await db.execute("fetch backward 5000 from c")).fetchall()
            assert [row[0] for row in back] == list(range(12344, 7344, -1))
        assert await one(db, "fetch absolute -1 from c") == ROWS
        back = await (await db.execute("fetch backward all from c")).fetchall()
        assert [row[0] for row in back] == list(range(ROWS - 1, 0, -1))
        await db.execute("close c")
        assert session.portals == {}
        # One that was not declared so keeps nothing before it goes back.
        async with db.transaction():
            await db.execute("declare c cursor for select a from t order by a")
            await db.execute("move 15000 in c")
            assert session.portals[b"c"]._kept is None
            assert await one(db, "fetch prior from c") == 14999
            assert await one(db, "fetch next from c") == 15000

    serve_engine(body)


def test_what_a_cursor_keeps_is_what_it_saw() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db, other = await filled(server), await connect(server)
        async with db.transaction():
            await db.execute("declare c cursor for select a, b from t order by a")
            await db.execute("move 3000 in c")
            await other.execute("update t set b = 'other'")
            await db.execute("delete from t where a % 2 = 0")
            await other.execute("vacuum")
            # Going back runs the statement again: under its own snapshot.
            found = await (await db.execute("fetch backward 2 from c")).fetchall()
            assert found == [(2999, "x" * 20), (2998, "x" * 20)]
            rest = await (await db.execute("fetch all from c")).fetchall()
            assert rest == [(number, "x" * 20) for number in range(2999, ROWS + 1)]

    serve_engine(body)


def test_drivers_cursors() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server)
        async with db.transaction(), db.cursor(name="plain") as cursor:
            cursor.itersize = 700
            await cursor.execute("select a from t order by a")
            assert [row[0] async for row in cursor] == list(range(1, ROWS + 1))
        async with db.transaction(), db.cursor(name="scrolling", scrollable=True, withhold=True) as cursor:
            await cursor.execute("select a from t where a > %s order by a", (100,))
            assert await cursor.fetchmany(2) == [(101,), (102,)]
            await cursor.scroll(1000)
            assert await cursor.fetchone() == (1103,)
            await cursor.scroll(5, mode="absolute")
            assert await cursor.fetchone() == (106,)
        host, port = server.addresses[0]
        native = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
        async with native.transaction():
            found = [row["a"] async for row in native.cursor("select a from t where a > $1 order by a", 10)]
            assert found == list(range(11, ROWS + 1))
            held = await native.cursor("select a from t order by a")
            assert await held.forward(3) == 3
            assert [row["a"] for row in await held.fetch(2)] == [4, 5]
        await native.close()

    serve_engine(body)


def test_a_portal_with_a_row_limit_goes_on_after_other_statements() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server)
        raw = await Raw.open(server)
        await raw.query("begin")
        raw.send(
            parse("st", "select a, b from t order by a") + bind("p", "st") + execute("p", 1000) + message(b"S", b"")
        )
        assert tags(await raw.until_ready()) == "12" + "D" * 1000 + "sZ"
        for number in range(2, 20):
            await db.execute("update t set b = 'new' where a = %s", (number * 1000,))
            await raw.query("update t set b = 'own' where a % 1000 = 500")
            raw.send(execute("p", 1000) + message(b"S", b""))
            data = await raw.until_ready()
            assert tags(data) == "D" * 1000 + "sZ"
            assert b"new" not in data and b"own" not in data
        raw.send(execute("p", 1000) + execute("p", 1000) + message(b"S", b""))
        assert tags(await raw.until_ready()) == "D" * 1000 + "s" + "CZ"

    serve_engine(body)


def test_declare_compiles_once_and_finds_the_rows_it_may() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table t (a int, b text, c int)")
        await db.execute("insert into t select i, 'x', -i from generate_series(1, 9) i")
        await db.execute("create role r")
        await db.execute("grant select (a), update (a) on t to r")
        not_simple = (
            "select count(*) from t", "select a, sum(a) over () from t", "select generate_series(1, a) from t",
            "select a from t order by b, c", "select a from t union select 1", "select x.a from t x, t y",
            "select distinct a from t", "select a from (select distinct a from t) s",
            "with t as (select 1 as a) select a from t",
        )  # fmt: skip
        for query in not_simple:
            engine.compiled.clear()
            await db.execute("begin")
            await db.execute(f"declare c cursor for {query}")
            assert len(engine.compiled) == 1
            (row,) = await (await db.execute("fetch c")).fetchall()
            assert len(row) == (2 if "over" in query else 1)
            with pytest.raises(errors.InvalidCursorState, match="not a simply updatable scan"):
                await db.execute("update t set a = 0 where current of c")
            await db.execute("rollback")
        # ORDER BY what the client does not get, and a role that sees only its columns.
        for query, found in (
            ("select a from t order by c + 1, b for update", (9,)), ("select a, a as d from t where c = -4", (4, 4)),
            ("select a from t limit 1", (1,)),
        ):  # fmt: skip
            await db.execute("begin")
            await db.execute("savepoint s")
            if "c" not in query.removeprefix("select"):
                await db.execute("set local role r")
            engine.compiled.clear()
            await db.execute(f"declare c cursor for {query}")
            assert len(engine.compiled) == 1
            assert await (await db.execute("fetch c")).fetchall() == [found]
            changed = await db.execute("update t set a = 0 where current of c returning a")
            assert await changed.fetchall() == [(0,)]
            await db.execute("reset role")
            assert await (await db.execute("select c from t where a = 0")).fetchall() == [(-found[0],)]
            await db.execute("rollback")

    serve_engine(body)


def test_a_cancel_while_a_cursor_is_compiled_cancels() -> None:
    """It is no reason for a cursor without addresses."""

    async def body(server: Server, engine: CountingEngine) -> None:
        db, other = await connect(server), await connect(server)
        await db.execute("create table t (a int)")
        await other.execute("begin")
        await other.execute("lock table t in access exclusive mode")
        await db.execute("begin")
        await db.execute("set local statement_timeout = '100ms'")
        with pytest.raises(errors.QueryCanceled):
            await db.execute("declare c cursor for select * from t")
        await db.execute("rollback")
        assert engine.compiled.count("declare c cursor for select * from t") == 1
        await other.execute("rollback")

    serve_engine(body)
