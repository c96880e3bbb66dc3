"""Items: what a path yields.

null, booleans, numbers and strings are None, bool, Decimal and str; objects and arrays are ``Jsonb``; a date or time
that ``datetime()`` made is a ``Moment``. Where ``keyvalue()`` asks for the identity of objects, containers are
``Placed``.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.types.json.value import Jsonb, Scalar
from compute_node.types.jsonpath.moments import Moment
from compute_node.types.long_text import paced
from compute_node.types.numeric import display_scale, numeric_send

Item = Jsonb | Moment | Decimal | str | bool | None


class Placed(Jsonb):
    """A container that knows its place: that of PostgreSQL's binary form, in the document that holds it.

    ``keyvalue()`` makes an id of the document's number and the place.
    """

    __slots__ = ("document", "place")

    def __init__(self, data: bytes, document: int, place: int) -> None:
        super().__init__(data)
        self.document, self.place = document, place

    def key(self, name: str) -> Jsonb | None:
        for key, value in self.items():
            if key == name:
                return value
        return None

    def element(self, index: int) -> Jsonb | None:
        for number, value in enumerate(self.elements()):
            if number == index:
                return value
        return None

    def elements(self) -> Iterator[Jsonb]:
        at = self.place + 4 + 4 * len(self)
        for value in super().elements():
            size = _form_bytes(value, at)
            yield self._placed(value, at)
            at += size

    def items(self) -> Iterator[tuple[str, Jsonb]]:
        pairs = list(paced(super().items()))
        at = self.place + 4 + 8 * len(pairs) + sum(len(key.encode()) for key, _ in pairs)
        for key, value in pairs:
            size = _form_bytes(value, at)
            yield key, self._placed(value, at)
            at += size

    def _placed(self, value: Jsonb, at: int) -> Jsonb:
        return Placed(value.data, self.document, at + -at % 4) if is_container(value) else value


def is_container(value: Jsonb) -> bool:
    """Whether it is an object or an array."""
    return value.kind in ("object", "array")


def _form_bytes(value: Jsonb, at: int) -> int:
    """Bytes that a value takes in PostgreSQL's form when it begins at ``at``, padding before it included."""
    kind = value.kind
    if kind == "string":
        return len(str(value.scalar()).encode())
    if kind in ("null", "boolean"):
        return 0
    padding = -at % 4
    if kind == "number":
        return padding + _numeric_bytes(value.scalar())
    inside = at + padding + 4
    if kind == "array":
        inside += 4 * len(value)
        for each in paced(value.elements()):
            inside += _form_bytes(each, inside)
        return inside - at
    pairs = list(paced(value.items()))
    inside += 8 * len(pairs) + sum(len(key.encode()) for key, _ in pairs)
    for _, each in pairs:
        inside += _form_bytes(each, inside)
    return inside - at


def _numeric_bytes(number: Scalar) -> int:
    if not isinstance(number, Decimal):
        raise InvariantViolation(f"{number!r} is taken for a number")
    sent = numeric_send(number)
    digits, weight = int.from_bytes(sent[0:2], "big"), int.from_bytes(sent[2:4], "big", signed=True)
    is_short = display_scale(number) < 64 and -64 <= weight < 64
    return 4 + (2 if is_short else 4) + 2 * digits


def item_of(value: Jsonb) -> Item:
    """A jsonb value as an item."""
    return value if is_container(value) else value.scalar()


def jsonb_of(item: Item) -> Jsonb:
    """An item as a jsonb value; a moment becomes a string."""
    if isinstance(item, Moment):
        return Jsonb.of(item.text())
    if isinstance(item, Placed):
        return Jsonb(item.data)
    return Jsonb.of(item)


def is_array(item: Datum) -> bool:
    """Whether it is an array."""
    return isinstance(item, Jsonb) and item.kind == "array"


def is_object(item: Datum) -> bool:
    """Whether it is an object."""
    return isinstance(item, Jsonb) and item.kind == "object"


def type_name(item: Item) -> str:
    """What ``type()`` gives."""
    if isinstance(item, Jsonb):
        return item.kind
    if isinstance(item, Moment):
        return item.type_name
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "boolean"
    return "number" if isinstance(item, Decimal) else "string"
