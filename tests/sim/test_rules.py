"""The rules by which the simulator counts: what may be acknowledged, what can be read, which disks may be lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aurora.geometry import Descriptor, Group, Member, Slot
from aurora.placement import initial
from aurora.sim.checks import enough, readable
from aurora.sim.cluster import SimCluster
from aurora.sim.faults import FAULTS
from aurora.sim.knobs import Knobs, draw
from aurora.sim.model import steps
from aurora.sim.world import World
from compute_node.volume.fleet import changing_model, replacing, with_node, without_candidate

A, B, C, D, E, F, G = "a", "b", "c", "d", "e", "f", "g"
MEMBERS = tuple(Member(name, f"az{at // 2 + 1}", f"{name}:1") for at, name in enumerate((A, B, C, D, E, F)))
SPARE = Member(G, "az3", "g:1")


def _volume(tails: bool = False) -> Descriptor:
    return initial(b"v" * 16, MEMBERS, 3, tails=tails)


def _settled(descriptor: Descriptor) -> Descriptor:
    group = descriptor.groups[0]
    slots = tuple(Slot(slot.candidate or slot.member, tail=slot.tail) for slot in group.slots)
    away = group.away if group.away_next is None else group.away_next
    return replace(descriptor, groups=(Group(slots, group.membership_epoch + 1, away),))


REPLACING = replacing(with_node(_volume(), SPARE), F, G)
LEAVING = changing_model(_volume(), "az3")


@pytest.mark.parametrize(
    ("descriptor", "holders", "acknowledged", "settled"),
    [
        (_volume(), {A, B, C, D}, True, True),
        (_volume(), {A, B, C}, False, False),
        (_volume(tails=True), {A, C, E}, True, True),
        (_volume(tails=True), {A, B, D}, False, False),
        (REPLACING, {A, B, C, F}, False, True),
        (REPLACING, {A, B, C, F, G}, True, True),
        (_settled(REPLACING), {A, B, C, F}, False, False),
        (LEAVING, {A, B, E, F}, False, True),
        (LEAVING, {A, B, C}, False, False),
        (_settled(LEAVING), {A, B, C}, True, True),
    ],
)
def test_enough(descriptor: Descriptor, holders: set[str], acknowledged: bool, settled: bool) -> None:
    assert enough(holders, descriptor, 0) == acknowledged
    assert enough(holders, descriptor, 0, settled=True) == settled


@pytest.mark.parametrize(
    ("descriptor", "sound", "found"),
    [
        (_volume(), {A, C, E}, True),
        (_volume(), {A, B}, False),
        (_volume(tails=True), {A, B, D}, True),
        (_volume(tails=True), {B, D, F}, False),
        (REPLACING, {A, B, F}, False),
        (REPLACING, {A, B, C}, True),
        (LEAVING, {A, E, F}, False),
        (_settled(LEAVING), {A, B}, True),
    ],
)
def test_readable(descriptor: Descriptor, sound: set[str], found: bool) -> None:
    assert readable(sound, descriptor, 0) == found


def test_steps_have_names() -> None:
    joined = with_node(_volume(), SPARE)
    assert list(steps(_volume(), joined)) == ["node-added"]
    assert list(steps(joined, REPLACING)) == ["replacement-begun"]
    assert list(steps(REPLACING, _settled(REPLACING))) == ["replacement-done"]
    assert list(steps(REPLACING, without_candidate(REPLACING, G))) == ["gone-back"]
    assert list(steps(_volume(), LEAVING)) == ["model-begun"]
    assert list(steps(LEAVING, _settled(LEAVING))) == ["zone-counted-out"]
    assert list(steps(_settled(LEAVING), _volume())) == ["zones-counted-again"]


def _cluster(knobs: Knobs) -> SimCluster:
    cluster = SimCluster(World(0, knobs.weather), knobs)
    cluster.start_writer()
    return cluster


def test_disks_are_lost_as_long_as_a_read_quorum_is_left() -> None:
    cluster = _cluster(replace(draw(0), spares=0, tails=False))
    lost = []
    for node in cluster.nodes:
        if cluster.may_lose(node):
            node.wipe()
            lost.append(node.name)
    assert lost == ["az1-a", "az1-b", "az2-a"]
    assert not cluster.whole()


def test_a_stroke_that_finds_nothing_to_do_says_so() -> None:
    cluster = _cluster(replace(draw(0), spares=0))
    assert not FAULTS["replace-node"](cluster).strike(), "there is no spare"
    assert not FAULTS["zone-away"](cluster).strike(), "no writer is open"
    cluster.writer.kill()
    assert not FAULTS["second-writer"](cluster).strike(), "it is the only one"
    assert FAULTS["crash-all"](cluster).strike()
    assert not FAULTS["crash-node"](cluster).strike(), "all are down"
    assert not FAULTS["crash-all"](cluster).strike()
