"""Changes of the fleet: growth, replacement, way back, two at once, zones away; and who is hollow when."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from storage_tools import VOLUME, Net, RefusingDisk, StepClock, Writer, append, make_node

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor, Member
from aurora.kernels import mtr, redo
from aurora.placement import grown, initial
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from compute_node.volume.fleet import AskStates, ChangeRefused, Fleet, SendDescriptor, describe
from compute_node.volume.monitor import Monitor
from compute_node.volume.recovery import FenceAnswer, PgReport, Recovered
from compute_node.volume.writer_core import WriterCore
from storage_node.config import NodeConfig
from storage_node.membership import Filling, joins_hollow
from storage_node.node import StorageNode
from storage_node.node_status import states
from tests.log_rule import DISK_REFUSES, FLEET_CHANGES

pytestmark = pytest.mark.logs(FLEET_CHANGES, DISK_REFUSES, r"a change of the fleet cannot be planned: no place for it")

SIX = [Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "ab"]
SPARES = [Member(f"az{z}-c", f"az{z}", f"az{z}-c:1") for z in (1, 2, 3)]
ALL = range(9)


class Rig:
    """A writer core with its fleet; node indexes: six members, then the spares that were added."""

    def __init__(self, descriptor: Descriptor | None = None) -> None:
        self.descriptor = descriptor or initial(VOLUME, [*SIX, *SPARES], 4, groups=1)
        self.core = WriterCore(
            VOLUME, Recovered(3, 0, 16, {}, frozenset(), False, {}, self.descriptor), lambda *parts: b"%d" % parts[0]
        )
        self.fleet = Fleet(self.core)
        self.log = mtr.RedoLog(16, 0, 4, {})
        for node in range(len(self.descriptor.nodes)):
            self.core.on_connected(node, {})
            self.tell_states(node)

    def index(self, *node_ids: str) -> list[int]:
        return [self.core.descriptor.index_of[node_id] for node_id in node_ids]

    def commit(self, page: int = 0) -> int:
        lsn: int = self.log.append(page, 0, b"\0\1x", redo.FLAG_CPL)
        self.core.flush(self.log.take())
        return lsn

    def ack(self, lsn: int, *node_ids: str, pg: int = 0) -> None:
        for node in self.index(*node_ids):
            self.core.on_scls(node, [(pg, lsn)])

    def tell_states(self, node: int, filled: bool = True) -> bool:
        """The node's status: members count, a candidate does when it is filled; whether that is news."""
        core = self.core
        groups, node_id = core.descriptor.groups, core.descriptor.nodes[node].node_id
        scls = {pg: core.tracker.scl(pg, node) for pg in core.links[node].pgs if not groups[pg].is_candidate(node_id)}
        if filled:
            scls |= {pg: self.log.last_lsn for pg in core.links[node].pgs if groups[pg].is_candidate(node_id)}
        before = set(core.links[node].filled)
        core.on_states(node, core.descriptor.membership_epoch, scls)
        return before != core.links[node].filled

    def settle(self, nodes: Iterable[int] = ALL, filled: bool = True) -> None:
        """Tick until nothing more happens, with these nodes taking descriptors; candidates are filled at once?"""
        for _ in range(20):
            moved = False
            for effect in self.fleet.tick():
                if effect.node not in nodes:
                    continue
                if isinstance(effect, SendDescriptor):
                    link = self.core.links[effect.node]
                    before = link.taken
                    moved |= self.fleet.on_taken(effect.node, effect.descriptor) or link.taken != before
                else:
                    moved |= self.tell_states(effect.node, filled)
            if not moved:
                return


def members(descriptor: Descriptor, pg: int = 0) -> list[str]:
    return [slot.member for slot in descriptor.groups[pg].slots]


def test_a_replacement_takes_two_steps_and_reads_and_writes_go_on() -> None:
    rig = Rig()
    old = members(rig.descriptor)
    first = rig.commit()
    rig.ack(first, *old[:4])
    assert rig.core.vdl == first
    rig.fleet.replace("az3-b", "az3-c")
    rig.settle(filled=False)
    both = rig.fleet.committed
    assert both.groups[0].slots[5].candidate == "az3-c" and both.membership_epoch == 2
    assert describe(rig.descriptor, both) == "PG 0: az3-b becomes az3-b/az3-c"
    second = rig.commit()
    rig.ack(second, "az1-a", "az1-b", "az2-a", "az3-b")
    assert rig.core.vdl == first, "four of the old set, three of the new one"
    rig.ack(second, "az3-c")
    assert rig.core.vdl == second
    rig.settle()
    done = rig.fleet.committed
    assert members(done) == [*old[:5], "az3-c"] and done.membership_epoch == 3 and not rig.fleet.busy
    assert done.member("az3-b").retired and rig.fleet.steps == 2
    third = rig.commit()
    rig.ack(third, "az1-a", "az1-b", "az2-a", "az3-b")
    assert rig.core.vdl == second, "the replaced one counts no longer"
    rig.ack(third, "az3-c")
    assert rig.core.vdl == third


def test_what_is_not_filled_is_not_committed_and_the_way_back_is_open() -> None:
    rig = Rig()
    rig.fleet.replace("az1-a", "az1-c")
    rig.settle(filled=False)
    assert rig.fleet.busy
    # An answer under the old membership proves nothing.
    rig.core.on_states(rig.index("az1-c")[0], 1, {0: 99})
    rig.settle(filled=False)
    assert rig.fleet.committed.groups[0].slots[0].candidate == "az1-c"
    rig.fleet.go_back("az1-c")
    rig.settle(filled=False)
    assert members(rig.fleet.committed) == members(rig.descriptor) and not rig.fleet.busy
    assert not any(node.retired for node in rig.fleet.committed.nodes[:6])
    with pytest.raises(ChangeRefused, match="replaces no other"):
        rig.fleet.go_back("az1-c")


def test_a_second_change_on_the_way_makes_four_sets() -> None:
    rig = Rig()
    rig.fleet.replace("az1-a", "az1-c")
    rig.settle(filled=False)
    rig.fleet.replace("az2-b", "az2-c")
    rig.settle(filled=False)
    assert len(rig.fleet.committed.write_parts(0)) == 4
    lsn = rig.commit()
    rig.ack(lsn, "az1-b", "az2-a", "az3-a", "az3-b")
    assert rig.core.vdl == lsn, "four that are in all four sets"
    rig.settle()
    assert members(rig.fleet.committed)[0] == "az1-c" and members(rig.fleet.committed)[3] == "az2-c"


def test_a_proposal_needs_quorums_of_old_and_new_and_binds_the_log_at_once() -> None:
    rig = Rig()
    lsn = rig.commit()
    rig.fleet.replace("az3-b", "az3-c")
    assert rig.fleet.tick() and rig.fleet.proposal is not None
    rig.ack(lsn, "az1-a", "az1-b", "az2-a", "az3-b")
    assert rig.core.vdl == 0, "proposed is enough: the old set alone does not make it durable any more"
    proposal = rig.fleet.proposal
    for node in rig.index("az1-a", "az1-b", "az3-b"):
        assert not rig.fleet.on_taken(node, proposal)
    assert not rig.fleet.on_taken(rig.index("az3-c")[0], proposal), "three of the old set"
    assert rig.fleet.on_taken(rig.index("az2-a")[0], proposal)
    assert rig.fleet.committed == proposal and rig.fleet.proposal is None


def test_requests_on_top_of_each_other_do_not_undo_what_came_between() -> None:
    rig = Rig()
    rig.fleet.replace("az1-a", "az1-c")
    rig.settle(filled=False)
    rig.core.on_states(rig.index("az1-c")[0], rig.core.descriptor.membership_epoch, {0: 0})
    rig.fleet.replace("az2-a", "az2-c")
    rig.settle(filled=False)
    slots = rig.fleet.committed.groups[0].slots
    assert (slots[2].member, slots[2].candidate) == ("az2-a", "az2-c")
    rig.core.on_states(rig.index("az1-c")[0], rig.core.descriptor.membership_epoch, {0: 0})
    rig.settle(filled=False)
    slots = rig.fleet.committed.groups[0].slots
    assert slots[0].member == "az1-c" and slots[2].candidate == "az2-c"


@pytest.mark.parametrize(
    ("lost", "by", "message"),
    [
        ("az9-x", "az1-c", "no node of the fleet"),
        ("az1-a", "az2-c", "is in zone az2"),
        ("az1-a", "az1-b", "holds a segment of PG 0 already"),
        ("az1-c", "az1-a", "holds no segment"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(lost: str, by: str, message: str) -> None:
    rig = Rig()
    with pytest.raises(ChangeRefused, match=message):
        rig.fleet.replace(lost, by)
    assert not rig.fleet.busy


def test_growth_places_new_groups_and_runs_wait_for_it() -> None:
    rig = Rig()
    rig.log.append(9, 0, b"\0\1x", redo.FLAG_CPL)
    runs = rig.log.take()
    assert not rig.fleet.covers(runs) and rig.fleet.grow(3)
    rig.settle()
    assert rig.fleet.covers(runs) and rig.fleet.committed.geometry_epoch == 2
    assert len(rig.fleet.committed.groups) == 3 and rig.fleet.committed.zones_are_balanced()
    assert rig.fleet.committed.groups_of("az1-c"), "the spares take part"
    rig.core.flush(runs)
    rig.ack(runs[0][3], *members(rig.fleet.committed, 2)[:4], pg=2)
    assert rig.core.vdl == runs[0][3]


def test_growth_gives_nothing_to_nodes_that_are_replaced_or_silent() -> None:
    rig = Rig()
    rig.fleet.replace("az1-a", "az1-c")
    rig.core.on_disconnected(rig.index("az2-b")[0])
    rig.settle(filled=False)
    rig.fleet.grow(3)
    rig.settle(filled=False)
    for pg in (1, 2):
        assert not {"az1-a", "az2-b"} & set(members(rig.fleet.committed, pg))
    rig.settle()
    assert rig.fleet.committed.member("az1-a").retired, "nothing keeps it in the fleet"


@pytest.mark.parametrize("zone", ["az4", ""])
def test_a_node_of_another_zone_does_not_join(zone: str) -> None:
    rig = Rig()
    with pytest.raises(ChangeRefused, match=f"x is in zone '{zone}', the volume in az1, az2, az3"):
        rig.fleet.add(Member("x", zone, "x:1"))
    assert not rig.fleet.busy


def test_a_node_that_holds_nothing_leaves_and_may_come_back() -> None:
    rig = Rig()
    rig.core.on_disconnected(rig.index("az3-c")[0])
    rig.fleet.remove("az3-c")
    rig.settle(nodes=range(8))
    assert rig.fleet.committed.member("az3-c").retired and not rig.fleet.busy
    assert describe(rig.descriptor, rig.fleet.committed) == "retired az3-c"
    rig.fleet.grow(3)
    rig.settle(nodes=range(8))
    assert "az3-c" not in {node_id for group in rig.fleet.committed.groups for node_id in group.holders()}
    for node_id, message in (("az3-c", "has left the fleet already"), ("x", "no node of the fleet")):
        with pytest.raises(ChangeRefused, match=message):
            rig.fleet.remove(node_id)
    with pytest.raises(ChangeRefused, match="holds no segment that another"):
        rig.fleet.replace("az3-b", None)
    rig.fleet.add(SPARES[2])
    rig.settle(nodes=range(8))
    assert not rig.fleet.committed.member("az3-c").retired


def test_a_node_that_holds_or_is_to_hold_a_segment_does_not_leave() -> None:
    rig = Rig()
    rig.fleet.replace("az1-a", "az1-c")
    for node_id in ("az1-b", "az1-a", "az1-c"):
        with pytest.raises(ChangeRefused, match=f"{node_id} holds a segment of PG 0"):
            rig.fleet.remove(node_id)
    rig = Rig()
    rig.fleet.grow(2)
    rig.fleet.tick()
    with pytest.raises(ChangeRefused, match="az2-c holds a segment of PG 1"):
        rig.fleet.remove("az2-c")
    assert rig.fleet.proposal is not None, "it is only proposed that it shall"


def test_a_step_that_cannot_be_planned_is_logged_once_and_keeps_nothing_else_from_happening(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def impossible(*_: object) -> Descriptor:
        raise InvariantViolation("no place for it")

    rig = Rig()
    monkeypatch.setattr("compute_node.volume.fleet.grown", impossible)
    assert rig.fleet.grow(2)
    for _ in range(3):
        rig.fleet.tick()
    rig.fleet.replace("az1-a", "az1-c")
    rig.settle()
    assert members(rig.fleet.committed)[0] == "az1-c"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "a change of the fleet cannot be planned: no place for it"
    ]
    monkeypatch.undo()
    rig.settle()
    assert len(rig.fleet.committed.groups) == 2, "it is done as soon as it can be"


def test_nodes_get_the_batches_of_their_own_groups() -> None:
    descriptor = initial(VOLUME, [*SIX, *SPARES], 4, groups=3)
    core = WriterCore(
        VOLUME, Recovered(1, 0, 16, {}, frozenset(), False, {}, descriptor), lambda s, data, v, p: b"%d:" % s + data
    )
    log = mtr.RedoLog(16, 0, 4, {})
    for node in range(9):
        core.on_connected(node, {})
        assert core.next_message(node) is not None
        core.on_ack(node, 0, [])
    log.append(8, 0, b"\0\1x", redo.FLAG_CPL)  # PG 2
    core.flush(log.take())
    sent = {node for node in range(9) if core.next_message(node) is not None}
    assert sent == set(descriptor.holders(2))
    for node in sent:
        core.on_ack(node, 1, [(2, log.last_lsn)])
    assert core.vdl == log.last_lsn
    assert core.retained_bytes == 0, "nodes that had nothing to get hold nothing back"


def test_a_zone_that_stays_away_leaves_three_of_four() -> None:
    rig = Rig()
    rig.fleet.set_away("az3")
    first = rig.commit()
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away_next == "az3", "what was written before is not durable under 3/4 yet"
    rig.ack(first, "az1-a", "az1-b", "az2-a", "az2-b")
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away == "az3" and rig.core.vdl == first
    second = rig.commit()
    rig.ack(second, "az1-a", "az2-a", "az2-b")
    assert rig.core.vdl == second
    rig.fleet.set_away("")
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away_next == "", "four of six must have it first"
    rig.ack(second, "az3-a")
    rig.settle(nodes=range(6))
    group = rig.fleet.committed.groups[0]
    assert (group.away, group.away_next) == ("", None) and not rig.fleet.busy


def test_groups_that_are_added_while_the_model_changes_have_the_new_one() -> None:
    rig = Rig(initial(VOLUME, SIX, 4))
    first = rig.commit()
    rig.fleet.set_away("az3")
    rig.settle(nodes=range(4))
    assert rig.fleet.committed.groups[0].away_next == "az3", "the first commit is not durable yet"
    rig.fleet.grow(2)
    rig.settle(nodes=range(4))
    assert [(group.away, group.away_next) for group in rig.fleet.committed.groups] == [("", "az3"), ("az3", None)]
    assert "changing" in rig.fleet.committed.zone_away and rig.fleet.busy
    rig.ack(first, "az1-a", "az1-b", "az2-a", "az2-b")
    rig.settle(nodes=range(4))
    assert rig.fleet.committed.zone_away == "az3" and not rig.fleet.busy
    rig.fleet.set_away("")
    rig.settle(nodes=range(4))
    rig.fleet.grow(3)
    rig.settle(nodes=range(6))
    assert not rig.fleet.committed.zone_away and len(rig.fleet.committed.groups) == 3 and not rig.fleet.busy


def test_a_group_that_the_change_of_model_left_out_is_brought_after() -> None:
    steady = initial(VOLUME, SIX, 4, groups=2)
    rig = Rig(replace(steady, groups=(replace(steady.groups[0], away="az3"), steady.groups[1])))
    with pytest.raises(ChangeRefused, match="another zone is away"):
        rig.fleet.set_away("az2")
    rig.fleet.set_away("az3")
    rig.settle(nodes=range(4))
    assert rig.fleet.committed.zone_away == "az3" and rig.fleet.committed.groups[0] == rig.descriptor.groups[0]


def test_the_monitor_replaces_the_silent_and_lets_the_returned_keep_their_place() -> None:
    rig = Rig()
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=10, away_after_s=0)
    monitor.tick(0.0)
    rig.core.on_disconnected(rig.index("az2-a")[0])
    monitor.tick(1.0)
    monitor.tick(10.9)
    assert not rig.fleet.busy and monitor.silent_s("az2-a", 10.9) == pytest.approx(9.9)
    monitor.tick(11.1)
    rig.settle(nodes=[n for n in ALL if n != rig.index("az2-a")[0]], filled=False)
    assert rig.fleet.committed.groups[0].slots[2].candidate == "az2-c"
    rig.core.on_connected(rig.index("az2-a")[0], {0: rig.log.last_lsn})
    monitor.tick(12.0)
    rig.settle(filled=False)
    assert rig.fleet.committed.groups[0].slots[2].alternatives == ("az2-a",)


def test_the_monitor_sends_a_silent_zone_away_and_takes_it_back() -> None:
    rig = Rig(initial(VOLUME, SIX, 4))
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60)
    monitor.tick(0.0)
    for node in (4, 5):
        rig.core.on_disconnected(node)
    monitor.tick(1.0)
    monitor.tick(62.0)
    rig.settle(nodes=range(4))
    assert rig.fleet.committed.groups[0].away == "az3"
    for node in (4, 5):
        rig.core.on_connected(node, {})
    monitor.tick(63.0)
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away == ""


def test_a_zone_that_the_user_counts_out_right_after_its_return_stays_out() -> None:
    rig = Rig(initial(VOLUME, SIX, 4))
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60)
    monitor.tick(0.0)
    for node in (4, 5):
        rig.core.on_disconnected(node)
    monitor.tick(1.0)
    monitor.tick(62.0)
    rig.settle(nodes=range(4))
    for node in (4, 5):
        rig.core.on_connected(node, {})
    monitor.tick(63.0)
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away == ""
    rig.fleet.set_away("az3")  # before the monitor has looked again
    monitor.left_to_the_user()
    rig.settle(nodes=range(6))
    for now in (64.0, 65.0):
        monitor.tick(now)
        rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away == "az3"


def test_a_zone_comes_back_under_load_and_without_its_dead_spare() -> None:
    rig = Rig()
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60)
    zone = rig.index("az3-a", "az3-b", "az3-c")
    others = [node for node in ALL if node not in zone]
    for node in zone:
        rig.core.on_disconnected(node)
    for now in (0.0, 61.0):
        monitor.tick(now)
        rig.settle(nodes=others)
    assert rig.fleet.committed.zone_away == "az3"

    def load(nodes: Iterable[int], since: float) -> None:
        """Commits; these nodes acknowledge each when the next is on its way already."""
        for step in range(40):
            before, _ = rig.log.last_lsn, rig.commit()
            for node in nodes:
                rig.core.on_scls(node, [(0, before)])
            monitor.tick(since + step / 10)
            rig.settle(nodes=nodes)

    load(others, 62.0)
    for node in zone[:2]:
        rig.core.on_connected(node, {0: 16})
    load(others, 70.0)
    assert rig.fleet.committed.zone_away == "az3", "they are back, and lag"
    load([*others, *zone[:2]], 80.0)
    assert not rig.fleet.committed.zone_away


def test_a_node_that_is_back_keeps_its_place_in_all_groups_and_under_load() -> None:
    spares = [Member(f"az1-{n}", "az1", f"az1-{n}:1") for n in "cd"]
    rig = Rig(initial(VOLUME, SIX, 4, groups=2))
    for spare in spares:
        rig.fleet.add(spare)
    rig.settle(nodes=range(8))
    for node in (6, 7):
        rig.core.on_connected(node, {})
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=10, away_after_s=0)
    rig.core.on_disconnected(0)
    for now in (0.0, 11.0):
        monitor.tick(now)
        rig.settle(nodes=range(1, 8), filled=False)
    assert {group.slots[0].candidate for group in rig.fleet.committed.groups} == {"az1-c", "az1-d"}
    rig.core.on_connected(0, {0: 0, 1: 0})
    for now in (12.0, 12.1, 12.2):
        rig.commit()  # nobody has acknowledged it when the monitor looks
        monitor.tick(now)
        rig.settle(nodes=range(8), filled=False)
    assert members(rig.fleet.committed) == members(rig.descriptor) and not rig.fleet.busy


def blocked_rig(written: bool = True) -> tuple[Rig, Monitor]:
    """az3-b, sound, is being replaced by az3-c, which is not filled, when zone az2 goes; in a group that has log?"""
    rig = Rig()
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=0)
    if written:
        rig.ack(rig.commit(), *members(rig.descriptor))
    rig.fleet.replace("az3-b", "az3-c")
    rig.settle(filled=False)
    monitor.tick(0.0)
    for node in rig.index("az2-a", "az2-b", "az2-c"):
        rig.core.on_disconnected(node)
    return rig, monitor


@pytest.mark.parametrize("written", [True, False])
def test_a_candidate_that_keeps_the_write_quorum_away_is_given_up(
    written: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rig, monitor = blocked_rig(written)
    up = rig.index("az1-a", "az1-b", "az1-c", "az3-a", "az3-b", "az3-c")
    lsn = rig.commit()
    rig.ack(lsn, "az1-a", "az1-b", "az3-a", "az3-b")
    assert rig.core.vdl < lsn, "four of the old set, three of the new one"
    for now in (1.0, 2.0, 3.9):
        monitor.tick(now)
        rig.settle(nodes=up, filled=False)
    assert rig.fleet.committed.groups[0].slots[5].candidate == "az3-c", "the zone may be back in a moment"
    monitor.tick(4.1)
    assert "no write quorum while storage node az3-c is not filled" in caplog.text
    rig.settle(nodes=up, filled=False)
    assert rig.core.vdl == lsn and members(rig.fleet.committed) == members(rig.descriptor)


def test_a_candidate_stays_when_its_going_would_not_help_or_is_not_needed() -> None:
    rig, monitor = blocked_rig()
    rig.core.on_disconnected(rig.index("az1-a")[0])
    for now in (1.0, 5.0, 9.0):
        monitor.tick(now)
    rig.settle(filled=False)
    assert rig.fleet.proposal is None and rig.fleet.committed.groups[0].slots[5].candidate == "az3-c", (
        "three are left with it and without it"
    )
    rig, monitor = blocked_rig()
    monitor.tick(1.0)
    rig.core.on_connected(rig.index("az2-a")[0], {0: rig.log.last_lsn})
    monitor.tick(2.0)
    rig.core.on_disconnected(rig.index("az2-a")[0])
    for now in (3.0, 5.0):
        monitor.tick(now)
    assert rig.fleet.committed.groups[0].slots[5].candidate == "az3-c", "each silence was short"
    rig, monitor = blocked_rig()
    for now in (1.0, 5.0, 9.0):
        rig.settle(nodes=rig.index("az1-a", "az1-b", "az3-a", "az3-b", "az3-c"))
        monitor.tick(now)
    assert "az3-c" in members(rig.fleet.proposal or rig.fleet.committed), "it is filled: it counts"


def test_the_monitor_leaves_a_zone_out_that_a_user_counted_out() -> None:
    rig = Rig(initial(VOLUME, SIX, 4))
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60)
    rig.fleet.set_away("az3")
    rig.settle(nodes=range(6))
    monitor.tick(0.0)
    assert not rig.fleet.busy and rig.fleet.committed.groups[0].away == "az3"
    # A writer that begins with a zone out does not know who did that, and takes it back.
    Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60).tick(0.0)
    rig.settle(nodes=range(6))
    assert rig.fleet.committed.groups[0].away == ""


def test_a_zone_without_segments_is_never_counted_out() -> None:
    six = initial(VOLUME, SIX, 4)
    rig = Rig(replace(six, nodes=(*six.nodes, Member("x", "az4", "x:1"))))
    monitor = Monitor(rig.core, rig.fleet, replace_after_s=0, away_after_s=60)
    rig.core.on_disconnected(6)
    for now in (0.0, 61.0, 122.0):
        monitor.tick(now)
        rig.settle(nodes=range(6))
    assert not rig.fleet.committed.zone_away and rig.fleet.steps == 0
    with pytest.raises(ChangeRefused, match="no segment is in a zone 'az4'"):
        rig.fleet.set_away("az4")


# -- the node's side


def test_who_is_hollow() -> None:
    six = initial(VOLUME, [*SIX, *SPARES], 4)
    slots = six.groups[0].slots
    both = replace(
        six,
        generation=2,
        groups=(replace(six.groups[0], membership_epoch=2, slots=(replace(slots[0], candidate="az1-c"), *slots[1:])),),
    )
    assert joins_hollow("az1-a", 0, None, six, created=True) is False
    assert joins_hollow("az1-a", 0, None, six, created=False) is True, "it has lost its disk"
    assert joins_hollow("az1-c", 0, six, both, created=False) is True
    assert joins_hollow("az1-a", 0, six, both, created=False) is None
    again = replace(both, groups=(replace(both.groups[0], membership_epoch=4),))
    assert joins_hollow("az1-c", 0, both, again, created=False) is True, "a candidate anew, after a way back"
    grown = replace(six, groups=(*six.groups, six.groups[0]))
    assert joins_hollow("az1-a", 1, six, grown, created=False) is False, "a group that never had anything"


def test_filled_means_that_no_write_quorum_is_unheard() -> None:
    parts = initial(VOLUME, SIX, 4).settled_quorum(0)
    filling = Filling()
    for node, scl in ((1, 50), (2, 90)):
        filling.hear(node, scl)
    assert not filling.filled(90, 6, parts), "four others may share a record"
    filling.hear(3, 70)
    filling.hear(2, 500)
    assert filling.filled(90, 6, parts), "what was heard first counts"
    assert not filling.filled(89, 6, parts)


def fence(node: StorageNode[int], epoch: int = 1, writer: str = "w1") -> pb.FenceReply:
    return node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=epoch, writer_id=writer))


def test_a_node_that_lost_its_disk_does_not_vote_until_it_is_filled_again() -> None:
    clock = StepClock()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}") for i in range(6)}
    net = Net(nodes, clock)
    writer = Writer(random.Random(4))
    frames = writer.frames(10)
    for node in nodes.values():
        append(node, frames)
    disk = SimDisk()
    lost: StorageNode[int] = StorageNode(NodeConfig(node_id="n5", data=Path("unused")), disk, clock, random.Random(1))
    current = pb.Descriptor()
    current.CopyFrom(nodes["n0"].meta.value.descriptor)
    request = pb.WriteDescriptorRequest(descriptor=current, volume_epoch=1, writer_id="w1")
    assert lost.on_write_descriptor(request).ok
    nodes["n5"] = lost
    reply = fence(lost)
    assert reply.adopted and all(state.hollow for state in reply.pgs)
    more = writer.frames(3)
    for node in nodes.values():
        reply = append(node, more)
        assert bool(reply.scl) == (node is not lost), "a hollow segment acknowledges nothing"
    net.down = {"n2", "n3", "n4"}
    net.tick(40)
    assert lost.hollow, "two others are not enough to know what was acknowledged"
    # The flag outlives a restart.
    reborn: StorageNode[int] = StorageNode(lost.config, disk, clock, random.Random(2))
    assert set(reborn.hollow) == set(lost.hollow)
    nodes["n5"] = reborn
    net.down = {"n3", "n4"}
    net.tick(40)
    assert reborn.hollow, "an ack of its former life may still be counted: the writer has not met it"
    fence(reborn)
    net.tick(40)
    assert not reborn.hollow
    assert not any(state.hollow for state in states(reborn))
    assert reborn.segment(0).scl == writer.lsns[0][-1]


def test_a_hollow_node_that_the_writer_has_not_met_sends_it_back_to_the_fence() -> None:
    """It was started anew after the handshake and before the stream: it would stay hollow for ever."""
    writer, disk = Writer(random.Random(8)), SimDisk()
    lost = make_node(disk, node_id="n5", install=False)
    lost.install_descriptor(make_node(SimDisk()).meta.value.descriptor)
    fence(lost)
    assert not append(lost, writer.frames(2)).error
    lost = make_node(disk, node_id="n5", install=False)
    assert "fenced anew" in append(lost, writer.frames(2)).error
    fence(lost)
    assert not append(lost, writer.frames(2)).error


def test_what_peers_have_under_an_older_epoch_fills_nobody() -> None:
    """They may acknowledge more to that epoch's writer, which may count what this node has forgotten."""
    clock = StepClock()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}") for i in range(5)}
    writer = Writer(random.Random(6))
    frames = writer.frames(5)
    for node in nodes.values():
        append(node, frames)
    lost = make_node(SimDisk(), clock, "n5", install=False)
    lost.install_descriptor(nodes["n0"].meta.value.descriptor)
    fence(lost)
    late = {name: node.gossip_request() for name, node in nodes.items()}
    fence(lost, 2, "w2")
    lost.take_log(0, b"".join(frames))
    for state in late.values():
        lost.learn(state)
    assert 0 in lost.hollow
    for node in nodes.values():
        fence(node, 2, "w2")
        lost.learn(node.gossip_request())
    assert 0 not in lost.hollow


def test_acks_of_a_node_that_is_met_anew_count_only_when_it_gives_them_again() -> None:
    rig = Rig()
    x, others = rig.index("az1-a")[0], ("az1-b", "az2-a", "az2-b")
    lsn = rig.commit()
    rig.ack(lsn, "az1-a", *others[:2])
    rig.core.on_disconnected(x)
    lag = rig.core.lag_bytes(x)
    rig.core.on_meeting(x)  # its disk may be empty now
    assert rig.core.lag_bytes(x) == lag == 0, "what it told last is shown"
    rig.ack(lsn, others[2])
    assert rig.core.vdl < lsn
    rig.core.on_connected(x, {0: lsn})
    assert rig.core.vdl == lsn


def test_a_descriptor_that_a_node_took_before_it_was_met_anew_does_not_count() -> None:
    rig = Rig()
    rig.fleet.replace("az3-b", "az3-c")
    proposal = next(effect.descriptor for effect in rig.fleet.tick() if isinstance(effect, SendDescriptor))
    first, *others = rig.index("az1-a", "az1-b", "az2-a", "az2-b")
    for node in (first, *others[:2]):
        assert not rig.fleet.on_taken(node, proposal)
    rig.core.on_meeting(first)
    assert not rig.fleet.on_taken(others[2], proposal), "three that are known to have it"
    assert rig.fleet.on_taken(first, proposal)


def test_a_node_that_lost_its_disk_has_forgotten_which_groups_there_were() -> None:
    """A zone comes back with empty disks and asks a peer that was away while the volume grew."""
    small = replace(initial(VOLUME, SIX, 4, groups=1), proposer_epoch=1, generation=2)
    large = replace(grown(small, 2), proposer_epoch=1)

    def make(descriptor: Descriptor | None) -> StorageNode[int]:
        config = NodeConfig(node_id="az3-a", data=Path("unused"))
        node: StorageNode[int] = StorageNode(config, SimDisk(), StepClock(), random.Random(1))
        if descriptor is not None:
            node.install_descriptor(descriptor.to_proto(pb.Descriptor()), created=True)
        return node

    def tell(node: StorageNode[int], descriptor: Descriptor, epoch: int, writer: str) -> None:
        request = pb.WriteDescriptorRequest(
            descriptor=descriptor.to_proto(pb.Descriptor()), volume_epoch=epoch, writer_id=writer
        )
        assert node.on_write_descriptor(request).ok

    kept, lost = make(small), make(None)
    assert lost.install_descriptor(small.to_proto(pb.Descriptor())), "from a peer that was away"
    for node in (kept, lost):
        assert fence(node).forgetful == (node is lost)
        tell(node, large, 1, "w1")
    assert not kept.hollow, "the group was made while it was away: it has truly nothing of it"
    assert set(lost.hollow) == {0, 1}, "it may have held the group"
    larger = replace(grown(large, 3), proposer_epoch=1)
    tell(lost, larger, 1, "w1")
    assert set(lost.hollow) == {0, 1}, "that group was made since: it cannot have held it"
    assert fence(lost, 2, "w2").forgetful, "the writer of another epoch may know of more"
    tell(lost, replace(grown(larger, 4), proposer_epoch=2), 2, "w2")
    assert set(lost.hollow) == {0, 1, 3}


def test_a_node_that_is_told_and_filled_is_forgetful_no_longer() -> None:
    clock, disk = StepClock(), SimDisk()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}") for i in range(5)}
    writer = Writer(random.Random(9))
    for node in nodes.values():
        append(node, writer.frames(5) if node is nodes["n0"] else [])
    lost = make_node(disk, clock, "n5", install=False)
    current = nodes["n0"].meta.value.descriptor
    request = pb.WriteDescriptorRequest(descriptor=current, volume_epoch=1, writer_id="w1")
    assert lost.on_write_descriptor(request).ok and not lost.forgetful and lost.meta.value.lost_memory
    fence(lost)
    Net({**nodes, "n5": lost}, clock).tick(60)
    assert not lost.hollow and not lost.meta.value.lost_memory
    assert (
        not make_node(disk, clock, "n5", install=False)
        .on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
        .forgetful
    )


def test_a_peer_that_knows_a_newer_descriptor_is_heard_when_the_node_knows_it_too() -> None:
    clock = StepClock()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}") for i in range(4)}
    lost = make_node(SimDisk(), clock, "n5", install=False)
    lost.install_descriptor(nodes["n0"].meta.value.descriptor)
    fence(lost)
    for node in nodes.values():
        fence(node)
        state = node.gossip_request()
        state.descriptor_generation += 1
        lost.learn(state)
    assert lost.hollow
    for node in nodes.values():
        lost.learn(node.gossip_request())
    assert not lost.hollow


def test_a_replacement_is_committed_while_a_zone_is_down() -> None:
    rig = Rig()
    rig.fleet.replace("az3-b", "az3-c")
    rig.settle(filled=False)
    down = rig.index("az2-a", "az2-b", "az2-c")
    up = [node for node in ALL if node not in down]
    for node in down:
        rig.core.on_disconnected(node)
    lsn = rig.commit()
    rig.ack(lsn, "az1-a", "az1-b", "az3-a", "az3-b", "az3-c")
    assert rig.core.vdl == lsn
    leaves, candidate = rig.index("az3-b", "az3-c")
    rig.core.on_states(candidate, rig.core.descriptor.membership_epoch, {0: lsn})
    told = {effect.node for effect in rig.fleet.tick() if isinstance(effect, SendDescriptor)}
    proposal = rig.fleet.proposal
    assert proposal is not None and proposal.member("az3-b").retired
    assert leaves not in told and candidate in told
    assert 0 in rig.core.links[leaves].pgs and not rig.core.members[leaves].retired, "it is served until the commit"
    second = rig.commit()
    rig.ack(second, "az1-a", "az1-b", "az3-a", "az3-b", "az3-c")
    assert rig.core.vdl == second, "writes go on"
    for effect in rig.fleet.tick():
        if isinstance(effect, SendDescriptor) and effect.node in up:
            assert effect.node != leaves and not rig.fleet.on_taken(effect.node, proposal), "three of the old set"
    assert leaves in {effect.node for effect in rig.fleet.tick()}, "nothing but its word is lacking"
    rig.settle(up)
    assert rig.fleet.committed == proposal and not rig.fleet.busy
    assert not rig.core.links[leaves].pgs and rig.core.members[leaves].retired
    third = rig.commit()
    rig.ack(third, "az1-a", "az1-b", "az3-a", "az3-c")
    assert rig.core.vdl == third


def test_a_segment_that_is_filled_counts_only_once_the_disk_has_taken_that() -> None:
    clock, disk = StepClock(), RefusingDisk()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}") for i in range(5)}
    writer = Writer(random.Random(5))
    for node in nodes.values():
        append(node, writer.frames(10) if node is nodes["n0"] else [])
    lost = make_node(disk, clock, "n5", install=False)
    assert lost.install_descriptor(nodes["n0"].meta.value.descriptor) and 0 in lost.hollow
    fence(lost)
    net = Net({**nodes, "n5": lost}, clock)
    disk.refuses.update(("meta", "meta-copy"))
    net.tick(60)
    assert lost.segment(0).scl == writer.log.last_lsn, "it has all log"
    assert "No space left" in lost.note
    assert 0 in lost.hollow and not append(lost, writer.frames(1)).scl
    disk.refuses.clear()
    net.tick(60)
    assert not lost.hollow and not lost.note
    assert not make_node(disk, clock, "n5", install=False).hollow


def test_a_stale_membership_is_refused_and_told_the_new_one() -> None:
    node = make_node(SimDisk())
    writer = Writer(random.Random(4))
    assert node.descriptor is not None
    newer = replace(node.descriptor, generation=2, membership_epoch=5).to_proto(pb.Descriptor())
    assert node.install_descriptor(newer)
    reply = append(node, writer.frames(1))
    assert reply.refused_membership == 5 and not reply.scl
    request = pb.GossipRequest(volume_id=VOLUME, node_id="n1", membership_epoch=1)
    assert node.on_gossip(request).membership_epoch == 5
    for method, stale in (
        (node.on_read, pb.ReadPagesRequest(volume_id=VOLUME, membership_epoch=1)),
        (node.on_fetch_log, pb.FetchLogRequest(volume_id=VOLUME, membership_epoch=1)),
        (node.on_fetch_range, pb.FetchRangeRequest(volume_id=VOLUME, membership_epoch=1)),
    ):
        with pytest.raises(Exception, match="membership epoch 1 is over, the volume's is 5"):
            list(method(stale))  # type: ignore[operator]


def test_a_node_drops_what_it_does_not_hold_any_more() -> None:
    disk = SimDisk()
    node = make_node(disk)
    writer = Writer(random.Random(4), pages=200)
    append(node, writer.frames(30), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    assert node.descriptor is not None
    groups = list(node.descriptor.groups)
    slots = tuple(replace(slot, member="n9") if slot.member == "n0" else slot for slot in groups[1].slots)
    groups[1] = replace(groups[1], slots=slots, membership_epoch=3)
    wanted = replace(
        node.descriptor, generation=2, nodes=(*node.descriptor.nodes, Member("n9", "az0", "n9")), groups=tuple(groups)
    )
    assert node.install_descriptor(wanted.to_proto(pb.Descriptor()))
    assert 1 not in node.segments and 0 in node.segments
    reply = append(node, writer.frames(20))
    assert "holds no segment of PG 1" in reply.error
    again = make_node(disk, install=False)
    assert 1 not in again.segments and again.segment(0).scl == node.segment(0).scl


def test_a_model_without_a_write_quorum_of_sound_segments_is_not_committed() -> None:
    """Three of the four that would be left are hollow: then nothing could be written, and they never be filled."""
    rig = Rig()
    hollow = rig.index("az1-a", "az2-a", "az2-b")
    for node in hollow:
        rig.core.on_connected(node, {})
        rig.core.on_meeting(node)
        rig.core.on_met(node, FenceAnswer(True, 3, {0: PgReport(0, 0, 0, 0, hollow=True)}))
    rig.fleet.set_away("az3")
    sound = [node for node in ALL if node not in hollow]
    for _ in range(5):
        for effect in rig.fleet.tick():
            if isinstance(effect, SendDescriptor):
                rig.fleet.on_taken(effect.node, effect.descriptor)
            elif effect.node in sound:
                rig.tell_states(effect.node)
    assert rig.fleet.committed.groups[0].away_next == "az3"
    rig.settle()
    assert rig.fleet.committed.groups[0].away == "az3", "they are filled by now"


def test_states_are_asked_of_candidates_and_of_who_has_not_said_whether_it_counts() -> None:
    rig = Rig()
    rig.settle()
    assert rig.fleet.tick() == []
    rig.fleet.replace("az1-a", "az1-c")
    rig.settle(filled=False)
    assert rig.fleet.tick() == [AskStates(rig.index("az1-c")[0])]
    member = rig.index("az2-a")[0]
    rig.core.on_meeting(member)
    assert rig.fleet.tick()[-2:] == [AskStates(member), AskStates(rig.index("az1-c")[0])]
