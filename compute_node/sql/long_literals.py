"""Long string literals are taken out of a text before it is parsed, and put back into its tree.

The parser's Python side looks at every character of its text, and would hold up everybody else for a literal of
megabytes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pglast import ast

CUT_CHARS: Final = 64 << 10

_TOKEN = re.compile(r"""'|"|--|/\*|\$(?:[A-Za-z_\x80-\U0010ffff][\w]*)?\$""")
_COMMENT = re.compile(r"/\*|\*/")
_MARK = "\x01long literal %d\x01"


class Cut(NamedTuple):
    """A text without its long literals. ``places``: where each mark is in ``text``, ``removed``: how many characters
    fewer there are behind it, ``literals``: by mark."""

    text: str
    places: list[int]
    removed: list[int]
    literals: dict[str, str]


def _string_end(source: str, at: int) -> int:
    """The offset after the quote that ends the string whose first character is at ``at``; -1 without one."""
    while True:
        end = source.find("'", at)
        if end < 0:
            return -1
        if source[end + 1 : end + 2] != "'":
            return end + 1
        at = end + 2


def _skip(source: str, token: re.Match[str]) -> int:
    """Where a quoted identifier, comment or dollar-quoted string ends; -1 when it does not."""
    sign = token[0]
    if sign == "--":
        return source.find("\n", token.end())
    if sign == "/*":
        depth, at = 1, token.end()
        while depth:
            found = _COMMENT.search(source, at)
            if found is None:
                return -1
            depth += 1 if found[0] == "/*" else -1
            at = found.end()
        return at
    end = source.find(sign, token.end())
    return -1 if end < 0 else end + len(sign)


def _plain(source: str, quote: int) -> bool:
    """Whether the string at ``quote`` has no prefix that gives its text another meaning."""
    before = source[max(quote - 2, 0) : quote]
    return not (before[-1:].isalnum() or before[-1:] in ("_", "&", "$"))


def cut(source: str) -> Cut | None:
    """The text with marks for its long literals; None when it has none, or is lexed in a way that this is not sure
    about."""
    parts: list[str] = []
    places: list[int] = []
    removed: list[int] = []
    literals: dict[str, str] = {}
    at = done = length = 0
    while (token := _TOKEN.search(source, at)) is not None:
        start = token.start()
        if token[0] != "'":
            at = _skip(source, token)
            if at < 0:
                break
            continue
        end = _string_end(source, token.end())
        if end < 0 or not _plain(source, start):
            return None
        if end - start > CUT_CHARS:
            if source[end : end + 1000].lstrip()[:1] == "'":
                return None
            mark = _MARK % len(literals)
            literals[mark] = source[start + 1 : end - 1].replace("''", "'")
            parts += [source[done:start], f"'{mark}'"]
            length += start - done
            places.append(length)
            length += len(mark) + 2
            removed.append((removed[-1] if removed else 0) + end - start - len(mark) - 2)
            done = end
        at = end
    if not literals:
        return None
    parts.append(source[done:])
    return Cut("".join(parts), places, removed, literals)


def moved(cut: Cut, location: int) -> int:
    """An offset of the cut text in the original."""
    before = bisect_right(cut.places, location - 1)
    return location + (cut.removed[before - 1] if before else 0)


def _nodes(value: object, slots: Callable[[type], tuple[str, ...]]) -> Iterator[ast.Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _nodes(item, slots)
    elif isinstance(value, ast.Node):
        yield value
        for name in slots(type(value)):
            yield from _nodes(getattr(value, name), slots)


def restore(cut: Cut, statements: Sequence[ast.RawStmt], slots: Callable[[type], tuple[str, ...]]) -> None:
    """Put the literals back, and make all offsets those of the original text."""
    for statement in statements:
        start = statement.stmt_location or 0
        if statement.stmt_len:
            end = moved(cut, start + statement.stmt_len)
            statement.stmt_len = end - moved(cut, start)
        statement.stmt_location = moved(cut, start)
        for node in _nodes(statement.stmt, slots):
            if isinstance(node, ast.String):
                found = cut.literals.get(node.sval)
                if found is not None:
                    node.sval = found
            location = getattr(node, "location", None)
            if location is not None and location > 0:
                node.location = moved(cut, location)
