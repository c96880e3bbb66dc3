"""Aggregates over frames that rows leave again: those for which PostgreSQL has inverse transition functions.

Sums of floats are not among them: taking a float out of a sum does not give the sum without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from aurora.datum import Datum
from compute_node.types import numeric
from compute_node.types.aggregates import deviation
from compute_node.types.datetime_functions import divide as divide_interval
from compute_node.types.datetime_functions import negate
from compute_node.types.declare import moving
from compute_node.types.interval import Interval, checked_interval
from compute_node.types.registry import Moving

Value: TypeAlias = Datum

# counts

for _oid in (2803, 2147):
    moving(
        _oid, Moving(int, lambda state, *_: state + 1, lambda state, *_: state - 1, lambda state: state)
    )  # fmt: skip


# integers: {count, sum}, {count, sum, sum of squares}


class _Sums(NamedTuple):
    rows: int
    total: int
    squares: int


def _pair(final: Callable[[tuple[int, int]], Value]) -> Moving:
    return Moving(
        lambda: (0, 0),
        lambda state, value: (state[0] + 1, state[1] + value),
        lambda state, value: (state[0] - 1, state[1] - value),
        final,
    )


for _oid in (2109, 2108, 2112):
    moving(_oid, _pair(lambda state: state[1] if state[0] else None))
moving(2107, _pair(lambda state: Decimal(state[1]) if state[0] else None))
for _oid in (2102, 2101, 2100):
    moving(_oid, _pair(lambda state: numeric.divide(Decimal(state[1]), Decimal(state[0])) if state[0] else None))


def _moments(final: Callable[[tuple[int, int, int]], Value]) -> Moving:
    return Moving(
        lambda: _Sums(0, 0, 0),
        lambda state, value: _Sums(state[0] + 1, state[1] + value, state[2] + value * value),
        lambda state, value: _Sums(state[0] - 1, state[1] - value, state[2] - value * value),
        final,
    )


# numeric: the scale of the result is the greatest of the values in the frame


class _Numbers:
    """Sums over a frame; specials are counted, for nothing can be taken out of an infinite sum."""

    __slots__ = ("count", "infinities", "nans", "negatives", "scales", "squares", "total")

    def __init__(self) -> None:
        self.count = self.nans = self.infinities = self.negatives = 0
        self.total = self.squares = Decimal(0)
        self.scales: Counter[int] = Counter()

    @property
    def special(self) -> Decimal | None:
        """The sum of a frame with NaN or infinities."""
        if self.nans or (self.infinities and self.negatives):
            return numeric.NAN
        if self.infinities or self.negatives:
            return Decimal("Infinity" if self.infinities else "-Infinity")
        return None

    @property
    def scale(self) -> int:
        return max(self.scales, default=0)


def _numbers_change(sign: int, squares: bool) -> Callable[[_Numbers, Decimal], _Numbers]:
    combine = numeric.add if sign > 0 else numeric.subtract

    def change(state: _Numbers, value: Decimal) -> _Numbers:
        state.count += sign
        if value.is_nan():
            state.nans += sign
        elif value.is_infinite():
            if value > 0:
                state.infinities += sign
            else:
                state.negatives += sign
        else:
            scale = numeric.display_scale(value)
            state.scales[scale] += sign
            if not state.scales[scale]:
                del state.scales[scale]
            state.total = combine(state.total, value)
            if squares:
                state.squares = numeric.EXACT.fma(value, value if sign > 0 else value.copy_negate(), state.squares)
        return state

    return change


def _numbers(squares: bool, final: Callable[[_Numbers], Value]) -> Moving:
    return Moving(_Numbers, _numbers_change(1, squares), _numbers_change(-1, squares), final)


def _scaled(value: Decimal, scale: int) -> Decimal:
    return numeric.round_scale(value, scale)


def _numeric_sum(state: _Numbers) -> Decimal | None:
    if not state.count:
        return None
    special = state.special
    return _scaled(state.total, state.scale) if special is None else special


def _numeric_average(state: _Numbers) -> Decimal | None:
    total = _numeric_sum(state)
    if total is None or not total.is_finite():
        return total
    return numeric.divide(total, Decimal(state.count))


moving(2114, _numbers(False, _numeric_sum))
moving(2103, _numbers(False, _numeric_average))


def _numeric_deviation(sample: bool, root: bool) -> Callable[[_Numbers], Value]:
    plain = deviation(sample, root)

    def final(state: _Numbers) -> Value:
        if state.special is not None:
            return None if state.count < (2 if sample else 1) else numeric.NAN
        scale = state.scale
        return plain((state.count, _scaled(state.total, scale), _scaled(state.squares, 2 * scale)))

    return final


for _oids, _of_numeric, _sample, _root in (
    ((2643, 2642, 2641, 2150, 2149, 2148), (2646, 2153), True, False),
    ((2720, 2719, 2718), (2723,), False, False),
    ((2714, 2713, 2712, 2156, 2155, 2154), (2717, 2159), True, True),
    ((2726, 2725, 2724), (2729,), False, True),
):
    for _oid in _oids:
        moving(_oid, _moments(deviation(_sample, _root)))
    for _oid in _of_numeric:
        moving(_oid, _numbers(True, _numeric_deviation(_sample, _root)))


# intervals


def _spans(final: Callable[[tuple[int, Interval]], Value]) -> Moving:
    def plus(a: Interval, b: Interval) -> Interval:
        return checked_interval(a.months + b.months, a.days + b.days, a.us + b.us)

    return Moving(
        lambda: (0, Interval(0, 0, 0)),
        lambda state, value: (state[0] + 1, plus(state[1], value)),
        lambda state, value: (state[0] - 1, plus(state[1], negate(value))),
        final,
    )


moving(2113, _spans(lambda state: state[1] if state[0] else None))
moving(2106, _spans(lambda state: divide_interval(state[1], float(state[0])) if state[0] else None))


# booleans: {count, how many are true}


def _truths(final: Callable[[tuple[int, int]], Value]) -> Moving:
    return Moving(
        lambda: (0, 0),
        lambda state, value: (state[0] + 1, state[1] + value),
        lambda state, value: (state[0] - 1, state[1] - value),
        final,
    )


for _oid in (2517, 2519):
    moving(_oid, _truths(lambda state: state[0] == state[1] if state[0] else None))
moving(2518, _truths(lambda state: state[1] > 0 if state[0] else None))
