"""Composite types: rows with named columns, of CREATE TYPE … AS and of every table (manual, 8.16).

A value is a ``Record`` with a place for each column, dropped ones included (their type is None). Stored form::

    u16 columns | bitmap of those that are not NULL | then for each of these: length, bytes
    length: one byte below 0x80, else u32 big-endian with the highest bit set
    bytes: the column's value as its own type is stored in an array

A stored value may have fewer columns than its type has by now: the others are NULL. What stands in the place of a
dropped column is skipped.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

from aurora.datum import Datum, Row
from aurora.errors import (
    DataCorrupted,
    DatatypeMismatch,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    SqlError,
)
from compute_node.hub import HUB
from compute_node.types.common import WHITESPACE
from compute_node.types.record import Record, record_order, record_out, record_send
from compute_node.types.registry import FieldDesc, PgType, TypeEnv
from compute_node.types.typenames import check_sent_type

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_FIXED = {code: struct.Struct("<" + code) for code in "?hiqIfd"}
_LONG = 0x80000000
PULSE_FIELDS = 64
PULSE_RUNS = 1024

Codec = tuple[Callable[[Datum], bytes], Callable[[bytes], Datum]]


def stored_codec(item: PgType) -> Codec:
    """(encode, decode) of a value within a stored row or array."""
    if item.element_bytes is not None and item.element_value is not None:
        return item.element_bytes, item.element_value
    if item.disk in _FIXED:
        form = _FIXED[item.disk]
        return form.pack, lambda data: form.unpack(data)[0]
    if item.disk == "s":
        return str.encode, bytes.decode
    if item.disk == "c":
        return lambda value: value.encode("latin-1"), lambda data: data.decode("latin-1")
    if item.disk == "y" or item.to_disk is None or item.from_disk is None:
        return bytes, bytes
    return item.to_disk, item.from_disk


def _malformed(text: str, detail: str) -> SqlError:
    return InvalidTextRepresentation(f'malformed record literal: "{text}"', detail=detail)


_PLAIN_RUN = {False: re.compile(r'[^\\",)]+'), True: re.compile(r'[^\\"]+')}
"""Characters that mean themselves, outside and inside quotes."""


def _field_text(text: str, at: int) -> tuple[str, int]:
    """One column's text from ``at``, quotes and backslashes undone, and where it ends."""
    out: list[str] = []
    quoted = False
    while True:
        if not len(out) % PULSE_RUNS:
            HUB.pulse()
        run = _PLAIN_RUN[quoted].match(text, at)
        if run is not None:
            out.append(run[0])
            at = run.end()
        sign = text[at : at + 1]
        if not sign:
            raise _malformed(text, "Unexpected end of input.")
        if not quoted and sign in ",)":
            return "".join(out), at
        at += 1
        if sign == "\\":
            sign = text[at : at + 1]
            if not sign:
                raise _malformed(text, "Unexpected end of input.")
            out.append(sign)
            at += 1
        elif not quoted:
            quoted = True
        elif text[at : at + 1] == '"':
            out.append('"')
            at += 1
        else:
            quoted = False


def read_row(text: str, fields: Sequence[FieldDesc], env: TypeEnv) -> list[Datum]:
    """The values of ``(1,"a b",)``; 22P02 with the detail that names what is wrong."""
    at, end = 0, len(text)
    while at < end and text[at] in WHITESPACE:
        at += 1
    if text[at : at + 1] != "(":
        raise _malformed(text, "Missing left parenthesis.")
    at += 1
    values: list[Datum] = []
    later = False
    for number, field in enumerate(fields):
        if not number % PULSE_FIELDS:
            HUB.pulse()
        if field.type is None:
            values.append(None)
            continue
        if later:
            if text[at : at + 1] != ",":
                raise _malformed(text, "Too few columns.")
            at += 1
        later = True
        if text[at : at + 1] in (",", ")"):
            if field.type.check is not None:
                field.type.check(None, env)
            values.append(None)
            continue
        word, at = _field_text(text, at)
        values.append(field.type.input(word, field.typmod, env))
    if text[at : at + 1] != ")":
        raise _malformed(text, "Too many columns.")
    at += 1
    while at < end and text[at] in WHITESPACE:
        at += 1
    if at < end:
        raise _malformed(text, "Junk after right parenthesis.")
    return values


def receive_row(data: bytes, fields: Sequence[FieldDesc]) -> list[Datum]:
    """Binary input: i32 columns, then for each u32 type, i32 length or -1, bytes. 42804, 22P03."""
    if len(data) < 4:
        raise InvalidBinaryRepresentation("insufficient data left in message")
    count = int.from_bytes(data[:4], "big", signed=True)
    live = sum(field.type is not None for field in fields)
    if count != live:
        raise DatatypeMismatch(f"wrong number of columns: {count}, expected {live}")
    at = 4
    values: list[Datum] = []
    for number, field in enumerate(fields, 1):
        item = field.type
        if item is None:
            values.append(None)
            continue
        if at + 8 > len(data):
            raise InvalidBinaryRepresentation("insufficient data left in message")
        kind = _U32.unpack_from(data, at)[0]
        size = int.from_bytes(data[at + 4 : at + 8], "big", signed=True)
        at += 8
        check_sent_type(kind, item.oid, "type", f" in record column {number}")
        if size < -1 or at + max(size, 0) > len(data):
            raise InvalidBinaryRepresentation("insufficient data left in message")
        if size == -1:
            values.append(None)
            continue
        if item.receive is None:
            raise InvalidBinaryRepresentation(f"no binary input function available for type {item.name}")
        values.append(item.receive(bytes(data[at : at + size]), field.typmod))
        at += size
    if at != len(data):
        raise InvalidBinaryRepresentation("incorrect binary data format")
    return values


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 0x80 else _U32.pack(size | _LONG)


def _writer(fields: Sequence[FieldDesc]) -> Callable[[Sequence[Datum]], bytes]:
    codecs = [None if field.type is None else stored_codec(field.type)[0] for field in fields]
    count = len(codecs)

    def write(value: Sequence[Datum]) -> bytes:
        present = 0
        parts: list[bytes] = []
        for place, (encode, each) in enumerate(zip(codecs, value, strict=False)):
            if each is None or encode is None:
                continue
            present |= 1 << place
            data = encode(each)
            parts.append(_length(len(data)))
            parts.append(data)
        return b"".join((_U16.pack(count), present.to_bytes((count + 7) // 8, "little"), *parts))

    return write


def _reader(fields: Sequence[FieldDesc], types: Row) -> Callable[[bytes], Record]:
    codecs = [None if field.type is None else stored_codec(field.type)[1] for field in fields]

    def read(data: bytes) -> Record:
        (count,) = _U16.unpack_from(data)
        at = 2 + (count + 7) // 8
        present = int.from_bytes(data[2:at], "little")
        values: list[Datum] = [None] * len(codecs)
        if count > len(codecs):
            raise DataCorrupted(f"a stored row has {count} columns, its type {len(codecs)}")
        for place in range(count):
            if not present >> place & 1:
                continue
            size = data[at]
            at += 1
            if size >= 0x80:
                size = _U32.unpack_from(data, at - 1)[0] ^ _LONG
                at += 3
            decode = codecs[place]
            if decode is not None:
                values[place] = decode(bytes(data[at : at + size]))
            at += size
        return Record.of(values, types)

    return read


def _sort_key(fields: Sequence[FieldDesc]) -> Callable[[Sequence[Datum]], bytes] | None:
    """memcmp key: 01 and the key of each column, 02 for NULL. Keys of variable length end with two zero bytes, and
    zeros in them are followed by FF. None when a column has no order."""
    keys = [(place, field.type) for place, field in enumerate(fields) if field.type is not None]
    if any(item.sort_key is None for _, item in keys):
        return None

    def encode(value: Sequence[Datum]) -> bytes:
        parts: list[bytes] = []
        for place, item in keys:
            each, key = value[place], item.sort_key
            if each is None or key is None:
                parts.append(b"\x02")
            elif item.length < 0:
                parts.append(b"\x01" + key(each).replace(b"\0", b"\0\xff") + b"\0\0")
            else:
                parts.append(b"\x01" + key(each))
        return b"".join(parts)

    return encode


def _check(fields: Sequence[FieldDesc]) -> Callable[[Datum, TypeEnv], None] | None:
    checks = [(place, f.type.check) for place, f in enumerate(fields) if f.type is not None and f.type.check]
    if not checks:
        return None

    def check(value: Datum, env: TypeEnv) -> None:
        if value is not None:
            for place, each in checks:
                if each is not None:
                    each(value[place], env)

    return check


def make_composite_type(
    fields: tuple[FieldDesc, ...],
    *,
    oid: int,
    name: str,
    namespace: int,
    array: int,
    relation: int,
    of_type: int = 0,
) -> PgType:
    """The type of the rows with these columns."""
    types = tuple(field.type for field in fields)
    live = [item for item in types if item is not None]
    binary = all(item.receive is not None and item.send is not None for item in live)

    def read(text: str, typmod: int, env: TypeEnv) -> Record:
        return Record.of(read_row(text, fields, env), types)

    def receive(data: bytes, typmod: int) -> Record:
        return Record.of(receive_row(data, fields), types)

    write, load = _writer(fields), _reader(fields, types)
    return PgType(
        oid=oid,
        name=name,
        namespace=namespace,
        array=array,
        length=-1,
        by_value=False,
        category="C",
        kind="c",
        align="d",
        storage="x",
        input=read,
        output=record_out,
        receive=receive if binary else None,
        send=record_send,
        disk="x",
        to_disk=write,
        from_disk=load,
        element_bytes=write,
        element_value=load,
        sort_value=record_order,
        sort_key=_sort_key(fields),
        fields=fields,
        relation=relation,
        of_type=of_type,
        check=_check(fields),
        parts=frozenset({relation}).union(*(item.parts | {item.oid} for item in live)),
    )
