"""What an instance answers to the others: ``aurora.compute.v1.Instance`` (``protos/compute.proto``).

Unary calls on the feed port, by any gRPC client; ``Follow`` and ``Forward`` on a port of their own, one stream a
connection, which costs the writer little (``docs/decisions/append-stream-server.md``). ``Describe`` tells that port.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from aurora.rpc import compute_pb2 as cpb
from aurora.rpc import compute_pb2_grpc
from aurora.rpc.channels import OPTIONS, listen
from aurora.rpc.secret import SecretCheck
from aurora.rpc.stream_server import Receiver, ServedStream, serve_streams
from aurora.rpc.tls import Tls

FOLLOW = "/aurora.compute.v1.Instance/Follow"
FORWARD = "/aurora.compute.v1.Instance/Forward"
CALLS_MAX = 64
FOLLOWERS_MAX = 15
"""Readers of a cluster, as Aurora has it."""
GRACE_S = 0.2

LOGGER = logging.getLogger(__name__)


class InstanceCalls(Protocol):
    """What the instance does when it is asked."""

    promote: Callable[[str], Awaitable[cpb.PromoteReply]]
    """Become the writer; the argument is why."""
    step_down: Callable[[str], Awaitable[cpb.StepDownReply]]
    """Stop writing; the argument is who will."""
    cancel: Callable[[int, int], bool]
    """A cancel request (pid, secret) that has come to another instance; whether it fits a session here."""

    use_database: Callable[[int], Awaitable[cpb.UseDatabaseReply]]
    """Have a database's catalogs written; the argument is its OID."""

    def forget(self, instance_id: str) -> None:
        """An instance is none of the cluster any more."""

    def topology(self) -> cpb.Topology:
        """What it is and whom it knows."""

    def follow(self, stream: ServedStream) -> Receiver:
        """A reader wants to follow."""

    def forward(self, stream: ServedStream) -> Receiver | None:
        """A session of a reader wants to write; None: not here."""


class _Service(compute_pb2_grpc.InstanceServicer):
    def __init__(self, calls: InstanceCalls) -> None:
        self._calls = calls

    async def Describe(self, request: cpb.DescribeRequest, context: Any) -> cpb.Topology:
        return self._calls.topology()

    async def Promote(self, request: cpb.PromoteRequest, context: Any) -> cpb.PromoteReply:
        return await self._calls.promote(request.reason)

    async def StepDown(self, request: cpb.StepDownRequest, context: Any) -> cpb.StepDownReply:
        return await self._calls.step_down(request.successor)

    async def Cancel(self, request: cpb.CancelRequest, context: Any) -> cpb.CancelReply:
        return cpb.CancelReply(found=self._calls.cancel(request.pid, request.secret))

    async def UseDatabase(self, request: cpb.UseDatabaseRequest, context: Any) -> cpb.UseDatabaseReply:
        return await self._calls.use_database(request.oid)

    async def Forget(self, request: cpb.ForgetRequest, context: Any) -> cpb.ForgetReply:
        self._calls.forget(request.id)
        return cpb.ForgetReply()


class InstanceService:
    """Serves ``calls`` on ``address`` (HOST:PORT, port 0 a free one)."""

    def __init__(self, calls: InstanceCalls, tls: Tls | None, secret: str | None) -> None:
        self._calls = calls
        self._tls = tls
        self._secret = secret
        checks = [SecretCheck(secret)] if secret is not None else []
        self._server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=CALLS_MAX, interceptors=checks)
        self._streams: Any = None
        self.address = ""
        self.stream_port = 0

    async def start(self, address: str) -> str:
        """Listen; returns HOST:PORT. OSError when it cannot be bound."""
        compute_pb2_grpc.add_InstanceServicer_to_server(_Service(self._calls), self._server)
        port = listen(self._server, address, self._tls)
        host = address.rpartition(":")[0]
        self._streams = await serve_streams(host.strip("[]"), 0, self._make_receiver, self._tls, self._secret)
        self.stream_port = self._streams.sockets[0].getsockname()[1]
        await self._server.start()
        self.address = f"{host}:{port}"
        return self.address

    def _make_receiver(self, stream: ServedStream, path: str) -> Receiver | None:
        if path == FORWARD:
            return self._calls.forward(stream)
        return self._calls.follow(stream) if path == FOLLOW else None

    async def close(self) -> None:
        """Stop listening."""
        if self._streams is not None:
            self._streams.close()
        await self._server.stop(GRACE_S)
