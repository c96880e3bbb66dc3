"""Objects that are one catalog row in a schema, with an owner and no privileges: collations, conversions, operators,
operator classes and families, what text search is made of. What RENAME, SET SCHEMA, OWNER TO, COMMENT ON and DROP do
with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidParameterValue,
    InvalidSchemaName,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_NAMESPACE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.ddl.functions import argument_types
from compute_node.catalog.ddl.kept_texts import texts_follow
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.object_kinds import SchemaObject
from compute_node.catalog.ddl.operators import find_operator, shown_operator
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.types.acl import CREATE

Named: TypeAlias = Sequence[ast.String] | ast.ObjectWithArgs
"""A name, with the access method before it where the kind has one; or an operator with the types of its arguments."""


def _words(kind: SchemaObject, named: Named) -> Sequence[ast.String]:
    """The name alone."""
    if isinstance(named, ast.ObjectWithArgs):
        names: Sequence[ast.String] = named.objname
        return names
    return named[1:] if kind.has_method else named


def _of_method(kind: SchemaObject, named: Named) -> str:
    return (
        f' for access method "{named[0].sval}"' if kind.has_method and not isinstance(named, ast.ObjectWithArgs) else ""
    )


def dotted(names: Sequence[ast.String]) -> str:
    """The name as it is written."""
    return ".".join(item.sval for item in names)


def find(ctx: DdlContext, kind: SchemaObject, named: Named, missing_ok: bool = False) -> Record | None:
    """Its row: the first on the search path without a schema. 42704, 42883, 3F000."""
    if isinstance(named, ast.ObjectWithArgs):
        return _find_operator(ctx, named)
    names = _words(kind, named)
    key: dict[str, object] = {f"{kind.prefix}name": names[-1].sval}
    if kind.has_method:
        method = ctx.view.access_method(named[0].sval)
        if method is None:
            raise UndefinedObject(f'access method "{named[0].sval}" does not exist')
        key[f"{kind.prefix}method"] = method
    schema = names[-2].sval if len(names) > 1 else None
    if schema is not None and ctx.view.layer.namespace_oid(schema) is None:
        if missing_ok:
            return None
        raise InvalidSchemaName(f'schema "{schema}" does not exist')
    rows = ctx.rows.find(kind.catalog, **key)
    for namespace in [ctx.view.namespace(schema)] if schema is not None else [oid for _, oid in ctx.view.path]:
        for row in rows:
            if getattr(row, f"{kind.prefix}namespace") == namespace:
                return row
    if missing_ok:
        return None
    what = kind.encoding or _of_method(kind, named)
    if kind.has_method:
        raise UndefinedObject(f'{kind.noun} "{dotted(names)}" does not exist{what}')
    raise UndefinedObject(f'{kind.noun} "{dotted(names)}"{what} does not exist')


def _find_operator(ctx: DdlContext, named: ast.ObjectWithArgs) -> Record | None:
    left, right = argument_types(ctx, named) or [0, 0]
    found = find_operator(ctx, named.objname, left, right)
    if found is None:
        raise UndefinedFunction(f"operator does not exist: {shown_operator(ctx, dotted(named.objname), left, right)}")
    return ctx.rows.one("pg_operator", oid=found.oid)


def owned(ctx: DdlContext, kind: SchemaObject, named: Named) -> Record:
    """Its row; 42501 for who does not own it."""
    row, name = find(ctx, kind, named), dotted(_words(kind, named))
    if row is None:
        raise UndefinedObject(f'{kind.noun} "{name}" does not exist')
    if not _owns(ctx, kind, row):
        raise InsufficientPrivilege(f"must be owner of {kind.noun} {name}" if kind.has_owner else "must be superuser")
    return row


def _owns(ctx: DdlContext, kind: SchemaObject, row: Record) -> bool:
    return ctx.owns(getattr(row, f"{kind.prefix}owner")) if kind.has_owner else ctx.rights.superuser


def check_free(ctx: DdlContext, kind: SchemaObject, namespace: int, name: str, like: Record | None = None) -> None:
    """42710 when the schema has one of that name, and of the access method or the argument types of ``like``."""
    same = ("method",) if kind.has_method else ("left", "right") if kind.prefix == "opr" else ()
    key = {f"{kind.prefix}{word}": getattr(like, f"{kind.prefix}{word}") for word in same if like is not None}
    taken = ctx.rows.find(kind.catalog, **{f"{kind.prefix}name": name, f"{kind.prefix}namespace": namespace}, **key)
    if taken:
        schema = ctx.view.layer.namespace_name(namespace)
        of = kind.encoding if getattr(taken[0], "collencoding", -1) != -1 else ""
        if kind.has_method and like is not None:
            method = ctx.rows.one("pg_am", oid=getattr(like, f"{kind.prefix}method"))
            of = "" if method is None else f' for access method "{method.amname}"'
        raise DuplicateObject(f'{kind.noun} "{name}"{of} already exists in schema "{schema}"')


def rename(ctx: DdlContext, kind: SchemaObject, names: Named, new: str) -> str:
    """ALTER … RENAME TO."""
    row = owned(ctx, kind, names)
    namespace = getattr(row, f"{kind.prefix}namespace")
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", ctx.view.layer.namespace_name(namespace) or "")
    check_free(ctx, kind, namespace, new, row)
    with texts_follow(ctx, [getattr(row, f"{kind.prefix}name")], (kind.class_oid, row.oid)):
        ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}name": new})
        ctx.changes.touch()
    return kind.tag


def set_schema(ctx: DdlContext, kind: SchemaObject, names: Named, schema: str) -> str:
    """ALTER … SET SCHEMA."""
    row = owned(ctx, kind, names)
    namespace = ctx.view.schema_oid(schema)
    if namespace == getattr(row, f"{kind.prefix}namespace"):
        return kind.tag
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", schema)
    check_free(ctx, kind, namespace, getattr(row, f"{kind.prefix}name"), row)
    with texts_follow(ctx, [getattr(row, f"{kind.prefix}name")], (kind.class_oid, row.oid)):
        ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}namespace": namespace})
        for record in ctx.rows.find("pg_depend", classid=kind.class_oid, objid=row.oid, objsubid=0):
            if record.refclassid == CLASS_NAMESPACE:
                ctx.rows.update("pg_depend", record, refobjid=namespace)
        ctx.changes.touch()
    return kind.tag


def set_owner(ctx: DdlContext, kind: SchemaObject, names: Named, spec: ast.RoleSpec) -> str:
    """ALTER … OWNER TO."""
    owner = role_oid(ctx, spec)
    row = owned(ctx, kind, names)
    if getattr(row, f"{kind.prefix}owner") != owner:
        check_new_owner(ctx, owner, getattr(row, f"{kind.prefix}namespace"))
        ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}owner": owner})
        shared_depend.change_owner(ctx, kind.class_oid, row.oid, owner)
        ctx.changes.touch()
    return kind.tag


def security_label(ctx: DdlContext, node: ast.SecLabelStmt) -> str:
    """SECURITY LABEL: 22023, for no provider of labels can be loaded."""
    if node.provider is None:
        raise InvalidParameterValue("no security label providers have been loaded")
    raise InvalidParameterValue(f'security label provider "{node.provider}" is not loaded')


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
