"""The server's end of a gRPC stream on a connection of its own. See ``aurora/rpc/http2.py``.

A port that serves streaming methods, one stream a connection, for any gRPC client: a second stream on the same
connection is refused, a method that is not served here is answered with UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import hpack

from aurora.rpc import http2
from aurora.rpc.http2 import GrpcPeer, frame, setting, text, u32
from aurora.rpc.secret import HEADER, REFUSAL, fits
from aurora.rpc.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, Tls

_OPENING = (
    frame(
        http2.SETTINGS,
        0,
        0,
        setting(http2.SET_STREAMS_MAX, 1)
        + setting(http2.SET_INITIAL_WINDOW_SIZE, http2.OUR_WINDOW)
        + setting(http2.SET_MAX_FRAME_SIZE, http2.OUR_FRAME_MAX),
    )
    + frame(http2.WINDOW_UPDATE, 0, 0, u32(http2.OUR_WINDOW))
)  # fmt: skip
_RESPONSE = b"\x88\x0f\x10" + text("application/grpc")  # :status 200, content-type
_TRAILERS = b"\x00" + text("grpc-status") + text("0")
_UNAUTHENTICATED = (
    _RESPONSE + b"\x00" + text("grpc-status") + text("16") + b"\x00" + text("grpc-message") + text(REFUSAL)
)
_UNIMPLEMENTED = _RESPONSE + b"\x00" + text("grpc-status") + text("12")
HEADER_BYTES_MAX = 8192


class Receiver(Protocol):
    """Who takes the messages of one stream."""

    def received(self, message: bytes) -> None:
        """One message; more of the same read may follow before ``read_done``."""

    def read_done(self) -> None:
        """All messages that came in one read have been given to ``received``."""

    def ended(self) -> None:
        """The stream is over: nothing further comes, nothing sent arrives."""


MakeReceiver = Callable[["ServedStream", str], Receiver | None]
"""Gives the receiver of a stream by the method's path (``/package.Service/Name``); None: not served here."""


def request_headers(flags: int, payload: bytes) -> dict[str, str]:
    """A request's HEADERS frame; empty when it cannot be decoded or goes on in another frame."""
    if not flags & http2.END_HEADERS:
        return {}
    start, end = 0, len(payload)
    if flags & http2.PADDED and payload:
        start, end = 1, end - payload[0]
    if flags & http2.PRIORITY:
        start += 5
    try:
        headers = hpack.Decoder(max_header_list_size=HEADER_BYTES_MAX).decode(payload[start:end])
    except hpack.HPACKError:
        return {}
    return {str(name): str(value) for name, value, *_ in headers}


class ServedStream(GrpcPeer):
    """One connection of a client, its messages given to the receiver that ``make_receiver`` returns for its method."""

    def __init__(self, make_receiver: MakeReceiver, secret: str | None = None) -> None:
        super().__init__()
        self._secret = secret
        self._stream = 0
        self._preface = http2.PREFACE
        self._make_receiver = make_receiver
        self._receiver: Receiver | None = None
        self._fresh = False
        self._finishing = False

    def _opening(self) -> bytes:
        return _OPENING

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._preface:
            n = min(len(self._preface), len(data))
            if data[:n] != self._preface[:n]:
                self._end("that is not HTTP/2")
                return
            self._preface = self._preface[n:]
            data = data[n:]
        super().data_received(data)
        self._read_done()

    def _read_done(self) -> None:
        if self._fresh and self._receiver is not None:
            self._fresh = False
            self._receiver.read_done()

    def _on_message(self, message: bytes) -> None:
        if self._receiver is not None:
            self._fresh = True
            self._receiver.received(message)

    def _on_headers(self, flags: int, stream: int) -> None:
        if not self._stream:
            self._stream = stream
            headers = request_headers(flags, self._header_block)
            if ":path" not in headers:
                self._end(f"a request without a path, HTTP/2 error {http2.PROTOCOL_ERROR}")
                return
            allowed = fits(self._secret, headers.get(HEADER))
            self._receiver = self._make_receiver(self, headers[":path"]) if allowed else None
            if self._receiver is None:
                refusal = _UNIMPLEMENTED if allowed else _UNAUTHENTICATED
                self._write(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, refusal))
                return
            self._write(frame(http2.HEADERS, http2.END_HEADERS, stream, _RESPONSE))
        elif stream != self._stream:
            self._write(frame(http2.RST_STREAM, 0, stream, u32(http2.REFUSED_STREAM)))
        if flags & http2.END_STREAM:
            self._on_end()

    def _on_end(self) -> None:
        self._read_done()
        self.finish()

    def finish(self) -> None:
        """End the stream with status OK and close the connection, when what was sent is out."""
        self._finishing = True
        self._push()

    def _push(self) -> None:
        super()._push()
        if self._finishing and not self._unsent and self._transport is not None:
            self._write(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, self._stream, _TRAILERS))
            transport, self._transport = self._transport, None
            transport.close()
            self._ended("finished")

    def _ended(self, reason: str) -> None:
        if self._receiver is not None:
            self._receiver.ended()


async def serve_streams(
    host: str, port: int, make_receiver: MakeReceiver, tls: Tls | None = None, secret: str | None = None
) -> asyncio.Server:
    """Listen on ``host:port`` (0: a free one), with TLS when there is one; OSError when that cannot be had. With a
    secret, streams that do not show it are refused.
    """
    return await asyncio.get_running_loop().create_server(
        lambda: ServedStream(make_receiver, secret),
        host or None,
        port,
        ssl=None if tls is None else tls.server_context,
        ssl_handshake_timeout=None if tls is None else HANDSHAKE_TIMEOUT_S,
        ssl_shutdown_timeout=None if tls is None else SHUTDOWN_TIMEOUT_S,
    )
