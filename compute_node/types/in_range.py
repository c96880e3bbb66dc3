"""in_range: what RANGE frames with offsets compare with (manual, 38.16.3).

``in_range(value, base, offset, sub, less)``: whether the value is at most (``less``) or at least base plus offset, or
base minus offset (``sub``). 22013 for a negative offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from aurora.datum import Datum
from aurora.errors import InvalidPrecedingOrFollowingSize, SqlError
from compute_node.types.datetime_ import date_to_timestamp
from compute_node.types.datetime_functions import add_interval, add_interval_zoned, negate
from compute_node.types.declare import fn
from compute_node.types.interval import Interval, TimeTz, checked_interval, interval_span, timetz_order
from compute_node.types.numeric import add, subtract
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, FunctionContext

Value: TypeAlias = Datum
Moved = Callable[[Interval], int]
"""a moment of time plus an interval"""


def _refuse() -> SqlError:
    return InvalidPrecedingOrFollowingSize("invalid preceding or following size in window function")


def _integer(value: int, base: int, offset: int, sub: bool, less: bool) -> bool:
    if offset < 0:
        raise _refuse()
    bound = base - offset if sub else base + offset
    return value <= bound if less else value >= bound


def _number(
    is_nan: Callable[[Value], bool], is_infinite: Callable[[Value], bool], plus: Callable[..., Value],
    minus: Callable[..., Value],
) -> Callable[..., bool]:  # fmt: skip
    """NaN is above all others; an infinite offset from the other infinity is in range of everything."""

    def in_range(value: Value, base: Value, offset: Value, sub: bool, less: bool) -> bool:
        if is_nan(offset) or offset < 0:
            raise _refuse()
        if is_nan(value):
            return True if is_nan(base) else not less
        if is_nan(base):
            return less
        if is_infinite(offset) and is_infinite(base) and (base > 0) == sub:
            return True
        bound = minus(base, offset) if sub else plus(base, offset)
        return bool(value <= bound if less else value >= bound)

    return in_range


_float = _number(math.isnan, math.isinf, lambda a, b: a + b, lambda a, b: a - b)
_numeric = _number(Decimal.is_nan, Decimal.is_infinite, add, subtract)


def _moment(moved: Moved, value: int, span: Interval, sub: bool, less: bool) -> bool:
    if interval_span(span) < 0:
        raise _refuse()
    bound = moved(negate(span) if sub else span)
    return value <= bound if less else value >= bound


def _timestamp(value: int, base: int, span: Interval, sub: bool, less: bool) -> bool:
    return _moment(lambda each: add_interval(base, each), value, span, sub, less)


def _timestamptz(context: FunctionContext, value: int, base: int, span: Interval, sub: bool, less: bool) -> bool:
    return _moment(lambda each: add_interval_zoned(base, each, context.env), value, span, sub, less)


def _date(value: int, base: int, span: Interval, sub: bool, less: bool) -> bool:
    return _timestamp(date_to_timestamp(value), date_to_timestamp(base), span, sub, less)


def _time(value: int, base: int, span: Interval, sub: bool, less: bool) -> bool:
    """Times do not wrap around here."""
    return _integer(value, base, span.us, sub, less)


def _timetz(value: TimeTz, base: TimeTz, span: Interval, sub: bool, less: bool) -> bool:
    if span.us < 0:
        raise _refuse()
    bound = timetz_order(TimeTz(base.us - span.us if sub else base.us + span.us, base.west_seconds))
    return timetz_order(value) <= bound if less else timetz_order(value) >= bound


def _interval(value: Interval, base: Interval, span: Interval, sub: bool, less: bool) -> bool:
    if interval_span(span) < 0:
        raise _refuse()
    moved = negate(span) if sub else span
    bound = checked_interval(base.months + moved.months, base.days + moved.days, base.us + moved.us)
    here, there = interval_span(value), interval_span(bound)
    return here <= there if less else here >= there


_INTEGERS = ((4126, "int8", "int8"), (4127, "int4", "int8"), (4128, "int4", "int4"), (4129, "int4", "int2"),
             (4130, "int2", "int8"), (4131, "int2", "int4"), (4132, "int2", "int2"))  # fmt: skip
for _oid, _type, _offset in _INTEGERS:
    fn(_oid, f"in_range({_type}, {_type}, {_offset}, bool, bool) bool", _integer)
fn(4133, "in_range(date, date, interval, bool, bool) bool", _date)
fn(4134, "in_range(timestamp, timestamp, interval, bool, bool) bool", _timestamp)
fn(
    4135, "in_range(timestamptz, timestamptz, interval, bool, bool) bool stable", _timestamptz, needs_context=True
)  # fmt: skip
fn(4136, "in_range(interval, interval, interval, bool, bool) bool", _interval)
fn(4137, "in_range(time, time, interval, bool, bool) bool", _time)
fn(4138, "in_range(timetz, timetz, interval, bool, bool) bool", _timetz)
fn(4139, "in_range(float8, float8, float8, bool, bool) bool", _float)
fn(4140, "in_range(float4, float4, float8, bool, bool) bool", _float)
fn(4141, "in_range(numeric, numeric, numeric, bool, bool) bool", _numeric)

_FAMILIES = {
    "date": 434, "timestamp": 434, "timestamptz": 434, "float8": 1970, "float4": 1970, "int2": 1976, "int4": 1976,
    "int8": 1976, "interval": 1982, "numeric": 1988, "time": 1996, "timetz": 2000,
}  # fmt: skip


def _table() -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
    found: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
    families = {TYPE_OIDS[name]: family for name, family in _FAMILIES.items()}
    for function in REGISTRY.functions_by_name["in_range"]:
        column, offset = function.arguments[0], function.arguments[2]
        key = families[column], column
        found[key] = (*found.get(key, ()), (offset, function.oid))
    return found


IN_RANGE = _table()
"""(operator family, column type) → the (offset type, function) pairs that RANGE may use"""
