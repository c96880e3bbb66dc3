"""What the simulator found, as plain tests: promises that must hold between two steps of a node."""

from __future__ import annotations

import random
import struct
from typing import Any

import google_crc32c
import pytest
from storage_tools import (
    PAGES_PER_PG,
    VOLUME,
    Net,
    RefusingDisk,
    StepClock,
    Writer,
    append,
    copy_disk,
    make_node,
    read,
)

from aurora import batch
from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.append import Appends
from storage_node.effects import Call
from storage_node.node import StorageFailed
from tests.log_rule import DAMAGE, DISK_REFUSES

pytestmark = pytest.mark.logs(
    DAMAGE, DISK_REFUSES, r"storage_node\.node: append 7 refused", r"storage_node\.append: nothing can be acknowledged"
)


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
    assert node.segments[0].broken == {0} and node.gossip.repairs.pages_repaired_total == 0
    assert read(node, writer, 0, writer.log.last_lsn).behind
    net.down.clear()
    net.tick(20)
    assert read(node, writer, 0, writer.log.last_lsn).image == writer.at(0, writer.log.last_lsn)
    assert not node.segments[0].broken and node.gossip.repairs.pages_repaired_total == 1


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


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("before", [0, 1])
def test_a_stored_page_that_lacks_a_write_is_not_built_on(before: int, cached: bool) -> None:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(2)}
    nodes = {name: make_node(disk, clock, name, coalesce_log_mb=0.00001) for name, disk in disks.items()}
    net, writer = Net(nodes, clock), Writer(random.Random(5), pages=1)

    def write() -> int:
        lsn = writer.edit(0)
        frames = [batch.encode(VOLUME, 1, run) for run in writer.log.take()]
        for node in net.nodes.values():
            append(node, frames, vdl=lsn, pgmrpl=lsn)
        net.tick(20)
        return lsn

    for _ in range(before):
        write()
    old = disks["n0"].read("pages-0", 0, PAGE_BYTES) if before else bytes(PAGE_BYTES)
    stored = write()
    assert nodes["n0"].segments[0].collected_lsn == stored
    nodes["n0"] = make_node(disks["n0"], clock, "n0", coalesce_log_mb=0.00001, install=False)
    disks["n0"].write("pages-0", 0, old)  # the drive had lost the last write of the page
    if cached:
        read(nodes["n0"], writer, 0, stored)
    net.down.add("n1")
    lsn = write()
    assert read(nodes["n0"], writer, 0, lsn).behind
    assert nodes["n0"].segments[0].collected_lsn == stored
    net.down.clear()
    net.tick(20)
    assert read(nodes["n0"], writer, 0, lsn).image == writer.at(0, lsn)
    assert nodes["n0"].segments[0].collected_lsn == lsn


@pytest.mark.parametrize("rolls", [False, True])
def test_after_a_failed_sync_of_the_log_nothing_is_acknowledged(rolls: bool) -> None:
    disk = SimDisk()
    node = make_node(disk)
    writer = Writer(random.Random(1), pages=2 * PAGES_PER_PG)
    both = writer.frames(60)
    frames = [[frame for frame in both if batch.decode(frame).pg == pg] for pg in (0, 1)]
    if rolls:
        entry = node.log.append([batch.decode(frames[1][0])])
        node.log.release(entry)
    disk.sync_fails = True  # once: the kernel tells it one caller
    with pytest.raises(StorageFailed):
        if rolls:
            node.log.roll()
        else:
            node.take_log(0, b"".join(frames[0]))
    for _ in range(2):
        with pytest.raises(StorageFailed):
            append(node, frames[1])
    with pytest.raises(StorageFailed):
        node.take_log(0, b"".join(frames[0]))
    assert [segment.scl for segment in node.segments.values()] == [0] * len(node.segments)


def _spoil(frame: bytes) -> bytes:
    """The batch with its first record's length wrong, and a checksum that says it is right."""
    spoilt = bytearray(frame)
    spoilt[batch.HEADER_BYTES] ^= 0x7F
    crc = google_crc32c.extend(google_crc32c.value(bytes(spoilt[:76])), bytes(spoilt[batch.HEADER_BYTES :]))
    struct.pack_into("<I", spoilt, 76, crc)
    return bytes(spoilt)


def test_a_batch_that_cannot_be_read_is_not_acknowledged() -> None:
    clock, disk = StepClock(), SimDisk()
    node = make_node(disk, clock)
    writer = Writer(random.Random(5), pages=8)
    (frame,) = writer.frames(3)
    foreign = batch.decode(frame).run
    other = batch.encode(VOLUME, 1, (foreign[0] + 1, *foreign[1:]))  # its records change pages of PG 0
    for bad in (_spoil(frame), other):
        assert "Batch(" in append(node, [bad]).error
        with pytest.raises(batch.BatchCorrupt):
            node.take_log(batch.decode(bad).pg, bad)
    assert node.log.total_bytes == 0
    assert append(node, [frame]).scl[0].lsn == writer.log.last_lsn


def test_a_record_that_does_not_follow_its_pages_last_holds_its_own_pg_back_and_no_other() -> None:
    clock, disk = StepClock(), SimDisk()
    node = make_node(disk, clock, coalesce_log_mb=0.00001)
    net = Net({"n0": node}, clock)
    writer = Writer(random.Random(5), pages=2 * PAGES_PER_PG)

    def write(*page_nos: int) -> int:
        lsn = 0
        for page_no in page_nos:
            lsn = writer.edit(page_no)
        frames = [batch.encode(VOLUME, 1, run) for run in writer.log.take()]
        assert not append(net.nodes["n0"], frames, vdl=lsn).error
        return lsn

    before = write(0, 0, 1, PAGES_PER_PG)
    struct.pack_into("<Q", writer.images[1], 0, before - 1)  # the writer takes this for the page's last LSN
    wrong = write(0, 1)
    after = write(0, PAGES_PER_PG)
    for _ in range(2):
        net.tick(20)
        node = net.nodes["n0"]
        assert "PG 0 cannot be read from LSN" in node.note
        assert node.segments[0].scl == writer.lsns[0][-1] and node.segments[1].scl == after
        for page_no in (0, 1):
            assert read(node, writer, page_no, before).image == writer.at(page_no, before)
            assert read(node, writer, page_no, wrong).behind
        assert read(node, writer, PAGES_PER_PG, after).image == writer.at(PAGES_PER_PG, after)
        assert not node.busy
        net.nodes["n0"] = make_node(disk, clock, coalesce_log_mb=0.00001, install=False)
    node = net.nodes["n0"]
    segment = node.segments[0]
    segment.truncate([(2, before, after)])
    assert not segment.index(100) and not node.note
    assert read(node, writer, 1, before).image == writer.at(1, before)


def test_log_that_is_written_but_cannot_be_taken_in_ends_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    class Replies:
        def put(self, reply: pb.AppendReply) -> None:
            raise AssertionError(f"answered: {reply}")

    node: Any = make_node(SimDisk())
    appends = Appends(node, lambda: ended.append(True))
    writer = Writer(random.Random(1))
    request = pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1,
                               batches=b"".join(writer.frames(3)))  # fmt: skip
    appends.stage(request, Replies())
    segment = node.segments[0]

    def add(*_: object) -> None:
        raise InvariantViolation("a defect")

    monkeypatch.setattr(segment, "add", add)
    for _ in range(2):
        appends.flush()
    assert appends.failed and ended == [True]


@pytest.mark.parametrize("gone", ["collected", "void"])
def test_log_that_goes_while_it_is_sent_is_no_damage(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage_node.node.CHUNK_BYTES", 1)
    clock = StepClock()
    node = make_node(SimDisk(), clock, log_file_mb=0.0001, coalesce_log_mb=0.00001)
    writer = Writer(random.Random(1))
    for _ in range(6):
        append(node, writer.frames(3))
    last = writer.log.last_lsn
    sent = node.on_fetch_log(pb.FetchLogRequest(volume_id=VOLUME, pg=0))
    assert next(sent).batches
    if gone == "collected":
        node.vdl = node.pgmrpl = last
        Net({"n0": node}, clock).tick(20)
        assert node.segments[0].collected_lsn == last
    else:
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
        node.on_truncate(
            pb.TruncateRequest(
                volume_id=VOLUME, volume_epoch=2, writer_id="w2", range=pb.Truncation(epoch=2, vdl=0, upper=last)
            )
        )
        assert node.segments[0].scl == 0
    assert not b"".join(reply.batches for reply in sent)
    assert node.gossip.repairs.log_damaged_total == 0 and not node.log.damaged
