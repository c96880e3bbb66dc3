"""REASSIGN OWNED, DROP OWNED, and what all changes of an owner do: objects get another one, and their lists with them.

Who may: an owner who is a member of the new one, which itself may create where the object is. Source: PostgreSQL
manual, ch. 22.4 and the reference pages of ALTER TABLE, REASSIGN OWNED, DROP OWNED.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    NotSupported,
)
from compute_node.catalog.ddl import default_privileges, parameter_grants, policies, shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_DATABASE,
    CLASS_DEFAULT_ACL,
    CLASS_EXTENSION,
    CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER,
    CLASS_NAMESPACE,
    CLASS_PARAMETER_ACL,
    CLASS_PROC,
    CLASS_PUBLICATION,
    CLASS_RELATION,
    CLASS_SUBSCRIPTION,
    CLASS_TYPE,
    CLASS_USER_MAPPING,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address, drop
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.object_kinds import KINDS
from compute_node.catalog.ddl.publications import give_publication
from compute_node.catalog.ddl.relation import attribute_record, class_record
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.shared_depend import ACL, FIRST_UNPINNED_OID, OWNER
from compute_node.catalog.ddl.subscriptions import give_subscription
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.catalog.rights import CLASSES, OBJECTS
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.types import acl
from compute_node.types.acl import Acl, decode_all

_O = enums.ObjectType
_WITHOUT_LIST = {kind.class_oid: kind for kind in KINDS.values() if kind.has_owner}
"""Objects that have an owner and no privileges, by their catalog"""
_DROPPED = (
    CLASS_RELATION, CLASS_NAMESPACE, CLASS_TYPE, CLASS_PROC, CLASS_EXTENSION, CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER, CLASS_USER_MAPPING, CLASS_PUBLICATION, *_WITHOUT_LIST,
)  # fmt: skip
_KIND_OF: dict[int, str] = {class_oid: kind for kind, class_oid in CLASSES.items()}


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


def _give_plain(ctx: DdlContext, class_oid: int, oid: int, owner: int) -> None:
    kind = _WITHOUT_LIST[class_oid]
    record = ctx.rows.one(kind.catalog, oid=oid)
    if record is not None:
        ctx.rows.update(kind.catalog, record, **{f"{kind.prefix}owner": owner})
        shared_depend.change_owner(ctx, class_oid, oid, owner)


def _give_extension(ctx: DdlContext, oid: int, owner: int) -> None:
    record = ctx.rows.one("pg_extension", oid=oid)
    if record is not None:
        ctx.rows.update("pg_extension", record, extowner=owner)
        shared_depend.change_owner(ctx, CLASS_EXTENSION, oid, owner)


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
        if row.classid in (CLASS_DEFAULT_ACL, CLASS_USER_MAPPING):
            continue  # they are the role's own
        if row.classid == CLASS_RELATION:
            desc = ctx.view.relation(row.objid)
            if desc is not None:
                give_relation(ctx, desc, owner)
        elif row.classid == large_objects.CLASS:
            if _locked_large_object(ctx, row) is not None:
                give_object(ctx, large_objects.KIND, row.objid, owner)
        elif row.classid in _KIND_OF:
            _reassign_object(ctx, _KIND_OF[row.classid], row.objid, owner)
        elif row.classid in _WITHOUT_LIST:
            _give_plain(ctx, row.classid, row.objid, owner)
        elif row.classid == CLASS_EXTENSION:
            _give_extension(ctx, row.objid, owner)
        elif row.classid == CLASS_PUBLICATION:
            if (record := ctx.rows.one("pg_publication", oid=row.objid)) is not None:
                give_publication(ctx, record, owner)
        elif row.classid == CLASS_SUBSCRIPTION:
            record = ctx.rows.one("pg_subscription", oid=row.objid)
            if record is not None and record.subdbid == ctx.view.layer.database_oid:
                give_subscription(ctx, record, owner)
        else:
            raise NotSupported(f"REASSIGN OWNED of objects of catalog {row.classid} is not supported")
    ctx.changes.touch()
    return "REASSIGN OWNED"


def _reassign_object(ctx: DdlContext, kind: str, oid: int, owner: int) -> None:
    """An object with privileges; 42501 for a wrapper, which superusers alone own."""
    if kind == "foreign-data wrapper" and not ctx.view.rights(owner).superuser:
        record = ctx.rows.one("pg_foreign_data_wrapper", oid=oid)
        name = oid if record is None else record.fdwname
        raise InsufficientPrivilege(
            f'permission denied to change owner of foreign-data wrapper "{name}"',
            hint="The owner of a foreign-data wrapper must be a superuser.",
        )
    give_object(ctx, kind, oid, owner)


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
        if row.classid == CLASS_DEFAULT_ACL:
            defaults = ctx.rows.one("pg_default_acl", oid=row.objid)
            if row.deptype == ACL:
                default_privileges.without_grantee(ctx, row.objid, row.refobjid)
            elif defaults is not None:
                default_privileges.remove(ctx, defaults)
        elif row.classid == CLASS_PARAMETER_ACL:
            parameter_grants.without_grantee(ctx, row.objid, partial(_without, ctx, row.refobjid))
        elif row.deptype == ACL:
            _revoke_all(ctx, row.classid, row.objid, row.objsubid, row.refobjid)
        elif row.deptype == shared_depend.POLICY:
            if policies.forget_role(ctx, row.objid, row.refobjid):
                targets.append((row.classid, row.objid, 0))
        elif row.classid == large_objects.CLASS:
            if (record := _locked_large_object(ctx, row)) is not None:
                large_objects.remove(ctx, record)
        elif row.classid in _DROPPED:
            targets.append((row.classid, row.objid, row.objsubid))
        elif row.classid not in (CLASS_DATABASE, CLASS_SUBSCRIPTION):
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


def _without(ctx: DdlContext, role: int, items: Acl, owner: int) -> Acl:
    return without_role(ctx, items, owner, role)


def without_role(ctx: DdlContext, items: Acl, owner: int, role: int) -> Acl:
    """A list without what a role was given, cascading to what it gave."""
    for item in items:
        if item.grantee == role:
            taken = item._replace(options=item.privileges | item.options)
            items = acl.revoke(items, owner, taken, ctx.rights.graph, cascade=True)
    return items
