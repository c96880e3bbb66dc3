"""Reads stored arrays of common element types quickly: one dimension from 1 on, no NULL. What is not of that kind is
left to the general reader.

The stored form is the binary one (docs/formats.md): 20 bytes of header and dimension, then each element after its size.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Final

from aurora.datum import Datum

_PLAIN: Final = b"\0\0\0\1\0\0\0\0"
"""One dimension, no NULL: the first eight bytes."""
_FROM_ONE: Final = b"\0\0\0\1"
_FORMATS: Final = {
    "int2": "h",
    "int4": "i",
    "int8": "q",
    "oid": "I",
    "float8": "d",
    "date": "i",
    "timestamp": "q",
    "timestamptz": "q",
}
_TEXTS: Final = ("text", "varchar")

Load = Callable[[bytes], list[Datum]]


@functools.lru_cache(maxsize=256)
def _elements(code: str, count: int) -> struct.Struct:
    """Lengths and values in turn."""
    return struct.Struct(">" + ("i" + code) * count)


def fast_load(name: str, general: Load) -> Load:
    """The reader of stored arrays of the element type ``name``; ``general`` reads what is out of the ordinary."""
    code = _FORMATS.get(name)
    if code is not None:
        return _fixed(code, general)
    return _texts(general) if name in _TEXTS else general


def _fixed(code: str, general: Load) -> Load:
    size = 4 + struct.calcsize(">" + code)

    def load(data: bytes) -> list[Datum]:
        count, rest = divmod(len(data) - 20, size)
        if rest or count < 1 or count > 1000 or data[:8] != _PLAIN or data[16:20] != _FROM_ONE:
            return general(data)
        return list(_elements(code, count).unpack_from(data, 20)[1::2])

    return load


def _texts(general: Load) -> Load:
    def load(data: bytes) -> list[Datum]:
        if len(data) < 24 or len(data) > 8000 or data[:8] != _PLAIN or data[16:20] != _FROM_ONE:
            return general(data)
        found: list[Datum] = []
        at, end = 20, len(data)
        while at < end:
            start = at + 4
            at = start + int.from_bytes(data[at:start], "big")
            found.append(str(data[start:at], "utf-8"))
        return found

    return load
