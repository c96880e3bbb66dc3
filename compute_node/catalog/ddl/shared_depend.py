"""pg_shdepend: which objects a role owns or has privileges on, so that it is not dropped under them.

An object is (class OID, OID, column). Objects of shared catalogs have database 0. Roles that every cluster has are
pinned and need no rows. Source: PostgreSQL manual, ch. 53.48.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from compute_node.catalog.ddl.context import CLASS_AUTHID, CLASS_DATABASE, DdlContext
from compute_node.catalog.rows import Record
from compute_node.relations.schema import CATALOGS
from compute_node.types.acl import Acl, roles_of

FIRST_UNPINNED_OID: Final = 12000
OWNER: Final = "o"
ACL: Final = "a"
POLICY: Final = "r"

CLASS_TABLESPACE: Final = CATALOGS["pg_tablespace"].desc.oid


def _database(ctx: DdlContext, class_oid: int) -> int:
    return 0 if class_oid in (CLASS_DATABASE, CLASS_TABLESPACE) else ctx.view.layer.database_oid


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
    """A new object belongs to a role."""
    _add(ctx, (class_oid, oid, 0), owner, OWNER)


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
    record_owner(ctx, class_oid, oid, owner)


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
