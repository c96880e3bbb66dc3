"""Rule: grouping and aggregates."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.expressions import AggregateCall, Column, Const, Expr, Var, children, map_children
from compute_node.sql.plan import AggregatePlan, Plan
from compute_node.sql.planner.create import replace_columns
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import Emit, cost, merging_type, under, widen


def plan_grouping(planner: QueryPlanner, emit: Emit, targets: list[Expr], having: Expr | None) -> Emit:
    query = planner.query
    keys = [targets[index] for index in query.group_by]
    constants = [item for item in keys if isinstance(item, Const)]
    keys = list(dict.fromkeys(item for item in keys if not isinstance(item, Const)))
    merging = {
        targets[index]: merging_type(planner, targets[index].type, query.targets[index].collation)
        for index in query.group_by
        if query.targets[index].collation > 0
    }
    plain = not query.group_by
    aggregates: list[AggregateCall] = []

    def collect(node: Expr, bound: list[Var]) -> None:
        if node in keys:
            return
        if isinstance(node, AggregateCall):
            if node not in aggregates:
                aggregates.append(node)
            return
        if isinstance(node, Var):
            bound.append(node)
            return
        for child in children(node):
            collect(child, bound)

    determined: list[Var] = []
    # aggregates that sub-selects of this level refer to are computed here too
    for item in [*targets, *([having] if having is not None else [])]:
        collect(item, determined)
    for outer in list(planner.level.params):
        if isinstance(outer, AggregateCall):
            collect(outer, determined)
    keys += [item for item in dict.fromkeys(determined) if item not in keys]
    if constants and not keys and not plain:
        keys = [constants[0]]

    def grouped(needs: Sequence[Expr]) -> Plan:
        wanted: list[Expr] = []
        for item in [*keys, *aggregates]:
            wanted += [var for var in local_vars(item) if var not in wanted]
        child = emit(wanted)
        positions = {
            (var.rte, var.attno): Column(type=var.type, typmod=var.typmod, index=index)
            for index, var in enumerate(wanted)
            if isinstance(var, Var)
        }

        def below(node: Expr) -> Expr:
            return replace_columns(node, lambda var: positions[var.rte, var.attno])

        internal: list[Expr] = [*keys, *aggregates]

        def above(node: Expr) -> Expr:
            for index, item in enumerate(internal):
                if item == node:
                    return Column(type=node.type, typmod=node.typmod, index=index)
            return map_children(node, above)

        plan = AggregatePlan(
            child=child,
            keys=tuple(under(below(item), merging.get(item, item.type)) for item in keys),
            aggregates=tuple(item for item in (below(each) for each in aggregates) if isinstance(item, AggregateCall)),
            having=None if having is None else above(having),
            plain=plain,
            output=tuple(above(item) for item in needs),
        )
        rows = 1.0 if plain else max(1.0, min(child.rows, child.rows * 0.1 if child.rows > 200 else child.rows))
        cost(plan, child, rows, child.rows * 0.0025 * max(1, len(aggregates) + len(keys)) + rows * 0.01, startup=True)
        return widen(planner, plan)

    return grouped
