"""Materialize: keeps the child's rows, for repeated reading within one execution, in files past ``work_mem``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.runtime import exact
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.sql import plan as pl
from compute_node.work.spill import Tuplestore

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Materialize)
class MaterializeNode(Node):
    """Rows are kept with the values of the execution parameters that they depend on, and serve while those stay. Within
    a recursive term they depend on its working table too, which is another one at each step."""

    __slots__ = ("_child", "_free", "_working")

    def __init__(self, plan: pl.Materialize, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._free = sorted(builder.free(plan.child))
        self._working = [("working", cte) for cte in sorted(builder.working(plan.child))]
        self.nullable = self._child.nullable

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The kept rows."""
        key = [exact(ctx.exec_params[number]) for number in self._free]
        key += [ctx.scratch[name] for name in self._working]
        kept: tuple[list[Datum], Tuplestore] | None = ctx.scratch.get(self)
        if kept is None or kept[0] != key:
            if kept is not None:
                kept[1].close()
            store = ctx.tuplestore()
            for batch in self._child.batches(ctx):
                store.append(batch)
            kept = ctx.scratch[self] = (key, store)
        return kept[1].batches()
