"""Expression → text: PostgreSQL's spelling (expected texts as pg_get_constraintdef gives them), and back."""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse import queries
from compute_node.sql.deparse.expressions import deparse_stored, quote_identifier, quote_literal
from compute_node.sql.deparse.queries import deparse_query, kept_query
from compute_node.sql.deparse.same import same_query
from compute_node.sql.parse import parse
from compute_node.sql.query import Query
from tests.unit.support_sql import FakeCatalog

CATALOG = FakeCatalog()
T = CATALOG.find_relation(None, "t")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a > 0", "(a > 0)"),
        ("a > -5", "(a > '-5'::integer)"),
        ("a > 0 and b = 'x'", "((a > 0) AND (b = 'x'::text))"),
        ("a is null or not e", "((a IS NULL) OR (NOT e))"),
        ("c between 1.5 and 2", "((c >= 1.5) AND (c <= (2)::numeric))"),
        ("a in (1, 2)", "(a = ANY (ARRAY[1, 2]))"),
        ("b like 'a%'", "(b ~~ 'a%'::text)"),
        ("length(b) < 10", "(length(b) < 10)"),
        ("coalesce(a, 1) = 1", "(COALESCE(a, 1) = 1)"),
        ("case when a = 1 then true else false end", "CASE WHEN (a = 1) THEN true ELSE false END"),
        ("a is distinct from 3", "(a IS DISTINCT FROM 3)"),
        ("e is not true", "(e IS NOT TRUE)"),
        ("a::text = '1'", "((a)::text = '1'::text)"),
    ],
)
def test_text_and_back(source: str, expected: str) -> None:
    expr = analyze_stored(CATALOG, T, source)
    text = deparse_stored(expr, CATALOG, T)
    assert text == expected
    assert deparse_stored(analyze_stored(CATALOG, T, text), CATALOG, T) == expected


def test_quoting() -> None:
    assert quote_identifier("abc") == "abc"
    assert quote_identifier("Abc") == '"Abc"'
    assert quote_identifier("select") == '"select"'
    assert quote_identifier('a"b') == '"a""b"'
    assert quote_literal("it's") == "'it''s'"
    assert quote_literal("a\\b") == "'a\\b'"


def _arms(count: int) -> Query:
    sql = " union ".join(f"select a, b from t where a = {number}" for number in range(count))
    return analyze(parse(sql)[0].node, CATALOG, [], sql)


@pytest.mark.parametrize("write", [kept_query, deparse_query])
def test_the_work_for_set_operations_grows_with_their_number(write: Callable[[Query, CatalogView], str]) -> None:
    calls = []
    for count in (300, 600):
        query = _arms(count)
        profile = cProfile.Profile()
        text = profile.runcall(write, query, CATALOG)
        assert text.count("UNION") == count - 1
        calls.append(sum(entry.callcount for entry in profile.getstats()))
    assert calls[1] < calls[0] * 2.2


def test_thousands_of_set_operations_are_written_and_let_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pulses = []
    monkeypatch.setattr(queries, "HUB", SimpleNamespace(pulse=lambda: pulses.append(1)))
    assert kept_query(_arms(2000), CATALOG).count("UNION") == 1999
    assert len(pulses) >= 2000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("select a from t", "SELECT t.a FROM public.t", True),
        ("select a from t", "select b from t", False),
        ("select a from t", "select a as x from t", False),
        ("select a from t where a > 1", "select a from t where a > 2", False),
        ("select 1.0", "select 1.00", False),
        ("select a from t order by a", "select a from t order by b", False),
        ("select a from t order by a", "select a from t order by a desc", False),
        ("select x.a from t x, t y", "select y.a from t x, t y", False),
        ("select a from t full join (select a from t) u using (a) order by a",
         "select coalesce(t.a, u.a) as a from t full join (select a from t) u using (a) order by coalesce(t.a, u.a)",
         True),
    ],
)  # fmt: skip
def test_same_query(one: str, other: str, same: bool) -> None:
    first, second = (analyze(parse(sql)[0].node, CATALOG, [], sql) for sql in (one, other))
    assert same_query(first, second) is same
