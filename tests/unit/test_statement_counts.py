"""What is counted by statement: who sees it, what counts as one statement, and that nothing counts where it is off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from support_server import serve_engine

from compute_node.session.statement_counts import StatementCounts, Times
from compute_node.wire.server import Server, WireConfig

Db = psycopg.AsyncConnection[Any]
LOADED = {"shared_preload_libraries": "pg_stat_statements"}
COUNTED = (
    "select calls, rows, query from pg_stat_statements where query not like '%pg_stat%' order by query collate \"C\""
)


async def connect(server: Server) -> Db:
    host, port = server.addresses[0]
    return await Db.connect(host=host, port=port, user="postgres", dbname="postgres", autocommit=True)


async def rows(db: Db, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await (await db.execute(sql, values or None)).fetchall()]


def run(test: Callable[[Server, Db], Awaitable[None]], **settings: Any) -> None:
    async def body(server: Server, _engine: Any) -> None:
        db = await connect(server)
        try:
            await db.execute("create extension pg_stat_statements")
            await db.execute("create table t (a int primary key, b text)")
            await db.execute("insert into t select g, 'x' from generate_series(1, 10) g")
            if server.plans.counts is not None:
                await db.execute("select pg_stat_statements_reset()")
            await test(server, db)
        finally:
            await db.close()

    serve_engine(body, WireConfig(port=0, settings=LOADED | settings))


def test_constants_make_no_other_statement() -> None:
    async def test(_server: Server, db: Db) -> None:
        for number in (1, 2, 30):
            await db.execute(f"select b from t where a = {number}")  # type: ignore[arg-type]
        await db.execute("select b from t where a in (1, 2)")
        await db.execute("update t set b = 'y' where a < 4")
        await db.execute("  select -1, 'é', 'q' || 'ü' ;")
        assert await rows(db, COUNTED) == [
            (1, 1, "select $1, $2, $3 || $4"),
            (3, 2, "select b from t where a = $1"),
            (1, 2, "select b from t where a in ($1, $2)"),
            (1, 3, "update t set b = $1 where a < $2"),
        ]

    run(test)


@pytest.mark.parametrize("prepare", [False, True])
def test_all_ways_of_the_protocol_count(prepare: bool) -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("set plan_cache_mode = force_generic_plan")
        await db.execute("select pg_stat_statements_reset()")
        for number in range(20):
            await db.execute("select b from t where a = %s", (number,), prepare=prepare)
            await db.execute("update t set b = %s where a = %s", ("z", number), prepare=prepare)
        async with db.cursor() as cursor:
            stream = [row async for row in cursor.stream("select a from t where a > %s", (4,))]
        assert len(stream) == 6
        found = await rows(db, COUNTED)
        assert [each for each in found if "from t" in each[2] or "update" in each[2]] == [
            (1, 6, "select a from t where a > $1"),
            (20, 10, "select b from t where a = $1"),
            (20, 10, "update t set b = $1 where a = $2"),
        ]

    run(test)


def test_tables_of_other_schemas_are_others() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("create schema s")
        await db.execute("create table s.t (a int, b text)")
        await db.execute("select a from t limit 1")
        await db.execute("select a as named from public.t limit 2")
        await db.execute("set search_path = s, public")
        await db.execute("select a from t limit 3")
        ids = "select sum(calls) from pg_stat_statements where query like 'select a%' group by queryid order by 1"
        assert await rows(db, ids) == [(1,), (2,)]

    run(test)


def test_utility_statements_are_their_texts_and_the_inner_ones_count_below() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("begin")
        await db.execute("create table u as select a from t where a > 6")
        await db.execute("declare c cursor for select a from t")
        await db.execute("fetch 3 from c")
        await db.execute("rollback")
        await db.execute("prepare p (int) as select b from t where a = $1")
        await db.execute("execute p (1)")
        await db.execute("execute p (1 + 1)")
        await db.execute("deallocate p")
        expected = [
            (1, 0, "begin"),
            (1, 4, "create table u as select a from t where a > 6"),
            (1, 0, "declare c cursor for select a from t"),
            (1, 3, "fetch 3 from c"),
            (2, 2, "prepare p (int) as select b from t where a = $1"),
            (1, 0, "rollback"),
        ]
        assert await rows(db, COUNTED) == expected
        await db.execute("set pg_stat_statements.track_utility = off")
        await db.execute("create table v as select 1 as a")
        assert await rows(db, COUNTED) == expected

    run(test)


def test_statements_of_functions_count_when_all_do() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute(
            "create function f() returns bigint volatile language sql as 'select count(*) from t; select 7::bigint'"
        )
        await db.execute("select pg_stat_statements_reset()")
        levels = "select toplevel, calls, query from pg_stat_statements where query not like '%pg_stat%' order by 1, 3"
        await db.execute("select f()")
        assert await rows(db, levels) == [(True, 1, "select f()")]
        await db.execute("set pg_stat_statements.track = 'all'")
        await db.execute("select f()")
        assert await rows(db, levels) == [
            (False, 1, "select $1::bigint"),
            (False, 1, "select count(*) from t"),
            (True, 2, "select f()"),
        ]
        await db.execute("set pg_stat_statements.track = 'none'")
        await db.execute("select f()")
        assert (await rows(db, levels))[-1] == (True, 2, "select f()")

    run(test)


def test_an_error_is_no_call() -> None:
    async def test(_server: Server, db: Db) -> None:
        for sql in ("select 1 / (a - 1) from t", "insert into t values (1, 'again')", "create table t (a int)"):
            with pytest.raises(psycopg.Error):
                await db.execute(sql)  # type: ignore[arg-type]
        assert await rows(db, COUNTED) == []
        await db.execute("select 1 / a from t")
        assert await rows(db, COUNTED) == [(1, 10, "select $1 / a from t")]

    run(test)


def test_texts_of_others_are_for_those_who_read_all_statistics() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("create role plain")
        await db.execute("select b from t where a = 1")
        seen = (
            "select count(*) filter (where query = '<insufficient privilege>' and queryid is null), count(queryid)"
            " from pg_stat_statements"
        )
        assert (await rows(db, seen))[0][0] == 0
        await db.execute("set role plain")
        await db.execute("select 'mine'")
        hidden, own = (await rows(db, seen))[0]
        assert hidden > 1
        assert own == 2  # SET ROLE has become the new role's
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await db.execute("select pg_stat_statements_reset()")
        await db.execute("reset role")
        await db.execute("grant pg_read_all_stats to plain")
        await db.execute("set role plain")
        assert (await rows(db, seen))[0][0] == 0

    run(test)


def test_reset_forgets_what_it_is_asked_to() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("select a from t where a = 1")
        await db.execute("select b from t where a = 1")
        (query_id,) = (await rows(db, "select queryid from pg_stat_statements where query like 'select a from%'"))[0]
        await db.execute("select pg_stat_statements_reset(0, 0, %s)", (query_id,))
        assert [each[2] for each in await rows(db, COUNTED)] == ["select b from t where a = $1"]
        # A plan that is kept counts in the new row.
        await db.execute("select a from t where a = 2")
        assert (1, 1, "select a from t where a = $1") in await rows(db, COUNTED)
        await db.execute("select pg_stat_statements_reset(1)")
        assert len(await rows(db, COUNTED)) == 2
        await db.execute("select pg_stat_statements_reset()")
        assert await rows(db, COUNTED) == []
        assert await rows(db, "select dealloc, stats_reset is not null from pg_stat_statements_info") == [(0, True)]

    run(test)


def test_the_identifier_is_the_same_everywhere() -> None:
    async def test(server: Server, db: Db) -> None:
        other = await connect(server)
        await other.execute("select b from t where a = 5")
        (query_id,) = (await rows(db, "select queryid from pg_stat_statements where query like 'select b%'"))[0]
        pid = other.info.backend_pid
        assert await rows(db, "select query_id from pg_stat_activity where pid = %s", pid) == [(query_id,)]
        explained = await rows(db, "explain (verbose, costs off) select b from t where a = 77")
        assert explained[-1] == (f"Query Identifier: {query_id}",)
        ((document,),) = await rows(db, "explain (verbose, format json) select b from t where a = 77")
        assert document[0]["Query Identifier"] == query_id
        await db.execute("set compute_query_id = regress")
        assert all(
            "Identifier" not in line for (line,) in await rows(db, "explain verbose select b from t where a = 7")
        )
        await other.execute("set compute_query_id = off")
        assert await rows(db, "select query_id from pg_stat_activity where pid = %s", pid) == [(None,)]
        await other.close()

    run(test)


def test_the_least_used_make_room() -> None:
    async def test(_server: Server, db: Db) -> None:
        for _ in range(5):
            await db.execute("select 'often'")
        for number in range(120):
            await db.execute(f"select 1 as a{number}, b as c from t group by b, {'a, ' * number} a")  # type: ignore[arg-type]
        count, often = (
            await rows(db, "select count(*), max(calls) filter (where query = 'select $1') from pg_stat_statements")
        )[0]
        assert count <= 100
        assert often == 5
        ((dealloc,),) = await rows(db, "select dealloc from pg_stat_statements_info")
        assert dealloc >= 2

    run(test, **{"pg_stat_statements.max": 100})


def test_planning_is_counted_when_asked_for() -> None:
    async def test(_server: Server, db: Db) -> None:
        await db.execute("set pg_stat_statements.track_planning = on")
        await db.execute("select a from t where b = 'x'")
        await db.execute("select a from t where b = 'y'")
        sql = (
            "select plans, total_plan_time > 0, min_plan_time <= max_plan_time, calls from pg_stat_statements"
            " where query like 'select a%'"
        )
        assert await rows(db, sql) == [(1, True, True, 2)]

    run(test)


def test_without_the_library_nothing_counts() -> None:
    async def test(server: Server, db: Db) -> None:
        assert server.plans.counts is None
        for sql in (
            "select * from pg_stat_statements",
            "select pg_stat_statements_reset()",
            "select aurora_stat_statements(true)",
        ):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="must be loaded via shared_preload"):
                await db.execute(sql)  # type: ignore[arg-type]
        assert all("Identifier" not in line for (line,) in await rows(db, "explain verbose select 1"))
        await db.execute("set compute_query_id = on")
        assert any("Identifier" in line for (line,) in await rows(db, "explain verbose select 1"))
        assert (await rows(db, "select query_id is not null from pg_stat_activity"))[0] == (True,)

    run(test, shared_preload_libraries="")


def test_times_have_mean_and_deviation() -> None:
    times = Times()
    for ms in (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0):
        times.add(ms)
    assert (times.calls, times.total, times.least, times.greatest, times.mean) == (8, 40.0, 2.0, 9.0, 5.0)
    assert times.deviation == pytest.approx(2.0)
    one = Times()
    one.add(3.0)
    assert one.deviation == 0.0


def test_a_reset_entry_is_told_apart() -> None:
    counts = StatementCounts(100, lambda: 1)
    first = counts.entry((10, 5, 7, True), "a")
    counts.reset(10, 0, 7)
    assert not first.is_kept
    assert counts.entry((10, 5, 7, True), "a") is not first
