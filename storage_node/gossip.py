"""Gossip: what peers have and this node has not, and how it gets it.

Every round this node tells one random peer its state and learns the peer's: epoch, truncation ranges, VDL, the SCL and
collected LSN of every PG. A PG that is behind this peer, and was behind what some peer had a round ago or earlier (so
the writer's own stream is not about to bring it), is fetched: the log after the SCL, or, when the peer has collected
beyond that, the pages first (storage_node/refill.py) and then the log. A node without a descriptor asks for one; a
damaged page is asked for until some peer can give it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.rpc import storage_pb2 as pb
from storage_node.coalesce import peer_chunk
from storage_node.effects import Call, Effect
from storage_node.repairs import LOG, Repairs
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import AnyNode

FETCH_TIMEOUT_S = 120.0
FETCHES_MAX = 4
"""PGs whose log or pages are fetched at the same time: each holds messages in memory."""
URGENT_ROUNDS = 12
URGENT_PAUSE_S = 0.02
"""Having found damage here, a node asks so many peers one soon after the other, until one has what is missing."""
REPAIR_PAGES = 64
"""Damaged pages that one peer is asked for at a time."""
CALM_ROUNDS = 8
CALM_FACTOR = 5
"""A node that has found itself up to date so many rounds running gossips so much less often until it does not."""

logger = logging.getLogger(__name__)


class Gossip:
    """One node's side of the exchange with its peers."""

    def __init__(self, node: AnyNode) -> None:
        self._node = node
        self.next_s = 0.0
        """When the next round is due, on the node's clock."""
        self.rounds = 0
        self.failed_calls = 0
        self.repairs = Repairs()
        self._calm = 0
        self._urgent = 0
        self._repairing: set[int] = set()
        """Damaged pages whose copies have come and are not stored yet."""
        self._known_scl: dict[int, int] = {}
        self._collected: dict[int, dict[str, int]] = {}
        """PG → node → what it said last of its collected LSN, 0 while it is hollow."""
        self._fetching: dict[int, Call] = {}

    @property
    def catching_up(self) -> bool:
        """Whether log or pages are being fetched."""
        return bool(self._fetching) or any(map(self._node.refill.holds, self._node.segments))

    def fetching(self, pg: int) -> bool:
        """Whether the PG's log or baseline is on its way from a peer."""
        return pg in self._fetching or self._node.refill.holds(pg)

    def hurry(self) -> None:
        """Something is missing here that peers can be expected to have: the next rounds begin at once."""
        self.next_s, self._urgent, self._calm = 0.0, URGENT_ROUNDS, 0

    def tick(self, now: float) -> list[Effect]:
        """Begin a round when it is time."""
        node = self._node
        if now < self.next_s:
            return []
        self._calm = self._calm + 1 if self._up_to_date() else 0
        pause_s = node.config.gossip_ms / 1000 * (0.75 + 0.5 * node.rng.random())
        self._urgent = max(0, self._urgent - 1) if self._calm <= 1 else 0
        self.next_s = now + (
            URGENT_PAUSE_S if self._urgent else pause_s * (CALM_FACTOR if self._calm > CALM_ROUNDS else 1)
        )
        peers = node.peers()
        if not peers:
            return []
        peer_id, address = min(peers.items()) if buggify("gossip-same-peer") else node.rng.choice(sorted(peers.items()))
        self.rounds += 1
        if node.descriptor is None:
            return [Call(peer_id, address, "ReadDescriptor", pb.ReadDescriptorRequest())]
        effects: list[Effect] = [Call(peer_id, address, "Gossip", node.gossip_request())]
        for segment in node.segments.values():
            if segment.broken and not node.refill.holds(segment.pg):
                effects += self._repairs(segment, peer_id, address)
        return effects

    def forget(self, pg: int) -> None:
        """The PG is held by others now: repairs of its pages that were on their way are not."""
        self._repairing = {page_no for page_no in self._repairing if self._node.pg_of(page_no) != pg}

    def known_scl(self, pg: int) -> int:
        """The highest SCL that was heard of, which may count what has become void."""
        return self._known_scl.get(pg, 0)

    def truncated(self) -> None:
        """Log that was heard of has become void: what peers have is to be heard anew."""
        self._known_scl.clear()

    def _up_to_date(self) -> bool:
        """Whether nothing is missing here as far as this node knows."""
        node = self._node
        return (
            node.descriptor is not None
            and not node.hollow
            and not self.catching_up
            and all(
                not segment.pending and not segment.broken and segment.scl >= self._known_scl.get(pg, 0)
                for pg, segment in node.segments.items()
            )
        )

    def _repairs(self, segment: Segment, peer_id: str, address: str) -> list[Effect]:
        node = self._node
        lsn = segment.last_lsn_upto(node.coalesce_limit(segment))
        request = pb.ReadPagesRequest(volume_id=node.volume_id, membership_epoch=node.membership_epoch)
        broken = sorted(i for i in segment.broken if segment.first_page + i not in self._repairing)
        if not broken:
            return []
        first = broken.index(node.rng.choice(broken)) if len(broken) > REPAIR_PAGES else 0
        for index in broken[first : first + REPAIR_PAGES]:
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
            self._take_log(call.request.pg, reply.batches)
            after = call.request.after_lsn
            done = node.segment(call.request.pg).scl - after
            self.repairs.progress(call.request.pg, len(reply.batches), done, reply.scl - after)
            if reply.collected:
                self._known_scl[call.request.pg] = max(self._known_scl.get(call.request.pg, 0), reply.scl)
        elif isinstance(reply, pb.ReadPagesReply):
            self._take_repair(call, reply)
        return []

    def _compare(self, call: Call, reply: pb.GossipReply) -> list[Effect]:
        node = self._node
        node.learn(reply)
        node.refill.hear(call.peer_id, list(reply.pgs))
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
            if segment.scl >= min(waited, state.scl) or self.fetching(state.pg):
                continue
            if len(self._fetching) >= FETCHES_MAX:
                break
            if node.memory.full and state.collected_lsn <= segment.scl:
                continue  # more log does not fit; a baseline would make room
            effects += self._fetch(call, segment, state)
        return effects

    def _collect_tail(self, segment: Segment) -> None:
        heard = self._collected[segment.pg]
        everywhere = min((heard.get(node_id, 0) for node_id in self._node.full_holders(segment.pg)), default=0)
        if everywhere > segment.collected_lsn:
            self._node.coalescer.collect_tail(segment, everywhere)

    def _fetch(self, call: Call, segment: Segment, state: pb.PgState) -> list[Effect]:
        node = self._node
        if state.collected_lsn > segment.scl and segment.tail:
            # What lies below is pages, which others keep: the log goes on from there.
            node.adopt_baseline(segment, state.collected_lsn, 0)
            return []
        if state.collected_lsn > segment.scl and node.is_tail(call.peer_id, state.pg):
            return []  # it has neither the log nor the pages: a full segment will be asked
        if state.collected_lsn > segment.scl:
            return node.refill.begin(segment)
        request = pb.FetchLogRequest(
            volume_id=node.volume_id, pg=state.pg, after_lsn=segment.scl, upto_lsn=segment.gap_end,
            membership_epoch=node.membership_epoch,
        )  # fmt: skip
        fetch = Call(call.peer_id, call.address, "FetchLog", request, streaming=True, timeout_s=FETCH_TIMEOUT_S)
        self._fetching[state.pg] = fetch
        self.repairs.begin(state.pg, LOG, call.peer_id, node.clock.monotonic(), max(0, state.scl - segment.scl))
        return [fetch]

    def _take_log(self, pg: int, batches: bytes) -> None:
        segment = self._node.segment(pg)
        before = segment.scl
        self._node.take_log(pg, batches)
        if segment.gap_end and segment.scl > before:
            self.hurry()  # there is another gap behind the one just filled

    def _take_repair(self, call: Call, reply: pb.ReadPagesReply) -> None:
        node = self._node
        if len(reply.pages) != len(call.request.pages):
            raise InvariantViolation(f"{len(reply.pages)} pages for {len(call.request.pages)} that were asked for")
        repaired: list[tuple[int, bytes]] = []
        for asked, page in zip(call.request.pages, reply.pages, strict=True):
            if node.pg_of(page.page_no) not in node.pgs:
                continue
            segment = node.segment(node.pg_of(page.page_no))
            index = page.page_no - segment.first_page
            if page.behind or page.collected or index not in segment.broken:
                continue
            if node.refill.holds(segment.pg):
                continue  # it may have the page from elsewhere; if not, it is asked for again afterwards
            if page.page_no not in self._repairing:
                logger.warning("page %d repaired from %s at LSN %d", page.page_no, call.peer_id, asked.read_point)
                repaired.append((page.page_no, page.image))
        if repaired:
            lsn = call.request.pages[0].read_point
            self._submit_repair(node.segment(node.pg_of(repaired[0][0])), repaired, lsn)
            self.hurry()

    def _submit_repair(self, segment: Segment, pages: list[tuple[int, bytes]], lsn: int) -> None:
        node = self._node
        self._repairing.update(page_no for page_no, _ in pages)

        def stored() -> None:
            self._repairing.difference_update(page_no for page_no, _ in pages)
            for index, _ in chunk.pages:  # those that were of use still; the others wait for a repair as before
                self.repairs.pages_repaired_total += 1
                node.cache.drop(segment.first_page + index)

        # Without an image: the peer's page is freed at the LSN asked for, and so is this one's successor.
        chunk = peer_chunk(segment, pages, stored)
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
