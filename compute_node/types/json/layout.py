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
from collections.abc import Sequence
from typing import Final

from aurora.errors import ProgramLimitExceeded
from aurora.kernels import jsonb as kernel
from aurora.kernels.python.jsonb import (
    ARRAY,
    FALSE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TRUE,
    count_of,
    elements,
    keys,
    pairs,
)
from compute_node.hub import HUB

__all__ = [
    "ARRAY",
    "FALSE",
    "NULL",
    "NUMBER",
    "OBJECT",
    "STRING",
    "TRUE",
    "count_of",
    "elements",
    "keys",
    "pairs",
]

CONTAINER_BYTES_MAX: Final = 0x0FFFFFFF
"""What PostgreSQL allows for the elements of one array or object, and for a string."""

_HEAD = struct.Struct("<BI")
_FEW: Final = 1000
"""Parts that are put together without a pulse before."""

EMPTY_ARRAY: Final = _HEAD.pack(ARRAY, 0)
EMPTY_OBJECT: Final = _HEAD.pack(OBJECT, 0)
NULL_VALUE: Final = bytes((NULL,))
TRUE_VALUE: Final = bytes((TRUE,))
FALSE_VALUE: Final = bytes((FALSE,))


def _check(size: int, what: str) -> None:
    if size > CONTAINER_BYTES_MAX:
        raise ProgramLimitExceeded(
            f"total size of jsonb {what} elements exceeds the maximum of {CONTAINER_BYTES_MAX} bytes"
        )


def array_of(parts: list[bytes]) -> bytes:
    """An array of values; 54000."""
    if not parts:
        return EMPTY_ARRAY
    if len(parts) > _FEW:
        HUB.pulse()
    made = kernel.array_of(parts)
    if len(made) > CONTAINER_BYTES_MAX:
        _check(sum(map(len, parts)), "array")
    return made


def object_of(members: dict[bytes, bytes]) -> bytes:
    """An object of values by their keys' UTF-8; 54000."""
    if not members:
        return EMPTY_OBJECT
    if len(members) > _FEW:
        HUB.pulse()
    made = kernel.object_of(members)
    if len(made) > CONTAINER_BYTES_MAX:
        _check(sum(map(len, members)) + sum(map(len, members.values())), "object")
    return made


def replaced(data: bytes, index: int, value: bytes) -> bytes:
    """The container with another element, or another value of its pair, at ``index``; 54000."""
    made = kernel.replaced(data, index, value)
    if len(made) > CONTAINER_BYTES_MAX:
        _check(len(made), "array" if data[0] == ARRAY else "object")
    return made


def sorted_object(names: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """An object of unique keys, and their values."""
    return object_of(dict(zip(names, values, strict=True)))


find_key = kernel.find_key
"""which of an object's pairs has a key (its UTF-8); -1 without one"""
value_at = kernel.value_at
"""the value of an object's pair"""


def value_of(data: bytes, name: bytes) -> bytes | None:
    """The value of an object's key."""
    found = kernel.find_key(data, name)
    return None if found < 0 else kernel.value_at(data, found)


def element_at(data: bytes, index: int) -> bytes | None:
    """An array's element, counted from 0."""
    return kernel.element(data, index) if index >= 0 else None
