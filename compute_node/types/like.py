"""LIKE and ILIKE (manual, 9.7.1).

A pattern becomes a compiled test once (cached); simple ones become comparisons, prefixes, suffixes or containment, and
the others take one pass over the value: no pattern takes more than linear time. ILIKE compares both sides in lower
case.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from aurora.errors import InvalidEscapeSequence
from aurora.kernels import regex as kernel
from aurora.kernels.python import regex
from compute_node.hub import HUB
from compute_node.types.ctype import MAX_CODE, lower
from compute_node.types.declare import fns, operators
from compute_node.types.regex.automaton import Assembler, Palette
from compute_node.types.regex.parse import Ast

AT_ONCE_MAX = 1 << 20
"""Characters that may be searched without a pulse."""


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
    if ignore_case:
        test = like_test(lower(pattern))
        return lambda value: test(lower(value))
    if _ends_in_escape(pattern):
        return _unfinished(like_test(pattern[:-1] + "_%"))
    pieces = _pieces(pattern)
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
    automaton = _automaton(tuple(pieces))
    if "" in pieces:
        return automaton
    ordered = _in_order(pieces, literals)
    return lambda value: ordered(value) if len(value) <= AT_ONCE_MAX else automaton(value)


def _in_order(pieces: list[str | None], literals: list[str]) -> Callable[[str], bool]:
    """Literals and ``%`` alone: each literal is taken at its first place after the one before."""
    first = literals.pop(0) if pieces[0] is not None else ""
    last = literals.pop() if literals and pieces[-1] is not None else ""

    def test(value: str) -> bool:
        if not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for literal in literals:
            at = value.find(literal, at, end)
            if at < 0:
                return False
            at += len(literal)
        return at <= end

    return test


def _automaton(pieces: tuple[str | None, ...]) -> Callable[[str], bool]:
    """Any pattern, in one pass over the value that pulses."""
    anything: Ast = ("set", ((0, MAX_CODE),))
    parts: list[Ast] = []
    for piece in pieces:
        if piece is None:
            parts.append(("rep", anything, 0, None))
        elif piece == "":
            parts.append(anything)
        else:
            parts += [("set", ((ord(sign), ord(sign)),)) for sign in piece]
    ast: Ast = ("cat", tuple(parts))
    made: list[regex.Dfa] = []

    def test(value: str) -> bool:
        if not made:
            palette = Palette([ast])
            assembler = Assembler(palette)
            made.append(kernel.Dfa(assembler.nodes, assembler.add(ast, 0), palette.colors))
        end = len(value)
        return made[0].shortest(value, 0, end, end, None, HUB.pulse) == end

    return test


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


def _bytea_like(value: bytes, pattern: bytes) -> bool:
    """Byte by byte: each stands for the character of its number."""
    return like_test(pattern.decode("latin-1"))(value.decode("latin-1"))


fns(
    """
2005 bytealike(bytea, bytea) bool
2007 like(bytea, bytea) bool
""",
    _bytea_like,
)
fns(
    """
2006 byteanlike(bytea, bytea) bool
2008 notlike(bytea, bytea) bool
""",
    lambda value, pattern: not _bytea_like(value, pattern),
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
            out.append("\\" + pattern[at : at + 1])
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
fns(
    """
2009 like_escape(bytea, bytea) bytea
""",
    lambda pattern, escape: _like_escape(pattern.decode("latin-1"), escape.decode("latin-1")).encode("latin-1"),
)
operators("""
2016 bytea ~~ bytea bool 2005 negator=2017
2017 bytea !~~ bytea bool 2006 negator=2016
""")
