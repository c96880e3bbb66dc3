"""Channels and server options for the storage contract: one place for sizes, keepalive, addresses and TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import grpc.aio

from aurora.rpc import storage_pb2_grpc
from aurora.rpc.secret import SecretStub, held
from aurora.rpc.tls import Tls, identity

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from aurora.rpc.storage_pb2_grpc import StorageStub


MESSAGE_MAX_BYTES: Final = 64 << 20
CHUNK_BYTES: Final = 1 << 20
"""Size that streamed answers (log, page baselines) aim at a message."""

OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
"""Options of every channel and server: a dead peer is noticed in seconds, a returned one is reached within one."""


class Access(NamedTuple):
    """What a client outside the cluster's processes shows its nodes."""

    tls: Tls | None = None
    secret: str | None = None


NO_ACCESS: Final = Access()


def open_channel(address: str, tls: Tls | None = None, name: str = "") -> grpc.aio.Channel:
    """A channel to a node at ``host:port`` (or ``unix:path``). Belongs to the running event loop; connects when first
    used. TLS with ``tls``, else with the process's identity (``tls.use``); without both in the clear. The server's
    certificate names its host, or ``name``.
    """
    tls = tls or identity()
    if tls is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    return grpc.aio.secure_channel(address, tls.channel_credentials(), options=_options(name))


def _options(name: str) -> list[tuple[str, int | str]]:
    return [*OPTIONS, ("grpc.ssl_target_name_override", name)] if name else OPTIONS


def open_blocking_channel(address: str, tls: Tls | None = None, name: str = "") -> grpc.Channel:
    """The same for code without an event loop."""
    tls = tls or identity()
    if tls is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    return grpc.secure_channel(address, tls.channel_credentials(), options=_options(name))


def listen(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    """Have the server listen; the port taken. OSError when the address cannot be bound."""
    try:
        if tls is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, tls.server_credentials()))
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: {error}") from error


def storage_stub(channel: grpc.aio.Channel | grpc.Channel, secret: str | None = None) -> StorageStub:
    """The typed calls of one node: ``stub.ReadPages(request, timeout=s)`` and so on. They show the secret, else the
    process's (``secret.use``), if there is one.
    """
    secret = secret or held()
    stub = storage_pb2_grpc.StorageStub(channel)  # type: ignore[no-untyped-call]
    return stub if secret is None else SecretStub(stub, secret)


class GrpcNet:
    """The real ``Net`` seam: calls by method name over one cached channel an address."""

    def __init__(self, tls: Tls | None = None, secret: str | None = None) -> None:
        self._tls = tls
        self._secret = secret
        self._stubs: dict[str, tuple[grpc.aio.Channel, Any]] = {}

    def _stub(self, address: str) -> StorageStub:
        if address not in self._stubs:
            channel = open_channel(address, self._tls)
            self._stubs[address] = (channel, storage_stub(channel, self._secret))
        return self._stubs[address][1]

    async def unary(self, address: str, method: str, request: Message, timeout_s: float) -> Message:
        """One request, one reply; ConnectionError when the peer does not answer or refuses."""
        try:
            return await getattr(self._stub(address), method)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{method} to {address}: {error.code().name} {error.details()}") from error

    async def stream(self, address: str, method: str, request: Message, timeout_s: float) -> AsyncIterator[Message]:
        """One request, a stream of replies; ConnectionError as in ``unary``."""
        try:
            async for reply in getattr(self._stub(address), method)(request, timeout=timeout_s):
                yield reply
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{method} to {address}: {error.code().name} {error.details()}") from error

    async def close(self) -> None:
        """Close every channel."""
        stubs, self._stubs = self._stubs, {}
        for channel, _ in stubs.values():
            await channel.close()
