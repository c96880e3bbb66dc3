"""Statements run by functions that a statement calls: in its transaction, through the same door (``door``).

A volatile function sees the database as of each statement that it runs, its caller's changes so far included: the
command counter moves on, and the snapshot is of now. A stable or immutable one sees what its caller sees, and changes
nothing. The caller goes on under its own snapshot, which holds the row horizon meanwhile. An error goes through to the
caller's statement and undoes it with the rest. Sources: PostgreSQL manual, chapters 38.7 and 47 (SPI).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from pglast import ast

from aurora.datum import Row
from aurora.errors import InvalidCursorDefinition, InvalidTransactionTermination, NotSupported
from compute_node.exec.compile.compiler import too_complex
from compute_node.exec.statement_locks import planned_tag
from compute_node.hub import HUB
from compute_node.protocol.messages import Column
from compute_node.session import door, prepare, transactions, utility
from compute_node.session.sinks import RowList, Sink
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.types.registry import PgType, SqlResult

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot


DEPTH_MAX = 300
"""Functions within functions; PostgreSQL's bound is its stack (max_stack_depth), and so is this one's reason."""


def run(
    session: SessionState, text: str, params: Params, types: tuple[int, ...], snapshot: Snapshot | None
) -> SqlResult:
    """Run the statements of a text; the answer is the last one's. ``types`` are the parameters', where they are not to
    be found out. ``snapshot``: read with this one, and only read; None: with a new one for each statement. Errors:
    what the statements raise, 0A000 and 2D000 for those that a function cannot run, 54001 for functions nested too
    deeply."""
    result = SqlResult([], 0, "")
    with calling(session):
        # A caller may do nothing else for a whole batch of its rows.
        session.check_interrupts()
        HUB.pulse()
        for statement in _statements(session, text, types):
            rows = RowList()
            columns, kinds = _columns(session, statement)
            count, tag = run_one(session, statement, params, snapshot, rows)
            result = SqlResult(rows.found, count if statement.node is None else len(rows.found), tag, columns, kinds)
    return result


def describe(session: SessionState, text: str, snapshot: Snapshot | None) -> SqlResult:
    """The columns of a query that what only reads could open as a cursor: it is begun, no row is taken. 42P11, 0A000,
    42501."""
    with calling(session):
        session.check_interrupts()
        statements = [*islice(_statements(session, text, ()), 2)]
        if len(statements) != 1:
            raise InvalidCursorDefinition("cannot open multi-query plan as cursor")
        first = statements[0]
        columns, kinds = _columns(session, first)
        if columns is None:
            raise InvalidCursorDefinition(f"cannot open {command_name(first)} query as cursor")
        _refuse_changes(first)
        door.start(session, first, (), snapshot).close()
    return SqlResult([], 0, first.tag, columns, kinds)


def _refuse_changes(statement: Statement) -> None:
    """0A000 for what is not for a reader."""
    if statement.writes or statement.node is not None or statement.tag == "CALL":
        raise NotSupported(f"{command_name(statement)} is not allowed in a non-volatile function")


def _columns(session: SessionState, statement: Statement) -> tuple[Sequence[Column] | None, Sequence[PgType]]:
    """Those of the rows that a statement will give, and their types."""
    node = statement.node
    if node is None:
        # Behind a cursor's columns may come the addresses of its rows.
        width = len(statement.columns or ())
        return statement.columns, statement.executable.column_kinds[:width]
    if isinstance(node, ast.FetchStmt):
        portal = session.portals.get(node.portalname.encode())
        if portal is not None and portal.statement is not None:
            return _columns(session, portal.statement)
    return utility.columns_of(session, statement), ()


@contextmanager
def calling(session: SessionState) -> Iterator[None]:
    """The caller's statement stands still: its snapshot is held, and what says which statement runs is put back."""
    if session.depth >= DEPTH_MAX:
        raise too_complex()
    txn = transactions.ensure(session)
    query, oldest_lsn = session.query, txn.oldest_lsn
    session.depth += 1
    hold = session.engine.txns.hold(oldest_lsn, "calling statement", txn)
    try:
        yield
    finally:
        hold.release()
        session.depth -= 1
        session.query = query
        txn.oldest_lsn = oldest_lsn


def _statements(session: SessionState, text: str, types: tuple[int, ...]) -> Iterator[Statement]:
    """Each is planned when the one before has run: it may name what that made."""
    sql = text.encode()
    known = prepare.cached(session, sql, types)
    if known is not None and prepare.is_ready(session, known):
        yield known
        return
    source, raws = prepare.parse_text(sql)
    if len(raws) == 1:
        yield prepare.single(session, sql, raws[0], source, types)
        return
    for raw in raws:
        if prepare.is_query(raw.node):
            yield prepare.compile_statement(session, raw, source, list(types))[0]
        else:
            yield prepare.utility_statement(session, raw.node, source[raw.start : raw.start + raw.length])


def run_one(
    session: SessionState, statement: Statement, params: Params, snapshot: Snapshot | None, rows: Sink
) -> tuple[int, str]:
    """Run one statement of a function, its rows to the sink; returns how many rows it gave or affected, and its tag."""
    if snapshot is not None:
        _refuse_changes(statement)
    if statement.node is None:
        return door.run(session, statement, params[: len(statement.param_types)], rows, snapshot), statement.tag
    if isinstance(statement.node, ast.TransactionStmt):
        raise InvalidTransactionTermination("invalid transaction termination")
    if isinstance(statement.node, ast.CopyStmt):
        raise NotSupported("COPY from or to the client is not supported in a function")
    return 0, utility.execute(session, statement, params, rows)


def command_name(statement: Statement) -> str:
    """How messages name a statement: by its tag, a utility statement by its first words."""
    if statement.tag == "SELECT":
        return planned_tag(statement.executable.planned)
    if statement.tag:
        return statement.tag
    words = re.findall(r"[A-Za-z]+", statement.source)[:2]
    long = words and words[0].upper() in ("CREATE", "ALTER", "DROP")
    return " ".join(words if long else words[:1]).upper()


def open_rows(
    session: SessionState, text: str, params: Params, types: tuple[int, ...], snapshot: Snapshot | None
) -> Iterator[Row]:
    """The rows of one query, as they are taken: for functions that stop early, or return as they read."""
    with calling(session):
        (statement,) = _statements(session, text, types)
        if statement.columns is None or statement.writes:
            raise NotSupported("only a query that changes nothing can be read row by row")
        execution = door.start(session, statement, params, snapshot)
        hold = session.engine.txns.hold(execution.context.snapshot.lsn, "function", execution.context.txn)
    try:
        for batch in execution.batches():
            yield from batch
    finally:
        execution.close()
        hold.release()
