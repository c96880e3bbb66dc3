"""Rule: grouping and aggregates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from aurora.errors import NotSupported
from compute_node.sql.expressions import (
    AggregateCall,
    Column,
    Const,
    Expr,
    GroupingCall,
    SortKey,
    Var,
    children,
    map_children,
    walk,
)
from compute_node.sql.plan import AggregatePlan, GroupingSetsPlan, Plan, SortedGroups
from compute_node.sql.planner.cost.grouping import Grouped, hashed_groups, sorted_groups
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.cost.sorting import sort
from compute_node.sql.planner.create import identity, replace_columns
from compute_node.sql.planner.ordering import Chosen, best, share_of, wanted, ways
from compute_node.sql.planner.paths import Rel, test_cost
from compute_node.sql.planner.quals import contains_set, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import Emit, cost, merging_type, sorted_plan, under, widen
from compute_node.sql.query import Query

_BTREE, _HASH = 403, 405


def group_keys(query: Query) -> tuple[SortKey[int], ...]:
    """What rows are sorted by to be grouped: as ORDER BY has it, as far as it names the same."""
    if query.grouping_sets is not None or not query.group_by:
        return ()
    found: list[SortKey[int]] = []
    for key in query.order_by:
        if key.expression not in query.group_by:
            break
        found.append(key)
    known = {key.expression for key in found}
    found += [SortKey(each, query.targets[each].expression.type) for each in query.group_by if each not in known]
    return tuple(found)


def choose_grouping(
    planner: QueryPlanner, rel: Rel, targets: list[Expr], having: Expr | None, order: tuple[SortKey[Expr], ...]
) -> Chosen:
    """Choose the path below, and whether its rows are hashed or sorted. ``order``: the keys of ``group_keys``, empty
    where paths do not know them."""
    query, known = planner.query, planner.statement.costs
    planner.path = rel.cheapest
    if query.grouping_sets is not None or not query.group_by:
        return Chosen()
    keys = [targets[index] for index in query.group_by]
    if not order or any(planner.catalog.default_operator_class(key.type, _BTREE) is None for key in keys):
        return Chosen()
    want = wanted(planner.classes, order)
    if want is None or any(query.targets[index].collation > 0 for index in query.group_by):
        return Chosen()
    calls = {
        item
        for target in [*targets, *([] if having is None else [having])]
        for item in walk(target)
        if isinstance(item, AggregateCall) and not item.levels_up
    }
    groups = planner.groups(keys, rel.rows)
    steps = sum(known.cpu_operator + test_cost([*call.arguments]) for call in calls)
    tested = 0.0 if having is None else test_cost([having])
    found = Grouped(len(want.keys), groups, steps, 0.0, len(calls), tested)
    width = planner.target_width(list(dict.fromkeys(v for t in targets for v in local_vars(t))))
    limit, fraction = share_of(planner, groups)

    def runs(count: int) -> float:
        return planner.groups([key.expression for key in want.keys[:count]], rel.rows)

    by_sort = best(ways(planner.statement, rel, want.order, width, runs), rel.rows, fraction)
    sorted_costs = sorted_groups(known, by_sort.costs, rel.rows, found)
    final = tuple(query.order_by)
    names = [key.expression for key in final]
    is_ordered = names == [key.expression for key in group_keys(query)[: len(names)]]
    ordered_calls = any(call.distinct or call.order_by for call in calls)
    hashes = all(planner.catalog.default_operator_class(key.type, _HASH) is not None for key in keys)
    if hashes and not ordered_calls:
        off = 0.0 if planner.statement.enabled("enable_hashagg") else DISABLED_COST
        hashed = hashed_groups(known, rel.cheapest.cost, rel.rows, width, found)
        hashed = (hashed[0] + off, hashed[1] + off)
        after = planner.target_width(targets)
        if final:
            hashed = sort(known, hashed[1], groups, after, limit)
            if not is_ordered:
                sorted_costs = sort(known, sorted_costs[1], groups, after, limit)
        one, other = (costs[0] + (costs[1] - costs[0]) * fraction for costs in (hashed, sorted_costs))
        if one <= other:
            return Chosen()
    planner.path = by_sort.path
    whole = by_sort.presorted == len(want.order)
    return Chosen(whole, by_sort.presorted, runs(by_sort.presorted) if by_sort.presorted else 1.0, want.places, True)


def plan_grouping(planner: QueryPlanner, emit: Emit, targets: list[Expr], having: Expr | None, chosen: Chosen) -> Emit:
    """The groups of ``emit``'s rows."""
    return _Grouping(planner, emit, targets, having, chosen).plan


class _Grouping:
    """What one level groups by and computes of each group."""

    def __init__(
        self, planner: QueryPlanner, emit: Emit, targets: list[Expr], having: Expr | None, chosen: Chosen
    ) -> None:
        self._chosen = chosen
        self._planner, self._emit, self._targets, self._having = planner, emit, targets, having
        query = planner.query
        grouped = [targets[index] for index in query.group_by]
        self._sets = query.grouping_sets
        self._plain = not query.group_by and self._sets is None
        self._keys = [item for item in dict.fromkeys(grouped) if not isinstance(item, Const)]
        if self._sets is not None:
            # Each target is a key of its own, though two may be the same expression.
            self._keys = grouped
        self._merging = {
            targets[index]: merging_type(planner, targets[index].type, query.targets[index].collation)
            for index in query.group_by
            if query.targets[index].collation > 0
        }
        self._check_types()
        self._aggregates: list[AggregateCall] = []
        self._groupings: list[GroupingCall] = []
        determined: list[Var] = []
        # Aggregates that sub-selects of this level refer to are computed here too.
        for item in [*targets, *([having] if having is not None else [])]:
            self._collect(item, determined)
        for outer in list(planner.level.params):
            if isinstance(outer, AggregateCall):
                self._collect(outer, determined)
        self._keys += [item for item in dict.fromkeys(determined) if item not in self._keys]
        if grouped and not self._keys:
            self._keys = [grouped[0]]

    def _check_types(self) -> None:
        """A type may be only hashed, or only sorted: 0A000 where neither groups all keys."""
        catalog, query = self._planner.catalog, self._planner.query
        if not query.group_by:
            return
        kinds = [catalog.type(item.type).root for item in self._keys]
        plain = [kind.kind in "be" and not kind.element for kind in kinds]
        sorted_only, hashed_only = (
            {
                index
                for index, kind in enumerate(kinds)
                if plain[index] and catalog.default_operator_class(kind.oid, method) is None
            }
            for method in (_HASH, _BTREE)
        )
        if not hashed_only:
            return
        ordered = any(
            isinstance(item, AggregateCall) and (item.distinct or item.order_by) and not item.levels_up
            for target in [*self._targets, *([] if self._having is None else [self._having])]
            for item in walk(target)
        )
        sets = [list(range(len(kinds)))]
        if self._sets is not None:
            sets = [[query.group_by.index(each) for each in item] for item in self._sets]
        for chosen in sets:
            if hashed_only & set(chosen) and (ordered or sorted_only & set(chosen)):
                raise NotSupported(
                    "could not implement GROUP BY",
                    detail="Some of the datatypes only support hashing, while others only support sorting.",
                )

    def _collect(self, node: Expr, bound: list[Var]) -> None:
        if isinstance(node, GroupingCall):
            if node not in self._groupings:
                self._groupings.append(node)
            return
        if node in self._keys:
            return
        if isinstance(node, AggregateCall):
            if node not in self._aggregates:
                self._aggregates.append(node)
            for item in node.direct:
                self._collect(item, bound)
            return
        if isinstance(node, Var):
            bound.append(node)
            return
        for child in children(node):
            self._collect(child, bound)

    def plan(self, needs: Sequence[Expr]) -> Plan:
        """The node whose rows are ``needs``."""
        keys, aggregates = self._keys, self._aggregates
        wanted: list[Expr] = []
        sorts = self._chosen.sorted and not self._chosen.ordered
        # What rows are sorted by is computed below.
        sets = [
            item
            for item in keys
            if contains_set(self._planner.catalog, item) or (sorts and not isinstance(item, (Var, Const)))
        ]
        plain = [item for item in keys if item not in sets]
        for item in [*plain, *(dataclasses.replace(each, direct=()) for each in aggregates)]:
            wanted += [var for var in local_vars(item) if var not in wanted]
        # Set-returning functions that are grouped by run below.
        wanted += [item for item in sets if item not in wanted]
        child = self._emit(wanted)
        positions = {
            (var.rte, var.attno): Column(type=var.type, typmod=var.typmod, index=index)
            for index, var in enumerate(wanted)
            if isinstance(var, Var)
        }

        def below(node: Expr) -> Expr:
            if node in sets:
                return Column(type=node.type, typmod=node.typmod, index=wanted.index(node))
            return replace_columns(node, lambda var: positions[var.rte, var.attno])

        if self._chosen.sorted and not self._chosen.ordered:
            order = self._chosen.kept(
                tuple(
                    SortKey(below(self._targets[key.expression]), key.type, key.descending, key.nulls_first)
                    for key in group_keys(self._planner.query)
                )
            )
            child = sorted_plan(
                self._planner, child, order, identity(child.output), None, self._chosen.presorted, self._chosen.groups
            )
        internal: list[Expr] = [*keys, *aggregates, *(self._groupings if self._sets is not None else [])]

        def inner(node: Expr) -> Expr:
            for index, item in enumerate(keys):
                if item is node and not isinstance(item, Const):
                    return Column(type=node.type, typmod=node.typmod, index=index)
            if isinstance(node, GroupingCall) and self._sets is None:
                return Const(type=node.type, value=0)
            for index, item in enumerate(internal):
                if item == node and not isinstance(item, Const):
                    return Column(type=node.type, typmod=node.typmod, index=index)
            return map_children(node, inner)

        def above(node: Expr) -> Expr:
            # A constant is a key only where it stands alone.
            if isinstance(node, Const) and self._sets is not None and node in keys:
                return Column(type=node.type, typmod=node.typmod, index=keys.index(node))
            return inner(node)

        def computed(call: AggregateCall) -> Expr:
            """The call over the child's rows; its direct arguments over the group's keys."""
            changed = below(dataclasses.replace(call, direct=()))
            if isinstance(changed, AggregateCall) and call.direct:
                return dataclasses.replace(changed, direct=tuple(above(item) for item in call.direct))
            return changed

        fields: dict[str, Any] = {
            "child": child,
            "keys": tuple(under(below(item), self._merging.get(item, item.type)) for item in keys),
            "aggregates": tuple(computed(each) for each in aggregates),
            "having": None if self._having is None else above(self._having),
            "plain": self._plain,
            "output": tuple(above(item) for item in needs),
        }
        if self._sets is not None:
            plan = self._with_sets(fields)
        else:
            plan = SortedGroups(**fields) if self._chosen.sorted else AggregatePlan(**fields)
        rows = 1.0 if self._plain else self._planner.groups(keys, child.rows)
        if self._sets is not None:
            rows = sum(self._planner.groups([self._targets[at] for at in each], child.rows) for each in self._sets)
        known = self._planner.statement.costs
        steps = sum(known.cpu_operator + test_cost([*call.arguments]) for call in aggregates)
        if self._sets is not None:
            each_row = (steps + known.cpu_operator * len(keys)) * len(self._sets)
            cost(plan, child, rows, child.rows * each_row, startup=True, run=rows * known.cpu_tuple)
            return widen(self._planner, plan)
        tested = 0.0 if self._having is None else test_cost([self._having])
        found = Grouped(len(keys), rows, steps, 0.0, len(aggregates), tested)
        plan.rows = max(1.0, round(rows))
        if self._plain:
            plan.startup_cost = child.total_cost + steps * child.rows
            plan.total_cost = plan.startup_cost + known.cpu_tuple + tested
        elif self._chosen.sorted:
            costs = (child.startup_cost, child.total_cost)
            plan.startup_cost, plan.total_cost = sorted_groups(known, costs, child.rows, found)
        else:
            off = 0.0 if self._planner.statement.enabled("enable_hashagg") else DISABLED_COST
            plan.startup_cost, plan.total_cost = hashed_groups(
                known, child.total_cost + off, child.rows, child.width, found
            )
        return widen(self._planner, plan)

    def _with_sets(self, fields: dict[str, Any]) -> AggregatePlan:
        keys, targets = self._keys, self._targets
        grouped = {targets[index] for index in self._planner.query.group_by}
        # What a grouped primary key determines is the same in each of its groups.
        always = [index for index, key in enumerate(keys) if key not in grouped]
        places = {target: index for index, target in enumerate(self._planner.query.group_by)}
        sets = [(*(places[each] for each in item), *always) for item in self._sets or ()]
        groupings = [tuple([keys.index(each) for each in call.arguments]) for call in self._groupings]
        return GroupingSetsPlan(**fields, sets=tuple(sets), groupings=tuple(groupings))
