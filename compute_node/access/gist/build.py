"""Builds a GiST or SP-GiST index over the rows that a table has.

::

    scan ─► (place on a curve, entry), sorted ─┬─ within ``maintenance_work_mem`` ─► leaves ─► level above ─► … ─► root
                                               └─ past it: runs in files ─► merge ─┘

Neighbours on the curve (``Form.curves``) are neighbours in the plane, so pages filled in its order have small keys.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compute_node.access.gist.forms import BoxForm, places_on_curve
from compute_node.access.gist.keys import VALUES
from compute_node.access.gist.pages import ENTRY, FILL_BYTES, LEAF, entry, page_image
from compute_node.access.index_build import BATCH_ROWS, PARENT_BYTES, EntrySort, live_rows, take_turn
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import Area

if TYPE_CHECKING:
    from compute_node.access.gist.index import GistIndex

_SIZE = struct.Struct(">H")


_PLACED = np.dtype(
    [("flags", "u1"), ("place", ">u8"), ("size", "<u2"), ("block", "<u4"), ("slot", "<u2"), ("parts", "u1"),
     ("bytes", "<u2"), ("box", "<f8", 4), ("curve", ">u2")]
)  # fmt: skip
"""What ``_placed`` gives for a row whose one column has a box: its place, its entry, and where that begins."""
_CURVE_BYTES = 9
"""In it: the flags and the place."""


def build_gist(index: GistIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    boxes = index.classes[0].boxes if len(index.classes) == 1 else None
    with EntrySort(txn) as sort:
        for rows in live_rows(txn, index):
            if boxes is not None:
                valued = [row for row in rows if row[0] is not None]
                sort.run.add(_placed_boxes(boxes([row[0] for row in valued]), [row[1] for row in valued]), False)
                rows = [row for row in rows if row[0] is None] if len(valued) < len(rows) else []
            sort.run.add(_placed(index, rows), False)
            if sort.is_full(sort.run.bytes) and len(sort.run) > BATCH_ROWS:
                sort.spill()
            take_turn(txn)
        _load(index, txn, sort.batches(), sort.area)


def _placed(index: GistIndex, rows: list[tuple[object, ...]]) -> list[bytes]:
    """Each row's place on the curve, its entry, and where that begins: in the order of the curve by bytes."""
    forms, encoded = index.forms, index.tree.encoded
    keys = [forms.of(row[:-1]) for row in rows]
    found: list[bytes] = []
    for row, key, place in zip(rows, keys, forms.curves(keys), strict=True):
        tid, curve = row[-1], place
        found.append(curve + entry(tid >> 16, tid & 0xFFFF, encoded(key)) + _SIZE.pack(len(curve)))  # type: ignore[operator]
    return found


def _placed_boxes(boxes: NDArray[np.float64], tids: list[int]) -> list[bytes]:
    """``_placed`` of rows whose one column has these boxes."""
    found = np.empty(len(boxes), _PLACED)
    found["flags"] = found["parts"] = VALUES
    found["place"], found["curve"] = places_on_curve(boxes), _CURVE_BYTES
    found["size"], found["bytes"] = _PLACED.itemsize - _CURVE_BYTES - _SIZE.size, BoxForm.width
    addresses = np.array(tids, dtype=np.int64)
    found["block"], found["slot"], found["box"] = addresses >> 16, addresses & 0xFFFF, boxes
    data, step = found.tobytes(), _PLACED.itemsize
    return [data[at : at + step] for at in range(0, len(data), step)]


def _load(index: GistIndex, txn: Txn, placed: Iterator[list[bytes]], area: Area) -> None:
    """Leaves in the order of the curve, level by level up to the root, which is written last: nobody reads the tree
    before. The entries of a level are counted in ``area``."""
    tree = index.tree
    tree.begin()
    entries: Iterator[list[bytes]] = ([each[each[-2] << 8 | each[-1] : -2] for each in batch] for batch in placed)
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
        entries, flags, block = iter((above,)), 0, block + 1


def _pages(batches: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Entries cut into pages that are filled to ``FILL_BYTES``."""
    page: list[bytes] = []
    used = 0
    for batch in batches:
        ends = list(accumulate(map(len, batch)))
        at = before = 0
        while at < len(batch):
            end = bisect_right(ends, before + FILL_BYTES - used)
            if end > at or not page:
                end = max(end, at + 1)
                page += batch[at:end]
                used += ends[end - 1] - before
                at, before = end, ends[end - 1]
            if at < len(batch):
                yield page
                page, used = [], 0
    if page:
        yield page


def _write(index: GistIndex, block: int, flags: int, entries: list[bytes]) -> bytes:
    """A page; the entry for the page above it."""
    tree, forms = index.tree, index.forms
    tree.append(block, page_image(index.relfile, flags, 0, 0, entries))
    HUB.pulse()
    return entry(block, 0, tree.encoded(forms.union_of_stored(entries, ENTRY.size)))
