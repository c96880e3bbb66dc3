"""Pages of a BRIN index.

```
meta page (block 0)
 0  24  page header (aurora/page.py), kind BRIN, flags 2
24      41 55 42 52 01 00 00 00 ("AUBR", 1)
32  36  pages per range  u32
36      u32 block of map page 0, 1, … 1023, then of directory page 0, 1, …; 0 none yet

directory page: where the map pages from 1024 on are
 0  24  page header, kind BRIN, flags 4
24      2040 × u32 block of a map page; 0 none yet

map page: where the summaries are
 0  24  page header, kind BRIN, flags 1
24      2040 × u32 block of the page that has the range's summary; 0: it has none

summary page
 0  24  page header, kind BRIN, flags 0
24      entries: u16 length of all, u32 number of the range, summary (``summary.py``)
lower   free space
```
Little-endian. A range's summary and its entry in the map are written together; a summary that grows out of its page
moves to another one, in one mini-transaction with the map's entry.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from aurora.errors import IndexCorrupted
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, OFF_RELFILE, PAGE_BYTES, PageKind

MAP, META, DIRECTORY = 1, 2, 4
MAGIC: Final = b"AUBR\1\0\0\0"
OFF_PAGES_PER_RANGE: Final = HEADER_BYTES + len(MAGIC)
OFF_BLOCKS: Final = OFF_PAGES_PER_RANGE + 4
MAP_ENTRIES: Final = 2040
DIRECT_MAPS: Final = 1024
"""Map pages that the meta page names; the others are in directories."""
ENTRY: Final = struct.Struct("<HI")
ROOM: Final = PAGE_BYTES - HEADER_BYTES
SUMMARY_BYTES_MAX: Final = 8152
"""PostgreSQL's limit of an index row."""
_BLOCK = struct.Struct("<I")


def _image(relfile: int, flags: int, content: bytes) -> bytes:
    lower = HEADER_BYTES + len(content)
    head = bytes(OFF_KIND) + struct.pack("<BBHHHI", PageKind.BRIN, flags, lower, PAGE_BYTES, PAGE_BYTES, relfile)
    return head + content + bytes(PAGE_BYTES - lower)


def meta_image(relfile: int, pages_per_range: int) -> bytes:
    """The image of a meta page without map pages."""
    head = MAGIC + _BLOCK.pack(pages_per_range)
    return _image(relfile, META, head + bytes(ROOM - len(head)))


def map_image(relfile: int, flags: int) -> bytes:
    """The image of a map page or directory without entries."""
    return _image(relfile, flags, bytes(4 * MAP_ENTRIES))


def summary_image(relfile: int, entries: Sequence[bytes]) -> bytes:
    """The image of a summary page."""
    return _image(relfile, 0, b"".join(entries))


def entry(number: int, data: bytes) -> bytes:
    """The entry of a range's summary."""
    return ENTRY.pack(ENTRY.size + len(data), number) + data


def pages_per_range_of(page: memoryview, relfile: int) -> int:
    """What a meta page says. Errors: XX002."""
    if not is_of_kind(page, META, relfile):
        raise IndexCorrupted(f"relation file {relfile} has no meta page of a BRIN index")
    found: int = _BLOCK.unpack_from(page, OFF_PAGES_PER_RANGE)[0]
    if not found:
        raise IndexCorrupted(f"relation file {relfile} has ranges of no pages")
    return found


def is_of_kind(page: memoryview | bytes, flags: int, relfile: int) -> bool:
    """Whether the page is one of the index's, of that kind (0: of summaries)."""
    owner: int = _BLOCK.unpack_from(page, OFF_RELFILE)[0]
    return bool(page[OFF_KIND] == PageKind.BRIN and page[OFF_FLAGS] == flags and owner == relfile)


def block_at(page: memoryview, offset: int) -> int:
    """A block number in a page."""
    found: int = _BLOCK.unpack_from(page, offset)[0]
    return found


def lower_of(page: memoryview) -> int:
    """Where the free space of a summary page begins."""
    return int(page[OFF_LOWER] | page[OFF_LOWER + 1] << 8)


def entries_of(page: memoryview, relfile: int, block: int) -> dict[int, tuple[int, bytes]]:
    """Of a summary page: range → (where its entry begins, its summary). Errors: XX002."""
    if not is_of_kind(page, 0, relfile):
        raise IndexCorrupted(f"block {block} of relation file {relfile} is not a page of BRIN summaries")
    found: dict[int, tuple[int, bytes]] = {}
    at, lower = HEADER_BYTES, lower_of(page)
    if not HEADER_BYTES <= lower <= PAGE_BYTES:
        raise IndexCorrupted(f"block {block} of relation file {relfile} ends at {lower}")
    data = bytes(page[:lower])
    while at < lower:
        size, number = ENTRY.unpack_from(data, at) if at + ENTRY.size <= lower else (0, 0)
        if size < ENTRY.size or at + size > lower:
            raise IndexCorrupted(f"block {block} of relation file {relfile} has an entry of {size} bytes")
        if number in found:
            raise IndexCorrupted(f"block {block} of relation file {relfile} has range {number} twice")
        found[number] = at, data[at + ENTRY.size : at + size]
        at += size
    return found
