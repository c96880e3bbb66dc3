"""The kinds of objects that are one catalog row in a schema, with an owner and no privileges."""

from __future__ import annotations

from typing import NamedTuple

from pglast import enums

from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_CONVERSION,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_STATISTIC_EXT,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TS_PARSER,
    CLASS_TS_TEMPLATE,
)

_O = enums.ObjectType


class SchemaObject(NamedTuple):
    """A kind: its catalog, what its columns' names begin with, and how messages call it."""

    catalog: str
    prefix: str
    noun: str
    class_oid: int
    encoding: str = ""
    """what is said of one that is not there"""
    has_owner: bool = True
    """the others are superusers'"""
    has_method: bool = False
    """whether it is of an access method, which its name begins with"""

    @property
    def tag(self) -> str:
        """The command tag of ALTER."""
        return f"ALTER {self.noun.removesuffix(' object').upper()}"


STATISTICS = SchemaObject("pg_statistic_ext", "stx", "statistics object", CLASS_STATISTIC_EXT)
KINDS: dict[enums.ObjectType, SchemaObject] = {
    _O.OBJECT_COLLATION: SchemaObject("pg_collation", "coll", "collation", CLASS_COLLATION, ' for encoding "UTF8"'),
    _O.OBJECT_CONVERSION: SchemaObject("pg_conversion", "con", "conversion", CLASS_CONVERSION),
    _O.OBJECT_TSCONFIGURATION: SchemaObject("pg_ts_config", "cfg", "text search configuration", CLASS_TS_CONFIGURATION),
    _O.OBJECT_TSDICTIONARY: SchemaObject("pg_ts_dict", "dict", "text search dictionary", CLASS_TS_DICTIONARY),
    _O.OBJECT_TSPARSER: SchemaObject("pg_ts_parser", "prs", "text search parser", CLASS_TS_PARSER, has_owner=False),
    _O.OBJECT_TSTEMPLATE: SchemaObject(
        "pg_ts_template", "tmpl", "text search template", CLASS_TS_TEMPLATE, has_owner=False
    ),
    _O.OBJECT_OPCLASS: SchemaObject("pg_opclass", "opc", "operator class", CLASS_OPCLASS, has_method=True),
    _O.OBJECT_OPFAMILY: SchemaObject("pg_opfamily", "opf", "operator family", CLASS_OPFAMILY, has_method=True),
    _O.OBJECT_STATISTIC_EXT: STATISTICS,
    _O.OBJECT_OPERATOR: SchemaObject("pg_operator", "opr", "operator", CLASS_OPERATOR),
}
