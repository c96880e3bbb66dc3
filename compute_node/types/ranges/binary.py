"""Binary and stored forms of ranges and multiranges, and the keys that order them in an index.

Range::

    u8 flags | i32 length, lower bound (unless there is none) | i32 length, upper bound (unless there is none)

Multirange::

    u32 ranges | (i32 length, range) for each

A bound is in its type's binary form; stored, in the form that an array's element has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import ProtocolViolation
from compute_node.types.long_text import paced
from compute_node.types.ranges.value import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    NOTHING,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
    make_multirange,
    make_range,
    steps,
)
from compute_node.types.registry import RangeForm

_LENGTH = struct.Struct(">i")
_COUNT = struct.Struct(">I")
_FLAGS = EMPTY | LOWER_INCLUSIVE | UPPER_INCLUSIVE | LOWER_INFINITE | UPPER_INFINITE
_NO_LOWER, _NO_UPPER = EMPTY | LOWER_INFINITE, EMPTY | UPPER_INFINITE

Encode = Callable[[Datum], bytes]
Decode = Callable[[bytes, int], Datum]


def range_encoder(encode: Encode) -> Callable[[Range], bytes]:
    """Range → bytes, with ``encode`` for a bound."""

    def write(value: Range) -> bytes:
        flags = value.flags
        out = bytes((flags,))
        if not flags & _NO_LOWER:
            data = encode(value.lower)
            out += _LENGTH.pack(len(data)) + data
        if not flags & _NO_UPPER:
            data = encode(value.upper)
            out += _LENGTH.pack(len(data)) + data
        return out

    return write


def _part(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes after a length, and where they end. 08P01."""
    if at + 4 > len(data):
        raise ProtocolViolation("insufficient data left in message")
    (size,) = _LENGTH.unpack_from(data, at)
    end = at + 4 + size
    if size < 0 or end > len(data):
        raise ProtocolViolation("insufficient data left in message")
    return bytes(data[at + 4 : end]), end


def range_decoder(decode: Decode, make: Callable[[Datum, Datum, int], Range]) -> Callable[[bytes, int], Range]:
    """Bytes → range; ``make`` puts it together of bounds and flags. 08P01."""

    def read(data: bytes, typmod: int = -1) -> Range:
        if not data:
            raise ProtocolViolation("no data left in message")
        flags, at = data[0] & _FLAGS, 1
        lower = upper = None
        if not flags & _NO_LOWER:
            part, at = _part(data, at)
            lower = decode(part, typmod)
        if not flags & _NO_UPPER:
            part, at = _part(data, at)
            upper = decode(part, typmod)
        if at != len(data):
            raise ProtocolViolation("invalid message format")
        return make(lower, upper, flags)

    return read


def as_stored(lower: Datum, upper: Datum, flags: int) -> Range:
    """A range that was checked before it was stored."""
    return NOTHING if flags & EMPTY else Range(lower, upper, flags)


def as_received(form: RangeForm) -> Callable[[Datum, Datum, int], Range]:
    """A range as a client sent it."""
    return lambda lower, upper, flags: make_range(form, lower, upper, flags)


def multirange_encoder(write: Callable[[Range], bytes]) -> Callable[[Multirange], bytes]:
    """Multirange → bytes."""

    def encode(value: Multirange) -> bytes:
        parts = [_COUNT.pack(len(value.ranges))]
        for each in steps(value.ranges):
            data = write(each)
            parts += (_LENGTH.pack(len(data)), data)
        return b"".join(parts)

    return encode


def _ranges(read: Callable[[bytes, int], Range], data: bytes, typmod: int) -> list[Range]:
    if len(data) < 4:
        raise ProtocolViolation("insufficient data left in message")
    (count,) = _COUNT.unpack_from(data)
    found, at = [], 4
    for _range in paced(range(count)):
        part, at = _part(data, at)
        found.append(read(part, typmod))
    if at != len(data):
        raise ProtocolViolation("invalid message format")
    return found


def multirange_receiver(form: RangeForm, read: Callable[[bytes, int], Range]) -> Callable[[bytes, int], Multirange]:
    """Bytes of a client → multirange."""
    return lambda data, typmod: make_multirange(form, _ranges(read, data, typmod))


def multirange_decoder(read: Callable[[bytes, int], Range]) -> Callable[[bytes], Multirange]:
    """Stored bytes → multirange."""
    return lambda data: Multirange(tuple(_ranges(read, data, -1)))


def range_key(form: RangeForm) -> Callable[[Range], bytes] | None:
    """memcmp key: 00 for the empty range; else 01, the lower bound: 00 or 01, its key, 00 inclusive 01 exclusive; the
    upper bound: 01, its key, 00 exclusive 01 inclusive, or 02. A key of variable length ends with two zero bytes, and
    zeros in it are followed by FF. None when bounds have no key."""
    bound = form.bound_key
    if bound is None:
        return None
    if form.subtype.length < 0:
        whole = bound

        def bound(value: Datum) -> bytes:
            return whole(value).replace(b"\0", b"\0\xff") + b"\0\0"

    key = bound

    def encode(value: Range) -> bytes:
        flags = value.flags
        if flags & EMPTY:
            return b"\0"
        low = b"\1\0"
        high = b"\2"
        if not flags & LOWER_INFINITE:
            low = b"\1\1" + key(value.lower) + (b"\0" if flags & LOWER_INCLUSIVE else b"\1")
        if not flags & UPPER_INFINITE:
            high = b"\1" + key(value.upper) + (b"\1" if flags & UPPER_INCLUSIVE else b"\0")
        return low + high

    return encode


def multirange_key(form: RangeForm) -> Callable[[Multirange], bytes] | None:
    """memcmp key: the keys of the ranges, which begin with 01, and 00. None when bounds have no key."""
    key = range_key(form)
    if key is None:
        return None
    encode = key
    return lambda value: b"".join([encode(each) for each in steps(value.ranges)]) + b"\0"
