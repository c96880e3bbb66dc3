"""Materialize: keeps the child's rows, for repeated reading within one execution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Materialize)
class MaterializeNode(Node):
    """Rows are kept with the values of the execution parameters that they depend on, and serve while those stay."""

    __slots__ = ("_child", "_free")

    def __init__(self, plan: pl.Materialize, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._free = sorted(builder.free(plan.child))
        self.nullable = self._child.nullable

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """All rows in one batch."""
        rows = self.fetch(ctx)
        if rows:
            yield rows

    def fetch(self, ctx: ExecContext) -> Batch:
        """The kept rows."""
        key = [ctx.exec_params[number] for number in self._free]
        kept = ctx.scratch.get(self)
        if kept is None or kept[0] != key:
            kept = ctx.scratch[self] = (key, self._child.fetch(ctx))
        rows: Batch = kept[1]
        return rows
