"""Wrappers, servers and user mappings by name, and who may change them."""

from __future__ import annotations

from typing import NamedTuple

from pglast import ast, enums

from aurora.errors import InsufficientPrivilege, UndefinedObject
from compute_node.catalog.ddl.context import (
    CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER,
    CLASS_RELATION,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.types.acl import USAGE

_O = enums.ObjectType


class ForeignKind(NamedTuple):
    """What has a name alone, an owner and privileges: its catalog, what its columns' names begin with, how messages
    call it where it is missing and where somebody may not use it."""

    catalog: str
    prefix: str
    noun: str
    owned_as: str
    class_oid: int
    tag: str


WRAPPER = ForeignKind(
    "pg_foreign_data_wrapper", "fdw", "foreign-data wrapper", "foreign-data wrapper", CLASS_FOREIGN_DATA_WRAPPER,
    "ALTER FOREIGN DATA WRAPPER",
)  # fmt: skip
SERVER = ForeignKind("pg_foreign_server", "srv", "server", "foreign server", CLASS_FOREIGN_SERVER, "ALTER SERVER")
KINDS = {_O.OBJECT_FDW: WRAPPER, _O.OBJECT_FOREIGN_SERVER: SERVER}


def find(ctx: DdlContext, kind: ForeignKind, name: str) -> Record:
    """Its row. 42704."""
    row = ctx.rows.one(kind.catalog, **{f"{kind.prefix}name": name})
    if row is None:
        raise UndefinedObject(f'{kind.noun} "{name}" does not exist')
    return row


def check_owner(ctx: DdlContext, kind: ForeignKind, row: Record) -> None:
    """42501 for who does not own it."""
    if not ctx.owns(getattr(row, f"{kind.prefix}owner")):
        raise InsufficientPrivilege(f"must be owner of {kind.owned_as} {getattr(row, f'{kind.prefix}name')}")


def owned(ctx: DdlContext, kind: ForeignKind, name: str) -> Record:
    """Its row. 42704, 42501 for who does not own it."""
    row = find(ctx, kind, name)
    check_owner(ctx, kind, row)
    return row


def check_usage(ctx: DdlContext, kind: ForeignKind, row: Record) -> None:
    """42501 for who may not use it."""
    if not ctx.rights.object(kind.owned_as, row.oid, USAGE):
        raise denied(kind.owned_as, getattr(row, f"{kind.prefix}name"))


def wrapper_of(ctx: DdlContext, server: Record) -> Record:
    """The wrapper of a server."""
    row = ctx.rows.one("pg_foreign_data_wrapper", oid=server.srvfdw)
    if row is None:
        raise UndefinedObject(f"foreign-data wrapper {server.srvfdw} does not exist")
    return row


def dropped(kind: ForeignKind, ctx: DdlContext, item: ast.String, missing_ok: bool) -> Address | None:
    """What DROP names; None, with a notice, where it is not there and need not be."""
    if missing_ok and ctx.rows.one(kind.catalog, **{f"{kind.prefix}name": item.sval}) is None:
        ctx.notice(f'{kind.noun} "{item.sval}" does not exist, skipping')
        return None
    return kind.class_oid, owned(ctx, kind, item.sval).oid, 0


def touch(ctx: DdlContext, kind: ForeignKind, oid: int) -> None:
    """What was planned for the tables of a wrapper or a server (OID) is out of date."""
    servers = [oid]
    if kind is WRAPPER:
        servers = [each.oid for each in ctx.rows.find("pg_foreign_server") if each.srvfdw == oid]
    tables = [
        each.objid
        for server in servers
        for each in ctx.rows.find("pg_depend", refclassid=CLASS_FOREIGN_SERVER, refobjid=server)
        if each.classid == CLASS_RELATION
    ]
    ctx.changes.touch(oid, *tables)
