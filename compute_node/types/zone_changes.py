"""When the time zones of the system's database change: their files' transitions, and what their last rules give.

What a zone is between two changes is asked of ``zoneinfo`` itself; here are only the instants at which to ask again.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import struct
import zoneinfo
from bisect import bisect_right
from pathlib import Path
from typing import Final, NamedTuple

from aurora.kernels.python.moments import (
    DAY_US,
    INFINITY,
    MINUS_INFINITY,
    SECOND_US,
    civil_from_days,
    days_from_civil,
    month_length,
)

_HEAD: Final = struct.Struct(">4sc15x6I")
_1970_US: Final = days_from_civil(1970, 1, 1) * DAY_US
_NAME = "(?:<[^>]*>|[A-Za-z]+)"
_DAY = r",M([0-9]+)\.([1-5])\.([0-6])(?:/([-+0-9:]+))?"
_RULE: Final = re.compile(f"\n{_NAME}([-+0-9:]+){_NAME}([-+0-9:]*){_DAY}{_DAY}\n")


class YearlyChange(NamedTuple):
    """A change at the same weekday of each year."""

    month: int
    week: int
    """1…4, and 5 for the last one"""
    weekday: int
    """0 = Sunday"""
    seconds: int
    """from that day's midnight UTC on"""

    def at(self, year: int) -> int:
        """The instant in a year."""
        first = days_from_civil(year, self.month, 1)
        place = (self.weekday - first - 6) % 7 + 7 * (self.week - 1)
        if place >= month_length(year, self.month):
            place -= 7
        return (first + place) * DAY_US + self.seconds * SECOND_US


class Changes(NamedTuple):
    """A zone's file."""

    at: tuple[int, ...]
    """instants, ascending"""
    yearly: tuple[YearlyChange, ...]
    """what follows the last of them: nothing, or summer's begin and end in each year"""


def _file(key: str) -> bytes | None:
    """Of a zone's name; looked for where ``zoneinfo`` does."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder, key)
        if path.is_file():
            return path.read_bytes()
    try:
        return importlib.resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).read_bytes()
    except (ModuleNotFoundError, OSError):
        return None


def read_changes(data: bytes) -> Changes | None:
    """The transitions of a file in the form TZif (RFC 8536), which ``zoneinfo`` has read before; None for a rule of
    another kind than the database's."""
    place, width = 0, 4
    if data[4:5] >= b"2":  # a second block has them in 64 bits
        place = _block_end(data, 0, 4)
        width = 8
    _, _, _, _, _, count, _, _ = _HEAD.unpack_from(data, place)
    end = _block_end(data, place, width)
    seconds = struct.unpack_from(f">{count}{'q' if width == 8 else 'i'}", data, place + _HEAD.size)
    found = (each * SECOND_US + _1970_US for each in seconds)
    yearly = _read_rule(data[end:].decode("latin-1") if width == 8 else "")
    return (
        None if yearly is None else Changes(tuple(each for each in found if MINUS_INFINITY < each < INFINITY), yearly)
    )


def _block_end(data: bytes, place: int, width: int) -> int:
    _, _, universal, standard, leaps, count, types, characters = _HEAD.unpack_from(data, place)
    sizes = count * (width + 1) + types * 6 + characters + leaps * (width + 4) + standard + universal
    return place + _HEAD.size + int(sizes)


def _read_rule(text: str) -> tuple[YearlyChange, ...] | None:
    if "," not in text:
        return ()
    match = _RULE.fullmatch(text)
    if match is None:
        return None
    # The offsets are west of UTC; each change is in the local time before it.
    west, summer = _seconds(match[1]), match[2]
    summer_west = _seconds(summer) if summer else west - 3600
    begin, end = match.groups()[2:6], match.groups()[6:]
    return _yearly(begin, west), _yearly(end, summer_west)


def _yearly(parts: tuple[str | None, ...], west: int) -> YearlyChange:
    month, week, weekday = (int(each or 0) for each in parts[:3])
    return YearlyChange(month, week, weekday, _seconds(parts[3] or "2") + west)


def _seconds(text: str) -> int:
    """Of hours, minutes and seconds with a sign."""
    hours, minutes, seconds = (int(each) for each in (text.lstrip("+-") + ":0:0").split(":")[:3])
    found = hours * 3600 + minutes * 60 + seconds
    return -found if text.startswith("-") else found


@functools.lru_cache(maxsize=512)
def changes_of(key: str) -> Changes | None:
    """Of a zone of the database; None where its file is not to be had."""
    data = _file(key)
    return None if data is None else read_changes(data)


def steady_time(us: int, key: str) -> tuple[int, int] | None:
    """The first and the last µs of a time around an instant in which a zone does not change; None where its changes
    are not known."""
    changes = changes_of(key)
    if changes is None:
        return None
    place = bisect_right(changes.at, us)
    first = changes.at[place - 1] if place else MINUS_INFINITY
    if place < len(changes.at):
        return first, changes.at[place] - 1
    if not changes.yearly:
        return first, INFINITY
    year = civil_from_days(us // DAY_US)[0]
    near = sorted(each.at(number) for number in (year - 1, year, year + 1) for each in changes.yearly)
    place = bisect_right(near, us)
    return max(first, near[place - 1]), min(near[place] - 1, INFINITY)
