"""Page → protection group → segments, and the descriptor's rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor, Group, Member, Slot, newest_known, pages_per_pg
from aurora.placement import grown, initial, loads, spare_for
from aurora.rpc import storage_pb2

MEMBERS = tuple(
    Member(f"az{zone}-{name}", f"az{zone}", f"127.0.0.1:{zone}0{name}") for zone in (1, 2, 3) for name in "ab"
)
DESCRIPTOR = initial(b"v" * 16, MEMBERS, pages_per_pg(4 << 20), groups=3)
NINE = tuple(Member(f"az{zone}-{name}", f"az{zone}", f"h:{zone}0{name}") for zone in (1, 2, 3) for name in "abc")


def test_arithmetic() -> None:
    assert DESCRIPTOR.pages_per_pg == 512
    assert (DESCRIPTOR.pg_of(0), DESCRIPTOR.pg_of(511), DESCRIPTOR.pg_of(512)) == (0, 0, 1)
    assert DESCRIPTOR.pages_of(2) == range(1024, 1536)
    assert DESCRIPTOR.index_of["az2-b"] == 3 and DESCRIPTOR.member("az2-b").address == "127.0.0.1:20b"
    assert DESCRIPTOR.zones_are_balanced()
    assert DESCRIPTOR.groups_of("az1-a") == {0, 1, 2}
    with pytest.raises(InvariantViolation):
        DESCRIPTOR.member("az9-z")
    with pytest.raises(InvariantViolation):
        pages_per_pg(8191)


def changed(descriptor: Descriptor, *slots: tuple[int, Slot], **group: object) -> Descriptor:
    """PG 0 with other slots and fields."""
    held = list(descriptor.groups[0].slots)
    for at, slot in slots:
        held[at] = slot
    groups = (replace(descriptor.groups[0], slots=tuple(held), **group), *descriptor.groups[1:])
    return replace(descriptor, groups=groups)


REPLACING = changed(
    initial(b"v" * 16, NINE, 64, groups=2), (1, Slot("az1-b", "az1-c")), (3, Slot("az2-b", "az2-c")), away_next="az3"
)


@pytest.mark.parametrize("descriptor", [DESCRIPTOR, REPLACING, initial(b"w" * 16, MEMBERS, 8, tails=True)])
def test_proto_round_trip(descriptor: Descriptor) -> None:
    wire = descriptor.to_proto(storage_pb2.Descriptor()).SerializeToString()
    assert Descriptor.from_proto(storage_pb2.Descriptor.FromString(wire)) == descriptor


@pytest.mark.parametrize(
    "change",
    [
        {"volume_id": b"short"},
        {"nodes": MEMBERS[:5]},
        {"nodes": MEMBERS + MEMBERS[:1]},
        {"groups": ()},
        {"groups": (Group(DESCRIPTOR.groups[0].slots[:5]),)},
        {"groups": (Group(DESCRIPTOR.groups[0].slots[:5] + DESCRIPTOR.groups[0].slots[:1]),)},
        {"pages_per_pg": 0},
        {"generation": 0},
    ],
)
def test_descriptor_refuses(change: dict) -> None:
    with pytest.raises(InvariantViolation):
        replace(DESCRIPTOR, **change)


def bits(descriptor: Descriptor, *node_ids: str) -> int:
    return sum(1 << descriptor.index_of[node_id] for node_id in node_ids)


def test_the_sets_of_a_replacement_are_those_of_the_paper() -> None:
    """2018, figure 5: A to F, G for F; A = az1-a … F = az3-b, G = az3-c."""
    steady = initial(b"v" * 16, NINE, 64)
    both = changed(steady, (5, Slot("az3-b", "az3-c")))
    four = changed(both, (3, Slot("az2-b", "az2-c")))
    assert len(steady.write_parts(0)) == 1 and len(both.write_parts(0)) == 2 and len(four.write_parts(0)) == 4
    abcd = bits(both, "az1-a", "az1-b", "az2-a", "az2-b")
    abcf = bits(both, "az1-a", "az1-b", "az2-a", "az3-b")
    g = bits(both, "az3-c")
    assert both.write_quorum(0).satisfied(abcd)
    assert not both.write_quorum(0).satisfied(abcf) and both.write_quorum(0).satisfied(abcf | g)
    assert both.read_quorum(0).satisfied(bits(both, "az1-a", "az2-a", "az3-c"))
    assert not both.read_quorum(0).satisfied(bits(both, "az1-a", "az3-b", "az3-c"))


@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize("step", ["steady", "one", "two", "to away", "away", "to back"])
def test_every_read_quorum_meets_every_write_quorum(step: str, tails: bool) -> None:
    """Over all sets of nodes: what a write quorum holds, a read quorum sees; and two write quorums meet."""
    descriptor = initial(b"v" * 16, NINE, 64, tails=tails)
    held = descriptor.groups[0].slots
    if step in ("one", "two"):
        descriptor = changed(descriptor, (5, replace(held[5], candidate="az3-c")))
    if step == "two":
        descriptor = changed(descriptor, (3, replace(held[3], candidate="az2-c")))
    if step == "to away":
        descriptor = changed(descriptor, away_next="az3")
    if step == "away":
        descriptor = changed(descriptor, away="az3")
    if step == "to back":
        descriptor = changed(descriptor, away="az3", away_next="")
    holders = descriptor.holders(0)
    masks = [sum(1 << node for at, node in enumerate(holders) if some >> at & 1) for some in range(1 << len(holders))]
    writes = [mask for mask in masks if descriptor.write_quorum(0).satisfied(mask)]
    reads = [mask for mask in masks if descriptor.read_quorum(0).satisfied(mask)]
    assert writes and reads
    assert all(write & read for write in writes for read in reads)
    assert all(one & other for one in writes for other in writes)


@pytest.mark.parametrize("field", ["away", "away_next"])
def test_only_a_zone_of_two_segments_in_each_set_can_be_counted_out(field: str) -> None:
    """Of any other, 3 would be no write quorum that meets every other one."""
    stray = Member("x", "az4", "x:1")
    descriptor = initial(b"v" * 16, NINE, 64)
    descriptor = replace(descriptor, nodes=(*descriptor.nodes, stray))
    for zone in ("az1", "az2", "az3"):
        assert changed(descriptor, **{field: zone})
        assert changed(descriptor, (5, Slot("az3-b", "az3-c")), **{field: zone})
    for zone in ("az4", "az9"):
        with pytest.raises(InvariantViolation, match=f"zone {zone} cannot be counted out"):
            changed(descriptor, **{field: zone})
    uneven = (
        ((5, Slot("az2-c")),),
        ((5, Slot("az3-b", "az2-c")),),
        ((5, Slot("x")),),
        ((5, Slot("az3-b", "x")),),
    )
    for slots in uneven:
        for zone in ("az1", "az2", "az3"):
            with pytest.raises(InvariantViolation, match=f"zone {zone} cannot be counted out"):
                changed(descriptor, *slots, **{field: zone})


@pytest.mark.parametrize("per_zone", [2, 3, 4])
@given(groups=st.integers(1, 40))
def test_placement_is_balanced(per_zone: int, groups: int) -> None:
    nodes = [Member(f"az{z}-{n}", f"az{z}", f"h:{z}{n}") for z in (1, 2, 3) for n in range(per_zone)]
    descriptor = grown(initial(b"v" * 16, nodes, 64), groups)
    assert len(descriptor.groups) == groups and descriptor.zones_are_balanced()
    held = loads(descriptor.groups)
    assert max(held.values()) - min(held[node.node_id] for node in nodes) <= 1
    assert descriptor.geometry_epoch == 2 and descriptor.version == (0, 2)


def test_new_groups_stay_in_the_zones_of_the_first() -> None:
    steady = initial(b"v" * 16, MEMBERS, 64)
    for strays in ((Member("x", "az4", "x:1"),), tuple(Member(f"az0-{n}", "az0", f"{n}:1") for n in "abc")):
        descriptor = grown(replace(steady, nodes=(*strays, *steady.nodes)), 5)
        assert descriptor.zones == {"az1", "az2", "az3"} and descriptor.zones_are_balanced()


def test_a_spare_comes_from_the_same_zone() -> None:
    descriptor = initial(b"v" * 16, NINE, 64)
    assert spare_for(descriptor, 0, "az2-a") == "az2-c"
    assert spare_for(descriptor, 0, "az2-a", avoid={"az2-c"}) is None
    with pytest.raises(InvariantViolation):
        initial(b"v" * 16, MEMBERS[:5], 64)


@pytest.mark.parametrize("per_zone", [2, 3])
def test_full_segments_go_round_between_the_nodes_of_a_zone(per_zone: int) -> None:
    nodes = [Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "abc"[:per_zone]]
    descriptor = initial(b"v" * 16, nodes, 64, groups=12, tails=True)
    full = Counter(slot.member for group in descriptor.groups for slot in group.slots if not slot.tail)
    assert max(full.values()) - min(full[node.node_id] for node in nodes) <= 1


def test_the_newest_descriptor_counts_once_a_read_quorum_of_its_own_is_there() -> None:
    newer = replace(DESCRIPTOR, generation=DESCRIPTOR.generation + 1)
    names = [node.node_id for node in newer.nodes]
    assert newest_known([], names) is None
    assert newest_known([DESCRIPTOR, newer], names[:2]) is None
    assert newest_known([DESCRIPTOR, newer], [*names[:2], "of another fleet"]) is None
    assert newest_known([newer, DESCRIPTOR], names[:3]) is newer
