"""The last part of an index that is built beside writers: entries for the rows that have none yet.

::

    index ─► the row addresses that it has ─┐
    scan of the table by a snapshot ────────┴─► rows without an entry ─► entered

The build saw the rows of its own snapshot, and whoever writes enters rows only from a later moment on. Rows from
between are visible by the snapshot of now and are entered here. Nobody vacuums the table meanwhile, so an address stays
a row's.
Source: PostgreSQL manual, CREATE INDEX, "Building Indexes Concurrently".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation, UniqueViolation
from compute_node.access.index_access import ScanKey, equality_keys
from compute_node.access.index_build import take_turn
from compute_node.relations.access_methods import IS_NULL
from compute_node.txn.transaction import Txn
from compute_node.work.account import Account, Area

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.index_access import IndexAccess

_NO_LIMIT = 1 << 62
"""Addresses go to no file: the instance's limit alone counts."""
_BLOCK_BYTES = 120
"""What the bits of a block take in memory"""


class RowSet:
    """Row addresses as bits, a number a block; what it takes is counted in ``area``."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._bits: dict[int, int] = {}

    def add(self, tids: Sequence[int]) -> None:
        """Row addresses that may be there already."""
        bits, before = self._bits, len(self._bits)
        for tid in tids:
            block = tid >> 16
            bits[block] = bits.get(block, 0) | 1 << (tid & 0xFFFF)
        self._area.add((len(bits) - before) * _BLOCK_BYTES)

    def without(self, tids: Sequence[int]) -> list[int]:
        """Those of the addresses that are not there, in their order."""
        bits = self._bits
        return [tid for tid in tids if not bits.get(tid >> 16, 0) >> (tid & 0xFFFF) & 1]


def enter_missing(index: IndexAccess, txn: Txn, snapshot: Snapshot) -> int:
    """Enter the rows that ``snapshot`` sees and the index, which is kept up by now, does not have; how many. May wait
    for rows in doubt. Errors: 23505, 40P01, 54000, 57014."""
    table, count = index.table, 0
    account = Account()
    try:
        known = RowSet(Area(account, _NO_LIMIT))
        for tids in index.entered():
            known.add(tids)
            take_turn(txn)
        for rows in table.scan_blocks(snapshot, (), True, 0, None, True, counted=False):
            missing = known.without([row[-1] for row in rows])
            if missing:
                _enter(index, txn, snapshot, missing)
                count += len(missing)
            take_turn(txn)
    finally:
        account.close()
    return count


def _enter(index: IndexAccess, txn: Txn, snapshot: Snapshot, tids: list[int]) -> None:
    """Enter the rows of a page."""
    table = index.table
    every = tuple(range(1, len(table.desc.columns) + 1))
    rows = [row for batch in table.fetch_chains(snapshot, tids, every, False) for row in batch]
    if len(rows) != len(tids):
        raise InvariantViolation(f"{len(tids)} rows of table {table.name} are visible, and {len(rows)} are found")
    if not index.desc.unique:
        index.add_many(txn, rows, tids)
        return
    for row, tid in zip(rows, tids, strict=True):
        table.reserve_write()
        try:
            index.add(txn, row, tid)
        except UniqueViolation:
            if _is_live(index, txn, tid):
                raise
            # It is gone by now, and another row may have its key; snapshots that see it still find it by its entry.
            if not _is_entered(index, row, tid):
                index.add(txn, row, tid, False)


def _is_live(index: IndexAccess, txn: Txn, root: int) -> bool:
    """Whether the row has a version by now."""
    table = index.table
    latest = table.storage.txns.latest_snapshot(txn)
    return any(batch for batch in table.fetch_chains(latest, [root], (), False))


def _is_entered(index: IndexAccess, row: Row, tid: int) -> bool:
    """Whether a row has its entry: a split may have come before the look at its key."""
    key = index.keys.of(row) or ()
    keys = [
        ScanKey(each.column, IS_NULL) if each.value is None else each
        for each in equality_keys(key, index.method.equality)
    ]
    return any(tid in tids for tids in index.tids(keys))
