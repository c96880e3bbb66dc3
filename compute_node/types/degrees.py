"""Trigonometry in degrees, exact where the result is (sind(30) is 0.5), and inverse hyperbolic functions (manual, 9.3).

An argument is brought into the first quadrant; there each function is scaled so that the well-known angles are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from aurora.errors import NumericValueOutOfRange, SqlError
from compute_node.types.declare import fn

_RADIANS: Final = 0.0174532925199432957692
_SIN_30: Final = math.sin(30.0 * _RADIANS)
_VERSINE_60: Final = 1.0 - math.cos(60.0 * _RADIANS)
_ASIN_HALF: Final = math.asin(0.5)
_ACOS_HALF: Final = math.acos(0.5)
_ATAN_1: Final = math.atan(1.0)


def _out_of_range() -> SqlError:
    return NumericValueOutOfRange("input is out of range")


def _sin_low(x: float) -> float:
    """0…30 degrees."""
    return math.sin(x * _RADIANS) / _SIN_30 / 2.0


def _cos_low(x: float) -> float:
    """0…60 degrees."""
    return 1.0 - (1.0 - math.cos(x * _RADIANS)) / _VERSINE_60 / 2.0


def _sin(x: float) -> float:
    """0…90 degrees."""
    return _sin_low(x) if x <= 30.0 else _cos_low(90.0 - x)


def _cos(x: float) -> float:
    """0…90 degrees."""
    return _cos_low(x) if x <= 60.0 else _sin_low(90.0 - x)


def _ratio(a: float, b: float) -> float:
    """a / b, infinite for b = 0 with the sign of that zero."""
    return a / b if b else math.copysign(math.inf, b)


_TAN_45: Final = _sin(45.0) / _cos(45.0)
_COT_45: Final = _cos(45.0) / _sin(45.0)


def _folded(value: float, odd: bool, flip_right: bool) -> tuple[float, float]:
    """(angle in the first quadrant, sign). ``odd``: of a function with f(-x) = -f(x); ``flip_right``: whether it has
    the other sign in the second quadrant."""
    if math.isinf(value):
        raise _out_of_range()
    angle, sign = math.fmod(value, 360.0), 1.0
    if angle < 0.0:
        angle, sign = -angle, -sign if odd else sign
    if angle > 180.0:
        angle, sign = 360.0 - angle, -sign if odd else sign
    if angle > 90.0:
        angle, sign = 180.0 - angle, -sign if flip_right else sign
    return angle, sign


def _sind(value: float) -> float:
    angle, sign = _folded(value, True, False)
    return sign * _sin(angle)


def _cosd(value: float) -> float:
    angle, sign = _folded(value, False, True)
    return sign * _cos(angle)


def _tand(value: float) -> float:
    angle, sign = _folded(value, True, True)
    return sign * (_ratio(_sin(angle), _cos(angle)) / _TAN_45) + 0.0


def _cotd(value: float) -> float:
    angle, sign = _folded(value, True, True)
    return sign * (_ratio(_cos(angle), _sin(angle)) / _COT_45) + 0.0


def _asin(x: float) -> float:
    """Of 0…1."""
    return math.asin(x) / _ASIN_HALF * 30.0 if x <= 0.5 else 90.0 - math.acos(x) / _ACOS_HALF * 60.0


def _acos(x: float) -> float:
    """Of 0…1."""
    return 90.0 - math.asin(x) / _ASIN_HALF * 30.0 if x <= 0.5 else math.acos(x) / _ACOS_HALF * 60.0


def _asind(value: float) -> float:
    if not -1.0 <= value <= 1.0:
        raise _out_of_range()
    return _asin(value) if value >= 0.0 else -_asin(-value)


def _acosd(value: float) -> float:
    if not -1.0 <= value <= 1.0:
        raise _out_of_range()
    return _acos(value) if value >= 0.0 else 90.0 + _asin(-value)


def _acosh(value: float) -> float:
    if value < 1.0:
        raise _out_of_range()
    return math.acosh(value)


def _atanh(value: float) -> float:
    if not -1.0 <= value <= 1.0:
        raise _out_of_range()
    return math.copysign(math.inf, value) if abs(value) == 1.0 else math.atanh(value)


def _of_number(function: Callable[..., float]) -> Callable[..., float]:
    """NaN of NaN."""
    return lambda *values: math.nan if any(value != value for value in values) else function(*values)


fn(2735, "sind(float8) float8", _of_number(_sind))
fn(2736, "cosd(float8) float8", _of_number(_cosd))
fn(2737, "tand(float8) float8", _of_number(_tand))
fn(2738, "cotd(float8) float8", _of_number(_cotd))
fn(2731, "asind(float8) float8", _of_number(_asind))
fn(2732, "acosd(float8) float8", _of_number(_acosd))
fn(2733, "atand(float8) float8", _of_number(lambda value: math.atan(value) / _ATAN_1 * 45.0))
fn(2734, "atan2d(float8, float8) float8", _of_number(lambda y, x: math.atan2(y, x) / _ATAN_1 * 45.0))
fn(2465, "asinh(float8) float8", math.asinh)
fn(2466, "acosh(float8) float8", _of_number(_acosh))
fn(2467, "atanh(float8) float8", _of_number(_atanh))
