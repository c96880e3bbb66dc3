"""Rewriting of whole queries: every expression of a query and of the queries inside it.

``depth`` counts query levels below the starting one (1 for the query passed in), so that a callback can tell which
``levels_up`` of a Var means the level it cares for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from compute_node.hub import HUB
from compute_node.sql.expressions import AggregateCall, Expr, SubLink, Var, map_children, walk
from compute_node.sql.query import FromItem, JoinItem, OnConflict, Query, RangeEntry, Target

Rewrite = Callable[[Expr, int], Expr]


def map_join(item: FromItem | JoinItem, function: Callable[[Expr], Expr]) -> FromItem | JoinItem:
    """A FROM item with each expression of its joins replaced."""
    if isinstance(item, FromItem):
        return FromItem(item.rte)
    condition = None if item.condition is None else function(item.condition)
    using = tuple((name, function(merged), function(one), function(other)) for name, merged, one, other in item.using)
    left, right = map_join(item.left, function), map_join(item.right, function)
    return dataclasses.replace(item, left=left, right=right, condition=condition, using=using)


EntryHook = Callable[[RangeEntry, int], RangeEntry]


def map_query_expressions(
    query: Query, function: Rewrite, depth: int = 1, entry_hook: EntryHook | None = None, hook_depth: int = 1
) -> Query:
    """A copy of ``query`` with ``function(expression, depth)`` applied to every top expression, here and in
    sub-queries of the range table, CTEs and set operations. The callback itself descends (into SubLink queries too, if
    it must). ``entry_hook(entry, depth)`` may replace range entries; its depth starts at ``hook_depth``. Security
    conditions that it adds stay as they are."""

    def nested(inner: Query) -> Query:
        return map_query_expressions(inner, function, depth + 1, entry_hook, hook_depth + 1)

    def one(expr: Expr) -> Expr:
        HUB.pulse()
        return function(expr, depth)

    def optional(expr: Expr | None) -> Expr | None:
        return None if expr is None else function(expr, depth)

    def targets(items: list[Target]) -> list[Target]:
        return [
            dataclasses.replace(item, expression=one(item.expression), written=optional(item.written)) for item in items
        ]

    def entry(item: RangeEntry) -> RangeEntry:
        own = item.security
        if entry_hook is not None:
            item = entry_hook(item, hook_depth)
        security = tuple(one(each) if any(each is known for known in own) else each for each in item.security)
        sample = item.sample
        if sample is not None:
            sample = dataclasses.replace(sample, percent=one(sample.percent), seed=optional(sample.seed))
        return dataclasses.replace(
            item,
            sample=sample,
            query=None if item.query is None else nested(item.query),
            function=optional(item.function),
            values=tuple(tuple(one(value) for value in row) for row in item.values),
            join_aliases=tuple(one(alias) for alias in item.join_aliases),
            security=security,
        )

    def conflict(item: OnConflict | None) -> OnConflict | None:
        if item is None:
            return None
        assignments = tuple((attno, one(value)) for attno, value in item.assignments)
        return dataclasses.replace(item, assignments=assignments, where=optional(item.where))

    return dataclasses.replace(
        query,
        range_table=[entry(item) for item in query.range_table],
        from_items=[map_join(item, one) for item in query.from_items],
        targets=targets(query.targets),
        where=optional(query.where),
        having=optional(query.having),
        limit=optional(query.limit),
        offset=optional(query.offset),
        windows=[
            dataclasses.replace(item, start=optional(item.start), end=optional(item.end)) for item in query.windows
        ],
        ctes=[dataclasses.replace(item, query=nested(item.query)) for item in query.ctes],
        set_op=None
        if query.set_op is None
        else (
            query.set_op[0],
            query.set_op[1],
            nested(query.set_op[2]),
            nested(query.set_op[3]),
        ),
        source=None if query.source is None else nested(query.source),
        assignments=tuple((attno, one(value)) for attno, value in query.assignments),
        on_conflict=conflict(query.on_conflict),
        merge_actions=[
            dataclasses.replace(
                item,
                condition=optional(item.condition),
                assignments=tuple((attno, one(value)) for attno, value in item.assignments),
                values=tuple(one(value) for value in item.values),
            )
            for item in query.merge_actions
        ],
        returning=targets(query.returning),
        row_checks=tuple(dataclasses.replace(item, condition=optional(item.condition)) for item in query.row_checks),
    )


def own_expressions(query: Query) -> Iterator[Expr]:
    """Every top expression of the query itself."""

    def join(item: FromItem | JoinItem) -> Iterator[Expr]:
        if isinstance(item, JoinItem):
            if item.condition is not None:
                yield item.condition
            yield from join(item.left)
            yield from join(item.right)

    for target in query.targets:
        yield target.expression
    for target in query.returning:
        yield target.expression
    for expr in (query.where, query.having, query.limit, query.offset):
        if expr is not None:
            yield expr
    for window in query.windows:
        for expr in (window.start, window.end):
            if expr is not None:
                yield expr
    for item in query.from_items:
        yield from join(item)
    for check in query.row_checks:
        if check.condition is not None:
            yield check.condition
    for _, expr in query.assignments:
        yield expr
    if query.on_conflict is not None:
        for _, expr in query.on_conflict.assignments:
            yield expr
        if query.on_conflict.where is not None:
            yield query.on_conflict.where
    for action in query.merge_actions:
        yield from (*(value for _, value in action.assignments), *action.values)
        if action.condition is not None:
            yield action.condition
    for entry in query.range_table:
        if entry.function is not None:
            yield entry.function
        if entry.sample is not None:
            yield entry.sample.percent
            if entry.sample.seed is not None:
                yield entry.sample.seed
        for row in entry.values:
            yield from row
        yield from entry.join_aliases
        yield from entry.security


def nested_queries(query: Query, into_views: bool = True) -> list[Query]:
    """The queries directly within it, but for those of its expressions."""
    nested = [cte.query for cte in query.ctes]
    nested += [
        entry.query for entry in query.range_table if entry.query is not None and (into_views or entry.relation is None)
    ]
    if query.set_op is not None:
        nested += [query.set_op[2], query.set_op[3]]
    if query.source is not None:
        nested.append(query.source)
    return nested


def query_expressions(query: Query, depth: int = 1, into_views: bool = True) -> Iterator[tuple[Expr, int]]:
    """Every top expression of the query and of its nested queries, with its depth (not into SubLinks)."""
    waiting = [(query, depth)]
    while waiting:
        each, level = waiting.pop()
        for expr in own_expressions(each):
            yield expr, level
        waiting += [(inner, level + 1) for inner in reversed(nested_queries(each, into_views))]


def deep_walk(node: Expr, depth: int = 0, into_views: bool = True) -> Iterator[tuple[Expr, int]]:
    """The node and everything below it, into SubLink queries too, with the query depth relative to the node."""
    for item in walk(node):
        yield item, depth
        if isinstance(item, SubLink):
            for expr, level in query_expressions(item.query, depth + 1, into_views):
                yield from deep_walk(expr, level, into_views)


def own_nodes(query: Query) -> Iterator[Expr]:
    """Every expression node of the query, its sub-selects and SubLinks, but for what the views that it reads are made
    of."""
    for expression, _ in query_expressions(query, 0, False):
        for node, _ in deep_walk(expression, 0, False):
            yield node


def deep_map(node: Expr, function: Rewrite, depth: int = 0, entry_hook: EntryHook | None = None) -> Expr:
    """Apply ``function(node, depth)`` bottom-up to every node, into SubLink queries too (whose range entries go through
    ``entry_hook`` with the same depth)."""
    changed = map_children(node, lambda child: deep_map(child, function, depth, entry_hook))
    if isinstance(changed, SubLink):
        inner = map_query_expressions(
            changed.query,
            lambda expr, level: deep_map(expr, function, level, entry_hook),
            depth + 1,
            entry_hook,
            depth + 1,
        )
        changed = dataclasses.replace(changed, query=inner)
    return function(changed, depth)


def nested_query(query: Query, levels: int = 1) -> Query:
    """The query moved ``levels`` levels further in: references to outer levels and their CTEs reach that much
    further."""

    def deeper(node: Expr, depth: int) -> Expr:
        if isinstance(node, (Var, AggregateCall)) and node.levels_up > depth:
            return dataclasses.replace(node, levels_up=node.levels_up + levels)
        return node

    def entry(item: RangeEntry, depth: int) -> RangeEntry:
        if item.kind == "cte" and item.cte_levels_up > depth:
            return dataclasses.replace(item, cte_levels_up=item.cte_levels_up + levels)
        return item

    return map_query_expressions(
        query, lambda expr, depth: deep_map(expr, deeper, depth - 1, entry), entry_hook=entry, hook_depth=0
    )
