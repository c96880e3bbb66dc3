"""Partitioned tables as queries and DDL see them: descriptors → bounds in order, key expressions, constraints.

``partitions_of`` is kept with the descriptor of the parent, which every ATTACH, DETACH, CREATE and DROP of a partition
replaces. ``partition_constraint`` is what a row must satisfy to be in a partition; it is shown, and proved from other
conditions, while rows are placed by ``PartitionIndex`` (``compute_node/relations/partitions.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import (
    HASH,
    HASH_SEED,
    LIST,
    Edge,
    PartitionBound,
    PartitionIndex,
    PartitionKey,
    combined_hash,
    comparison_forms,
)
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import deparse_stored, quote_identifier
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    Call,
    Collate,
    Column,
    Const,
    Expr,
    Not,
    NullTest,
    Or,
    Relabel,
    Var,
    map_children,
    walk,
)
from compute_node.types import oids
from compute_node.types.registry import RoutineCall, TypeEnv

_SATISFIES_HASH_PARTITION = 5028
_SEED = HASH_SEED - (1 << 64) if HASH_SEED >> 63 else HASH_SEED
"""as an int8"""
_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER = 1, 2, 3, 4, 5


def key_of(relation: RelationDesc) -> PartitionKey:
    """The key of a partitioned table. XX000 for another relation."""
    if relation.partition_key is None:
        raise InternalError(f'"{relation.name}" is not partitioned')
    return relation.partition_key


def partitions_of(catalog: CatalogView, relation: RelationDesc) -> PartitionIndex:
    """The partitions of a partitioned table, in the order of their bounds."""
    known = relation.extra.get("partitions")
    if known is None:
        key = key_of(relation)
        found: list[tuple[int, PartitionBound]] = []
        for oid in relation.children:
            child = catalog.relation(oid)
            if child is None or child.bound is None:
                raise InternalError(f'child {oid} of "{relation.name}" is not a partition')
            found.append((oid, child.bound))
        forms = comparison_forms(key, catalog.type)
        hash_of = hash_function(catalog, key) if key.strategy == HASH else None
        known = relation.extra["partitions"] = PartitionIndex(key, forms, found, hash_of)
    return known


def _calling(
    routine: Callable[[RoutineCall, tuple[Datum, Datum]], Datum], site: RoutineCall
) -> Callable[[Datum, int], Datum]:
    return lambda value, seed: routine(site, (value, seed))


def hash_function(
    catalog: CatalogView, key: PartitionKey, routine: Callable[[RoutineCall, tuple[Datum, Datum]], Datum] | None = None
) -> Callable[[Sequence[Datum]], int] | None:
    """Key values → the hash of a row that has them. Functions of users' are run by ``routine``; without it None where
    there are any."""
    wide = catalog.type(oids.INT8)
    runs: list[Callable[[Datum, int], Datum]] = []
    for oid, kind in zip(key.hashes, key.types, strict=True):
        function = catalog.function(oid)
        if function.routine is None:
            special = function.specialize
            runs.append(function.implementation if special is None else special((catalog.type(kind), wide), wide))
        elif routine is None:
            return None
        else:
            runs.append(_calling(routine, RoutineCall(function, (kind, oids.INT8), oids.INT8)))

    def run(values: Sequence[Datum]) -> int:
        pairs = zip(runs, values, strict=True)
        return combined_hash([None if value is None else each(value, _SEED) for each, value in pairs])

    return run


def key_expressions(catalog: CatalogView, relation: RelationDesc) -> tuple[Expr, ...]:
    """The key's columns and expressions over the table's own columns (``Var`` of range entry 0)."""
    known = relation.extra.get("partition key")
    if known is None:
        key = key_of(relation)
        texts = iter(key.expressions)
        known = relation.extra["partition key"] = tuple(
            [
                Var(type=kind, typmod=typmod, rte=0, attno=attno)
                if attno
                else analyze_stored(catalog, relation, next(texts), "INDEX")
                for attno, kind, typmod in zip(key.columns, key.types, key.typmods, strict=True)
            ]
        )
    return known


def key_columns(catalog: CatalogView, relation: RelationDesc) -> set[str]:
    """The names of the columns that the key reads."""
    used = [item for each in key_expressions(catalog, relation) for item in walk(each) if isinstance(item, Var)]
    return {relation.columns[item.attno - 1].name for item in used if item.attno > 0}


def key_names(catalog: CatalogView, relation: RelationDesc, env: TypeEnv = DEFAULT_ENV) -> list[str]:
    """The key's columns and expressions as messages and pg_get_partkeydef name them."""
    columns = key_of(relation).columns
    return [
        quote_identifier(relation.columns[attno - 1].name) if attno else deparse_stored(item, catalog, relation, env)
        for item, attno in zip(key_expressions(catalog, relation), columns, strict=True)
    ]


def over_row(node: Expr, relation: RelationDesc) -> Expr:
    """An expression over a table's columns (``Var``) over a full row of it (``Column``)."""
    if isinstance(node, Var):
        if node.attno == -6:
            return Const(type=oids.OID, value=int(relation.oid))
        if node.attno <= 0:
            raise InternalError("a partition key reads no system columns")
        return Column(type=node.type, typmod=node.typmod, index=node.attno - 1)
    return map_children(node, lambda child: over_row(child, relation))


def hash_expressions(catalog: CatalogView, relation: RelationDesc) -> tuple[Expr, ...]:
    """Of a table partitioned by hash: the extended hash of each key value, NULL for NULL."""
    key = key_of(relation)
    seed = Const(type=oids.INT8, value=_SEED)
    found: list[Expr] = []
    for expr, function in zip(key_expressions(catalog, relation), key.hashes, strict=True):
        if not function:
            raise InternalError(f'an operator class of the partition key of "{relation.name}" has no extended hash')
        found.append(Call(type=oids.INT8, function=function, arguments=(expr, seed)))
    return tuple(found)


def ancestors_of(catalog: CatalogView, relation: RelationDesc) -> list[RelationDesc]:
    """The tables that a partition is a part of, from its parent to the root."""
    found: list[RelationDesc] = []
    while relation.is_partition:
        parent = catalog.relation(relation.parents[0])
        if parent is None:
            raise InternalError(f'partition "{relation.name}" has no parent')
        found.append(catalog.with_detaching(parent) if parent.detaching == relation.oid else parent)
        relation = parent
    return found


def leaves_of(catalog: CatalogView, relation: RelationDesc) -> list[RelationDesc]:
    """The tables below a partitioned one that have rows, in the order of the bounds."""
    found: list[RelationDesc] = []
    for oid in partitions_of(catalog, relation).oids:
        child = catalog.relation(oid)
        if child is not None:
            found += leaves_of(catalog, child) if child.is_partitioned else [child]
    return found


def places_of(source: RelationDesc, target: RelationDesc) -> tuple[int, ...] | None:
    """For each column of ``target`` the place in a row of ``source`` of the column with its name, -1 for a dropped one;
    None: rows are laid out alike."""
    by_name = {column.name: column.attno - 1 for column in source.columns if not column.dropped}
    places = tuple([-1 if column.dropped else by_name[column.name] for column in target.columns])
    return None if places == tuple(range(len(source.columns))) else places


# --- constraints ----------------------------------------------------------------------------------------------------


class _Maker:
    """Conditions over the columns of one partitioned table."""

    def __init__(self, catalog: CatalogView, parent: RelationDesc) -> None:
        self._catalog = catalog
        self._parent = parent
        self._key = key_of(parent)
        self._columns = key_expressions(catalog, parent)

    def of(self, bound: PartitionBound) -> list[Expr]:
        """What the rows of a partition with that bound satisfy."""
        if self._key.strategy == HASH:
            return [self._hash(bound)]
        if self._key.strategy == LIST:
            return self._list(bound)
        return self._default_range() if bound.is_default else [*self._not_null(), *self._range(bound)]

    def _hash(self, bound: PartitionBound) -> Expr:
        numbers = (
            Const(type=oids.OID, value=int(self._parent.oid)),
            Const(type=oids.INT4, value=bound.modulus),
            Const(type=oids.INT4, value=bound.remainder),
        )
        return Call(type=oids.BOOL, function=_SATISFIES_HASH_PARTITION, arguments=(*numbers, *self._columns))

    def _others(self) -> list[PartitionBound]:
        return [bound for bound in partitions_of(self._catalog, self._parent).bounds if not bound.is_default]

    def _list(self, bound: PartitionBound) -> list[Expr]:
        column = self._columns[0]
        values: list[Datum] = list(bound.values)
        if bound.is_default:
            values = [value for other in self._others() for value in other.values]
            if not values:
                return []
        known = [value for value in values if value is not None]
        is_null = NullTest(type=oids.BOOL, argument=column, negated=None not in values)
        found: list[Expr] = [is_null]
        if len(known) == 1:
            found.append(self._compare(0, _EQUAL, known[0]))
        elif known:
            found.append(self._one_of(known))
        if None in values and len(found) > 1:
            found = [Or(type=oids.BOOL, arguments=tuple(found))]
        return [Not(type=oids.BOOL, argument=all_of(found))] if bound.is_default else found

    def _not_null(self) -> list[Expr]:
        return [NullTest(type=oids.BOOL, argument=column, negated=True) for column in self._columns]

    def _default_range(self) -> list[Expr]:
        arms = [all_of(self._range(bound)) for bound in self._others()]
        if not arms:
            return []
        whole = And(type=oids.BOOL, arguments=(*self._not_null(), _any(arms)))
        return [Not(type=oids.BOOL, argument=whole)]

    def _range(self, bound: PartitionBound) -> list[Expr]:
        """PostgreSQL's form: columns with one value, then an OR of arms for each end."""
        found: list[Expr] = []
        first = 0
        index = partitions_of(self._catalog, self._parent)
        for place, (low, high) in enumerate(zip(bound.lower, bound.upper, strict=True)):
            if isinstance(low, Edge) or isinstance(high, Edge) or index.form(low, place) != index.form(high, place):
                break
            found.append(self._compare(place, _EQUAL, low))
            first += 1
        for ends, last, before_edge, strict, side in (
            (bound.lower, _GREATER_EQUAL, _GREATER_EQUAL, _GREATER, -1),
            (bound.upper, _LESS, _LESS_EQUAL, _LESS, 1),
        ):
            arms = self._arms(ends, first, (last, before_edge, strict), side)
            if arms:
                found.append(_any(arms))
        return found or [Const(type=oids.BOOL, value=True)]

    def _arms(self, ends: Sequence[Datum], first: int, strategies: tuple[int, int, int], side: int) -> list[Expr]:
        """``a > 1 OR (a = 1 AND b >= 2)``: ``strategies`` are those of the last column, of one before an edge of this
        ``side``, and of all others."""
        last, before_edge, strict = strategies
        arms: list[Expr] = []
        for place in range(first, len(ends)):
            if isinstance(ends[place], Edge):
                break
            arm = [self._compare(each, _EQUAL, ends[each]) for each in range(first, place)]
            following = ends[place + 1] if place + 1 < len(ends) else None
            at_edge = isinstance(following, Edge)
            if place == len(ends) - 1:
                strategy = last
            elif isinstance(following, Edge) and following.side == side:
                strategy = before_edge
            else:
                strategy = strict
            arms.append(all_of([*arm, self._compare(place, strategy, ends[place])]))
            if at_edge:
                break
        return arms

    def _operator(self, place: int, strategy: int) -> tuple[int, int, int]:
        """(the operator, its function, the type of its operands) by which a key column is compared."""
        found = self._catalog.operator_class(self._key.operator_classes[place])
        if found is None:
            raise InternalError(f"cache lookup failed for operator class {self._key.operator_classes[place]}")
        operator = self._catalog.family_operator(found.family, found.input_type, found.input_type, strategy)
        return operator, self._catalog.operator(operator).function, found.input_type

    def _operand(self, place: int, wanted: int) -> Expr:
        """The key column as its operators take it."""
        column = self._columns[place]
        if self._catalog.type(wanted).kind == "p" or column.type == wanted:
            return column
        return Relabel(type=wanted, argument=column)

    def _constant(self, place: int, value: Datum, wanted: int) -> Expr:
        kind = self._key.types[place]
        if self._catalog.type(wanted).kind != "p":
            kind = wanted
        made = Const(type=kind, typmod=self._key.typmods[place] if kind == self._key.types[place] else -1, value=value)
        return made

    def _collated(self, place: int, node: Expr) -> Expr:
        collation = self._key.collations[place]
        own = self._parent.columns[self._key.columns[place] - 1].collation if self._key.columns[place] else collation
        return node if collation in (0, own) else Collate(type=node.type, argument=node, collation=collation)

    def _compare(self, place: int, strategy: int, value: Datum) -> Expr:
        operator, function, wanted = self._operator(place, strategy)
        arguments = self._operand(place, wanted), self._collated(place, self._constant(place, value, wanted))
        name = self._catalog.operator(operator).name
        return Call(type=oids.BOOL, function=function, operator=operator, display=name, arguments=arguments)

    def _one_of(self, values: Sequence[Datum]) -> Expr:
        operator, function, wanted = self._operator(0, _EQUAL)
        constants = tuple([self._collated(0, self._constant(0, value, wanted)) for value in values])
        kind = constants[0].type
        array = ArrayExpr(type=self._catalog.type(kind).array, elements=constants, element_type=kind)
        return ArrayOp(
            type=oids.BOOL,
            function=function,
            operator=operator,
            left=self._operand(0, wanted),
            right=array,
            use_or=True,
        )


def all_of(parts: Sequence[Expr]) -> Expr:
    """One condition that is true where all of these, at least one, are."""
    return parts[0] if len(parts) == 1 else And(type=oids.BOOL, arguments=tuple(parts))


def _any(parts: Sequence[Expr]) -> Expr:
    return parts[0] if len(parts) == 1 else Or(type=oids.BOOL, arguments=tuple(parts))


def bound_constraint(catalog: CatalogView, parent: RelationDesc, bound: PartitionBound) -> list[Expr]:
    """What the rows of a partition of ``parent`` with that bound satisfy, over the parent's columns: conjuncts."""
    return _Maker(catalog, parent).of(bound)


def partition_constraint(catalog: CatalogView, relation: RelationDesc) -> list[Expr]:
    """What the rows of a partition satisfy, by itself and by what it is a part of: conjuncts over its own columns."""
    if relation.bound is None:
        return []
    parent = catalog.relation(relation.parents[0])
    if parent is None:
        raise InternalError(f'partition "{relation.name}" has no parent')
    found = [*partition_constraint(catalog, parent), *bound_constraint(catalog, parent, relation.bound)]
    return [moved(item, parent, relation) for item in found]


def moved(node: Expr, source: RelationDesc, target: RelationDesc) -> Expr:
    """An expression over ``source``'s columns over those of ``target`` with the same names."""
    if isinstance(node, Var) and node.attno > 0 and node.levels_up == 0:
        column = target.column(source.columns[node.attno - 1].name)
        if column is None:
            raise InternalError(f'"{target.name}" lacks a column of "{source.name}"')
        return Var(type=node.type, typmod=node.typmod, rte=node.rte, attno=column.attno, location=node.location)
    return map_children(node, lambda child: moved(child, source, target))
