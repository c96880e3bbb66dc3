"""INSERT, UPDATE, DELETE: the plan that finds or makes the rows, and the node that stores them."""

from __future__ import annotations

from collections.abc import Callable

from pglast import ast

from aurora.errors import InvariantViolation, NotSupported
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.stored import analyze_expression, analyze_stored, generated_value
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Column, Const, Expr, RowExpr, Var
from compute_node.sql.plan import (
    BitmapHeapScan,
    Delete,
    IndexScan,
    Insert,
    Merge,
    MergeStep,
    Plan,
    PlannedCheck,
    Result,
    SeqScan,
    TidScan,
    Update,
    ValuesScan,
)
from compute_node.sql.planner.arbiters import infer_arbiters
from compute_node.sql.planner.create import identity, replace_columns
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.paths import row_width
from compute_node.sql.planner.quals import conjunction, local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.recheck import RecheckCreator, carried, describe
from compute_node.sql.query import Query
from compute_node.types import oids


def plan_modify(planner: QueryPlanner) -> Plan:
    """The plan of an INSERT, UPDATE or DELETE."""
    planner.statement.writes = True
    relation = planner.query.target
    if relation is None:
        raise InvariantViolation("a data change without a target")
    planner.statement.relations.add(relation.oid)
    planner.plan_ctes()
    if planner.query.range_table[planner.query.result_rte].has_family:
        raise NotSupported("data changes over tables that others inherit from are not supported")
    if planner.query.command == "merge":
        return plan_merge(planner, relation)
    plan = _insert(planner, relation) if planner.query.command == "insert" else _change(planner, relation)
    plan.width = row_width(planner.catalog, plan.output)
    return plan


def checks(catalog: CatalogView, relation: RelationDesc) -> tuple[tuple[str, Expr], ...]:
    """The table's CHECK constraints over a new row's columns; analyzed once per descriptor."""
    if not relation.checks:
        return ()
    cached = relation.extra.get("checks")
    if cached is None:
        cached = relation.extra["checks"] = tuple(
            (name, fold(catalog, _over_row(analyze_stored(catalog, relation, text), relation)))
            for name, text in relation.checks
        )
    return tuple(cached)


def copy_condition(catalog: CatalogView, relation: RelationDesc, node: ast.Node, source: str, session: object) -> Expr:
    """COPY FROM's WHERE over a new row's columns."""
    condition = analyze_expression(catalog, relation, node, source, "COPY", session)
    return fold(catalog, _over_row(condition, relation))


def generated(catalog: CatalogView, relation: RelationDesc) -> tuple[tuple[int, Expr], ...]:
    """The table's generated columns, as ``checks``: attno and expression over a new row."""
    if not any(column.generated for column in relation.columns):
        return ()
    cached = relation.extra.get("generated")
    if cached is None:
        cached = relation.extra["generated"] = tuple(
            (column.attno, fold(catalog, _over_row(generated_value(catalog, relation, column), relation)))
            for column in relation.columns
            if column.generated and not column.dropped
        )
    return tuple(cached)


def whole_row(relation: RelationDesc, row_type: int) -> Expr:
    """The full row as one value; dropped columns keep their places."""
    return RowExpr(
        type=row_type,
        arguments=tuple(
            Const(type=oids.INT4, value=None)
            if column.dropped
            else Column(type=column.type, typmod=column.typmod, index=column.attno - 1)
            for column in relation.columns
        ),
        names=tuple(column.name for column in relation.columns),
    )


def _over_row(node: Expr, relation: RelationDesc) -> Expr:
    def column(var: Var) -> Expr:
        if var.attno == -6:
            return Const(type=oids.OID, value=relation.oid)
        if var.attno == 0:
            return whole_row(relation, var.type)
        if var.attno < 0:
            raise NotSupported("system column references in CHECK constraints are not supported")
        return Column(type=var.type, typmod=var.typmod, index=var.attno - 1)

    return replace_columns(node, column)


def row_checks(planner: QueryPlanner, over: Callable[[Var], Expr]) -> tuple[PlannedCheck, ...]:
    """What views and policies ask of new rows; ``over`` binds the target's columns."""
    return tuple(
        PlannedCheck(check.kind, check.relation, check.policy, replace_columns(planner.prepare(check.condition), over))
        for check in planner.query.row_checks
        if check.condition is not None
    )


_SYSTEM_SIDE = 2


def new_row(
    relation: RelationDesc,
    rte: int,
    extra: dict[tuple[int, int], Expr],
    side: int = 0,
    system: list[int] | None = None,
) -> Callable[[Var], Expr]:
    """Vars of the target as columns of its full row; other Vars from ``extra``. ``system``: gets the system columns
    that are read of the row as it has become."""

    def column(var: Var) -> Expr:
        if var.rte == rte:
            if var.attno > 0:
                return Column(type=var.type, typmod=var.typmod, index=var.attno - 1, side=side)
            if var.attno == -6:
                return Const(type=oids.OID, value=relation.oid)
            if system is not None:
                if var.attno not in system:
                    system.append(var.attno)
                return Column(type=var.type, index=system.index(var.attno), side=_SYSTEM_SIDE)
        found = extra.get((var.rte, var.attno))
        if found is None:
            raise NotSupported("system columns are not supported here")
        return found

    return column


# --- INSERT ---------------------------------------------------------------------------------------------------------


def _insert(planner: QueryPlanner, relation: RelationDesc) -> Plan:
    query = planner.query
    if query.source is None:
        raise InvariantViolation("an INSERT without a source")
    child = _insert_source(planner, query.source)
    rte = query.result_rte
    system: list[int] = []
    made = new_row(relation, rte, {}, system=system)
    returning = tuple(replace_columns(planner.prepare(item.expression), made) for item in query.returning)
    plan = Insert(
        relation=relation,
        child=child,
        checks=checks(planner.catalog, relation),
        row_checks=row_checks(planner, made),
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
    plan.output = returning
    plan.rows = child.rows if returning else 0.0
    plan.startup_cost, plan.total_cost = child.startup_cost, child.total_cost
    return plan


def _insert_source(planner: QueryPlanner, source: Query) -> Plan:
    """VALUES directly as rows of expressions; anything else is planned as a SELECT."""
    if (
        len(source.range_table) == 1
        and source.range_table[0].kind == "values"
        and not source.order_by
        and not source.ctes
    ):
        inner = QueryPlanner(planner.statement, source, planner.level)
        rows = tuple(tuple(inner.prepare(value) for value in row) for row in source.range_table[0].values)
        plan = ValuesScan(values=rows, rows=float(len(rows)), total_cost=0.0125 * len(rows))
        first = source.range_table[0]
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
    where = [*planner.security_of(rte), *planner.where_quals]
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
            row_checks=row_checks(planner, new_row(relation, rte, extra)),
            generated=generated(planner.catalog, relation),
            returning=bound_returning,
            system=tuple(system),
            alias=query.range_table[rte].alias,
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
            alias=query.range_table[rte].alias,
        )
    plan.output = bound_returning
    plan.rows = child.rows if returning else 0.0
    plan.startup_cost, plan.total_cost = child.startup_cost, child.total_cost
    return plan


def _recheckable(where: list[Expr], available: frozenset[int]) -> list[Expr]:
    """The WHERE conditions that can be evaluated again over the found row (not those that became semi joins)."""
    return [item for item in where if all(var.rte in available and var.attno > 0 for var in local_vars(item))]


def _one_time(child: Plan, condition: Expr, single: bool) -> Plan:
    """A condition without columns in front of the scan. The scan itself takes it, since a node between would lose the
    tid."""
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
    needs: list[Expr] = [*own, *others, Var(type=oids.TID, rte=rte, attno=-1)]
    extra: dict[tuple[int, int], Expr] = {
        (var.rte, var.attno): Column(type=var.type, typmod=var.typmod, index=len(own) + index)
        for index, var in enumerate(others)
    }
    tid_column = len(needs) - 1
    extra[rte, -1] = Column(type=oids.TID, index=tid_column)
    needs += [var for var in carried(path, needs) if var not in needs]
    child = planner.creator.create(path, needs)
    again = describe(path, needs, RecheckCreator(planner.catalog, planner.level).create(path, needs))
    condition = conjunction(planner.constant_quals)
    if condition is not None:
        child = _one_time(child, condition, False)
    lookup = new_row(relation, rte, extra)
    plan = Merge(
        relation=relation,
        child=child,
        steps=tuple(
            MergeStep(
                action.matched,
                action.command,
                None if condition is None else replace_columns(condition, lookup),
                tuple((attno, replace_columns(value, lookup)) for attno, value in changes),
                tuple(replace_columns(value, lookup) for value in values),
            )
            for action, condition, changes, values in steps
        ),
        again=again,
        source=rte,
        tid_column=tid_column,
        checks=checks(planner.catalog, relation),
        row_checks=row_checks(planner, lookup),
        generated=generated(planner.catalog, relation),
        alias=query.range_table[rte].alias,
    )
    plan.rows, plan.startup_cost, plan.total_cost = 0.0, child.startup_cost, child.total_cost
    return plan
