"""FOR UPDATE, FOR SHARE and friends: locks each row that the child gives (PostgreSQL manual, 13.3.2).

Rows are locked one at a time, as somebody asks for them: a LIMIT above locks no more than it gives. A row that changed
while it was waited for is found again with its newest version (``exec/recheck.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.recheck import Held, Rechecker
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.LockRows)
class LockRowsNode(Node):
    """Rows that vanished, no longer qualify or were skipped (SKIP LOCKED) are left out."""

    __slots__ = ("_child", "_locks", "_rechecker", "_shape")

    def __init__(self, plan: pl.LockRows, builder: Builder) -> None:
        if plan.recheck is None:
            raise InvariantViolation("rows are locked that cannot be found again")
        self._child = builder.node(plan.child)
        self._rechecker = Rechecker(plan.recheck, builder)
        self._locks = plan.locks
        width = len(plan.child.output)
        self._shape = batch_function(builder, plan.output, None, width)
        self.nullable = output_nullable(plan.output, self._child.nullable)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """A row a batch: who has enough stops before the next one is locked."""
        shape = self._shape
        for batch in self._child.batches(ctx):
            for row in batch:
                ctx.check()
                locked = self._lock(ctx, row)
                if locked is not None:
                    yield [locked] if shape is None else shape(ctx, [locked])

    def _lock(self, ctx: ExecContext, row: Row) -> Row | None:
        moved: dict[int, Held] = {}
        for lock in self._locks:
            tid = row[lock.address.tid]
            if tid is None:
                # The nullable side of an outer join: no row, nothing to lock.
                continue
            source, relation = lock.address.of(row)
            table = ctx.storage.table(relation)
            result = table.lock(ctx.txn, ctx.snapshot, tid, lock.strength, lock.wait)
            if result is None:
                return None
            at, values, newer = result
            if newer:
                moved[source] = Held(at, values)
        return self._rechecker.row(ctx, row, moved) if moved else row
