"""What the rules above the joins share: plans made on demand, estimates, sorting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from compute_node.sql.expressions import Expr, SortKey
from compute_node.sql.plan import Plan, Sort
from compute_node.sql.planner.paths import row_width
from compute_node.sql.planner.query_planner import QueryPlanner

Emit = Callable[[Sequence[Expr]], Plan]
"""A plan whose rows are the given expressions"""


def cost(plan: Plan, child: Plan, rows: float, extra: float, startup: bool = False) -> Plan:
    """Fill a node's estimates from its child's."""
    plan.rows = max(1.0, round(rows))
    plan.total_cost = child.total_cost + extra
    plan.startup_cost = plan.total_cost if startup else child.startup_cost
    return plan


def widen(planner: QueryPlanner, plan: Plan) -> Plan:
    plan.width = row_width(planner.catalog, plan.output)
    return plan


def sorted_plan(
    planner: QueryPlanner, child: Plan, keys: tuple[SortKey[Expr], ...], output: tuple[Expr, ...], limit: Expr | None
) -> Plan:
    plan = Sort(child=child, keys=keys, limit=limit, output=output)
    cost(plan, child, child.rows, child.rows * 0.005 * max(1.0, math.log2(child.rows + 1)), startup=True)
    return widen(planner, plan)
