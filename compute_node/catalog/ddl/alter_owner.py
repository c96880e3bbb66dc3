"""ALTER … OWNER TO of all but relations, which come as ALTER TABLE.

Who may: an owner who is a member of the new one, which itself may create where the object is.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidSchemaName,
    InvariantViolation,
    NotSupported,
)
from compute_node.catalog.ddl import schema_objects
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.foreign import servers, wrappers
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.object_kinds import KINDS
from compute_node.catalog.ddl.ownership import give_object
from compute_node.catalog.ddl.publications import alter_publication_owner
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.routines.find import ROUTINES, owned_as_object
from compute_node.catalog.ddl.subscriptions import alter_subscription_owner
from compute_node.catalog.ddl.types import check_type_owner, find_type
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.catalog.permissions import denied
from compute_node.types.acl import CREATE

_O = enums.ObjectType


def alter_schema_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> None:
    """ALTER SCHEMA … OWNER TO: takes CREATE on the database too."""
    owner = role_oid(ctx, spec)
    record = ctx.rows.one("pg_namespace", nspname=name)
    if record is None:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    if record.nspowner == owner:
        return
    if not ctx.owns(record.nspowner):
        raise InsufficientPrivilege(f"must be owner of schema {name}")
    check_new_owner(ctx, owner)
    if not ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        raise denied("database", ctx.session.database)
    give_object(ctx, "schema", record.oid, owner)


def alter_database_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> None:
    """ALTER DATABASE … OWNER TO: takes CREATEDB."""
    owner = role_oid(ctx, spec)
    record = ctx.rows.one("pg_database", datname=name)
    if record is None:
        raise InvalidCatalogName(f'database "{name}" does not exist')
    if record.datdba == owner:
        return
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {name}")
    check_new_owner(ctx, owner)
    user = ctx.rows.one("pg_authid", oid=ctx.user_oid)
    if user is None or not (user.rolcreatedb or user.rolsuper):
        raise InsufficientPrivilege("permission denied to change owner of database")
    give_object(ctx, "database", record.oid, owner)


def alter_type_owner(ctx: DdlContext, names: Sequence[ast.String], spec: ast.RoleSpec) -> None:
    """ALTER TYPE … OWNER TO."""
    owner = role_oid(ctx, spec)
    kind = find_type(ctx, ast.TypeName(names=names))
    if kind is None:
        raise InvariantViolation("kind is not there")
    record = check_type_owner(ctx, kind.oid)
    if record.typowner != owner:
        check_new_owner(ctx, owner, record.typnamespace)
        give_object(ctx, "type", kind.oid, owner)
        ctx.changes.touch(kind.oid)


def alter_routine_owner(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType, spec: ast.RoleSpec) -> None:
    """ALTER FUNCTION / PROCEDURE / ROUTINE … OWNER TO."""
    owner = role_oid(ctx, spec)
    record = owned_as_object(ctx, node, kind)
    if record.proowner != owner:
        check_new_owner(ctx, owner, record.pronamespace)
        give_object(ctx, "function", record.oid, owner)
        ctx.changes.touch(record.oid)


def alter_large_object_owner(ctx: DdlContext, oid: int, spec: ast.RoleSpec) -> None:
    """ALTER LARGE OBJECT … OWNER TO."""
    owner = role_oid(ctx, spec)
    if large_objects.metadata(ctx.rows, oid).lomowner != owner:
        large_objects.lock_existing(ctx, oid, True)
        check_new_owner(ctx, owner)
        give_object(ctx, "large object", oid, owner)


def alter_owner(ctx: DdlContext, node: ast.AlterOwnerStmt) -> str:
    """ALTER SCHEMA / DATABASE / TYPE / DOMAIN … OWNER TO; relations come as ALTER TABLE."""
    if node.objectType == _O.OBJECT_SCHEMA:
        alter_schema_owner(ctx, node.object.sval, node.newowner)
        return "ALTER SCHEMA"
    if node.objectType == _O.OBJECT_DATABASE:
        alter_database_owner(ctx, node.object.sval, node.newowner)
        return "ALTER DATABASE"
    if node.objectType in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        alter_type_owner(ctx, node.object, node.newowner)
        return f"ALTER {node.objectType.name.removeprefix('OBJECT_')}"
    if node.objectType in ROUTINES:
        alter_routine_owner(ctx, node.object, node.objectType, node.newowner)
        return f"ALTER {node.objectType.name.removeprefix('OBJECT_')}"
    if node.objectType == _O.OBJECT_LARGEOBJECT:
        alter_large_object_owner(ctx, large_objects.number_of(node.object), node.newowner)
        return "ALTER LARGE OBJECT"
    if node.objectType == _O.OBJECT_FDW:
        return wrappers.alter_wrapper_owner(ctx, node.object.sval, node.newowner)
    if node.objectType == _O.OBJECT_FOREIGN_SERVER:
        return servers.alter_server_owner(ctx, node.object.sval, node.newowner)
    if node.objectType == _O.OBJECT_PUBLICATION:
        return alter_publication_owner(ctx, node.object.sval, node.newowner)
    if node.objectType == _O.OBJECT_SUBSCRIPTION:
        return alter_subscription_owner(ctx, node.object.sval, node.newowner)
    if (plain := KINDS.get(node.objectType)) is not None:
        return schema_objects.set_owner(ctx, plain, node.object, node.newowner)
    what = node.objectType.name.removeprefix("OBJECT_").replace("_", " ")
    raise NotSupported(f"ALTER {what} ... OWNER TO is not supported")
