"""LIMIT, OFFSET and FETCH FIRST … WITH TIES (PostgreSQL manual, 7.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InvalidRowCountInLimit, InvalidRowCountInOffset
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import batch_function, key_text, value_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import passed_on
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Limit)
class LimitNode(Node):
    """A NULL limit is none; negative ones are 2201W and 2201X."""

    __slots__ = ("_child", "_limit", "_offset", "_shape", "_stored", "_tie_key")

    def __init__(self, plan: pl.Limit, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._limit = None if plan.limit is None else value_function(builder, plan.limit)
        self._offset = None if plan.offset is None else value_function(builder, plan.offset)
        self._tie_key: Datum = None
        if plan.with_ties:
            keys = [key.expression for key in plan.with_ties]
            unit = Unit()
            text = key_text(Compiler(unit, row_scope(None), builder), keys)
            self._tie_key = unit.link(unit.function("c, r", [f"return {text}"]))
        width = len(plan.child.output)
        ties = [key.expression for key in plan.with_ties]
        stored, self._stored = passed_on(self._child, width, plan.output, ties)
        self._shape = batch_function(builder, plan.output, None, width, None, stored) if plan.output else None
        self.nullable = output_nullable(plan.output, self._child.nullable) if plan.output else self._child.nullable

    def bounds(self, ctx: ExecContext) -> tuple[int, int | None]:
        """(rows to skip, rows to give or None)."""
        offset = 0 if self._offset is None else self._offset(ctx) or 0
        if offset < 0:
            raise InvalidRowCountInOffset("OFFSET must not be negative")
        limit = None if self._limit is None else self._limit(ctx)
        if limit is not None and limit < 0:
            raise InvalidRowCountInLimit("LIMIT must not be negative")
        return offset, limit

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The child is not asked for more than needed."""
        shape = self._shape
        for batch in self._cut(ctx):
            rows = batch if shape is None else shape(ctx, batch)
            if self._stored:
                yield from self._stored.resolved(rows)
            else:
                yield rows

    def _cut(self, ctx: ExecContext) -> Iterator[Batch]:
        skip, left = self.bounds(ctx)
        if left == 0:
            return
        tie: Any = None
        for batch in self._child.batches(ctx):
            rows = batch
            if skip:
                skipped = min(skip, len(rows))
                skip -= skipped
                rows = rows[skipped:]
                if not rows:
                    continue
            if left is None:
                yield rows
                continue
            taken = rows[:left] if len(rows) > left else rows
            rest = rows[len(taken) :]
            left -= len(taken)
            if left == 0 and self._tie_key is not None:
                if taken:
                    tie = self._tie_key(ctx, taken[-1])
                ties = 0
                while ties < len(rest) and self._tie_key(ctx, rest[ties]) == tie:
                    ties += 1
                taken = taken + rest[:ties]
                if ties < len(rest):
                    yield taken
                    return
            if taken:
                yield taken
            if left == 0 and self._tie_key is None:
                return
