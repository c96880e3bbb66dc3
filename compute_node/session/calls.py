"""CALL: the procedure's input arguments are a query of their own; what it gives for its output arguments is one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast

from aurora.errors import InvariantViolation
from compute_node.protocol.messages import Column
from compute_node.session import prepare, routines, transactions
from compute_node.session.plans import bounded_put
from compute_node.session.sinks import Sink
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.analyze.routines import output_columns
from compute_node.sql.parse import RawStatement
from compute_node.types.oids import RECORD
from compute_node.types.registry import RoutineCall


def _statement(session: SessionState, node: ast.CallStmt, source: str, types: Sequence[int]) -> Statement:
    """The query of the arguments, planned for what the session sees now."""
    key = (source, node.funccall.location, tuple(types))
    found = session.space.calls.get(key)
    if found is not None and prepare.is_ready(session, found):
        return found
    made, _ = prepare.compile_statement(session, RawStatement(node, 0, len(source)), source, list(types))
    if made.shareable:
        bounded_put(session.space.calls, key, made)
    return made


def _procedure(statement: Statement) -> RoutineCall:
    found = statement.executable.planned.procedure
    if found is None:
        raise InvariantViolation("a CALL without its procedure")
    return found


def columns_of(session: SessionState, node: ast.CallStmt, source: str, types: Sequence[int]) -> list[Column] | None:
    """The columns of the output arguments; None without any."""
    call = _procedure(_statement(session, node, source, types))
    if call.result != RECORD:
        return None
    view = session.engine.catalog.view(session)
    found = output_columns(view, call.function, call.arguments)
    return [Column(name, session.type_of(kind)) for name, kind in found]


def run(
    session: SessionState, node: ast.CallStmt, source: str, types: Sequence[int], params: Params, sink: Sink
) -> str:
    """Evaluate the arguments, run the procedure; returns the tag."""
    transactions.ensure(session)
    statement = _statement(session, node, source, types)
    call = _procedure(statement)
    row: Any = routines.call_planned(session, statement, params)
    if call.result == RECORD:
        sink.begin()
        sink.rows([(None,) * len(call.function.out_columns) if row is None else tuple(row)])
        sink.end()
    return "CALL"
