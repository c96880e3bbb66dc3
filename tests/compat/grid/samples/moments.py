"""Dates, times, spans and zones, and their templates."""

# ruff: noqa: E501, SIM905  (one shape a line)
from __future__ import annotations

import random

R = random.Random

_DATES = [
    "date '2000-01-01'",
    "date '1999-12-31'",
    "date '2024-02-29'",
    "date '0001-01-01'",
    "date '0044-03-15 BC'",
    "date '12345-06-07'",
    "date '1900-03-01'",
    "date '2009-12-28'",
]


def _stamp(r: R) -> str:
    year = r.choice([r.randint(1900, 2100), r.randint(1, 9999), r.randint(1970, 2030), r.randint(10000, 200000)])
    bc = r.choice(["", "", "", " BC"]) if year < 4700 else ""
    return f"{year:04d}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}{r.choice(['', '.5', '.123456', '.999999'])}{bc}"


_DATE_PARTS = "YYYY YYY YY Y Y,YYY IYYY IYY IY I BC B.C. AD bc MONTH Month month MON Mon mon MM DAY Day day DY Dy dy DDD DD D ID IDDD W WW IW CC J Q RM rm HH HH12 HH24 MI SS MS US FF1 FF2 FF3 FF4 FF5 FF6 SSSS SSSSS AM am P.M. p.m. TZ tz TZH TZM OF FM TH th TM SP FX".split()


def to_char_moment(r: R) -> str:
    parts = r.choices(_DATE_PARTS, k=r.randint(1, 6))
    template = r.choice(["", " ", "-", ":", "/", '"x"', ""]).join(parts)
    if r.random() < 0.3:
        template = "".join(
            part + r.choice(["", "th", "TH"])
            for part in (("FM" + part if r.random() < 0.4 else part) for part in parts)
        )
    value = r.choice(
        [
            f"timestamp '{_stamp(r)}'",
            f"timestamptz '{_stamp(r)}'",
            f"interval '{_span(r)}'",
            r.choice(_DATES),
            "'infinity'::timestamp",
        ]
    )
    return f"to_char({value}, '{template}')"


def from_char(r: R) -> str:
    stamp = f"timestamp '{r.randint(1900, 2100):04d}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}.{r.randint(0, 999999):06d}'"
    days = r.choice(
        [
            "YYYY-MM-DD",
            "DD Mon YYYY",
            "YYYYMMDD",
            "Day, DD Month YYYY",
            "IYYY-IW-ID",
            "YYYY DDD",
            "J",
            "MM/DD/YY",
            "DD.MM.YYYY",
            "Dy DD RM YYY",
            "CC YY MM DD",
            "IYYY IDDD",
            "YYYY Q",
            "Y,YYY-MM-DD",
            "FMMonth FMDD, YYYY",
            "YYYY-WW",
            "MM DD",
            "YYYY-MM-W",
        ]
    )
    clock = r.choice(
        [
            "",
            " HH24:MI:SS",
            " HH:MI:SS AM",
            " HH12:MI p.m.",
            " HH24MISSMS",
            " HH24:MI:SS.US",
            " SSSS",
            " HH24:MI:SS.FF3",
            " HH24:MI:SSTZH",
        ]
    )
    other = r.choice(
        [days + clock] * 4
        + [r.choice(["YYYY MM DD", "YYYY-MM-DD HH24", "FXYYYY-MM-DD", "DD-Mon-YY", "YYYYMMDDHH24MI"])]
    )
    function = r.choice(["to_timestamp", "to_date", "to_timestamp"])
    return f"{function}(to_char({stamp}, '{days + clock}'), '{other}')"


def from_char_text(r: R) -> str:
    text = r.choice(
        [
            f"{r.randint(0, 12000)}{r.choice('-/ .:')}{r.randint(0, 13)}{r.choice('-/ .:')}{r.randint(0, 32)}",
            f"{r.randint(1, 31)} {r.choice(['jan', 'Feb', 'MARCH', 'sept', 'Dezember'])} {r.randint(0, 9999)}",
            f"{r.randint(0, 25)}:{r.randint(0, 61)}:{r.randint(0, 61)}",
            str(r.randrange(10**8)),
            f"  {r.randint(1, 9)}{r.randint(1, 9)} {r.randint(1900, 2020)}",
        ]
    )
    template = r.choice(
        [
            "YYYY-MM-DD",
            "DD Mon YYYY",
            "HH24:MI:SS",
            "YYYYMMDD",
            "YY MM DD",
            "FXYYYY/MM/DD",
            "DDD YYYY",
            "MM YYYY",
            "HH:MI:SS",
            "Y-MM-DD",
            "YYY/MM/DD",
            "DD Month YYYY",
            "FMDD FMMon YYYY",
            '"x"YYYY',
        ]
    )
    return f"{r.choice(['to_timestamp', 'to_date'])}('{text}', '{template}')"


_UNITS = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "week",
    "decade",
    "century",
    "millennium",
    "millisecond",
    "microsecond",
    "mons",
    "d",
    "h",
    "m",
    "s",
    "yr",
]


def _span(r: R) -> str:
    parts = [
        f"{r.choice(['', '-', '+'])}{r.choice([str(r.randint(0, 40)), f'{r.uniform(0, 20):.{r.randint(1, 7)}f}'])} {unit}"
        for unit in r.sample(_UNITS[:9], r.randint(1, 3))
    ]
    if r.random() < 0.3:
        parts.append(
            f"{r.choice(['', '-'])}{r.randint(0, 99):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}{r.choice(['', '.5', '.123456'])}"
        )
    return " ".join(parts) + (" ago" if r.random() < 0.1 else "")


def span_text(r: R) -> str:
    text = r.choice(
        [
            _span(r),
            f"P{r.randint(0, 9)}Y{r.randint(0, 20)}M{r.randint(-9, 40)}DT{r.randint(0, 30)}H{r.uniform(0, 99):.3f}S",
            f"{r.randint(0, 99)}-{r.randint(0, 13)}",
            f"{r.randint(0, 99)} {r.randint(0, 30)}:{r.randint(0, 60)}",
            f"{r.uniform(0, 100):.3f}",
            f"{r.randint(0, 10)} {r.choice(_UNITS)} {r.randint(0, 10)} {r.choice(_UNITS)}",
            f"P{r.uniform(0, 9):.2f}{r.choice('YMWD')}",
            f"PT{r.uniform(0, 9):.2f}{r.choice('HMS')}",
            f"P{r.randint(0, 9999):04d}-{r.randint(0, 12):02d}-{r.randint(0, 30):02d}T{r.randint(0, 24):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}",
        ]
    )
    fields = r.choice(
        [
            "",
            "",
            "",
            " year",
            " month",
            " day to hour",
            " hour to second",
            " minute",
            "(2)",
            " day to second(1)",
            " year to month",
            " second(3)",
        ]
    )
    return f"interval '{text}'{fields}" if not fields.startswith("(") else f"interval{fields} '{text}'"


def span(r: R) -> str:
    a, b, s, t = _span(r), _span(r), _stamp(r), _stamp(r)
    unit = r.choice(
        [
            "microseconds",
            "milliseconds",
            "second",
            "minute",
            "hour",
            "day",
            "week",
            "month",
            "quarter",
            "year",
            "decade",
            "century",
            "millennium",
            "dow",
            "doy",
            "isodow",
            "isoyear",
            "epoch",
            "julian",
            "timezone",
            "timezone_hour",
        ]
    )
    kind = r.choice(["timestamp", "timestamptz"])
    return r.choice(
        [
            f"interval '{a}' + interval '{b}'",
            f"interval '{a}' - interval '{b}'",
            f"interval '{a}' * {r.uniform(-5, 5):.4f}",
            f"interval '{a}' / {r.uniform(-5, 5):.3f}",
            f"-interval '{a}'",
            f"interval '{a}' < interval '{b}'",
            f"justify_interval(interval '{a}')",
            f"justify_days(interval '{a}')",
            f"justify_hours(interval '{a}')",
            f"{kind} '{s}' + interval '{a}'",
            f"{kind} '{s}' - interval '{a}'",
            f"{kind} '{s}' - {kind} '{t}'",
            f"age({kind} '{s}', {kind} '{t}')",
            f"extract({unit} FROM {kind} '{s}')",
            f"extract({unit} FROM interval '{a}')",
            f"date_part('{unit}', {kind} '{s}')",
            f"extract({unit} FROM date '{s[:10] if len(s.split('-')[0]) == 4 and 'BC' not in s else '2001-02-03'}')",
            f"extract({unit} FROM time '{r.randint(0, 23):02d}:12:13.456')",
            f"date_trunc('{unit}', {kind} '{s}')",
            f"date_trunc('{unit}', interval '{a}')",
            f"date_trunc('{unit}', timestamptz '{s}', '{r.choice(_ZONES)}')",
            f"date_bin('{r.randint(1, 90)} {r.choice(['minutes', 'seconds', 'hours', 'days', 'weeks'])}', {kind} '{s}', {kind} '{t}')",
            f"({kind} '{s}', interval '{a}') OVERLAPS ({kind} '{t}', interval '{b}')",
            f"make_interval(years => {r.randint(-9, 9)}, months => {r.randint(-30, 30)}, secs => {r.uniform(-99, 99):.6f})",
            f"interval '{a}'::time",
            f"time '{r.randint(0, 23):02d}:30' + interval '{a}'",
            f"timetz '{r.randint(0, 23):02d}:30+0{r.randint(0, 9)}' - interval '{a}'",
            f"{kind} '{s}'::date",
            f"{kind} '{s}'::time",
            f"{kind}({r.randint(0, 6)}) '{s}'",
            f"interval({r.randint(0, 6)}) '{a}'",
            f"isfinite({kind} '{s}')",
            f"to_timestamp({r.uniform(-1e10, 1e11):.6f})",
            f"make_timestamptz({r.randint(1900, 2030)}, {r.randint(1, 12)}, {r.randint(1, 28)}, {r.randint(0, 23)}, {r.randint(0, 59)}, {r.uniform(0, 59):.6f}, '{r.choice(_ZONES)}')",
            f"array(SELECT generate_series(timestamp '2000-01-31', timestamp '2000-01-31' + interval '{r.randint(1, 5)} month', interval '{r.randint(5, 40)} days'))",
            f"date '{r.randint(1900, 2100)}-{r.randint(1, 12)}-{r.randint(1, 28)}' + {r.randint(-100000, 100000)}",
            f"date '{r.randint(1900, 2100)}-{r.randint(1, 12)}-{r.randint(1, 28)}' - date '{r.randint(1900, 2100)}-{r.randint(1, 12)}-{r.randint(1, 28)}'",
        ]
    )


_ZONES = [
    "America/New_York",
    "Europe/London",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "UTC",
    "MSK",
    "EST5EDT",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Africa/Casablanca",
    "Pacific/Apia",
    "+3",
    "PST",
    "Europe/Moscow",
    "Asia/Kathmandu",
    "America/Caracas",
    "Europe/Dublin",
    "<+05>-5",
    "NZDT",
    "VET",
    "IRST",
]


def zones(r: R) -> str:
    year = r.choice(
        [
            r.randint(1850, 2037),
            r.randint(1960, 2030),
            r.randint(2038, 2200),
            r.randint(1, 1800),
            r.randint(9990, 60000),
        ]
    )
    stamp = f"{year:04d}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:{r.choice(['00', '30', '59:59'])}"
    zone = r.choice(_ZONES)
    return r.choice(
        [
            f"timestamptz '{stamp} {zone}'",
            f"timestamp '{stamp}' AT TIME ZONE '{zone}'",
            f"timestamptz '{stamp}+00' AT TIME ZONE '{zone}'",
            f"timestamptz '{stamp}'",
            f"to_char(timestamptz '{stamp}', 'YYYY HH24 TZ OF')",
            f"timestamp '{stamp}'::timestamptz",
            f"extract(timezone from timestamptz '{stamp}')",
            f"timetz '12:30 {r.choice(['PST', 'UTC', '+05:30', 'EST'])}' AT TIME ZONE '{r.choice(['UTC', '+3', 'EST'])}'",
        ]
    )


def date_text(r: R) -> str:
    month = r.choice(["jan", "February", "MAR", "apr.", "May", "june", "Sept", "oct", "foo"])
    y, m, d = (
        r.choice([r.randint(1, 99), r.randint(1000, 9999), r.randint(10000, 99999)]),
        r.randint(0, 13),
        r.randint(0, 32),
    )
    day = r.choice(
        [
            f"{y}-{m}-{d}",
            f"{m}/{d}/{y}",
            f"{month} {d}, {y}",
            f"{d} {month} {y}",
            f"{y} {month} {d}",
            f"{d}-{month}-{y}",
            f"{month}-{d}-{y}",
            f"{y:04d}{m:02d}{d:02d}",
            f"{y}.{r.randint(0, 400)}",
            f"J{r.randint(0, 3000000)}",
            f"{d}.{m}.{y}",
            f"{r.choice(['Mon', 'tues', 'wednesday'])} {month} {d} {y}",
            f"{month}{d} {y}",
            f"{y}-{month}-{d}",
            f"{m}-{d}",
        ]
    )
    clock = r.choice(
        [
            "",
            "",
            f" {r.randint(0, 25)}:{r.randint(0, 60)}",
            f" {r.randint(0, 13)}:{r.randint(0, 59)}:{r.randint(0, 61)}.{r.randint(0, 9999999)} {r.choice(['AM', 'pm', ''])}",
            f"T{r.randint(0, 24):02d}{r.randint(0, 59):02d}{r.randint(0, 59):02d}",
            f" {r.randint(0, 23)}:{r.randint(0, 59)}{r.choice(['+', '-'])}{r.randint(0, 16)}",
            " allballs",
            f" {r.randint(0, 23):02d}:15 {r.choice(['EST', 'America/New_York', 'Z', 'zulu', '+05:30:15', '-0700'])}",
            " BC",
            " AD",
        ]
    )
    return f"{r.choice(['date', 'timestamp', 'timestamptz', 'timestamp', 'time', 'timetz'])} '{day}{clock}'"
