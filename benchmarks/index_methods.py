"""Builds of, inserts into and searches by GIN, GiST, SP-GiST and BRIN indexes and exclusion constraints, beside
PostgreSQL's: ``python -m benchmarks.index_methods [--rows 50000] [--rounds 3] [--postgres DSN]``.

Ours is a cluster of processes (six storage nodes and a writer, on loopback); PostgreSQL is started too, unless ``DSN``
names one (a table of it, ``index_methods``, is dropped). Each step runs on one server and then on the other, round
after round; printed are the medians in milliseconds and their ratio.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.servers import Aurora, Postgres

Connection = psycopg.Connection[Any]
TABLE = "index_methods"
SEARCHES = 200
PART = 20
"""One of so many rows is inserted when the index is there."""


@dataclass(frozen=True, slots=True)
class Case:
    """A column filled by ``value`` (of the row's number ``n``), the index on it, and a search of which ``{}`` is a
    number. ``constraint``: the index is an exclusion constraint's."""

    name: str
    kind: str
    value: str
    index: str
    search: str
    constraint: bool = False


CASES = (
    Case("GIN, arrays", "int[]", "array[n % 1000, n % 77, n]", "gin (v)", "v @> array[{0}, {0} % 77]"),
    Case("GIN, jsonb", "jsonb", "jsonb_build_object('a', n % 1000, 'b', n)", "gin (v)", "v @> '{{\"b\": {0}}}'"),
    Case(
        "GIN, documents",
        "tsvector",
        "to_tsvector('simple', 'w' || n % 1000 || ' z' || n % 77 || ' y' || n)",
        "gin (v)",
        "v @@ 'w{0} & z1'",
    ),
    Case(
        "GiST, points",
        "point",
        "point(n * 7919::bigint % 10007, n * 104729::bigint % 10009)",
        "gist (v)",
        "v <@ box(point({0}, {0}), point({0} + 90, {0} + 90))",
    ),
    Case("GiST, ranges", "int4range", "int4range(n, n + 10)", "gist (v)", "v && int4range({0}, {0} + 5)"),
    Case(
        "SP-GiST, points",
        "point",
        "point(n * 7919::bigint % 10007, n * 104729::bigint % 10009)",
        "spgist (v)",
        "v <@ box(point({0}, {0}), point({0} + 90, {0} + 90))",
    ),
    Case("SP-GiST, texts", "text", "md5(n::text)", "spgist (v)", "v = md5('{0}')"),
    Case("BRIN, minmax", "int", "n", "brin (v) with (pages_per_range = 8)", "v = {0}"),
    Case("BRIN, bloom", "int", "n * 7", "brin (v int4_bloom_ops) with (pages_per_range = 8)", "v = {0} * 7"),
    Case(
        "EXCLUDE, ranges", "int4range", "int4range(n * 10, n * 10 + 10)", "gist (v WITH &&)", "v && '[{0},{0}]'", True
    ),
)


def steps(connection: Connection, case: Case, rows: int) -> Iterator[tuple[str, float]]:
    """Run a case: what was done, and the seconds that it took."""

    def timed(*statements: str) -> float:
        began = perf_counter()
        for statement in statements:
            connection.execute(statement.encode())
        return perf_counter() - began

    few = rows // PART
    timed(f"DROP TABLE IF EXISTS {TABLE}", f"CREATE TABLE {TABLE} (id int, v {case.kind})")
    timed(f"INSERT INTO {TABLE} SELECT n, {case.value} FROM generate_series(1, {rows}) n")
    made = f"CREATE INDEX ON {TABLE} USING {case.index}"
    if case.constraint:
        made = f"ALTER TABLE {TABLE} ADD EXCLUDE USING {case.index}"
    yield "build", timed(made)
    timed(f"ANALYZE {TABLE}", "SET enable_seqscan = off")
    numbers = f"generate_series({rows + 1}, {rows + few}) n"
    yield f"insert {few} rows", timed(f"INSERT INTO {TABLE} SELECT n, {case.value} FROM {numbers}")
    each = [f"INSERT INTO {TABLE} SELECT n, {case.value} FROM (VALUES ({n})) s (n)" for n in
            range(rows + few + 1, rows + few + SEARCHES + 1)]  # fmt: skip
    yield f"{SEARCHES} times one row", timed(*each)
    yield (
        f"{SEARCHES} searches",
        timed(*(f"SELECT count(id) FROM {TABLE} WHERE {case.search.format(n * 37 % rows)}" for n in range(SEARCHES))),
    )
    timed(f"DROP TABLE {TABLE}")


@contextmanager
def servers(postgres: str | None) -> Iterator[tuple[str, str]]:
    """The connection strings of ours and of PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="index-methods-"))
    folder.chmod(0o755)
    ours = Aurora(folder)
    other = None if postgres else Postgres(folder, "PostgreSQL")
    started: list[Aurora | Postgres] = []
    try:
        for server in (ours, other):
            if server is not None:
                started.append(server)
                server.start()
        yield ours.dsn, postgres or (other.dsn if other is not None else "")
    finally:
        for server in started:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Measure and print; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", metavar="DSN")
    parser.add_argument("--only", default="", help="cases whose name has this text")
    options = parser.parse_args()
    with servers(options.postgres) as dsns:
        connections = [psycopg.connect(dsn, autocommit=True) for dsn in dsns]
        for case in (each for each in CASES if options.only in each.name):
            taken: dict[str, tuple[list[float], list[float]]] = {}
            for _ in range(options.rounds):
                for side, connection in enumerate(connections):
                    for name, seconds in steps(connection, case, options.rows):
                        taken.setdefault(name, ([], []))[side].append(seconds * 1000)
            for name, both in taken.items():
                ours, other = map(statistics.median, both)
                print(f"{case.name:16} {name:20} {ours:9.1f} ms   PostgreSQL {other:9.1f} ms   {ours / other:6.2f} x")
        for connection in connections:
            connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
