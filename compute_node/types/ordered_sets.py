"""Ordered-set and hypothetical-set aggregates: percentiles, mode, and the rank that a row would have (manual, 9.21).

Their final functions get the group's rows in order, as tuples of the values that are sorted by, and the direct
arguments. 22003 for a percentile that is not between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import NumericValueOutOfRange
from compute_node.types.array_value import bounded, lower_bounds
from compute_node.types.datetime_functions import multiply, negate
from compute_node.types.declare import agg
from compute_node.types.interval import Interval, checked_interval
from compute_node.types.registry import REGISTRY, SetOrder

Value: TypeAlias = Datum
Rows = Sequence[Row]
SetFinal = Callable[[Rows, Row, SetOrder], Value]


def _checked(percentile: float) -> float:
    if math.isnan(percentile) or not 0 <= percentile <= 1:
        shown = "NaN" if math.isnan(percentile) else f"{percentile:g}"
        raise NumericValueOutOfRange(f"percentile value {shown} is not between 0 and 1")
    return percentile


def _disc(rows: Rows, percentile: float) -> Value:
    return rows[max(math.ceil(percentile * len(rows)) - 1, 0)][0]


def _between(lerp: Callable[[Value, Value, float], Value]) -> Callable[[Rows, float], Value]:
    def cont(rows: Rows, percentile: float) -> Value:
        place = percentile * (len(rows) - 1)
        low, high = math.floor(place), math.ceil(place)
        return rows[low][0] if low == high else lerp(rows[low][0], rows[high][0], place - low)

    return cont


def _lerp_interval(low: Interval, high: Interval, share: float) -> Interval:
    def plus(a: Interval, b: Interval) -> Interval:
        return checked_interval(a.months + b.months, a.days + b.days, a.us + b.us)

    return plus(low, multiply(plus(high, negate(low)), share))


_cont_float = _between(lambda low, high, share: low + share * (high - low))
_cont_interval = _between(_lerp_interval)


def _one(pick: Callable[[Rows, float], Value]) -> SetFinal:
    def final(rows: Rows, direct: Row, order: SetOrder) -> Value:
        if direct[0] is None:
            return None
        percentile = _checked(direct[0])
        return pick(rows, percentile) if rows else None

    return final


def _many(pick: Callable[[Rows, float], Value]) -> SetFinal:
    """An array of percentiles gives an array of the same shape."""

    def final(rows: Rows, direct: Row, order: SetOrder) -> Value:
        given = direct[0]
        if given is None or not rows:
            return None
        shaped = _shaped(given, lambda each: None if each is None else pick(rows, _checked(each)))
        return bounded(shaped, lower_bounds(given)) if shaped else []

    return final


def _shaped(given: list[Value], change: Callable[[Value], Value]) -> list[Value]:
    return [_shaped(each, change) if isinstance(each, list) else change(each) for each in given]


def _mode(rows: Rows, direct: Row, order: SetOrder) -> Value:
    """The most frequent value; of several the first in order."""
    best, count = None, 0
    for _, group in groupby(rows, order.key):
        members = list(group)
        if len(members) > count:
            best, count = members[0][0], len(members)
    return best


# hypothetical sets: the direct arguments are a row that comes before (cume_dist: behind) its equals


def _rank(rows: Rows, direct: Row, order: SetOrder) -> int:
    return order.before(rows, direct, with_equals=False) + 1


def _dense_rank(rows: Rows, direct: Row, order: SetOrder) -> int:
    before = order.before(rows, direct, with_equals=False)
    return sum(1 for _ in groupby(rows[:before], order.key)) + 1


def _percent_rank(rows: Rows, direct: Row, order: SetOrder) -> float:
    return order.before(rows, direct, with_equals=False) / len(rows) if rows else 0.0


def _cume_dist(rows: Rows, direct: Row, order: SetOrder) -> float:
    return (order.before(rows, direct, with_equals=True) + 1) / (len(rows) + 1)


FINALS: dict[str, SetFinal] = {
    "percentile_disc_final": _one(_disc),
    "percentile_cont_float8_final": _one(_cont_float),
    "percentile_cont_interval_final": _one(_cont_interval),
    "percentile_disc_multi_final": _many(_disc),
    "percentile_cont_float8_multi_final": _many(_cont_float),
    "percentile_cont_interval_multi_final": _many(_cont_interval),
    "mode_final": _mode,
    "rank_final": _rank,
    "percent_rank_final": _percent_rank,
    "cume_dist_final": _cume_dist,
    "dense_rank_final": _dense_rank,
}
"""By the names of the final functions, of which users make aggregates too"""


MODE = 3984
SET_TRANSITIONS = {3970: True, 3971: False}
"""The transition functions of ordered sets, and whether they leave out rows without a value"""


def _declare(block: str) -> None:
    for line in block.strip().splitlines():
        oid, kind, direct, signature, final = (part.strip() for part in line.split("|"))
        agg(int(oid), signature, list, _appended, _unordered, strict=kind == "o", ordered_set=True)
        REGISTRY.aggregates[int(oid)] = replace(
            REGISTRY.aggregates[int(oid)], set_final=FINALS[final], direct=int(direct), hypothetical=kind == "h"
        )


def _appended(state: list[Row], *values: Value) -> list[Row]:
    state.append(values)
    return state


def _unordered(state: list[Row]) -> Value:
    return state


_declare(
    """
3972|o|1|percentile_disc(float8, anyelement) anyelement|percentile_disc_final
3974|o|1|percentile_cont(float8, float8) float8|percentile_cont_float8_final
3976|o|1|percentile_cont(float8, interval) interval|percentile_cont_interval_final
3978|o|1|percentile_disc(float8[], anyelement) anyarray|percentile_disc_multi_final
3980|o|1|percentile_cont(float8[], float8) float8[]|percentile_cont_float8_multi_final
3982|o|1|percentile_cont(float8[], interval) interval[]|percentile_cont_interval_multi_final
3984|o|0|mode(anyelement) anyelement|mode_final
3986|h|1|rank(variadic any) int8|rank_final
3988|h|1|percent_rank(variadic any) float8|percent_rank_final
3990|h|1|cume_dist(variadic any) float8|cume_dist_final
3992|h|1|dense_rank(variadic any) int8|dense_rank_final
"""
)
