"""Storage nodes and a whole zone killed under load; reads without a write quorum."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import (
    all_caught_up,
    assert_balanced,
    assert_no_failures,
    pgbench,
    pgbench_background,
    wait_for,
)
from tests.conftest import needs
from tests.log_rule import FLEET_CHANGES

pytestmark = [pytest.mark.cluster, needs("pgbench"), pytest.mark.logs(FLEET_CHANGES)]


def _vdl(cluster: Cluster) -> int:
    return int(cluster.status()["volume"]["vdl"])


def _advanced(cluster: Cluster, start: int) -> bool:
    return _vdl(cluster) > start + 50_000


def test_two_nodes_then_a_zone_killed_under_load(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    pgbench(cluster, "-i", "-q", "-s", "1")
    load = pgbench_background(cluster, "-n", "-M", "prepared", "-c", "8", "-T", "60")
    for victims in (["az1-a", "az3-b"], cluster.nodes_of("az2")):
        start = _vdl(cluster)
        wait_for(lambda start=start: _advanced(cluster, start), "commits before the kill")  # type: ignore[misc]
        for victim in victims:
            cluster.kill(victim)
        start = _vdl(cluster)
        wait_for(lambda start=start: _advanced(cluster, start), "commits with two nodes down")  # type: ignore[misc]
        states = {n["id"]: n["state"] for n in cluster.status()["storage_nodes"]}
        assert [states[v] for v in victims] == ["down", "down"]
        for victim in victims:
            cluster.start_node(victim)
        wait_for(lambda: all_caught_up(cluster) or load.poll() is not None, "the nodes to catch up under load")
    output, errors = load.communicate(timeout=120)
    assert load.returncode == 0, output + errors
    assert_no_failures(output)
    wait_for(lambda: all_caught_up(cluster), "the nodes to catch up")
    assert_balanced(cluster)


def test_zone_and_one_more_node_down(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int PRIMARY KEY)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        for victim in ("az1-a", "az1-b", "az2-a"):
            cluster.kill(victim)
        done = threading.Event()

        def write() -> None:
            with psycopg.connect(cluster.dsn(), autocommit=True) as writer:
                writer.execute("INSERT INTO kept VALUES (1001)")
            done.set()

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        row = connection.execute("SELECT count(*), sum(n) FROM kept").fetchone()
        assert row == (1000, 500500)
        assert not done.wait(1.0), "a commit was acknowledged without a write quorum"
        cluster.start_node("az2-a")
        assert done.wait(60), "the waiting commit did not go through when a node returned"
        thread.join()
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1001,)


def test_evicted_pages_are_read_while_a_zone_and_one_more_are_down(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(cache_mb=8)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE wide (n int PRIMARY KEY, filler text)")
        connection.execute("INSERT INTO wide SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) AS i")
        for victim in ("az1-a", "az2-a", "az2-b"):
            cluster.kill(victim)
        row = connection.execute("SELECT count(*), sum(length(filler)) FROM wide").fetchone()
        assert row == (20000, 20_000_000)


def test_cancel_of_a_commit_without_a_write_quorum(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    victims = ("az1-a", "az2-a", "az3-a")
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE doubtful (n int PRIMARY KEY)")
        impatient = psycopg.connect(cluster.dsn(), autocommit=True)
        for victim in victims:
            cluster.kill(victim)
        canceller = threading.Timer(0.5, impatient.cancel)
        canceller.start()
        with pytest.raises(psycopg.OperationalError) as caught:
            impatient.execute("INSERT INTO doubtful VALUES (1)")
        canceller.join()
        assert caught.value.sqlstate == "08007", caught.value
        assert impatient.closed
        assert connection.execute("SELECT count(*) FROM doubtful").fetchone() == (0,)
        for victim in victims:
            cluster.start_node(victim)
        # Its outcome was unknown; this one's is not, and the log is one: what was written before it is there as well.
        connection.execute("INSERT INTO doubtful VALUES (2)")
        assert connection.execute("SELECT n FROM doubtful ORDER BY n").fetchall() == [(1,), (2,)]


def test_nodes_that_hang_without_dying(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(cache_mb=8)
    pgbench(cluster, "-i", "-q", "-s", "1")
    load = pgbench_background(cluster, "-n", "-M", "prepared", "-c", "8", "-T", "8")
    victims = ("az1-b", "az3-a")
    start = _vdl(cluster)
    wait_for(lambda: _advanced(cluster, start), "commits before")
    for victim in victims:
        assert cluster.signal(victim, signal.SIGSTOP)
    try:
        start = _vdl(cluster)
        wait_for(lambda: _advanced(cluster, start), "commits with two nodes hanging")
        states = {n["id"]: n["state"] for n in cluster.status()["storage_nodes"]}
        assert [states[victim] for victim in victims] == ["not answering", "not answering"]
    finally:
        for victim in victims:
            cluster.signal(victim, signal.SIGCONT)
    output, errors = load.communicate(timeout=120)
    assert load.returncode == 0, output + errors
    assert_no_failures(output)
    wait_for(lambda: all_caught_up(cluster), "the nodes to catch up")
    assert_balanced(cluster)
