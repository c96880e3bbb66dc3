"""The 8 KiB page: the header that every page of a volume has.

```
 0      8    page_lsn   u64  LSN of the last record applied; 0 = never written
 8     12    checksum   u32  CRC-32C of the page with this field zero; only on a storage node's disk, 0 in a cache
12     13    kind       u8   PageKind
13     14    flags      u8   meaning depends on kind
14     16    lower      u16  end of the line pointer array (slotted pages)
16     18    upper      u16  start of the tuple area (slotted pages)
18     20    special    u16  start of the special space; PAGE_BYTES when none
20     24    relfile    u32  owning relation file
24   8192    content
```
All integers are little-endian. ``page_lsn`` and ``checksum`` are never part of a redo record: apply sets the LSN,
the storage node's disk sets the checksum.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PAGE_BYTES: Final = 8192
HEADER_BYTES: Final = 24

OFF_LSN: Final = 0
OFF_CHECKSUM: Final = 8
OFF_KIND: Final = 12
OFF_FLAGS: Final = 13
OFF_LOWER: Final = 14
OFF_UPPER: Final = 16
OFF_SPECIAL: Final = 18
OFF_RELFILE: Final = 20


class PageKind(IntEnum):
    """What a page holds."""

    FREE = 0
    SUPERBLOCK = 1
    EXTENTS = 2
    HEAP = 3
    BTREE = 4
    CLOG = 5
    HASH = 6
    SPACE_MAP = 7
    GIST = 8
    BRIN = 9
