"""Dates and times: both sides of the kernel give the same, and zones the offsets that their rules say."""

from __future__ import annotations

import importlib
import zoneinfo
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import InvariantViolation, SqlError
from compute_node.types import calendar_
from compute_node.types.datetime_ import date_in, date_out, timestamp_in, timestamp_out
from compute_node.types.formatting import moment_in, moment_out
from compute_node.types.registry import TypeEnv

SPEC = importlib.import_module("aurora.kernels.python.moments")
try:
    NATIVE: Any = importlib.import_module("aurora.kernels.native.moments")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

UTC = TypeEnv(timezone=calendar_.fixed_zone(0))
STAMPS = st.one_of(
    st.integers(SPEC.TIMESTAMP_MIN, SPEC.TIMESTAMP_END - 1),
    st.integers(-63_113_904_000_000_000, 10**18),
    st.integers(-(10**6), 10**6).map(lambda hours: hours * SPEC.HOUR_US),
    st.sampled_from([SPEC.INFINITY, SPEC.MINUS_INFINITY, SPEC.TIMESTAMP_MIN, SPEC.TIMESTAMP_END - 1]),
)
SPANS = st.builds(
    SPEC.Interval,
    st.one_of(st.integers(-40, 40), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.integers(-400, 400), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.just(0), st.integers(-(2**63), 2**63 - 1)),
)
FIELDS = st.sampled_from(
    [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
        "dow",
        "doy",
        "isodow",
        "decade",
        "epoch",
        "x",
        "é",
    ]
)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except SqlError as error:
        return type(error), str(error)


@given(STAMPS, STAMPS, SPANS, FIELDS)
@settings(max_examples=150)
def test_both_sides_calculate_alike(us: int, other: int, span: Any, field: str) -> None:
    for name, arguments in (
        ("plus_interval", (us, span)),
        ("difference", (us, other)),
        ("age", (us, other)),
        ("binned", (span.us, us, other)),
        ("date_of", (other // 10**15, span.months % 14, span.days % 33)),
        ("days_between", (span.days, span.months)),
        ("truncated", (field, us)),
        ("part", (field, us)),
        ("timestamp_text", (us,)),
        ("timestamp_text", (us, other % 100_000 - 50_000)),
        ("clock_text", (us % SPEC.DAY_US,)),
    ):
        if us in (SPEC.INFINITY, SPEC.MINUS_INFINITY) and len(arguments) == 2 and name == "timestamp_text":
            continue
        expected = outcome(getattr(SPEC, name), *arguments)
        found = outcome(getattr(NATIVE, name), *arguments)
        assert found == expected and type(found) is type(expected), (name, arguments)


@given(st.one_of(st.integers(-2_451_545, 2_145_031_948), st.sampled_from([2147483647, -2147483648])))
def test_dates_are_written_alike(days: int) -> None:
    text = SPEC.date_text(days)
    assert NATIVE.date_text(days) == text == date_out(days, UTC)
    if "B" not in text and len(text) == 10:
        assert NATIVE.read_date(text) == SPEC.read_date(text) == days == date_in(" " + text, -1, UTC)


TEXTS = st.one_of(
    st.from_regex(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2}(\.\d{1,7})?)?", fullmatch=True),
    st.sampled_from(["2020-02-30", "2020-02-29", "0000-01-01", "2020-01-01T00:00:00", "2020-01-01 24:00:00"]),
    st.sampled_from(["²020-01-01", "2020-01-0１", "2020-01-01 00:00:00.", "2020-01-01 00:00:60", "é020-01-01 "]),
    st.text(max_size=27),
)


@given(TEXTS)
@settings(max_examples=100)
def test_texts_are_read_alike(text: str) -> None:
    for name in ("read_date", "read_timestamp"):
        assert getattr(NATIVE, name)(text) == getattr(SPEC, name)(text)
    quick = NATIVE.read_timestamp(text)
    if quick is not None:
        assert quick == timestamp_in(" " + text, -1, UTC)  # a space is for the general reader


PATTERNS = (
    *("YYYY", "YYY", "YY", "Y", "MM", "DD", "DDD", "D", "ID", "Q", "HH24", "HH12", "HH", "MI", "SS", "MS", "US"),
    *("Month", "MONTH", "month", "Mon", "MON", "mon", "Day", "DAY", "day", "Dy", "DY", "dy"),
    *("AM", "pm", "A.M.", "p.m.", "TZ", "tz"),
)


@given(
    STAMPS,
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["", "FM", "TM", "fm"]), st.sampled_from(PATTERNS)).map("".join),
            st.sampled_from(["-", " ", '"at é"', "/", ":", '"' + "w" * 200 + '"']),
        ),
        max_size=9,
    ),
)
@settings(max_examples=100)
def test_programs_write_what_the_general_code_writes(us: int, pieces: list[str]) -> None:
    template = " ".join(pieces)
    plain = moment_out._parsed(template)
    if us in (SPEC.INFINITY, SPEC.MINUS_INFINITY):
        return
    if plain is None:
        assert "TM" in template or "SP" in template, template
        return
    text = NATIVE.written(us, plain[0], "CET")
    assert text == SPEC.written(us, plain[0], "CET")
    if text is not None:
        assert text == moment_out._write(moment_out._of_timestamp(us, 3600, "CET"), template)


def test_long_templates_are_written_by_what_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise InvariantViolation("one call writes the whole of a long template")

    monkeypatch.setattr(moment_out.moments, "written", refuse)
    assert moment_out.timestamp_to_char(0, "YYYY-MM " * 100) == "2000-01 " * 100


ZONES = ("Europe/Berlin", "America/New_York", "Africa/Casablanca", "Africa/Freetown", "Asia/Gaza", "Etc/GMT+5", "UTC")


@given(st.sampled_from(ZONES), st.lists(st.integers(-4_000_000_000, 3_000_000_000), min_size=1, max_size=12))
@settings(max_examples=30)
def test_offsets_are_the_zones(name: str, seconds: list[int]) -> None:
    zone = zoneinfo.ZoneInfo(name)
    sides = [side.Offsets(lambda us: calendar_._span(us, zone)) for side in (SPEC, NATIVE)]
    for second in seconds:
        us = second * SPEC.SECOND_US
        expected = calendar_._state(us, zone)
        for side in sides:
            assert (side.seconds(us), side.name(us)) == expected
            assert side.to_local(us) == us + expected[0] * SPEC.SECOND_US
        assert sides[0].to_utc(us) == sides[1].to_utc(us)
        for field in ("hour", "day", "week", "month", "decade"):
            assert sides[0].truncated(field, us) == sides[1].truncated(field, us)
        for span in (SPEC.Interval(1, -3, 5), SPEC.Interval(0, 0, -7), SPEC.Interval(2**31 - 1, 0, 0)):
            assert sides[0].later(us, span) == sides[1].later(us, span)
        utc = sides[1].to_utc(us)
        if utc is not None:
            local = datetime(2000, 1, 1) + timedelta(microseconds=us)
            for fold in (0, 1):
                offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
                assert offset is not None and utc == us - round(offset.total_seconds()) * SPEC.SECOND_US


def test_no_zone_has_an_offset_for_less_than_what_is_looked_at() -> None:
    """An offset that comes and goes within days is seen."""
    step = SPEC.DAY_US // 2
    zone = zoneinfo.ZoneInfo("Africa/Freetown")  # the shortest time of all: four days in 1939
    start = -1_905_000_000 * SPEC.SECOND_US
    seen = [calendar_._state(start + number * step, zone)[0] for number in range(200)]
    found = [calendar_.utc_offset_seconds(start + number * step, zone) for number in range(200)]
    assert found == seen
    assert len(set(seen)) > 1


def test_texts_of_a_timestamp() -> None:
    assert timestamp_out(SPEC.TIMESTAMP_MIN, UTC) == "4714-11-24 00:00:00 BC"
    assert timestamp_out(SPEC.TIMESTAMP_END - 1, UTC) == "294276-12-31 23:59:59.999999"


@given(
    st.sampled_from(
        ["YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS", "YYYYMMDD", "DD.MM.YYYY", "HH24:MI:SS YYYY/MM/DD", "YYYY-MM"]
    ),
    st.one_of(STAMPS, st.integers(-(10**15), 10**15)),
    st.sampled_from(["", " ", "x", "é", "\ud800"]),
)
def test_what_a_template_writes_is_read_back(template: str, us: int, tail: str) -> None:
    program = moment_out._plain(template)
    assert program is not None
    text = NATIVE.written(us, program[0])
    if text is None:
        return
    for form in (text, text + tail, text.replace("1", "9"), text[:-1]):
        found = NATIVE.read_by(form, program[0])
        assert found == SPEC.read_by(form, program[0])
        quick = moment_in._quick_timestamp(form, template)
        if quick is not None:
            assert quick == found == moment_in._moment(form, template).timestamp()
