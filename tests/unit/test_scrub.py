"""Flipped bits in every kind of file: found by reads or by scrubbing, repaired, never spread."""

from __future__ import annotations

import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import (
    VOLUME,
    Net,
    RefusingDisk,
    StepClock,
    Writer,
    append,
    make_node,
    read,
    store_pages,
)
from storage_tools import unsound_files as unsound

from aurora.errors import InvariantViolation
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node import evidence
from storage_node.hot_log import file_name
from storage_node.node import Refused, StorageNode
from tests.log_rule import DAMAGE, DISK_REFUSES

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES)

SETTINGS = {"coalesce_log_mb": 0.01, "log_file_mb": 0.004, "log_cache_mb": 0.002}


class Fleet:
    """Nodes with the same log; the first one's files are flipped."""

    def __init__(self, rng: random.Random, count: int = 6, pages: int = 150, **settings: float) -> None:
        self.rng = rng
        self.settings = {**SETTINGS, **settings}
        self.clock = StepClock()
        self.disks = {f"n{i}": SimDisk() for i in range(count)}
        nodes = {name: make_node(disk, self.clock, name, **self.settings) for name, disk in self.disks.items()}
        self.net = Net(nodes, self.clock)
        self.writer = Writer(rng, pages=pages)
        self.read_points = 0

    @property
    def sick(self) -> StorageNode[int]:
        """The node whose files are flipped."""
        return self.net.nodes["n0"]

    @property
    def disk(self) -> SimDisk:
        """Its disk."""
        return self.disks["n0"]

    def write(self, rounds: int, *, hold: bool = False) -> None:
        """Edits on all nodes; ``hold`` keeps the read point, so that log stays."""
        for _ in range(rounds):
            frames = self.writer.frames(20)
            lsn = self.writer.log.last_lsn
            if not hold:
                self.read_points = lsn
            for node in self.net.nodes.values():
                append(node, frames, vdl=lsn, pgmrpl=self.read_points)
            self.net.tick(3)

    def restart(self) -> None:
        """The sick node ends and starts from its disk."""
        self.net.nodes["n0"] = make_node(self.disk, self.clock, "n0", **self.settings)

    def flip(self, count: int, names: tuple[str, ...] = ("",)) -> dict[str, int]:
        """Flip bits at random in the files whose names begin so; how many in each."""
        files = [n for n in self.disk.list() if n.startswith(names) and self.disk.size(n)]
        flipped: dict[str, int] = {}
        for _ in range(count):
            name = self.rng.choice(files)
            self.disk.flip_bit(name, self.rng.randrange(self.disk.size(name)), self.rng.randrange(8))
            flipped[name] = flipped.get(name, 0) + 1
        return flipped

    def scrub(self) -> pb.ScrubStatus:
        """A full pass on demand, and the repairs that it leads to."""
        for _ in range(5):
            wanted = self.sick.scrub.demand()
            for _ in range(200):
                self.net.tick(1)
                if self.sick.scrub.passes >= wanted and not self.sick.scrub.waiting:
                    break
            else:
                raise AssertionError(f"not repaired: {self.sick.scrub.status()}")
        return self.sick.scrub.status()

    def check(self) -> None:
        """All files of the sick node are sound, and every node gives the model's pages, a restarted one too."""
        self.net.tick(30)
        assert unsound(self.disk) == []
        for node in self.net.nodes.values():
            self.check_pages(node)
        copy = make_node(self.disk.crash(self.rng), self.clock, "n0", **self.settings)
        self.check_pages(copy)

    def check_pages(self, node: StorageNode[int]) -> None:
        """The node gives the model's page at the end of the log, for each page."""
        lsn = self.writer.log.last_lsn
        assert {pg: segment.scl for pg, segment in node.segments.items() if segment.scl} == {
            pg: lsns[-1] for pg, lsns in self.writer.lsns.items()
        }
        for page_no in range(self.writer.pages):
            assert read(node, self.writer, page_no, lsn).image == self.writer.at(page_no, lsn), page_no


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32))
def test_hundreds_of_flipped_bits_in_all_files_while_the_node_runs(seed: int) -> None:
    fleet = Fleet(random.Random(seed), count=3)
    fleet.write(20)
    fleet.write(10, hold=True)
    flipped = fleet.flip(300)
    assert len({name.rstrip("0123456789") for name in flipped}) == 5, flipped
    fleet.write(3)
    status = fleet.scrub()
    assert status.damaged == status.repaired > 10
    fleet.check()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32))
def test_hundreds_of_flipped_bits_in_all_files_of_a_stopped_node(seed: int) -> None:
    fleet = Fleet(random.Random(seed), count=3)
    fleet.write(20)
    fleet.write(10, hold=True)
    fleet.flip(300, ("log-", "pages-", "torn-", "damaged-"))
    fleet.flip(1, (fleet.rng.choice(["meta-copy", "meta"]),))
    if unsound(fleet.disk).count("meta") == 1:
        assert "meta-copy" not in unsound(fleet.disk)
    fleet.restart()
    fleet.scrub()
    fleet.check()


def test_six_nodes_each_with_flipped_bits_in_a_sixth_of_its_own() -> None:
    rng = random.Random(60)
    fleet = Fleet(rng, log_cache_mb=0.0001)
    fleet.write(25)
    fleet.write(8, hold=True)
    flips = 0
    for i, (name, node) in enumerate(fleet.net.nodes.items()):
        disk = fleet.disks[name]
        for pg, segment in node.segments.items():
            for entry in segment.entries[i::6]:
                disk.flip_bit(f"log-{entry.file_no:08d}", entry.offset + rng.randrange(entry.length), rng.randrange(8))
                flips += 1
            for index in range(i, segment.store.file_bytes // 8192, 6):
                disk.flip_bit(f"pages-{pg}", index * 8192 + rng.randrange(8192), rng.randrange(8))
                flips += 1
    assert flips > 150
    for node in fleet.net.nodes.values():
        node.scrub.demand()
    fleet.net.tick(200)
    for name, node in fleet.net.nodes.items():
        assert not node.scrub.waiting, (name, node.scrub.status())
        assert node.scrub.damaged > 20
        assert unsound(fleet.disks[name]) == []
    fleet.check()


def test_a_record_sound_in_the_cache_and_bad_in_the_file_is_written_anew_without_peers() -> None:
    fleet = Fleet(random.Random(1), count=1, log_cache_mb=16, coalesce_log_mb=16)
    fleet.write(5, hold=True)
    fleet.disk.flip_bit("log-00000001", 100)
    fleet.check_pages(fleet.sick)  # the cache hides it
    status = fleet.scrub()
    assert (status.damaged, status.repaired) == (1, 1)
    assert "log-00000001" not in fleet.disk.list()
    fleet.check()


@pytest.mark.parametrize("where", ["magic", "length", "middle", "last byte"])
def test_any_byte_of_a_batch_is_covered(where: str) -> None:
    fleet = Fleet(random.Random(2), count=3, log_cache_mb=0.0001, coalesce_log_mb=16)
    fleet.write(6, hold=True)
    entry = fleet.sick.segments[0].entries[2]
    name = f"log-{entry.file_no:08d}"
    offset = {"magic": 0, "length": 73, "middle": entry.length // 2, "last byte": entry.length - 1}[where]
    before = fleet.sick.segments[0].scl
    fleet.disk.flip_bit(name, entry.offset + offset, 4)
    wanted = fleet.sick.scrub.demand()
    fleet.net.tick(1, step_s=0.005)
    assert fleet.sick.scrub.passes == wanted
    fleet.net.tick(30, step_s=0.005)  # prompt: no calm node's gossip round has gone by
    assert fleet.sick.segments[0].scl == before
    assert not fleet.sick.scrub.waiting
    fetched = [call for call in fleet.net.calls if call == "FetchLog"]
    assert len(fetched) == 1
    fleet.check()


def test_a_gap_is_filled_without_sending_again_what_lies_behind_it() -> None:
    fleet = Fleet(random.Random(3), count=2, log_cache_mb=0.0001, coalesce_log_mb=16)
    fleet.write(30, hold=True)
    lost = fleet.sick.segments[0].entries[1]
    held_bytes = fleet.sick.log.total_bytes
    fleet.disk.flip_bit(f"log-{lost.file_no:08d}", lost.offset + 90)
    fleet.scrub()
    assert fleet.sick.log.total_bytes < held_bytes * 1.5
    fleet.check()


def test_a_flip_in_a_hole_and_in_a_page_that_a_fresh_record_overwrites() -> None:
    fleet = Fleet(random.Random(4), count=2, pages=10)
    fleet.write(10)
    store_pages(fleet.sick.segments[0].store, [(40, bytearray(8192))])  # the file reaches beyond what was written
    hole = 30 * 8192 + 77
    fleet.disk.flip_bit("pages-0", hole)
    assert unsound(fleet.disk) == ["pages-0"]
    status = fleet.scrub()
    assert status.damaged == status.repaired == 1
    assert fleet.disk.read("pages-0", 30 * 8192, 8192) == bytes(8192)

    page = fleet.writer.images.pop(3)  # the next edit of page 3 starts it anew
    assert page
    fleet.disk.flip_bit("pages-0", 3 * 8192 + 500)
    fleet.net.down = {"n1"}
    fleet.writer.edit(3)
    frames = fleet.writer.frames(400)
    for node in fleet.net.nodes.values():
        append(node, frames, vdl=fleet.writer.log.last_lsn, pgmrpl=fleet.writer.log.last_lsn)
    fleet.sick.scrub.demand()
    fleet.net.tick(20)
    assert not fleet.sick.scrub.waiting
    fleet.net.down = set()
    fleet.check()


def test_damage_in_log_that_nobody_needs_any_more_goes_with_its_file() -> None:
    fleet = Fleet(random.Random(5), count=1, log_file_mb=1, coalesce_log_mb=0.02)
    fleet.write(30)
    fleet.net.tick(20)
    live = fleet.sick.log.live(1)
    assert 0 < min(live, default=1) < fleet.disk.size("log-00000001")
    fleet.disk.flip_bit("log-00000001", 10)
    status = fleet.scrub()
    assert (status.damaged, status.repaired) == (1, 1)
    fleet.check()


def test_a_damaged_file_that_cannot_be_left_yet_holds_up_no_other() -> None:
    clock, disk = StepClock(), RefusingDisk()
    node = make_node(disk, clock, coalesce_log_mb=0.004, log_file_mb=0.002, gossip_ms=5000)
    net, writer = Net({"n0": node}, clock), Writer(random.Random(3), pages=20)
    append(node, writer.frames(1))
    disk.refuses.update(("meta", "meta-copy"))
    while not node.coalescer._gone:  # collected, and the meta file does not say so
        frames = writer.frames(10)
        append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        net.tick(6)
    append(node, writer.frames(60), vdl=writer.log.last_lsn)
    append(node, writer.frames(60), vdl=writer.log.last_lsn)
    stuck, other = node.coalescer._gone[0], node.segments[0].entries[-2]
    assert stuck.file_no < other.file_no
    node.log._forget(stuck)
    for entry in (stuck, other):
        disk.flip_bit(file_name(entry.file_no), entry.offset + entry.length - 1)
    node.log.damaged.update((stuck.file_no, other.file_no))
    net.tick(10)
    assert node.log.damaged == {stuck.file_no} and node.scrub.waiting
    rounds = node.gossip.rounds
    net.tick(50)
    assert node.gossip.rounds - rounds < 10, "no peer can have what no segment lacks"
    disk.refuses.clear()
    net.tick(20)
    assert not node.log.damaged


def test_damage_while_a_coalescing_round_runs() -> None:
    fleet = Fleet(random.Random(6), count=3, log_cache_mb=0.0001, coalesce_log_mb=16)
    fleet.write(20)
    sick = fleet.sick
    sick.config = make_node(SimDisk(), coalesce_log_mb=0.0001).config  # from here on it coalesces
    for _ in range(400):
        before = sick.segments[0].collected_lsn
        fleet.net.tick(1)
        entries = sick.segments[0].entries
        if entries:
            entry = fleet.rng.choice(entries)
            fleet.disk.flip_bit(f"log-{entry.file_no:08d}", entry.offset + fleet.rng.randrange(entry.length))
            sick.scrub.demand()
        if before == sick.segments[0].collected_lsn == fleet.writer.lsns[0][-1]:
            break
    fleet.scrub()
    fleet.check()


def test_damage_is_never_spread(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(random.Random(7), count=2, log_cache_mb=0.0001)
    fleet.write(20)
    fleet.write(5, hold=True)
    fleet.net.tick(20)
    fleet.net.down = {"n1"}
    fleet.restart()
    sick = fleet.sick
    entry = sick.segments[0].entries[0]
    fleet.disk.flip_bit(f"log-{entry.file_no:08d}", entry.offset + entry.length - 1)
    request = pb.FetchLogRequest(volume_id=VOLUME, pg=0, after_lsn=sick.segments[0].collected_lsn)
    assert b"".join(reply.batches for reply in sick.on_fetch_log(request)) == b""
    fleet.disk.flip_bit("pages-0", 8192 + 99)
    with pytest.raises(Refused, match="waits for repair"):
        sick.on_fetch_range(pb.FetchRangeRequest(volume_id=VOLUME, pg=0, first=1, count=1, checked=True))
    assert read(sick, fleet.writer, 1, sick.segments[0].scl).behind
    fleet.net.down = set()
    fleet.scrub()
    fleet.check()


def test_meta_files_are_written_anew_and_both_flipped_stop_a_start() -> None:
    fleet = Fleet(random.Random(8), count=1)
    fleet.write(3)
    for names in (("meta",), ("meta-copy",), ("meta", "meta-copy")):
        for name in names:
            fleet.disk.flip_bit(name, 30)
        assert fleet.scrub().waiting == 0
        assert unsound(fleet.disk) == []
    fleet.disk.flip_bit("meta", 30)
    fleet.disk.flip_bit("meta-copy", 30)
    with pytest.raises(InvariantViolation, match="empty folder"):
        fleet.restart()


def test_one_damaged_meta_file_on_a_full_disk_does_not_stop_a_start() -> None:
    class Full(SimDisk):
        def write_atomic(self, name: str, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    fleet = Fleet(random.Random(9), count=1)
    fleet.write(3)
    fleet.disk.flip_bit("meta", 30)
    full = Full()
    full._files = fleet.disk._files
    node = make_node(full, fleet.clock, "n0", install=False)
    assert node.epoch == 1
    node.scrub.demand()
    node.tick()
    assert "No space" in node.on_status(pb.StatusRequest()).note
    fleet.restart()
    fleet.scrub()
    assert unsound(fleet.disk) == []


def test_background_passes_keep_to_their_rate_and_interval() -> None:
    fleet = Fleet(random.Random(10), count=1, scrub_mb_s=0.1, scrub_interval_s=1000.0, pages=60, gossip_ms=1e6)
    fleet.write(20)
    node = fleet.sick
    assert node.scrub.status().last_pass_age_s < 0
    fleet.net.tick(1, step_s=301)
    before = node.scrub.scrubbed_bytes
    for _ in range(3):
        fleet.net.tick(1, step_s=1.0)
    assert node.scrub.scrubbed_bytes - before < 0.4 * (1 << 20)
    fleet.net.tick(30, step_s=5.0)
    assert node.scrub.passes == 1
    fleet.net.tick(1, step_s=800)
    assert node.scrub.passes == 1
    fleet.net.tick(20, step_s=20)
    assert node.scrub.passes == 2
    status = node.on_status(pb.StatusRequest()).scrub
    assert (status.damaged, status.running) == (0, False)
    assert status.pass_bytes >= node.log.total_bytes + node.segments[0].store.file_bytes


def test_a_medium_that_cannot_be_read_is_damage_and_not_the_nodes_end() -> None:
    class Bad(SimDisk):
        bad = False

        def read(self, name: str, offset: int, length: int) -> bytes:
            if self.bad and name.startswith(("log-", "pages-")) and offset <= 20_000 < offset + length:
                raise OSError(5, "Input/output error", name)
            return super().read(name, offset, length)

    fleet = Fleet(random.Random(11), count=2, log_cache_mb=0.0001, log_file_mb=1)
    disk = Bad()
    disk._files = fleet.disk._files
    fleet.disks["n0"] = disk
    fleet.restart()
    fleet.write(30)
    fleet.write(10, hold=True)
    disk.bad = True
    wanted = fleet.sick.scrub.demand()
    fleet.net.tick(3)
    assert fleet.sick.scrub.passes == wanted
    assert fleet.sick.scrub.damaged > 0
    disk.bad = False
    fleet.scrub()
    fleet.check()


def test_pages_that_lie_in_each_others_place_are_found_and_repaired() -> None:
    fleet = Fleet(random.Random(13), count=2)
    fleet.write(40)
    index = next(
        i for i, page in fleet.sick.segments[0].store.pages(1) if page and fleet.sick.segments[1].store.holds(i)
    )
    places = [("pages-0", index), ("pages-0", 0), ("pages-1", index)]
    held = [fleet.disk.read(name, index * 8192, 8192) for name, index in places]
    for (name, index), page in zip(places, held[1:] + held[:1], strict=True):
        fleet.disk.write(name, index * 8192, page)
        fleet.disk.sync(name)
    assert bytes(8192) not in held
    status = fleet.scrub()
    assert status.damaged == status.repaired == 3
    fleet.check()


def test_evidence_is_bounded_and_costs_no_start(caplog: pytest.LogCaptureFixture) -> None:
    disk = SimDisk()
    for number in range(1, evidence.FILES_MAX + 10):
        evidence.set_aside(disk, f"log-{number:08d}", 9, b"x" * (evidence.FILE_BYTES_MAX + 5))
    names = disk.list()
    assert len(names) == evidence.FILES_MAX
    assert names[0] == "damaged-log-00000010-9"
    assert {disk.size(name) for name in names} == {evidence.FILE_BYTES_MAX}
    full = SimDisk(capacity_bytes=10)
    with caplog.at_level(logging.WARNING):
        assert evidence.set_aside(full, "log-00000001", 0, b"x" * 100) == ""
    assert "could not be set aside" in caplog.text


def test_old_evidence_that_cannot_be_deleted_costs_a_line(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(SimDisk):
        def delete(self, name: str) -> None:
            raise OSError(5, "Input/output error")

    disk = Stuck()
    for number in range(1, evidence.FILES_MAX + 2):
        aside = evidence.set_aside(disk, f"log-{number:08d}", 0, b"x")
    assert aside == ""
    assert len(disk.list()) == evidence.FILES_MAX
    assert "could not be set aside" in caplog.text


def test_a_crash_while_a_damaged_file_is_left_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage_node.scrub.MOVE_BYTES", 1500)
    fleet = Fleet(random.Random(12), count=2, log_cache_mb=0.0001, log_file_mb=1, coalesce_log_mb=16)
    fleet.write(30, hold=True)
    scl = {pg: segment.scl for pg, segment in fleet.sick.segments.items()}
    fleet.net.down = {"n1"}
    moving = 0
    for _ in range(12):
        victim = next(iter(fleet.sick.log.live(min(fleet.sick.log.files())).values()))
        name = f"log-{victim.file_no:08d}"
        fleet.disk.flip_bit(name, victim.offset + 90)  # its file is left, in many slices
        fleet.sick.scrub.demand()
        fleet.net.tick(fleet.rng.randrange(2, 8))
        moving += name in fleet.disk.list() and len(fleet.sick.log.files()) > 1
        fleet.disks["n0"] = fleet.disk.crash(fleet.rng)
        fleet.restart()
        fleet.net.down = set()
        fleet.net.tick(20)
        assert {pg: segment.scl for pg, segment in fleet.sick.segments.items()} == scl
        fleet.net.down = {"n1"}
    assert moving > 3
    fleet.net.down = set()
    fleet.scrub()
    fleet.check()
