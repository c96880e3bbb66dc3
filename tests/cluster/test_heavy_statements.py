"""Heavy statements in a real cluster: others are answered while one runs, a cancel ends it, nothing stays behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from time import sleep
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import Cluster

pytestmark = pytest.mark.cluster

SERIES = "generate_series(1, 30000000) g"
HEAVY = [
    f"select count(*) from (select md5(g::text) m from {SERIES} order by m offset 0) s",
    f"select count(*) from {SERIES} join generate_series(1, 30000000) h on g = h",
    f"select count(*) from (select g, count(*) from {SERIES} group by g) s",
    f"select count(*) from (select distinct g from {SERIES}) s",
    f"select count(*) from (select g from {SERIES} except select g from {SERIES}) s",
    "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
    f"select array_length(array_agg(g), 1) from {SERIES}",
    "select regexp_count(repeat('abc ', 50000000), '\\w+')",
    "select length(upper(repeat('xé', 100000000)))",
    "create table never as select g from generate_series(1, 100000000) g",
]


class Runner:
    """A session in a thread that runs one statement."""

    def __init__(self, dsn: str, sql: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute("set work_mem = '256kB'")
        self.pid = self.connection.info.backend_pid
        self.error: psycopg.Error | None = None
        self._sql = sql
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.connection.execute(self._sql.encode())
        except psycopg.Error as error:
            self.error = error

    def join(self) -> None:
        self._thread.join()


@pytest.fixture
def other(shared_cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A second session."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        yield connection


def activity(other: psycopg.Connection[Any], pid: int) -> str | None:
    """What a session does, as the second session sees it."""
    row = other.execute("select state from pg_stat_activity where pid = %s", (pid,)).fetchone()
    return None if row is None else row[0]


def temporary_files(cluster: Cluster) -> int:
    """Files without a name that the writer has open."""
    folder = f"/proc/{cluster.pid(cluster.writer.id)}/fd"
    count = 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{name}").endswith("(deleted)")
        except FileNotFoundError:
            continue
    return count


@pytest.mark.parametrize("sql", HEAVY)
def test_others_are_answered_and_a_cancel_ends_it(
    shared_cluster: Cluster, other: psycopg.Connection[Any], sql: str
) -> None:
    runner = Runner(shared_cluster.dsn(), sql)
    while activity(other, runner.pid) != "active":
        sleep(0.01)
    for _ in range(30):
        assert other.execute("select 1").fetchone() == (1,)
    assert activity(other, runner.pid) == "active", "it has ended too early to show anything"
    runner.connection.cancel()
    runner.join()
    assert isinstance(runner.error, psycopg.errors.QueryCanceled)
    assert temporary_files(shared_cluster) == 0
    assert runner.connection.execute("select 2").fetchone() == (2,)
    runner.connection.close()


def test_a_timeout_ends_it(shared_cluster: Cluster) -> None:
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        connection.execute("set statement_timeout = '50ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute(HEAVY[0].encode())


def test_a_client_that_is_gone_leaves_nothing(shared_cluster: Cluster, other: psycopg.Connection[Any]) -> None:
    runner = Runner(shared_cluster.dsn(), HEAVY[0])
    while not temporary_files(shared_cluster):
        assert other.execute("select 1").fetchone() == (1,)
    with socket.socket(fileno=os.dup(runner.connection.fileno())) as raw:
        raw.shutdown(socket.SHUT_RDWR)
    runner.join()
    while activity(other, runner.pid) is not None:
        sleep(0.01)
    while temporary_files(shared_cluster):
        sleep(0.01)
    runner.connection.close()
