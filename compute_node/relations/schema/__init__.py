"""The shape of the system catalogs: recorded facts → descriptors that need no catalog to be read.

Input: the JSON files beside this module (made by ``record``). Output: ``CATALOGS``, by relation name, and
``SYSTEM_VIEWS``. Every system catalog and its indexes are mapped relations: their relfile is their OID, for ever, so
the first read of a volume needs nothing but this module. Source: PostgreSQL manual, ch. 53 "System Catalogs".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc

_HERE = Path(__file__).parent

NAMESPACE_CATALOG: Final = 11
NAMESPACE_TOAST: Final = 99
NAMESPACE_PUBLIC: Final = 2200
NAMESPACE_INFORMATION_SCHEMA: Final = 13207
ROLE_POSTGRES: Final = 10
FIRST_NORMAL_OID: Final = 16384
HEAP_AM: Final = 2
BTREE_AM: Final = 403

USUAL_ACL: Final = ["10=arwdDxt/10", "=r/10"]
"""access control list of most system catalogs and views; ``acls.json`` has the others"""

_DOMAIN_BASES: Final = {13221: (23, -1), 13224: (1043, -1), 13226: (19, -1), 13232: (1184, 2), 13234: (1043, 7)}
"""information_schema's domains, which stand here as their base types (type, typmod)."""


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """One system catalog: its descriptor, array type and the position of each column in a row."""

    desc: RelationDesc
    array_type: int
    position: dict[str, int]

    def index_on(self, *columns: str) -> IndexDesc:
        """The index whose leading columns are these; KeyError when the catalog has none."""
        wanted = tuple(self.position[name] + 1 for name in columns)
        for index in self.desc.indexes:
            if index.columns[: len(wanted)] == wanted:
                return index
        raise KeyError(f"{self.desc.name} has no index on {columns}")


@dataclass(frozen=True, slots=True)
class SystemView:
    """The recorded outside of a system view; its SQL is in ``catalog/views.py``."""

    oid: int
    name: str
    schema: str
    row_type: int
    array_type: int
    columns: tuple[ColumnDesc, ...]


def load_json(name: str) -> Any:
    """A recorded file's content."""
    return json.loads((_HERE / name).read_text())


def _table(name: str, fact: dict[str, Any]) -> CatalogTable:
    columns = tuple(
        ColumnDesc(attno, column, type_oid, typmod, not_null, collation=collation)
        for attno, (column, type_oid, typmod, not_null, collation) in enumerate(fact["columns"], 1)
    )
    indexes = tuple(
        IndexDesc(
            oid=oid,
            relfile=oid,
            name=index_name,
            columns=tuple(keys),
            unique=unique,
            primary=primary,
            descending=(False,) * len(keys),
            nulls_first=(False,) * len(keys),
            key_types=tuple(columns[key - 1].type for key in keys),
            operator_classes=tuple(classes),
        )
        for oid, index_name, unique, primary, keys, classes in fact["indexes"]
    )
    desc = RelationDesc(
        oid=fact["oid"],
        relfile=fact["oid"],
        name=name,
        schema="pg_catalog",
        namespace=NAMESPACE_CATALOG,
        kind="r",
        columns=columns,
        indexes=indexes,
        row_type=fact["type"],
        is_shared=fact["shared"],
    )
    return CatalogTable(desc, fact["array"], {column.name: column.attno - 1 for column in columns})


def _view(qualified: str, fact: dict[str, Any]) -> SystemView:
    schema, name = qualified.split(".")
    columns = []
    for attno, (column, type_oid, typmod, collation) in enumerate(fact["columns"], 1):
        base, base_typmod = _DOMAIN_BASES.get(type_oid, (type_oid, typmod))
        columns.append(ColumnDesc(attno, column, base, base_typmod, False, collation=collation))
    return SystemView(fact["oid"], name, schema, fact["type"], fact["array"], tuple(columns))


CATALOGS: Final[dict[str, CatalogTable]] = {name: _table(name, fact) for name, fact in load_json("tables.json").items()}

CATALOGS_BY_OID: Final[dict[int, CatalogTable]] = {table.desc.oid: table for table in CATALOGS.values()}

SYSTEM_VIEWS: Final[dict[str, SystemView]] = {name: _view(name, fact) for name, fact in load_json("views.json").items()}
