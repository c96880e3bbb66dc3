"""to_date, to_timestamp, and the reading of a text by a template whose patterns decide the type, for jsonpath.

``_Reader`` goes through the template's pieces and the text at once and collects numbers in ``_Read``; ``_Moment`` makes
a date and a time of them. A number of 0 counts as not given, as in PostgreSQL.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aurora.errors import (
    DatetimeFieldOverflow,
    InvalidDatetimeFormat,
    InvalidTimeZoneDisplacement,
    NotSupported,
    SqlError,
)
from aurora.kernels import moments
from aurora.kernels.python import moments as kernel
from compute_node.types.calendar_ import (
    DAY_US,
    EPOCH_JULIAN,
    SECOND_US,
    civil_from_days,
    days_from_civil,
    is_leap,
    local_to_utc,
    month_length,
)
from compute_node.types.common import WHITESPACE
from compute_node.types.datetime_ import check_date, check_timestamp, round_fraction
from compute_node.types.datetime_parse import DAY_NAMES, MONTH_NAMES
from compute_node.types.declare import fn
from compute_node.types.formatting.moment_out import pattern_code
from compute_node.types.formatting.moment_template import (
    DAYS_SHORT,
    MONTHS_SHORT,
    ROMAN_MONTHS,
    julian,
    moment_nodes,
    quotient,
    rest,
    standard_nodes,
    week_begin,
)
from compute_node.types.formatting.template import Kind, Node, cached, is_separator
from compute_node.types.interval import TimeTz
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import FunctionContext, Value

_INTEGER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_GROUPED_YEAR: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+),[ \t\n\v\f\r]*([+-]?[0-9]{1,3})")
_INT_MAX: Final = 2147483647
_NUMBERS: Final = "hh mi ss ms us ssss pm bc mm dd d ddd ww w cc j year"
_FRACTIONS: Final = {"FF1": 1, "FF2": 2, "FF3": 3, "FF4": 4, "FF5": 5, "FF6": 6, "US": 6}
_MARKS: Final = {
    "A.M.": ("A.M.", "P.M."),
    "P.M.": ("A.M.", "P.M."),
    "AM": ("AM", "PM"),
    "PM": ("AM", "PM"),
    "A.D.": ("A.D.", "B.C."),
    "B.C.": ("A.D.", "B.C."),
    "AD": ("AD", "BC"),
    "BC": ("AD", "BC"),
}
_FIELDS: Final = {
    "HH": "hh",
    "HH12": "hh",
    "HH24": "hh",
    "MI": "mi",
    "SS": "ss",
    "SSSS": "ssss",
    "SSSSS": "ssss",
    "MM": "mm",
    "DDD": "ddd",
    "IDDD": "ddd",
    "DD": "dd",
    "D": "d",
    "WW": "ww",
    "IW": "ww",
    "CC": "cc",
    "W": "w",
    "J": "j",
}
"""Patterns that read one number, and where it goes."""
_WIDTHS: Final = {"HH12": 2, "HH24": 2, "HH": 2, "IDDD": 3}
"""How many digits a number has between digits; the length of its name unless here."""
_YEARS: Final = {"YYYY": 4, "IYYY": 4, "YYY": 3, "IYY": 3, "YY": 2, "IY": 2, "Y": 1, "I": 1}


class _Read:
    """What a text gave, by field; 0 where nothing."""

    def __init__(self) -> None:
        self.fields = dict.fromkeys(_NUMBERS.split(), 0)
        self.mode = ""
        self.twelve_hours = False
        self.year_digits = 0
        self.precision = 0
        self.zone_sign = self.zone_hour = self.zone_minute = 0

    def set(self, name: str, value: int, node: Node) -> None:
        """22007 when the field has another value already."""
        if self.fields[name] not in (0, value):
            raise InvalidDatetimeFormat(
                f'conflicting values for "{node.text}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        self.fields[name] = value


def _full_year(year: int) -> int:
    """A year of up to three digits is the one nearest to 2020."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    if year < 520:
        return year + 2000
    return year + 1000 if year < 1000 else year


class _Reader:
    """One text and its template. ``strict``: the standard's rules, which match character by character."""

    def __init__(self, text: str, template: list[Node], strict: bool) -> None:
        self.text, self.template, self.strict = text, template, strict
        self.exact = strict
        self.place = 0
        self.skipped = 0
        """characters that were skipped beyond what the template asked for"""
        self.out = _Read()

    def run(self) -> _Read:
        done = 0
        for at, node in enumerate(paced(self.template)):
            if self.place >= len(self.text):
                break
            self.piece(at, node)
            done = at + 1
        if self.strict:
            if done < len(self.template):
                raise InvalidDatetimeFormat("input string is too short for datetime format")
            self.spaces()
            if self.place < len(self.text):
                raise InvalidDatetimeFormat("trailing characters remain in input string after datetime format")
        return self.out

    def spaces(self) -> int:
        begin, text = self.place, self.text
        while self.place < len(text) and text[self.place] in WHITESPACE:
            self.place += 1
        return self.place - begin

    def piece(self, at: int, node: Node) -> None:
        is_pattern = node.kind is Kind.PATTERN
        fixed = is_pattern and node.text.upper() == "FX"
        if not self.exact and not fixed and (is_pattern or at == 0):
            self.skipped += self.spaces()
        if not is_pattern:
            self.other(node)
            return
        pattern = node.pattern
        if pattern is not None and pattern.mode:
            if self.out.mode not in ("", pattern.mode):
                raise InvalidDatetimeFormat(
                    "invalid combination of date conventions",
                    hint="Do not mix Gregorian and ISO week date conventions in a formatting template.",
                )
            self.out.mode = pattern.mode
        if fixed:
            self.exact = True
        else:
            self.pattern(at, node, node.text.upper())
        if not self.exact:
            self.skipped = self.spaces()

    def other(self, node: Node) -> None:
        """A separator, space or character of the template; it need not be the text's."""
        char = self.text[self.place : self.place + 1]
        if node.kind is not Kind.CHARACTER:
            if self.strict:
                if char != node.text:
                    raise InvalidDatetimeFormat(f'unmatched format separator "{node.text}"')
                self.place += 1
            elif self.exact:
                self.place += 1
            else:
                self.skipped -= 1
                if char and (char in WHITESPACE or is_separator(char)):
                    self.place += 1
                    self.skipped += 1
        elif self.exact:
            if self.strict and char != node.text:
                raise InvalidDatetimeFormat(f'unmatched format character "{node.text}"')
            self.place += 1
        elif self.skipped > 0:
            self.skipped -= 1
        else:
            self.place += 1

    def pattern(self, at: int, node: Node, key: str) -> None:
        out = self.out
        if key in _MARKS:
            second = self.choose(_MARKS[key], node)
            out.set("bc" if key in ("A.D.", "B.C.", "AD", "BC") else "pm", second, node)
            out.twelve_hours |= key in ("A.M.", "P.M.", "AM", "PM")
        elif key in _FIELDS:
            out.set(_FIELDS[key], self.number(at, node, _WIDTHS.get(key, len(node.text)))[0], node)
            out.twelve_hours |= key in ("HH", "HH12")
            self.ending(node)
        elif key in _YEARS:
            self.year(at, node, key)
        elif key in _FRACTIONS or key == "MS":
            self.fraction(at, node, key)
        elif key in ("MONTH", "MON"):
            out.set("mm", self.choose(MONTH_NAMES if key == "MONTH" else MONTHS_SHORT, node) + 1, node)
        elif key in ("DAY", "DY"):
            out.set("d", self.choose(DAY_NAMES if key == "DAY" else DAYS_SHORT, node), node)
            out.fields["d"] += 1
        elif key == "RM":
            out.set("mm", 12 - self.choose(ROMAN_MONTHS, node), node)
        elif key in ("TZH", "TZM"):
            self.zone(at, node, key)
        else:
            self.rarer(at, node, key)

    def rarer(self, at: int, node: Node, key: str) -> None:
        if key == "ID":
            self.out.set("d", self.number(at, node, 1)[0], node)
            self.out.fields["d"] = (
                self.out.fields["d"] % 7 + 1 if self.out.fields["d"] >= 0 else self.out.fields["d"] + 1
            )
            self.ending(node)
        elif key == "Q":
            # Which day of the quarter is meant is not known, so it is read and left out.
            self.number(at, node, len(node.text))
            self.ending(node)
        elif key == "Y,YYY":
            match = _GROUPED_YEAR.match(self.text, self.place)
            if match is None:
                raise InvalidDatetimeFormat('invalid input string for "Y,YYY"')
            self.out.set("year", int(match[1]) * 1000 + int(match[2]), node)
            self.out.year_digits = 4
            self.place = match.end()
            self.ending(node)
        else:
            raise _only_to_char(node)

    def year(self, at: int, node: Node, key: str) -> None:
        value, length = self.number(at, node, len(node.text))
        self.out.set("year", value, node)
        if _YEARS[key] < 4 and length < 4:
            self.out.fields["year"] = _full_year(value)
        self.out.year_digits = _YEARS[key]
        self.ending(node)

    def fraction(self, at: int, node: Node, key: str) -> None:
        """Digits after the point: ``25`` is a quarter, and so is ``250``."""
        digits, name = (3, "ms") if key == "MS" else (_FRACTIONS[key], "us")
        if key.startswith("FF"):
            self.out.precision = digits
        value, length = self.number(at, node, digits)
        self.out.set(name, value, node)
        self.out.fields[name] *= 10 ** max((3 if key == "MS" else 6) - max(length, 1), 0)
        self.ending(node)

    def zone(self, at: int, node: Node, key: str) -> None:
        out, char = self.out, self.text[self.place : self.place + 1]
        if key == "TZM":
            out.zone_sign = out.zone_sign or 1
            out.zone_minute = self.zone_number(at, node, out.zone_minute)
            return
        if char in ("+", "-", " "):
            out.zone_sign = -1 if char == "-" else 1
            self.place += 1
        else:
            # A minus sign may have been taken for the separator before.
            lost = self.skipped > 0 and self.text[self.place - 1 : self.place] == "-"
            out.zone_sign = -1 if lost else 1
        out.zone_hour = self.zone_number(at, node, out.zone_hour)

    def zone_number(self, at: int, node: Node, before: int) -> int:
        value, _ = self.number(at, node, 2)
        if before not in (0, value):
            raise InvalidDatetimeFormat(
                f'conflicting values for "{node.text}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        return value

    def ending(self, node: Node) -> None:
        """Skip the two letters of an ordinal number."""
        if node.ordinal:
            self.place = min(self.place + 2, len(self.text))

    def open_ended(self, at: int, node: Node) -> bool:
        """Whether what follows is no digit, so that a number takes all that there are."""
        if node.fill or node.ordinal or at + 1 == len(self.template):
            return True
        following = self.template[at + 1]
        if following.pattern is not None:
            return not following.pattern.is_digit
        return not ("0" <= following.text <= "9")

    def number(self, at: int, node: Node, width: int) -> tuple[int, int]:
        """(value, characters read); 22007, and 22008 for a number that no integer holds."""
        begin = self.place
        if self.open_ended(at, node):
            self.spaces()
            copy = self.text[self.place : self.place + width]
            match = _INTEGER.match(self.text, begin)
            if match is None:
                raise _no_integer(copy, node)
            value, self.place = int(match[1][:64]), match.end()
        else:
            self.spaces()
            copy = self.text[self.place : self.place + width]
            remain = len(self.text[self.place :].encode())
            if remain < width:
                raise _too_short(
                    f'source string too short for "{node.text}" formatting field', width, f"{remain} remain"
                )
            match = _INTEGER.match(copy)
            used = 0 if match is None else match.end()
            if 0 < used < width:
                raise _too_short(f'invalid value "{copy}" for "{node.text}"', width, f"{used} could be parsed")
            self.place += used
            if match is None:
                if self.place == begin:
                    raise _no_integer(copy, node)
                return 0, self.place - begin
            value = int(match[1])
        if not -_INT_MAX - 1 <= value <= _INT_MAX:
            raise DatetimeFieldOverflow(
                f'value for "{node.text}" in source string is out of range',
                detail=f"Value must be in the range {-_INT_MAX - 1} to {_INT_MAX}.",
            )
        return value, self.place - begin

    def choose(self, names: tuple[str, ...], node: Node) -> int:
        """The number of the first name with which the text goes on, in any case; 22007."""
        for index, name in enumerate(names):
            if self.text[self.place : self.place + len(name)].lower() == name.lower():
                self.place += len(name)
                return index
        word = re.match(r"[^ \t\n\r\f]*", self.text[self.place :])
        raise InvalidDatetimeFormat(
            f'invalid value "{word[0] if word else ""}" for "{node.text}"',
            detail="The given value did not match any of the allowed values for this field.",
        )


def _too_short(message: str, width: int, found: str) -> SqlError:
    return InvalidDatetimeFormat(
        message,
        detail=f"Field requires {width} characters, but only {found}.",
        hint='If your source string is not fixed-width, try using the "FM" modifier.',
    )


def _no_integer(copy: str, node: Node) -> SqlError:
    return InvalidDatetimeFormat(f'invalid value "{copy}" for "{node.text}"', detail="Value must be an integer.")


def _only_to_char(node: Node) -> SqlError:
    return NotSupported(f'formatting field "{node.text}" is only supported in to_char')


class _Moment:
    """The date and time that a ``_Read`` stands for. Year 0 is 1 BC, month and day are 1 unless given."""

    def __init__(self, text: str, read: _Read) -> None:
        self.text, self.read, self.f = text, read, read.fields
        self.year, self.month, self.day = 0, 1, 1
        self.dated: set[str] = set()
        self.us = 0
        self.clock()
        self.set_year()
        self.set_date()
        self.check()

    def overflow(self) -> SqlError:
        return DatetimeFieldOverflow(f'date/time field value out of range: "{self.text}"')

    def clock(self) -> None:
        f = self.f
        seconds = f["ssss"]
        hour, minute, second = quotient(seconds, 3600), quotient(rest(seconds, 3600), 60), rest(seconds, 60)
        hour, minute, second = f["hh"] or hour, f["mi"] or minute, f["ss"] or second
        if self.read.twelve_hours:
            if not 1 <= hour <= 12:
                raise InvalidDatetimeFormat(
                    f'hour "{hour}" is invalid for the 12-hour clock',
                    hint="Use the 24-hour clock, or give an hour between 1 and 12.",
                )
            hour = hour % 12 + (12 if f["pm"] else 0)
        self.fraction_us = f["ms"] * 1000 + f["us"]
        self.hour, self.minute, self.second = hour, minute, second

    def set_year(self) -> None:
        f = self.f
        century = -f["cc"] if f["bc"] else f["cc"]
        if f["year"]:
            if f["cc"] and self.read.year_digits <= 2:
                year = rest(f["year"], 100)
                if year:
                    year = year + (century - 1) * 100 if century >= 0 else (century + 1) * 100 - year + 1
                else:
                    year = century * 100 + (0 if century >= 0 else 1)
                self.year = year
            else:
                year = -f["year"] if f["bc"] else f["year"]
                self.year = year + 1 if year < 0 else year
            self.dated.add("year")
        elif f["cc"]:
            self.year = (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
            self.dated.add("year")

    def take_julian(self, day: int) -> None:
        self.year, self.month, self.day = civil_from_days(day - EPOCH_JULIAN)
        self.dated |= {"year", "month", "day"}

    def set_date(self) -> None:
        f = self.f
        if f["j"]:
            self.take_julian(f["j"])
        day_of_year = f["ddd"]
        if f["ww"]:
            if self.read.mode == "i":
                weekday = f["d"]
                begin = week_begin(self.year, f["ww"])
                self.take_julian(begin + (6 if weekday == 1 else weekday - 2) if weekday else begin)
            else:
                day_of_year = (f["ww"] - 1) * 7 + 1
        day = (f["w"] - 1) * 7 + 1 if f["w"] else f["dd"]
        if day:
            self.day = day
            self.dated.add("day")
        if f["mm"]:
            self.month = f["mm"]
            self.dated.add("month")
        if day_of_year and (self.month <= 1 or self.day <= 1):
            self.set_day_of_year(day_of_year)

    def set_day_of_year(self, day_of_year: int) -> None:
        if not self.year and not self.f["bc"]:
            raise InvalidDatetimeFormat("cannot calculate day of year without year information")
        if self.read.mode == "i":
            self.take_julian(week_begin(self.year, 1) - 1 + day_of_year)
            return
        sums = [0]
        for month in range(1, 13):
            sums.append(sums[-1] + (29 if month == 2 and is_leap(self.year) else month_length(1, month)))
        month = next((month for month in range(1, 13) if day_of_year <= sums[month]), 13)
        if self.month <= 1:
            self.month = month
        if self.day <= 1:
            self.day = day_of_year - sums[month - 1]
        self.dated |= {"month", "day"}

    def check(self) -> None:
        """22008 for a field outside its range, 22009 for a zone."""
        month, day = self.month, self.day
        if ("month" in self.dated and not 1 <= month <= 12) or ("day" in self.dated and not 1 <= day <= 31):
            raise self.overflow()
        if len(self.dated) == 3 and day > month_length(self.year, month):
            raise self.overflow()
        if not (0 <= self.hour < 24 and 0 <= self.minute < 60 and 0 <= self.second < 60):
            raise self.overflow()
        if not 0 <= self.fraction_us < SECOND_US:
            raise self.overflow()
        self.us = (self.hour * 3600 + self.minute * 60 + self.second) * SECOND_US + self.fraction_us
        read = self.read
        if read.zone_sign and not (0 <= read.zone_hour <= 15 and 0 <= read.zone_minute < 60):
            raise InvalidTimeZoneDisplacement(f'time zone displacement out of range: "{self.text}"')

    @property
    def offset_seconds(self) -> int | None:
        """East of UTC; None when the text named no zone."""
        read = self.read
        return read.zone_sign * (read.zone_hour * 3600 + read.zone_minute * 60) if read.zone_sign else None

    def days(self) -> int:
        """The date; 22008."""
        days = julian(self.year, self.month, self.day) - EPOCH_JULIAN
        if not -4713 <= self.year < 5874898:
            raise DatetimeFieldOverflow(f'date out of range: "{self.text}"')
        try:
            return check_date(days)
        except DatetimeFieldOverflow:
            raise DatetimeFieldOverflow(f'date out of range: "{self.text}"') from None

    def timestamp(self, name: str = "timestamp") -> int:
        """Date and time without a zone; 22008."""
        if not -4714 <= self.year < 5874898:
            raise DatetimeFieldOverflow(f"{name} out of range")
        return check_timestamp(days_from_civil(self.year, self.month, self.day) * DAY_US + self.us, name)


def _moment(text: str, template: str) -> _Moment:
    return _Moment(text, _Reader(text, moment_nodes(template), False).run())


_READ_PLAINLY: Final = (kernel.YEAR, kernel.MONTH, kernel.DAY, kernel.HOUR, kernel.MINUTE, kernel.SECOND)


@cached
def _plain(template: str) -> bytes | None:
    """The kernel's program of a template of plain numbers, each once and a whole date among them, with at most one
    other character between two; None of any other."""
    program = bytearray()
    seen: set[int] = set()
    between = 1
    for node in paced(moment_nodes(template)):
        if node.kind is not Kind.PATTERN:
            between += 1
            if between > 1 or not node.text.isascii():
                return None
            program += bytes((kernel.LITERAL, 1)) + node.text.encode()
            continue
        between = 0
        code = pattern_code(node)
        if code not in _READ_PLAINLY or code in seen:
            return None
        program.append(code)
        seen.add(code)
    whole_date = seen.issuperset(_READ_PLAINLY[:3])
    return bytes(program) if whole_date and not between else None


def _quick_timestamp(text: str, template: str) -> int | None:
    """What a text is that is as the template would have written it; None where there is more to look at."""
    program = _plain(template)
    return None if program is None else moments.read_by(text, program)


def _to_date(text: str, template: str) -> int:
    found = _quick_timestamp(text, template)
    if found is not None:
        return found // DAY_US
    return _moment(text, template).days()


def _to_timestamp(context: FunctionContext, text: str, template: str) -> int:
    found = _quick_timestamp(text, template)
    if found is not None:
        return check_timestamp(local_to_utc(found, context.env.timezone))
    moment = _moment(text, template)
    local, offset = moment.timestamp(), moment.offset_seconds
    us = local_to_utc(local, context.env.timezone) if offset is None else local - offset * SECOND_US
    return round_fraction(check_timestamp(us), moment.read.precision or -1)


fn(1778, "to_timestamp(text, text) timestamptz stable", _to_timestamp, needs_context=True)
fn(1780, "to_date(text, text) date stable", _to_date)


class DatetimeValue(NamedTuple):
    """What ``parse_datetime`` reads: the type that the template implies, a value of it, its typmod (-1: none), and the
    zone that the text named, in seconds east of UTC (0 without one)."""

    type: int
    value: Value
    typmod: int
    offset_seconds: int


_CLOCK_PATTERNS = "A.M. P.M. AM PM HH HH12 HH24 MI SS MS US FF1 FF2 FF3 FF4 FF5 FF6 SSSS SSSSS"
_CLOCK: Final = frozenset(_CLOCK_PATTERNS.split())


def _holds(template: list[Node]) -> tuple[bool, bool, bool]:
    """(dated, timed, zoned): what a template's patterns stand for; 0A000 for one that cannot be read."""
    dated = timed = zoned = False
    for node in template:
        key = node.text.upper()
        if node.kind is not Kind.PATTERN or key == "FX":
            continue
        if key in ("TZ", "OF"):
            raise _only_to_char(node)
        if key in ("TZH", "TZM"):
            zoned = True
        elif key in _CLOCK:
            timed = True
        else:
            dated = True
    return dated, timed, zoned


def parse_datetime(text: str, template: str, strict: bool = False) -> DatetimeValue:
    """Read ``text`` by a template; the patterns that the template has decide between date, time, timetz, timestamp and
    timestamptz. ``strict`` is the SQL standard's matching, where separators must agree and nothing may be left over.
    22007, 22008, 22009, 0A000."""
    pieces = standard_nodes(template) if strict else moment_nodes(template)
    read = _Reader(text, pieces, strict).run()
    dated, timed, zoned = _holds(pieces)
    moment = _Moment(text, read)
    typmod = read.precision or -1
    if dated and not timed:
        if zoned:
            raise InvalidDatetimeFormat("datetime format is zoned but not timed")
        return DatetimeValue(TYPE_OIDS["date"], moment.days(), -1, 0)
    if not timed:
        raise InvalidDatetimeFormat("datetime format is not dated and not timed")
    offset = moment.offset_seconds if zoned else 0
    if offset is None:
        raise InvalidDatetimeFormat(
            f"missing time zone in input string for type {'timestamptz' if dated else 'timetz'}"
        )
    if not dated:
        us = round_fraction(moment.us, typmod)
        if zoned:
            return DatetimeValue(TYPE_OIDS["timetz"], TimeTz(us, -offset), typmod, offset)
        return DatetimeValue(TYPE_OIDS["time"], us, typmod, 0)
    if zoned:
        us = check_timestamp(moment.timestamp("timestamptz") - offset * SECOND_US, "timestamptz")
        return DatetimeValue(TYPE_OIDS["timestamptz"], round_fraction(us, typmod), typmod, offset)
    return DatetimeValue(TYPE_OIDS["timestamp"], round_fraction(moment.timestamp(), typmod), typmod, 0)
