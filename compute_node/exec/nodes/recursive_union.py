"""WITH RECURSIVE (PostgreSQL manual, 7.8.2): the recursive term runs over the step before's rows until it gives
none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.rows import row_key_function
from compute_node.exec.distinct import ENTRY_BYTES
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.sql import plan as pl
from compute_node.work.account import Area, batch_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.RecursiveUnion)
class RecursiveUnionNode(Node):
    """Lazy step by step, so that a LIMIT above ends an endless recursion."""

    __slots__ = ("_cte", "_distinct", "_initial", "_key", "_recursive")

    def __init__(self, plan: pl.RecursiveUnion, builder: Builder) -> None:
        self._cte = plan.cte
        self._distinct = plan.distinct
        self._initial = builder.node(plan.initial)
        self._recursive = builder.node(plan.recursive)
        key = row_key_function(builder, [item.type for item in plan.initial.output])
        self._key: Callable[[Datum], Datum] = key if key is not None else lambda row: row
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The initial rows, then each step's."""
        seen: set[Datum] = set()
        area = ctx.area(hashed=True)
        step = ctx.tuplestore()
        for batch in self._initial.batches(ctx):
            ctx.check()
            rows = self._new(batch, seen, area)
            step.append(rows)
            if rows:
                yield rows
        while len(step):
            ctx.check()
            following = ctx.tuplestore()
            ctx.scratch[("working", self._cte)] = step
            for batch in self._recursive.batches(ctx):
                ctx.check()
                rows = self._new(batch, seen, area)
                following.append(rows)
                if rows:
                    yield rows
                    # A reader between two batches may have run another recursion of the same CTE.
                    ctx.scratch[("working", self._cte)] = step
            step.close()
            step = following
        area.clear()

    def _new(self, batch: Batch, seen: set[Datum], area: Area) -> Batch:
        if not self._distinct:
            return batch
        rows = []
        for row in batch:
            value = self._key(row)
            if value not in seen:
                seen.add(value)
                rows.append(row)
        if rows:
            # As in PostgreSQL these keys stay in memory; they count against the instance's limit.
            area.add(batch_bytes(rows) + ENTRY_BYTES * len(rows))
        return rows
