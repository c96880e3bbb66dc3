"""Drivers that are told all instances and choose by role: libpq (psycopg), asyncpg, SQLAlchemy's pool; and what they do
when the writer is killed or hands over."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy

from aurora.programs import instances
from tests.clients.drill import KILLED, Drill, first_success, tell

pytestmark = [pytest.mark.cluster, KILLED]

WHO = "SELECT aurora_db_instance_identifier(), pg_is_in_recovery()"


def who(conninfo: str) -> tuple[str, bool]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(WHO).fetchone()
        assert row is not None
        return row[0], row[1]


# -- libpq


@pytest.mark.parametrize(
    ("attribute", "recovers"),
    [
        ("read-write", False), ("primary", False), ("read-only", True), ("standby", True), ("prefer-standby", True),
        ("any", True),
    ],
)  # fmt: skip
def test_libpq_chooses_by_role(drill: Drill, attribute: str, recovers: bool) -> None:
    name, in_recovery = who(drill.conninfo(target_session_attrs=attribute))
    assert in_recovery is recovers
    assert (name == drill.writer.id) is not recovers
    if attribute == "any":
        assert name == drill.readers[0].id, "the first that answers"


def test_libpq_finds_no_such_role(drill: Drill) -> None:
    reader = drill.readers[0].host
    with pytest.raises(psycopg.OperationalError, match="session is read-only"):
        psycopg.connect(drill.conninfo(host=reader, target_session_attrs="read-write"))
    with pytest.raises(psycopg.OperationalError, match="server is in hot standby mode"):
        psycopg.connect(drill.conninfo(host=reader, target_session_attrs="primary"))
    with pytest.raises(psycopg.OperationalError, match="session is not read-only"):
        psycopg.connect(drill.conninfo(host=drill.writer.host, target_session_attrs="read-only"))
    with pytest.raises(psycopg.OperationalError, match="server is not in hot standby mode"):
        psycopg.connect(drill.conninfo(host=drill.writer.host, target_session_attrs="standby"))
    assert who(drill.conninfo(host=drill.writer.host, target_session_attrs="prefer-standby")) == (
        drill.writer.id,
        False,
    )


def test_a_role_that_may_only_read_by_default_is_read_only_for_libpq(drill: Drill) -> None:
    """``default_transaction_read_only`` is reported too: the writer is no ``read-write`` for that role."""
    options = {"options": "'-c default_transaction_read_only=on'", "host": drill.writer.host}
    with pytest.raises(psycopg.OperationalError, match="session is read-only"):
        psycopg.connect(drill.conninfo(target_session_attrs="read-write", **options))
    assert who(drill.conninfo(target_session_attrs="primary", **options)) == (drill.writer.id, False)
    assert who(drill.conninfo(target_session_attrs="read-only", **options)) == (drill.writer.id, False)


@pytest.mark.skipif(psycopg.pq.version() < 160000, reason="load_balance_hosts came with libpq 16")
def test_libpq_spreads_over_the_readers(drill: Drill) -> None:
    spread = Counter(
        who(drill.conninfo(target_session_attrs="standby", load_balance_hosts="random"))[0] for _ in range(30)
    )
    assert set(spread) == {one.id for one in drill.readers}


def test_libpq_through_a_failover(drill: Drill) -> None:
    drill.table("through_libpq", "n int")
    conninfo = drill.conninfo(target_session_attrs="read-write", connect_timeout=5)
    connection = psycopg.connect(conninfo, autocommit=True)
    connection.execute("INSERT INTO through_libpq VALUES (1)")
    old = drill.kill_writer()

    def write() -> None:
        nonlocal connection
        if connection.closed:
            connection = psycopg.connect(conninfo, autocommit=True)
        connection.execute("INSERT INTO through_libpq VALUES (2)")

    tell("libpq, target_session_attrs=read-write", first_success(write, (psycopg.OperationalError,)))
    row = connection.execute(WHO).fetchone()
    assert row is not None
    assert row[0] != old.id and row[1] is False
    assert connection.execute("SELECT n FROM through_libpq ORDER BY n").fetchall() == [(1,), (2,)]
    connection.close()
    drill.settle()
    assert old.id in {one.id for one in drill.readers}, "the old writer comes back as a reader"
    assert who(drill.conninfo(host=old.host, target_session_attrs="standby")) == (old.id, True)


def test_a_hand_over_ends_the_sessions_of_the_old_writer_with_57p01(drill: Drill) -> None:
    old = drill.writer.id
    with psycopg.connect(drill.conninfo(target_session_attrs="read-write"), autocommit=True) as connection:
        connection.execute("SELECT 1")
        done = instances.failover(drill.cluster)
        with pytest.raises(psycopg.errors.AdminShutdown, match="terminating connection due to administrator command"):
            connection.execute("SELECT 1")
    assert (done.before, done.after != old) == (old, True)
    assert who(drill.conninfo(target_session_attrs="read-write")) == (done.after, False)


# -- asyncpg


@pytest.mark.parametrize(
    ("attribute", "recovers"),
    [("read-write", False), ("primary", False), ("read-only", True), ("standby", True), ("prefer-standby", True)],
)
def test_asyncpg_chooses_by_role(drill: Drill, attribute: str, recovers: bool) -> None:
    async def scenario() -> tuple[str, bool]:
        connection = await asyncpg_connect(drill, attribute)
        try:
            row = await connection.fetchrow(WHO)
            return row[0], row[1]
        finally:
            await connection.close()

    name, in_recovery = asyncio.run(scenario())
    assert in_recovery is recovers
    assert (name == drill.writer.id) is not recovers


async def asyncpg_connect(drill: Drill, attribute: str) -> Any:
    return await asyncpg.connect(
        host=drill.hosts, port=drill.port, user="postgres", database="postgres", target_session_attrs=attribute,
        ssl=False, timeout=5,
    )  # fmt: skip


@pytest.mark.logs("Failed to restore the pool connection floor")
def test_asyncpg_pool_through_a_failover(drill: Drill) -> None:
    drill.table("through_asyncpg", "n int")

    async def scenario() -> tuple[str, float]:
        pool = await asyncpg.create_pool(
            host=drill.hosts, port=drill.port, user="postgres", database="postgres", min_size=2, max_size=2,
            target_session_attrs="read-write", ssl=False, timeout=5,
        )  # fmt: skip
        try:
            await pool.execute("INSERT INTO through_asyncpg VALUES (1)")
            old = drill.kill_writer()
            begun_s = time.monotonic()
            while True:
                try:
                    await pool.execute("INSERT INTO through_asyncpg VALUES (2)")
                    break
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    assert time.monotonic() - begun_s < 30
                    await asyncio.sleep(0.01)
            took_s = time.monotonic() - begun_s
            name = await pool.fetchval("SELECT aurora_db_instance_identifier()")
            assert name != old.id
            assert await pool.fetchval("SELECT array_agg(n ORDER BY n) FROM through_asyncpg") == [1, 2]
            return name, took_s
        finally:
            await asyncio.wait_for(pool.close(), 10)

    _, took_s = asyncio.run(scenario())
    tell("asyncpg's pool, target_session_attrs=read-write", took_s)


# -- SQLAlchemy


def engine_for(drill: Drill, **settings: object) -> sqlalchemy.Engine:
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", username="postgres", database="postgres",
        query={"host": ",".join(drill.hosts), "port": ",".join([str(drill.port)] * len(drill.hosts)),
               "target_session_attrs": "read-write", "connect_timeout": "5"},
    )  # fmt: skip
    return sqlalchemy.create_engine(url, pool_pre_ping=True, pool_size=4, max_overflow=0, **settings)


def fill(engine: sqlalchemy.Engine) -> None:
    """Every connection of the pool is open and idle."""
    held = [engine.connect() for _ in range(4)]
    for connection in held:
        connection.execute(sqlalchemy.text("SELECT 1"))
        connection.close()


def test_sqlalchemy_pool_through_a_failover(drill: Drill) -> None:
    drill.table("through_sqlalchemy", "n int")
    engine = engine_for(drill)
    fill(engine)
    old = drill.kill_writer()
    insert = sqlalchemy.text("INSERT INTO through_sqlalchemy VALUES (:n)")

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(insert, {"n": 1})

    tell("SQLAlchemy's pool with pool_pre_ping", first_success(write, (sqlalchemy.exc.OperationalError,)))
    for n in range(2, 10):
        with engine.begin() as connection:
            connection.execute(insert, {"n": n})
            assert connection.scalar(sqlalchemy.text("SELECT aurora_db_instance_identifier()")) != old.id
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM through_sqlalchemy")) == 9
    engine.dispose()


def test_sqlalchemy_pool_never_writes_to_a_reader_after_a_hand_over(drill: Drill) -> None:
    """An idle connection that survives a failover, and is a reader's then, is what applications suffer from."""
    drill.table("after_hand_over", "n int")
    engine = engine_for(drill)
    fill(engine)
    done = instances.failover(drill.cluster)
    for n in range(8):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO after_hand_over VALUES (:n)"), {"n": n})
            assert connection.scalar(sqlalchemy.text("SELECT aurora_db_instance_identifier()")) == done.after
    engine.dispose()
