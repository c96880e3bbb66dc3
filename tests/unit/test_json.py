"""json and jsonb against models in plain Python: order, containment, changes, parts of texts, bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import InvalidTextRepresentation, ProgramLimitExceeded, StatementTooComplex
from compute_node.hub import Hub
from compute_node.types.json import access, document, layout, modify
from compute_node.types.json.parse import check, parse
from compute_node.types.json.value import Jsonb, compare

WORDS = st.sampled_from(["", "a", "b", "aa", "ab", "é", 'q"', "\\", "\n", "1"])
NUMBERS = st.sampled_from([Decimal(text) for text in ("0", "1", "-1", "2.5", "1.0", "10", "-2.50", "1E-3")])
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)


def plain(value: Jsonb) -> Any:
    """As Python has it."""
    if value.kind == "array":
        return [plain(each) for each in value.elements()]
    if value.kind == "object":
        return {key: plain(each) for key, each in value.items()}
    return value.scalar()


def rank(tree: Any) -> int:
    """Of kinds: object > array > boolean > number > string > null."""
    kinds: list[Callable[[Any], bool]] = [
        lambda tree: tree is None,
        lambda tree: isinstance(tree, str),
        lambda tree: isinstance(tree, Decimal),
        lambda tree: isinstance(tree, bool),
        lambda tree: isinstance(tree, list),
        lambda tree: isinstance(tree, dict),
    ]
    return next(number for number, test in enumerate(kinds) if test(tree))


def order(a: Any, b: Any) -> int:
    """The manual's order (8.14.4), below the top."""
    if rank(a) != rank(b):
        return 1 if rank(a) > rank(b) else -1
    if isinstance(a, (list, dict)):
        if len(a) != len(b):
            return 1 if len(a) > len(b) else -1
        if isinstance(a, list):
            pairs = list(zip(a, b, strict=True))
        else:
            ours, theirs = (
                sorted(each.items(), key=lambda item: (len(item[0].encode()), item[0].encode())) for each in (a, b)
            )
            pairs = [part for one, other in zip(ours, theirs, strict=True) for part in zip(one, other, strict=True)]
        return next((found for one, other in pairs if (found := order(one, other))), 0)
    if a is None or a == b:
        return 0
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    return 1 if a > b else -1


def holds(whole: Any, part: Any, top: bool = True) -> bool:
    """``@>``."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and holds(whole[key], each, False) for key, each in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return all(any(holds(have, each, False) for have in whole) for each in part)
    if isinstance(whole, list) and top and not isinstance(part, dict):
        return any(rank(have) == rank(part) and have == part for have in whole)
    return rank(whole) == rank(part) and whole == part and not isinstance(whole, (list, dict))


@given(TREES)
def test_a_value_gives_back_what_it_is_made_of(tree: Any) -> None:
    value = Jsonb.of(tree)
    assert plain(value) == tree
    assert parse(value.text()).data == value.data
    assert plain(parse(json.dumps(json.loads(value.text()), indent=1))) == tree


@given(st.lists(TREES, max_size=6))
@settings(max_examples=60)
def test_order_and_hash_are_the_manual_s(trees: list[Any]) -> None:
    def top(a: Any, b: Any) -> int:
        empty = (a == [] and isinstance(a, list), b == [] and isinstance(b, list))
        return order(a, b) if empty[0] == empty[1] else -1 if empty[0] else 1

    values = [Jsonb.of(tree) for tree in trees]
    assert [each.text() for each in sorted(values)] == [
        Jsonb.of(each).text() for each in sorted(trees, key=cmp_to_key(top))
    ]
    for one, a in zip(values, trees, strict=True):
        for other, b in zip(values, trees, strict=True):
            assert compare(one, other) == top(a, b)
            assert (one == other) == (top(a, b) == 0)
            assert one != other or hash(one) == hash(other)


@given(TREES, TREES)
@settings(max_examples=100)
def test_containment_is_the_manual_s(whole: Any, part: Any) -> None:
    for a, b in ((whole, part), (whole, whole), ([whole, part], [part]), ({"a": whole}, {"a": part})):
        assert access.contains(Jsonb.of(a), Jsonb.of(b)) == holds(a, b)


@given(st.dictionaries(WORDS, TREES, max_size=4), st.dictionaries(WORDS, TREES, max_size=4), WORDS)
def test_objects_are_changed_as_dicts(one: dict[str, Any], other: dict[str, Any], name: str) -> None:
    a, b = Jsonb.of(one), Jsonb.of(other)
    assert plain(modify.concat(a, b)) == one | other
    assert plain(modify.delete_key(a, name)) == {key: each for key, each in one.items() if key != name}
    assert plain(modify.set_path(a, [name], b)) == one | {name: other}
    assert plain(modify.set_path(a, [name], b, False)) == (one | {name: other} if name in one else one)
    assert plain(modify.store_subscripted(a, [name], b)) == one | {name: other}


@given(st.lists(TREES, max_size=4), TREES, st.integers(-6, 6))
def test_arrays_are_changed_as_lists(items: list[Any], new: Any, index: int) -> None:
    array, value = Jsonb.of(items), Jsonb.of(new)
    at = index + len(items) if index < 0 else index
    inside = 0 <= at < len(items)
    kept = list(items)
    if inside:
        del kept[at]
    assert plain(modify.delete_element(array, index)) == kept
    assert plain(modify.delete_path(array, [str(index)])) == kept
    changed = list(items)
    if inside:
        changed[at] = new
    else:
        changed.insert(0 if at < 0 else len(items), new)
    assert plain(modify.set_path(array, [str(index)], value)) == changed
    assert access.element(array, index) == (Jsonb.of(items[at]) if inside else None)


@given(st.dictionaries(WORDS, TREES, max_size=4), st.sampled_from([None, 1, 3]), WORDS)
def test_parts_of_texts_are_found(tree: dict[str, Any], indent: int | None, name: str) -> None:
    text = json.dumps(json.loads(Jsonb.of(tree).text()), indent=indent)
    check(text)
    found = document.find_field(text, name)
    assert (found is None) == (name not in tree)
    if found is not None:
        part = document.raw(text, found) or ""
        assert plain(parse(part)) == tree[name]
        assert document.as_text(text, found) == access.field_text(Jsonb.of(tree), name) or isinstance(
            tree[name], (list, dict)
        )
    assert list(document.object_keys(text)) == list(json.loads(text))
    assert plain(parse(document.strip_nulls(text))) == plain(modify.strip_nulls(Jsonb.of(tree)))


def test_the_last_of_equal_keys_stays() -> None:
    text = '{"a": 1, "b": 2, "a": 3}'
    assert parse(text).text() == '{"a": 3, "b": 2}'
    assert document.raw(text, document.find_field(text, "a")) == "3"


@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_depth_is_bounded_by_the_stack_s_setting(open_: str) -> None:
    for read in (parse, check):
        with pytest.raises(StatementTooComplex, match="stack depth limit exceeded"):
            read(open_ * 1000, 100)
        with pytest.raises(InvalidTextRepresentation):
            read(open_ * 500, 100)
    deep = "[" * 10_000 + "]" * 10_000
    assert parse(deep).text() == deep
    with pytest.raises(StatementTooComplex):
        modify.strip_nulls(parse(deep))


def test_a_container_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "CONTAINER_BYTES_MAX", 1000)
    part = b"\1" + b"x" * 500
    with pytest.raises(ProgramLimitExceeded, match="jsonb array elements exceeds the maximum of 1000 bytes"):
        layout.array_of([part, part])
    with pytest.raises(ProgramLimitExceeded, match="jsonb object elements"):
        layout.object_of({b"a": part, b"b": part})


@pytest.mark.parametrize(
    "work",
    [
        lambda text: parse(text),
        lambda text: check(text),
        lambda text: parse(text.replace("x", "\\u00e9")),
        lambda text: parse(text).text(),
        lambda text: parse(text).sort_key(),
        lambda text: document.strip_nulls(text),
        lambda text: document.array_length(text),
        lambda text: access.pretty(parse(text)),
        lambda text: access.contains_long(parse(text).data, parse(text).data[:0] or parse('["none"]').data),
    ],
)
def test_long_values_let_others_run(work: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pulses = []
    monkeypatch.setattr(Hub, "pulse", lambda hub: pulses.append(1))
    work(json.dumps([{"k": ["x" * 20, number, None]} for number in range(30_000)]))
    assert len(pulses) > 5
