"""Heap pages: row versions in slotted pages, version chains, visibility, pruning.

```
 0  24  page header (aurora/page.py), kind HEAP
24      line pointers, 4 bytes each: u16 offset, u16 flags << 14 | length
        flags 0 unused; 1 normal; 2 redirect (offset = slot of the chain's first version); 3 dead (index entries may
        remain)
lower   free space
upper   tuple images (tuples.py) in any order, with gaps where versions were pruned
```
Kernels never wait. One that needs a page that is not resident answers with its page number: as an int where it else
gives an object, as ``-page_no`` (≤ -2) where it else gives an int ≥ -1; the caller loads the page and starts again.
Edits are one mini-transaction each, committed here. Space freed by pruning is reused in place, so that it costs few
bytes of redo; a page is compacted only when no gap fits.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.ids import NO_LSN, Lsn, Xid
from aurora.kernels.python.arena import MISSING, Arena
from aurora.kernels.python.clog import ABORTED, IN_PROGRESS, BlockMap, Clog, Snapshot
from aurora.kernels.python.columns import Columns
from aurora.kernels.python.mtr import Mtr
from aurora.kernels.python.tuples import (
    HEAP_ONLY,
    HOT_UPDATED,
    KEY_CHANGED,
    OFF_CMIN,
    OFF_INFOMASK,
    OFF_XMIN,
    Projection,
    RowCodec,
    Toasted,
)
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, OFF_RELFILE, PAGE_BYTES, PageKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNUSED, NORMAL, REDIRECT, DEAD = 0, 1, 2, 3
RETRY = -1
"""The version changed since it was probed."""
NEEDS_TOAST = -(1 << 62)
"""The new version is longer than the codec's limit."""

OK, SELF, BUSY, MOVED, GONE, AWAY = 0, 1, 2, 3, 4, 5
"""Outcomes of ``probe``."""
LIVE, NOT_LIVE, UNDECIDED = 0, 1, 2
"""Outcomes of ``conflict``."""
AWAY_BLOCK = 1
"""The next version's block, without a slot, where the row went to another relation."""

_GAP = 4
"""Equal bytes that a PUT carries along rather than starting another one."""
FROZEN_XID = 2


def put_diff(mtr: Mtr, frame: int, page: memoryview, offset: int, data: bytes) -> None:
    """Write ``data`` at ``offset``, logging only the runs of bytes that change."""
    i, n = 0, len(data)
    while i < n:
        if page[offset + i] == data[i]:
            i += 1
            continue
        end = j = i + 1
        while j < n and j - end < _GAP:
            if page[offset + j] != data[j]:
                end = j + 1
            j += 1
        mtr.put(frame, offset + i, data[i:end])
        i = end


def empty_header(relfile: int) -> bytes:
    """Bytes 12-24 of an empty heap page."""
    return struct.pack("<BBHHHI", PageKind.HEAP, 0, HEADER_BYTES, PAGE_BYTES, PAGE_BYTES, relfile)


class HeapFile:
    """The kernels of one heap relation."""

    def __init__(self, arena: Arena, mtr: Mtr, clog: Clog, blocks: BlockMap, codec: RowCodec, relfile: int) -> None:
        self.arena = arena
        self.mtr = mtr
        self.clog = clog
        self.blocks = blocks
        self.codec = codec
        self.relfile = relfile

    # Reading

    @staticmethod
    def _line(page: memoryview, slot: int) -> tuple[int, int, int]:
        """(flags, offset, length) of a line pointer; unused when there is none."""
        at = HEADER_BYTES + 4 * (slot - 1)
        if slot < 1 or at >= page[OFF_LOWER] | page[OFF_LOWER + 1] << 8:
            return UNUSED, 0, 0
        offset, word = struct.unpack_from("<HH", page, at)
        return word >> 14, offset, word & 0x3FFF

    def _visible(self, page: memoryview, offset: int, snap: Snapshot) -> int:
        """1 visible, 0 not, or minus a missing page of the commit log."""
        xmin, cmin = struct.unpack_from("<QI", page, offset + OFF_XMIN)
        state = self.clog.state(xmin)
        if state < 0:
            return state
        if state == ABORTED or state > snap.lsn:
            return 0
        if state == IN_PROGRESS and (xmin not in snap.own or cmin >= snap.cid):
            return 0
        xmax, _, _, cmax = struct.unpack_from("<QIHI", page, offset)
        if not xmax:
            return 1
        state = self.clog.state(xmax)
        if state < 0:
            return state
        if state == ABORTED or state > snap.lsn:
            return 1
        return int(state == IN_PROGRESS and (xmax not in snap.own or cmax >= snap.cid))

    def fetch(self, snap: Snapshot, tid: int, proj: Projection) -> Row | int | None:
        """The version at exactly ``tid``; None when absent or invisible; a missing page."""
        block, slot = tid >> 16, tid & 0xFFFF
        if block >= self.blocks.blocks:
            return None
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        flags, offset, _ = self._line(page, slot)
        if flags != NORMAL:
            return None
        seen = self._visible(page, offset, snap)
        if seen < 0:
            return -seen
        return proj.row(page, offset, tid) if seen else None

    def fetch_chain(self, snap: Snapshot, tid: int, proj: Projection) -> Row | int | None:
        """The visible version of the chain whose root an index entry names; None when there is none; a missing page."""
        block = tid >> 16
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        return self._chain(self.arena.page(frame), block, tid & 0xFFFF, snap, proj, False)

    def _chain(
        self, page: memoryview, block: int, root: int, snap: Snapshot, proj: Projection, root_tid: bool
    ) -> Row | int | None:
        slot, offset, missing = self._seen(page, root, snap)
        if missing:
            return missing
        return proj.row(page, offset, block << 16 | (root if root_tid else slot)) if offset else None

    def _seen(self, page: memoryview, root: int, snap: Snapshot) -> tuple[int, int, int]:
        """Of the visible version of a chain (slot, offset, 0); offset 0 when there is none; else a missing page."""
        slot, expected = root, 0
        flags, offset, _ = self._line(page, slot)
        if flags == REDIRECT:
            slot = offset
            flags, offset, _ = self._line(page, slot)
        while flags == NORMAL:
            if expected and struct.unpack_from("<Q", page, offset + OFF_XMIN)[0] != expected:
                break
            seen = self._visible(page, offset, snap)
            if seen < 0:
                return 0, 0, -seen
            if seen:
                return slot, offset, 0
            expected, _, slot = struct.unpack_from("<QIH", page, offset)
            if not expected or not slot or not page[offset + OFF_INFOMASK + 1] << 8 & HOT_UPDATED:
                break
            flags, offset, _ = self._line(page, slot)
        return 0, 0, 0

    def fetch_many(self, snap: Snapshot, tids: Sequence[int], proj: Projection) -> list[Row] | int:
        """``fetch_chain`` of each, the invisible ones left out; a missing page."""
        rows = []
        for tid in tids:
            row = self.fetch_chain(snap, tid, proj)
            if row is None:
                continue
            if isinstance(row, int):
                return row
            rows.append(row)
        return rows

    def fetch_stored(self, tids: Sequence[int], proj: Projection) -> list[Row] | int:
        """The versions at exactly ``tids`` whoever sees them, absent ones left out; a missing page."""
        rows = []
        for tid in tids:
            page_no = self.blocks.page_no(tid >> 16)
            frame = self.arena.lookup(page_no)
            if frame == MISSING:
                return page_no
            page = self.arena.page(frame)
            flags, offset, _ = self._line(page, tid & 0xFFFF)
            if flags == NORMAL:
                rows.append(proj.row(page, offset, tid))
        return rows

    def externals(self, tid: int, positions: Sequence[int] | None) -> list[Toasted] | int:
        """Handles of the values out of line among ``positions`` (from 0; None: all) of version ``tid``; a missing
        page."""
        page_no = self.blocks.page_no(tid >> 16)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        flags, offset, _ = self._line(page, tid & 0xFFFF)
        return self.codec.externals(page, offset, positions) if flags == NORMAL else []

    def scan_page(self, snap: Snapshot, block: int, proj: Projection, roots: bool) -> list[Row] | int:
        """Visible rows of a block, in slot order; with ``roots`` chain by chain, the tid being that of the chain's
        root."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        rows: list[Row] = []
        if not self._is_ours(page):
            return rows
        for slot in range(1, self._slots(page) + 1):
            flags, offset, _ = self._line(page, slot)
            if roots:
                if flags != REDIRECT and (flags != NORMAL or self._is_heap_only(page, offset)):
                    continue
                row = self._chain(page, block, slot, snap, proj, True)
                if isinstance(row, int):
                    return row
                if row is not None:
                    rows.append(row)
            elif flags == NORMAL:
                seen = self._visible(page, offset, snap)
                if seen < 0:
                    return -seen
                if seen:
                    rows.append(proj.row(page, offset, block << 16 | slot))
        return rows

    def scan_columns(self, snap: Snapshot, start: int, end: int, columns: Columns, enough: int) -> tuple[int, int]:
        """Put the visible rows of the blocks from ``start`` to before ``end`` into ``columns``, until there are
        ``enough``: (the first block that was not read, a missing page of it or 0). Of a block all rows are put, or
        none."""
        for block in range(start, end):
            missing = self._scan_columns(snap, block, columns)
            if missing is not None:
                return block, missing
            if columns.count >= enough:
                return block + 1, 0
        return max(start, end), 0

    def _scan_columns(self, snap: Snapshot, block: int, columns: Columns) -> int | None:
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        if not self._is_ours(page):
            return None
        count = columns.count
        for slot in range(1, self._slots(page) + 1):
            flags, offset, _ = self._line(page, slot)
            if flags != NORMAL:
                continue
            seen = self._visible(page, offset, snap)
            if seen < 0:
                columns.undo(count)
                return -seen
            if seen:
                columns.put(page, offset)
        return None

    def fetch_columns(
        self, snap: Snapshot, tids: Sequence[int], columns: Columns, found: NDArray[np.uint8] | None = None
    ) -> int | None:
        """Put the rows of ``fetch_many`` into ``columns``; None, or a missing page and nothing is put. At most
        ``FETCH_ROWS_MAX`` at once. ``found``: becomes 1 for each address that has a row, else 0."""
        count = columns.count
        if found is not None and len(found) != len(tids):
            raise ValueError("flags of another length")
        for at, tid in enumerate(tids):
            page_no = self.blocks.page_no(tid >> 16)
            frame = self.arena.lookup(page_no)
            missing: int = page_no
            if frame != MISSING:
                page = self.arena.page(frame)
                _, offset, missing = self._seen(page, tid & 0xFFFF, snap)
                if offset:
                    columns.put(page, offset)
                if found is not None:
                    found[at] = bool(offset)
            if missing:
                columns.undo(count)
                return missing
        return None

    @staticmethod
    def _slots(page: memoryview) -> int:
        return max(0, ((page[OFF_LOWER] | page[OFF_LOWER + 1] << 8) - HEADER_BYTES) // 4)

    @staticmethod
    def _is_heap_only(page: memoryview, offset: int) -> bool:
        return bool(page[offset + OFF_INFOMASK + 1] << 8 & HEAP_ONLY)

    def probe(self, tid: int, snap: Snapshot, proj: Projection, follow: bool) -> tuple[int, int, Lsn, Datum] | int:
        """What an update or lock of version ``tid`` meets: ``(outcome, tid, lsn, extra)``, or a missing page.

        ``OK``: not superseded, ``extra`` its row. ``SELF``: this transaction superseded it. ``BUSY``: ``extra`` is the
        xid in progress that supersedes it. ``GONE``: deleted. ``AWAY``: moved to another relation. ``MOVED``: updated.
        With ``follow`` the successors are followed instead of ``MOVED``; ``lsn`` is the highest commit LSN of those who
        superseded (0: nobody).
        """
        lsn, expected = NO_LSN, 0
        while True:
            page_no = self.blocks.page_no(tid >> 16)
            frame = self.arena.lookup(page_no)
            if frame == MISSING:
                return page_no
            page = self.arena.page(frame)
            flags, offset, _ = self._line(page, tid & 0xFFFF)
            if flags != NORMAL:
                return GONE, tid, lsn, None
            if expected and struct.unpack_from("<Q", page, offset + OFF_XMIN)[0] != expected:
                return GONE, tid, lsn, None
            xmax, next_block, next_slot = struct.unpack_from("<QIH", page, offset)
            state = self.clog.state(xmax) if xmax else ABORTED
            if state < 0:
                return -state
            if state == ABORTED:
                return OK, tid, lsn, proj.row(page, offset, tid)
            if state == IN_PROGRESS:
                return (SELF, tid, lsn, None) if xmax in snap.own else (BUSY, tid, lsn, xmax)
            lsn = max(lsn, Lsn(state))
            if not next_slot:
                return AWAY if next_block == AWAY_BLOCK else GONE, tid, lsn, None
            if not follow:
                return MOVED, tid, lsn, None
            tid, expected = next_block << 16 | next_slot, xmax

    def conflict(self, tid: int, own: set[Xid]) -> tuple[int, int] | int:
        """Whether the chain at root ``tid`` holds a row that forbids an equal unique key: ``(LIVE, commit LSN)``,
        ``(NOT_LIVE, commit LSN of the last removal, 0 without one)``, or ``(UNDECIDED, xid)`` to wait for; a missing
        page."""
        block, slot = tid >> 16, tid & 0xFFFF
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        flags, offset, _ = self._line(page, slot)
        if flags == REDIRECT:
            flags, offset, _ = self._line(page, offset)
        expected = removed = 0
        while flags == NORMAL:
            xmin = struct.unpack_from("<Q", page, offset + OFF_XMIN)[0]
            if expected and xmin != expected:
                break
            born = self.clog.state(xmin)
            if born < 0:
                return -born
            if born == ABORTED:
                break
            if born == IN_PROGRESS and xmin not in own:
                return UNDECIDED, xmin
            xmax, _, slot = struct.unpack_from("<QIH", page, offset)
            died = self.clog.state(xmax) if xmax else ABORTED
            if died < 0:
                return -died
            if died == ABORTED:
                return LIVE, born
            if died == IN_PROGRESS and xmax not in own:
                return UNDECIDED, xmax
            removed = max(removed, died)
            if not slot or not page[offset + OFF_INFOMASK + 1] << 8 & HOT_UPDATED:
                break
            expected = xmax
            flags, offset, _ = self._line(page, slot)
        return NOT_LIVE, removed

    def free_space(self, block: int) -> int:
        """Bytes that tuples could take on ``block``, gaps included; minus a missing page."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        if not self._is_ours(page):
            return PAGE_BYTES - HEADER_BYTES - 4
        return max(0, self._free(page) - 4)

    def _free(self, page: memoryview) -> int:
        used = sum(self._line(page, slot)[2] for slot in range(1, self._slots(page) + 1))
        return PAGE_BYTES - HEADER_BYTES - 4 * self._slots(page) - used

    # Placing

    def _place(self, page: memoryview, n: int, reserve: int) -> tuple[int, int, bool] | None:
        """Where an image of ``n`` bytes goes: ``(slot, offset, compact first)``; None without room. An offset in a gap
        leaves ``upper`` as it is."""
        slots = self._slots(page)
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        slot = next((s for s in range(1, slots + 1) if self._line(page, s)[0] == UNUSED), slots + 1)
        more = 4 if slot > slots else 0
        if upper - lower >= n + more + reserve:
            return slot, upper - n, False
        if self._free(page) < n + more + reserve:
            return None
        if lower + more <= upper:
            lines = (self._line(page, s) for s in range(1, slots + 1))
            at = upper
            for _, offset, length in sorted((line for line in lines if line[0] == NORMAL), key=lambda line: line[1]):
                if offset - at >= n:
                    return slot, offset - n, False
                at = offset + length
            if PAGE_BYTES - at >= n:
                return slot, PAGE_BYTES - n, False
        return slot, 0, True

    def _compact(self, frame: int, page: memoryview) -> None:
        """Pack the tuples at the page's end, in slot order."""
        content = bytearray(page)
        lower = struct.unpack_from("<H", page, OFF_LOWER)[0]
        content[lower:] = bytes(PAGE_BYTES - lower)
        upper = PAGE_BYTES
        for slot in range(1, self._slots(page) + 1):
            flags, offset, length = self._line(page, slot)
            if flags == NORMAL:
                upper -= length
                content[upper : upper + length] = page[offset : offset + length]
                struct.pack_into("<H", content, HEADER_BYTES + 4 * (slot - 1), upper)
        struct.pack_into("<H", content, OFF_LOWER + 2, upper)
        self.mtr.image(frame, bytes(content))

    def _claim(self, frame: int, page: memoryview, n: int, place: tuple[int, int, bool]) -> tuple[int, int]:
        """Make the line pointer and the bounds for ``place``; (slot, offset)."""
        slot, offset, compact = place
        if compact:
            self._compact(frame, page)
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        if compact:
            offset = upper - n
        at = HEADER_BYTES + 4 * (slot - 1)
        put_diff(self.mtr, frame, page, OFF_LOWER, struct.pack("<HH", max(lower, at + 4), min(upper, offset)))
        put_diff(self.mtr, frame, page, at, struct.pack("<HH", offset, NORMAL << 14 | n))
        return slot, offset

    def _is_ours(self, page: memoryview) -> bool:
        """Whether the page is this heap's. A recycled extent still holds its earlier owner's pages: they count as
        empty.
        """
        return page[OFF_KIND] == PageKind.HEAP and struct.unpack_from("<I", page, OFF_RELFILE)[0] == self.relfile

    def _init(self, frame: int) -> None:
        """Make an empty page of this heap of whatever was there."""
        self.mtr.put(frame, OFF_KIND, empty_header(self.relfile))

    # Writing

    def insert(self, block: int, image: bytes, xid: int, cid: int, reserve: int) -> int:
        """Store a tuple image of ``RowCodec.encode``: its tid, 0 without room (``reserve`` bytes stay free on a page
        that has rows), or minus a missing page."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        n = len(image)
        try:
            if not self._is_ours(page):
                self._init(frame)
                place: tuple[int, int, bool] | None = (1, PAGE_BYTES - n, False)
            else:
                place = self._place(page, n, reserve if self._slots(page) else 0)
            if place is None:
                return 0
            slot, offset = self._claim(frame, page, n, place)
            header = image[:OFF_XMIN] + xid.to_bytes(8, "little") + cid.to_bytes(4, "little")
            self.mtr.put(frame, offset, header + image[OFF_CMIN + 4 :])
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return block << 16 | slot

    def update(
        self,
        tid: int,
        positions: Sequence[int],
        values: Sequence[Datum],
        xid: int,
        cid: int,
        hot: bool,
        key_changed: bool,
        block: int,
        forced: bool = False,
    ) -> int:
        """Supersede version ``tid`` by one with columns ``positions`` set to ``values``, on ``block`` (-1: the same
        one).

        The new tid; 0 without room; RETRY when somebody else supersedes the version; NEEDS_TOAST when the new version
        is longer than the codec's limit and not ``forced``; minus a missing page. ``hot``: no indexed column changes,
        so on the same page the new version is heap-only.
        """
        old_block = tid >> 16
        page_no = self.blocks.page_no(old_block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        flags, offset, length = self._line(page, tid & 0xFFFF)
        if flags != NORMAL:
            return RETRY
        xmax = struct.unpack_from("<Q", page, offset)[0]
        if xmax:
            state = self.clog.state(xmax)
            if state < 0:
                return state
            if state != ABORTED:
                return RETRY
        same = block < 0 or block == old_block
        target, target_frame, target_page = old_block, frame, page
        if not same:
            target = block
            page_no = self.blocks.page_no(block)
            target_frame = self.arena.lookup(page_no)
            if target_frame == MISSING:
                return -page_no
            target_page = self.arena.page(target_frame)
        made = self.codec.replace(page, offset, positions, values, forced)
        if made is None:
            return NEEDS_TOAST
        image, n = made, len(made)
        hot = hot and same
        infomask = image[OFF_INFOMASK] | image[OFF_INFOMASK + 1] << 8 | (HEAP_ONLY if hot else 0)
        image = image[:OFF_INFOMASK] + struct.pack("<HQI", infomask, xid, cid) + image[OFF_CMIN + 4 :]
        try:
            if not self._is_ours(target_page):
                self._init(target_frame)
                place: tuple[int, int, bool] | None = (1, PAGE_BYTES - n, False)
            else:
                place = self._place(target_page, n, 0)
            if place is None:
                return 0
            slot, at = self._claim(target_frame, target_page, n, place)
            if same:
                _, offset, length = self._line(page, tid & 0xFFFF)
                self.mtr.move(frame, offset, at, min(n, length))
                put_diff(self.mtr, frame, page, at, image)
            else:
                self.mtr.put(target_frame, at, image)
            self._supersede(frame, page, offset, xid, cid, target, slot, hot, key_changed)
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return target << 16 | slot

    def _supersede(
        self,
        frame: int,
        page: memoryview,
        offset: int,
        xid: int,
        cid: int,
        next_block: int,
        next_slot: int,
        hot: bool,
        key_changed: bool,
    ) -> None:
        infomask = page[offset + OFF_INFOMASK] | page[offset + OFF_INFOMASK + 1] << 8
        infomask &= ~(HOT_UPDATED | KEY_CHANGED)
        infomask |= (HOT_UPDATED if hot else 0) | (KEY_CHANGED if key_changed else 0)
        put_diff(self.mtr, frame, page, offset, struct.pack("<QIHIH", xid, next_block, next_slot, cid, infomask))

    def delete(self, tid: int, xid: int, cid: int, away: bool = False) -> int:
        """Mark version ``tid`` deleted, or (``away``) moved to another relation: 1, RETRY, or minus a missing page."""
        page_no = self.blocks.page_no(tid >> 16)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        flags, offset, _ = self._line(page, tid & 0xFFFF)
        if flags != NORMAL:
            return RETRY
        xmax = struct.unpack_from("<Q", page, offset)[0]
        if xmax:
            state = self.clog.state(xmax)
            if state < 0:
                return state
            if state != ABORTED:
                return RETRY
        try:
            self._supersede(frame, page, offset, xid, cid, AWAY_BLOCK if away else 0, 0, False, True)
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return 1

    def key_is_changing(self, tid: int) -> int:
        """Whether the version's xmax deleted the row or changed its key: 1 or 0, or minus a missing page."""
        page_no = self.blocks.page_no(tid >> 16)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        flags, offset, _ = self._line(page, tid & 0xFFFF)
        return int(flags != NORMAL or bool(page[offset + OFF_INFOMASK + 1] << 8 & KEY_CHANGED))

    def successor(self, tid: int) -> int:
        """The version that the one at ``tid`` was updated to, committed or not: 0 when there is none (any more), minus
        a missing page."""
        found, writer = 0, 0
        for at in (tid, 0):
            at = at or found
            page_no = self.blocks.page_no(at >> 16)
            frame = self.arena.lookup(page_no)
            if frame == MISSING:
                return -page_no
            page = self.arena.page(frame)
            flags, offset, _ = self._line(page, at & 0xFFFF)
            if flags != NORMAL:
                return 0
            if found:
                return found if struct.unpack_from("<Q", page, offset + OFF_XMIN)[0] == writer else 0
            writer, next_block, next_slot = struct.unpack_from("<QIH", page, offset)
            if not writer or not next_slot:
                return 0
            found = next_block << 16 | next_slot
        return 0

    # Cleaning

    def prune(self, block: int, horizon: int) -> int:
        """Remove versions that no snapshot at or after LSN ``horizon`` sees: how many, or minus a missing page.

        A chain's dead head goes and its root line pointer becomes a redirect, or dead when nothing remains; heap-only
        versions of aborted transactions go too.
        """
        return self._prune(block, horizon, True)

    def _prune(self, block: int, horizon: int, indexed: bool) -> int:
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        if not self._is_ours(page):
            return 0
        lines: dict[int, tuple[int, int]] = {}
        removed = 0
        for root in range(1, self._slots(page) + 1):
            flags, offset, _ = self._line(page, root)
            if flags == NORMAL and self._is_heap_only(page, offset):
                state = self.clog.state(struct.unpack_from("<Q", page, offset + OFF_XMIN)[0])
                if state < 0:
                    return state
                if state == ABORTED:
                    lines[root] = (0, UNUSED)
                    removed += 1
                continue
            if flags not in (NORMAL, REDIRECT):
                continue
            dead, live = self._dead_head(page, offset if flags == REDIRECT else root, horizon)
            if live < 0:
                return live
            if not dead:
                continue
            removed += len(dead)
            for slot in dead:
                lines[slot] = (0, UNUSED)
            lines[root] = (live, REDIRECT) if live else (0, DEAD if indexed else UNUSED)
        if lines:
            self._put_lines(frame, page, lines)
        return removed

    def _dead_head(self, page: memoryview, slot: int, horizon: int) -> tuple[list[int], int]:
        """(slots of the dead versions at a chain's head, first slot that stays or 0; minus a missing page)."""
        dead: list[int] = []
        expected = 0
        while True:
            flags, offset, _ = self._line(page, slot)
            if flags != NORMAL:
                return dead, 0
            xmin = struct.unpack_from("<Q", page, offset + OFF_XMIN)[0]
            if expected and xmin != expected:
                return dead, 0
            born = self.clog.state(xmin)
            if born < 0:
                return dead, born
            if born == ABORTED:
                dead.append(slot)
                return dead, 0
            xmax, _, following = struct.unpack_from("<QIH", page, offset)
            died = self.clog.state(xmax) if xmax and born != IN_PROGRESS else ABORTED
            if died < 0:
                return dead, died
            if died in (ABORTED, IN_PROGRESS) or died > horizon:
                return dead, slot
            dead.append(slot)
            if not following or not page[offset + OFF_INFOMASK + 1] << 8 & HOT_UPDATED:
                return dead, 0
            slot, expected = following, xmax

    def _put_lines(self, frame: int, page: memoryview, lines: dict[int, tuple[int, int]]) -> None:
        """Change line pointers (offset, flags), one MTR. Unused ones at the end go, and with the last version all space
        is one."""
        upper = struct.unpack_from("<H", page, OFF_LOWER + 2)[0]
        pointers = []
        for slot in range(1, self._slots(page) + 1):
            flags, offset, length = self._line(page, slot)
            if slot in lines:
                offset, flags = lines[slot]
                length = 0
            pointers.append((offset, flags << 14 | length))
        while pointers and pointers[-1][1] >> 14 == UNUSED:
            pointers.pop()
        if not any(word >> 14 == NORMAL for _, word in pointers):
            upper = PAGE_BYTES
        lower = HEADER_BYTES + 4 * len(pointers)
        try:
            put_diff(self.mtr, frame, page, OFF_LOWER, struct.pack("<HH", lower, upper))
            put_diff(self.mtr, frame, page, HEADER_BYTES, b"".join(struct.pack("<HH", *each) for each in pointers))
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
