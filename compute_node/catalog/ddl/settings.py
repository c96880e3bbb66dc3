"""ALTER SYSTEM, ALTER DATABASE … SET, ALTER ROLE … SET: settings kept in pg_db_role_setting.

A row's ``setconfig`` holds ``name=value`` items for a database (0: all) and a role (0: all). ALTER SYSTEM writes the
row (0, 0), which new sessions of every instance start from: there is no file that storage would keep.
"""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import InsufficientPrivilege, InvalidCatalogName, NotSupported
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.parameter_grants import require_alter_system
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.roles import check_not_reserved, may_create_roles
from compute_node.relations.schema import CATALOGS
from compute_node.session.settings import DEFINITIONS, define_or_raise, not_changeable, parse_value
from compute_node.types.acl import ALTER_SYSTEM, SET

_CLASS_SETTINGS = CATALOGS["pg_db_role_setting"].desc.oid
_KINDS = enums.VariableSetKind


def _value(node: ast.Node) -> str:
    if isinstance(node, ast.A_Const):
        inner = node.val
        if isinstance(inner, ast.Integer):
            return str(inner.ival or 0)
        if isinstance(inner, ast.Float):
            return str(inner.fval)
        if isinstance(inner, ast.Boolean):
            return "on" if inner.boolval else "off"
        return str(inner.sval)
    raise NotSupported("only constants can be set here")


def _store(ctx: DdlContext, database: int, role: int, change: ast.VariableSetStmt) -> None:
    ctx.lock_object(_CLASS_SETTINGS, 0, "pg_db_role_setting", shared=True)
    record = ctx.rows.one("pg_db_role_setting", setdatabase=database, setrole=role)
    items = dict(item.split("=", 1) for item in (record.setconfig if record is not None else None) or ())
    if change.kind == _KINDS.VAR_RESET_ALL:
        items = {}
    elif change.kind in (_KINDS.VAR_RESET, _KINDS.VAR_SET_DEFAULT):
        items.pop(change.name, None)
    elif change.kind == _KINDS.VAR_SET_VALUE:
        value = ", ".join(_value(argument) for argument in change.args)
        _check_value(ctx, change.name, value, not (database or role))
        items[change.name] = value
    else:
        raise NotSupported("SET FROM CURRENT is not supported here")
    config = [f"{name}={value}" for name, value in items.items()]
    # New sessions look again only when the catalog's version has moved on.
    ctx.changes.touch()
    if record is not None:
        if config:
            ctx.rows.update("pg_db_role_setting", record, setconfig=config)
        else:
            ctx.rows.delete("pg_db_role_setting", record)
    elif config:
        ctx.rows.insert("pg_db_role_setting", setdatabase=database, setrole=role, setconfig=config)


def _check_value(ctx: DdlContext, name: str, value: str, is_system: bool) -> None:
    """Whether the user may store the setting. A role that it may not become is told of; the log-in refuses it."""
    if "." in name and name.lower() not in DEFINITIONS:
        return
    setting = define_or_raise(name)
    if setting.context == "internal" or not (is_system or setting.context in ("user", "superuser")):
        raise not_changeable(setting)
    if setting.context in ("superuser", "superuser-backend"):
        if not ctx.rights.parameter(setting.name.lower(), ALTER_SYSTEM if is_system else SET):
            raise InsufficientPrivilege(f'permission denied to set parameter "{name}"')
    parse_value(setting, value)
    if setting.name == "role" and value != "none":
        role = ctx.view.role(value)
        if role is None:
            ctx.notice(f'role "{value}" does not exist', sqlstate="22023")
        elif not ctx.rights.graph.is_member(ctx.session.session_oid, role.oid):
            ctx.notice(f'permission will be denied to set role "{value}"', sqlstate="42501")


def alter_system(ctx: DdlContext, node: ast.AlterSystemStmt) -> str:
    """ALTER SYSTEM SET / RESET."""
    name = node.setstmt.name
    if name:
        require_alter_system(ctx, name)
    else:
        ctx.require_superuser("permission denied to perform ALTER SYSTEM RESET ALL")
    _store(ctx, 0, 0, node.setstmt)
    return "ALTER SYSTEM"


def alter_database_set(ctx: DdlContext, node: ast.AlterDatabaseSetStmt) -> str:
    """ALTER DATABASE … SET / RESET."""
    record = ctx.rows.one("pg_database", datname=node.dbname)
    if record is None:
        raise InvalidCatalogName(f'database "{node.dbname}" does not exist')
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {node.dbname}")
    _store(ctx, record.oid, 0, node.setstmt)
    return "ALTER DATABASE"


def alter_role_set(ctx: DdlContext, node: ast.AlterRoleSetStmt) -> str:
    """ALTER ROLE … [IN DATABASE …] SET / RESET."""
    role = 0
    if node.role is not None:
        check_not_reserved(node.role)
        role = role_oid(ctx, node.role)
        record = ctx.rows.one("pg_authid", oid=role)
        if record is not None and record.rolsuper:
            ctx.require_superuser("must be superuser to alter superusers")
        elif role != ctx.user_oid and not may_create_roles(ctx):
            raise InsufficientPrivilege("permission denied")
    database = 0
    if node.database:
        found = ctx.rows.one("pg_database", datname=node.database)
        if found is None:
            raise InvalidCatalogName(f'database "{node.database}" does not exist')
        database = found.oid
        if not role and not ctx.owns(found.datdba):
            raise InsufficientPrivilege(f"must be owner of database {node.database}")
    elif not role:
        ctx.require_superuser("must be superuser to alter settings globally")
    _store(ctx, database, role, node.setstmt)
    return "ALTER ROLE"
