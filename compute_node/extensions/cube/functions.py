"""What is computed of cubes. Coordinates that one of two has not are 0."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import zip_longest
from math import sqrt
from typing import Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError
from compute_node.extensions.cube.values import DIMENSIONS_MAX, Coordinates, Cube, made, too_many
from compute_node.extensions.library import define
from compute_node.types.array_value import Array, flatten

TAXICAB, EUCLIDEAN, CHEBYSHEV = "distance_taxicab", "cube_distance", "distance_chebyshev"


class Sides(NamedTuple):
    """One dimension of two cubes: the lesser and greater coordinates of both."""

    low: float
    high: float
    other_low: float
    other_high: float


def sides(one: Cube, other: Cube) -> Iterator[Sides]:
    """Dimension by dimension."""
    lows, highs = (
        zip_longest(one.low(), other.low(), fillvalue=0.0),
        zip_longest(one.high(), other.high(), fillvalue=0.0),
    )
    for (low, other_low), (high, other_high) in zip(lows, highs, strict=True):
        yield Sides(low, high, other_low, other_high)


# Comparing


def _order(one: float, other: float) -> int:
    return int(one > other) - int(one < other)


def compare(one: Cube, other: Cube) -> int:
    """By the lesser coordinates that both have, the greater ones, then by those that one has more of, with 0."""
    common = min(len(one.first), len(other.first))
    pairs = ((one.low(), other.low()), (one.high(), other.high()))
    for mine, theirs in pairs:
        for left, right in zip(mine[:common], theirs[:common], strict=True):
            if (found := _order(left, right)) != 0:
                return found
    for mine, theirs in pairs:
        for left, right in zip_longest(mine[common:], theirs[common:], fillvalue=0.0):
            if (found := _order(left, right)) != 0:
                return found
    return _order(len(one.first), len(other.first))


def _compared(test: Callable[[int, int], bool]) -> Callable[[Cube, Cube], bool]:
    return lambda one, other: test(compare(one, other), 0)


def contains(one: Cube, other: Cube) -> bool:
    """Whether the other is within the one, as far as it has dimensions; those that it has more of are 0."""
    common, low, high = len(other.first), other.low(), other.high()
    if any(low[len(one.first) :]) or any(high[len(one.first) :]):
        return False
    pairs = zip(one.low()[:common], one.high()[:common], low, high, strict=False)
    return not any(mine > least or greatest > most for mine, most, least, greatest in pairs)


def overlaps(one: Cube, other: Cube) -> bool:
    """Whether they have a point in common."""
    return not any(each.low > each.other_high or each.high < each.other_low for each in sides(one, other))


# Distances


def _apart(each: Sides) -> float:
    if each.high <= each.other_low:
        return each.other_low - each.high
    return each.low - each.other_high if each.low > each.other_high else 0.0


def _taxicab(one: Cube, other: Cube) -> float:
    return sum((abs(_apart(each)) for each in sides(one, other)), 0.0)


def _euclidean(one: Cube, other: Cube) -> float:
    total = 0.0
    for each in sides(one, other):
        apart = _apart(each)
        total += apart * apart
    return sqrt(total)


def _chebyshev(one: Cube, other: Cube) -> float:
    found = 0.0
    for each in sides(one, other):
        apart = abs(_apart(each))
        found = apart if apart > found else found
    return found


DISTANCES: Final[dict[str, Callable[[Cube, Cube], float]]] = {
    TAXICAB: _taxicab,
    EUCLIDEAN: _euclidean,
    CHEBYSHEV: _chebyshev,
}


# Making


def _numbers(value: Array) -> Coordinates:
    found = tuple(flatten(value))
    if None in found:
        raise ArraySubscriptError("cannot work with arrays containing NULLs")
    return found


def _of_array(value: Array) -> Cube:
    found = _numbers(value)
    if len(found) > DIMENSIONS_MAX:
        raise too_many("array is too long")
    return Cube(found)


def _of_arrays(first: Array, second: Array) -> Cube:
    one, other = _numbers(first), _numbers(second)
    if len(one) > DIMENSIONS_MAX:
        raise too_many("can't extend cube")
    if len(one) != len(other):
        raise ArraySubscriptError("UR and LL arrays must be of same length")
    return made(one, other)


def _extended(cube: Cube, one: float, other: float) -> Cube:
    if len(cube.first) == DIMENSIONS_MAX:
        raise too_many("can't extend cube")
    if cube.second is None and one == other:
        return Cube((*cube.first, one))
    return Cube((*cube.first, one), (*cube.other, other))


def _subset(cube: Cube, wanted: Array) -> Cube:
    places = _numbers(wanted)
    if len(places) > DIMENSIONS_MAX:
        raise too_many("array is too long")
    for each in places:
        if not 0 < each <= len(cube.first):
            raise ArraySubscriptError("Index out of bounds")
    corners = [tuple([corner[int(each) - 1] for each in places]) for corner in (cube.first, cube.other)]
    return Cube(corners[0]) if cube.second is None else made(*corners)


def union(one: Cube, other: Cube) -> Cube:
    """The least cube that holds both."""
    found = list(sides(one, other))
    low = [each.low if each.low < each.other_low else each.other_low for each in found]
    return made(low, [each.high if each.high > each.other_high else each.other_high for each in found])


def _intersection(one: Cube, other: Cube) -> Cube:
    found = list(sides(one, other))
    low = [each.low if each.low > each.other_low else each.other_low for each in found]
    return made(low, [each.high if each.high < each.other_high else each.other_high for each in found])


def _enlarged(cube: Cube, by: float, dimensions: int) -> Cube:
    low, high = [each - by for each in cube.low()], [each + by for each in cube.high()]
    for at, (one, other) in enumerate(zip(low, high, strict=True)):
        if one > other:
            low[at] = high[at] = (one + other) / 2
    more = min(dimensions, DIMENSIONS_MAX) - len(low) if by > 0 else 0
    return made(low + [-by] * more, high + [by] * more)


# Asking


def _size(cube: Cube) -> float:
    if cube.second is None:
        return 0.0
    found = 1.0
    for one, other in zip(cube.first, cube.second, strict=True):
        found *= abs(one - other)
    return found


def _low_coordinate(cube: Cube, number: int) -> float:
    return cube.low()[number - 1] if 0 < number <= len(cube.first) else 0.0


def _high_coordinate(cube: Cube, number: int) -> float:
    return cube.high()[number - 1] if 0 < number <= len(cube.first) else 0.0


def _coordinate(cube: Cube, number: int) -> float:
    if not 0 < number <= 2 * len(cube.first):
        raise ArraySubscriptError(f"cube index {number} is out of bounds")
    return (cube.first + cube.other)[number - 1]


def side(number: int) -> tuple[int, bool, bool]:
    """What ``~>`` asks for: (dimension from 0 on, whether of its greater coordinate, with another sign)."""
    if not number:
        raise ArraySubscriptError("zero cube index is not defined")
    at, is_high = divmod(abs(number) - 1, 2)
    return at, bool(is_high), number < 0


def _side_coordinate(cube: Cube, number: int) -> float:
    at, is_high, negative = side(number)
    found = 0.0 if at >= len(cube.first) else (cube.high() if is_high else cube.low())[at]
    return -found if negative else found


_FUNCTIONS: Final[tuple[tuple[str, int, Callable[..., Datum]], ...]] = (
    ("cube_a_f8_f8", 2, _of_arrays),
    ("cube_a_f8", 1, _of_array),
    ("cube_f8", 1, lambda one: Cube((one,))),
    ("cube_f8_f8", 2, lambda one, other: made((one,), (other,))),
    ("cube_c_f8", 2, lambda cube, one: _extended(cube, one, one)),
    ("cube_c_f8_f8", 3, _extended),
    ("cube_cmp", 2, compare),
    ("cube_eq", 2, _compared(operator.eq)),
    ("cube_ne", 2, _compared(operator.ne)),
    ("cube_lt", 2, _compared(operator.lt)),
    ("cube_gt", 2, _compared(operator.gt)),
    ("cube_le", 2, _compared(operator.le)),
    ("cube_ge", 2, _compared(operator.ge)),
    ("cube_contains", 2, contains),
    ("cube_contained", 2, lambda one, other: contains(other, one)),
    ("cube_overlap", 2, overlaps),
    ("cube_union", 2, union),
    ("cube_inter", 2, _intersection),
    ("cube_size", 1, _size),
    ("cube_subset", 2, _subset),
    ("cube_dim", 1, lambda cube: len(cube.first)),
    ("cube_ll_coord", 2, _low_coordinate),
    ("cube_ur_coord", 2, _high_coordinate),
    ("cube_coord", 2, _coordinate),
    ("cube_coord_llur", 2, _side_coordinate),
    ("cube_is_point", 1, lambda cube: cube.second is None or cube.first == cube.second),
    ("cube_enlarge", 3, _enlarged),
)


def declare() -> None:
    """Make the functions known."""
    for symbol, count, function in _FUNCTIONS:
        define(symbol, count, function)
    for symbol, distance in DISTANCES.items():
        define(symbol, 2, distance)
