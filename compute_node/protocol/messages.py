"""Protocol 3 messages: values → bytes for the client, payload bytes → values from it.

Source: PostgreSQL manual, chapter 55 (Frontend/Backend Protocol). Every function is pure. A reader that finds a payload
malformed raises ``ProtocolViolation`` (08P01); the connection ends on it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from aurora.errors import ProtocolViolation, SqlError
from compute_node.types.registry import PgType

PROTOCOL_3 = 196608
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
PARSE_COMPLETE = b"1\0\0\0\x04"
BIND_COMPLETE = b"2\0\0\0\x04"
CLOSE_COMPLETE = b"3\0\0\0\x04"
NO_DATA = b"n\0\0\0\x04"
EMPTY_QUERY = b"I\0\0\0\x04"
PORTAL_SUSPENDED = b"s\0\0\0\x04"
COPY_DONE = b"c\0\0\0\x04"
READY_IDLE = b"Z\0\0\0\x05I"
READY_IN_BLOCK = b"Z\0\0\0\x05T"
READY_FAILED = b"Z\0\0\0\x05E"

BIND_COMPLETE_NO_DATA = BIND_COMPLETE + NO_DATA

NOTICE_LEVELS = ("DEBUG5", "DEBUG4", "DEBUG3", "DEBUG2", "DEBUG1", "LOG", "NOTICE", "WARNING", "ERROR")
"""Severities from least to most, in the order of client_min_messages."""


class Column(NamedTuple):
    """One column of a result: what RowDescription says of it."""

    name: str
    kind: PgType
    typmod: int = -1
    table_oid: int = 0
    attnum: int = 0

    @property
    def type_oid(self) -> int:
        """The OID that the client sees."""
        return self.kind.oid


def message(kind: bytes, payload: bytes) -> bytes:
    """A message with its length word."""
    return kind + struct.pack("!i", len(payload) + 4) + payload


def places(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each of several whole messages begins and ends."""
    at, size = 0, len(data)
    while at < size:
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        yield at, end
        at = end


def authentication(code: int, payload: bytes = b"") -> bytes:
    """An authentication request (10 SASL, 11 SASL continue, 12 SASL final)."""
    return message(b"R", struct.pack("!i", code) + payload)


def parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def notification(pid: int, channel: str, payload: str) -> bytes:
    """NotificationResponse."""
    return message(b"A", struct.pack("!i", pid) + channel.encode() + b"\0" + payload.encode() + b"\0")


def backend_key(pid: int, secret: int) -> bytes:
    """BackendKeyData."""
    return message(b"K", struct.pack("!iI", pid, secret))


def negotiate_version(unsupported: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: 3.0 it is, and these options are not known."""
    payload = struct.pack("!ii", 0, len(unsupported)) + b"".join(name.encode() + b"\0" for name in unsupported)
    return message(b"v", payload)


def row_description(columns: Sequence[Column], type_lengths: Sequence[int], formats: Sequence[int]) -> bytes:
    """RowDescription; ``type_lengths`` are pg_type.typlen, ``formats`` 0 text or 1 binary, each one a column."""
    parts = [struct.pack("!H", len(columns))]
    for column, length, fmt in zip(columns, type_lengths, formats, strict=True):
        parts.append(column.name.encode() + b"\0")
        parts.append(
            struct.pack("!IhIhih", column.table_oid, column.attnum, column.type_oid, length, column.typmod, fmt)
        )
    return message(b"T", b"".join(parts))


def parameter_description(oids: Sequence[int]) -> bytes:
    """ParameterDescription."""
    return message(b"t", struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def copy_response(kind: bytes, columns: int, binary: bool) -> bytes:
    """CopyInResponse (``G``) or CopyOutResponse (``H``)."""
    fmt = int(binary)
    return message(kind, struct.pack(f"!bH{columns}H", fmt, columns, *([fmt] * columns)))


def _make_completions() -> dict[str, tuple[bytes, ...]]:
    table: dict[str, tuple[bytes, ...]] = {}
    for tag in ("SELECT", "INSERT", "UPDATE", "DELETE", "FETCH"):
        text = "INSERT 0" if tag == "INSERT" else tag
        table[tag] = tuple(message(b"C", f"{text} {count}\0".encode()) for count in range(128))
    return table


_COMPLETIONS = _make_completions()


def command_complete(tag: str, count: int) -> bytes:
    """CommandComplete of a statement whose tag carries a row count."""
    ready = _COMPLETIONS.get(tag)
    if ready is not None and count < 128:
        return ready[count]
    return command_tag(completion_text(tag, count))


def completions(tag: str) -> Sequence[bytes]:
    """``command_complete`` of the first counts, from 0 on; empty for a tag of which they are not ready."""
    return _COMPLETIONS.get(tag, ())


def completion_text(tag: str, count: int) -> str:
    """A command tag with its row count; INSERT's has an OID before it, which is always 0."""
    return f"{'INSERT 0' if tag == 'INSERT' else tag} {count}"


def command_tag(tag: str) -> bytes:
    """CommandComplete of a tag as it is."""
    return message(b"C", tag.encode() + b"\0")


def _origin(error: SqlError) -> str:
    """Fields F, L and R: the file, line and routine that raised it. Some drivers tell errors apart by R."""
    trace = error.__traceback__
    if trace is None:
        return "" if error.routine is None else f"R{error.routine}\0"
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"F{PurePath(code.co_filename).name}\0L{trace.tb_lineno}\0R{error.routine or code.co_name}\0"


def _fields(error: SqlError, severity: str) -> bytes:
    parts = [f"S{severity}\0V{severity}\0C{error.sqlstate}\0M{error.message}\0"]
    for code, value in (
        ("D", error.detail),
        ("H", error.hint),
        ("P", error.position),
        ("p", error.internal_position),
        ("q", error.internal_query),
        ("W", error.where),
        ("s", error.schema),
        ("t", error.table),
        ("c", error.column),
        ("d", error.data_type),
        ("n", error.constraint),
    ):
        if value is not None:
            parts.append(f"{code}{value}\0")
    parts.append(_origin(error))
    # A message may quote the client's bytes; what is not valid UTF-8 there must not break the message that says so.
    return "".join(parts).encode("utf-8", "backslashreplace") + b"\0"


def error_response(error: SqlError) -> bytes:
    """ErrorResponse with every field that the error has."""
    return message(b"E", _fields(error, error.severity))


def notice_response(notice: SqlError, severity: str = "NOTICE") -> bytes:
    """NoticeResponse; the SqlError carries code, text and fields, and is not raised."""
    return message(b"N", _fields(notice, severity))


def malformed(what: str = "invalid message format") -> SqlError:
    """The error of a message that breaks the protocol; it ends the connection."""
    return ProtocolViolation(what, severity="FATAL")


class Reader:
    """Takes values off the front of one message's payload; raises ``ProtocolViolation`` beyond its end."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count < 0 or self._at + count > self._end:
            raise malformed("insufficient data left in message")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def byte(self) -> int:
        """An unsigned byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """An unsigned 16-bit number."""
        return int.from_bytes(self.take(2), "big")

    def i32(self) -> int:
        """A signed 32-bit number."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def cstring(self) -> bytes:
        """Bytes up to a zero byte, which is skipped."""
        close = self._data.find(b"\0", self._at, self._end)
        if close < 0:
            raise malformed("invalid string in message")
        piece = self._data[self._at : close]
        self._at = close + 1
        return piece

    def rest(self) -> bytes:
        """Everything left."""
        return self.take(self._end - self._at)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at != self._end:
            raise malformed()


class Bind(NamedTuple):
    """A Bind message. ``values`` are the raw parameters (None is NULL); formats are 0 text, 1 binary."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_formats: bytes
    """the raw 16-bit codes"""


def read_parse(buffer: bytes, start: int, end: int) -> tuple[bytes, bytes, tuple[int, ...]]:
    """Parse → (statement name, query, parameter type OIDs)."""
    reader = Reader(buffer, start, end)
    name, query = reader.cstring(), reader.cstring()
    oids = tuple(reader.i32() & 0xFFFFFFFF for _ in range(reader.u16()))
    reader.end()
    return name, query, oids


def read_bind(buffer: bytes, start: int, end: int) -> Bind:
    """Bind, checked for its form only."""
    reader = Reader(buffer, start, end)
    portal, statement = reader.cstring(), reader.cstring()
    formats = tuple(reader.u16() for _ in range(reader.u16()))
    count = reader.u16()
    if len(formats) > 1 and len(formats) != count:
        raise ProtocolViolation(f"bind message has {len(formats)} parameter formats but {count} parameters")
    values: list[bytes | None] = []
    for _ in range(count):
        length = reader.i32()
        values.append(None if length == -1 else reader.take(length))
    result_formats = reader.take(2 * reader.u16())
    reader.end()
    if not formats:
        formats = (0,) * count
    elif len(formats) == 1:
        formats = formats * count
    return Bind(portal, statement, formats, tuple(values), result_formats)


class FunctionCall(NamedTuple):
    """A FunctionCall message: the function's OID, its raw arguments (None is NULL) with their formats (0 text, 1
    binary), and the result's raw format code."""

    function: int
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_format: bytes


def read_function_call(buffer: bytes, start: int, end: int) -> FunctionCall:
    """FunctionCall, checked for its form only."""
    reader = Reader(buffer, start, end)
    function = reader.i32() & 0xFFFFFFFF
    formats = tuple(reader.u16() for _ in range(reader.u16()))
    count = reader.u16()
    if len(formats) > 1 and len(formats) != count:
        raise ProtocolViolation(f"function call message contains {len(formats)} argument formats but {count} arguments")
    values: list[bytes | None] = []
    for _ in range(count):
        length = reader.i32()
        if length < -1:
            raise ProtocolViolation(f"invalid argument size {length} in function call message")
        values.append(None if length == -1 else reader.take(length))
    result_format = reader.take(2)
    reader.end()
    return FunctionCall(
        function, formats * count if len(formats) == 1 else formats or (0,) * count, tuple(values), result_format
    )


def read_target(buffer: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Describe or Close → (``S`` or ``P``, name)."""
    reader = Reader(buffer, start, end)
    kind, name = reader.byte(), reader.cstring()
    reader.end()
    return kind, name


def read_execute(buffer: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Execute → (portal, row limit; 0 is none)."""
    reader = Reader(buffer, start, end)
    name, limit = reader.cstring(), reader.i32()
    reader.end()
    return name, max(limit, 0)


def read_string(buffer: bytes, start: int, end: int) -> bytes:
    """The one string of a Query, CopyFail or PasswordMessage."""
    reader = Reader(buffer, start, end)
    text = reader.cstring()
    reader.end()
    return text
