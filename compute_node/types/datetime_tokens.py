"""Text of a date or time → its pieces, cut where PostgreSQL cuts them (ParseDateTime).

What begins with a digit is a time (a colon follows), a date (``-``, ``/`` or ``.`` follows) or a number; letters are a
word, or a date or zone with punctuation in it; a sign begins a zone or a signed word. Other punctuation only separates.
"""

from __future__ import annotations

import re
from typing import Final

from compute_node.types.common import WHITESPACE

PIECES_MAX: Final = 25


class BadFormat(Exception):
    """22007."""


_WORD_LIST = (
    "ad allballs am apr april at aug august bc d dec december dow doy dst epoch feb february fri friday h infinity"
    " isodow isoyear j jan january jd jul julian july jun june m mar march may mm mon monday nov november now oct"
    " october on pm s sat saturday sep sept september sun sunday t thu thur thurs thursday today tomorrow tue tues"
    " tuesday wed wednesday weds y yesterday"
)
_WORDS: Final = frozenset(_WORD_LIST.split())
"""A digit or plus sign right after one of these begins a new piece."""
_PIECE = re.compile(
    rf"""[{WHITESPACE}]*(?:
        (?P<time>\d+:[\d:.]*)
      | (?P<date>\d+(?P<d1>[-/])\d+(?:(?P=d1)(?:\d|(?P=d1))*)? | \d+\.\d+\.[\d.]*
                | \d+(?P<d2>[-/.])(?!\d)(?:[A-Za-z0-9]|(?P=d2))*)
      | (?P<number>\d+\.\d+ | \d+ | \.\d*)
      | (?P<string>[A-Za-z]+)
      | (?P<zone>[+-][{WHITESPACE}]*\d[\d:.-]*)
      | (?P<special>[+-][{WHITESPACE}]*[A-Za-z]+)
      | (?P<skip>[!-*,/:-@[-`{{-~])
    )""",
    re.VERBOSE | re.ASCII,
)
_REST = re.compile(r"[-+/_.:A-Za-z0-9]+")
_KINDS: Final = ("time", "date", "number", "string", "zone", "special", "skip")


def pieces(text: str) -> list[tuple[str, str]]:
    """(kind, text in lower case) of each piece; BadFormat for what can be none."""
    out: list[tuple[str, str]] = []
    stripped = text.rstrip(WHITESPACE)
    at = 0
    while at < len(stripped):
        match = _PIECE.match(stripped, at)
        if match is None or len(out) >= PIECES_MAX:
            raise BadFormat
        at = match.end()
        kind = next(name for name in _KINDS if match[name] is not None)
        if kind == "skip":
            continue
        piece = match[kind].lower()
        if kind == "string":
            following = stripped[at : at + 1]
            glued = following in ("+", *"0123456789") and following and piece not in _WORDS
            if (following in ("-", "/", ".") and following) or glued:
                rest = _REST.match(stripped, at)
                if rest is not None:
                    kind, piece, at = "date", piece + rest[0].lower(), rest.end()
        elif kind in ("zone", "special"):
            piece = piece[0] + piece[1:].lstrip(WHITESPACE)
        out.append((kind, piece))
    return out
