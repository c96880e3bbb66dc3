"""Which partitions may have rows that meet a query's conditions (PostgreSQL's partition pruning, manual 5.11.4).

``Clauses`` are what conditions say of one table's partition key, with values as expressions. ``numbers`` asks the
bounds for the partitions that are left, given the values that are known: those of constants when a statement is
planned, those of parameters too when it runs. What is not known leaves all partitions in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from aurora.datum import Datum
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH, LIST, NONE, RANGE, PartitionIndex
from compute_node.sql.expressions import Expr

LESS, LESS_EQUAL, EQUAL, GREATER_EQUAL, GREATER, NOT_EQUAL = 1, 2, 3, 4, 5, 6
_PRODUCT_MAX: Final = 1000
"""combinations of values of several key columns that are looked up one by one"""


class Unknown:
    """In place of a value that is not known yet."""


UNKNOWN: Final = Unknown()
ValueOf = Callable[[Expr], "Datum | Unknown"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``key column op value``; of NOT_EQUAL the key is another value."""

    place: int
    strategy: int
    value: Expr


@dataclass(frozen=True, slots=True)
class OneOf:
    """``key column = ANY (value)``, ``negated`` ``<> ALL (value)``: a list, or one expression for each element."""

    place: int
    value: Expr | None
    elements: tuple[Expr, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class NullOrNot:
    """``key column IS [NOT] NULL``."""

    place: int
    negated: bool


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several lists of clauses holds; an empty list says nothing."""

    arms: tuple[tuple[Clause, ...], ...]


Clause = Comparison | OneOf | NullOrNot | AnyOf


@dataclass(frozen=True, slots=True, eq=False)
class Pruning:
    """What is asked of a partitioned table's partitions, and of those of partitions that are partitioned again, by
    their numbers."""

    relation: RelationDesc
    index: PartitionIndex
    clauses: tuple[Clause, ...]
    below: dict[int, Pruning]

    def expressions(self) -> Iterator[Expr]:
        """The values that it compares with."""
        yield from _expressions(self.clauses)
        for each in self.below.values():
            yield from each.expressions()

    def leaves(self, value_of: ValueOf) -> set[int]:
        """OIDs of the tables that may have rows."""
        found: set[int] = set()
        for number in numbers(self.index, self.clauses, value_of):
            below = self.below.get(number)
            if below is None:
                found.add(self.index.oids[number])
            else:
                found |= below.leaves(value_of)
        return found


def _expressions(clauses: Sequence[Clause]) -> Iterator[Expr]:
    for clause in clauses:
        if isinstance(clause, Comparison):
            yield clause.value
        elif isinstance(clause, OneOf):
            yield from clause.elements
            if clause.value is not None:
                yield clause.value
        elif isinstance(clause, AnyOf):
            for arm in clause.arms:
                yield from _expressions(arm)


def numbers(index: PartitionIndex, clauses: Sequence[Clause], value_of: ValueOf) -> set[int]:
    """The partitions, by number, that the clauses leave in, all of which hold."""
    if len(clauses) == len(index.key.columns) == 1:
        (only,) = clauses
        if isinstance(only, Comparison) and only.strategy == EQUAL:
            value = value_of(only.value)
            if value is None:
                return set()
            if not isinstance(value, Unknown):
                number = _of_value(index, value)
                if number is not None:
                    return set() if number == NONE else {number}
    known = _Known(index)
    left: set[int] | None = None
    for clause in clauses:
        if isinstance(clause, AnyOf):
            some: set[int] = set()
            for arm in clause.arms:
                some |= numbers(index, arm, value_of)
            left = some if left is None else left & some
        else:
            known.take(clause, value_of)
    mine = known.numbers()
    return mine if left is None else mine & left


def _of_value(index: PartitionIndex, value: Datum) -> int | None:
    """The partition of the rows whose only key column has a value; None: that is not to be told."""
    if index.key.strategy == RANGE:
        return index.of_value(value)
    if index.key.strategy == LIST:
        return index.by_value.get(index.form(value), index.default)
    return None if index.hash_of is None else index.of_hash(index.hash_of([value]))


class _Known:
    """What is known of the key columns of the rows that are asked for."""

    def __init__(self, index: PartitionIndex) -> None:
        self._index = index
        count = len(index.key.columns)
        self._equal: list[list[Datum] | None] = [None] * count
        """the values that a column may have"""
        self._ends: list[list[tuple[int, Datum]]] = [[] for _ in range(count)]
        """(strategy, value) of comparisons"""
        self._not: list[Datum] = []
        self._null: list[bool | None] = [None] * count
        """True: the column is NULL, False: it is not"""
        self._nothing = False

    def take(self, clause: Comparison | OneOf | NullOrNot, value_of: ValueOf) -> None:
        place = clause.place
        if isinstance(clause, NullOrNot):
            self._is_null(place, not clause.negated)
            return
        if isinstance(clause, OneOf):
            self._one_of(clause, value_of)
            return
        # Whatever the value is, the operator is strict.
        value = value_of(clause.value)
        self._is_null(place, False)
        if isinstance(value, Unknown):
            return
        if value is None:
            self._nothing = True
        elif clause.strategy == EQUAL:
            self._among(place, [value])
        elif clause.strategy == NOT_EQUAL:
            self._not.append(value)
        else:
            self._ends[place].append((clause.strategy, value))

    def _is_null(self, place: int, null: bool) -> None:
        if self._null[place] is not None and self._null[place] != null:
            self._nothing = True
        self._null[place] = null

    def _one_of(self, clause: OneOf, value_of: ValueOf) -> None:
        if not clause.negated:
            self._is_null(clause.place, False)
        if clause.value is not None:
            whole = value_of(clause.value)
            if isinstance(whole, Unknown):
                return
            if whole is None:
                self._nothing = True
                return
            values: list[Datum] = list(_flat(whole))
        else:
            values = []
            for element in clause.elements:
                value = value_of(element)
                if isinstance(value, Unknown):
                    return
                values.append(value)
        if not clause.negated:
            self._among(clause.place, [value for value in values if value is not None])
        elif values:
            # Beside a NULL nothing is known to be other than all; of an empty list even NULL is.
            self._is_null(clause.place, False)
            self._nothing = self._nothing or None in values
            self._not += values

    def _among(self, place: int, values: list[Datum]) -> None:
        before = self._equal[place]
        if before is not None:
            forms = [self._index.form(value, place) for value in before]
            values = [value for value in values if self._index.form(value, place) in forms]
        self._equal[place] = values
        if not values:
            self._nothing = True

    def numbers(self) -> set[int]:
        if self._nothing:
            return set()
        found = {RANGE: self._of_range, LIST: self._of_list, HASH: self._of_hash}[self._index.key.strategy]()
        found.discard(NONE)
        return found

    def _every(self) -> set[int]:
        return set(range(len(self._index.oids)))

    # --- hash -------------------------------------------------------------------------------------------------------

    def _of_hash(self) -> set[int]:
        index = self._index
        choices: list[list[Datum]] = []
        for values, null in zip(self._equal, self._null, strict=True):
            if null:
                choices.append([None])
            elif values is not None:
                choices.append(values)
            else:
                return self._every()
        count = 1
        for each in choices:
            count *= len(each)
        if index.hash_of is None or count > _PRODUCT_MAX:
            return self._every()
        return {index.of_hash(index.hash_of(values)) for values in product(*choices)}

    # --- list -------------------------------------------------------------------------------------------------------

    def _of_list(self) -> set[int]:
        index = self._index
        if self._null[0]:
            return {index.null}
        values = self._equal[0]
        if values is not None:
            forms = [index.form(value) for value in values if self._within(value)]
            return {index.by_value.get(form, index.default) for form in forms}
        ends = [(strategy, index.form(value)) for strategy, value in self._ends[0]]
        excluded = {index.form(value) for value in self._not}
        found = {number for form, number in index.by_value.items() if form not in excluded and _holds(form, ends)}
        found.add(index.default)
        if self._null[0] is None:
            found.add(index.null)
        return found

    def _within(self, value: Datum) -> bool:
        form = self._index.form(value)
        return _holds(form, [(strategy, self._index.form(end)) for strategy, end in self._ends[0]])

    # --- range ------------------------------------------------------------------------------------------------------

    def _of_range(self) -> set[int]:
        index = self._index
        if any(self._null):
            return {index.default}
        fixed: list[list[Datum]] = []
        for values in self._equal:
            if values is None:
                break
            fixed.append(values)
        count = 1
        for each in fixed:
            count *= len(each)
        if count > _PRODUCT_MAX:
            fixed = []
        found: set[int] = set()
        for prefix in product(*fixed):
            found |= self._with_prefix(prefix)
        if len(fixed) < len(self._equal) or None in self._null:
            # A NULL in one of the columns that nothing is said of is in the default partition.
            if None in self._null:
                found.add(index.default)
        return found

    def _with_prefix(self, prefix: Sequence[Datum]) -> set[int]:
        """The partitions of rows whose first key columns have these values."""
        index, place = self._index, len(prefix)
        if len(index.key.columns) == 1:
            return self._of_one(prefix)
        head = tuple([(0, index.form(value, at)) for at, value in enumerate(prefix)])
        rest = len(index.key.columns) - place
        low, high = head + ((-1, 0),) * rest, head + ((1, 0),) * rest
        for strategy, value in self._ends[place] if rest else ():
            point = (*head, (0, index.form(value, place)))
            before, after = point + ((-1, 0),) * (rest - 1), point + ((1, 0),) * (rest - 1)
            if strategy in (LESS, LESS_EQUAL):
                high = min(high, before if strategy == LESS else after)
            else:
                low = max(low, after if strategy == GREATER else before)
        if low > high:
            return set()
        start = bisect_right(index.points, low)
        # Without columns that are left open, low and high are one point.
        end = bisect_left(index.points, high) if rest else start
        return set(index.takers[start : max(end, start if low == high else end) + 1])

    def _of_one(self, prefix: Sequence[Datum]) -> set[int]:
        index = self._index
        if prefix:
            return {index.of_value(prefix[0])} if self._within(prefix[0]) else set()
        start, end = 0, len(index.points)
        for strategy, value in self._ends[0]:
            form = index.form(value)
            if strategy in (GREATER, GREATER_EQUAL):
                start = max(start, bisect_right(index.points, form))
            else:
                end = min(end, (bisect_left if strategy == LESS else bisect_right)(index.points, form))
        return set(index.takers[start : end + 1])


def _flat(value: Datum) -> Iterator[Datum]:
    for item in value:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _holds(form: Datum, ends: Sequence[tuple[int, Datum]]) -> bool:
    return all(
        {LESS: form < end, LESS_EQUAL: form <= end, GREATER_EQUAL: form >= end, GREATER: form > end}[strategy]
        for strategy, end in ends
    )
