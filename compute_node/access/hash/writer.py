"""Structural changes of a hash index: entries, overflow pages, splits. Source: Litwin, Linear Hashing, 1980.

A split of bucket p makes bucket n. It begins with one mini-transaction: an empty page for n, its place in the map, the
meta page's last bucket, and a flag on either bucket. From then on n's hashes map to n, and who looks for one looks into
p's chain first. Entries move a page at a time, each time in one mini-transaction; the last one clears the flags.
Whoever
meets a flag when it inserts goes on with the move, so a crash anywhere in between leaves nothing to repair. A new split
of p or n begins only when the flags are clear.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from aurora.errors import IndexCorrupted, InvariantViolation, ProgramLimitExceeded
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, PAGE_BYTES, PageKind
from compute_node.access.hash.pages import (
    ENTRY_BYTES,
    MAP_ENTRIES,
    MAP_PAGES_MAX,
    META,
    OFF_LAST_BUCKET,
    OFF_MAP_BLOCKS,
    OFF_MAP_COUNT,
    OFF_NEXT,
    POPULATING,
    SPLITTING,
    BucketPage,
    bucket_of,
    bucket_page,
    hash_of,
    map_page,
    newest_child_of,
    parent_of,
)

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage


CHANGE_REDO_BYTES = 5 * PAGE_BYTES
"""Log space reserved before a change: no mini-transaction here writes more than five pages."""
RUN_MIN = 64
"""From so many entries of one page on, the page is written as a whole."""


class HashWriter:
    """The pages of one hash index. ``storage`` gives cache, page editor and extents."""

    def __init__(self, storage: Storage, file: RelationFile, name: str) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._arena = storage.cache.arena
        self._mtr = storage.mtr
        self._file = file
        self._name = name

    # Reading

    def _frame(self, block: int) -> int:
        return int(self._cache.get(self._file.map.page_no(block)))

    def _bytes(self, block: int) -> memoryview:
        """A page; valid until the next wait."""
        return self._arena.page(self._frame(block))

    def page(self, block: int) -> BucketPage:
        """A bucket page; valid until the next wait. May wait itself."""
        return BucketPage(self._bytes(block), self._file.relfile, block)

    @property
    def last_bucket(self) -> int:
        """Number of the highest bucket."""
        meta = self._bytes(0)
        if meta[OFF_KIND] != PageKind.HASH or not meta[OFF_FLAGS] & META:
            raise IndexCorrupted(f"relation file {self._file.relfile} has no meta page of a hash index")
        return int(struct.unpack_from("<I", meta, OFF_LAST_BUCKET)[0])

    def _map_block(self, bucket: int) -> int:
        meta = self._bytes(0)
        number = bucket // MAP_ENTRIES
        if number >= struct.unpack_from("<I", meta, OFF_MAP_COUNT)[0]:
            return 0
        return int(struct.unpack_from("<I", meta, OFF_MAP_BLOCKS + 4 * number)[0])

    def primary(self, bucket: int) -> int:
        """Block of a bucket's first page."""
        found = self._map_block(bucket)
        block = int(struct.unpack_from("<I", self._bytes(found), _map_offset(bucket))[0]) if found else 0
        if not block:
            raise IndexCorrupted(f"bucket {bucket} of relation file {self._file.relfile} has no page")
        return block

    # Entries

    def insert(self, items: Sequence[bytes]) -> None:
        """Insert entries that belong to one bucket or to several; fastest when those of a bucket are together."""
        at = 0
        while at < len(items):
            self._storage.volume.reserve(CHANGE_REDO_BYTES)
            at += self._insert_some(items, at)

    def _insert_some(self, items: Sequence[bytes], at: int) -> int:
        """Insert the first entries from ``at`` on that fit a page of the first one's bucket; how many. 0: something had
        to be done first, or changed while this waited."""
        waits = self._cache.waits
        last = self.last_bucket
        bucket = bucket_of(hash_of(items[at]), last)
        block = self.primary(bucket)
        page = self.page(block)
        if page.flags & (SPLITTING | POPULATING):
            self._go_on_with_split(bucket, page.flags)
            return 0
        target = block
        if not page.room and page.following:
            target = page.following
            page = self.page(target)
        if not page.room:
            self._grow(bucket, block)
            return 0
        if self._cache.waits != waits:
            return 0
        end = at + 1
        limit = min(len(items), at + page.room)
        while end < limit and bucket_of(hash_of(items[end]), last) == bucket:
            end += 1
        self._put(target, page, items[at:end])
        return end - at

    def _put(self, block: int, page: BucketPage, items: Sequence[bytes]) -> None:
        """Edit: add entries to a page that has room for them."""
        frame = self._frame(block)
        if len(items) >= RUN_MIN:
            image = bucket_page(
                self._file.relfile, page.flags, page.following, page.bucket, sorted([*page.items(), *items])
            )
            with self._mtr:
                self._mtr.image(frame, image)
            return
        with self._mtr:
            for item in items:
                lower = page.lower
                at = HEADER_BYTES + ENTRY_BYTES * page.position(item)
                if at < lower:
                    self._mtr.move(frame, at, at + ENTRY_BYTES, lower - at)
                self._mtr.put(frame, at, item)
                self._mtr.put_u16(frame, OFF_LOWER, lower + ENTRY_BYTES)

    def _grow(self, bucket: int, block: int) -> None:
        """A bucket is full: give it an overflow page, and split the next bucket in turn."""
        may_split = not self.page(block).is_of_one_hash
        self._add_overflow(bucket, block)
        if may_split:
            self._split_next()

    def _new_block(self) -> int:
        spare: list[int] = self._file.spare
        return spare.pop() if spare else int(self._storage.extents.new_block(self._file))

    def _pinned(self, *blocks: int) -> AbstractContextManager[list[int]]:
        """The frames of blocks, pinned in the block; getting them may wait."""
        return self._cache.pinned(map(self._file.map.page_no, blocks))

    def _add_overflow(self, bucket: int, block: int) -> None:
        """A new page behind the primary page, unless somebody else has made room meanwhile."""
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        new = self._new_block()
        with self._pinned(block, new) as frames:
            following = self.page(block).following
            has_room = following and self.page(following).room
            if has_room or self.page(block).following != following:
                self._file.spare.append(new)
                return
            with self._mtr:
                self._mtr.image(frames[1], bucket_page(self._file.relfile, 0, following, bucket, []))
                self._mtr.put_u32(frames[0], OFF_NEXT, new)

    # Splits

    def _split_next(self) -> None:
        """Begin the split that is next in turn, and carry it out."""
        last = self.last_bucket
        bucket = last + 1
        parent = parent_of(bucket)
        block = self.primary(parent)
        flags = self.page(block).flags
        if flags & (SPLITTING | POPULATING):
            self._go_on_with_split(parent, flags)
            return
        if self._begin_split(bucket, block):
            self.finish_split(bucket)

    def _go_on_with_split(self, bucket: int, flags: int) -> None:
        """Finish the split that a bucket's flags tell of; it may have begun after the caller read the last bucket."""
        child = bucket if flags & POPULATING else newest_child_of(bucket, self.last_bucket)
        if child:
            self.finish_split(child)

    def _begin_split(self, bucket: int, parent_block: int) -> bool:
        """See the module; False when the index changed during the gather phase so that it is not this one's turn."""
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        number = bucket // MAP_ENTRIES
        if number >= MAP_PAGES_MAX:
            raise ProgramLimitExceeded(f'hash index "{self._name}" has too many buckets')
        new = self._new_block()
        map_block = self._map_block(bucket)
        new_map = 0 if map_block else self._new_block()
        taken = [new, new_map] if new_map else [new]
        with self._pinned(0, map_block or new_map, parent_block, new) as frames:
            flags = self.page(parent_block).flags
            is_mine = self.last_bucket == bucket - 1 and self._map_block(bucket) == map_block
            if not is_mine or flags & (SPLITTING | POPULATING):
                self._file.spare += taken
                return False
            with self._mtr:
                self._mtr.image(frames[3], bucket_page(self._file.relfile, POPULATING, 0, bucket, []))
                if new_map:
                    self._mtr.image(frames[1], map_page(self._file.relfile, [new]))
                    self._mtr.put_u32(frames[0], OFF_MAP_BLOCKS + 4 * number, new_map)
                    self._mtr.put_u32(frames[0], OFF_MAP_COUNT, number + 1)
                    self._mtr.put_u16(frames[0], OFF_LOWER, OFF_MAP_BLOCKS + 4 * (number + 1))
                else:
                    self._mtr.put_u32(frames[1], _map_offset(bucket), new)
                self._mtr.put_u8(frames[2], OFF_FLAGS, flags | SPLITTING)
                self._mtr.put_u32(frames[0], OFF_LAST_BUCKET, bucket)
            return True

    def finish_split(self, bucket: int) -> None:
        """Move what belongs to ``bucket`` out of the bucket that it is split from, and clear the flags."""
        if not bucket:
            raise InvariantViolation(f"a split without a new bucket in index {self._name}")
        parent = self.primary(parent_of(bucket))
        block = parent
        while block:
            while self._move_some(bucket, block):
                pass
            block = self.page(block).following
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        with self._pinned(parent, self.primary(bucket)) as frames:
            pages = [self._arena.page(frame) for frame in frames]
            if pages[1][OFF_FLAGS] & POPULATING:
                with self._mtr:
                    self._mtr.put_u8(frames[0], OFF_FLAGS, pages[0][OFF_FLAGS] & ~SPLITTING)
                    self._mtr.put_u8(frames[1], OFF_FLAGS, pages[1][OFF_FLAGS] & ~POPULATING)

    def _move_some(self, bucket: int, source: int) -> bool:
        """Move entries of ``bucket`` from a page of its parent, as many as fit one page; whether there may be more."""
        if not self._leaving(bucket, source):
            return False
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        target = self.primary(bucket)
        page = self.page(target)
        if not page.room and page.following:
            target = page.following
            page = self.page(target)
        if not page.room:
            self._add_overflow(bucket, self.primary(bucket))
            return True
        with self._pinned(source, target) as frames:
            # Nothing waits from here on.
            moved = self._leaving(bucket, source)
            old, new = self.page(source), self.page(target)
            moved = moved[: new.room]
            if not moved:
                return True
            gone = set(moved)
            kept = [item for item in old.items() if item not in gone]
            images = [
                bucket_page(self._file.relfile, old.flags, old.following, old.bucket, kept),
                bucket_page(self._file.relfile, new.flags, new.following, new.bucket, sorted([*new.items(), *moved])),
            ]
            with self._mtr:
                for frame, image in zip(frames, images, strict=True):
                    self._mtr.image(frame, image)
            return True

    def _leaving(self, bucket: int, source: int) -> list[bytes]:
        """The entries of a page of its parent that belong to ``bucket``."""
        return [item for item in self.page(source).items() if bucket_of(hash_of(item), bucket) == bucket]

    # Vacuum

    def remove(self, block: int, dead: set[bytes]) -> tuple[int, int]:
        """Remove the entries whose row addresses (as in entries) are dead from a page: (how many, next page)."""
        self._storage.volume.reserve(CHANGE_REDO_BYTES)
        page = self.page(block)
        items = page.items()
        kept = [item for item in items if item[4:] not in dead]
        if len(kept) < len(items):
            image = bucket_page(self._file.relfile, page.flags, page.following, page.bucket, kept)
            frame = self._frame(block)
            with self._mtr:
                self._mtr.image(frame, image)
        return len(items) - len(kept), page.following


def _map_offset(bucket: int) -> int:
    return HEADER_BYTES + 4 * (bucket % MAP_ENTRIES)
