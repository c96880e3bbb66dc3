"""Cases: make the tables, ask both ways, show the difference.

A case is its two numbers, (seed, case); a query of it has a third. Each is made again from them alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import psycopg

from tests.fuzz.bulk import BULK_SETTINGS, BulkQueries, bulk_tables
from tests.fuzz.changes import change
from tests.fuzz.choice import Choice, drawn_again, drawn_from
from tests.fuzz.composed import ordered, statement
from tests.fuzz.documented import documented
from tests.fuzz.oracles import (
    OWN_SETTINGS,
    Answer,
    Connection,
    ask,
    ask_with,
    copied,
    counted,
    parts,
    same_rows,
    with_flags_of_nulls,
)
from tests.fuzz.queries import Queries, Select, ViewQueries
from tests.fuzz.scalars import SCALARS, TYPES_MADE, quoted
from tests.fuzz.shrink import shrunk
from tests.fuzz.tables import Table, make_tables

QUERIES_A_CASE = 50
SHRINK_ATTEMPTS = 120
SCHEMA = "fuzz"
OPTIONS = "-c search_path={} -c statement_timeout={} -c timezone=UTC -c max_parallel_workers_per_gather=0"
_PARAMETER = re.compile(r"\$(\d+)(?=::)")


def connect(dsn: str, timeout_ms: int = 2000, schema: str = SCHEMA) -> Connection:
    """Without statements that are prepared on the way: their tables are others in each case."""
    options = OPTIONS.format(schema, timeout_ms)
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None, options=options)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cases: their tables, the queries over them, and what is asked. ``ways`` beside another server,
    ``own_ways`` without one."""

    name: str
    tables: Callable[[Choice], list[Table]]
    queries: Callable[[Choice, Sequence[Table]], Queries]
    settings: Sequence[str]
    ways: Sequence[str]
    own_ways: Sequence[str] = ("setting", "setting", "parts", "counted")


_WAYS_OF_MIXED = ("query",) * 7 + ("prepared", "prepared", "change", "change", "change", "setting", "parts", "counted")
_WAYS_OF_MIXED += ("cursor", "copy")
MIXED = Kind("mixed", make_tables, Queries, OWN_SETTINGS, _WAYS_OF_MIXED)
_WAYS_OF_BULK = ("query",) * 12 + ("setting", "setting", "prepared", "counted", "parts", "cursor", "copy")
BULK = Kind("bulk", bulk_tables, BulkQueries, BULK_SETTINGS, _WAYS_OF_BULK)
VIEWS = Kind("views", make_tables, ViewQueries, OWN_SETTINGS, ("view",), ("view",))
"""A view's definition gives the view's rows, and EXPLAIN says something of it."""
KINDS = (MIXED, BULK, MIXED, VIEWS)
"""One after the other, by a case's number"""


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
    """Cut short here, and so not compared"""
    late_elsewhere: int = 0
    """Cut short by PostgreSQL alone: not compared either"""
    late_at: list[str] = field(default_factory=list)
    """Where both kinds of late ones are: seed, case, query"""
    told: dict[str, int] = field(default_factory=dict)
    documented: dict[str, int] = field(default_factory=dict)
    """Differences that are lines of docs/differences.md: how many of each"""
    differences: int = 0
    known: set[str] = field(default_factory=set)
    """Messages of differences"""

    def add(self, other: Tally) -> None:
        """What another one has counted."""
        for each in fields(self):
            one, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(one, int):
                setattr(self, each.name, one + more)
        self.late_at += other.late_at
        for own, more in ((self.told, other.told), (self.documented, other.documented)):
            for told, count in more.items():
                own[told] = own.get(told, 0) + count


@dataclass(frozen=True, slots=True)
class Servers:
    """``other`` is PostgreSQL, where there is one; ``schema``: where the tables are, on both."""

    own: Connection
    other: Connection | None = None
    schema: str = SCHEMA

    def both(self) -> list[Connection]:
        """All of them."""
        return [self.own] if self.other is None else [self.own, self.other]

    def prepare(self) -> None:
        """The schema and its types."""
        for connection in self.both():
            connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
            for each in (f"CREATE SCHEMA {self.schema}", *TYPES_MADE):
                connection.execute(each)


@contextmanager
def _unhurried(connections: Sequence[Connection]) -> Iterator[None]:
    """Statements of the body have no timeout: one that ends while it commits closes the connection (08007)."""
    for connection in connections:
        connection.execute("SET statement_timeout = 0")
    yield
    for connection in connections:
        connection.execute("RESET statement_timeout")


@contextmanager
def made(servers: Servers, tables: Sequence[Table]) -> Iterator[Outcome | None]:
    """The tables on each server, as long as it lasts; a statement that one of them refuses is a difference."""
    refused: Outcome | None = None
    try:
        with _unhurried(servers.both()):
            for table in tables:
                for each in table.statements:
                    answers = [ask(connection, each) for connection in servers.both()]
                    if refused is None and not same_rows(answers[0], answers[-1], True):
                        refused = Outcome([each], "tables", answers[0], answers[-1])
        yield refused
    finally:
        with _unhurried(servers.both()):
            for connection in servers.both():
                for table in tables:
                    connection.execute(f"DROP TABLE IF EXISTS {table.name}")


@dataclass(frozen=True, slots=True)
class Case:
    """The tables of a case, and whom to ask."""

    kind: Kind
    servers: Servers
    tables: Sequence[Table]

    def statement(self, choice: Choice) -> Select:
        """A query."""
        return statement(self.kind.queries(choice, self.tables))

    def settings(self, choice: Choice) -> list[str]:
        """SET of some that must not change an answer."""
        return [f"SET {each}" for each in choice.some(self.kind.settings, 1, choice.of((1, 2, 4)))]


def check(choice: Choice, case: Case, tally: Tally) -> Outcome | None:
    """One query of one way. The difference, if there is one."""
    way = choice.of(case.kind.ways if case.servers.other else case.kind.own_ways)
    choice.expression_depth = choice.of((3, 1, 2))
    outcome = _WAYS[way](choice, case)
    tally.queries += 1
    if outcome.own.error:
        tally.errors += 1
        tally.late += outcome.own.is_late
        tally.told[outcome.own.error] = tally.told.get(outcome.own.error, 0) + 1
    tally.late_elsewhere += outcome.other.is_late and not outcome.own.is_late
    internal = outcome.own.error.startswith("XX")
    if internal or not same_rows(outcome.own, outcome.other, outcome.way.endswith(": in order")):
        reason = documented(outcome.own, outcome.other)
        if reason is None:
            return outcome
        tally.documented[reason] = tally.documented.get(reason, 0) + 1
    return None


def _query(choice: Choice, case: Case) -> Outcome:
    query = case.statement(choice)
    # In binary an array says which type its elements have: each server has numbers of its own.
    binary = choice.chance(10) and "pair[]" not in query.types
    sets = case.settings(choice) if choice.chance(60 if case.kind is BULK else 30) else []
    own = _with_settings(case.servers.own, sets, query.text, binary)
    other = _elsewhere(case, own, lambda server: ask(server, query.text, binary))
    if binary:
        other = with_flags_of_nulls(other, query.types)
    return Outcome([*sets, query.text], _ordered("PostgreSQL", query.is_ordered), own, other)


def _elsewhere(case: Case, own: Answer, asked: Callable[[Connection], Answer]) -> Answer:
    """What PostgreSQL answers; what we do, where there is none, or where we took too long."""
    return own if case.servers.other is None or own.is_late else asked(case.servers.other)


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


def _setting(choice: Choice, case: Case) -> Outcome:
    query = case.statement(choice)
    sets = case.settings(choice)
    own = ask(case.servers.own, query.text)
    other = _with_settings(case.servers.own, sets, query.text)
    return Outcome([query.text, *sets, query.text], _ordered("settings", query.is_ordered), own, other)


def _cursor(choice: Choice, case: Case) -> Outcome:
    """A cursor that goes some rows on, and back. Only an order that is said makes its parts those of the other side."""
    queries = case.kind.queries(choice, case.tables)
    query = ordered(queries, queries.query([], 0))
    kind = choice.of(("SCROLL ", "", "NO SCROLL "))
    ways = ["NEXT", "3", "FORWARD 2", "ALL"]
    if kind == "SCROLL ":
        ways += [
            "PRIOR",
            "FIRST",
            "LAST",
            "ABSOLUTE 2",
            "RELATIVE -1",
            "BACKWARD 2",
            "BACKWARD ALL",
            "ABSOLUTE -2",
            "0",
        ]
    fetches = [f"{choice.of(('FETCH', 'FETCH', 'MOVE'))} {choice.of(ways)} IN c" for _ in range(choice.number(1, 5))]
    hold = choice.of(("", "WITH HOLD "))
    script = ["BEGIN", f"DECLARE c {kind}CURSOR {hold}FOR {query.text}", *fetches[:2]]
    script += ["COMMIT", *fetches[2:], "CLOSE c"] if hold else [*fetches[2:], "COMMIT"]
    if not query.is_ordered:
        script = [f"SELECT count(*) FROM ({query.text}) s"]
    own = _transaction(case.servers.own, script)
    other = _elsewhere(case, own, lambda server: _transaction(server, script))
    return Outcome(script, "cursor: in order", own, other)


def _transaction(connection: Connection, script: Sequence[str]) -> Answer:
    """What statements answer one after the other, to the first error; then nothing of them is left."""
    answers: list[Answer] = []
    try:
        for each in script:
            answers.append(ask(connection, each))
            if answers[-1].error:
                break
    finally:
        connection.execute("ROLLBACK")
        connection.execute("CLOSE ALL")
    return _together(answers)


_COPY_FORMS = ("", " (FORMAT csv)", " (FORMAT csv, FORCE_QUOTE *)", " (FORMAT csv, HEADER, DELIMITER ';', NULL 'n')")
_COPY_FORMS += (" (FORMAT binary)", " (DELIMITER '|', NULL '')")


def _copy(choice: Choice, case: Case) -> Outcome:
    query = case.statement(choice)
    form = choice.of(_COPY_FORMS)
    if "binary" in form and "pair[]" in query.types:
        # See ``_query``.
        form = ""
    text = f"COPY ({query.text}) TO STDOUT{form}"
    own = copied(case.servers.own, text)
    other = _elsewhere(case, own, lambda server: copied(server, text))
    if "binary" in form:
        other = with_flags_of_nulls(other, query.types)
    return Outcome([text], _ordered("copy", query.is_ordered), own, other)


def _prepared(choice: Choice, case: Case) -> Outcome:
    choice.parameters = []
    query = case.statement(choice)
    parameters, choice.parameters = choice.parameters, None
    # Some of what was made is in the text no more; a parameter that nobody names has no type.
    used = sorted({int(found) for found in _PARAMETER.findall(query.text)})
    parameters = [parameters[number - 1] for number in used]
    query = replace(query, text=_PARAMETER.sub(lambda found: f"${used.index(int(found[1])) + 1}", query.text))
    first = [value for _, value in parameters]
    mode = choice.of(("auto", "force_custom_plan", "force_generic_plan"))
    # The sixth execution has the generic plan, if it is the cheaper one.
    lists = [first for _ in range(choice.of((1, 2, 6)) if mode == "auto" else 2)]
    for at in range(1, len(lists), 2):
        lists[at] = [choice.of(SCALARS[kind].values) for kind, _ in parameters]
    sets = [f"SET plan_cache_mode = {mode}"]
    shown = [f"PREPARE p ({', '.join(kind for kind, _ in parameters)}) AS {query.text}".replace(" () ", " ")]
    shown += [f"EXECUTE p{f'({values})' if values else ''}" for values in map(_listed, lists)]
    case.servers.own.execute(sets[0])
    try:
        own = ask_with(case.servers.own, query.text, lists)
    finally:
        case.servers.own.execute("RESET ALL")
    other = _elsewhere(case, own, lambda server: ask_with(server, query.text, lists))
    return Outcome([*sets, *shown], _ordered("prepared", query.is_ordered), own, other)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(quoted, values))


def _change(choice: Choice, case: Case) -> Outcome:
    texts = [change(choice, case.tables) for _ in range(choice.of((1, 1, 2)))]
    after = [f"SELECT * FROM {table.name}" for table in case.tables]
    answers = []
    for connection in case.servers.both():
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


def _view(choice: Choice, case: Case) -> Outcome:
    """The query, and what its view's definition says of it; EXPLAIN says something of it."""
    servers = case.servers
    query = case.statement(choice)
    text = query.text.replace(" FOR UPDATE", "")
    own = ask(servers.own, text)
    way = _ordered("view", query.is_ordered)
    told = ask(servers.own, f"EXPLAIN (VERBOSE) {text}")
    if told.error and not own.error:
        return Outcome([f"EXPLAIN (VERBOSE) {text}"], way, told, replace(own, rows=[]))
    with _unhurried([servers.own]):
        made_view = ask(servers.own, f"CREATE VIEW v AS {text}")
    if made_view.error:
        return Outcome([text, f"CREATE VIEW v AS {text}"], way, own, made_view)
    try:
        definition = ask(servers.own, "SELECT pg_get_viewdef('v'::regclass)").rows[0][0].decode().rstrip(";")
        other = ask(servers.own, definition)
    finally:
        with _unhurried([servers.own]):
            servers.own.execute("DROP VIEW v")
    return Outcome([text, f"-- the view's definition\n{definition}"], way, own, other)


def _parts(choice: Choice, case: Case) -> Outcome:
    one, other = parts(choice, case.tables)
    return Outcome([one, other], "parts", ask(case.servers.own, one), ask(case.servers.own, other))


def _counted(choice: Choice, case: Case) -> Outcome:
    one, other = counted(choice, case.tables)
    return Outcome([one, other], "counted", ask(case.servers.own, one), ask(case.servers.own, other))


_WAYS: dict[str, Callable[[Choice, Case], Outcome]] = {
    "cursor": _cursor,
    "copy": _copy,
    "query": _query,
    "setting": _setting,
    "prepared": _prepared,
    "change": _change,
    "view": _view,
    "parts": _parts,
    "counted": _counted,
}


def one_case(
    servers: Servers,
    first: int,
    number: int,
    tally: Tally,
    found: Callable[[str], None],
    kind: Kind = MIXED,
    queries: int = QUERIES_A_CASE,
) -> None:
    """Tables of their own, some queries over them; each difference, shrunk, is given to ``found``."""
    at_tables = Choice(drawn_from(first, number))
    case = Case(kind, servers, kind.tables(at_tables))
    failed: list[tuple[list[int], Outcome, int]] = []
    tally.cases += 1
    with made(servers, case.tables) as refused:
        if refused is not None and refused.message not in tally.known:
            tally.known.add(refused.message)
            failed.append(([], refused, -1))
        for query in range(0 if refused else queries):
            choice = Choice(drawn_from(first, number, query))
            late = tally.late + tally.late_elsewhere
            outcome = check(choice, case, tally)
            if tally.late + tally.late_elsewhere > late:
                tally.late_at.append(f"{kind.name}, seed {first}, case {number}, query {query}")
            if outcome is not None and outcome.message not in tally.known:
                tally.known.add(outcome.message)
                failed.append((_simpler_query(case, choice.made, outcome), outcome, query))
    for simple, outcome, query in failed:
        tally.differences += 1
        place = f"{kind.name}, seed {first}, case {number}, query {query}"
        found(_simplest(case, at_tables.made, simple, outcome, place))


def _simpler_query(case: Case, query: Sequence[int], outcome: Outcome) -> list[int]:
    def fails(offered: Sequence[int]) -> Sequence[int] | None:
        choice = Choice(drawn_again(offered))
        again = check(choice, case, Tally())
        return choice.made if again is not None and again.kind == outcome.kind else None

    return shrunk(query, fails, SHRINK_ATTEMPTS)


def _simplest(case: Case, tables: Sequence[int], query: Sequence[int], outcome: Outcome, place: str) -> str:
    def again(offered: Sequence[int]) -> tuple[Choice, list[Table], Outcome | None]:
        choice = Choice(drawn_again(offered))
        some = case.kind.tables(choice)
        with made(case.servers, some) as refused:
            return choice, some, refused or check(Choice(drawn_again(query)), replace(case, tables=some), Tally())

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
    cases: Iterable[int],
    found: Callable[[str], None],
    tally: Tally,
    kinds: Sequence[Kind] = KINDS,
    queries: int = QUERIES_A_CASE,
) -> Iterator[None]:
    """Some cases of a seed, by their numbers, of so many queries each, counted in ``tally``: one after the other, as
    the next is asked for."""
    servers.prepare()
    for number in cases:
        one_case(servers, first, number, tally, found, kinds[number % len(kinds)], queries)
        yield


def cases_of(job: int, jobs: int, cases: Iterable[int]) -> Iterator[int]:
    """The cases that one of several jobs takes: of each kind some, as the numbers of kinds and of jobs may have a
    factor in common."""
    turn = math.lcm(jobs, len(KINDS))
    return (number for number in cases if (number + number // turn) % jobs == job)
