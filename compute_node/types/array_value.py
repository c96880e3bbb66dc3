"""Array values: lists, nested for more dimensions; with lower bounds other than 1 a list that knows them.

A one-dimensional array whose lower bound is 1, which is nearly every array, is a plain Python list. Code that only
wants the elements need not know of bounds; what looks at subscripts asks ``lower_bounds``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aurora.datum import Datum, Row
from aurora.errors import ArraySubscriptError, ProgramLimitExceeded
from compute_node.types.long_text import STEPS, paced

DIMENSIONS_MAX = 6
ELEMENTS_MAX = 134217727
INDEX_MAX = 2147483647

Array = list[Datum]


class BoundedArray(list[Datum]):
    """An array with a lower bound other than 1: ``bounds`` has one for each dimension. Inner lists are plain."""

    __slots__ = ("bounds",)

    def __init__(self, elements: Sequence[Datum] = (), bounds: Sequence[int] = ()) -> None:
        super().__init__(elements)
        self.bounds = tuple(bounds)

    def __reduce__(self) -> Row:
        return BoundedArray, (list(self), self.bounds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundedArray) and self.bounds == other.bounds and list.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


def dimensions(value: Array) -> list[int]:
    """Lengths by dimension; [] of the empty array."""
    lengths: list[int] = []
    level: Any = value
    while isinstance(level, list) and level:
        lengths.append(len(level))
        level = level[0]
    return lengths


def lower_bounds(value: Array) -> tuple[int, ...]:
    """Lower bounds by dimension; () of the empty array."""
    if isinstance(value, BoundedArray):
        return value.bounds
    return (1,) * len(dimensions(value))


def lower_bound(value: Array) -> int:
    """The lower bound of the first dimension."""
    return value.bounds[0] if isinstance(value, BoundedArray) else 1


def bounded(elements: Array, bounds: Sequence[int]) -> Array:
    """The array of (nested) ``elements`` with these lower bounds; a plain list when all are 1, or it is empty. 54000
    when a subscript would be too large."""
    if not elements or all(bound == 1 for bound in bounds):
        return elements
    for length, bound in zip(dimensions(elements), bounds, strict=True):
        if bound + length > INDEX_MAX:
            raise ProgramLimitExceeded(f"array lower bound is too large: {bound}")
    return BoundedArray(elements, bounds)


def from_vector(value: Array) -> Array:
    """The array with a vector's elements: its lower bound is 0."""
    return bounded(list(value), (0,))


def flatten(value: Array) -> Iterator[Datum]:
    """The elements in storage order."""
    for each in value if len(value) <= STEPS else paced(value):
        if isinstance(each, list):
            yield from flatten(each)
        else:
            yield each


def nest(elements: Array, lengths: Sequence[int]) -> Array:
    """Inverse of ``flatten``."""
    for length in reversed(lengths[1:]):
        elements = [elements[at : at + length] for at in range(0, len(elements), length)]
    return elements


def map_elements(value: Array, function: Callable[[Datum], Datum]) -> Array:
    """Every element through ``function``, NULLs too; shape and bounds stay."""
    items = value if len(value) <= STEPS else paced(value)
    mapped = [map_elements(item, function) if isinstance(item, list) else function(item) for item in items]
    return BoundedArray(mapped, value.bounds) if isinstance(value, BoundedArray) else mapped


def element_at(value: Datum, base: int, indexes: Sequence[Datum]) -> Datum:
    """array[i][j]: NULL outside the bounds, for a NULL index and for the wrong number of dimensions. ``base``: the
    lower bound of a plain list."""
    bounds = iter(value.bounds) if isinstance(value, BoundedArray) else None
    for index in indexes:
        if not isinstance(value, list) or index is None:
            return None
        position = index - (base if bounds is None else next(bounds))
        if not 0 <= position < len(value):
            return None
        value = value[position]
    return None if isinstance(value, list) else value


def fixed_element(value: Datum, indexes: Sequence[Datum]) -> Datum:
    """point[i] and its like, which count from 0: NULL outside. Of a name the bytes, zeros after its end."""
    if isinstance(value, str):
        code = value.encode().ljust(_NAME_BYTES, b"\0")
        if len(indexes) != 1 or indexes[0] is None or not 0 <= indexes[0] < _NAME_BYTES:
            return None
        return chr(code[indexes[0]]) if code[indexes[0]] else ""
    if value is None or len(indexes) != 1 or indexes[0] is None or not 0 <= indexes[0] < len(value):
        return None
    return value[indexes[0]]


_NAME_BYTES = 64
OPEN = object()
"""the missing bound of a slice"""


def array_slice(value: Datum, base: int, parts: Sequence[tuple[Datum, Datum]]) -> Datum:
    """array[low:high]…: the part within the bounds, its own bounds 1; NULL when a bound is NULL."""
    if len(parts) == 1 and type(value) is list and value and type(value[0]) is not list:
        low, high = parts[0]
        if low is None or high is None:
            return None
        end = len(value) if high is OPEN else high - base + 1
        return value[0 if low is OPEN else max(low - base, 0) : max(end, 0)]
    if value is None or any(bound is None for pair in parts for bound in pair):
        return None
    lengths = dimensions(value)
    if len(lengths) < len(parts) or not lengths:
        return []
    bounds = value.bounds if isinstance(value, BoundedArray) else (base,) * len(lengths)

    def cut(part: Any, depth: int) -> Datum:
        if depth == len(parts):
            return part
        low, high = parts[depth]
        start = 0 if low is OPEN else max(low - bounds[depth], 0)
        end = len(part) if high is OPEN else high - bounds[depth] + 1
        return [cut(item, depth + 1) for item in part[start : max(end, start)]]

    result: Array = cut(list(value), 0)
    return result if len(dimensions(result)) == len(lengths) else []


def array_of_arrays(elements: Array) -> Array:
    """ARRAY[array, …]: the elements must agree in shape and bounds; empty and NULL ones are left out when all are.
    2202E."""
    shapes = {(tuple(dimensions(each)), lower_bounds(each)) if each is not None else ((), ()) for each in elements}
    if shapes == {((), ())} or not shapes:
        return []
    if len(shapes) > 1:
        raise ArraySubscriptError("multidimensional arrays must have array expressions with matching dimensions")
    ((lengths, bounds),) = shapes
    if len(lengths) >= DIMENSIONS_MAX:
        raise too_many_dimensions(len(lengths) + 1)
    return bounded([list(each) for each in elements], (1, *bounds))


def too_many_dimensions(count: int) -> Exception:
    """54000 for an array of ``count`` dimensions."""
    return ProgramLimitExceeded(f"number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})")
