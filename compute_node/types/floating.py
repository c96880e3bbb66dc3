"""float4 and float8: I/O, comparison (NaN equals NaN and sorts last), arithmetic, mathematical functions (manual,
8.1.3, 9.3).

A float4 value is a Python float already rounded to single precision.
"""

from __future__ import annotations

import math
import operator
import re
import struct
from collections.abc import Callable
from decimal import Decimal

import numpy

from aurora.datum import Datum
from aurora.errors import InvalidArgumentForLog, InvalidArgumentForPower, NumericValueOutOfRange
from compute_node.types.common import GREATEST, WHITESPACE, division_by_zero, fixed_codec, invalid_syntax
from compute_node.types.declare import casts, comparisons, family_operators, fn, fns, operator_classes, operators
from compute_node.types.integer import HIGH, LOW, overflow
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

_HEXADECIMAL = r"0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?"
_DECIMAL = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_FLOAT = re.compile(rf"[+-]?(?:({_HEXADECIMAL})|{_DECIMAL}|(infinity|inf|nan(?:\(\w*\))?))", re.IGNORECASE | re.ASCII)
_WORDS = {"n": math.nan, "i": math.inf}
_SINGLE = struct.Struct(">f")


def to_single(value: float) -> float:
    """Round to single precision; 22003 when a finite value becomes infinite or a non-zero one zero."""
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        raise NumericValueOutOfRange("value out of range: overflow") from None
    if rounded == 0.0 and value != 0.0:
        raise NumericValueOutOfRange("value out of range: underflow")
    return rounded


def over(a: float, b: float) -> float:
    """a / b as the processor divides: by 0 to infinity or NaN."""
    if b:
        return a / b
    return math.nan if a == 0.0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)


def root(value: float) -> float:
    """The square root as the processor takes it: NaN of a negative number."""
    return math.sqrt(value) if value >= 0 else math.nan


def parse_float(text: str, type_name: str) -> float:
    """C's strtod over the whole text, of ``real`` its strtof: 22P02 for bad syntax, 22003 beyond the type's range. The
    range comes first: of a text that goes on after the number, too."""
    stripped = text.strip(WHITESPACE)
    match = _FLOAT.match(stripped)
    if match is None:
        raise invalid_syntax(type_name, text)
    found, word = match[0], match[2]
    if word is not None:
        named = _WORDS[word[0].lower()]
        value = -named if found[0] == "-" else named
    else:
        value = _hexadecimal(found) if match[1] is not None else float(found)
        if math.isinf(value) or (value == 0.0 and _has_digits(found)):
            shown = text if type_name == "real" else found
            raise NumericValueOutOfRange(f'"{shown}" is out of range for type {type_name}')
    if type_name == "real" and word is None:
        # A NaN stays the one object that it is, as constants are compared. A hexadecimal text is the double itself.
        value = _to_real(value, lambda: Decimal(value if match[1] is not None else found), text)
    if match.end() != len(stripped):
        raise invalid_syntax(type_name, text)
    return value


def _to_real(value: float, exact: Callable[[], Decimal], text: str) -> float:
    """22003 beyond the range of single precision."""
    try:
        return nearest_single(value, exact)
    except NumericValueOutOfRange:
        raise NumericValueOutOfRange(f'"{text}" is out of range for type real') from None


def _hexadecimal(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf


def _has_digits(text: str) -> bool:
    """Whether a number's text, decimal or hexadecimal, is not that of 0."""
    mantissa = re.split("p" if "x" in text or "X" in text else "e", text, maxsplit=1, flags=re.IGNORECASE)[0]
    return any(digit not in "+-0.xX" for digit in mantissa)


def float8_in(text: str, typmod: int, env: TypeEnv) -> float:
    """Text input of double precision."""
    return parse_float(text, "double precision")


def nearest_single(value: float, exact: Callable[[], Decimal]) -> float:
    """The single nearest to the exact number itself, 22003 as of ``to_single``: by way of the double ``value`` it may
    be rounded twice, which shows where the double is just between two singles."""
    if math.isfinite(value) and _is_between(value):
        number, halfway = exact(), Decimal(value)
        if number != halfway:
            value = math.nextafter(value, math.inf if number > halfway else -math.inf)
    return to_single(value)


def _is_between(value: float) -> bool:
    """Whether it is half-way from one single to the next."""
    mantissa, exponent = math.frexp(value)
    # A single has 24 bits, fewer below 2^-126; the unit here is half of its last one.
    units = math.ldexp(mantissa, 25 - max(-125 - exponent, 0))
    return units % 2 == 1


def float4_in(text: str, typmod: int, env: TypeEnv) -> float:
    """Text input of real."""
    return parse_float(text, "real")


def _shortest(digits: str, negative: bool, exponent: int, fixed_below: int) -> str:
    """Lay out shortest digits as PostgreSQL does: fixed for exponents -4 … fixed_below - 1, else scientific."""
    sign = "-" if negative else ""
    if -4 <= exponent < fixed_below:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        if len(digits) <= exponent + 1:
            return sign + digits + "0" * (exponent + 1 - len(digits))
        return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _split(text: str) -> tuple[str, bool, int]:
    negative = text.startswith("-")
    mantissa, _, exponent_text = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(exponent_text or 0) + len(whole) - 1
    digits = whole + fraction
    stripped = digits.lstrip("0")
    exponent -= len(digits) - len(stripped)
    return stripped.rstrip("0"), negative, exponent


def _off_midpoint(text: str, exact: int, spacing: int) -> str:
    """The shortest text strictly inside the rounding interval: PostgreSQL refuses a decimal that is exactly halfway
    to the
    next float. That can only be an integer, so only floats without fraction bits come here."""
    digits = len(_split(text)[0])
    while True:
        distance = 2 * abs(int(Decimal(text)) - exact)
        below_a_power_of_two = abs(exact) & (abs(exact) - 1) == 0 and abs(int(Decimal(text))) < abs(exact)
        if distance < (spacing // 2 if below_a_power_of_two else spacing):
            return text
        text = f"{Decimal(exact):.{digits}e}"
        digits += 1


def _special(value: float) -> str | None:
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0.0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    return None


def _general(value: float, precision: int) -> str:
    """C's %.*g, whose exponent has at least two digits as Python's has."""
    return f"{value:.{max(precision, 1)}g}"


def float8_text(value: float, extra_digits: int = 1) -> str:
    """Shortest text that reads back the same; with extra_float_digits ≤ 0, 15 + extra significant digits."""
    if extra_digits > 0 and -1e15 < value < 1e15:
        text = repr(value)
        if "e" not in text:
            return text[:-2] if text.endswith(".0") else text
    special = _special(value)
    if special is not None:
        return special
    if extra_digits <= 0:
        return _general(value, 15 + extra_digits)
    text = repr(value)
    if abs(value) >= 2.0**53:
        text = _off_midpoint(text, int(value), int(math.ulp(value)))
    return _shortest(*_split(text), fixed_below=15)


def float4_text(value: float, extra_digits: int = 1) -> str:
    """Shortest text that reads back as the same single; with extra_float_digits ≤ 0, 6 + extra significant digits."""
    special = _special(value)
    if special is not None:
        return special
    if extra_digits <= 0:
        return _general(value, 6 + extra_digits)
    text = numpy.format_float_scientific(numpy.float32(value), unique=True, trim="-")
    if abs(value) >= 2.0**24:
        text = _off_midpoint(text, int(value), 1 << math.frexp(value)[1] - 24)
    return _shortest(*_split(text), fixed_below=6)


_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")


def float_key(value: float) -> bytes:
    """memcmp key: IEEE bits with the sign flipped (all bits when negative); -0 as 0, every NaN last."""
    if value != value:
        return b"\xff\xff\xff\xff\xff\xff\xff\xff"
    bits = _U64.unpack(_F64.pack(value + 0.0 if value else 0.0))[0]
    return _U64.pack(bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 0x8000000000000000))


def float_of_key(key: bytes) -> float:
    """The value of a key."""
    (bits,) = _U64.unpack(key)
    found: float = _F64.unpack(_U64.pack(bits ^ (0x8000000000000000 if bits >> 63 else 0xFFFFFFFFFFFFFFFF)))[0]
    return found


def float_order(value: float) -> Datum:
    """The value, or for NaN an object that sorts after all and equals itself."""
    return value if value == value else GREATEST


_receive4, _send4 = fixed_codec(">f")
_receive8, _send8 = fixed_codec(">d")

REGISTRY.add_type(
    PgType(
        oid=700,
        name="float4",
        formatted_name="real",
        length=4,
        by_value=True,
        category="N",
        array=1021,
        input=float4_in,
        output=lambda value, env: float4_text(value, env.extra_float_digits),
        receive=_receive4,
        send=_send4,
        wire=Wire(binary=b"f"),
        disk="f",
        sort_value=float_order,
        sort_key=float_key,
    )
)
REGISTRY.add_type(
    PgType(
        oid=701,
        name="float8",
        formatted_name="double precision",
        length=8,
        by_value=True,
        category="N",
        preferred=True,
        align="d",
        array=1022,
        input=float8_in,
        output=lambda value, env: float8_text(value, env.extra_float_digits),
        receive=_receive8,
        send=_send8,
        wire=Wire(binary=b"d"),
        disk="d",
        sort_value=float_order,
        sort_key=float_key,
    )
)

comparisons(
    """
287 float4eq(float4, float4) bool
288 float4ne(float4, float4) bool
289 float4lt(float4, float4) bool
290 float4le(float4, float4) bool
291 float4gt(float4, float4) bool
292 float4ge(float4, float4) bool
354 btfloat4cmp(float4, float4) int4
293 float8eq(float8, float8) bool
294 float8ne(float8, float8) bool
295 float8lt(float8, float8) bool
296 float8le(float8, float8) bool
297 float8gt(float8, float8) bool
298 float8ge(float8, float8) bool
355 btfloat8cmp(float8, float8) int4
299 float48eq(float4, float8) bool
300 float48ne(float4, float8) bool
301 float48lt(float4, float8) bool
302 float48le(float4, float8) bool
303 float48gt(float4, float8) bool
304 float48ge(float4, float8) bool
2194 btfloat48cmp(float4, float8) int4
305 float84eq(float8, float4) bool
306 float84ne(float8, float4) bool
307 float84lt(float8, float4) bool
308 float84le(float8, float4) bool
309 float84gt(float8, float4) bool
310 float84ge(float8, float4) bool
2195 btfloat84cmp(float8, float4) int4
""",
    float_order,
)


def checked(operation: Callable[..., float], single: bool) -> Callable[..., float]:
    """``operation`` with overflow to infinity from finite arguments refused (22003)."""

    def apply(*arguments: float) -> float:
        try:
            result = operation(*arguments)
        except OverflowError:
            raise NumericValueOutOfRange("value out of range: overflow") from None
        if single and not math.isinf(result):
            result = to_single(result)
        if math.isinf(result) and not any(map(math.isinf, arguments)):
            raise NumericValueOutOfRange("value out of range: overflow")
        return result

    return apply


_RADIANS_PER_DEGREE = 0.0174532925199432957692


def _multiply(a: float, b: float) -> float:
    result = a * b
    if result == 0.0 and a != 0.0 and b != 0.0:
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        if a != a:
            return a
        raise division_by_zero()
    result = a / b
    if result == 0.0 and a != 0.0 and not math.isinf(b):
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


for _single, _pl, _mi, _mul, _div in (
    (
        True,
        "204 float4pl(float4, float4) float4",
        "205 float4mi(float4, float4) float4",
        "202 float4mul(float4, float4) float4",
        "203 float4div(float4, float4) float4",
    ),
    (
        False,
        """
218 float8pl(float8, float8) float8
281 float48pl(float4, float8) float8
285 float84pl(float8, float4) float8
""",
        """
219 float8mi(float8, float8) float8
282 float48mi(float4, float8) float8
286 float84mi(float8, float4) float8
""",
        """
216 float8mul(float8, float8) float8
279 float48mul(float4, float8) float8
283 float84mul(float8, float4) float8
""",
        """
217 float8div(float8, float8) float8
280 float48div(float4, float8) float8
284 float84div(float8, float4) float8
""",
    ),
):
    fns(_pl, checked(operator.add, _single))
    fns(_mi, checked(operator.sub, _single))
    fns(_mul, checked(_multiply, _single))
    fns(_div, checked(_divide, _single))

fns(
    """
206 float4um(float4) float4
220 float8um(float8) float8
""",
    operator.neg,
    "(-{0})",
)
fns(
    """
1913 float4up(float4) float4
1914 float8up(float8) float8
""",
    operator.pos,
    "{0}",
)
fns(
    """
207 float4abs(float4) float4
221 float8abs(float8) float8
1394 abs(float4) float4
1395 abs(float8) float8
""",
    abs,
)
fns(
    """
209 float4larger(float4, float4) float4
223 float8larger(float8, float8) float8
""",
    lambda a, b: a if float_order(a) > float_order(b) else b,
)
fns(
    """
211 float4smaller(float4, float4) float4
224 float8smaller(float8, float8) float8
""",
    lambda a, b: a if float_order(a) < float_order(b) else b,
)


def round_half_even(value: float) -> float:
    """C's rint, keeping the sign of zero."""
    if not math.isfinite(value):
        return value
    return math.copysign(float(round(value)), value)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: math.copysign(float(function(value)), value) if math.isfinite(value) else value


def float_sqrt(value: float) -> float:
    """Square root; 2201F for a negative number."""
    if value < 0:
        raise InvalidArgumentForPower("cannot take square root of a negative number")
    return math.sqrt(value)


def float_power(base: float, exponent: float) -> float:
    """POSIX pow with PostgreSQL's errors: 2201F for a complex result or zero to a negative power."""
    if base != base or exponent != exponent:
        return 1.0 if base == 1.0 or exponent == 0.0 else math.nan
    if base == 0.0 and exponent < 0:
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    if base < 0 and math.isfinite(exponent) and exponent != math.floor(exponent):
        raise InvalidArgumentForPower("a negative number raised to a non-integer power yields a complex result")
    result = math.pow(base, exponent)
    if result == 0.0 and base != 0.0 and math.isfinite(base) and math.isfinite(exponent):
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def apply(value: float) -> float:
        if value == 0.0:
            raise InvalidArgumentForLog("cannot take logarithm of zero")
        if value < 0:
            raise InvalidArgumentForLog("cannot take logarithm of a negative number")
        return function(value)

    return apply


def _exp(value: float) -> float:
    result = math.exp(value)
    if result == 0.0 and math.isfinite(value):
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


def _trigonometric(function: Callable[..., float]) -> Callable[..., float]:
    def apply(*arguments: float) -> float:
        if any(argument != argument for argument in arguments):
            return math.nan
        try:
            return function(*arguments)
        except ValueError:
            raise NumericValueOutOfRange("input is out of range") from None

    return apply


def _cot(value: float) -> float:
    tangent = math.tan(value)
    return 1.0 / tangent if tangent else math.copysign(math.inf, tangent)


def _sinh(value: float) -> float:
    """Infinite where it overflows."""
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _cosh(value: float) -> float:
    """Infinite where it overflows."""
    try:
        return math.cosh(value)
    except OverflowError:
        return math.inf


_sign: Callable[[float], float] = lambda value: float((value > 0) - (value < 0))  # noqa: E731
fns(
    """
2308 ceil(float8) float8
2320 ceiling(float8) float8
""",
    _whole(math.ceil),
)
fn(2309, "floor(float8) float8", _whole(math.floor))
fns(
    """
1342 round(float8) float8
228 dround(float8) float8
""",
    round_half_even,
)
fns(
    """
1343 trunc(float8) float8
229 dtrunc(float8) float8
""",
    _whole(math.trunc),
)
fn(2310, "sign(float8) float8", _sign)
fns(
    """
1344 sqrt(float8) float8
230 dsqrt(float8) float8
""",
    float_sqrt,
)
fns(
    """
1345 cbrt(float8) float8
231 dcbrt(float8) float8
""",
    math.cbrt,
)
fns(
    """
1368 power(float8, float8) float8
1346 pow(float8, float8) float8
232 dpow(float8, float8) float8
""",
    checked(float_power, False),
)
fns(
    """
1347 exp(float8) float8
233 dexp(float8) float8
""",
    checked(_exp, False),
)
fns(
    """
1341 ln(float8) float8
234 dlog1(float8) float8
""",
    _logarithm(math.log),
)
fns(
    """
1340 log(float8) float8
1194 log10(float8) float8
1339 dlog10(float8) float8
""",
    _logarithm(math.log10),
)
fn(1610, "pi() float8", lambda: math.pi)
fn(1604, "sin(float8) float8", _trigonometric(math.sin))
fn(1605, "cos(float8) float8", _trigonometric(math.cos))
fn(1606, "tan(float8) float8", _trigonometric(math.tan))
fn(1607, "cot(float8) float8", _trigonometric(_cot))
fn(1600, "asin(float8) float8", _trigonometric(math.asin))
fn(1601, "acos(float8) float8", _trigonometric(math.acos))
fn(1602, "atan(float8) float8", _trigonometric(math.atan))
fn(1603, "atan2(float8, float8) float8", _trigonometric(math.atan2))
fn(2462, "sinh(float8) float8", _sinh)
fn(2463, "cosh(float8) float8", _cosh)
fn(2464, "tanh(float8) float8", math.tanh)
fn(1608, "degrees(float8) float8", checked(lambda value: value / _RADIANS_PER_DEGREE, False))
fn(1609, "radians(float8) float8", lambda value: _multiply(value, _RADIANS_PER_DEGREE))


def _to_integer(size: int) -> Callable[[float], int]:
    low, high = LOW[size], HIGH[size]

    def convert(value: float) -> int:
        if not math.isfinite(value):
            overflow(size)
        result = round(value)
        return result if low <= result <= high else overflow(size)

    return convert


fns(
    """
235 float8(int2) float8
316 float8(int4) float8
482 float8(int8) float8
""",
    float,
)
fns(
    """
236 float4(int2) float4
318 float4(int4) float4
652 float4(int8) float4
""",
    lambda value: to_single(float(value)),
)
fn(311, "float8(float4) float8", lambda value: value)
fn(312, "float4(float8) float4", to_single)
fns(
    """
238 int2(float4) int2
237 int2(float8) int2
""",
    _to_integer(2),
)
fns(
    """
319 int4(float4) int4
317 int4(float8) int4
""",
    _to_integer(4),
)
fns(
    """
653 int8(float4) int8
483 int8(float8) int8
""",
    _to_integer(8),
)
operators("""
584 - - float4 float4 206
585 - - float8 float8 220
586 float4 + float4 float4 204 commutator=586
587 float4 - float4 float4 205
588 float4 / float4 float4 203
589 float4 * float4 float4 202 commutator=589
590 - @ float4 float4 207
591 float8 + float8 float8 218 commutator=591
592 float8 - float8 float8 219
593 float8 / float8 float8 217
594 float8 * float8 float8 216 commutator=594
595 - @ float8 float8 221
596 - |/ float8 float8 230
597 - ||/ float8 float8 231
620 float4 = float4 bool 287 commutator=620 negator=621 merges hashes
621 float4 <> float4 bool 288 commutator=621 negator=620
622 float4 < float4 bool 289 commutator=623 negator=625
623 float4 > float4 bool 291 commutator=622 negator=624
624 float4 <= float4 bool 290 commutator=625 negator=623
625 float4 >= float4 bool 292 commutator=624 negator=622
670 float8 = float8 bool 293 commutator=670 negator=671 merges hashes
671 float8 <> float8 bool 294 commutator=671 negator=670
672 float8 < float8 bool 295 commutator=674 negator=675
673 float8 <= float8 bool 296 commutator=675 negator=674
674 float8 > float8 bool 297 commutator=672 negator=673
675 float8 >= float8 bool 298 commutator=673 negator=672
965 float8 ^ float8 float8 232
1116 float4 + float8 float8 281 commutator=1126
1117 float4 - float8 float8 282
1118 float4 / float8 float8 280
1119 float4 * float8 float8 279 commutator=1129
1120 float4 = float8 bool 299 commutator=1130 negator=1121 merges hashes
1121 float4 <> float8 bool 300 commutator=1131 negator=1120
1122 float4 < float8 bool 301 commutator=1133 negator=1125
1123 float4 > float8 bool 303 commutator=1132 negator=1124
1124 float4 <= float8 bool 302 commutator=1135 negator=1123
1125 float4 >= float8 bool 304 commutator=1134 negator=1122
1126 float8 + float4 float8 285 commutator=1116
1127 float8 - float4 float8 286
1128 float8 / float4 float8 284
1129 float8 * float4 float8 283 commutator=1119
1130 float8 = float4 bool 305 commutator=1120 negator=1131 merges hashes
1131 float8 <> float4 bool 306 commutator=1121 negator=1130
1132 float8 < float4 bool 307 commutator=1123 negator=1135
1133 float8 > float4 bool 309 commutator=1122 negator=1134
1134 float8 <= float4 bool 308 commutator=1125 negator=1133
1135 float8 >= float4 bool 310 commutator=1124 negator=1132
1919 - + float4 float4 1913
1920 - + float8 float8 1914
""")
casts("""
10002 int8 float4 652 i f
10003 int8 float8 482 i f
10007 int2 float4 236 i f
10008 int2 float8 235 i f
10012 int4 float4 318 i f
10013 int4 float8 316 i f
10015 float4 int8 653 a f
10016 float4 int2 238 a f
10017 float4 int4 319 a f
10018 float4 float8 311 i f
10020 float8 int8 483 a f
10021 float8 int2 237 a f
10022 float8 int4 317 a f
10023 float8 float4 312 a f
""")
operator_classes("""
3123 float8_ops 1970 float_ops float8 403 default 672,673,670,675,674 355,3133,4139
10012 float4_ops 1970 float_ops float4 403 default 622,624,620,625,623 354,3132
10013 float4_ops 1971 float_ops float4 405 default 620 451,443
10014 float8_ops 1971 float_ops float8 405 default 670 452,444
""")
family_operators("""
1970 403 float4 float8 1122,1124,1120,1125,1123
1970 403 float8 float4 1132,1134,1130,1135,1133
1971 405 float4 float8 1120
1971 405 float8 float4 1130
""")
