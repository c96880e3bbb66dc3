"""How long others wait while one session does something heavy: `python -m benchmarks.stalls [--scale 1.0] [name …]`.

A cluster of its own (six storage nodes and a writer, on loopback). While each statement runs in one session, another
asks ``select 1`` again and again; printed are the largest and the 99th percentile of its latencies, and how long the
heavy statement took. Then the statement is started once more and canceled: the time from the cancel request to 57014.
``--scale`` makes the statements smaller.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg

from benchmarks.servers import Aurora

CANCEL_AFTER_S = 0.5
LIMIT_S = 20.0
"""A statement that takes longer is canceled: what matters is what it does to others."""

Heavy = Callable[[psycopg.Connection[Any]], object]


def sql(text: str) -> Heavy:
    """One statement, its rows read."""
    return lambda connection: connection.execute(text.encode())


def statements(scale: float) -> dict[str, Heavy]:
    """What is heavy, by name."""

    def times(count: float) -> int:
        return max(int(count * scale), 10)

    big = times(1_000_000)
    values = ",".join(f"({number},'value {number}')" for number in range(times(300_000)))
    inlist = ",".join(map(str, range(times(100_000))))
    text = times(100_000_000)
    source = f"generate_series(1, {big}) g"
    return {
        "nothing": sql("select pg_sleep(1)"),
        "sort": sql(f"select count(*) from (select md5(g::text) m from {source} order by m offset 0) s"),
        "sort of rows": sql("select count(*) from (select * from wide order by b, a offset 0) s"),
        "hash join": sql(f"select count(*) from {source} join generate_series(1, {big}) h on g = h"),
        "nested loop": sql(
            f"select count(*) from generate_series(1, {times(3000)}) a, generate_series(1, {times(3000)}) b"
        ),
        "aggregate": sql(f"select count(*) from (select g % 300000, count(*), sum(g) from {source} group by 1) s"),
        "distinct": sql(f"select count(*) from (select distinct g / 2 from {source}) s"),
        "set operation": sql(f"select count(*) from (select g from {source} except select g from {source}) s"),
        "recursion": sql(
            f"with recursive r(n) as (select 1 union all select n + 1 from r where n < {times(200_000)})"
            " select count(*) from r"
        ),
        "string_agg": sql(f"select length(string_agg(md5(g::text), ',' order by g desc)) from {source}"),
        "array_agg": sql(f"select array_length(array_agg(g), 1) from {source}"),
        "result of many rows": sql(f"select g, 'row ' || g from {source}"),
        "create index": sql("create index on wide (b); drop index wide_b_idx"),
        "create table as": sql("create table made as select * from wide; drop table made"),
        "update": sql("update wide set a = a + 1 where a % 4 = 0"),
        "vacuum": sql("vacuum wide"),
        "analyze": sql("analyze wide"),
        "values": sql(f"select count(*) from (values {values}) v"),
        "insert of values": sql(f"insert into target values {values}"),
        "in list": sql(f"select count(*) from wide where a in ({inlist})"),
        "long expression": sql("select " + " || ".join(["'x'"] * times(20_000))),
        "long literal": sql(f"select length('{'x' * text}')"),
        "insert of a long text": sql(f"insert into target values {values[: times(20_000_000)].rpartition(',(')[0]}"),
        "regex with backtracking": sql("select repeat('a', 30) || '!' ~ '^(a+)+$'"),
        "regex with a back reference": sql("select repeat('ab', 60) || 'c' ~ '^((a|b|ab)+)+\\1\\2$'"),
        "regex over a long text": sql(f"select regexp_count(repeat('abc ', {text // 4}), '\\w+')"),
        "like": sql(f"select repeat('a', {text // 10}) || 'b' like '%a%a_a%a%c'"),
        "repeat": sql(f"select length(repeat('x', {text}))"),
        "replace": sql(f"select length(replace(repeat('ab', {text // 2}), 'a', 'xy'))"),
        "md5": sql(f"select md5(repeat('x', {text}))"),
        "lpad": sql(f"select length(lpad('x', {text}, 'ab'))"),
        "upper": sql(f"select length(upper(repeat('xé', {text // 4})))"),
        "string_to_array": sql(f"select cardinality(string_to_array(repeat('a,', {text // 20}), ','))"),
        "factorial": sql(f"select length(factorial({times(20_000)})::text)"),
        "numeric power": sql(
            "select length((1.0000001::numeric ^ 1000000.5)::text), length((7::numeric ^ 100000)::text)"
        ),
    }


class Watch:
    """Asks ``select 1`` until it is stopped."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._stop = threading.Event()
        self.latencies_s: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._connection.cursor() as cursor:
            while not self._stop.is_set():
                began = monotonic()
                cursor.execute("select 1")
                self.latencies_s.append(monotonic() - began)
                sleep(0.002)

    def stop(self) -> list[float]:
        """The latencies, sorted."""
        self._stop.set()
        self._thread.join()
        self._connection.close()
        return sorted(self.latencies_s)


def _run(connection: psycopg.Connection[Any], heavy: Heavy, outcome: list[str]) -> None:
    try:
        heavy(connection)
        outcome.append("")
    except psycopg.Error as error:
        outcome.append(error.sqlstate or type(error).__name__)


def measure(dsn: str, heavy: Heavy) -> tuple[float, float, float, str, float | None]:
    """(seconds, largest latency, 99th percentile, its SQLSTATE, seconds from a cancel to its end)."""
    took, outcome, watch = 0.0, [""], Watch(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        sleep(0.1)
        took, outcome = _timed(connection, heavy, LIMIT_S)
        latencies = watch.stop()
        canceled: float | None = None
        if took > 1.5 * CANCEL_AFTER_S:
            spent, second = _timed(connection, heavy, CANCEL_AFTER_S)
            canceled = spent - CANCEL_AFTER_S if second == ["57014"] else None
    return took, latencies[-1], latencies[int(len(latencies) * 0.99)], outcome[0], canceled


def _timed(connection: psycopg.Connection[Any], heavy: Heavy, limit_s: float) -> tuple[float, list[str]]:
    outcome: list[str] = []
    began = monotonic()
    thread = threading.Thread(target=_run, args=(connection, heavy, outcome))
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        connection.cancel()
        thread.join()
    return monotonic() - began, outcome


def main() -> int:
    """Prints a table; the aim is 50 ms on a quiet machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these statements")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--dsn", help="a server that runs already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        dsn = args.dsn
        if dsn is None:
            server = Aurora(Path(folder))
            stack.callback(server.stop)
            server.start()
            dsn = server.dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("drop table if exists wide, target")
            connection.execute("create table wide (a int, b text)")
            connection.execute("create table target (a int, b text)")
            rows = max(int(200_000 * args.scale), 100)
            connection.execute(f"insert into wide select g, md5(g::text) from generate_series(1, {rows}) g".encode())
        print(f"{'':28} {'seconds':>8} {'max ms':>8} {'p99 ms':>8} {'cancel ms':>10}")
        for name, heavy in statements(args.scale).items():
            if args.names and name not in args.names:
                continue
            took, worst, high, error, canceled = measure(dsn, heavy)
            cancel = "" if canceled is None else f"{canceled * 1000:.0f}"
            print(f"{name:28} {took:8.2f} {worst * 1000:8.1f} {high * 1000:8.1f} {cancel:>10} {error}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
