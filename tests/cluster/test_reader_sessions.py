"""A reader's session on a real reader: one's own writes are read, the replay pauses and goes on, and pg_promote makes
it the writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

import aurora

pytestmark = pytest.mark.cluster


def value(connection: psycopg.Connection[Any], sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def becomes_writer(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return value(connection, "select pg_is_in_recovery()") is False
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[aurora.EmbeddedCluster]:
    """A writer and a reader; the last test makes the reader the writer."""
    with aurora.cluster(readers=1) as made:
        yield made


def shows(writer: psycopg.Connection[Any], reader: psycopg.Connection[Any]) -> None:
    """Wait until the reader shows what the writer's session has committed."""
    lsn = value(writer, "select aurora_last_commit_lsn()::text")
    assert value(reader, f"select aurora_wait_for_lsn('{lsn}', 30000)") is True


def replay_with(writer: psycopg.Connection[Any], reader: psycopg.Connection[Any], **settings: str) -> None:
    """ALTER SYSTEM on the writer, a reload on the reader."""
    for name in ("max_standby_streaming_delay", "hot_standby_feedback"):
        to = f"SET {name} = '{settings[name]}'" if name in settings else f"RESET {name}"
        writer.execute(f"ALTER SYSTEM {to}")
    shows(writer, reader)
    assert value(reader, "SELECT pg_reload_conf()") is True
    time.sleep(0.3)  # the reader tells the writer anew what it holds


def conflicts(reader: psycopg.Connection[Any], which: str) -> int:
    return int(value(reader, f"SELECT {which} FROM pg_stat_database_conflicts WHERE datname = 'postgres'"))


def test_how_long_the_log_waits_is_read_again_at_a_reload(cluster: aurora.EmbeddedCluster) -> None:
    with (
        psycopg.connect(cluster.dsn, autocommit=True) as writer,
        psycopg.connect(cluster.reader_dsn, autocommit=True) as reader,
        psycopg.connect(cluster.reader_dsn) as holding,
    ):
        writer.execute("CREATE TABLE locked (n int)")
        shows(writer, reader)
        replay_with(writer, reader, max_standby_streaming_delay="200ms")
        with psycopg.connect(cluster.reader_dsn) as new:
            assert value(new, "SHOW max_standby_streaming_delay") == "200ms"
        assert value(holding, "SELECT count(*) FROM locked") == 0
        before, begun_s = conflicts(reader, "confl_lock"), time.monotonic()
        writer.execute("ALTER TABLE locked ADD COLUMN m int")
        shows(writer, reader)
        assert 0.15 < time.monotonic() - begun_s < 8
        with pytest.raises(errors.SerializationFailure) as caught:
            holding.execute("SELECT 1")
        assert caught.value.diag.severity == "FATAL"
        assert caught.value.diag.message_detail == "User was holding a relation lock for too long."
        assert conflicts(reader, "confl_lock") == before + 1
        replay_with(writer, reader)


def test_without_feedback_a_snapshot_may_lose_its_rows_and_is_told_so(cluster: aurora.EmbeddedCluster) -> None:
    snapshot = "User query might have needed to see row versions that must be removed."
    with (
        psycopg.connect(cluster.dsn, autocommit=True) as writer,
        psycopg.connect(cluster.reader_dsn, autocommit=True) as reader,
    ):
        writer.execute("CREATE TABLE vacuumed AS SELECT generate_series(1, 500) AS n")

        def remove(expected: bool) -> None:
            writer.execute("DELETE FROM vacuumed WHERE n % 2 = 0")
            writer.execute("VACUUM vacuumed")
            writer.execute("UPDATE vacuumed SET n = n")
            shows(writer, reader)
            dead = "SELECT count(*) FROM vacuumed"
            assert (value(writer, dead) == value(reader, dead)) is expected

        def snapshot_of(name: str) -> psycopg.Connection[Any]:
            made = psycopg.connect(cluster.reader_dsn, application_name=name)
            made.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            assert value(made, "SELECT count(*) FROM vacuumed") == 500
            return made

        shows(writer, reader)
        with snapshot_of("held") as held:  # what it reads is held on the writer
            remove(True)
            time.sleep(0.5)
            assert value(held, "SELECT count(*) FROM vacuumed") == 500
        writer.execute("TRUNCATE vacuumed; INSERT INTO vacuumed SELECT generate_series(1, 500)")
        shows(writer, reader)
        replay_with(writer, reader, hot_standby_feedback="off", max_standby_streaming_delay="300ms")
        before = conflicts(reader, "confl_snapshot")
        idle, busy = snapshot_of("idle"), snapshot_of("busy")
        read_committed = psycopg.connect(cluster.reader_dsn)
        assert value(read_committed, "SELECT count(*) FROM vacuumed") == 500
        told: list[psycopg.Error] = []

        def sleep() -> None:
            try:
                busy.execute("SELECT count(*), pg_sleep(30) FROM vacuumed")
            except psycopg.Error as error:
                told.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        time.sleep(0.3)
        remove(True)
        thread.join(20)
        (canceled,) = told
        assert isinstance(canceled, errors.SerializationFailure)
        assert canceled.diag.severity == "ERROR"
        assert canceled.diag.message_primary == "canceling statement due to conflict with recovery"
        assert canceled.diag.message_detail == snapshot
        with pytest.raises(errors.SerializationFailure) as caught:
            idle.execute("SELECT 1")
        assert caught.value.diag.severity == "FATAL"
        assert caught.value.diag.message_primary == "terminating connection due to conflict with recovery"
        assert caught.value.diag.message_detail == snapshot
        assert value(read_committed, "SELECT count(*) FROM vacuumed") == 250, "it has no snapshot between statements"
        assert conflicts(reader, "confl_snapshot") == before + 2
        for each in (idle, busy, read_committed):
            each.close()
        replay_with(writer, reader)


def test_a_database_that_nobody_has_used_yet_lets_a_readers_session_in(cluster: aurora.EmbeddedCluster) -> None:
    with psycopg.connect(cluster.reader_dsn, dbname="template1", autocommit=True) as reader:
        assert value(reader, "SELECT current_database()") == "template1"
        assert value(reader, "SELECT count(*) FROM pg_class WHERE relname = 'pg_class'") == 1
        with pytest.raises(errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TABLE t (n int)")
    with psycopg.connect(cluster.dsn, dbname="template1", autocommit=True) as writer:
        writer.execute("CREATE TABLE of_all (n int)")
        with psycopg.connect(cluster.reader_dsn, dbname="template1", autocommit=True) as reader:
            shows(writer, reader)
            assert value(reader, "SELECT count(*) FROM of_all") == 0
        writer.execute("DROP TABLE of_all")
    with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
        psycopg.connect(cluster.reader_dsn, dbname="nowhere")


def test_a_reader_shows_one_s_own_writes_pauses_and_is_promoted(cluster: aurora.EmbeddedCluster) -> None:
    writer = psycopg.connect(cluster.dsn, autocommit=True)
    reader = psycopg.connect(cluster.reader_dsn, autocommit=True)
    writer.execute("create table t (id int primary key, n int)")
    for number in range(30):
        writer.execute("insert into t values (%s, 0)", (number,))
        lsn = value(writer, "select aurora_last_commit_lsn()::text")
        reader.execute(f"set aurora.read_after_lsn = '{lsn}'")
        assert value(reader, "select count(*) from t") == number + 1
    # What the writer has logged and what the reader has applied are told in the same numbers.
    end = value(writer, "select pg_current_wal_lsn()::text")
    assert value(reader, f"select aurora_wait_for_lsn('{end}', 30000)") is True
    assert value(reader, f"select pg_last_wal_replay_lsn() >= '{end}'")
    assert value(reader, "select now() - pg_last_xact_replay_timestamp() < interval '1 hour'")
    assert value(reader, "select status from pg_stat_wal_receiver") == "streaming"
    for sql in ("insert into t values (99, 0)", "select * from t for update", "create table u ()", "vacuum t"):
        with pytest.raises(errors.ReadOnlySqlTransaction):
            reader.execute(sql)
    reader.execute("select pg_wal_replay_pause()")
    until(lambda: value(reader, "select pg_get_wal_replay_pause_state()") == "paused")
    writer.execute("insert into t values (1000, 0)")
    end = value(writer, "select aurora_last_commit_lsn()::text")
    assert value(reader, f"select aurora_wait_for_lsn('{end}', 100)") is False
    assert value(reader, "select count(*) from t") == 30
    reader.execute("select pg_wal_replay_resume()")
    assert value(reader, f"select aurora_wait_for_lsn('{end}', 30000)") is True
    assert value(reader, "select count(*) from t") == 31
    writer.execute("create database gone")
    end = value(writer, "select aurora_last_commit_lsn()::text")
    reader.execute(f"set aurora.read_after_lsn = '{end}'")
    assert value(reader, "select count(*) from pg_database where datname = 'gone'") == 1
    inside = psycopg.connect(cluster.reader_dsn, dbname="gone", autocommit=True)
    writer.execute("drop database gone")
    end = value(writer, "select aurora_last_commit_lsn()::text")
    assert value(reader, f"select aurora_wait_for_lsn('{end}', 30000)") is True
    with pytest.raises(psycopg.OperationalError, match="terminating connection due to conflict with recovery"):
        inside.execute("select count(*) from pg_class")
    inside.close()
    dsn = cluster.reader_dsn
    assert value(reader, "select pg_promote(wait => false)") is True
    until(lambda: becomes_writer(dsn))
    with psycopg.connect(dsn, autocommit=True) as promoted:
        promoted.execute("insert into t values (2000, 0)")
        assert value(promoted, "select count(*) from t") == 32
    for each in (writer, reader):
        each.close()
