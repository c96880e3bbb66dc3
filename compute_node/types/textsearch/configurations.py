"""Configurations: which dictionaries make lexemes of which kind of token (manual, 12.7).

Those of a database are rows of its catalog; what a session uses is kept by the catalog's layer
(``compute_node/catalog/text_search.py``). The built-in ones are in ``builtin.json``, from which their rows are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from aurora.datum import Datum
from aurora.errors import InternalError, UndefinedObject
from compute_node.types.textsearch.dictionaries import Dictionary, PlainDictionary
from compute_node.types.textsearch.templates import make, read_options

_LEXIZE = {3727: 3726, 3730: 3729, 3733: 3732, 3742: 3741, 13150: 13149}
"""Built-in template → the function that looks words up"""


class Configuration:
    """Dictionaries by kind of token, in the order in which they are asked. ``plain``: the only one that is ever asked,
    of each kind, where all of them know every word."""

    def __init__(self, oid: int, name: str, maps: Mapping[int, Sequence[tuple[int, Dictionary]]]) -> None:
        self.oid, self.name, self.maps = oid, name, maps
        self.dictionaries = {kind: [each for _, each in found] for kind, found in maps.items()}
        self.plain = _plain(self.dictionaries)


def _plain(dictionaries: Mapping[int, Sequence[Dictionary]]) -> dict[int, PlainDictionary] | None:
    found: dict[int, PlainDictionary] = {}
    for kind, each in dictionaries.items():
        first = each[0]
        if not isinstance(first, PlainDictionary) or not first.is_total:
            return None
        found[kind] = first
    return found


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
            return make(_LEXIZE[template], read_options(options), _find)
    raise InternalError(f"cache lookup failed for text search dictionary {oid}")


def _find(name: str) -> Dictionary:
    for number, each, _, _ in builtin()["dictionaries"]:
        if each == name:
            return dictionary(number)
    raise UndefinedObject(f'text search dictionary "{name}" does not exist')


@cache
def configuration(oid: int) -> Configuration:
    """A built-in configuration as it first was; XX000 for another OID."""
    for number, name, _ in builtin()["configurations"]:
        if number == oid:
            maps = {
                kind: [(dictionary_oid, dictionary(dictionary_oid))]
                for map_oid, dictionary_oid, _, kinds in builtin()["maps"]
                if map_oid == oid
                for kind in kinds
            }
            return Configuration(oid, name, maps)
    raise InternalError(f"cache lookup failed for text search configuration {oid}")
