"""Aggregates over frames.

A frame that only grows is aggregated as it does; one that rows leave is, too, where the aggregate can take them out
again (``Moving``); any other is aggregated anew for each row, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum
from compute_node.exec.window.frames import PULSE_ROWS
from compute_node.exec.window.functions import Chunk, Ends
from compute_node.exec.window.partition import Evaluate
from compute_node.hub import HUB
from compute_node.types.registry import Aggregate

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.exec.window.frames import Frames
    from compute_node.exec.window.partition import Partition


class _Skip:
    """What stands for a row that an aggregate does not see."""


SKIP: Final = _Skip()


class Run:
    """The functions of an aggregate in one execution: ``step``, ``inverse`` and ``final`` of states."""

    __slots__ = ("final", "initial", "inverse", "spread", "step")

    def __init__(
        self, initial: Callable[[], Datum], step: Callable[..., Datum], inverse: Callable[..., Datum] | None,
        final: Callable[..., Datum], spread: bool,
    ) -> None:  # fmt: skip
        self.initial, self.step, self.inverse, self.final, self.spread = initial, step, inverse, final, spread

    def fold(self, state: Datum, values: Sequence[Datum]) -> Datum:
        """The state with more rows."""
        step, spread = self.step, self.spread
        for start in range(0, len(values), PULSE_ROWS):
            part = values if len(values) <= PULSE_ROWS else values[start : start + PULSE_ROWS]
            for value in part:
                if value is not SKIP:
                    state = step(state, *value) if spread else step(state, value)
            HUB.pulse()
        return state

    def unfold(self, state: Datum, values: Sequence[Datum]) -> Datum:
        """The state without the rows that came first; None when that cannot be had."""
        inverse, spread = self.inverse, self.spread
        if inverse is None:
            return None
        for start in range(0, len(values), PULSE_ROWS):
            if start:
                HUB.pulse()
            for value in values[start : start + PULSE_ROWS]:
                if value is not SKIP:
                    state = inverse(state, *value) if spread else inverse(state, value)
                    if state is None:
                        return None
        return state

    def value(self, state: Datum) -> Datum:
        """The result, which later steps do not change."""
        result = self.final(state)
        # A state that grows is a plain list; an array with bounds of its own is a row's value, which no step changes.
        return list(result) if result is state and type(result) is list else result


class FrameAggregate:
    """One aggregate call of ``count`` arguments. ``evaluate`` gives its argument, or a tuple of several, or ``SKIP``;
    ``evaluate_moving`` the same for the functions over moving frames. ``grows``: states may change in place."""

    def __init__(
        self, aggregate: Aggregate, count: int, evaluate: Evaluate, evaluate_moving: Evaluate, grows: bool
    ) -> None:
        self.aggregate, self.count, self.grows = aggregate, count, grows
        self.evaluate, self._evaluate_moving = evaluate, evaluate_moving

    def run(self, ctx: ExecContext, moves: bool) -> Run:
        """``moves``: over frames that rows leave."""
        aggregate = self.aggregate
        context = ctx.volatile if aggregate.volatile else ctx
        moving = aggregate.moving if moves else None
        if moving is not None:
            step, inverse, final = moving.step, moving.inverse, moving.final
            if moving.needs_context:
                step, inverse, final = partial(step, context), partial(inverse, context), partial(final, context)
            return Run(moving.initial, self._taking(step), self._taking(inverse), final, self.count > 1)
        step, final = aggregate.step, aggregate.final
        if aggregate.needs_context:
            step = partial(step, context)
        if aggregate.final_needs_context:
            final = partial(final, context)
        return Run(aggregate.initial, self._taking(step), None, final, self.count > 1)

    def _taking(self, step: Callable[..., Datum]) -> Callable[..., Datum]:
        return step if self.count else (lambda state, _: step(state))

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """See ``WindowFunction``."""
        run = self.run(part.ctx, moves=not frames.fixed_low)
        source = part.values(self._evaluate_moving if run.inverse is not None else self.evaluate)
        return _Excluding(run, source, frames).values if frames.exclude else _Sliding(run, source).values


class _Sliding:
    """Frames without holes, whose ends never go back."""

    __slots__ = ("_high", "_low", "_run", "_source", "_state", "_value")

    def __init__(self, run: Run, source: Sequence[Datum]) -> None:
        self._run, self._source = run, source
        self._low = self._high = 0
        self._state = run.initial()
        self._value = run.value(self._state)

    def values(self, start: int, stop: int, ends: Ends) -> list[Datum]:
        """A chunk of rows."""
        out = []
        run = self._run
        value = self._value
        for low, high in zip(*ends, strict=True):
            high = max(low, high)
            if low != self._low or high != self._high:
                self._move(low, high)
                value = run.value(self._state)
            out.append(value)
        self._value = value
        return out

    def _move(self, low: int, high: int) -> None:
        run, source = self._run, self._source
        state: Datum = None
        if low >= self._high or low == high:
            begin, state = low, run.initial()
        elif low == self._low:
            begin, state = self._high, self._state
        else:
            begin, state = self._high, run.unfold(self._state, source[self._low : low])
            if state is None:
                begin, state = low, run.initial()
        if high - begin == 1 and not run.spread:
            value = source[begin]
            if value is not SKIP:
                state = run.step(state, value)
        elif high > begin:
            state = run.fold(state, source[begin:high])
        self._low, self._high, self._state = low, high, state


class _Excluding:
    """Frames with holes: aggregated anew for each row."""

    __slots__ = ("_frames", "_run", "_source")

    def __init__(self, run: Run, source: Sequence[Datum], frames: Frames) -> None:
        self._run, self._source, self._frames = run, source, frames

    def values(self, start: int, stop: int, ends: Ends) -> list[Datum]:
        """A chunk of rows."""
        out = []
        run, known = self._run, None
        value: Datum = None
        for row, low, high in zip(range(start, stop), *ends, strict=True):
            pieces = list(self._frames.pieces(row, low, high))
            if pieces != known:
                state = run.initial()
                for first, end in pieces:
                    state = run.fold(state, self._source[first:end])
                known, value = pieces, run.value(state)
            out.append(value)
        return out
