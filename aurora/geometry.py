"""Volume geometry: page number → protection group (PG) → six segments, and the descriptor that says so.

A PG is a fixed run of ``pages_per_pg`` pages; ``Descriptor.groups[pg]`` names the nodes that hold its six segments. The
descriptor is kept by the storage nodes themselves; its *home* is PG 0: a descriptor is committed once a write quorum of
PG 0's segments, of the old membership and of the new, has taken it, so that a read quorum of them finds it. Only the
volume's writer proposes descriptors, and ``version`` orders them as ballots are ordered: by the proposer's volume
epoch, then by its count.

Membership is that of "Amazon Aurora: On Avoiding Distributed Consensus for I/Os, Commits, and Membership Changes"
(2018), section 4. A slot whose member is being replaced has a candidate too. The *sets* of a group are the products of
its slots' alternatives: one set normally, two while F is replaced by G (ABCDEF, ABCDEG), four with a second change on
the way. A write needs a write quorum of every set, a read a read quorum of any one::

    model           write                    read
    6 full          4/6                      3/6
    3 full, 3 tail  4/6 OR 3/3 of the full   3/6 AND 1/3 of the full
    zone away       3/4 of the others        2/4 of the others

Quorums are expressions over *node indexes*, positions in ``Descriptor.nodes``, which only ever grows while a writer
lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from aurora.ids import PgNo
from aurora.page import PAGE_BYTES
from aurora.quorum import READ_SEGMENTS, SEGMENTS, WRITE_SEGMENTS, AllOf, AnyOf, Quorum, Threshold

if TYPE_CHECKING:
    from aurora.rpc import storage_pb2


DEFAULT_PG_BYTES = 10 << 30
VOLUME_ID_BYTES = 16
CANDIDATES_MAX = 3
"""Slots of one PG that may be under replacement at a time: eight sets."""
AWAY_WRITE, AWAY_READ = 3, 2
"""Quorums of the four segments left while a zone is away."""


@dataclass(frozen=True, slots=True)
class Member:
    """One storage node of the fleet. ``address`` is ``host:port``; a ``retired`` one was replaced or removed, and gets
    nothing.
    """

    node_id: str
    az: str
    address: str
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One of a PG's six places: node ids of who holds it and, while it is being replaced, of who shall.

    A ``tail`` segment keeps log and no pages.
    """

    member: str
    candidate: str = ""
    tail: bool = False

    @property
    def alternatives(self) -> tuple[str, ...]:
        """Member, and candidate if there is one."""
        return (self.member, self.candidate) if self.candidate else (self.member,)


@dataclass(frozen=True, slots=True)
class Group:
    """A PG's six slots. ``membership_epoch`` counts its memberships from 1.

    ``away``: the zone whose segments do not count; ``away_next``: what ``away`` is changing to, None = it is not.
    """

    slots: tuple[Slot, ...]
    membership_epoch: int = 1
    away: str = ""
    away_next: str | None = None

    @property
    def changing(self) -> bool:
        """Whether a membership or model change is on the way."""
        return self.away_next is not None or any(slot.candidate for slot in self.slots)

    def holders(self) -> tuple[str, ...]:
        """Node ids of members and candidates."""
        return tuple(node_id for slot in self.slots for node_id in slot.alternatives)

    def slot_of(self, node_id: str) -> Slot | None:
        """The node's slot, as member or candidate; None when it holds none."""
        return next((slot for slot in self.slots if node_id in slot.alternatives), None)

    def is_candidate(self, node_id: str) -> bool:
        """Whether the node is to take a slot over."""
        return any(slot.candidate == node_id for slot in self.slots)


@dataclass(frozen=True)
class Descriptor:
    """What a volume is."""

    volume_id: bytes
    proposer_epoch: int
    """Volume epoch of the writer that proposed it; 0 = the volume's creation."""
    generation: int
    membership_epoch: int
    """Counts membership changes of the whole volume: reads, writes and gossip carry it."""
    geometry_epoch: int
    """Counts changes of the number of PGs."""
    pages_per_pg: int
    nodes: tuple[Member, ...]
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        if len(self.volume_id) != VOLUME_ID_BYTES:
            raise InvariantViolation(f"volume id of {len(self.volume_id)} bytes")
        if self.pages_per_pg < 1 or self.generation < 1:
            raise InvariantViolation(f"descriptor with {self.pages_per_pg} pages a group, generation {self.generation}")
        known = {node.node_id for node in self.nodes}
        if len(known) != len(self.nodes) or not self.groups:
            raise InvariantViolation(f"descriptor with {len(self.groups)} groups over nodes {self.nodes}")
        for pg, group in enumerate(self.groups):
            holders = group.holders()
            tails = sum(slot.tail for slot in group.slots)
            if (
                len(group.slots) != SEGMENTS
                or len(set(holders)) != len(holders)
                or not known.issuperset(holders)
                or len(holders) > SEGMENTS + CANDIDATES_MAX
                or tails not in (0, SEGMENTS // 2)
            ):
                raise InvariantViolation(f"PG {pg} needs {SEGMENTS} slots on different nodes of the fleet, not {group}")
            for zone in (group.away, group.away_next):
                if zone and not self._leaves_four(group, zone):
                    raise InvariantViolation(f"zone {zone} cannot be counted out of PG {pg}: {group}")

    def _leaves_four(self, group: Group, zone: str) -> bool:
        """Whether every set of the group has two segments in ``zone`` and two in each of two others: 3/4 and 2/4 of
        more, or of fewer, would not overlap.
        """
        held = [{self.az_of[node_id] for node_id in slot.alternatives} for slot in group.slots]
        count = Counter(zone for zones in held for zone in zones)
        return sorted(count.values()) == [2, 2, 2] and zone in count and all(len(zones) == 1 for zones in held)

    @property
    def version(self) -> tuple[int, int]:
        """Order of descriptors: the greater is the newer."""
        return self.proposer_epoch, self.generation

    # --- pages

    def pg_of(self, page_no: int) -> PgNo:
        """The protection group of a page."""
        return PgNo(page_no // self.pages_per_pg)

    def pages_of(self, pg: int) -> range:
        """The page numbers of a protection group."""
        return range(pg * self.pages_per_pg, (pg + 1) * self.pages_per_pg)

    # --- nodes

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Node id → node index."""
        return {node.node_id: index for index, node in enumerate(self.nodes)}

    @cached_property
    def az_of(self) -> dict[str, str]:
        """Node id → zone."""
        return {node.node_id: node.az for node in self.nodes}

    def member(self, node_id: str) -> Member:
        """The node of that id; InvariantViolation when the fleet has none."""
        if node_id not in self.index_of:
            raise InvariantViolation(f"{node_id} is no node of the volume")
        return self.nodes[self.index_of[node_id]]

    def groups_of(self, node_id: str) -> frozenset[int]:
        """PGs of which the node holds a segment or is to hold one."""
        return frozenset(pg for pg, group in enumerate(self.groups) if node_id in group.holders())

    def holders(self, pg: int) -> tuple[int, ...]:
        """Node indexes of a PG's members and candidates."""
        return tuple(self.index_of[node_id] for node_id in self.groups[pg].holders())

    @cached_property
    def active(self) -> tuple[int, ...]:
        """Indexes of the nodes that hold a segment of any PG."""
        return tuple(sorted({index for pg in range(len(self.groups)) for index in self.holders(pg)}))

    @cached_property
    def zones(self) -> frozenset[str]:
        """The zones that hold segments."""
        return frozenset(self.az_of[node_id] for group in self.groups for node_id in group.holders())

    def zones_are_balanced(self) -> bool:
        """Whether every PG has two members in each of three zones, so that losing one keeps the write quorum."""
        return all(
            sorted(Counter(self.az_of[slot.member] for slot in group.slots).values()) == [2, 2, 2]
            for group in self.groups
        )

    @property
    def zone_away(self) -> str:
        """In words: the zone that does not count, "" when all do; while that changes, so much is said."""
        models = {group.away for group in self.groups}
        models |= {group.away_next for group in self.groups if group.away_next is not None}
        return max(models) + (" (changing)" if len(models) > 1 else "")

    # --- quorums

    def _sets(self, group: Group) -> Iterable[tuple[Slot, ...]]:
        for choice in product(*(slot.alternatives for slot in group.slots)):
            yield tuple(replace(slot, member=node_id, candidate="") for slot, node_id in zip(group.slots, choice))

    def _write(self, slots: tuple[Slot, ...], away: str) -> Quorum:
        if away:
            return Threshold(AWAY_WRITE, self._indexes(slot for slot in slots if self.az_of[slot.member] != away))
        any_four = Threshold(WRITE_SEGMENTS, self._indexes(slots))
        full = self._indexes(slot for slot in slots if not slot.tail)
        return any_four if len(full) == SEGMENTS else AnyOf((any_four, Threshold(len(full), full)))

    def _read(self, slots: tuple[Slot, ...], away: str) -> Quorum:
        counted = tuple(slot for slot in slots if not away or self.az_of[slot.member] != away)
        some = Threshold(AWAY_READ if away else READ_SEGMENTS, self._indexes(counted))
        full = self._indexes(slot for slot in counted if not slot.tail)
        return some if len(full) == len(counted) else AllOf((some, Threshold(1, full)))

    def _indexes(self, slots: Iterable[Slot]) -> tuple[int, ...]:
        return tuple(self.index_of[slot.member] for slot in slots)

    def write_parts(self, pg: int) -> tuple[Quorum, ...]:
        """The write quorum of each set of the PG, under its model and the one that it changes to."""
        group = self.groups[pg]
        models = [group.away] if group.away_next is None else [group.away, group.away_next]
        return tuple(dict.fromkeys(self._write(slots, away) for slots in self._sets(group) for away in models))

    @cached_property
    def _write_quorums(self) -> tuple[Quorum, ...]:
        parts = [self.write_parts(pg) for pg in range(len(self.groups))]
        return tuple(each[0] if len(each) == 1 else AllOf(each) for each in parts)

    def write_quorum(self, pg: int) -> Quorum:
        """Which nodes must have a record of the PG before it counts as durable; bit i = node i."""
        return self._write_quorums[pg]

    def settled_quorum(self, pg: int) -> Quorum:
        """The write quorum of the PG's members under the model that it had before any change under way: whatever has
        been durable until now satisfied it, beside what else was asked for.
        """
        group = self.groups[pg]
        return self._write(tuple(Slot(slot.member, tail=slot.tail) for slot in group.slots), group.away)

    def read_quorum(self, pg: int) -> Quorum:
        """Which nodes must be asked to learn of every durable record of the PG. Segments that are *hollow* (not yet
        filled) must not be counted. While the model changes, the old one decides.
        """
        group = self.groups[pg]
        parts = tuple(dict.fromkeys(self._read(slots, group.away) for slots in self._sets(group)))
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    # --- wire

    def to_proto(self, message: storage_pb2.Descriptor) -> storage_pb2.Descriptor:
        """Fill a ``Descriptor`` protobuf message; returns it."""
        message.volume_id = self.volume_id
        message.proposer_epoch = self.proposer_epoch
        message.generation = self.generation
        message.membership_epoch = self.membership_epoch
        message.geometry_epoch = self.geometry_epoch
        message.pages_per_pg = self.pages_per_pg
        del message.nodes[:], message.groups[:]
        for node in self.nodes:
            message.nodes.add(node_id=node.node_id, az=node.az, address=node.address, retired=node.retired)
        for group in self.groups:
            held = message.groups.add(membership_epoch=group.membership_epoch, away=group.away)
            if group.away_next is not None:
                held.away_next = group.away_next
            for slot in group.slots:
                held.slots.add(member=slot.member, candidate=slot.candidate, tail=slot.tail)
        return message

    @classmethod
    def from_proto(cls, message: storage_pb2.Descriptor) -> Descriptor:
        """The descriptor in a ``Descriptor`` protobuf message; InvariantViolation when it is none."""
        return cls(
            bytes(message.volume_id),
            message.proposer_epoch,
            message.generation,
            message.membership_epoch,
            message.geometry_epoch,
            message.pages_per_pg,
            tuple(Member(node.node_id, node.az, node.address, node.retired) for node in message.nodes),
            tuple(
                Group(
                    tuple(Slot(slot.member, slot.candidate, slot.tail) for slot in group.slots),
                    group.membership_epoch,
                    group.away,
                    group.away_next if group.HasField("away_next") else None,
                )
                for group in message.groups
            ),
        )


def newest_known(found: Iterable[Descriptor], there: Iterable[str]) -> Descriptor | None:
    """The newest of these descriptors, once the nodes that are ``there`` (ids) are a read quorum of its PG 0."""
    newest = max(found, key=lambda descriptor: descriptor.version, default=None)
    if newest is None:
        return None
    nodes = sum(1 << newest.index_of[node_id] for node_id in set(there) if node_id in newest.index_of)
    return newest if newest.read_quorum(0).satisfied(nodes) else None


def pages_per_pg(pg_bytes: int = DEFAULT_PG_BYTES) -> int:
    """Pages of a protection group of ``pg_bytes``; InvariantViolation unless it is whole pages."""
    if pg_bytes < PAGE_BYTES or pg_bytes % PAGE_BYTES:
        raise InvariantViolation(f"protection group of {pg_bytes} bytes")
    return pg_bytes // PAGE_BYTES
