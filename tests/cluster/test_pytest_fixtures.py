"""The pytest fixtures that come with the package, in a test run of their own as a project has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import aurora
from aurora.programs.fresh_databases import AHEAD, FreshDatabases

pytestmark = pytest.mark.cluster

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def aurora_readers():
    return 1

@pytest.fixture(scope="session")
def aurora_schema():
    return "CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts VALUES (1, 100)"
"""

TESTS = """
import time

import psycopg
import pytest

seen = []

@pytest.mark.parametrize("n", range(5))
def test_each_has_a_database_of_its_own(aurora_database, n):
    with psycopg.connect(aurora_database.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT sum(balance) FROM accounts").fetchall() == [(100,)]
        connection.execute("UPDATE accounts SET balance = 0")
        connection.execute("CREATE TABLE mine (n int)")
    seen.append(aurora_database.name)
    assert len(set(seen)) == n + 1

def test_a_reader_has_it_too(aurora_database):
    with psycopg.connect(aurora_database.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO accounts VALUES (2, 1)")
    deadline, rows = time.monotonic() + 60, []
    while rows != [(101,)]:
        assert time.monotonic() < deadline
        with psycopg.connect(aurora_database.reader_dsn) as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            rows = connection.execute("SELECT sum(balance) FROM accounts").fetchall()

def test_failover(aurora_cluster, aurora_database):
    before, (reader,) = aurora_cluster.instances[0], aurora_cluster.readers
    with psycopg.connect(aurora_database.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO accounts VALUES (3, 1000)")
    done = aurora_cluster.failover()
    assert (done.before, done.after) == (before.id, reader.id)
    assert aurora_cluster.instances[0].id == reader.id
    assert [one.id for one in aurora_cluster.readers] == [before.id]
    with psycopg.connect(aurora_database.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT sum(balance) FROM accounts").fetchall() == [(1100,)]
        connection.execute("INSERT INTO accounts VALUES (4, 1)")
    with psycopg.connect(aurora_cluster.cluster_dsn) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

def test_databases_go_on_after_it(aurora_database, aurora_connection):
    with psycopg.connect(aurora_database.dsn) as connection:
        assert connection.execute("SELECT sum(balance) FROM accounts").fetchall() == [(100,)]
    aurora_connection.execute("CREATE TABLE gone (n int)")
"""


def test_a_projects_tests_with_a_reader_and_fresh_databases(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_project.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
    left = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in left if b"compute_node" in line and str(tmp_path).encode() in line]


def test_used_databases_are_dropped_and_a_schema_that_fails_is_told() -> None:
    with aurora.cluster(cache_mb=16) as cluster:
        with FreshDatabases(cluster, "CREATE TABLE t (n int)") as databases:
            taken = [databases.take() for _ in range(2)]
            with psycopg.connect(taken[0].dsn) as open_one:
                open_one.execute("SELECT * FROM t")
                for database in taken:
                    databases.give_back(database)
                databases.take()
        with psycopg.connect(cluster.dsn, autocommit=True) as connection:
            names = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
        assert not {database.name for database in taken} & set(names)
        assert len([name for name in names if name.startswith("aurora_fresh")]) <= AHEAD + 2
        with FreshDatabases(cluster, "CREATE TABLE t (n nothing)") as databases:
            for _ in range(2):
                with pytest.raises(psycopg.errors.UndefinedObject, match="nothing"):
                    databases.take()
