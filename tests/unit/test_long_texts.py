"""Long statement texts: INSERTs in pieces, long literals kept away from the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast import ast

from aurora.errors import CharacterNotInRepertoire, OutOfMemory, SqlSyntaxError
from compute_node.session import results
from compute_node.session.long_insert import PIECE_CHARS, PIECE_LITERALS, long_insert
from compute_node.sql import long_literals, parse
from compute_node.work.account import INSTANCE

LITERALS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(["null", "TRUE", "1.5", "-.5e10", "default", "''", "'it''s'", "'(1,2),'", "'a;'"]),
    st.text(alphabet="ab' ,()é\n", max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'"),
)
SPACE = st.sampled_from(["", " ", "\n "])


@given(
    rows=st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[LITERALS] * width), min_size=1, max_size=400)),
    space=SPACE,
    end=st.sampled_from(["", ";", " ; "]),
)
def test_pieces_are_the_insert(rows: list[tuple[str, ...]], space: str, end: str) -> None:
    head = f'insert into "S".t{space}(a, b) values '
    lines = [f"{space}({space}{f',{space}'.join(row)}{space}){space}" for row in rows]
    text = head + ",".join(lines).lstrip() + end
    found = long_insert(text)
    assert found is not None
    whole = parse.parse(text)[0].node.selectStmt.valuesLists
    pieces = []
    for piece, moved in found.pieces():
        lists = parse.parse(piece.decode())[0].node.selectStmt.valuesLists
        pieces += lists
        assert len(lists) * len(rows[0]) <= PIECE_LITERALS
        assert len(lists) == 1 or len(piece) <= len(head) + 2 * PIECE_CHARS
        at = len(found.head)
        rows_text = piece.decode()[at:]
        assert text[at + moved : at + moved + len(rows_text)] == rows_text
    assert tuple(pieces) == tuple(whole)


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (1), (2) returning a",
        "insert into t values (1), (2) on conflict do nothing",
        "insert into t values (1), (2, 3)",
        "insert into t values (1), (1 + 1)",
        "insert into t values (1), ('a' 'b')",
        "insert into t values (1), (E'a\\n')",
        "insert into t values (1), (2",
        "insert into t values (1),",
        "insert into t values (1); select 2",
        "insert into t values (1), (2) -- end",
        "insert into t select 1",
        "insert into t default values",
        "with c as (select 1) insert into t values (1)",
        "select 1",
        "",
    ],
)
def test_what_is_not_plain_goes_the_general_way(text: str) -> None:
    assert long_insert(text) is None


def both(text: str) -> None:
    """The text gives the same trees with and without its long literals in sight of the parser."""
    long = parse._parse_long(text)
    plain = parse._parse(text)
    assert [each.node for each in long] == [each.node for each in plain]
    assert [each[1:] for each in long] == [each[1:] for each in plain]
    for left, right in zip(long, plain, strict=True):
        for a, b in zip(nodes(left.node), nodes(right.node), strict=True):
            assert getattr(a, "location", None) == getattr(b, "location", None)


def nodes(value: object) -> list[ast.Node]:
    """A tree's nodes in order."""
    return list(long_literals._nodes(value, parse._slots))


def test_long_literals_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute_node.sql.long_literals.CUT_CHARS", 10)
    long = "it''s " * 5
    for text in (
        f"select '{long}' as a, 'x', b from t where c = '{long}' || d; select '{long}', e",
        f"select 1 -- it's a comment\n, '{long}' /* don't /* nest */ */ , b",
        f"select $q$it's$q$, \"it's\", '{long}', b",
        f"select E'\\'{long}', '{long}'",
        f"select '{long}'\n'{long}', b",
        f"insert into t values ('{long}', 1), ('{long}', 2)",
    ):
        both(text)
    assert long_literals.cut(f"select '{long}'") is not None
    assert long_literals.cut(f"select E'{long}'") is None


def test_errors_behind_a_long_literal_have_their_place() -> None:
    text = f"select '{'x' * 100_000}' from from t"
    with pytest.raises(SqlSyntaxError) as caught:
        parse._parse_long(text)
    assert caught.value.position == text.index("from t") + 1


def test_a_tree_that_cannot_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    used_bytes = INSTANCE.used_bytes
    monkeypatch.setattr(INSTANCE, "limit_bytes", used_bytes + 1_000_000)
    with pytest.raises(OutOfMemory):
        parse._parse_long("select " + ",".join(["1"] * 2000))
    assert INSTANCE.used_bytes == used_bytes


@given(text=st.text(alphabet="aé€\U0001f600", max_size=40), piece=st.integers(1, 7))
def test_long_texts_are_decoded_in_pieces(text: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "LONG_TEXT_BYTES", piece)
        assert results.decode_text(text.encode()) == text
        broken = b"a" * piece + text.encode()[:-1] + b"\xff"
        with pytest.raises(CharacterNotInRepertoire):
            results.decode_text(broken)
