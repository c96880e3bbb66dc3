"""Changes of published tables: a plan → the error that its UPDATEs and DELETEs raise before they change anything.

``catalog/publications`` says which table may be changed how; PostgreSQL asks when a plan is started, also for EXPLAIN,
of each table whose rows the plan itself may change.
"""

from __future__ import annotations

from collections.abc import Iterator

from aurora.errors import SqlError
from compute_node.catalog.view import CatalogView
from compute_node.exec.plan_walk import plan_nodes
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.plan import Delete, Insert, Merge, Plan, PlannedStmt, Update, changed_tables


def refused_change(planned: PlannedStmt, catalog: CatalogView) -> SqlError | None:
    """42P10 or 55000 where the statement changes a published table that has not what this needs."""
    for step in planned.steps:
        found = refused_change(step, catalog)
        if found is not None:
            return found
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            for relation, command in _changes(node):
                found = _refused(relation, command, catalog)
                if found is not None:
                    return found
    return None


def _changes(node: Plan) -> Iterator[tuple[RelationDesc, str]]:
    """The tables of a node, with ``update`` or ``delete`` for each that it may do."""
    commands: tuple[str, ...] = ()
    if isinstance(node, Update):
        commands = ("update",)
    elif isinstance(node, Delete):
        commands = ("delete",)
    elif isinstance(node, Insert) and node.conflict_assignments:
        commands = ("update",)
    elif isinstance(node, Merge):
        steps = (*node.steps, *(step for table in node.tables for step in table.steps))
        commands = tuple(dict.fromkeys(step.command for step in steps if step.command in ("update", "delete")))
    for relation in changed_tables(node) if commands else ():
        for command in commands:
            yield relation, command


def _refused(relation: RelationDesc, command: str, catalog: CatalogView) -> SqlError | None:
    if relation.oid < FIRST_NORMAL_OID or relation.persistence != "p":
        return None
    found = catalog.refusals(relation.oid)
    refusal = None if found is None else found.update if command == "update" else found.delete
    return None if refusal is None else refusal.error()
