"""Scrubbing: every file of the node is read again and again, so that what has decayed is found while peers are whole.

A pass goes over ``meta`` and ``meta-copy``, the key files, the hot log's files, and each PG's ``pages-<pg>`` and
``torn-<pg>``. It runs in slices between two turns of the append path, at ``scrub_mb_s``, once each
``scrub_interval_s``; a pass on demand takes all idle time. ::

    what is found                   what repairs it
    ──────────────────────────────  ─────────────────────────────────────────────────────────────────
    a meta file                     written anew from memory
    a key file (encrypted nodes)    written anew from the other one
    a log file with unsound bytes   what is needed of it moves to the log's end, the file goes
    a log entry in it               taken from the cache, else a gap, which gossip fills from peers
    a stored page                   ``Segment.broken``: neither served nor built on until a peer's copy is stored
    a torn-page file                cut: its pages are in place

Damage that reads find takes the same ways; ``Scrubber.step`` notices it, counts it and has gossip hurry. ``damaged-*``
files are evidence and not scrubbed. Memory is taken to be sound: what a cache holds was verified when it came in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node import log_scrub
from storage_node.hot_log import Entry, file_name
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import AnyNode

FIRST_PASS_S = 300.0
"""A node's first pass begins so long after its start at the latest."""
WINDOW_PAGES = 16
META_BYTES, TORN_BYTES = 1 << 10, 512 << 10
"""What reading the meta files and a torn-page file counts for."""
MOVE_BYTES = 512 << 10
"""Log that is moved out of a damaged file in one slice, with a sync."""
RETRY_S = 1.0

logger = logging.getLogger(__name__)


class Scrubber:
    """One node's scrubbing, and its account of damage. ``scrubbed_bytes`` … are totals since the start."""

    def __init__(self, node: AnyNode) -> None:
        self._node = node
        self._pass: Iterator[int] | None = None
        self._demanded = False
        self._credit_bytes = 0.0
        self._stepped_s = node.clock.monotonic()
        self._next_pass_s = self._stepped_s + min(FIRST_PASS_S, node.config.scrub_interval_s)
        self._move_after_s = 0.0
        self._stuck_no = 0
        """Number of the last damaged file that nothing more could be moved out of: those behind it come next."""
        self._ended_s = -1.0
        self._lost: list[tuple[int, int]] = []
        """``(PG, last LSN)`` of lost log entries that the chain does not cover again yet."""
        self._broken: dict[int, set[int]] = {}
        self._files: set[int] = set()
        self.mend_keys: Callable[[], bool] = lambda: False
        """Replaces a damaged key file, and says whether it has; below the core, whose disk is decrypted already."""
        self.passes = 0
        self.scrubbed_bytes = 0
        self.pass_bytes = 0
        """Bytes that the pass under way, or the last one, has read."""
        self.damaged = 0
        self.repaired = 0

    @property
    def waiting(self) -> int:
        """Damage found and not repaired yet."""
        return len(self._lost) + sum(map(len, self._broken.values())) + len(self._files)

    @property
    def busy(self) -> bool:
        """Whether there is work that need not wait for the next tick's time."""
        moves = bool(self._node.log.damaged) and self._node.clock.monotonic() >= self._move_after_s
        return moves or (self._demanded and self._pass is not None)

    def demand(self) -> int:
        """Scrub everything now; the number of full passes there will be when that is done."""
        self._demanded = True
        self._pass = self._everything()
        self.pass_bytes = 0
        return self.passes + 1

    def on_scrub(self, request: pb.ScrubRequest) -> pb.ScrubStatus:
        """Begin a pass when asked to; where scrubbing stands."""
        if request.start:
            self.demand()
        return self.status()

    def forget(self, pg: int) -> None:
        """The PG is held by others now: its damage is nobody's here."""
        self._broken.pop(pg, None)
        self._lost = [lost for lost in self._lost if lost[0] != pg]

    def _held(self, segment: Segment) -> bool:
        return self._node.segments.get(segment.pg) is segment

    def status(self) -> pb.ScrubStatus:
        """Where scrubbing stands."""
        age_s = self._node.clock.monotonic() - self._ended_s if self._ended_s >= 0 else -1.0
        return pb.ScrubStatus(
            running=self._pass is not None, passes=self.passes, scrubbed_bytes=self.scrubbed_bytes,
            pass_bytes=self.pass_bytes, damaged=self.damaged, repaired=self.repaired, waiting=self.waiting,
            last_pass_age_s=age_s,
        )  # fmt: skip

    # --- the slices

    def step(self, now: float) -> None:
        """One slice. StorageFailed when the log cannot be synced, which ends the node; the disk may refuse the rest."""
        self._account()
        if self._node.log.damaged and now >= self._move_after_s:
            self._evacuate(now)
        if self._pass is None:
            if now < self._next_pass_s:
                self._stepped_s = now
                return
            self._pass = self._everything()
            self.pass_bytes = 0
        config = self._node.config
        earned = (now - self._stepped_s) * config.scrub_mb_s * (1 << 20)
        self._stepped_s = now
        self._credit_bytes = min(self._credit_bytes + earned, config.scrub_mb_s * (1 << 20))
        deadline = now + config.slice_ms / 1000
        while self._demanded or self._credit_bytes > 0:
            read_bytes = next(self._pass, -1)
            if read_bytes < 0:
                self._finish(now)
                return
            self._credit_bytes -= read_bytes
            self.scrubbed_bytes += read_bytes
            self.pass_bytes += read_bytes
            if self._node.clock.monotonic() >= deadline:
                return

    def _finish(self, now: float) -> None:
        self._pass = None
        self._demanded = False
        self._ended_s = now
        self._next_pass_s = now + self._node.config.scrub_interval_s
        self.passes += 1
        logger.info(
            "scrubbed %d bytes; damaged since the start: %d, repaired: %d", self.pass_bytes, self.damaged, self.repaired
        )
        self._account()

    def _everything(self) -> Iterator[int]:
        node = self._node
        yield self._meta()
        self._keys()
        for number in node.log.files():
            yield from log_scrub.verify(node.disk, node.log, number)
        for segment in list(node.segments.values()):
            yield from self._pages(segment)
            yield self._torn(segment)

    def _meta(self) -> int:
        meta = self._node.meta
        unsound = meta.unsound()
        if unsound:
            self.damaged += len(unsound)
            logger.error("%s: not what was written; written anew", ", ".join(unsound))
            try:
                self._node.write_meta()
            except OSError as error:
                self._node.refused_by_disk(error, "meta")
            else:
                self.repaired += len(unsound)
        return META_BYTES

    def _keys(self) -> None:
        try:
            if self.mend_keys():
                self.damaged += 1
                self.repaired += 1
                logger.error("a key file: not what was written; written anew from the other one")
        except OSError as error:
            logger.error("a key file cannot be written anew: %s", error)

    def _pages(self, segment: Segment) -> Iterator[int]:
        store, first = segment.store, 0
        while self._held(segment) and first * PAGE_BYTES < store.file_bytes:
            for index in store.damaged_pages(first, WINDOW_PAGES):
                if index not in segment.broken:
                    logger.error("stored page %d of PG %d does not match its checksum", index, segment.pg)
                    segment.broken.add(index)
            yield WINDOW_PAGES * PAGE_BYTES
            first += WINDOW_PAGES

    def _torn(self, segment: Segment) -> int:
        store = segment.store
        if self._held(segment) and not self._node.coalescer.writes(segment) and not store.torn_sound():
            self.damaged += 1
            logger.error("%s: not what was written; its pages are in place, it is cut", store.torn_name)
            try:
                store.empty_torn()
            except OSError as error:
                self._node.refused_by_disk(error, "pages")
            else:
                self.repaired += 1
        return TORN_BYTES

    # --- damage

    def lost(self, entries: list[Entry]) -> None:
        """Log entries that cannot be read back: their chains have gaps until peers have sent what is missing."""
        node = self._node
        missing = False
        for pg in sorted({entry.pg for entry in entries} & node.segments.keys()):
            gone = node.segments[pg].damaged([entry for entry in entries if entry.pg == pg], node.truncations)
            for entry in gone:
                logger.error("%r is damaged; peers will be asked for it", entry)
                self._lost.append((pg, entry.last_lsn))
            self.damaged += len(gone)
            missing = missing or bool(gone)
        node.log.damaged.update(entry.file_no for entry in entries if node.log.size(entry.file_no))
        if missing:
            node.gossip.hurry()

    def _account(self) -> None:
        """Count what has come to be broken, and what is whole again."""
        segments = self._node.segments
        if self._lost:
            open_gaps = [(pg, lsn) for pg, lsn in self._lost if pg in segments and segments[pg].scl < lsn]
            self.repaired += len(self._lost) - len(open_gaps)
            self._lost = open_gaps
        for pg, segment in segments.items():
            known = self._broken.get(pg)
            if segment.broken or known:
                self._account_pages(pg, known or set(), segment.broken)
        files = self._node.log.damaged
        if files != self._files:
            self.damaged += len(files - self._files)
            for number in sorted(self._files - files):
                self.repaired += 1
                logger.warning("%s: what was needed of it has moved; deleted", file_name(number))
            self._files = set(files)

    def _account_pages(self, pg: int, known: set[int], broken: set[int]) -> None:
        if broken == known:
            return
        found = broken - known
        self.damaged += len(found)
        self.repaired += len(known - broken)
        self._broken[pg] = set(broken)
        if found:
            self._node.gossip.hurry()

    def _evacuate(self, now: float) -> None:
        """Move needed log out of a damaged file; it goes when nothing in it is needed."""
        node, number = self._node, self._next_damaged()
        needed = len(node.log.live(number))
        try:
            gone = log_scrub.evacuate(node.log, number, MOVE_BYTES)
            moved = node.stager.evacuate(number, MOVE_BYTES)
        except OSError as error:
            node.refused_by_disk(error, "log")
            self._move_after_s = now + RETRY_S
            return
        node.log.sync()
        if gone:
            self.lost(gone)
        if not moved and len(node.log.live(number)) == needed:
            self._stuck_no = number  # what is left waits for the meta file to say that it is collected
            if number == max(node.log.damaged):
                self._move_after_s = now + RETRY_S
        node.log.collect()

    def _next_damaged(self) -> int:
        """The first damaged file behind the one that is stuck, then from the first on again."""
        damaged = self._node.log.damaged
        behind = [number for number in damaged if number > self._stuck_no]
        if not behind:
            self._stuck_no = 0
        return min(behind or damaged)
