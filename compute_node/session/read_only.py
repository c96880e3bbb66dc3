"""What a read-only transaction and a reader refuse: two families of 25006, and which statement belongs to which.

A transaction is read-only because it was begun so, or because its instance is a reader (``txn.recovery``). A statement
that writes is refused when it runs, not when it is planned: it can be prepared and explained. Sources: PostgreSQL 15
manual, SET TRANSACTION and 27.4.1 (Hot Standby, User's Overview); src/backend/tcop/utility.c,
ClassifyUtilityCommandAsReadOnly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.errors import ReadOnlySqlTransaction, SqlError
from compute_node.exec.plan_walk import plan_nodes
from compute_node.exec.statement_locks import planned_tag
from compute_node.session import forwarding
from compute_node.sql.command_tags import command_tag
from compute_node.sql.plan import LockRows, PlannedStmt, changed_tables
from compute_node.txn.locks import ROW_EXCLUSIVE

if TYPE_CHECKING:
    from compute_node.session.state import SessionState
    from compute_node.session.statement import Statement


def refused(what: str) -> SqlError:
    """25006 of a read-only transaction."""
    return ReadOnlySqlTransaction(f"cannot execute {what} in a read-only transaction")


def refused_in_recovery(what: str) -> SqlError:
    """25006 of a reader."""
    return ReadOnlySqlTransaction(f"cannot execute {what} during recovery")


def check_write(session: SessionState, statement: Statement) -> Statement:
    """What runs when a statement that writes is about to run in a read-only transaction: the one place where it is
    refused (25006), or forwarded to the writer (``forwarding``). Temporary tables may be written all the same."""
    planned = statement.executable.planned
    if statement.is_forwarded or _writes_temporary_only(planned):
        return statement
    return forwarding.forwarded(session, statement, refused(planned_tag(planned)))


def _writes_temporary_only(planned: PlannedStmt) -> bool:
    if planned.steps:
        return all(_writes_temporary_only(step) for step in planned.steps)
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            written = changed_tables(node)
            if isinstance(node, LockRows):
                written = tuple(relation for lock in node.locks for relation in lock.relations)
            if any(relation.persistence != "t" for relation in written):
                return False
    return True


_READS = frozenset(
    (
        ast.CallStmt, ast.CheckPointStmt, ast.ClosePortalStmt, ast.ConstraintsSetStmt, ast.DeallocateStmt,
        ast.DeclareCursorStmt, ast.DiscardStmt, ast.DoStmt, ast.ExecuteStmt, ast.ExplainStmt, ast.FetchStmt,
        ast.LoadStmt, ast.PrepareStmt, ast.UnlistenStmt, ast.VariableSetStmt, ast.VariableShowStmt,
    )
)  # fmt: skip
"""Statements that change nothing themselves; what they run is judged when it runs."""
_MAINTAINS = frozenset(
    (
        ast.AlterSystemStmt, ast.ClusterStmt, ast.CopyStmt, ast.ListenStmt, ast.LockStmt, ast.NotifyStmt,
        ast.ReindexStmt, ast.TransactionStmt, ast.VacuumStmt,
    )
)  # fmt: skip
"""Statements that a read-only transaction may run and a reader may not. ALTER SYSTEM is one of them because settings
are kept in the volume."""
_TWO_PHASE = frozenset(
    (
        enums.TransactionStmtKind.TRANS_STMT_PREPARE,
        enums.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED,
        enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED,
    )
)


def check_utility(session: SessionState, node: ast.Node) -> None:
    """25006 for a utility statement that the session's transaction, or its instance, cannot run."""
    if type(node) not in _READS and session.characteristics()[1]:
        judge(node, session.engine.in_recovery)


def judge(node: ast.Node, in_recovery: bool) -> None:
    """25006 for a utility statement in a read-only transaction, on a reader or not."""
    kind = type(node)
    if kind in _READS:
        return
    if kind not in _MAINTAINS:
        raise refused(command_tag(node))
    if not in_recovery:
        return
    if kind is ast.TransactionStmt and node.kind not in _TWO_PHASE:
        return
    if kind is ast.CopyStmt and not node.is_from:
        return
    if kind is ast.LockStmt and node.mode <= ROW_EXCLUSIVE:
        return
    raise refused_in_recovery(command_tag(node))
