"""What PostgreSQL's lexer and grammar say of a text that they accept: text → notices (severity and what it says).

Looks that nearly never find anything come first; only then the tokens are looked at.
"""

from __future__ import annotations

import re
from typing import Final

from pglast.parser import ParseError, scan

from aurora.errors import NameTooLong, SqlError, Warning_
from compute_node.sql.lexer_gaps import without_literals

NAME_BYTES = 63
_OF_WORDS: Final = bytes(97 if byte >= 128 or chr(byte).isalnum() or byte in b"_$" else 32 for byte in range(256))
"""maps a byte of a word to ``a``, another to a space"""
_LONG_WORD: Final = b"a" * (NAME_BYTES + 1)
_LONG_QUOTED: Final = re.compile(rb'"(?:[^"]|""){%d}' % (NAME_BYTES + 1))
_GLOBAL: Final = re.compile(rb"\bglobal\s+temp")


Notice = tuple[str, SqlError]
"""its severity, and what it says"""


def _may_say(source: str) -> bool:
    raw = source.encode()
    if _LONG_WORD in raw.translate(_OF_WORDS) or _LONG_QUOTED.search(raw) is not None:
        return True
    lower = raw.lower()
    return b"global" in lower and _GLOBAL.search(lower) is not None


def lexical_notices(source: str) -> list[Notice]:
    """42622 for each identifier that is cut; 01000 for GLOBAL TEMPORARY."""
    if not _may_say(source) or not _may_say(without_literals(source)):
        return []
    try:
        tokens = scan(source)
    except ParseError:
        return []
    found: list[Notice] = []
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
