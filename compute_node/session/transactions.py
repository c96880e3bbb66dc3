"""The transaction block of a session (manual, chapter 55.2.2.1, and the reference pages of BEGIN … RELEASE).

The functions take the session; they keep three things in step: the block state that ReadyForQuery reports, the
engine's transaction, and what ends with it (settings, cursors, portals). A statement that fails inside a block undoes
the innermost subtransaction at once, so that its locks are free, and leaves the block failed until ROLLBACK [TO].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pglast import ast

from aurora.errors import (
    ActiveSqlTransaction,
    InvalidSavepoint,
    NoActiveSqlTransaction,
    NotSupported,
)
from compute_node.protocol import messages
from compute_node.session import forwarding
from compute_node.session.state import FAILED, IDLE, IN_BLOCK, SessionState
from compute_node.txn.transaction import READ_COMMITTED, SERIALIZABLE, ReadingTxn, Txn

if TYPE_CHECKING:
    from compute_node.session.engine import OptionValue


BEGIN_TAG = messages.command_tag("BEGIN")
START_TAG = messages.command_tag("START TRANSACTION")
COMMIT_TAG = messages.command_tag("COMMIT")
ROLLBACK_TAG = messages.command_tag("ROLLBACK")


def ensure(session: SessionState, now_us: int = 0) -> Txn:
    """The session's transaction, begun if there is none, at ``now_us`` when the caller has just looked."""
    txn = session.txn
    if txn is None:
        session.env.transaction_timestamp = now_us or session.clock()
        if session.plain_defaults and session.retired_txn is not None:
            txn, session.retired_txn = session.retired_txn, None
            session.engine.txns.resume(txn)
        elif session.plain_defaults:
            txn = session.engine.txns.begin("read committed", False, False, session)
        else:
            txn = session.engine.txns.begin(
                session.default_isolation, session.default_read_only, session.default_deferrable, session
            )
        session.txn = txn
    return txn


def commit(session: SessionState) -> None:
    """Commit what there is; on an error the transaction is rolled back, and the error goes on."""
    txn = session.txn
    session.block = IDLE
    if txn is None:
        if session.portals:
            close_portals(session, committed=True)
        return
    session.engine.counts.commits += 1
    if not session.portals and session.engine.txns.retire(txn):
        session.retired_txn = txn
        session.txn = None
        session.savepoints = None
        session.statements_in_txn = 0
        if session.settings.undo:
            session.settings.end_transaction(True)
        return
    try:
        if txn.ties is not None and txn.ties.events is not None:
            fire_deferred(session)
        if session.portals:
            close_portals(session, committed=True)
        if session.on_commit is not None:
            session.engine.ddl.before_commit(session, txn)
        notifying = session.notifying
        if notifying is not None:
            from compute_node.session import notifications

            notifications.before_commit(session, notifying)
        if session.forwarding is not None:
            session.forwarding.commit(txn)
        before_lsn = session.dependency.gate_lsn
        lsn = session.engine.txns.commit(txn)
        if notifying is not None:
            session.notifying = None
            session.gated = True
            notifications.committed(session, notifying, lsn)
    except BaseException:
        session.engine.counts.commits -= 1
        abort(session)
        raise
    session.txn = None
    session.savepoints = None
    session.statements_in_txn = 0
    if session.settings.undo:
        session.settings.end_transaction(True)
    if lsn:
        session.gated = True
        session.dependency.committed(lsn, before_lsn, session.sync_commit)


def next_part(session: SessionState) -> Txn:
    """Commit what a statement that is several transactions has done so far; its next transaction. Portals stay, its own
    among them."""
    if session.txn is not None:
        before_lsn = session.dependency.gate_lsn
        lsn = session.engine.txns.commit(session.txn)
        session.engine.counts.commits += 1
        session.txn = None
        if lsn:
            session.gated = True
            session.dependency.committed(lsn, before_lsn, session.sync_commit)
    session.env.transaction_timestamp = session.clock()
    session.txn = session.engine.txns.begin(READ_COMMITTED, False, False, session)
    return session.txn


def fire_deferred(session: SessionState) -> None:
    """Constraints that wait for the transaction's end are looked at."""
    from compute_node.session import referential

    referential.fire_deferred(session)


def close_portals(session: SessionState, committed: bool) -> None:
    """Portals end; cursors WITH HOLD of a committed transaction stay, materialized before."""
    for name, portal in list(session.portals.items()):
        if not (portal.held or (committed and portal.hold_rows(session))):
            session.drop_portal(name)


def abort(session: SessionState) -> None:
    """Roll back what there is."""
    txn = session.txn
    session.block = IDLE
    session.txn = None
    session.notifying = None
    session.savepoints = None
    session.statements_in_txn = 0
    if session.portals:
        close_portals(session, committed=False)
    if session.settings.undo:
        session.settings.end_transaction(False)
    if txn is not None:
        if session.forwarding is not None:
            session.forwarding.rollback(txn)
        _roll_back(session, txn)


def _roll_back(session: SessionState, txn: Txn) -> None:
    # One that never looked at anything was only begun anew, or might as well not have begun.
    session.engine.counts.rollbacks += bool(txn.oldest_lsn or txn.own)
    session.engine.txns.abort(txn)


def statement_failed(session: SessionState) -> None:
    """After an error: roll an implicit transaction back; fail a block."""
    if session.block == IDLE:
        abort(session)
        return
    if session.block == FAILED:
        return
    session.block = FAILED
    txn = session.txn
    if session.savepoints:
        name, mark = session.savepoints[-1]
        session.drop_portals(len(session.savepoints))
        session.settings.rollback_to(mark)
        session.engine.txns.rollback_to(ensure(session), name)
        return
    if session.portals:
        close_portals(session, committed=False)
    if session.settings.undo:
        session.settings.end_transaction(False)
    session.txn = session.notifying = None
    if txn is not None:
        session.failed_characteristics = _characteristics(txn)
        if session.forwarding is not None:
            session.forwarding.rollback(txn)
        _roll_back(session, txn)


def plain_begin(session: SessionState) -> bytes:
    """BEGIN without options."""
    if session.block == IN_BLOCK:
        session.notice(ActiveSqlTransaction("there is already a transaction in progress"), "WARNING")
    elif session.block == IDLE:
        ensure(session)
        session.block = IN_BLOCK
    else:
        raise session.failed_block()
    return BEGIN_TAG


def plain_start(session: SessionState) -> bytes:
    """START TRANSACTION without options."""
    plain_begin(session)
    return START_TAG


def plain_commit(session: SessionState) -> bytes:
    """COMMIT; in a failed block it rolls back and says so."""
    session.gated = True
    if session.block == FAILED:
        abort(session)
        return ROLLBACK_TAG
    if session.block == IDLE:
        session.notice(NoActiveSqlTransaction("there is no transaction in progress"), "WARNING")
    commit(session)
    return COMMIT_TAG


def plain_rollback(session: SessionState) -> bytes:
    """ROLLBACK."""
    session.gated = True
    if session.block == IDLE:
        session.notice(NoActiveSqlTransaction("there is no transaction in progress"), "WARNING")
    abort(session)
    return ROLLBACK_TAG


def option_values(options: Sequence[ast.DefElem] | None) -> dict[str, OptionValue]:
    """transaction_isolation / transaction_read_only / transaction_deferrable of a statement's options."""
    values: dict[str, OptionValue] = {}
    for option in options or ():
        literal = option.arg.val
        if option.defname == "transaction_isolation":
            values[option.defname] = literal.sval
        else:
            values[option.defname] = bool(literal.ival)
    return values


def apply_options(session: SessionState, values: dict[str, OptionValue]) -> None:
    """Give the current transaction these characteristics; 25001 when it is too late."""
    txn = ensure(session)
    isolation = values.get("transaction_isolation")
    if isinstance(isolation, str) and isolation != txn.isolation:
        if session.statements_in_txn:
            raise ActiveSqlTransaction("SET TRANSACTION ISOLATION LEVEL must be called before any query")
        if session.savepoints:
            raise ActiveSqlTransaction("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
        if isolation == SERIALIZABLE and session.engine.in_recovery:
            raise NotSupported(
                "cannot use serializable mode in a hot standby", hint="You can use REPEATABLE READ instead."
            )
        # Nothing has run in it, so a new one takes its place.
        session.engine.txns.abort(txn)
        declared = forwarding.is_declared_read_only(txn)
        txn = session.txn = session.engine.txns.begin(isolation, declared, txn.deferrable, session)
    read_only = values.get("transaction_read_only")
    if read_only is not None and isinstance(txn, ReadingTxn) and (read_only or forwarding.is_on(session)):
        # It stays read-only here; what the session asks for decides whether the writer may write for it.
        if txn.declared_read_only and not read_only:
            _check_read_write(session)
        txn.declared_read_only = bool(read_only)
    elif read_only is not None and read_only != txn.read_only:
        if not read_only:
            _check_read_write(session)
        txn.read_only = bool(read_only)
    deferrable = values.get("transaction_deferrable")
    if deferrable is not None and deferrable != txn.deferrable:
        if session.statements_in_txn:
            raise ActiveSqlTransaction("SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
        if session.savepoints:
            raise ActiveSqlTransaction("SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction")
        txn.deferrable = bool(deferrable)


def _check_read_write(session: SessionState) -> None:
    """25001, 0A000 for a read-only transaction that may not become another one now."""
    if session.savepoints:
        raise ActiveSqlTransaction("cannot set transaction read-write mode inside a read-only transaction")
    if session.statements_in_txn:
        raise ActiveSqlTransaction("transaction read-write mode must be set before any query")
    if session.engine.in_recovery and not forwarding.is_on(session):
        raise NotSupported("cannot set transaction read-write mode during recovery")


def begin(session: SessionState, values: dict[str, OptionValue]) -> bytes:
    """BEGIN with options."""
    was_idle = session.block == IDLE
    tag = plain_begin(session)
    if values:
        try:
            apply_options(session, values)
        except BaseException:
            if was_idle:
                # Then there is no block to be in.
                session.block = IDLE
            raise
    return tag


def _characteristics(txn: Txn) -> tuple[str, bool, bool]:
    """(isolation, read only, deferrable) as they were asked for."""
    return txn.isolation, forwarding.is_declared_read_only(txn), txn.deferrable


def end(session: SessionState, committing: bool, chain: bool) -> bytes:
    """COMMIT or ROLLBACK, perhaps AND CHAIN."""
    if not chain:
        return plain_commit(session) if committing else plain_rollback(session)
    word = "COMMIT" if committing else "ROLLBACK"
    if session.block == IDLE:
        raise NoActiveSqlTransaction(f"{word} AND CHAIN can only be used in transaction blocks")
    kept = session.failed_characteristics if session.txn is None else _characteristics(session.txn)
    tag = plain_commit(session) if committing else plain_rollback(session)
    session.txn = session.engine.txns.begin(*kept, session)
    session.env.transaction_timestamp = session.clock()
    session.block = IN_BLOCK
    return tag


def taken_away(session: SessionState) -> None:
    """The transaction is prepared, and the session has none."""
    session.block = IDLE
    session.txn = None
    session.savepoints = None
    session.statements_in_txn = 0
    if session.settings.undo:
        session.settings.end_transaction(True)


def _require_block(session: SessionState, what: str) -> None:
    if session.block == IDLE:
        raise NoActiveSqlTransaction(f"{what} can only be used in transaction blocks")


def _find(session: SessionState, name: str) -> int:
    stack = session.savepoints or []
    for index in range(len(stack) - 1, -1, -1):
        if stack[index][0] == name:
            return index
    raise InvalidSavepoint(f'savepoint "{name}" does not exist')


def savepoint(session: SessionState, name: str) -> str:
    """SAVEPOINT."""
    _require_block(session, "SAVEPOINT")
    forwarding.refuse(session, "SAVEPOINT")
    session.engine.txns.savepoint(ensure(session), name)
    if session.savepoints is None:
        session.savepoints = []
    session.savepoints.append((name, session.settings.mark()))
    return "SAVEPOINT"


def rollback_to(session: SessionState, name: str) -> str:
    """ROLLBACK TO SAVEPOINT; a failed block works again."""
    _require_block(session, "ROLLBACK TO SAVEPOINT")
    index = _find(session, name)
    if session.savepoints is None:
        raise InvalidSavepoint(f'savepoint "{name}" does not exist')
    session.drop_portals(index + 1)
    session.settings.rollback_to(session.savepoints[index][1])
    session.engine.txns.rollback_to(ensure(session), name)
    del session.savepoints[index + 1 :]
    session.block = IN_BLOCK
    return "ROLLBACK"


def release(session: SessionState, name: str) -> str:
    """RELEASE SAVEPOINT."""
    _require_block(session, "RELEASE SAVEPOINT")
    index = _find(session, name)
    session.engine.txns.release(ensure(session), name)
    if session.savepoints is not None:
        del session.savepoints[index:]
    for portal in session.portals.values():
        portal.level = min(portal.level, index)
    return "RELEASE"


def end_of_execute(session: SessionState) -> None:
    """After an Execute: what must be alone in its transaction is committed at once, all else with Sync."""
    if session.commit_at_once:
        session.commit_at_once = False
        if session.block == IDLE:
            commit(session)
    else:
        session.pipelined = True


def in_block(session: SessionState) -> bool:
    """Whether a statement shares its transaction with others: in a block, a function, a pipeline, or beside other
    statements of one message."""
    return bool(session.depth or session.block != IDLE or session.several_statements or session.pipelined)


def forbid_in_block(session: SessionState, what: str) -> None:
    """25001 for statements that must be alone in their transaction."""
    if session.depth:
        raise ActiveSqlTransaction(f"{what} cannot be executed from a function")
    if session.block != IDLE or session.several_statements:
        raise ActiveSqlTransaction(f"{what} cannot run inside a transaction block")
    if session.pipelined:
        raise ActiveSqlTransaction(f"{what} cannot be executed within a pipeline")
    session.commit_at_once = True
