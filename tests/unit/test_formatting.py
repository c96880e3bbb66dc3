"""Templates of to_char and its inverses: the type that a template implies, strict matching, and long templates."""

from __future__ import annotations

import pytest

from aurora.errors import SqlError
from compute_node.types.calendar_ import DAY_US, HOUR_US
from compute_node.types.formatting import parse_datetime
from compute_node.types.formatting.moment_out import interval_to_char, timestamp_to_char
from compute_node.types.interval import Interval, TimeTz
from compute_node.types.oids import TYPE_OIDS


@pytest.mark.parametrize(
    ("text", "template", "type_name", "value"),
    [
        ("2000-01-03", "YYYY-MM-DD", "date", 2),
        ("12:30", "HH24:MI", "time", 12 * HOUR_US + HOUR_US // 2),
        ("12:30 +02", "HH24:MI TZH", "timetz", TimeTz(12 * HOUR_US + HOUR_US // 2, -7200)),
        ("2000-01-03 01", "YYYY-MM-DD HH24", "timestamp", 2 * DAY_US + HOUR_US),
        ("2000-01-03 01 +1:30", "YYYY-MM-DD HH24 TZH:TZM", "timestamptz", 2 * DAY_US - HOUR_US // 2),
    ],
)
def test_a_template_implies_a_type(text: str, template: str, type_name: str, value: object) -> None:
    read = parse_datetime(text, template)
    assert (read.type, read.value) == (TYPE_OIDS[type_name], value)


def test_the_precision_and_the_zone_are_told() -> None:
    read = parse_datetime("2000-01-01 00:00:01.25 -03:15", "YYYY-MM-DD HH24:MI:SS.FF1 TZH:TZM", strict=False)
    assert (read.typmod, read.offset_seconds) == (1, -(3 * 3600 + 15 * 60))
    assert read.value == (3 * 3600 + 15 * 60) * 1_000_000 + 1_300_000


@pytest.mark.parametrize(
    ("text", "template", "message"),
    [
        ("2000-01", "YYYY-MM-DD", "input string is too short for datetime format"),
        ("2000-01-01x", "YYYY-MM-DD", "trailing characters remain in input string after datetime format"),
        ("2000/01", "YYYY-MM", 'unmatched format separator "-"'),
        ("2000y", 'YYYY"x"', 'unmatched format character "x"'),
        ("2000_01", "YYYY_MM", 'invalid datetime format separator: "_"'),
        ("x", '"x"', "datetime format is not dated and not timed"),
        ("2000 +1", "YYYY TZH", "datetime format is zoned but not timed"),
    ],
)
def test_strict_matching(text: str, template: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_datetime(text, template, strict=True)
    assert caught.value.message == message


def test_a_zone_that_the_text_lacks() -> None:
    with pytest.raises(SqlError, match="missing time zone in input string for type timetz"):
        parse_datetime("12", "HH24 TZH")


def test_long_templates() -> None:
    count = 50_000
    assert timestamp_to_char(0, "YYYY-" * count) == "2000-" * count
    assert interval_to_char(Interval(0, 0, 0), '"' + "x" * count) == "x" * count
