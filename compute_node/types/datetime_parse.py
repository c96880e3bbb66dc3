"""Text → the fields of a date, a time and a zone, in the forms that PostgreSQL reads (manual, 8.5.1 and appendix B).

``parse`` gives ``Parsed``; the caller builds its type from it. Errors are 22007 (syntax) and 22008 (a field out of
range).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo

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
    days_from_civil,
    find_zone,
    fixed_zone,
    month_length,
    utc_to_local,
)
from compute_node.types.registry import TypeEnv

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
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
_MONTH_WORDS = (
    {name.lower(): at + 1 for at, name in enumerate(MONTH_NAMES)}
    | {name: at + 1 for at, name in enumerate(_MONTHS)}
    | {"sept": 9}
)
_DAY_WORDS = (
    {name.lower() for name in DAY_NAMES} | {name.lower()[:3] for name in DAY_NAMES} | {"tues", "weds", "thur", "thurs"}
)
_FAST = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?")
_TOKEN = re.compile(
    r"""(?P<time>\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)
      | (?P<date>\d+[-/.](?:\d+|[a-z]{3,9})[-/.]\d+ | [a-z]{3,9}[-/.]\d+[-/.]\d+)
      | (?P<ordinal>\d{4}[-.]\d{3}(?!\d))
      | (?P<zone>[+-]\d{1,2}(?::\d{2}){1,2} | [+-]\d{1,6}(?![\d/.-]))
      | (?P<julian>j\d+(?:\.\d+)?)
      | (?P<number>\d+(?:\.\d*)?)
      | (?P<word>[a-z][a-z_]*(?:/[a-z_+-]+\d*)*(?:[+-]\d+)?)
      | (?P<skip>[\s,]+)""",
    re.VERBOSE,
)


@dataclass(slots=True)
class Parsed:
    """``days`` since 2000-01-01 or None without a date; ``us`` of the day or None without a time; ``special`` is
    ``infinity`` or
    ``-infinity``; ``zone`` None when the text names none."""

    days: int | None = None
    us: int | None = None
    zone: tzinfo | None = None
    special: str | None = None


def syntax_error(type_name: str, text: str) -> SqlError:
    """22007."""
    return InvalidDatetimeFormat(f'invalid input syntax for type {type_name}: "{text}"')


def field_overflow(text: str, datestyle_hint: bool = False) -> SqlError:
    """22008, with the hint PostgreSQL gives when day and month may have been swapped."""
    hint = 'Perhaps you need a different "datestyle" setting.' if datestyle_hint else None
    return DatetimeFieldOverflow(f'date/time field value out of range: "{text}"', hint=hint)


def _fraction_us(digits: str) -> int:
    return round(float("0." + digits) * 1_000_000) if len(digits) > 6 else int(digits.ljust(6, "0") or "0")


def checked_days(year: int, month: int, day: int, text: str) -> int:
    """Days of a civil date; 22008 when there is no such day."""
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise field_overflow(text, datestyle_hint=True)
    if day > month_length(year, month):
        raise field_overflow(text)
    return days_from_civil(year, month, day)


class _Parser:
    """One run over the tokens of ``text``; ``finish`` assembles the result."""

    def __init__(self, text: str, type_name: str, env: TypeEnv) -> None:
        self.text, self.type_name, self.env = text, type_name, env
        self.year: int | None = None
        self.month: int | None = None
        self.day: int | None = None
        self.year_digits = 0
        self.days: int | None = None
        self.us: int | None = None
        self.zone: tzinfo | None = None
        self.meridiem: str | None = None
        self.bc = False
        self.hour = 0
        self.special: str | None = None

    def error(self) -> SqlError:
        return syntax_error(self.type_name, self.text)

    def run(self) -> Parsed:
        lowered = self.text.strip().lower()
        at = 0
        if not lowered:
            raise self.error()
        if lowered in ("infinity", "+infinity"):
            return Parsed(special="infinity")
        if lowered == "-infinity":
            return Parsed(special="-infinity")
        while at < len(lowered):
            match = _TOKEN.match(lowered, at)
            if match is None:
                raise self.error()
            kind = match.lastgroup or ""
            getattr(self, "take_" + kind)(match[0])
            at = match.end()
        return self.finish()

    def take_skip(self, token: str) -> None:
        """Separators."""

    def take_time(self, token: str) -> None:
        if self.us is not None:
            raise self.error()
        hour, minute, *rest = token.split(":")
        second, _, fraction = (rest[0] if rest else "0").partition(".")
        self.set_time(int(hour), int(minute), int(second), _fraction_us(fraction))

    def set_time(self, hour: int, minute: int, second: int, fraction_us: int) -> None:
        if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second or fraction_us)):
            raise field_overflow(self.text)
        self.us = (hour * 3600 + minute * 60 + second) * SECOND_US + fraction_us
        self.hour = hour

    def take_date(self, token: str) -> None:
        if self.year is not None or self.days is not None or (self.us is not None and token[0].isdigit()):
            raise self.error()
        parts = re.split("[-/.]", token)
        if parts[0][0].isalpha():
            self.month = self.month_word(parts[0])
            self.day = int(parts[1])
            self.set_year(parts[2])
        elif parts[1][0].isalpha():
            self.month = self.month_word(parts[1])
            if len(parts[0]) > 2:
                self.set_year(parts[0])
                self.day = int(parts[2])
            else:
                self.day = int(parts[0])
                self.set_year(parts[2])
        elif len(parts[0]) > 2:
            self.set_year(parts[0])
            self.month, self.day = int(parts[1]), int(parts[2])
        else:
            self.by_datestyle(parts)

    def by_datestyle(self, parts: list[str]) -> None:
        order = self.env.datestyle.upper()
        if "YMD" in order:
            self.set_year(parts[0])
            self.month, self.day = int(parts[1]), int(parts[2])
        elif "DMY" in order:
            self.day, self.month = int(parts[0]), int(parts[1])
            self.set_year(parts[2])
        else:
            self.month, self.day = int(parts[0]), int(parts[1])
            self.set_year(parts[2])

    def set_year(self, digits: str) -> None:
        if len(digits) > 7:
            raise field_overflow(self.text)
        self.year, self.year_digits = int(digits), len(digits)

    def month_word(self, word: str) -> int:
        month = _MONTH_WORDS.get(word)
        if month is None:
            raise self.error()
        return month

    def take_ordinal(self, token: str) -> None:
        year, day = int(token[:4]), int(token[5:])
        if not 1 <= day <= 366:
            raise field_overflow(self.text)
        self.days = days_from_civil(year, 1, 1) + day - 1

    def take_julian(self, token: str) -> None:
        whole, _, fraction = token[1:].partition(".")
        self.days = int(whole) - EPOCH_JULIAN
        if fraction:
            self.us = round(float("0." + fraction) * DAY_US)

    def take_zone(self, token: str) -> None:
        dated = self.days is not None or self.year is not None
        if self.us is None and not dated and self.type_name not in ("time with time zone",):
            raise self.error()
        sign = -1 if token[0] == "-" else 1
        parts = token[1:].split(":")
        if len(parts) == 1 and len(token) > 3:
            digits = token[1:].rjust(4 if len(token) <= 5 else 6, "0")
            parts = [digits[at : at + 2] for at in range(0, len(digits), 2)]
        hour, minute, second = (*map(int, parts), 0, 0)[:3]
        if hour > 15 or minute > 59 or second > 59:
            raise _zone_displacement(self.text)
        self.zone = fixed_zone(sign * (hour * 3600 + minute * 60 + second))

    def take_number(self, token: str) -> None:
        whole, dot, fraction = token.partition(".")
        if self.type_name.startswith("time") and not self.type_name.startswith("timestamp") and len(whole) in (4, 6):
            self.set_time(int(whole[:2]), int(whole[2:4]), int(whole[4:] or 0), _fraction_us(fraction))
            return
        has_date = self.days is not None or (self.year is not None and self.month is not None and self.day is not None)
        if not has_date and self.month is not None:
            if self.day is None and len(whole) <= 2:
                self.day = int(whole)
                return
            if self.year is None:
                self.set_year(whole)
                return
        elif not has_date and len(whole) == 8 and not dot:
            self.set_year(whole[:4])
            self.month, self.day = int(whole[4:6]), int(whole[6:])
            return
        elif not has_date and len(whole) == 6 and not dot and self.us is None:
            self.set_year(whole[:2])
            self.month, self.day = int(whole[2:4]), int(whole[4:])
            return
        elif not has_date and self.year is None and self.day is None and len(whole) <= 2:
            self.day = int(whole)
            return
        elif not has_date and self.year is None and len(whole) in (3, 4):
            self.set_year(whole)
            return
        if self.us is None and len(whole) in (4, 6) and has_date:
            self.set_time(int(whole[:2]), int(whole[2:4]), int(whole[4:] or 0), _fraction_us(fraction))
            return
        raise self.error()

    def take_word(self, token: str) -> None:
        if token in ("am", "pm"):
            self.meridiem = token
        elif token in ("bc", "ad"):
            self.bc = token == "bc"
        elif token == "t":
            if self.year is None and self.days is None:
                raise self.error()
        elif token in _MONTH_WORDS and self.month is None:
            self.month = _MONTH_WORDS[token]
        elif token in _DAY_WORDS or token in ("at", "on"):
            return
        elif token == "allballs":
            self.us, self.zone, self.hour = 0, fixed_zone(0), 0
        elif token in ("now", "today", "tomorrow", "yesterday", "epoch"):
            self.relative(token)
        else:
            self.named_zone(token)

    def relative(self, word: str) -> None:
        if self.days is not None or self.year is not None:
            raise self.error()
        if word == "epoch":
            self.days, self.us, self.zone, self.hour = -10957, 0, fixed_zone(0), 0
            return
        local = utc_to_local(self.env.transaction_timestamp, self.env.timezone)
        self.days = local // DAY_US + {"tomorrow": 1, "yesterday": -1}.get(word, 0)
        if word == "now":
            self.us, self.hour = local % DAY_US, 0

    def named_zone(self, token: str) -> None:
        if token.startswith("t") and token[1:].isdigit():
            raise self.error()
        zone = find_zone(token)
        if zone is None:
            if "/" in token:
                raise InvalidParameterValue(f'time zone "{token}" not recognized')
            raise self.error()
        if self.zone is not None:
            raise self.error()
        self.zone = zone

    def finish(self) -> Parsed:
        if self.meridiem is not None:
            if self.us is None:
                raise self.error()
            if self.hour > 12:
                raise field_overflow(self.text)
            if self.meridiem == "pm" and self.hour != 12:
                self.us += 12 * 3600 * SECOND_US
            elif self.meridiem == "am" and self.hour == 12:
                self.us -= 12 * 3600 * SECOND_US
        days = self.days
        if days is None and (self.year is not None or self.month is not None or self.day is not None):
            if self.year is None or self.month is None or self.day is None:
                raise self.error()
            year = self.year
            if self.bc:
                if year == 0:
                    raise field_overflow(self.text)
                year = 1 - year
            elif self.year_digits <= 2:
                year += 2000 if year < 70 else 1900
            elif year == 0:
                raise field_overflow(self.text)
            days = checked_days(year, self.month, self.day, self.text)
        return Parsed(days, self.us, self.zone)


def _zone_displacement(text: str) -> SqlError:
    return InvalidTimeZoneDisplacement(f'time zone displacement out of range: "{text}"')


def parse(text: str, type_name: str, env: TypeEnv) -> Parsed:
    """Fields of ``text``; ``type_name`` is the SQL name that error messages carry."""
    match = _FAST.fullmatch(text)
    if match is not None and match[1] != "0000":
        days = checked_days(int(match[1]), int(match[2]), int(match[3]), text)
        if match[4] is None:
            return Parsed(days)
        hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
        if hour < 24 and minute < 60 and second < 60:
            return Parsed(days, (hour * 3600 + minute * 60 + second) * SECOND_US + _fraction_us(match[7] or ""))
    return _Parser(text, type_name, env).run()
