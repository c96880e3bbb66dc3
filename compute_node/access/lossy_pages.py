"""Row addresses of bitmaps, where slot 0 stands for all rows of a page: of methods that know no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Tids = NDArray[np.int64]
_SLOT = 0xFFFF


def _divided(tids: Tids) -> tuple[Tids, Tids]:
    """(addresses of rows, addresses of pages)."""
    of_page = (tids & _SLOT) == 0
    return tids[~of_page], tids[of_page]


def intersected(one: Tids, other: Tids) -> Tids:
    """What both have, of sorted addresses without doubles; sorted, too. Of a page that one has, the other's rows."""
    rows, pages = _divided(one)
    other_rows, other_pages = _divided(other)
    common = np.intersect1d(rows, other_rows, assume_unique=True)
    if not len(pages) and not len(other_pages):
        return common
    parts = (
        common,
        rows[np.isin(rows & ~_SLOT, other_pages)],
        other_rows[np.isin(other_rows & ~_SLOT, pages)],
        np.intersect1d(pages, other_pages, assume_unique=True),
    )
    return np.unique(np.concatenate(parts))


def parts_of(tids: Tids) -> Iterator[tuple[bool, Tids]]:
    """Sorted addresses without doubles in the order of their pages: (whether they are pages, those that follow each
    other). Rows of a page that is there as a whole are left out."""
    rows, pages = _divided(tids)
    if not len(pages):
        if len(rows):
            yield False, rows
        return
    rows = rows[~np.isin(rows & ~_SLOT, pages)]
    merged = np.sort(np.concatenate((rows, pages)))
    of_page = (merged & _SLOT) == 0
    for part in np.split(merged, np.flatnonzero(of_page[1:] != of_page[:-1]) + 1):
        yield bool(not part[0] & _SLOT), part


def runs(blocks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Blocks in order as (the first, the one behind the last) of those that follow each other."""
    start = end = -1
    for block in blocks:
        if block != end:
            if start >= 0:
                yield start, end
            start = block
        end = block + 1
    if start >= 0:
        yield start, end
