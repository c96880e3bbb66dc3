"""Proleptic Gregorian calendar and time zones over PostgreSQL's numbers: days and µs since 2000-01-01.

Years are astronomical (0 is 1 BC). Python's datetime covers years 1…9999 only; zone offsets beyond are taken from the
same place in a 400-year cycle, which repeats days of the week and leap years.
"""

from __future__ import annotations

import functools
import io
import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from aurora.kernels import moments
from aurora.kernels.python.moments import CYCLE_DAYS, INFINITY, MINUS_INFINITY, Span
from aurora.kernels.python.moments import DATE_INFINITY as DATE_INFINITY
from aurora.kernels.python.moments import DATE_MINUS_INFINITY as DATE_MINUS_INFINITY
from aurora.kernels.python.moments import DAY_US as DAY_US
from aurora.kernels.python.moments import HOUR_US as HOUR_US
from aurora.kernels.python.moments import MINUTE_US as MINUTE_US
from aurora.kernels.python.moments import SECOND_US as SECOND_US
from aurora.kernels.python.moments import TIMESTAMP_END as TIMESTAMP_END
from aurora.kernels.python.moments import TIMESTAMP_MIN as TIMESTAMP_MIN
from aurora.kernels.python.moments import civil_from_days as civil_from_days
from aurora.kernels.python.moments import days_from_civil as days_from_civil
from aurora.kernels.python.moments import is_leap as is_leap
from aurora.kernels.python.moments import month_length as month_length
from compute_node.types.zone_abbreviations import abbreviated_zone
from compute_node.types.zone_changes import steady_time

EPOCH_JULIAN: Final = 2451545
"""Julian day of 2000-01-01."""
UNIX_EPOCH_DAYS: Final = 10957
"""Days from 1970-01-01 to 2000-01-01."""
UNIX_EPOCH_US: Final = UNIX_EPOCH_DAYS * DAY_US
TIMESTAMP_INFINITY: Final = INFINITY
TIMESTAMP_MINUS_INFINITY: Final = MINUS_INFINITY
DATE_MIN: Final = -EPOCH_JULIAN
DATE_END: Final = 2147483494 - EPOCH_JULIAN

_SAFE_US = 1 << 62
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(2000, 1, 1)


def iso_week(days: int) -> tuple[int, int, int]:
    """(ISO year, ISO week, ISO weekday 1 = Monday … 7)."""
    weekday = (days + 5) % 7
    year = civil_from_days(days - weekday + 3)[0]
    first = days_from_civil(year, 1, 4)
    return year, (days - (first - (first + 5) % 7)) // 7 + 1, weekday + 1


_EARLIEST_US = -62_000_000_000_000_000
"""In the first century: years that ``datetime`` has, with room for offsets."""


def _into_datetime(us: int) -> tuple[int, int]:
    """(µs shifted by whole 400-year cycles into years 2400…2799 when outside 1…9999, the shift in cycles): there a
    zone has its last rule, as it has for ever."""
    cycle_us = CYCLE_DAYS * DAY_US
    if _EARLIEST_US <= us < 252_000_000_000_000_000:
        return us, 0
    cycles = us // cycle_us - 1
    return us - cycles * cycle_us, cycles


_QUARTER_US = 15 * MINUTE_US


def utc_offset_seconds(us: int, zone: tzinfo) -> int:
    """The zone's offset east of UTC at an instant (µs since 2000-01-01 UTC)."""
    return offsets_of(zone).seconds(us)


def offsets_of(zone: tzinfo) -> moments.Offsets:
    """The zone's offsets, as far as they were asked for."""
    return _offsets_of(zone, zone.tzname(None) if type(zone) is timezone else None)


@functools.lru_cache(maxsize=512)
def _offsets_of(zone: tzinfo, name: str | None) -> moments.Offsets:
    """``name``: fixed zones of one offset are equal, whatever they are called."""
    return moments.Offsets(functools.partial(_span, zone=zone))


class _WideZone(tzinfo):
    """A fixed offset of a day or more, up to a week, which Python's own zones cannot have."""

    def __init__(self, seconds: int, name: str) -> None:
        self.seconds, self.name = seconds, name

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """More than Python takes: the functions here ask for ``seconds``."""
        return None

    def tzname(self, dt: datetime | None) -> str:
        """What it is called."""
        return self.name

    def dst(self, dt: datetime | None) -> timedelta | None:
        """None."""
        return None


class _RuleZone(zoneinfo.ZoneInfo):
    """A zone whose rules are for all years, before the first one of the calendar too."""


def _within(us: int, zone: tzinfo) -> timedelta:
    """From the epoch to when the zone is as it is at ``us``, within the years that Python knows. Before its first
    rule a zone has its local mean time."""
    return timedelta(microseconds=_into_datetime(us if isinstance(zone, _RuleZone) else max(us, _EARLIEST_US))[0])


def _span(us: int, zone: tzinfo) -> Span:
    """A time around an instant in which the zone has one offset and one name."""
    here = _state(us, zone)
    if isinstance(zone, timezone | _WideZone) or (
        isinstance(zone, zoneinfo.ZoneInfo) and zone.utcoffset(None) is not None
    ):
        return TIMESTAMP_MINUS_INFINITY, TIMESTAMP_INFINITY, *here
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key.lower() in _names_by_lower():
        time = steady_time(us, zone.key)
        if time is not None:
            return *time, *here
    # What an abbreviation stands for, and rules that a user wrote, may change at any time.
    first = us // _QUARTER_US * _QUARTER_US
    last = first + _QUARTER_US - 1
    steady = _state(first, zone) == here == _state(last, zone)
    return (first, last, *here) if steady else (us, us, *here)


def _state(us: int, zone: tzinfo) -> tuple[int, str]:
    """The zone's offset (s) and name at an instant. Before the first rule a zone has its local mean time."""
    if isinstance(zone, _WideZone):
        return zone.seconds, zone.name
    moment = _EPOCH + _within(us, zone)
    local = moment.astimezone(zone)
    # Not utcoffset(): what an abbreviation stands for depends on the instant, and a local time may come twice.
    offset = local.replace(tzinfo=None) - moment.replace(tzinfo=None)
    return round(offset.total_seconds()), local.tzname() or ""


def local_to_utc(us: int, zone: tzinfo) -> int:
    """Local time (µs since 2000-01-01 local) → instant. A skipped time takes the offset before the gap, a repeated one
    the later (standard) reading, as PostgreSQL does."""
    if isinstance(zone, _WideZone):
        return us - zone.seconds * SECOND_US
    if -_SAFE_US < us < _SAFE_US:
        found = offsets_of(zone).to_utc(us)
        if found is not None:
            return found
    local = _NAIVE_EPOCH + _within(us, zone)
    first = local.replace(tzinfo=zone, fold=0).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    if first is None or second is None:
        return us
    return us - round(min(first, second).total_seconds()) * SECOND_US


def utc_to_local(us: int, zone: tzinfo) -> int:
    """Instant → local time, both in µs since 2000-01-01."""
    return offsets_of(zone).to_local(us)


@functools.lru_cache(maxsize=64)
def steady_offset_seconds(zone: tzinfo) -> int | None:
    """The offset of a zone that always had the same; None of another one, and of what had a local mean time."""
    found = {utc_offset_seconds(days * DAY_US, zone) for days in (_EARLIEST_US // DAY_US, *range(-60000, 14000, 25))}
    return found.pop() if len(found) == 1 else None


@functools.cache
def _names_by_lower() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones()}


def offset_text(seconds: int) -> str:
    """``±HH[:MM[:SS]]``."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    text = f"{sign}{seconds // 3600:02d}"
    if seconds % 3600:
        text += f":{seconds // 60 % 60:02d}"
    if seconds % 60:
        text += f":{seconds % 60:02d}"
    return text


def fixed_zone(seconds: int, name: str = "") -> tzinfo:
    """A zone at a fixed offset east of UTC, called by that without a name."""
    name = name or offset_text(seconds)
    return timezone(timedelta(seconds=seconds), name) if abs(seconds) < 86400 else _WideZone(seconds, name)


@functools.lru_cache(maxsize=512)
def find_zone(name: str) -> tzinfo | None:
    """An IANA name (any case), an abbreviation, or a POSIX ``±hh[:mm]`` (west positive); None when unknown."""
    return abbreviated_zone(name) or named_zone(name)


@functools.lru_cache(maxsize=512)
def named_zone(name: str) -> tzinfo | None:
    """An IANA name (any case) or a POSIX zone; None when unknown."""
    official = _names_by_lower().get(name.lower())
    return zoneinfo.ZoneInfo(official) if official is not None else posix_zone(name)


_POSIX_NAME: Final = r"<[^>]*>|[^0-9,+<-]{}"
_POSIX_OFFSET: Final = r"([+-]?)(\d+)(?::(\d+))?(?::(\d+))?(?!:)"
_POSIX_ZONE: Final = re.compile(
    rf"(?:{_POSIX_NAME.format('*')}){_POSIX_OFFSET}(?:({_POSIX_NAME.format('+')})(?:{_POSIX_OFFSET})?([,;].+)?)?"
)
_USUAL_SUMMER: Final = ",M3.2.0,M11.1.0"


def posix_zone(name: str) -> tzinfo | None:
    """``[NAME]±hh[:mm[:ss]]`` with POSIX' sign, which counts west of Greenwich, and ``NAMEhhNAME[hh],rule,rule``
    (manual, appendix B.5); None for another text. A name is whatever is no digit, sign or comma."""
    name = name.upper()  # which is also how it is shown
    match = _POSIX_ZONE.fullmatch(name)
    if match is None:
        return None
    west = _posix_seconds(match[1], match[2], match[3], match[4])
    if west is None:
        return None
    if match[5] is None:
        return fixed_zone(-west, name[: match.start(2)].rstrip("+-").strip("<>"))
    summer: int | None = west - 3600
    if match[7] is not None:
        summer = _posix_seconds(match[6], match[7], match[8], match[9])
    if summer is None or abs(west) >= 86400 or abs(summer) >= 86400:
        return None
    return _zone_with_summer(name, west, match[5], summer, match[10] or _USUAL_SUMMER)


def _posix_seconds(sign: str, hours: str, minutes: str | None, seconds: str | None) -> int | None:
    """An offset's seconds; None when a part is too large."""
    if int(hours) > 167 or int(minutes or 0) > 59 or int(seconds or 0) > 60:
        return None
    total = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return -total if sign == "-" else total


def _zone_with_summer(name: str, west: int, summer_name: str, summer: int, rules: str) -> tzinfo | None:
    """A zone of two names: the rules of the United States unless it has its own."""
    names = re.match(_POSIX_NAME.format("*"), name)
    winter_name = (names[0] if names is not None else "").strip("<>")
    shown = (winter_name, summer_name.strip("<>"))
    first, second = (re.sub(r"[^A-Za-z0-9+-]", "x", each).ljust(3, "x") for each in shown)
    text = f"<{first}>{_posix_offset(west)}<{second}>{_posix_offset(summer)}{rules}"
    # A zone file without transitions: its last line alone says what is when.
    head = b"TZif2" + bytes(15)
    block = head + (0).to_bytes(4, "big") * 4 + (1).to_bytes(4, "big") * 2 + bytes(6) + b"\0"
    try:
        return _RuleZone.from_file(io.BytesIO(block + block + f"\n{text}\n".encode()), name)
    except ValueError:
        return None


def _posix_offset(seconds: int) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def zone_abbreviation(us: int, zone: tzinfo) -> str:
    """What the zone is called at an instant: ``CET``, ``+0330``."""
    return offsets_of(zone).name(us) or offset_text(utc_offset_seconds(us, zone))
