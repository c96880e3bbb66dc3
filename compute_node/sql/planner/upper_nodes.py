"""What the rules above the joins share: plans made on demand, estimates, sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compute_node.sql.expressions import Const, Expr, Relabel, SortKey
from compute_node.sql.plan import IncrementalSort, Plan, Sort
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.cost.sorting import incremental_sort, sort
from compute_node.sql.planner.paths import row_width
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.types.collation import collated, collation_of

Emit = Callable[[Sequence[Expr]], Plan]
"""A plan whose rows are the given expressions"""


def cost(plan: Plan, child: Plan, rows: float, extra: float, startup: bool = False, run: float = 0.0) -> Plan:
    """Fill a node's estimates from its child's. ``startup``: all of ``extra`` comes before the first row; ``run`` comes
    after it."""
    plan.rows = max(1.0, round(rows))
    plan.total_cost = child.total_cost + extra + run
    plan.startup_cost = child.total_cost + extra if startup else child.startup_cost
    return plan


def widen(planner: QueryPlanner, plan: Plan) -> Plan:
    plan.width = row_width(planner.catalog, plan.output)
    return plan


def sorted_plan(
    planner: QueryPlanner,
    child: Plan,
    keys: tuple[SortKey[Expr], ...],
    output: tuple[Expr, ...],
    limit: Expr | None,
    presorted: int = 0,
    groups: float = 1.0,
) -> Plan:
    """The child's rows sorted; they are in the order of the first ``presorted`` keys already, which have ``groups``
    different values."""
    known = planner.statement.costs
    wanted = float(limit.value) if isinstance(limit, Const) and isinstance(limit.value, int) else -1.0
    off = 0.0 if planner.statement.enabled("enable_sort") else DISABLED_COST
    rows = max(child.rows, 1.0)
    if presorted:
        plan: Plan = IncrementalSort(child=child, keys=keys, limit=limit, output=output, presorted=presorted)
        costs = (child.startup_cost, child.total_cost)
        startup, total = incremental_sort(known, costs, rows, child.width, groups, wanted)
        off = 0.0
    else:
        plan = Sort(child=child, keys=keys, limit=limit, output=output)
        startup, total = sort(known, child.total_cost, rows, child.width, wanted)
    plan.rows, plan.startup_cost, plan.total_cost = rows, startup + off, total + off
    return widen(planner, plan)


def merging_type(planner: QueryPlanner, kind: int, collation: int) -> int:
    """The type as which values are compared for equality: under the collation where that holds different texts for
    equal."""
    found = planner.catalog.collation(collation) if collation > 0 else None
    return kind if found is None or found.deterministic else collated(kind, collation)


def merging_types(planner: QueryPlanner) -> tuple[int, ...]:
    """The same of the visible targets; empty when all are the types themselves."""
    visible = [item for item in planner.query.targets if not item.junk]
    if not any(item.collation > 0 for item in visible):
        return ()
    return tuple([merging_type(planner, item.expression.type, item.collation) for item in visible])


def under(node: Expr, kind: int) -> Expr:
    """The expression as one of that type, the same under a collation."""
    return node if kind == node.type else Relabel(type=kind, typmod=node.typmod, argument=node)


def compared(key: SortKey[Expr]) -> Expr:
    """A sort key's expression as it is compared for equality: under the key's collation."""
    return under(key.expression, key.type) if collation_of(key.type) else key.expression
