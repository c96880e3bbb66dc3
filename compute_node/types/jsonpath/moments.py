"""Dates and times in paths: what ``datetime()`` makes of a string, how moments compare and how they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aurora.errors import InvalidDatetimeFormat, NotSupported, SqlError
from aurora.kernels import moments as kernel
from compute_node.types.calendar_ import (
    DATE_INFINITY,
    DATE_MINUS_INFINITY,
    DAY_US,
    SECOND_US,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    civil_from_days,
    days_from_civil,
    local_to_utc,
    month_length,
    utc_offset_seconds,
)
from compute_node.types.datetime_ import is_infinite
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import TypeEnv

DATE: Final = "date"
TIME: Final = "time without time zone"
TIMETZ: Final = "time with time zone"
TIMESTAMP: Final = "timestamp without time zone"
TIMESTAMPTZ: Final = "timestamp with time zone"
_SHORT: Final = {DATE: "date", TIME: "time", TIMETZ: "timetz", TIMESTAMP: "timestamp", TIMESTAMPTZ: "timestamptz"}
_DATES: Final = frozenset((DATE, TIMESTAMP, TIMESTAMPTZ))


@dataclass(frozen=True, slots=True)
class Moment:
    """``value``: days (date), µs of the day (times), µs since 2000-01-01 (timestamps, UTC with a zone);
    ``west_seconds``: the zone that a value with a zone was given in."""

    type_name: str
    value: int
    west_seconds: int = 0

    def text(self) -> str:
        """As JSON has it: ISO 8601, with a T, and a zone of hours and minutes."""
        if self.type_name == DATE:
            return _date_text(self.value)
        if self.type_name == TIME:
            return kernel.clock_text(self.value)
        if self.type_name == TIMETZ:
            return kernel.clock_text(self.value) + _zone_text(-self.west_seconds)
        if is_infinite(self.value):
            return "infinity" if self.value > 0 else "-infinity"
        is_zoned = self.type_name == TIMESTAMPTZ
        days, us = divmod(self.value - self.west_seconds * SECOND_US * is_zoned, DAY_US)
        day, _, era = _date_text(days).partition(" ")
        return f"{day}T{kernel.clock_text(us)}{_zone_text(-self.west_seconds) * is_zoned}{' ' * bool(era)}{era}"


def _date_text(days: int) -> str:
    if days in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return "infinity" if days > 0 else "-infinity"
    year, month, day = civil_from_days(days)
    text = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d}"
    return text if year > 0 else text + " BC"


def _zone_text(east_seconds: int) -> str:
    sign, seconds = ("-", -east_seconds) if east_seconds < 0 else ("+", east_seconds)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return f"{text}:{seconds % 60:02d}" if seconds % 60 else text


# Texts

_KINDS: Final = {TYPE_OIDS[name]: kind for name, kind in zip(_SHORT.values(), _SHORT, strict=True)}
_CLOCKS = ("HH24:MI:SS.US", "HH24:MI:SS")
_TEMPLATES: Final = (
    "yyyy-mm-dd",
    *(
        f"{day}{clock}{zone}"
        for day in ("", "yyyy-mm-dd ", 'yyyy-mm-dd"T"')
        for zone in ("TZH:TZM", "TZH", "")
        for clock in _CLOCKS
    ),
)

_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
_ZONE = r"(?:(?P<sign>[-+])(?P<zone_hour>\d\d)(?::(?P<zone_minute>\d\d))?)?"
_ISO: Final = re.compile(rf"(?:{_DAY})?(?:(?:(?<=\d)[T ]|(?<!\d)){_CLOCK}{_ZONE})?")


def read_iso(text: str) -> Moment | None:
    """A date, a time or both, perhaps with a zone, in a form like ISO 8601's; None for another."""
    return _usual_iso(text) or _unusual_iso(text)


def _unusual_iso(text: str) -> Moment | None:
    """With blanks, or with more or fewer digits than usual: as the templates that the manual's forms stand for."""
    if not any("0" <= char <= "9" for char in text):
        return None
    for template in _TEMPLATES:
        try:
            return read_by_template(text, template)
        except SqlError:
            continue
    return None


def check_template(template: str) -> None:
    """22007 for a separator that the standard does not know."""
    from compute_node.types.formatting.moment_template import standard_nodes

    standard_nodes(template)


def read_by_template(text: str, template: str) -> Moment:
    """What the template's patterns stand for, by the standard's rules of matching; 22007, 22008, 22009, 0A000."""
    from compute_node.types.formatting import parse_datetime

    if not template:
        raise InvalidDatetimeFormat("datetime format is not dated and not timed")
    read = parse_datetime(text, template, strict=True)
    kind = _KINDS[read.type]
    value = read.value.us if kind == TIMETZ else read.value
    return Moment(kind, value, -read.offset_seconds)


def _usual_iso(text: str) -> Moment | None:
    match = _ISO.fullmatch(text) if text.isascii() else None
    if match is None or not text:
        return None
    fields = {
        name: int(value) for name, value in match.groupdict(default="0").items() if name not in ("sign", "fraction")
    }
    us = (fields["hour"] * 3600 + fields["minute"] * 60 + fields["second"]) * SECOND_US
    us += int((match["fraction"] or "0").ljust(6, "0"))
    if fields["hour"] > 23 or fields["minute"] > 59 or fields["second"] > 59:
        return None
    if fields["zone_hour"] > 15 or fields["zone_minute"] > 59:
        return None
    west = fields["zone_hour"] * 3600 + fields["zone_minute"] * 60
    west = west if match["sign"] == "-" else -west
    if match["year"] is None:
        return Moment(TIME, us) if match["sign"] is None else Moment(TIMETZ, us, west)
    year, month, day = fields["year"], fields["month"], fields["day"]
    if not year or not 1 <= month <= 12 or not 1 <= day <= month_length(year, month):
        return None
    days = days_from_civil(year, month, day)
    if match["hour"] is None:
        return Moment(DATE, days)
    if match["sign"] is None:
        return Moment(TIMESTAMP, days * DAY_US + us)
    return Moment(TIMESTAMPTZ, days * DAY_US + us + west * SECOND_US, west)


# Comparison


def compare(one: Moment, other: Moment, env: TypeEnv, with_zone: bool) -> int | None:
    """-1, 0 or 1; None for a time and a date. 0A000 when it takes the session's zone, for all but the _tz functions."""
    if (one.type_name in _DATES) != (other.type_name in _DATES):
        return None
    is_time = one.type_name not in _DATES
    is_zoned = TIMETZ in (one.type_name, other.type_name) or TIMESTAMPTZ in (one.type_name, other.type_name)
    place = _time_place if is_time else _date_place
    a, b = place(one, is_zoned, env, with_zone), place(other, is_zoned, env, with_zone)
    return (a > b) - (a < b)


def _needs_zone(kind: str, target: str, with_zone: bool) -> None:
    if not with_zone:
        raise NotSupported(
            f"cannot convert value from {_SHORT[kind]} to {_SHORT[target]} without time zone usage",
            hint="Use *_tz() function for time zone support.",
        )


def _time_place(moment: Moment, is_zoned: bool, env: TypeEnv, with_zone: bool) -> tuple[int, int]:
    if not is_zoned:
        return moment.value, 0
    west = moment.west_seconds
    if moment.type_name == TIME:
        _needs_zone(TIME, TIMETZ, with_zone)
        west = _west_today(env)
    return moment.value + west * SECOND_US, west


def _west_today(env: TypeEnv) -> int:
    """The session zone's offset now, as casting a time to timetz takes it."""
    return -utc_offset_seconds(env.transaction_timestamp, env.timezone)


def _date_place(moment: Moment, is_zoned: bool, env: TypeEnv, with_zone: bool) -> tuple[int, int]:
    if moment.type_name == DATE and moment.value in (DATE_INFINITY, DATE_MINUS_INFINITY):
        us = TIMESTAMP_INFINITY if moment.value > 0 else -TIMESTAMP_INFINITY
    else:
        us = moment.value * DAY_US if moment.type_name == DATE else moment.value
    if is_zoned and moment.type_name != TIMESTAMPTZ:
        _needs_zone(moment.type_name, TIMESTAMPTZ, with_zone)
        if TIMESTAMP_MIN <= us < TIMESTAMP_END:
            us = local_to_utc(us, env.timezone)
    return us, 0
