"""UPDATE: each target row found by the child is changed through ``Table.update_columns``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from compute_node.access.page_updates import ComputeMany, Values
from compute_node.exec.assignments import RowChange
from compute_node.exec.constraints import RowViolation
from compute_node.exec.modify_source import ModifySource, looks_around
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.placing import Mover
from compute_node.exec.recheck import find_target_again
from compute_node.exec.routing import router_of
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 256
ENTRIES_TOGETHER = 1024
"""Index entries of new versions are entered in the order of their keys, so many rows at a time."""


@executes(pl.Update)
class UpdateNode(Node):
    """``run`` gives the number of rows, ``batches`` those of RETURNING."""

    __slots__ = ("_again", "_alone", "_change", "_relation", "_returns", "_source")

    def __init__(self, plan: pl.Update, builder: Builder) -> None:
        self._relation = plan.relation
        self._again = find_target_again(plan.again, plan.source, builder)
        whole = self._again is not None
        moves = plan.moves
        mover = None if moves is None else Mover(moves, plan.relation, router_of(moves, builder), builder)
        self._change = RowChange(
            builder,
            plan.relation,
            plan.assignments,
            plan.recheck,
            plan.checks,
            plan.returning,
            whole=whole,
            system=plan.system,
            generated=plan.generated,
            shown=plan.named,
            mover=mover,
            row_checks=plan.row_checks,
        )
        self._returns = bool(plan.returning)
        self._source = ModifySource(plan.child, plan.tid_column, builder, self._change.uses_joined)
        self._alone = self._source.scanned and not self._returns and not looks_around(plan, builder)
        self.nullable = None

    def run(self, ctx: ExecContext) -> int:
        """Updates everything that qualifies."""
        table = ctx.storage.table(self._relation)
        change = self._change
        count = 0
        if not self._source.scanned or change.by_row:
            done: set[int] = set()
            for tid, row in self._source.rows(ctx, done):
                ctx.check()
                if change.apply(ctx, table, tid, row, self._again).tid is not None:
                    done.add(tid)
            return len(done)
        changed, needed, txn, snapshot = change.changed, change.needed, ctx.txn, ctx.snapshot
        if self._alone:
            later: list[int] = []
            computed = self._computed(ctx, table)
            for tids in self._source.tids(ctx):
                count += table.update_many(txn, snapshot, tids, changed, computed, needed, later)
                ctx.check()
                if len(later) >= ENTRIES_TOGETHER:
                    table.enter_many(txn, changed, needed, later)
                    later.clear()
            table.enter_many(txn, changed, needed, later)
            return count
        compute = change.computer(ctx)
        update = table.update_columns
        for tid, _ in self._source.rows(ctx, set()):
            try:
                if update(txn, snapshot, tid, changed, compute, needed) is not None:
                    count += 1
            except RowViolation as failure:
                raise change.explain(ctx, table, tid, failure) from None
            if not count & 63:
                ctx.check()
        return count

    def _computed(self, ctx: ExecContext, table: Table) -> ComputeMany:
        """The new values of many rows."""
        change = self._change
        compute = change.computer(ctx)

        def computed(rows: list[Row], tids: list[int], at: int) -> list[Values]:
            made: list[Values] = []
            try:
                for row in rows:
                    made.append(compute(row))
                    if not len(made) & 63:
                        ctx.check()
            except RowViolation as failure:
                raise change.explain(ctx, table, tids[at + len(made)], failure) from None
            return made

        return computed

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """RETURNING's rows."""
        if not self._returns:
            self.run(ctx)
            return
        table = ctx.storage.table(self._relation)
        out: Batch = []
        done: set[int] = set()
        for tid, row in self._source.rows(ctx, done):
            outcome = self._change.apply(ctx, table, tid, row, self._again)
            if outcome.tid is not None and outcome.returned is not None:
                done.add(tid)
                out.append(outcome.returned)
            if len(out) >= BATCH_ROWS:
                ctx.check()
                yield out
                out = []
        if out:
            yield out
