"""Conflicts with recovery: statements and sessions of a reader that stand in the way of the writer's log.

Whoever applies the log decides whom and when (``max_standby_streaming_delay``); this is how a session ends. A running
statement fails with 40001 and its client may try again. A transaction that has nothing running, or a savepoint open,
cannot lose just a statement, so its session ends. Source: PostgreSQL manual, 27.4.2; src/backend/tcop/postgres.c,
ProcessInterrupts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.errors import DatabaseDropped, SerializationFailure, SqlError
from compute_node.txn.recovery import Conflict

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

_ENDING = "terminating connection due to conflict with recovery"
_AGAIN = "In a moment you should be able to reconnect to the database and repeat your command."


def cancel_for_conflict(session: SessionState, reason: Conflict) -> bool:
    """End what the session does with the error of a conflict, and count it; False when it is in no transaction, or in
    one that has failed, and so in nobody's way. Waits for nothing: a running statement ends at its next wait or batch.
    """
    is_running = session.greenlet is not None
    error: SqlError
    if reason is Conflict.DATABASE:
        error = DatabaseDropped(_ENDING, detail=reason.value, severity="FATAL")
    elif session.txn is None:
        return False
    elif not is_running:
        error = SerializationFailure(_ENDING, detail=reason.value, hint=_AGAIN, severity="FATAL")
    elif session.savepoints:
        error = SerializationFailure(_ENDING, detail=reason.value, severity="FATAL")
    else:
        error = SerializationFailure("canceling statement due to conflict with recovery", detail=reason.value)
    session.engine.recovery.count(session.engine.database_oid, reason)
    if error.severity == "FATAL":
        session.port.terminate(error)
    else:
        session.interrupt(error)
    return True
