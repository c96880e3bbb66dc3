"""Who may run and use what others made: functions called outside a statement's plan, types, temporary functions."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

SETUP = """
create role maker; create role user_; create schema pub;
grant all on schema pub to maker, user_;
set session authorization maker;
create function pub.secret(int) returns int language sql immutable as 'select $1 * 10';
create function pub.secret(int, int) returns int language sql immutable as 'select $1 + $2';
create function pub.apart(float8, float8) returns float8 language sql immutable as 'select $1 - $2';
revoke execute on function pub.secret(int), pub.secret(int, int), pub.apart(float8, float8) from public;
create domain pub.checked as int check (pub.secret(value) > 0);
create type pub.pair as (a int, b int);
revoke usage on type pub.pair from public;
set session authorization user_;
create table pub.t (a int); insert into pub.t values (1);
"""


async def _session(server: Server, role: str) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute(f"set session authorization {role}")
    return db


async def _prepared(server: Server) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute(SETUP)
    await db.close()
    return await _session(server, "user_")


@pytest.mark.parametrize(
    "sql",
    [
        "alter table pub.t alter a type int using pub.secret(a)",
        "alter table pub.t alter a type int using pub.secret(3)",
        "create index on pub.t (pub.secret(a))",
        "create index on pub.t (a) where pub.secret(a) > 0",
        "select 3::pub.checked",
        "select '{3}'::pub.checked[]",
        "insert into pub.c values (3)",
        "create operator pub.### (leftarg = int, rightarg = int, function = pub.secret)",
        "create type pub.r as range (subtype = float8, subtype_diff = pub.apart)",
        "create function pub.f(pub.pair) returns int language sql as 'select 1'",
        "create function pub.f() returns setof pub.pair language sql as 'select 1, 2'",
        "create view pub.v as select null::pub.pair as x",
        "create aggregate pub.a(pub.pair) (sfunc = int4pl, stype = int)",
    ],
)
def test_refused(sql: str) -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db = await _prepared(server)
        await db.execute("create table pub.c (a pub.checked)")
        with pytest.raises(errors.InsufficientPrivilege):
            await db.execute(sql)
        await db.close()

    serve_engine(test)


def test_a_domain_s_check_follows_grants() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db, maker = await _prepared(server), await _session(server, "maker")
        await maker.execute("grant execute on function pub.secret(int) to user_")
        await db.execute("prepare q as select 3::pub.checked")
        assert await (await db.execute("execute q")).fetchall() == [(3,)]
        await maker.execute("revoke execute on function pub.secret(int) from user_")
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied for function secret"):
            await db.execute("execute q")
        await db.close()
        await maker.close()

    serve_engine(test)


def test_an_aggregate_s_owner_must_be_allowed_its_parts() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db, maker = await _prepared(server), await _session(server, "maker")
        await maker.execute("grant execute on function pub.secret(int, int) to user_")
        await db.execute("create aggregate pub.total(int) (sfunc = pub.secret, stype = int, initcond = 0)")
        assert await (await db.execute("select pub.total(a) from pub.t")).fetchall() == [(1,)]
        await maker.execute("revoke execute on function pub.secret(int, int) from user_")
        for session in (db, maker):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied for function secret"):
                await session.execute("select pub.total(a) from (values (1)) as t (a)")
        await db.close()
        await maker.close()

    serve_engine(test)


def test_temporary_functions_and_operators_are_found_by_their_full_name_alone() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db, maker = await _prepared(server), await _session(server, "maker")
        await maker.execute("create function pub.helper() returns text language sql as $$ select 'maker' $$")
        await maker.execute("set search_path = pub")
        await maker.execute("create function pub.sd() returns text language sql security definer as 'select helper()'")
        await maker.execute("create function pub.add(int) returns int language sql security definer as 'select $1 + 1'")
        await db.execute("create function pg_temp.helper() returns text language sql as $$ select 'mine' $$")
        await db.execute("create operator pg_temp.+ (leftarg = int, rightarg = int, function = int4mi)")
        await db.execute("set search_path = pg_temp, pub, pg_catalog")
        rows = await (await db.execute("select pub.sd(), helper(), pg_temp.helper(), pub.add(5), 5 + 1")).fetchall()
        assert rows == [("maker", "maker", "mine", 6, 6)]
        await db.execute("create table here (a int); create domain short as int")
        assert await (await db.execute("select 1::short from pg_class where relname = 'here'")).fetchall() == [(1,)]
        await db.close()
        await maker.close()

    serve_engine(test)


def test_a_body_is_checked_under_the_function_s_own_settings() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db = await _prepared(server)
        await db.execute(
            "create function pub.n() returns bigint language sql set search_path = pub as 'select count(*) from t'"
        )
        assert await (await db.execute("select pub.n(), current_setting('search_path')")).fetchall() == [
            (1, '"$user", public')
        ]
        with pytest.raises(errors.UndefinedTable):
            await db.execute("create function pub.f() returns int language sql set search_path = x as 'table t'")
        assert await (await db.execute("show search_path")).fetchall() == [('"$user", public',)]
        await db.close()

    serve_engine(test)


def test_functions_return_domains() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create domain d as int check (value > 0); create type ct as (a int, b text)")
        await db.execute("create domain dt as text; create domain dc as ct")
        await db.execute("create function one(int) returns d language sql security definer as 'select $1'")
        await db.execute("create function many(int) returns setof d language sql as 'select 3::d union all select $1'")
        await db.execute("create function both_() returns table (a d, b dt) language sql as $$ select 3, 'x'::text $$")
        await db.execute(
            "create function pair() returns dc language sql security definer as $$ select (1, 'x')::ct::dc $$"
        )
        rows = await (await db.execute("select one(3), m, b.*, p.* from many(4) m, both_() b, pair() p")).fetchall()
        assert rows == [(3, 3, 3, "x", 1, "x"), (3, 4, 3, "x", 1, "x")]
        with pytest.raises(errors.CheckViolation):
            await db.execute("select one(-3)")
        await db.close()

    serve_engine(test)
