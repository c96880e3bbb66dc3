"""The relation locks that running a planned statement needs (PostgreSQL manual, 13.3.1)."""

from __future__ import annotations

from compute_node.exec.plan_walk import plan_nodes
from compute_node.sql.plan import Delete, Insert, LockRows, PlannedStmt, Update
from compute_node.txn.locks import ACCESS_SHARE, ROW_EXCLUSIVE, ROW_SHARE, WeakLocks


def statement_locks(planned: PlannedStmt) -> WeakLocks:
    """ROW EXCLUSIVE on what it changes, ROW SHARE on what it locks rows of, ACCESS SHARE on the other relations (views
    too); in OID order."""
    modes = dict.fromkeys(planned.relations, ACCESS_SHARE)
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            if isinstance(node, (Insert, Update, Delete)):
                modes[node.relation.oid] = ROW_EXCLUSIVE
            elif isinstance(node, LockRows):
                for relation, *_ in node.locks:
                    modes[relation.oid] = max(modes.get(relation.oid, 0), ROW_SHARE)
    return WeakLocks(tuple(sorted(modes.items())))


def planned_tag(planned: PlannedStmt) -> str:
    """The statement's name in messages: SELECT FOR UPDATE and the like are told from SELECT."""
    locking = next((node for node in plan_nodes(planned.plan) if isinstance(node, LockRows)), None)
    if planned.command != "select" or locking is None:
        return planned.command.upper()
    return f"SELECT FOR {locking.locks[0][2].upper()}"
