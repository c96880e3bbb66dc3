"""The open end of the log, and the page editor: the only way in which a page changes.

A mini-transaction (MTR) edits pages through ``Mtr``: every call writes the bytes and the redo at once. ``commit``
encodes one record a page, in order of first touch, the last one a consistency point (CPL), and allocates their LSNs;
``rollback`` puts the before-images back. Editing never waits. The gather phase (pages resident, log space reserved) is
the caller's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import TracebackType

from aurora.errors import InvariantViolation
from aurora.ids import Lsn
from aurora.kernels.python.arena import Arena
from aurora.kernels.python.redo import (
    FLAG_CPL,
    FLAG_NOTE,
    IMAGE,
    IMAGE_FROM,
    MOVE,
    NO_PAGE,
    PUT,
    apply,
    encode_record,
    write_varint,
)
from aurora.page import OFF_LOWER, OFF_UPPER, PAGE_BYTES

MTR_MAX_BYTES = 1 << 20
"""Largest redo of one MTR."""

FREE_BYTES = 24
"""What a FREE counts for: its record is never longer, page number and back-links included."""

NOTE_PG = 0
"""Protection group whose chain carries the notes."""

Run = tuple[int, int, int, int, int, bytes]
"""``(pg, prev_lsn, first_lsn, last_lsn, last_cpl, records)``: what one flush sends to one protection group.
``last_cpl`` is the highest CPL in the run, 0 when it has none."""


class RedoLog:
    """Allocates LSNs and gathers encoded records per protection group until ``take``.

    ``pg_last`` maps a protection group to its last LSN, ``next_lsn`` is where the next record goes, ``last_lsn`` the
    volume's last record and ``last_cpl`` its last CPL. ``pending_bytes`` counts what ``take`` would return.
    """

    def __init__(self, next_lsn: int, last_lsn: int, pages_per_pg: int, pg_last: Mapping[int, int]) -> None:
        self.next_lsn = Lsn(next_lsn)
        self.last_lsn = Lsn(last_lsn)
        self.last_cpl = self.last_lsn
        self.pages_per_pg = pages_per_pg
        self.pg_last = dict(pg_last)
        self.pending_bytes = 0
        self._open: dict[int, tuple[int, int, bytearray]] = {}
        self._open_cpl: dict[int, int] = {}

    def append(self, page_no: int, page_prev_lsn: int, ops: bytes, flags: int) -> Lsn:
        """Encode one record; returns its LSN. ``page_no`` is ``NO_PAGE`` for a note."""
        pg = NOTE_PG if page_no == NO_PAGE else page_no // self.pages_per_pg
        lsn, pg_prev = self.next_lsn, self.pg_last.get(pg, 0)
        record = encode_record(lsn, self.last_lsn, pg_prev, page_no, page_prev_lsn, ops, flags)
        if pg not in self._open:
            self._open[pg] = (pg_prev, lsn, bytearray())
        self._open[pg][2].extend(record)
        if flags & FLAG_CPL:
            self._open_cpl[pg] = self.last_cpl = lsn
        self.pg_last[pg] = self.last_lsn = lsn
        self.next_lsn = Lsn(lsn + len(record))
        self.pending_bytes += len(record)
        return lsn

    def take(self) -> list[Run]:
        """What has been appended since the last call, a run a protection group; empties the log's open end."""
        runs = [
            (pg, prev, first, self.pg_last[pg], self._open_cpl.get(pg, 0), bytes(data))
            for pg, (prev, first, data) in self._open.items()
        ]
        self._open.clear()
        self._open_cpl.clear()
        self.pending_bytes = 0
        return runs


class Mtr:
    """The page editor. One object serves a process: it holds one MTR at a time.

    ``active`` is true from the first edit to ``commit`` or ``rollback``. ``verify`` replays each MTR on the
    before-images at commit and compares. As a context manager it commits, or rolls back when the block raises.
    """

    def __init__(self, arena: Arena, log: RedoLog) -> None:
        self.arena = arena
        self.log = log
        self.verify = False
        self.active = False
        self._before: dict[int, bytes] = {}
        self._ops: dict[int, bytearray] = {}
        self._images: set[int] = set()
        self._notes: list[bytes] = []
        self._freed: list[int] = []
        self._bytes = 0

    def __enter__(self) -> Mtr:
        if self.active:
            raise InvariantViolation("a mini-transaction is already being edited")
        self.active = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def _touch(self, frame: int, cost: int) -> bytearray:
        ops = self._ops.get(frame)
        if ops is None:
            self.active = True
            if self.arena.page_of[frame] < 0:
                raise InvariantViolation(f"edit of the free frame {frame}")
            self._before[frame] = bytes(self.arena.page(frame))
            ops = self._ops[frame] = bytearray()
        self._bytes += cost
        if self._bytes > MTR_MAX_BYTES:
            raise InvariantViolation(f"mini-transaction exceeds {MTR_MAX_BYTES} bytes")
        return ops

    def put(self, frame: int, offset: int, data: bytes) -> None:
        """Write ``data`` at ``offset`` of the frame's page."""
        if offset < IMAGE_FROM or offset + len(data) > PAGE_BYTES:
            raise InvariantViolation(f"edit of {len(data)} bytes at {offset}")
        ops = self._touch(frame, len(data) + 4)
        self.arena.page(frame)[offset : offset + len(data)] = data
        write_varint(ops, offset << 2 | PUT)
        write_varint(ops, len(data))
        ops += data

    def put_u8(self, frame: int, offset: int, value: int) -> None:
        """Write one byte."""
        self.put(frame, offset, bytes((value,)))

    def put_u16(self, frame: int, offset: int, value: int) -> None:
        """Write a little-endian u16."""
        self.put(frame, offset, value.to_bytes(2, "little"))

    def put_u32(self, frame: int, offset: int, value: int) -> None:
        """Write a little-endian u32."""
        self.put(frame, offset, value.to_bytes(4, "little"))

    def put_u64(self, frame: int, offset: int, value: int) -> None:
        """Write a little-endian u64."""
        self.put(frame, offset, value.to_bytes(8, "little"))

    def move(self, frame: int, source: int, to: int, length: int) -> None:
        """Copy ``length`` bytes within the page, as memmove does."""
        if min(source, to) < IMAGE_FROM or max(source, to) + length > PAGE_BYTES:
            raise InvariantViolation(f"move of {length} bytes from {source} to {to}")
        ops = self._touch(frame, 8)
        page = self.arena.page(frame)
        page[to : to + length] = bytes(page[source : source + length])
        write_varint(ops, to << 2 | MOVE)
        write_varint(ops, source)
        write_varint(ops, length)

    def image(self, frame: int, content: bytes) -> None:
        """Replace the page's bytes from 12 on by ``content[12:8192]``; its redo is one IMAGE, which takes in later
        edits.
        """
        if len(content) != PAGE_BYTES:
            raise InvariantViolation(f"page image of {len(content)} bytes")
        self._touch(frame, PAGE_BYTES)
        self.arena.page(frame)[IMAGE_FROM:] = content[IMAGE_FROM:]
        self._images.add(frame)

    def note(self, payload: bytes) -> None:
        """Add a note, opaque to storage."""
        self.active = True
        self._bytes += len(payload)
        if self._bytes > MTR_MAX_BYTES:
            raise InvariantViolation(f"mini-transaction exceeds {MTR_MAX_BYTES} bytes")
        self._notes.append(payload)

    def free_page(self, page_no: int) -> None:
        """Make a page that is not in the arena count as never written from this MTR on (FREE)."""
        if self.arena.contains(page_no):
            raise InvariantViolation(f"page {page_no} is in the arena and cannot be freed")
        self.active = True
        self._bytes += FREE_BYTES
        if self._bytes > MTR_MAX_BYTES:
            raise InvariantViolation(f"mini-transaction exceeds {MTR_MAX_BYTES} bytes")
        self._freed.append(page_no)

    def commit(self) -> int:
        """Encode and append the records; returns the LSN of the last one, the CPL (0 when nothing was edited)."""
        total = len(self._notes) + len(self._ops) + len(self._freed)
        last = 0
        for payload in self._notes:
            total -= 1
            last = self.log.append(NO_PAGE, 0, payload, FLAG_NOTE | (0 if total else FLAG_CPL))
        for frame, ops in self._ops.items():
            page = self.arena.page(frame)
            data = self._image_op(page) if frame in self._images else bytes(ops)
            page_prev = self.arena.page_lsn(frame)
            total -= 1
            last = self.log.append(int(self.arena.page_of[frame]), page_prev, data, 0 if total else FLAG_CPL)
            struct.pack_into("<Q", page, 0, last)
            if self.verify:
                check = bytearray(self._before[frame])
                apply(check, data, 0, len(data), last)
                if check != page:
                    raise InvariantViolation(f"redo of page {self.arena.page_of[frame]} does not give the page")
        for page_no in self._freed:
            total -= 1
            last = self.log.append(page_no, 0, b"", 0 if total else FLAG_CPL)
        self._reset()
        return last

    @staticmethod
    def _image_op(page: memoryview) -> bytes:
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        if not (OFF_UPPER < lower <= upper <= PAGE_BYTES) or any(page[lower:upper]):
            lower = upper = PAGE_BYTES
        ops = bytearray()
        write_varint(ops, lower << 2 | IMAGE)
        write_varint(ops, upper - lower)
        return bytes(ops + page[IMAGE_FROM:lower] + page[upper:])

    def rollback(self) -> None:
        """Put every touched page back to its before-image; nothing reaches the log."""
        for frame, before in self._before.items():
            self.arena.page(frame)[:] = before
        self._reset()

    def _reset(self) -> None:
        self._before.clear()
        self._ops.clear()
        self._images.clear()
        self._notes.clear()
        self._freed.clear()
        self._bytes = 0
        self.active = False
