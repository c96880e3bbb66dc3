"""CREATE and ALTER SERVER, and their user mappings: CREATE, ALTER, DROP USER MAPPING."""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import DuplicateObject, InsufficientPrivilege, UndefinedObject
from compute_node.catalog.ddl.context import (
    CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER,
    CLASS_USER_MAPPING,
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.foreign.find import (
    SERVER,
    WRAPPER,
    check_owner,
    check_usage,
    find,
    owned,
    touch,
    wrapper_of,
)
from compute_node.catalog.ddl.foreign.options import changed_options
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.ownership import give_object
from compute_node.catalog.ddl.role_names import grantee_oid, role_oid
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.types.acl import USAGE


def create_server(ctx: DdlContext, node: ast.CreateForeignServerStmt) -> str:
    """CREATE SERVER. 42710, 42704, 42501 for who may not use the wrapper."""
    name = cut_name(node.servername)
    if ctx.rows.one(SERVER.catalog, srvname=name) is not None:
        if not node.if_not_exists:
            raise DuplicateObject(f'server "{name}" already exists')
        ctx.notice(f'server "{name}" already exists, skipping', sqlstate="42710")
        return "CREATE SERVER"
    wrapper = find(ctx, WRAPPER, node.fdwname)
    check_usage(ctx, WRAPPER, wrapper)
    options = changed_options(ctx, None, node.options, CLASS_FOREIGN_SERVER, wrapper.fdwvalidator)
    oid = ctx.next_oid()
    ctx.rows.insert(
        SERVER.catalog, oid=oid, srvname=name, srvowner=ctx.user_oid, srvfdw=wrapper.oid, srvtype=node.servertype,
        srvversion=node.version, srvoptions=options,
    )  # fmt: skip
    ctx.depend((CLASS_FOREIGN_SERVER, oid, 0), (CLASS_FOREIGN_DATA_WRAPPER, wrapper.oid, 0), "n")
    record_owner(ctx, CLASS_FOREIGN_SERVER, oid, ctx.user_oid)
    ctx.changes.touch()
    return "CREATE SERVER"


def alter_server(ctx: DdlContext, node: ast.AlterForeignServerStmt) -> str:
    """ALTER SERVER … VERSION, OPTIONS. 42704, 42501."""
    ctx.lock_object(CLASS_FOREIGN_SERVER, owned(ctx, SERVER, node.servername).oid, node.servername)
    row = owned(ctx, SERVER, node.servername)
    version, options = node.version if node.has_version else row.srvversion, row.srvoptions
    if node.options:
        validator = wrapper_of(ctx, row).fdwvalidator
        options = changed_options(ctx, options, node.options, CLASS_FOREIGN_SERVER, validator)
    ctx.rows.update(SERVER.catalog, row, srvversion=version, srvoptions=options)
    touch(ctx, SERVER, row.oid)
    return "ALTER SERVER"


def alter_server_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> str:
    """ALTER SERVER … OWNER TO a role that may use its wrapper. 42704, 42501."""
    owner = role_oid(ctx, spec)
    row = find(ctx, SERVER, name)
    if row.srvowner == owner:
        return "ALTER SERVER"
    if not ctx.rights.superuser:
        check_owner(ctx, SERVER, row)
        check_new_owner(ctx, owner)
        if not ctx.view.rights(owner).object(WRAPPER.owned_as, row.srvfdw, USAGE):
            raise denied(WRAPPER.owned_as, wrapper_of(ctx, row).fdwname)
    give_object(ctx, SERVER.owned_as, row.oid, owner)
    return "ALTER SERVER"


def create_mapping(ctx: DdlContext, node: ast.CreateUserMappingStmt) -> str:
    """CREATE USER MAPPING. 42704, 42710, 42501."""
    role = grantee_oid(ctx, node.user)
    server = find(ctx, SERVER, node.servername)
    _check_mapping(ctx, role, server)
    if _mapping(ctx, role, server) is not None:
        message = f'user mapping for "{_mapped_name(ctx, role)}" already exists for server "{server.srvname}"'
        if not node.if_not_exists:
            raise DuplicateObject(message)
        ctx.notice(f"{message}, skipping", sqlstate="42710")
        return "CREATE USER MAPPING"
    validator = wrapper_of(ctx, server).fdwvalidator
    options = changed_options(ctx, None, node.options, CLASS_USER_MAPPING, validator)
    oid = ctx.next_oid()
    ctx.rows.insert("pg_user_mapping", oid=oid, umuser=role, umserver=server.oid, umoptions=options)
    ctx.depend((CLASS_USER_MAPPING, oid, 0), (CLASS_FOREIGN_SERVER, server.oid, 0), "n")
    if role:
        record_owner(ctx, CLASS_USER_MAPPING, oid, role)
    touch(ctx, SERVER, server.oid)
    return "CREATE USER MAPPING"


def alter_mapping(ctx: DdlContext, node: ast.AlterUserMappingStmt) -> str:
    """ALTER USER MAPPING … OPTIONS. 42704, 42501."""
    role = grantee_oid(ctx, node.user)
    server = find(ctx, SERVER, node.servername)
    row = _mapping(ctx, role, server)
    if row is None:
        raise UndefinedObject(_missing(ctx, role, server))
    _check_mapping(ctx, role, server)
    ctx.lock_object(CLASS_USER_MAPPING, row.oid, server.srvname)
    row = _mapping(ctx, role, server)
    if row is None:
        raise UndefinedObject(_missing(ctx, role, server))
    validator = wrapper_of(ctx, server).fdwvalidator
    options = changed_options(ctx, row.umoptions, node.options, CLASS_USER_MAPPING, validator)
    ctx.rows.update("pg_user_mapping", row, umoptions=options)
    touch(ctx, SERVER, server.oid)
    return "ALTER USER MAPPING"


def drop_mapping(ctx: DdlContext, node: ast.DropUserMappingStmt) -> str:
    """DROP USER MAPPING. 42704, 42501."""
    tag, is_public = "DROP USER MAPPING", node.user.roletype == enums.RoleSpecType.ROLESPEC_PUBLIC
    if node.missing_ok and not is_public and node.user.rolename and ctx.view.role(node.user.rolename) is None:
        ctx.notice(f'role "{node.user.rolename}" does not exist, skipping')
        return tag
    role = grantee_oid(ctx, node.user)
    if node.missing_ok and ctx.rows.one(SERVER.catalog, srvname=node.servername) is None:
        ctx.notice(f'server "{node.servername}" does not exist, skipping')
        return tag
    server = find(ctx, SERVER, node.servername)
    row = _mapping(ctx, role, server)
    if row is None:
        if not node.missing_ok:
            raise UndefinedObject(_missing(ctx, role, server))
        ctx.notice(f"{_missing(ctx, role, server)}, skipping")
        return tag
    _check_mapping(ctx, role, server)
    drop(ctx, [(CLASS_USER_MAPPING, row.oid, 0)], cascade=True)
    touch(ctx, SERVER, server.oid)
    return tag


def _mapping(ctx: DdlContext, role: int, server: Record) -> Record | None:
    return ctx.rows.one("pg_user_mapping", umuser=role, umserver=server.oid)


def _mapped_name(ctx: DdlContext, role: int) -> str:
    return (ctx.view.layer.role_name(role) or str(role)) if role else "public"


def _missing(ctx: DdlContext, role: int, server: Record) -> str:
    return f'user mapping for "{_mapped_name(ctx, role)}" does not exist for server "{server.srvname}"'


def _check_mapping(ctx: DdlContext, role: int, server: Record) -> None:
    """42501: a server's owner may map anybody, others themselves if they may use it."""
    if ctx.owns(server.srvowner):
        return
    if role != ctx.user_oid:
        raise InsufficientPrivilege(f"must be owner of foreign server {server.srvname}")
    check_usage(ctx, SERVER, server)
