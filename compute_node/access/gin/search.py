"""What a condition asks of the items of a value: a tree whose leaves are items and whose nodes are AND and OR.

A search gives at least the rows that meet the condition. What no item tells (NOT, an order of lexemes) is ``ALL``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from aurora.kernels.python.btree import next_prefix
from compute_node.access.gin.entries import (
    NO_ITEMS,
    NULL_ITEM,
    NULL_VALUE,
    Span,
    Tids,
    category_key,
    item_key,
    item_prefix,
    item_span,
)


class Search:
    """Base."""


@dataclass(frozen=True, slots=True)
class Item(Search):
    """Values that have the item; ``prefix``: one that begins so."""

    data: bytes
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Between(Search):
    """Values that have an item from ``low`` to ``high``; None: from the first, to the last."""

    low: bytes | None
    high: bytes | None


@dataclass(frozen=True, slots=True)
class Category(Search):
    """Values of a category (``entries``)."""

    number: int


@dataclass(frozen=True, slots=True)
class Every(Search):
    """All values but NULL."""


@dataclass(frozen=True, slots=True)
class Both(Search):
    """What all parts give; never empty."""

    parts: tuple[Search, ...]


@dataclass(frozen=True, slots=True)
class Either(Search):
    """What any part gives; nothing without parts."""

    parts: tuple[Search, ...]


@dataclass(frozen=True, slots=True)
class AtLeast(Search):
    """What ``count`` of the items give, at least one of them; no item twice."""

    count: int
    items: tuple[Item, ...]


ALL = Every()
NOTHING = Either(())
HAS_NULL = Category(NULL_ITEM)
IS_EMPTY = Category(NO_ITEMS)


def both(parts: Iterable[Search]) -> Search:
    """AND, without what asks nothing."""
    kept = list(dict.fromkeys(part for part in parts if part != ALL))
    return ALL if not kept else kept[0] if len(kept) == 1 else Both(tuple(kept))


def either(parts: Iterable[Search]) -> Search:
    """OR; all if any part is."""
    kept = list(dict.fromkeys(parts))
    return ALL if ALL in kept else kept[0] if len(kept) == 1 else Either(tuple(kept))


def _that_begin(key: bytes) -> Span:
    return key, next_prefix(key)


def _span_of(item: Item, column: int) -> Span:
    return _that_begin((item_prefix if item.prefix else item_key)(column, item.data))


def places(search: Search, column: int) -> list[Span]:
    """Spans of keys: a value that the search comes to give has an entry in one of them."""
    match search:
        case Item():
            return [_span_of(search, column)]
        case Between(low, high):
            return [item_span(column, low, high)]
        case Category(number):
            return [_that_begin(category_key(column, number))]
        case Both(parts):
            return min((places(part, column) for part in parts), key=len)
        case AtLeast(count, items):
            # Who has so many of the items has one of any that leave out fewer.
            return [each for item in items[count - 1 :] for each in places(item, column)]
        case Either(parts):
            return [each for part in parts for each in places(part, column)]
        case _:
            return [_that_begin(category_key(column, category)) for category in range(NULL_VALUE)]


FEW_ROWS = 64
"""So few rows are rather fetched than looked for under further items."""
Reader = Callable[[Span, bool], Tids | None]
"""Gives the row addresses of the entries there, in order, each once; told to look at one leaf alone, None when there
are more. May wait."""


def find(search: Search, column: int, reader: Reader) -> Tids:
    """The row addresses that a search of a column gives: in order, each once."""

    def read(span: Span) -> Tids:
        found = reader(span, False)
        return np.empty(0, dtype=np.int64) if found is None else found

    match search:
        case Item():
            return read(_span_of(search, column))
        case Between(low, high):
            return read(item_span(column, low, high))
        case Category(number):
            return read(_that_begin(category_key(column, number)))
        case Both(parts):
            return _find_both(parts, column, reader)
        case AtLeast(count, items):
            tids, times = np.unique(np.concatenate([find(item, column, reader) for item in items]), return_counts=True)
            return np.asarray(tids[times >= count], dtype=np.int64)
        case Either(parts):
            each = [find(part, column, reader) for part in parts]
            return np.unique(np.concatenate(each)) if each else np.empty(0, dtype=np.int64)
        case _:
            kinds = [read(_that_begin(category_key(column, category))) for category in range(NULL_VALUE)]
            return np.unique(np.concatenate(kinds))


def _find_both(parts: tuple[Search, ...], column: int, reader: Reader) -> Tids:
    """What all parts give, or, if that is few rows without the items that many rows have, what the others give: items
    of few rows come first."""
    found: Tids | None = None
    left: list[Search] = []
    for part in parts:
        few = reader(_span_of(part, column), True) if isinstance(part, Item) and not part.prefix else None
        if few is None:
            left.append(part)
        else:
            found = few if found is None else np.intersect1d(found, few, assume_unique=True)
    for part in left:
        if found is not None and len(found) <= FEW_ROWS:
            break
        more = find(part, column, reader)
        found = more if found is None else np.intersect1d(found, more, assume_unique=True)
    return np.empty(0, dtype=np.int64) if found is None else found
