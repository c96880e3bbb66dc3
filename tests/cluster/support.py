"""What the cluster tests share: pgbench runs, its consistency check, and a ledger of acknowledged commits."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from aurora.programs.check import faults_of
from aurora.programs.supervisor import LOOPBACK, Cluster


def pgbench(cluster: Cluster, *arguments: str, timeout_s: float = 300) -> str:
    """Run pgbench against the writer; its output. Fails the test when pgbench does."""
    command = ["pgbench", "-h", LOOPBACK, "-p", str(cluster.writer.port), "-U", "postgres", *arguments, "postgres"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.log_tail(cluster.writer.id)
    return done.stdout


def pgbench_background(cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    """The same, running beside the test."""
    command = ["pgbench", "-h", LOOPBACK, "-p", str(cluster.writer.port), "-U", "postgres", *arguments, "postgres"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_no_failures(output: str) -> int:
    """pgbench reported no failed transaction; returns how many were processed."""
    failed = re.search(r"number of failed transactions: (\d+)", output)
    assert failed is not None, output
    assert failed[1] == "0", output
    processed = re.search(r"actually processed: (\d+)", output)
    assert processed is not None, output
    return int(processed[1])


def balances(cluster: Cluster) -> tuple[int, int, int, int]:
    """Sums of accounts, tellers, branches and history: equal when no half of a transaction is there."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        sums = []
        for column, table in (
            ("abalance", "accounts"),
            ("tbalance", "tellers"),
            ("bbalance", "branches"),
            ("delta", "history"),
        ):
            row = connection.execute(f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}").fetchone()
            assert row is not None
            sums.append(int(row[0]))
    return sums[0], sums[1], sums[2], sums[3]


def assert_balanced(cluster: Cluster) -> None:
    """The four sums agree."""
    assert len(set(balances(cluster))) == 1, balances(cluster)


def assert_sound(cluster: Cluster, database: str = "postgres") -> None:
    """``aurora check`` finds nothing wrong in the database."""
    assert faults_of(cluster.dsn(), [database]) == []


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Poll until the condition holds; fails the test after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.05)


def all_caught_up(cluster: Cluster) -> bool:
    """Every storage node is up and its SCL has reached the VDL."""
    status = cluster.status()
    vdl = status["volume"].get("vdl", 0)
    return bool(vdl) and all(n["state"] == "up" and n["scl"] >= vdl for n in status["storage_nodes"])


def kill_while_writing(
    cluster: Cluster,
    seed: int,
    rows: int,
    write: Callable[[psycopg.Connection[tuple[object, ...]], int], None],
    check: Callable[[list[int]], None],
    times: int = 3,
) -> None:
    """SIGKILL the writer while a client makes steps, each of ``rows`` numbers: ``write(connection, first number)``.
    After each restart ``check`` is given the first numbers of the steps that were answered; at last nothing is wrong in
    the database."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    acknowledged: list[int] = []

    def client(first: int) -> None:
        try:
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                while True:
                    write(connection, first)
                    acknowledged.append(first)
                    first += rows
        except psycopg.OperationalError:
            return

    for _ in range(times):
        goal = len(acknowledged) + rng.randint(3, 8)
        begin = (max(acknowledged) + 20 * rows) if acknowledged else 0
        thread = threading.Thread(target=client, args=(begin,), daemon=True)
        thread.start()
        wait_for(lambda goal=goal: len(acknowledged) >= goal, "steps of the client")  # type: ignore[misc]
        time.sleep(rng.random() * 0.05)  # the kill's moment, drawn from the seed
        cluster.kill(cluster.writer.id)
        thread.join(60)
        assert not thread.is_alive(), "a client hangs"
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        check(acknowledged)
    assert_sound(cluster)


@dataclass
class Ledger:
    """Clients that insert numbered rows in pairs and note each acknowledged commit.

    Each transaction writes ``(client, n)`` into two tables; ``acknowledged`` has those whose COMMIT was answered,
    ``sent`` those whose COMMIT was sent. After a crash: acknowledged ⊆ present ⊆ sent, and both tables hold the same
    rows.
    """

    cluster: Cluster
    clients: int = 4
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    sent: set[tuple[int, int]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _next: dict[int, int] = field(default_factory=dict)

    def create(self) -> None:
        """The ledger's tables."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            for table in ("ledger_a", "ledger_b"):
                connection.execute(f"CREATE TABLE {table} (client int, n int, filler text, PRIMARY KEY (client, n))")

    def start(self) -> None:
        """Start the clients; each runs until ``stop`` or until its connection breaks."""
        self._stop.clear()
        self._threads = [threading.Thread(target=self._client, args=(c,), daemon=True) for c in range(self.clients)]
        for thread in self._threads:
            thread.start()

    def _client(self, client: int) -> None:
        try:
            with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
                while not self._stop.is_set():
                    n = self._next[client] = self._next.get(client, 0) + 1
                    connection.execute("BEGIN")
                    connection.execute("INSERT INTO ledger_a VALUES (%s, %s, %s)", (client, n, "a" * (n % 300)))
                    connection.execute("INSERT INTO ledger_b VALUES (%s, %s, %s)", (client, n, "b" * (n % 300)))
                    self.sent.add((client, n))
                    connection.execute("COMMIT")
                    self.acknowledged.add((client, n))
        except psycopg.OperationalError as error:
            self.errors.append(str(error))

    def join(self) -> None:
        """Wait until all clients have ended by themselves (their server died)."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a ledger client hangs"

    def stop(self) -> None:
        """Ask the clients to end, and wait."""
        self._stop.set()
        self.join()

    def check(self) -> int:
        """Hold the tables against the ledger; returns the number of acknowledged commits."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            a = set(connection.execute("SELECT client, n FROM ledger_a").fetchall())
            b = set(connection.execute("SELECT client, n FROM ledger_b").fetchall())
        lost = self.acknowledged - a
        assert not lost, f"{len(lost)} acknowledged commits are lost: {sorted(lost)[:10]}"
        assert a == b, f"half transactions: {sorted(a ^ b)[:10]}"
        assert a <= self.sent, f"rows nobody committed: {sorted(a - self.sent)[:10]}"
        return len(self.acknowledged)
