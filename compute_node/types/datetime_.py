"""date, timestamp, timestamptz: I/O in the session's DateStyle and zone, comparison, casts (manual, 8.5).

date: days since 2000-01-01; timestamp, timestamptz: µs since 2000-01-01 (UTC); the infinities are the integer extremes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from aurora.datum import Datum
from aurora.errors import DatetimeFieldOverflow, InvalidParameterValue
from aurora.kernels import moments
from compute_node.types.calendar_ import (
    DATE_END,
    DATE_INFINITY,
    DATE_MIN,
    DATE_MINUS_INFINITY,
    DAY_US,
    SECOND_US,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_MINUS_INFINITY,
    civil_from_days,
    local_to_utc,
    offsets_of,
    utc_offset_seconds,
    utc_to_local,
    zone_abbreviation,
)
from compute_node.types.common import fixed_codec, parse_typmod_int
from compute_node.types.datetime_parse import DAY_NAMES, MONTH_NAMES, parse, syntax_error
from compute_node.types.declare import casts, comparisons, family_operators, fn, fns, operator_classes, operators
from compute_node.types.registry import REGISTRY, FunctionContext, PgType, TypeEnv

_BEFORE = {
    "infinity": (DATE_INFINITY, TIMESTAMP_INFINITY),
    "-infinity": (DATE_MINUS_INFINITY, TIMESTAMP_MINUS_INFINITY),
}


def is_infinite(us: int) -> bool:
    """Whether a timestamp is one of the infinities."""
    return us in (TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY)


def check_timestamp(us: int, name: str = "timestamp") -> int:
    """22008 outside 4714 BC … 294276 AD."""
    if not TIMESTAMP_MIN <= us < TIMESTAMP_END:
        raise DatetimeFieldOverflow(f"{name} out of range")
    return us


def check_date(days: int) -> int:
    """22008 outside 4714 BC … 5874897 AD."""
    if not DATE_MIN <= days < DATE_END:
        raise DatetimeFieldOverflow("date out of range")
    return days


def date_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Text input of date."""
    found = moments.read_date(text)
    if found is not None:
        return found
    parsed = parse(text, "date", env)
    if parsed.special is not None:
        return _BEFORE[parsed.special][0]
    if parsed.days is None:
        raise syntax_error("date", text)
    if not DATE_MIN <= parsed.days < DATE_END:
        raise DatetimeFieldOverflow(f'date out of range: "{text}"')
    return parsed.days


def timestamp_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Text input of timestamp; a zone in the text is ignored."""
    found = moments.read_timestamp(text)
    if found is not None:
        return found if typmod < 0 else round_fraction(found, typmod)
    parsed = parse(text, "timestamp", env)
    if parsed.special is not None:
        return _BEFORE[parsed.special][1]
    if parsed.days is None:
        raise syntax_error("timestamp", text)
    us = parsed.days * DAY_US + (parsed.us or 0)
    if not TIMESTAMP_MIN <= us < TIMESTAMP_END:
        raise DatetimeFieldOverflow(f'timestamp out of range: "{text}"')
    return round_fraction(us, typmod)


def timestamptz_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Text input of timestamptz; without a zone the session's counts."""
    found = moments.read_timestamp(text)
    if found is not None:
        return round_fraction(local_to_utc(found, env.timezone), typmod)
    parsed = parse(text, "timestamp with time zone", env)
    if parsed.special is not None:
        return _BEFORE[parsed.special][1]
    if parsed.days is None:
        raise syntax_error("timestamp with time zone", text)
    us = local_to_utc(parsed.days * DAY_US + (parsed.us or 0), parsed.zone or env.timezone)
    if not TIMESTAMP_MIN <= us < TIMESTAMP_END:
        raise DatetimeFieldOverflow(f'timestamp out of range: "{text}"')
    return round_fraction(us, typmod)


def round_fraction(us: int, typmod: int, explicit: bool = False) -> int:
    """Round to ``typmod`` fractional digits, half away from zero."""
    if not 0 <= typmod < 6 or is_infinite(us):
        return us
    unit: int = 10 ** (6 - typmod)
    rounded: int = (abs(us) + unit // 2) // unit * unit
    return rounded if us >= 0 else -rounded


def _rounded(us: int, typmod: int) -> int:
    """What the length coercion does with a modifier that somebody has made up: 22023."""
    if typmod != -1 and not 0 <= typmod <= 6 and not is_infinite(us):
        raise InvalidParameterValue(f"timestamp({typmod}) precision must be between 0 and 6")
    return round_fraction(us, typmod)


def _day_text(days: int, datestyle: str, with_weekday: bool) -> str:
    """A date in the session's style, without the era."""
    year, month, day = civil_from_days(days)
    shown = year if year > 0 else 1 - year
    style = datestyle.partition(",")[0].strip().upper()
    if style == "ISO":
        return f"{shown:04d}-{month:02d}-{day:02d}"
    day_first = "DMY" in datestyle.upper()
    if style == "GERMAN":
        return f"{day:02d}.{month:02d}.{shown:04d}"
    if style == "SQL":
        return f"{day:02d}/{month:02d}/{shown:04d}" if day_first else f"{month:02d}/{day:02d}/{shown:04d}"
    if not with_weekday:
        return f"{day:02d}-{month:02d}-{shown:04d}" if day_first else f"{month:02d}-{day:02d}-{shown:04d}"
    name = MONTH_NAMES[month - 1][:3]
    return f"{DAY_NAMES[(days + 6) % 7][:3]} " + (f"{day:02d} {name}" if day_first else f"{name} {day:02d}")


def date_out(value: int, env: TypeEnv) -> str:
    """Text output of date."""
    if env.datestyle.startswith("ISO"):
        return moments.date_text(value)
    if value in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return "infinity" if value > 0 else "-infinity"
    return _day_text(value, env.datestyle, False) + (" BC" if civil_from_days(value)[0] <= 0 else "")


def _stamp_text(local_us: int, env: TypeEnv, zone_text: str) -> str:
    days, us = divmod(local_us, DAY_US)
    year = civil_from_days(days)[0]
    era = " BC" if year <= 0 else ""
    style = env.datestyle.partition(",")[0].strip().upper()
    if style == "POSTGRES":
        shown = year if year > 0 else 1 - year
        clock = f"{moments.clock_text(us)} {shown:04d}{zone_text and ' ' + zone_text}"
        return f"{_day_text(days, env.datestyle, True)} {clock}{era}"
    gap = " " if style in ("SQL", "GERMAN") and zone_text else ""
    return f"{_day_text(days, env.datestyle, True)} {moments.clock_text(us)}{gap}{zone_text}{era}"


def timestamp_out(value: int, env: TypeEnv) -> str:
    """Text output of timestamp."""
    if env.datestyle.startswith("ISO"):
        return moments.timestamp_text(value)
    if is_infinite(value):
        return "infinity" if value > 0 else "-infinity"
    return _stamp_text(value, env, "")


_ABBREVIATION_MAX = 10


def timestamptz_out(value: int, env: TypeEnv) -> str:
    """Text output of timestamptz in the session's zone: its offset, or with other styles than ISO its abbreviation."""
    if is_infinite(value):
        return "infinity" if value > 0 else "-infinity"
    offset = utc_offset_seconds(value, env.timezone)
    if env.datestyle.startswith("ISO"):
        return moments.timestamp_text(value, offset)
    zone_text = zone_abbreviation(value, env.timezone)[:_ABBREVIATION_MAX]
    return _stamp_text(value + offset * SECOND_US, env, zone_text)


def precision_typmod_in(name: str) -> Callable[[list[str]], int]:
    """(p) → typmod p; above 6 is 6 with PostgreSQL, negative is 22023."""

    def read(arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise InvalidParameterValue("invalid type modifier")
        precision = parse_typmod_int("integer", arguments[0])
        if precision < 0:
            raise InvalidParameterValue(f"{name}({precision}) precision must not be negative")
        return min(precision, 6)

    return read


def _precision_typmod_out(tail: str) -> Callable[[int], str]:
    return lambda typmod: f"({typmod}){tail}"


_receive_date, _send_date = fixed_codec(">i")
_receive_stamp, _send_stamp = fixed_codec(">q")


def _stamp_receive(data: bytes, typmod: int) -> int:
    value: int = _receive_stamp(data, typmod)
    if not is_infinite(value):
        check_timestamp(value)
    return round_fraction(value, typmod)


def _date_receive(data: bytes, typmod: int) -> int:
    value: int = _receive_date(data, typmod)
    if value not in (DATE_INFINITY, DATE_MINUS_INFINITY):
        check_date(value)
    return value


_date_key, _stamp_key = struct.Struct(">I").pack, struct.Struct(">Q").pack

REGISTRY.add_type(
    PgType(
        oid=1082,
        name="date",
        length=4,
        by_value=True,
        category="D",
        array=1182,
        input=date_in,
        output=date_out,
        receive=_date_receive,
        send=_send_date,
        disk="i",
        sort_key=lambda value: _date_key(value + 0x80000000),
    )
)
for _oid, _name, _array, _in, _out, _formatted in (
    (1114, "timestamp", 1115, timestamp_in, timestamp_out, "timestamp without time zone"),
    (1184, "timestamptz", 1185, timestamptz_in, timestamptz_out, "timestamp with time zone"),
):
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=_name,
            formatted_name=_formatted,
            length=8,
            by_value=True,
            category="D",
            align="d",
            array=_array,
            preferred=_oid == 1184,
            input=_in,
            output=_out,
            receive=_stamp_receive,
            send=_send_stamp,
            disk="q",
            sort_key=lambda value: _stamp_key(value + 0x8000000000000000),
            typmod_in=precision_typmod_in(_name.upper() if _oid == 1114 else "TIMESTAMP"),
            typmod_out=_precision_typmod_out(_formatted.removeprefix("timestamp")),
            typmod_cast=round_fraction,
        )
    )

comparisons("""
1086 date_eq(date, date) bool
1091 date_ne(date, date) bool
1087 date_lt(date, date) bool
1088 date_le(date, date) bool
1089 date_gt(date, date) bool
1090 date_ge(date, date) bool
1092 date_cmp(date, date) int4
2052 timestamp_eq(timestamp, timestamp) bool
2053 timestamp_ne(timestamp, timestamp) bool
2054 timestamp_lt(timestamp, timestamp) bool
2055 timestamp_le(timestamp, timestamp) bool
2057 timestamp_gt(timestamp, timestamp) bool
2056 timestamp_ge(timestamp, timestamp) bool
2045 timestamp_cmp(timestamp, timestamp) int4
1152 timestamptz_eq(timestamptz, timestamptz) bool
1153 timestamptz_ne(timestamptz, timestamptz) bool
1154 timestamptz_lt(timestamptz, timestamptz) bool
1155 timestamptz_le(timestamptz, timestamptz) bool
1157 timestamptz_gt(timestamptz, timestamptz) bool
1156 timestamptz_ge(timestamptz, timestamptz) bool
1314 timestamptz_cmp(timestamptz, timestamptz) int4
""")


def date_to_timestamp(days: int) -> int:
    """Midnight of the day; 22008 beyond timestamp's range."""
    if days == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if days == DATE_MINUS_INFINITY:
        return TIMESTAMP_MINUS_INFINITY
    if days * DAY_US >= TIMESTAMP_END:
        raise DatetimeFieldOverflow("date out of range for timestamp")
    return days * DAY_US


def timestamp_to_date(us: int) -> int:
    """The day of a timestamp."""
    if is_infinite(us):
        return DATE_INFINITY if us > 0 else DATE_MINUS_INFINITY
    return us // DAY_US


def timestamp_to_timestamptz(us: int, env: TypeEnv) -> int:
    """Local time in the session's zone → instant."""
    return us if is_infinite(us) else check_timestamp(local_to_utc(us, env.timezone))


def date_to_timestamptz(days: int, env: TypeEnv) -> int:
    """Midnight of the day in the session's zone → instant; 22008."""
    us = date_to_timestamp(days)
    if is_infinite(us):
        return us
    instant = local_to_utc(us, env.timezone)
    if not TIMESTAMP_MIN <= instant < TIMESTAMP_END:
        raise DatetimeFieldOverflow("date out of range for timestamp")
    return instant


def timestamptz_to_timestamp(us: int, env: TypeEnv) -> int:
    """Instant → local time in the session's zone; 22008 before the first that a timestamp holds."""
    return us if is_infinite(us) else check_timestamp(utc_to_local(us, env.timezone))


def _mixed(block: str, left: Callable[[int, TypeEnv], int], right: Callable[[int, TypeEnv], int]) -> None:
    """Comparisons of a date or timestamp with another kind, each side brought to a common scale."""
    for line in block.strip().splitlines():
        oid, signature = line.split(" ", 1)
        name = signature[: signature.index("(")]
        compare = _OPERATIONS[next(each for each in name.split("_")[1:] if each in _OPERATIONS)]
        fn(int(oid), signature, _bind_mixed(compare, left, right), needs_context=True)


def _bind_mixed(
    compare: Callable[[int, int], Any], left: Callable[[int, TypeEnv], int], right: Callable[[int, TypeEnv], int]
) -> Callable[..., Datum]:
    return lambda context, a, b: compare(left(a, context.env), right(b, context.env))


_OPERATIONS: dict[str, Callable[[int, int], Any]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "cmp": lambda a, b: (a > b) - (a < b),
}


def _as_is(value: int, env: TypeEnv) -> int:
    return value


_AFTER_ALL_STAMPS = TIMESTAMP_INFINITY - 1
"""Where a date lies that no timestamp reaches: after every finite one, before infinity."""


def _date_as_stamp(days: int, env: TypeEnv) -> int:
    if days in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return date_to_timestamp(days)
    us = days * DAY_US
    return us if us < TIMESTAMP_END else _AFTER_ALL_STAMPS


def _date_as_instant(days: int, env: TypeEnv) -> int:
    us = _date_as_stamp(days, env)
    return us if us >= _AFTER_ALL_STAMPS or us == TIMESTAMP_MINUS_INFINITY else local_to_utc(us, env.timezone)


def _stamp_as_instant(us: int, env: TypeEnv) -> int:
    return us if is_infinite(us) else local_to_utc(us, env.timezone)


_mixed(
    """
2340 date_eq_timestamp(date, timestamp) bool
2343 date_ne_timestamp(date, timestamp) bool
2338 date_lt_timestamp(date, timestamp) bool
2339 date_le_timestamp(date, timestamp) bool
2341 date_gt_timestamp(date, timestamp) bool
2342 date_ge_timestamp(date, timestamp) bool
2344 date_cmp_timestamp(date, timestamp) int4
""",
    _date_as_stamp,
    _as_is,
)
_mixed(
    """
2366 timestamp_eq_date(timestamp, date) bool
2369 timestamp_ne_date(timestamp, date) bool
2364 timestamp_lt_date(timestamp, date) bool
2365 timestamp_le_date(timestamp, date) bool
2367 timestamp_gt_date(timestamp, date) bool
2368 timestamp_ge_date(timestamp, date) bool
2370 timestamp_cmp_date(timestamp, date) int4
""",
    _as_is,
    _date_as_stamp,
)
_mixed(
    """
2353 date_eq_timestamptz(date, timestamptz) bool stable
2356 date_ne_timestamptz(date, timestamptz) bool stable
2351 date_lt_timestamptz(date, timestamptz) bool stable
2352 date_le_timestamptz(date, timestamptz) bool stable
2354 date_gt_timestamptz(date, timestamptz) bool stable
2355 date_ge_timestamptz(date, timestamptz) bool stable
2357 date_cmp_timestamptz(date, timestamptz) int4 stable
""",
    _date_as_instant,
    _as_is,
)
_mixed(
    """
2379 timestamptz_eq_date(timestamptz, date) bool stable
2382 timestamptz_ne_date(timestamptz, date) bool stable
2377 timestamptz_lt_date(timestamptz, date) bool stable
2378 timestamptz_le_date(timestamptz, date) bool stable
2380 timestamptz_gt_date(timestamptz, date) bool stable
2381 timestamptz_ge_date(timestamptz, date) bool stable
2383 timestamptz_cmp_date(timestamptz, date) int4 stable
""",
    _as_is,
    _date_as_instant,
)
_mixed(
    """
2522 timestamp_eq_timestamptz(timestamp, timestamptz) bool stable
2525 timestamp_ne_timestamptz(timestamp, timestamptz) bool stable
2520 timestamp_lt_timestamptz(timestamp, timestamptz) bool stable
2521 timestamp_le_timestamptz(timestamp, timestamptz) bool stable
2523 timestamp_gt_timestamptz(timestamp, timestamptz) bool stable
2524 timestamp_ge_timestamptz(timestamp, timestamptz) bool stable
2526 timestamp_cmp_timestamptz(timestamp, timestamptz) int4 stable
""",
    _stamp_as_instant,
    _as_is,
)
_mixed(
    """
2529 timestamptz_eq_timestamp(timestamptz, timestamp) bool stable
2532 timestamptz_ne_timestamp(timestamptz, timestamp) bool stable
2527 timestamptz_lt_timestamp(timestamptz, timestamp) bool stable
2528 timestamptz_le_timestamp(timestamptz, timestamp) bool stable
2530 timestamptz_gt_timestamp(timestamptz, timestamp) bool stable
2531 timestamptz_ge_timestamp(timestamptz, timestamp) bool stable
2533 timestamptz_cmp_timestamp(timestamptz, timestamp) int4 stable
""",
    _as_is,
    _stamp_as_instant,
)


def date_plus(days: int, count: int) -> int:
    """date + days; infinite dates stay. 22008."""
    return days if days in (DATE_INFINITY, DATE_MINUS_INFINITY) else check_date(days + count)


fn(1141, "date_pli(date, int4) date", date_plus)
fn(1142, "date_mii(date, int4) date", lambda days, count: date_plus(days, -count))
fn(1140, "date_mi(date, date) int4", moments.days_between)
fn(2024, "timestamp(date) timestamp", date_to_timestamp)
fn(2029, "date(timestamp) date", timestamp_to_date)


def _with_env(convert: Callable[[int, TypeEnv], int]) -> Callable[[FunctionContext, int], int]:
    return lambda context, value: convert(value, context.env)


def _zoned_date(context: FunctionContext, us: int) -> int:
    if is_infinite(us):
        return timestamp_to_date(us)
    return offsets_of(context.env.timezone).to_local(us) // DAY_US


fn(2028, "timestamptz(timestamp) timestamptz stable", _with_env(timestamp_to_timestamptz), needs_context=True)
fn(2027, "timestamp(timestamptz) timestamp stable", _with_env(timestamptz_to_timestamp), needs_context=True)
fn(
    1174,
    "timestamptz(date) timestamptz stable",
    _with_env(date_to_timestamptz),
    needs_context=True,
)
fn(
    1178,
    "date(timestamptz) date stable",
    _zoned_date,
    needs_context=True,
)
fns(
    """
1961 timestamp(timestamp, int4) timestamp
1967 timestamptz(timestamptz, int4) timestamptz
""",
    _rounded,
)
fns(
    """
1138 date_larger(date, date) date
2036 timestamp_larger(timestamp, timestamp) timestamp
1196 timestamptz_larger(timestamptz, timestamptz) timestamptz
""",
    max,
)
fns(
    """
1139 date_smaller(date, date) date
2035 timestamp_smaller(timestamp, timestamp) timestamp
1195 timestamptz_smaller(timestamptz, timestamptz) timestamptz
""",
    min,
)
fns(
    """
2048 isfinite(timestamp) bool
1389 isfinite(timestamptz) bool
""",
    lambda us: not is_infinite(us),
)
fn(1373, "isfinite(date) bool", lambda days: days not in (DATE_INFINITY, DATE_MINUS_INFINITY))
operators("""
1093 date = date bool 1086 commutator=1093 negator=1094 merges hashes
1094 date <> date bool 1091 commutator=1094 negator=1093
1095 date < date bool 1087 commutator=1097 negator=1098
1096 date <= date bool 1088 commutator=1098 negator=1097
1097 date > date bool 1089 commutator=1095 negator=1096
1098 date >= date bool 1090 commutator=1096 negator=1095
1099 date - date int4 1140
1100 date + int4 date 1141 commutator=2555
1101 date - int4 date 1142
1320 timestamptz = timestamptz bool 1152 commutator=1320 negator=1321 merges hashes
1321 timestamptz <> timestamptz bool 1153 commutator=1321 negator=1320
1322 timestamptz < timestamptz bool 1154 commutator=1324 negator=1325
1323 timestamptz <= timestamptz bool 1155 commutator=1325 negator=1324
1324 timestamptz > timestamptz bool 1157 commutator=1322 negator=1323
1325 timestamptz >= timestamptz bool 1156 commutator=1323 negator=1322
1328 timestamptz - timestamptz interval 1188
2060 timestamp = timestamp bool 2052 commutator=2060 negator=2061 merges hashes
2061 timestamp <> timestamp bool 2053 commutator=2061 negator=2060
2062 timestamp < timestamp bool 2054 commutator=2064 negator=2065
2063 timestamp <= timestamp bool 2055 commutator=2065 negator=2064
2064 timestamp > timestamp bool 2057 commutator=2062 negator=2063
2065 timestamp >= timestamp bool 2056 commutator=2063 negator=2062
2067 timestamp - timestamp interval 2031
2345 date < timestamp bool 2338 commutator=2375 negator=2348
2346 date <= timestamp bool 2339 commutator=2374 negator=2349
2347 date = timestamp bool 2340 commutator=2373 negator=2350 merges
2348 date >= timestamp bool 2342 commutator=2372 negator=2345
2349 date > timestamp bool 2341 commutator=2371 negator=2346
2350 date <> timestamp bool 2343 commutator=2376 negator=2347
2358 date < timestamptz bool 2351 commutator=2388 negator=2361
2359 date <= timestamptz bool 2352 commutator=2387 negator=2362
2360 date = timestamptz bool 2353 commutator=2386 negator=2363 merges
2361 date >= timestamptz bool 2355 commutator=2385 negator=2358
2362 date > timestamptz bool 2354 commutator=2384 negator=2359
2363 date <> timestamptz bool 2356 commutator=2389 negator=2360
2371 timestamp < date bool 2364 commutator=2349 negator=2374
2372 timestamp <= date bool 2365 commutator=2348 negator=2375
2373 timestamp = date bool 2366 commutator=2347 negator=2376 merges
2374 timestamp >= date bool 2368 commutator=2346 negator=2371
2375 timestamp > date bool 2367 commutator=2345 negator=2372
2376 timestamp <> date bool 2369 commutator=2350 negator=2373
2384 timestamptz < date bool 2377 commutator=2362 negator=2387
2385 timestamptz <= date bool 2378 commutator=2361 negator=2388
2386 timestamptz = date bool 2379 commutator=2360 negator=2389 merges
2387 timestamptz >= date bool 2381 commutator=2359 negator=2384
2388 timestamptz > date bool 2380 commutator=2358 negator=2385
2389 timestamptz <> date bool 2382 commutator=2363 negator=2386
2534 timestamp < timestamptz bool 2520 commutator=2544 negator=2537
2535 timestamp <= timestamptz bool 2521 commutator=2543 negator=2538
2536 timestamp = timestamptz bool 2522 commutator=2542 negator=2539 merges
2537 timestamp >= timestamptz bool 2524 commutator=2541 negator=2534
2538 timestamp > timestamptz bool 2523 commutator=2540 negator=2535
2539 timestamp <> timestamptz bool 2525 commutator=2545 negator=2536
2540 timestamptz < timestamp bool 2527 commutator=2538 negator=2543
2541 timestamptz <= timestamp bool 2528 commutator=2537 negator=2544
2542 timestamptz = timestamp bool 2529 commutator=2536 negator=2545 merges
2543 timestamptz >= timestamp bool 2531 commutator=2535 negator=2540
2544 timestamptz > timestamp bool 2530 commutator=2534 negator=2541
2545 timestamptz <> timestamp bool 2532 commutator=2539 negator=2542
2555 int4 + date date 2550 commutator=1100
""")
casts("""
10152 date timestamp 2024 i f
10153 date timestamptz 1174 i f
10156 timestamp date 2029 a f
10158 timestamp timestamptz 2028 i f
10159 timestamptz date 1178 a f
10161 timestamptz timestamp 2027 a f
10207 timestamp timestamp 1961 i f
10208 timestamptz timestamptz 1967 i f
""")
operator_classes("""
3122 date_ops 434 datetime_ops date 403 default 1095,1096,1093,1098,1097 1092,3136,0,5051
3127 timestamptz_ops 434 datetime_ops timestamptz 403 default 1322,1323,1320,1325,1324 1314,3137,0,5051
3128 timestamp_ops 434 datetime_ops timestamp 403 default 2062,2063,2060,2065,2064 2045,3137,0,5051
10011 date_ops 435 date_ops date 405 default 1093 450,425
10040 timestamptz_ops 1999 timestamptz_ops timestamptz 405 default 1320 2039,3411
10046 timestamp_ops 2040 timestamp_ops timestamp 405 default 2060 2039,3411
""")
family_operators("""
434 403 date timestamp 2345,2346,2347,2348,2349
434 403 date timestamptz 2358,2359,2360,2361,2362
434 403 timestamp date 2371,2372,2373,2374,2375
434 403 timestamp timestamptz 2534,2535,2536,2537,2538
434 403 timestamptz date 2384,2385,2386,2387,2388
434 403 timestamptz timestamp 2540,2541,2542,2543,2544
""")
