"""The turn: the client's messages → what runs them, from the connection's data callback straight to the end of the
complete messages at hand.

``process`` runs in a greenlet. It starts with the packet that prepared statements come as (Bind, Describe, Execute,
Sync), decoded by a kernel in one go and run by ``run_point`` without the general machinery; everything that the fast
way is not sure about goes the general way. Output gathers in ``SessionState.out`` and leaves at the end of the turn.
"""

from __future__ import annotations

import logging

import greenlet

from aurora.datum import Row
from aurora.errors import DeadlockDetected, InsufficientPrivilege, InternalError, QueryCanceled, SqlError
from aurora.kernels import wire as wire_kernel
from compute_node.exec.compile.compiler import too_complex
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.protocol.messages import BIND_COMPLETE, BIND_COMPLETE_NO_DATA
from compute_node.session import audit, extended, fastpath, notifications, simple, transactions
from compute_node.session.encoded import Unreadable
from compute_node.session.prepared import Prepared, settled
from compute_node.session.state import FAILED, IDLE, Port, SessionState
from compute_node.session.statement import Statement

LOGGER = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1 << 30
OUT_PARTS = 32
OUT_BYTES = 1 << 16
"""Output of several messages that goes out before the turn ends: so many parts and bytes, or one part that large."""
_ANSWERED = (81, 83, 70)
"""Query, Sync, FunctionCall: each ends with ReadyForQuery, after an error too"""
READY = (messages.READY_IDLE, messages.READY_IN_BLOCK, messages.READY_FAILED)


def process(session: SessionState) -> None:
    """Run every complete message of the port's input. Raises ProtocolViolation for bytes that are no message, and
    Disconnected."""
    session.greenlet = greenlet.getcurrent()
    port = session.port
    match_point, next_message = wire_kernel.match_point, wire_kernel.next_message
    while True:
        try:
            data, at = port.data, port.position
            if at >= len(data):
                return
            if data[at] == 66 and not session.skipping:
                packet = match_point(data, at, session.statements)
                if packet is not None:
                    if run_point(session, packet):
                        # Not ``packet[4]``: more input may have come while it waited, and then offsets have moved.
                        port.position += packet[4] - at
                        if port.position >= len(port.data):
                            return
                        port = _between(session)
                        continue
                    data, at = port.data, port.position
            try:
                found = next_message(data, at, MAX_MESSAGE_BYTES)
            except ValueError:
                raise messages.malformed("invalid message length") from None
            if found is None:
                return
            kind, start, end = found
            port.position = end
            if not _dispatch(session, kind, data, start, end):
                return
            if port.position < len(port.data):
                port = _between(session)
        except Unreadable as unread:
            unread.pass_over()
            if not refuse(session, unread.kind, unread.error):
                return
            port = session.port


def _is_much(out: list[bytes]) -> bool:
    """Whether the output should not wait for the end of the turn."""
    return (len(out) > OUT_PARTS or (len(out) > 2 and len(out[-2]) > OUT_BYTES)) and sum(map(len, out)) > OUT_BYTES


def _between(session: SessionState) -> Port:
    """Between two messages of one turn: others run when the turn is long, what a turn that has waited has answered is
    sent, and a client that does not read is waited for when much is to be sent. Gives the port to read on from: it is
    another one when the client's encoding has changed."""
    try:
        HUB.pulse()
        out = session.out
        if (session.port.eager and out and out[-1] in READY) or _is_much(out):
            session.port.flush()
    except QueryCanceled:
        pass  # it came between two statements: there is none to end
    return session.port


def _dispatch(session: SessionState, kind: int, data: bytes, start: int, end: int) -> bool:
    """One message the general way; False ends the session."""
    if kind == 88:
        session.port.close()
        return False
    if session.skipping and kind != 83:
        return True
    try:
        if kind == 83:
            if start != end:
                raise messages.malformed()
            sync(session)
        elif kind == 81:
            simple.query(session, messages.read_string(data, start, end))
            ready(session)
        elif kind == 70:
            if session.guarded:
                session.arm_timeout()
            fastpath.call(session, data, start, end)
            session.disarm_timeout()
            ready(session)
        else:
            handler = extended.HANDLERS.get(kind)
            if handler is None:
                raise messages.malformed(f"invalid frontend message type {kind}")
            if session.guarded:
                # From the first message of a sequence to the end of its Execute.
                session.arm_timeout()
            handler(session, data, start, end)
    except Exception as error:
        return refuse(session, kind, error)
    return not session.terminating


def refuse(session: SessionState, kind: int, error: Exception) -> bool:
    """The answer to a message that failed; False ends the session."""
    session.disarm_timeout()
    fail(session, error)
    if kind in _ANSWERED:
        session.skipping = False
        if not session.terminating:
            ready(session)
    else:
        session.skipping = True
    return not session.terminating


def run_point(session: SessionState, packet: tuple[Prepared, Row, bytes, bool, int]) -> bool:
    """Bind, Describe, Execute, Sync at once; False leaves them to the general way."""
    prepared, params, formats, described, _ = packet
    plan: Statement | None = prepared.quick
    if plan is None:
        return False
    if plan.fast is not None:
        return _run_fast(session, prepared, plan, formats, described)
    engine = session.engine
    txn = session.txn
    point = plan.point
    if (
        point is None
        or plan.version != engine.catalog.version
        or session.block == FAILED
        or session.guarded
        or (txn is not None and txn.plans_alone)
    ):
        return False
    result = None
    if plan.columns is not None:
        # The general way makes the format and any error of it; from then on it is here.
        result = plan.formats.get(formats)
        if result is None:
            return False
    out = session.out
    session.query = plan.source
    session.query_start = session.env.statement_timestamp = now_us = session.clock()
    try:
        if txn is None:
            txn = transactions.ensure(session, now_us)
        if plan.writes and txn.read_only:
            return False
        if plan.locks not in txn.weak_locks and not engine.lock_relations(session, plan.locks):
            return False
        choice = prepared.choice
        if choice.generics:
            choice.generics += 1
        elif not settled(session, prepared, plan, params):
            return False
        session.statements_in_txn += 1
        plan.tally.runs += 1
        context = session.point_context
        if context is None:
            context = session.point_context = engine.begin_statement(session)
        else:
            context.txn, context.snapshot = txn, engine.snapshot(txn)
        if result is None:
            out.append(BIND_COMPLETE_NO_DATA if described else BIND_COMPLETE)
            count = point(context, params)
        else:
            out.append(result.bound_described if described else BIND_COMPLETE)
            rows = point(context, params)
            count = len(rows)
            if count:
                session.gated = True
                out.append(wire_kernel.encode_rows(rows, result.codes, result.converters, session.env))
        ready_made = plan.completions
        out.append(ready_made[count] if count < len(ready_made) else messages.command_complete(plan.tag, count))
        if session.interrupt_error is not None:
            session.check_interrupts()
        if session.block == IDLE:
            transactions.commit(session)
    except Exception as error:
        fail(session, error)
    if session.status_changes:
        _report_status(session)
    out.append(READY[session.block])
    return True


def _run_fast(session: SessionState, prepared: Prepared, plan: Statement, formats: bytes, described: bool) -> bool:
    """``run_point`` of a plain BEGIN, COMMIT or ROLLBACK."""
    if session.status_changes or session.guarded or len(formats) > 2 or plan.fast is None:
        return False
    session.plans.statements += 1
    prepared.choice.generics += 1
    out = session.out
    out.append(BIND_COMPLETE_NO_DATA if described else BIND_COMPLETE)
    try:
        out.append(plan.fast(session))
    except Exception as error:
        fail(session, error)
    out.append(READY[session.block])
    return True


def sync(session: SessionState) -> None:
    """End of an extended-query sequence: commit what is not in a block, then say ready."""
    session.skipping = False
    session.disarm_timeout()
    if session.block == IDLE and (session.txn is not None or session.portals):
        transactions.commit(session)
    ready(session)


def ready(session: SessionState) -> None:
    """ReadyForQuery, after reports of changed settings."""
    if session.status_changes:
        _report_status(session)
    session.several_statements = session.pipelined = session.commit_at_once = False
    if session.inbox and session.block == IDLE:
        notifications.take(session)
    session.out.append(READY[session.block])
    session.state_change = session.clock()


def fail(session: SessionState, error: Exception) -> None:
    """Answer an error, and fail or end the transaction."""
    if isinstance(error, SqlError):
        reported = error
    elif isinstance(error, RecursionError):
        reported = too_complex()
    else:
        LOGGER.error("internal error in a session", exc_info=error, extra={"query": session.query})
        reported = InternalError(f"internal error: {type(error).__name__}: {error}")
    if isinstance(reported, DeadlockDetected):
        session.engine.counts.deadlocks += 1
    if isinstance(reported, InsufficientPrivilege):
        audit.refused(session, reported.message)
    session.interrupt_error = None
    session.gated = True
    # The transaction ends first: what it still waits for must not hold up the others.
    try:
        transactions.statement_failed(session)
    except Exception as second:
        session.terminating = True
        if isinstance(second, SqlError) and second.severity == "FATAL":
            reported = second  # the volume is over, or closed: whoever opens it rolls back
        else:
            LOGGER.exception("rollback failed")
            reported = InternalError(f"could not roll back: {second}", severity="FATAL")
        session.txn, session.block = None, IDLE
    session.out.append(messages.error_response(reported))
    if reported.severity in ("FATAL", "PANIC"):
        session.ended_by = session.ended_by or "fatal"
        session.terminating = True
        session.port.close()


def _report_status(session: SessionState) -> None:
    """Tell the client of settings that differ from what it last heard."""
    for name, text in (session.status_changes or {}).items():
        if session.reported.get(name) != text:
            session.reported[name] = text
            session.out.append(messages.parameter_status(name, text))
    session.status_changes = None
