"""Aggregation: by hashing the group keys; without keys, whole batches are folded at once (PostgreSQL manual, 4.2.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function, column_index, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.folds import Fold
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import passed_on
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import BOOL

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 1000
COUNT_ANY = 2147
NOTHING = ex.Const(type=BOOL, value=None)


def aggregate_inputs(plan: pl.AggregatePlan) -> list[ex.Expr]:
    """What it needs the values of: all but a column that is only counted."""
    needed = list(plan.keys)
    for call in plan.aggregates:
        counted = call.function == COUNT_ANY and not call.distinct and column_index(call.arguments[0]) >= 0
        needed += [] if counted else call.arguments
        needed += [key.expression for key in call.order_by]
        if call.filter is not None:
            needed.append(call.filter)
    return needed


@executes(pl.AggregatePlan)
class AggregateNode(Node):
    """A group's state is a list: the key values, then one state per aggregate."""

    __slots__ = ("_child", "_finish", "_initial", "_plain", "_shape", "_step")

    def __init__(self, plan: pl.AggregatePlan, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._plain = plan.plain or not plan.keys
        source = self._child.nullable
        width = len(plan.child.output)
        stored, _ = passed_on(self._child, width, (NOTHING,), aggregate_inputs(plan))
        folds = [Fold(call, builder) for call in plan.aggregates]
        unit = Unit()
        compiler = Compiler(unit, row_scope(source, stored=stored), builder)
        initial = ", ".join(["()", *(f"{unit.bind(fold.initial, 'g')}()" for fold in folds)])
        if self._plain:
            body = [line for number, fold in enumerate(folds, 1) for line in fold.batch_lines(compiler, number)]
            step = unit.function("c, b, s", body or ["pass"])
        else:
            steps = [line for number, fold in enumerate(folds, 1) for line in fold.row_lines(compiler, number)]
            values = compiler.tuple_of(plan.keys)
            group = ", ".join([values, *(f"{unit.bind(fold.initial, 'g')}()" for fold in folds)])
            body = ["get = groups.get", "for r in b:", f"    k = {key_text(compiler, plan.keys)}"]
            body += ["    s = get(k)", "    if s is None:", f"        s = groups[k] = [{group}]"]
            body += [f"    {line}" for line in steps]
            step = unit.function("c, b, groups", body)
        start = unit.function("c", [f"return [{initial}]"])
        keys = [f"s[0][{index}]" for index in range(len(plan.keys))]
        finals = [fold.final_text(unit, number) for number, fold in enumerate(folds, 1)]
        row = tuple_text([*keys, *finals]) if keys or finals else "()"
        finish = unit.function("c, b", [f"return [{row} for s in b]"])
        self._step: Any = unit.link(step)
        self._initial: Any = unit.linked(start)
        self._finish: Any = unit.linked(finish)

        known = (*output_nullable(plan.keys, source), *(fold.nullable for fold in folds))
        self._shape = batch_function(builder, plan.output, plan.having, len(known), known)
        self.nullable = output_nullable(plan.output, known)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Groups in the order of their first rows."""
        step = self._step
        if self._plain:
            state = self._initial(ctx)
            for batch in self._child.batches(ctx):
                step(ctx, batch, state)
            states = [state]
        else:
            groups: dict[Any, list[Any]] = {}
            for batch in self._child.batches(ctx):
                ctx.check()
                step(ctx, batch, groups)
            states = list(groups.values())
        for start in range(0, len(states), BATCH_ROWS):
            rows = self._finish(ctx, states[start : start + BATCH_ROWS])
            if self._shape is not None:
                rows = self._shape(ctx, rows)
            if rows:
                yield rows
