"""Pages of a GiST or SP-GiST index.

```
meta page (block 0)
 0  24  page header (aurora/page.py), kind GIST, flags 4
24      41 55 47 49 01 00 00 00 ("AUGI", 1)
32  40  splits     u64  how many there have been

tree page (block 1 is the root)
 0  24  page header, kind GIST; flags 1 leaf, 2: the page has left the tree
24      entries: u16 length of all, u32 block, u16 slot, key; a leaf's are row addresses, others' are (child, 0)
lower   free space
8176    u32 right sibling's block (0 none), u32 zero
8184    u64 the number of the split that made the right sibling (0: none did)
```
A key is, for each column, a byte (1: there are NULLs, 2: there are values; both above leaves) and, with values, u16
length and the bytes of its form. Little-endian.

A split keeps the left half in place, which gets the split's number and the new page as its right sibling; the new page
has the number and the sibling that the old one had. Who read a parent when there had been n splits, and finds a greater
number on the child, goes on with the child's right sibling, too (Kornacker et al. 1997, "node sequence numbers").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from aurora.errors import IndexCorrupted
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, PAGE_BYTES, PageKind

LEAF, DELETED, META = 1, 2, 4
MAGIC: Final = b"AUGI\1\0\0\0"
OFF_SPLITS: Final = HEADER_BYTES + len(MAGIC)
OFF_RIGHT: Final = PAGE_BYTES - 16
OFF_NUMBER: Final = PAGE_BYTES - 8
ROOM: Final = OFF_RIGHT - HEADER_BYTES
"""Bytes of entries on a page."""
FILL_BYTES: Final = ROOM * 9 // 10
"""Those on a page of a fresh index."""
ROOT: Final = 1
ENTRY: Final = struct.Struct("<HIH")
KEY_BYTES_MAX: Final = 2029
"""A page has room for four entries, so that it can be split."""


def entry(block: int, slot: int, key: bytes) -> bytes:
    """The entry of a row address, or of (child, 0)."""
    return ENTRY.pack(ENTRY.size + len(key), block, slot) + key


def page_image(relfile: int, flags: int, right: int, number: int, entries: Sequence[bytes]) -> bytes:
    """The image of a tree page; IndexCorrupted when the entries do not fit."""
    content = b"".join(entries)
    lower = HEADER_BYTES + len(content)
    if lower > OFF_RIGHT:
        raise IndexCorrupted(f"{len(entries)} entries of {len(content)} bytes do not fit on a page")
    head = bytes(OFF_KIND) + struct.pack("<BBHHHI", PageKind.GIST, flags, lower, OFF_RIGHT, OFF_RIGHT, relfile)
    return head + content + bytes(OFF_RIGHT - lower) + struct.pack("<IIQ", right, 0, number)


def meta_image(relfile: int) -> bytes:
    """The image of a meta page."""
    lower = OFF_SPLITS + 8
    head = bytes(OFF_KIND) + struct.pack("<BBHHHI", PageKind.GIST, META, lower, PAGE_BYTES, PAGE_BYTES, relfile)
    return head + MAGIC + bytes(PAGE_BYTES - HEADER_BYTES - len(MAGIC))


def splits_of(page: memoryview, relfile: int) -> int:
    """What a meta page says."""
    if page[OFF_KIND] != PageKind.GIST or not page[OFF_FLAGS] & META:
        raise IndexCorrupted(f"relation file {relfile} has no meta page of a GiST index")
    return int(struct.unpack_from("<Q", page, OFF_SPLITS)[0])


def entries_of(page: memoryview, relfile: int, block: int) -> list[bytes]:
    """The entries of a tree page."""
    if page[OFF_KIND] != PageKind.GIST or page[OFF_FLAGS] & META:
        raise IndexCorrupted(f"block {block} of relation file {relfile} is not a page of a GiST tree")
    found: list[bytes] = []
    at, (lower,) = HEADER_BYTES, struct.unpack_from("<H", page, OFF_LOWER)
    data = bytes(page[:lower])
    while at < lower:
        size = data[at] | data[at + 1] << 8
        if size < ENTRY.size or at + size > lower:
            raise IndexCorrupted(f"block {block} of relation file {relfile} has an entry of {size} bytes")
        found.append(data[at : at + size])
        at += size
    return found


def links_of(page: memoryview) -> tuple[int, int, int]:
    """(flags, right sibling, number) of a tree page."""
    right, _, number = struct.unpack_from("<IIQ", page, OFF_RIGHT)
    return page[OFF_FLAGS], right, number


def is_deleted(page: memoryview) -> bool:
    """Whether the page has left the tree."""
    return bool(page[OFF_KIND] == PageKind.GIST and page[OFF_FLAGS] & DELETED)
