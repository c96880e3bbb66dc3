"""Connections to instances that sockets cannot be handed to: bytes copied both ways.

What one side sends is read only while the other side takes it, so a client that never reads costs the event loop's
buffers and no more (``HIGH_BYTES`` a direction, and one read). A side's end of sending is passed on as such; when both
have, or one breaks, both are closed. TLS passes through.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from aurora.programs.endpoints.refusal import CANCEL_BYTES, Cancel, Refusal, cancel_in

HIGH_BYTES: Final = 64 << 10
CONNECT_TIMEOUT_S: Final = 5.0
REFUSE_TIMEOUT_S: Final = 5.0


class Side(asyncio.Protocol):
    """One of a connection's two sides."""

    def __init__(self, on_lost: Callable[[], None], on_start: Callable[[bytes], None] | None = None) -> None:
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._on_start = on_start
        self._start = b""
        self._early = b""
        """what came before there was another side"""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._on_start is not None:
            self._start += data[: CANCEL_BYTES - len(self._start)]
            if len(self._start) >= CANCEL_BYTES:
                self._on_start(self._start)
                self._on_start = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        elif self.transport is not None:
            self._early += data
            self.transport.pause_reading()

    def join(self, other: Side) -> None:
        """From now on the other side takes what comes."""
        self.other = other
        if self._early and self.transport is not None and other.transport is not None:
            other.transport.write(self._early)
            self._early = b""
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """See ``asyncio.Protocol``."""
        self._ended = True
        other = self.other
        if other is None or other.transport is None or other._ended:
            return False
        if other.transport.can_write_eof():
            other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self.transport = None
        other, self.other = self.other, None
        if other is not None and other.transport is not None:
            if exc is None:
                other.transport.close()
            else:
                other.transport.abort()
        self._on_lost()

    def abort(self) -> None:
        """Close both sides at once."""
        for side in (self, self.other):
            if side is not None and side.transport is not None:
                side.transport.abort()


class Pair:
    """One forwarded connection. ``on_cancel`` is told of a cancel request in clear text."""

    def __init__(self, client: Side, server: Side) -> None:
        self._sides = (client, server)

    def abort(self) -> None:
        """Close it at once."""
        for side in self._sides:
            side.abort()


async def forward(
    client: socket.socket,
    address: tuple[str, int],
    on_gone: Callable[[], None],
    on_cancel: Callable[[Cancel], None],
) -> Pair:
    """Connect the client to an instance. OSError when that cannot be reached: nothing of the client was read then, and
    the socket is the caller's still. ``on_gone`` is called once, when both sides are closed."""
    loop = asyncio.get_running_loop()
    open_sides = 2

    def lost() -> None:
        nonlocal open_sides
        open_sides -= 1
        if not open_sides:
            on_gone()

    def started(data: bytes) -> None:
        cancel = cancel_in(data)
        if cancel is not None:
            on_cancel(cancel)

    connecting = loop.create_connection(lambda: Side(lost), *address)
    transport, server = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
    side = Side(lost, started)
    try:
        await loop.connect_accepted_socket(lambda: side, client)
    except OSError:
        lost()
        transport.close()
        client.close()
        return Pair(side, server)
    if server.transport is None:  # the instance has closed it meanwhile
        side.abort()
        return Pair(side, server)
    side.join(server)
    server.join(side)
    return Pair(side, server)


class Refusing(asyncio.Protocol):
    """Tells a client that nobody can take it."""

    def __init__(self, detail: str, on_gone: Callable[[], None]) -> None:
        self._refusal = Refusal(detail)
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(REFUSE_TIMEOUT_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._transport is None or self._transport.is_closing():
            return
        answer = self._refusal.feed(data)
        if answer.data:
            self._transport.write(answer.data)
        if answer.close:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        if self._timer is not None:
            self._timer.cancel()
        self._on_gone()
