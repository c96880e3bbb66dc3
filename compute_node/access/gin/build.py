"""Builds a GIN index over the rows that a table has.

::

    scan ─► rows by item ─► entries, sorted ─┬─ within ``maintenance_work_mem`` ──────────────────► leaves, and so on
                                             └─ past it: runs in files ─► merge ─► those of an item joined ─┘
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from aurora.kernels.python.btree import pack_tid
from compute_node.access.btree.build import leaves
from compute_node.access.gin.entries import NO_ITEMS, NULL_VALUE, category_key, entries_of, gathered, key_bytes
from compute_node.access.index_build import EntrySort, live_rows, take_turn
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import value_bytes

if TYPE_CHECKING:
    from aurora.datum import Datum, Row
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.gin.index import GinIndex

ITEM_BYTES = 230
"""What an item takes in memory, beside its own and its key's bytes, with the list of its rows."""
ENTRY_BYTES = 9
"""What a row takes in the list of an item."""
ADDRESS_BYTES = 32
"""What a row's address takes, which its items share."""
ITEMS_A_TURN = 1000


class _Rows:
    """The rows of each item of each column, as they come."""

    def __init__(self, index: GinIndex) -> None:
        self._index = index
        self._of_item: list[dict[Datum, list[int]]] = [{} for _ in index.classes]
        self._of_key: dict[bytes, list[int]] = {}
        self.entries = 0
        self.bytes = 0
        """what they take in memory"""

    def add(self, rows: list[Row]) -> None:
        """Keys with their rows' addresses."""
        count = 0
        for column, gin in enumerate(self._index.classes):
            items_of, found = gin.items, self._of_item[column]
            for row in rows:
                value, tid = row[column], row[-1]
                items = () if value is None else items_of(value)
                count += len(items) or 1
                for item in items:
                    try:
                        found[item].append(tid)
                    except KeyError:
                        found[item] = [tid]
                        self.bytes += ITEM_BYTES + value_bytes(item)
                    except TypeError:
                        # It has no hash.
                        self._add_key(self._index.key_of(column, item), tid)
                if not items:
                    self._add_key(category_key(column, NULL_VALUE if value is None else NO_ITEMS), tid)
            HUB.pulse()
        self.entries += count
        self.bytes += ENTRY_BYTES * count + ADDRESS_BYTES * len(rows)

    def _add_key(self, key: bytes, tid: int) -> None:
        try:
            self._of_key[key].append(tid)
        except KeyError:
            self._of_key[key] = [tid]
            self.bytes += ITEM_BYTES + value_bytes(key)

    def put(self, run: EntryRun) -> None:
        """All entries into a run; nothing is kept."""
        rows_of = self._of_key
        for column, found in enumerate(self._of_item):
            while found:
                # Items of one key may differ for Python: NaN does from itself.
                item, tids = found.popitem()
                key = self._index.key_of(column, item)
                if key in rows_of:
                    rows_of[key] += tids
                else:
                    rows_of[key] = tids
                if len(found) % ITEMS_A_TURN == 0:
                    HUB.pulse()
        while rows_of:
            key, tids = rows_of.popitem()
            if len(tids) == 1:
                run.add((key + pack_tid(tids[0]),), False)
            else:
                run.add(entries_of(key, np.unique(np.array(tids, dtype=np.int64))), False)
            if len(rows_of) % ITEMS_A_TURN == 0:
                HUB.pulse()
        self.bytes = 0


def build_gin(index: GinIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    rows = _Rows(index)
    with EntrySort(txn) as sort:
        for batch in live_rows(txn, index):
            rows.add(batch)
            if sort.is_full(rows.bytes):
                rows.put(sort.run)
                sort.spill()
            take_turn(txn)
        rows.put(sort.run)
        index.built.entries = rows.entries
        run, more = sort.finish()
        index.writer.load(leaves(txn, index.tree, run, _joined(more)), sort.area)


def _joined(batches: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """The entries of one item that come from several runs as one list of rows."""
    key = b""
    held: list[bytes] = []
    for batch in batches:
        found: list[bytes] = []
        for entry in batch:
            if held and entry.startswith(key) and key_bytes(entry) == len(key):
                held.append(entry)
                continue
            found += _together(key, held)
            key, held = entry[: key_bytes(entry)], [entry]
        if len(found):
            yield found
        HUB.pulse()
    if held:
        yield _together(key, held)


def _together(key: bytes, entries: list[bytes]) -> list[bytes]:
    return entries if len(entries) < 2 else list(entries_of(key, gathered(entries)))
