"""What an endpoint costs: one instance reached directly, through the cluster endpoint (its socket handed over), and
through one that copies bytes. Side by side in one run, in turns, so that what else the machine does meets all three.

    python -m benchmarks.endpoints [--rounds 5] [--seconds 4] [--clients 4] [--json FILE]

Prints medians and the ratios to the direct connection: connect time, the time of ``SELECT 1`` on one connection, and
transactions a second of ``pgbench -S``.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from aurora.addresses import parse_listen
from aurora.programs.endpoints import command
from aurora.programs.endpoints.spec import Endpoint, Kind, dump
from aurora.programs.supervisor import Cluster

CONNECTS: Final = 100
STATEMENTS: Final = 2000
WAYS: Final = ("direct", "handed over", "bytes copied")


@contextmanager
def places(folder: Path) -> Iterator[dict[str, tuple[str, int]]]:
    """A new cluster with one reader, and where its writer is reached each way."""
    cluster = Cluster(folder / "cluster")
    cluster.create(host="127.0.0.1", port=0, pages_per_pg=4096, cache_mb=128, password=None, readers=1)
    cluster.up()
    copying = None
    try:
        there = command.endpoints_of(cluster.data, cluster.required)
        extra = Endpoint("copying", Kind.WRITER, command.free_address(cluster.required, there))
        file = folder / "copying.json"
        file.write_text(dump([extra]))
        arguments = command.command_line(cluster.data, cluster.required, cluster.secret_path, None)
        arguments[arguments.index("--endpoints") + 1] = str(file)
        at = arguments.index("--handover-dir")
        del arguments[at : at + 2]
        copying = subprocess.Popen([sys.executable, "-m", *arguments], stderr=subprocess.DEVNULL)
        while not command.listens(extra):
            time.sleep(0.05)
        writer = cluster.writer
        yield {
            "direct": (writer.host, writer.port),
            "handed over": parse_listen(there[0].address),
            "bytes copied": parse_listen(extra.address),
        }
    finally:
        if copying is not None:
            copying.terminate()
            copying.wait()
        cluster.down()


def connect_ms(place: tuple[str, int]) -> float:
    """The median time of a connection from nothing to ready, in ms."""
    times = []
    for _ in range(CONNECTS):
        begun = time.perf_counter()
        psycopg.connect(host=place[0], port=place[1], user="postgres", dbname="postgres").close()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def statement_us(place: tuple[str, int]) -> float:
    """The median time of ``SELECT 1`` on one connection, in µs."""
    times = []
    with psycopg.connect(host=place[0], port=place[1], user="postgres", dbname="postgres", autocommit=True) as db:
        for _ in range(STATEMENTS):
            begun = time.perf_counter()
            db.execute("SELECT 1")
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6


def pgbench(place: tuple[str, int], *arguments: str) -> str:
    """pgbench's output."""
    whole = ["pgbench", "-h", place[0], "-p", str(place[1]), "-U", "postgres", *arguments, "postgres"]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def select_tps(place: tuple[str, int], seconds: int, clients: int) -> float:
    """Transactions a second of ``pgbench -S``."""
    told = pgbench(place, "-n", "-S", "-M", "prepared", "-c", str(clients), "-T", str(seconds))
    found = re.search(r"tps = ([\d.]+)", told)
    if found is None:
        raise RuntimeError(told)
    return float(found[1])


def main() -> int:
    """Run, print, write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    figures: dict[str, Callable[[tuple[str, int]], float]] = {
        "connect, ms": connect_ms,
        "SELECT 1, µs": statement_us,
        "pgbench -S, tps": lambda place: select_tps(place, args.seconds, args.clients),
    }
    taken: dict[str, dict[str, list[float]]] = {figure: {way: [] for way in WAYS} for figure in figures}
    with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as where:
        pgbench(where["direct"], "-i", "-q", "-s", "1")
        for number in range(args.rounds):
            turn = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
            for figure, measure in figures.items():
                for way in turn:
                    taken[figure][way].append(measure(where[way]))
    print(f"{'':18}" + "".join(f"{way:>24}" for way in WAYS))
    result: dict[str, dict[str, float]] = {}
    for figure, ways in taken.items():
        medians = {way: statistics.median(values) for way, values in ways.items()}
        # Ratios are of neighbours in time: the median of the rounds' ratios.
        ratios = {way: statistics.median(v / d for v, d in zip(ways[way], ways["direct"], strict=True)) for way in WAYS}
        print(f"{figure:18}" + "".join(f"{medians[way]:>14.2f} ({ratios[way]:5.3f} ×)" for way in WAYS))
        result[figure] = medians | {f"{way} ratio": ratio for way, ratio in ratios.items()}
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
