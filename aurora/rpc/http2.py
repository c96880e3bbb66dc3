"""One bidirectional gRPC stream on a connection of its own, as a plain asyncio protocol: what both ends have in common.

``grpc.aio`` spends about 0.2 ms of CPU on each message and its answer (a batch operation, a future, a task switch and
a wake-up through a pipe for each). Here a message is written in the caller's turn of the loop, and one that has come is
handed over in the transport's callback. gRPC over HTTP/2 (RFC 9113), one stream a connection, never compressed, in the
clear or over the event loop's TLS (``aurora/rpc/tls.py``)::

    frame    length u24 | type u8 | flags u8 | stream id u31 | payload          (big-endian)
    message  compressed u8 = 0 | length u32 | protobuf bytes                    (in the payload of DATA frames)

``aurora/rpc/stream.py`` is the client's end, ``aurora/rpc/stream_server.py`` the server's. Of header blocks only a
request's path is decoded; a stream that ends, for whatever reason, is told as ended.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first."""
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
PADDED = 8
PRIORITY = 32
SET_HEADER_TABLE_SIZE, SET_STREAMS_MAX, SET_INITIAL_WINDOW_SIZE, SET_MAX_FRAME_SIZE = 1, 3, 4, 5
PROTOCOL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM = 1, 6, 7
DEFAULT_WINDOW: Final = 65_535
OUR_WINDOW: Final = 1 << 24
OUR_FRAME_MAX: Final = 1 << 20
MESSAGE_MAX_BYTES: Final = 64 << 20
USER_TIMEOUT_MS: Final = 10_000
"""What was sent and is not acknowledged by the peer's TCP after this time ends the connection."""
KEEPALIVE_S: Final = 30
"""A connection on which nothing comes for so long is probed, so that a peer that lost its power is noticed."""

_HEAD = struct.Struct(">HBBBI")  # length as u16, u8; type; flags; stream id
_DATA_HEAD = struct.Struct(">HBBBIBI")  # the same, and the head of the one message in the frame
_U32 = struct.Struct(">I")
_SETTING = struct.Struct(">HI")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    length = len(payload)
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def u32(value: int) -> bytes:
    """A number as WINDOW_UPDATE and RST_STREAM carry it."""
    return _U32.pack(value)


def setting(name: int, value: int) -> bytes:
    """One entry of a SETTINGS frame."""
    return _SETTING.pack(name, value)


def text(value: str) -> bytes:
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


class GrpcPeer(asyncio.Protocol):
    """Frames and messages in both directions. An end says how it opens, and what it does with messages and ends.

    ``_transport`` is None before the connection is made and after it has ended; nothing is handed over or written then.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._stream = 1
        self._input = bytearray()
        self._body = bytearray()
        self._unsent: deque[bytes] = deque()
        self._connection_window = DEFAULT_WINDOW
        self._stream_window = DEFAULT_WINDOW
        self._peer_initial = DEFAULT_WINDOW
        self._frame_max = 16_384
        self._consumed = 0
        self._header_block = b""
        """Payload of the last HEADERS frame."""

    # What an end adds

    def _opening(self) -> bytes:
        """What is sent when the connection is there."""
        raise NotImplementedError

    def _on_message(self, message: bytes) -> None:
        """A message has come, whole."""
        raise NotImplementedError

    def _on_headers(self, flags: int, stream: int) -> None:
        """A HEADERS frame has come."""
        raise NotImplementedError

    def _on_end(self) -> None:
        """The peer has sent its last message."""
        raise NotImplementedError

    def _ended(self, reason: str) -> None:
        """The connection has ended, and not by ``close``."""
        raise NotImplementedError

    # The transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up and send the opening."""
        self._transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, USER_TIMEOUT_MS // 1000)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._write(self._opening())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end(f"connection lost: {exc}" if exc else "connection closed by the peer")

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: frames, whole or not."""
        received: bytes | bytearray = data
        if self._input:
            self._input += data
            received = self._input
        at, total = 0, len(received)
        while total - at >= 9 and self._transport is not None:
            high, low, kind, flags, stream = _HEAD.unpack_from(received, at)
            length = high << 8 | low
            if length > OUR_FRAME_MAX:
                self._end(f"frame of {length} bytes, HTTP/2 error {FRAME_SIZE_ERROR}")
                return
            end = at + 9 + length
            if end > total:
                break
            self._on_frame(kind, flags, stream, bytes(received[at + 9 : end]))
            at = end
        if received is self._input:
            del self._input[:at]
        elif at < total:
            self._input += data[at:]

    # Frames

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            if stream == self._stream:
                self._on_data(flags, payload)
        elif kind == WINDOW_UPDATE:
            by = self._number(payload) & 0x7FFFFFFF
            if stream:
                self._stream_window += by
            else:
                self._connection_window += by
            self._push()
        elif kind == PING:
            if not flags & ACK:
                self._write(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS:
            if not flags & ACK:
                self._on_settings(payload)
        elif kind == HEADERS:
            self._header_block = payload
            self._on_headers(flags, stream)
        elif kind == RST_STREAM:
            if stream == self._stream:
                self._end(f"stream reset, HTTP/2 error {self._number(payload)}")
        elif kind == GOAWAY:
            self._end(f"the peer goes away: {payload[8:].decode(errors='replace') or 'no reason given'}")

    def _number(self, payload: bytes) -> int:
        if len(payload) != 4:
            self._end(f"frame with {len(payload)} bytes in place of 4, HTTP/2 error {FRAME_SIZE_ERROR}")
            return 0
        return int(_U32.unpack(payload)[0])

    def _on_settings(self, payload: bytes) -> None:
        if len(payload) % _SETTING.size:
            self._end(f"settings of {len(payload)} bytes, HTTP/2 error {FRAME_SIZE_ERROR}")
            return
        for name, value in _SETTING.iter_unpack(payload):
            if name == SET_INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
            elif name == SET_MAX_FRAME_SIZE:
                self._frame_max = min(value, OUR_FRAME_MAX)
        self._write(frame(SETTINGS, ACK, 0, b""))
        self._push()

    def _on_data(self, flags: int, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed >= OUR_WINDOW // 2:
            more = _U32.pack(self._consumed)
            self._write(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, self._stream, more))
            self._consumed = 0
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]] if payload else payload
        if not self._body and len(payload) >= 5 and len(payload) == 5 + _U32.unpack_from(payload, 1)[0]:
            self._message(payload[0], payload[5:])
        elif payload:
            self._body += payload
            self._take_messages()
        if flags & END_STREAM and self._transport is not None:
            self._on_end()

    def _take_messages(self) -> None:
        body, at = self._body, 0
        while len(body) - at >= 5 and self._transport is not None:
            length = _U32.unpack_from(body, at + 1)[0]
            if length > MESSAGE_MAX_BYTES:
                self._end(f"the peer sent a message of {length} bytes")
                return
            end = at + 5 + length
            if len(body) < end:
                break
            packed, message = body[at], bytes(body[at + 5 : end])
            at = end
            self._message(packed, message)
        del body[:at]

    def _message(self, packed: int, message: bytes) -> None:
        if packed:
            self._end("the peer sent a compressed message")
        elif self._transport is not None:
            self._on_message(message)

    # Sending

    def send(self, message: bytes) -> None:
        """Send one message: at once as far as the peer's flow control allows, the rest when it allows more."""
        length = len(message)
        size = length + 5
        if (
            size <= self._frame_max
            and size <= self._stream_window
            and size <= self._connection_window
            and not self._unsent
        ):
            self._stream_window -= size
            self._connection_window -= size
            self._write(_DATA_HEAD.pack(size >> 8, size & 0xFF, DATA, 0, self._stream, 0, length) + message)
        else:
            self._unsent.append(b"\0" + _U32.pack(length) + message)
            self._push()

    @property
    def peer(self) -> object:
        """The other end's address; None when it is gone."""
        return None if self._transport is None else self._transport.get_extra_info("peername")

    @property
    def backlog_bytes(self) -> int:
        """Bytes of messages that are not handed to the system yet: flow control, or a peer that does not read."""
        if self._transport is None:
            return 0
        unsent = sum(map(len, self._unsent)) if self._unsent else 0
        return unsent + self._transport.get_write_buffer_size()

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
            self._write(frame(DATA, 0, self._stream, data))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            self._ended(reason)

    def pause(self, much: bool) -> None:
        """Read no further while there is too ``much`` to do."""
        transport = self._transport
        if transport is not None and much == transport.is_reading():
            if much:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def close(self) -> None:
        """End the stream and its connection at once; nothing is told."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
