"""A writer that starts while only a read quorum of nodes is there: it serves reads, and writes once a fourth comes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import all_caught_up, wait_for

pytestmark = pytest.mark.cluster

LOST = ("az1-a", "az1-b", "az2-a")


def test_three_nodes_serve_reads_and_a_fourth_writes(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(settings={"read-only-after-s": "1"})
    # A relation whose creator never commits: its storage is reclaimed once it can be.
    unfinished = psycopg.connect(cluster.dsn())
    unfinished.execute("CREATE TABLE orphan (n int)")
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    wait_for(lambda: all_caught_up(cluster), "the nodes to have all of the log")
    for process in (cluster.writer.id, *LOST):
        cluster.kill(process)
    unfinished.close()

    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()
    outcome: list[str] = []

    def write() -> None:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES (1001)")
            outcome.append("written")

    writer = threading.Thread(target=write, daemon=True)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        assert cluster.status()["volume"]["state"] == "read only"
        writer.start()
        for _ in range(100):
            assert connection.execute("SELECT count(*), sum(n) FROM kept").fetchone() == (1000, 500_500)
        assert not outcome
        cluster.start_node("az1-a")
        writer.join(60)
        assert outcome == ["written"]
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1001,)
        wait_for(lambda: cluster.status()["volume"]["state"] == "open", "the status")
