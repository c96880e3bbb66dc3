"""A name server for a cluster's names, over UDP and TCP; what it answers is ``names``'s to say."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

from aurora.programs.endpoints.names import Names

LOGGER = logging.getLogger(__name__)

TCP_CONNECTIONS_MAX: Final = 64
TCP_TIMEOUT_S: Final = 5.0
TCP_BYTES_MAX: Final = 65_535


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._names.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


class NameServer:
    """Answers on one address until ``close``."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.address = ("", 0)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve, host, port)
        self.address = self._tcp.sockets[0].getsockname()[:2]
        try:
            made, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.names), local_addr=self.address)
        except OSError:
            self.close()
            raise
        self._udp = made

    def close(self) -> None:
        """Answer no more."""
        if self._tcp is not None:
            self._tcp.close()
        if self._udp is not None:
            self._udp.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: queries one after another, each with its length before it (RFC 1035, 4.2.2)."""
        try:
            if self._connections < TCP_CONNECTIONS_MAX:
                self._connections += 1
                try:
                    await self._answer_all(reader, writer)
                finally:
                    self._connections -= 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            LOGGER.debug("a client has gone: %s", error)
        finally:
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(TCP_TIMEOUT_S):
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.names.answer(await reader.readexactly(length), TCP_BYTES_MAX)
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
