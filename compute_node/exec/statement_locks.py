"""The relation locks that running a planned statement needs (PostgreSQL manual, 13.3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from compute_node.exec.plan_walk import plan_nodes
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.plan import Delete, Insert, LockRows, Merge, PlannedStmt, Route, Update, changed_tables
from compute_node.txn.locks import ACCESS_SHARE, ROW_EXCLUSIVE, ROW_SHARE, WeakLocks


def statement_locks(planned: PlannedStmt, catalog: CatalogView) -> WeakLocks:
    """ROW EXCLUSIVE on what it changes, ROW SHARE on what it locks rows of, ACCESS SHARE on the other relations (views
    too); in the order of their lock ids."""
    used = [catalog.relation(oid) for oid in planned.relations]
    modes = dict.fromkeys([desc.lock_id for desc in used if desc is not None], ACCESS_SHARE)
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            if isinstance(node, (Insert, Update, Delete, Merge)):
                for relation in (node.relation, *changed_tables(node)):
                    modes[relation.lock_id] = ROW_EXCLUSIVE
                for route in _routes(node):
                    modes.update(dict.fromkeys([leaf.relation.lock_id for leaf in route.leaves()], ROW_EXCLUSIVE))
            elif isinstance(node, LockRows):
                for relation in (each for lock in node.locks for each in lock.relations):
                    modes[relation.lock_id] = max(modes.get(relation.lock_id, 0), ROW_SHARE)
    for step in planned.steps:
        for lock_id, mode in statement_locks(step, catalog).modes:
            modes[lock_id] = max(mode, modes.get(lock_id, 0))
    return WeakLocks(tuple(sorted(modes.items())))


def _routes(node: Insert | Update | Delete | Merge) -> Iterator[Route]:
    """The ways of a statement's new rows into partitions."""
    if isinstance(node, (Insert, Merge)) and node.route is not None:
        yield node.route
    if isinstance(node, Update) and node.moves is not None and node.moves.route is not None:
        yield node.moves.route


def planned_tag(planned: PlannedStmt) -> str:
    """The statement's name in messages: SELECT FOR UPDATE and the like are told from SELECT."""
    locking = next((node for node in plan_nodes(planned.plan) if isinstance(node, LockRows)), None)
    if planned.command != "select" or locking is None:
        return planned.command.upper()
    return f"SELECT FOR {locking.locks[0].strength.upper()}"
