"""Placement: which nodes get the six segments of a new protection group, and who steps in for a lost one.

Each PG has two segments in each of three zones. Within a zone the nodes with the fewest segments come first (then the
order of the fleet), so that 6, 9 or 12 nodes end up with loads that differ by one at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor, Group, Member, Slot
from aurora.quorum import SEGMENTS

ZONES = 3
PER_ZONE = SEGMENTS // ZONES
NOBODY: Mapping[str, int] = MappingProxyType({})


def loads(groups: Sequence[Group]) -> Counter[str]:
    """Segments that each node holds or is to hold."""
    return Counter(node_id for group in groups for node_id in group.holders())


def place(
    nodes: Sequence[Member], placed: Sequence[Group], tails: bool = False, avoid: Mapping[str, int] = NOBODY
) -> Group:
    """A new PG's slots, zone by zone, beside the PGs ``placed`` already; of the two segments in a zone the second is a
    tail when ``tails``.

    The first PG's zones are those of the nodes, later ones stay in them. Nodes in ``avoid`` are taken only where a zone
    has no two others, those with the greatest number last. InvariantViolation unless there are three zones of at least
    two nodes.
    """
    az_of = {node.node_id: node.az for node in nodes}
    nodes = [node for node in nodes if not node.retired]
    zones = sorted({az_of[slot.member] for group in placed for slot in group.slots} or {node.az for node in nodes})
    if len(zones) != ZONES:
        raise InvariantViolation(f"a volume needs nodes in {ZONES} availability zones, not in {zones}")
    held = loads(placed)
    full = Counter(slot.member for group in placed for slot in group.slots if not slot.tail)
    slots: list[Slot] = []
    for zone in zones:
        there = [node for node in nodes if node.az == zone]
        if len(there) < PER_ZONE:
            raise InvariantViolation(f"zone {zone} has {len(there)} storage nodes, {PER_ZONE} are needed")
        order = sorted(range(len(there)), key=lambda at: (avoid.get(there[at].node_id, 0), held[there[at].node_id], at))
        chosen = [there[at] for at in order[:PER_ZONE]]
        if tails:  # the full ones go round, for pages take more room than log
            chosen.sort(key=lambda node: full[node.node_id])
        slots += [Slot(node.node_id, tail=tails and place > 0) for place, node in enumerate(chosen)]
    return Group(tuple(slots))


def initial(
    volume_id: bytes, nodes: Sequence[Member], pages_per_pg: int, groups: int = 1, tails: bool = False
) -> Descriptor:
    """The descriptor of a new volume."""
    placed: list[Group] = []
    for _ in range(groups):
        placed.append(place(nodes, placed, tails))
    return Descriptor(volume_id, 0, 1, 1, 1, pages_per_pg, tuple(nodes), tuple(placed))


def grown(descriptor: Descriptor, groups: int, avoid: Mapping[str, int] = NOBODY) -> Descriptor:
    """The descriptor with PGs added up to ``groups``: the next geometry epoch. Nodes to ``avoid`` are used as little as
    possible. A new PG begins with the model that the others have, or are changing to: nothing is in it that was written
    under the old one.
    """
    placed = list(descriptor.groups)
    tails = any(slot.tail for slot in placed[0].slots)
    away = next((group.away_next for group in placed if group.away_next is not None), placed[0].away)
    while len(placed) < groups:
        placed.append(replace(place(descriptor.nodes, placed, tails, avoid), away=away))
    return replace(
        descriptor,
        generation=descriptor.generation + 1,
        geometry_epoch=descriptor.geometry_epoch + 1,
        groups=tuple(placed),
    )


def spare_for(descriptor: Descriptor, pg: int, lost: str, avoid: Collection[str] = ()) -> str | None:
    """The least loaded node of the lost one's zone that holds nothing of the PG; None when there is none."""
    held = loads(descriptor.groups)
    zone, holders = descriptor.az_of[lost], descriptor.groups[pg].holders()
    able = [
        node.node_id
        for node in descriptor.nodes
        if node.az == zone and node.node_id not in holders and node.node_id not in avoid and not node.retired
    ]
    return min(able, key=lambda node_id: held[node_id], default=None)
