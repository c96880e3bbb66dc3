"""Objects that are one catalog row in a schema, with an owner and no privileges: collations, conversions, and what text
search is made of. What RENAME, SET SCHEMA, OWNER TO, COMMENT ON and DROP do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pglast import ast, enums

from aurora.errors import DuplicateObject, InsufficientPrivilege, InvalidSchemaName, UndefinedObject
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_CONVERSION,
    CLASS_NAMESPACE,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TS_PARSER,
    CLASS_TS_TEMPLATE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.ddl.ownership import check_new_owner
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.types.acl import CREATE

_O = enums.ObjectType


class SchemaObject(NamedTuple):
    """A kind: its catalog, what its columns' names begin with, and how messages call it."""

    catalog: str
    prefix: str
    noun: str
    class_oid: int
    encoding: str = ""
    """what is said of one that is not there"""
    has_owner: bool = True
    """the others are superusers'"""


KINDS: dict[enums.ObjectType, SchemaObject] = {
    _O.OBJECT_COLLATION: SchemaObject("pg_collation", "coll", "collation", CLASS_COLLATION, ' for encoding "UTF8"'),
    _O.OBJECT_CONVERSION: SchemaObject("pg_conversion", "con", "conversion", CLASS_CONVERSION),
    _O.OBJECT_TSCONFIGURATION: SchemaObject("pg_ts_config", "cfg", "text search configuration", CLASS_TS_CONFIGURATION),
    _O.OBJECT_TSDICTIONARY: SchemaObject("pg_ts_dict", "dict", "text search dictionary", CLASS_TS_DICTIONARY),
    _O.OBJECT_TSPARSER: SchemaObject("pg_ts_parser", "prs", "text search parser", CLASS_TS_PARSER, has_owner=False),
    _O.OBJECT_TSTEMPLATE: SchemaObject(
        "pg_ts_template", "tmpl", "text search template", CLASS_TS_TEMPLATE, has_owner=False
    ),
}


def dotted(names: Sequence[ast.String]) -> str:
    """The name as it is written."""
    return ".".join(item.sval for item in names)


def find(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String], missing_ok: bool = False) -> Record | None:
    """Its row: the first on the search path without a schema. 42704, 3F000."""
    schema = names[-2].sval if len(names) > 1 else None
    if schema is not None and ctx.view.layer.namespace_oid(schema) is None:
        if missing_ok:
            return None
        raise InvalidSchemaName(f'schema "{schema}" does not exist')
    named = ctx.rows.find(kind.catalog, **{f"{kind.prefix}name": names[-1].sval})
    for namespace in [ctx.view.namespace(schema)] if schema is not None else [oid for _, oid in ctx.view.path]:
        for row in named:
            if getattr(row, f"{kind.prefix}namespace") == namespace:
                return row
    if missing_ok:
        return None
    raise UndefinedObject(f'{kind.noun} "{dotted(names)}"{kind.encoding} does not exist')


def owned(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String]) -> Record:
    """Its row; 42501 for who does not own it."""
    row = find(ctx, kind, names)
    if row is None:
        raise UndefinedObject(f'{kind.noun} "{dotted(names)}" does not exist')
    if not _owns(ctx, kind, row):
        raise InsufficientPrivilege(
            f"must be owner of {kind.noun} {dotted(names)}" if kind.has_owner else "must be superuser"
        )
    return row


def _owns(ctx: DdlContext, kind: SchemaObject, row: Record) -> bool:
    return ctx.owns(getattr(row, f"{kind.prefix}owner")) if kind.has_owner else ctx.rights.superuser


def check_free(ctx: DdlContext, kind: SchemaObject, namespace: int, name: str) -> None:
    """42710 when the schema has one of that name."""
    taken = ctx.rows.find(kind.catalog, **{f"{kind.prefix}name": name, f"{kind.prefix}namespace": namespace})
    if taken:
        schema = ctx.view.layer.namespace_name(namespace)
        raise DuplicateObject(f'{kind.noun} "{name}" already exists in schema "{schema}"')


def rename(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String], new: str) -> str:
    """ALTER … RENAME TO."""
    row = owned(ctx, kind, names)
    namespace = getattr(row, f"{kind.prefix}namespace")
    check_free(ctx, kind, namespace, new)
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", ctx.view.layer.namespace_name(namespace) or "")
    ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}name": new})
    ctx.changes.touch()
    return f"ALTER {kind.noun.upper()}"


def set_schema(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String], schema: str) -> str:
    """ALTER … SET SCHEMA."""
    row = owned(ctx, kind, names)
    namespace = ctx.view.schema_oid(schema)
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", schema)
    if namespace != getattr(row, f"{kind.prefix}namespace"):
        check_free(ctx, kind, namespace, getattr(row, f"{kind.prefix}name"))
        ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}namespace": namespace})
        for record in ctx.rows.find("pg_depend", classid=kind.class_oid, objid=row.oid, objsubid=0):
            if record.refclassid == CLASS_NAMESPACE:
                ctx.rows.update("pg_depend", record, refobjid=namespace)
        ctx.changes.touch()
    return f"ALTER {kind.noun.upper()}"


def set_owner(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String], spec: ast.RoleSpec) -> str:
    """ALTER … OWNER TO."""
    owner = role_oid(ctx, spec)
    row = owned(ctx, kind, names)
    if getattr(row, f"{kind.prefix}owner") != owner:
        check_new_owner(ctx, owner, getattr(row, f"{kind.prefix}namespace"))
        ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}owner": owner})
        shared_depend.change_owner(ctx, kind.class_oid, row.oid, owner)
        ctx.changes.touch()
    return f"ALTER {kind.noun.upper()}"


def dropped(ctx: DdlContext, kind: SchemaObject, names: Sequence[ast.String], missing_ok: bool) -> Address | None:
    """What DROP names; None, with a notice, where it is not there and need not be."""
    if missing_ok and find(ctx, kind, names, True) is None:
        if len(names) > 1 and ctx.view.layer.namespace_oid(names[-2].sval) is None:
            ctx.notice(f'schema "{names[-2].sval}" does not exist, skipping')
        else:
            ctx.notice(f'{kind.noun} "{dotted(names)}" does not exist, skipping')
        return None
    row = find(ctx, kind, names)
    if row is None:
        return None
    if not _owns(ctx, kind, row) and not ctx.owns_schema(getattr(row, f"{kind.prefix}namespace")):
        raise InsufficientPrivilege(
            f"must be owner of {kind.noun} {dotted(names)}" if kind.has_owner else "must be superuser"
        )
    return kind.class_oid, row.oid, 0


def shown(ctx: DdlContext, kind: SchemaObject, oid: int) -> str:
    """As messages name it."""
    row = ctx.rows.one(kind.catalog, oid=oid)
    if row is None:
        return f"{kind.noun} {oid}"
    return f"{kind.noun} {getattr(row, f'{kind.prefix}name')}"
