"""Every page at once, without a wait: what the checkers look at.

A page is the cache's where it is there, else the volume's as of the VDL, which is the same. The specification's kernels
(``aurora/kernels/python``) read through ``Everything`` as production's read through the arena.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aurora.kernels.python import btree, clog, heap, tuples
from aurora.kernels.python.btree import INCOMPLETE_SPLIT, LEAF, TID_BYTES
from aurora.page import PAGE_BYTES
from aurora.sim.compute.hash_pages import HashPages
from aurora.sim.compute.model import Row
from aurora.sim.compute.session import Reading
from aurora.sim.compute.tables import COLUMNS
from compute_node.relations.storage_types import storage_type

_ZERO = memoryview(bytes(PAGE_BYTES))


class Everything:
    """An arena that has all pages; a frame is a page number."""

    def __init__(self, storage: Any) -> None:
        self._arena = storage.arena
        self._volume = storage.volume

    def lookup(self, page_no: int) -> int:
        """The page's frame."""
        return page_no

    def contains(self, page_no: int) -> bool:
        """All are here."""
        return True

    def page(self, frame: int) -> memoryview:
        """The page's bytes as they are now."""
        if self._arena.contains(frame):
            return self._arena.page(self._arena.lookup(frame))  # type: ignore[no-any-return]
        image = self._volume.pages.get(frame)
        return _ZERO if image is None else memoryview(image)


class Structure:
    """Heap and indexes of one table, read at this moment."""

    def __init__(self, storage: Any, table: Any) -> None:
        self.arena: Any = Everything(storage)
        states = clog.Clog(self.arena, None, storage.clog_file.map)  # type: ignore[arg-type]
        states.recovered_below = storage.clog.recovered_below
        types = [storage_type(column.type) for column in table.desc.columns]
        codec = tuples.RowCodec(
            "".join(each.disk for each in types),
            [each.to_disk for each in types],
            [each.from_disk for each in types],
            [None] * len(types),
        )
        self.table = table
        self.heap = heap.HeapFile(self.arena, None, states, table.file.map, codec, table.relfile)  # type: ignore[arg-type]
        self.proj = tuples.Projection(codec, COLUMNS, False)

    def rows(self, snapshot: Any) -> list[Row]:
        """What a scan of the heap sees."""
        found: list[Row] = []
        for block in range(self.table.file.map.blocks):
            found += self.heap.scan_page(snapshot, block, self.proj, False)  # type: ignore[arg-type]
        return found

    def rows_by(self, index: Any, snapshot: Any) -> list[Row]:
        """What a scan of an index sees."""
        rows = (self.heap.fetch_chain(snapshot, tid, self.proj) for tid in self.tids(index))
        found: list[Row] = [row for row in rows if row is not None]  # type: ignore[misc]
        if index.desc.method == "hash":
            # NULLs have no entries.
            found += [row for row in self.rows(snapshot) if row[index.desc.columns[0] - 1] is None]
        return found

    def _tree(self, index: Any) -> btree.BTree:
        return btree.BTree(self.arena, None, index.file.map, index.relfile)  # type: ignore[arg-type]

    def tids(self, index: Any) -> Iterator[int]:
        """The row addresses of all entries; a B-tree's from left to right."""
        if index.desc.method == "hash":
            yield from HashPages(self.arena, index.file.map, index.relfile).tids()
            return
        tree = self._tree(index)
        found: Any = tree.descend(b"", 0, False)
        block = found[0]
        while block:
            page: Any = tree.page_items(block)
            for item in page[4]:
                yield int.from_bytes(item[-TID_BYTES:], "big")
            block = page[2]

    def dangling(self, index: Any) -> Iterator[str]:
        """Items that lead to no chain's root, and items twice."""
        seen: set[int] = set()
        for tid in self.tids(index):
            if tid in seen:
                yield f"{index.desc.name} has two entries for ({tid >> 16},{tid & 0xFFFF})"
            seen.add(tid)
            page = self.arena.page(self.table.file.map.page_no(tid >> 16))
            flags, offset, _ = self.heap._line(page, tid & 0xFFFF)
            if not self.heap._is_ours(page) or flags == heap.UNUSED:
                yield f"{index.desc.name} leads to the unused line pointer ({tid >> 16},{tid & 0xFFFF})"
            elif flags == heap.NORMAL and self.heap._is_heap_only(page, offset):
                yield f"{index.desc.name} leads to the heap-only version ({tid >> 16},{tid & 0xFFFF})"

    def disorder(self, index: Any) -> Iterator[str]:
        """Pages whose items are not in order, not below their high key, or that no downlink leads to."""
        if index.desc.method == "hash":
            yield from HashPages(self.arena, index.file.map, index.relfile).disorder()
            return
        tree = self._tree(index)
        level_start = tree.root()
        while level_start:
            block, linked, following, before = level_start, set(), 0, b""
            reached: dict[int, int] = {}
            while block:
                flags, level, right, high, items = tree.page_items(block)  # type: ignore[misc]
                reached[block] = flags
                keys = items if flags & LEAF else [item[:-4] for item in items]
                if keys != sorted(set(keys)) or (keys and keys[0] < before) or (high and keys and keys[-1] >= high):
                    yield f"block {block} of {index.desc.name} is in disorder"
                if not flags & LEAF:
                    linked |= {struct.unpack("<I", item[-4:])[0] for item in items}
                    following = following or struct.unpack("<I", items[0][-4:])[0]
                before, block = high, right
                if bool(level) == bool(flags & LEAF):
                    yield f"block {block} of {index.desc.name}: level {level}, flags {flags}"
            yield from self._unlinked(index, tree, following, linked)
            level_start = following

    def _unlinked(self, index: Any, tree: btree.BTree, start: int, linked: set[int]) -> Iterator[str]:
        block, incomplete = start, False
        while block:
            flags, _, right, _, _ = tree.page_items(block)  # type: ignore[misc]
            if block not in linked and not incomplete:
                yield f"no downlink leads to block {block} of {index.desc.name}"
            incomplete, block = bool(flags & INCOMPLETE_SPLIT), right


def sees(structure: Structure, reading: Reading, usable: list[Any]) -> Iterator[tuple[str, list[Row]]]:
    """What a reader would see now: by the heap, and by each index that has all that it sees."""
    yield f"{reading.what}, by the heap", structure.rows(reading.snapshot)
    for index in usable:
        yield f"{reading.what}, by {index.desc.name}", structure.rows_by(index, reading.snapshot)
