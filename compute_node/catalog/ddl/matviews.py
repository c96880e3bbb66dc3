"""REFRESH MATERIALIZED VIEW: new storage with the rows of now, or, CONCURRENTLY, the difference row by row beside
readers (manual, REFRESH MATERIALIZED VIEW)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from pglast import ast

from aurora.datum import Row
from aurora.errors import (
    CardinalityViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.catalog.ddl.rewrite import build_indexes, new_relfiles, without_watchers
from compute_node.catalog.ddl.table_as import fill
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.txn.locks import ACCESS_EXCLUSIVE, EXCLUSIVE
from compute_node.types.record import Record, record_out
from compute_node.work.account import Account, batch_bytes

_BATCH = 256
_PLACE_BYTES = 48
"""of a row that is to be deleted: its place, and that in the list"""
Image = tuple[str | None, ...]
"""a row's values as texts, which tell apart what is stored differently"""


def refresh_statement(ctx: DdlContext, node: ast.RefreshMatViewStmt) -> str:
    """REFRESH MATERIALIZED VIEW [CONCURRENTLY] … [WITH NO DATA]. 0A000, 42501, 42601, 55000, 21000, 23505."""
    desc = ctx.find(node.relation)
    if desc is None:
        raise UndefinedTable(f'relation "{node.relation.relname}" does not exist')
    _check(ctx, desc)
    ctx.lock(desc, EXCLUSIVE if node.concurrent else ACCESS_EXCLUSIVE)
    desc = ctx.view.relation(desc.oid)
    if desc is None:
        raise UndefinedTable(f'relation "{node.relation.relname}" does not exist')
    _check(ctx, desc)
    if node.concurrent:
        _check_concurrent(desc, bool(node.skipData))
    ctx.check_unused(desc, "REFRESH MATERIALIZED VIEW")
    with ctx.maintaining(desc):
        if node.concurrent:
            _replace_rows(ctx, desc)
        else:
            _replace_storage(ctx, desc, bool(node.skipData))
    return "REFRESH MATERIALIZED VIEW"


def _check(ctx: DdlContext, desc: RelationDesc) -> None:
    if desc.kind not in "rmtp":
        raise WrongObjectType(f'"{desc.name}" is not a table or materialized view')
    ctx.check_owner(desc)
    if desc.kind != "m":
        raise NotSupported(f'"{desc.name}" is not a materialized view')


def _check_concurrent(desc: RelationDesc, empty: bool) -> None:
    if not desc.populated:
        raise NotSupported("CONCURRENTLY cannot be used when the materialized view is not populated")
    if empty:
        raise SqlSyntaxError("CONCURRENTLY and WITH NO DATA options cannot be used together")
    usable = (
        index.unique and index.valid and index.immediate and index.predicate is None and not index.expressions
        for index in desc.indexes
    )  # fmt: skip
    if not any(usable):
        name = f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
        raise ObjectNotInPrerequisiteState(
            f'cannot refresh materialized view "{name}" concurrently',
            hint="Create a unique index with no WHERE clause on one or more columns of the materialized view.",
        )


def _query_rows(ctx: DdlContext, desc: RelationDesc) -> Iterable[list[Row]]:
    """The rows of its query now, as its owner sees them."""
    return ctx.fetch_own(desc.view_sql or "", trusted=False)


def _replace_storage(ctx: DdlContext, desc: RelationDesc, empty: bool) -> None:
    fresh = new_relfiles(ctx, desc)
    if not empty:
        fill(ctx, without_watchers(fresh), _query_rows(ctx, desc))
        ctx.txn.cid += 1
    build_indexes(ctx, fresh)
    if desc.populated == empty:
        ctx.rows.update("pg_class", class_record(ctx, desc.oid), relispopulated=not empty)
        ctx.changes.touch(desc.oid)


def _replace_rows(ctx: DdlContext, desc: RelationDesc) -> None:
    """Delete the rows that the query does not give any more, insert those that are new."""
    kinds = [ctx.view.type(column.type) for column in desc.columns]

    def image(row: Row) -> Image:
        return tuple(
            None if value is None else kind.output(value, NEUTRAL_ENV) for value, kind in zip(row, kinds, strict=True)
        )

    wanted: Counter[Image] = Counter()
    rows: dict[Image, Row] = {}
    with closing(Account()) as account:
        for batch in _query_rows(ctx, desc):
            ctx.session.check_interrupts()
            account.charge(2 * batch_bytes(batch))  # the rows, and what they are known by
            for row in batch:
                HUB.pulse()
                key = image(row)
                wanted[key] += 1
                rows[key] = row
                if wanted[key] > 1 and None not in key:
                    raise CardinalityViolation(
                        f'new data for materialized view "{desc.name}" contains duplicate rows without any null'
                        " columns",
                        detail=f"Row: {record_out(Record.of(row, kinds), ctx.session.env)}",
                    )
        _apply(ctx, desc, account, image, wanted, rows)


def _apply(
    ctx: DdlContext,
    desc: RelationDesc,
    account: Account,
    image: Callable[[Row], Image],
    wanted: Counter[Image],
    rows: dict[Image, Row],
) -> None:
    """Make the stored rows those that are wanted: each by its image, so often."""
    table = ctx.storage.table(relation(ctx, desc.oid))
    attnos = tuple(column.attno for column in desc.columns)
    gone: list[int] = []
    for batch in table.scan(ctx.rows.snapshot(), attnos, True):
        ctx.session.check_interrupts()
        account.charge(_PLACE_BYTES * len(batch))
        for stored in batch:
            HUB.pulse()
            key = image(stored[:-1])
            if wanted[key]:
                wanted[key] -= 1
            else:
                gone.append(stored[-1])
    snapshot = ctx.rows.snapshot()
    for start in range(0, len(gone), _BATCH):
        table.delete_many(ctx.txn, snapshot, gone[start : start + _BATCH], lambda row, at: True, ())
        ctx.session.check_interrupts()
    ctx.txn.cid += 1
    fill(ctx, desc, _left(ctx, wanted, rows))


def _left(ctx: DdlContext, wanted: Counter[Image], rows: dict[Image, Row]) -> Iterator[list[Row]]:
    """The rows that are still wanted."""
    for key, count in wanted.items():
        if count:
            ctx.session.check_interrupts()
            yield [rows[key]] * count
