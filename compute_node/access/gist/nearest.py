"""Rows in the order of their distances: the tree's pages and rows in one queue, the nearest first.

A page's distance is that of the nearest point that its key bounds. A row's is known when its key is the value itself;
otherwise the row is fetched, measured, and queued again. Source: Hjaltason and Samet, ACM TODS 24, 1999.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from compute_node.access.gist.classes import FAR
from compute_node.access.gist.forms import ANYWHERE
from compute_node.access.gist.keys import VALUES, Keys
from compute_node.access.gist.pages import ROOT
from compute_node.access.index_access import ScanKey
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.gist.index import GistIndex
    from compute_node.work.account import Area

_NAN, _NULL = (1, 0.0), (2, 0.0)
"""The distances of what is no number, behind all numbers, and of NULL, behind all others"""
_PAGE, _ROW, _MEASURED = 2, 1, 0
"""What is queued; of one distance, what is known best comes first"""
Far = tuple[tuple[int, float], ...]
QUEUED_BYTES = 320
"""What something queued takes in memory, with one or two distances."""
FIRST_ROWS = 8
ROWS_MAX = 256


class _Distances:
    """Of keys, by each of the operators."""

    def __init__(self, index: GistIndex, orders: Sequence[ScanKey]) -> None:
        self._parts: list[tuple[int, Callable[..., float] | None, bool]] = []
        for order in orders:
            known = index.classes[order.column]
            if known.distance is None:
                raise InvariantViolation(f"operator class of index {index.desc.name} knows no distance")
            measure = None if order.value is None else known.distance(order.strategy, order.value)
            self._parts.append((order.column, measure, known.exact))

    def of(self, keys: Keys, leaf: bool) -> tuple[Far, bool]:
        """(the distances, whether they are the row's own)."""
        found: list[tuple[int, float]] = []
        known = leaf
        for column, measure, exact in self._parts:
            flags, key = keys[column]
            if measure is None or not flags & VALUES:
                found.append(_NULL)
                continue
            distance = measure(key)
            if distance != distance or key == ANYWHERE:
                # NaN is behind all numbers, and may be anywhere.
                distance, known = 0.0, False
            known = known and exact and distance < FAR
            found.append((0, distance))
        return tuple(found), known


def nearest_tids(
    index: GistIndex,
    snapshot: Snapshot,
    meets: Callable[[Keys, bool], bool],
    orders: Sequence[ScanKey],
    area: Area,
) -> Iterator[list[int]]:
    """Addresses of rows in the order of the distances, some at a time: at first few. May wait. The queue is counted in
    ``area``."""
    distances = _Distances(index, orders)
    measured = _Measure(index, orders)
    tree = index.tree
    queue: list[tuple[Far, int, int, int, int]] = [((), _PAGE, 0, ROOT, tree.splits())]
    number, ready, limit, counted = 0, [], FIRST_ROWS, 0
    while queue:
        far, kind, _, place, seen = heapq.heappop(queue)
        if kind == _MEASURED:
            ready.append(place)
            if len(ready) >= limit:
                yield ready
                ready, limit = [], min(2 * limit, ROWS_MAX)
            continue
        HUB.pulse()
        if kind == _ROW:
            for own in measured.of(snapshot, place):
                number += 1
                heapq.heappush(queue, (own, _MEASURED, number, place, 0))
            continue
        node, splits = tree.node_now(place)
        if node.right and node.number > seen:
            number += 1
            heapq.heappush(queue, (far, _PAGE, number, node.right, seen))
        for at, key in enumerate(node.keys):
            if not meets(key, node.is_leaf):
                continue
            own, known = distances.of(key, node.is_leaf)
            number += 1
            if node.is_leaf:
                heapq.heappush(queue, (own, _MEASURED if known else _ROW, number, node.tid(at), 0))
            else:
                heapq.heappush(queue, (own, _PAGE, number, node.child(at), splits))
        if len(queue) > counted:
            area.add((len(queue) - counted) * QUEUED_BYTES)
            counted = len(queue)
    if ready:
        yield ready


class _Measure:
    """The distances of rows themselves."""

    def __init__(self, index: GistIndex, orders: Sequence[ScanKey]) -> None:
        self._index = index
        self._orders = [(order.column, order.measure, order.value) for order in orders]

    def of(self, snapshot: Snapshot, tid: int) -> Iterator[Far]:
        """Of the row that the snapshot sees; none if it sees none."""
        index = self._index
        for batch in index.table.fetch_chains(snapshot, [tid], index.keys.columns, False):
            for row in batch:
                values = row if index.keys.is_plain else index.keys.of(row)
                if values is not None:
                    yield tuple(
                        self._distance(values[column], measure, value) for column, measure, value in self._orders
                    )

    @staticmethod
    def _distance(found: object, measure: Callable[..., float] | None, value: object) -> tuple[int, float]:
        if found is None or value is None or measure is None:
            return _NULL
        distance = measure(found, value)
        return _NAN if distance != distance else (0, distance)
