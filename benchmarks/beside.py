"""Queries timed on PostgreSQL and on ours in turns: what `queries`, `tpch` and `join_order` share.

```
Query ─► both servers, once: the answers are compared, the caches are warm
      ─► round after round, one server and then the other ─► medians, ratio ─► Markdown, JSON
```

The time is the client's: from the statement's sending to its last row; with ``--cpu`` what PostgreSQL's backend and our
writer used of the processor meanwhile, which other work on the machine changes less. Parallel workers are off.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.compare import machine
from benchmarks.servers import Aurora, Postgres, Server

Connection = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]

THEIRS = "postgres"
OURS = "aurora"
SETTINGS = (
    "SET max_parallel_workers_per_gather = 0",
    "SET max_parallel_maintenance_workers = 0",
)


class Connections(dict[str, Connection]):
    """A connection to each server, by name. ``pids``: the processes that answer; ``by_cpu``: whether their processor
    time is what is measured."""

    def __init__(self, by_cpu: bool) -> None:
        super().__init__()
        self.by_cpu = by_cpu
        self.pids: dict[str, int] = {}

    def now(self, name: str) -> float:
        """Seconds, from some moment on."""
        return processor_seconds(self.pids[name]) if self.by_cpu else perf_counter()


def processor_seconds(pid: int) -> float:
    """What a process's threads have used so far (Linux)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


@dataclass(frozen=True)
class Query:
    """A query, and how long it may take as a multiple of PostgreSQL's time (None: no target)."""

    name: str
    sql: str
    target: float | None = None
    ordered: bool = True


@dataclass
class Timing:
    """What was measured for a query: seconds by server, a value a round; whether the answers were the same."""

    query: Query
    same: bool | None = None
    error: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, server: str) -> float | None:
        """Median seconds on a server; None when it did not answer there."""
        values = self.seconds.get(server)
        return statistics.median(values) if values else None

    @property
    def ratio(self) -> float | None:
        """Our median over PostgreSQL's."""
        theirs, ours = self.median(THEIRS), self.median(OURS)
        return ours / theirs if theirs and ours else None

    @property
    def over(self) -> bool:
        """Whether it takes longer than its target."""
        return self.query.target is not None and self.ratio is not None and self.ratio > self.query.target

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "name": self.query.name,
            "target": self.query.target,
            "ratio": self.ratio,
            "same": self.same,
            "error": self.error,
            "median_s": {server: self.median(server) for server in self.seconds},
            "all_s": self.seconds,
        }


@contextlib.contextmanager
def running(only_ours: bool = False, by_cpu: bool = False) -> Iterator[Connections]:
    """A connection to each server, started in a temporary folder and stopped at the end; PostgreSQL first."""
    root = Path(tempfile.mkdtemp(prefix="aurora-beside-"))
    root.chmod(0o755)
    servers: list[Server] = [Aurora(root, OURS)] if only_ours else [Postgres(root, THEIRS), Aurora(root, OURS)]
    try:
        for server in servers:
            server.start()
        with contextlib.ExitStack() as stack:
            connections = Connections(by_cpu)
            for server in servers:
                connection = stack.enter_context(psycopg.connect(server.dsn, autocommit=True))
                run_all(connection, SETTINGS)
                connections[server.name] = connection
                pid = server.cluster.pid(server.cluster.writer.id) if isinstance(server, Aurora) else None
                connections.pids[server.name] = pid or connection.info.backend_pid
            yield connections
    finally:
        for server in servers:
            try:
                server.stop()
            except Exception as error:  # the next server must be stopped all the same
                print(f"stopping {server.name}: {error}", file=sys.stderr)
        shutil.rmtree(root, ignore_errors=True)


def run_all(connection: Connection, statements: Iterable[str]) -> None:
    """Statements without results, one after the other."""
    for statement in statements:
        connection.execute(statement.encode())


def answer(connections: Connections, name: str, sql: str) -> tuple[Rows, float]:
    """The rows of a query, as psycopg reads them, and the seconds it took."""
    started = connections.now(name)
    rows = connections[name].execute(sql.encode()).fetchall()
    return rows, connections.now(name) - started


def equal(query: Query, theirs: Rows, ours: Rows) -> bool:
    """Whether both gave the same rows. Numerics are compared as text: the number of digits is part of the answer."""
    left, right = ([tuple(map(str, row)) for row in rows] for rows in (theirs, ours))
    return left == right if query.ordered else sorted(left) == sorted(right)


def measure(connections: Connections, queries: Sequence[Query], rounds: int) -> list[Timing]:
    """Each query once for its answer, then ``rounds`` times on each server in turns. An error is kept, not raised."""
    timings = []
    for query in queries:
        timing = Timing(query)
        timings.append(timing)
        try:
            answers = [answer(connections, name, query.sql)[0] for name in connections]
            if len(answers) == 2:
                timing.same = equal(query, *answers)
            del answers
            for _ in range(rounds):
                for name in connections:
                    timing.seconds.setdefault(name, []).append(answer(connections, name, query.sql)[1])
        except psycopg.Error as error:
            timing.error = f"{error.sqlstate} {str(error).splitlines()[0]}"
        print(f"  {line(timing)}", file=sys.stderr, flush=True)
    return timings


def line(timing: Timing) -> str:
    """One row of the table."""
    theirs, ours = timing.median(THEIRS), timing.median(OURS)
    cells = [timing.query.name]
    cells += [f"{value * 1000:,.0f}" if value is not None else "" for value in (theirs, ours)]
    cells.append(f"{timing.ratio:.2f}" if timing.ratio is not None else "")
    cells.append(f"{timing.query.target:g}" if timing.query.target is not None else "")
    notes = ["over"] if timing.over else []
    notes += ["other answer"] if timing.same is False else []
    notes += [timing.error] if timing.error else []
    cells.append(", ".join(notes))
    return "| " + " | ".join(cells) + " |"


def total(timings: Sequence[Timing], target: float | None) -> Timing:
    """The sum of the medians of all queries that both servers answered."""
    summed = Timing(Query("total", "", target))
    for server in (THEIRS, OURS):
        values = [timing.median(server) for timing in timings if not timing.error]
        if values and all(value is not None for value in values):
            summed.seconds[server] = [sum(value for value in values if value is not None)]
    return summed


def report(title: str, timings: Sequence[Timing], path: Path | None, **facts: Any) -> int:
    """Print the table and write it as JSON; the exit status is 1 when an answer differs or is missing."""
    head = f"{datetime.now(UTC).strftime('%Y-%m-%d')}, {machine()}"
    print(f"{title}; {head}. Milliseconds, medians.\n")
    print("| | PostgreSQL | ours | ratio | target | |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for timing in timings:
        print(line(timing))
    if path is not None:
        result = {"title": title, "machine": head, **facts, "queries": [timing.as_json() for timing in timings]}
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return int(any(timing.same is False or timing.error for timing in timings))
