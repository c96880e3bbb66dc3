"""What carries a storage node's effects out: calls that fail, peers that send nonsense, a disk that refuses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from storage_tools import VOLUME, RefusingDisk, Writer, append, make_node, read

from aurora.rpc import storage_pb2 as pb
from aurora.seams import SystemClock
from aurora.sim.disk import SimDisk
from storage_node.background import Background
from storage_node.node import StorageFailed, StorageNode
from tests.log_rule import DAMAGE, DISK_REFUSES

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES, r"gave what cannot be used")

WAIT_S = 20.0
Node = StorageNode[int]
Answer = Callable[[str, Any], Any]
"""``(method, request)`` → the reply, a list of them for a stream; raises when there is none."""


class OnePeer:
    """A net behind which every address is the same peer. ``asked`` counts the calls by method."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: dict[str, int] = {}

    def _ask(self, method: str, request: Any) -> Any:
        self.asked[method] = self.asked.get(method, 0) + 1
        return self._answer(method, request)

    async def unary(self, address: str, method: str, request: Any, timeout_s: float) -> Any:
        """See ``Net``."""
        return self._ask(method, request)

    async def stream(self, address: str, method: str, request: Any, timeout_s: float) -> AsyncIterator[Any]:
        """See ``Net``."""
        for reply in self._ask(method, request):
            yield reply


def served_by(peer: Node) -> Answer:
    """The peer's own handlers."""
    handlers = {
        "Gossip": peer.on_gossip, "FetchLog": peer.on_fetch_log, "FetchRange": peer.on_fetch_range,
        "ReadDescriptor": peer.on_read_descriptor, "ReadPages": peer.on_read,
    }  # fmt: skip

    def answer(method: str, request: Any) -> Any:
        reply = handlers[method](request)
        return list(reply) if method == "FetchLog" else reply

    return answer


def run_until(node: Node, net: OnePeer, done: Callable[[], bool]) -> None:
    """Background work until ``done``. What the work raises comes out."""

    async def watched() -> None:
        work = asyncio.create_task(Background(node, net).run())
        async with asyncio.timeout(WAIT_S):
            while not done() and not work.done():
                await asyncio.sleep(0.005)
        if work.done():
            await work
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(watched())


def behind() -> tuple[Node, Node, RefusingDisk, Writer]:
    """A node that lacks log that its peer has."""
    disk = RefusingDisk()
    node = make_node(disk, SystemClock(), "n0", gossip_ms=10)
    peer, writer = make_node(SimDisk(), SystemClock(), "n1"), Writer(random.Random(1))
    append(peer, writer.frames(30))
    return node, peer, disk, writer


def caught_up(node: Node, writer: Writer) -> bool:
    """Whether the node has all log."""
    return node.segment(0).scl == writer.log.last_lsn


def test_what_is_missing_comes_from_the_peer() -> None:
    node, peer, _, writer = behind()
    run_until(node, OnePeer(served_by(peer)), lambda: caught_up(node, writer))
    last = writer.log.last_lsn
    assert all(read(node, writer, page_no, last).image == writer.at(page_no, last) for page_no in range(8))


def test_a_disk_that_refuses_fetched_log_is_told_and_tried_again() -> None:
    node, peer, disk, writer = behind()
    net = OnePeer(served_by(peer))
    disk.refuses.add("log")

    def room_again() -> bool:
        if "No space left" in node.note:
            disk.refuses.clear()
        return caught_up(node, writer)

    run_until(node, net, room_again)
    assert net.asked["FetchLog"] > 1
    assert not disk.refuses and not node.note


def test_a_disk_that_refuses_what_gossip_brings_does_not_end_the_node() -> None:
    node, peer, disk, writer = behind()
    peer.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=5, writer_id="w5"))
    disk.refuses.update(("meta", "meta-copy"))

    def room_again() -> bool:
        if disk.refuses:
            assert node.epoch < 5, "adopted, and not durably"
            if node.note:
                disk.refuses.clear()
        return node.epoch == 5 and caught_up(node, writer)

    run_until(node, OnePeer(served_by(peer)), room_again)
    assert not disk.refuses and not node.note


def test_a_peer_that_cannot_be_reached_or_sends_nonsense_is_asked_again_later() -> None:
    node, peer, _, writer = behind()
    honest = served_by(peer)
    fetches = 0

    def answer(method: str, request: Any) -> Any:
        nonlocal fetches
        if method == "FetchLog":
            fetches += 1
            if fetches == 1:
                raise ConnectionError("cut")
            if fetches == 2:
                return [pb.FetchLogReply(batches=b"no batch at all")]
        return honest(method, request)

    run_until(node, OnePeer(answer), lambda: caught_up(node, writer))
    assert fetches > 2 and node.gossip.failed_calls == 2


def test_a_descriptor_that_cannot_be_accepted_does_not_end_the_node() -> None:
    node, peer, _, writer = behind()
    honest = served_by(peer)
    strange = pb.Descriptor()
    strange.CopyFrom(peer.meta.value.descriptor)
    strange.pages_per_pg += 1
    strange.generation += 1

    def answer(method: str, request: Any) -> Any:
        if method == "ReadDescriptor":
            return pb.ReadDescriptorReply(present=True, descriptor=strange)
        reply = honest(method, request)
        if method == "Gossip":
            reply.descriptor_generation = strange.generation
        return reply

    net = OnePeer(answer)
    run_until(node, net, lambda: caught_up(node, writer) and net.asked.get("ReadDescriptor", 0) > 1)
    assert node.gossip.failed_calls


def test_a_peer_that_repairs_fewer_pages_than_asked_for_is_not_believed() -> None:
    node, peer, _, writer = behind()
    honest, fewer = served_by(peer), 0
    run_until(node, OnePeer(honest), lambda: caught_up(node, writer))
    last = writer.log.last_lsn
    for each in (node, peer):
        each.vdl = each.pgmrpl = last
    node.segment(0).broken.update((1, 2))

    def answer(method: str, request: Any) -> Any:
        nonlocal fewer
        reply = honest(method, request)
        if method == "ReadPages" and fewer < 2:
            fewer += 1
            del reply.pages[1:]
        return reply

    run_until(node, OnePeer(answer), lambda: not node.segment(0).broken)
    assert fewer == 2


def coalescing() -> tuple[Node, RefusingDisk, Writer]:
    """A node that is about to store pages."""
    disk = RefusingDisk()
    node, writer = make_node(disk, SystemClock(), "n0", coalesce_log_mb=0.001), Writer(random.Random(2))
    frames = writer.frames(40)
    append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    return node, disk, writer


def nobody(method: str, request: Any) -> Any:
    """There is no peer."""
    raise ConnectionError(f"no answer to {method}")


def test_a_page_file_that_cannot_be_synced_ends_the_node() -> None:
    node, disk, _ = coalescing()
    disk.sync_fails = True
    with pytest.raises(StorageFailed, match="sync of torn-0"):
        run_until(node, OnePeer(nobody), lambda: False)
    assert not node.segment(0).collected_lsn, "collected what may not be stored"
