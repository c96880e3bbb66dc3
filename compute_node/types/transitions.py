"""Transition and final functions of built-in aggregates whose states are SQL values, for aggregates that users make of
them (manual, 38.12)."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from aurora.datum import Datum
from aurora.errors import InternalError, NumericValueOutOfRange
from compute_node.types.declare import fn, fns
from compute_node.types.floating import root
from compute_node.types.integer import HIGH, LOW
from compute_node.types.numeric import EXACT, divide


def _bigint(value: int) -> int:
    if not LOW[8] <= value <= HIGH[8]:
        raise NumericValueOutOfRange("bigint out of range")
    return value


def _integer(value: int) -> int:
    if not LOW[4] <= value <= HIGH[4]:
        raise NumericValueOutOfRange("integer out of range")
    return value


# counts and sums

fn(1219, "int8inc(int8) int8", lambda count: _bigint(count + 1))
fn(766, "int4inc(int4) int4", lambda count: _integer(count + 1))
fn(2805, "int8inc_float8_float8(int8, float8, float8) int8", lambda count, *_: _bigint(count + 1))
fn(2804, "int8inc_any(int8, any) int8", lambda count, _: _bigint(count + 1))
fn(3546, "int8dec(int8) int8", lambda count: _bigint(count - 1))
fn(3547, "int8dec_any(int8, any) int8", lambda count, _: _bigint(count - 1))


def _sum(state: int | None, value: int | None) -> int | None:
    """The first value that is not NULL begins the sum."""
    if value is None:
        return state
    return value if state is None else (state + value + 2**63) % 2**64 - 2**63  # PostgreSQL lets it wrap


fns(
    """
1840 int2_sum(int8, int2) int8 nullable
1841 int4_sum(int8, int4) int8 nullable
""",
    _sum,
)


def _sum_of_bigints(state: Decimal | None, value: int | None) -> Decimal | None:
    if value is None:
        return state
    return Decimal(value) if state is None else EXACT.add(state, Decimal(value))


fn(1842, "int8_sum(numeric, int8) numeric nullable", _sum_of_bigints)
fn(2515, "booland_statefunc(bool, bool) bool", lambda state, value: state and value)
fn(2516, "boolor_statefunc(bool, bool) bool", lambda state, value: state or value)


# averages of integers: {count, sum}


def _pair(state: list[Datum]) -> list[Datum]:
    if len(state) != 2 or None in state:
        raise InternalError("expected 2-element int8 array")
    return state


def _accumulate(state: list[int], value: int) -> list[int]:
    count, total = _pair(state)
    return [count + 1, _bigint(total + value)]


def _take_away(state: list[int], value: int) -> list[int]:
    """A row leaves a moving window."""
    count, total = _pair(state)
    return [count - 1, _bigint(total - value)]


def _combine_pairs(one: list[int], other: list[int]) -> list[int]:
    return [_bigint(a + b) for a, b in zip(_pair(one), _pair(other), strict=True)]


def _average(state: list[int]) -> Decimal | None:
    count, total = _pair(state)
    return divide(Decimal(total), Decimal(count)) if count else None


fns(
    """
1962 int2_avg_accum(int8[], int2) int8[]
1963 int4_avg_accum(int8[], int4) int8[]
""",
    _accumulate,
)
fns(
    """
3570 int2_avg_accum_inv(int8[], int2) int8[]
3571 int4_avg_accum_inv(int8[], int4) int8[]
""",
    _take_away,
)
fn(3572, "int2int4_sum(int8[]) int8", lambda state: _pair(state)[1] if _pair(state)[0] else None)
fn(3324, "int4_avg_combine(int8[], int8[]) int8[]", _combine_pairs)
fn(1964, "int8_avg(int8[]) numeric", _average)


# statistics of floats: {count, sum, sum of squared distances from the mean}


def _triple(state: list[Datum], name: str) -> list[float]:
    if len(state) != 3 or None in state:
        raise InternalError(f"{name}: expected 3-element float8 array")
    return state


def _youngs_cramer(state: list[float], value: float) -> list[float]:
    count, total, squares = _triple(state, "float8_accum")
    count, before, total = count + 1, count, total + value
    if before > 0:
        distance = value * count - total
        squares += distance * distance / (count * before)
        if math.isinf(total) or math.isinf(squares):
            if not math.isinf(state[1]) and not math.isinf(value):
                raise NumericValueOutOfRange("value out of range: overflow")
            squares = math.nan
    elif math.isinf(value) or math.isnan(value):
        squares = math.nan
    return [count, total, squares]


def _combine_triples(one: list[float], other: list[float]) -> list[float]:
    n1, s1, q1 = _triple(one, "float8_combine")
    n2, s2, q2 = _triple(other, "float8_combine")
    if not n1:
        return other
    if not n2:
        return one
    distance = s1 / n1 - s2 / n2
    return [n1 + n2, s1 + s2, q1 + q2 + n1 * n2 * distance * distance / (n1 + n2)]


fns(
    """
208 float4_accum(float8[], float4) float8[]
222 float8_accum(float8[], float8) float8[]
""",
    _youngs_cramer,
)
fn(276, "float8_combine(float8[], float8[]) float8[]", _combine_triples)


def _float_average(state: list[float]) -> float | None:
    count, total, _ = _triple(state, "float8_avg")
    return total / count if count else None


def _variance(name: str, less: int, is_root: bool) -> Callable[[list[float]], float | None]:
    def final(state: list[float]) -> float | None:
        count, _, squares = _triple(state, name)
        if count <= 1 if less else not count:
            return None
        value = squares / (count - less)
        return root(value) if is_root else value

    return final


fn(1830, "float8_avg(float8[]) float8", _float_average)
fn(2512, "float8_var_pop(float8[]) float8", _variance("float8_var_pop", 0, False))
fn(1831, "float8_var_samp(float8[]) float8", _variance("float8_var_samp", 1, False))
fn(2513, "float8_stddev_pop(float8[]) float8", _variance("float8_stddev_pop", 0, True))
fn(1832, "float8_stddev_samp(float8[]) float8", _variance("float8_stddev_samp", 1, True))
