"""The parser is PostgreSQL 15's, and what its lexer leaves out is there."""

from __future__ import annotations

import pglast
import pytest

from aurora.errors import SqlSyntaxError
from compute_node.sql.lexical_notices import lexical_notices
from compute_node.sql.literals import LiteralRules, rewritten
from compute_node.sql.parse import parse


def test_the_parser_is_postgresql_15s() -> None:
    version = pglast.get_postgresql_version()[0]
    assert version == 15, f"pglast has the grammar of PostgreSQL {version}: install what pyproject.toml names"


@pytest.mark.parametrize(
    ("source", "position"),
    [
        ("select 'é', 1a", 13),
        ("select 'é' from t x y", 21),
        ("select 'éé', foo(", 18),
        ("select 1; select 'é', é b c", 27),
    ],
)
def test_places_are_counted_in_characters(source: str, position: int) -> None:
    with pytest.raises(SqlSyntaxError) as failed:
        parse(source)
    assert failed.value.position == position


@pytest.mark.parametrize(
    "source", ["select '1a', \"2b\", $$3c$$ /* 4d */ -- 5e", "select 1..2", "select a1, 1e5, x'1f'"]
)
def test_what_only_looks_like_junk_is_parsed(source: str) -> None:
    try:
        parse(source)
    except SqlSyntaxError as error:
        assert "junk" not in error.message  # noqa: PT017 - any other error is the grammar's


def test_a_rewritten_text_keeps_its_places() -> None:
    rules = LiteralRules(standard=False, quotes_allowed=True, warns=True)
    warnings: list[str] = []
    source = r"select 'a\n', '\'', E'\n', $$\n$$, 'é\u00e9' -- '\n'"
    text = rewritten(source, rules, lambda notice: warnings.append(notice.message))
    assert text == "select 'a\n' , '''', E'\\n', $$\\n$$, 'éé'      -- '\\n'"
    assert len(text) == len(source)
    assert warnings == [
        "nonstandard use of escape in a string literal",
        "nonstandard use of \\' in a string literal",
        "nonstandard use of escape in a string literal",
    ]


def test_a_name_is_cut_between_characters() -> None:
    ((severity, notice),) = lexical_notices(f"select 1 as {'é' * 32}")
    assert (severity, notice.sqlstate) == ("NOTICE", "42622")
    assert notice.message == f'identifier "{"é" * 32}" will be truncated to "{"é" * 31}"'
    assert lexical_notices(f"select '{'a' * 64}'") == []
