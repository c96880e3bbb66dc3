"""Page 0: what a volume is and which numbers were handed out.

```
24  32  magic           "AURORAVL"
32  36  format          u32
36  40  catalog         u32  version of the built-in catalog rows
40  44  next_relfile    u32  relation file numbers below are taken
44  48  rows_hash       u32  of the built-in catalog rows, CRC-32C; 0 of a volume older than the hash
48  56  xid_limit       u64  xids below are reserved; after a restart, the unmarked ones of them are aborted
56  64  oid_limit       u64  OIDs below are reserved
64  72  high_water      u64  pages below are allocated
```
Numbers are reserved in ranges, so that taking one costs no redo.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aurora.errors import DataCorrupted, InvariantViolation, VolumeTooNew
from aurora.ids import FIRST_NORMAL_XID, Oid, RelFile
from aurora.page import OFF_KIND, PageKind

if TYPE_CHECKING:
    from aurora.kernels.python.mtr import Mtr
    from compute_node.access.cache import PageCache


MAGIC = b"AURORAVL"
FORMAT_VERSION = 2
OID_RANGE = 8192
FIRST_NORMAL_OID = 16384
FIRST_FREE_RELFILE = 16384
_HEADER = struct.Struct("<8sIIIIQQQ")
_AT = 24
OFF_CATALOG, OFF_RELFILE, OFF_ROWS_HASH, OFF_XID_LIMIT, OFF_OID_LIMIT, OFF_HIGH_WATER = 36, 40, 44, 48, 56, 64
FIRST_FREE_PAGE = 2


class Superblock:
    """The decoded superblock and its edits; page 0 stays pinned."""

    def __init__(self, cache: PageCache, mtr: Mtr) -> None:
        self._mtr = mtr
        self.frame = cache.get(0)
        cache.arena.pin(self.frame)
        page = cache.arena.page(self.frame)
        self.is_new = page[OFF_KIND] == PageKind.FREE
        if self.is_new:
            with mtr:
                mtr.put(self.frame, OFF_KIND, bytes((PageKind.SUPERBLOCK,)))
                mtr.put(
                    self.frame,
                    _AT,
                    _HEADER.pack(
                        MAGIC,
                        FORMAT_VERSION,
                        0,
                        FIRST_FREE_RELFILE,
                        0,
                        FIRST_NORMAL_XID,
                        FIRST_NORMAL_OID,
                        FIRST_FREE_PAGE,
                    ),
                )
        self._page = page
        self._decode()

    def reread(self) -> None:
        """The page has changed under this process (a reader instance)."""
        self._decode()

    def _decode(self) -> None:
        values = _HEADER.unpack_from(self._page, _AT)
        magic, version, self.catalog_version, self.next_relfile, self.rows_hash = values[:5]
        self.xid_limit, self.oid_limit, self.high_water = values[5:]
        if magic != MAGIC:
            raise DataCorrupted("page 0 of the volume is not a superblock")
        if version > FORMAT_VERSION:
            raise VolumeTooNew(
                f"the volume has format version {version}, this program knows {FORMAT_VERSION}",
                hint="Start a program at least as new as the last one that had the volume open.",
            )
        if version != FORMAT_VERSION:
            raise DataCorrupted(f"the volume has format version {version}, this program knows {FORMAT_VERSION}")
        self._next_oid = self.oid_limit
        """OIDs left of the range that an earlier process reserved are not used again."""

    def set_catalog_version(self, version: int, rows_hash: int) -> None:
        """Record which built-in catalog rows the volume has."""
        with self._mtr:
            self._mtr.put_u32(self.frame, OFF_CATALOG, version)
            self._mtr.put_u32(self.frame, OFF_ROWS_HASH, rows_hash)
        self.catalog_version, self.rows_hash = version, rows_hash

    def take_relfile(self) -> RelFile:
        """A new relation file number."""
        relfile = int(self.next_relfile)
        with self._mtr:
            self._mtr.put_u32(self.frame, OFF_RELFILE, relfile + 1)
        self.next_relfile = relfile + 1
        return RelFile(relfile)

    def take_oid(self) -> Oid:
        """A new OID, from 16384."""
        if self._next_oid >= self.oid_limit:
            limit = self._next_oid + OID_RANGE
            if limit > 0xFFFFFFFF:
                raise InvariantViolation("OIDs are exhausted")
            with self._mtr:
                self._mtr.put_u64(self.frame, OFF_OID_LIMIT, limit)
            self.oid_limit = limit
        oid = int(self._next_oid)
        self._next_oid += 1
        return Oid(oid)

    def put_xid_limit(self, limit: int) -> None:
        """Reserve xids below ``limit``; part of the current MTR."""
        self._mtr.put_u64(self.frame, OFF_XID_LIMIT, limit)

    def put_high_water(self, page_no: int) -> None:
        """Pages below ``page_no`` are allocated; part of the current MTR."""
        self._mtr.put_u64(self.frame, OFF_HIGH_WATER, page_no)
