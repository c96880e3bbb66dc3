"""The page store of one PG: the newest coalesced version of each page, in place, in ``pages-<pg>``.

Input: pages from coalescing or from a peer's baseline → output: page bases for reads. Page ``i`` of the PG lies at
``i × 8192`` with its CRC-32C in the header's checksum field; 8192 zeros are a page that was never written. The file is
sparse. The checksum is of the page with PG and index in that field, so that a page in another's place is damaged.

A crash may tear a page that is being written, so pages go through ``torn-<pg>`` first (a double write)::

     0     4  magic   "AURT"
     4     8  version u32  2
     8    12  count   u32
    12    16  crc32c  u32  over bytes 0 to 12 and all that follows
    16        count × { u64 index in the PG, bit 63 set for a freed page; else 8192 bytes page with checksum }
              zeros up to a multiple of 4096

``stage`` writes that file, and after its sync ``place`` writes the pages in place and punches holes where pages were
freed; their sync ends the round. A freed page is a hole from then on, as if it had never been written. At start
a sound ``torn-<pg>`` is placed again, which does no harm when it had been placed; an unsound one was never synced, so
the pages in place are whole.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator, Sequence

import google_crc32c

from aurora.errors import InvariantViolation
from aurora.medium import BLOCK_BYTES, read_around
from aurora.page import OFF_CHECKSUM, PAGE_BYTES
from aurora.seams import Disk

MAGIC = b"AURT"
VERSION = 2
FREED = 1 << 63
"""Bit of a staged index: the page was freed, no bytes follow."""
READ_PAGES = 64
"""Pages read at once by ``pages``."""

_HEADER = struct.Struct("<4sIII")
_INDEX = struct.Struct("<Q")
_IDENTITY = struct.Struct("<II")
_U32 = struct.Struct("<I")
_LSN = struct.Struct("<Q")
_ZERO_PAGE = bytes(PAGE_BYTES)
_ZERO_PAGES = bytes(READ_PAGES * PAGE_BYTES)

logger = logging.getLogger(__name__)


class PageDamaged(InvariantViolation):
    """A stored page does not match its checksum, or its log; ``index`` is its number in the PG."""

    def __init__(self, pg: int, index: int, what: str = "does not match its checksum") -> None:
        super().__init__(f"stored page {index} of PG {pg} {what}")
        self.pg = pg
        self.index = index


def checksum(page: bytes | bytearray, pg: int, index: int) -> int:
    """CRC-32C of the page with u32 PG and u32 index in the PG in place of its checksum field."""
    crc = google_crc32c.value(bytes(page[:OFF_CHECKSUM]) + _IDENTITY.pack(pg, index))
    return int(google_crc32c.extend(crc, bytes(page[OFF_CHECKSUM + 4 :])))


def page_lsn(page: bytes | bytearray | memoryview) -> int:
    """The page's LSN; 0 = never written."""
    return int(_LSN.unpack_from(page)[0])


def seal(page: bytearray, pg: int, index: int) -> bytes:
    """The page as it is stored at that place, with its checksum; a page that was never written is 8192 zeros."""
    if page == _ZERO_PAGE:
        return _ZERO_PAGE
    _U32.pack_into(page, OFF_CHECKSUM, checksum(page, pg, index))
    return bytes(page)


def unseal(page: bytes, pg: int, index: int) -> bytearray | None:
    """The page with its checksum field zero, as it is served; None when the checksum does not match: it is damaged, or
    not the one that belongs there.
    """
    if page == _ZERO_PAGE:
        return bytearray(page)
    if _U32.unpack_from(page, OFF_CHECKSUM)[0] != checksum(page, pg, index):
        return None
    out = bytearray(page)
    _U32.pack_into(out, OFF_CHECKSUM, 0)
    return out


class PageStore:
    """One PG's stored pages. ``name`` and ``torn_name`` are what to sync after ``place`` and ``stage``."""

    def __init__(self, disk: Disk, pg: int) -> None:
        self._disk = disk
        self.pg = pg
        self.name = f"pages-{pg}"
        self.torn_name = f"torn-{pg}"
        self._staged: list[tuple[int, bytes | None]] = []
        names = disk.list()
        self.file_bytes = disk.size(self.name) if self.name in names else 0
        if self.torn_name in names:
            self._repair()

    def _repair(self) -> None:
        # As durable as it was before its pages were placed the first time: this time may be torn as well.
        self._disk.sync(self.torn_name)
        self._disk.uncache(self.torn_name, 0, self._disk.size(self.torn_name))
        data, _ = self._read_torn()
        pages = decode_torn(data)
        if pages is None:
            self.empty_torn()  # it was never synced, or has decayed: nobody is to take it for anything
            return
        logger.info("PG %d: %d staged pages placed again after a restart", self.pg, len(pages))
        self._write(pages)
        if self.file_bytes:
            self._disk.sync(self.name)

    def _read_torn(self) -> tuple[bytes, int]:
        return read_around(self._disk, self.torn_name, 0, self._disk.size(self.torn_name))

    def read(self, index: int) -> bytearray | None:
        """The stored page, checksum field zero; None when never written. PageDamaged when its checksum is wrong."""
        offset = index * PAGE_BYTES
        if offset >= self.file_bytes:
            return None
        try:
            data = self._disk.read(self.name, offset, PAGE_BYTES)
        except OSError as error:
            logger.error("%s at page %d: %s", self.name, index, error)
            data = b""
        page = unseal(data, self.pg, index) if len(data) == PAGE_BYTES else None
        if page is None:
            raise PageDamaged(self.pg, index)
        return page if page_lsn(page) else None

    @property
    def file_pages(self) -> int:
        """Pages up to the last one ever stored."""
        return self.file_bytes // PAGE_BYTES

    @property
    def allocated_bytes(self) -> int:
        """What the pages take on the disk, holes left out."""
        return self._disk.allocated(self.name) if self.file_bytes else 0

    def holds(self, index: int) -> bool:
        """Whether there is a page at ``index``, sound or not."""
        offset = index * PAGE_BYTES
        return offset < self.file_bytes and read_around(self._disk, self.name, offset, PAGE_BYTES)[0] != _ZERO_PAGE

    def stage(self, pages: Sequence[tuple[int, bytearray | None]]) -> None:
        """Write ``(index, page)``, None for a freed one, to the torn-page file; sync ``torn_name`` before ``place``."""
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged already")
        staged = [(index, None if page is None else seal(page, self.pg, index)) for index, page in pages]
        body = b"".join(
            _INDEX.pack(index | FREED) if page is None else _INDEX.pack(index) + page for index, page in staged
        )
        head = _HEADER.pack(MAGIC, VERSION, len(staged), 0)[:12]
        crc = google_crc32c.extend(google_crc32c.value(head), body)
        data = head + _U32.pack(crc) + body
        # Whole blocks: to write a part of one, the system reads it first, which an unreadable sector would not let it.
        self._disk.write(self.torn_name, 0, data + bytes(-len(data) % BLOCK_BYTES))
        self._staged = staged

    def place(self) -> None:
        """Write the staged pages in place; sync ``name`` before the log below them is given up."""
        self._write(self._staged)
        self._staged = []

    def overwrite(self, first: int, pages: bytes) -> None:
        """Write sealed pages from index ``first`` on in place, with no protection against tearing: for a range that
        does not count before ``name`` is synced. Nothing may be staged.
        """
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged")
        self._disk.write(self.name, first * PAGE_BYTES, pages)
        self.file_bytes = max(self.file_bytes, first * PAGE_BYTES + len(pages))

    def discard(self, first: int, count: int) -> bool:
        """Make holes of the pages, in the same way; those behind the last one stored are holes already. True when there
        is something to sync.
        """
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged")
        count = min(count, self.file_pages - first)
        if count <= 0:
            return False
        self._disk.discard(self.name, first * PAGE_BYTES, count * PAGE_BYTES)
        return True

    def forget_torn(self) -> None:
        """Durably empty the torn-page file: a restart must not place what is older than pages yet to be overwritten."""
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged")
        if self.torn_name in self._disk.list():
            self._disk.truncate(self.torn_name, 0)

    def _write(self, pages: Sequence[tuple[int, bytes | None]]) -> None:
        for index, page in pages:
            if page is not None:
                self._disk.write(self.name, index * PAGE_BYTES, page)
                self.file_bytes = max(self.file_bytes, (index + 1) * PAGE_BYTES)
        for first, count in _runs(index for index, page in pages if page is None):
            if first * PAGE_BYTES < self.file_bytes:
                self._disk.discard(self.name, first * PAGE_BYTES, count * PAGE_BYTES)

    def torn_sound(self) -> bool:
        """Whether the torn-page file is empty or as it was written, and can be read to its end; not to be asked while
        pages are staged.
        """
        if self.torn_name not in self._disk.list():
            return True
        data, lost_bytes = self._read_torn()
        return not data or (not lost_bytes and decode_torn(data) is not None)

    def empty_torn(self) -> None:
        """What the torn-page file held is in place, durably, or void: cut it."""
        self._disk.truncate(self.torn_name, 0)

    def damaged_pages(self, first: int, count: int) -> list[int]:
        """Read up to ``count`` pages from index ``first`` on, past every cache; indexes of the unsound ones."""
        count = min(count, self.file_bytes // PAGE_BYTES - first)
        try:
            data = self._disk.read(self.name, first * PAGE_BYTES, count * PAGE_BYTES)
        except OSError as error:
            logger.error("%s at page %d: %s", self.name, first, error)
            if count == 1:
                return [first]
            return [index for i in range(first, first + count) for index in self.damaged_pages(i, 1)]
        self._disk.uncache(self.name, first * PAGE_BYTES, count * PAGE_BYTES)
        if data == _ZERO_PAGES[: count * PAGE_BYTES]:
            return []
        pages = (data[at : at + PAGE_BYTES] for at in range(0, count * PAGE_BYTES, PAGE_BYTES))
        return [
            index
            for index, page in enumerate(pages, first)
            if len(page) < PAGE_BYTES or unseal(page, self.pg, index) is None
        ]

    def pages(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytearray | None]]:
        """``(index, page)`` of all written pages from ``start`` to before ``stop``; the page is None where it is
        damaged or cannot be read.
        """
        end = self.file_pages
        end = end if stop is None else min(end, stop)
        for first in range(start, end, READ_PAGES):
            data, _ = read_around(self._disk, self.name, first * PAGE_BYTES, min(READ_PAGES, end - first) * PAGE_BYTES)
            if data == _ZERO_PAGES[: len(data)]:
                continue
            for at in range(0, len(data), PAGE_BYTES):
                raw = data[at : at + PAGE_BYTES]
                if raw != _ZERO_PAGE:
                    index = first + at // PAGE_BYTES
                    yield index, unseal(raw, self.pg, index)


def _runs(indexes: Iterable[int]) -> list[tuple[int, int]]:
    """``(first, count)`` of the runs of neighbours, in order."""
    runs: list[tuple[int, int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][0] + runs[-1][1] == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def decode_torn(data: bytes) -> list[tuple[int, bytes | None]] | None:
    """The pages of a torn-page file, None for a freed one; None when it is not sound. Bytes behind the last page are of
    an older, longer round.
    """
    if len(data) < _HEADER.size:
        return None
    magic, version, count, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        return None
    pages: list[tuple[int, bytes | None]] = []
    at = _HEADER.size
    for _ in range(count):
        if at + _INDEX.size > len(data):
            return None
        index = int(_INDEX.unpack_from(data, at)[0])
        at += _INDEX.size
        if index & FREED:
            pages.append((index & ~FREED, None))
        else:
            pages.append((index, data[at : at + PAGE_BYTES]))
            at += PAGE_BYTES
    if at > len(data) or google_crc32c.extend(google_crc32c.value(data[:12]), data[_HEADER.size : at]) != crc:
        return None
    return pages
