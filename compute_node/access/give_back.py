"""Gives the pages of free extents back to storage.

free extents past the row horizon → one mini-transaction each: a FREE for every page that may hold content, and the
directory entry, which says that it is done → storage makes holes of them when it coalesces. A FREE takes some ten bytes
of log, an extent of 8 MiB ten KiB. Who wants the extent again waits until that is durable (``Extents``): from then on
its pages read as never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.kernels.python.mtr import FREE_BYTES
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.access.storage import Storage


ENTRY_REDO_BYTES = 256
EXTENT_PAGES_MAX = 1024


def give_back(storage: Storage, nap_s: float = 0.0) -> int:
    """Give back what can be; how many pages. In a greenlet; ``nap_s`` is slept after each extent."""
    total = 0
    while storage.extents.next_to_give_back() is not None:
        storage.volume.reserve(EXTENT_PAGES_MAX * FREE_BYTES + ENTRY_REDO_BYTES)
        # Looked for once more after the wait: it may have got an owner.
        pages = _give_one(storage)
        if not pages:
            break
        total += pages
        if HUB.in_greenlet():
            if nap_s:
                HUB.sleep(nap_s)
            else:
                HUB.yield_turn()
    if total:
        storage.volume.flush_soon("pages given back")
    return total


def _give_one(storage: Storage) -> int:
    """Free the pages of one extent; how many, 0 when there is none or its pages are still in somebody's hands."""
    entry = storage.extents.next_to_give_back()
    if entry is None:
        return 0
    pages = range(entry.start, entry.start + (entry.used or entry.pages))
    if not storage.cache.forget(pages):
        return 0
    with storage.mtr as mtr:
        lsn = int(storage.log.next_lsn)
        for page_no in pages:
            mtr.free_page(page_no)
        storage.extents.given_back(entry, lsn)
    return len(pages)
