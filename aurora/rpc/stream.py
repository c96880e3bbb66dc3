"""One bidirectional gRPC stream on a connection of its own, as a plain asyncio protocol.

The append path sends some thousand small messages a second. ``grpc.aio`` spends about 0.2 ms of CPU on each message
and its answer (a batch operation, a future, a task switch and a wake-up through a pipe for each); this client, which
speaks the same gRPC over HTTP/2 (RFC 9113) to the same servers, writes a message in the caller's turn of the loop
and hands an answer over in the transport's callback. One stream a connection, never compressed, no TLS::

    frame    length u24 | type u8 | flags u8 | stream id u31 | payload          (big-endian)
    message  compressed u8 = 0 | length u32 | protobuf bytes                    (in the payload of DATA frames)

Response headers are not decoded: a stream that ends, for whatever reason, is reported by ``on_closed``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_PADDED = 8
_SET_HEADER_TABLE_SIZE, _SET_INITIAL_WINDOW_SIZE, _SET_MAX_FRAME_SIZE = 1, 4, 5
_STREAM: Final = 1
_DEFAULT_WINDOW: Final = 65_535
_OUR_WINDOW: Final = 1 << 24
_USER_TIMEOUT_MS: Final = 10_000
"""What was sent and is not acknowledged by the peer's TCP after this time ends the connection."""

_HEAD = struct.Struct(">HBBBI")  # length as u16, u8; type; flags; stream id
_U32 = struct.Struct(">I")
_SETTING = struct.Struct(">HI")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload)
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def _text(value: str) -> bytes:
    """An HPACK string literal (RFC 7541, 5.2), not Huffman coded."""
    data = value.encode("ascii")
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest = len(data) - 127
    out = bytearray((127,))
    while rest >= 128:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + data


def _request_headers(authority: str, method: str) -> bytes:
    """The header block: static table entries and literals that are never indexed, so that there is no state."""
    return (
        b"\x83\x86\x04" + _text(method)  # :method POST, :scheme http, :path
        + b"\x01" + _text(authority)
        + b"\x0f\x10" + _text("application/grpc")  # content-type
        + b"\x00" + _text("te") + _text("trailers")
    )  # fmt: skip


class GrpcStream(asyncio.Protocol):
    """The client's side of a stream. ``on_message`` gets each reply's bytes; ``on_closed`` the reason, once, when it
    ends without ``close``.
    """

    def __init__(
        self, authority: str, method: str, on_message: Callable[[bytes], None], on_closed: Callable[[str], None]
    ) -> None:
        self._authority = authority
        self._method = method
        self._on_message = on_message
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._input = bytearray()
        self._body = bytearray()
        self._unsent: deque[bytes] = deque()
        self._connection_window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._peer_initial = _DEFAULT_WINDOW
        self._frame_max = 16_384
        self._consumed = 0

    # The transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the connection and the stream."""
        self._transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        settings = _SETTING.pack(_SET_HEADER_TABLE_SIZE, 0) + _SETTING.pack(_SET_INITIAL_WINDOW_SIZE, _OUR_WINDOW)
        self._write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, _U32.pack(_OUR_WINDOW))
            + _frame(_HEADERS, _END_HEADERS, _STREAM, _request_headers(self._authority, self._method))
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end(f"connection lost: {exc}" if exc else "connection closed by the peer")

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: frames, whole or not."""
        received = self._input
        received += data
        at, total = 0, len(received)
        while total - at >= 9 and self._transport is not None:
            high, low, kind, flags, stream = _HEAD.unpack_from(received, at)
            end = at + 9 + (high << 8 | low)
            if end > total:
                break
            self._on_frame(kind, flags, stream, bytes(received[at + 9 : end]))
            at = end
        del received[:at]

    # Frames

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._on_data(flags, payload)
        elif kind == _WINDOW_UPDATE:
            by = _U32.unpack(payload)[0] & 0x7FFFFFFF
            if stream:
                self._stream_window += by
            else:
                self._connection_window += by
            self._push()
        elif kind == _PING:
            if not flags & _ACK:
                self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS:
            if not flags & _ACK:
                self._on_settings(payload)
        elif kind == _RST_STREAM:
            self._end(f"stream reset, HTTP/2 error {_U32.unpack(payload)[0]}")
        elif kind == _GOAWAY:
            self._end(f"server goes away: {payload[8:].decode(errors='replace') or 'no reason given'}")
        elif kind == _HEADERS and flags & _END_STREAM:
            self._end("stream ended by the server")

    def _on_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _SET_INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
            elif name == _SET_MAX_FRAME_SIZE:
                self._frame_max = value
        self._write(_frame(_SETTINGS, _ACK, 0, b""))
        self._push()

    def _on_data(self, flags: int, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed >= _OUR_WINDOW // 2:
            more = _U32.pack(self._consumed)
            self._write(_frame(_WINDOW_UPDATE, 0, 0, more) + _frame(_WINDOW_UPDATE, 0, _STREAM, more))
            self._consumed = 0
        if flags & _PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        body = self._body
        if body or len(payload) < 5 or len(payload) != 5 + _U32.unpack_from(payload, 1)[0]:
            body += payload
            self._take_messages()
        else:
            self._message(payload[0], payload[5:])
        if flags & _END_STREAM:
            self._end("stream ended by the server")

    def _take_messages(self) -> None:
        body = self._body
        while len(body) >= 5:
            end = 5 + _U32.unpack_from(body, 1)[0]
            if len(body) < end:
                return
            message, packed = bytes(body[5:end]), body[0]
            del body[:end]
            self._message(packed, message)

    def _message(self, packed: int, message: bytes) -> None:
        if packed:
            self._end("the server sent a compressed message")
        elif self._transport is not None:
            self._on_message(message)

    # Sending

    def send(self, message: bytes) -> None:
        """Send one message: at once as far as the peer's flow control allows, the rest when it allows more."""
        framed = b"\0" + _U32.pack(len(message)) + message
        size = len(framed)
        room = min(self._stream_window, self._connection_window, self._frame_max)
        if size <= room and not self._unsent:
            self._stream_window -= size
            self._connection_window -= size
            self._write(_HEAD.pack(size >> 8, size & 0xFF, _DATA, 0, _STREAM) + framed)
        else:
            self._unsent.append(framed)
            self._push()

    def _push(self) -> None:
        while self._unsent:
            room = min(self._stream_window, self._connection_window, self._frame_max)
            if room <= 0:
                return
            data = self._unsent.popleft()
            if len(data) > room:
                self._unsent.appendleft(data[room:])
                data = data[:room]
            self._stream_window -= len(data)
            self._connection_window -= len(data)
            self._write(_frame(_DATA, 0, _STREAM, data))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            self._on_closed(reason)

    def close(self) -> None:
        """End the stream and its connection, without a call of ``on_closed``."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


async def open_stream(
    address: str,
    method: str,
    on_message: Callable[[bytes], None],
    on_closed: Callable[[str], None],
    timeout_s: float = 2.0,
) -> GrpcStream:
    """Connect to ``host:port`` or ``unix:path`` and open ``method`` (``/package.Service/Name``).

    ConnectionError when that does not succeed in time.
    """
    loop = asyncio.get_running_loop()

    def make() -> GrpcStream:
        return GrpcStream(address, method, on_message, on_closed)

    try:
        async with asyncio.timeout(timeout_s):
            if address.startswith("unix:"):
                _, stream = await loop.create_unix_connection(make, address[5:])
            else:
                host, _, port = address.rpartition(":")
                _, stream = await loop.create_connection(make, host.strip("[]"), int(port))
    except OSError as error:  # TimeoutError is one
        raise ConnectionError(f"cannot connect to {address}: {error or 'no answer'}") from error
    return stream
