"""Refill on simulated disks: calls, replies and syncs in any order, sources that go on, crashes, damage, holes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import PAGES_PER_PG, RefusingDisk, StepClock, Writer, append, make_node, read

from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node import refill
from storage_node.effects import Call, Effect
from storage_node.node import Refused, StorageNode
from tests.log_rule import DAMAGE, DISK_REFUSES

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES, r"gave what cannot be used")

Node = StorageNode[int]
SETTINGS = {"coalesce_log_mb": 0.004, "refill_range_kb": 32}
ROUNDS_MAX = 4000


class World:
    """Nodes n0 …, a writer that appends to those that are up, and a network that delivers in the order the rng says."""

    def __init__(self, seed: int, count: int = 4, **more: float) -> None:
        self.rng = random.Random(seed)
        self.clock = StepClock()
        self.settings = {**SETTINGS, **more}
        self.disks = {f"n{i}": SimDisk() for i in range(count)}
        self.nodes = {name: self._make(name) for name in self.disks}
        self.down: set[str] = set()
        self.cut: set[str] = set()
        """Up, but no append reaches them."""
        self.writer = Writer(self.rng, pages=PAGES_PER_PG)
        self.events: list[tuple[Node, Callable[[], None]]] = []
        self.ranges: list[tuple[str, int, int]] = []
        """``(peer, first, count)`` of each range answered."""
        self.tamper: Callable[[str, pb.FetchRangeReply], None] = lambda peer, reply: None

    def _make(self, name: str) -> Node:
        return make_node(self.disks[name], self.clock, name, **self.settings)

    def up(self, name: str) -> bool:
        return name not in self.down

    def write(self, edits: int) -> None:
        frames = self.writer.frames(edits)
        last = self.writer.log.last_lsn
        for name, node in self.nodes.items():
            if self.up(name) and name not in self.cut:
                append(node, frames, vdl=last, pgmrpl=last)

    def crash(self, name: str) -> None:
        """Power off; it is down until ``restart``."""
        self.disks[name] = self.disks[name].crash(self.rng)
        self.down.add(name)

    def restart(self, name: str, empty: bool = False) -> None:
        if empty:
            self.disks[name] = SimDisk()
        self.nodes[name] = self._make(name)
        self.down.discard(name)

    def step(self) -> None:
        """Some time, a tick of each node, some deliveries."""
        self.clock.now += 0.05
        for name, node in self.nodes.items():
            if self.up(name):
                self._carry(node, node.tick())
        for _ in range(self.rng.randrange(1, 12)):
            if self.events:
                owner, event = self.events.pop(self.rng.randrange(len(self.events)))
                if owner in self.nodes.values() and self.up(owner.config.node_id):
                    event()

    def _carry(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Call):
                self.events.append((node, lambda call=effect: self._call(node, call)))  # type: ignore[misc]
            else:
                self.events.append((node, lambda name=effect.name: self._sync(node, name)))  # type: ignore[misc]

    def _sync(self, node: Node, name: str) -> None:
        node.disk.sync(name)
        self._carry(node, node.on_synced(name))

    def _call(self, node: Node, call: Call) -> None:
        peer = self.nodes.get(call.peer_id)
        if peer is None or not self.up(call.peer_id):
            node.on_failed(call, "down")
            return
        handler = {
            "Gossip": peer.on_gossip, "FetchLog": peer.on_fetch_log, "FetchRange": peer.on_fetch_range,
            "ReadDescriptor": peer.on_read_descriptor, "ReadPages": peer.on_read,
        }[call.method]  # fmt: skip
        try:
            answer = handler(call.request)
            replies = list(answer) if call.streaming else [answer]
        except Refused as error:
            node.on_failed(call, str(error))
            return
        if call.method == "FetchRange":
            self.ranges.append((call.peer_id, call.request.first, call.request.count))
            self.tamper(call.peer_id, replies[0])
        self.events.append((node, lambda: self._replied(node, call, replies)))

    def _replied(self, node: Node, call: Call, replies: list[object]) -> None:
        for reply in replies:
            self._carry(node, node.on_reply(call, reply))
        node.on_end(call)

    def collect(self) -> None:
        """Steps until every node that is up has collected some of what is written."""
        want = self.writer.log.last_lsn // 2
        self.until(
            lambda: all(n.segment(0).collected_lsn > want for name, n in self.nodes.items() if self.up(name)), "collect"
        )

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(ROUNDS_MAX):
            if condition():
                return
            self.step()
        raise AssertionError(f"{what}: {[n.on_status(pb.StatusRequest()) for n in self.nodes.values()]}")

    def level(self) -> bool:
        return all(
            node.segment(0).scl == self.writer.log.last_lsn and not node.gossip.catching_up
            for name, node in self.nodes.items()
            if self.up(name)
        )

    def check(self, name: str) -> None:
        """Every page of the node, at the end of the log and at LSNs that it still has to serve, is the model's."""
        last = self.writer.log.last_lsn
        for page_no in range(PAGES_PER_PG):
            assert read(self.nodes[name], self.writer, page_no, last).image == self.writer.at(page_no, last), page_no
        for lsn in self.writer.lsns.get(0, [])[-40:]:
            page_no = self.rng.randrange(PAGES_PER_PG)
            image = read(self.nodes[name], self.writer, page_no, lsn)
            assert image.collected or image.image == self.writer.at(page_no, lsn), (page_no, lsn)


def filled(seed: int, edits: int = 300, count: int = 4, **more: float) -> World:
    """A world whose nodes have all collected some log."""
    world = World(seed, count, **more)
    for _ in range(10):
        world.write(edits // 10)
        world.step()
    world.collect()
    return world


def refilling(world: World, name: str) -> bool:
    return bool(world.nodes[name].refill.states())


@pytest.fixture(autouse=True)
def small_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "SYNC_BYTES", 64 << 10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_any_schedule_of_writes_crashes_and_deliveries(seed: int) -> None:
    world = filled(seed, edits=random.Random(seed).choice((100, 400)))
    rng = world.rng
    victim = "n3"
    world.crash(victim)
    world.write(30)
    world.restart(victim, empty=rng.random() < 0.7)
    for _ in range(rng.randrange(10, 120)):
        luck = rng.random()
        if luck < 0.3:
            world.write(rng.choice((1, 5, 40)))
        elif luck < 0.36:
            world.crash(victim)
            for _ in range(rng.randrange(5)):
                world.step()
                world.write(3)
            world.restart(victim)
        elif luck < 0.4:
            world.cut ^= {victim}
        elif luck < 0.45:
            source = rng.choice(("n0", "n1", "n2"))
            world.crash(source)
            world.step()
            world.restart(source)
        world.step()
    world.cut.clear()
    world.write(1)
    world.until(world.level, "level")
    for name in world.nodes:
        world.check(name)
    world.crash(victim)
    world.restart(victim)
    world.check(victim)


def test_the_sources_append_coalesce_and_collect_meanwhile() -> None:
    world = filled(7)
    world.restart("n3", empty=True)
    world.write(1)
    world.until(lambda: refilling(world, "n3"), "begin")
    before = {name: node.segment(0).collected_lsn for name, node in world.nodes.items()}
    went_on = 0
    while refilling(world, "n3"):
        world.write(20)
        world.step()
        went_on += any(world.nodes[n].segment(0).collected_lsn > before[n] for n in ("n0", "n1", "n2"))
    assert went_on, "no source collected during the refill"
    assert world.nodes["n3"].segment(0).collected_lsn
    world.until(world.level, "level")
    world.check("n3")


def test_several_sources_give_different_ranges() -> None:
    world = filled(8)
    world.restart("n3", empty=True)
    world.write(1)
    world.until(world.level, "level")
    assert {peer for peer, _, _ in world.ranges} == {"n0", "n1", "n2"}
    pages = [page for _, first, count in world.ranges for page in range(first, first + count)]
    assert len(pages) == len(set(pages))
    world.check("n3")


def test_a_restarted_node_goes_on_where_it_was() -> None:
    world = filled(9)
    world.restart("n3", empty=True)
    world.write(1)

    def some() -> bool:
        state = world.nodes["n3"].refill.states()
        return bool(state) and 0 < state[0].pages_done < state[0].pages_total

    world.until(some, "some ranges")
    state = world.nodes["n3"].refill.states()[0]
    kept = sum(r.count for note in world.nodes["n3"].meta.value.refills for r in note.done)
    assert kept == state.pages_done
    world.crash("n3")
    world.ranges.clear()
    world.restart("n3")
    world.write(1)
    world.until(world.level, "level")
    asked = sum(count for _, _, count in world.ranges)
    assert asked == state.pages_total - state.pages_done
    assert not world.nodes["n3"].meta.value.refills
    world.check("n3")


def test_a_source_that_dies_is_replaced_by_another() -> None:
    world = filled(10)
    world.restart("n3", empty=True)
    world.write(1)
    world.until(lambda: bool(world.ranges), "a range")
    world.crash(world.ranges[0][0])
    world.until(world.level, "level")
    world.check("n3")


def test_a_damaged_page_comes_from_another_source_and_is_repaired_at_its_own() -> None:
    world = filled(11)
    world.disks["n0"].flip_bit("pages-0", 5 * 8192 + 4000)
    world.disks["n1"].flip_bit("pages-0", 5 * 8192 + 100)
    world.disks["n1"].flip_bit("pages-0", 17 * 8192)
    world.disks["n2"].flip_bit("pages-0", 40 * 8192 + 9)
    world.restart("n3", empty=True)
    world.write(1)
    world.until(world.level, "level")
    world.check("n3")
    world.until(lambda: not any(n.segment(0).broken for n in world.nodes.values()), "repair")


def test_a_reply_that_lies_is_not_taken() -> None:
    world = filled(12)
    lies = iter(("pages", "lsn", "runs", "end"))

    def tamper(peer: str, reply: pb.FetchRangeReply) -> None:
        match next(lies, ""):
            case "pages":
                reply.pages = reply.pages[:-1] + b"\xff"
            case "lsn":
                reply.collected_lsn += 1
            case "runs":
                reply.runs[0].first += 1
            case "end":
                reply.end += 1

    world.tamper = tamper
    world.restart("n3", empty=True)
    world.write(1)
    world.until(world.level, "level")
    world.check("n3")


def test_holes_stay_holes() -> None:
    world = World(13)
    world.writer.pages = 3
    for page_no in (0, 1, 19, 20, 50):
        for _ in range(8):
            world.writer.edit(page_no)
        world.write(0)
    for _ in range(20):
        for page_no in (0, 20, 50):
            world.writer.edit(page_no)
        world.write(0)
        world.step()
    world.collect()
    world.restart("n3", empty=True)
    world.write(1)
    world.until(world.level, "level")
    world.check("n3")
    held = [index for index in range(PAGES_PER_PG) if world.nodes["n3"].segment(0).store.read(index) is not None]
    assert set(held) <= {0, 1, 19, 20, 50}
    assert {0, 20, 50} <= set(held)


def test_the_floor_rises_when_the_log_has_gone_everywhere() -> None:
    world = filled(14)
    world.restart("n3", empty=True)
    world.write(1)
    world.cut.add("n3")
    world.until(
        lambda: bool(world.nodes["n3"].refill.states() and world.nodes["n3"].refill.states()[0].pages_done), "some"
    )
    floor = world.nodes["n3"].segment(0).highest_lsn
    # While no call of n3 is answered and the writer does not reach it, the others collect all that it has of the log.
    held, world.events = world.events, []
    node = world.nodes.pop("n3")
    for _ in range(20):
        world.write(30)
        world.step()
    world.until(lambda: all(n.segment(0).collected_lsn > floor for n in world.nodes.values()), "the others to collect")
    world.nodes["n3"] = node
    world.events += held
    world.cut.clear()
    world.write(1)
    world.until(world.level, "level")
    world.check("n3")


def test_a_full_disk_stops_the_refill_and_room_lets_it_go_on() -> None:
    world = filled(15)
    world.disks["n3"] = SimDisk(capacity_bytes=200_000)
    world.nodes["n3"] = world._make("n3")
    world.write(1)
    world.until(lambda: bool(world.nodes["n3"].note), "the disk to refuse")
    for _ in range(40):
        world.step()
    assert world.nodes["n3"].on_status(pb.StatusRequest()).state == "refusing"
    world.disks["n3"].capacity_bytes = None
    world.until(world.level, "level")
    world.check("n3")


def test_pages_taken_over_count_only_once_the_disk_has_taken_their_baseline() -> None:
    world = filled(16)
    world.disks["n3"] = disk = RefusingDisk()
    world.restart("n3")
    world.write(1)
    node = world.nodes["n3"]
    world.until(lambda: refilling(world, "n3") and bool(world.ranges), "the refill")
    disk.refuses.update(("meta", "meta-copy"))
    world.until(lambda: not refilling(world, "n3"), "its end")
    assert node.note and not node.segment(0).collected_lsn and 0 in node.hollow
    disk.refuses.clear()
    world.until(world.level, "level")
    assert not node.note and not node.hollow
    world.check("n3")


def _refill_seconds(world: World, writes: bool) -> float:
    world.restart("n3", empty=True)
    world.write(1)
    world.until(lambda: bool(world.ranges), "the first range")
    began = world.clock.now
    while refilling(world, "n3"):
        if writes:
            world.write(1)
        world.step()
    taken = world.clock.now - began
    world.until(world.level, "level")
    world.check("n3")
    return taken


def test_the_rate_is_limited() -> None:
    whole_s = (PAGES_PER_PG - 4) * 8192 / 0.2e6
    assert _refill_seconds(filled(16, refill_mb_s=0.2), writes=False) > 0.8 * whole_s
    # That somebody writes is known once the VDL moves: the first eight ranges are out by then.
    assert _refill_seconds(filled(16, refill_busy_mb_s=0.2), writes=True) > 0.5 * whole_s
    assert _refill_seconds(filled(16, refill_busy_mb_s=0.2), writes=False) < 0.4 * whole_s
    assert _refill_seconds(filled(16), writes=True) < 0.4 * whole_s
