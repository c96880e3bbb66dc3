"""to_char of timestamp, timestamptz and interval.

A template is compiled to a list of functions, one a piece, each from a ``_Fields`` to text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aurora.errors import InvalidDatetimeFormat
from aurora.kernels import moments
from aurora.kernels.python import moments as kernel
from compute_node.types.calendar_ import (
    DAY_US,
    SECOND_US,
    civil_from_days,
    days_from_civil,
    utc_offset_seconds,
    zone_abbreviation,
)
from compute_node.types.datetime_ import is_infinite
from compute_node.types.datetime_parse import DAY_NAMES, MONTH_NAMES
from compute_node.types.declare import fn
from compute_node.types.formatting.moment_template import (
    DAYS_SHORT,
    MONTHS_SHORT,
    ROMAN_MONTHS,
    iso_week,
    julian,
    moment_nodes,
    quotient,
    rest,
    week_begin,
)
from compute_node.types.formatting.template import CACHED_LENGTH_MAX, Kind, Node, cached, ordinal
from compute_node.types.interval import Interval
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import FunctionContext


class _Fields:
    """What is written: the parts of a local timestamp, or of an interval."""

    __slots__ = (
        "day",
        "fraction_us",
        "hour",
        "is_interval",
        "minute",
        "month",
        "offset_seconds",
        "second",
        "weekday",
        "year",
        "year_day",
        "zone",
    )
    year: int
    """astronomical: 0 is 1 BC"""
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction_us: int
    weekday: int
    """0 is Sunday"""
    year_day: int
    offset_seconds: int
    """east of UTC"""
    zone: str
    is_interval: bool


def _of_timestamp(us: int, offset_seconds: int, zone: str) -> _Fields:
    fields = _Fields()
    days, of_day = divmod(us, DAY_US)
    fields.year, fields.month, fields.day = civil_from_days(days)
    seconds, fields.fraction_us = divmod(of_day, SECOND_US)
    fields.hour, seconds = divmod(seconds, 3600)
    fields.minute, fields.second = divmod(seconds, 60)
    fields.weekday = (days + 6) % 7
    fields.year_day = days - days_from_civil(fields.year, 1, 1) + 1
    fields.offset_seconds, fields.zone, fields.is_interval = offset_seconds, zone, False
    return fields


def _of_interval(span: Interval) -> _Fields:
    fields = _Fields()
    fields.year, fields.month, fields.day = quotient(span.months, 12), rest(span.months, 12), span.days
    fields.hour = quotient(span.us, 3600 * SECOND_US)
    left = span.us - fields.hour * 3600 * SECOND_US
    fields.minute = quotient(left, 60 * SECOND_US)
    left -= fields.minute * 60 * SECOND_US
    fields.second = quotient(left, SECOND_US)
    fields.fraction_us = left - fields.second * SECOND_US
    fields.weekday = 0
    # The approximate length of the whole in days.
    fields.year_day = span.months * 30 + span.days
    fields.offset_seconds, fields.zone, fields.is_interval = 0, "", True
    return fields


_Piece = Callable[[_Fields], str]
_NumberOf = Callable[[_Fields], int]


def _numbered(node: Node, number: _NumberOf, width: Callable[[_Fields, int], int] | int) -> _Piece:
    """A number with leading zeros to a width (FM: none), and an ordinal ending."""
    fill, style = node.fill, node.ordinal
    if isinstance(width, int) and not style:
        digits = 0 if fill else width
        return lambda fields: f"{number(fields):0{digits}d}" if digits else str(number(fields))

    def write(fields: _Fields) -> str:
        value = number(fields)
        digits = 0 if fill else width if isinstance(width, int) else width(fields, value)
        text = f"{value:0{digits}d}" if digits else str(value)
        return text + ordinal(text, style) if style else text

    return write


def _signed(digits: int) -> Callable[[_Fields, int], int]:
    """A width that leaves room for a minus sign."""
    return lambda fields, value: digits if value >= 0 else digits + 1


def _signed_by_year(digits: int) -> Callable[[_Fields, int], int]:
    return lambda fields, value: digits if _shown_year(fields, fields.year) >= 0 else digits + 1


def _shown_year(fields: _Fields, year: int) -> int:
    """A year as it is written: 1 BC is 1."""
    return year if fields.is_interval or year > 0 else 1 - year


def _iso_year(fields: _Fields) -> int:
    return _shown_year(fields, iso_week(fields.year, fields.month, fields.day)[0])


def _year(fields: _Fields) -> int:
    return _shown_year(fields, fields.year)


def _iso_year_day(fields: _Fields) -> int:
    year = iso_week(fields.year, fields.month, fields.day)[0]
    return julian(fields.year, fields.month, fields.day) - week_begin(year, 1) + 1


def _century(fields: _Fields) -> int:
    if fields.is_interval:
        return quotient(fields.year, 100)
    return (fields.year - 1) // 100 + 1 if fields.year > 0 else quotient(fields.year, 100) - 1


def _hour12(fields: _Fields) -> int:
    return rest(fields.hour, 12) or 12


_NUMBERS: Final[dict[str, tuple[_NumberOf, Callable[[_Fields, int], int] | int]]] = {
    "HH12": (_hour12, lambda fields, value: 2 if fields.hour >= 0 else 3),
    "HH24": (lambda fields: fields.hour, _signed(2)),
    "MI": (lambda fields: fields.minute, _signed(2)),
    "SS": (lambda fields: fields.second, _signed(2)),
    "SSSS": (lambda fields: fields.hour * 3600 + fields.minute * 60 + fields.second, 0),
    "MM": (lambda fields: fields.month, _signed(2)),
    "DDD": (lambda fields: fields.year_day, 3),
    "IDDD": (_iso_year_day, 3),
    "DD": (lambda fields: fields.day, 2),
    "WW": (lambda fields: quotient(fields.year_day - 1, 7) + 1, 2),
    "IW": (lambda fields: iso_week(fields.year, fields.month, fields.day)[1], 2),
    "CC": (_century, lambda fields, value: 0 if abs(value) > 99 else 2 if value >= 0 else 3),
    "YYYY": (_year, _signed_by_year(4)),
    "IYYY": (_iso_year, _signed_by_year(4)),
    "YYY": (lambda fields: rest(_year(fields), 1000), _signed_by_year(3)),
    "IYY": (lambda fields: rest(_iso_year(fields), 1000), _signed_by_year(3)),
    "YY": (lambda fields: rest(_year(fields), 100), _signed_by_year(2)),
    "IY": (lambda fields: rest(_iso_year(fields), 100), _signed_by_year(2)),
    "Y": (lambda fields: rest(_year(fields), 10), 0),
    "I": (lambda fields: rest(_iso_year(fields), 10), 0),
    "W": (lambda fields: quotient(fields.day - 1, 7) + 1, 0),
    "J": (lambda fields: julian(fields.year, fields.month, fields.day), 0),
}
_NUMBERS["HH"] = _NUMBERS["HH12"]
_DATE_NUMBERS: Final[dict[str, _NumberOf]] = {
    "D": lambda fields: fields.weekday + 1,
    "ID": lambda fields: fields.weekday or 7,
}
"""Numbers that an interval does not have."""
_FRACTIONS: Final = {"FF1": 1, "FF2": 2, "FF3": 3, "MS": 3, "FF4": 4, "FF5": 5, "FF6": 6, "US": 6}
_MARKS: Final[dict[str, tuple[str, str]]] = {"A.M.": ("A.M.", "P.M."), "AM": ("AM", "PM")}
_ERAS: Final[dict[str, tuple[str, str]]] = {"A.D.": ("A.D.", "B.C."), "AD": ("AD", "BC")}


def _fraction(node: Node, digits: int) -> _Piece:
    unit = 10 ** (6 - digits)
    return _numbered(node._replace(fill=False), lambda fields: quotient(fields.fraction_us, unit), digits)


def _name(node: Node, names: tuple[str, ...], width: int, index: _NumberOf) -> _Piece:
    """A month's or day's name in the case of the pattern, padded unless FM or TM says otherwise."""
    key = node.text
    spelled = tuple(name.upper() if key.isupper() else name.lower() if key.islower() else name for name in names)
    if width and not node.fill and not node.localized:
        spelled = tuple(name.ljust(width) for name in spelled)
    return lambda fields: spelled[index(fields)]


def _month_piece(node: Node) -> _Piece:
    key = node.text.upper()
    names, width = (MONTH_NAMES, 9) if key == "MONTH" else (MONTHS_SHORT, 0)
    write = _name(node, names, width, lambda fields: fields.month - 1)
    return lambda fields: write(fields) if fields.month else ""


def _roman(node: Node) -> _Piece:
    months = ROMAN_MONTHS if node.text == "RM" else tuple(each.lower() for each in ROMAN_MONTHS)
    width = 0 if node.fill else 4

    def write(fields: _Fields) -> str:
        month = fields.month
        if not month and not fields.year:
            return ""
        if month == 0:
            at = 0 if fields.year >= 0 else 11
        else:
            at = -(month + 1) if month < 0 else 12 - month
        return months[at].ljust(width)

    return write


def _zone_piece(node: Node) -> _Piece:
    key = node.text.upper()
    if key == "TZ":
        return (lambda fields: fields.zone) if node.text == "TZ" else (lambda fields: fields.zone.lower())
    if key == "TZH":
        return lambda fields: f"{'+' if fields.offset_seconds >= 0 else '-'}{abs(fields.offset_seconds) // 3600:02d}"
    if key == "TZM":
        return lambda fields: f"{abs(fields.offset_seconds) % 3600 // 60:02d}"
    width = 1 if node.fill else 2

    def write(fields: _Fields) -> str:
        seconds = abs(fields.offset_seconds)
        text = f"{'+' if fields.offset_seconds >= 0 else '-'}{seconds // 3600:0{width}d}"
        return text + f":{seconds % 3600 // 60:02d}" if seconds % 3600 else text

    return write


def _quarter(node: Node) -> _Piece:
    write = _numbered(node, lambda fields: quotient(fields.month - 1, 3) + 1, 0)
    return lambda fields: write(fields) if fields.month else ""


def _grouped_year(node: Node) -> _Piece:
    def write(fields: _Fields) -> str:
        year = _year(fields)
        thousands = quotient(year, 1000)
        text = f"{thousands},{year - thousands * 1000:03d}"
        return text + ordinal(text, node.ordinal) if node.ordinal else text

    return write


def _mark(node: Node, marks: tuple[str, str], second: Callable[[_Fields], bool]) -> _Piece:
    first, other = (mark.lower() if node.text.islower() else mark for mark in marks)
    return lambda fields: other if second(fields) else first


def _dated(write: _Piece) -> _Piece:
    """Refuse an interval (22007)."""

    def checked(fields: _Fields) -> str:
        if fields.is_interval:
            raise InvalidDatetimeFormat(
                "invalid format specification for an interval value",
                hint="Intervals are not tied to specific calendar dates.",
            )
        return write(fields)

    return checked


def _piece(node: Node) -> _Piece:
    key = node.text.upper()
    if key == "SSSSS":
        key = "SSSS"
    if key in _NUMBERS:
        number, width = _NUMBERS[key]
        return _numbered(node, number, width)
    if key in _FRACTIONS:
        return _fraction(node, _FRACTIONS[key])
    if key in ("A.M.", "P.M.", "AM", "PM"):
        return _mark(node, _MARKS[key.replace("P", "A")], lambda fields: rest(fields.hour, 24) >= 12)
    if key in ("A.D.", "B.C.", "AD", "BC"):
        return _dated(_mark(node, _ERAS["A.D." if "." in key else "AD"], lambda fields: fields.year <= 0))
    if key in ("MONTH", "MON"):
        return _dated(_month_piece(node))
    if key in ("DAY", "DY"):
        names, width = (DAY_NAMES, 9) if key == "DAY" else (DAYS_SHORT, 0)
        return _dated(_name(node, names, width, lambda fields: fields.weekday))
    if key in _DATE_NUMBERS:
        return _dated(_numbered(node, _DATE_NUMBERS[key], 0))
    if key in ("TZ", "TZH", "TZM", "OF"):
        return _dated(_zone_piece(node))
    if key == "RM":
        return _roman(node)
    if key == "Q":
        return _quarter(node)
    if key == "Y,YYY":
        return _grouped_year(node)
    return lambda fields: ""


def _constant(text: str) -> _Piece:
    return lambda fields: text


@cached
def _compiled(template: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    literal: list[str] = []
    for node in paced(moment_nodes(template)):
        if node.kind is not Kind.PATTERN:
            literal.append(node.text)
            continue
        if literal:
            pieces.append(_constant("".join(literal)))
            literal = []
        pieces.append(_piece(node))
    if literal:
        pieces.append(_constant("".join(literal)))
    return pieces


def _write(fields: _Fields, template: str) -> str:
    pieces = _compiled(template)
    if len(pieces) <= 64:
        return "".join([piece(fields) for piece in pieces])
    return joined([piece(fields) for piece in paced(pieces)])


_PLAIN: Final = {
    "YYYY": kernel.YEAR,
    "YYY": kernel.YEAR_3,
    "YY": kernel.YEAR_2,
    "Y": kernel.YEAR_1,
    "MM": kernel.MONTH,
    "DD": kernel.DAY,
    "DDD": kernel.YEAR_DAY,
    "D": kernel.WEEKDAY,
    "ID": kernel.ISO_WEEKDAY,
    "Q": kernel.QUARTER,
    "HH24": kernel.HOUR,
    "HH12": kernel.HOUR12,
    "HH": kernel.HOUR12,
    "MI": kernel.MINUTE,
    "SS": kernel.SECOND,
    "MS": kernel.MILLISECOND,
    "US": kernel.MICROSECOND,
}
"""Patterns that are one number each."""
_PLAIN_NAMES: Final = {
    "MONTH": kernel.MONTH_NAME,
    "MON": kernel.MONTH_SHORT,
    "DAY": kernel.DAY_NAME,
    "DY": kernel.DAY_SHORT,
}
_PLAIN_MARKS: Final = {
    "AM": kernel.NOON_UPPER,
    "PM": kernel.NOON_UPPER,
    "am": kernel.NOON_LOWER,
    "pm": kernel.NOON_LOWER,
    "A.M.": kernel.NOON_UPPER_DOTS,
    "P.M.": kernel.NOON_UPPER_DOTS,
    "a.m.": kernel.NOON_LOWER_DOTS,
    "p.m.": kernel.NOON_LOWER_DOTS,
    "TZ": kernel.ZONE_UPPER,
    "tz": kernel.ZONE_LOWER,
}


def pattern_code(node: Node) -> int | None:
    """What a pattern is in a program of the kernel; None when it has none."""
    if node.ordinal:
        return None
    key = node.text.upper()
    if node.text in _PLAIN_MARKS:
        return _PLAIN_MARKS[node.text]
    if key in _PLAIN:
        bare = kernel.BARE if node.fill and key not in ("MS", "US") else 0
        return _PLAIN[key] | bare
    if key in _PLAIN_NAMES:
        case = kernel.NAME_UPPER if node.text.isupper() else kernel.NAME_LOWER if node.text.islower() else 0
        bare = kernel.BARE_NAME if (node.fill or node.localized) and len(key) > 3 else 0
        bare = kernel.BARE_NAME if (node.fill or node.localized) and key == "DAY" else bare
        return _PLAIN_NAMES[key] | case | bare
    return None


def _parse_plain(template: str) -> tuple[bytes, bool] | None:
    """(the kernel's program of a template, whether it writes the zone); None of a template with other patterns."""
    program = bytearray()
    zoned = False
    for node in paced(moment_nodes(template)):
        if node.kind is not Kind.PATTERN:
            text = node.text.encode()
            program += bytes((kernel.LITERAL, len(text))) + text
            continue
        code = pattern_code(node)
        if code is None:
            return None
        zoned = zoned or code in (kernel.ZONE_UPPER, kernel.ZONE_LOWER)
        program.append(code)
    return bytes(program), zoned


_parsed = cached(_parse_plain)


def _plain(template: str) -> tuple[bytes, bool] | None:
    """A program for the kernel, which nothing interrupts: none for a long template."""
    return _parsed(template) if len(template) <= CACHED_LENGTH_MAX else None


def timestamp_to_char(us: int, template: str) -> str | None:
    """NULL for an infinite timestamp and for an empty template."""
    if not template or is_infinite(us):
        return None
    plain = _plain(template)
    text = None if plain is None else moments.written(us, plain[0])
    if text is not None:
        return text
    return _write(_of_timestamp(us, 0, ""), template)


def _timestamptz_to_char(context: FunctionContext, us: int, template: str) -> str | None:
    if not template or is_infinite(us):
        return None
    zone = context.env.timezone
    offset = utc_offset_seconds(us, zone)
    plain = _plain(template)
    if plain is not None:
        called = zone_abbreviation(us, zone) if plain[1] else ""
        text = moments.written(us + offset * SECOND_US, plain[0], called)
        if text is not None:
            return text
    return _write(_of_timestamp(us + offset * SECOND_US, offset, zone_abbreviation(us, zone)), template)


def interval_to_char(span: Interval, template: str) -> str | None:
    """NULL for an empty template; 22007 for a pattern that needs a date."""
    return _write(_of_interval(span), template) if template else None


fn(2049, "to_char(timestamp, text) text stable", timestamp_to_char)
fn(1770, "to_char(timestamptz, text) text stable", _timestamptz_to_char, needs_context=True)
fn(1768, "to_char(interval, text) text stable", interval_to_char)
