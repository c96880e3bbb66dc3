"""Names for the integers that travel through the system. All are plain ints at run time."""

from typing import Final, NewType

Lsn = NewType("Lsn", int)
"""Byte position of the start of a redo record in the volume's one uncompressed log; 0 is none."""
PageNo = NewType("PageNo", int)
"""Index of an 8 KiB page in the volume's flat array."""
PgNo = NewType("PgNo", int)
"""Index of a protection group: ``page_no // pages_per_pg``."""
Xid = NewType("Xid", int)
"""Transaction id: 64 bits, never wraps."""
Epoch = NewType("Epoch", int)
"""Volume, membership or geometry epoch."""
RelFile = NewType("RelFile", int)
"""Number that names a relation's storage (u32); a rewrite gets a new one."""
Oid = NewType("Oid", int)
"""PostgreSQL object identifier (u32)."""
Tid = NewType("Tid", int)
"""Row address within a relation: ``block << 16 | slot``; slots count from 1."""

NO_LSN: Final = Lsn(0)
NO_XID: Final = Xid(0)
FIRST_LSN: Final = Lsn(16)
BOOTSTRAP_XID: Final = Xid(1)
FIRST_NORMAL_XID: Final = Xid(3)


def make_tid(block: int, slot: int) -> Tid:
    """The row address of line pointer ``slot`` (from 1) in ``block``."""
    return Tid(block << 16 | slot)


def tid_text(tid: int) -> str:
    """PostgreSQL's text form of a ctid: ``(block,slot)``."""
    return f"({tid >> 16},{tid & 0xFFFF})"
