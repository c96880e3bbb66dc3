"""soundex, difference, metaphone: English sounds of a text's letters. Errors: 22023, 2200F."""

from __future__ import annotations

from typing import Final

from aurora.errors import InvalidParameterValue, ZeroLengthCharacterString
from compute_node.extensions.library import define

_CODES: Final = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "01230120022455012623010202", strict=True))
_CODE_LENGTH: Final = 4
_BYTES_MAX: Final = 255
_VOWELS, _SOFTENING = frozenset("AEIOU"), frozenset("EIY")
_BEFORE_H, _GH_IS_SILENT = frozenset("CGPST"), frozenset("BDH")


def _letters(text: str) -> str:
    """A byte a character, in capitals; what is no letter stays as it is."""
    return "".join(chr(each - 32) if 97 <= each <= 122 else chr(each) for each in text.encode())


def _soundex(text: str) -> str:
    letters = _letters(text)
    start = next((at for at, each in enumerate(letters) if each in _CODES), None)
    if start is None:
        return ""
    code = letters[start]
    for last, each in zip(letters[start:], letters[start + 1 :], strict=False):
        if len(code) == _CODE_LENGTH:
            break
        if each in _CODES and _CODES[each] != _CODES.get(last, last) and _CODES[each] != "0":
            code += _CODES[each]
    return code.ljust(_CODE_LENGTH, "0")


def _difference(one: str, other: str) -> int:
    pairs = (_soundex(each).ljust(_CODE_LENGTH, "\0") for each in (one, other))
    return sum(a == b for a, b in zip(*pairs, strict=True))


def _metaphone(text: str, length: int) -> str:
    if not text:
        return ""
    if len(text.encode()) > _BYTES_MAX:
        raise InvalidParameterValue(f"argument exceeds the maximum length of {_BYTES_MAX} bytes")
    if length > _BYTES_MAX:
        raise InvalidParameterValue(f"output exceeds the maximum length of {_BYTES_MAX} bytes")
    if length <= 0:
        raise ZeroLengthCharacterString("output cannot be empty string")
    return _Word(_letters(text)).sounds(length)


class _Word:
    """Letters and where one is among them; what is outside the word is empty."""

    def __init__(self, letters: str) -> None:
        self._letters = letters
        self._at = next((at for at, each in enumerate(letters) if each in _CODES), len(letters))

    def _near(self, offset: int) -> str:
        at = self._at + offset
        return self._letters[at] if 0 <= at < len(self._letters) else ""

    def sounds(self, length: int) -> str:
        """At most that many sounds."""
        sound, used = self._first()
        self._at += used
        while self._at < len(self._letters) and len(sound) < length:
            each = self._near(0)
            used = 1
            if each in _CODES and (each == "C" or each != self._near(-1)):
                more, used = self._sound(each)
                sound += more
            self._at += used
        return sound[:length]

    def _first(self) -> tuple[str, int]:
        """The sound that the word begins with, and how many letters it takes; none: the rules for all letters hold."""
        each, after = self._near(0), self._near(1)
        if each == "A" and after == "E":
            return "E", 2
        if each in ("G", "K", "P") and after == "N":
            return "N", 2
        if each == "X":
            return "S", 1
        if each == "W" and after in ("R", "H"):
            return after, 2
        if each == "W" and after in _VOWELS and after:
            return "W", 2
        return (each, 1) if each in _VOWELS and each else ("", 0)

    def _sound(self, each: str) -> tuple[str, int]:
        """The sound of a letter where it stands, and how many letters it takes."""
        after, second, last = self._near(1), self._near(2), self._near(-1)
        if each in "FJLMNR":
            return each, 1
        if each == "B":
            return ("" if last == "M" else "B"), 1
        if each == "C":
            return self._sound_of_c(after, second, last)
        if each == "D":
            return ("J", 2) if after == "G" and second in _SOFTENING else ("T", 1)
        if each == "G":
            return self._sound_of_g(after, second, last)
        if each == "H":
            return ("H" if after in _VOWELS and last not in _BEFORE_H else ""), 1
        if each == "K":
            return ("" if last == "C" else "K"), 1
        if each == "P":
            return ("F" if after == "H" else "P"), 1
        if each in "ST":
            if after == "I" and second in ("O", "A"):
                return "X", 1
            if after == "H":
                return ("X" if each == "S" else "0"), 2
            if each == "S" and after == "C" and second == "H" and self._near(3) == "W":
                return "X", 3
            return each, 1
        if each in "WY":
            return (each if after in _VOWELS else ""), 1
        return {"Q": "K", "V": "F", "X": "KS", "Z": "S"}.get(each, ""), 1

    @staticmethod
    def _sound_of_c(after: str, second: str, last: str) -> tuple[str, int]:
        if after in _SOFTENING:
            if after == "I" and second == "A":
                return "X", 1
            return ("" if last == "S" else "S"), 1
        if after == "H":
            return ("K" if second == "R" or last == "S" else "X"), 2
        return "K", 1

    def _sound_of_g(self, after: str, second: str, last: str) -> tuple[str, int]:
        if after == "H":
            silent = self._near(-3) in _GH_IS_SILENT or self._near(-4) == "H"
            return ("", 1) if silent else ("F", 2)
        if after == "N":
            ends = second not in _CODES or (second == "E" and self._near(3) == "D")
            return ("" if ends else "K"), 1
        return ("J" if after in _SOFTENING and last != "G" else "K"), 1


define("soundex", 1, _soundex)
define("difference", 2, _difference)
define("metaphone", 2, _metaphone)
