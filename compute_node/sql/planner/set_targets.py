"""Set-returning functions in the target list: a ProjectSet over what gives the columns that they need."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.expressions import Call, Column, Const, Expr, children, map_children
from compute_node.sql.plan import Plan, ProjectSet
from compute_node.sql.planner.create import identity
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import Emit, cost, widen


def set_targets(planner: QueryPlanner, emit: Emit, done: list[Expr]) -> Emit:
    """Set-returning functions in the target list, over a plan that gives the columns they need. With grouping below,
    the aggregates and keys are what it gives; ``done``: the keys, whose functions have run."""
    grouped = planner.query.has_aggregates or bool(planner.query.group_by) or planner.query.has_windows

    def has_set(node: Expr) -> bool:
        if node in done:
            return False
        return _is_set(planner, node) or any(has_set(child) for child in children(node))

    def project(needs: Sequence[Expr]) -> Plan:
        if not any(has_set(item) for item in needs):
            return emit(needs)
        wanted: list[Expr] = []

        def split(node: Expr) -> Expr:
            if has_set(node):
                return map_children(node, split)
            if isinstance(node, Const) or (not local_vars(node) and not grouped):
                return node
            if node not in wanted:
                wanted.append(node)
            return Column(type=node.type, typmod=node.typmod, index=wanted.index(node))

        output = tuple(split(item) for item in needs)
        return project_sets(planner, emit(wanted), output)

    return project


def project_sets(planner: QueryPlanner, child: Plan, output: tuple[Expr, ...]) -> Plan:
    """Targets over the child's row, of which some are sets or have sets in them."""
    while max(_set_depth(planner, item) for item in output) > 1:
        child, output = _innermost_sets(planner, child, output)
    plan = ProjectSet(child=child, output=output)
    return widen(planner, cost(plan, child, child.rows * 10, child.rows * 0.1))


def _is_set(planner: QueryPlanner, node: Expr) -> bool:
    return isinstance(node, Call) and planner.catalog.function(node.function).returns_set


def _set_depth(planner: QueryPlanner, node: Expr) -> int:
    """How many set-returning functions deep an expression is."""
    below = max((_set_depth(planner, child) for child in children(node)), default=0)
    return below + int(_is_set(planner, node))


def _innermost_sets(planner: QueryPlanner, child: Plan, output: tuple[Expr, ...]) -> tuple[Plan, tuple[Expr, ...]]:
    """Sets within sets: the innermost ones, in step with those that stand alone, in a plan of their own below."""
    width = len(child.output)
    sets: list[Expr] = []

    def place(node: Expr) -> Expr:
        if _is_set(planner, node) and _set_depth(planner, node) == 1:
            if node not in sets:
                sets.append(node)
            return Column(type=node.type, typmod=node.typmod, index=width + sets.index(node))
        return map_children(node, place)

    above = tuple([place(item) for item in output])
    plan = ProjectSet(child=child, output=(*identity(child.output), *sets))
    return widen(planner, cost(plan, child, child.rows * 10, child.rows * 0.1)), above
