"""Facts about values that have an order: how many differ, which are common, how the others are spread, how far their
order is the table's (manual, 53.51).

The number of distinct values follows Haas and Stokes (IBM RJ 10025): of a sample of n rows with d values, f1 of them
seen once, out of N rows: n d / (n - f1 + f1 n / N).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import merge, nsmallest
from itertools import groupby

from aurora.datum import Datum
from compute_node.hub import HUB
from compute_node.relations.column_statistics import (
    CORRELATION,
    HISTOGRAM,
    MOST_COMMON,
    ColumnStatistics,
    Slot,
)

RUN = 16_384
"""Values that are sorted at once."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a column's values are compared: ``key`` of a value sorts as it does (None: itself)."""

    equal: int
    less: int
    collation: int
    value_type: int
    key: Callable[[Datum], Datum] | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's part of a sample of ``rows`` rows out of ``total``: its ``values`` in the order of the table, neither
    NULL (``nulls`` rows) nor too wide to look at (``wide``). ``width`` is the average in bytes."""

    values: Sequence[Datum]
    rows: int
    nulls: int
    wide: int
    width: int
    total: float
    target: int

    @property
    def null_fraction(self) -> float:
        """Of the sample's rows."""
        return self.nulls / self.rows if self.rows else 0.0


def analyze_scalars(column: Column, order: Order) -> ColumnStatistics:
    """The facts about a column whose type has a B-tree operator class."""
    values, key = column.values, order.key
    if not values:
        # All NULL: no other value is known. All too wide: each may be another.
        return ColumnStatistics(column.null_fraction, column.width, 0.0 if not column.wide else _ratio(column, 1.0))
    keys = values if key is None else [key(value) for value in values]
    HUB.pulse()
    places = _sorted_places(keys)
    groups = [list(group) for _, group in groupby(places, key=keys.__getitem__)]
    HUB.pulse()
    counts = [len(group) for group in groups]
    multiple = sum(count > 1 for count in counts)
    distinct = _distinct(column, len(groups), multiple)
    common = _common(column, counts, distinct)
    slots: list[Slot] = []
    if common:
        slots.append(
            Slot(
                MOST_COMMON,
                order.equal,
                order.collation,
                [counts[at] / column.rows for at in common],
                [values[groups[at][0]] for at in common],
                order.value_type,
            )
        )
    bounds = _histogram(groups, frozenset(common), column.target)
    if bounds:
        found = [values[place] for place in bounds]
        slots.append(Slot(HISTOGRAM, order.less, order.collation, None, found, order.value_type))
    if len(values) > 1:
        slots.append(Slot(CORRELATION, order.less, order.collation, [_correlation(places)]))
    return ColumnStatistics(column.null_fraction, column.width, distinct, tuple(slots))


def _sorted_places(keys: Sequence[Datum]) -> list[int]:
    """The places of the values in their order, equal ones as they stand; with turns for others in between."""
    order = keys.__getitem__
    runs = []
    for start in range(0, len(keys), RUN):
        runs.append(sorted(range(start, min(start + RUN, len(keys))), key=order))
        HUB.pulse()
    if len(runs) == 1:
        return runs[0]
    places: list[int] = []
    for place in merge(*runs, key=order):
        places.append(place)
        if not len(places) % RUN:
            HUB.pulse()
    return places


def _ratio(column: Column, share: float) -> float:
    return -share * (1.0 - column.null_fraction)


def _distinct(column: Column, found: int, multiple: int) -> float:
    """pg_statistic.stadistinct of ``found`` different values, of which ``multiple`` came more than once."""
    if multiple == 0:
        return _ratio(column, 1.0)
    if not column.wide and multiple == found:
        # Each value came again: there are hardly any others.
        distinct = float(found)
    else:
        once = found - multiple + column.wide
        different = once + multiple
        sample = column.rows - column.nulls
        table = column.total * (1.0 - column.null_fraction)
        distinct = 0.0
        if table > 0:
            distinct = sample * different / ((sample - once) + once * sample / table)
            distinct = min(max(distinct, different), table)
        distinct = math.floor(distinct + 0.5)
    return -(distinct / column.total) if distinct > 0.1 * column.total else distinct


def _common(column: Column, counts: Sequence[int], distinct: float) -> list[int]:
    """The groups that are kept as most common values, by falling frequency."""
    several = [at for at, count in enumerate(counts) if count > 1]
    first = nsmallest(column.target, several, key=lambda at: (-counts[at], at))
    if len(several) == len(counts) and not column.wide and distinct > 0 and len(several) <= column.target:
        return first
    return first[: _worth_keeping([counts[at] for at in first], column, distinct)]


def _worth_keeping(counts: Sequence[int], column: Column, distinct: float) -> int:
    """How many of these frequencies are certainly above the average of the values that are not among them: the last
    one goes as long as its count in the sample may come from an average value by chance (a hypergeometric
    distribution, two standard deviations)."""
    rows, total = column.rows, column.total
    if rows == total or total <= 1.0:
        return len(counts)
    different = distinct if distinct >= 0 else -distinct * total
    before = sum(counts[:-1])
    kept = len(counts)
    while kept:
        share = min(max(1.0 - before / rows - column.null_fraction, 0.0), 1.0)
        others = different - (kept - 1)
        if others > 1:
            share /= others
        last = counts[kept - 1]
        expected = total * last / rows
        variance = rows * expected * (total - expected) * (total - rows) / (total * total * (total - 1))
        if last > share * rows + 2 * math.sqrt(max(variance, 0.0)) + 0.5:
            break
        kept -= 1
        if kept:
            before -= counts[kept - 1]
    return kept


def _histogram(groups: Sequence[Sequence[int]], common: frozenset[int], target: int) -> list[int]:
    """Places of values that divide those which are not common into parts of equal size."""
    rest = [place for at, group in enumerate(groups) if at not in common for place in group]
    bounds = min(len(groups) - len(common), target + 1)
    if bounds < 2:
        return []
    return [rest[at * (len(rest) - 1) // (bounds - 1)] for at in range(bounds)]


def _correlation(places: Sequence[int]) -> float:
    """Of the values' order with the table's, -1 to 1."""
    count = len(places)
    mixed = sum(rank * place for rank, place in enumerate(places))
    plain = (count - 1) * count / 2.0
    squares = (count - 1) * count * (2 * count - 1) / 6.0
    return (count * mixed - plain * plain) / (count * squares - plain * plain)
