"""ALTER … OWNER TO, REASSIGN OWNED, DROP OWNED: objects get another owner, and their lists with them.

Who may: an owner who is a member of the new one, which itself may create where the object is. Source: PostgreSQL
manual, ch. 22.4 and the reference pages of ALTER TABLE, REASSIGN OWNED, DROP OWNED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidSchemaName,
    InvariantViolation,
    NotSupported,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_CONVERSION,
    CLASS_DATABASE,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address, drop
from compute_node.catalog.ddl.relation import attribute_record, class_record
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.routines.find import ROUTINES, owned_as_object
from compute_node.catalog.ddl.shared_depend import ACL, FIRST_UNPINNED_OID, OWNER
from compute_node.catalog.ddl.types import check_type_owner, find_type
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.catalog.permissions import denied
from compute_node.catalog.rights import CLASSES, OBJECTS
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.types import acl
from compute_node.types.acl import CREATE, Acl, decode_all

_O = enums.ObjectType
_WITHOUT_LIST = {
    CLASS_OPERATOR: ("pg_operator", "oprowner"),
    CLASS_OPCLASS: ("pg_opclass", "opcowner"),
    CLASS_OPFAMILY: ("pg_opfamily", "opfowner"),
    CLASS_COLLATION: ("pg_collation", "collowner"),
    CLASS_CONVERSION: ("pg_conversion", "conowner"),
    CLASS_TS_CONFIGURATION: ("pg_ts_config", "cfgowner"),
    CLASS_TS_DICTIONARY: ("pg_ts_dict", "dictowner"),
}
"""Classes of objects that have an owner and no privileges → their catalog, and there the owner's column."""
_DROPPED = (CLASS_RELATION, CLASS_NAMESPACE, CLASS_TYPE, CLASS_PROC, *_WITHOUT_LIST)
_KIND_OF: dict[int, str] = {class_oid: kind for kind, class_oid in CLASSES.items()}


def check_new_owner(ctx: DdlContext, owner: int, namespace: int | None = None) -> None:
    """Whether the user may give an object to a role: a member of it, and it may create in the schema."""
    if ctx.rights.superuser:
        return
    if not ctx.rights.graph.is_member(ctx.user_oid, owner):
        raise InsufficientPrivilege(f'must be member of role "{ctx.view.layer.role_name(owner)}"')
    if namespace is not None and not ctx.view.rights(owner).schema(namespace, CREATE):
        raise denied("schema", ctx.view.layer.namespace_name(namespace) or str(namespace))


def change_relation_owner(ctx: DdlContext, desc: RelationDesc, spec: ast.RoleSpec) -> None:
    """ALTER TABLE … OWNER TO; the caller has checked who owns it."""
    owner = role_oid(ctx, spec)
    if owner == desc.owner:
        return
    check_new_owner(ctx, owner, desc.namespace)
    give_relation(ctx, desc, owner)


def give_relation(ctx: DdlContext, desc: RelationDesc, owner: int) -> None:
    """A relation, its indexes, TOAST table, row type and the sequences of its columns belong to another role."""
    parts = [index.oid for index in desc.indexes]
    if desc.toast is not None:
        parts += [desc.toast.oid, *(index.oid for index in desc.toast.indexes)]
    for oid in parts:
        ctx.rows.update("pg_class", class_record(ctx, oid), relowner=owner)
    record = class_record(ctx, desc.oid)
    values: dict[str, Datum] = {"relowner": owner}
    if desc.acl is not None:
        values["relacl"] = acl.encode_all(acl.change_owner(desc.acl, desc.owner, owner))
    ctx.rows.update("pg_class", record, **values)
    for column in desc.columns:
        if column.acl is not None:
            changed = acl.change_owner(column.acl, desc.owner, owner)
            ctx.rows.update(
                "pg_attribute", attribute_record(ctx, desc.oid, column.attno), attacl=acl.encode_all(changed)
            )
    for row in ctx.rows.find("pg_type", oid=desc.row_type):
        ctx.rows.update("pg_type", row, typowner=owner)
        for array in ctx.rows.find("pg_type", oid=row.typarray):
            ctx.rows.update("pg_type", array, typowner=owner)
    shared_depend.change_owner(ctx, CLASS_RELATION, desc.oid, owner)
    ctx.changes.touch(desc.oid, *parts)
    for row in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid):
        owned = ctx.view.relation(row.objid) if row.classid == CLASS_RELATION and row.refobjsubid else None
        if owned is not None and owned.kind == "S" and row.deptype in "ai":
            give_relation(ctx, owned, owner)


def give_object(ctx: DdlContext, kind: str, oid: int, owner: int) -> None:
    """An object of a kind in ``rights.OBJECTS`` belongs to another role."""
    catalog, key, _, owner_column, acl_column = OBJECTS[kind]
    record = ctx.rows.one(catalog, **{key: oid})
    if record is None:
        raise NotSupported(f"{kind} {oid} has been dropped meanwhile")
    before = getattr(record, owner_column)
    items = decode_all(getattr(record, acl_column))
    values: dict[str, Datum] = {owner_column: owner}
    if items is not None:
        values[acl_column] = acl.encode_all(acl.change_owner(items, before, owner))
    ctx.rows.update(catalog, record, **values)
    if kind == "type" and record.typarray:
        for array in ctx.rows.find("pg_type", oid=record.typarray):
            ctx.rows.update("pg_type", array, typowner=owner)
    if kind == "type" and record.typtype == "r":
        for row in ctx.rows.find("pg_range", rngtypid=oid):
            give_object(ctx, "type", row.rngmultitypid, owner)
    if kind == "type" and record.typtype == "c":
        ctx.rows.update("pg_class", class_record(ctx, record.typrelid), relowner=owner)
        ctx.changes.touch(record.typrelid)
    shared_depend.change_owner(ctx, CLASSES[kind], oid, owner)
    ctx.changes.touch()


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
    from compute_node.catalog.ddl import schema_objects  # builds on this module

    if (plain := schema_objects.KINDS.get(node.objectType)) is not None:
        return schema_objects.set_owner(ctx, plain, node.object, node.newowner)
    what = node.objectType.name.removeprefix("OBJECT_").replace("_", " ")
    raise NotSupported(f"ALTER {what} ... OWNER TO is not supported")


def _give_plain(ctx: DdlContext, class_oid: int, oid: int, owner: int) -> None:
    catalog, column = _WITHOUT_LIST[class_oid]
    record = ctx.rows.one(catalog, oid=oid)
    if record is not None:
        ctx.rows.update(catalog, record, **{column: owner})
        shared_depend.change_owner(ctx, class_oid, oid, owner)


def _owned_roles(ctx: DdlContext, specs: Any, what: str) -> list[int]:
    """The roles of DROP OWNED and REASSIGN OWNED, whose privileges the user must have."""
    roles = [role_oid(ctx, spec) for spec in specs]
    for role in roles:
        if not ctx.rights.has_role(role):
            raise InsufficientPrivilege(f"permission denied to {what}")
    for role in roles:
        if role < FIRST_UNPINNED_OID:
            raise DependentObjectsStillExist(
                f"cannot {'drop' if what == 'drop objects' else 'reassign ownership of'} objects owned by role "
                f"{ctx.view.layer.role_name(role)} because they are required by the database system"
            )
    return roles


def reassign_owned(ctx: DdlContext, node: ast.ReassignOwnedStmt) -> str:
    """REASSIGN OWNED BY … TO: what the roles own in this database, and the shared objects."""
    roles = _owned_roles(ctx, node.roles, "reassign objects")
    owner = role_oid(ctx, node.newrole)
    if not ctx.rights.has_role(owner):
        raise InsufficientPrivilege("permission denied to reassign objects")
    for row in shared_depend.dependents(ctx, roles):
        if row.deptype != OWNER or row.dbid not in (0, ctx.view.layer.database_oid):
            continue
        if row.classid == CLASS_RELATION:
            desc = ctx.view.relation(row.objid)
            if desc is not None:
                give_relation(ctx, desc, owner)
        elif row.classid == large_objects.CLASS:
            if _locked_large_object(ctx, row) is not None:
                give_object(ctx, large_objects.KIND, row.objid, owner)
        elif row.classid in _KIND_OF:
            give_object(ctx, _KIND_OF[row.classid], row.objid, owner)
        elif row.classid in _WITHOUT_LIST:
            _give_plain(ctx, row.classid, row.objid, owner)
        else:
            raise NotSupported(f"REASSIGN OWNED of objects of catalog {row.classid} is not supported")
    ctx.changes.touch()
    return "REASSIGN OWNED"


def _locked_large_object(ctx: DdlContext, row: Record) -> Record | None:
    """The large object of a row of pg_shdepend; None when somebody has removed it, or given it away, meanwhile."""
    large_objects.lock(ctx, row.objid)
    record = ctx.rows.one("pg_largeobject_metadata", oid=row.objid)
    return record if record is not None and record.lomowner == row.refobjid else None


def drop_owned(ctx: DdlContext, node: ast.DropOwnedStmt) -> str:
    """DROP OWNED BY: what the roles own goes, and the privileges that they were given."""
    roles = _owned_roles(ctx, node.roles, "drop objects")
    targets: list[Address] = []
    for row in shared_depend.dependents(ctx, roles):
        if row.dbid not in (0, ctx.view.layer.database_oid):
            continue
        if row.deptype == ACL:
            _revoke_all(ctx, row.classid, row.objid, row.objsubid, row.refobjid)
        elif row.classid == large_objects.CLASS:
            if (record := _locked_large_object(ctx, row)) is not None:
                large_objects.remove(ctx, record)
        elif row.classid in _DROPPED:
            targets.append((row.classid, row.objid, row.objsubid))
        elif row.classid != CLASS_DATABASE:
            raise NotSupported(f"DROP OWNED of objects of catalog {row.classid} is not supported")
    if targets:
        drop(ctx, targets, cascade=node.behavior == enums.DropBehavior.DROP_CASCADE)
    ctx.changes.touch()
    return "DROP OWNED"


def _revoke_all(ctx: DdlContext, class_oid: int, oid: int, column: int, role: int) -> None:
    """A role loses all that it was given on an object, and what it gave on."""
    if class_oid == CLASS_RELATION:
        desc = ctx.view.relation(oid)
        if desc is None:
            return
        stored = desc.columns[column - 1].acl if column else desc.acl
        if stored is None:
            return
        new = without_role(ctx, stored, desc.owner, role)
        if column:
            record = attribute_record(ctx, oid, column)
            ctx.rows.update("pg_attribute", record, attacl=acl.encode_all(new) if new else None)
        else:
            ctx.rows.update("pg_class", class_record(ctx, oid), relacl=acl.encode_all(new))
        shared_depend.change_acl(ctx, (class_oid, oid, column), desc.owner, stored, new)
        ctx.changes.touch(oid)
        return
    if class_oid == large_objects.CLASS:
        large_objects.lock(ctx, oid)
    catalog, key, _, owner_column, acl_column = OBJECTS[_KIND_OF[class_oid]]
    row = ctx.rows.one(catalog, **{key: oid})
    items = None if row is None else decode_all(getattr(row, acl_column))
    if row is None or items is None:
        return
    owner = getattr(row, owner_column)
    new = without_role(ctx, items, owner, role)
    ctx.rows.update(catalog, row, **{acl_column: acl.encode_all(new)})
    shared_depend.change_acl(ctx, (class_oid, oid, 0), owner, items, new)


def without_role(ctx: DdlContext, items: Acl, owner: int, role: int) -> Acl:
    """A list without what a role was given, cascading to what it gave."""
    for item in items:
        if item.grantee == role:
            taken = item._replace(options=item.privileges | item.options)
            items = acl.revoke(items, owner, taken, ctx.rights.graph, cascade=True)
    return items
