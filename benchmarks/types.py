"""What a value costs beside PostgreSQL: ``python -m benchmarks.types [--rows N] [--dsn OURS --postgres DSN] [regexp]``.

Each expression is aggregated over a table of N rows on both servers, several times in turns; the best of each counts.
A server whose DSN is not given is started for the length of the run. ``count(expression)`` keeps out what is sent and
what is added up; the row ``count(*)`` is what a scan costs. Processor time is compared, as far as it can be asked.
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
CREATE TABLE values_of_types AS SELECT i, i::bigint * 7919 AS big, (i % 1000) / 7.0::float8 AS f,
 (i * 1.37)::numeric(12,2) AS n, 'row ' || i || ' of the table' AS t,
 timestamp '2020-01-01' + i * interval '37 min' AS ts,
 timestamptz '2020-01-01 00:00+00' + i * interval '37 min' AS tz, date '2020-01-01' + i % 4000 AS d,
 jsonb_build_object('id', i, 'name', 'n' || i, 'tags', jsonb_build_array('a', i % 7, 'c'),
  'deep', jsonb_build_object('x', i % 10)) AS j,
 array[i, i + 1, i % 5, 7] AS a, array['x' || i % 3, 'y', 'z'] AS ta, (i % 100)::text AS digits,
 '12.' || i % 100 AS decimals, '2021-03-' || 10 + i % 20 AS day, md5(i::text)::uuid AS u,
 ('10.0.' || i % 256 || '.0/24')::inet AS ip, int4range(i, i + 10) AS ra, i % 3 = 0 AS b,
 CASE WHEN i % 2 = 0 THEN i END AS half
 FROM generate_series(1, {rows}) AS i
"""
EXPRESSIONS = {
    "jsonb": r"""
        j -> 'name' ;; j ->> 'name' ;; j -> 'tags' ->> 1 ;; j #>> '{deep,x}' ;; j @> '{"deep": {"x": 3}}' ;;
        j ? 'tags' ;; (j ->> 'id')::int ;; j || '{"z": 1}' ;; jsonb_build_object('a', i, 'b', t) ;;
        jsonb_typeof(j) ;; jsonb_array_length(j -> 'tags') ;; to_jsonb(t) ;; j::text ;; j['name']
    """,
    "arrays": r"""
        a[2] ;; a @> array[3] ;; 7 = ANY (a) ;; array_length(a, 1) ;; a || 5 ;; array_position(ta, 'z') ;;
        array[i, 1] ;; cardinality(a) ;; a = array[1, 2, 1, 7] ;; array_to_string(a, ',') ;; a::text ;; a[1:2]
    """,
    "formats": r"""
        to_char(ts, 'YYYY-MM-DD HH24:MI:SS') ;; to_char(n, 'FM999,999,990.00') ;; to_char(i, '000000') ;;
        to_date('2020-01-02', 'YYYY-MM-DD') + i % 3 ;; to_char(d, 'Dy, DD Mon YYYY') ;; to_char(tz, 'HH24:MI TZ') ;;
        to_timestamp(day, 'YYYY-MM-DD') ;; to_number(digits, '999') ;; format('%s of %s', i, t)
    """,
    "text": r"""
        upper(t) ;; lower(t) ;; length(t) ;; substr(t, 5, 3) ;; t || 'x' ;; replace(t, 'o', '0') ;; t LIKE '%99%' ;;
        t LIKE 'row 1%' ;; t ILIKE '%OF%' ;; split_part(t, ' ', 2) ;; t ~ '[0-9]9' ;; md5(t) ;; lpad(t, 30) ;;
        position('of' in t) ;; strpos(t, 'of') ;; concat(t, i) ;; concat_ws('-', t, i) ;; left(t, 3) ;;
        right(t, 3) ;; trim(t) ;; reverse(t) ;; initcap(t) ;; regexp_replace(t, '[0-9]+', 'n') ;;
        substring(t from '[0-9]+') ;; translate(t, 'ro', 'xy') ;; ascii(t) ;; repeat(t, 2) ;;
        starts_with(t, 'row 2') ;; t = 'row 7 of the table' ;; t < 'row 5' ;; hashtext(t) ;;
        t IN ('a', 'b', 'row 9 of the table') ;; octet_length(t) ;; quote_literal(t)
    """,
    "numbers": r"""
        i + 1 ;; i - 1 ;; i * 3 ;; i / 7 ;; i % 7 = 3 ;; -i ;; abs(i) ;; big + 1 ;; big * 3 ;; big / 7 ;; f + 1 ;;
        f * 2.5 ;; f / 3 ;; sqrt(f) ;; round(f) ;; floor(f) ;; f ^ 2 ;; n + 1.5 ;; n - 1.5 ;; n * n ;; n / 3 ;;
        n % 7 ;; round(n, 1) ;; trunc(n) ;; abs(n) ;; floor(n) ;; mod(i, 7) ;; n > 500 ;; n = 1.37 ;; i = 5 ;;
        i < 5000 ;; i BETWEEN 5 AND 50 ;; i IN (1, 2, 3) ;; i & 7 ;; big = 5 ;; greatest(i, 5) ;;
        coalesce(half, 0) ;; CASE WHEN i > 5 THEN 1 ELSE 2 END ;; nullif(i, 5) ;; half IS NULL ;;
        width_bucket(i, 0, 100000, 10)
    """,
    "casts": r"""
        i::text ;; big::text ;; f::text ;; n::text ;; d::text ;; ts::text ;; tz::text ;; b::text ;; u::text ;;
        digits::int ;; digits::bigint ;; digits::float8 ;; decimals::numeric ;; day::date ;; day::timestamp ;;
        i::bigint ;; i::numeric ;; i::float8 ;; n::float8 ;; n::int ;; f::int ;; f::numeric ;; n::numeric(10,1) ;;
        ts::date ;; tz::date ;; ts::time ;; d::timestamp ;; t::varchar(5)
    """,
    "times": r"""
        d + 1 ;; d - date '2000-01-01' ;; ts + interval '1 day' ;; ts + interval '1 month' ;;
        tz + interval '1 day' ;; d + interval '1 month' ;; date_trunc('month', ts) ;; date_trunc('hour', tz) ;;
        date_trunc('day', tz) ;; extract(year FROM ts) ;; extract(epoch FROM ts) ;; extract(dow FROM d) ;;
        date_part('hour', ts) ;; ts - timestamp '2020-01-01' ;; tz AT TIME ZONE 'Europe/Berlin' ;;
        ts AT TIME ZONE 'Europe/Berlin' ;; age(ts) ;; age(ts, timestamp '2020-01-01') ;;
        tz > '2021-01-01 00:00+00' ;; ts < '2021-01-01' ;; d = '2021-01-01' ;; make_date(2020, 1 + i % 12, 1) ;;
        to_timestamp(i) ;; interval '1 hour' * i ;; date_bin('15 minutes', ts, timestamp '2001-01-01')
    """,
    "others": r"""
        u = 'a87ff679-a2f3-e71d-9181-a67b7542122c' ;; u < 'a87ff679-a2f3-e71d-9181-a67b7542122c' ;;
        ip <<= '10.0.0.0/20' ;; host(ip) ;; ra @> 5 ;; ra && int4range(1, 100) ;; lower(ra) ;; int4range(i, i + 5) ;;
        hashint4(i) ;; b AND i > 3 ;; row(i, t) ;; i::text || t
    """,
    "sets": r"""
        $array_agg(i) ;; $string_agg(t, ',') ;; $sum(i) ;; $sum(n) ;; $avg(f) ;; $max(t) ;; $min(ts) ;;
        $count(DISTINCT i) ;; $jsonb_agg(i) ;; $stddev(f) ;; $bool_or(b) ;; !jsonb_array_elements(j -> 'tags') ;;
        !unnest(a) ;; !jsonb_each(j) ;; !regexp_split_to_table(t, ' ') ;; !string_to_table(t, ' ') ;;
        !generate_series(1, 3) ;; !jsonb_object_keys(j)
    """,
}
"""By family, separated by ``;;``. ``$``: an aggregate; ``!``: a set of rows, counted."""
_ROUNDS = 3


class Side:
    """A server and how its time is taken: its processor time where it runs on this machine, else the clock's."""

    def __init__(self, dsn: str, here: bool) -> None:
        self.connection: psycopg.Connection[tuple[int]] = psycopg.connect(dsn, autocommit=True)
        self._here = here
        address = str(self.connection.info.hostaddr or self.connection.info.host)
        pid = self.connection.execute("SELECT pg_backend_pid()").fetchone()
        self._schedule = Path(f"/proc/{pid[0] if pid else 0}/schedstat")
        command = Path(f"/proc/{pid[0] if pid else 0}/cmdline")
        self._own = address.startswith("127.") and command.exists() and b"postgres: " in command.read_bytes()

    def _now(self) -> float:
        if self._here:
            return time.process_time()
        if self._own:
            return int(self._schedule.read_text().split()[0]) / 1e9
        return time.perf_counter()

    def seconds(self, sql: str) -> float:
        """What one statement takes."""
        began = self._now()
        self.connection.execute(sql.encode()).fetchall()
        return self._now() - began


def statement(expression: str) -> str:
    """The statement that evaluates it for each row."""
    if expression.startswith("$"):
        return f"SELECT length({expression[1:]}::text) FROM values_of_types"
    if expression.startswith("!"):
        return f"SELECT count(*) FROM (SELECT {expression[1:]} FROM values_of_types) AS each"
    return f"SELECT count({expression}) FROM values_of_types"


@contextlib.contextmanager
def sides(arguments: argparse.Namespace) -> Iterator[list[Side]]:
    """PostgreSQL and ours: those whose DSNs were given, or servers started here."""
    with contextlib.ExitStack() as stack:
        postgres = arguments.postgres
        if not postgres:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)  # as root, PostgreSQL runs as another user
            started = Postgres(folder, "PostgreSQL")
            started.start()
            stack.callback(started.stop)
            postgres = started.dsn
        ours = arguments.dsn or stack.enter_context(aurora.cluster()).dsn
        both = [Side(postgres, False), Side(ours, not arguments.dsn)]
        for side in both:
            stack.callback(side.connection.close)
        yield both


def compared(both: list[Side], sql: str) -> tuple[float, float]:
    """The best time of each, in turns."""
    best = [9e9, 9e9]
    for _ in range(_ROUNDS):
        for at, side in enumerate(both):
            best[at] = min(best[at], side.seconds(sql))
    return best[0], best[1]


def main() -> None:
    """Compare and print a line an expression: milliseconds of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dsn")
    parser.add_argument("--postgres")
    parser.add_argument("only", nargs="?", default="")
    arguments = parser.parse_args()

    def line(name: str, times: tuple[float, float]) -> None:
        print(f"{name:52} {times[0] * 1000:9.1f} {times[1] * 1000:9.1f} ms  {times[1] / times[0]:6.1f} ×", flush=True)

    with sides(arguments) as both:
        for side in both:
            side.connection.execute(
                "DROP TABLE IF EXISTS values_of_types; SET max_parallel_workers_per_gather = 0; SET jit = off"
            )
            side.connection.execute(_TABLE.format(rows=arguments.rows).encode())
            side.connection.execute("VACUUM ANALYZE values_of_types")
        line("count(*)", compared(both, "SELECT count(*) FROM values_of_types"))
        for family, expressions in EXPRESSIONS.items():
            for expression in re.split(r"\s*;;\s*", expressions.strip()):
                if re.search(arguments.only, f"{family} {expression}"):
                    line(expression, compared(both, statement(expression)))
        for side in both:
            side.connection.execute("DROP TABLE values_of_types")


if __name__ == "__main__":
    main()
