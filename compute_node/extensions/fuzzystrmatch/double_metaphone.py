"""dmetaphone and dmetaphone_alt: the two ways in which a name may sound (L. Philips' double metaphone, manual F.17.5).

Each letter has a function: where it stands → (sound, other sound, letters that it takes). Rules look at what is around
the letter; what is outside of the name, five blanks after it aside, is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from compute_node.extensions.library import define

Step = tuple[str, str, int]
_LENGTH_MAX: Final = 4
_VOWELS: Final = frozenset("AEIOUY")


def _same(sound: str, used: int) -> Step:
    return sound, sound, used


class _Name:
    """Letters in capitals, a byte each, and where one is among them."""

    def __init__(self, text: str) -> None:
        letters = "".join(chr(each - 32) if 97 <= each <= 122 else chr(each) for each in text.encode())
        self.length = len(letters)
        self.last = self.length - 1
        self._padded = letters + " " * 5
        self.slavic = any(each in letters for each in ("W", "K", "CZ", "WITZ"))
        self.at = 0

    def is_at(self, place: int, *words: str) -> bool:
        """Whether one of the words stands at a place of the name."""
        return 0 <= place < len(self._padded) and self._padded.startswith(words, place)

    def near(self, offset: int, *words: str) -> bool:
        """Whether one of the words stands so far from here."""
        return self.is_at(self.at + offset, *words)

    def letter(self, offset: int = 0) -> str:
        """The letter so far from here."""
        place = self.at + offset
        return self._padded[place] if 0 <= place < len(self._padded) else ""

    def vowel(self, offset: int) -> bool:
        """Whether that one is a vowel."""
        return self.letter(offset) in _VOWELS

    def germanic(self) -> bool:
        """Whether it begins as German and Dutch names do."""
        return self.is_at(0, "VAN ", "VON ", "SCH")

    def pair(self, letters: str) -> int:
        """How many letters are taken: two, where the next is one of these."""
        return 2 if self.letter(1) in letters and self.letter(1) else 1


@lru_cache(maxsize=4096)
def _sounds(text: str) -> tuple[str, str]:
    name = _Name(text)
    first = second = ""
    if name.is_at(0, "GN", "KN", "PN", "WR", "PS"):
        name.at = 1
    if name.is_at(0, "X"):
        first = second = "S"
        name.at += 1
    while name.at < name.length and min(len(first), len(second)) < _LENGTH_MAX:
        rule = _RULES.get(name.letter())
        one, other, used = ("", "", 1) if rule is None else rule(name)
        first, second, name.at = first + one, second + other, name.at + used
    return first[:_LENGTH_MAX], second[:_LENGTH_MAX]


def _vowel(name: _Name) -> Step:
    return _same("A" if name.at == 0 else "", 1)


def _plain(sound: str, doubled: str) -> Callable[[_Name], Step]:
    return lambda name: _same(sound, name.pair(doubled))


def _c(name: _Name) -> Step:
    at = name.at
    if (
        at > 1 and not name.vowel(-2) and name.near(-1, "ACH") and name.letter(2) != "I"
        and (name.letter(2) != "E" or name.near(-2, "BACHER", "MACHER"))
    ):  # fmt: skip
        return _same("K", 2)
    if at == 0 and name.near(0, "CAESAR"):
        return _same("S", 2)
    if name.near(0, "CHIA"):
        return _same("K", 2)
    if name.near(0, "CH"):
        return _ch(name)
    if name.near(0, "CZ") and not name.near(-2, "WICZ"):
        return "S", "X", 2
    if name.near(1, "CIA"):
        return _same("X", 3)
    if name.near(0, "CC") and not (at == 1 and name.is_at(0, "M")):
        if not name.near(2, "I", "E", "H") or name.near(2, "HU"):
            return _same("K", 2)
        accent = (at == 1 and name.letter(-1) == "A") or name.near(-1, "UCCEE", "UCCES")
        return _same("KS" if accent else "X", 3)
    if name.near(0, "CK", "CG", "CQ"):
        return _same("K", 2)
    if name.near(0, "CI", "CE", "CY"):
        return ("S", "X", 2) if name.near(0, "CIO", "CIE", "CIA") else _same("S", 2)
    if name.near(1, " C", " Q", " G"):
        return _same("K", 3)
    return _same("K", 2 if name.near(1, "C", "K", "Q") and not name.near(1, "CE", "CI") else 1)


def _ch(name: _Name) -> Step:
    at = name.at
    if at > 0 and name.near(0, "CHAE"):
        return "K", "X", 2
    if at == 0 and name.near(1, "HARAC", "HARIS", "HOR", "HYM", "HIA", "HEM") and not name.is_at(0, "CHORE"):
        return _same("K", 2)
    before = at == 0 or name.near(-1, "A", "O", "U", "E")
    if (
        name.germanic() or name.near(-2, "ORCHES", "ARCHIT", "ORCHID") or name.near(2, "T", "S")
        or (before and name.near(2, "L", "R", "N", "M", "B", "H", "F", "V", "W", " "))
    ):  # fmt: skip
        return _same("K", 2)
    if at == 0:
        return _same("X", 2)
    return _same("K", 2) if name.is_at(0, "MC") else ("X", "K", 2)


def _d(name: _Name) -> Step:
    if name.near(0, "DG"):
        return _same("J", 3) if name.near(2, "I", "E", "Y") else _same("TK", 2)
    return _same("T", name.pair("TD"))


def _g(name: _Name) -> Step:
    at = name.at
    if name.letter(1) == "H":
        return _gh(name)
    if name.letter(1) == "N":
        if at == 1 and name.vowel(-1) and not name.slavic:
            return "KN", "N", 2
        return ("N", "KN", 2) if not name.near(2, "EY") and not name.slavic else _same("KN", 2)
    if name.near(1, "LI") and not name.slavic:
        return "KL", "L", 2
    if at == 0 and name.near(1, "Y", "ES", "EP", "EB", "EL", "EY", "IB", "IL", "IN", "IE", "EI", "ER"):
        return "K", "J", 2
    if (
        name.near(1, "ER", "Y") and not name.is_at(0, "DANGER", "RANGER", "MANGER") and not name.near(-1, "E", "I")
        and not name.near(-1, "RGY", "OGY")
    ):  # fmt: skip
        return "K", "J", 2
    if name.near(1, "E", "I", "Y") or name.near(-1, "AGGI", "OGGI"):
        if name.germanic() or name.near(1, "ET"):
            return _same("K", 2)
        return _same("J", 2) if name.near(1, "IER ") else ("J", "K", 2)
    return _same("K", name.pair("G"))


def _gh(name: _Name) -> Step:
    at = name.at
    if at > 0 and not name.vowel(-1):
        return _same("K", 2)
    if at == 0:
        return _same("J" if name.letter(2) == "I" else "K", 2)
    if name.near(-2, "B", "H", "D") and at > 1:
        return _same("", 2)
    if (at > 2 and name.near(-3, "B", "H", "D")) or (at > 3 and name.near(-4, "B", "H")):
        return _same("", 2)
    if at > 2 and name.letter(-1) == "U" and name.near(-3, "C", "G", "L", "R", "T"):
        return _same("F", 2)
    return _same("" if name.letter(-1) == "I" else "K", 2)


def _h(name: _Name) -> Step:
    between = (name.at == 0 or name.vowel(-1)) and name.vowel(1)
    return _same("H", 2) if between else _same("", 1)


def _j(name: _Name) -> Step:
    spanish = name.is_at(0, "SAN ")
    if name.near(0, "JOSE") or spanish:
        return _same("H", 1) if spanish or (name.at == 0 and name.letter(4) == " ") else ("J", "H", 1)
    used = name.pair("J")
    if name.at == 0:
        return "J", "A", used
    if name.vowel(-1) and not name.slavic and name.near(1, "A", "O"):
        return "J", "H", used
    if name.at == name.last:
        return "J", "", used
    silent = name.near(1, "L", "T", "K", "S", "N", "M", "B", "Z") or name.near(-1, "S", "K", "L")
    return _same("" if silent else "J", used)


def _l(name: _Name) -> Step:
    if name.letter(1) != "L":
        return _same("L", 1)
    ends = name.at == name.length - 3 and name.near(-1, "ILLO", "ILLA", "ALLE")
    plural = name.is_at(name.last - 1, "AS", "OS") or name.is_at(name.last, "A", "O")
    return ("L", "", 2) if ends or (plural and name.near(-1, "ALLE")) else _same("L", 2)


def _m(name: _Name) -> Step:
    silent_b = name.near(-1, "UMB") and (name.at + 1 == name.last or name.near(2, "ER"))
    return _same("M", 2 if silent_b or name.letter(1) == "M" else 1)


def _p(name: _Name) -> Step:
    return _same("F", 2) if name.letter(1) == "H" else _same("P", name.pair("PB"))


def _r(name: _Name) -> Step:
    french = name.at == name.last and not name.slavic and name.near(-2, "IE") and not name.near(-4, "ME", "MA")
    return "" if french else "R", "R", name.pair("R")


def _s(name: _Name) -> Step:
    if name.near(-1, "ISL", "YSL"):
        return _same("", 1)
    if name.at == 0 and name.near(0, "SUGAR"):
        return "X", "S", 1
    if name.near(0, "SH"):
        return _same("S" if name.near(1, "HEIM", "HOEK", "HOLM", "HOLZ") else "X", 2)
    if name.near(0, "SIO", "SIA"):
        return "S", "S" if name.slavic else "X", 3
    if name.near(1, "Z") or (name.at == 0 and name.near(1, "M", "N", "L", "W")):
        return "S", "X", name.pair("Z")
    if name.near(0, "SC"):
        return _sc(name)
    french = name.at == name.last and name.near(-2, "AI", "OI")
    return "" if french else "S", "S", name.pair("SZ")


def _sc(name: _Name) -> Step:
    if name.letter(2) == "H":
        if name.near(3, "ER", "EN"):
            return "X", "SK", 3
        if name.near(3, "OO", "UY", "ED", "EM"):
            return _same("SK", 3)
        fourth = name.letter(3 - name.at)
        return ("X", "S", 3) if name.at == 0 and fourth not in _VOWELS and fourth != "W" else _same("X", 3)
    return _same("S" if name.near(2, "I", "E", "Y") else "SK", 3)


def _t(name: _Name) -> Step:
    if name.near(0, "TION", "TIA", "TCH"):
        return _same("X", 3)
    if name.near(0, "TH", "TTH"):
        return _same("T", 2) if name.near(2, "OM", "AM") or name.germanic() else ("0", "T", 2)
    return _same("T", name.pair("TD"))


def _w(name: _Name) -> Step:
    if name.near(0, "WR"):
        return _same("R", 2)
    first = second = ""
    if name.at == 0 and (name.vowel(1) or name.near(0, "WH")):
        first, second = "A", "F" if name.vowel(1) else "A"
    ending = name.near(-1, "EWSKI", "EWSKY", "OWSKI", "OWSKY") or name.is_at(0, "SCH")
    if ending or (name.at == name.last and name.vowel(-1)):
        return first, second + "F", 1
    if name.near(0, "WICZ", "WITZ"):
        return first + "TS", second + "FX", 4
    return first, second, 1


def _x(name: _Name) -> Step:
    french = name.at == name.last and (name.near(-3, "IAU", "EAU") or name.near(-2, "AU", "OU"))
    return _same("" if french else "KS", name.pair("CX"))


def _z(name: _Name) -> Step:
    if name.letter(1) == "H":
        return _same("J", 2)
    other = name.near(1, "ZO", "ZI", "ZA") or (name.slavic and name.at > 0 and name.letter(-1) != "T")
    return "S", "TS" if other else "S", name.pair("Z")


_RULES: Final[dict[str, Callable[[_Name], Step]]] = {
    **dict.fromkeys("AEIOUY", _vowel),
    "B": _plain("P", "B"), "\xc7": _plain("S", ""), "F": _plain("F", "F"), "K": _plain("K", "K"),
    "N": _plain("N", "N"), "\xd1": _plain("N", ""), "Q": _plain("K", "Q"), "V": _plain("F", "V"),
    "C": _c, "D": _d, "G": _g, "H": _h, "J": _j, "L": _l, "M": _m, "P": _p, "R": _r, "S": _s, "T": _t, "W": _w,
    "X": _x, "Z": _z,
}  # fmt: skip

define("dmetaphone", 1, lambda text: _sounds(text)[0])
define("dmetaphone_alt", 1, lambda text: _sounds(text)[1])
