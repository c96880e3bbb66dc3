"""Grouping sets: the input is kept, and aggregated once for each set (manual, 7.2.4), by functions compiled once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from copy import copy
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from aurora.datum import Row
from aurora.errors import InvariantViolation
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.folds import Fold
from compute_node.exec.nodes.aggregate import AggregateNode, aggregate_inputs
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import NOTHING, passed_on
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


class _SetNode(AggregateNode):
    """The groups of one set of keys, as rows of all sets: every key (NULL where it is not of the set), the aggregates,
    GROUPING's bits. What is compiled serves all sets; a set has its own way to pick its keys."""

    __slots__ = ()

    def __init__(self, plan: pl.GroupingSetsPlan, source: _Kept, builder: Builder) -> None:
        self._child = builder.node(source)
        self._plain = False
        nullable, width = self._child.nullable, len(plan.keys)
        stored, _ = passed_on(self._child, len(source.output), (NOTHING,), aggregate_inputs(plan))
        folds = [Fold(call, builder) for call in plan.aggregates]
        self._grows = any(fold.grows for fold in folds)
        unit = Unit()
        compiler = Compiler(unit, row_scope(nullable, stored=stored), builder)
        steps = [line for number, fold in enumerate(folds, 1) for line in fold.row_lines(compiler, number)]
        # One key's hash form is the bare value, so that a set of one key is hashed as elsewhere.
        key = f"pick({tuple_text([key_text(compiler, (item,)) for item in plan.keys])})"
        group = ", ".join(
            [f"place({compiler.tuple_of(plan.keys)})", *(f"{unit.bind(fold.initial, 'g')}()" for fold in folds)]
        )
        body = ["get = groups.get", "for r in b:", f"    k = {key}"]
        body += ["    s = get(k)", "    if s is None:", f"        s = groups[k] = [{group}]"]
        step = unit.function("pick, place, c, b, groups", [*body, *(f"    {line}" for line in steps)])
        finals = [fold.final_text(unit, number) for number, fold in enumerate(folds, 1)]
        bits = [f"s[0][{width + index}]" for index in range(len(plan.groupings))]
        row = tuple_text([*(f"s[0][{index}]" for index in range(width)), *finals, *bits])
        finish = unit.function("c, b", [f"return [{row} for s in b]"])
        keys = unit.function("pick, c, b", [f"return [{key} for r in b]"])
        self._step: Any = unit.link(step)
        self._finish: Any = unit.linked(finish)
        self._keys: Any = unit.linked(keys)
        self._initial = self._shape = self.nullable = self._by_columns = None

    def of(self, plan: pl.GroupingSetsPlan, keys: tuple[int, ...]) -> _SetNode:
        """The node of one set, which has keys."""
        chosen = set(keys)
        bits = tuple([_bits(arguments, chosen) for arguments in plan.groupings])
        absent = [index not in chosen for index in range(len(plan.keys))]

        def place(values: Row) -> Row:
            return (*[None if gone else value for value, gone in zip(values, absent, strict=True)], *bits)

        pick = itemgetter(*sorted(chosen))
        node = copy(self)
        node._step, node._keys = partial(self._step, pick, place), partial(self._keys, pick)
        return node


@executes(pl.GroupingSetsPlan)
class GroupingSetsNode(Node):
    """One node a set, over the same rows; those without keys first."""

    __slots__ = ("_child", "_key", "_sets", "_shape")

    def __init__(self, plan: pl.GroupingSetsPlan, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._key = object()
        source = _Kept(output=plan.child.output, key=self._key)
        order = sorted(plan.sets, key=lambda keys: (bool(keys), -len(keys)))
        total = AggregateNode(_of_all(plan, source), builder) if not order[0] else None
        grouped = _SetNode(plan, source, builder) if order[-1] else None
        self._sets: list[AggregateNode] = []
        for keys in order:
            node = total if grouped is None or not keys else grouped.of(plan, keys)
            if node is None:
                raise InvariantViolation(f"no node for the grouping set {keys}")
            self._sets.append(node)
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


def _bits(arguments: tuple[int, ...], chosen: set[int]) -> int:
    """What GROUPING gives: a bit for each argument, set when it is not a key of the set."""
    bits = 0
    for argument in arguments:
        bits = bits << 1 | (argument not in chosen)
    return bits


def _of_all(plan: pl.GroupingSetsPlan, source: _Kept) -> pl.AggregatePlan:
    """The aggregation of the empty set, whose one row is laid out as the rows of all sets."""
    row: list[ex.Expr] = [ex.Const(type=key.type, typmod=key.typmod, value=None) for key in plan.keys]
    row += [ex.Column(type=call.type, typmod=call.typmod, index=index) for index, call in enumerate(plan.aggregates)]
    row += [ex.Const(type=INT4, value=_bits(arguments, set())) for arguments in plan.groupings]
    return pl.AggregatePlan(
        child=source,
        keys=(),
        aggregates=tuple(_with_keys(call, row) for call in plan.aggregates),
        plain=True,
        output=tuple(row),
    )
