"""Which of a node's segments do not count yet.

Input: descriptors, the states of peers → output: its *hollow* segments (``HollowSegments``): those that have not been
filled since the node lost them or was given them. A hollow segment may have forgotten, or never have had, records
that were acknowledged with its slot's help, so it counts in no quorum: not as a voter in recovery, nor with an ack.

It is filled once this node has heard the SCLs of so many other holders that no write quorum can be made without them,
and has reached the highest of these: then it lacks nothing that was acknowledged before; what is acknowledged since
then counts it only by its own acks. What the peers knew of epochs and truncations came with their states. (The
argument is that of recovery after amnesia in Viewstamped Replication.)

*Before* and *since* need a point in time, for an ack that the node gave and forgot may be counted with others that come
later. So nothing is heard until the writer of the node's epoch has fenced it anew; that writer counts none of its older
acks from there on (``WriterCore.on_meeting``), and peers are heard under the same epoch alone, so that they acknowledge
nothing to older writers any more.

A node whose first descriptor was not that of the volume's creation is *forgetful* (``StorageNode.forgetful``): that
descriptor may be older than what the node once knew. A PG that it hears of later is hollow too, unless the epoch's
writer has told it the descriptor before: then the PG was made since. Once that is so and nothing is hollow any more,
the node is forgetful no longer.

Invariants: a segment becomes hollow when its node joins a PG that is older than the node's memory, becomes a candidate
anew, or begins to overwrite its stored pages in place (a refill); it is never hollow because its log has a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aurora.geometry import Descriptor
from aurora.page import PAGE_BYTES
from aurora.quorum import Quorum
from aurora.rpc import storage_pb2 as pb
from storage_node.effects import Effect, SyncFile
from storage_node.page_store import page_lsn
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import AnyNode

LOOK_PAGES = 64
"""Stored pages that are looked at between two glances at the clock."""

logger = logging.getLogger(__name__)


def joins_hollow(
    node_id: str, pg: int, old: Descriptor | None, new: Descriptor, *, created: bool, forgetful: bool = False
) -> bool | None:
    """Whether the node's segment of the PG is hollow under a descriptor that it takes now; None: as it was before.

    ``created``: the descriptor came with the volume's creation, so an empty node has forgotten nothing. ``forgetful``:
    there may be PGs that it has held and forgotten.
    """
    group = new.groups[pg]
    before = old.groups[pg] if old is not None and pg < len(old.groups) else None
    if before is not None and before.slot_of(node_id) is not None:
        again = group.is_candidate(node_id) and group.membership_epoch != before.membership_epoch
        return True if again else None
    if old is None:
        return not created
    # A PG made since the node last looked, with the node in it from the first, has nothing that the node could lack.
    return forgetful or not (before is None and group.membership_epoch == 1)


@dataclass
class Filling:
    """What a node has heard of a PG since its segment became hollow: node index → SCL, the first that was heard.

    ``torn``: it forgot nothing, but its stored pages are being overwritten; a baseline makes it whole, or that every
    page has been looked at (``checked`` of them so far) and the chain reaches the newest of them (``newest_lsn``).
    """

    torn: bool = False
    checked: int = 0
    newest_lsn: int = 0
    heard: dict[int, int] = field(default_factory=dict)

    def hear(self, node: int, scl: int) -> None:
        """A holder whose segment is not hollow has this SCL."""
        self.heard.setdefault(node, scl)

    def filled(self, scl: int, nodes: int, quorum: Quorum) -> bool:
        """Whether a segment with this SCL lacks nothing; ``nodes``: how many the fleet has. ``quorum``: see
        ``Descriptor.settled_quorum``.
        """
        if self.torn:
            return False
        others = (1 << nodes) - 1
        for node in self.heard:
            others &= ~(1 << node)
        return scl >= max(self.heard.values(), default=0) and not quorum.satisfied(others)


def states_of(message: pb.GossipRequest | pb.GossipReply) -> dict[int, int]:
    """PG → SCL of the sender's segments that are not hollow."""
    return {state.pg: state.scl for state in message.pgs if not state.hollow}


class HollowSegments:
    """Those of one node. ``filling``: PG → what is known of how it fills. ``pg in`` and iteration are of PGs."""

    def __init__(self, node: AnyNode) -> None:
        self._node = node
        self.filling: dict[int, Filling] = {}
        self._met = False
        """Whether the writer of the node's epoch has fenced it since it started."""
        self._syncing: dict[str, Filling] = {}
        """Page files whose every page has been looked at, until they are synced."""

    def __contains__(self, pg: int) -> bool:
        return pg in self.filling

    def __iter__(self) -> Iterator[int]:
        return iter(self.filling)

    def __len__(self) -> int:
        return len(self.filling)

    def load(self, held: pb.SegmentMeta) -> None:
        """What the meta file says of a segment."""
        if held.hollow:
            self.filling[held.pg] = Filling(held.torn)

    def mark(self, meta: pb.SegmentMeta) -> None:
        """Say in the meta file whether the segment is hollow."""
        meta.hollow = meta.pg in self.filling
        meta.torn = meta.hollow and self.filling[meta.pg].torn

    def under(self, wanted: Descriptor, *, created: bool) -> dict[int, Filling]:
        """What ``filling`` is to be once the node has taken the descriptor."""
        node_id = self._node.config.node_id
        after = {}
        for pg in sorted(wanted.groups_of(node_id)):
            hollow = joins_hollow(
                node_id, pg, self._node.descriptor, wanted, created=created, forgetful=self._node.forgetful
            )
            if hollow:
                after[pg] = Filling()
            elif hollow is None and pg in self.filling:
                after[pg] = self.filling[pg]
        return after

    def begin(self, segment: Segment) -> None:
        """Before stored pages are overwritten in place: until the segment is whole again it is hollow, durably.
        OSError when the disk refuses that: it is not hollow then.
        """
        if segment.pg not in self.filling:
            self.filling[segment.pg] = Filling(torn=True)
            try:
                self._node.remember_segments()
            except OSError:
                del self.filling[segment.pg]
                raise
        self._node.meta.settle()

    def truncated(self) -> None:
        """Log that was heard of has become void."""
        self._forget_heard()

    @property
    def unmet(self) -> bool:
        """Whether a segment cannot begin to fill before the node has been fenced."""
        return not self._met and self.lacking

    @property
    def lacking(self) -> bool:
        """Whether a segment may lack what the node held once."""
        return not all(filling.torn for filling in self.filling.values())

    def adopted(self) -> None:
        """The node has adopted a newer epoch: its writer may count what the node acknowledged before a loss."""
        self._met = False
        self._forget_heard()

    def fenced(self) -> None:
        """The writer of the node's epoch has fenced it: from here on it counts no older ack of this node."""
        if not self._met:
            self._met = True
            self._forget_heard()
            if self.filling:
                self._node.gossip.hurry()

    def _forget_heard(self) -> None:
        for filling in self.filling.values():
            filling.heard.clear()

    # --- what makes them whole

    def hear(self, state: pb.GossipRequest | pb.GossipReply) -> None:
        """A peer's state, of the same membership epoch or a newer one; it knows every truncation that this node knows,
        for else its SCLs may count void records. It says what was acknowledged only once no older ack counts any more:
        neither this node's (``fenced``), nor one that the peer still gives to an older writer.
        """
        node, descriptor = self._node, self._node.descriptor
        if not self.filling or descriptor is None or not self._met or state.volume_epoch != node.epoch:
            return
        if (state.descriptor_epoch, state.descriptor_generation) > descriptor.version:
            return  # by that one another quorum may have acknowledged; it is asked for
        index = descriptor.index_of.get(state.node_id)
        for pg, scl in states_of(state).items():
            if index is not None and pg in self.filling and state.node_id in descriptor.groups[pg].holders():
                self.filling[pg].hear(index, scl)
        self.settle(descriptor)

    def settle(self, descriptor: Descriptor) -> None:
        """Segments that lack nothing any more count again."""
        node = self._node
        filled = {
            pg: filling
            for pg, filling in self.filling.items()
            if not node.refill.holds(pg)
            and filling.filled(node.segments[pg].scl, len(descriptor.nodes), descriptor.settled_quorum(pg))
        }
        if filled and self._lift(filled):
            for pg in filled:
                logger.info("PG %d is filled up to %d: its segment counts from now on", pg, node.segments[pg].scl)

    def take_baseline(self, pg: int, lsn: int, cpl: int) -> bool:
        """Claim durably that the segment's chain starts at this baseline, which makes one whole that was torn only."""
        filling = self.filling.get(pg)
        torn = {pg: filling} if filling is not None and filling.torn else {}
        return self._lift(torn, {pg: (lsn, cpl)})

    def look(self, deadline_s: float) -> list[Effect]:
        """A refill that a crash ended may not be needed any more, for the log came in another way: then what it left in
        the page store is looked at, page by page, until ``deadline_s``; those that it tore are repaired from peers.
        """
        node = self._node
        effects: list[Effect] = []
        for pg, filling in list(self.filling.items()):
            segment = node.segments[pg]
            if not filling.torn or node.refill.holds(pg) or segment.scl < node.gossip.known_scl(pg):
                filling.checked = filling.newest_lsn = 0
                continue
            store = segment.store
            while filling.checked < store.file_pages and node.clock.monotonic() < deadline_s:
                stop = filling.checked + LOOK_PAGES
                for index, page in store.pages(filling.checked, stop):
                    if page is None:
                        segment.broken.add(index)
                    else:
                        filling.newest_lsn = max(filling.newest_lsn, page_lsn(page))
                filling.checked = stop
            if store.file_bytes % PAGE_BYTES:
                segment.broken.add(store.file_pages)  # the crash left a part of the last one
            if not _looked_through(segment, filling):
                continue
            if not store.file_bytes:
                self._count_again(pg, filling)
            elif self._syncing.get(store.name) is not filling:
                self._syncing[store.name] = filling  # what was overwritten before the crash may not be durable
                effects.append(SyncFile(store.name))
        return effects

    def on_synced(self, name: str) -> None:
        """A sync of that file is done, whoever asked for it: it began after the crash."""
        looked = self._syncing.pop(name, None)
        for pg, filling in list(self.filling.items()):
            segment = self._node.segments[pg]
            if filling is looked and not self._node.refill.holds(pg) and _looked_through(segment, filling):
                self._count_again(pg, filling)

    def _count_again(self, pg: int, filling: Filling) -> None:
        if self._lift({pg: filling}):
            logger.info("PG %d is whole without a refill: its segment counts from now on", pg)

    def _lift(self, whole: Mapping[int, Filling], baselines: Mapping[int, tuple[int, int]] | None = None) -> bool:
        """These segments count again once the meta file says so; False when the disk refuses that."""
        for pg in whole:
            del self.filling[pg]
        try:
            self._node.remember_segments(baselines)
        except OSError as error:
            self.filling.update(whole)
            self._node.refused_by_disk(error, "meta")
            return False
        if whole:
            self._node.recall()
        return True


def _looked_through(segment: Segment, filling: Filling) -> bool:
    """Whether every stored page is sound, and the chain reaches the newest of them."""
    return (
        filling.checked >= segment.store.file_pages
        and not segment.broken
        and segment.scl >= max(filling.newest_lsn, segment.floor_lsn)
    )
