"""Coalescing and collection: hot log → page store, in chunks small enough never to hold up the append path.

A pass starts when the hot log has reached its size or age. For each PG it takes the leading entries that lie at or
below ``min(VDL hint, PGMRPL, SCL)``, brings every page they touch to that LSN, chunk by chunk::

    build pages ─ stage ─ [sync torn-<pg>] ─ place ─ [sync pages-<pg>] ─ forget their records    … next chunk
    … all pages done ─ collected_lsn in the meta file ─ delete log files without needed entries

The syncs are effects. Repairs and baselines from peers go through the same chunk queue, so that one chunk is under way
at a time. When the disk refuses, the chunk stays where it is and is tried again; the log keeps everything meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from storage_node.effects import Effect, SyncFile
from storage_node.hot_log import Entry, LogDamaged
from storage_node.page_store import PageDamaged, page_lsn
from storage_node.segment import Collected, Segment

if TYPE_CHECKING:
    from storage_node.node import StorageNode

CHUNK_PAGES = 64
_ANY_LSN = 1 << 62
RETRY_S = 1.0
"""Pause after a refusal of the disk, and between passes that could not take anything."""


class Phase(Enum):
    """Where the current chunk is."""

    STAGE = auto()
    STAGING = auto()
    PLACE = auto()
    PLACING = auto()


@dataclass
class Chunk:
    """Pages of one segment to be made durable, ``(index in the PG, page)``; ``done`` is called when they are.

    ``base_lsn``: the pages are right with the log after it on top.
    """

    segment: Segment
    pages: list[tuple[int, bytearray]]
    done: Callable[[], None]
    base_lsn: int = _ANY_LSN


@dataclass
class Round:
    """One PG's part of a pass."""

    segment: Segment
    upto_lsn: int
    version: int
    pages: deque[int] = field(default_factory=deque)
    failed: bool = False


class Coalescer:
    """The background writer of one node's page stores."""

    def __init__(self, node: StorageNode[Any]) -> None:
        self._node = node
        self._queue: deque[Chunk] = deque()
        self._current: Chunk | None = None
        self._phase = Phase.STAGE
        self._round: Round | None = None
        self._todo: deque[Segment] = deque()
        self._gone: list[Entry] = []
        """Collected entries whose collection the meta file does not say yet."""
        self._not_before = 0.0
        self._last_pass = node.clock.monotonic()

    @property
    def busy(self) -> bool:
        """Whether a chunk or a pass is under way."""
        return bool(self._queue or self._current or self._round or self._todo)

    @property
    def queued(self) -> int:
        """Chunks that wait."""
        return len(self._queue)

    def submit(self, chunk: Chunk) -> None:
        """Queue pages that came from a peer."""
        self._queue.append(chunk)

    def step(self, now: float) -> list[Effect]:
        """Do one slice of work."""
        if self._phase in (Phase.STAGING, Phase.PLACING) or now < self._not_before or buggify("coalesce-pauses"):
            return []
        if self._current is None:
            if not self._queue:
                self._plan(now)
            if not self._queue:
                return []
            self._current = chunk = self._queue.popleft()
            # While the chunk waited, a baseline or a pass may have stored newer pages: those stay.
            chunk.pages = [(index, page) for index, page in chunk.pages if _is_newer(chunk, index, page)]
            self._phase = Phase.STAGE
        return self._write(now)

    def _write(self, now: float) -> list[Effect]:
        chunk = self._current
        if chunk is None:
            return []
        if not chunk.pages:
            self._current = None
            chunk.done()
            return []
        store = chunk.segment.store
        try:
            if self._phase is Phase.STAGE:
                store.stage(chunk.pages)
                self._phase = Phase.STAGING
                return [SyncFile(store.torn_name)]
            store.place()
            self._phase = Phase.PLACING
            return [SyncFile(store.name)]
        except OSError as error:
            self._node.refused_by_disk(error)
            self._not_before = now + RETRY_S
            return []

    def on_synced(self) -> list[Effect]:
        """The sync asked for last is done."""
        if self._phase is Phase.STAGING:
            self._phase = Phase.PLACE
            return self._write(self._node.clock.monotonic())
        chunk, self._current, self._phase = self._current, None, Phase.STAGE
        if chunk is not None:
            chunk.done()
        return []

    # --- passes

    def _plan(self, now: float) -> None:
        if self._round is None:
            if not self._todo and not self._begin_pass(now):
                return
            self._begin_round()
        if self._round is not None:
            self._build(self._round, now)

    def _begin_pass(self, now: float) -> bool:
        node = self._node
        live = sum(segment.live_bytes for segment in node.segments.values())
        idle = live < node.config.coalesce_log_mb * (1 << 20) and now - self._last_pass < node.config.coalesce_age_s
        if idle and not buggify("coalesce-early"):
            return False
        self._last_pass = now
        self._todo.extend(s for s in node.segments.values() if s.target(node.coalesce_limit(s)))
        if not self._todo:
            self._not_before = now + RETRY_S
        return bool(self._todo)

    def _begin_round(self) -> None:
        node, segment = self._node, self._todo.popleft()
        entries = min(segment.target(node.coalesce_limit(segment)), segment.indexed)
        if not entries or node.baseline_held(segment.pg):
            return
        upto = segment.entries[entries - 1].last_lsn
        self._round = Round(segment, upto, segment.version, deque(segment.dirty_pages(upto)))

    def _build(self, work: Round, now: float) -> None:
        node, segment = self._node, work.segment
        if segment.version != work.version:
            self._round = None
            return
        deadline = now + node.config.slice_ms / 1000
        pages: list[tuple[int, bytearray]] = []
        numbers: list[int] = []
        while work.pages and len(pages) < CHUNK_PAGES:
            page_no = work.pages.popleft()
            try:
                page = segment.materialize(page_no, work.upto_lsn, node.cached(page_no, work.upto_lsn))
            except Collected:
                page = None
            except PageDamaged:
                work.failed = True
                continue
            except LogDamaged as error:
                node.log_damaged(segment, error)
                self._round = None
                return
            if page is not None:
                pages.append((page_no - segment.first_page, page))
            numbers.append(page_no)
            if node.clock.monotonic() >= deadline or buggify("coalesce-one-page"):
                break
        last = not work.pages
        if last:
            self._round = None
        if pages or numbers or last:
            self._queue.append(Chunk(segment, pages, lambda: self._stored(work, numbers, last)))

    def _stored(self, work: Round, numbers: list[int], last: bool) -> None:
        node, segment = self._node, work.segment
        for page_no in numbers:
            segment.stored(page_no, work.upto_lsn)
            node.drop_older(page_no, work.upto_lsn)
        if work.failed:
            self._not_before = node.clock.monotonic() + RETRY_S
        elif last and segment.version == work.version:
            self._gone += segment.collect(work.upto_lsn)
            self.collect()

    def collect(self) -> None:
        """Remember durably what has been collected, then delete the log files that are not needed any more."""
        node = self._node
        if buggify("collect-later"):
            return
        try:
            node.remember_segments()
        except OSError as error:
            node.refused_by_disk(error)
            return
        node.log.release(self._gone)
        self._gone = []
        node.log.collect()


def _is_newer(chunk: Chunk, index: int, page: bytearray) -> bool:
    try:
        held = chunk.segment.store.read(index)
    except PageDamaged:
        # The damaged page may have been newer: one that lacks log given up here since would pass for sound.
        return chunk.base_lsn >= chunk.segment.collected_lsn
    return held is None or page_lsn(held) < page_lsn(page)


def peer_chunk(
    segment: Segment, images: list[tuple[int, bytes]], done: Callable[[], None], base_lsn: int = _ANY_LSN
) -> Chunk:
    """Pages from a peer, ``(page number, image)``, as a chunk; InvariantViolation when one is no page."""
    for page_no, image in images:
        if len(image) != PAGE_BYTES:
            raise InvariantViolation(f"page {page_no} from a peer has {len(image)} bytes")
    pages = [(page_no - segment.first_page, bytearray(image)) for page_no, image in images]
    return Chunk(segment, pages, done, base_lsn)
