"""Result formats: columns and the formats that the client chose → RowDescription bytes and row codes for the kernel.

Also the other direction for parameters: the codes with which ``match_point`` decodes, and the general decoding that
knows every type, format and error (manual, chapter 55.2.3).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from aurora.datum import Datum, Row
from aurora.errors import (
    CharacterNotInRepertoire,
    InvalidParameterValue,
    NotSupported,
    ProtocolViolation,
    SqlError,
    UndefinedFunction,
)
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.protocol.messages import Column
from compute_node.types.common import shown_sequence
from compute_node.types.oids import JSONB
from compute_node.types.registry import PgType, TypeEnv

LONG_TEXT_BYTES = 1 << 20
_GENERAL = b"?" * 0x10000
"""codes for more parameters than a Bind can have: no message matches them, all take the general decoding"""


def text_code(item: PgType) -> tuple[bytes, Callable[..., Datum] | None]:
    """The kernel's row code and converter for a type's text form."""
    if item.wire.text:
        return item.wire.text, None
    if item.text_bytes is not None:
        return b"t", item.text_bytes
    return b"o", item.output


def binary_code(item: PgType) -> tuple[bytes, Callable[..., Datum] | None]:
    """The kernel's row code and converter for a type's binary form; raises 42883 when it has none."""
    if item.wire.binary:
        return item.wire.binary, None
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


def is_text_in_binary(kind: PgType) -> bool:
    """Whether the binary form of a type is its text, in the client's encoding."""
    return kind.send is str.encode or kind.oid == JSONB or kind.root.kind == "e"


def text_fields(kinds: Sequence[PgType], formats: Sequence[int]) -> tuple[Sequence[bool], Sequence[int]]:
    """Which columns of rows in these formats are texts, and how many bytes at the front of each are none."""
    pairs = list(zip(kinds, formats, strict=True))
    return (
        [form == 0 or is_text_in_binary(kind) for kind, form in pairs],
        [int(form == 1 and kind.oid == JSONB) for kind, form in pairs],
    )


class ResultFormat:
    """How one plan's rows go out in one choice of formats. ``texts``: see ``text_fields``; None when all are."""

    __slots__ = ("bound_described", "codes", "converters", "row_description", "texts")

    def __init__(self, columns: Sequence[Column], raw_formats: bytes) -> None:
        formats = expand_formats(raw_formats, len(columns))
        types = [column.kind for column in columns]
        pairs = [binary_code(t) if fmt else text_code(t) for t, fmt in zip(types, formats, strict=True)]
        self.codes = b"".join(code for code, _ in pairs)
        self.converters = tuple(converter for _, converter in pairs)
        self.texts = text_fields(types, formats) if 1 in formats else None
        self.row_description = messages.row_description(columns, [t.length for t in types], formats)
        self.bound_described = messages.BIND_COMPLETE + self.row_description


def parameter_codes(types: Sequence[PgType]) -> bytes:
    """The kernel's parameter codes; ``?`` for a type that only the general decoding knows. A domain wants to see NULLs
    too, which the kernel takes for any type."""
    if any(item.check is not None for item in types):
        return _GENERAL
    return b"".join(item.wire.parameter for item in types)


def _decode_pieces(raw: bytes) -> str:
    """``raw.decode()``, with others in between."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    parts = []
    try:
        for start in range(0, len(raw), LONG_TEXT_BYTES):
            HUB.pulse()
            end = start + LONG_TEXT_BYTES
            parts.append(decoder.decode(raw[start:end], end >= len(raw)))
    except UnicodeDecodeError:
        # Once more as a whole, for the error's place.
        return raw.decode()
    return "".join(parts)


def decode_text(raw: bytes) -> str:
    """UTF-8 text from the client; raises 22021."""
    zero = raw.find(b"\0")
    try:
        text = raw.decode() if len(raw) <= LONG_TEXT_BYTES else _decode_pieces(raw)
    except UnicodeDecodeError as error:
        if 0 <= zero < error.start:
            raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00') from None
        shown = shown_sequence(raw, error.start)
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8": {shown}') from None
    if zero >= 0:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def decode_parameters(bind: messages.Bind, types: Sequence[PgType], env: TypeEnv) -> Row:
    """The typed parameters of a Bind; errors are those of the types' input and receive functions."""
    values: list[Datum] = []
    try:
        for raw, fmt, item in zip(bind.values, bind.formats, types, strict=True):
            if fmt > 1:
                raise InvalidParameterValue(f"unsupported format code: {fmt}")
            if raw is None:
                if item.check is not None:
                    item.check(None, env)
                values.append(None)
                continue
            if fmt == 0:
                values.append(item.input(decode_text(raw), -1, env))
            elif item.receive is None:
                raise NotSupported(f"no binary input function available for type {item.formatted_name or item.name}")
            else:
                value = item.receive(raw, -1)
                if item.check is not None:
                    item.check(value, env)
                values.append(value)
    except SqlError as error:
        if error.where is None:
            error.where = _parameter_context(bind, len(values), not isinstance(error, CharacterNotInRepertoire))
        raise
    return tuple(values)


def _parameter_context(bind: messages.Bind, index: int, is_read: bool) -> str:
    """Which parameter an error is about. Its text is not shown: it may be a secret. ``is_read``: it was a text."""
    portal = f'portal "{bind.portal.decode()}"' if bind.portal else "unnamed portal"
    is_text = is_read and bind.values[index] is not None and bind.formats[index] == 0
    return f"{portal} parameter ${index + 1}" + (" = '...'" if is_text else "")
