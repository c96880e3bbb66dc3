"""Stored values, everyday arithmetic, hashes: both sides of the kernel give the same, and what general code gives."""

from __future__ import annotations

import importlib
import struct
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import InvariantViolation
from compute_node.types import REGISTRY
from compute_node.types.numeric import EXACT, division_scale, multiply, quotient, round_scale, to_disk

SPEC = importlib.import_module("aurora.kernels.python.values")
try:
    NATIVE: Any = importlib.import_module("aurora.kernels.native.values")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

NUMBERS = st.one_of(
    st.builds(
        lambda value, scale: Decimal(value).scaleb(-scale, EXACT), st.integers(-(10**6), 10**6), st.integers(0, 9)
    ),
    st.builds(
        lambda value, scale: Decimal(value).scaleb(-scale, EXACT), st.integers(-(10**20), 10**20), st.integers(0, 25)
    ),
    st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal(0), Decimal("0.00")]),
    st.sampled_from([Decimal("999999999999999999"), Decimal("-0.99999999999999999"), Decimal("1E-7"), Decimal("0.5")]),
)


def same(found: Decimal | None, expected: Decimal | None) -> bool:
    return (found is None and expected is None) or str(found) == str(expected)


@given(NUMBERS, NUMBERS, st.integers(-2, 20))
@settings(max_examples=200)
def test_numbers_are_calculated_alike(a: Decimal, b: Decimal, scale: int) -> None:
    for name in ("divided", "rest"):
        assert same(getattr(NATIVE, name)(a, b), getattr(SPEC, name)(a, b)), (name, a, b)
    for name in ("rounded", "truncated"):
        assert same(getattr(NATIVE, name)(a, scale), getattr(SPEC, name)(a, scale)), (name, a, scale)
    assert NATIVE.whole_number(a) == SPEC.whole_number(a)
    assert str(NATIVE.number(to_disk(a))) == str(SPEC.number(to_disk(a))) == str(a)


@pytest.mark.parametrize("digits", [2400, 4000, 4001, 4299, 4301, 20_001, 147_455])
def test_stored_numbers_of_many_digits_are_read(digits: int) -> None:
    """Python writes and reads no integer of more than 4300 digits as a text."""
    for scale in (0, 1, 16383):
        for sign in (0, 1):
            value = Decimal((sign, (7, *(0,) * (digits - 2), 3), -scale))
            stored = to_disk(value)
            for side in (SPEC, NATIVE):
                assert str(side.number(stored)) == str(value)


def test_a_number_of_too_many_decimals_is_not_stored() -> None:
    assert str(multiply(Decimal("1E-9000"), Decimal("-1E-9000"))) == "0E-16383"
    with pytest.raises(InvariantViolation):
        to_disk(Decimal("1E-16384"))


@given(NUMBERS, NUMBERS, st.integers(0, 18))
@settings(max_examples=200)
def test_numbers_are_what_exact_arithmetic_gives(a: Decimal, b: Decimal, scale: int) -> None:
    divided = NATIVE.divided(a, b)
    if divided is not None:
        assert str(divided) == str(quotient(a, b, division_scale(a, b)))
    rest = NATIVE.rest(a, b)
    if rest is not None:
        exact = EXACT.remainder(a, b)
        assert rest == exact and -rest.as_tuple().exponent == max(-a.as_tuple().exponent, -b.as_tuple().exponent)  # type: ignore[operator]
    cut = NATIVE.truncated(a, scale)
    if cut is not None:
        assert str(cut) == str(round_scale(a, scale, ROUND_DOWN))


@given(st.binary(max_size=40), st.integers(-(2**63), 2**63 - 1), st.text(max_size=12))
def test_hashes_are_alike(data: bytes, seed: int, text: str) -> None:
    assert NATIVE.hash_bytes(data, seed) == SPEC.hash_bytes(data, seed)
    assert NATIVE.hash_bytes(data) == SPEC.hash_bytes(data)
    assert NATIVE.hash_word(seed) == SPEC.hash_word(seed)
    assert NATIVE.hash_word(seed & 0xFFFF, seed) == SPEC.hash_word(seed & 0xFFFF, seed)
    assert NATIVE.hash_int(seed) == SPEC.hash_int(seed)
    if text.isprintable():
        assert NATIVE.hash_text(text) == SPEC.hash_text(text)
    for side in (SPEC, NATIVE):
        state = side.hash_begin(len(data), seed)
        whole = len(data) - len(data) % 12
        for at in range(0, whole, 12):
            state = side.hash_more(state, data[at : at + 12])
        assert side.hash_end(state, data[whole:]) == SPEC.hash_bytes(data, seed)


def test_hashes_are_those_of_postgresql() -> None:
    """SELECT hashtext('abc'), hashtext(''), hashint4(5)"""
    assert [NATIVE.hash_text("abc"), NATIVE.hash_text(""), NATIVE.hash_int(5)] == [-785388649, -1477818771, -1330264708]


ARRAYS = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "oid": st.integers(0, 2**32 - 1),
    "float8": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
}
CODES = {"int2": "h", "int4": "i", "int8": "q", "oid": "I", "float8": "d"}


@given(st.data())
def test_arrays_are_read_alike(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ARRAYS)))
    elements: list[Any] = data.draw(st.lists(ARRAYS[name], max_size=6))
    if data.draw(st.booleans()) and elements:
        elements[0] = None
    item = REGISTRY.types_by_name["_" + name]
    assert item.to_disk is not None
    stored = item.to_disk(elements)
    for form in (stored, stored[: data.draw(st.integers(0, len(stored)))]):
        if name == "text":
            found, expected = NATIVE.text_array(form), SPEC.text_array(form)
        else:
            found, expected = NATIVE.fixed_array(form, CODES[name]), SPEC.fixed_array(form, CODES[name])
        assert found == expected
        assert form is not stored or found is None or found == elements
    assert (NATIVE.text_array(stored) if name == "text" else NATIVE.fixed_array(stored, CODES[name])) == (
        elements if elements and None not in elements else None
    )


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 31), st.integers(0, 26))
def test_ranges_are_read_alike(narrow: int, wide: int, flags: int, cut: int) -> None:
    for pack, low, high in ((">iiii", narrow, narrow + 5 & 0x7FFFFFFF), (">iqiq", wide, wide)):
        size = 4 if pack == ">iiii" else 8
        data = bytes((flags,)) + struct.pack(pack, size, low, size, high)
        for form in (data, data[:cut], data[:4] + b"\7" + data[5:]):
            assert NATIVE.whole_range(form) == SPEC.whole_range(form)
        assert NATIVE.whole_range(data) == (None if flags & 25 else (low, high, flags))


@given(st.uuids(), st.text(max_size=20), st.integers(-3, 30), st.integers(0, 30))
def test_texts_are_alike(value: Any, text: str, start: int, length: int) -> None:
    assert NATIVE.uuid_text(value.bytes) == SPEC.uuid_text(value.bytes) == str(value)
    for form in (str(value), str(value).upper(), value.hex):
        assert NATIVE.uuid_bytes(form) == SPEC.uuid_bytes(form) == value.bytes
    assert NATIVE.initcap(text) == SPEC.initcap(text)
    assert NATIVE.substring(text, start, length) == SPEC.substring(text, start, length)


def test_initcap_counts_digits_to_words() -> None:
    assert NATIVE.initcap("1st o'neil_x  TWO") == "1st O'Neil_X  Two"
