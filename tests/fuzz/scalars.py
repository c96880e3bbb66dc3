"""The types of columns and expressions, each with values that are likely to be equal, or to stand at an edge.

Equal values of a type are written alike in ``values``: which of two equal ones a group keeps is nobody's promise.
Computed ones may be equal and yet differ (1.0 and 1.00, a day and 24 hours): ``canonical`` makes them alike, and stands
wherever one of several equal values is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.choice import Choice


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type. ``canonical`` is a template; without one, equal values are alike."""

    name: str
    values: tuple[str, ...]
    is_bare: bool = False
    """Its values are numbers that stand in a query without quotes."""
    is_hashed: bool = True
    """It has an operator class for hash indexes."""
    has_extremes: bool = True
    """It has min() and max()."""
    canonical: str = ""


_UUID = "00000000-0000-0000-0000-0000000000"
_ALL = (
    Scalar("int", ("0", "1", "2", "3", "-1", "7", "100", "2147483647"), True),
    Scalar("text", ("a", "b", "", "ab", "B", "a%", "zz top", "Ä", "a_b")),
    Scalar("bigint", ("0", "1", "5", "-3", "9223372036854775807"), True),
    Scalar(
        "numeric",
        ("0", "1", "2.5", "-0.1", "12345678901234567890.5", "NaN", "Infinity", "1e-20"),
        canonical="trim_scale({})",
    ),
    Scalar("boolean", ("true", "false"), has_extremes=False),
    Scalar("date", ("2024-01-01", "2024-02-29", "1999-12-31", "infinity", "0044-03-15 BC")),
    # Neither timestamps nor intervals are infinite: a difference of two infinite ones is an error, and whether a row
    # that fails is reached is the plan's affair.
    Scalar("timestamp", ("2024-01-01 00:00", "2024-02-29 12:30:00.5", "1999-12-31")),
    Scalar("timestamptz", ("2024-01-01 00:00+00", "2024-03-31 01:30:00+00", "1999-12-31 23:59:59.999999+00")),
    # No negative zero: it equals zero and is written otherwise.
    Scalar("float8", ("0", "1", "2.5", "-1e10", "NaN", "Infinity", "1e-300")),
    Scalar("real", ("0", "1.5", "-2", "NaN", "0.1")),
    Scalar("smallint", ("0", "1", "-2", "32767", "-32768")),
    Scalar("int[]", ("{}", "{1}", "{1,2}", "{NULL,3}", "{2,2,2}")),
    Scalar("text[]", ("{}", "{a}", "{a,b}", "{NULL,''}", '{"a,b",B}')),
    Scalar("date[]", ("{}", "{2024-01-01}", "{infinity,NULL}", "[0:1]={2024-01-01,1999-12-31}")),
    Scalar("pair[]", ("{}", '{"(1,a)"}', '{"(,)",NULL}'), has_extremes=False),
    Scalar("jsonb", ("1", "null", '{"a": 1}', "[1, 2]", '{"a": {"b": null}}', '"a"', "true"), has_extremes=False),
    Scalar("varchar(5)", ("a", "abc", "x y", ""), has_extremes=False),
    Scalar("char(3)", ("a", "ab", "abc", "")),
    Scalar("int4range", ("[1,5)", "empty", "[3,)", "(,2]"), has_extremes=False),
    Scalar("numrange", ("[1,5)", "empty", "[2.5,)", "(1,5]"), has_extremes=False),
    Scalar("daterange", ("[2024-01-01,2024-02-01)", "empty", "[2024-01-15,)"), has_extremes=False),
    Scalar("tstzrange", ("empty", "[2024-01-01,2024-02-01)", "(,2024-01-15)"), has_extremes=False),
    Scalar("int4multirange", ("{}", "{[1,3),[5,9)}", "{[2,)}"), has_extremes=False),
    Scalar("uuid", (f"{_UUID}01", f"{_UUID}ff"), has_extremes=False),
    Scalar("interval", ("1 day", "01:30", "1 mon", "-3 min", "0"), canonical="justify_interval({})"),
    Scalar("time", ("00:00", "12:30:00.5", "23:59:59")),
    Scalar("timetz", ("00:00+00", "12:30:00.5+02", "12:30:00.5-05")),
    Scalar("bytea", ("", "\\x00", "\\x6162", "\\xff00"), has_extremes=False),
    Scalar("inet", ("10.0.0.1", "10.0.0.0/8", "::1", "192.168.1.5/24")),
    Scalar("cidr", ("10.0.0.0/8", "192.168.1.0/24"), has_extremes=False),
    Scalar("macaddr", ("08:00:2b:01:02:03", "00:00:00:00:00:01"), has_extremes=False),
    Scalar("bit(3)", ("000", "101", "111"), is_hashed=False, has_extremes=False),
    Scalar("varbit", ("", "1", "1011"), is_hashed=False, has_extremes=False),
    Scalar("oid", ("0", "1", "4294967295")),
    Scalar("money", ("0", "1.50", "-3.25"), is_hashed=False),
    Scalar("name", ("a", "pg_class", "B"), has_extremes=False),
    Scalar('"char"', ("a", "b", ""), has_extremes=False),
    Scalar("pg_lsn", ("0/0", "0/16B3748", "1/0")),
    Scalar("tsvector", ("", "'a':1 'b':2", "'b' 'c'"), is_hashed=False, has_extremes=False),
    Scalar("mood", ("sad", "ok", "happy")),
    Scalar("small", ("0", "1", "50", "-7"), has_extremes=False),
    Scalar("pair", ("(1,a)", "(,)", "(1,)", '(2,"b,c")'), has_extremes=False),
)
SCALARS = {each.name: each for each in _ALL}
TYPES = tuple(SCALARS)
TYPES_MADE = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE DOMAIN small AS int CHECK (VALUE < 1000)",
    "CREATE TYPE pair AS (a int, b text)",
)
"""What every case needs, in the schema of the connection."""


def quoted(value: str) -> str:
    """A string constant."""
    return "'" + value.replace("'", "''") + "'"


def literal(choice: Choice, kind: str, nulls: int = 10) -> str:
    """A value of a type, as it stands in a query: a parameter, NULL, a constant."""
    if choice.chance(nulls):
        return f"NULL::{kind}"
    scalar = SCALARS[kind]
    value = choice.of(scalar.values)
    if choice.parameters is not None and choice.chance(70):
        choice.parameters.append((kind, value))
        return f"${len(choice.parameters)}::{kind}"
    if scalar.is_bare and not value.startswith("-") and len(value) < 11 and kind == "int" and choice.chance(60):
        return value
    return f"{quoted(value)}::{kind}"


def bare(choice: Choice, kind: str) -> str:
    """A constant beside an operand of its type, which says what it is."""
    return quoted(choice.of(SCALARS[kind].values))


def canonical(kind: str, text: str) -> str:
    """An expression whose equal values are alike."""
    template = SCALARS[kind].canonical
    return template.format(text) if template else text
