"""ALTER DEFAULT PRIVILEGES → pg_default_acl: what new objects of a role come with (manual, ALTER DEFAULT PRIVILEGES).

A row for all schemas holds the whole list of a new object, one for a schema what is added there. A row that says what
is so anyway is not kept. ``shared_depend.record_owner`` gives new objects their lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast, enums

from aurora.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    InvalidGrantOperation,
    InvariantViolation,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import CLASS_DEFAULT_ACL, CLASS_NAMESPACE, DdlContext
from compute_node.catalog.ddl.grants import Change, privilege_bit, privilege_name
from compute_node.catalog.ddl.role_names import grantee_oid, role_oid
from compute_node.catalog.rows import Record
from compute_node.types import acl
from compute_node.types.acl import KINDS, Acl, acl_default, decode_all, encode_all

_O = enums.ObjectType
_LETTERS: Final = {
    _O.OBJECT_TABLE: ("r", "table", "relation"),
    _O.OBJECT_SEQUENCE: ("S", "sequence", "sequence"),
    _O.OBJECT_FUNCTION: ("f", "function", "function"),
    _O.OBJECT_TYPE: ("T", "type", "type"),
    _O.OBJECT_SCHEMA: ("n", "schema", "schema"),
}
"""type of object → its letter, the kind of its list, how messages name it"""


def alter_default_privileges(ctx: DdlContext, node: ast.AlterDefaultPrivilegesStmt) -> str:
    """ALTER DEFAULT PRIVILEGES [FOR ROLE …] [IN SCHEMA …] GRANT | REVOKE …; 0LP01, 3F000, 42501, 42601, 42704."""
    options = {option.defname: option.arg for option in node.options or ()}
    action = node.action
    change, letter, kind = _change(ctx, action)
    schemas = [ctx.view.namespace(item.sval) for item in options.get("schemas") or ()]
    if schemas and letter == "n":
        raise InvalidGrantOperation("cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS")
    roles = _roles(ctx, options.get("roles"))
    for role in roles:
        for namespace in schemas or [0]:
            _alter(ctx, role, namespace, letter, kind, change)
    ctx.changes.touch()
    return "ALTER DEFAULT PRIVILEGES"


def _roles(ctx: DdlContext, specs: Sequence[ast.RoleSpec] | None) -> list[int]:
    if not specs:
        return [ctx.user_oid]
    roles = []
    for spec in specs:
        role = role_oid(ctx, spec)
        if not ctx.rights.superuser and not ctx.rights.graph.is_member(ctx.user_oid, role):
            raise InsufficientPrivilege(f'must be member of role "{ctx.view.layer.role_name(role)}"')
        roles.append(role)
    return roles


def _change(ctx: DdlContext, node: ast.GrantStmt) -> tuple[Change, str, str]:
    letter, kind, noun = _LETTERS[node.objtype]
    grantees = tuple(grantee_oid(ctx, spec) for spec in node.grantees)
    known, bits = KINDS[kind][0], 0
    for item in node.privileges or ():
        if item.cols:
            raise InvalidGrantOperation("default privileges cannot be set for columns")
        bit = privilege_bit(item.priv_name)
        if bit & ~known:
            raise InvalidGrantOperation(f"invalid privilege type {privilege_name(bit)} for {noun}")
        bits |= bit
    everything = node.privileges is None
    cascade = node.behavior == enums.DropBehavior.DROP_CASCADE
    change = Change(
        bool(node.is_grant), known if everything else bits, everything, grantees, bool(node.grant_option), cascade
    )
    return change, letter, kind


def _alter(ctx: DdlContext, role: int, namespace: int, letter: str, kind: str, change: Change) -> None:
    record = _record(ctx, role, namespace, letter)
    base: Acl = () if namespace else acl_default(kind, role)
    before = base if record is None else decode_all(record.defaclacl) or ()
    after = before
    for grantee in change.grantees:
        item = change.item(grantee, role, change.privileges)
        if change.is_grant:
            after = acl.grant(after, role, item, ctx.rights.graph)
            continue
        try:
            after = acl.revoke(after, role, item, ctx.rights.graph, change.cascade)
        except acl.DependentPrivileges:
            raise DependentObjectsStillExist(
                "dependent privileges exist", hint="Use CASCADE to revoke them too."
            ) from None
    _store(ctx, role, namespace, letter, record, base, after)


def _record(ctx: DdlContext, role: int, namespace: int, letter: str) -> Record | None:
    return ctx.rows.one("pg_default_acl", defaclrole=role, defaclnamespace=namespace, defaclobjtype=letter)


def _store(
    ctx: DdlContext, role: int, namespace: int, letter: str, record: Record | None, base: Acl, after: Acl
) -> None:
    if shared_depend.in_order(after) == shared_depend.in_order(base):
        if record is not None:
            remove(ctx, record)
        return
    after = tuple(sorted(after, key=lambda item: (item.grantee, item.grantor)))
    before: Acl = ()
    if record is None:
        oid = ctx.next_oid()
        ctx.rows.insert(
            "pg_default_acl",
            oid=oid,
            defaclrole=role,
            defaclnamespace=namespace,
            defaclobjtype=letter,
            defaclacl=encode_all(after),
        )
        shared_depend.record_owner(ctx, CLASS_DEFAULT_ACL, oid, role)
        if namespace:
            ctx.depend((CLASS_DEFAULT_ACL, oid, 0), (CLASS_NAMESPACE, namespace, 0), "a")
    else:
        oid = record.oid
        before = decode_all(record.defaclacl) or ()
        ctx.rows.update("pg_default_acl", record, defaclacl=encode_all(after))
    shared_depend.change_acl(ctx, (CLASS_DEFAULT_ACL, oid, 0), role, before, after)


def remove(ctx: DdlContext, record: Record) -> None:
    """The row goes, and what it depends on is told."""
    ctx.rows.delete("pg_default_acl", record)
    ctx.rows.delete_where("pg_depend", classid=CLASS_DEFAULT_ACL, objid=record.oid)
    shared_depend.forget(ctx, CLASS_DEFAULT_ACL, record.oid)


def without_grantee(ctx: DdlContext, oid: int, role: int) -> None:
    """DROP OWNED of a role that a row gives something to."""
    record = ctx.rows.one("pg_default_acl", oid=oid)
    if record is None:
        return
    kinds = {letter: kind for letter, kind, _ in _LETTERS.values()}
    owner = record.defaclrole
    base: Acl = () if record.defaclnamespace else acl_default(kinds[record.defaclobjtype], owner)
    held = decode_all(record.defaclacl)
    if held is None:
        raise InvariantViolation(f"default privileges {oid} without a list")
    after = tuple(item for item in held if item.grantee != role)
    _store(ctx, owner, record.defaclnamespace, record.defaclobjtype, record, base, after)
