"""intarray: what an array is asked for is read and written alike, and let through by the keys of the index classes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import NullValueNotAllowed, StatementTooComplex
from compute_node.access.gin.classes import gin_class
from compute_node.access.gin.search import Both, Category, Either, Every, Item, Search
from compute_node.access.gist.classes import gist_class
from compute_node.extensions.intarray.index_classes import GIN_CODE, GIST_BIG_CODE, GIST_CODE
from compute_node.extensions.intarray.queries import AND, NOT, NUMBER, OR, Wanted, _Reader, _written, meets, numbers
from compute_node.types.registry import REGISTRY

INTS = st.integers(-4, 9) | st.integers(-(2**31), 2**31 - 1)
ARRAYS = st.lists(INTS, max_size=6)
QUERIES = st.recursive(
    INTS.map(lambda number: Wanted(NUMBER, number)),
    lambda parts: (
        st.builds(Wanted, st.sampled_from([AND, OR]), st.just(0), parts, parts)
        | st.builds(Wanted, st.just(NOT), st.just(0), st.none(), parts)
    ),
    max_leaves=8,
)
KIND: Any = REGISTRY.types[1007]
OVERLAPS, SAME, CONTAINS, CONTAINED, MATCHES = 3, 6, 7, 8, 20


def is_met(strategy: int, value: list[int], wanted: Any) -> bool:
    if strategy == MATCHES:
        return meets(wanted, set(value).__contains__)
    one, other = set(value), set(wanted)
    if strategy == OVERLAPS:
        return bool(one & other)
    return one >= other if strategy == CONTAINS else one <= other if strategy == CONTAINED else value == wanted


def gives(search: Search, items: set[bytes]) -> bool:
    """Whether a search of GIN comes to a value with these items."""
    match search:
        case Item(data):
            return data in items
        case Both(parts):
            return all(gives(part, items) for part in parts)
        case Either(parts):
            return any(gives(part, items) for part in parts)
        case Category():
            return not items
        case _:
            return isinstance(search, Every)


CASES = st.tuples(st.sampled_from([OVERLAPS, SAME, CONTAINS, CONTAINED]), ARRAYS) | st.tuples(st.just(MATCHES), QUERIES)


@given(ARRAYS, CASES, ARRAYS)
def test_index_classes_let_through_what_meets(value: list[int], case: tuple[int, Any], other: list[int]) -> None:
    strategy, wanted = case
    gin = gin_class(GIN_CODE, KIND)
    met = is_met(strategy, value, wanted)
    assert gives(gin.search(strategy, wanted), {gin.encode(each) for each in gin.items(value)}) or not met
    if strategy == CONTAINED:
        return
    for code, options in ((GIST_CODE, ()), (GIST_CODE, ("numranges=5",)), (GIST_BIG_CODE, ("siglen=1",))):
        gist = gist_class(code, KIND, options)
        key = gist.key(value)
        test = gist.test(strategy, wanted)
        above = gist.form.union([key, gist.key(other)])
        assert gist.form.decode(gist.form.encode(key)) == key
        assert not met or (test(key, True) and test(above, False))


@given(QUERIES)
def test_queries_are_read_as_they_are_written(wanted: Wanted) -> None:
    """Brackets of AND within AND are not written: the tree may be another one, its answers are the same."""
    again = _Reader().read(_written(wanted))
    assert _written(again) == _written(wanted)
    assert numbers(again) == numbers(wanted)
    for some in ({1, 2}, set(), numbers(wanted), set(list(numbers(wanted))[:2])):
        assert meets(again, some.__contains__) == meets(wanted, some.__contains__)


def test_deep_queries() -> None:
    deep = _Reader().read("1&(" * 60000 + "2" + ")" * 60000)
    with pytest.raises(StatementTooComplex):
        meets(deep, lambda number: True)
    with pytest.raises(StatementTooComplex, match="statement too complex"):
        _Reader().read("!" * 17 + "1")


def test_null_elements() -> None:
    with pytest.raises(NullValueNotAllowed):
        gist_class(GIST_CODE, KIND, ()).test(SAME, [1, None])
