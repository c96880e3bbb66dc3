"""CREATE INDEX and foreign keys over many rows, beside PostgreSQL with five synchronous standbys:
``python -m benchmarks.schema_changes [--rows 1000000] [--rounds 3]``.

Ours is a cluster of processes (six storage nodes and a writer, on loopback). Each step runs on one server and then on
the other, round after round, and is undone before the next one; printed are the medians in seconds and their ratio, of
which 1.5 is the target.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.servers import STANDBYS, Aurora, Postgres, Server

STEPS = (
    ("CREATE INDEX, integers in order", "CREATE INDEX made ON sc_rows (id)", "DROP INDEX made"),
    ("CREATE INDEX, integers mixed", "CREATE INDEX made ON sc_rows (mixed)", "DROP INDEX made"),
    ("CREATE INDEX, texts", "CREATE INDEX made ON sc_rows (note)", "DROP INDEX made"),
    ("CREATE INDEX, two columns", "CREATE INDEX made ON sc_rows (few, mixed DESC)", "DROP INDEX made"),
    (
        "ADD PRIMARY KEY",
        "ALTER TABLE sc_rows ADD CONSTRAINT made PRIMARY KEY (id)",
        "ALTER TABLE sc_rows DROP CONSTRAINT made",
    ),
    (
        "ADD FOREIGN KEY, a thousand keys",
        "ALTER TABLE sc_rows ADD CONSTRAINT made FOREIGN KEY (few) REFERENCES sc_few",
        "ALTER TABLE sc_rows DROP CONSTRAINT made",
    ),
    (
        "ADD FOREIGN KEY, as many keys as rows",
        "ALTER TABLE sc_rows ADD CONSTRAINT made FOREIGN KEY (mixed) REFERENCES sc_many",
        "ALTER TABLE sc_rows DROP CONSTRAINT made",
    ),
)
"""(name, what is timed, what undoes it)"""


def _fill(connection: psycopg.Connection[Any], rows: int) -> None:
    series = f"generate_series(0, {rows - 1}) g"
    for text in (
        "CREATE TABLE sc_few (id int PRIMARY KEY)",
        "INSERT INTO sc_few SELECT generate_series(0, 999)",
        "CREATE TABLE sc_many (id int PRIMARY KEY)",
        f"INSERT INTO sc_many SELECT g FROM {series}",
        "CREATE TABLE sc_rows (id int NOT NULL, mixed int, few int, note text)",
        f"INSERT INTO sc_rows SELECT g, g * 7919::bigint % {rows}, g % 1000, 'note number ' || g FROM {series}",
        "VACUUM ANALYZE",
    ):
        connection.execute(text.encode())


def main() -> int:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="aurora-bench-"))
    root.chmod(0o755)
    servers: tuple[Server, Server] = (Postgres(root, "postgres + 5 standbys", STANDBYS), Aurora(root))
    took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name, _, _ in STEPS}
    try:
        for server in servers:
            server.start()
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                _fill(connection, args.rows)
        for _ in range(args.rounds):
            for name, timed, undone in STEPS:
                for server, times in zip(servers, took[name], strict=True):
                    with psycopg.connect(server.dsn, autocommit=True) as connection:
                        began = perf_counter()
                        connection.execute(timed.encode())
                        times.append(perf_counter() - began)
                        connection.execute(undone.encode())
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(root, ignore_errors=True)
    print("| | PostgreSQL with 5 standbys, s | ours, s | ratio |\n| --- | --- | --- | --- |")
    for name, (theirs, ours) in took.items():
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"| {name} | {statistics.median(theirs):.2f} | {statistics.median(ours):.2f} | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
