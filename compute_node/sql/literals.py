"""String literals under other settings than the usual ones: a text → the same text in standard literals.

The parser reads `'…'` as the standard does. With `standard_conforming_strings` off PostgreSQL reads it as `E'…'`; then
each such literal that has a backslash is replaced by a standard one of the same value, with spaces after it, so that
every other character stays where it is. Nothing here runs while the settings are the usual ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aurora.errors import NonstandardUseOfEscapeCharacter, NotSupported, SqlError
from compute_node.sql.parse import parse

_TOKEN = re.compile(
    r"""--[^\n\r]*|(?P<comment>/\*)|"(?:[^"]|"")*"|(?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)"""
    r"""|(?P<string>(?:[eEbBxX]|[uU]&)?')|[A-Za-z_\x80-\U0010ffff](?:[\w$\x80-\U0010ffff])*|[0-9][\w$.]*""",
)
_COMMENT = re.compile(r"/\*|\*/")
_MORE = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:\s|--[^\n\r]*[\n\r])*'")
"""What lies between two parts of one literal"""
_PLAIN = re.compile(r"(?:[^']|'')*'")
_ESCAPED = re.compile(r"(?:[^'\\]|''|\\.)*'", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNICODE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})")
_BEFORE = "SELECT E"
_WARNINGS = {
    "'": ("\\'", "Use '' to write quotes in strings, or use the escape string syntax (E'...')."),
    "\\": ("\\\\", "Use the escape string syntax for backslashes, e.g., E'\\\\'."),
}
_OTHER_WARNING = ("escape", "Use the escape string syntax for escapes, e.g., E'\\r\\n'.")


class LiteralRules(NamedTuple):
    """How literals are read: `standard_conforming_strings`, whether `\\'` may stand for a quote (`backslash_quote`),
    `escape_string_warning`."""

    standard: bool
    quotes_allowed: bool
    warns: bool


class _Part(NamedTuple):
    """One part of a literal: where its quotes are, and where its prefix."""

    start: int
    end: int
    prefix: int
    kind: str


def _end_of_comment(source: str, start: int) -> int:
    depth = 0
    for match in _COMMENT.finditer(source, start):
        depth += 1 if match[0] == "/*" else -1
        if not depth:
            return match.end()
    return len(source)


def _parts(source: str, rules: LiteralRules) -> Iterator[_Part]:
    at = 0
    while (match := _TOKEN.search(source, at)) is not None:
        at = match.end()
        if match["comment"]:
            at = _end_of_comment(source, match.start())
        elif match["dollar"]:
            end = source.find(match[0], at)
            at = len(source) if end < 0 else end + len(match[0])
        elif match["string"]:
            kind = match[0][:-1].upper()
            escapes = kind == "E" or (not kind and not rules.standard)
            more: re.Match[str] | None = match
            while more is not None:
                start = more.end() - 1
                found = (_ESCAPED if escapes else _PLAIN).match(source, start + 1)
                if found is None:
                    if escapes:
                        yield _Part(start, len(source), match.start(), kind)
                    return
                at = found.end()
                yield _Part(start, at, match.start(), kind)
                more = _MORE.match(source, at)


def rewritten(source: str, rules: LiteralRules, warn: Callable[[SqlError], None]) -> str:
    """The text in standard literals. 0A000 for `U&'…'` while literals are not standard, 22P06 for `\\'` where it may
    not be, 22021, 22025, 42601 for what an escape stands for; warnings 22P06."""
    pieces: list[str] = []
    copied = 0
    warned = -1
    for part in _parts(source, rules):
        text = source[part.start : part.end]
        if part.kind == "U&" and not rules.standard:
            raise NotSupported(
                "unsafe use of string constant with Unicode escapes",
                detail="String constants with Unicode escapes cannot be used when standard_conforming_strings is off.",
                position=part.prefix + 1,
            )
        if part.kind not in ("", "E") or (rules.standard and not part.kind) or "\\" not in text:
            continue
        for escape in _ESCAPE.finditer(text):
            if escape[1] == "'" and not rules.quotes_allowed:
                raise NonstandardUseOfEscapeCharacter(
                    "unsafe use of \\' in a string literal",
                    hint="Use '' to write quotes in strings. \\' is insecure in client-only encodings.",
                    position=part.prefix + 1,
                )
            broken = escape[1] in "uU" and _UNICODE.match(text, escape.start()) is None
            if rules.warns and not part.kind and warned != part.prefix and not broken:
                warned = part.prefix
                what, hint = _WARNINGS.get(escape[1], _OTHER_WARNING)
                message = f"nonstandard use of {what} in a string literal"
                warn(NonstandardUseOfEscapeCharacter(message, hint=hint, position=part.prefix + 1))
        if not part.kind:
            standard = "'" + _value(text, part.start).replace("'", "''") + "'"
            pieces += (source[copied : part.start], standard.ljust(len(text)))
            copied = part.end
    return source if not pieces else "".join(pieces) + source[copied:]


def _value(text: str, start: int) -> str:
    """What a literal with escapes stands for."""
    try:
        constant: Any = parse(_BEFORE + text)[0].node
    except SqlError as error:
        if error.position is not None:
            error.position = max(error.position - len(_BEFORE), 1) + start
            error.message = error.message.replace(f'near "E{text}', f'near "{text}')
        raise
    value: str = constant.targetList[0].val.val.sval
    return value
