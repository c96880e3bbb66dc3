"""The extent directory: which pages belong to which relation file.

Directory pages are linked; page 1 is the first. They are few and stay pinned.

```
24  32  next        u64  page number of the next directory page, 0 none
32      entries of 48 bytes:
 0   8  start       u64  first page, 0: the entry is unused
 8  12  pages       u32
12  16  relfile     u32  0: free
16  20  first_block u32  of the relation
20  24  used        u32  blocks in use, as of this extent's turn as the relation's last; of a free extent: how many of
                         its pages may hold content, 0 all
24  28  flags       u32  bit 0: its pages may hold old content, an earlier owner's or from before the relation was cut
                         bit 1: free, and none of its pages holds anything: given back to storage, or never used
28  32  fork        u32  0 the relation's blocks, 1 its space map (``free_space.py``)
32  40  creator     u64  xid that created the relation; 0 once it committed or when the relation is older
40  48  freed       u64  LSN at which it became free; of a relation's first extent, as last noted: u32 rows, u32 dead
                         rows
```
A free extent is taken again once its ``freed`` LSN is at or below the row horizon; that is also when its pages are
given back to storage (``compute_node/access/give_back.py``), which makes ``freed`` the LSN of that.

Every change has a gather phase, which may wait and looks again afterwards: room in the directory, and the volume's word
that it has the protection groups of all new pages (``volume.ensure_pages``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import DataCorrupted, InvariantViolation
from aurora.ids import RelFile
from aurora.kernels import clog as clog_kernel
from aurora.kernels.python.clog import extent_first, extent_of, extent_pages
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, OFF_RELFILE, PAGE_BYTES, PageKind
from compute_node.access.dead_rows import CleanBlocks
from compute_node.access.extent_entry import ENTRY, ENTRY_BYTES, Entry
from compute_node.access.extents_followed import FollowedDirectory
from compute_node.access.free_space import FreeSpace

if TYPE_CHECKING:
    from aurora.kernels.python.clog import BlockMap
    from aurora.kernels.python.mtr import Mtr
    from compute_node.access.cache import PageCache
    from compute_node.access.superblock import Superblock


FIRST_ENTRY = 32
ENTRIES_PER_PAGE = (PAGE_BYTES - FIRST_ENTRY) // ENTRY_BYTES
FIRST_DIRECTORY_PAGE = 1
RECYCLED, CLEAN = 1, 2
GROW_BLOCKS_MAX = 64
MAIN_FORK, SPACE_MAP_FORK = 0, 1
COUNTERS = struct.Struct("<II")
COUNTERS_APART_MIN = 50
"""Rows by which kept counters may be off: what autovacuum's thresholds do not notice."""
_RELFILE = struct.Struct("<I")
_BLANK = bytes(OFF_LOWER) + struct.pack("<HH", HEADER_BYTES, PAGE_BYTES) + bytes(PAGE_BYTES - OFF_LOWER - 4)
"""A free page whose bounds let its image be logged without the empty middle."""


def _u32(value: float) -> int:
    return min(max(0, int(value)), 0xFFFFFFFF)


class RelationFile:
    """One relation's storage: its extents, and how far it is used and known to be initialised. There is one of each
    relation of the volume, so it is small as long as nothing is done with the relation."""

    __slots__ = (
        "_clean", "dead_rows", "end_known", "entries", "fork", "free", "fresh", "map", "next_value_id", "relfile",
        "rows", "space_map", "spare", "target", "unfinished", "value_ids_wrapped",
    )  # fmt: skip

    def __init__(self, relfile: int, fork: int = 0) -> None:
        self.relfile = relfile
        self.fork = fork
        self.map: BlockMap = clog_kernel.BlockMap()
        self.entries: list[Entry] = []
        self.fresh = 0
        """blocks from here to ``map.blocks`` were reserved and never handed out"""
        self.end_known = False
        """``fresh`` is right: made in this process, or looked at since the restart"""
        self.target = -1
        """block that inserts go to, -1 none yet"""
        self.dead_rows = 0
        """row versions superseded since the last vacuum, about"""
        self.rows = 0
        """rows counted by the last vacuum, and inserted in bulk since"""
        self.spare: list[int] = []
        """blocks handed out and not used after all"""
        self._clean: CleanBlocks | None = None
        self.free = FreeSpace()
        """blocks with room"""
        self.space_map: RelationFile | None = None
        """the fork that keeps ``free`` over a restart"""
        self.unfinished: dict[int, list[Row]] = {}
        """of a BRIN index: ranges that are being summarized, with the keys that have come since that began"""
        self.next_value_id = 0
        """of a TOAST table: the id of its next value, 0 not known yet"""
        self.value_ids_wrapped = False

    @property
    def clean(self) -> CleanBlocks:
        """Blocks that a vacuum need not look at."""
        if self._clean is None:
            self._clean = CleanBlocks()
        return self._clean

    def every_entry(self) -> list[Entry]:
        """Its extents and those of its space map."""
        return [*self.entries, *(self.space_map.entries if self.space_map is not None else ())]

    @property
    def creator(self) -> int:
        """The xid that created it, while that matters; else 0."""
        return self.entries[0].creator if self.entries else 0


class Extents:
    """The directory in memory. ``horizon`` gives the row horizon (an LSN) for the reuse of freed extents,
    ``removed`` is told when one that was freed at an LSN loses what it held."""

    def __init__(
        self,
        cache: PageCache,
        mtr: Mtr,
        superblock: Superblock,
        horizon: Callable[[], int],
        removed: Callable[[int], None] = lambda below: None,
    ) -> None:
        self._cache = cache
        self._mtr = mtr
        self._superblock = superblock
        self._horizon, self._removed = horizon, removed
        self._ensured_pages = 0
        """The volume is known to have the protection groups of the pages below."""
        self.used_pages = 1
        """Superblock, directory and the extents in use."""
        self.files: dict[int, RelationFile] = {}
        self._free: list[Entry] = []
        self._unused: list[tuple[int, int]] = []
        self._last_frame = 0
        self._followed: FollowedDirectory | None = None
        self._read()

    def _read(self) -> None:
        page_no = FIRST_DIRECTORY_PAGE
        owned: dict[tuple[int, int], list[Entry]] = {}
        while page_no:
            frame = self._cache.get(page_no)
            self._cache.arena.pin(frame)
            page = self._cache.arena.page(frame)
            if page[OFF_KIND] == PageKind.FREE:
                with self._mtr:
                    self._mtr.put_u8(frame, OFF_KIND, PageKind.EXTENTS)
            elif page[OFF_KIND] != PageKind.EXTENTS:
                raise DataCorrupted(f"page {page_no} is not a page of the extent directory")
            self._last_frame = frame
            self.used_pages += 1
            for index in range(ENTRIES_PER_PAGE):
                offset = FIRST_ENTRY + index * ENTRY_BYTES
                entry = Entry(frame, offset, ENTRY.unpack_from(page, offset))
                if not entry.start:
                    self._unused.append((frame, offset))
                elif entry.relfile:
                    self.used_pages += entry.pages
                    owned.setdefault((entry.fork, entry.relfile), []).append(entry)
                else:
                    self._free.append(entry)
            page_no = struct.unpack_from("<Q", page, 24)[0]
        self._unused.reverse()
        for (fork, relfile), entries in sorted(owned.items()):
            file = self._file(RelationFile(relfile, fork), entries)
            if fork == MAIN_FORK:
                self.files[relfile] = file
                file.rows, file.dead_rows = COUNTERS.unpack(entries[0].freed.to_bytes(8, "little"))
            elif relfile in self.files:
                self.files[relfile].space_map = file
            else:
                raise DataCorrupted(f"fork {fork} of relation file {relfile} is there without the file")

    @staticmethod
    def _file(file: RelationFile, entries: list[Entry]) -> RelationFile:
        entries.sort(key=lambda entry: entry.first_block)
        for entry in entries:
            if entry.first_block != file.map.capacity():
                raise DataCorrupted(
                    f"extents of relation file {file.relfile} have a gap at block {file.map.capacity()}"
                )
            file.map.add_extent(entry.start)
            file.entries.append(entry)
        file.map.blocks = file.fresh = max(entry.used for entry in entries)
        return file

    def reread(self) -> None:
        """The directory's pages have changed under this process (a reader instance): take over what they say. A
        relation file that was there keeps its identity. May wait."""
        first = self._followed is None
        followed = self._followed = self._followed or FollowedDirectory()
        changed = followed.look(self._pages())
        self.used_pages = 1 + followed.used_pages
        if first:
            known = set(followed.owners())
            changed = sorted({*changed, *({(MAIN_FORK, relfile) for relfile in self.files} - known)})
        for fork, relfile in changed:
            entries = followed.entries((fork, relfile))
            known_file = self.files.get(relfile)
            if fork == SPACE_MAP_FORK:
                if known_file is not None:
                    known_file.space_map = self._followed_file(known_file.space_map, relfile, fork, entries)
                continue
            file = self._followed_file(known_file, relfile, fork, entries)
            if file is None:
                self.files.pop(relfile, None)
            else:
                self.files[relfile] = file
                file.rows, file.dead_rows = COUNTERS.unpack(file.entries[0].freed.to_bytes(8, "little"))

    def _followed_file(
        self, known: RelationFile | None, relfile: int, fork: int, entries: list[Entry]
    ) -> RelationFile | None:
        if not entries:
            return None
        file = known or RelationFile(relfile, fork)
        self._take_over(file, entries)
        return file

    def _pages(self) -> Iterator[tuple[int, int, bytes]]:
        """The directory's pages: number, frame, the bytes of its entries. They are pinned. May wait."""
        page_no = FIRST_DIRECTORY_PAGE
        while page_no:
            frame = self._cache.get(page_no)
            if not self._cache.arena.pins[frame]:
                self._cache.arena.pin(frame)
            page = self._cache.arena.page(frame)
            yield page_no, frame, bytes(page[FIRST_ENTRY : FIRST_ENTRY + ENTRIES_PER_PAGE * ENTRY_BYTES])
            page_no = struct.unpack_from("<Q", page, 24)[0]

    @staticmethod
    def _take_over(file: RelationFile, entries: list[Entry]) -> None:
        same = 0
        for old, new in zip(file.entries, entries):
            if old.start != new.start:
                break
            same += 1
        file.map.blocks = 0  # an extent that goes was in use; nothing waits until it is known what is in use now
        for _ in range(len(file.entries) - same):
            file.map.pop_extent()
        for entry in entries[same:]:
            file.map.add_extent(entry.start)
        file.entries = entries
        file.map.blocks = file.fresh = max(entry.used for entry in entries)

    def create(self, relfile: int, creator: int) -> RelationFile:
        """A new relation file without blocks, in the name of xid ``creator`` (0: for good)."""
        file = RelationFile(relfile)
        self._gather(file, 1)
        if relfile in self.files:
            raise InvariantViolation(f"relation file {relfile} exists")
        with self._mtr:
            self._add_extent(file, creator)
        self.files[relfile] = file
        file.end_known = file.free.loaded = True
        return file

    def create_map(self, file: RelationFile) -> RelationFile:
        """An empty space map for the relation."""
        fork = RelationFile(file.relfile, SPACE_MAP_FORK)
        self._gather(fork, 1)
        if file.space_map is None and self.files.get(file.relfile) is file:
            with self._mtr:
                self._add_extent(fork, file.creator)
            fork.end_known = True
            file.space_map = fork
        return file.space_map or fork

    def note_counters(self, file: RelationFile) -> None:
        """Keep the relation's rows and dead rows over a restart. An MTR; the caller has reserved log."""
        entry = file.entries[0]
        kept = int.from_bytes(COUNTERS.pack(_u32(file.rows), _u32(file.dead_rows)), "little")
        if entry.freed != kept:
            entry.freed = kept
            with self._mtr:
                self._mtr.put_u64(entry.frame, entry.offset + 40, kept)

    @staticmethod
    def counters_are_old(file: RelationFile) -> bool:
        """Whether the relation has changed so much since its counters were kept that the difference matters."""
        rows: int
        dead_rows: int
        rows, dead_rows = COUNTERS.unpack(file.entries[0].freed.to_bytes(8, "little"))
        far = max(COUNTERS_APART_MIN, dead_rows // 10, rows // 10)
        return abs(_u32(file.dead_rows) - dead_rows) > far or abs(_u32(file.rows) - rows) > far

    def find_end(self, file: RelationFile) -> None:
        """After a restart: blocks at the end that were reserved and never written are handed out once more. May
        wait."""
        if file.end_known:
            return
        block = end = file.fresh
        while block and end - block < GROW_BLOCKS_MAX and self._is_unused(file, block - 1):
            block -= 1
        if not file.end_known:
            file.fresh, file.end_known = block, True

    def _is_unused(self, file: RelationFile, block: int) -> bool:
        frame = self._cache.get(file.map.page_no(block))
        page = self._cache.arena.page(frame)
        if self._entry_of(file, block).flags & RECYCLED:
            return bool(page[OFF_KIND] == PageKind.FREE or _RELFILE.unpack_from(page, OFF_RELFILE)[0] != file.relfile)
        return not int(self._cache.arena.page_lsn(frame))

    @staticmethod
    def _entry_of(file: RelationFile, block: int) -> Entry:
        return file.entries[extent_of(block)]

    def _write(self, entry: Entry) -> None:
        self._mtr.put(entry.frame, entry.offset, entry.pack())

    def _gather(self, file: RelationFile, blocks: int) -> None:
        """Before an MTR that makes the relation's capacity ``blocks``: whatever that may need is there when this
        returns, for it has looked once more after the last wait.
        """
        while True:
            index = len(file.entries)
            pages = entries = 0
            while blocks > extent_first(index + entries):
                pages += extent_pages(index + entries)
                entries += 1
            if entries > len(self._unused):
                self._add_directory_page()
            elif not self._ensure(self._superblock.high_water + pages):
                return

    def _ensure(self, upto_page: int) -> bool:
        """Have the volume make the protection groups of the pages below ``upto_page``; whether that may have waited."""
        if upto_page <= self._ensured_pages:
            return False
        self._cache.volume.ensure_pages(upto_page)
        self._ensured_pages = max(self._ensured_pages, upto_page)
        return True

    def _add_extent(self, file: RelationFile, creator: int) -> Entry:
        """Part of the current MTR, which must not fail afterwards; ``_gather`` has been."""
        index = len(file.entries)
        pages, first_block = extent_pages(index), extent_first(index)
        entry = self._take_free(pages)
        if entry is None:
            frame, offset = self._unused.pop()
            start = self._superblock.high_water
            self._superblock.put_high_water(start + pages)
            self._superblock.high_water = start + pages
            entry = Entry(frame, offset, (start, pages, 0, 0, 0, 0, 0, 0, 0))
            self.used_pages += pages
        else:
            entry.flags = 0 if entry.flags & CLEAN else RECYCLED
            self.used_pages += pages
        entry.relfile, entry.fork, entry.first_block, entry.used = file.relfile, file.fork, first_block, file.map.blocks
        entry.creator, entry.freed = creator, 0
        self._write(entry)
        file.map.add_extent(entry.start)
        file.entries.append(entry)
        return entry

    def _take_free(self, pages: int) -> Entry | None:
        fitting = [entry for entry in self._free if entry.pages == pages]
        if not fitting:
            return None
        horizon = self._horizon()
        # A clean one's pages need not be read before they are written.
        for entry in sorted(fitting, key=lambda each: not each.flags & CLEAN):
            if entry.freed <= horizon:
                self._free.remove(entry)
                self._removed(entry.freed)
                return entry
        return None

    def _add_directory_page(self) -> None:
        """Make the directory longer by a page, in an MTR of its own; does nothing when the page was taken meanwhile."""
        page_no = self._superblock.high_water
        self._ensure(page_no + 1)
        frame = self._cache.create(page_no)
        if self._superblock.high_water != page_no:
            return
        self._cache.arena.pin(frame)
        with self._mtr:
            self._superblock.put_high_water(page_no + 1)
            self._mtr.put_u8(frame, OFF_KIND, PageKind.EXTENTS)
            self._mtr.put_u64(self._last_frame, 24, page_no)
        self._superblock.high_water = page_no + 1
        self._last_frame = frame
        self.used_pages += 1
        self._unused = [(frame, FIRST_ENTRY + i * ENTRY_BYTES) for i in range(ENTRIES_PER_PAGE)][::-1] + self._unused

    def reserve_blocks(self, file: RelationFile, more: int = 0) -> None:
        """Make the relation longer: by at least ``more`` blocks, or by a share of its size. One MTR."""
        blocks = file.map.blocks
        target = blocks + max(more, min(max(1, blocks // 8), GROW_BLOCKS_MAX))
        self._gather(file, target)
        if file.map.blocks >= target:
            return  # somebody else did it meanwhile
        with self._mtr:
            while file.map.capacity() < target:
                self._add_extent(file, file.creator)
            entry = file.entries[-1]
            entry.used = target
            self._mtr.put_u32(entry.frame, entry.offset + 20, target)
        file.map.blocks = target

    def new_block(self, file: RelationFile) -> int:
        """The next block that nobody was given yet; its page is resident and, unless it had an earlier owner, zero."""
        while not file.end_known or file.fresh >= file.map.blocks:
            if file.end_known:
                self.reserve_blocks(file)
            else:
                self.find_end(file)
        block = file.fresh
        file.fresh += 1
        page_no = file.map.page_no(block)
        entry = self._entry_of(file, block)
        if entry.flags & RECYCLED:
            frame = self._cache.get(page_no)
            if self._cache.arena.page(frame)[OFF_KIND] != PageKind.FREE:
                with self._mtr:
                    self._mtr.image(frame, _BLANK)
        else:
            frame = self._cache.create(page_no)
            if self._cache.arena.page_lsn(frame):
                raise InvariantViolation(
                    f"page {page_no}, block {block} of relation file {file.relfile}, holds content"
                )
        return block

    def committed(self, relfile: int) -> None:
        """The creator of ``relfile`` commits: its extents belong to the relation for good. Part of the current MTR."""
        file = self.files.get(relfile)
        if file is not None:
            for entry in file.every_entry():
                entry.creator = 0
                self._mtr.put_u64(entry.frame, entry.offset + 32, 0)

    def free(self, relfile: int, lsn: int) -> None:
        """Give a relation's extents back as of ``lsn``. Part of the current MTR."""
        file = self.files.pop(relfile, None)
        if file is None:
            return
        for each in (file, file.space_map):
            if each is not None:
                for entry in each.entries:
                    self._release(entry, each.map.blocks, lsn)

    def _release(self, entry: Entry, blocks: int, lsn: int) -> None:
        """Free an extent of a relation of ``blocks`` blocks as of ``lsn``. Part of the current MTR."""
        used = entry.pages if entry.flags & RECYCLED else max(0, min(entry.pages, blocks - entry.first_block))
        entry.relfile = entry.fork = entry.first_block = entry.creator = 0
        entry.used, entry.flags, entry.freed = used, 0 if used else CLEAN, lsn
        self._write(entry)
        self._free.append(entry)
        self.used_pages -= entry.pages

    def cut(self, file: RelationFile, blocks: int, lsn: int) -> None:
        """Make a relation shorter: its blocks from ``blocks`` on, which nobody can be reading, are gone as of ``lsn``.
        The first extent stays. Part of the current MTR.
        """
        before = int(file.map.blocks)
        if blocks >= before:
            raise InvariantViolation(f"relation file {file.relfile} cut from {before} to {blocks} blocks")
        file.map.blocks = file.fresh = blocks
        while len(file.entries) > 1 and file.entries[-1].first_block >= blocks:
            file.map.pop_extent()
            self._release(file.entries.pop(), before, lsn)
        last = file.entries[-1]
        last.used = blocks
        last.flags |= RECYCLED
        self._write(last)
        file.free.cut(blocks)
        if file.target >= blocks:
            file.target = -1

    def next_to_give_back(self) -> Entry | None:
        """A free extent past the row horizon whose pages may hold content; None when there is none."""
        horizon = self._horizon()
        for entry in self._free:
            if not entry.flags & CLEAN and entry.freed <= horizon:
                self._removed(entry.freed)
                return entry
        return None

    def given_back(self, entry: Entry, lsn: int) -> None:
        """The extent's pages hold nothing any more, as of ``lsn``. Part of the MTR that frees them."""
        entry.flags, entry.used, entry.freed = CLEAN, 0, lsn
        self._write(entry)

    def orphans(self, is_aborted: Callable[[int], bool]) -> list[RelFile]:
        """Relation files whose creator aborted or was cut off by a restart."""
        return [RelFile(relfile) for relfile, file in self.files.items() if file.creator and is_aborted(file.creator)]


def file_pages(pages: Mapping[int, bytes | bytearray]) -> dict[int, list[int]]:
    """Relation file → page number of each block in use, read from a volume's pages as they lie."""
    found: dict[int, list[tuple[int, int, int, int]]] = {}
    directory = FIRST_DIRECTORY_PAGE
    while directory:
        page = pages[directory]
        for index in range(ENTRIES_PER_PAGE):
            values = ENTRY.unpack_from(page, FIRST_ENTRY + index * ENTRY_BYTES)
            start, count, relfile, first_block, used = values[:5]
            if start and relfile:
                found.setdefault(relfile, []).append((first_block, start, count, used))
        directory = struct.unpack_from("<Q", page, 24)[0]
    files = {}
    for relfile, extents in found.items():
        blocks = max(used for *_, used in extents)
        every = [start + offset for _, start, count, _ in sorted(extents) for offset in range(count)]
        files[relfile] = every[:blocks]
    return files
