"""Freed pages on storage nodes: whatever coalesces, crashes, falls behind or is repaired, a freed page stays freed.

A read at any LSN, also one that nobody may need any more, is answered with the right bytes, or not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from aurora.sim.disk import SimDisk
from storage_node.effects import Call, Effect
from storage_node.node import StorageNode
from storage_node.page_store import PageStore
from tests.log_rule import DAMAGE, DISK_REFUSES
from tests.unit import storage_tools as tools

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES)

NODES = 3
EAGER = {"coalesce_log_mb": 0.0001, "coalesce_age_s": 0.1, "slice_ms": 1000.0}
PAGES = 6


class FreeingWriter(tools.Writer):
    """Frees a page now and then."""

    def free(self, page_no: int) -> int:
        """One FREE; its LSN."""
        lsn = self.log.append(page_no, 0, b"", redo.FLAG_CPL)
        self.images.pop(page_no, None)
        self.versions.setdefault(page_no, []).append((lsn, b""))
        self.lsns.setdefault(page_no // tools.PAGES_PER_PG, []).append(lsn)
        return int(lsn)

    def edit(self, page_no: int | None = None) -> int:
        """See ``Writer.edit``; one in five is a FREE of a page that has content."""
        if page_no is None and self.images and self.rng.random() < 0.2:
            return self.free(self.rng.choice(sorted(self.images)))
        return super().edit(page_no)


class Crashed(Exception):
    """The node's process ends here."""


class StormyNet(tools.Net):
    """A net whose nodes may crash whenever they sync. ``make`` starts a node on its disk."""

    def __init__(
        self, disks: dict[str, SimDisk], make: Callable[[str], StorageNode[int]], clock: tools.StepClock, seed: int
    ) -> None:
        super().__init__({name: make(name) for name in disks}, clock)
        self.disks = disks
        self.make = make
        self.rng = random.Random(seed)
        self.crash_chance = 0.0
        self.crashes = 0

    def _carry(self, node: StorageNode[int], effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Call) and self.rng.random() < self.crash_chance:
                if self.rng.random() < 0.5:
                    node.disk.sync(effect.name)
                raise Crashed(node.config.node_id)
            super()._carry(node, [effect])

    def tick(self, rounds: int = 1, step_s: float = 0.2) -> None:
        """See ``Net.tick``; who crashed is back at once, with what its disk had kept."""
        for _ in range(rounds):
            try:
                super().tick(1, step_s)
            except Crashed as crash:
                name = str(crash)
                self.crashes += 1
                self.disks[name].crash(self.rng)
                self.nodes[name] = self.make(name)


def _net(seed: int, clock: tools.StepClock) -> StormyNet:
    disks = {f"n{i}": SimDisk() for i in range(NODES)}

    def make(name: str) -> StorageNode[int]:
        return tools.make_node(disks[name], clock, name, peers=tools.peer_list(NODES), **EAGER)  # type: ignore[arg-type]

    return StormyNet(disks, make, clock, seed)


def _check(node: StorageNode[int], writer: FreeingWriter, page_no: int, lsn: int) -> bool:
    """The answer is right or there is none; whether there is one."""
    found = tools.read(node, writer, page_no, lsn)
    if found.behind or found.collected:
        return False
    expected = writer.at(page_no, lsn)
    assert found.image == expected, f"page {page_no} at {lsn} on {node.config.node_id}: {len(found.image)} bytes"
    return True


@pytest.mark.parametrize("seed", range(30))
def test_no_interleaving_brings_a_freed_page_back(seed: int) -> None:
    rng = random.Random(seed)
    writer = FreeingWriter(random.Random(seed + 1000), pages=PAGES)
    clock = tools.StepClock()
    net = _net(seed, clock)
    net.crash_chance = rng.choice((0.0, 0.05, 0.2))
    vdl = pgmrpl = 0
    for _ in range(25):
        frames = writer.frames(rng.randrange(1, 12))
        vdl = writer.log.last_lsn
        pgmrpl = max(pgmrpl, vdl - rng.choice((0, 0, 200, 2000)))
        absent = rng.choice(("", "", "n0", "n1", "n2"))
        for name in net.nodes:
            if name != absent:
                tools.append(net.nodes[name], frames, vdl=vdl, pgmrpl=pgmrpl)
        net.tick(rng.randrange(6))
        if rng.random() < 0.1:
            _flip(rng, net)
        for name in net.nodes:
            for page_no in range(PAGES):
                _check(net.nodes[name], writer, page_no, rng.choice(writer.lsns[0]))
                _check(net.nodes[name], writer, page_no, vdl)
    _settle(net, writer, vdl)


def _flip(rng: random.Random, net: StormyNet) -> None:
    """Decay one bit of a stored page, always on the same node: of three, two must stay whole."""
    disk = net.disks["n0"]
    if "pages-0" in disk.list():
        disk.flip_bit("pages-0", rng.randrange(disk.size("pages-0")), rng.randrange(8))


def _settle(net: StormyNet, writer: FreeingWriter, vdl: int) -> None:
    """After the storm every node has everything, right, and nothing of the freed pages."""
    net.crash_chance = 0.0
    for name in net.nodes:
        tools.append(net.nodes[name], [], vdl=vdl, pgmrpl=vdl)
    net.tick(80)
    for node in net.nodes.values():
        for page_no in range(PAGES):
            assert _check(node, writer, page_no, vdl), f"page {page_no} on {node.config.node_id}"
    net.tick(80)
    for name, node in net.nodes.items():
        assert node.segment(0).collected_lsn == writer.lsns[0][-1], name
        store = PageStore(net.disks[name], 0)
        stored = {index for index, _ in store.pages()}
        assert stored == {page_no for page_no in range(PAGES) if writer.at(page_no, vdl)}
        for page_no in range(PAGES):
            assert _check(node, writer, page_no, vdl)


def test_a_baseline_takes_away_what_was_freed_meanwhile() -> None:
    writer = FreeingWriter(random.Random(5), pages=PAGES)
    clock = tools.StepClock()
    net = _net(5, clock)
    for page_no in range(PAGES):
        writer.edit(page_no)
    frames = writer.frames(0)
    for node in net.nodes.values():
        tools.append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(40)
    assert all(node.segment(0).store.holds(2) for node in net.nodes.values())
    # n2 is away while page 2 is freed and the log of that is collected.
    net.down.add("n2")
    before = writer.log.last_lsn
    writer.free(2)
    frames = writer.frames(0)
    for name in ("n0", "n1"):
        tools.append(net.nodes[name], frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(40)
    assert not any(net.nodes[name].segment(0).store.holds(2) for name in ("n0", "n1"))
    assert net.nodes["n2"].segment(0).store.holds(2)
    net.down.clear()
    net.calls.clear()
    net.tick(60)
    assert "FetchRange" in net.calls
    node = net.nodes["n2"]
    assert not node.segment(0).store.holds(2)
    assert tools.read(node, writer, 2, writer.log.last_lsn).image == b""
    # What is a hole now was a page before: not for anybody to be told that it was never written.
    assert all(tools.read(each, writer, 2, before).collected for each in net.nodes.values())
    # The hole, and from which LSN on it is right, are known after a crash as well.
    net.disks["n2"].crash(random.Random(1))
    net.nodes["n2"] = net.make("n2")
    assert tools.read(net.nodes["n2"], writer, 2, before).collected
    assert tools.read(net.nodes["n2"], writer, 2, writer.log.last_lsn).image == b""


def test_a_baseline_of_holes_alone_survives_a_crash() -> None:
    writer = FreeingWriter(random.Random(5), pages=PAGES)
    clock = tools.StepClock()
    net = _net(5, clock)
    for change in (writer.edit, writer.free):
        for page_no in range(PAGES):
            change(page_no)
        frames = writer.frames(0)
        for name in set(net.nodes) - net.down:
            tools.append(net.nodes[name], frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        net.tick(40)
        net.down.add("n2")  # while all pages are freed, and the log of that is collected
    assert net.nodes["n2"].segment(0).store.holds(0) and not net.nodes["n0"].segment(0).store.holds(0)
    net.down.clear()
    for _ in range(60):
        if net.nodes["n2"].segment(0).collected_lsn < writer.log.last_lsn:
            net.tick()
    for seed in range(20):
        disk = tools.copy_disk(net.disks["n2"]).crash(random.Random(seed))
        segment = tools.make_node(disk, clock, "n2", install=False).segment(0)
        assert segment.collected_lsn == writer.log.last_lsn
        assert not any(segment.store.holds(index) for index in range(PAGES))


def test_an_older_read_point_sees_the_page_while_it_is_held() -> None:
    writer = FreeingWriter(random.Random(7), pages=PAGES)
    clock = tools.StepClock()
    node = tools.make_node(SimDisk(), clock, **EAGER)  # type: ignore[arg-type]
    net = tools.Net({"n0": node}, clock)
    writer.edit(1)
    held = writer.log.last_lsn
    frames = writer.frames(0)
    writer.free(1)
    frames += writer.frames(3)
    tools.append(node, frames, vdl=writer.log.last_lsn, pgmrpl=held)
    net.tick(20)
    assert node.segment(0).collected_lsn == held
    assert tools.read(node, writer, 1, held).image == writer.at(1, held)
    assert tools.read(node, writer, 1, writer.versions[1][1][0]).image == b""
    tools.append(node, [], vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(20)
    assert tools.read(node, writer, 1, held).collected


def test_a_damaged_page_that_was_freed_is_repaired_into_a_hole() -> None:
    writer = FreeingWriter(random.Random(9), pages=PAGES)
    clock = tools.StepClock()
    net = _net(9, clock)
    writer.edit(3)
    writer.free(3)
    writer.edit(4)
    frames = writer.frames(0)
    for node in net.nodes.values():
        tools.append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(40)
    net.disks["n0"].flip_bit("pages-0", 3 * PAGE_BYTES + 100)
    assert tools.read(net.nodes["n0"], writer, 3, writer.log.last_lsn).behind
    net.tick(20)
    assert not net.nodes["n0"].segment(0).broken
    assert tools.read(net.nodes["n0"], writer, 3, writer.log.last_lsn).image == b""


def test_a_refusing_disk_frees_the_page_when_it_has_come_to_itself() -> None:
    class Refusing(SimDisk):
        refuses = True

        def discard(self, name: str, offset: int, length: int) -> None:
            if self.refuses:
                raise OSError(28, "No space left on device")
            super().discard(name, offset, length)

    disk = Refusing()
    writer = FreeingWriter(random.Random(11), pages=PAGES)
    clock = tools.StepClock()
    node = tools.make_node(disk, clock, **EAGER)  # type: ignore[arg-type]
    net = tools.Net({"n0": node}, clock)
    writer.edit(1)
    tools.append(node, writer.frames(0), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(20)
    writer.free(1)
    tools.append(node, writer.frames(0), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(20)
    assert node.segment(0).store.holds(1)
    assert "No space" in node.note
    disk.refuses = False
    net.tick(20)
    assert not node.segment(0).store.holds(1)
    assert disk.allocated("pages-0") == 0
    assert node.segment(0).collected_lsn == writer.log.last_lsn
