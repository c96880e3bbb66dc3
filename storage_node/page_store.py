"""The page store of one PG: the newest coalesced version of each page, in place, in ``pages-<pg>``.

Input: pages from coalescing or from a peer's baseline → output: page bases for reads. Page ``i`` of the PG lies at
``i × 8192`` with its CRC-32C in the header's checksum field; 8192 zeros are a page that was never written. The file is
sparse.

A crash may tear a page that is being written, so pages go through ``torn-<pg>`` first (a double write)::

     0     4  magic   "AURT"
     4     8  version u32  1
     8    12  count   u32
    12    16  crc32c  u32  over bytes 0 to 12 and all that follows
    16        count × { u64 index in the PG, 8192 bytes page with checksum }

``stage`` writes that file, and after its sync ``place`` writes the pages in place; their sync ends the round. At start
a sound ``torn-<pg>`` is placed again, which does no harm when it had been placed; an unsound one was never synced, so
the pages in place are whole.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence

import google_crc32c

from aurora.errors import InvariantViolation
from aurora.page import OFF_CHECKSUM, PAGE_BYTES
from aurora.seams import Disk

MAGIC = b"AURT"
VERSION = 1
READ_PAGES = 64
"""Pages read at once by ``pages``."""

_HEADER = struct.Struct("<4sIII")
_INDEX = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_LSN = struct.Struct("<Q")
_NO_CHECKSUM = bytes(4)
_ZERO_PAGE = bytes(PAGE_BYTES)
_ZERO_PAGES = bytes(READ_PAGES * PAGE_BYTES)

logger = logging.getLogger(__name__)


class PageDamaged(InvariantViolation):
    """A stored page does not match its checksum; ``index`` is its number in the PG."""

    def __init__(self, pg: int, index: int) -> None:
        super().__init__(f"stored page {index} of PG {pg} does not match its checksum")
        self.pg = pg
        self.index = index


def checksum(page: bytes | bytearray | memoryview) -> int:
    """CRC-32C of the page with its checksum field zero."""
    crc = google_crc32c.extend(google_crc32c.value(bytes(page[:OFF_CHECKSUM])), _NO_CHECKSUM)
    return int(google_crc32c.extend(crc, bytes(page[OFF_CHECKSUM + 4 :])))


def page_lsn(page: bytes | bytearray | memoryview) -> int:
    """The page's LSN; 0 = never written."""
    return int(_LSN.unpack_from(page)[0])


def seal(page: bytearray) -> bytes:
    """The page with its checksum set."""
    _U32.pack_into(page, OFF_CHECKSUM, checksum(page))
    return bytes(page)


def unseal(page: bytes) -> bytearray | None:
    """The page with its checksum field zero, as it is served; None when the checksum does not match."""
    if page == _ZERO_PAGE:
        return bytearray(page)
    if _U32.unpack_from(page, OFF_CHECKSUM)[0] != checksum(page):
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
        self._staged: list[tuple[int, bytes]] = []
        names = disk.list()
        self.file_bytes = disk.size(self.name) if self.name in names else 0
        if self.torn_name in names:
            self._repair()

    def _repair(self) -> None:
        data = self._disk.read(self.torn_name, 0, self._disk.size(self.torn_name))
        pages = _decode_torn(data)
        if pages is None:
            return
        logger.info("PG %d: %d staged pages placed again after a restart", self.pg, len(pages))
        self._write(pages)
        self._disk.sync(self.name)

    def read(self, index: int) -> bytearray | None:
        """The stored page, checksum field zero; None when never written. PageDamaged when its checksum is wrong."""
        offset = index * PAGE_BYTES
        if offset >= self.file_bytes:
            return None
        data = self._disk.read(self.name, offset, PAGE_BYTES)
        page = unseal(data) if len(data) == PAGE_BYTES else None
        if page is None:
            raise PageDamaged(self.pg, index)
        return page if page_lsn(page) else None

    def stage(self, pages: Sequence[tuple[int, bytearray]]) -> None:
        """Write ``(index, page)`` to the torn-page file; sync ``torn_name`` before ``place``."""
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged already")
        staged = [(index, seal(page)) for index, page in pages]
        body = b"".join(_INDEX.pack(index) + page for index, page in staged)
        head = _HEADER.pack(MAGIC, VERSION, len(staged), 0)[:12]
        crc = google_crc32c.extend(google_crc32c.value(head), body)
        self._disk.write(self.torn_name, 0, head + _U32.pack(crc) + body)
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

    def forget_torn(self) -> None:
        """Durably empty the torn-page file: a restart must not place what is older than pages yet to be overwritten."""
        if self._staged:
            raise InvariantViolation(f"PG {self.pg}: pages are staged")
        if self.torn_name in self._disk.list():
            self._disk.truncate(self.torn_name, 0)

    def _write(self, pages: Sequence[tuple[int, bytes]]) -> None:
        for index, page in pages:
            self._disk.write(self.name, index * PAGE_BYTES, page)
            self.file_bytes = max(self.file_bytes, (index + 1) * PAGE_BYTES)

    def store(self, pages: Sequence[tuple[int, bytearray]]) -> None:
        """Stage and place with both syncs, at once: for repair and baselines."""
        self.stage(pages)
        self._disk.sync(self.torn_name)
        self.place()
        self._disk.sync(self.name)

    def pages(self, start: int = 0) -> Iterator[tuple[int, bytearray | None]]:
        """``(index, page)`` of all written pages from ``start`` on; the page is None where it is damaged."""
        for first in range(start, self.file_bytes // PAGE_BYTES, READ_PAGES):
            data = self._disk.read(self.name, first * PAGE_BYTES, READ_PAGES * PAGE_BYTES)
            if data == _ZERO_PAGES[: len(data)]:
                continue
            for at in range(0, len(data), PAGE_BYTES):
                raw = data[at : at + PAGE_BYTES]
                if raw != _ZERO_PAGE:
                    yield first + at // PAGE_BYTES, unseal(raw)


def _decode_torn(data: bytes) -> list[tuple[int, bytes]] | None:
    """The pages of a torn-page file; None when it is not sound. Bytes behind the last page are of an older, longer
    round.
    """
    if len(data) < _HEADER.size:
        return None
    magic, version, count, crc = _HEADER.unpack_from(data)
    step = _INDEX.size + PAGE_BYTES
    body = data[_HEADER.size : _HEADER.size + count * step]
    if magic != MAGIC or version != VERSION or len(body) != count * step:
        return None
    if google_crc32c.extend(google_crc32c.value(data[:12]), body) != crc:
        return None
    return [
        (int(_INDEX.unpack_from(body, at)[0]), body[at + _INDEX.size : at + step]) for at in range(0, len(body), step)
    ]
