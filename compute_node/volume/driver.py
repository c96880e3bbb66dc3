"""gRPC glue of recovery, and how a volume is set up and found.

``create`` writes a descriptor to an empty fleet, ``find`` reads it back by quorum from a list of addresses,
``recover`` runs the ``Recovery`` state machine against the members. Next stage: ``volume``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio

from aurora.errors import ConnectionFailure, ObjectNotInPrerequisiteState
from aurora.geometry import Descriptor, Member
from aurora.quorum import READ_SEGMENTS, WRITE_SEGMENTS
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from compute_node.volume.recovery import (
    Answer,
    AppendAnswer,
    Effect,
    FenceAnswer,
    LogAnswer,
    PgReport,
    Recovered,
    Recovery,
    SendAppend,
    SendFence,
    SendFetch,
    TruncateAnswer,
    TruncationRange,
)

logger = logging.getLogger(__name__)

RPC_TIMEOUT_S = 2.0
COPY_TIMEOUT_S = 30.0
TICK_S = 0.05


async def _ask_all(addresses: Iterable[str], ask: Any) -> list[Any]:
    """``await ask(stub)`` on every address at once; those that fail are left out."""

    async def one(address: str) -> Any:
        channel = open_channel(address)
        try:
            return await ask(storage_stub(channel))
        finally:
            await channel.close()

    results = await asyncio.gather(*(one(address) for address in addresses), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, grpc.aio.AioRpcError):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def create(members: Sequence[Member], pages_per_pg: int, volume_id: bytes | None = None) -> Descriptor:
    """Set a new volume up on six empty nodes; at least four must take the descriptor.

    ConnectionFailure (08006) when fewer answer, ObjectNotInPrerequisiteState (55000) when one belongs to a volume
    already.
    """
    descriptor = Descriptor(volume_id or uuid.uuid4().bytes, 1, 1, 1, pages_per_pg, tuple(members))
    request = pb.WriteDescriptorRequest(descriptor=descriptor.to_proto(pb.Descriptor()))
    replies = await _ask_all(
        [member.address for member in members], lambda stub: stub.WriteDescriptor(request, timeout=RPC_TIMEOUT_S)
    )
    for reply in replies:
        if not reply.ok:
            raise ObjectNotInPrerequisiteState(
                f"a storage node belongs to volume {bytes(reply.current.volume_id).hex()}"
            )
    if len(replies) < WRITE_SEGMENTS:
        raise ConnectionFailure(f"only {len(replies)} storage nodes took the new volume, {WRITE_SEGMENTS} are needed")
    return descriptor


async def find(addresses: Sequence[str], timeout_s: float) -> Descriptor | None:
    """The descriptor that a read quorum of the nodes at ``addresses`` agrees on, with members where they are found;
    None when they hold no volume.

    ConnectionFailure (08006) when fewer than three answer within ``timeout_s``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        replies = await _ask_all(
            addresses, lambda stub: stub.ReadDescriptor(pb.ReadDescriptorRequest(), timeout=RPC_TIMEOUT_S)
        )
        present = [reply.descriptor for reply in replies if reply.present]
        if len(present) >= READ_SEGMENTS:
            return await _relocated(
                Descriptor.from_proto(max(present, key=lambda descriptor: descriptor.generation)), addresses
            )
        if len(replies) == len(addresses) and not present:
            return None
        if loop.time() > deadline:
            raise ConnectionFailure(
                f"{len(replies)} of {len(addresses)} storage nodes answer, {len(present)} know a volume"
            )
        await asyncio.sleep(TICK_S)


async def _relocated(descriptor: Descriptor, addresses: Sequence[str]) -> Descriptor:
    """The descriptor with members at those of ``addresses`` where they answer now: nodes may have moved since it was
    written.
    """

    async def who(address: str) -> tuple[str, str] | None:
        replies = await _ask_all([address], lambda stub: stub.Status(pb.StatusRequest(), timeout=RPC_TIMEOUT_S))
        return (replies[0].node_id, address) if replies else None

    known = {member.address for member in descriptor.members}
    if known.issuperset(addresses):
        return descriptor
    found = dict(filter(None, await asyncio.gather(*map(who, addresses))))
    members = tuple(replace(member, address=found.get(member.node_id, member.address)) for member in descriptor.members)
    return replace(descriptor, members=members)


def read_fence(reply: Any) -> FenceAnswer:
    """A ``FenceReply`` message as recovery wants it."""
    return FenceAnswer(
        reply.adopted,
        reply.epoch,
        {pg.pg: PgReport(pg.scl, pg.highest_lsn, pg.collected_lsn, pg.vdl_hint) for pg in reply.pgs},
        frozenset(TruncationRange(span.epoch, span.vdl, span.upper) for span in reply.truncations),
        reply.log_port,
    )


class NodeCalls:
    """The calls of recovery to one node."""

    def __init__(self, volume_id: bytes, writer_id: str, channel: grpc.aio.Channel) -> None:
        self.volume_id = volume_id
        self.writer_id = writer_id
        self.stub = storage_stub(channel)

    async def fence(self, epoch: int) -> FenceAnswer:
        """Have the node adopt ``epoch``."""
        request = pb.FenceRequest(volume_id=self.volume_id, volume_epoch=epoch, writer_id=self.writer_id)
        return read_fence(await self.stub.Fence(request, timeout=RPC_TIMEOUT_S))

    async def truncate(self, epoch: int, span: TruncationRange) -> TruncateAnswer:
        """Have the node write a truncation range."""
        reply = await self.stub.Truncate(
            pb.TruncateRequest(
                volume_id=self.volume_id,
                volume_epoch=epoch,
                writer_id=self.writer_id,
                range=pb.Truncation(epoch=span.epoch, vdl=span.vdl, upper=span.upper),
            ),
            timeout=RPC_TIMEOUT_S,
        )
        return TruncateAnswer(reply.ok, reply.epoch)

    async def fetch(self, effect: SendFetch) -> LogAnswer:
        """Read log."""
        request = pb.FetchLogRequest(
            volume_id=self.volume_id, pg=effect.pg, after_lsn=effect.after, upto_lsn=effect.upto
        )
        parts: list[bytes] = []
        collected = False
        async for reply in self.stub.FetchLog(request, timeout=COPY_TIMEOUT_S):
            parts.append(reply.batches)
            collected = collected or reply.collected
        return LogAnswer(b"".join(parts), collected)

    async def append(self, effect: SendAppend) -> AppendAnswer:
        """Copy log to the node."""
        message = pb.AppendRequest(
            volume_id=self.volume_id,
            volume_epoch=effect.epoch,
            writer_id=self.writer_id,
            sequence=1,
            batches=effect.frames,
        )
        call = self.stub.AppendLog(iter((message,)), timeout=COPY_TIMEOUT_S)
        async for reply in call:
            if reply.error:
                raise ConnectionError(f"append refused: {reply.error}")
            return AppendAnswer({entry.pg: entry.lsn for entry in reply.scl}, reply.refused_epoch)
        raise ConnectionError("append stream ended without an answer")

    async def perform(self, effect: Effect) -> Answer:
        """Carry one effect out."""
        if isinstance(effect, SendFence):
            return await self.fence(effect.epoch)
        if isinstance(effect, SendFetch):
            return await self.fetch(effect)
        if isinstance(effect, SendAppend):
            return await self.append(effect)
        return await self.truncate(effect.epoch, effect.range)


async def recover(calls: Sequence[NodeCalls], read_only_after_s: float | None = None) -> Recovered:
    """Run recovery to its end, however long the nodes take. Raises ``Superseded`` when a newer writer took over."""
    recovery = Recovery(read_only_ticks=None if read_only_after_s is None else int(read_only_after_s / TICK_S))
    answers: asyncio.Queue[tuple[Effect, Answer | Exception | None]] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def perform(effect: Effect, call: Awaitable[Answer]) -> None:
        try:
            answer: Answer | Exception | None = await call
        except (grpc.aio.AioRpcError, ConnectionError) as error:
            logger.debug("recovery: %s of node %d: %s", type(effect).__name__, effect.node, error)
            answer = None
        except Exception as error:
            answer = error  # a defect: it ends the recovery below
        answers.put_nowait((effect, answer))

    def send(effects: Iterable[Effect]) -> None:
        for effect in effects:
            task = asyncio.ensure_future(perform(effect, calls[effect.node].perform(effect)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    loop = asyncio.get_running_loop()
    try:
        send(recovery.start())
        next_tick = loop.time() + TICK_S
        while recovery.result is None:
            try:
                effect, answer = await asyncio.wait_for(answers.get(), max(0.0, next_tick - loop.time()))
            except TimeoutError:
                next_tick = loop.time() + TICK_S
                send(recovery.tick())
            else:
                if isinstance(answer, Exception):
                    raise answer
                send(recovery.on_reply(effect, answer))
        return recovery.result
    finally:
        for task in list(tasks):
            task.cancel()
