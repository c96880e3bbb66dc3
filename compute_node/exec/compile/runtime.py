"""What generated code calls: array access, quantified operators, extremes, row tests, hashable forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aurora.errors import ArraySubscriptError

OPEN = object()
"""the missing bound of a slice"""


def row_is_null(row: tuple[Any, ...] | None) -> bool:
    """Whether a row value IS NULL: it or all its fields are."""
    return row is None or all(field is None for field in row)


def row_is_not_null(row: tuple[Any, ...] | None) -> bool:
    """Whether a row value IS NOT NULL: no field is."""
    return row is not None and all(field is not None for field in row)


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, list) and value else ()


def nest(elements: list[Any]) -> list[Any]:
    """ARRAY[array, …]: the elements must agree in shape; empty and NULL ones are left out when all are. 2202E."""
    shapes = {_shape(element) if element is not None else () for element in elements}
    if shapes == {()}:
        return []
    if len(shapes) > 1:
        raise ArraySubscriptError("multidimensional arrays must have array expressions with matching dimensions")
    return elements


def subscript(value: Any, base: int, indexes: tuple[Any, ...]) -> Any:
    """array[i][j]: NULL outside the bounds, for a NULL index and for the wrong number of dimensions."""
    for index in indexes:
        if not isinstance(value, list) or index is None:
            return None
        position = index - base
        if not 0 <= position < len(value):
            return None
        value = value[position]
    return None if isinstance(value, list) else value


def array_slice(value: Any, base: int, bounds: tuple[tuple[Any, Any], ...]) -> Any:
    """array[low:high]…: the part within the bounds; NULL when a bound is NULL."""
    if value is None or any(bound is None for pair in bounds for bound in pair):
        return None

    def cut(part: Any, depth: int) -> Any:
        if depth == len(bounds) or not isinstance(part, list):
            return part
        low, high = bounds[depth]
        start = 0 if low is OPEN else max(low - base, 0)
        end = len(part) if high is OPEN else high - base + 1
        return [cut(item, depth + 1) for item in part[start : max(end, start)]]

    if len(_shape(value)) < len(bounds):
        return []
    result = cut(value, 0)
    return result if all(_shape(result)) else []


def map_array(value: list[Any], function: Callable[[Any], Any]) -> list[Any]:
    """Every element through ``function``, NULLs too; the shape stays."""
    return [map_array(item, function) if isinstance(item, list) else function(item) for item in value]


def flat(value: list[Any]) -> Iterator[Any]:
    """The elements of an array of any number of dimensions."""
    for item in value:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


def membership(choices: frozenset[Any], has_null: bool) -> Callable[[Any], bool | None]:
    """``= ANY`` over constants, for a left side that is not NULL."""
    missing = None if has_null else False

    def test(value: Any) -> bool | None:
        return True if value in choices else missing

    return test


def quantified(
    function: Callable[..., Any], strict: bool, use_or: bool, needs_context: bool
) -> Callable[[Any, Any, Any], bool | None]:
    """``left op ANY/ALL (array)`` with three-valued logic. An empty array decides before a NULL left side does."""

    def test(context: Any, left: Any, array: list[Any] | None) -> bool | None:
        if array is None:
            return None
        if not array:
            return not use_or
        if left is None and strict:
            return None
        unknown = False
        for element in flat(array):
            if element is None and strict:
                unknown = True
                continue
            result: bool | None = function(context, left, element) if needs_context else function(left, element)
            if result is None:
                unknown = True
            elif result is use_or:
                return use_or
        return None if unknown else not use_or

    return test


def extreme(greatest: bool, sort_value: Callable[[Any], Any] | None) -> Callable[[tuple[Any, ...]], Any]:
    """GREATEST or LEAST: the extreme of what is not NULL; the first of equals."""
    choose: Callable[..., Any] = max if greatest else min

    def pick(values: tuple[Any, ...]) -> Any:
        known = [value for value in values if value is not None]
        if not known:
            return None
        return choose(known) if sort_value is None else choose(known, key=sort_value)

    return pick


def freeze(value: Any) -> Any:
    """A hashable form of lists within a value: equal values stay equal."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def concatenate(batches: Iterable[list[Any]]) -> list[Any]:
    """All rows of the batches in one new list."""
    rows: list[Any] = []
    for batch in batches:
        rows += batch
    return rows
