"""Which conditions an index can serve: condition → clauses of an index column, by the column's operator family.

A condition matches when one side is the column (or the indexed expression), the other does not depend on the table, and
the operator, or its commutator, is a member of the operator family of the column's operator class: that gives the
strategy. Names of operators play no part. Derived clauses (LIKE and anchored regular expressions → a range) leave the
condition itself to be checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from compute_node.relations.access_methods import BTREE, IS_NULL, METHODS, NOT_NULL, AccessMethod
from compute_node.relations.descriptors import IndexDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    ArrayOp,
    BooleanTest,
    Call,
    Const,
    Expr,
    Not,
    NullTest,
    Param,
    RowCompare,
    RowExpr,
    Var,
)
from compute_node.sql.plan import IndexOrder
from compute_node.sql.planner.index_columns import column_class, commuted, same_but_literals
from compute_node.sql.planner.index_prefix import prefix_conditions
from compute_node.sql.planner.quals import contains_volatile, relids, strip_collation, strip_relabel
from compute_node.types import oids
from compute_node.types.collation import collation_of
from compute_node.types.registry import OperatorClass

SAME_KEYS = (
    frozenset({oids.INT2, oids.INT4, oids.INT8}),
    frozenset({oids.TEXT, oids.VARCHAR, oids.NAME}),
    frozenset({oids.FLOAT4, oids.FLOAT8}),
)
"""Types whose values are keys of each other's columns."""
_CONVERTED = frozenset({(oids.DATE, oids.TIMESTAMP), (oids.DATE, oids.TIMESTAMPTZ), (oids.TIMESTAMP, oids.TIMESTAMPTZ)})
"""(value's type, column's type) where a cast of the value keeps its place in the order."""
_BOOLEAN_EQUALITIES = frozenset({91, 85})
"""= and <> of bool"""
_ROW_STRATEGIES = {"<": 1, "<=": 2, ">=": 4, ">": 5}
_MIRRORED = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}


class IndexClause(NamedTuple):
    """One condition as a scan key. ``value`` None: a test for NULL. ``qual`` is the condition of the query, ``shown``
    the same with the index column on the left. ``exact``: the clause says all that the condition says. ``lossy``: the
    key may let a row through that does not meet it."""

    column: int
    strategy: int
    value: Expr | None
    qual: Expr
    shown: Expr
    array: bool = False
    width: int = 1
    exact: bool = True
    lossy: bool = False


class IndexMatcher:
    """Matches conditions with the columns of one index. ``literals`` gathers lifted literals whose value would decide
    whether the index can be used."""

    def __init__(
        self, catalog: CatalogView, index: IndexDesc, columns: Sequence[Expr], rte: int, literals: list[Param]
    ) -> None:
        self._catalog = catalog
        self._rte = rte
        self._columns = columns
        self._literals = literals
        self._method: AccessMethod = METHODS[index.method]
        self._collations = [collation_of(kind) for kind in index.key_types] or [0] * len(columns)
        self._classes = [column_class(catalog, index, at, column) for at, column in enumerate(columns)]

    def clauses(self, position: int, quals: Sequence[Expr]) -> list[IndexClause]:
        """The clauses that the conditions make for one index column, in the conditions' order."""
        opclass = self._classes[position]
        if opclass is None:
            return []
        return [clause for qual in quals for clause in self._match(position, opclass, qual)]

    def distance(self, node: Expr) -> tuple[IndexOrder, Expr] | None:
        """An ordering operator on one of the columns: (the order, the same with the column on the left)."""
        if not isinstance(node, Call) or not node.operator or len(node.arguments) != 2:
            return None
        for shown in (node, commuted(self._catalog, node)):
            if shown is None:
                continue
            column, value = shown.arguments
            for position, opclass in enumerate(self._classes):
                if opclass is None or not self._is_free(value) or not self._is_column(position, column):
                    continue
                strategy = self._catalog.ordering_strategy(opclass.family, shown.operator)
                if strategy:
                    return IndexOrder(position, strategy, value, shown.function), shown
        return None

    def _is_column(self, position: int, node: Expr, equality: bool = False) -> bool:
        """Whether the expression is the index column, compared as the index is ordered. Equality asks no collation that
        holds but equal texts for equal."""
        column, ordered = self._columns[position], self._collations[position]
        compared = collation_of(node.type)
        if compared != ordered and not (equality and not compared and self._is_exact(ordered)):
            return False
        if compared:
            node = strip_collation(node)
        if isinstance(column, Var):
            return strip_relabel(node) == column
        found: list[Param] = []
        for each in (node, strip_relabel(node)):
            found.clear()
            if same_but_literals(column, each, found):
                self._literals += found
                return not found
        return False

    def _is_exact(self, collation: int) -> bool:
        found = self._catalog.collation(collation)
        return found is not None and found.deterministic

    def _is_free(self, node: Expr) -> bool:
        """Whether the value is the same for all rows of the table."""
        return self._rte not in relids(node) and not contains_volatile(self._catalog, node)

    def _match(self, position: int, opclass: OperatorClass, qual: Expr) -> Iterator[IndexClause]:
        if isinstance(qual, Call) and qual.operator and len(qual.arguments) == 2:
            yield from self._match_operator(position, opclass, qual)
        elif isinstance(qual, ArrayOp) and qual.use_or:
            if self._is_column(position, qual.left, True) and self._is_free(qual.right):
                strategy = self._catalog.operator_strategy(opclass.family, qual.operator)
                has_own = not self._method.strategies
                value = qual.right if has_own else self._array(opclass, qual)
                if strategy and value is not None and (has_own or strategy == self._method.equality):
                    yield IndexClause(position, strategy, value, qual, qual, array=True)
        elif isinstance(qual, NullTest):
            if self._method.search_null and self._is_column(position, qual.argument, True):
                yield IndexClause(position, NOT_NULL if qual.negated else IS_NULL, None, qual, qual)
        elif isinstance(qual, RowCompare):
            yield from self._match_rows(position, qual)
        elif self._columns[position].type == oids.BOOL and self._method.equality:
            yield from self._match_boolean(position, opclass, qual)

    def _match_operator(self, position: int, opclass: OperatorClass, qual: Call) -> Iterator[IndexClause]:
        left, right = qual.arguments
        if qual.operator in _BOOLEAN_EQUALITIES and isinstance(right, Const) and not self._method.equality:
            # ``b = true`` is ``b``, which is an equality for the methods that have one of their own.
            return
        for column, value, call in ((left, right, qual), (right, left, None)):
            if not self._is_free(value):
                continue
            shown = call if call is not None else commuted(self._catalog, qual)
            if shown is None:
                continue
            is_equality = self._catalog.operator_strategy(opclass.family, shown.operator) == self._method.equality
            if not self._is_column(position, column, is_equality):
                continue
            strategy = self._catalog.operator_strategy(opclass.family, shown.operator)
            if strategy:
                key = self._key(position, opclass, shown.operator, value)
                if key is not None:
                    yield IndexClause(position, strategy, key, qual, shown)
                return
            if call is not None and self._method.ordered and not self._collations[position]:
                for derived in prefix_conditions(self._catalog, opclass, column, call, self._literals):
                    strategy = self._catalog.operator_strategy(opclass.family, derived.operator)
                    yield IndexClause(position, strategy, derived.arguments[1], qual, derived, exact=False)

    def _key(self, position: int, opclass: OperatorClass, operator: int, value: Expr) -> Expr | None:
        """The value as a key of the column: itself, or converted to the column's type; None when neither will do. Where
        each class has its own strategies, it knows the types of their values."""
        if not self._method.strategies:
            return value
        declared = self._catalog.operator(operator)
        if declared.left == declared.right:
            if opclass.input_type in (oids.ANYARRAY, oids.RECORD):
                return value if value.type == self._columns[position].type else None
            return value
        for family in SAME_KEYS:
            if {declared.left, declared.right} <= family:
                return value
        target = self._columns[position].type
        if (declared.right, target) in _CONVERTED:
            cast = self._catalog.cast(declared.right, target)
            if cast is not None and cast.function:
                return Call(type=target, function=cast.function, arguments=(value,))
        return None

    def _array(self, opclass: OperatorClass, qual: ArrayOp) -> Expr | None:
        declared = self._catalog.operator(qual.operator)
        if declared.left == declared.right:
            if opclass.input_type in (oids.ANYARRAY, oids.RECORD):
                return None
            return qual.right
        return qual.right if any({declared.left, declared.right} <= family for family in SAME_KEYS) else None

    def _match_boolean(self, position: int, opclass: OperatorClass, qual: Expr) -> Iterator[IndexClause]:
        """``column``, ``NOT column``, ``column IS TRUE`` and ``IS FALSE`` are equalities."""
        value, node = True, qual
        if isinstance(qual, Not):
            value, node = False, qual.argument
        elif isinstance(qual, BooleanTest):
            if qual.target is None or qual.negated:
                return
            value, node = qual.target, qual.argument
        if not self._is_column(position, node):
            return
        operator = self._catalog.family_operator(opclass.family, oids.BOOL, oids.BOOL, self._method.equality)
        if operator:
            function = self._catalog.operator(operator).function
            key = Const(type=oids.BOOL, value=value)
            shown = Call(type=oids.BOOL, function=function, operator=operator, arguments=(node, key))
            yield IndexClause(position, self._method.equality, key, qual, shown)

    def _match_rows(self, position: int, qual: RowCompare) -> Iterator[IndexClause]:
        """``(a, b) < (x, y)`` where the columns follow each other in the index. The scan may give a row too many."""
        strategy = _ROW_STRATEGIES.get(qual.kind)
        if self._method is not BTREE or strategy is None:
            return
        for columns, values, mirrored in ((qual.left, qual.right, False), (qual.right, qual.left, True)):
            count = self._row_run(position, qual, columns, values, mirrored)
            if not count:
                continue
            found = _MIRRORED[strategy] if mirrored else strategy
            if count < len(columns):
                # Rows equal in the leading columns are decided by the others.
                found = {1: 2, 5: 4}.get(found, found)
            keys = values[:count]
            value = keys[0] if count == 1 else RowExpr(type=oids.RECORD, arguments=tuple(keys))
            exact = count == len(columns)
            yield IndexClause(position, found, value, qual, qual, width=count, exact=exact, lossy=True)
            return

    def _row_run(
        self, position: int, qual: RowCompare, columns: Sequence[Expr], values: Sequence[Expr], mirrored: bool
    ) -> int:
        """How many leading pairs are index columns from ``position`` on, compared by their operator classes."""
        count = 0
        for at, (column, value) in enumerate(zip(columns, values, strict=True)):
            place = position + at
            if place >= len(self._columns) or not self._is_column(place, column) or not self._is_free(value):
                break
            opclass = self._classes[place]
            if opclass is None:
                break
            types = (strip_relabel(column).type, value.type)
            left, right = types[::-1] if mirrored else types
            operator = self._catalog.family_operator(opclass.family, left, right, 1) or (
                self._catalog.family_operator(opclass.family, opclass.input_type, opclass.input_type, 1)
            )
            if not operator or self._catalog.operator(operator).function != qual.less[at]:
                break
            if self._key(place, opclass, operator, value) is not value:
                break
            count += 1
        return count
