"""jsonb values: both sides of the kernel give the same, and the same as the functions for long values."""

from __future__ import annotations

import importlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_node.types.json import access, parse, value
from compute_node.types.json.value import Jsonb, long_sort_key, long_text_of
from compute_node.types.numeric import in_format, numeric_key

SPEC = importlib.import_module("aurora.kernels.python.jsonb")
try:
    NATIVE: Any = importlib.import_module("aurora.kernels.native.jsonb")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=5)
KEYS = st.one_of(st.sampled_from(["a", "b", "aa", "é", ""]), WORDS)
NUMBERS = st.one_of(
    st.integers(-1000, 1000).map(Decimal),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e60"), max_value=Decimal("1e60")),
    st.sampled_from([Decimal("0.00"), Decimal("1.0"), Decimal("1.00"), Decimal("1E+50"), Decimal("1E-20")]),
).map(in_format)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
VALUES = TREES.map(lambda tree: Jsonb.of(tree).data)


@given(VALUES, KEYS, st.integers(-4, 4))
@settings(max_examples=60)
def test_parts_are_found_alike(data: bytes, name: str, index: int) -> None:
    assert NATIVE.field(data, name) == SPEC.field(data, name)
    assert NATIVE.element(data, index) == SPEC.element(data, index)
    assert NATIVE.exists(data, name) == SPEC.exists(data, name)
    if data[0] == SPEC.OBJECT:
        at = SPEC.find_key(data, name.encode())
        assert NATIVE.find_key(data, name.encode()) == at
        for place in range(SPEC.count_of(data)):
            assert NATIVE.value_at(data, place) == SPEC.value_at(data, place)
        assert NATIVE.members(data) == SPEC.members(data)
    if data[0] == SPEC.ARRAY:
        assert NATIVE.parts(data) == SPEC.parts(data)


@given(VALUES)
@settings(max_examples=60)
def test_texts_and_keys_are_alike(data: bytes) -> None:
    assert NATIVE.text(data) == SPEC.text(data) == long_text_of(data)
    assert NATIVE.sort_key(data, True) == SPEC.sort_key(data, True)
    assert NATIVE.sort_key(data) == SPEC.sort_key(data) == long_sort_key(data)
    if data[0] < SPEC.ARRAY:
        assert NATIVE.scalar_text(data) == SPEC.scalar_text(data)


@given(NUMBERS, NUMBERS)
@settings(max_examples=60)
def test_numbers_are_ordered_as_numeric_s(a: Decimal, b: Decimal) -> None:
    one, other = value.number_data(a), value.number_data(b)
    assert NATIVE.number_key(one) == SPEC.number_key(one) == numeric_key(a)
    assert NATIVE.number_text(one) == SPEC.number_text(one) == format(a, "f")
    assert NATIVE.same_scalar(one, other) == SPEC.same_scalar(one, other) == (a == b)


@given(VALUES, VALUES)
@settings(max_examples=100)
def test_containment_is_alike(whole: bytes, part: bytes) -> None:
    for a, b in ((whole, part), (whole, whole), (Jsonb.of([Jsonb(whole), Jsonb(part)]).data, part)):
        assert NATIVE.contains(a, b) == SPEC.contains(a, b) == access.contains_long(a, b)


@given(TREES)
@settings(max_examples=60)
def test_texts_are_read_alike(tree: Any) -> None:
    written = Jsonb.of(tree).text()
    found = NATIVE.parse(written)
    assert found == SPEC.parse(written)
    assert parse.parse(written).text() == written
    assert found is None or Jsonb(found) == Jsonb.of(tree)


@given(TREES, st.sampled_from(["", " ", "\n", "[1, "]))
@settings(max_examples=60)
def test_parts_of_texts_are_read_alike(tree: Any, before: str) -> None:
    written = Jsonb.of(tree).text().encode("ascii", "backslashreplace").decode()
    source = f"{before}{written}, 2]"
    assert NATIVE.parse_part(source, len(before)) == SPEC.parse_part(source, len(before))


@pytest.mark.parametrize("levels", [99, 100, 101, 102])
def test_depth_is_bounded_alike(levels: int) -> None:
    source = "[" * levels + "]" * levels
    assert NATIVE.parse(source) == SPEC.parse(source)
    assert (SPEC.parse(source) is None) == (levels > 100)
    data = parse.parse(source).data
    assert NATIVE.text(data) == SPEC.text(data)
    assert NATIVE.sort_key(data) == SPEC.sort_key(data)
    assert NATIVE.contains(data, data) == SPEC.contains(data, data)
    assert Jsonb(data).text() == source
    assert access.contains(Jsonb(data), Jsonb(data))


@given(st.lists(VALUES, max_size=5), st.dictionaries(KEYS.map(str.encode), VALUES, max_size=5))
@settings(max_examples=60)
def test_containers_are_built_alike(parts: list[bytes], members: dict[bytes, bytes]) -> None:
    assert NATIVE.array_of(parts) == SPEC.array_of(parts)
    assert NATIVE.object_of(members) == SPEC.object_of(members)
    for container in (SPEC.array_of(parts), SPEC.object_of(members)):
        for index in range(SPEC.count_of(container)):
            for new in (b"\0", container):
                assert NATIVE.replaced(container, index, new) == SPEC.replaced(container, index, new)


@given(st.text(alphabet='{}[]:,"\\ntrue null-0.12eE \t\x01u', max_size=12))
@settings(max_examples=300)
def test_what_is_no_json_is_refused_alike(source: str) -> None:
    assert NATIVE.parse(source) == SPEC.parse(source)


@pytest.mark.parametrize(
    "source",
    ['{"b":1,"a":2,"b":3,"aa":[],"":{}}', "-0", "-0.0", "1e5", "1.", "01", '"\\u00e9"', '"\\/\\b"', '"\ud800"', "NaN"],
)
def test_reading_of_edges_is_alike(source: str) -> None:
    assert NATIVE.parse(source) == SPEC.parse(source)


def test_a_table_that_does_not_fit_is_refused() -> None:
    data = bytearray(Jsonb.of([1, 2, 3]).data)
    data[9] = 0xFF
    with pytest.raises(ValueError, match="does not fit"):
        NATIVE.element(bytes(data), 1)
    with pytest.raises(ValueError, match="does not fit"):
        NATIVE.text(bytes(data))
