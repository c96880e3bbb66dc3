"""Builds a GiST or SP-GiST index over the rows that a table has.

::

    scan ─► (place on a curve, entry), sorted ─┬─ within ``maintenance_work_mem`` ─► leaves ─► level above ─► … ─► root
                                               └─ past it: runs in files ─► merge ─┘

Neighbours on the curve (``Form.curves``) are neighbours in the plane, so pages filled in its order have small keys.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.access.gist.pages import ENTRY, FILL_BYTES, LEAF, entry, page_image
from compute_node.access.index_build import BATCH_ROWS, PARENT_BYTES, EntrySort, live_rows, take_turn
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import Area

if TYPE_CHECKING:
    from compute_node.access.gist.index import GistIndex

_SIZE = struct.Struct(">H")


def build_gist(index: GistIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    with EntrySort(txn) as sort:
        for rows in live_rows(txn, index):
            sort.run.add(_placed(index, rows), False)
            if sort.is_full(sort.run.bytes) and len(sort.run) > BATCH_ROWS:
                sort.spill()
            take_turn(txn)
        _load(index, txn, (each for batch in sort.batches() for each in batch), sort.area)


def _placed(index: GistIndex, rows: list[tuple[object, ...]]) -> list[bytes]:
    """Each row's place on the curve, its entry, and where that begins: in the order of the curve by bytes."""
    forms, encoded = index.forms, index.tree.encoded
    keys = [forms.of(row[:-1]) for row in rows]
    found: list[bytes] = []
    for row, key, place in zip(rows, keys, forms.curves(keys), strict=True):
        tid, curve = row[-1], place
        found.append(curve + entry(tid >> 16, tid & 0xFFFF, encoded(key)) + _SIZE.pack(len(curve)))  # type: ignore[operator]
    return found


def _load(index: GistIndex, txn: Txn, placed: Iterator[bytes], area: Area) -> None:
    """Leaves in the order of the curve, level by level up to the root, which is written last: nobody reads the tree
    before. The entries of a level are counted in ``area``."""
    tree = index.tree
    tree.begin()
    entries: Iterator[bytes] = (each[_SIZE.unpack_from(each, len(each) - 2)[0] : -2] for each in placed)
    flags, block = LEAF, 2
    while True:
        pages = _pages(entries)
        above: list[bytes] = []
        held = next(pages, [])
        for following in pages:
            take_turn(txn)
            above.append(_write(index, block, flags, held))
            area.add(PARENT_BYTES + len(above[-1]))
            block, held = block + 1, following
        if not above:
            tree.put_root(page_image(index.relfile, flags, 0, 0, held))
            return
        above.append(_write(index, block, flags, held))
        entries, flags, block = iter(above), 0, block + 1


def _pages(entries: Iterator[bytes]) -> Iterator[list[bytes]]:
    page: list[bytes] = []
    used = 0
    for each in entries:
        if page and used + len(each) > FILL_BYTES:
            yield page
            page, used = [], 0
        page.append(each)
        used += len(each)
    if page:
        yield page


def _write(index: GistIndex, block: int, flags: int, entries: list[bytes]) -> bytes:
    """A page; the entry for the page above it."""
    tree, forms = index.tree, index.forms
    tree.append(block, page_image(index.relfile, flags, 0, 0, entries))
    HUB.pulse()
    return entry(block, 0, tree.encoded(forms.union_of_stored(entries, ENTRY.size)))
