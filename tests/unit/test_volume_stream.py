"""The hand-written gRPC stream against a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest

from aurora.rpc import storage_pb2 as pb
from aurora.rpc import storage_pb2_grpc
from aurora.rpc.channels import OPTIONS
from aurora.rpc.stream import GrpcStream, open_stream

METHOD = "/aurora.storage.v1.Storage/AppendLog"


class Echo(storage_pb2_grpc.StorageServicer):
    """Answers each append with its size and a text as long as it asks for; sequence 0 aborts the stream."""

    async def AppendLog(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if not request.sequence:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "told to")
            scl = [pb.PgLsn(pg=0, lsn=len(request.batches))]
            yield pb.AppendReply(sequence=request.sequence, scl=scl, error="e" * request.vdl)


Body = Callable[[GrpcStream, "asyncio.Queue[Any]"], Awaitable[None]]


def with_server(body: Body) -> None:
    async def run() -> None:
        server = grpc.aio.server(options=OPTIONS)
        storage_pb2_grpc.add_StorageServicer_to_server(Echo(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        events: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(
            f"127.0.0.1:{port}",
            METHOD,
            lambda data: events.put_nowait(pb.AppendReply.FromString(data)),
            events.put_nowait,
        )
        try:
            await asyncio.wait_for(body(stream, events), 30)
        finally:
            stream.close()
            await server.stop(None)

    asyncio.run(run())


def append(sequence: int, size: int = 0, answer: int = 0) -> bytes:
    data: bytes = pb.AppendRequest(sequence=sequence, batches=b"x" * size, vdl=answer).SerializeToString()
    return data


def test_small_and_large_messages_in_order() -> None:
    async def body(stream: GrpcStream, events: asyncio.Queue[Any]) -> None:
        sizes = [0, 1, 100, 16_379, 16_384, 70_000, 5_000_000, 3, 1_000_000] + [50] * 500
        for number, size in enumerate(sizes):
            stream.send(append(number + 1, size))
        for number, size in enumerate(sizes):
            reply = await events.get()
            assert (reply.sequence, [(e.pg, e.lsn) for e in reply.scl]) == (number + 1, [(0, size)])

    with_server(body)


def test_large_answers_and_our_window_is_opened_again() -> None:
    async def body(stream: GrpcStream, events: asyncio.Queue[Any]) -> None:
        for number in range(1, 41):
            stream.send(append(number, 5, 1_000_000))
            reply = await events.get()
            assert reply.sequence == number and len(reply.error) == 1_000_000

    with_server(body)


def test_the_end_of_the_stream_is_told_once() -> None:
    async def body(stream: GrpcStream, events: asyncio.Queue[Any]) -> None:
        stream.send(append(0))
        reason = await events.get()
        assert isinstance(reason, str)
        stream.send(append(1))
        stream.close()
        await asyncio.sleep(0)
        assert events.empty()

    with_server(body)


def test_nobody_there() -> None:
    with pytest.raises(ConnectionError):
        asyncio.run(open_stream("127.0.0.1:1", METHOD, lambda data: None, lambda reason: None))
