"""Incremental sort: rows come in the order of the first keys, and are sorted by the others, a group of equal first keys
at a time. So the first rows come before all have been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import batch_function, key_text, value_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.nodes.sort import sort_passes
from compute_node.sql import plan as pl
from compute_node.work.account import KB
from compute_node.work.sorting import BATCH_ROWS, Sorter

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.IncrementalSort)
class IncrementalSortNode(Node):
    """Whole groups of one batch are sorted together; a group that goes on is kept until it ends, in files past
    ``work_mem``."""

    __slots__ = ("_child", "_limit", "_offset", "_passes", "_prefix", "_shape")

    def __init__(self, plan: pl.IncrementalSort, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._passes = sort_passes(builder, plan.keys, self._child.nullable)
        self._limit = None if plan.limit is None else value_function(builder, plan.limit)
        self._offset = None if plan.offset is None else value_function(builder, plan.offset)
        unit = Unit()
        keys = [key.expression for key in plan.keys[: plan.presorted]]
        text = key_text(Compiler(unit, row_scope(None), builder), keys)
        self._prefix: Callable[[ExecContext, Batch], list[Datum]] = unit.link(
            unit.function("c, b", [f"return [{text} for r in b]"])
        )
        width = len(plan.child.output)
        self._shape = batch_function(builder, plan.output, None, width) if plan.output else None
        self.nullable = output_nullable(plan.output, self._child.nullable) if plan.output else self._child.nullable

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """As soon as they are known."""
        limit = self._limit(ctx) if self._limit is not None else None
        left = limit if limit is not None and limit >= 0 else None
        if left is not None and self._offset is not None:
            left += max(self._offset(ctx) or 0, 0)
        told = _Told()
        for rows in self._sorted(ctx, left, told):
            for start in range(0, len(rows), BATCH_ROWS):
                part = rows[start : start + BATCH_ROWS]
                if left is not None:
                    part = part[:left]
                    left -= len(part)
                if part:
                    ctx.check()
                    ctx.tell(self, **told.facts())
                    yield part if self._shape is None else self._shape(ctx, part)
                if left == 0:
                    return

    def _sorted(self, ctx: ExecContext, least: int | None, told: _Told) -> Iterator[Batch]:
        area = ctx.area()
        sorter = Sorter(self._passes, area, ctx.open_file, least)
        current: Datum = None
        for batch in self._child.batches(ctx):
            ctx.check()
            keys = self._prefix(ctx, batch)
            end = _last_start(keys)
            if sorter.rows and (end or keys[0] != current):
                first = end if keys[0] == current or end else 0
                sorter.add(batch[:first])
                yield from told.finished(sorter)
                sorter = Sorter(self._passes, area, ctx.open_file, least)
                batch = batch[first:]
            elif end:
                sorter.add(batch[:end])
                yield from told.finished(sorter)
                sorter = Sorter(self._passes, area, ctx.open_file, least)
                batch = batch[end:]
            sorter.add(batch)
            current = keys[-1]
        if sorter.rows:
            yield from told.finished(sorter)


def _last_start(keys: list[Datum]) -> int:
    """Where the last run of equal keys begins."""
    last = keys[-1]
    at = len(keys) - 1
    while at > 0 and keys[at - 1] == last:
        at -= 1
    return at


class _Told:
    """What EXPLAIN ANALYZE shows of the sorts."""

    __slots__ = ("_groups", "_methods", "_peak", "_sum")

    def __init__(self) -> None:
        self._groups = self._sum = self._peak = 0
        self._methods: dict[str, None] = {}

    def finished(self, sorter: Sorter) -> Iterator[Batch]:
        """The rows of one sort, in order."""
        ordered = sorter.finish()
        self._groups += 1
        self._methods[sorter.method] = None
        used = -(-(sorter.file_bytes or sorter.peak_bytes) // KB)
        self._sum += used
        self._peak = max(self._peak, used)
        return ordered

    def facts(self) -> dict[str, int | str]:
        """In the JSON form's words."""
        return {
            "Full-sort_Groups": self._groups,
            "Sort_Methods": ", ".join(self._methods),
            "Average_Memory": self._sum // max(self._groups, 1),
            "Peak_Memory": self._peak,
        }
