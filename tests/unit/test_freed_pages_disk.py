"""Holes in page files: on a real file system, where that makes none, in the torn-page file, over crashes."""

from __future__ import annotations

import errno
import os
import random
import struct
from pathlib import Path

import pytest
from storage_tools import store_pages

from aurora import holes, seams
from aurora.page import PAGE_BYTES
from aurora.seams import FolderDisk
from aurora.sim.disk import SimDisk
from storage_node.page_store import PageStore, page_lsn


def _page(lsn: int) -> bytearray:
    page = bytearray(random.Random(lsn).randbytes(PAGE_BYTES))
    struct.pack_into("<QI", page, 0, lsn, 0)
    return page


def _lsns(store: PageStore) -> dict[int, int]:
    return {index: page_lsn(page) if page is not None else -1 for index, page in store.pages()}


def test_a_hole_reads_as_zeros_and_takes_no_room(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    disk.write("f", 0, b"x" * (64 * PAGE_BYTES))
    disk.sync("f")
    before = disk.allocated("f")
    disk.discard("f", 8 * PAGE_BYTES, 40 * PAGE_BYTES)
    disk.sync("f")
    assert disk.size("f") == 64 * PAGE_BYTES
    expected = b"x" * (8 * PAGE_BYTES) + bytes(40 * PAGE_BYTES) + b"x" * (16 * PAGE_BYTES)
    assert disk.read("f", 0, 64 * PAGE_BYTES) == expected
    if os.uname().sysname == "Linux":
        assert disk.allocated("f") <= before - 32 * PAGE_BYTES
    # Behind the file's end there is nothing to make a hole of.
    disk.discard("f", 60 * PAGE_BYTES, 100 * PAGE_BYTES)
    disk.discard("f", 70 * PAGE_BYTES, PAGE_BYTES)
    assert disk.size("f") == 64 * PAGE_BYTES
    disk.close()


def test_zeros_where_the_file_system_makes_no_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "punch_hole", lambda fd, offset, length: False)
    disk = FolderDisk(tmp_path)
    disk.write("f", 0, b"x" * (300 * PAGE_BYTES))
    disk.discard("f", PAGE_BYTES, 298 * PAGE_BYTES)
    assert disk.read("f", 0, 300 * PAGE_BYTES) == b"x" * PAGE_BYTES + bytes(298 * PAGE_BYTES) + b"x" * PAGE_BYTES
    disk.close()


@pytest.mark.parametrize(("code", "raises"), [(errno.EOPNOTSUPP, False), (errno.ENOSYS, False), (errno.EIO, True)])
def test_what_the_system_answers(code: int, raises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "_FALLOCATE", lambda *args: -1)
    monkeypatch.setattr(holes.ctypes, "get_errno", lambda: code)
    with open(tmp_path / "f", "w+b") as file:
        if raises:
            with pytest.raises(OSError, match="Input/output"):
                holes.punch_hole(file.fileno(), 0, 1)
        else:
            assert not holes.punch_hole(file.fileno(), 0, 1)
    monkeypatch.setattr(holes, "_FALLOCATE", None)
    assert not holes.punch_hole(0, 0, 1)


def test_freed_pages_are_staged_and_placed_as_holes(tmp_path: Path) -> None:
    for disk in (FolderDisk(tmp_path), SimDisk()):
        store = PageStore(disk, 3)
        assert store.allocated_bytes == 0
        store_pages(store, [(index, _page(100 + index)) for index in range(12)])
        full = store.allocated_bytes
        store_pages(store, [(4, None), (5, None), (6, _page(200)), (9, None)])
        # A freed page takes 8 bytes of the torn-page file.
        assert _lsns(store) == {**{index: 100 + index for index in (0, 1, 2, 3, 7, 8, 10, 11)}, 6: 200}
        assert store.read(5) is None
        assert not store.holds(5)
        assert store.holds(6)
        assert store.allocated_bytes <= full - 3 * PAGE_BYTES
        # Freed pages behind the file's end, or of a PG without a file, are nothing.
        store_pages(store, [(50, None), (0, _page(300))])
        assert _lsns(store)[0] == 300
        assert _lsns(PageStore(disk, 3)) == _lsns(store)


@pytest.mark.parametrize("seed", range(60))
def test_a_crash_leaves_the_page_or_the_hole(seed: int) -> None:
    rng = random.Random(seed)
    disk = SimDisk()
    store = PageStore(disk, 0)
    store_pages(store, [(index, _page(100 + index)) for index in range(6)])
    store.stage([(1, None), (2, None), (3, _page(200)), (5, None)])
    staged = rng.random() < 0.8
    if staged:
        disk.sync(store.torn_name)
        store.place()
    disk.crash(rng)
    found = _lsns(PageStore(disk, 0))
    new = {0: 100, 3: 200, 4: 104}
    assert found == new if staged else found in (new, {index: 100 + index for index in range(6)})


def test_a_damaged_torn_page_file_is_not_placed() -> None:
    other = SimDisk()
    PageStore(other, 0).stage([(0, _page(7)), (1, None)])
    good = other.read("torn-0", 0, 16 + 8 + PAGE_BYTES + 8)
    assert other.size("torn-0") == 3 * 4096
    sound = SimDisk()
    sound.write_atomic("torn-0", good)
    assert _lsns(PageStore(sound, 0)) == {0: 7}
    for damage in (good[:-1], good[:20], b"", good[:4] + b"\x03" + good[5:], good[:30] + b"\xff" + good[31:]):
        broken = SimDisk()
        broken.write_atomic("torn-0", damage)
        assert _lsns(PageStore(broken, 0)) == {}
