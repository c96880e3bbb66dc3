"""CREATE / ALTER / DROP ROLE: rows of pg_authid and pg_auth_members; passwords become SCRAM-SHA-256 verifiers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    DependentObjectsStillExist,
    DuplicateObject,
    ObjectInUse,
    ReservedName,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_AUTHID, DdlContext
from compute_node.catalog.ddl.rename import role_oid
from compute_node.catalog.rows import Record
from compute_node.types.registry import REGISTRY

_ITERATIONS = 4096
_FLAGS = {
    "superuser": "rolsuper",
    "inherit": "rolinherit",
    "createrole": "rolcreaterole",
    "createdb": "rolcreatedb",
    "canlogin": "rolcanlogin",
    "isreplication": "rolreplication",
    "bypassrls": "rolbypassrls",
}
_TIMESTAMPTZ = 1184


def scram_verifier(password: str, salt: bytes, iterations: int = _ITERATIONS) -> str:
    """``SCRAM-SHA-256$iterations:salt$stored key:server key`` (RFC 5802, RFC 7677), as pg_authid keeps it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


def password_verifier(password: str) -> str:
    """What is stored for a password: a ready verifier is taken as it is."""
    return password if password.startswith("SCRAM-SHA-256$") else scram_verifier(password, os.urandom(16))


def _options(ctx: DdlContext, options: Sequence[ast.DefElem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in options:
        name = option.defname
        if name in _FLAGS:
            values[_FLAGS[name]] = bool(option.arg.boolval)
        elif name == "password":
            values["rolpassword"] = None if option.arg is None else password_verifier(option.arg.sval)
        elif name == "connectionlimit":
            values["rolconnlimit"] = option.arg.ival or 0
        elif name == "validUntil":
            values["rolvaliduntil"] = REGISTRY.types[_TIMESTAMPTZ].input(option.arg.sval, -1, ctx.session.env)
        elif name not in ("addroleto", "rolemembers", "adminmembers", "sysid"):
            raise SqlSyntaxError(f'unrecognized role option "{name}"')
    return values


def create_role(ctx: DdlContext, node: ast.CreateRoleStmt) -> str:
    """CREATE ROLE / USER / GROUP; a user may log in."""
    ctx.require_superuser("permission denied to create role")
    name = node.role
    if name.startswith("pg_"):
        raise ReservedName(f'role name "{name}" is reserved', detail='Role names starting with "pg_" are reserved.')
    if ctx.rows.one("pg_authid", rolname=name) is not None:
        raise DuplicateObject(f'role "{name}" already exists')
    oid = ctx.next_oid()
    values = {"rolinherit": True, "rolconnlimit": -1, "rolcanlogin": node.stmt_type == enums.RoleStmtType.ROLESTMT_USER}
    ctx.rows.insert("pg_authid", oid=oid, rolname=name, **(values | _options(ctx, node.options or ())))
    for option in node.options or ():
        if option.defname == "addroleto":
            for spec in option.arg:
                _add_member(ctx, role_oid(ctx, spec), oid, False)
        elif option.defname in ("rolemembers", "adminmembers"):
            for spec in option.arg:
                _add_member(ctx, oid, role_oid(ctx, spec), option.defname == "adminmembers")
    ctx.changes.touch(CLASS_AUTHID)
    return "CREATE ROLE"


def _add_member(ctx: DdlContext, role: int, member: int, admin: bool) -> None:
    ctx.rows.delete_where("pg_auth_members", roleid=role, member=member)
    ctx.rows.insert("pg_auth_members", roleid=role, member=member, grantor=ctx.user_oid, admin_option=admin)


def _record(ctx: DdlContext, name: str) -> Record:
    record = ctx.rows.one("pg_authid", rolname=name)
    if record is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return record


def alter_role(ctx: DdlContext, node: ast.AlterRoleStmt) -> str:
    """ALTER ROLE … WITH options; ALTER GROUP … ADD/DROP USER."""
    oid = role_oid(ctx, node.role)
    record = ctx.rows.one("pg_authid", oid=oid)
    assert record is not None
    own_password = oid == ctx.user_oid and all(option.defname == "password" for option in node.options or ())
    if not own_password:
        ctx.require_superuser("permission denied")
    values = _options(ctx, node.options or ())
    if values:
        ctx.rows.update("pg_authid", record, **values)
    for option in node.options or ():
        if option.defname == "rolemembers":
            for spec in option.arg:
                member = role_oid(ctx, spec)
                if node.action > 0:
                    _add_member(ctx, oid, member, False)
                else:
                    ctx.rows.delete_where("pg_auth_members", roleid=oid, member=member)
    ctx.changes.touch(CLASS_AUTHID)
    return "ALTER ROLE"


def drop_role(ctx: DdlContext, node: ast.DropRoleStmt) -> str:
    """DROP ROLE; 2BP01 while it owns relations or schemas, 55006 for the current user."""
    ctx.require_superuser("permission denied to drop role")
    for spec in node.roles:
        name = spec.rolename or ""
        if node.missing_ok and ctx.rows.one("pg_authid", rolname=name) is None:
            ctx.notice(f'role "{name}" does not exist, skipping')
            continue
        record = _record(ctx, name)
        if record.oid == ctx.user_oid:
            raise ObjectInUse("current user cannot be dropped")
        if name == ctx.session.session_user:
            raise ObjectInUse("session user cannot be dropped")
        owned = [f"owner of relation {row.relname}" for row in ctx.rows.find("pg_class") if row.relowner == record.oid]
        owned += [
            f"owner of schema {row.nspname}" for row in ctx.rows.find("pg_namespace") if row.nspowner == record.oid
        ]
        if owned:
            raise DependentObjectsStillExist(
                f'role "{name}" cannot be dropped because some objects depend on it', detail="\n".join(owned)
            )
        for member in ctx.rows.find("pg_auth_members"):
            if record.oid in (member.roleid, member.member):
                ctx.rows.delete("pg_auth_members", member)
        ctx.rows.delete_where("pg_shdescription", objoid=record.oid, classoid=1260)
        ctx.rows.delete_where("pg_db_role_setting", setrole=record.oid)
        ctx.rows.delete("pg_authid", record)
    ctx.changes.touch(CLASS_AUTHID)
    return "DROP ROLE"


def grant_role(ctx: DdlContext, node: ast.GrantRoleStmt) -> str:
    """GRANT role TO role and REVOKE role FROM role."""
    ctx.require_superuser("permission denied")
    admin = any(option.defname == "admin" for option in node.opt or ())
    for granted in node.granted_roles:
        role = _record(ctx, granted.priv_name).oid
        for spec in node.grantee_roles:
            member = role_oid(ctx, spec)
            if node.is_grant:
                _add_member(ctx, role, member, admin)
            else:
                ctx.rows.delete_where("pg_auth_members", roleid=role, member=member)
    ctx.changes.touch(CLASS_AUTHID)
    return "GRANT ROLE" if node.is_grant else "REVOKE ROLE"
