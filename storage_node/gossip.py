"""Gossip: what peers have and this node has not, and how it gets it.

Every round this node tells one random peer its state and learns the peer's: epoch, truncation ranges, VDL, the SCL and
collected LSN of every PG. A PG that is behind this peer, and was behind what some peer had a round ago or earlier (so
the writer's own stream is not about to bring it), is fetched: the log after the SCL, or, when the peer has collected
beyond that, its pages first and then the log. A node without a descriptor asks for one; a damaged page is asked for
until some peer can give it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aurora.rpc import storage_pb2 as pb
from storage_node.coalesce import peer_chunk
from storage_node.effects import Call, Effect
from storage_node.repairs import LOG, PAGES, Repairs
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import StorageNode

FETCH_TIMEOUT_S = 120.0
CALM_ROUNDS = 8
CALM_FACTOR = 5
"""A node that has found itself up to date so many rounds running gossips so much less often until it does not."""

logger = logging.getLogger(__name__)


class Gossip:
    """One node's side of the exchange with its peers."""

    def __init__(self, node: StorageNode[Any]) -> None:
        self._node = node
        self.next_s = 0.0
        """When the next round is due, on the node's clock."""
        self.rounds = 0
        self.failed_calls = 0
        self.repairs = Repairs()
        self._calm = 0
        self._known_scl: dict[int, int] = {}
        self._collected: dict[int, dict[str, int]] = {}
        """PG → node → what it said last of its collected LSN, 0 while it is hollow."""
        self._fetching: dict[int, Call] = {}
        self._baselines: dict[int, pb.FetchPagesReply] = {}

    @property
    def catching_up(self) -> bool:
        """Whether log or pages are being fetched."""
        return bool(self._fetching)

    def fetching(self, pg: int) -> bool:
        """Whether the PG's log or baseline is on its way from a peer."""
        return pg in self._fetching

    def fetching_pages(self, pg: int) -> bool:
        """Whether the PG's pages are on their way from a peer, or wait to be stored."""
        call = self._fetching.get(pg)
        return call is not None and call.method == "FetchPages"

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
        peer_id, address = node.rng.choice(sorted(peers.items()))
        self.rounds += 1
        if node.descriptor is None:
            return [Call(peer_id, address, "ReadDescriptor", pb.ReadDescriptorRequest())]
        effects: list[Effect] = [Call(peer_id, address, "Gossip", node.gossip_request())]
        for segment in node.segments.values():
            if segment.broken:
                effects += self._repairs(segment, peer_id, address)
        return effects

    def truncated(self) -> None:
        """Log that was heard of has become void: what peers have is to be heard anew."""
        self._known_scl.clear()

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
        elif call.streaming and call.request.pg not in node.pgs:
            return []  # the PG was given to another node meanwhile
        elif isinstance(reply, pb.FetchLogReply):
            node.take_log(call.request.pg, reply.batches)
            after = call.request.after_lsn
            done = node.segment(call.request.pg).scl - after
            self.repairs.progress(call.request.pg, len(reply.batches), done, reply.scl - after)
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
        theirs = (reply.descriptor_epoch, reply.descriptor_generation)
        if node.descriptor is not None and theirs > node.descriptor.version:
            effects.append(Call(call.peer_id, call.address, "ReadDescriptor", pb.ReadDescriptorRequest()))
        for state in reply.pgs:
            if state.pg not in node.pgs:
                continue
            segment = node.segment(state.pg)
            waited = self._known_scl.get(state.pg, 0)
            self._known_scl[state.pg] = max(waited, state.scl)
            self._collected.setdefault(state.pg, {})[call.peer_id] = 0 if state.hollow else state.collected_lsn
            if segment.tail:
                self._collect_tail(segment)
            if segment.scl >= min(waited, state.scl) or state.pg in self._fetching:
                continue
            fetch = self._fetch(call, segment, state)
            if fetch is not None:
                effects.append(fetch)
        return effects

    def _collect_tail(self, segment: Segment) -> None:
        heard = self._collected[segment.pg]
        everywhere = min((heard.get(node_id, 0) for node_id in self._node.full_holders(segment.pg)), default=0)
        if everywhere > segment.collected_lsn:
            self._node.coalescer.collect_tail(segment, everywhere)

    def _fetch(self, call: Call, segment: Segment, state: pb.PgState) -> Call | None:
        node = self._node
        if state.collected_lsn > segment.scl and segment.tail:
            # What lies below is pages, which others keep: the log goes on from there.
            node.adopt_baseline(segment, state.collected_lsn, 0)
            return None
        if state.collected_lsn > segment.scl and node.is_tail(call.peer_id, state.pg):
            return None  # it has neither the log nor the pages: a full segment will be asked
        if state.collected_lsn > segment.scl:
            logger.info(
                "PG %d: %s has collected to %d, this node has %d: its pages are fetched",
                state.pg, call.peer_id, state.collected_lsn, segment.scl,
            )  # fmt: skip
            method = "FetchPages"
            request: object = pb.FetchPagesRequest(
                volume_id=node.volume_id, pg=state.pg, membership_epoch=node.membership_epoch
            )
        else:
            method = "FetchLog"
            request = pb.FetchLogRequest(
                volume_id=node.volume_id, pg=state.pg, after_lsn=segment.scl, membership_epoch=node.membership_epoch
            )
        fetch = Call(call.peer_id, call.address, method, request, streaming=True, timeout_s=FETCH_TIMEOUT_S)
        self._fetching[state.pg] = fetch
        pages = method == "FetchPages"
        kind, total = (PAGES, 0) if pages else (LOG, max(0, state.scl - segment.scl))
        self.repairs.begin(state.pg, kind, call.peer_id, node.clock.monotonic(), total)
        return fetch

    def _take_pages(self, pg: int, reply: pb.FetchPagesReply) -> None:
        node = self._node
        segment = node.segment(pg)
        received = sum(len(page.image) for page in reply.pages)
        self.repairs.progress(pg, received, reply.pages_done, reply.pages_total)
        first, end = reply.first_page - segment.first_page, reply.end_page - segment.first_page

        def stored() -> None:
            segment.broken.difference_update(index for index in list(segment.broken) if first <= index < end)
            node.drop_range(reply.first_page, reply.end_page)
            if reply.last:
                node.adopt_baseline(segment, reply.baseline_lsn, reply.baseline_cpl)

        chunk = peer_chunk(segment, [(page.page_no, page.image) for page in reply.pages], stored)
        chunk.baseline_lsn, chunk.floor_lsn = reply.baseline_lsn, max(reply.floor_lsn, reply.baseline_lsn)
        chunk.unlisted, chunk.listed = range(first, end), frozenset(index for index, _ in chunk.pages)
        node.coalescer.submit(chunk)

    def _take_repair(self, call: Call, reply: pb.ReadPagesReply) -> None:
        node = self._node
        for asked, page in zip(call.request.pages, reply.pages, strict=True):
            if node.pg_of(page.page_no) not in node.pgs:
                continue
            segment = node.segment(node.pg_of(page.page_no))
            index = page.page_no - segment.first_page
            if page.behind or page.collected or index not in segment.broken:
                continue
            logger.warning("page %d repaired from %s at LSN %d", page.page_no, call.peer_id, asked.read_point)
            self._submit_repair(segment, page.page_no, page.image, asked.read_point)

    def _submit_repair(self, segment: Segment, page_no: int, image: bytes, lsn: int) -> None:
        node = self._node

        def stored() -> None:
            segment.broken.discard(page_no - segment.first_page)
            self.repairs.pages_repaired_total += 1
            node.drop_older(page_no, 1 << 62)

        # Without an image: the peer's page is freed at the LSN asked for, and so is this one's successor.
        chunk = peer_chunk(segment, [(page_no, image)], stored)
        chunk.floor_lsn, chunk.is_repair = lsn, True
        node.coalescer.submit(chunk)

    def on_end(self, call: Call) -> None:
        """The call's last reply has been handled."""
        if call.streaming:
            self._fetching.pop(call.request.pg, None)
            self.repairs.end(call.request.pg)

    def on_failed(self, call: Call, reason: str) -> None:
        """The call failed; the next round asks somebody else."""
        self.failed_calls += 1
        if call.streaming:
            logger.info("%s from %s: %s", call.method, call.peer_id, reason)
            self.repairs.end(call.request.pg, failed=True)
        self.on_end(call)
