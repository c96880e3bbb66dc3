"""Builds a GIN index over the rows that a table has.

::

    scan ─► rows by item ─► entries, sorted ─┬─ within ``maintenance_work_mem`` ──────────────────► leaves, and so on
                                             └─ past it: runs in files ─► merge ─► those of an item joined ─┘
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from aurora.kernels import entries as entries_kernel
from compute_node.access.btree.build import entry_batches, leaves, live_rows, sort_entries, take_turn
from compute_node.access.gin.entries import (
    NO_ITEMS,
    NULL_VALUE,
    category_key,
    entries_of,
    gathered,
    key_bytes,
)
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import KB, Account, Area
from compute_node.work.sorting import Sorter, itself
from compute_node.work.spill import TempFile, setting_of, temp_usage

if TYPE_CHECKING:
    from aurora.datum import Datum, Row
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.gin.index import GinIndex

ITEM_BYTES = 230
"""What an item takes in memory, beside its bytes, with the list of its rows."""
ROW_BYTES = 9
"""What a row of an item takes there."""
ITEMS_A_TURN = 1000


class _Rows:
    """The rows of each item of each column, as they come."""

    def __init__(self, index: GinIndex) -> None:
        self._index = index
        self._of_item: list[dict[Datum, list[int]]] = [{} for _ in index.classes]
        self._others: dict[bytes, list[int]] = {}
        self.bytes = 0

    def add(self, rows: list[Row]) -> None:
        """Keys with their rows' addresses."""
        for column, gin in enumerate(self._index.classes):
            items_of, found = gin.items, self._of_item[column]
            count = 0
            before = len(found)
            for row in rows:
                value, tid = row[column], row[-1]
                items = () if value is None else items_of(value)
                count += len(items)
                for item in items:
                    try:
                        found[item].append(tid)
                    except KeyError:
                        found[item] = [tid]
                    except TypeError:
                        # It has no hash.
                        self._others.setdefault(self._index.key_of(column, item), []).append(tid)
                if not items:
                    key = category_key(column, NULL_VALUE if value is None else NO_ITEMS)
                    self._others.setdefault(key, []).append(tid)
            self.bytes += ROW_BYTES * count + ITEM_BYTES * (len(found) - before) + ROW_BYTES * len(rows)

    def take(self) -> EntryRun:
        """All entries, sorted; nothing is kept."""
        run: EntryRun = entries_kernel.EntryRun()
        rows_of = self._others
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
        for number, (key, tids) in enumerate(rows_of.items()):
            self._put(run, key, tids)
            if number % ITEMS_A_TURN == 0:
                HUB.pulse()
        rows_of.clear()
        self.bytes = 0
        sort_entries(run)
        return run

    @staticmethod
    def _put(run: EntryRun, key: bytes, tids: list[int]) -> None:
        if len(tids) == 1:
            run.add((key + tids[0].to_bytes(6, "big"),), False)
        else:
            run.add(entries_of(key, np.unique(np.array(tids, dtype=np.int64))), False)


def build_gin(index: GinIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    account = Account()
    area = Area(account, setting_of(txn.session, "maintenance_work_mem") * KB)
    usage = temp_usage(txn.session)
    sorter = Sorter([(itself, False)], area, lambda: TempFile(account, usage), tuples=False)
    rows = _Rows(index)
    try:
        charged = 0
        for batch in live_rows(txn, index):
            rows.add(batch)
            full = area.add(rows.bytes - charged)
            charged = rows.bytes
            if full:
                sorter.add_run(entry_batches(rows.take()))
                area.take_back(charged)
                charged = 0
            take_turn(txn)
        run = rows.take()
        more: Iterator[list[bytes]] = iter(())
        if sorter.file_bytes:
            sorter.add_run(entry_batches(run))
            run.clear()
            more = _joined(sorter.finish())
        index.writer.load(leaves(txn, index.tree, run, more))
    finally:
        account.close()


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
    yield _together(key, held)


def _together(key: bytes, entries: list[bytes]) -> list[bytes]:
    return entries if len(entries) < 2 else list(entries_of(key, gathered(entries)))
