"""A PG that is given to another node in the middle of whatever is being done with it: that ends, the node goes on."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from storage_tools import PAGES_PER_PG, VOLUME, RefusingDisk, StepClock, Writer, append, make_node

from aurora import batch
from aurora.geometry import Member
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node.effects import Effect, ListObjects, PutObject, StoreEffect, SyncFile
from storage_node.node import StorageNode
from storage_node.snapshots import Snapshot
from tests.log_rule import DISK_REFUSES

pytestmark = pytest.mark.logs(DISK_REFUSES)


class World:
    """One node with a backup whose store does not answer unless told to, PGs 0 and 1, much to coalesce."""

    def __init__(self) -> None:
        self.clock, self.disk = StepClock(), RefusingDisk()
        self.node: StorageNode[int] = make_node(
            self.disk, self.clock, coalesce_log_mb=0.001, backup="memory:", takeover_s=0.01, log_file_mb=0.001
        )  # type: ignore[arg-type]
        self.writer = Writer(random.Random(3), pages=2 * PAGES_PER_PG)
        self.puts: list[PutObject] = []
        for _ in range(40):
            self.write()
            self.tick(6)

    def write(self) -> None:
        frames = self.writer.frames(6)
        last = self.writer.log.last_lsn
        assert not append(self.node, frames, vdl=last, pgmrpl=last).error

    def write_other(self) -> None:
        """Log of PG 1 alone is for this node."""
        frames = [frame for frame in self.writer.frames(12) if batch.decode(frame).pg == 1]
        last = self.writer.log.last_lsn
        epoch = self.node.membership_epoch
        request = pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=epoch,
                                   batches=b"".join(frames), vdl=last, pgmrpl=last)  # fmt: skip
        assert self.node.on_append(request, 0) is None
        assert not self.node.flush()[-1][1].error

    def tick(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.clock.now += 0.3
            self.carry(self.node.tick())

    def carry(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SyncFile):
                self.disk.sync(effect.name)
                self.carry(self.node.on_synced(effect.name))
            elif isinstance(effect, PutObject):
                self.puts.append(effect)
            elif isinstance(effect, ListObjects):
                self.node.on_stored(effect, [])

    def hand_over(self, *, back: bool = False) -> None:
        """PG 0 goes to another node, or comes back."""
        before = self.node.descriptor
        assert before is not None
        group, me = before.groups[0], "n9" if back else "n0"
        slots = tuple(
            replace(slot, member="n0" if back else "n9") if slot.member == me else slot for slot in group.slots
        )
        nodes = before.nodes if back else (*before.nodes, Member("n9", before.nodes[0].az, "n9"))
        epoch = before.membership_epoch + 1
        after = replace(
            before, generation=before.generation + 1, membership_epoch=epoch, nodes=nodes,
            groups=(replace(group, slots=slots, membership_epoch=epoch), *before.groups[1:]),
        )  # fmt: skip
        assert self.node.install_descriptor(after.to_proto(pb.Descriptor()))
        assert (0 in self.node.segments) == back


def _snapshot(world: World) -> None:
    segment = world.node.segments[0]
    work = Snapshot(segment, 1, "n0")
    work.pages = segment.store.pages(10)  # of a larger file, what a later slice reads
    world.node.stager.snapshots._current = work


def _snapshot_manifest(world: World) -> None:
    snapshots = world.node.stager.snapshots
    work = Snapshot(world.node.segments[0], 1, "n0")
    snapshots._current = work
    effects: list[StoreEffect] = []
    while not any(isinstance(effect, PutObject) and "/snapshot/" in effect.name for effect in effects):
        for effect in effects:
            world.node.on_stored(effect, ())
        effects = snapshots.step(world.clock.now)
    world.puts = [effect for effect in effects if isinstance(effect, PutObject)]


def _scrub(world: World) -> None:
    world.node.scrub.demand()
    scrub = world.node.scrub
    scrub._pass = scrub._pages(world.node.segments[0])
    next(scrub._pass)


def _broken(world: World) -> None:
    world.node.segments[0].broken.add(5)
    world.tick()
    assert world.node.scrub.waiting == 1


def _repair(world: World) -> None:
    world.node.segments[0].broken.add(5)
    image = bytes(PAGE_BYTES)
    world.node.gossip._submit_repair(world.node.segments[0], [(5, image)], world.writer.log.last_lsn)


def _collected(world: World) -> None:
    world.disk.refuses.update(("meta", "meta-copy"))
    for _ in range(20):
        if any(entry.pg == 0 for entry in world.node.coalescer._gone):
            break
        world.write()
        world.tick(6)
    assert {entry.pg for entry in world.node.coalescer._gone} >= {0}
    world.disk.refuses.clear()


def _coalescing(world: World) -> None:
    world.write()
    for _ in range(200):
        effects = world.node.tick()
        if any(isinstance(effect, SyncFile) and effect.name.endswith("-0") for effect in effects):
            return
        world.carry(effects)
        world.clock.now += 0.3
        world.write()
    raise AssertionError("PG 0 is not coalesced")


PHASES = [_snapshot, _snapshot_manifest, _scrub, _broken, _repair, _collected, _coalescing]


@pytest.mark.parametrize("phase", PHASES)
def test_the_node_goes_on_without_the_pg(phase: Callable[[World], None], caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    node = world.node
    assert node.segments[0].store.file_pages > 16
    phase(world)
    caplog.clear()
    world.hand_over()
    for put in world.puts:
        node.on_stored(put, ())
    world.puts.clear()
    for _ in range(10):
        world.write_other()
        world.tick(6)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert node.scrub.waiting == 0
    assert 0 not in node.stager.pgs and node.stager.kept_bytes >= 0
    files = {int(name[4:]) for name in world.disk.list() if name.startswith("log-")}
    assert not any(entry.pg == 0 for number in files for entry in node.log.live(number).values())
    assert node.segments[1].collected_lsn > 0
    world.hand_over(back=True)
    node.segments[0].broken.add(5)
    assert node.gossip._repairs(node.segments[0], "n1", "n1")
