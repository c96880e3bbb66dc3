"""interval, time and timetz: I/O, comparison (manual, 8.5.4).

An interval is months, days and µs, which do not add up into each other; it compares as if a month had 30 days and a day
24 hours. A time is µs of the day, a timetz that and the zone in seconds *west* of UTC.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from aurora.errors import (
    DatetimeFieldOverflow,
    InternalError,
    InvalidBinaryRepresentation,
    InvalidParameterValue,
)
from aurora.kernels import moments
from aurora.kernels.python.moments import Interval as Interval
from compute_node.types.calendar_ import DAY_US, HOUR_US, MINUTE_US, SECOND_US, offset_text, utc_offset_seconds
from compute_node.types.common import fixed_codec, parse_typmod_int, wrong_length
from compute_node.types.datetime_ import precision_typmod_in, round_fraction
from compute_node.types.datetime_parse import parse, syntax_error
from compute_node.types.declare import casts, comparisons, fn, operator_classes, operators
from compute_node.types.interval_parse import DAY, FULL_RANGE, HOUR, MINUTE, MONTH, SECOND, YEAR, read_interval
from compute_node.types.registry import REGISTRY, PgType, TypeEnv


class TimeTz(NamedTuple):
    """A time with its zone, in seconds west of UTC."""

    us: int
    west_seconds: int


def interval_span(value: Interval) -> int:
    """µs when a month is 30 days: what intervals compare by."""
    return value.us + (value.days + value.months * 30) * DAY_US


def checked_interval(months: int, days: int, us: int) -> Interval:
    """22008 when a field leaves its width (i32, i32, i64)."""
    if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31 and -(2**63) <= us < 2**63):
        raise DatetimeFieldOverflow("interval out of range")
    return Interval(months, days, us)


def interval_in(text: str, typmod: int, env: TypeEnv) -> Interval:
    """PostgreSQL's verbose forms, clock forms, SQL year-month, and ISO 8601 durations; 22007, 22008, 22015."""
    fields = FULL_RANGE if typmod < 0 else typmod >> 16 & FULL_RANGE
    months, days, us = read_interval(text, fields, env.intervalstyle == "sql_standard")
    return interval_typmod(Interval(months, days, us), typmod)


def interval_out(value: Interval, env: TypeEnv) -> str:
    """By IntervalStyle: postgres, postgres_verbose, sql_standard, iso_8601."""
    style = env.intervalstyle
    if style == "postgres":
        return _postgres(value)
    if style == "iso_8601":
        return _iso(value)
    if style == "postgres_verbose":
        return _verbose(value)
    return _sql_standard(value)


def _units(value: Interval) -> tuple[int, int, int, int, int, int, int]:
    """(years, months, days, hours, minutes, seconds, µs) with C's truncation."""
    years, months = int(value.months / 12), value.months - int(value.months / 12) * 12
    sign, us = (-1, -value.us) if value.us < 0 else (1, value.us)
    return (
        years,
        months,
        value.days,
        sign * (us // HOUR_US),
        sign * (us // MINUTE_US % 60),
        sign * (us // SECOND_US % 60),
        sign * (us % SECOND_US),
    )


def _clock(us: int) -> str:
    """Hours, minutes and seconds without their sign; it need not fit where the signed ones do."""
    hours, rest = divmod(abs(us), HOUR_US)
    return f"{hours:02}{moments.clock_text(rest)[2:]}"


def _postgres(value: Interval) -> str:
    years, months, days, *_ = _units(value)
    parts: list[str] = []
    negative_before = False
    for amount, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if amount:
            sign = "+" if negative_before and amount > 0 else ""
            parts.append(f"{sign}{amount} {unit}{'' if amount == 1 else 's'}")
            negative_before = amount < 0
    if value.us or not parts:
        sign = "-" if value.us < 0 else "+" if negative_before else ""
        parts.append(sign + _clock(value.us))
    return " ".join(parts)


def _seconds_text(seconds: int, us: int) -> str:
    text = f"{abs(seconds)}.{abs(us):06d}".rstrip("0").rstrip(".")
    return ("-" if seconds < 0 or us < 0 else "") + text


def _iso(value: Interval) -> str:
    if not any(value):
        return "PT0S"
    years, months, days, hours, minutes, seconds, us = _units(value)
    date = "".join(f"{amount}{unit}" for amount, unit in ((years, "Y"), (months, "M"), (days, "D")) if amount)
    clock = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M")) if amount)
    if seconds or us:
        clock += _seconds_text(seconds, us) + "S"
    return "P" + date + ("T" + clock if clock else "")


def _verbose(value: Interval) -> str:
    years, months, days, hours, minutes, seconds, us = _units(value)
    named = [
        (amount, unit)
        for amount, unit in ((years, "year"), (months, "mon"), (days, "day"), (hours, "hour"), (minutes, "min"))
        if amount
    ]
    first = named[0][0] if named else seconds or us
    flip = -1 if first < 0 else 1
    parts = [f"{amount * flip} {unit}{'' if amount * flip == 1 else 's'}" for amount, unit in named]
    if seconds or us:
        text = _seconds_text(seconds * flip, us * flip)
        parts.append(f"{text} sec{'' if text in ('1', '-1') else 's'}")
    return "@ " + (" ".join(parts) or "0") + (" ago" if flip < 0 else "")


def _sql_standard(value: Interval) -> str:
    if not any(value):
        return "0"
    clock = _clock(value.us).lstrip("0")
    clock = clock if not clock.startswith(":") else "0" + clock
    signs = {amount > 0 for amount in value if amount}
    whole, rest = divmod(abs(value.months), 12)
    if len(signs) == 2 or (value.months and (value.days or value.us)):
        return (
            f"{'-' if value.months < 0 else '+'}{whole}-{rest} {'-' if value.days < 0 else '+'}{abs(value.days)} "
            f"{'-' if value.us < 0 else '+'}{clock}"
        )
    sign = "-" if False in signs else ""
    if value.months:
        return f"{sign}{whole}-{rest}"
    return f"{sign}{abs(value.days)} {clock}" if value.days else sign + clock


def interval_typmod(value: Interval, typmod: int, explicit: bool = False) -> Interval:
    """Round the seconds to the typmod's precision; field restrictions (``interval day``) are cut as well."""
    if typmod < 0:
        return value
    precision, fields = typmod & 0xFFFF, typmod >> 16 & 0x7FFF
    months, days, us = value
    if fields != FULL_RANGE:
        if fields not in _FIELD_UNITS:
            raise InternalError(f"unrecognized interval typmod: {typmod}")
        unit_us, keeps_days, whole_years = _FIELD_UNITS[fields]
        if whole_years:
            months = int(months / 12) * 12
        if not keeps_days:
            days = 0
        us = 0 if unit_us == 0 else (abs(us) // unit_us * unit_us) * (1 if us >= 0 else -1)
    if precision < 6:
        us = round_fraction(us, precision)
    return Interval(months, days, us)


_FIELD_NAMES = {
    YEAR: "year",
    MONTH: "month",
    DAY: "day",
    HOUR: "hour",
    MINUTE: "minute",
    SECOND: "second",
    YEAR | MONTH: "year to month",
    DAY | HOUR: "day to hour",
    DAY | HOUR | MINUTE: "day to minute",
    DAY | HOUR | MINUTE | SECOND: "day to second",
    HOUR | MINUTE: "hour to minute",
    HOUR | MINUTE | SECOND: "hour to second",
    MINUTE | SECOND: "minute to second",
}
# Field mask → (unit that µs are cut to, 0 drops them; keeps days; cuts months to years).
_FIELD_UNITS: dict[int, tuple[int, bool, bool]] = {
    mask: (
        1 if mask & SECOND else MINUTE_US if mask & MINUTE else HOUR_US if mask & HOUR else 0,
        bool(mask & (DAY | HOUR | MINUTE | SECOND)),
        mask == YEAR,
    )
    for mask in _FIELD_NAMES
}


def _typmod_in(arguments: list[str]) -> int:
    """[fields[, precision]]; -1 for all fields without a precision. 22023."""
    numbers = [parse_typmod_int("integer", each) for each in arguments]
    if not 1 <= len(numbers) <= 2 or (numbers[0] != FULL_RANGE and numbers[0] not in _FIELD_NAMES):
        raise InvalidParameterValue("invalid INTERVAL type modifier")
    if len(numbers) == 1:
        return -1 if numbers[0] == FULL_RANGE else numbers[0] << 16 | 0xFFFF
    if numbers[1] < 0:
        raise InvalidParameterValue(f"INTERVAL({numbers[1]}) precision must not be negative")
    return numbers[0] << 16 | min(numbers[1], 6)


def _typmod_out(typmod: int) -> str:
    precision, fields = typmod & 0xFFFF, typmod >> 16 & 0x7FFF
    return (" " + _FIELD_NAMES[fields] if fields in _FIELD_NAMES else "") + (
        f"({precision})" if precision != 0xFFFF else ""
    )


_INTERVAL = struct.Struct(">qii")
_TIMETZ = struct.Struct(">qi")


def _interval_receive(data: bytes, typmod: int) -> Interval:
    if len(data) != 16:
        raise wrong_length(data, 16)
    us, days, months = _INTERVAL.unpack(data)
    return interval_typmod(Interval(months, days, us), typmod)


def _interval_send(value: Interval) -> bytes:
    return _INTERVAL.pack(value.us, value.days, value.months)


REGISTRY.add_type(
    PgType(
        oid=1186,
        name="interval",
        length=16,
        by_value=False,
        category="T",
        preferred=True,
        align="d",
        array=1187,
        input=interval_in,
        output=interval_out,
        receive=_interval_receive,
        send=_interval_send,
        disk="x",
        to_disk=_interval_send,
        from_disk=lambda data: _interval_receive(data, -1),
        sort_value=interval_span,
        sort_key=lambda value: (interval_span(value) + (1 << 127)).to_bytes(16, "big"),
        typmod_in=_typmod_in,
        typmod_out=_typmod_out,
        typmod_cast=interval_typmod,
    )
)


def time_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Text input of time; 22007 without a time of day."""
    parsed = parse(text, "time", env)
    if parsed.us is None or parsed.special is not None:
        raise syntax_error("time", text)
    return round_fraction(parsed.us, typmod)


def timetz_in(text: str, typmod: int, env: TypeEnv) -> TimeTz:
    """Text input of timetz; without a zone the session's now."""
    parsed = parse(text, "time with time zone", env)
    if parsed.us is None or parsed.special is not None:
        raise syntax_error("time with time zone", text)
    instant = env.transaction_timestamp if parsed.days is None else parsed.days * DAY_US + parsed.us
    return TimeTz(round_fraction(parsed.us, typmod), -utc_offset_seconds(instant, parsed.zone or env.timezone))


_receive_i64, _send_i64 = fixed_codec(">q")


def _time_receive(data: bytes, typmod: int) -> int:
    value: int = _receive_i64(data, typmod)
    if not 0 <= value <= DAY_US:
        raise DatetimeFieldOverflow("time out of range")
    return round_fraction(value, typmod)


def _timetz_receive(data: bytes, typmod: int) -> TimeTz:
    if len(data) != 12:
        raise InvalidBinaryRepresentation("incorrect binary data format")
    us, west = _TIMETZ.unpack(data)
    if not 0 <= us <= DAY_US:
        raise DatetimeFieldOverflow("time out of range")
    return TimeTz(round_fraction(us, typmod), west)


def _timetz_send(value: TimeTz) -> bytes:
    return _TIMETZ.pack(*value)


def timetz_order(value: TimeTz) -> tuple[int, int]:
    return value.us + value.west_seconds * SECOND_US, value.west_seconds


_pack_u64 = struct.Struct(">Q").pack

REGISTRY.add_type(
    PgType(
        oid=1083,
        name="time",
        formatted_name="time without time zone",
        length=8,
        by_value=True,
        category="D",
        align="d",
        array=1183,
        input=time_in,
        output=lambda value, env: moments.clock_text(value),
        text_bytes=lambda value: moments.clock_text(value).encode(),
        receive=_time_receive,
        send=_send_i64,
        disk="q",
        sort_key=_pack_u64,
        typmod_in=precision_typmod_in("TIME"),
        typmod_out=lambda typmod: f"({typmod}) without time zone",
        typmod_cast=round_fraction,
    )
)
REGISTRY.add_type(
    PgType(
        oid=1266,
        name="timetz",
        formatted_name="time with time zone",
        length=12,
        by_value=False,
        category="D",
        align="d",
        array=1270,
        input=timetz_in,
        output=lambda value, env: moments.clock_text(value.us) + offset_text(-value.west_seconds),
        receive=_timetz_receive,
        send=_timetz_send,
        disk="x",
        to_disk=_timetz_send,
        from_disk=lambda data: TimeTz(*_TIMETZ.unpack(data)),
        sort_value=timetz_order,
        sort_key=lambda value: (
            _pack_u64(timetz_order(value)[0] + (1 << 62)) + struct.pack(">I", value.west_seconds + (1 << 31))
        ),
        typmod_in=precision_typmod_in("TIME"),
        typmod_out=lambda typmod: f"({typmod}) with time zone",
        typmod_cast=lambda value, typmod, explicit: TimeTz(round_fraction(value.us, typmod), value.west_seconds),
    )
)

comparisons(
    """
1162 interval_eq(interval, interval) bool
1163 interval_ne(interval, interval) bool
1164 interval_lt(interval, interval) bool
1165 interval_le(interval, interval) bool
1167 interval_gt(interval, interval) bool
1166 interval_ge(interval, interval) bool
1315 interval_cmp(interval, interval) int4
""",
    interval_span,
)
comparisons("""
1145 time_eq(time, time) bool
1106 time_ne(time, time) bool
1102 time_lt(time, time) bool
1103 time_le(time, time) bool
1104 time_gt(time, time) bool
1105 time_ge(time, time) bool
1107 time_cmp(time, time) int4
""")
comparisons(
    """
1352 timetz_eq(timetz, timetz) bool
1353 timetz_ne(timetz, timetz) bool
1354 timetz_lt(timetz, timetz) bool
1355 timetz_le(timetz, timetz) bool
1357 timetz_gt(timetz, timetz) bool
1356 timetz_ge(timetz, timetz) bool
1358 timetz_cmp(timetz, timetz) int4
""",
    timetz_order,
)
fn(1968, "time(time, int4) time", round_fraction)
fn(
    1969,
    "timetz(timetz, int4) timetz",
    lambda value, precision: TimeTz(round_fraction(value.us, precision), value.west_seconds),
)
fn(1200, "interval(interval, int4) interval", interval_typmod)
operators("""
1076 date + interval timestamp 2071 commutator=2551
1077 date - interval timestamp 2072
1108 time = time bool 1145 commutator=1108 negator=1109 merges hashes
1109 time <> time bool 1106 commutator=1109 negator=1108
1110 time < time bool 1102 commutator=1112 negator=1113
1111 time <= time bool 1103 commutator=1113 negator=1112
1112 time > time bool 1104 commutator=1110 negator=1111
1113 time >= time bool 1105 commutator=1111 negator=1110
1327 timestamptz + interval timestamptz 1189 commutator=2554
1329 timestamptz - interval timestamptz 1190
1330 interval = interval bool 1162 commutator=1330 negator=1331 merges hashes
1331 interval <> interval bool 1163 commutator=1331 negator=1330
1332 interval < interval bool 1164 commutator=1334 negator=1335
1333 interval <= interval bool 1165 commutator=1335 negator=1334
1334 interval > interval bool 1167 commutator=1332 negator=1333
1335 interval >= interval bool 1166 commutator=1333 negator=1332
1336 - - interval interval 1168
1337 interval + interval interval 1169 commutator=1337
1338 interval - interval interval 1170
1360 date + time timestamp 1272 commutator=1363
1361 date + timetz timestamptz 1297 commutator=1366
1363 time + date timestamp 1296 commutator=1360
1399 time - time interval 1690
1550 timetz = timetz bool 1352 commutator=1550 negator=1551 merges hashes
1551 timetz <> timetz bool 1353 commutator=1551 negator=1550
1552 timetz < timetz bool 1354 commutator=1554 negator=1555
1553 timetz <= timetz bool 1355 commutator=1555 negator=1554
1554 timetz > timetz bool 1357 commutator=1552 negator=1553
1555 timetz >= timetz bool 1356 commutator=1553 negator=1552
1583 interval * float8 interval 1618 commutator=1584
1584 float8 * interval interval 1624 commutator=1583
1585 interval / float8 interval 1326
1800 time + interval time 1747 commutator=1849
1801 time - interval time 1748
1849 interval + time time 1848 commutator=1800
2066 timestamp + interval timestamp 2032 commutator=2553
2068 timestamp - interval timestamp 2033
2551 interval + date timestamp 2546 commutator=1076
2553 interval + timestamp timestamp 2548 commutator=2066
2554 interval + timestamptz timestamptz 2549 commutator=1327
""")
casts("""
10154 time interval 1370 i f
10155 time timetz 2047 i f
10157 timestamp time 1316 a f
10160 timestamptz time 2019 a f
10162 timestamptz timetz 1388 a f
10163 interval time 1419 a f
10164 timetz time 2046 a f
10206 time time 1968 i f
10209 interval interval 1200 i f
10210 timetz timetz 1969 i f
""")
operator_classes("""
10022 interval_ops 1982 interval_ops interval 403 default 1332,1333,1330,1335,1334 1315,0,4136
10023 interval_ops 1983 interval_ops interval 405 default 1330 1697,3418
10038 time_ops 1996 time_ops time 403 default 1110,1111,1108,1113,1112 1107,0,0,5051
10039 time_ops 1997 time_ops time 405 default 1108 1688,3409
10041 timetz_ops 2000 timetz_ops timetz 403 default 1552,1553,1550,1555,1554 1358,0,0,5051
10042 timetz_ops 2001 timetz_ops timetz 405 default 1550 1696,3410
""")
