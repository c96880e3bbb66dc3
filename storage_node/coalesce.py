"""Coalescing and collection: hot log → page store, in chunks small enough never to hold up the append path.

A pass starts when the hot log has reached its size or age. For each PG it takes the leading entries that lie at or
below ``min(VDL hint, PGMRPL, SCL)``, brings every page they touch to that LSN, chunk by chunk::

    build pages ─ stage ─ [sync torn-<pg>] ─ place ─ [sync pages-<pg>] ─ forget their records    … next chunk
    … all pages done ─ collected_lsn in the meta file ─ delete log files without needed entries

A page whose newest record is a FREE is stored as a hole, which has no LSN to tell a stale reader by: before the first
hole of a round, the segment's ``floor_lsn`` is raised to the round's end, in the meta file too.

The syncs are effects. Repairs from peers go through the same chunk queue, so that one chunk is under way
at a time. When the disk refuses, the chunk stays where it is and is tried again; the log keeps everything meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from storage_node.effects import Effect, SyncFile
from storage_node.hot_log import Entry, LogDamaged
from storage_node.page_store import PageDamaged, page_lsn
from storage_node.segment import Collected, Segment

if TYPE_CHECKING:
    from storage_node.node import AnyNode

CHUNK_PAGES = 64
RETRY_S = 1.0
"""Pause after a refusal of the disk, and between passes that could not take anything."""
STAGGER = 0.5
"""How much more log than the setting says the last member lets come together before a pass."""


class Phase(Enum):
    """Where the current chunk is."""

    STAGE = auto()
    STAGING = auto()
    PLACE = auto()
    PLACING = auto()


@dataclass
class Chunk:
    """Pages of one segment to be made durable, ``(index in the PG, page)``, None for one that was freed at or below
    ``floor_lsn``; ``done`` is called when they are, and ``pages`` then has those that were stored.

    A hole has no LSN, so that a repair which has become stale while it waited must be known by other means: the page
    does not wait for it any more (``is_repair``), or the log after ``floor_lsn`` has been given up since.
    """

    segment: Segment
    pages: list[tuple[int, bytearray | None]]
    done: Callable[[], None]
    floor_lsn: int = 0
    is_repair: bool = False


@dataclass
class Round:
    """One PG's part of a pass."""

    segment: Segment
    upto_lsn: int
    version: int
    pages: deque[int] = field(default_factory=deque)
    ready: list[tuple[int, bytearray | None]] = field(default_factory=list)
    """Pages of the next chunk, built in as many slices as it takes: a chunk costs two syncs."""
    numbers: list[int] = field(default_factory=list)
    """Page numbers that the next chunk brings to ``upto_lsn``."""
    failed: bool = False


class Coalescer:
    """The background writer of one node's page stores."""

    def __init__(self, node: AnyNode) -> None:
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
        self.passes: int = 0
        self.stored_pages: int = 0
        """Pages written to the page stores: coalesced, repaired and of baselines."""
        self.collected_files: int = 0

    @property
    def busy(self) -> bool:
        """Whether a chunk or a pass is under way."""
        return bool(self._queue or self._current or self._round or self._todo)

    def touches(self, segment: Segment) -> bool:
        """Whether pages of the segment are being built, wait or are being stored."""
        chunks = [*self._queue, *([self._current] if self._current else ())]
        return any(chunk.segment is segment for chunk in chunks) or (
            self._round is not None and self._round.segment is segment
        )

    def writes(self, segment: Segment) -> bool:
        """Whether a chunk of that segment is on its way to the disk: its torn-page file is needed."""
        return self._current is not None and self._current.segment is segment

    def submit(self, chunk: Chunk) -> None:
        """Queue pages that came from a peer."""
        self._queue.append(chunk)

    def forget(self, segment: Segment) -> None:
        """The segment is given up: what waits for its page store is not needed. A write under way may end."""
        pg, gone = segment.pg, self._gone
        self._gone = [entry for entry in gone if entry.pg != pg]
        self._node.log.release([entry for entry in gone if entry.pg == pg])
        self._queue = deque(chunk for chunk in self._queue if chunk.segment is not segment)
        self._todo = deque(other for other in self._todo if other is not segment)
        if self._round is not None and self._round.segment is segment:
            self._round = None
        if self._current is not None and self._current.segment is segment:
            self._current = None
            self._phase = Phase.STAGE

    def step(self, now: float) -> list[Effect]:
        """Do one slice of work."""
        if self._phase in (Phase.STAGING, Phase.PLACING) or now < self._not_before or buggify("coalesce-pauses"):
            return []
        if self._gone:
            self.collect()  # the disk refused the meta file
        if self._current is None:
            if not self._queue:
                self._plan(now)
            if not self._queue:
                return []
            self._current = chunk = self._queue.popleft()
            # While the chunk waited, a pass may have stored newer pages: those stay.
            if chunk.is_repair:
                chunk.pages = _wanted(chunk)
            else:
                chunk.pages = [(index, page) for index, page in chunk.pages if _changes(chunk.segment, index, page)]
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
                if any(page is None for _, page in chunk.pages):
                    self._node.raise_floor(chunk.segment, chunk.floor_lsn)
                store.stage(chunk.pages)
                self._phase = Phase.STAGING
                return [SyncFile(store.torn_name)]
            store.place()
            self._phase = Phase.PLACING
            return [SyncFile(store.name)]
        except OSError as error:
            self._node.refused_by_disk(error, "pages")
            self._not_before = now + RETRY_S
            return []

    def on_synced(self, name: str) -> list[Effect]:
        """The sync of that file, asked for last, is done."""
        if self._current is None or self._phase not in (Phase.STAGING, Phase.PLACING):
            return []  # its segment was given up meanwhile
        store = self._current.segment.store
        if name != (store.torn_name if self._phase is Phase.STAGING else store.name):
            return []
        if self._phase is Phase.STAGING:
            self._phase = Phase.PLACE
            return self._write(self._node.clock.monotonic())
        chunk, self._current, self._phase = self._current, None, Phase.STAGE
        self._node.refusals.clear("pages")
        if chunk is not None:
            self.stored_pages += len(chunk.pages)
            chunk.segment.broken.difference_update(index for index, _ in chunk.pages)
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
        full = [segment for segment in node.segments.values() if not segment.tail]
        live = sum(segment.live_bytes for segment in full)
        threshold_bytes = node.config.coalesce_log_mb * (1 << 20) * self._stagger()
        due = live >= threshold_bytes or now - self._last_pass >= node.config.coalesce_age_s
        if not due and not node.memory.pressed and not buggify("coalesce-early"):
            return False
        self._last_pass = now
        self._todo.extend(s for s in full if s.target(node.coalesce_limit(s)))
        if not self._todo:
            self._not_before = now + RETRY_S
            return False
        self.passes += 1
        return True

    def _stagger(self) -> float:
        """1 to 1 + ``STAGGER``, by the node's place among the members: all get the same log at the same time, and page
        reads shall find nodes that do not coalesce just then."""
        descriptor = self._node.descriptor
        members = [node.node_id for node in descriptor.nodes] if descriptor is not None else []
        node_id = self._node.config.node_id
        return 1 + STAGGER * members.index(node_id) / len(members) if node_id in members else 1.0

    def _begin_round(self) -> None:
        node, segment = self._node, self._todo.popleft()
        entries = min(segment.target(node.coalesce_limit(segment)), segment.indexed)
        if not entries or node.refill.holds(segment.pg):
            return
        upto = segment.entries[entries - 1].last_lsn
        self._round = Round(segment, upto, segment.version, deque(segment.dirty_pages(upto)))

    def _build(self, work: Round, now: float) -> None:
        node, segment = self._node, work.segment
        if segment.version != work.version:
            self._round = None
            return
        deadline = now + node.config.slice_ms / 1000
        while work.pages and len(work.ready) < CHUNK_PAGES:
            page_no = work.pages.popleft()
            try:
                page = segment.materialize(page_no, work.upto_lsn, node.cache.get(page_no, work.upto_lsn))
            except Collected:
                work.numbers.append(page_no)
                continue
            except PageDamaged:
                node.cache.drop(page_no)
                work.failed = True
                continue
            except LogDamaged as error:
                node.log_damaged(segment, error)
                self._round = None
                return
            # It has records up to here, so that without a page the last of them is a FREE.
            work.ready.append((page_no - segment.first_page, page))
            work.numbers.append(page_no)
            if node.clock.monotonic() >= deadline or buggify("coalesce-one-page"):
                break
        last = not work.pages
        if last:
            self._round = None
        if last or len(work.ready) >= CHUNK_PAGES:
            pages, numbers, work.ready, work.numbers = work.ready, work.numbers, [], []
            self._queue.append(Chunk(segment, pages, lambda: self._stored(work, numbers, last), work.upto_lsn))

    def _stored(self, work: Round, numbers: list[int], last: bool) -> None:
        node, segment = self._node, work.segment
        for page_no in numbers:
            segment.stored(page_no, work.upto_lsn)
            segment.broken.discard(page_no - segment.first_page)
            node.cache.drop(page_no, work.upto_lsn)
        if work.failed:
            self._not_before = node.clock.monotonic() + RETRY_S
        elif last and segment.version == work.version:
            self._gone += segment.collect(work.upto_lsn)
            self.collect()

    def collect_tail(self, segment: Segment, upto_lsn: int) -> None:
        """The full segments have their pages up to there: a tail needs its log below no longer."""
        gone = segment.collect(min(upto_lsn, self._node.coalesce_limit(segment)))
        if gone:
            self._gone += gone
            self.collect()

    def collect(self) -> None:
        """Remember durably what has been collected, then delete the log files that are not needed any more."""
        node = self._node
        if buggify("collect-later"):
            return
        try:
            node.remember_segments()
        except OSError as error:
            node.refused_by_disk(error, "meta")
            self._not_before = node.clock.monotonic() + RETRY_S
            return
        node.log.release(node.stager.keep(self._gone))
        self._gone = []
        self.collected_files += node.log.collect()


def _wanted(chunk: Chunk) -> list[tuple[int, bytearray | None]]:
    """Those pages of a repair that are of use still."""
    if chunk.floor_lsn < chunk.segment.collected_lsn:
        # The damaged page may have been newer: one that lacks log given up here since would pass for sound.
        return []
    return [(index, page) for index, page in chunk.pages if index in chunk.segment.broken]


def _changes(segment: Segment, index: int, page: bytearray | None) -> bool:
    """Whether the page, or for None its end, is news to the page store."""
    if page is None:
        return segment.store.holds(index)
    try:
        held = segment.store.read(index)
    except PageDamaged:
        return True
    return held is None or page_lsn(held) < page_lsn(page)


def peer_chunk(segment: Segment, images: list[tuple[int, bytes]], done: Callable[[], None]) -> Chunk:
    """Pages from a peer, ``(page number, image)``, as a chunk; InvariantViolation when one is no page. An empty image
    is a page that was freed.
    """
    for page_no, image in images:
        if len(image) not in (0, PAGE_BYTES):
            raise InvariantViolation(f"page {page_no} from a peer has {len(image)} bytes")
    pages = [(page_no - segment.first_page, bytearray(image) if image else None) for page_no, image in images]
    return Chunk(segment, pages, done)
