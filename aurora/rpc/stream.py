"""The client's end of a gRPC stream on a connection of its own. See ``aurora/rpc/http2.py``.

It speaks to any gRPC server; response headers are not decoded: a stream that ends, for whatever reason, is reported by
``on_closed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aurora.rpc import http2
from aurora.rpc.http2 import GrpcPeer, frame, setting, text, u32
from aurora.rpc.secret import HEADER, header, held
from aurora.rpc.tls import Tls, identity


def _request_headers(authority: str, method: str, secure: bool, secret: str | None) -> bytes:
    """The header block: static table entries and literals that are never indexed, so that there is no state."""
    return (
        (b"\x83\x87\x04" if secure else b"\x83\x86\x04") + text(method)  # :method POST, :scheme http(s), :path
        + b"\x01" + text(authority)
        + b"\x0f\x10" + text("application/grpc")  # content-type
        + b"\x00" + text("te") + text("trailers")
        + (b"" if secret is None else b"\x10" + text(HEADER) + text(header(secret)))  # never indexed
    )  # fmt: skip


class GrpcStream(GrpcPeer):
    """The client's side of a stream. ``on_message`` gets each reply's bytes; ``on_closed`` the reason, once, when it
    ends without ``close``.
    """

    def __init__(
        self,
        authority: str,
        method: str,
        on_message: Callable[[bytes], None],
        on_closed: Callable[[str], None],
        secure: bool = False,
        secret: str | None = None,
    ) -> None:
        super().__init__()
        self._headers = _request_headers(authority, method, secure, secret)
        self._tell_message = on_message
        self._tell_closed = on_closed

    def _opening(self) -> bytes:
        settings = (
            setting(http2.SET_HEADER_TABLE_SIZE, 0)
            + setting(http2.SET_INITIAL_WINDOW_SIZE, http2.OUR_WINDOW)
            + setting(http2.SET_MAX_FRAME_SIZE, http2.OUR_FRAME_MAX)
        )
        return (
            http2.PREFACE
            + frame(http2.SETTINGS, 0, 0, settings)
            + frame(http2.WINDOW_UPDATE, 0, 0, u32(http2.OUR_WINDOW))
            + frame(http2.HEADERS, http2.END_HEADERS, self._stream, self._headers)
        )

    def _on_message(self, message: bytes) -> None:
        self._tell_message(message)

    def _on_headers(self, flags: int, stream: int) -> None:
        if flags & http2.END_STREAM:
            self._on_end()

    def _on_end(self) -> None:
        self._end("stream ended by the server")

    def _ended(self, reason: str) -> None:
        self._tell_closed(reason)


async def open_stream(
    address: str,
    method: str,
    on_message: Callable[[bytes], None],
    on_closed: Callable[[str], None],
    timeout_s: float | None = 2.0,
    tls: Tls | None = None,
    name: str = "",
) -> GrpcStream:
    """Connect to ``host:port`` or ``unix:path`` and open ``method`` (``/package.Service/Name``). TLS and ``name`` as
    with ``open_channel``; the process's secret is shown.

    ConnectionError when that does not succeed in time.
    """
    loop = asyncio.get_running_loop()
    tls = tls or identity()
    context = tls.client_context if tls is not None else None

    def make() -> GrpcStream:
        return GrpcStream(address, method, on_message, on_closed, tls is not None, held())

    try:
        async with asyncio.timeout(timeout_s):
            if address.startswith("unix:"):
                named = (name or "localhost") if tls is not None else None  # as gRPC calls the host behind a path
                _, stream = await loop.create_unix_connection(make, address[5:], ssl=context, server_hostname=named)
            else:
                host, _, port = address.rpartition(":")
                named = name if name and tls is not None else None
                _, stream = await loop.create_connection(
                    make, host.strip("[]"), int(port), ssl=context, server_hostname=named
                )
    except OSError as error:  # TimeoutError is one
        raise ConnectionError(f"cannot connect to {address}: {error or 'no answer'}") from error
    return stream
