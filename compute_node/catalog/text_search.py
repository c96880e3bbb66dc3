"""Text search as the catalog has it: rows of pg_ts_config, pg_ts_config_map, pg_ts_dict → what makes lexemes.

A layer of the catalog keeps what has been made (``LOADERS``), until one of these rows changes: then files of
dictionaries are read anew, too. Source: PostgreSQL manual, ch. 12.6 and 12.7.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum
from aurora.errors import InternalError, UndefinedObject
from compute_node.extensions.library import TEMPLATES
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.types.textsearch.configurations import Configuration
from compute_node.types.textsearch.dictionaries import Dictionary
from compute_node.types.textsearch.templates import make, read_options

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

DICTIONARY: Final = "text search dictionary"
CONFIGURATION: Final = "text search configuration"
CONFIGURATION_OID: Final = "text search configuration oid"
CATALOGS: Final = ("pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_template")
_PATH: Final = ("pg_catalog", "public")


def named_dictionary(layer: CatalogLayer, name: str) -> Dictionary:
    """By a name as an option has it: with a schema, or in pg_catalog or public. 42704."""
    schema, _, bare = name.rpartition(".")
    for each in (schema,) if schema else _PATH:
        namespace = layer.namespace_oid(each.strip('"'))
        for row in layer.reader.find("pg_ts_dict", dictname=bare.strip('"'), dictnamespace=namespace):
            found: Dictionary = layer.ask(DICTIONARY, row.oid)
            return found
    raise UndefinedObject(f'text search dictionary "{name}" does not exist')


def made(layer: CatalogLayer, template: int, options: list[tuple[str, str]]) -> Dictionary:
    """A dictionary of a template; errors are those of its options and files."""
    row = layer.reader.one("pg_ts_template", oid=template)
    if row is None:
        raise InternalError(f"cache lookup failed for text search template {template}")
    find = partial(named_dictionary, layer)
    lexize = layer.reader.one("pg_proc", oid=row.tmpllexize) if row.tmpllexize >= FIRST_NORMAL_OID else None
    of_extension = None if lexize is None else TEMPLATES.get(lexize.prosrc)
    return make(row.tmpllexize, options, find) if of_extension is None else of_extension(options, find)


def _dictionary(layer: CatalogLayer, oid: int) -> Dictionary:
    row = layer.reader.one("pg_ts_dict", oid=oid)
    if row is None:
        raise InternalError(f"cache lookup failed for text search dictionary {oid}")
    return made(layer, row.dicttemplate, read_options(row.dictinitoption))


def _configuration(layer: CatalogLayer, oid: int) -> Configuration:
    row = layer.reader.one("pg_ts_config", oid=oid)
    if row is None:
        raise InternalError(f"cache lookup failed for text search configuration {oid}")
    maps: dict[int, list[tuple[int, Dictionary]]] = {}
    entries = sorted(layer.reader.find("pg_ts_config_map", mapcfg=oid), key=lambda each: each.mapseqno)
    for entry in entries:
        found = (entry.mapdict, layer.ask(DICTIONARY, entry.mapdict))
        maps.setdefault(entry.maptokentype, []).append(found)
    return Configuration(oid, row.cfgname, maps)


def _oid(layer: CatalogLayer, name: str, namespace: int) -> int | None:
    row = layer.reader.one("pg_ts_config", cfgname=name, cfgnamespace=namespace)
    return None if row is None else int(row.oid)


LOADERS: dict[str, Callable[..., Datum]] = {
    DICTIONARY: _dictionary,
    CONFIGURATION: _configuration,
    CONFIGURATION_OID: _oid,
}
