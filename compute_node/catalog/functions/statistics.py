"""Statistics by function: what the instance counts, and NULL for what nothing counts (manual, 28.2).

Sessions have numbers from 1 in the order of their pids, as PostgreSQL's backends have. The figures of PostgreSQL's
background writer are 0: no page is written back. What is counted by relation and database is in ``counters``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvalidParameterValue
from compute_node.catalog.functions import counters, server
from compute_node.catalog.functions.call import Call
from compute_node.catalog.roles import PG_READ_ALL_STATS
from compute_node.work.progress import PARAMETERS

if TYPE_CHECKING:
    from compute_node.session.state import SessionState


def _ordered(call: Call) -> list[SessionState]:
    registry = call.session.registry
    sessions = [call.session] if registry is None else list(registry.sessions.values())
    return sorted(sessions, key=lambda session: session.pid)


def backend_numbers(call: Call) -> Iterator[int]:
    """pg_stat_get_backend_idset."""
    return iter(range(1, len(_ordered(call)) + 1))


_ACTIVITY = {
    "dbid": 0,
    "userid": 2,
    "activity": 5,
    "wait_event_type": 6,
    "wait_event": 7,
    "xact_start": 8,
    "activity_start": 9,
    "start": 10,
    "client_addr": 12,
    "client_port": 14,
}
"""the last part of a function's name → the column of pg_stat_get_activity"""


def _of_backend(at: int) -> Callable[[Call, int], Datum]:
    def read(call: Call, number: int) -> Datum:
        sessions = _ordered(call)
        if not 1 <= number <= len(sessions):
            return "<backend information not available>" if at == _ACTIVITY["activity"] else None
        row = next(iter(server.stat_get_activity(call, sessions[number - 1].pid)), None)
        return None if row is None else row[at]

    return read


def backend_pid(call: Call, number: int) -> int | None:
    """pg_stat_get_backend_pid."""
    sessions = _ordered(call)
    return sessions[number - 1].pid if 1 <= number <= len(sessions) else None


def database_sessions(call: Call, oid: int) -> int:
    """pg_stat_get_db_numbackends."""
    row = call.reader.one("pg_database", oid=oid)
    return 0 if row is None else sum(session.database == row.datname for session in _ordered(call))


def log_statistics(call: Call) -> Row:
    """pg_stat_get_wal: the bytes of the log since the volume was made, for an LSN is a position in it. Nothing else
    is counted so; images of whole pages are no part of the log."""
    return None, 0, Decimal(int(call.engine.storage.log.last_lsn)), None, None, None, None, None, None


def archiver(call: Call) -> Row:
    """pg_stat_get_archiver: storage nodes stage the log; an instance archives nothing."""
    return 0, None, None, 0, None, None, call.engine.start_time_us


_COMMANDS = ("ANALYZE", "VACUUM", "CLUSTER", "CREATE INDEX", "BASEBACKUP", "COPY")


def progress(call: Call, command: str) -> Iterator[Row]:
    """pg_stat_get_progress_info: one row for each session that runs such a command; how far it is is for those to see
    who have the privileges of its user, or of pg_read_all_stats. 22023."""
    wanted = command.upper()
    if wanted not in _COMMANDS:
        raise InvalidParameterValue(f'invalid command name: "{command}"')
    rights, registry = call.view.layer.rights(call.session.user_oid), call.session.registry
    for session in [call.session] if registry is None else list(registry.sessions.values()):
        found = session.progress
        if found is None or found.command != wanted:
            continue
        database = session.engine.database_oid
        if rights.has_role(session.role_oid) or rights.has_role(PG_READ_ALL_STATS):
            yield (session.pid, database, found.relation, *found.values)
        else:
            yield (session.pid, database, *(None,) * (PARAMETERS + 1))


_TARGETS = ("archiver", "bgwriter", "recovery_prefetch", "wal")
_KINDS = (
    "database", "relation", "function", "replslot", "subscription", "archiver", "bgwriter", "checkpointer", "slru",
    "wal",
)  # fmt: skip


def reset_shared(call: Call, target: str) -> str:
    """pg_stat_reset_shared: there is nothing to reset. 22023."""
    if target not in _TARGETS:
        raise InvalidParameterValue(
            f'unrecognized reset target: "{target}"',
            hint='Target must be "archiver", "bgwriter", "recovery_prefetch", or "wal".',
        )
    return ""


def have_statistics(call: Call, kind: str, database: int, oid: int) -> bool:
    """pg_stat_have_stats. 22023."""
    if kind not in _KINDS:
        raise InvalidParameterValue(f'invalid statistics kind: "{kind}"')
    return counters.have_counts(call, kind, database, oid)


def _constant(value: Datum) -> Callable[..., Datum]:
    return lambda call, *arguments: value


_NEVER = (  # noqa: SIM905
    "bgwriter_timed_checkpoints bgwriter_requested_checkpoints bgwriter_buf_written_checkpoints"
    " bgwriter_buf_written_clean bgwriter_maxwritten_clean buf_written_backend buf_fsync_backend"
).split()
"""what an instance never does"""
_NOT_COUNTED = (  # noqa: SIM905
    "db_active_time db_blk_read_time db_blk_write_time db_blocks_fetched db_blocks_hit db_idle_in_transaction_time"
    " snapshot_timestamp blocks_fetched blocks_hit xact_blocks_fetched"
    " xact_blocks_hit xact_function_calls xact_function_self_time xact_function_total_time xact_numscans"
    " xact_tuples_fetched xact_tuples_returned"
).split()
NOT_COUNTED = frozenset(f"pg_stat_get_{name}" for name in _NOT_COUNTED)
"""Functions that give NULL, for nothing keeps what they tell."""

FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_stat_get_backend_idset": backend_numbers,
    "pg_stat_get_backend_pid": backend_pid,
    **{f"pg_stat_get_backend_{name}": _of_backend(at) for name, at in _ACTIVITY.items()},
    "pg_stat_get_db_numbackends": database_sessions,
    "pg_stat_get_wal": log_statistics,
    "pg_stat_get_archiver": archiver,
    "pg_stat_get_progress_info": progress,
    "pg_stat_get_slru": lambda call: iter(()),
    "pg_stat_get_recovery_prefetch": lambda call: iter(()),
    "pg_stat_get_bgwriter_stat_reset_time": lambda call: call.engine.start_time_us,
    "pg_stat_get_checkpoint_sync_time": _constant(0.0),
    "pg_stat_get_checkpoint_write_time": _constant(0.0),
    "pg_stat_clear_snapshot": _constant(""),
    "pg_stat_force_next_flush": _constant(""),
    "pg_stat_reset_shared": reset_shared,
    "pg_stat_get_buf_alloc": lambda call: call.engine.storage.cache.pages_read,
    "pg_stat_get_db_checksum_failures": _constant(None),
    "pg_stat_get_db_checksum_last_failure": _constant(None),
    "pg_stat_reset_slru": _constant(""),
    "pg_stat_have_stats": have_statistics,
    **{f"pg_stat_get_{name}": _constant(0) for name in _NEVER},
    **dict.fromkeys(NOT_COUNTED, _constant(None)),
}
