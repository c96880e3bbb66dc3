"""Rule: which path of FROM and WHERE serves what is above it: one that is in the wanted order, one that begins so and
is sorted on, or the cheapest, sorted whole.

Steps above the joins sort rows of targets, not of columns, so a choice says only how many keys the path's order gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from compute_node.sql.expressions import Const, Expr, SortKey
from compute_node.sql.planner.classes import Classes, Order, begins
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.cost.sorting import incremental_sort, sort
from compute_node.sql.planner.paths import Path, Rel
from compute_node.sql.planner.state import Statement
from compute_node.sql.query import Query

Costs = tuple[float, float]


@dataclass(slots=True)
class Wanted:
    """``keys`` without those that cannot matter, and the order that they make."""

    keys: tuple[SortKey[Expr], ...]
    order: Order
    places: tuple[int, ...]
    """of the keys, among those that were asked for"""


def wanted(classes: Classes, keys: Sequence[SortKey[Expr]]) -> Wanted | None:
    """What keys ask for; None: they have no order that paths know of."""
    kept = classes.kept(keys)
    if kept is None:
        return None
    places = tuple(place for place, _ in kept)
    return Wanted(tuple(keys[place] for place in places), tuple(each for _, each in kept), places)


@dataclass(slots=True)
class Choice:
    """``path`` gives the first ``presorted`` of the keys; sorted by the others it costs ``costs``."""

    path: Path
    presorted: int
    costs: Costs


def ways(
    statement: Statement,
    rel: Rel,
    order: Order,
    width: float,
    groups: Callable[[int], float],
    limit: float = -1.0,
    whole_only: bool = False,
) -> Iterator[Choice]:
    """The ways to have the rows in an order. ``groups``: how many different values the first so many keys have;
    ``limit``: how many rows are wanted, below 0 all; ``whole_only``: without sorts of groups."""
    cheapest = rel.cheapest
    off = 0.0 if statement.enabled("enable_sort") else DISABLED_COST
    by_groups = not whole_only and statement.enabled("enable_incremental_sort")
    for path in rel.paths:
        count = begins(path.order, order)
        if count == len(order):
            yield Choice(path, count, (path.startup, path.cost))
            continue
        if path is cheapest:
            startup, total = sort(statement.costs, path.cost, path.rows, width, limit)
            yield Choice(path, 0, (startup + off, total + off))
        if count and by_groups:
            costs = incremental_sort(statement.costs, (path.startup, path.cost), path.rows, width, groups(count), limit)
            yield Choice(path, count, costs)


def best(choices: Iterator[Choice], rows: float, fraction: float) -> Choice:
    """The cheapest for the share ``fraction`` of the rows; of equal ones the first."""
    found: Choice | None = None
    least = 0.0
    for each in choices:
        startup, total = each.costs
        price = startup + (total - startup) * fraction
        if found is None or price < least * (1.0 - 1.0e-10):
            found, least = each, price
    if found is None:
        raise ValueError("no way to read the rows")
    return found


def cheapest_fraction(rel: Rel, fraction: float) -> Path:
    """The path that is cheapest for a share of the rows."""
    found = rel.cheapest
    least = found.startup + (found.cost - found.startup) * fraction
    for path in rel.paths:
        price = path.startup + (path.cost - path.startup) * fraction
        if price < least:
            found, least = path, price
    return found


@dataclass(slots=True)
class Chosen:
    """What the planner's chosen path is to the step above: its rows are ``ordered`` as that wants them, or only in the
    first ``presorted`` of the keys ``places``, which have ``groups`` different values. ``sorted``: it sorts its rows
    for groups rather than hash them."""

    ordered: bool = False
    presorted: int = 0
    groups: float = 1.0
    places: tuple[int, ...] | None = None
    sorted: bool = False

    def kept(self, keys: tuple[SortKey[Expr], ...]) -> tuple[SortKey[Expr], ...]:
        """The keys that matter, of all."""
        return keys if self.places is None else tuple(keys[place] for place in self.places)


class Planner(Protocol):
    """Of one query level."""

    statement: Statement
    classes: Classes
    path: Path | None
    query: Query
    first_rows: float

    def groups(self, keys: Sequence[Expr], rows: float) -> float:
        """How many groups such keys make of so many rows."""

    def prepare(self, node: Expr) -> Expr:
        """An expression that can be planned."""

    def target_width(self, targets: Sequence[Expr]) -> float:
        """Bytes of a row of these."""


def share_of(planner: Planner, rows: float) -> tuple[float, float]:
    """(how many rows are wanted in all, below 0 all of them; which share of the rows that is)."""
    query = planner.query
    limit = None if query.limit is None else planner.prepare(query.limit)
    offset = None if query.offset is None else planner.prepare(query.offset)
    count = row_count(limit, offset, rows)
    if count > 0:
        return count, min(count / max(rows, 1.0), 1.0)
    if planner.first_rows > 0:
        return -1.0, min(planner.first_rows / max(rows, 1.0), 1.0)
    return -1.0, -planner.first_rows if planner.first_rows < 0 else 1.0


def choose_order(planner: Planner, rel: Rel, order: Sequence[SortKey[Expr]], asked: int) -> Chosen:
    """Choose the path for ORDER BY, windows, DISTINCT ON, or no order at all. ``order``: its keys, unless they are no
    keys of paths; ``asked``: how many there are."""
    limit, fraction = share_of(planner, rel.rows)
    want = wanted(planner.classes, order) if order else None
    if want is None or not want.order:
        planner.path = rel.cheapest if asked and want is None else cheapest_fraction(rel, fraction)
        return Chosen(want is not None)
    planner.path = rel.cheapest

    def groups(count: int) -> float:
        return planner.groups([key.expression for key in want.keys[:count]], rel.rows)

    width = planner.target_width([target.expression for target in planner.query.targets])
    found = best(ways(planner.statement, rel, want.order, width, groups, limit), rel.rows, fraction)
    planner.path = found.path
    whole = found.presorted == len(want.order)
    return Chosen(whole, found.presorted, groups(found.presorted) if found.presorted else 1.0, want.places)


def row_count(limit: Expr | None, offset: Expr | None, rows: float) -> float:
    """How many rows LIMIT and OFFSET ask for, of so many; below 0: all."""
    if limit is None and offset is None:
        return -1.0
    if limit is None or (isinstance(limit, Const) and limit.value is None):
        return -1.0
    count = float(max(limit.value, 1)) if isinstance(limit, Const) and isinstance(limit.value, int) else rows * 0.1
    if offset is not None:
        skipped = rows * 0.1
        if isinstance(offset, Const):
            skipped = float(max(offset.value, 0)) if isinstance(offset.value, int) else 0.0
        count += skipped
    return max(count, 1.0)
