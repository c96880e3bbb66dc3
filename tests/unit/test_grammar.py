"""The parser is PostgreSQL 15's, and what its lexer leaves out is there."""

from __future__ import annotations

import re
from typing import Any

import pglast
import pytest
from hypothesis import given, settings, strategies
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from aurora.errors import SqlSyntaxError
from compute_node.sql import lexer_gaps
from compute_node.sql import lexical_notices as notices_of_texts
from compute_node.sql.lexer_gaps import check_junk
from compute_node.sql.lexical_notices import lexical_notices
from compute_node.sql.literals import LiteralRules, rewritten
from compute_node.sql.parse import parse
from compute_node.wire.server import Server


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


@pytest.mark.parametrize("junk", ["1e-5a", "1.5e+3x", "1e5x", "1e-", "1.a", ".5x", "12ab$", "0x1F", "1_000"])
def test_junk_behind_a_number(junk: str) -> None:
    with pytest.raises(SqlSyntaxError) as failed:
        parse(f"select 'it''s 3x', 1e5, 1.5, .5e1, {junk}")
    assert failed.value.message == f'trailing junk after numeric literal at or near "{junk}"'
    assert failed.value.position == 36


_PIECES = ("'", '"', "1a", "1e-5b", "2", " ", "--", "\n", "$$", "$1c", "\\", "E'", "e", "/*", "*/", "x", ".")


@given(strategies.lists(strategies.sampled_from(_PIECES), max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_no_junk_hides_behind_a_literal(source: str) -> None:
    """What spares most texts the look at their tokens changes nothing."""

    def found() -> str | None:
        try:
            check_junk(source)
        except SqlSyntaxError as error:
            return f"{error.message} {error.position}"
        return None

    quick = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexer_gaps, "_MAYBE", re.compile(""))
        assert quick == found()


def test_what_is_in_plain_literals_is_not_looked_at_by_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(source: str) -> None:
        raise AssertionError(source)

    monkeypatch.setattr(lexer_gaps, "scan", scan)
    monkeypatch.setattr(notices_of_texts, "scan", scan)
    parse(
        "select '550e8400-e29b-41d4-a716-446655440000', 'it''s 2b', '2024-01-01T00:00', 'the 3c', $1, 1e5, 2.e-3, "
        f'\'\\x{"0f" * 50}\', \'{{"key": "{"x" * 99}", "kind": "create global temp table"}}\''
    )


def test_the_lexers_notices_are_looked_for_once_and_not_in_long_literals(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def counting(source: str) -> list[Any]:
        looked_at.append(len(source))
        return lexical_notices(source)

    monkeypatch.setattr("compute_node.sql.parse.lexical_notices", counting)
    name, literal = "n" * 70, "a word " * 100_000
    (first, second) = parse(f"create global temp table x(a text); insert into {name} values ('{literal}')")
    assert [error.message for _, error in first.notices] == [
        "GLOBAL is deprecated in temporary table creation",
        f'identifier "{name}" will be truncated to "{name[:63]}"',
    ]
    assert first.notices[0][1].position == 8
    assert second.notices == ()
    (moved,) = parse(f"select '{literal}' into global temp y")[0].notices
    assert moved[1].position == len(literal) + 16
    assert looked_at == [pytest.approx(150, abs=100), pytest.approx(60, abs=50)]


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
    ((_, notice),) = lexical_notices(f'select 1 as "{"a" * 30}""{"b" * 33}"')
    assert notice.message.startswith(f'identifier "{"a" * 30}"{"b" * 33}" will be truncated')


def test_a_client_hears_the_lexer_each_time() -> None:
    name = "s" * 70

    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        said: list[str | None] = []
        db.add_notice_handler(lambda notice: said.append(notice.message_primary))
        await db.execute("begin")
        for statement in (f"savepoint {name}", f"select 1 as {name}", f"select 1 as {name} order by 1"):
            for _ in range(3):
                said.clear()
                await db.execute(statement)
                assert said == [f'identifier "{name}" will be truncated to "{name[:63]}"']

    serve_engine(body)
