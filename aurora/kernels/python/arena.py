"""The page arena: ``frames × 8192`` bytes with its page table, pins and clock eviction.

The cache of both programs: compute's page cache and the storage node's cache of materialized pages. A frame index is
valid until the caller next waits, unless the frame is pinned: only ``install`` evicts, and only somebody who waited
installs. A page whose LSN is above ``durable_lsn`` (the VDL) is never evicted, for storage cannot give it back yet.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES

MISSING = -1


class ArenaFull(Exception):
    """No frame can be evicted: all are pinned or newer than the durable LSN."""


class Arena:
    """``data`` is uint8 of shape (frames, 8192); ``page_of[frame]`` is int64, -1 when free; ``pins[frame]`` int32."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.data: npt.NDArray[np.uint8] = np.zeros((frames, PAGE_BYTES), dtype=np.uint8)
        self.page_of: npt.NDArray[np.int64] = np.full(frames, -1, dtype=np.int64)
        self.pins: npt.NDArray[np.int32] = np.zeros(frames, dtype=np.int32)
        self.referenced: npt.NDArray[np.uint8] = np.zeros(frames, dtype=np.uint8)
        self.durable_lsn = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._memory = self.data.data.cast("B") if frames else memoryview(b"")
        self._table: dict[int, int] = {}
        self._free = list(range(frames - 1, -1, -1))
        self._hand = 0

    def __len__(self) -> int:
        return len(self._table)

    def lookup(self, page_no: int) -> int:
        """The frame that holds ``page_no``, or ``MISSING``. Marks the frame as recently used."""
        frame = self._table.get(page_no, MISSING)
        if frame == MISSING:
            self.misses += 1
        else:
            self.hits += 1
            self.referenced[frame] = 1
        return frame

    def contains(self, page_no: int) -> bool:
        """Whether the page is here; counts nothing."""
        return page_no in self._table

    def page(self, frame: int) -> memoryview:
        """The frame's 8192 bytes, writable. Only redo apply and the page editor write through it."""
        start = frame * PAGE_BYTES
        return self._memory[start : start + PAGE_BYTES]

    def page_lsn(self, frame: int) -> int:
        """The frame's page LSN."""
        return int(struct.unpack_from("<Q", self._memory, frame * PAGE_BYTES)[0])

    def install(self, page_no: int, image: bytes | None) -> int:
        """Put a page (8192 bytes; None is a zero page) into a frame, evicting one if need be; raises ArenaFull.

        A page that is already here keeps its frame and its bytes: one frame a page.
        """
        frame = self._table.get(page_no, MISSING)
        if frame != MISSING:
            return frame
        frame = self._free.pop() if self._free else self._evict()
        self.page(frame)[:] = bytes(PAGE_BYTES) if image is None else image
        self.page_of[frame] = page_no
        self.referenced[frame] = 1
        self.pins[frame] = 0
        self._table[page_no] = frame
        return frame

    def _evict(self) -> int:
        for _ in range(2 * self.frames + 1):
            frame = self._hand
            self._hand = (frame + 1) % self.frames
            if self.pins[frame] or self.page_lsn(frame) > self.durable_lsn:
                continue
            if self.referenced[frame]:
                self.referenced[frame] = 0
                continue
            del self._table[int(self.page_of[frame])]
            self.page_of[frame] = -1
            self.evictions += 1
            return frame
        raise ArenaFull(f"none of {self.frames} frames can be evicted")

    def drop(self, page_no: int) -> None:
        """Forget a page, whatever its LSN; InvariantViolation when it is pinned."""
        frame = self._table.get(page_no, MISSING)
        if frame == MISSING:
            return
        if self.pins[frame]:
            raise InvariantViolation(f"page {page_no} is pinned and cannot be dropped")
        del self._table[page_no]
        self.page_of[frame] = -1
        self._free.append(frame)

    def pin(self, frame: int) -> None:
        """Keep the frame in place until ``unpin``."""
        self.pins[frame] += 1

    def unpin(self, frame: int) -> None:
        """Undo one ``pin``."""
        if self.pins[frame] <= 0:
            raise InvariantViolation(f"frame {frame} is not pinned")
        self.pins[frame] -= 1
