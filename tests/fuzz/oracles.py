"""Ways to have the rows of a query once more.

``same_rows``: of two answers. ``plans``: the same query with kinds of plans turned off, which must not change it.
``parts``: the rows for which a condition is true, false and unknown are all rows (ternary logic partitioning, Rigger
and Su, OOPSLA 2020). ``counted``: the rows that WHERE leaves are as many as those of which the condition, computed as a
column, is true (NoREC, Rigger and Su, ESEC/FSE 2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import Reference, condition
from tests.fuzz.tables import Table

SETTINGS = (
    "aurora.column_batches",
    "enable_hashjoin",
    "enable_nestloop",
    "enable_indexscan",
    "enable_bitmapscan",
    "enable_seqscan",
    "enable_mergejoin",
    "enable_hashagg",
    "enable_memoize",
    "enable_incremental_sort",
    "enable_material",
    "enable_sort",
)
TOO_LONG = "57014"
"""SQLSTATE of a query that was cut short"""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as the server writes them, or the SQLSTATE of an error."""

    rows: list[tuple[Any, ...]]
    error: str = ""


def ask(connection: Connection, sql: str) -> Answer:
    """What a server answers; values as text."""
    try:
        cursor = connection.execute(sql)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return Answer([], f"{error.sqlstate} {error.diag.message_primary}")
    found = cursor.pgresult
    if found is None:
        return Answer([])
    rows = [tuple(found.get_value(row, at) for at in range(found.nfields)) for row in range(found.ntuples)]
    return Answer(rows)


def same_rows(one: Answer, other: Answer, is_ordered: bool) -> bool:
    """Whether two answers are equal, as far as there are two; in order only where the query says one."""
    if TOO_LONG in (one.error[:5], other.error[:5]):
        return True
    if one.error or other.error:
        return one.error[:5] == other.error[:5]
    return one.rows == other.rows if is_ordered else Counter(one.rows) == Counter(other.rows)


def plans(connection: Connection, sql: str) -> Iterator[tuple[str, Answer]]:
    """The answers of other plans, each with the setting that led to it."""
    for name in SETTINGS:
        connection.execute(f"SET {name} = off")
        try:
            yield name, ask(connection, sql)
        finally:
            connection.execute(f"RESET {name}")


def parts(choice: Choice, tables: Sequence[Table]) -> tuple[str, str]:
    """(a query, another one for the same rows in parts)."""
    table = choice.of(tables)
    known = [Reference(each.name, each.type) for each in table.columns]
    test = condition(choice, known)
    wheres = (f"({test})", f"NOT ({test})", f"({test}) IS NULL")
    whole = f"SELECT * FROM {table.name}"
    return whole, " UNION ALL ".join(f"{whole} WHERE {where}" for where in wheres)


def counted(choice: Choice, tables: Sequence[Table]) -> tuple[str, str]:
    """(how many rows WHERE leaves, how many rows have a true condition)."""
    table = choice.of(tables)
    known = [Reference(each.name, each.type) for each in table.columns]
    test = condition(choice, known)
    return (
        f"SELECT count(*) FROM {table.name} WHERE {test}",
        f"SELECT count(*) FILTER (WHERE v) FROM (SELECT ({test}) IS TRUE AS v FROM {table.name} OFFSET 0) s",
    )
