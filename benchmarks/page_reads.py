"""Page reads from storage, with real node processes: misses one at a time, and scans with and without read-ahead.

Six node processes on loopback, a volume through the real client, a table through the access layer with a small page
cache. Prints the latency of random page reads with all nodes warm, with one node slowed, with the fastest becoming slow
or stopping on the way, and beside coalescing; then the rate of sequential scans.

    python -m benchmarks.page_reads [--mb 12] [--reads 5000] [--slow-ms 50] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aurora.addresses import LOOPBACK
from aurora.geometry import Member
from aurora.ids import Oid, PageNo, RelFile
from aurora.kernels import arena as arena_kernel
from aurora.page import PAGE_BYTES
from aurora.programs.places import free_ports
from compute_node.__main__ import GC_THRESHOLDS
from compute_node.access.storage import Storage
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.types import numeric  # noqa: F401 - the package fills the registry of types
from compute_node.volume.volume import Volume

try:
    import uvloop
except ImportError:
    LOOP_FACTORY = None
else:
    LOOP_FACTORY = uvloop.new_event_loop

READY_S = 30.0
PAGES_PER_PG = 1 << 17
CACHE_FRAMES = 1024
INT4, TEXT = 23, 25
ROW_BYTES = 400
LOAD_ROWS = 4096
SCAN_ROUNDS = 3


class Nodes:
    """Six storage node processes."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.flags = flags
        names = [f"az{zone}-{name}" for zone in (1, 2, 3) for name in "ab"]
        self.members = [Member(n, n[:3], f"{LOOPBACK}:{p}") for n, p in zip(names, free_ports(len(names)), strict=True)]
        self.running: dict[int, subprocess.Popen[str]] = {}

    def start(self, index: int, *flags: str) -> None:
        """Start one node; returns when it serves."""
        member = self.members[index]
        peers = ",".join(f"{m.node_id}={m.az}={m.address}" for m in self.members)
        command = [sys.executable, "-m", "storage_node", "--id", member.node_id, "--az", member.az]
        command += ["--listen", member.address, "--data", str(self.folder / member.node_id), "--peers", peers]
        with open(self.folder / f"{member.node_id}.log", "a") as log:
            process = subprocess.Popen([*command, *self.flags, *flags], stdout=subprocess.PIPE, stderr=log, text=True)
        self.running[index] = process
        out = process.stdout
        if out is None or not select.select([out], [], [], READY_S)[0] or not out.readline().startswith("ready "):
            raise RuntimeError(f"storage node {member.node_id} does not get ready; see {log.name}")

    def stop(self, index: int) -> None:
        """End one node."""
        process = self.running.pop(index)
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def stop_all(self) -> None:
        """End all of them."""
        for index in list(self.running):
            self.stop(index)


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not come about")
        await asyncio.sleep(0.02)


def up_to_date(volume: Volume) -> bool:
    """Whether every node is connected and has all the log."""
    return all(node["state"] == "up" and not node["lag_bytes"] for node in volume.status()["nodes"])


class Bench:
    """One volume with one table in it, ``mb`` large."""

    def __init__(self, volume: Volume, nodes: Nodes, args: argparse.Namespace) -> None:
        self.volume, self.nodes, self.args = volume, nodes, args
        self.rng = random.Random(7)
        self.storage: Storage
        self.table: Any
        self.pages: list[int] = []
        self.rows: list[dict[str, Any]] = []

    def fill(self) -> None:
        """Make the table; in a greenlet."""
        arena = arena_kernel.Arena(CACHE_FRAMES)
        self.volume.durable_callbacks.append(lambda vdl: setattr(arena, "durable_lsn", vdl))
        self.storage = storage = Storage(arena, self.volume)
        columns = (ColumnDesc(1, "a", INT4, -1, False), ColumnDesc(2, "b", TEXT, -1, False))
        desc = RelationDesc(Oid(16384), RelFile(16384), "t", "public", 2200, "r", columns)
        txn = storage.txns.begin()
        storage.create_storage(txn, desc.relfile)
        self.table = storage.table(desc)
        text = "x" * ROW_BYTES
        number = 0
        while self.table.file.map.blocks * PAGE_BYTES < self.args.mb << 20:
            self.table.insert_many(txn, [(n, text) for n in range(number, number + LOAD_ROWS)])
            number += LOAD_ROWS
            HUB.yield_turn()
        storage.txns.commit(txn)
        self.volume.flush_soon("filled")
        self.volume.wait_durable(self.storage.log.last_cpl)
        self.pages = [self.table.file.map.page_no(block) for block in range(self.table.file.fresh)]

    async def misses(self, name: str, reads: int, during: Callable[[int], None] | None = None) -> None:
        """Random reads, one at a time, past the page cache."""
        reader = self.volume.reader
        hedges, retries = reader.hedges, reader.retries
        took: list[float] = []
        for number in range(reads):
            if during is not None:
                during(number)
            start = time.perf_counter()
            pages = await self.volume.read_pages((PageNo(self.rng.choice(self.pages)),))
            took.append(time.perf_counter() - start)
            if pages[0] is None or len(pages[0]) != PAGE_BYTES:
                raise RuntimeError("a page of the table is not there")
        took.sort()
        row = {
            "what": name,
            "reads": reads,
            **{f"p{q}_ms": round(took[min(reads - 1, reads * q // 100)] * 1000, 3) for q in (50, 90, 99)},
            "max_ms": round(took[-1] * 1000, 3),
            "hedges": reader.hedges - hedges,
            "retries": reader.retries - retries,
        }
        self.rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)

    def fastest(self) -> int:
        """The node that reads go to now."""
        return min(self.volume.streams, key=lambda stream: stream.source.latency.typical_s or 1.0).index

    async def slow(self) -> None:
        """One node slowed from the start, then one that becomes slow while reads go on."""
        reads, flag = self.args.reads, ("--slow-ms", str(self.args.slow_ms))
        self.nodes.stop(0)
        await asyncio.to_thread(self.nodes.start, 0, *flag)
        await until(lambda: up_to_date(self.volume), "the return of a slow node")
        await self.misses(f"one node {self.args.slow_ms:g} ms slow", reads)
        self.nodes.stop(0)
        await asyncio.to_thread(self.nodes.start, 0)
        await until(lambda: up_to_date(self.volume), "the return of a node")
        index = self.fastest()

        def restart(number: int) -> None:
            if number == reads // 4:
                self.nodes.stop(index)
            elif number == reads // 4 + 1:
                self.nodes.start(index, *flag)

        await self.misses(f"the fastest node restarts {self.args.slow_ms:g} ms slow", reads, restart)
        self.nodes.stop(index)
        await asyncio.to_thread(self.nodes.start, index)
        await until(lambda: up_to_date(self.volume), "the return of a node")
        await self.misses("warm-up", reads // 4)
        stopped = []

        def pause(number: int) -> None:
            if number == reads // 4:
                stopped.append(self.nodes.running[self.fastest()])
                stopped[0].send_signal(signal.SIGSTOP)
            elif number == reads // 2:
                stopped[0].send_signal(signal.SIGCONT)

        await self.misses("the fastest node stops for a while", reads, pause)

    async def coalescing(self) -> None:
        """Reads beside a writer whose log makes the nodes coalesce again and again."""
        done = False

        def write() -> None:
            storage, table, number = self.storage, self.table, 0
            while not done:
                txn = storage.txns.begin()
                for _ in range(16):
                    table.insert(txn, (number, "y" * ROW_BYTES))
                    number += 1
                storage.txns.commit(txn)
                self.volume.wait_durable(storage.log.last_cpl)
                HUB.sleep(0.002)

        writing = asyncio.ensure_future(HUB.call(write))
        try:
            await self.misses("beside writes and coalescing", self.args.reads)
        finally:
            done = True
            await writing

    async def scans(self) -> None:
        """Sequential scans through the small cache."""
        nbytes = self.table.file.map.blocks * PAGE_BYTES
        for pages in (0, self.storage.cache.read_ahead_max):
            best = 0.0
            self.storage.cache.read_ahead_max = pages
            for _ in range(SCAN_ROUNDS):
                start = time.perf_counter()
                rows = await HUB.call(self._scan)
                best = max(best, nbytes / (time.perf_counter() - start) / 1e6)
            row = {"what": f"scan, read-ahead {pages} pages", "rows": rows, "mb_s": round(best, 1)}
            self.rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)

    def _scan(self) -> int:
        with self.storage.txns.reading("benchmark") as snapshot:
            return sum(len(batch) for batch in self.table.scan(snapshot, (1,), False))


async def run(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """All of it."""
    HUB.bind(asyncio.get_running_loop())
    gc.set_threshold(*GC_THRESHOLDS)
    nodes = Nodes(folder, "--coalesce-log-mb", "8")
    try:
        for index in range(len(nodes.members)):
            nodes.start(index)
        await Volume.create(nodes.members, PAGES_PER_PG)
        volume = await Volume.open([member.address for member in nodes.members], "bench")
        try:
            bench = Bench(volume, nodes, args)
            await HUB.call(bench.fill)
            await until(lambda: up_to_date(volume), "a fleet that is up to date")
            print(f"{len(bench.pages)} pages", flush=True)
            await bench.misses("warm-up", args.reads)
            await bench.misses("all nodes warm", args.reads)
            if not args.quick:
                await bench.slow()
                await bench.coalescing()
            await bench.scans()
            return bench.rows
        finally:
            await volume.close()
    finally:
        nodes.stop_all()


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_reads", description=__doc__)
    parser.add_argument("--mb", type=int, default=12, help="size of the table; a node caches 16")
    parser.add_argument("--reads", type=int, default=5000, help="page reads a measurement")
    parser.add_argument("--slow-ms", type=float, default=50.0, help="how much one node is slowed")
    parser.add_argument("--quick", action="store_true", help="warm reads and scans alone")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aurora-bench-") as folder, contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner(loop_factory=LOOP_FACTORY))
        rows = runner.run(run(args, Path(folder)))
    if args.json is not None:
        args.json.write_text(json.dumps({"cpus": os.cpu_count(), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
