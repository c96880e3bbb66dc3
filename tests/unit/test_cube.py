"""cube: the order as bytes, what is read again as it was written, and what the index class lets through."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compute_node.access.gist.classes import gist_class
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.extensions.cube.functions import DISTANCES, _side_coordinate, compare, contains, overlaps, union
from compute_node.extensions.cube.index_classes import CODE
from compute_node.extensions.cube.values import Cube, from_bytes, key, made, to_bytes
from compute_node.extensions.library import BASE_TYPES
from compute_node.types.registry import REGISTRY

NUMBERS = st.integers(-3, 3).map(float) | st.floats(allow_nan=False)
ODD = NUMBERS | st.sampled_from([float("nan"), float("inf"), float("-inf")])


def cubes(numbers: st.SearchStrategy[float], least: int = 0, most: int = 3) -> st.SearchStrategy[Cube]:
    return st.integers(least, most).flatmap(
        lambda count: st.builds(
            lambda one, other: made(one, other),
            st.lists(numbers, min_size=count, max_size=count),
            st.lists(numbers, min_size=count, max_size=count),
        )
    )


MEETS: dict[int, Any] = {
    3: overlaps,
    6: lambda value, wanted: compare(value, wanted) == 0,
    7: contains,
    8: lambda value, wanted: contains(wanted, value),
}
GIST = gist_class(CODE, REGISTRY.types[23], ())
assert GIST.distance is not None
DISTANCE = GIST.distance


@given(cubes(ODD), cubes(ODD), st.lists(cubes(ODD), max_size=3), st.sampled_from(sorted(MEETS)))
def test_the_index_class_lets_through_what_meets(value: Cube, wanted: Cube, others: list[Cube], strategy: int) -> None:
    leaf = GIST.key(value)
    above = GIST.form.union([leaf, *map(GIST.key, others)])
    assert GIST.form.decode(GIST.form.encode(above)) == above
    assert GIST.form.holds(above, leaf)
    if MEETS[strategy](value, wanted):
        test = GIST.test(strategy, wanted)
        assert test(leaf, True)
        assert test(above, False)


@given(cubes(NUMBERS), cubes(NUMBERS), st.lists(cubes(NUMBERS), max_size=3))
def test_distances_of_keys_are_not_greater(value: Cube, wanted: Cube, others: list[Cube]) -> None:
    leaf = GIST.key(value)
    above = GIST.form.union([leaf, *map(GIST.key, others)])
    for strategy, name in ((16, "distance_taxicab"), (17, "cube_distance"), (18, "distance_chebyshev")):
        far = DISTANCE(strategy, wanted)
        found = DISTANCES[name](value, wanted)
        assert found != found or not (far(leaf) > found or far(above) > found)
    for number in (1, 2, 3, 4, -1, -2, -3, -4, 9):
        side = DISTANCE(15, number)
        assert not (side(leaf) > _side_coordinate(value, number) or side(above) > _side_coordinate(value, number))


@given(cubes(NUMBERS, 2, 2), cubes(NUMBERS, 2, 2))
def test_bytes_are_in_the_order_of_cubes_of_the_same_dimensions(one: Cube, other: Cube) -> None:
    assert (key(one) > key(other)) - (key(one) < key(other)) == compare(one, other)


@given(st.lists(NUMBERS, max_size=3), st.lists(NUMBERS, max_size=3))
def test_bytes_are_in_the_order_of_points(one: list[float], other: list[float]) -> None:
    left, right = Cube(tuple(one)), Cube(tuple(other))
    assert (key(left) > key(right)) - (key(left) < key(right)) == compare(left, right)


@given(cubes(NUMBERS))
def test_what_is_written_is_read(value: Cube) -> None:
    kind = BASE_TYPES["cube_in"]
    assert kind.input(kind.output(value, NEUTRAL_ENV), -1, NEUTRAL_ENV) == value
    assert from_bytes(to_bytes(value)) == value


@given(cubes(NUMBERS), cubes(NUMBERS))
def test_a_union_holds_both(one: Cube, other: Cube) -> None:
    whole = union(one, other)
    assert contains(whole, one)
    assert contains(whole, other)
    assert overlaps(one, whole)
