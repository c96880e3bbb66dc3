"""What statistics count, by function: of a relation, of this transaction, of a database (manual, 28.2.20).

An OID that nothing was counted for has zeros, as in PostgreSQL; of a relation that this instance has not used since its
start the estimates of its rows are those that VACUUM left.
"""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from compute_node.catalog.functions.call import Call
from compute_node.txn.counts import (
    DELETED,
    HOT,
    INSERTED,
    NEVER,
    UPDATED,
    Maintained,
    RelationCounts,
)

_MS = 1000.0


def _database_of(call: Call, oid: int) -> int:
    """0 of a shared catalog."""
    desc = call.view.relation(oid)
    return call.view.layer.database_oid if desc is None else desc.database


def _relation(call: Call, oid: int) -> RelationCounts | None:
    counts, database = call.engine.storage.counts, call.view.layer.database_oid
    return counts.known(database, oid) or counts.known(0, oid)


def _of_relation(name: str) -> Callable[[Call, int], int]:
    def read(call: Call, oid: int) -> int:
        found = _relation(call, oid)
        return 0 if found is None else getattr(found, name)

    return read


def live_rows(call: Call, oid: int) -> int:
    """pg_stat_get_live_tuples."""
    found = _relation(call, oid)
    if found is not None:
        return max(found.live, 0)
    desc = call.view.relation(oid)
    return 0 if desc is None else max(0, int(desc.rows))


def dead_rows(call: Call, oid: int) -> int:
    """pg_stat_get_dead_tuples."""
    found = _relation(call, oid)
    if found is not None:
        return max(found.dead, 0)
    desc, storage = call.view.relation(oid), call.engine.storage
    if desc is None or not desc.relfile or not storage.exists(desc.relfile):
        return 0
    return int(storage.file(desc.relfile).dead_rows)


def _maintained(name: str, last: bool) -> Callable[[Call, int], int | None]:
    """How often VACUUM or ANALYZE, called or by itself, has ended for a table, or when last."""

    def read(call: Call, oid: int) -> int | None:
        found = _relation(call, oid)
        done: Maintained = NEVER if found is None else getattr(found, name)
        return (done.last_us or None) if last else done.times

    return read


def _of_transaction(what: int) -> Callable[[Call, int], int]:
    """Rows that this transaction has changed so far, what savepoints have undone among them."""

    def read(call: Call, oid: int) -> int:
        found = _relation(call, oid)
        if found is None:
            return 0
        maps = [changes for level in call.txn.levels for changes in (level.sums(), level.lost) if changes is not None]
        return sum(changes[found][what] for changes in maps if found in changes)

    return read


def _of_database(name: str) -> Callable[[Call, int], Datum]:
    def read(call: Call, oid: int) -> Datum:
        return getattr(call.engine.storage.counts.database(oid), name)

    return read


def _sum_of_relations(*names: str) -> Callable[[Call, int], int]:
    def read(call: Call, oid: int) -> int:
        return sum(getattr(counts, name) for counts in call.engine.storage.counts.of(oid) for name in names)

    return read


def _of_function(name: str, factor: float = 1) -> Callable[[Call, int], Datum]:
    """NULL for a function that was not called while ``track_functions`` counted it. Times in ms."""

    def read(call: Call, oid: int) -> Datum:
        found = call.engine.storage.counts.database(call.view.layer.database_oid).functions.get(oid)
        return None if found is None else getattr(found, name) * factor

    return read


def session_time(call: Call, oid: int) -> float:
    """pg_stat_get_db_session_time, in ms: of sessions that have ended, and of those that are there so far."""
    ended_s = call.engine.storage.counts.database(oid).session_s
    registry = call.session.registry
    now_us = call.session.clock()
    running = () if registry is None else registry.sessions.values()
    spans_us = [now_us - session.backend_start for session in running if session.engine.database_oid == oid]
    return ended_s * _MS + sum(spans_us) / _MS


def reset_time(call: Call, oid: int) -> int | None:
    """pg_stat_get_db_stat_reset_time."""
    return call.engine.storage.counts.database(oid).reset_us or None


def reset(call: Call) -> str:
    """pg_stat_reset: all of this database."""
    call.engine.storage.counts.reset_database(call.view.layer.database_oid, call.session.clock())
    return ""


def reset_relation(call: Call, oid: int) -> str:
    """pg_stat_reset_single_table_counters, of an index too."""
    call.engine.storage.counts.reset_relation(_database_of(call, oid), oid, call.session.clock())
    return ""


def reset_function(call: Call, oid: int) -> str:
    """pg_stat_reset_single_function_counters."""
    call.engine.storage.counts.reset_function(call.view.layer.database_oid, oid, call.session.clock())
    return ""


def have_counts(call: Call, kind: str, database: int, oid: int) -> bool:
    """Whether there are counters of a kind for an object."""
    counts = call.engine.storage.counts
    if kind == "relation":
        return counts.known(database, oid) is not None
    if kind == "function":
        return oid in counts.database(database).functions
    if kind == "database":
        return oid == 0 and call.reader.one("pg_database", oid=database) is not None
    return oid == 0 and database == 0 and kind in ("archiver", "bgwriter", "checkpointer", "wal")


_ROWS = {
    "numscans": "scans",
    "tuples_returned": "returned",
    "tuples_fetched": "fetched",
    "tuples_inserted": "inserted",
    "tuples_updated": "updated",
    "tuples_deleted": "deleted",
    "tuples_hot_updated": "hot",
    "mod_since_analyze": "changed",
    "ins_since_vacuum": "inserted_since_vacuum",
}
_DONE = {"vacuum": "vacuumed", "autovacuum": "auto_vacuumed", "analyze": "analyzed", "autoanalyze": "auto_analyzed"}
_CHANGES = {
    "tuples_inserted": INSERTED,
    "tuples_updated": UPDATED,
    "tuples_deleted": DELETED,
    "tuples_hot_updated": HOT,
}
_DATABASE = {
    "xact_commit": "commits",
    "xact_rollback": "rollbacks",
    "deadlocks": "deadlocks",
    "temp_files": "temp_files",
    "temp_bytes": "temp_bytes",
    "sessions": "sessions",
    "sessions_abandoned": "abandoned",
    "sessions_fatal": "fatal",
    "sessions_killed": "killed",
}
FUNCTIONS: dict[str, Callable[..., Datum]] = {
    **{f"pg_stat_get_{name}": _of_relation(field) for name, field in _ROWS.items()},
    "pg_stat_get_live_tuples": live_rows,
    "pg_stat_get_dead_tuples": dead_rows,
    **{f"pg_stat_get_{name}_count": _maintained(field, False) for name, field in _DONE.items()},
    **{f"pg_stat_get_last_{name}_time": _maintained(field, True) for name, field in _DONE.items()},
    **{f"pg_stat_get_xact_{name}": _of_transaction(what) for name, what in _CHANGES.items()},
    **{f"pg_stat_get_db_{name}": _of_database(field) for name, field in _DATABASE.items()},
    "pg_stat_get_db_tuples_returned": _sum_of_relations("returned"),
    "pg_stat_get_db_tuples_fetched": _sum_of_relations("fetched"),
    "pg_stat_get_db_tuples_inserted": _sum_of_relations("inserted"),
    "pg_stat_get_db_tuples_updated": _sum_of_relations("updated"),
    "pg_stat_get_db_tuples_deleted": _sum_of_relations("deleted"),
    "pg_stat_get_db_session_time": session_time,
    "pg_stat_get_function_calls": _of_function("calls"),
    "pg_stat_get_function_total_time": _of_function("total_s", _MS),
    "pg_stat_get_function_self_time": _of_function("self_s", _MS),
    "pg_stat_get_db_stat_reset_time": reset_time,
    "pg_stat_reset": reset,
    "pg_stat_reset_single_table_counters": reset_relation,
    "pg_stat_reset_single_function_counters": reset_function,
}
