"""Gossip: what peers have and this node has not, and how it gets it.

Every round this node tells one random peer its state and learns the peer's: epoch, truncation ranges, VDL, the SCL and
collected LSN of every PG. A PG that was behind what a peer had one round ago and still is (so the writer's own stream
is not about to bring it) is fetched: the log after the SCL, or, when the peer has collected beyond that, its pages
first and then the log. A node without a descriptor asks for one; a damaged page is asked for until some peer can give
it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aurora.buggify import buggify
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node.coalesce import peer_chunk
from storage_node.effects import Call, Effect
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import StorageNode

FETCH_TIMEOUT_S = 120.0
CALM_ROUNDS = 8
CALM_FACTOR = 5
"""A node that has found itself up to date so many rounds running gossips so much less often until it does not."""

_NEVER_WRITTEN = bytes(PAGE_BYTES)
"""What a damaged page is replaced with that was a hole of the page store."""

logger = logging.getLogger(__name__)


class Gossip:
    """One node's side of the exchange with its peers."""

    def __init__(self, node: StorageNode[Any]) -> None:
        self._node = node
        self.next_s = 0.0
        """When the next round is due, on the node's clock."""
        self._calm = 0
        self._known_scl: dict[int, int] = {}
        self._fetching: dict[int, Call] = {}
        self._baselines: dict[int, pb.FetchPagesReply] = {}

    @property
    def catching_up(self) -> bool:
        """Whether log or pages are being fetched."""
        return bool(self._fetching)

    def fetching(self, pg: int) -> bool:
        """Whether the PG's log or baseline is on its way from a peer."""
        return pg in self._fetching

    def tick(self, now: float) -> list[Effect]:
        """Begin a round when it is time."""
        node = self._node
        if now < self.next_s:
            return []
        self._calm = self._calm + 1 if self._up_to_date() else 0
        pause_s = node.config.gossip_ms / 1000 * (0.75 + 0.5 * node.rng.random())
        self.next_s = now + pause_s * (CALM_FACTOR if self._calm > CALM_ROUNDS else 1)
        peers = node.peers()
        if not peers:
            return []
        peer_id, address = min(peers.items()) if buggify("gossip-same-peer") else node.rng.choice(sorted(peers.items()))
        if node.descriptor is None:
            return [Call(peer_id, address, "ReadDescriptor", pb.ReadDescriptorRequest())]
        effects: list[Effect] = [Call(peer_id, address, "Gossip", node.gossip_request())]
        for segment in node.segments.values():
            if segment.broken:
                effects += self._repairs(segment, peer_id, address)
        return effects

    def _up_to_date(self) -> bool:
        """Whether nothing is missing here as far as this node knows."""
        node = self._node
        return (
            node.descriptor is not None
            and not self._fetching
            and all(
                not segment.pending and not segment.broken and segment.scl >= self._known_scl.get(pg, 0)
                for pg, segment in node.segments.items()
            )
        )

    def _repairs(self, segment: Segment, peer_id: str, address: str) -> list[Effect]:
        node = self._node
        lsn = segment.last_lsn_upto(node.coalesce_limit(segment))
        request = pb.ReadPagesRequest(volume_id=node.volume_id)
        for index in sorted(segment.broken)[:16]:
            request.pages.add(page_no=segment.first_page + index, pg_lsn=lsn, read_point=lsn)
        return [Call(peer_id, address, "ReadPages", request)]

    # --- replies

    def on_reply(self, call: Call, reply: object) -> list[Effect]:
        """A reply to one of this module's calls."""
        node = self._node
        if isinstance(reply, pb.GossipReply):
            return self._compare(call, reply)
        if isinstance(reply, pb.ReadDescriptorReply):
            if reply.present:
                node.install_descriptor(reply.descriptor)
        elif isinstance(reply, pb.FetchLogReply):
            node.take_log(call.request.pg, reply.batches)
            if reply.collected:
                self._known_scl[call.request.pg] = max(self._known_scl.get(call.request.pg, 0), reply.scl)
        elif isinstance(reply, pb.FetchPagesReply):
            self._take_pages(call.request.pg, reply)
        elif isinstance(reply, pb.ReadPagesReply):
            self._take_repair(call, reply)
        return []

    def _compare(self, call: Call, reply: pb.GossipReply) -> list[Effect]:
        node = self._node
        node.learn(reply)
        effects: list[Effect] = []
        if node.descriptor is not None and reply.descriptor_generation > node.descriptor.generation:
            effects.append(Call(call.peer_id, call.address, "ReadDescriptor", pb.ReadDescriptorRequest()))
        for state in reply.pgs:
            segment = node.segment(state.pg)
            waited, self._known_scl[state.pg] = self._known_scl.get(state.pg, 0), state.scl
            enough = state.scl if buggify("gossip-fetches-at-once") else min(waited, state.scl)
            if segment.scl >= enough or state.pg in self._fetching:
                continue
            effects.append(self._fetch(call, segment, state))
        return effects

    def _fetch(self, call: Call, segment: Segment, state: pb.PgState) -> Call:
        node = self._node
        if state.collected_lsn > segment.scl:
            logger.info(
                "PG %d: %s has collected to %d, this node has %d: its pages are fetched",
                state.pg, call.peer_id, state.collected_lsn, segment.scl,
            )  # fmt: skip
            method = "FetchPages"
            request: object = pb.FetchPagesRequest(volume_id=node.volume_id, pg=state.pg)
        else:
            method = "FetchLog"
            request = pb.FetchLogRequest(volume_id=node.volume_id, pg=state.pg, after_lsn=segment.scl)
        fetch = Call(call.peer_id, call.address, method, request, streaming=True, timeout_s=FETCH_TIMEOUT_S)
        self._fetching[state.pg] = fetch
        return fetch

    def _take_pages(self, pg: int, reply: pb.FetchPagesReply) -> None:
        node = self._node
        segment = node.segment(pg)

        def stored() -> None:
            for page in reply.pages:
                segment.broken.discard(page.page_no - segment.first_page)
                node.drop_older(page.page_no, 1 << 62)
            if reply.last:
                node.adopt_baseline(segment, reply.baseline_lsn, reply.baseline_cpl)

        images = [(page.page_no, page.image) for page in reply.pages]
        node.coalescer.submit(peer_chunk(segment, images, stored, reply.baseline_lsn))

    def _take_repair(self, call: Call, reply: pb.ReadPagesReply) -> None:
        node = self._node
        for asked, page in zip(call.request.pages, reply.pages, strict=True):
            segment = node.segment(node.pg_of(page.page_no))
            index = page.page_no - segment.first_page
            if page.behind or page.collected or index not in segment.broken:
                continue
            logger.warning("page %d repaired from %s at LSN %d", page.page_no, call.peer_id, asked.read_point)
            self._submit_repair(segment, page.page_no, page.image or _NEVER_WRITTEN)

    def _submit_repair(self, segment: Segment, page_no: int, image: bytes) -> None:
        node = self._node

        def stored() -> None:
            segment.broken.discard(page_no - segment.first_page)
            node.drop_older(page_no, 1 << 62)

        node.coalescer.submit(peer_chunk(segment, [(page_no, image)], stored))

    def on_end(self, call: Call) -> None:
        """The call's last reply has been handled."""
        if call.streaming:
            self._fetching.pop(call.request.pg, None)

    def on_failed(self, call: Call, reason: str) -> None:
        """The call failed; the next round asks somebody else."""
        if call.streaming:
            logger.info("%s from %s: %s", call.method, call.peer_id, reason)
        self.on_end(call)
