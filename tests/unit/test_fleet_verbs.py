"""``aurora node add``, ``replace`` and ``remove`` with a writer that agrees, refuses, or loses its quorum half way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from test_fleet import SIX, VOLUME, Rig

from aurora.geometry import Member
from aurora.placement import initial
from aurora.programs import fleet
from aurora.programs.supervisor import LOOPBACK, Cluster, ClusterError
from compute_node.volume.fleet import ChangeRefused

LOST = psycopg.OperationalError("server closed the connection unexpectedly")


class World:
    """The writer's SQL functions over a real ``Fleet``, the nodes' answers, processes, and a clock: while a verb
    waits, the nodes that ``take`` descriptors do so.
    """

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(initial(VOLUME, SIX, 4, groups=1))
        self.cluster = Cluster(folder)
        self.cluster.create(host=LOOPBACK, port=0, pages_per_pg=4, cache_mb=16, password=None)
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.take = range(9)
        self.state, self.starts, self.filled = "open", True, True
        self.refuse: set[str] = set()
        """Functions that the writer refuses."""
        self.lose: set[str] = set()
        """Functions after which the connection is lost."""
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def settle(self) -> None:
        """All that can happen happens, the connecting of a new node too."""
        self.rig.settle(self.take, self.filled)
        for node, link in enumerate(self.rig.core.links):
            if not link.connected:
                self.rig.core.on_connected(node, {})
        self.rig.settle(self.take, self.filled)

    def ask_nodes(self, addresses: list[str], _tls: object) -> list[dict[str, Any]]:
        latest = self.rig.fleet.committed
        slots = [{"member": slot.member, "candidate": slot.candidate} for slot in latest.groups[0].slots]
        view = {"state": "up", "descriptor_version": [*latest.version], "groups": [{"slots": slots}], "pgs": {},
                "page_bytes": 0}  # fmt: skip
        silent = {"state": "down"}
        return [view if self.starts or address.endswith(":1") else silent for address in addresses]

    def call(self, function: str, *arguments: str) -> str:
        rig = self.rig
        if function in self.refuse:
            raise psycopg.errors.ObjectNotInPrerequisiteState("not now")
        try:
            if function == "aurora_status":
                nodes = [{"id": node.node_id} for node in rig.fleet.committed.nodes if not node.retired]
                volume = {"state": self.state, "nodes": nodes, "fleet_changing": rig.fleet.busy}
                return json.dumps({"volume": volume})
            if function == "aurora_add_storage_node":
                (node,) = [node for node in Cluster(self.cluster.data).required.nodes if node.address == arguments[0]]
                rig.fleet.add(Member(node.id, node.az, node.address))
            elif function == "aurora_replace_storage_node":
                rig.fleet.replace(*arguments)
            elif function == "aurora_cancel_replacement":
                rig.fleet.go_back(*arguments)
            else:
                assert function == "aurora_remove_storage_node"
                rig.fleet.remove(*arguments)
        except ChangeRefused as error:
            raise psycopg.errors.ObjectNotInPrerequisiteState(str(error)) from error
        self.settle()
        if function in self.lose:
            raise LOST
        return function

    # --- what is there

    def described(self) -> list[str]:
        """Nodes beyond the first six in cluster.json."""
        return [node.id for node in Cluster(self.cluster.data).required.nodes][6:]

    def members(self) -> list[str]:
        """Nodes of the committed descriptor."""
        return [node.node_id for node in self.rig.fleet.committed.nodes if not node.retired]


class Connection:
    """Stands in for a connection to the writer."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, text: str, arguments: tuple[str, ...]) -> Connection:
        found = re.fullmatch(r"select (\w+)\(.*\)", text)
        assert found is not None
        self.row = (self.world.call(found[1], *arguments),)
        return self

    def fetchone(self) -> tuple[str]:
        return self.row


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "c")
    monkeypatch.setattr(Cluster, "start_node", lambda _self, name: made.started.append(name))
    monkeypatch.setattr(Cluster, "stop_running", lambda _self, name: made.stopped.append(name))
    monkeypatch.setattr(fleet, "time", made)
    monkeypatch.setattr(fleet, "ask_nodes", made.ask_nodes)
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: Connection(made))
    return made


def test_a_node_joins_as_a_spare_and_leaves_again(world: World) -> None:
    assert fleet.add(world.cluster, "az1").startswith("aurora_add_storage_node at 127.0.0.1:")
    assert (world.started, world.described(), world.members()[6:]) == (["az1-c"], ["az1-c"], ["az1-c"])
    assert fleet.remove(world.cluster, "az1-c").startswith("az1-c is stopped and forgotten")
    assert (world.stopped, world.described(), world.members()[6:]) == (["az1-c"], [], [])


def test_a_node_that_joins_only_after_the_verb_gave_up_stays(world: World) -> None:
    world.take = range(3)  # no write quorum
    with pytest.raises(ClusterError, match=r"az1-c runs at .* and stays.*\n?.*aurora node remove az1-c"):
        fleet.add(world.cluster, "az1")
    assert (world.stopped, world.described(), world.members()[6:]) == ([], ["az1-c"], [])
    # It cannot be forgotten while it may still join.
    with pytest.raises(ClusterError, match="the leave of az1-c, which runs until then, takes longer"):
        fleet.remove(world.cluster, "az1-c")
    assert (world.stopped, world.described()) == ([], ["az1-c"])
    world.take = range(9)
    world.sleep(1.0)
    assert world.members()[6:] == [], "it has joined, and left as it was asked to"
    fleet.remove(world.cluster, "az1-c")
    assert (world.stopped, world.described()) == (["az1-c"], [])


def test_a_node_that_is_about_to_join_is_removed_after_it_has(world: World) -> None:
    world.take = range(3)
    with pytest.raises(ClusterError, match="stays"):
        fleet.add(world.cluster, "az1")
    world.take = range(9)
    fleet.remove(world.cluster, "az1-c")
    assert (world.stopped, world.described(), world.members()[6:]) == (["az1-c"], [], [])
    assert world.rig.fleet.committed.member("az1-c").retired


def test_a_node_stays_when_it_is_not_known_whether_the_writer_heard(world: World) -> None:
    world.lose = {"aurora_add_storage_node"}
    with pytest.raises(ClusterError, match=r"server closed[^\n]*\naz2-c runs"):
        fleet.add(world.cluster, "az2")
    assert (world.stopped, world.described(), world.members()[6:]) == ([], ["az2-c"], ["az2-c"])


def test_nothing_is_left_of_a_node_that_the_writer_refuses_or_that_does_not_start(world: World) -> None:
    world.refuse = {"aurora_add_storage_node"}
    with pytest.raises(fleet.Refused, match="not now"):
        fleet.add(world.cluster, "az1")
    world.refuse, world.starts = set(), False
    with pytest.raises(ClusterError, match="the start of az1-c"):
        fleet.add(world.cluster, "az1")
    assert (world.started, world.stopped) == (["az1-c"] * 2, ["az1-c"] * 2)
    assert (world.described(), world.members()[6:]) == ([], [])


@pytest.mark.parametrize("state", ["read only", "fenced"])
def test_no_node_is_started_for_a_volume_whose_fleet_cannot_be_changed(world: World, state: str) -> None:
    world.state = state
    for verb in (
        lambda: fleet.add(world.cluster, "az1"),
        lambda: fleet.replace(world.cluster, "az1-a", None, 9, print),
    ):
        with pytest.raises(ClusterError, match=f"the volume is {state}"):
            verb()
    assert world.started == []


def test_a_replacement_that_the_writer_would_refuse_starts_no_node(world: World) -> None:
    world.filled = False
    with pytest.raises(ClusterError, match=r"az1-a keeps the segments .*; az1-c stays, as a spare"):
        fleet.replace(world.cluster, "az1-a", None, 1.0, lambda _: None)
    assert (world.described(), world.stopped) == (["az1-c"], [])
    world.sleep(1.0)
    fleet.ask(world.cluster, "aurora_replace_storage_node", "az1-a", "az1-c")
    world.sleep(1.0)
    with pytest.raises(ClusterError, match="az1-a is being replaced by az1-c already"):
        fleet.replace(world.cluster, "az1-a", None, 1.0, print)
    with pytest.raises(ClusterError, match="az1-c holds no segment that another node could take; aurora node remove"):
        fleet.replace(world.cluster, "az1-c", None, 1.0, print)
    assert (world.started, world.described()) == (["az1-c"], ["az1-c"])
    world.filled = True
    world.sleep(1.0)
    assert not world.rig.fleet.busy
    fleet.remove(world.cluster, "az1-a")
    assert world.stopped == ["az1-a"]


def test_a_replacement_that_is_refused_all_the_same_names_the_node_that_stays(world: World) -> None:
    world.refuse = {"aurora_replace_storage_node"}
    with pytest.raises(fleet.Refused, match="not now; az3-c stays, as a spare: aurora node remove az3-c"):
        fleet.replace(world.cluster, "az3-b", None, 1.0, print)
    assert (world.described(), world.members()[6:], world.stopped) == (["az3-c"], ["az3-c"], [])


def test_a_replacement_by_a_new_node_forgets_the_old_one(world: World) -> None:
    said: list[str] = []
    fleet.replace(world.cluster, "az3-b", None, 9.0, said.append)
    assert said[-1].startswith("az3-c has taken over from az3-b")
    assert (world.stopped, world.described()) == (["az3-b"], ["az3-c"][1:])
    assert [node.id for node in Cluster(world.cluster.data).required.nodes][5:] == ["az3-c"]


def test_a_replacement_that_the_writer_gives_up_ends_the_verb(world: World) -> None:
    world.filled = False

    def monitor(said: str) -> None:
        if "segments filled" in said:
            world.rig.fleet.go_back("az3-c")

    with pytest.raises(ClusterError, match=r"given az3-c up, as its log says: az3-b keeps .*; az3-c stays, as a spare"):
        fleet.replace(world.cluster, "az3-b", None, 3600.0, monitor)
    assert world.now < 60 and world.stopped == []


def test_a_node_with_segments_is_not_removed(world: World) -> None:
    with pytest.raises(fleet.Refused, match="az1-a belongs to the volume; first: aurora node replace az1-a"):
        fleet.remove(world.cluster, "az1-a")
    assert world.stopped == [] and "az1-a" in world.members()
