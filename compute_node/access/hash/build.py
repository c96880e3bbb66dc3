"""Builds a hash index over the rows that a table has: enough buckets at once, each written as a chain of full pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from compute_node.access.hash import pages
from compute_node.access.hash.pages import (
    MAP_ENTRIES,
    MAP_PAGES_MAX,
    bucket_of,
    bucket_page,
    entry,
    hash_of,
    map_page,
    meta_page,
)
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.hash.index import HashIndex
    from compute_node.access.storage import Storage

_ROWS_PER_TURN = 4096


def build_hash(index: HashIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``."""
    items = _items(index, txn)
    last = min(max(1, -(-len(items) // _fill_entries())), MAP_ENTRIES * MAP_PAGES_MAX) - 1
    items.sort(key=lambda item: (bucket_of(hash_of(item), last), item))
    for number, image in enumerate(_images(index.relfile, items, last)):
        _write(index, number, image)


def _fill_entries() -> int:
    """Entries a bucket of a fresh index."""
    return pages.CAPACITY * 3 // 4


def _items(index: HashIndex, txn: Txn) -> list[bytes]:
    """The entries of all live chains."""
    table, keys = index.table, index.keys
    snapshot = table.storage.txns.latest_snapshot(txn)
    items: list[bytes] = []
    seen = 0
    for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
        index.built.rows += len(rows)
        for row in rows:
            key = row if keys.is_plain else keys.of(row[:-1])
            if key is not None and key[0] is not None:
                items.append(entry(index.hash(key[0]), row[-1]))
        seen += len(rows)
        if seen >= _ROWS_PER_TURN and HUB.in_greenlet():
            seen = 0
            HUB.yield_turn()
    index.built.entries = len(items)
    return items


def _images(relfile: int, items: list[bytes], last: int) -> Iterator[bytes]:
    """The pages in the order of their blocks: meta, maps, primary pages, overflow pages."""
    maps = -(-(last + 1) // MAP_ENTRIES)
    capacity = pages.CAPACITY
    first = 1 + maps
    yield meta_page(relfile, last, range(1, first))
    for number in range(maps):
        buckets = range(number * MAP_ENTRIES, min((number + 1) * MAP_ENTRIES, last + 1))
        yield map_page(relfile, [first + bucket for bucket in buckets])
    overflow: list[tuple[int, list[bytes]]] = []
    following_block = first + last + 1
    at = 0
    for bucket in range(last + 1):
        start = at
        while at < len(items) and bucket_of(hash_of(items[at]), last) == bucket:
            at += 1
        chain = [
            items[start + offset : min(at, start + offset + capacity)] for offset in range(0, at - start, capacity)
        ]
        following = following_block if len(chain) > 1 else 0
        yield bucket_page(relfile, 0, following, bucket, chain[0] if chain else [])
        overflow += [(bucket, page) for page in chain[1:]]
        following_block += max(0, len(chain) - 1)
    for number, (bucket, page) in enumerate(overflow):
        block = first + last + 1 + number
        has_more = number + 1 < len(overflow) and overflow[number + 1][0] == bucket
        yield bucket_page(relfile, 0, block + 1 if has_more else 0, bucket, page)


def _write(index: HashIndex, number: int, image: bytes) -> None:
    storage: Storage = index.table.storage
    storage.volume.reserve(PAGE_BYTES)
    block = storage.extents.new_block(index.file)
    if block != number:
        raise InvariantViolation(f"block {block} of new index {index.desc.name}, expected {number}")
    frame = storage.cache.get(index.file.map.page_no(block))
    with storage.mtr:
        storage.mtr.image(frame, image)
