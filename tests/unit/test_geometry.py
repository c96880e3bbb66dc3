"""Page → protection group → segments, and the descriptor's rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor, Member, pages_per_pg
from aurora.rpc import storage_pb2

MEMBERS = tuple(
    Member(f"az{zone}-{name}", f"az{zone}", f"127.0.0.1:{zone}0{name}") for zone in (1, 2, 3) for name in "ab"
)
DESCRIPTOR = Descriptor(b"v" * 16, 3, 1, 2, pages_per_pg(4 << 20), MEMBERS)


def test_arithmetic() -> None:
    assert DESCRIPTOR.pages_per_pg == 512
    assert (DESCRIPTOR.pg_of(0), DESCRIPTOR.pg_of(511), DESCRIPTOR.pg_of(512)) == (0, 0, 1)
    assert DESCRIPTOR.pages_of(2) == range(1024, 1536)
    assert DESCRIPTOR.segment_of("az2-b") == 3
    assert DESCRIPTOR.zones_are_balanced()
    with pytest.raises(InvariantViolation):
        DESCRIPTOR.segment_of("az9-z")
    with pytest.raises(InvariantViolation):
        pages_per_pg(8191)


def test_proto_round_trip() -> None:
    wire = DESCRIPTOR.to_proto(storage_pb2.Descriptor()).SerializeToString()
    assert Descriptor.from_proto(storage_pb2.Descriptor.FromString(wire)) == DESCRIPTOR


@pytest.mark.parametrize(
    "change",
    [
        {"volume_id": b"short"},
        {"members": MEMBERS[:5]},
        {"members": MEMBERS[:5] + MEMBERS[:1]},
        {"pages_per_pg": 0},
        {"generation": 0},
    ],
)
def test_descriptor_refuses(change: dict) -> None:
    with pytest.raises(InvariantViolation):
        replace(DESCRIPTOR, **change)
