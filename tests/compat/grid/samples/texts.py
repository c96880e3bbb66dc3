"""Texts, patterns and regular expressions."""

# ruff: noqa: E731  (one shape a line)
from __future__ import annotations

import random

R = random.Random

_ATOMS = [
    "a",
    "b",
    "c",
    ".",
    "[ab]",
    "[^a]",
    "\\\\d",
    "\\\\w",
    "x",
    "[[:alpha:]]",
    "(a)",
    "(b|c)",
    "(?:ab)",
    "a{2}",
    "b?",
    "c*",
    "a+",
    "a*?",
    "b+?",
    "(a|ab)",
    "(c|bcd)",
    "^",
    "$",
    "\\\\y",
    "(?=b)",
    "(?!a)",
    "\\\\m",
    "\\\\M",
    "[a-c]",
    "()",
    "(a*)",
    "(ab?)*",
    "\\\\1",
    "b{1,2}",
    "a{0,2}?",
]


def regex(r: R) -> str:
    pattern = "".join(r.choice(_ATOMS) for _ in range(r.randint(1, 5))).replace("\\\\", "\\")
    if r.random() < 0.15:
        pattern += "|" + "".join(r.choice(_ATOMS[:20]) for _ in range(2)).replace("\\\\", "\\")
    text = "".join(r.choice("aabbccdx1 _A\n") for _ in range(r.randint(0, 12)))
    flags = r.choice(["", "", ", 'g'", ", 'i'", ", 'n'", ", 'gi'", ", 'x'", ", 's'", ", 'w'", ", 'gp'"])
    s, p = f"E'{text}'".replace("\n", "\\n"), f"'{pattern}'"
    n = r.randint(1, 4)
    return r.choice(
        [
            f"{s} ~ {p}",
            f"{s} ~* {p}",
            f"regexp_match({s}, {p}{flags if 'g' not in flags else ''})",
            f"array(SELECT regexp_matches({s}, {p}{flags}))::text",
            f"regexp_replace({s}, {p}, '[\\&|\\1]'{flags})",
            f"regexp_replace({s}, {p}, 'Z', {n}, {r.randint(0, 3)})",
            f"regexp_split_to_array({s}, {p}{flags if 'g' not in flags else ''})",
            f"regexp_count({s}, {p}, {n})",
            f"regexp_instr({s}, {p}, {n}, {r.randint(1, 3)}, {r.randint(0, 1)})",
            f"regexp_substr({s}, {p}, {n}, {r.randint(1, 2)}, 'i', {r.randint(0, 1)})",
            f"regexp_like({s}, {p})",
            f"substring({s} from {p})",
        ]
    )


def patterns(r: R) -> str:
    alphabet = "ab%_\\c|*+?(){}[]^-$.1"
    pattern = "".join(r.choice("aabb%%_c" if r.random() < 0.7 else alphabet) for _ in range(r.randint(0, 6)))
    text = "".join(r.choice("aabbc%_1") for _ in range(r.randint(0, 8)))
    similar = "".join(
        r.choice(["a", "b", "%", "_", "(a|b)", "a*", "b+", "[ab]", "c?", "(ab)*", "|", "a{2}", "[^b]"])
        for _ in range(r.randint(1, 5))
    )
    return r.choice(
        [
            f"'{text}' LIKE '{pattern}'",
            f"'{text}' ILIKE '{pattern.upper()}'",
            f"'{text}' LIKE '{pattern}' ESCAPE '{r.choice(['a', '', '%', '#'])}'",
            f"'{text}' SIMILAR TO '{similar}'",
            f"'{text}' NOT SIMILAR TO '{similar}'",
            f"substring('{text}' SIMILAR 'a#\"{similar}#\"b*' ESCAPE '#')",
            f"similar_to_escape('{pattern}')",
            f"substring('{text}' from '%#\"{similar}#\"_' for '#')",
        ]
    )


def text(r: R) -> str:
    s = "".join(
        r.choice(["a", "B", "c ", "é", "ß", "漢", "İ", "x-y", "O'", "1", ".", ",", "Ǆ", "ﬁ", "ς"])
        for _ in range(r.randint(0, 8))
    ).replace("'", "''")
    p = "".join(r.choice("aBc ,.1") for _ in range(r.randint(0, 2)))
    n, m = r.randint(-4, 9), r.randint(-3, 6)
    return r.choice(
        [
            f"upper('{s}')",
            f"lower('{s}')",
            f"initcap('{s}')",
            f"substr('{s}', {n})",
            f"substr('{s}', {n}, {m})",
            f"substring('{s}' from {n} for {m})",
            f"left('{s}', {n})",
            f"right('{s}', {n})",
            f"lpad('{s}', {n}, '{p}')",
            f"rpad('{s}', {n}, '{p}')",
            f"btrim('{s}', '{p}')",
            f"translate('{s}', '{p}', 'xy')",
            f"replace('{s}', '{p}', 'Z')",
            f"split_part('{s}', '{p}', {n})",
            f"position('{p}' in '{s}')",
            f"strpos('{s}', '{p}')",
            f"overlay('{s}' placing '{p}' from {n})",
            f"overlay('{s}' placing '{p}' from {n} for {m})",
            f"reverse('{s}')",
            f"repeat('{s}', {m})",
            f"length('{s}')",
            f"octet_length('{s}')",
            f"md5('{s}')",
            f"quote_literal('{s}')",
            f"quote_ident('{s}')",
            f"ascii('{s}')",
            f"chr({r.choice([n * 40, r.randint(0, 1200000)])})",
            f"encode('{s}', '{r.choice(['base64', 'hex', 'escape'])}')",
            f"'{s}'::char({abs(n) + 1})",
            f"'{s}'::varchar({abs(m) + 1})",
            f"'{s}' < '{p}'",
            f"starts_with('{s}', '{p}')",
            f"string_to_array('{s}', '{p}')",
            f"array(SELECT string_to_table('{s}', '{p}', 'a'))",
            f"concat_ws('{p}', '{s}', null, {n}, true)",
            f"concat('{s}', {n}, null)",
            f"'{s}' || {n}",
            f"sha256('{s}'::bytea)",
            f"to_hex({n * 99991})",
            f"parse_ident('{p}a')",
            f"normalize('{s}', {r.choice(['NFC', 'NFD', 'NFKC', 'NFKD'])})",
            f"'{s}' IS NFC NORMALIZED",
            f"unistr('{p}\\00e9')",
            f"bit_length('{s}')",
            f"hashtext('{s}')",
            f"convert_to('{s}', '{r.choice(['LATIN1', 'UTF8', 'WIN1252'])}')",
            f"quote_nullable('{s}')",
        ]
    )


def formats(r: R) -> str:
    piece = lambda: r.choice(
        [
            "%s",
            "%I",
            "%L",
            "%%",
            "%1$s",
            "%2$L",
            "%-5s|",
            "%5s|",
            "%*s|",
            "%-*L|",
            "%1$-6s|",
            "%2$*1$s",
            "%3$I",
            "x",
            " ",
        ]
    )
    template = "".join(piece() for _ in range(r.randint(1, 5))) + r.choice(["", "", "", "%", "%x", "%0$s", "%9$s"])
    arguments = r.choice(
        [
            "'a b', 3, null",
            "7, 'x', 'Select'",
            "null, null, 'q'",
            "-4, 'it''s', 'A'",
            "variadic array['x','y','z']",
            "variadic null::text[]",
        ]
    )
    return f"format('{template}', {arguments})"
