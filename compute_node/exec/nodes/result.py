"""Result and ValuesScan: projection of a child or of nothing, and rows of expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from compute_node.exec.compile.rows import batch_function, row_function, truth_function
from compute_node.exec.compile.unit import Scope
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.hub import HUB
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Result)
class ResultNode(Node):
    """A one-time filter is asked once, before the child runs; without a child there is one empty input row."""

    __slots__ = ("_child", "_gate", "_shape")

    def __init__(self, plan: pl.Result, builder: Builder) -> None:
        self._gate: Any = None
        self._shape: Any
        row_filter = plan.filter
        if plan.filter is not None and (plan.one_time or plan.child is None):
            self._gate = truth_function(builder, plan.filter, Scope(), "c")
            row_filter = None
        if plan.child is None:
            self._child: Node | None = None
            project = row_function(builder, plan.output)
            self._shape = lambda ctx, batch: [project(ctx)]
            self.nullable = output_nullable(plan.output, ())
        else:
            self._child = builder.node(plan.child)
            source = self._child.nullable
            self._shape = batch_function(builder, plan.output, row_filter, len(plan.child.output), source)
            self.nullable = output_nullable(plan.output, source)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The projected rows."""
        if self._gate is not None and not self._gate(ctx):
            return
        shape = self._shape
        if self._child is None:
            yield shape(ctx, [()])
            return
        for batch in self._child.batches(ctx):
            rows = batch if shape is None else shape(ctx, batch)
            if rows:
                yield rows


def _evaluator(builder: Builder, flat: tuple[ex.Expr, ...]) -> Any:
    """The values, where all are constants; else a function that computes them."""
    values = tuple([node.value for node in flat if isinstance(node, ex.Const)])
    return values if len(values) == len(flat) else row_function(builder, flat)


@executes(pl.ValuesScan)
class ValuesScanNode(Node):
    """VALUES lists: each row is evaluated when its turn comes, a few hundred a batch."""

    __slots__ = ("_rows", "_shape")

    def __init__(self, plan: pl.ValuesScan, builder: Builder) -> None:
        size = 200
        self._rows = []
        for start in range(0, len(plan.values), size):
            HUB.pulse()
            group = plan.values[start : start + size]
            flat = tuple([expression for row in group for expression in row])
            self._rows.append((_evaluator(builder, flat), len(group)))
        width = len(plan.values[0]) if plan.values else 0
        output = plan.output
        self._shape = batch_function(builder, output, plan.filter, width) if output or plan.filter else None
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The rows in order."""
        for source, count in self._rows:
            ctx.check()
            values = source(ctx) if callable(source) else source
            width = len(values) // count
            rows = [values[start : start + width] for start in range(0, len(values), width)] if width else [()] * count
            if self._shape is not None:
                rows = self._shape(ctx, rows)
            if rows:
                yield rows
