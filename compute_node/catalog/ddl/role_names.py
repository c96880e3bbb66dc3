"""Roles as statements name them."""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import UndefinedObject
from compute_node.catalog.ddl.context import DdlContext
from compute_node.types.acl import PUBLIC


def role_oid(ctx: DdlContext, spec: ast.RoleSpec) -> int:
    """The role that a RoleSpec names; 42704."""
    kinds = enums.RoleSpecType
    if spec.roletype == kinds.ROLESPEC_SESSION_USER:
        return int(ctx.session.session_oid)
    if spec.roletype in (kinds.ROLESPEC_CURRENT_USER, kinds.ROLESPEC_CURRENT_ROLE):
        return ctx.user_oid
    name = "public" if spec.roletype == kinds.ROLESPEC_PUBLIC else spec.rolename
    role = ctx.view.role(name)
    if role is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return role.oid


def grantee_oid(ctx: DdlContext, spec: ast.RoleSpec) -> int:
    """The same, with PUBLIC."""
    return PUBLIC if spec.roletype == enums.RoleSpecType.ROLESPEC_PUBLIC else role_oid(ctx, spec)
