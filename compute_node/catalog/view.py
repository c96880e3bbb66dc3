"""The catalog as one session sees it: search path and names → descriptors and declarations.

The contract is ``sql/catalog_view.py``. Every answer comes from the built-in declarations first (``REGISTRY``), then
from users' rows, through the layer's ``ask``. ``traced()`` gives a view that notes each question to the layer with its
answer: what a plan was told, and with ``still_true`` whether it would be told the same now.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import compute_node.catalog.system_functions  # noqa: F401  (adds to REGISTRY)
from aurora.datum import Datum
from aurora.errors import InsufficientPrivilege, InternalError, InvalidSchemaName, UndefinedObject
from compute_node.catalog.answers import Question
from compute_node.catalog.layer import CatalogLayer, Role
from compute_node.catalog.publications import Refusals
from compute_node.catalog.rights import Rights
from compute_node.relations.column_statistics import ColumnStatistics
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.extended_statistics import ExtendedStatistics
from compute_node.relations.schema import FIRST_NORMAL_OID, NAMESPACE_CATALOG
from compute_node.types import oids
from compute_node.types.acl import SELECT, USAGE
from compute_node.types.collation import Collation
from compute_node.types.registry import REGISTRY, Aggregate, Cast, Function, Operator, OperatorClass, PgType

Trace = dict[Question, Datum]
_BINARY_COERCIBLE = {oids.VARCHAR: oids.TEXT, 194: oids.TEXT, 650: 869}  # pg_node_tree; cidr has inet's
_BINARY_COERCIBLE |= dict.fromkeys((3361, 3402, 5017), oids.BYTEA)  # pg_ndistinct, pg_dependencies, pg_mcv_list
_BINARY_COERCIBLE |= dict.fromkeys((24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191), oids.OID)
"""types whose default operator class is another type's"""
_CLASSES_OF_KINDS = {"e": 3500, "r": 3831, "m": 4537, "c": oids.RECORD}
"""types by their kind → the type whose operator classes they have: anyenum, anyrange, anymultirange, record"""


class _Overloaded(Protocol):
    """What several of one name may be told apart by."""

    @property
    def namespace(self) -> int:
        """Its schema."""

    @property
    def signature(self) -> tuple[int, ...]:
        """Its argument types."""


_T = TypeVar("_T", bound=_Overloaded)


_BUILTIN_CLASSES = {(item.input_type, item.method): item for item in REGISTRY.operator_classes.values() if item.default}


class CatalogView:
    """One state of the catalog along one search path; see ``sql/catalog_view.CatalogView``."""

    def __init__(
        self,
        layer: CatalogLayer,
        path: tuple[tuple[str, int], ...],
        explicit: tuple[str, ...],
        creation: str | None,
        user: int,
        unusable: frozenset[int] = frozenset(),
        undetached: frozenset[int] = frozenset(),
    ) -> None:
        self.layer = layer
        self.unusable = unusable
        self.undetached = undetached
        """OIDs of partitions that are being detached, which the session's snapshot still has where they were"""
        self.version = layer.version
        self.search_path = tuple(name for name, _ in path)
        self.explicit_path = explicit
        """the schemas that the setting itself names"""
        self.creation_schema = creation
        """where CREATE without a schema puts things; None when the path names no existing schema"""
        self._path = path
        self._code_path = tuple([oid for name, oid in path if not name.startswith("pg_temp_")])
        """where functions, operators and their like are looked for: never among a session's temporary objects, with
        which anybody could put one in the way of a SECURITY DEFINER function's call"""
        self._user: int | None = user
        """whose schemas are used by name; None: whoever wrote the stored text that is being read had the right"""
        self.trace: Trace | None = None
        self._traces_views = True
        """whether the trace has what views ask that a query reads"""

    @property
    def database(self) -> str | None:
        """The name of the database."""
        record = self.layer.reader.one("pg_database", oid=self.layer.database_oid)
        return None if record is None else str(record.datname)

    @property
    def path(self) -> tuple[tuple[str, int], ...]:
        """(name, OID) of each schema of the effective search path."""
        return self._path

    def traced(self, views: bool = True) -> CatalogView:
        """The same view, that notes what it is asked in ``trace``; ``views``: also by the views that a query reads."""
        view = copy.copy(self)
        view.trace, view._traces_views = {}, views
        return view

    def of_view(self) -> CatalogView:
        """``of_stored_text`` for a view that a query reads."""
        view = self.of_stored_text()
        if not self._traces_views:
            view.trace = None
        return view

    @property
    def reads_stored_text(self) -> bool:
        """See ``sql.catalog_view``."""
        return self._user is None

    def of_stored_text(self) -> CatalogView:
        """The same view for what the catalog stores as SQL text: its names were allowed when it was stored."""
        view = copy.copy(self)
        view._user = None
        return view

    def _ask(self, kind: str, *key: Any) -> Any:
        answer = self.layer.ask(kind, *key)
        if self.trace is not None:
            self.trace[(kind, *key)] = answer
        return answer

    def refusals(self, relation: int) -> Refusals | None:
        """Why a table's rows may not be updated or deleted, as publications have it."""
        found: Refusals | None = self._ask("publications", relation)
        return found

    def rights(self, role: int) -> Rights:
        """What a role may do."""
        return Rights(self._ask, role, self.layer.database_oid)

    def policies_hold(self, relation: RelationDesc, role: int) -> bool:
        """See ``sql.catalog_view``."""
        return self.rights(role).policies_hold(relation)

    def has_role(self, role: int, other: int) -> bool:
        """See ``sql.catalog_view``."""
        return self.rights(role).has_role(other)

    def owns(self, relation: RelationDesc, role: int) -> bool:
        """See ``sql.catalog_view``."""
        return self.rights(role).owns(relation.owner)

    # relations

    def find_relation(self, schema: str | None, name: str) -> RelationDesc | None:
        """By name, along the search path without a schema; 3F000 for an unknown schema."""
        namespaces = [self.namespace(schema)] if schema is not None else [oid for _, oid in self._path]
        for namespace in namespaces:
            oid = self._ask("relation name", namespace, name)
            if oid is not None:
                return self.relation(oid)
        return None

    def relation(self, oid: int) -> RelationDesc | None:
        """By OID."""
        found: RelationDesc | None = self._ask("relation", oid)
        if found is not None and found.detaching in self.undetached:
            found = self.with_detaching(found)
        return found

    def with_detaching(self, desc: RelationDesc) -> RelationDesc:
        """A partitioned table with the partition that is being detached from it."""
        found: RelationDesc | None = self._ask("undetached", desc.oid) if desc.detaching else desc
        return desc if found is None else found

    def namespace(self, name: str) -> int:
        """A schema's OID; 3F000 without one, 42501 for one that the user may not use. ``pg_temp`` is the session's
        own."""
        oid = self.schema_oid(name)
        if self._user is not None and oid not in (NAMESPACE_CATALOG, *(each for _, each in self._path)):
            if not self.rights(self._user).schema(oid, USAGE):
                raise InsufficientPrivilege(f"permission denied for schema {name}")
        return oid

    def schema_oid(self, name: str) -> int:
        """The same, whoever asks."""
        if name == "pg_temp":
            name = next((each for each in self.search_path if each.startswith("pg_temp_")), name)
        oid: int | None = self._ask("namespace", name)
        if oid is None:
            raise InvalidSchemaName(f'schema "{name}" does not exist')
        return oid

    def relation_is_visible(self, desc: RelationDesc) -> bool:
        """Whether its bare name finds it."""
        for _, namespace in self._path:
            oid = self._ask("relation name", namespace, desc.name)
            if oid is not None:
                return bool(oid == desc.oid)
        return False

    # types

    def find_type(self, schema: str | None, name: str) -> PgType | None:
        """By PostgreSQL's internal name (int4, not integer)."""
        for namespace in [self.namespace(schema)] if schema is not None else [oid for _, oid in self._path]:
            if namespace == NAMESPACE_CATALOG and name in REGISTRY.types_by_name:
                return REGISTRY.types_by_name[name]
            oid = self._ask("type name", namespace, name)
            if oid is not None:
                return self.type(oid)
        return None

    def type(self, oid: int) -> PgType:
        """By OID; 42704 for an unknown one."""
        found: PgType | None = REGISTRY.types.get(oid) or self._ask("type", oid)
        if found is None:
            raise UndefinedObject(f"type with OID {oid} does not exist")
        return found

    def type_name(self, oid: int) -> tuple[str, str]:
        """Schema and internal name of a type."""
        kind = self.type(oid)
        return self.namespace_name(kind.namespace), kind.name

    def namespace_name(self, oid: int) -> str:
        """A schema's name; empty for an unknown OID."""
        return self._ask("namespace name", oid) or ""

    def type_is_visible(self, oid: int) -> bool:
        """Whether its bare name finds it."""
        kind = self.type(oid)
        found = self.find_type(None, kind.name)
        return found is not None and found.oid == oid

    # functions, operators, casts

    def functions(self, schema: str | None, name: str) -> Sequence[Function]:
        """All of that name that the search path reaches; of equal signatures the first on the path."""
        return self._along(schema, REGISTRY.functions_by_name.get(name, ()), self._ask("functions", name))

    def _along(self, schema: str | None, builtin: Sequence[_T], users: Sequence[_T]) -> Sequence[_T]:
        if schema is not None:
            namespace = self.namespace(schema)
            return [item for item in (*builtin, *users) if item.namespace == namespace]
        if not users:
            return builtin if NAMESPACE_CATALOG in self._code_path else ()
        found: list[_T] = []
        seen: set[Any] = set()
        for namespace in self._code_path:
            here = list(builtin) if namespace == NAMESPACE_CATALOG else []
            here += [item for item in users if item.namespace == namespace]
            for item in here:
                if item.signature not in seen:
                    seen.add(item.signature)
                    found.append(item)
        return found

    def function(self, oid: int) -> Function:
        """By OID; XX000 for an unknown one."""
        found: Function | None = REGISTRY.functions.get(oid) or self._ask("function", oid)
        if found is None:
            raise InternalError(f"cache lookup failed for function {oid}")
        return found

    def aggregate(self, oid: int) -> Aggregate | None:
        """How aggregate ``oid`` runs; None for a plain function."""
        found = REGISTRY.aggregates.get(oid)
        if found is None and oid >= FIRST_NORMAL_OID:
            found = self._ask("aggregate", oid)
        return found

    def operators(self, schema: str | None, name: str) -> Sequence[Operator]:
        """All of that name that the search path reaches; of equal signatures the first on the path."""
        return self._along(schema, REGISTRY.operators_by_name.get(name, ()), self._ask("operators", name))

    def known_operator(self, oid: int) -> Operator | None:
        """By OID; None for an unknown one."""
        found: Operator | None = REGISTRY.operators.get(oid)
        if found is None and oid >= FIRST_NORMAL_OID:
            found = self._ask("operator", oid)
        return found

    def operator(self, oid: int) -> Operator:
        """By OID; XX000 for an unknown one."""
        found = self.known_operator(oid)
        if found is None:
            raise InternalError(f"cache lookup failed for operator {oid}")
        return found

    def estimators(self, oid: int) -> tuple[int, int]:
        """See ``sql.catalog_view``."""
        return self._ask("estimators", oid)  # type: ignore[no-any-return]

    def hash_functions(self, oid: int) -> tuple[int, int] | None:
        """See ``sql.catalog_view``."""
        return self._ask("hash functions", oid)  # type: ignore[no-any-return]

    def sort_operator(self, oid: int) -> int:
        """See ``sql.catalog_view``."""
        return self._ask("sort operator", oid) or 0

    def blocks(self, relation: RelationDesc) -> int:
        """See ``sql.catalog_view``. It changes without notice: no plan is told."""
        storage = self.layer.reader.storage
        return storage.blocks(relation.relfile) if storage.exists(relation.relfile) else 0

    def may_read(self, relation: RelationDesc, attno: int) -> bool:
        """See ``sql.catalog_view``. Nobody is told of what only stored text may name."""
        if self._user is None:
            return False
        rights = self.rights(self._user)
        return bool(rights.relation(relation, SELECT) or rights.column(relation, attno, SELECT))

    def is_leakproof(self, function: int) -> bool:
        """See ``sql.catalog_view``."""
        return bool(self._ask("leakproof", function))

    def column_statistics(self, relation: int, attno: int, tree: bool = False) -> ColumnStatistics | None:
        """See ``sql.catalog_view``."""
        return self._ask("column statistics", relation, attno, tree)  # type: ignore[no-any-return]

    def extended_statistics(self, relation: int, tree: bool = False) -> tuple[ExtendedStatistics, ...]:
        """See ``sql.catalog_view``."""
        return self._ask("extended statistics", relation, tree)  # type: ignore[no-any-return]

    def cast(self, source: int, target: int) -> Cast | None:
        """The pg_cast row."""
        return REGISTRY.casts.get((source, target)) or self._ask("casts").get((source, target))

    # operator classes, collations, access methods

    def operator_classes(self, method: int) -> list[OperatorClass]:
        """All of an access method, of all schemas."""
        users: tuple[OperatorClass, ...] = self._ask("operator classes")
        return [item for item in (*REGISTRY.operator_classes.values(), *users) if item.method == method]

    def operator_class(self, oid: int) -> OperatorClass | None:
        """By OID."""
        found = REGISTRY.operator_classes.get(oid)
        if found is None and oid >= FIRST_NORMAL_OID:
            found = next((item for item in self._ask("operator classes") if item.oid == oid), None)
        return found

    def operator_strategy(self, family: int, operator: int) -> int:
        """The operator's strategy in an operator family; 0 when it is not a member."""
        found = REGISTRY.strategies.get((family, operator), 0)
        if not found and max(family, operator) >= FIRST_NORMAL_OID:
            for item in self._ask("operator classes"):
                if item.family == family and operator in item.operators:
                    return int(item.operators.index(operator)) + 1
                if item.family == family and operator in item.mixed:
                    return int(item.mixed[operator])
        return found

    def ordering_strategy(self, family: int, operator: int) -> int:
        """See ``sql.catalog_view``."""
        found = REGISTRY.ordering.get((family, operator), 0)
        if not found and family >= FIRST_NORMAL_OID:
            for item in self._ask("operator classes"):
                if item.family == family and operator in item.orderings:
                    return int(item.orderings.index(operator)) + 1
                if item.family == family and operator in item.mixed_orderings:
                    return int(item.mixed_orderings[operator])
        return found

    def family_operator(self, family: int, left: int, right: int, strategy: int) -> int:
        """The operator of a family for two types and a strategy; 0 without one."""
        found = REGISTRY.family_operators.get((family, left, right, strategy), 0)
        if not found and left == right and max(family, left) >= FIRST_NORMAL_OID:
            for item in self._ask("operator classes"):
                if item.family == family and item.input_type == left and len(item.operators) >= strategy:
                    return int(item.operators[strategy - 1])
        return found

    def find_operator_class(self, schema: str | None, name: str, method: int) -> OperatorClass | None:
        """By name; the first on the search path without a schema."""
        named = [item for item in self.operator_classes(method) if item.name == name]
        for namespace in [self.namespace(schema)] if schema is not None else [oid for _, oid in self._path]:
            for item in named:
                if item.namespace == namespace:
                    return item
        return None

    def rely_on_key(self, constraint: int) -> None:
        """An analysis holds as long as this primary key is there."""
        self._ask("key constraint", constraint)

    def default_operator_class(self, type_oid: int, method: int = 403) -> OperatorClass | None:
        """The default operator class for a type (of binary-coercible types, arrays, enums, ranges, rows, domains)."""
        if type_oid:
            type_oid = self.type(type_oid).root.oid
        made = {
            item.input_type: item for item in self._ask("operator classes") if item.default and item.method == method
        }
        for each in self._types_with_classes(type_oid):
            found = made.get(each) or _BUILTIN_CLASSES.get((each, method))
            if found is not None:
                return found
        return None

    def _types_with_classes(self, type_oid: int) -> Iterator[int]:
        """The type itself, and those whose operator classes it has without own ones."""
        yield type_oid
        if type_oid in _BINARY_COERCIBLE:
            yield _BINARY_COERCIBLE[type_oid]
        kind = self.type(type_oid) if type_oid else None
        if kind is not None and kind.kind in _CLASSES_OF_KINDS:
            yield _CLASSES_OF_KINDS[kind.kind]
        elif kind is not None and kind.element and kind.length == -1:
            yield oids.ANYARRAY

    def collation(self, oid: int) -> Collation | None:
        """By OID."""
        return self._ask("collation", oid)  # type: ignore[no-any-return]

    def find_collation(self, schema: str | None, name: str) -> Collation | None:
        """By name; the first on the search path without a schema."""
        named: tuple[Collation, ...] = self._ask("collations", name)
        for namespace in [self.namespace(schema)] if schema is not None else [oid for _, oid in self._path]:
            for item in named:
                if item.namespace == namespace:
                    return item
        return None

    def access_method(self, name: str) -> int | None:
        """An access method's OID."""
        return self._ask("access method", name)  # type: ignore[no-any-return]

    # the rest

    def role(self, name: str) -> Role | None:
        """A role by name."""
        return self.layer.role(name)


def still_true(layer: CatalogLayer, trace: Trace) -> bool:
    """Whether each question of a trace has the same answer in ``layer``. May wait for pages."""
    for question, answer in trace.items():
        now = layer.ask(*question)
        if now is not answer and (now != answer or not isinstance(answer, (int, str, tuple))):
            return False
    return True
