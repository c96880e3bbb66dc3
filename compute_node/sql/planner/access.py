"""Rule: how to read one table: sequentially, through a B-tree (equality and range prefixes), or by tid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import ArrayOp, Call, Const, Expr, NullTest, SortKey, Var
from compute_node.sql.plan import IndexScan
from compute_node.sql.planner.estimate import selectivity, table_pages, table_rows
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.paths import (
    CPU_INDEX_TUPLE_COST,
    CPU_OPERATOR_COST,
    CPU_TUPLE_COST,
    RANDOM_PAGE_COST,
    SEQ_PAGE_COST,
    ScanPath,
)
from compute_node.sql.planner.quals import conjuncts, contains_volatile, local_vars, nonnullable, relids, strip_relabel
from compute_node.sql.query import RangeEntry
from compute_node.sql.rewrite import deep_map
from compute_node.types import oids
from compute_node.types.registry import OperatorClass

_INTEGERS = frozenset({oids.INT2, oids.INT4, oids.INT8})
_STRINGS = frozenset({oids.TEXT, oids.VARCHAR, oids.NAME})
_COMPARISONS = {"=": 3, "<": 1, "<=": 2, ">=": 4, ">": 5}
_MIRRORED = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}


class Match(NamedTuple):
    """A condition usable with an index column: B-tree strategy 1…5 (6: ``= ANY(array)``) and the key expression."""

    strategy: int
    key: Expr
    qual: Expr


def operator_class(
    catalog: CatalogView, relation: RelationDesc, index: IndexDesc, position: int
) -> OperatorClass | None:
    """The operator class of an index column."""
    return catalog.default_operator_class(relation.columns[index.columns[position] - 1].type)


def _fits(catalog: CatalogView, column_type: int, key_type: int, operator: int, opclass: OperatorClass | None) -> int:
    """The strategy of the operator for a column and key of these types; 0 when the index cannot serve it."""
    declared = catalog.operator(operator)
    strategy = _COMPARISONS.get(declared.name, 0)
    if not strategy:
        return 0
    if opclass is not None and operator in opclass.operators:
        return opclass.operators.index(operator) + 1
    for family in (_INTEGERS, _STRINGS):
        if column_type in family and key_type in family and {declared.left, declared.right} <= family:
            return strategy
    return 0


def _matches(
    catalog: CatalogView, relation: RelationDesc, index: IndexDesc, rte: int, position: int, quals: Sequence[Expr]
) -> Iterator[Match]:
    attno = index.columns[position]
    if attno <= 0:
        return
    column_type = relation.columns[attno - 1].type
    opclass = operator_class(catalog, relation, index, position)

    def is_column(node: Expr) -> bool:
        node = strip_relabel(node)
        return isinstance(node, Var) and node.levels_up == 0 and node.rte == rte and node.attno == attno

    for qual in quals:
        if isinstance(qual, Call) and qual.operator and len(qual.arguments) == 2:
            left, right = qual.arguments
            for column, key, mirrored in ((left, right, False), (right, left, True)):
                if not is_column(column) or rte in relids(key) or contains_volatile(catalog, key):
                    continue
                strategy = _fits(catalog, column_type, key.type, qual.operator, opclass)
                if strategy:
                    yield Match(_MIRRORED[strategy] if mirrored else strategy, key, qual)
                    break
        elif isinstance(qual, ArrayOp) and qual.use_or and is_column(qual.left):
            if rte in relids(qual.right) or contains_volatile(catalog, qual.right):
                continue
            element = catalog.type(qual.right.type).element
            if _fits(catalog, column_type, element, qual.operator, opclass) == 3:
                yield Match(6, qual.right, qual)
        elif isinstance(qual, Var) and column_type == oids.BOOL and is_column(qual):
            yield Match(3, Const(type=oids.BOOL, value=True), qual)


def _implied(
    predicate: str | None,
    relation: RelationDesc,
    index: IndexDesc,
    rte: int,
    quals: Sequence[Expr],
    catalog: CatalogView,
) -> bool:
    """Whether the conditions contain every conjunct of a partial index's predicate."""
    if predicate is None:
        return True
    cache = relation.extra.setdefault("predicates", {})
    parsed = cache.get(index.oid)
    if parsed is None:
        parsed = cache[index.oid] = conjuncts(fold(catalog, analyze_stored(catalog, relation, predicate)))

    def placed(node: Expr, depth: int) -> Expr:
        if isinstance(node, Var) and node.rte == 0 and node.levels_up == depth:
            return Var(type=node.type, typmod=node.typmod, rte=rte, attno=node.attno, levels_up=depth)
        return node

    wanted = [deep_map(item, placed) for item in parsed]

    def holds(item: Expr) -> bool:
        if item in quals:
            return True
        if isinstance(item, NullTest) and item.negated:
            column = item.argument
            return any(column in local_vars(qual) and rte in nonnullable(catalog, qual) for qual in quals)
        return False

    return all(holds(item) for item in wanted)


def index_paths(
    catalog: CatalogView,
    rte: int,
    entry: RangeEntry,
    entries: list[RangeEntry],
    quals: Sequence[Expr],
    filter_quals: Sequence[Expr],
    order: Sequence[SortKey] = (),
) -> Iterator[tuple[ScanPath, bool]]:
    """Index scans for the table: (path, whether its order is ``order``, whose expressions are Vars of the table).

    ``quals``: conditions that may become keys (with join conditions for a parameterised scan); ``filter_quals``: those
    that must hold of the rows in any case.
    """
    relation = entry.relation
    if relation is None:
        return
    total, pages = table_rows(relation), table_pages(relation)
    for index in relation.indexes:
        if index.method != "btree" or not index.valid or not index.ready:
            continue
        if not _implied(index.predicate, relation, index, rte, filter_quals, catalog):
            continue
        keys = index.columns[: len(index.columns) - len(index.included)]
        equal: list[Expr] = []
        used: list[Expr] = []
        lower = upper = None
        any_array = False
        for position in range(len(keys)):
            found = list(_matches(catalog, relation, index, rte, position, quals))
            exact = next((item for item in found if item.strategy == 3), None)
            if exact is not None:
                equal.append(exact.key)
                used.append(exact.qual)
                continue
            probe = next((item for item in found if item.strategy == 6), None)
            if probe is not None:
                equal.append(probe.key)
                used.append(probe.qual)
                any_array = True
                break
            for item in found:
                if item.strategy in (4, 5) and lower is None:
                    lower = (item.key, item.strategy == 4)
                    used.append(item.qual)
                elif item.strategy in (1, 2) and upper is None:
                    upper = (item.key, item.strategy == 2)
                    used.append(item.qual)
            break
        ordered, backward = _order(index, keys, len(equal), any_array, order)
        if not used and not ordered:
            continue
        unique = index.unique and len(equal) == len(keys) and not any_array
        fraction = 1.0
        for qual in used:
            fraction *= selectivity(catalog, qual, entries, total)
        matched = 1.0 if unique else max(1.0, total * fraction)
        rows = matched
        rest = [item for item in filter_quals if item not in used]
        for qual in rest:
            rows *= selectivity(catalog, qual, entries, total)
        rows = min(matched, max(rows, 1.0))
        # heap pages fetched, by Mackert and Lohman's bound, then CPU
        fetched = min(pages, 2.0 * pages * matched / (2.0 * pages + matched)) if pages > 1 else 1.0
        cost = 0.285 + RANDOM_PAGE_COST + fetched * RANDOM_PAGE_COST + matched * (CPU_INDEX_TUPLE_COST + CPU_TUPLE_COST)
        cost += matched * CPU_OPERATOR_COST * len(rest)
        scan = IndexScan(
            relation=relation,
            index=index,
            equal=tuple(equal),
            lower=lower,
            upper=upper,
            any_array=any_array,
            unique=unique,
            backward=backward,
            alias=entry.alias,
        )
        required = frozenset(item for qual in used for item in local_vars(qual) if item.rte != rte)
        yield (
            ScanPath(
                relids=frozenset({rte}),
                rows=rows,
                startup=0.285,
                cost=cost,
                required=required,
                rte=rte,
                entry=entry,
                filter=rest,
                index=scan,
                keys=used,
            ),
            ordered,
        )


def _order(
    index: IndexDesc, keys: tuple[int, ...], fixed: int, any_array: bool, order: Sequence[SortKey]
) -> tuple[bool, bool]:
    """(the index gives the order, by reading backward). Columns fixed by equality may stand anywhere before."""
    if not order or any_array:
        return False, False
    position, direction = 0, None
    for key in order:
        attno = key.expression.attno
        while position < len(keys) and keys[position] != attno and position < fixed:
            position += 1
        if attno in keys[:fixed]:
            continue
        position = max(position, fixed)
        if position >= len(keys) or keys[position] != attno:
            return False, False
        descending = index.descending[position] if index.descending else False
        nulls_first = index.nulls_first[position] if index.nulls_first else False
        if (key.descending, key.nulls_first) == (descending, nulls_first):
            backward = False
        elif (key.descending, key.nulls_first) == (not descending, not nulls_first):
            backward = True
        else:
            return False, False
        if direction is not None and direction != backward:
            return False, False
        direction = backward
        position += 1
    return True, bool(direction)


def seq_path(
    catalog: CatalogView, rte: int, entry: RangeEntry, entries: list[RangeEntry], quals: Sequence[Expr]
) -> ScanPath:
    """The whole table, filtered; by tid when a condition says ``ctid = …``."""
    relation = entry.relation
    total = table_rows(relation) if relation is not None else 1000.0
    pages = table_pages(relation) if relation is not None else 1.0
    rows = total
    for qual in quals:
        rows *= selectivity(catalog, qual, entries, total)
    for qual in quals:
        if isinstance(qual, Call) and qual.operator and len(qual.arguments) == 2:
            if catalog.operator(qual.operator).name != "=":
                continue
            for column, key in (qual.arguments, qual.arguments[::-1]):
                is_ctid = isinstance(column, Var) and column.rte == rte and column.attno == -1 and column.levels_up == 0
                if is_ctid and not relids(key):
                    rest = [item for item in quals if item is not qual]
                    return ScanPath(
                        relids=frozenset({rte}), rows=1.0, cost=4.01, rte=rte, entry=entry, filter=rest, tid=key
                    )
    cost = pages * SEQ_PAGE_COST + total * (CPU_TUPLE_COST + CPU_OPERATOR_COST * len(quals))
    return ScanPath(relids=frozenset({rte}), rows=max(1.0, rows), cost=cost, rte=rte, entry=entry, filter=list(quals))


def best_scan(
    catalog: CatalogView, rte: int, entry: RangeEntry, entries: list[RangeEntry], quals: Sequence[Expr]
) -> ScanPath:
    """The cheapest scan; one that finds at most one row by a unique key always wins, since statistics may be stale."""
    best = seq_path(catalog, rte, entry, entries, quals)
    for path, _ in index_paths(catalog, rte, entry, entries, quals, quals):
        if path.index is not None and path.index.unique:
            return path
        if path.cost < best.cost and best.tid is None:
            best = path
    return best
