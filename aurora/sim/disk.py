"""A simulated ``Disk``: keeps files in memory, loses what was not synced when it crashes, tears what was half written.

``crash(rng)`` leaves the disk as the restarted process finds it: every synced byte is there; of unsynced appends a
random prefix, its last sectors possibly torn; of unsynced writes in place a random choice of 512-byte sectors; a file
whose creation was never synced may be gone. ``capacity_bytes`` makes it refuse with ENOSPC; ``flip_bit`` decays it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence

from aurora.seams import Buffer

SECTOR_BYTES = 512
BLOCK_BYTES = 4096


class _File:
    __slots__ = ("data", "durable", "known", "writes")

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = bytearray()
        self.known = False
        self.writes: list[tuple[int, bytes]] = []


class SimDisk:
    """See the module. ``syncs`` counts calls of ``sync``."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.syncs = 0
        self._files: dict[str, _File] = {}

    def _file(self, name: str) -> _File:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return self._files[name]

    def _grow(self, by: int) -> None:
        if self.capacity_bytes is None or by <= 0:
            return
        if sum(len(file.data) for file in self._files.values()) + by > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk.append``."""
        data = b"".join(parts)
        self._grow(len(data))
        file = self._files.setdefault(name, _File())
        offset = len(file.data)
        file.data += data
        file.writes.append((offset, data))
        return offset

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """See ``Disk.write``."""
        file = self._files.get(name)
        self._grow(offset + len(data) - (len(file.data) if file else 0))
        file = self._files.setdefault(name, _File())
        _patch(file.data, offset, bytes(data))
        file.writes.append((offset, bytes(data)))

    def discard(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.discard``: zeros that may be torn, or lost, like any unsynced write."""
        file = self._file(name)
        length = min(length, len(file.data) - offset)
        if length > 0:
            _patch(file.data, offset, bytes(length))
            file.writes.append((offset, bytes(length)))

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        file = self._file(name)
        self.syncs += 1
        file.durable = bytearray(file.data)
        file.writes.clear()
        file.known = True

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``."""
        held = self._files.get(name)
        self._grow(len(data) - (len(held.data) if held else 0))
        file = _File()
        file.data[:] = file.durable[:] = data
        file.known = True
        self._files[name] = file

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        return bytes(self._file(name).data[offset : offset + length])

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
        del file.data[length:]
        file.durable = bytearray(file.data)
        file.writes.clear()

    def delete(self, name: str) -> None:
        """See ``Disk.delete``."""
        self._file(name)
        del self._files[name]

    def list(self) -> list[str]:
        """See ``Disk.list``."""
        return sorted(self._files)

    def flip_bit(self, name: str, offset: int, bit: int = 0) -> None:
        """Decay one bit, also of what is durable."""
        file = self._file(name)
        file.data[offset] ^= 1 << bit
        if offset < len(file.durable):
            file.durable[offset] ^= 1 << bit

    def crash(self, rng: random.Random) -> SimDisk:
        """Power off and on: from now on the disk is as a restarted process finds it. Returns itself."""
        for name, file in list(self._files.items()):
            if not file.known and rng.random() < 0.5:
                del self._files[name]
                continue
            data = bytearray(file.durable)
            for offset, written in file.writes:
                if rng.random() < 0.3:
                    continue
                stop = len(written) if rng.random() < 0.5 else rng.randrange(len(written) + 1)
                for start in range(0, stop, SECTOR_BYTES):
                    if rng.random() < 0.8:
                        _patch(data, offset + start, written[start : min(start + SECTOR_BYTES, stop)])
            survivor = _File()
            survivor.data[:] = survivor.durable[:] = data
            survivor.known = True
            self._files[name] = survivor
        return self


def _patch(data: bytearray, offset: int, new: bytes) -> None:
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset : offset + len(new)] = new
