"""Pages of a hash index.

```
meta page (block 0)
 0  24  page header (aurora/page.py), kind HASH, flags 8
24      41 55 48 41 01 00 00 00 ("AUHA", 1)
32  36  last bucket   u32  number of the highest bucket; they are numbered from 0
36  40  map pages     u32
40      map pages × u32 block

map page: where the buckets are
 0  24  page header, kind HASH, flags 4
24      u32 block of the primary page of bucket 2040 × n, 2040 × n + 1, …; 0 none yet

bucket page
 0  24  page header, kind HASH; flags 1 splitting: entries of the newest bucket split from this one may still be here,
        2 being populated: entries may still be in the bucket that this one is split from. Only on a primary page
24      entries, sorted: u32 hash, u32 block, u16 slot of the row, big-endian, 10 bytes each
lower   free space
8184    u32 next overflow page's block (0 none), u32 bucket
```
A bucket is a chain: its primary page, then its overflow pages, the newest first. A page never leaves its chain.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence

from aurora.errors import IndexCorrupted
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, PAGE_BYTES, PageKind

SPLITTING, POPULATING, MAP, META = 1, 2, 4, 8
META_MAGIC = b"AUHA\1\0\0\0"
OFF_LAST_BUCKET = HEADER_BYTES + len(META_MAGIC)
OFF_MAP_COUNT = OFF_LAST_BUCKET + 4
OFF_MAP_BLOCKS = OFF_MAP_COUNT + 4
MAP_ENTRIES = 2040
MAP_PAGES_MAX = (PAGE_BYTES - OFF_MAP_BLOCKS) // 4
OFF_NEXT = PAGE_BYTES - 8
ENTRY_BYTES = 10
CAPACITY = (OFF_NEXT - HEADER_BYTES) // ENTRY_BYTES
"""Entries of a page. The simulator makes it smaller."""


def entry(hash_: int, tid: int) -> bytes:
    """The entry of a row address."""
    return struct.pack(">IIH", hash_, tid >> 16, tid & 0xFFFF)


def hash_of(item: bytes | memoryview) -> int:
    """The hash of an entry."""
    return int.from_bytes(item[:4], "big")


def tid_of(item: bytes | memoryview) -> int:
    """The row address of an entry."""
    return int.from_bytes(item[4:], "big")


def bucket_of(hash_: int, last_bucket: int) -> int:
    """The bucket of a hash when the highest bucket is ``last_bucket`` (Litwin 1980)."""
    mask = (1 << last_bucket.bit_length()) - 1
    bucket = hash_ & mask
    return bucket if bucket <= last_bucket else bucket & (mask >> 1)


def parent_of(bucket: int) -> int:
    """The bucket that ``bucket`` (≥ 1) is split from."""
    return bucket & ((1 << (bucket.bit_length() - 1)) - 1)


def newest_child_of(bucket: int, last_bucket: int) -> int:
    """The latest bucket split from ``bucket``; 0 when there is none."""
    for bit in range(last_bucket.bit_length() - 1, -1, -1):
        child = bucket | 1 << bit
        if bucket < 1 << bit and child <= last_bucket:
            return child
    return 0


def _page(relfile: int, flags: int, lower: int, content: bytes, special: bytes = b"") -> bytes:
    head = bytes(OFF_KIND) + struct.pack(
        "<BBHHHI", PageKind.HASH, flags, lower, PAGE_BYTES - len(special), PAGE_BYTES - len(special), relfile
    )
    return head + content + bytes(PAGE_BYTES - len(head) - len(content) - len(special)) + special


def bucket_page(relfile: int, flags: int, following: int, bucket: int, items: Sequence[bytes]) -> bytes:
    """The image of a bucket page; ``items`` are sorted."""
    content = b"".join(items)
    return _page(relfile, flags, HEADER_BYTES + len(content), content, struct.pack("<II", following, bucket))


def meta_page(relfile: int, last_bucket: int, map_blocks: Sequence[int]) -> bytes:
    """The image of the meta page."""
    content = META_MAGIC + struct.pack(f"<II{len(map_blocks)}I", last_bucket, len(map_blocks), *map_blocks)
    return _page(relfile, META, HEADER_BYTES + len(content), content)


def map_page(relfile: int, blocks: Sequence[int]) -> bytes:
    """The image of a map page whose first buckets are at ``blocks``."""
    content = struct.pack(f"<{len(blocks)}I", *blocks)
    return _page(relfile, MAP, HEADER_BYTES + 4 * MAP_ENTRIES, content)


class BucketPage:
    """A view of a bucket page. Valid until the next wait."""

    __slots__ = ("_page", "bucket", "flags", "following")

    def __init__(self, page: memoryview, relfile: int, block: int) -> None:
        if page[OFF_KIND] != PageKind.HASH or page[OFF_FLAGS] & (MAP | META):
            raise IndexCorrupted(f"block {block} of relation file {relfile} is not a bucket page")
        self._page = page
        self.flags = page[OFF_FLAGS]
        self.following, self.bucket = struct.unpack_from("<II", page, OFF_NEXT)

    @property
    def lower(self) -> int:
        """End of the entries."""
        return int(self._page[OFF_LOWER] | self._page[OFF_LOWER + 1] << 8)

    def __len__(self) -> int:
        return (self.lower - HEADER_BYTES) // ENTRY_BYTES

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = HEADER_BYTES + ENTRY_BYTES * index
        return bytes(self._page[at : at + ENTRY_BYTES])

    def items(self) -> list[bytes]:
        """All entries."""
        content = bytes(self._page[HEADER_BYTES : self.lower])
        return [content[at : at + ENTRY_BYTES] for at in range(0, len(content), ENTRY_BYTES)]

    def position(self, item: bytes) -> int:
        """Where an entry is, or would be."""
        return bisect_left(self, item)

    def tids(self, hash_: int) -> list[int]:
        """Row addresses of the entries of a hash."""
        found: list[int] = []
        key = hash_.to_bytes(4, "big")
        for index in range(self.position(key), len(self)):
            item = self[index]
            if item[:4] != key:
                break
            found.append(tid_of(item))
        return found

    @property
    def room(self) -> int:
        """Entries that still fit."""
        return CAPACITY - len(self)

    @property
    def is_of_one_hash(self) -> bool:
        """Whether all entries have one hash, so that no split can part them."""
        return len(self) > 0 and self[0][:4] == self[len(self) - 1][:4]
