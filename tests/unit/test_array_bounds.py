"""Array values with lower bounds: text, binary and stored forms, order, keys, hashing."""

from __future__ import annotations

import contextlib
import pickle
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute_node.types  # noqa: F401  (fills REGISTRY)
from aurora.errors import InvalidBinaryRepresentation, ProgramLimitExceeded
from compute_node.types.array_value import BoundedArray, array_slice, bounded, element_at, lower_bounds
from compute_node.types.registry import REGISTRY, TypeEnv

ENV = TypeEnv(timezone=UTC)
INTS, TEXTS = REGISTRY.types_by_name["_int4"], REGISTRY.types_by_name["_text"]

ELEMENT = st.one_of(st.none(), st.text('ab\x01\x02\xff,{}" ', max_size=4))
BOUNDS = st.integers(-3, 3)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        elements: list[Any] = draw(st.lists(ELEMENT, max_size=4))
        return bounded(elements, [draw(BOUNDS)]) if elements else elements
    width = draw(st.integers(1, 3))
    rows = [draw(st.lists(ELEMENT, min_size=width, max_size=width)) for _ in range(draw(st.integers(1, 3)))]
    return bounded(rows, [draw(BOUNDS), draw(BOUNDS)])


@settings(max_examples=300, deadline=None)
@given(arrays())
def test_every_form_keeps_the_value(value: Any) -> None:
    assert TEXTS.to_disk and TEXTS.from_disk and TEXTS.send and TEXTS.receive and TEXTS.sort_value
    for again in (
        TEXTS.from_disk(TEXTS.to_disk(value)),
        TEXTS.receive(TEXTS.send(value), -1),
        pickle.loads(pickle.dumps(value)),
        TEXTS.input(TEXTS.output(value, ENV), -1, ENV),
    ):
        assert again == value
        assert type(again) is type(value)
        assert lower_bounds(again) == lower_bounds(value)
        assert hash(TEXTS.sort_value(again)) == hash(TEXTS.sort_value(value))


@settings(max_examples=500, deadline=None)
@given(arrays(), arrays())
def test_keys_have_the_order_of_the_values(a: Any, b: Any) -> None:
    assert TEXTS.sort_value and TEXTS.sort_key
    # Python compares texts by code points, which is the order of their UTF-8 bytes.
    x, y = TEXTS.sort_value(a), TEXTS.sort_value(b)
    key_a, key_b = TEXTS.sort_key(a), TEXTS.sort_key(b)
    assert (x < y, x == y) == (key_a < key_b, key_a == key_b)
    assert (a == b) == (x == y)


def test_bounds_tell_values_apart() -> None:
    plain, shifted = [1, 2], BoundedArray([1, 2], (0,))
    assert plain != shifted
    assert shifted != plain
    assert shifted == BoundedArray([1, 2], (0,))
    assert bounded([1, 2], (1,)) == plain
    assert type(bounded([1, 2], (1,))) is list
    assert type(bounded([], (5,))) is list


def test_subscripts_and_slices() -> None:
    value = BoundedArray([[1, 2], [3, 4]], (-1, 2))
    assert [element_at(value, 1, pair) for pair in ((-1, 2), (0, 3), (0, 4), (1, 2), (0,))] == [1, 4, None, None, None]
    assert array_slice(value, 1, ((0, 0), (2, 9))) == [[3, 4]]
    assert array_slice(value, 1, ((0, 0),)) == [[3, 4]]
    assert array_slice(value, 1, ((5, 6),)) == []
    assert type(array_slice(value, 1, ((-1, 0),))) is list


@pytest.mark.parametrize("low", [2147483647, 2147483646])
def test_subscripts_end_at_the_largest_integer(low: int) -> None:
    with pytest.raises(ProgramLimitExceeded, match="array lower bound is too large"):
        bounded([1, 2], (low,))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_binary_garbage_is_refused_or_an_array(data: bytes) -> None:
    assert INTS.receive
    header = b"\0\0\0\1\0\0\0\0\0\0\0\x17"
    with contextlib.suppress(InvalidBinaryRepresentation, ProgramLimitExceeded):
        assert isinstance(INTS.receive(header + data, -1), list)
