"""Patterns → the trigrams that a text must have to match: LIKE's, and regular expressions' (manual, F.33.4).

A character stands for a symbol: itself in lower case if it belongs to words, else a blank. Edges of a text or a word
are blanks, too. What is known of a text is a run of symbols; each three of them without a blank between letters are one
of its trigrams. A search gives at least what matches: where nothing is known it asks nothing.

::

    LIKE ─► literal runs ─────────────────────────┬─► trigrams that must all be there
    regular expression ─► Ast ─► Facts, joined ───┘   (one alternative or another)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache, reduce
from typing import Final, NamedTuple

from aurora.kernels.python.regex import BOL, BOS, EOL, EOS, WORD_END, WORD_START
from compute_node.access.gin.search import ALL, Item, Search, both, either
from compute_node.extensions.pg_trgm.trigrams import compact
from compute_node.types import ctype
from compute_node.types.ctype import Ranges
from compute_node.types.regex import compile_regex
from compute_node.types.regex.parse import Ast
from compute_node.types.regex.syntax import ADVANCED, ICASE

BLANK: Final = " "
_ALNUM: Final = ctype.char_class("alnum") or ()
_SYMBOLS_MAX: Final = 8
"""A set of more characters says nothing."""
_RUNS_MAX: Final = 16
"""So many runs are kept of what an expression matches, or of how that begins or ends."""
_RUN_MAX: Final = 48
"""Symbols of a run that may still grow"""
_JOINS_MAX: Final = 64
_COPIES_MAX: Final = 3
"""So many repetitions in a row are looked at."""
_EDGE: Final = 2
"""Symbols before or behind which a trigram may go on"""
_EDGES: Final = frozenset({BOL, BOS, EOL, EOS, WORD_START, WORD_END})
"""Conditions that hold beside what is no part of a word, or at an end of the text"""


def trigrams_of(run: str) -> Iterator[bytes]:
    """The trigrams of a text in which these symbols follow each other."""
    words = run.split(BLANK)
    for at, word in enumerate(words):
        if word:
            padded = (2 * BLANK if at else "") + word + (BLANK if at < len(words) - 1 else "")
            yield from (compact(padded[place : place + 3]) for place in range(len(padded) - 2))


def needed(runs: Iterable[str]) -> Search:
    """Texts that have one of the runs; nothing without runs."""
    return either([both([Item(each) for each in trigrams_of(run)]) for run in runs])


# LIKE


@lru_cache(maxsize=1 << 8)
def like_search(pattern: str) -> Search:
    """What LIKE and ILIKE ask: all trigrams of the literal runs between wildcards."""
    run: list[str] = [BLANK]
    runs: list[str] = []
    escaped = False
    for sign in pattern:
        if not escaped and sign == "\\":
            escaped = True
            continue
        if not escaped and sign in "%_":
            runs.append("".join(run))
            run = []
        else:
            run.append(_symbols(((ord(sign), ord(sign)),))[0])
        escaped = False
    # An escape at the end is an error where matching gets there.
    runs.append("".join(run if escaped else [*run, BLANK]))
    return both([needed([each]) for each in runs])


# Regular expressions


class Facts(NamedTuple):
    """What is known of what an expression matches. ``exact``: all runs that it can be, None: not known; else how it
    begins and ends (an empty run: not known), and what texts with a match must have."""

    exact: frozenset[str] | None
    beginnings: frozenset[str]
    ends: frozenset[str]
    search: Search


_UNKNOWN_RUN: Final = frozenset({""})
_UNKNOWN: Final = Facts(None, _UNKNOWN_RUN, _UNKNOWN_RUN, ALL)


@lru_cache(maxsize=1 << 8)
def regex_search(pattern: str, ignore_case: bool) -> Search:
    """What a regular expression asks. Errors: 2201B."""
    regex = compile_regex(pattern, ADVANCED | ICASE if ignore_case else ADVANCED)
    return _inexact(_facts(regex.piece.ast)).search


def _exact(runs: frozenset[str]) -> Facts:
    return Facts(runs, runs, runs, ALL)


_NOTHING_READ: Final = _exact(_UNKNOWN_RUN)


def _facts(ast: Ast) -> Facts:
    match ast:
        case ("set", ranges):
            symbols = _symbols(ranges)
            return _exact(frozenset(symbols)) if len(symbols) <= _SYMBOLS_MAX else _UNKNOWN
        case ("cat", kids):
            return reduce(_joined, map(_facts, kids), _NOTHING_READ)
        case ("alt", kids):
            return reduce(_either, map(_facts, kids))
        case ("rep", kid, least, most):
            return _repeated(_facts(kid), least, most)
        case ("cond", what) if what in _EDGES:
            return _exact(frozenset({BLANK}))
        case _:
            # Other conditions leave out matches, and add none.
            return _NOTHING_READ


def _symbols(ranges: Ranges) -> list[str]:
    """What characters of these ranges stand for; more than ``_SYMBOLS_MAX`` of them may be left out."""
    found: dict[str, None] = {}
    letters = 0
    for low, high in _common(ranges, _ALNUM):
        letters += high - low + 1
        for code in range(low, min(high, low + 2 * _SYMBOLS_MAX) + 1):
            found[ctype.lower(chr(code))] = None
        if len(found) > _SYMBOLS_MAX:
            return list(found)
    if letters < sum(high - low + 1 for low, high in ranges):
        found[BLANK] = None
    return list(found)


def _common(one: Ranges, other: Ranges) -> Iterator[tuple[int, int]]:
    """The ranges of what is in both."""
    at = 0
    for low, high in one:
        while at < len(other) and other[at][1] < low:
            at += 1
        place = at
        while place < len(other) and other[place][0] <= high:
            yield max(low, other[place][0]), min(high, other[place][1])
            place += 1


def _join(one: str, other: str) -> str:
    """A run behind a run; blanks are one."""
    return one + other.lstrip(BLANK) if one.endswith(BLANK) and other.startswith(BLANK) else one + other


def _joins(ones: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    return frozenset(_join(one, other) for one in ones for other in others)


def _few(runs: Iterable[str]) -> frozenset[str]:
    found = frozenset(runs)
    return found if len(found) <= _RUNS_MAX else _UNKNOWN_RUN


def _beginnings(runs: frozenset[str]) -> frozenset[str]:
    return _few(run[:_EDGE] for run in runs)


def _ends(runs: frozenset[str]) -> frozenset[str]:
    return _few(run[-_EDGE:] for run in runs)


def _inexact(facts: Facts) -> Facts:
    """The same with the trigrams of exact runs in the search."""
    if facts.exact is None:
        return facts
    return Facts(None, _beginnings(facts.exact), _ends(facts.exact), needed(facts.exact))


def _joined(one: Facts, other: Facts) -> Facts:
    """One behind the other."""
    if one.exact is not None and other.exact is not None:
        runs = _joins(one.exact, other.exact) if len(one.exact) * len(other.exact) <= _JOINS_MAX else None
        if runs is not None and len(runs) <= _RUNS_MAX and max(map(len, runs), default=0) <= _RUN_MAX:
            return _exact(runs)
        one = _inexact(one)
    beginnings, ends = one.beginnings, other.ends
    middle = needed(_joins(one.ends, other.beginnings)) if _is_small(one.ends, other.beginnings) else ALL
    if one.exact is not None:
        beginnings = _beginnings(_joins(one.exact, other.beginnings))
        middle = both([middle, needed(one.exact)])
    if other.exact is not None:
        ends = _ends(_joins(one.ends, other.exact))
        middle = both([middle, needed(other.exact)])
    return Facts(None, beginnings, ends, both([one.search, middle, other.search]))


def _is_small(ones: frozenset[str], others: frozenset[str]) -> bool:
    return len(ones) * len(others) <= _JOINS_MAX


def _either(one: Facts, other: Facts) -> Facts:
    """The one or the other."""
    if one.exact is not None and other.exact is not None and len(one.exact | other.exact) <= _RUNS_MAX:
        return _exact(one.exact | other.exact)
    one, other = _inexact(one), _inexact(other)
    return Facts(
        None,
        _few(one.beginnings | other.beginnings),
        _few(one.ends | other.ends),
        either([one.search, other.search]),
    )


def _repeated(facts: Facts, least: int, most: int | None) -> Facts:
    """So many times."""
    if not least:
        return _either(facts, _NOTHING_READ) if most == 1 else _UNKNOWN
    found = reduce(_joined, [facts] * min(least, _COPIES_MAX))
    return found if least == most and least <= _COPIES_MAX else _inexact(found)
