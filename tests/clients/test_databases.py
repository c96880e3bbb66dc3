"""Several databases as clients meet them: psql's \\c and \\l, createdb and dropdb, sessions beside CREATE and DROP."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.conftest import needs

pytestmark = pytest.mark.cluster


@pytest.fixture
def root(shared_cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        for name in ("db_one", "db_two"):
            connection.execute(f"drop database if exists {name} with (force)")
        yield connection
        for name in ("db_one", "db_two"):
            connection.execute(f"drop database if exists {name} with (force)")


def connect(cluster: Cluster, name: str, **more: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn(), dbname=name, autocommit=True, **more)


def refused(cluster: Cluster, name: str, **more: Any) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(cluster, name, **more)
    return str(caught.value)


def test_the_same_names_in_two_databases(shared_cluster: Cluster, root: Any) -> None:
    root.execute("create database db_one")
    with connect(shared_cluster, "db_one") as one:
        one.execute("create table t (a int primary key, b text)")
        one.execute("insert into t values (1, 'one')")
    root.execute("create database db_two template db_one")
    with connect(shared_cluster, "db_one") as one, connect(shared_cluster, "db_two") as two:
        one.execute("begin; lock table t in access exclusive mode")
        one.execute("update t set b = 'changed'")
        assert two.execute("select b from t where a = 1").fetchall() == [("one",)]
        two.execute("insert into t values (2, 'two')")
        two.execute("select pg_advisory_lock(1)")
        assert one.execute("select pg_try_advisory_lock(1)").fetchone() == (True,)
        held = root.execute(
            "select distinct datname from pg_locks l join pg_database d on d.oid = l.database "
            "where mode = 'AccessExclusiveLock' and relation is not null"
        ).fetchall()
        assert held == [("db_one",)]
        seen = root.execute("select datname, count(*) from pg_stat_activity where datname like 'db%' group by 1")
        assert sorted(seen.fetchall()) == [("db_one", 1), ("db_two", 1)]
        one.execute("commit")
        assert one.execute("select a, b from t").fetchall() == [(1, "changed")]
        assert two.execute("select a, b from t order by 1").fetchall() == [(1, "one"), (2, "two")]
        assert two.execute("select current_database()").fetchone() == ("db_two",)


def test_who_is_connected_keeps_a_database(shared_cluster: Cluster, root: Any) -> None:
    root.execute("create database db_one")
    with connect(shared_cluster, "db_one") as one:
        for statement in ("create database db_two template db_one", "alter database db_one rename to db_two"):
            with pytest.raises(psycopg.errors.ObjectInUse) as caught:
                root.execute(statement)
            assert caught.value.diag.message_detail == "There is 1 other session using the database."
        root.execute("drop database db_one with (force)")
        with pytest.raises(psycopg.OperationalError):
            one.execute("select 1")
    assert 'database "db_one" does not exist' in refused(shared_cluster, "db_one")


def test_a_plan_of_a_dropped_database_is_not_used(shared_cluster: Cluster, root: Any) -> None:
    for number in range(3):
        root.execute("create database db_one")
        with connect(shared_cluster, "db_one") as one:
            one.execute(f"create table t{number}x (a int)" if number == 1 else "create table t (a text)")
            if number == 1:
                one.execute("create table t (a int)")
            one.execute("insert into t values (%s)", ("7",) if number != 1 else (7,))
            assert one.execute("select a from t").fetchone() == (("7",) if number != 1 else (7,))
        root.execute("drop database db_one")


def test_who_may_connect(shared_cluster: Cluster, root: Any) -> None:
    root.execute("create database db_one connection limit 1")
    root.execute("drop role if exists db_plain")
    root.execute("create role db_plain login")
    try:
        with connect(shared_cluster, "db_one", user="db_plain"):
            assert 'too many connections for database "db_one"' in refused(shared_cluster, "db_one", user="db_plain")
            connect(shared_cluster, "db_one").close()
        root.execute("revoke connect on database db_one from public")
        assert 'permission denied for database "db_one"' in refused(shared_cluster, "db_one", user="db_plain")
        root.execute("alter database db_one allow_connections false")
        assert "is not currently accepting connections" in refused(shared_cluster, "db_one")
    finally:
        root.execute("drop database db_one")
        root.execute("drop role db_plain")


@needs("psql")
def test_psql_goes_from_one_to_the_other(shared_cluster: Cluster, root: Any) -> None:
    environment = os.environ | {
        "PGHOST": root.info.host, "PGPORT": str(root.info.port), "PGUSER": "postgres", "PGPASSWORD": root.info.password,
    }  # fmt: skip

    def run(*command: str, text: str = "") -> str:
        done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert run("createdb", "db_one") == ""
    script = "\\set QUIET on\ncreate table t (a int);\n\\c db_one\n\\d\ncreate table t (b text);\n\\d t\n"
    shown = run("psql", "-X", "-A", "-t", "postgres", text=script + "\\c postgres\n\\l db_*\ndrop table t;\n")
    assert shown.startswith("b|text|")
    assert "db_one|postgres|UTF8|C.UTF-8|C.UTF-8||libc|" in shown
    assert run("dropdb", "db_one") == ""
    assert 'database "db_one" does not exist' in run("dropdb", "db_one")
