"""Builds an index over the rows that a table has: scan, sort by key bytes, unique check, bottom-up load."""

from __future__ import annotations

from typing import Any

from aurora.errors import UniqueViolation
from aurora.kernels.python.btree import TID_BYTES
from compute_node.access.index import LONG_ITEM_BYTES, Index
from compute_node.hub import HUB
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

BATCH_ROWS = 4096


def build_index(txn: Txn, table: Any, desc: IndexDesc) -> Index:
    """Fill ``desc``'s relation file (created in ``txn`` when missing) from the rows of ``table``; the caller holds a
    lock that keeps writers out. Entries are made for the latest committed versions and the transaction's own; a
    snapshot older than those must not use the index. Errors: 23505 "could not create unique index", 54000.
    """
    storage = table.storage
    if not storage.exists(desc.relfile):
        storage.create_storage(txn, desc.relfile)
    index = Index(table, desc)
    items = _items(txn, table, index)
    items.sort()
    if desc.unique:
        _check_unique(txn, index, items)
    for item in items:
        if len(item) > LONG_ITEM_BYTES:
            index.writer.check_size(item)
    index.writer.load(items)
    return index


def _items(txn: Txn, table: Any, index: Index) -> list[bytes]:
    """Leaf items of all live chains, unsorted."""
    snapshot = table.storage.txns.latest_snapshot(txn)
    plain = not index.uses_all_columns
    columns = tuple(index.attnos) if plain else tuple(range(1, len(table.desc.columns) + 1))
    items: list[bytes] = []
    batch: list[tuple[Any, ...]] = []
    for rows in table.scan_blocks(snapshot, columns, True, 0, None, True):
        if plain:
            batch += rows
        else:
            for row in rows:
                key = index.key_of(row[:-1])
                if key is not None:
                    batch.append((*key, row[-1]))
        if len(batch) >= BATCH_ROWS:
            items += index.codec.encode_many(batch)
            batch = []
            if HUB.in_greenlet():
                HUB.yield_turn()
    items += index.codec.encode_many(batch)
    return items


def _check_unique(txn: Txn, index: Index, items: list[bytes]) -> None:
    previous = b""
    for item in items:
        key = item[:-TID_BYTES]
        if key == previous:
            _report(txn, index, item)
        previous = key


def _report(txn: Txn, index: Index, item: bytes) -> None:
    """Raise 23505 for a repeated key, unless it has NULLs, which are distinct."""
    desc = index.desc
    storage, table = index.table.storage, index.table
    tid = int.from_bytes(item[-TID_BYTES:], "big")
    every = table.projection(tuple(range(1, len(table.desc.columns) + 1)), False)
    snapshot = storage.txns.latest_snapshot(txn)
    while isinstance(row := table.heap.fetch_chain(snapshot, tid, every), int):
        storage.cache.load(row)
    if row is not None and table.toast is not None:
        row = table.toast.row(row, every.eager)
    key = None if row is None else index.key_of(row)
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
