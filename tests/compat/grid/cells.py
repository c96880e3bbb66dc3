"""The grid: questions → cells → answers.

A question is one expression over one to three arguments, ``{0} + {1}``; a cell is the question at one combination of
the edge values of its argument types. The edge values are in tables ``e_<n>(i, v)``, one a type, so that one statement
answers a whole question, all cells that have a value; a cell that is an error needs a statement of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from psycopg import pq

from tests.compat.grid.edges import EDGES

Answer = str | None | list[str]
"""A value's text, NULL, or an error: SQLSTATE and message, detail and hint where there are any."""

SETTINGS = """
SET TimeZone = 'America/New_York'; SET IntervalStyle = postgres; SET DateStyle = 'ISO, MDY'; SET extra_float_digits = 1;
SET bytea_output = hex; SET search_path = grid, pg_catalog; SET lc_monetary = 'C'
"""
_TABLES = {name: f"e_{n}" for n, name in enumerate(EDGES)}
_CELLS_MAX = 8
_THREE_MAX = 3
_TOGETHER = 20


@dataclass(frozen=True)
class Question:
    """``expression`` with ``{n}`` for its arguments, whose types are ``types``. ``aggregate``: over the whole edge
    table of its one type, in order."""

    expression: str
    types: tuple[str, ...]
    aggregate: bool = False

    @property
    def name(self) -> str:
        """What people read."""
        return self.expression.format(*self.types)

    def limits(self) -> list[int]:
        """How many edge values each argument runs through."""
        most = {1: 99, 2: _CELLS_MAX}.get(len(self.types), _THREE_MAX)
        return [min(most, len(EDGES[name])) for name in self.types]

    def cells(self) -> list[tuple[int, ...]]:
        """The positions of the edge values of every cell, in order."""
        return [()] if self.aggregate else list(itertools.product(*(range(limit) for limit in self.limits())))

    def sql(self, where: str) -> str:
        """The statement for the cells that ``where`` selects."""
        if self.aggregate:
            return f"SELECT {self.expression.format('v')} FROM (SELECT v FROM {_TABLES[self.types[0]]} ORDER BY i) s"
        if not self.types:
            return f"SELECT {self.expression.format()}"
        places = [f"a{n}" for n in range(len(self.types))]
        tables = ", ".join(f"{_TABLES[name]} {place}" for name, place in zip(self.types, places, strict=True))
        order = ", ".join(f"{place}.i" for place in places)
        limits = " AND ".join(f"{p}.i < {limit}" for p, limit in zip(places, self.limits(), strict=True))
        call = self.expression.format(*(f"{place}.v" for place in places))
        return f"SELECT {call} FROM {tables} WHERE {limits}{where} ORDER BY {order}"

    def sql_of_cell(self, cell: tuple[int, ...]) -> str:
        """The statement for one cell."""
        return self.sql("".join(f" AND a{n}.i = {at}" for n, at in enumerate(cell)))

    def sql_without(self, failing: list[tuple[int, ...]]) -> str:
        """The statement for all cells but these."""
        if not failing:
            return self.sql("")
        limits = self.limits()
        number = "0"
        for n, limit in enumerate(limits):
            number = f"({number}) * {limit} + a{n}.i"
        numbers = ",".join(str(self._number(cell, limits)) for cell in failing)
        return self.sql(f" AND {number} NOT IN ({numbers})")

    @staticmethod
    def _number(cell: tuple[int, ...], limits: list[int]) -> int:
        number = 0
        for at, limit in zip(cell, limits, strict=True):
            number = number * limit + at
        return number

    def shown(self, cell: tuple[int, ...]) -> str:
        """A cell for people: the expression with its literals."""
        if self.aggregate:
            return self.name
        return self.expression.format(
            *(f"'{EDGES[name][at]}'::{quoted(name)}" for name, at in zip(self.types, cell, strict=True))
        )


def quoted(name: str) -> str:
    """A type's name in SQL: ``char`` is the one-byte type, and ``bit`` without a length is any length."""
    base, brackets = (name[:-2], "[]") if name.endswith("[]") else (name, "")
    return (f'"{base}"' if base in ("char", "bit", "bpchar") else base) + brackets


@dataclass
class Asked:
    """One server's answers to one question: by cell, in order."""

    question: Question
    answers: list[Answer]
    failing: list[tuple[int, ...]] = field(default_factory=list)


class Server:
    """A connection that answers questions."""

    def __init__(self, dsn: str) -> None:
        self._connection = pq.PGconn.connect(dsn.encode())
        if self._connection.status != pq.ConnStatus.OK:
            raise RuntimeError(self._connection.error_message.decode())
        self._connection.notice_handler = lambda result: None

    def close(self) -> None:
        """Ends the connection."""
        self._connection.finish()

    def must(self, sql: str) -> list[list[str | None]]:
        """The rows of a statement that has to succeed."""
        result = self._connection.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(f"{sql}: {result.error_message.decode()}")
        return _rows(result)

    def settle(self) -> None:
        """The settings under which answers are recorded."""
        self.must("SET client_min_messages = warning; DROP SCHEMA IF EXISTS grid CASCADE; CREATE SCHEMA grid")
        self.must(SETTINGS)

    def prepare(self) -> None:
        """The settings and the tables of edge values."""
        self.settle()
        self.must("SET TimeZone = 'America/Caracas'")  # without summer time: a time of day is the same all year
        for name, table in _TABLES.items():
            self.must(f"CREATE TABLE {table} (i int4, v {quoted(name)})")
            values = ", ".join(f"({n}, {literal(text)})" for n, text in enumerate(EDGES[name]))
            self.must(f"INSERT INTO {table} VALUES {values}")

    def finish(self) -> None:
        """Drop what ``prepare`` made."""
        self.must("DROP SCHEMA IF EXISTS grid CASCADE")
        self.close()

    def one(self, sql: str) -> Answer:
        """The one value of a statement, or its error."""
        result = self._connection.exec_(sql.encode())
        if result.status != pq.ExecStatus.TUPLES_OK:
            return _error(result)
        return _rows(result)[0][0]

    def many(self, sql: str) -> list[str | None] | None:
        """The first column of a statement's rows; None when it fails."""
        result = self._connection.exec_(sql.encode())
        return [row[0] for row in _rows(result)] if result.status == pq.ExecStatus.TUPLES_OK else None

    def expressions(self, expressions: list[str]) -> list[Answer]:
        """The text of each expression, many in one statement while all have a value."""
        found: list[Answer] = []
        for at in range(0, len(expressions), _TOGETHER):
            some = [f"({expression})::text" for expression in expressions[at : at + _TOGETHER]]
            result = self._connection.exec_(f"SELECT {', '.join(some)}".encode())
            if result.status == pq.ExecStatus.TUPLES_OK:
                found += _rows(result)[0]
            else:
                found += [self.one(f"SELECT {each}") for each in some]
        return found

    def ask(self, question: Question) -> Asked:
        """All cells: at once where all have a value, else one by one."""
        cells = question.cells()
        values = self.many(question.sql(""))
        if values is not None and len(values) == len(cells):
            return Asked(question, list(values))
        answers = [self.one(question.sql_of_cell(cell)) for cell in cells]
        failing = [cell for cell, answer in zip(cells, answers, strict=True) if isinstance(answer, list)]
        return Asked(question, answers, failing)

    def ask_again(self, asked: Asked, sampled: int, turn: int = 0) -> Iterator[tuple[tuple[int, ...], Answer, Answer]]:
        """Ask what another server was asked: yields the cells whose answers differ, with the other's and this one's. Of
        the cells that are errors there, ``sampled`` of each SQLSTATE are asked here, others at each ``turn``."""
        question, cells = asked.question, asked.question.cells()
        good = [at for at, answer in enumerate(asked.answers) if not isinstance(answer, list)]
        if good:
            values = self.many(question.sql_without(asked.failing))
            if values is None or len(values) != len(good):
                values_or_errors: list[Answer] = [self.one(question.sql_of_cell(cells[at])) for at in good]
            else:
                values_or_errors = list(values)
            for at, answer in zip(good, values_or_errors, strict=True):
                if answer != asked.answers[at]:
                    yield cells[at], asked.answers[at], answer
        failing: dict[str, list[int]] = {}
        for at, expected in enumerate(asked.answers):
            if isinstance(expected, list):
                failing.setdefault(expected[0], []).append(at)
        for places in failing.values():
            first = turn * sampled % len(places)
            for at in (places + places)[first : first + min(sampled, len(places))]:
                answer = self.one(question.sql_of_cell(cells[at]))
                if answer != asked.answers[at]:
                    yield cells[at], asked.answers[at], answer


def literal(text: str) -> str:
    """An SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _rows(result: Any) -> list[list[str | None]]:
    return [
        [
            None if (value := result.get_value(row, i)) is None else value.decode(errors="backslashreplace")
            for i in range(result.nfields)
        ]
        for row in range(result.ntuples)
    ]


def _error(result: Any) -> list[str]:
    fields = (
        pq.DiagnosticField.SQLSTATE,
        pq.DiagnosticField.MESSAGE_PRIMARY,
        pq.DiagnosticField.MESSAGE_DETAIL,
        pq.DiagnosticField.MESSAGE_HINT,
    )
    found = [(result.error_field(each) or b"").decode(errors="backslashreplace") for each in fields]
    while found and not found[-1]:
        found.pop()
    return found or [result.error_message.decode()]
