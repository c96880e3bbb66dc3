"""Whether sizes level off under a day of changes: ``python -m benchmarks.bloat [--minutes 12] [--rate 10]
[--postgres DSN] [--result FILE]``.

A day at ``rate`` row changes a second (864,000 at 10) is pressed into ``minutes``, on our cluster of processes (six
storage nodes and a writer, on loopback) and on PostgreSQL, which is started too unless ``DSN`` names one (its schema
``bloat`` is dropped). Both get the same changes in the same order, one step after the other:

| table | what happens to it |
| --- | --- |
| ``accounts`` | updates of a column without an index (heap-only where there is room) |
| ``dues`` | updates of an indexed column that always grows: entries leave one end of the index and come at the other |
| ``slots`` | keys of a table that its index covers are moved about |
| ``documents`` | wide values, stored out of line, are replaced |
| ``queue`` | rows are inserted at one end and deleted at the other, and some in the middle |

Autovacuum runs at its defaults but for ``autovacuum_naptime``, 5 s. Four times a day a reader keeps a snapshot for an
hour. At 48 moments of the day the sizes of tables, indexes and TOAST tables, the
dead rows and (ours) the volume's pages are noted. Printed are sizes at the quarters, and the largest of the last
quarter of the day over the largest of the second one. Ends with status 1 where ours has grown by more than ``--most``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg

from benchmarks.servers import Aurora, Postgres

Connection = psycopg.Connection[Any]
DAY_S = 86_400
SAMPLES = 48
SNAPSHOTS = 4
HOURS = 24
STEP_ROWS = 100
"""Row changes of a step's statement; wide values are fewer."""
NAP = "5s"
ACCOUNTS, DUES, SLOTS, DOCUMENTS, QUEUE = 5_000, 5_000, 5_000, 500, 5_000
WIDE_ROWS = 10
TABLES = ("accounts", "dues", "slots", "documents", "queue")
SETUP = f"""
DROP SCHEMA IF EXISTS bloat CASCADE;
CREATE SCHEMA bloat;
SET search_path = bloat;
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, filler text);
CREATE TABLE dues (id int PRIMARY KEY, due bigint NOT NULL, filler text);
CREATE TABLE slots (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE documents (id int PRIMARY KEY, body text);
ALTER TABLE documents ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE queue (id bigint PRIMARY KEY, kind int NOT NULL, payload text);
INSERT INTO accounts SELECT g, 0, repeat('f', 84) FROM generate_series(1, {ACCOUNTS}) g;
INSERT INTO dues SELECT g, g, repeat('f', 60) FROM generate_series(1, {DUES}) g;
CREATE INDEX ON dues (due);
INSERT INTO slots SELECT g, 0 FROM generate_series(1, {SLOTS}) g;
INSERT INTO documents SELECT g, repeat('x', 6000) FROM generate_series(1, {DOCUMENTS}) g;
INSERT INTO queue SELECT g, g % 7, repeat('q', 100) FROM generate_series(1, {QUEUE}) g;
CREATE INDEX ON queue (kind);
"""
SIZES = """
SELECT c.relname, pg_relation_size(c.oid), pg_indexes_size(c.oid),
       CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END,
       coalesce(pg_stat_get_dead_tuples(c.oid), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bloat' AND c.relkind = 'r' ORDER BY 1
"""
PARTS = ("table", "indexes", "toast")


@dataclass
class Load:
    """The changes, as they follow from a seed: the same for every server."""

    chance: random.Random
    clock: int = DUES
    last: int = QUEUE
    first: int = 0
    done: int = 0

    def step(self) -> tuple[int, list[tuple[str, tuple[object, ...]]]]:
        """The next statements of one transaction, and how many rows they change."""
        self.done += 1
        chance = self.chance
        kind = self.done % 5
        some = chance.sample(range(1, ACCOUNTS + 1), STEP_ROWS)
        if kind == 0:
            return STEP_ROWS, [("UPDATE accounts SET balance = balance + 1 WHERE id = ANY(%s)", (some,))]
        if kind == 1:
            self.clock += 1
            return STEP_ROWS, [("UPDATE dues SET due = %s::bigint WHERE id = ANY(%s)", (self.clock + DUES, some))]
        if kind == 2:
            text = "UPDATE slots SET b = b + 1 + a %% 7 WHERE a = ANY(%s)"
            return STEP_ROWS, [(text, (some,))]
        if kind == 3:
            few = chance.sample(range(1, DOCUMENTS + 1), WIDE_ROWS)
            text = "UPDATE documents SET body = repeat('y', %s) WHERE id = ANY(%s)"
            return WIDE_ROWS, [(text, (chance.randrange(3_000, 12_000), few))]
        put = "INSERT INTO queue SELECT g, g %% 7, repeat('q', 100) FROM generate_series(%s::bigint, %s::bigint) g"
        self.last += STEP_ROWS
        # One row in fifty stays behind and goes later, so that leaves are emptied bit by bit.
        self.first = self.last - QUEUE
        take = "DELETE FROM queue WHERE id <= %s AND (id %% 50 <> 0 OR id <= %s)"
        return 2 * STEP_ROWS, [
            (put, (self.last - STEP_ROWS + 1, self.last)),
            (take, (self.first, self.first - 4 * QUEUE)),
        ]


@dataclass
class Measured:
    """A server under the load: its samples, one a moment."""

    name: str
    dsn: str
    volume: Callable[[], dict[str, int]] | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.load = Load(random.Random(20))
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        for statement in SETUP.split(";"):
            if statement.strip():
                self.connection.execute(statement.encode())
        self.reader: Connection | None = None

    def step(self) -> int:
        """One transaction; the rows that it changed."""
        rows, statements = self.load.step()
        with self.connection.transaction():
            for text, values in statements:
                self.connection.execute(text.encode(), values)
        return rows

    def hold(self, wanted: bool) -> None:
        """Have a reader with an old snapshot, or none."""
        if wanted and self.reader is None:
            self.reader = psycopg.connect(self.dsn)
            self.reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.reader.execute("SELECT count(*) FROM bloat.accounts")
        elif not wanted and self.reader is not None:
            self.reader.rollback()
            self.reader.close()
            self.reader = None

    def sample(self, hour: float, rows: int) -> None:
        """Note the sizes, in bytes."""
        sizes = {
            name: {"table": heap, "indexes": indexes, "toast": toast, "dead rows": dead}
            for name, heap, indexes, toast, dead in self.connection.execute(SIZES.encode())
        }
        noted: dict[str, Any] = {"hour": round(hour, 2), "rows changed": rows, "sizes": sizes}
        if self.volume is not None:
            status = self.volume()
            noted["volume"] = {name: status[name] for name in ("used_bytes", "allocated_bytes")}
        self.samples.append(noted)

    def close(self) -> None:
        """End the sessions."""
        self.hold(False)
        self.connection.close()


def _held(share: float) -> bool:
    """Whether a reader keeps a snapshot at this part of the day: the last hour before 6, 12, 18 and 24 but one."""
    part = share * SNAPSHOTS % 1.0
    length = SNAPSHOTS / HOURS
    return 0.5 <= part < 0.5 + length


def run(servers: list[Measured], minutes: float, changes: int) -> float:
    """The whole day; the minutes that it took. A server that is slower makes it longer, not less."""
    began, rows, taken = monotonic(), 0, 0
    while rows < changes:
        share = rows / changes
        if share >= taken / SAMPLES:
            for server in servers:
                server.sample(share * HOURS, rows)
            taken += 1
        for server in servers:
            server.hold(_held(share))
        for server in servers:
            counted = server.step()
        rows += counted
        ahead = began + share * minutes * 60 - monotonic()
        if ahead > 0:
            sleep(ahead)
    sleep(15)  # what autovacuum still has to do is a part of the day
    for server in servers:
        server.sample(HOURS, rows)
    return (monotonic() - began) / 60


def growth(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Of each part that is larger than a few pages: the largest of the day's last quarter over that of the second."""
    found: dict[str, float] = {}
    second = [each for each in samples if HOURS / 4 <= each["hour"] < HOURS / 2]
    last = [each for each in samples if each["hour"] >= HOURS * 3 / 4]
    for table in TABLES:
        for part in PARTS:
            before = max(each["sizes"][table][part] for each in second)
            after = max(each["sizes"][table][part] for each in last)
            if max(before, after) > 64 * 8192:
                found[f"{table}, {part}"] = after / before
    if "volume" in samples[0]:
        for part in ("used_bytes", "allocated_bytes"):
            found[f"volume, {part}"] = max(e["volume"][part] for e in last) / max(e["volume"][part] for e in second)
    return found


def report(servers: list[Measured]) -> None:
    """Sizes in MiB at the quarters, and the growth."""
    for server in servers:
        print(server.name)
        quarters = [server.samples[len(server.samples) * at // 4 - (at == 4)] for at in range(5)]
        grown = growth(server.samples)
        for table in TABLES:
            for part in PARTS:
                values = [each["sizes"][table][part] / (1 << 20) for each in quarters]
                if any(values):
                    ratio = grown.get(f"{table}, {part}")
                    shown = "" if ratio is None else f"   last / second quarter {ratio:.2f}"
                    print(f"  {table:10} {part:8}" + "".join(f"{value:9.2f}" for value in values) + shown)
        for part in ("used_bytes", "allocated_bytes"):
            if "volume" in quarters[0]:
                values = [each["volume"][part] / (1 << 20) for each in quarters]
                print(f"  {'volume':10} {part[:8]:8}" + "".join(f"{value:9.2f}" for value in values)
                      + f"   last / second quarter {grown[f'volume, {part}']:.2f}")  # fmt: skip


def _look_often(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET autovacuum_naptime = '{NAP}'".encode())
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def _postgres(folder: Path, dsn: str | None) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    server = Postgres(folder, "PostgreSQL")
    server.start()
    try:
        _look_often(server.dsn)
        yield server.dsn
    finally:
        server.stop()


def main() -> int:
    """Measure and print; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12.0, help="how long the day takes at least")
    parser.add_argument("--rate", type=float, default=10.0, help="row changes a second of the day")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL that runs")
    parser.add_argument("--most", type=float, default=1.15)
    parser.add_argument("--result", type=Path, help="where all samples go, as JSON")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bloat-"))
    folder.chmod(0o755)
    aurora = Aurora(folder)
    aurora.start()
    _look_often(aurora.dsn)
    try:
        with _postgres(folder, options.postgres) as dsn:
            servers = [Measured("Aurora", aurora.dsn, aurora.volume), Measured("PostgreSQL", dsn)]
            changes = int(DAY_S * options.rate)
            taken = run(servers, options.minutes, changes)
            for server in servers:
                server.close()
    finally:
        aurora.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{changes} row changes, a day at {options.rate:g} a second, in {taken:.1f} minutes; MiB at each quarter")
    report(servers)
    if options.result is not None:
        result = {"rows": changes, "minutes": round(taken, 1), "samples": {each.name: each.samples for each in servers}}
        options.result.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if max(growth(servers[0].samples).values()) <= options.most else 1


if __name__ == "__main__":
    sys.exit(main())
