"""How far two values are from each other: the functions behind ``<->``, whose results have the operands' kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Final

import numpy as np

from aurora.datum import Datum
from aurora.errors import NumericValueOutOfRange
from aurora.kernels import moments
from aurora.kernels.python.moments import Interval
from compute_node.extensions.library import define
from compute_node.types.datetime_ import is_infinite
from compute_node.types.interval import checked_interval, interval_span

_FARTHEST: Final = Interval(2**31 - 1, 2**31 - 1, 2**63 - 1)
"""From or to an infinite moment"""


def _whole(bits: int, name: str, one: int, other: int) -> int:
    found = abs(one - other)
    if found >= 1 << bits - 1:
        raise NumericValueOutOfRange(f"{name} out of range")
    return found


def _float(narrow: bool, one: float, other: float) -> float:
    found = abs(one - other)
    if narrow:
        with np.errstate(over="ignore"):
            found = float(np.float32(found))
    if found == float("inf") and isfinite(one) and isfinite(other):
        raise NumericValueOutOfRange("value out of range: overflow")
    return found


def _dates(one: int, other: int) -> int:
    return abs(moments.days_between(one, other))


def _moments(one: int, other: int) -> Interval:
    if is_infinite(one) or is_infinite(other):
        return _FARTHEST
    return _without_sign(moments.difference(one, other))


def _intervals(one: Interval, other: Interval) -> Interval:
    return _without_sign(checked_interval(one.months - other.months, one.days - other.days, one.us - other.us))


def _without_sign(value: Interval) -> Interval:
    return checked_interval(-value.months, -value.days, -value.us) if interval_span(value) < 0 else value


def declare() -> None:
    """Make the functions known."""
    for symbol, bits, name in (
        ("int2_dist", 16, "smallint"), ("int4_dist", 32, "integer"), ("int8_dist", 64, "bigint"),
        ("cash_dist", 64, "money"),
    ):  # fmt: skip
        define(symbol, 2, partial(_whole, bits, name))
    others: tuple[tuple[str, Callable[..., Datum]], ...] = (
        ("oid_dist", lambda one, other: abs(one - other)),
        ("float4_dist", partial(_float, True)),
        ("float8_dist", partial(_float, False)),
        ("date_dist", _dates),
        ("time_dist", lambda one, other: Interval(0, 0, abs(one - other))),
        ("ts_dist", _moments),
        ("tstz_dist", _moments),
        ("interval_dist", _intervals),
    )
    for symbol, function in others:
        define(symbol, 2, function)
