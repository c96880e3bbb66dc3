"""SubqueryScan: filter and projection over a sub-select in FROM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import NOTHING, passed_on
from compute_node.exec.vectors.project import ColumnProjection
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.SubqueryScan)
class SubqueryScanNode(Node):
    """Passes batches through when there is nothing to do."""

    __slots__ = ("_by_columns", "_child", "_shape", "_stored")

    def __init__(self, plan: pl.SubqueryScan, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        source = self._child.nullable
        width = len(plan.child.output)
        needed = () if plan.filter is None else (plan.filter,)
        stored, self._stored = passed_on(self._child, width, plan.output or (NOTHING,), needed)
        self._shape = batch_function(builder, plan.output, plan.filter, width, source, stored)
        self.nullable = output_nullable(plan.output, source)
        self._by_columns = ColumnProjection.of(builder, self._child.column_kinds, plan.output, plan.filter, stored)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The projected rows."""
        shape = self._shape
        for batch in self._child.batches(ctx):
            rows = batch if shape is None else shape(ctx, batch)
            if self._stored:
                yield from self._stored.resolved(rows)
            elif rows:
                yield rows

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        return None if self._by_columns is None or self._stored else self._by_columns.kinds

    @property
    def columns_from(self) -> Node:
        """See ``Node``."""
        return self._child

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``."""
        projection, shape = self._by_columns, self._shape
        if projection is None:
            return
        for batch in self._child.columns(ctx):
            try:
                found = projection.shown(batch, ctx)
            except Unsuited:
                rows = batch.rows()
                found = ColumnBatch.of_rows(rows if shape is None else shape(ctx, rows), len(projection.kinds))
            if found.count:
                yield found
