"""ADD COLUMN: the column's rows in the catalog, and its values in rows that are there."""

from __future__ import annotations

from dataclasses import replace

from pglast import ast

from aurora.errors import DuplicateColumn, NotNullViolation, TooManyColumns
from compute_node.catalog.builders import attribute_row
from compute_node.catalog.ddl.column_specs import ColumnSpec
from compute_node.catalog.ddl.context import CLASS_RELATION, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.create_table import add_column_default, add_table_constraint, column_spec
from compute_node.catalog.ddl.expressions import without_place
from compute_node.catalog.ddl.foreign.tables import refuse_constraints, set_column_options
from compute_node.catalog.ddl.kept_texts import queries_follow
from compute_node.catalog.ddl.relation import (
    COLUMNS_MAX,
    attribute_record,
    class_record,
    depend_on_collation,
    relation,
)
from compute_node.catalog.ddl.rewrite import default_value, rewrite_with_value
from compute_node.catalog.ddl.toast import ensure_toast
from compute_node.catalog.ddl.type_users import refuse_containers
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.deparse.expressions import quote_literal
from compute_node.types.anyarray import text_array

MISSING_VALUE_BYTES = 2048
"""A longer value of a new column is not kept once in pg_attribute, which has no TOAST: the rows get it."""


def add_column(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> ColumnDesc | None:
    """ADD COLUMN of one table, also of the tables of a composite type that gets a column. None where IF NOT EXISTS left
    it. 42701, 54011."""
    node = command.def_
    if desc.column(node.colname) is not None:
        if command.missing_ok:
            ctx.notice(f'column "{node.colname}" of relation "{desc.name}" already exists, skipping', sqlstate="42701")
            return None
        raise DuplicateColumn(f'column "{node.colname}" of relation "{desc.name}" already exists')
    if len(desc.columns) >= COLUMNS_MAX:
        raise TooManyColumns(f"tables can have at most {COLUMNS_MAX} columns")
    if desc.kind == "f":
        refuse_constraints(node.constraints or ())
    spec = column_spec(ctx, desc.name, node, len(desc.columns) + 1, desc.oid)
    column = store_column(ctx, desc, spec)
    if node.fdwoptions:
        set_column_options(ctx, relation(ctx, desc.oid), column.name, node.fdwoptions)
    for key in spec.keys:
        key.keys = (ast.String(sval=column.name),)
        add_table_constraint(ctx, desc.oid, key, validate=True)
    for check in spec.checks:
        with without_place():
            add_table_constraint(ctx, desc.oid, check, validate=True)
    for foreign in spec.foreign:
        foreign.fk_attrs = (ast.String(sval=column.name),)
        add_table_constraint(ctx, desc.oid, foreign, validate=True)
    return relation(ctx, desc.oid).columns[column.attno - 1]


def store_column(ctx: DdlContext, desc: RelationDesc, spec: ColumnSpec) -> ColumnDesc:
    """A new column behind the others of a table, with its default in the rows that are there; returns it. 23502."""
    column = spec.column
    plain = replace(column, not_null=False, has_default=False)
    row = attribute_row(desc.oid, plain, ctx.view.type(column.type), dimensions=spec.dimensions)
    with queries_follow(ctx, desc):
        ctx.rows.insert_many("pg_attribute", [row])
        ctx.rows.update("pg_class", class_record(ctx, desc.oid), relnatts=len(desc.columns) + 1)
        ctx.changes.touch(desc.oid)
    ctx.depend((CLASS_RELATION, desc.oid, column.attno), (CLASS_TYPE, column.type, 0), "n")
    depend_on_collation(ctx, (CLASS_RELATION, desc.oid, column.attno), column.collation)
    ctx.changes.touch(desc.oid)
    with without_place():
        add_column_default(ctx, desc, spec, "ALTER TABLE")
    ensure_toast(ctx, desc.oid)
    _fill_column(ctx, relation(ctx, desc.oid), spec)
    desc = relation(ctx, desc.oid)
    if column.not_null:
        if desc.has_rows_here:
            _require_filled(ctx, desc, column)
        ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attnotnull=True)
        ctx.changes.touch(desc.oid)
    return relation(ctx, desc.oid).columns[column.attno - 1]


def _fill_column(ctx: DdlContext, desc: RelationDesc, spec: ColumnSpec) -> None:
    """Existing rows get the default: recorded once as the missing value, or by rewriting the table when it is
    volatile."""
    column = desc.columns[spec.column.attno - 1]
    kind = ctx.view.type(column.type)
    if column.default is None and kind.domain is not None and (kind.domain.default is not None or kind.check):
        column = replace(column, default=kind.domain.default or "NULL")
    elif column.default is None and kind.default is not None:
        column = replace(column, default=quote_literal(kind.default))
    if column.default is None or not desc.has_rows_here:
        return
    if desc.row_type:
        refuse_containers(ctx, desc.row_type, f'{desc.noun} "{desc.name}"')
    if spec.serial is not None or spec.identity is not None or column.generated:
        rewrite_with_value(ctx, desc, column)
        return
    value, is_volatile = default_value(ctx, desc, column)
    if is_volatile:
        rewrite_with_value(ctx, desc, column)
    elif value is not None:
        text = ctx.view.type(column.type).output(value, NEUTRAL_ENV)
        if len(text.encode()) > MISSING_VALUE_BYTES:
            rewrite_with_value(ctx, desc, column)
            return
        record = attribute_record(ctx, desc.oid, column.attno)
        ctx.rows.update("pg_attribute", record, atthasmissing=True, attmissingval=text_array([text]))
        ctx.changes.touch(desc.oid)


def _require_filled(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> None:
    for batch in ctx.storage.table(desc).scan(ctx.rows.snapshot(), (column.attno,), False):
        if any(row[0] is None for row in batch):
            raise NotNullViolation(
                f'column "{column.name}" of relation "{desc.name}" contains null values',
                schema=desc.schema,
                table=desc.name,
                column=column.name,
            )
