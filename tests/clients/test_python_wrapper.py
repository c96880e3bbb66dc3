"""AWS's advanced Python wrapper over psycopg: it is told one address and nothing of Aurora, and has to find out."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from aurora.programs.description import InstanceSpec
from aurora.programs.endpoints import verbs
from aurora.programs.endpoints.spec import Type
from tests.clients.drill import KILLED, Drill, first_success, tell

wrapper = pytest.importorskip("aws_advanced_python_wrapper", reason="aws-advanced-python-wrapper is not installed")
errors = pytest.importorskip("aws_advanced_python_wrapper.errors")

pytestmark = [
    pytest.mark.cluster,
    KILLED,
    pytest.mark.logs("aws_advanced_python_wrapper"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
"""The wrapper's own warnings are its makers' affair."""

WHO = "SELECT aurora_db_instance_identifier(), pg_is_in_recovery()"


@pytest.fixture(autouse=True)
def _monitors_end() -> Iterator[None]:
    """The wrapper's monitors are threads that outlive its connections, and caches that outlive a test."""
    yield
    wrapper.release_resources()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # connections that its monitors did not close tell so now, not in somebody else's test


@pytest.fixture(autouse=True)
def _broken_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor of an instance takes a broken connection for a reader's, and keeps it for ever: an error there counts
    as "not the writer" (``docs/drivers.md``). Who is connected to the reader that takes over meets that. Its caller is
    ready for the error, so here it gets it."""
    from aws_advanced_python_wrapper.host_list_provider import TopologyUtils

    asks = TopologyUtils.get_writer_id_if_connected

    def writer_id(self: Any, connection: Any, driver_dialect: Any) -> Any:
        if getattr(connection, "broken", False):
            raise psycopg.OperationalError("the connection is broken")
        return asks(self, connection, driver_dialect)

    monkeypatch.setattr(TopologyUtils, "get_writer_id_if_connected", writer_id)


@contextmanager
def connected(drill: Drill, host: str, **settings: object) -> Iterator[Any]:
    """A connection by the wrapper."""
    told: dict[str, object] = {
        "cluster_instance_host_pattern": drill.PATTERN, "autocommit": True, "connect_timeout": 5,
        "failover_timeout_sec": 40, "cluster_id": f"{host}-{time.monotonic_ns()}", **settings,
    }  # fmt: skip
    conninfo = f"host={host} port={drill.port} user=postgres dbname=postgres"
    with closing(wrapper.AwsWrapperConnection.connect(psycopg.Connection.connect, conninfo, **told)) as connection:
        yield connection


def rows(connection: Any, statement: str) -> list[Any]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def topology(connection: Any) -> set[tuple[str, str]]:
    """What the wrapper has found."""
    return {(one.host, one.role.name) for one in connection._plugin_service.all_hosts}


def expected(drill: Drill) -> set[tuple[str, str]]:
    return {(one.host, "WRITER" if one.id == drill.writer.id else "READER") for one in drill.instances}


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_it_finds_aurora_and_all_instances(drill: Drill, role: str) -> None:
    one = drill.writer if role == "writer" else drill.readers[0]
    with connected(drill, one.host) as connection:
        assert rows(connection, WHO) == [(one.id, role == "reader")]
        assert type(connection._plugin_service.database_dialect).__name__ == "AuroraPgDialect"
        assert topology(connection) == expected(drill)


def test_failover_when_the_writer_is_killed(drill: Drill) -> None:
    drill.table("through_wrapper", "n int")
    with connected(drill, drill.writer.host) as connection:
        rows(connection, "INSERT INTO through_wrapper VALUES (1)")
        old = drill.kill_writer()
        begun_s = time.monotonic()
        with pytest.raises(errors.FailoverSuccessError):
            rows(connection, "INSERT INTO through_wrapper VALUES (2)")
        rows(connection, "INSERT INTO through_wrapper VALUES (3)")
        tell("AWS's Python wrapper, failover", time.monotonic() - begun_s)
        ((name, in_recovery),) = rows(connection, WHO)
        assert name != old.id and in_recovery is False
        assert {(1,), (3,)} <= set(rows(connection, "SELECT n FROM through_wrapper"))


def test_failover_within_a_transaction_says_that_its_end_is_unknown(drill: Drill) -> None:
    drill.table("cut_off", "n int")
    with connected(drill, drill.writer.host, autocommit=False) as connection:
        rows(connection, "INSERT INTO cut_off VALUES (1)")
        old = drill.kill_writer()
        with pytest.raises(errors.TransactionResolutionUnknownError):
            rows(connection, "INSERT INTO cut_off VALUES (2)")
        ((name, _),) = rows(connection, WHO)
        assert name != old.id
        assert rows(connection, "SELECT n FROM cut_off") == []


def test_a_planned_failover_is_followed(drill: Drill) -> None:
    from aurora.programs import instances

    with connected(drill, drill.writer.host) as connection:
        rows(connection, "SELECT 1")
        done = instances.failover(drill.cluster)
        with pytest.raises(errors.FailoverSuccessError):
            rows(connection, "SELECT 1")
        assert rows(connection, WHO) == [(done.after, False)]


def test_read_write_splitting(drill: Drill) -> None:
    """``read_only`` moves the connection to a reader and back; what the writer has written is there."""
    drill.table("split", "n int")
    with connected(drill, drill.writer.host, plugins="read_write_splitting") as connection:
        rows(connection, "INSERT INTO split VALUES (1)")
        connection.read_only = True
        ((name, in_recovery),) = rows(connection, WHO)
        assert name in {one.id for one in drill.readers} and in_recovery is True
        first_success(lambda: _seen(connection, "split"), (AssertionError,), timeout_s=5)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            rows(connection, "INSERT INTO split VALUES (2)")
        connection.read_only = False
        assert rows(connection, WHO) == [(drill.writer.id, False)]
        rows(connection, "INSERT INTO split VALUES (3)")


def _seen(connection: Any, table: str) -> None:
    assert rows(connection, f"SELECT n FROM {table}") == [(1,)]


def test_it_finds_all_instances_through_the_cluster_endpoint(drill: Drill) -> None:
    with connected(drill, drill.endpoint("cluster")) as connection:
        assert rows(connection, WHO) == [(drill.writer.id, False)]
        assert topology(connection) == expected(drill)
    with connected(drill, drill.endpoint("reader")) as connection:
        ((name, in_recovery),) = rows(connection, WHO)
        assert name in {one.id for one in drill.readers} and in_recovery is True


@pytest.fixture
def reports(drill: Drill) -> Iterator[InstanceSpec]:
    """The one member of a custom endpoint of readers."""
    member = drill.readers[0]
    verbs.create(drill.cluster, "reports", Type.READER, (member.id,))
    yield member
    verbs.drop(drill.cluster, "reports")


@pytest.mark.parametrize("plugins", [None, "custom_endpoint,failover_v2"])
def test_a_custom_endpoint_leads_to_its_members(drill: Drill, reports: InstanceSpec, plugins: str | None) -> None:
    """The plugin for custom endpoints acts on names of AWS's shape alone, for it asks the RDS API about them; with an
    address it lets every connection pass."""
    given = {} if plugins is None else {"plugins": plugins}
    for _ in range(2):
        with connected(drill, drill.endpoint("reports"), **given) as connection:
            assert rows(connection, WHO) == [(reports.id, True)]
            learn_topology(connection)
            assert topology(connection) == expected(drill)


def learn_topology(connection: Any) -> None:
    """The first connection of a process to an address does so by itself, to find out what is there; later ones when
    they need it."""
    connection._plugin_service.refresh_host_list()
