"""What EXPLAIN calls the things of a plan: tables that are read more than once, WITH items, results of init plans."""

from __future__ import annotations

from compute_node.exec.plan_walk import free_parameters, plan_children, plan_expressions, plan_nodes
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl


def cte_name(planned: pl.PlannedStmt, number: int) -> str:
    """The name of a WITH item that some node reads."""
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            if isinstance(node, pl.CteScan) and node.cte == number and node.name:
                return node.name
    return f"cte{number + 1}"


def base_alias(planned: pl.PlannedStmt, plan: pl.Plan) -> str:
    """What the statement calls that which a node reads or changes; empty for nodes that do neither."""
    alias: str = getattr(plan, "alias", "")
    if alias:
        return alias
    if isinstance(plan, pl.CteScan):
        return cte_name(planned, plan.cte)
    relation = getattr(plan, "relation", None)
    return relation.name if relation is not None else ""


def unique_aliases(planned: pl.PlannedStmt) -> dict[int, str]:
    """id of each node that reads something → the name it is shown under: one that is taken gets a number behind. The
    statement itself comes first, then its sub-selects."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    changed = ("", 0)
    levels = [planned.plan, *planned.ctes, *planned.subplans]
    for top in levels:
        waiting: list[pl.Plan] = [top]
        while waiting:
            node = waiting.pop(0)
            below = list(plan_children(node))
            if isinstance(node, pl.SubqueryScan):
                levels += below
            else:
                waiting[:0] = below
            base = base_alias(planned, node)
            if not base or isinstance(node, (pl.HeldRow, pl.ChangedTable, pl.BitmapIndexScan)):
                continue
            if isinstance(node, (pl.Update, pl.Delete, pl.Merge)):
                # The Append of a family that is changed is of no table, and the one table of it that is left another.
                other = node.tables if isinstance(node, FAMILIES) else node.named
                changed = (base, 0 if other else node.relation.oid)
            elif changed == (base, _relation_oid(node)):
                # The scan of the table whose rows are changed: one and the same range entry.
                found[id(node)] = base
                changed = ("", 0)
                continue
            name, number = base, 0
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
            found[id(node)] = name
    for plan in (planned.plan, *planned.ctes):
        if isinstance(plan, FAMILIES):
            found |= _names_of_tables(plan, found)
    return found


def changed_scan(plan: pl.Update | pl.Delete) -> pl.Plan | None:
    """Where one table of a family alone is changed, the scan of that; None for other changes."""
    if plan.named is None:
        return None
    return next((node for node in plan_nodes(plan.child) if _is_of(node, plan.relation, plan.alias)), None)


FAMILIES = (pl.FamilyUpdate, pl.FamilyDelete, pl.Merge)
"""Nodes that may change the rows of several tables."""


def _names_of_tables(plan: pl.FamilyUpdate | pl.FamilyDelete | pl.Merge, names: dict[int, str]) -> dict[int, str]:
    """Each of the tables that are changed is called as its scan is."""
    found: dict[int, str] = {}
    for node in plan_nodes(plan.child):
        if isinstance(node, pl.Append) and node.alias == plan.alias:
            for scan in (each for child in node.children for each in plan_nodes(child)):
                for table in plan.tables:
                    if _relation_oid(scan) == table.relation.oid and id(scan) in names:
                        found.setdefault(id(table), names[id(scan)])
    if len(plan.tables) == 1 and not found:
        # Nothing else of the family is left, and there is no Append.
        table = plan.tables[0]
        scans = [each for each in plan_nodes(plan.child) if _is_of(each, table.relation, plan.alias)]
        found |= {id(table): names[id(each)] for each in scans[:1] if id(each) in names}
    return found


def _is_of(plan: pl.Plan, relation: RelationDesc, alias: str) -> bool:
    return _relation_oid(plan) == relation.oid and getattr(plan, "alias", "") == alias


def _relation_oid(plan: pl.Plan) -> int:
    relation = getattr(plan, "relation", None)
    return 0 if relation is None else int(relation.oid)


def returned_parameters(planned: pl.PlannedStmt) -> dict[int, str]:
    """Sub-plans that run once (init plans) → the parameter that each sets. Numbers are PostgreSQL's: a correlated one
    takes numbers for what it is given."""
    found: dict[int, ex.SubPlan] = {}
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            for top in plan_expressions(node):
                found |= {item.plan: item for item in ex.walk(top) if isinstance(item, ex.SubPlan)}
    names, number = {}, 0
    for plan_number, item in sorted(found.items()):
        once = not item.parameters and item.kind not in ("ANY", "ALL")
        if once and not free_parameters(planned, planned.subplans[plan_number]):
            names[plan_number] = f"${number}"
            number += 1
        else:
            number += len(item.parameters)
    return names
