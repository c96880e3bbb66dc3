"""What generated code calls: array access, quantified operators, extremes, row tests, hashable forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def row_is_null(row: tuple[Any, ...] | None) -> bool:
    """Whether a row value IS NULL: it or all its fields are."""
    return row is None or all(field is None for field in row)


def row_is_not_null(row: tuple[Any, ...] | None) -> bool:
    """Whether a row value IS NOT NULL: no field is."""
    return row is not None and all(field is not None for field in row)


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
