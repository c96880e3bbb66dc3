"""The extended query protocol (manual, chapter 55.2.3): Parse, Bind, Describe, Execute, Close, Flush, the general
way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    IndeterminateDatatype,
    InvalidCursorName,
    InvalidSqlStatementName,
    ProtocolViolation,
    SqlSyntaxError,
)
from compute_node.protocol import messages
from compute_node.session import prepare, transactions, utility
from compute_node.session.output import send_rows
from compute_node.session.plans import Plan
from compute_node.session.portals import Portal
from compute_node.session.prepared import Prepared, current_plan
from compute_node.session.results import decode_parameters

if TYPE_CHECKING:
    from compute_node.session.session import Session


def _check_block(session: Session, plan: Plan | None) -> None:
    if session.block == transactions.FAILED and not (plan is not None and prepare.is_exit(plan.node)):
        raise session.failed_block()


def _parse(session: Session, data: bytes, start: int, end: int) -> None:
    name, sql, oids = messages.read_parse(data, start, end)
    if name and name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{name.decode()}" already exists')
    if not name:
        session.statements.pop(name, None)
    plan = prepare.cached(session, sql, oids)
    if plan is None:
        source, statements = prepare.parse_text(sql)
        if len(statements) > 1:
            raise SqlSyntaxError("cannot insert multiple commands into a prepared statement")
        if statements:
            if session.block == transactions.FAILED and not prepare.is_exit(statements[0].node):
                raise session.failed_block()
            plan = prepare.single(session, sql, statements[0], source, oids)
            for number, oid in enumerate(plan.param_types, 1):
                if not oid or oid == 705:
                    raise IndeterminateDatatype(f"could not determine data type of parameter ${number}")
    else:
        source = plan.source
        _check_block(session, plan)
    prepared = Prepared(name.decode(), sql, source, oids, plan)
    prepared.created = session.clock()
    session.statements[name] = prepared
    session.out.append(messages.PARSE_COMPLETE)


def _find_statement(session: Session, name: bytes) -> Prepared:
    prepared: Prepared | None = session.statements.get(name)
    if prepared is None:
        if name:
            raise InvalidSqlStatementName(f'prepared statement "{name.decode(errors="replace")}" does not exist')
        raise InvalidSqlStatementName("unnamed prepared statement does not exist")
    return prepared


def _find_portal(session: Session, name: bytes) -> Portal:
    portal: Portal | None = session.portals.get(name)
    if portal is None:
        raise InvalidCursorName(f'portal "{name.decode(errors="replace")}" does not exist')
    return portal


def _bind(session: Session, data: bytes, start: int, end: int) -> None:
    bind = messages.read_bind(data, start, end)
    prepared = _find_statement(session, bind.statement)
    expected = len(prepared.param_types)
    if len(bind.values) != expected:
        raise ProtocolViolation(
            f"bind message supplies {len(bind.values)} parameters, but prepared statement"
            f' "{bind.statement.decode()}" requires {expected}'
        )
    _check_block(session, prepared.plan)
    plan = current_plan(session, prepared)
    if bind.portal:
        if bind.portal in session.portals:
            raise DuplicateCursor(f'cursor "{bind.portal.decode()}" already exists')
    if bind.values:
        transactions.ensure(session)
    try:
        params = decode_parameters(bind, prepared.kinds(session), session.env)
    except Exception:
        session.query = prepared.source
        raise
    if plan is not None and plan.columns is not None:
        plan.format_for(bind.result_formats)
    if not bind.portal and b"" in session.portals:
        session.portals[b""].close()
    session.portals[bind.portal] = Portal(bind.portal.decode(), plan, params, bind.result_formats, prepared.source)
    session.out.append(messages.BIND_COMPLETE)


def _describe(session: Session, data: bytes, start: int, end: int) -> None:
    kind, name = messages.read_target(data, start, end)
    if kind == 83:
        prepared = _find_statement(session, name)
        plan = current_plan(session, prepared) if session.block != transactions.FAILED else prepared.plan
        session.out.append(messages.parameter_description(prepared.param_types))
        formats = b""
    elif kind == 80:
        portal = _find_portal(session, name)
        plan, formats = portal.plan, portal.formats
    else:
        raise messages.malformed(f"invalid DESCRIBE message subtype {kind}")
    if plan is None:
        session.out.append(messages.NO_DATA)
        return
    if plan.node is not None and plan.fast is None:
        utility.describe(session, plan)
    if plan.columns is None:
        session.out.append(messages.NO_DATA)
        return
    _check_block(session, plan)
    session.out.append(plan.format_for(formats).row_description)


def _execute(session: Session, data: bytes, start: int, end: int) -> None:
    name, limit = messages.read_execute(data, start, end)
    portal = _find_portal(session, name)
    plan = portal.plan
    if plan is None:
        session.out.append(messages.EMPTY_QUERY)
        return
    _check_block(session, plan)
    session.interrupt_error = None
    session.arm_timeout()
    try:
        if plan.fast is not None:
            session.out.append(plan.fast(session))
        elif plan.node is not None:
            _execute_utility(session, portal, plan, limit)
        elif plan.columns is None:
            _execute_once(session, portal, plan)
        else:
            portal.start(session)
            _send_portal(session, portal, plan, limit)
    finally:
        session.disarm_timeout()


def _execute_once(session: Session, portal: Portal, plan: Plan) -> None:
    if portal.done:
        session.out.append(messages.command_complete(plan.tag, 0))
        return
    portal.done = True
    count = plan.run(session.begin_statement(plan.source), portal.params)
    session.out.append(messages.command_complete(plan.tag, count))


def _execute_utility(session: Session, portal: Portal, plan: Plan, limit: int) -> None:
    if portal.outcome is None:
        session.query = plan.source
        session.query_start = session.clock()
        session.plans.statements += 1
        portal.outcome = utility.execute(session, plan, portal.params)
        portal.rows = portal.outcome.rows
    outcome = portal.outcome
    if outcome.rows is None:
        session.out.append(messages.command_tag(outcome.tag))
        return
    _send_portal(session, portal, plan, limit, outcome.tag)


def _send_portal(session: Session, portal: Portal, plan: Plan, limit: int, tag: str = "") -> None:
    sent = send_rows(session, portal, plan.format_for(portal.formats), limit)
    if limit and sent == limit and portal.has_more():
        portal.count += sent
        portal.keep(session)
        session.out.append(messages.PORTAL_SUSPENDED)
        return
    # The count is of this Execute, as PostgreSQL counts it.
    if tag and not tag.endswith(" "):
        session.out.append(messages.command_tag(tag))
    else:
        session.out.append(messages.command_complete(tag.strip() or plan.tag, sent))


def _close(session: Session, data: bytes, start: int, end: int) -> None:
    kind, name = messages.read_target(data, start, end)
    if kind == 83:
        session.statements.pop(name, None)
    elif kind == 80:
        closed = session.portals.pop(name, None)
        if closed is not None:
            closed.close()
    else:
        raise messages.malformed(f"invalid CLOSE message subtype {kind}")
    session.out.append(messages.CLOSE_COMPLETE)


def _flush(session: Session, _data: bytes, start: int, end: int) -> None:
    if start != end:
        raise messages.malformed()
    session.port.flush()


def _ignore(_session: Session, _data: bytes, _start: int, _end: int) -> None:
    """CopyData, CopyDone and CopyFail after a COPY that has ended already are dropped, as the protocol says."""


HANDLERS: dict[int, Callable[[Session, bytes, int, int], None]] = {
    ord("P"): _parse,
    ord("B"): _bind,
    ord("D"): _describe,
    ord("E"): _execute,
    ord("C"): _close,
    ord("H"): _flush,
    ord("d"): _ignore,
    ord("c"): _ignore,
    ord("f"): _ignore,
}
"""Message type → handler."""
