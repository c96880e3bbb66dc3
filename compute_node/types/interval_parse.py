"""Text → the fields of an interval, in PostgreSQL's verbose form, SQL's, and ISO 8601's (manual, 8.5.4).

``read_interval`` goes through the text's pieces from right to left, so that a unit is known before its number. The
arithmetic is C's: parts of years become whole months, parts of months days and µs; each field has its own width.
"""

from __future__ import annotations

import math
import re
from typing import Final

from aurora.errors import DatetimeFieldOverflow, IntervalFieldOverflow, SqlError
from compute_node.types.calendar_ import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from compute_node.types.common import whole_number
from compute_node.types.datetime_parse import syntax_error
from compute_node.types.datetime_tokens import BadFormat, pieces

MONTH, YEAR, DAY, HOUR, MINUTE, SECOND = 1 << 1, 1 << 2, 1 << 3, 1 << 10, 1 << 11, 1 << 12
"""Bits of the fields in a typmod."""
FULL_RANGE: Final = 0x7FFF
_TOKEN_LENGTH_MAX: Final = 10
"""Longer words count by their beginning."""


class _Overflow(Exception):
    """22015."""


_UNIT_WORDS = {
    "century": "c cent centuries century",
    "day": "d day days",
    "decade": "dec decade decades decs",
    "hour": "h hour hours hr hrs",
    "minute": "m min mins minute minutes",
    "microsecond": "microsecon us usec usecond useconds usecs",
    "millennium": "mil millennia millennium mils",
    "millisecond": "millisecon ms msec msecond mseconds msecs",
    "month": "mon mons month months",
    "second": "s sec second seconds secs",
    "week": "w week weeks",
    "year": "y year years yr yrs",
    "quarter": "qtr quarter",
    "timezone": "timezone timezone_h timezone_m",
}
_UNITS: Final = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_UNIT_US: Final = {"microsecond": 1, "millisecond": 1000, "second": SECOND_US, "minute": MINUTE_US, "hour": HOUR_US}
_UNIT_YEARS: Final = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
_CLOCK: Final = frozenset(["hour", "minute", "second", "millisecond", "microsecond"])
_SECONDS: Final = frozenset(["second", "millisecond", "microsecond"])


class _Fields:
    """The sum so far. ``add`` takes a whole number and a fraction of the same sign."""

    def __init__(self) -> None:
        self.years = self.months = self.days = self.us = 0

    def _int4(self, value: int) -> int:
        if not -(2**31) <= value < 2**31:
            raise _Overflow
        return value

    def add_us(self, whole: int, fraction: float, unit_us: int) -> None:
        self.us += whole * unit_us
        if fraction:
            exact = fraction * unit_us
            us = math.trunc(exact)
            rest = exact - us
            self.us += us + (1 if rest > 0.5 else -1 if rest < -0.5 else 0)
        if not -(2**63) <= self.us < 2**63:
            raise _Overflow

    def add_days(self, whole: int, fraction: float, days: int) -> None:
        self.days = self._int4(self.days + self._int4(self._int4(whole) * days))
        if days == 1:
            self.add_us(0, fraction, DAY_US)
        else:
            self.add_fraction_days(fraction, days)

    def add_fraction_days(self, fraction: float, days: int) -> None:
        exact = fraction * days
        self.days = self._int4(self.days + math.trunc(exact))
        self.add_us(0, exact - math.trunc(exact), DAY_US)

    def add_months(self, whole: int, fraction: float) -> None:
        self.months = self._int4(self.months + self._int4(whole))
        self.add_fraction_days(fraction, 30)

    def add_years(self, whole: int, fraction: float, years: int) -> None:
        self.years = self._int4(self.years + self._int4(self._int4(whole) * years))
        self.months = self._int4(self.months + round(fraction * years * 12))

    def add(self, whole: int, fraction: float, unit: str) -> frozenset[str]:
        """Add so many of a unit; which fields it gave."""
        if unit in _UNIT_US:
            self.add_us(whole, fraction, _UNIT_US[unit])
            return _SECONDS if unit == "second" and fraction else frozenset([unit])
        if unit in ("day", "week"):
            self.add_days(whole, fraction, 1 if unit == "day" else 7)
        elif unit == "month":
            self.add_months(whole, fraction)
        elif unit in _UNIT_YEARS:
            self.add_years(whole, fraction, _UNIT_YEARS[unit])
        else:
            raise BadFormat
        return frozenset([unit])

    def negate(self) -> None:
        if self.us == -(2**63) or -(2**31) in (self.days, self.months, self.years):
            raise _Overflow
        self.years, self.months, self.days, self.us = -self.years, -self.months, -self.days, -self.us


_LAST_UNIT: Final = {
    YEAR: "year",
    MONTH: "month",
    YEAR | MONTH: "month",
    DAY: "day",
    HOUR: "hour",
    DAY | HOUR: "hour",
    MINUTE: "minute",
    HOUR | MINUTE: "minute",
    DAY | HOUR | MINUTE: "minute",
}
"""What a number without a unit at the end counts, by the fields of the typmod; seconds otherwise."""
_NUMBER = re.compile(r"([+-]?\d*)(?:-([+-]?\d+)?|(\.\d*))?")


def _number(text: str) -> tuple[int, float, bool]:
    """(whole, fraction, whether it is years and months): ``-1.5``, ``1-2``."""
    match = _NUMBER.fullmatch(text)
    if match is None or text in ("+", "-", "-+"):
        raise BadFormat
    sign = -1 if text.startswith("-") else 1
    whole = whole_number(match[1]) if match[1].strip("+-") else 0
    if not -(2**63) <= whole < 2**63:
        raise _Overflow
    if text.find("-", 1) >= 0:
        months = whole_number(match[2] or "0")
        if not 0 <= months < 12:
            raise _Overflow
        return whole * 12 + sign * months, 0.0, True
    return whole, sign * float("0" + match[3] + "0") if match[3] else 0.0, False


_TIME = re.compile(r"(\d+):(\d*)(?::(\d*))?(\.\d*)?")


def _clock_us(text: str, fields: int) -> int:
    """``hh:mm[:ss[.f]]``; ``mm:ss`` where the typmod says so, and with a fraction."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadFormat
    hour, minute, second = whole_number(match[1]), whole_number(match[2] or "0"), whole_number(match[3] or "0")
    if match[3] is None and (match[4] is not None or fields == MINUTE | SECOND):
        if hour >= 2**31:
            raise _Overflow
        hour, minute, second = 0, hour, minute
    fraction_us = round(float("0" + match[4] + "0") * SECOND_US) if match[4] else 0
    if minute > 59 or second > 60:
        raise _Overflow
    us = hour * HOUR_US + minute * MINUTE_US + second * SECOND_US + fraction_us
    if us >= 2**63:
        raise _Overflow
    return us


class _Reader:
    """The pieces from right to left; ``unit`` is what the next number counts."""

    def __init__(self, fields: int, all_negative: bool) -> None:
        self.fields, self.all_negative = fields, all_negative
        self.sum = _Fields()
        self.unit: str | None = None
        self.seen: frozenset[str] = frozenset()
        self.ago = False

    def take(self, kind: str, text: str) -> None:
        if kind == "time":
            given = self.clock(text)
        elif kind == "zone" and ":" in text:
            try:
                given = self.clock(text)
            except _Overflow:
                raise BadFormat from None
        elif kind in ("number", "date", "zone"):
            given = self.number(text)
        else:
            if text == "ago":
                self.ago, self.unit = True, "ago"
            else:
                unit = _UNITS.get(text[:_TOKEN_LENGTH_MAX])
                if unit is None:
                    raise BadFormat
                self.unit = unit
            return
        if given & self.seen:
            raise BadFormat
        self.seen |= given

    def clock(self, text: str) -> frozenset[str]:
        us = _clock_us(text.lstrip("+-"), self.fields)
        self.sum.us = -us if text.startswith("-") or self.all_negative else us
        self.unit = "day"
        return _CLOCK

    def number(self, text: str) -> frozenset[str]:
        if self.unit is None:
            self.unit = _LAST_UNIT.get(self.fields, "second")
        whole, fraction, year_month = _number(text)
        if year_month:
            self.unit = "month"
        if self.all_negative:
            whole, fraction = -abs(whole), -abs(fraction)
        given = self.sum.add(whole, fraction, self.unit)
        if self.unit == "hour":
            self.unit = "day"
        return given


def _verbose(text: str, fields: int, sql_standard: bool) -> _Fields:
    found = pieces(text)
    signs = [piece[0] for _, piece in found if piece[0] in "+-"]
    all_negative = sql_standard and len(signs) == 1 and found[0][1].startswith("-")
    reader = _Reader(fields, all_negative)
    for kind, piece in reversed(found):
        reader.take(kind, piece)
    if not reader.seen:
        raise BadFormat
    if reader.ago:
        reader.sum.negate()
    return reader.sum


_ISO_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


class _Iso:
    """``P…T…`` with designators, or in the alternative forms ``P0001-02-03T04:05:06`` and ``P00010203T040506``."""

    def __init__(self, text: str) -> None:
        if len(text) < 2 or text[0] != "P":
            raise BadFormat
        self.text, self.at = text, 1
        self.sum = _Fields()

    def number(self) -> tuple[int, float, int]:
        """(whole, fraction, digits before the point)."""
        match = _ISO_NUMBER.match(self.text, self.at)
        if match is None:
            raise BadFormat
        self.at = match.end()
        value = float(match[0])
        if abs(value) > 1.0e15:
            raise _Overflow
        digits = re.match(r"-?(\d*)", match[0])
        return math.trunc(value), value - math.trunc(value), len(digits[1]) if digits else 0

    def next(self) -> str:
        """The next character; nothing at the end."""
        char = self.text[self.at : self.at + 1]
        self.at += len(char)
        return char

    def run(self) -> _Fields:
        dated, have = True, False
        while self.at < len(self.text):
            if self.text[self.at] == "T":
                dated, have = False, False
                self.at += 1
                continue
            number = self.number()
            unit = self.next()
            done = self.date(number, unit, have) if dated else self.time(number, unit, have)
            if done == "end":
                break
            have = done != "T"
            dated = dated and done != "T"
        return self.sum

    def date(self, number: tuple[int, float, int], unit: str, have: bool) -> str:
        whole, fraction, digits = number
        if unit and unit in "YMWD":
            self.sum.add(whole, fraction, {"Y": "year", "M": "month", "W": "week", "D": "day"}[unit])
            return ""
        if unit not in ("", "T", "-") or have:
            raise BadFormat
        if unit != "-" and digits == 8:
            rest = math.trunc(whole / 100)
            self.sum.add(math.trunc(whole / 10000), 0.0, "year")
            self.sum.add(int(math.fmod(rest, 100)), 0.0, "month")
            self.sum.add(int(math.fmod(whole, 100)), fraction, "day")
            return unit or "end"
        for name in ("year", "month", "day"):
            self.sum.add(whole, fraction, name)
            if name != "year":
                unit = self.next()
            if unit in ("", "T"):
                return unit or "end"
            if unit != "-" or name == "day":
                raise BadFormat
            whole, fraction, _ = self.number()
        return "end"

    def time(self, number: tuple[int, float, int], unit: str, have: bool) -> str:
        whole, fraction, digits = number
        if unit and unit in "HMS":
            self.sum.add(whole, fraction, {"H": "hour", "M": "minute", "S": "second"}[unit])
            return ""
        if unit not in ("", ":") or have:
            raise BadFormat
        if unit == "" and digits == 6:
            self.sum.add(math.trunc(whole / 10000), 0.0, "hour")
            self.sum.add(int(math.fmod(math.trunc(whole / 100), 100)), 0.0, "minute")
            self.sum.add(int(math.fmod(whole, 100)), 0.0, "second")
            self.sum.add_us(0, fraction, 1)
            return "end"
        for name in ("hour", "minute", "second"):
            self.sum.add(whole, fraction, name)
            if name != "hour":
                unit = self.next()
            if unit == "":
                return "end"
            if unit != ":" or name == "second":
                raise BadFormat
            whole, fraction, _ = self.number()
        return "end"


def read_interval(text: str, fields: int, sql_standard: bool) -> tuple[int, int, int]:
    """(months, days, µs). ``fields`` is the typmod's mask, ``sql_standard`` whether one leading minus sign counts for
    all. 22007, 22008, 22015."""
    try:
        try:
            found = _verbose(text, fields, sql_standard)
        except BadFormat:
            found = _Iso(text).run()
    except BadFormat:
        raise syntax_error("interval", text) from None
    except _Overflow:
        raise _overflow(text) from None
    months = found.years * 12 + found.months
    if not -(2**31) <= months < 2**31:
        raise DatetimeFieldOverflow("interval out of range")
    return months, found.days, found.us


def _overflow(text: str) -> SqlError:
    return IntervalFieldOverflow(f'interval field value out of range: "{text}"')
