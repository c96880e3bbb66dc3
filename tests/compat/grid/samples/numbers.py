"""Numbers, and numbers as text."""

# ruff: noqa: E501  (one shape a line)
from __future__ import annotations

import random

R = random.Random


def _number(r: R, digits: int = 20) -> str:
    """A numeric with a random scale, sometimes a special one."""
    if r.random() < 0.04:
        return r.choice(["'NaN'", "'Infinity'", "'-Infinity'"])
    whole = str(r.randrange(10 ** r.randint(0, digits)))
    fraction = "".join(r.choice("0123456789") for _ in range(r.choice([0, 0, 1, 2, 5, 12, 25])))
    text = whole + ("." + fraction if fraction else "") + (f"e{r.randint(-30, 30)}" if r.random() < 0.1 else "")
    return f"'{r.choice(['', '', '-'])}{text}'"


def numeric(r: R) -> str:
    a, b = _number(r), _number(r)
    n, d = r.randint(-5, 30), r.choice(["", "::float8", ""])
    return r.choice(
        [
            f"{a}::numeric + {b}::numeric",
            f"{a}::numeric - {b}",
            f"{a}::numeric * {b}",
            f"{a}::numeric / {b}",
            f"{a}::numeric % {b}",
            f"div({a}::numeric, {b})",
            f"round({a}::numeric, {n})",
            f"trunc({a}::numeric, {n})",
            f"ceil({a}::numeric)",
            f"floor({a}::numeric)",
            f"sqrt({a}::numeric)",
            f"sqrt(abs({a}::numeric))",
            f"ln(abs({a}::numeric))",
            f"exp({_number(r, 2)}::numeric)",
            f"log(abs({a}::numeric))",
            f"log(abs({_number(r, 3)}::numeric), abs({b}::numeric))",
            f"power(abs({_number(r, 4)}::numeric), {_number(r, 1)}::numeric)",
            f"power({_number(r, 3)}::numeric, {r.randint(-20, 20)})",
            f"gcd({a}::numeric, {b})",
            f"lcm({_number(r, 6)}::numeric, {_number(r, 6)})",
            f"trim_scale({a}::numeric)",
            f"min_scale({a}::numeric)",
            f"scale({a}::numeric)",
            f"width_bucket({a}::numeric, 0, 1e10, {r.randint(1, 9)})",
            f"{a}::numeric({r.randint(5, 40)},{r.randint(0, 10)})",
            f"{a}::numeric::float8",
            f"{a}::float8::numeric",
            f"{a}::float4::numeric",
            f"{a}::float8{d}::int8",
            f"{a}::numeric::int8",
            f"{a}::numeric::int4",
            f"{a}::numeric > {b}",
            f"sign({a}::numeric)",
            f"factorial({r.randint(0, 40)})",
            f"(SELECT array[sum(x), avg(x), stddev(x), var_pop(x), max(x)] FROM unnest(array[{a},{b},{_number(r, 4)}]::numeric[]) x)",
        ]
    )


def _float(r: R) -> str:
    if r.random() < 0.1:
        return r.choice(["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'1e308'", "'1e-320'"])
    return f"'{r.choice([r.uniform(-10, 10), r.uniform(-1e6, 1e6), float(r.randint(-100, 100)), r.uniform(-1, 1) * 10 ** r.randint(-300, 300)])!r}'"


def floats(r: R) -> str:
    a, b, t = _float(r), _float(r), r.choice(["float8", "float8", "float4"])
    return r.choice(
        [
            f"{a}::{t} + {b}::{t}",
            f"{a}::{t} * {b}::{t}",
            f"{a}::{t} / {b}::{t}",
            f"{a}::{t} - {b}::float8",
            f"{a}::{t}",
            f"round({a}::float8)",
            f"{a}::{t}::int4",
            f"{a}::{t}::numeric",
            f"{a}::{t}::int2",
            f"trunc({a}::float8)",
            f"sqrt({a}::float8)",
            f"cbrt({a}::float8)",
            f"@ {a}::{t}",
            f"||/ {a}::float8",
            f"{a}::{t} < {b}::float8",
            f"degrees({a}::float8)",
            f"radians({a}::float8)",
            f"sind({a}::float8)",
            f"cosd({a}::float8)",
            f"asind({a}::float8 / 10)",
            f"(SELECT array[sum(x), avg(x), stddev_samp(x), var_pop(x)] FROM unnest(array[{a},{b},{_float(r)}]::{t}[]) x)",
            f"width_bucket({a}::float8, -10, 10, {r.randint(1, 9)})",
            f"(SELECT array[corr(y,x), regr_slope(y,x), regr_r2(y,x), covar_samp(y,x)] FROM (VALUES ({a}::float8,{b}::float8),(1,2),({_float(r)},3)) v(y,x))",
        ]
    )


_NUMBER_PARTS = [
    "9",
    "0",
    "9",
    "0",
    "9",
    ".",
    ",",
    "D",
    "G",
    "S",
    "MI",
    "PL",
    "SG",
    "PR",
    "FM",
    "L",
    "V",
    "RN",
    "TH",
    "th",
    "EEEE",
    "B",
    "C",
    '"x y"',
    " ",
    "$",
    "\\\\",
]


def to_char_number(r: R) -> str:
    template = "".join(r.choices(_NUMBER_PARTS[:14], k=r.randint(1, 9)))
    if r.random() < 0.5:
        template = (
            r.choice(["FM", "S", "L", "", ""])
            + "9" * r.randint(0, 8)
            + "0" * r.randint(0, 3)
            + r.choice([".99", "D00", "V9", "", "EEEE", ",999.9", "th", "PR", "MI", "SG", "S", "rn", "RN"])
        )
    elif r.random() < 0.3:
        template = "".join(r.choices(_NUMBER_PARTS, k=r.randint(1, 9)))
    value = r.choice(
        [
            f"{_number(r, 9)}::numeric",
            f"{_float(r)}::float8",
            f"{r.randint(-5000, 5000)}",
            f"({r.randint(-(10**12), 10**12)})::int8",
            f"{_float(r)}::float4",
        ]
    )
    return f"to_char({value}, '{template}')"


def to_number(r: R) -> str:
    digits = (
        r.choice(["", " ", "-", "+", "$", "<"])
        + str(r.randrange(10 ** r.randint(1, 9)))
        + r.choice(["", ".5", ",123", "-", " ", ">", ".25-", "th"])
    )
    template = (
        r.choice(["", "S", "FM", "L", "MI"])
        + r.choice(["9", "99999", "999,999", "0000", "9G999D99", "999.99"])
        + r.choice(["", "S", "MI", "PR", ".99", "D9", "V9", "th", "SG"])
    )
    return f"to_number('{digits}', '{template}')"


def bits(r: R) -> str:
    a, b = ("".join(r.choice("01") for _ in range(r.choice([0, 3, 8, 8, 17, 40]))) for _ in range(2))
    n, m = r.randint(-3, 12), r.randint(-2, 9)
    h = "".join(r.choice("0123456789abcdef") for _ in range(2 * r.randint(0, 6)))
    return r.choice(
        [
            f"B'{a}' & B'{b}'",
            f"B'{a}' # B'{b}'",
            f"~B'{a}'",
            f"B'{a}' << {n}",
            f"B'{a}' >> {n}",
            f"B'{a}' || B'{b}'",
            f"substring(B'{a}' from {n} for {m})",
            f"overlay(B'{a}' placing B'{b}' from {n})",
            f"position(B'{b[:2]}' in B'{a}')",
            f"B'{a}'::int",
            f"({n * 1234567})::bit({abs(m) + 1})",
            f"get_bit(B'{a}', {n})",
            f"set_bit(B'{a}', {n}, 1)",
            f"bit_count(B'{a}')",
            f"B'{a}' < B'{b}'",
            f"B'{a}'::bit({abs(m) + 1})",
            f"B'{a}'::varbit({abs(m) + 1})",
            f"length(B'{a}')",
            f"get_byte('\\x{h}', {n})",
            f"set_byte('\\x{h}', {n}, {r.randint(-5, 300)})",
            f"get_bit('\\x{h}'::bytea, {n})",
            f"set_bit('\\x{h}'::bytea, {n}, 1)",
            f"substr('\\x{h}'::bytea, {n}, {m})",
            f"overlay('\\x{h}'::bytea placing '\\xff' from {n})",
            f"position('\\x{h[:2]}'::bytea in '\\x{h}')",
            f"encode('\\x{h}', '{r.choice(['base64', 'escape', 'hex'])}')",
            f"btrim('\\x{h}'::bytea, '\\x00')",
            f"md5('\\x{h}'::bytea)",
            f"'\\x{h}'::bytea || '\\x00'",
            f"sha224('\\x{h}')",
            f"bit_count('\\x{h}'::bytea)",
            f"'\\x{h}'::bytea < '\\x{h[2:4]}'",
            f"x'{h}'::varbit::text",
        ]
    )
