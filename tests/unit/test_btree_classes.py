"""btree_gist and btree_gin: what meets a condition is let through by the keys, in leaves and above them, and no
distance of a key is greater than that of a value below it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import NumericValueOutOfRange
from aurora.kernels.python.moments import Interval
from compute_node.access.gin.classes import gin_class
from compute_node.access.gin.entries import item_key
from compute_node.access.gin.search import places
from compute_node.access.gist.classes import gist_class
from compute_node.access.gist.keys import KeyForms
from compute_node.extensions.btree_gin import CODE as GIN_CODE
from compute_node.extensions.btree_gist.distances import _moments as moments_apart
from compute_node.extensions.btree_gist.index_classes import RETURNING_CODE
from compute_node.extensions.library import LIBRARY
from compute_node.types.calendar_ import DATE_INFINITY, DATE_MINUS_INFINITY
from compute_node.types.datetime_ import TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY
from compute_node.types.interval import interval_span
from compute_node.types.registry import REGISTRY

NOT_EQUAL, NEAREST = 6, 15
COMPARE: dict[int, Callable[[Any, Any], bool]] = {
    1: operator.lt, 2: operator.le, 3: operator.eq, 4: operator.ge, 5: operator.gt, NOT_EQUAL: operator.ne,
}  # fmt: skip
LONG = "a common beginning that is longer than what a key keeps of it, " * 3
INTS = st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int4": INTS,
    "int8": st.integers(-(2**63), 2**63 - 1) | INTS,
    "oid": st.integers(0, 2**32 - 1) | st.integers(0, 4),
    "float8": st.floats(allow_nan=True) | st.floats(-4, 4),
    "text": st.text(max_size=9) | st.text(max_size=3).map(LONG.__add__),
    "bytea": st.binary(max_size=9) | st.binary(max_size=3).map(LONG.encode().__add__),
    "date": st.integers(-9000, 9000) | st.sampled_from([DATE_INFINITY, DATE_MINUS_INFINITY]),
    "timestamp": st.integers(-(10**15), 10**15) | st.sampled_from([TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY]),
    "interval": st.builds(Interval, INTS, INTS, st.integers(-(10**15), 10**15)),
    "bool": st.booleans(),
}
PAIRS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.just(name), VALUES[name], VALUES[name], st.lists(VALUES[name], max_size=2))
)


def kind_of(name: str) -> Any:
    return next(each for each in REGISTRY.types.values() if each.name == name)


def in_order(name: str, value: Any) -> Any:
    """What Python compares as the type does."""
    if isinstance(value, Interval):
        return interval_span(value)
    return (value != value, 0.0 if value != value else value) if name == "float8" else value


@given(PAIRS, st.sampled_from(sorted(COMPARE)))
def test_gist_lets_through_what_meets(case: tuple[str, Any, Any, list[Any]], strategy: int) -> None:
    name, value, wanted, others = case
    gist = gist_class(RETURNING_CODE, kind_of(name), ())
    test, meets = gist.test(strategy, wanted), COMPARE[strategy](in_order(name, value), in_order(name, wanted))
    key = gist.key(value)
    above = gist.form.union([key, *map(gist.key, others)])
    for each, leaf in ((key, True), (above, False)):
        stored = gist.form.decode(gist.form.encode(each))
        assert stored == each
        assert test(stored, leaf) or not meets
    if name not in ("text", "bytea"):
        assert test(key, True) is meets


@given(PAIRS, st.sampled_from(sorted(set(COMPARE) - {NOT_EQUAL})), st.sampled_from([1, 40]))
def test_gin_has_what_meets_where_it_looks(case: tuple[str, Any, Any, Any], strategy: int, times: int) -> None:
    """Also of items that are longer than what is kept of them."""
    name, value, wanted, _ = case
    if name in ("text", "bytea"):
        value, wanted = value * times, wanted * times
    gin = gin_class(GIN_CODE, kind_of(name))
    (item,) = gin.items(value)
    ((lower, upper),) = places(gin.search(strategy, wanted), 3)
    there = lower <= item_key(3, gin.encode(item)) and (upper is None or item_key(3, gin.encode(item)) < upper)
    assert there or not COMPARE[strategy](in_order(name, value), in_order(name, wanted))


@given(PAIRS)
def test_distances_of_gist(case: tuple[str, Any, Any, list[Any]]) -> None:
    name, value, wanted, others = case
    gist = gist_class(RETURNING_CODE, kind_of(name), ())
    if gist.distance is None:
        assert name in ("text", "bytea", "bool")
        return
    far, key = gist.distance(NEAREST, wanted), gist.key(value)
    found = far(key)
    if found == found:
        assert not far(gist.form.union([key, *map(gist.key, others)])) > found
    if name in ("int4", "int8", "oid"):
        assert found == abs(value - wanted)
    elif name == "interval":
        assert found == abs(interval_span(value) - interval_span(wanted))
    elif name == "timestamp":
        measured = interval_span(moments_apart(value, wanted))
        assert found == (measured if measured < 10**20 else 1e308)


def test_distances_out_of_range() -> None:
    measure = LIBRARY["int4_dist", 2].implementation
    assert measure(2, -3) == 5
    with pytest.raises(NumericValueOutOfRange, match="integer out of range"):
        measure(-(2**31), 1)
    with pytest.raises(NumericValueOutOfRange, match="value out of range: overflow"):
        LIBRARY["float4_dist", 2].implementation(3e38, -3e38)


def test_several_columns_have_the_key_of_each() -> None:
    forms = KeyForms([gist_class(RETURNING_CODE, kind_of(name), ()) for name in ("int4", "text")])
    one, other = forms.of((1, "b")), forms.of((2, None))
    above = forms.union([one, other])
    assert forms.decode(forms.encode(above), 0) == above
    assert forms.holds(above, one)
    assert forms.holds(above, other)
    assert not forms.holds(one, other)
    assert forms.penalty(one, forms.of((1, "b"))) == (0.0, 0.0)
