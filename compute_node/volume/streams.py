"""One append stream a node: gRPC glue between ``WriterCore`` and the wire.

Per node one task reads replies and one writes messages; the writer sleeps while the core has nothing for its node. On a
failure the node is fenced anew (it may have been away while we recovered), told the truncations that it missed, and
the stream goes on where its SCL says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from aurora.geometry import Member
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel
from compute_node.volume.driver import NodeCalls

if TYPE_CHECKING:
    from compute_node.volume.volume import Volume

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0
_METHOD = "/aurora.storage.v1.Storage/AppendLog"


class NodeStream:
    """The connection to one member, kept up until ``close``."""

    def __init__(self, volume: Volume, index: int, member: Member) -> None:
        self.index = index
        self.member = member
        self.channel = open_channel(member.address)
        self.calls = NodeCalls(volume.descriptor.volume_id, volume.writer_id, self.channel)
        self.latency_s = 0.0
        """Moving average of page reads from this node; 0 = none yet."""
        self.problem = ""
        """Why the last stream ended."""
        self._volume = volume
        # Requests are bytes already: the core builds a message once for all nodes.
        self._append = self.channel.stream_stream(_METHOD, None, pb.AppendReply.FromString)
        self._asleep: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to stream; the volume has its writer core."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def wake(self) -> None:
        """There may be something to write."""
        asleep = self._asleep
        if asleep is not None:
            self._asleep = None
            if not asleep.done():
                asleep.set_result(None)

    async def _run(self) -> None:
        core = self._volume.core
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                if await self._connect():
                    backoff_s = BACKOFF_FIRST_S
                    await self._stream()
                self.problem = core.links[self.index].error or "stream ended"
            except (grpc.aio.AioRpcError, ConnectionError, asyncio.InvalidStateError) as error:
                code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                problem = f"{code}: {error.details() if isinstance(error, grpc.aio.AioRpcError) else error}"
                if problem != self.problem:
                    logger.info("storage node %s: %s", self.member.node_id, problem)
                self.problem = problem
            except Exception as error:
                # A defect must not cost the volume a node for good: tell, and connect anew.
                self.problem = f"{type(error).__name__}: {error}"
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"the stream to storage node {self.member.node_id} broke", "exception": error}
                )
            finally:
                core.on_disconnected(self.index)
            self._volume.check_fenced()
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _connect(self) -> bool:
        """Fence the node and tell it every truncation; False when it has adopted a newer epoch."""
        volume, core = self._volume, self._volume.core
        answer = await self.calls.fence(core.epoch)
        missing = volume.recovered.truncations - answer.truncations if answer.adopted else frozenset()
        for span in sorted(missing):
            written = await self.calls.truncate(core.epoch, span)
            if not written.ok:
                core.links[self.index].refused_epoch = written.epoch if written.epoch > core.epoch else 0
                return False
        if missing:
            answer = await self.calls.fence(core.epoch)
        if not answer.adopted:
            core.links[self.index].refused_epoch = answer.epoch
            return False
        if core.on_connected(self.index, {pg: report.scl for pg, report in answer.pgs.items()}):
            volume.on_vdl()
        self.problem = ""
        return True

    async def _stream(self) -> None:
        call = self._append()
        writer = asyncio.ensure_future(self._write(call))
        link = self._volume.core.links[self.index]
        on_reply = self._volume.on_reply
        index = self.index
        try:
            while link.connected:
                reply = await call.read()
                if reply is grpc.aio.EOF:
                    return
                on_reply(index, reply)
        finally:
            writer.cancel()
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await writer

    async def _write(self, call: Any) -> None:
        next_message = self._volume.core.next_message
        index = self.index
        loop = asyncio.get_running_loop()
        while True:
            message = next_message(index)
            if message is None:
                asleep = self._asleep = loop.create_future()
                await asleep
            else:
                await call.write(message)

    async def poll(self) -> None:
        """Ask a lagging node for its SCLs: what it got from its peers comes with no ack."""
        try:
            reply = await self.calls.stub.Status(pb.StatusRequest(), timeout=1.0)
        except grpc.aio.AioRpcError as error:
            self.problem = f"{error.code().name}: {error.details()}"
            return
        if self._volume.core.on_scls(self.index, [(state.pg, state.scl) for state in reply.pgs]):
            self._volume.on_vdl()

    async def close(self) -> None:
        """End the stream and the channel."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.channel.close()
