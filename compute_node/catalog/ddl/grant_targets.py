"""The objects that GRANT and REVOKE name, one by one or by ALL … IN SCHEMA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pglast import ast, enums

from aurora.errors import (
    InvalidCatalogName,
    InvalidGrantOperation,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.routines.find import NOUNS, ROUTINES, find_routine
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.typenames import resolve_type_name

_O = enums.ObjectType


class Target(NamedTuple):
    """One object: a relation by its descriptor, another by kind (of ``rights.OBJECTS``) and OID. ``noun`` is how
    messages name its kind."""

    kind: str
    oid: int
    noun: str
    desc: RelationDesc | None = None


def grant_targets(ctx: DdlContext, node: ast.GrantStmt) -> list[Target]:
    """What a statement names, in its order. Raises what is missing."""
    if node.targtype == enums.GrantTargetType.ACL_TARGET_ALL_IN_SCHEMA:
        return _all_in_schemas(ctx, [item.sval for item in node.objects], node.objtype)
    if node.objtype in (_O.OBJECT_TABLE, _O.OBJECT_SEQUENCE):
        return [_relation(ctx, item) for item in node.objects]
    if node.objtype in ROUTINES:
        noun = NOUNS[node.objtype]
        return [Target("function", find_routine(ctx, item, node.objtype).oid, noun) for item in node.objects]
    if node.objtype in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        return [_type(ctx, names, node.objtype) for names in node.objects]
    if node.objtype == _O.OBJECT_LARGEOBJECT:
        return [_large_object(ctx, item) for item in node.objects]
    return [_named(ctx, item.sval, node.objtype) for item in node.objects]


def _large_object(ctx: DdlContext, item: ast.Node) -> Target:
    oid = large_objects.number_of(item)
    return Target(large_objects.KIND, int(large_objects.metadata(ctx.rows, oid).oid), large_objects.KIND)


def _relation(ctx: DdlContext, name: ast.RangeVar) -> Target:
    desc = ctx.find(name)
    if desc is None:
        raise UndefinedObject(f'relation "{name.relname}" does not exist')
    return Target("relation", desc.oid, "table", desc)


def _all_in_schemas(ctx: DdlContext, schemas: list[str], kind: enums.ObjectType) -> list[Target]:
    found = []
    for schema in schemas:
        namespace = ctx.view.namespace(schema)
        if kind in ROUTINES:
            for row in ctx.rows.find("pg_proc"):
                if row.pronamespace == namespace and row.prokind in ROUTINES[kind]:
                    found.append(Target("function", row.oid, kind.name.removeprefix("OBJECT_").lower()))
            continue
        kinds = "S" if kind == _O.OBJECT_SEQUENCE else "rvmfp"
        for row in ctx.rows.find("pg_class"):
            if row.relnamespace == namespace and row.relkind in kinds:
                desc = ctx.view.relation(row.oid)
                if desc is not None:
                    found.append(Target("relation", row.oid, "table", desc))
    return found


def _named(ctx: DdlContext, name: str, kind: enums.ObjectType) -> Target:
    if kind == _O.OBJECT_SCHEMA:
        return Target("schema", ctx.view.schema_oid(name), "schema")
    if kind == _O.OBJECT_DATABASE:
        record = ctx.rows.one("pg_database", datname=name)
        if record is None:
            raise InvalidCatalogName(f'database "{name}" does not exist')
        return Target("database", record.oid, "database")
    if kind == _O.OBJECT_LANGUAGE:
        record = ctx.rows.one("pg_language", lanname=name)
        if record is None:
            raise UndefinedObject(f'language "{name}" does not exist')
        if not record.lanpltrusted:
            raise WrongObjectType(
                f'language "{name}" is not trusted',
                detail="GRANT and REVOKE are not allowed on untrusted languages, because only superusers can use "
                "untrusted languages.",
            )
        return Target("language", record.oid, "language")
    catalog, column, noun = {
        _O.OBJECT_TABLESPACE: ("pg_tablespace", "spcname", "tablespace"),
        _O.OBJECT_FDW: ("pg_foreign_data_wrapper", "fdwname", "foreign-data wrapper"),
        _O.OBJECT_FOREIGN_SERVER: ("pg_foreign_server", "srvname", "foreign server"),
    }[kind]
    record = ctx.rows.one(catalog, **{column: name})
    if record is None:
        shown = "server" if kind == _O.OBJECT_FOREIGN_SERVER else noun
        raise UndefinedObject(f'{shown} "{name}" does not exist')
    return Target(noun, record.oid, noun)


def _type(ctx: DdlContext, names: Sequence[ast.String], kind: enums.ObjectType) -> Target:
    node = ast.TypeName(names=names, typemod=-1, location=-1)
    oid = resolve_type_name(ctx.view, node)[0]
    item = ctx.view.type(oid)
    if kind == _O.OBJECT_DOMAIN and item.kind != "d":
        raise WrongObjectType(f'"{item.name}" is not a domain')
    if item.element and item.length == -1:
        raise InvalidGrantOperation(
            "cannot set privileges of array types", hint="Set the privileges of the element type instead."
        )
    return Target("type", oid, "type")
