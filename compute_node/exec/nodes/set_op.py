"""UNION, INTERSECT and EXCEPT (PostgreSQL manual, 7.4): by hashing whole rows; NULLs are equal here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.rows import batch_function, row_key_function
from compute_node.exec.distinct import combined_rows, distinct_rows
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
        key = row_key_function(builder, plan.key_types or [item.type for item in columns])
        self._key: Callable[[Datum], Datum] = key if key is not None else lambda row: row
        self._shape = batch_function(builder, plan.output, None, len(columns)) if plan.output else None
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The combined rows."""
        if self._kind == "union":
            source = self._union_all(ctx) if self._all else distinct_rows(ctx, self._key, self._union_all(ctx))
        else:
            source = self._combined(ctx)
        shape = self._shape
        for rows in source:
            if rows:
                yield rows if shape is None else shape(ctx, rows)

    def _union_all(self, ctx: ExecContext) -> Iterator[Batch]:
        yield from self._left.batches(ctx)
        yield from self._right.batches(ctx)

    def _combined(self, ctx: ExecContext) -> Iterator[Batch]:
        key = self._key
        right = ([key(row) for row in batch] for batch in self._right.batches(ctx))
        return combined_rows(
            ctx, key, self._left.batches(ctx), right, wanted=self._kind == "intersect", keep_duplicates=self._all
        )
