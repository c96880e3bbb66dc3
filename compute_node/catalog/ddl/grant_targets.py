"""The objects that GRANT and REVOKE name, one by one or by ALL … IN SCHEMA."""

from __future__ import annotations

from typing import Any, NamedTuple

from pglast import ast, enums

from aurora.errors import (
    AmbiguousFunction,
    InvalidCatalogName,
    InvalidGrantOperation,
    NotSupported,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.typenames import format_type, resolve_type_name

_O = enums.ObjectType
ROUTINES = {_O.OBJECT_FUNCTION: "faw", _O.OBJECT_PROCEDURE: "p", _O.OBJECT_ROUTINE: "fpaw"}
"""type of object → pg_proc.prokind"""


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
        noun = node.objtype.name.removeprefix("OBJECT_").lower()
        return [Target("function", find_routine(ctx, item, node.objtype).oid, noun) for item in node.objects]
    if node.objtype in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        return [_type(ctx, names, node.objtype) for names in node.objects]
    return [_named(ctx, item.sval, node.objtype) for item in node.objects]


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


def _type(ctx: DdlContext, names: Any, kind: enums.ObjectType) -> Target:
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


def find_routine(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType) -> Record:
    """The pg_proc row that a name with argument types means; 42883, 42725."""
    parts = [item.sval for item in node.objname]
    name, schema = parts[-1], parts[-2] if len(parts) > 1 else None
    if len(parts) > 2:
        raise NotSupported("names of another database are not supported")
    spaces = [ctx.view.namespace(schema)] if schema else [ctx.view.namespace(each) for each in ctx.view.search_path]
    noun = kind.name.removeprefix("OBJECT_").lower()
    rows = [row for space in spaces for row in ctx.rows.find("pg_proc", proname=name) if row.pronamespace == space]
    fitting = [row for row in rows if row.prokind in ROUTINES[kind]]
    if node.args_unspecified:
        if len(fitting) > 1:
            raise AmbiguousFunction(
                f'{noun} name "{".".join(parts)}" is not unique',
                hint=f"Specify the argument list to select the {noun} unambiguously.",
            )
        if not fitting:
            raise UndefinedFunction(f'could not find a {noun} named "{".".join(parts)}"')
        return fitting[0]
    types = [resolve_type_name(ctx.view, each)[0] for each in node.objargs or ()]
    shown = ", ".join(format_type(ctx.view, each) for each in types)
    for row in rows:
        if list(row.proargtypes) == types:
            if row not in fitting:
                raise WrongObjectType(f"{'.'.join(parts)}({shown}) is not a {noun}")
            return row
    raise UndefinedFunction(f"{noun} {'.'.join(parts)}({shown}) does not exist")
