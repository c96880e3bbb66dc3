"""DML in bulk beside PostgreSQL in one run: ``python -m benchmarks.bulk [--rows 1000000] [--rounds 3] [step …]``.

Ours is a cluster of processes (six storage nodes and a writer, on loopback), PostgreSQL one that this starts itself.
Each step runs on one server and then on the other, round after round; printed are the medians and their ratio. The
sizes follow ``--rows``: INSERT … SELECT and UPDATE take a fifth of the rows, DELETE six tenths. Autovacuum is off on
both, and ``max_parallel_workers_per_gather`` and ``max_parallel_maintenance_workers`` are 0.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.servers import Aurora, Postgres, Server

Connection = psycopg.Connection[Any]
Step = Callable[[Connection], object]

COPY_BLOCKS = 100
SETTINGS = (
    "SET max_parallel_workers_per_gather = 0",
    "SET max_parallel_maintenance_workers = 0",
)
COLUMNS = "(id bigint, n int, payload text) WITH (autovacuum_enabled = off)"


def sql(text: str) -> Step:
    """One statement."""
    return lambda connection: connection.execute(text.encode())


def copy(table: str, rows: int) -> Step:
    """COPY FROM STDIN of ``rows`` rows, ids in order."""
    step = max(rows // COPY_BLOCKS, 1)
    blocks = [
        "".join(f"{i}\t{i % 1000}\tpayload {i}\n" for i in range(first, min(first + step, rows))).encode()
        for first in range(0, rows, step)
    ]

    def run(connection: Connection) -> None:
        with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as stream:
            for block in blocks:
                stream.write(block)

    return run


def steps(rows: int) -> dict[str, tuple[Step, bool]]:
    """The steps of a round, in order, and whether a step is timed."""
    fifth, most = rows // 5, rows * 6 // 10
    select = f"SELECT id, n, payload FROM bulk WHERE id < {fifth}"
    return {
        "fresh tables": (
            sql(
                "DROP TABLE IF EXISTS bulk, keyed, plain, taken;"
                f"CREATE TABLE bulk {COLUMNS}; CREATE TABLE keyed {COLUMNS}; ALTER TABLE keyed ADD PRIMARY KEY (id);"
                f"CREATE TABLE plain {COLUMNS}; CREATE TABLE taken {COLUMNS}; ALTER TABLE taken ADD PRIMARY KEY (id)"
            ),
            False,
        ),
        "COPY": (copy("bulk", rows), True),
        "COPY, primary key": (copy("keyed", rows), True),
        "INSERT … SELECT": (sql(f"INSERT INTO plain {select}"), True),
        "INSERT … SELECT, primary key": (sql(f"INSERT INTO taken {select}"), True),
        "CREATE INDEX (bigint)": (sql("CREATE INDEX bulk_id ON bulk (id)"), True),
        "CREATE INDEX (int, many equal)": (sql("CREATE INDEX bulk_n ON bulk (n)"), True),
        "CREATE INDEX (text)": (sql("CREATE INDEX bulk_payload ON bulk (payload)"), True),
        "only the first index": (sql("DROP INDEX bulk_n, bulk_payload"), False),
        "UPDATE, no index": (sql("UPDATE plain SET n = n + 1"), True),
        "UPDATE": (sql(f"UPDATE keyed SET n = n + 1 WHERE id < {fifth}"), True),
        "UPDATE, spread": (sql("UPDATE bulk SET n = n + 1 WHERE id % 5 = 0"), True),
        "UPDATE of the key": (sql(f"UPDATE taken SET id = id + {rows}"), True),
        "DELETE": (sql(f"DELETE FROM keyed WHERE id >= {rows - most}"), True),
        "DELETE, spread": (sql("DELETE FROM bulk WHERE id % 10 < 6"), True),
        "VACUUM": (sql("VACUUM keyed"), True),
        "VACUUM, spread": (sql("VACUUM bulk"), True),
        "VACUUM again": (sql("VACUUM bulk"), True),
    }


@contextlib.contextmanager
def servers(root: Path, only_ours: bool) -> Iterator[list[Server]]:
    """Both, started; PostgreSQL first."""
    found: list[Server] = [Aurora(root)] if only_ours else [Postgres(root, "postgres"), Aurora(root)]
    try:
        for server in found:
            server.start()
        yield found
    finally:
        for server in found:
            try:
                server.stop()
            except Exception as error:  # the next server must be stopped all the same
                print(f"stopping {server.name}: {error}", file=sys.stderr)


def measure(found: list[Server], rows: int, rounds: int, wanted: list[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds by step and server, a value a round. Steps that are not asked for run when later ones need them."""
    seconds: dict[str, dict[str, list[float]]] = {}
    connections = {server.name: psycopg.connect(server.dsn, autocommit=True) for server in found}
    for connection in connections.values():
        for setting in SETTINGS:
            connection.execute(setting.encode())
    todo = steps(rows)
    for _ in range(rounds):
        for name, (step, timed) in todo.items():
            for server in found:
                started = perf_counter()
                step(connections[server.name])
                taken = perf_counter() - started
                if timed and (not wanted or any(name.startswith(each) for each in wanted)):
                    seconds.setdefault(name, {}).setdefault(server.name, []).append(taken)
                    print(f"  {name}: {server.name} {taken:.2f} s", file=sys.stderr, flush=True)
    for connection in connections.values():
        connection.close()
    return seconds


def table(seconds: dict[str, dict[str, list[float]]], rows: int, rounds: int) -> str:
    """The medians as a Markdown table."""
    lines = [f"{rows:,} rows, medians of {rounds}, seconds", ""]
    lines += ["| | PostgreSQL | ours | ours / PostgreSQL |", "| --- | ---: | ---: | ---: |"]
    for name, by_server in seconds.items():
        medians = {server: statistics.median(values) for server, values in by_server.items()}
        theirs, ours = medians.get("postgres"), medians["aurora"]
        beside = ["", ""] if theirs is None else [f"{theirs:.2f}", f"{ours / theirs:.1f}"]
        lines.append(f"| {name} | {beside[0]} | {ours:.2f} | {beside[1]} |")
    return "\n".join(lines)


def main() -> int:
    """Run it; exit status 1 when a step gives another number of rows than PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", action="store_true", help="without PostgreSQL")
    parser.add_argument("steps", nargs="*", help="beginnings of the names of steps to show (default: all)")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="aurora-bulk-"))
    root.chmod(0o755)
    try:
        with servers(root, args.ours) as found:
            print(table(measure(found, args.rows, args.rounds, args.steps), args.rows, args.rounds))
            counts = set()
            for server in found:
                with psycopg.connect(server.dsn) as connection:
                    query = "SELECT (SELECT count(*) FROM bulk), (SELECT sum(n) FROM keyed), sum(id) FROM taken"
                    counts.add(connection.execute(query).fetchone())
            if len(counts) != 1:
                print(f"the tables differ: {counts}", file=sys.stderr)
                return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
