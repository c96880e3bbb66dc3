"""Conditions as the search for a join order looks at them: over which entries, of use for which method, how many pairs
they leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Expr, SubPlan, walk
from compute_node.sql.planner.classes import Classes, mask_of
from compute_node.sql.planner.paths import Rel, test_cost
from compute_node.sql.planner.quals import relids
from compute_node.sql.planner.selectivity import Estimator
from compute_node.sql.planner.selectivity.groups import groups_are_guessed
from compute_node.types import oids

_ALIKE = (frozenset({oids.INT2, oids.INT4, oids.INT8}), frozenset({oids.FLOAT4, oids.FLOAT8}))
"""types whose values are compared with each other as they are"""


@dataclass(slots=True, eq=False)
class Clause:
    """``ids``: bits of the entries it speaks of; of a comparison of two sides ``left`` and ``right`` theirs. ``hashes``
    and ``merges``: it may be a key of such a join. Its sides' classes are -1 where they have no order."""

    node: Expr
    ids: int
    left: int = 0
    right: int = 0
    hashes: bool = False
    hashed: tuple[Expr, ...] = ()
    """what is hashed of its sides, left and right"""
    is_exact: bool = False
    """what has equal hash keys meets it"""
    merges: bool = False
    left_class: int = -1
    right_class: int = -1
    of_class: int = -1
    """the class that it was made for"""
    cost: float = 0.0
    share: float = -1.0
    """of all pairs; below 0: not asked yet"""
    buckets: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    scanned: tuple[float, float, float, float] | None = None

    def sides(self, outer: int) -> tuple[Expr, Expr]:
        """(outer, inner) expressions, given the outer entries."""
        arguments = self.node.arguments if isinstance(self.node, Call) else ()
        one, other = arguments
        return (one, other) if not self.left & ~outer else (other, one)

    def hash_sides(self, outer: int) -> tuple[Expr, Expr]:
        """What is hashed of the outer side and of the inner one."""
        one, other = self.hashed
        return (one, other) if not self.left & ~outer else (other, one)

    def crosses(self, outer: int, inner: int) -> bool:
        """Whether one of its sides is of the outer entries alone, and the other of the inner ones."""
        if not self.left or not self.right:
            return False
        if not self.left & ~outer:
            return not self.right & ~inner
        return not self.left & ~inner and not self.right & ~outer

    def outer_class(self, outer: int) -> int:
        """The class of the outer side."""
        return self.left_class if not self.left & ~outer else self.right_class

    def inner_class(self, outer: int) -> int:
        """The class of the inner side."""
        return self.right_class if not self.left & ~outer else self.left_class


class Clauses:
    """Makes clauses of conditions, each once, and those that classes ask for."""

    def __init__(self, catalog: CatalogView, classes: Classes, estimator: Estimator) -> None:
        self._catalog = catalog
        self.classes = classes
        self.estimator = estimator
        self._made: dict[tuple[int, int, int], Clause] = {}
        self._chosen: dict[tuple[int, int, int], Clause | None] = {}
        self.universe = -1
        self._joining: list[tuple[int, int]] | None = None

    def clause(self, node: Expr, of_class: int = -1) -> Clause:
        """Of a condition."""
        made = Clause(node, mask_of(node), of_class=of_class, cost=test_cost([node]))
        if isinstance(node, Call) and node.operator and len(node.arguments) == 2:
            one, other = node.arguments
            made.left, made.right = mask_of(one), mask_of(other)
            if made.left and made.right and not made.left & made.right:
                made.hashed = tuple(hashed_sides(self._catalog, node))
                made.hashes = bool(made.hashed)
                made.is_exact = hashes_values(self._catalog, node)
                has_subplan = any(isinstance(item, SubPlan) for item in walk(node))
                family = 0 if has_subplan else self.classes.family(node)
                if family:
                    made.left_class = self.classes.of(one, family)
                    made.right_class = self.classes.of(other, family)
                    made.merges = node.operator < FIRST_NORMAL_OID and self._alike(one.type, other.type)
            else:
                made.left = made.right = 0
        return made

    def _alike(self, one: int, other: int) -> bool:
        if self._catalog.type(one).root is self._catalog.type(other).root:
            return True
        return any(one in each and other in each for each in _ALIKE)

    def use(self, universe: int) -> None:
        """The classes that join these entries are asked for from now on."""
        self.universe = universe
        self._joining = [
            (number, mask)
            for number, found in self.classes.joining()
            if (mask := _union(ids for _, ids in found.members) & universe)
        ]

    def joining(self) -> list[tuple[int, int]]:
        """(class, bits of the entries of its members)."""
        return self._joining or []

    def of_classes(self, outer: int, inner: int) -> list[Clause]:
        """One condition for each class with members on both sides."""
        found = []
        for number, mask in self.joining():
            if mask & outer and mask & inner:
                clause = self._of_class(number, mask & outer, mask & inner)
                if clause is not None:
                    found.append(clause)
        return found

    def _of_class(self, number: int, outer: int, inner: int) -> Clause | None:
        key = (number, outer, inner)
        if key in self._chosen:
            return self._chosen[key]
        members = self.classes[number].members
        best: tuple[int, int] | None = None
        score = -1
        for one, (left, left_ids) in enumerate(members):
            if left_ids & ~outer:
                continue
            for other, (right, right_ids) in enumerate(members):
                if right_ids & ~inner:
                    continue
                rank = int(not hasattr(left, "arguments")) + int(not hasattr(right, "arguments"))
                if rank > score:
                    best, score = (one, other), rank
        found = None
        if best is not None:
            found = self.between(number, *best)
        self._chosen[key] = self._chosen[number, inner, outer] = found
        return found

    def between(self, number: int, one: int, other: int) -> Clause:
        """The condition between two members of a class, by their places."""
        key = (number, min(one, other), max(one, other))
        made = self._made.get(key)
        if made is None:
            members = self.classes[number].members
            node = self.classes.equality(self.classes[number], members[one][0], members[other][0])
            made = self._made[key] = self.clause(node, number)
        return made

    def with_entry(self, mask: int) -> Iterator[Clause]:
        """Conditions of classes between members of these entries and of others."""
        for number, ids in self.joining():
            if not ids & mask:
                continue
            members = self.classes[number].members
            for one, (_, left) in enumerate(members):
                if not left & ~mask:
                    for other, (_, right) in enumerate(members):
                        if right & ~mask and not right & ~self.universe:
                            yield self.between(number, one, other)

    def share(self, clause: Clause) -> float:
        """Of all pairs of rows, those that the clause leaves."""
        if clause.share < 0:
            clause.share = self.estimator.of(clause.node)
        return clause.share

    def groups(self, keys: Sequence[Expr], rows: float) -> float:
        """How many different values such keys have in so many rows."""
        return float(round(self.estimator.groups(keys, rows, lambda rte: rows)))

    def cache_keys(self, keys: Sequence[Expr], rows: float) -> float:
        """How many keys a cache is asked for by so many rows. Where nothing is known of them, each row has one of its
        own: a cache that may help nobody is not counted on (cost_memoize_rescan)."""
        if groups_are_guessed(keys, self.estimator.variable):
            return rows
        return max(self.groups(keys, rows), 1.0)

    def bucket(self, clause: Clause, node: Expr, inner: Rel, buckets: float) -> tuple[float, float]:
        """(the share of the inner rows in a bucket, that of its most common key); estimate_hash_bucket_stats."""
        side = int(node is not clause.sides(clause.left)[0])
        stored = clause.buckets.get(side)
        if stored is None:
            known = self.estimator.variable(node)
            distinct, guessed = known.counted
            _, frequencies = known.common
            common = frequencies[0] if frequencies else 0.0
            average = (1.0 - known.null_fraction) / distinct
            left = min(inner.rows / known.rows, 1.0) if known.rows > 0 else 1.0
            if guessed:
                stored = (-1.0, common, 0.0)
            else:
                stored = (max(distinct * left, 1.0), common, average)
            clause.buckets[side] = stored
        distinct, common, average = stored
        if distinct < 0:
            return max(0.1, common), common
        share = 1.0 / buckets if distinct > buckets else 1.0 / distinct
        if average > 0 and common > average:
            share *= common / average
        return min(max(share, 1.0e-6), 1.0), common

    def shares(self, clauses: Sequence[Clause]) -> float:
        """Of all pairs, those that all of them leave."""
        found = 1.0
        for clause in clauses:
            found *= self.share(clause)
        return found


def _union(masks: Iterator[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def hash_keys(
    catalog: CatalogView, condition: Sequence[Expr], have: frozenset[int], new: frozenset[int]
) -> tuple[list[tuple[Expr, Expr]], list[Expr]]:
    """(outer, inner) key pairs of the hashable equalities between the two sides, and the other conditions. What a
    user's operator holds for equal need not be equal values: its keys are what its hash functions give, and it stays a
    condition."""
    keys: list[tuple[Expr, Expr]] = []
    rest: list[Expr] = []
    for qual in condition:
        sides = [(side, relids(side)) for side in hashed_sides(catalog, qual)]
        found = None
        for (outer, ids_outer), (inner, ids_inner) in (sides, sides[::-1]) if sides else ():
            if ids_outer and ids_inner and ids_outer <= have and ids_inner <= new:
                found = outer, inner
        if found is not None:
            keys.append(found)
        if found is None or not hashes_values(catalog, qual):
            rest.append(qual)
    return keys, rest


def hashes_values(catalog: CatalogView, node: Expr) -> bool:
    """Whether a condition is an equality of two values that have one hash where they are equal: a built-in one."""
    if not isinstance(node, Call) or not 0 < node.operator < FIRST_NORMAL_OID:
        return False
    return catalog.operator(node.operator).can_hash


def hashed_sides(catalog: CatalogView, node: Expr) -> Sequence[Expr]:
    """What is hashed of the two sides of an equality; nothing of any other condition."""
    if not isinstance(node, Call) or not node.operator or not catalog.operator(node.operator).can_hash:
        return ()
    if node.operator < FIRST_NORMAL_OID:
        return node.arguments
    functions = catalog.hash_functions(node.operator) or ()
    return [
        Call(type=oids.INT4, function=function, arguments=(side,))
        for function, side in zip(functions, node.arguments, strict=bool(functions))
    ]
