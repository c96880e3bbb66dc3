"""DECLARE, FETCH, MOVE, CLOSE and PREPARE, EXECUTE, DEALLOCATE: the SQL faces of portals and prepared statements."""

from __future__ import annotations

from pglast import ast, enums

from aurora.datum import Row
from aurora.errors import (
    DatatypeMismatch,
    DuplicateCursor,
    DuplicatePreparedStatement,
    InsufficientPrivilege,
    InvalidCursorDefinition,
    InvalidCursorName,
    InvalidSqlStatementName,
    NoActiveSqlTransaction,
    NotSupported,
    SqlSyntaxError,
)
from compute_node.session import current_rows, door, forwarding, prepare, transactions
from compute_node.session.portals import Portal
from compute_node.session.prepared import Prepared, current_statement
from compute_node.session.sinks import RowList, Sink
from compute_node.session.state import IDLE, SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.analyze.coercion import coerce
from compute_node.sql.analyze.context import Analysis, Scope, session_env
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.typenames import format_type, resolve_type_name
from compute_node.sql.parse import RawStatement
from compute_node.sql.query import Query
from compute_node.types.oids import UNKNOWN

_BINARY, _SCROLL, _NO_SCROLL, _INSENSITIVE, _ASENSITIVE, _HOLD = 1, 2, 4, 8, 16, 32
_STRENGTHS = {1: "FOR KEY SHARE", 2: "FOR SHARE", 3: "FOR NO KEY UPDATE", 4: "FOR UPDATE"}
_DIRECTIONS = {0: "forward", 1: "backward", 2: "absolute", 3: "relative"}


def declare(session: SessionState, node: ast.Node, source: str, param_types: tuple[int, ...], params: Params) -> None:
    """DECLARE CURSOR."""
    _check_options(node.options)
    hold = bool(node.options & _HOLD)
    into = getattr(node.query, "intoClause", None)
    if into is not None:
        raise SqlSyntaxError("SELECT ... INTO is not allowed here", position=into.rel.location + 1)
    if not isinstance(node.query, ast.SelectStmt):
        raise InvalidCursorDefinition("DECLARE CURSOR must not contain data-modifying statements")
    if hold and session.restricted:
        raise InsufficientPrivilege("cannot create a cursor WITH HOLD within security-restricted operation")
    name = node.portalname
    if not name:
        raise InvalidCursorName("invalid cursor name: must not be empty")
    statement, addresses = current_rows.compile_with_addresses(session, node.query, source, list(param_types))
    items = node.query.withClause.ctes if node.query.withClause else ()
    if any(not isinstance(each.ctequery, ast.SelectStmt) for each in items):
        raise NotSupported("DECLARE CURSOR must not contain data-modifying statements in WITH")
    if session.block == IDLE and not hold and not (session.several_statements or session.depth):
        raise NoActiveSqlTransaction("DECLARE CURSOR can only be used in transaction blocks")
    if name.encode() in session.portals:
        raise DuplicateCursor(f'cursor "{name}" already exists')
    if statement.writes and session.txn is not None and session.txn.read_only:
        forwarding.refuse_cursor(session)
    portal = Portal(name, statement, params, b"\0\1" if node.options & _BINARY else b"", source)
    portal.declared = True
    portal.addresses = addresses
    portal.created = session.clock()
    portal.with_hold = hold
    portal.scroll = _scrolls(node, statement)
    # The cursor sees the database as of now, so it starts now.
    portal.start(session)
    if node.options & _SCROLL:
        portal.keep_rows(session)
    portal.hold_horizon(session)
    session.add_portal(portal)


def _check_options(options: int) -> None:
    for one, other, words in (
        (_SCROLL, _NO_SCROLL, "SCROLL and NO SCROLL"),
        (_ASENSITIVE, _INSENSITIVE, "ASENSITIVE and INSENSITIVE"),
    ):
        if options & one and options & other:
            raise InvalidCursorDefinition(f"cannot specify both {words}")


def _scrolls(node: ast.Node, statement: Statement) -> bool:
    """Whether the cursor may go back; without a word of DECLARE's, when its plan could do so in PostgreSQL."""
    locking = node.query.lockingClause
    if locking:
        how = "WITH HOLD" if node.options & _HOLD else "SCROLL" if node.options & _SCROLL else ""
        if how:
            strength = _STRENGTHS[int(locking[0].strength)]
            text = (
                f"DECLARE CURSOR WITH HOLD ... {strength}"
                if how == "WITH HOLD"
                else f"DECLARE SCROLL CURSOR ... {strength}"
            )
            noun = "Holdable" if how == "WITH HOLD" else "Scrollable"
            raise NotSupported(f"{text} is not supported", detail=f"{noun} cursors must be READ ONLY.")
        return False
    if node.options & (_SCROLL | _NO_SCROLL):
        return bool(node.options & _SCROLL)
    return bool(statement.executable.can_go_back)


def find(session: SessionState, name: str) -> Portal:
    """An open cursor; raises 34000."""
    portal: Portal | None = session.portals.get(name.encode()) if name else None
    if portal is None:
        raise InvalidCursorName(f'cursor "{name}" does not exist')
    return portal


def fetch(session: SessionState, node: ast.Node, sink: Sink) -> int:
    """FETCH or MOVE; returns the number of rows of the tag."""
    portal = find(session, node.portalname)
    try:
        return portal.fetch(session, _DIRECTIONS[int(node.direction)], node.howMany, sink, bool(node.ismove))
    except Exception:
        portal.failed = True
        raise


def close(session: SessionState, name: str | None) -> str:
    """CLOSE one or ALL; returns the tag."""
    if name is None:
        session.drop_portals()
        return "CLOSE CURSOR ALL"
    find(session, name)
    session.drop_portal(name.encode())
    return "CLOSE CURSOR"


def prepare_statement(session: SessionState, node: ast.Node, source: str) -> None:
    """PREPARE."""
    name = node.name.encode()
    if name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{node.name}" already exists')
    declared: list[int] = []
    if node.argtypes:
        transactions.ensure(session)
        view = session.engine.catalog.view(session)
        declared = [resolve_type_name(view, item)[0] for item in node.argtypes]
    raw = RawStatement(node.query, 0, len(source))
    if prepare.is_query(node.query):
        statement, _ = prepare.compile_statement(session, raw, source, declared)
    else:
        statement = prepare.utility_statement(session, node.query, source, tuple(declared))
    prepared = Prepared(node.name, b"", source, tuple(declared), statement)
    prepared.from_sql, prepared.raw, prepared.created = True, raw, session.clock()
    session.statements[name] = prepared


def find_prepared(session: SessionState, name: str) -> tuple[Prepared, Statement]:
    """A prepared statement, and it with a current plan; raises 26000."""
    prepared: Prepared | None = session.statements.get(name.encode())
    if prepared is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" does not exist')
    statement = current_statement(session, prepared)
    if statement is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" is empty')
    return prepared, statement


def execute_arguments(session: SessionState, node: ast.Node, prepared: Prepared, source: str) -> Row:
    """Evaluate EXECUTE's arguments, coerced to the parameters' types."""
    arguments, types = node.params or (), prepared.param_types
    if not types:
        return ()  # PostgreSQL does not look at them either
    if len(arguments) != len(types):
        raise SqlSyntaxError(
            f'wrong number of parameters for prepared statement "{node.name}"',
            detail=f"Expected {len(types)} parameters but got {len(arguments)}.",
        )
    targets = []
    for number, (argument, oid) in enumerate(zip(arguments, types, strict=True), 1):
        _check_argument(session, argument, number, oid)
        names = tuple(map(ast.String, session.engine.catalog.view(session).type_name(oid)))
        cast = ast.TypeCast(arg=argument, typeName=ast.TypeName(names=names, typemod=-1), location=-1)
        targets.append(ast.ResTarget(val=cast, location=-1))
    select = ast.SelectStmt(
        targetList=tuple(targets), limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT, op=enums.SetOperation.SETOP_NONE
    )
    statement, _ = prepare.compile_statement(session, RawStatement(select, 0, len(source)), source, [], counted=False)
    values = RowList()
    door.run(session, statement, (), values)
    return values.found[0]


def _check_argument(session: SessionState, argument: ast.Node, number: int, wanted: int) -> None:
    """42804 for an argument that assignment does not make the parameter's type."""
    if isinstance(argument, ast.A_Const) and (argument.isnull or isinstance(argument.val, ast.String)):
        return
    view = session.engine.catalog.view(session)
    analysis = Analysis(view, [], "", session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="EXECUTE")
    found = transform(scope, argument)
    if found.type != UNKNOWN and coerce(scope, found, wanted, context="a") is None:
        have, shown = format_type(view, found.type), format_type(view, wanted)
        raise DatatypeMismatch(
            f"parameter ${number} of type {have} cannot be coerced to the expected type {shown}",
            hint="You will need to rewrite or cast the expression.",
            position=found.location + 1 if found.location >= 0 else None,
        )


def deallocate(session: SessionState, name: str | None) -> str:
    """DEALLOCATE one or ALL; returns the tag."""
    if name is None:
        session.statements.clear()
        return "DEALLOCATE ALL"
    if session.statements.pop(name.encode(), None) is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" does not exist')
    return "DEALLOCATE"
