"""Transition and final functions of sum and avg over intervals, for aggregates that users make of them; and the larger
and smaller of two times with time zone. The state is {sum, count}; the count is the second interval's microseconds."""

from __future__ import annotations

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.types.declare import fn
from compute_node.types.interval import Interval, timetz_order
from compute_node.types.registry import REGISTRY

State = list[Interval]
_plus, _minus, _divide = (REGISTRY.functions[oid].implementation for oid in (1169, 1170, 1326))


def _pair(state: list[Datum]) -> State:
    if len(state) != 2 or None in state:
        raise InternalError("expected 2-element interval array")
    return state


def _accumulate(state: State, value: Interval) -> State:
    total, count = _pair(state)
    return [_plus(total, value), count._replace(us=count.us + 1)]


def _take_away(state: State, value: Interval) -> State:
    total, count = _pair(state)
    return [_minus(total, value), count._replace(us=count.us - 1)]


def _combine(one: State, other: State) -> State:
    (total, count), (more, others) = _pair(one), _pair(other)
    return [_plus(total, more), count._replace(us=count.us + others.us)]


def _average(state: State) -> Interval | None:
    total, count = _pair(state)
    return _divide(total, float(count.us)) if count.us else None


fn(1843, "interval_accum(interval[], interval) interval[]", _accumulate)
fn(3549, "interval_accum_inv(interval[], interval) interval[]", _take_away)
fn(3325, "interval_combine(interval[], interval[]) interval[]", _combine)
fn(1844, "interval_avg(interval[]) interval", _average)
fn(1379, "timetz_larger(timetz, timetz) timetz", lambda a, b: max(a, b, key=timetz_order))
fn(1380, "timetz_smaller(timetz, timetz) timetz", lambda a, b: min(a, b, key=timetz_order))
