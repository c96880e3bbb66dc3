"""Page reads on a stream: the node's end, ordinary gRPC clients, and compute's channel with its way back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from storage_tools import PAGES_PER_PG, VOLUME, Writer, descriptor
from support_virtual_loop import run_virtual

from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.rpc.http2 import END_HEADERS, HEADERS, PREFACE, frame
from aurora.rpc.stream import open_stream
from aurora.rpc.stream_server import request_headers
from compute_node.volume import read_channel
from compute_node.volume.read_channel import METHOD, MUTE_PAUSE_S, PENDING_MAX, RECONNECT_S, ReadChannel
from storage_node.config import NodeConfig, load
from storage_node.page_reads import SLICE_PAGES
from storage_node.server import NodeServer

pytestmark = pytest.mark.logs(r"read stream ended: Error parsing message")


class Served:
    """A node served in this process, with some pages in it."""

    def __init__(self, server: NodeServer, stub: Any, address: str, log_port: int) -> None:
        self.server, self.stub, self.address = server, stub, address
        self.log_address = f"127.0.0.1:{log_port}"
        self.writer = Writer(random.Random(1), pages=40)

    async def fill(self) -> None:
        frames = b"".join(self.writer.frames(400))
        append = pb.AppendRequest(
            volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1, sequence=1, batches=frames
        )
        call = self.stub.AppendLog(iter((append,)))
        assert not (await call.read()).error

    def request(self, *page_nos: int, volume_id: bytes = VOLUME, number: int = 0) -> pb.ReadPagesRequest:
        lsn = self.writer.log.last_lsn
        pages = [
            pb.PageAt(page_no=n, pg_lsn=self.writer.pg_lsn(n // PAGES_PER_PG, lsn), read_point=lsn) for n in page_nos
        ]
        return pb.ReadPagesRequest(volume_id=volume_id, volume_epoch=1, pages=pages, request_id=number)

    def check(self, reply: Any, *page_nos: int) -> None:
        assert not reply.error
        assert [image.page_no for image in reply.pages] == list(page_nos)
        for image in reply.pages:
            assert image.image == self.writer.at(image.page_no, self.writer.log.last_lsn)


def with_node(folder: Path, body: Callable[[Served], Awaitable[None]], **settings: float) -> None:
    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n0", data=folder, **settings))  # type: ignore[arg-type]
        address = await server.start()
        serving = asyncio.ensure_future(server.wait())
        channel = open_channel(address)
        stub = storage_stub(channel)
        try:
            await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))
            fence = await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1"))
            served = Served(server, stub, address, fence.log_port)
            await served.fill()
            await asyncio.wait_for(body(served), 30)
        finally:
            await channel.close()
            server.stop()
            await serving

    asyncio.run(run())


def test_runs_and_single_pages_on_one_stream(tmp_path: Path) -> None:
    async def body(node: Served) -> None:
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(node.log_address, METHOD, replies.put_nowait, replies.put_nowait)
        run = tuple(range(40)) * 2
        stream.send(node.request(*run, number=7).SerializeToString())
        stream.send(node.request(3, number=8).SerializeToString())
        first = pb.ReadPagesReply.FromString(await replies.get())
        assert len(run) > SLICE_PAGES and first.request_id == 8  # it did not wait for the run
        node.check(first, 3)
        second = pb.ReadPagesReply.FromString(await replies.get())
        assert second.request_id == 7
        node.check(second, *run)
        stream.send(node.request(3, volume_id=b"x" * 16, number=9).SerializeToString())
        refused = pb.ReadPagesReply.FromString(await replies.get())
        assert refused.request_id == 9 and "belongs to volume" in refused.error and not refused.pages
        stream.close()

    with_node(tmp_path, body)


@pytest.mark.parametrize("port", ["contract", "log"])
def test_an_ordinary_grpc_client_reads_by_stream(tmp_path: Path, port: str) -> None:
    async def body(node: Served) -> None:
        channel = open_channel(node.address if port == "contract" else node.log_address)
        call = storage_stub(channel).ReadStream()
        for number in range(20):
            await call.write(node.request(number, number + 1, number=number))
            reply = await call.read()
            assert reply.request_id == number
            node.check(reply, number, number + 1)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await channel.close()

    with_node(tmp_path, body)


def test_a_method_that_the_log_port_does_not_serve(tmp_path: Path) -> None:
    async def body(node: Served) -> None:
        channel = open_channel(node.log_address)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await storage_stub(channel).Status(pb.StatusRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await channel.close()

    with_node(tmp_path, body)


@pytest.mark.parametrize(
    "said",
    [
        PREFACE + frame(HEADERS, END_HEADERS, 1, b""),
        PREFACE + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        PREFACE + frame(HEADERS, 0, 1, b"\x83"),
        PREFACE + frame(HEADERS, END_HEADERS | 8, 1, b"\xff"),
    ],
    ids=["no path", "no header block", "continued headers", "padding that is not there"],
)
def test_a_request_without_a_path_loses_its_connection(tmp_path: Path, said: bytes) -> None:
    async def body(node: Served) -> None:
        host, _, port = node.log_address.rpartition(":")
        reader, out = await asyncio.open_connection(host, int(port))
        out.write(said)
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        out.close()
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(node.log_address, METHOD, replies.put_nowait, replies.put_nowait)
        stream.send(b"\xff\xff")  # no protobuf: this connection ends too
        assert isinstance(await replies.get(), str)

    with_node(tmp_path, body)


def test_the_path_is_found_behind_padding_and_priority() -> None:
    block = b"\x83\x86\x04\x05/a/b/"
    assert request_headers(END_HEADERS, block)[":path"] == "/a/b/"
    padded = b"\x03" + b"\0\0\0\0\x10" + block + b"\0\0\0"
    assert request_headers(END_HEADERS | 8 | 32, padded)[":path"] == "/a/b/"
    assert request_headers(0, block) == {}


async def ask(channel: ReadChannel, request: pb.ReadPagesRequest) -> Any:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel.ask(request, answer.set_result)
    return await answer


async def until_streaming(channel: ReadChannel, node: Served) -> None:
    async with asyncio.timeout(20):
        while not channel.streaming:
            await ask(channel, node.request(1))
            await asyncio.sleep(0.01)


def test_the_channel_begins_with_unary_calls_and_goes_over_to_the_stream(tmp_path: Path) -> None:
    async def body(node: Served) -> None:
        channel = ReadChannel(node.address, node.stub)
        node.check(await ask(channel, node.request(5)), 5)
        assert not channel.streaming or channel.problem == ""
        await until_streaming(channel, node)
        replies = await asyncio.gather(*(ask(channel, node.request(n, n + 1)) for n in range(30)))
        for n, reply in enumerate(replies):
            node.check(reply, n, n + 1)
        assert await ask(channel, node.request(1, volume_id=b"y" * 16)) is None
        assert "belongs to volume" in channel.problem
        await channel.close()
        assert not channel.streaming

    with_node(tmp_path, body)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system keeps its own time")
def test_a_connection_whose_client_is_silent_is_probed(tmp_path: Path) -> None:
    async def body(node: Served) -> None:
        stream = await open_stream(node.log_address, METHOD, lambda _: None, lambda _: None)
        async with asyncio.timeout(20):
            while not (served := list(node.server._service.page_reads.streams)):
                await asyncio.sleep(0.01)
        sock = served[0]._stream._transport.get_extra_info("socket")
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [30, 10, 10_000]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        stream.close()

    with_node(tmp_path, body)


def test_a_node_that_ends_fails_what_waits_and_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_channel, "RECONNECT_S", 0.05)

    async def body(node: Served) -> None:
        channel = ReadChannel(node.address, node.stub)
        await until_streaming(channel, node)
        waiting = asyncio.ensure_future(ask(channel, node.request(1)))
        await asyncio.sleep(0)  # it has been sent
        node.server._log_port.close()  # every stream ends
        reply = await waiting
        assert reply is None or len(reply.pages) == 1
        async with asyncio.timeout(20):
            while channel.streaming:
                await asyncio.sleep(0.01)
        node.check(await ask(channel, node.request(2)), 2)
        await until_streaming(channel, node)
        node.check(await ask(channel, node.request(3)), 3)
        await channel.close()

    with_node(tmp_path, body)


class MuteStream:
    """Takes requests and answers none."""

    def __init__(self) -> None:
        self.sent: list[pb.ReadPagesRequest] = []
        self.closed = False

    def send(self, message: bytes) -> None:
        self.sent.append(pb.ReadPagesRequest.FromString(message))

    def close(self) -> None:
        self.closed = True


class FakeStub:
    """Unary calls that count; ``Status`` names a port."""

    def __init__(self) -> None:
        self.unary = 0

    async def ReadPages(self, request: Any, timeout: float) -> Any:
        self.unary += 1
        return pb.ReadPagesReply()

    async def Status(self, request: Any, timeout: float) -> Any:
        return pb.StatusReply(log_port=1)


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> list[MuteStream]:
    made: list[MuteStream] = []

    async def open_mute(*_: Any) -> MuteStream:
        made.append(MuteStream())
        return made[-1]

    monkeypatch.setattr(read_channel, "open_stream", open_mute)
    return made


def test_a_stream_that_answers_nothing_is_given_up_and_reads_go_on_by_unary_calls(mute: list[MuteStream]) -> None:
    async def body() -> None:
        stub = FakeStub()
        channel = ReadChannel("h:1", stub)
        await ask(channel, pb.ReadPagesRequest())
        await asyncio.sleep(0.1)
        assert channel.streaming and stub.unary == 1
        lost = asyncio.ensure_future(ask(channel, pb.ReadPagesRequest()))
        await asyncio.sleep(read_channel.ATTEMPT_TIMEOUT_S + 0.1)
        assert await ask(channel, pb.ReadPagesRequest()) is not None
        assert await lost is None and stub.unary == 2 and mute[0].closed
        await asyncio.sleep(RECONNECT_S)
        await ask(channel, pb.ReadPagesRequest())
        assert len(mute) == 1 and stub.unary == 3
        await asyncio.sleep(MUTE_PAUSE_S)
        await ask(channel, pb.ReadPagesRequest())
        await asyncio.sleep(0.1)
        assert len(mute) == 2 and channel.streaming
        await channel.close()

    run_virtual(body)


def test_what_may_be_unanswered_is_bounded(mute: list[MuteStream]) -> None:
    async def body() -> None:
        channel = ReadChannel("h:1", FakeStub())
        await ask(channel, pb.ReadPagesRequest())
        await asyncio.sleep(0.1)
        waiting = [asyncio.ensure_future(ask(channel, pb.ReadPagesRequest())) for _ in range(PENDING_MAX)]
        await asyncio.sleep(0)
        assert await ask(channel, pb.ReadPagesRequest()) is None
        assert len(mute[0].sent) == PENDING_MAX
        assert len({request.request_id for request in mute[0].sent}) == PENDING_MAX
        await channel.close()
        assert await asyncio.gather(*waiting) == [None] * PENDING_MAX

    run_virtual(body)


def test_a_slowed_node_still_answers_everything(tmp_path: Path) -> None:
    async def body(node: Served) -> None:
        channel = ReadChannel(node.address, node.stub)
        await until_streaming(channel, node)
        loop = asyncio.get_running_loop()
        start = loop.time()
        replies = await asyncio.gather(*(ask(channel, node.request(n)) for n in range(30)))
        assert loop.time() - start >= 0.02
        for n, reply in enumerate(replies):
            node.check(reply, n)
        await channel.close()

    with_node(tmp_path, body, slow_ms=20)


def test_the_flag_of_fault_drills() -> None:
    flags = ["--id", "a", "--data", "d", "--listen", "unix:/a"]
    assert load(flags, {}).slow_ms == 0
    assert load([*flags, "--slow-ms", "50"], {}).slow_ms == 50
    with pytest.raises(SystemExit):
        load([*flags, "--slow-ms", "-1"], {})
