"""Append: the rows of each child in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.pruned import pruned
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Append)
class AppendNode(Node):
    """UNION ALL."""

    __slots__ = ("_children", "_pruned", "_shape")

    def __init__(self, plan: pl.Append, builder: Builder) -> None:
        self._children = tuple(builder.node(child) for child in plan.children)
        self._pruned = pruned(plan.pruning, plan.tables, builder)
        width = len(plan.children[0].output) if plan.children else 0
        self._shape = batch_function(builder, plan.output, None, width) if plan.output else None
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Child after child."""
        shape = self._shape
        children = self._children if self._pruned is None else self._pruned.left(ctx, self._children)
        for child in children:
            for batch in child.batches(ctx):
                yield batch if shape is None else shape(ctx, batch)
