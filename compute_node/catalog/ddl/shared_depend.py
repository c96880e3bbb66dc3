"""pg_shdepend: which objects a role owns or has privileges on, so that it is not dropped under them.

An object is (class OID, OID, column). Objects of shared catalogs have database 0. Roles that every cluster has are
pinned and need no rows. Source: PostgreSQL manual, ch. 53.48.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from aurora.errors import InvariantViolation
from compute_node.catalog.ddl.context import (
    CLASS_AUTHID,
    CLASS_DATABASE,
    CLASS_NAMESPACE,
    CLASS_PARAMETER_ACL,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_SUBSCRIPTION,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.rows import Record
from compute_node.relations.schema import CATALOGS
from compute_node.types.acl import Acl, acl_default, added, decode_all, encode_all, roles_of

FIRST_UNPINNED_OID: Final = 12000
OWNER: Final = "o"
ACL: Final = "a"
POLICY: Final = "r"

CLASS_TABLESPACE: Final = CATALOGS["pg_tablespace"].desc.oid
_SHARED: Final = (CLASS_DATABASE, CLASS_TABLESPACE, CLASS_PARAMETER_ACL, CLASS_SUBSCRIPTION)


def _database(ctx: DdlContext, class_oid: int) -> int:
    return 0 if class_oid in _SHARED else ctx.view.layer.database_oid


def _add(ctx: DdlContext, address: tuple[int, int, int], role: int, kind: str) -> None:
    if role < FIRST_UNPINNED_OID:
        return
    class_oid, oid, column = address
    ctx.rows.insert(
        "pg_shdepend",
        dbid=_database(ctx, class_oid),
        classid=class_oid,
        objid=oid,
        objsubid=column,
        refclassid=CLASS_AUTHID,
        refobjid=role,
        deptype=kind,
    )


def _of_object(ctx: DdlContext, class_oid: int, oid: int) -> list[Record]:
    return ctx.rows.find("pg_shdepend", dbid=_database(ctx, class_oid), classid=class_oid, objid=oid)


def record_owner(ctx: DdlContext, class_oid: int, oid: int, owner: int) -> None:
    """A new object belongs to a role, and comes with what the role gives by default (pg_default_acl)."""
    _add(ctx, (class_oid, oid, 0), owner, OWNER)
    given = _OF_DEFAULTS.get(class_oid)
    if given is not None:
        _give_defaults(ctx, given, class_oid, oid, owner)


def in_order(items: Acl) -> list[tuple[int, int, int, int]]:
    """A list as it is compared with another."""
    return sorted((item.grantee, item.grantor, item.privileges, item.options) for item in items)


class _Defaults(NamedTuple):
    """Where an object's list is, and of which kind."""

    catalog: str
    column: str
    namespace: str
    letter: str
    kind: str


def _give_defaults(ctx: DdlContext, given: _Defaults, class_oid: int, oid: int, owner: int) -> None:
    """The role's defaults for all schemas, and those for the object's schema added."""
    if not ctx.rows.find("pg_default_acl", defaclrole=owner):
        return
    row = ctx.rows.one(given.catalog, oid=oid)
    if row is None:
        raise InvariantViolation(f"{given.catalog} has no row {oid}")
    letter, kind = given.letter, given.kind
    if class_oid == CLASS_RELATION:
        if row.relkind not in "rpvmfS":
            return
        letter, kind = ("S", "sequence") if row.relkind == "S" else ("r", "table")
    namespace = getattr(row, given.namespace) if given.namespace else 0
    lists = {
        each.defaclnamespace: decode_all(each.defaclacl) or ()
        for each in ctx.rows.find("pg_default_acl", defaclrole=owner, defaclobjtype=letter)
    }
    usual = acl_default(kind, owner)
    items = lists.get(0, usual)
    for item in lists.get(namespace, ()) if namespace else ():
        items = added(items, item)
    if in_order(items) == in_order(usual):
        return
    items = tuple(sorted(items, key=lambda item: (item.grantee, item.grantor)))
    ctx.rows.update(given.catalog, row, **{given.column: encode_all(items)})
    change_acl(ctx, (class_oid, oid, 0), owner, None, items)


_OF_DEFAULTS: Final = {
    CLASS_RELATION: _Defaults("pg_class", "relacl", "relnamespace", "r", "table"),
    CLASS_PROC: _Defaults("pg_proc", "proacl", "pronamespace", "f", "function"),
    CLASS_TYPE: _Defaults("pg_type", "typacl", "typnamespace", "T", "type"),
    CLASS_NAMESPACE: _Defaults("pg_namespace", "nspacl", "", "n", "schema"),
}


def record_policy(ctx: DdlContext, class_oid: int, oid: int, role: int) -> None:
    """A policy is for a role."""
    _add(ctx, (class_oid, oid, 0), role, POLICY)


def forget_role(ctx: DdlContext, class_oid: int, oid: int, role: int) -> None:
    """An object has nothing to do with a role any more."""
    for row in _of_object(ctx, class_oid, oid):
        if row.refobjid == role:
            ctx.rows.delete("pg_shdepend", row)


def change_owner(ctx: DdlContext, class_oid: int, oid: int, owner: int) -> None:
    """It belongs to another role now, whose privileges on it need no row of their own."""
    for row in _of_object(ctx, class_oid, oid):
        if row.deptype == OWNER or row.refobjid == owner:
            ctx.rows.delete("pg_shdepend", row)
    _add(ctx, (class_oid, oid, 0), owner, OWNER)


def change_acl(
    ctx: DdlContext, address: tuple[int, int, int], owner: int, before: Acl | None, after: Acl | None
) -> None:
    """An object's list names other roles than before."""
    old, new = roles_of(before or ()) - {owner}, roles_of(after or ()) - {owner}
    class_oid, oid, column = address
    if gone := old - new:
        for row in _of_object(ctx, class_oid, oid):
            if row.deptype == ACL and row.objsubid == column and row.refobjid in gone:
                ctx.rows.delete("pg_shdepend", row)
    for role in sorted(new - old):
        _add(ctx, address, role, ACL)


def forget(ctx: DdlContext, class_oid: int, oid: int, column: int = 0) -> None:
    """The object, or a column of it, has been dropped."""
    for row in _of_object(ctx, class_oid, oid):
        if not column or row.objsubid == column:
            ctx.rows.delete("pg_shdepend", row)


def dependents(ctx: DdlContext, roles: Iterable[int]) -> list[Record]:
    """The rows that refer to these roles, ordered as PostgreSQL tells of them."""
    found = [row for role in roles for row in ctx.rows.find("pg_shdepend", refclassid=CLASS_AUTHID, refobjid=role)]
    return sorted(found, key=lambda row: (row.objid, row.classid, row.objsubid, row.deptype))
