"""Builds a B-tree over the rows that a table has: scan, sort by key bytes, unique check, bottom-up load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.errors import UniqueViolation
from aurora.kernels.python.btree import TID_BYTES
from compute_node.access.stored import resolved_row
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.btree.index import BTreeIndex

BATCH_ROWS = 4096


def build_tree(index: BTreeIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``."""
    items = _items(txn, index)
    items.sort()
    if index.unique:
        _check_unique(txn, index, items)
    for item in items:
        index.writer.check_size(item)
    index.writer.load(items)


def _items(txn: Txn, index: BTreeIndex) -> list[bytes]:
    """Leaf items of all live chains, unsorted."""
    table, keys = index.table, index.keys
    snapshot = table.storage.txns.latest_snapshot(txn)
    items: list[bytes] = []
    batch: list[tuple[Any, ...]] = []
    for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
        if keys.is_plain:
            batch += rows
        else:
            for row in rows:
                key = keys.of(row[:-1])
                if key is not None:
                    batch.append((*key, row[-1]))
        if len(batch) >= BATCH_ROWS:
            items += index.codec.encode_many(batch)
            batch = []
            if HUB.in_greenlet():
                HUB.yield_turn()
    items += index.codec.encode_many(batch)
    return items


def _check_unique(txn: Txn, index: BTreeIndex, items: list[bytes]) -> None:
    previous = b""
    for item in items:
        key = item[:-TID_BYTES]
        if key == previous:
            _report(txn, index, item)
        previous = key


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
