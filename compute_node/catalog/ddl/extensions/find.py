"""Finding extensions by name, and who may change them."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast

from aurora.errors import InsufficientPrivilege, ObjectInUse, UndefinedObject
from compute_node.catalog.ddl.context import CLASS_EXTENSION, DdlContext
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.rows import Record


def extension(ctx: DdlContext, name: str) -> Record:
    """Its row. 42704."""
    row = ctx.rows.one("pg_extension", extname=name)
    if row is None:
        raise UndefinedObject(f'extension "{name}" does not exist')
    return row


def owned_extension(ctx: DdlContext, name: str) -> Record:
    """Its row. 42704, 42501 for who does not own it."""
    row = extension(ctx, name)
    if not ctx.owns(row.extowner):
        raise InsufficientPrivilege(f"must be owner of extension {name}")
    return row


def dropped_extension(ctx: DdlContext, item: ast.String | Sequence[ast.String], missing_ok: bool) -> Address | None:
    """What DROP EXTENSION names; None, with a notice, where it is not there and need not be."""
    name = str(item.sval if isinstance(item, ast.String) else item[-1].sval)
    if missing_ok and ctx.rows.one("pg_extension", extname=name) is None:
        ctx.notice(f'extension "{name}" does not exist, skipping')
        return None
    row = owned_extension(ctx, name)
    if ctx.session.creating_extension == row.oid:
        raise ObjectInUse(f'cannot drop extension "{name}" because it is being modified')
    return CLASS_EXTENSION, row.oid, 0


def depends_on_extension(ctx: DdlContext, address: Address, name: str, remove: bool) -> None:
    """ALTER … [NO] DEPENDS ON EXTENSION: the object, which the caller has found, goes when the extension is dropped.
    42704."""
    referenced = (CLASS_EXTENSION, int(extension(ctx, name).oid), 0)
    found = [
        each
        for each in ctx.rows.find("pg_depend", classid=address[0], objid=address[1])
        if each.deptype == "x" and (each.refclassid, each.refobjid, 0) == referenced
    ]
    if remove:
        for each in found:
            ctx.rows.delete("pg_depend", each)
    elif not found:
        ctx.depend(address, referenced, "x")
    ctx.changes.touch()
