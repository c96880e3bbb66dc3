"""What comes on top of the joins: grouping, set-returning targets, DISTINCT, ORDER BY, locking, LIMIT, set
operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aurora.errors import InvariantViolation
from compute_node.sql.expressions import (
    Column,
    Const,
    Expr,
    SortKey,
    SubPlan,
    Var,
    walk,
)
from compute_node.sql.plan import (
    Append,
    Limit,
    LockRows,
    MergeAppend,
    Plan,
    Result,
    RowLock,
    SetOp,
    Sort,
    Unique,
)
from compute_node.sql.planner.classes import begins
from compute_node.sql.planner.create import identity, replace_columns
from compute_node.sql.planner.distinct import choose_distinct, distinct_keys, plan_distinct
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.grouping import choose_grouping, group_keys, plan_grouping
from compute_node.sql.planner.ordering import Chosen, choose_order, wanted
from compute_node.sql.planner.postponed import above, postponed
from compute_node.sql.planner.quals import conjunction, contains_set, contains_volatile, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.recheck import RecheckCreator, address, address_columns, carried, source_of
from compute_node.sql.planner.recheck import describe as describe_recheck
from compute_node.sql.planner.set_targets import set_targets
from compute_node.sql.planner.upper_nodes import Emit, cost, merging_type, merging_types, sorted_plan, widen
from compute_node.sql.planner.windows import first_order, plan_windows
from compute_node.sql.query import Query
from compute_node.types.collation import collation_of


def plan_upper(planner: QueryPlanner) -> Plan:
    """The plan of the planner's query, CTEs already planned. Its rows are the visible targets."""
    if planner.query.set_op is not None:
        emit = _set_operation(planner)
        targets = [item.expression for item in planner.query.targets]
    else:
        planner.simplify()
        query = planner.query
        targets = planner.targets()
        having = None if query.having is None else planner.prepare(query.having)
        grouped = query.has_aggregates or bool(query.group_by) or having is not None
        if not (grouped or query.distinct or query.has_windows or query.with_ties):
            # By constants nothing is sorted.
            order = [key for key in query.order_by if not isinstance(targets[key.expression], Const)]
            query = planner.query = dataclasses.replace(query, order_by=tuple(order))
        keys = [targets[index] for index in query.group_by]
        chosen = _choose_path(planner, targets, having, grouped)
        path = planner.path
        if path is None:
            raise InvariantViolation("no path was chosen")
        emit = _gate(planner, lambda needs: planner.creator.create(path, needs))
        if any(contains_set(planner.catalog, item) for item in keys):
            emit = set_targets(planner, emit, [])
        ready = chosen
        if grouped:
            emit = plan_grouping(planner, emit, targets, having, chosen)
            ready = _after_grouping(planner, targets, chosen)
        if query.has_windows:
            emit, in_order = plan_windows(planner, emit, targets, 0 if grouped else chosen.presorted, grouped)
            ready = Chosen(in_order)
        if query.has_srfs or any(contains_set(planner.catalog, item) for item in targets):
            emit = set_targets(planner, emit, keys)
        return _finish(planner, emit, targets, ready)
    return _finish(planner, emit, targets, Chosen())


def _choose_path(planner: QueryPlanner, targets: list[Expr], having: Expr | None, grouped: bool) -> Chosen:
    """Choose the path of FROM and WHERE by what is above it."""
    query = planner.query
    distinct = query.distinct and not query.distinct_on
    if grouped:
        keys = group_keys(query)
    elif query.has_windows:
        keys = first_order(query, targets)
    elif distinct:
        keys = distinct_keys(query)
    else:
        keys = query.order_by
    order = _simple_order(planner, targets, keys)
    rel = planner.join_rel(order, [*targets, *([] if having is None else [having])])
    if grouped:
        return choose_grouping(planner, rel, targets, having, order)
    if distinct and not query.has_windows:
        return choose_distinct(planner, rel, targets[: sum(not item.junk for item in query.targets)], order)
    return choose_order(planner, rel, order, len(keys))


def _after_grouping(planner: QueryPlanner, targets: list[Expr], chosen: Chosen) -> Chosen:
    """How far the groups' order is that of ORDER BY."""
    if not chosen.sorted:
        return Chosen()
    want = wanted(planner.classes, _simple_order(planner, targets, planner.query.order_by))
    if want is None or len(want.places) < len(planner.query.order_by):
        return Chosen()
    return Chosen(begins(planner.classes.wanted, want.order) == len(want.order))


def _gate(planner: QueryPlanner, emit: Emit) -> Emit:
    """Conditions without columns decide once whether the level has rows at all."""

    def gated(needs: Sequence[Expr]) -> Plan:
        plan = emit(needs)
        condition = conjunction(planner.constant_quals)
        if condition is None:
            return plan
        if isinstance(plan, Result) and plan.child is None and plan.filter is None:
            plan.filter, plan.one_time = condition, True
            return plan
        if isinstance(condition, Const) and condition.value is not True:
            nothing = tuple(Const(type=item.type, typmod=item.typmod, value=None) for item in plan.output)
            return widen(planner, Result(filter=condition, one_time=True, output=nothing))
        gate = Result(child=plan, filter=condition, one_time=True, output=identity(plan.output))
        return widen(planner, cost(gate, plan, plan.rows, 0.0))

    return gated


def _simple_order(
    planner: QueryPlanner, targets: list[Expr], order: Sequence[SortKey[int]]
) -> tuple[SortKey[Expr], ...]:
    """An order of targets as keys over the table's columns, when an index might give it."""
    keys = []
    for key in order:
        expr = targets[key.expression]
        if isinstance(expr, Var) and expr.attno <= 0:
            return ()
        if not local_vars(expr) or any(isinstance(item, SubPlan) for item in walk(expr)):
            return ()
        if contains_set(planner.catalog, expr) or contains_volatile(planner.catalog, expr):
            return ()
        keys.append(SortKey(expr, key.type, key.descending, key.nulls_first))
    return tuple(keys)


# --- DISTINCT, ORDER BY, LIMIT --------------------------------------------------------------------------------------


def _finish(planner: QueryPlanner, emit: Emit, targets: list[Expr], ready: Chosen) -> Plan:
    query = planner.query
    count = sum(not item.junk for item in query.targets)
    wait = postponed(planner, targets, count)
    index_of = list(range(len(targets)))
    if wait is not None:
        index_of = [wait.moved(index, count) for index in index_of]
        targets, count = wait.targets, wait.visible
    visible = targets[:count]
    limit = None if query.limit is None else _bound(planner.prepare(query.limit))
    offset = None if query.offset is None else _bound(planner.prepare(query.offset), nothing=0)
    keys = tuple(
        SortKey(
            Column(type=targets[index].type, typmod=targets[index].typmod, index=index),
            key.type,
            key.descending,
            key.nulls_first,
        )
        for key in query.order_by
        for index in [index_of[key.expression]]
    )
    sort_limit = limit if not query.with_ties and (wait is None or not wait.has_sets) else None
    locks = _row_locks(query)
    with_ties = keys if query.with_ties else ()
    if query.distinct and not query.distinct_on:
        plan: Plan = plan_distinct(
            planner, emit(visible), visible, keys, ready, None if offset is not None else sort_limit
        )
    elif query.distinct_on:
        child = emit(targets)
        if not ready.ordered:
            child = sorted_plan(
                planner, child, ready.kept(keys), identity(targets), None, ready.presorted, ready.groups
            )
        indexes = tuple([index_of[index] for index in query.distinct_on])
        compared = [item.type for item in targets]
        for index, item in zip(index_of, query.targets, strict=True):
            compared[index] = merging_type(planner, item.expression.type, item.collation)
        plan = Unique(
            child=child,
            count=len(targets),
            sorted_on=indexes,
            key_types=tuple(compared) if any(map(collation_of, compared)) else (),
            output=identity(targets) if with_ties else identity(targets)[:count],
        )
        rows = planner.groups([targets[index] for index in indexes], child.rows)
        widen(planner, cost(plan, child, rows, child.rows * 0.0025))
    else:
        tids: list[Expr] = []
        if locks and planner.path is not None:
            for _, _, rte in locks:
                tids += address_columns(source_of(planner.path, rte))
            tids += [var for var in carried(planner.path, targets) if var not in tids]
        moved = _moved_keys(keys, count, len(tids))
        # WITH TIES looks at the keys once more.
        junk = targets[count:] if with_ties else []
        if with_ties:
            with_ties = moved
        if keys and not ready.ordered:
            child = emit([*visible, *tids, *targets[count:]])
            kept = identity([*visible, *tids, *junk])
            bound = None if locks else sort_limit
            given = bound if offset is None else None
            plan = sorted_plan(planner, child, ready.kept(moved), kept, given, ready.presorted, ready.groups)
            if offset is not None and isinstance(plan, Sort):
                plan.limit, plan.offset = bound, offset
        else:
            plan = emit([*visible, *tids, *junk])
        if locks:
            plan = _lock(planner, plan, emit, locks, tids, visible, junk)
    # Rows that OFFSET passes over are made too; those behind LIMIT are not, unless a set decides how many there are.
    is_early = wait is not None and (wait.has_sets or (offset is not None and not with_ties))
    if wait is not None and is_early:
        plan = above(planner, plan, wait)
    if limit is not None or offset is not None:
        plan = _limit(planner, plan, limit, offset, with_ties, len(plan.output) if is_early else count)
    return above(planner, plan, wait) if wait is not None and not is_early else plan


_STRENGTHS = ("key share", "share", "no key update", "update")
_WAITS = ("block", "skip", "nowait")


def _row_locks(query: Query) -> list[tuple[str, str, int]]:
    """(strength, wait, range entry) of the tables whose rows are locked; of several clauses for one the strongest."""
    found: dict[int, tuple[str, str]] = {}
    for strength, wait, entries in query.locking:
        for rte in entries:
            entry = query.range_table[rte]
            # Nobody locks the rows of a foreign table.
            if entry.kind == "relation" and entry.relation is not None and entry.relation.kind != "f":
                known = found.get(rte, (strength, wait))
                found[rte] = max(strength, known[0], key=_STRENGTHS.index), max(wait, known[1], key=_WAITS.index)
    return [(strength, wait, rte) for rte, (strength, wait) in sorted(found.items())]


def _moved_keys(keys: tuple[SortKey[Expr], ...], count: int, added: int) -> tuple[SortKey[Expr], ...]:
    """Keys over a row in which ``added`` columns were put in behind the visible ones."""
    moved = []
    for key in keys:
        column = key.expression
        if isinstance(column, Column) and column.index >= count:
            column = dataclasses.replace(column, index=column.index + added)
        moved.append(SortKey(column, key.type, key.descending, key.nulls_first))
    return tuple(moved)


def _lock(
    planner: QueryPlanner,
    child: Plan,
    emit: Emit,
    locks: list[tuple[str, str, int]],
    tids: list[Expr],
    visible: list[Expr],
    junk: list[Expr],
) -> Plan:
    """``tids``: what the child's rows have behind the visible columns, so that they can be locked and found again;
    ``junk``: what follows those, for whoever is above."""
    described = []
    position = {(item.rte, item.attno): at for at, item in enumerate(tids, len(visible)) if isinstance(item, Var)}
    for strength, wait, rte in locks:
        if planner.path is not None:
            described.append(RowLock(address(source_of(planner.path, rte), position), strength, wait))
    planner.statement.writes = True
    kept = identity([*visible, *tids, *junk]) if junk else identity(visible)
    plan = LockRows(child=child, locks=tuple(described), output=kept)
    if planner.path is not None:
        row = [*visible, *tids, *junk]
        # The sources' places come from the carried columns, wherever a target shows the same column.
        carried_row = [*(Const(type=item.type, value=None) for item in visible), *tids, *junk]
        planner.creator, creator = RecheckCreator(planner.catalog, planner.level), planner.creator
        plan.recheck = describe_recheck(planner.path, carried_row, emit(row))
        planner.creator = creator
    return widen(planner, cost(plan, child, child.rows, child.rows * 0.01))


def _bound(node: Expr, nothing: int | None = None) -> Expr | None:
    """LIMIT or OFFSET; None when it is a constant that bounds nothing: NULL or ``nothing``."""
    return None if isinstance(node, Const) and node.value in (None, nothing) else node


def _limit(
    planner: QueryPlanner,
    child: Plan,
    limit: Expr | None,
    offset: Expr | None,
    ties: tuple[SortKey[Expr], ...],
    count: int,
) -> Plan:
    plan = Limit(child=child, limit=limit, offset=offset, with_ties=ties, output=identity(child.output)[:count])
    rows = child.rows
    if isinstance(limit, Const) and isinstance(limit.value, int):
        rows = min(rows, float(max(limit.value, 1)))
    elif limit is not None:
        rows = max(1.0, rows * 0.1)
    share = rows / max(child.rows, 1.0)
    cost(plan, child, rows, 0.0)
    plan.total_cost = child.startup_cost + (child.total_cost - child.startup_cost) * share
    return widen(planner, plan)


# --- set operations -------------------------------------------------------------------------------------------------


def _set_operation(planner: QueryPlanner) -> Emit:
    plan = _set_plan(planner)

    def emit(needs: Sequence[Expr]) -> Plan:
        columns = tuple(
            fold(
                planner.catalog,
                replace_columns(item, lambda var: Column(type=var.type, typmod=var.typmod, index=var.attno - 1)),
            )
            for item in needs
        )
        if columns == identity(plan.output):
            return plan
        result = Result(child=plan, output=columns)
        return widen(planner, cost(result, plan, plan.rows, plan.rows * 0.0025))

    return emit


def _set_plan(planner: QueryPlanner) -> Plan:
    set_op = planner.query.set_op
    if set_op is None:
        raise InvariantViolation("not a set operation")
    kind, keep_all, left, right = set_op
    sides = [QueryPlanner(planner.statement, side, planner.level).plan() for side in (left, right)]
    rows = sides[0].rows + sides[1].rows
    cost = sides[0].total_cost + sides[1].total_cost
    if kind == "union" and keep_all:
        members: list[Plan] = []
        for side in sides:
            members += side.children if isinstance(side, Append) and not isinstance(side, MergeAppend) else (side,)
        plan: Plan = Append(children=tuple(members), output=identity(sides[0].output))
    else:
        plan = SetOp(
            kind=kind,
            all=keep_all,
            left=sides[0],
            right=sides[1],
            key_types=merging_types(planner),
            output=identity(sides[0].output),
        )
        cost += rows * 0.0125
        if kind != "union":
            rows = max(1.0, sides[0].rows * 0.5)
    plan.rows, plan.total_cost, plan.startup_cost = rows, cost, sides[0].startup_cost
    return widen(planner, plan)
