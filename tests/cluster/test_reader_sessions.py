"""A reader's session on a real reader: one's own writes are read, the replay pauses and goes on, and pg_promote makes
it the writer."""

from __future__ import annotations

import time
from collections.abc import Callable
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


def test_a_reader_shows_one_s_own_writes_pauses_and_is_promoted() -> None:
    with aurora.cluster(readers=1) as cluster:
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
