"""CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW: a query → a relation with its rows.

EXPLAIN ANALYZE runs them with a query of its own (``ctx.query_rows``), whose nodes it measures.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from copy import copy

from pglast import ast, enums

from aurora.datum import Row
from aurora.errors import DuplicateTable, NotSupported, WrongObjectType
from compute_node.catalog.ddl.context import DdlContext, cut_name
from compute_node.catalog.ddl.create_table import check_tablespace
from compute_node.catalog.ddl.expressions import named_objects
from compute_node.catalog.ddl.objects import query_columns, store_query, view_text
from compute_node.catalog.ddl.on_commit import check_on_commit, remember
from compute_node.catalog.ddl.persistence import persistence_of
from compute_node.catalog.ddl.relation import class_record, create_relation, relation
from compute_node.catalog.ddl.toast import ensure_toast
from compute_node.catalog.permissions import check_required
from compute_node.catalog.reloptions import TABLE, TOAST, options_of
from compute_node.relations.descriptors import RelationDesc
from compute_node.session import cursors
from compute_node.session.prepared import to_run
from compute_node.sql.analyze import analyze
from compute_node.sql.query import Query
from compute_node.sql.required import NOTHING
from compute_node.sql.rewrite import own_nodes

_BATCH = 2000


def _prepared_query(ctx: DdlContext, node: ast.ExecuteStmt) -> ast.SelectStmt:
    """The query of EXECUTE; the context is then about its text and its parameters. 26000, 42809."""
    prepared, statement = cursors.find_prepared(ctx.session, node.name)
    raw = prepared.parsed
    if statement.node is not None or not isinstance(raw.node, ast.SelectStmt):
        raise WrongObjectType("prepared statement is not a SELECT")
    ctx.params = cursors.execute_arguments(ctx.session, node, prepared, ctx.source)
    to_run(ctx.session, prepared, statement, ctx.params)
    ctx.source, ctx.param_types = prepared.source, prepared.param_types
    return raw.node


def has_made(ctx: DdlContext, node: ast.CreateTableAsStmt) -> bool:
    """Whether the relation is there, which IF NOT EXISTS tells; 42P07 otherwise."""
    into = node.into
    schema, name = ctx.creation_schema(into.rel), cut_name(into.rel.relname)
    if ctx.view.layer.relation_oid(schema[1], name) is None:
        return False
    if not node.if_not_exists:
        raise DuplicateTable(f'relation "{name}" already exists')
    ctx.notice(f'relation "{name}" already exists, skipping', sqlstate="42P07")
    return True


def create_table_as(ctx: DdlContext, node: ast.CreateTableAsStmt) -> str:
    """CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW; the tag counts the rows."""
    into, is_view = node.into, node.objtype == enums.ObjectType.OBJECT_MATVIEW
    query_node = node.query
    if isinstance(query_node, ast.ExecuteStmt):
        query_node = _prepared_query(ctx, query_node)
    check_on_commit(ctx, into.rel, into.onCommit)
    name = cut_name(into.rel.relname)
    types = list(ctx.param_types)
    analyzing = ctx.tracing() if is_view else ctx.view
    query = analyze(query_node, analyzing, types, ctx.source, session=ctx.session, allow_params=bool(types))
    if is_view:
        _refuse_view(ctx, into, query)
    else:
        check_required(ctx.view, ctx.user_oid, query.privileges or NOTHING)
    schema = ctx.creation_schema(into.rel)
    if has_made(ctx, node):
        return "CREATE MATERIALIZED VIEW" if is_view else "CREATE TABLE AS"
    check_tablespace(ctx, into.tableSpaceName)
    names = [item.sval for item in into.colNames or ()]
    columns = query_columns(ctx, query, names, "table")
    text = ctx.keep(view_text(ctx, query_node, query), analyzing, named_objects(own_nodes(query))) if is_view else ""
    desc = create_relation(
        ctx,
        schema,
        name,
        "m" if is_view else "r",
        columns,
        persistence=persistence_of(schema, into.rel),
        options=options_of(TABLE, into.options) or None,
    )
    desc = ensure_toast(ctx, desc.oid, options_of(TOAST, into.options))
    remember(ctx, desc, into.onCommit)
    if is_view:
        store_query(ctx, desc.oid, query, text)
        ctx.txn.cid += 1
    if into.skipData:
        if is_view:
            ctx.rows.update("pg_class", class_record(ctx, desc.oid), relispopulated=False)
            ctx.changes.touch(desc.oid)
            return "CREATE MATERIALIZED VIEW"
        # EXECUTE is run all the same, for no row.
        return "SELECT 0" if isinstance(node.query, ast.ExecuteStmt) else "CREATE TABLE AS"
    ctx.changes.touch(desc.oid)
    with ctx.maintaining(desc) if is_view else nullcontext():
        count = fill(
            ctx, relation(ctx, desc.oid), ctx.fetch(query_node) if ctx.query_rows is None else ctx.query_rows()
        )
    return f"SELECT {count}"


def _refuse_view(ctx: DdlContext, into: ast.IntoClause, query: Query) -> None:
    """0A000 for what a materialized view must not read, or be."""
    if any(item.query.command != "select" for item in query.ctes):
        raise NotSupported("materialized views must not use data-modifying statements in WITH")
    sources = (ctx.view.relation(oid) for oid in query.relations)
    if any(source is not None and source.persistence == "t" for source in sources):
        raise NotSupported("materialized views must not use temporary tables or views")
    if ctx.param_types:
        raise NotSupported("materialized views may not be defined using bound parameters")
    if into.rel.relpersistence == "u":
        raise NotSupported("materialized views cannot be unlogged")


def fill(ctx: DdlContext, desc: RelationDesc, batches: Iterable[list[Row]]) -> int:
    """Store rows in a new relation; how many there were."""
    table = ctx.storage.table(desc)
    count = 0
    waiting: list[Row] = []
    for batch in batches:
        waiting += batch
        if len(waiting) >= _BATCH:
            count += table.insert_many(ctx.txn, waiting)
            waiting = []
    if waiting:
        count += table.insert_many(ctx.txn, waiting)
    return count


def select_into(ctx: DdlContext, node: ast.SelectStmt) -> str:
    """SELECT … INTO as CREATE TABLE AS."""
    query, kind = copy(node), enums.ObjectType.OBJECT_TABLE
    query.intoClause = None
    made = ast.CreateTableAsStmt(query=query, into=node.intoClause, objtype=kind, if_not_exists=False)
    return create_table_as(ctx, made)
