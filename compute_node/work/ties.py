"""Which of equal rows comes first, as PostgreSQL has it.

SQL leaves the order of rows that ORDER BY finds equal open, but applications see one: row_number(), first_value(),
array_agg() and a page of LIMIT depend on it. PostgreSQL's is that of its algorithms (src/backend/utils/sort): the
quicksort of Bentley and McIlroy (1993) with a look for sorted input, insertion sort below seven rows, a heap of the
first rows under LIMIT. They run here over the rows' ranks, after an ordinary sort has found that there are equal rows.
"""

from __future__ import annotations

from collections.abc import Sequence

TIES_MAX = 1000
"""Rows that are looked at: an order among equal rows is worth no more than a few milliseconds."""


def arranged(ranks: Sequence[int], least: int | None) -> list[int]:
    """The places of the rows in order, from each row's rank (equal rows have equal ones). ``least``: how many rows
    LIMIT wants at most."""
    if least is not None and least and len(ranks) > 2 * least:
        return _heaped(ranks, least)
    places = list(range(len(ranks)))
    _quicksort(places, ranks)
    return places


def _median(a: int, b: int, c: int, places: list[int], ranks: Sequence[int]) -> int:
    one, two, three = ranks[places[a]], ranks[places[b]], ranks[places[c]]
    if one < two:
        return b if two < three else c if one < three else a
    return b if two > three else a if one < three else c


def _pivot(start: int, count: int, places: list[int], ranks: Sequence[int]) -> int:
    middle = start + count // 2
    if count == 7:
        return middle
    low, high = start, start + count - 1
    if count > 40:
        step = count // 8
        low = _median(low, low + step, low + 2 * step, places, ranks)
        middle = _median(middle - step, middle, middle + step, places, ranks)
        high = _median(high - 2 * step, high - step, high, places, ranks)
    return _median(low, middle, high, places, ranks)


def _swap_runs(one: int, other: int, count: int, places: list[int]) -> None:
    kept = places[one : one + count]
    places[one : one + count] = places[other : other + count]
    places[other : other + count] = kept


def _partition(start: int, count: int, places: list[int], ranks: Sequence[int]) -> tuple[int, int]:
    """How many places are before and after those of the pivot's rank."""
    chosen = _pivot(start, count, places, ranks)
    places[start], places[chosen] = places[chosen], places[start]
    rank = ranks[places[start]]
    equal_low = low = start + 1
    equal_high = high = start + count - 1
    while True:
        while low <= high and (other := ranks[places[low]]) <= rank:
            if other == rank:
                places[equal_low], places[low] = places[low], places[equal_low]
                equal_low += 1
            low += 1
        while low <= high and (other := ranks[places[high]]) >= rank:
            if other == rank:
                places[high], places[equal_high] = places[equal_high], places[high]
                equal_high -= 1
            high -= 1
        if low > high:
            break
        places[low], places[high] = places[high], places[low]
        low += 1
        high -= 1
    end = start + count
    moved = min(equal_low - start, low - equal_low)
    _swap_runs(start, low - moved, moved, places)
    moved = min(equal_high - high, end - equal_high - 1)
    _swap_runs(low, end - moved, moved, places)
    return low - equal_low, equal_high - high


def _quicksort(places: list[int], ranks: Sequence[int]) -> None:
    waiting = [(0, len(places))]
    while waiting:
        start, count = waiting.pop()
        if count < 7:
            # In place, and stable.
            places[start : start + count] = sorted(places[start : start + count], key=ranks.__getitem__)
            continue
        if all(ranks[places[at - 1]] <= ranks[places[at]] for at in range(start + 1, start + count)):
            continue
        before, after = _partition(start, count, places, ranks)
        waiting += [(start, before), (start + count - after, after)]


def _sink(heap: list[int], top: int, size: int, ranks: Sequence[int]) -> None:
    """Have a place take the top's: the heap has the row that comes last at its top."""
    at = 0
    while (child := 2 * at + 1) < size:
        if child + 1 < size and ranks[heap[child]] < ranks[heap[child + 1]]:
            child += 1
        if ranks[top] >= ranks[heap[child]]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = top


def _heaped(ranks: Sequence[int], least: int) -> list[int]:
    heap: list[int] = []
    for place, rank in enumerate(ranks):
        if len(heap) < least:
            at = len(heap)
            heap.append(place)
            while at and rank > ranks[heap[(at - 1) >> 1]]:
                heap[at] = heap[(at - 1) >> 1]
                at = (at - 1) >> 1
            heap[at] = place
        elif rank < ranks[heap[0]]:
            _sink(heap, place, least, ranks)
    for size in range(len(heap) - 1, 0, -1):
        last, heap[size] = heap[size], heap[0]
        _sink(heap, last, size, ranks)
    return heap
