"""Walks over plan trees: sub-plans, expressions, and the execution parameters that a plan needs from outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from aurora.datum import Datum
from compute_node.hub import HUB
from compute_node.sql.expressions import ExecParam, Expr, SortKey, SubPlan, walk
from compute_node.sql.plan import CteScan, NestLoop, Plan, PlannedStmt
from compute_node.sql.pruning import Pruning

_SKIPPED = frozenset({"relation", "index", "alias", "name", "names"})
_FIELDS: dict[type, tuple[str, ...]] = {}


def _values(plan: Plan) -> Iterator[Datum]:
    names = _FIELDS.get(type(plan))
    if names is None:
        fields = dataclasses.fields(plan)
        names = _FIELDS[type(plan)] = tuple(field.name for field in fields if field.name not in _SKIPPED)
    for name in names:
        yield getattr(plan, name)


def _items(value: Datum) -> Iterator[Plan | Expr]:
    if isinstance(value, (Plan, Expr)):
        yield value
    elif isinstance(value, SortKey):
        yield from _items(value.expression)
    elif isinstance(value, Pruning):
        yield from value.expressions()
    elif isinstance(value, tuple):
        HUB.pulse()
        for item in value:
            yield from _items(item)


def plan_children(plan: Plan) -> Iterator[Plan]:
    """The direct sub-plans."""
    for value in _values(plan):
        for item in _items(value):
            if isinstance(item, Plan):
                yield item


def plan_expressions(plan: Plan) -> Iterator[Expr]:
    """The top-level expressions of one node."""
    for value in _values(plan):
        for item in _items(value):
            if isinstance(item, Expr):
                yield item


def plan_nodes(plan: Plan) -> Iterator[Plan]:
    """The node and all below it."""
    stack = [plan]
    while stack:
        item = stack.pop()
        yield item
        stack.extend(plan_children(item))


def free_parameters(planned: PlannedStmt, plan: Plan) -> frozenset[int]:
    """Numbers of the execution parameters that must be set before ``plan`` runs: used in it, its sub-selects or CTEs,
    and not set within."""
    used: set[int] = set()
    bound: set[int] = set()
    seen_ctes: set[int] = set()
    seen_subplans: set[int] = set()
    pending = [plan]
    while pending:
        for node in plan_nodes(pending.pop()):
            if isinstance(node, NestLoop):
                bound.update(number for number, _ in node.parameters)
            if isinstance(node, CteScan) and node.cte not in seen_ctes:
                seen_ctes.add(node.cte)
                pending.append(planned.ctes[node.cte])
            for top in plan_expressions(node):
                for item in walk(top):
                    if isinstance(item, ExecParam):
                        used.add(item.number)
                    elif isinstance(item, SubPlan):
                        bound.update(number for number, _ in item.parameters)
                        if item.plan not in seen_subplans:
                            seen_subplans.add(item.plan)
                            pending.append(planned.subplans[item.plan])
    return frozenset(used - bound)


def free_working_tables(planned: PlannedStmt, plan: Plan) -> frozenset[int]:
    """The CTEs whose recursive term ``plan`` is part of and whose working table it reads: its rows are those of one
    step. A recursion that lies within it altogether is none of them."""
    used: set[int] = set()
    bound: set[int] = set()
    pending = [plan]
    while pending:
        for node in plan_nodes(pending.pop()):
            if isinstance(node, CteScan):
                if node.working:
                    used.add(node.cte)
                elif node.cte not in bound:
                    bound.add(node.cte)
                    pending.append(planned.ctes[node.cte])
    return frozenset(used - bound)
