"""Rule: min() and max() of a table's rows are the ends of an index, where one has that order.

Each becomes a sub-select that takes the first row that is not NULL in that order; they are kept when all of them are
read from an index and together cost less than the whole table's rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    AggregateCall,
    Const,
    Expr,
    NullTest,
    SortKey,
    SubLink,
    SubPlan,
    map_children,
    walk,
)
from compute_node.sql.plan import IndexScan, Limit, MergeAppend, Plan, Result
from compute_node.sql.planner.quals import conjunction, conjuncts, contains_volatile, local_vars
from compute_node.sql.query import FromItem, Query, Target
from compute_node.sql.rewrite import nested_query
from compute_node.types import oids


class Planner(Protocol):
    """Of one query level."""

    query: Query
    catalog: CatalogView


_LESS, _GREATER = 1, 5
"""strategies of a B-tree operator family"""


def ends_of_indexes(planner: Planner) -> Query | None:
    """The planner's query with its aggregates as sub-selects; None where that cannot be."""
    query = planner.query
    sets = query.grouping_sets
    if sets is not None:
        if len(sets) != 1 or sets[0]:
            return None
        query = dataclasses.replace(query, grouping_sets=None)  # GROUP BY () groups as nothing at all does
    if query.group_by or query.has_windows or query.has_srfs or query.locking:
        return None
    if len(query.from_items) != 1 or not isinstance(query.from_items[0], FromItem) or not query.has_aggregates:
        return None
    others = [item for item in (query.where, query.limit, query.offset) if item is not None]
    if query.ctes or any(isinstance(item, SubLink) for each in others for item in walk(each)):
        return None
    entry = query.range_table[query.from_items[0].rte]
    if entry.kind != "relation" or entry.relation is None or entry.sample is not None:
        return None
    if not entry.relation.indexes and not entry.has_family:
        return None
    calls = _calls(planner, query)
    if not calls:
        return None
    links: dict[AggregateCall, Expr] = {}
    for call in calls:
        link = _sub_select(planner, query, call)
        if link is None:
            return None
        links[call] = link

    def changed(node: Expr) -> Expr:
        if isinstance(node, AggregateCall):
            return links[node]
        return map_children(node, changed)

    having = None if query.having is None else changed(query.having)
    targets = [dataclasses.replace(item, expression=changed(item.expression)) for item in query.targets]
    return dataclasses.replace(
        query, targets=targets, having=None, where=having, from_items=[], has_aggregates=False, range_table=[]
    )


def is_better(plan: Plan, subplans: Sequence[Plan], whole: Plan) -> bool:
    """Whether all sub-selects of ``plan`` begin at an end of an index, and cost less than ``whole``."""
    expressions = list(plan.output)
    if isinstance(plan, Result) and plan.filter is not None:
        expressions.append(plan.filter)
    found = [item for top in expressions for item in walk(top) if isinstance(item, SubPlan)]
    children = [subplans[item.plan] for item in found]
    if not all(isinstance(child, Limit) and _begins_at_ends(child.child) for child in children):
        return False
    return bool(children) and sum(child.total_cost for child in children) < whole.total_cost


def _begins_at_ends(plan: Plan) -> bool:
    """Whether a plan's first row is the end of an index, or the first of those of several."""
    if isinstance(plan, MergeAppend):
        return all(_begins_at_ends(child) for child in plan.children)
    return isinstance(plan, IndexScan)


def _calls(planner: Planner, query: Query) -> list[AggregateCall]:
    """The aggregates of the query, each once; empty where one of them is another kind of thing than an extreme, or a
    column stands outside of them."""
    found: dict[AggregateCall, None] = {}
    expressions = [item.expression for item in query.targets]
    if query.having is not None:
        expressions.append(query.having)
    for top in expressions:
        if any(isinstance(item, SubLink) for item in walk(top)):
            return []
        for item in walk(top):
            if not isinstance(item, AggregateCall):
                continue
            if item.levels_up or item.distinct or item.order_by or item.filter is not None or item.direct:
                return []
            if len(item.arguments) != 1 or not planner.catalog.sort_operator(item.function):
                return []
            argument = item.arguments[0]
            if contains_volatile(planner.catalog, argument) or not local_vars(argument):
                return []
            found[item] = None
    return list(found)


def _sub_select(planner: Planner, query: Query, call: AggregateCall) -> Expr | None:
    argument = call.arguments[0]
    operator = planner.catalog.sort_operator(call.function)
    found = planner.catalog.default_operator_class(argument.type)
    strategy = 0 if found is None else planner.catalog.operator_strategy(found.family, operator)
    if strategy not in (_LESS, _GREATER):
        return None
    descending = strategy == _GREATER
    known = NullTest(type=oids.BOOL, argument=argument, negated=True)
    inner = Query(
        command="select",
        range_table=query.range_table,
        from_items=query.from_items,
        targets=[Target(argument, "value")],
        where=conjunction([*conjuncts(query.where), known]),
        order_by=(SortKey(0, argument.type, descending, descending),),
        limit=Const(type=oids.INT8, value=1),
    )
    return SubLink(type=call.type, typmod=call.typmod, kind="EXPR", query=nested_query(inner))
