"""Text search: forms that round trip, order, bounds of depth and length, the parser's coverage of its text."""

from __future__ import annotations

import pickle
from datetime import UTC
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute_node.exec.compile.compiler  # noqa: F401  (sets how deep calls may nest, as in the server)
from aurora.errors import InternalError, ProgramLimitExceeded, SqlError, SqlSyntaxError, StatementTooComplex
from compute_node.hub import HUB
from compute_node.types import REGISTRY
from compute_node.types.registry import TypeEnv
from compute_node.types.textsearch import match, query, tokens, vector
from compute_node.types.textsearch.configurations import configuration
from compute_node.types.textsearch.documents import to_vector
from compute_node.types.textsearch.headline import options_of
from compute_node.types.textsearch.query import AND, NOT, OR, PHRASE, Node, TsQuery
from compute_node.types.textsearch.vector import TsVector

ENV = TypeEnv(UTC)
ENGLISH = 13164
LEXEMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=6)
POSITIONS = st.lists(st.integers(1, 400).flatmap(lambda at: st.integers(0, 3).map(lambda w: w << 14 | at)), max_size=5)
VECTORS = st.dictionaries(LEXEMES, POSITIONS, max_size=6).map(vector.make)
LEAVES = st.builds(Node, LEXEMES, st.integers(0, 15), st.booleans())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda node: Node.join(NOT, None, node)),
        st.builds(Node.join, st.sampled_from([AND, OR, PHRASE]), inner, inner, st.integers(0, 16384)),
    ),
    max_leaves=8,
)
QUERIES = TREES.map(TsQuery)


def read(name: str, text: str) -> Any:
    """Text input."""
    return REGISTRY.types_by_name[name].input(text, -1, ENV)


@settings(max_examples=50, deadline=None)
@given(VECTORS)
def test_every_form_keeps_a_vector(value: TsVector) -> None:
    item = REGISTRY.types_by_name["tsvector"]
    assert read("tsvector", vector.text_of(value)) == value
    assert item.send is not None and item.receive is not None and item.to_disk is not None
    assert item.from_disk is not None
    assert item.receive(item.send(value), -1) == value
    assert item.from_disk(item.to_disk(value)) == value
    assert pickle.loads(pickle.dumps(value)) == value


@settings(max_examples=50, deadline=None)
@given(QUERIES)
def test_every_form_keeps_a_query(value: TsQuery) -> None:
    """The text but for how an AND of ANDs is nested."""
    assert query.text_of(read("tsquery", query.text_of(value))) == query.text_of(value)
    assert query.send(query.receive(query.send(value), -1)) == query.send(value)
    assert pickle.loads(pickle.dumps(value)) == value


@settings(max_examples=50, deadline=None)
@given(VECTORS, VECTORS)
def test_vectors_with_equal_keys_are_equal(one: TsVector, other: TsVector) -> None:
    assert (one.key == other.key) == (one == other)
    assert (vector.form_bytes(one) < vector.form_bytes(other)) <= (one.key < other.key), "the shorter one first"


@settings(max_examples=50, deadline=None)
@given(VECTORS, TREES)
def test_not_turns_a_match_round(value: TsVector, tree: Node) -> None:
    """Unless positions are missing, where a phrase is never matched."""
    if all(positions for _, positions in value.entries):
        assert match.matches(value, TsQuery(Node.join(NOT, None, tree))) != match.matches(value, TsQuery(tree))


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from(list("ab1é.-_/@:?=<>&;#~+ ,'\"\n")), max_size=40))
def test_tokens_cover_the_text(text: str) -> None:
    """But for the whole of a compound and of a URL, which its parts repeat."""
    whole = (tokens.URL, tokens.NUM_COMPOUND, tokens.ASCII_COMPOUND, tokens.COMPOUND)
    assert "".join(token.text for token in tokens.parse(text) if token.kind not in whole) == text


@pytest.mark.parametrize("text", ["(" * 30_000 + "a", "!" * 30_000 + "a"], ids=["parentheses", "negations"])
def test_a_query_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(StatementTooComplex):
        read("tsquery", text)


def test_a_long_query_is_read_and_matched() -> None:
    value = read("tsquery", " | ".join(f"w{number}" for number in range(3000)))
    assert match.matches(read("tsvector", "w2999:1"), value)
    assert query.send(read("tsquery", query.text_of(value))) == query.send(value)


def test_limits() -> None:
    with pytest.raises(ProgramLimitExceeded, match="string is too long for tsvector"):
        read("tsvector", " ".join(f"{number:0100d}" for number in range(11_000)))
    many = read("tsvector", "a:" + ",".join(map(str, range(1, 1000))))
    assert len(many.entries[0][1]) == 256


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1", b"\xff\xff\xff\xff", b"\0\0\0\1a\0\0\2\0\2\0\1"])
def test_malformed_vectors_are_refused(data: bytes) -> None:
    item = REGISTRY.types_by_name["tsvector"]
    assert item.receive is not None
    with pytest.raises(InternalError):
        item.receive(data, -1)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1", b"\0\0\0\1\2\1", b"\0\0\0\1\3", b"\0\0\0\2\1\0\0a\0\1\0\0b\0"])
def test_malformed_queries_are_refused(data: bytes) -> None:
    with pytest.raises(SqlError):
        query.receive(data, -1)


def test_long_documents_let_others_run() -> None:
    before = HUB.pulses
    made = to_vector(configuration(ENGLISH), ("running foxes " * 5000,), lambda message, detail: None)
    assert [lexeme for lexeme, _ in made.entries] == ["fox", "run"]
    assert HUB.pulses - before > 20


def test_many_options_of_a_headline_are_read_in_one_pass() -> None:
    began_s = process_time()
    assert options_of("MaxWords=40," * 20_000 + " " * 20_000 + "MinWords=3").min_words == 3
    with pytest.raises(SqlSyntaxError):
        options_of(" " * 100_000 + "=")
    with pytest.raises(SqlSyntaxError):
        options_of('"' + "a" * 100_000)
    assert process_time() - began_s < 5  # a tenth of a second; each option over all of the rest took minutes
