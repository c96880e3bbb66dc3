"""What the loss and the return of one storage node of six cost: the rate of its refill, and TPC-B meanwhile.

A real cluster; a few hundred MiB of pages are written into its volume beside the pgbench tables, so that there is
something to refill. Then, round after round (the machine's drift hits all alike; figures are medians, what counts is
the ratio):

    idle      a node is killed, its folder deleted, it is started: page bytes / time until it is level again
    log       a node is away while log is written, and catches up from its peers' log
    TPC-B     16 clients with all six nodes; with one of them dead; while that one is refilled

    python -m benchmarks.refill [--mb 1024] [--rounds 3] [--seconds 8] [--refill-mb-s N] [--only idle,log,tpcb]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from aurora.addresses import LOOPBACK
from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from aurora.programs.description import ClusterError
from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import NODES, Cluster
from benchmarks.compare import machine
from benchmarks.servers import Aurora
from compute_node.volume.volume import Volume

FIRST_PAGE = 40_000
"""Where the extra pages go: far behind what the tables take."""
VICTIM = NODES[5][0]
TIMEOUT_S = 300.0
MIB = 1 << 20


async def write_pages(addresses: list[str], count: int) -> int:
    """Write ``count`` pages of bytes that do not compress into the volume; the LSN at which they all are durable."""
    volume = await Volume.open(addresses, "benchmark")
    rng = random.Random(1)
    log = volume.log
    for page_no in range(FIRST_PAGE, FIRST_PAGE + count):
        ops = bytearray()
        redo.write_varint(ops, redo.IMAGE_FROM << 2 | redo.IMAGE)
        redo.write_varint(ops, 0)
        ops += rng.randbytes(PAGE_BYTES - redo.IMAGE_FROM)
        while log.next_lsn + 2 * PAGE_BYTES > volume.core.lsn_limit:
            volume.flush_soon("the log is full")
            await asyncio.sleep(0.001)
        log.append(page_no, 0, bytes(ops), redo.FLAG_CPL)
        if log.pending_bytes >= MIB:
            volume.flush_soon("much log is pending")
            await asyncio.sleep(0)
    last = int(log.last_lsn)
    volume.flush_soon("the end")
    await until(lambda: volume.vdl >= last)
    await volume.close()
    return last


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the pages did not become durable")
        await asyncio.sleep(0.01)


def wait_for(condition: Callable[[], bool], what: str, pause_s: float = 0.05) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(pause_s)


class Bench:
    """The cluster and its victim."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.folder = cluster.data / "storage" / VICTIM
        self.address = cluster.required.node(VICTIM).address
        self.others = [node.address for node in cluster.required.nodes if node.id != VICTIM]

    def level(self, lsn: int) -> bool:
        """Whether the victim has all at or below ``lsn`` and fetches nothing."""
        shown = ask_nodes([self.address], self.cluster.access())[0]
        return bool(shown["state"] == "up" and shown["scl"] >= lsn)

    def durable(self) -> int:
        """What the other nodes know to be durable."""
        return max(int(ask_nodes([address], self.cluster.access())[0].get("vdl", 0)) for address in self.others)

    def scl(self) -> int:
        """The greatest SCL of the other nodes."""
        return max(int(ask_nodes([address], self.cluster.access())[0].get("scl", 0)) for address in self.others)

    def kill(self) -> None:
        """SIGKILL the victim."""
        self.cluster.signal(VICTIM, signal.SIGKILL)
        self.cluster.wait_gone(VICTIM)

    def empty(self) -> None:
        """Kill the victim and delete all it has."""
        self.kill()
        shutil.rmtree(self.folder)

    def start(self) -> float:
        """Start the victim; when it began to answer."""
        self.cluster.start_node(VICTIM)
        wait_for(
            lambda: ask_nodes([self.address], self.cluster.access())[0]["state"] != "down", "the node to answer", 0.02
        )
        return time.monotonic()

    def cpu_s(self, node_ids: list[str]) -> float:
        """CPU time of the nodes' processes."""
        ticks = 0
        for node_id in node_ids:
            fields = Path(f"/proc/{self.cluster.pid(node_id)}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def page_bytes(self) -> int:
        """Bytes on the disk of the victim's pages (they have holes)."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.glob("pages-*"))

    def refill(self, show: bool = False) -> tuple[float, float, int]:
        """Start the emptied victim and wait until it is level: ``(began, ended, page bytes)``."""
        target = self.scl()
        began = self.start()
        said = 0.0
        while not self.level(target):
            if time.monotonic() > began + TIMEOUT_S:
                raise TimeoutError("the refill")
            if show and time.monotonic() > said + 1.0:
                said = time.monotonic()
                for refill in ask_nodes([self.address], self.cluster.access())[0].get("refills", []):
                    print(f"    {said - began:5.1f} s  {refill}", flush=True)
            time.sleep(0.05)
        return began, time.monotonic(), self.page_bytes()


def idle_rates(bench: Bench, rounds: int) -> list[float]:
    """MB a second of refills while nothing else goes on."""
    rates = []
    for number in range(rounds):
        bench.empty()
        others = [node_id for node_id, _ in NODES if node_id != VICTIM]
        sources_s = bench.cpu_s(others)
        began, ended, size = bench.refill(show=number == 0)
        rates.append(size / (ended - began) / 1e6)
        sources_s, own_s = bench.cpu_s(others) - sources_s, bench.cpu_s([VICTIM])
        print(
            f"  refill, idle: {size / MIB:.0f} MiB in {ended - began:.2f} s: {rates[-1]:.0f} MB/s; CPU: the node"
            f" {own_s:.2f} s with its start, its peers {sources_s:.2f} s",
            flush=True,
        )
    return rates


def log_rate(bench: Bench, dsn: str, megabytes: int) -> float:
    """MB a second of log at which a node that was away catches up; its peers must not have collected it yet."""
    bench.kill()
    cluster = bench.cluster
    before = bench.scl()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS refill_log")
        connection.execute("CREATE TABLE refill_log (id bigint, filler text)")
        row = os.urandom(500).hex()
        with connection.cursor().copy("COPY refill_log FROM STDIN") as copy:
            for number in range(megabytes * 1000):
                copy.write(f"{number}\t{row}\n")
    cluster.kill(cluster.writer.id)  # what it retains must not help
    target = bench.scl()
    began = bench.start()
    wait_for(lambda: bench.level(target), "the log", 0.02)
    rate = (target - before) / (time.monotonic() - began) / 1e6
    print(f"  catching up by log: {(target - before) / MIB:.0f} MiB, {rate:.0f} MB/s", flush=True)
    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()
    return rate


class Load:
    """pgbench in the background, with its transactions a second by the second."""

    def __init__(self, port: int, clients: int, seconds: float) -> None:
        command = ["pgbench", "-h", LOOPBACK, "-p", str(port), "-U", "postgres", "-n", "-M", "prepared"]
        command += [
            "-c",
            str(clients),
            "-j",
            "1",
            "-T",
            str(int(seconds)),
            "-P",
            "1",
            "--progress-timestamp",
            "postgres",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._offset = time.time() - time.monotonic()

    def end(self, began: float = 0.0, ended: float = 1e18) -> float:
        """Wait for it; the mean of the whole seconds within the time given."""
        _, text = self._process.communicate(timeout=TIMEOUT_S)
        if self._process.returncode:
            raise RuntimeError(f"pgbench failed:\n{text}")
        seconds = [
            (float(at) - self._offset, float(tps))
            for at, tps in re.findall(r"progress: ([0-9.]+) s, ([0-9.]+) tps", text)
        ]
        inside = [tps for at, tps in seconds[1:] if at - 1.0 >= began and at <= ended]
        if not inside:
            raise RuntimeError(f"no whole second of pgbench within the {ended - began:.1f} s that count; use more --mb")
        return statistics.mean(inside)


def tpcb(bench: Bench, port: int, args: argparse.Namespace) -> dict[str, list[float]]:
    """Transactions a second in each state, round after round; and the rate of the refill under load."""
    found: dict[str, list[float]] = {"six": [], "five": [], "refill": [], "mb_s": []}
    for _ in range(args.rounds):
        found["six"].append(Load(port, args.clients, args.seconds).end())
        bench.empty()
        found["five"].append(Load(port, args.clients, args.seconds).end())
        load = Load(port, args.clients, args.load_seconds)
        time.sleep(2.0)  # load time, not a wait for a condition
        began, ended, size = bench.refill()
        found["refill"].append(load.end(began, ended))
        found["mb_s"].append(size / (ended - began) / 1e6)
        print("  " + "  ".join(f"{name} {values[-1]:,.0f}" for name, values in found.items())
              + f"  ({ended - began:.1f} s)", flush=True)  # fmt: skip
        wait_for(lambda: bench.level(bench.durable()), "the node to catch up")
    return found


def run(server: Aurora, args: argparse.Namespace) -> None:
    """Everything, printed as it becomes known."""
    server.start()
    load = ["pgbench", "-h", LOOPBACK, "-p", str(server.port), "-U", "postgres", "-i", "-q", "-s", str(args.scale)]
    subprocess.run([*load, "postgres"], check=True, capture_output=True)
    cluster = server.cluster
    cluster.kill(cluster.writer.id)
    began = time.monotonic()
    lsn = asyncio.run(write_pages(cluster.required.storage.split(","), args.mb * MIB // PAGE_BYTES))
    print(f"{args.mb} MiB of pages written in {time.monotonic() - began:.1f} s", flush=True)
    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()
    bench = Bench(cluster)

    def collected() -> bool:
        shown = [
            ask_nodes([node.address], cluster.access())[0].get("pgs", {}).get(0) for node in cluster.required.nodes
        ]
        return all(pg is not None and pg["collected"] > lsn - 96 * MIB for pg in shown)

    wait_for(collected, "the nodes to coalesce")
    wanted = args.only.split(",")
    lines = [f"{machine()}; {args.mb} MiB of pages, scale {args.scale}, medians of {args.rounds} rounds"]
    if "idle" in wanted:
        lines.append(f"refill of an empty node, idle: {statistics.median(idle_rates(bench, args.rounds)):.0f} MB/s")
    if "log" in wanted:
        lines.append(f"catching up by log: {log_rate(bench, server.dsn, 20):.0f} MB/s")
    if "tpcb" in wanted:
        found = {name: statistics.median(values) for name, values in tpcb(bench, server.port, args).items()}
        lines.append(
            f"TPC-B, {args.clients} clients: six nodes {found['six']:,.0f} tps, one dead {found['five']:,.0f}"
            f" ({found['five'] / found['six']:.2f}), while it is refilled at {found['mb_s']:.0f} MB/s"
            f" {found['refill']:,.0f} ({found['refill'] / found['six']:.2f})"
        )
    print("\n".join(lines))


def main() -> int:
    """Exit status 1 when the cluster cannot be started or pgbench is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of each TPC-B run without a refill")
    parser.add_argument("--load-seconds", type=int, default=20, help="of a TPC-B run with one: longer than the refill")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--refill-mb-s", type=float, default=None, help="limit of the nodes; default: theirs")
    parser.add_argument("--only", default="idle,log,tpcb")
    args: Any = parser.parse_args()
    if shutil.which("pgbench") is None:
        print("this benchmark needs pgbench (Debian: postgresql-contrib)", file=sys.stderr)
        return 1
    if args.refill_mb_s is not None:
        os.environ["AURORA_NODE_REFILL_MB_S"] = str(args.refill_mb_s)
    root = Path(tempfile.mkdtemp(prefix="aurora-refill-"))
    server = Aurora(root)
    try:
        run(server, args)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
