"""What the simulator found, as plain tests: promises that must hold between two steps of a node."""

from __future__ import annotations

import random

import pytest
from storage_tools import VOLUME, Net, RefusingDisk, StepClock, Writer, append, copy_disk, make_node, read

from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.effects import Call
from storage_node.node import StorageFailed


def test_what_was_staged_before_a_fence_is_not_acknowledged_after_it() -> None:
    node, writer = make_node(SimDisk()), Writer(random.Random(1))
    assert not append(node, writer.frames(2)).error
    held = node.segments[0].scl
    request = pb.AppendRequest(
        volume_id=VOLUME,
        volume_epoch=1,
        writer_id="w1",
        membership_epoch=1,
        sequence=8,
        batches=b"".join(writer.frames(2)),
    )
    assert node.on_append(request, 0) is None
    fenced = node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    (_, reply), = node.flush()  # fmt: skip
    assert (reply.refused_epoch, reply.sequence, len(reply.scl)) == (2, 8, 0)
    assert fenced.pgs[0].scl == node.segments[0].scl == held


def test_a_baseline_counts_only_once_the_meta_file_says_so() -> None:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(2)}
    nodes = {name: make_node(disk, clock, name, coalesce_log_mb=0.001) for name, disk in disks.items()}
    net, writer = Net(nodes, clock), Writer(random.Random(2))
    for _ in range(5):
        append(nodes["n0"], writer.frames(10), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.down.add("n1")
    net.tick(40)
    assert nodes["n0"].segments[0].collected_lsn == writer.log.last_lsn
    behind = nodes["n1"]
    segment = behind.segment(0)
    disks["n1"].capacity_bytes = 0
    behind.adopt_baseline(segment, writer.log.last_lsn, writer.log.last_lsn)
    assert (segment.scl, behind.note != "") == (0, True)
    disks["n1"].capacity_bytes = None
    behind.adopt_baseline(segment, writer.log.last_lsn, writer.log.last_lsn)
    assert segment.scl == writer.log.last_lsn
    again = make_node(disks["n1"].crash(random.Random(3)), clock, "n1")
    assert again.segments[0].scl == writer.log.last_lsn


def test_a_repair_as_of_an_older_lsn_does_not_replace_a_damaged_page() -> None:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(2)}
    nodes = {name: make_node(disk, clock, name, coalesce_log_mb=0.001) for name, disk in disks.items()}
    net, writer = Net(nodes, clock), Writer(random.Random(5), pages=1)
    old_lsn, old = 0, pb.PageImage()
    for turn in range(2):
        frames = writer.frames(20)
        for node in nodes.values():
            append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        net.tick(20)
        clock.now += 1000
        net.tick(20)
        assert nodes["n0"].segments[0].collected_lsn == writer.log.last_lsn
        if not turn:
            old_lsn = writer.log.last_lsn
            old = read(nodes["n1"], writer, 0, old_lsn)
    node = nodes["n0"]
    disks["n0"].flip_bit("pages-0", 4000)
    node.cache.drop(0)
    net.down.add("n1")
    assert read(node, writer, 0, writer.log.last_lsn).behind and node.segments[0].broken == {0}
    asked = pb.PageAt(page_no=0, pg_lsn=old_lsn, read_point=old_lsn)
    late = Call("n1", "n1", "ReadPages", pb.ReadPagesRequest(volume_id=VOLUME, pages=[asked]))
    node.gossip.on_reply(late, pb.ReadPagesReply(pages=[old]))
    net.tick(10)
    assert read(node, writer, 0, writer.log.last_lsn).behind
    net.down.clear()
    net.tick(20)
    assert read(node, writer, 0, writer.log.last_lsn).image == writer.at(0, writer.log.last_lsn)


def test_what_only_one_meta_file_took_is_undone_before_anything_relies_on_it() -> None:
    disk = RefusingDisk()
    node = make_node(disk)
    writer = Writer(random.Random(7))
    disk.refuses = {"meta-copy"}
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    assert node.epoch == 0
    assert make_node(copy_disk(disk), install=False).epoch == 2  # so a restart would see it
    assert node.meta.unsound() == []  # no damage
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=3, writer_id="w3"))
    assert node.meta.unsound() == []
    disk.refuses = {"meta", "meta-copy"}
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=4, writer_id="w4"))
    assert node.meta.unsound() == []
    disk.refuses = set()
    append(node, writer.frames(3))
    assert make_node(copy_disk(disk), install=False).epoch == node.epoch == 1
    disk.refuses = {"meta"}
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    assert not append(node, writer.frames(3)).error  # neither file took it


def test_nothing_is_acknowledged_while_a_meta_file_holds_what_was_taken_back() -> None:
    disk = RefusingDisk()
    node = make_node(disk)
    writer = Writer(random.Random(8))
    append(node, [])
    disk.refuses = {"meta-copy"}
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    frames = writer.frames(3)
    assert "No space" in append(node, frames).error
    disk.refuses = set()
    assert append(node, frames).scl[0].lsn == writer.log.last_lsn


def test_a_segment_that_is_about_to_be_overwritten_is_hollow_in_every_meta_file() -> None:
    disk = RefusingDisk()
    node = make_node(disk)
    segment = node.segments[0]
    node.hollow.begin(segment)
    disk.refuses = {"meta-copy"}
    assert not node.hollow.take_baseline(0, 50, 50)
    with pytest.raises(OSError, match="No space"):
        node.hollow.begin(segment)  # the next refill
    disk.refuses = set()
    node.hollow.begin(segment)
    assert 0 in make_node(copy_disk(disk), install=False).hollow


@pytest.mark.parametrize("seed", range(10))
def test_a_restart_after_a_failed_sync_claims_only_what_is_durable(seed: int) -> None:
    rng = random.Random(seed)
    writer, disk = Writer(rng), SimDisk()
    node = make_node(disk)
    acked = append(node, writer.frames(20)).scl[0].lsn
    disk.sync_fails = True
    with pytest.raises(StorageFailed):
        append(node, writer.frames(20))
    claimed = make_node(disk).segments[0].scl  # the process ends and starts again, the machine goes on
    assert claimed >= acked
    assert make_node(disk.crash(rng)).segments[0].scl == claimed


def test_meta_copies_that_differ_are_made_equal_at_the_start() -> None:
    disk = SimDisk()
    make_node(disk)
    old = disk.read("meta-copy", 0, 1000)
    node = make_node(disk)
    node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=3, writer_id="w3"))
    disk.write_atomic("meta-copy", old)  # as if power had been lost between the two writes
    assert make_node(disk).epoch == 3
    disk.flip_bit("meta", 30)
    assert make_node(disk).epoch == 3


def test_a_flipped_bit_in_a_hole_of_the_page_store_is_repaired() -> None:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(2)}
    nodes = {name: make_node(disk, clock, name, coalesce_log_mb=0.001) for name, disk in disks.items()}
    net, writer = Net(nodes, clock), Writer(random.Random(4), pages=60)
    for page_no in (0, 9):
        writer.edit(page_no)
    frames = writer.frames(0)
    for node in nodes.values():
        append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(20)
    clock.now += 1000  # the age of the log makes them coalesce
    net.tick(20)
    assert nodes["n0"].segments[0].collected_lsn == writer.log.last_lsn
    disks["n0"].flip_bit("pages-0", 4 * 8192 + 77)
    assert read(nodes["n0"], writer, 4, writer.log.last_lsn).behind
    net.tick(20)
    answer = read(nodes["n0"], writer, 4, writer.log.last_lsn)
    assert not answer.behind and answer.image == b""
