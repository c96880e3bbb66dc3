"""What a cache of parameterised rows must tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import aurora
from compute_node.sql.planner.joining.search import JoinSearch


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection[Any]]:
    with aurora.cluster() as cluster, psycopg.connect(cluster.dsn, autocommit=True) as opened:
        opened.execute("CREATE TABLE o AS SELECT 1 AS a FROM generate_series(1, 500)")
        opened.execute(
            "CREATE TABLE p AS SELECT CASE g % 2 WHEN 0 THEN 1.0 ELSE 1.00 END AS a FROM generate_series(1, 200) g"
        )
        opened.execute("CREATE TABLE t (x numeric, y text)")
        opened.execute(
            "INSERT INTO t SELECT 1.0, CASE g % 2 WHEN 0 THEN '1.0' ELSE '1.00' END FROM generate_series(1, 400) g "
            "UNION ALL SELECT g, 'z' FROM generate_series(2, 20000) g"
        )
        opened.execute("CREATE INDEX ON t (x, y)")
        for name in ("o", "p", "t"):
            opened.execute(f"ANALYZE {name}")
        yield opened


def test_each_step_of_a_recursion_has_its_own_rows(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(
        "WITH RECURSIVE r (n) AS (VALUES (1), (2) UNION SELECT s.m + 1 FROM o, "
        "LATERAL (SELECT r.n + o.a * 0 AS m FROM r WHERE r.n < 40 OFFSET 0) s) SELECT count(*), max(n) FROM r"
    ).fetchall()
    assert found == [(40, 40)]


def test_equal_numbers_that_look_different_have_their_own_rows(connection: psycopg.Connection[Any]) -> None:
    sql = "SELECT p.a::text, t.y, count(*) FROM p JOIN t ON t.x = p.a AND t.y = p.a::text GROUP BY 1, 2 ORDER BY 1"
    with connection.transaction():
        connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        plan = connection.execute(f"EXPLAIN {sql}").fetchall()
        assert any("Memoize" in line for (line,) in plan)
        assert connection.execute(sql).fetchall() == [("1.0", "1.0", 20000), ("1.00", "1.00", 20000)]


def test_nobody_counts_on_a_cache_for_keys_of_which_nothing_is_known(connection: psycopg.Connection[Any]) -> None:
    """The same plan as PostgreSQL's: without statistics each row may have a key of its own."""
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE unknown AS SELECT g % 50 AS a, g AS b FROM generate_series(1, 5000) g")
        connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        sql = "EXPLAIN SELECT * FROM unknown u, LATERAL (SELECT count(*) FROM t WHERE t.x = u.a) s"
        plain = str(connection.execute(sql).fetchall())
        connection.execute("ANALYZE unknown")
        known = str(connection.execute(sql).fetchall())
    assert "Memoize" not in plain
    assert "Memoize" in known


@pytest.mark.parametrize("value", ["array[a]", "row(a)", "jsonb_build_object('k', a)"])
def test_so_have_those_within_other_values(connection: psycopg.Connection[Any], value: str) -> None:
    found = connection.execute(
        f"SELECT v.a::text = s.b, count(*) FROM (SELECT {value} AS a FROM p) v, "
        "LATERAL (SELECT v.a::text AS b, count(*) FROM t WHERE t.y = 'zz' OFFSET 0) s GROUP BY 1"
    ).fetchall()
    assert found == [(True, 200)]


def test_tables_without_conditions_are_not_searched_in_every_order(connection: psycopg.Connection[Any]) -> None:
    calls = 0
    tables = ", ".join(f"o a{number}" for number in range(11))
    plain = JoinSearch._join

    def counted(self: JoinSearch, one: int, other: int) -> bool:
        nonlocal calls
        calls += 1
        return plain(self, one, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JoinSearch, "_join", counted)
        connection.execute(f"EXPLAIN SELECT 1 FROM {tables} WHERE a0.a = a1.a")
    assert 0 < calls < 1000
