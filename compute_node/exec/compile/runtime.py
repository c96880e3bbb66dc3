"""What generated code calls: array access, quantified operators, extremes, row tests, hashable forms."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row

if TYPE_CHECKING:
    from compute_node.types.registry import FunctionContext


def _live(row: Row) -> Iterator[Any]:
    """The fields that are not of dropped columns."""
    types = getattr(row, "types", None)
    if types is None or None not in types:
        return iter(row)
    return (field for field, item in zip(row, types, strict=True) if item is not None)


def row_is_null(row: Row | None) -> bool:
    """Whether a row value IS NULL: it or all its fields are."""
    return row is None or all(field is None for field in _live(row))


def row_is_not_null(row: Row | None) -> bool:
    """Whether a row value IS NOT NULL: no field is."""
    return row is not None and all(field is not None for field in _live(row))


def flat(value: list[Datum]) -> Iterator[Datum]:
    """The elements of an array of any number of dimensions."""
    for item in value:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


def membership(choices: frozenset[Datum], has_null: bool) -> Callable[[Datum], bool | None]:
    """``= ANY`` over constants, for a left side that is not NULL."""
    missing = None if has_null else False

    def test(value: Datum) -> bool | None:
        return True if value in choices else missing

    return test


def quantified(
    function: Callable[..., Datum], strict: bool, use_or: bool, needs_context: bool
) -> Callable[[FunctionContext, Datum, Datum], bool | None]:
    """``left op ANY/ALL (array)`` with three-valued logic. An empty array decides before a NULL left side does."""

    def test(context: FunctionContext, left: Datum, array: list[Datum] | None) -> bool | None:
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


LIST_MAX = 4096


def contained(
    general: Callable[[FunctionContext, Datum, Datum], bool | None],
) -> Callable[[FunctionContext, Datum, Datum], bool | None]:
    """``= ANY`` by Python's own equality, for arrays of one dimension that are not long; ``general`` has the others."""

    def test(context: FunctionContext, left: Datum, array: list[Datum] | None) -> bool | None:
        if not array or left is None or type(array[0]) is list or len(array) > LIST_MAX:
            return general(context, left, array)
        if left in array:
            return True
        return None if None in array else False

    return test


def extreme(greatest: bool, sort_value: Callable[[Datum], Datum] | None, count: int = 0) -> Callable[[Row], Datum]:
    """GREATEST or LEAST: the extreme of what is not NULL; the first of equals."""
    choose: Callable[..., Datum] = max if greatest else min

    def pick_of_two(values: Row) -> Datum:
        first, second = values
        if first is None or second is None:
            return second if first is None else first
        if greatest:
            return second if second > first else first
        return second if second < first else first

    def pick(values: Row) -> Datum:
        known = [value for value in values if value is not None]
        if not known:
            return None
        return choose(known) if sort_value is None else choose(known, key=sort_value)

    return pick_of_two if count == 2 and sort_value is None else pick


def freeze(value: Datum) -> Datum:
    """A hashable form of lists within a value: equal values stay equal."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


_PLAIN = (int, str, bytes, bool, type(None))


def exact(value: Datum) -> Datum:
    """A hashable form that is equal for values that nothing tells apart: not of 1.0 and 1.00, also within others."""
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    if kind in (Decimal, float):
        return kind, str(value)
    if kind in (list, tuple):
        return (kind, *map(exact, value))
    return kind, pickle.dumps(value, 5)


def concatenate(batches: Iterable[list[Datum]]) -> list[Datum]:
    """All rows of the batches in one new list."""
    rows: list[Datum] = []
    for batch in batches:
        rows += batch
    return rows
