"""One state of the catalog, loaded as it is asked for: catalog rows → descriptors, kept until the state changes.

A ``CatalogLayer`` reads through a ``CatalogReader``: the shared one reads what is committed, a transaction that has
changed the catalog has its own, which sees its changes. A layer is never repaired: a change makes a new one, that
takes over the descriptors of relations which the change did not touch. Invariant: two answers of one layer come from
one state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from aurora.errors import InternalError
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS, CATALOGS_BY_OID
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_DESC_FLAG, _NULLS_FIRST_FLAG = 1, 2
_RECORD_TYPE = 2249
_AUTHID = CATALOGS["pg_authid"].desc.oid
_MISSING = object()
NEUTRAL_ENV = TypeEnv(timezone=UTC)
"""Settings under which values are kept as text in the catalog (attmissingval)."""


@dataclass(frozen=True, slots=True)
class Role:
    """One row of pg_authid. ``verifier`` is the SCRAM-SHA-256 secret in PostgreSQL's form, None without a password;
    ``valid_until`` µs since 2000-01-01 UTC, None for ever."""

    oid: int
    name: str
    superuser: bool
    inherit: bool
    create_role: bool
    create_db: bool
    can_login: bool
    replication: bool
    bypass_rls: bool
    connection_limit: int
    verifier: str | None
    valid_until: int | None


class CatalogLayer:
    """Lookups by OID and by name in one state of the catalog; ``version`` names that state."""

    def __init__(self, reader: CatalogReader, version: int) -> None:
        self.reader = reader
        self.version = version
        self.views: dict[tuple[str, str, str | None], Any] = {}
        """the views made over this layer, by what decides the search path"""
        self._relations: dict[int, RelationDesc | None] = {}
        self._names: dict[tuple[int, str], int | None] = {}
        self._namespaces: dict[str, int | None] = {}
        self._namespace_names: dict[int, str] = {}
        self._types: dict[int, PgType | None] = {}
        self._type_names: dict[tuple[int, str], int | None] = {}
        self._roles: dict[str, Role | None] = {}
        self._role_names: dict[int, str | None] = {}
        self._databases: dict[str, Record | None] = {}

    def successor(self, reader: CatalogReader, version: int, changed: set[int]) -> CatalogLayer:
        """The layer after a change of the relations ``changed``; it keeps the other descriptors."""
        new = CatalogLayer(reader, version)
        new._relations = {oid: desc for oid, desc in self._relations.items() if desc is not None and oid not in changed}
        new._databases = self._databases
        if _AUTHID not in changed:
            new._roles, new._role_names = self._roles, self._role_names
        return new

    # namespaces

    def namespace_oid(self, name: str) -> int | None:
        """The schema's OID, None without one of that name."""
        if name not in self._namespaces:
            found = self.reader.one("pg_namespace", nspname=name)
            self._namespaces[name] = None if found is None else found.oid
        return self._namespaces[name]

    def namespace_name(self, oid: int) -> str | None:
        """The schema's name, None for an unknown OID."""
        if oid not in self._namespace_names:
            found = self.reader.one("pg_namespace", oid=oid)
            if found is None:
                return None
            self._namespace_names[oid] = found.nspname
        return self._namespace_names[oid]

    # relations

    def relation_oid(self, namespace: int, name: str) -> int | None:
        """The relation's OID by its schema and name."""
        key = (namespace, name)
        if key not in self._names:
            found = self.reader.one("pg_class", relname=name, relnamespace=namespace)
            self._names[key] = None if found is None else found.oid
        return self._names[key]

    def relation(self, oid: int) -> RelationDesc | None:
        """The descriptor of any kind of relation, indexes included; None for an unknown OID."""
        found = self._relations.get(oid, _MISSING)
        if found is _MISSING:
            found = self._relations[oid] = self._load_relation(oid)
        return found  # type: ignore[return-value]

    def _load_relation(self, oid: int) -> RelationDesc | None:
        row = self.reader.one("pg_class", oid=oid)
        if row is None:
            return None
        if oid in CATALOGS_BY_OID:
            return replace(CATALOGS_BY_OID[oid].desc, rows=row.reltuples, pages=row.relpages)
        columns = self._load_columns(oid)
        return RelationDesc(
            oid=oid,
            relfile=row.relfilenode,
            name=row.relname,
            schema=self.namespace_name(row.relnamespace) or "",
            namespace=row.relnamespace,
            kind=row.relkind,
            columns=columns,
            indexes=self._load_indexes(oid) if row.relhasindex else (),
            rows=row.reltuples,
            pages=row.relpages,
            owner=row.relowner,
            row_type=row.reltype,
            persistence=row.relpersistence,
            checks=self._load_checks(oid) if row.relchecks else (),
            view_sql=self._load_view(oid) if row.relkind == "v" else None,
            is_shared=row.relisshared,
            fillfactor=_fillfactor(row.reloptions),
            options=tuple(row.reloptions or ()),
            toast=self.relation(row.reltoastrelid) if row.reltoastrelid else None,
        )

    def _load_columns(self, oid: int) -> tuple[ColumnDesc, ...]:
        found = sorted(
            (row for row in self.reader.find("pg_attribute", attrelid=oid) if row.attnum > 0),
            key=lambda row: row.attnum,
        )
        defaults: dict[int, str] = {}
        if any(row.atthasdef for row in found):
            defaults = {row.adnum: row.adbin for row in self.reader.find("pg_attrdef", adrelid=oid)}
        return tuple(
            ColumnDesc(
                attno=row.attnum,
                name=row.attname,
                type=row.atttypid,
                typmod=row.atttypmod,
                not_null=row.attnotnull,
                dropped=row.attisdropped,
                has_default=row.atthasdef,
                default=defaults.get(row.attnum),
                missing=self._missing_value(row) if row.atthasmissing else None,
                has_missing=row.atthasmissing,
                identity=row.attidentity,
                generated=row.attgenerated,
                collation=row.attcollation,
                storage=row.attstorage,
                compression=row.attcompression,
            )
            for row in found
        )

    def _missing_value(self, row: Record) -> Any:
        item = REGISTRY.types.get(row.atttypid) or self.user_type(row.atttypid)
        if item is None:
            raise InternalError(f"cache lookup failed for type {row.atttypid}")
        return item.input(row.attmissingval[0], row.atttypmod, NEUTRAL_ENV)

    def _load_indexes(self, oid: int) -> tuple[IndexDesc, ...]:
        found = [self.load_index(row) for row in self.reader.find("pg_index", indrelid=oid)]
        return tuple(sorted(found, key=lambda index: index.oid))

    def load_index(self, row: Record) -> IndexDesc:
        """The descriptor of one pg_index row."""
        entry = self.reader.one("pg_class", oid=row.indexrelid)
        if entry is None:
            raise InternalError(f"cache lookup failed for index {row.indexrelid}")
        constraint = 0
        if row.indisprimary or row.indisunique:
            constraint = next(
                (
                    each.oid
                    for each in self.reader.find("pg_constraint", conrelid=row.indrelid)
                    if each.conindid == row.indexrelid and each.contype in "pux"
                ),
                0,
            )
        keys = row.indnkeyatts
        types = {each.attnum: each.atttypid for each in self.reader.find("pg_attribute", attrelid=row.indexrelid)}
        return IndexDesc(
            oid=row.indexrelid,
            relfile=entry.relfilenode,
            name=entry.relname,
            columns=tuple(row.indkey[:keys]),
            unique=row.indisunique,
            primary=row.indisprimary,
            valid=row.indisvalid,
            ready=row.indisready,
            descending=tuple(bool(option & _DESC_FLAG) for option in row.indoption),
            nulls_first=tuple(bool(option & _NULLS_FIRST_FLAG) for option in row.indoption),
            key_types=tuple(types[number] for number in range(1, keys + 1)),
            operator_classes=tuple(row.indclass),
            included=tuple(row.indkey[keys:]),
            expressions=_split_expressions(row.indexprs),
            predicate=row.indpred,
            nulls_not_distinct=row.indnullsnotdistinct,
            constraint=constraint,
            method="btree" if entry.relam == 403 else "hash",
        )

    def _load_checks(self, oid: int) -> tuple[tuple[str, str], ...]:
        found = [row for row in self.reader.find("pg_constraint", conrelid=oid) if row.contype == "c"]
        return tuple(sorted((row.conname, row.conbin) for row in found))

    def _load_view(self, oid: int) -> str | None:
        rule = next((row for row in self.reader.find("pg_rewrite", ev_class=oid) if row.rulename == "_RETURN"), None)
        return None if rule is None else rule.ev_action

    # types

    def type_oid(self, namespace: int, name: str) -> int | None:
        """A type's OID by its schema and name."""
        key = (namespace, name)
        if key not in self._type_names:
            found = self.reader.one("pg_type", typname=name, typnamespace=namespace)
            self._type_names[key] = None if found is None else found.oid
        return self._type_names[key]

    def user_type(self, oid: int) -> PgType | None:
        """A type that is not declared in ``compute_node/types``: rows of tables, and arrays of them."""
        if oid not in self._types:
            row = self.reader.one("pg_type", oid=oid)
            self._types[oid] = None if row is None else _type_from_row(row)
        return self._types[oid]

    # roles and databases

    def role(self, name: str) -> Role | None:
        """A role by name."""
        if name not in self._roles:
            row = self.reader.one("pg_authid", rolname=name)
            self._roles[name] = None if row is None else role_from_row(row)
        return self._roles[name]

    def role_name(self, oid: int) -> str | None:
        """A role's name, None for an unknown OID."""
        if oid not in self._role_names:
            row = self.reader.one("pg_authid", oid=oid)
            self._role_names[oid] = None if row is None else row.rolname
        return self._role_names[oid]

    def database(self, name: str) -> Record | None:
        """A pg_database row by name."""
        if name not in self._databases:
            self._databases[name] = self.reader.one("pg_database", datname=name)
        return self._databases[name]


def role_from_row(row: Record) -> Role:
    """A pg_authid row as a Role."""
    return Role(
        oid=row.oid,
        name=row.rolname,
        superuser=row.rolsuper,
        inherit=row.rolinherit,
        create_role=row.rolcreaterole,
        create_db=row.rolcreatedb,
        can_login=row.rolcanlogin,
        replication=row.rolreplication,
        bypass_rls=row.rolbypassrls,
        connection_limit=row.rolconnlimit,
        verifier=row.rolpassword,
        valid_until=row.rolvaliduntil,
    )


def _type_from_row(row: Record) -> PgType:
    if row.typtype == "c":
        base = REGISTRY.types[_RECORD_TYPE]
    elif row.typelem:
        base = REGISTRY.types[2287]
    else:
        raise InternalError(f'type "{row.typname}" has kind "{row.typtype}", which is not known here')
    return replace(
        base,
        oid=row.oid,
        name=row.typname,
        length=row.typlen,
        by_value=row.typbyval,
        category=row.typcategory,
        kind=row.typtype,
        element=row.typelem,
        array=row.typarray,
        formatted_name=None,
        namespace=row.typnamespace,
    )


def _split_expressions(text: str | None) -> tuple[str, ...]:
    """Index expressions are stored one a line."""
    return () if text is None else tuple(text.split("\n"))


def _fillfactor(options: list[str] | None) -> int:
    for option in options or ():
        name, _, value = option.partition("=")
        if name == "fillfactor":
            return int(value)
    return 100


def is_mapped(oid: int) -> bool:
    """Whether the relation is a system catalog, whose storage never changes its place."""
    return oid in CATALOGS_BY_OID or any(index.oid == oid for each in CATALOGS.values() for index in each.desc.indexes)
