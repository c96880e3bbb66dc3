"""SIGKILL of the writer, of each storage node and of everything, at many points, against a ledger of acknowledged
commits.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from aurora.programs.supervisor import NODES, Cluster
from tests.cluster.support import Ledger, all_caught_up, assert_sound, wait_for

pytestmark = pytest.mark.cluster

KILL_POINTS = 6
SEED = 20261122


def _run_until(ledger: Ledger, commits: int, rng: random.Random) -> None:
    """Let the ledger go on to a random moment at least ``commits`` acknowledgements later."""
    goal = len(ledger.acknowledged) + commits
    wait_for(lambda: len(ledger.acknowledged) >= goal, f"{commits} commits; errors {ledger.errors}")
    time.sleep(rng.random() * 0.05)  # the kill's moment, drawn from the seed


def test_writer_killed_at_many_points(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    ledger = Ledger(cluster)
    ledger.create()
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    for _ in range(KILL_POINTS):
        ledger.start()
        _run_until(ledger, rng.randint(1, 150), rng)
        cluster.kill(cluster.writer.id)
        ledger.join()
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        ledger.check()
    assert len(ledger.acknowledged) >= KILL_POINTS
    assert_sound(cluster)


def test_each_storage_node_killed(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    ledger = Ledger(cluster)
    ledger.create()
    ledger.start()
    rng = random.Random(SEED + 1)
    print(f"seed {SEED + 1}")
    for node_id, _ in NODES:
        _run_until(ledger, rng.randint(20, 100), rng)
        cluster.kill(node_id)
        _run_until(ledger, 20, rng)
        cluster.start_node(node_id)
    ledger.stop()
    assert not ledger.errors
    wait_for(lambda: all_caught_up(cluster), "the nodes to catch up")
    ledger.check()


def test_everything_killed_at_once(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    ledger = Ledger(cluster)
    ledger.create()
    rng = random.Random(SEED + 2)
    print(f"seed {SEED + 2}")
    for _ in range(3):
        ledger.start()
        _run_until(ledger, rng.randint(30, 150), rng)
        victims = [cluster.writer.id, *(node_id for node_id, _ in NODES)]
        rng.shuffle(victims)
        for victim in victims:
            cluster.kill(victim)
        ledger.join()
        cluster.up()
        ledger.check()
    assert_sound(cluster)


def test_what_was_shown_stays_true_after_a_crash(make_cluster: Callable[..., Cluster]) -> None:
    """Clients that queue for one row, whose lock passes on before the commit is durable, and clients that read it."""
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE counter (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO counter VALUES (1, 0)")
    rng = random.Random(SEED + 3)
    print(f"seed {SEED + 3}")
    answered: list[int] = []
    sent = [0] * 8
    seen = [0] * 2

    def count(client: int) -> None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(cluster.dsn(), autocommit=True) as c:
            while True:
                sent[client] += 1
                row = c.execute("UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n").fetchone()
                assert row is not None
                answered.append(row[0])

    def look(client: int) -> None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(cluster.dsn(), autocommit=True) as c:
            while True:
                row = c.execute("SELECT n FROM counter WHERE id = 1").fetchone()
                assert row is not None
                assert row[0] >= seen[client]
                seen[client] = row[0]

    for _ in range(4):
        goal = len(answered) + rng.randint(50, 300)
        threads = [threading.Thread(target=count, args=(i,), daemon=True) for i in range(len(sent))]
        threads += [threading.Thread(target=look, args=(i,), daemon=True) for i in range(len(seen))]
        for thread in threads:
            thread.start()
        wait_for(lambda goal=goal: len(answered) >= goal, "updates")  # type: ignore[misc]
        time.sleep(rng.random() * 0.05)
        cluster.kill(cluster.writer.id)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            row = connection.execute("SELECT n FROM counter WHERE id = 1").fetchone()
        assert row is not None
        assert len(set(answered)) == len(answered), "an update was lost under another"
        assert max(answered) <= row[0] <= sum(sent)
        assert max(seen) <= row[0], "somebody was shown a value that did not last"
