"""Set-returning functions in a target list (PostgreSQL manual, 38.5.8): in step, the shorter give NULL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from aurora.datum import Row
from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.set_functions import set_functions
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 1000


def _extract(node: ex.Expr, builder: Builder, found: list[ex.Call]) -> ex.Expr:
    """The expression with each set-returning call replaced by a column of side 1."""
    if isinstance(node, ex.Call) and builder.function(node.function).returns_set:
        for argument in node.arguments:
            for inner in ex.walk(argument):
                if isinstance(inner, ex.Call) and builder.function(inner.function).returns_set:
                    raise NotSupported("nested set-returning functions in a target list are not supported")
        found.append(node)
        return ex.Column(type=node.type, index=len(found) - 1, side=1)
    if isinstance(node, (ex.Case, ex.Coalesce)) and any(
        isinstance(inner, ex.Call) and builder.function(inner.function).returns_set for inner in ex.walk(node)
    ):
        name = "CASE" if isinstance(node, ex.Case) else "COALESCE"
        raise NotSupported(
            f"set-returning functions are not allowed in {name}",
            hint="You might be able to move the set-returning function into a LATERAL FROM item.",
        )
    return ex.map_children(node, lambda child: _extract(child, builder, found))


@executes(pl.ProjectSet)
class ProjectSetNode(Node):
    """One output row per step of the longest set; none when all are empty."""

    __slots__ = ("_child", "_each", "_project", "_sets")

    def __init__(self, plan: pl.ProjectSet, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        calls: list[ex.Call] = []
        output = [_extract(item, builder, calls) for item in plan.output]
        self._sets = set_functions(builder, calls)
        self._project = row_function(builder, output, row_scope(None, None), "c, r, s")
        self._each: Any = None
        if len(calls) == 1:
            unit = Unit()
            row = Compiler(unit, row_scope(None, None), builder).tuple_of(output)
            self._each = unit.link(unit.function("c, r, b", [f"return [{row} for s in zip(b)]"]))
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the child's order."""
        if self._each is not None:
            yield from self._batches_of_one(ctx)
            return
        project = self._project
        out: list[Row] = []
        for batch in self._child.batches(ctx):
            for row in batch:
                for values in zip_longest(*self._sets(ctx, row)):
                    out.append(project(ctx, row, values))
                    if len(out) >= BATCH_ROWS:
                        ctx.check()
                        yield out
                        out = []
        if out:
            yield out

    def _batches_of_one(self, ctx: ExecContext) -> Iterator[Batch]:
        """The rows of a single set, some at a time."""
        each = self._each
        out: list[Row] = []
        for batch in self._child.batches(ctx):
            for row in batch:
                (found,) = self._sets(ctx, row)
                values = iter(found)
                made = BATCH_ROWS
                while made == BATCH_ROWS:
                    rows = each(ctx, row, islice(values, BATCH_ROWS))
                    made = len(rows)
                    out += rows
                    if len(out) >= BATCH_ROWS:
                        ctx.check()
                        yield out
                        out = []
        if out:
            yield out
