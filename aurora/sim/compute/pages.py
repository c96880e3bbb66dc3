"""Every page at once, without a wait: what the checkers look at.

A page is the cache's where it is there, else the volume's as of the VDL, which is the same. The specification's kernels
(``aurora/kernels/python``) read through ``Everything`` as production's read through the arena.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from aurora.datum import Datum, Row
from aurora.kernels.python import btree, clog, heap, tuples
from aurora.kernels.python.btree import INCOMPLETE_SPLIT, LEAF, TID_BYTES
from aurora.page import PAGE_BYTES
from aurora.sim.compute.hash_pages import HashPages
from aurora.sim.compute.session import Reading
from aurora.sim.compute.tables import COLUMNS
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.toast import decompress
from compute_node.relations.storage_types import storage_type

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.index_access import IndexAccess
    from compute_node.access.storage import Storage
    from compute_node.access.table import Table


_ZERO = memoryview(bytes(PAGE_BYTES))


class Everything:
    """An arena that has all pages; a frame is a page number."""

    def __init__(self, storage: Storage) -> None:
        self._arena = storage.arena
        self._volume = cast(MemoryVolume, storage.volume)

    def lookup(self, page_no: int) -> int:
        """The page's frame."""
        return page_no

    def contains(self, page_no: int) -> bool:
        """All are here."""
        return True

    def page(self, frame: int) -> memoryview:
        """The page's bytes as they are now."""
        if self._arena.contains(frame):
            return self._arena.page(self._arena.lookup(frame))
        image = self._volume.pages.get(frame)
        return _ZERO if image is None else memoryview(image)


class Structure:
    """Heap and indexes of one table, read at this moment."""

    def __init__(self, storage: Storage, table: Table) -> None:
        self.arena: Arena = cast(Any, Everything(storage))
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
        toast = table.desc.toast
        self.toast = None if toast is None else Structure(storage, storage.table(toast))
        self._chunks: dict[int, dict[int, bytes]] | None = None
        self.heap = heap.HeapFile(self.arena, None, states, table.file.map, codec, table.relfile)  # type: ignore[arg-type]
        self.proj = tuples.Projection(codec, COLUMNS[: len(types)], False)

    def all(self) -> list[Structure]:
        """It and its TOAST table's."""
        return [self] if self.toast is None else [self, self.toast]

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """What a scan of the heap sees."""
        found: list[Row] = []
        for block in range(self.table.file.map.blocks):
            found += self.heap.scan_page(snapshot, block, self.proj, False)  # type: ignore[arg-type]
        return [self._values(row) for row in found]

    # Values out of line

    def _values(self, row: Row) -> Row:
        """The row with values in place of handles."""
        return tuple(self._value(each) if isinstance(each, tuples.Toasted) else each for each in row)

    def _value(self, handle: tuples.Toasted) -> Any:
        data = handle.data
        if data is None and self.toast is not None:
            chunks = self.toast.chunks().get(handle.value_id, {})
            data = b"".join(chunks[seq] for seq in sorted(chunks))
        if data is None or len(data) != handle.stored_bytes:
            return f"no chunks of value {handle.value_id}"
        return handle.value(decompress(handle.method, data, handle.raw_bytes))

    def chunks(self) -> dict[int, dict[int, bytes]]:
        """Of a TOAST table: value id → its chunks by number, whoever sees them."""
        if self._chunks is None:
            self._chunks = {}
            tids = list(self.tids(self.table.indexes[0]))
            rows: Any = self.heap.fetch_stored(tids, self.proj)
            for value_id, seq, data in rows:
                self._chunks.setdefault(value_id, {})[seq] = data
        return self._chunks

    def chunks_of_nobody(self) -> Iterator[str]:
        """Values out of line that no version of a row has."""
        if self.toast is None:
            return
        named: set[int] = set()
        for block in range(self.table.file.map.blocks):
            page = self.arena.page(self.table.file.map.page_no(block))
            for line in range(1, self.heap._slots(page) + 1) if self.heap._is_ours(page) else ():
                handles: Any = self.heap.externals(block << 16 | line, None)
                named.update(handle.value_id for handle in handles)
        for value_id in self.toast.chunks().keys() - named:
            yield f"value {value_id} of {self.toast.table.name} is no row's"

    def rows_by(self, index: IndexAccess, snapshot: Snapshot) -> list[Row]:
        """What a scan of an index sees."""
        rows = (self.heap.fetch_chain(snapshot, tid, self.proj) for tid in self.tids(index))
        found: list[Row] = [self._values(row) for row in rows if row is not None]  # type: ignore[arg-type]
        if index.desc.method == "hash":
            # NULLs have no entries.
            found += [row for row in self.rows(snapshot) if row[index.desc.columns[0] - 1] is None]
        return found

    def _tree(self, index: IndexAccess) -> btree.BTree:
        return btree.BTree(self.arena, None, index.file.map, index.relfile)  # type: ignore[arg-type]

    def tids(self, index: IndexAccess) -> Iterator[int]:
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

    def dangling(self, index: IndexAccess) -> Iterator[str]:
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

    def disorder(self, index: IndexAccess) -> Iterator[str]:
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

    def _unlinked(self, index: IndexAccess, tree: btree.BTree, start: int, linked: set[int]) -> Iterator[str]:
        block, incomplete = start, False
        while block:
            flags, _, right, _, _ = tree.page_items(block)  # type: ignore[misc]
            if block not in linked and not incomplete:
                yield f"no downlink leads to block {block} of {index.desc.name}"
            incomplete, block = bool(flags & INCOMPLETE_SPLIT), right


def sees(structure: Structure, reading: Reading, usable: list[Datum]) -> Iterator[tuple[str, list[Row]]]:
    """What a reader would see now: by the heap, and by each index that has all that it sees."""
    yield f"{reading.what}, by the heap", structure.rows(reading.snapshot)
    for index in usable:
        yield f"{reading.what}, by {index.desc.name}", structure.rows_by(index, reading.snapshot)
