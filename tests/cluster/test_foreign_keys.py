"""Foreign keys where a statement takes a special way: long texts, COPY, prepared statements, RETURNING, many keys."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

import aurora


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with aurora.cluster() as cluster:
        yield cluster.dsn


@pytest.fixture
def tables(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table p (id int primary key, up int references p)")
        connection.execute("create table c (id int, p int references p on delete cascade, t text)")
        connection.execute("create index on c (p)")
        yield connection
        connection.execute("drop table c, p")


def count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_long_insert_is_checked_as_one_statement(tables: psycopg.Connection) -> None:
    rows = ", ".join(f"({number}, {number + 1})" for number in range(9000))
    text = f"insert into p values {rows}, (9000, null)"
    assert len(text) > 1 << 16
    tables.execute(text)
    assert count(tables, "p") == 9001
    tables.execute("truncate p cascade")
    with pytest.raises(errors.ForeignKeyViolation, match="p_up_fkey"):
        tables.execute(f"insert into p values {rows}")
    assert count(tables, "p") == 0
    tables.execute("insert into p values (1, 1)")


def test_copied_rows_are_checked_at_the_end(tables: psycopg.Connection) -> None:
    with tables.cursor() as cursor:
        with cursor.copy("copy p from stdin") as copy:
            for number in range(1000):
                copy.write_row((number, 999 - number))
        with pytest.raises(errors.ForeignKeyViolation, match="c_p_fkey"), cursor.copy("copy c from stdin") as copy:
            for number in range(1001):
                copy.write_row((number, number, "x"))
        with cursor.copy("copy c from stdin") as copy:
            for number in range(1000):
                copy.write_row((number, number, "x"))
    assert count(tables, "c") == 1000


def test_prepared_statements_are_checked(tables: psycopg.Connection) -> None:
    for number in range(8):
        tables.execute("insert into p values (%s, null)", (number,), prepare=True)
        tables.execute("insert into c values (%s, %s)", (number, number), prepare=True)
    with pytest.raises(errors.ForeignKeyViolation):
        tables.execute("insert into c values (%s, %s)", (9, 9), prepare=True)
    with pytest.raises(errors.ForeignKeyViolation):
        tables.execute("update c set p = %s where id = %s", (9, 1), prepare=True)
    for number in range(8):
        tables.execute("delete from p where id = %s", (number,), prepare=True)
    assert count(tables, "c") == 0


def test_rows_returned_are_of_a_statement_that_was_checked(tables: psycopg.Connection) -> None:
    tables.execute("insert into p values (1, null)")
    assert tables.execute("insert into c values (1, 1) returning p").fetchall() == [(1,)]
    with pytest.raises(errors.ForeignKeyViolation):
        tables.execute("insert into c values (1, 1), (2, 2) returning p")
    assert tables.execute("delete from p returning id").fetchall() == [(1,)]
    assert count(tables, "c") == 0


def test_another_search_path_and_another_name(tables: psycopg.Connection) -> None:
    tables.execute("create schema s")
    try:
        tables.execute("create table s.p (id int primary key)")
        tables.execute("insert into s.p values (77)")
        tables.execute("insert into p values (1, null)")
        tables.execute("set search_path = s, public")
        tables.execute("insert into c values (1, 1)")
        with pytest.raises(errors.ForeignKeyViolation):
            tables.execute("insert into c values (1, 77)")
        tables.execute("alter table c rename column p to q")
        tables.execute("insert into c values (2, 1)")
        tables.execute("delete from public.p")
        assert count(tables, "c") == 0
    finally:
        tables.execute("reset search_path")
        tables.execute("drop schema s cascade")


def test_a_long_chain_of_cascades(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table t (id int primary key, up int references t on delete cascade)")
        connection.execute("create index on t (up)")
        connection.execute("insert into t select n, nullif(n - 1, 0) from generate_series(1, 1000) n")
        connection.execute("delete from t where id = 1")
        assert count(connection, "t") == 0
        connection.execute("drop table t")
