"""LIKE, ILIKE and SIMILAR TO (manual, 9.7.1, 9.7.2).

A pattern becomes a compiled test once (cached); simple ones become comparisons, prefixes, suffixes or containment.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from aurora.errors import InvalidEscapeCharacter, InvalidEscapeSequence
from compute_node.types.declare import fn, fns


def _pieces(pattern: str) -> list[str | None]:
    """Literal pieces and wildcards: a str is literal text, None is %, "" is _; 22025 for a trailing escape
    character.
    """
    pieces: list[str | None] = []
    literal: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign in "%_":
            if literal:
                pieces.append("".join(literal))
                literal = []
            pieces.append(None if sign == "%" else "")
        else:
            if sign == "\\":
                at += 1
                if at == len(pattern):
                    raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
            literal.append(pattern[at])
        at += 1
    if literal:
        pieces.append("".join(literal))
    return pieces


def _ends_in_escape(pattern: str) -> bool:
    """Whether the last backslash has nothing to escape."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _unfinished(reaches_end: Callable[[str], bool]) -> Callable[[str], bool]:
    """A pattern that ends in the escape character fails only where matching gets that far, and matches nothing."""

    def test(value: str) -> bool:
        if reaches_end(value):
            raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
        return False

    return test


@functools.lru_cache(maxsize=1024)
def like_test(pattern: str, ignore_case: bool = False) -> Callable[[str], bool]:
    """The test a LIKE (ILIKE) pattern stands for (see ``_unfinished`` for 22025)."""
    if _ends_in_escape(pattern):
        return _unfinished(like_test(pattern[:-1] + "_%", ignore_case))
    pieces = _pieces(pattern)
    if not ignore_case:
        literals = [each for each in pieces if each]
        if not pieces:
            return lambda value: not value
        if len(pieces) == 1 and literals:
            return literals[0].__eq__
        if len(pieces) == 2 and len(literals) == 1 and None in pieces:
            text = literals[0]
            return (lambda value: value.startswith(text)) if pieces[1] is None else (lambda value: value.endswith(text))
        if len(pieces) == 3 and len(literals) == 1 and pieces[0] is None and pieces[2] is None:
            inner = literals[0]
            return lambda value: inner in value
    expression = "".join(".*" if each is None else "." if each == "" else re.escape(each) for each in pieces)
    match = re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0)).fullmatch
    return lambda value: match(value) is not None


def like_prefix(pattern: str) -> tuple[str, bool]:
    """(literal prefix, whether the pattern is that literal alone): what an index can use."""
    pieces = [] if _ends_in_escape(pattern) else _pieces(pattern)
    first = pieces[0] if pieces else ""
    return (first or ""), len(pieces) == 1 and bool(first)


def _like(value: str, pattern: str) -> bool:
    return like_test(pattern)(value)


def _ilike(value: str, pattern: str) -> bool:
    return like_test(pattern, True)(value)


fns(
    """
850 textlike(text, text) bool
858 namelike(name, text) bool
1569 like(text, text) bool
1571 like(name, text) bool
1631 bpcharlike(bpchar, text) bool
""",
    _like,
)
fns(
    """
851 textnlike(text, text) bool
859 namenlike(name, text) bool
1570 notlike(text, text) bool
1572 notlike(name, text) bool
1632 bpcharnlike(bpchar, text) bool
""",
    lambda value, pattern: not like_test(pattern)(value),
)
fns(
    """
1633 texticlike(text, text) bool
1635 nameiclike(name, text) bool
1660 bpchariclike(bpchar, text) bool
""",
    _ilike,
)
fns(
    """
1634 texticnlike(text, text) bool
1636 nameicnlike(name, text) bool
1661 bpcharicnlike(bpchar, text) bool
""",
    lambda value, pattern: not like_test(pattern, True)(value),
)


def _like_escape(pattern: str, escape: str) -> str:
    """The pattern with its own escape character turned into backslash."""
    if len(escape) > 1:
        raise InvalidEscapeSequence("invalid escape string", hint="Escape string must be empty or one character.")
    if escape == "\\":
        return pattern
    out: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if escape and sign == escape:
            at += 1
            if at == len(pattern):
                raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
            out.append("\\" + pattern[at])
        else:
            out.append("\\\\" if sign == "\\" else sign)
        at += 1
    return "".join(out)


fns(
    """
1637 like_escape(text, text) text
""",
    _like_escape,
)


def similar_to_regex(pattern: str, escape: str | None) -> str:
    """SIMILAR TO pattern → the regular expression PostgreSQL runs for it; 22019 / 22025 for a bad escape."""
    if escape is not None and len(escape) > 1:
        raise InvalidEscapeSequence("invalid escape string", hint="Escape string must be empty or one character.")
    mark = "\\" if escape is None else escape
    out = ["^(?:"]
    separators, in_class, at = 0, False, 0
    while at < len(pattern):
        sign = pattern[at]
        if mark and sign == mark:
            at += 1
            following = pattern[at : at + 1]
            if following == '"' and not in_class:
                if separators == 0:
                    out.append("){1,1}?(")
                elif separators == 1:
                    out.append("){1,1}(?:")
                else:
                    raise InvalidEscapeCharacter(
                        "SQL regular expression may not contain more than two escape-double-quote separators"
                    )
                separators += 1
            else:
                out.append("\\" + following)
        elif in_class:
            out.append("\\\\" if sign == "\\" else sign)
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
            out.append(sign)
        elif sign == "%":
            out.append(".*")
        elif sign == "_":
            out.append(".")
        elif sign == "(":
            out.append("(?:")
        else:
            out.append("\\" + sign if sign in "\\.^$" else sign)
        at += 1
    out.append(")$")
    return "".join(out)


fns(
    """
1623 similar_escape(text, text) text nullable
""",
    lambda pattern, escape: None if pattern is None else similar_to_regex(pattern, escape),
)
fn(1986, "similar_to_escape(text, text) text", similar_to_regex)
fn(1987, "similar_to_escape(text) text", lambda pattern: similar_to_regex(pattern, None))
