"""Structural changes of a B-tree: pages made whole, splits, bulk load, removal of dead entries.

A split is two mini-transactions: the first writes left and right sibling and flags the left one, the second adds the
downlink and clears the flag. Whoever meets the flag on the way of an insert does the second step. A root split is one
mini-transaction. Source: Lehman and Yao 1981 (right links and high keys).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation, ProgramLimitExceeded
from aurora.kernels import btree as btree_kernel
from aurora.kernels.python.btree import (
    DELETED,
    DONE,
    FILL_BYTES,
    INCOMPLETE_SPLIT,
    MAX_ITEM_BYTES,
    META_MAGIC,
    META_ROOT,
    NEEDS_SPLIT,
    OFF_RIGHT,
    SPECIAL_BYTES,
)
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, PAGE_BYTES, PageKind
from compute_node.access.index_build import PARENT_BYTES
from compute_node.access.page_reuse import find_deleted, take_block
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage
    from compute_node.work.account import Area


SPLIT_REDO_BYTES = 4 * PAGE_BYTES


def build_page(relfile: int, flags: int, level: int, right: int, high: bytes, items: Sequence[bytes]) -> bytes:
    """The image of a B-tree page; InvariantViolation when the items do not fit."""
    entries = [high, *items]
    body = b"".join(reversed(entries))
    lower = HEADER_BYTES + 4 * len(entries)
    upper = OFF_RIGHT - len(body)
    if upper < lower:
        raise InvariantViolation(f"{len(items)} items of {len(body)} bytes do not fit on a page")
    words: list[int] = []
    at = OFF_RIGHT
    for entry in entries:
        at -= len(entry)
        words += (at, len(entry))
    head = bytes(OFF_KIND) + struct.pack(
        "<BBHHHI", PageKind.BTREE, flags, lower, upper, PAGE_BYTES - SPECIAL_BYTES, relfile
    )
    lines = struct.pack(f"<{len(words)}H", *words)
    return head + lines + bytes(upper - lower) + body + struct.pack("<IHH", right, level, 0)


def build_meta(relfile: int, root: int) -> bytes:
    """The image of a meta page."""
    end = META_ROOT + 4 + len(META_MAGIC)
    head = bytes(OFF_KIND) + struct.pack("<BBHHHI", PageKind.BTREE, 0, end, PAGE_BYTES, PAGE_BYTES, relfile)
    return head + struct.pack("<I", root) + META_MAGIC + bytes(PAGE_BYTES - end)


def page_bytes(items: Sequence[bytes]) -> int:
    """Room that items take, line pointers included."""
    return sum(map(len, items)) + 4 * len(items)


def _is_deleted(page: memoryview) -> bool:
    return bool(page[OFF_KIND] == PageKind.BTREE and page[OFF_FLAGS] & DELETED)


class BTreeWriter:
    """Inserts with splits, for one index. ``storage`` gives cache, page editor and extents."""

    def __init__(self, storage: Storage, tree: BTree, file: RelationFile, name: str) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._mtr = storage.mtr
        self._tree = tree
        self._file = file
        self._name = name

    def check_size(self, size: int) -> None:
        """Error 54000 for an entry that is too long."""
        if size > MAX_ITEM_BYTES:
            raise ProgramLimitExceeded(
                f'index row size {size} exceeds btree version 4 maximum {MAX_ITEM_BYTES} for index "{self._name}"',
                hint="Values larger than 1/3 of a buffer page cannot be indexed.\n"
                "Consider a function index of an MD5 hash of the value, or use full text indexing.",
            )

    def create(self) -> None:
        """Meta page and an empty root leaf."""
        self.load([(btree_kernel.leaf_image(self._file.relfile, 0, b"", ()), b"")])

    def _append(self, block: int, image: bytes) -> None:
        """Write the next block of a tree under construction."""
        storage, file = self._storage, self._file
        storage.volume.reserve(SPLIT_REDO_BYTES)
        made = storage.extents.new_block(file)
        if made != block:
            raise InvariantViolation(f"block {made} of new index {self._name}, expected {block}")
        frame = self._cache.get(file.map.page_no(block))
        with self._mtr:
            self._mtr.image(frame, image)

    def insert_splitting(self, item: bytes) -> None:
        """Insert after the kernel found no room; splits as needed."""
        while True:
            found = self._descend(item, 0)
            if self.finish_split(found):
                continue
            outcome = self._tree.insert(item, False)
            if outcome == DONE:
                return
            if outcome == NEEDS_SPLIT:
                self._split(found, item)
            else:
                self._cache.load(-outcome)

    def extend(self, run: EntryRun, start: int, unique: int) -> int:
        """Add the items of a sorted run from ``start`` on behind all others, on a new rightmost leaf, as many as fill
        it: how many; 0 when the first one does not belong there. ``unique`` is as for ``BTree.insert_run``."""
        (item,) = run.items(start, start + 1)
        self._storage.volume.reserve(SPLIT_REDO_BYTES)
        block = self._descend(item, 0)
        if self.head(block)[2] or self.finish_split(block) or self.root() == block:
            return 0
        new_block = self._new_block()
        try:
            with self._cache.pinned(map(self._file.map.page_no, (block, new_block))):
                # The kernel looks whether the page is the rightmost one still; whoever came in between may have the
                # key.
                done = self._tree.split_right(block, new_block, run, start, unique)
            if done > 0:
                new_block = -1
        finally:
            if new_block >= 0:
                self._file.spare.append(new_block)
        if done > 0:
            self.finish_split(block)
        return max(done, 0)

    def _descend(self, key: bytes, level: int) -> int:
        while True:
            found = self._tree.descend(key, level, False)
            if not isinstance(found, int):
                return int(found[0])
            self._cache.load(found)

    def page(self, block: int) -> tuple[int, int, int, bytes, list[bytes]]:
        """``(flags, level, right sibling, high key, items)``; may wait."""
        while True:
            found = self._tree.page_items(block)
            if not isinstance(found, int):
                return found
            self._cache.load(found)

    def head(self, block: int) -> tuple[int, int, int, bytes]:
        """``(flags, level, right sibling, high key)``; may wait."""
        while True:
            found = self._tree.page_head(block)
            if not isinstance(found, int):
                return found
            self._cache.load(found)

    def frame(self, block: int) -> int:
        """The block's frame; may wait."""
        return int(self._cache.get(self._file.map.page_no(block)))

    def leaf_of(self, key: bytes) -> int:
        """Block of the leaf where a key belongs; may wait."""
        return self._descend(key, 0)

    def rewrite(self, block: int, change: Callable[[list[bytes]], list[bytes] | None]) -> tuple[bool, int, bool]:
        """Write a leaf anew with the items that ``change`` makes of its own, which fit it and its bounds; None: it
        stays. (whether it was written, right sibling, whether it has no items). ``change`` does not wait; this may."""
        while True:
            self._storage.volume.reserve(PAGE_BYTES)
            frame = self.frame(block)
            waits = self._cache.waits
            flags, level, right, high, items = self.page(block)
            if level:
                raise InvariantViolation(f"block {block} of index {self._name} is not a leaf")
            changed = None if flags & DELETED else change(items)
            if self._cache.waits != waits:
                continue
            if changed is None:
                return False, right, not items
            with self._mtr:
                self._mtr.image(frame, build_page(self._file.relfile, flags, level, right, high, changed))
            return True, right, not changed

    def root(self) -> int:
        """Block of the root; may wait."""
        while True:
            root: int = self._tree.root()
            if root > 0:
                return root
            self._cache.load(-root)

    def _new_block(self) -> int:
        """A block for a new page: one given back, one whose page has left the tree long ago, or a fresh one."""
        storage, file = self._storage, self._file
        spare: list[int] = file.spare
        if spare:
            return spare.pop()
        return take_block(storage, file, _is_deleted)

    def find_deleted(self) -> None:
        """Have the blocks in memory whose pages have left the tree. May wait."""
        find_deleted(self._storage, self._file, _is_deleted)

    def put_flags(self, frame: int, flags: int) -> None:
        """Part of the current MTR."""
        self._mtr.put_u8(frame, OFF_FLAGS, flags)

    def _split(self, block: int, new_item: bytes) -> None:
        """Split ``block`` so that ``new_item`` will fit on one of the halves, then add the downlink.

        Does nothing when the tree changed during the gather phase so that this split is not the one needed.
        """
        self._storage.volume.reserve(SPLIT_REDO_BYTES)
        is_root = self.root() == block
        new_blocks: list[int] = []
        try:
            for _ in range(2 if is_root else 1):
                new_blocks.append(self._new_block())
            blocks = [block, *new_blocks, *([0] if is_root else [])]
            with self._cache.pinned(map(self._file.map.page_no, blocks)) as frames:
                if not self._still_needs_split(block, new_item, is_root):
                    return
                self._write_split(blocks, frames, new_item)
                new_blocks.clear()
        finally:
            self._file.spare.extend(new_blocks)
        if not is_root:
            self.finish_split(block)

    def _still_needs_split(self, block: int, new_item: bytes, is_root: bool) -> bool:
        """Whether the block is still where the item belongs, and full, after the gather phase's last wait."""
        while True:
            waits = self._cache.waits
            flags, level, _, high, items = self.page(block)
            place = self._descend(new_item[:-4] if level else new_item, level)
            is_right = place == block and not flags & (INCOMPLETE_SPLIT | DELETED) and not (high and new_item >= high)
            is_right = is_right and (self.root() == block) == is_root and len(items) > 1
            if self._cache.waits == waits:
                return is_right

    def _write_split(self, blocks: list[int], frames: list[int], new_item: bytes) -> None:
        """The edit phase: ``blocks`` are left, right and, for the root, the new root and the meta page."""
        flags, level, right, high, items = self.page(blocks[0])
        cut = self._cut(items, new_item, not high)
        boundary = items[cut][:-4] if level else items[cut]
        relfile, is_root = self._file.relfile, len(blocks) > 2
        left_flags = flags | (0 if is_root else INCOMPLETE_SPLIT)
        with self._mtr:
            self._mtr.image(frames[0], build_page(relfile, left_flags, level, blocks[1], boundary, items[:cut]))
            self._mtr.image(frames[1], build_page(relfile, flags, level, right, high, items[cut:]))
            if is_root:
                children = [blocks[0].to_bytes(4, "little"), boundary + blocks[1].to_bytes(4, "little")]
                self._mtr.image(frames[2], build_page(relfile, 0, level + 1, 0, b"", children))
                self._mtr.put_u32(frames[3], META_ROOT, blocks[2])

    @staticmethod
    def _cut(items: list[bytes], new_item: bytes, rightmost: bool) -> int:
        """Index of the first item that goes right. Growth at the right end leaves the left page full."""
        if rightmost and len(items) > 2 and new_item > items[-1]:
            return len(items) - 1
        total, seen = page_bytes(items), 0
        for i, item in enumerate(items):
            seen += len(item) + 4
            if seen * 2 >= total:
                return min(max(i, 1), len(items) - 1)
        raise InvariantViolation("split of a page without items")

    def finish_split(self, block: int) -> bool:
        """Add the missing downlink to ``block``'s right sibling, if it is missing; whether it was."""
        if not self.head(block)[0] & INCOMPLETE_SPLIT:
            return False
        while True:
            self._storage.volume.reserve(SPLIT_REDO_BYTES)
            waits = self._cache.waits
            flags, level, right, high = self.head(block)
            if not flags & INCOMPLETE_SPLIT or flags & DELETED:
                return True
            entry = high + right.to_bytes(4, "little")
            parent = self._descend(high, level + 1)
            if self.finish_split(parent):
                continue
            frame = self.frame(block)
            if self._cache.waits != waits:
                continue
            outcome = self._add_downlink(parent, frame, entry, flags)
            if outcome == DONE:
                return True
            if outcome == NEEDS_SPLIT:
                self._split(parent, entry)
            else:
                self._cache.load(-outcome)

    def _add_downlink(self, parent: int, frame: int, entry: bytes, flags: int) -> int:
        with self._mtr:
            outcome: int = self._tree.insert_inner(parent, entry)
            if outcome == DONE:
                self._mtr.put_u8(frame, OFF_FLAGS, flags & ~INCOMPLETE_SPLIT)
        return outcome

    # Bulk load

    def load(self, leaves: Iterable[tuple[bytes, bytes]], area: Area | None = None) -> None:
        """Build the tree of its leaves, each with its high key, for blocks 1, 2 … in key order, bottom up: level by
        level. Block 0 points at the root at last: nobody reads the tree before. ``area``: what it keeps of the leaves
        is counted there."""
        self._append(0, build_meta(self._file.relfile, 0))
        parents: list[bytes] = []
        separator, block = b"", 1
        for image, high in leaves:
            self._append(block, image)
            parents.append(separator + block.to_bytes(4, "little"))
            if area is not None:
                area.add(PARENT_BYTES + len(parents[-1]))
            separator, block = high, block + 1
            HUB.pulse()
        level, first = 0, 1
        while len(parents) > 1:
            level, first = level + 1, block
            parents, block = self._load_level(parents, level, block)
        self._set_root(first)

    def _load_level(self, entries: list[bytes], level: int, block: int) -> tuple[list[bytes], int]:
        """One level above the leaves from the entries of its items: those of the level above it, and the next
        block."""
        parents: list[bytes] = []
        separator = b""
        groups = list(_groups(entries))
        for number, group in enumerate(groups, 1):
            high, right = (groups[number][0][:-4], block + 1) if number < len(groups) else (b"", 0)
            self._append(block, build_page(self._file.relfile, 0, level, right, high, group))
            parents.append(separator + block.to_bytes(4, "little"))
            block, separator = block + 1, high
            HUB.pulse()
        return parents, block

    def _set_root(self, root: int) -> None:
        self._storage.volume.reserve(PAGE_BYTES)
        frame = self._cache.get(self._file.map.page_no(0))
        with self._mtr:
            self._mtr.image(frame, build_meta(self._file.relfile, root))

    # Vacuum

    def remove(self, block: int, dead: DeadRows) -> tuple[int, int, bool]:
        """Remove the entries of dead row addresses from a leaf: (how many, right sibling, whether none is left)."""
        cache = self._cache
        while True:
            found = self._tree.without(block, dead.bits)
            if isinstance(found, int):
                cache.load(found)
                continue
            lsn, level, right, removed, left, image = found
            if level:
                raise InvariantViolation(f"block {block} of index {self._name} is not a leaf")
            if not removed:
                return 0, right, not left
            waits = cache.waits
            self._storage.volume.reserve(PAGE_BYTES)
            frame = self.frame(block)
            if cache.waits != waits or cache.arena.page_lsn(frame) != lsn:
                continue
            with self._mtr:
                self._mtr.image(frame, image)
            return removed, right, not left

    def first_leaf(self) -> int:
        """Block of the leftmost leaf."""
        return self._descend(b"", 0)


def _groups(items: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Items cut into pages filled to ``FILL_BYTES``, a high key's room kept."""
    room = OFF_RIGHT - HEADER_BYTES
    group: list[bytes] = []
    used = 0
    source = iter(items)
    item = next(source, None)
    while item is not None:
        following = next(source, None)
        n = len(item) + 4
        high = 4 if following is None else len(following) + 4
        if group and (used + n > FILL_BYTES or used + n + high > room):
            yield group
            group, used = [], 0
        group.append(item)
        used += n
        item = following
    if group:
        yield group
