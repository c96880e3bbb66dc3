"""SIGKILL of the writer while hash, partial and expression indexes grow: afterwards they agree with the table."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import assert_sound, wait_for

pytestmark = pytest.mark.cluster

SEED = 20261129
ROWS = 400
KEYS = 700


def test_indexes_agree_with_the_table_after_kills(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, k text, v int, live bool)")
        connection.execute("CREATE INDEX t_k ON t USING hash (k)")
        connection.execute("CREATE UNIQUE INDEX t_live ON t (lower(k), id) WHERE live")
        connection.execute("CREATE INDEX t_v ON t ((v % 10))")
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    acknowledged: list[int] = []

    def write(first: int) -> None:
        try:
            with psycopg.connect(cluster.dsn(), autocommit=True) as client:
                while True:
                    client.execute(
                        f"INSERT INTO t SELECT n, 'K' || n % {KEYS}, n, n % 3 = 0"
                        f" FROM generate_series({first}, {first + ROWS - 1}) n"
                    )
                    client.execute("UPDATE t SET v = v + 1, live = NOT live WHERE id = %s", (first,))
                    acknowledged.append(first)
                    first += ROWS
        except psycopg.OperationalError:
            return

    for _ in range(3):
        goal = len(acknowledged) + rng.randint(4, 9)
        begin = (max(acknowledged) + 20 * ROWS) if acknowledged else 0
        thread = threading.Thread(target=write, args=(begin,), daemon=True)
        thread.start()
        wait_for(lambda goal=goal: len(acknowledged) >= goal, "inserts")  # type: ignore[misc]
        time.sleep(rng.random() * 0.05)  # the kill's moment, drawn from the seed
        cluster.kill(cluster.writer.id)
        thread.join(60)
        assert not thread.is_alive(), "a client hangs"
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        check(cluster, acknowledged)
    assert_sound(cluster)


def check(cluster: Cluster, acknowledged: list[int]) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        every = connection.execute("SELECT id, k, v, live FROM t").fetchall()
        present = {row[0] for row in every}
        assert {first + offset for first in acknowledged for offset in range(ROWS)} <= present
        connection.execute("SET enable_seqscan = off")
        for number in range(0, KEYS, 37):
            key = f"K{number}"
            by_hash = connection.execute("SELECT id FROM t WHERE k = %s", (key,)).fetchall()
            assert sorted(row[0] for row in by_hash) == sorted(row[0] for row in every if row[1] == key)
            live = connection.execute("SELECT id FROM t WHERE live AND lower(k) = %s", (key.lower(),)).fetchall()
            assert sorted(row[0] for row in live) == sorted(row[0] for row in every if row[1] == key and row[3])
        for digit in (0, 7):
            by_value = connection.execute(f"SELECT id FROM t WHERE v % 10 = {digit}").fetchall()
            assert sorted(row[0] for row in by_value) == sorted(row[0] for row in every if row[2] % 10 == digit)
        shown = connection.execute("EXPLAIN (COSTS OFF) SELECT id FROM t WHERE k = 'K1'").fetchall()
        assert any("t_k" in line for (line,) in shown)
