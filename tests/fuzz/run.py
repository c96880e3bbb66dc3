"""Cases: make the tables, ask both ways, tell the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.choice import Choice
from tests.fuzz.oracles import TOO_LONG, Answer, Connection, ask, counted, parts, plans, same_rows
from tests.fuzz.queries import Queries
from tests.fuzz.tables import Table, make_tables

QUERIES_A_CASE = 10
TIMEOUT_MS = 2000


def connect(dsn: str) -> Connection:
    """Without statements that are prepared on the way: their tables are others in each case."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


class Difference(AssertionError):
    """Two ways gave other rows: the message is a script that shows it."""


@dataclass(slots=True)
class Tally:
    """What has been asked."""

    cases: int = 0
    queries: int = 0
    errors: int = 0
    late: int = 0
    told: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Servers:
    """``other`` is PostgreSQL, where there is one."""

    own: Connection
    other: Connection | None = None

    def both(self) -> list[Connection]:
        """All of them."""
        return [self.own] if self.other is None else [self.own, self.other]


def one_case(choice: Choice, servers: Servers, tally: Tally) -> None:
    """Tables of their own, some queries over them. Difference."""
    tables = make_tables(choice)
    script = [statement for table in tables for statement in table.statements]
    for connection in servers.both():
        connection.execute("BEGIN")
        connection.execute("DROP SCHEMA IF EXISTS fuzz CASCADE")
        connection.execute("CREATE SCHEMA fuzz")
        connection.execute("SET LOCAL search_path = fuzz")
        connection.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        for statement in script:
            connection.execute(statement)
    try:
        tally.cases += 1
        for _ in range(QUERIES_A_CASE):
            _one_query(choice, servers, tally, tables, script)
    finally:
        for connection in servers.both():
            connection.execute("ROLLBACK")


def _one_query(choice: Choice, servers: Servers, tally: Tally, tables: list[Table], script: list[str]) -> None:
    way = choice.of(("query", "query", "query", "parts", "counted") if servers.other else ("query", "parts", "counted"))
    tally.queries += 1

    def counted_own(sql: str) -> Answer:
        """Of the server that is tested, whose internal errors are differences from anything."""
        found = _guarded(servers.own, sql)
        if found.error:
            tally.errors += 1
            tally.late += found.error.startswith(TOO_LONG)
            tally.told[found.error] = tally.told.get(found.error, 0) + 1
        if found.error.startswith("XX"):
            raise Difference(_told(script, sql, "an internal error", found, sql, found))
        return found

    if way != "query":
        one, other = (parts if way == "parts" else counted)(choice, tables)
        found = [counted_own(sql) for sql in (one, other)]
        if not same_rows(found[0], found[1], False):
            raise Difference(_told(script, one, way, found[0], other, found[1]))
        return
    made = Queries(choice, tables).statement()
    own = counted_own(made.text)
    if servers.other is not None:
        theirs = _guarded(servers.other, made.text)
        if not same_rows(own, theirs, made.is_ordered):
            raise Difference(_told(script, made.text, "PostgreSQL", own, made.text, theirs))
    if not own.error and choice.chance(30):
        servers.own.execute("SAVEPOINT p")
        for name, answer in plans(servers.own, made.text):
            if answer.error:
                servers.own.execute("ROLLBACK TO p")
            if not same_rows(own, answer, made.is_ordered):
                raise Difference(_told(script, made.text, f"{name} = off", own, made.text, answer))


def _guarded(connection: Connection, sql: str) -> Answer:
    connection.execute("SAVEPOINT q")
    found = ask(connection, sql)
    if found.error:
        connection.execute("ROLLBACK TO q")
    return found


def _told(script: list[str], one: str, way: str, first: Answer, other: str, second: Answer) -> str:
    lines = [*(f"{each};" for each in script), f"{one};", f"-- {first}", f"-- the other way: {way}"]
    if other != one:
        lines.append(f"{other};")
    return "\n".join([*lines, f"-- {second}"])


def fuzz(servers: Servers, first: int, cases: int, tell: Callable[[Tally], None] | None = None) -> Tally:
    """So many cases from a seed on. Difference, shrunk."""
    tally = Tally()

    @seed(first)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        one_case(Choice(data.draw), servers, tally)
        if tell is not None and not tally.cases % 100:
            tell(tally)

    run()
    return tally
