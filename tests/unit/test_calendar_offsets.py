"""The offset of a time zone at an instant: what is kept for a quarter of an hour is what the zone's rules say."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from compute_node.types import calendar_

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
