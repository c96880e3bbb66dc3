"""hstore as text, ``"key"=>"text", "key"=>NULL``, and as JSON (manual, F.18.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Final

from aurora.errors import InternalError, SqlError
from compute_node.extensions.hstore.value import Hstore
from compute_node.types.common import WHITESPACE
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import TypeEnv

_SPACES: Final = re.compile(f"[{WHITESPACE}]*")
_QUOTED: Final = re.compile(r'([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_WORDS: Final = {
    True: re.compile(rf"[^{WHITESPACE}=\\]*(?:\\.[^{WHITESPACE}=\\]*)*", re.DOTALL),
    False: re.compile(rf"(?:[^{WHITESPACE}\\])?[^{WHITESPACE},\\]*(?:\\.[^{WHITESPACE},\\]*)*", re.DOTALL),
}
"""without quotes: keys, and texts, which may begin with a comma"""
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


class _Reader:
    """One pass over a text. PostgreSQL has no SQLSTATE of its own for what is wrong: XX000."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def pairs(self) -> Iterator[tuple[str, str | None]]:
        """Keys and texts as they stand there."""
        while (key := self._word(True)) is not None:
            self._sign("=", True)
            self._sign(">", False)
            found = self._word(False)
            if found is None:
                raise _unexpected_end()
            word, quoted = found
            yield key[0], None if not quoted and len(word) == 4 and word.lower() == "null" else word
            self._skip()
            if self.at == len(self.text):
                return
            self._sign(",", False)

    def _skip(self) -> None:
        self.at = _matched(_SPACES, self.text, self.at).end()

    def _word(self, is_key: bool) -> tuple[str, bool] | None:
        """The next key or text, and whether it is quoted; None at the end."""
        self._skip()
        text = self.text
        if self.at == len(text):
            return None
        quoted = text[self.at] == '"'
        if quoted:
            found = _QUOTED.match(text, self.at + 1)
            if found is None:
                raise _unexpected_end()
            word = found[1]
        else:
            if is_key and text[self.at] == "=":
                raise self._wrong()
            found = _matched(_WORDS[is_key], text, self.at)
            if text.startswith("\\", found.end()):
                raise _unexpected_end()
            word = found[0]
        self.at = found.end()
        return (_ESCAPED.sub(r"\1", word) if "\\" in word else word), quoted

    def _sign(self, sign: str, after_spaces: bool) -> None:
        if after_spaces:
            self._skip()
        if self.at == len(self.text):
            raise _unexpected_end()
        if self.text[self.at] != sign:
            raise self._wrong()
        self.at += 1

    def _wrong(self) -> SqlError:
        place = len(self.text[: self.at].encode())
        return InternalError(f'Syntax error near "{self.text[self.at]}" at position {place}')


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise InternalError(f"nothing of hstore at {at}")
    return found


def _unexpected_end() -> SqlError:
    return InternalError("Unexpected end of string")


def read(text: str, typmod: int, env: TypeEnv) -> Hstore:
    """The text input; XX000 for what is malformed."""
    return Hstore.of(paced(_Reader(text).pairs()))


def write(value: Hstore, env: TypeEnv) -> str:
    """The text output: everything quoted."""
    found = [f"{_quoted(key)}=>{'NULL' if text is None else _quoted(text)}" for key, text in paced(value.pairs.items())]
    return joined(found, ", ")


def _quoted(text: str) -> str:
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def to_json(value: Hstore, loose: bool = False) -> str:
    """An object; ``loose``: what looks like a number or a boolean (``t``, ``f``) is one."""
    found = [
        f"{encode_basestring(key)}: {'null' if text is None else _member(text, loose)}"
        for key, text in paced(value.pairs.items())
    ]
    return "{" + joined(found, ", ") + "}"


def _member(text: str, loose: bool) -> str:
    if loose:
        if text in ("t", "f"):
            return "true" if text == "t" else "false"
        if _NUMBER.fullmatch(text):
            return text
    return encode_basestring(text)
