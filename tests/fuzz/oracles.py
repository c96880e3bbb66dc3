"""Ways to have the rows of a query once more.

``same_rows``: of two answers. ``settings``: the same query with kinds of plans turned off, which must not change it.
``parts``: the rows for which a condition is true, false and unknown are all rows (ternary logic partitioning, Rigger
and Su, OOPSLA 2020). ``counted``: the rows that WHERE leaves are as many as those of which the condition, computed as a
column, is true (NoREC, Rigger and Su, ESEC/FSE 2020).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import condition
from tests.fuzz.tables import Table

OWN_SETTINGS = (
    "aurora.column_batches = off",
    "aurora.column_batches = off",
    "aurora.lift_literals = off",
    "work_mem = '64kB'",
    "work_mem = '64kB'",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "enable_nestloop = off",
    "enable_indexscan = off",
    "enable_indexonlyscan = off",
    "enable_bitmapscan = off",
    "enable_seqscan = off",
    "enable_sort = off",
    "enable_incremental_sort = off",
    "enable_hashagg = off",
    "enable_material = off",
    "enable_memoize = off",
    "enable_tidscan = off",
    "from_collapse_limit = 1",
    "join_collapse_limit = 1",
    "geqo_threshold = 2",
    "random_page_cost = 0",
    "plan_cache_mode = force_generic_plan",
)
TOO_LONG = ("57014",)
"""SQLSTATEs of a query that was cut short"""
FIRST_USER_OID = 16384
_COPY_SIGNATURE = b"PGCOPY"
_COPY_HEADER_BYTES = 19
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as the server writes them with (name, type) of the columns, or an error. A column's type modifier is that of
    what its expression was folded to, so it is the plan's."""

    rows: list[tuple[Any, ...]]
    columns: tuple[tuple[bytes | None, int], ...] = ()
    error: str = ""
    """SQLSTATE and message"""

    @property
    def is_late(self) -> bool:
        """The server had no time for it."""
        return self.error[:5] in TOO_LONG


def ask(connection: Connection, sql: str, binary: bool = False) -> Answer:
    """What a server answers; values as text, or as in the binary protocol."""
    try:
        cursor = connection.cursor(binary=binary).execute(sql)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return Answer([], error=f"{error.sqlstate} {error.diag.message_primary}")
    return _answer(cursor.pgresult)


def copied(connection: Connection, sql: str) -> Answer:
    """What COPY … TO STDOUT sends, a row a message; of the binary form its values, and an empty row for the trailer."""
    rows: list[tuple[Any, ...]] = []
    try:
        with connection.cursor() as cursor, cursor.copy(sql) as copy:
            rows += [(bytes(each),) for each in copy]
        if rows and rows[0][0].startswith(_COPY_SIGNATURE):
            # The header of the binary form comes with the first row.
            rows[0] = (rows[0][0][_COPY_HEADER_BYTES:],)
            rows = [tuple(_fields(each)) for (each,) in rows]
        return Answer(rows)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return Answer([], error=f"{error.sqlstate} {error.diag.message_primary}")


def _fields(row: bytes) -> Iterator[bytes | None]:
    """Of a row of COPY's binary form: how many there are, then each one's length, -1 of NULL, and its bytes."""
    (count,) = struct.unpack_from("!h", row)
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", row, at)
        at += 4
        yield None if length < 0 else row[at : at + length]
        at += max(0, length)
    if at != len(row):
        raise ValueError(f"bytes behind a row's values: {row!r}")


def ask_with(connection: Connection, sql: str, values: Sequence[Sequence[str]]) -> Answer:
    """The rows of a statement that is prepared once and executed with several lists of parameters."""
    rows: list[tuple[Any, ...]] = []
    low = connection.pgconn
    prepared = low.prepare(b"fuzzed", sql.encode())
    if prepared.error_message:
        return Answer([], error=_message(prepared))
    columns: tuple[tuple[bytes | None, int], ...] = ()
    for each in values:
        found = low.exec_prepared(b"fuzzed", [value.encode() for value in each])
        if found.error_message:
            low.exec_(b"DEALLOCATE fuzzed")
            return Answer(rows, error=_message(found))
        answer = _answer(found)
        rows += answer.rows
        columns = answer.columns
    low.exec_(b"DEALLOCATE fuzzed")
    return Answer(rows, columns)


def _message(result: psycopg.pq.abc.PGresult) -> str:
    fields = psycopg.pq.DiagnosticField
    parts = (result.error_field(field) for field in (fields.SQLSTATE, fields.MESSAGE_PRIMARY))
    return " ".join((part or b"").decode() for part in parts)


def _answer(found: psycopg.pq.abc.PGresult | None) -> Answer:
    if found is None:
        return Answer([])
    rows = [tuple(found.get_value(row, at) for at in range(found.nfields)) for row in range(found.ntuples)]
    if not found.nfields:
        return Answer([(found.command_status,)])
    columns = tuple((found.fname(at), min(found.ftype(at), FIRST_USER_OID)) for at in range(found.nfields))
    return Answer(rows, columns)


def with_flags_of_nulls(answer: Answer, types: Sequence[str]) -> Answer:
    """A binary answer of PostgreSQL whose arrays say only then that they have NULLs when they have: a slice of an array
    with NULLs says so though none of them is in it (docs/differences.md). ``types``: of its columns."""
    at = [number for number, kind in enumerate(types) if kind.endswith("[]")]
    if not at:
        return answer
    rows = [tuple(_told(value) if column in at else value for column, value in enumerate(row)) for row in answer.rows]
    return replace(answer, rows=rows)


def _told(value: bytes | None) -> bytes | None:
    """An array in binary: dimensions, whether there are NULLs, the elements' type, two numbers a dimension; then each
    element's length, -1 of NULL, and its bytes."""
    if not value:
        return value
    dimensions, told = struct.unpack_from("!ii", value)
    at, has_nulls = 12 + 8 * dimensions, 0
    while at < len(value):
        (length,) = struct.unpack_from("!i", value, at)
        has_nulls |= length < 0
        at += 4 + max(0, length)
    return value[:4] + struct.pack("!i", told & has_nulls) + value[8:]


def same_rows(one: Answer, other: Answer, is_ordered: bool) -> bool:
    """Whether two answers are equal, as far as there are two; in order only where the query says one."""
    if one.is_late or other.is_late:
        return True
    if one.error or other.error:
        return one.error[:5] == other.error[:5]
    if one.columns != other.columns:
        return False
    return one.rows == other.rows if is_ordered else Counter(one.rows) == Counter(other.rows)


def parts(choice: Choice, tables: Sequence[Table]) -> tuple[str, str]:
    """(a query, another one for the same rows in parts)."""
    table = choice.of(tables)
    test = condition(choice, table.references(table.name))
    wheres = (f"({test})", f"NOT ({test})", f"({test}) IS NULL")
    whole = f"SELECT * FROM {table.name}"
    return whole, " UNION ALL ".join(f"{whole} WHERE {where}" for where in wheres)


def counted(choice: Choice, tables: Sequence[Table]) -> tuple[str, str]:
    """(how many rows WHERE leaves, how many rows have a true condition)."""
    table = choice.of(tables)
    test = condition(choice, table.references(table.name))
    return (
        f"SELECT count(*) FROM {table.name} WHERE {test}",
        f"SELECT count(*) FILTER (WHERE v) AS count FROM (SELECT ({test}) IS TRUE AS v FROM {table.name} OFFSET 0) s",
    )
