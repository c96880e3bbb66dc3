"""pg_timezone_names and pg_timezone_abbrevs: the zones and abbreviations that a text may name, as of now."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

from compute_node.types.calendar_ import SECOND_US, find_zone, utc_offset_seconds, zone_abbreviation
from compute_node.types.declare import fn
from compute_node.types.interval import Interval
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import FunctionContext
from compute_node.types.zone_abbreviations import OFFSETS, ZONES

_TEXT, _INTERVAL, _BOOL = TYPE_OIDS["text"], TYPE_OIDS["interval"], TYPE_OIDS["bool"]
_HALF_YEAR_US = 182 * 86400 * SECOND_US
Row = tuple[str, str, Interval, bool]


def _is_summer(us: int, name: str) -> bool:
    """Whether the zone is ahead of what it is half a year before or after."""
    zone = find_zone(name)
    if zone is None:
        return False
    others = [utc_offset_seconds(us + step, zone) for step in (-_HALF_YEAR_US, _HALF_YEAR_US)]
    return utc_offset_seconds(us, zone) > min(others)


def _names(context: FunctionContext) -> Iterator[Row]:
    now = context.env.transaction_timestamp
    for name in paced(sorted(zoneinfo.available_timezones())):
        zone = find_zone(name)
        if zone is not None:
            span = Interval(0, 0, utc_offset_seconds(now, zone) * SECOND_US)
            yield name, zone_abbreviation(now, zone), span, _is_summer(now, name)


def _abbreviations(context: FunctionContext) -> Iterator[tuple[str, Interval, bool]]:
    now = context.env.transaction_timestamp
    for name in sorted([*OFFSETS, *ZONES]):
        zone = find_zone(name)
        if zone is not None:
            summer = OFFSETS[name][1] if name in OFFSETS else False
            yield name.upper(), Interval(0, 0, utc_offset_seconds(now, zone) * SECOND_US), summer


fn(
    2856,
    "pg_timezone_names() setof record stable",
    _names,
    needs_context=True,
    out_columns=(("name", _TEXT), ("abbrev", _TEXT), ("utc_offset", _INTERVAL), ("is_dst", _BOOL)),
)
fn(
    2599,
    "pg_timezone_abbrevs() setof record stable",
    _abbreviations,
    needs_context=True,
    out_columns=(("abbrev", _TEXT), ("utc_offset", _INTERVAL), ("is_dst", _BOOL)),
)
