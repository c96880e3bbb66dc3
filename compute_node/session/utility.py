"""Utility statements: everything that is not SELECT, INSERT, UPDATE, DELETE, by the class of its parse node.

``describe`` finds the columns of those that give rows before they run; ``execute`` runs them. What changes the
catalog goes to ``engine.ddl``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pglast import ast, enums

from aurora.errors import InvalidParameterValue, NotSupported, SqlSyntaxError
from compute_node.protocol.messages import Column
from compute_node.session import copy_statement, cursors, setting_statements, transactions
from compute_node.session.plans import Plan
from compute_node.session.settings import DEFINITIONS, define_or_raise
from compute_node.sql.parse import RawStatement

if TYPE_CHECKING:
    from compute_node.session.session import Session

_TEXT = 25
_FORMAT_TYPES = {"json": 114, "xml": 142}


class Outcome(NamedTuple):
    """What a utility statement did: its tag (ending in a blank: the number of rows follows) and its rows, if any."""

    tag: str
    rows: list[tuple[Any, ...]] | None = None


def parameters(node: Any) -> Iterator[ast.ParamRef]:
    """The ``$n`` of a parse tree."""
    if isinstance(node, tuple):
        for item in node:
            yield from parameters(item)
    elif isinstance(node, ast.ParamRef):
        yield node
    elif isinstance(node, ast.Node):
        for name in node:
            yield from parameters(getattr(node, name))


def describe(session: Session, plan: Plan) -> None:
    """Set the plan's columns, for statements whose columns depend on the session."""
    node: Any = plan.node
    columns: list[Column] | None = None
    kind = type(node)
    if kind is ast.VariableShowStmt:
        if node.name.lower() == "all":
            columns = [Column(name, session.type_of(_TEXT)) for name in ("name", "setting", "description")]
        else:
            setting = DEFINITIONS.get(node.name.lower())
            if setting is None and "." not in node.name:
                define_or_raise(node.name)
            columns = [Column(setting.name if setting is not None else node.name, session.type_of(_TEXT))]
    elif kind is ast.ExplainStmt:
        form = str(_options(node).get("format", "text")).lower()
        # json and xml go out as text does.
        text = session.type_of(_TEXT)
        columns = [Column("QUERY PLAN", replace(text, oid=_FORMAT_TYPES.get(form, _TEXT)))]
    elif kind is ast.FetchStmt and not node.ismove:
        found = cursors.find(session, node.portalname).plan
        columns = found.columns if found is not None else None
    elif kind is ast.ExecuteStmt:
        _, found = cursors.find_prepared(session, node.name)
        if found.node is not None:
            describe(session, found)
        columns = found.columns
    if columns != plan.columns:
        plan.columns = columns
        plan.formats = {}


def execute(session: Session, plan: Plan, params: tuple[Any, ...]) -> Outcome:
    """Run it."""
    node, source = plan.node, plan.source
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(session, node, source)
    if isinstance(node, ast.ExplainStmt):
        return _explain(session, node, source, list(plan.param_types))
    return _ddl(session, node, source)


def _transaction(session: Session, node: Any, _source: str) -> Outcome:
    kinds = enums.TransactionStmtKind
    kind = node.kind
    if kind in (kinds.TRANS_STMT_BEGIN, kinds.TRANS_STMT_START):
        transactions.begin(session, transactions.option_values(node.options))
        return Outcome("START TRANSACTION" if kind == kinds.TRANS_STMT_START else "BEGIN")
    if kind in (kinds.TRANS_STMT_COMMIT, kinds.TRANS_STMT_ROLLBACK):
        tag = transactions.end(session, kind == kinds.TRANS_STMT_COMMIT, bool(node.chain))
        return Outcome("COMMIT" if tag == transactions.COMMIT_TAG else "ROLLBACK")
    if kind == kinds.TRANS_STMT_SAVEPOINT:
        return Outcome(transactions.savepoint(session, node.savepoint_name))
    if kind == kinds.TRANS_STMT_RELEASE:
        return Outcome(transactions.release(session, node.savepoint_name))
    if kind == kinds.TRANS_STMT_ROLLBACK_TO:
        return Outcome(transactions.rollback_to(session, node.savepoint_name))
    raise NotSupported("prepared transactions are not supported")


def _set(session: Session, node: Any, _source: str) -> Outcome:
    return Outcome(setting_statements.run_set(session, node))


def _show(session: Session, node: Any, _source: str) -> Outcome:
    return Outcome("SHOW", setting_statements.show_rows(session, node.name))


def _discard(session: Session, node: Any, _source: str) -> Outcome:
    modes = enums.DiscardMode
    if node.target == modes.DISCARD_ALL:
        transactions.forbid_in_block(session, "DISCARD ALL")
        transactions.ensure(session)
        session.portals = {}
        session.statements.clear()
        session.settings.reset("session_authorization")
        session.settings.reset_all()
    target = {modes.DISCARD_ALL: "ALL", modes.DISCARD_PLANS: "PLANS", modes.DISCARD_TEMP: "TEMP"}.get(
        node.target, "SEQUENCES"
    )
    if target != "PLANS":
        session.engine.session_function(session, "discard", target.lower())
    return Outcome(f"DISCARD {target}")


def _declare(session: Session, node: Any, source: str) -> Outcome:
    cursors.declare(session, node, source)
    return Outcome("DECLARE CURSOR")


def _fetch(session: Session, node: Any, _source: str) -> Outcome:
    rows = cursors.fetch(session, node)
    return Outcome(f"MOVE {len(rows)}") if node.ismove else Outcome("FETCH ", rows)


def _close(session: Session, node: Any, _source: str) -> Outcome:
    return Outcome(cursors.close(session, node.portalname))


def _prepare(session: Session, node: Any, source: str) -> Outcome:
    cursors.prepare_statement(session, node, source)
    return Outcome("PREPARE")


def _execute(session: Session, node: Any, source: str) -> Outcome:
    prepared, plan = cursors.find_prepared(session, node.name)
    params = cursors.execute_arguments(session, node, prepared, source)
    if plan.node is not None:
        return execute(session, plan, params)
    if plan.columns is not None:
        return Outcome(f"{plan.tag} ", cursors.collect(session, plan, params))
    count = plan.run(session.begin_statement(plan.source), params)
    return Outcome(f"{'INSERT 0' if plan.tag == 'INSERT' else plan.tag} {count}")


def _deallocate(session: Session, node: Any, _source: str) -> Outcome:
    return Outcome(cursors.deallocate(session, node.name))


def _copy(session: Session, node: Any, source: str) -> Outcome:
    return Outcome(f"COPY {copy_statement.run(session, node, source)}")


def _options(node: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in node.options or ():
        argument = option.arg
        if argument is None:
            values[option.defname] = True
        elif isinstance(argument, ast.Integer):
            values[option.defname] = bool(argument.ival)
        elif isinstance(argument, ast.Boolean):
            values[option.defname] = argument.boolval
        else:
            text = argument.sval
            lowered = text.lower()
            words = {"on": True, "true": True, "off": False, "false": False}
            values[option.defname] = words.get(lowered, text)
    return values


def _explain(session: Session, node: Any, source: str, param_types: list[int]) -> Outcome:
    transactions.ensure(session)
    session.begin_statement(source)
    statement = RawStatement(node.query, 0, len(source))
    try:
        lines = session.engine.explain(session, statement, _options(node), param_types, source)
    except (SqlSyntaxError, InvalidParameterValue) as error:
        # The engine knows options by name; where they are in the text is known here.
        for option in node.options or ():
            if error.position is None and f'option "{option.defname}"' in error.message:
                error.position = option.location + 1
        raise
    return Outcome("EXPLAIN", [(line,) for line in lines])


def _unlisten(_session: Session, _node: Any, _source: str) -> Outcome:
    # Nothing can be listened to, so there is nothing to stop; connection pools send this on every reset.
    return Outcome("UNLISTEN")


def _no_notifications(_session: Session, node: Any, _source: str) -> Outcome:
    raise NotSupported(f"{'LISTEN' if isinstance(node, ast.ListenStmt) else 'NOTIFY'} is not supported")


def _checkpoint(_session: Session, _node: Any, _source: str) -> Outcome:
    # The log is the database: there are no dirty pages to write.
    return Outcome("CHECKPOINT")


_ALONE: dict[type, str] = {
    ast.CreatedbStmt: "CREATE DATABASE",
    ast.DropdbStmt: "DROP DATABASE",
    ast.AlterSystemStmt: "ALTER SYSTEM",
    ast.CreateTableSpaceStmt: "CREATE TABLESPACE",
    ast.DropTableSpaceStmt: "DROP TABLESPACE",
}
"""Statements that may not run in a transaction block."""


def _ddl(session: Session, node: Any, source: str) -> Outcome:
    name = _ALONE.get(type(node))
    if isinstance(node, ast.VacuumStmt) and node.is_vacuumcmd:
        name = "VACUUM"
    elif isinstance(node, ast.IndexStmt) and node.concurrent:
        name = "CREATE INDEX CONCURRENTLY"
    elif isinstance(node, ast.DropStmt) and node.concurrent:
        name = "DROP INDEX CONCURRENTLY"
    if name is not None:
        transactions.forbid_in_block(session, name)
    txn = transactions.ensure(session)
    session.statements_in_txn += 1
    return Outcome(session.engine.ddl.execute(session, txn, node, source))


_HANDLERS: dict[type, Callable[[Session, Any, str], Outcome]] = {
    ast.TransactionStmt: _transaction,
    ast.VariableSetStmt: _set,
    ast.VariableShowStmt: _show,
    ast.DiscardStmt: _discard,
    ast.DeclareCursorStmt: _declare,
    ast.FetchStmt: _fetch,
    ast.ClosePortalStmt: _close,
    ast.PrepareStmt: _prepare,
    ast.ExecuteStmt: _execute,
    ast.DeallocateStmt: _deallocate,
    ast.CopyStmt: _copy,
    ast.UnlistenStmt: _unlisten,
    ast.ListenStmt: _no_notifications,
    ast.NotifyStmt: _no_notifications,
    ast.CheckPointStmt: _checkpoint,
}
