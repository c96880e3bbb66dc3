"""Wire codecs: frontend messages out of a buffer, rows into DataRow messages (PostgreSQL manual, chapter 55.7).

``match_point`` recognises the packet that drivers send for a prepared statement (Bind, perhaps Describe, Execute,
Sync on the unnamed portal) and decodes its parameters in one go. It is strict: whatever it is not sure about, it
declines with None, and the general code, which knows every case and every error, reads the same bytes again.

Row codes, one byte a column: ``i`` int as text, ``s`` str, ``b`` bool as text, ``y`` bytes as they are, ``2 4 8``
signed binary integer, ``U`` unsigned 4-byte binary, ``B`` binary bool, ``f d`` binary float, ``t`` converter(value) →
bytes, ``o`` converter(value, env) → str. Parameter codes: ``2 4 8`` signed integer of that many bytes, ``U`` unsigned
4 bytes, ``s`` str, ``b`` bool; anything else makes ``match_point`` decline.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from aurora.datum import Datum, Row
from aurora.errors import ProgramLimitExceeded, SqlError

_INT_BYTES = {50: 2, 52: 4, 56: 8, 85: 4}


def next_message(buffer: bytes, position: int, limit: int) -> tuple[int, int, int] | None:
    """``(type byte, payload start, payload end)`` of the message at ``position``, None when it is not all there.

    Raises ValueError when its length field is below 4 or above ``limit``.
    """
    if len(buffer) - position < 5:
        return None
    length = int.from_bytes(buffer[position + 1 : position + 5], "big", signed=True)
    if length < 4 or length > limit:
        raise ValueError(length)
    end = position + 1 + length
    if end > len(buffer):
        return None
    return buffer[position], position + 5, end


def join_copy_data(buffer: bytes, position: int) -> tuple[bytes, int]:
    """The payloads of the complete CopyData messages that stand at ``position`` one after another, joined, and the
    position behind them. Clients send a message a row; rows are parsed faster many at a time."""
    parts = []
    size = len(buffer)
    while size - position >= 5 and buffer[position] == 100:
        length = int.from_bytes(buffer[position + 1 : position + 5], "big", signed=True)
        end = position + 1 + length
        if length < 4 or end > size:
            break
        parts.append(buffer[position + 5 : end])
        position = end
    return b"".join(parts), position


def _integer_text(raw: bytes, code: int) -> int | None:
    digits = raw[1:] if raw[:1] == b"-" else raw
    if not digits.isdigit() or len(digits) > 18:
        return None
    value = int(raw)
    if code == 85:
        return value if 0 <= value < 1 << 32 else None
    bits = 8 * _INT_BYTES[code] - 1
    return value if -(1 << bits) <= value < 1 << bits else None


def _parameter(raw: bytes, code: int, binary: int) -> Datum:
    """The value, or None when it is for the general code to decode (a NULL never comes here)."""
    if code in _INT_BYTES:
        if not binary:
            return _integer_text(raw, code)
        if len(raw) != _INT_BYTES[code]:
            return None
        return int.from_bytes(raw, "big", signed=code != 85)
    if code == 115:
        if b"\0" in raw:
            return None
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return None
    if code == 98:
        if binary:
            return {b"\0": False, b"\1": True}.get(raw)
        return {b"t": True, b"f": False, b"true": True, b"false": False}.get(raw)
    return None


class _HasCodes(Protocol):
    """What a statement tells of its parameters: the code of each, in order."""

    @property
    def codes(self) -> bytes: ...


_Prepared = TypeVar("_Prepared", bound=_HasCodes)


def match_point(
    buffer: bytes, position: int, statements: Mapping[bytes, _Prepared]
) -> tuple[_Prepared, Row, bytes, bool, int] | None:
    """Match Bind (unnamed portal), optional Describe portal, Execute without row limit, Sync at ``position``.

    Returns ``(statement, parameters, result formats, described, position after it)``: ``statement`` is the value of
    ``statements`` under the statement's name and has an attribute ``codes``; the result formats are the raw 16-bit
    codes of Bind. None when the bytes are anything else.
    """
    size = len(buffer)
    if size - position < 7 or buffer[position] != 66:
        return None
    end = position + 1 + int.from_bytes(buffer[position + 1 : position + 5], "big")
    tail = end
    if tail + 15 <= size and buffer[tail : tail + 7] == b"D\0\0\0\x06P\0":
        tail += 7
        described = True
    else:
        described = False
    if tail + 15 > size or buffer[tail : tail + 15] != b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04" or buffer[position + 5]:
        return None
    name_end = buffer.find(b"\0", position + 6, end)
    if name_end < 0:
        return None
    statement = statements.get(buffer[position + 6 : name_end])
    if statement is None:
        return None
    codes: bytes = statement.codes
    at = name_end + 1
    if at + 2 > end:
        return None
    (format_count,) = struct.unpack_from("!H", buffer, at)
    formats_at = at + 2
    at = formats_at + 2 * format_count
    if at + 2 > end or (format_count > 1 and format_count != len(codes)):
        return None
    (count,) = struct.unpack_from("!H", buffer, at)
    at += 2
    if count != len(codes):
        return None
    values: list[Datum] = []
    for index in range(count):
        if at + 4 > end:
            return None
        (length,) = struct.unpack_from("!i", buffer, at)
        at += 4
        if length == -1:
            values.append(None)
            continue
        if length < 0 or at + length > end:
            return None
        binary = 0
        if format_count:
            (binary,) = struct.unpack_from("!H", buffer, formats_at + (2 * index if format_count > 1 else 0))
            if binary > 1:
                return None
        value = _parameter(buffer[at : at + length], codes[index], binary)
        if value is None:
            return None
        values.append(value)
        at += length
    if at + 2 > end:
        return None
    (result_count,) = struct.unpack_from("!H", buffer, at)
    at += 2
    if at + 2 * result_count != end:
        return None
    return statement, tuple(values), buffer[at:end], described, tail + 15


def _encode_value(value: Datum, code: int, converter: Callable[..., Datum] | None, env: object) -> bytes:
    if code == 105:
        return b"%d" % value
    if code == 115:
        return value.encode()  # type: ignore[no-any-return]
    if code == 98:
        return b"t" if value else b"f"
    if code == 121:
        return bytes(value)
    if code in (50, 52, 56):
        return int(value).to_bytes(code - 48, "big", signed=True)
    if code == 85:
        return int(value).to_bytes(4, "big")
    if code == 66:
        return b"\1" if value else b"\0"
    if code == 100:
        return struct.pack("!d", value)
    if code == 102:
        return struct.pack("!f", value)
    if code == 116 and converter is not None:
        return converter(value)  # type: ignore[no-any-return]
    if code == 111 and converter is not None:
        return converter(value, env).encode()  # type: ignore[no-any-return]
    raise ValueError(f"row code {code}")


def message_too_large(size: int, more: int) -> SqlError:
    """54000: what would be sent is larger than any message may be."""
    return ProgramLimitExceeded(
        "out of memory", detail=f"Cannot enlarge string buffer containing {size} bytes by {more} more bytes."
    )


def encode_rows(
    rows: Iterable[Row],
    codes: bytes,
    converters: tuple[Callable[..., Datum] | None, ...],
    env: object,
    limit: int = 0x3FFFFFFF,
) -> bytes:
    """One DataRow message a row, concatenated. ``rows`` is a list; ``converters`` has one entry a column (None unless
    its code is ``t`` or ``o``). Raises ValueError when a row's width is not that of ``codes``; 54000 for a message of
    more than ``limit`` bytes, 1 GB as in PostgreSQL."""
    out = bytearray()
    width = len(codes)
    for row in rows:
        if len(row) != width:
            raise ValueError(f"row of {len(row)} columns where {width} were announced")
        body = bytearray(struct.pack("!H", width))
        for index in range(width):
            value = row[index]
            if value is None:
                body += b"\xff\xff\xff\xff"
            else:
                data = _encode_value(value, codes[index], converters[index], env)
                if len(body) + 5 + len(data) + 4 > limit:
                    raise message_too_large(len(body) + 5, len(data) + 4)
                body += struct.pack("!i", len(data))
                body += data
        out += b"D"
        out += struct.pack("!i", len(body) + 4)
        out += body
    return bytes(out)


_COPY_LETTERS = {8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 92: b"\\\\"}


def _copy_value(
    value: Datum, code: int, converter: Callable[..., Datum] | None, env: object, letters: dict[int, bytes]
) -> bytes:
    if code not in b"isbto":
        raise ValueError(f"row code {code}")
    data = _encode_value(value, code, converter, env)
    if code in b"ib":
        return data
    return b"".join(letters.get(byte) or bytes((byte,)) for byte in data)


def encode_copy(
    rows: Iterable[Row],
    codes: bytes,
    converters: tuple[Callable[..., Datum] | None, ...],
    env: object,
    delimiter: int,
    null: bytes,
    limit: int = 0x3FFFFFFF,
    framed: bool = True,
) -> bytes:
    """One CopyData message a row, each a line of COPY's text format, concatenated; the lines alone if not ``framed``.
    Codes: the text ones of ``encode_rows``."""
    letters = {delimiter: b"\\" + bytes((delimiter,))} | _COPY_LETTERS
    out = bytearray()
    width = len(codes)
    for row in rows:
        if len(row) != width:
            raise ValueError(f"row of {len(row)} columns where {width} were announced")
        body = bytearray()
        for index, value in enumerate(row):
            data = null if value is None else _copy_value(value, codes[index], converters[index], env, letters)
            body += bytes((delimiter,)) if index else b""
            size = len(body) + (5 if framed else 0)
            if size + len(data) > limit:
                raise message_too_large(size, len(data))
            body += data
        body += b"\n"
        out += b"d" + struct.pack("!i", len(body) + 4) if framed else b""
        out += body
    return bytes(out)


_COPY_BYTES = {letter[1]: code for code, letter in _COPY_LETTERS.items()}
_NOT_ESCAPED = frozenset(b"\n.x01234567")


def _copy_fields(line: bytes, delimiter: int, null: bytes, escapes: bool) -> list[bytes | None] | None:
    """The fields of one line, their backslashes undone; None where one stands before what ``split_copy`` declines."""
    fields: list[bytes | None] = []
    raw, field = bytearray(), bytearray()
    at = 0
    while at <= len(line):
        byte = line[at] if at < len(line) else delimiter
        at += 1
        if byte == 92 and escapes:
            if at == len(line) or line[at] in _NOT_ESCAPED:
                return None
            raw += bytes((byte, line[at]))
            field.append(_COPY_BYTES.get(line[at], line[at]))
            at += 1
        elif byte == delimiter:
            fields.append(None if raw == null else bytes(field))
            raw, field = bytearray(), bytearray()
        else:
            raw.append(byte)
            field.append(byte)
    return fields


def split_copy(
    data: bytes, codes: bytes, delimiter: int, null: bytes, special: bytes, escapes: bool
) -> list[list[int | str | None]] | None:
    """Whole lines of COPY's text format (``escapes``: a backslash means something), or of CSV without quotes → their
    values by column. Codes: ``2 4 8`` integers of so many bytes, anything else text. None to decline: where a byte of
    ``special``, NUL or CR is in it, a backslash before a newline, a dot, an ``x`` or an octal digit, a line has another
    number of fields, an integer is not plain digits in range, or text is not UTF-8."""
    width = len(codes)
    if not width or data[-1:] != b"\n" or any(byte in data for byte in b"\0\r" + special):
        return None
    columns: list[list[int | str | None]] = [[] for _ in codes]
    for line in data[:-1].split(b"\n"):
        fields = _copy_fields(line, delimiter, null, escapes)
        if fields is None or len(fields) != width:
            return None
        for values, code, field in zip(columns, codes, fields, strict=True):
            if field is None:
                values.append(None)
                continue
            try:
                value = _parameter(field, code, 0) if code in b"248" else field.decode()
            except UnicodeDecodeError:
                return None
            if value is None:
                return None
            values.append(value)
    return columns
