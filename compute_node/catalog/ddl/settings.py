"""ALTER SYSTEM, ALTER DATABASE … SET, ALTER ROLE … SET: settings kept in pg_db_role_setting.

A row's ``setconfig`` holds ``name=value`` items for a database (0: all) and a role (0: all). ALTER SYSTEM writes the
row (0, 0), which new sessions of every instance start from: there is no file that storage would keep.
"""

from __future__ import annotations

from typing import Any

from pglast import ast, enums

from aurora.errors import InvalidCatalogName, NotSupported
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.rename import role_oid
from compute_node.session.settings import define_or_raise, parse_value

_KINDS = enums.VariableSetKind


def _value(node: Any) -> str:
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
    record = ctx.rows.one("pg_db_role_setting", setdatabase=database, setrole=role)
    items = dict(item.split("=", 1) for item in (record.setconfig if record is not None else None) or ())
    if change.kind == _KINDS.VAR_RESET_ALL:
        items = {}
    elif change.kind in (_KINDS.VAR_RESET, _KINDS.VAR_SET_DEFAULT):
        items.pop(change.name, None)
    elif change.kind == _KINDS.VAR_SET_VALUE:
        value = ", ".join(_value(argument) for argument in change.args)
        if "." not in change.name:
            parse_value(define_or_raise(change.name), value)
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


def alter_system(ctx: DdlContext, node: ast.AlterSystemStmt) -> str:
    """ALTER SYSTEM SET / RESET."""
    ctx.require_superuser("must be superuser to execute ALTER SYSTEM command")
    _store(ctx, 0, 0, node.setstmt)
    return "ALTER SYSTEM"


def alter_database_set(ctx: DdlContext, node: ast.AlterDatabaseSetStmt) -> str:
    """ALTER DATABASE … SET / RESET."""
    record = ctx.rows.one("pg_database", datname=node.dbname)
    if record is None:
        raise InvalidCatalogName(f'database "{node.dbname}" does not exist')
    ctx.require_superuser(f"must be owner of database {node.dbname}")
    _store(ctx, record.oid, 0, node.setstmt)
    return "ALTER DATABASE"


def alter_role_set(ctx: DdlContext, node: ast.AlterRoleSetStmt) -> str:
    """ALTER ROLE … [IN DATABASE …] SET / RESET."""
    role = 0 if node.role is None else role_oid(ctx, node.role)
    if role != ctx.user_oid:
        ctx.require_superuser("permission denied")
    database = 0
    if node.database:
        record = ctx.rows.one("pg_database", datname=node.database)
        if record is None:
            raise InvalidCatalogName(f'database "{node.database}" does not exist')
        database = record.oid
    _store(ctx, database, role, node.setstmt)
    return "ALTER ROLE"
