"""FOR UPDATE, FOR SHARE and friends: locks each row that the child gives (PostgreSQL manual, 13.3.2).

A row that changed while we waited is checked again: its scan's filter over the newest version, and the child's columns
that come straight from that scan are taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aurora.errors import SerializationFailure
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.modify_source import SCANS
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.plan_walk import plan_nodes
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Row = tuple[Any, ...]


def trace(plan: pl.Plan, index: int) -> tuple[pl.Plan, int] | None:
    """The scan, and the column of its scan row, that output column ``index`` passes on unchanged."""
    while True:
        if isinstance(plan, (pl.Sort, pl.Limit, pl.Unique, pl.Materialize)) and not plan.output:
            plan = plan.child
            continue
        if index >= len(plan.output):
            return None
        node = plan.output[index]
        while isinstance(node, ex.Relabel):
            node = node.argument
        if not isinstance(node, ex.Column):
            return None
        index = node.index
        if isinstance(plan, SCANS):
            return plan, index
        if isinstance(plan, (pl.HashJoin, pl.NestLoop)):
            plan = plan.inner if node.side else plan.outer
        elif isinstance(plan, (pl.Sort, pl.Limit, pl.Unique, pl.Materialize)) or (
            isinstance(plan, (pl.Result, pl.SubqueryScan)) and plan.child is not None
        ):
            plan = plan.child  # type: ignore[assignment]
        else:
            return None


@dataclass(slots=True)
class LockedRelation:
    """One locked relation: which child columns to refresh (position → attno) and how to re-check."""

    relation: RelationDesc
    tid_column: int
    strength: str
    wait: str
    refresh: tuple[tuple[int, int], ...]
    scan_columns: tuple[int, ...]
    recheck: Callable[[Any, Batch], Batch] | None
    complete: bool


@executes(pl.LockRows)
class LockRowsNode(Node):
    """Rows that vanished, no longer qualify or were skipped (SKIP LOCKED) are left out."""

    __slots__ = ("_child", "_locks", "_shape")

    def __init__(self, plan: pl.LockRows, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._locks = [self._locked(plan.child, builder, *lock) for lock in plan.locks]
        width = len(plan.child.output)
        self._shape = batch_function(builder, plan.output, None, width) if plan.output else None
        self.nullable = output_nullable(plan.output, self._child.nullable) if plan.output else self._child.nullable

    @staticmethod
    def _locked(
        child: pl.Plan, builder: Builder, relation: RelationDesc, column: int, strength: str, wait: str
    ) -> LockedRelation:
        found = trace(child, column)
        scan = found[0] if found is not None else None
        refresh = []
        complete = scan is not None
        width = len(child.output)
        for position in range(width):
            source = trace(child, position)
            if source is None:
                complete = False
            elif source[0] is scan and isinstance(scan, SCANS) and source[1] < len(scan.columns):
                refresh.append((position, scan.columns[source[1]]))
        recheck = None
        columns: tuple[int, ...] = ()
        if isinstance(scan, SCANS):
            columns = scan.columns
            conditions = scan.filter
            if isinstance(scan, pl.IndexScan):
                conditions = _with_index_conditions(scan)
            if conditions is not None:
                identity = tuple(ex.Column(type=0, index=index) for index in range(len(columns)))
                recheck = batch_function(builder, identity, conditions, len(columns))
            # A join condition on a refreshed column would have to be checked again too.
            complete = complete and not any(isinstance(node, (pl.HashJoin, pl.NestLoop)) for node in plan_nodes(child))
        return LockedRelation(relation, column, strength, wait, tuple(refresh), columns, recheck, complete)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Locks as rows are asked for."""
        shape = self._shape
        for batch in self._child.batches(ctx):
            ctx.check()
            rows: Batch = []
            for row in batch:
                locked = self._lock(ctx, row)
                if locked is not None:
                    rows.append(locked)
            if rows:
                yield rows if shape is None else shape(ctx, rows)

    def _lock(self, ctx: ExecContext, row: Row) -> Row | None:
        for lock in self._locks:
            tid = row[lock.tid_column]
            if tid is None:
                # The nullable side of an outer join: no row, nothing to lock.
                continue
            table = ctx.storage.table(lock.relation)
            result = table.lock(ctx.txn, ctx.snapshot, tid, lock.strength, lock.wait)
            if result is None:
                return None
            if result[0] == tid:
                continue
            if not lock.complete:
                raise SerializationFailure("could not serialize access due to concurrent update")
            current = result[1]
            if lock.recheck is not None:
                seen = tuple(_column(current, attno) for attno in lock.scan_columns)
                if not lock.recheck(ctx, [seen]):
                    return None
            fresh = list(row)
            fresh[lock.tid_column] = result[0]
            for position, attno in lock.refresh:
                fresh[position] = _column(current, attno)
            row = tuple(fresh)
        return row


def _column(row: Row, attno: int) -> Any:
    if attno < 0:
        raise SerializationFailure("could not serialize access due to concurrent update")
    return row[attno - 1]


def _over_scan_row(scan: pl.IndexScan, node: ex.Expr) -> ex.Expr:
    if isinstance(node, ex.Column):
        return ex.Column(type=node.type, typmod=node.typmod, index=scan.columns.index(node.index + 1))
    return ex.map_children(node, lambda child: _over_scan_row(scan, child))


def _with_index_conditions(scan: pl.IndexScan) -> ex.Expr | None:
    """The scan's filter AND the conditions of the index, for as far as their columns are read."""
    tests: list[ex.Expr] = [] if scan.filter is None else [scan.filter]
    for condition in scan.conditions:
        if all(item.index + 1 in scan.columns for item in ex.walk(condition) if isinstance(item, ex.Column)):
            tests.append(_over_scan_row(scan, condition))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else ex.And(type=16, arguments=tuple(tests))
