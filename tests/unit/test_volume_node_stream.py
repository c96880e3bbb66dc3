"""A node's stream when the node moves, and streams when recovery hears of another descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from storage_tools import VOLUME

from aurora.geometry import Descriptor, Member
from aurora.kernels import mtr
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from aurora.rpc import storage_pb2_grpc
from compute_node.hub import HUB
from compute_node.volume import driver
from compute_node.volume.recovery import Recovered, SendFetch
from compute_node.volume.volume import Volume

SIX = [Member(f"az{zone}-{name}", f"az{zone}", "127.0.0.1:1") for zone in (1, 2, 3) for name in "ab"]
DESCRIPTOR = initial(VOLUME, SIX, 4, groups=1)


class Node(storage_pb2_grpc.StorageServicer):
    """Answers each fence once ``gate`` is set; ``asked`` gets the method of each call as it comes."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.address = ""

    async def Fence(self, request: Any, context: Any) -> Any:
        self.asked.put_nowait("Fence")
        await self.gate.wait()
        descriptor = DESCRIPTOR.to_proto(pb.Descriptor())
        return pb.FenceReply(adopted=True, epoch=request.volume_epoch, descriptor=descriptor)

    async def FetchLog(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in range(1000):
            self.asked.put_nowait("FetchLog")
            yield pb.FetchLogReply(batches=b"x" * (1 << 20))

    async def AppendLog(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.put_nowait("AppendLog")
        async for request in requests:
            yield pb.AppendReply(sequence=request.sequence)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Node]:
    node = Node()
    server = grpc.aio.server()
    storage_pb2_grpc.add_StorageServicer_to_server(node, server)  # type: ignore[no-untyped-call]
    node.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield node
    finally:
        await server.stop(None)


def volume_at(*addresses: str) -> tuple[Volume, Descriptor]:
    """A volume that is recovered; its first nodes are at these addresses."""
    HUB.bind(asyncio.get_running_loop())
    nodes = tuple(
        replace(node, address=addresses[index]) if index < len(addresses) else node
        for index, node in enumerate(DESCRIPTOR.nodes)
    )
    descriptor = replace(DESCRIPTOR, nodes=nodes)
    volume = Volume(descriptor, "w")
    volume.log = mtr.RedoLog(16, 0, 4, {})
    volume.recovered = Recovered(3, 0, 16, {}, frozenset(), False, {}, descriptor)
    return volume, descriptor


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 30))  # type: ignore[arg-type]


def test_a_node_that_moves_while_it_is_being_met_is_met_at_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RPC_TIMEOUT_S", 0.3)

    async def body() -> None:
        async with serving() as old, serving() as new:
            new.gate.set()
            volume, descriptor = volume_at(old.address)
            volume._start_writing(volume.recovered)
            stream = volume.streams[0]
            assert await old.asked.get() == "Fence"  # a stopped process: it never answers
            stream.move(replace(descriptor.nodes[0], address=new.address))
            assert [await new.asked.get() for _ in range(2)] == ["Fence", "AppendLog"]
            await volume.close()

    run(body)


def test_what_the_node_said_at_its_old_address_opens_no_stream_at_the_new_one() -> None:
    async def body() -> None:
        async with serving() as old, serving() as new:
            new.gate.set()
            volume, descriptor = volume_at(old.address)
            volume._start_writing(volume.recovered)
            stream = volume.streams[0]
            assert await old.asked.get() == "Fence"
            stream.move(replace(descriptor.nodes[0], address=new.address))
            old.gate.set()
            assert await old.asked.get() == "AppendLog"
            assert [await new.asked.get() for _ in range(2)] == ["Fence", "AppendLog"]
            await volume.close()

    run(body)


def test_no_more_log_is_fetched_than_is_asked_for() -> None:
    async def body() -> None:
        async with serving() as node:
            volume, _ = volume_at(node.address)
            answer = await volume.streams[0].calls.fetch(SendFetch(1, 0, 0, 0, 1 << 40, most_bytes=5 << 19))
            assert len(answer.frames) == 3 << 20
            await volume.close()
        assert node.asked.qsize() < 100

    run(body)


def test_reads_of_a_node_that_has_moved_fail_at_its_old_channel_and_go_to_the_new_one() -> None:
    async def body() -> None:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        volume, descriptor = volume_at()
        stream = volume.streams[0]
        before = stream.source.channel
        stream.move(replace(descriptor.nodes[0], address="127.0.0.1:2"))
        assert stream.source.channel is not before
        await asyncio.gather(*stream._errands)  # the old channel is closed
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        before.ask(pb.ReadPagesRequest(), answered.set_result)
        assert not answered.done() and await answered is None
        await volume.close()
        gc.collect()
        assert not problems

    run(body)


def test_recovery_that_begins_again_talks_to_the_nodes_of_the_newer_descriptor() -> None:
    """Two writers have each proposed another node at index 6, and one none at all."""

    async def body() -> None:
        volume, descriptor = volume_at()
        x, y = Member("x", "az1", "127.0.0.1:2"), Member("y", "az1", "127.0.0.1:3")
        one = replace(descriptor, nodes=(*descriptor.nodes, x), generation=5)
        two = replace(descriptor, nodes=(*descriptor.nodes, y), proposer_epoch=1)
        three = replace(descriptor, proposer_epoch=2)
        kept = list(volume.streams)
        for proposed in (one, two, three, one):
            calls = volume._calls_of(proposed)
            assert [stream.member for stream in volume.streams] == list(proposed.nodes)
            assert [stream.index for stream in volume.streams] == list(range(len(proposed.nodes)))
            assert calls == [stream.calls for stream in volume.streams]
            assert volume.streams[:6] == kept and volume.descriptor is proposed
        await volume.close()
        assert not volume.broken

    run(body)
