"""The log port: the writer's stream and ordinary gRPC clients on it, both ports at once, broken clients, held zeros."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from storage_tools import VOLUME, Writer, descriptor

from aurora import batch
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.rpc.http2 import HEADERS, PREFACE, frame
from aurora.rpc.stream import open_stream
from aurora.seams import FolderDisk
from storage_node.config import NodeConfig
from storage_node.hot_log import HotLog, file_name
from storage_node.server import NodeServer

METHOD = "/aurora.storage.v1.Storage/AppendLog"
Body = Callable[[Any, str, str], Awaitable[None]]


def _request(writer: Writer, sequence: int, edits: int = 5) -> pb.AppendRequest:
    return pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1, sequence=sequence,
                            batches=b"".join(writer.frames(edits)))  # fmt: skip


def _with_node(folder: Path, body: Body) -> None:
    """Run ``body(stub, contract's address, log port's address)`` against a node served in this process."""

    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n0", data=folder))
        address = await server.start()
        serving = asyncio.ensure_future(server.wait())
        channel = open_channel(address)
        stub = storage_stub(channel)
        try:
            made = descriptor()
            await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=made))
            fence = await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1"))
            status = await stub.Status(pb.StatusRequest())
            assert fence.adopted and status.log_port == fence.log_port > 0
            await asyncio.wait_for(body(stub, address, f"127.0.0.1:{fence.log_port}"), 30)
        finally:
            await channel.close()
            server.stop()
            await serving

    asyncio.run(run())


def test_the_writers_stream_on_both_ports_at_once(tmp_path: Path) -> None:
    writer = Writer(random.Random(1))

    async def body(stub: Any, address: str, log_address: str) -> None:
        replies: asyncio.Queue[Any] = asyncio.Queue()
        streams = [
            await open_stream(at, METHOD, replies.put_nowait, replies.put_nowait) for at in (address, log_address)
        ]
        for sequence in range(1, 41):
            streams[sequence % 2].send(_request(writer, sequence).SerializeToString())
            reply = pb.AppendReply.FromString(await replies.get())
            assert (reply.sequence, reply.error) == (sequence, "")
            assert max(item.lsn for item in reply.scl) == writer.log.last_lsn
        for sequence in range(41, 61):  # many in one read, one of them above the size of a frame
            streams[1].send(_request(writer, sequence, 2000 if sequence == 50 else 5).SerializeToString())
        told = [pb.AppendReply.FromString(await replies.get()) for _ in range(20)]
        assert [reply.sequence for reply in told] == list(range(41, 61))
        for stream in streams:
            stream.close()

    _with_node(tmp_path, body)


def test_an_ordinary_grpc_client_on_the_log_port(tmp_path: Path) -> None:
    writer = Writer(random.Random(2))

    async def body(stub: Any, address: str, log_address: str) -> None:
        channel = open_channel(log_address)
        call = storage_stub(channel).AppendLog()
        for sequence in range(1, 31):
            await call.write(_request(writer, sequence, 400))
            reply = await call.read()
            assert (reply.sequence, reply.error) == (sequence, "")
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await channel.close()

    _with_node(tmp_path, body)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + b"\xff" * 40,
        PREFACE + frame(HEADERS, 4, 1, b"") + frame(0, 0, 1, b"\1\0\0\0\1x"),
        PREFACE + frame(HEADERS, 4, 1, b"") + frame(0, 0, 1, b"\0\0\0\0\2\xff\xff"),
        PREFACE + frame(HEADERS, 4, 1, b"") + frame(0, 0, 1, b"\0\xff\xff\xff\xff"),
        PREFACE + frame(8, 0, 0, b"\1"),
    ],
    ids=["http1", "oversized frame", "compressed", "no protobuf", "oversized message", "short window update"],
)
def test_a_client_that_speaks_nonsense_loses_its_connection_only(tmp_path: Path, said: bytes) -> None:
    async def body(stub: Any, address: str, log_address: str) -> None:
        host, _, port = log_address.rpartition(":")
        reader, out = await asyncio.open_connection(host, int(port))
        out.write(said)
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        out.close()
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(log_address, METHOD, replies.put_nowait, replies.put_nowait)
        stream.send(_request(Writer(random.Random(3)), 1).SerializeToString())
        assert pb.AppendReply.FromString(await replies.get()).sequence == 1
        stream.close()

    _with_node(tmp_path, body)


def test_space_held_ready_behind_the_log_is_no_torn_tail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(random.Random(4))
    disk = FolderDisk(tmp_path)
    log = HotLog(disk, 1 << 20, 1 << 20)
    entries = list(log.load())
    for _ in range(5):
        entries += log.append([batch.decode(frame) for frame in writer.frames(6)])
        log.sync()
    held = disk.size(file_name(1))
    disk.close()
    written = entries[-1].offset + entries[-1].length
    assert held > written
    disk = FolderDisk(tmp_path)
    found = list(HotLog(disk, 1 << 20, 1 << 20).load())
    assert [(e.offset, e.first_lsn, e.last_lsn) for e in found] == [
        (e.offset, e.first_lsn, e.last_lsn) for e in entries
    ]
    assert disk.size(file_name(1)) == written
    assert not caplog.records
    disk.close()
