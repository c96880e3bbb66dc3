"""Volume geometry: page number → protection group (PG) → six segments, and the descriptor that says so.

A PG is a fixed run of ``pages_per_pg`` pages; segment i of every PG lives on member i. The descriptor is held by the
storage nodes themselves: the one with the greatest generation among a read quorum is the volume's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from aurora.errors import InvariantViolation
from aurora.ids import PgNo
from aurora.page import PAGE_BYTES
from aurora.quorum import SEGMENTS

DEFAULT_PG_BYTES = 10 << 30
VOLUME_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Member:
    """One storage node of the volume. ``address`` is ``host:port``."""

    node_id: str
    az: str
    address: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a volume is. ``members`` are in segment order."""

    volume_id: bytes
    generation: int
    membership_epoch: int
    geometry_epoch: int
    pages_per_pg: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        if len(self.volume_id) != VOLUME_ID_BYTES:
            raise InvariantViolation(f"volume id of {len(self.volume_id)} bytes")
        if len(self.members) != SEGMENTS or len({member.node_id for member in self.members}) != SEGMENTS:
            raise InvariantViolation(f"a volume has {SEGMENTS} different members, not {self.members}")
        if self.pages_per_pg < 1 or self.generation < 1:
            raise InvariantViolation(f"descriptor with {self.pages_per_pg} pages a group, generation {self.generation}")

    def pg_of(self, page_no: int) -> PgNo:
        """The protection group of a page."""
        return PgNo(page_no // self.pages_per_pg)

    def pages_of(self, pg: int) -> range:
        """The page numbers of a protection group."""
        return range(pg * self.pages_per_pg, (pg + 1) * self.pages_per_pg)

    def segment_of(self, node_id: str) -> int:
        """Segment index of a member; InvariantViolation when it is none."""
        for index, member in enumerate(self.members):
            if member.node_id == node_id:
                return index
        raise InvariantViolation(f"{node_id} is not a member of the volume")

    def zones_are_balanced(self) -> bool:
        """Whether every zone holds two members, so that losing one keeps the write quorum."""
        return set(Counter(member.az for member in self.members).values()) == {2}

    def to_proto(self, message: Any) -> Any:
        """Fill a ``Descriptor`` protobuf message; returns it."""
        message.volume_id = self.volume_id
        message.generation = self.generation
        message.membership_epoch = self.membership_epoch
        message.geometry_epoch = self.geometry_epoch
        message.pages_per_pg = self.pages_per_pg
        del message.members[:]
        for member in self.members:
            message.members.add(node_id=member.node_id, az=member.az, address=member.address)
        return message

    @classmethod
    def from_proto(cls, message: Any) -> Descriptor:
        """The descriptor in a ``Descriptor`` protobuf message."""
        return cls(
            bytes(message.volume_id),
            message.generation,
            message.membership_epoch,
            message.geometry_epoch,
            message.pages_per_pg,
            tuple(Member(member.node_id, member.az, member.address) for member in message.members),
        )


def pages_per_pg(pg_bytes: int = DEFAULT_PG_BYTES) -> int:
    """Pages of a protection group of ``pg_bytes``; InvariantViolation unless it is whole pages."""
    if pg_bytes < PAGE_BYTES or pg_bytes % PAGE_BYTES:
        raise InvariantViolation(f"protection group of {pg_bytes} bytes")
    return pg_bytes // PAGE_BYTES
