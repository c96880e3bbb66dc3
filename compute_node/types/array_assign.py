"""Assignment to elements and slices of arrays (manual, 8.15.4): the array anew, grown where that may be.

A one-dimensional array grows at both ends, with NULLs in between; one of more dimensions does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from aurora.datum import Datum, Row
from aurora.errors import ArraySubscriptError, NullValueNotAllowed, ProgramLimitExceeded
from compute_node.types.array_value import (
    DIMENSIONS_MAX,
    ELEMENTS_MAX,
    OPEN,
    Array,
    bounded,
    dimensions,
    flatten,
    lower_bounds,
    nest,
    too_many_dimensions,
)


def _checked(indexes: Sequence[Datum]) -> None:
    if len(indexes) > DIMENSIONS_MAX:
        raise too_many_dimensions(len(indexes))
    if any(index is None for index in indexes):
        raise NullValueNotAllowed("array subscript in assignment must not be null")


def _grown(elements: Array, low: int, first: int, last: int) -> tuple[Array, int]:
    """The elements of a one-dimensional array from ``low`` so that it holds ``first`` to ``last``, and its new lower
    bound."""
    start, end = min(low, first), max(low + len(elements) - 1, last)
    if end - start >= ELEMENTS_MAX:
        raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
    return [None] * (low - start) + list(elements) + [None] * (end - (low + len(elements) - 1)), start


def set_element(value: Array | None, indexes: Row, element: Datum) -> Array:
    """``value[i][j] = element``; 22004, 2202E."""
    _checked(indexes)
    if not value:
        return bounded(nest([element], [1] * len(indexes)), indexes)
    lengths, lows = dimensions(value), lower_bounds(value)
    if len(lengths) != len(indexes):
        raise ArraySubscriptError("wrong number of array subscripts")
    if len(lengths) == 1:
        elements, low = _grown(value, lows[0], indexes[0], indexes[0])
        elements[indexes[0] - low] = element
        return bounded(elements, (low,))
    place = 0
    for index, low, length in zip(indexes, lows, lengths, strict=True):
        if not low <= index < low + length:
            raise ArraySubscriptError("array subscript out of range")
        place = place * length + index - low
    flat = list(flatten(value))
    flat[place] = element
    return bounded(nest(flat, lengths), lows)


def set_fixed_element(value: Datum, indexes: Row, element: Datum) -> Datum:
    """``point[i] = element`` and its like, which count from 0; a NULL on either side changes nothing. 22004, 2202E."""
    if value is None or element is None:
        return value
    _checked(indexes)
    if len(indexes) != 1:
        raise ArraySubscriptError("wrong number of array subscripts")
    if not 0 <= indexes[0] < len(value):
        raise ArraySubscriptError("array subscript out of range")
    return type(value)(*value[: indexes[0]], element, *value[indexes[0] + 1 :])


def set_slice(value: Array | None, parts: tuple[tuple[Datum, Datum], ...], source: Array | None) -> Array | None:
    """``value[a:b][c:d] = source``; a NULL source changes nothing. 22004, 2202E."""
    for bounds_of in zip(*parts, strict=True):
        _checked(bounds_of)
    if source is None:
        return value
    given = list(flatten(source))
    if not value:
        return _new_slice(parts, given)
    lengths, lows = dimensions(value), lower_bounds(value)
    if len(parts) > len(lengths):
        raise ArraySubscriptError("wrong number of array subscripts")
    bounds: list[tuple[int, int]] = []
    for place, (low, length) in enumerate(zip(lows, lengths, strict=True)):
        pair: tuple[Datum, Datum] = parts[place] if place < len(parts) else (OPEN, OPEN)
        first = low if pair[0] is OPEN else int(pair[0])
        last = low + length - 1 if pair[1] is OPEN else int(pair[1])
        if first > last:
            raise ArraySubscriptError("upper bound cannot be less than lower bound")
        bounds.append((first, last))
    count = 1
    for first, last in bounds:
        count *= last - first + 1
    if len(lengths) == 1 and count + lengths[0] > ELEMENTS_MAX:
        _grown(value, lows[0], *bounds[0])  # refuses what is too large
    if len(given) < count:
        raise ArraySubscriptError("source array too small")
    if len(lengths) == 1:
        ((first, last),) = bounds
        elements, low = _grown(value, lows[0], first, last)
        elements[first - low : last - low + 1] = given[:count]
        return bounded(elements, (low,))
    for (first, last), low, length in zip(bounds, lows, lengths, strict=True):
        if first < low or last >= low + length:
            raise ArraySubscriptError("array subscript out of range")
    places = [0]
    for (first, last), low, length in zip(bounds, lows, lengths, strict=True):
        places = [place * length + index - low for place in places for index in range(first, last + 1)]
    flat = list(flatten(value))
    for place, element in zip(places, given, strict=False):
        flat[place] = element
    return bounded(nest(flat, lengths), lows)


def _new_slice(parts: tuple[tuple[Datum, Datum], ...], given: Array) -> Array:
    if any(bound is OPEN for pair in parts for bound in pair):
        raise ArraySubscriptError(
            "array slice subscript must provide both boundaries",
            detail="When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
        )
    lengths = [last - first + 1 for first, last in parts]
    if any(length < 0 for length in lengths):
        raise ArraySubscriptError("upper bound cannot be less than lower bound")
    count = 1
    for length in lengths:
        count *= length
    if count > ELEMENTS_MAX:
        raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
    if len(given) < count:
        raise ArraySubscriptError("source array too small")
    return bounded(nest(given[:count], lengths), [first for first, _ in parts]) if count else []
