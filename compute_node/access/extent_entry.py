"""One entry of the extent directory (``extents.py`` has the diagram)."""

from __future__ import annotations

import struct

ENTRY = struct.Struct("<QIIIIIIQQ")
ENTRY_BYTES = ENTRY.size


class Entry:
    """One directory entry and where it is."""

    __slots__ = (
        "creator",
        "first_block",
        "flags",
        "fork",
        "frame",
        "freed",
        "offset",
        "pages",
        "relfile",
        "start",
        "used",
    )

    def __init__(self, frame: int, offset: int, values: tuple[int, ...]) -> None:
        self.frame = frame
        self.offset = offset
        self.start, self.pages, self.relfile, self.first_block, self.used, self.flags, self.fork = values[:7]
        self.creator, self.freed = values[7:]

    def pack(self) -> bytes:
        """The entry's bytes."""
        return ENTRY.pack(
            self.start,
            self.pages,
            self.relfile,
            self.first_block,
            self.used,
            self.flags,
            self.fork,
            self.creator,
            self.freed,
        )
