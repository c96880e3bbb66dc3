"""Equivalence classes and orders (PostgreSQL's equivalence classes and path keys).

What conditions without an outer join hold equal is one class: ``a.x = b.y AND b.y = c.z`` is the class {a.x, b.y,
c.z}. Of its conditions a join enforces one: some member of one side equals some member of the other, so that c may be
joined with a by a condition that nobody wrote. An order is a sequence of ``OrderKey``s, and those speak of classes:
rows in the order of a.x are in that of b.y once both are joined. Expressions that nothing equals are in classes of
their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Const, ExecParam, Expr, Param, SortKey, SubPlan, Var, walk
from compute_node.sql.planner.quals import contains_volatile, strip_relabel
from compute_node.types.collation import collation_of

EQUAL = 3
"""strategy of equality in a B-tree operator family"""
OrderKey = tuple[int, bool, bool]
"""(number of a class, descending, NULLs first)"""
Order = tuple[OrderKey, ...]


def mask_of(node: Expr) -> int:
    """The range entries that an expression's columns come from, as bits."""
    if isinstance(node, Var):
        return 0 if node.levels_up else 1 << node.rte
    found = 0
    for item in walk(node):
        if isinstance(item, Var) and item.levels_up == 0:
            found |= 1 << item.rte
    return found


@dataclass(slots=True, eq=False)
class EquivalenceClass:
    """``members``: (expression, bits of its range entries), in the order in which they came; ``sources``: the
    conditions that were written."""

    number: int
    family: int
    members: list[tuple[Expr, int]]
    sources: list[Call] = field(default_factory=list)
    constant: bool = False
    """its members equal a constant: their order is every order"""


class Classes:
    """Those of one query level."""

    def __init__(self, catalog: CatalogView) -> None:
        self._catalog = catalog
        self._classes: dict[int, EquivalenceClass] = {}
        self._numbers: dict[tuple[Var, int, int], int] = {}
        self._others: list[tuple[Expr, int, int, int]] = []
        self._next = 0
        self.interesting: set[int] = set()
        """classes of which an order is of use"""
        self.wanted: Order = ()
        """what the query's rows should come in the order of"""
        self.sorted_by: Sequence[SortKey[Expr]] = ()
        """the same as the query has it"""

    def __getitem__(self, number: int) -> EquivalenceClass:
        return self._classes[number]

    def joining(self) -> Iterator[tuple[int, EquivalenceClass]]:
        """Those that hold several expressions equal."""
        return ((number, item) for number, item in self._classes.items() if item.sources and item.number == number)

    def family(self, node: Expr) -> int:
        """The operator family of which the condition is an equality; 0 for any other condition."""
        if not isinstance(node, Call) or not node.operator or len(node.arguments) != 2:
            return 0
        if not self._catalog.operator(node.operator).can_merge or any(collation_of(a.type) for a in node.arguments):
            return 0
        found = self._catalog.default_operator_class(node.arguments[0].type)
        if found is None or self._catalog.operator_strategy(found.family, node.operator) != EQUAL:
            return 0
        return found.family

    def add(self, node: Expr, nullable: int) -> bool:
        """Take in a condition that holds for all rows: whether its class enforces it from now on. ``nullable``: the
        range entries that an outer join may replace by NULLs."""
        family = self.family(node)
        if not family or not isinstance(node, Call):
            return False
        left, right = node.arguments
        left_ids, right_ids = mask_of(left), mask_of(right)
        if not left_ids or not right_ids or left_ids == right_ids or (left_ids | right_ids) & nullable:
            return False
        if left_ids & (left_ids - 1) or right_ids & (right_ids - 1) or contains_volatile(self._catalog, node):
            return False
        if any(isinstance(item, SubPlan) for item in walk(node)):
            return False
        one, other = self.of(left, family), self.of(right, family)
        types = {item.type for number in {one, other} for item, _ in self._classes[number].members}
        if any(not self._catalog.family_operator(family, a, b, EQUAL) for a in types for b in types):
            return False
        if one != other:
            kept, gone = self._classes[one], self._classes[other]
            self._classes[other] = kept
            kept.members += gone.members
            kept.sources += gone.sources
            kept.constant = kept.constant or gone.constant
            for key, number in self._numbers.items():
                if number == other:
                    self._numbers[key] = one
            self._others = [(a, b, c, one if number == other else number) for a, b, c, number in self._others]
        self._classes[one].sources.append(node)
        return True

    def fix(self, node: Expr) -> None:
        """Take note of an expression that equals a constant, if the condition says so."""
        family = self.family(node)
        if family and isinstance(node, Call):
            for column, constant in (node.arguments, node.arguments[::-1]):
                if (
                    isinstance(strip_relabel(column), Var)
                    and mask_of(column)
                    and isinstance(strip_relabel(constant), (Const, Param, ExecParam))
                ):
                    self._classes[self.of(column, family)].constant = True

    def of(self, node: Expr, family: int = 0, collation: int = 0) -> int:
        """The class of an expression under an order, made if there is none; -1: the expression has no order."""
        if not family:
            found = self._catalog.default_operator_class(node.type)
            if found is None:
                return -1
            family = found.family
        bare = strip_relabel(node)
        if isinstance(bare, Var):
            known = self._numbers.get((bare, family, collation))
        else:
            known = next(
                (
                    number
                    for other, kind, under, number in self._others
                    if kind == family and under == collation and other == bare
                ),
                None,
            )
        if known is not None:
            return known
        number = self._next
        self._next += 1
        self._classes[number] = EquivalenceClass(number, family, [(node, mask_of(node))])
        if isinstance(bare, Var):
            self._numbers[bare, family, collation] = number
        else:
            self._others.append((bare, family, collation, number))
        return number

    def order(self, keys: Sequence[SortKey[Expr]]) -> Order | None:
        """An order by these keys, without those that cannot matter; None where one of them has no order of its type."""
        found = self.kept(keys)
        return None if found is None else tuple(each for _, each in found)

    def kept(self, keys: Sequence[SortKey[Expr]]) -> list[tuple[int, OrderKey]] | None:
        """The same with each key's place among ``keys``."""
        found: list[tuple[int, OrderKey]] = []
        seen: set[int] = set()
        for place, key in enumerate(keys):
            number = self.of(key.expression, 0, collation_of(key.type))
            if number < 0:
                return None
            number = self._classes[number].number
            if number not in seen and not self._classes[number].constant:
                seen.add(number)
                found.append((place, (number, key.descending, key.nulls_first)))
        return found

    def member(self, number: int, within: int) -> Expr | None:
        """An expression of a class over these range entries."""
        for node, ids in self._classes[number].members:
            if ids and not ids & ~within:
                return node
        return None

    def within_entries(self, entries: int) -> Iterator[Call]:
        """Conditions between members of one of these range entries, which follow from the others and no join
        enforces."""
        for _, found in self.joining():
            known: dict[int, Expr] = {}
            for node, ids in found.members:
                if ids & ~entries:
                    continue
                if ids in known:
                    yield self.equality(found, known[ids], node)
                known[ids] = node

    def equality(self, found: EquivalenceClass, left: Expr, right: Expr) -> Call:
        """A condition between two members: as it was written, if it was."""
        for source in found.sources:
            one, other = source.arguments
            if (one == left and other == right) or (one == right and other == left):
                return source
        operator = self._catalog.operator(self._catalog.family_operator(found.family, left.type, right.type, EQUAL))
        return dataclasses.replace(
            found.sources[0],
            function=operator.function,
            operator=operator.oid,
            display=operator.name,
            arguments=(left, right),
        )


def begins(order: Order, wanted: Order) -> int:
    """How many keys of ``wanted`` an order gives, from the first on."""
    count = 0
    for one, other in zip(order, wanted, strict=False):
        if one != other:
            break
        count += 1
    return count
