"""Text → trigrams: three neighbouring characters of a lower-case word that has two blanks before and one behind it
(manual, F.33.1).

A trigram is three bytes: its characters where these are ASCII, else the lower bytes of a checksum of their UTF-8.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from compute_node.hub import HUB
from compute_node.types import ctype

_LETTERS: Final = "".join(
    f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ctype.char_class("alnum") or ()
)
_WORD: Final = re.compile(f"[{_LETTERS}]+")
_ASCII_WORD: Final = re.compile("[0-9a-z]+")
_BEFORE, _BEHIND = "  ", " "
_BETWEEN: Final = _BEHIND + _BEFORE
_ACROSS: Final = frozenset(f"{last}{_BEFORE}".encode() for last in "0123456789abcdefghijklmnopqrstuvwxyz ")
_SHORT: Final = 1 << 10
"""Characters that are looked at in one go"""
_MASK: Final = (1 << 32) - 1
_PULSE_EVERY: Final = 256


class Words(NamedTuple):
    """The trigrams of a text in their order, and where words begin and end among them."""

    trigrams: list[bytes]
    starts: frozenset[int]
    ends: frozenset[int]


def _entry(byte: int) -> int:
    value = byte
    for _ in range(8):
        value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value


_TABLE: Final = [_entry(byte) for byte in range(256)]


@lru_cache(maxsize=1 << 14)
def compact(characters: str) -> bytes:
    """The trigram of three characters in lower case."""
    data = characters.encode()
    if len(data) == 3:
        return data
    value = _MASK
    for byte in data:
        value = _TABLE[(value >> 24 ^ byte) & 255] ^ value << 8 & _MASK
    return ((value ^ _MASK) & 0xFFFFFF).to_bytes(3, "little")


def _of_word(word: str) -> Iterator[bytes]:
    padded = f"{_BEFORE}{ctype.lower(word)}{_BEHIND}"
    return (compact(padded[at : at + 3]) for at in range(len(padded) - 2))


def in_order(text: str) -> Words:
    """All of a text, as often as they are there."""
    trigrams: list[bytes] = []
    starts, ends = set(), set()
    for number, match in enumerate(_WORD.finditer(text)):
        if number % _PULSE_EVERY == 0:
            HUB.pulse()
        starts.add(len(trigrams))
        trigrams.extend(_of_word(match[0]))
        ends.add(len(trigrams) - 1)
    return Words(trigrams, frozenset(starts), frozenset(ends))


def distinct(text: str) -> frozenset[bytes]:
    """Those of a text, each once."""
    if text.isascii() and len(text) <= _SHORT:
        return _of_short(text.lower())
    found: set[bytes] = set()
    for number, match in enumerate(_WORD.finditer(text)):
        if number % _PULSE_EVERY == 0:
            HUB.pulse()
        word = match[0]
        if word.isascii():
            data = f"{_BEFORE}{word.lower()}{_BEHIND}".encode()
            found.update([data[at : at + 3] for at in range(len(data) - 2)])
        else:
            found.update(_of_word(word))
    return frozenset(found)


@lru_cache(maxsize=1 << 8)
def _threes(count: int) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """Cuts so many times three bytes, from an offset on."""
    return struct.Struct("3s" * count).unpack_from


def _of_short(text: str) -> frozenset[bytes]:
    """``distinct`` of a lower-case ASCII text: all words in one, without what lies across two of them."""
    words = _ASCII_WORD.findall(text)
    data = f"{_BEFORE}{_BETWEEN.join(words)}{_BEHIND}".encode()
    size = len(data)
    # Every third one, from the first, second and third byte on.
    found = {*_threes(size // 3)(data, 0), *_threes((size - 1) // 3)(data, 1), *_threes((size - 2) // 3)(data, 2)}
    found -= _ACROSS
    return frozenset(found)


@lru_cache(maxsize=1 << 10)
def trigrams(text: str) -> frozenset[bytes]:
    """``distinct``, of texts that are asked for again."""
    return distinct(text)


def shown(trigram: bytes) -> str:
    """As show_trgm writes it: its characters, or the number of a checksum."""
    if trigram.isascii() and trigram.replace(b" ", b"a").isalnum():
        return trigram.decode()
    return f"0x{int.from_bytes(trigram, 'big'):06x}"


def order(trigram: bytes) -> tuple[int, ...]:
    """PostgreSQL's order: by bytes, as signed numbers."""
    return tuple([byte - 256 if byte > 127 else byte for byte in trigram])
