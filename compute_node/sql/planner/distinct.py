"""Rule: DISTINCT by hashing, or of sorted rows the first of each run."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.expressions import Column, Expr, SortKey
from compute_node.sql.plan import Plan, Unique
from compute_node.sql.planner.cost.grouping import Grouped, hashed_groups, unique
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.cost.sorting import sort
from compute_node.sql.planner.create import identity
from compute_node.sql.planner.ordering import Chosen, best, share_of, wanted, ways
from compute_node.sql.planner.paths import Rel
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import merging_types, sorted_plan, widen
from compute_node.sql.query import Query

_BTREE, _HASH = 403, 405


def distinct_keys(query: Query) -> tuple[SortKey[int], ...]:
    """What rows are sorted by to be made distinct: ORDER BY first, then the other columns."""
    found = [key for key in query.order_by if not query.targets[key.expression].junk]
    known = {key.expression for key in found}
    for index, target in enumerate(query.targets):
        if not target.junk and index not in known:
            found.append(SortKey(index, target.expression.type))
    return tuple(found)


def _is_hashable(planner: QueryPlanner, visible: Sequence[Expr]) -> bool:
    return all(planner.catalog.default_operator_class(item.type, _HASH) is not None for item in visible)


def _is_sortable(planner: QueryPlanner, visible: Sequence[Expr]) -> bool:
    return all(planner.catalog.default_operator_class(item.type, _BTREE) is not None for item in visible)


def _hash_off(planner: QueryPlanner) -> float:
    return 0.0 if planner.statement.enabled("enable_hashagg") else DISABLED_COST


def choose_distinct(planner: QueryPlanner, rel: Rel, visible: Sequence[Expr], order: Sequence[SortKey[Expr]]) -> Chosen:
    """Choose the path below DISTINCT. ``order``: the keys of ``distinct_keys``, empty where paths do not know them."""
    known = planner.statement.costs
    planner.path = rel.cheapest
    want = wanted(planner.classes, order) if order else None
    if want is None or not _is_sortable(planner, visible) or planner.query.has_srfs:
        return Chosen()
    rows = planner.groups(visible, rel.rows)
    width = planner.target_width(visible)
    limit, fraction = share_of(planner, rows)
    found = best(ways(planner.statement, rel, want.order, width, lambda count: 1.0, -1.0, True), rel.rows, fraction)
    startup, total = unique(known, found.costs, rel.rows, len(visible))
    by_sort = startup + (total - startup) * fraction
    if _is_hashable(planner, visible):
        hashed = hashed_groups(known, rel.cheapest.cost, rel.rows, width, Grouped(len(visible), rows, 0.0, 0.0, 0))
        if planner.query.order_by:
            hashed = sort(known, hashed[1], rows, width, limit)
        if hashed[0] + (hashed[1] - hashed[0]) * fraction + _hash_off(planner) < by_sort:
            return Chosen()
    planner.path = found.path
    return Chosen(found.presorted == len(want.order), 0, 1.0, want.places, True)


def plan_distinct(
    planner: QueryPlanner,
    child: Plan,
    visible: Sequence[Expr],
    keys: tuple[SortKey[Expr], ...],
    ready: Chosen,
    limit: Expr | None,
) -> Plan:
    """The distinct rows of ``child``, in the order of ``keys``."""
    known, query = planner.statement.costs, planner.query
    above = query.has_aggregates or bool(query.group_by) or query.has_windows or query.has_srfs
    rows = child.rows if above else max(planner.groups(visible, child.rows), 1.0)
    hashed = hashed_groups(known, child.total_cost, child.rows, child.width, Grouped(len(visible), rows, 0.0, 0.0, 0))
    merging = merging_types(planner)
    by_sort = ready.sorted
    order = tuple(
        SortKey(
            Column(type=visible[key.expression].type, typmod=visible[key.expression].typmod, index=key.expression),
            key.type,
            key.descending,
            key.nulls_first,
        )
        for key in distinct_keys(query)
    )
    if above and _is_sortable(planner, visible) and all(key.expression < len(visible) for key in query.order_by):
        one = sort(known, hashed[1], rows, child.width)[1] if keys else hashed[1]
        other = unique(known, sort(known, child.total_cost, child.rows, child.width), child.rows, len(visible))
        by_sort = other[1] < one + _hash_off(planner) or not _is_hashable(planner, visible)
    if by_sort and not any(item.collation > 0 for item in query.targets if not item.junk):
        if not ready.ordered or above:
            child = sorted_plan(planner, child, ready.kept(order) if not above else order, identity(visible), None)
        plan: Plan = Unique(
            child=child, count=len(visible), sorted_on=tuple(range(len(visible))), output=identity(visible)
        )
        plan.rows = rows
        costs = (child.startup_cost, child.total_cost)
        plan.startup_cost, plan.total_cost = unique(known, costs, child.rows, len(visible))
        return widen(planner, plan)
    plan = Unique(child=child, count=len(visible), key_types=merging, output=identity(visible))
    off = _hash_off(planner)
    plan.rows, plan.startup_cost, plan.total_cost = rows, hashed[0] + off, hashed[1] + off
    widen(planner, plan)
    return sorted_plan(planner, plan, keys, identity(visible), limit) if keys else plan
