"""Rule: the ways to read one table through its indexes.

index → its columns in the query's terms → clauses (``index_match``) → the scan keys that its method can use → paths
with costs. Partial indexes take part when the conditions imply their predicate (``index_proof``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from aurora.errors import InvariantViolation
from compute_node.relations.access_methods import IS_NULL, METHODS, AccessMethod
from compute_node.relations.descriptors import IndexDesc
from compute_node.sql.expressions import Expr, SortKey
from compute_node.sql.plan import IndexKey, IndexOrder, IndexScan
from compute_node.sql.planner.index_columns import column_class, index_columns, is_usable
from compute_node.sql.planner.index_cost import ScanSize, index_scan_cost
from compute_node.sql.planner.index_match import IndexClause, IndexMatcher
from compute_node.sql.planner.index_proof import Proof
from compute_node.sql.planner.paths import ScanPath, array_elements, test_cost
from compute_node.sql.planner.quals import as_given, local_vars
from compute_node.sql.planner.selectivity import Estimator, table_size
from compute_node.sql.planner.state import Statement
from compute_node.sql.query import RangeEntry
from compute_node.types.collation import collation_of

MANY_COLUMNS = 0.75
"""Of the first column's correlation, what an index over several has."""


@dataclass(slots=True)
class Choice:
    """The clauses that one scan uses. ``keys`` are those that the method applies itself; the rest of ``clauses`` are
    checked on the rows. ``fixed``: leading columns that equal one value; ``point``: all columns do."""

    keys: list[IndexClause]
    clauses: list[IndexClause]
    fixed: int
    point: bool


@dataclass(slots=True)
class IndexPath:
    """``order``: what its rows come in the order of when the index is read forward. ``finds``: it reads a part of the
    index alone, or a partial one."""

    path: ScanPath
    order: tuple[SortKey[Expr], ...]
    finds: bool


def choose(method: AccessMethod, columns: int, clauses: Sequence[Sequence[IndexClause]]) -> Choice | None:
    """The scan keys for clauses by column; None when the method needs one that is not there.

    Columns are taken from the first on: equality (or IS NULL, or an array of values) lets the scan go on to the next
    column, bounds end it. Where the method takes any columns, all clauses are keys."""
    keys: list[IndexClause] = []
    fixed, single = 0, True
    if method.any_column:
        keys = [each for found in clauses for each in found]
        return Choice(keys, keys, 0, False) if keys or method.whole_scan else None
    for found in clauses:
        exact = next((each for each in found if each.strategy == method.equality and not each.array), None)
        exact = exact or next((each for each in found if each.strategy == IS_NULL), None)
        exact = exact or next((each for each in found if each.array), None)
        if exact is not None:
            keys.append(exact)
            single = single and not exact.array
            fixed += 1
            continue
        if method.ordered:
            keys += [each for each in found if each.strategy != method.equality]
        break
    if not keys and not method.whole_scan:
        return None
    point = single and fixed == columns and all(key.strategy == method.equality for key in keys)
    every = [each for found in clauses for each in found if each.exact or each in keys]
    return Choice(keys, every, fixed if single else 0, point)


class IndexPaths:
    """The index paths of one statement's tables. ``keep_implied``: conditions that a partial index's predicate makes
    true are checked all the same, because a newer version of the row may be locked or changed."""

    def __init__(self, statement: Statement, estimator: Estimator, keep_implied: bool) -> None:
        self._statement = statement
        self._catalog = statement.catalog
        self._estimator = estimator
        self._keep_implied = keep_implied

    def paths(
        self,
        rte: int,
        entry: RangeEntry,
        quals: Sequence[Expr],
        filter_quals: Sequence[Expr],
        loops: float = 1.0,
        for_order: bool = False,
    ) -> Iterator[IndexPath]:
        """``quals``: conditions that may become keys (with join conditions for a parameterised scan);
        ``filter_quals``: those that must hold of the rows in any case; ``loops``: how often the scan will run;
        ``for_order``: those without keys too, which are of use for their order alone."""
        relation = entry.relation
        if relation is None:
            return
        for index in relation.indexes:
            if is_usable(self._catalog, index) and not METHODS[index.method].bitmap_only:
                found = self.match(index, rte, entry, quals, filter_quals)
                if found is not None and (for_order or found[0].keys or found[1]):
                    choice, predicate, columns = found
                    path = self._path(index, rte, entry, choice, predicate, filter_quals, loops)
                    yield IndexPath(path, self.order(index, columns, choice), bool(choice.keys or predicate))

    def nearest(
        self, rte: int, entry: RangeEntry, quals: Sequence[Expr], wanted: Sequence[SortKey[Expr]]
    ) -> Iterator[IndexPath]:
        """The paths that give rows in the order of distances, as far as the query's order begins with some."""
        relation = entry.relation
        if relation is None or entry.sample is not None:
            return
        for index in relation.indexes:
            if not METHODS[index.method].distances or not is_usable(self._catalog, index):
                continue
            found = self.match(index, rte, entry, quals, quals)
            if found is None:
                continue
            choice, predicate, columns = found
            if any(key.array for key in choice.keys):
                continue
            matcher = IndexMatcher(self._catalog, index, columns, rte, self._statement.decisive_literals)
            orders: list[tuple[IndexOrder, Expr]] = []
            for key in wanted:
                order = None if key.descending or key.nulls_first else matcher.distance(key.expression)
                if order is None:
                    break
                orders.append(order)
            if orders:
                path = self._path(index, rte, entry, choice, predicate, quals, 1.0)
                if path.index is not None:
                    path.index = replace(path.index, orders=tuple(order for order, _ in orders))
                path.ordering = [shown for _, shown in orders]
                yield IndexPath(path, tuple(wanted[: len(orders)]), bool(choice.keys or predicate))

    def match(
        self, index: IndexDesc, rte: int, entry: RangeEntry, quals: Sequence[Expr], filter_quals: Sequence[Expr]
    ) -> tuple[Choice, tuple[Expr, ...], tuple[Expr, ...]] | None:
        """(the clauses to use, the predicate, the index's columns); None when the index cannot be used."""
        relation = entry.relation
        if relation is None:
            return None
        known = index_columns(self._catalog, relation, index, rte)
        literals = self._statement.decisive_literals
        if known.predicate and not Proof(self._catalog, filter_quals, literals).implies(known.predicate):
            return None
        matcher = IndexMatcher(self._catalog, index, known.columns, rte, literals)
        method = METHODS[index.method]
        clauses = [matcher.clauses(position, quals) for position in range(len(known.columns))]
        choice = choose(method, len(known.columns), clauses)
        return None if choice is None else (choice, known.predicate, known.columns)

    def _path(
        self,
        index: IndexDesc,
        rte: int,
        entry: RangeEntry,
        choice: Choice,
        predicate: tuple[Expr, ...],
        filter_quals: Sequence[Expr],
        loops: float,
    ) -> ScanPath:
        relation = entry.relation
        if relation is None:
            raise InvariantViolation("relation is not there")
        method = METHODS[index.method]
        pages, total = table_size(self._catalog, relation)
        used = [each.qual for each in choice.clauses if each.exact]
        implied = [] if self._keep_implied else [item for item in filter_quals if item in predicate]
        rest = [item for item in filter_quals if item not in used and item not in implied]
        unique = index.unique and index.immediate and choice.point
        keyed = _distinct([*(each.qual for each in choice.keys), *predicate])
        matched = 1.0 if unique else max(1.0, total * self._share(keyed, rte))
        checked = [each.qual for each in choice.clauses if each.exact and (each.lossy or each not in choice.keys)]
        tested = [item for item in _distinct([*rest, *checked]) if item not in keyed]
        rows = min(matched, max(round(total * self._share([*keyed, *tested], rte)), 1.0))
        size = ScanSize(
            total,
            pages,
            matched,
            test_cost([*rest, *checked]),
            self._correlation(index, rte),
            loops,
            descents(choice),
            index.pages,
        )
        costs = index_scan_cost(size, len(choice.keys))
        scan = IndexScan(
            relation=relation,
            index=index,
            keys=tuple(
                IndexKey(each.column, each.strategy, each.value, each.array, each.width) for each in choice.keys
            ),
            unique=unique,
            point=choice.point,
            alias=entry.alias,
        )
        return ScanPath(
            relids=frozenset({rte}),
            rows=rows,
            startup=costs.startup,
            cost=costs.total,
            required=frozenset(item for each in choice.clauses for item in local_vars(each.qual) if item.rte != rte),
            rte=rte,
            entry=entry,
            filter=rest,
            index=scan,
            keys=used,
            conditions=_distinct(each.shown for each in choice.clauses),
            recheck=_distinct(used if method.lossy else checked),
        )

    def _share(self, conditions: Sequence[Expr], rte: int) -> float:
        """Of the table's rows; what other tables' columns are is not known."""
        return self._estimator.of_all([as_given(item, rte) for item in conditions])

    def order(self, index: IndexDesc, columns: tuple[Expr, ...], choice: Choice) -> tuple[SortKey[Expr], ...]:
        """What the index's rows are in the order of, read forward: its columns behind those that equal one value."""
        if not METHODS[index.method].ordered or any(key.array for key in choice.keys):
            return ()
        found: list[SortKey[Expr]] = []
        for position in range(len(columns)):
            column = columns[position]
            kept = index.key_types[position] if index.key_types else 0
            if position < choice.fixed and self._is_fixed(kept):
                continue
            if not self._sorts(index, position, column):
                break
            descending = index.descending[position] if index.descending else False
            nulls_first = index.nulls_first[position] if index.nulls_first else False
            kind = kept if collation_of(kept) else column.type
            found.append(SortKey(column, kind, descending, nulls_first))
        return tuple(found)

    def _correlation(self, index: IndexDesc, rte: int) -> float:
        """Of the index's order with the table's."""
        if not index.columns[0]:
            return 0.0
        known = self._estimator.column(rte, index.columns[0])
        found = known.correlation if known.statistics is not None else float(index.primary)
        return found * MANY_COLUMNS if len(index.columns) > 1 else found

    def _is_fixed(self, kind: int) -> bool:
        """Whether rows that are equal in a column of this type are the same in it."""
        kept = collation_of(kind)
        found = self._catalog.collation(kept) if kept else None
        return found is None or found.deterministic

    def _sorts(self, index: IndexDesc, position: int, column: Expr) -> bool:
        """Whether the column's order is its type's own: ORDER BY knows no other."""
        opclass = column_class(self._catalog, index, position, column)
        default = self._catalog.default_operator_class(column.type)
        return opclass is not None and default is not None and opclass.family == default.family


def _distinct(nodes: Iterable[Expr]) -> list[Expr]:
    """Each once, in order; constants need not be hashable."""
    found: list[Expr] = []
    for node in nodes:
        if node not in found:
            found.append(node)
    return found


def descents(choice: Choice) -> float:
    """How often a scan by these keys starts again: for each element of their arrays."""
    return float(max(1, math.prod(array_elements(key.value) for key in choice.keys if key.array)))
