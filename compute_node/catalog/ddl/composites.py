"""CREATE TYPE … AS (columns): a relation without storage, and the type of its rows. Source: PostgreSQL manual, 8.16."""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import (
    DuplicateColumn,
    DuplicateObject,
    InsufficientPrivilege,
    InvariantViolation,
    NotSupported,
    SqlError,
    UndefinedColumn,
    WrongObjectType,
)
from compute_node.catalog.builders import attribute_row
from compute_node.catalog.ddl.alter_family import add_columns, drop_columns, prepare_family_types
from compute_node.catalog.ddl.context import CLASS_RELATION, CLASS_TYPE, DdlContext, cut_name
from compute_node.catalog.ddl.create_table import check_column_type, column_spec
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.relation import class_record, create_relation, depend_on_collation, relation
from compute_node.catalog.ddl.type_users import refuse_containers
from compute_node.catalog.ddl.typed_tables import tables_of
from compute_node.catalog.ddl.types import type_name_taken
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.typenames import resolve_type_name
from compute_node.sql.expressions import Var
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE

_T = enums.AlterTableType


def create_composite(ctx: DdlContext, node: ast.CompositeTypeStmt) -> str:
    """CREATE TYPE … AS; 42701, 42710."""
    name = cut_name(node.typevar.relname)
    schema = ctx.creation_schema(node.typevar)
    if type_name_taken(ctx, schema[1], name):
        raise DuplicateObject(f'type "{name}" already exists')
    columns: list[ColumnDesc] = []
    dimensions: dict[int, int] = {}
    for number, each in enumerate(node.coldeflist or (), 1):
        each.typeName.location = -1
        spec = column_spec(ctx, name, each, number)
        if any(column.name == spec.column.name for column in columns):
            raise DuplicateColumn(f'column "{spec.column.name}" specified more than once')
        columns.append(spec.column)
        dimensions[number] = spec.dimensions
    create_relation(ctx, schema, name, "c", columns, dimensions=dimensions)
    return "CREATE TYPE"


def find_composite(ctx: DdlContext, name: ast.RangeVar) -> RelationDesc:
    """The composite type that ALTER TYPE names, its owner checked; 42P01, 42809, 42501."""
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation("desc is not there")
    if desc.kind != "c":
        raise WrongObjectType(f'"{desc.name}" is not a composite type')
    if not ctx.owns(desc.owner):
        raise InsufficientPrivilege(f"must be owner of table {desc.name}")
    ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE)
    return relation(ctx, desc.oid)


def alter_composite(ctx: DdlContext, node: ast.AlterTableStmt) -> str:
    """ALTER TYPE … ADD, DROP and ALTER ATTRIBUTE; with CASCADE of the tables of the type too."""
    desc = find_composite(ctx, node.relation)
    for command in node.cmds:
        desc = relation(ctx, desc.oid)
        tables = tables_of(ctx, desc, command.behavior == enums.DropBehavior.DROP_CASCADE)
        if command.subtype == _T.AT_AddColumn:
            _add(ctx, desc, tables, command)
        elif command.subtype == _T.AT_DropColumn:
            _drop(ctx, desc, tables, command)
        elif command.subtype == _T.AT_AlterColumnType:
            _alter(ctx, desc, tables, command)
        else:
            what = command.subtype.name.removeprefix("AT_")
            raise NotSupported(f"ALTER TYPE ... {what} is not supported")
        ctx.changes.touch(desc.oid, desc.row_type)
    return "ALTER TYPE"


def _add(ctx: DdlContext, desc: RelationDesc, tables: list[RelationDesc], command: ast.AlterTableCmd) -> None:
    node = command.def_
    node.typeName.location = -1
    if desc.column(node.colname) is not None:
        raise DuplicateColumn(f'column "{node.colname}" of relation "{desc.name}" already exists')
    spec = column_spec(ctx, desc.name, node, len(desc.columns) + 1, desc.oid)
    column = spec.column
    row = attribute_row(desc.oid, column, ctx.view.type(column.type), dimensions=spec.dimensions)
    ctx.rows.insert_many("pg_attribute", [row])
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relnatts=len(desc.columns) + 1)
    ctx.depend((CLASS_RELATION, desc.oid, column.attno), (CLASS_TYPE, column.type, 0), "n")
    depend_on_collation(ctx, (CLASS_RELATION, desc.oid, column.attno), column.collation)
    for table in tables:
        add_columns(ctx, table, command, True)


def _drop(ctx: DdlContext, desc: RelationDesc, tables: list[RelationDesc], command: ast.AlterTableCmd) -> None:
    column = desc.column(command.name)
    if column is None:
        if not command.missing_ok:
            raise UndefinedColumn(f'column "{command.name}" of relation "{desc.name}" does not exist')
        ctx.notice(f'column "{command.name}" of relation "{desc.name}" does not exist, skipping')
        return
    cascade = command.behavior == enums.DropBehavior.DROP_CASCADE
    drop(ctx, [(CLASS_RELATION, desc.oid, column.attno)], cascade=cascade)
    for table in tables:
        found = relation(ctx, table.oid).column(command.name)
        if found is not None:
            drop_columns(ctx, relation(ctx, table.oid), command, True)


def _alter(ctx: DdlContext, desc: RelationDesc, tables: list[RelationDesc], command: ast.AlterTableCmd) -> None:
    from compute_node.catalog.ddl.column_types import (
        TypeChange,
        alter_column_types,
        write_column_type,
    )
    from compute_node.catalog.ddl.domains import renew_checks

    column = desc.column(command.name)
    if column is None:
        raise UndefinedColumn(f'column "{command.name}" of relation "{desc.name}" does not exist')
    try:
        kind, typmod = resolve_type_name(ctx.view, command.def_.typeName)
    except SqlError as error:
        error.position = None
        raise
    item = ctx.view.type(kind)
    check_column_type(column.name, item, desc.oid)
    refuse_containers(ctx, desc.row_type, f'type "{desc.name}"')
    old = Var(type=column.type, typmod=column.typmod, rte=0, attno=column.attno)
    dimensions = len(command.def_.typeName.arrayBounds or ())
    write_column_type(ctx, desc, TypeChange(column, kind, typmod, item.collation, dimensions, old), True)
    renew_checks(ctx, desc.oid, column.attno)
    for table in tables:
        found = relation(ctx, table.oid)
        alter_column_types(ctx, prepare_family_types(ctx, found, [command], True))
