"""One state of the catalog, loaded as it is asked for: catalog rows → descriptors, kept until the state changes.

A ``CatalogLayer`` reads through a ``CatalogReader``: the shared one reads what is committed, a transaction that has
changed the catalog has its own, which sees its changes. A layer is never repaired: a change makes a new one, that
takes over the descriptors of relations which the change did not touch. Invariant: two answers of one layer come from
one state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InternalError
from aurora.ids import Oid
from compute_node.catalog import inheritance, objects, publications, text_search
from compute_node.catalog.answers import ANY, RELATION, Answers, Question, Tag, TagsOf
from compute_node.catalog.column_statistics import store as column_statistics
from compute_node.catalog.foreign_keys import foreign_keys_of
from compute_node.catalog.foreign_tables import foreign_of
from compute_node.catalog.reloptions import fillfactor
from compute_node.catalog.rights import OBJECTS, Rights, effective
from compute_node.catalog.roles import RoleGraph, load_graph
from compute_node.catalog.routines import split_texts
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.extensions.library import CLASS_CODES, ESTIMATORS
from compute_node.relations.access_methods import BRIN, BTREE, HASH, METHODS_BY_OID
from compute_node.relations.descriptors import (
    NO_QUALIFICATION,
    ColumnDesc,
    Excluded,
    IndexDesc,
    PolicyDesc,
    RelationDesc,
    RuleDesc,
)
from compute_node.relations.partitions import HASH as HASHED
from compute_node.relations.partitions import PartitionBound, PartitionKey
from compute_node.relations.schema import CATALOGS, FIRST_NORMAL_OID
from compute_node.types import oids
from compute_node.types.acl import Acl, decode_all
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

if TYPE_CHECKING:
    from compute_node.catalog.view import CatalogView


_DESC_FLAG, _NULLS_FIRST_FLAG = 1, 2
NEUTRAL_ENV = TypeEnv(timezone=UTC)
"""Settings under which values are kept as text in the catalog (attmissingval)."""


_NAMED_BY_CHECKS = ("pg_proc", "pg_operator", "pg_cast", "pg_constraint")


@dataclass(slots=True)
class Change:
    """What a transaction has changed: ``relations`` whose descriptor is out of date, and for each catalog of which it
    has ``written`` rows their OIDs (of pg_enum, pg_amop …: of the object that they belong to)."""

    relations: set[int] = field(default_factory=set)
    written: dict[str, set[int]] = field(default_factory=dict)

    def tags(self) -> Iterator[Tag]:
        """Answers with one of these tags are out of date."""
        yield ANY
        for oid in self.relations:
            yield RELATION, oid
        for catalog, rows in self.written.items():
            yield catalog, 0
            for oid in rows:
                yield catalog, oid


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
    """Lookups by OID and by name in one state of the catalog; ``version`` names that state.

    Every answer comes through ``ask``, which keeps it: an object is the same object (``is``) as long as its row is the
    same, over later states too. So what a plan was told is still true if asking again gives the same.
    """

    def __init__(self, reader: CatalogReader, version: int, answers: Answers | None = None) -> None:
        self.reader = reader
        self.version = version
        self.views: dict[tuple[str, str, int, str | None, frozenset[int], frozenset[int]], CatalogView] = {}
        """the views made over this layer, by what decides the search path"""
        self._answers = Answers(tags_of) if answers is None else answers
        self._rights: dict[int, Rights] = {}
        self.database_oid = reader.catalogs.database
        """the database whose catalogs these are"""

    def ask(self, kind: str, *key: Datum) -> Datum:
        """The answer to a question of a kind in ``_LOADERS``; None when there is no such object."""
        question = (kind, *key)
        try:
            return self._answers.get(question)
        except KeyError:
            return self._load(question)

    def _load(self, question: Question) -> Datum:
        """Loading may wait: what it reads is of one moment all the same, or the rows of an object that somebody drops
        meanwhile would be half there. Another session may have asked, too."""
        with self.reader.at_one_moment() as reader:
            loading = copy(self)
            loading.reader = reader
            try:
                answer = _LOADERS[question[0]](loading, *question[1:])
            finally:
                loading.reader = self.reader  # an answer may ask on later
        return self._answers.put(question, answer)

    def retire(self) -> None:
        """Another state is in its place: it lets go of what refers to it, so that it goes with the last who uses it
        and is not left for the collector, which seldom looks that far."""
        self.views.clear()
        self._rights.clear()

    @property
    def known(self) -> Answers:
        """The answers that it has so far."""
        return self._answers

    def successor(self, version: int, change: Change) -> CatalogLayer:
        """The layer after a change that was committed; it keeps the answers that the change cannot have altered."""
        return CatalogLayer(self.reader, version, self._answers.successor(change.tags()))

    # privileges

    @property
    def role_graph(self) -> RoleGraph:
        """Who is a member of whom."""
        return self.ask("role graph")  # type: ignore[no-any-return]

    def rights(self, role: int) -> Rights:
        """What a role may do."""
        found = self._rights.get(role)
        if found is None:
            found = self._rights[role] = Rights(self.ask, role, self.database_oid)
        return found

    # namespaces

    def namespace_oid(self, name: str) -> int | None:
        """The schema's OID, None without one of that name."""
        return self.ask("namespace", name)  # type: ignore[no-any-return]

    def namespace_name(self, oid: int) -> str | None:
        """The schema's name, None for an unknown OID."""
        return self.ask("namespace name", oid)  # type: ignore[no-any-return]

    # relations

    def relation_oid(self, namespace: int, name: str) -> int | None:
        """The relation's OID by its schema and name."""
        return self.ask("relation name", namespace, name)  # type: ignore[no-any-return]

    def relation(self, oid: int) -> RelationDesc | None:
        """The descriptor of any kind of relation, indexes included; None for an unknown OID."""
        return self.ask("relation", oid)  # type: ignore[no-any-return]

    def _load_relation(self, oid: int) -> RelationDesc | None:
        row = self.reader.one("pg_class", oid=oid)
        if row is None:
            return None
        known = self.reader.catalogs.by_oid.get(oid)
        if known is not None:
            mapped = known.desc
            lists = {each.attnum: each.attacl for each in self.reader.find("pg_attribute", attrelid=oid)}
            columns = mapped.columns
            if any(items is not None for items in lists.values()):
                columns = tuple(replace(each, acl=decode_all(lists.get(each.attno))) for each in columns)
            return replace(
                mapped, rows=row.reltuples, pages=row.relpages, columns=columns, acl=decode_all(row.relacl),
                owner=row.relowner,
            )  # fmt: skip
        columns = self._load_columns(oid)
        checks, unproven = self._load_checks(oid) if row.relchecks else ((), frozenset())
        indexes = self._load_indexes(oid) if row.relhasindex else ()
        foreign_keys, referenced_by = foreign_keys_of(self.reader, oid) if row.relhastriggers else ((), ())
        return RelationDesc(
            oid=Oid(oid),
            relfile=row.relfilenode,
            name=row.relname,
            schema=self.namespace_name(row.relnamespace) or "",
            namespace=row.relnamespace,
            kind=row.relkind,
            columns=columns,
            indexes=indexes,
            rows=row.reltuples,
            pages=row.relpages,
            owner=row.relowner,
            row_type=row.reltype,
            persistence=row.relpersistence,
            checks=checks,
            unproven=unproven,
            view_sql=self._load_view(oid) if row.relkind in "vm" else None,
            is_shared=row.relisshared,
            populated=row.relispopulated,
            row_security=row.relrowsecurity,
            force_row_security=row.relforcerowsecurity,
            policies=self._load_policies(oid) if row.relrowsecurity else (),
            rules=self._load_rules(oid) if row.relhasrules else (),
            database=self.database_oid,
            types=self._user_types(columns, indexes),
            fillfactor=fillfactor(row.reloptions or ()),
            options=tuple(row.reloptions or ()),
            toast=self.relation(row.reltoastrelid) if row.reltoastrelid else None,
            acl=decode_all(row.relacl),
            foreign_keys=foreign_keys,
            referenced_by=referenced_by,
            parents=inheritance.parents_of(self.reader, oid) if row.relkind in "rpf" or row.relispartition else (),
            children=inheritance.children_of(self.reader, oid) if row.relhassubclass else (),
            detaching=inheritance.detaching_of(self.reader, oid) if row.relkind == "p" and row.relhassubclass else 0,
            partition_key=self._load_partition_key(oid, columns) if row.relkind == "p" else None,
            bound=self._load_bound(row) if row.relispartition and row.relkind in "rpf" else None,
            foreign=foreign_of(self.reader, oid) if row.relkind == "f" else None,
        )

    def _load_undetached(self, oid: int) -> RelationDesc | None:
        """A partitioned table as it was before one of its partitions was to be detached."""
        found = self.relation(oid)
        if found is None or not found.detaching:
            return found
        children = tuple(sorted((*found.children, found.detaching)))
        return replace(found, children=children, detaching=0, extra={})

    def _load_partition_key(self, oid: int, columns: tuple[ColumnDesc, ...]) -> PartitionKey | None:
        row = self.reader.one("pg_partitioned_table", partrelid=oid)
        if row is None:
            return None
        expressions = iter(json.loads(row.partexprs) if row.partexprs else ())
        texts: list[str] = []
        types: list[tuple[int, int]] = []
        for attno in row.partattrs:
            if attno:
                types.append((columns[attno - 1].type, columns[attno - 1].typmod))
                continue
            text, kind, typmod = next(expressions)
            texts.append(text)
            types.append((kind, typmod))
        keys = list(zip(row.partclass, types, row.partcollation, strict=True))
        return PartitionKey(
            strategy=row.partstrat,
            columns=tuple(row.partattrs),
            expressions=tuple(texts),
            types=tuple([kind for kind, _ in types]),
            typmods=tuple([typmod for _, typmod in types]),
            operator_classes=tuple(row.partclass),
            collations=tuple(row.partcollation),
            compared=tuple([stored_key_type(self, each, kind, collation) for each, (kind, _), collation in keys]),
            hashes=tuple([self._hash_function(each) for each in row.partclass]) if row.partstrat == HASHED else (),
            default=row.partdefid,
        )

    def _hash_function(self, operator_class: int) -> int:
        """The extended hash function of a hash operator class."""
        found = self.reader.one("pg_opclass", oid=operator_class)
        if found is None:
            raise InternalError(f"cache lookup failed for operator class {operator_class}")
        kind = found.opcintype
        row = self.reader.one(
            "pg_amproc", amprocfamily=found.opcfamily, amproclefttype=kind, amprocrighttype=kind, amprocnum=2
        )
        return 0 if row is None else int(row.amproc)

    def _load_bound(self, row: Record) -> PartitionBound | None:
        parent = self.relation(inheritance.parents_of(self.reader, row.oid)[0])
        if parent is None or parent.partition_key is None:
            raise InternalError(f"partition {row.oid} has no parent")
        return PartitionBound.unpacked(row.relpartbound, parent.partition_key, self.known_type, NEUTRAL_ENV)

    def _load_columns(self, oid: int) -> tuple[ColumnDesc, ...]:
        found = sorted(
            (row for row in self.reader.find("pg_attribute", attrelid=oid) if row.attnum > 0),
            key=lambda row: row.attnum,
        )
        defaults: dict[int, str] = {}
        if any(row.atthasdef for row in found):
            defaults = {row.adnum: row.adbin for row in self.reader.find("pg_attrdef", adrelid=oid)}
        if any(row.attidentity for row in found):
            defaults |= self._identity_defaults(oid)
        return tuple(
            ColumnDesc(
                attno=row.attnum,
                name=row.attname,
                type=row.atttypid,
                typmod=row.atttypmod,
                not_null=row.attnotnull,
                dropped=row.attisdropped,
                has_default=row.atthasdef or bool(row.attidentity),
                default=defaults.get(row.attnum),
                missing=self._missing_value(row) if row.atthasmissing else None,
                has_missing=row.atthasmissing,
                identity=row.attidentity,
                generated=row.attgenerated,
                collation=row.attcollation,
                storage=row.attstorage,
                compression=row.attcompression,
                acl=decode_all(row.attacl),
            )
            for row in found
        )

    def _identity_defaults(self, oid: int) -> dict[int, str]:
        """Identity columns have no row in pg_attrdef: their value is the next one of the sequence that belongs to
        them."""
        relations = CATALOGS["pg_class"].desc.oid
        return {
            row.refobjsubid: f"nextval('{row.objid}'::regclass)"
            for row in self.reader.find("pg_depend", refclassid=relations, refobjid=oid)
            if row.classid == relations and row.deptype == "i" and row.refobjsubid
        }

    def _user_types(self, columns: tuple[ColumnDesc, ...], indexes: tuple[IndexDesc, ...]) -> dict[int, PgType]:
        """The types of the columns, and of indexed expressions over them, that are not declared."""
        found = {}
        used = {column.type for column in columns} | {kind for index in indexes for kind in index.key_types}
        for oid in used - REGISTRY.types.keys():
            item = self.user_type(oid)
            if item is not None:
                found[oid] = item
        return found

    def _missing_value(self, row: Record) -> Any:
        item = self.type(row.atttypid)
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
        constraint = None
        if row.indisprimary or row.indisunique or row.indisexclusion:
            constraint = next(
                (
                    each
                    for each in self.reader.find("pg_constraint", conrelid=row.indrelid)
                    if each.conindid == row.indexrelid and each.contype in "pux"
                ),
                None,
            )
        keys = row.indnkeyatts
        attributes = self.reader.find("pg_attribute", attrelid=row.indexrelid)
        types = self._indexed_types(row, {each.attnum: each.atttypid for each in attributes})
        options = {each.attnum: tuple(each.attoptions or ()) for each in attributes}
        return IndexDesc(
            oid=row.indexrelid,
            relfile=entry.relfilenode,
            name=entry.relname,
            columns=tuple(row.indkey[:keys]),
            unique=row.indisunique,
            primary=row.indisprimary,
            pages=entry.relpages,
            valid=row.indisvalid,
            ready=row.indisready,
            live=row.indislive,
            descending=tuple(bool(option & _DESC_FLAG) for option in row.indoption),
            nulls_first=tuple(bool(option & _NULLS_FIRST_FLAG) for option in row.indoption),
            key_types=tuple(
                stored_key_type(self, row.indclass[at], types[at + 1], row.indcollation[at]) for at in range(keys)
            ),
            operator_classes=tuple(row.indclass),
            collations=tuple(row.indcollation),
            included=tuple(row.indkey[keys:]),
            expressions=split_texts(row.indexprs),
            predicate=row.indpred,
            nulls_not_distinct=row.indnullsnotdistinct,
            constraint=0 if constraint is None else constraint.oid,
            immediate=row.indimmediate,
            deferred=constraint is not None and constraint.condeferred,
            method=METHODS_BY_OID[entry.relam].name,
            exclusion=self._exclusion(row, constraint) if row.indisexclusion else (),
            codes=tuple(class_code(self, each) for each in row.indclass),
            options=tuple(entry.reloptions or ()),
            class_options=tuple(options[at + 1] for at in range(keys)),
        )

    def _exclusion(self, row: Record, constraint: Record | None) -> tuple[Excluded, ...]:
        """The operators of an exclusion constraint with their strategies; none while it is being made."""
        if constraint is None:
            return ()
        found: list[Excluded] = []
        for operator, kind in zip(constraint.conexclop, row.indclass, strict=False):
            family = self.reader.one("pg_opclass", oid=kind)
            members = [] if family is None else self.reader.find("pg_amop", amopfamily=family.opcfamily)
            strategy = next((each.amopstrategy for each in members if each.amopopr == operator), 0)
            found.append(Excluded(operator, strategy))
        return tuple(found)

    def _indexed_types(self, row: Record, kept: dict[int, int]) -> dict[int, int]:
        """The types of the values that an index's columns index, by number; ``kept``: of what it keeps of them."""
        columns: dict[int, int] = {}
        for at, attno in enumerate(row.indkey[: row.indnkeyatts]):
            known = REGISTRY.operator_classes.get(row.indclass[at])
            made = None if known is not None else self.reader.one("pg_opclass", oid=row.indclass[at])
            method = known.method if known is not None else BTREE.oid if made is None else made.opcmethod
            if method in (BTREE.oid, HASH.oid):
                continue
            if attno and not columns:
                columns = {
                    each.attnum: each.atttypid for each in self.reader.find("pg_attribute", attrelid=row.indrelid)
                }
            if attno:
                kept[at + 1] = columns[attno]
            elif known is not None and known.input_type == oids.ANYARRAY:
                element = self.reader.one("pg_type", oid=kept[at + 1])
                kept[at + 1] = kept[at + 1] if element is None else element.typarray
            elif made is not None and kept[at + 1] == made.opckeytype:
                kept[at + 1] = made.opcintype
        return kept

    def _load_checks(self, oid: int) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
        """The CHECK constraints by name, and which of them rows may break."""
        found = [row for row in self.reader.find("pg_constraint", conrelid=oid) if row.contype == "c"]
        unproven = frozenset(row.conname for row in found if not row.convalidated)
        return tuple(sorted((row.conname, row.conbin) for row in found)), unproven

    def _load_policies(self, oid: int) -> tuple[PolicyDesc, ...]:
        rows = sorted(self.reader.find("pg_policy", polrelid=oid), key=lambda row: row.oid)
        return tuple(
            PolicyDesc(row.polname, row.polcmd, row.polpermissive, tuple(row.polroles), row.polqual, row.polwithcheck)
            for row in rows
        )

    def _load_view(self, oid: int) -> str | None:
        rule = next((row for row in self.reader.find("pg_rewrite", ev_class=oid) if row.rulename == "_RETURN"), None)
        return None if rule is None else rule.ev_action

    def _load_rules(self, oid: int) -> tuple[RuleDesc, ...]:
        rows = sorted(self.reader.find("pg_rewrite", ev_class=oid), key=lambda row: row.rulename.encode())
        return tuple(
            RuleDesc(
                row.rulename,
                row.ev_type,
                row.ev_enabled,
                row.is_instead,
                None if row.ev_qual == NO_QUALIFICATION else row.ev_qual,
                row.ev_action,
            )
            for row in rows
            if row.ev_type != "1"
        )

    # types

    def type_oid(self, namespace: int, name: str) -> int | None:
        """A user type's OID by its schema and name."""
        return self.ask("type name", namespace, name)  # type: ignore[no-any-return]

    def type(self, oid: int) -> PgType | None:
        """Any type: a declared one, or made of its row."""
        return REGISTRY.types.get(oid) or self.user_type(oid)

    def known_type(self, oid: int) -> PgType:
        """The same of a type that something in the catalog is of. XX000 where there is none."""
        found = self.type(oid)
        if found is None:
            raise InternalError(f"cache lookup failed for type {oid}")
        return found

    def user_type(self, oid: int) -> PgType | None:
        """A type that is not declared in ``compute_node/types``; see ``objects.user_type``."""
        return self.ask("type", oid)  # type: ignore[no-any-return]

    # roles and databases

    def role(self, name: str) -> Role | None:
        """A role by name."""
        return self.ask("role", name)  # type: ignore[no-any-return]

    def role_name(self, oid: int) -> str | None:
        """A role's name, None for an unknown OID."""
        return self.ask("role name", oid)  # type: ignore[no-any-return]

    def database(self, name: str) -> Record | None:
        """A pg_database row by name."""
        return self.ask("database", name)  # type: ignore[no-any-return]


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


_BY_BYTES = frozenset({4217, 4218, 4219})
"""the B-tree classes text_pattern_ops, varchar_pattern_ops, bpchar_pattern_ops"""


def class_code(layer: CatalogLayer, operator_class: int) -> int:
    """The built-in operator class whose code an operator class has: itself, or of a user's the one with the same
    support functions; an extension's has its own code (``CLASS_CODES``); 0 without one. BRIN's classes of all types
    share theirs, and their summaries are in the order of the type: its operators must be the same, too."""
    if operator_class in REGISTRY.operator_classes:
        return operator_class
    made = next((each for each in objects.operator_classes(layer) if each.oid == operator_class), None)
    if made is None or not any(made.support):
        return 0
    for symbol in support_symbols(layer, made.support):
        if symbol in CLASS_CODES:
            return CLASS_CODES[symbol]
    alike = (each for each in REGISTRY.operator_classes.values() if each.support == made.support)
    if made.method == BRIN.oid:
        alike = (each for each in alike if each.operators == made.operators)
    return next((each.oid for each in alike if each.method == made.method), 0)


def support_symbols(layer: CatalogLayer, support: Sequence[int]) -> Iterator[str]:
    """The symbols of those support functions that are an extension's."""
    for oid in support:
        row = layer.reader.one("pg_proc", oid=oid) if oid >= FIRST_NORMAL_OID else None
        if row is not None and row.prolang == objects.INTERNAL_LANGUAGE:
            yield row.prosrc


def stored_key_type(layer: CatalogLayer, operator_class: int, column_type: int, collation: int) -> int:
    """The type as which an index keeps a column's values: its operator class's, unless that takes several; under the
    column's collation, where that has an order of its own."""
    found = REGISTRY.operator_classes.get(operator_class)
    kind = column_type if found is None or REGISTRY.types[found.input_type].kind == "p" else found.input_type
    made = None if found is not None else layer.reader.one("pg_opclass", oid=operator_class)
    if made is not None and made.opcmethod == HASH.oid:
        # The index says int4 of its column, whatever is hashed.
        kind = made.opcintype
    return kind if operator_class in _BY_BYTES else objects.ordered_type(layer, kind, collation)


def _by(catalog: str, column: str, **names: str) -> Callable[..., Datum]:
    """A loader: the column of the one row whose columns equal the question's key."""
    keys = tuple(names)

    def load(layer: CatalogLayer, *key: Datum) -> Datum:
        row = layer.reader.one(catalog, **dict(zip(keys, key, strict=True)))
        return None if row is None else getattr(row, column)

    return load


def _role(layer: CatalogLayer, name: str) -> Role | None:
    row = layer.reader.one("pg_authid", rolname=name)
    return None if row is None else role_from_row(row)


def _graph(layer: CatalogLayer) -> RoleGraph:
    database = layer.reader.one("pg_database", oid=layer.database_oid)
    return load_graph(layer.reader, 0 if database is None else database.datdba)


def _acl(layer: CatalogLayer, kind: str, oid: int) -> tuple[str, int, Acl] | None:
    catalog, key, name, owner, items = OBJECTS[kind]
    row = layer.reader.one(catalog, **{key: oid})
    if row is None:
        return None
    holder = getattr(row, owner)
    return getattr(row, name), holder, effective(kind, holder, getattr(row, items))


def _estimators(layer: CatalogLayer, operator: int) -> tuple[int, int]:
    row = layer.reader.one("pg_operator", oid=operator)
    if row is None:
        return 0, 0
    return _built_in_estimator(layer, row.oprrest), _built_in_estimator(layer, row.oprjoin)


def _built_in_estimator(layer: CatalogLayer, function: int) -> int:
    """The function itself, or of an extension's the one that says the same."""
    found = (ESTIMATORS.get(symbol, function) for symbol in support_symbols(layer, (function,)))
    return next(found, function)


def _hash_functions(layer: CatalogLayer, operator: int) -> tuple[int, int] | None:
    for row in layer.reader.find("pg_amop", amopopr=operator, amopmethod=HASH.oid):
        sides = [
            layer.reader.one("pg_amproc", amprocfamily=row.amopfamily, amproclefttype=kind, amprocrighttype=kind,
                             amprocnum=1)
            for kind in (row.amoplefttype, row.amoprighttype)
        ]  # fmt: skip
        if sides[0] is not None and sides[1] is not None:
            return sides[0].amproc, sides[1].amproc
    return None


def _restricted(layer: CatalogLayer) -> dict[int, tuple[str, int, Acl]]:
    return {
        row.oid: (row.proname, row.proowner, effective("function", row.proowner, row.proacl))
        for row in layer.reader.all("pg_proc")
        if row.proacl is not None
    }


_LOADERS: dict[str, Callable[..., Datum]] = {
    "namespace": _by("pg_namespace", "oid", nspname="name"),
    "namespace name": _by("pg_namespace", "nspname", oid="oid"),
    "relation name": lambda layer, namespace, name: _oid_of(
        layer.reader.one("pg_class", relname=name, relnamespace=namespace)
    ),
    "relation": CatalogLayer._load_relation,
    "undetached": CatalogLayer._load_undetached,
    "role": _role,
    "role name": _by("pg_authid", "rolname", oid="oid"),
    "database": lambda layer, name: layer.reader.one("pg_database", datname=name),
    "role graph": _graph,
    "acl": _acl,
    "parameter acl": lambda layer, name: decode_all(
        None if (row := layer.reader.one("pg_parameter_acl", parname=name)) is None else row.paracl
    ),
    "restricted functions": _restricted,
    "column statistics": lambda layer, relation, attno, tree: column_statistics.read(
        layer.reader, layer.known_type, relation, attno, tree
    ),
    "extended statistics": lambda layer, relation, tree: column_statistics.read_extended(
        layer.reader, layer.known_type, relation, tree, NEUTRAL_ENV
    ),
    "estimators": _estimators,
    "key constraint": _by("pg_constraint", "conrelid", oid="oid"),
    "leakproof": _by("pg_proc", "proleakproof", oid="oid"),
    "hash functions": _hash_functions,
    "publications": publications.refusals_of,
    "sort operator": _by("pg_aggregate", "aggsortop", aggfnoid="oid"),
    **objects.LOADERS,
    **text_search.LOADERS,
}


def _oid_of(row: Record | None) -> int | None:
    return None if row is None else row.oid


def _of_catalog(*catalogs: str) -> TagsOf:
    """Stale once any row of these has been written."""
    tags = tuple([(name, 0) for name in catalogs])
    return lambda question, answer: tags


def _of_row(catalog: str) -> TagsOf:
    """Stale once the row of that OID has been written."""
    return lambda question, answer: ((catalog, question[1]),)


def _found(catalog: str) -> TagsOf:
    """The OID behind a name: stale once that row has been written; that there was none, once any has."""
    return lambda question, answer: ((catalog, 0 if answer is None else answer),)


def _relation_name(question: Question, answer: Datum) -> tuple[Tag, ...]:
    return (ANY,) if answer is None else ((RELATION, answer), ("pg_class", answer))


def _relation(question: Question, answer: Datum) -> tuple[Tag, ...]:
    return (ANY,) if answer is None else ((RELATION, question[1]), *_of_types(answer.types.values()))


def _of_types(types: Iterable[PgType]) -> set[Tag]:
    """Stale once one of these types, or what it is made of, has changed: its row, an enum's labels, a composite type's
    columns, what a domain's constraints may name."""
    tags: set[Tag] = set()
    for item in types:
        for oid in (item.oid, *item.parts):
            tags |= {("pg_type", oid), ("pg_enum", oid), (RELATION, oid)}
        if item.check is not None:
            tags |= {(name, 0) for name in _NAMED_BY_CHECKS}
    return tags


_TAGS: dict[str, TagsOf] = {
    "namespace": _of_catalog("pg_namespace"),
    "namespace name": _of_catalog("pg_namespace"),
    "relation name": _relation_name,
    "relation": _relation,
    "undetached": _relation,
    "role": _of_catalog("pg_authid"),
    "role name": _of_catalog("pg_authid"),
    "database": _of_catalog("pg_database"),
    "role graph": _of_catalog("pg_authid", "pg_auth_members", "pg_database"),
    "column statistics": lambda question, answer: ((RELATION, question[1]),),
    "extended statistics": _of_catalog("pg_statistic_ext", "pg_statistic_ext_data"),
    "estimators": _of_row("pg_operator"),
    "key constraint": _of_row("pg_constraint"),
    "leakproof": _of_row("pg_proc"),
    "hash functions": _of_catalog("pg_amop", "pg_amproc"),
    "sort operator": _of_catalog("pg_aggregate"),
    "publications": _of_catalog(*publications.READ),
    "acl": lambda question, answer: ((OBJECTS[question[1]][0], 0),),
    "parameter acl": _of_catalog("pg_parameter_acl"),
    "restricted functions": _of_catalog("pg_proc"),
    **dict.fromkeys(text_search.LOADERS, _of_catalog(*text_search.CATALOGS)),
    "type name": _found("pg_type"),
    "type": lambda question, answer: (ANY,) if answer is None else _of_types((answer,)),
    "functions": _of_catalog("pg_proc"),
    "function": _of_row("pg_proc"),
    "aggregate": _of_catalog("pg_aggregate", "pg_proc"),
    "operators": _of_catalog("pg_operator"),
    "operator": _of_row("pg_operator"),
    "casts": _of_catalog("pg_cast"),
    "operator classes": _of_catalog("pg_opclass", "pg_opfamily", "pg_amop", "pg_amproc"),
    "collation": _of_row("pg_collation"),
    "collations": _of_catalog("pg_collation"),
    "access method": _of_catalog("pg_am"),
}


def tags_of(question: Question, answer: Datum) -> Iterable[Tag]:
    """What must change for an answer to be out of date."""
    return _TAGS[question[0]](question, answer)
