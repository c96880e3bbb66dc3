"""The gRPC face of the node: requests into the core, replies and refusals out. All of it runs on one event loop.

Appends go through ``storage_node/append.py``, page reads through ``storage_node/page_reads.py``. ``Refused`` and a page
read that fails become FAILED_PRECONDITION, a broken invariant INTERNAL.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterator
from typing import Any, TypeVar

import grpc
import grpc.aio

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node.admission import (
    APPEND_STREAMS_MAX,
    READ_BYTES_MAX,
    READ_PAGES_MAX,
    REPLIES_MAX,
    STREAMS_MAX,
    TAKE_S,
    Admission,
)
from storage_node.append import Appends, Replies
from storage_node.faults import Faults
from storage_node.node import Refused, StorageNode
from storage_node.page_reads import PageReads

Reply = TypeVar("Reply")

logger = logging.getLogger(__name__)


class AppendStream:
    """One writer's stream: the replies that wait to be sent."""

    __slots__ = ("closed", "ready", "replies", "room", "slow_s")

    def __init__(self, slow_s: float) -> None:
        self.slow_s = slow_s
        self.replies: deque[pb.AppendReply] = deque()
        self.ready = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.closed = False

    def put(self, reply: pb.AppendReply) -> None:
        """Queue a reply."""
        self.replies.append(reply)
        self.ready.set()
        if len(self.replies) >= REPLIES_MAX:
            self.room.clear()

    def close(self) -> None:
        """No further reply will come."""
        self.closed = True
        self.ready.set()

    async def send(self, context: grpc.aio.ServicerContext) -> None:
        """Write replies until the stream is closed and all are out."""
        while True:
            while self.replies:
                if self.slow_s:
                    await asyncio.sleep(self.slow_s)
                await context.write(self.replies.popleft())
                self.room.set()
            if self.closed:
                return
            self.ready.clear()
            await self.ready.wait()


class ReadCall:
    """A page read of the contract's port: ``reply`` is its answer. Cancelled with the call, it is gone."""

    __slots__ = ("reply",)

    def __init__(self) -> None:
        self.reply: asyncio.Future[pb.ReadPagesReply] = asyncio.get_running_loop().create_future()

    @property
    def gone(self) -> bool:
        """See ``Asker``."""
        return self.reply.done()

    def answer(self, reply: pb.ReadPagesReply) -> None:
        """See ``Asker``."""
        self.reply.set_result(reply)


class StorageService:
    """The servicer of protos/storage.proto. ``log_port``: where the streams are served as well; 0 = nowhere else."""

    def __init__(
        self, node: StorageNode[Replies], appends: Appends, reads: PageReads, faults: Faults | None = None
    ) -> None:
        self.node = node
        self._faults = faults
        self.page_reads = reads
        self.log_port = 0
        self._appends = appends
        self._range_reads = asyncio.Semaphore(1)
        self._slow_s = node.config.slow_ms / 1000
        self._receivers: set[asyncio.Future[None]] = set()
        self._reads = Admission(READ_BYTES_MAX)
        self._streams = Admission(STREAMS_MAX)

    async def AppendLog(
        self, request_iterator: AsyncIterable[pb.AppendRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """Stage what is read; replies go out as flushes finish."""
        if len(self._receivers) >= APPEND_STREAMS_MAX:
            text = f"{APPEND_STREAMS_MAX} append streams are open"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        stream = AppendStream(self._slow_s)
        receiver = asyncio.ensure_future(self._receive(stream, context))
        sender = asyncio.ensure_future(stream.send(context))
        self._receivers.add(receiver)
        try:
            await asyncio.wait((receiver,))
            if not receiver.cancelled():
                receiver.result()
            stream.close()
            await sender
        except asyncio.CancelledError:
            # The writer went away: that is how streams end, and nothing is owed to the other side.
            return
        finally:
            self._receivers.discard(receiver)
            receiver.cancel()
            sender.cancel()
            await asyncio.gather(receiver, sender, return_exceptions=True)

    async def _receive(self, stream: AppendStream, context: grpc.aio.ServicerContext) -> None:
        appends = self._appends
        while (request := await context.read()) is not grpc.aio.EOF:
            appends.stage(request, stream)
            appends.flush_soon()
            await stream.room.wait()
        while appends.armed:
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the append streams: what has been read is answered, nothing further is read."""
        for receiver in self._receivers:
            receiver.cancel()

    async def _answer(self, context: grpc.aio.ServicerContext, handler: Callable[[Any], Reply], request: Any) -> Reply:
        if self._slow_s:
            await asyncio.sleep(self._slow_s)
        try:
            return handler(request)
        except Refused as error:
            return await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))  # type: ignore[no-any-return]
        except (InvariantViolation, OSError) as error:
            logger.exception("%s failed", handler.__name__)
            return await context.abort(grpc.StatusCode.INTERNAL, str(error))  # type: ignore[no-any-return]

    async def _stream(
        self, context: grpc.aio.ServicerContext, handler: Callable[[Any], Iterator[Any]], request: Any
    ) -> None:
        await self._streams.enter(1)
        try:
            replies = handler(request)
            while (reply := await self._answer(context, lambda it: next(it, None), replies)) is not None:
                await context.write(reply)
        finally:
            self._streams.leave(1)

    async def ReadPages(self, request: pb.ReadPagesRequest, context: grpc.aio.ServicerContext) -> pb.ReadPagesReply:
        """See ``StorageNode.on_read``; what is held for it is given back when the answer is out."""
        pages = len(request.pages)
        if pages > READ_PAGES_MAX:
            text = f"{pages} pages in one request, {READ_PAGES_MAX} at most"
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)  # type: ignore[no-any-return]
        held_bytes = 2 * pages * PAGE_BYTES
        await self._reads.enter(held_bytes)
        context.add_done_callback(lambda _: self._reads.leave(held_bytes))
        reply = await self._read(request)
        if reply.error:
            return await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reply.error)  # type: ignore[no-any-return]
        return reply

    async def _read(self, request: pb.ReadPagesRequest) -> pb.ReadPagesReply:
        call = ReadCall()
        self.page_reads.ask(request, call)
        reply = await call.reply
        if self._slow_s:
            await asyncio.sleep(self._slow_s)
        return reply

    async def ReadStream(
        self, request_iterator: AsyncIterable[pb.ReadPagesRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """The same, request after request; it ends when an answer is not taken for ``TAKE_S``."""
        async for request in request_iterator:
            held_bytes = 2 * min(len(request.pages), READ_PAGES_MAX) * PAGE_BYTES
            await self._reads.enter(held_bytes)
            try:
                reply = await self._read(request)
                async with asyncio.timeout(TAKE_S):
                    await context.write(reply)
            except TimeoutError:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"an answer was not taken for {TAKE_S:g} s")
            finally:
                self._reads.leave(held_bytes)

    async def Fence(self, request: pb.FenceRequest, context: grpc.aio.ServicerContext) -> pb.FenceReply:
        """See ``StorageNode.on_fence``; the log port is added here."""
        reply = await self._answer(context, self.node.on_fence, request)
        reply.log_port = self.log_port
        return reply

    async def Truncate(self, request: pb.TruncateRequest, context: grpc.aio.ServicerContext) -> pb.TruncateReply:
        """See ``StorageNode.on_truncate``."""
        return await self._answer(context, self.node.on_truncate, request)

    async def FetchLog(self, request: pb.FetchLogRequest, context: grpc.aio.ServicerContext) -> None:
        """See ``StorageNode.on_fetch_log``."""
        await self._stream(context, self.node.on_fetch_log, request)

    async def FetchRange(self, request: pb.FetchRangeRequest, context: grpc.aio.ServicerContext) -> pb.FetchRangeReply:
        """See ``StorageNode.on_fetch_range``. The disk is read in a thread, one range at a time: appends come first."""
        async with self._range_reads:
            read = await self._answer(context, self.node.range_read, request)
            try:
                return await asyncio.to_thread(read.reply, self.node.disk)
            except OSError as error:
                logger.exception("a range of pages could not be read")
                return await context.abort(grpc.StatusCode.INTERNAL, str(error))  # type: ignore[no-any-return]

    async def Gossip(self, request: pb.GossipRequest, context: grpc.aio.ServicerContext) -> pb.GossipReply:
        """See ``StorageNode.on_gossip``."""
        return await self._answer(context, self.node.on_gossip, request)

    async def Advance(self, request: pb.AdvanceRequest, context: grpc.aio.ServicerContext) -> pb.AdvanceReply:
        """See ``StorageNode.on_advance``."""
        return await self._answer(context, self.node.on_advance, request)

    async def Status(self, request: pb.StatusRequest, context: grpc.aio.ServicerContext) -> pb.StatusReply:
        """See ``StorageNode.on_status``; process id and log port are added here."""
        reply = await self._answer(context, self.node.on_status, request)
        reply.pid = os.getpid()
        reply.log_port = self.log_port
        if self._faults is not None and (note := self._faults.note):
            reply.note = "; ".join(filter(None, (reply.note, note)))
        return reply

    async def Inject(self, request: pb.InjectRequest, context: grpc.aio.ServicerContext) -> pb.InjectReply:
        """Begin or end a fault on purpose."""
        faults = self._faults
        if faults is None:
            return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no faults here")  # type: ignore[no-any-return]

        def inject(request: pb.InjectRequest) -> pb.InjectReply:
            self.node.check_volume(request.volume_id)
            try:
                faults.inject(request)
            except ValueError as error:
                raise Refused(str(error)) from error
            logger.warning("faults on purpose: %s", faults.note or "none any more")
            return pb.InjectReply()

        return await self._answer(context, inject, request)

    async def Scrub(self, request: pb.ScrubRequest, context: grpc.aio.ServicerContext) -> pb.ScrubStatus:
        """See ``Scrubber.on_scrub``."""
        return await self._answer(context, self.node.scrub.on_scrub, request)

    async def WriteDescriptor(
        self, request: pb.WriteDescriptorRequest, context: grpc.aio.ServicerContext
    ) -> pb.WriteDescriptorReply:
        """See ``StorageNode.on_write_descriptor``."""
        return await self._answer(context, self.node.on_write_descriptor, request)

    async def ReadDescriptor(
        self, request: pb.ReadDescriptorRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReadDescriptorReply:
        """See ``StorageNode.on_read_descriptor``."""
        return await self._answer(context, self.node.on_read_descriptor, request)
