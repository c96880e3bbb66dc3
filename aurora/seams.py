"""Seams: what a protocol core may know of the world outside, passed in so that a simulator can stand in for it.

A core takes a ``Clock``, an ``Rng``, a ``Disk`` and speaks to its peers through messages that a ``Net`` carries. The
real ones are here (the real ``Net`` is ``aurora.rpc.channels.GrpcNet``); ``aurora.sim`` holds the simulated ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aurora.holes import punch_hole

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


class Clock(Protocol):
    """Time that only moves forward, and the time of day."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def wall(self) -> float:
        """Seconds since 1970, as the world counts them; may jump."""


class Rng(Protocol):
    """A source of choices; ``random.Random`` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""

    def choice(self, seq: Sequence[T], /) -> T:
        """One of ``seq``, which is not empty."""


class Net(Protocol):
    """Calls to other processes. Every failure to get an answer is a ConnectionError."""

    async def unary(self, address: str, method: str, request: Any, timeout_s: float) -> Any:
        """One request, one reply."""

    def stream(self, address: str, method: str, request: Any, timeout_s: float) -> AsyncIterator[Any]:
        """One request, a stream of replies."""


class Disk(Protocol):
    """Flat names in one folder. Nothing is durable before ``sync`` of that name, except what ``write_atomic`` wrote.

    Every method raises OSError when the disk refuses (ENOSPC, EIO); FileNotFoundError for a name that is not there.
    """

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """Write the parts, in order, at the end of the file (made if missing); returns the offset of the first.

        When it raises, nothing has been appended. Zeros may lie behind what was appended, in ``size`` and ``read``:
        space that the disk holds ready.
        """

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """Write in place; the file is made or grown with zeros as needed."""

    def discard(self, name: str, offset: int, length: int) -> None:
        """Turn a part of the file into zeros that take no room where the disk can do that; a write in place like any
        other. The file keeps its length.
        """

    def sync(self, name: str) -> None:
        """Make what was written to the file durable, its existence included. May be called from another thread."""

    def write_atomic(self, name: str, data: bytes) -> None:
        """Replace the whole file, durably: after a crash it holds the old bytes or the new ones."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer at the end of the file. May be called from another thread."""

    def uncache(self, name: str, offset: int, length: int) -> None:
        """What was read there will not be wanted soon, and the next ``read`` of it is to come from the medium."""

    def size(self, name: str) -> int:
        """Length of the file in bytes."""

    def allocated(self, name: str) -> int:
        """Bytes that the file takes on the disk, holes left out."""

    def truncate(self, name: str, length: int) -> None:
        """Cut the file to ``length`` bytes, durably."""

    def delete(self, name: str) -> None:
        """Remove the file."""

    def list(self) -> list[str]:
        """The names, sorted."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds since boot."""
        return time.monotonic()

    def wall(self) -> float:
        """The time of day."""
        return time.time()


RESERVE_BYTES = 1 << 20
_ZEROS = bytes(1 << 20)
_STAT_BLOCK_BYTES = 512


class FolderDisk:
    """A ``Disk`` on a folder of the file system. File descriptors stay open until the file is deleted or ``close``.

    A file that is appended to grows by ``RESERVE_BYTES`` of zeros at a time: a sync then writes data alone, without
    the file's size and block map, which halves what it costs.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._fds: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        self._new: set[str] = set()
        self._sync_folder()  # files whose making an earlier process had no time to sync

    def _open(self, name: str, create: bool) -> int:
        fd = self._fds.get(name)
        if fd is None:
            path = self.folder / name
            if create and not path.exists():
                self._new.add(name)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
            self._fds[name] = fd
        return fd

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk.append``."""
        fd = self._open(name, True)
        start = self._ends.get(name)
        if start is None:
            start = os.fstat(fd).st_size
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if start + len(data) > self._reserved.get(name, start):
            self._reserve(name, fd, start + len(data))
        try:
            written = os.pwrite(fd, data, start)
            while written < len(data):
                written += os.pwrite(fd, memoryview(data)[written:], start + written)
        except OSError:
            self._reserved.pop(name, None)
            os.ftruncate(fd, start)
            raise
        self._ends[name] = start + written
        return start

    def _reserve(self, name: str, fd: int, end: int) -> None:
        held = os.fstat(fd).st_size
        zeros = bytes(RESERVE_BYTES + max(0, end - held))
        try:
            written = os.pwrite(fd, zeros, held)
        except OSError:
            # Too little room for a reserve: the append goes on without, and tells whether there is room for itself.
            os.ftruncate(fd, held)
            written = 0
        self._reserved[name] = held + written

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """See ``Disk.write``."""
        fd = self._open(name, True)
        self._ends.pop(name, None)
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            written += os.pwrite(fd, memoryview(data)[written:], offset + written)

    def discard(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.discard``: a hole, or zeros where the file system makes no holes."""
        fd = self._open(name, False)
        length = min(length, os.fstat(fd).st_size - offset)
        if length <= 0 or punch_hole(fd, offset, length):
            return
        for at in range(offset, offset + length, len(_ZEROS)):
            self.write(name, at, _ZEROS[: offset + length - at])

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        os.fdatasync(self._open(name, False))
        if name in self._new:
            self._sync_folder()
            self._new.discard(name)

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``: temporary file, fsync, rename, fsync of the folder."""
        self._forget(name)
        temporary = self.folder / f"{name}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)  # a full disk has no room for half a file
            raise
        os.replace(temporary, self.folder / name)
        self._sync_folder()

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        return os.pread(self._open(name, False), length, offset)

    def uncache(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.uncache``: pages of the system's cache that are written back go, where the system knows how."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._open(name, False), offset, length, os.POSIX_FADV_DONTNEED)

    def size(self, name: str) -> int:
        """See ``Disk.size``."""
        return os.fstat(self._open(name, False)).st_size

    def allocated(self, name: str) -> int:
        """See ``Disk.allocated``."""
        return os.fstat(self._open(name, False)).st_blocks * _STAT_BLOCK_BYTES

    def truncate(self, name: str, length: int) -> None:
        """See ``Disk.truncate``."""
        fd = self._open(name, False)
        self._ends.pop(name, None)
        self._reserved.pop(name, None)
        os.ftruncate(fd, length)
        os.fsync(fd)

    def delete(self, name: str) -> None:
        """See ``Disk.delete``."""
        self._forget(name)
        os.unlink(self.folder / name)

    def list(self) -> list[str]:
        """See ``Disk.list``; temporary files of an interrupted ``write_atomic`` are not named."""
        return sorted(entry.name for entry in self.folder.iterdir() if entry.suffix != ".tmp")

    def _forget(self, name: str) -> None:
        self._ends.pop(name, None)
        self._reserved.pop(name, None)
        self._new.discard(name)
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close all file descriptors."""
        for name in list(self._fds):
            self._forget(name)
