"""Thesaurus dictionaries: phrases that are replaced as a whole (manual, 12.6.4).

A rule is ``sample words : substitute words``. Both are normalized by a second dictionary, but for a substitute word
after ``*``. ``?`` in a sample stands for a stop word. Of several rules that match, the longest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from aurora.errors import ConfigFileError, SqlError
from compute_node.types.textsearch import files
from compute_node.types.textsearch.dictionaries import NEXT_PLACE, Dictionary, Lexeme, Lexemes, State, asked

_STOP: Final = None
_Key = tuple[str | None, int]
"""A lexeme (None: a stop word), and how many lexemes its variant has"""


class _Rule(NamedTuple):
    samples: tuple[frozenset[_Key], ...]
    substitute: tuple[Lexeme, ...]


class _Partial(NamedTuple):
    """What is matched so far: the rules, the last one first, and how many words."""

    rules: list[int]
    place: int


class ThesaurusDictionary:
    """See the module."""

    is_total = False

    def __init__(self, name: str, normal: Dictionary) -> None:
        self._normal = normal
        self._rules = [self._rule(number, *parts) for number, parts in enumerate(_read(name), 1)]
        self._first: dict[_Key, list[int]] = {}
        for number, rule in enumerate(self._rules):
            for key in rule.samples[0]:
                self._first.setdefault(key, []).append(number)

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """See ``Dictionary``."""
        before = state.kept if isinstance(state.kept, _Partial) else None
        state.kept, state.wants_next = None, False
        if state.is_end:
            return None
        found = self._normal.lexize(word, State())
        if found is None:
            return None
        place = 0 if before is None else before.place
        rules: list[int] = []
        for variant in _variants(found):
            rules += [each for each in self._matching(variant, place, before) if each not in rules]
        rules.sort(reverse=True)
        if not rules:
            return None
        state.kept = _Partial(rules, place + 1)
        for at, number in enumerate(rules):
            if len(self._rules[number].samples) == place + 1:
                state.wants_next = at + 1 < len(rules) or at > 0
                return self._rules[number].substitute
        state.wants_next = True
        return None

    def _matching(self, variant: Sequence[str | None], place: int, before: _Partial | None) -> Iterator[int]:
        keys = [(lexeme, len(variant)) for lexeme in variant]
        candidates = self._first.get(keys[0], []) if before is None else before.rules
        for number in candidates:
            samples = self._rules[number].samples
            if place < len(samples) and all(key in samples[place] for key in keys):
                yield number

    def _rule(self, number: int, sample: list[str], substitute: list[str]) -> _Rule:
        keys = tuple(frozenset(self._sample(word, number)) for word in sample)
        made: list[Lexeme] = []
        for word in substitute:
            new = list(self._substitute(word, number))
            if made:
                new[0] = new[0]._replace(flags=new[0].flags | NEXT_PLACE)
            made += new
        return _Rule(keys, tuple(made))

    def _sample(self, word: str, number: int) -> Iterator[_Key]:
        if word == "?":
            yield _STOP, 1
            return
        found = asked(self._normal, word)
        if found is None:
            raise ConfigFileError(f'thesaurus sample word "{word}" isn\'t recognized by subdictionary (rule {number})')
        if not found:
            raise ConfigFileError(
                f'thesaurus sample word "{word}" is a stop word (rule {number})',
                hint='Use "?" to represent a stop word within a sample phrase.',
            )
        for variant in _variants(found):
            for lexeme in variant:
                yield lexeme, len(variant)

    def _substitute(self, word: str, number: int) -> Lexemes:
        if word.startswith("*"):
            return [Lexeme(word[1:])]
        found = asked(self._normal, word)
        if found is None:
            raise ConfigFileError(
                f'thesaurus substitute word "{word}" isn\'t recognized by subdictionary (rule {number})'
            )
        if not found:
            raise ConfigFileError(f'thesaurus substitute word "{word}" is a stop word (rule {number})')
        return found


def _variants(found: Lexemes) -> Iterator[list[str | None]]:
    """The lexemes by variant; of a stop word one that is none."""
    if not found:
        yield [_STOP]
        return
    group: list[str | None] = []
    last = found[0].variant
    for lexeme in found:
        if lexeme.variant != last:
            yield group
            group, last = [], lexeme.variant
        group.append(lexeme.text)
    yield group


def _read(name: str) -> Iterator[tuple[list[str], list[str]]]:
    for line in files.lines(name, "ths", "thesaurus"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        sample, colon, substitute = bare.partition(":")
        if not colon or not sample.strip():
            raise _wrong("unexpected delimiter" if colon else "unexpected end of line or lexeme")
        if not substitute.strip() or ":" in substitute:
            raise _wrong("unexpected end of line" if not substitute.strip() else "unexpected delimiter")
        yield sample.split(), substitute.split()


def _wrong(what: str) -> SqlError:
    return ConfigFileError(what)
