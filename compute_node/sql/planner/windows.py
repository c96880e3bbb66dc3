"""Rule: window functions become a stack of WindowAgg nodes, one a window, each over its sort.

The windows are taken in PostgreSQL's order (``select_active_windows``): those that sort by the same come together, the
longer list of keys first, so that a later window needs no sort when its keys begin those of one below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cmp_to_key

from compute_node.sql.expressions import (
    AggregateCall,
    Column,
    Expr,
    SortKey,
    Var,
    WindowCall,
    children,
    map_children,
    walk,
)
from compute_node.sql.plan import Plan, WindowAgg
from compute_node.sql.planner.create import identity
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.upper_nodes import Emit, compared, cost, sorted_plan, widen
from compute_node.sql.query import Query, Window

Keys = tuple[SortKey[int], ...]


def sort_keys(window: Window) -> Keys:
    """What the window's input is sorted by: partition first."""
    seen = {key.expression for key in window.partition}
    return (*window.partition, *(key for key in window.order if key.expression not in seen))


def first_order(query: Query, targets: Sequence[Expr]) -> Keys:
    """What the lowest window's input is sorted by."""
    found = _active(query, targets)
    return sort_keys(query.windows[found[0]]) if found else ()


def _calls(node: Expr) -> list[WindowCall]:
    return [item for item in walk(node) if isinstance(item, WindowCall)]


def _active(query: Query, targets: Sequence[Expr]) -> list[int]:
    """Numbers of the windows that functions use, in the order in which they are computed."""
    used = sorted({call.window for target in targets for call in _calls(target)})
    refs = _references(query)

    def compare(one: int, other: int) -> int:
        first, second = sort_keys(query.windows[one]), sort_keys(query.windows[other])
        for a, b in zip(first, second, strict=False):
            left = (refs[a.expression], a.descending, a.nulls_first)
            right = (refs[b.expression], b.descending, b.nulls_first)
            if left != right:
                return -1 if left > right else 1
        return len(second) - len(first)

    return sorted(used, key=cmp_to_key(compare))


def _references(query: Query) -> dict[int, int]:
    """Targets that clauses name, numbered in the order in which they do."""
    named = [key.expression for key in query.order_by]
    named += query.group_by
    if query.distinct_on:
        named += query.distinct_on
    elif query.distinct:
        named += [index for index, target in enumerate(query.targets) if not target.junk]
    for window in query.windows:
        named += [key.expression for key in (*window.order, *window.partition)]
    return {index: number for number, index in enumerate(dict.fromkeys(named))}


def plan_windows(
    planner: QueryPlanner, emit: Emit, targets: Sequence[Expr], given: int, grouped: bool
) -> tuple[Emit, bool]:
    """The plan of the targets' window functions over ``emit``; and whether its rows come as ORDER BY wants them.
    ``given``: how many keys of the lowest window those of ``emit`` are in the order of."""
    query = planner.query
    active = _active(query, targets)
    sorts: list[tuple[Keys, int]] = []
    order: Keys = sort_keys(query.windows[active[0]])[:given] if active else ()
    for number in active:
        wanted = sort_keys(query.windows[number])
        needed = order[: len(wanted)] != wanted
        same = 0
        while same < min(len(order), len(wanted)) and order[same] == wanted[same]:
            same += 1
        if not planner.statement.enabled("enable_incremental_sort"):
            same = 0
        sorts.append((wanted, same) if needed else ((), 0))
        order = wanted if needed else order
    build = _Builder(planner, emit, list(targets), grouped)
    in_order = not query.distinct and bool(query.order_by) and order[: len(query.order_by)] == query.order_by
    return (lambda needs: build.plan(needs, active, sorts)), in_order


class _Builder:
    def __init__(self, planner: QueryPlanner, emit: Emit, targets: list[Expr], grouped: bool) -> None:
        self._planner, self._emit, self._targets = planner, emit, targets
        self._keys = [targets[index] for index in planner.query.group_by] if grouped else []

    def plan(self, needs: Sequence[Expr], active: list[int], sorts: list[tuple[Keys, int]]) -> Plan:
        """The nodes, lowest first; the topmost gives ``needs``."""
        query, targets = self._planner.query, self._targets
        named = {key.expression for number in active for key in sort_keys(query.windows[number])}
        kept = [targets[index] for index in named]
        calls = list(dict.fromkeys(call for item in needs for call in _calls(item)))
        wanted: list[Expr] = []

        def collect(node: Expr) -> None:
            if node in kept or node in self._keys or isinstance(node, (Var, AggregateCall)):
                if node not in wanted:
                    wanted.append(node)
                return
            for child in children(node):
                collect(child)

        for item in [*needs, *kept]:
            collect(item)
        plan = self._emit(wanted)
        row: list[Expr] = list(wanted)

        def above(node: Expr) -> Expr:
            if node in row:
                return Column(type=node.type, typmod=node.typmod, index=row.index(node))
            return map_children(node, above)

        def keys(items: Keys) -> tuple[SortKey[Expr], ...]:
            return tuple(SortKey(above(targets[key.expression]), *_rest(key)) for key in items)

        for number, (sort, same) in zip(active, sorts, strict=True):
            window = query.windows[number]
            if sort:
                groups = 1.0
                if same:
                    groups = self._planner.groups([targets[key.expression] for key in sort[:same]], plan.rows)
                plan = sorted_plan(self._planner, plan, keys(sort), identity(row), None, same, groups)
            mine = tuple(call for call in calls if call.window == number)
            plan = self._node(plan, window, mine, above, keys)
            row += mine
            plan.output = identity(row)
            widen(self._planner, plan)
        plan.output = tuple(above(item) for item in needs)
        return widen(self._planner, plan)

    def _node(
        self,
        child: Plan,
        window: Window,
        calls: tuple[WindowCall, ...],
        above: Callable[[Expr], Expr],
        keys: Callable[[Keys], tuple[SortKey[Expr], ...]],
    ) -> WindowAgg:
        prepare = self._planner.prepare
        order = keys(window.order)
        plan = WindowAgg(
            child=child,
            partition=tuple(map(compared, keys(window.partition))),
            order=order,
            peers=tuple(map(compared, order)),
            frame=window.frame,
            start=None if window.start is None else prepare(window.start),
            end=None if window.end is None else prepare(window.end),
            calls=tuple(
                dataclasses.replace(
                    call,
                    arguments=tuple(above(item) for item in call.arguments),
                    filter=None if call.filter is None else above(call.filter),
                )
                for call in calls
            ),
        )
        columns = len(window.partition) + len(window.order)
        cost(plan, child, child.rows, child.rows * (0.0025 * (len(calls) + columns) + 0.01))
        return plan


def _rest(key: SortKey[int]) -> tuple[int, bool, bool]:
    return key.type, key.descending, key.nulls_first
