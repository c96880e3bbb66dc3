"""A session whose client uses another character set than UTF-8: what it sends and gets is converted here.

``EncodedPort`` stands before the connection and hands its messages on one by one, in UTF-8; ``EncodedOut`` takes the
place of the session's output and converts what is put in. Nobody else knows of it, and a session in UTF-8 has neither.
COPY's data pass through as they are: COPY converts them, for it has an encoding of its own.
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
from compute_node.session.results import expand_formats
from compute_node.types.charsets.charset import Charset
from compute_node.types.oids import JSONB
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.session.state import Port, SessionState

MAX_MESSAGE_BYTES = 1 << 30
_BIND, _EXECUTE, _COPY_DATA = ord("B"), ord("E"), ord("d")
_NULL = struct.pack("!i", -1)


def is_text_in_binary(kind: PgType) -> bool:
    """Whether the binary form of a type is its text, in the client's encoding."""
    return kind.send is str.encode or kind.oid == JSONB or kind.root.kind == "e"


def received_in(kind: PgType, charset: Charset) -> PgType:
    """A type whose binary form comes in the client's encoding."""
    receive = kind.receive
    if receive is None or not is_text_in_binary(kind):
        return kind
    before = int(kind.oid == JSONB)
    return replace(
        kind, receive=lambda data, typmod: receive(data[:before] + charset.decode(data[before:]).encode(), typmod)
    )


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
    """The session's output, converted as it is put in; ``binary`` says of the columns of the running Execute which are
    texts. ``extend`` takes what has been converted already."""

    __slots__ = ()

    def append(self, data: bytes) -> None:
        """Messages in UTF-8."""
        list.append(self, data if data.isascii() else self._converted(data))

    def __iadd__(self, items: Iterable[bytes]) -> EncodedOut:  # type: ignore[override,misc]
        for item in items:
            self.append(item)
        return self

    def _converted(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            piece = data[at:end]
            at = end
            parts.append(piece if piece.isascii() else self._message(piece))
        return b"".join(parts)

    def _message(self, data: bytes) -> bytes:
        kind, end = data[:1], len(data)
        if kind == b"D":
            text, skip = self.binary or (None, ())
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
        """The message at hand, or the next one that is complete; empty without one. Once the encoding has changed, only
        as long as it takes to say whether there is more: the next message is another port's."""
        if self._session.port is not self:
            return bytes(self.position + (self.port.position < len(self.port.data)))
        while self.position >= len(self._data):
            port = self.port
            try:
                found = wire_kernel.next_message(port.data, port.position, MAX_MESSAGE_BYTES)
            except ValueError:
                raise messages.malformed("invalid message length") from None
            if found is None:
                return self._data
            kind, start, end = found
            port.position = end
            try:
                payload = self._converted(kind, port.data, start, end)
            except SqlError as error:
                from compute_node.session.turn import refuse

                if self._session.skipping or refuse(self._session, kind, error):
                    continue
                return self._data
            self._data, self.position = message(bytes([kind]), payload), 0
        return self._data

    @data.setter
    def data(self, data: bytes) -> None:
        self._data = data

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
        if kind == _EXECUTE:
            reader = Reader(data, start, end)
            name = self._utf8(reader.cstring())
            self._expect(name)
            return name + b"\0" + reader.rest()
        if kind == _COPY_DATA or payload.isascii():
            return payload
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
            if value is None:
                values.append(_NULL)
                continue
            kind = self._session.type_of(types[number]) if form == 1 and number < len(types) else None
            if not value.isascii() and (form == 0 or (kind is not None and is_text_in_binary(kind))):
                before = 1 if kind is not None and kind.oid == JSONB else 0
                value = value[:before] + self._utf8(value[before:])
            values.append(struct.pack("!i", len(value)) + value)
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

    def _expect(self, portal: bytes) -> None:
        """Which columns of the rows to come are texts, where some are asked for in binary form."""
        out = self._session.out
        if not isinstance(out, EncodedOut):
            return
        out.binary = None
        found = self._session.portals.get(portal)
        columns = None if found is None or found.statement is None else found.statement.columns
        if columns is None or found is None or b"\1" not in found.formats:
            return
        formats = expand_formats(found.formats, len(columns))
        pairs = list(zip(columns, formats, strict=True))
        out.binary = (
            [form == 0 or is_text_in_binary(column.kind) for column, form in pairs],
            [int(form == 1 and column.kind.oid == JSONB) for column, form in pairs],
        )


def behind(port: Port) -> Port:
    """The connection, whatever the client's encoding."""
    return port.port if isinstance(port, EncodedPort) else port


def use(session: SessionState, charset: Charset | None) -> None:
    """From the next message on the client's is this character set; None: UTF-8."""
    if isinstance(session.port, EncodedPort):
        session.port = session.port.port
    if charset is None:
        session.out.__class__ = Output
        return
    session.port = EncodedPort(session.port, session, charset)
    session.out.__class__ = EncodedOut
    session.out.charset, session.out.binary = charset, None
