"""The autovacuum daemon goes by PostgreSQL's settings and by the storage parameters of tables."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.access.auto_vacuum import AutoVacuum
from compute_node.access.vacuum import Pace
from compute_node.hub import HUB
from compute_node.session.settings import DEFINITIONS
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]
Settings = dict[str, float]
Test = Callable[[Server, Db, AutoVacuum, Settings], Awaitable[None]]


def served(test: Test) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        settings: Settings = {"autovacuum_naptime": 0}
        databases = engine.databases
        databases.sessions = lambda: list(server.sessions.values())
        daemon = AutoVacuum(
            engine.storage,
            lambda name: float(settings.get(name, DEFINITIONS[name].boot)),
            databases.table_of,
            databases.current,
            lambda table, stats: databases.vacuumed(table.desc, stats),
            databases.shown,
        )
        db = await connect(server)
        await db.execute("create table t (a int, b text)")
        await HUB.call(daemon.round)  # what system catalogs need
        await test(server, db, daemon, settings)
        await db.close()

    serve_engine(body)


async def one(db: Db, sql: str) -> Any:
    return await (await db.execute(sql.encode())).fetchone()


async def done(db: Db, table: str = "t") -> tuple[int, int]:
    """How often it was vacuumed by the daemon, and its dead rows."""
    found: tuple[int, int] = await one(
        db, f"select autovacuum_count, n_dead_tup from pg_stat_all_tables where relname = '{table}'"
    )
    return found


async def dead(db: Db, count: int) -> None:
    await db.execute(f"insert into t select g, 'x' from generate_series(1, {count}) g".encode())
    await db.execute("delete from t")


def test_dead_rows_past_the_threshold() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        await dead(db, 50)
        await HUB.call(daemon.round)
        assert await done(db) == (0, 50)
        await dead(db, 1)
        await HUB.call(daemon.round)
        assert await done(db) == (1, 0)
        assert await one(db, "select last_vacuum, n_ins_since_vacuum from pg_stat_user_tables") == (None, 0)
        # a fifth of the rows that the catalog knows of counts, too
        await db.execute("insert into t select g, 'x' from generate_series(1, 500) g")
        await db.execute("vacuum t")
        await db.execute("delete from t where a <= 150")
        await HUB.call(daemon.round)
        assert await done(db) == (1, 150)
        await db.execute("delete from t where a <= 151")
        await HUB.call(daemon.round)
        assert await done(db) == (2, 0)
        assert await one(db, "select reltuples from pg_class where relname = 't'") == (349,)

    served(body)


def test_settings_and_storage_parameters_say_when() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        await dead(db, 500)
        for name in ("autovacuum", "track_counts"):
            settings[name] = 0
            await HUB.call(daemon.round)
            assert await done(db) == (0, 500)
            del settings[name]
        settings["autovacuum_vacuum_threshold"] = 1000
        await HUB.call(daemon.round)
        assert await done(db) == (0, 500)
        await db.execute("alter table t set (autovacuum_enabled = off, autovacuum_vacuum_threshold = '0x10')")
        await HUB.call(daemon.round)
        assert await done(db) == (0, 500)
        # the statement alone is enough: nobody need use the table
        await db.execute("alter table t set (autovacuum_enabled = on)")
        await HUB.call(daemon.round)
        assert await done(db) == (1, 0)
        await db.execute("alter table t set (autovacuum_vacuum_threshold = 2000000)")
        del settings["autovacuum_vacuum_threshold"]
        await dead(db, 500)
        await HUB.call(daemon.round)
        assert await done(db) == (1, 500)

    served(body)


def test_inserted_rows() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        await db.execute("insert into t select g, 'x' from generate_series(1, 1000) g")
        await HUB.call(daemon.round)
        assert await done(db) == (0, 0)
        await db.execute("insert into t values (1, 'x')")
        settings["autovacuum_vacuum_insert_threshold"] = -1
        await HUB.call(daemon.round)
        assert await done(db) == (0, 0)
        del settings["autovacuum_vacuum_insert_threshold"]
        await HUB.call(daemon.round)
        assert await done(db) == (1, 0)
        await HUB.call(daemon.round)
        await db.execute("alter table t set (autovacuum_vacuum_insert_threshold = 5)")
        await db.execute("alter table t set (autovacuum_vacuum_insert_scale_factor = 0)")
        await db.execute("insert into t select g, 'x' from generate_series(1, 6) g")
        assert await one(db, "select n_ins_since_vacuum from pg_stat_user_tables") == (6,)
        await HUB.call(daemon.round)
        assert await done(db) == (2, 0)
        # single rows, and nobody looks at the counters before the daemon does
        for number in range(6):
            await db.execute(f"insert into t values ({number}, 'y')")
        await HUB.call(daemon.round)
        assert await done(db) == (3, 0)

    served(body)


def test_toast_tables_have_parameters_of_their_own_or_their_table_s() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        await db.execute("alter table t alter b set storage external, set (autovacuum_enabled = off)")
        for _ in range(2):
            await db.execute("insert into t select g, repeat('x', 5000) from generate_series(1, 60) g")
            await db.execute("delete from t")
        toast = (await one(db, "select reltoastrelid::regclass::text from pg_class where relname = 't'"))[0]
        toast = toast.removeprefix("pg_toast.")
        await HUB.call(daemon.round)
        assert (await done(db), (await done(db, toast))[0]) == ((0, 120), 0)
        await db.execute("alter table t set (toast.autovacuum_vacuum_threshold = 10)")
        await HUB.call(daemon.round)
        assert (await done(db), await done(db, toast)) == ((0, 120), (1, 0))

    served(body)


def test_a_table_rests_for_a_nap() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        settings["autovacuum_naptime"] = 3600
        for _ in range(2):
            await dead(db, 100)
            await HUB.call(daemon.round)
        assert await done(db) == (1, 100)

    served(body)


def test_a_locked_table_is_left_for_later() -> None:
    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        settings["autovacuum_naptime"] = 3600
        await dead(db, 100)
        await db.execute("begin; lock table t in share update exclusive mode")
        await HUB.call(daemon.round)
        await db.execute("commit")
        assert await done(db) == (0, 100)
        await HUB.call(daemon.round)
        assert await done(db) == (1, 0)

    served(body)


def test_what_took_long_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        return [each.getMessage() for each in caplog.records if "automatic vacuum" in each.getMessage()]

    async def body(server: Server, db: Db, daemon: AutoVacuum, settings: Settings) -> None:
        caplog.set_level(logging.INFO)
        await dead(db, 100)
        await HUB.call(daemon.round)
        assert told() == []
        await db.execute("alter table t set (log_autovacuum_min_duration = 0)")
        await dead(db, 100)
        await HUB.call(daemon.round)
        assert [each.partition(": pages")[0] for each in told()] == ['automatic vacuum of table "postgres.public.t"']
        assert "tuples: 100 removed, 0 remain" in told()[0]

    served(body)


def test_pauses_by_cost() -> None:
    pace = Pace(2, limit=100, hit=1, miss=2, dirty=20)
    for _ in range(33):
        pace.looked()
        pace.looked(False)
    assert pace.pause_s() == 0
    pace.looked()
    assert pace.pause_s() == 0.002
    for _ in range(6):
        pace.changed()
    assert pace.pause_s() == pytest.approx(0.0024)
    for _ in range(100):
        pace.changed()
    assert (pace.pause_s(), pace.pause_s()) == (0.008, 0)
