"""Vacuum: dead versions, their index entries, then their line pointers; freezing; the free-space map.

A pass over the heap prunes each page and gathers dead line pointers; a pass over each index removes the entries that
name them; a second pass over the gathered pages frees the line pointers; empty blocks at the end are cut off
(``vacuum_truncate.py``). At most ``DEAD_TIDS_MAX`` are gathered at a time. Each page is one kernel call with small
mini-transactions of its own, and the loop gets a turn every few pages, so it runs beside everything else. Pages that an
earlier vacuum left clean and that have not changed since are skipped (``CleanBlocks``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora.ids import RelFile
from aurora.page import PAGE_BYTES
from compute_node.access import free_space
from compute_node.access.dead_rows import DeadRows
from compute_node.access.read_ahead import ReadAhead
from compute_node.access.vacuum_truncate import truncate_tail
from compute_node.hub import HUB
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE, SKIP_LOCKED

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage
    from compute_node.access.table import Table


logger = logging.getLogger(__name__)

DEAD_TIDS_MAX = 10_000_000
"""Dead line pointers that are gathered before the indexes are gone through: about 64 MB at worst, 2 MB at best."""
PAGES_PER_TURN = 16
SKIPPED_PER_TURN = 4096
COUNTERS_REDO_BYTES = 64
FREEZE_AGE_XIDS = 50_000_000
OFF_WORDS = (("false", 1), ("no", 1), ("off", 2))
"""Words that say no, and how many letters of each do."""
AUTOVACUUM_NAP_S = 0.004
"""As autovacuum_vacuum_cost_delay does in PostgreSQL: the background leaves room for the foreground."""


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
    ``nap_s`` is slept every few pages, so that a vacuum nobody asked for leaves the processor to those who wait; while
    somebody waits for the table it makes haste. ``in_session``: the functions of indexes have a session to run in;
    without one BRIN indexes over expressions get no summaries."""

    def __init__(self, table: Table, freeze_all: bool = False, nap_s: float = 0.0, in_session: bool = True) -> None:
        self._nap_s = nap_s
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
        try:
            block = 0
            while block < end:
                following = self._skip(block, end)
                if following == block:
                    self._page(block, ahead)
                    following = block + 1
                block = following
        finally:
            ahead.close()
        self._clean()
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
            ahead.missed(block)
        dead, count, rows = self._work(block)
        if dead:
            self._dead.add(block, dead, count)
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
        if self._steps % PAGES_PER_TURN == 0 and HUB.in_greenlet():
            if self._nap_s and not self._storage.locks.is_awaited(self._table.desc.lock_id):
                HUB.sleep(self._nap_s)
            else:
                HUB.yield_turn()

    def _note_room(self, block: int, room: int) -> None:
        file = self._table.file
        file.free.note(block, 0 if block == file.target else room)

    def _clean(self) -> None:
        """Index entries of the gathered dead line pointers, then the line pointers."""
        if not self._dead.count:
            return
        table = self._table
        for index in table.indexes:
            self.stats.index_entries += index.remove(self._dead, self._breathe)
        for block, dead in self._dead.bits.items():
            self._breathe()
            self._storage.volume.reserve(PAGE_BYTES)
            while (freed := table.heap.free_dead(block, dead)) < 0:
                self._load(-freed)
            self.stats.line_pointers += freed
            self._work(block)
        self._dead = DeadRows()


def vacuum(table: Table, freeze_all: bool = False, nap_s: float = 0.0, in_session: bool = True) -> VacuumStats:
    """Vacuum a table; see ``Vacuum``."""
    file, storage = table.file, table.storage
    before = file.dead_rows
    stats = Vacuum(table, freeze_all, nap_s, in_session).run()
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


class AutoVacuum:
    """Vacuums tables when PostgreSQL's thresholds are passed: dead rows > 50 + 20 % of the rows.

    ``round`` is called now and then in a greenlet: it keeps counters and space maps, and vacuums each table that needs
    it; ``step`` ends after the first one. Tables that some transaction holds a conflicting lock on are left for later.
    ``find`` gives the table of a relation file that this process has not opened yet; ``vacuumed`` is told what each
    vacuum found (pg_class.reltuples).
    """

    def __init__(
        self,
        storage: Storage,
        threshold: int = 50,
        scale: float = 0.2,
        find: Callable[[int], Table | None] = lambda _: None,
        vacuumed: Callable[[Table, VacuumStats], None] = lambda _table, _stats: None,
    ) -> None:
        self._storage = storage
        self._find = find
        self._vacuumed = vacuumed
        self._threshold = threshold
        self._scale = scale
        self.runs = 0

    def round(self) -> int:
        """Vacuum the tables that need it now, those first that need it most; how many it were."""
        return sum(1 for _ in self._done())

    def step(self) -> VacuumStats | None:
        """Vacuum the table that needs it most; None when none does."""
        return next(self._done(), None)

    def _done(self) -> Iterator[VacuumStats]:
        self.keep()
        self._summarize()
        for relfile in self._needy():
            file = self._storage.extents.files.get(RelFile(relfile))
            if file is None or not self._needs(file):
                continue  # dropped, or vacuumed by somebody else meanwhile
            table = self._table(relfile)
            stats = self._vacuum_one(table) if table is not None else None
            if stats is not None:
                yield stats

    def keep(self, all_of_them: bool = False) -> None:
        """Log what has changed in counters and space maps; at a clean stop ``all_of_them``, else what matters."""
        storage, extents = self._storage, self._storage.extents
        for file in list(extents.files.values()):
            HUB.pulse()
            if all_of_them or extents.counters_are_old(file):
                storage.volume.reserve(COUNTERS_REDO_BYTES)
                if extents.files.get(file.relfile) is file:
                    extents.note_counters(file)
            if file.free.changed:
                free_space.write(storage, file)

    def _summarize(self) -> None:
        """The ranges of BRIN indexes that inserts have filled, as far as nobody holds their table."""
        storage = self._storage
        wanted, storage.unsummarized = storage.unsummarized, {}
        for relfile, places in wanted.items():
            table = self._table(relfile)
            if table is None:
                continue
            txn = storage.txns.begin()
            try:
                if not storage.locks.lock_relation(
                    txn, table.desc.lock_id, SHARE_UPDATE_EXCLUSIVE, table.name, SKIP_LOCKED
                ):
                    storage.unsummarized.setdefault(relfile, set()).update(places)
                    continue
                for index in table.indexes:
                    for block in sorted(block for oid, block in places if oid == index.desc.oid):
                        index.summarize(HUB.pulse, block)
            finally:
                storage.txns.abort(txn)

    def _needy(self) -> list[int]:
        """Relation files past their threshold, those with the most dead rows first."""
        found = []
        for relfile, file in list(self._storage.extents.files.items()):
            HUB.pulse()
            if file.dead_rows > self._threshold and self._needs(file):
                found.append((-file.dead_rows, relfile))
        return [relfile for _, relfile in sorted(found)]

    def _needs(self, file: RelationFile) -> bool:
        return file.dead_rows > self._threshold + self._scale * max(file.rows, 0)

    def _table(self, relfile: int) -> Table | None:
        known = self._storage.open_table(RelFile(relfile))
        return known if known is not None else self._find(relfile)

    def _vacuum_one(self, table: Table) -> VacuumStats | None:
        storage = self._storage
        if is_off(table.desc.options):
            return None
        txn = storage.txns.begin()
        try:
            if not storage.locks.lock_relation(
                txn, table.desc.lock_id, SHARE_UPDATE_EXCLUSIVE, table.name, SKIP_LOCKED
            ):
                return None
            stats = vacuum(table, nap_s=AUTOVACUUM_NAP_S, in_session=False)
            stats.truncated = truncate_tail(txn, table)
            self.runs += 1
            logger.debug("autovacuum of %s: %s", table.name, stats)
        finally:
            storage.txns.abort(txn)
        self._vacuumed(table, stats)
        return stats
