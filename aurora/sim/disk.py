"""A simulated ``Disk``: keeps files in memory, loses what was not synced when it crashes, tears what was half written.

``crash(rng)`` leaves the disk as the restarted process finds it: every synced byte is there; of unsynced appends a
random prefix, its last sectors possibly torn; of unsynced writes in place a random choice of 512-byte sectors; a file
whose creation was never synced may be gone, one whose deletion was never synced may be back. What else goes wrong:

- ``capacity_bytes``: it refuses with ENOSPC;
- ``light_fuse``: the power goes in the middle of a later operation (``PowerLost``), before or after its effect;
- ``sync_fails``: the next sync is an I/O error; what it was to write can be read all the same, until it is asked for
  past the cache (``uncache``) or a crash shows what of it had come to be durable;
- ``flip_bit``: a bit decays;
- ``lose_sectors``: they give an I/O error when read, until they are written anew.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence

from aurora.seams import Buffer

SECTOR_BYTES = 512
BLOCK_BYTES = 4096


class PowerLost(BaseException):
    """The machine stops here. No handler of errors may see it, so it is no Exception."""


class _File:
    __slots__ = ("bad", "data", "durable", "failed", "known", "stale", "writes")

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = bytearray()
        self.known = False
        self.writes: list[tuple[int, bytes]] = []
        self.failed: list[tuple[int, bytes]] = []
        """Writes whose sync failed, until another sync, which has nothing to do for them, tells that they are lost."""
        self.stale = False
        """Whether ``data``, the cache, holds writes whose sync failed."""
        self.bad: set[int] = set()
        """Numbers of the sectors that cannot be read."""

    def flush(self) -> None:
        """Make durable what waits for it."""
        for offset, written in self.writes:
            _patch(self.durable, offset, written)
        self.writes.clear()
        self.failed.clear()

    def put(self, offset: int, data: bytes) -> None:
        """Write in place; a sector that is written whole can be read again."""
        _patch(self.data, offset, data)
        self.writes.append((offset, data))
        if self.bad:
            self.bad.difference_update(range(-(-offset // SECTOR_BYTES), (offset + len(data)) // SECTOR_BYTES))


class SimDisk:
    """See the module. ``syncs`` counts calls of ``sync``."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.sync_fails = False
        self.syncs = 0
        self._fuse = 0
        self._fuse_before = False
        self._files: dict[str, _File] = {}
        self._limbo: dict[str, _File] = {}
        """Deleted files whose deletion a crash may undo."""

    @property
    def used_bytes(self) -> int:
        """What all files hold."""
        return sum(len(file.data) for file in self._files.values())

    def light_fuse(self, operations: int, before: bool) -> None:
        """Lose power at the operation that comes as number ``operations``, ``before`` or after its effect."""
        self._fuse, self._fuse_before = operations, before

    def _begin(self) -> None:
        if self._fuse:
            self._fuse -= 1
            if not self._fuse:
                if self._fuse_before:
                    raise PowerLost
                self._fuse = -1

    def _end(self) -> None:
        if self._fuse < 0:
            self._fuse = 0
            raise PowerLost

    def _file(self, name: str) -> _File:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return self._files[name]

    def _grow(self, by: int) -> None:
        if self.capacity_bytes is not None and by > 0 and self.used_bytes + by > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _create(self, name: str) -> _File:
        self._limbo.pop(name, None)
        return self._files.setdefault(name, _File())

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk.append``."""
        data = b"".join(parts)
        self._begin()
        self._grow(len(data))
        file = self._create(name)
        offset = len(file.data)
        file.put(offset, data)
        self._end()
        return offset

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """See ``Disk.write``."""
        self._begin()
        file = self._files.get(name)
        self._grow(offset + len(data) - (len(file.data) if file else 0))
        file = self._create(name)
        file.put(offset, bytes(data))
        self._end()

    def discard(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.discard``: zeros that may be torn, or lost, like any unsynced write."""
        file = self._file(name)
        length = min(length, len(file.data) - offset)
        if length > 0:
            file.put(offset, bytes(length))

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        file = self._file(name)
        self._begin()
        if self.sync_fails:
            self.sync_fails = False
            file.failed += file.writes
            file.writes.clear()
            file.stale = True
            raise OSError(errno.EIO, "Input/output error")
        self.syncs += 1
        file.flush()
        if not file.known:
            file.known = True
            self._limbo.clear()
        self._end()

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``."""
        self._begin()
        held = self._files.get(name)
        self._grow(len(data) - (len(held.data) if held else 0))
        file = _File()
        file.data[:] = file.durable[:] = data
        file.known = True
        self._files[name] = file
        self._limbo.clear()
        self._end()

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        file = self._file(name)
        if file.bad and not file.bad.isdisjoint(_sectors(offset, min(length, len(file.data) - offset))):
            raise OSError(errno.EIO, "Input/output error")
        return bytes(file.data[offset : offset + length])

    def uncache(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.uncache``, of the whole file: what a failed sync left in the cache is not there any more."""
        file = self._file(name)
        if file.stale:
            file.stale = False
            file.failed.clear()
            file.data[:] = file.durable.ljust(len(file.data), b"\0")
            for at, written in file.writes:
                _patch(file.data, at, written)

    def size(self, name: str) -> int:
        """See ``Disk.size``."""
        return len(self._file(name).data)

    def allocated(self, name: str) -> int:
        """See ``Disk.allocated``: blocks that are not all zeros."""
        data = self._file(name).data
        return sum(BLOCK_BYTES for at in range(0, len(data), BLOCK_BYTES) if any(data[at : at + BLOCK_BYTES]))

    def truncate(self, name: str, length: int) -> None:
        """See ``Disk.truncate``."""
        file = self._file(name)
        self._begin()
        file.flush()
        del file.data[length:]
        file.durable[:] = file.durable[:length].ljust(len(file.data), b"\0")
        file.bad.intersection_update(_sectors(0, length))
        self._end()

    def delete(self, name: str) -> None:
        """See ``Disk.delete``."""
        file = self._file(name)
        self._begin()
        del self._files[name]
        if file.known:
            self._limbo[name] = file
        self._end()

    def list(self) -> list[str]:
        """See ``Disk.list``."""
        return sorted(self._files)

    def flip_bit(self, name: str, offset: int, bit: int = 0) -> None:
        """Decay one bit, also of what is durable."""
        file = self._file(name)
        file.data[offset] ^= 1 << bit
        if offset < len(file.durable):
            file.durable[offset] ^= 1 << bit

    def lose_sectors(self, name: str, offset: int, length: int) -> None:
        """The sectors that the range touches cannot be read any more, until each is written whole, or its file goes."""
        file = self._file(name)
        file.bad.update(_sectors(offset, min(length, len(file.data) - offset)))

    def crash(self, rng: random.Random) -> SimDisk:
        """Power off and on: from now on the disk is as a restarted process finds it. Returns itself."""
        self._fuse, self.sync_fails = 0, False
        for name, file in list(self._limbo.items()):
            if rng.random() < 0.5:
                self._files[name] = file
        self._limbo.clear()
        for name, file in list(self._files.items()):
            if not file.known and rng.random() < 0.5:
                del self._files[name]
                continue
            data = bytearray(file.durable)
            for offset, written in (*file.failed, *file.writes):
                if rng.random() < 0.3:
                    continue
                stop = len(written) if rng.random() < 0.5 else rng.randrange(len(written) + 1)
                for start in range(0, stop, SECTOR_BYTES):
                    if rng.random() < 0.8:
                        _patch(data, offset + start, written[start : min(start + SECTOR_BYTES, stop)])
            survivor = _File()
            survivor.data[:] = survivor.durable[:] = data
            survivor.known = True
            survivor.bad = file.bad
            self._files[name] = survivor
        return self


def _sectors(offset: int, length: int) -> range:
    return range(offset // SECTOR_BYTES, -(-(offset + length) // SECTOR_BYTES)) if length > 0 else range(0)


def _patch(data: bytearray, offset: int, new: bytes) -> None:
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset : offset + len(new)] = new
