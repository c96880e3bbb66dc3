"""Aggregates: count, sum, avg, min, max, boolean and bit aggregates, statistics (manual, 9.21).

States are Python values; ``initial`` gives the state of no rows, and ``final`` of it is what PostgreSQL gives for no rows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aurora.errors import NumericValueOutOfRange
from compute_node.types import numeric
from compute_node.types.declare import agg, aggs
from compute_node.types.floating import float_order, to_single
from compute_node.types.integer import HIGH, LOW, overflow
from compute_node.types.numeric import numeric_order
from compute_node.types.text import without_padding

Value = Any


def _nothing() -> None:
    return None


def _same(state: Value) -> Value:
    return state


# count

agg(
    2803,
    "count() int8",
    int,
    lambda state: state + 1,
    _same,
    strict=False,
    batch=lambda state, column: state + len(column),
    transition_type=20,
)
agg(
    2147,
    "count(any) int8",
    int,
    lambda state, value: state + 1,
    _same,
    batch=lambda state, column: state + len(column),
    transition_type=20,
)

# sum: None until the first value


def _sum_step(state: Value, value: Value) -> Value:
    return value if state is None else state + value


def _sum_batch(state: Value, column: list[Value]) -> Value:
    return state if not column else sum(column, state or 0)


def _int8_result(state: int | None) -> int | None:
    if state is None or LOW[8] <= state <= HIGH[8]:
        return state
    overflow(8)


aggs(
    """
2109 sum(int2) int8
2108 sum(int4) int8
""",
    _nothing,
    _sum_step,
    _int8_result,
    batch=_sum_batch,
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


agg(2110, "sum(float4) float4", _nothing, _float_add(True), _same, transition_type=700)
agg(2111, "sum(float8) float8", _nothing, _float_add(False), _same, transition_type=701)

# avg: (count, sum)


def _zero_pair() -> tuple[int, Value]:
    return (0, 0)


def _pair_step(state: tuple[int, Value], value: Value) -> tuple[int, Value]:
    return (state[0] + 1, state[1] + value)


def _pair_batch(state: tuple[int, Value], column: list[Value]) -> tuple[int, Value]:
    return (state[0] + len(column), sum(column, state[1]))


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
)
aggs(
    """
2104 avg(float4) float8
2105 avg(float8) float8
""",
    lambda: (0, 0.0),
    _pair_step,
    lambda state: state[1] / state[0] if state[0] else None,
    batch=_pair_batch,
    transition_type=1022,
)

# min and max


def _extreme(choose: Callable[..., Value], key: Callable[[Value], Value] | None, block: str) -> None:
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
_extreme(max, float_order, "2119 max(float4) float4\n2120 max(float8) float8")
_extreme(min, float_order, "2135 min(float4) float4\n2136 min(float8) float8")
_extreme(max, numeric_order, "2130 max(numeric) numeric")
_extreme(min, numeric_order, "2146 min(numeric) numeric")
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
    "2236 bit_and(int2) int2\n2238 bit_and(int4) int4\n2240 bit_and(int8) int8",
    _nothing,
    _fold(operator.and_),
    _same,
    transition_type=20,
)
aggs(
    "2237 bit_or(int2) int2\n2239 bit_or(int4) int4\n2241 bit_or(int8) int8",
    _nothing,
    _fold(operator.or_),
    _same,
    transition_type=20,
)
aggs(
    "6164 bit_xor(int2) int2\n6165 bit_xor(int4) int4\n6166 bit_xor(int8) int8",
    _nothing,
    _fold(operator.xor),
    _same,
    transition_type=20,
)
