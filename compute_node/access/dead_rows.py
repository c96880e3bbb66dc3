"""What a vacuum knows of blocks: dead line pointers that it has gathered, and pages that it found clean."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

CLEAN_BLOCKS_MAX = 1 << 20
"""Blocks of a table that are remembered as clean: 18 MB for its first 8 GiB."""


class DeadRows:
    """Row addresses whose line pointers are dead. ``bits`` has them by block: slot s is dead if bit s & 7 of byte
    s >> 3 is set."""

    __slots__ = ("bits", "count")

    def __init__(self) -> None:
        self.bits: dict[int, bytes] = {}
        self.count = 0

    def add(self, block: int, dead: bytes, count: int) -> None:
        """``count`` dead slots of a block that has none here yet."""
        self.bits[block] = dead
        self.count += count

    def has(self, tid: int) -> bool:
        """Whether a row address is among them."""
        dead, slot = self.bits.get(tid >> 16, b""), tid & 0xFFFF
        return slot >> 3 < len(dead) and bool(dead[slot >> 3] >> (slot & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        """The row addresses."""
        for block, dead in self.bits.items():
            for slot in range(8 * len(dead)):
                if dead[slot >> 3] >> (slot & 7) & 1:
                    yield block << 16 | slot


class CleanBlocks:
    """Blocks of a heap whose page a vacuum found clean: every version is visible to all, none is dead. A page that has
    another LSN than then has changed. In memory only: after a restart the first vacuum looks at every page."""

    __slots__ = ("lsns", "oldest", "rows")

    def __init__(self) -> None:
        self.lsns = array("Q")
        """the page's LSN when it was found clean, 0: it was not"""
        self.oldest = array("Q")
        """its lowest xmin that is not frozen"""
        self.rows = array("H")

    def cover(self, blocks: int) -> None:
        """Have room for that many blocks, and forget those behind them."""
        blocks = min(blocks, CLEAN_BLOCKS_MAX)
        for each in (self.lsns, self.oldest, self.rows):
            more = blocks - len(each)
            if more > 0:
                each.frombytes(bytes(more * each.itemsize))
            else:
                del each[blocks:]

    def note(self, block: int, lsn: int, oldest: int, rows: int) -> None:
        """What a vacuum found on a block; ``lsn`` 0: it is not clean."""
        if block < len(self.lsns):
            self.lsns[block], self.oldest[block], self.rows[block] = lsn, oldest, rows
