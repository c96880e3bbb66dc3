"""EXPLAIN ANALYZE: every node wrapped in one that counts rows, loops and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from compute_node.exec.nodes.base import Batch, Node, Ran
from compute_node.sql.plan import BitmapAnd, BitmapIndexScan, BitmapOr, Plan

if TYPE_CHECKING:
    from compute_node.exec.compile.rows import BatchFunction
    from compute_node.exec.context import ExecContext, Fact
    from compute_node.exec.vectors.vector import ColumnBatch

_T = TypeVar("_T")


def timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """What ``work`` gives, and the seconds that it took."""
    began = perf_counter()
    result = work()
    return result, perf_counter() - began


@dataclass(slots=True)
class Measured:
    """Of all loops together; times in seconds from a loop's start."""

    loops: int = 0
    rows: int = 0
    first_s: float = 0.0
    total_s: float = 0.0
    facts: dict[str, Fact] = field(default_factory=dict)
    """what the node told of its memory, in the JSON form's words"""


class RemovedRows:
    """Counts the rows that filters leave out, by plan node."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}
        """id of the plan node → rows"""

    def counted(self, plan: Plan, function: BatchFunction) -> BatchFunction:
        """A node's compiled filter, which counts."""
        of, key = self.of, id(plan)

        def count(ctx: ExecContext, batch: Batch) -> Batch:
            rows = function(ctx, batch)
            of[key] = of.get(key, 0) + len(batch) - len(rows)
            return rows

        return count

    def add(self, plan: Plan, rows: int) -> None:
        """A node's filter has left out so many more."""
        self.of[id(plan)] = self.of.get(id(plan), 0) + rows


Measurements = dict[int, Measured]
"""id of the plan node → what was measured"""


ROWS_OF_A_PAGE = 10
"""PostgreSQL counts a page of a bitmap as so many rows."""


def _addresses(batch: Any) -> int:
    """How many rows a bitmap's addresses are; slot 0 stands for a page. A bitmap's batches are of
    addresses, not of rows."""
    return len(batch) + (ROWS_OF_A_PAGE - 1) * sum(1 for tid in batch if not tid & 0xFFFF)


def _none(batch: Batch) -> int:
    """Bitmaps that are put together count for nothing."""
    return 0


class MeasuredNode(Node):
    """Passes everything through. Made for one run, so it may keep the numbers itself."""

    __slots__ = ("_measured", "_node", "_rows_of")

    def __init__(self, plan: Plan, node: Node, measurements: Measurements) -> None:
        self._node = node
        self._measured = measurements.setdefault(id(plan), Measured())
        self.nullable = node.nullable
        self._rows_of: Callable[[Batch], int] = len
        if isinstance(plan, BitmapIndexScan):
            self._rows_of = _addresses
        elif isinstance(plan, (BitmapAnd, BitmapOr)):
            self._rows_of = _none

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The node's batches; the time spent above this node is not counted."""
        return self._counted(ctx, self._node.batches(ctx), self._rows_of)

    @property
    def column_kinds(self) -> str | None:
        """The node's."""
        return self._node.column_kinds

    def has_columns(self, ctx: ExecContext) -> bool:
        """The node's."""
        return self._node.has_columns(ctx)

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """The node's, counted as its batches."""
        return self._counted(ctx, self._node.columns(ctx), lambda batch: batch.count)

    def _counted(self, ctx: ExecContext, source: Iterator[_T], rows_of: Callable[[_T], int]) -> Iterator[_T]:
        measured = self._measured
        measured.loops += 1
        spent = 0.0
        seen = False
        while True:
            began = perf_counter()
            batch = next(source, None)
            took = perf_counter() - began
            spent += took
            measured.total_s += took
            if not seen:
                seen = True
                measured.first_s += spent
                measured.facts = ctx.told(self._node)
            if batch is None:
                measured.facts = ctx.told(self._node)
                return
            measured.rows += rows_of(batch)
            yield batch

    def ran(self, ctx: ExecContext, given: Ran, read: Ran) -> None:
        """Counted."""
        self._measured.loops += given.loops
        self._measured.rows += given.rows
        self._node.ran(ctx, given, read)
        self._measured.facts = ctx.told(self._node) or self._measured.facts

    @property
    def is_lookup(self) -> bool:
        """The node's."""
        return self._node.is_lookup

    def fetch(self, ctx: ExecContext) -> Batch:
        """The node's rows at once."""
        measured = self._measured
        measured.loops += 1
        began = perf_counter()
        rows = self._node.fetch(ctx)
        took = perf_counter() - began
        measured.first_s += took
        measured.total_s += took
        measured.rows += len(rows)
        measured.facts = ctx.told(self._node) or measured.facts
        return rows
