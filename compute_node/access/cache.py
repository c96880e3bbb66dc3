"""The page cache: page number → frame of the arena, loading what is missing.

A page miss reads at the VDL of that moment. That is always recent enough: a page with a younger LSN is not evictable,
so it is still here. One load a page at a time; who else wants the page waits for that load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aurora.kernels.python.arena import MISSING, ArenaFull
from compute_node.hub import HUB, Waiter

PREFETCH_PAGES = 64
"""Pages that one prefetch reads at most."""


class PageCache:
    """Loads pages of ``volume`` into ``arena``. ``waits`` counts the waits so far: equal before and after means that
    nothing else ran in between."""

    def __init__(self, arena: Any, volume: Any) -> None:
        self.arena = arena
        self.volume = volume
        self.waits = 0
        self.read_ahead_max = PREFETCH_PAGES
        self._loading: dict[int, list[Waiter]] = {}

    def get(self, page_no: int) -> int:
        """The page's frame; waits when it has to be loaded."""
        frame: int = self.arena.lookup(page_no)
        while frame == MISSING:
            self.load(page_no)
            frame = self.arena.lookup(page_no)
        return frame

    def load(self, page_no: int) -> None:
        """Bring a missing page in; it may be gone again after a further wait."""
        if self.arena.contains(page_no):
            return
        self.waits += 1
        others = self._loading.get(page_no)
        if others is not None:
            waiter = Waiter()
            others.append(waiter)
            HUB.wait(waiter)
            return
        others = self._loading[page_no] = []
        if len(self.arena) >= self.arena.frames and self.volume.log.last_lsn > self.volume.vdl:
            # Pages newer than the VDL are not evictable: let it move on before two misses chase each other through the
            # few frames that are.
            self.volume.flush_soon("the page cache is full")
        try:
            image = self.volume.read_page(page_no)
            self._install(page_no, image)
        except BaseException as error:
            for waiter in others:
                waiter.fail(error)
            raise
        finally:
            del self._loading[page_no]
        for waiter in others:
            waiter.wake()

    def create(self, page_no: int) -> int:
        """The frame of a page that was never written: no read."""
        frame: int = self.arena.lookup(page_no)
        return frame if frame != MISSING else self._install(page_no, None)

    def prefetch(self, page_nos: Iterable[int]) -> None:
        """Bring in the missing ones of ``page_nos`` with one read."""
        wanted = [n for n in page_nos if n not in self._loading and not self.arena.contains(n)][:self.read_ahead_max]
        if len(wanted) < 2 or not HUB.in_greenlet():
            return
        self.waits += 1
        for page_no in wanted:
            self._loading[page_no] = []
        woken: list[Waiter] = []
        try:
            for page_no, image in zip(wanted, HUB.await_(self.volume.read_pages(wanted)), strict=True):
                self._install(page_no, image)
        except BaseException as error:
            for page_no in wanted:
                for waiter in self._loading[page_no]:
                    waiter.fail(error)
            raise
        finally:
            for page_no in wanted:
                woken += self._loading.pop(page_no)
        for waiter in woken:
            waiter.wake()

    def _install(self, page_no: int, image: bytes | None) -> int:
        while True:
            self.arena.durable_lsn = self.volume.vdl
            try:
                frame: int = self.arena.install(page_no, image)
                return frame
            except ArenaFull:
                # Everything is newer than the VDL or pinned: it becomes evictable as the log becomes durable.
                if self.volume.log.last_lsn <= self.volume.vdl:
                    raise
                self.waits += 1
                self.volume.flush_soon("the page cache is full")
                self.volume.wait_durable(self.volume.log.last_cpl)
