"""The real disk: one process to a folder; threads that read and sync files which are being deleted or replaced."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aurora.seams import FolderDisk, FolderInUse


def _in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _once_before(monkeypatch: pytest.MonkeyPatch, name: str, work: Callable[[], object]) -> None:
    """Do ``work`` when ``os.name`` is called next, before its effect."""
    real = getattr(os, name)

    def call(*args: object) -> object:
        monkeypatch.setattr(os, name, real)
        work()
        return real(*args)

    monkeypatch.setattr(os, name, call)


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    first = FolderDisk(tmp_path, exclusive=True)
    first.write("a", 0, b"held")
    assert first.list() == ["a"]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FolderInUse, match=f"{tmp_path} is in use by process {os.getpid()}$"):
        FolderDisk(tmp_path, exclusive=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    first.close()
    FolderDisk(tmp_path, exclusive=True).close()


def test_a_reader_does_not_keep_a_deleted_file_alive_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FolderDisk(tmp_path)
    disk.write("pages-0", 0, b"old")
    _once_before(monkeypatch, "unlink", lambda: _in_thread(lambda: disk.read("pages-0", 0, 3)))
    disk.delete("pages-0")
    disk.write("pages-0", 0, b"new")
    disk.sync("pages-0")
    assert (tmp_path / "pages-0").read_bytes() == b"new"
    disk.close()


def test_a_reader_does_not_keep_a_replaced_file_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FolderDisk(tmp_path)
    disk.write_atomic("meta", b"old")
    assert disk.read("meta", 0, 3) == b"old"
    _once_before(monkeypatch, "replace", lambda: _in_thread(lambda: disk.read("meta", 0, 3)))
    disk.write_atomic("meta", b"new")
    assert disk.read("meta", 0, 3) == b"new"
    disk.close()


def test_a_reader_never_gets_another_files_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FolderDisk(tmp_path)
    for name in ("pages-0", "pages-1"):
        disk.write(name, 0, name.encode())
    disk.close()
    found: list[bytes] = []

    def replace() -> None:
        disk.delete("pages-0")
        disk.read("pages-1", 0, 1)

    disk.size("pages-0")
    _once_before(monkeypatch, "pread", replace)
    _in_thread(lambda: found.append(disk.read("pages-0", 0, 7)))
    assert found == [b"pages-0"]
    disk.close()


def test_a_file_that_is_deleted_while_it_is_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FolderDisk(tmp_path)
    disk.write("pages-0", 0, b"x")
    _once_before(monkeypatch, "fdatasync", lambda: disk.delete("pages-0"))
    disk.sync("pages-0")
    with pytest.raises(FileNotFoundError):
        disk.sync("pages-0")
    disk.close()


def test_a_file_made_again_while_its_predecessor_is_synced_is_synced_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FolderDisk(tmp_path)
    disk.write("pages-0", 0, b"x")
    folder_syncs: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (folder_syncs.append(fd), real(fd))[1])

    def again() -> None:
        disk.delete("pages-0")
        disk.write("pages-0", 0, b"y")

    # After the folder was synced for the first file, before that is noted.
    _once_before(monkeypatch, "close", again)
    disk.sync("pages-0")
    assert len(folder_syncs) == 1
    disk.sync("pages-0")
    assert len(folder_syncs) == 2
    disk.close()


def test_descriptors_are_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    disk = FolderDisk(tmp_path, exclusive=True)
    for number in range(20):
        disk.append(f"log-{number}", [b"x"])
    for number in range(10):
        disk.delete(f"log-{number}")
    assert len(os.listdir("/proc/self/fd")) == before + 11
    disk.close()
    assert len(os.listdir("/proc/self/fd")) == before
