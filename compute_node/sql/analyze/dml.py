"""INSERT, UPDATE, DELETE."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pglast import ast
from pglast.enums import OverridingKind

from aurora.errors import (
    DuplicateColumn,
    GeneratedAlways,
    InsufficientPrivilege,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.ctes import transform_with
from compute_node.sql.analyze.expressions import transform, transform_assigned, transform_where
from compute_node.sql.analyze.from_clause import open_relation, relation_entry, transform_from
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.select import analyze_select, transform_rows
from compute_node.sql.analyze.stored import column_default
from compute_node.sql.analyze.stores import store
from compute_node.sql.analyze.targets import assign, target_column, transform_targets
from compute_node.sql.expressions import Call, Const, CurrentOf, Expr, Param, SetDefault, Var
from compute_node.sql.query import ArbiterInference, FromItem, OnConflict, Query, RangeEntry, Target
from compute_node.types import oids

_TID_EQUALS, _TID_EQUALITY = 1292, 387
"""tideq, and the operator"""


def _target(scope: Scope, node: ast.RangeVar) -> RelationDesc:
    relation = open_relation(scope, node)
    location = -1
    if relation.kind == "v":
        return relation  # whether it can be changed is seen when it is rewritten
    if relation.kind not in ("r", "p", "f"):
        if relation.kind == "c":
            raise fail(WrongObjectType, f'"{relation.name}" is a composite type', node.location or 0)
        if relation.kind in "iI":
            raise fail(WrongObjectType, f'"{relation.name}" is an index', node.location or 0)
        what = {"t": "TOAST relation"}.get(relation.kind) or relation.noun
        raise fail(WrongObjectType, f'cannot change {what} "{relation.name}"', location)
    refuse_catalog(relation)
    return relation


def refuse_catalog(relation: RelationDesc) -> None:
    """42501 for a system catalog: what the process knows of it would go out of step."""
    if relation.oid < FIRST_NORMAL_OID and relation.schema == "pg_catalog":
        raise InsufficientPrivilege(f"permission denied for table {relation.name}")


# --- INSERT ---------------------------------------------------------------------------------------------------------


def analyze_insert(scope: Scope, node: ast.InsertStmt) -> Query:
    """INSERT: the source gets one column per table column, defaults filled in."""
    query = scope.query
    query.command = "insert"
    if node.withClause is not None:
        transform_with(scope, node.withClause)
    relation = _target(scope, node.relation)
    query.target, query.overriding = relation, OverridingKind(node.override)
    alias = node.relation.alias.aliasname if node.relation.alias is not None else relation.name
    scope.unreachable = ((alias, tuple([column.name for column in relation.columns if not column.dropped])),)
    columns = insert_columns(relation, node.cols)
    sets = False
    steps = [item if item.indirection else None for item in node.cols or ()] or [None] * len(columns)
    if node.selectStmt is None:
        rows: list[list[Expr]] = [[]]
        columns = []
    elif _is_values(node.selectStmt):
        values_scope = scope.child()
        values_scope.gives_rows = True
        rows = transform_rows(values_scope, node.selectStmt.valuesLists, allow_default=True)
        sets = values_scope.has_srf
    else:
        rows = []
    width = max((len(row) for row in rows), default=len(columns))
    query.inserted = tuple(column.attno for column in columns[:width])
    if node.selectStmt is not None and not rows:
        query.source, width = _insert_from_query(scope, node, relation, columns, steps)
        query.inserted = query.inserted[:width]
    else:
        query.source = _insert_values(scope, node, relation, columns, rows, steps, sets)
    target = relation_entry(scope, relation, node.relation.alias)
    query.result_rte = target.rte
    scope.items, scope.unreachable = [target], ()
    if node.onConflictClause is not None:
        query.arbiter_columns = _arbiter_columns(node.onConflictClause, relation)
        query.on_conflict = _on_conflict(scope, node.onConflictClause, relation, target)
    scope.items = [target]
    query.returning = _returning(scope, node.returningList)
    return query


def _default(scope: Scope, relation: RelationDesc, column: ColumnDesc) -> Expr:
    """What a new row has in a column that the statement gives nothing for. A view without a default of its own leaves
    that to the table behind it."""
    if relation.kind == "v" and not column.has_default:
        return SetDefault(type=column.type, typmod=column.typmod)
    return column_default(scope, column)


def _is_values(node: ast.SelectStmt) -> bool:
    plain = node.sortClause is None and node.limitCount is None and node.limitOffset is None and node.withClause is None
    return bool(node.valuesLists) and plain


def insert_columns(relation: RelationDesc, cols: Sequence[ast.Node] | None) -> list[ColumnDesc]:
    if not cols:
        return [column for column in relation.columns if not column.dropped]
    found: list[ColumnDesc] = []
    in_part: set[int] = set()
    for item in cols:
        location = item.location if item.location is not None else -1
        column = target_column(relation.columns, relation.name, item.name, location)
        if column in found and not (item.indirection and column.attno in in_part):
            raise fail(DuplicateColumn, f'column "{column.name}" specified more than once', location)
        if item.indirection:
            in_part.add(column.attno)
        found.append(column)
    return found


def _assembled(
    scope: Scope,
    relation: RelationDesc,
    column: ColumnDesc,
    values: Sequence[tuple[Expr, Any]],
    overriding: OverridingKind,
    location: int,
) -> Expr:
    """A new row's value of a column from all that the statement gives for it: (value, the target of a part that it
    is for)."""
    base: Expr | None = None
    for value, part in values:
        if part is None:
            base = _stored(scope, relation, value, column, overriding)
            continue
        if column.generated:
            check_generated(column, overriding)
        if base is None:
            base = Const(type=column.type, typmod=column.typmod, value=None)
        base = store(scope, base, column, part.indirection, value, part.location)
    return _default(scope, relation, column) if base is None else base


def _check_counts(columns: list[ColumnDesc], values: list[Expr], cols: Any) -> None:
    if len(values) > len(columns):
        location = values[len(columns)].location
        raise fail(SqlSyntaxError, "INSERT has more expressions than target columns", location)
    if cols and len(values) < len(columns):
        location = cols[len(values)].location
        raise fail(
            SqlSyntaxError, "INSERT has more target columns than expressions", location if location is not None else -1
        )


def _stored(scope: Scope, relation: RelationDesc, expr: Expr, column: ColumnDesc, overriding: OverridingKind) -> Expr:
    if isinstance(expr, SetDefault) or overridden(column, overriding):
        return _default(scope, relation, column)
    check_generated(column, overriding)
    return assign(scope, expr, column, expr.location)


def overridden(column: ColumnDesc, overriding: OverridingKind) -> bool:
    """OVERRIDING USER VALUE: an identity column takes its default whatever is given."""
    return bool(column.identity) and overriding == OverridingKind.OVERRIDING_USER_VALUE


def check_generated(column: ColumnDesc, overriding: OverridingKind) -> None:
    """428C9 where a value is given for a column that the table computes by itself."""
    if column.generated:
        raise fail(
            GeneratedAlways,
            f'cannot insert a non-DEFAULT value into column "{column.name}"',
            -1,
            detail=f'Column "{column.name}" is a generated column.',
        )
    if column.identity == "a" and overriding != OverridingKind.OVERRIDING_SYSTEM_VALUE:
        raise fail(
            GeneratedAlways,
            f'cannot insert a non-DEFAULT value into column "{column.name}"',
            -1,
            detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
            hint="Use OVERRIDING SYSTEM VALUE to override.",
        )


def _places(columns: Sequence[ColumnDesc]) -> dict[int, list[int]]:
    """By attno, where the statement gives a value for the column: several times when it sets parts of it."""
    given: dict[int, list[int]] = {}
    for index, column in enumerate(columns):
        given.setdefault(column.attno, []).append(index)
    return given


def new_row(
    scope: Scope,
    relation: RelationDesc,
    columns: list[ColumnDesc],
    values: list[Expr],
    cols: Sequence[ast.Node] | None,
    steps: Sequence[ast.Node | None],
    override: OverridingKind,
    defaults: dict[int, Expr] | None = None,
) -> tuple[Expr, ...]:
    """A whole new row from the values that a statement gives for some columns (``cols``, with parts of them in
    ``steps``). ``defaults``: of the columns without a value, by attno, for the next row."""
    _check_counts(columns, values, cols)
    given, known = _places(columns), {} if defaults is None else defaults
    full: list[Expr] = []
    for column in relation.columns:
        places = [index for index in given.get(column.attno, ()) if index < len(values)]
        if len(places) == 1 and not steps[places[0]]:
            full.append(_stored(scope, relation, values[places[0]], column, override))
        elif places:
            full.append(
                _assembled(scope, relation, column, [(values[index], steps[index]) for index in places], override, -1)
            )
        else:
            default = known.get(column.attno)
            if default is None:
                default = known[column.attno] = _default(scope, relation, column)
            full.append(default)
    return tuple(full)


def _insert_values(
    scope: Scope,
    node: ast.InsertStmt,
    relation: RelationDesc,
    columns: list[ColumnDesc],
    rows: list[list[Expr]],
    steps: Sequence[Any],
    sets: bool,
) -> Query:
    override = OverridingKind(node.override)
    defaults: dict[int, Expr] = {}
    full_rows = [new_row(scope, relation, columns, row, node.cols, steps, override, defaults) for row in rows]
    types = tuple(column.type for column in relation.columns)
    typmods = tuple(column.typmod for column in relation.columns)
    names = tuple(column.name for column in relation.columns)
    source = Query("select")
    if sets:
        # One row of values, with functions that make it several.
        source.targets = [Target(value, name) for value, name in zip(full_rows[0], names, strict=True)]
        source.has_srfs = True
        return source
    source.range_table = [RangeEntry("values", "*VALUES*", names, types, typmods, values=tuple(full_rows))]
    source.from_items = [FromItem(0)]
    source.targets = [
        Target(Var(type=type_oid, typmod=typmod, rte=0, attno=index + 1), name)
        for index, (type_oid, typmod, name) in enumerate(zip(types, typmods, names, strict=True))
    ]
    return source


def _column_of(source: Expr, index: int) -> Expr:
    return Var(type=source.type, typmod=source.typmod, rte=0, attno=index + 1, location=source.location)


def _insert_from_query(
    scope: Scope, node: ast.InsertStmt, relation: RelationDesc, columns: list[ColumnDesc], steps: Sequence[Any]
) -> tuple[Query, int]:
    """``INSERT … SELECT``: the SELECT becomes a sub-select of a query that converts and completes its columns. Also,
    how many columns it gives."""
    outer_scope = scope.child()
    child = outer_scope.child()
    child.gives_rows = True
    inner = analyze_select(child, node.selectStmt, resolve_unknowns=False)
    visible = [item for item in inner.targets if not item.junk]
    _check_counts(columns, [item.expression for item in visible], node.cols)
    converts_inside = not (inner.set_op or inner.distinct or inner.group_by or inner.order_by)
    unknown = {
        place: item.expression
        for place, item in enumerate(visible)
        if item.expression.type == oids.UNKNOWN and isinstance(item.expression, (Const, Param))
    }
    for item, column, part in zip(visible, columns, steps, strict=False):
        if converts_inside and not part and item.expression.type != oids.RECORD:
            if item.expression.type == oids.UNKNOWN and isinstance(item.expression, Const):
                item.written = item.expression
            item.expression = assign(child, item.expression, column, item.expression.location)
        else:
            item.expression = resolve_unknown(child, item.expression)
    outer = outer_scope.query
    entry = RangeEntry(
        "subquery",
        "*SELECT*",
        tuple(item.name for item in visible),
        tuple(item.expression.type for item in visible),
        tuple(item.expression.typmod for item in visible),
        query=inner,
    )
    outer_scope.add_entry(entry)
    outer.from_items = [FromItem(0)]
    given = _places(columns[: len(visible)])
    for column in relation.columns:
        places = given.get(column.attno, [-1])
        index = places[0]
        if index >= 0 and (len(places) > 1 or steps[index]):
            parts = []
            for each in places:
                found = visible[each].expression
                parts.append((unknown.get(each) or _column_of(found, each), steps[each]))
            value = _assembled(outer_scope, relation, column, parts, OverridingKind(node.override), -1)
        elif index < 0 or overridden(column, OverridingKind(node.override)):
            value = _default(scope, relation, column)
        else:
            source = visible[index].expression
            value = _column_of(source, index)
            check_generated(column, OverridingKind(node.override))
            value = assign(outer_scope, value, column, source.location)
        outer.targets.append(Target(value, column.name))
    return outer, len(visible)


# --- ON CONFLICT ----------------------------------------------------------------------------------------------------


def _on_conflict(scope: Scope, node: ast.OnConflictClause, relation: RelationDesc, target: NameItem) -> OnConflict:
    """``excluded`` is the range entry after the target's own."""
    action = "nothing" if node.action.name == "ONCONFLICT_NOTHING" else "update"
    arbiters = _arbiters(node, relation)
    inference = _inference(scope, node, relation, target)
    if action == "nothing":
        return OnConflict(action, arbiters, inference=inference)
    if node.infer is None:
        raise fail(
            SqlSyntaxError,
            "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            node.location if node.location is not None else -1,
            hint="For example, ON CONFLICT (column_name).",
        )
    if any(index.exclusion for index in relation.indexes if index.oid in arbiters):
        raise WrongObjectType("ON CONFLICT DO UPDATE not supported with exclusion constraints")
    saved = scope.items
    excluded = relation_entry(scope, relation, ast.Alias(aliasname="excluded"))
    excluded.system_columns = False
    scope.items = [target, excluded]
    changes = assignments(scope, node.targetList, relation, target.rte)
    where = transform_where(scope, node.whereClause, "WHERE")
    scope.items = saved
    return OnConflict(action, arbiters, changes, where, inference)


def _arbiter_columns(node: ast.OnConflictClause, relation: RelationDesc) -> frozenset[int]:
    """The columns that finding a conflict reads, so far as the statement names them or their constraint."""
    infer = node.infer
    if infer is None:
        return frozenset()
    if infer.conname:
        named_indexes = [index for index in relation.indexes if index.name == infer.conname]
        return frozenset(attno for index in named_indexes for attno in index.columns if attno)
    named = (relation.column(item.name) for item in infer.indexElems if item.name is not None)
    return frozenset(column.attno for column in named if column is not None)


def _arbiters(node: ast.OnConflictClause, relation: RelationDesc) -> tuple[int, ...]:
    """The index of the constraint that the statement names; none when it names none."""
    infer = node.infer
    if infer is not None and infer.conname:
        for index in relation.indexes:
            if index.name == infer.conname and index.constraint:
                return (index.oid,)
        raise UndefinedObject(f'constraint "{infer.conname}" for table "{relation.name}" does not exist')
    return ()


def _inference(
    scope: Scope, node: ast.OnConflictClause, relation: RelationDesc, target: NameItem
) -> ArbiterInference | None:
    """What the statement says of its arbiter indexes: the planner finds them. Their literals stay literals."""
    infer = node.infer
    if infer is None or infer.conname:
        return None
    attnos: set[int] = set()
    expressions: list[Expr] = []
    where: Expr | None = None
    saved, scope.items = scope.items, [target]
    scope.analysis.keep_depth += 1
    try:
        for item in infer.indexElems:
            if item.name is None:
                found = transform(scope, item.expr)
                if isinstance(found, Var) and found.attno > 0:
                    attnos.add(found.attno)
                else:
                    expressions.append(resolve_unknown(scope, found))
                continue
            location = infer.location if infer.location is not None else -1
            column = relation.column(item.name)
            if column is None:
                raise fail(UndefinedColumn, f'column "{item.name}" does not exist', location)
            attnos.add(column.attno)
        if infer.whereClause is not None:
            where = transform_where(scope, infer.whereClause, "WHERE")
    finally:
        scope.analysis.keep_depth -= 1
        scope.items = saved
    return ArbiterInference(frozenset(attnos), tuple(expressions), where)


# --- UPDATE, DELETE -------------------------------------------------------------------------------------------------


def assignments(
    scope: Scope, nodes: Sequence[ast.Node], relation: RelationDesc, rte: int
) -> tuple[tuple[int, Expr], ...]:
    """SET items as (attno, value) pairs."""
    previous, scope.clause = scope.clause, "UPDATE"
    found: dict[int, Expr] = {}
    in_part: set[int] = set()
    try:
        for item in nodes:
            location = item.location if item.location is not None else -1
            name, steps = _assigned(scope, item, relation, rte)
            column = target_column(relation.columns, relation.name, name, location)
            if column.attno in found and not (steps and column.attno in in_part):
                raise SqlSyntaxError(f'multiple assignments to same column "{column.name}"')
            expr = transform_assigned(scope, item.val)
            if column.generated and (steps or not isinstance(expr, SetDefault)):
                raise fail(
                    GeneratedAlways,
                    f'column "{column.name}" can only be updated to DEFAULT',
                    -1,
                    detail=f'Column "{column.name}" is a generated column.',
                )
            if steps:
                base = found.get(column.attno)
                if base is None:
                    base = Var(type=column.type, typmod=column.typmod, rte=rte, attno=column.attno)
                found[column.attno] = store(scope, base, column, steps, expr, location)
                in_part.add(column.attno)
                continue
            if isinstance(expr, SetDefault):
                value = column_default(scope, column)
            elif column.identity == "a":
                raise fail(
                    GeneratedAlways,
                    f'column "{column.name}" can only be updated to DEFAULT',
                    -1,
                    detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
                )
            else:
                value = assign(scope, expr, column, location, item.val)
            found[column.attno] = value
    finally:
        scope.clause = previous
    return tuple(found.items())


def _assigned(scope: Scope, item: Any, relation: RelationDesc, rte: int) -> tuple[str, Any]:
    """The column that a SET item names, and the way to the part of it. With ansi_qualified_update_set_target the
    table, or its alias, and its schema may stand before the column; a column of such a name goes first."""
    steps = item.indirection
    if not steps or not scope.analysis.env.qualified_set:
        return item.name, steps
    if any(column.name == item.name and not column.dropped for column in relation.columns):
        return item.name, steps
    names = [step.sval if isinstance(step, ast.String) else None for step in steps]
    alias = scope.query.range_table[rte].alias
    if item.name == alias and names[0] is not None:
        return names[0], steps[1:] or None
    if item.name == relation.schema and names[0] == relation.name == alias and len(names) > 1 and names[1] is not None:
        return names[1], steps[2:] or None
    return item.name, steps


def _from_beside(scope: Scope, target: NameItem, nodes: Sequence[ast.Node] | None) -> None:
    """FROM or USING: what stands in it may not refer to the table that is changed, nor with LATERAL."""
    scope.items = [target]
    if nodes:
        target.lateral_only, target.lateral_ok = True, False
        transform_from(scope, nodes)
        target.lateral_only, target.lateral_ok = False, True


def analyze_update(scope: Scope, node: ast.UpdateStmt) -> Query:
    """UPDATE … SET … FROM … WHERE … RETURNING."""
    query = scope.query
    query.command = "update"
    if node.withClause is not None:
        transform_with(scope, node.withClause)
    relation = _target(scope, node.relation)
    query.target = relation
    target = relation_entry(scope, relation, node.relation.alias, bool(node.relation.inh))
    query.result_rte = target.rte
    query.from_items.append(FromItem(target.rte))
    _from_beside(scope, target, node.fromClause)
    query.where = _where(scope, node.whereClause, relation, target.rte)
    query.returning = _returning(scope, node.returningList)
    query.assignments = assignments(scope, node.targetList, relation, target.rte)
    return query


def analyze_delete(scope: Scope, node: ast.DeleteStmt) -> Query:
    """DELETE FROM … USING … WHERE … RETURNING."""
    query = scope.query
    query.command = "delete"
    if node.withClause is not None:
        transform_with(scope, node.withClause)
    relation = _target(scope, node.relation)
    query.target = relation
    target = relation_entry(scope, relation, node.relation.alias, bool(node.relation.inh))
    query.result_rte = target.rte
    query.from_items.append(FromItem(target.rte))
    _from_beside(scope, target, node.usingClause)
    query.where = _where(scope, node.whereClause, relation, target.rte)
    query.returning = _returning(scope, node.returningList)
    return query


def _where(scope: Scope, node: ast.Node, relation: RelationDesc, rte: int) -> Expr | None:
    """The condition of UPDATE or DELETE; CURRENT OF is one on the row's address."""
    if not isinstance(node, ast.CurrentOfExpr):
        return transform_where(scope, node, "WHERE")
    address = Var(type=oids.TID, rte=rte, attno=-1)
    current = CurrentOf(type=oids.TID, cursor=node.cursor_name, relation=relation)
    return Call(type=oids.BOOL, function=_TID_EQUALS, operator=_TID_EQUALITY, arguments=(address, current))


def _returning(scope: Scope, items: Sequence[ast.Node] | None) -> list[Target]:
    if items is None:
        return []
    previous, scope.clause = scope.clause, "RETURNING"
    try:
        targets = transform_targets(scope, items)
    finally:
        scope.clause = previous
    return [dataclasses.replace(item, expression=resolve_unknown(scope, item.expression)) for item in targets]
