"""Intervals of GiST by arrays, against one at a time; rows of one insert that go into leaves together."""

from __future__ import annotations

import random
from typing import Any

import pytest

from compute_node.access.gist.classes import gist_class
from compute_node.access.gist.forms import Interval, IntervalForm
from compute_node.access.gist.keys import VALUES, KeyForms, Keys, Part
from compute_node.access.gist.pages import LEAF
from compute_node.access.index_access import ScanKey
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.types.ranges.value import EMPTY, LOWER_INCLUSIVE, UPPER_INFINITE, Range
from compute_node.types.registry import REGISTRY
from tests.unit.support_access import create, latest, run_greenlets
from tests.unit.test_index_trees import make_storage

INT4, INT4_RANGE, RANGE_CLASS, OVERLAPS = 23, 3904, 10078, 3
INDEX = IndexDesc(
    2001, 2001, "i", (2,), False, False, key_types=(INT4_RANGE,), operator_classes=(RANGE_CLASS,), method="gist",
    codes=(RANGE_CLASS,), class_options=((),),
)  # fmt: skip


def forms() -> KeyForms:
    return KeyForms([gist_class(RANGE_CLASS, REGISTRY.types[INT4_RANGE], ())])


def some(rng: random.Random, span: int) -> Range:
    low = rng.randrange(-span, span)
    if rng.random() < 0.05:
        return Range(low, None, LOWER_INCLUSIVE | UPPER_INFINITE)
    return Range(low, low + rng.randrange(1, 20), LOWER_INCLUSIVE)


@pytest.mark.parametrize("seed", range(20))
def test_what_grows_least_is_found_by_arrays(seed: int) -> None:
    rng, those = random.Random(seed), forms()
    span = rng.choice([40, 3000, 2_000_000_000])
    keys: list[Keys] = [those.union([those.of((some(rng, span),)) for _ in range(2)]) for _ in range(40)]
    together = those.together(keys)
    assert together is not None
    for step in range(40):
        inner = those.of((some(rng, span * rng.choice([1, 1, 2]) % 2_100_000_000 + 1),))
        found = those.least(keys, together, inner)
        wanted = those.least(keys, None, inner)
        assert those.penalty(keys[found], inner) == those.penalty(keys[wanted], inner)
        if step % 4 == 0:
            keys[found] = those.union([keys[found], inner])
            together = together.replaced(found, keys[found][0].key)
            assert together is not None


def test_what_is_empty_is_looked_at_one_by_one() -> None:
    those, form = forms(), IntervalForm()
    empty = those.of((Range(None, None, EMPTY),))
    keys = [those.of((Range(1, 5, LOWER_INCLUSIVE),)), (Part(VALUES, Interval(b"a", b"b", True)),)]
    assert those.least(keys, those.together(keys), empty) == 1
    assert those.together([*keys, empty]) is None
    together = form.together([Interval(b"a", b"b")])
    assert together is not None
    assert together.replaced(0, Interval(None, None, True)) is None


def test_long_edges_differ_behind_what_they_have_in_common() -> None:
    """So do texts with a long beginning, whose first bytes say nothing."""
    form, common = IntervalForm(), b"/a/long/path/of/many/files/"
    together = form.together([Interval(common + b"a", common + b"c"), Interval(common + b"x", common + b"z")])
    assert together is not None
    assert together.least(Interval(common + b"y1", common + b"y1")) == 1
    assert together.least(Interval(common + b"d", common + b"d")) == 0
    assert together.least(Interval(b"/b", b"/b")) == 1
    assert together.least(Interval(b"/a/i", b"/a/i")) == 0


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_go_in_together_are_found(seed: int) -> None:
    rng = random.Random(seed)

    def body() -> None:
        storage = make_storage()
        columns = (ColumnDesc(1, "a", INT4, -1, False), ColumnDesc(2, "b", INT4_RANGE, -1, False))
        desc = RelationDesc(2000, 2000, "t", "public", 2200, "r", columns, (INDEX,), database=0)
        table: Any = create(storage, desc)
        start = 0
        for step in range(8):
            txn = storage.txns.begin()
            count = rng.choice([1, 30, 700])
            if step % 2:
                rows = [(start + n, Range(start + n, start + n + 3, LOWER_INCLUSIVE)) for n in range(count)]
            else:
                rows = [(start + n, rng.choice([None, some(rng, 3000)])) for n in range(count)]
            table.insert_many(txn, rows)
            storage.txns.commit(txn)
            start += count
        index = table.indexes[0]
        every = [found for batch in table.scan(latest(storage), (1, 2), False) for found in batch]
        for low in range(-50, start, 97):
            key = ScanKey(0, OVERLAPS, Range(low, low + 40, LOWER_INCLUSIVE))
            wanted = {number for number, each in every if each is not None and _overlap(each, low, low + 40)}
            found = {row[0] for batch in index.scan(latest(storage), [key], False, (1,), False) for row in batch}
            assert found == wanted
        leaves = [node for block in range(1, index.tree.blocks) if (node := index.tree.node(block)).flags & LEAF]
        assert sum(len(node.entries) for node in leaves) == start

    run_greenlets(body)


def _overlap(one: Range, low: int, high: int) -> bool:
    return (one.upper is None or one.upper > low) and (one.lower is None or one.lower < high)
