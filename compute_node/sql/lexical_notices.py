"""What PostgreSQL's lexer and grammar say of a text that they accept: text → notices (severity and what it says).

A pattern that nearly never fits comes first; only then the tokens are looked at.
"""

from __future__ import annotations

import re

from pglast.parser import ParseError, scan

from aurora.errors import NameTooLong, SqlError, Warning_

NAME_BYTES = 63
_MAYBE = re.compile(
    r"""[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]{63}|"[^"]{64}|[^\0-\x7f][\w$\x80-\U0010ffff]{15}|"""
    r""""[^"]*[^\0-\x7f][^"]{15}|\bglobal\s+temp""",
    re.IGNORECASE,
)


def lexical_notices(source: str) -> list[tuple[str, SqlError]]:
    """42622 for each identifier that is cut; 01000 for GLOBAL TEMPORARY."""
    if _MAYBE.search(source) is None:
        return []
    try:
        tokens = scan(source)
    except ParseError:
        return []
    found: list[tuple[str, SqlError]] = []
    for index, token in enumerate(tokens):
        if token.name == "IDENT" and token.end - token.start >= NAME_BYTES // 4:
            name = _identifier(source[token.start : token.end + 1])
            raw = name.encode()
            if len(raw) > NAME_BYTES:
                cut = raw[:NAME_BYTES].decode(errors="ignore")
                found.append(("NOTICE", NameTooLong(f'identifier "{name}" will be truncated to "{cut}"')))
        elif token.name == "GLOBAL" and index and tokens[index - 1].name in ("CREATE", "INTO"):
            if index + 1 < len(tokens) and tokens[index + 1].name in ("TEMP", "TEMPORARY"):
                message = "GLOBAL is deprecated in temporary table creation"
                found.append(("WARNING", Warning_(message, position=token.start + 1)))
    return found


def _identifier(text: str) -> str:
    if text.startswith('"'):
        return text[1:-1].replace('""', '"')
    return "".join(character.lower() if character.isascii() else character for character in text)
