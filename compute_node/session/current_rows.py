"""WHERE CURRENT OF: where the row of a cursor came from.

A cursor over tables is compiled with the addresses of their rows behind its columns (``sql.analyze.row_addresses`` says
which); the portal keeps those of the row that it gave last, and gives the client none.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pglast import ast

from aurora.errors import InvalidCursorName, InvalidCursorState
from compute_node.relations.descriptors import RelationDesc
from compute_node.session import prepare
from compute_node.session.statement import Statement
from compute_node.sql.parse import RawStatement
from compute_node.sql.plan import Addressed

if TYPE_CHECKING:
    from compute_node.session.portals import Portal
    from compute_node.session.state import SessionState


@dataclass(frozen=True, slots=True)
class Addresses:
    """Behind ``width`` columns come the addresses of rows of these ``tables``."""

    width: int
    tables: tuple[Addressed, ...]
    locked: bool

    def places(self, relation: RelationDesc) -> list[tuple[int, bool]]:
        """The columns with addresses that may be of the table's rows; whether the next one tells whose they are."""
        found = []
        at = self.width
        for each in self.tables:
            if relation.oid in each.tables:
                found.append((at, each.told))
            at += 1 + each.told
        return found


def compile_with_addresses(
    session: SessionState, query: ast.SelectStmt, source: str, param_types: list[int]
) -> tuple[Statement, Addresses | None]:
    """A cursor's query, with the addresses of its rows where they are a table's."""
    raw = RawStatement(query, 0, len(source), addressed=True)
    found, _ = prepare.compile_statement(session, raw, source, param_types, counted=False)
    tables: tuple[Addressed, ...] = found.executable.planned.addressed
    if found.columns is None or not tables:
        return found, None
    locked = bool(query.lockingClause)
    width = len(found.columns) - sum(1 + each.told for each in tables)
    statement = copy(found)
    statement.columns, statement.formats = found.columns[:width], {}
    if not (locked or found.executable.scans_only):
        tables = ()  # sorted, say: they are there, and of no use
    return statement, Addresses(width, tables, locked)


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
    places = [] if found is None else found.places(relation)
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
    at, told = places[0]
    if told and portal.row[at + 1] != relation.oid:
        return None  # another table of the family has the row
    found_at: int | None = portal.row[at]
    return found_at
