"""Reading and writing the summaries of an index: map pages, and pages of entries.

Each change is one mini-transaction: a summary on its page, and where it moves to another page, both pages and the
map's entry. A new map page is written together with the entry that names it. Who reads the map and then waits for the
page of a summary may find it moved: it looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.errors import IndexCorrupted, InvariantViolation, ProgramLimitExceeded
from aurora.page import HEADER_BYTES, OFF_LOWER, PAGE_BYTES
from compute_node.access import free_space
from compute_node.access.brin.pages import (
    DIRECT_MAPS,
    DIRECTORY,
    ENTRY,
    MAP,
    MAP_ENTRIES,
    OFF_BLOCKS,
    SUMMARY_BYTES_MAX,
    block_at,
    entries_of,
    entry,
    is_of_kind,
    lower_of,
    map_image,
    meta_image,
    pages_per_range_of,
    summary_image,
)
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage

CHANGE_REDO_BYTES = 4 * PAGE_BYTES
"""Log space reserved before a change: it writes three pages at most."""
RANGES_A_TURN = 64
Change = Callable[[bytes | None], bytes | None]
"""A range's summary → what it becomes; None: it stays. It must not wait."""


class BrinStore:
    """The pages of one index. ``storage`` gives cache, page editor and extents."""

    def __init__(self, storage: Storage, file: RelationFile, name: str) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._arena = storage.cache.arena
        self._mtr = storage.mtr
        self._file = file
        self._name = name
        self._pages_per_range = 0
        self._page: tuple[int, int, dict[int, tuple[int, bytes]]] = (0, 0, {})
        """the summary page that was read last: block, LSN, its entries"""

    def _frame(self, block: int) -> int:
        return int(self._cache.get(self._file.map.page_no(block)))

    def _bytes(self, block: int) -> memoryview:
        """A page; valid until the next wait."""
        return self._arena.page(self._frame(block))

    @property
    def pages_per_range(self) -> int:
        """Of the table; it stays as long as the file. May wait."""
        if not self._pages_per_range:
            self._pages_per_range = pages_per_range_of(self._bytes(0), self._file.relfile)
        return self._pages_per_range

    # The map

    def _place(self, number: int) -> tuple[int, int]:
        """Where the block of a range's map page is written: (block, offset); block -1: nowhere yet. May wait."""
        page = number // MAP_ENTRIES
        if page < DIRECT_MAPS:
            return 0, OFF_BLOCKS + 4 * page
        which, at = divmod(page - DIRECT_MAPS, MAP_ENTRIES)
        directory = self._named(0, self._directory_offset(which), DIRECTORY)
        return (directory, HEADER_BYTES + 4 * at) if directory else (-1, 0)

    @staticmethod
    def _directory_offset(which: int) -> int:
        offset = OFF_BLOCKS + 4 * (DIRECT_MAPS + which)
        if offset >= PAGE_BYTES:
            raise InvariantViolation(f"a BRIN map has no directory {which}")
        return offset

    def _named(self, block: int, offset: int, kind: int) -> int:
        """The block that a page names, which must be of that kind; 0: none. May wait."""
        found = block_at(self._bytes(block), offset)
        if found and not is_of_kind(self._bytes(found), kind, self._file.relfile):
            raise IndexCorrupted(f"block {found} of relation file {self._file.relfile} is no page of a BRIN map")
        return found

    def _map_block(self, number: int) -> int:
        """The map page of a range; 0: there is none yet. May wait."""
        block, offset = self._place(number)
        return 0 if block < 0 else self._named(block, offset, MAP)

    def _made_map_block(self, number: int) -> int:
        """The same, made if need be."""
        while not (found := self._map_block(number)):
            block, offset = self._place(number)
            if block < 0:
                which = (number // MAP_ENTRIES - DIRECT_MAPS) // MAP_ENTRIES
                self._add_page(0, self._directory_offset(which), DIRECTORY)
            else:
                self._add_page(block, offset, MAP)
        return found

    def _add_page(self, block: int, offset: int, kind: int) -> None:
        """A page of the map, named at a place, unless somebody else has made it meanwhile."""
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        new = self._new_block()
        with self._cache.pinned(map(self._file.map.page_no, (block, new))) as frames:
            if block_at(self._arena.page(frames[0]), offset):
                self._file.spare.append(new)
                return
            with self._mtr:
                self._mtr.image(frames[1], map_image(self._file.relfile, kind))
                self._mtr.put_u32(frames[0], offset, new)

    def _new_block(self) -> int:
        spare: list[int] = self._file.spare
        return spare.pop() if spare else int(self._storage.extents.new_block(self._file))

    # Reading

    def block_of(self, number: int) -> int:
        """The page that has a range's summary, as the map says; 0: none. May wait."""
        map_block = self._map_block(number)
        return block_at(self._bytes(map_block), _map_offset(number)) if map_block else 0

    def entries(self, block: int) -> dict[int, tuple[int, bytes]]:
        """Of a summary page: range → (where its entry begins, its summary). May wait."""
        frame = self._frame(block)
        lsn = int(self._arena.page_lsn(frame))
        if self._page[:2] != (block, lsn):
            self._page = block, lsn, entries_of(self._arena.page(frame), self._file.relfile, block)
        return self._page[2]

    def find(self, number: int) -> bytes | None:
        """A range's summary; None: it has none. May wait."""
        while True:
            waits = self._cache.waits
            block = self.block_of(number)
            if not block:
                return None
            found = self.entries(block).get(number)
            if found is not None:
                return found[1]
            if self._cache.waits == waits:
                raise IndexCorrupted(
                    f"range {number} of relation file {self._file.relfile} has no summary on block {block}"
                )

    def summaries(self, ranges: int) -> Iterator[tuple[int, bytes | None]]:
        """(range, its summary) of the first ranges, in order. May wait."""
        for number in range(ranges):
            if number % RANGES_A_TURN == 0:
                HUB.pulse()
            yield number, self.find(number)

    # Writing

    def begin(self, pages_per_range: int) -> None:
        """The meta page of a new index."""
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        block = self._storage.extents.new_block(self._file)
        if block:
            raise InvariantViolation(f"block {block} of new index {self._name}, expected 0")
        frame = self._frame(0)
        with self._mtr:
            self._mtr.image(frame, meta_image(self._file.relfile, pages_per_range))

    def change(self, number: int, change: Change) -> bool:
        """Give a range another summary, or its first; whether it has one that ``change`` made. Errors: 54000."""
        map_block = self._made_map_block(number)
        while True:
            self._storage.volume.reserve(CHANGE_REDO_BYTES)
            block = block_at(self._bytes(map_block), _map_offset(number))
            target = self._file.target
            blocks = [map_block, *([block] if block else []), *([target] if target > 0 and target != block else [])]
            with self._cache.pinned(map(self._file.map.page_no, blocks)) as frames:
                # Nothing waits from here on.
                if block_at(self._arena.page(frames[0]), _map_offset(number)) != block:
                    continue
                old = self.entries(block)[number] if block else None
                data = change(None if old is None else old[1])
                if data is None:
                    return False
                if old is not None and data == old[1]:
                    return True
                if len(data) + ENTRY.size > SUMMARY_BYTES_MAX:
                    raise ProgramLimitExceeded(
                        f"index row size {len(data) + ENTRY.size} exceeds maximum {SUMMARY_BYTES_MAX}"
                        f' for index "{self._name}"'
                    )
                new = entry(number, data)
                if old is not None and self._fits(frames[1], len(new) - ENTRY.size - len(old[1])):
                    with self._mtr:
                        self._replace(frames[1], old[0], ENTRY.size + len(old[1]), new)
                    return True
                if blocks[-1] == target and self._fits(frames[-1], len(new)):
                    with self._mtr:
                        if old is not None:
                            self._replace(frames[1], old[0], ENTRY.size + len(old[1]), b"")
                        self._append(frames[-1], new)
                        self._mtr.put_u32(frames[0], _map_offset(number), target)
                    if old is not None:
                        self._note_room(block, frames[1])
                    return True
            self._find_target(len(new), target)

    def remove(self, number: int) -> bool:
        """Take a range's summary away; whether it had one."""
        map_block = self._map_block(number)
        while map_block:
            self._storage.volume.reserve(CHANGE_REDO_BYTES)
            block = block_at(self._bytes(map_block), _map_offset(number))
            if not block:
                return False
            with self._cache.pinned(map(self._file.map.page_no, (map_block, block))) as frames:
                if block_at(self._arena.page(frames[0]), _map_offset(number)) != block:
                    continue
                at, data = self.entries(block)[number]
                with self._mtr:
                    self._replace(frames[1], at, ENTRY.size + len(data), b"")
                    self._mtr.put_u32(frames[0], _map_offset(number), 0)
                self._note_room(block, frames[1])
                return True
        return False

    def _fits(self, frame: int, more: int) -> bool:
        page = self._arena.page(frame)
        return is_of_kind(page, 0, self._file.relfile) and lower_of(page) + more <= PAGE_BYTES

    def _append(self, frame: int, new: bytes) -> None:
        """Part of the current MTR."""
        lower = lower_of(self._arena.page(frame))
        self._mtr.put(frame, lower, new)
        self._mtr.put_u16(frame, OFF_LOWER, lower + len(new))

    def _replace(self, frame: int, at: int, size: int, new: bytes) -> None:
        """Part of the current MTR: other bytes in an entry's place, the entries behind it moved. Of bytes as many as
        before only those from the first to the last that differ are logged, in runs."""
        page = self._arena.page(frame)
        if len(new) == size:
            for start, end in _runs(bytes(page[at : at + size]), new):
                self._mtr.put(frame, at + start, new[start:end])
            return
        lower = lower_of(page)
        if at + size < lower:
            self._mtr.move(frame, at + size, at + len(new), lower - at - size)
        if new:
            self._mtr.put(frame, at, new)
        self._mtr.put_u16(frame, OFF_LOWER, lower + len(new) - size)

    def _note_room(self, block: int, frame: int) -> None:
        if block != self._file.target:
            self._file.free.note(block, PAGE_BYTES - lower_of(self._arena.page(frame)))

    def _find_target(self, need: int, full: int) -> None:
        """Another page for new entries, unless somebody else has found one. May wait."""
        file = self._file
        if file.target != full:
            return
        if not file.free.loaded:
            free_space.load(self._storage, file)
        block = file.free.take(need, file.fresh)
        if block > 0:
            file.target = block
            return
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        new = self._new_block()
        with self._cache.pinned((file.map.page_no(new),)) as frames:
            with self._mtr:
                self._mtr.image(frames[0], summary_image(file.relfile, []))
        file.target = new

    def keep_map(self) -> None:
        """Let the space map know of pages with room."""
        if self._file.free.loaded:
            free_space.write(self._storage, self._file)


def _map_offset(number: int) -> int:
    return HEADER_BYTES + 4 * (number % MAP_ENTRIES)


GAP = 8
"""Runs of changed bytes with shorter gaps between them are logged as one."""


def _runs(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Where two byte strings of one length differ."""
    start = end = -1
    for at, (one, other) in enumerate(zip(old, new, strict=True)):
        if one != other:
            if start >= 0 and at - end > GAP:
                yield start, end
                start = at
            elif start < 0:
                start = at
            end = at + 1
    if start >= 0:
        yield start, end
