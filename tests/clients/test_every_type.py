"""Every type of PostgreSQL 15, by each driver, there and back: psycopg in text and binary, asyncpg, SQLAlchemy.

The values are the edge values of the grid. A value that a driver has read goes back as a parameter, and the server must
say that it is the same; a value that a driver's Python type cannot hold (a date of year 12345) is read as text.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg import pq
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb
from psycopg.types.multirange import MultirangeInfo, register_multirange
from psycopg.types.range import RangeInfo, register_range

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.compat.grid.cells import literal, quoted
from tests.compat.grid.edges import EDGES

pytestmark = pytest.mark.cluster

OWN = {
    "every.mood": ["sad", "ok", "happy"],
    "every.pair": ["(1,a)", '(,"b c")', '(3,"")'],
    "every.positive": ["1", "2147483647"],
    "every.spanning": ["[1.5,2.5)", "empty", "(,3)"],
    "every.multispanning": ["{[1.5,2.5)}", "{}"],
}
TYPES = EDGES | OWN
LOSSY = ("interval",)
"""Python has no months."""
NOT_READ_BACK = {
    ("tsquery", 0): "the empty query has a binary form that PostgreSQL does not take",
    ("int2vector", 0): "the empty vector too",
    ("oidvector", 0): "the empty vector too",
}
ASYNCPG_LEAVES = {
    ("every.pair", "a"): "a record counts as an array",
    **{(name, "a"): "a multirange counts as an array" for name in TYPES if "multi" in name},
    **{
        (name, column): "sent with another lower bound, which is refused"
        for name in ("int2vector", "oidvector")
        for column in "va"
    },
    ("tsvector", "a"): "an array of empty ones ends the process",
    ("tsquery", "a"): "an array of empty ones ends the process",
    ("path", "a"): "a path counts as an array",
    ("polygon", "a"): "a polygon counts as an array",
}
SQLALCHEMY_LEAVES = {"jsonb[]": "elements are given as they are"}
_BOUNDS = re.compile(r"\[-?\d+:")
PSYCOPG_LEAVES = {
    ("box", "a"): "an array with semicolons",
    ("char", "v"): "the empty one is a NUL byte in binary",
    ("char", "a"): "the empty one is a NUL byte in binary",
}
PYTHON_ROUNDS = {("json", 4), ("jsonb", 4), ("json", 2), ("jsonb", 2)}
"""JSON numbers as floats"""
_BEFORE = """
CREATE SCHEMA every;
CREATE TYPE every.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE every.pair AS (n int, t text);
CREATE DOMAIN every.positive AS int CHECK (VALUE > 0);
CREATE TYPE every.spanning AS RANGE (subtype = float8, multirange_type_name = every.multispanning);
"""
_WITHOUT_ARRAYS = {name for name in TYPES if name.endswith("[]")} | {"int2vector", "oidvector"}


@pytest.fixture(scope="module")
def tables(shared_cluster: Cluster) -> Iterator[dict[str, str]]:
    """Type → a table of it: number, value, array of the value and NULL."""
    names = {name: f"every.t{n}" for n, name in enumerate(TYPES)}
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        connection.execute(_BEFORE)
        for name, table in names.items():
            shown = quoted(name)
            array = shown if name in _WITHOUT_ARRAYS else f"{shown}[]"
            connection.execute(f"CREATE TABLE {table} (i int, v {shown}, a {array})")
            for number, text in enumerate(TYPES[name]):
                value = f"{literal(text)}::{shown}"
                made = value if name in _WITHOUT_ARRAYS else f"ARRAY[{value}, NULL]"
                connection.execute(f"INSERT INTO {table} VALUES ({number}, {value}, {made})")
        yield names
        connection.execute("SET client_min_messages = warning; DROP SCHEMA every CASCADE")


@pytest.mark.parametrize("column", ["v", "a"])
def test_binary_forms_go_back(shared_cluster: Cluster, tables: dict[str, str], column: str) -> None:
    """What the server sends in binary it takes in binary as the same value, of every type and its arrays."""
    connection = pq.PGconn.connect(shared_cluster.dsn().encode())
    for name, table in tables.items():
        sent = connection.exec_params(f"SELECT {column} FROM {table} ORDER BY i".encode(), None, result_format=1)
        texts = connection.exec_(f"SELECT {column} FROM {table} ORDER BY i".encode())
        assert sent.status == texts.status == pq.ExecStatus.TUPLES_OK, (name, sent.error_message)
        for row in range(sent.ntuples):
            if (name, row) in NOT_READ_BACK:
                continue
            value, oid = sent.get_value(row, 0), sent.ftype(0)
            back = connection.exec_params(b"SELECT $1", [value], [oid], [1], 0)
            assert back.status == pq.ExecStatus.TUPLES_OK, (name, row, back.error_message)
            assert back.get_value(0, 0) == texts.get_value(row, 0), (name, row)
    connection.finish()


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg(shared_cluster: Cluster, tables: dict[str, str], binary: bool) -> None:
    """A value as psycopg reads it, given back as a parameter."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        _register(connection)
        with connection.cursor(binary=binary) as cursor:
            for name, table in tables.items():
                for number in range(len(TYPES[name])):
                    for column in (column for column in ("v", "a") if (name, column) not in PSYCOPG_LEAVES):
                        _there_and_back(cursor, name, table, column, number)


def _register(connection: psycopg.Connection[Any]) -> None:
    enum, pair = EnumInfo.fetch(connection, "every.mood"), CompositeInfo.fetch(connection, "every.pair")
    spanning = RangeInfo.fetch(connection, "every.spanning")
    multispanning = MultirangeInfo.fetch(connection, "every.multispanning")
    assert enum and pair and spanning and multispanning
    register_enum(enum, connection)
    register_composite(pair, connection)
    register_range(spanning, connection)
    register_multirange(multispanning, connection)


def _there_and_back(cursor: psycopg.Cursor[Any], name: str, table: str, column: str, number: int) -> None:
    kind = quoted(name) + ("[]" if column == "a" and name not in _WITHOUT_ARRAYS else "")
    where = f"FROM {table} WHERE i = {number}"
    text = _one(cursor, f"SELECT {column}::text {where}")
    try:
        value = _one(cursor, f"SELECT {column} {where}")
    except psycopg.DataError:  # Python has no such date or time
        value = text
    if name in LOSSY or _BOUNDS.match(text) or _is_unread(name, value):
        value = text
    if name == "jsonb[]":
        value = text
    if name in ("json", "jsonb"):
        if number == 0 and column == "a":
            return  # JSON's null in an array is read as NULL is
        value = [None if each is None else Jsonb(each) for each in value] if column == "a" else Jsonb(value)
        kind = kind.replace("json", "jsonb").replace("jsonbb", "jsonb")
        text = _one(cursor, f"SELECT {column}::{kind}::text {where}")
    back = _one(cursor, f"SELECT (%s::{kind})::text", (value,))
    assert back == text or (name, number) in PYTHON_ROUNDS, (name, number, value)


def _is_unread(name: str, value: object) -> bool:
    """Whether psycopg has left a binary value as it is sent."""
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, bytes) and name != "bytea"


def _one(cursor: psycopg.Cursor[Any], sql: str, values: tuple[object, ...] = ()) -> Any:
    row = cursor.execute(sql, values).fetchone()
    assert row is not None
    return row[0]


def test_asyncpg(shared_cluster: Cluster, tables: dict[str, str]) -> None:
    """A value as asyncpg reads it (in binary), given back as a parameter: the same text."""

    async def scenario() -> None:
        connection = await asyncpg.connect(
            host=LOOPBACK, port=shared_cluster.writer.port, user="postgres", database="postgres"
        )
        try:
            for name, table in tables.items():
                columns = [column for column in ("v", "a") if (name, column) not in ASYNCPG_LEAVES]
                for number, column in ((n, c) for n in range(len(TYPES[name])) for c in columns):
                    if (name, number) in NOT_READ_BACK:
                        continue
                    where = f"FROM {table} WHERE i = {number}"
                    text = await connection.fetchval(f"SELECT {column}::text {where}")
                    try:
                        value = await connection.fetchval(f"SELECT {column} {where}")
                    except (OverflowError, ValueError):
                        continue  # Python has no such date, time or text
                    if name in LOSSY or _BOUNDS.match(text):
                        continue  # a list has no bounds
                    kind = quoted(name) + ("[]" if column == "a" and name not in _WITHOUT_ARRAYS else "")
                    back = await connection.fetchval(f"SELECT ($1::{kind})::text", value)
                    assert back == text, (name, number, value)
        finally:
            await connection.close()

    asyncio.run(scenario())


def test_sqlalchemy(shared_cluster: Cluster, tables: dict[str, str]) -> None:
    """Tables that SQLAlchemy has read from the catalog, each row copied through Python."""
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", "postgres", host=LOOPBACK, port=shared_cluster.writer.port, database="postgres"
    )
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)  # of types that it reads as they are
        for name, table in tables.items():
            columns = sqlalchemy.MetaData(schema="every")
            described = sqlalchemy.Table(table.split(".")[1], columns, autoload_with=connection)
            for number in range(len(TYPES[name])):
                _copied(connection, described, name, number)
    engine.dispose()


def _copied(connection: sqlalchemy.Connection, table: sqlalchemy.Table, name: str, number: int) -> None:
    text = f"SELECT v::text FROM {table} WHERE i = :i"
    before = connection.execute(sqlalchemy.text(text), {"i": number}).scalar()
    nested = connection.begin_nested()
    try:
        value = connection.execute(sqlalchemy.select(table.c.v).where(table.c.i == number)).scalar()
    except sqlalchemy.exc.DataError:  # Python has no such date or time
        nested.rollback()
        return
    if name in LOSSY or name in SQLALCHEMY_LEAVES or _BOUNDS.match(str(before)):
        return
    connection.execute(sqlalchemy.insert(table), {"i": number + 100, "v": value})
    after = connection.execute(sqlalchemy.text(text), {"i": number + 100}).scalar()
    assert after == before or name == "json" or (name, number) in PYTHON_ROUNDS, (name, number, value)
    nested.commit()
