"""Readers and failover in figures: ``python -m benchmarks.readers``.

Clusters with one reader, with three and with none are started by ``aurora up`` in a temporary folder. Measured: how
far readers lag under TPC-B and when it is quiet, what one and three cost the writer (beside the cluster without any, in
turns), reads on a reader against the writer (caches warm), what a writer and readers answer together against one of
them, how long a new reader takes to answer, and how long writes through the cluster endpoint are away when the writer
is killed and in a planned failover, under TPC-B at 16 clients. ``--volume-scale 70`` repeats the last two with 1 GB in
the volume.
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

    @property
    def endpoint(self) -> str:
        """The cluster endpoint's address."""
        [found] = [each["address"] for each in self.status["endpoints"] if each["name"] == "cluster"]
        return str(found)

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


def writer_costs(clusters: list[Cluster], without: Cluster, rounds: int) -> list[float]:
    """CPU time a TPC-B transaction costs the writer of each cluster, to that of ``without``, in turns: medians of the
    ratios."""
    pids = {cluster: cluster.writer["pid"] for cluster in (*clusters, without)}
    addresses = {cluster: cluster.writer["address"] for cluster in pids}
    ratios: dict[Cluster, list[float]] = {cluster: [] for cluster in clusters}
    for number in range(rounds):
        cost = {}
        order = list(pids)
        for cluster in order[number % len(order) :] + order[: number % len(order)]:
            before_s = cpu_s(pids[cluster])
            pgbench(addresses[cluster], "-n", "-M", "prepared", "-c", "16", "-t", "150")
            cost[cluster] = cpu_s(pids[cluster]) - before_s
        for cluster in clusters:
            ratios[cluster].append(cost[cluster] / cost[without])
    return [statistics.median(found) for found in ratios.values()]


def together(addresses: list[str], seconds: int) -> float:
    """Selects a second that these instances answer at the same time, in all."""
    command = ("pgbench", "-n", "-S", "-M", "prepared", "-c", "8", "-T", str(seconds), "-U", "postgres")
    running = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        running.append(
            subprocess.Popen((*command, "-h", host, "-p", port, "postgres"), stdout=subprocess.PIPE, text=True)
        )
    return sum(tps(each.communicate()[0]) for each in running)


def report_reads(cluster: Cluster, rounds: int) -> None:
    """Reads on a reader, and on several instances at once."""
    writer = cluster.writer
    readers = [each for each in cluster.instances if each["role"] == "reader"]
    for instance in (writer, *readers[:2]):
        with psycopg.connect(dsn(instance["address"])) as connection:
            connection.execute("select count(*), sum(abalance) from pgbench_accounts")
        together([instance["address"]], 2)
    shares, sums = [], []
    costs_us = []
    for _ in range(rounds):
        before_s = cpu_s(readers[0]["pid"])
        of_reader, of_writer = together([readers[0]["address"]], 3), together([writer["address"]], 3)
        costs_us.append((cpu_s(readers[0]["pid"]) - before_s) / (3 * of_reader) * 1e6)
        shares.append(of_reader / of_writer)
        sums.append(together([each["address"] for each in (writer, *readers[:2])], 3) / of_writer)
    print(f"select-only on a reader: {statistics.median(shares):.2f} times the writer's")
    print(
        f"a writer and two readers at once: {statistics.median(sums):.2f} times the writer alone, on"
        f" {os.cpu_count()} cores that pgbench shares; a select costs an instance {statistics.median(costs_us):.0f} µs"
        " of its core"
    )


class Writes:
    """A client that writes through an endpoint, and notes when writes were away."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self.last_s = time.monotonic()
        self.away_s: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(dsn(self._address), autocommit=True) as connection:
                    while not self._stop.is_set():
                        connection.execute("insert into lag values (-1)")
                        now_s = time.monotonic()
                        self.away_s.append(now_s - self.last_s)
                        self.last_s = now_s
                        time.sleep(ANSWER_PAUSE_S)
            except psycopg.Error:
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
    readers = len(cluster.instances) - 1
    for _ in range(times):
        _settled(cluster, readers)
        writer = cluster.writer
        host, _, port = writer["address"].rpartition(":")
        load = subprocess.Popen(
            ["pgbench", "-n", "-M", "prepared", "-c", "16", "-T", "60", "-h", host, "-p", port, "-U", "postgres",
             "postgres"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        writes = Writes(cluster.endpoint)
        time.sleep(1.0)
        writes.away_s.clear()
        if planned:
            cluster.aurora("failover")
        else:
            os.kill(writer["pid"], signal.SIGKILL)
        time.sleep(3.0)
        writes.close()
        load.wait()
        if not planned:
            cluster.aurora("instance", "start", writer["id"])  # its keeper would wait longer after each end
        found.append(max(writes.away_s))
    return found


def report_changes(cluster: Cluster, times: int, what: str) -> None:
    """How soon a new reader answers, and failovers of both kinds."""
    began_s = time.monotonic()
    cluster.aurora("instance", "add", "late")
    print(f"a new reader answers after {time.monotonic() - began_s:.2f} s{what}")
    cluster.aurora("instance", "remove", "late")
    for name, planned in (("SIGKILL of the writer", False), ("planned", True)):
        away = failovers(cluster, times, planned)
        print(
            f"failover, {name}{what}, {len(away)} times: writes away for {statistics.median(away):.2f} s (median),"
            f" {max(away):.2f} s (longest)"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readers", description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=int, default=5, help="pgbench's scale")
    parser.add_argument("--volume-scale", type=int, default=0, help="the scale of a second, larger volume; 0: none")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement of lag")
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison in turns")
    parser.add_argument("--failovers", type=int, default=20, help="of each kind")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aurora-readers-") as folder:
        clusters = {readers: Cluster(Path(folder) / f"readers-{readers}", readers) for readers in (3, 1, 0)}
        try:
            for each in clusters.values():
                pgbench(each.writer["address"], "-i", "-q", "-s", str(args.scale))
            cluster = clusters[3]
            for name, load in (("quiet", False), ("under TPC-B", True)):
                lags = lags_ms(cluster, args.seconds, load)
                print(f"lag {name}: median {statistics.median(lags):.1f} ms, p99 {percentile(lags, 0.99):.1f} ms")
            costs = writer_costs([clusters[1], clusters[3]], clusters[0], args.rounds)
            for readers, cost in zip((1, 3), costs, strict=True):
                print(f"the writer's CPU a transaction with readers: {readers}: {cost:.3f} times that without")
            report_reads(cluster, max(3, args.rounds // 3))
            report_changes(cluster, args.failovers, "")
            if args.volume_scale:
                pgbench(cluster.writer["address"], "-i", "-q", "-s", str(args.volume_scale))
                report_changes(cluster, max(5, args.failovers // 4), f" (pgbench scale {args.volume_scale})")
        finally:
            for each in clusters.values():
                each.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
