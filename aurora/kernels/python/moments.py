"""Dates, timestamps and intervals: the calendar, what is added and cut off, their texts, the offsets of zones.

A date is days, a timestamp µs since 2000-01-01; the infinities are the ends of their integer types. Years are
astronomical (0 is 1 BC). What is asked for each row is here; whatever is rare (other date styles, fields and patterns
that few use) has its code in ``compute_node/types``, and the functions say with None that it is needed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from aurora.errors import DatetimeFieldOverflow

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
SECOND_US = 1_000_000
TIMESTAMP_MIN = -211813488000000000
TIMESTAMP_END = 9223371331200000000
INFINITY = 9223372036854775807
MINUS_INFINITY = -9223372036854775808
DATE_INFINITY = 2147483647
DATE_MINUS_INFINITY = -2147483648
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

CYCLE_DAYS = 146097
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEAR_1_US = -730119 * DAY_US
_YEAR_10000_US = 2921940 * DAY_US
SPANS_MAX = 4096
MARGIN_US = 36 * HOUR_US
"""More than two offsets of a zone differ by."""


class Interval(NamedTuple):
    """An interval value."""

    months: int
    days: int
    us: int


def is_leap(year: int) -> bool:
    """Whether an astronomical year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year: int, month: int) -> int:
    """Days of a month (1…12)."""
    return 29 if month == 2 and is_leap(year) else _MONTH_DAYS[month - 1]


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 2000-01-01 of a valid date."""
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * CYCLE_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 730425


def civil_from_days(days: int) -> tuple[int, int, int]:
    """(year, month, day) of days since 2000-01-01."""
    era, of_era = divmod(days + 730425, CYCLE_DAYS)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + (3 if shifted_month < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day


def add_months(days: int, months: int) -> int:
    """A date moved by months, its day clamped to the length of the month reached."""
    year, month, day = civil_from_days(days)
    year, month0 = divmod(year * 12 + month - 1 + months, 12)
    return days_from_civil(year, month0 + 1, min(day, month_length(year, month0 + 1)))


def _checked(us: int) -> int:
    if not TIMESTAMP_MIN <= us < TIMESTAMP_END:
        raise DatetimeFieldOverflow("timestamp out of range")
    return us


def plus_interval(us: int, span: Interval) -> int:
    """timestamp + interval, months first, then days, then µs; 22008 outside the range."""
    if us in (INFINITY, MINUS_INFINITY):
        return us
    months, days, more = span
    if months or days:
        whole, rest = divmod(us, DAY_US)
        us = (add_months(whole, months) + days) * DAY_US + rest
    return _checked(us + more)


def difference(a: int, b: int) -> Interval:
    """timestamp - timestamp in days and µs of the same sign; it wraps where 64 bits do not hold it. 22008."""
    if a in (INFINITY, MINUS_INFINITY) or b in (INFINITY, MINUS_INFINITY):
        raise DatetimeFieldOverflow("cannot subtract infinite timestamps")
    us = (a - b + 2**63) % 2**64 - 2**63
    days, rest = divmod(abs(us), DAY_US)
    return Interval(0, days, rest) if us >= 0 else Interval(0, -days, -rest)


def age(later: int, earlier: int) -> Interval:
    """Symbolic difference in years, months and days; 22008 for minus infinity, which has no calendar."""
    if MINUS_INFINITY in (later, earlier):
        raise DatetimeFieldOverflow("timestamp out of range")
    sign = 1
    if later < earlier:
        later, earlier, sign = earlier, later, -1
    days_a, us_a = divmod(later, DAY_US)
    days_b, us_b = divmod(earlier, DAY_US)
    (year_a, month_a, day_a), (year_b, month_b, day_b) = civil_from_days(days_a), civil_from_days(days_b)
    months, days, us = (year_a - year_b) * 12 + month_a - month_b, day_a - day_b, us_a - us_b
    if us < 0:
        us, days = us + DAY_US, days - 1
    if days < 0:
        days += month_length(year_b, month_b)
        months -= 1
    return Interval(sign * months, sign * days, sign * us)


def binned(stride_us: int, us: int, origin: int) -> int | None:
    """The start of the bin of a timestamp; None where there is something to check."""
    if stride_us <= 0 or not (TIMESTAMP_MIN <= us < TIMESTAMP_END and TIMESTAMP_MIN <= origin < TIMESTAMP_END):
        return None
    since = us - origin
    found = us - since % stride_us
    return found if -(2**63) <= since < 2**63 and TIMESTAMP_MIN <= found < TIMESTAMP_END else None


def days_between(a: int, b: int) -> int:
    """date - date; 22008 for an infinity."""
    if a in (DATE_INFINITY, DATE_MINUS_INFINITY) or b in (DATE_INFINITY, DATE_MINUS_INFINITY):
        raise DatetimeFieldOverflow("cannot subtract infinite dates")
    return a - b


def date_of(year: int, month: int, day: int) -> int | None:
    """Days of a date of the years 1 to 9999; None of any other, and of one that is none."""
    if not 1 <= year < 10000 or not 1 <= month <= 12 or not 1 <= day <= month_length(year, month):
        return None
    return days_from_civil(year, month, day)


_UNITS = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": SECOND_US,
    "minute": MINUTE_US,
    "hour": HOUR_US,
    "day": DAY_US,
}


def truncated(field: str, us: int) -> int | None:
    """A timestamp without what is smaller than a unit, given by its name; infinities stay. None: another unit."""
    if us in (INFINITY, MINUS_INFINITY):
        return us
    if field in _UNITS:
        return us // _UNITS[field] * _UNITS[field]
    days = us // DAY_US
    if field == "week":
        return (days - (days + 5) % 7) * DAY_US
    year, month, _ = civil_from_days(days)
    if field == "month":
        return days_from_civil(year, month, 1) * DAY_US
    if field == "quarter":
        return days_from_civil(year, (month - 1) // 3 * 3 + 1, 1) * DAY_US
    if field == "year":
        return days_from_civil(year, 1, 1) * DAY_US
    return None


def part(field: str, us: int) -> int | None:
    """A whole part of a timestamp, given by its name. None: another part, or an infinity."""
    if us in (INFINITY, MINUS_INFINITY):
        return None
    days, of_day = divmod(us, DAY_US)
    if field == "hour":
        return of_day // HOUR_US
    if field == "minute":
        return of_day // MINUTE_US % 60
    if field == "dow":
        return (days + 6) % 7
    if field == "isodow":
        return (days + 5) % 7 + 1
    year, month, day = civil_from_days(days)
    if field == "year":
        return year if year > 0 else year - 1
    if field == "month":
        return month
    if field == "day":
        return day
    if field == "quarter":
        return (month - 1) // 3 + 1
    if field == "doy":
        return days - days_from_civil(year, 1, 1) + 1
    return None


def clock_text(us: int) -> str:
    """µs of a day → ``HH:MM:SS[.ffffff]`` without trailing zeros."""
    seconds, fraction = divmod(us, SECOND_US)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def _iso_day(days: int) -> tuple[str, str]:
    year, month, day = civil_from_days(days)
    return f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d}", "" if year > 0 else " BC"


def date_text(days: int) -> str:
    """A date in the style ISO."""
    if days in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return "infinity" if days > 0 else "-infinity"
    return "".join(_iso_day(days))


def timestamp_text(us: int, offset_seconds: int | None = None) -> str:
    """A timestamp in the style ISO; with an offset that of an instant, as seen there."""
    if us in (INFINITY, MINUS_INFINITY):
        return "infinity" if us > 0 else "-infinity"
    zone = ""
    if offset_seconds is not None:
        us += offset_seconds * SECOND_US
        sign, seconds = ("-", -offset_seconds) if offset_seconds < 0 else ("+", offset_seconds)
        zone = f"{sign}{seconds // 3600:02d}"
        zone += f":{seconds // 60 % 60:02d}" if seconds % 3600 else ""
        zone += f":{seconds % 60:02d}" if seconds % 60 else ""
    days, of_day = divmod(us, DAY_US)
    day, era = _iso_day(days)
    return f"{day} {clock_text(of_day)}{zone}{era}"


def _digits(text: str, start: int, end: int) -> int:
    """The number that digits make; -1 of something else."""
    part = text[start:end]
    return int(part) if part.isascii() and part.isdigit() and len(part) == end - start else -1


def read_date(text: str) -> int | None:
    """``YYYY-MM-DD``; None of any other text."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return None
    year, month, day = _digits(text, 0, 4), _digits(text, 5, 7), _digits(text, 8, 10)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= month_length(year, month):
        return None
    return days_from_civil(year, month, day)


def read_timestamp(text: str) -> int | None:
    """``YYYY-MM-DD[ HH:MM:SS[.f…]]`` with at most six digits of a fraction; None of any other text."""
    days = read_date(text[:10])
    if days is None or len(text) == 10:
        return None if days is None else days * DAY_US
    if len(text) < 19 or text[10] != " " or text[13] != ":" or text[16] != ":":
        return None
    hour, minute, second = _digits(text, 11, 13), _digits(text, 14, 16), _digits(text, 17, 19)
    if not 0 <= hour < 24 or not 0 <= minute < 60 or not 0 <= second < 60:
        return None
    fraction = 0
    if len(text) > 19:
        if text[19] != "." or not 21 <= len(text) <= 26:
            return None
        fraction = _digits(text, 20, len(text))
        if fraction < 0:
            return None
        fraction *= 10 ** (26 - len(text))
    return days * DAY_US + hour * HOUR_US + minute * MINUTE_US + second * SECOND_US + fraction


LITERAL = 0
"""In a program of ``written``: the number of bytes and the bytes of a text follow."""
YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, MILLISECOND, MICROSECOND, HOUR12 = range(1, 10)
YEAR_3, YEAR_2, YEAR_1, YEAR_DAY, WEEKDAY, ISO_WEEKDAY, QUARTER = range(10, 17)
NOON_UPPER, NOON_LOWER, NOON_UPPER_DOTS, NOON_LOWER_DOTS = range(17, 21)
MONTH_NAME, DAY_NAME, MONTH_SHORT, DAY_SHORT = 32, 33, 34, 35
ZONE_UPPER, ZONE_LOWER = 40, 41
NAME_UPPER, NAME_LOWER = 0x40, 0x80
"""Added to a name."""
BARE = 0x40
"""Added to a number or a whole name: not filled up."""
BARE_NAME = 0x10
_WIDTHS = {YEAR: 4, MILLISECOND: 3, MICROSECOND: 6, YEAR_3: 3, YEAR_1: 1, YEAR_DAY: 3}
_WIDTHS |= {WEEKDAY: 1, ISO_WEEKDAY: 1, QUARTER: 1}
_NOONS = {
    NOON_UPPER: ("AM", "PM"),
    NOON_LOWER: ("am", "pm"),
    NOON_UPPER_DOTS: ("A.M.", "P.M."),
    NOON_LOWER_DOTS: ("a.m.", "p.m."),
}


def written(us: int, program: bytes, zone: str = "") -> str | None:
    """A local timestamp of the years 1 to 9999 by a program: codes of what is written. None outside these years.

    A name may have ``NAME_UPPER`` or ``NAME_LOWER`` added, and a whole one ``BARE_NAME``; a number ``BARE``.
    """
    if not _YEAR_1_US <= us < _YEAR_10000_US:
        return None
    days, of_day = divmod(us, DAY_US)
    year, month, day = civil_from_days(days)
    hour = of_day // HOUR_US
    numbers = {
        YEAR: year,
        MONTH: month,
        DAY: day,
        HOUR: hour,
        MINUTE: of_day // MINUTE_US % 60,
        SECOND: of_day // SECOND_US % 60,
        MILLISECOND: of_day % SECOND_US // 1000,
        MICROSECOND: of_day % SECOND_US,
        HOUR12: hour % 12 or 12,
        YEAR_3: year % 1000,
        YEAR_2: year % 100,
        YEAR_1: year % 10,
        YEAR_DAY: days - days_from_civil(year, 1, 1) + 1,
        WEEKDAY: (days + 6) % 7 + 1,
        ISO_WEEKDAY: (days + 5) % 7 + 1,
        QUARTER: (month - 1) // 3 + 1,
    }
    out: list[bytes] = []
    at = 0
    while at < len(program):
        code = program[at]
        at += 1
        if code == LITERAL:
            out.append(program[at + 1 : at + 1 + program[at]])
            at += 1 + program[at]
        elif code & 0x3F in numbers:
            number = numbers[code & 0x3F]
            out.append(b"%d" % number if code & BARE else str(number).rjust(_WIDTHS.get(code, 2), "0").encode())
        elif code in _NOONS:
            out.append(_NOONS[code][hour >= 12].encode())
        elif code in (ZONE_UPPER, ZONE_LOWER):
            out.append((zone if code == ZONE_UPPER else zone.lower()).encode())
        else:
            out.append(_name(code, month, (days + 6) % 7).encode())
    return b"".join(out).decode()


def _name(code: int, month: int, weekday: int) -> str:
    kind = code & 0x2F
    name = MONTHS[month - 1] if kind in (MONTH_NAME, MONTH_SHORT) else DAYS[weekday]
    if kind in (MONTH_SHORT, DAY_SHORT):
        name = name[:3]
    elif not code & BARE_NAME:
        name = name.ljust(9)
    return name.upper() if code & NAME_UPPER else name.lower() if code & NAME_LOWER else name


_READ_WIDTHS = {YEAR: 4, MONTH: 2, DAY: 2, HOUR: 2, MINUTE: 2, SECOND: 2}


def read_by(text: str, program: bytes) -> int | None:
    """The timestamp that a program of plain numbers and literal text would have written as this very text; None of any
    other text or program."""
    data = text.encode("utf-8", "surrogatepass")
    numbers = {YEAR: 0, MONTH: 1, DAY: 1, HOUR: 0, MINUTE: 0, SECOND: 0}
    place = at = 0
    while at < len(program):
        code = program[at]
        at += 1
        if code == LITERAL:
            literal = program[at + 1 : at + 1 + program[at]]
            if not data.startswith(literal, place):
                return None
            place += len(literal)
            at += 1 + len(literal)
            continue
        if code not in _READ_WIDTHS:
            return None
        digits = data[place : place + _READ_WIDTHS[code]]
        if len(digits) != _READ_WIDTHS[code] or not digits.isdigit():
            return None
        numbers[code] = int(digits)
        place += len(digits)
    if place != len(data) or not numbers[HOUR] < 24 or not numbers[MINUTE] < 60 or not numbers[SECOND] < 60:
        return None
    days = date_of(numbers[YEAR], numbers[MONTH], numbers[DAY])
    if days is None:
        return None
    return days * DAY_US + numbers[HOUR] * HOUR_US + numbers[MINUTE] * MINUTE_US + numbers[SECOND] * SECOND_US


Span = tuple[int, int, int, str]
"""first and last µs of a time in which a zone has one offset east of UTC (s) and one name"""


class Offsets:
    """The offsets of one zone, as far as they were asked for; ``find`` gives the span around an instant."""

    def __init__(self, find: Callable[[int], Span]) -> None:
        self._find = find
        self._starts: list[int] = []
        self._spans: list[Span] = []

    def _at(self, us: int) -> Span:
        place = bisect_right(self._starts, us) - 1
        if place >= 0 and us <= self._spans[place][1]:
            return self._spans[place]
        return self._learn(us)

    def _learn(self, us: int) -> Span:
        start, end, offset, name = self._find(us)
        if len(self._spans) >= SPANS_MAX:
            self._starts.clear()
            self._spans.clear()
        place = bisect_right(self._starts, start)
        if place < len(self._spans):
            after = self._spans[place]
            if after[0] == end + 1 and after[2:] == (offset, name):
                end = after[1]
                del self._spans[place], self._starts[place]
        if place:
            before = self._spans[place - 1]
            if before[1] + 1 == start and before[2:] == (offset, name):
                start = before[0]
                place -= 1
                del self._spans[place], self._starts[place]
        span = (start, end, offset, name)
        self._starts.insert(place, start)
        self._spans.insert(place, span)
        return span

    def seconds(self, us: int) -> int:
        """The offset east of UTC at an instant."""
        return self._at(us)[2]

    def name(self, us: int) -> str:
        """What the zone is called at an instant."""
        return self._at(us)[3]

    def to_local(self, us: int) -> int:
        """Instant → local time."""
        return us + self._at(us)[2] * SECOND_US

    def later(self, us: int, span: Interval) -> int | None:
        """timestamptz + interval, months and days in local time; None where there is more to look at."""
        if us in (INFINITY, MINUS_INFINITY):
            return us
        months, days, more = span
        if months or days:
            try:
                local = plus_interval(self.to_local(us), Interval(months, days, 0))
            except DatetimeFieldOverflow:
                return None
            found = self.to_utc(local)
            if found is None:
                return None
            us = found
        return us + more if TIMESTAMP_MIN <= us + more < TIMESTAMP_END else None

    def truncated(self, field: str, us: int) -> int | None:
        """As ``truncated``, in local time; None where there is more to look at."""
        if us in (INFINITY, MINUS_INFINITY):
            return us
        local = truncated(field, self.to_local(us))
        if local is None:
            return None
        if field in _UNITS and field != "day":
            return local - self.seconds(us) * SECOND_US
        found = self.to_utc(local)
        return found if found is not None and found >= TIMESTAMP_MIN else None

    def to_utc(self, us: int) -> int | None:
        """Local time → instant, where no change of the offset is near; else None."""
        start, end, offset, _ = self._at(us)
        found = us - offset * SECOND_US
        return found if start + MARGIN_US <= found <= end - MARGIN_US else None
