"""hstore: texts, stored and binary forms give the value again; the order is by what is stored; its operator classes of
GIN and GiST let through whatever meets a condition."""

from __future__ import annotations

import struct
from datetime import UTC
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import InternalError, SqlError
from compute_node.access.gin.classes import gin_class
from compute_node.access.gin.search import Both, Either, Every, Item, Search
from compute_node.access.gist.classes import gist_class
from compute_node.extensions.hstore import functions, texts, value
from compute_node.extensions.hstore.index_classes import GIN_CODE, GIST_CODE
from compute_node.extensions.hstore.value import Hstore
from compute_node.extensions.library import BASE_TYPES, LIBRARY
from compute_node.types.registry import TypeEnv

CHARS = st.text(st.sampled_from('ab"\\=>, \tnülL\n\u00a0😀'), max_size=6)
PAIRS = st.dictionaries(CHARS, st.none() | CHARS | st.sampled_from(["null", "NULL"]), max_size=6)
SMALL = st.dictionaries(st.sampled_from("abcd"), st.none() | st.sampled_from("xy"), max_size=4)
CONTAINS, HAS, HAS_ANY, HAS_ALL = 7, 9, 10, 11
ENV = TypeEnv(timezone=UTC)


def made(pairs: dict[str, str | None]) -> Hstore:
    return Hstore.of(pairs.items())


@given(PAIRS)
def test_each_form_gives_the_value_again(pairs: dict[str, str | None]) -> None:
    item = made(pairs)
    assert item.pairs == pairs
    assert texts.read(texts.write(item, ENV), -1, ENV) == item
    assert value.from_disk(item.data).pairs == pairs
    assert value.receive(value.send(item), -1) == item
    assert list(item.pairs) == sorted(pairs, key=lambda key: (len(key.encode()), key.encode()))


@given(st.text(st.sampled_from('ab"\\=>, '), max_size=12))
def test_a_text_is_read_or_refused(text: str) -> None:
    try:
        item = texts.read(text, -1, ENV)
    except InternalError:
        return
    assert texts.read(texts.write(item, ENV), -1, ENV) == item


@given(PAIRS, st.integers(0, 60))
def test_a_short_message_is_refused(pairs: dict[str, str | None], cut: int) -> None:
    message = value.send(made(pairs))
    with pytest.raises(SqlError):
        value.receive(message[: min(cut, len(message) - 1)], -1)
    with pytest.raises(SqlError):
        value.receive(message + b"\0", -1)


def test_a_message_is_checked() -> None:
    for message in (struct.pack(">i", -1), struct.pack(">i", value.PAIRS_MAX + 1), struct.pack(">ii", 1, -1)):
        with pytest.raises(SqlError):
            value.receive(message, -1)


def compared(one: Hstore, other: Hstore) -> int:
    """PostgreSQL's comparison, step by step over the stored form."""

    def parts(item: Hstore) -> tuple[list[int], bytes]:
        size = 2 * len(item.pairs)
        return list(struct.unpack_from(f"<{size}I", item.data, 4)), item.data[4 + 4 * size :]

    (ends, data), (ends_other, data_other) = parts(one), parts(other)
    if not ends or not ends_other:
        return len(ends) - len(ends_other)
    common = min(len(data), len(data_other))
    for first, second in (
        (data[:common], data_other[:common]), (len(data), len(data_other)), (len(ends), len(ends_other)),
    ):  # fmt: skip
        if first != second:
            return 1 if first > second else -1  # type: ignore[operator]
    for end, end_other in zip(ends, ends_other, strict=True):
        places = end & 0x3FFFFFFF, end_other & 0x3FFFFFFF
        nulls = end >> 30 & 1, end_other >> 30 & 1
        if (places, nulls) != (places[::-1], nulls[::-1]):
            return (places[0] > places[1]) - (places[0] < places[1]) or (1 if nulls[0] else -1)
    return 0


@given(st.lists(SMALL | PAIRS, min_size=2, max_size=6))
def test_the_order_is_that_of_what_is_stored(several: list[dict[str, str | None]]) -> None:
    items = [made(pairs) for pairs in several]
    by_key = sorted(items, key=value.sort_key)
    assert by_key == sorted(items, key=cmp_to_key(compared))
    compare = LIBRARY["hstore_cmp", 2].implementation
    for one in items:
        for other in items:
            assert compare(one, other) == (compared(one, other) > 0) - (compared(one, other) < 0)


MEETS = {CONTAINS: "hstore_contains", HAS: "hstore_exists", HAS_ANY: "hstore_exists_any", HAS_ALL: "hstore_exists_all"}
CONDITIONS = st.one_of(
    st.tuples(st.just(CONTAINS), SMALL.map(made)),
    st.tuples(st.just(HAS), st.sampled_from("abcde")),
    st.tuples(st.sampled_from([HAS_ANY, HAS_ALL]), st.lists(st.none() | st.sampled_from("abcde"), max_size=3)),
)


def has(search: Search, items: frozenset[bytes]) -> bool:
    match search:
        case Item(data):
            return data in items
        case Both(parts):
            return all(has(part, items) for part in parts)
        case Either(parts):
            return any(has(part, items) for part in parts)
        case Every():
            return True
        case _:
            raise AssertionError(search)


@given(SMALL, st.lists(SMALL, max_size=2), CONDITIONS)
def test_indexes_let_through_what_meets_a_condition(
    pairs: dict[str, str | None], others: list[dict[str, str | None]], condition: tuple[int, object]
) -> None:
    item, (strategy, asked) = made(pairs), condition
    kind = BASE_TYPES["hstore_in"]
    if not LIBRARY[MEETS[strategy], 2].implementation(item, asked):
        return
    gin = gin_class(GIN_CODE, kind)
    assert has(gin.search(strategy, asked), frozenset(gin.items(item)))
    for options in ((), ("siglen=1",), ("siglen=300",)):
        gist = gist_class(GIST_CODE, kind, options)
        key = gist.form.decode(gist.form.encode(gist.key(item)))
        test = gist.test(strategy, asked)
        assert test(key, True)
        assert test(gist.form.union([key, *(gist.key(made(each)) for each in others)]), False)


def test_a_long_key_is_an_item_by_its_hash() -> None:
    gin = gin_class(GIN_CODE, BASE_TYPES["hstore_in"])
    items = gin.items(made({"k" * 5000: "v" * 5000}))
    assert max(map(len, items)) < 200
    assert has(gin.search(HAS, "k" * 5000), frozenset(items))
    assert not has(gin.search(HAS, "k" * 4999), frozenset(items))


def test_a_value_can_be_changed_by_a_key_alone() -> None:
    assert functions.store(None, "a", "1").pairs == {"a": "1"}
    assert functions.store(made({"a": "1", "b": None}), "a", None).pairs == {"a": None, "b": None}
