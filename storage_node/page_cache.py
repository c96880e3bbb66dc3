"""A node's cache of materialized pages: one version of a page, whichever was asked for last or is newest.

Input: pages that a read or a pass of the coalescer has made → output: those again, for readers whose read point is not
below them. It holds nothing that log and page store do not have: any entry may be dropped at any time, and must be when
the records that follow it leave the index, or when what it was made of has become void.
"""

from __future__ import annotations

from aurora.buggify import buggify
from aurora.kernels import arena as arena_kernel
from aurora.page import PAGE_BYTES
from storage_node.page_store import page_lsn

FRAMES_MIN = 16
ANY_LSN = 1 << 62
"""Above every LSN: here no page has to wait for its log before it may be evicted."""


class PageCache:
    """See the module. ``cache_mb``: MiB of pages."""

    def __init__(self, cache_mb: float) -> None:
        self._arena = arena_kernel.Arena(max(FRAMES_MIN, int(cache_mb * (1 << 20)) // PAGE_BYTES))
        self._arena.durable_lsn = ANY_LSN

    def __len__(self) -> int:
        return len(self._arena)

    @property
    def hits(self) -> int:
        """Lookups that found a page."""
        return int(self._arena.hits)

    @property
    def misses(self) -> int:
        """Those that did not."""
        return int(self._arena.misses)

    def get(self, page_no: int, upto_lsn: int) -> memoryview | None:
        """The cached version of the page when it is not newer than ``upto_lsn``; good until the next ``put``."""
        frame = self._arena.lookup(page_no)
        if frame < 0 or self._arena.page_lsn(frame) > upto_lsn or buggify("page-cache-misses"):
            return None
        return memoryview(self._arena.page(frame))

    def put(self, page_no: int, page: bytearray) -> None:
        """Keep the page, unless a newer version is held."""
        frame = self._arena.lookup(page_no)
        if frame < 0:
            self._arena.install(page_no, bytes(page))
        elif self._arena.page_lsn(frame) < page_lsn(page):
            self._arena.page(frame)[:] = page

    def drop(self, page_no: int, below_lsn: int = ANY_LSN) -> None:
        """Forget a version below ``below_lsn``."""
        if self._arena.contains(page_no) and self._arena.page_lsn(self._arena.lookup(page_no)) < below_lsn:
            self._arena.drop(page_no)

    def drop_range(self, first_page: int, end_page: int) -> None:
        """Forget the pages from ``first_page`` to before ``end_page``."""
        held = self._arena.page_of
        for page_no in held[(held >= first_page) & (held < end_page)].tolist():
            self._arena.drop(page_no)

    def clear(self) -> None:
        """Forget everything."""
        held = self._arena.page_of
        for page_no in held[held >= 0].tolist():
            self._arena.drop(page_no)
