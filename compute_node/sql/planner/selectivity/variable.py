"""What is known of one side of a condition: whose column it is, and what ANALYZE found about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aurora.datum import Datum
from aurora.errors import SqlError, is_of_a_value
from compute_node.hub import HUB
from compute_node.relations.column_statistics import (
    CORRELATION,
    HISTOGRAM,
    MOST_COMMON,
    ColumnStatistics,
)
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const, Expr, Var
from compute_node.sql.family_tables import tables_of
from compute_node.sql.planner.fold import evaluation
from compute_node.sql.planner.paths import entry_statistics, type_width
from compute_node.sql.planner.quals import strip_relabel
from compute_node.sql.query import Query, RangeEntry
from compute_node.types import oids
from compute_node.types.collation import collation_of

_EQUAL = 3
"""strategy of equality in a B-tree operator family"""
DEFAULT_DISTINCT = 200.0
DEFAULT_ROWS = 1000.0
PAGES_MIN = 10
PAGE_ROOM_BYTES = 8168
ROW_OVERHEAD_BYTES = 28
"""a row's header, and its place in the page's directory"""


def clamp(fraction: float) -> float:
    """A probability."""
    return min(max(fraction, 0.0), 1.0)


def table_size(catalog: CatalogView, relation: RelationDesc) -> tuple[float, float]:
    """(pages, rows), at least 1 each: as many pages as there are now, with as many rows each as VACUUM or ANALYZE
    found; where neither has been, as many as the columns' types leave room for, and at least ten pages (of a table with
    children as many as there are, for it may well stay empty)."""
    pages = max(catalog.blocks(relation), 0)
    known = relation.rows >= 0
    if pages < PAGES_MIN and not known and not relation.children:
        pages = PAGES_MIN
    if known and relation.pages > 0:
        density = relation.rows / relation.pages
    else:
        columns = (column for column in relation.columns if not column.dropped)
        width = sum(type_width(catalog, column.type, column.typmod) for column in columns)
        density = float(PAGE_ROOM_BYTES // (width + ROW_OVERHEAD_BYTES))
    return float(max(pages, 1)), max(round(density * pages), 1.0)


def entry_size(catalog: CatalogView, entry: RangeEntry) -> tuple[float, float]:
    """The same of a table's range entry: of all tables of its family."""
    if entry.relation is None:
        return 1.0, DEFAULT_ROWS
    if not entry.has_family:
        return table_size(catalog, entry.relation)
    sizes = [table_size(catalog, table) for table in tables_of(catalog, entry.relation)]
    return max(sum(pages for pages, _ in sizes), 1.0), max(sum(rows for _, rows in sizes), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """``rows``: of the table that it is a column of. Frequencies are of all of these."""

    node: Expr
    statistics: ColumnStatistics | None = None
    rows: float = 0.0
    is_unique: bool = False
    relation: RelationDesc | None = None
    may_test: bool = False
    """whether any operator may be tried on its values; else those alone that tell nothing but their results"""

    @property
    def is_address(self) -> bool:
        """Whether it is a table's ctid."""
        return self.relation is not None and isinstance(self.node, Var) and self.node.attno == -1

    @property
    def null_fraction(self) -> float:
        """Of the rows, 0 when it is not known."""
        return 0.0 if self.statistics is None else self.statistics.null_fraction

    @property
    def common(self) -> tuple[Sequence[Datum], Sequence[float]]:
        """(the most common values, their frequencies), most common first."""
        slot = None if self.statistics is None else self.statistics.slot(MOST_COMMON)
        return ((), ()) if slot is None else (slot.values or (), slot.numbers or ())

    @property
    def histogram(self) -> Sequence[Datum]:
        """Bounds of parts of equal size of the values that are not most common, in order."""
        slot = None if self.statistics is None else self.statistics.slot(HISTOGRAM)
        return () if slot is None else slot.values or ()

    @property
    def correlation(self) -> float:
        """Of the values' order with the table's."""
        slot = None if self.statistics is None else self.statistics.slot(CORRELATION)
        return 0.0 if slot is None or not slot.numbers else slot.numbers[0]

    @property
    def distinct(self) -> float:
        """How many different values there are, at least 1."""
        return self.counted[0]

    @property
    def counted(self) -> tuple[float, bool]:
        """(how many different values there are, whether that is a guess)."""
        known = 0.0
        if self.statistics is not None:
            known = self.statistics.distinct
        elif self.node.type == oids.BOOL:
            known = 2.0
        if self.is_unique:
            known = -(1.0 - self.null_fraction)
        if known > 0:
            return max(1.0, round(known)), False
        if self.rows <= 0:
            return DEFAULT_DISTINCT, True
        if known < 0:
            return max(1.0, round(-known * self.rows)), False
        if self.rows < DEFAULT_DISTINCT:
            return max(1.0, round(self.rows)), False
        return DEFAULT_DISTINCT, True


def examine(catalog: CatalogView, entries: Sequence[RangeEntry], node: Expr) -> Variable:
    """What is known of an expression; of what is no column, and no indexed expression, next to nothing."""
    node = strip_relabel(node)
    if not isinstance(node, Var) or node.levels_up:
        return Variable(node)
    entry = entries[node.rte]
    relation = entry.relation if entry.kind == "relation" else None
    if relation is None:
        return Variable(node) if entry.is_barrier else _of_query(catalog, entry.query, node)
    unique = not entry.has_family and _is_unique(relation, node.attno)
    found = entry_statistics(catalog, entry, node.attno)
    may_test = found is not None and not entry.security and catalog.may_read(relation, node.attno)
    return Variable(node, found, entry_size(catalog, entry)[1], unique, relation, may_test)


def _of_query(catalog: CatalogView, query: Query | None, node: Var) -> Variable:
    """A column of a sub-select that is nothing but a column of one of its tables. How many rows of it are left there is
    not looked at, nor is it unique any more, unless the sub-select makes it so."""
    if query is None or not 0 < node.attno <= len(query.targets) or query.set_op is not None:
        return Variable(node)
    if query.grouping_sets is not None or query.command != "select":
        return Variable(node)
    target = node.attno - 1
    alone = bool(query.distinct and not query.distinct_on and sum(not item.junk for item in query.targets) == 1)
    alone = alone or list(query.group_by) == [target]
    if query.distinct or query.group_by:
        return Variable(node, is_unique=alone, rows=DEFAULT_ROWS if alone else 0.0)
    inner = examine(catalog, query.range_table, query.targets[target].expression)
    return Variable(node, inner.statistics, inner.rows, False, inner.relation, inner.may_test)


def _is_unique(relation: RelationDesc, attno: int) -> bool:
    if attno == -1:
        return True
    return any(
        index.unique and index.valid and index.predicate is None and index.columns == (attno,)
        for index in relation.indexes
    )


Test = Callable[[Datum], bool]


def sorts_as(catalog: CatalogView, operator: int, variable: Variable, other: int) -> Callable[[Datum], Datum] | None:
    """What makes of values of both types objects that are equal, and hash so, exactly where the operator says it; None
    where there is no such thing."""
    kind = catalog.type(variable.node.type)
    family = catalog.default_operator_class(kind.oid)
    if family is None or catalog.operator_strategy(family.family, operator) != _EQUAL:
        return None
    if kind.root is not catalog.type(other).root or collation_of(kind.oid) or kind.element or kind.kind in "crm":
        return None
    return kind.sort_value or (lambda value: value)


class Untestable(Exception):
    """An operator refuses a value, so what it would say of the others is not looked at either."""


def test_of(catalog: CatalogView, operator: int, variable: Variable, constant: Const) -> Test | None:
    """Whether ``value OPERATOR constant`` for values of the variable; None: that cannot be told while planning. The
    test raises Untestable."""
    compare = comparison(catalog, operator, variable, constant.type)
    if compare is None:
        return None
    value = constant.value
    return lambda other: compare(other, value)


def comparison(
    catalog: CatalogView, operator: int, variable: Variable, other: int, other_may_test: bool = True
) -> Callable[[Datum, Datum], bool] | None:
    """An operator over the variable's values and those of another type; see ``test_of``."""
    found = catalog.operator(operator)
    evaluate = evaluation(catalog, found.function, (variable.node.type, other), found.result)
    if evaluate is None:
        return None
    if not (variable.may_test and other_may_test) and not catalog.is_leakproof(found.function):
        return None

    def compare(left: Datum, right: Datum) -> bool:
        HUB.pulse()
        try:
            return evaluate(left, right) is True
        except SqlError as error:
            if not is_of_a_value(error):
                raise
            raise Untestable from None

    return compare
