"""Dictionaries and configurations: which dictionary makes lexemes of which kind of token (manual, 12.6 and 12.7).

The built-in ones are read from ``builtin.json`` when the first is used; stemmers are the library snowballstemmer's.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Protocol

from aurora.datum import Datum
from aurora.errors import InternalError, InvariantViolation, UndefinedObject
from compute_node.types import ctype

SIMPLE_TEMPLATE, SNOWBALL_TEMPLATE = 3727, 13150
_OPTION = re.compile(r"(\w+) = '(\w+)'")
_STEMMED_BYTES_MAX = 1000


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str:
        """A word's stem."""


class Dictionary:
    """Makes a word's lexemes: one, or none for a stop word."""

    def __init__(self, stop: frozenset[str], language: str | None) -> None:
        self.stop, self.language = stop, language
        self._stemmer: _Stemmer | None = None
        self._known: dict[str, str] = {}

    def lexemes(self, word: str) -> list[str]:
        """Of a word as it is written."""
        lowered = ctype.lower(word)
        if not lowered or lowered in self.stop:
            return []
        return [lowered if self.language is None else self._stem(lowered)]

    def _stem(self, word: str) -> str:
        found = self._known.get(word)
        if found is None:
            if len(word.encode()) > _STEMMED_BYTES_MAX:
                return word
            if self._stemmer is None:
                self._stemmer = _stemmer(self.language or "")
            found = self._stemmer.stemWord(word)
            if len(self._known) >= 20_000:
                self._known.clear()
            self._known[word] = found
        return found


def _stemmer(language: str) -> _Stemmer:
    import snowballstemmer

    made: _Stemmer = snowballstemmer.stemmer(language)
    return made


class Configuration:
    """Dictionaries by kind of token."""

    def __init__(self, oid: int, name: str, by_kind: dict[int, Dictionary]) -> None:
        self.oid, self.name, self.by_kind = oid, name, by_kind


@cache
def builtin() -> dict[str, Datum]:
    """What PostgreSQL 15 has."""
    found: dict[str, Datum] = json.loads((Path(__file__).parent / "builtin.json").read_text())
    return found


@cache
def dictionary(oid: int) -> Dictionary:
    """A built-in dictionary; XX000 for another OID."""
    for number, _, template, options in builtin()["dictionaries"]:
        if number == oid:
            named = dict(_OPTION.findall(options or ""))
            stop = frozenset(builtin()["stop"][named["stopwords"]].split()) if "stopwords" in named else frozenset()
            if (template == SNOWBALL_TEMPLATE) != ("language" in named):
                raise InvariantViolation(f"dictionary {oid} has options {options}")
            return Dictionary(stop, named.get("language"))
    raise InternalError(f"cache lookup failed for text search dictionary {oid}")


@cache
def configuration(oid: int) -> Configuration:
    """A built-in configuration; XX000 for another OID."""
    for number, name, _ in builtin()["configurations"]:
        if number == oid:
            by_kind = {
                kind: dictionary(dictionary_oid)
                for map_oid, dictionary_oid, _, kinds in builtin()["maps"]
                if map_oid == oid
                for kind in kinds
            }
            return Configuration(oid, name, by_kind)
    raise InternalError(f"cache lookup failed for text search configuration {oid}")


@cache
def configuration_oid(setting: str) -> int:
    """The OID of what ``default_text_search_config`` names; 42704."""
    schema, _, name = setting.rpartition(".")
    for number, each, _ in builtin()["configurations"]:
        if each == name.strip('"') and schema.strip('"') in ("", "pg_catalog"):
            return int(number)
    raise UndefinedObject(f'text search configuration "{setting}" does not exist')
