"""Aggregates: count, sum, avg, min, max, boolean and bit aggregates, statistics (manual, 9.21).

States are Python values; ``initial`` gives the state of no rows, and ``final`` of it is what PostgreSQL gives for no
rows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any, TypeAlias

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError, NullValueNotAllowed, NumericValueOutOfRange
from compute_node.types import numeric
from compute_node.types.array_value import bounded, dimensions, lower_bounds
from compute_node.types.datetime_functions import divide as divide_interval
from compute_node.types.declare import agg, aggs
from compute_node.types.floating import float_order, over, to_single
from compute_node.types.integer import HIGH, LOW, overflow
from compute_node.types.interval import Interval, checked_interval, interval_span, timetz_order
from compute_node.types.long_text import joined, joined_bytes
from compute_node.types.numeric import EXACT, numeric_order
from compute_node.types.numeric_functions import square_root
from compute_node.types.registry import Aggregate, PgType
from compute_node.types.text import without_padding

Value: TypeAlias = Datum


def _nothing() -> None:
    return None


def _same(state: Value) -> Value:
    return state


def _running_count(state: Value, column: list[Value]) -> list[Value]:
    return list(range(state + 1, state + 1 + len(column)))


# count

agg(
    2803,
    "count() int8",
    int,
    lambda state: state + 1,
    _same,
    strict=False,
    batch=lambda state, column: state + len(column),
    running=_running_count,
    transition_type=20,
)
agg(
    2147,
    "count(any) int8",
    int,
    lambda state, value: state + 1,
    _same,
    batch=lambda state, column: state + len(column),
    running=_running_count,
    transition_type=20,
)

# sum: None until the first value


def _sum_step(state: Value, value: Value) -> Value:
    return value if state is None else state + value


def _sum_batch(state: Value, column: list[Value]) -> Value:
    return state if not column else sum(column, state or 0)


def _running_sum(state: Value, column: list[Value]) -> list[Value]:
    """Sums of integers as they grow; 22003 where one is no bigint."""
    sums = list(accumulate(column, initial=state or 0))[1:]
    if max(sums) > HIGH[8] or min(sums) < LOW[8]:
        overflow(8)
    return sums


def _numeric_sum_batch(state: Decimal | None, column: list[Decimal]) -> Decimal | None:
    if not column:
        return state
    return numeric.add_all(column[0], column[1:]) if state is None else numeric.add_all(state, column)


def _int8_result(state: int | None) -> int | None:
    if state is None or LOW[8] <= state <= HIGH[8]:
        return state
    return overflow(8)


aggs(
    """
2109 sum(int2) int8
2108 sum(int4) int8
""",
    _nothing,
    _sum_step,
    _int8_result,
    batch=_sum_batch,
    running=_running_sum,
    transition_type=20,
)
agg(
    2107,
    "sum(int8) numeric",
    _nothing,
    _sum_step,
    lambda state: None if state is None else Decimal(state),
    batch=_sum_batch,
)
agg(
    2114,
    "sum(numeric) numeric",
    _nothing,
    lambda state, value: value if state is None else numeric.add(state, value),
    _same,
    batch=_numeric_sum_batch,
)


def _float_add(single: bool) -> Callable[[float | None, float], float]:
    def step(state: float | None, value: float) -> float:
        if state is None:
            return value
        result = state + value
        if single and math.isfinite(result):
            result = to_single(result)
        if math.isinf(result) and not math.isinf(state) and not math.isinf(value):
            raise NumericValueOutOfRange("value out of range: overflow")
        return result

    return step


_add_float8 = _float_add(False)
agg(2110, "sum(float4) float4", _nothing, _float_add(True), _same, transition_type=700)
agg(2111, "sum(float8) float8", _nothing, _float_add(False), _same, transition_type=701)

# avg: (count, sum)


def _zero_pair() -> tuple[int, Value]:
    return (0, 0)


def _pair_step(state: tuple[int, Value], value: Value) -> tuple[int, Value]:
    return (state[0] + 1, state[1] + value)


def _pair_batch(state: tuple[int, Value], column: list[Value]) -> tuple[int, Value]:
    return (state[0] + len(column), sum(column, state[1]))


def _float_moments_step(state: tuple[float, float, float], value: float) -> tuple[float, float, float]:
    count, total, spread = state[0] + 1.0, state[1] + value, state[2]
    if state[0] > 0:
        rest = value * count - total
        spread += rest * rest / (count * state[0])
        if math.isinf(total) or math.isinf(spread):
            if not math.isinf(state[1]) and not math.isinf(value):
                raise NumericValueOutOfRange("value out of range: overflow")
            spread = math.nan
    elif not math.isfinite(value):
        spread = math.nan
    return count, total, spread


def _integer_average(state: tuple[int, int]) -> Decimal | None:
    return numeric.divide(Decimal(state[1]), Decimal(state[0])) if state[0] else None


aggs(
    """
2102 avg(int2) numeric
2101 avg(int4) numeric
2100 avg(int8) numeric
""",
    _zero_pair,
    _pair_step,
    _integer_average,
    batch=_pair_batch,
)
agg(
    2103,
    "avg(numeric) numeric",
    lambda: (0, Decimal(0)),
    lambda state, value: (state[0] + 1, numeric.add(state[1], value)),
    lambda state: numeric.divide(state[1], Decimal(state[0])) if state[0] else None,
    batch=lambda state, column: (state[0] + len(column), numeric.add_all(state[1], column)),
)
aggs(
    """
2104 avg(float4) float8
2105 avg(float8) float8
""",
    lambda: (0.0, 0.0, 0.0),
    _float_moments_step,  # whose overflow counts here too
    lambda state: state[1] / state[0] if state[0] else None,
    transition_type=1022,
)

# min and max


def _last_of_equals(choose: Callable[..., Value], key: Callable[[Value], Value], block: str) -> None:
    """Equal values may look different, 1.0 and 1.00 say: the last one stays."""
    aggs(
        block,
        _nothing,
        lambda state, value: value if state is None else choose(value, state, key=key),
        _same,
        batch=lambda state, column: (
            choose(reversed([*column] if state is None else [state, *column]), key=key) if column else state
        ),
    )


def _extreme(choose: Callable[..., Value], key: Callable[[Value], Value] | None, block: str) -> None:
    """The first of equals stays."""
    if key is None:
        aggs(
            block,
            _nothing,
            lambda state, value: value if state is None else choose(state, value),
            _same,
            batch=lambda state, column: (
                (choose(column) if state is None else choose(choose(column), state)) if column else state
            ),
        )
    else:
        aggs(
            block,
            _nothing,
            lambda state, value: value if state is None else choose(state, value, key=key),
            _same,
            batch=lambda state, column: (
                choose([*column] if state is None else [state, *column], key=key) if column else state
            ),
        )


_extreme(
    max,
    None,
    """
2117 max(int2) int2
2116 max(int4) int4
2115 max(int8) int8
2118 max(oid) oid
2129 max(text) text
2122 max(date) date
2126 max(timestamp) timestamp
2127 max(timestamptz) timestamptz
2123 max(time) time
2797 max(tid) tid
4189 max(pg_lsn) pg_lsn
5099 max(xid8) xid8
""",
)
_extreme(
    min,
    None,
    """
2133 min(int2) int2
2132 min(int4) int4
2131 min(int8) int8
2134 min(oid) oid
2145 min(text) text
2138 min(date) date
2142 min(timestamp) timestamp
2143 min(timestamptz) timestamptz
2139 min(time) time
2798 min(tid) tid
4190 min(pg_lsn) pg_lsn
5100 min(xid8) xid8
""",
)
_last_of_equals(
    max,
    float_order,
    """
2119 max(float4) float4
2120 max(float8) float8
""",
)
_last_of_equals(
    min,
    float_order,
    """
2135 min(float4) float4
2136 min(float8) float8
""",
)
_last_of_equals(max, numeric_order, "2130 max(numeric) numeric")
_last_of_equals(min, numeric_order, "2146 min(numeric) numeric")
_extreme(max, without_padding, "2244 max(bpchar) bpchar")
_extreme(min, without_padding, "2245 min(bpchar) bpchar")

# booleans and bits

aggs(
    """
2517 bool_and(bool) bool
2519 every(bool) bool
""",
    _nothing,
    lambda state, value: value if state is None else state and value,
    _same,
    transition_type=16,
)
agg(
    2518,
    "bool_or(bool) bool",
    _nothing,
    lambda state, value: value if state is None else state or value,
    _same,
    transition_type=16,
)


def _fold(operation: Callable[[int, int], int]) -> Callable[[int | None, int], int]:
    return lambda state, value: value if state is None else operation(state, value)


aggs(
    """
2236 bit_and(int2) int2
2238 bit_and(int4) int4
2240 bit_and(int8) int8
""",
    _nothing,
    _fold(operator.and_),
    _same,
    transition_type=20,
)
aggs(
    """
2237 bit_or(int2) int2
2239 bit_or(int4) int4
2241 bit_or(int8) int8
""",
    _nothing,
    _fold(operator.or_),
    _same,
    transition_type=20,
)
aggs(
    """
6164 bit_xor(int2) int2
6165 bit_xor(int4) int4
6166 bit_xor(int8) int8
""",
    _nothing,
    _fold(operator.xor),
    _same,
    transition_type=20,
)

# statistics: (count, sum, sum of squares) exactly for integers and numeric, Youngs-Cramer for floats


def _moments_step(state: tuple[int, Value, Value], value: Value) -> tuple[int, Value, Value]:
    return (state[0] + 1, state[1] + value, state[2] + value * value)


def _numeric_moments_step(state: tuple[int, Decimal, Decimal], value: Decimal) -> tuple[int, Decimal, Decimal]:
    # Squares may have twice the digits that the format allows.
    return (state[0] + 1, numeric.add(state[1], value), EXACT.fma(value, value, state[2]))


def deviation(sample: bool, root: bool) -> Callable[[tuple[int, Value, Value]], Decimal | None]:
    """Final function: variance or standard deviation of a sample (n - 1) or a population (n)."""

    def final(state: tuple[int, Value, Value]) -> Decimal | None:
        count, total, squares = state[0], Decimal(state[1]), Decimal(state[2])
        if count < (2 if sample else 1):
            return None
        if not total.is_finite() or not squares.is_finite():
            return numeric.NAN
        top = EXACT.subtract(EXACT.multiply(Decimal(count), squares), EXACT.multiply(total, total))
        bottom = Decimal(count * (count - 1) if sample else count * count)
        if top <= 0:
            return Decimal(0)
        scale = numeric.division_scale(top, bottom)
        spread = numeric.quotient(top, bottom, scale)
        return square_root(spread, scale) if root else spread

    return final


def _float_deviation(sample: bool, root: bool) -> Callable[[tuple[float, float, float]], float | None]:
    def final(state: tuple[float, float, float]) -> float | None:
        count, _total, spread = state
        if count < (2.0 if sample else 1.0):
            return None
        variance = spread / (count - 1.0 if sample else count)
        return math.sqrt(variance) if root else variance

    return final


for _sample, _root, _integers, _numerics, _floats in (
    (
        True,
        False,
        """
2643 var_samp(int2) numeric
2642 var_samp(int4) numeric
2641 var_samp(int8) numeric
2150 variance(int2) numeric
2149 variance(int4) numeric
2148 variance(int8) numeric
""",
        """
2646 var_samp(numeric) numeric
2153 variance(numeric) numeric
""",
        """
2644 var_samp(float4) float8
2645 var_samp(float8) float8
2151 variance(float4) float8
2152 variance(float8) float8
""",
    ),
    (
        False,
        False,
        """
2720 var_pop(int2) numeric
2719 var_pop(int4) numeric
2718 var_pop(int8) numeric
""",
        "2723 var_pop(numeric) numeric",
        """
2721 var_pop(float4) float8
2722 var_pop(float8) float8
""",
    ),
    (
        True,
        True,
        """
2714 stddev_samp(int2) numeric
2713 stddev_samp(int4) numeric
2712 stddev_samp(int8) numeric
2156 stddev(int2) numeric
2155 stddev(int4) numeric
2154 stddev(int8) numeric
""",
        """
2717 stddev_samp(numeric) numeric
2159 stddev(numeric) numeric
""",
        """
2715 stddev_samp(float4) float8
2716 stddev_samp(float8) float8
2157 stddev(float4) float8
2158 stddev(float8) float8
""",
    ),
    (
        False,
        True,
        """
2726 stddev_pop(int2) numeric
2725 stddev_pop(int4) numeric
2724 stddev_pop(int8) numeric
""",
        "2729 stddev_pop(numeric) numeric",
        """
2727 stddev_pop(float4) float8
2728 stddev_pop(float8) float8
""",
    ),
):
    aggs(_integers, lambda: (0, 0, 0), _moments_step, deviation(_sample, _root))
    aggs(_numerics, lambda: (0, Decimal(0), Decimal(0)), _numeric_moments_step, deviation(_sample, _root))
    aggs(_floats, lambda: (0.0, 0.0, 0.0), _float_moments_step, _float_deviation(_sample, _root), transition_type=1022)

# intervals, dates of other kinds, arrays

_last_of_equals(max, interval_span, "2128 max(interval) interval")
_last_of_equals(min, interval_span, "2144 min(interval) interval")
_extreme(max, timetz_order, "2124 max(timetz) timetz")
_extreme(min, timetz_order, "2140 min(timetz) timetz")


def _interval_sum(state: Interval | None, value: Interval) -> Interval:
    return (
        value
        if state is None
        else checked_interval(state.months + value.months, state.days + value.days, state.us + value.us)
    )


agg(2113, "sum(interval) interval", _nothing, _interval_sum, _same, transition_type=1186)
agg(
    2106,
    "avg(interval) interval",
    lambda: (0, Interval(0, 0, 0)),
    lambda state, value: (state[0] + 1, _interval_sum(state[1], value)),
    lambda state: divide_interval(state[1], float(state[0])) if state[0] else None,
)

# collecting


def _append(state: list[Value], value: Value) -> list[Value]:
    state.append(value)
    return state


def _array_concat(state: list[Value], value: Value) -> list[Value]:
    if value is None:
        raise NullValueNotAllowed("cannot accumulate null arrays")
    if not value and not state:
        raise ArraySubscriptError("cannot accumulate empty arrays")
    if state and (dimensions(state[0]), lower_bounds(state[0])) != (dimensions(value), lower_bounds(value)):
        raise ArraySubscriptError("cannot accumulate arrays of different dimensionality")
    return _append(state, value)


def _array_of(state: list[Value]) -> Value:
    return bounded([list(each) for each in state], (1, *lower_bounds(state[0]))) if state else None


def _string_step(state: list[Value] | None, value: Value, separator: Value) -> list[Value] | None:
    """The first separator is not used; a NULL separator is empty."""
    if value is None:
        return state
    if state is None:
        return [value]
    if separator is not None:
        state.append(separator)
    state.append(value)
    return state


def _ordered(oid: int, choose: Callable[..., Datum]) -> Callable[[tuple[PgType, ...]], Aggregate]:
    """max or min by the argument type's own order; the last of equals stays."""

    def specialize(types: tuple[PgType, ...]) -> Aggregate:
        key = types[0].sort_value

        def step(state: Any, value: Datum) -> Datum:
            return value if state is None else choose(value, state, key=key)

        return Aggregate(oid=oid, initial=lambda: None, step=step, final=lambda state: state)

    return specialize


for _oid, _name, _type, _choose in (
    (3526, "max", "anyenum", max),
    (3527, "min", "anyenum", min),
    (2050, "max", "anyarray", max),
    (2051, "min", "anyarray", min),
):
    agg(
        _oid,
        f"{_name}({_type}) {_type}",
        lambda: None,
        lambda state, value: value,
        lambda state: state,
        specialize=_ordered(_oid, _choose),
    )
agg(
    2335,
    "array_agg(anynonarray) anyarray",
    list,
    _append,
    lambda state: state or None,
    strict=False,
    batch=list.__iadd__,
)
agg(4053, "array_agg(anyarray) anyarray", list, _array_concat, _array_of, strict=False)
agg(
    3538,
    "string_agg(text, text) text",
    _nothing,
    _string_step,
    lambda state: None if state is None else joined(state),
    strict=False,
)
agg(
    3545,
    "string_agg(bytea, bytea) bytea",
    _nothing,
    _string_step,
    lambda state: None if state is None else joined_bytes(state),
    strict=False,
)

# two-argument regression aggregates over (count, Sx, Sxx, Sy, Syy, Sxy)

_Regression = tuple[float, float, float, float, float, float]


def _regression_step(state: _Regression, y: float, x: float) -> _Regression:
    count, sx, sxx, sy, syy, sxy = state
    after = count + 1.0
    sx, sy = sx + x, sy + y
    if count > 0:
        rest_x, rest_y, scale = x * after - sx, y * after - sy, 1.0 / (after * count)
        sxx, syy, sxy = sxx + rest_x * rest_x * scale, syy + rest_y * rest_y * scale, sxy + rest_x * rest_y * scale
        if any(map(math.isinf, (sx, sxx, sy, syy, sxy))):
            finite_x = not math.isinf(state[1]) and not math.isinf(x)
            finite_y = not math.isinf(state[3]) and not math.isinf(y)
            if (
                (finite_x and (math.isinf(sx) or math.isinf(sxx)))
                or (finite_y and (math.isinf(sy) or math.isinf(syy)))
                or (finite_x and finite_y and math.isinf(sxy))
            ):
                raise NumericValueOutOfRange("value out of range: overflow")
            sxx, syy, sxy = (math.nan if math.isinf(each) else each for each in (sxx, syy, sxy))
    else:
        if not math.isfinite(x):
            sxx = sxy = math.nan
        if not math.isfinite(y):
            syy = sxy = math.nan
    return after, sx, sxx, sy, syy, sxy


def _regression(result: Callable[..., float | None], at_least: float) -> Callable[[_Regression], float | None]:
    return lambda state: result(*state) if state[0] >= at_least else None


def _no_rows() -> _Regression:
    return (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


agg(2818, "regr_count(float8, float8) int8", int, lambda state, y, x: state + 1, _same, transition_type=20)
agg(
    2819,
    "regr_sxx(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sxx, 1.0),
)
agg(
    2820,
    "regr_syy(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: syy, 1.0),
)
agg(
    2821,
    "regr_sxy(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sxy, 1.0),
)
agg(
    2822,
    "regr_avgx(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sx / n, 1.0),
)
agg(
    2823,
    "regr_avgy(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sy / n, 1.0),
)
agg(
    2827,
    "covar_pop(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sxy / n, 1.0),
)
agg(
    2828,
    "covar_samp(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sxy / (n - 1.0), 2.0),
)
agg(
    2829,
    "corr(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: over(sxy, math.sqrt(sxx * syy)) if sxx and syy else None, 1.0),
)
agg(
    2825,
    "regr_slope(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: sxy / sxx if sxx else None, 1.0),
)
agg(
    2826,
    "regr_intercept(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: (sy - sx * sxy / sxx) / n if sxx else None, 1.0),
)
agg(
    2824,
    "regr_r2(float8, float8) float8",
    _no_rows,
    _regression_step,
    _regression(lambda n, sx, sxx, sy, syy, sxy: (over(sxy * sxy, sxx * syy) if syy else 1.0) if sxx else None, 1.0),
)
