"""Rule: which partitions a query's conditions leave in; conditions → ``sql/pruning.Clause``s over the partition key.

Constants decide when a statement is planned. Values that are only known when it runs (parameters, columns of the outer
side of a nested loop, the time) stay expressions: the Append asks again with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.datum import Datum
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH, LIST
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Const,
    Expr,
    Not,
    NullTest,
    Or,
    SubPlan,
    Var,
    map_children,
    walk,
)
from compute_node.sql.partitioning import key_expressions, key_of, moved, partitions_of
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.index_match import SAME_KEYS
from compute_node.sql.planner.quals import contains_volatile, relids, strip_relabel
from compute_node.sql.pruning import (
    EQUAL,
    NOT_EQUAL,
    UNKNOWN,
    AnyOf,
    Clause,
    Comparison,
    NullOrNot,
    OneOf,
    Pruning,
    Unknown,
)
from compute_node.types import oids
from compute_node.types.collation import collation_of

_MIRRORED = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1, NOT_EQUAL: NOT_EQUAL}
_HASH_EQUAL = 1
"""strategy of equality in a hash operator family"""


def pruning_of(catalog: CatalogView, relation: RelationDesc, rte: int, quals: Sequence[Expr]) -> Pruning:
    """What conditions over a partitioned table (range entry ``rte``) say of its partitions, however deep."""
    index = partitions_of(catalog, relation)
    clauses = _Matcher(catalog, relation, rte).all(quals)
    below: dict[int, Pruning] = {}
    for number, oid in enumerate(index.oids):
        child = catalog.relation(oid)
        if child is not None and child.is_partitioned:
            below[number] = pruning_of(catalog, child, rte, [_moved(item, relation, child, rte) for item in quals])
    return Pruning(relation, index, clauses, below)


def _moved(node: Expr, source: RelationDesc, target: RelationDesc, rte: int) -> Expr:
    if isinstance(node, Var):
        return moved(node, source, target) if node.rte == rte else node
    return node if isinstance(node, Const) else map_children(node, lambda child: _moved(child, source, target, rte))


def constant(node: Expr) -> Datum | Unknown:
    """A value as it is known when a statement is planned."""
    return node.value if isinstance(node, Const) else UNKNOWN


class _Matcher:
    """Conditions over one partitioned table."""

    def __init__(self, catalog: CatalogView, relation: RelationDesc, rte: int) -> None:
        self._catalog = catalog
        self._rte = rte
        self._key = key_of(relation)
        self._columns = [fold(catalog, _at(item, rte)) for item in key_expressions(catalog, relation)]
        self._families: list[int] = []
        for oid in self._key.operator_classes:
            found = catalog.operator_class(oid)
            self._families.append(0 if found is None else found.family)

    def all(self, quals: Sequence[Expr]) -> tuple[Clause, ...]:
        """The clauses of conditions that all hold."""
        return tuple([clause for item in quals for clause in self._clauses(item)])

    def _clauses(self, node: Expr) -> list[Clause]:
        if isinstance(node, And):
            return [clause for item in node.arguments for clause in self._clauses(item)]
        if isinstance(node, Or):
            arms = [tuple(self._clauses(item)) for item in node.arguments]
            return [AnyOf(tuple(arms))] if all(arms) else []
        if isinstance(node, NullTest) and not node.as_value:
            place = self._place(node.argument)
            return [] if place is None else [NullOrNot(place, node.negated)]
        if isinstance(node, Call) and node.operator and len(node.arguments) == 2:
            return self._comparison(node)
        if isinstance(node, ArrayOp):
            return self._one_of(node)
        if isinstance(node, Const) and node.value is not True:
            # Nothing is true of no row.
            return [AnyOf(())]
        return self._boolean(node)

    def _place(self, node: Expr) -> int | None:
        """Which key column an expression is."""
        bare = strip_relabel(node)
        for place, column in enumerate(self._columns):
            if bare == strip_relabel(column):
                return place
        return None

    def _strategy(self, place: int, operator: int) -> int:
        """The operator's strategy as a B-tree's, 0 for one that says nothing of the key."""
        family = self._families[place]
        if self._key.strategy == HASH:
            return EQUAL if self._catalog.operator_strategy(family, operator) == _HASH_EQUAL else 0
        found = self._catalog.operator_strategy(family, operator)
        if not found and self._key.strategy == LIST:
            negator = self._catalog.operator(operator).negator
            if negator and self._catalog.operator_strategy(family, negator) == EQUAL:
                return NOT_EQUAL
        return found

    def _comparison(self, node: Call) -> list[Clause]:
        for column, value, mirrored in (
            (node.arguments[0], node.arguments[1], False),
            (node.arguments[1], node.arguments[0], True),
        ):
            place = self._place(column)
            if place is None or not self._is_value(value) or not self._fits(place, column, value.type):
                continue
            strategy = self._strategy(place, node.operator)
            if strategy:
                return [Comparison(place, _MIRRORED[strategy] if mirrored else strategy, value)]
        return []

    def _one_of(self, node: ArrayOp) -> list[Clause]:
        place = self._place(node.left)
        if place is None or not self._is_value(node.right):
            return []
        array = self._catalog.type(node.right.type)
        wanted = EQUAL if node.use_or else NOT_EQUAL
        if not self._fits(place, node.left, array.element) or self._strategy(place, node.operator) != wanted:
            return []
        if isinstance(node.right, ArrayExpr) and not node.right.nested:
            return [OneOf(place, None, node.right.elements, not node.use_or)]
        return [OneOf(place, node.right, (), not node.use_or)]

    def _boolean(self, node: Expr) -> list[Clause]:
        """A Boolean key column as a condition: itself, NOT, IS [NOT] TRUE, FALSE, UNKNOWN."""
        wanted: bool | None = True
        either_null = False
        if isinstance(node, BooleanTest):
            if node.target is None:
                # As in PostgreSQL 15, IS [NOT] UNKNOWN says nothing.
                return []
            wanted, either_null = node.target != node.negated, node.negated
            node = node.argument
        elif isinstance(node, Not):
            wanted, node = False, node.argument
        if node.type != oids.BOOL:
            return []
        place = self._place(node)
        if place is None:
            return []
        clause = Comparison(place, EQUAL, Const(type=oids.BOOL, value=wanted))
        return [AnyOf(((clause,), (NullOrNot(place, False),)))] if either_null else [clause]

    def _is_value(self, node: Expr) -> bool:
        """Whether it is one value for the whole scan."""
        if self._rte in relids(node) or contains_volatile(self._catalog, node):
            return False
        return not any(isinstance(item, SubPlan) and item.parameters for item in walk(node))

    def _fits(self, place: int, column: Expr, kind: int) -> bool:
        """Whether values of that type compare with the key's as they are, under the key's collation."""
        compared = self._catalog.type(self._key.compared[place])
        value = self._catalog.type(kind)
        if collation_of(compared.oid) != collation_of(column.type):
            return False
        one, other = _plain(self._key.types[place], self._catalog), _plain(value.oid, self._catalog)
        return one == other or any({one, other} <= family for family in SAME_KEYS)


def _plain(kind: int, catalog: CatalogView) -> int:
    """A type without domains and collation."""
    found = catalog.type(kind).root
    return found.oid & 0xFFFFFFFF if collation_of(found.oid) else found.oid


def _at(node: Expr, rte: int) -> Expr:
    """A key column as a query has it."""
    if isinstance(node, Var):
        return Var(type=node.type, typmod=node.typmod, rte=rte, attno=node.attno)
    return node if isinstance(node, Const) else map_children(node, lambda child: _at(child, rte))


def bound(pruning: Pruning, bind: Callable[[Expr], Expr]) -> Pruning | None:
    """The same with its values as the executor finds them; None when it knows no more then than now."""
    if all(isinstance(item, Const) for item in pruning.expressions()):
        return None
    return _bound(pruning, bind)


def _bound(pruning: Pruning, bind: Callable[[Expr], Expr]) -> Pruning:
    def of(clause: Clause) -> Clause:
        if isinstance(clause, Comparison):
            return Comparison(clause.place, clause.strategy, bind(clause.value))
        if isinstance(clause, OneOf):
            value = None if clause.value is None else bind(clause.value)
            return OneOf(clause.place, value, tuple([bind(item) for item in clause.elements]), clause.negated)
        if isinstance(clause, AnyOf):
            return AnyOf(tuple([tuple([of(item) for item in arm]) for arm in clause.arms]))
        return clause

    below = {number: _bound(each, bind) for number, each in pruning.below.items()}
    return Pruning(pruning.relation, pruning.index, tuple([of(item) for item in pruning.clauses]), below)
