"""armor, dearmor, pgp_armor_headers: bytes as printable text with a checksum (RFC 4880, chapter 6). Errors: 39000,
22023, 2202E, 22004."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from aurora.datum import Row
from aurora.errors import (
    ArraySubscriptError,
    ExternalRoutineInvocationException,
    InvalidParameterValue,
    NullValueNotAllowed,
    SqlError,
)
from compute_node.extensions.library import define
from compute_node.hub import HUB
from compute_node.types.array_value import flatten

_BEGIN, _END = "-----BEGIN PGP MESSAGE-----\n", "-----END PGP MESSAGE-----\n"
_LINE: Final = 76
_START, _POLYNOMIAL = 0xB704CE, 0x1864CFB
_PIECE_BYTES: Final = 1 << 14
_MESSAGE: Final = re.compile(
    r"(?:\A|(?<=\n))-----BEGIN PGP [^\n]*?-----[ \t]*\r?\n(.*?)\r?\n?=([A-Za-z0-9+/]{4})[ \t]*\r?\n-----END PGP ",
    re.DOTALL,
)


def _entry(byte: int) -> int:
    value = byte << 16
    for _ in range(8):
        value <<= 1
        if value & 1 << 24:
            value ^= _POLYNOMIAL
    return value


_TABLE: Final = [_entry(byte) for byte in range(256)]


def _checksum(data: bytes) -> bytes:
    value = _START
    for at in range(0, len(data), _PIECE_BYTES):
        for byte in data[at : at + _PIECE_BYTES]:
            value = (value << 8 & 0xFFFFFF) ^ _TABLE[value >> 16 ^ byte]
        HUB.pulse()
    return value.to_bytes(3)


def _armor(data: bytes, keys: list[str | None] | None = None, values: list[str | None] | None = None) -> str:
    headers = "".join(f"{key}: {value}\n" for key, value in _headers(keys or [], values or []))
    text = base64.b64encode(data).decode()
    lines = "".join(text[at : at + _LINE] + "\n" for at in range(0, len(text), _LINE))
    return f"{_BEGIN}{headers}\n{lines}={base64.b64encode(_checksum(data)).decode()}\n{_END}"


def _headers(keys: list[str | None], values: list[str | None]) -> Iterator[tuple[str, str]]:
    if any(isinstance(each, list) for each in (*keys, *values)):
        raise ArraySubscriptError("wrong number of array subscripts")
    if len(keys) != len(values):
        raise ArraySubscriptError("mismatched array dimensions")
    for key, value in zip(flatten(keys), flatten(values), strict=True):
        for what, text in (("key", key), ("value", value)):
            if text is None:
                raise NullValueNotAllowed(f"null value not allowed for header {what}")
            if not text.isascii():
                raise InvalidParameterValue(f"header {what} must not contain non-ASCII characters")
            if what == "key" and ": " in text:
                raise InvalidParameterValue('header key must not contain ": "')
            if "\n" in text:
                raise InvalidParameterValue(f"header {what} must not contain newlines")
        yield key, value


def _corrupt() -> SqlError:
    return ExternalRoutineInvocationException("Corrupt ascii-armor")


def _parts(text: str) -> tuple[list[str], str, str]:
    """Header lines, the data's text, the checksum's. 39000."""
    match = _MESSAGE.search(text)
    if match is None:
        raise _corrupt()
    lines = match[1].split("\n")
    blank = next((number for number, line in enumerate(lines) if not line.strip("\r")), None)
    if blank is None:
        raise _corrupt()
    return [line.rstrip("\r") for line in lines[:blank]], "".join(lines[blank:]), match[2]


def _dearmor(text: str) -> bytes:
    _, body, checksum = _parts(text)
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise _corrupt() from None
    if base64.b64decode(checksum) != _checksum(data):
        raise _corrupt()
    return data


def _armor_headers(text: str) -> Iterator[Row]:
    for line in _parts(text)[0]:
        key, found, value = line.partition(": ")
        if not found:
            raise _corrupt()
        yield key, value


define("pg_armor", 1, _armor)
define("pg_armor", 3, _armor)
define("pg_dearmor", 1, _dearmor)
define("pgp_armor_headers", 1, _armor_headers)
