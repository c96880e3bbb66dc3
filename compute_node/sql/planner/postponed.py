"""Rule: what ORDER BY does not look at, and gives another value each time or several rows, is computed after the sort;
what gives another value each time, of the rows that LIMIT leaves alone.

``SELECT nextval('s'), a FROM t ORDER BY a`` numbers the rows in their order, and a set in the target list is of
the rows that DISTINCT ON kept. Conditions are PostgreSQL's (make_sort_input_target). The plan below gives a NULL for a
target that waits, and what it is made of in columns behind the visible ones; a node on top makes the targets of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from compute_node.sql.expressions import AggregateCall, Column, Const, Expr, SubPlan, WindowCall, map_children, walk
from compute_node.sql.plan import Plan, Result
from compute_node.sql.planner.quals import contains_set, contains_volatile, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.set_targets import project_sets
from compute_node.sql.planner.upper_nodes import cost, widen
from compute_node.sql.query import Query

_GIVEN = (AggregateCall, WindowCall)


@dataclasses.dataclass(frozen=True)
class Postponed:
    """``targets`` are what the plan below computes, ``visible`` of them wanted; ``output`` is made of its rows."""

    targets: list[Expr]
    visible: int
    output: tuple[Expr, ...]
    has_sets: bool

    def moved(self, index: int, count: int) -> int:
        """Where a target is found whose place was ``index``, with ``count`` visible ones."""
        return index if index < count else index + self.visible - count


def postponed(planner: QueryPlanner, targets: Sequence[Expr], count: int) -> Postponed | None:
    """Which of the targets wait; None when none does. ``count``: how many are visible."""
    query, catalog = planner.query, planner.catalog
    if not _may_wait(query):
        return None
    named = {key.expression for key in query.order_by} | set(query.distinct_on or ())
    waits = [index for index in range(count) if index not in named]
    # What rows are grouped by is computed below, whatever it is made of.
    keys = [targets[index] for index in query.group_by]
    waits = [index for index in waits if not any(item in keys for item in walk(targets[index]))]
    volatile = [index for index in waits if _changes(planner, targets[index])]
    sets = [index for index in waits if contains_set(catalog, targets[index])]
    if any(contains_set(catalog, targets[index]) for index in named) or query.with_ties or not query.order_by:
        volatile, sets = [index for index in volatile if index not in sets], []
    if sets and any(isinstance(item, SubPlan) for index in sets for item in walk(targets[index])):
        return None
    waiting = set(volatile) | set(sets)
    if not waiting:
        return None
    return _split(planner, targets, count, waiting, bool(sets))


def _may_wait(query: Query) -> bool:
    if query.set_op is not None or (query.distinct and not query.distinct_on):
        return False
    if query.distinct_on and not query.order_written:
        return False
    # Without an order sets run row by row anyway, and rows that OFFSET passes over are made, too.
    return bool(query.order_by) or (query.limit is not None and query.offset is None and not query.distinct_on)


def _changes(planner: QueryPlanner, target: Expr) -> bool:
    """Whether it has a volatile call outside of sub-selects."""
    return contains_volatile(planner.catalog, target) and not any(isinstance(item, SubPlan) for item in walk(target))


def _split(planner: QueryPlanner, targets: Sequence[Expr], count: int, waiting: set[int], has_sets: bool) -> Postponed:
    query, catalog = planner.query, planner.catalog
    keys = [targets[index] for index in query.group_by]
    grouped = query.has_aggregates or bool(query.group_by) or query.has_windows
    below: list[Expr] = []

    def place(node: Expr) -> Expr:
        given = node in keys or isinstance(node, _GIVEN)
        if not given and (contains_volatile(catalog, node) or contains_set(catalog, node)):
            return map_children(node, place)
        if isinstance(node, Const) or (not given and not grouped and not local_vars(node)):
            return node
        if node not in below:
            below.append(node)
        return Column(type=node.type, typmod=node.typmod, index=count + below.index(node))

    output: list[Expr] = []
    kept = list(targets)
    for index, target in enumerate(targets[:count]):
        if index in waiting:
            output.append(place(target))
            kept[index] = Const(type=target.type, typmod=target.typmod, value=None)
        else:
            output.append(Column(type=target.type, typmod=target.typmod, index=index))
    return Postponed([*kept[:count], *below, *kept[count:]], count + len(below), tuple(output), has_sets)


def above(planner: QueryPlanner, child: Plan, wait: Postponed) -> Plan:
    """The node that makes the targets that waited."""
    if wait.has_sets:
        return project_sets(planner, child, wait.output)
    plan = Result(child=child, output=wait.output)
    return widen(planner, cost(plan, child, child.rows, child.rows * 0.0025))
