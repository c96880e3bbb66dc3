"""Utility statements: everything that is not SELECT, INSERT, UPDATE, DELETE, by the class of its parse node.

``columns_of`` finds the columns of those that give rows before they run; ``execute`` runs them. What changes the
catalog goes to ``engine.ddl``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    NoActiveSqlTransaction,
    SqlSyntaxError,
)
from compute_node.protocol import messages
from compute_node.protocol.messages import Column
from compute_node.session import (
    calls,
    copy_statement,
    cursors,
    door,
    forwarding,
    notifications,
    query_ids,
    read_after,
    read_only,
    referential,
    setting_statements,
    transactions,
    two_phase,
)
from compute_node.session.prepared import known_values, to_run
from compute_node.session.settings import DEFINITIONS, define_or_raise
from compute_node.session.sinks import NO_ROWS, Sink
from compute_node.session.state import IDLE, SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.parse import RawStatement

if TYPE_CHECKING:
    from compute_node.session.engine import OptionValue


_TEXT = 25
_FORMAT_TYPES = {"json": 114, "xml": 142}


class Call(NamedTuple):
    """One run of a utility statement: what its handler gets."""

    node: ast.Node
    source: str
    sink: Sink
    param_types: tuple[int, ...]
    params: Params


def columns_of(session: SessionState, statement: Statement) -> Sequence[Column] | None:
    """The columns of what it will answer, which may depend on the session; None when it gives no rows."""
    if statement.node is None:
        return statement.columns
    node: ast.Node = statement.node
    kind = type(node)
    if kind is ast.VariableShowStmt:
        if node.name.lower() == "all":
            return [Column(name, session.type_of(_TEXT)) for name in ("name", "setting", "description")]
        setting = DEFINITIONS.get(node.name.lower())
        if setting is None and "." not in node.name:
            define_or_raise(node.name)
        return [Column(setting.name if setting is not None else node.name, session.type_of(_TEXT))]
    if kind is ast.ExplainStmt:
        form = str(_options(node).get("format", "text")).lower()
        # json and xml go out as text does.
        text = session.type_of(_TEXT)
        return [Column("QUERY PLAN", replace(text, oid=_FORMAT_TYPES.get(form, _TEXT)))]
    if kind is ast.FetchStmt and not node.ismove:
        portal = session.portals.get(node.portalname.encode())
        found = None if portal is None else portal.statement
        return None if found is None else columns_of(session, found)
    if kind is ast.CallStmt:
        return calls.columns_of(session, node, statement.source, statement.param_types)
    if kind is ast.ExecuteStmt:
        if node.name.encode() not in session.statements:
            return None
        return columns_of(session, cursors.find_prepared(session, node.name)[1])
    return None


def formats_of(session: SessionState, statement: Statement) -> bytes:
    """The formats of its rows in the simple protocol: those of FETCH are its cursor's."""
    node = statement.node
    return cursors.find(session, node.portalname).formats if isinstance(node, ast.FetchStmt) else b""


def execute(session: SessionState, statement: Statement, params: Params, sink: Sink) -> str:
    """Run it, its rows to the sink; returns the command tag."""
    call = Call(statement.node, statement.source, sink, statement.param_types, params)
    read_only.check_utility(session, call.node)
    if session.restricted and (refused := _OUTLASTING.get(type(call.node))) is not None:
        raise InsufficientPrivilege(f"cannot execute {refused} within security-restricted operation")
    run = _HANDLERS.get(type(call.node), _ddl)
    counts = session.plans.counts
    return run(session, call) if counts is None else counts.run_utility(session, statement, lambda: run(session, call))


def _transaction(session: SessionState, call: Call) -> str:
    kinds = enums.TransactionStmtKind
    node = call.node
    kind = node.kind
    if kind in (kinds.TRANS_STMT_BEGIN, kinds.TRANS_STMT_START):
        transactions.begin(session, transactions.option_values(node.options))
        return "START TRANSACTION" if kind == kinds.TRANS_STMT_START else "BEGIN"
    if kind in (kinds.TRANS_STMT_COMMIT, kinds.TRANS_STMT_ROLLBACK):
        tag = transactions.end(session, kind == kinds.TRANS_STMT_COMMIT, bool(node.chain))
        return "COMMIT" if tag == transactions.COMMIT_TAG else "ROLLBACK"
    if kind == kinds.TRANS_STMT_SAVEPOINT:
        return transactions.savepoint(session, node.savepoint_name)
    if kind == kinds.TRANS_STMT_RELEASE:
        return transactions.release(session, node.savepoint_name)
    if kind == kinds.TRANS_STMT_ROLLBACK_TO:
        return transactions.rollback_to(session, node.savepoint_name)
    if kind == kinds.TRANS_STMT_PREPARE:
        return two_phase.prepare(session, node.gid)
    return two_phase.finish(session, node.gid, kind == kinds.TRANS_STMT_COMMIT_PREPARED)


def _set(session: SessionState, call: Call) -> str:
    return setting_statements.run_set(session, call.node)


def _show(session: SessionState, call: Call) -> str:
    call.sink.rows(setting_statements.show_rows(session, call.node.name))
    return "SHOW"


def _discard(session: SessionState, call: Call) -> str:
    modes = enums.DiscardMode
    target = call.node.target
    if target == modes.DISCARD_ALL:
        transactions.forbid_in_block(session, "DISCARD ALL")
    transactions.ensure(session)
    if target == modes.DISCARD_ALL:
        session.drop_portals()
        session.statements.clear()
        notifications.act(session, notifications.UNLISTEN_ALL)
        session.settings.reset("session_authorization")
        session.settings.reset_all()
    name = {modes.DISCARD_ALL: "ALL", modes.DISCARD_PLANS: "PLANS", modes.DISCARD_TEMP: "TEMP"}.get(target, "SEQUENCES")
    if name != "PLANS":
        session.engine.session_function(session, "discard", name.lower())
    return f"DISCARD {name}"


def _declare(session: SessionState, call: Call) -> str:
    cursors.declare(session, call.node, call.source, call.param_types, call.params)
    return "DECLARE CURSOR"


def _fetch(session: SessionState, call: Call) -> str:
    moving = bool(call.node.ismove)
    return f"{'MOVE' if moving else 'FETCH'} {cursors.fetch(session, call.node, NO_ROWS if moving else call.sink)}"


def _close(session: SessionState, call: Call) -> str:
    return cursors.close(session, call.node.portalname)


def _prepare(session: SessionState, call: Call) -> str:
    cursors.prepare_statement(session, call.node, call.source)
    return "PREPARE"


def _execute(session: SessionState, call: Call) -> str:
    prepared, statement = cursors.find_prepared(session, call.node.name)
    params = cursors.execute_arguments(session, call.node, prepared, call.source)
    statement, _ = to_run(session, prepared, statement, params)
    if statement.node is not None:
        return execute(session, statement, params, call.sink)
    count = door.run(session, statement, params, call.sink)
    return messages.completion_text(statement.tag, count)


def _deallocate(session: SessionState, call: Call) -> str:
    return cursors.deallocate(session, call.node.name)


def _copy(session: SessionState, call: Call) -> str:
    return f"COPY {copy_statement.run(session, call.node, call.source)}"


def _options(node: ast.Node) -> dict[str, OptionValue]:
    values: dict[str, OptionValue] = {}
    for option in node.options or ():
        argument = option.arg
        if argument is None:
            values[option.defname] = True
        elif isinstance(argument, ast.Integer):
            values[option.defname] = bool(argument.ival) if argument.ival in (0, 1) else str(argument.ival)
        elif isinstance(argument, ast.Boolean):
            values[option.defname] = argument.boolval
        else:
            text = argument.sval
            lowered = text.lower()
            words = {"on": True, "true": True, "off": False, "false": False}
            values[option.defname] = words.get(lowered, text)
    return values


def _made_table(node: ast.Node) -> ast.CreateTableAsStmt | None:
    """CREATE TABLE AS that EXPLAIN is about, SELECT INTO as such; None for another statement."""
    if isinstance(node, ast.SelectStmt) and node.intoClause is not None:
        query, kind = copy(node), enums.ObjectType.OBJECT_TABLE
        query.intoClause = None
        return ast.CreateTableAsStmt(query=query, into=node.intoClause, objtype=kind, if_not_exists=False)
    return node if isinstance(node, ast.CreateTableAsStmt) else None


def _explain(session: SessionState, call: Call) -> str:
    if session.read_after_lsn:
        read_after.wait(session)
    txn = transactions.ensure(session)
    query = call.node.query
    made = _made_table(query)
    if made is not None:
        if session.engine.ddl.has_made(session, txn, made, call.source):
            return "EXPLAIN"
        query = made.query
    elif isinstance(query, ast.DeclareCursorStmt):
        query = query.query
    if isinstance(query, ast.RefreshMatViewStmt):
        call.sink.rows([("Utility statements have no plan structure",)])
        return "EXPLAIN"
    statement, source = RawStatement(query, 0, len(call.source)), call.source
    types, params = list(call.param_types), call.params
    values = None
    if isinstance(query, ast.ExecuteStmt):
        prepared, generic = cursors.find_prepared(session, query.name)
        params = cursors.execute_arguments(session, query, prepared, source)
        types, source = list(prepared.param_types), prepared.source
        statement = prepared.parsed
        if to_run(session, prepared, generic, params)[1]:
            values = known_values(params)
    try:
        explanation = session.engine.explain(session, statement, _options(call.node), types, source, values)
    except (SqlSyntaxError, InvalidParameterValue) as error:
        # The engine knows options by name; where they are in the text is known here.
        for option in call.node.options or ():
            if error.position is None and f'option "{option.defname}"' in error.message:
                error.position = option.location + 1
        raise
    if query_ids.is_shown(session):
        explanation.query_id = query_ids.of_statement(session, statement, source, types)
    if explanation.executable is not None:
        measured = Statement(source, 0, types, explanation.executable)
        measured.span = (0, len(source))
        running = door.allowed(session, measured) if measured.writes else measured
        if running.is_forwarded and session.forwarding is not None:
            lines = session.forwarding.explain(measured, _options(call.node), params)
            call.sink.rows([(line,) for line in lines])
            return "EXPLAIN"
        if made is None:
            explanation.measure(lambda: door.run(session, running, params, NO_ROWS))
        else:
            explanation.measure(lambda: _make_table(session, call, made, running, params))
    call.sink.rows([(line,) for line in explanation.lines()])
    return "EXPLAIN"


def _make_table(
    session: SessionState, call: Call, node: ast.CreateTableAsStmt, query: Statement, params: Params
) -> None:
    """CREATE TABLE AS of EXPLAIN ANALYZE, with the rows of ``query``."""
    rows = door.start(session, query, params).batches
    txn = transactions.ensure(session)
    session.engine.ddl.execute(session, txn, node, call.source, call.param_types, call.params, rows)


def _call(session: SessionState, call: Call) -> str:
    return calls.run(session, call.node, call.source, call.param_types, call.params, call.sink)


def _unlisten(session: SessionState, call: Call) -> str:
    channel = call.node.conditionname
    notifications.act(session, notifications.UNLISTEN if channel else notifications.UNLISTEN_ALL, channel or "")
    return "UNLISTEN"


def _listen(session: SessionState, call: Call) -> str:
    notifications.act(session, notifications.LISTEN, call.node.conditionname)
    return "LISTEN"


def _notify(session: SessionState, call: Call) -> str:
    notifications.notify(session, call.node.conditionname, call.node.payload or "")
    return "NOTIFY"


def _set_constraints(session: SessionState, call: Call) -> str:
    if session.block == IDLE and not session.several_statements and not session.depth:
        session.notice(NoActiveSqlTransaction("SET CONSTRAINTS can only be used in transaction blocks"), "WARNING")
    forwarding.refuse(session, "SET CONSTRAINTS")
    names = [(each.schemaname, each.relname) for each in call.node.constraints or ()]
    found = session.engine.session_function(session, "deferrable_constraints", names) if names else None
    referential.set_constraints(session, found, bool(call.node.deferred))
    return "SET CONSTRAINTS"


def _checkpoint(session: SessionState, _call: Call) -> str:
    transactions.ensure(session)
    if not session.engine.session_function(session, "has_predefined_role", "pg_checkpoint"):
        raise InsufficientPrivilege("must be superuser or have privileges of pg_checkpoint to do CHECKPOINT")
    # The log is the database: there are no dirty pages to write.
    return "CHECKPOINT"


_OUTLASTING: dict[type, str] = {
    ast.PrepareStmt: "PREPARE",
    ast.DeallocateStmt: "DEALLOCATE",
    ast.ClosePortalStmt: "CLOSE",
    ast.ListenStmt: "LISTEN",
    ast.UnlistenStmt: "UNLISTEN",
    ast.DiscardStmt: "DISCARD",
}
"""Statements that change the session beyond the operation of ``acting.restricted`` that they would run in."""

_ALONE: dict[type, str] = {
    ast.CreatedbStmt: "CREATE DATABASE",
    ast.DropdbStmt: "DROP DATABASE",
    ast.AlterSystemStmt: "ALTER SYSTEM",
    ast.CreateTableSpaceStmt: "CREATE TABLESPACE",
    ast.DropTableSpaceStmt: "DROP TABLESPACE",
}
"""Statements that may not run in a transaction block."""


def _reindex_alone(node: ast.Node) -> str | None:
    """REINDEX of many tables, or CONCURRENTLY, as messages name it; None for the others."""
    kind = node.kind.name.removeprefix("REINDEX_OBJECT_")
    if kind in ("SCHEMA", "SYSTEM", "DATABASE"):
        return f"REINDEX {kind}"
    for option in node.params or ():
        if option.defname == "concurrently":
            off = option.arg is not None and str(getattr(option.arg, "sval", "")) in ("false", "off", "0")
            return None if off else "REINDEX CONCURRENTLY"
    return None


def _detaches_concurrently(node: ast.AlterTableStmt) -> bool:
    return any(isinstance(each.def_, ast.PartitionCmd) and each.def_.concurrent for each in node.cmds)


def _ddl(session: SessionState, call: Call) -> str:
    node = call.node
    name = _ALONE.get(type(node))
    if isinstance(node, ast.VacuumStmt) and node.is_vacuumcmd:
        name = "VACUUM"
    elif isinstance(node, ast.ClusterStmt) and node.relation is None:
        name = "CLUSTER"
    elif isinstance(node, ast.IndexStmt) and node.concurrent:
        name = "CREATE INDEX CONCURRENTLY"
    elif isinstance(node, ast.ReindexStmt):
        name = _reindex_alone(node)
    elif isinstance(node, ast.AlterTableStmt) and _detaches_concurrently(node):
        name = "ALTER TABLE ... DETACH CONCURRENTLY"
    elif isinstance(node, ast.DropStmt) and node.concurrent:
        name = "DROP INDEX CONCURRENTLY"
    if name is not None:
        transactions.forbid_in_block(session, name)
    txn = transactions.ensure(session)
    session.statements_in_txn += 1
    return session.engine.ddl.execute(session, txn, node, call.source, call.param_types, call.params)


_HANDLERS: dict[type, Callable[[SessionState, Call], str]] = {
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
    ast.ExplainStmt: _explain,
    ast.CopyStmt: _copy,
    ast.CallStmt: _call,
    ast.UnlistenStmt: _unlisten,
    ast.ListenStmt: _listen,
    ast.NotifyStmt: _notify,
    ast.CheckPointStmt: _checkpoint,
    ast.ConstraintsSetStmt: _set_constraints,
}
"""Parse node → handler; what is not here changes the catalog."""
