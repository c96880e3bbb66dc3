"""What AWS's drivers and other clients send to find out whether they talk to Aurora and who the instances are: asked
as they ask it, in both protocols, prepared too, by a role that is no superuser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

import aurora
from aurora.programs.embedded import EmbeddedCluster
from compute_node.opening import now_us
from compute_node.replica.topology import LAG_UNKNOWN, READER, WRITER, InstanceState

pytestmark = pytest.mark.cluster

TEXT, VARCHAR, BOOL, FLOAT8, INT8, TIMESTAMPTZ, REGPROC = 25, 1043, 16, 701, 20, 1184, 24

TOPOLOGY = """SELECT SERVER_ID, CASE WHEN SESSION_ID = 'MASTER_SESSION_ID' THEN TRUE ELSE FALSE END AS is_writer, CPU,
 COALESCE(REPLICA_LAG_IN_MSEC, 0) AS lag, LAST_UPDATE_TIMESTAMP FROM pg_catalog.aurora_replica_status()
 WHERE EXTRACT(EPOCH FROM(pg_catalog.NOW() - LAST_UPDATE_TIMESTAMP)) <= 300 OR SESSION_ID = 'MASTER_SESSION_ID'
 OR LAST_UPDATE_TIMESTAMP IS NULL"""
WRITER_CHECK = """SELECT SERVER_ID FROM pg_catalog.aurora_replica_status() WHERE SESSION_ID = 'MASTER_SESSION_ID'
 AND SERVER_ID = pg_catalog.aurora_db_instance_identifier()"""
EXTENSIONS = """SELECT (setting OPERATOR(pg_catalog.~~) '%aurora_stat_utils%') AS aurora_stat_utils
 FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'rds.extensions'"""
RDS = """SELECT (setting LIKE '%rds_tools%') AS rds_tools, (setting LIKE '%aurora_stat_utils%') AS aurora_stat_utils
 FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'rds.extensions'"""

PROBES: list[tuple[str, list[tuple[Any, ...]], list[tuple[str, int]]]] = [
    ("SELECT 1 FROM pg_catalog.pg_proc LIMIT 1", [(1,)], [("?column?", 23)]),
    (EXTENSIONS, [(True,)], [("aurora_stat_utils", BOOL)]),
    (RDS, [(False, True)], [("rds_tools", BOOL), ("aurora_stat_utils", BOOL)]),
    ("SELECT 1 FROM pg_catalog.aurora_replica_status() LIMIT 1", [(1,)], [("?column?", 23)]),
    (
        "select 'pg_catalog.aurora_global_db_status'::pg_catalog.regproc",
        [("aurora_global_db_status",)],
        [("regproc", REGPROC)],
    ),
    (
        "select 'pg_catalog.aurora_global_db_instance_status'::pg_catalog.regproc",
        [("aurora_global_db_instance_status",)],
        [("regproc", REGPROC)],
    ),
    ("SELECT pg_catalog.count(1) FROM pg_catalog.aurora_global_db_status()", [(0,)], [("count", INT8)]),
    ("SELECT aurora_version()", [("15.18.0",)], [("aurora_version", TEXT)]),
    (WRITER_CHECK, [("instance-1",)], [("server_id", TEXT)]),
    (
        "SELECT pg_catalog.aurora_db_instance_identifier(), pg_catalog.aurora_db_instance_identifier()",
        [("instance-1", "instance-1")],
        [("aurora_db_instance_identifier", VARCHAR), ("aurora_db_instance_identifier", VARCHAR)],
    ),
    ("SELECT pg_catalog.pg_is_in_recovery() as is_reader", [(False,)], [("is_reader", BOOL)]),
    (
        """SELECT SERVER_ID, CASE WHEN SESSION_ID = 'MASTER_SESSION_ID' THEN TRUE ELSE FALSE END AS is_writer,
 VISIBILITY_LAG_IN_MSEC, AWS_REGION FROM pg_catalog.aurora_global_db_instance_status()""",
        [],
        [("server_id", TEXT), ("is_writer", BOOL), ("visibility_lag_in_msec", INT8), ("aws_region", TEXT)],
    ),
    (
        """SELECT CASE WHEN 'MASTER_SESSION_ID' = session_id THEN 'writer' ELSE 'reader' END AS instance_role
 FROM aurora_replica_status() rt, aurora_db_instance_identifier() di WHERE rt.server_id = di""",
        [("writer",)],
        [("instance_role", TEXT)],
    ),
]


class Several:
    """A writer, which is asked, and readers: one that lags, one of which nothing was heard for long, one that says it
    is the writer of an older epoch."""

    self_id = "instance-1"

    def instances(self) -> Iterable[InstanceState]:
        now = now_us()
        yield InstanceState("instance-1", WRITER, epoch=5, applied_lsn=900, cpu_percent=12.5, last_update_us=now)  # type: ignore[arg-type]
        yield InstanceState("instance-2", READER, session_id="a-life", last_update_us=now, cpu_percent=2.0)
        yield InstanceState("instance-3", READER, session_id="b-life", last_update_us=now - 301_000_000)
        yield InstanceState("instance-4", WRITER, epoch=4, session_id="c-life", last_update_us=now)

    def lag_of(self, instance_id: str) -> int:
        return {"instance-2": 7_250}.get(instance_id, LAG_UNKNOWN)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with aurora.cluster() as running:
        with psycopg.connect(running.dsn, autocommit=True) as admin:
            admin.execute("CREATE ROLE probing LOGIN")
        yield running


@pytest.fixture(params=["postgres", "probing"])
def db(cluster: EmbeddedCluster, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.dsn.replace("user=postgres", f"user={request.param}"), autocommit=True) as opened:
        yield opened


def columns_of(cursor: psycopg.Cursor[Any]) -> list[tuple[str, int]]:
    return [(column.name, column.type_code) for column in cursor.description or ()]


@pytest.mark.parametrize(("probe", "rows", "columns"), PROBES, ids=[probe[0][:60] for probe in PROBES])
def test_a_probe_is_answered(
    db: psycopg.Connection[Any], probe: str, rows: list[tuple[Any, ...]], columns: list[tuple[str, int]]
) -> None:
    simple = psycopg.ClientCursor(db)
    simple.execute(probe)
    assert (columns_of(simple), simple.fetchall()) == (columns, rows)
    for _ in range(8):  # from the sixth on it is prepared on the server
        for binary in (False, True):
            cursor = db.execute(probe, binary=binary, prepare=None)
            found = cursor.fetchall()
            assert columns_of(cursor) == columns
            if columns[0][1] != REGPROC or not binary:
                assert found == rows


def test_the_topology_of_one(db: psycopg.Connection[Any]) -> None:
    cursor = db.execute(TOPOLOGY)
    assert columns_of(cursor) == [
        ("server_id", TEXT),
        ("is_writer", BOOL),
        ("cpu", FLOAT8),
        ("lag", FLOAT8),
        ("last_update_timestamp", TIMESTAMPTZ),
    ]
    ((server, is_writer, cpu, lag, updated),) = cursor.fetchall()
    assert (server, is_writer, lag, updated) == ("instance-1", True, 0.0, None)
    assert 0 <= cpu <= 100


def test_the_topology_of_several(cluster: EmbeddedCluster, db: psycopg.Connection[Any]) -> None:
    engine = cluster._compute.engine
    alone = engine.topology
    engine.topology = Several()
    try:
        for _ in range(7):
            found = {row[0]: row[1:] for row in db.execute(TOPOLOGY).fetchall()}
        assert set(found) == {"instance-1", "instance-2", "instance-4"}, "the third was silent for more than 300 s"
        assert found["instance-1"] == (True, 12.5, 0.0, None)
        is_writer, cpu, lag, updated = found["instance-2"]
        assert (is_writer, cpu, lag) == (False, 2.0, 7.25)
        assert abs((datetime.now(UTC) - updated).total_seconds()) < 60
        assert found["instance-4"][0] is False, "the writer is the one of the newest epoch, and there is one"
        states = dict(
            db.execute("SELECT server_id, session_id FROM aurora_replica_status() ORDER BY server_id").fetchall()
        )
        assert states == {
            "instance-1": "MASTER_SESSION_ID",
            "instance-2": "a-life",
            "instance-3": "b-life",
            "instance-4": "c-life",
        }
        lags = "SELECT max(replica_lag_in_msec) FROM aurora_replica_status()"
        assert db.execute(lags).fetchone() == (7.25,)
    finally:
        engine.topology = alone


def test_a_prepared_probe_outlives_changes_of_the_catalog(
    cluster: EmbeddedCluster, db: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(cluster.dsn, autocommit=True) as other:
        for number in range(3):
            for _ in range(7):
                assert db.execute(WRITER_CHECK).fetchall() == [("instance-1",)]
                assert len(db.execute(TOPOLOGY).fetchall()) == 1
            other.execute(f"CREATE TABLE changed_{db.info.backend_pid}_{number} (n int)")


def test_what_is_not_there_is_refused_as_drivers_expect(db: psycopg.Connection[Any]) -> None:
    for probe, sqlstate in (
        ("SELECT 'pg_catalog.get_blue_green_fast_switchover_metadata'::pg_catalog.regproc", "42883"),
        (
            "SELECT multi_az_db_cluster_source_dbi_resource_id"
            " FROM rds_tools.multi_az_db_cluster_source_dbi_resource_id()",
            "3F000",
        ),
        ("select router_endpoint, load from pg_catalog.aurora_limitless_router_endpoints()", "42883"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            db.execute(probe)
        assert caught.value.sqlstate == sqlstate
    found = db.execute("SELECT 1 FROM information_schema.routines WHERE routine_schema = 'rds_tools'").fetchall()
    assert found == []


def test_the_server_knows_its_address(cluster: EmbeddedCluster, db: psycopg.Connection[Any]) -> None:
    host, port = cluster.address
    alias = "SELECT pg_catalog.CONCAT(pg_catalog.inet_server_addr(), ':', pg_catalog.inet_server_port())"
    cursor = db.execute(alias)
    assert (columns_of(cursor), cursor.fetchall()) == ([("concat", TEXT)], [(f"{host}:{port}",)])
    assert db.execute("SELECT host(inet_server_addr()), host(inet_client_addr())").fetchone() == (host, host)
    addresses = db.execute("SELECT DISTINCT host(client_addr) FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert addresses.fetchall() == [(host,)]
    assert db.execute("SELECT inet_client_port() > 0").fetchone() == (True,)
