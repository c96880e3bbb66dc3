"""Autoanalyze: tables of which many rows have changed are analyzed in the background (manual, 25.1.3 and 25.1.6).

    changes since the last ANALYZE > autovacuum_analyze_threshold + autovacuum_analyze_scale_factor × rows

The counters are the instance's (``txn/counts``): a table that nothing was done with since the start is not looked at. A
table's own storage parameters come before the settings. Temporary tables are their sessions' matter, system catalogs
are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from compute_node.access.auto_vacuum import SettingOf, number_of
from compute_node.access.vacuum import is_off
from compute_node.catalog.column_statistics.gather import Gathering, gather
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID, ROLE_POSTGRES
from compute_node.txn.locks import ACCESS_SHARE, SHARE_UPDATE_EXCLUSIVE, SKIP_LOCKED

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.txn.transaction import Txn

LOGGER = logging.getLogger(__name__)

_THRESHOLD: Final = "autovacuum_analyze_threshold"
_SCALE: Final = "autovacuum_analyze_scale_factor"


class AutoAnalyze:
    """``engines``: of the databases that are in use; ``shown`` names a table in the log.
    ``step`` is called now and then in a greenlet."""

    def __init__(
        self,
        engines: Callable[[], list[DatabaseEngine]],
        setting: SettingOf,
        shown: Callable[[RelationDesc], str] = lambda desc: desc.name,
    ) -> None:
        self._shown = shown
        self._engines = engines
        self._setting = setting
        self._rests: dict[tuple[int, int], int] = {}
        """(database, table) → until when it is left alone, in µs"""
        self.runs = 0

    def step(self) -> bool:
        """Analyze the tables that have changed enough, those first that have changed most, none more often than each
        ``autovacuum_naptime``; whether there was one. Errors: those of a page that could not be had."""
        if not self._setting("autovacuum") or not self._setting("track_counts"):
            return False
        nap_us = int(self._setting("autovacuum_naptime") * 1_000_000)
        needy = [found for engine in self._engines() for found in self._needy(engine)]
        before = self.runs
        self._forget()
        for _, engine, desc in sorted(needy, key=lambda found: -found[0]):
            now_us, key = engine.storage.clock(), (engine.database_oid, desc.oid)
            if now_us < self._rests.get(key, 0):
                continue
            # One that cannot be analyzed is not in the way of the others either.
            self._rests[key] = now_us + nap_us
            if not self._analyze(engine, desc):
                # Somebody holds a lock on it.
                del self._rests[key]
        return self.runs > before

    def _forget(self) -> None:
        """Rests that are over."""
        clocks = [engine.storage.clock() for engine in self._engines()]
        if clocks:
            now_us = max(clocks)
            self._rests = {key: until for key, until in self._rests.items() if until > now_us}

    def _needy(self, engine: DatabaseEngine) -> Iterator[tuple[float, DatabaseEngine, RelationDesc]]:
        """The tables past their threshold, with how many times of it has changed."""
        storage, layer = engine.storage, engine.catalog.shared()
        for oid, counts in storage.counts.relations(engine.database_oid):
            HUB.pulse()
            if oid < FIRST_NORMAL_OID or counts.changed <= 0:
                continue
            desc = layer.relation(oid)
            if desc is None or desc.kind not in ("r", "m") or desc.persistence == "t" or is_off(desc.options):
                continue
            limit = self._of(desc, _THRESHOLD) + self._of(desc, _SCALE) * max(desc.rows, 0)
            if counts.changed > limit:
                yield counts.changed / max(limit, 1.0), engine, desc

    def _of(self, desc: RelationDesc, name: str) -> float:
        """The table's own value of a parameter, or the setting of that name."""
        return number_of(desc.options, name, self._setting(name))

    @staticmethod
    def _lock_children(engine: DatabaseEngine, txn: Txn, desc: RelationDesc) -> bool:
        """Keep the tables that inherit from it, whose rows are read with its own; whether nobody is in the way."""
        layer = engine.catalog.shared()
        waiting = list(desc.children)
        for oid in waiting:
            child = layer.relation(oid)
            if child is None:
                continue
            if not engine.storage.locks.lock_relation(txn, child.lock_id, ACCESS_SHARE, child.name, SKIP_LOCKED):
                return False
            waiting += child.children
        return True

    def _analyze(self, engine: DatabaseEngine, desc: RelationDesc) -> bool:
        storage, catalog = engine.storage, engine.catalog
        began_us = storage.clock()
        txn = storage.txns.begin()
        try:
            if not storage.locks.lock_relation(txn, desc.lock_id, SHARE_UPDATE_EXCLUSIVE, desc.name, SKIP_LOCKED):
                return False
            current = catalog.shared().relation(desc.oid)
            if current is None or not self._lock_children(engine, txn, current):
                return False
            view = catalog.make_view(catalog.shared(), "", "postgres", ROLE_POSTGRES)
            target = int(self._setting("default_statistics_target"))
            gather(Gathering(storage, catalog.changes(txn), view, target, storage.clock(), automatic=True), current)
            storage.txns.commit(txn)
        finally:
            storage.txns.abort(txn)
        self.runs += 1
        took_ms = (storage.clock() - began_us) / 1000
        if 0 <= self._of(current, "log_autovacuum_min_duration") <= took_ms:
            LOGGER.info('automatic analyze of table "%s": elapsed: %.2f s', self._shown(current), took_ms / 1000)
        return True
