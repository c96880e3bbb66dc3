"""Where libpg_query's lexer is not PostgreSQL 15's.

- Numbers and parameters that run into an identifier (``123abc``, ``1e``, ``0x1F``, ``1_000``, ``$1a``) are errors. It
  takes that rule out, so that it can read texts of older servers. A pattern finds what may be such a place outside of
  plain literals, nearly always nothing; only then the tokens are looked at one by one, for the place may be within a
  comment or another literal.
- A comment may stand between two parts of one literal. Its lexer makes tokens of comments.
"""

from __future__ import annotations

import re

from pglast.parser import ParseError, Token, scan

from aurora.errors import SqlSyntaxError

_IDENTIFIER = "[A-Za-z_\x80-\U0010ffff]"
_NUMBER = r"(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+"
"""as much as can be one: what follows is no part of it"""
_MAYBE = re.compile(rf"\$[0-9]+{_IDENTIFIER}|(?<![\w$\x80-\U0010ffff]){_NUMBER}(?:{_IDENTIFIER}|[eE][-+])")
_WHOLE = re.compile(rf"{_NUMBER}[eE][-+]|(?:\$[0-9]+|{_NUMBER}){_IDENTIFIER}[\w$\x80-\U0010ffff]*")
_NOT_BY_QUOTES = re.compile(r"--|/\*|\$(?![0-9])|e'(?<!\we')|E'(?<!\wE')")
_QUOTED = re.compile(r"""'[^']*'|("[^"]*+(?:""[^"]*+)*+")""")
_KINDS = {"ICONST": "numeric literal", "FCONST": "numeric literal", "PARAM": "parameter"}


def without_literals(source: str) -> str:
    """A text with nothing in its literals, for looks at what is not in them; the text as it is where it takes more
    than quotes to find them: with comments, say."""
    return source if _NOT_BY_QUOTES.search(source) else _QUOTED.sub(r"''\1", source)


def _tokens(text: str) -> list[Token]:
    """A text's tokens, as far as it has some: up to a literal that does not end, say."""
    try:
        return list(scan(text))
    except ParseError as error:
        location = error.args[1] if len(error.args) > 1 else None
        return _tokens(text[:location]) if location and location < len(text) else []


def check_junk(source: str, before: int | None = None) -> None:
    """Refuse the first such place of a text; ``before``: where another error was found, which comes first when it is
    further to the left. 42601."""
    if _MAYBE.search(source) is None or _MAYBE.search(without_literals(source)) is None:
        return
    for token in _tokens(source if before is None else source[: before + 1]):
        what = _KINDS.get(token.name)
        if what is not None:
            match = _WHOLE.match(source, token.start)
            if match is not None and match.end() > token.end + 1:
                raise SqlSyntaxError(f'trailing junk after {what} at or near "{match[0]}"', position=token.start + 1)


def blank_comments(source: str) -> str:
    """The text with spaces for comments to the end of a line, for libpg_query takes no comment between two parts of one
    literal (`'a' -- …`, and `'b'` on the next line)."""
    pieces: list[str] = []
    copied = 0
    for token in _tokens(source):
        if token.name == "SQL_COMMENT":
            pieces += (source[copied : token.start], " " * (token.end + 1 - token.start))
            copied = token.end + 1
    return "".join(pieces) + source[copied:]
