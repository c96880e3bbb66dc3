"""The operator classes of GIN: value → items, condition → search.

An operator class of a user has the code of the built-in one whose support functions it names (``IndexDesc.codes``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvariantViolation, UndefinedFunction
from compute_node.access.gin import jsonb_items
from compute_node.access.gin.search import ALL, HAS_NULL, IS_EMPTY, NOTHING, Item, Search, both, either
from compute_node.access.index_access import ScanKey
from compute_node.types.array_value import flatten
from compute_node.types.registry import PgType
from compute_node.types.textsearch.query import NOT, OR, Node, TsQuery
from compute_node.types.textsearch.vector import TsVector

_OVERLAPS, _CONTAINS, _CONTAINED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class GinClass:
    """``items``: of a value, each once, None among them for a NULL item; ``encode``: an item as bytes in memcmp order,
    equal for equal items; ``search``: what a condition (strategy, value) asks. ``bound``: what takes the place of the
    value where settings of the session belong to the condition."""

    items: Callable[[Datum], Collection[Datum]]
    encode: Callable[[Datum], bytes]
    search: Callable[[int, Datum], Search]
    bound: Callable[[ScanKey], Datum] | None = None

    def asked(self, key: ScanKey) -> Search:
        """``search`` of a scan key."""
        return self.search(key.strategy, key.value if self.bound is None else self.bound(key))


def gin_class(code: int, kind: PgType) -> GinClass:
    """The class of a column of type ``kind``; ``code``: a built-in operator class. Errors: 42883 for elements without
    an order."""
    found = GIN_CLASSES.get(code)
    if found is None:
        raise InvariantViolation(f"GIN has no code for operator class {code}")
    return found(kind)


# Arrays


def _array_class(kind: PgType) -> GinClass:
    element = kind.root.element_type
    key = None if element is None else element.sort_key
    if element is None or key is None:
        name = "" if element is None else element.formatted_name or element.name
        raise UndefinedFunction(f"could not identify a comparison function for type {name}")
    encode = key
    return GinClass(partial(_elements, encode), encode, partial(_array_search, encode))


def _elements(encode: Callable[[Datum], bytes], value: Datum) -> Collection[Datum]:
    try:
        return set(flatten(value))
    except TypeError:  # of a kind that has no hash
        found = {None if each is None else encode(each): each for each in flatten(value)}
        return list(found.values())


def _array_search(encode: Callable[[Datum], bytes], strategy: int, value: Datum) -> Search:
    elements = _elements(encode, value)
    wanted = [Item(data) for data in sorted({encode(each) for each in elements if each is not None})]
    has_null = len(wanted) < len(elements) and any(each is None for each in elements)
    if strategy == _OVERLAPS:
        return either(wanted)
    if strategy == _CONTAINS:
        # NULL is contained in nothing.
        return NOTHING if has_null else both(wanted)
    if strategy == _CONTAINED:
        return either([*wanted, IS_EMPTY])
    if not elements:
        return IS_EMPTY
    return both([*wanted, HAS_NULL] if has_null else wanted)


# Documents


def _document_class(kind: PgType) -> GinClass:
    return GinClass(_lexemes, str.encode, _document_search)


def _lexemes(value: TsVector) -> list[Datum]:
    return [lexeme for lexeme, _ in value.entries]


def _document_search(strategy: int, value: TsQuery) -> Search:
    return NOTHING if value.root is None else _of_node(value.root)


def _of_node(node: Node) -> Search:
    """Weights and distances are for the executor to check."""
    if not node.operator:
        return Item(node.lexeme.encode(), node.prefix)
    if node.operator == NOT or node.left is None or node.right is None:
        return ALL
    parts = (_of_node(node.left), _of_node(node.right))
    return either(parts) if node.operator == OR else both(parts)


# jsonb


def _itself(item: bytes) -> bytes:
    return item


def _jsonb_class(kind: PgType) -> GinClass:
    return GinClass(jsonb_items.items, _itself, jsonb_items.search)


def _jsonb_path_class(kind: PgType) -> GinClass:
    return GinClass(jsonb_items.path_items, _itself, jsonb_items.path_search)


GIN_CLASSES: Final[dict[int, Callable[[PgType], GinClass]]] = {
    10064: _array_class,
    10073: _document_class,
    10090: _jsonb_class,
    10091: _jsonb_path_class,
}
"""by the class's code (``IndexDesc.codes``); extensions add theirs"""
