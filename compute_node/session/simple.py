"""The simple query protocol (manual, chapter 55.2.2): one text, any number of statements, one implicit transaction."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from aurora.errors import SqlError, UndefinedParameter
from aurora.kernels import lifter
from compute_node.exec.executable import Executable
from compute_node.exec.nodes.base import Batch
from compute_node.exec.several import SeveralQueries
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.session import door, prepare, referential, transactions, utility
from compute_node.session.forwarding import AsWritten
from compute_node.session.lifting import values_of
from compute_node.session.long_insert import LONG_BYTES, LongInsert, long_insert
from compute_node.session.results import ResultFormat, decode_text
from compute_node.session.sinks import NO_ROWS, UtilityRows, WireRows
from compute_node.session.state import FAILED, SessionState
from compute_node.session.statement import Params, Statement, described

if TYPE_CHECKING:
    from compute_node.sql.parse import RawStatement


def query(session: SessionState, sql: bytes) -> None:
    """Run a Query message. The caller answers errors and says ready."""
    session.drop_portal(b"")
    session.statements.pop(b"", None)
    session.interrupt_error = None
    if session.guarded:
        session.arm_timeout()
        try:
            _query(session, prepare.in_standard_literals(session, sql))
        finally:
            session.disarm_timeout()
    else:
        _query(session, sql)
    txn = session.txn
    if session.block == 0 and txn is not None:
        if (txn.ties is None and txn.serial is None) or not session.out:
            transactions.commit(session)
            return
        completed = session.out.pop()  # the last statement is not done before its transaction is
        transactions.commit(session)
        session.out.append(completed)


def _query(session: SessionState, sql: bytes) -> None:
    long = len(sql) > LONG_BYTES
    if long:
        # No long text is kept: to look for it would only cost its hash.
        HUB.pulse()
    found = None if long else session.plans.utilities.get(sql)
    if found is not None:
        _run_utility(session, found)
        return
    if session.block != FAILED:
        if session.lift_literals:
            ready = _lifted(session, sql)
            if ready is not None:
                try:
                    _run_query(session, *ready)
                except AsWritten as whole:
                    _run_query(session, *_as_written(session, whole.statement, sql))
                return
            if long and sql[:256].lstrip()[:6].lower() == b"insert":
                insert = long_insert(decode_text(sql))
                if insert is not None:
                    try:
                        _run_pieces(session, insert)
                    except AsWritten as whole:  # from the first piece
                        _run_query(session, *_as_written(session, whole.statement, sql))
                    return
        found = None if long else session.space.texts.get((sql, ()))
        # One with parameters is Parse's: a simple query has none, and says so when it is analyzed.
        if found is not None and not found.param_types and prepare.is_ready(session, found):
            _run_query(session, found, ())
            return
    _general(session, sql)


def _lifted(session: SessionState, sql: bytes) -> tuple[Statement, Params] | None:
    """The plan of a text without its literals, and the literals as its parameters; None when it cannot be lifted."""
    lifted = lifter.lift(sql)
    if lifted is None:
        return None
    key, literals = lifted
    shape = session.space.shapes.get(key)
    if shape is not None and shape.liftable:
        variant = shape.variants.get(shape.key_of(literals))
        if variant is not None and variant.family is not None:
            variant = variant.family.find(session, values_of(session, literals, variant.negated))
        if variant is not None and prepare.is_ready(session, variant.statement):
            session.query = variant.statement.source
            return variant.statement, variant.bind(literals, session.env, sql)
    if shape is None or shape.liftable:
        return prepare.lift_first_sight(session, sql, key, literals)
    return None


def _run_pieces(session: SessionState, insert: LongInsert) -> None:
    """Run a long INSERT piece by piece, as one statement of the client."""
    count = 0
    session.gathering = True
    try:
        for piece, moved in insert.pieces():
            try:
                ready = _lifted(session, piece) or _unlifted(session, piece)
                if isinstance(ready[0].executable, SeveralQueries):
                    # Rules make of a statement so many queries, not of each of its pieces.
                    raise AsWritten(ready[0])
                count += door.run(session, *ready, NO_ROWS)
            except SqlError as error:
                if error.position is not None and error.position > len(insert.head):
                    error.position += moved
                raise
    finally:
        session.gathering = False
    referential.fire(session)
    session.out.append(messages.command_complete("INSERT", count))


def _as_written(session: SessionState, statement: Statement, sql: bytes) -> tuple[Statement, Params]:
    """What runs on the writer, by its text."""
    if statement.columns is None and session.forwarding is not None:
        return session.forwarding.as_written(statement, sql), ()
    return _unlifted(session, sql)


def _unlifted(session: SessionState, sql: bytes) -> tuple[Statement, Params]:
    source, statements = prepare.parse_text(sql)
    made, _ = prepare.compile_statement(session, statements[0], source, [])
    return made, ()


def _general(session: SessionState, sql: bytes) -> None:
    source, statements = prepare.parse_for_client(session, sql)
    session.query = source
    if not statements:
        session.out.append(messages.EMPTY_QUERY)
        return
    if len(statements) == 1:
        statement = statements[0]
        _check(session, statement)
        _refuse_parameters(statement, source)
        single = prepare.single(session, sql, statement, source, ())
        if single.node is not None:
            _run_utility(session, single)
        else:
            _run_query(session, single, ())
        return
    session.several_statements = True
    for statement in statements:
        _check(session, statement)
        _refuse_parameters(statement, source)
        if prepare.is_query(statement.node):
            made, _ = prepare.compile_statement(session, statement, source, [])
            _run_query(session, made, ())
        else:
            text = source[statement.start : statement.start + statement.length]
            _run_utility(session, prepare.utility_statement(session, statement.node, text))


def _check(session: SessionState, statement: RawStatement) -> None:
    if session.block == FAILED and not prepare.is_exit(statement.node):
        raise session.failed_block()


def _refuse_parameters(statement: RawStatement, source: str) -> None:
    """42P02: a simple query has no parameters; those of PREPARE are its own."""
    if "$" in source and (prepare.is_query(statement.node) or prepare.inner_query(statement.node) is not None):
        for node in prepare.parameters(statement.node):
            raise UndefinedParameter(f"there is no parameter ${node.number}", position=(node.location or 0) + 1)


def _run_query(session: SessionState, statement: Statement, params: Params) -> None:
    """Run a planned query and send everything of it."""
    if statement.columns is None and isinstance(statement.executable, SeveralQueries):
        count = door.run_showing(session, statement, params, partial(_show, session))
    elif statement.columns is None:
        count = door.run(session, statement, params, NO_ROWS)
    else:
        result = statement.formats.get(b"") or statement.format_for(b"")
        count = door.run(session, statement, params, WireRows(session, result, described=True))
    session.out.append(messages.command_complete(statement.tag, count))


def _show(session: SessionState, step: Executable, rows: Iterator[Batch]) -> None:
    """The rows of a SELECT that a rule has put beside a statement."""
    sink = WireRows(session, ResultFormat(described(step), b""), described=True)
    sink.begin()
    for batch in rows:
        sink.rows(batch)
    sink.end()


def _run_utility(session: SessionState, statement: Statement) -> None:
    session.plans.statements += 1
    if statement.fast is not None:
        session.out.append(statement.fast(session))
        return
    if session.block == FAILED and not prepare.is_exit(statement.node):
        raise session.failed_block()
    session.query = statement.source
    session.query_start = session.env.statement_timestamp = session.clock()
    columns = utility.columns_of(session, statement)
    if columns is None:
        session.out.append(messages.command_tag(utility.execute(session, statement, (), NO_ROWS)))
        return
    sink = UtilityRows(session, ResultFormat(columns, utility.formats_of(session, statement)), described=True)
    tag = utility.execute(session, statement, (), sink)
    sink.describe()
    session.out.append(messages.command_tag(tag))
