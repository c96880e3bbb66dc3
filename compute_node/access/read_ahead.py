"""Read-ahead of a sequential scan: the pages it will want next come while it works on those it has.

::

    blocks   ··consumed·· │ here: the scan works │ on its way: asked for │ not asked for yet
                          ▲ block                ▲ mark                  ▲ next

Nothing is asked for until the scan misses a page. Then a window of ``FIRST_PAGES`` blocks is read in one request; when
the scan comes to the first block of the newest window (``mark``), the next one, twice as long, is sent for, up to what
the cache allows. So a LIMIT that is content with little reads little, and a long scan has always one request on its
way. What is in the cache already is not asked for. (Linux does the same for files: mm/readahead.c.)

A page that was brought and is gone again when the scan comes to it tells that the cache is too small for all who use
it: the windows start small again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from compute_node.access.cache import Load, PageCache


FIRST_PAGES: Final = 4
WINDOWS: Final = 2
"""Read-aheads under way at most: the one that the scan is about to consume and the next."""
_NEVER: Final = sys.maxsize


class ReadAhead:
    """For one scan of the blocks below ``end``, in order. ``page_of``: block → page number.

    The scan calls ``missed`` when a block's page is not in the cache, ``advance`` when it has come to ``mark``, and
    ``close`` at its end.
    """

    __slots__ = ("_cache", "_end", "_loads", "_next", "_page_of", "_pages", "mark")

    def __init__(self, cache: PageCache, page_of: Callable[[int], int], end: int) -> None:
        self.mark = _NEVER
        """Block at which ``advance`` wants to be called."""
        self._cache = cache
        self._page_of = page_of
        self._end = end
        self._next = 0
        self._pages = 0
        self._loads: list[Load] = []

    def missed(self, block: int) -> None:
        """The scan needs ``block``'s page and it is not here, though it may be on its way."""
        if block < self._next:
            page_no = self._page_of(block)
            if any(load.is_reading(page_no) for load in self._loads):
                return
            self._next = block  # it was here and has been evicted
        limit = self._cache.read_ahead_pages
        if limit < 2:
            return
        self._pages = min(FIRST_PAGES, limit)
        self._next = block
        self._send()
        self.mark = block + 1

    def advance(self, block: int) -> None:
        """The scan has come to ``mark``: send for the next window."""
        self._pages = min(2 * self._pages, max(2, self._cache.read_ahead_pages))
        self._next = max(self._next, block)
        self.mark = self._next
        self._send()

    def _send(self) -> None:
        stop = min(self._next + self._pages, self._end)
        if stop <= self._next:
            self.mark = _NEVER
            return
        load = self._cache.read_ahead(map(self._page_of, range(self._next, stop)))
        self._next = stop
        if load is not None:
            self._loads.append(load)
            del self._loads[:-WINDOWS]

    def close(self) -> None:
        """The scan is over: what is still on its way is not waited for."""
        self.mark = _NEVER
        for load in self._loads:
            load.cancel()
        self._loads.clear()
