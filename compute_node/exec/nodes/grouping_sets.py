"""Grouping sets: the input is kept, and aggregated once for each set (manual, 7.2.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.aggregate import AggregateNode
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import INT4

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@dataclasses.dataclass(slots=True, kw_only=True)
class _Kept(pl.Plan):
    """The input, as each set reads it."""

    key: object


@executes(_Kept)
class _KeptNode(Node):
    """Reads what the node of all sets has kept in this execution."""

    __slots__ = ("_key",)

    def __init__(self, plan: _Kept, builder: Builder) -> None:
        self._key = plan.key
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """All rows."""
        yield from ctx.scratch[("kept", self._key)].batches()


@executes(pl.GroupingSetsPlan)
class GroupingSetsNode(Node):
    """One ``AggregateNode`` a set, over the same rows; those without keys first."""

    __slots__ = ("_child", "_key", "_sets", "_shape")

    def __init__(self, plan: pl.GroupingSetsPlan, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._key = object()
        source = _Kept(output=plan.child.output, key=self._key)
        order = sorted(plan.sets, key=lambda keys: (bool(keys), -len(keys)))
        self._sets = [AggregateNode(_of_set(plan, keys, source), builder) for keys in order]
        width = len(plan.keys) + len(plan.aggregates) + len(plan.groupings)
        self._shape = batch_function(builder, plan.output, plan.having, width)
        self.nullable = output_nullable(plan.output, None)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The groups of one set after the other."""
        with closing(ctx.tuplestore()) as kept:
            for batch in self._child.batches(ctx):
                ctx.check()
                kept.append(batch)
            for node in self._sets:
                # Anew for each: a run of the same node that was not read to its end may be closed in between.
                ctx.scratch[("kept", self._key)] = kept
                for rows in node.batches(ctx):
                    shaped = rows if self._shape is None else self._shape(ctx, rows)
                    if shaped:
                        yield shaped


def _with_keys(call: ex.AggregateCall, row: list[ex.Expr]) -> ex.AggregateCall:
    """The call with its direct arguments over one set's keys."""

    def placed(node: ex.Expr) -> ex.Expr:
        return row[node.index] if isinstance(node, ex.Column) else ex.map_children(node, placed)

    return dataclasses.replace(call, direct=tuple([placed(item) for item in call.direct])) if call.direct else call


def _of_set(plan: pl.GroupingSetsPlan, keys: tuple[int, ...], source: _Kept) -> pl.AggregatePlan:
    """The aggregation of one set, whose rows are the internal row of all."""
    chosen = list(dict.fromkeys(keys))
    row: list[ex.Expr] = []
    for index, key in enumerate(plan.keys):
        if index in chosen:
            row.append(ex.Column(type=key.type, typmod=key.typmod, index=chosen.index(index)))
        else:
            row.append(ex.Const(type=key.type, typmod=key.typmod, value=None))
    row += [
        ex.Column(type=call.type, typmod=call.typmod, index=len(chosen) + index)
        for index, call in enumerate(plan.aggregates)
    ]
    for arguments in plan.groupings:
        bits = 0
        for argument in arguments:
            bits = bits << 1 | (argument not in chosen)
        row.append(ex.Const(type=INT4, value=bits))
    return pl.AggregatePlan(
        child=source,
        keys=tuple(plan.keys[index] for index in chosen),
        aggregates=tuple(_with_keys(call, row) for call in plan.aggregates),
        plain=not chosen,
        output=tuple(row),
    )
