"""Result formats: columns and the formats that the client chose → RowDescription bytes and row codes for the kernel.

Also the other direction for parameters: the codes with which ``match_point`` decodes, and the general decoding that
knows every type, format and error (manual, chapter 55.2.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aurora.errors import (
    CharacterNotInRepertoire,
    InvalidParameterValue,
    NotSupported,
    ProtocolViolation,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.protocol import messages
from compute_node.protocol.messages import Column
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_SIGNED = {21: b"2", 23: b"4", 20: b"8"}
_STRINGS = frozenset((25, 1043, 1042, 19, 705, 2275))
_OID = 26
_RECORD = REGISTRY.types[2249]
"""How the row of a table goes out, whose type has no code of its own."""


def type_of(oid: int) -> PgType:
    """The type of an OID; raises 42704."""
    found = REGISTRY.types.get(oid)
    if found is None:
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return found


def text_code(item: PgType) -> tuple[bytes, Callable[..., Any] | None]:
    """The kernel's row code and converter for a type's text form."""
    if item.oid in _SIGNED or item.oid == _OID:
        return b"i", None
    if item.oid in _STRINGS:
        return b"s", None
    if item.oid == 16:
        return b"b", None
    if item.text_bytes is not None:
        return b"t", item.text_bytes
    return b"o", item.output


def binary_code(item: PgType) -> tuple[bytes, Callable[..., Any] | None]:
    """The kernel's row code and converter for a type's binary form; raises 42883 when it has none."""
    if item.oid in _SIGNED:
        return _SIGNED[item.oid], None
    if item.oid in _STRINGS:
        return b"s", None
    simple = {_OID: b"U", 16: b"B", 701: b"d", 700: b"f", 17: b"y"}.get(item.oid)
    if simple is not None:
        return simple, None
    if item.send is None:
        raise UndefinedFunction(f"no binary output function available for type {item.formatted_name or item.name}")
    return b"t", item.send


def expand_formats(raw: bytes, count: int) -> list[int]:
    """Bind's result format codes for ``count`` columns: none is text, one is for all. Raises 08P01, 22023."""
    codes = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    if len(codes) <= 1:
        codes = codes * count if codes else [0] * count
    elif len(codes) != count:
        raise ProtocolViolation(f"bind message has {len(codes)} result formats but query has {count} columns")
    for code in codes:
        if code > 1:
            raise InvalidParameterValue(f"unsupported format code: {code}")
    return codes


class ResultFormat:
    """How one plan's rows go out in one choice of formats."""

    __slots__ = ("bound_described", "codes", "converters", "row_description")

    def __init__(self, columns: Sequence[Column], raw_formats: bytes) -> None:
        formats = expand_formats(raw_formats, len(columns))
        types = [REGISTRY.types.get(column.type_oid, _RECORD) for column in columns]
        pairs = [binary_code(t) if fmt else text_code(t) for t, fmt in zip(types, formats, strict=True)]
        self.codes = b"".join(code for code, _ in pairs)
        self.converters = tuple(converter for _, converter in pairs)
        self.row_description = messages.row_description(columns, [t.length for t in types], formats)
        self.bound_described = messages.BIND_COMPLETE + self.row_description


def parameter_codes(oids: Sequence[int]) -> bytes:
    """The kernel's parameter codes; ``?`` for a type that only the general decoding knows."""
    codes = b""
    for oid in oids:
        if oid in _SIGNED:
            codes += _SIGNED[oid]
        elif oid == _OID:
            codes += b"U"
        elif oid == 16:
            codes += b"b"
        elif oid in (25, 1043, 705):
            codes += b"s"
        else:
            codes += b"?"
    return codes


def decode_text(raw: bytes) -> str:
    """UTF-8 text from the client; raises 22021."""
    zero = raw.find(b"\0")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in raw[error.start : max(error.end, error.start + 1)])
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8": {shown}') from None
    if zero >= 0:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def decode_parameters(bind: messages.Bind, oids: Sequence[int], env: TypeEnv) -> tuple[Any, ...]:
    """The typed parameters of a Bind; errors are those of the types' input and receive functions."""
    values: list[Any] = []
    for raw, fmt, oid in zip(bind.values, bind.formats, oids, strict=True):
        if fmt > 1:
            raise InvalidParameterValue(f"unsupported format code: {fmt}")
        if raw is None:
            values.append(None)
            continue
        item = type_of(oid)
        if fmt == 0:
            values.append(item.input(decode_text(raw), -1, env))
        elif item.receive is None:
            raise NotSupported(f"no binary input function available for type {item.formatted_name or item.name}")
        else:
            values.append(item.receive(raw, -1))
    return tuple(values)
