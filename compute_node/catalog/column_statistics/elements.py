"""Facts about the elements of arrays and the lexemes of documents: which are common, how many different ones a value
has (manual, 53.51)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aurora.datum import Datum
from compute_node.catalog.column_statistics.scalars import Column, Order
from compute_node.hub import HUB
from compute_node.relations.column_statistics import COMMON_ELEMENTS, ELEMENT_COUNTS, Slot

ELEMENTS_A_TARGET = 10
_STEP = 1 << 16


@dataclass(slots=True)
class _Seen:
    """What has been counted: elements by their keys, once a value; how many values have a NULL among them."""

    counts: Counter[Datum]
    values: dict[Datum, Datum]
    sizes: list[int]
    total: int
    with_null: int


def analyze_elements(
    column: Column, order: Order, elements: Callable[[Datum], Iterable[Datum]], with_sizes: bool
) -> list[Slot]:
    """COMMON_ELEMENTS, and ``with_sizes`` ELEMENT_COUNTS. ``elements`` of a value; ``order`` is theirs."""
    seen = _count(column.values, order.key, elements)
    slots: list[Slot] = []
    values = len(column.values)
    if seen.total:
        kept = _common(seen, column.target * ELEMENTS_A_TARGET)
        if kept:
            frequencies = [seen.counts[key] / values for key in kept]
            numbers = [*frequencies, min(frequencies), max(frequencies)]
            if with_sizes:
                numbers.append(seen.with_null / values)
            found = [seen.values[key] for key in kept]
            slots.append(Slot(COMMON_ELEMENTS, order.equal, order.collation, numbers, found, order.value_type))
    if with_sizes and values:
        sizes = sorted(seen.sizes)
        bounds = max(column.target, 2)
        spread = [float(sizes[at * (values - 1) // (bounds - 1)]) for at in range(bounds)]
        slots.append(Slot(ELEMENT_COUNTS, order.equal, order.collation, [*spread, sum(sizes) / values]))
    return slots


def _count(
    values: Sequence[Datum], key: Callable[[Datum], Datum] | None, elements: Callable[[Datum], Iterable[Datum]]
) -> _Seen:
    seen = _Seen(Counter(), {}, [], 0, 0)
    since = 0
    for value in values:
        mine: dict[Datum, Datum] = {}
        has_null = False
        for element in elements(value):
            since += 1
            if element is None:
                has_null = True
            else:
                mine[element if key is None else key(element)] = element
            seen.total += element is not None
        if since > _STEP:
            since = 0
            HUB.pulse()
        seen.counts.update(mine.keys())
        for known in mine.keys() - seen.values.keys():
            seen.values[known] = mine[known]
        seen.sizes.append(len(mine))
        seen.with_null += has_null
    return seen


def _common(seen: _Seen, most: int) -> list[Datum]:
    """The keys of elements that are common enough to be kept, in the elements' order. The share below which an element
    is left out is that of Manku and Motwani (VLDB 2002) with an error of 1/10 of it."""
    bucket = most * 1000 // 7
    cutoff = 9 * seen.total // bucket
    found = [key for key, count in seen.counts.items() if count > cutoff]
    if len(found) > most:
        found = sorted(found, key=lambda key: -seen.counts[key])[:most]
    return sorted(found)
