"""Inserts into a partitioned table beside the same into a plain one: ``python -m benchmarks.partitions [--rows 100000]
[--partitions 8] [--rounds 5]``.

Ours is a cluster of processes (six storage nodes and a writer, on loopback). Both tables have one index. Each way of
inserting runs on one table and then on the other, round after round; printed are the medians and their ratio, of which
1.3 is the target. Ends with status 1 when a ratio is above ``--most``.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.servers import Aurora

Connection = psycopg.Connection[Any]
COPY_ROWS = 5000


def _select(table: str, rows: int, key: str) -> Callable[[Connection], object]:
    text = f"INSERT INTO {table} SELECT {key}, g, 'row number ' || g FROM generate_series(0, {rows - 1}) g"
    return lambda connection: connection.execute(text.encode())


def _copy(table: str, rows: int) -> Callable[[Connection], object]:
    def run(connection: Connection) -> None:
        with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as stream:
            for first in range(0, rows, COPY_ROWS):
                batch = range(first, min(first + COPY_ROWS, rows))
                stream.write("".join([f"{g * 7919 % rows}\t{g}\trow number {g}\n" for g in batch]).encode())

    return run


def _single(table: str, rows: int) -> Callable[[Connection], object]:
    def run(connection: Connection) -> None:
        text = f"INSERT INTO {table} VALUES (%s, %s, 'one row')".encode()
        for g in range(rows // 10):
            connection.execute(text, (g * 7919 % rows, g), prepare=True)

    return run


def ways(table: str, rows: int) -> dict[str, Callable[[Connection], object]]:
    """Each way to insert into a table, by its name."""
    return {
        "INSERT … SELECT, keys in order": _select(table, rows, "g"),
        "INSERT … SELECT, keys mixed": _select(table, rows, f"g * 7919::bigint % {rows}"),
        "COPY, keys mixed": _copy(table, rows),
        "INSERT of one row, prepared": _single(table, rows),
    }


def prepare(connection: Connection, rows: int, partitions: int) -> None:
    """Both tables, empty."""
    columns = "(id bigint, n int, payload text)"
    connection.execute(f"CREATE TABLE plain {columns}".encode())
    connection.execute(f"CREATE TABLE parted {columns} PARTITION BY RANGE (id)".encode())
    step = -(-rows // partitions)
    for number in range(partitions):
        low, high = number * step, (number + 1) * step
        text = f"CREATE TABLE parted{number} PARTITION OF parted FOR VALUES FROM ({low}) TO ({high})"
        connection.execute(text.encode())
    connection.execute(b"CREATE INDEX ON plain (id)")
    connection.execute(b"CREATE INDEX ON parted (id)")


def measure(connection: Connection, rows: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each way, into the plain and into the partitioned table."""
    taken: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for table in ("plain", "parted"):
            for name, run in ways(table, rows).items():
                connection.execute(f"TRUNCATE {table}".encode())
                began = perf_counter()
                run(connection)
                connection.commit()
                taken.setdefault(name, {}).setdefault(table, []).append(perf_counter() - began)
    return {name: (statistics.median(of["plain"]), statistics.median(of["parted"])) for name, of in taken.items()}


def main() -> int:
    """Measure and print; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=1.3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="partitions-"))
    server = Aurora(folder)
    server.start()
    try:
        with psycopg.connect(server.dsn) as connection:
            prepare(connection, options.rows, options.partitions)
            connection.commit()
            found = measure(connection, options.rows, options.rounds)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    worst = 0.0
    for name, (plain, parted) in found.items():
        worst = max(worst, parted / plain)
        print(f"{name:34} plain {plain:8.3f} s   partitioned {parted:8.3f} s   ratio {parted / plain:5.2f}")
    return 0 if worst <= options.most else 1


if __name__ == "__main__":
    sys.exit(main())
