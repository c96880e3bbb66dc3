"""Input functions of the families whose types users make: the type is the OID that they are given (manual, 38.10).

The value of ``array_in('{1,2}', 23, -1)`` is of the pseudo-type anyarray, which is all that analysis knows: so that it
can be shown, the value knows its type itself (``pseudo``). ``catalog/functions/typed_inputs`` answers.
"""

from __future__ import annotations

from typing import Protocol

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.types.array_value import BoundedArray, lower_bounds
from compute_node.types.forwards import forwards
from compute_node.types.ranges.value import Multirange, Range
from compute_node.types.registry import PgType

forwards("""
750 array_in(cstring, oid, int4) anyarray stable
2597 domain_in(cstring, oid, int4) any stable nullable
3506 enum_in(cstring, oid) anyenum stable
3834 range_in(cstring, oid, int4) anyrange stable
4231 multirange_in(cstring, oid, int4) anymultirange stable
2290 record_in(cstring, oid, int4) record stable
""")


class _Known(Protocol):
    """A value that knows its type."""

    kind: PgType


class _Array(BoundedArray):
    __slots__ = ("kind",)
    kind: PgType


class _Label(int):
    kind: PgType


class _Range(Range):
    __slots__ = ("kind",)
    kind: PgType


class _Multirange(Multirange):
    __slots__ = ("kind",)
    kind: PgType


def _copy(value: Datum) -> _Known:
    if isinstance(value, list):
        return _Array(value, lower_bounds(value))
    if isinstance(value, Range):
        return _Range(value.lower, value.upper, value.flags)
    if isinstance(value, Multirange):
        return _Multirange(value.ranges)
    if isinstance(value, int):
        return _Label(value)
    raise InvariantViolation(f"{type(value).__name__} is no value of an array, an enum, a range or a multirange")


def with_type(value: Datum, kind: PgType) -> Datum:
    """The value of an array, an enum, a range or a multirange as one that knows its type."""
    known = _copy(value)
    known.kind = kind
    return known
