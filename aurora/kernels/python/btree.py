"""B-tree pages: memcmp keys, descent with right links, insertion into a page with room.

```
 0  24  page header (aurora/page.py), kind BTREE; flags bit 0 leaf, bit 1 incomplete split: the right sibling has no
        downlink yet; bit 2: the page has left the tree
24      line pointers, 4 bytes each: u16 offset, u16 length. The first is the high key, of length 0 on the rightmost
        page; the others are the items in key order
lower   free space
upper   item bytes
8184    u32 right sibling's block (0 none), u16 level (0 leaf), u16 zero
```
A leaf item is its key, then the row's address: u32 block and u16 slot, big-endian, so that items are unique and
sorted by memcmp. An inner item is a whole leaf item as separator (empty for the leftmost child), then u32 child
block, little-endian. All items of a page are below its high key. Block 0 is the meta page: u32 root block at byte 24,
the magic at byte 28.

A key column is a marker byte (0 NULL when NULLs come first, 1 a value, 2 NULL when NULLs come last) and the value's
bytes, inverted in a descending column. Values of variable length are escaped (0 → 0 255) and end with two zero bytes,
so that no key is a prefix of another. Ranges are half-open in bytes: ``lower <= item < upper``.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence

from aurora.datum import Datum, Row
from aurora.errors import IndexCorrupted
from aurora.kernels.python.arena import MISSING, Arena
from aurora.kernels.python.clog import BlockMap, Snapshot
from aurora.kernels.python.entries import ITEM_MAX, EntryRun
from aurora.kernels.python.entries import TID_BYTES as TID_BYTES
from aurora.kernels.python.heap import HeapFile
from aurora.kernels.python.mtr import Mtr
from aurora.kernels.python.tuples import Projection
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, PAGE_BYTES, PageKind

LEAF, INCOMPLETE_SPLIT, DELETED = 1, 2, 4
SPECIAL_BYTES = 8
OFF_RIGHT = PAGE_BYTES - SPECIAL_BYTES
OFF_LEVEL = OFF_RIGHT + 4
META_ROOT = HEADER_BYTES
META_MAGIC = b"AUBT\1\0\0\0"
MAX_ITEM_BYTES = ITEM_MAX
FILL_BYTES = PAGE_BYTES * 9 // 10
"""Bytes used on a page of a fresh index."""
NO_CHECK, NULLS_DISTINCT, NULLS_EQUAL = 0, 1, 2
"""Whether a run's keys may be there once only: not, or those without a NULL, or all."""

DONE, NEEDS_SPLIT, DUPLICATE = 0, -1, 1
"""Outcomes of ``insert``; a missing page is ``-page_no`` (≤ -2)."""

_WIDTH = {"h": 2, "i": 4, "q": 8, "I": 4}


def next_prefix(prefix: bytes) -> bytes | None:
    """The least byte string above all that start with ``prefix``; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def leaf_image(relfile: int, right: int, high: bytes, items: Sequence[bytes]) -> bytes:
    """The image of a leaf; IndexCorrupted when the items do not fit."""
    image = bytearray(PAGE_BYTES)
    entries = (high, *items)
    lower, upper = HEADER_BYTES + 4 * len(entries), OFF_RIGHT - sum(map(len, entries))
    if upper < lower:
        raise IndexCorrupted(f"{len(items)} items of {OFF_RIGHT - upper} bytes do not fit on a page")
    at = OFF_RIGHT
    for number, item in enumerate(entries):
        at -= len(item)
        image[at : at + len(item)] = item
        struct.pack_into("<HH", image, HEADER_BYTES + 4 * number, at, len(item))
    struct.pack_into("<BBHHHI", image, OFF_KIND, PageKind.BTREE, LEAF, lower, upper, OFF_RIGHT, relfile)
    struct.pack_into("<IHH", image, OFF_RIGHT, right, 0, 0)
    return bytes(image)


def _is_dead(item: bytes, dead: dict[int, bytes]) -> bool:
    tid = int.from_bytes(item[-TID_BYTES:], "big")
    bits, slot = dead.get(tid >> 16, b""), tid & 0xFFFF
    return slot >> 3 < len(bits) and bool(bits[slot >> 3] >> (slot & 7) & 1)


def pack_tid(tid: int) -> bytes:
    """A row address as the last six bytes of a leaf item."""
    return tid.to_bytes(TID_BYTES, "big")


class KeyCodec:
    """Key columns ↔ bytes. ``kinds`` has a character a column: ``h i q`` signed integers of 2/4/8 bytes, ``I`` u32
    (encoded here), ``F`` fixed-width and ``V`` variable-width keys by the column's ``sort_keys`` callable."""

    def __init__(
        self,
        kinds: str,
        sort_keys: Sequence[Callable[[Datum], bytes] | None],
        descending: Sequence[bool],
        nulls_first: Sequence[bool],
    ) -> None:
        self.kinds = kinds
        self.sort_keys = list(sort_keys)
        self.descending = tuple(descending)
        self.nulls_first = tuple(nulls_first)

    def encode(self, values: Sequence[Datum]) -> bytes:
        """Key bytes of the leading ``len(values)`` columns; OverflowError for an integer outside its column's type."""
        return b"".join([self.column(i, value) for i, value in enumerate(values)])

    def item(self, values: Sequence[Datum], tid: int) -> bytes:
        """The leaf item of a row's key columns."""
        return self.encode(values) + pack_tid(tid)

    def column(self, i: int, value: Datum) -> bytes:
        """Marker and bytes of one column."""
        if value is None:
            return b"\0" if self.nulls_first[i] else b"\2"
        data: bytes
        kind = self.kinds[i]
        if kind in _WIDTH:
            width = _WIDTH[kind]
            data = (value + (0 if kind == "I" else 1 << (8 * width - 1))).to_bytes(width, "big")
        else:
            sort_key = self.sort_keys[i]
            if sort_key is None:
                raise ValueError(f"key column {i + 1} has no sort key")
            data = sort_key(value)
            if kind == "V":
                data = data.replace(b"\0", b"\0\xff") + b"\0\0"
        if self.descending[i]:
            data = bytes(255 - byte for byte in data)
        return b"\1" + data

    def encode_many(self, rows: Sequence[Sequence[Datum]]) -> list[bytes]:
        """Leaf items of rows whose last value is the tid."""
        return [self.encode(row[:-1]) + pack_tid(row[-1]) for row in rows]

    def gather(
        self,
        run: EntryRun,
        rows: Sequence[Sequence[Datum]],
        positions: tuple[int, ...] | None,
        tids: Sequence[int] | None,
    ) -> None:
        """Add the leaf items of rows to a run: their values at ``positions`` with the tid from ``tids``, or all values
        of rows whose last one is the tid."""
        for number, row in enumerate(rows):
            values = row[:-1] if positions is None else [row[position] for position in positions]
            tid = row[-1] if tids is None else tids[number]
            run.add((self.item(values, tid),), None in values)


class BTree:
    """The kernels of one B-tree relation."""

    def __init__(self, arena: Arena, mtr: Mtr, blocks: BlockMap, relfile: int) -> None:
        self.arena = arena
        self.mtr = mtr
        self.blocks = blocks
        self.relfile = relfile

    # Page views

    @staticmethod
    def _item(page: memoryview, index: int) -> bytes:
        offset, length = struct.unpack_from("<HH", page, HEADER_BYTES + 4 * index)
        return bytes(page[offset : offset + length])

    def _items(self, page: memoryview) -> list[bytes]:
        count = ((page[OFF_LOWER] | page[OFF_LOWER + 1] << 8) - HEADER_BYTES) // 4
        return [self._item(page, index) for index in range(1, count)]

    def _page(self, block: int) -> tuple[int, memoryview | None, int]:
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        return (frame, None, page_no) if frame == MISSING else (frame, self.arena.page(frame), page_no)

    def root(self) -> int:
        """Block of the root, or minus a missing page."""
        _, page, page_no = self._page(0)
        if page is None:
            return -page_no
        root = int(struct.unpack_from("<I", page, META_ROOT)[0])
        if not root or page[OFF_KIND] != PageKind.BTREE:
            raise IndexCorrupted(f"relation file {self.relfile} has no B-tree root")
        return root

    def descend(self, key: bytes, level: int, below: bool) -> tuple[int, bytes] | int:
        """The block at ``level`` where ``key`` belongs (``below``: where the greatest item < key is) and the separator
        that bounds that page from below (empty: none); a missing page."""
        block = self.root()
        if block < 0:
            return -block
        low = b""
        while True:
            _, page, page_no = self._page(block)
            if page is None:
                return page_no
            if page[OFF_KIND] != PageKind.BTREE:
                raise IndexCorrupted(f"block {block} of relation file {self.relfile} is not a B-tree page")
            high = self._item(page, 0)
            right, at_level = struct.unpack_from("<IH", page, OFF_RIGHT)
            if high and (high < key if below else high <= key):
                block, low = right, high
                continue
            if at_level <= level:
                return block, low
            separators = [item[:-4] for item in self._items(page)]
            index = bisect_left(separators, key if below else key + b"\0") - 1
            index = max(index, 0)
            low = max(low, separators[index])
            block = int.from_bytes(self._item(page, index + 1)[-4:], "little")

    # Reading

    def range_tids(self, lower: bytes, upper: bytes | None, backward: bool) -> tuple[list[int], bytes | None] | int:
        """Row addresses of one leaf's items in ``[lower, upper)``, and the bound to go on with: the next ``lower``
        (backward: the next ``upper``), None at the end; a missing page. ``upper`` None is no bound."""
        if backward:
            return self._range_backward(lower, upper)
        found = self.descend(lower, 0, False)
        if isinstance(found, int):
            return found
        _, page, page_no = self._page(found[0])
        if page is None:
            return page_no
        items = self._items(page)
        start = bisect_left(items, lower)
        end = len(items) if upper is None else bisect_left(items, upper)
        high = self._item(page, 0)
        tids = [int.from_bytes(item[-TID_BYTES:], "big") for item in items[start:end]]
        return tids, (high if high and (upper is None or high < upper) else None)

    def _range_backward(self, lower: bytes, upper: bytes | None) -> tuple[list[int], bytes | None] | int:
        # Without a bound the descent follows the rightmost pages: no separator is above a run of 255.
        bound = b"\xff" * (MAX_ITEM_BYTES + 1) if upper is None else upper
        found = self.descend(bound, 0, True)
        if isinstance(found, int):
            return found
        block, low = found
        _, page, page_no = self._page(block)
        if page is None:
            return page_no
        items = self._items(page)
        start, end = bisect_left(items, lower), bisect_left(items, bound)
        tids = [int.from_bytes(item[-TID_BYTES:], "big") for item in reversed(items[start:end])]
        return tids, (low if low and low > lower else None)

    def lookup(
        self, snap: Snapshot, prefix: bytes, heap: HeapFile, proj: Projection, first_only: bool
    ) -> list[Row] | int:
        """Visible rows whose key starts with ``prefix``, in index order; a missing page. ``first_only``: at most
        one."""
        rows: list[Row] = []
        upper = next_prefix(prefix)
        lower: bytes | None = prefix
        while lower is not None:
            found = self.range_tids(lower, upper, False)
            if isinstance(found, int):
                return found
            tids, lower = found
            for tid in tids:
                row = heap.fetch_chain(snap, tid, proj)
                if isinstance(row, int):
                    return row
                if row is not None:
                    rows.append(row)
                    if first_only:
                        return rows
        return rows

    def lookup_key(
        self,
        snap: Snapshot,
        codec: KeyCodec,
        values: Sequence[Datum],
        heap: HeapFile,
        proj: Projection,
        first_only: bool,
    ) -> list[Row] | int:
        """``lookup`` of the key ``values``; nothing equals NULL or an integer outside the column's type."""
        if None in values:
            return []
        try:
            prefix = codec.encode(values)
        except OverflowError:
            return []
        return self.lookup(snap, prefix, heap, proj, first_only)

    def tids_of(self, codec: KeyCodec, keys: list[Row], start: int, room: int) -> tuple[list[int], list[int], int]:
        """Row addresses of the items whose leading columns are each of ``keys``: (addresses, how many of each key from
        ``start`` on, a missing page or 0). It ends with ``room`` addresses; a key with more than that has -1, and
        none. Nothing equals NULL or an integer outside the column's type."""
        tids: list[int] = []
        counts: list[int] = []
        for values in keys[start:]:
            if len(tids) >= room:
                break
            try:
                prefix = None if None in values else codec.encode(values)
            except OverflowError:
                prefix = None
            if prefix is None:
                counts.append(0)
                continue
            upper = next_prefix(prefix)
            lower: bytes | None = prefix
            of_key: list[int] = []
            while lower is not None and len(of_key) <= room:
                found = self.range_tids(lower, upper, False)
                if isinstance(found, int):
                    return tids, counts, found
                some, lower = found
                of_key += some
            if len(of_key) > room:
                counts.append(-1)
                break
            tids += of_key
            counts.append(len(of_key))
        return tids, counts, 0

    # Writing

    def insert(self, item: bytes, unique: bool) -> int:
        """Add a leaf item: ``DONE``; ``NEEDS_SPLIT`` when the page has no room; ``DUPLICATE`` when ``unique`` and
        items of the same key may exist; or minus a missing page."""
        key = item[:-TID_BYTES] if unique else item
        found = self.descend(key, 0, False)
        if isinstance(found, int):
            return -found
        block = found[0]
        frame, page, page_no = self._page(block)
        if page is None:
            return -page_no
        items = self._items(page)
        position = bisect_left(items, key)
        if unique:
            high = self._item(page, 0)
            if position < len(items):
                if items[position].startswith(key):
                    return DUPLICATE
            elif high and high.startswith(key):
                return DUPLICATE
        return self._put_item(frame, page, position, item)

    def insert_run(self, run: EntryRun, start: int, unique: int) -> int:
        """Add the items of a sorted run from ``start`` on, as many as go to the page of the first one: how many, in one
        mini-transaction. 0 when the first one needs a split, or its key, which may be there once only, a look; or minus
        a missing page."""
        (item,) = run.items(start, start + 1)
        found = self.descend(item[:-TID_BYTES] if self._is_checked(run, start, unique) else item, 0, False)
        if isinstance(found, int):
            return -found
        frame, page, page_no = self._page(found[0])
        if page is None:
            return -page_no
        old = self._items(page)
        high = self._item(page, 0)
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        room = upper - lower
        added: list[tuple[int, bytes]] = []
        for at, item in enumerate(run.items(start, len(run)), start):
            if room < len(item) + 4 or (high and item >= high):
                break
            position = bisect_left(old, item)
            if self._is_checked(run, at, unique):
                around = [old[position] if position < len(old) else high, *old[max(0, position - 1) : position]]
                if added:
                    around.append(added[-1][1])
                if any(other.startswith(item[:-TID_BYTES]) for other in around):
                    break
            added.append((position, item))
            room -= len(item) + 4
        if not added:
            return 0
        self._put_run(frame, page, added, len(old))
        return len(added)

    @staticmethod
    def _is_checked(run: EntryRun, at: int, unique: int) -> bool:
        return unique == NULLS_EQUAL or (unique == NULLS_DISTINCT and not run.has_null(at))

    def split_right(self, block: int, new_block: int, run: EntryRun, start: int, unique: int) -> int:
        """Split the rightmost leaf ``block``: its last item and those of the run from ``start`` on that come behind it
        and fill a page go to ``new_block``, the downlink is left to be made. How many of the run's; 0 when the first
        one does not belong there or its key needs a look, minus a missing page. One mini-transaction: of the left page
        only the line pointers change, for the item that leaves becomes its high key."""
        frame, page, page_no = self._page(block)
        new_frame, new_page, new_page_no = self._page(new_block)
        if page is None or new_page is None:
            return -page_no if page is None else -new_page_no
        items = self._items(page)
        (right, level) = struct.unpack_from("<IH", page, OFF_RIGHT)
        is_whole = page[OFF_FLAGS] == LEAF and not right and not level and len(items) > 1
        if not is_whole or run.items(start, start + 1)[0] <= items[-1]:
            return 0
        moved = items[-1:]
        room = OFF_RIGHT - HEADER_BYTES - 8 - len(moved[0])
        for at, item in enumerate(run.items(start, len(run)), start):
            room -= len(item) + 4
            if room < 0 or (self._is_checked(run, at, unique) and moved[-1].startswith(item[:-TID_BYTES])):
                break
            moved.append(item)
        if len(moved) == 1:
            return 0
        lower = HEADER_BYTES + 4 * len(items)
        try:
            flags = struct.pack("<BH", LEAF | INCOMPLETE_SPLIT, lower)
            self.mtr.put(frame, OFF_FLAGS, flags)
            self.mtr.put(frame, HEADER_BYTES, bytes(page[lower : lower + 4]))
            self.mtr.put(frame, OFF_RIGHT, struct.pack("<I", new_block))
            self.mtr.image(new_frame, leaf_image(self.relfile, 0, b"", moved))
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return len(moved) - 1

    def leaf_page(self, run: EntryRun, start: int, right: int) -> tuple[int, bytes]:
        """Of a sorted run: the image of a leaf with the items from ``start`` on, filled to ``FILL_BYTES`` with room for
        the high key, which is the first item that it does not have; before it, that one's place. ``right`` is the right
        sibling if there is such an item."""
        total = len(run)
        room = OFF_RIGHT - HEADER_BYTES
        items = run.items(start, total)
        at, used = 0, 0
        while at < len(items):
            n = len(items[at]) + 4
            high = 4 if at + 1 == len(items) else len(items[at + 1]) + 4
            if at and (used + n > FILL_BYTES or used + n + high > room):
                break
            used += n
            at += 1
        is_last = at == len(items)
        image = leaf_image(self.relfile, 0 if is_last else right, b"" if is_last else items[at], items[:at])
        return start + at, image

    def _put_run(self, frame: int, page: memoryview, added: list[tuple[int, bytes]], count: int) -> None:
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        first = added[0][0]
        lines = [bytes(page[at : at + 4]) for at in range(HEADER_BYTES + 4 * (first + 1), lower, 4)]
        offset = upper
        for number, (position, item) in enumerate(added):
            offset -= len(item)
            lines.insert(position - first + number, struct.pack("<HH", offset, len(item)))
        body = b"".join(item for _, item in reversed(added))
        try:
            self.mtr.put(frame, OFF_LOWER, struct.pack("<HH", lower + 4 * len(added), offset))
            self.mtr.put(frame, HEADER_BYTES + 4 * (first + 1), b"".join(lines))
            self.mtr.put(frame, offset, body)
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise

    def insert_inner(self, block: int, item: bytes) -> int:
        """Add an inner item to ``block``: ``DONE``, ``NEEDS_SPLIT``, or minus a missing page. Part of the current
        MTR."""
        frame, page, page_no = self._page(block)
        if page is None:
            return -page_no
        position = bisect_left([entry[:-4] for entry in self._items(page)], item[:-4])
        return self._put_item(frame, page, position, item, False)

    def _put_item(self, frame: int, page: memoryview, position: int, item: bytes, commit: bool = True) -> int:
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        n = len(item)
        if upper - lower < n + 4:
            return NEEDS_SPLIT
        at = HEADER_BYTES + 4 * (position + 1)
        try:
            self.mtr.put(frame, OFF_LOWER, struct.pack("<HH", lower + 4, upper - n))
            if at < lower:
                self.mtr.move(frame, at, at + 4, lower - at)
            self.mtr.put(frame, at, struct.pack("<HH", upper - n, n))
            self.mtr.put(frame, upper - n, item)
            if commit:
                self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return DONE

    def page_head(self, block: int) -> tuple[int, int, int, bytes] | int:
        """``page_items`` without the items."""
        _, page, page_no = self._page(block)
        if page is None:
            return page_no
        right, level = struct.unpack_from("<IH", page, OFF_RIGHT)
        return page[OFF_FLAGS], level, right, self._item(page, 0)

    def page_items(self, block: int) -> tuple[int, int, int, bytes, list[bytes]] | int:
        """``(flags, level, right, high key, items)`` of a block; a missing page."""
        _, page, page_no = self._page(block)
        if page is None:
            return page_no
        right, level = struct.unpack_from("<IH", page, OFF_RIGHT)
        return page[OFF_FLAGS], level, right, self._item(page, 0), self._items(page)

    def without(self, block: int, dead: dict[int, bytes]) -> tuple[int, int, int, int, int, bytes] | int:
        """``(LSN, level, right, entries removed, entries left, image)``: a leaf without the entries of dead rows (by
        block of the table: slot s is dead if bit s & 7 of byte s >> 3 is set); the image is empty where none is
        removed, as it is above the leaves. A missing page."""
        _, page, page_no = self._page(block)
        if page is None:
            return page_no
        right, level = struct.unpack_from("<IH", page, OFF_RIGHT)
        items = self._items(page)
        kept = items if level else [each for each in items if not _is_dead(each, dead)]
        (lsn,) = struct.unpack_from("<Q", page)
        if len(kept) == len(items):
            return lsn, level, right, 0, len(items), b""
        image = bytearray(PAGE_BYTES)
        image[OFF_KIND:HEADER_BYTES] = page[OFF_KIND:HEADER_BYTES]
        image[OFF_RIGHT:] = page[OFF_RIGHT:]
        at = OFF_RIGHT
        for index, item in enumerate((self._item(page, 0), *kept)):
            at -= len(item)
            image[at : at + len(item)] = item
            struct.pack_into("<HH", image, HEADER_BYTES + 4 * index, at, len(item))
        struct.pack_into("<HH", image, OFF_LOWER, HEADER_BYTES + 4 * (len(kept) + 1), at)
        return lsn, level, right, len(items) - len(kept), len(kept), bytes(image)
