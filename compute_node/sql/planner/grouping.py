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
    Var,
    children,
    map_children,
    walk,
)
from compute_node.sql.plan import AggregatePlan, GroupingSetsPlan, Plan
from compute_node.sql.planner.create import replace_columns
from compute_node.sql.planner.quals import contains_set, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import Emit, cost, merging_type, under, widen

_BTREE, _HASH = 403, 405


def plan_grouping(planner: QueryPlanner, emit: Emit, targets: list[Expr], having: Expr | None) -> Emit:
    """The groups of ``emit``'s rows."""
    return _Grouping(planner, emit, targets, having).plan


class _Grouping:
    """What one level groups by and computes of each group."""

    def __init__(self, planner: QueryPlanner, emit: Emit, targets: list[Expr], having: Expr | None) -> None:
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
        sets = [item for item in keys if contains_set(self._planner.catalog, item)]
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
        plan = AggregatePlan(**fields) if self._sets is None else self._with_sets(fields)
        rows = 1.0 if self._plain else self._planner.groups(keys, child.rows)
        if self._sets is not None:
            rows = sum(self._planner.groups([self._targets[at] for at in each], child.rows) for each in self._sets)
        each_row = 0.0025 * max(1, len(aggregates) + len(keys)) * len(self._sets or (1,))
        cost(plan, child, rows, child.rows * each_row, startup=True, run=rows * 0.01)
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
