"""DELETE: each target row found by the child, re-checked when it changed while we waited for its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.exec.assignments import RowChange, columns_used
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import is_volatile
from compute_node.exec.compile.unit import Unit
from compute_node.exec.modify_source import ModifySource, looks_around
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.recheck import find_target_again
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 256


@executes(pl.Delete)
class DeleteNode(Node):
    """``run`` gives the number of rows, ``batches`` those of RETURNING."""

    __slots__ = ("_again", "_alone", "_make", "_needed", "_relation", "_returning", "_source", "_system")

    def __init__(self, plan: pl.Delete, builder: Builder) -> None:
        self._relation, self._system = plan.relation, plan.system
        recheck = plan.recheck
        if recheck is not None and is_volatile(builder, recheck):
            recheck = None
        self._again = find_target_again(plan.again, plan.source, builder)
        whole = self._again is not None
        change = RowChange(builder, plan.relation, (), recheck, (), plan.returning, whole=whole)
        self._needed = change.needed
        width = len(plan.relation.columns)
        uses_joined = any(index >= width for index in columns_used([recheck, *plan.returning]))
        self._source = ModifySource(plan.child, plan.tid_column, builder, uses_joined)
        self._alone = self._source.scanned and not plan.returning and not looks_around(plan, builder)
        unit = Unit()
        scope = change.old_row_scope(proposed=False)
        check = Compiler(unit, scope, builder).truth(recheck).text if recheck is not None else "True"
        lines = ["def recheck(r, at):"]
        if plan.returning:
            lines.append("    keep[0] = r")
        lines += [f"    return {check}", "return recheck"]
        self._make: Callable[..., Datum] = unit.link(unit.function("c, s, keep", lines))
        self._returning: Callable[..., Datum] | None = None
        if plan.returning:
            unit = Unit()
            text = Compiler(unit, scope, builder).tuple_of(plan.returning)
            self._returning = unit.link(unit.function("c, r, s, y", [f"return {text}"]))
        self.nullable = None

    def run(self, ctx: ExecContext) -> int:
        """Deletes everything that qualifies."""
        table = ctx.storage.table(self._relation)
        delete = table.delete
        recheck = self._make(ctx, None, None) if self._source.scanned else None
        count = 0
        done: set[int] = set()
        if recheck is not None and self._alone:
            together: list[int] = []
            for tids in self._source.tids(ctx):
                together += tids
                if len(together) >= BATCH_ROWS:
                    count += table.delete_many(ctx.txn, ctx.snapshot, together, recheck, self._needed)
                    together.clear()
                    ctx.check()
            return count + table.delete_many(ctx.txn, ctx.snapshot, together, recheck, self._needed)
        for number, (tid, row) in enumerate(self._source.rows(ctx, done)):
            test = recheck if recheck is not None else self._test(ctx, row, [None])
            if delete(ctx.txn, ctx.snapshot, tid, test, self._needed):
                count += 1
                if recheck is None:
                    done.add(tid)
            if not number & 63:
                ctx.check()
        return count

    def _test(self, ctx: ExecContext, joined: Row | None, keep: list[Datum]) -> Callable[[Row, int], bool]:
        """Whether a row that has changed is to be deleted still; leaves what it has become in ``keep``."""
        if self._again is None or joined is None:
            test: Callable[[Row, int], bool] = self._make(ctx, joined, keep)
            return test
        find_again = self._again

        def found_again(row: Row, at: int) -> bool:
            fresh = find_again(ctx, joined, at, row)
            keep[:] = [row, fresh]
            return fresh is not None

        return found_again

    def _deleted(self, ctx: ExecContext, table: Table, tid: int) -> Row:
        """The system columns that RETURNING reads of a version that has been deleted."""
        if not self._system:
            return ()
        row = table.fetch(ctx.storage.txns.last_snapshot_before(ctx.txn), tid, self._system)
        if row is None:
            raise InvariantViolation(f"the row at {tid} that was just deleted is not there")
        return row

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """RETURNING's rows: the deleted ones."""
        if self._returning is None:
            self.run(ctx)
            return
        table = ctx.storage.table(self._relation)
        out: Batch = []
        done: set[int] = set()
        for tid, row in self._source.rows(ctx, done):
            # The re-check only sees versions newer than the snapshot's.
            keep: list[Datum] = [table.fetch(ctx.snapshot, tid, self._needed), row]
            at = table.delete(ctx.txn, ctx.snapshot, tid, self._test(ctx, row, keep), self._needed)
            if at:
                done.add(tid)
                out.append(self._returning(ctx, *keep, self._deleted(ctx, table, at)))
            if len(out) >= BATCH_ROWS:
                ctx.check()
                yield out
                out = []
        if out:
            yield out
