"""Heap pages: line pointers, tuples, version chains; and the rows that a snapshot sees."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from aurora.errors import SqlError
from aurora.kernels.python.clog import ABORTED, IN_PROGRESS
from aurora.kernels.python.heap import DEAD, NORMAL, REDIRECT
from aurora.kernels.python.tuples import (
    HAS_NULL,
    HEAP_ONLY,
    HOT_UPDATED,
    NATTS_MASK,
    OFF_INFOMASK,
    OFF_XMIN,
    TUPLE_HEADER_BYTES,
    RowCodec,
)
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, OFF_RELFILE, PAGE_BYTES, PageKind
from compute_node.access.check.findings import NONSENSE, Numbered, is_of_the_data, page_of
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.datum import Row
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.table import Table
    from compute_node.work.account import Area


Found = tuple[str, str]
"""(place, what is wrong)"""


class HeapCheck:
    """One walk through a table. ``roots`` are the addresses that index entries may name, gathered on the way."""

    def __init__(self, table: Table, snapshot: Snapshot, area: Area) -> None:
        self.table = table
        self.roots = Numbered(area)
        self._snapshot = snapshot
        self._cache = table.storage.cache
        self._codec = table.codec
        self._txns = table.storage.txns
        lazy = table.toast.lazy_columns if table.toast is not None else ()
        self.columns: tuple[int, ...] = lazy or tuple(range(1, len(table.desc.columns) + 1))
        """all, those of variable length as they are stored where the table has TOAST"""

    def walk(self) -> Iterator[Found | list[Row]]:
        """What is wrong, and the visible rows (the last value is the address of the chain's root) a page at a time."""
        for block in range(self.table.file.map.blocks):
            HUB.pulse()
            faults, slots = self._page(block, page_of(self._cache, self.table.file, block))
            yield from ((f"({block},{slot})" if slot else f"block {block}", text) for slot, text in faults)
            self.roots.add(block << 16 | slot for slot in slots)
            if not any(slot == 0 for slot, _ in faults):
                yield from self._visible(block)

    def _visible(self, block: int) -> Iterator[Found | list[Row]]:
        table, snapshot = self.table, self._snapshot
        try:
            rows = [
                row
                for batch in table.scan_blocks(snapshot, self.columns, True, block, block + 1, True, counted=False)
                for row in batch
            ]
            alone = sum(len(batch) for batch in table.scan_blocks(snapshot, (), True, block, block + 1, counted=False))
        except (*NONSENSE, struct.error) as error:
            yield f"block {block}", f"rows cannot be read: {error}"
            return
        except SqlError as error:
            if not is_of_the_data(error):
                raise
            yield f"block {block}", f"rows cannot be read: {error}"
            return
        if alone != len(rows):
            yield f"block {block}", f"{alone} rows are visible, and {len(rows)} by way of their chains"
        if rows:
            yield rows

    # A page

    def _page(self, block: int, page: bytes) -> tuple[list[tuple[int, str]], list[int]]:
        """((slot or 0, what is wrong) …, slots that index entries may name). A fault of slot 0 makes the page
        unreadable."""
        relfile = int.from_bytes(page[OFF_RELFILE:HEADER_BYTES], "little")
        if page[OFF_KIND] == PageKind.FREE or relfile != self.table.relfile:
            return [], []  # never written by this relation: its extent was somebody else's before
        if page[OFF_KIND] != PageKind.HEAP:
            return [(0, f"page is of kind {page[OFF_KIND]}, not a heap page")], []
        lower, upper, special = struct.unpack_from("<HHH", page, OFF_LOWER)
        if not HEADER_BYTES <= lower <= upper <= special <= PAGE_BYTES or (lower - HEADER_BYTES) % 4:
            return [(0, f"bounds {lower}, {upper}, {special} of the page make no sense")], []
        lines = [struct.unpack_from("<HH", page, at) for at in range(HEADER_BYTES, lower, 4)]
        found: list[tuple[int, str]] = []
        spans: list[tuple[int, int, int]] = []
        roots: list[int] = []
        for slot, (offset, word) in enumerate(lines, 1):
            flags, length = word >> 14, word & 0x3FFF
            if flags == REDIRECT:
                roots.append(slot)
                target = lines[offset - 1] if 1 <= offset <= len(lines) else (0, 0)
                if target[1] >> 14 != NORMAL:
                    found.append((slot, f"redirects to slot {offset}, which is no row version"))
            elif flags == DEAD:
                roots.append(slot)
            elif flags == NORMAL:
                if offset < upper or offset + length > special or length < TUPLE_HEADER_BYTES:
                    found.append((0, f"slot {slot} points to {length} bytes at {offset}, outside of the page's tuples"))
                    continue
                spans.append((offset, offset + length, slot))
                if not self._infomask(page, offset) & HEAP_ONLY:
                    roots.append(slot)
                found += ((0, f"slot {slot}: {text}") for text in self._tuple(page, offset, length))
                if text := self._successor(block, page, lines, offset):
                    found.append((slot, text))
        spans.sort()
        for (_, end, slot), (start, _, other) in pairwise(spans):
            if start < end:
                found.append((0, f"slots {slot} and {other} overlap"))
        return found, roots

    @staticmethod
    def _infomask(page: bytes, offset: int) -> int:
        return page[offset + OFF_INFOMASK] | page[offset + OFF_INFOMASK + 1] << 8

    def _tuple(self, page: bytes, offset: int, length: int) -> Iterator[str]:
        xmax, xmin = (int.from_bytes(page[at : at + 8], "little") for at in (offset, offset + OFF_XMIN))
        if not 0 < xmin < self._txns.next_xid:
            yield f"xmin {xmin} is no transaction that there has been"
        if xmax >= self._txns.next_xid:
            yield f"xmax {xmax} is no transaction that there has been"
        columns = self._infomask(page, offset) & NATTS_MASK
        if columns > self._codec.natts:
            yield f"{columns} columns, where the table has {self._codec.natts}"
            return
        try:
            spans = [span for span in RowCodec.spans(self._codec, page, offset, columns) if span is not None]
        except NONSENSE:
            yield "its values reach beyond the page"
            return
        end = spans[-1][1] if spans else offset + TUPLE_HEADER_BYTES + self._bitmap_bytes(page, offset, columns)
        if end != offset + length:
            yield f"its values take {end - offset} bytes, and its line pointer says {length}"

    def _bitmap_bytes(self, page: bytes, offset: int, columns: int) -> int:
        return (columns + 7) // 8 if self._infomask(page, offset) & HAS_NULL else 0

    def _successor(self, block: int, page: bytes, lines: list[tuple[int, int]], offset: int) -> str:
        """What is wrong with the next version on the same page, if a committed update has made one."""
        xmax, next_block, next_slot = struct.unpack_from("<QIH", page, offset)
        if not xmax or not next_slot or not self._infomask(page, offset) & HOT_UPDATED or xmax >= self._txns.next_xid:
            return ""
        while (state := self.table.storage.clog.state(xmax)) < 0:
            self._cache.load(-state)
        if state in (ABORTED, IN_PROGRESS):
            return ""
        if next_block != block or next_slot > len(lines) or lines[next_slot - 1][1] >> 14 != NORMAL:
            return f"its next version ({next_block},{next_slot}) is not there"
        following = lines[next_slot - 1][0]
        if int.from_bytes(page[following + OFF_XMIN : following + OFF_XMIN + 8], "little") != xmax:
            return f"its next version ({next_block},{next_slot}) was made by another transaction than left it"
        return ""
