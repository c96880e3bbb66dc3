"""A session whose client uses another character set than UTF-8: what it sends and gets is converted here.

``EncodedPort`` stands before the connection and hands its messages on one by one, in UTF-8; ``EncodedOut`` takes the
place of the session's output and converts what is put in. Nobody else knows of it, and a session in UTF-8 has neither.
COPY's data and FunctionCall pass through as they are: COPY has an encoding of its own, and only ``fastpath`` knows the
types of a function's arguments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aurora.errors import SqlError
from aurora.kernels import wire as wire_kernel
from compute_node.protocol import messages
from compute_node.protocol.messages import Reader, message
from compute_node.session.output import Output
from compute_node.session.results import is_text_in_binary
from compute_node.types.charsets.charset import Charset
from compute_node.types.oids import JSONB
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.session.state import Port, SessionState

MAX_MESSAGE_BYTES = 1 << 30
_BIND, _EXECUTE, _COPY_DATA, _FUNCTION_CALL = ord("B"), ord("E"), ord("d"), ord("F")
_MORE = b"\0"
"""input of a port that is not read any more"""
_NULL = struct.pack("!i", -1)


def received_in(kind: PgType, charset: Charset) -> PgType:
    """A type whose binary form comes in the client's encoding."""
    receive = kind.receive
    if receive is None or not is_text_in_binary(kind):
        return kind
    before = int(kind.oid == JSONB)
    return replace(
        kind, receive=lambda data, typmod: receive(data[:before] + charset.decode(data[before:]).encode(), typmod)
    )


def received_value(value: bytes | None, form: int, kind: PgType | None, charset: Charset) -> bytes | None:
    """A parameter or argument as the client sent it, in UTF-8 where it is a text. ``kind``: its type, if it is known;
    the text form (0) needs none."""
    if value is None or value.isascii() or (form != 0 and (kind is None or not is_text_in_binary(kind))):
        return value
    before = int(form != 0 and kind is not None and kind.oid == JSONB)
    return value[:before] + charset.decode(value[before:]).encode()


def converted_fields(
    data: bytes, start: int, end: int, charset: Charset, text: Sequence[bool] | None, skip: Sequence[int] = ()
) -> bytes:
    """The body of a DataRow (a count and fields with lengths) in the client's encoding. ``text``: which fields are
    texts; None: all. ``skip``: bytes at the front of a field that are none."""
    at = start + 2
    parts = [data[start:at]]
    number = 0
    while at < end:
        length = int.from_bytes(data[at : at + 4], "big", signed=True)
        at += 4
        if length < 0:
            parts.append(_NULL)
        else:
            field = data[at : at + length]
            at += length
            if (text is None or text[number]) and not field.isascii():
                before = skip[number] if skip else 0
                field = field[:before] + charset.encode(field[before:].decode())
            parts += (struct.pack("!i", len(field)), field)
        number += 1
    return b"".join(parts)


class EncodedOut(Output):
    """The session's output, converted as it is put in. ``extend`` takes what has been converted already."""

    __slots__ = ()

    def append(self, data: bytes) -> None:
        """Messages in UTF-8."""
        list.append(self, data if data.isascii() else self._converted(data))

    def __iadd__(self, items: Iterable[bytes]) -> EncodedOut:  # type: ignore[override,misc]
        for item in items:
            self.append(item)
        return self

    def _converted(self, data: bytes) -> bytes:
        pieces = [data[at:end] for at, end in messages.places(data)]
        return b"".join([piece if piece.isascii() else self._message(piece) for piece in pieces])

    def _message(self, data: bytes) -> bytes:
        kind, end = data[:1], len(data)
        if kind == b"D":
            text, skip = self.texts or (None, ())
            return message(b"D", converted_fields(data, 5, end, self.charset, text, skip))
        if kind == b"T":
            return message(b"T", self._columns(data))
        if kind in b"EN":
            try:
                return message(kind, self._strings(data[5:]))
            except SqlError as error:
                return messages.error_response(error) if kind == b"E" else b""
        if kind == b"A":
            return message(b"A", data[5:9] + self._strings(data[9:]))
        if kind in b"SC":
            return message(kind, self._strings(data[5:]))
        return data

    def _strings(self, data: bytes) -> bytes:
        encode = self.charset.encode
        return b"\0".join([encode(part.decode()) for part in data.split(b"\0")])

    def _columns(self, data: bytes) -> bytes:
        reader = Reader(data, 5)
        count = reader.take(2)
        parts = [count]
        for _ in range(int.from_bytes(count, "big")):
            parts += (self.charset.encode(reader.cstring().decode()), b"\0", reader.take(18))
        return b"".join(parts)


class Unreadable(Exception):
    """A message whose text is none in the client's encoding. It stays the next one until it is passed over."""

    def __init__(self, port: Port, end: int, kind: int, error: SqlError) -> None:
        super().__init__(error.message)
        self._port, self._end = port, end
        self.kind, self.error = kind, error

    def pass_over(self) -> None:
        """Go on behind it."""
        self._port.position = self._end


class EncodedPort:
    """The connection as the session sees it: its input one message at a time, in UTF-8."""

    def __init__(self, port: Port, session: SessionState, charset: Charset) -> None:
        self.port, self.charset = port, charset
        self._session = session
        self._data = b""
        self.position = 0

    @property
    def eager(self) -> bool:
        """See ``Port``."""
        return self.port.eager

    @eager.setter
    def eager(self, eager: bool) -> None:
        self.port.eager = eager

    @property
    def stays(self) -> bool:
        """See ``Port``."""
        return self.port.stays

    @stays.setter
    def stays(self, stays: bool) -> None:
        self.port.stays = stays

    @property
    def local_address(self) -> tuple[str, int] | None:
        """See ``Port``."""
        return self.port.local_address

    def flush(self) -> None:
        """See ``Port``."""
        self.port.flush()

    def close(self) -> None:
        """See ``Port``."""
        self.port.close()

    def terminate(self, error: SqlError | None = None) -> None:
        """See ``Port``."""
        self.port.terminate(error)

    def deliver(self) -> None:
        """See ``Port``."""
        self.port.deliver()

    @property
    def data(self) -> bytes:
        """The message at hand, or the next one that is complete; empty without one. Raises Unreadable. Once the
        encoding has changed, it only says whether there is more: the next message is another port's."""
        if self._session.port is not self:
            return _MORE if self.port.position < len(self.port.data) else b""
        while self.position >= len(self._data):
            port = self.port
            try:
                found = wire_kernel.next_message(port.data, port.position, MAX_MESSAGE_BYTES)
            except ValueError:
                raise messages.malformed("invalid message length") from None
            if found is None:
                return self._data
            kind, start, end = found
            try:
                payload = self._converted(kind, port.data, start, end)
            except SqlError as error:
                if not self._session.skipping:
                    raise Unreadable(port, end, kind, error) from error
                port.position = end
                continue
            port.position = end
            self._data, self.position = message(bytes([kind]), payload), 0
        return self._data

    @data.setter
    def data(self, data: bytes) -> None:
        self._data = data

    def retire(self) -> Port:
        """Nothing is read here any more; gives the connection."""
        self._data, self.position = b"", 0
        return self.port

    def next_message(self) -> tuple[int, bytes]:
        """As the connection's, for COPY."""
        kind, payload = self.port.next_message()
        if kind == _COPY_DATA:
            return kind, payload
        return kind, self._converted(kind, payload, 0, len(payload))

    def _converted(self, kind: int, data: bytes, start: int, end: int) -> bytes:
        if kind == _BIND:
            return self._bind(data, start, end)
        payload = data[start:end]
        if kind in (_COPY_DATA, _FUNCTION_CALL) or payload.isascii():
            return payload
        if kind == _EXECUTE:
            reader = Reader(data, start, end)
            return self._utf8(reader.cstring()) + b"\0" + reader.rest()
        if kind in b"Qf":
            return self._utf8(payload.removesuffix(b"\0")) + b"\0"
        if kind in b"DC":
            return payload[:1] + self._utf8(payload[1:].removesuffix(b"\0")) + b"\0"
        if kind == ord("P"):
            reader = Reader(data, start, end)
            return self._utf8(reader.cstring()) + b"\0" + self._utf8(reader.cstring()) + b"\0" + reader.rest()
        return payload

    def _utf8(self, data: bytes) -> bytes:
        return data if data.isascii() else self.charset.decode(data).encode()

    def _bind(self, data: bytes, start: int, end: int) -> bytes:
        bind = messages.read_bind(data, start, end)
        name = self._utf8(bind.statement)
        prepared = self._session.statements.get(name)
        types = () if prepared is None else prepared.param_types
        values = []
        for number, (value, form) in enumerate(zip(bind.values, bind.formats, strict=True)):
            kind = self._session.type_of(types[number]) if form == 1 and number < len(types) else None
            value = received_value(value, form, kind, self.charset)
            values.append(_NULL if value is None else struct.pack("!i", len(value)) + value)
        return b"".join(
            [
                self._utf8(bind.portal) + b"\0" + name + b"\0",
                struct.pack(f"!H{len(bind.formats)}H", len(bind.formats), *bind.formats),
                struct.pack("!H", len(values)),
                *values,
                struct.pack("!H", len(bind.result_formats) // 2),
                bind.result_formats,
            ]
        )


def behind(port: Port) -> Port:
    """The connection, whatever the client's encoding."""
    return port.port if isinstance(port, EncodedPort) else port


def use(session: SessionState, charset: Charset | None) -> None:
    """From the next message on the client's is this character set; None: UTF-8."""
    if isinstance(session.port, EncodedPort):
        session.port = session.port.retire()
    if charset is None:
        session.out.__class__ = Output
        return
    session.port = EncodedPort(session.port, session, charset)
    session.out.__class__ = EncodedOut
    session.out.charset, session.out.texts = charset, None
