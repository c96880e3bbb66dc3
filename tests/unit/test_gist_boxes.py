"""Boxes of GiST by arrays, against one at a time: what grows least, unions, places on the curve, entries of a build."""

from __future__ import annotations

import random

import pytest

from compute_node.access.gist.build import _placed_boxes
from compute_node.access.gist.classes import box_of, gist_class
from compute_node.access.gist.forms import Box, BoxForm
from compute_node.access.gist.keys import NULLS, VALUES, KeyForms, Part
from compute_node.access.gist.pages import ENTRY, entry
from compute_node.types.geometric.shapes import Point
from compute_node.types.registry import REGISTRY

POINT_TYPE, POINT_CLASS = 600, 10061
INFINITE, UNKNOWN = float("inf"), float("nan")
NUMBERS = (0.0, -0.0, 1.0, 2.5, -3.0, 1e300, -1e300, 1e-310, INFINITE, -INFINITE)


def forms() -> KeyForms:
    return KeyForms([gist_class(POINT_CLASS, REGISTRY.types[POINT_TYPE], ())])


def points(rng: random.Random, count: int) -> list[Point]:
    few = [Point(rng.choice((*NUMBERS, UNKNOWN)), rng.choice(NUMBERS)) for _ in range(count // 3)]
    return few + [Point(rng.uniform(-50, 50), float(rng.randrange(9))) for _ in range(count - len(few))]


def boxes(rng: random.Random, count: int) -> list[Box]:
    found = []
    for one, other in zip(points(rng, count), points(rng, count), strict=True):
        found.append(BoxForm().union([box_of(one), box_of(other)]))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_what_grows_least_is_found_by_arrays(seed: int) -> None:
    rng, those = random.Random(seed), forms()
    keys = [(Part(VALUES | rng.choice((0, NULLS)), box),) for box in boxes(rng, 60)]
    together = those.together(keys)
    assert together is not None
    for point in points(rng, 60):
        inner = those.of((point,))
        assert those.least(keys, together, inner) == those.least(keys, None, inner)


def test_keys_with_nulls_alone_are_looked_at_one_by_one() -> None:
    those = forms()
    keys = [(Part(NULLS, None),), (Part(VALUES, Box(1, 1, 2, 2)),)]
    assert those.together(keys) is None
    assert those.least(keys, None, (Part(NULLS, None),)) == 0
    assert those.least(keys, None, those.of((Point(1, 1),))) == 1
    mixed = [(Part(VALUES, Box(1, 1, 2, 2)),), (Part(VALUES | NULLS, Box(5, 5, 6, 6)),)]
    assert those.least(mixed, those.together(mixed), (Part(NULLS, None),)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_entries_of_a_build_are_those_of_the_rows(seed: int) -> None:
    rng, those = random.Random(seed), forms()
    rows = points(rng, 100)
    tids = [rng.randrange(1 << 32) << 16 | rng.randrange(1, 300) for _ in rows]
    placed = _placed_boxes(those.classes[0].boxes(rows), tids)  # type: ignore[misc]
    keys = [those.of((point,)) for point in rows]
    for found, tid, key, place in zip(placed, tids, keys, those.curves(keys), strict=True):
        assert found == place + entry(tid >> 16, tid & 0xFFFF, those.encode(key)) + len(place).to_bytes(2, "big")


@pytest.mark.parametrize("seed", range(5))
def test_a_union_of_stored_keys(seed: int) -> None:
    rng, those = random.Random(seed), forms()
    keys = [(Part(VALUES, box),) for box in boxes(rng, 40)]
    stored = [entry(1, 1, those.encode(key)) for key in keys]
    assert those.union_of_stored(stored, ENTRY.size) == those.union(keys)
    more = [*stored, entry(1, 1, those.encode((Part(NULLS, None),)))]
    assert those.union_of_stored(more, ENTRY.size) == those.union([*keys, (Part(NULLS, None),)])
