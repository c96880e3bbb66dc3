"""Templates → nodes. A node is a pattern (``YYYY``, ``FMDay``, ``DDth``), a separator, a space or another character.

At each place the longest pattern does not win: the tables stand in PostgreSQL's order, and the first that fits does.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from aurora.errors import InvalidDatetimeFormat, InvalidTextRepresentation
from compute_node.types.common import WHITESPACE
from compute_node.types.long_text import paced


class Kind(Enum):
    """What a node is."""

    PATTERN = 1
    CHARACTER = 2
    SEPARATOR = 3
    SPACE = 4


class Pattern(NamedTuple):
    """One keyword, as it is spelled."""

    name: str
    is_digit: bool = False
    """reads and writes digits: a number before it has a fixed width"""
    mode: str = ""
    """``g`` belongs to the Gregorian calendar, ``i`` to ISO weeks"""


class Node(NamedTuple):
    """One piece of a template."""

    kind: Kind
    text: str
    pattern: Pattern | None = None
    fill: bool = False
    """FM"""
    localized: bool = False
    """TM"""
    ordinal: str = ""
    """``TH``, ``th`` or nothing"""


_STANDARD_SEPARATORS: Final = "-./,':; "
CACHED_LENGTH_MAX: Final = 256
"""Longer templates are parsed at each use."""
_Parsed = TypeVar("_Parsed")


def is_separator(char: str) -> bool:
    """Printable ASCII that is neither letter nor digit nor space."""
    return "\x20" < char < "\x7f" and not char.isalnum()


class Patterns:
    """A table of patterns, by their first character."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self._by_first: dict[str, list[Pattern]] = {}
        for pattern in patterns:
            self._by_first.setdefault(pattern.name[0], []).append(pattern)

    def at(self, text: str, place: int) -> Pattern | None:
        """The first pattern of the table that stands at ``place``."""
        for pattern in self._by_first.get(text[place], ()):
            if text.startswith(pattern.name, place):
                return pattern
        return None


def nodes(text: str, patterns: Patterns, dated: bool = False, standard: bool = False) -> list[Node]:
    """The pieces of a template. ``dated``: prefixes, suffixes and separators count. ``standard``: only the separators
    of the SQL standard may stand between patterns (22007)."""
    reader = _Reader(text, patterns, dated, standard)
    for _ in paced(iter(lambda: reader.place < len(text) and reader.step(), False)):
        pass
    return reader.found


class _Reader:
    def __init__(self, text: str, patterns: Patterns, dated: bool, standard: bool) -> None:
        self.text, self.patterns, self.dated, self.standard = text, patterns, dated, standard
        self.place = 0
        self.found: list[Node] = []

    def step(self) -> bool:
        """Read one piece."""
        text = self.text
        prefix = text[self.place : self.place + 2] if self.dated else ""
        fill, localized = prefix in ("FM", "fm"), prefix in ("TM", "tm")
        if fill or localized:
            self.place += 2
        if self.place >= len(text):
            return True
        pattern = self.patterns.at(text, self.place)
        if pattern is None:
            self.other()
            return True
        self.place += len(pattern.name)
        ordinal = text[self.place : self.place + 2] if self.dated else ""
        if ordinal in ("TH", "th", "SP"):
            self.place += 2
        ordinal = ordinal if ordinal in ("TH", "th") else ""
        self.found.append(Node(Kind.PATTERN, pattern.name, pattern, fill, localized, ordinal))
        return True

    def other(self) -> None:
        """A character that begins no pattern, or a quoted text."""
        text, char = self.text, self.text[self.place]
        if char == '"':
            self.quoted()
            return
        if self.standard:
            if char not in _STANDARD_SEPARATORS:
                raise InvalidDatetimeFormat(f'invalid datetime format separator: "{char}"')
            self.found.append(Node(Kind.SPACE if char == " " else Kind.SEPARATOR, char))
            self.place += 1
            return
        if char == "\\" and text.startswith('"', self.place + 1):
            self.place += 1
            char = '"'
        kind = (
            Kind.SEPARATOR
            if self.dated and is_separator(char)
            else Kind.SPACE
            if char in WHITESPACE
            else Kind.CHARACTER
        )
        self.found.append(Node(kind, char))
        self.place += 1

    def quoted(self) -> None:
        text = self.text
        self.place += 1
        for _ in paced(iter(lambda: self.place < len(text), False)):
            char = text[self.place]
            if char == '"':
                self.place += 1
                return
            if char == "\\" and self.place + 1 < len(text):
                self.place += 1
                char = text[self.place]
            self.found.append(Node(Kind.CHARACTER, char))
            self.place += 1


def cached(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """``parse`` with a memory of the short templates that it saw last."""
    remembered = lru_cache(maxsize=512)(parse)

    def look(text: str) -> _Parsed:
        return remembered(text) if len(text) <= CACHED_LENGTH_MAX else parse(text)

    return look


def ordinal(number: str, style: str) -> str:
    """The English ending of a number: st, nd, rd, th, in the case of ``style``."""
    last = number[-1:]
    if not last.isdigit():
        raise InvalidTextRepresentation(f'"{number}" is not a number')
    ending = "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(last, "th")
    return ending.upper() if style == "TH" else ending
