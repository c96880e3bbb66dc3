"""Constructors of ranges and multiranges, the canonical and difference functions of the built-in ones.

A user's range type has constructors too: rows of pg_proc in the language internal, whose symbols are those of these.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aurora.errors import (
    CardinalityViolation,
    DataException,
    NullValueNotAllowed,
    SqlSyntaxError,
)
from compute_node.types.array_value import Array
from compute_node.types.declare import fn, specialized
from compute_node.types.numeric import subtract, to_float8
from compute_node.types.ranges.functions import form_of
from compute_node.types.ranges.value import (
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
    make_multirange,
    make_range,
)
from compute_node.types.registry import PgType

Types = tuple[PgType, ...]
_FLAGS = {"[]": LOWER_INCLUSIVE | UPPER_INCLUSIVE, "[)": LOWER_INCLUSIVE, "(]": UPPER_INCLUSIVE, "()": 0}


def _constructor(types: Types, result: PgType) -> Callable[..., Range]:
    form = form_of(result)

    def construct(lower: Any, upper: Any, bounds: str | None = "[)") -> Range:
        if bounds is None:
            raise DataException("range constructor flags argument must not be null")
        flags = _FLAGS.get(bounds)
        if flags is None:
            raise SqlSyntaxError("invalid range bound flags", hint='Valid values are "[]", "[)", "(]", and "()".')
        flags |= (LOWER_INFINITE if lower is None else 0) | (UPPER_INFINITE if upper is None else 0)
        return make_range(form, lower, upper, flags)

    return construct


def _no_ranges(types: Types, result: PgType) -> Callable[[], Multirange]:
    return lambda: Multirange(())


def _one_range(types: Types, result: PgType) -> Callable[[Range], Multirange]:
    form = form_of(result)
    return lambda value: make_multirange(form, (value,))


def _several_ranges(types: Types, result: PgType) -> Callable[[Array], Multirange]:
    form = form_of(result)

    def construct(ranges: Array) -> Multirange:
        if ranges and isinstance(ranges[0], list):
            raise CardinalityViolation("multiranges cannot be constructed from multidimensional arrays")
        if None in ranges:
            raise NullValueNotAllowed("multirange values cannot contain null members")
        return make_multirange(form, ranges)

    return construct


for _name, _multi, _subtype, _oid, _multi_oid in (
    ("int4range", "int4multirange", "int4", 3840, 4280),
    ("numrange", "nummultirange", "numeric", 3844, 4283),
    ("tsrange", "tsmultirange", "timestamp", 3933, 4286),
    ("tstzrange", "tstzmultirange", "timestamptz", 3937, 4289),
    ("daterange", "datemultirange", "date", 3941, 4292),
    ("int8range", "int8multirange", "int8", 3945, 4295),
):
    _pair = f"{_subtype}, {_subtype}"
    specialized(_oid, f"{_name}({_pair}) {_name} nullable", _constructor, source="range_constructor2")
    specialized(_oid + 1, f"{_name}({_pair}, text) {_name} nullable", _constructor, source="range_constructor3")
    specialized(_multi_oid, f"{_multi}() {_multi}", _no_ranges, source="multirange_constructor0")
    specialized(_multi_oid + 1, f"{_multi}({_name}) {_multi}", _one_range, source="multirange_constructor1")
    specialized(
        _multi_oid + 2, f"{_multi}(variadic {_name}[]) {_multi}", _several_ranges, source="multirange_constructor2"
    )
specialized(4298, "multirange(anyrange) anymultirange", _one_range, source="multirange_constructor1")


def _canonical(types: Types, result: PgType) -> Callable[[Range], Range]:
    form = form_of(types[0])
    return lambda value: make_range(form, value.lower, value.upper, value.flags)


for _oid, _name in ((3914, "int4range"), (3928, "int8range"), (3915, "daterange")):
    specialized(_oid, f"{_name}_canonical({_name}) {_name}", _canonical)


def _integer_difference(a: int, b: int) -> float:
    return float(a) - float(b)


def _numeric_difference(a: Decimal, b: Decimal) -> float:
    return to_float8(subtract(a, b))


def _time_difference(a: int, b: int) -> float:
    """Seconds, as floats count them."""
    return (float(a) - float(b)) / 1000000


fn(3922, "int4range_subdiff(int4, int4) float8", _integer_difference)
fn(3923, "int8range_subdiff(int8, int8) float8", _integer_difference)
fn(3924, "numrange_subdiff(numeric, numeric) float8", _numeric_difference)
fn(3925, "daterange_subdiff(date, date) float8", _integer_difference)
fn(3929, "tsrange_subdiff(timestamp, timestamp) float8", _time_difference)
fn(3930, "tstzrange_subdiff(timestamptz, timestamptz) float8", _time_difference)
