"""The server's own state: facts of the volume, memory that is counted, numbers for catalog objects.

PostgreSQL has a control file for what a server must know before it can recover. Here the superblock has the versions
and the limits of numbers, the descriptor the volume's identity and epoch; and there is no checkpoint, for recovery
begins at the volume's durable point (VDL), so that the last checkpoint is always that point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.datum import Datum, Row
from aurora.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.access.superblock import FORMAT_VERSION
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.information import log_segment
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS_BY_OID
from compute_node.session import read_only
from compute_node.types.datetime_functions import clock_us
from compute_node.types.oids import TYPE_OIDS
from compute_node.work.account import INSTANCE

_PAGE_BYTES = 8192
_IDENTIFIER_BYTES = 8
_TIMELINE = 1
_TEMPLATE1, _FIRST_MULTIXACT = 1, 1
_U32 = 2**32 - 1


def control_system(call: Call) -> Row:
    """pg_control_system: the format of the volume and of its catalog, the first bytes of the volume's id. What was last
    changed there is the epoch that this instance has opened the volume in."""
    identifier = int.from_bytes(call.engine.volume.volume_id[:_IDENTIFIER_BYTES], "big", signed=True)
    catalog = int(call.engine.storage.superblock.catalog_version)
    return FORMAT_VERSION, catalog, identifier, call.engine.start_time_us


def control_init(_call: Call) -> Row:
    """pg_control_init: sizes that are fixed. Data pages have no checksum of PostgreSQL's form."""
    return 8, _PAGE_BYTES, 131072, _PAGE_BYTES, 16 << 20, 64, 32, 1996, 2048, True, 0


def control_recovery(_call: Call) -> Row:
    """pg_control_recovery: there is no point that recovery must reach, and no backup that it begins with."""
    return 0, 0, 0, 0, False


def control_checkpoint(call: Call) -> Row:
    """pg_control_checkpoint: the durable point; on a reader, the point that it has applied."""
    storage = call.engine.storage
    txns, recovery = storage.txns, call.engine.recovery
    lsn = int(recovery.applied_lsn or 0) if call.engine.in_recovery else int(call.engine.volume.vdl)
    following = int(txns.next_xid)
    running = min((txn.xid for txn in txns.active if txn.xid), default=following)
    oldest = int(txns.first_xid) & _U32
    return (
        lsn,
        lsn,
        log_segment(lsn),
        _TIMELINE,
        _TIMELINE,
        False,
        f"{following >> 32}:{following & _U32}",
        int(storage.superblock.oid_limit),
        _FIRST_MULTIXACT,
        0,
        oldest,
        _TEMPLATE1,
        int(running) & _U32,
        _FIRST_MULTIXACT,
        _TEMPLATE1,
        0,
        0,
        clock_us(),
    )


def memory_contexts(_call: Call) -> Iterator[Row]:
    """pg_get_backend_memory_contexts: memory is counted by statement, and all statements together here; what is free
    in between is the interpreter's."""
    yield "statements", None, None, 0, INSTANCE.used_bytes, 1, 0, 0, INSTANCE.used_bytes


def shared_memory(call: Call) -> Iterator[Row]:
    """pg_get_shmem_allocations: what all sessions share, the page cache and the limit of all statements, as far as it
    is not used. No part has an address that another process could know."""
    frames = int(call.engine.storage.arena.frames) * _PAGE_BYTES
    yield "page cache", None, frames, frames
    yield None, None, INSTANCE.limit_bytes - INSTANCE.used_bytes, INSTANCE.limit_bytes - INSTANCE.used_bytes


def _catalog(call: Call, oid: int) -> RelationDesc:
    found = call.view.relation(oid)
    if found is None:
        raise UndefinedTable(f"relation with OID {oid} does not exist")
    if oid not in CATALOGS_BY_OID:
        raise InvalidParameterValue("pg_nextoid() can only be used on system catalogs")
    return found


def _index(call: Call, table: RelationDesc, oid: int) -> IndexDesc:
    for index in table.indexes:
        if index.oid == oid:
            return index
    record = call.reader.one("pg_class", oid=oid)
    if record is None:
        raise UndefinedTable(f"relation with OID {oid} does not exist")
    if record.relkind != "i":
        raise WrongObjectType(f'"{record.relname}" is not an index')
    raise InvalidParameterValue(f'index "{record.relname}" does not belong to table "{table.name}"')


def next_oid(call: Call, catalog: int, column: str, index: int) -> int:
    """pg_nextoid: a number that no object of a catalog has. 42501, 22023, 42703, 42809."""
    if not call.session.superuser:
        raise InsufficientPrivilege("must be superuser to call pg_nextoid()")
    table = _catalog(call, catalog)
    found = _index(call, table, index)
    described = table.column(column)
    if described is None:
        raise UndefinedColumn(f'column "{column}" of relation "{table.name}" does not exist')
    if described.type != TYPE_OIDS["oid"]:
        raise InvalidParameterValue(f'column "{column}" is not of type oid')
    if tuple(found.columns) != (described.attno,):
        raise InvalidParameterValue(f'index "{found.name}" is not the index for column "{column}"')
    if call.engine.in_recovery:
        raise read_only.refused_in_recovery("pg_nextoid()")
    return int(call.engine.storage.next_oid())


def pin_no_more(call: Call) -> str:
    """pg_stop_making_pinned_objects: new objects never have the numbers of pinned ones. 42501."""
    if not call.session.superuser:
        raise InsufficientPrivilege("must be superuser to call pg_stop_making_pinned_objects()")
    return ""


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_control_system": control_system,
    "pg_control_init": control_init,
    "pg_control_recovery": control_recovery,
    "pg_control_checkpoint": control_checkpoint,
    "pg_get_backend_memory_contexts": memory_contexts,
    "pg_get_shmem_allocations": shared_memory,
    "pg_nextoid": next_oid,
    "pg_stop_making_pinned_objects": pin_no_more,
}
