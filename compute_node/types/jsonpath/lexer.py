"""Path text → tokens, one at a time, as the parser asks for them (manual, 8.14.7).

Errors name the text at which they were found as PostgreSQL's scanner does. It keeps only the text of its last rule: an
unquoted word that the end or a special character ends leaves none, and one that a blank ends leaves the blank.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aurora.errors import InvalidTextRepresentation, SqlError, SqlSyntaxError, UntranslatableCharacter
from compute_node.hub import HUB

WORDS: Final = frozenset(
    (
        *("is", "to", "abs", "lax", "flag", "last", "size", "type", "with", "floor", "double", "exists", "starts"),
        *("strict", "ceiling", "unknown", "datetime", "keyvalue", "like_regex"),
    )
)
"""Key words in any case; they are keys after a dot."""
LOWER_WORDS: Final = frozenset(("null", "true", "false"))

_PULSE_TOKENS: Final = 512
_OTHER = r"[^?%$.\[\]{}()|&!=<>@#,*:\-+/\\\" \t\n\r\f]"
_INTEGER = r"(?:0|[1-9][0-9]*)"
_DECIMAL = rf"(?:{_INTEGER}\.[0-9]*|\.[0-9]+)"
_REAL = rf"(?:{_DECIMAL}|{_INTEGER})[Ee][-+]?[0-9]+"
_NUMBERS: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("NUMERIC", _REAL),
        ("NUMERIC", _DECIMAL),
        ("INT", _INTEGER),
        ("invalid", rf"(?:{_DECIMAL}|{_INTEGER})[Ee][-+]"),
        ("junk", _INTEGER + _OTHER),
        ("junk", _DECIMAL + _OTHER),
        ("junk", _REAL + _OTHER),
    )
)
"""The longest match counts, of equally long ones the first."""
_WORD: Final = re.compile(_OTHER + "+")
_BLANKS: Final = re.compile(r"[ \t\n\r\f]+")
_SYMBOL: Final = re.compile(r"&&|\|\||\*\*|<=|==|<>|!=|>=|[?%$.\[\]{}()|&!=<>@#,*:\-+/]")
_PLAIN: Final = re.compile(r'[^\\"]+')
_CODE = r"\\u(?:[0-9A-Fa-f]{4}|\{[0-9A-Fa-f]{1,6}\})"
_CODES: Final = re.compile(f"(?:{_CODE})+")
_BROKEN_CODE: Final = re.compile(rf"(?:{_CODE})*\\u(?:\{{[0-9A-Fa-f]{{0,6}}|[0-9A-Fa-f]{{0,3}})")
_ONE_CODE: Final = re.compile(r"\\u\{?([0-9A-Fa-f]+)\}?")
_HEX: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")
_BROKEN_HEX: Final = re.compile(r"\\x[0-9A-Fa-f]?")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Token(NamedTuple):
    """``kind``: a symbol, a key word, IDENT, STRING, NUMERIC, INT, VARIABLE or END. ``near``: what errors name."""

    kind: str
    value: str
    near: str


def syntax_error(message: str, near: str) -> SqlError:
    """42601, at a text or at the end."""
    where = f'at or near "{near}"' if near else "at end"
    return SqlSyntaxError(f"{message} {where} of jsonpath input")


class Lexer:
    """``take`` gives the next token. 42601, 22P02 or 22P05 for text that is none."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.tokens = text, 0, 0

    def take(self) -> Token:
        """The next token; END at the end."""
        text = self.text
        self.tokens += 1
        if not self.tokens % _PULSE_TOKENS:
            HUB.pulse()
        while self.at < len(text):
            blanks = _BLANKS.match(text, self.at)
            if blanks is not None:
                self.at = blanks.end()
            elif text.startswith("/*", self.at):
                self._comment()
            else:
                token = self._token(text[self.at])
                if token is not None:
                    return token
        return Token("END", "", "")

    def _comment(self) -> None:
        end = self.text.find("*/", self.at + 2)
        if end < 0:
            raise syntax_error("unexpected end of comment", "")
        self.at = end + 2

    def _token(self, first: str) -> Token | None:
        text, start = self.text, self.at
        if first == '"':
            self.at += 1
            return Token("STRING", self._quoted(), '"')
        if first == "$" and start + 1 < len(text):
            if text[start + 1] == '"':
                self.at += 2
                return Token("VARIABLE", self._quoted(), '"')
            name = _WORD.match(text, start + 1)
            if name is not None:
                self.at = name.end()
                return Token("VARIABLE", name[0], "$" + name[0])
        if "0" <= first <= "9" or first == ".":
            number = self._number()
            if number is not None:
                return number
        symbol = _SYMBOL.match(text, start)
        if symbol is not None:
            self.at = symbol.end()
            return Token("!=" if symbol[0] == "<>" else symbol[0], "", symbol[0])
        return self._word()

    def _number(self) -> Token | None:
        """A number, unless a longer word begins here; lengths count in bytes, junk is one byte."""
        longest, kind, found = 0, "", ""
        for each, pattern in _NUMBERS:
            match = pattern.match(self.text, self.at)
            if match is not None and match.end() - self.at > longest:
                longest, kind, found = match.end() - self.at, each, match[0]
        word = _WORD.match(self.text, self.at)
        if not longest or (word is not None and len(word[0].encode()) > longest):
            return None
        if kind == "invalid":
            raise syntax_error("invalid numeric literal", found)
        if kind == "junk":
            raise syntax_error("trailing junk after numeric literal", found)
        self.at += longest
        return Token(kind, found, found)

    def _word(self) -> Token | None:
        """An unquoted word. A comment that follows at once swallows it, as it does in PostgreSQL."""
        text, near = self.text, ""
        parts: list[str] = []
        while self.at < len(text):
            match = _WORD.match(text, self.at)
            if match is not None:
                parts.append(match[0])
                self.at = match.end()
            elif text[self.at] == "\\":
                parts.append(self._escape())
            else:
                blanks = _BLANKS.match(text, self.at)
                if blanks is not None:
                    near, self.at = blanks[0], blanks.end()
                elif text.startswith("/*", self.at):
                    self._comment()
                    return None
                break
        word = "".join(parts)
        lowered = word.lower() if word.isascii() else word
        is_key_word = lowered in WORDS or word in LOWER_WORDS
        return Token(lowered if is_key_word else "IDENT", word, near)

    def _quoted(self) -> str:
        text = self.text
        parts: list[str] = []
        while self.at < len(text):
            if text[self.at] == '"':
                self.at += 1
                return "".join(parts)
            match = _PLAIN.match(text, self.at)
            if match is not None:
                parts.append(match[0])
                self.at = match.end()
            else:
                parts.append(self._escape())
        raise syntax_error("unexpected end of quoted string", "")

    def _escape(self) -> str:
        """The character or characters of an escape sequence."""
        text, start = self.text, self.at
        codes, broken = _CODES.match(text, start), _BROKEN_CODE.match(text, start)
        if broken is not None and (codes is None or broken.end() > codes.end()):
            raise syntax_error("invalid unicode sequence", broken[0])
        if codes is not None:
            self.at = codes.end()
            return _decoded(codes[0])
        pair = _HEX.match(text, start)
        if pair is not None:
            self.at = pair.end()
            return _character(int(pair[1], 16))
        pair = _BROKEN_HEX.match(text, start)
        if pair is not None:
            raise syntax_error("invalid hex character sequence", pair[0])
        if start + 1 >= len(text) or text[start + 1] == "\n":
            raise syntax_error("unexpected end after backslash", "\\")
        self.at += 2
        return _ESCAPES.get(text[start + 1], text[start + 1])


def _surrogate_error(which: str) -> SqlError:
    return InvalidTextRepresentation("invalid input syntax for type jsonpath", detail=f"Unicode {which} surrogate.")


def _decoded(codes: str) -> str:
    out, high = [], -1
    for digits in _ONE_CODE.findall(codes):
        code = int(digits, 16)
        if 0xD800 <= code <= 0xDBFF:
            if high >= 0:
                raise _surrogate_error("high surrogate must not follow a high")
            high = code & 0x3FF
            continue
        is_low = 0xDC00 <= code <= 0xDFFF
        if is_low != (high >= 0):
            raise _surrogate_error("low surrogate must follow a high")
        if is_low:
            code, high = 0x10000 + (high << 10) + (code & 0x3FF), -1
        out.append(_character(code))
    if high >= 0:
        raise _surrogate_error("low surrogate must follow a high")
    return "".join(out)


def _character(code: int) -> str:
    if code == 0:
        raise UntranslatableCharacter(
            "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text."
        )
    if code > 0x10FFFF:
        raise SqlSyntaxError("invalid Unicode code point")
    return chr(code)
