"""ALTER TABLE … DETACH PARTITION [CONCURRENTLY | FINALIZE]: a partition becomes a table of its own again.

CONCURRENTLY is two transactions, between which queries of both tables go on::

    marked in pg_inherits, a CHECK of its bound ─ wait for who uses the parent ─► links, keys and index parts removed

From the mark's commit on nobody plans with the partition, foreign keys do not find its rows, and no row is put there
through the parent; only who has a snapshot of before, in REPEATABLE READ or SERIALIZABLE, still sees it
(``Txn.keep_partition``). Who fails in the wait, or crashes, leaves the mark, and FINALIZE does the second part. Source:
PostgreSQL manual, ALTER TABLE, "DETACH PARTITION".
"""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import ObjectNotInPrerequisiteState, UndefinedTable
from aurora.ids import Lsn
from compute_node.catalog.ddl.alter_family import add_checks
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.inheritance import unlink
from compute_node.catalog.ddl.inheriting import leave_parent
from compute_node.catalog.ddl.partitions.attach import named_table, require_partitioned
from compute_node.catalog.ddl.partitions.contents import follows_constraint
from compute_node.catalog.ddl.partitions.create import set_default_partition, touch_below
from compute_node.catalog.ddl.partitions.foreign_keys import refuse_referenced, release_foreign_keys
from compute_node.catalog.ddl.partitions.indexes import release_indexes
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH, NONE
from compute_node.session.transactions import next_part
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.parse import parse
from compute_node.sql.partitioning import all_of, key_of, partition_constraint, partitions_of
from compute_node.sql.planner.fold import fold
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE

_FINALIZE = "Use ALTER TABLE ... DETACH PARTITION ... FINALIZE to complete the pending detach operation."


def detach_partition(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """DETACH PARTITION, not CONCURRENTLY. 42P17, 42P01, 55000, 23503."""
    require_partitioned(desc)
    index = partitions_of(ctx.view, desc)
    if index.default != NONE:
        ctx.lock(relation(ctx, index.oids[index.default]), ACCESS_EXCLUSIVE)
    table = named_table(ctx, command.def_.name, ACCESS_EXCLUSIVE)
    if table.oid == relation(ctx, desc.oid).detaching:
        raise ObjectNotInPrerequisiteState(
            f'cannot detach partition "{table.name}"',
            detail="The partition is being detached concurrently or has an unfinished detach.",
            hint=_FINALIZE,
        )
    _require_partition(desc, table)
    refuse_referenced(ctx, table)
    _leave(ctx, table, desc)


def detach_concurrently(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """DETACH PARTITION … CONCURRENTLY; the statement goes on in another transaction than ``ctx``'s. 42P17, 42P01,
    55000, 23503, and the errors of waits."""
    require_partitioned(desc)
    if partitions_of(ctx.view, desc).default != NONE:
        raise ObjectNotInPrerequisiteState("cannot detach partitions concurrently when a default partition exists")
    table = named_table(ctx, command.def_.name, SHARE_UPDATE_EXCLUSIVE)
    if desc.detaching:
        pending = relation(ctx, desc.detaching)
        raise ObjectNotInPrerequisiteState(
            f'partition "{pending.name}" already pending detach in partitioned table "{desc.schema}.{desc.name}"',
            hint=_FINALIZE,
        )
    _require_partition(desc, table)
    _mark(ctx, table, desc)
    # Queries of readers with a snapshot of before end, as they do where the table is locked.
    ctx.storage.txns.log_lock(ctx.txn, desc.lock_id)
    refuse_referenced(ctx, table)
    if key_of(desc).strategy != HASH:  # it would name the parent
        _check_as_partition(ctx, table)

    def keep_for_older_snapshots(_lsn: Lsn) -> None:
        for each in ctx.storage.txns.active:
            if each.snapshot_lsn and not each.follow and each.session is not None:
                each.keep_partition(table.oid)

    ctx.txn.on_commit(keep_for_older_snapshots)
    ctx = ctx.renewed(next_part(ctx.session))
    for other in ctx.storage.locks.holders(ctx.txn, desc.lock_id, ACCESS_EXCLUSIVE):
        ctx.storage.locks.wait_for_end(ctx.txn, other)
    parent = _locked_again(ctx, desc, SHARE_UPDATE_EXCLUSIVE, "partitioned table")
    child = _locked_again(ctx, table, ACCESS_EXCLUSIVE, "partition")
    _require_pending(parent, child)
    _leave(ctx, child, parent)


def finalize_partition(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """DETACH PARTITION … FINALIZE, of one whose DETACH CONCURRENTLY has not come to its end. 42P01, 42P17, 55000."""
    require_partitioned(desc)
    table = named_table(ctx, command.def_.name, ACCESS_EXCLUSIVE)
    if table.oid != desc.detaching:
        _require_partition(desc, table)
    _require_pending(desc, table)
    txns = ctx.storage.txns
    lsn = Lsn(txns.latest_snapshot(ctx.txn).lsn)
    for other in txns.looking_back(ctx.txn, lsn):
        ctx.storage.locks.wait_for_end(ctx.txn, other)
    _leave(ctx, table, desc)


def refuse_pending(ctx: DdlContext, desc: RelationDesc) -> None:
    """55000 for a partition that is being detached: nothing of it may be altered before that has come to its end."""
    if desc.is_partition and relation(ctx, desc.parents[0]).detaching == desc.oid:
        raise ObjectNotInPrerequisiteState(
            f'cannot alter partition "{desc.name}" with an incomplete detach', hint=_FINALIZE
        )


def _require_partition(desc: RelationDesc, table: RelationDesc) -> None:
    if table.oid not in desc.children:
        raise UndefinedTable(f'relation "{table.name}" is not a partition of relation "{desc.name}"')


def _require_pending(desc: RelationDesc, table: RelationDesc) -> None:
    if table.oid != desc.detaching:
        raise ObjectNotInPrerequisiteState(
            f'cannot complete detaching partition "{table.name}"', detail="There's no pending concurrent detach."
        )


def _locked_again(ctx: DdlContext, desc: RelationDesc, mode: int, what: str) -> RelationDesc:
    """A table as it is in the second transaction; 55000 where somebody has dropped it between the two."""
    found = ctx.view.relation(desc.oid)
    if found is not None:
        ctx.lock(found, mode)
        found = ctx.view.relation(desc.oid)
    if found is None:
        raise ObjectNotInPrerequisiteState(f'{what} "{desc.name}" was removed concurrently')
    return found


def _mark(ctx: DdlContext, table: RelationDesc, parent: RelationDesc) -> None:
    for record in ctx.rows.find("pg_inherits", inhrelid=table.oid, inhparent=parent.oid):
        ctx.rows.update("pg_inherits", record, inhdetachpending=True)
    ctx.changes.touch(parent.oid, table.oid)


def _check_as_partition(ctx: DdlContext, table: RelationDesc) -> None:
    """The table keeps what is true of its rows as a CHECK constraint, unless others of its own say so already."""
    parts = [fold(ctx.view, item) for item in partition_constraint(ctx.view, table)]
    if not parts or follows_constraint(ctx, table, parts):
        return
    text = deparse_stored(all_of(parts), ctx.view, table, ctx.session.env)
    check = ast.Constraint(
        contype=enums.ConstrType.CONSTR_CHECK,
        raw_expr=parse(f"SELECT {text}")[0].node.targetList[0].val,
    )
    add_checks(ctx, table, check, recurse=True, validate=False)


def _leave(ctx: DdlContext, table: RelationDesc, parent: RelationDesc) -> None:
    """Nothing ties the table to its parent any more. Both are locked."""
    is_default = table.bound is not None and table.bound.is_default
    unlink(ctx, table, parent)
    leave_parent(ctx, table, parent)
    ctx.rows.update("pg_class", class_record(ctx, table.oid), relispartition=False, relpartbound=None)
    if is_default:
        set_default_partition(ctx, parent, 0)
    release_foreign_keys(ctx, relation(ctx, table.oid))
    release_indexes(ctx, table)
    touch_below(ctx, table)
