"""Who may give an object to whom (PostgreSQL manual, the reference pages of ALTER … OWNER TO)."""

from __future__ import annotations

from aurora.errors import InsufficientPrivilege
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.permissions import denied
from compute_node.types.acl import CREATE


def check_new_owner(ctx: DdlContext, owner: int, namespace: int | None = None) -> None:
    """Whether the user may give an object to a role: a member of it, and it may create in the schema."""
    if ctx.rights.superuser:
        return
    if not ctx.rights.graph.is_member(ctx.user_oid, owner):
        raise InsufficientPrivilege(f'must be member of role "{ctx.view.layer.role_name(owner)}"')
    if namespace is not None and not ctx.view.rights(owner).schema(namespace, CREATE):
        raise denied("schema", ctx.view.layer.namespace_name(namespace) or str(namespace))
