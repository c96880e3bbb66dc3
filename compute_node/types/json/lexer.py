"""JSON text as PostgreSQL reads it: tokens, and its errors with DETAIL and CONTEXT (manual, 8.14).

One token ahead, as PostgreSQL's parser: what the next token is decides which error is told first.
"""

from __future__ import annotations

import re
from typing import Final

from aurora.errors import InvalidTextRepresentation, SqlError, UntranslatableCharacter
from compute_node.hub import HUB

_CONTEXT_BYTES: Final = 50
_PULSE_TOKENS: Final = 2048
_PULSE_CHARS: Final = 1 << 18

END, STRING, NUMBER, WORD = "", '"', "0", "a"
"""Kinds of tokens; punctuation is its own kind, ``true``, ``false`` and ``null`` are their first letters."""

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+|(?!\.))(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_\x80-\U0010ffff])")
_BAD_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?[0-9A-Za-z_\x80-\U0010ffff]*")
_WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")
_HEX = frozenset("0123456789abcdefABCDEF")
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final = {"true": "t", "false": "f", "null": "n"}
_EXPECTED: Final = {
    "end": "Expected end of input",
    "value": "Expected JSON value",
    "key": "Expected string",
    "array next": 'Expected "," or "]"',
    "object first": 'Expected string or "}"',
    "colon": 'Expected ":"',
    "object next": 'Expected "," or "}"',
}


class Lexer:
    """Tokens of a text. ``kind`` is the token's, ``start`` and ``stop`` its place; of a string ``value`` is its
    content when ``decode`` is set (then escapes are checked as ``jsonb`` and functions that need the text do)."""

    def __init__(self, text: str, decode: bool) -> None:
        self.text, self.decode = text, decode
        self.line, self.line_start = 1, 0
        self.start, self.stop = 0, 0
        self.kind = WORD
        self.value = ""
        self._tokens = 0

    def advance(self) -> None:
        """Go to the next token."""
        self._tokens += 1
        if not self._tokens % _PULSE_TOKENS:
            HUB.pulse()
        text, begin = self.text, self.stop
        at = self.start = _SPACE.match(text, begin).end()  # type: ignore[union-attr]
        if at != begin:
            lines = text.count("\n", begin, at)
            if lines:
                self.line += lines
                self.line_start = text.rindex("\n", begin, at) + 1
        if at == len(text):
            self.stop, self.kind = at, END
            return
        sign = text[at]
        if sign == '"':
            self._string(at)
            self.kind = STRING
        elif sign in "{}[],:":
            self.kind, self.stop = sign, at + 1
        elif sign == "-" or "0" <= sign <= "9":
            self._number(at)
        else:
            self._word(at)

    def go_on(self, stop: int) -> None:
        """The current token ends there: somebody else has read what begins with it, of whole lines or not."""
        HUB.pulse()
        begin, self.stop = self.start, stop
        lines = self.text.count("\n", begin, stop)
        if lines:
            self.line += lines
            self.line_start = self.text.rindex("\n", begin, stop) + 1

    def _number(self, at: int) -> None:
        found = _NUMBER.match(self.text, at)
        if found is None:
            bad = _BAD_NUMBER.match(self.text, at)
            self.stop = bad.end() if bad is not None else at + 1
            raise self.invalid_token()
        self.kind, self.stop = NUMBER, found.end()

    def _word(self, at: int) -> None:
        found = _WORD.match(self.text, at)
        if found is None:
            self.stop = at + 1
            raise self.invalid_token()
        self.stop = found.end()
        kind = _WORDS.get(found[0])
        if kind is None:
            raise self.invalid_token()
        self.kind = kind

    def _string(self, start: int) -> None:
        text, at, parts = self.text, start + 1, []
        high = -1
        while True:
            end = _PLAIN.match(text, at).end()  # type: ignore[union-attr]
            if end - at > _PULSE_CHARS:
                HUB.pulse()
            if end > at:
                if high >= 0:
                    raise self._surrogate(at + 1)
                if self.decode:
                    parts.append(text[at:end])
                at = end
            if at >= len(text):
                self.stop = len(text)
                raise self.invalid_token()
            sign = text[at]
            if sign == '"':
                if high >= 0:
                    raise self._surrogate(at + 1)
                break
            if sign != "\\":
                if high >= 0:
                    raise self._surrogate(at + 1)
                self.stop = at
                raise self.error(f"Character with value 0x{ord(sign):02x} must be escaped.")
            at += 1
            if at >= len(text):
                self.stop = at
                raise self.invalid_token()
            if text[at] == "u":
                code = self._hex(at)
                at += 5
                if self.decode:
                    high = self._unicode(code, high, at, parts)
            else:
                self._escape(at, high, parts)
                at += 1
            self._tokens += 1
            if not self._tokens % _PULSE_TOKENS:
                HUB.pulse()
        self.stop = at + 1
        if self.decode:
            self.value = parts[0] if len(parts) == 1 else "".join(parts)

    def _hex(self, at: int) -> int:
        """The four digits after the ``u`` at ``at``."""
        for place in range(at + 1, at + 5):
            if place >= len(self.text):
                self.stop = place
                raise self.invalid_token()
            if self.text[place] not in _HEX:
                self.stop = place + 1
                raise self.error('"\\u" must be followed by four hexadecimal digits.')
        return int(self.text[at + 1 : at + 5], 16)

    def _unicode(self, code: int, high: int, end: int, parts: list[str]) -> int:
        """Takes an escape's code; gives the high surrogate that waits for its other half, or -1."""
        if 0xD800 <= code < 0xDC00:
            if high >= 0:
                self.stop = end
                raise self.error("Unicode high surrogate must not follow a high surrogate.")
            return code
        if 0xDC00 <= code < 0xE000:
            if high < 0:
                raise self._surrogate(end)
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
        elif high >= 0:
            raise self._surrogate(end)
        if code == 0:
            self.stop = end
            raise UntranslatableCharacter(
                "unsupported Unicode escape sequence",
                detail="\\u0000 cannot be converted to text.",
                where=self.context(),
            )
        parts.append(chr(code))
        return -1

    def _escape(self, at: int, high: int, parts: list[str]) -> None:
        if self.decode and high >= 0:
            raise self._surrogate(at + 1)
        value = _ESCAPES.get(self.text[at])
        if value is None:
            self.start, self.stop = at, at + 1
            raise self.error(f'Escape sequence "\\{self.text[at]}" is invalid.')
        if self.decode:
            parts.append(value)

    def _surrogate(self, end: int) -> SqlError:
        self.stop = end
        return self.error("Unicode low surrogate must follow a high surrogate.")

    def token(self) -> str:
        """The token's text."""
        return self.text[self.start : self.stop]

    def invalid_token(self) -> SqlError:
        """22P02 for what is no token."""
        self.kind = WORD
        return self.error(f'Token "{self.token()}" is invalid.')

    def unexpected(self, expected: str) -> SqlError:
        """22P02 for a token that may not stand here."""
        if self.kind == END:
            return self.error("The input string ended unexpectedly.")
        return self.error(f'{_EXPECTED[expected]}, but found "{self.token()}".')

    def error(self, detail: str) -> SqlError:
        """22P02 at the current token."""
        return InvalidTextRepresentation("invalid input syntax for type json", detail=detail, where=self.context())

    def context(self) -> str:
        """``JSON data, line 1: …``: the line up to the token's end, at most some 50 bytes."""
        start, stop = self.line_start, self.stop
        begin = max(start, stop - _CONTEXT_BYTES)
        while begin < stop and len(self.text[begin:stop].encode(errors="surrogatepass")) >= _CONTEXT_BYTES:
            begin += 1
        if len(self.text[start:begin].encode(errors="surrogatepass")) <= 3:
            begin = start
        prefix = "..." if begin > start else ""
        more = self.kind != END and stop < len(self.text) and self.text[stop] not in "\n\r"
        return f"JSON data, line {self.line}: {prefix}{self.text[begin:stop]}{'...' if more else ''}"
