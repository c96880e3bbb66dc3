"""Functions over arrays of integers without NULLs: as sets, as sequences. Arrays of more dimensions count as the
sequence of their elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue, NullValueNotAllowed
from compute_node.extensions.library import ESTIMATORS, define, supports
from compute_node.types.array_value import Array, bounded, dimensions, flatten, lower_bounds, nest

_ARRAY_SHARE, _ARRAY_JOIN_SHARE, _AREA_SHARE = 3817, 3818, 139
"""Estimators: of elements of arrays, of joins by these, what is one in 200"""


def integers(value: Array) -> list[int]:
    """The elements. Errors: 22004."""
    found = list(flatten(value))
    if None in found:
        raise NullValueNotAllowed("array must not contain nulls")
    return found


def _shortened(value: Array, elements: list[int]) -> Array:
    """Elements in the place of an array's: of several dimensions each further one has one place then."""
    lengths = dimensions(value)
    whole = 1
    for length in lengths:
        whole *= length
    if not elements:
        return []
    if len(elements) != whole:
        lengths = [len(elements)] + [1] * (len(lengths) - 1)
    return bounded(nest(list(elements), lengths), lower_bounds(value))


def _sort(value: Array, direction: str = "asc") -> Array:
    elements = integers(value)
    if len(elements) < 2:
        return value
    if direction.lower() not in ("asc", "desc"):
        raise InvalidParameterValue('second parameter must be "ASC" or "DESC"')
    return _shortened(value, sorted(elements, reverse=direction.lower() == "desc"))


def _uniq(value: Array) -> Array:
    elements = integers(value)
    return value if len(elements) < 2 else _shortened(value, [each for each, _ in groupby(elements)])


def _index(value: Array, wanted: int) -> int:
    elements = integers(value)
    return elements.index(wanted) + 1 if wanted in elements else 0


def _part(value: Array, start: int, length: int = 0) -> Array:
    elements = integers(value)
    first = start - 1 if start > 0 else start
    if first < 0:
        first += len(elements)
    end = len(elements) + length if length < 0 else len(elements) if not length else first + length
    return list(elements[max(first, 0) : max(end, 0)])


def _without(value: Array, unwanted: int) -> Array:
    return _shortened(value, [each for each in integers(value) if each != unwanted])


def _append(value: Array, more: int) -> Array:
    return [*integers(value), more]


def _join(one: Array, other: Array) -> Array:
    return [*integers(one), *integers(other)]


def _with(value: Array, more: int) -> Array:
    return sorted({*integers(value), more})


def _of_sets(function: Callable[[set[int], set[int]], set[int]]) -> Callable[[Array, Array], Array]:
    return lambda one, other: sorted(function(set(integers(one)), set(integers(other))))


def _contains(one: Array, other: Array) -> bool:
    return set(integers(one)) >= set(integers(other))


def _overlaps(one: Array, other: Array) -> bool:
    return not set(integers(one)).isdisjoint(integers(other))


def _same(one: Array, other: Array) -> bool:
    return sorted(integers(one)) == sorted(integers(other))


_FUNCTIONS: Final[tuple[tuple[str, int, Callable[..., Datum]], ...]] = (
    ("_int_contains", 2, _contains),
    ("_int_contained", 2, lambda one, other: _contains(other, one)),
    ("_int_overlap", 2, _overlaps),
    ("_int_same", 2, _same),
    ("_int_different", 2, lambda one, other: not _same(one, other)),
    ("_int_union", 2, _of_sets(set.union)),
    ("_int_inter", 2, _of_sets(set.intersection)),
    ("intset_subtract", 2, _of_sets(set.difference)),
    ("intset_union_elem", 2, _with),
    ("intset", 1, lambda element: [element]),
    ("icount", 1, lambda value: sum(1 for _ in flatten(value))),
    ("sort", 1, _sort),
    ("sort", 2, _sort),
    ("sort_asc", 1, _sort),
    ("sort_desc", 1, lambda value: _sort(value, "desc")),
    ("uniq", 1, _uniq),
    ("idx", 2, _index),
    ("subarray", 2, _part),
    ("subarray", 3, _part),
    ("intarray_push_elem", 2, _append),
    ("intarray_push_array", 2, _join),
    ("intarray_del_elem", 2, _without),
)


def _estimates() -> Iterator[tuple[str, int]]:
    for word in ("overlap", "contains", "contained"):
        yield f"_int_{word}_sel", _ARRAY_SHARE
        yield f"_int_{word}_joinsel", _ARRAY_JOIN_SHARE
    yield "_int_matchsel", _AREA_SHARE


def declare() -> None:
    """Make the functions known."""
    for symbol, count, function in _FUNCTIONS:
        define(symbol, count, function)
    for symbol, estimator in _estimates():
        supports(f"{symbol} {5 if symbol.endswith('joinsel') else 4}")
        ESTIMATORS[symbol] = estimator
