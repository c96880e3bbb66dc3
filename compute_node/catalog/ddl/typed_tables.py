"""Tables of a composite type: CREATE TABLE … OF, ALTER TABLE … OF and NOT OF (manual, CREATE TABLE, "OF type_name")."""

from __future__ import annotations

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    DependentObjectsStillExist,
    InvariantViolation,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import ACCESS_EXCLUSIVE


def composite_of(ctx: DdlContext, node: ast.TypeName) -> RelationDesc:
    """The composite type of an OF clause, as its relation; 42704, 42809."""
    names = [item.sval for item in node.names]
    kind = ctx.view.find_type(names[-2] if len(names) > 1 else None, names[-1])
    if kind is None:
        raise UndefinedObject(f'type "{".".join(names)}" does not exist')
    desc = ctx.view.relation(kind.relation) if kind.kind == "c" else None
    if desc is None or desc.kind != "c":
        raise WrongObjectType(f"type {format_type(ctx.view, kind.oid)} is not a composite type")
    return desc


def tables_of(ctx: DdlContext, desc: RelationDesc, cascade: bool) -> list[RelationDesc]:
    """The tables of a composite type, locked; 2BP01 when there are some and CASCADE was not said."""
    found = [relation(ctx, record.oid) for record in ctx.rows.find("pg_class", reloftype=desc.row_type)]
    if found and not cascade:
        raise DependentObjectsStillExist(
            f'cannot alter type "{desc.name}" because it is the type of a typed table',
            hint="Use ALTER ... CASCADE to alter the typed tables too.",
        )
    for table in found:
        ctx.lock(table, ACCESS_EXCLUSIVE)
        ctx.check_unused(table, "ALTER TABLE")
    return [relation(ctx, table.oid) for table in found]


def set_type(ctx: DdlContext, oid: int, row_type: int) -> None:
    """A table becomes one of a composite type."""
    ctx.rows.update("pg_class", class_record(ctx, oid), reloftype=row_type)
    ctx.depend((CLASS_RELATION, oid, 0), (CLASS_TYPE, row_type, 0), "n")
    ctx.changes.touch(oid)


def _live(desc: RelationDesc) -> list[ColumnDesc]:
    return [column for column in desc.columns if not column.dropped]


def add_of(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER TABLE … OF: the columns must be the type's; 42804."""
    kind = composite_of(ctx, command.def_)
    columns = iter(_live(desc))
    for wanted in _live(kind):
        column = next(columns, None)
        if column is None:
            raise DatatypeMismatch(f'table is missing column "{wanted.name}"')
        if column.name != wanted.name:
            raise DatatypeMismatch(f'table has column "{column.name}" where type requires "{wanted.name}"')
        if (column.type, column.typmod, column.collation) != (wanted.type, wanted.typmod, wanted.collation):
            raise DatatypeMismatch(f'table "{desc.name}" has different type for column "{column.name}"')
    extra = next(columns, None)
    if extra is not None:
        raise DatatypeMismatch(f'table has extra column "{extra.name}"')
    record = class_record(ctx, desc.oid)
    if record.reloftype:
        _forget(ctx, desc.oid, record.reloftype)
    set_type(ctx, desc.oid, kind.row_type)


def drop_of(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER TABLE … NOT OF; 42809."""
    record = class_record(ctx, desc.oid)
    if not record.reloftype:
        raise WrongObjectType(f'"{desc.name}" is not a typed table')
    _forget(ctx, desc.oid, record.reloftype)
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), reloftype=0)
    ctx.changes.touch(desc.oid)


def _forget(ctx: DdlContext, oid: int, row_type: int) -> None:
    if not ctx.rows.delete_where(
        "pg_depend", classid=CLASS_RELATION, objid=oid, refclassid=CLASS_TYPE, refobjid=row_type
    ):
        raise InvariantViolation(f"table {oid} does not depend on its type {row_type}")
