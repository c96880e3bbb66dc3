"""numeric: I/O, comparison, arithmetic with PostgreSQL's result scales, typmods, casts (manual, 8.1.2, 9.3).

A value is a Decimal whose exponent is minus its display scale (never positive), or NaN, Infinity, -Infinity. All
arithmetic goes through ``EXACT``, never through the ambient decimal context, which belongs to the embedding program.
"""

from __future__ import annotations

import decimal
import functools
import math
import operator
import re
import struct
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final

from aurora.datum import Datum
from aurora.errors import (
    InvalidBinaryRepresentation,
    InvalidParameterValue,
    InvariantViolation,
    NotSupported,
    NumericValueOutOfRange,
    SqlError,
)
from aurora.kernels import values
from aurora.kernels.python.values import EXACT as EXACT
from compute_node.types.common import (
    GREATEST,
    WHITESPACE,
    division_by_zero,
    invalid_syntax,
    parse_typmod_int,
    whole_number,
)
from compute_node.types.declare import casts, comparisons, fn, fns, operator_classes, operators
from compute_node.types.floating import nearest_single, parse_float
from compute_node.types.integer import FORMATTED, HIGH, LOW, overflow
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

MAX_WHOLE_DIGITS: Final = 131072
MAX_SCALE: Final = 16383
NAN: Final = Decimal("NaN")
INFINITY: Final = Decimal("Infinity")
_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+))?")
_SHORT = re.compile(r"(?:[0-9]{1,40}|-[0-9]{0,39}[1-9])(?:\.[0-9]{1,40})?", re.ASCII)
"""What needs no look at its size; minus zero is not among it."""
_WORDS = {
    "nan": NAN,
    "+infinity": INFINITY,
    "infinity": INFINITY,
    "-infinity": -INFINITY,
    "inf": INFINITY,
    "+inf": INFINITY,
    "-inf": -INFINITY,
}
_POWERS: Final = tuple(Decimal((0, (1,), -scale)) for scale in range(64))


def unit(scale: int) -> Decimal:
    """10 ** -scale, whose exponent quantizes to ``scale`` decimals."""
    return _POWERS[scale] if 0 <= scale < 64 else Decimal((0, (1,), -scale))


def display_scale(value: Decimal) -> int:
    """Digits after the decimal point that are shown; 0 for NaN and the infinities."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def overflow_error() -> SqlError:
    """22003 for a value outside numeric's format."""
    return NumericValueOutOfRange("value overflows numeric format")


def in_format(value: Decimal) -> Decimal:
    """The value, its exponent made ≤ 0 and -0 made 0; 22003 with more than 131072 digits before the point."""
    if not value.is_finite():
        return value
    if not value:
        return Decimal((0, (0,), -display_scale(value) if display_scale(value) > 0 else 0))
    if value.adjusted() >= MAX_WHOLE_DIGITS:
        raise overflow_error()
    exponent = value.as_tuple().exponent
    if exponent > 0:  # type: ignore[operator]
        return EXACT.quantize(value, _POWERS[0])
    if exponent < -MAX_SCALE:  # type: ignore[operator]
        return round_scale(value, MAX_SCALE)
    return value


def round_scale(value: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Round to ``scale`` decimals (negative: to tens, hundreds …) and show max(scale, 0) of them."""
    quick = values.rounded(value, scale) if rounding is ROUND_HALF_UP else None
    if rounding is ROUND_DOWN:
        quick = values.truncated(value, scale)
    if quick is not None:
        return quick
    if not value.is_finite():
        return value
    result = value.quantize(unit(scale), rounding, EXACT)
    if scale < 0:
        result = result.quantize(_POWERS[0], rounding, EXACT)
    return result if result else result.copy_abs()


def numeric_in(text: str, typmod: int, env: TypeEnv) -> Decimal:
    """Text input: 22P02 for bad syntax, 22003 beyond the format or the typmod."""
    if _SHORT.fullmatch(text) is not None:
        return apply_typmod(Decimal(text), typmod)
    stripped = text.strip(WHITESPACE)
    match = _NUMBER.fullmatch(stripped)
    if match is None:
        named = _WORDS.get(stripped.lower())
        if named is None:
            raise invalid_syntax("numeric", text)
        return apply_typmod(named, typmod)
    if match[2] is not None and abs(whole_number(match[2])) >= 2**30:
        raise overflow_error()
    if match[2] is not None and abs(whole_number(match[2])) > 200_000 and not Decimal(match[1]):
        return apply_typmod(Decimal(0), typmod)
    if match[2] is not None and whole_number(match[2]) > 200_000:
        raise overflow_error()
    value = Decimal(stripped)
    if value.as_tuple().exponent < -MAX_SCALE:  # type: ignore[operator]
        raise overflow_error()
    return apply_typmod(in_format(value), typmod)


def numeric_out(value: Decimal) -> str:
    """All digits, never an exponent."""
    text = str(value)
    return format(value, "f") if "E" in text else text


def typmod_in(arguments: list[str]) -> int:
    """(precision), (precision, scale) → typmod; 22023 outside 1…1000 and -1000…1000."""
    numbers = [parse_typmod_int("integer", each) for each in arguments]
    if len(numbers) not in (1, 2):
        raise InvalidParameterValue("invalid NUMERIC type modifier")
    precision, scale = numbers[0], numbers[1] if len(numbers) == 2 else 0
    if not 1 <= precision <= 1000:
        raise InvalidParameterValue(f"NUMERIC precision {precision} must be between 1 and 1000")
    if not -1000 <= scale <= 1000:
        raise InvalidParameterValue(f"NUMERIC scale {scale} must be between -1000 and 1000")
    return (precision << 16 | (scale & 0x7FF)) + 4


@functools.lru_cache(maxsize=256)
def split_typmod(typmod: int) -> tuple[int, int]:
    """(precision, scale) of a typmod ≥ 4; the scale is an 11-bit two's complement number."""
    packed = typmod - 4
    return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400


def typmod_out(typmod: int) -> str:
    """``(precision,scale)``."""
    precision, scale = split_typmod(typmod)
    return f"({precision},{scale})"


def apply_typmod(value: Decimal, typmod: int, explicit: bool = False) -> Decimal:
    """Round to the typmod's scale; 22003 when the rounded value needs more digits than its precision."""
    if typmod < 4 or value.is_nan():
        return value
    precision, scale = split_typmod(typmod)
    if value.is_infinite():
        raise NumericValueOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} cannot hold an infinite value.",
        )
    result = round_scale(value, scale)
    if result and result.adjusted() >= precision - scale:
        limit = "1" if precision == scale else f"10^{precision - scale}"
        raise NumericValueOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} must round to an absolute value less than"
            f" {limit}.",
        )
    return result


# Binary form: i16 ndigits, i16 weight, u16 sign, u16 dscale, then ndigits base-10000 digits (i16 each).
_HEADER = struct.Struct(">hhHH")
_SIGN_NEGATIVE, _SIGN_NAN, _SIGN_PINF, _SIGN_NINF = 0x4000, 0xC000, 0xD000, 0xF000


def numeric_send(value: Decimal) -> bytes:
    """Base-10000 digits without leading or trailing zero digits."""
    if not value.is_finite():
        sign = _SIGN_NAN if value.is_nan() else _SIGN_PINF if value > 0 else _SIGN_NINF
        return _HEADER.pack(0, 0, sign, 0 if value.is_nan() else 0x20)
    scale = display_scale(value)
    if not value:
        return _HEADER.pack(0, 0, 0, scale)
    negative, digits, _exponent = value.as_tuple()
    text = "".join(map(str, digits))
    pad = -(-scale // 4) * 4 - scale
    text += "0" * pad
    text = "0" * (-len(text) % 4) + text
    groups = [int(text[at : at + 4]) for at in range(0, len(text), 4)]
    weight = len(groups) - 1 - (scale + pad) // 4
    first = next(at for at, group in enumerate(groups) if group)
    groups, weight = groups[first:], weight - first
    while not groups[-1]:
        groups.pop()
    return _HEADER.pack(len(groups), weight, _SIGN_NEGATIVE if negative else 0, scale) + struct.pack(
        f">{len(groups)}h", *groups
    )


def numeric_receive(data: bytes, typmod: int) -> Decimal:
    """Inverse of ``numeric_send``; 22P03 for a malformed value."""
    if len(data) < 8:
        raise InvalidBinaryRepresentation('invalid length in external "numeric" value')
    count, weight, sign, scale = _HEADER.unpack_from(data)
    if sign in (_SIGN_NAN, _SIGN_PINF, _SIGN_NINF):
        return apply_typmod({_SIGN_NAN: NAN, _SIGN_PINF: INFINITY, _SIGN_NINF: -INFINITY}[sign], typmod)
    if sign not in (0, _SIGN_NEGATIVE):
        raise InvalidBinaryRepresentation('invalid sign in external "numeric" value')
    if scale > MAX_SCALE:
        raise InvalidBinaryRepresentation('invalid scale in external "numeric" value')
    if count < 0 or len(data) != 8 + 2 * count:
        raise InvalidBinaryRepresentation("incorrect binary data format")
    groups = struct.unpack_from(f">{count}h", data, 8)
    if any(not 0 <= group < 10000 for group in groups):
        raise InvalidBinaryRepresentation('invalid digit in external "numeric" value')
    if not groups:
        return apply_typmod(Decimal((0, (0,), -scale)), typmod)
    magnitude = Decimal("".join(f"{group:04d}" for group in groups)).scaleb(4 * (weight - count + 1), EXACT)
    value = magnitude.quantize(unit(scale), ROUND_DOWN, EXACT)
    return apply_typmod(in_format(value.copy_negate() if sign else value), typmod)


_PIECE_DIGITS: Final = 4000
"""Python reads an integer of at most 4300, and in a time that grows with their square."""


def _integer(digits: str) -> int:
    negative, digits = digits.startswith("-"), digits.removeprefix("-")
    ends = range(len(digits), 0, -_PIECE_DIGITS)
    parts = [int(digits[max(end - _PIECE_DIGITS, 0) : end]) for end in ends]
    unit = 10**_PIECE_DIGITS
    while len(parts) > 1:
        parts += [0] * (len(parts) % 2)
        parts = [high * unit + low for low, high in zip(parts[::2], parts[1::2], strict=True)]
        unit *= unit
    return -parts[0] if negative else parts[0]


def to_disk(value: Decimal) -> bytes:
    """Tuple form: scale (u16, 0x8000 | code for NaN and infinities), then the unscaled value as a signed
    little-endian integer.
    """
    if not value.is_finite():
        return struct.pack("<H", 0x8000 | (0 if value.is_nan() else 1 if value > 0 else 2))
    whole, _, fraction = numeric_out(value).partition(".")
    scale, digits = len(fraction), whole + fraction
    if scale > MAX_SCALE:
        raise InvariantViolation(f"a numeric of {scale} decimals has no stored form")
    scaled = int(digits) if len(digits) <= _PIECE_DIGITS else _integer(digits)
    return scale.to_bytes(2, "little") + scaled.to_bytes((scaled.bit_length() >> 3) + 1, "little", signed=True)


from_disk = values.number
"""Inverse of ``to_disk``."""
_COMPLEMENT = bytes(255 - byte for byte in range(256))


def numeric_key(value: Decimal) -> bytes:
    """memcmp key: class byte, then for a non-zero finite value its exponent (u32) and digit pairs + 1 ended by 0,
    complemented when negative.
    """
    if not value.is_finite():
        return b"\x60" if value.is_nan() else b"\x50" if value > 0 else b"\x10"
    if not value:
        return b"\x30"
    negative, digits, _ = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    text += "0" * (len(text) % 2)
    body = (
        struct.pack(">I", value.adjusted() + 0x80000000)
        + bytes(int(text[at : at + 2]) + 1 for at in range(0, len(text), 2))
        + b"\0"
    )
    return b"\x20" + body.translate(_COMPLEMENT) if negative else b"\x40" + body


def numeric_order(value: Decimal) -> Datum:
    """The value, or for NaN an object that sorts after all and equals itself."""
    return GREATEST if value.is_nan() else value


REGISTRY.add_type(
    PgType(
        oid=1700,
        name="numeric",
        length=-1,
        by_value=False,
        category="N",
        storage="m",
        array=1231,
        input=numeric_in,
        output=lambda value, env: numeric_out(value),
        text_bytes=lambda value: numeric_out(value).encode(),
        receive=numeric_receive,
        send=numeric_send,
        disk="x",
        to_disk=to_disk,
        from_disk=from_disk,
        sort_value=numeric_order,
        sort_key=numeric_key,
        typmod_in=typmod_in,
        typmod_out=typmod_out,
        typmod_cast=apply_typmod,
    )
)


_add, _subtract = EXACT.add, EXACT.subtract
"""Infinity - Infinity and its like raise InvalidOperation: they are NaN."""
_multiply = decimal.Context(
    prec=MAX_SCALE + 1,
    rounding=ROUND_HALF_UP,
    Emin=0,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[decimal.InvalidOperation, decimal.Overflow, decimal.Rounded],
).multiply
"""Its smallest exponent is -MAX_SCALE: a product of more decimals raises Rounded, as one of very many digits does."""
_USUAL_DIGITS: Final = 1000
"""Results with fewer before the point need no look at the format's bounds; NaN and the infinities count as 0."""


def add(a: Decimal, b: Decimal) -> Decimal:
    """a + b; the scale is the larger one."""
    try:
        result = _add(a, b)
    except decimal.InvalidOperation:
        return NAN
    return result if result and result.adjusted() < _USUAL_DIGITS else _in_bounds(result)


def add_all(total: Decimal, values: Iterable[Decimal]) -> Decimal:
    """The sum of ``total`` and the values, as ``add`` of one after the other."""
    try:
        result = functools.reduce(EXACT.add, values, total)
    except decimal.InvalidOperation:
        return NAN
    return _in_bounds(result)


def subtract(a: Decimal, b: Decimal) -> Decimal:
    """a - b; the scale is the larger one."""
    try:
        result = _subtract(a, b)
    except decimal.InvalidOperation:
        return NAN
    return result if result and result.adjusted() < _USUAL_DIGITS else _in_bounds(result)


def multiply(a: Decimal, b: Decimal) -> Decimal:
    """a * b; the scales add up, but are at most ``MAX_SCALE``."""
    try:
        result = _multiply(a, b)
    except decimal.InvalidOperation:
        return NAN
    except decimal.Rounded:
        return in_format(EXACT.multiply(a, b))
    return result if result and result.adjusted() < _USUAL_DIGITS else _in_bounds(result)


def _in_bounds(result: Decimal) -> Decimal:
    """Results outside the format are refused."""
    if not result:
        return result.copy_abs()
    if result.adjusted() >= MAX_WHOLE_DIGITS and result.is_finite():
        raise overflow_error()
    return result


def _base10000(value: Decimal) -> tuple[int, int]:
    """(weight, first digit) of the value in base 10000; (0, 0) for zero."""
    return _first_group(value, value.as_tuple().digits)


def _first_group(value: Decimal, all_digits: tuple[int, ...]) -> tuple[int, int]:
    if not value:
        return 0, 0
    exponent = value.adjusted()
    weight = exponent // 4
    digits = all_digits[: exponent - weight * 4 + 1]
    first = 0
    for digit in digits:
        first = first * 10 + digit
    return weight, first * 10 ** (exponent - weight * 4 + 1 - len(digits))


def division_scale(a: Decimal, b: Decimal) -> int:
    """Display scale of a quotient: at least 16 significant digits and both operands' scales, at most 1000."""
    weight_a, first_a = _base10000(a)
    weight_b, first_b = _base10000(b)
    quotient_weight = weight_a - weight_b - (first_a <= first_b)
    return min(max(16 - 4 * quotient_weight, display_scale(a), display_scale(b), 0), 1000)


def quotient(a: Decimal, b: Decimal, scale: int) -> Decimal:
    """a / b of finite values, rounded half away from zero to ``scale`` decimals; b is not zero."""
    return _quotient(a, display_scale(a), b, display_scale(b), scale)


def _quotient(a: Decimal, scale_a: int, b: Decimal, scale_b: int, scale: int) -> Decimal:
    numerator, denominator = int(a.scaleb(scale_a, EXACT)), int(b.scaleb(scale_b, EXACT))
    shift = scale - scale_a + scale_b
    if shift >= 0:
        numerator *= 10**shift
    else:
        denominator *= 10**-shift
    whole, rest = divmod(abs(numerator), abs(denominator))
    if 2 * rest >= abs(denominator):
        whole += 1
    if (numerator < 0) != (denominator < 0):
        whole = -whole
    return Decimal(whole).scaleb(-scale, EXACT)


def divide(a: Decimal, b: Decimal) -> Decimal:
    """a / b in PostgreSQL's scale; 22012 for a zero divisor."""
    quick = values.divided(a, b)
    if quick is not None:
        return quick
    if a.is_nan() or b.is_nan():
        return NAN
    if not b:
        raise division_by_zero()
    if a.is_infinite():
        return NAN if b.is_infinite() else (a if b > 0 else -a)
    if b.is_infinite():
        return Decimal(0)
    shown_a, shown_b = a.as_tuple(), b.as_tuple()
    scale_a, scale_b = -int(shown_a.exponent), -int(shown_b.exponent)
    weight_a, first_a = _first_group(a, shown_a.digits)
    weight_b, first_b = _first_group(b, shown_b.digits)
    scale = min(max(16 - 4 * (weight_a - weight_b - (first_a <= first_b)), scale_a, scale_b, 0), 1000)
    result = _quotient(a, scale_a, b, scale_b, scale)
    return result if -MAX_WHOLE_DIGITS < result.adjusted() < MAX_WHOLE_DIGITS else in_format(result)


def divide_truncated(a: Decimal, b: Decimal) -> Decimal:
    """div(a, b): the quotient truncated to an integer."""
    if a.is_nan() or b.is_nan():
        return NAN
    if not b:
        raise division_by_zero()
    if a.is_infinite():
        return NAN if b.is_infinite() else (a if b > 0 else -a)
    if b.is_infinite():
        return Decimal(0)
    return in_format(EXACT.divide_int(a, b))


def remainder(a: Decimal, b: Decimal) -> Decimal:
    """a % b with the sign of a; 22012 for a zero divisor."""
    quick = values.rest(a, b)
    if quick is not None:
        return quick
    if a.is_nan() or b.is_nan():
        return NAN
    if not b:
        raise division_by_zero()
    if a.is_infinite():
        return NAN
    if b.is_infinite():
        return a
    result = EXACT.remainder(a, b)
    scale = max(display_scale(a), display_scale(b))
    return round_scale(result, scale)


comparisons(
    """
1769 numeric_cmp(numeric, numeric) int4
""",
    numeric_order,
)


def _compared(compare: Callable[[Datum, Datum], bool]) -> Callable[[Decimal, Decimal], bool]:
    def test(a: Decimal, b: Decimal) -> bool:
        if a == a and b == b:
            return compare(a, b)
        return compare(numeric_order(a), numeric_order(b))

    return test


fn(1718, "numeric_eq(numeric, numeric) bool", lambda a, b: a == b or (a.is_nan() and b.is_nan()))
fn(1719, "numeric_ne(numeric, numeric) bool", lambda a, b: a != b and not (a.is_nan() and b.is_nan()))
fn(1722, "numeric_lt(numeric, numeric) bool", _compared(operator.lt))
fn(1723, "numeric_le(numeric, numeric) bool", _compared(operator.le))
fn(1720, "numeric_gt(numeric, numeric) bool", _compared(operator.gt))
fn(1721, "numeric_ge(numeric, numeric) bool", _compared(operator.ge))
fn(1724, "numeric_add(numeric, numeric) numeric", add)
fn(1764, "numeric_inc(numeric) numeric", lambda value: add(value, Decimal(1)))
fn(1725, "numeric_sub(numeric, numeric) numeric", subtract)
fn(1726, "numeric_mul(numeric, numeric) numeric", multiply)
fn(1727, "numeric_div(numeric, numeric) numeric", divide)
fns(
    """
1729 numeric_mod(numeric, numeric) numeric
1728 mod(numeric, numeric) numeric
""",
    remainder,
)
fns(
    """
1973 div(numeric, numeric) numeric
1980 numeric_div_trunc(numeric, numeric) numeric
""",
    divide_truncated,
)
fn(
    1771,
    "numeric_uminus(numeric) numeric",
    lambda value: value.copy_negate() if value and not value.is_nan() else value,
)
fn(1915, "numeric_uplus(numeric) numeric", lambda value: value)
fns(
    """
1704 numeric_abs(numeric) numeric
1705 abs(numeric) numeric
""",
    Decimal.copy_abs,
)
fn(1767, "numeric_larger(numeric, numeric) numeric", lambda a, b: a if numeric_order(a) > numeric_order(b) else b)
fn(1766, "numeric_smaller(numeric, numeric) numeric", lambda a, b: a if numeric_order(a) < numeric_order(b) else b)


def _possible(scale: int) -> int:
    return scale if -MAX_SCALE <= scale <= MAX_SCALE else max(-MAX_WHOLE_DIGITS, min(scale, MAX_SCALE))


fn(
    1707,
    "round(numeric, int4) numeric",
    lambda value, scale: round_scale(value, _possible(scale)),
)
fn(1708, "round(numeric) numeric", lambda value: round_scale(value, 0))
fn(
    1709,
    "trunc(numeric, int4) numeric",
    lambda value, scale: round_scale(value, _possible(scale), ROUND_DOWN),
)
fn(1710, "trunc(numeric) numeric", lambda value: round_scale(value, 0, ROUND_DOWN))
fns(
    """
1711 ceil(numeric) numeric
2167 ceiling(numeric) numeric
""",
    lambda value: round_scale(value, 0, ROUND_CEILING),
)
fn(1712, "floor(numeric) numeric", lambda value: round_scale(value, 0, ROUND_FLOOR))
fn(1706, "sign(numeric) numeric", lambda value: value if value.is_nan() else Decimal((value > 0) - (value < 0)))
fn(3281, "scale(numeric) int4", lambda value: display_scale(value) if value.is_finite() else None)


def _minimal_scale(value: Decimal) -> int | None:
    if not value.is_finite():
        return None
    return max(0, display_scale(value.normalize(EXACT))) if value else 0


fn(5042, "min_scale(numeric) int4", _minimal_scale)
fn(5043, "trim_scale(numeric) numeric", lambda value: round_scale(value, _minimal_scale(value) or 0))


def to_integer(size: int) -> Callable[[Decimal], int]:
    """numeric → int2/4/8, rounding half away from zero: 22003 outside the range, 0A000 for NaN and the infinities."""
    low, high, name = LOW[size], HIGH[size], FORMATTED[size]

    def convert(value: Decimal) -> int:
        quick = values.whole_number(value)
        if quick is not None and low <= quick <= high:
            return quick
        if not value.is_finite():
            raise NotSupported(f"cannot convert {'NaN' if value.is_nan() else 'infinity'} to {name}")
        result = int(value.to_integral_value(ROUND_HALF_UP, EXACT))
        return result if low <= result <= high else overflow(size)

    return convert


def _from_float(value: float, digits: int) -> Decimal:
    text = f"{value:.{digits}g}"
    if text.count("e") == 0 and math.isfinite(value) and value:
        return Decimal(text)
    if not math.isfinite(value):
        return NAN if value != value else INFINITY if value > 0 else -INFINITY
    return in_format(Decimal(f"{value:.{digits}g}"))


def _to_float4(value: Decimal) -> float:
    double = float(value)
    if 1e-30 < abs(double) < 1e30:
        return nearest_single(double, lambda: value)
    return parse_float(numeric_out(value), "real")


def to_float8(value: Decimal) -> float:
    found = float(value)
    if 1e-300 < found < 1e300 or -1e300 < found < -1e-300 or not value.is_finite():
        return found
    return parse_float(numeric_out(value), "double precision")


fns(
    """
1782 numeric(int2) numeric
1740 numeric(int4) numeric
1781 numeric(int8) numeric
""",
    Decimal,
)
fn(1742, "numeric(float4) numeric", lambda value: _from_float(value, 6))
fn(1743, "numeric(float8) numeric", lambda value: _from_float(value, 15))
fn(1783, "int2(numeric) int2", to_integer(2))
fn(1744, "int4(numeric) int4", to_integer(4))
fn(1779, "int8(numeric) int8", to_integer(8))
fn(1746, "float8(numeric) float8", to_float8)
fn(1745, "float4(numeric) float4", _to_float4)
fn(1703, "numeric(numeric, int4) numeric", apply_typmod)
operators("""
1038 numeric ^ numeric numeric 1739
1751 - - numeric numeric 1771
1752 numeric = numeric bool 1718 commutator=1752 negator=1753 merges hashes
1753 numeric <> numeric bool 1719 commutator=1753 negator=1752
1754 numeric < numeric bool 1722 commutator=1756 negator=1757
1755 numeric <= numeric bool 1723 commutator=1757 negator=1756
1756 numeric > numeric bool 1720 commutator=1754 negator=1755
1757 numeric >= numeric bool 1721 commutator=1755 negator=1754
1758 numeric + numeric numeric 1724 commutator=1758
1759 numeric - numeric numeric 1725
1760 numeric * numeric numeric 1726 commutator=1760
1761 numeric / numeric numeric 1727
1762 numeric % numeric numeric 1729
1763 - @ numeric numeric 1704
1921 - + numeric numeric 1915
""")
casts("""
10004 int8 numeric 1781 i f
10009 int2 numeric 1782 i f
10014 int4 numeric 1740 i f
10019 float4 numeric 1742 a f
10024 float8 numeric 1743 a f
10025 numeric int8 1779 a f
10026 numeric int2 1783 a f
10027 numeric int4 1744 a f
10028 numeric float4 1745 i f
10029 numeric float8 1746 i f
10213 numeric numeric 1703 i f
""")
operator_classes("""
3125 numeric_ops 1988 numeric_ops numeric 403 default 1754,1755,1752,1757,1756 1769,3283,4141
10030 numeric_ops 1998 numeric_ops numeric 405 default 1752 432,780
""")
