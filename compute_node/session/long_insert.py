"""A long ``INSERT INTO t VALUES (literals), …`` is run in pieces, each a short text that finds its plan by lifting.

::

    insert into t (a, b) values  (1, 'x'), (2, 'y'), …, (9, 'z')
    └────────── head ──────────┘└─ piece: ≤ PIECE_CHARS ─┘…

A text of a hundred megabytes would make a parse tree of gigabytes; in pieces it takes little more memory than the text,
and all but the first piece find their plan in the cache. Only rows of plain literals are taken, all of one length, and
nothing may follow them: RETURNING and ON CONFLICT see the statement as a whole, so such texts, and all that look at
all unusual, go the general way. The pieces run in one transaction, and their rows count together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from compute_node.hub import HUB

LONG_BYTES: Final = 64 << 10
PIECE_CHARS: Final = 8000
PIECE_LITERALS: Final = 240
"""Both are below what the lifter takes."""

_NAME = r'(?:[A-Za-z_][\w$]*|"[^"]+")'
_HEAD = re.compile(
    rf"\s*insert\s+into\s+{_NAME}(?:\s*\.\s*{_NAME})?\s*(?:\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\)\s*)?values\s*(?=\()",
    re.IGNORECASE | re.ASCII,
)
_LITERAL = (
    r"\s*(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|'[^']*(?:''[^']*)*'|null|true|false|default)\s*"
)
_ROW = re.compile(rf"\({_LITERAL}(?:,{_LITERAL})*\)\s*", re.IGNORECASE | re.ASCII)
_ONE = re.compile(_LITERAL, re.IGNORECASE | re.ASCII)


class LongInsert:
    """``bounds``: where each piece's rows begin and end in ``text``."""

    __slots__ = ("bounds", "head", "text")

    def __init__(self, text: str, head: str, bounds: list[tuple[int, int]]) -> None:
        self.text, self.head, self.bounds = text, head, bounds

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """Each piece's text, and how many characters further on its rows are in the whole text."""
        for start, end in self.bounds:
            yield (self.head + self.text[start:end]).encode(), start - len(self.head)


def long_insert(text: str) -> LongInsert | None:
    """The pieces of a text, or None when it is no such INSERT. Looks at every row first, so nothing has run when it is
    not."""
    found = _HEAD.match(text)
    if found is None:
        return None
    head = found[0]
    row = _ROW.match(text, len(head))
    if row is None:
        return None
    width = _width(text, row)
    pattern = re.compile(rf"\({_LITERAL}(?:,{_LITERAL}){{{width - 1}}}\)\s*", re.IGNORECASE | re.ASCII)
    rows_max = max(1, PIECE_LITERALS // width)
    bounds: list[tuple[int, int]] = []
    at = start = len(head)
    count = 0
    end = len(text.rstrip("; \t\n\r\f\v"))
    while True:
        row = pattern.match(text, at)
        if row is None:
            return None
        count += 1
        after = row.end()
        last = after >= end
        if last or count == rows_max or after - start > PIECE_CHARS:
            bounds.append((start, after))
            start, count = after + 1, 0
            HUB.pulse()
        if last:
            return LongInsert(text, head, bounds)
        if text[after] != ",":
            return None
        at = after + 1
        while text[at : at + 1].isspace():
            at += 1
        if not count:
            start = at


def _width(text: str, row: re.Match[str]) -> int:
    """How many literals the first row has."""
    at, width = row.start() + 1, 0
    while (one := _ONE.match(text, at)) is not None:
        width += 1
        at = one.end() + 1
        if text[one.end()] == ")":
            break
    return width
