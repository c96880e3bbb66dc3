"""Ranges and multiranges against sets of points, and their text, binary, stored and index forms."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import DataException
from compute_node.sql.analyze.polymorphism import signature_problem
from compute_node.types import REGISTRY
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.ranges import value as rv
from compute_node.types.ranges.types import make_multirange_type, make_range_type
from compute_node.types.ranges.value import Multirange, Range, make_multirange, make_range
from compute_node.types.registry import PgType, RangeForm, TypeEnv

ENV = TypeEnv(zoneinfo.ZoneInfo("UTC"))
MOST = 6
UNIVERSE = range(-2, MOST + 3)
"""Points that tell ranges with bounds in 0 … MOST apart; its ends stand for infinity."""


def form_of(name: str) -> RangeForm:
    form = REGISTRY.types_by_name[name].range_form
    assert form is not None
    return form


INTEGERS = form_of("int4range")


@st.composite
def ranges(draw: st.DrawFn, form: RangeForm, bounds: st.SearchStrategy[Any]) -> Range:
    """Any range, the empty and the infinite ones too."""
    lower, upper = draw(bounds), draw(bounds)
    flags = draw(st.integers(0, 31)) & ~(0 if draw(st.integers(0, 9)) == 0 else rv.EMPTY)
    key = form.key or (lambda value: value)
    if key(upper) < key(lower):
        lower, upper = upper, lower
    return make_range(form, lower, upper, flags)


def multiranges(form: RangeForm, bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Multirange]:
    return st.lists(ranges(form, bounds), max_size=4).map(lambda found: make_multirange(form, found))


SMALL = st.integers(0, MOST)
RANGES = ranges(INTEGERS, SMALL)
MULTIRANGES = multiranges(INTEGERS, SMALL)


def points(value: Range | Multirange) -> frozenset[int]:
    """What is in it, of the universe."""
    if isinstance(value, Multirange):
        return frozenset().union(*map(points, value.ranges))
    return frozenset(
        point for point in UNIVERSE if rv.contains_place(INTEGERS, value, rv.element_place(INTEGERS, point))
    )


def run(symbol: str, a: Any, b: Any, left: str, right: str) -> Any:
    """The operator's function on two values, as types ``r`` (int4range), ``m`` (int4multirange) or ``e`` (int4)."""
    pseudo = {"r": "anyrange", "m": "anymultirange", "e": "anyelement"}
    actual = {"r": "int4range", "m": "int4multirange", "e": "int4"}
    operator = REGISTRY.operators_by_signature[symbol, TYPE_OIDS[pseudo[left]], TYPE_OIDS[pseudo[right]]]
    function = REGISTRY.functions[operator.function]
    types = REGISTRY.types_by_name[actual[left]], REGISTRY.types_by_name[actual[right]]
    assert function.specialize is not None
    return function.specialize(types, types[0])(a, b)


KINDS = {"r": RANGES, "m": MULTIRANGES}


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_operators_are_those_of_sets(left: str, right: str, data: st.DataObject) -> None:
    a, b = data.draw(KINDS[left]), data.draw(KINDS[right])
    one, other = points(a), points(b)

    def holds(symbol: str) -> bool:
        return bool(run(symbol, a, b, left, right))

    both = bool(one and other)
    assert holds("@>") == (one >= other)
    assert holds("<@") == (one <= other)
    assert holds("&&") == bool(one & other)
    assert holds("<<") == (both and max(one) < min(other))
    assert holds(">>") == (both and min(one) > max(other))
    assert holds("&<") == (both and max(one) <= max(other))
    assert holds("&>") == (both and min(one) >= min(other))
    assert holds("-|-") == (both and (max(one) + 1 == min(other) or max(other) + 1 == min(one)))


@settings(max_examples=120, deadline=None)
@given(MULTIRANGES, MULTIRANGES)
def test_multiranges_compute_as_sets(a: Multirange, b: Multirange) -> None:
    one, other = points(a), points(b)
    for symbol, expected in (("+", one | other), ("*", one & other), ("-", one - other)):
        found = run(symbol, a, b, "m", "m")
        assert points(found) == expected
        assert all(
            points(each) and max(points(each)) + 1 < min(points(following))
            for each, following in zip(found.ranges, found.ranges[1:], strict=False)
        ), "ranges in order with gaps between"
    assert (run("=", a, b, "m", "m")) == (one == other)


@settings(max_examples=120, deadline=None)
@given(RANGES, RANGES)
def test_ranges_compute_as_sets(a: Range, b: Range) -> None:
    one, other = points(a), points(b)

    def contiguous(found: frozenset[int]) -> bool:
        return not found or len(found) == max(found) - min(found) + 1

    assert points(run("*", a, b, "r", "r")) == one & other
    for symbol, expected in (("+", one | other), ("-", one - other)):
        if contiguous(expected):
            assert points(run(symbol, a, b, "r", "r")) == expected
        else:
            with pytest.raises(DataException, match="would not be contiguous"):
                run(symbol, a, b, "r", "r")
    merged = rv.merged(INTEGERS, a, b)
    assert points(merged) == (frozenset(range(min(one | other), max(one | other) + 1)) if one | other else frozenset())
    assert run("=", a, b, "r", "r") == (one == other)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_elements_are_found(kind: str, data: st.DataObject) -> None:
    value, element = data.draw(KINDS[kind]), data.draw(st.sampled_from(UNIVERSE))
    assert run("@>", value, element, kind, "e") == (element in points(value))
    assert run("<@", element, value, "e", kind) == (element in points(value))


TEXTS = st.text(st.sampled_from('a"\\,()[] é\n'), max_size=4)
TEXT_FORM = RangeForm(90001, 90002, REGISTRY.types_by_name["text"], None, REGISTRY.types_by_name["text"].sort_key)
ARRAYS = REGISTRY.types[TYPE_OIDS["int4[]"]]
ARRAY_FORM = RangeForm(90003, 90004, ARRAYS, ARRAYS.sort_value, ARRAYS.sort_key)
FORMS: dict[str, tuple[RangeForm, st.SearchStrategy[Any]]] = {
    "int4": (INTEGERS, st.integers(-(2**31), 2**31 - 2)),
    "numeric": (form_of("numrange"), st.sampled_from(["-1.5", "0", "0.00", "7", "NaN", "Infinity"]).map(Decimal)),
    "date": (form_of("daterange"), st.sampled_from([-2147483648, 2147483647, 0, 1, 7000])),
    "tstz": (form_of("tstzrange"), st.integers(-(10**15), 10**15)),
    "text": (TEXT_FORM, TEXTS),
    "array": (ARRAY_FORM, st.lists(st.integers(0, 3), max_size=2)),
}


def types_of(name: str) -> tuple[PgType, PgType]:
    form = FORMS[name][0]
    return make_range_type(form, "r", 0), make_multirange_type(form, "m", 0)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_forms_come_back(name: str, data: st.DataObject) -> None:
    form, bounds = FORMS[name]
    drawn = data.draw(st.tuples(ranges(form, bounds), multiranges(form, bounds)))
    for item, value in zip(types_of(name), drawn, strict=True):
        order = item.sort_value
        assert order is not None and item.send is not None and item.receive is not None
        assert item.to_disk is not None and item.from_disk is not None
        hash(order(value))
        for back in (
            item.input(item.output(value, ENV), -1, ENV),
            item.receive(item.send(value), -1),
            item.from_disk(item.to_disk(value)),
        ):
            assert order(back) == order(value)
            assert item.output(back, ENV) == item.output(value, ENV)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_keys_order_as_values(name: str, data: st.DataObject) -> None:
    form, bounds = FORMS[name]
    pairs = (
        data.draw(st.tuples(ranges(form, bounds), ranges(form, bounds))),
        data.draw(st.tuples(multiranges(form, bounds), multiranges(form, bounds))),
    )
    for item, (a, b) in zip(types_of(name), pairs, strict=True):
        assert item.sort_key is not None and item.sort_value is not None
        key_a, key_b, order_a, order_b = item.sort_key(a), item.sort_key(b), item.sort_value(a), item.sort_value(b)
        assert (key_a < key_b) == (order_a < order_b)
        assert (key_a == key_b) == (order_a == order_b)
        if key_a != key_b:
            assert not key_a.startswith(key_b) and not key_b.startswith(key_a)


def test_results_need_an_argument_that_tells_their_type() -> None:
    of = TYPE_OIDS
    assert signature_problem(of["anyrange"], [of["anymultirange"]]) is None
    assert signature_problem(of["anycompatible"], [of["anycompatiblerange"], of["int4"]]) is None
    assert signature_problem(of["anyarray"], [of["anycompatible"]]) == (
        "A result of type anyarray requires at least one input of type anyelement, anyarray, anynonarray, anyenum, "
        "anyrange, or anymultirange."
    )
    assert signature_problem(of["anycompatiblemultirange"], [of["anycompatible"]]) == (
        "A result of type anycompatiblemultirange requires at least one input of type anycompatiblerange or "
        "anycompatiblemultirange."
    )
