"""Builds a B-tree over the rows that a table has: scan, sort by key bytes, unique check, bottom-up load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import UniqueViolation
from aurora.kernels.python.btree import TID_BYTES
from compute_node.access.stored import resolved_row
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import KB, Account, Area
from compute_node.work.sorting import Sorter, itself
from compute_node.work.spill import TempFile, setting_of, temp_usage

if TYPE_CHECKING:
    from compute_node.access.btree.index import BTreeIndex

BATCH_ROWS = 2048
ENTRY_BYTES = 48
"""What an entry takes beside its bytes."""


def build_tree(index: BTreeIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    account = Account()
    area = Area(account, setting_of(txn.session, "maintenance_work_mem") * KB)
    usage = temp_usage(txn.session)
    sorter = Sorter([(itself, False)], area, lambda: TempFile(account, usage), tuples=False)
    try:
        for batch in _items(txn, index):
            sorter.add(batch, sum(map(len, batch)) + ENTRY_BYTES * len(batch))
            _turn(txn)
        batches: Iterator[list[bytes]] = sorter.finish()
        index.writer.load(_checked(txn, index, batches))
    finally:
        account.close()


def _turn(txn: Txn) -> None:
    """Others run, and a cancel ends the build."""
    check = getattr(txn.session, "check_interrupts", None)
    if check is not None:
        check()
    HUB.pulse()


def _items(txn: Txn, index: BTreeIndex) -> Iterator[list[bytes]]:
    """Leaf items of all live chains, unsorted."""
    table, keys = index.table, index.keys
    snapshot = table.storage.txns.latest_snapshot(txn)
    batch: list[Row] = []
    for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
        if keys.is_plain:
            batch += rows
        else:
            for row in rows:
                key = keys.of(row[:-1])
                if key is not None:
                    batch.append((*key, row[-1]))
        if len(batch) >= BATCH_ROWS:
            yield index.codec.encode_many(batch)
            batch = []
    yield index.codec.encode_many(batch)


def _checked(txn: Txn, index: BTreeIndex, batches: Iterator[list[bytes]]) -> Iterator[bytes]:
    """The sorted items one by one; 23505 for a repeated key of a unique index, 54000 for one that is too long."""
    previous = b""
    unique, check_size = index.unique, index.writer.check_size
    for batch in batches:
        _turn(txn)
        for item in batch:
            if unique:
                key = item[:-TID_BYTES]
                if key == previous:
                    _report(txn, index, item)
                previous = key
            check_size(item)
            yield item


def _report(txn: Txn, index: BTreeIndex, item: bytes) -> None:
    """Raise 23505 for a repeated key, unless it has NULLs, which are distinct."""
    desc, table = index.desc, index.table
    storage = table.storage
    tid = int.from_bytes(item[-TID_BYTES:], "big")
    every = table.projection(tuple(range(1, len(table.desc.columns) + 1)), False)
    snapshot = storage.txns.latest_snapshot(txn)
    while isinstance(row := table.heap.fetch_chain(snapshot, tid, every), int):
        storage.cache.load(row)
    if row is not None and table.toast is not None:
        row = resolved_row(row, every.eager)
    key = None if row is None else index.keys.of(row)
    if key is None or (None in key and not desc.nulls_not_distinct):
        return
    detail = (index.violation(key).detail or "").replace(" already exists.", " is duplicated.")
    raise UniqueViolation(
        f'could not create unique index "{desc.name}"',
        detail=detail,
        schema=table.desc.schema,
        table=table.desc.name,
        constraint=desc.name,
    )
