"""DELETE: each target row found by the child, re-checked when it changed while we waited for its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.exec.assignments import FindAgain, RowChange, columns_used, system_row
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.unit import Unit
from compute_node.exec.modify_source import ModifySource, looks_around
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.recheck import find_target_again
from compute_node.sql import plan as pl
from compute_node.sql.planner.quals import contains_volatile

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.relations.descriptors import RelationDesc
    from compute_node.sql.expressions import Expr

BATCH_ROWS = 256


class Deletion:
    """What DELETE does with a row of one table, compiled. ``test``: whether a row that has changed is to be deleted
    still; None for a recheck that is not for this. ``returning`` takes (context, the table's columns ``needed``, the
    joined row, system columns)."""

    __slots__ = ("make", "needed", "relation", "returning", "system", "uses_joined")

    def __init__(
        self,
        builder: Builder,
        relation: RelationDesc,
        recheck: Expr | None,
        returning: Sequence[Expr],
        system: tuple[int, ...],
        *,
        whole: bool,
    ) -> None:
        self.relation, self.system = relation, system
        if recheck is not None and contains_volatile(builder, recheck):
            recheck = None
        change = RowChange(builder, relation, (), recheck, (), returning, whole=whole)
        self.needed = change.needed
        width = len(relation.columns)
        self.uses_joined = any(index >= width for index in columns_used([recheck, *returning]))
        unit = Unit()
        scope = change.old_row_scope(proposed=False)
        check = Compiler(unit, scope, builder).truth(recheck).text if recheck is not None else "True"
        lines = ["def recheck(r, at):"]
        if returning:
            lines.append("    keep[0] = r")
        lines += [f"    return {check}", "return recheck"]
        self.make: Callable[..., Datum] = unit.link(unit.function("c, s, keep", lines))
        self.returning: Callable[..., Row] | None = None
        if returning:
            unit = Unit()
            text = Compiler(unit, scope, builder).tuple_of(returning)
            self.returning = unit.link(unit.function("c, r, s, y", [f"return {text}"]))

    def test(
        self, ctx: ExecContext, joined: Row | None, keep: list[Datum], find_again: FindAgain | None
    ) -> Callable[[Row, int], bool]:
        """Whether a row that has changed is to be deleted still; leaves what it has become in ``keep``."""
        if find_again is None or joined is None:
            test: Callable[[Row, int], bool] = self.make(ctx, joined, keep)
            return test

        def found_again(row: Row, at: int) -> bool:
            fresh = find_again(ctx, joined, at, row)
            keep[:] = [row, fresh]
            return fresh is not None

        return found_again

    def returned(
        self, ctx: ExecContext, table: Table, tid: int, row: Row | None, find_again: FindAgain | None
    ) -> Row | None:
        """Delete a row: what RETURNING gives of it; None when it is not there any more."""
        if self.returning is None:
            raise InvariantViolation("a DELETE without RETURNING")
        # The re-check only sees versions newer than the snapshot's.
        keep: list[Datum] = [table.fetch(ctx.snapshot, tid, self.needed), row]
        at = table.delete(ctx.txn, ctx.snapshot, tid, self.test(ctx, row, keep, find_again), self.needed)
        return self.returning(ctx, *keep, self._deleted(ctx, table, at)) if at else None

    def _deleted(self, ctx: ExecContext, table: Table, tid: int) -> Row:
        """The system columns that RETURNING reads of a version that has been deleted."""
        if not self.system:
            return ()
        row = system_row(table, ctx.storage.txns.last_snapshot_before(ctx.txn), tid, self.system)
        if row is None:
            raise InvariantViolation(f"the row at {tid} that was just deleted is not there")
        return row


@executes(pl.Delete)
class DeleteNode(Node):
    """``run`` gives the number of rows, ``batches`` those of RETURNING."""

    __slots__ = ("_again", "_alone", "_deletion", "_source")

    def __init__(self, plan: pl.Delete, builder: Builder) -> None:
        self._again = find_target_again(plan.again, plan.source, builder)
        self._deletion = Deletion(
            builder, plan.relation, plan.recheck, plan.returning, plan.system, whole=self._again is not None
        )
        self._source = ModifySource(plan.child, plan.tid_column, builder, self._deletion.uses_joined)
        self._alone = self._source.scanned and not plan.returning and not looks_around(plan, builder)
        self.nullable = None

    def run(self, ctx: ExecContext) -> int:
        """Deletes everything that qualifies."""
        deletion = self._deletion
        table, needed = ctx.storage.table(deletion.relation), deletion.needed
        delete = table.delete
        recheck = deletion.make(ctx, None, None) if self._source.scanned else None
        count = 0
        done: set[int] = set()
        if recheck is not None and self._alone:
            together: list[int] = []
            for tids in self._source.tids(ctx):
                together += tids
                if len(together) >= BATCH_ROWS:
                    count += table.delete_many(ctx.txn, ctx.snapshot, together, recheck, needed)
                    together.clear()
                    ctx.check()
            return count + table.delete_many(ctx.txn, ctx.snapshot, together, recheck, needed)
        for number, (tid, row) in enumerate(self._source.rows(ctx, done)):
            test = recheck if recheck is not None else deletion.test(ctx, row, [None], self._again)
            if delete(ctx.txn, ctx.snapshot, tid, test, needed):
                count += 1
                if recheck is None:
                    done.add(tid)
            if not number & 63:
                ctx.check()
        return count

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """RETURNING's rows: the deleted ones."""
        if self._deletion.returning is None:
            self.run(ctx)
            return
        table = ctx.storage.table(self._deletion.relation)
        out: Batch = []
        done: set[int] = set()
        for tid, row in self._source.rows(ctx, done):
            returned = self._deletion.returned(ctx, table, tid, row, self._again)
            if returned is not None:
                done.add(tid)
                out.append(returned)
            if len(out) >= BATCH_ROWS:
                ctx.check()
                yield out
                out = []
        if out:
            yield out
