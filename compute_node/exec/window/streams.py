"""Values that need no more than the rows so far: given out as the rows come, nothing of them is kept.

A ``Stream`` is one call over one partition: ``values(rows, groups, ctx)`` for each run of rows in turn; ``groups`` are
the places in it where groups of peers begin. Where peers share a value a run holds whole groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from aurora.datum import Datum, Row
from compute_node.exec.window.aggregates import SKIP, FrameAggregate
from compute_node.exec.window.partition import Evaluate
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext


class Stream(Protocol):
    """One call over one partition."""

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """The values of more rows."""


MakeStream = Callable[["ExecContext"], Stream]


def _spread(count: int, groups: Sequence[int], values: list[Datum], before: Datum) -> list[Datum]:
    """One value a group as one value a row; ``before``: of the rows of a group that began earlier."""
    out: list[Datum] = [before] * (groups[0] if groups else count)
    ends = [*groups[1:], count] if groups else []
    for start, end, value in zip(groups, ends, values, strict=True):
        out += [value] * (end - start)
    return out


class RowNumberStream:
    """row_number()."""

    def __init__(self, ctx: ExecContext) -> None:
        self._next = 1

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        first, self._next = self._next, self._next + len(rows)
        return list(range(first, self._next))


class RankStream:
    """rank()."""

    def __init__(self, ctx: ExecContext) -> None:
        self._seen, self._rank = 0, 1

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        seen = self._seen
        self._seen += len(rows)
        if len(groups) == len(rows):
            self._rank = self._seen
            return list(range(seen + 1, self._seen + 1))
        out = _spread(len(rows), groups, [seen + place + 1 for place in groups], self._rank)
        self._rank = out[-1]
        return out


class DenseRankStream:
    """dense_rank()."""

    def __init__(self, ctx: ExecContext) -> None:
        self._rank = 0

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        rank = max(self._rank, 0 if groups and groups[0] == 0 else 1)
        self._rank = rank + len(groups)
        return _spread(len(rows), groups, list(range(rank + 1, self._rank + 1)), rank)


class LagStream:
    """lag(value): the row before."""

    def __init__(self, ctx: ExecContext, value: Evaluate) -> None:
        self._ctx, self._value = ctx, value
        self._last: Datum = None

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        values = self._value(self._ctx, rows)
        out = [self._last, *values[:-1]]
        self._last = values[-1]
        return out


class FirstStream:
    """first_value(value) of a frame that begins with the partition."""

    def __init__(self, ctx: ExecContext, value: Evaluate) -> None:
        self._ctx, self._value = ctx, value
        self._known: list[Datum] = []

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        if not self._known:
            self._known = self._value(self._ctx, rows[:1])
        return self._known * len(rows)


class RunningAggregate:
    """An aggregate from the partition's first row to the current one (``by_row``), or to its last peer."""

    def __init__(self, ctx: ExecContext, call: FrameAggregate, by_row: bool) -> None:
        self._ctx, self._evaluate, self._by_row, self._grows = ctx, call.evaluate, by_row, call.grows
        self._running = call.aggregate.running
        self._run = call.run(ctx, moves=False)
        self._state = self._run.initial()

    def values(self, rows: list[Row], groups: Sequence[int]) -> list[Datum]:
        """See ``Stream``."""
        source = self._evaluate(self._ctx, rows)
        if self._by_row or len(groups) == len(rows):
            return self._each(source)
        run, state = self._run, self._state
        out: list[Datum] = []
        starts = groups if groups and groups[0] == 0 else [0, *groups]
        for start, end in zip(starts, [*starts[1:], len(source)], strict=True):
            state = run.fold(state, source[start:end])
            out += [run.value(state)] * (end - start)
        self._state = state
        return out

    def fold(self, rows: list[Row]) -> None:
        """Rows of one group of peers, whose values are asked for afterwards."""
        self._state = self._run.fold(self._state, self._evaluate(self._ctx, rows))

    def repeated(self, count: int) -> list[Datum]:
        """The value now, for so many rows."""
        return [self._run.value(self._state)] * count

    def _each(self, source: list[Datum]) -> list[Datum]:
        run, state = self._run, self._state
        if self._running is not None and SKIP not in source:
            out = self._running(state, source)
            self._state = out[-1]
            return out
        step, spread = run.step, run.spread
        out = []
        add = out.append
        if spread or self._grows:
            for value in source:
                if value is not SKIP:
                    state = step(state, *value) if spread else step(state, value)
                add(run.value(state))
        else:
            for value in source:
                if value is not SKIP:
                    state = step(state, value)
                add(state)
            out = list(map(run.final, out))
        self._state = state
        HUB.pulse()
        return out
