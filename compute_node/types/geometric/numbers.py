"""Arithmetic of float8 with errors for overflow and underflow, and fuzzy comparison: a difference of 1e-6 is none."""

from __future__ import annotations

import math
from typing import Final

from aurora.errors import NumericValueOutOfRange
from compute_node.types.common import division_by_zero

EPSILON: Final = 1.0e-06
INFINITY: Final = math.inf
NAN: Final = math.nan


def _checked(result: float, zero_ok: bool, *arguments: float) -> float:
    if math.isinf(result) and not any(map(math.isinf, arguments)):
        raise NumericValueOutOfRange("value out of range: overflow")
    if result == 0.0 and not zero_ok:
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


def add(a: float, b: float) -> float:
    """a + b; 22003."""
    return _checked(a + b, True, a, b)


def sub(a: float, b: float) -> float:
    """a - b; 22003."""
    return _checked(a - b, True, a, b)


def mul(a: float, b: float) -> float:
    """a * b; 22003."""
    return _checked(a * b, a == 0.0 or b == 0.0, a, b)


def div(a: float, b: float) -> float:
    """a / b; 22012, 22003."""
    if b == 0.0:
        if a != a:
            return NAN
        raise division_by_zero()
    return _checked(a / b, a == 0.0 or math.isinf(b), a)


def hypot(x: float, y: float) -> float:
    """The length of (x, y), computed as PostgreSQL does; 22003."""
    if math.isinf(x) or math.isinf(y):
        return INFINITY
    if x != x or y != y:
        return NAN
    x, y = abs(x), abs(y)
    if x < y:
        x, y = y, x
    if y == 0.0:
        return x
    ratio = y / x
    return _checked(x * math.sqrt(1.0 + ratio * ratio), False)


def less(a: float, b: float) -> bool:
    """a < b in the order of float8, where NaN is the greatest."""
    return a == a and (b != b or a < b)


def same(a: float, b: float) -> bool:
    """a = b in the order of float8."""
    return a == b or (a != a and b != b)


def least(a: float, b: float) -> float:
    """The smaller one."""
    return a if less(a, b) else b


def greatest(a: float, b: float) -> float:
    """The greater one."""
    return a if less(b, a) else b


def is_zero(a: float) -> bool:
    """Nearly 0."""
    return abs(a) <= EPSILON


def eq(a: float, b: float) -> bool:
    """Nearly equal."""
    return a == b or abs(a - b) <= EPSILON


def ne(a: float, b: float) -> bool:
    """Clearly another."""
    return a != b and abs(a - b) > EPSILON


def lt(a: float, b: float) -> bool:
    """Clearly smaller."""
    return a + EPSILON < b


def le(a: float, b: float) -> bool:
    """Not clearly greater."""
    return a <= b + EPSILON


def gt(a: float, b: float) -> bool:
    """Clearly greater."""
    return a > b + EPSILON


def ge(a: float, b: float) -> bool:
    """Not clearly smaller."""
    return a + EPSILON >= b
