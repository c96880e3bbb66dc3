"""Sectors that give an I/O error, in every kind of file: damage as a flipped bit is, at a start and later."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import VOLUME, Writer, append
from test_scrub import Fleet

from aurora import batch, keys
from aurora.encryption import EncryptedDisk
from aurora.errors import InvariantViolation
from aurora.kernels import redo
from aurora.medium import read_around
from aurora.page import PAGE_BYTES
from aurora.sim.disk import SECTOR_BYTES, SimDisk
from storage_node.hot_log import HotLog
from storage_node.membership import Filling
from storage_node.snapshots import Snapshot
from tests.log_rule import DAMAGE, DAMAGED_KEYS, DISK_REFUSES

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES, DAMAGED_KEYS)


def _lose(fleet: Fleet, names: Iterable[str]) -> None:
    """Lose a sector of each file that has any."""
    for name in names:
        size = fleet.disk.size(name)
        if size:
            fleet.disk.lose_sectors(name, fleet.rng.randrange(size), 1)


def _filled(seed: int) -> Fleet:
    """Nodes with log, pages and the files of a double write; what one has lost its peers have."""
    fleet = Fleet(random.Random(seed), count=3, log_cache_mb=0.0001)
    fleet.write(20)
    fleet.write(10, hold=True)
    assert {name.partition("-")[0] for name in fleet.disk.list()} == {"log", "meta", "pages", "torn"}
    return fleet


def test_the_simulated_medium_reads_again_what_was_written_anew() -> None:
    disk = SimDisk()
    disk.write("a", 0, b"x" * 2000)
    disk.sync("a")
    disk.lose_sectors("a", 600, 1)
    assert disk.read("a", 0, SECTOR_BYTES) == b"x" * SECTOR_BYTES
    for offset, length in ((0, 2000), (1023, 1), (SECTOR_BYTES, 1)):
        with pytest.raises(OSError, match="Input/output") as error:
            disk.read("a", offset, length)
        assert error.value.errno == errno.EIO
    disk.write("a", 600, b"y" * 424)  # a part of the sector
    with pytest.raises(OSError, match="Input/output"):
        disk.crash(random.Random(1)).read("a", 1000, 1)
    disk.write("a", 0, b"z" * 1024)
    assert disk.read("a", 500, 100) == b"z" * 100
    disk.lose_sectors("a", 600, 1)
    disk.truncate("a", 512)
    disk.append("a", [b"w" * 512])
    assert disk.read("a", 0, 2000) == b"z" * 512 + b"w" * 512


def test_as_little_as_can_be_is_lost_of_a_file() -> None:
    disk = SimDisk()
    held = random.Random(2).randbytes(100_000)
    disk.write("a", 0, held)
    for sector in (0, 21, 195):
        disk.lose_sectors("a", sector * SECTOR_BYTES, 1)
    found, lost_bytes = read_around(disk, "a", 0, len(held))
    assert len(found) == len(held)
    kept = [(4096, 8192), (12288, 98304)]
    assert all(found[start:stop] == held[start:stop] for start, stop in kept)
    assert lost_bytes == 4096 + 4096 + 100_000 - 98304


@pytest.mark.parametrize("kind", ["meta", "meta-copy", "log-", "pages-", "torn-"])
def test_a_node_starts_on_a_disk_with_unreadable_sectors(kind: str) -> None:
    fleet = _filled(3)
    _lose(fleet, [name for name in fleet.disk.list() if name == kind or (name.startswith(kind) and kind[-1] == "-")])
    fleet.restart()
    fleet.scrub()
    fleet.check()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_unreadable_sectors_in_all_files(seed: int, stopped: bool) -> None:
    fleet = _filled(seed)
    kept = fleet.rng.choice(["meta", "meta-copy"]) if stopped else ""
    _lose(fleet, [name for name in fleet.disk.list() if name != kept])
    if stopped:
        fleet.restart()
    else:
        fleet.write(3)
    status = fleet.scrub()
    assert status.damaged == status.repaired > 0
    fleet.check()


def test_without_a_readable_meta_file_the_node_does_not_start() -> None:
    fleet = _filled(4)
    _lose(fleet, ["meta", "meta-copy"])
    with pytest.raises(InvariantViolation, match="no sound meta file"):
        fleet.restart()


def test_an_error_that_is_not_the_mediums_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = _filled(5)
    held = {name: fleet.disk.read(name, 0, fleet.disk.size(name)) for name in fleet.disk.list()}

    def read(disk: SimDisk, name: str, offset: int, length: int) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="Too many open files"):
        patched.setattr(SimDisk, "read", read)
        fleet.restart()
    assert {name: fleet.disk.read(name, 0, fleet.disk.size(name)) for name in fleet.disk.list()} == held


def test_a_page_that_cannot_be_read_may_be_freed() -> None:
    fleet = _filled(6)
    page_no = next(index for index, page in fleet.sick.segments[0].store.pages() if page is not None)
    fleet.disk.lose_sectors("pages-0", page_no * PAGE_BYTES, 1)
    lsn = fleet.writer.log.append(page_no, 0, b"", redo.FLAG_CPL)
    frames = [batch.encode(VOLUME, 1, run) for run in fleet.writer.log.take()]
    for node in fleet.net.nodes.values():
        append(node, frames, vdl=lsn, pgmrpl=lsn)
    fleet.net.tick(5, step_s=301)
    assert fleet.sick.segments[0].collected_lsn == lsn
    assert fleet.disk.read("pages-0", page_no * PAGE_BYTES, PAGE_BYTES) == bytes(PAGE_BYTES)


def test_a_snapshot_for_the_backup_and_a_look_through_a_torn_segment_find_a_page_that_cannot_be_read() -> None:
    fleet = _filled(7)
    node, segment = fleet.sick, fleet.sick.segments[0]
    fleet.disk.lose_sectors("pages-0", 3 * PAGE_BYTES, 1)
    assert (3, None) in Snapshot(segment, 1, "n0").pages
    node.hollow.filling[0] = Filling(torn=True)
    node.hollow.look(node.clock.monotonic() + 1)
    assert segment.broken == {3}
    fleet.net.tick(30)
    assert not segment.broken
    assert 0 not in node.hollow
    fleet.check()


def test_one_key_file_is_enough() -> None:
    disk = SimDisk()
    provider = _Provider()
    data_key = keys.data_key_of(disk, provider)  # type: ignore[arg-type]
    disk.lose_sectors("key", 0, 1)
    assert keys.data_key_of(disk, provider) == data_key  # type: ignore[arg-type]
    assert disk.read("key", 0, 1000) == disk.read("key-copy", 0, 1000)
    disk.lose_sectors("key", 0, 1)
    disk.lose_sectors("key-copy", 0, 1)
    with pytest.raises(keys.KeyRefused, match="damaged"):
        keys.data_key_of(disk, provider)  # type: ignore[arg-type]


class _Provider:
    key_id = "a test's"

    def wrap(self, data_key: bytes) -> bytes:
        return data_key

    def unwrap(self, wrapped: bytes) -> bytes:
        return wrapped


def test_encrypted_files_whose_head_cannot_be_read() -> None:
    below = SimDisk()
    EncryptedDisk(below, bytes(32), random.Random(1).randbytes).append("log-1", [b"x" * 20_000])
    EncryptedDisk(below, bytes(32), random.Random(1).randbytes).write_atomic("meta", b"m" * 100)
    for name in ("log-1", "meta"):
        below.lose_sectors(name, 0, 1)
    disk = EncryptedDisk(below, bytes(32), random.Random(1).randbytes)
    data, lost_bytes = read_around(disk, "log-1", 0, disk.size("log-1"))
    assert (len(data), lost_bytes) == (20_000, 4096)
    assert data[4096:] == b"x" * (20_000 - 4096)
    disk.truncate("log-1", 0)
    assert read_around(disk, "meta", 0, disk.size("meta"))[1] == disk.size("meta")
    disk.write_atomic("meta", b"new")
    assert disk.read("meta", 0, 10) == b"new"


@pytest.mark.parametrize("how", ["flipped bit", "unreadable"])
def test_the_damaged_end_of_a_closed_log_file_is_set_aside(how: str) -> None:
    writer, disk = Writer(random.Random(8)), SimDisk()
    log = HotLog(disk, 1 << 20, 1 << 20)
    list(log.load())
    for _ in range(2):
        log.append([batch.decode(frame) for frame in writer.frames(30)])
        log.roll()
    size = disk.size("log-00000001")
    at = size - size % SECTOR_BYTES
    if how == "unreadable":
        disk.lose_sectors("log-00000001", at, 1)
    else:
        disk.flip_bit("log-00000001", at)
    again = HotLog(disk, 1 << 20, 1 << 20)
    list(again.load())
    assert again.damaged == {1}
    assert [name for name in disk.list() if name.startswith("damaged-")]
