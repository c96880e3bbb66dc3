"""Whole heap pages at a time: rows into pages, updates and deletes of a page's rows, a page's part of a vacuum.

Each call is at most two mini-transactions of one page (an update's new versions may go to another one), and gives the
same page as the single-row kernels of ``aurora.kernels.python.heap`` would; pages look as told there.
"""

from __future__ import annotations

import struct
from collections.abc import MutableSequence, Sequence

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from aurora.kernels.python.arena import MISSING
from aurora.kernels.python.clog import ABORTED, IN_PROGRESS
from aurora.kernels.python.heap import DEAD, FROZEN_XID, NORMAL, UNUSED, HeapFile, empty_header, put_diff
from aurora.kernels.python.tuples import (
    HAS_EXTERNAL,
    HEAP_ONLY,
    OFF_CMIN,
    OFF_INFOMASK,
    OFF_XMAX,
    OFF_XMIN,
    Projection,
)
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, PAGE_BYTES

PageWork = tuple[int, int, bytes, int, int, int, int, int]
"""Of a vacuum's page: versions removed, versions frozen, slots whose line pointer is dead (a bit each, bit s & 7 of
byte s >> 3), their number, rows that the LSN sees, room for tuples; and when it is clean, which means that every
version is visible to all and none is dead, the page's LSN and the lowest xmin that is not frozen (2**64 - 1: all are),
else 0 and 0."""


class HeapPages(HeapFile):
    """The kernels of one heap relation, those of whole pages among them."""

    # Writing

    def insert_rows(
        self, block: int, rows: Sequence[Sequence[Datum] | bytes], start: int, xid: int, cid: int, reserve: int
    ) -> list[int] | int:
        """Store as many of ``rows[start:]`` as the page has room for, in one mini-transaction: their tids; a missing
        page. Rows and ``reserve`` as for ``fill_page`` and ``insert``. Rows go behind the others as long as no line
        pointer is free; where some are, each row gets a place of its own."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        tids: list[int] = []
        lines, body = b"", b""
        try:
            if not self._is_ours(page):
                self._init(frame)
            slots = self._slots(page)
            is_plain = all(self._line(page, slot)[0] != UNUSED for slot in range(1, slots + 1))
            lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
            for i in range(start, len(rows)):
                row = rows[i]
                made = row if isinstance(row, bytes) else self.codec.encode(row)
                if made is None:
                    break
                n = len(made)
                image = made[:OFF_XMIN] + struct.pack("<QI", xid, cid) + made[OFF_CMIN + 4 :]
                room = upper - lower - len(body) - len(lines)
                if is_plain and room >= n + 4 + (reserve if slots else 0):
                    body = image + body
                    lines += struct.pack("<HH", upper - len(body), NORMAL << 14 | n)
                    slots += 1
                    tids.append(block << 16 | slots)
                    continue
                place = None if lines else self._place(page, n, reserve if slots else 0)
                if place is None:
                    break
                is_plain = False
                slot, offset = self._claim(frame, page, n, place)
                self.mtr.put(frame, offset, image)
                slots = self._slots(page)
                tids.append(block << 16 | slot)
            if lines:
                upper -= len(body)
                self.mtr.put(frame, OFF_LOWER, struct.pack("<HH", lower + len(lines), upper))
                self.mtr.put(frame, lower, lines)
                self.mtr.put(frame, upper, body)
            if tids:
                self.mtr.commit()
            else:
                self.mtr.rollback()
        except BaseException:
            self.mtr.rollback()
            raise
        return tids

    def probe_page(self, tids: list[int], start: int, proj: Projection) -> list[Row] | int:
        """The rows of the versions of ``tids[start:]``, as many as are of one page, whole there and superseded by
        nobody; a missing page."""
        block = tids[start] >> 16
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        rows: list[Row] = []
        for tid in tids[start:]:
            flags, offset, _ = self._line(page, tid & 0xFFFF)
            if tid >> 16 != block or flags != NORMAL or page[offset + OFF_INFOMASK + 1] << 8 & HAS_EXTERNAL:
                break
            xmax = struct.unpack_from("<Q", page, offset)[0]
            state = self.clog.state(xmax) if xmax else ABORTED
            if state < 0 and not rows:
                return -state
            if state != ABORTED:
                break
            rows.append(proj.row(page, offset, tid))
        return rows

    def update_page(
        self,
        tids: list[int],
        start: int,
        values: Sequence[Sequence[Datum] | None],
        positions: Sequence[int],
        xid: int,
        cid: int,
        hot: bool,
        new_keys: bytes | None,
        elsewhere: int,
    ) -> list[int] | int:
        """Supersede the versions ``tids[start:]``, all of one page, by ones with columns ``positions`` set to
        ``values`` (None: that one stays), in one mini-transaction. New versions go to the same page while it has room,
        then to block ``elsewhere`` (-1: nowhere). ``new_keys`` has a byte a row, 1: its key changes; ``hot`` as for
        ``update``. The new tids (0 of one that stays), up to the first version that finds no room, is too long or has
        been superseded; a missing page."""
        target_frame, target_page = -1, None
        if elsewhere >= 0:
            page_no = self.blocks.page_no(elsewhere)
            target_frame = self.arena.lookup(page_no)
            if target_frame == MISSING:
                return page_no
            target_page = self.arena.page(target_frame)
        made: list[int] = []
        edited, too_much = False, PAGE_BYTES
        try:
            for i, row in enumerate(values):
                if row is None:
                    made.append(0)
                    continue
                tid = tids[start + i]
                block = tid >> 16
                page_no = self.blocks.page_no(block)
                frame = self.arena.lookup(page_no)
                if frame == MISSING:
                    return page_no
                page = self.arena.page(frame)
                flags, offset, length = self._line(page, tid & 0xFFFF)
                if flags != NORMAL:
                    break
                xmax = struct.unpack_from("<Q", page, offset)[0]
                state = self.clog.state(xmax) if xmax else ABORTED
                if state < 0 and not edited and not made:
                    return -state
                image = self.codec.replace(page, offset, positions, row, False) if state == ABORTED else None
                if image is None:
                    break
                n = len(image)
                place = self._place(page, n, 0) if n < too_much else None
                same = place is not None
                if place is None:
                    too_much = min(too_much, n)
                    if target_page is None:
                        break
                    if not self._is_ours(target_page):
                        self._init(target_frame)
                    place = self._place(target_page, n, 0)
                    if place is None:
                        break
                edited = True
                infomask = image[OFF_INFOMASK] | image[OFF_INFOMASK + 1] << 8 | (HEAP_ONLY if hot and same else 0)
                image = image[:OFF_INFOMASK] + struct.pack("<HQI", infomask, xid, cid) + image[OFF_CMIN + 4 :]
                if same:
                    slot, at = self._claim(frame, page, n, place)
                    _, offset, length = self._line(page, tid & 0xFFFF)
                    self.mtr.move(frame, offset, at, min(n, length))
                    put_diff(self.mtr, frame, page, at, image)
                else:
                    block = elsewhere
                    slot, at = self._claim(target_frame, target_page or page, n, place)
                    self.mtr.put(target_frame, at, image)
                key_changed = new_keys is not None and new_keys[i] != 0
                self._supersede(frame, page, offset, xid, cid, block, slot, hot and same, key_changed)
                made.append(block << 16 | slot)
            if edited:
                self.mtr.commit()
            else:
                self.mtr.rollback()
        except BaseException:
            self.mtr.rollback()
            raise
        return made

    def delete_many(self, tids: list[int], start: int, xid: int, cid: int) -> int:
        """Mark versions of ``tids[start:]`` deleted, as many as are of one page, whole there and superseded by nobody,
        in one mini-transaction: their number (0: the first wants a look of its own), or minus a missing page."""
        block = tids[start] >> 16
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        done = start
        try:
            while done < len(tids) and tids[done] >> 16 == block:
                flags, offset, _ = self._line(page, tids[done] & 0xFFFF)
                if flags != NORMAL or struct.unpack_from("<Q", page, offset)[0]:
                    break
                if page[offset + OFF_INFOMASK + 1] << 8 & HAS_EXTERNAL:
                    break
                self._supersede(frame, page, offset, xid, cid, 0, 0, False, True)
                done += 1
            if done > start:
                self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return done - start

    def fill_page(
        self, rows: Sequence[Sequence[Datum] | bytes], start: int, xid: int, cid: int, reserve: int
    ) -> tuple[bytes, int]:
        """The image of a fresh page with as many of ``rows[start:]`` as fit, and their number. A row may be given as
        its tuple image; one that is longer than the codec's limit ends the page before it."""
        content = bytearray(PAGE_BYTES)
        content[OFF_KIND:HEADER_BYTES] = empty_header(self.relfile)
        lower, upper, count = HEADER_BYTES, PAGE_BYTES, 0
        stamp = xid.to_bytes(8, "little") + cid.to_bytes(4, "little")
        for i in range(start, len(rows)):
            row = rows[i]
            image = row if isinstance(row, bytes) else self.codec.encode(row)
            if image is None:
                break
            n = len(image)
            if upper - lower < n + 4 + (reserve if count else 0):
                break
            upper -= n
            content[upper : upper + n] = image
            content[upper + OFF_XMIN : upper + OFF_CMIN + 4] = stamp
            struct.pack_into("<HH", content, lower, upper, NORMAL << 14 | n)
            lower += 4
            count += 1
        struct.pack_into("<HH", content, OFF_LOWER, lower, upper)
        return bytes(content), count

    # Cleaning

    def free_dead(self, block: int, dead: bytes) -> int:
        """Make dead line pointers unused, once no index entry names them: their number, or minus a missing page.
        ``dead`` is as ``vacuum_page`` gives it."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        slots = [slot for slot in range(8 * len(dead)) if dead[slot >> 3] >> (slot & 7) & 1]
        for slot in slots:
            if self._line(page, slot)[0] != DEAD:
                raise InvariantViolation(f"line pointer {slot} of block {block} in heap {self.relfile} is not dead")
        if slots:
            self._put_lines(frame, page, dict.fromkeys(slots, (0, UNUSED)))
        return len(slots)

    def freeze(self, block: int, horizon: int, before_xid: int) -> int:
        """Replace xmin below ``before_xid`` that committed at or below ``horizon`` by the frozen xid, and clear xmax
        that aborted: versions changed, or minus a missing page."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        page = self.arena.page(frame)
        if not self._is_ours(page):
            return 0
        edits: list[tuple[int, int]] = []
        for slot in range(1, self._slots(page) + 1):
            flags, offset, _ = self._line(page, slot)
            if flags != NORMAL:
                continue
            for field in (OFF_XMIN, OFF_XMAX):
                xid = struct.unpack_from("<Q", page, offset + field)[0]
                if xid <= FROZEN_XID or xid >= before_xid:
                    continue
                state = self.clog.state(xid)
                if state < 0:
                    return state
                if field == OFF_XMIN and ABORTED < state <= horizon:
                    edits.append((offset + field, FROZEN_XID))
                elif field == OFF_XMAX and state == ABORTED:
                    edits.append((offset + field, 0))
        try:
            for at, value in edits:
                put_diff(self.mtr, frame, page, at, value.to_bytes(8, "little"))
            self.mtr.commit()
        except BaseException:
            self.mtr.rollback()
            raise
        return len(edits)

    def vacuum_page(self, block: int, horizon: int, before_xid: int, lsn: int, indexed: bool) -> PageWork | int:
        """One page's part of a vacuum: ``prune`` and ``freeze`` where there is something to be done, and what there is
        on the page then; a missing page. Without indexes no line pointer stays dead."""
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return page_no
        page = self.arena.page(frame)
        if not self._is_ours(page):
            return 0, 0, b"", 0, 0, PAGE_BYTES - HEADER_BYTES - 4, 0, 0
        rows, oldest, prunes, freezes, is_clean = 0, (1 << 64) - 1, False, False, True
        # Whatever is needed of the commit log is looked at before the first edit.
        for slot in range(1, self._slots(page) + 1):
            flags, offset, _ = self._line(page, slot)
            if flags != NORMAL:
                continue
            xmin = struct.unpack_from("<Q", page, offset + OFF_XMIN)[0]
            born = self.clog.state(xmin)
            if born < 0:
                return -born
            xmax = struct.unpack_from("<Q", page, offset)[0]
            died = self.clog.state(xmax) if xmax else ABORTED
            if died < 0:
                return -died
            rows += ABORTED < born <= lsn and (died in (ABORTED, IN_PROGRESS) or died > lsn)
            prunes = prunes or born == ABORTED or ABORTED < died <= horizon
            oldest = min(oldest, xmin) if xmin > FROZEN_XID else oldest
            is_clean = is_clean and ABORTED < born <= horizon and not xmax
            freezes = freezes or (FROZEN_XID < xmin < before_xid and ABORTED < born <= horizon)
            freezes = freezes or (FROZEN_XID < xmax < before_xid and died == ABORTED)
        removed = self._prune(block, horizon, indexed) if prunes else 0
        frozen = self.freeze(block, horizon, before_xid) if freezes else 0
        dead = [slot for slot in range(1, self._slots(page) + 1) if self._line(page, slot)[0] == DEAD]
        if removed or frozen or dead:
            is_clean = False
        page_lsn = struct.unpack_from("<Q", page)[0]
        room = max(0, self._free(page) - 4)
        bits = sum(1 << slot for slot in dead).to_bytes(max(dead) // 8 + 1, "little") if dead else b""
        return removed, frozen, bits, len(dead), rows, room, page_lsn if is_clean else 0, oldest if is_clean else 0

    def clean_run(
        self, block: int, end: int, lsns: MutableSequence[int], oldest: MutableSequence[int], before_xid: int
    ) -> int:
        """The first block from ``block`` on that is not in the arena as it was found clean (``lsns``: its LSN then, 0:
        never, ``oldest``: its lowest xmin), or has an xmin below ``before_xid``; ``end`` when there is none."""
        while block < end and lsns[block] and oldest[block] >= before_xid:
            page_no = self.blocks.page_no(block)
            if not self.arena.contains(page_no) or self.arena.page_lsn(self.arena.lookup(page_no)) != lsns[block]:
                break
            block += 1
        return block
