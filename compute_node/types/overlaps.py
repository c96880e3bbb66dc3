"""OVERLAPS: whether two periods, each of two ends or of an end and a length, share an instant (manual, 9.9)."""

from __future__ import annotations

from aurora.datum import Datum
from compute_node.types.calendar_ import DAY_US
from compute_node.types.datetime_functions import add_interval, add_interval_zoned
from compute_node.types.declare import fn, fns
from compute_node.types.interval import Interval, TimeTz, timetz_order
from compute_node.types.registry import FunctionContext


def _overlaps(start: int | None, end: int | None, start2: int | None, end2: int | None) -> bool | None:
    """Whether two periods, given by their ends in either order, share an instant; a point period counts as its
    instant. NULL where an unknown end decides (manual, 9.9)."""

    def ordered(one: int | None, other: int | None) -> tuple[int | None, int | None]:
        if one is None:
            return other, None
        return (one, None) if other is None else (min(one, other), max(one, other))

    first, first_end = ordered(start, end)
    second, second_end = ordered(start2, end2)
    if first is None or second is None:
        return None
    if first > second:
        first, first_end, second, second_end = second, second_end, first, first_end
    if first == second:
        return None if first_end is None or second_end is None else True
    if first_end is None:
        return None
    if second < first_end:
        return True
    return None if second_end is None else False


fns(
    """
1304 overlaps(timestamptz, timestamptz, timestamptz, timestamptz) bool nullable
1308 overlaps(time, time, time, time) bool nullable
2041 overlaps(timestamp, timestamp, timestamp, timestamp) bool nullable
""",
    _overlaps,
)


def _timestamp_end(start: int | None, span: Interval | None) -> int | None:
    return None if start is None or span is None else add_interval(start, span)


fn(
    2042,
    "overlaps(timestamp, interval, timestamp, interval) bool nullable",
    lambda a, b, c, d: _overlaps(a, _timestamp_end(a, b), c, _timestamp_end(c, d)),
)
fn(
    2043,
    "overlaps(timestamp, timestamp, timestamp, interval) bool nullable",
    lambda a, b, c, d: _overlaps(a, b, c, _timestamp_end(c, d)),
)
fn(
    2044,
    "overlaps(timestamp, interval, timestamp, timestamp) bool nullable",
    lambda a, b, c, d: _overlaps(a, _timestamp_end(a, b), c, d),
)


def _time_end(start: int | None, span: Interval | None) -> int | None:
    return None if start is None or span is None else (start + span.us) % DAY_US


def _zoned_end(context: FunctionContext, start: int | None, span: Interval | None) -> int | None:
    return None if start is None or span is None else add_interval_zoned(start, span, context.env)


fn(
    1309,
    "overlaps(time, interval, time, interval) bool nullable",
    lambda a, b, c, d: _overlaps(a, _time_end(a, b), c, _time_end(c, d)),
)
fn(
    1310,
    "overlaps(time, time, time, interval) bool nullable",
    lambda a, b, c, d: _overlaps(a, b, c, _time_end(c, d)),
)
fn(
    1311,
    "overlaps(time, interval, time, time) bool nullable",
    lambda a, b, c, d: _overlaps(a, _time_end(a, b), c, d),
)
fn(
    1305,
    "overlaps(timestamptz, interval, timestamptz, interval) bool stable nullable",
    lambda context, a, b, c, d: _overlaps(a, _zoned_end(context, a, b), c, _zoned_end(context, c, d)),
    needs_context=True,
)
fn(
    1306,
    "overlaps(timestamptz, timestamptz, timestamptz, interval) bool stable nullable",
    lambda context, a, b, c, d: _overlaps(a, b, c, _zoned_end(context, c, d)),
    needs_context=True,
)
fn(
    1307,
    "overlaps(timestamptz, interval, timestamptz, timestamptz) bool stable nullable",
    lambda context, a, b, c, d: _overlaps(a, _zoned_end(context, a, b), c, d),
    needs_context=True,
)


def _timetz_key(value: TimeTz | None) -> Datum:
    return None if value is None else timetz_order(value)


fn(
    1271,
    "overlaps(timetz, timetz, timetz, timetz) bool nullable",
    lambda *ends: _overlaps(*map(_timetz_key, ends)),
)
