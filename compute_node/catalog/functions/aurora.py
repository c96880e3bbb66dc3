"""What Aurora's functions tell of the cluster, of waits and of statistics: rows from counters that are kept.

Columns are Aurora's (``types/aurora_functions``). What this instance does not know is NULL; what it has not got (a
global database, a local cache, plans that are kept) has no rows or answers 0A000. docs/architecture/aurora-functions.md
says what each number counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from aurora.errors import InsufficientPrivilege, NotSupported, ObjectNotInPrerequisiteState, SuccessfulCompletion
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.server import has_predefined_role, stat_get_activity
from compute_node.catalog.roles import PG_READ_ALL_STATS
from compute_node.replica.topology import LAG_UNKNOWN, writer_of
from compute_node.work import waits
from compute_node.work.account import INSTANCE
from compute_node.work.spill import TEMP_STATISTICS

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

PAGE_BYTES: Final = 8192
MASTER: Final = "MASTER_SESSION_ID"
"""How Aurora marks the writer"""
REPORT_S_MAX: Final = 3600
US: Final = 1_000_000


# The cluster


def instance_identifier(call: Call) -> str:
    """aurora_db_instance_identifier."""
    return call.engine.topology.self_id


def replica_status(call: Call) -> Iterator[Row]:
    """aurora_replica_status: one row an instance, at most one of them the writer's."""
    topology = call.engine.topology
    known = {state.id: state for state in topology.instances()}
    writer = writer_of(known)
    durable_lsn = None if writer is None else writer.applied_lsn
    for state in known.values():
        is_self, is_writer = state.id == topology.self_id, state is writer
        lag_us = LAG_UNKNOWN if is_writer else topology.lag_of(state.id)
        yield (
            state.id,
            MASTER if is_writer else state.session_id,
            durable_lsn,
            None,
            None if is_writer else state.applied_lsn or None,
            None,
            _active(call) if is_self and not is_writer else None,
            True,
            None,
            None,
            None if is_self else state.last_update_us or None,
            None,
            None,
            None if lag_us == LAG_UNKNOWN else lag_us / 1000,
            None,
            None,
            None,
            state.oldest_read_lsn or None,
            None,
            _reads(call) if is_self else None,
            None,
            float(state.cpu_percent),
        )


def _active(call: Call) -> int:
    return len(call.engine.storage.txns.active)


def _reads(call: Call) -> int:
    """Pages that this instance has asked storage for."""
    return int(call.engine.storage.cache.pages_read)


def no_rows(_call: Call, *_arguments: Datum) -> Iterator[Row]:
    """Of what there is none: regions of a global database, slots of logical replication."""
    return iter(())


def ccm_status(call: Call) -> Iterator[Row]:
    """aurora_ccm_status: this instance's cache follows the log, and no cache is sent to it."""
    if call.session.settings.get("apg_ccm_enabled"):
        raise NotSupported("cluster cache management is not supported")
    raise ObjectNotInPrerequisiteState("Cluster Cache Manager is disabled")


def volume_logical_start_lsn(call: Call) -> int:
    """aurora_volume_logical_start_lsn: the VDL. A logical copy of what is durable begins behind it."""
    return int(call.engine.storage.volume.vdl)


def stat_file(call: Call) -> Iterator[Row]:
    """aurora_stat_file: one row a relation file."""
    extents = call.engine.storage.extents
    for relfile in sorted(extents.files):
        file = extents.files[relfile]
        pages = sum(entry.pages for entry in file.entries)
        yield (f"volume/{relfile}", pages * PAGE_BYTES, min(pages, int(file.map.blocks)) * PAGE_BYTES)


# Waits


def wait_types(_call: Call) -> Iterator[Row]:
    """aurora_stat_wait_type."""
    yield from waits.TYPES.items()


def wait_events(_call: Call) -> Iterator[Row]:
    """aurora_stat_wait_event: those that are counted here."""
    for event, name in waits.EVENTS.items():
        yield (waits.type_of(event), event, name)


def _all_waits(call: Call) -> waits.Waits:
    """Of all sessions since the instance began."""
    storage, registry = call.engine.storage, call.session.registry
    found = waits.Waits()
    for event, count, seconds in storage.locks.waited.rows():
        found.note(event, seconds, count)
    if storage.cache.misses_waited:
        found.note(waits.PAGE_READ, storage.cache.waited_s, storage.cache.misses_waited)
    if registry is not None:
        commits = registry.commit_waits()
        if commits.count:
            found.note(waits.LSN_DURABLE, commits.sum, commits.count)
    return found


def _wait_rows(found: waits.Waits) -> Iterator[Row]:
    for event, count, seconds in found.rows():
        yield (waits.type_of(event), event, count, round(seconds * US))


def system_waits(call: Call) -> Iterator[Row]:
    """aurora_stat_system_waits: times in µs."""
    yield from _wait_rows(_all_waits(call))


def backend_waits(call: Call, pid: int) -> Iterator[Row]:
    """aurora_stat_backend_waits: of one session, in µs. Another role's session takes pg_read_all_stats (42501)."""
    session = _session(call, pid)
    if session is None:
        return
    found = waits.Waits()
    if session.waited is not None:
        for event, count, seconds in session.waited.rows():
            found.note(event, seconds, count)
    if (commits := session.commit_waits) is not None and commits.count:
        found.note(waits.LSN_DURABLE, commits.sum, commits.count)
    yield from _wait_rows(found)


def _session(call: Call, pid: int) -> SessionState | None:
    if pid == call.session.pid:
        return call.session
    registry = call.session.registry
    session = None if registry is None else registry.sessions.get(pid)
    if session is not None:
        rights = call.view.layer.rights(call.session.user_oid)
        if not (rights.has_role(session.role_oid) or rights.has_role(PG_READ_ALL_STATS)):
            raise InsufficientPrivilege("permission denied to examine the waits of another role's session")
    return session


def wait_report(call: Call, seconds: int = 10) -> Iterator[Row]:
    """aurora_wait_report: what all sessions wait for in the next seconds, the longest first, a commit and a wait; what
    they were before is told as a NOTICE."""
    if not 0 <= seconds <= REPORT_S_MAX:
        raise ObjectNotInPrerequisiteState(f"a wait report takes from 0 to {REPORT_S_MAX} seconds")
    txns = call.engine.storage.txns
    before = {event: (count, took_s) for event, count, took_s in _all_waits(call).rows()}
    commits = txns.commits
    call.session.sleep(float(seconds))
    commits = txns.commits - commits
    rate = commits / seconds if seconds else 0.0
    call.session.notice(SuccessfulCompletion(f"committed {commits} transactions in {seconds} seconds (tps {rate:.0f})"))
    found = []
    for event, count, took_s in _all_waits(call).rows():
        earlier, earlier_s = before.get(event, (0, 0.0))
        if count > earlier:
            found.append((took_s - earlier_s, count - earlier, event))
    for took_s, count, event in sorted(found, reverse=True):
        took_ms = took_s * 1000
        yield (
            waits.TYPES[waits.type_of(event)],
            waits.EVENTS[event],
            count,
            round(took_ms),
            _rounded(took_ms / count),
            _rounded(count / commits) if commits else None,
            _rounded(took_ms / commits) if commits else None,
        )


def _rounded(value: float) -> Decimal:
    return Decimal(f"{value:.3f}")


# Statistics


def stat_activity(call: Call) -> Iterator[Row]:
    """aurora_stat_activity: the rows of pg_stat_activity; plans have no identifier."""
    layer = call.view.layer
    for row in stat_get_activity(call, None):
        datid, pid, role, application, state, query, wait_type, wait_event = row[:8]
        xact_start, query_start, backend_start, state_change, address, host, port, xid, xmin, kind = row[8:18]
        database = None if datid is None else call.reader.one("pg_database", oid=datid)
        yield (
            datid, None if database is None else database.datname, pid, row[28], role, layer.role_name(role),
            application, address, host, port, backend_start, xact_start, query_start, state_change, wait_type,
            wait_event, state, xid, xmin, row[29], query, kind, None,
        )  # fmt: skip


def stat_bgwriter(call: Call) -> Iterator[Row]:
    """aurora_stat_bgwriter: no page is ever written by an instance, so there are no checkpoints either."""
    misses = int(call.engine.storage.arena.misses)
    yield (0, 0, 0.0, 0.0, 0, 0, 0, 0, 0, misses, call.engine.start_time_us, 0, 0.0)


def stat_database(call: Call) -> Iterator[Row]:
    """aurora_stat_database: what is counted for the instance as a whole is in the row of no database, OID 0."""
    storage = call.engine.storage
    misses, hits = int(storage.arena.misses), int(storage.arena.hits)
    read_ms = storage.cache.waited_s * 1000
    sessions = [] if call.session.registry is None else list(call.session.registry.sessions.values())
    started = call.engine.start_time_us
    yield (
        0, None, 0, storage.txns.commits, storage.txns.rollbacks, misses, hits, *[None] * 5, None,
        TEMP_STATISTICS.files, TEMP_STATISTICS.bytes, storage.locks.deadlocks, None, None, read_ms, 0.0,
        *[None] * 7, started, misses, 0, 0, read_ms, 0.0, 0.0,
    )  # fmt: skip
    for database in call.reader.all("pg_database"):
        connected = sum(session.database == database.datname for session in sessions)
        yield (database.oid, database.datname, connected, *[None] * 24, started, *[None] * 6)


def dml_activity(call: Call, database: int) -> Iterator[Row]:
    """aurora_stat_dml_activity: statements begun, those within functions among them. Their times are not taken, for a
    clock's answer at the end of each would cost more than it tells."""
    engine = call.engine.databases.opened(database)
    if engine is None:
        yield (None,) * 8
        return
    counts = call.session.plans.tallies(engine)
    yield tuple(value for kind in ("SELECT", "INSERT", "UPDATE", "DELETE") for value in (counts.get(kind, 0), None))


def commit_latency(call: Call, database: int) -> int | None:
    """aurora_stat_get_db_commit_latency: how long answers of a database's sessions waited for their LSN to be durable,
    in µs."""
    engine, registry = call.engine.databases.opened(database), call.session.registry
    return None if engine is None or registry is None else round(registry.commit_waits(engine).sum * US)


def memory_usage(call: Call) -> Iterator[Row]:
    """aurora_stat_memctx_usage: what is counted, for the instance as a whole and so without a pid."""
    arena = call.engine.storage.arena
    yield (None, "statements", INSTANCE.used_bytes, INSTANCE.used_bytes, 1)
    yield (None, "page cache", int(arena.frames) * PAGE_BYTES, len(arena) * PAGE_BYTES, 1)


def optimized_reads_cache(_call: Call) -> Iterator[Row]:
    """aurora_stat_optimized_reads_cache."""
    raise NotSupported("Optimized Reads is not supported: an instance has no cache but its memory")


def plans(_call: Call, _showtext: bool) -> Iterator[Row]:
    """aurora_stat_plans."""
    raise NotSupported("aurora_stat_plans is not supported: no statistics are kept by plan")


def logical_wal_cache(call: Call) -> Iterator[Row]:
    """aurora_stat_logical_wal_cache: there are no slots."""
    _replication(call, "aurora_stat_logical_wal_cache")
    return iter(())


def reset_wal_cache(call: Call, slot: str | None) -> str:
    """aurora_stat_reset_wal_cache."""
    _replication(call, "aurora_stat_reset_wal_cache")
    if slot is None:
        return "Reset the logical wal cache counter."
    return "Replication slot not found. Please try again."


def _replication(call: Call, name: str) -> None:
    if not (call.session.superuser or has_predefined_role(call, "rds_replication")):
        raise InsufficientPrivilege(f"permission denied for function {name}")


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "aurora_db_instance_identifier": instance_identifier,
    "aurora_replica_status": replica_status,
    "aurora_global_db_status": no_rows,
    "aurora_global_db_instance_status": no_rows,
    "aurora_ccm_status": ccm_status,
    "aurora_volume_logical_start_lsn": volume_logical_start_lsn,
    "aurora_stat_file": stat_file,
    "aurora_stat_wait_type": wait_types,
    "aurora_stat_wait_event": wait_events,
    "aurora_stat_system_waits": system_waits,
    "aurora_stat_backend_waits": backend_waits,
    "aurora_wait_report": wait_report,
    "aurora_stat_activity": stat_activity,
    "aurora_stat_bgwriter": stat_bgwriter,
    "aurora_stat_database": stat_database,
    "aurora_stat_dml_activity": dml_activity,
    "aurora_stat_get_db_commit_latency": commit_latency,
    "aurora_stat_memctx_usage": memory_usage,
    "aurora_stat_optimized_reads_cache": optimized_reads_cache,
    "aurora_stat_plans": plans,
    "aurora_stat_logical_wal_cache": logical_wal_cache,
    "aurora_stat_reset_wal_cache": reset_wal_cache,
}
