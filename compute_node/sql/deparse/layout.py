"""Lines and indentation of a query's text.

Text is put together from the inside outwards, so that what stands before a line break is not known when the break is
written: ``BREAK`` stands for "no spaces before this, then a new line" until ``finished`` (no SQL text has the
character).
"""

from __future__ import annotations

import re

BREAK = "\0"
STANDARD = 8
"""how far a clause is indented: its keyword ends there"""
JOINED = 4
ITEM = 4
_LIMIT = 40
_BREAKS = re.compile(f" *{BREAK}")


class Layout:
    """Where lines begin. Without ``lines`` everything is on one. ``wrap``: how long a line of targets or FROM items may
    be, 0: one each."""

    def __init__(self, lines: bool = False, wrap: int = 0) -> None:
        self.lines = lines
        self.wrap = wrap
        self.level = 0

    def keyword(self, text: str, before: int = 0, after: int = 0, plus: int = 0) -> str:
        """The keyword, on a line of its own: the level changes by ``before`` and ``after``, and the line is indented
        ``plus`` further."""
        if not self.lines:
            return text
        self.level += before
        if self.level < _LIMIT:
            amount = max(self.level, 0) + plus
        else:
            # Deep nesting would leave no room.
            amount = (_LIMIT + (self.level - _LIMIT) // (STANDARD // 2)) % _LIMIT + plus
        self.level = max(self.level + after, 0)
        return BREAK + " " * amount + text

    def clause(self, text: str, plus: int = 0) -> str:
        """The keyword of a clause of the current query."""
        return self.keyword(text, -STANDARD, STANDARD, plus)

    def space(self) -> str:
        """A space between what would else be on two lines."""
        return "" if self.lines else " "

    def wrapped(self, line: str, item: str, plus: int, *, always: bool = False) -> str:
        """What comes between a comma and the next item: ``line`` is the text up to there, ``always``: the last item
        had several lines."""
        if not self.lines or self.wrap < 0 or item.startswith(BREAK):
            return ""
        if always or len(line) - line.rfind(BREAK) - 1 + len(item) > self.wrap:
            return self.clause("", plus)
        return ""


def finished(text: str) -> str:
    """The text with its line breaks."""
    return _BREAKS.sub("\n", text)
