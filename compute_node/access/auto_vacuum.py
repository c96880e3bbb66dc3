"""The autovacuum daemon's vacuums: which tables need one, and when (manual, 25.1.6 "The Autovacuum Daemon").

    dead rows > autovacuum_vacuum_threshold + autovacuum_vacuum_scale_factor × reltuples, or
    rows inserted since the last vacuum > autovacuum_vacuum_insert_threshold + …_insert_scale_factor × reltuples

A table's own storage parameters come before the settings. The daemon looks every few seconds and takes what needs it; a
table that it has vacuumed rests for ``autovacuum_naptime``, so that none is vacuumed more often than PostgreSQL would.
Dead rows are counted by relation file and kept over a restart (``extents.py``), inserted ones by this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.ids import RelFile
from compute_node.access import free_space
from compute_node.access.vacuum import COUNTERS_REDO_BYTES, Pace, VacuumStats, is_no, is_off, vacuum
from compute_node.access.vacuum_truncate import truncate_tail
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.counts import settle
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE, SKIP_LOCKED

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.access.table import Table

logger = logging.getLogger(__name__)

SettingOf = Callable[[str], float]
"""The instance's value of a setting, in the unit in which it is kept; on is 1."""
_BUILT_IN = {
    "autovacuum": 1, "track_counts": 1, "autovacuum_naptime": 0, "log_autovacuum_min_duration": -1,
    "autovacuum_vacuum_threshold": 50, "autovacuum_vacuum_scale_factor": 0.2,
    "autovacuum_vacuum_insert_threshold": 1000, "autovacuum_vacuum_insert_scale_factor": 0.2,
    "autovacuum_vacuum_cost_delay": 2, "autovacuum_vacuum_cost_limit": -1, "vacuum_cost_delay": 0,
    "vacuum_cost_limit": 200, "vacuum_cost_page_hit": 1, "vacuum_cost_page_miss": 2, "vacuum_cost_page_dirty": 20,
}  # fmt: skip


def built_in(**changed: float) -> SettingOf:
    """PostgreSQL's defaults, some of them ``changed``, without a rest between two vacuums: for storage without a
    server."""
    values = {**_BUILT_IN, **changed}
    return lambda name: float(values[name])


def number_of(options: Sequence[str], name: str, otherwise: float) -> float:
    """A table's own value of a storage parameter."""
    for option in options:
        key, _, text = option.partition("=")
        if key == name:
            return float(int(text, 16)) if text.strip().lower().lstrip("+-").startswith("0x") else float(text)
    return otherwise


class AutoVacuum:
    """``round`` is called now and then in a greenlet: it keeps counters and space maps, and vacuums each table that
    needs it; ``step`` ends after the first one. Tables that some transaction holds a conflicting lock on are left for
    later. ``find`` gives the table of a relation file that this process has not opened yet; ``current`` a table's
    descriptor with the storage parameters and reltuples of now, None: it has gone; ``vacuumed`` is told what each
    vacuum found; ``shown`` names a table in the log.
    """

    def __init__(
        self,
        storage: Storage,
        setting: SettingOf | None = None,
        find: Callable[[int], Table | None] = lambda _: None,
        current: Callable[[RelationDesc], RelationDesc | None] = lambda desc: desc,
        vacuumed: Callable[[Table, VacuumStats], None] = lambda _table, _stats: None,
        shown: Callable[[RelationDesc], str] = lambda desc: desc.name,
    ) -> None:
        self._storage = storage
        self._setting = setting or built_in()
        self._find = find
        self._current = current
        self._vacuumed = vacuumed
        self._shown = shown
        self._rests: dict[int, int] = {}
        """relation file → until when it is left alone, in µs"""
        self.runs = 0

    def round(self) -> int:
        """Vacuum the tables that need it now, those first that need it most; how many it were."""
        return sum(1 for _ in self._done())

    def step(self) -> VacuumStats | None:
        """Vacuum the table that needs it most; None when none does."""
        return next(self._done(), None)

    def _done(self) -> Iterator[VacuumStats]:
        self.keep()
        if not self._setting("autovacuum") or not self._setting("track_counts"):
            return
        self._summarize()
        settle(self._storage.counts.pending)
        now_us = self._storage.clock()
        self._rests = {relfile: until for relfile, until in self._rests.items() if until > now_us}
        for relfile in self._needy():
            HUB.pulse()
            file = self._storage.extents.files.get(RelFile(relfile))
            table = self._table(relfile) if file is not None else None
            # It may have been dropped, or vacuumed by somebody else meanwhile.
            desc = self._current(table.desc) if table is not None else None
            if file is None or table is None or desc is None or not self._needs(table, desc):
                continue
            stats = self._vacuum_one(table, desc)
            if stats is not None:
                self._rests[relfile] = self._storage.clock() + int(self._setting("autovacuum_naptime") * 1_000_000)
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
        """Relation files that have changed and do not rest, those with the most dead rows first."""
        found = [
            (-file.dead_rows, relfile)
            for relfile, file in self._storage.extents.files.items()
            if relfile not in self._rests and (file.dead_rows or self._inserted(relfile))
        ]
        return [relfile for _, relfile in sorted(found)]

    def _inserted(self, relfile: int) -> int:
        """Rows that this process has inserted since the last vacuum."""
        table = self._storage.open_table(RelFile(relfile))
        return 0 if table is None else table.counts.inserted_since_vacuum

    def _needs(self, table: Table, desc: RelationDesc) -> bool:
        """Whether a table is past a threshold of its own, or of the settings."""
        rows = max(desc.rows, 0.0)

        def limit(kind: str) -> float:
            return self._of(desc, f"{kind}_threshold") + self._of(desc, f"{kind}_scale_factor") * rows

        if is_off(desc.options):
            return False
        if table.file.dead_rows > limit("autovacuum_vacuum"):
            return True
        if self._of(desc, "autovacuum_vacuum_insert_threshold") < 0:
            return False
        return table.counts.inserted_since_vacuum > limit("autovacuum_vacuum_insert")

    def _of(self, desc: RelationDesc, name: str) -> float:
        return number_of(desc.options, name, self._setting(name))

    def _pace(self, desc: RelationDesc) -> Pace:
        """-1 stands for what VACUUM goes by."""
        delay, limit = self._of(desc, "autovacuum_vacuum_cost_delay"), self._of(desc, "autovacuum_vacuum_cost_limit")
        return Pace(
            self._setting("vacuum_cost_delay") if delay < 0 else delay,
            self._setting("vacuum_cost_limit") if limit < 0 else limit,
            *(self._setting(f"vacuum_cost_page_{what}") for what in ("hit", "miss", "dirty")),
        )

    def _table(self, relfile: int) -> Table | None:
        known = self._storage.open_table(RelFile(relfile))
        return known if known is not None else self._find(relfile)

    def _vacuum_one(self, table: Table, desc: RelationDesc) -> VacuumStats | None:
        storage = self._storage
        began_us = storage.clock()
        txn = storage.txns.begin()
        try:
            if not storage.locks.lock_relation(
                txn, table.desc.lock_id, SHARE_UPDATE_EXCLUSIVE, table.name, SKIP_LOCKED
            ):
                return None
            stats = vacuum(table, pace=self._pace(desc), in_session=False)
            if not any(is_no(option) for option in desc.options if option.startswith("vacuum_truncate=")):
                stats.truncated = truncate_tail(txn, table)
            table.counts.was_vacuumed(stats.rows, table.file.dead_rows, True, storage.clock())
            self.runs += 1
        finally:
            storage.txns.abort(txn)
        self._vacuumed(table, stats)
        self._tell(table, desc, stats, (storage.clock() - began_us) / 1000)
        return stats

    def _tell(self, table: Table, desc: RelationDesc, stats: VacuumStats, took_ms: float) -> None:
        least_ms = self._of(desc, "log_autovacuum_min_duration")
        if 0 <= least_ms <= took_ms:
            logger.info(
                'automatic vacuum of table "%s": pages: %d removed, %d remain; tuples: %d removed, %d remain;'
                " index entries: %d removed; elapsed: %.2f s",
                self._shown(desc), stats.truncated, table.file.map.blocks, stats.versions, stats.rows,
                stats.index_entries, took_ms / 1000,
            )  # fmt: skip
