"""Dictionaries: a word → its lexemes; the templates simple, synonym and snowball (manual, 12.6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from compute_node.types import ctype
from compute_node.types.textsearch import files

PREFIX, FILTER, NEXT_PLACE = 1, 2, 4
"""Flags of a lexeme: it stands for all words that begin so; it is another word to look up; it stands a place on"""
_STEMMED_BYTES_MAX: Final = 1000
_KNOWN_MAX: Final = 20_000


class Lexeme(NamedTuple):
    """What a dictionary makes of a word. Lexemes of one ``variant`` belong together: parts of a compound."""

    text: str
    variant: int = 0
    flags: int = 0


Lexemes = Sequence[Lexeme]


class State:
    """Between a dictionary and who asks it word by word: ``wants_next`` is its answer, ``is_end`` and ``kept`` what it
    gets."""

    __slots__ = ("is_end", "kept", "wants_next")

    def __init__(self) -> None:
        self.is_end = self.wants_next = False
        self.kept: object = None


class Dictionary(Protocol):
    """What a template makes of a dictionary's options."""

    is_total: bool
    """whether it knows every word, so that no dictionary behind it is ever asked"""

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """The word's lexemes; none of a stop word, None for a word that it does not know."""


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str:
        """A word's stem."""


class PlainDictionary:
    """The templates simple and snowball: a word is its lower case, or the stem of that. ``accepts``: also words that
    are no stop words."""

    def __init__(self, stop: frozenset[str], language: str | None = None, accepts: bool = True) -> None:
        self.stop, self.language, self.is_total = stop, language, accepts
        self._stemmer: _Stemmer | None = None
        self._known: dict[str, str] = {}

    def lexemes(self, word: str) -> list[str]:
        """Of a word as it is written, where it knows every word."""
        lowered = ctype.lower(word)
        if not lowered or lowered in self.stop:
            return []
        return [lowered if self.language is None else self._stem(lowered)]

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """See ``Dictionary``."""
        found = self.lexemes(word)
        if found and not self.is_total:
            return None
        return [Lexeme(each) for each in found]

    def _stem(self, word: str) -> str:
        found = self._known.get(word)
        if found is None:
            if len(word.encode()) > _STEMMED_BYTES_MAX:
                return word
            if self._stemmer is None:
                self._stemmer = stemmer(self.language or "")
            found = self._stemmer.stemWord(word)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[word] = found
        return found


def stemmer(language: str) -> _Stemmer:
    """KeyError for a language that there is none for."""
    import snowballstemmer

    made: _Stemmer = snowballstemmer.stemmer(language)
    return made


def has_stemmer(language: str) -> bool:
    """Whether words of that language can be stemmed."""
    import snowballstemmer

    return language in snowballstemmer.algorithms()


class SynonymDictionary:
    """Words that are replaced, one by one."""

    is_total = False

    def __init__(self, name: str, case_sensitive: bool) -> None:
        self._case_sensitive = case_sensitive
        self._found: dict[str, Lexeme] = {}
        for line in files.lines(name, "syn", "synonym"):
            words = line.split(None, 2)
            if len(words) < 2:
                continue
            word, made = (each if case_sensitive else ctype.lower(each) for each in words[:2])
            flags = 0
            if made.endswith("*"):
                made, flags = made[:-1], PREFIX
            self._found.setdefault(word, Lexeme(made, 0, flags))

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """See ``Dictionary``."""
        found = self._found.get(word if self._case_sensitive else ctype.lower(word)) if word else None
        return None if found is None else [found]


def asked(dictionary: Dictionary, word: str) -> Lexemes | None:
    """What it makes of one word alone: ts_lexize."""
    state = State()
    found = dictionary.lexize(word, state)
    if state.wants_next:
        state.is_end = True
        last = dictionary.lexize(word, state)
        if last is not None:
            found = last
    return found


Find = Callable[[str], Dictionary]
"""a dictionary by its name"""
