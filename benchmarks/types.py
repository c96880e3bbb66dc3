"""What a value costs beside PostgreSQL: ``python -m benchmarks.types [--rows N] [--dsn OURS --postgres DSN] [regexp]``.

Each expression is aggregated over a table of N rows on both servers, several times in turns; the best of each counts.
Without DSNs a PostgreSQL and an embedded cluster are started for the length of the run. ``count(expression)`` keeps
out what is sent and what is added up; the row ``count(*)`` is what a scan costs.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

import aurora
from benchmarks.servers import Postgres

_TABLE = """
CREATE TABLE values_of_types AS SELECT i, i::bigint * 7919 AS big, (i % 1000) / 7.0::float8 AS f, (i * 1.37)::numeric(12,2) AS n,
 'row ' || i || ' of the table' AS t, timestamp '2020-01-01' + i * interval '37 min' AS ts,
 timestamptz '2020-01-01 00:00+00' + i * interval '37 min' AS tz, date '2020-01-01' + i % 4000 AS d,
 jsonb_build_object('id', i, 'name', 'n' || i, 'tags', jsonb_build_array('a', i % 7, 'c'), 'deep', jsonb_build_object('x', i % 10)) AS j,
 array[i, i + 1, i % 5, 7] AS a, array['x' || i % 3, 'y', 'z'] AS ta
 FROM generate_series(1, {rows}) AS i
"""  # noqa: E501
EXPRESSIONS = {
    "jsonb": ["j -> 'name'", "j ->> 'name'", "j -> 'tags' ->> 1", "j #>> '{deep,x}'", "j @> '{\"deep\": {\"x\": 3}}'", "j ? 'tags'", "(j ->> 'id')::int", "j || '{\"z\": 1}'"],  # noqa: E501
    "arrays": ["a[2]", "a @> array[3]", "7 = ANY (a)", "array_length(a, 1)", "a || 5", "array_position(ta, 'z')"],
    "formats": ["to_char(ts, 'YYYY-MM-DD HH24:MI:SS')", "to_char(n, 'FM999,999,990.00')", "to_char(i, '000000')", "to_date('2020-01-02', 'YYYY-MM-DD') + i % 3"],  # noqa: E501
    "text": ["upper(t)", "length(t)", "substr(t, 5, 3)", "t || 'x'", "replace(t, 'o', '0')", "t LIKE '%99%'", "split_part(t, ' ', 2)", "t ~ '[0-9]9'", "md5(t)", "lpad(t, 30)"],  # noqa: E501
    "numbers": ["i + 1", "big * 3", "i % 7 = 3", "f * 2.5", "sqrt(f)", "n + 1.5", "n * n", "round(n, 1)", "n / 3", "i::numeric", "n::float8"],  # noqa: E501
    "times": ["d + 1", "d - date '2000-01-01'", "ts + interval '1 day'", "date_trunc('month', ts)", "extract(year FROM ts)", "ts - timestamp '2020-01-01'", "tz AT TIME ZONE 'Europe/Berlin'", "ts::date", "age(ts)"],  # noqa: E501
}  # fmt: skip
_ROUNDS = 3


def seconds(connection: psycopg.Connection[tuple[int]], sql: str) -> float:
    """How long one statement takes."""
    began = time.perf_counter()
    connection.execute(sql.encode()).fetchall()
    return time.perf_counter() - began


@contextlib.contextmanager
def servers(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """(PostgreSQL's, ours): the DSNs that were given, or those of servers started here."""
    if arguments.dsn and arguments.postgres:
        yield arguments.postgres, arguments.dsn
        return
    with tempfile.TemporaryDirectory() as folder, aurora.cluster() as cluster:
        postgres = Postgres(Path(folder), "PostgreSQL")
        postgres.start()
        try:
            yield postgres.dsn, cluster.dsn
        finally:
            postgres.stop()


def main() -> None:
    """Compare and print a line an expression: milliseconds of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dsn")
    parser.add_argument("--postgres")
    parser.add_argument("only", nargs="?", default="")
    arguments = parser.parse_args()
    with servers(arguments) as dsns:
        connections = [psycopg.connect(dsn, autocommit=True) for dsn in dsns]
        for connection in connections:
            connection.execute(
                "DROP TABLE IF EXISTS values_of_types; SET max_parallel_workers_per_gather = 0; SET jit = off"
            )
            connection.execute(_TABLE.format(rows=arguments.rows).encode())
        scans = [
            min(seconds(each, "SELECT count(*) FROM values_of_types") for _ in range(_ROUNDS)) for each in connections
        ]
        print(f"{'count(*)':44} {scans[0] * 1000:9.1f} {scans[1] * 1000:9.1f} ms  {scans[1] / scans[0]:6.1f} ×")
        for family, expressions in EXPRESSIONS.items():
            for expression in expressions:
                if not re.search(arguments.only, f"{family} {expression}"):
                    continue
                sql = f"SELECT count({expression}) FROM values_of_types"
                best = [9e9, 9e9]
                for _ in range(_ROUNDS):
                    for at, connection in enumerate(connections):
                        best[at] = min(best[at], seconds(connection, sql))
                print(
                    f"{expression:44} {best[0] * 1000:9.1f} {best[1] * 1000:9.1f} ms  {best[1] / best[0]:6.1f} ×",
                    flush=True,
                )
        for connection in connections:
            connection.execute("DROP TABLE values_of_types")
            connection.close()


if __name__ == "__main__":
    main()
