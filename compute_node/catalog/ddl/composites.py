"""CREATE TYPE … AS (columns): a relation without storage, and the type of its rows. Source: PostgreSQL manual, 8.16."""

from __future__ import annotations

from pglast import ast

from aurora.errors import DuplicateColumn, DuplicateObject
from compute_node.catalog.ddl.context import DdlContext, cut_name
from compute_node.catalog.ddl.create_table import column_spec
from compute_node.catalog.ddl.relation import create_relation
from compute_node.relations.descriptors import ColumnDesc


def create_composite(ctx: DdlContext, node: ast.CompositeTypeStmt) -> str:
    """CREATE TYPE … AS; 42701, 42710."""
    name = cut_name(node.typevar.relname)
    schema = ctx.creation_schema(node.typevar)
    if ctx.view.layer.type_oid(schema[1], name) is not None:
        raise DuplicateObject(f'type "{name}" already exists')
    columns: list[ColumnDesc] = []
    dimensions: dict[int, int] = {}
    for number, each in enumerate(node.coldeflist or (), 1):
        spec = column_spec(ctx, name, each, number)
        if any(column.name == spec.column.name for column in columns):
            raise DuplicateColumn(f'column "{spec.column.name}" specified more than once')
        columns.append(spec.column)
        dimensions[number] = spec.dimensions
    create_relation(ctx, schema, name, "c", columns, dimensions=dimensions)
    return "CREATE TYPE"
