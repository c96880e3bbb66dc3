"""Templates: a dictionary's options → the dictionary (manual, 12.6).

An option is a name and a text. A template refuses what it does not know; it reads its files at once, so that CREATE and
ALTER TEXT SEARCH DICTIONARY tell what is wrong with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from aurora.errors import InvalidParameterValue, SqlSyntaxError, UndefinedObject
from compute_node.types import ctype
from compute_node.types.textsearch import files
from compute_node.types.textsearch.dictionaries import (
    Dictionary,
    Find,
    PlainDictionary,
    SynonymDictionary,
    has_stemmer,
)
from compute_node.types.textsearch.ispell import IspellDictionary
from compute_node.types.textsearch.thesaurus import ThesaurusDictionary

Options = Iterable[tuple[str, str]]
_TRUE, _FALSE = frozenset(("true", "on", "1")), frozenset(("false", "off", "0"))


def _boolean(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise SqlSyntaxError(f"{name} requires a Boolean value")
    return lowered in _TRUE


class _Given:
    """The options of one dictionary: each once, under the names that messages have."""

    def __init__(self, template: str, options: Options, known: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        self._template, self._known = template, known
        for name, value in options:
            if name not in known:
                raise InvalidParameterValue(f'unrecognized {template} parameter: "{name}"')
            if name in self._values:
                raise InvalidParameterValue(f"multiple {known[name]} parameters")
            self._values[name] = value

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def need(self, name: str) -> str:
        found = self._values.get(name)
        if found is None:
            raise InvalidParameterValue(f"missing {self._known[name]} parameter")
        return found

    def stop(self) -> frozenset[str]:
        name = self._values.get("stopwords")
        return frozenset() if name is None else stop_words(name)


@lru_cache(maxsize=64)
def _own_stop_words(name: str) -> frozenset[str] | None:
    from compute_node.types.textsearch.configurations import builtin

    words = builtin()["stop"].get(name)
    return None if words is None else frozenset(words.split())


def stop_words(name: str) -> frozenset[str]:
    """Those of a file, or of a language of PostgreSQL's."""
    if files.find(name, "stop") is None and (own := _own_stop_words(name)) is not None:
        return own
    words = (ctype.lower(line.split()[0]) for line in files.lines(name, "stop", "stop-word") if line.strip())
    return frozenset(words)


def _simple(options: Options, find: Find) -> Dictionary:
    given = _Given("simple dictionary", options, {"stopwords": "StopWords", "accept": "Accept"})
    accepts = given.get("accept")
    return PlainDictionary(given.stop(), None, accepts is None or _boolean("accept", accepts))


def _snowball(options: Options, find: Find) -> Dictionary:
    given = _Given("Snowball", options, {"stopwords": "StopWords", "language": "Language"})
    stop = given.stop()
    language = given.need("language").lower()
    if not has_stemmer(language):
        raise UndefinedObject(
            f'no Snowball stemmer available for language "{given.need("language")}" and encoding "UTF8"'
        )
    return PlainDictionary(stop, language)


def _synonym(options: Options, find: Find) -> Dictionary:
    given = _Given("synonym", options, {"synonyms": "Synonyms", "casesensitive": "CaseSensitive"})
    case = given.get("casesensitive")
    return SynonymDictionary(given.need("synonyms"), case is not None and _boolean("casesensitive", case))


def _thesaurus(options: Options, find: Find) -> Dictionary:
    given = _Given("Thesaurus", options, {"dictfile": "DictFile", "dictionary": "Dictionary"})
    name, normal = given.need("dictfile"), given.need("dictionary")
    files.lines(name, "ths", "thesaurus")
    return ThesaurusDictionary(name, find(normal))


def _ispell(options: Options, find: Find) -> Dictionary:
    given = _Given("Ispell", options, {"dictfile": "DictFile", "afffile": "AffFile", "stopwords": "StopWords"})
    affixes = given.need("afffile")
    return IspellDictionary(given.need("dictfile"), affixes, given.stop())


_TEMPLATES: Final[dict[int, Callable[[Options, Find], Dictionary]]] = {
    3726: _simple,
    3729: _synonym,
    3732: _ispell,
    3741: _thesaurus,
    13149: _snowball,
}
"""By the OID of what looks words up (pg_ts_template.tmpllexize)."""


def make(lexize: int, options: Options, find: Find) -> Dictionary:
    """A dictionary of the template that looks words up by that function. 22023, 42704, F0000."""
    template = _TEMPLATES.get(lexize)
    if template is None:
        raise InvalidParameterValue(f"function {lexize} looks no words up")
    return template(options, find)


_OPTION: Final = re.compile(r"""\s*("(?:[^"]|"")*"|\w+)\s*=\s*(E?'(?:[^'\\]|''|\\.)*'|[^\s,']+)\s*,?""", re.DOTALL)


_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")


class Number(str):
    """An option's value that was written as a number: it is kept as one."""

    __slots__ = ()


def read_options(text: str | None) -> list[tuple[str, str]]:
    """What pg_ts_dict.dictinitoption says."""
    out = []
    for name, value in _OPTION.findall(text or ""):
        shown = name[1:-1].replace('""', '"') if name.startswith('"') else name
        if _NUMBER.fullmatch(value):
            value = Number(value)
        elif value.startswith("E'"):
            value = value[2:-1].replace("''", "'").replace("\\\\", "\\")
        elif value.startswith("'"):
            value = value[1:-1].replace("''", "'")
        out.append((shown, value))
    return out
