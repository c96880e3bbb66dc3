"""A jsonb value: its binary form, read as far as it is asked (manual, 8.14).

Text → ``parse`` → ``Jsonb`` → operators, functions, storage → ``text``. The bytes are those of ``layout``.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import total_ordering
from typing import Final

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, ProgramLimitExceeded
from aurora.kernels import jsonb as kernel
from aurora.kernels.python.jsonb import KIND_KEYS, SHORT_BYTES, ZEROS_MAX
from compute_node.hub import HUB
from compute_node.types.json import layout
from compute_node.types.json.layout import ARRAY, CONTAINER_BYTES_MAX, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE
from compute_node.types.numeric import in_format

Scalar = str | Decimal | bool | None

_KINDS: Final = {
    NULL: "null",
    STRING: "string",
    NUMBER: "number",
    FALSE: "boolean",
    TRUE: "boolean",
    ARRAY: "array",
    OBJECT: "object",
}
_PULSE_STEPS: Final = 256


@total_ordering
class Jsonb:
    """One value in the binary form. Immutable."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Row:
        return Jsonb, (self.data,)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + len(self.data) + 33

    def __repr__(self) -> str:
        return f"Jsonb({self.text()})"

    @property
    def kind(self) -> str:
        """object, array, string, number, boolean or null."""
        return _KINDS[self.data[0]]

    def scalar(self) -> Scalar:
        """The value of what is no container."""
        kind = self.data[0]
        if kind == STRING:
            return self.data[1:].decode()
        if kind == NUMBER:
            return decimal_of(self.data)
        if kind == NULL:
            return None
        if kind in (ARRAY, OBJECT):
            raise InvariantViolation(f"a jsonb {self.kind} has no scalar value")
        return kind == TRUE

    def __len__(self) -> int:
        """Keys or elements; 0 of a scalar."""
        return layout.count_of(self.data) if self.data[0] >= ARRAY else 0

    def __bool__(self) -> bool:
        return True

    def key(self, name: str) -> Jsonb | None:
        """The value of an object's key."""
        if self.data[0] != OBJECT:
            return None
        found = layout.value_of(self.data, name.encode())
        return None if found is None else Jsonb(found)

    def element(self, index: int) -> Jsonb | None:
        """An array's element, counted from 0; None beyond its ends."""
        if self.data[0] != ARRAY:
            return None
        found = layout.element_at(self.data, index)
        return None if found is None else Jsonb(found)

    def elements(self) -> Iterator[Jsonb]:
        """An array's elements."""
        if self.data[0] == ARRAY:
            yield from map(Jsonb, layout.elements(self.data))

    def items(self) -> Iterator[tuple[str, Jsonb]]:
        """An object's keys and values, as they are stored: shorter keys first."""
        if self.data[0] == OBJECT:
            for key, value in layout.pairs(self.data):
                yield key.decode(), Jsonb(value)

    @classmethod
    def of(cls, value: Datum) -> Jsonb:
        """From a dict, list, str, int, Decimal, bool, None or Jsonb; 54000 when it is too large."""
        return value if type(value) is Jsonb else cls(encode(value))

    def sort_key(self) -> bytes:
        """memcmp key: of equal values equal, in the order of values."""
        return sort_key(self.data)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Jsonb:
            return NotImplemented
        return self.data == other.data or sort_key(self.data) == sort_key(other.data)

    def __lt__(self, other: Jsonb) -> bool:
        return compare(self, other) < 0

    def __hash__(self) -> int:
        return hash(sort_key(self.data))

    def text(self) -> str:
        """PostgreSQL's output: one line, a blank after each comma and colon."""
        return text(self.data)


def compare(a: Jsonb, b: Jsonb) -> int:
    """-1, 0 or 1: object > array > boolean > number > string > null; more elements or pairs above fewer; then one by
    one. An empty array alone is below all."""
    if a.data == b.data:
        return 0
    one, other = sort_key(a.data), sort_key(b.data)
    return (one > other) - (one < other)


def number_data(value: Decimal) -> bytes:
    """A finite numeric's bytes."""
    if not value:
        return b"\2" + format(value, "f").encode()
    exponent = value.as_tuple().exponent
    if exponent == 0 and value.adjusted() > ZEROS_MAX:
        digits = format(value, "f")
        short = digits.rstrip("0")
        zeros = len(digits) - len(short)
        if zeros > ZEROS_MAX:
            return f"\2{short}E+{zeros}".encode()
    return b"\2" + str(value).encode()


def decimal_of(data: bytes) -> Decimal:
    """A number's value."""
    value = Decimal(data[1:].decode())
    return in_format(value) if b"+" in data else value


def string_data(value: str) -> bytes:
    """A string's bytes; 54000."""
    data = b"\1" + value.encode()
    if len(data) > CONTAINER_BYTES_MAX:
        raise ProgramLimitExceeded(
            "string too long to represent as jsonb string",
            detail=f"Due to an implementation restriction, jsonb strings cannot exceed {CONTAINER_BYTES_MAX} bytes.",
        )
    return data


def encode(value: Datum) -> bytes:
    """The bytes of what ``Jsonb.of`` takes."""
    kind = type(value)
    if kind is str:
        return string_data(value)
    if kind is Jsonb:
        return bytes(value.data)
    if value is None:
        return layout.NULL_VALUE
    if kind is bool:
        return layout.TRUE_VALUE if value else layout.FALSE_VALUE
    if kind is int:
        return number_data(Decimal(value))
    if kind is list:
        return layout.array_of([encode(each) for each in value])
    if kind is dict:
        return layout.object_of({key.encode(): encode(each) for key, each in value.items()})
    if isinstance(value, Decimal):
        return number_data(value)
    raise InvariantViolation(f"no jsonb value is made of {kind.__name__}")


def sort_key(data: bytes) -> bytes:
    """memcmp key of a value. At the top, an empty array stands before all else."""
    found = kernel.sort_key(data) if len(data) <= SHORT_BYTES else None
    return long_sort_key(data) if found is None else found


def long_sort_key(data: bytes) -> bytes:
    """The same, of a long value: others run in between."""
    if data == layout.EMPTY_ARRAY:
        return b"\0"
    out: list[bytes] = []
    left: list[Iterator[bytes]] = []
    steps = 0
    current: bytes | None = data
    while True:
        found = None
        if current is not None and len(current) <= PART_BYTES:
            found = kernel.sort_key(current, True)
        if found is not None:
            out.append(found)
        elif current is not None:
            kind = current[0]
            out.append(KIND_KEYS[kind])
            if kind == STRING:
                out.append(current[1:] + b"\0")
            elif kind == NUMBER:
                out.append(kernel.number_key(current))
            elif kind >= ARRAY:
                out.append(layout.count_of(current).to_bytes(4, "big"))
                left.append(layout.elements(current) if kind == ARRAY else _keyed(current, out))
        if not left:
            return b"".join(out)
        current = next(left[-1], None)
        if current is None:
            left.pop()
        steps += 1
        if not steps % _PULSE_STEPS:
            HUB.pulse()


def _keyed(data: bytes, out: list[bytes]) -> Iterator[bytes]:
    for key, value in layout.pairs(data):
        out.append(key + b"\0")
        yield value


scalar_text = kernel.scalar_text
"""what is no container, as JSON text"""
PART_BYTES: Final = 1 << 16
"""Parts of a long value that are left to the kernel whole."""


def text(data: bytes) -> str:
    """A value as JSON text."""
    found = kernel.text(data) if len(data) <= SHORT_BYTES else None
    return long_text_of(data) if found is None else found


def long_text_of(data: bytes) -> str:
    """The same, of a long value: others run in between."""
    if data[0] < ARRAY:
        return scalar_text(data)
    out: list[str] = []
    _write(data, out)
    return "".join(out)


def _write(data: bytes, out: list[str]) -> None:
    left: list[tuple[Iterator[tuple[bytes, bytes]], str]] = []
    current: bytes | None = data
    steps = 0
    while True:
        short = None
        if current is not None and len(current) <= PART_BYTES:
            short = kernel.text(current)
        if short is not None:
            out.append(short)
            first = False
        elif current is not None:
            kind = current[0]
            if kind < ARRAY:
                out.append(scalar_text(current))
            elif kind == ARRAY:
                out.append("[")
                left.append(((((b"", each) for each in layout.elements(current))), "]"))
            else:
                out.append("{")
                left.append((layout.pairs(current), "}"))
            first = kind >= ARRAY
        if not left:
            return
        inside, end = left[-1]
        found = next(inside, None)
        if found is None:
            out.append(end)
            left.pop()
            current, first = None, False
        else:
            if not first:
                out.append(", ")
            if end == "}":
                out.append(scalar_text(b"\1" + found[0]))
                out.append(": ")
            current, first = found[1], False
        steps += 1
        if not steps % _PULSE_STEPS:
            HUB.pulse()
