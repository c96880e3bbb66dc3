"""Date and time arithmetic and functions (manual, 9.9): intervals, extract, date_trunc, age, AT TIME ZONE, make_*,
now().

Months are added first (the day clamped to the month), then days, then µs; for timestamptz months and days in local
time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from aurora.datum import Datum
from aurora.errors import DatetimeFieldOverflow, InvalidParameterValue, NotSupported, SqlError
from aurora.kernels import moments
from compute_node.types.calendar_ import (
    DATE_INFINITY,
    DATE_MINUS_INFINITY,
    DAY_US,
    EPOCH_JULIAN,
    HOUR_US,
    MINUTE_US,
    SECOND_US,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_MINUS_INFINITY,
    UNIX_EPOCH_US,
    civil_from_days,
    days_from_civil,
    find_zone,
    fixed_zone,
    iso_week,
    local_to_utc,
    month_length,
    offsets_of,
    utc_offset_seconds,
    utc_to_local,
)
from compute_node.types.common import division_by_zero
from compute_node.types.datetime_ import (
    check_date,
    check_timestamp,
    date_plus,
    date_to_timestamp,
    is_infinite,
    timestamp_to_timestamptz,
)
from compute_node.types.datetime_parse import DAY_NAMES, MONTH_NAMES
from compute_node.types.declare import fn, fns, operators
from compute_node.types.interval import Interval, TimeTz, checked_interval, interval_out, interval_span
from compute_node.types.numeric import EXACT, quotient
from compute_node.types.registry import FunctionContext, TypeEnv

# timestamp ± interval

add_interval = moments.plus_interval


def add_interval_zoned(us: int, span: Interval, env: TypeEnv) -> int:
    """timestamptz + interval: months and days in the session's zone."""
    found = offsets_of(env.timezone).later(us, span)
    if found is not None:
        return found
    if span.months or span.days:
        us = local_to_utc(
            add_interval(utc_to_local(us, env.timezone), Interval(span.months, span.days, 0)), env.timezone
        )
    return check_timestamp(us + span.us)


def negate(span: Interval) -> Interval:
    """-interval; 22008 on overflow."""
    return checked_interval(-span.months, -span.days, -span.us)


def justify_hours(span: Interval) -> Interval:
    """24-hour runs of µs become days, signs alike."""
    whole = _truncate(span.us, DAY_US)
    days, us = span.days + whole, span.us - whole * DAY_US
    checked_interval(span.months, days, us)
    if days > 0 and us < 0:
        return Interval(span.months, days - 1, us + DAY_US)
    if days < 0 and us > 0:
        return Interval(span.months, days + 1, us - DAY_US)
    return Interval(span.months, days, us)


def _truncate(number: int, unit: int) -> int:
    return number // unit if number >= 0 else -(-number // unit)


def justify_days(span: Interval) -> Interval:
    """30-day runs become months, signs alike."""
    whole = _truncate(span.days, 30)
    months, days = span.months + whole, span.days - whole * 30
    checked_interval(months, days, span.us)
    if months > 0 and days < 0:
        return Interval(months - 1, days + 30, span.us)
    if months < 0 and days > 0:
        return Interval(months + 1, days - 30, span.us)
    return Interval(months, days, span.us)


def _justify_interval(span: Interval) -> Interval:
    months, days, us = span
    # Days and µs of one sign go over first, so that the months do not overflow on the way.
    if (days > 0 and us > 0) or (days < 0 and us < 0):
        whole = _truncate(days, 30)
        months, days = months + whole, days - whole * 30
    whole = _truncate(us, DAY_US)
    days, us = days + whole, us - whole * DAY_US
    whole = _truncate(days, 30)
    months, days = months + whole, days - whole * 30
    checked_interval(months, days, us)
    if months > 0 and (days < 0 or (days == 0 and us < 0)):
        months, days = months - 1, days + 30
    elif months < 0 and (days > 0 or (days == 0 and us > 0)):
        months, days = months + 1, days - 30
    if days > 0 and us < 0:
        days, us = days - 1, us + DAY_US
    elif days < 0 and us > 0:
        days, us = days + 1, us - DAY_US
    return Interval(months, days, us)


_PLAIN_FACTOR = 1e200


def multiply(span: Interval, factor: float) -> Interval:
    """interval * number; fractions of months become days, of days µs."""
    if not span.months and not span.days and abs(factor) < _PLAIN_FACTOR:
        return checked_interval(0, 0, round(span.us * factor))
    return _scaled(span, span.months * factor, span.days * factor, span.us * factor)


def divide(span: Interval, divisor: float) -> Interval:
    """interval / number, as ``multiply``; 22012."""
    if divisor == 0:
        raise division_by_zero()
    return _scaled(span, span.months / divisor, span.days / divisor, span.us / divisor)


def _scaled(span: Interval, exact_months: float, exact_days: float, exact_us: float) -> Interval:
    if not (math.isfinite(exact_months) and math.isfinite(exact_days) and math.isfinite(exact_us)):
        raise DatetimeFieldOverflow("interval out of range")
    months, days = math.trunc(exact_months), math.trunc(exact_days)
    checked_interval(months, days, 0)
    month_rest_days = round((exact_months - months) * 30, 6)
    seconds = round((exact_days - days + month_rest_days - math.trunc(month_rest_days)) * 86400, 6)
    if abs(seconds) >= 86400:
        days += math.trunc(seconds / 86400)
        seconds -= math.trunc(seconds / 86400) * 86400
    return checked_interval(months, days + math.trunc(month_rest_days), round(exact_us + seconds * SECOND_US))


def _plus(a: Interval, b: Interval) -> Interval:
    return checked_interval(a.months + b.months, a.days + b.days, a.us + b.us)


fn(2032, "timestamp_pl_interval(timestamp, interval) timestamp", add_interval)
fn(
    2033,
    "timestamp_mi_interval(timestamp, interval) timestamp",
    lambda us, span: add_interval(us, negate(span)),
)
fn(
    1189,
    "timestamptz_pl_interval(timestamptz, interval) timestamptz stable",
    lambda context, us, span: add_interval_zoned(us, span, context.env),
    needs_context=True,
)
fn(
    1190,
    "timestamptz_mi_interval(timestamptz, interval) timestamptz stable",
    lambda context, us, span: add_interval_zoned(us, negate(span), context.env),
    needs_context=True,
)
fn(2548, "interval_pl_timestamp(interval, timestamp) timestamp", lambda span, us: add_interval(us, span))
fn(
    2549,
    "interval_pl_timestamptz(interval, timestamptz) timestamptz stable",
    lambda context, span, us: add_interval_zoned(us, span, context.env),
    needs_context=True,
)
fn(
    2546,
    "interval_pl_date(interval, date) timestamp",
    lambda span, days: add_interval(date_to_timestamp(days), span),
)
fn(
    2071,
    "date_pl_interval(date, interval) timestamp",
    lambda days, span: add_interval(date_to_timestamp(days), span),
)
fn(
    2072,
    "date_mi_interval(date, interval) timestamp",
    lambda days, span: add_interval(date_to_timestamp(days), negate(span)),
)
fn(2031, "timestamp_mi(timestamp, timestamp) interval", moments.difference)
fn(1188, "timestamptz_mi(timestamptz, timestamptz) interval", moments.difference)
fn(1168, "interval_um(interval) interval", negate)
fn(1169, "interval_pl(interval, interval) interval", _plus)
fn(1170, "interval_mi(interval, interval) interval", lambda a, b: _plus(a, negate(b)))


def _at_time(days: int, us: int) -> int:
    """A date and a time of day as a timestamp; infinite dates stay."""
    midnight = date_to_timestamp(days)
    return midnight if is_infinite(midnight) else check_timestamp(midnight + us)


fn(1618, "interval_mul(interval, float8) interval", multiply)
fn(1624, "mul_d_interval(float8, interval) interval", lambda factor, span: multiply(span, factor))
fn(1326, "interval_div(interval, float8) interval", divide)
fn(1198, "interval_larger(interval, interval) interval", lambda a, b: a if interval_span(a) > interval_span(b) else b)
fn(1197, "interval_smaller(interval, interval) interval", lambda a, b: a if interval_span(a) < interval_span(b) else b)
fn(1175, "justify_hours(interval) interval", justify_hours)
fn(1295, "justify_days(interval) interval", justify_days)
fn(2711, "justify_interval(interval) interval", _justify_interval)
fn(2550, "integer_pl_date(int4, date) date", lambda count, days: date_plus(days, count))
fns(
    """
1272 datetime_pl(date, time) timestamp
2025 timestamp(date, time) timestamp
""",
    _at_time,
)
fn(
    1298,
    "timetzdate_pl(timetz, date) timestamptz",
    lambda value, days: _at_time(days, value.us + value.west_seconds * SECOND_US),
)
fn(1296, "timedate_pl(time, date) timestamp", lambda us, days: _at_time(days, us))
fn(
    1297,
    "datetimetz_pl(date, timetz) timestamptz",
    lambda days, value: _at_time(days, value.us + value.west_seconds * SECOND_US),
)


def _timetz_plus(value: TimeTz, span_us: int) -> TimeTz:
    return TimeTz((value.us + span_us) % DAY_US, value.west_seconds)


fn(1749, "timetz_pl_interval(timetz, interval) timetz", lambda value, span: _timetz_plus(value, span.us))
fn(1750, "timetz_mi_interval(timetz, interval) timetz", lambda value, span: _timetz_plus(value, -span.us))
fn(2547, "interval_pl_timetz(interval, timetz) timetz", lambda span, value: _timetz_plus(value, span.us))
fn(1390, "isfinite(interval) bool", lambda span: True)
fn(
    1359,
    "timestamptz(date, timetz) timestamptz",
    lambda days, value: _at_time(days, value.us + value.west_seconds * SECOND_US),
)
fn(
    1176,
    "timestamptz(date, time) timestamptz stable",
    lambda context, days, us: timestamp_to_timestamptz(_at_time(days, us), context.env),
    needs_context=True,
)
operators("""
1366 timetz + date timestamptz 1298 commutator=1361
1802 timetz + interval timetz 1749 commutator=2552
1803 timetz - interval timetz 1750
2552 interval + timetz timetz 2547 commutator=1802
""")
fn(1747, "time_pl_interval(time, interval) time", lambda us, span: (us + span.us) % DAY_US)
fn(1748, "time_mi_interval(time, interval) time", lambda us, span: (us - span.us) % DAY_US)
fn(1848, "interval_pl_time(interval, time) time", lambda span, us: (us + span.us) % DAY_US)
fn(1690, "time_mi_time(time, time) interval", lambda a, b: Interval(0, 0, a - b))
fn(1377, "time_larger(time, time) time", max)
fn(1378, "time_smaller(time, time) time", min)
fn(1316, "time(timestamp) time", lambda us: None if is_infinite(us) else us % DAY_US)
fn(
    2019,
    "time(timestamptz) time stable",
    lambda context, us: None if is_infinite(us) else utc_to_local(us, context.env.timezone) % DAY_US,
    needs_context=True,
)
fn(1419, "time(interval) time", lambda span: span.us % DAY_US)
fn(2046, "time(timetz) time", lambda value: value.us)
fn(1370, "interval(time) interval", lambda us: Interval(0, 0, us))
fn(
    2047,
    "timetz(time) timetz stable",
    lambda context, us: TimeTz(us, -utc_offset_seconds(context.env.transaction_timestamp, context.env.timezone)),
    needs_context=True,
)
fn(
    1388,
    "timetz(timestamptz) timetz stable",
    lambda context, us: (
        None
        if is_infinite(us)
        else TimeTz(utc_to_local(us, context.env.timezone) % DAY_US, -utc_offset_seconds(us, context.env.timezone))
    ),
    needs_context=True,
)


def _today(context: FunctionContext) -> int:
    return utc_to_local(context.env.transaction_timestamp, context.env.timezone) // DAY_US * DAY_US


def _local(context: FunctionContext, us: int) -> int:
    return us if us == TIMESTAMP_MINUS_INFINITY else utc_to_local(us, context.env.timezone)


fn(2058, "age(timestamp, timestamp) interval", moments.age)
fn(
    1199,
    "age(timestamptz, timestamptz) interval",
    lambda context, a, b: moments.age(_local(context, a), _local(context, b)),
    needs_context=True,
)
fn(2059, "age(timestamp) interval stable", lambda context, us: moments.age(_today(context), us), needs_context=True)
fn(
    1386,
    "age(timestamptz) interval stable",
    lambda context, us: moments.age(_today(context), _local(context, us)),
    needs_context=True,
)

# extract and date_part

_ALIASES = {
    "years": "year",
    "y": "year",
    "yr": "year",
    "yrs": "year",
    "months": "month",
    "mon": "month",
    "mons": "month",
    "days": "day",
    "d": "day",
    "hours": "hour",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "minutes": "minute",
    "m": "minute",
    "min": "minute",
    "mins": "minute",
    "seconds": "second",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "milliseconds": "millisecond",
    "ms": "millisecond",
    "msec": "millisecond",
    "msecs": "millisecond",
    "microseconds": "microsecond",
    "us": "microsecond",
    "usec": "microsecond",
    "usecs": "microsecond",
    "weeks": "week",
    "w": "week",
    "decades": "decade",
    "dec": "decade",
    "decs": "decade",
    "centuries": "century",
    "c": "century",
    "cent": "century",
    "millennia": "millennium",
    "mil": "millennium",
    "mils": "millennium",
    "qtr": "quarter",
}
_Part = tuple[int, int]
"""An extracted number as (unscaled integer, decimals)."""


_NAME_BYTES_MAX = 63


@lru_cache(maxsize=512)
def _unit(field: str) -> str:
    lowered = field.lower()
    return _ALIASES.get(lowered, lowered)


def _shown(field: str) -> str:
    """A field's name as an identifier's, cut to what one may have."""
    data = field.lower().encode()
    return field.lower() if len(data) <= _NAME_BYTES_MAX else data[:_NAME_BYTES_MAX].decode(errors="ignore")


def _unrecognized(field: str, type_name: str) -> SqlError:
    return InvalidParameterValue(f'unit "{_shown(field)}" not recognized for type {type_name}')


def _unsupported(field: str, type_name: str) -> SqlError:
    return NotSupported(f'unit "{_shown(field)}" not supported for type {type_name}')


_RESERVED = frozenset(["allballs", "infinity", "-infinity", "now", "today", "tomorrow", "yesterday"])


def _no_part(field: str, type_name: str) -> SqlError:
    """The error of extract for what names no part: words that a date's text may have are known, if not supported."""
    return (_unsupported if field.lower() in _RESERVED else _unrecognized)(field, type_name)


def _clock_part(unit: str, us: int) -> _Part | None:
    if unit == "hour":
        return us // HOUR_US, 0
    if unit == "minute":
        return us // MINUTE_US % 60, 0
    if unit == "second":
        return us % MINUTE_US, 6
    if unit == "millisecond":
        return us % MINUTE_US, 3
    if unit == "microsecond":
        return us % MINUTE_US, 0
    return None


def _calendar_part(unit: str, days: int) -> _Part | None:
    year, month, day = civil_from_days(days)
    shown = year if year > 0 else year - 1
    if unit == "year":
        return shown, 0
    if unit == "month":
        return month, 0
    if unit == "day":
        return day, 0
    if unit == "quarter":
        return (month - 1) // 3 + 1, 0
    if unit == "decade":
        return year // 10, 0
    if unit == "century":
        return ((year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)), 0
    if unit == "millennium":
        return ((year + 999) // 1000 if year > 0 else -((999 - (year - 1)) // 1000)), 0
    if unit == "dow":
        return (days + 6) % 7, 0
    if unit == "doy":
        return days - days_from_civil(year, 1, 1) + 1, 0
    if unit in ("isodow", "week", "isoyear"):
        iso_year, week, weekday = iso_week(days)
        return {"isodow": weekday, "week": week, "isoyear": iso_year if iso_year > 0 else iso_year - 1}[unit], 0
    return None


_KNOWN = frozenset(
    [
        "year",
        "month",
        "day",
        "quarter",
        "decade",
        "century",
        "millennium",
        "dow",
        "doy",
        "isodow",
        "week",
        "isoyear",
        "hour",
        "minute",
        "second",
        "millisecond",
        "microsecond",
        "epoch",
        "julian",
        "timezone",
        "timezone_hour",
        "timezone_minute",
    ]
)
_EXTRACT_ONLY = frozenset(["epoch", "dow", "doy", "isodow", "isoyear", "julian"])
_GROWING = frozenset(["year", "decade", "century", "millennium", "isoyear", "epoch", "julian"])


def _timestamp_part(field: str, us: int, type_name: str, offset_seconds: int | None) -> _Part | float | None:
    """Parts of a local timestamp; an infinite one gives ±infinity for growing fields and NULL for cyclic ones."""
    unit = _unit(field)
    if unit not in _KNOWN:
        raise _no_part(field, type_name)
    if is_infinite(us):
        return (math.inf if us > 0 else -math.inf) if unit in _GROWING else None
    if unit.startswith("timezone") and offset_seconds is None:
        raise _unsupported(field, type_name)
    days, of_day = divmod(us, DAY_US)
    if unit == "epoch":
        return us + UNIX_EPOCH_US - (offset_seconds or 0) * SECOND_US, 6
    if unit == "julian":
        return (days + EPOCH_JULIAN) * DAY_US + of_day, -1
    if unit == "timezone":
        return offset_seconds or 0, 0
    if unit == "timezone_hour":
        return _truncate(offset_seconds or 0, 3600), 0
    if unit == "timezone_minute":
        return _truncate(int(math.fmod(offset_seconds or 0, 3600)), 60), 0
    return _clock_part(unit, of_day) or _calendar_part(unit, days)


def _interval_part(field: str, span: Interval) -> _Part | None:
    unit = _unit(field)
    if unit not in _KNOWN:
        raise _unrecognized(field, "interval")
    years, months = _truncate(span.months, 12), span.months - _truncate(span.months, 12) * 12
    sign, us = (-1, -span.us) if span.us < 0 else (1, span.us)
    if unit == "epoch":
        whole_years = years * 31557600
        return (whole_years + months * 30 * 86400 + span.days * 86400) * SECOND_US + span.us, 6
    if unit == "hour":
        return sign * (us // HOUR_US), 0
    clock = _clock_part(unit, us)
    if clock is not None:
        return sign * clock[0], clock[1]
    simple = {
        "year": years,
        "month": months,
        "day": span.days,
        "quarter": _truncate(months, 3) + 1,
        "decade": _truncate(years, 10),
        "century": _truncate(years, 100),
        "millennium": _truncate(years, 1000),
    }
    if unit not in simple:
        raise _unsupported(field, "interval")
    return simple[unit], 0


def _time_part(field: str, us: int, west_seconds: int | None, type_name: str) -> _Part:
    unit = _unit(field)
    if unit == "epoch":
        return us + (west_seconds or 0) * SECOND_US, 6
    if west_seconds is not None and unit.startswith("timezone"):
        return {
            "timezone": -west_seconds,
            "timezone_hour": _truncate(-west_seconds, 3600),
            "timezone_minute": _truncate(int(math.fmod(-west_seconds, 3600)), 60),
        }[unit], 0
    part = _clock_part(unit, us)
    if part is None:
        raise (_unsupported if unit in _KNOWN else _unrecognized)(field, type_name)
    return part


def _date_part(field: str, days: int) -> _Part | float | None:
    unit = _unit(field)
    if unit not in _KNOWN:
        raise _no_part(field, "date")
    if unit in ("hour", "minute", "second", "millisecond", "microsecond") or unit.startswith("timezone"):
        raise _unsupported(field, "date")
    if days in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return (math.inf if days > 0 else -math.inf) if unit in _GROWING else None
    if unit == "epoch":
        return (days * DAY_US + UNIX_EPOCH_US) // SECOND_US, 0
    if unit == "julian":
        return days + EPOCH_JULIAN, 0
    return _calendar_part(unit, days)


def _as_numeric(part: _Part | float | None) -> Decimal | None:
    if part is None:
        return None
    if isinstance(part, float):
        return Decimal(part)
    unscaled, decimals = part
    if decimals < 0:
        return quotient(Decimal(unscaled), Decimal(DAY_US), 20) if unscaled % DAY_US else Decimal(unscaled // DAY_US)
    return Decimal(unscaled).scaleb(-decimals, EXACT)


def _as_float(part: _Part | float | None) -> float | None:
    if part is None or isinstance(part, float):
        return part
    unscaled, decimals = part
    return unscaled / DAY_US if decimals < 0 else unscaled / 10**decimals


def _zoned_part(context: FunctionContext, field: str, us: int) -> _Part | float | None:
    if is_infinite(us):
        return _timestamp_part(field, us, "timestamp with time zone", 0)
    offset = utc_offset_seconds(us, context.env.timezone)
    return _timestamp_part(field, us + offset * SECOND_US, "timestamp with time zone", offset)


def _compose(outer: Callable[[Datum], Datum], inner: Callable[..., Datum]) -> Callable[..., Datum]:
    return lambda *arguments: outer(inner(*arguments))


def _stamp_part(field: str, us: int) -> _Part | float | None:
    return _timestamp_part(field, us, "timestamp without time zone", None)


def _numeric_stamp_part(field: str, us: int) -> Decimal | None:
    found = moments.part(field, us)
    if found is None and field == "epoch" and not is_infinite(us):
        return Decimal(f"{us + UNIX_EPOCH_US}E-6")
    return _as_numeric(_stamp_part(field, us)) if found is None else _whole(found)


def _numeric_zoned_part(context: FunctionContext, field: str, us: int) -> Decimal | None:
    found = None if is_infinite(us) else moments.part(field, utc_to_local(us, context.env.timezone))
    return _as_numeric(_zoned_part(context, field, us)) if found is None else _whole(found)


def _numeric_date_part(field: str, days: int) -> Decimal | None:
    found = None
    if field not in _CLOCK_FIELDS and -_PLAIN_DAYS < days < _PLAIN_DAYS:
        found = moments.part(field, days * DAY_US)
    return _as_numeric(_date_part(field, days)) if found is None else _whole(found)


@lru_cache(maxsize=4096)
def _whole(number: int) -> Decimal:
    return Decimal(number)


_CLOCK_FIELDS = frozenset(["hour", "minute"])
_PLAIN_DAYS = 10_000_000
"""Dates that timestamps have, too."""

fn(6202, "extract(text, timestamp) numeric", _numeric_stamp_part)
fn(6203, "extract(text, timestamptz) numeric stable", _numeric_zoned_part, needs_context=True)
fn(6199, "extract(text, date) numeric", _numeric_date_part)
fn(6204, "extract(text, interval) numeric", _compose(_as_numeric, _interval_part))
fn(
    6200,
    "extract(text, time) numeric",
    lambda field, us: _as_numeric(_time_part(field, us, None, "time without time zone")),
)
fn(
    6201,
    "extract(text, timetz) numeric",
    lambda field, value: _as_numeric(_time_part(field, value.us, value.west_seconds, "time with time zone")),
)


def _float_stamp_part(field: str, us: int) -> float | None:
    found = moments.part(field, us)
    return _as_float(_stamp_part(field, us)) if found is None else float(found)


fn(2021, "date_part(text, timestamp) float8", _float_stamp_part)
fn(1171, "date_part(text, timestamptz) float8 stable", _compose(_as_float, _zoned_part), needs_context=True)
fn(1384, "date_part(text, date) float8", lambda field, days: _as_float(_stamp_part(field, date_to_timestamp(days))))
fn(1172, "date_part(text, interval) float8", _compose(_as_float, _interval_part))
fn(
    1385,
    "date_part(text, time) float8",
    lambda field, us: _as_float(_time_part(field, us, None, "time without time zone")),
)
fn(
    1273,
    "date_part(text, timetz) float8",
    lambda field, value: (
        value.us / SECOND_US + value.west_seconds
        if _unit(field) == "epoch"
        else _as_float(_time_part(field, value.us, value.west_seconds, "time with time zone"))
    ),
)

# date_trunc and AT TIME ZONE


def truncate_timestamp(field: str, us: int, type_name: str = "timestamp without time zone") -> int:
    """date_trunc of a local timestamp; 22023 for an unknown unit, 0A000 for one that cannot be truncated to."""
    if is_infinite(us):
        return us
    unit = _unit(field)
    found = moments.truncated(unit, us)
    if found is not None:
        return found
    year = civil_from_days(us // DAY_US)[0]
    if unit == "decade":
        return days_from_civil(year // 10 * 10, 1, 1) * DAY_US
    if unit in ("century", "millennium"):
        span = 100 if unit == "century" else 1000
        return days_from_civil((year - 1) // span * span + 1, 1, 1) * DAY_US
    raise _no_truncation(field, type_name)


def _no_truncation(field: str, type_name: str) -> SqlError:
    """The error of date_trunc for a unit it has no rule for."""
    unit = _unit(field)
    return (
        _unsupported(field, type_name)
        if unit in _KNOWN and unit not in _EXTRACT_ONLY
        else _unrecognized(field, type_name)
    )


def _zone(name: str, context: FunctionContext) -> Datum:
    zone = find_zone(name)
    if zone is None:
        raise InvalidParameterValue(f'time zone "{name}" not recognized')
    return zone


def _trunc_zoned(context: FunctionContext, field: str, us: int, zone_name: str | None = None) -> int:
    if is_infinite(us):
        return us
    zone = context.env.timezone if zone_name is None else _zone(zone_name, context)
    found = offsets_of(zone).truncated(field, us)
    if found is not None:
        return found
    if _unit(field) in ("hour", "minute", "second", "millisecond", "microsecond"):
        offset = utc_offset_seconds(us, zone) * SECOND_US
        return truncate_timestamp(field, us + offset) - offset
    local = truncate_timestamp(field, utc_to_local(us, zone), "timestamp with time zone")
    return check_timestamp(local_to_utc(local, zone))


def _trunc_interval(field: str, span: Interval) -> Interval:
    unit = _unit(field)
    months = {"year": 12, "decade": 120, "century": 1200, "millennium": 12000, "quarter": 3, "month": 1}
    if unit in months:
        return Interval(_truncate(span.months, months[unit]) * months[unit], 0, 0)
    units = {"microsecond": 1, "millisecond": 1000, "second": SECOND_US, "minute": MINUTE_US, "hour": HOUR_US}
    if unit == "day":
        return Interval(span.months, span.days, 0)
    if unit in units:
        return Interval(span.months, span.days, _truncate(span.us, units[unit]) * units[unit])
    if unit == "week":
        raise NotSupported(
            'unit "week" not supported for type interval', detail="Months usually have fractional weeks."
        )
    raise _no_truncation(field, "interval")


def _timetz_shifted(value: TimeTz, offset_seconds: int) -> TimeTz:
    """The same moment of the day at another offset east of UTC."""
    return TimeTz((value.us + (value.west_seconds + offset_seconds) * SECOND_US) % DAY_US, -offset_seconds)


def _timetz_at(value: TimeTz, zone: Any, context: FunctionContext) -> TimeTz:
    return _timetz_shifted(value, utc_offset_seconds(context.env.transaction_timestamp, zone))


def _zone_span(span: Interval, env: TypeEnv) -> int:
    if span.months or span.days:
        raise InvalidParameterValue(f'interval time zone "{interval_out(span, env)}" must not include months or days')
    west = -_truncate(span.us, SECOND_US)
    return -((west + 2**31) % 2**32 - 2**31)  # an int4 there


def _trunc(field: str, us: int) -> int:
    quick = moments.truncated(field, us)
    if quick is not None and quick >= TIMESTAMP_MIN:
        return quick
    found = truncate_timestamp(field, us)
    return found if is_infinite(found) else check_timestamp(found)


fn(2020, "date_trunc(text, timestamp) timestamp", _trunc)
fn(1217, "date_trunc(text, timestamptz) timestamptz stable", _trunc_zoned, needs_context=True)
fn(1284, "date_trunc(text, timestamptz, text) timestamptz stable", _trunc_zoned, needs_context=True)
fn(1218, "date_trunc(text, interval) interval", _trunc_interval)
fn(
    1159,
    "timezone(text, timestamptz) timestamp",
    lambda context, name, us: us if is_infinite(us) else check_timestamp(offsets_of(_zone(name, context)).to_local(us)),
    needs_context=True,
)
fn(
    2069,
    "timezone(text, timestamp) timestamptz",
    lambda context, name, us: us if is_infinite(us) else check_timestamp(local_to_utc(us, _zone(name, context))),
    needs_context=True,
)
fn(
    2037,
    "timezone(text, timetz) timetz stable",
    lambda context, name, value: _timetz_at(value, _zone(name, context), context),
    needs_context=True,
)
fn(
    2038,
    "timezone(interval, timetz) timetz",
    lambda context, span, value: _timetz_shifted(value, _zone_span(span, context.env)),
    needs_context=True,
)


def _moved(context: FunctionContext, span: Interval, us: int, sign: int) -> int:
    """A timestamp by a zone that is given as an interval; 22023, 22008."""
    if is_infinite(us):
        return us
    return check_timestamp(us + sign * _zone_span(span, context.env) * SECOND_US)


fn(
    1026,
    "timezone(interval, timestamptz) timestamp",
    lambda context, span, us: _moved(context, span, us, 1),
    needs_context=True,
)
fn(
    2070,
    "timezone(interval, timestamp) timestamptz",
    lambda context, span, us: _moved(context, span, us, -1),
    needs_context=True,
)


def _date_bin(stride: Interval, us: int, origin: int) -> int:
    found = None if stride[0] or stride[1] else moments.binned(stride[2], us, origin)
    if found is not None:
        return found
    if is_infinite(us):
        return us
    if is_infinite(origin):
        raise DatetimeFieldOverflow("origin out of range")
    if stride.months:
        raise NotSupported("timestamps cannot be binned into intervals containing months or years")
    unit = stride.us + stride.days * DAY_US
    checked_interval(0, 0, unit)
    if unit <= 0:
        raise DatetimeFieldOverflow("stride must be greater than zero")
    checked_interval(0, 0, us - origin)
    return check_timestamp(origin + checked_interval(0, 0, (us - origin) // unit * unit).us)


fn(6177, "date_bin(interval, timestamp, timestamp) timestamp", _date_bin)
fn(6178, "date_bin(interval, timestamptz, timestamptz) timestamptz", _date_bin)

# make_*


def _make_date(year: int, month: int, day: int, as_given: bool = False) -> int:
    found = moments.date_of(year, month, day)
    if found is not None:
        return found
    astronomical = year + 1 if year < 0 else year
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= month_length(astronomical, month):
        shown = astronomical if year < 0 and not as_given else year
        raise DatetimeFieldOverflow(f"date field value out of range: {shown}-{month:02d}-{day:02d}")
    if year == -(2**31):  # it has no opposite in 32 bits
        raise DatetimeFieldOverflow(f"date field value out of range: {year}-{month:02d}-{day:02d}")
    if astronomical >= 5874898 or astronomical < -4713:
        shown = year if as_given else astronomical
        raise DatetimeFieldOverflow(f"date out of range: {shown}-{month:02d}-{day:02d}")
    return check_date(days_from_civil(astronomical, month, day))


def _make_time(hour: int, minute: int, second: float) -> int:
    us = round(second * SECOND_US) if math.isfinite(second) else -1
    is_clock = 0 <= hour <= 24 and 0 <= minute <= 59 and 0 <= us <= MINUTE_US
    if not is_clock or hour * HOUR_US + minute * MINUTE_US + us > DAY_US:
        shown = "NaN" if second != second else f"{second:02g}"
        raise DatetimeFieldOverflow(f"time field value out of range: {hour}:{minute:02d}:{shown}")
    return hour * HOUR_US + minute * MINUTE_US + us


def _make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    return check_timestamp(_make_date(year, month, day, True) * DAY_US + _make_time(hour, minute, second))


def _made_zone(name: str, context: FunctionContext) -> Datum:
    """The zone of make_timestamptz: a number with a sign counts hours *east*, as in the text of a timestamp."""
    text = name.strip()
    if text[:1] in ("+", "-"):
        hour, _, minute = text[1:].partition(":")
        if hour.isdigit() and (minute or "0").isdigit() and int(hour) < 16 and int(minute or 0) < 60:
            return fixed_zone((-1 if text[0] == "-" else 1) * (int(hour) * 3600 + int(minute or 0) * 60))
        if hour.isdigit() and (minute or "0").isdigit():
            raise InvalidParameterValue(f'numeric time zone "{name}" out of range')
        raise InvalidParameterValue(f'invalid input syntax for type numeric time zone: "{name}"')
    if text[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid input syntax for type numeric time zone: "{name}"',
            hint='Numeric time zones must have "-" or "+" as first character.',
        )
    return _zone(name, context)


def _make_timestamptz(context: FunctionContext, *fields: Datum) -> int:
    zone = _made_zone(fields[6], context) if len(fields) == 7 else context.env.timezone
    return local_to_utc(_make_timestamp(*fields[:6]), zone)


def _make_interval(
    years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float
) -> Interval:
    if not math.isfinite(seconds):
        raise DatetimeFieldOverflow("interval out of range")
    us = hours * HOUR_US + minutes * MINUTE_US + round(seconds * SECOND_US)
    return checked_interval(_wrapped(years * 12 + months), _wrapped(weeks * 7 + days), us)


def _wrapped(value: int) -> int:
    """Four bytes, which PostgreSQL 15 does not check here."""
    return (value + 2**31) % 2**32 - 2**31


fn(3846, "make_date(int4, int4, int4) date", _make_date, argument_names=("year", "month", "day"))
fn(3847, "make_time(int4, int4, float8) time", _make_time, argument_names=("hour", "min", "sec"))
fn(
    3461,
    "make_timestamp(int4, int4, int4, int4, int4, float8) timestamp",
    _make_timestamp,
    argument_names=("year", "month", "mday", "hour", "min", "sec"),
)
fn(
    3462,
    "make_timestamptz(int4, int4, int4, int4, int4, float8) timestamptz stable",
    _make_timestamptz,
    needs_context=True,
    argument_names=("year", "month", "mday", "hour", "min", "sec"),
)
fn(
    3463,
    "make_timestamptz(int4, int4, int4, int4, int4, float8, text) timestamptz stable",
    _make_timestamptz,
    needs_context=True,
    argument_names=("year", "month", "mday", "hour", "min", "sec", "timezone"),
)
fn(
    3464,
    "make_interval(int4, int4, int4, int4, int4, int4, float8) interval",
    _make_interval,
    argument_names=("years", "months", "weeks", "days", "hours", "mins", "secs"),
    defaults=(0, 0, 0, 0, 0, 0, 0.0),
)


def _to_timestamp(seconds: float) -> int:
    if -_PLAIN_SECONDS < seconds < _PLAIN_SECONDS:
        return round((seconds - UNIX_EPOCH_US // SECOND_US) * SECOND_US)
    if math.isinf(seconds):
        return _infinite(seconds)
    if seconds != seconds:
        raise DatetimeFieldOverflow("timestamp cannot be NaN")
    # Below the limit of seconds, microseconds are a finite float; rounded when they count from 2000.
    since = (seconds - UNIX_EPOCH_US // SECOND_US) * SECOND_US if abs(seconds) < TIMESTAMP_END else TIMESTAMP_END
    us = round(since)
    if not TIMESTAMP_MIN <= us < TIMESTAMP_END:
        raise DatetimeFieldOverflow(f'timestamp out of range: "{seconds:g}"')
    return us


_PLAIN_SECONDS = 1e11


def _infinite(sign: float) -> int:
    """The infinite timestamp of a sign."""
    return TIMESTAMP_INFINITY if sign > 0 else TIMESTAMP_MINUS_INFINITY


fn(1158, "to_timestamp(float8) timestamptz", _to_timestamp)

# now


def clock_us() -> int:
    """The wall clock in µs since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - UNIX_EPOCH_US


fns(
    """
1299 now() timestamptz stable
2647 transaction_timestamp() timestamptz stable
""",
    lambda context: context.env.transaction_timestamp,
    needs_context=True,
)
fn(
    2648,
    "statement_timestamp() timestamptz stable",
    lambda context: context.env.statement_timestamp,
    needs_context=True,
)
fn(2649, "clock_timestamp() timestamptz volatile", clock_us)


def _timeofday(context: FunctionContext) -> str:
    days, us = divmod(utc_to_local(clock_us(), context.env.timezone), DAY_US)
    year, month, day = civil_from_days(days)
    second, fraction = divmod(us, SECOND_US)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{fraction:06d}"
    weekday = DAY_NAMES[(days + 6) % 7][:3]
    return f"{weekday} {MONTH_NAMES[month - 1][:3]} {day:02d} {clock} {year} {context.env.timezone_name}"


fn(274, "timeofday() text volatile", _timeofday, needs_context=True)
