"""Nested loop: the inner side once per outer row, with execution parameters set from it, or kept in memory. The rows
come in the outer side's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, executes
from compute_node.exec.nodes.join import JoinNode
from compute_node.exec.vectors.lookup import ColumnLookup
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited
from compute_node.sql import plan as pl
from compute_node.work.spill import Tuplestore

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 256
COLUMN_ROWS_MIN = 8
"""Fewer outer rows are looked up one by one."""


@executes(pl.NestLoop)
class NestLoopNode(JoinNode):
    """Inner, left, semi and anti joins on any condition."""

    __slots__ = ("_join", "_nulls", "_numbers", "_pad", "_values")

    _by_columns: ColumnLookup | None

    def __init__(self, plan: pl.NestLoop, builder: Builder) -> None:
        if plan.kind not in ("inner", "left", "semi", "anti"):
            raise NotSupported(f"{plan.kind} joins are only supported on equality conditions")
        super().__init__(plan, builder)
        self._numbers = tuple(number for number, _ in plan.parameters)
        self._values = row_function(builder, [item for _, item in plan.parameters], row_scope(None), "c, r")
        unit = Unit()
        inner_nullable = self._inner.nullable if plan.kind != "left" else None
        compiler = Compiler(unit, row_scope(self._outer.nullable, inner_nullable), builder)
        row = compiler.tuple_of(plan.output) if plan.output else "()"
        where = f" if {compiler.truth(plan.condition).text}" if plan.condition is not None else ""
        # One outer row against a batch of inner rows.
        self._join: Callable[..., Datum] = unit.link(unit.function("c, r, b", [f"return [{row} for s in b{where}]"]))
        unit = Unit()
        row = Compiler(unit, row_scope(None, None), builder).tuple_of(plan.output) if plan.output else "()"
        self._nulls = (None,) * len(plan.inner.output)
        self._pad: Callable[..., Datum] = unit.link(unit.function("c, r, s", [f"return {row}"]))

        self._by_columns = ColumnLookup.of(plan, builder, self._outer.column_kinds)

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``."""
        lookup = self._by_columns
        if lookup is None:
            return
        for batch in self._outer.columns(ctx):
            ctx.check()
            if batch.count >= COLUMN_ROWS_MIN:
                try:
                    found = lookup.joined(ctx, batch, self._inner)
                except Unsuited:
                    pass
                else:
                    yield from found
                    continue
            for rows in self._by_rows(ctx, iter((batch.rows(),))):
                yield ColumnBatch.of_rows(rows, len(lookup.kinds))

    def _rows(self, ctx: ExecContext) -> Iterator[Batch]:
        return self._by_rows(ctx, self._outer.batches(ctx))

    def _by_rows(self, ctx: ExecContext, outer: Iterator[Batch]) -> Iterator[Batch]:
        kept: Tuplestore | None = None
        numbers, values, inner = self._numbers, self._values, self._inner
        kind, join = self._kind, self._join
        looks_up = inner.is_lookup and kind not in ("semi", "anti")
        out: Batch = []
        for batch in outer:
            for row in batch:
                if numbers:
                    for number, value in zip(numbers, values(ctx, row), strict=True):
                        ctx.exec_params[number] = value
                    runs = iter((inner.fetch(ctx),)) if looks_up else inner.batches(ctx)
                elif kept is None:
                    kept = ctx.tuplestore()
                    for inner_rows in inner.batches(ctx):
                        ctx.check()
                        kept.append(inner_rows)
                    runs = kept.batches()
                else:
                    runs = kept.batches()
                hit = False
                for inner_rows in runs:
                    ctx.check()
                    joined = join(ctx, row, inner_rows)
                    if joined:
                        hit = True
                        if kind == "semi":
                            out.append(joined[0])
                        if kind in ("semi", "anti"):
                            break
                        out += joined
                        if len(out) >= BATCH_ROWS:
                            yield out
                            out = []
                if not hit and kind in ("left", "anti"):
                    out.append(self._pad(ctx, row, self._nulls))
                if len(out) >= BATCH_ROWS:
                    ctx.check()
                    yield out
                    out = []
            ctx.check()
        if out:
            yield out
