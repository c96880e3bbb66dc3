"""One character set: ``decode`` and ``encode``, with PostgreSQL's errors.

``22021`` for bytes that form no character of the set, ``22P05`` for a character that the other side lacks.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

from aurora.errors import CharacterNotInRepertoire, InvariantViolation, SqlError, UntranslatableCharacter
from compute_node.hub import HUB
from compute_node.types.charsets.names import CODECS, UTF8, shown_bytes

PIECE = 1 << 16
"""So much is converted in one go."""
_EUC = rb"[\xa1-\xfe]{2}"
_EUC_JP = rb"\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|" + _EUC
_SJIS = rb"[\xa1-\xdf]|[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]"
_TWO = rb"[\x80-\xff][\x01-\xff]"
_FORMS = {
    "EUC_JP": _EUC_JP,
    "EUC_CN": _EUC,
    "EUC_KR": _EUC,
    "EUC_TW": rb"\x8e[\xa1-\xa7][\xa1-\xfe]{2}|[\x80-\x8d\x90-\xff][\xa1-\xfe]",
    "EUC_JIS_2004": _EUC_JP,
    "SJIS": _SJIS,
    "BIG5": _TWO,
    "GBK": _TWO,
    "UHC": _TWO,
    "GB18030": rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]|[\x81-\xfe](?:[\x40-\x7e\x80-\xfe])",
    "JOHAB": rb"\x8f[\xa1-\xfe]{2}|[\x80-\x8e\x90-\xff][\xa1-\xfe]",
    "SHIFT_JIS_2004": _SJIS,
}
"""What a character above ASCII looks like."""

_MOST_BYTES = {"EUC_JP": 3, "EUC_JIS_2004": 3, "GB18030": 4}


class Charset(Protocol):
    """Conversion between a set's bytes and text."""

    name: str

    def decode(self, data: bytes) -> str:
        """22021 for bytes that are none of the set's, a zero among them; 22P05 for a character that Unicode lacks."""

    def encode(self, text: str) -> bytes:
        """22P05 for a character that the set lacks."""

    def verify(self, data: bytes) -> int:
        """The number of characters; 22021 for what forms none, whatever it may stand for."""

    def length(self, data: bytes) -> int:
        """How many bytes the character at the front takes, as far as its first bytes say."""


def invalid(name: str, data: bytes) -> SqlError:
    """22021."""
    return CharacterNotInRepertoire(f'invalid byte sequence for encoding "{name}": {shown_bytes(data)}')


def untranslatable(source: str, target: str, data: bytes) -> SqlError:
    """22P05."""
    return UntranslatableCharacter(
        f'character with byte sequence {shown_bytes(data)} in encoding "{source}" has no equivalent in encoding'
        f' "{target}"'
    )


class SingleByte:
    """A set of which Python's codec has every character."""

    def __init__(self, name: str, codec: str) -> None:
        self.name = name
        self._codec = codec

    def decode(self, data: bytes) -> str:
        """See ``Charset``."""
        if (zero := data.find(b"\0")) >= 0:
            raise invalid(self.name, data[zero : zero + 1])
        try:
            return data.decode(self._codec)
        except UnicodeDecodeError as error:
            raise untranslatable(self.name, UTF8, data[error.start : error.start + 1]) from None

    def encode(self, text: str) -> bytes:
        """See ``Charset``."""
        try:
            return text.encode(self._codec)
        except UnicodeEncodeError as error:
            raise untranslatable(UTF8, self.name, text[error.start].encode()) from None

    def verify(self, data: bytes) -> int:
        """See ``Charset``."""
        if (zero := data.find(b"\0")) >= 0:
            raise invalid(self.name, data[zero : zero + 1])
        return len(data)

    def length(self, data: bytes) -> int:
        """One."""
        return 1


class Utf8:
    """The server's own."""

    name = UTF8

    def decode(self, data: bytes) -> str:
        """See ``Charset``."""
        if (zero := data.find(b"\0")) >= 0 and data[:zero].isascii():
            raise invalid(UTF8, data[zero : zero + 1])
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            at = error.start
            raise invalid(UTF8, data[at : at + self.length(data[at : at + 1])]) from None
        if zero >= 0:
            raise invalid(UTF8, data[zero : zero + 1])
        return text

    def encode(self, text: str) -> bytes:
        """See ``Charset``."""
        return text.encode()

    def verify(self, data: bytes) -> int:
        """See ``Charset``."""
        return len(self.decode(data))

    def length(self, data: bytes) -> int:
        """By the first byte."""
        first = data[0] if data else 0
        return 2 if first & 0xE0 == 0xC0 else 3 if first & 0xF0 == 0xE0 else 4 if first & 0xF8 == 0xF0 else 1


class MultiByte:
    """A set with characters of several bytes. Each is looked up once and remembered."""

    def __init__(self, name: str, table: dict[str, str]) -> None:
        self.name = name
        self._codec = table.get("codec", "")
        self._read = dict(_readings(table.get("read", "")))
        self._sent = dict(_sendings(table.get("sent", "")))
        if "all" in table:
            self._sent = dict(_whole(table["all"]))
            self._read = {data: text for text, data in self._sent.items()}
        self._lost = frozenset(
            chr(code) for low, high in _ranges(table.get("lost", "")) for code in range(low, high + 1)
        )
        pairs = {text: data for data, text in _readings(table.get("pairs", ""))}
        self._texts: dict[bytes, str] = {}
        self._bytes: dict[str, bytes] = dict(pairs)
        self._tokens = re.compile(rb"[\x01-\x7f]+|(?:" + _FORMS[name] + rb")|[\x00-\xff]", re.DOTALL)
        self._form = re.compile(_FORMS[name], re.DOTALL)
        self._characters = re.compile("[\x01-\x7f]+|" + "".join(f"{text}|" for text in pairs) + ".", re.DOTALL)

    def decode(self, data: bytes) -> str:
        """See ``Charset``."""
        if data.isascii() and b"\0" not in data:
            return data.decode("ascii")
        parts: list[str] = []
        texts = self._texts
        for piece in self._pieces(data):
            for token in self._tokens.findall(piece):
                found = texts.get(token)
                parts.append(self._text(token, piece) if found is None else found)
        return "".join(parts)

    def encode(self, text: str) -> bytes:
        """See ``Charset``."""
        if text.isascii():
            return text.encode("ascii")
        parts: list[bytes] = []
        known = self._bytes
        for start in range(0, len(text), PIECE):
            for token in self._characters.findall(text[start : start + PIECE]):
                found = known.get(token)
                parts.append(self._data(token) if found is None else found)
            HUB.pulse()
        return b"".join(parts)

    def verify(self, data: bytes) -> int:
        """See ``Charset``."""
        count = 0
        for piece in self._pieces(data):
            for token in self._tokens.findall(piece):
                if token[0] and token[0] < 0x80:
                    count += len(token)
                    continue
                if not self._form.fullmatch(token):
                    at = self._place(piece)
                    raise invalid(self.name, piece[at : at + self.length(piece[at : at + 2])])
                count += 1
        return count

    def length(self, data: bytes) -> int:
        """By the first bytes."""
        first = data[0] if data else 0
        if first < 0x80:
            return 1
        if self.name in ("EUC_JP", "EUC_JIS_2004", "JOHAB", "EUC_KR", "EUC_CN", "EUC_TW"):
            return 4 if first == 0x8E and self.name == "EUC_TW" else 3 if first == 0x8F else 2
        if self.name in ("SJIS", "SHIFT_JIS_2004"):
            return 1 if 0xA1 <= first <= 0xDF else 2
        return 4 if self.name == "GB18030" and data[1:2].isdigit() else 2

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """The data, cut behind bytes that are never the second of a character."""
        at = 0
        while len(data) - at > PIECE:
            cut = max(data.rfind(b"\n", at, at + PIECE), data.rfind(b" ", at, at + PIECE)) + 1
            if cut <= at:
                break
            yield data[at:cut]
            at = cut
            HUB.pulse()
        yield data[at:]

    def _text(self, token: bytes, piece: bytes) -> str:
        """A run of ASCII, or one character: remembered."""
        if token[0] and token[0] < 0x80:
            return token.decode("ascii")
        if not self._form.fullmatch(token):
            at = self._place(piece)
            raise invalid(self.name, piece[at : at + self.length(piece[at : at + 2])])
        text = self._read.get(token)
        if text is None and self._codec:
            try:
                text = token.decode(self._codec)
            except UnicodeDecodeError:
                text = None
            if text is not None and self._bytes.get(text, self.bytes_of(text)) != token:
                text = None
        if text is None:
            raise untranslatable(self.name, UTF8, token)
        self._texts[token] = text
        return text

    def _place(self, piece: bytes) -> int:
        """Where the first byte is that begins no character."""
        at = 0
        for token in self._tokens.findall(piece):
            if not (token[0] and token[0] < 0x80) and not self._form.fullmatch(token):
                return at
            at += len(token)
        return at

    def bytes_of(self, character: str) -> bytes | None:
        """One character above ASCII; None where the set lacks it."""
        sent = self._sent.get(character)
        if sent is not None or len(character) != 1 or not self._codec:
            return sent
        if character in self._lost:
            return None
        try:
            data = character.encode(self._codec)
        except UnicodeEncodeError:
            return None
        # Python writes some characters as a composition, which no other converter knows.
        return data if data[0] >= 0x80 and len(data) <= _MOST_BYTES.get(self.name, 2) else None

    def _data(self, token: str) -> bytes:
        if token.isascii() and token != "\0":
            return token.encode("ascii")
        data = self.bytes_of(token)
        if data is None:
            raise untranslatable(UTF8, self.name, token.encode())
        self._bytes[token] = data
        return data


def _readings(text: str) -> Iterator[tuple[bytes, str]]:
    for item in text.split():
        data, _, codes = item.partition("=")
        yield bytes.fromhex(data), "".join(chr(int(code, 16)) for code in codes.split("+"))


def _sendings(text: str) -> Iterator[tuple[str, bytes]]:
    for item in text.split():
        code, _, data = item.partition("=")
        yield chr(int(code, 16)), bytes.fromhex(data)


def _whole(packed: str) -> Iterator[tuple[str, bytes]]:
    """Code point (3 bytes), length (1 byte) and bytes of each character."""
    data, at = zlib.decompress(b64decode(packed)), 0
    while at < len(data):
        size = data[at + 3]
        yield chr(int.from_bytes(data[at : at + 3], "big")), data[at + 4 : at + 4 + size]
        at += 4 + size


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    """Each as its distance from the end of the one before, and its length where that is not one."""
    at = 0
    for item in text.split():
        gap, _, more = item.partition("-")
        low = at + int(gap, 16)
        at = low + (int(more, 16) if more else 0)
        yield low, at


@cache
def _tables() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("tables.json").read_text())
    return loaded


@cache
def charset(name: str) -> Charset:
    """By its proper name; SQL_ASCII and MULE_INTERNAL are none."""
    if name == UTF8:
        return Utf8()
    if name in CODECS:
        return SingleByte(name, CODECS[name])
    table = _tables().get(name)
    if table is None:
        raise InvariantViolation(f"no character set {name}")
    return MultiByte(name, table)
