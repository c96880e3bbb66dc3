"""Cases: make the tables, ask both ways, show the difference.

A case is its two numbers, (seed, case); a query of it has a third. Each is made again from them alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg

from tests.fuzz.changes import change
from tests.fuzz.choice import Choice, drawn_again, drawn_from
from tests.fuzz.composed import statement
from tests.fuzz.oracles import Answer, Connection, ask, ask_with, counted, parts, same_rows, settings
from tests.fuzz.queries import Queries
from tests.fuzz.scalars import PROLOGUE, quoted
from tests.fuzz.shrink import shrunk
from tests.fuzz.tables import Table, make_tables

QUERIES_A_CASE = 25
SHRINK_ATTEMPTS = 120
OPTIONS = "-c search_path=fuzz -c statement_timeout={} -c timezone=UTC -c max_parallel_workers_per_gather=0"
WAYS = ("query",) * 8 + ("prepared", "prepared", "change", "change", "change", "setting", "parts", "counted")
_PARAMETER = re.compile(r"\$(\d+)(?=::)")
OWN_WAYS = ("setting", "setting", "parts", "counted")
"""Those that need no other server."""
VIEW_WAYS = ("view",)
"""What is asked with ``--views``: a view's definition gives the view's rows, and EXPLAIN says something of it"""


def connect(dsn: str, timeout_ms: int = 2000) -> Connection:
    """Without statements that are prepared on the way: their tables are others in each case."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None, options=OPTIONS.format(timeout_ms))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was asked, and why it is a difference."""

    script: list[str]
    way: str
    own: Answer
    other: Answer

    @property
    def kind(self) -> tuple[str, str, str]:
        """What stays the same while it shrinks."""
        return self.way.split(":")[0], self.own.error[:5], self.other.error[:5]

    @property
    def message(self) -> str:
        """What is shown once only; differences of rows are all shown."""
        errors = (self.own.error, self.other.error)
        return " / ".join(errors) if any(errors) else "\n".join(self.script)


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
    differences: int = 0
    known: set[str] = field(default_factory=set)
    """Messages of differences"""


@dataclass(frozen=True, slots=True)
class Servers:
    """``other`` is PostgreSQL, where there is one."""

    own: Connection
    other: Connection | None = None
    views: bool = False

    def both(self) -> list[Connection]:
        """All of them."""
        return [self.own] if self.other is None else [self.own, self.other]

    def prepare(self) -> None:
        """The schema and its types."""
        for connection in self.both():
            for each in PROLOGUE:
                connection.execute(each)


@contextmanager
def made(servers: Servers, tables: Sequence[Table]) -> Iterator[Outcome | None]:
    """The tables on each server, as long as it lasts; a statement that one of them refuses is a difference."""
    refused: Outcome | None = None
    try:
        for table in tables:
            for each in table.statements:
                answers = [ask(connection, each) for connection in servers.both()]
                if refused is None and not same_rows(answers[0], answers[-1], True):
                    refused = Outcome([each], "tables", answers[0], answers[-1])
        yield refused
    finally:
        for connection in servers.both():
            for table in tables:
                connection.execute(f"DROP TABLE IF EXISTS {table.name}")


def check(choice: Choice, servers: Servers, tables: Sequence[Table], tally: Tally) -> Outcome | None:
    """One query of one way. The difference, if there is one."""
    way = choice.of(VIEW_WAYS if servers.views else WAYS if servers.other else OWN_WAYS)
    outcome = _WAYS[way](choice, servers, tables)
    tally.queries += 1
    if outcome.own.error:
        tally.errors += 1
        tally.late += outcome.own.is_late
        tally.told[outcome.own.error] = tally.told.get(outcome.own.error, 0) + 1
    internal = outcome.own.error.startswith("XX")
    if internal or not same_rows(outcome.own, outcome.other, outcome.way.endswith(": in order")):
        return outcome
    return None


def _query(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    query = statement(Queries(choice, tables))
    binary = choice.chance(10)
    sets = [f"SET {each}" for each in settings(choice)] if choice.chance(30) else []
    own = _with_settings(servers.own, sets, query.text, binary)
    other = ask(servers.other, query.text, binary) if servers.other and not own.is_late else own
    return Outcome([*sets, query.text], _ordered("PostgreSQL", query.is_ordered), own, other)


def _ordered(way: str, is_ordered: bool) -> str:
    return f"{way}: in order" if is_ordered else way


def _with_settings(connection: Connection, sets: Sequence[str], text: str, binary: bool = False) -> Answer:
    for each in sets:
        connection.execute(each)
    try:
        return ask(connection, text, binary)
    finally:
        if sets:
            connection.execute("RESET ALL")


def _setting(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    query = statement(Queries(choice, tables))
    sets = [f"SET {each}" for each in settings(choice)]
    own = ask(servers.own, query.text)
    other = _with_settings(servers.own, sets, query.text)
    return Outcome([query.text, *sets, query.text], _ordered("settings", query.is_ordered), own, other)


def _prepared(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    choice.parameters = []
    query = statement(Queries(choice, tables))
    parameters, choice.parameters = choice.parameters, None
    # Some of what was made is in the text no more; a parameter that nobody names has no type.
    used = sorted({int(found) for found in _PARAMETER.findall(query.text)})
    parameters = [parameters[number - 1] for number in used]
    query = replace(query, text=_PARAMETER.sub(lambda found: f"${used.index(int(found[1])) + 1}", query.text))
    first = [value for _, value in parameters]
    mode = choice.of(("auto", "force_custom_plan", "force_generic_plan"))
    lists = [first for _ in range(choice.of((1, 2, 7)))]
    sets = [f"SET plan_cache_mode = {mode}"]
    shown = [f"PREPARE p ({', '.join(kind for kind, _ in parameters)}) AS {query.text}".replace(" () ", " ")]
    values = ", ".join(quoted(value) for value in first)
    shown += [f"EXECUTE p{f'({values})' if values else ''}"] * len(lists)
    servers.own.execute(sets[0])
    try:
        own = ask_with(servers.own, query.text, lists)
    finally:
        servers.own.execute("RESET ALL")
    other = ask_with(servers.other, query.text, lists) if servers.other and not own.is_late else own
    return Outcome([*sets, *shown], _ordered("prepared", query.is_ordered), own, other)


def _change(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    texts = [change(choice, tables) for _ in range(choice.of((1, 1, 2)))]
    after = [f"SELECT * FROM {table.name}" for table in tables]
    answers = []
    for connection in servers.both():
        connection.execute("BEGIN")
        try:
            answers.append(_together([ask(connection, each) for each in (*texts, *after)]))
        finally:
            connection.execute("ROLLBACK")
    return Outcome(["BEGIN", *texts, *after, "ROLLBACK"], "change", answers[0], answers[-1])


def _together(answers: Sequence[Answer]) -> Answer:
    """The answers of statements of one transaction, of which the first error is that of all."""
    for each in answers:
        if each.error:
            return each
    rows = [(at, *row) for at, each in enumerate(answers) for row in each.rows]
    return Answer(rows, tuple(column for each in answers for column in each.columns))


def _view(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    """The query, and what its view's definition says of it; EXPLAIN says something of it."""
    query = statement(Queries(choice, tables))
    text = query.text.replace(" FOR UPDATE", "")
    own = ask(servers.own, text)
    way = _ordered("view", query.is_ordered)
    told = ask(servers.own, f"EXPLAIN (VERBOSE) {text}")
    if told.error and not own.error:
        return Outcome([f"EXPLAIN (VERBOSE) {text}"], way, told, replace(own, rows=[]))
    made_view = ask(servers.own, f"CREATE VIEW v AS {text}")
    if own.error or made_view.error:
        ask(servers.own, "DROP VIEW IF EXISTS v")
        refused = own if made_view.is_late else replace(made_view, rows=own.rows, columns=own.columns)
        return Outcome([text, f"CREATE VIEW v AS {text}"], way, own, refused)
    try:
        definition = ask(servers.own, "SELECT pg_get_viewdef('v'::regclass)").rows[0][0].decode().rstrip(";")
        other = ask(servers.own, definition)
    finally:
        servers.own.execute("DROP VIEW v")
    return Outcome([text, f"-- the view's definition\n{definition}"], way, own, other)


def _parts(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    one, other = parts(choice, tables)
    return Outcome([one, other], "parts", ask(servers.own, one), ask(servers.own, other))


def _counted(choice: Choice, servers: Servers, tables: Sequence[Table]) -> Outcome:
    one, other = counted(choice, tables)
    return Outcome([one, other], "counted", ask(servers.own, one), ask(servers.own, other))


_WAYS: dict[str, Callable[[Choice, Servers, Sequence[Table]], Outcome]] = {
    "query": _query,
    "setting": _setting,
    "prepared": _prepared,
    "change": _change,
    "view": _view,
    "parts": _parts,
    "counted": _counted,
}


def one_case(servers: Servers, first: int, case: int, tally: Tally, found: Callable[[str], None]) -> None:
    """Tables of their own, some queries over them; each difference, shrunk, is given to ``found``."""
    at_tables = Choice(drawn_from(first, case))
    tables = make_tables(at_tables)
    failed: list[tuple[list[int], Outcome, int]] = []
    tally.cases += 1
    with made(servers, tables) as refused:
        if refused is not None and refused.message not in tally.known:
            tally.known.add(refused.message)
            failed.append(([], refused, -1))
        for number in range(0 if refused else QUERIES_A_CASE):
            choice = Choice(drawn_from(first, case, number))
            outcome = check(choice, servers, tables, tally)
            if outcome is not None and outcome.message not in tally.known:
                tally.known.add(outcome.message)
                simpler = _simpler_query(servers, tables, choice.made, outcome)
                failed.append((simpler, outcome, number))
    for query, outcome, number in failed:
        tally.differences += 1
        found(_simplest(servers, at_tables.made, query, outcome, f"seed {first}, case {case}, query {number}"))


def _simpler_query(servers: Servers, tables: Sequence[Table], query: Sequence[int], outcome: Outcome) -> list[int]:
    def fails(offered: Sequence[int]) -> Sequence[int] | None:
        choice = Choice(drawn_again(offered))
        again = check(choice, servers, tables, Tally())
        return choice.made if again is not None and again.kind == outcome.kind else None

    return shrunk(query, fails, SHRINK_ATTEMPTS)


def _simplest(servers: Servers, tables: Sequence[int], query: Sequence[int], outcome: Outcome, place: str) -> str:
    def again(offered: Sequence[int]) -> tuple[Choice, list[Table], Outcome | None]:
        choice = Choice(drawn_again(offered))
        some = make_tables(choice)
        with made(servers, some) as refused:
            return choice, some, refused or check(Choice(drawn_again(query)), servers, some, Tally())

    def fails(offered: Sequence[int]) -> Sequence[int] | None:
        choice, _, found = again(offered)
        return choice.made if found is not None and found.kind == outcome.kind else None

    simple = shrunk(tables, fails, SHRINK_ATTEMPTS // 8)
    _, some, found = again(simple)
    shown = found or outcome
    lines = [f"-- {place}: {shown.way}"]
    lines += [f"{each};" for table in some for each in table.statements]
    lines += [f"{each};" for each in shown.script]
    return "\n".join([*lines, f"-- {_shown(shown.own)}", f"-- the other way: {_shown(shown.other)}"])


def _shown(answer: Answer) -> str:
    return answer.error or f"{answer.rows[:20]} {answer.columns}"


def fuzz(
    servers: Servers,
    first: int,
    cases: int,
    found: Callable[[str], None],
    tell: Callable[[Tally], None] | None = None,
    start: int = 0,
) -> Tally:
    """So many cases from a seed on."""
    tally = Tally()
    servers.prepare()
    for case in range(start, start + cases):
        one_case(servers, first, case, tally, found)
        if tell is not None and not tally.cases % 20:
            tell(tally)
    return tally
