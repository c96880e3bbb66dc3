"""Where a relation has room: a byte a block in memory, and the same in the relation's space map, a fork of its own.

```
 0   24  page header, kind SPACE_MAP
24 7192  a byte a block: its free bytes / 32, 0 when it is not offered; page n is for the blocks from 7168 n on
```
All of it is a hint, as PostgreSQL's free-space map is: a block that has less room than it says is found out by the
insert that tries it, and then says what it has. So the map is written now and then (``write``: by vacuum and by the
autovacuum daemon's rounds), never by an insert, and a crash loses nothing but hints. It is read when the relation is
first inserted into after a restart. A relation of a few blocks has no map: its blocks are looked at (the threshold is
PostgreSQL's HEAP_FSM_CREATION_THRESHOLD, doubled).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from aurora.page import HEADER_BYTES, OFF_KIND, PAGE_BYTES, PageKind

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage

BLOCKS_PER_PAGE: Final = 7168
UNIT_BYTES: Final = 32
FREE_BYTES_MIN: Final = PAGE_BYTES // 16
"""A page with less room is not offered to inserts."""
BLOCKS_WITHOUT_MAP: Final = 8
WHOLE_BLOCK: Final = 255
"""A block of an index that holds nothing and is to be used again."""


class FreeSpace:
    """``rooms[block]`` is the block's category (free bytes / 32). ``loaded``: the map's pages, if there are any, are in
    it. ``changed``: pages of the map that say something else; None is none, for most relations have none."""

    __slots__ = ("_next", "_offered", "changed", "loaded", "rooms", "writing")

    def __init__(self) -> None:
        self.rooms = bytearray()
        self.loaded = False
        self.changed: set[int] | None = None
        self.writing = False
        self._next = 0
        self._offered = 0

    def __len__(self) -> int:
        """Blocks offered."""
        return self._offered

    def note(self, block: int, room_bytes: int) -> None:
        """The block has that much room."""
        self.put(block, min(WHOLE_BLOCK, room_bytes // UNIT_BYTES) if room_bytes >= FREE_BYTES_MIN else 0)

    def put(self, block: int, category: int) -> None:
        """The block is of that category."""
        rooms = self.rooms
        if block >= len(rooms):
            if not category:
                return
            rooms.extend(bytes(block + 1 - len(rooms)))
        before = rooms[block]
        if before != category:
            rooms[block] = category
            self._offered += bool(category) - bool(before)
            if self.changed is None:
                self.changed = set()
            self.changed.add(block // BLOCKS_PER_PAGE)

    def take(self, need_bytes: int, limit: int) -> int:
        """A block below ``limit`` with so much room, which is offered no more; -1 when there is none. Blocks are tried
        in turn, so that inserts spread as little as the room lets them."""
        wanted = -(-need_bytes // UNIT_BYTES)
        if not self._offered or wanted > WHOLE_BLOCK:
            return -1
        for start, stop in ((self._next, limit), (0, min(self._next, limit))):
            fitting = np.frombuffer(self.rooms, np.uint8)[start:stop] >= max(1, wanted)
            if fitting.size and fitting[at := int(fitting.argmax())]:
                block = start + at
                self._next = block
                self.put(block, 0)
                return block
        return -1

    def cut(self, blocks: int) -> None:
        """The relation ends before block ``blocks``."""
        for block in range(blocks, len(self.rooms)):
            self.put(block, 0)
        del self.rooms[blocks:]

    def page_of(self, number: int) -> bytes:
        """What page ``number`` of the map is to say."""
        return bytes(self.rooms[number * BLOCKS_PER_PAGE : (number + 1) * BLOCKS_PER_PAGE]).ljust(
            BLOCKS_PER_PAGE, b"\0"
        )


def load(storage: Storage, file: RelationFile, look: Callable[[Datum], int] | None = None) -> None:
    """Have a relation's hints in memory and its end known. ``look`` tells the category of a page; it is asked for those
    of a relation so small that it has no map. May wait; in a gather phase."""
    storage.extents.find_end(file)
    free, fork = file.free, file.space_map
    if free.loaded:
        return
    pages = []
    for number in range(int(fork.map.blocks) if fork is not None else 0):
        if fork is None:
            raise InvariantViolation("fork is not there")
        page = storage.arena.page(storage.cache.get(fork.map.page_no(number)))
        is_map = page[OFF_KIND] == PageKind.SPACE_MAP
        pages.append(bytes(page[HEADER_BYTES : HEADER_BYTES + BLOCKS_PER_PAGE]) if is_map else bytes(BLOCKS_PER_PAGE))
    if fork is None and look is not None and file.fresh <= BLOCKS_WITHOUT_MAP:
        blocks = (storage.cache.get(file.map.page_no(block)) for block in range(file.fresh))
        pages.append(bytes(look(storage.arena.page(frame)) for frame in blocks))
    if free.loaded:
        return  # somebody else did it meanwhile
    free.loaded = True
    for block, category in enumerate(b"".join(pages)[: file.fresh]):
        if category:
            free.put(block, category)
    free.changed = None


def write(storage: Storage, file: RelationFile) -> None:
    """Bring the map's pages up to date, a mini-transaction each. May wait; leaves off when the relation is dropped."""
    free = file.free
    if not free.changed or not free.loaded or free.writing:
        return
    free.writing = True
    try:
        while free.changed and storage.extents.files.get(file.relfile) is file:
            number = min(free.changed)
            if file.space_map is None and not (free.rooms and file.map.blocks > BLOCKS_WITHOUT_MAP):
                free.changed = None
                return
            frame = _frame(storage, file, number)
            if storage.extents.files.get(file.relfile) is file:
                free.changed.discard(number)
                _write_page(storage, file, frame, number)
    finally:
        free.writing = False


def _frame(storage: Storage, file: RelationFile, number: int) -> int:
    """The frame of a page of the map, made if need be. Its last wait is over when this returns."""
    extents = storage.extents
    storage.volume.reserve(2 * PAGE_BYTES)
    fork = file.space_map or extents.create_map(file)
    while fork.fresh <= number:
        extents.new_block(fork)
    return int(storage.cache.get(fork.map.page_no(number)))


def _write_page(storage: Storage, file: RelationFile, frame: int, number: int) -> None:
    page, mtr = storage.arena.page(frame), storage.mtr
    wanted = file.free.page_of(number)
    with mtr:
        if page[OFF_KIND] != PageKind.SPACE_MAP:
            end = HEADER_BYTES + BLOCKS_PER_PAGE
            mtr.put(
                frame,
                OFF_KIND,
                struct.pack("<BBHHHI", PageKind.SPACE_MAP, 0, end, PAGE_BYTES, PAGE_BYTES, file.relfile),
            )
        old = np.frombuffer(page, np.uint8, BLOCKS_PER_PAGE, HEADER_BYTES)
        different = np.flatnonzero(old != np.frombuffer(wanted, np.uint8))
        # Runs of changes with short gaps go together.
        breaks = np.flatnonzero(np.diff(different) > 4) + 1
        for run in np.split(different, breaks) if different.size else ():
            start, stop = int(run[0]), int(run[-1]) + 1
            mtr.put(frame, HEADER_BYTES + start, wanted[start:stop])
