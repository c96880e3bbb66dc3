"""ALTER TABLE … ALTER COLUMN … TYPE: the columns' rows in the catalog, and the table written anew.

All type changes of one statement are one rewrite: each new value is computed from the old row. What is kept as text
over the columns (defaults, checks, index expressions and predicates) is analyzed again over the new types; indexes are
built anew under their old names. Source: PostgreSQL manual, ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pglast import ast

from aurora.datum import Datum, Row
from aurora.errors import (
    CheckViolation,
    DatatypeMismatch,
    InvalidColumnReference,
    InvalidParameterValue,
    NotNullViolation,
    NotSupported,
    SqlError,
    WrongObjectType,
)
from compute_node.catalog.builders import type_layout
from compute_node.catalog.ddl.column_specs import altered_column
from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_PUBLICATION_REL,
    CLASS_RELATION,
    CLASS_REWRITE,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.create_table import check_column_type, check_type_usage
from compute_node.catalog.ddl.dependencies import describe
from compute_node.catalog.ddl.expressions import index_text, named_objects, references
from compute_node.catalog.ddl.foreign_key_rows import check_rows
from compute_node.catalog.ddl.foreign_keys import renew_foreign_keys
from compute_node.catalog.ddl.generated_columns import refuse_type
from compute_node.catalog.ddl.indexes import operator_class
from compute_node.catalog.ddl.relation import attribute_record, class_record, depend_on_collation, relation, set_default
from compute_node.catalog.ddl.rewrite import build_indexes, new_relfiles, without_watchers
from compute_node.catalog.ddl.type_users import refuse_containers
from compute_node.catalog.permissions import check_functions
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.unit import row_scope
from compute_node.exec.context import ExecContext, ExecSession
from compute_node.hub import HUB
from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import ColumnDesc, ForeignKeyDesc, IndexDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_assigned, analyze_stored, assigned_default
from compute_node.sql.analyze.typenames import find_collation, format_type, resolve_type_name
from compute_node.sql.deparse.expressions import deparse_stored, quote_identifier
from compute_node.sql.expressions import Column, Const, Expr, Relabel, Var, walk
from compute_node.sql.parse import parse
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.changed_rows import whole_row
from compute_node.sql.planner.create import replace_columns
from compute_node.sql.planner.fold import fold
from compute_node.sql.required import functions_of
from compute_node.types import oids

_BATCH = 2000
_IDENTITY_TYPES = (oids.INT2, oids.INT4, oids.INT8)


@dataclass(slots=True)
class TypeChange:
    """One column's new type, and its new value over the old row."""

    column: ColumnDesc
    type: int
    typmod: int
    collation: int
    dimensions: int
    value: Expr

    @property
    def is_plain(self) -> bool:
        """Whether the stored values may stay as they are."""
        node = self.value
        while isinstance(node, Relabel):
            node = node.argument
        return isinstance(node, Var) and node.attno == self.column.attno


def prepare_column_types(
    ctx: DdlContext, desc: RelationDesc, commands: Sequence[ast.AlterTableCmd]
) -> list[TypeChange]:
    """What ALTER COLUMN TYPE commands ask for: values over the columns as they are now, also those that the same
    statement drops. 42703, 42804, 0A000, 22023."""
    changes = [_prepared(ctx, desc, command) for command in commands]
    numbers = [change.column.attno for change in changes]
    if len(set(numbers)) < len(numbers):
        twice = next(change.column.name for change in changes if numbers.count(change.column.attno) > 1)
        raise NotSupported(f'cannot alter type of column "{twice}" twice')
    for change in changes:
        _refuse_views(ctx, desc, change.column)
    if desc.row_type:
        refuse_containers(ctx, desc.row_type, f'{desc.noun} "{desc.name}"')
    return changes


def alter_column_types(ctx: DdlContext, family: Sequence[tuple[RelationDesc, Sequence[TypeChange]]]) -> None:
    """All type changes of one ALTER TABLE: of a family's tables, as they were when the changes were prepared. 42804,
    23503, and what the values raise."""
    keys: list[ForeignKeyDesc] = []
    for table, changes in family:
        keys += _alter(ctx, table, changes)
    for key in keys:
        check_rows(ctx, key)


def _alter(ctx: DdlContext, old: RelationDesc, changes: Sequence[TypeChange]) -> list[ForeignKeyDesc]:
    """Those of one table: the foreign keys whose rows are to be checked again."""
    desc = relation(ctx, old.oid)
    changes = [replace(change, column=desc.columns[change.column.attno - 1]) for change in changes]
    numbers = {change.column.attno for change in changes}
    rewritten = not all(change.is_plain and _stored_alike(ctx, change) for change in changes)
    defaults = {change.column.attno: _new_default(ctx, desc, change) for change in changes}
    for change in changes:
        write_column_type(ctx, desc, change, rewritten)
    for attno, text in defaults.items():
        if text is not None:
            set_default(ctx, desc.oid, attno, text)
    fresh = relation(ctx, desc.oid)
    try:
        checks = _renew_checks(ctx, desc, fresh)
        _renew_indexes(ctx, fresh, numbers)
        keys = renew_foreign_keys(ctx, desc.oid, numbers)
    except SqlError as error:
        error.position = None
        raise
    if not desc.has_rows_here:
        pass  # others have the rows
    elif rewritten:
        _rewrite(ctx, old, changes, checks)
    else:
        _rebuild_indexes(ctx, desc.oid, numbers)
    return keys


def _prepared(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> TypeChange:
    name, node = command.name, command.def_
    column = altered_column(desc, name)
    if desc.kind == "f" and node.raw_default is not None:
        raise WrongObjectType(f'"{desc.name}" is not a table')
    refuse_type(ctx, desc, column, node.raw_default)
    node.typeName.location = -1
    kind, typmod = resolve_type_name(ctx.view, node.typeName)
    item = ctx.view.type(kind)
    check_column_type(name, item, desc.oid)
    check_type_usage(ctx, item)
    if column.identity and kind not in _IDENTITY_TYPES:
        raise InvalidParameterValue("identity column type must be smallint, integer, or bigint")
    collation = item.collation
    if node.collClause is not None:
        found = find_collation(ctx.view, node.collClause.collname)
        if not collation:
            raise DatatypeMismatch(f"collations are not supported by type {format_type(ctx.view, kind)}")
        collation = found.oid
    target = ColumnDesc(column.attno, name, kind, typmod, False)
    return TypeChange(
        column, kind, typmod, collation, len(node.typeName.arrayBounds or ()), _value(ctx, desc, column, target, node)
    )


def _value(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, target: ColumnDesc, node: ast.ColumnDef) -> Expr:
    """The new value over the old row; 42804 when it cannot be had by an assignment cast."""
    given = node.raw_default
    if column.generated and column.default is not None:
        given = parse(f"SELECT {column.default}")[0].node.targetList[0].val
    if given is not None and references(given)[1]:
        raise NotSupported("cannot use subquery in transform expression", position=references(given)[1][0] + 1)
    source = ast.ColumnRef(fields=(ast.String(sval=column.name),), location=-1) if given is None else given
    value = analyze_assigned(ctx.view, desc, target, source, ctx.source, session=ctx.session)
    if value is not None:
        check_functions(ctx.view, ctx.user_oid, functions_of(value))
        return fold(ctx.view, value)
    shown = format_type(ctx.view, target.type, target.typmod)
    plain = format_type(ctx.view, target.type)
    if given is not None:
        raise DatatypeMismatch(
            f'result of USING clause for column "{column.name}" cannot be cast automatically to type {plain}',
            hint="You might need to add an explicit cast.",
        )
    raise DatatypeMismatch(
        f'column "{column.name}" cannot be cast automatically to type {plain}',
        hint=f'You might need to specify "USING {quote_identifier(column.name)}::{shown}".',
    )


def _refuse_views(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> None:
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid):
        if record.classid == CLASS_PUBLICATION_REL and record.refobjsubid == column.attno:
            shown = describe(ctx, (CLASS_PUBLICATION_REL, record.objid, 0))
            raise NotSupported(
                "cannot alter type of a column used by a publication WHERE clause",
                detail=f'{shown} depends on column "{column.name}"',
            )
        if record.classid == CLASS_REWRITE and record.refobjsubid == column.attno:
            rule = ctx.rows.one("pg_rewrite", oid=record.objid)
            view = "" if rule is None else describe(ctx, (CLASS_RELATION, rule.ev_class, 0))
            name = "_RETURN" if rule is None else rule.rulename
            raise NotSupported(
                "cannot alter type of a column used by a view or rule",
                detail=f'rule {name} on {view} depends on column "{column.name}"',
            )


def _stored_alike(ctx: DdlContext, change: TypeChange) -> bool:
    old, new = ctx.view.type(change.column.type), ctx.view.type(change.type)
    return old.disk == new.disk and old.to_disk == new.to_disk and new.check is None


def _new_default(ctx: DdlContext, desc: RelationDesc, change: TypeChange) -> str | None:
    """The default's text for the new type; None when there is none, or it stays."""
    column = change.column
    if column.default is None or column.identity:
        return None
    view = ctx.tracing()
    target = ColumnDesc(column.attno, column.name, change.type, change.typmod, False)
    if column.generated:
        node = parse(f"SELECT {column.default}")[0].node.targetList[0].val
        found = analyze_assigned(view, desc, target, node, "", session=ctx.session)
    else:
        found = assigned_default(view, target, column.default, session=ctx.session)
    if found is None:
        shown = format_type(ctx.view, change.type)
        raise DatatypeMismatch(f'default for column "{column.name}" cannot be cast automatically to type {shown}')
    text = deparse_stored(found, ctx.stored_view, desc if column.generated else None)
    if text == column.default:
        return None
    return ctx.keep(text, view, named_objects(walk(found)))


def write_column_type(ctx: DdlContext, desc: RelationDesc, change: TypeChange, rewritten: bool) -> None:
    """The column's row in pg_attribute, and what depends on its type."""
    attno = change.column.attno
    length, by_value, align, storage = type_layout(ctx.view.type(change.type))
    values: dict[str, Datum] = {
        "atttypid": change.type,
        "atttypmod": change.typmod,
        "attcollation": change.collation,
        "attndims": change.dimensions,
        "attlen": length,
        "attbyval": by_value,
        "attalign": align,
        "attstorage": storage,
    }
    if rewritten:
        values |= {"atthasmissing": False, "attmissingval": None}
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, attno), **values)
    for row in ctx.rows.find("pg_depend", classid=CLASS_RELATION, objid=desc.oid, objsubid=attno):
        if row.refclassid in (CLASS_TYPE, CLASS_COLLATION):
            ctx.rows.delete("pg_depend", row)
    ctx.depend((CLASS_RELATION, desc.oid, attno), (CLASS_TYPE, change.type, 0), "n")
    depend_on_collation(ctx, (CLASS_RELATION, desc.oid, attno), change.collation)
    for row in ctx.rows.find("pg_statistic", starelid=desc.oid):
        if row.staattnum == attno:
            ctx.rows.delete("pg_statistic", row)
    ctx.changes.touch(desc.oid)


def _renew_checks(ctx: DdlContext, old: RelationDesc, desc: RelationDesc) -> list[tuple[str, Expr]]:
    """CHECK constraints over the new types; their texts may have other casts."""
    found = []
    for record in sorted(ctx.rows.find("pg_constraint", conrelid=desc.oid), key=lambda row: str(row.conname)):
        if record.contype != "c":
            continue
        view = ctx.tracing()
        # What the old types made necessary is shown as the casts that it is; what was written stays.
        written = deparse_stored(
            analyze_stored(ctx.view, old, record.conbin, session=ctx.session), ctx.stored_view, old
        )
        expr = analyze_stored(view, desc, written, session=ctx.session)
        text = deparse_stored(expr, ctx.stored_view, desc)
        if text != record.conbin:
            ctx.rows.update("pg_constraint", record, conbin=text)
        found.append((record.conname, expr))
    ctx.changes.touch(desc.oid)
    return found


def _renew_indexes(ctx: DdlContext, desc: RelationDesc, changed: set[int]) -> None:
    """Key types, operator classes and expressions of the indexes that use the columns."""
    for index in desc.indexes:
        if _uses(ctx, desc, index, changed):
            _renew_index(ctx, desc, index)
    ctx.changes.touch(desc.oid, *(index.oid for index in desc.indexes))


def _uses(ctx: DdlContext, desc: RelationDesc, index: IndexDesc, changed: set[int]) -> bool:
    if changed & {*index.columns, *index.included}:
        return True
    texts = [*index.expressions, *([index.predicate] if index.predicate else [])]
    return any(
        isinstance(node, Var) and node.attno in changed | {0}
        for text in texts
        for node in walk(analyze_stored(ctx.view, desc, text, "INDEX", session=ctx.session))
    )


def _renew_index(ctx: DdlContext, desc: RelationDesc, index: IndexDesc) -> None:
    expressions = [analyze_stored(ctx.view, desc, text, "INDEX", session=ctx.session) for text in index.expressions]
    waiting = iter(expressions)
    classes, collations = [], []
    for place, attno in enumerate(index.columns):
        if attno:
            column = desc.columns[attno - 1]
            kind, typmod, collation = column.type, column.typmod, column.collation
        else:
            expr = next(waiting)
            kind, typmod, collation = expr.type, -1, ctx.view.type(expr.type).collation
        classes.append(_class_for(ctx, index, place, kind))
        collations.append(collation)
        _write_key(ctx, index.oid, place + 1, kind, typmod, collation)
    for place, attno in enumerate(index.included, len(index.columns) + 1):
        column = desc.columns[attno - 1]
        _write_key(ctx, index.oid, place, column.type, column.typmod, column.collation)
    record = ctx.rows.one("pg_index", indexrelid=index.oid)
    if record is None:
        return
    values: dict[str, Datum] = {"indclass": classes, "indcollation": collations}
    if expressions:
        texts = [index_text(each, deparse_stored(each, ctx.stored_view, desc)) for each in expressions]
        values["indexprs"] = "\n".join(texts)
    if index.predicate is not None:
        predicate = analyze_stored(ctx.view, desc, index.predicate, "INDEX", session=ctx.session)
        values["indpred"] = deparse_stored(predicate, ctx.stored_view, desc)
    ctx.rows.update("pg_index", record, **values)


def _class_for(ctx: DdlContext, index: IndexDesc, place: int, kind: int) -> int:
    """The operator class that was named if it takes the new type, else the new type's default one."""
    method = METHODS[index.method]
    named = ctx.view.operator_class(index.operator_classes[place])
    if named is not None and not named.default:
        schema = ctx.view.namespace_name(named.namespace)
        return operator_class(ctx, kind, (ast.String(sval=schema), ast.String(sval=named.name)), method)
    return operator_class(ctx, kind, None, method)


def _write_key(ctx: DdlContext, index: int, attno: int, kind: int, typmod: int, collation: int) -> None:
    length, by_value, align, storage = type_layout(ctx.view.type(kind))
    ctx.rows.update(
        "pg_attribute",
        attribute_record(ctx, index, attno),
        atttypid=kind,
        atttypmod=typmod,
        attcollation=collation,
        attlen=length,
        attbyval=by_value,
        attalign=align,
        attstorage=storage,
    )


def _rebuild_indexes(ctx: DdlContext, oid: int, changed: set[int]) -> None:
    """Indexes over columns that are stored as before: their order may be another one."""
    fresh = relation(ctx, oid)
    wanted = {index.oid for index in fresh.indexes if _uses(ctx, fresh, index, changed)}
    for index in fresh.indexes:
        if index.oid in wanted:
            record = class_record(ctx, index.oid)
            relfile = ctx.new_storage()
            ctx.drop_storage(record.relfilenode)
            ctx.rows.update("pg_class", record, relfilenode=relfile)
            ctx.changes.touch(index.oid, oid)
    fresh = relation(ctx, oid)
    for index in fresh.indexes:
        if index.oid in wanted:
            ctx.build_index(fresh, index)


def _rewrite(
    ctx: DdlContext, old: RelationDesc, changes: Sequence[TypeChange], checks: Sequence[tuple[str, Expr]]
) -> None:
    """Write every row anew, from the old storage into new one; 23502, 23514, 23505."""
    snapshot = ctx.rows.snapshot()
    source = ctx.storage.table(old)  # first: its counters begin with what is known of its rows
    fresh = new_relfiles(ctx, relation(ctx, old.oid))
    convert = _converter(ctx, old, fresh, changes)
    verify = _verifier(ctx, fresh, checks)
    table = ctx.storage.table(without_watchers(fresh))
    every = tuple(range(1, len(old.columns) + 1))
    waiting: list[Row] = []
    for batch in source.scan(snapshot, every, False):
        for row in batch:
            made = convert(row)
            verify(made)
            waiting.append(made)
        if len(waiting) >= _BATCH:
            table.refill(ctx.txn, waiting)
            waiting = []
        ctx.session.check_interrupts()
        HUB.pulse()
    if waiting:
        table.refill(ctx.txn, waiting)
    ctx.txn.cid += 1
    build_indexes(ctx, fresh)


def _context(ctx: DdlContext) -> ExecContext:
    # A session that runs DDL is one that functions see: ``FunctionView`` is over the same state.
    session = cast(ExecSession, ctx.session)
    context = ExecContext(session, ctx.txn, ctx.rows.snapshot(), ctx.session.env, ctx.storage)
    context.start((), 0)
    return context


def _over_row(desc: RelationDesc, node: Expr) -> Expr:
    def column(var: Var) -> Expr:
        if var.attno == 0:
            return whole_row(desc, var.type)
        if var.attno == -6:
            return Const(type=oids.OID, value=desc.oid)
        if var.attno < 0:
            raise InvalidColumnReference("system columns cannot be used in a transform expression")
        return Column(type=var.type, typmod=var.typmod, index=var.attno - 1)

    return replace_columns(node, column)


def _linker(ctx: DdlContext) -> Builder:
    return Builder(PlannedStmt(command="select", plan=Result(), columns=None), ctx.view)


def _converter(
    ctx: DdlContext, desc: RelationDesc, fresh: RelationDesc, changes: Sequence[TypeChange]
) -> Callable[[Row], Row]:
    """Row of ``desc`` → row of ``fresh``, which has the same columns, or some of them."""
    values: dict[int, Expr] = {change.column.attno: _over_row(desc, change.value) for change in changes}
    output = [
        Const(type=oids.INT4, value=None)
        if fresh.columns[column.attno - 1].dropped
        else values.get(column.attno, Column(type=column.type, typmod=column.typmod, index=column.attno - 1))
        for column in desc.columns
    ]
    function = row_function(_linker(ctx), output, row_scope(None), "c, r")
    context = _context(ctx)

    def convert(row: Row) -> Row:
        made: Row = function(context, row)
        return made

    return convert


def _verifier(ctx: DdlContext, desc: RelationDesc, checks: Sequence[tuple[str, Expr]]) -> Callable[[Row], None]:
    """What a new row must satisfy."""
    must = [(column.attno - 1, column.name) for column in desc.columns if column.not_null and not column.dropped]
    names = [name for name, _ in checks]
    for _, expr in checks:
        check_functions(ctx.view, ctx.user_oid, functions_of(expr))
    tests = [fold(ctx.view, _over_row(desc, expr)) for _, expr in checks]
    function = row_function(_linker(ctx), tests, row_scope(None), "c, r")
    context = _context(ctx)

    def verify(row: Row) -> None:
        for place, name in must:
            if row[place] is None:
                raise NotNullViolation(
                    f'column "{name}" of relation "{desc.name}" contains null values',
                    schema=desc.schema,
                    table=desc.name,
                    column=name,
                )
        for name, result in zip(names, function(context, row) if names else (), strict=True):
            if result is False:
                raise CheckViolation(
                    f'check constraint "{name}" of relation "{desc.name}" is violated by some row',
                    schema=desc.schema,
                    table=desc.name,
                    constraint=name,
                )

    return verify
