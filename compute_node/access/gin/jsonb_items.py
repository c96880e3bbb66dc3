"""Items of jsonb values, and what a condition on a jsonb column asks of them (manual, 8.14.4).

``jsonb_ops`` has an item for each key, and for each scalar: a kind and its text. A string that is an element of an
array counts as a key, for ``?`` finds it there. ``jsonb_path_ops`` has an item for each scalar: a hash of it and of the
keys on the way to it; arrays are not on that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

from aurora.datum import Datum
from compute_node.access.gin.search import ALL, Item, Search, both, either
from compute_node.types.json import layout
from compute_node.types.json.value import Jsonb, encode, sort_key
from compute_node.types.jsonpath.tree import JsonPath, Step

KEY, NULL, BOOLEAN, NUMBER, TEXT, HASHED = b"\1", b"\2", b"\3", b"\4", b"\5", b"\6"
TEXT_BYTES_MAX: Final = 125
"""A longer key or string is kept as its hash."""
_HASH_BYTES: Final = 16


def _long(kind: bytes, text: bytes) -> bytes:
    if len(text) <= TEXT_BYTES_MAX:
        return kind + text
    return HASHED + kind + blake2b(text, digest_size=_HASH_BYTES).digest()


def key_item(name: str) -> bytes:
    """The item of a key, or of a string in an array."""
    return _long(KEY, name.encode())


def _scalar(data: bytes, is_element: bool) -> bytes:
    kind = data[0]
    if kind == layout.STRING:
        return _long(KEY if is_element else TEXT, data[1:])
    if kind == layout.NUMBER:
        return NUMBER + sort_key(data)
    return NULL if kind == layout.NULL else BOOLEAN + bytes((kind == layout.TRUE,))


def items(value: Jsonb) -> set[bytes]:
    """The items of ``jsonb_ops``."""
    found: set[bytes] = set()
    stack = [(value.data, True)]
    while stack:
        data, is_element = stack.pop()
        if data[0] == layout.OBJECT:
            for name, part in layout.pairs(data):
                found.add(_long(KEY, name))
                stack.append((part, False))
        elif data[0] == layout.ARRAY:
            stack += [(part, True) for part in layout.elements(data)]
        else:
            found.add(_scalar(data, is_element))
    return found


def path_items(value: Jsonb) -> set[bytes]:
    """The items of ``jsonb_path_ops``."""
    found: set[bytes] = set()
    stack = [(value.data, 0)]
    while stack:
        data, way = stack.pop()
        if data[0] == layout.OBJECT:
            stack += [(part, _step(way, name)) for name, part in layout.pairs(data)]
        elif data[0] == layout.ARRAY:
            stack += [(part, way) for part in layout.elements(data)]
        else:
            found.add(_end(way, data))
    return found


def _step(way: int, name: bytes) -> int:
    return crc32(b"\0" + name, way)


def _end(way: int, data: bytes) -> bytes:
    scalar = sort_key(data) if data[0] == layout.NUMBER else data[1:]
    return crc32(data[:1] + scalar, way).to_bytes(4, "big")


CONTAINS, EXISTS, EXISTS_ANY, EXISTS_ALL, PATH_EXISTS, PATH_MATCHES = 7, 9, 10, 11, 15, 16
"""Strategies of both classes: ``@> ? ?| ?& @? @@``."""


def search(strategy: int, value: Datum) -> Search:
    """What a condition asks of the items of ``jsonb_ops``."""
    if strategy == CONTAINS:
        return both(Item(each) for each in sorted(items(value)))
    if strategy == EXISTS:
        return Item(key_item(value))
    if strategy == EXISTS_ANY:
        return either(Item(key_item(each)) for each in value if each is not None)
    if strategy == EXISTS_ALL:
        return both(Item(key_item(each)) for each in value if each is not None)
    return _PathSearch(_Keys()).of(strategy, value)


def path_search(strategy: int, value: Datum) -> Search:
    """What a condition asks of the items of ``jsonb_path_ops``."""
    if strategy == CONTAINS:
        return both(Item(each) for each in sorted(path_items(value)))
    return _PathSearch(_Ways()).of(strategy, value)


Way = tuple[str, ...] | None
"""The keys of an accessor chain so far; None: some of them are not known."""


class _Keys:
    """What ``jsonb_ops`` knows of a path."""

    def exists(self, names: Sequence[str], way: Way) -> Search:
        return both(Item(key_item(name)) for name in names)

    def equals(self, names: Sequence[str], way: Way, literal: Datum) -> Search:
        if isinstance(literal, str):
            # An element of an array, or the value of a key.
            scalar = either((Item(key_item(literal)), Item(_long(TEXT, literal.encode()))))
        else:
            scalar = Item(_scalar(encode(literal), False))
        return both((self.exists(names, way), scalar))


class _Ways:
    """What ``jsonb_path_ops`` knows of a path."""

    def exists(self, names: Sequence[str], way: Way) -> Search:
        return ALL

    def equals(self, names: Sequence[str], way: Way, literal: Datum) -> Search:
        if way is None:
            return ALL
        at = 0
        for name in way:
            at = _step(at, name.encode())
        return Item(_end(at, encode(literal)))


class _PathSearch:
    """A path → what must be in a value for the path to find something, or to be true."""

    def __init__(self, known: _Keys | _Ways) -> None:
        self._known = known

    def of(self, strategy: int, path: JsonPath) -> Search:
        if strategy == PATH_EXISTS:
            return self._exists(path.expression, (), ())
        return self._holds(path.expression, (), ())

    def _chain(self, step: Step, names: Sequence[str], way: Way) -> tuple[list[Search], list[str], Way, bool] | None:
        """Of accessors from the root, or from the item of a filter: (what their filters ask, the keys named, the way,
        whether they end in a part of the value); None for another expression."""
        if step.op not in ("$", "@"):
            return None
        found, named, here = [], list(names) if step.op == "@" else [], way if step.op == "@" else ()
        at = step.next
        while at is not None:
            if at.op == "key":
                named.append(at.value)
                here = None if here is None else (*here, at.value)
            elif at.op in (".*", "any"):
                here = None
            elif at.op == "filter":
                found.append(self._holds(at.operand, tuple(named), here))
            elif at.op not in ("[*]", "subscripts"):
                return found, named, None, False
            at = at.next
        return found, named, here, True

    def _exists(self, step: Step, names: Sequence[str], way: Way) -> Search:
        chain = self._chain(step, names, way)
        if chain is None:
            return ALL
        filters, named, here, _ = chain
        return both([*filters, self._known.exists(named, here)])

    def _holds(self, step: Step, names: Sequence[str], way: Way) -> Search:
        if step.next is not None:
            return ALL
        if step.op in ("&&", "||"):
            parts = [self._holds(each, names, way) for each in step.operands]
            return both(parts) if step.op == "&&" else either(parts)
        if step.op == "exists":
            return self._exists(step.operand, names, way)
        if step.op == "==":
            for one, other in (step.operands, step.operands[::-1]):
                chain = self._chain(one, names, way)
                if chain is not None and other.op == "literal" and other.next is None:
                    filters, named, here, is_part = chain
                    if is_part:
                        return both([*filters, self._known.equals(named, here, other.value)])
        return ALL
