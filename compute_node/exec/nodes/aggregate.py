"""Aggregation: by hashing the group keys; without keys, whole batches are folded at once (PostgreSQL manual, 4.2.7).

When the groups outgrow their memory, no more are begun: rows of new groups go to files by a hash of their key, and each
file is aggregated by itself once the groups at hand are given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function, column_index, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.distinct import ENTRY_BYTES
from compute_node.exec.folds import Fold
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import NOTHING, passed_on
from compute_node.exec.vectors.aggregate import ColumnAggregate, Running
from compute_node.exec.vectors.expressions import columns_of
from compute_node.exec.vectors.files import ColumnPartitions
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.work.account import KB, batch_bytes, value_bytes
from compute_node.work.spill import LEVELS_MAX, PARTITIONS, Partitions

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 1000
COUNT_ANY = 2147


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

    __slots__ = (
        "_by_columns",
        "_child",
        "_finish",
        "_grows",
        "_hashed",
        "_initial",
        "_keys",
        "_plain",
        "_shape",
        "_step",
    )

    def __init__(self, plan: pl.AggregatePlan, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._plain = plan.plain or not plan.keys
        source = self._child.nullable
        width = len(plan.child.output)
        stored, _ = passed_on(self._child, width, (NOTHING,), aggregate_inputs(plan))
        folds = [Fold(call, builder) for call in plan.aggregates]
        self._grows = any(fold.grows for fold in folds)
        self._keys: Any = None
        if not self._plain:
            unit = Unit()
            text = key_text(Compiler(unit, row_scope(source), builder), plan.keys)
            self._keys = unit.linked(unit.function("c, b", [f"return [{text} for r in b]"]))
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
        self._by_columns = ColumnAggregate.of(plan, builder, self._child.column_kinds)
        self._hashed = [builder.type(key.type).sort_value for key in plan.keys]

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        by_columns = self._by_columns
        return None if by_columns is None or by_columns.shown is None else by_columns.shown.kinds

    @property
    def columns_from(self) -> Node:
        """See ``Node``."""
        return self._child

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``, by columns as far as that goes."""
        kinds = self.column_kinds
        if self._by_columns is None or kinds is None:
            return
        for found in self._aggregated(ctx, self._by_columns, self._child.columns(ctx), 0):
            yield found if isinstance(found, ColumnBatch) else columns_of(found, kinds)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Groups in the order of their first rows, as far as they fit into memory."""
        if self._by_columns is None or not self._child.has_columns(ctx):
            yield from self._by_rows(ctx, self._child.batches(ctx), 0, None)
            return
        for found in self._aggregated(ctx, self._by_columns, self._child.columns(ctx), 0):
            yield found.rows() if isinstance(found, ColumnBatch) else found

    def _by_rows(self, ctx: ExecContext, source: Iterator[Batch], level: int, run: Running | None) -> Iterator[Batch]:
        """``run``: what was folded before ``source``."""
        if not self._plain:
            groups: dict[Datum, list[Datum]] = {}
            if run is not None:
                moved = ctx.area(hashed=True)
                for start, stop in run.parts():
                    ctx.check()
                    part = run.states(start, stop, False)
                    groups.update({self._hash_key(group[0]): group for group in part})
                    moved.add((value_bytes(part[-1]) + ENTRY_BYTES) * len(part))
                moved.clear()
            yield from self._grouped(ctx, source, level, groups)
            return
        step, grows = self._step, self._grows
        area = ctx.area()
        state = self._initial(ctx) if run is None else run.states(*next(run.parts()), False)[0]
        for batch in source:
            if grows:
                area.add(batch_bytes(batch))
            ctx.check()
            step(ctx, batch, state)
        yield from self._results(ctx, [state])
        area.clear()

    def _aggregated(
        self, ctx: ExecContext, by_columns: ColumnAggregate, source: Iterator[ColumnBatch], level: int
    ) -> Iterator[ColumnBatch | Batch]:
        """Fold by columns, as far as that goes. When memory ends, rows of new groups go to files."""
        run = by_columns.start()
        area = ctx.area(hashed=True)
        files: ColumnPartitions | None = None
        size = 0
        for batch in source:
            ctx.check()
            try:
                if files is None:
                    run.add(batch, ctx)
                else:
                    run.add_known(batch, ctx, files, level)
            except Unsuited:
                before = iter(()) if files is None else files.rows()
                area.clear()
                yield from self._by_rows(
                    ctx, chain(before, [batch.rows()], (each.rows() for each in source)), level, run
                )
                return
            grown, size = run.size_bytes - size, run.size_bytes
            if grown and area.add(grown) and files is None and not self._plain and level < LEVELS_MAX:
                files = ColumnPartitions(ctx.open_file)
        if files is not None:
            files.flush()
        if not self._plain and not level:
            disk = {} if files is None else {"Disk_Usage": -(-files.bytes // KB)}
            parts = 1 if files is None else 1 + len(files.files)
            ctx.tell(self, HashAgg_Batches=parts, Peak_Memory_Usage=-(-area.peak_bytes // KB), **disk)
        for start, stop in run.parts():
            ctx.check()
            yield from self._shown(ctx, by_columns, run, start, stop)
        del run
        area.clear()
        for file in [] if files is None else files.files:
            yield from self._aggregated(ctx, by_columns, file.batches(), level + 1)
            file.file.close()

    def _shown(
        self, ctx: ExecContext, by_columns: ColumnAggregate, run: Running, start: int, stop: int
    ) -> Iterator[ColumnBatch | Batch]:
        """The rows of finished groups."""
        if by_columns.shown is not None:
            try:
                found = by_columns.shown.shown(run.results(start, stop), ctx)
            except Unsuited:
                pass
            else:
                if found.count:
                    yield found
                return
        yield from self._results(ctx, run.states(start, stop, True))

    def _hash_key(self, values: Datum) -> Datum:
        key = [
            value if convert is None or value is None else convert(value)
            for value, convert in zip(values, self._hashed, strict=True)
        ]
        return key[0] if len(key) == 1 else tuple(key)

    def _results(self, ctx: ExecContext, states: list[Datum]) -> Iterator[Batch]:
        """The rows of finished groups; with states that grow few at a time, as each may be long work."""
        size = 50 if self._grows else BATCH_ROWS
        for start in range(0, len(states), size):
            ctx.check()
            rows = self._finish(ctx, states[start : start + size])
            if self._shape is not None:
                rows = self._shape(ctx, rows)
            if rows:
                yield rows

    def _grouped(
        self, ctx: ExecContext, source: Iterator[Batch], level: int, groups: dict[Datum, list[Datum]] | None = None
    ) -> Iterator[Batch]:
        """``groups``: those of rows before."""
        step, grows = self._step, self._grows
        area = ctx.area(hashed=True)
        groups = {} if groups is None else groups
        if groups:
            area.add((value_bytes(next(reversed(groups.values()))) + ENTRY_BYTES) * len(groups))
        parts: Partitions | None = None
        for batch in source:
            ctx.check()
            if parts is not None:
                known = self._sift(ctx, batch, groups, parts)
                if grows:
                    area.add(batch_bytes(known))
                step(ctx, known, groups)
                continue
            before = len(groups)
            step(ctx, batch, groups)
            size = batch_bytes(batch) if grows else 0
            if len(groups) > before:
                size += (value_bytes(next(reversed(groups.values()))) + ENTRY_BYTES) * (len(groups) - before)
            if size and area.add(size) and level < LEVELS_MAX:
                parts = Partitions(ctx.open_file, PARTITIONS, level)
        states = list(groups.values())
        groups.clear()
        files = [writer.file for writer in parts.files] if parts is not None else []
        if not level:
            ctx.tell(
                self,
                HashAgg_Batches=1 + len(files),
                Peak_Memory_Usage=-(-area.peak_bytes // KB),
                **({"Disk_Usage": -(-sum(file.bytes for file in files) // KB)} if files else {}),
            )
        yield from self._results(ctx, states)
        del states
        area.clear()
        if parts is not None:
            parts.flush()
            for writer in parts.files:
                yield from self._grouped(ctx, writer.file.batches(), level + 1)
                writer.file.close()

    def _sift(self, ctx: ExecContext, batch: Batch, groups: dict[Datum, list[Datum]], parts: Partitions) -> Batch:
        """The rows of known groups; the others are put into files."""
        keys = self._keys(ctx, batch)
        known = [row for row, key in zip(batch, keys, strict=True) if key in groups]
        if len(known) < len(batch):
            fresh = [number for number, key in enumerate(keys) if key not in groups]
            parts.add([keys[number] for number in fresh], [batch[number] for number in fresh])
        return known
