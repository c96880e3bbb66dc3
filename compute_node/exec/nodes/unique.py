"""DISTINCT, by hashing, and DISTINCT ON over sorted input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import batch_function, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.distinct import distinct_rows
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.vectors.distinct import ColumnDistinct
from compute_node.exec.vectors.vector import ColumnBatch
from compute_node.sql import plan as pl
from compute_node.sql.expressions import Column

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Unique)
class UniqueNode(Node):
    """The first row of each set of equals; NULLs are equal here."""

    __slots__ = ("_by_columns", "_child", "_key", "_shape", "_sorted")

    def __init__(self, plan: pl.Unique, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._sorted = bool(plan.sorted_on)
        columns = plan.sorted_on or tuple(range(plan.count or len(plan.child.output)))
        unit = Unit()
        types = plan.key_types or tuple([item.type for item in plan.child.output])
        keys = [Column(type=types[index], index=index) for index in columns]
        text = key_text(Compiler(unit, row_scope(None), builder), keys)
        self._key: Datum = unit.link(unit.helper("r", [f"return {text}"]))
        self._by_columns: ColumnDistinct | None = None
        if not self._sorted:
            key_types = [types[index] for index in columns]
            kinds = self._child.column_kinds
            self._by_columns = ColumnDistinct.of(plan.child.output[: len(columns)], key_types, kinds, self._rest)
        width = len(plan.child.output)
        self._shape = batch_function(builder, plan.output, None, width) if plan.output else None
        self.nullable = output_nullable(plan.output, self._child.nullable) if plan.output else self._child.nullable

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        return self._child.column_kinds if self._by_columns is not None and self._shape is None else None

    @property
    def columns_from(self) -> Node:
        """See ``Node``."""
        return self._child

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """See ``Node``."""
        return iter(()) if self._by_columns is None else self._by_columns.batches(ctx, self._child.columns(ctx))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the child's order."""
        shape = self._shape
        for rows in self._runs(ctx) if self._sorted else self._hashed(ctx):
            if rows:
                yield rows if shape is None else shape(ctx, rows)

    def _hashed(self, ctx: ExecContext) -> Iterator[Batch]:
        if self._by_columns is not None and self._child.has_columns(ctx):
            return (batch.rows() for batch in self._by_columns.batches(ctx, self._child.columns(ctx)))
        return distinct_rows(ctx, self._key, self._child.batches(ctx))

    def _rest(
        self, ctx: ExecContext, known: Iterator[list[Row]], rows: Iterator[list[Row]], level: int
    ) -> Iterator[list[Row]]:
        return distinct_rows(ctx, self._key, rows, level, known)

    def _runs(self, ctx: ExecContext) -> Iterator[Batch]:
        previous: Any = self
        key = self._key
        for batch in self._child.batches(ctx):
            ctx.check()
            rows = []
            for row in batch:
                value = key(row)
                if value != previous:
                    previous = value
                    rows.append(row)
            yield rows
