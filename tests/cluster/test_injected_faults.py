"""aurora_inject_…: faults on purpose are felt, end by themselves, and cost no acknowledged commit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from aurora.programs import instances
from aurora.programs.supervisor import Cluster
from tests.cluster.support import Ledger, all_caught_up, wait_for
from tests.conftest import SMALL_PAGES_PER_PG
from tests.log_rule import FLEET_CHANGES

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        "faults on purpose", FLEET_CHANGES, "a crash of the", "is kept back", "has ended .killed by SIGKILL"
    ),
]


def _commit_ms(db: psycopg.Connection[Any], count: int) -> float:
    """The median time of a small commit."""
    took = []
    for _ in range(count):
        began_s = time.monotonic()
        db.execute("UPDATE felt SET n = n + 1")
        took.append((time.monotonic() - began_s) * 1000)
    return statistics.median(took)


def test_faults_of_storage_are_felt_and_lose_nothing(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(pages_per_pg=SMALL_PAGES_PER_PG)
    ledger = Ledger(cluster)
    ledger.create()
    with psycopg.connect(cluster.dsn(), autocommit=True) as db:
        db.execute("CREATE TABLE felt (n int)")
        db.execute("INSERT INTO felt VALUES (0)")
        ((disks, nodes),) = db.execute("SELECT * FROM aurora_show_volume_status()").fetchall()
        assert nodes == 6
        assert disks >= 1
        for place in (f"{disks}, true", "6, false"):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"the maximum is \d+"):
                db.execute(f"SELECT aurora_inject_disk_failure(100, {place}, 1)")
        ledger.start()

        # Two nodes: the quorum of the others goes on, and reads with it.
        for index in (0, 3):
            db.execute(f"SELECT aurora_inject_disk_failure(100, {index}, false, 600)")
        behind = len(ledger.acknowledged)
        wait_for(lambda: len(ledger.acknowledged) > behind + 20, "commits while two nodes refuse")
        for index in (0, 3):
            db.execute(f"SELECT aurora_inject_disk_failure(0, {index}, false, 0)")

        # A part of the requests of every node and block: slower, and everything arrives.
        for disk in range(disks):
            db.execute(f"SELECT aurora_inject_disk_failure(20, {disk}, true, 2)")
        behind = len(ledger.acknowledged)
        wait_for(lambda: len(ledger.acknowledged) > behind + 20, "commits while a fifth is refused")

        # A whole block: nothing is acknowledged until the fault ends, and nothing is refused to the client.
        began_s = time.monotonic()
        db.execute("SELECT aurora_inject_disk_failure(100, 0, true, 2)")
        db.execute("UPDATE felt SET n = n + 1")
        assert time.monotonic() - began_s >= 2

        wait_for(lambda: all_caught_up(cluster), "the nodes to catch up")
        quick_ms = _commit_ms(db, 20)
        for disk in range(disks):
            db.execute(f"SELECT aurora_inject_disk_congestion(100, {disk}, true, 60, 40, 60)")
        slow_ms = _commit_ms(db, 5)
        assert slow_ms > 35, (quick_ms, slow_ms)
        for disk in range(disks):
            db.execute(f"SELECT aurora_inject_disk_congestion(0, {disk}, true, 0, 0, 1)")
        assert _commit_ms(db, 20) < slow_ms
    ledger.stop()
    assert not ledger.errors
    wait_for(lambda: all_caught_up(cluster), "the nodes to catch up")
    assert ledger.check() > 40


def test_an_injected_crash_ends_the_instance_and_loses_nothing(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    ledger = Ledger(cluster)
    ledger.create()
    ledger.start()
    wait_for(lambda: len(ledger.acknowledged) > 20, "commits")
    pid = cluster.pid(cluster.writer.id)
    with psycopg.connect(cluster.dsn(), autocommit=True) as db, pytest.raises(psycopg.OperationalError) as caught:
        db.execute("SELECT aurora_inject_crash('Instance')")
    assert caught.value.sqlstate is None, "the connection is reset, no message comes"
    ledger.join()
    wait_for(lambda: cluster.pid(cluster.writer.id) not in (None, pid), "the keeper to start it again")
    cluster.wait_ready()
    ledger.check()
    assert len(ledger.errors) == ledger.clients


def test_a_reader_that_is_kept_from_the_log_shows_the_past_until_then(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    reader = instances.add(cluster)
    address = f"host={reader.host} port={reader.port} user=postgres dbname=postgres"
    with psycopg.connect(cluster.dsn(), autocommit=True) as writer:
        writer.execute("CREATE TABLE felt (n int)")
        writer.execute("INSERT INTO felt VALUES (0)")

        def shown() -> int:
            with psycopg.connect(address, autocommit=True) as db:
                ((found,),) = db.execute("SELECT n FROM felt").fetchall()
            return int(found)

        wait_for(lambda: _knows(address), "the reader to have the table")
        with psycopg.connect(address, autocommit=True) as db, pytest.raises(psycopg.Error) as caught:
            db.execute("SELECT aurora_inject_replica_failure(100, 5, '')")
        assert caught.value.sqlstate == "55000", "the writer is to be asked"
        writer.execute("SELECT aurora_inject_replica_failure(100, 600, %s)", (reader.id,))
        writer.execute("UPDATE felt SET n = 1")
        assert shown() == 0

        def lag_ms() -> float:
            text = "SELECT replica_lag_in_msec FROM aurora_replica_status() WHERE server_id = %s"
            ((found,),) = writer.execute(text, (reader.id,)).fetchall()
            return -1 if found is None else found  # NULL until the reader has measured it

        wait_for(lambda: lag_ms() > 1500, "the lag to grow")
        writer.execute("SELECT aurora_inject_replica_failure(0, 0, %s)", (reader.id,))
        wait_for(lambda: shown() == 1, "the reader to follow again")
        wait_for(lambda: 0 <= lag_ms() < 1000, "the lag to be small again")
        status = """SELECT server_id, session_id = 'MASTER_SESSION_ID', last_update_timestamp IS NULL,
                           replica_lag_in_msec IS NULL, cpu BETWEEN 0 AND 100
                    FROM aurora_replica_status() ORDER BY server_id"""
        assert writer.execute(status).fetchall() == [
            (cluster.writer.id, True, True, True, True),
            (reader.id, False, False, False, True),
        ]
        mine = """SELECT server_id FROM pg_catalog.aurora_replica_status() WHERE session_id = 'MASTER_SESSION_ID'
                  AND server_id = pg_catalog.aurora_db_instance_identifier()"""
        assert writer.execute(mine).fetchall() == [(cluster.writer.id,)]
        with psycopg.connect(address, autocommit=True) as db:
            assert db.execute(status).fetchall() == [
                (cluster.writer.id, True, False, True, True),
                (reader.id, False, True, False, True),
            ]
            assert db.execute(mine).fetchall() == []
            assert db.execute("SELECT aurora_db_instance_identifier()").fetchall() == [(reader.id,)]
            assert db.execute("SELECT nodes FROM aurora_show_volume_status()").fetchall() == [(6,)]


def _knows(address: str) -> bool:
    with psycopg.connect(address, autocommit=True) as db:
        return db.execute("SELECT to_regclass('felt') IS NOT NULL AND pg_is_in_recovery()").fetchone() == (True,)
