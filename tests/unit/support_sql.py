"""A catalog for analysis and planning tests: the built-in registry, the system catalogs and a few tables, all in
memory."""

from __future__ import annotations

from functools import cache
from typing import Self

from pglast import ast

import compute_node.types  # noqa: F401  (fills the registry)
from aurora.errors import InternalError, InvalidSchemaName
from compute_node.catalog.facts import fact_rows
from compute_node.catalog.views import view_sql
from compute_node.relations.column_statistics import ColumnStatistics
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.relations.extended_statistics import ExtendedStatistics
from compute_node.relations.schema import CATALOGS, SYSTEM_VIEWS
from compute_node.sql.parse import literal_location
from compute_node.types.collation import Collation
from compute_node.types.registry import REGISTRY, Aggregate, Cast, Function, Operator, OperatorClass, PgType

_SCHEMAS = ("pg_catalog", "public", "information_schema")


def table(
    oid: int,
    name: str,
    columns: str,
    primary: str = "",
    unique: tuple[str, ...] = (),
    plain: tuple[str, ...] = (),
    rows: float = 1000.0,
    defaults: dict[str, str] | None = None,
    checks: tuple[tuple[str, str], ...] = (),
) -> RelationDesc:
    """A table from ``"a int4, b text"``; indexes are comma-separated column names."""
    described = []
    for number, item in enumerate(columns.split(", "), 1):
        parts = item.split()
        kind, typmod = parts[1], -1
        if "(" in kind:
            kind, _, size = kind.partition("(")
            typmod = int(size.rstrip(")")) + 4
        type_oid = REGISTRY.types_by_name[kind].oid
        default = (defaults or {}).get(parts[0])
        described.append(
            ColumnDesc(
                attno=number,
                name=parts[0],
                type=type_oid,
                typmod=typmod,
                not_null="not_null" in parts or parts[0] in primary.split(","),
                has_default=default is not None,
                default=default,
            )
        )
    by_name = {item.name: item for item in described}
    indexes = []
    for kind, names in [
        ("primary", primary),
        *(("unique", item) for item in unique),
        *(("plain", item) for item in plain),
    ]:
        if not names:
            continue
        keys = [by_name[each] for each in names.split(",")]
        number = oid + 1 + len(indexes)
        indexes.append(
            IndexDesc(
                oid=number,
                relfile=number,
                name=f"{name}_{'pkey' if kind == 'primary' else names.replace(',', '_') + '_idx'}",
                columns=tuple(item.attno for item in keys),
                unique=kind != "plain",
                primary=kind == "primary",
                descending=(False,) * len(keys),
                nulls_first=(False,) * len(keys),
                key_types=tuple(item.type for item in keys),
                constraint=number + 50 if kind == "primary" else 0,
            )
        )
    return RelationDesc(
        oid=oid,
        relfile=oid,
        name=name,
        schema="public",
        namespace=2200,
        kind="r",
        columns=tuple(described),
        indexes=tuple(indexes),
        rows=rows,
        pages=max(1, int(rows // 60)),
        row_type=0,
        checks=checks,
    )


TABLES = (
    table(17000, "pgbench_branches", "bid int4, bbalance int4, filler bpchar(88)", primary="bid", rows=10),
    table(17010, "pgbench_tellers", "tid int4, bid int4, tbalance int4, filler bpchar(84)", primary="tid", rows=100),
    table(
        17020, "pgbench_accounts", "aid int4, bid int4, abalance int4, filler bpchar(84)", primary="aid", rows=1000000.0
    ),
    table(17030, "pgbench_history", "tid int4, bid int4, aid int4, delta int4, mtime timestamp, filler bpchar(22)"),
    table(
        17040,
        "t",
        "id int4, a int4, b text, c numeric, d timestamptz, e bool",
        primary="id",
        plain=("a,b",),
        defaults={"a": "42", "b": "'none'::text"},
        checks=(("t_a_check", "a > 0"),),
    ),
    table(
        17060,
        "u",
        "id int4, t_id int4, name varchar(10), tags _text, big int8",
        primary="id",
        unique=("name",),
        plain=("t_id",),
    ),
)


class FakeCatalog:
    """``CatalogView`` over the registry and ``TABLES`` plus the system catalogs and views."""

    version = 1
    search_path: tuple[str, ...] = ("pg_catalog", "public")
    unusable: frozenset[int] = frozenset()
    database = "postgres"

    collations: tuple[Collation, ...] = (
        Collation(100, "default", 11, "d", True),
        Collation(950, "C", 11, "c", True, "C", "C"),
        Collation(951, "POSIX", 11, "c", True, "POSIX", "POSIX"),
    )

    def collation(self, oid: int) -> Collation | None:
        """By OID."""
        return next((item for item in self.collations if item.oid == oid), None)

    def find_collation(self, schema: str | None, name: str) -> Collation | None:
        """By name."""
        return next((item for item in self.collations if item.name == name), None)

    def __init__(self, extra: tuple[RelationDesc, ...] = ()) -> None:
        self._relations: dict[tuple[str, str], RelationDesc] = {}
        for item in CATALOGS.values():
            self._relations["pg_catalog", item.desc.name] = item.desc
        for desc in (*system_views(), *TABLES, *extra):
            self._relations[desc.schema, desc.name] = desc
        self._by_oid = {item.oid: item for item in self._relations.values()}
        self.statistics: dict[tuple[int, int], ColumnStatistics] = {}

    def of_view(self) -> Self:
        return self

    reads_stored_text = False

    def of_stored_text(self) -> Self:
        return self

    def find_relation(self, schema: str | None, name: str) -> RelationDesc | None:
        if schema is not None and schema not in _SCHEMAS:
            raise InvalidSchemaName(f'schema "{schema}" does not exist')
        for each in (schema,) if schema else self.search_path:
            found = self._relations.get((each, name))
            if found is not None:
                return found
        return None

    def relation(self, oid: int) -> RelationDesc | None:
        return self._by_oid.get(oid)

    def with_detaching(self, desc: RelationDesc) -> RelationDesc:
        return desc

    def relation_of_row_type(self, oid: int) -> RelationDesc | None:
        return next((item for item in self._by_oid.values() if item.row_type == oid and oid), None)

    def find_type(self, schema: str | None, name: str) -> PgType | None:
        return REGISTRY.types_by_name.get(name) if schema in (None, "pg_catalog") else None

    def type(self, oid: int) -> PgType:
        found = REGISTRY.types.get(oid)
        if found is None:
            raise InternalError(f"cache lookup failed for type {oid}")
        return found

    def functions(self, schema: str | None, name: str) -> list[Function]:
        return REGISTRY.functions_by_name.get(name, []) if schema in (None, "pg_catalog") else []

    def function(self, oid: int) -> Function:
        return REGISTRY.functions[oid]

    def aggregate(self, oid: int) -> Aggregate | None:
        return REGISTRY.aggregates.get(oid)

    def operators(self, schema: str | None, name: str) -> list[Operator]:
        return REGISTRY.operators_by_name.get(name, []) if schema in (None, "pg_catalog") else []

    def operator(self, oid: int) -> Operator:
        return REGISTRY.operators[oid]

    def estimators(self, oid: int) -> tuple[int, int]:
        return _estimators().get(oid, (0, 0))

    def may_read(self, relation: RelationDesc, attno: int) -> bool:
        return True

    def is_leakproof(self, function: int) -> bool:
        return False

    def hash_functions(self, oid: int) -> tuple[int, int] | None:
        return None

    def sort_operator(self, oid: int) -> int:
        return _sort_operators().get(oid, 0)

    def blocks(self, relation: RelationDesc) -> int:
        return relation.pages

    def column_statistics(self, relation: int, attno: int, tree: bool = False) -> ColumnStatistics | None:
        return self.statistics.get((relation, attno))

    def extended_statistics(self, relation: int, tree: bool = False) -> tuple[ExtendedStatistics, ...]:
        return ()

    def cast(self, source: int, target: int) -> Cast | None:
        return REGISTRY.casts.get((source, target))

    def operator_class(self, oid: int) -> OperatorClass | None:
        return REGISTRY.operator_classes.get(oid)

    def operator_strategy(self, family: int, operator: int) -> int:
        return REGISTRY.strategies.get((family, operator), 0)

    def ordering_strategy(self, family: int, operator: int) -> int:
        return REGISTRY.ordering.get((family, operator), 0)

    def family_operator(self, family: int, left: int, right: int, strategy: int) -> int:
        return REGISTRY.family_operators.get((family, left, right, strategy), 0)

    def namespace_name(self, oid: int) -> str:
        """Of the two schemas that things here are in."""
        return "pg_catalog" if oid == 11 else "public"

    def rely_on_key(self, constraint: int) -> None:
        """Nothing here outlives a key."""

    def default_operator_class(self, type_oid: int, method: int = 403) -> OperatorClass | None:
        for item in REGISTRY.operator_classes.values():
            if item.method == method and item.default and item.input_type == type_oid:
                return item
        for item in REGISTRY.operator_classes.values():
            cast = REGISTRY.casts.get((type_oid, item.input_type))
            if (
                item.method == method
                and item.default
                and cast is not None
                and (cast.method, cast.context) == ("b", "i")
            ):
                return item
        return None


@cache
def _estimators() -> dict[int, tuple[int, int]]:
    return {row["oid"]: (row["oprrest"], row["oprjoin"]) for row in fact_rows("pg_operator")}


@cache
def _sort_operators() -> dict[int, int]:
    return {row["aggfnoid"]: row["aggsortop"] for row in fact_rows("pg_aggregate")}


def system_views() -> list[RelationDesc]:
    """The system views with their stored SQL."""
    sql = view_sql()
    return [
        RelationDesc(
            oid=item.oid,
            relfile=0,
            name=item.name,
            schema=item.schema,
            namespace=11,
            kind="v",
            columns=item.columns,
            view_sql=sql[key],
            row_type=item.row_type,
        )
        for key, item in SYSTEM_VIEWS.items()
        if key in sql
    ]


def lifted_literals(node: object) -> dict[int, tuple[int, str]]:
    """Byte offset → (slot, text) of every number and string literal of an ASCII statement, as a lifter would take
    them."""
    found: list[ast.A_Const] = []

    def visit(item: object) -> None:
        if isinstance(item, tuple):
            for each in item:
                visit(each)
        elif isinstance(item, ast.A_Const):
            found.append(item)
        elif isinstance(item, ast.Node):
            for name in item:
                visit(getattr(item, name))

    visit(node)
    slots: dict[int, tuple[int, str]] = {}
    for item in found:
        where, value = literal_location(item), item.val
        if where >= 0 and where not in slots and isinstance(value, (ast.Integer, ast.Float, ast.String)):
            text = (
                str(value.ival or 0) if isinstance(value, ast.Integer) else getattr(value, "fval", None) or value.sval
            )
            slots[where] = (len(slots) + 1, text)
    return slots
