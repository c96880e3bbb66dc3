"""Mathematical functions on numeric in PostgreSQL's result scales (manual, 9.3), factorial, gcd, width_bucket, random.

Each scale rule asks for at least 16 significant digits from an estimate of the result's magnitude.
"""

from __future__ import annotations

import decimal
import math
import random as random_source
from decimal import ROUND_HALF_UP, Decimal
from weakref import WeakKeyDictionary

from aurora.errors import (
    InvalidArgumentForLog,
    InvalidArgumentForPower,
    InvalidArgumentForWidthBucket,
    InvalidParameterValue,
    NumericValueOutOfRange,
)
from compute_node.hub import HUB
from compute_node.types.common import division_by_zero
from compute_node.types.declare import fn, fns
from compute_node.types.integer import HIGH, LOW, overflow
from compute_node.types.numeric import (
    EXACT,
    INFINITY,
    MAX_WHOLE_DIGITS,
    NAN,
    display_scale,
    divide,
    in_format,
    overflow_error,
    remainder,
    round_scale,
)
from compute_node.types.registry import FunctionContext

_SIGNIFICANT = 16
_EXPONENT_END = 6000
"""Of e: PostgreSQL refuses it and what is above; what is below its opposite is 0."""
_LOG10_E = 0.434294481903252


def _clamped(scale: int, *values: Decimal) -> int:
    return min(max(scale, 0, *(display_scale(each) for each in values)), 1000)


def _context(digits: int) -> decimal.Context:
    return decimal.Context(prec=max(digits, 1) + 12, rounding=ROUND_HALF_UP, Emin=-999_999, Emax=999_999, traps=[])


def square_root(value: Decimal, scale: int | None = None) -> Decimal:
    """sqrt; 2201F for a negative number."""
    if value.is_nan():
        return value
    if value < 0:
        raise InvalidArgumentForPower("cannot take square root of a negative number")
    if value.is_infinite():
        return value
    if scale is None:
        weight = value.adjusted() // 4 if value else 0
        scale = _clamped(_SIGNIFICANT - ((weight + 1) * 4 // 2 - 1), value)
    return round_scale(_context(abs(value.adjusted()) + scale).sqrt(value), scale)


def _exp(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    if value.is_infinite():
        return value if value > 0 else Decimal(0)
    magnitude = float(value) * _LOG10_E
    if value >= _EXPONENT_END:
        raise overflow_error()
    scale = _clamped(_SIGNIFICANT - math.trunc(max(magnitude, -2000)), value)
    if value <= -_EXPONENT_END:
        return Decimal((0, (0,), -scale))
    return round_scale(_context(scale + max(0, math.trunc(magnitude)) + 1).exp(value), scale)


def _ln_weight(value: Decimal) -> int:
    """Estimated decimal weight of ln(value), which sets its scale."""
    if Decimal("0.9") <= value <= Decimal("1.1"):
        rest = EXACT.subtract(value, Decimal(1))
        return rest.adjusted() if rest else 0
    return math.trunc(
        math.log10(abs(math.log(float(value.scaleb(-value.adjusted(), EXACT))) + value.adjusted() * math.log(10)))
    )


def _positive(value: Decimal) -> None:
    if value < 0:
        raise InvalidArgumentForLog("cannot take logarithm of a negative number")
    if not value:
        raise InvalidArgumentForLog("cannot take logarithm of zero")


def _ln(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    _positive(value)
    if value.is_infinite():
        return value
    scale = _clamped(_SIGNIFICANT - _ln_weight(value), value)
    return round_scale(_context(scale + 8).ln(value), scale)


def _log(base: Decimal, value: Decimal) -> Decimal:
    if base.is_nan() or value.is_nan():
        return NAN
    _positive(base)
    _positive(value)
    if base.is_infinite() or value.is_infinite():
        return NAN if base.is_infinite() and value.is_infinite() else INFINITY if value.is_infinite() else Decimal(0)
    scale = _clamped(_SIGNIFICANT - (_ln_weight(value) - _ln_weight(base)), base, value)
    context = _context(scale + 20)
    divisor = context.ln(base)
    if not divisor:
        raise division_by_zero()
    return round_scale(context.divide(context.ln(value), divisor), scale)


def _power_special(base: Decimal, exponent: Decimal) -> Decimal:
    """Powers with a NaN or an infinity."""
    if base.is_nan() or exponent.is_nan():
        return Decimal(1) if base == 1 or (not exponent.is_nan() and not exponent) else NAN
    if base.is_infinite() and exponent.is_finite():
        if not exponent:
            return Decimal(1)
        if base < 0 and exponent != exponent.to_integral_value(context=EXACT):
            raise InvalidArgumentForPower("a negative number raised to a non-integer power yields a complex result")
        odd = EXACT.remainder(exponent, Decimal(2)) != 0
        if exponent < 0:
            return Decimal(0)
        return base if odd or base > 0 else INFINITY
    if base.copy_abs() == 1:
        return Decimal(1)
    grows = (base.copy_abs() > 1) == (exponent > 0)
    if not base and exponent < 0:
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    return INFINITY if grows else Decimal(0)


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """base ^ exponent; 2201F for zero to a negative power and for complex results, 22003 beyond the format."""
    if not base.is_finite() or not exponent.is_finite():
        return _power_special(base, exponent)
    if not base and exponent < 0:
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    whole = exponent == exponent.to_integral_value(context=EXACT)
    if base < 0 and not whole:
        raise InvalidArgumentForPower("a negative number raised to a non-integer power yields a complex result")
    if not base:
        return (
            Decimal((0, (0,), -_clamped(_SIGNIFICANT, base)))
            if exponent
            else round_scale(Decimal(1), _clamped(_SIGNIFICANT, base))
        )
    if whole and abs(exponent) < 2**31:
        magnitude = float(exponent) * (math.log10(abs(float(base.scaleb(-base.adjusted(), EXACT)))) + base.adjusted())
        if magnitude >= MAX_WHOLE_DIGITS:
            raise overflow_error()
        scale = _clamped(_SIGNIFICANT, base)
        if magnitude < -scale - 2:
            return Decimal((0, (0,), -scale))
        return round_scale(_context(max(math.trunc(magnitude), 0) + scale + 8).power(base, exponent), scale)
    # The result's weight is estimated from a logarithm of about eight digits, as PostgreSQL does.
    positive = base.copy_abs()
    rough = max(8 - _ln_weight(positive), 0)
    logarithm = round_scale(_context(rough + 12).ln(positive), rough)
    natural = float(round_scale(EXACT.multiply(logarithm, exponent), rough))
    if natural >= _EXPONENT_END:
        raise overflow_error()
    if natural <= -_EXPONENT_END:
        return Decimal((0, (0,), -1000))
    weight = natural * 0.434294481903252
    scale = _clamped(_SIGNIFICANT - math.trunc(max(weight, -2000)), base, exponent)
    return round_scale(_context(max(math.trunc(weight), 0) + scale + 8).power(base, exponent), scale)


fns(
    """
1730 sqrt(numeric) numeric
1731 numeric_sqrt(numeric) numeric
""",
    square_root,
)
fns(
    """
1732 exp(numeric) numeric
1733 numeric_exp(numeric) numeric
""",
    _exp,
)
fns(
    """
1734 ln(numeric) numeric
1735 numeric_ln(numeric) numeric
""",
    _ln,
)
fns(
    """
1736 log(numeric, numeric) numeric
1737 numeric_log(numeric, numeric) numeric
""",
    _log,
)
fns(
    """
1741 log(numeric) numeric
1481 log10(numeric) numeric
""",
    lambda value: _log(Decimal(10), value),
)
fns(
    """
2169 power(numeric, numeric) numeric
1738 pow(numeric, numeric) numeric
1739 numeric_power(numeric, numeric) numeric
""",
    power,
)


FACTORIAL_STEP = 500


def _factorial(number: int) -> Decimal:
    if number < 0:
        raise NumericValueOutOfRange("factorial of a negative number is undefined")
    if number > 32177:
        raise overflow_error()
    if number <= FACTORIAL_STEP:
        return in_format(Decimal(math.factorial(number)))
    product = Decimal(math.factorial(FACTORIAL_STEP))
    for start in range(FACTORIAL_STEP + 1, number + 1, FACTORIAL_STEP):
        part = math.prod(range(start, min(start + FACTORIAL_STEP, number + 1)))
        product = EXACT.multiply(product, Decimal(part))
        HUB.pulse()
    return in_format(product)


fn(1376, "factorial(int8) numeric", _factorial)


def _gcd(a: Decimal, b: Decimal) -> Decimal:
    if not a.is_finite() or not b.is_finite():
        return NAN
    scale = max(display_scale(a), display_scale(b))
    a, b = a.copy_abs(), b.copy_abs()
    while b:
        a, b = b, remainder(a, b)
    return round_scale(a, scale)


def _lcm(a: Decimal, b: Decimal) -> Decimal:
    if not a.is_finite() or not b.is_finite():
        return NAN
    scale = max(display_scale(a), display_scale(b))
    if not a or not b:
        return round_scale(Decimal(0), scale)
    return in_format(round_scale(EXACT.multiply(EXACT.divide_int(a, _gcd(a, b)), b).copy_abs(), scale))


fn(5048, "gcd(numeric, numeric) numeric", _gcd)
fn(5049, "lcm(numeric, numeric) numeric", _lcm)


def _bucket(operand: float | Decimal, low: float | Decimal, high: float | Decimal, count: int) -> int:
    if count <= 0:
        raise InvalidArgumentForWidthBucket("count must be greater than zero")
    if operand != operand or low != low or high != high:
        raise InvalidArgumentForWidthBucket("operand, lower bound, and upper bound cannot be NaN")
    if abs(low) == math.inf or abs(high) == math.inf:
        raise InvalidArgumentForWidthBucket("lower and upper bounds must be finite")
    if low == high:
        raise InvalidArgumentForWidthBucket("lower bound cannot equal upper bound")
    if low < high:
        if operand < low:
            return 0
        if operand >= high:
            return _beyond(count)
    else:
        if operand > low:
            return 0
        if operand <= high:
            return _beyond(count)
    if isinstance(operand, Decimal) and isinstance(low, Decimal) and isinstance(high, Decimal):
        distance = EXACT.subtract(operand, low).copy_abs()
        share = divide(EXACT.multiply(distance, Decimal(count)), EXACT.subtract(high, low).copy_abs())
        return min(int(share) + 1, count)
    first = float(low)
    number = count * (float(operand) - first) / (float(high) - first) + 1
    return int(number) if math.isfinite(number) else LOW[4]  # what C makes of it


def _beyond(count: int) -> int:
    """The number after the last bucket's; 22003."""
    if count == HIGH[4]:
        overflow(4)
    return count + 1


fn(320, "width_bucket(float8, float8, float8, int4) int4", _bucket)
fn(2170, "width_bucket(numeric, numeric, numeric, int4) int4", _bucket)


# random: xoroshiro128** seeded by splitmix64, one generator a session, so that setseed repeats PostgreSQL's sequence

_MASK = (1 << 64) - 1


class _Generator:
    """State of one session's pseudo-random sequence."""

    __slots__ = ("high", "low")

    def __init__(self, seed: int) -> None:
        self.low, seed = self._split(seed)
        self.high, _ = self._split(seed)
        if not self.low and not self.high:
            self.low, self.high = 0x5851F42D4C957F2D, 0x14057B7EF767814F

    @staticmethod
    def _split(seed: int) -> tuple[int, int]:
        seed = (seed + 0x9E3779B97F4A7C15) & _MASK
        value = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
        return value ^ value >> 31, seed

    def next_float(self) -> float:
        """A double in [0, 1)."""
        low, high = self.low, self.high ^ self.low
        result = (_rotate(low * 5 & _MASK, 7) * 9) & _MASK
        self.low = _rotate(low, 24) ^ high ^ (high << 16 & _MASK)
        self.high = _rotate(high, 37)
        return math.ldexp(result >> 12, -52)


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK


_generators: WeakKeyDictionary[object, _Generator] = WeakKeyDictionary()


def _random(context: FunctionContext) -> float:
    generator = _generators.get(context.session)
    if generator is None:
        generator = _generators[context.session] = _Generator(random_source.getrandbits(64))
    return generator.next_float()


def _setseed(context: FunctionContext, seed: float) -> str:
    if not -1 <= seed <= 1:
        raise InvalidParameterValue(f"setseed parameter {seed:g} is out of allowed range [-1,1]")
    _generators[context.session] = _Generator(int(((1 << 52) - 1) * seed) & _MASK)
    return ""


fn(1598, "random() float8 volatile", _random, needs_context=True)
fn(1599, "setseed(float8) void volatile", _setseed, needs_context=True)
