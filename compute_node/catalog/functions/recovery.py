"""What functions tell of the log and its replay: positions, pause, promotion, conflicts, exported snapshots.

An LSN is the start of a record, so the position of the log is that of its last record: a reader that has applied it has
applied everything (``docs/decisions/lsn-is-the-start-of-a-record.md``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aurora.datum import Datum, Row
from aurora.errors import (
    InvalidParameterValue,
    NotSupported,
    NumericValueOutOfRange,
    ObjectNotInPrerequisiteState,
    Warning_,
)
from compute_node.catalog.functions.call import Call
from compute_node.session import exported_snapshots, read_after
from compute_node.txn.recovery import Conflict

LOGGER = logging.getLogger(__name__)

_RESTORE_POINT_LENGTH_MAX = 63


def _on_the_writer(call: Call) -> None:
    if call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState(
            "recovery is in progress", hint="WAL control functions cannot be executed during recovery."
        )


def _on_a_reader(call: Call) -> None:
    if not call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState(
            "recovery is not in progress", hint="Recovery control functions can only be executed during recovery."
        )


def last_lsn(call: Call) -> int:
    """pg_current_wal_lsn, pg_current_wal_insert_lsn, pg_switch_wal: the log's last record."""
    _on_the_writer(call)
    return int(call.engine.storage.log.last_lsn)


def durable_lsn(call: Call) -> int:
    """pg_current_wal_flush_lsn: the VDL."""
    _on_the_writer(call)
    return int(call.engine.volume.vdl)


def create_restore_point(call: Call, name: str) -> int:
    """pg_create_restore_point: a position that a restore can be asked for. The name goes to the server's log."""
    lsn = last_lsn(call)
    if len(name.encode()) > _RESTORE_POINT_LENGTH_MAX:
        raise InvalidParameterValue(
            f"value too long for restore point (maximum {_RESTORE_POINT_LENGTH_MAX} characters)"
        )
    LOGGER.info('restore point "%s" created at %X/%X', name, lsn >> 32, lsn & 0xFFFFFFFF)
    return lsn


def pause(call: Call) -> str:
    """pg_wal_replay_pause: the pages stay as they are; what comes meanwhile waits."""
    _on_a_reader(call)
    call.engine.recovery.pause(True)
    return ""


def resume(call: Call) -> str:
    """pg_wal_replay_resume."""
    _on_a_reader(call)
    call.engine.recovery.pause(False)
    return ""


def is_paused(call: Call) -> bool:
    """pg_is_wal_replay_paused: whether a pause is asked for."""
    _on_a_reader(call)
    return bool(call.engine.recovery.pause_requested)


def pause_state(call: Call) -> str:
    """pg_get_wal_replay_pause_state."""
    if not is_paused(call):
        return "not paused"
    return "paused" if call.engine.recovery.is_paused else "pause requested"


def promote(call: Call, wait: bool, wait_seconds: int) -> bool:
    """pg_promote: whether this instance is the writer in the end; without ``wait``, whether it was asked to be."""
    _on_a_reader(call)
    if wait_seconds <= 0:
        raise NumericValueOutOfRange('"wait_seconds" must not be negative or zero')
    recovery = call.engine.recovery
    if recovery.promote is None:
        raise NotSupported("this instance cannot become the writer")
    recovery.promote()
    if not wait or recovery.wait_for_end(wait_seconds):
        return True
    call.session.notice(Warning_(f"server did not promote within {wait_seconds} seconds"), "WARNING")
    return False


def wal_receiver(call: Call) -> Row | None:
    """pg_stat_get_wal_receiver: the stream from the writer, all NULL without one."""
    recovery = call.engine.recovery
    found = recovery.replay.receiver() if recovery.active and recovery.replay is not None else None
    if found is None:
        return (None,) * 15
    received = (found.received_lsn, recovery.applied_lsn, found.timeline)
    times = (found.sent_us or None, found.received_us or None)
    end = (found.received_lsn, found.received_us or None)
    sender = (None, found.host, found.port, f"host={found.host} port={found.port}")
    return (0, found.status, found.start_lsn, found.timeline, *received, *times, *end, *sender)


def last_commit_lsn(call: Call) -> int | None:
    """aurora_last_commit_lsn: what a reader must have applied to show all that this session has committed; NULL before
    its first commit. It may lie higher, at a commit that the session has built on."""
    return int(call.session.dependency.lsn) or None


def wait_for_lsn(call: Call, lsn: int, timeout_ms: int) -> bool:
    """aurora_wait_for_lsn: whether this instance shows that LSN, at the latest after ``timeout_ms``; 0 only looks."""
    if timeout_ms < 0:
        raise InvalidParameterValue("timeout must not be negative")
    return read_after.wait_for(call.session, lsn, timeout_ms / 1000)


def _conflicts(*reasons: Conflict) -> Callable[[Call, int], int]:
    return lambda call, database: call.engine.recovery.counted(database, *reasons)


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_is_in_recovery": lambda call: bool(call.engine.in_recovery),
    "pg_current_wal_lsn": last_lsn,
    "pg_current_wal_insert_lsn": last_lsn,
    "pg_current_wal_flush_lsn": durable_lsn,
    "pg_switch_wal": last_lsn,
    "pg_create_restore_point": create_restore_point,
    "pg_last_wal_receive_lsn": lambda call: call.engine.recovery.received_lsn,
    "pg_last_wal_replay_lsn": lambda call: call.engine.recovery.applied_lsn,
    "pg_last_xact_replay_timestamp": lambda call: call.engine.recovery.last_commit_us,
    "pg_wal_replay_pause": pause,
    "pg_wal_replay_resume": resume,
    "pg_is_wal_replay_paused": is_paused,
    "pg_get_wal_replay_pause_state": pause_state,
    "pg_promote": promote,
    "pg_export_snapshot": lambda call: exported_snapshots.export(call.session),
    "pg_stat_get_wal_receiver": wal_receiver,
    "pg_stat_get_db_conflict_tablespace": _conflicts(Conflict.TABLESPACE),
    "pg_stat_get_db_conflict_lock": _conflicts(Conflict.LOCK),
    "pg_stat_get_db_conflict_snapshot": _conflicts(Conflict.SNAPSHOT, Conflict.DISCONNECTED),
    "pg_stat_get_db_conflict_bufferpin": _conflicts(Conflict.BUFFER_PIN),
    "pg_stat_get_db_conflict_startup_deadlock": _conflicts(Conflict.DEADLOCK),
    "pg_stat_get_db_conflict_all": _conflicts(),
    "aurora_last_commit_lsn": last_commit_lsn,
    "aurora_wait_for_lsn": wait_for_lsn,
}
