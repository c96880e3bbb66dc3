"""UNION, INTERSECT and EXCEPT (PostgreSQL manual, 7.4): by hashing whole rows; NULLs are equal here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from compute_node.exec.compile.rows import batch_function, row_key_function
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.SetOp)
class SetOpNode(Node):
    """Results come in the order of the left input; duplicates count under ALL."""

    __slots__ = ("_all", "_key", "_kind", "_left", "_right", "_shape")

    def __init__(self, plan: pl.SetOp, builder: Builder) -> None:
        self._kind = plan.kind
        self._all = plan.all
        self._left = builder.node(plan.left)
        self._right = builder.node(plan.right)
        columns = plan.left.output
        key = row_key_function(builder, [item.type for item in columns])
        self._key: Callable[[Any], Any] = key if key is not None else lambda row: row
        self._shape = batch_function(builder, plan.output, None, len(columns)) if plan.output else None
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The combined rows."""
        if self._kind == "union":
            source = self._union_all(ctx) if self._all else self._distinct(ctx, self._union_all(ctx))
        else:
            source = self._combined(ctx)
        shape = self._shape
        for rows in source:
            if rows:
                yield rows if shape is None else shape(ctx, rows)

    def _union_all(self, ctx: ExecContext) -> Iterator[Batch]:
        yield from self._left.batches(ctx)
        yield from self._right.batches(ctx)

    def _distinct(self, ctx: ExecContext, source: Iterator[Batch]) -> Iterator[Batch]:
        seen: set[Any] = set()
        key = self._key
        for batch in source:
            ctx.check()
            rows = []
            for row in batch:
                value = key(row)
                if value not in seen:
                    seen.add(value)
                    rows.append(row)
            yield rows

    def _combined(self, ctx: ExecContext) -> Iterator[Batch]:
        key = self._key
        counts = Counter(key(row) for batch in self._right.batches(ctx) for row in batch)
        wanted = self._kind == "intersect"
        done: set[Any] = set()
        for batch in self._left.batches(ctx):
            ctx.check()
            rows = []
            for row in batch:
                value = key(row)
                if self._all:
                    present = counts[value] > 0
                    if present:
                        counts[value] -= 1
                elif value in done:
                    continue
                else:
                    done.add(value)
                    present = value in counts
                if present is wanted:
                    rows.append(row)
            yield rows
