"""One append stream a node: the glue between ``WriterCore`` and the wire.

``pump`` writes what the core has for its node; it runs when something was flushed and when an answer has made room, in
the same turn of the loop, without a task switch. After a failure there is a new ``Handshake`` with the node, and the
stream goes on where its SCL says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from aurora.geometry import Descriptor, Member
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel
from aurora.rpc.stream import GrpcStream, open_stream
from compute_node.volume.driver import NodeCalls
from compute_node.volume.fleet import SendDescriptor
from compute_node.volume.handshake import Handshake, HandshakeAnswer, HandshakeEffect, NoVolume
from compute_node.volume.messages import read_states
from compute_node.volume.read_channel import ReadChannel
from compute_node.volume.reads import Source
from compute_node.volume.recovery import SendFence

if TYPE_CHECKING:
    from compute_node.volume.volume import Volume

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0
SILENT_ROUNDS_MAX = 100
"""Housekeeping rounds (0.1 s) that a node may leave a message unanswered before its stream is given up."""
_METHOD = "/aurora.storage.v1.Storage/AppendLog"


class NodeStream:
    """The connection to one member, kept up until ``close``.

    Invariant: one attempt to connect has one address, and its channel is closed when it is over, not under its calls.
    """

    def __init__(self, volume: Volume, index: int, member: Member) -> None:
        self.index = index
        self.member = member
        self.channel: grpc.aio.Channel
        self.calls: NodeCalls
        self.source: Source
        """This node as page reads see it."""
        self.problem = ""
        """Why the last stream ended."""
        self._volume = volume
        self._meetings = 0
        """Handshakes begun: what a node answered before the last of them may be forgotten, with its disk."""
        self._silent_rounds = 0
        self._address: str
        """Where ``channel`` leads; ``_run`` follows ``member.address``."""
        self._log_port_mute: bool
        """The node's log port took a connection and said nothing: something else listens there as seen from here."""
        self._stream: GrpcStream | None = None
        self._closed: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._dial()

    def _dial(self) -> None:
        """Have channels to where the node is."""
        self._address = self.member.address
        self._log_port_mute = False
        self.channel = open_channel(self._address)
        self.calls = NodeCalls(self._volume.requests, self.channel)
        self.source = Source(ReadChannel(self._address, self.calls.stub))

    def _follow(self) -> None:
        """Have them where it is now. No attempt to connect is under way; errands that are cut off come again."""
        if self._address != self.member.address:
            self._errand(self.source.channel.close())
            self._errand(self.channel.close())
            self._dial()

    @property
    def _runs(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to stream, unless the node is retired; the volume has its writer core."""
        if not self._runs and not self.member.retired:
            self._task = self._volume.background(self._run())

    def move(self, member: Member) -> None:
        """What the descriptor says of the node now: another address is used from the next attempt to connect on."""
        before, self.member = self.member, member
        if member.address != before.address:
            logger.info("storage node %s is at %s now, not at %s", member.node_id, member.address, before.address)
            if self._runs:
                self._on_closed("the node has moved")
            else:
                self._follow()

    def tell(self, descriptor: Descriptor) -> None:
        """Have the node take the descriptor; what comes of it goes to the volume."""
        if self._telling is None or self._telling.done():
            self._telling = self._errand(self._tell(descriptor))

    def ask(self) -> None:
        """Ask a node that lags, or fills a slot, for its SCLs: what it got from its peers comes with no ack."""
        if self._asking is None or self._asking.done():
            self._asking = self._errand(self._ask())

    def _errand(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._volume.background(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    def pump(self) -> None:
        """Write what there is to write."""
        stream = self._stream
        if stream is not None:
            next_message = self._volume.core.next_message
            while (message := next_message(self.index)) is not None:
                stream.send(message)

    def watch(self) -> None:
        """A housekeeping round has passed: give a node up that takes messages and answers none (a stopped process)."""
        if not self._volume.core.links[self.index].in_flight:
            self._silent_rounds = 0
            return
        self._silent_rounds += 1
        if self._silent_rounds > SILENT_ROUNDS_MAX:
            self._silent_rounds = 0
            self._on_closed("the node does not answer")

    def _on_message(self, data: bytes) -> None:
        self._silent_rounds = 0
        self._log_port_mute = False
        self._volume.on_reply(self.index, pb.AppendReply.FromString(data))
        if not self._volume.core.links[self.index].connected:
            self._closed.set()  # the node refuses
        else:
            self.pump()

    def _on_closed(self, reason: str) -> None:
        self.problem = reason
        self._closed.set()

    async def _run(self) -> None:
        core = self._volume.core
        backoff_s = BACKOFF_FIRST_S
        while not self.member.retired:
            try:
                self._closed.clear()
                self._follow()
                if await self._connect():
                    backoff_s = BACKOFF_FIRST_S
                    await self._closed.wait()
                self.problem = core.links[self.index].error or self.problem
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
                if self._stream is not None:
                    self._stream.close()
                    self._stream = None
            self._volume.check_fenced()
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _connect(self) -> bool:
        """Shake hands with the node and open its stream; False when it will take nothing from this writer."""
        volume, core = self._volume, self._volume.core
        self._meetings += 1
        shake = Handshake(core, self.index, volume.recovered.truncations)
        effect: HandshakeEffect | None = shake.start()
        while effect is not None:
            effect = shake.on_reply(effect, await self._perform(effect))
        answer = shake.answer
        if answer is None:
            refused_epoch = core.links[self.index].refused_epoch
            self.problem = f"fenced by epoch {refused_epoch}" if refused_epoch else "the node does not become ready"
            return False
        stream = await self._open(answer.log_port)
        self.problem = ""
        self._stream = stream
        if core.on_met(self.index, answer):
            volume.on_vdl()
        self.pump()
        return True

    async def _perform(self, effect: HandshakeEffect) -> HandshakeAnswer:
        if isinstance(effect, SendFence):
            try:
                return await self.calls.fence(effect.epoch, effect.opened)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                return NoVolume()
        if isinstance(effect, SendDescriptor):
            return await self._write_descriptor(effect.descriptor)
        return await self.calls.truncate(effect.epoch, effect.range)

    async def _write_descriptor(self, descriptor: Descriptor) -> bool:
        meeting = self._meetings
        taken = await self.calls.write_descriptor(self._volume.core.epoch, descriptor)
        if taken and meeting == self._meetings:
            self._volume.on_taken(self.index, descriptor)
        return taken

    async def _open(self, log_port: int) -> GrpcStream:
        """The append stream: on the node's log port, else on the contract's, which any node serves."""
        if log_port and not self._log_port_mute:
            address = f"{self._address.rpartition(':')[0]}:{log_port}"
            try:
                stream = await open_stream(address, _METHOD, self._on_message, self._on_closed)
            except ConnectionError as error:
                logger.info("storage node %s: log port: %s", self.member.node_id, error)
            else:
                self._log_port_mute = True  # until its first message
                return stream
        return await open_stream(self._address, _METHOD, self._on_message, self._on_closed)

    async def _ask(self) -> None:
        meeting = self._meetings
        try:
            reply = await self.calls.stub.Status(pb.StatusRequest(), timeout=1.0)
        except grpc.aio.AioRpcError as error:
            self.problem = f"{error.code().name}: {error.details()}"
            return
        if meeting != self._meetings:
            return
        scls = read_states(reply.pgs)
        if self._volume.core.on_polled(self.index, reply.volume_epoch, reply.membership_epoch, scls):
            self._volume.on_vdl()

    async def newest_epoch(self) -> int | None:
        """The volume epoch that the node has adopted; None when it does not answer."""
        try:
            reply = await self.calls.stub.Status(pb.StatusRequest(), timeout=1.0)
        except grpc.aio.AioRpcError:
            return None
        return int(reply.volume_epoch) if reply.volume_id == self._volume.descriptor.volume_id else None

    async def _tell(self, descriptor: Descriptor) -> None:
        try:
            await self._write_descriptor(descriptor)
        except grpc.aio.AioRpcError as error:
            self.problem = f"{error.code().name}: {error.details()}"

    async def close(self) -> None:
        """End the stream and the channel."""
        tasks = [*self._errands, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # what they raised the volume was told
        await self.source.channel.close()
        await self.channel.close()
