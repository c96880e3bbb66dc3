"""The extended query protocol (manual, chapter 55.2.3): Parse, Bind, Describe, Execute, Close, Flush, the general
way."""

from __future__ import annotations

from collections.abc import Callable

from aurora.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    IndeterminateDatatype,
    InvalidCursorName,
    InvalidSqlStatementName,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
)
from compute_node.protocol import messages
from compute_node.session import door, prepare, transactions, utility
from compute_node.session.door import ALL
from compute_node.session.portals import Portal
from compute_node.session.prepared import Prepared, current_statement, to_run
from compute_node.session.results import ResultFormat
from compute_node.session.sinks import NO_ROWS, RowList, WireRows
from compute_node.session.state import FAILED, SessionState
from compute_node.session.statement import Statement


def _check_block(session: SessionState, statement: Statement | None) -> None:
    if session.block == FAILED and not (statement is not None and prepare.is_exit(statement.node)):
        raise session.failed_block()


def _parse(session: SessionState, data: bytes, start: int, end: int) -> None:
    name, sql, oids = messages.read_parse(data, start, end)
    if name and name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{name.decode()}" already exists')
    if not name:
        session.statements.pop(name, None)
    sql = prepare.in_standard_literals(session, sql)
    statement = prepare.cached(session, sql, oids)
    if statement is None:
        source, statements = prepare.parse_for_client(session, sql)
        if len(statements) > 1:
            raise SqlSyntaxError("cannot insert multiple commands into a prepared statement")
        if statements:
            if session.block == FAILED and not prepare.is_exit(statements[0].node):
                raise session.failed_block()
            statement = prepare.single(session, sql, statements[0], source, oids)
            for number, oid in enumerate(statement.param_types, 1):
                if not oid or oid == 705:
                    raise IndeterminateDatatype(f"could not determine data type of parameter ${number}")
    else:
        source = statement.source
        _check_block(session, statement)
    prepared = Prepared(name.decode(), sql, source, oids, statement)
    prepared.created = session.clock()
    session.statements[name] = prepared
    session.out.append(messages.PARSE_COMPLETE)


def _find_statement(session: SessionState, name: bytes) -> Prepared:
    prepared: Prepared | None = session.statements.get(name)
    if prepared is None:
        if name:
            raise InvalidSqlStatementName(f'prepared statement "{name.decode(errors="replace")}" does not exist')
        raise InvalidSqlStatementName("unnamed prepared statement does not exist")
    return prepared


def _find_portal(session: SessionState, name: bytes) -> Portal:
    portal: Portal | None = session.portals.get(name)
    if portal is None:
        raise InvalidCursorName(f'portal "{name.decode(errors="replace")}" does not exist')
    return portal


def _bind(session: SessionState, data: bytes, start: int, end: int) -> None:
    bind = messages.read_bind(data, start, end)
    prepared = _find_statement(session, bind.statement)
    prepared.check_count(bind)
    _check_block(session, prepared.statement)
    statement = current_statement(session, prepared)
    if bind.portal:
        if bind.portal in session.portals:
            raise DuplicateCursor(f'cursor "{bind.portal.decode()}" already exists')
    if bind.values:
        transactions.ensure(session)
    try:
        params = prepared.bind(session, bind)
    except Exception:
        session.query = prepared.source
        raise
    if statement is not None:
        statement, _ = to_run(session, prepared, statement, params)
        if statement.node is None:
            statement.executable.check_constants()
    if statement is not None and statement.columns is not None:
        statement.format_for(bind.result_formats)
    session.add_portal(Portal(bind.portal.decode(), statement, params, bind.result_formats, prepared.source))
    session.out.append(messages.BIND_COMPLETE)


def _describe(session: SessionState, data: bytes, start: int, end: int) -> None:
    kind, name = messages.read_target(data, start, end)
    if kind == 83:
        prepared = _find_statement(session, name)
        failed = session.block == FAILED
        statement = prepared.statement if failed else current_statement(session, prepared)
        session.out.append(messages.parameter_description(prepared.param_types))
        formats = b""
    elif kind == 80:
        portal = _find_portal(session, name)
        statement, formats = portal.statement, portal.formats
    else:
        raise messages.malformed(f"invalid DESCRIBE message subtype {kind}")
    if statement is None:
        session.out.append(messages.NO_DATA)
        return
    result = _result(session, statement, formats)
    if result is None:
        session.out.append(messages.NO_DATA)
        return
    _check_block(session, statement)
    session.out.append(result.row_description)


def _result(session: SessionState, statement: Statement, formats: bytes) -> ResultFormat | None:
    """How its rows go out; None when it gives none."""
    if statement.node is None:
        return None if statement.columns is None else statement.format_for(formats)
    columns = utility.columns_of(session, statement)
    return None if columns is None else ResultFormat(columns, formats)


def _execute(session: SessionState, data: bytes, start: int, end: int) -> None:
    name, limit = messages.read_execute(data, start, end)
    portal = _find_portal(session, name)
    statement = portal.statement
    if statement is None:
        session.out.append(messages.EMPTY_QUERY)
        return
    _check_block(session, statement)
    if portal.failed:
        raise ObjectNotInPrerequisiteState(f'portal "{portal.name}" cannot be run')
    session.interrupt_error = None
    session.arm_timeout()
    try:
        if statement.fast is not None:
            portal.failed = True
            session.plans.statements += 1
            session.out.append(statement.fast(session))
        elif statement.node is not None:
            _execute_utility(session, portal, statement, limit or ALL)
        elif statement.columns is None:
            # It runs once, whatever comes of it.
            portal.failed = True
            count = door.run(session, statement, portal.params, NO_ROWS)
            session.out.append(messages.command_complete(statement.tag, count))
        else:
            _execute_query(session, portal, statement, limit or ALL)
    except Exception:
        portal.failed = True
        raise
    finally:
        session.disarm_timeout()
    transactions.end_of_execute(session)


def _execute_query(session: SessionState, portal: Portal, statement: Statement, limit: int) -> None:
    portal.start(session)
    if statement.writes:
        portal.read_all(session)
    sent = portal.forward(limit, WireRows(session, statement.format_for(portal.formats)))
    session.check_interrupts()
    if not portal.at_end:
        portal.hold_horizon(session)
        session.out.append(messages.PORTAL_SUSPENDED)
        return
    # The count is of this Execute, as PostgreSQL counts it.
    session.out.append(messages.command_complete(statement.tag, sent))


def _execute_utility(session: SessionState, portal: Portal, statement: Statement, limit: int) -> None:
    if portal.tag is None:
        session.query = statement.source
        session.query_start = session.env.statement_timestamp = session.clock()
        session.plans.statements += 1
        result = _result(session, statement, portal.formats)
        if result is None:
            # It runs once, whatever comes of it.
            portal.failed = True
            session.out.append(messages.command_tag(utility.execute(session, statement, portal.params, NO_ROWS)))
            return
        rows = RowList()
        portal.tag = utility.execute(session, statement, portal.params, rows)
        portal.give(session, rows.found, result)
    sent = 0 if portal.result is None else portal.forward(limit, WireRows(session, portal.result))
    if not portal.at_end:
        session.out.append(messages.PORTAL_SUSPENDED)
        return
    word, _, count = portal.tag.rpartition(" ")
    session.out.append(messages.command_tag(f"{word} {sent}" if count.isdigit() else portal.tag))


def _close(session: SessionState, data: bytes, start: int, end: int) -> None:
    kind, name = messages.read_target(data, start, end)
    if kind == 83:
        session.statements.pop(name, None)
    elif kind == 80:
        session.drop_portal(name)
    else:
        raise messages.malformed(f"invalid CLOSE message subtype {kind}")
    session.out.append(messages.CLOSE_COMPLETE)


def _flush(session: SessionState, _data: bytes, start: int, end: int) -> None:
    if start != end:
        raise messages.malformed()
    session.port.flush()


def _ignore(_session: SessionState, _data: bytes, _start: int, _end: int) -> None:
    """CopyData, CopyDone and CopyFail after a COPY that has ended already are dropped, as the protocol says."""


HANDLERS: dict[int, Callable[[SessionState, bytes, int, int], None]] = {
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
