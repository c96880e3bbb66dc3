"""INSERT, UPDATE, DELETE: the plan that finds or makes the rows, and the node that stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.foreign import refuse_changes
from compute_node.sql.expressions import Column, Const, Expr, Var
from compute_node.sql.plan import (
    BitmapHeapScan,
    ChangedTable,
    Delete,
    FamilyDelete,
    FamilyUpdate,
    IndexScan,
    Insert,
    Merge,
    MergeStep,
    Moves,
    Plan,
    Result,
    SeqScan,
    TidScan,
    Update,
    ValuesScan,
)
from compute_node.sql.planner.arbiters import infer_arbiters
from compute_node.sql.planner.changed_rows import checks, generated, new_row, row_checks
from compute_node.sql.planner.create import identity, replace_columns
from compute_node.sql.planner.modify_family import Columns, family_of, plan_change
from compute_node.sql.planner.paths import AppendPath, row_width
from compute_node.sql.planner.quals import conjunction, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.recheck import RecheckCreator, address, address_columns, carried, describe, source_of
from compute_node.sql.planner.routes import moves_of, route_of
from compute_node.sql.query import Query, RowCheck, own_values
from compute_node.types import oids

_VERBS = {"update": "update", "delete": "delete from"}


def plan_modify(planner: QueryPlanner) -> Plan:
    """The plan of an INSERT, UPDATE or DELETE."""
    planner.statement.writes = True
    relation = planner.query.target
    if relation is None:
        raise InvariantViolation("a data change without a target")
    planner.statement.relations.add(relation.oid)
    planner.plan_ctes()
    if planner.query.command == "merge":
        return plan_merge(planner, relation)
    plan = _insert(planner, relation) if planner.query.command == "insert" else _change(planner, relation)
    plan.width = row_width(planner.catalog, plan.output)
    return plan


def _asked(planner: QueryPlanner) -> list[tuple[RowCheck, Expr]]:
    """What views and policies ask of new rows, prepared."""
    checks = planner.query.row_checks
    return [(check, planner.prepare(check.condition)) for check in checks if check.condition is not None]


# --- INSERT ---------------------------------------------------------------------------------------------------------


def _insert(planner: QueryPlanner, relation: RelationDesc) -> Plan:
    query = planner.query
    if query.source is None:
        raise InvariantViolation("an INSERT without a source")
    refuse_changes(relation, "insert into")
    child = _insert_source(planner, query.source)
    rte = query.result_rte
    system: list[int] = []
    made = new_row(relation, rte, {}, system=system)
    returning = tuple(replace_columns(planner.prepare(item.expression), made) for item in query.returning)
    plan = Insert(
        relation=relation,
        child=child,
        checks=checks(planner.catalog, relation),
        row_checks=row_checks(_asked(planner), lambda node: replace_columns(node, made)),
        generated=generated(planner.catalog, relation),
        returning=returning,
        system=tuple(system),
        alias=query.range_table[rte].alias,
    )
    conflict = query.on_conflict
    if conflict is not None:
        excluded = {
            (rte + 1, column.attno): Column(type=column.type, typmod=column.typmod, index=column.attno - 1, side=1)
            for column in relation.columns
        }
        lookup = new_row(relation, rte, dict(excluded))
        plan.conflict = conflict.action
        plan.arbiters = conflict.arbiters
        if conflict.inference is not None:
            plan.arbiters = infer_arbiters(planner.statement, relation, rte, conflict.inference)
        plan.conflict_assignments = tuple(
            (attno, replace_columns(planner.prepare(value), lookup)) for attno, value in conflict.assignments
        )
        if conflict.where is not None:
            plan.conflict_where = replace_columns(planner.prepare(conflict.where), lookup)
    plan.route = route_of(planner.catalog, relation, checks, generated, plan.arbiters)
    plan.output = returning
    plan.rows = child.rows if returning else 0.0
    plan.startup_cost, plan.total_cost = child.startup_cost, child.total_cost
    return plan


def _insert_source(planner: QueryPlanner, source: Query) -> Plan:
    """VALUES directly as rows of expressions; anything else is planned as a SELECT."""
    first = own_values(source)
    if first is not None:
        inner = QueryPlanner(planner.statement, source, planner.level)
        rows = tuple(tuple(inner.prepare(value) for value in row) for row in first.values)
        plan = ValuesScan(values=rows, rows=float(len(rows)), total_cost=0.0125 * len(rows))
        plan.output = tuple(
            Column(type=type_oid, typmod=typmod, index=index)
            for index, (type_oid, typmod) in enumerate(zip(first.column_types, first.column_typmods, strict=True))
        )
        plan.width = row_width(planner.catalog, plan.output)
        return plan
    return QueryPlanner(planner.statement, source, planner.level).plan()


# --- UPDATE, DELETE -------------------------------------------------------------------------------------------------


def _change(planner: QueryPlanner, relation: RelationDesc) -> Plan:
    planner.simplify()
    query = planner.query
    rte = query.result_rte
    assignments = [(attno, planner.prepare(value)) for attno, value in query.assignments]
    returning = [planner.prepare(item.expression) for item in query.returning]
    path = planner.join_path()
    query = planner.query
    where = [*planner.security_of(rte), *planner.where_quals]
    family = family_of(path, rte)
    named: tuple[RelationDesc, tuple[int, ...]] | None = None
    asked = _asked(planner)
    moves = _moves(planner, asked) if query.command == "update" else None
    if isinstance(path, AppendPath) and len(path.children) == 1:
        # Of the family one table alone may have such rows.
        member, path, family = path.members[0], path.children[0], None
        named, relation, rte = (relation, member.attnos), member.relation, member.rte
        assignments = [(member.attnos[attno - 1], member.down(value)) for attno, value in assignments]
        returning, where = [member.down(item) for item in returning], [member.down(item) for item in where]
        asked = [(check, member.down(condition)) for check, condition in asked]
    if family is not None:
        for each in family.members:
            refuse_changes(each.relation, _VERBS[query.command])
        changed_family = plan_change(planner, path, family, assignments, returning, asked)
        if isinstance(changed_family, FamilyUpdate):
            changed_family.moves = moves
        return _gated(planner, changed_family, bool(returning))
    refuse_changes(relation, _VERBS[query.command])
    single = path.relids == frozenset({rte})
    own: list[Expr] = [
        Const(type=column.type, value=None)
        if column.dropped
        else Var(type=column.type, typmod=column.typmod, rte=rte, attno=column.attno)
        for column in relation.columns
    ]
    recheck_parts = _recheckable(where, path.relids) if single else []
    others: list[Var] = []
    for item in (*(value for _, value in assignments), *returning, *recheck_parts):
        for var in local_vars(item):
            if var.rte != rte and var.rte in path.relids and var not in others:
                others.append(var)
    for _, value in assignments:
        others += [var for var in local_vars(value) if var.rte == rte and -6 < var.attno < 0 and var not in others]
    needs: list[Expr] = [*own, *others]
    extra: dict[tuple[int, int], Expr] = {}
    for index, other in enumerate(others):
        extra[other.rte, other.attno] = Column(type=other.type, typmod=other.typmod, index=len(own) + index)
    tid_column = -1
    if single:
        planner.creator.tid_entry = rte
    else:
        tid_column = len(needs)
        needs.append(Var(type=oids.TID, rte=rte, attno=-1))
        extra[rte, -1] = Column(type=oids.TID, index=tid_column)
        needs += [var for var in carried(path, needs) if var not in needs]
    child = planner.creator.create(path, needs)
    rechecks = RecheckCreator(planner.catalog, planner.level)
    again = None if single else describe(path, needs, rechecks.create(path, needs))
    condition = conjunction(planner.constant_quals)
    if condition is not None:
        child = _one_time(child, condition, single)
    lookup = new_row(relation, rte, extra)
    recheck = conjunction(recheck_parts)
    bound_recheck = None if recheck is None else replace_columns(recheck, lookup)
    system: list[int] = []
    changed = new_row(relation, rte, extra, system=system)
    bound_returning = tuple(replace_columns(item, changed) for item in returning)
    if query.command == "update":
        plan: Plan = Update(
            relation=relation,
            child=child,
            assignments=tuple((attno, replace_columns(value, lookup)) for attno, value in assignments),
            recheck=bound_recheck,
            again=again,
            source=rte,
            tid_column=tid_column,
            checks=checks(planner.catalog, relation),
            row_checks=row_checks(asked, lambda node: replace_columns(node, lookup)),
            generated=generated(planner.catalog, relation),
            returning=bound_returning,
            system=tuple(system),
            alias=query.range_table[query.result_rte].alias,
            named=named,
            moves=moves,
        )
    else:
        plan = Delete(
            relation=relation,
            child=child,
            recheck=bound_recheck,
            again=again,
            source=rte,
            tid_column=tid_column,
            returning=bound_returning,
            system=tuple(system),
            alias=query.range_table[query.result_rte].alias,
            named=named,
        )
    plan.output = bound_returning
    plan.rows = child.rows if returning else 0.0
    plan.startup_cost, plan.total_cost = child.startup_cost, child.total_cost
    return plan


def _moves(planner: QueryPlanner, asked: Sequence[tuple[RowCheck, Expr]]) -> Moves | None:
    """Whether rows that the statement changes may belong into other partitions then. ``asked``: of new rows, over the
    target's range entry."""
    query = planner.query
    if query.target is None:
        raise InvariantViolation("a data change without a target")
    lookup = new_row(query.target, query.result_rte, {})
    of_changed = [(check, condition) for check, condition in asked if check.kind in ("update", "view")]
    assigned = [attno for attno, _ in query.assignments]
    assigned += [attno for action in query.merge_actions if action.matched for attno, _ in action.assignments]
    names = [query.target.columns[attno - 1].name for attno in assigned]
    over_root = row_checks(of_changed, lambda node: replace_columns(node, lookup))
    return moves_of(planner.catalog, query.target, names, checks, generated, over_root)


def _gated(planner: QueryPlanner, plan: FamilyUpdate | FamilyDelete, returns: bool) -> Plan:
    """The change of a family, where a condition without columns does not forbid it, and what it costs."""
    condition = conjunction(planner.constant_quals)
    if isinstance(condition, Const) and condition.value is not True:
        plan.child, plan.tables = _nothing(plan.child, condition), ()
    elif condition is not None:
        plan.child = _one_time(plan.child, condition, False)
    plan.rows = plan.child.rows if returns else 0.0
    plan.startup_cost, plan.total_cost = plan.child.startup_cost, plan.child.total_cost
    return plan


def _nothing(child: Plan, condition: Expr) -> Result:
    """No rows of what the child gives."""
    nothing = tuple(Const(type=item.type, typmod=item.typmod, value=None) for item in child.output)
    return Result(filter=condition, one_time=True, output=nothing)


def _recheckable(where: list[Expr], available: frozenset[int]) -> list[Expr]:
    """The WHERE conditions that can be evaluated again over the found row (not those that became semi joins)."""
    return [item for item in where if all(var.rte in available and var.attno > 0 for var in local_vars(item))]


def _one_time(child: Plan, condition: Expr, single: bool) -> Plan:
    """A condition without columns in front of the scan. The scan itself takes it, since a node between would lose the
    tid; where it is false, nothing is scanned."""
    if isinstance(condition, Const) and condition.value is not True:
        return _nothing(child, condition)
    if single and isinstance(child, (SeqScan, IndexScan, BitmapHeapScan, TidScan)):
        child.filter = conjunction([condition, *([child.filter] if child.filter is not None else [])])
        return child
    return Result(
        child=child,
        filter=condition,
        one_time=True,
        output=identity(child.output),
        rows=child.rows,
        width=child.width,
        startup_cost=child.startup_cost,
        total_cost=child.total_cost,
    )


# --- MERGE ----------------------------------------------------------------------------------------------------------


def plan_merge(planner: QueryPlanner, relation: RelationDesc) -> Plan:
    """The source joined with the target, and what is done with each row."""
    planner.simplify()
    query = planner.query
    rte = query.result_rte
    steps = [
        (
            action,
            None if action.condition is None else planner.prepare(action.condition),
            [(attno, planner.prepare(value)) for attno, value in action.assignments],
            [planner.prepare(value) for value in action.values],
        )
        for action in query.merge_actions
    ]
    path = planner.join_path()
    query = planner.query
    own: list[Expr] = [
        Const(type=column.type, value=None)
        if column.dropped
        else Var(type=column.type, typmod=column.typmod, rte=rte, attno=column.attno)
        for column in relation.columns
    ]
    others: list[Var] = []
    for _, condition, changes, values in steps:
        for item in (*([] if condition is None else [condition]), *(value for _, value in changes), *values):
            others += [var for var in local_vars(item) if var.rte != rte and var not in others]
    source = source_of(path, rte)
    needs: list[Expr] = [*own, *others, *address_columns(source)]
    needs += [var for var in carried(path, needs) if var not in needs]
    rows = Columns(planner.catalog, rte, needs)
    child = planner.creator.create(path, needs)
    again = describe(path, needs, RecheckCreator(planner.catalog, planner.level).create(path, needs))
    condition = conjunction(planner.constant_quals)
    if condition is not None:
        child = _one_time(child, condition, False)
    lookup = new_row(relation, rte, rows.columns())

    def bound(over: Callable[[Expr], Expr], attnos: Sequence[int] | None = None) -> tuple[MergeStep, ...]:
        """The steps; ``over``: of what assignments are computed; ``attnos``: of a member, its columns in the order of
        the named table's."""
        return tuple(
            MergeStep(
                action.matched,
                action.command,
                None if condition is None else replace_columns(condition, lookup),
                tuple((attno if attnos is None else attnos[attno - 1], over(value)) for attno, value in changes),
                tuple(replace_columns(value, lookup) for value in values),
            )
            for action, condition, changes, values in steps
        )

    asked = _asked(planner)
    tables: tuple[ChangedTable, ...] = ()
    alias = query.range_table[rte].alias
    if isinstance(source, AppendPath):
        tables = tuple(
            rows.table(each, steps=bound(rows.over(each), each.attnos), asked=asked, alias=alias)
            for each in source.members
        )
    plan = Merge(
        relation=relation,
        child=child,
        steps=bound(lambda value: replace_columns(value, lookup)),
        again=again,
        address=address(source, rows.position),
        checks=checks(planner.catalog, relation),
        row_checks=row_checks(asked, lambda node: replace_columns(node, lookup)),
        generated=generated(planner.catalog, relation),
        tables=tables,
        alias=alias,
        route=route_of(planner.catalog, relation, checks, generated),
        moves=_moves(planner, asked),
    )
    plan.rows, plan.startup_cost, plan.total_cost = 0.0, child.startup_cost, child.total_cost
    return plan
