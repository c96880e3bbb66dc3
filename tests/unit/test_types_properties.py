"""Properties of every type: text, binary and stored forms round trip; sort keys order as the comparison operators
do.
"""

from __future__ import annotations

import zoneinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_node.types import REGISTRY
from compute_node.types.calendar_ import civil_from_days, days_from_civil, iso_week
from compute_node.types.interval import Interval
from compute_node.types.like import like_test
from compute_node.types.numeric import in_format
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import PgType, TypeEnv

ENV = TypeEnv(zoneinfo.ZoneInfo("America/New_York"))
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
DECIMALS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e40"), max_value=Decimal("1e40")),
    st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("0.00")]),
).map(lambda value: Decimal("NaN") if value.is_nan() else in_format(value))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float4": st.floats(width=32),
    "float8": st.floats(),
    "numeric": DECIMALS,
    "text": TEXT,
    "varchar": TEXT,
    "bpchar": TEXT,
    "name": TEXT.map(lambda text: text[:15]),
    "char": st.integers(0, 255).map(lambda code: chr(code) if code else ""),
    "bytea": st.binary(max_size=12),
    "oid": st.integers(0, 2**32 - 1),
    "tid": st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)).map(lambda pair: pair[0] << 16 | pair[1]),
    "date": st.integers(-2451545, 2145031948),
    "timestamp": st.integers(-211813488000000000, 9223371331199999999),
    "timestamptz": st.integers(-211813401600000000, 9223371244799999999),
    "time": st.integers(0, 86_400_000_000),
    "interval": st.builds(
        Interval, st.integers(-999999, 999999), st.integers(-999999, 999999), st.integers(-(10**15), 10**15)
    ),
    "uuid": st.uuids().map(str),
    "pg_lsn": st.integers(0, 2**63 - 1),
}
COMPARISONS = {name: name for name in VALUES} | {"varchar": "text"}


def element_lists(name: str) -> st.SearchStrategy[list[Any]]:
    """One-dimensional arrays with NULLs."""
    return st.lists(st.one_of(st.none(), VALUES[name]), max_size=4)


def same(item: PgType, a: Any, b: Any) -> bool:
    """Equality as the type's operators see it."""
    key = item.sort_value or (lambda value: value)
    return bool(key(a) == key(b))


@pytest.mark.parametrize("name", VALUES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trips(name: str, data: st.DataObject) -> None:
    item = REGISTRY.types_by_name[name]
    value = data.draw(VALUES[name])
    assert same(item, item.input(item.output(value, ENV), -1, ENV), value)
    assert item.send is not None and item.receive is not None
    assert same(item, item.receive(item.send(value), -1), value)
    if item.to_disk is not None and item.from_disk is not None:
        assert same(item, item.from_disk(item.to_disk(value)), value)
    array = REGISTRY.types[item.array]
    elements = data.draw(element_lists(name))
    assert array.send is not None and array.receive is not None
    assert array.to_disk is not None and array.from_disk is not None
    assert same(array, array.input(array.output(elements, ENV), -1, ENV), elements)
    assert same(array, array.receive(array.send(elements), -1), elements)
    assert same(array, array.from_disk(array.to_disk(elements)), elements)


@pytest.mark.parametrize("name", VALUES)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_sort_keys_order_as_operators_do(name: str, data: st.DataObject) -> None:
    item = REGISTRY.types_by_name[name]
    a, b = data.draw(VALUES[name]), data.draw(VALUES[name])
    assert item.sort_key is not None
    key_a, key_b = item.sort_key(a), item.sort_key(b)
    oid = TYPE_OIDS[COMPARISONS[name]]

    def compare(symbol: str) -> bool:
        return bool(REGISTRY.functions[REGISTRY.operators_by_signature[symbol, oid, oid].function].implementation(a, b))

    assert (key_a < key_b) == compare("<")
    assert (key_a <= key_b) == compare("<=")
    assert (key_a == key_b) == compare("=") == (not compare("<>"))
    order = item.sort_value or (lambda value: value)
    assert (order(a) < order(b)) == compare("<")
    if key_a != key_b:
        assert not key_a.startswith(key_b) and not key_b.startswith(key_a)


@pytest.mark.parametrize("name", ["int4", "text", "numeric", "float8"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_array_keys_order(name: str, data: st.DataObject) -> None:
    array = REGISTRY.types[REGISTRY.types_by_name[name].array]
    a, b = data.draw(element_lists(name)), data.draw(element_lists(name))
    assert array.sort_key is not None and array.sort_value is not None
    assert (array.sort_key(a) < array.sort_key(b)) == (array.sort_value(a) < array.sort_value(b))


@given(st.integers(-2451545, 2145031948))
def test_calendar(days: int) -> None:
    year, month, day = civil_from_days(days)
    assert days_from_civil(year, month, day) == days
    iso_year, week, weekday = iso_week(days)
    assert abs(iso_year - year) <= 1 and 1 <= week <= 53 and weekday == (days + 5) % 7 + 1


@given(st.text("ab%_\\", max_size=8), st.text("ab%_", max_size=8))
def test_like_against_a_plain_matcher(pattern: str, value: str) -> None:
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        pattern += "a"

    def match(p: int, v: int) -> bool:
        if p == len(pattern):
            return v == len(value)
        if pattern[p] == "%":
            return match(p + 1, v) or (v < len(value) and match(p, v + 1))
        if v == len(value):
            return False
        if pattern[p] == "_":
            return match(p + 1, v + 1)
        literal = p + 1 if pattern[p] == "\\" else p
        return pattern[literal] == value[v] and match(literal + 1, v + 1)

    assert like_test(pattern)(value) == match(0, 0)


@settings(deadline=None)
@given(st.integers(-(2**40), 2**40), st.integers(-(2**20), 2**20))
def test_integer_division_is_c_s(dividend: int, divisor: int) -> None:
    divide = next(each for each in REGISTRY.functions_by_name["int8div"]).implementation
    remainder = next(each for each in REGISTRY.functions_by_name["int8mod"]).implementation
    if divisor:
        quotient = divide(dividend, divisor)
        assert quotient == int(Decimal(dividend) / Decimal(divisor))
        assert quotient * divisor + remainder(dividend, divisor) == dividend
