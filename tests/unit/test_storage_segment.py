"""One node's core: SCL, reads at any LSN, crashes, truncation, collection, damage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import PAGES_PER_PG, VOLUME, Net, StepClock, Writer, append, copy_disk, make_node, read

from aurora.errors import InvariantViolation
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.coverage import Coverage
from storage_node.effects import SyncFile
from storage_node.node import Refused, StorageNode
from tests.log_rule import DAMAGE, DISK_REFUSES

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES)


def _check_reads(
    node: StorageNode[int], writer: Writer, rng: random.Random, low: int, high: int, count: int = 30
) -> None:
    """Pages at random LSNs in [low, high] are the model's."""
    for _ in range(count):
        page_no, lsn = rng.randrange(writer.pages), rng.randint(low, high)
        image = read(node, writer, page_no, lsn)
        assert not image.behind
        assert not image.collected
        assert image.image == writer.at(page_no, lsn), (page_no, lsn)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_scl_and_reads_with_reordered_and_repeated_batches(seed: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng, pages=rng.choice([3, 100]))
    node = make_node(SimDisk())
    frames = [frame for _ in range(rng.randrange(1, 12)) for frame in writer.frames(rng.randrange(1, 8))]
    sent = frames + rng.choices(frames, k=3)
    rng.shuffle(sent)
    while sent:
        take = rng.randrange(1, 4)
        append(node, sent[:take])
        del sent[:take]
        if rng.random() < 0.3:
            node.tick()
    for pg, lsns in writer.lsns.items():
        assert node.segments[pg].scl == node.segments[pg].scl_cpl == lsns[-1]
        assert not node.segments[pg].pending
    _check_reads(node, writer, rng, 0, writer.log.last_lsn)


Spans = list[tuple[int, int, int]]


def _reach(entries: Spans, after: int) -> tuple[int, int]:
    """What ``Segment.reach`` says, from each entry's ``(previous LSN, first LSN, last LSN)``."""
    for prev, first, last in sorted(entries):
        if prev > after:
            return after, first
        after = max(after, last)
    return after, 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.integers(0, 6))), st.integers(0, 45))
def test_coverage_of_entries_in_any_order(drawn: Spans, upto: int) -> None:
    entries = [(prev, prev + step, prev + step + more) for prev, step, more in drawn]
    entries = [(prev, min(first for p, first, _ in entries if p == prev), last) for prev, _, last in entries]
    coverage = Coverage()
    for entry in entries:
        coverage.add(*entry)
    for after in range(52):
        assert coverage.reach(after) == _reach(entries, after)
    assert coverage.highest == max((last for _, _, last in entries), default=0)
    coverage.forget(upto)
    for after in range(upto + 1, 52):
        assert coverage.reach(after) == _reach(entries, after)
    coverage.clear()
    assert not len(coverage) and coverage.reach(7) == (7, 0)


@pytest.mark.parametrize("seed", range(6))
def test_how_far_log_with_gaps_reaches_is_known_without_a_look_at_all_of_it(seed: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng)
    node = make_node(SimDisk())
    segment = node.segment(0)
    frames = [writer.frames(rng.randrange(1, 4))[0] for _ in range(60)]
    gaps = sorted(rng.sample(range(len(frames)), 6))
    late = [frames[at] for at in gaps]
    rng.shuffle(late)

    def check(most: int) -> None:
        entries = [*segment.entries, *(entry for _, _, entry in segment._pending)]
        held = [(entry.prev_lsn, entry.first_lsn, entry.last_lsn) for entry in entries]
        for lsn in writer.lsns[0]:
            assert segment.reach(lsn) == _reach(held, lsn)
        assert segment.highest_lsn == max((last for _, _, last in held), default=0)
        assert len(segment._ahead) <= most

    for at, frame in enumerate(frames):
        if at not in gaps:
            append(node, [frame])
    for closed, frame in enumerate(late):
        check(len(gaps) - closed)
        append(node, [frame])
    check(0)
    assert segment.scl == writer.log.last_lsn


def test_scl_stops_at_a_gap() -> None:
    writer = Writer(random.Random(1))
    node = make_node(SimDisk())
    first, second, third = (writer.frames(3)[0] for _ in range(3))
    lsns = writer.lsns[0]
    assert append(node, [first]).scl[0].lsn == lsns[2]
    assert append(node, [third]).scl[0].lsn == lsns[2]
    assert node.segments[0].highest_lsn == lsns[8]
    assert read(node, writer, 0, lsns[8]).behind
    assert append(node, [second]).scl[0].lsn == lsns[8]


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_nothing_acknowledged_is_lost_in_a_crash(seed: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng, pages=rng.choice([5, 150]))
    disk, clock = SimDisk(), StepClock()
    node = make_node(disk, clock, coalesce_log_mb=0.002)
    net = Net({"n0": node}, clock)
    acked: dict[int, int] = {}
    low = 0
    for _ in range(rng.randrange(1, 25)):
        frames = writer.frames(rng.randrange(1, 10))
        vdl = max(acked.values(), default=0)
        reply = append(node, frames, vdl=vdl, pgmrpl=vdl)
        assert not reply.error
        acked.update((item.pg, item.lsn) for item in reply.scl)
        low = max(low, node.pgmrpl)
        if rng.random() < 0.5:
            net.tick(rng.randrange(1, 4))
        elif rng.random() < 0.3:
            clock.now += 5
            effects = [effect for _ in range(3) for effect in node.tick() if isinstance(effect, SyncFile)]
            while effects and rng.random() < 0.6:  # the last write may never be synced
                disk.sync(effects[0].name)
                effects = [effect for effect in node.on_synced(effects[0].name) if isinstance(effect, SyncFile)]
                effects = effects or [effect for effect in node.tick() if isinstance(effect, SyncFile)]
            staged = writer.frames(2)
            node.on_append(
                pb.AppendRequest(
                    volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1, batches=b"".join(staged)
                ),
                0,
            )
            disk = disk.crash(rng)
            node = make_node(disk, clock, coalesce_log_mb=0.002)
            net.nodes["n0"] = node
            for pg, lsn in acked.items():
                assert node.segments[pg].scl >= lsn
            append(node, staged)
    disk = disk.crash(rng)
    node = make_node(disk, clock)
    for pg, lsn in acked.items():
        assert node.segments[pg].scl >= lsn
    assert node.epoch == 1
    high = min(segment.scl for segment in node.segments.values())
    _check_reads(node, writer, rng, low, max(low, high))


def test_coalescing_bounds_log_and_keeps_held_versions() -> None:
    rng = random.Random(5)
    writer = Writer(rng, pages=90)
    disk, clock = SimDisk(), StepClock()
    node = make_node(disk, clock, coalesce_log_mb=0.01)
    net = Net({"n0": node}, clock)
    held = 0
    for round_no in range(40):
        frames = writer.frames(20)
        vdl = writer.log.last_lsn
        if round_no < 10 or round_no >= 30:
            held = vdl
        append(node, frames, vdl=vdl, pgmrpl=held)
        net.tick(6)
        _check_reads(node, writer, rng, held, vdl, 5)
    net.tick(30)
    assert node.segments[0].collected_lsn > 0
    assert node.log.total_bytes < 60_000
    assert sum(1 for name in disk.list() if name.startswith("log-")) < 8
    assert read(node, writer, 0, writer.versions[0][0][0]).collected
    _check_reads(make_node(disk.crash(rng), clock), writer, rng, held, writer.log.last_lsn)


def test_truncation_voids_records_also_when_they_come_later() -> None:
    rng = random.Random(6)
    writer = Writer(rng, pages=6)
    disk = SimDisk()
    node = make_node(disk)
    first, second, third = (writer.frames(4)[0] for _ in range(3))
    append(node, [first, second])
    vdl = writer.lsns[0][5]
    fence = node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    assert fence.adopted
    assert fence.pgs[0].scl == writer.lsns[0][7]
    assert not node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w3")).adopted
    assert append(node, [third]).refused_epoch == 2
    void = pb.Truncation(epoch=2, vdl=vdl, upper=10_000)
    request = pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2", range=void)
    assert not node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", range=void)).ok
    assert node.on_truncate(request).ok
    assert node.on_truncate(request).ok
    for at in (node, make_node(disk.crash(rng))):
        assert at.segments[0].scl == at.segments[0].scl_cpl == vdl
        node = at
    assert append(node, [third], epoch=2, writer="w2").scl[0].lsn == vdl
    assert append(node, [second], epoch=2, writer="w2").scl[0].lsn == vdl

    again = Writer(rng, pages=6, epoch=2)
    again.log.next_lsn, again.log.last_lsn, again.log.pg_last = 10_016, vdl, {0: vdl}
    for page_no, versions in writer.versions.items():
        again.versions[page_no] = [v for v in versions if v[0] <= vdl]
        if again.versions[page_no]:
            again.images[page_no] = bytearray(again.versions[page_no][-1][1])
    again.lsns[0] = [lsn for lsn in writer.lsns[0] if lsn <= vdl]
    assert append(node, again.frames(5), epoch=2, writer="w2").scl[0].lsn == again.log.last_lsn
    _check_reads(node, again, rng, 0, again.log.last_lsn)
    fetched = list(node.on_fetch_log(pb.FetchLogRequest(volume_id=VOLUME, pg=0)))
    other = make_node(SimDisk())
    other.take_log(0, fetched[0].batches)
    assert other.segments[0].scl == again.log.last_lsn
    _check_reads(other, again, rng, 0, again.log.last_lsn)


def test_a_new_writers_vdl_does_not_prove_old_records() -> None:
    writer = Writer(random.Random(7), pages=3)
    clock = StepClock()
    node = make_node(SimDisk(), clock, coalesce_log_mb=0.0001)
    append(node, writer.frames(4), vdl=0, pgmrpl=0)
    node.on_advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", vdl=16, pgmrpl=16))
    append(node, [], epoch=2, writer="w2", vdl=20_000, pgmrpl=20_000)
    net = Net({"n0": node}, clock)
    net.tick(10)
    assert node.segments[0].collected_lsn <= 16
    node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2",
                                        range=pb.Truncation(epoch=2, vdl=writer.lsns[0][1], upper=10_000)))  # fmt: skip
    net.tick(10)
    assert node.segments[0].collected_lsn == node.segments[0].scl == writer.lsns[0][1]


def test_disk_full_refuses_and_recovers() -> None:
    writer = Writer(random.Random(8))
    disk = SimDisk()
    node = make_node(disk)
    first, second = writer.frames(5)[0], writer.frames(5)[0]
    append(node, [first])
    disk.capacity_bytes = sum(disk.size(name) for name in disk.list()) + 10
    reply = append(node, [second])
    assert "No space" in reply.error
    assert node.segments[0].scl == writer.lsns[0][4]
    assert node.on_status(pb.StatusRequest()).state == "refusing"
    disk.capacity_bytes = None
    assert append(node, [second]).scl[0].lsn == writer.lsns[0][9]
    assert node.on_status(pb.StatusRequest()).state == "serving"


def test_a_full_disk_stops_coalescing_and_loses_nothing() -> None:
    rng = random.Random(11)
    writer = Writer(rng, pages=40)
    disk, clock = SimDisk(), StepClock()
    node = make_node(disk, clock, coalesce_log_mb=0.001)
    net = Net({"n0": node}, clock)
    for _ in range(10):
        append(node, writer.frames(20), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    lsn = writer.log.last_lsn
    for spare_bytes in (10, 200_000, 700_000):  # no room to stage, none to place, none for the meta file
        disk.capacity_bytes = sum(disk.size(name) for name in disk.list()) + spare_bytes
        net.tick(10, 1.5)
        _check_reads(node, writer, rng, lsn, lsn)
        disk.capacity_bytes = None
        copy = make_node(copy_disk(disk).crash(rng), clock)
        _check_reads(copy, writer, rng, lsn, lsn)
    net.tick(10, 1.5)
    assert node.segments[0].collected_lsn == lsn
    assert node.log.total_bytes < 30_000
    _check_reads(make_node(disk.crash(rng), clock), writer, rng, lsn, lsn)


def test_a_fence_that_could_not_be_written_is_not_adopted() -> None:
    disk = SimDisk()
    node = make_node(disk)
    append(node, [])
    disk.capacity_bytes = 1
    with pytest.raises(OSError, match="No space"):
        node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="a writer with a long name"))
    assert node.epoch == 1


def test_damaged_log_is_set_aside_and_leaves_a_gap() -> None:
    writer = Writer(random.Random(9))
    disk = SimDisk()
    node = make_node(disk)
    frames = [writer.frames(4)[0] for _ in range(3)]
    for frame in frames:
        append(node, [frame])
    disk.flip_bit("log-00000001", len(frames[0]) + 90)
    node = make_node(disk)
    assert node.segments[0].scl == writer.lsns[0][3]
    assert node.segments[0].highest_lsn == writer.lsns[0][11]
    assert any(name.startswith("damaged-") for name in disk.list())
    append(node, [frames[1]])
    assert node.segments[0].scl == writer.lsns[0][11]


def test_log_that_decays_while_the_node_runs_is_noticed_on_read() -> None:
    writer = Writer(random.Random(10))
    disk = SimDisk()
    node = make_node(disk, log_cache_mb=0.0001)
    frames = [writer.frames(4)[0] for _ in range(3)]
    for frame in frames:
        append(node, [frame])
    disk.flip_bit("log-00000001", 100)
    assert read(node, writer, 0, writer.log.last_lsn).behind
    assert node.segments[0].scl == 0
    append(node, [frames[0]])
    assert node.segments[0].scl == writer.log.last_lsn
    _check_reads(node, writer, random.Random(1), 0, writer.log.last_lsn)


def test_both_meta_files_are_needed_to_lose_the_fence() -> None:
    disk = SimDisk()
    node = make_node(disk)
    node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=5, writer_id="w5"))
    disk.flip_bit("meta", 30)
    assert make_node(disk).epoch == 5
    assert make_node(disk).epoch == 5
    disk.flip_bit("meta", 30)
    disk.flip_bit("meta-copy", 30)
    with pytest.raises(InvariantViolation, match="no sound meta file"):
        make_node(disk)
    foreign = SimDisk()
    make_node(foreign, node_id="n0")
    with pytest.raises(InvariantViolation, match="belongs to node"):
        make_node(foreign, node_id="n1")


def test_requests_for_another_volume_are_refused() -> None:
    node = make_node(SimDisk())
    other = b"another volume.."
    with pytest.raises(Refused):
        node.on_read(pb.ReadPagesRequest(volume_id=other))
    with pytest.raises(Refused):
        node.on_fence(pb.FenceRequest(volume_id=other, volume_epoch=1, writer_id="w"))
    request = pb.AppendRequest(volume_id=other, volume_epoch=1, writer_id="w1", sequence=3)
    reply = node.on_append(request, 0)
    assert reply is not None
    assert reply.error
    empty = make_node(SimDisk(), install=False)
    with pytest.raises(Refused):
        empty.on_gossip(pb.GossipRequest(volume_id=VOLUME))
    assert not empty.on_read_descriptor(pb.ReadDescriptorRequest()).present


def test_pages_per_pg_of_the_tests_makes_several_pgs() -> None:
    writer = Writer(random.Random(3), pages=3 * PAGES_PER_PG)
    node = make_node(SimDisk())
    append(node, writer.frames(100))
    assert [pg for pg, segment in node.segments.items() if segment.scl] == [0, 1, 2]
    _check_reads(node, writer, random.Random(3), 0, writer.log.last_lsn)
