"""Built-in functions that work on columns: arithmetic, comparisons, casts, LIKE. Each answers what the function of that
name answers for every row, or raises ``Unsuited``: also where the function would raise an error for some row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from aurora.kernels import columns as kernel
from aurora.kernels.python.columns import SCALE_MAX
from compute_node.exec.vectors.vector import EXACT_FLOAT, Flags, Ints, Unsuited, Vector, guarded, rescaled
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.types import oids
from compute_node.types.calendar_ import DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY
from compute_node.types.integer import HIGH, LOW
from compute_node.types.long_text import paced
from compute_node.types.registry import Function

Operator = Callable[..., Vector]
Compare = Callable[[NDArray[np.generic], NDArray[np.generic]], Flags]

_BYTES: Final = {oids.INT2: 2, oids.INT4: 4, oids.INT8: 8}
_COMPARISONS: Final[dict[str, Compare]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_INTEGER: Final = re.compile(r"int(?:2|4|8|24|28|42|48|82|84)(pl|mi|mul|div|mod|um|eq|ne|lt|le|gt|ge)")
_REAL: Final = re.compile(r"float8(pl|mi|mul|div|um)")
_NUMERIC: Final = re.compile(r"numeric_(add|sub|mul|uminus)")
_ORDERED: Final = re.compile(
    r"(?:oid|bool|(?:date|time|timestamp|timestamptz)_|float(?:4|8|48|84)|numeric_)(eq|ne|lt|le|gt|ge)"
)
_MIXED: Final = re.compile(r"(date_(eq|ne|lt|le|gt|ge)_timestamp|timestamp_(eq|ne|lt|le|gt|ge)_date)")
_TEXT: Final = re.compile(r"(text|bpchar)(eq|ne)")
_LIKE: Final = re.compile(r"(?:text|bpchar)(n?)like")
_DAY_US: Final = 86_400_000_000


def column_operator(function: Function) -> Operator | None:
    """The function over columns; None when there is none. Its arguments are ``Vector``s of one length, or constants."""
    name = function.name
    if function.oid >= FIRST_NORMAL_OID:
        return None
    if found := _INTEGER.fullmatch(name):
        if found[1] in _COMPARISONS:
            return _compare(_COMPARISONS[found[1]])
        width = _BYTES[function.result]
        return _INTEGERS[found[1]](LOW[width], HIGH[width])
    if found := _REAL.fullmatch(name):
        return _REALS[found[1]]
    if found := _NUMERIC.fullmatch(name):
        return _NUMERICS[found[1]]
    if found := _ORDERED.fullmatch(name):
        return _compare(_COMPARISONS[found[1]])
    if found := _MIXED.fullmatch(name):
        return _compare_days(_COMPARISONS[found[2] or found[3]], bool(found[2]))
    if found := _TEXT.fullmatch(name):
        return _equal_texts(found[2] == "ne", found[1] == "bpchar")
    if found := _LIKE.fullmatch(name):
        return _like(bool(found[1]), function.implementation)
    if name == "extract" and function.arguments[1:] in ((oids.DATE,), (oids.TIMESTAMP,)):
        return _extract(function.arguments[1] == oids.DATE)
    return _CASTS.get((name, function.arguments))


_SAME: Final = re.compile(
    r"(?:int(?:2|4|8|24|28|42|48|82|84)|oid|(?:date|time|timestamp|timestamptz)_|text|bpchar)(eq|ne)"
)


def is_membership(function: Function, use_or: bool) -> bool:
    """Whether ANY (``use_or``) or ALL of an array by this function asks whether a value is one of its elements, whose
    numbers or bytes are the same then."""
    found = _SAME.fullmatch(function.name) if function.oid < FIRST_NORMAL_OID else None
    return found is not None and (found[1] == "eq") == use_or


def nulls_of(vectors: Sequence[Vector]) -> Flags | None:
    """Where one of them is NULL."""
    found: Flags | None = None
    for vector in vectors:
        if vector.nulls is not None:
            found = vector.nulls if found is None else found | vector.nulls
    return found


def _refuse(bad: Flags, nulls: Flags | None) -> None:
    """``Unsuited`` where a value that counts is bad."""
    if bad.any() and (nulls is None or (bad & ~nulls).any()):
        raise Unsuited


def _of(
    kind: str, values: NDArray[np.generic], nulls: Flags | None, vectors: Sequence[Vector], scale: int = 0
) -> Vector:
    return Vector(kind, values, nulls, scale, is_constant=all(each.is_constant for each in vectors))


def _typed(kind: str, *vectors: Vector) -> None:
    """A column that has become objects is not for us."""
    if any(vector.kind != kind for vector in vectors):
        raise Unsuited


# Integers: the sum of two that are in range has 64 bits unless they are bigints.


def _added(sign: int) -> Callable[[int, int], Operator]:
    def make(low: int, high: int) -> Operator:
        def add(a: Vector, b: Vector) -> Vector:
            _typed("i", a, b)
            nulls = nulls_of((a, b))
            if high == HIGH[8]:
                _refuse(np.abs(a.values * 1.0 + sign * (b.values * 1.0)) >= EXACT_FLOAT, nulls)
            values = a.values + b.values if sign > 0 else a.values - b.values
            if high < HIGH[8]:
                _refuse((values < low) | (values > high), nulls)
            return _of("i", values, nulls, (a, b))

        return add

    return make


def _multiplied(low: int, high: int) -> Operator:
    def multiply(a: Vector, b: Vector) -> Vector:
        _typed("i", a, b)
        nulls = nulls_of((a, b))
        if high == HIGH[8]:
            _refuse(np.abs(a.values * 1.0 * b.values) >= EXACT_FLOAT, nulls)
        values = a.values * b.values
        if high < HIGH[8]:
            _refuse((values < low) | (values > high), nulls)
        return _of("i", values, nulls, (a, b))

    return multiply


def _divided(low: int, high: int) -> Operator:
    def divide(a: Vector, b: Vector) -> Vector:
        _typed("i", a, b)
        nulls = nulls_of((a, b))
        zero = b.values == 0
        _refuse(zero, nulls)
        # The lowest number has no opposite.
        _refuse((b.values == -1) & (a.values == low), nulls)
        divisor = np.where(zero, 1, b.values) if zero.any() else b.values
        values = a.values // divisor
        # Towards zero, not down.
        values += (a.values % divisor != 0) & ((a.values < 0) != (divisor < 0))
        return _of("i", values, nulls, (a, b))

    return divide


def _rest(low: int, high: int) -> Operator:
    def rest(a: Vector, b: Vector) -> Vector:
        _typed("i", a, b)
        nulls = nulls_of((a, b))
        zero = b.values == 0
        _refuse(zero, nulls)
        divisor = np.where(zero | (b.values == -1), 1, b.values)
        return _of("i", np.fmod(a.values, divisor), nulls, (a, b))

    return rest


def _opposite(low: int, high: int) -> Operator:
    def negate(a: Vector) -> Vector:
        _typed("i", a)
        _refuse(a.values == low, a.nulls)
        return _of("i", -a.values, a.nulls, (a,))

    return negate


_INTEGERS: Final[dict[str, Callable[[int, int], Operator]]] = {
    "pl": _added(1),
    "mi": _added(-1),
    "mul": _multiplied,
    "div": _divided,
    "mod": _rest,
    "um": _opposite,
}


# Floats.


def _real(operation: Callable[..., NDArray[np.float64]], may_vanish: bool, divides: bool = False) -> Operator:
    def compute(a: Vector, b: Vector) -> Vector:
        _typed("f", a, b)
        nulls = nulls_of((a, b))
        if divides:
            _refuse(b.values == 0, nulls)
        with np.errstate(all="ignore"):
            values = operation(a.values, b.values)
        if not np.isfinite(values).all():
            _refuse(~np.isfinite(values), nulls)
        if may_vanish:
            _refuse((values == 0) & (a.values != 0) & ((b.values != 0) | divides), nulls)
        return _of("f", values, nulls, (a, b))

    return compute


def _opposite_real(a: Vector) -> Vector:
    _typed("f", a)
    return _of("f", -a.values, a.nulls, (a,))


_REALS: Final[dict[str, Operator]] = {
    "pl": _real(np.add, False),
    "mi": _real(np.subtract, False),
    "mul": _real(np.multiply, True),
    "div": _real(np.divide, True, True),
    "um": _opposite_real,
}


# Numerics: unscaled integers with the scale that the result has.


def _exact(*vectors: Vector) -> None:
    """The shown decimals of a result are known when all values of a column have as many."""
    _typed("n", *vectors)
    if any(vector.scales is not None for vector in vectors):
        raise Unsuited


def _added_numeric(sign: int) -> Operator:
    def add(a: Vector, b: Vector) -> Vector:
        _exact(a, b)
        scale = max(a.scale, b.scale)
        left, right = rescaled(a, scale), rescaled(b, scale)
        nulls = nulls_of((a, b))
        _refuse(np.abs(left * 1.0 + sign * (right * 1.0)) >= EXACT_FLOAT, nulls)
        return _of("n", left + right if sign > 0 else left - right, nulls, (a, b), scale)

    return add


def _multiplied_numeric(a: Vector, b: Vector) -> Vector:
    _exact(a, b)
    if a.scale + b.scale > SCALE_MAX:
        raise Unsuited
    nulls = nulls_of((a, b))
    _refuse(np.abs(a.values * 1.0 * b.values) >= EXACT_FLOAT, nulls)
    return _of("n", a.values * b.values, nulls, (a, b), a.scale + b.scale)


def _opposite_numeric(a: Vector) -> Vector:
    _exact(a)
    return _of("n", -a.values, a.nulls, (a,), a.scale)


_NUMERICS: Final[dict[str, Operator]] = {
    "add": _added_numeric(1),
    "sub": _added_numeric(-1),
    "mul": _multiplied_numeric,
    "uminus": _opposite_numeric,
}


# Comparisons.


def _compare(operation: Compare) -> Operator:
    def compare(a: Vector, b: Vector) -> Vector:
        kind = a.kind
        if kind != b.kind or kind in "os":
            raise Unsuited
        left, right = a.values, b.values
        if kind == "n":
            scale = max(a.scale, b.scale)
            left, right = rescaled(a, scale), rescaled(b, scale)
        elif kind == "f" and (np.isnan(left).any() or np.isnan(right).any()):
            raise Unsuited
        return _of("b", operation(left, right), nulls_of((a, b)), (a, b))

    return compare


def _midnights(days: Vector) -> Ints:
    """A date's first microsecond. Whether a date is beyond what a timestamp can be is for the row-wise code."""
    limit = TIMESTAMP_INFINITY // _DAY_US // 2
    endless = (days.values == DATE_INFINITY) | (days.values == DATE_MINUS_INFINITY)
    _refuse((np.abs(days.values) > limit) | endless, days.nulls)
    found: Ints = np.where(endless, 0, days.values) * _DAY_US
    return found


def _compare_days(operation: Compare, date_first: bool) -> Operator:
    def compare(a: Vector, b: Vector) -> Vector:
        _typed("i", a, b)
        left, right = (_midnights(a), b.values) if date_first else (a.values, _midnights(b))
        return _of("b", operation(left, right), nulls_of((a, b)), (a, b))

    return compare


# Texts, as their bytes: equal ones have equal bytes, in collations that are deterministic.


def _text_of(constant: Vector) -> bytes:
    data: bytes = constant.values
    return data


def _equal_texts(negated: bool, padded: bool) -> Operator:
    def equal(a: Vector, b: Vector) -> Vector:
        _typed("s", a, b)
        if a.is_constant and not b.is_constant:
            a, b = b, a
        if b.is_constant:
            found = kernel.equal_to(a.values, a.offsets, _text_of(b), padded)
        else:
            found = kernel.pairwise_equal(a.values, a.offsets, b.values, b.offsets, padded)
        return _of("b", ~found if negated else found, nulls_of((a, b)), (a, b))

    return equal


def like_parts(pattern: str) -> tuple[bytes, ...] | None:
    """The texts between the pattern's per cents; None when there is more to it."""
    parts, at = [""], 0
    while at < len(pattern):
        character = pattern[at]
        if character == "_":
            return None
        if character == "%":
            parts.append("")
        elif character == "\\":
            at += 1
            if at == len(pattern):
                return None
            parts[-1] += pattern[at]
        else:
            parts[-1] += character
        at += 1
    return tuple(part.encode() for part in parts)


def _like(negated: bool, matches: Callable[..., Datum]) -> Operator:
    def like(a: Vector, b: Vector) -> Vector:
        _typed("s", a, b)
        if not b.is_constant:
            raise Unsuited
        nulls = nulls_of((a, b))
        pattern = _text_of(b).decode()
        parts = like_parts(pattern)
        if parts is not None:
            found = kernel.like(a.values, a.offsets, parts)
            return _of("b", ~found if negated else found, nulls, (a, b))
        texts = paced(kernel.strings(a.values, a.offsets))
        found = np.array(guarded(lambda: [matches(text, pattern) for text in texts]), np.bool_)
        return _of("b", found, nulls, (a, b))

    return like


# Fields of dates and timestamps.

_EPOCH: Final = np.datetime64("2000-01-01")
_YEAR_MAX: Final = 200_000


def _extract(of_date: bool) -> Operator:
    def extract(field: Vector, moment: Vector) -> Vector:
        _typed("s", field)
        _typed("i", moment)
        wanted = _text_of(field).decode().lower()
        if not field.is_constant or field.nulls is not None or wanted not in ("year", "month", "day"):
            raise Unsuited
        days = moment.values if of_date else moment.values // _DAY_US
        endless = np.abs(days) > _YEAR_MAX * 365
        _refuse(endless, moment.nulls)
        date = _EPOCH + np.where(endless, 0, days).astype("timedelta64[D]")
        years = date.astype("datetime64[Y]").astype(np.int64) + 1970
        # There is no year 0.
        _refuse(years <= 0, moment.nulls)
        found = years
        if wanted == "month":
            found = date.astype("datetime64[M]").astype(np.int64) % 12 + 1
        elif wanted == "day":
            found = (date - date.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
        return _of("n", found, nulls_of((field, moment)), (moment,))

    return extract


# Casts.


def _same(a: Vector) -> Vector:
    return a


def _to_real(a: Vector) -> Vector:
    _typed("i", a)
    return _of("f", a.values.astype(np.float64), a.nulls, (a,))


def _to_numeric(a: Vector) -> Vector:
    _typed("i", a)
    _refuse(a.values == LOW[8], a.nulls)
    return _of("n", a.values, a.nulls, (a,))


_CASTS: Final[dict[tuple[str, tuple[int, ...]], Operator]] = {
    ("int4", (oids.INT2,)): _same,
    ("int8", (oids.INT4,)): _same,
    ("int8", (oids.INT2,)): _same,
    ("float8", (oids.FLOAT4,)): _same,
    **{("float8", (each,)): _to_real for each in _BYTES},
    **{("numeric", (each,)): _to_numeric for each in _BYTES},
}
