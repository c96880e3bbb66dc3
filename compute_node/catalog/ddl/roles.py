"""CREATE / ALTER / DROP ROLE, and who is a member of whom: rows of pg_authid and pg_auth_members.

Passwords become SCRAM-SHA-256 verifiers. Who may do what is as in PostgreSQL 15, where CREATEROLE reaches every role
that is no superuser. Source: PostgreSQL manual, ch. 22 and the reference pages of CREATE ROLE, GRANT.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Sequence

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DependentObjectsStillExist,
    DuplicateObject,
    InsufficientPrivilege,
    InternalError,
    InvalidGrantOperation,
    InvalidParameterValue,
    NotSupported,
    ObjectInUse,
    ReservedName,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_AUTHID, DdlContext, cut_name
from compute_node.catalog.ddl.dependencies import describe
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.shared_depend import FIRST_UNPINNED_OID, OWNER, POLICY, dependents
from compute_node.catalog.roles import PG_DATABASE_OWNER
from compute_node.catalog.rows import Record
from compute_node.relations.schema import CATALOGS

_CLASS_MEMBERS = CATALOGS["pg_auth_members"].desc.oid
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
_MEMBERSHIPS = ("addroleto", "rolemembers", "adminmembers")
_TIMESTAMPTZ = 1184


def scram_verifier(password: str, salt: bytes, iterations: int = _ITERATIONS) -> str:
    """``SCRAM-SHA-256$iterations:salt$stored key:server key`` (RFC 5802, RFC 7677), as pg_authid keeps it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


_HASHED = re.compile(r"SCRAM-SHA-256\$\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}|md5[0-9a-f]{32}")


def password_verifier(password: str) -> str:
    """What is stored for a password: one that is a verifier already is taken as it is."""
    return password if _HASHED.fullmatch(password) else scram_verifier(password, os.urandom(16))


def _options(ctx: DdlContext, options: Sequence[ast.DefElem]) -> dict[str, Datum]:
    """The columns of pg_authid that the options set. Raises 42601 for one that is given twice, 22023, 22007."""
    values: dict[str, Datum] = {}
    seen: set[str] = set()
    for option in options:
        name = option.defname
        if name in seen:
            position = None if option.location is None or option.location < 0 else option.location + 1
            raise SqlSyntaxError("conflicting or redundant options", position=position)
        seen.add(name)
        if name in _FLAGS:
            values[_FLAGS[name]] = bool(option.arg.boolval)
        elif name == "password":
            values["rolpassword"] = _password(ctx, option.arg)
        elif name == "connectionlimit":
            limit = option.arg.ival or 0
            if limit < -1:
                raise InvalidParameterValue(f"invalid connection limit: {limit}")
            values["rolconnlimit"] = limit
        elif name == "validUntil":
            values["rolvaliduntil"] = ctx.view.type(_TIMESTAMPTZ).input(option.arg.sval, -1, ctx.session.env)
        elif name == "sysid":
            ctx.notice("SYSID can no longer be specified")
        elif name not in _MEMBERSHIPS:
            raise SqlSyntaxError(f'unrecognized role option "{name}"')
    if values.keys() & {"rolpassword", "rolvaliduntil"}:
        _check_passwords(ctx)
    return values


def _check_passwords(ctx: DdlContext) -> None:
    """With rds.restrict_password_commands passwords are changed by members of rds_password alone (42501)."""
    if ctx.rights.superuser or not ctx.session.settings.get("rds.restrict_password_commands"):
        return
    role = ctx.view.role("rds_password")
    if role is None or not ctx.rights.has_role(role.oid):
        raise InsufficientPrivilege("must be a member of rds_password to alter passwords")


def _password(ctx: DdlContext, node: ast.Node) -> str | None:
    if node is None:
        return None
    if not node.sval:
        ctx.notice("empty string is not a valid password, clearing password")
        return None
    return password_verifier(node.sval)


def _check_new_name(name: str) -> None:
    if name.startswith("pg_"):
        raise ReservedName(f'role name "{name}" is reserved', detail='Role names starting with "pg_" are reserved.')


def check_not_reserved(spec: ast.RoleSpec) -> None:
    """42939 for a role that every cluster has."""
    if spec.roletype == enums.RoleSpecType.ROLESPEC_CSTRING and spec.rolename.startswith("pg_"):
        raise ReservedName(f'role name "{spec.rolename}" is reserved', detail="Cannot alter reserved roles.")


def may_create_roles(ctx: DdlContext) -> bool:
    """CREATEROLE, or a superuser."""
    if ctx.rights.superuser:
        return True
    role = ctx.rows.one("pg_authid", oid=ctx.user_oid)
    return role is not None and bool(role.rolcreaterole)


def create_role(ctx: DdlContext, node: ast.CreateRoleStmt) -> str:
    """CREATE ROLE / USER / GROUP; a user may log in."""
    name = cut_name(node.role)
    options = node.options or ()
    values = _options(ctx, options)
    if not ctx.rights.superuser:
        for column, what in (("rolsuper", "superusers"), ("rolreplication", "replication users")):
            if values.get(column):
                raise InsufficientPrivilege(f"must be superuser to create {what}")
        if values.get("rolbypassrls"):
            raise InsufficientPrivilege("must be superuser to create bypassrls users")
        if not may_create_roles(ctx):
            raise InsufficientPrivilege("permission denied to create role")
    _check_new_name(name)
    if ctx.rows.one("pg_authid", rolname=name) is not None:
        raise DuplicateObject(f'role "{name}" already exists')
    oid = ctx.next_oid()
    plain = {"rolinherit": True, "rolconnlimit": -1, "rolcanlogin": node.stmt_type == enums.RoleStmtType.ROLESTMT_USER}
    ctx.rows.insert("pg_authid", oid=oid, rolname=name, **(plain | values))
    ctx.changes.touch()
    for option in options:
        if option.defname == "addroleto":
            for spec in option.arg:
                add_members(ctx, role_oid(ctx, spec), [oid], ctx.user_oid, False)
    for kind in ("adminmembers", "rolemembers"):
        for option in options:
            if option.defname == kind:
                members = [role_oid(ctx, spec) for spec in option.arg]
                add_members(ctx, oid, members, ctx.user_oid, kind == "adminmembers")
    return "CREATE ROLE"


def _name(ctx: DdlContext, oid: int) -> str:
    return ctx.view.layer.role_name(oid) or str(oid)


def _check_membership(ctx: DdlContext, role: int, grantor: int) -> None:
    """Whether the user may change who is a member of a role: superusers of any, holders of CREATEROLE of all but
    superusers, others with the admin option."""
    graph = ctx.rights.graph
    if graph.is_superuser(role):
        ctx.require_superuser("must be superuser to alter superusers")
    elif not may_create_roles(ctx) and not graph.is_admin(grantor, role):
        raise InsufficientPrivilege(f'must have admin option on role "{_name(ctx, role)}"')


def add_members(ctx: DdlContext, role: int, members: Sequence[int], grantor: int, admin: bool) -> None:
    """Make roles members of a role. 42501, 0LP01 for a circle."""
    if not members:
        return
    _check_membership(ctx, role, grantor)
    if role == PG_DATABASE_OWNER:
        raise InternalError(f'role "{_name(ctx, role)}" cannot have explicit members')
    if grantor != ctx.user_oid:
        ctx.require_superuser("must be superuser to set grantor")
    ctx.lock_object(_CLASS_MEMBERS, 0, "pg_auth_members", shared=True)
    for member in members:
        if member == PG_DATABASE_OWNER:
            raise InternalError(f'role "{_name(ctx, member)}" cannot be a member of any role')
        if ctx.view.layer.role_graph.is_member_without_superuser(role, member):
            raise InvalidGrantOperation(f'role "{_name(ctx, role)}" is a member of role "{_name(ctx, member)}"')
        known = ctx.rows.one("pg_auth_members", roleid=role, member=member)
        if known is not None and (known.admin_option or not admin):
            ctx.notice(f'role "{_name(ctx, member)}" is already a member of role "{_name(ctx, role)}"')
            continue
        if known is not None:
            ctx.rows.update("pg_auth_members", known, grantor=grantor, admin_option=True)
        else:
            ctx.rows.insert("pg_auth_members", roleid=role, member=member, grantor=grantor, admin_option=admin)
        ctx.changes.touch()


def remove_members(ctx: DdlContext, role: int, members: Sequence[int], admin_only: bool) -> None:
    """Take membership, or its admin option, from roles."""
    if not members:
        return
    _check_membership(ctx, role, ctx.user_oid)
    ctx.lock_object(_CLASS_MEMBERS, 0, "pg_auth_members", shared=True)
    for member in members:
        known = ctx.rows.one("pg_auth_members", roleid=role, member=member)
        if known is None:
            ctx.notice(
                f'role "{_name(ctx, member)}" is not a member of role "{_name(ctx, role)}"',
                severity="WARNING",
                sqlstate="01000",
            )
        elif admin_only:
            ctx.rows.update("pg_auth_members", known, admin_option=False)
        else:
            ctx.rows.delete("pg_auth_members", known)
        ctx.changes.touch()


def _record(ctx: DdlContext, name: str) -> Record:
    record = ctx.rows.one("pg_authid", rolname=name)
    if record is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return record


def alter_role(ctx: DdlContext, node: ast.AlterRoleStmt) -> str:
    """ALTER ROLE … WITH options; ALTER GROUP … ADD/DROP USER."""
    check_not_reserved(node.role)
    options = node.options or ()
    values = _options(ctx, options)
    oid = role_oid(ctx, node.role)
    record = ctx.rows.one("pg_authid", oid=oid)
    if record is None:
        raise UndefinedObject(f'role "{node.role.rolename}" does not exist')
    _check_alter(ctx, record, values, [option.defname for option in options])
    if values:
        ctx.rows.update("pg_authid", _locked(ctx, record), **values)
    for option in options:
        if option.defname == "rolemembers":
            members = [role_oid(ctx, spec) for spec in option.arg]
            if node.action > 0:
                add_members(ctx, oid, members, ctx.user_oid, False)
            else:
                remove_members(ctx, oid, members, False)
    ctx.changes.touch()
    return "ALTER ROLE"


def _locked(ctx: DdlContext, record: Record) -> Record:
    """The role's row, which nobody else changes from now on."""
    ctx.lock_object(CLASS_AUTHID, record.oid, record.rolname, shared=True)
    found = ctx.rows.one("pg_authid", oid=record.oid)
    if found is None:
        raise UndefinedObject(f'role "{record.rolname}" does not exist')
    return found


def _check_alter(ctx: DdlContext, record: Record, values: dict[str, Datum], names: list[str]) -> None:
    if ctx.rights.superuser:
        return
    if record.rolsuper or "rolsuper" in values:
        raise InsufficientPrivilege("must be superuser to alter superuser roles or change superuser attribute")
    if record.rolreplication or "rolreplication" in values:
        raise InsufficientPrivilege("must be superuser to alter replication roles or change replication attribute")
    if "rolbypassrls" in values:
        raise InsufficientPrivilege("must be superuser to change bypassrls attribute")
    own_password = record.oid == ctx.user_oid and names == ["password"]
    if not may_create_roles(ctx) and not own_password and "rolemembers" not in names:
        raise InsufficientPrivilege("permission denied")


def drop_role(ctx: DdlContext, node: ast.DropRoleStmt) -> str:
    """DROP ROLE; 2BP01 while objects depend on it, 55006 for the current user."""
    if not may_create_roles(ctx):
        raise InsufficientPrivilege("permission denied to drop role")
    dropped: list[Record] = []
    for spec in node.roles:
        if spec.roletype != enums.RoleSpecType.ROLESPEC_CSTRING:
            raise InvalidParameterValue("cannot use special role specifier in DROP ROLE")
        record = ctx.rows.one("pg_authid", rolname=spec.rolename)
        if record is None:
            if not node.missing_ok:
                raise UndefinedObject(f'role "{spec.rolename}" does not exist')
            ctx.notice(f'role "{spec.rolename}" does not exist, skipping')
            continue
        if record.oid == ctx.user_oid:
            raise ObjectInUse("current user cannot be dropped")
        if record.oid == ctx.session.session_oid:
            raise ObjectInUse("session user cannot be dropped")
        if record.rolsuper:
            ctx.require_superuser("must be superuser to drop superusers")
        if record.oid < FIRST_UNPINNED_OID:
            raise DependentObjectsStillExist(
                f"cannot drop role {record.rolname} because it is required by the database system"
            )
        if record.oid not in [each.oid for each in dropped]:
            dropped.append(_locked(ctx, record))
    if dropped:
        ctx.lock_object(_CLASS_MEMBERS, 0, "pg_auth_members", shared=True)
    for record in dropped:
        for member in ctx.rows.find("pg_auth_members"):
            if record.oid in (member.roleid, member.member):
                ctx.rows.delete("pg_auth_members", member)
    for record in dropped:
        _check_no_dependents(ctx, record)
        ctx.rows.delete_where("pg_shdescription", objoid=record.oid, classoid=CLASS_AUTHID)
        for setting in ctx.rows.find("pg_db_role_setting"):
            if setting.setrole == record.oid:
                ctx.rows.delete("pg_db_role_setting", setting)
        ctx.rows.delete("pg_authid", record)
    ctx.changes.touch()
    return "DROP ROLE"


_SHOWN_MAX = 100


def _check_no_dependents(ctx: DdlContext, record: Record) -> None:
    lines: list[str] = []
    elsewhere: dict[int, int] = {}
    for row in dependents(ctx, [record.oid]):
        if row.dbid not in (0, ctx.view.layer.database_oid):
            elsewhere[row.dbid] = elsewhere.get(row.dbid, 0) + 1
            continue
        what = describe(ctx, (row.classid, row.objid, row.objsubid))
        how = {OWNER: "owner of", POLICY: "target of"}.get(row.deptype, "privileges for")
        lines.append(f"{how} {what}")
    rest = len(lines) - _SHOWN_MAX
    shown = lines[:_SHOWN_MAX]
    if rest > 0:
        shown.append(f"and {rest} other object{'s' if rest > 1 else ''} (see server log for list)")
    for database, count in elsewhere.items():
        found = ctx.rows.one("pg_database", oid=database)
        name = database if found is None else found.datname
        shown.append(f"{count} object{'s' if count > 1 else ''} in database {name}")
    if shown:
        raise DependentObjectsStillExist(
            f'role "{record.rolname}" cannot be dropped because some objects depend on it', detail="\n".join(shown)
        )


def rename_role(ctx: DdlContext, old: str, new: str) -> str:
    """ALTER ROLE … RENAME TO; nobody renames whom the session is."""
    record = _record(ctx, old)
    if record.oid == ctx.session.session_oid:
        raise NotSupported("session user cannot be renamed")
    if record.oid == ctx.user_oid:
        raise NotSupported("current user cannot be renamed")
    for name in (old, new):
        _check_new_name(name)
    if ctx.rows.one("pg_authid", rolname=new) is not None:
        raise DuplicateObject(f'role "{new}" already exists')
    if record.rolsuper:
        ctx.require_superuser("must be superuser to rename superusers")
    elif not may_create_roles(ctx):
        raise InsufficientPrivilege("permission denied to rename role")
    if record.rolpassword is not None:
        _check_passwords(ctx)
    values: dict[str, Datum] = {"rolname": new}
    if record.rolpassword is not None and record.rolpassword.startswith("md5"):
        # It is salted with the name.
        values["rolpassword"] = None
        ctx.notice("MD5 password cleared because of role rename")
    ctx.rows.update("pg_authid", _locked(ctx, record), **values)
    ctx.changes.touch()
    return "ALTER ROLE"


def grant_role(ctx: DdlContext, node: ast.GrantRoleStmt) -> str:
    """GRANT role TO role and REVOKE role FROM role."""
    admin = bool(node.admin_opt)
    grantor = ctx.user_oid if node.grantor is None else role_oid(ctx, node.grantor)
    members = [role_oid(ctx, spec) for spec in node.grantee_roles]
    for granted in node.granted_roles:
        if granted.cols:
            raise InvalidGrantOperation("column names cannot be included in GRANT/REVOKE ROLE")
        role = _record(ctx, granted.priv_name).oid
        if node.is_grant:
            add_members(ctx, role, members, grantor, admin)
        else:
            remove_members(ctx, role, members, admin)
    return "GRANT ROLE" if node.is_grant else "REVOKE ROLE"
