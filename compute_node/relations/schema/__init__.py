"""The shape of the system catalogs: recorded facts → descriptors that need no catalog to be read.

Input: the JSON files beside this module (made by ``record``). Output: ``CATALOGS``, by relation name, and
``SYSTEM_VIEWS``. Every system catalog and its indexes are mapped relations: in the initial database their relfile is
their OID, for ever, so the first read of a volume needs nothing but this module; ``SystemCatalogs`` are those of
another database. Source: PostgreSQL manual, ch. 53 "System Catalogs".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aurora.ids import Oid, RelFile
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc

if TYPE_CHECKING:
    from aurora.documents import JsonObject


_HERE = Path(__file__).parent

NAMESPACE_CATALOG: Final = 11
NAMESPACE_TOAST: Final = 99
NAMESPACE_PUBLIC: Final = 2200
NAMESPACE_INFORMATION: Final = 13207
ROLE_POSTGRES: Final = 10
FIRST_NORMAL_OID: Final = 16384
NAMESPACES: Final = {"pg_catalog": NAMESPACE_CATALOG, "information_schema": NAMESPACE_INFORMATION}
INITIAL_DATABASE: Final = 5
"""The database whose catalogs' relation files are their OIDs: postgres, which every volume begins with."""
HEAP_AM: Final = 2
BTREE_AM: Final = 403
HASH_AM: Final = 405

USUAL_ACL: Final = ["10=arwdDxt/10", "=r/10"]
"""access control list of most system catalogs and views; ``acls.json`` has the others, empty for those without one"""

DOMAIN_BASES: Final = {13221: (23, -1), 13224: (1043, -1), 13226: (19, -1), 13232: (1184, 2), 13234: (1043, 7)}
"""The base types of information_schema's domains: (type, typmod)."""

_TOAST: Final = {
    "pg_aggregate": (4159, 4160),
    "pg_attrdef": (2830, 2831),
    "pg_authid": (4175, 4176),
    "pg_collation": (6175, 6176),
    "pg_constraint": (2832, 2833),
    "pg_database": (4177, 4178),
    "pg_db_role_setting": (2966, 2967),
    "pg_default_acl": (4143, 4144),
    "pg_description": (2834, 2835),
    "pg_event_trigger": (4145, 4146),
    "pg_extension": (4147, 4148),
    "pg_foreign_data_wrapper": (4149, 4150),
    "pg_foreign_server": (4151, 4152),
    "pg_foreign_table": (4153, 4154),
    "pg_init_privs": (4155, 4156),
    "pg_language": (4157, 4158),
    "pg_namespace": (4163, 4164),
    "pg_parameter_acl": (6244, 6245),
    "pg_partitioned_table": (4165, 4166),
    "pg_policy": (4167, 4168),
    "pg_proc": (2836, 2837),
    "pg_publication_rel": (6228, 6229),
    "pg_replication_origin": (4181, 4182),
    "pg_rewrite": (2838, 2839),
    "pg_seclabel": (3598, 3599),
    "pg_shdescription": (2846, 2847),
    "pg_shseclabel": (4060, 4061),
    "pg_statistic": (2840, 2841),
    "pg_statistic_ext": (3439, 3440),
    "pg_statistic_ext_data": (3430, 3431),
    "pg_subscription": (4183, 4184),
    "pg_tablespace": (4185, 4186),
    "pg_trigger": (2336, 2337),
    "pg_ts_dict": (4169, 4170),
    "pg_type": (4171, 4172),
    "pg_user_mapping": (4173, 4174),
    "sql_features": (13394, 13395),
    "sql_implementation_info": (13399, 13400),
    "sql_parts": (13404, 13405),
    "sql_sizing": (13409, 13410),
}
"""System catalogs with a TOAST table: its OID and its index's."""

TOAST_COLUMNS: Final = (
    ColumnDesc(1, "chunk_id", 26, -1, False, storage="p"),
    ColumnDesc(2, "chunk_seq", 23, -1, False, storage="p"),
    ColumnDesc(3, "chunk_data", 17, -1, False, storage="p"),
)


def toast_name(oid: int) -> str:
    """The name of a table's TOAST table."""
    return f"pg_toast_{oid}"


def toast_index(oid: int, relfile: int, name: str) -> IndexDesc:
    """The index of the TOAST table ``name``."""
    return IndexDesc(
        oid=Oid(oid),
        relfile=RelFile(relfile),
        name=f"{name}_index",
        columns=(1, 2),
        unique=True,
        primary=True,
        descending=(False, False),
        nulls_first=(False, False),
        key_types=(26, 23),
        operator_classes=(1981, 1978),
    )


def _toast(name: str, fact: dict[str, Any]) -> RelationDesc | None:
    if name not in _TOAST:
        return None
    oid, index = _TOAST[name]
    return RelationDesc(
        oid=Oid(oid),
        relfile=RelFile(oid),
        name=toast_name(fact["oid"]),
        schema="pg_toast",
        namespace=NAMESPACE_TOAST,
        kind="t",
        columns=TOAST_COLUMNS,
        indexes=(toast_index(index, index, toast_name(fact["oid"])),),
        is_shared=fact["shared"],
    )


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """One system catalog: its descriptor, array type and the position of each column in a row. ``declared``: its
    columns as ``pg_attribute`` has them, with their domains, of which the descriptor has the base types."""

    desc: RelationDesc
    array_type: int
    position: dict[str, int]
    declared: tuple[ColumnDesc, ...]


@dataclass(frozen=True, slots=True)
class SystemView:
    """The recorded outside of a system view; its SQL is in ``catalog/views.py``."""

    oid: int
    name: str
    schema: str
    row_type: int
    array_type: int
    columns: tuple[ColumnDesc, ...]


def load_json(name: str) -> JsonObject:
    """A recorded file's content."""
    content: JsonObject = json.loads((_HERE / name).read_text())
    return content


def _table(name: str, fact: dict[str, Any]) -> CatalogTable:
    declared = tuple(
        ColumnDesc(attno, column, type_oid, typmod, not_null, collation=collation)
        for attno, (column, type_oid, typmod, not_null, collation) in enumerate(fact["columns"], 1)
    )
    columns = tuple(_of_base(column) for column in declared)
    schema = fact.get("schema", "pg_catalog")
    indexes = tuple(
        IndexDesc(
            oid=Oid(oid),
            relfile=RelFile(oid),
            name=index_name,
            columns=tuple(keys),
            unique=unique,
            primary=primary,
            descending=(False,) * len(keys),
            nulls_first=(False,) * len(keys),
            key_types=tuple(columns[key - 1].type for key in keys),
            collations=tuple(columns[key - 1].collation for key in keys),
            operator_classes=tuple(classes),
        )
        for oid, index_name, unique, primary, keys, classes in fact["indexes"]
    )
    desc = RelationDesc(
        oid=fact["oid"],
        relfile=fact["oid"],
        name=name,
        schema=schema,
        namespace=NAMESPACES[schema],
        kind="r",
        columns=columns,
        indexes=indexes,
        row_type=fact["type"],
        is_shared=fact["shared"],
        toast=_toast(name, fact),
        database=0 if fact["shared"] else INITIAL_DATABASE,
    )
    return CatalogTable(desc, fact["array"], {column.name: column.attno - 1 for column in columns}, declared)


def _of_base(column: ColumnDesc) -> ColumnDesc:
    """The column with the base type of its domain, if it has one."""
    base, typmod = DOMAIN_BASES.get(column.type, (column.type, column.typmod))
    return column if base == column.type else replace(column, type=base, typmod=typmod)


def _view(qualified: str, fact: dict[str, Any]) -> SystemView:
    schema, name = qualified.split(".")
    columns = []
    for attno, (column, type_oid, typmod, collation) in enumerate(fact["columns"], 1):
        columns.append(ColumnDesc(attno, column, type_oid, typmod, False, collation=collation))
    return SystemView(fact["oid"], name, schema, fact["type"], fact["array"], tuple(columns))


CATALOGS: Final[dict[str, CatalogTable]] = {name: _table(name, fact) for name, fact in load_json("tables.json").items()}

CATALOGS_BY_OID: Final[dict[int, CatalogTable]] = {table.desc.oid: table for table in CATALOGS.values()}

SYSTEM_VIEWS: Final[dict[str, SystemView]] = {name: _view(name, fact) for name, fact in load_json("views.json").items()}


def storage_oids(desc: RelationDesc) -> list[RelFile]:
    """The relation files of a catalog of the initial database: its own, its indexes', its TOAST table's and index's."""
    found = [desc.relfile, *(index.relfile for index in desc.indexes)]
    if desc.toast is not None:
        found += storage_oids(desc.toast)
    return found


MAPPED: Final = tuple(
    sorted(oid for table in CATALOGS.values() if not table.desc.is_shared for oid in storage_oids(table.desc))
)
"""Those that every database has of its own."""


class SystemCatalogs:
    """The system catalogs of one database: ``tables`` by name, ``by_oid``. Shared ones are the same in all databases;
    ``relfiles`` says for each of ``MAPPED`` which relation file it is here, nothing for the initial database."""

    def __init__(self, database: int = INITIAL_DATABASE, relfiles: Mapping[int, RelFile] | None = None) -> None:
        self.database = database
        self.relfiles: Mapping[int, RelFile] = dict(zip(MAPPED, MAPPED, strict=True)) if relfiles is None else relfiles
        self.tables: Mapping[str, CatalogTable] = CATALOGS
        self.by_oid: Mapping[int, CatalogTable] = CATALOGS_BY_OID
        if relfiles is not None:
            self.tables = {name: self._moved(table, relfiles) for name, table in CATALOGS.items()}
            self.by_oid = {table.desc.oid: table for table in self.tables.values()}

    def _moved(self, table: CatalogTable, relfiles: Mapping[int, RelFile]) -> CatalogTable:
        if table.desc.is_shared:
            return table
        return replace(table, desc=self._desc(table.desc, relfiles))

    def _desc(self, desc: RelationDesc, relfiles: Mapping[int, RelFile]) -> RelationDesc:
        return replace(
            desc,
            database=self.database,
            relfile=relfiles[desc.relfile],
            indexes=tuple(replace(index, relfile=relfiles[index.relfile]) for index in desc.indexes),
            toast=None if desc.toast is None else self._desc(desc.toast, relfiles),
        )


INITIAL: Final = SystemCatalogs()
