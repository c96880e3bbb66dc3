"""A join over a foreign key of two columns finds for each row the one that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

import aurora


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection]:
    """200 pairs of 50 and 40 values, visited 2,000 times."""
    with aurora.cluster() as cluster, psycopg.connect(cluster.dsn, autocommit=True) as found:
        for statement in (
            "CREATE TABLE place (a int, b int, v int, PRIMARY KEY (a, b))",
            "CREATE TABLE visit (id int PRIMARY KEY, a int, b int, w int, FOREIGN KEY (a, b) REFERENCES place)",
            "CREATE TABLE walk (id int PRIMARY KEY, a int, b int)",
            "INSERT INTO place SELECT i, 1 + (i + j) % 40 * 10, i "
            "FROM generate_series(1, 50) i, generate_series(1, 4) j",
            "INSERT INTO visit SELECT i, 1 + i % 50, 1 + (1 + i % 50 + 1 + i % 4) % 40 * 10, i % 9 "
            "FROM generate_series(1, 2000) i",
            "INSERT INTO walk SELECT id, a, b FROM visit",
            "ANALYZE place, visit, walk",
        ):
            found.execute(statement)
        yield found


def estimated(connection: psycopg.Connection, query: str) -> int:
    """The rows that the plan's top node expects."""
    row = connection.execute(f"EXPLAIN {query}".encode()).fetchone()
    assert row is not None
    found = re.search(r"rows=(\d+)", row[0])
    assert found is not None
    return int(found[1])


def test_each_row_finds_its_own(connection: psycopg.Connection) -> None:
    """By classes of WHERE, by ON of an outer join, and with a filter on the side that is named."""
    assert estimated(connection, "SELECT * FROM visit v, place p WHERE v.a = p.a AND v.b = p.b") == 2000
    assert estimated(connection, "SELECT * FROM visit LEFT JOIN place USING (a, b)") == 2000
    assert estimated(connection, "SELECT * FROM place JOIN visit USING (a, b) WHERE v < 26") == 1000


def test_without_the_whole_key(connection: psycopg.Connection) -> None:
    """The columns are independent of each other where no key says otherwise, or where one of them is missing."""
    assert estimated(connection, "SELECT * FROM walk w, place p WHERE w.a = p.a AND w.b = p.b") < 1000
    assert estimated(connection, "SELECT * FROM visit v, place p WHERE v.a = p.a") == 8000
