"""Values out of line under SIGKILL of the writer and of storage nodes: every row is whole, in a version that was
acknowledged or was on its way, and vacuum leaves no chunk that belongs to no row.
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
from tests.cluster.support import assert_sound, wait_for

pytestmark = pytest.mark.cluster

SEED = 20261129
CLIENTS, ROWS = 3, 4
ROUNDS = 3


def text_of(row: int, version: int) -> str:
    """What a row holds in a version: 0 to 60 kB, of which some compress and some do not."""
    rng = random.Random(row * 1_000_003 + version)
    size = rng.choice((10, 1500, 3000, 9000, 30_000))
    return f"{row}/{version}/" + (rng.randbytes(size).hex() if rng.random() < 0.7 else "lorem ipsum " * (size // 6))


class Writers:
    """Clients that each change rows of their own, and know which version of each was acknowledged last."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged = dict.fromkeys(range(CLIENTS * ROWS), 0)
        self.sent = dict.fromkeys(range(CLIENTS * ROWS), 0)
        self.commits = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def create(self) -> None:
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, n int, a text)")
            for row in self.acknowledged:
                connection.execute("INSERT INTO t VALUES (%s, 0, %s)", (row, text_of(row, 0)))

    def start(self) -> None:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, client: int) -> None:
        rng = random.Random(SEED + client + self.commits)
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.cluster.dsn()) as connection:
            while not self._stop.is_set():
                row = client * ROWS + rng.randrange(ROWS)
                version = self.sent[row] = self.sent[row] + 1
                text = text_of(row, version)
                if rng.random() < 0.3:
                    # What a savepoint took back leaves the value before it.
                    connection.execute("SAVEPOINT s")
                    connection.execute("UPDATE t SET a = %s WHERE id = %s", (text_of(row, -version), row))
                    connection.execute("ROLLBACK TO s")
                if rng.random() < 0.3:
                    connection.execute("DELETE FROM t WHERE id = %s", (row,))
                    connection.execute("INSERT INTO t VALUES (%s, %s, %s)", (row, version, text))
                else:
                    connection.execute("UPDATE t SET n = %s, a = %s WHERE id = %s", (version, text, row))
                if rng.random() < 0.2:
                    connection.execute("UPDATE t SET n = n WHERE id = %s", (row,))
                connection.commit()
                self.acknowledged[row] = version
                self.commits += 1

    def check(self) -> None:
        """Every row is there, in its last acknowledged version or one sent after it."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            rows = connection.execute("SELECT id, n, a FROM t ORDER BY id").fetchall()
        assert [row[0] for row in rows] == list(self.acknowledged)
        for row, version, text in rows:
            assert self.acknowledged[row] <= version <= self.sent[row], row
            assert text == text_of(row, version), (row, version)
            self.acknowledged[row] = self.sent[row] = version

    def check_chunks(self) -> None:
        """After a vacuum the chunks are those that rows point to, and no more."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            connection.execute("VACUUM t")
            name = connection.execute(
                "SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 't'"
            ).fetchone()
            assert name is not None
            chunks = connection.execute(
                f"SELECT count(DISTINCT chunk_id), coalesce(sum(octet_length(chunk_data)), 0) FROM {name[0]}"
            ).fetchone()
            external = connection.execute(
                "SELECT count(*), coalesce(sum(pg_column_size(a)), 0) FROM t WHERE pg_column_size(a) > 2100"
            ).fetchone()
        assert chunks == external


def _run_until(writers: Writers, commits: int, rng: random.Random) -> None:
    goal = writers.commits + commits
    wait_for(lambda: writers.commits >= goal, f"{commits} commits")
    time.sleep(rng.random() * 0.05)  # the kill's moment, drawn from the seed


def test_writer_killed_while_values_move_out_of_line(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    writers = Writers(cluster)
    writers.create()
    rng = random.Random(SEED)
    for _ in range(ROUNDS):
        writers.start()
        _run_until(writers, rng.randint(5, 40), rng)
        cluster.kill(cluster.writer.id)
        writers.stop()
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        writers.check()
    assert_sound(cluster)
    writers.check_chunks()


def test_storage_nodes_killed_while_values_move_out_of_line(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    writers = Writers(cluster)
    writers.create()
    writers.start()
    rng = random.Random(SEED + 1)
    for node_id, _ in NODES[:2]:
        cluster.kill(node_id)
        _run_until(writers, rng.randint(5, 20), rng)
        cluster.start_node(node_id)
    writers.stop()
    writers.check()
    assert_sound(cluster)
    writers.check_chunks()


def test_a_cursor_reads_what_others_delete_and_vacuum(shared_cluster: Cluster) -> None:
    """An open cursor holds the chunks of the rows that it has not come to yet."""
    with (
        psycopg.connect(shared_cluster.dsn()) as reader,
        psycopg.connect(shared_cluster.dsn(), autocommit=True) as other,
    ):
        other.execute("CREATE TABLE cursor_toast (id int PRIMARY KEY, a text)")
        try:
            for row in range(20):
                other.execute("INSERT INTO cursor_toast VALUES (%s, %s)", (row, text_of(row, 7)))
            reader.execute("DECLARE c CURSOR FOR SELECT id, a FROM cursor_toast ORDER BY id DESC")
            seen = reader.execute("FETCH 2 FROM c").fetchall()
            other.execute("UPDATE cursor_toast SET a = 'short' WHERE id % 2 = 0")
            other.execute("DELETE FROM cursor_toast WHERE id % 2 = 1")
            other.execute("VACUUM cursor_toast")
            for row in range(20, 40):
                other.execute("INSERT INTO cursor_toast VALUES (%s, %s)", (row, text_of(row, 8)))
            seen += reader.execute("FETCH ALL FROM c").fetchall()
            assert seen == [(row, text_of(row, 7)) for row in range(19, -1, -1)]
            reader.commit()
            other.execute("VACUUM cursor_toast")
            assert other.execute("SELECT count(*) FROM cursor_toast WHERE a = 'short'").fetchone() == (10,)
        finally:
            reader.rollback()
            other.execute("DROP TABLE cursor_toast")


def test_two_sessions_append_to_one_long_value(shared_cluster: Cluster) -> None:
    """Who waited for the row goes on with the value that the other one left, out of line too."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE append_toast (id int PRIMARY KEY, a text)")
        connection.execute("INSERT INTO append_toast VALUES (1, '')")

        def append(letter: str) -> None:
            with psycopg.connect(shared_cluster.dsn(), autocommit=True) as mine:
                for number in range(15):
                    more = random.Random(f"{letter}{number}").randbytes(150).hex() + letter
                    mine.execute("UPDATE append_toast SET a = a || %s WHERE id = 1", (more,))

        threads = [threading.Thread(target=append, args=(letter,), daemon=True) for letter in "xyz"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        row = connection.execute("SELECT a FROM append_toast").fetchone()
        assert row is not None
        assert len(row[0]) == 45 * 301
        assert [row[0].count(letter) for letter in "xyz"] == [15, 15, 15]
        connection.execute("VACUUM append_toast")
        name = connection.execute("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'append_toast'")
        found = name.fetchone()
        assert found is not None
        assert connection.execute(f"SELECT count(DISTINCT chunk_id) FROM {found[0]}").fetchone() == (1,)
        connection.execute("DROP TABLE append_toast")
