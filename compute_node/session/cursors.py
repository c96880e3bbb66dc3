"""DECLARE, FETCH, MOVE, CLOSE and PREPARE, EXECUTE, DEALLOCATE: the SQL faces of portals and prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pglast import ast, enums

from aurora.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    InvalidCursorDefinition,
    InvalidCursorName,
    InvalidSqlStatementName,
    NoActiveSqlTransaction,
    SqlSyntaxError,
)
from compute_node.session import prepare, transactions
from compute_node.session.plans import Plan
from compute_node.session.portals import Portal
from compute_node.session.prepared import Prepared, current_plan
from compute_node.sql.analyze.typenames import resolve_type_name
from compute_node.sql.parse import RawStatement

if TYPE_CHECKING:
    from compute_node.session.session import Session

_BINARY, _SCROLL, _NO_SCROLL, _HOLD = 1, 2, 4, 32
_DIRECTIONS = {0: "forward", 1: "backward", 2: "absolute", 3: "relative"}


def declare(session: Session, node: Any, source: str) -> None:
    """DECLARE CURSOR."""
    hold = bool(node.options & _HOLD)
    if session.block == transactions.IDLE and not hold:
        raise NoActiveSqlTransaction("DECLARE CURSOR can only be used in transaction blocks")
    if not prepare.is_query(node.query):
        raise InvalidCursorDefinition("DECLARE CURSOR must not contain data-modifying statements")
    name = node.portalname
    if name.encode() in session.portals:
        raise DuplicateCursor(f'cursor "{name}" already exists')
    plan, _ = prepare.compile_plan(session, RawStatement(node.query, 0, len(source)), source, [])
    formats = b"\0\1" if node.options & _BINARY else b""
    portal = Portal(name, plan, (), formats, source)
    portal.declared = True
    portal.created = session.clock()
    portal.scroll = bool(node.options & _SCROLL) and not node.options & _NO_SCROLL
    portal.with_hold = hold
    # The cursor sees the database as of now, so it starts now.
    portal.start(session)
    portal.keep(session)
    session.portals[name.encode()] = portal


def find(session: Session, name: str) -> Portal:
    """An open cursor; raises 34000."""
    portal: Portal | None = session.portals.get(name.encode()) if name else None
    if portal is None:
        raise InvalidCursorName(f'cursor "{name}" does not exist')
    return portal


def fetch(session: Session, node: Any) -> list[tuple[Any, ...]]:
    """The rows of FETCH or MOVE."""
    portal = find(session, node.portalname)
    kind, count = _DIRECTIONS[int(node.direction)], node.howMany
    if kind in ("forward", "backward") and count < 0:
        kind, count = ("backward" if kind == "forward" else "forward"), -count
    return portal.fetch(kind, count)


def close(session: Session, name: str | None) -> str:
    """CLOSE one or ALL; returns the tag."""
    if name is None:
        for key, portal in list(session.portals.items()):
            if portal.declared:
                portal.close()
                del session.portals[key]
        return "CLOSE CURSOR ALL"
    find(session, name).close()
    del session.portals[name.encode()]
    return "CLOSE CURSOR"


def prepare_statement(session: Session, node: Any, source: str) -> None:
    """PREPARE."""
    name = node.name.encode()
    if name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{node.name}" already exists')
    declared: list[int] = []
    if node.argtypes:
        transactions.ensure(session)
        view = session.engine.catalog.view(session)
        declared = [resolve_type_name(view, item)[0] for item in node.argtypes]
    statement = RawStatement(node.query, 0, len(source))
    if prepare.is_query(node.query):
        plan, _ = prepare.compile_plan(session, statement, source, declared)
    else:
        plan = prepare.utility_plan(node.query, source, tuple(declared))
    prepared = Prepared(node.name, b"", source, tuple(declared), plan)
    prepared.from_sql, prepared.statement, prepared.created = True, statement, session.clock()
    session.statements[name] = prepared


def find_prepared(session: Session, name: str) -> tuple[Prepared, Plan]:
    """A prepared statement and its current plan; raises 26000."""
    prepared: Prepared | None = session.statements.get(name.encode())
    if prepared is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" does not exist')
    plan = current_plan(session, prepared)
    if plan is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" is empty')
    return prepared, plan


def execute_arguments(session: Session, node: Any, prepared: Prepared, source: str) -> tuple[Any, ...]:
    """Evaluate EXECUTE's arguments, coerced to the parameters' types."""
    arguments, types = node.params or (), prepared.param_types
    if len(arguments) != len(types):
        raise SqlSyntaxError(
            f'wrong number of parameters for prepared statement "{node.name}"',
            detail=f"Expected {len(types)} parameters but got {len(arguments)}.",
        )
    if not arguments:
        return ()
    targets = []
    for argument, oid in zip(arguments, types, strict=True):
        names = tuple(map(ast.String, session.engine.catalog.view(session).type_name(oid)))
        cast = ast.TypeCast(arg=argument, typeName=ast.TypeName(names=names, typemod=-1), location=-1)
        targets.append(ast.ResTarget(val=cast, location=-1))
    select = ast.SelectStmt(
        targetList=tuple(targets), limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT, op=enums.SetOperation.SETOP_NONE
    )
    plan, _ = prepare.compile_plan(session, RawStatement(select, 0, len(source)), source, [])
    return collect(session, plan, ())[0]


def collect(session: Session, plan: Plan, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """All rows of a query plan."""
    portal = Portal("", plan, params)
    portal.start(session)
    return portal.forward(9223372036854775807)


def deallocate(session: Session, name: str | None) -> str:
    """DEALLOCATE one or ALL; returns the tag."""
    if name is None:
        session.statements.clear()
        return "DEALLOCATE ALL"
    if session.statements.pop(name.encode(), None) is None:
        raise InvalidSqlStatementName(f'prepared statement "{name}" does not exist')
    return "DEALLOCATE"
