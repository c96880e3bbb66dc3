"""Ispell dictionaries: a word → its base words, compounds taken apart (manual, 12.6.5).

A base word is in the word list with the flags of the affixes that it may take. A word is looked up as it is, and
without each suffix, each prefix, and each prefix of what a suffix leaves. In languages that allow compounds it is also
split in all ways into words that may stand at the beginning, in the middle, and at the end of one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from compute_node.hub import HUB
from compute_node.types import ctype
from compute_node.types.textsearch import files
from compute_node.types.textsearch.affixes import (
    BEGIN,
    COMPOUND,
    CROSS,
    FORBID,
    LAST,
    MIDDLE,
    OF_WORDS,
    ONLY,
    Affix,
    Affixes,
)
from compute_node.types.textsearch.dictionaries import Lexeme, Lexemes, State

_LETTERS_MAX: Final = 256
_FORMS_MAX: Final = 1023
_SPLITS_MAX: Final = 10_000


class _Word:
    """A word of the list: the flags of its affixes, and what it may be in compounds."""

    __slots__ = ("compound", "flags")

    def __init__(self, flags: frozenset[str], compound: int) -> None:
        self.flags, self.compound = flags, compound


class _Split:
    """One way to take a word apart, growing."""

    def __init__(self, stems: list[str]) -> None:
        self.stems = stems


class IspellDictionary:
    """See the module."""

    is_total = False

    def __init__(self, words: str, affixes: str, stop: frozenset[str]) -> None:
        self._stop = stop
        files.lines(words, "dict", "dictionary")
        self._affixes = Affixes(affixes)
        self._words: dict[str, _Word] = {}
        self._read(words)
        self._prefixes: dict[str, list[Affix]] = {}
        self._suffixes: dict[str, list[Affix]] = {}
        for affix in self._affixes.found:
            (self._suffixes if affix.is_suffix else self._prefixes).setdefault(affix.put, []).append(affix)
        self._longest = {
            suffix: max(map(len, table), default=0)
            for suffix, table in ((True, self._suffixes), (False, self._prefixes))
        }
        self._sorted = sorted(self._words) if self._affixes.compound else []
        self._linking = self._compound_affixes() if self._affixes.compound else []

    def _read(self, name: str) -> None:
        for line in files.lines(name, "dict", "dictionary"):
            word, slash, rest = line.partition("/")
            flags = ""
            if slash:
                for character in rest:
                    if not character.isascii() or not character.isprintable() or character.isspace():
                        break
                    flags += character
            parts = word.split()
            if parts:
                self._add(ctype.lower(parts[0]), self._affixes.flags_of(flags))

    def _add(self, word: str, flags: list[str]) -> None:
        value = self._affixes.compound_value(flags) & OF_WORDS
        old = self._words.get(word)
        if old is not None and old.flags != frozenset(flags):
            is_only = bool(ONLY & old.compound & value)
            merged = old.flags | frozenset(flags)
            value = self._affixes.compound_value(list(merged)) & OF_WORDS
            if value & ONLY and not value & COMPOUND:
                value |= COMPOUND
            if not is_only:
                value &= ~ONLY
            self._words[word] = _Word(merged, value)
            return
        if value & ONLY and not value & COMPOUND:
            value |= COMPOUND
        self._words[word] = _Word(frozenset(flags), value)

    def _compound_affixes(self) -> list[tuple[str, bool]]:
        """The affixes that may stand between the words of a compound, the shortest of those that begin alike."""
        used = {flag for word in self._words.values() for flag in word.flags}
        found: list[tuple[str, bool]] = []
        ordered = sorted(self._affixes.found, key=lambda each: (each.is_suffix, _order(each)))
        for affix in ordered:
            if affix.flags & COMPOUND and affix.put and affix.flag in used:
                if not found or found[-1][1] != affix.is_suffix or not affix.put.endswith(found[-1][0]):
                    found.append((affix.put, affix.is_suffix))
        return found

    # looking up

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """See ``Dictionary``."""
        if not word:
            return None
        found = self._normalized(ctype.lower(word))
        return None if not found else [each for each in found if each.text not in self._stop]

    def _normalized(self, word: str) -> list[Lexeme]:
        out = [Lexeme(form, variant) for variant, form in enumerate(self._forms(word, 0), 1)]
        if not self._affixes.compound:
            return out
        variant = len(out) + 1
        for split in self._splits(word, None, 0, -1, False, [0]):
            stems = split.stems
            if len(stems) < 2:
                continue
            for last in self._forms(stems[-1], LAST):
                out += [Lexeme(each, variant) for each in (*stems[:-1], last)]
                variant += 1
        return out

    def _is_word(self, word: str, flag: str, compound: int) -> bool:
        found = self._words.get(word)
        if found is None:
            return False
        if compound == 0:
            if found.compound & ONLY:
                return False
        elif not compound & found.compound:
            return False
        return not flag or flag in found.flags

    def _endings(self, word: str, is_suffix: bool) -> Iterator[Affix]:
        """The affixes that the word may have, the shortest first."""
        table = self._suffixes if is_suffix else self._prefixes
        for length in range(min(self._longest[is_suffix], len(word)) + 1):
            part = word[len(word) - length :] if is_suffix else word[:length]
            yield from table.get(part, ())

    def _forms(self, word: str, compound: int) -> list[str]:
        """The base words, each in its place of a compound (0: alone)."""
        if len(word) > _LETTERS_MAX:
            return []
        forms: list[str] = []

        def add(form: str) -> None:
            if len(forms) < _FORMS_MAX and (not forms or forms[-1] != form):
                forms.append(form)

        if self._is_word(word, "", compound):
            add(word)
        for prefix in self._endings(word, False):
            base = _without(word, prefix, compound, None)
            if base is not None and self._is_word(base[0], prefix.flag, compound):
                add(base[0])
        for suffix in self._endings(word, True):
            base = _without(word, suffix, compound, None)
            if base is None:
                continue
            if self._is_word(base[0], suffix.flag, compound):
                add(base[0])
            for prefix in self._endings(base[0], False):
                both = _without(base[0], prefix, compound, base[1])
                if both is not None:
                    crosses = prefix.flags & suffix.flags & CROSS
                    if self._is_word(both[0], "" if crosses else prefix.flag, compound):
                        add(both[0])
        return forms

    # compounds

    def _begins_word(self, start: str) -> bool:
        at = bisect_left(self._sorted, start)
        return at < len(self._sorted) and self._sorted[at].startswith(start)

    def _links(self, word: str, level: int, in_place: bool) -> Iterator[int]:
        """How much longer a part may be by an affix that links it to the next: letters from ``level`` on."""
        rest = word[level:]
        for text, is_suffix in self._linking:
            if len(rest) <= len(text):
                continue
            at = 0 if in_place and rest.startswith(text) else -1 if in_place else rest.find(text)
            if at >= 0:
                yield at + len(text) if is_suffix else 0

    def _splits(
        self, word: str, before: _Split | None, start: int, least: int, inside: bool, count: list[int]
    ) -> list[_Split]:
        """All ways from ``start`` on; ``inside``: letters up to ``least`` are known to begin a word."""
        HUB.pulse()
        count[0] += 1
        if count[0] > _SPLITS_MAX:
            return []  # PostgreSQL would go on, for ever with a word made for that
        made = _Split([] if before is None else list(before.stems))
        ways = [made]
        level = least if inside else start
        known = True
        untried = [True] * len(word)
        while level < len(word):
            if level > start:
                for link in self._links(word, level, known):
                    length = level - start + link
                    if not untried[start + length - 1] or level + length - 1 <= least or length >= _LETTERS_MAX:
                        continue
                    place = BEGIN if level == 0 else LAST if level == len(word) - 1 else MIDDLE
                    forms = self._forms(word[start : start + length], place)
                    if forms:
                        untried[start + length - 1] = False
                        new = _Split([*made.stems, *forms])
                        ways += self._splits(word, new, start + length, start + length, False, count)
            if not known:
                break
            part = word[start : level + 1]
            if self._begins_word(part):
                found = self._words.get(part)
                place = BEGIN if start == 0 else LAST if level == len(word) - 1 else MIDDLE
                if found is not None and found.compound & place and untried[level] and level > least:
                    if len(word) == level + 1:
                        made.stems.append(word[start:])
                        return ways
                    ways += self._splits(word, made, start, level, True, count)
                    level += 1
                    made.stems.append(word[start:level])
                    start = level
                    continue
            else:
                known = False
            level += 1
        made.stems.append(word[start:])
        return ways


def _order(affix: Affix) -> bytes:
    text = affix.put.encode()
    return text[::-1] if affix.is_suffix else text


def _without(word: str, affix: Affix, compound: int, base: int | None) -> tuple[str, int] | None:
    """The word without the affix, and how much of it is unchanged; None where the affix is not for it."""
    flags = affix.flags
    if compound == 0:
        if flags & ONLY:
            return None
    elif flags & FORBID:
        return None
    elif compound & BEGIN:
        if not flags & BEGIN and affix.is_suffix:
            return None
    elif compound & MIDDLE:
        if not flags & MIDDLE:
            return None
    elif compound & LAST and not flags & LAST and not affix.is_suffix:
        return None
    if affix.is_suffix:
        left = len(word) - len(affix.put)
        made = word[:left] + affix.find
    else:
        if base is not None and base + len(affix.find) <= len(affix.put):
            return None
        left = 0 if base is None else base
        made = affix.find + word[len(affix.put) :]
    if affix.fits is not None and not affix.fits(made):
        return None
    return made, left
