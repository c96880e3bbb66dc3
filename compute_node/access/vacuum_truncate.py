"""The end of a vacuum: empty blocks at a table's end → a shorter table, and extents that are free.

As in PostgreSQL, it is tried only where it pays, and only under an ACCESS EXCLUSIVE lock that can be had without making
anybody wait: scans know how long a table is when they begin. Under the lock the blocks are looked at once more, from
the end on.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, OFF_RELFILE, PAGE_BYTES, PageKind
from compute_node.access.superblock import FIRST_NORMAL_OID
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SKIP_LOCKED
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.table import Table


FREEABLE_MIN_BLOCKS = 1000
FREEABLE_MIN_FRACTION = 16
"""So many blocks, or this share of the table (1/16), make it worth a lock."""
LOCK_PATIENCE_S = 5.0
LOCK_RETRY_S = 0.05
ENTRY_REDO_BYTES = 64
CATALOG_NAMESPACE = 11
"""System catalogs are read without relation locks, so that nothing keeps a reader away from their end."""


def is_empty(page: memoryview, relfile: int) -> bool:
    """Whether a heap page of that relation file holds no line pointer that is in use; a page of an earlier owner's, or
    one that was never used, is empty."""
    kind, owner = page[OFF_KIND], struct.unpack_from("<I", page, OFF_RELFILE)[0]
    if kind != PageKind.HEAP or owner != relfile:
        return True
    lower = struct.unpack_from("<H", page, OFF_LOWER)[0]
    return not any(page[HEADER_BYTES : min(lower, PAGE_BYTES)])


def truncate_tail(txn: Txn, table: Table) -> int:
    """Cut the empty blocks off the table's end, when that pays and its lock is free; how many. The transaction holds
    SHARE UPDATE EXCLUSIVE on the table and goes on with that alone."""
    oid = _locked_oid(table.desc)
    lock = table.desc.database << 32 | oid
    if table.desc.namespace == CATALOG_NAMESPACE or (oid != table.desc.oid and oid < FIRST_NORMAL_OID):
        return 0
    blocks = int(table.file.map.blocks)
    freeable = blocks - _blocks_in_use(table)
    if not freeable or freeable < min(FREEABLE_MIN_BLOCKS, blocks // FREEABLE_MIN_FRACTION):
        return 0
    if not _lock(txn, table, lock):
        return 0
    try:
        return _cut(table)
    finally:
        table.storage.locks.release_mode(txn, lock, ACCESS_EXCLUSIVE)


def _locked_oid(desc: RelationDesc) -> int:
    """The relation that readers and writers of this one lock: of a TOAST table, pg_toast_<oid>, its table."""
    return int(desc.name.removeprefix("pg_toast_")) if desc.kind == "t" else desc.oid


def _lock(txn: Txn, table: Table, lock: int) -> bool:
    tries = round(LOCK_PATIENCE_S / LOCK_RETRY_S) if HUB.in_greenlet() else 1
    for attempt in range(tries):
        if attempt:
            HUB.sleep(LOCK_RETRY_S)
        if table.storage.locks.lock_relation(txn, lock, ACCESS_EXCLUSIVE, table.name, SKIP_LOCKED):
            return True
    return False


def _blocks_in_use(table: Table) -> int:
    """Blocks up to the last one that is not empty."""
    cache, file = table.storage.cache, table.file
    block = int(file.map.blocks)
    while block and is_empty(cache.arena.page(cache.get(file.map.page_no(block - 1))), file.relfile):
        block -= 1
    return block


def _cut(table: Table) -> int:
    storage, file = table.storage, table.file
    keep = _blocks_in_use(table)
    storage.volume.reserve(ENTRY_REDO_BYTES * (len(file.entries) + 1))
    gone = int(file.map.blocks) - keep
    if gone > 0:
        with storage.mtr:
            storage.extents.cut(file, keep, int(storage.log.next_lsn))
    return gone
