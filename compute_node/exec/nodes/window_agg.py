"""Window functions of one window over sorted rows; see ``compute_node/exec/window``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, compress
from operator import add, ne
from typing import TYPE_CHECKING

import numpy as np

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function, key_text, value_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.folds import resolved_aggregate
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.vectors.expressions import columns_of
from compute_node.exec.vectors.project import ColumnProjection
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited
from compute_node.exec.vectors.window import ColumnWindow
from compute_node.exec.window.aggregates import SKIP, FrameAggregate
from compute_node.exec.window.frames import Frames, InRange, Order, check_offset, ends_of
from compute_node.exec.window.functions import WindowFunction, built_in
from compute_node.exec.window.partition import CHUNK_ROWS, Evaluate, Partition
from compute_node.exec.window.streams import (
    DenseRankStream,
    FirstStream,
    LagStream,
    MakeStream,
    RankStream,
    RowNumberStream,
    RunningAggregate,
    Stream,
)
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.sql.planner.quals import contains_volatile

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

HELD_ROWS = 1000
_NEVER_NULL = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "count"})
_RANKS: dict[str, MakeStream] = {"row_number": RowNumberStream, "rank": RankStream, "dense_rank": DenseRankStream}


@executes(pl.WindowAgg)
class WindowAggNode(Node):
    """Rows as the child gives them, each with the values of the calls. When every call needs only what came before
    (``_streams``), rows pass by; else a partition is gathered first."""

    __slots__ = (
        "_by_columns", "_by_group", "_calls", "_child", "_end", "_frame", "_in_range", "_order", "_order_key",
        "_order_value", "_partition_key", "_shape", "_shown", "_start", "_streams",
    )  # fmt: skip

    def __init__(self, plan: pl.WindowAgg, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._frame, self._order = plan.frame, plan.order
        self._partition_key = self._keys(builder, plan.partition)
        self._start = None if plan.start is None else value_function(builder, plan.start)
        self._end = None if plan.end is None else value_function(builder, plan.end)
        self._in_range = [self._range_function(builder, oid) for oid in _range_functions(plan)]
        self._order_value: Evaluate | None = None
        if any(_range_functions(plan)):
            self._order_value = self._evaluate(builder, plan.order[0].expression)
        running = plan.frame.start == "unbounded preceding" and plan.frame.end == "current row"
        running = running and not plan.frame.exclude and bool(plan.order or plan.frame.mode == "rows")
        by_row = plan.frame.mode == "rows"
        makers = [self._call(builder, call, running, by_row) for call in plan.calls]
        streams = [stream for _, stream, _ in makers if stream is not None]
        self._streams = streams if len(streams) == len(makers) else None
        self._by_group = any(by_group for _, _, by_group in makers)
        self._order_key: Evaluate | None = None
        ranks = any(builder.function(call.function).name in ("rank", "dense_rank") for call in plan.calls)
        if self._streams is None or self._by_group or ranks:
            self._order_key = self._keys(builder, plan.peers)
        self._calls: list[WindowFunction] = [make() for make, _, _ in makers] if self._streams is None else []
        source = self._child.nullable
        width = len(plan.child.output)
        known = (*(source or (True,) * width), *(not self._is_never_null(builder, call) for call in plan.calls))
        self._shape = batch_function(builder, plan.output, None, len(known), known)
        self.nullable = output_nullable(plan.output, known)
        self._by_columns = ColumnWindow.of(plan, builder, self._child.column_kinds)
        self._shown: ColumnProjection | None = None
        if self._by_columns is not None:
            self._shown = ColumnProjection.of(builder, self._by_columns.kinds, plan.output, None)

    # --- what is compiled -------------------------------------------------------------------------------------------

    @staticmethod
    def _is_never_null(builder: Builder, call: ex.WindowCall) -> bool:
        return call.function < FIRST_NORMAL_OID and builder.function(call.function).name in _NEVER_NULL

    def _keys(self, builder: Builder, keys: Sequence[ex.Expr]) -> Evaluate | None:
        """What is equal for rows of a partition, or for peers."""
        if not keys:
            return None
        unit = Unit()
        text = key_text(Compiler(unit, row_scope(self._child.nullable), builder), keys)
        return unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))

    def _evaluate(self, builder: Builder, node: ex.Expr) -> Evaluate:
        unit = Unit()
        text = Compiler(unit, row_scope(self._child.nullable), builder).value(node).text
        return unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))

    def _arguments(self, builder: Builder, call: ex.WindowCall, strict: bool) -> Evaluate:
        """An aggregate's input: the argument or a tuple of several; SKIP for a row that it does not see."""
        unit = Unit()
        compiler = Compiler(unit, row_scope(self._child.nullable), builder)
        skip = unit.bind(SKIP, "g")
        guards = [] if call.filter is None else [compiler.truth(call.filter).text]
        items = []
        for argument in call.arguments:
            code = compiler.value(argument)
            if strict and code.nullable:
                first, again = compiler.named(code)
                guards.append(f"{first} is not None")
                items.append(again)
            else:
                items.append(code.text)
        text = "True" if not items else items[0] if len(items) == 1 else tuple_text(items)
        if guards:
            text = f"({text} if {' and '.join(guards)} else {skip})"
        return unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))

    @staticmethod
    def _range_function(builder: Builder, oid: int) -> tuple[Callable[..., Datum], bool] | None:
        if not oid:
            return None
        function = builder.function(oid)
        return function.implementation, function.needs_context

    def _call(
        self, builder: Builder, call: ex.WindowCall, running: bool, by_row: bool
    ) -> tuple[Callable[[], WindowFunction], MakeStream | None, bool]:
        """(how it runs over partitions, how as a stream, whether its stream needs whole groups of peers)"""
        function = builder.function(call.function)
        if function.kind == "w":
            name = function.name if call.function < FIRST_NORMAL_OID else _built_in_name(function.source)
            return self._window_function(builder, call, name, running)
        aggregate, grows = resolved_aggregate(call, builder)
        if not aggregate.windowed:
            message = f"aggregate function {function.name} does not support use as a window function"
            raise NotSupported(message)
        if aggregate.moving is not None and _may_vary(builder, call):
            aggregate = replace(aggregate, moving=None)
        strict = aggregate.strict
        evaluate = self._arguments(builder, call, strict)
        moving = evaluate
        if aggregate.moving is not None and aggregate.moving.strict != strict:
            moving = self._arguments(builder, call, aggregate.moving.strict)
        item = FrameAggregate(aggregate, len(call.arguments), evaluate, moving, grows)
        stream = partial(RunningAggregate, call=item, by_row=by_row) if running else None
        return (lambda: item), stream, not by_row

    def _window_function(
        self, builder: Builder, call: ex.WindowCall, name: str, running: bool
    ) -> tuple[Callable[[], WindowFunction], MakeStream | None, bool]:
        arguments = [self._evaluate(builder, item) for item in call.arguments]
        stream = _RANKS.get(name)
        if name == "lag" and len(arguments) == 1:
            stream = partial(LagStream, value=arguments[0])
        elif name == "first_value" and running:
            stream = partial(FirstStream, value=arguments[0])
        return (lambda: built_in(name, arguments)), stream, False

    # --- running ----------------------------------------------------------------------------------------------------

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the child's order."""
        if self._by_columns is None or not self._child.has_columns(ctx):
            yield from self._by_rows(ctx, self._child.batches(ctx), *self._offsets(ctx))
            return
        for found in self._over_columns(ctx, self._by_columns):
            if not isinstance(found, ColumnBatch):
                yield found
                continue
            for first in range(0, found.count, CHUNK_ROWS):
                ctx.check()
                rows = found.some(np.arange(first, min(first + CHUNK_ROWS, found.count))).rows()
                yield rows if self._shape is None else self._shape(ctx, rows)

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        return None if self._shown is None else self._shown.kinds

    @property
    def columns_from(self) -> Node:
        """See ``Node``."""
        return self._child

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``, by columns as far as that goes."""
        if self._by_columns is None or self._shown is None:
            return
        for found in self._over_columns(ctx, self._by_columns):
            ctx.check()
            if isinstance(found, ColumnBatch):
                yield self._shown.shown(found, ctx)
            else:
                yield columns_of(found, self._shown.kinds)

    def _over_columns(self, ctx: ExecContext, by_columns: ColumnWindow) -> Iterator[ColumnBatch | Batch]:
        """Rows with the calls' values, as far as it goes by columns; then output rows."""
        offsets = self._offsets(ctx)
        run, columns = by_columns.start(), self._child.columns(ctx)
        try:
            yield from run.partitions(ctx, columns)
        except Unsuited:
            yield from self._by_rows(ctx, run.rest(columns), *offsets)

    def _offsets(self, ctx: ExecContext) -> tuple[Datum, Datum]:
        """Of the frame. 22013, 22004."""
        mode = self._frame.mode
        start = None if self._start is None else check_offset(self._start(ctx), mode, "starting")
        return start, None if self._end is None else check_offset(self._end(ctx), mode, "ending")

    def _by_rows(self, ctx: ExecContext, source: Iterator[Batch], start: Datum, end: Datum) -> Iterator[Batch]:
        """The output of whole partitions."""
        streamed = self._streamed(ctx, source) if self._streams is not None else self._gathered(ctx, source, start, end)
        for batch in streamed:
            ctx.check()
            yield batch if self._shape is None else self._shape(ctx, batch)

    def _pieces(self, ctx: ExecContext, source: Iterator[Batch]) -> Iterator[tuple[Batch, list[int], bool]]:
        """The child's rows in runs of one partition: (rows, where groups of peers begin, whether a partition does)."""
        last_part: Datum = None
        last_peer: Datum = None
        fresh = True
        for batch in source:
            ctx.check()
            breaks: list[int] = []
            if self._partition_key is not None:
                keys = self._partition_key(ctx, batch)
                # Sorted input: the ends tell whether there is another partition between them.
                if fresh or keys[0] != last_part or keys[-1] != last_part:
                    breaks = _changes(keys, last_part)
                    last_part = keys[-1]
            if fresh and (not breaks or breaks[0]):
                breaks = [0, *breaks]
            groups: list[int] = []
            if self._order_key is not None:
                keys = self._order_key(ctx, batch)
                groups = _changes(keys, last_peer)
                last_peer = keys[-1]
                if breaks:
                    groups = sorted({*groups, *breaks})
            fresh = False
            yield from _cut(batch, groups, breaks)

    def _streamed(self, ctx: ExecContext, source: Iterator[Batch]) -> Iterator[Batch]:
        streams: list[Stream] = []
        with closing(_Held(ctx)) as held:
            for rows, groups, begins in self._pieces(ctx, source):
                if begins:
                    yield from held.give(streams)
                    streams = [make(ctx) for make in self._streams or ()]
                if not self._by_group:
                    yield _with_values(rows, [stream.values(rows, groups) for stream in streams])
                    continue
                # The last group of peers may go on in the next batch.
                if not groups:
                    held.add(rows, groups)
                    continue
                last = groups[-1]
                if last:
                    held.add(rows[:last], groups[:-1])
                yield from held.give(streams)
                held.add(rows[last:], [0])
            yield from held.give(streams)

    def _gathered(self, ctx: ExecContext, source: Iterator[Batch], start: Datum, end: Datum) -> Iterator[Batch]:
        part: Partition | None = None
        try:
            for rows, groups, begins in self._pieces(ctx, source):
                if begins:
                    if part is not None:
                        yield from self._over(ctx, part, start, end)
                        part.close()
                    part = Partition(ctx, ctx.area())
                if part is not None:
                    part.add(rows, groups)
            if part is not None:
                yield from self._over(ctx, part, start, end)
        finally:
            if part is not None:
                part.close()

    def _over(self, ctx: ExecContext, part: Partition, start: Datum, end: Datum) -> Iterator[Batch]:
        """The rows of a whole partition."""
        order = None
        if self._order_value is not None:
            key = self._order[0]
            order = Order(part.values(self._order_value), key.descending, key.nulls_first)
        functions: list[InRange | None] = []
        for item in self._in_range:
            function = None if item is None else item[0]
            if item is not None and item[1]:
                function = partial(item[0], ctx)
            functions.append(function)
        low = ends_of(part, self._frame, start, functions[0], order, high=False)
        high = ends_of(part, self._frame, end, functions[1], order, high=True)
        frames = Frames(part, self._frame, low, high)
        calls = [call.over(part, frames) for call in self._calls]
        for first in range(0, part.count, CHUNK_ROWS):
            ctx.check()
            behind = min(first + CHUNK_ROWS, part.count)
            ends = frames.ends(first, behind)
            values = [call(first, behind, ends) for call in calls]
            yield _with_values(part.rows(first, behind), values)


class _Held:
    """Rows of whole groups that wait for the end of the last one: a list while they are few, then a partition."""

    def __init__(self, ctx: ExecContext) -> None:
        self._ctx = ctx
        self._rows: Batch = []
        self._groups: list[int] = []
        self._part: Partition | None = None

    def add(self, rows: Batch, groups: Sequence[int]) -> None:
        """More rows."""
        if self._part is None and len(self._rows) + len(rows) <= HELD_ROWS:
            count = len(self._rows)
            self._groups += [count + place for place in groups]
            self._rows = self._rows + rows if self._rows else rows
            return
        if self._part is None:
            self._part = Partition(self._ctx, self._ctx.area())
            self._part.add(self._rows, self._groups)
            self._rows, self._groups = [], []
        self._part.add(rows, groups)

    def give(self, streams: list[Stream]) -> Iterator[Batch]:
        """All rows, with their values."""
        if self._part is None:
            rows, groups = self._rows, self._groups
            self._rows, self._groups = [], []
            if rows:
                yield _with_values(rows, [stream.values(rows, groups) for stream in streams])
            return
        yield from self._give_long(self._part, streams)
        self.close()

    def close(self) -> None:
        """Give the partition back."""
        part, self._part = self._part, None
        if part is not None:
            part.close()

    def _give_long(self, part: Partition, streams: list[Stream]) -> Iterator[Batch]:
        """The first group of peers is long: what its last row gives is known only after a first reading."""
        size, end = CHUNK_ROWS, part.group_start(1)
        sums = [stream for stream in streams if isinstance(stream, RunningAggregate)]
        for first in range(0, end, size):
            self._ctx.check()
            rows = part.rows(first, min(first + size, end))
            for each in sums:
                each.fold(rows)
        for first in range(0, end, size):
            rows = part.rows(first, min(first + size, end))
            groups = [] if first else list(part.groups[:1])
            yield _with_values(
                rows,
                [
                    each.repeated(len(rows)) if isinstance(each, RunningAggregate) else each.values(rows, groups)
                    for each in streams
                ],
            )
        if end < part.count:
            rows, groups = part.rows(end, part.count), [place - end for place in part.groups[1:]]
            yield _with_values(rows, [stream.values(rows, groups) for stream in streams])


def _changes(keys: list[Datum], before: Datum) -> list[int]:
    """Where a key is another than the one before it."""
    return list(compress(range(len(keys)), map(ne, keys, chain((before,), keys))))


def _with_values(rows: Batch, columns: list[list[Datum]]) -> Batch:
    return list(map(add, rows, zip(*columns, strict=True))) if columns else rows


def _may_vary(builder: Builder, call: ex.WindowCall) -> bool:
    """Whether an argument may be another value when it is taken out of a state than when it was put in."""
    nodes = [*call.arguments, *([] if call.filter is None else [call.filter])]
    has_sub_plan = any(isinstance(item, ex.SubPlan) for node in nodes for item in ex.walk(node))
    return has_sub_plan or contains_volatile(builder, *nodes)


def _built_in_name(symbol: str) -> str:
    """Of the window function behind a symbol, of which a user has made another one."""
    name = symbol.removeprefix("window_")
    return name.split("_with_")[0]


def _range_functions(plan: pl.WindowAgg) -> tuple[int, int]:
    return plan.frame.start_in_range, plan.frame.end_in_range


def _cut(batch: Batch, groups: list[int], breaks: list[int]) -> Iterator[tuple[Batch, list[int], bool]]:
    """A batch as runs of one partition each."""
    if not breaks or breaks == [0]:
        yield batch, groups, bool(breaks)
        return
    starts = breaks if breaks[0] == 0 else [0, *breaks]
    at = 0
    for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
        mine = at
        while at < len(groups) and groups[at] < end:
            at += 1
        places = [place - start for place in groups[mine:at]] if start else groups[mine:at]
        yield batch[start:end], places, bool(start) or breaks[0] == 0
