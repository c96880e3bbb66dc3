"""CREATE INDEX, REINDEX and DROP INDEX CONCURRENTLY: several transactions, between which the table's writers go on.

::

    CREATE   entry, not ready ─ wait for writers ─► built by a snapshot, ready ─ wait for writers ─► rows from
             between entered ─ wait for older snapshots ─► valid
    DROP     not valid ─ wait for everybody ─► not live ─ wait for everybody ─► gone
    REINDEX  a second index is created so, the two change their storage, the second one is dropped so

"Writers" are the transactions that hold a lock of the table as it was before, by which they know nothing of the step
before. A row that they change leaves its page if one of the new index's columns changes, so that a chain of versions
has one key (``Table.coming``). Each part holds SHARE UPDATE EXCLUSIVE: nobody vacuums the table or changes it, and
whoever wants a stronger lock waits. Who fails, or crashes, leaves what is committed: an index that is not valid, which
queries do not use, and DROP INDEX or REINDEX mend.

A wait comes first in its transaction, which has no snapshot yet: nobody waits for one who waits. Sources: PostgreSQL
manual, CREATE INDEX, "Building Indexes Concurrently", and REINDEX, "Rebuilding Indexes Concurrently".
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pglast import ast

from aurora.errors import InvariantViolation
from aurora.ids import NO_LSN, Lsn
from compute_node.access.index_missing import enter_missing
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.dependencies import drop, dropped_with, refresh_has_index
from compute_node.catalog.ddl.relation import relation
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.session.transactions import next_part
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE, SHARE_UPDATE_EXCLUSIVE
from compute_node.txn.transaction import READ_COMMITTED, Txn
from compute_node.work.progress import CreateIndex

if TYPE_CHECKING:
    from compute_node.session.state import SessionState


def is_concurrent(ctx: DdlContext, name: ast.RangeVar, asked: bool) -> bool:
    """Whether a statement about that relation lets others go on: nobody else sees a temporary one."""
    if not asked:
        return False
    desc = ctx.find(name, missing_ok=True)
    return desc is None or desc.persistence != "t"


class Parts:
    """The transactions of a statement about one table, which ``ctx`` has locked SHARE UPDATE EXCLUSIVE; the lock is
    held until the end of the context. ``ctx``: of the part of now."""

    def __init__(self, ctx: DdlContext, table: RelationDesc) -> None:
        self.ctx = ctx
        self.table = table.oid
        self._key = table.lock_id
        session: SessionState = ctx.session
        self._owner = Txn(READ_COMMITTED, True, False, session)
        ctx.storage.locks.hand_over(ctx.txn, self._owner, self._key, SHARE_UPDATE_EXCLUSIVE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ctx.storage.locks.release_all(self._owner, self._owner.tie(), NO_LSN)

    def commit(self) -> None:
        """What has been done is there; a new part begins."""
        txn = next_part(self.ctx.session)
        self.ctx.storage.locks.hand_over(self._owner, txn, self._key, SHARE_UPDATE_EXCLUSIVE)
        self.ctx = self.ctx.renewed(txn)

    def wait_for_holders(self, mode: int) -> None:
        """Wait until those have ended who hold a lock of the table now that conflicts with ``mode``."""
        locks, txn = self.ctx.storage.locks, self.ctx.txn
        for other in locks.holders(txn, self._key, mode):
            locks.wait_for_end(txn, other)

    def wait_for_snapshots(self, lsn: Lsn) -> None:
        """Wait until those have ended who look at a snapshot of ``lsn`` or before."""
        txns, txn = self.ctx.storage.txns, self.ctx.txn
        for other in txns.looking_back(txn, lsn):
            # Who was one of them may have gone on while another was waited for.
            if other in txns.looking_back(txn, lsn):
                self.ctx.storage.locks.wait_for_end(txn, other)

    def index(self, oid: int) -> tuple[RelationDesc, IndexDesc]:
        """The table and one of its indexes, as they are now."""
        table = relation(self.ctx, self.table)
        found = next((each for each in table.indexes if each.oid == oid), None)
        if found is None:
            raise InvariantViolation(f"index {oid} has gone while its table was locked")
        return table, found


def set_flags(ctx: DdlContext, table: int, index: int, **flags: bool) -> None:
    """Change columns of an index's pg_index row."""
    record = ctx.rows.one("pg_index", indexrelid=index)
    if record is None:
        raise InvariantViolation(f"pg_index has no row {index}")
    ctx.rows.update("pg_index", record, **flags)
    ctx.changes.touch(index, table)


def build_beside_writers(parts: Parts, indexes: Sequence[int], command: int = CreateIndex.CREATE_CONCURRENTLY) -> None:
    """Fill indexes that have been entered in the catalog as not ready; at the end they may become valid. Errors: 23505
    (a key is there twice), 54000, and those of waits."""
    parts.commit()
    parts.wait_for_holders(SHARE)
    for oid in indexes:
        table, index = parts.index(oid)
        parts.ctx.build_index(table, index, command)
        set_flags(parts.ctx, table.oid, oid, indisready=True)
        parts.commit()
    parts.wait_for_holders(SHARE)
    for oid in indexes:
        lsn = _enter_missing(parts, oid)
        parts.commit()
        parts.wait_for_snapshots(lsn)


def _enter_missing(parts: Parts, oid: int) -> Lsn:
    """Enter what was written between; the LSN up to which the table was looked at."""
    table, index = parts.index(oid)
    ctx = parts.ctx
    snapshot = ctx.storage.txns.latest_snapshot(ctx.txn)
    with ctx.maintaining(table):
        enter_missing(ctx.storage.table(table).index(index), ctx.txn, snapshot)
    return Lsn(snapshot.lsn)


def drop_beside_others(parts: Parts, indexes: Sequence[int]) -> None:
    """Drop indexes, once nobody uses them or keeps them up any more. Errors: 2BP01, and those of waits."""
    targets = [(CLASS_RELATION, oid, 0) for oid in indexes]
    dropped_with(parts.ctx, targets, cascade=False)
    for oid in indexes:
        set_flags(parts.ctx, parts.table, oid, indisvalid=False, indisclustered=False, indisreplident=False)
    parts.commit()
    parts.wait_for_holders(ACCESS_EXCLUSIVE)
    for oid in indexes:
        set_flags(parts.ctx, parts.table, oid, indisready=False, indislive=False)
    parts.commit()
    parts.wait_for_holders(ACCESS_EXCLUSIVE)
    ctx = parts.ctx
    # Queries of readers that may still use them end, as they do where the table is locked.
    ctx.storage.txns.log_lock(ctx.txn, relation(ctx, parts.table).lock_id)
    drop(ctx, targets, cascade=False)
    refresh_has_index(ctx, parts.table)
