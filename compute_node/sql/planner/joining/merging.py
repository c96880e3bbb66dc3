"""What merge joins need: which conditions are their keys, in which order, and how far each side is read."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const
from compute_node.sql.planner.classes import Classes, Order, OrderKey
from compute_node.sql.planner.cost.joining import Scanned
from compute_node.sql.planner.joining.clauses import Clause, Clauses
from compute_node.sql.planner.selectivity.scalars import DEFAULT_RANGE, ordered
from compute_node.sql.planner.selectivity.variable import Untestable, Variable, sorts_as

_LESS, _LESS_EQUAL, _GREATER_EQUAL, _GREATER = 1, 2, 4, 5


def outer_order(classes: Classes, keys: Sequence[Clause], outer: int, joined: int) -> Order:
    """The order in which the outer side would be sorted for all keys: the query's, where it is one of theirs, then
    classes with more members to come first (select_outer_pathkeys_for_merge)."""
    numbers: dict[int, int] = {}
    for clause in keys:
        number = clause.outer_class(outer)
        if number not in numbers and not classes[number].constant:
            numbers[number] = sum(1 for _, ids in classes[number].members if not ids & joined)
    found: list[OrderKey] = []
    if classes.wanted and all(number in numbers for number, _, _ in classes.wanted):
        found += classes.wanted
    taken = {number for number, _, _ in found}
    rest = [number for number in numbers if number not in taken]
    # The most popular class first; of equal ones in the order of the conditions.
    rest.sort(key=lambda number: -numbers[number])
    found += [(number, False, False) for number in rest]
    return tuple(found)


def keys_of(order: Order, keys: Sequence[Clause], outer: int) -> list[Clause]:
    """The conditions that an order of the outer side serves, in its order."""
    found: list[Clause] = []
    for number, _, _ in order:
        mine = [clause for clause in keys if clause.outer_class(outer) == number]
        if not mine:
            break
        found += mine
    return found


def inner_order(chosen: Sequence[Clause], order: Order, outer: int) -> Order:
    """What the inner side must be in the order of, for these keys over an outer side of that order."""
    directions = {number: (down, first) for number, down, first in order}
    found: list[OrderKey] = []
    seen: set[int] = set()
    for clause in chosen:
        number = clause.inner_class(outer)
        if number not in seen:
            seen.add(number)
            found.append((number, *directions[clause.outer_class(outer)]))
    return tuple(found)


def within(chosen: Sequence[Clause], order: Order, outer: int) -> list[Clause]:
    """The first of the keys, as far as an order of the inner side serves them."""
    numbers = {number for number, _, _ in order}
    found: list[Clause] = []
    for clause in chosen:
        if clause.inner_class(outer) not in numbers:
            break
        found.append(clause)
    return found


def scanned(clauses: Clauses, catalog: CatalogView, clause: Clause, kind: str, outer: int, key: OrderKey) -> Scanned:
    """How far a merge by this first key reads each side (mergejoinscansel)."""
    _, down, first = key
    if clause.scanned is None or down or first:
        left, right = clause.sides(clause.left)
        found = _ends(
            catalog, clauses, clauses.estimator.variable(left), clauses.estimator.variable(right), clause, down
        )
        if first:
            found = _with_nulls(found, clauses.estimator.variable(left), clauses.estimator.variable(right))
        if not (down or first):
            clause.scanned = found
    else:
        found = clause.scanned
    left_start, left_end, right_start, right_end = found
    part = Scanned(left_start, left_end, right_start, right_end)
    if clause.left & ~outer:
        part = Scanned(right_start, right_end, left_start, left_end)
    if kind in ("left", "anti"):
        part.outer_start, part.outer_end = 0.0, 1.0
    elif kind == "right":
        part.inner_start, part.inner_end = 0.0, 1.0
    return part


_Ends = tuple[float, float, float, float]
_WHOLE: _Ends = (0.0, 1.0, 0.0, 1.0)


def _ends(catalog: CatalogView, clauses: Clauses, left: Variable, right: Variable, clause: Clause, down: bool) -> _Ends:
    family = clauses.classes[clause.left_class].family
    left_range, right_range = _range(catalog, left), _range(catalog, right)
    if left_range is None or right_range is None:
        return _WHOLE
    before, until = (_GREATER, _GREATER_EQUAL) if down else (_LESS, _LESS_EQUAL)
    left_low, left_high = left_range[::-1] if down else left_range
    right_low, right_high = right_range[::-1] if down else right_range

    def share(variable: Variable, strategy: int, bound: Const) -> float | None:
        operator = catalog.family_operator(family, variable.node.type, bound.type, strategy)
        if not operator:
            return None
        try:
            found = ordered(catalog, operator, variable, bound, down, strategy == until)
        except Untestable:
            return None
        return None if found == DEFAULT_RANGE else found

    left_end, right_end = share(left, until, right_high), share(right, until, left_high)
    left_start, right_start = share(left, before, right_low), share(right, before, left_low)
    ends = [1.0 if each is None else each for each in (left_end, right_end)]
    starts = [0.0 if each is None else each for each in (left_start, right_start)]
    # Only one side can end early, and only one begin late.
    if ends[0] > ends[1]:
        ends[0] = 1.0
    elif ends[0] < ends[1]:
        ends[1] = 1.0
    else:
        ends = [1.0, 1.0]
    if starts[0] < starts[1]:
        starts[0] = 0.0
    elif starts[0] > starts[1]:
        starts[1] = 0.0
    else:
        starts = [0.0, 0.0]
    if starts[0] >= ends[0] or starts[1] >= ends[1]:
        return _WHOLE
    return starts[0], ends[0], starts[1], ends[1]


def _with_nulls(found: _Ends, left: Variable, right: Variable) -> _Ends:
    one, other = left.null_fraction, right.null_fraction
    return min(found[0] + one, 1.0), min(found[1] + one, 1.0), min(found[2] + other, 1.0), min(found[3] + other, 1.0)


def _range(catalog: CatalogView, variable: Variable) -> tuple[Const, Const] | None:
    """The least and the greatest value that statistics know of a column."""
    bounds = variable.histogram
    values = [bounds[0], bounds[-1]] if bounds else []
    values += variable.common[0]
    family = catalog.default_operator_class(variable.node.type)
    if not values or family is None or not variable.may_test:
        return None
    key = sorts_as(catalog, family.operators[2], variable, variable.node.type)
    if key is None:
        return None
    kind = variable.node.type
    return Const(type=kind, value=min(values, key=key)), Const(type=kind, value=max(values, key=key))
