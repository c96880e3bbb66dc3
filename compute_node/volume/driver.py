"""gRPC glue of recovery, and how a volume is set up and found.

``create`` writes a descriptor to an empty fleet, ``find`` reads it back by quorum from a list of addresses,
``recover`` runs the ``Recovery`` state machine against the members. Next stage: ``volume``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import grpc
import grpc.aio

from aurora.errors import ConnectionFailure, ObjectNotInPrerequisiteState
from aurora.geometry import Descriptor, Member, newest_known
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from compute_node.volume.messages import Requests, read_copy, read_fence, read_log, read_truncate
from compute_node.volume.recovery import (
    Answer,
    AppendAnswer,
    Effect,
    FenceAnswer,
    LogAnswer,
    Outdated,
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


async def _ask_each(addresses: Iterable[str], ask: Any) -> dict[str, Any]:
    """``await ask(stub)`` on every address at once, by address; those that fail are left out."""
    addresses = list(addresses)

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
    return {
        address: result
        for address, result in zip(addresses, results, strict=True)
        if not isinstance(result, BaseException)
    }


async def create(
    members: Sequence[Member], pages_per_pg: int, volume_id: bytes | None = None, tails: bool = False
) -> Descriptor:
    """Set a new volume up on empty nodes, two or more in each of three zones; a write quorum of PG 0 must take the
    descriptor. ``tails``: three of a PG's six segments keep log only.

    ConnectionFailure (08006) when too few answer, ObjectNotInPrerequisiteState (55000) when one belongs to a volume
    already.
    """
    descriptor = initial(volume_id or uuid.uuid4().bytes, members, pages_per_pg, tails=tails)
    request = pb.WriteDescriptorRequest(descriptor=descriptor.to_proto(pb.Descriptor()))
    replies = await _ask_each(
        [member.address for member in members], lambda stub: stub.WriteDescriptor(request, timeout=RPC_TIMEOUT_S)
    )
    for reply in replies.values():
        if not reply.ok:
            raise ObjectNotInPrerequisiteState(
                f"a storage node belongs to volume {bytes(reply.current.volume_id).hex()}"
            )
    took = sum(1 << index for index, node in enumerate(descriptor.nodes) if node.address in replies)
    if not descriptor.write_quorum(0).satisfied(took):
        raise ConnectionFailure(f"only {len(replies)} storage nodes took the new volume, which is no write quorum")
    return descriptor


class Introduction(NamedTuple):
    """What a node says of itself: its id, where it answers, and its descriptor, None while it belongs to no volume."""

    node_id: str
    address: str
    descriptor: Descriptor | None


async def find(addresses: Sequence[str], timeout_s: float) -> Descriptor | None:
    """The newest descriptor that the nodes at ``addresses`` know of their volume, once those that belong to it are a
    read quorum of its PG 0, with nodes where they are found; None when all answer and none holds a volume.

    Nodes of another volume are named in the log and left out. ConnectionFailure (08006) when too few answer within
    ``timeout_s``, ObjectNotInPrerequisiteState (55000) when there is such a quorum of more than one volume. Recovery
    looks again: it may still be told of a newer descriptor.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        answered = await introductions(addresses)
        volumes: dict[bytes, list[Introduction]] = {}
        for node in answered:
            if node.descriptor is not None:
                volumes.setdefault(node.descriptor.volume_id, []).append(node)
        if not volumes and len(answered) == len(addresses):
            return None
        there = [(_newest(nodes), nodes) for nodes in volumes.values()]
        found = [(newest, nodes) for newest, nodes in there if newest is not None]
        if len(found) > 1:
            raise ObjectNotInPrerequisiteState(
                f"the storage nodes hold {len(found)} volumes: which is meant?", detail=_in_words(volumes)
            )
        if found:
            [(newest, nodes)] = found
            if len(volumes) > 1:
                logger.error("some storage nodes belong to another volume and are left out: %s", _in_words(volumes))
            return relocated(newest, {node.node_id: node.address for node in nodes})
        if loop.time() > deadline:
            raise ConnectionFailure(
                f"{len(answered)} of {len(addresses)} storage nodes answer, which is a read quorum of no volume",
                detail=_in_words(volumes) or "None of them knows a volume.",
            )
        await asyncio.sleep(TICK_S)


def _newest(nodes: Sequence[Introduction]) -> Descriptor | None:
    descriptors = [node.descriptor for node in nodes if node.descriptor is not None]
    return newest_known(descriptors, [node.node_id for node in nodes])


def _in_words(volumes: Mapping[bytes, Sequence[Introduction]]) -> str:
    return "; ".join(
        f"volume {volume_id.hex()}: {', '.join(f'{node.node_id} at {node.address}' for node in nodes)}"
        for volume_id, nodes in volumes.items()
    )


async def introductions(addresses: Iterable[str]) -> list[Introduction]:
    """What the nodes that answer say of themselves."""

    async def ask(stub: Any) -> tuple[Any, Any]:
        return await asyncio.gather(
            stub.Status(pb.StatusRequest(), timeout=RPC_TIMEOUT_S),
            stub.ReadDescriptor(pb.ReadDescriptorRequest(), timeout=RPC_TIMEOUT_S),
        )

    return [
        Introduction(status.node_id, address, Descriptor.from_proto(reply.descriptor) if reply.present else None)
        for address, (status, reply) in (await _ask_each(addresses, ask)).items()
    ]


def relocated(descriptor: Descriptor, found: Mapping[str, str]) -> Descriptor:
    """The descriptor with nodes where they were found: they may have moved since it was written."""
    nodes = tuple(replace(node, address=found.get(node.node_id, node.address)) for node in descriptor.nodes)
    return replace(descriptor, nodes=nodes)


class NodeCalls:
    """The calls of recovery and of the handshake to one node."""

    def __init__(self, requests: Requests, channel: grpc.aio.Channel) -> None:
        self.requests = requests
        self.stub = storage_stub(channel)

    async def fence(self, epoch: int, opened: bool = False) -> FenceAnswer:
        """Have the node adopt ``epoch``; ``opened``: the volume is open under it."""
        return read_fence(await self.stub.Fence(self.requests.fence(epoch, opened), timeout=RPC_TIMEOUT_S))

    async def truncate(self, epoch: int, span: TruncationRange, descriptor: Descriptor | None = None) -> TruncateAnswer:
        """Have the node write a truncation range, and take the descriptor."""
        request = self.requests.truncate(epoch, span, descriptor)
        return read_truncate(await self.stub.Truncate(request, timeout=RPC_TIMEOUT_S))

    async def write_descriptor(self, epoch: int, descriptor: Descriptor) -> bool:
        """Have the node take the descriptor; whether it has it now."""
        request = self.requests.write_descriptor(epoch, descriptor)
        reply = await self.stub.WriteDescriptor(request, timeout=RPC_TIMEOUT_S)
        return bool(reply.ok)

    async def fetch(self, effect: SendFetch) -> LogAnswer:
        """Read log, all or as much as is asked for."""
        call = self.stub.FetchLog(self.requests.fetch(effect), timeout=COPY_TIMEOUT_S)
        replies, read_bytes = [], 0
        async for reply in call:
            replies.append(reply)
            read_bytes += len(reply.batches)
            if effect.most_bytes is not None and read_bytes >= effect.most_bytes:
                call.cancel()
                break
        return read_log(replies)

    async def append(self, effect: SendAppend) -> AppendAnswer:
        """Copy log to the node."""
        call = self.stub.AppendLog(iter((self.requests.copy(effect),)), timeout=COPY_TIMEOUT_S)
        async for reply in call:
            answer = read_copy(reply)
            if answer is None:
                raise ConnectionError(f"append refused: {reply.error}")
            return answer
        raise ConnectionError("append stream ended without an answer")

    async def perform(self, effect: Effect) -> Answer:
        """Carry one effect out."""
        if isinstance(effect, SendFence):
            return await self.fence(effect.epoch, effect.opened)
        if isinstance(effect, SendFetch):
            return await self.fetch(effect)
        if isinstance(effect, SendAppend):
            return await self.append(effect)
        return await self.truncate(effect.epoch, effect.range, effect.descriptor)


async def recover(
    descriptor: Descriptor,
    calls_of: Callable[[Descriptor], Sequence[NodeCalls]],
    read_only_after_s: float | None = None,
    reading_epoch: int = 0,
) -> Recovered:
    """Run recovery to its end, however long the nodes take. ``calls_of``: the calls to each node of a descriptor, by
    node index. ``reading_epoch``: under which this writer reads already, 0: none. Raises ``Superseded`` when a newer
    writer took over.
    """
    epoch = max(1, reading_epoch)
    while True:
        ticks = None if read_only_after_s is None else int(read_only_after_s / TICK_S)
        recovery = Recovery(
            descriptor, epoch, ticks, reads=bool(reading_epoch), draw=lambda most: random.randint(1, most)
        )
        try:
            return await _run(recovery, calls_of(descriptor))
        except Outdated as error:
            logger.info("recovery begins again: %s", error)
            found = {node.node_id: node.address for node in descriptor.nodes}
            descriptor, epoch = relocated(error.descriptor, found), error.epoch


async def _run(recovery: Recovery, calls: Sequence[NodeCalls]) -> Recovered:
    answers: asyncio.Queue[tuple[Effect, Answer | Exception | None]] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()
    problems: dict[int, str] = {}

    async def perform(effect: Effect, call: Awaitable[Answer]) -> None:
        try:
            answer: Answer | Exception | None = await call
        except (grpc.aio.AioRpcError, ConnectionError) as error:
            problem = (
                f"{error.code().name}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else str(error)
            )
            if problem != problems.get(effect.node):
                problems[effect.node] = problem
                node_id = recovery.descriptor.nodes[effect.node].node_id
                logger.info("recovery: %s to storage node %s: %s", type(effect).__name__, node_id, problem)
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
