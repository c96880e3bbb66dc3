"""Autoanalyze: tables are analyzed by the thresholds that the manual names, and what it finds reaches sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.catalog.auto_analyze import AutoAnalyze
from compute_node.hub import HUB
from compute_node.session.settings import DEFINITIONS
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]


def served(test: Callable[[Server, Db, AutoAnalyze, dict[str, float]], Awaitable[None]]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        settings: dict[str, float] = {"autovacuum_naptime": 0}
        engine.databases.sessions = lambda: list(server.sessions.values())
        analyze = AutoAnalyze(engine.databases.in_use, lambda name: float(settings.get(name, DEFINITIONS[name].boot)))
        db = await connect(server)
        await db.execute("create table t (a int, b text)")
        await test(server, db, analyze, settings)
        await db.close()

    serve_engine(body)


async def one(db: Db, sql: str) -> Any:
    return await (await db.execute(sql.encode())).fetchone()


DONE = "select autoanalyze_count, analyze_count, n_mod_since_analyze from pg_stat_user_tables where relname = 't'"


def test_a_table_is_analyzed_past_its_threshold() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("insert into t select g % 3, 'x' from generate_series(1, 50) g")
        assert not await HUB.call(analyze.step)
        assert await one(db, DONE) == (0, 0, 50)
        await db.execute("insert into t values (1, 'x')")
        assert await HUB.call(analyze.step)
        assert await one(db, DONE) == (1, 0, 0)
        found = await one(db, "select n_distinct from pg_stats where tablename = 't' and attname = 'a'")
        assert found == (3.0,)
        assert await one(db, "select reltuples, relpages from pg_class where relname = 't'") == (51.0, 1)
        # now a tenth of the rows counts, too
        await db.execute("update t set b = 'y'")
        assert not await HUB.call(analyze.step)
        await db.execute("update t set b = 'z' where a = 1")
        assert await HUB.call(analyze.step)
        assert not await HUB.call(analyze.step)

    served(body)


def test_settings_and_storage_parameters_say_when() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("insert into t select g, 'x' from generate_series(1, 500) g")
        for name in ("autovacuum", "track_counts"):
            settings[name] = 0
            assert not await HUB.call(analyze.step)
            del settings[name]
        settings["autovacuum_analyze_threshold"] = 1000
        assert not await HUB.call(analyze.step)
        await db.execute("alter table t set (autovacuum_enabled = off, autovacuum_analyze_threshold = 3)")
        assert not await HUB.call(analyze.step)
        await db.execute("alter table t set (autovacuum_enabled = on)")
        assert await HUB.call(analyze.step)

    served(body)


def test_a_locked_table_and_a_temporary_one_are_left() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("create temp table mine as select generate_series(1, 1000) a")
        await db.execute("insert into t select g, 'x' from generate_series(1, 500) g")
        await db.execute("begin")
        await db.execute("lock table t in share update exclusive mode")
        assert not await HUB.call(analyze.step)
        await db.execute("commit")
        assert await HUB.call(analyze.step)
        assert not await HUB.call(analyze.step)

    served(body)


def test_sessions_run_meanwhile_and_plan_with_what_was_found() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("insert into t select g % 1000, repeat('x', 50) from generate_series(1, 30000) g")
        await db.execute("prepare p as select count(*) from t where a = 5")
        running = asyncio.ensure_future(HUB.call(analyze.step))
        answered = 0
        while not running.done():
            assert await one(db, "execute p") == (30,)
            answered += 1
        assert await running and answered > 0
        text = (await one(db, "explain select * from t where a = 5"))[0]
        assert "rows=30 " in text
        assert await one(db, "execute p") == (30,)

    served(body)


def test_a_table_rests_for_a_nap() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        settings["autovacuum_naptime"] = 3600
        await db.execute("create table u (a int)")
        for _ in range(2):
            await db.execute("insert into t select g, 'x' from generate_series(1, 500) g")
            await db.execute("insert into u select g from generate_series(1, 500) g")
            await HUB.call(analyze.step)
        assert analyze.runs == 2

    served(body)


KNOWN = (
    "select stxdndistinct::text from pg_statistic_ext_data join pg_statistic_ext on oid = stxoid where stxname = '{}'"
)


def test_statistics_objects_over_functions() -> None:
    """No session runs: the functions of users are left to ANALYZE, PostgreSQL's own ask the catalog by themselves."""

    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("create function f(int) returns int language sql immutable as 'select $1 % 2'")
        await db.execute("create function big(int) returns bool language sql immutable as 'select $1 > 0'")
        await db.execute("create domain checked as int check (big(value))")
        await db.execute("create statistics own (ndistinct) on (f(a)), b from t")
        await db.execute("create statistics of_domain (ndistinct) on (a::checked), b from t")
        await db.execute("create statistics of_words (ndistinct) on (to_tsvector('english', b)), a from t")
        await db.execute("insert into t select g, 'x' || g % 3 from generate_series(1, 500) g")
        assert await HUB.call(analyze.step)
        assert await one(db, KNOWN.format("own")) is None
        assert await one(db, KNOWN.format("of_domain")) is None
        assert await one(db, KNOWN.format("of_words")) == ('{"1, -1": 500}',)
        await db.execute("analyze t")
        assert await one(db, KNOWN.format("own")) == ('{"2, -1": 6}',)
        # what ANALYZE has found stays
        await db.execute("update t set b = 'y'")
        assert await HUB.call(analyze.step)
        assert await one(db, KNOWN.format("own")) == ('{"2, -1": 6}',)

    served(body)


def test_a_locked_child_is_waited_for() -> None:
    async def body(server: Server, db: Db, analyze: AutoAnalyze, settings: dict[str, float]) -> None:
        await db.execute("create table child () inherits (t); create table grandchild () inherits (child)")
        await db.execute("insert into t select g, 'x' from generate_series(1, 500) g")
        other = await connect(server)
        for name in ("child", "grandchild"):
            await other.execute("begin")
            await other.execute(f"lock table only {name}")
            assert not await HUB.call(analyze.step)
            await other.execute("commit")
        assert await HUB.call(analyze.step)
        await other.close()

    served(body)
