"""Expression → text: PostgreSQL's spelling (expected texts as pg_get_constraintdef gives them), and back."""

from __future__ import annotations

import pytest

from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.deparse.expressions import deparse_stored, quote_identifier, quote_literal
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
