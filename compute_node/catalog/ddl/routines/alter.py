"""ALTER FUNCTION, PROCEDURE, ROUTINE, AGGREGATE: attributes, RENAME, SET SCHEMA."""

from __future__ import annotations

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import DuplicateFunction, InvalidParameterValue, NotSupported, WrongObjectType
from compute_node.catalog.ddl.context import (
    CLASS_NAMESPACE,
    CLASS_PROC,
    DdlContext,
)
from compute_node.catalog.ddl.extensions.find import depends_on_extension
from compute_node.catalog.ddl.kept_texts import texts_follow
from compute_node.catalog.ddl.routines.attributes import Attributes, configuration
from compute_node.catalog.ddl.routines.find import find_routine, owned_as_object, owned_routine, shown_routine
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.types.acl import CREATE

_O = enums.ObjectType


def _tag(kind: enums.ObjectType) -> str:
    return f"ALTER {kind.name.removeprefix('OBJECT_')}"


def alter_function(ctx: DdlContext, node: ast.AlterFunctionStmt) -> str:
    """ALTER FUNCTION … STRICT, IMMUTABLE, COST, SET …"""
    row = owned_routine(ctx, node.func, node.objtype)
    if row.prokind == "a":
        raise WrongObjectType(f'"{row.proname}" is an aggregate function')
    attributes = Attributes(node.actions, row.prokind == "p")
    values: dict[str, Datum] = attributes.columns(ctx)
    if "rows" in attributes.given and not row.proretset:
        raise InvalidParameterValue("ROWS is not applicable when function does not return a set")
    if attributes.sets:
        values["proconfig"] = configuration(ctx, attributes.sets, row.proconfig)
    ctx.rows.update("pg_proc", row, **values)
    ctx.changes.touch(row.oid)
    return _tag(node.objtype)


def rename_routine(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType, new: str) -> str:
    """ALTER … RENAME TO."""
    row = owned_as_object(ctx, node, kind)
    _check_create(ctx, row.pronamespace)
    _check_free(ctx, row, new, row.pronamespace)
    with texts_follow(ctx, [row.proname], (CLASS_PROC, row.oid)):
        ctx.rows.update("pg_proc", row, proname=new)
        ctx.changes.touch(row.oid)
    return _tag(kind)


def set_routine_schema(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType, schema: str) -> str:
    """ALTER … SET SCHEMA."""
    find_routine(ctx, node, kind)
    namespace = ctx.view.schema_oid(schema)
    _check_create(ctx, namespace)
    row = owned_as_object(ctx, node, kind)
    if namespace == row.pronamespace:
        return _tag(kind)
    if schema.startswith("pg_temp"):
        raise NotSupported("cannot move objects into or out of temporary schemas")
    _check_free(ctx, row, row.proname, namespace)
    with texts_follow(ctx, [row.proname], (CLASS_PROC, row.oid)):
        ctx.rows.update("pg_proc", row, pronamespace=namespace)
        ctx.changes.touch(row.oid)
    for record in ctx.rows.find("pg_depend", classid=CLASS_PROC, objid=row.oid):
        if record.refclassid == CLASS_NAMESPACE and record.refobjid == row.pronamespace:
            ctx.rows.delete("pg_depend", record)
    ctx.depend((CLASS_PROC, row.oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.changes.touch(row.oid)
    return _tag(kind)


def alter_depends(ctx: DdlContext, node: ast.AlterObjectDependsStmt) -> str:
    """ALTER … [NO] DEPENDS ON EXTENSION of routines."""
    if node.objectType not in (_O.OBJECT_FUNCTION, _O.OBJECT_PROCEDURE, _O.OBJECT_ROUTINE):
        raise NotSupported("ALTER ... DEPENDS ON EXTENSION is not supported")
    row = owned_routine(ctx, node.object, node.objectType)
    depends_on_extension(ctx, (CLASS_PROC, row.oid, 0), node.extname.sval, bool(node.remove))
    return _tag(node.objectType)


def _check_create(ctx: DdlContext, namespace: int) -> None:
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", ctx.view.layer.namespace_name(namespace) or str(namespace))


def _check_free(ctx: DdlContext, row: Record, name: str, namespace: int) -> None:
    for other in ctx.rows.find("pg_proc", proname=name):
        if other.pronamespace == namespace and list(other.proargtypes) == list(row.proargtypes):
            shown = shown_routine(ctx, name, row.proargtypes)
            schema = ctx.view.layer.namespace_name(namespace)
            raise DuplicateFunction(f'function {shown} already exists in schema "{schema}"')
