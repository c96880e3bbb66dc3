"""The embedded cluster: the whole of it inside the test's process."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

import aurora
from tests.conftest import SMALL_PAGES_PER_PG

pytestmark = pytest.mark.cluster


def test_it_answers_and_leaves_nothing_behind() -> None:
    with aurora.cluster() as cluster:
        folder = cluster.data
        assert folder.exists()
        with psycopg.connect(cluster.dsn) as connection:
            connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
            connection.execute("INSERT INTO t SELECT generate_series(1, 100)")
            assert connection.execute("SELECT sum(n) FROM t").fetchone() == (5050,)
        assert cluster.status()["volume"]["state"] == "open"
        with pytest.raises(RuntimeError, match="already runs"), aurora.cluster():
            pass
    assert not folder.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "aurora-embedded"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(cluster.dsn, connect_timeout=5)


def test_a_kept_folder_keeps_the_data(tmp_path: Path) -> None:
    for start in range(3):
        with (
            aurora.cluster(tmp_path / "kept", pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=8) as cluster,
            psycopg.connect(cluster.dsn, autocommit=True) as connection,
        ):
            if start == 0:
                connection.execute("CREATE TABLE kept (start int, n int, filler text, PRIMARY KEY (start, n))")
            connection.execute(
                "INSERT INTO kept SELECT %s, g, repeat('k', 500) FROM generate_series(1, 2000) AS g", (start,)
            )
            found = connection.execute(
                "SELECT start, count(*), sum(length(filler)) FROM kept GROUP BY start"
            ).fetchall()
            assert sorted(found) == [(i, 2000, 1_000_000) for i in range(start + 1)]
    assert (tmp_path / "kept").exists()


def test_commits_nobody_waited_for_survive_an_orderly_end(tmp_path: Path) -> None:
    with (
        aurora.cluster(tmp_path / "kept") as cluster,
        psycopg.connect(cluster.dsn, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE soon (n int)")
        connection.execute("SET synchronous_commit = off")
        for n in range(10):
            connection.execute("INSERT INTO soon VALUES (%s)", (n,))
    with aurora.cluster(tmp_path / "kept") as cluster, psycopg.connect(cluster.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM soon").fetchone() == (10,)
