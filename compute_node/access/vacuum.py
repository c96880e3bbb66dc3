"""Vacuum: dead versions, their index entries, then their line pointers; freezing; the free-space map.

A pass over the heap prunes each page and gathers dead line pointers; a pass over each index removes the entries that
name them; a second pass over the gathered pages frees the line pointers; empty blocks at the end are cut off
(``vacuum_truncate.py``). At most ``DEAD_TIDS_MAX`` are gathered at a time. Each page is one kernel call with small
mini-transactions of its own, and the loop gets a turn every few pages, so it runs beside everything else. Pages that an
earlier vacuum left clean and that have not changed since are skipped (``CleanBlocks``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora.page import PAGE_BYTES
from compute_node.access import free_space
from compute_node.access.dead_rows import DeadRows
from compute_node.access.read_ahead import ReadAhead
from compute_node.hub import HUB
from compute_node.work.progress import Progress
from compute_node.work.progress import VacuumTable as Told

if TYPE_CHECKING:
    from compute_node.access.table import Table


DEAD_TIDS_MAX = 10_000_000
"""Dead line pointers that are gathered before the indexes are gone through: about 64 MB at worst, 2 MB at best."""
PAGES_PER_TURN = 16
SKIPPED_PER_TURN = 4096
COUNTERS_REDO_BYTES = 64
FREEZE_AGE_XIDS = 50_000_000
PAUSES_MAX = 4
"""A pause is at most so many times the delay."""
OFF_WORDS = (("false", 1), ("no", 1), ("off", 2))
"""Words that say no, and how many letters of each do."""


class Pace:
    """How a vacuum leaves the processor to those who wait: by PostgreSQL's cost model (manual, "Cost-based Vacuum
    Delay"). When pages have cost ``limit``, it pauses for ``delay_ms``."""

    __slots__ = ("_balance", "_delay_ms", "_dirty", "_hit", "_limit", "_miss")

    def __init__(self, delay_ms: float, limit: float = 200, hit: float = 1, miss: float = 2, dirty: float = 20) -> None:
        self._delay_ms, self._limit = delay_ms, limit
        self._hit, self._miss, self._dirty = hit, miss, dirty
        self._balance = 0.0

    def looked(self, was_here: bool = True) -> None:
        """At a page, which was in the cache or not."""
        self._balance += self._hit if was_here else self._miss

    def changed(self) -> None:
        """A page."""
        self._balance += self._dirty

    def pause_s(self) -> float:
        """How long to pause now; 0: not yet."""
        if self._balance < self._limit:
            return 0.0
        pauses = min(self._balance / self._limit, PAUSES_MAX)
        self._balance = 0.0
        return self._delay_ms * pauses / 1000


@dataclass(slots=True)
class VacuumStats:
    """What a vacuum did. ``versions`` counts those removed, ``rows`` the visible rows seen (for reltuples)."""

    pages: int = 0
    versions: int = 0
    index_entries: int = 0
    line_pointers: int = 0
    frozen: int = 0
    rows: int = 0
    truncated: int = 0
    """Blocks cut off the table's end."""


class Vacuum:
    """One vacuum of one table; ``freeze_all`` freezes whatever is old enough to be, not only what is very old.
    ``pace``: when it pauses; while somebody waits for the table it makes haste. ``in_session``: the functions of
    indexes have a session to run in; without one BRIN indexes over expressions get no summaries."""

    def __init__(
        self,
        table: Table,
        freeze_all: bool = False,
        pace: Pace | None = None,
        in_session: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self._pace = pace or Pace(0)
        self._progress = progress or Progress("VACUUM", table.desc.oid)
        self._in_session = in_session
        self._table = table
        self._storage = table.storage
        self._load = table.storage.cache.load
        self._dead = DeadRows()
        self._steps = 0
        self.stats = VacuumStats()
        next_xid = self._storage.txns.next_xid
        self._freeze_before = next_xid if freeze_all else max(0, next_xid - FREEZE_AGE_XIDS)

    def run(self) -> VacuumStats:
        """Do all of it; in a greenlet, with a SHARE UPDATE EXCLUSIVE lock on the table held."""
        table, storage = self._table, self._storage
        file = table.file
        free_space.load(storage, file)
        # Blocks that nobody was given yet stay out: they must not be found free here and given out there as well.
        end = file.fresh
        file.clean.cover(end)
        ahead = ReadAhead(storage.cache, file.map.page_no, end)
        progress = self._progress
        progress.put(Told.PHASE, Told.SCANNING)
        progress.put(Told.BLOCKS, end)
        progress.put(Told.DEAD_MAX, DEAD_TIDS_MAX)
        try:
            block = 0
            while block < end:
                progress.put(Told.SCANNED, block)
                following = self._skip(block, end)
                if following == block:
                    self._page(block, ahead)
                    following = block + 1
                block = following
        finally:
            ahead.close()
        progress.put(Told.SCANNED, end)
        self._clean()
        progress.put(Told.VACUUMED, end)
        progress.put(Told.PHASE, Told.CLEANUP)
        for index in table.indexes:
            if self._in_session or index.keys.is_plain:
                index.summarize(self._breathe, partial=False)
        free_space.write(storage, file)
        return self.stats

    def _skip(self, block: int, end: int) -> int:
        """The first block from ``block`` on that an earlier vacuum did not find clean, or that has changed since."""
        clean, heap = self._table.file.clean, self._table.heap
        end = min(end, block + SKIPPED_PER_TURN, len(clean.lsns))
        if block >= end:
            return block
        following: int = heap.clean_run(block, end, clean.lsns, clean.oldest, self._freeze_before)
        if following > block:
            self.stats.rows += sum(clean.rows[block:following])
            self.stats.pages += following - block
            HUB.pulse()
        return following

    def _page(self, block: int, ahead: ReadAhead) -> None:
        """Prune, freeze, gather dead line pointers, count: one block."""
        storage, file = self._storage, self._table.file
        self._breathe()
        if block >= ahead.mark:
            ahead.advance(block)
        if not storage.arena.contains(file.map.page_no(block)):
            self._pace.looked(False)
            ahead.missed(block)
        dead, count, rows = self._work(block)
        if dead:
            self._dead.add(block, dead, count)
            self._progress.put(Told.DEAD, self._dead.count)
            if self._dead.count >= DEAD_TIDS_MAX:
                self._clean()
        self.stats.pages += 1
        self.stats.rows += rows

    def _work(self, block: int) -> tuple[bytes, int, int]:
        """A page's part of the vacuum: the slots of dead line pointers and their number, and its visible rows."""
        storage, table = self._storage, self._table
        storage.volume.reserve(PAGE_BYTES)
        while True:
            # Rows are counted as of their page's moment: one snapshot for all would keep what dies meanwhile.
            horizon, lsn = storage.row_horizon(), storage.txns.last_lsn
            found = table.heap.vacuum_page(block, horizon, self._freeze_before, lsn, bool(table.indexes))
            if isinstance(found, int):
                self._load(found)
                continue
            removed, frozen, dead, count, rows, room, _, _ = found
            if removed or frozen:
                # What older snapshots than the horizon may still need is gone: told before anything is waited for, for
                # the log of it must not become durable first.
                storage.txns.removed(horizon)
                self._pace.changed()
                self.stats.versions += removed
                self.stats.frozen += frozen
                if not dead:
                    found = table.heap.vacuum_page(block, horizon, self._freeze_before, lsn, bool(table.indexes))
            if not isinstance(found, int):
                table.file.clean.note(block, found[6], found[7], found[4])
            self._note_room(block, room)
            return dead, count, rows

    def _breathe(self) -> None:
        self._steps += 1
        self._pace.looked()
        if self._steps % PAGES_PER_TURN == 0 and HUB.in_greenlet():
            pause_s = self._pace.pause_s()
            if pause_s and not self._storage.locks.is_awaited(self._table.desc.lock_id):
                HUB.sleep(pause_s)
            else:
                HUB.yield_turn()

    def _note_room(self, block: int, room: int) -> None:
        file = self._table.file
        file.free.note(block, 0 if block == file.target else room)

    def _clean(self) -> None:
        """Index entries of the gathered dead line pointers, then the line pointers."""
        if not self._dead.count:
            return
        table, progress = self._table, self._progress
        progress.put(Told.PHASE, Told.INDEXES)
        for index in table.indexes:
            self.stats.index_entries += index.remove(self._dead, self._breathe)
        progress.put(Told.PHASE, Told.HEAP)
        progress.add(Told.INDEX_PASSES, 1)
        for block, dead in self._dead.bits.items():
            progress.put(Told.VACUUMED, block)
            self._breathe()
            self._storage.volume.reserve(PAGE_BYTES)
            while (freed := table.heap.free_dead(block, dead)) < 0:
                self._load(-freed)
            self.stats.line_pointers += freed
            self._work(block)
        self._dead = DeadRows()
        progress.put(Told.DEAD, 0)
        progress.put(Told.PHASE, Told.SCANNING)


def vacuum(
    table: Table,
    freeze_all: bool = False,
    pace: Pace | None = None,
    in_session: bool = True,
    progress: Progress | None = None,
) -> VacuumStats:
    """Vacuum a table; see ``Vacuum``."""
    file, storage = table.file, table.storage
    before = file.dead_rows
    stats = Vacuum(table, freeze_all, pace, in_session, progress).run()
    # Those that died meanwhile are the next one's.
    file.dead_rows = max(0, file.dead_rows - before)
    file.rows = stats.rows
    storage.volume.reserve(COUNTERS_REDO_BYTES)
    if storage.extents.files.get(file.relfile) is file:
        storage.extents.note_counters(file)
    return stats


def is_off(options: Sequence[str]) -> bool:
    """Whether ``autovacuum_enabled`` of a table's options says no."""
    return any(is_no(option) for option in options if option.startswith("autovacuum_enabled="))


def is_no(option: str) -> bool:
    """Whether a storage parameter, ``name=value``, has a value that says no."""
    word = option.partition("=")[2].strip().lower()
    return word == "0" or any(len(word) >= least and full.startswith(word) for full, least in OFF_WORDS)
