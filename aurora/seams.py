"""Seams: what a protocol core may know of the world outside, passed in so that a simulator can stand in for it.

A core takes a ``Clock``, an ``Rng``, a ``Disk`` and speaks to its peers through messages that a ``Net`` carries. The
real ones are here (the real ``Net`` is ``aurora.rpc.channels.GrpcNet``); ``aurora.sim`` holds the simulated ones.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from aurora.holes import punch_hole

if TYPE_CHECKING:
    from google.protobuf.message import Message


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

    async def unary(self, address: str, method: str, request: Message, timeout_s: float) -> Message:
        """One request, one reply."""

    def stream(self, address: str, method: str, request: Message, timeout_s: float) -> AsyncIterator[Message]:
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
LOCK_NAME = "lock"
"""File of a folder that one process has to itself; holds that process's id, for people. Not listed."""
_ZEROS = bytes(1 << 20)
_STAT_BLOCK_BYTES = 512


class FolderInUse(OSError):
    """Another process has the folder to itself."""


class _OpenFile:
    """A descriptor, and what is known of its file. Closed when the last user lets go of it, in whatever thread: who is
    about to use the number never meets another file under it.
    """

    __slots__ = ("end", "fd", "new", "reserved")

    def __init__(self, fd: int, new: bool = False) -> None:
        self.fd = fd
        self.new = new
        """Whether the folder has not been synced since the file was made."""
        self.end: int | None = None
        """Where the next append goes; None = at the file's end."""
        self.reserved = 0

    def __del__(self) -> None:
        os.close(self.fd)


class FolderDisk:
    """A ``Disk`` on a folder of the file system. File descriptors stay open until the file is deleted or ``close``.

    One thread may change files; others may read and sync meanwhile, files that are being deleted included. A file that
    is appended to grows by ``RESERVE_BYTES`` of zeros at a time: a sync then writes data alone, without the file's size
    and block map, which halves what it costs.
    """

    def __init__(self, folder: Path, *, exclusive: bool = False) -> None:
        """``exclusive``: for this process alone until ``close``; FolderInUse, with nothing touched, when another has
        the folder so.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = _hold(folder) if exclusive else None
        self._files: dict[str, _OpenFile] = {}
        self._opening = threading.Lock()
        """Held while a name comes to mean a file, or ceases to."""
        self._sync_folder()  # files whose making an earlier process had no time to sync

    def _open(self, name: str, create: bool) -> _OpenFile:
        file = self._files.get(name)
        if file is not None:
            return file
        with self._opening:
            file = self._files.get(name)
            if file is None:
                path = self.folder / name
                new = create and not path.exists()
                file = _OpenFile(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600), new)
                self._files[name] = file
        return file

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk.append``."""
        file = self._open(name, True)
        start = file.end
        if start is None:
            start = os.fstat(file.fd).st_size
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if start + len(data) > file.reserved:
            self._reserve(file, start + len(data))
        try:
            written = os.pwrite(file.fd, data, start)
            while written < len(data):
                written += os.pwrite(file.fd, memoryview(data)[written:], start + written)
        except OSError:
            file.reserved = 0
            os.ftruncate(file.fd, start)
            raise
        file.end = start + written
        return start

    @staticmethod
    def _reserve(file: _OpenFile, end: int) -> None:
        held = os.fstat(file.fd).st_size
        zeros = bytes(RESERVE_BYTES + max(0, end - held))
        try:
            written = os.pwrite(file.fd, zeros, held)
        except OSError:
            # Too little room for a reserve: the append goes on without, and tells whether there is room for itself.
            os.ftruncate(file.fd, held)
            written = 0
        file.reserved = held + written

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """See ``Disk.write``."""
        file = self._open(name, True)
        file.end = None
        written = os.pwrite(file.fd, data, offset)
        while written < len(data):
            written += os.pwrite(file.fd, memoryview(data)[written:], offset + written)

    def discard(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.discard``: a hole, or zeros where the file system makes no holes."""
        file = self._open(name, False)
        length = min(length, os.fstat(file.fd).st_size - offset)
        if length <= 0 or punch_hole(file.fd, offset, length):
            return
        for at in range(offset, offset + length, len(_ZEROS)):
            self.write(name, at, _ZEROS[: offset + length - at])

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        file = self._open(name, False)
        os.fdatasync(file.fd)
        if file.new:
            self._sync_folder()
            file.new = False

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``: temporary file, fsync, rename, fsync of the folder."""
        temporary = self.folder / f"{name}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)  # a full disk has no room for half a file
            raise
        with self._opening:
            os.replace(temporary, self.folder / name)
            self._files.pop(name, None)
        self._sync_folder()

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        file = self._open(name, False)
        return os.pread(file.fd, length, offset)

    def uncache(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.uncache``: pages of the system's cache that are written back go, where the system knows how."""
        if hasattr(os, "posix_fadvise"):
            file = self._open(name, False)
            start = offset - offset % mmap.PAGESIZE  # of a page in part, nothing would go
            os.posix_fadvise(file.fd, start, offset + length + mmap.PAGESIZE - start, os.POSIX_FADV_DONTNEED)

    def size(self, name: str) -> int:
        """See ``Disk.size``."""
        file = self._open(name, False)
        return os.fstat(file.fd).st_size

    def allocated(self, name: str) -> int:
        """See ``Disk.allocated``."""
        file = self._open(name, False)
        return os.fstat(file.fd).st_blocks * _STAT_BLOCK_BYTES

    def truncate(self, name: str, length: int) -> None:
        """See ``Disk.truncate``."""
        file = self._open(name, False)
        file.end = None
        file.reserved = 0
        os.ftruncate(file.fd, length)
        os.fsync(file.fd)

    def delete(self, name: str) -> None:
        """See ``Disk.delete``."""
        with self._opening:
            os.unlink(self.folder / name)
            self._files.pop(name, None)

    def list(self) -> list[str]:
        """See ``Disk.list``; temporary files of an interrupted ``write_atomic`` are not named."""
        return sorted(
            entry.name for entry in self.folder.iterdir() if entry.suffix != ".tmp" and entry.name != LOCK_NAME
        )

    def close(self) -> None:
        """Close all files; the folder is free for others."""
        with self._opening:
            self._files.clear()
        self._lock = None


def _hold(folder: Path) -> _OpenFile:
    """The folder's lock, for as long as the file is open."""
    file = _OpenFile(os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        fcntl.flock(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(file.fd, 20, 0).decode(errors="replace").strip()
        raise FolderInUse(f"{folder} is in use by process {holder or '(not known)'}") from error
    os.ftruncate(file.fd, 0)
    os.pwrite(file.fd, f"{os.getpid()}\n".encode(), 0)
    return file
