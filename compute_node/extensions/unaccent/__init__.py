"""unaccent: a filtering dictionary that replaces characters by rules (manual, F.48).

A rule is a line of a file ``NAME.rules``: what is replaced, and by what, nothing if that is missing; of several that
fit the longest counts. The rules ``unaccent`` are made of ``letters.txt`` where there is no such file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from aurora.errors import InvalidParameterValue
from compute_node.extensions.library import TEMPLATES, define, supports
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch import files
from compute_node.types.textsearch.dictionaries import FILTER, Dictionary, Find, Lexeme, Lexemes, State, asked
from compute_node.types.textsearch.templates import Options

_LETTERS: Final = Path(__file__).parent / "letters.txt"
_OWN_RULES: Final = "unaccent"
_NOTHING: Final = '""'


@lru_cache(maxsize=1)
def _own_rules() -> dict[str, str]:
    rules: dict[str, str] = {}
    for line in _LETTERS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            continue
        made, *ranges = line.split(" ")
        for character in _characters(ranges):
            rules[character] = _without_marks(character) if made == "=" else made.removeprefix(_NOTHING)
    return rules


def _characters(ranges: Iterable[str]) -> Iterator[str]:
    for each in ranges:
        first, _, last = each.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


def _without_marks(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(each for each in decomposed if not unicodedata.combining(each))


def _rules(name: str) -> dict[str, str]:
    """F0000 for a file that is not there."""
    if name == _OWN_RULES and files.find(name, "rules") is None:
        return _own_rules()
    rules: dict[str, str] = {}
    for line in files.lines(name, "rules", "unaccent"):
        words = line.split()
        if 1 <= len(words) <= 2:
            rules.setdefault(words[0], words[1] if len(words) > 1 else "")
    return rules


class UnaccentDictionary:
    """See the module. What it gives is looked up in the dictionaries behind it."""

    is_total = False

    def __init__(self, rules: dict[str, str]) -> None:
        self._rules = rules
        self._longest = max(map(len, rules), default=0)
        self._single = str.maketrans(rules) if self._longest <= 1 else None

    def replaced(self, text: str) -> str:
        """The text by the rules."""
        if self._single is not None:
            return text.translate(self._single)
        parts, at = [], 0
        while at < len(text):
            for length in range(self._longest, 0, -1):
                made = self._rules.get(text[at : at + length])
                if made is not None:
                    break
            else:
                made, length = text[at], 1
            parts.append(made)
            at += length
        return "".join(parts)

    def lexize(self, word: str, state: State) -> Lexemes | None:
        """See ``Dictionary``."""
        made = self.replaced(word)
        return None if made == word else [Lexeme(made, 0, FILTER)]


def _template(options: Options, find: Find) -> Dictionary:
    """22023 for options that are not one RULES."""
    given = None
    for name, value in options:
        if name != "rules":
            raise InvalidParameterValue(f'unrecognized Unaccent parameter: "{name}"')
        if given is not None:
            raise InvalidParameterValue("multiple Rules parameters")
        given = value
    if given is None:
        raise InvalidParameterValue("missing Rules parameter")
    return UnaccentDictionary(_rules(given))


def _unaccent(context: FunctionContext, dictionary: int, text: str) -> str:
    """What any dictionary makes of the whole text: its first lexeme, the text itself where it does not know it."""
    found = asked(context.session.catalog_function("text_search_dictionary", dictionary), text)
    return found[0].text if found else text


TEMPLATES["unaccent_lexize"] = _template
define("unaccent_dict", 2, _unaccent, needs_context=True)
supports("unaccent_init 1 unaccent_lexize 4")
