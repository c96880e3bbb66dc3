"""Text → the fields of a date, a time and a zone, in the forms that PostgreSQL reads (manual, 8.5.1 and appendix B).

``parse`` gives ``Parsed``; the caller builds its type from it. Errors are 22007 (syntax), 22008 (a field out of range)
and 22009 (a zone's displacement). A text is cut into pieces (``datetime_tokens.py``), which are read from left to
right; what a number means follows from what was read before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from aurora.errors import (
    DatetimeFieldOverflow,
    InvalidDatetimeFormat,
    InvalidParameterValue,
    InvalidTimeZoneDisplacement,
    SqlError,
)
from compute_node.types.calendar_ import (
    DAY_US,
    EPOCH_JULIAN,
    SECOND_US,
    civil_from_days,
    days_from_civil,
    fixed_zone,
    month_length,
    named_zone,
    steady_offset_seconds,
    utc_offset_seconds,
    utc_to_local,
)
from compute_node.types.datetime_tokens import BadFormat, pieces
from compute_node.types.registry import TypeEnv
from compute_node.types.zone_abbreviations import OFFSETS, ZONES, AbbreviatedZone, abbreviated_zone

MONTH_NAMES = (
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
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    {name.lower(): at + 1 for at, name in enumerate(MONTH_NAMES)}
    | {name.lower()[:3]: at + 1 for at, name in enumerate(MONTH_NAMES)}
    | {"sept": 9}
)
_DAY_WORDS: Final = (
    {name.lower() for name in DAY_NAMES} | {name.lower()[:3] for name in DAY_NAMES} | {"tues", "weds", "thur", "thurs"}
)
_LABELS: Final = {
    "y": "year",
    "m": "month",
    "d": "day",
    "h": "hour",
    "mm": "minute",
    "s": "second",
    "j": "julian",
    "jd": "julian",
    "julian": "julian",
}
"""Words that say what the number after them is."""
_DAY_OFFSETS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_FIELD = re.compile(r"[^a-z0-9]*(\d+|[a-z]+)")
_FAST = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?")

_DATE: Final = frozenset(["year", "month", "day"])
_TIME: Final = frozenset(["hour", "minute", "second", "fraction"])
_INT_MAX: Final = 2147483647
_CLOCKS: Final = ("time", "time with time zone")


@dataclass(slots=True)
class Parsed:
    """``days`` since 2000-01-01 or None without a date; ``us`` of the day or None without a time; ``special`` is
    ``infinity`` or
    ``-infinity``; ``zone`` None when the text names none."""

    days: int | None = None
    us: int | None = None
    zone: tzinfo | None = None
    special: str | None = None


class _Overflow(Exception):
    """22008; ``order`` when the order of day and month may be why."""

    def __init__(self, order: bool = False) -> None:
        super().__init__()
        self.order = order


class _Displacement(Exception):
    """22009."""


def syntax_error(type_name: str, text: str) -> SqlError:
    """22007."""
    return InvalidDatetimeFormat(f'invalid input syntax for type {type_name}: "{text}"')


def field_overflow(text: str, datestyle_hint: bool = False) -> SqlError:
    """22008, with the hint PostgreSQL gives when day and month may have been swapped."""
    hint = 'Perhaps you need a different "datestyle" setting.' if datestyle_hint else None
    return DatetimeFieldOverflow(f'date/time field value out of range: "{text}"', hint=hint)


def _fraction_us(digits: str) -> int:
    """Digits after a point as µs."""
    return round(float(f"0.{digits}0") * 1_000_000) if len(digits) > 6 else int(digits.ljust(6, "0") or "0")


def _atoi(digits: str) -> int:
    """C's atoi: the lowest 32 bits of the number that fits in 64."""
    return (min(int(digits[:20]), 2**63 - 1) + 2**31) % 2**32 - 2**31


def _integer(text: str) -> int:
    value = int(text[:30] or "0")
    if value > _INT_MAX:
        raise _Overflow
    return value


def _fields(token: str) -> list[str]:
    """The numbers and words of a date. One character after each is dropped, whatever it is; nothing may follow
    separators at the end."""
    found: list[str] = []
    at = 0
    while at < len(token):
        match = _FIELD.match(token, at)
        if match is None:
            raise BadFormat
        found.append(match[1])
        at = match.end() + 1
    return found


class _Parser:
    """One run over the pieces of ``text``; ``finish`` assembles the result."""

    def __init__(self, text: str, type_name: str, env: TypeEnv) -> None:
        self.text, self.env = text, env
        self.time_only = type_name in _CLOCKS
        self.name = type_name
        self.seen: set[str] = set()
        self.year = self.month = self.day = self.day_of_year = 0
        self.hour = self.minute = self.second = self.fraction_us = 0
        self.zone: tzinfo | None = None
        self.zone_needs_date = False
        self.meridiem = ""
        self.label = ""
        """what the next number is"""
        self.bc = self.two_digits = self.is_julian = self.text_month = self.summer = False
        self.result: Parsed | None = None

    def run(self) -> Parsed:
        found = pieces(self.text)
        kinds = [kind for kind, _ in found]
        for at, (kind, token) in enumerate(found):
            read: Callable[[str, int, list[str]], set[str] | frozenset[str]] = getattr(self, "take_" + kind)
            given = read(token, at, kinds)
            if given & self.seen:
                raise BadFormat
            self.seen |= given
        return self.finish()

    @property
    def dated(self) -> set[str]:
        """Which of year, month and day were read."""
        return self.seen & _DATE

    def has_time(self) -> bool:
        return self.seen >= _TIME

    # pieces

    def take_date(self, token: str, at: int, kinds: list[str]) -> set[str]:
        if self.label == "julian" and not self.time_only:
            digits = re.match(r"\d*", token)
            number = digits[0] if digits else ""
            self.set_julian(_integer(number))
            self.label = ""
            self.zone = self.displacement(token[len(number) :])
            return {*_DATE, *_TIME, "zone"}
        if self.time_only:
            as_date = at == 0 and len(kinds) >= 2 and (kinds[-1] == "date" or kinds[1] == "time")
        else:
            as_date = not self.label and not self.seen >= {"month", "day"}
        if as_date:
            return self.split_date(token)
        if token[0].isdigit() or (self.label and not self.time_only):
            return self.clock_and_zone(token)
        self.full_zone(token)
        return {"zone"}

    def clock_and_zone(self, token: str) -> set[str]:
        """``hhmmss-zz``."""
        if self.label not in ("", "time"):
            raise BadFormat
        self.label = ""
        digits, minus, zone = token.partition("-")
        if self.has_time() or not minus:
            raise BadFormat
        self.zone = self.displacement(minus + zone)
        return {*self.number_field(digits, True), "zone"}

    def full_zone(self, token: str) -> None:
        """The name of a zone."""
        zone = named_zone(token)
        if zone is None:
            raise InvalidParameterValue(f'time zone "{token}" not recognized')
        self.zone, self.zone_needs_date = zone, True

    def split_date(self, token: str) -> set[str]:
        """Three fields with separators. A month's name that stands elsewhere says nothing here."""
        named_before, self.text_month = self.text_month, False
        given = self.split_fields(_fields(token))
        self.text_month = named_before
        return given

    def split_fields(self, fields: list[str]) -> set[str]:
        """What each field is."""
        given: set[str] = set()
        before = self.seen
        for word in [each for each in fields if each.isalpha()]:
            month = _MONTHS.get(word)
            if month is None:
                if word in ("at", "on"):
                    continue
                raise BadFormat
            if "month" in before | given:
                raise BadFormat
            self.month, self.text_month = month, True
            given.add("month")
        for number in [each for each in fields if each.isdigit()]:
            one = self.number(number, before | given)
            if one & (before | given):
                raise BadFormat
            given |= one
        if (before | given) - {"day_of_year", "zone"} != _DATE:
            raise BadFormat
        return given

    def take_time(self, token: str, at: int, kinds: list[str]) -> frozenset[str]:
        if self.label not in ("", "time"):
            raise BadFormat
        self.label = ""
        match = re.fullmatch(r"(\d+):(\d*)(?::(\d*))?(?:\.(\d*))?", token)
        if match is None:
            raise BadFormat
        hour, minute, second = _integer(match[1]), _integer(match[2]), _integer(match[3] or "0")
        if match[3] is None and match[4] is not None:
            hour, minute, second = 0, hour, minute
        self.hour, self.minute, self.second = hour, minute, second
        self.fraction_us = _fraction_us(match[4] or "")
        if minute > 59 or second > 60:
            raise _Overflow
        if not self.time_only:
            self.check_clock()
        return _TIME

    def check_clock(self) -> None:
        """22008 beyond 24:00:00."""
        if self.hour > 24 or self.minute > 59 or self.second > 60 or self.clock_us() > DAY_US:
            raise _Overflow

    def clock_us(self) -> int:
        return (self.hour * 3600 + self.minute * 60 + self.second) * SECOND_US + self.fraction_us

    def take_zone(self, token: str, at: int, kinds: list[str]) -> set[str]:
        self.zone = self.displacement(token)
        return {"zone"}

    def displacement(self, token: str) -> tzinfo:
        """``±hh``, ``±hhmm``, ``±hh:mm:ss``."""
        match = re.match(r"([+-])(\d*)(?::(\d*))?(?::(\d*))?", token)
        if match is None:
            raise BadFormat
        hour, minute, second = _integer(match[2]), _integer(match[3] or "0"), _integer(match[4] or "0")
        if match[3] is None and match.end() == len(token) and len(token) > 3:
            hour, minute = divmod(hour, 100)
        if hour > 15 or minute > 59 or second > 59:
            raise _Displacement
        if match.end() < len(token):
            raise BadFormat
        return fixed_zone((-1 if match[1] == "-" else 1) * (hour * 3600 + minute * 60 + second))

    def take_number(self, token: str, at: int, kinds: list[str]) -> set[str]:
        if self.label:
            return self.labelled(token)
        whole, point, _ = token.partition(".")
        if point:
            as_date = not self.dated if not self.time_only else at == 0 and len(kinds) >= 2 and kinds[-1] == "date"
            if as_date:
                return self.split_date(token)
            if len(whole) > 2:
                return self.number_field(token, self.time_only)
            if self.time_only:
                raise BadFormat
        elif self.time_only:
            if len(token) > 4:
                return self.number_field(token, True)
        elif len(token) >= 6 and not (self.dated and self.seen & _TIME):
            return self.number_field(token, False)
        return self.number(token, self.seen | _DATE if self.time_only else self.seen)

    def labelled(self, token: str) -> set[str]:
        """A number after a word that says what it is."""
        label, self.label = self.label, ""
        self.result = None
        whole, point, fraction = token.partition(".")
        if point and label not in ("julian", "time", "second"):
            raise BadFormat
        value = _integer(whole)
        if label == "julian":
            self.set_julian(value)
            if fraction:
                us = round(float("0." + fraction) * DAY_US)
                self.hour, self.minute, self.second = us // 3600_000_000, us // 60_000_000 % 60, us // SECOND_US % 60
                self.fraction_us = us % SECOND_US
            return {*_DATE, *_TIME} if point else set(_DATE)
        if label == "time":
            given = self.number_field(token, True)
            if not given >= _TIME:
                raise BadFormat
            return given
        if label == "month" and self.seen >= {"month", "hour"}:
            label = "minute"
        setattr(self, label, value)
        if label == "second":
            self.fraction_us = _fraction_us(fraction)
            return {"second", "fraction"} if point else {"second"}
        return {label}

    def set_julian(self, day: int) -> None:
        self.year, self.month, self.day = civil_from_days(day - EPOCH_JULIAN)
        self.is_julian = True

    def number_field(self, token: str, date_known: bool) -> set[str]:
        """Digits without separators: ``yymmdd``, ``yyyymmdd``, ``hhmm``, ``hhmmss``."""
        digits, point, fraction = token.partition(".")
        if point:
            self.fraction_us = _fraction_us(fraction)
        elif not date_known and self.dated != _DATE and len(digits) >= 6:
            self.day, self.month, self.year = int(digits[-2:]), int(digits[-4:-2]), _atoi(digits[:-4])
            self.two_digits |= len(digits) == 6
            return set(_DATE)
        if not self.has_time() and len(digits) in (4, 6):
            self.hour, self.minute, self.second = int(digits[:2]), int(digits[2:4]), int(digits[4:] or "0")
            return set(_TIME)
        raise BadFormat

    def number(self, token: str, seen: set[str]) -> set[str]:
        """One number of a date, by what there is of it."""
        whole, point, fraction = token.partition(".")
        value = _integer(whole)
        if point:
            if len(whole) > 2:
                return self.number_field(token, True)
            self.fraction_us = _fraction_us(fraction)
        dated = seen & _DATE
        length = len(token)
        if length == 3 and dated == {"year"} and 1 <= value <= 366:
            self.day_of_year = value
            return {"day_of_year", "month", "day"}
        if dated == _DATE:
            return self.number_field(token, True)
        field = self.place(length, dated)
        if field == "swap":
            self.day, self.year, self.two_digits = self.year, value, False
            return {"day"}
        setattr(self, field, value)
        if field == "year":
            self.two_digits = length <= 2
        return {field}

    def place(self, length: int, dated: set[str]) -> str:
        """Which field a number of so many digits is; ``swap``: the year before was the day."""
        style = self.env.datestyle.upper()
        year_first = length >= 3 or "YMD" in style
        if not dated:
            return "year" if year_first else "day" if "DMY" in style else "month"
        if dated == {"year"} or dated == {"day"}:
            return "month"
        if dated == {"month"}:
            return "year" if self.text_month and year_first else "day"
        if dated == {"year", "month"}:
            return "swap" if self.text_month and length >= 3 and self.two_digits else "day"
        if dated == {"month", "day"}:
            return "year"
        raise BadFormat

    # words

    def take_string(self, token: str, at: int, kinds: list[str]) -> set[str]:
        if token in OFFSETS or token in ZONES:
            self.zone = abbreviated_zone(token)
            return {"zone", "summer"} if OFFSETS.get(token, (0, False))[1] else {"zone"}
        word = token[:10]
        if word in ("at", "on"):
            return set()
        if word in _MONTHS and not self.time_only:
            return self.month_word(_MONTHS[word])
        if word in ("am", "pm"):
            self.meridiem = word
            return {"meridiem"}
        if word in ("ad", "bc"):
            self.bc = word == "bc"
            return {"era"}
        if word in _DAY_WORDS and not self.time_only:
            return {"weekday"}
        if word in _LABELS:
            self.label = _LABELS[word]
            return set()
        if word == "t":
            ready = self.time_only or self.dated == _DATE
            if not ready or at + 1 >= len(kinds) or kinds[at + 1] not in ("number", "time", "date"):
                raise BadFormat
            self.label = "time"
            return set()
        if word == "dst":
            self.summer = True
            return {"summer", "dst"}
        return self.rarer(token)

    take_special = take_string

    def month_word(self, month: int) -> set[str]:
        numeric = "month" in self.seen and not self.text_month and "day" not in self.seen and 1 <= self.month <= 31
        if numeric:
            self.day = self.month
        self.text_month, self.month = True, month
        return {"day"} if numeric else {"month"}

    def rarer(self, token: str) -> set[str]:
        if token == "allballs":
            self.hour = self.minute = self.second = self.fraction_us = 0
            self.zone = UTC
            return {*_TIME, "zone"}
        if token == "now":
            return self.now()
        if not self.time_only:
            if token in _DAY_OFFSETS:
                local = utc_to_local(self.env.transaction_timestamp, self.env.timezone)
                self.year, self.month, self.day = civil_from_days(local // DAY_US + _DAY_OFFSETS[token])
                self.is_julian = True
                return set(_DATE)
            if token in ("epoch", "infinity", "-infinity"):
                self.result = Parsed(-10957, 0, UTC) if token == "epoch" else Parsed(special=token)
                return {"special"}
        zone = named_zone(token)
        if zone is None:
            raise BadFormat
        self.zone, self.zone_needs_date = zone, True
        return {"zone"}

    def now(self) -> set[str]:
        instant = self.env.transaction_timestamp
        offset = utc_offset_seconds(instant, self.env.timezone)
        days, us = divmod(instant + offset * SECOND_US, DAY_US)
        self.hour, self.minute, self.second = us // 3600_000_000, us // 60_000_000 % 60, us // SECOND_US % 60
        self.fraction_us = us % SECOND_US
        if self.time_only:
            return set(_TIME)
        self.year, self.month, self.day = civil_from_days(days)
        self.zone, self.is_julian = fixed_zone(offset), True
        return {*_DATE, *_TIME, "zone"}

    # the end

    def finish(self) -> Parsed:
        days = self.checked_date()
        if self.meridiem:
            if self.hour > 12:
                raise _Overflow
            self.hour = self.hour % 12 + (12 if self.meridiem == "pm" else 0)
        if self.result is not None:
            return self.result
        if self.time_only:
            self.check_clock()
            partly_dated = bool(self.dated) and days is None
            if not self.has_time() or (partly_dated and (self.zone is None or isinstance(self.zone, AbbreviatedZone))):
                raise BadFormat
            if self.zone_needs_date and days is None:
                self.zone = self.dateless_zone()
        elif days is None:
            raise BadFormat
        if "dst" in self.seen:
            self.zone = self.summer_zone()
        return Parsed(days, self.clock_us() if self.time_only or self.seen & _TIME else None, self.zone)

    def summer_zone(self) -> tzinfo:
        """``MET DST``: an hour more than the abbreviation says."""
        if self.zone is None or self.zone_needs_date:
            raise BadFormat
        return fixed_zone(utc_offset_seconds(0, self.zone) + 3600)

    def dateless_zone(self) -> tzinfo:
        """A zone whose offset does not change needs no date."""
        if self.zone is None:
            raise BadFormat
        steady = steady_offset_seconds(self.zone)
        if steady is None:
            raise BadFormat
        return fixed_zone(steady)

    def checked_date(self) -> int | None:
        """Days of the date that was read; None without a whole one."""
        if "year" in self.seen and not self.is_julian:
            if self.bc:
                if self.year <= 0:
                    raise _Overflow
                self.year = 1 - self.year
            elif self.two_digits:
                self.year += 2000 if self.year < 70 else 1900 if self.year < 100 else 0
            elif self.year <= 0:
                raise _Overflow
        if "day_of_year" in self.seen:
            self.year, self.month, self.day = civil_from_days(days_from_civil(self.year, 1, 1) + self.day_of_year - 1)
        if "month" in self.seen and not 1 <= self.month <= 12:
            raise _Overflow(order=True)
        if "day" in self.seen and not 1 <= self.day <= 31:
            raise _Overflow(order=True)
        if self.dated != _DATE:
            return None
        if self.day > month_length(self.year, self.month):
            raise _Overflow
        return days_from_civil(self.year, self.month, self.day)


def checked_days(year: int, month: int, day: int, text: str) -> int:
    """Days of a civil date; 22008 when there is no such day."""
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise field_overflow(text, datestyle_hint=True)
    if day > month_length(year, month):
        raise field_overflow(text)
    return days_from_civil(year, month, day)


def parse(text: str, type_name: str, env: TypeEnv) -> Parsed:
    """Fields of ``text``; ``type_name`` is the SQL name that error messages carry."""
    match = _FAST.fullmatch(text)
    if match is not None and match[1] != "0000" and not (type_name in _CLOCKS and "T" in text):
        if match[4] is None:
            return Parsed(checked_days(int(match[1]), int(match[2]), int(match[3]), text))
        hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
        if hour < 24 and minute < 60 and second < 60:
            days = checked_days(int(match[1]), int(match[2]), int(match[3]), text)
            return Parsed(days, (hour * 3600 + minute * 60 + second) * SECOND_US + _fraction_us(match[7] or ""))
    try:
        return _Parser(text, type_name, env).run()
    except BadFormat:
        raise syntax_error(type_name, text) from None
    except _Overflow as error:
        raise field_overflow(text, error.order) from None
    except _Displacement:
        raise InvalidTimeZoneDisplacement(f'time zone displacement out of range: "{text}"') from None
