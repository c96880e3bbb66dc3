"""Prepared transactions survive the writer: killed with nobody beside it, killed with a reader that takes over, and a
planned failover; readers see what they did once they are committed, and no earlier."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.failover_kinds import settled, who_writes
from tests.log_rule import WATCH

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        r"compute_node\.roles: the stream from the writer has ended",
        r"compute_node\.server: instance-\d becomes the writer",
        r"keeper: \S+ has ended",
        r"compute_node\.volume\.volume: this writer \(epoch \d+\) is fenced",
    ),
]

GIDS = ("committed", "rolled back", "planned")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    made.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, readers=1)
    WATCH.follow(made.data / "log")
    made.up()
    with psycopg.connect(made.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_prepared_transactions = 10")
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        connection.execute("INSERT INTO t SELECT i, 'before' FROM generate_series(1, 10) i")
    yield made
    made.down()


def of_writer(cluster: Cluster) -> psycopg.Connection[tuple[object, ...]]:
    settled(lambda: bool(who_writes(cluster)), "a writer")
    return psycopg.connect(cluster.dsn(who_writes(cluster)), autocommit=True)


def the_other(cluster: Cluster) -> str:
    writer = who_writes(cluster)
    return next(one.id for one in cluster.required.instances if one.id != writer)


def prepare(connection: psycopg.Connection[tuple[object, ...]], number: int, gid: str) -> None:
    connection.execute("BEGIN")
    connection.execute(f"UPDATE t SET v = '{gid}' WHERE id = {number}")
    connection.execute(f"CREATE TABLE made_{number} (a int)")
    connection.execute(f"INSERT INTO made_{number} VALUES ({number})")
    connection.execute(f"PREPARE TRANSACTION '{gid}'")


def there(connection: psycopg.Connection[tuple[object, ...]]) -> list[object]:
    return [gid for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts ORDER BY transaction::text::int8")]


def answers(cluster: Cluster, instance: str) -> bool:
    try:
        with psycopg.connect(cluster.dsn(instance), autocommit=True) as connection:
            return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    except psycopg.OperationalError:
        return False


def seen_by_a_reader(cluster: Cluster) -> list[tuple[object, ...]]:
    """Tables made, and rows changed, once the reader is where the writer is."""
    with of_writer(cluster) as writer:
        lsn = writer.execute("SELECT pg_current_wal_lsn()").fetchone()
    settled(lambda: answers(cluster, the_other(cluster)), "a reader")
    with psycopg.connect(cluster.dsn(the_other(cluster)), autocommit=True) as reader:
        reader.execute("SELECT aurora_wait_for_lsn(%s::pg_lsn, 20000)", lsn)
        tables = "SELECT relname FROM pg_class WHERE relname LIKE 'made%' ORDER BY 1"
        return [
            *reader.execute(tables).fetchall(),
            *reader.execute("SELECT id, v FROM t WHERE v <> 'before' ORDER BY 1").fetchall(),
        ]


def test_they_survive_the_writer(cluster: Cluster) -> None:
    with of_writer(cluster) as connection:
        for number, gid in enumerate(GIDS, 1):
            prepare(connection, number, gid)
        assert there(connection) == list(GIDS)
    assert seen_by_a_reader(cluster) == []

    first = who_writes(cluster)
    os.kill(cluster.pid(first), signal.SIGKILL)
    settled(lambda: who_writes(cluster) not in ("", first), "another writer")
    with of_writer(cluster) as connection:
        assert there(connection) == list(GIDS)
        connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("UPDATE t SET v = 'other' WHERE id = 1")
        connection.execute("COMMIT PREPARED 'committed'")
        connection.execute("ROLLBACK PREPARED 'rolled back'")
        connection.execute("UPDATE t SET v = 'other' WHERE id = 2")
        assert connection.execute("SELECT a FROM made_1").fetchall() == [(1,)]
    expected: list[tuple[object, ...]] = [("made_1",), (1, "committed"), (2, "other")]
    assert seen_by_a_reader(cluster) == expected

    second = the_other(cluster)
    with psycopg.connect(cluster.dsn(second), autocommit=True) as reader, contextlib.suppress(psycopg.OperationalError):
        reader.execute("SELECT pg_promote()")  # the session may end with the role
    settled(lambda: who_writes(cluster) == second, "the other one writes")
    with of_writer(cluster) as connection:
        assert there(connection) == ["planned"]
        connection.execute("COMMIT PREPARED 'planned'")
        assert there(connection) == []
        assert connection.execute("SELECT count(*) FROM aurora_check()").fetchone() == (0,)
    assert seen_by_a_reader(cluster) == [("made_1",), ("made_3",), *expected[1:], (3, "planned")]


def test_a_reader_ends_none(cluster: Cluster) -> None:
    with of_writer(cluster) as connection:
        prepare(connection, 1, "elsewhere")
    with psycopg.connect(cluster.dsn(the_other(cluster)), autocommit=True) as reader:
        for text in ("COMMIT PREPARED 'elsewhere'", "ROLLBACK PREPARED 'elsewhere'"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                reader.execute(text)
        reader.execute("BEGIN")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("PREPARE TRANSACTION 'of a reader'")
    with of_writer(cluster) as connection:
        connection.execute("ROLLBACK PREPARED 'elsewhere'")


def test_another_database_ends_none(cluster: Cluster) -> None:
    with of_writer(cluster) as connection:
        prepare(connection, 1, "of postgres")
        connection.execute("CREATE DATABASE another")
        dsn = cluster.dsn(who_writes(cluster)).replace("dbname=postgres", "dbname=another")
        with psycopg.connect(dsn, autocommit=True) as other:
            assert there(other) == ["of postgres"]
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="belongs to another database"):
                other.execute("COMMIT PREPARED 'of postgres'")
            other.execute("BEGIN")
            other.execute("PREPARE TRANSACTION 'of another'")
        with pytest.raises(psycopg.errors.ObjectInUse, match="There is 1 prepared transaction using the database"):
            connection.execute("DROP DATABASE another")
        with pytest.raises(psycopg.errors.ObjectInUse, match="being used by prepared transactions"):
            connection.execute("DROP DATABASE another (FORCE)")
        connection.execute("COMMIT PREPARED 'of postgres'")
