"""What statistics count: rows by relation, ends of transactions and sessions by database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.txn.counts import INSERTED, UPDATED, Counts, RelationCounts, add, no_changes
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]


def served(test: Callable[[Server, Db], Awaitable[None]]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table t (a int primary key, b text)")
        await db.execute("select pg_stat_reset()")
        await test(server, db)

    serve_engine(body)


async def one(db: Db, sql: str) -> Any:
    return await (await db.execute(sql)).fetchone()


async def changed(db: Db) -> Any:
    return await one(
        db,
        "select n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze,"
        " n_ins_since_vacuum from pg_stat_user_tables where relname = 't'",
    )


async def scanned(db: Db) -> Any:
    return await one(
        db, "select seq_scan, seq_tup_read, idx_scan, idx_tup_fetch from pg_stat_user_tables where relname = 't'"
    )


def test_rows_that_are_changed_are_counted_when_their_transaction_ends() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t select i, 'x' from generate_series(1, 100) i")
        assert await changed(db) == (100, 0, 0, 0, 100, 0, 100, 100)
        await db.execute("update t set b = 'y' where a <= 10")  # the page has room: no index entry is new
        await db.execute("update t set a = a + 1000 where a = 100")
        await db.execute("delete from t where a between 80 and 89")
        assert await changed(db) == (100, 11, 10, 10, 90, 21, 121, 100)
        await db.execute("begin")
        await db.execute("insert into t values (201, 'a'), (202, 'b')")
        assert (await changed(db))[0] == 100
        await db.execute("rollback")
        assert await changed(db) == (102, 11, 10, 10, 90, 23, 121, 102)
        await db.execute("truncate t")
        assert (await changed(db))[4:6] == (0, 0)

    served(body)


def test_savepoints_and_what_this_transaction_has_changed() -> None:
    async def body(server: Server, db: Db) -> None:
        asked = "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_xact_user_tables where relname = 't'"
        await db.execute("begin")
        await db.execute("insert into t values (1, 'a'), (2, 'b')")
        await db.execute("savepoint s")
        await db.execute("insert into t values (3, 'c')")
        await db.execute("savepoint inner_one")
        await db.execute("delete from t where a = 1")
        assert await one(db, asked) == (3, 0, 1)
        await db.execute("rollback to s")
        await db.execute("update t set b = 'z'")
        await db.execute("release s")
        assert await one(db, asked) == (3, 2, 1)
        await db.execute("commit")
        assert await one(db, asked) == (0, 0, 0)
        # Three rows came, one of them was taken back; the row that another savepoint deleted is there.
        assert (await changed(db))[:6] == (3, 2, 1, 2, 2, 3)

    served(body)


def test_scans_and_what_they_read() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t select i, 'x' from generate_series(1, 1000) i")
        assert await scanned(db) == (0, 0, 0, 0)
        await db.execute("select count(*) from t")
        await db.execute("select * from t where b = 'nothing'")
        assert await scanned(db) == (2, 2000, 0, 0)
        for prepare in (False, True, True):
            await db.execute("select * from t where a = 5", prepare=prepare)
        await db.execute("select * from t where a = 5000")
        await db.execute("select b from t where a between 1 and 7 order by a")
        assert await scanned(db) == (2, 2000, 5, 10)
        found = await one(db, "select idx_scan, idx_tup_read, idx_tup_fetch from pg_stat_user_indexes")
        assert found == (5, 10, 10)
        await db.execute("analyze t")
        assert (await scanned(db))[0] == 2

    served(body)


def test_vacuum_and_analyze_leave_their_marks() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t select i, 'x' from generate_series(1, 100) i")
        await db.execute("delete from t where a <= 40")
        await db.execute("vacuum t")
        await db.execute("analyze t")
        assert await changed(db) == (100, 0, 40, 0, 60, 0, 0, 0)
        found = await one(
            db,
            "select vacuum_count, analyze_count, autovacuum_count, last_vacuum <= now() + '1 minute', last_analyze >="
            " last_vacuum, last_autovacuum from pg_stat_user_tables where relname = 't'",
        )
        assert found == (1, 1, 0, True, True, None)

    served(body)


def test_ends_of_transactions_and_sessions_by_database() -> None:
    async def body(server: Server, db: Db) -> None:
        asked = (
            "select xact_commit, xact_rollback, sessions, sessions_killed, sessions_abandoned, sessions_fatal"
            " from pg_stat_database where datname = current_database()"
        )
        commits, rollbacks, *_ = await one(db, asked)
        await db.execute("select 1 from t")
        with pytest.raises(errors.DivisionByZero):
            await db.execute("select 1 / a from (select 0 as a from pg_class) x")
        await db.execute("begin")
        await db.execute("insert into t values (1, 'x')")
        await db.execute("rollback")
        other, third = await connect(server), await connect(server)
        found = await one(db, asked)
        assert found[0] - commits >= 2 and found[1] - rollbacks == 2
        sessions = found[2]
        await one(db, f"select pg_terminate_backend({other.info.backend_pid})")
        await third.close()
        while (await one(db, "select count(*) from pg_stat_activity"))[0] > 1:
            await asyncio.sleep(0.01)
        assert (await one(db, asked))[2:] == (sessions, 1, 0, 0)

    served(body)


def test_deadlocks_and_temporary_files_are_counted() -> None:
    async def body(server: Server, db: Db) -> None:
        asked = "select deadlocks, temp_files > 0, temp_bytes > 0 from pg_stat_database where datname = 'postgres'"
        await db.execute("insert into t values (1, 'x'), (2, 'y')")
        assert await one(db, asked) == (0, False, False)
        other = await connect(server)
        await other.execute("set deadlock_timeout = '10ms'")
        for session, row in ((db, 1), (other, 2)):
            await session.execute("begin")
            await session.execute(f"update t set b = 'z' where a = {row}")
        waiting = asyncio.create_task(db.execute("update t set b = 'z' where a = 2"))
        await asyncio.sleep(0.05)
        with pytest.raises(errors.DeadlockDetected):
            await other.execute("update t set b = 'z' where a = 1")
        await waiting
        await db.execute("rollback")
        await other.execute("rollback")
        await db.execute("set work_mem = '64kB'")
        await db.execute("select i, repeat('x', 100) from generate_series(1, 20000) i order by i desc")
        assert await one(db, asked) == (1, True, True)

    served(body)


def test_counters_are_reset() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t values (1, 'x')")
        asked = "select tup_inserted from pg_stat_database where datname = current_database()"
        before = (await one(db, asked))[0]
        assert before >= 1
        await one(db, "select pg_stat_reset_single_table_counters('t'::regclass)")
        assert await changed(db) == (0,) * 8
        assert (await one(db, asked))[0] == before
        await db.execute("drop table t")
        assert (await one(db, asked))[0] == before
        await one(db, "select pg_stat_reset()")
        assert (await one(db, asked))[0] == 0
        found = await one(db, "select stats_reset > now() - '1 minute'::interval from pg_stat_database where datid = 5")
        assert found == (True,)

    served(body)


def test_a_drop_keeps_the_sums_of_the_database() -> None:
    counts = Counts()
    counts.open_database(5)
    table = counts.relation(5, 16384)
    changes = no_changes()
    changes[table][INSERTED] += 3
    more = no_changes()
    more[table][UPDATED] += 2
    more[table][INSERTED] += 1
    add(changes, more)
    table.ended(changes[table], True)
    counts.dropped(5, 16384)
    assert counts.known(5, 16384) is None
    assert sum(each.inserted for each in counts.of(5)) == 4
    assert isinstance(counts.relation(5, 16384), RelationCounts)


def test_truncate_counts_what_comes_after_it_and_its_undoing_what_came_before() -> None:
    async def body(server: Server, db: Db) -> None:
        asked = "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_xact_user_tables where relname = 't'"
        await db.execute("insert into t select i, 'x' from generate_series(1, 20) i")
        await db.execute("begin; insert into t values (100, 'x'); truncate t")
        assert await one(db, asked) == (0, 0, 0)
        await db.execute("insert into t select i, 'x' from generate_series(1, 10) i; commit")
        assert await changed(db) == (30, 0, 0, 0, 10, 0, 30, 10)
        await db.execute("begin; insert into t values (101, 'x'); savepoint s; insert into t values (102, 'x')")
        await db.execute("truncate t; insert into t values (1, 'z'), (2, 'z'); rollback to s")
        assert await one(db, asked) == (2, 0, 0)
        await db.execute("insert into t values (103, 'y'); commit")
        assert await changed(db) == (33, 0, 0, 0, 12, 1, 32, 13)
        await db.execute("begin; insert into t values (201, 'x'); savepoint s; delete from t where a <= 3; truncate t")
        await db.execute("insert into t values (1, 'z'), (2, 'z'); release s")
        assert await one(db, asked) == (2, 0, 0)
        await db.execute("update t set b = 'q' where a = 1; commit")
        assert await changed(db) == (35, 1, 0, 1, 2, 1, 35, 2)
        await db.execute("begin; insert into t values (201, 'x'); savepoint s; truncate t")
        await db.execute("insert into t values (11, 'z'), (12, 'z'), (13, 'z'); commit")  # with the savepoint open
        assert await changed(db) == (38, 1, 0, 1, 3, 0, 38, 3)
        await db.execute("begin; insert into t values (201, 'x'); truncate t; insert into t values (1, ''), (2, '')")
        await db.execute("rollback")
        assert await changed(db) == (39, 1, 0, 1, 3, 1, 38, 4)
        await db.execute("begin; savepoint s; insert into t values (301, 'x'), (302, 'x'); rollback to s; truncate t")
        await db.execute("savepoint s; insert into t values (303, 'x'); rollback to s; insert into t values (1, 'z')")
        await db.execute("commit")
        assert await changed(db) == (43, 1, 0, 1, 1, 0, 39, 4)

    served(body)


def test_rows_that_are_written_anew_are_not_counted() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t select i, 'x' from generate_series(1, 20) i")
        await db.execute("delete from t where a = 3")
        before = await changed(db)
        assert before == (20, 0, 1, 0, 19, 1, 21, 20)
        for statement in (
            "alter table t add column c float default random()",
            "alter table t alter a type bigint",
            "cluster t using t_pkey",
        ):
            await db.execute(statement)
            assert await changed(db) == before, statement
        assert await one(db, "select count(*), count(c) from t where a > 0") == (19, 19)

    served(body)


def test_a_drop_that_a_savepoint_undoes_leaves_the_counters() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("insert into t values (1, 'x')")
        await db.execute("create function f() returns int language sql as 'select 1 from t'")
        await db.execute("set track_functions = 'all'; select f()")
        await db.execute("begin; savepoint s; savepoint inner_one; drop function f; drop table t; release inner_one")
        await db.execute("rollback to s; insert into t values (2, 'y'); commit")
        assert await changed(db) == (2, 0, 0, 0, 2, 0, 2, 2)
        await db.execute("insert into t values (3, 'z')")
        assert (await changed(db))[0] == 3
        function = (await one(db, "select 'f'::regproc::oid"))[0]
        calls = f"select pg_stat_get_function_calls({function}), pg_stat_have_stats('function', 5, {function})"
        assert await one(db, calls) == (1, True)
        await db.execute("drop function f")
        assert await one(db, calls) == (None, False)

    served(body)


def test_a_catalog_change_after_an_undone_one_is_published() -> None:
    async def body(server: Server, db: Db) -> None:
        other = await connect(server)
        await other.execute("select * from t")
        await db.execute("begin; savepoint s; create table gone (a int); rollback to s")
        await db.execute("alter table t add column c int default 7; commit")
        assert [each.name for each in (await other.execute("select * from t")).description or ()] == ["a", "b", "c"]

    served(body)


def test_what_is_made_and_undone_leaves_no_counters() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("set track_functions = 'all'")
        for undo in ("rollback", "rollback to s; commit"):
            await db.execute("begin; savepoint s; create table v (a int primary key, b text)")
            await db.execute("insert into v values (1, repeat('x', 100)); select * from v where a = 1")
            await db.execute("create function f() returns int language sql as 'select 1 from v'; select f()")
            counted = await one(
                db,
                "select array[c.oid, i.indexrelid, c.reltoastrelid, j.indexrelid]::oid[]::text, 'f'::regproc::oid"
                " from pg_class c, pg_index i, pg_index j where c.relname = 'v' and i.indrelid = c.oid"
                " and j.indrelid = c.reltoastrelid",
            )
            asked = (
                f"select count(*) filter (where pg_stat_have_stats('relation', 5, i)), count(*),"
                f" pg_stat_have_stats('function', 5, {counted[1]}) from unnest('{counted[0]}'::oid[]) i"
            )
            assert await one(db, asked) == (4, 4, True)
            await db.execute(undo)
            assert await one(db, asked) == (0, 4, False)

    served(body)


def test_a_dropped_database_takes_its_counters_along() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("create database other")
        oid = (await one(db, "select oid from pg_database where datname = 'other'"))[0]
        other = await connect(server, dbname="other")
        await other.execute("create table u (a int)")
        table = (await (await other.execute("select 'u'::regclass::oid")).fetchone() or (0,))[0]
        await other.execute("insert into u values (1)")
        await other.close()
        asked = f"select pg_stat_get_db_sessions({oid}), pg_stat_have_stats('relation', {oid}, {table})"
        assert await one(db, asked) == (1, True)
        await db.execute("drop database other")
        assert await one(db, asked) == (0, False)

    served(body)


def test_to_ask_for_counters_makes_none() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create role plain; set role plain")
        found = await db.execute(
            "select proname from pg_proc where proname like 'pg_stat_get_%' and proargtypes::text = '26'"
        )
        names = [name for (name,) in await found.fetchall()]
        assert len(names) > 50
        await db.execute(f"select {', '.join(f'{name}(i::oid)' for name in names)} from generate_series(900, 902) i")
        counts = engine.storage.counts
        assert counts.database(900) is counts.database(902)
        assert counts.known(5, 900) is None

    serve_engine(body)


def test_counters_of_databases_that_are_not_open_are_zeros_that_all_share() -> None:
    counts = Counts()
    nothing = counts.database(7)
    counts.reset_database(7, 1)
    counts.reset_relation(7, 16384, 1)
    counts.reset_function(7, 16384, 1)
    counts.relation(7, 16384).ended([1, 1, 1, 1], True)
    counts.reset_relation(7, 16384, 1)
    counts.dropped(7, 16384)
    assert counts.database(8) is nothing is counts.database(7)
    assert (nothing.reset_us, nothing.gone.inserted, nothing.functions) == (0, 0, {})
    mine = counts.open_database(7)
    assert counts.database(7) is mine is counts.open_database(7)
    counts.database_dropped(7)
    assert counts.database(7) is nothing


def test_times_of_a_function_are_those_of_all_sessions() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("create function slow() returns int language sql as 'select pg_sleep(0.1); select 1'")
        sessions = [await connect(server) for _ in range(3)]
        for session in sessions:
            await session.execute("set track_functions = 'all'")
        await asyncio.gather(*(session.execute("select slow()") for session in sessions))
        calls, total_ms, self_ms = await one(db, "select calls, total_time, self_time from pg_stat_user_functions")
        assert calls == 3 and total_ms >= 300 and total_ms == pytest.approx(self_ms)

    served(body)


def test_of_a_function_that_calls_itself_the_outermost_call_has_the_time() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("create function f(int) returns int language sql as 'select 1'")
        text = "select 1; select case when $1 > 0 then f($1 - 1) else (select 1 from pg_sleep(0.05)) end"
        await db.execute(f"create or replace function f(int) returns int language sql as '{text}'")
        await db.execute("set track_functions = 'all'")
        await db.execute("select f(3)")
        calls, total_ms, self_ms = await one(db, "select calls, total_time, self_time from pg_stat_user_functions")
        assert calls == 4 and total_ms >= 50 and total_ms == pytest.approx(self_ms)

    served(body)


def test_functions_are_counted_while_that_is_asked_for() -> None:
    async def body(server: Server, db: Db) -> None:
        await db.execute("create function f(int) returns bigint language sql strict as 'select count(*) + $1 from t'")
        series = "select f(i) from generate_series(1, 5) i"
        await db.execute(f"create function g() returns setof bigint language sql as '{series}'")
        await db.execute("select f(1)")
        asked = "select funcname, calls, total_time >= self_time, self_time > 0 from pg_stat_user_functions order by 1"
        assert await (await db.execute(asked)).fetchall() == []
        await db.execute("set track_functions = 'all'")
        await db.execute("select count(*) from g()")
        assert await (await db.execute(asked)).fetchall() == [("f", 5, True, True), ("g", 1, True, True)]
        total, inner = await one(db, "select max(total_time), min(total_time) from pg_stat_user_functions")
        assert total >= inner

    served(body)
