"""One-table and two-table queries over a million rows beside PostgreSQL: ``python -m benchmarks.queries``.

    python -m benchmarks.queries [--rows 1000000] [--rounds 3] [--json FILE] [--cpu] [--ours] [name …]

``big`` has ``--rows`` rows: a bigint key in the order of the rows, an integer of 1,000 values, an integer of a tenth as
many values as rows, a numeric, a text. ``small`` has a tenth of the rows and joins to the third column. The targets are
ratios of our time to PostgreSQL's in the same run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.beside import Connection, Query, measure, report, run_all, running


def load(connection: Connection, rows: int) -> None:
    """Both tables, an index on the key, statistics; autovacuum does not come between."""
    tenth = max(rows // 10, 1)
    off = "WITH (autovacuum_enabled = off)"
    run_all(
        connection,
        (
            "DROP TABLE IF EXISTS big, small",
            f"CREATE TABLE big (id bigint NOT NULL, n int, k int, v numeric(12,2), payload text) {off}",
            "INSERT INTO big SELECT i, (i * 7919) % 1000, ((i * 104729) % "
            f"{tenth})::int, ((i * 31) % 1000000)::numeric / 100, 'payload ' || (i * 48271) % 999983 "
            f"FROM generate_series(1::bigint, {rows}) i",
            f"CREATE TABLE small (k int NOT NULL, w int, name text) {off}",
            f"INSERT INTO small SELECT i, i % 17, 'name ' || i FROM generate_series(0, {tenth - 1}) i",
            "ALTER TABLE big ADD PRIMARY KEY (id)",
            "VACUUM ANALYZE big",
            "VACUUM ANALYZE small",
        ),
    )


def queries(rows: int) -> list[Query]:
    """The table of targets, and some beside it that have none."""
    first, last = rows * 3 // 10, rows * 3 // 10 + rows // 5 - 1
    between = f"id BETWEEN {first} AND {last}"
    return [
        Query("count, sum", "SELECT count(*), sum(n) FROM big", 0.5),
        Query("count, sum, filtered", "SELECT count(*), sum(n) FROM big WHERE n < 500 AND id % 3 = 0"),
        Query("sum of numerics", "SELECT sum(v), avg(v), max(v) FROM big"),
        Query("group by", "SELECT n, count(*), sum(id) FROM big GROUP BY n ORDER BY n", 0.7),
        Query("group by, many groups", "SELECT count(*), max(c) FROM (SELECT k, count(*) c FROM big GROUP BY k) g"),
        Query("hash join", "SELECT count(*), sum(w) FROM big JOIN small USING (k)", 0.7),
        Query("order by, limit", "SELECT id, n, payload FROM big ORDER BY n DESC, id LIMIT 10", 0.7),
        Query("order by", "SELECT count(*) FROM (SELECT id FROM big ORDER BY k, id OFFSET 0) s"),
        Query("LIKE filter", "SELECT count(*) FROM big WHERE payload LIKE '%999%'", 1),
        Query("count(distinct)", "SELECT count(DISTINCT k) FROM big", 0.7),
        Query("range by index", f"SELECT count(n), sum(n) FROM big WHERE {between}", 1),
        Query("range by index, rows sent", f"SELECT id, n, payload FROM big WHERE {between}", ordered=False),
        Query(
            "window",
            "SELECT count(*), sum(s) FROM (SELECT sum(n) OVER (PARTITION BY k ORDER BY id) s FROM big) w",
            1,
        ),
        Query(
            "window, row_number",
            "SELECT max(r) FROM (SELECT row_number() OVER (PARTITION BY n ORDER BY id) r FROM big) w",
        ),
    ]


def main() -> int:
    """Run it; exit status 1 when an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the client's")
    parser.add_argument("--ours", action="store_true", help="without PostgreSQL")
    parser.add_argument("names", nargs="*", help="beginnings of the names of queries (default: all)")
    args = parser.parse_args()
    wanted = [q for q in queries(args.rows) if not args.names or any(q.name.startswith(n) for n in args.names)]
    with running(args.ours, args.cpu) as connections:
        for connection in connections.values():
            load(connection, args.rows)
        timings = measure(connections, wanted, args.rounds)
    return report(f"{args.rows:,} rows", timings, args.json, rows=args.rows, rounds=args.rounds, by_cpu=args.cpu)


if __name__ == "__main__":
    sys.exit(main())
