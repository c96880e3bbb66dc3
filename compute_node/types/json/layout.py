"""The bytes of a jsonb value, and how parts of it are found without decoding the rest (docs/formats.md).

::

    null, false, true   kind
    number              kind | ASCII digits as Decimal reads them
    string              kind | UTF-8
    array               kind | u32 count | u32 end × count | elements
    object              kind | u32 count | u32 key end × count | u32 value end × count | keys | values

Numbers are little-endian. Ends are counted from the first element, key or value. The keys of an object are unique and
ordered by length, then bytes, which is PostgreSQL's order. Each element and value is a whole value of this form, so
that a part of a value is a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from aurora.errors import ProgramLimitExceeded

NULL: Final = 0x00
STRING: Final = 0x01
NUMBER: Final = 0x02
FALSE: Final = 0x03
TRUE: Final = 0x04
ARRAY: Final = 0x10
OBJECT: Final = 0x11

CONTAINER_BYTES_MAX: Final = 0x0FFFFFFF
"""What PostgreSQL allows for the elements of one array or object, and for a string."""

_HEAD = struct.Struct("<BI")
_U32 = struct.Struct("<I")
_HEAD_BYTES: Final = 5
_TABLES = [struct.Struct(f"<{count}I") for count in range(65)]

EMPTY_ARRAY: Final = _HEAD.pack(ARRAY, 0)
EMPTY_OBJECT: Final = _HEAD.pack(OBJECT, 0)
NULL_VALUE: Final = bytes((NULL,))
TRUE_VALUE: Final = bytes((TRUE,))
FALSE_VALUE: Final = bytes((FALSE,))


def count_of(data: bytes) -> int:
    """Elements or pairs of a container."""
    return int(_U32.unpack_from(data, 1)[0])


def _table(data: bytes, at: int, count: int) -> Sequence[int]:
    if count < len(_TABLES):
        return _TABLES[count].unpack_from(data, at)
    return memoryview(data)[at : at + 4 * count].cast("I") if _NATIVE else struct.unpack_from(f"<{count}I", data, at)


_NATIVE: Final = struct.pack("=I", 1) == struct.pack("<I", 1)


def _ends(sizes: Iterable[int], what: str) -> list[int]:
    total, ends = 0, []
    for size in sizes:
        total += size
        ends.append(total)
    if total > CONTAINER_BYTES_MAX:
        raise ProgramLimitExceeded(
            f"total size of jsonb {what} elements exceeds the maximum of {CONTAINER_BYTES_MAX} bytes"
        )
    return ends


def array_of(elements: Sequence[bytes]) -> bytes:
    """An array of values; 54000."""
    if not elements:
        return EMPTY_ARRAY
    ends = _ends(map(len, elements), "array")
    count = len(elements)
    return b"".join((_HEAD.pack(ARRAY, count), struct.pack(f"<{count}I", *ends), *elements))


def key_order(key: bytes) -> tuple[int, bytes]:
    """What the keys of an object are ordered by."""
    return len(key), key


def object_of(pairs: dict[bytes, bytes]) -> bytes:
    """An object of values by their keys' UTF-8; 54000."""
    if not pairs:
        return EMPTY_OBJECT
    keys = sorted(pairs, key=key_order)
    return sorted_object(keys, [pairs[key] for key in keys])


def sorted_object(keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """An object of unique keys in their order, and their values."""
    count = len(keys)
    ends = _ends(map(len, keys), "object") + _ends(map(len, values), "object")
    return b"".join((_HEAD.pack(OBJECT, count), struct.pack(f"<{2 * count}I", *ends), *keys, *values))


def element_at(data: bytes, index: int) -> bytes | None:
    """An array's element, counted from 0."""
    count = count_of(data)
    if not 0 <= index < count:
        return None
    base = _HEAD_BYTES + 4 * count
    place = _HEAD_BYTES + 4 * index
    start = int(_U32.unpack_from(data, place - 4)[0]) if index else 0
    return data[base + start : base + int(_U32.unpack_from(data, place)[0])]


def find_key(data: bytes, name: bytes) -> int:
    """Which of an object's pairs has this key; -1 without one. A binary search among the keys."""
    count = count_of(data)
    ends = _table(data, _HEAD_BYTES, count)
    base = _HEAD_BYTES + 8 * count
    size = len(name)
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        start, end = ends[middle - 1] if middle else 0, ends[middle]
        length = end - start
        if length == size:
            key = data[base + start : base + end]
            if key == name:
                return middle
            if key < name:
                low = middle + 1
            else:
                high = middle
        elif length < size:
            low = middle + 1
        else:
            high = middle
    return -1


def value_at(data: bytes, index: int) -> bytes:
    """The value of an object's pair."""
    count = count_of(data)
    ends = _HEAD_BYTES + 4 * count
    base = ends + 4 * count + int(_U32.unpack_from(data, ends - 4)[0])
    place = ends + 4 * index
    start = int(_U32.unpack_from(data, place - 4)[0]) if index else 0
    return data[base + start : base + int(_U32.unpack_from(data, place)[0])]


def value_of(data: bytes, name: bytes) -> bytes | None:
    """The value of an object's key."""
    found = find_key(data, name)
    return None if found < 0 else value_at(data, found)


def elements(data: bytes) -> Iterator[bytes]:
    """An array's elements."""
    count = count_of(data)
    base = _HEAD_BYTES + 4 * count
    start = 0
    for end in _table(data, _HEAD_BYTES, count):
        yield data[base + start : base + end]
        start = end


def keys(data: bytes) -> Iterator[bytes]:
    """An object's keys, in their order."""
    count = count_of(data)
    base = _HEAD_BYTES + 8 * count
    start = 0
    for end in _table(data, _HEAD_BYTES, count):
        yield data[base + start : base + end]
        start = end


def pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """An object's keys and values, in the keys' order."""
    count = count_of(data)
    if count:
        ends = _HEAD_BYTES + 4 * count
        base = ends + 4 * count + int(_U32.unpack_from(data, ends - 4)[0])
        start = 0
        for key, end in zip(keys(data), _table(data, ends, count), strict=True):
            yield key, data[base + start : base + end]
            start = end
