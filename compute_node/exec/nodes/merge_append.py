"""Merge Append: children whose rows are in one order, merged by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.nodes.sort import sort_passes
from compute_node.exec.pruned import pruned
from compute_node.sql import plan as pl
from compute_node.work.sorting import merge

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


class _Source:
    """A child's rows, a batch at a time."""

    __slots__ = ("_batches", "at", "rows")

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self.rows: Batch = []
        self.at = 0

    def refill(self) -> bool:
        """Have at least one row at hand; False at the end."""
        if self.at == len(self.rows):
            self.rows, self.at = next(self._batches, []), 0
        return bool(self.rows)


@executes(pl.MergeAppend)
class MergeAppendNode(Node):
    """No more of a child is read than the batch that its next row is in."""

    __slots__ = ("_children", "_passes", "_pruned", "_shape")

    def __init__(self, plan: pl.MergeAppend, builder: Builder) -> None:
        self._children = tuple(builder.node(child) for child in plan.children)
        self._pruned = pruned(plan.pruning, plan.tables, builder)
        self._passes = sort_passes(builder, plan.keys, None)
        self._shape = batch_function(builder, plan.output, None, len(plan.children[0].output))
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The children's rows in order; of equal ones those of earlier children first."""
        shape = self._shape
        children = self._children if self._pruned is None else self._pruned.left(ctx, self._children)
        for rows in merge([_Source(child.batches(ctx)) for child in children], self._passes):
            ctx.check()
            yield rows if shape is None else shape(ctx, rows)
