"""What is dropped goes from the volume and from the nodes' disks, with real processes; crashes in the middle of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import NODES, Cluster
from tests.cluster.support import Ledger, all_caught_up, wait_for
from tests.conftest import SMALL_PAGES_PER_PG

pytestmark = [pytest.mark.cluster]

MB = 1 << 20
LOAD_MB = 16
ROW = "x" * 1000


@pytest.fixture
def eager(make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose nodes coalesce at half a megabyte of log, or after a second."""
    monkeypatch.setenv("AURORA_NODE_COALESCE_LOG_MB", "0.5")
    monkeypatch.setenv("AURORA_NODE_LOG_FILE_MB", "1")
    monkeypatch.setenv("AURORA_NODE_COALESCE_AGE_S", "1")
    monkeypatch.setenv("AURORA_NODE_CACHE_MB", "1")
    return make_cluster(pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=16)


def _connect(cluster: Cluster) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn(), autocommit=True)


def _load(connection: psycopg.Connection[Any], table: str, mb: int) -> None:
    connection.execute(f"CREATE TABLE {table} (n int PRIMARY KEY, filler text)")
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for n in range(mb * MB // 1100):
            copy.write_row((n, ROW))


def _check(connection: psycopg.Connection[Any], table: str, mb: int) -> None:
    rows = mb * MB // 1100
    found = connection.execute(f"SELECT count(*), sum(n), min(filler), max(filler) FROM {table}").fetchone()
    assert found == (rows, rows * (rows - 1) // 2, ROW, ROW)


def _page_bytes(cluster: Cluster) -> list[int]:
    return [int(node.get("page_bytes", 0)) for node in cluster.status()["storage_nodes"]]


def _volume(cluster: Cluster) -> dict[str, int]:
    return cluster.status()["volume"]  # type: ignore[no-any-return]


def test_dropped_pages_go_from_the_volume_and_from_the_disks(eager: Cluster) -> None:
    with _connect(eager) as connection:
        _load(connection, "keep", 3)
        used = _volume(eager)["used_bytes"]
        _load(connection, "big", LOAD_MB)
        full = _volume(eager)
        assert full["used_bytes"] > used + LOAD_MB * MB
        wait_for(lambda: min(_page_bytes(eager)) > 0.9 * LOAD_MB * MB, "the nodes to coalesce what was loaded", 120)
        connection.execute("DROP TABLE big")
        connection.execute("VACUUM keep")
        assert _volume(eager)["used_bytes"] < used + MB
        wait_for(lambda: max(_page_bytes(eager)) < 0.6 * LOAD_MB * MB, "the nodes to give the pages' room back", 120)
        _check(connection, "keep", 3)
        # The pages are used again.
        _load(connection, "again", LOAD_MB - 2)
        assert _volume(eager)["allocated_bytes"] < full["allocated_bytes"] + 4 * MB
        _check(connection, "again", LOAD_MB - 2)
        _check(connection, "keep", 3)
        connection.execute("DELETE FROM again WHERE n >= 1000")
        connection.execute("VACUUM again")
        size = connection.execute("SELECT pg_relation_size('again')").fetchone()
        assert size is not None and size[0] < 2 * MB
    # From the storage nodes alone, two of them gone.
    eager.kill(eager.writer.id)
    for victim in (NODES[0][0], NODES[3][0]):
        eager.kill(victim)
    eager.start_instance(eager.writer.id)
    eager.wait_ready()
    with _connect(eager) as connection:
        _check(connection, "keep", 3)
        assert connection.execute("SELECT count(*), sum(n) FROM again").fetchone() == (1000, 999 * 500)


def test_crashes_while_pages_are_given_back(eager: Cluster) -> None:
    rng = random.Random(20260701)
    ledger = Ledger(eager, clients=2)
    ledger.create()
    with _connect(eager) as connection:
        _load(connection, "keep", 2)
    for turn in range(3):
        with _connect(eager) as connection:
            _load(connection, f"big{turn}", 8)
        ledger.start()
        killed = threading.Timer(rng.uniform(0.0, 0.4), eager.kill, (eager.writer.id,))
        try:
            with _connect(eager) as connection:
                connection.execute(f"DROP TABLE big{turn}")
                killed.start()
                while True:
                    connection.execute("VACUUM keep")
        except psycopg.OperationalError:
            pass  # the writer died, as it should
        killed.join()
        ledger.join()
        victim = NODES[rng.randrange(6)][0]
        eager.kill(victim)
        eager.start_instance(eager.writer.id)
        eager.wait_ready()
        ledger.check()
        with _connect(eager) as connection:
            _check(connection, "keep", 2)
        eager.start_node(victim)
        wait_for(lambda: all_caught_up(eager), "the node to catch up")
    with _connect(eager) as connection:
        connection.execute("VACUUM")
        used, allocated = (_volume(eager)[name] for name in ("used_bytes", "allocated_bytes"))
        assert used < allocated - 8 * MB
        assert allocated < 40 * MB
        _load(connection, "again", 8)
        _check(connection, "again", 8)
        _check(connection, "keep", 2)
    assert ledger.check() > 0
