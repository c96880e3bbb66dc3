"""Restore from the backup of a cluster that is gone: what was committed by the point is there, nothing later is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import wait_for

pytestmark = pytest.mark.cluster

CLIENTS = 3
QUIET_S = 2.0
"""Longer than the time between two moments of the timeline."""


@dataclass
class LsnLedger:
    """Clients that commit numbered rows in two tables and note between which two LSNs, and by when, each was
    acknowledged.
    """

    cluster: Cluster
    rows: dict[tuple[int, int], tuple[int, int, float]] = field(default_factory=dict)
    """Row → (end of the log before its commit was sent, end of the log after it was acknowledged, time of that)."""
    running: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    idle: list[threading.Event] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Create the tables, start the clients."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            for table in ("ledger_a", "ledger_b"):
                connection.execute(f"CREATE TABLE {table} (client int, n int, filler text, PRIMARY KEY (client, n))")
        self.running.set()
        for client in range(CLIENTS):
            self.idle.append(threading.Event())
            self.threads.append(threading.Thread(target=self._client, args=(client,), daemon=True))
            self.threads[-1].start()

    def _client(self, client: int) -> None:
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            n = 0
            while not self.stopped.is_set():
                if not self.running.is_set():
                    self.idle[client].set()
                    self.running.wait(0.05)
                    continue
                self.idle[client].clear()
                n += 1
                connection.execute("BEGIN")
                connection.execute("INSERT INTO ledger_a VALUES (%s, %s, %s)", (client, n, "a" * (n % 300)))
                connection.execute("INSERT INTO ledger_b VALUES (%s, %s, %s)", (client, n, "b" * (n % 300)))
                before = lsn_of(connection)
                connection.execute("COMMIT")
                self.rows[client, n] = (before, lsn_of(connection), time.time())
                time.sleep(0.002)

    def pause(self) -> None:
        """Let no commit be under way."""
        self.running.clear()
        wait_for(lambda: all(event.is_set() for event in self.idle), "the clients to pause")

    def go_on(self, rows: int) -> None:
        """Continue until so many more rows are committed."""
        goal = len(self.rows) + rows
        self.running.set()
        wait_for(lambda: len(self.rows) >= goal, f"{rows} commits")

    def stop(self) -> None:
        """End the clients."""
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)


def lsn_of(connection: psycopg.Connection[Any]) -> int:
    """The end of the log as the writer sees it."""
    row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert row is not None
    high, _, low = str(row[0]).partition("/")
    return int(high, 16) << 32 | int(low, 16)


def present(cluster: Cluster) -> set[tuple[int, int]]:
    """The ledger's rows; both tables hold the same, by index and by scan."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        a = set(connection.execute("SELECT client, n FROM ledger_a").fetchall())
        assert a == set(connection.execute("SELECT client, n FROM ledger_b").fetchall()), "half a transaction"
        for client, n in sorted(a)[:: max(1, len(a) // 50)]:
            row = connection.execute("SELECT filler FROM ledger_b WHERE client = %s AND n = %s", (client, n)).fetchone()
            assert row == ("b" * (n % 300),)
    return {(client, n) for client, n in a}


def restore(source: Path, target: Path, at: str | None) -> Cluster:
    """``aurora restore`` and ``aurora up``."""
    command = [sys.executable, "-m", "aurora.programs.cli", "restore", "--from", source.as_uri(), "--to", str(target)]
    command += ["--port", "0", "--cache-mb", "64", *(("--at", at) if at else ())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    cluster = Cluster(target)
    cluster.up()
    return cluster


def highest(source: Path) -> int:
    """The highest LSN that the backup can be restored to."""
    command = [sys.executable, "-m", "storage_node.restore", "--from", source.as_uri(), "--list"]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
    return int(done["ranges"][-1][1]) if done.get("ranges") else 0


def test_three_points_of_a_cluster_that_is_gone(
    make_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURORA_NODE_TAKEOVER_S", "1")
    cluster = make_cluster(pages_per_pg=1024)
    ledger = LsnLedger(cluster)
    ledger.start()
    ledger.go_on(200)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        under_load = lsn_of(connection)  # the clients go on meanwhile
    ledger.go_on(100)
    ledger.pause()
    then = set(ledger.rows)
    time.sleep(QUIET_S)
    moment = datetime.now(UTC)
    time.sleep(QUIET_S)
    ledger.go_on(100)
    cluster.kill("az1-a")  # the node that stages: another takes over
    ledger.go_on(200)
    ledger.pause()
    vdl = cluster.status()["volume"]["vdl"]
    backup = tmp_path / "cluster0" / "backup"
    wait_for(lambda: highest(backup) >= vdl, "everything to be staged")
    ledger.stop()
    last = set(ledger.rows)
    cluster.down()
    for node in cluster.required.nodes:
        shutil.rmtree(tmp_path / "cluster0" / "storage" / node.id)
    (tmp_path / "cluster0" / "cluster.json").unlink()

    _refusals(backup, tmp_path)
    by_lsn = restore(backup, tmp_path / "by-lsn", str(under_load))
    found = present(by_lsn)
    by_lsn.down()
    assert {row for row, (_, after, _) in ledger.rows.items() if after <= under_load} <= found
    assert not {row for row, (before, _, _) in ledger.rows.items() if before > under_load} & found
    assert found < last
    by_time = restore(backup, tmp_path / "by-time", moment.isoformat())
    found = present(by_time)
    by_time.down()
    assert found == then
    latest = restore(backup, tmp_path / "latest", None)
    try:
        assert present(latest) == last
        with psycopg.connect(latest.dsn(), autocommit=True) as connection:
            connection.execute("INSERT INTO ledger_a VALUES (99, 1, 'it lives')")
            assert connection.execute("SELECT count(*) FROM ledger_a").fetchone() == (len(last) + 1,)
        assert latest.status()["volume"]["volume_id"] not in {path.name for path in backup.iterdir()}
    finally:
        latest.down()


def _refusals(backup: Path, tmp_path: Path) -> None:
    """What cannot be restored is said, and leaves nothing behind."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "aurora.programs.cli", "restore", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done.stdout
        return done.stderr

    source = ("--from", backup.as_uri())
    assert "is not empty" in run(*source, "--to", str(backup.parent))
    assert "The nearest that can: before it LSN" in run(*source, "--at", "99999999999", "--to", str(tmp_path / "new"))
    assert "is neither an LSN nor a time" in run(*source, "--at", "noon", "--to", str(tmp_path / "new"))
    assert "there is no backup" in run("--from", (tmp_path / "nothing").as_uri(), "--to", str(tmp_path / "new"))
    assert "restore where?" in run(*source)
    assert not (tmp_path / "new").exists()
