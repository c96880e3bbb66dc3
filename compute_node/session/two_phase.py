"""PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED (manual, the reference pages of these).

::

    in a block ─ PREPARE TRANSACTION ─► an idle session, a prepared transaction ─ COMMIT or ROLLBACK PREPARED ─► end

How a prepared transaction survives restarts and failovers is in ``txn/prepared.py``.
"""

from __future__ import annotations

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidParameterValue,
    NotSupported,
    ObjectNotInPrerequisiteState,
    OutOfMemory,
    UndefinedObject,
)
from compute_node.access.prepared_states import PreparedStates
from compute_node.session import transactions
from compute_node.session.state import IN_BLOCK, SessionState
from compute_node.txn.locks import FIRST_ADVISORY
from compute_node.txn.prepared import Prepared
from compute_node.txn.transaction import Txn

GID_BYTES_MAX = 199


def prepare(session: SessionState, gid: str) -> str:
    """PREPARE TRANSACTION, which ends the block whether it succeeds or not; the command's tag. Without a block, or in a
    failed one, it is a ROLLBACK. Errors: 0A000, 22023, 40001, 42710, 53200, 55000, those of deferred constraints."""
    if session.block != IN_BLOCK:
        transactions.plain_rollback(session)
        return "ROLLBACK"
    try:
        txn = transactions.ensure(session)
        if txn.ties is not None and txn.ties.events is not None:
            transactions.fire_deferred(session)
        if any(portal.with_hold and not portal.held for portal in session.portals.values()):
            raise NotSupported("cannot PREPARE a transaction that has created a cursor WITH HOLD")
        session.engine.txns.check_commit(txn)
        _check(session, txn)
        _prepare(session, txn, gid)
    except BaseException:
        transactions.abort(session)
        raise
    transactions.taken_away(session)
    return "PREPARE TRANSACTION"


def _prepare(session: SessionState, txn: Txn, gid: str) -> None:
    engine = session.engine
    prepared = engine.txns.prepared
    limit = int(session.settings.get("max_prepared_transactions"))
    if len(gid.encode()) > GID_BYTES_MAX:
        raise InvalidParameterValue(f'transaction identifier "{gid}" is too long')
    if not limit:
        raise ObjectNotInPrerequisiteState(
            "prepared transactions are disabled", hint="Set max_prepared_transactions to a nonzero value."
        )
    if gid in prepared:
        raise DuplicateObject(f'transaction identifier "{gid}" is already in use')
    if len(prepared) >= limit:
        raise OutOfMemory(
            "maximum number of prepared transactions reached",
            hint=f"Increase max_prepared_transactions (currently {limit}).",
        )
    _check_objects(session, txn)
    if session.portals:
        transactions.close_portals(session, committed=False)
    before_lsn = session.dependency.gate_lsn
    prepared.reserve(gid)
    try:
        lsn = engine.txns.prepare(
            Prepared(gid, session.user_oid, engine.database_oid, session.clock(), txn),
            PreparedStates(engine.storage).save,
        )
    finally:
        prepared.give_up(gid)
    session.gated = True
    session.dependency.committed(lsn, before_lsn, True)


def _check(session: SessionState, txn: Txn) -> None:
    """0A000 for what no other session could end."""
    if session.temp_schema is not None and _has_used_temporary(session, txn):
        raise NotSupported("cannot PREPARE a transaction that has operated on temporary objects")
    if any(each.txn is txn for each in session.engine.exported_snapshots.known.values()):
        raise NotSupported("cannot PREPARE a transaction that has exported snapshots")


def _check_objects(session: SessionState, txn: Txn) -> None:
    if session.notifying is not None:
        raise NotSupported("cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY")
    owner = session.advisory_locks.owner if session.advisory_locks is not None else None
    if owner is not None and any(key >= FIRST_ADVISORY and key in owner.table_locks for key in txn.table_locks):
        raise NotSupported(
            "cannot PREPARE while holding both session-level and transaction-level locks on the same object"
        )


def _has_used_temporary(session: SessionState, txn: Txn) -> bool:
    """Whether it has looked at, made, changed or dropped what is in the session's temporary schema."""
    relations = {key & 0xFFFFFFFF for key in txn.table_locks if key < FIRST_ADVISORY}
    relations.update(key & 0xFFFFFFFF for locks in txn.weak_locks for key, _ in locks.modes)
    return bool(session.catalog_function("uses_temporary", relations))


def finish(session: SessionState, gid: str, committing: bool) -> str:
    """COMMIT PREPARED and ROLLBACK PREPARED; the command's tag. Errors: 0A000, 25001, 42501, 42704, 55000."""
    tag = "COMMIT PREPARED" if committing else "ROLLBACK PREPARED"
    transactions.forbid_in_block(session, tag)
    engine = session.engine
    prepared = _found(session, gid)
    before_lsn = session.dependency.gate_lsn
    prepared.busy = True
    try:
        lsn = engine.txns.finish(prepared, committing)
    finally:
        prepared.busy = False
    if committing:
        engine.counts.commits += 1
    else:
        engine.counts.rollbacks += 1
    if lsn:
        session.gated = True
        session.dependency.committed(lsn, before_lsn, session.sync_commit)
    PreparedStates(engine.storage).remove(prepared.xid)
    return tag


def _found(session: SessionState, gid: str) -> Prepared:
    prepared = session.engine.txns.prepared.find(gid)
    if prepared is None:
        raise UndefinedObject(f'prepared transaction with identifier "{gid}" does not exist')
    if prepared.busy:
        raise ObjectNotInPrerequisiteState(f'prepared transaction with identifier "{gid}" is busy')
    if session.user_oid != prepared.owner and not session.superuser:
        raise InsufficientPrivilege(
            "permission denied to finish prepared transaction",
            hint="Must be superuser or the user that prepared the transaction.",
        )
    if session.engine.database_oid != prepared.database:
        raise NotSupported(
            "prepared transaction belongs to another database",
            hint="Connect to the database where the transaction was prepared to finish it.",
        )
    return prepared
