"""The offset of a time zone at an instant: what is kept for a time is what the zone's rules say."""

from __future__ import annotations

import zoneinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_node.types import calendar_, zone_changes

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Monrovia", "Pacific/Apia", "UTC")
CHANGES_US = (
    -2_272_147_200_000_000,  # 1928-01-01
    -883_091_730_000_000,  # 1972-01-07 00:44:30 UTC: Africa/Monrovia leaves -00:44:30
    7_347_600_000_000,  # 2000-03-26 01:00 UTC: summer time in Europe
    378_554_400_000_000,  # 2011-12-30 10:00 UTC: Samoa crosses the date line
)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    us=st.one_of(
        st.integers(-211_813_488_000_000_000, 9_223_371_331_199_999_999),
        st.builds(int.__add__, st.sampled_from(CHANGES_US), st.integers(-3_600_000_000, 3_600_000_000)),
    ),
)
def test_a_kept_offset_is_the_zones(zone: ZoneInfo, us: int) -> None:
    expected = calendar_._state(us, zone)[0]
    assert calendar_.utc_offset_seconds(us, zone) == expected
    assert calendar_.utc_offset_seconds(us, zone) == expected


def test_an_offset_changes_inside_a_quarter() -> None:
    """Monrovia's change is at 00:44:30, between two quarters of an hour."""
    zone = ZoneInfo("Africa/Monrovia")
    change_us = CHANGES_US[1]
    assert calendar_.utc_offset_seconds(change_us - 1, zone) == -44 * 60 - 30
    assert calendar_.utc_offset_seconds(change_us, zone) == 0


def test_every_zone_says_when_it_changes_next() -> None:
    """The instants that ``steady_time`` names are where a zone changes: it is the same in between, and in the years of
    its last rule it is another one after."""
    last_years_us = calendar_.days_from_civil(2150, 7, 1) * calendar_.DAY_US
    ruled = 0
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        changes = zone_changes.changes_of(name)
        assert changes is not None, name
        for us in (*changes.at[-3:], 0, last_years_us):
            time = zone_changes.steady_time(us, name)
            assert time is not None and time[0] <= us <= time[1]
            inside = {
                calendar_._state(each, zone)
                for each in (us, max(time[0], calendar_.TIMESTAMP_MIN), min(time[1], calendar_.TIMESTAMP_END - 1))
            }
            assert len(inside) == 1, (name, us)
            if us == last_years_us and changes.yearly:
                ruled += 1
                for other in (time[0] - 1, time[1] + 1):
                    assert calendar_._state(other, zone) not in inside, name
    assert ruled > 50


def test_a_rule_of_another_kind_is_asked_each_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert zone_changes._read_rule("\nXXX3EDT4,0/0,J365/23\n") is None
    monkeypatch.setattr(zone_changes, "changes_of", lambda key: None)
    zone = ZoneInfo("Europe/Berlin")
    first, last, seconds, name = calendar_._span(0, zone)
    assert (first, last, seconds, name) == (0, 15 * calendar_.MINUTE_US - 1, 3600, "CET")
