"""Domains over a running server: who else sees ALTER DOMAIN, binary parameters and results, rows and plans."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server


def test_another_session_s_plans_follow_the_domain() -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        one, two = await connect(server), await connect(server)
        await one.execute("create domain d as int check (value < 10)")
        await one.execute("create table t (a d)")
        insert = "insert into t values (%s::int)"
        for number in (1, 2):
            await two.execute(insert, (number,), prepare=True)
        with pytest.raises(errors.CheckViolation):
            await two.execute(insert, (20,), prepare=True)
        await one.execute("alter domain d drop constraint d_check")
        await two.execute(insert, (20,), prepare=True)
        with pytest.raises(errors.CheckViolation, match='column "a" of table "t" contains values that violate'):
            await one.execute("alter domain d add check (value < 5)")
        await one.execute("delete from t where a = 20")
        await one.execute("alter domain d add check (value < 5)")
        with pytest.raises(errors.CheckViolation) as caught:
            await two.execute(insert, (7,), prepare=True)
        assert (caught.value.diag.datatype_name, caught.value.diag.constraint_name) == ("d", "d_check")
        assert caught.value.diag.schema_name == "public"

    serve_engine(run)


def test_an_uncommitted_change_is_its_own() -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        one, two = await connect(server), await connect(server)
        await one.execute("create domain d as int")
        await one.execute("begin")
        await one.execute("alter domain d add check (value > 0)")
        with pytest.raises(errors.CheckViolation):
            await one.execute("select (-1)::d")
        assert await (await two.execute("select (-1)::d")).fetchone() == (-1,)
        await one.execute("rollback")
        assert await (await one.execute("select (-1)::d")).fetchone() == (-1,)

    serve_engine(run)


@pytest.mark.parametrize("binary", [False, True])
def test_parameters_and_results(binary: bool) -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create domain d as int not null check (value > 0)")
        await db.execute("create type c as (x d, y text)")
        await db.execute("create table t (a d, b d[], c c)")
        form = "%b" if binary else "%t"
        cursor = await db.execute(
            f"insert into t values ({form}, {form}::int[]::d[], row({form}::int, 'q')::c) returning *",
            (5, [1, 2], 3),
            binary=binary,
        )
        row = await cursor.fetchone()
        assert row is not None and row[0] == 5
        assert cursor.description is not None and cursor.description[0].type_code == 23
        raw = await db.execute("select a from t", binary=True)
        assert raw.pgresult is not None and raw.pgresult.get_value(0, 0) == b"\0\0\0\5"
        for value in (0, None):
            with pytest.raises((errors.CheckViolation, errors.NotNullViolation)):
                await db.execute(f"insert into t (a) values ({form})", (value,))
        read = await db.execute("select c from t", binary=True)
        assert read.pgresult is not None
        data = read.pgresult.get_value(0, 0)
        assert data is not None and data[:4] == b"\0\0\0\2"

    serve_engine(run)


def test_copy_in_binary_form_is_checked() -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create domain d as int check (value > 0)")
        await db.execute("create table t (a d)")

        async def copy(value: int) -> None:
            async with db.cursor().copy("copy t from stdin (format binary)") as stream:
                stream.set_types(["int4"])
                await stream.write_row((value,))

        await copy(1)
        with pytest.raises(errors.CheckViolation):
            await copy(-1)
        assert await (await db.execute("select a from t")).fetchall() == [(1,)]

    serve_engine(run)


def test_values_of_rows_are_stored_out_of_line() -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create type c as (x int, y text)")
        await db.execute("create table t (id int primary key, c c, a c[])")
        await db.execute("alter table t alter c set storage external")
        long = "select 1, row(7, repeat('x', 100000))::c, array[row(8, repeat('y', 50000))::c]"
        await db.execute(f"insert into t {long}")
        found = await db.execute("select (c).x, length((c).y), (a[1]).x, length((a[1]).y) from t")
        assert await found.fetchone() == (7, 100000, 8, 50000)
        await db.execute("update t set c.x = 9")
        await db.execute("alter type c add attribute z int")
        found = await db.execute("select (c).x, (c).z, length((c).y) from t")
        assert await found.fetchone() == (9, None, 100000)

    serve_engine(run)


def test_a_type_change_that_fails_leaves_everything() -> None:
    async def run(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table t (a text primary key, b int default 3)")
        await db.execute("insert into t values ('1'), ('x')")
        with pytest.raises(errors.InvalidTextRepresentation):
            await db.execute("alter table t alter a type int using a::int")
        await db.execute("begin")
        await db.execute("alter table t alter b type text")
        assert await (await db.execute("select b from t where a = 'x'")).fetchone() == ("3",)
        await db.execute("rollback")
        assert await (await db.execute("select b from t where a = 'x'")).fetchone() == (3,)
        with pytest.raises(errors.UniqueViolation, match="could not create unique index"):
            await db.execute("alter table t alter a type int using 1")
        assert isinstance(db, psycopg.AsyncConnection)

    serve_engine(run)
