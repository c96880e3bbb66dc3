"""``aurora.failover_keeps_connections``: idle connections live through a planned failover, and their role turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest

from aurora.programs import instances
from aurora.programs.description import InstanceSpec
from tests.clients.drill import KILLED, Drill

pytestmark = [
    pytest.mark.cluster,
    KILLED,
    pytest.mark.logs(r"becomes a reader, and its connections stay"),
]

WHO = "SELECT aurora_db_instance_identifier(), pg_is_in_recovery()"


@pytest.fixture
def keeping(drill: Drill) -> Iterator[Drill]:
    """The cluster with the setting on."""
    _set(drill, "SET aurora.failover_keeps_connections = on")
    drill.table("kept_rows", "n int PRIMARY KEY")
    yield drill
    drill.settle()
    _set(drill, "RESET aurora.failover_keeps_connections")


def _set(drill: Drill, change: str) -> None:
    with psycopg.connect(drill.cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM {change}")
        row = connection.execute("SELECT aurora_last_commit_lsn()").fetchone()
    assert row is not None
    for one in drill.readers:
        with closing(_to(one, drill)) as reader:
            assert reader.execute("SELECT aurora_wait_for_lsn(%s, 20000)", row).fetchone() == (True,)


def _to(one: InstanceSpec, drill: Drill, user: str = "postgres") -> psycopg.Connection[Any]:
    return psycopg.connect(host=one.host, port=drill.port, user=user, dbname="postgres", autocommit=True)


def _status(connection: psycopg.Connection[Any]) -> str | None:
    return connection.info.parameter_status("in_hot_standby")


def test_the_old_writers_connections_find_a_reader_and_the_new_writers_find_a_writer(keeping: Drill) -> None:
    before = keeping.writer
    with ExitStack() as stack:
        old = stack.enter_context(closing(_to(before, keeping)))
        kept = {one.id: stack.enter_context(closing(_to(one, keeping))) for one in keeping.readers}
        old.execute("SET work_mem = '7MB'")
        old.execute("PREPARE put(int) AS INSERT INTO kept_rows VALUES ($1)")
        old.execute("EXECUTE put(1)")
        pid = old.info.backend_pid
        done = instances.failover(keeping.cluster)
        assert old.execute(WHO).fetchone() == (before.id, True)
        assert _status(old) == "on"
        assert old.info.backend_pid == pid
        assert old.execute("SHOW work_mem").fetchone() == ("7MB",)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            old.execute("EXECUTE put(2)")
        new = kept[done.after]
        assert new.execute(WHO).fetchone() == (done.after, False)
        assert _status(new) == "off"
        new.execute("INSERT INTO kept_rows VALUES (3)")
        keeping.settle()
        assert instances.failover(keeping.cluster, before.id).after == before.id  # and back, in the same processes
        old.execute("EXECUTE put(4)")
        assert old.execute("SELECT n FROM kept_rows ORDER BY n").fetchall() == [(1,), (3,), (4,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            new.execute("INSERT INTO kept_rows VALUES (5)")


def test_what_stands_on_the_old_engine_ends_with_it(keeping: Drill) -> None:
    openings = {
        "a transaction": "BEGIN; INSERT INTO kept_rows VALUES (10)",
        "a held cursor": "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 9)",
        "a temporary table": "CREATE TEMP TABLE own (n int)",
        "an advisory lock": "SELECT pg_advisory_lock(11)",
        "a listener": "LISTEN heard",
    }
    before = keeping.writer
    with ExitStack() as stack:
        sessions = {what: stack.enter_context(closing(_to(before, keeping))) for what in openings}
        for what, opening in openings.items():
            sessions[what].execute(opening)
        instances.failover(keeping.cluster)
        for what, session in sessions.items():
            with pytest.raises(psycopg.OperationalError) as failed:
                session.execute("SELECT 1")
            assert failed.value.sqlstate == "57P01", what
    with psycopg.connect(keeping.cluster.dsn()) as connection:
        assert connection.execute("SELECT n FROM kept_rows").fetchall() == []


def test_another_roles_connection_keeps_that_roles_rights(keeping: Drill) -> None:
    before = keeping.writer
    with psycopg.connect(keeping.cluster.dsn(), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS kept_other")
        connection.execute("CREATE ROLE kept_other LOGIN")
    with closing(_to(before, keeping, "kept_other")) as other:
        assert other.execute("SELECT current_user").fetchone() == ("kept_other",)
        instances.failover(keeping.cluster)
        assert other.execute("SELECT current_user, pg_is_in_recovery()").fetchone() == ("kept_other", True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("SELECT * FROM kept_rows")


def test_a_session_that_has_forwarded_goes_on_by_itself_when_its_reader_writes(keeping: Drill) -> None:
    before, (one, _) = keeping.writer, keeping.readers
    _set(keeping, "SET aurora.local_write_forwarding = on")
    try:
        with closing(_to(one, keeping)) as session:
            session.execute("INSERT INTO kept_rows VALUES (20)")
            assert session.execute(WHO).fetchone() == (one.id, True)
            assert instances.failover(keeping.cluster, one.id).after == one.id
            session.execute("INSERT INTO kept_rows VALUES (21)")
            assert session.execute("SELECT n FROM kept_rows ORDER BY n").fetchall() == [(20,), (21,)]
            keeping.settle()
            assert instances.failover(keeping.cluster, before.id).after == before.id
            session.execute("INSERT INTO kept_rows VALUES (22)")
            assert session.execute(WHO).fetchone() == (one.id, True)
            assert session.execute("SELECT n FROM kept_rows ORDER BY n").fetchall() == [(20,), (21,), (22,)]
    finally:
        keeping.settle()
        _set(keeping, "RESET aurora.local_write_forwarding")
