"""Reads stored arrays of common element types quickly: one dimension from 1 on, no NULL. What is not of that kind is
left to the general reader.

The stored form is the binary one (docs/formats.md): 20 bytes of header and dimension, then each element after its size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.kernels import values

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


def fast_load(name: str, general: Load) -> Load:
    """The reader of stored arrays of the element type ``name``; ``general`` reads what is out of the ordinary."""
    code = _FORMATS.get(name)
    if code is not None:
        return _fixed(code, general)
    return _texts(general) if name in _TEXTS else general


def _fixed(code: str, general: Load) -> Load:
    quick = values.fixed_array

    def load(data: bytes) -> list[Datum]:
        found = quick(data, code)
        return general(data) if found is None else found

    return load


def _texts(general: Load) -> Load:
    quick = values.text_array

    def load(data: bytes) -> list[Datum]:
        found = quick(data)
        return general(data) if found is None else found

    return load
