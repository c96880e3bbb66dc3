"""What the type families share: PostgreSQL's error texts for text and binary input, and fixed-width codecs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aurora.datum import Datum
from aurora.errors import (
    CharacterNotInRepertoire,
    DivisionByZero,
    InvalidBinaryRepresentation,
    InvalidCursorDefinition,
    InvalidTextRepresentation,
    NotSupported,
    NumericValueOutOfRange,
    ProtocolViolation,
    SqlError,
)
from compute_node.types.registry import TypeEnv

WHITESPACE = " \t\n\v\f\r"
"""What C's isspace takes in the C locale; str.strip() alone would also take Unicode spaces."""


_BEYOND = 10**100
_DIGITS_PLAIN = 4000


def whole_number(text: str) -> int:
    """``int()`` of ASCII digits with a sign or without, however many: a text of more digits than any type holds gives
    a number beyond all of them, in time that grows with its length alone."""
    if len(text) <= _DIGITS_PLAIN:
        return int(text)
    bare = text.strip(WHITESPACE)
    digits = bare.lstrip("+-").lstrip("0")
    value = int(digits or "0") if len(digits) <= 100 else _BEYOND
    return -value if bare.startswith("-") else value


def invalid_syntax(type_name: str, text: str) -> SqlError:
    """22P02, as every text input function words it."""
    return InvalidTextRepresentation(f'invalid input syntax for type {type_name}: "{text}"')


def value_out_of_range(type_name: str, text: str) -> SqlError:
    """22003, for input text of the right form but too large."""
    return NumericValueOutOfRange(f'value "{text}" is out of range for type {type_name}')


def division_by_zero() -> SqlError:
    """22012."""
    return DivisionByZero("division by zero")


def fixed_codec(layout: str) -> tuple[Callable[[bytes, int], Datum], Callable[[Datum], bytes]]:
    """(receive, send) for one value of a struct layout; a message of another length is 08P01 or 22P03."""
    codec = struct.Struct(layout)
    unpack, pack, size = codec.unpack, codec.pack, codec.size

    def receive(data: bytes, typmod: int) -> Datum:
        if len(data) != size:
            raise wrong_length(data, size)
        return unpack(data)[0]

    return receive, pack


def wrong_length(data: bytes, size: int) -> SqlError:
    """The error for a binary value that is too short (08P01) or too long (22P03)."""
    if len(data) < size:
        return ProtocolViolation("insufficient data left in message")
    return InvalidBinaryRepresentation("incorrect binary data format")


def shown_sequence(data: bytes, at: int) -> str:
    """What is not UTF-8 at a place, as messages show it: as many bytes as the first of them announces."""
    first = data[at]
    count = 1 if first < 0xC0 or first >= 0xF8 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    return " ".join(f"0x{byte:02x}" for byte in data[at : at + count])


def decode_utf8(data: bytes) -> str:
    """Client bytes → str; 22021 for bytes that are not UTF-8 or hold a NUL."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        bad = shown_sequence(data, error.start)
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8": {bad}') from None
    if "\0" in text:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def receive_text(data: bytes, typmod: int) -> str:
    """Binary input of the string types."""
    return decode_utf8(data)


def refuse_input(type_name: str) -> Callable[[str, int, TypeEnv], Datum]:
    """Text input of a pseudo-type: 0A000."""

    def refuse(text: str, typmod: int, env: TypeEnv) -> Datum:
        raise NotSupported(f"cannot accept a value of type {type_name}")

    return refuse


def refuse_output(type_name: str) -> Callable[[Datum, TypeEnv], str]:
    """Text output of a pseudo-type: 0A000."""

    def refuse(value: Datum, env: TypeEnv) -> str:
        raise NotSupported(f"cannot display a value of type {type_name}")

    return refuse


def parse_typmod_int(type_name: str, text: str) -> int:
    """One typmod argument as an integer; 22P02 otherwise."""
    try:
        return int(text)
    except ValueError:
        raise invalid_syntax("integer", text) from None


def string_key(value: str) -> bytes:
    """memcmp key of a string: its UTF-8 and a NUL, which text cannot hold, so no key is another's prefix."""
    return value.encode() + b"\0"


def bytes_key(value: bytes) -> bytes:
    """memcmp key of a byte string: NUL becomes 00 FF and 00 01 ends it, so no key is another's prefix."""
    return value.replace(b"\0", b"\0\xff") + b"\0\x01"


class _Greatest:
    """Sorts after everything and equals itself only: where NaN stands in PostgreSQL's order."""

    __slots__ = ()

    def __lt__(self, other: Datum) -> bool:
        return False

    def __le__(self, other: Datum) -> bool:
        return other is self

    def __gt__(self, other: Datum) -> bool:
        return other is not self

    def __ge__(self, other: Datum) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return other is self

    def __hash__(self) -> int:
        return 0x7FF8


GREATEST = _Greatest()


@contextmanager
def errors_of_query(text: str) -> Iterator[None]:
    """Errors are of this text: their place is in it, or it is in their context."""
    try:
        yield
    except InvalidCursorDefinition:
        raise
    except SqlError as error:
        if error.position is None:
            line = f'SQL statement "{text}"'
            error.where = line if error.where is None else f"{error.where}\n{line}"
        elif error.internal_query is None:
            error.internal_position, error.internal_query, error.position = error.position, text, None
        raise
