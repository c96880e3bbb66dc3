"""Stand-ins for instances that endpoints lead to: what one says of itself over gRPC, and a wire server or a bare socket
behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from wire_fakes import FakeEngine, FakeRoles, fake_clock

from aurora.programs.endpoints.service import Service
from aurora.programs.endpoints.spec import Endpoint, Kind
from aurora.rpc import compute_pb2 as pb
from aurora.rpc import compute_pb2_grpc
from aurora.rpc.channels import Access
from compute_node.wire.handover import Receiver
from compute_node.wire.server import Server, WireConfig


class Feed(compute_pb2_grpc.InstanceServicer):
    """An instance's Describe."""

    def __init__(self, name: str, role: str, epoch: int = 1) -> None:
        self.state = pb.InstanceState(id=name, role=role, state="available", epoch=epoch)
        self.others: list[Feed] = []
        self.silent = False
        self.asked = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        compute_pb2_grpc.add_InstanceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.state.feed_address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def Describe(self, request: Any, context: Any) -> pb.Topology:
        self.asked += 1
        while self.silent:
            await asyncio.sleep(0.01)
        states = [self.state, *(other.state for other in self.others)]
        return pb.Topology(self=self.state, instances=states)


class Wired(Feed):
    """An instance with a wire server; over ``handover`` it takes sockets."""

    def __init__(self, name: str, role: str, epoch: int = 1, **config: Any) -> None:
        super().__init__(name, role, epoch)
        self.engine = FakeEngine()
        self.server = Server(self.engine, FakeRoles(), WireConfig(port=0, **config), fake_clock)
        self.receiver: Receiver | None = None

    async def begin(self, folder: Path | None) -> None:
        await self.start()
        await self.server.start()
        host, port = self.server.addresses[0]
        self.state.sql_address = f"{host}:{port}"
        if folder is not None:
            self.receiver = Receiver(self.server, folder / f"{self.state.id}.sock")
            self.receiver.start()

    async def end(self) -> None:
        if self.receiver is not None:
            self.receiver.close()
        await self.server.shutdown(1.0)
        await self.stop()


@asynccontextmanager
async def endpoints(
    feeds: list[Feed], folder: Path | None, *more: Endpoint, wait_s: float = 5.0
) -> AsyncIterator[Service]:
    """A service with a cluster and a reader endpoint before these instances."""
    peers = [feed.state.feed_address for feed in feeds]
    service = Service(peers, folder, Access(), wait_s)
    service.start(
        [Endpoint("cluster", Kind.WRITER, "127.0.0.1:0"), Endpoint("reader", Kind.READER, "127.0.0.1:0"), *more]
    )
    try:
        yield service
    finally:
        await service.close()


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 5.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        assert loop.time() < deadline, f"timed out waiting for {what}"
        await asyncio.sleep(0.005)
