"""WHERE CURRENT OF: where the row of a cursor came from.

A cursor over tables is compiled with the addresses of their rows behind its columns; the portal keeps those of the row
that it gave last, and gives the client none. Which cursors have them is PostgreSQL's rule (execCurrentOf): with FOR
UPDATE or SHARE those of the locked tables, else of the only table when nothing but scans, LIMIT and filters are above.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pglast import ast

from aurora.errors import InvalidCursorName, InvalidCursorState, SqlError
from compute_node.relations.descriptors import RelationDesc
from compute_node.session import prepare, transactions
from compute_node.session.statement import Statement
from compute_node.sql.parse import RawStatement

if TYPE_CHECKING:
    from compute_node.session.portals import Portal
    from compute_node.session.state import SessionState

_NOT_ROW_BY_ROW = ("groupClause", "havingClause", "distinctClause", "valuesLists", "larg")


@dataclass(frozen=True, slots=True)
class Addresses:
    """``statement`` gives behind ``width`` columns the addresses of rows of ``tables`` (OIDs)."""

    statement: Statement
    width: int
    tables: tuple[int, ...]
    locked: bool


def compile_with_addresses(
    session: SessionState, query: ast.SelectStmt, source: str, param_types: list[int]
) -> Addresses | None:
    """A cursor's query with the addresses of its rows; None for one whose rows are not a table's."""
    if any(getattr(query, name, None) for name in _NOT_ROW_BY_ROW) or not query.fromClause:
        return None
    names = [name for item in query.fromClause for name in _tables(item)]
    locked = bool(query.lockingClause)
    if locked:
        names = _locked(query, names)
    elif len(names) != 1 or not isinstance(query.fromClause[0], ast.RangeVar):
        return None
    transactions.ensure(session)
    view = session.engine.catalog.view(session)
    common = {item.ctename for item in query.withClause.ctes} if query.withClause is not None else set()
    targets, tables = [], []
    for name in names:
        if name.schemaname is None and name.relname in common:
            continue
        try:
            desc = view.find_relation(name.schemaname, name.relname)
        except SqlError:
            return None
        if desc is not None and desc.kind == "r":
            alias = name.alias.aliasname if name.alias is not None else name.relname
            fields = (ast.String(sval=alias), ast.String(sval="ctid"))
            targets.append(ast.ResTarget(val=ast.ColumnRef(fields=fields, location=-1), location=-1))
            tables.append(desc.oid)
    if not tables:
        return None
    wider = ast.SelectStmt(**{name: getattr(query, name) for name in query})
    wider.targetList = (*(query.targetList or ()), *targets)
    try:
        found, _ = prepare.compile_statement(session, RawStatement(wider, 0, len(source)), source, param_types)
    except SqlError:
        # Of an aggregate, for who may not see system columns: without them it may be a cursor all the same.
        return None
    run = found.executable
    if found.columns is None or run.refused is not None or not (locked or run.scans_only):
        return None
    width = len(found.columns) - len(tables)
    statement = copy(found)
    statement.columns, statement.formats = found.columns[:width], {}
    return Addresses(statement, width, tuple(tables), locked)


def _tables(item: ast.Node) -> list[ast.RangeVar]:
    if isinstance(item, ast.RangeVar):
        return [item]
    if isinstance(item, ast.JoinExpr) and item.alias is None:
        return _tables(item.larg) + _tables(item.rarg)
    return []


def _locked(query: ast.SelectStmt, names: list[ast.RangeVar]) -> list[ast.RangeVar]:
    """Those that FOR UPDATE or SHARE locks: all, or those that OF names."""
    wanted: set[str] = set()
    for clause in query.lockingClause:
        if not clause.lockedRels:
            return names
        wanted |= {item.relname for item in clause.lockedRels}
    return [item for item in names if (item.alias.aliasname if item.alias is not None else item.relname) in wanted]


def row_of(session: SessionState, name: str, relation: RelationDesc) -> int | None:
    """The address of the row of a table on which a cursor stands; None when its row has none. 34000, 24000."""
    portal: Portal | None = session.portals.get(name.encode())
    if portal is None:
        raise InvalidCursorName(f'cursor "{name}" does not exist')
    if portal.statement is None or portal.statement.columns is None:
        raise InvalidCursorState(f'cursor "{name}" is not a SELECT query')
    if portal.held:
        raise InvalidCursorState(f'cursor "{name}" is held from a previous transaction')
    found = portal.addresses
    places = [] if found is None else [at for at, oid in enumerate(found.tables) if oid == relation.oid]
    if found is not None and found.locked:
        if not places:
            message = f'cursor "{name}" does not have a FOR UPDATE/SHARE reference to table "{relation.name}"'
            raise InvalidCursorState(message)
        if len(places) > 1:
            message = f'cursor "{name}" has multiple FOR UPDATE/SHARE references to table "{relation.name}"'
            raise InvalidCursorState(message)
    if found is None or not places:
        raise InvalidCursorState(f'cursor "{name}" is not a simply updatable scan of table "{relation.name}"')
    if portal.at_start or portal.at_end or portal.row is None:
        raise InvalidCursorState(f'cursor "{name}" is not positioned on a row')
    at: int | None = portal.row[found.width + places[0]]
    return at
