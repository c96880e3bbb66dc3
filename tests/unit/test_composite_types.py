"""Composite types: text, binary and stored forms, order and keys; stored rows outlive changes of their type."""

from __future__ import annotations

import pickle
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute_node.types  # noqa: F401  (fills REGISTRY)
from aurora.errors import DatatypeMismatch, InvalidBinaryRepresentation, InvalidTextRepresentation
from compute_node.types.array import make_array_type
from compute_node.types.composite import make_composite_type
from compute_node.types.record import Record
from compute_node.types.registry import REGISTRY, FieldDesc, PgType, TypeEnv

ENV = TypeEnv(timezone=UTC)
INT4, TEXT, INT8 = (REGISTRY.types_by_name[name] for name in ("int4", "text", "int8"))


def composite(oid: int, *fields: tuple[str, PgType | None]) -> PgType:
    described = tuple(FieldDesc(name, item) for name, item in fields)
    return make_composite_type(described, oid=oid, name=f"c{oid}", namespace=2200, array=oid + 1, relation=oid + 2)


PAIR = composite(20000, ("x", INT4), ("y", TEXT))
PAIRS = make_array_type(PAIR)
NEST = composite(21000, ("p", PAIR), ("gone", None), ("q", PAIRS), ("z", INT8))


def pair(x: int | None, y: str | None) -> Record:
    return Record.of((x, y), (INT4, TEXT))


PAIR_VALUES = st.builds(
    pair, st.one_of(st.none(), st.integers(-3, 3)), st.one_of(st.none(), st.text('ab\x01\xff,()"\\ ', max_size=4))
)
NEST_VALUES = st.builds(
    lambda p, q, z: Record.of((p, None, q, z), (PAIR, None, PAIRS, INT8)),
    st.one_of(st.none(), PAIR_VALUES),
    st.one_of(st.none(), st.lists(st.one_of(st.none(), PAIR_VALUES), max_size=3)),
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(PAIR_VALUES, NEST_VALUES))
def test_every_form_keeps_the_value(value: Record) -> None:
    kind = NEST if len(value) == 4 else PAIR
    assert kind.to_disk and kind.from_disk and kind.send and kind.receive and kind.sort_value
    for again in (
        kind.from_disk(kind.to_disk(value)),
        kind.receive(kind.send(value), -1),
        pickle.loads(pickle.dumps(value)),
        kind.input(kind.output(value, ENV), -1, ENV),
    ):
        assert tuple(again) == tuple(value)
        assert hash(kind.sort_value(again)) == hash(kind.sort_value(value))


@settings(max_examples=400, deadline=None)
@given(NEST_VALUES, NEST_VALUES)
def test_keys_have_the_order_of_the_values(a: Record, b: Record) -> None:
    assert NEST.sort_value and NEST.sort_key
    x, y = NEST.sort_value(a), NEST.sort_value(b)
    key_a, key_b = NEST.sort_key(a), NEST.sort_key(b)
    assert (x < y, x == y) == (key_a < key_b, key_a == key_b)
    compare = REGISTRY.functions[2987].implementation
    assert compare(a, b) == (x > y) - (x < y)
    assert REGISTRY.functions[2981].implementation(a, b) == (x == y)
    assert (REGISTRY.functions[3187].implementation(a, b) == 0) == (tuple(a) == tuple(b))


def test_a_stored_row_is_read_by_a_later_form_of_its_type() -> None:
    assert PAIR.to_disk is not None
    stored = PAIR.to_disk(pair(7, "x" * 300))
    wider = composite(20000, ("x", INT4), ("y", None), ("z", INT8))
    assert wider.from_disk is not None
    assert tuple(wider.from_disk(stored)) == (7, None, None)
    assert wider.output(wider.from_disk(stored), ENV) == "(7,)"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("1,2)", "Missing left parenthesis."),
        ("(1)", "Too few columns."),
        ("(1,2,3)", "Too many columns."),
        ("(1,2", "Unexpected end of input."),
        ('(1,"2)', "Unexpected end of input."),
        ("(1,2) x", "Junk after right parenthesis."),
    ],
)
def test_malformed_text(text: str, detail: str) -> None:
    with pytest.raises(InvalidTextRepresentation) as caught:
        PAIR.input(text, -1, ENV)
    assert caught.value.message == f'malformed record literal: "{text}"'
    assert caught.value.detail == detail


def test_malformed_binary() -> None:
    assert PAIR.send and PAIR.receive
    good = PAIR.send(pair(1, "a"))
    for size in range(4, len(good)):
        with pytest.raises(InvalidBinaryRepresentation):
            PAIR.receive(good[:size], -1)
    with pytest.raises(InvalidBinaryRepresentation):
        PAIR.receive(good + b"x", -1)
    with pytest.raises(DatatypeMismatch, match="wrong number of columns: 3, expected 2"):
        PAIR.receive(b"\0\0\0\3" + good[4:], -1)


def test_rows_of_other_columns_are_not_compared() -> None:
    equal: Any = REGISTRY.functions[2981].implementation
    with pytest.raises(DatatypeMismatch, match="cannot compare dissimilar column types integer and text at record col"):
        equal(pair(1, "a"), Record.of(("1", "a"), (TEXT, TEXT)))
    with pytest.raises(DatatypeMismatch, match="different numbers of columns"):
        equal(pair(1, "a"), Record.of((1, "a", 2), (INT4, TEXT, INT4)))
