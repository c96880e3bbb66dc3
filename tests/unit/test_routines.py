"""Functions in SQL: what they see, whose rights they have, when they are planned again, what they may use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

Body = Callable[[psycopg.AsyncConnection[Any], Server, CountingEngine], Awaitable[None]]


def serve(body: Body, *statements: str) -> None:
    """Run ``body`` with a session that has run the statements."""

    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        for sql in statements:
            await db.execute(sql)
        await body(db, server, engine)

    serve_engine(test)


async def rows(db: psycopg.AsyncConnection[Any], sql: str, prepare: bool | None = None) -> list[Any]:
    return await (await db.execute(sql, prepare=prepare)).fetchall()


LOG = "create table log (n int)"
ADDED = "insert into log values ($1); select count(*) from log"
ADD = f"create function add_log(int) returns bigint language sql as '{ADDED}'"


def test_a_body_is_planned_once_and_again_when_what_it_names_changes() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        for number in range(1, 6):
            assert await rows(db, f"select add_log({number})") == [(number,)]
        assert engine.compiled.count(ADDED) == 2
        await db.execute("create table elsewhere (n int)")
        await rows(db, "select add_log(6)")
        assert engine.compiled.count(ADDED) == 2
        await db.execute("alter table log add column t text default 'x'")
        assert await rows(db, "select add_log(7)") == [(7,)]
        assert engine.compiled.count(ADDED) == 4

    serve(body, LOG, ADD)


def test_a_replaced_function_is_called_by_what_was_prepared() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        other = await connect(server)
        for answer in (1, 2, 3):
            await other.execute(f"create or replace function f() returns int language sql as 'select {answer}'")
            assert await rows(db, "select f()", prepare=True) == [(answer,)]
        # Inlined in a view, in an index and in a default.
        await db.execute("create view v as select f() a")
        await other.execute("create or replace function f() returns int language sql as 'select 4'")
        assert await rows(db, "select * from v") == [(4,)]

    serve(body)


def test_a_transaction_that_made_a_function_has_it_alone() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        other = await connect(server)
        async with db.transaction(force_rollback=True):
            await db.execute("create or replace function f() returns int language sql volatile as 'select 1; select 2'")
            assert await rows(db, "select f() from generate_series(1, 3)") == [(2,)] * 3
            assert await rows(other, "select f()") == [(1,)]
        assert await rows(db, "select f()") == [(1,)]
        async with db.transaction():
            await db.execute("create table t (a int)")
            await db.execute("create function g() returns bigint language sql as 'select 1; select count(*) from t'")
            await db.execute("insert into t values (1), (2)")
            assert await rows(db, "select g() from generate_series(1, 2)") == [(2,)] * 2
        assert await rows(other, "select g()") == [(2,)]

    serve(body, "create function f() returns int language sql volatile as 'select 0; select 1'")


def test_security_definer_has_its_owners_rights_and_no_more_afterwards() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        await db.execute("set role poor")
        assert await rows(db, "select peek(), current_user") == [(1, "poor")]
        assert await rows(db, "select * from peeks()") == [(7,)]
        assert await rows(db, "select who()") == [("postgres",)]
        for sql in ("select n from secret", "select bare()", "select * from bares()"):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table secret"):
                await db.execute(sql)
        with pytest.raises(errors.DivisionByZero):
            await db.execute("select fails()")
        assert await rows(db, "select current_user, peek()") == [("poor", 1)]
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied for function hidden"):
            await db.execute("select hidden()")

    serve(
        body,
        "create table secret (n int)",
        "insert into secret values (7)",
        "create role poor",
        "create function peek() returns bigint language sql security definer as 'select count(*) from secret'",
        "create function peeks() returns setof int language sql stable security definer as 'select n from secret'",
        "create function who() returns text language sql security definer as 'select current_user::text'",
        "create function fails() returns int language sql security definer as 'select n / 0 from secret'",
        "create function bare() returns bigint language sql as 'select count(*) from secret'",
        "create function bares() returns setof int language sql stable as 'select n from secret'",
        "create function hidden() returns int language sql as 'select 1'",
        "revoke execute on function hidden() from public",
    )


def test_settings_of_a_function_end_with_it() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        sql = "select near(), current_setting('search_path')"
        for _ in range(3):
            assert await rows(db, sql, prepare=True) == [("there", '"$user", public')]
        assert engine.compiled.count(sql) == 1
        with pytest.raises(errors.DivisionByZero):
            await db.execute("select bad()")
        assert await rows(db, "show search_path") == [('"$user", public',)]
        assert await rows(db, "select keeps()") == [("2MB",)]
        assert await rows(db, "show work_mem") == [("2MB",)]

    serve(
        body,
        "create schema elsewhere",
        "create table elsewhere.place (name text)",
        "insert into elsewhere.place values ('there')",
        "create table place (name text)",
        "set check_function_bodies = off",
        "create function near() returns text language sql set search_path = elsewhere as 'select name from place'",
        "create function bad() returns int language sql set search_path = elsewhere "
        "as 'select count(*)::int / 0 from place'",
        "create function keeps() returns text language sql as "
        "$$ select set_config('work_mem', '2MB', false); select current_setting('work_mem') $$",
    )


def test_recursion_ends_with_an_error_of_the_statement() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        assert await rows(db, "select down(100)") == [(100,)]
        for sql in ("select forever(1)", "select * from forevers(1)"):
            with pytest.raises(errors.StatementTooComplex, match="stack depth limit exceeded") as caught:
                await db.execute(sql)
            assert 'SQL function "forever' in (caught.value.diag.context or "")
        assert await rows(db, "select 1") == [(1,)]

    serve(
        body,
        "set check_function_bodies = off",
        "create function down(int) returns int language sql as "
        "'select 1; select case when $1 = 0 then 0 else 1 + down($1 - 1) end'",
        "create function forever(int) returns int language sql as 'select forever($1 + 1)'",
        "create function forevers(int) returns setof int language sql as 'select forevers($1 + 1)'",
    )


@pytest.mark.parametrize(
    "sql", ["select spin(1)", "select * from spins(1)", "select slow(g) from generate_series(1, 100000) g"]
)
def test_a_timeout_takes_effect_inside(sql: str) -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        await db.execute("set statement_timeout = 100")
        with pytest.raises(errors.QueryCanceled):
            await asyncio.wait_for(db.execute(sql), 20)
        assert await rows(db, "select 1") == [(1,)]

    long = "select count(*)::int from generate_series(1, 100000000) g"
    serve(
        body,
        f"create function spin(int) returns int language sql as '{long}'",
        f"create function spins(int) returns setof int language sql as '{long}'",
        "create function slow(int) returns int language sql as 'select 1; select $1'",
    )


def test_rows_of_a_function_in_from_go_to_a_file_when_they_are_many() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        await db.execute("set work_mem = '64kB'")
        assert await rows(db, "select count(*), sum(length(x)) from many(20000) x") == [(20000, 20000 * 32)]
        await db.execute("set temp_file_limit = '100kB'")
        with pytest.raises(errors.ConfigurationLimitExceeded):
            await db.execute("select count(*) from many(20000) x")
        # A target list takes the rows as they come, and stops when nobody wants more.
        assert await rows(db, "select many(1000000000) limit 2") == [
            ("c4ca4238a0b923820dcc509a6f75849b",),
            ("c81e728d9d4c2f636f067f89cc14862c",),
        ]

    serve(
        body,
        "create function many(int) returns setof text language sql as "
        "$$ select md5(g::text) from generate_series(1, $1) g $$",
    )


def test_an_index_serves_what_is_behind_a_function() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        plan = "\n".join(row[0] for row in await rows(db, "explain (costs off) select * from t where low(b) = 'x7'"))
        assert "t_low" in plan and "lower(b)" in plan
        assert await rows(db, "select a from t where low(b) = 'x7'") == [(7,)]
        plan = "\n".join(row[0] for row in await rows(db, "explain (costs off) select * from by_a(7)"))
        assert "t_pkey" in plan and "Function Scan" not in plan
        engine.databases.sessions = lambda: list(server.sessions.values())
        # Not inlined, and yet a key of an index: whoever writes a row runs the function.
        await db.execute("create index on t (pick(b))")
        await db.execute("insert into t values (1001, 'new')")
        plan = "\n".join(row[0] for row in await rows(db, "explain (costs off) select * from t where pick(b) = 'new!'"))
        assert "t_pick_idx" in plan
        assert await rows(db, "select a from t where pick(b) = 'new!'") == [(1001,)]

    serve(
        body,
        "create table t (a int primary key, b text)",
        "insert into t select g, 'X' || g from generate_series(1, 1000) g",
        "create function low(text) returns text language sql immutable strict as 'select lower($1)'",
        "create function by_a(int) returns setof t language sql stable as 'select * from t where a = $1'",
        "create function pick(text) returns text language sql immutable as "
        "$$ select max($1 || x) from unnest(array['!', '']) x $$",
        "create index t_low on t (lower(b))",
        "analyze t",
    )


def test_a_user_aggregate_over_functions_in_sql() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        assert await rows(
            db, "select joined(g::text order by g desc), joined(distinct (g % 2)::text) from generate_series(1, 4) g"
        ) == [("4,3,2,1!", "0,1!")]
        assert await rows(db, "select logged(g) from generate_series(1, 3) g") == [(3,)]
        assert await rows(db, "select count(*) from log") == [(3,)]
        with pytest.raises(errors.DependentObjectsStillExist):
            await db.execute("drop function glue(text, text)")
        await db.execute("drop function glue(text, text) cascade")
        with pytest.raises(errors.UndefinedFunction):
            await db.execute("select joined('a')")
        assert await rows(db, "select count(*) from pg_aggregate where aggfnoid >= 16384") == [(1,)]

    serve(
        body,
        LOG,
        "create function glue(text, text) returns text language sql as 'select coalesce($1 || '','', '''') || $2'",
        "create function shout(text) returns text language sql as 'select $1 || ''!'''",
        "create aggregate joined(text) (sfunc = glue, stype = text, finalfunc = shout)",
        "create function note(int, int) returns int language sql as 'insert into log values ($2); select $1 + 1'",
        "create aggregate logged(int) (sfunc = note, stype = int, initcond = '0')",
    )


def test_a_procedure_gives_one_row_of_its_output_arguments() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        for binary in (False, True):
            cursor = await db.execute("call half(%s, null)", (9,), binary=binary)
            assert [column.name for column in cursor.description or ()] == ["number", "half"]
            assert await cursor.fetchall() == [(8, 4)]
            assert cursor.statusmessage == "CALL"
        cursor = await db.execute("call note(5)")
        assert cursor.description is None and await rows(db, "select n from log") == [(5,)]

    serve(
        body,
        LOG,
        "create procedure half(inout number int, out half int) language sql as 'select $1 / 2 * 2, $1 / 2'",
        "create procedure note(int) language sql as 'insert into log values ($1)'",
    )
