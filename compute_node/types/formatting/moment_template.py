"""The patterns of dates and times (manual, table 9.27) and the calendar arithmetic that both directions use.

Days are Julian days, in C's integer arithmetic: an interval's months and days go through it as PostgreSQL's do, though
they are no date.
"""

from __future__ import annotations

from typing import Final

from compute_node.types.formatting.template import Node, Pattern, Patterns, cached, nodes

MONTHS_SHORT: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS_SHORT: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
ROMAN_MONTHS: Final = ("XII", "XI", "X", "IX", "VIII", "VII", "VI", "V", "IV", "III", "II", "I")
"""From December to January."""

_UPPER = """
A.D. A.M. AD AM B.C. BC CC:d DAY DDD:dg DD:dg DY Day Dy D:dg FF1:d FF2:d FF3:d FF4:d FF5:d FF6:d FX HH24:d HH12:d HH:d
IDDD:di ID:di IW:di IYYY:di IYY:di IY:di I:di J:d MI:d MM:dg MONTH:g MON:g MS:d Month:g Mon:g OF P.M. PM Q:d RM:g
SSSSS:d SSSS:d SS:d TZH TZM:d TZ US:d WW:dg W:dg Y,YYY:dg YYYY:dg YYY:dg YY:dg Y:dg
"""
_LOWER = """
a.d. a.m. ad am b.c. bc cc:d day ddd:dg dd:dg dy d:dg ff1:d ff2:d ff3:d ff4:d ff5:d ff6:d fx hh24:d hh12:d hh:d
iddd:di id:di iw:di iyyy:di iyy:di iy:di i:di j:d mi:d mm:dg month:g mon:g ms:d of p.m. pm q:d rm:g
sssss:d ssss:d ss:d tzh tzm:d tz us:d ww:dg w:dg y,yyy:dg yyyy:dg yyy:dg yy:dg y:dg
"""


def _pattern(entry: str) -> Pattern:
    name, _, flags = entry.partition(":")
    return Pattern(name, "d" in flags, "g" if "g" in flags else "i" if "i" in flags else "")


PATTERNS: Final = Patterns([_pattern(entry) for entry in (_UPPER + _LOWER).split()])


@cached
def moment_nodes(template: str) -> list[Node]:
    """A template's pieces."""
    return nodes(template, PATTERNS, dated=True)


@cached
def standard_nodes(template: str) -> list[Node]:
    """A template's pieces, as the SQL standard's datetime templates allow them; 22007."""
    return nodes(template, PATTERNS, dated=True, standard=True)


def quotient(number: int, divisor: int) -> int:
    """C's integer division."""
    return number // divisor if number >= 0 else -(-number // divisor)


def rest(number: int, divisor: int) -> int:
    """C's remainder, with the sign of ``number``."""
    return number - quotient(number, divisor) * divisor


def julian(year: int, month: int, day: int) -> int:
    """The Julian day of a date; other months and days than a calendar's are carried on with."""
    if month > 2:
        month, year = month + 1, year + 4800
    else:
        month, year = month + 13, year + 4799
    century = quotient(year, 100)
    return year * 365 - 32167 + quotient(year, 4) - century + quotient(century, 4) + quotient(7834 * month, 256) + day


def week_begin(iso_year: int, week: int) -> int:
    """The Julian day of the Monday of an ISO week."""
    fourth = julian(iso_year, 1, 4)
    return (week - 1) * 7 + fourth - fourth % 7


def iso_week(year: int, month: int, day: int) -> tuple[int, int]:
    """(ISO year, ISO week) of a date."""
    at, iso_year = julian(year, month, day), year
    if at < week_begin(iso_year, 1):
        iso_year -= 1
    week = quotient(at - week_begin(iso_year, 1), 7) + 1
    if week >= 52 and at >= week_begin(year + 1, 1):
        return year + 1, quotient(at - week_begin(year + 1, 1), 7) + 1
    return iso_year, week
