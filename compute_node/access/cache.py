"""The page cache: page number → frame of the arena, loading what is missing.

A page miss reads at the VDL of that moment. That is always recent enough: a page with a younger LSN is not evictable,
so it is still here, and nobody changes a page that is not here. One load a page at a time, whoever began it: a miss
(``load``) or a scan's read-ahead (``read_ahead``); who else wants the page waits for that load. A page that is made
anew while its load is under way (``create``) takes the place of what the load brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurora.errors import AdminShutdown, DataCorrupted, IoError
from aurora.ids import PageNo
from aurora.kernels.python.arena import MISSING, ArenaFull
from compute_node.hub import HUB, Background, Waiter

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from compute_node.volume.interface import PagedVolume


READ_AHEAD_MAX = 64
"""Pages of one read-ahead at most."""
SHARE_OF_CACHE = 8
"""A read-ahead is at most this part of the cache; a scan has two under way, the one it consumes and the next."""


class Load:
    """One read under way: ``waiting`` are those who want one of its pages."""

    __slots__ = ("pages", "task", "waiting")

    def __init__(self, pages: Sequence[int]) -> None:
        self.pages = pages
        self.waiting: list[Waiter] = []
        self.task: Background | None = None

    def is_reading(self, page_no: int) -> bool:
        """Whether the page is still on its way."""
        return self.task is not None and not self.task.done() and page_no in self.pages

    def cancel(self) -> None:
        """Give a read-ahead up; who waits for one of its pages reads it for himself."""
        if self.task is not None:
            self.task.cancel()


class PageCache:
    """Loads pages of ``volume`` into ``arena``. ``waits`` counts the waits so far: equal before and after means that
    nothing else ran in between. ``read_ahead_max`` bounds a read-ahead in pages; 0 turns it off."""

    def __init__(self, arena: Arena, volume: PagedVolume) -> None:
        self.arena = arena
        self.volume = volume
        self.waits = 0
        self.read_ahead_max = READ_AHEAD_MAX
        self.pages_read = 0
        """Pages that came from storage."""
        self.pages_ahead = 0
        """Those of them that a scan had asked for ahead."""
        self.misses_waited = 0
        """How often somebody has waited for a page,"""
        self.waited_s = 0.0
        """and how long together."""
        self._loading: dict[int, Load] = {}
        self.arrived: Callable[[int, bytes | None], bytes | None] = lambda _, image: image
        """What is done to a page that storage has given before it is in the cache: a reader instance applies the log
        that has come since it asked"""

    def is_loading(self, page_no: int) -> bool:
        """Whether the page is on its way from storage."""
        return page_no in self._loading

    def get(self, page_no: int) -> int:
        """The page's frame; waits when it has to be loaded."""
        frame: int = self.arena.lookup(page_no)
        while frame == MISSING:
            self.load(page_no)
            frame = self.arena.lookup(page_no)
        return frame

    @contextmanager
    def pinned(self, page_nos: Iterable[int]) -> Iterator[list[int]]:
        """The frames of pages, which stay in memory in the block; getting them may wait."""
        frames: list[int] = []
        try:
            for page_no in page_nos:
                frame = self.get(page_no)
                self.arena.pin(frame)
                frames.append(frame)
            yield frames
        finally:
            for frame in frames:
                self.arena.unpin(frame)

    def load(self, page_no: int) -> None:
        """Bring a missing page in; it may be gone again after a further wait."""
        began_s = HUB.now_s()
        try:
            self._load(page_no)
        finally:
            self.misses_waited += 1
            self.waited_s += HUB.now_s() - began_s

    def _load(self, page_no: int) -> None:
        while not self.arena.contains(page_no):
            self.waits += 1
            other = self._loading.get(page_no)
            if other is None:
                self._read(page_no)
                return
            waiter = Waiter()
            other.waiting.append(waiter)
            HUB.wait(waiter)
            # A read-ahead may have failed or found no frame, a session may have been cancelled: look again.

    def _read(self, page_no: int) -> None:
        """Read in this greenlet; who waits for one of the pages gets storage's errors as well."""
        load = self._loading[page_no] = Load((page_no,))
        if len(self.arena) >= self.arena.frames and self.volume.log.last_lsn > self.volume.vdl:
            # Pages newer than the VDL are not evictable: let it move on before two misses chase each other through the
            # few frames that are.
            self.volume.flush_soon("the page cache is full")
        try:
            image = self.volume.read_page(PageNo(page_no))
            self.pages_read += 1
            if self._loading.get(page_no) is load:
                image = self.arrived(page_no, image)
            self._install(page_no, image, load)
        except (IoError, DataCorrupted, AdminShutdown) as error:
            # Storage's errors are everybody's. Not so a cancel of this session: others read for themselves then.
            if not isinstance(error, AdminShutdown) or self.volume.fenced:
                for waiter in load.waiting:
                    waiter.fail(error)
            raise
        finally:
            self._loaded(load)
            for waiter in load.waiting:
                waiter.wake()

    def _missing(self, page_nos: Iterable[int]) -> list[PageNo]:
        return [
            PageNo(page_no) for page_no in page_nos if page_no not in self._loading and not self.arena.contains(page_no)
        ]

    def _loaded(self, load: Load) -> None:
        for page_no in load.pages:
            if self._loading.get(page_no) is load:
                del self._loading[page_no]

    def abandon_loads(self) -> None:
        """What is on its way is of an earlier point, and is not wanted any more (a reader instance that begins anew, or
        becomes the writer)."""
        self._loading.clear()

    # Ahead of a scan

    @property
    def read_ahead_pages(self) -> int:
        """Pages that one read-ahead may have: what it brings must still be here when the scan comes to it."""
        return int(min(self.read_ahead_max, self.arena.frames // SHARE_OF_CACHE))

    def read_ahead(self, page_nos: Iterable[int]) -> Load | None:
        """Begin to read the missing ones of ``page_nos`` and go on; None when there are none, or nobody can wait."""
        wanted = self._missing(page_nos)
        if not wanted or not HUB.in_greenlet():
            return None
        load = Load(wanted)
        self._loading.update(dict.fromkeys(wanted, load))
        load.task = HUB.beside(self.volume.read_pages(wanted), lambda images: self._arrived(load, images))
        return load

    def _arrived(self, load: Load, images: Sequence[bytes | None] | None) -> None:
        """A read-ahead is over; without ``images`` it was cancelled or failed, which is nobody's error: who needs one
        of the pages reads it himself, and his read tells what is wrong."""
        if images is not None:
            self.pages_read += len(images)
            self.pages_ahead += len(images)
            self._install_ahead(load, images)
        self._loaded(load)
        for waiter in load.waiting:
            waiter.wake()

    def _install_ahead(self, load: Load, images: Sequence[bytes | None]) -> None:
        self.arena.durable_lsn = self.volume.vdl
        for page_no, image in zip(load.pages, images, strict=True):
            if self._loading.get(page_no) is load:
                try:
                    self.arena.install(page_no, self.arrived(page_no, image))
                except ArenaFull:
                    return  # all is pinned or newer than the VDL: who needs the page waits for a frame in ``load``

    # Frames

    def create(self, page_no: int) -> int:
        """The frame of a page that was never written: no read."""
        frame: int = self.arena.lookup(page_no)
        if frame != MISSING:
            return frame
        self._loading.pop(page_no, None)  # what a load brings may be older than what is now written here
        return self._install(page_no, None)

    def forget(self, page_nos: Iterable[int]) -> bool:
        """Drop pages that nobody needs any more and that are durable; False when one is pinned or being loaded."""
        resident = []
        for page_no in page_nos:
            if page_no in self._loading:
                return False
            if self.arena.contains(page_no):
                frame = self.arena.lookup(page_no)
                if self.arena.pins[frame] or self.arena.page_lsn(frame) > self.volume.vdl:
                    return False
                resident.append(page_no)
        for page_no in resident:
            self.arena.drop(page_no)
        return True

    def _install(self, page_no: int, image: bytes | None, load: Load | None = None) -> int:
        """The page's frame; MISSING when it was made anew since ``load`` began, and is gone again."""
        while True:
            if load is not None and self._loading.get(page_no) is not load:
                return int(self.arena.lookup(page_no))
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
