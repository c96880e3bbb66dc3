"""What a node holds by the descriptor's word, and which of its segments do not count yet.

Input: descriptors, the states of peers → output: the PGs of this node, and its *hollow* segments: those that have not
been filled since the node lost them or was given them. A hollow segment may have forgotten, or never have had, records
that were acknowledged with its slot's help, so it counts in no quorum: not as a voter in recovery, nor with an ack.

It is filled once this node has heard, since it became hollow, the SCLs of so many other holders that no write quorum
can be made without them, and has reached the highest of these: then it lacks nothing that was acknowledged before; what
is acknowledged since then counts it only by its own acks. What the peers knew of epochs and truncations came with their
states. (The argument is that of recovery after amnesia in Viewstamped Replication.)

Invariants: a segment becomes hollow when its node joins a PG that is older than the node's memory, becomes a candidate
anew, or begins to overwrite its stored pages in place (a refill); it is never hollow because its log has a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aurora.geometry import Descriptor
from aurora.quorum import Quorum
from aurora.rpc import storage_pb2 as pb


def joins_hollow(node_id: str, pg: int, old: Descriptor | None, new: Descriptor, *, created: bool) -> bool | None:
    """Whether the node's segment of the PG is hollow under a descriptor that it takes now; None: as it was before.

    ``created``: the descriptor came with the volume's creation, so an empty node has forgotten nothing.
    """
    group = new.groups[pg]
    before = old.groups[pg] if old is not None and pg < len(old.groups) else None
    if before is not None and before.slot_of(node_id) is not None:
        again = group.is_candidate(node_id) and group.membership_epoch != before.membership_epoch
        return True if again else None
    if old is None:
        return not created
    # A PG made since the node last looked, with the node in it from the first, has nothing that the node could lack.
    return not (before is None and group.membership_epoch == 1)


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

    def filled(self, scl: int, nodes: int, write_parts: Iterable[Quorum]) -> bool:
        """Whether a segment with this SCL lacks nothing; ``nodes``: how many the fleet has."""
        if self.torn:
            return False
        others = (1 << nodes) - 1
        for node in self.heard:
            others &= ~(1 << node)
        return scl >= max(self.heard.values(), default=0) and not any(part.satisfied(others) for part in write_parts)


def states_of(message: pb.GossipRequest | pb.GossipReply) -> dict[int, int]:
    """PG → SCL of the sender's segments that are not hollow."""
    return {state.pg: state.scl for state in message.pgs if not state.hollow}
