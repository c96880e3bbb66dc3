"""Functions that look after one index: gin_clean_pending_list and its like (manual, 9.27.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aurora.datum import Datum
from aurora.errors import (
    InsufficientPrivilege,
    InternalError,
    InvariantViolation,
    NumericValueOutOfRange,
    ObjectNotInPrerequisiteState,
    WrongObjectType,
)
from compute_node.access.brin.index import BrinIndex
from compute_node.catalog.functions.call import Call
from compute_node.relations.access_methods import BRIN, GIN, AccessMethod
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.session.acting import restricted
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE


def _index(call: Call, oid: int, method: AccessMethod, shown: str) -> tuple[RelationDesc, IndexDesc]:
    """The table and the index; the caller owns it. Errors: XX000, 42809, 42501."""
    desc = call.view.relation(oid)
    if desc is None:
        raise InternalError(f"could not open relation with OID {oid}")
    if desc.kind not in ("i", "I"):
        raise WrongObjectType(f'"{desc.name}" is not an index')
    row = call.reader.one("pg_index", indexrelid=oid)
    table = None if row is None else call.view.relation(row.indrelid)
    index = None if table is None else next((each for each in table.indexes if each.oid == oid), None)
    if desc.kind != "i" or table is None or index is None or index.method != method.name:
        raise WrongObjectType(f'"{desc.name}" is not a {shown} index')
    if not call.view.layer.rights(call.session.user_oid).owns(desc.owner):
        raise InsufficientPrivilege(f"must be owner of index {desc.name}")
    return table, index


def clean_pending_list(call: Call, oid: int) -> int:
    """gin_clean_pending_list: no entry is ever pending, so no page is freed."""
    _index(call, oid, GIN, "GIN")
    return 0


_BLOCK_MAX: Final = 2**32 - 2
_ALL_RANGES: Final = 2**32 - 1


@contextmanager
def _brin_index(call: Call, oid: int) -> Iterator[BrinIndex]:
    """A BRIN index, whose table nobody else vacuums meanwhile; functions run as the table's owner. Errors: 55000,
    XX000, 42809, 42501."""
    if call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState(
            "recovery is in progress", hint="BRIN control functions cannot be executed during recovery."
        )
    found, _ = _index(call, oid, BRIN, "BRIN")
    lock_id = found.lock_id
    storage, txn = call.engine.storage, call.txn
    had = txn.table_locks.get(lock_id, 0) >> SHARE_UPDATE_EXCLUSIVE & 1
    storage.locks.lock_relation(txn, lock_id, SHARE_UPDATE_EXCLUSIVE, found.name)
    try:
        # They may have changed while the lock was waited for.
        table, desc = _index(call, oid, BRIN, "BRIN")
        index = storage.table(table).index(desc)
        if not isinstance(index, BrinIndex):
            raise InvariantViolation(f"index {desc.name} of method {desc.method} is none of BRIN")
        with restricted(call.session, table.owner):
            yield index
    finally:
        if not had:
            storage.locks.release_mode(txn, lock_id, SHARE_UPDATE_EXCLUSIVE)


def summarize_new_values(call: Call, oid: int) -> int:
    """brin_summarize_new_values: how many ranges have got a summary."""
    return summarize_range(call, oid, _ALL_RANGES)


def summarize_range(call: Call, oid: int, block: int) -> int:
    """brin_summarize_range: of the range with that block, if it has none. Errors: 22003."""
    if not 0 <= block <= _ALL_RANGES:
        raise NumericValueOutOfRange(f"block number out of range: {block}")
    with _brin_index(call, oid) as index:
        only = None if block == _ALL_RANGES else block
        return index.summarize(call.session.check_interrupts, only) if index.desc.valid else 0


def desummarize_range(call: Call, oid: int, block: int) -> str:
    """brin_desummarize_range: forget the summary of the range with that block. Errors: 22003."""
    if not 0 <= block <= _BLOCK_MAX:
        raise NumericValueOutOfRange(f"block number out of range: {block}")
    with _brin_index(call, oid) as index:
        if index.desc.valid:
            index.desummarize(block)
    return ""  # void, which is not NULL


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "gin_clean_pending_list": clean_pending_list,
    "brin_summarize_new_values": summarize_new_values,
    "brin_summarize_range": summarize_range,
    "brin_desummarize_range": desummarize_range,
}
