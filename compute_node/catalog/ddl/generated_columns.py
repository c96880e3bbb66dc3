"""GENERATED ALWAYS AS (…) STORED: expressions of columns over the other columns of their row.

They are kept where defaults are; the column depends on the columns that its expression reads. Rows are filled in by
the executor (``exec/assignments.py``), before constraints are checked. Source: PostgreSQL manual, chapter 5.3.
"""

from __future__ import annotations

from pglast import ast

from aurora.errors import (
    InvalidColumnDefinition,
    InvalidObjectDefinition,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.expressions import is_immutable, named_objects, references, uses
from compute_node.catalog.ddl.relation import attribute_record, relation, set_default
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_generated, analyze_stored
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.expressions import walk


def generate_column(ctx: DdlContext, oid: int, attno: int, node: ast.Node) -> None:
    """Store a column's expression. 42P17, 42P10, 42804, 0A000."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in column generation expression", position=subqueries[0] + 1)
    desc = relation(ctx, oid)
    view = ctx.tracing()
    found = analyze_generated(view, desc, desc.columns[attno - 1], node, ctx.source, session=ctx.session)
    if not is_immutable(ctx.view, found):
        raise InvalidObjectDefinition("generation expression is not immutable")
    text = ctx.keep(deparse_stored(found, ctx.stored_view, desc), view, named_objects(walk(found)))
    set_default(ctx, oid, attno, text)
    depend_on_columns(ctx, relation(ctx, oid), attno)


def depend_on_columns(ctx: DdlContext, desc: RelationDesc, attno: int) -> None:
    """The column is there as long as those that its expression reads."""
    for used in used_columns(ctx, desc, desc.columns[attno - 1]):
        ctx.depend((CLASS_RELATION, desc.oid, attno), (CLASS_RELATION, desc.oid, used), "n")


def used_columns(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> tuple[int, ...]:
    """The columns that a generated column's expression reads."""
    if not column.generated or column.default is None:
        return ()
    found = analyze_stored(ctx.view, desc, column.default, "GENERATED", session=ctx.session)
    return tuple([attno for attno in uses(found) if attno > 0])


def refuse_default(desc: RelationDesc, column: ColumnDesc, dropping: bool) -> None:
    """42601 for SET and DROP DEFAULT of a generated column."""
    if column.generated:
        raise SqlSyntaxError(
            f'column "{column.name}" of relation "{desc.name}" is a generated column',
            hint="Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead." if dropping else None,
        )


def drop_expression(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, missing_ok: bool) -> None:
    """The column becomes an ordinary one, its values stay. 55000."""
    if not column.generated:
        message = f'column "{column.name}" of relation "{desc.name}" is not a stored generated column'
        if not missing_ok:
            raise ObjectNotInPrerequisiteState(message)
        ctx.notice(f"{message}, skipping")
        return
    set_default(ctx, desc.oid, column.attno, None)
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attgenerated="")
    ctx.rows.delete_where(
        "pg_depend", classid=CLASS_RELATION, objid=desc.oid, objsubid=column.attno, refclassid=CLASS_RELATION
    )
    ctx.changes.touch(desc.oid)


def refuse_type(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, using: ast.Node | None) -> None:
    """What ALTER COLUMN TYPE may not do beside generated columns. 42611, 0A000."""
    if column.generated and using is not None:
        raise InvalidColumnDefinition(
            "cannot specify USING when altering type of generated column",
            detail=f'Column "{column.name}" is a generated column.',
        )
    for other in desc.columns:
        if other.generated and not other.dropped and column.attno in used_columns(ctx, desc, other):
            raise NotSupported(
                "cannot alter type of a column used by a generated column",
                detail=f'Column "{column.name}" is used by generated column "{other.name}".',
            )
