"""The way back from a split: pages that have become empty leave the tree.

::

    parent  ··a│b·· ──1──► ··a··        ──2──► ··a··          1: the downlink goes, the left page is flagged
              ▼ ▼            ▼  ·              ▼                 as after the first half of a split
              A─B─►          A*─B─►            A─────►        2: A takes B's items, high key and right link;
                                                                 B is marked deleted

Two mini-transactions, each undoing one of a split's. Between them the tree is as a split leaves it between its own, so
whoever meets the flag first (an insert, or nobody for a long time after a crash) adds the downlink again. Kernels
descend from the root without a wait, so nobody stands on a page that leaves; a writer that kept a block's number over a
wait looks for its place again. A deleted page keeps its right link and is handed out again once the LSN of its deletion
is at or below the row horizon: then no reader instance can be on its way to it. Source: Lanin and Shasha 1986.

Leaves: two neighbours under one parent of which one is empty. Inner pages: two neighbours of which one has a single
child. A root with a single child gives its place to the child.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aurora.kernels.python.btree import DELETED, INCOMPLETE_SPLIT, LEAF, MAX_ITEM_BYTES, META_ROOT, OFF_RIGHT
from aurora.page import HEADER_BYTES, OFF_LOWER, OFF_UPPER, PAGE_BYTES
from compute_node.access import free_space
from compute_node.access.btree.writer import BTreeWriter, build_page, page_bytes

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage


MERGE_REDO_BYTES = 4 * PAGE_BYTES
MAP_EVERY_PAGES = 32
"""Deleted pages that a crash may leave unknown to the space map."""
_LAST = b"\xff" * (MAX_ITEM_BYTES + 1)

Page = tuple[int, int, int, bytes, list[bytes]]
"""(flags, level, right sibling, high key, items)"""


class TreeShrinker:
    """Takes pages out of one tree; used by vacuum alone, one at a time."""

    def __init__(self, storage: Storage, tree: BTree, file: RelationFile, writer: BTreeWriter) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._mtr = storage.mtr
        self._tree = tree
        self._file = file
        self._writer = writer
        self._unmapped = 0

    def drop_empty(self, leaf: int) -> int:
        """Take an empty leaf out, and inner pages that lose their last but one child with it; the block where a walk
        along the leaves goes on."""
        page = self._writer.page(leaf)
        if page[4] or page[0] & DELETED:
            return page[2]
        self._writer.find_deleted()
        while (merged := self._merge(leaf)) is not None:
            left, level, following = merged
            if not level:
                # What the leaf has taken over has not been looked at yet.
                return left if left == leaf else following
        return self._writer.page(leaf)[2]

    def _merge(self, block: int) -> tuple[int, int, int] | None:
        """Merge ``block`` with a neighbour, or first its parent with one of the parent's: ``(left page, its level, what
        is right of it now)``; None when it stays."""
        writer = self._writer
        while True:
            self._storage.volume.reserve(MERGE_REDO_BYTES)
            waits = self._cache.waits
            page = writer.page(block)
            if page[0] & DELETED or (page[4] and not page[1]):
                return None
            if writer.root() == block:
                return None
            parent = self._parent(block, page)
            if parent is None or self._finish(block, page):
                return None
            children = writer.page(parent)[4]
            at = self._position(children, block)
            if at is None:
                return None
            if len(children) < 2:
                return None if self._give_root_away(parent, block) else self._merge(parent)
            left = self._child(children[at - 1]) if at else block
            right = block if at else self._child(children[1])
            pages = writer.page(left), writer.page(right)
            if any(self._finish(each, found) for each, found in zip((left, right), pages, strict=True)):
                continue
            if self._cache.waits != waits:
                continue
            if not self._may_merge(*pages) or pages[0][2] != right:
                return None
            self._take_downlink(parent, max(at, 1), left, pages[0][0])
            return left, page[1], self._absorb(left, right)

    def _finish(self, block: int, page: Page) -> bool:
        """A split that was cut off is finished first."""
        return bool(page[0] & INCOMPLETE_SPLIT) and self._writer.finish_split(block)

    def _parent(self, block: int, page: Page) -> int | None:
        """The page above that has, or should have, the downlink."""
        level, high = page[1] + 1, page[3]
        while True:
            found = self._tree.descend(high or _LAST, level, bool(high))
            if isinstance(found, int):
                self._cache.load(found)
                continue
            return int(found[0]) if self._writer.head(int(found[0]))[1] == level else None

    @staticmethod
    def _child(item: bytes) -> int:
        return int.from_bytes(item[-4:], "little")

    def _position(self, children: list[bytes], block: int) -> int | None:
        return next((at for at, item in enumerate(children) if self._child(item) == block), None)

    @staticmethod
    def _may_merge(left: Page, right: Page) -> bool:
        items = left[4] + right[4]
        if left[0] & LEAF:
            useful = not left[4] or not right[4]
        else:
            useful = min(len(left[4]), len(right[4])) <= 1
        return useful and page_bytes([right[3], *items]) <= OFF_RIGHT - HEADER_BYTES

    def _take_downlink(self, parent: int, at: int, left: int, left_flags: int) -> None:
        """The first mini-transaction. The downlink's bytes stay until the page is written anew."""
        writer = self._writer
        frames = writer.frame(parent), writer.frame(left)
        (lower,) = struct.unpack_from("<H", self._cache.arena.page(frames[0]), OFF_LOWER)
        line = HEADER_BYTES + 4 * (at + 1)  # behind the high key's
        with self._mtr:
            if line + 4 < lower:
                self._mtr.move(frames[0], line + 4, line, lower - line - 4)
            self._mtr.put_u16(frames[0], OFF_LOWER, lower - 4)
            writer.put_flags(frames[1], left_flags | INCOMPLETE_SPLIT)

    def _absorb(self, left: int, right: int) -> int:
        """The second one, and what is right of the page then. Nothing has waited since the first."""
        writer, relfile = self._writer, self._file.relfile
        flags, level, _, _, items = writer.page(left)
        _, _, following, high, more = writer.page(right)
        frames = writer.frame(left), writer.frame(right)
        with self._mtr:
            if more or not self._put_high(frames[0], high):
                self._mtr.image(
                    frames[0], build_page(relfile, flags & ~INCOMPLETE_SPLIT, level, following, high, items + more)
                )
            else:
                writer.put_flags(frames[0], flags & ~INCOMPLETE_SPLIT)
                self._mtr.put_u32(frames[0], OFF_RIGHT, following)
            self._mtr.image(frames[1], build_page(relfile, flags & LEAF | DELETED, level, following, b"", []))
        self._deleted(right)
        return following

    def _put_high(self, frame: int, high: bytes) -> bool:
        """Part of the current MTR: another high key, where the page has room for it."""
        page = self._cache.arena.page(frame)
        offset, length = struct.unpack_from("<HH", page, HEADER_BYTES)
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        if len(high) > length:
            if upper - lower < len(high):
                return False
            offset = upper - len(high)
            self._mtr.put_u16(frame, OFF_UPPER, offset)
        if high:
            self._mtr.put(frame, offset, high)
        self._mtr.put(frame, HEADER_BYTES, struct.pack("<HH", offset, len(high)))
        return True

    def _give_root_away(self, root: int, child: int) -> bool:
        """Whether ``root`` was the root, with nothing but ``child`` below it: the child is the root now."""
        writer = self._writer
        while True:
            waits = self._cache.waits
            flags, _, right, _, _ = writer.page(child)
            meta, frame = writer.frame(0), writer.frame(root)
            _, level, _, _, children = writer.page(root)
            if writer.root() != root or right or flags & INCOMPLETE_SPLIT or len(children) != 1:
                return False
            if self._cache.waits == waits:
                break
        with self._mtr:
            self._mtr.put_u32(meta, META_ROOT, child)
            self._mtr.image(frame, build_page(self._file.relfile, DELETED, level, 0, b"", []))
        self._deleted(root)
        return True

    def _deleted(self, block: int) -> None:
        self._file.free.put(block, free_space.WHOLE_BLOCK)
        self._unmapped += 1
        if self._unmapped >= MAP_EVERY_PAGES:
            self.keep_map()

    def finish(self) -> None:
        """The walk is over: a root with a single child gives its place to it, and the space map is brought up to
        date."""
        while True:
            root = self._writer.root()
            _, level, _, _, children = self._writer.page(root)
            self._storage.volume.reserve(MERGE_REDO_BYTES)
            if not level or len(children) != 1 or not self._give_root_away(root, self._child(children[0])):
                break
        self.keep_map()

    def keep_map(self) -> None:
        """Let the space map know of the deleted pages."""
        self._unmapped = 0
        free_space.write(self._storage, self._file)
