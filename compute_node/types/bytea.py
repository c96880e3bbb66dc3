"""bytea: hex and escape I/O, comparison, concatenation, byte and bit access (manual, 8.4, 9.5)."""

from __future__ import annotations

import re

from aurora.errors import ArraySubscriptError, InvalidParameterValue, InvalidTextRepresentation, SubstringError
from compute_node.types.common import bytes_key
from compute_node.types.declare import comparisons, fn, fns, operator_classes, operators
from compute_node.types.long_text import concat_bytes, digest, paced
from compute_node.types.oids import BYTEA
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

_ESCAPE = re.compile(rb"\\(?:\\|[0-3][0-7][0-7])")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_HEX_PAIRS = re.compile("(?:[0-9a-fA-F]{2}|[ \\t\\n\\r])*+")


def decode_hex(text: str) -> bytes:
    """Pairs of hex digits, white space between pairs allowed; 22023 otherwise."""
    try:
        if "\v" not in text and "\f" not in text:
            return bytes.fromhex(text)
    except ValueError:
        pass
    match = _HEX_PAIRS.match(text)
    at = 0 if match is None else match.end()
    bad = next((digit for digit in text[at : at + 2] if digit not in _HEX_DIGITS), None)
    if bad is not None:
        raise InvalidParameterValue(f'invalid hexadecimal digit: "{bad}"')
    raise InvalidParameterValue("invalid hexadecimal data: odd number of digits")


def bytea_in(text: str, typmod: int, env: TypeEnv) -> bytes:
    """``\\x`` and hex digits, or the escape format; 22P02 / 22023 for malformed text."""
    if text.startswith("\\x"):
        return decode_hex(text[2:])
    return decode_escape(text)


def decode_escape(text: str) -> bytes:
    """The escape format: ``\\\\`` and ``\\ooo``; 22P02 for another backslash."""
    data = text.encode()
    if b"\\" not in data:
        return data
    if b"\\" in _ESCAPE.sub(b"", data):
        raise InvalidTextRepresentation("invalid input syntax for type bytea")
    parts: list[bytes] = []
    at = 0
    for match in paced(_ESCAPE.finditer(data)):
        parts += (data[at : match.start()], b"\\" if match[0] == b"\\\\" else bytes((int(match[0][1:], 8),)))
        at = match.end()
    return b"".join([*parts, data[at:]])


def encode_escape(value: bytes) -> str:
    """encode()'s escape format: only NUL and bytes above 127 as octal."""
    return "".join("\\\\" if byte == 92 else chr(byte) if 0 < byte < 128 else f"\\{byte:03o}" for byte in value)


def _printable(value: bytes) -> str:
    """bytea_output = escape: every byte outside printable ASCII as octal."""
    return "".join("\\\\" if byte == 92 else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in value)


def bytea_out(value: bytes, env: TypeEnv) -> str:
    """By bytea_output: hex or escape."""
    return "\\x" + value.hex() if env.bytea_output == "hex" else _printable(value)


REGISTRY.add_type(
    PgType(
        oid=BYTEA,
        name="bytea",
        length=-1,
        by_value=False,
        category="U",
        storage="x",
        array=1001,
        input=bytea_in,
        output=bytea_out,
        receive=lambda data, typmod: bytes(data),
        send=bytes,
        disk="y",
        sort_key=bytes_key,
        wire=Wire(binary=b"y"),
    )
)

comparisons("""
1948 byteaeq(bytea, bytea) bool
1953 byteane(bytea, bytea) bool
1949 bytealt(bytea, bytea) bool
1950 byteale(bytea, bytea) bool
1951 byteagt(bytea, bytea) bool
1952 byteage(bytea, bytea) bool
1954 byteacmp(bytea, bytea) int4
""")
fn(2011, "byteacat(bytea, bytea) bytea", concat_bytes)
fns(
    """
2010 length(bytea) int4
720 octet_length(bytea) int4
""",
    len,
)
fn(1810, "bit_length(bytea) int4", lambda value: 8 * len(value))
fn(2321, "md5(bytea) text", lambda value: digest("md5", value).hex())
fn(3419, "sha224(bytea) bytea", lambda value: digest("sha224", value))
fn(3420, "sha256(bytea) bytea", lambda value: digest("sha256", value))
fn(3421, "sha384(bytea) bytea", lambda value: digest("sha384", value))
fn(3422, "sha512(bytea) bytea", lambda value: digest("sha512", value))
fn(6163, "bit_count(bytea) int8", lambda value: int.from_bytes(value, "big").bit_count())
fn(2014, "position(bytea, bytea) int4", lambda whole, part: whole.find(part) + 1)


def slice_from(value: bytes, start: int, length: int | None = None) -> bytes:
    """substring: 1-based start that may lie before the value; 22011 for a negative length."""
    if length is None:
        return value[max(start - 1, 0) :]
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return value[max(start - 1, 0) : max(start - 1 + length, 0)]


fns(
    """
2012 substring(bytea, int4, int4) bytea
2085 substr(bytea, int4, int4) bytea
2013 substring(bytea, int4) bytea
2086 substr(bytea, int4) bytea
""",
    slice_from,
)


def _get_byte(value: bytes, index: int) -> int:
    if not 0 <= index < len(value):
        raise ArraySubscriptError(f"index {index} out of valid range, 0..{len(value) - 1}")
    return value[index]


def _set_byte(value: bytes, index: int, byte: int) -> bytes:
    if not 0 <= index < len(value):
        raise ArraySubscriptError(f"index {index} out of valid range, 0..{len(value) - 1}")
    return value[:index] + bytes((byte & 0xFF,)) + value[index + 1 :]


def _bit_place(value: bytes, index: int) -> int:
    if not 0 <= index < 8 * len(value):
        raise ArraySubscriptError(f"index {index} out of valid range, 0..{8 * len(value) - 1}")
    return index >> 3


def _set_bit(value: bytes, index: int, bit: int) -> bytes:
    at = _bit_place(value, index)
    if bit not in (0, 1):
        raise InvalidParameterValue("new bit must be 0 or 1")
    mask = 1 << (index & 7)
    return value[:at] + bytes((value[at] | mask if bit else value[at] & ~mask,)) + value[at + 1 :]


def _overlay(value: bytes, new: bytes, start: int, count: int | None = None) -> bytes:
    if start <= 0:
        raise SubstringError("negative substring length not allowed")
    return value[: start - 1] + new + value[max(start - 1 + (len(new) if count is None else count), 0) :]


fn(724, "set_bit(bytea, int8, int4) bytea", _set_bit)
fns(
    """
749 overlay(bytea, bytea, int4, int4) bytea
752 overlay(bytea, bytea, int4) bytea
""",
    _overlay,
)
fn(721, "get_byte(bytea, int4) int4", _get_byte)
fn(722, "set_byte(bytea, int4, int4) bytea", _set_byte)
fn(723, "get_bit(bytea, int8) int4", lambda value, index: value[_bit_place(value, index)] >> (index & 7) & 1)
fns(
    """
2015 btrim(bytea, bytea) bytea
""",
    lambda value, cut: value.strip(cut),
)
fn(6195, "ltrim(bytea, bytea) bytea", lambda value, cut: value.lstrip(cut))
fn(6196, "rtrim(bytea, bytea) bytea", lambda value, cut: value.rstrip(cut))
operators("""
1955 bytea = bytea bool 1948 commutator=1955 negator=1956 merges hashes
1956 bytea <> bytea bool 1953 commutator=1956 negator=1955
1957 bytea < bytea bool 1949 commutator=1959 negator=1960
1958 bytea <= bytea bool 1950 commutator=1960 negator=1959
1959 bytea > bytea bool 1951 commutator=1957 negator=1958
1960 bytea >= bytea bool 1952 commutator=1958 negator=1957
2018 bytea || bytea bytea 2011
""")
operator_classes("""
10006 bytea_ops 428 bytea_ops bytea 403 default 1957,1958,1955,1960,1959 1954,3331,0,5051
10049 bytea_ops 2223 bytea_ops bytea 405 default 1955 456,772
""")
