"""Large objects as objects: made, removed, who owns them and what others may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pglast import ast

from aurora.errors import (
    InsufficientPrivilege,
    InvariantViolation,
    SqlError,
    SqlSyntaxError,
    UndefinedObject,
    UniqueViolation,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.large_objects.opened import changes, opened
from compute_node.catalog.large_objects.pages import Pages
from compute_node.catalog.rights import CLASSES, effective
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.session import read_only
from compute_node.txn.locks import object_key
from compute_node.types.acl import acl_mask

if TYPE_CHECKING:
    from compute_node.catalog.functions.call import Call

CLASS: Final = CLASSES["large object"]
KIND: Final = "large object"


def missing(oid: int) -> SqlError:
    """42704"""
    return UndefinedObject(f"large object {oid} does not exist")


def denied(oid: int) -> SqlError:
    """42501"""
    return InsufficientPrivilege(f"permission denied for large object {oid}")


def number_of(node: ast.Node) -> int:
    """The OID that a statement names: an integer, or what the grammar takes for a float. 42601."""
    text = str(node.ival or 0) if isinstance(node, ast.Integer) else node.fval
    if not text.isdecimal() or int(text) >= 2**32:
        raise SqlSyntaxError(f'invalid input syntax for type oid: "{text}"')
    return int(text)


def changing(call: Call, what: str) -> None:
    """The statement is about to change a large object. 25006 on a reader."""
    if call.engine.in_recovery:
        raise read_only.refused(f"{what}()")
    changes(call)


def writable(call: Call, what: str) -> DdlContext:
    """What changes the catalogs of large objects, in the caller's transaction. 25006 on a reader."""
    changing(call, what)
    return DdlContext(call.engine, call.session, call.txn, "", _no_schema)


def _no_schema(ctx: DdlContext, name: str) -> None:
    raise InvariantViolation(f"a function of large objects makes the schema {name}")


def lock(ctx: DdlContext, oid: int) -> None:
    """Nobody else writes to the object until the transaction ends. What is seen from now on may not be durable yet."""
    ctx.lock_object(CLASS, oid, f"{KIND} {oid}")
    ctx.txn.depend(ctx.storage.locks.last_commit_lsn)


def is_locked(call: Call, oid: int) -> bool:
    """Whether the transaction has that lock."""
    return object_key(call.view.layer.database_oid, CLASS, oid) in call.txn.table_locks


def lock_existing(ctx: DdlContext, oid: int, owned: bool = False) -> Record:
    """``lock``, and the object's row as it is from now on. 42704; ``owned``: 42501 for who does not own it."""
    for _ in range(2):
        # Before the wait, as nobody queues up for what is not theirs, and after it.
        record = metadata(ctx.rows, oid)
        if owned:
            check_owner(ctx, record)
        lock(ctx, oid)
    return record


def compatible(call: Call) -> bool:
    """lo_compat_privileges: nobody is asked what they may."""
    return bool(call.session.settings.get("lo_compat_privileges"))


def metadata(reader: CatalogReader, oid: int) -> Record:
    """Its row. 42704."""
    found = reader.one("pg_largeobject_metadata", oid=oid)
    if found is None:
        raise missing(oid)
    return found


def check_privilege(call: Call, record: Record, wanted: int) -> None:
    """42501 unless the user may."""
    if compatible(call):
        return
    user, graph = call.session.user_oid, call.view.layer.rights(call.session.user_oid).graph
    if graph.is_superuser(user):
        return
    items = effective(KIND, record.lomowner, record.lomacl)
    if not acl_mask(items, record.lomowner, user, graph, wanted):
        raise denied(record.oid)


def check_owner(ctx: DdlContext, record: Record) -> None:
    """42501 unless the user owns it."""
    if not ctx.owns(record.lomowner):
        raise InsufficientPrivilege(f"must be owner of large object {record.oid}")


def create(call: Call, oid: int, what: str) -> int:
    """A new empty object of that OID, or (0) of one that is free. 23505."""
    ctx = writable(call, what)
    if not oid:
        oid = ctx.next_oid()
        while ctx.rows.one("pg_largeobject_metadata", oid=oid) is not None:
            oid = ctx.next_oid()
    lock(ctx, oid)
    if ctx.rows.one("pg_largeobject_metadata", oid=oid) is not None:
        raise UniqueViolation(
            'duplicate key value violates unique constraint "pg_largeobject_metadata_oid_index"',
            detail=f"Key (oid)=({oid}) already exists.",
            schema="pg_catalog",
            table="pg_largeobject_metadata",
            constraint="pg_largeobject_metadata_oid_index",
        )
    ctx.rows.insert("pg_largeobject_metadata", oid=oid, lomowner=ctx.user_oid)
    shared_depend.record_owner(ctx, CLASS, oid, ctx.user_oid)
    return oid


def pages_to_write(ctx: DdlContext, oid: int) -> Pages:
    """Its bytes, for changing them; the caller holds its lock."""
    return Pages(ctx.storage, ctx.catalog.catalogs, oid, ctx.rows.snapshot, ctx.rows)


def remove(ctx: DdlContext, record: Record) -> None:
    """The object of ``lock_existing`` with all that is said of it, and the descriptors that the transaction has."""
    oid = record.oid
    opened(ctx.txn).close_of(oid)
    ctx.rows.delete("pg_largeobject_metadata", record)
    pages_to_write(ctx, oid).remove()
    ctx.rows.delete_where("pg_description", objoid=oid, classoid=CLASS, objsubid=0)
    shared_depend.forget(ctx, CLASS, oid)
