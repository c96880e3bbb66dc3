"""A plan is valid while what it names is what it was: DDL elsewhere throws away nothing, DDL on it does."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

ELSEWHERE = (
    "create temp table mine (a int primary key, b text)",
    "drop table mine",
    "create table other (x int)",
    "alter table other add column y int default 7",
    "create index on other (y)",
    "create view w as select x from other",
    "create schema s create table t (z int)",
    "create sequence q",
    "drop schema s cascade",
    "drop table other cascade",
    "create role somebody",
    "drop role somebody",
)


async def rows(db: psycopg.AsyncConnection[Any], sql: str, *values: Any) -> list[Any]:
    return await (await db.execute(sql, values or None, prepare=bool(values))).fetchall()


async def use(db: psycopg.AsyncConnection[Any]) -> list[Any]:
    """A prepared point statement, a prepared join, a text of the plan cache with and without lifted literals."""
    return [
        await rows(db, "select b from t where a = %s", 1),
        await rows(db, "select t.b, u.c from t join u on t.a = u.a where u.c > %s", "a"),
        await rows(db, "select count(*) from t join u using (a)"),
        await rows(db, "select b from t where a = 1 limit 5"),
    ]


async def prepare_all(server: Server, engine: CountingEngine) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute("create table t (a int primary key, b text)")
    await db.execute("create table u (a int, c text)")
    await db.execute("insert into t values (1, 'one')")
    await db.execute("insert into u values (1, 'uno')")
    for _ in range(3):
        await use(db)
    engine.compiled.clear()
    return db


@pytest.mark.parametrize("sql", [ELSEWHERE])
def test_ddl_elsewhere_compiles_nothing_again(sql: tuple[str, ...]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        expected = await use(db)
        other = await connect(server)
        for statement in sql:
            version = engine.catalog.version
            await other.execute(statement)
            assert engine.catalog.version != version, statement
            engine.compiled.clear()
            assert await use(db) == expected
            assert engine.compiled == [], statement

    serve_engine(body)


def test_own_ddl_on_something_else_keeps_what_is_prepared() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        async with db.transaction():
            await db.execute("create table other (x int)")
            await rows(db, "select b from t where a = %s", 1)
            engine.compiled.clear()
            for _ in range(3):
                await rows(db, "select b from t where a = %s", 1)
                await db.execute("insert into other values (%s)", (1,), prepare=True)
            # What it has changed itself is planned once, and for itself alone.
            assert len(engine.compiled) == 1

    serve_engine(body)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("alter table t add column d int", [("one",)]),
        ("drop index u_c; create index u_c on u (c)", [("one",)]),
        ("create index t_b on t (b)", [("one",)]),
        ("analyze t", [("one",)]),
        ("alter table t rename to old; create table t (a int primary key, b text)", []),
        ("drop table t; create table t (a int primary key, b text); insert into t values (1, 'two')", [("two",)]),
    ],
)
def test_ddl_on_what_it_names_makes_it_new(sql: str, expected: list[Any]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        await db.execute("create index u_c on u (c)")
        await use(db)
        other = await connect(server)
        await other.execute(sql)
        assert await rows(db, "select b from t where a = %s", 1) == expected
        assert await rows(db, "select b from t where a = 1 limit 5") == expected

    serve_engine(body)


def test_a_new_object_that_hides_the_old_one_is_found() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        await db.execute("create schema first")
        await db.execute("set search_path = first, public")
        assert await use(db) == await use(db)
        other = await connect(server)
        await other.execute("create table first.t (a int primary key, b text)")
        await other.execute("insert into first.t values (1, 'hidden')")
        assert await rows(db, "select b from t where a = %s", 1) == [("hidden",)]
        await other.execute("drop table first.t")
        assert await rows(db, "select b from t where a = %s", 1) == [("one",)]
        # A schema that the path names, and that was not there.
        await db.execute("set search_path = later, public")
        assert await rows(db, "select b from t where a = %s", 1) == [("one",)]
        await other.execute("create schema later create table t (a int primary key, b text)")
        assert await rows(db, "select b from t where a = %s", 1) == []

    serve_engine(body)


def test_temporary_tables_hide_for_their_session_alone() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        other = await connect(server)
        for _ in range(2):
            await use(other)
        await other.execute("create temp table t (a int primary key, b text)")
        await other.execute("insert into t values (1, 'temporary')")
        for _ in range(2):
            assert (await use(other))[0] == [("temporary",)]
            assert (await use(other))[3] == [("temporary",)]
            assert (await use(db))[0] == [("one",)]
            assert (await use(db))[3] == [("one",)]
        await other.execute("drop table t")
        assert (await use(other))[3] == [("one",)]

    serve_engine(body)


def test_settings_that_plans_depend_on_plan_again() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table stamps (a int, at timestamptz default '2001-01-01 00:00')")
        sql = "select '2001-01-01 12:00'::timestamptz = timestamptz '2001-01-01 12:00+00' and %s::int4 = 1"
        for _ in range(2):
            assert await rows(db, sql, 1) == [(True,)]
        await db.execute("set timezone = 'Asia/Tokyo'")
        assert await rows(db, sql, 1) == [(False,)]
        await db.execute("set timezone = 'UTC'")
        assert await rows(db, sql, 1) == [(True,)]

    serve_engine(body)


def test_rights_are_asked_again_when_roles_change() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        other = await connect(server)
        await db.execute("create role reader")
        await db.execute("grant select on t to reader")
        await db.execute("create role plain in role reader")
        await db.execute("set role plain")
        for _ in range(3):
            assert await rows(db, "select b from t where a = %s", 1) == [("one",)]
        engine.compiled.clear()
        # Membership is no matter of the table, nor of the plan's objects.
        await other.execute("revoke reader from plain")
        with pytest.raises(errors.InsufficientPrivilege):
            await rows(db, "select b from t where a = %s", 1)
        await other.execute("grant reader to plain")
        assert await rows(db, "select b from t where a = %s", 1) == [("one",)]
        await other.execute("revoke select on t from reader")
        with pytest.raises(errors.InsufficientPrivilege):
            await rows(db, "select b from t where a = %s", 1)
        await db.execute("reset role")
        assert await rows(db, "select b from t where a = %s", 1) == [("one",)]

    serve_engine(body)


def test_explain_of_a_prepared_statement() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await prepare_all(server, engine)
        await db.execute("prepare p (int) as select b from t where a = $1")
        assert (await rows(db, "explain (costs off) execute p(1)"))[0] == ("Index Scan using t_pkey on t",)
        lines = [line for (line,) in await rows(db, "explain (analyze, costs off) execute p(1)")]
        assert "rows=1 loops=1" in lines[0]
        assert [line.split(":")[0] for line in lines[-2:]] == ["Planning Time", "Execution Time"]
        with pytest.raises(errors.InvalidSqlStatementName):
            await db.execute("explain execute nosuch(1)")

    serve_engine(body)


def test_a_relation_that_a_constant_names_is_one_of_the_plans() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create sequence s")
        await db.execute("create table filled (a int default nextval('s'), b int)")
        for _ in range(2):
            assert (await rows(db, "select nextval('s') where %s::int4 = 1", 1)) != []
            await db.execute("insert into filled (b) values (%s)", (1,), prepare=True)
        await db.execute("drop table filled")
        await db.execute("drop sequence s")
        await db.execute("create sequence s start 100")
        await db.execute("create table filled (a int default nextval('s'), b int)")
        assert await rows(db, "select nextval('s') where %s::int4 = 1", 1) == [(100,)]
        await db.execute("insert into filled (b) values (%s)", (1,), prepare=True)
        assert await rows(db, "select a from filled") == [(101,)]

    serve_engine(body)
