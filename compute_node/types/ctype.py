"""Character classes and case of the C.UTF-8 locale, as PostgreSQL 15 has them (``ctype.json``, recorded from it).

Case mappings are from one character to one character: lengths never change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint ranges of code points, both ends included."""

MAX_CODE = 0x10FFFF
WORD = "word"


@cache
def _facts() -> dict[str, str | dict[str, str]]:
    loaded: dict[str, str | dict[str, str]] = json.loads(Path(__file__).with_name("ctype.json").read_text())
    return loaded


def normalize(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, with neighbours and overlaps joined."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            if high > out[-1][1]:
                out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return tuple(out)


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    out, at = [], 0
    for low, high in ranges:
        if low > at:
            out.append((at, low - 1))
        at = high + 1
    if at <= MAX_CODE:
        out.append((at, MAX_CODE))
    return tuple(out)


@cache
def char_class(name: str) -> Ranges | None:
    """The characters of a class as regular expressions name it; None for an unknown name."""
    fixed: dict[str, Ranges] = {
        "digit": ((0x30, 0x39),),
        "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
        "blank": ((9, 9), (0x20, 0x20)),
        "ascii": ((0, 0x7F),),
    }
    if name in fixed:
        return fixed[name]
    if name == "alnum":
        return normalize((*(char_class("alpha") or ()), *fixed["digit"]))
    if name == WORD:
        return normalize((*(char_class("alnum") or ()), (0x5F, 0x5F)))
    classes = _facts()["classes"]
    if not isinstance(classes, dict) or name not in classes:
        return None
    out, at = [], 0
    for item in classes[name].split():
        gap, _, more = item.partition("-")
        low = at + int(gap, 16)
        at = low + (int(more, 16) if more else 0)
        out.append((low, at))
    return tuple(out)


@cache
def ascii_class(name: str) -> Ranges | None:
    """The characters of a class that are in ASCII: all that it has in the C library's locale C."""
    found = char_class(name)
    return None if found is None else tuple((low, min(high, 0x7F)) for low, high in found if low <= 0x7F)


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    for item in text.split():
        start, _, rest = item.partition(":")
        offset, _, run = rest.partition("*")
        count, _, step = run.partition("/")
        for number in range(int(count or 1)):
            code = int(start, 16) + number * int(step or 1)
            yield code, code + int(offset)


@cache
def lower_table() -> dict[int, int]:
    """Code point → its lower case, for ``str.translate``."""
    return dict(_pairs(str(_facts()["lower"])))


@cache
def upper_table() -> dict[int, int]:
    """Code point → its upper case, for ``str.translate``."""
    return dict(_pairs(str(_facts()["upper"])))


@cache
def ascii_tables() -> tuple[dict[int, int], dict[int, int]]:
    """(upper case → lower case, lower case → upper case) of ASCII's letters."""
    upper, lower = range(ord("A"), ord("Z") + 1), range(ord("a"), ord("z") + 1)
    return dict(zip(upper, lower, strict=True)), dict(zip(lower, upper, strict=True))


def case_tables() -> tuple[dict[int, int], dict[int, int]]:
    """The same of all letters."""
    return lower_table(), upper_table()


def lower(text: str) -> str:
    """``lower()`` of PostgreSQL."""
    return text.lower() if text.isascii() else text.translate(lower_table())


def upper(text: str) -> str:
    """``upper()`` of PostgreSQL."""
    return text.upper() if text.isascii() else text.translate(upper_table())
