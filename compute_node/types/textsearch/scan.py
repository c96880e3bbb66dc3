"""The lexemes of tsvector's and tsquery's text form: words, quoted strings, escapes, and a tsvector's positions."""

from __future__ import annotations

from typing import Final, NamedTuple

from aurora.errors import SqlError, SqlSyntaxError
from compute_node.hub import HUB
from compute_node.types.common import WHITESPACE

POSITION_MAX: Final = 16383
"""Positions beyond count as this one."""
LEXEME_BYTES_MAX: Final = 2046
_OPERATORS: Final = frozenset("!&|()<")
_WEIGHTS: Final = {"a": 3, "A": 3, "*": 3, "b": 2, "B": 2, "c": 1, "C": 1, "d": 0, "D": 0}
_PULSE_STEPS: Final = 4096


class Scanned(NamedTuple):
    """A lexeme and its positions, each with its weight in bits 14 and 15."""

    lexeme: str
    positions: list[int]


class Scanner:
    """``take`` reads the lexeme at ``at``. 42601 for what is none.

    In a tsquery an operator or a colon ends a lexeme; in a tsvector positions may follow a colon.
    """

    def __init__(self, text: str, is_query: bool) -> None:
        self.text, self.at, self.is_query = text, 0, is_query
        self.steps = 0

    def wrong(self) -> SqlError:
        """42601"""
        return SqlSyntaxError(f'syntax error in {"tsquery" if self.is_query else "tsvector"}: "{self.text}"')

    def take(self) -> Scanned | None:
        """The next lexeme; None at the end."""
        text = self.text
        self.steps += 1
        if not self.steps % _PULSE_STEPS:
            HUB.pulse()
        while self.at < len(text) and text[self.at] in WHITESPACE:
            self.at += 1
        if self.at >= len(text):
            return None
        char = text[self.at]
        if char == "'":
            self.at += 1
            return self._quoted()
        if self.is_query and char in _OPERATORS:
            raise self.wrong()
        return self._word()

    def _escaped(self) -> str:
        self.at += 1
        if self.at >= len(self.text):
            raise SqlSyntaxError(f'there is no escaped character: "{self.text}"')
        self.at += 1
        return self.text[self.at - 1]

    def _word(self) -> Scanned:
        text = self.text
        out: list[str] = []
        while self.at < len(text):
            char = text[self.at]
            if char == "\\":
                out.append(self._escaped())
                continue
            if char in WHITESPACE or (char == ":" and out) or (self.is_query and char in _OPERATORS):
                break
            out.append(char)
            self.at += 1
        if not out:
            raise self.wrong()
        return self._scanned(out)

    def _quoted(self) -> Scanned:
        text = self.text
        out: list[str] = []
        while True:
            if self.at >= len(text):
                raise self.wrong()
            char = text[self.at]
            if char == "\\":
                out.append(self._escaped())
            elif char != "'":
                out.append(char)
                self.at += 1
            elif text.startswith("''", self.at):
                out.append("'")
                self.at += 2
            else:
                self.at += 1
                break
        if not out:
            raise self.wrong()
        return self._scanned(out)

    def _scanned(self, out: list[str]) -> Scanned:
        has_positions = not self.is_query and self.at < len(self.text) and self.text[self.at] == ":"
        return Scanned("".join(out), self._positions() if has_positions else [])

    def _positions(self) -> list[int]:
        """``:1,2A,3``"""
        text = self.text
        out: list[int] = []
        while True:
            self.at += 1
            begin = self.at
            while self.at < len(text) and "0" <= text[self.at] <= "9":
                self.at += 1
            if begin == self.at:
                raise self.wrong()
            position = min(int(text[begin : self.at][-300:]), POSITION_MAX)
            if not position:
                raise SqlSyntaxError(f'wrong position info in tsvector: "{self.text}"')
            weight = self._weight()
            out.append(weight << 14 | position)
            if self.at >= len(text) or text[self.at] in WHITESPACE:
                return out

    def _weight(self) -> int:
        """The letters behind a position, up to a comma, a blank or the end; at most one above D."""
        weight = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "," or char in WHITESPACE:
                break
            if char in _WEIGHTS:
                if weight:
                    raise self.wrong()
                weight = _WEIGHTS[char]
            elif not "0" <= char <= "9":
                raise self.wrong()
            self.at += 1
        return weight
