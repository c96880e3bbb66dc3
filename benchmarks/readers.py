"""Readers and failover in figures: ``python -m benchmarks.readers``.

A cluster with readers is started by ``aurora up`` in a temporary folder. Measured: how long a new reader takes to
answer, how far readers lag under TPC-B and when it is quiet, what they cost the writer (beside a cluster without any,
in turns), reads on a reader against the writer (both caches warm), and how long writes are away when the writer is
killed and in a planned failover, asked through every instance as a client with several hosts does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

AURORA = (sys.executable, "-m", "aurora.programs.cli")
TICKS = os.sysconf("SC_CLK_TCK")
ANSWER_PAUSE_S = 0.005


class Cluster:
    """One cluster folder; ``instances`` are as ``aurora status`` tells."""

    def __init__(self, data: Path, readers: int) -> None:
        self.data = data
        self.aurora("up", "--port", "0", "--readers", str(readers), "--detach")

    def aurora(self, *arguments: str) -> str:
        """Run a verb; returns what it printed."""
        run = subprocess.run(
            [*AURORA, *arguments, "--data", str(self.data)], capture_output=True, text=True, check=True
        )
        return run.stdout

    @property
    def status(self) -> dict[str, Any]:
        """All that ``aurora status --json`` tells."""
        found: dict[str, Any] = json.loads(self.aurora("status", "--json"))
        return found

    @property
    def instances(self) -> list[dict[str, Any]]:
        """The instances."""
        found: list[dict[str, Any]] = self.status["instances"]
        return found

    @property
    def writer(self) -> dict[str, Any]:
        """The one that writes."""
        [found] = [each for each in self.instances if each["role"] == "writer"]
        return found

    def close(self) -> None:
        """Stop everything."""
        self.aurora("down")


def dsn(address: str) -> str:
    """Where psycopg connects to for HOST:PORT."""
    host, _, port = address.rpartition(":")
    return f"host={host} port={port} user=postgres dbname=postgres connect_timeout=2"


def pgbench(address: str, *arguments: str) -> str:
    """Run pgbench on an instance."""
    host, _, port = address.rpartition(":")
    command = ["pgbench", "-h", host, "-p", port, "-U", "postgres", *arguments, "postgres"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def tps(text: str) -> float:
    """Transactions a second of pgbench's report."""
    found = re.search(r"tps = ([\d.]+)", text)
    if found is None:
        raise RuntimeError(f"pgbench told no tps: {text}")
    return float(found[1])


def cpu_s(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def lags_ms(cluster: Cluster, seconds: float, load: bool) -> list[float]:
    """From the answer to a commit on the writer to its row on a reader, again and again, in ms."""
    reader = next(each for each in cluster.instances if each["role"] == "reader")
    found: list[float] = []
    bench = None
    if load:
        host, _, port = cluster.writer["address"].rpartition(":")
        bench = subprocess.Popen(
            ["pgbench", "-n", "-M", "prepared", "-c", "16", "-T", str(int(seconds)), "-h", host, "-p", port,
             "-U", "postgres", "postgres"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    with (
        psycopg.connect(dsn(cluster.writer["address"]), autocommit=True) as writes,
        psycopg.connect(dsn(reader["address"]), autocommit=True) as reads,
    ):
        writes.execute("create table if not exists lag (n bigint)")
        writes.execute("truncate lag")
        writes.execute("insert into lag values (0)")
        end_s, number = time.monotonic() + seconds, 0
        while time.monotonic() < end_s:
            number += 1
            writes.execute("update lag set n = %s", (number,))
            answered_s = time.monotonic()
            while True:
                rows = reads.execute("select n from lag").fetchall()
                if rows and rows[0][0] >= number:
                    break
            found.append((time.monotonic() - answered_s) * 1000)
            time.sleep(0.01)
    if bench is not None:
        bench.wait()
    return found


def writer_cost(with_readers: Cluster, without: Cluster, rounds: int) -> float:
    """CPU time a TPC-B transaction costs the writer with readers, to that without, in turns: median of the ratios."""
    ratios = []
    for _ in range(rounds):
        cost = {}
        for cluster in (with_readers, without):
            writer = cluster.writer
            before_s = cpu_s(writer["pid"])
            pgbench(writer["address"], "-n", "-M", "prepared", "-c", "16", "-t", "200")
            cost[cluster] = cpu_s(writer["pid"]) - before_s
        ratios.append(cost[with_readers] / cost[without])
    return statistics.median(ratios)


class Writes:
    """A client that writes to whoever takes it, and notes when writes were away."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._stop = threading.Event()
        self.last_s = time.monotonic()
        self.away_s: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        at = 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(dsn(self._addresses[at]), autocommit=True) as connection:
                    while not self._stop.is_set():
                        connection.execute("insert into lag values (-1)")
                        now_s = time.monotonic()
                        self.away_s.append(now_s - self.last_s)
                        self.last_s = now_s
                        time.sleep(ANSWER_PAUSE_S)
            except psycopg.Error:
                at = (at + 1) % len(self._addresses)
                time.sleep(ANSWER_PAUSE_S)

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()


def _settled(cluster: Cluster, readers: int) -> None:
    while True:
        roles = [each["role"] for each in cluster.instances if each["state"] == "up"]
        if roles.count("writer") == 1 and roles.count("reader") >= readers:
            return
        time.sleep(0.2)


def failovers(cluster: Cluster, times: int, planned: bool) -> list[float]:
    """How long writes were away in each failover under TPC-B at 16 clients, in s."""
    found = []
    for _ in range(times):
        _settled(cluster, 2)
        writer = cluster.writer
        host, _, port = writer["address"].rpartition(":")
        load = subprocess.Popen(
            ["pgbench", "-n", "-M", "prepared", "-c", "16", "-T", "60", "-h", host, "-p", port, "-U", "postgres",
             "postgres"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        writes = Writes([each["address"] for each in cluster.instances])
        time.sleep(1.0)
        writes.away_s.clear()
        if planned:
            cluster.aurora("failover")
        else:
            os.kill(writer["pid"], signal.SIGKILL)
        time.sleep(3.0)
        writes.close()
        load.wait()
        found.append(max(writes.away_s))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readers", description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=int, default=5, help="pgbench's scale")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement of lag")
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison in turns")
    parser.add_argument("--failovers", type=int, default=20, help="of each kind")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aurora-readers-") as folder:
        cluster, alone = Cluster(Path(folder) / "readers", 2), Cluster(Path(folder) / "alone", 0)
        try:
            for each in (cluster, alone):
                pgbench(each.writer["address"], "-i", "-q", "-s", str(args.scale))
            for name, load in (("quiet", False), ("under TPC-B", True)):
                lags = lags_ms(cluster, args.seconds, load)
                print(f"lag {name}: median {statistics.median(lags):.1f} ms, p99 {percentile(lags, 0.99):.1f} ms")
            print(
                f"the writer's CPU a transaction with two readers: {writer_cost(cluster, alone, args.rounds):.3f} times"
            )
            reader = next(each for each in cluster.instances if each["role"] == "reader")
            select = ("-n", "-S", "-M", "prepared", "-c", "8", "-T", "3")
            for instance in (reader, cluster.writer):
                with psycopg.connect(dsn(instance["address"])) as connection:
                    connection.execute("select count(*), sum(abalance) from pgbench_accounts")
                pgbench(instance["address"], *select)
            shares = [
                tps(pgbench(reader["address"], *select)) / tps(pgbench(cluster.writer["address"], *select))
                for _ in range(max(3, args.rounds // 2))
            ]
            print(f"select-only on a reader: {statistics.median(shares):.2f} times the writer's")
            began_s = time.monotonic()
            cluster.aurora("instance", "add", "late")
            print(f"a new reader answers after {time.monotonic() - began_s:.2f} s")
            for name, planned in (("SIGKILL of the writer", False), ("planned", True)):
                away = failovers(cluster, args.failovers, planned)
                print(
                    f"failover, {name}, {len(away)} times: writes away for {statistics.median(away):.2f} s (median),"
                    f" {max(away):.2f} s (longest)"
                )
        finally:
            cluster.close()
            alone.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
