"""What a condition asks of the items of a value: a tree whose leaves are items and whose nodes are AND and OR.

A search gives at least the rows that meet the condition. What no item tells (NOT, an order of lexemes) is ``ALL``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from compute_node.access.gin.entries import NO_ITEMS, NULL_ITEM, NULL_VALUE, Tids, category_key, item_key, item_prefix


class Search:
    """Base."""


@dataclass(frozen=True, slots=True)
class Item(Search):
    """Values that have the item; ``prefix``: one that begins so."""

    data: bytes
    prefix: bool = False


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


def find(search: Search, column: int, read: Callable[[bytes], Tids]) -> Tids:
    """The row addresses that a search of a column gives: in order, each once. ``read`` gives those of the entries that
    begin so; it may wait."""
    match search:
        case Item(data, prefix):
            return read(item_prefix(column, data) if prefix else item_key(column, data))
        case Category(number):
            return read(category_key(column, number))
        case Both(parts):
            found = find(parts[0], column, read)
            for part in parts[1:]:
                if not len(found):
                    break
                found = np.intersect1d(found, find(part, column, read), assume_unique=True)
            return found
        case Either(parts):
            each = [find(part, column, read) for part in parts]
            return np.unique(np.concatenate(each)) if each else np.empty(0, dtype=np.int64)
        case _:
            kinds = [read(category_key(column, category)) for category in range(NULL_VALUE)]
            return np.unique(np.concatenate(kinds))
