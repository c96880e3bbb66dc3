"""Rewriting a table into new storage: TRUNCATE, ADD COLUMN with a volatile default; what CLUSTER, VACUUM FULL and ALTER
TYPE share.

New relfiles take the place of the old ones in pg_class; the old storage goes when the transaction commits, the new
one when it aborts. Readers of older snapshots keep out by the access-exclusive lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pglast import ast, enums

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.access.stored import BATCH_BYTES, LAZY, Toasted, adopted
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.expressions import range_var, walk
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.parse import parse
from compute_node.txn.locks import ACCESS_EXCLUSIVE
from compute_node.work.progress import Cluster, Progress

if TYPE_CHECKING:
    from compute_node.access.table import Table

_BATCH = 2000


def new_relfiles(ctx: DdlContext, desc: RelationDesc) -> RelationDesc:
    """Give a table and its indexes new, empty storage; returns the new descriptor."""
    toast = desc.toast
    if toast is not None:
        # Vacuum may be at work there, under a lock of the TOAST table alone.
        ctx.lock(toast, ACCESS_EXCLUSIVE)
    tables = [desc] if toast is None else [desc, toast]
    for oid in [oid for table in tables for oid in (table.oid, *(index.oid for index in table.indexes))]:
        record = class_record(ctx, oid)
        relfile = ctx.new_storage()
        ctx.drop_storage(record.relfilenode)
        ctx.rows.update("pg_class", record, relfilenode=relfile, relpages=0, reltuples=-1.0)
        ctx.changes.touch(oid)
    ctx.storage.txns.serials.rewritten(desc.lock_id)
    ctx.changes.touch(desc.oid)
    fresh = relation(ctx, desc.oid)
    if fresh.toast is not None:
        for index in fresh.toast.indexes:
            ctx.build_index(fresh.toast, index)
    return fresh


def without_watchers(desc: RelationDesc) -> RelationDesc:
    """The table without its indexes, which are built when it is full, and without those who watch its rows: they have
    seen them."""
    return replace(desc, indexes=(), foreign_keys=(), referenced_by=())


def build_indexes(ctx: DdlContext, desc: RelationDesc) -> None:
    """Fill the indexes of a table that was written anew."""
    for index in desc.indexes:
        ctx.build_index(desc, index)


def write_anew(ctx: DdlContext, desc: RelationDesc, batches: Iterator[list[Row]], progress: Progress) -> int:
    """Give a locked table new storage that holds these rows: the values of all its columns, stored ones as handles or
    not, and last who inserted the row, which stays so. A snapshot that is older than this does not find the rows that
    were deleted or replaced since. How many rows. ``batches`` read the old storage, and have begun to. ``progress`` is
    CLUSTER's."""
    fresh = new_relfiles(ctx, relation(ctx, desc.oid))
    table = ctx.storage.table(without_watchers(fresh))
    count = 0
    for xid, rows in _same_inserters(_kept(batches, table)):
        table.refill(ctx.txn, rows, xid)
        count += len(rows)
        progress.put(Cluster.SCANNED, count)
        progress.put(Cluster.WRITTEN, count)
        ctx.session.check_interrupts()
        HUB.pulse()
    ctx.txn.cid += 1
    ctx.note_size(desc.oid, fresh.relfile, count, even_empty=True)
    progress.put(Cluster.PHASE, Cluster.REBUILDING)
    for index in fresh.indexes:
        ctx.build_index(fresh, index)
        progress.add(Cluster.REBUILT, 1)
    progress.put(Cluster.PHASE, Cluster.CLEANING)
    return count


def _kept(batches: Iterator[list[Row]], table: Table) -> Iterator[list[Row]]:
    """The rows with values that are stored compressed or out of line as ``table`` can take them over."""
    toast = table.toast
    if toast is None:
        yield from batches
        return
    positions = [at for at, attno in enumerate(toast.lazy_columns) if attno > LAZY]
    for batch in batches:
        yield from adopted(batch, positions, toast)


def _same_inserters(batches: Iterator[list[Row]]) -> Iterator[tuple[int, list[Row]]]:
    """(xid, rows without it): runs of rows that one transaction has inserted, up to some thousand rows or some MB of
    stored values."""
    waiting: list[Row] = []
    inserter = size = 0
    for batch in batches:
        for row in batch:
            xid = row[-1]
            if not isinstance(xid, int):
                raise InvariantViolation(f"a row was inserted by {xid}")
            if waiting and xid != inserter:
                yield inserter, waiting
                waiting, size = [], 0
            inserter = xid
            waiting.append(row[:-1])
            size += sum(value.stored_bytes for value in row if type(value) is Toasted)
        if len(waiting) >= _BATCH or size > BATCH_BYTES:
            yield inserter, waiting
            waiting, size = [], 0
    if waiting:
        yield inserter, waiting


def truncate(ctx: DdlContext, desc: RelationDesc) -> None:
    """Empty a table; its indexes become empty ones."""
    if ctx.txn.serial is not None:
        ctx.storage.txns.serials.empties(ctx.txn.serial, desc.lock_id)
    fresh = new_relfiles(ctx, desc)
    for index in fresh.indexes:
        ctx.build_index(fresh, index)


def default_value(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> tuple[Datum, bool]:
    """(value of the column's default now, whether it is volatile, in which case the value means nothing)."""
    if column.default is None:
        raise InvariantViolation("column.default is not there")
    text = f"SELECT {column.default}"
    node = parse(text)[0].node
    if _is_volatile(ctx, node):
        return None, True
    return next(row[0] for batch in ctx.fetch(_cast(ctx, node, column), text) for row in batch), False


def _cast(ctx: DdlContext, node: ast.Node, column: ColumnDesc) -> Any:
    """The SELECT's only target, cast to the column's type."""
    kind = ctx.view.type(column.type)
    schema = ctx.view.type_name(column.type)[0]
    names = tuple(ast.String(sval=name) for name in (schema, kind.name) if name)
    target = node.targetList[0]
    type_name = ast.TypeName(names=names, typemod=column.typmod, location=-1)
    target.val = ast.TypeCast(arg=target.val, typeName=type_name, location=-1)
    return node


def _is_volatile(ctx: DdlContext, node: ast.Node) -> bool:
    """Whether a function that it calls may be a volatile one."""
    view = ctx.view
    for call in walk(node):
        if isinstance(call, ast.FuncCall):
            names = [item.sval for item in call.funcname]
            functions = view.functions(names[-2] if len(names) > 1 else None, names[-1])
            if any(function.volatility == "v" for function in functions):
                return True
    return False


def rewrite_with_value(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> None:
    """Write every row anew with the column's default, evaluated for each."""
    if column.default is None:
        raise InvariantViolation("column.default is not there")
    text = f"SELECT {column.default}"
    live = [each for each in desc.columns if not each.dropped and each.attno != column.attno]
    select = _cast(ctx, parse(text)[0].node, column)
    value = select.targetList[0]
    columns = [
        ast.ResTarget(val=ast.ColumnRef(fields=(ast.String(sval=each.name),), location=-1), location=-1)
        for each in live
    ]
    query = ast.SelectStmt(
        targetList=(*columns, value),
        fromClause=(range_var(desc),),
        limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
    )
    width = len(desc.columns)
    places = [each.attno - 1 for each in live] + [column.attno - 1]
    rows: list[Row] = []
    for batch in ctx.fetch(query, text):
        for values in batch:
            row: list[Datum] = [None] * width
            for place, item in zip(places, values, strict=True):
                row[place] = item
            rows.append(tuple(row))
    fresh = new_relfiles(ctx, desc)
    table = ctx.storage.table(without_watchers(fresh))
    for start in range(0, len(rows), _BATCH):
        table.refill(ctx.txn, rows[start : start + _BATCH])
    ctx.txn.cid += 1
    build_indexes(ctx, fresh)
