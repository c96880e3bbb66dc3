"""SIGKILL of the writer while hash, partial and expression indexes grow: afterwards they agree with the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import kill_while_writing

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

    def write(client: psycopg.Connection[Any], first: int) -> None:
        client.execute(
            f"INSERT INTO t SELECT n, 'K' || n % {KEYS}, n, n % 3 = 0"
            f" FROM generate_series({first}, {first + ROWS - 1}) n"
        )
        client.execute("UPDATE t SET v = v + 1, live = NOT live WHERE id = %s", (first,))

    kill_while_writing(cluster, SEED, ROWS, write, partial(check, cluster))


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
