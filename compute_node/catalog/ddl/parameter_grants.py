"""GRANT and REVOKE … ON PARAMETER → pg_parameter_acl: who may SET a superuser's setting, and who ALTER SYSTEM (manual,
GRANT). A setting has a row as long as its list is another than the default; it belongs to the bootstrap superuser."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pglast import ast

from aurora.errors import InsufficientPrivilege, InvalidName
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import CLASS_PARAMETER_ACL, DdlContext
from compute_node.catalog.rows import Record
from compute_node.relations.schema import ROLE_POSTGRES
from compute_node.session.settings import DEFINITIONS, is_custom_name
from compute_node.types import acl
from compute_node.types.acl import KINDS, Acl, acl_default, decode_all, encode_all

ALL = KINDS["parameter"][0]
Merge = Callable[[str, Acl, int], Acl]
"""(setting, its list, its owner) → the list after the statement"""


def parameter_names(names: Sequence[ast.String], is_grant: bool) -> list[str]:
    """The settings as the catalog has them; 42602 for what can be no setting."""
    found = []
    for item in names:
        name = item.sval.lower()
        if name not in DEFINITIONS and is_grant and not is_custom_name(name):
            raise InvalidName(f'invalid parameter name "{item.sval}"')
        found.append(name)
    return found


def change_parameter(ctx: DdlContext, name: str, is_grant: bool, merge: Merge) -> None:
    """One setting's list after GRANT or REVOKE."""
    record = ctx.rows.one("pg_parameter_acl", parname=name)
    if record is None and not is_grant:
        return
    default = acl_default("parameter", ROLE_POSTGRES)
    before = default if record is None else decode_all(record.paracl) or default
    store(ctx, name, record, before, merge(name, before, ROLE_POSTGRES))


def store(ctx: DdlContext, name: str, record: Record | None, before: Acl, after: Acl) -> None:
    """Write a list; the default is no row."""
    if shared_depend.in_order(after) == shared_depend.in_order(acl_default("parameter", ROLE_POSTGRES)):
        if record is not None:
            ctx.rows.delete("pg_parameter_acl", record)
            shared_depend.forget(ctx, CLASS_PARAMETER_ACL, record.oid)
        return
    if record is None:
        oid = ctx.next_oid()
        ctx.rows.insert("pg_parameter_acl", oid=oid, parname=name, paracl=encode_all(after))
    else:
        oid = record.oid
        ctx.rows.update("pg_parameter_acl", record, paracl=encode_all(after))
    shared_depend.change_acl(ctx, (CLASS_PARAMETER_ACL, oid, 0), ROLE_POSTGRES, before, after)


def without_grantee(ctx: DdlContext, oid: int, without: Callable[[Acl, int], Acl]) -> None:
    """DROP OWNED of a role that was given something on a setting."""
    record = ctx.rows.one("pg_parameter_acl", oid=oid)
    if record is not None:
        before = decode_all(record.paracl) or ()
        store(ctx, record.parname, record, before, without(before, ROLE_POSTGRES))


def require_alter_system(ctx: DdlContext, name: str) -> None:
    """42501 unless the user may ALTER SYSTEM SET a setting."""
    if not ctx.rights.parameter(name.lower(), acl.ALTER_SYSTEM):
        raise InsufficientPrivilege(f'permission denied to set parameter "{name}"')
