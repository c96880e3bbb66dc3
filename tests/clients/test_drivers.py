"""psycopg (sync and async, text and binary) and asyncpg against the real cluster."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.types.json import Json, Jsonb

from aurora.programs.supervisor import LOOPBACK, Cluster

pytestmark = pytest.mark.cluster

ROW: tuple[Any, ...] = (
    True, 7, 70_000, 7_000_000_000, 1.5, 2.25, Decimal("12.50"), "text ü", "varchar", "ab   ", b"\x00\xff",
    dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 30, 1, 5), dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC),
)  # fmt: skip
COLUMNS = (
    "b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(10,2), t text, v varchar(20), c char(5), "
    "y bytea, d date, ts timestamp, tz timestamptz"
)


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_round_trip_of_each_type(shared_cluster: Cluster, binary: bool) -> None:
    table = f"types_{'binary' if binary else 'text'}"
    with psycopg.connect(shared_cluster.dsn()) as connection, connection.cursor(binary=binary) as cursor:
        cursor.execute(f"CREATE TABLE {table} ({COLUMNS})")
        placeholders = ", ".join(["%b" if binary else "%s"] * len(ROW))
        cursor.execute(f"INSERT INTO {table} VALUES ({placeholders})", ROW)
        cursor.execute(f"INSERT INTO {table} VALUES ({placeholders})", (None,) * len(ROW))
        connection.commit()
        cursor.execute(f"SELECT * FROM {table}")
        assert cursor.fetchall() == [ROW, (None,) * len(ROW)]
        cursor.execute(f"SELECT count(*) FROM {table} WHERE i4 = %s AND t = %s AND d = %s", (ROW[2], ROW[7], ROW[11]))
        assert cursor.fetchone() == (1,)


def test_psycopg_transactions_and_errors(shared_cluster: Cluster) -> None:
    with psycopg.connect(shared_cluster.dsn()) as connection:
        connection.execute("CREATE TABLE tx (n int PRIMARY KEY)")
        connection.commit()
        with pytest.raises(psycopg.errors.UniqueViolation, match="duplicate key value"), connection.transaction():
            connection.execute("INSERT INTO tx VALUES (1), (1)")
        with connection.transaction():
            connection.execute("INSERT INTO tx VALUES (2)")
            with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
                connection.execute("INSERT INTO tx VALUES (3)")
                connection.execute("SELECT 1/0")
        assert connection.execute("SELECT n FROM tx").fetchall() == [(2,)]
        connection.commit()
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()


def test_psycopg_copy_pipeline_and_server_cursor(shared_cluster: Cluster) -> None:
    with psycopg.connect(shared_cluster.dsn()) as connection:
        connection.execute("CREATE TABLE copied_by_driver (a int, b text)")
        with connection.cursor().copy("COPY copied_by_driver FROM STDIN") as copy:
            for i in range(1000):
                copy.write_row((i, f"row\t{i}\n" if i % 2 else None))
        with connection.cursor().copy(
            "COPY (SELECT * FROM copied_by_driver WHERE a < 3 ORDER BY a) TO STDOUT (FORMAT csv)"
        ) as copy:
            text = b"".join(copy)
        assert text == b'0,\n1,"row\t1\n"\n2,\n'
        with connection.pipeline():
            first = connection.execute("SELECT count(*) FROM copied_by_driver")
            second = connection.execute("SELECT sum(a) FROM copied_by_driver")
        assert (first.fetchone(), second.fetchone()) == ((1000,), (499500,))
        with connection.cursor("reader") as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT a FROM copied_by_driver ORDER BY a")
            assert [row[0] for row in cursor] == list(range(1000))


def test_psycopg_async(shared_cluster: Cluster) -> None:
    async def scenario() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(shared_cluster.dsn(), autocommit=True) as connection:
            await connection.execute("CREATE TABLE async_rows (n int)")
            await connection.execute("INSERT INTO async_rows SELECT generate_series(1, %s)", (10,))
            cursor = await connection.execute("SELECT sum(n) FROM async_rows")
            return await cursor.fetchall()

    assert asyncio.run(scenario()) == [(55,)]


def test_asyncpg(shared_cluster: Cluster) -> None:
    async def scenario() -> None:
        connection = await asyncpg.connect(
            host=LOOPBACK, port=shared_cluster.writer.port, user="postgres", database="postgres"
        )
        try:
            await connection.execute(f"CREATE TABLE types_asyncpg ({COLUMNS})")
            placeholders = ", ".join(f"${i + 1}" for i in range(len(ROW)))
            await connection.execute(f"INSERT INTO types_asyncpg VALUES ({placeholders})", *ROW)
            row = await connection.fetchrow("SELECT * FROM types_asyncpg")
            assert tuple(row) == ROW
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("CREATE TABLE once_only (n int PRIMARY KEY)")
                    await connection.executemany("INSERT INTO once_only VALUES ($1)", [(1,), (2,), (1,)])
            total = 0
            async with connection.transaction():
                async for item in connection.cursor("SELECT g FROM generate_series(1, 200) AS g", prefetch=50):
                    total += item["g"]
            assert total == 20100
            # A type that asyncpg does not know by heart: it asks the catalog for it, by a long recursive statement.
            assert await connection.fetchval("SELECT array_agg(g) FROM generate_series(1, 3) AS g") == [1, 2, 3]
            await connection.copy_records_to_table("types_asyncpg", records=[ROW], columns=None)
            assert await connection.fetchval("SELECT count(*) FROM types_asyncpg") == 2
        finally:
            await connection.close()

    asyncio.run(scenario())


def test_cancel(shared_cluster: Cluster) -> None:
    import threading

    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        canceller = threading.Timer(0.2, connection.cancel)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)")
        canceller.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_json(shared_cluster: Cluster, binary: bool) -> None:
    table = f"json_{'binary' if binary else 'text'}"
    value = {"a": [1, 2.5, None, True, {"b": "ü\n"}], "long": "x" * 30_000}
    with psycopg.connect(shared_cluster.dsn()) as connection, connection.cursor(binary=binary) as cursor:
        cursor.execute(f"CREATE TABLE {table} (id int, j json, b jsonb, bs jsonb[])")
        mark = "%b" if binary else "%s"
        cursor.execute(
            f"INSERT INTO {table} VALUES (1, {mark}, {mark}, {mark})",
            (Json(value), Jsonb(value), [Jsonb(value), None, Jsonb(1)]),
        )
        cursor.execute(f"SELECT j, b, bs FROM {table}")
        assert cursor.fetchall() == [(value, value, [value, None, 1])]
        form = "BINARY" if binary else "TEXT"
        with cursor.copy(f"COPY {table} TO STDOUT (FORMAT {form})") as out:
            data = b"".join(bytes(piece) for piece in out)
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT {form})") as copy:
            copy.write(data)
        cursor.execute(f"SELECT count(*), count(DISTINCT b), count(DISTINCT bs), b -> 'a' FROM {table} GROUP BY b")
        assert cursor.fetchall() == [(2, 1, 1, value["a"])]


def test_asyncpg_json(shared_cluster: Cluster) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(
            host=LOOPBACK, port=shared_cluster.writer.port, user="postgres", database="postgres"
        )
        try:
            row = await connection.fetchrow("SELECT $1::jsonb AS b, $2::json AS j", '{"b": 1,"a":[]}', "[1,  2]")
            assert tuple(row) == ('{"a": [], "b": 1}', "[1,  2]")
        finally:
            await connection.close()

    asyncio.run(main())
