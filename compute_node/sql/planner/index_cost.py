"""What reading through an index costs, in PostgreSQL's units, by its formulas (manual, 62.6).

Pages of the table by Mackert and Lohman (ACM TODS 14, 1989): T pages hold N rows found, each fetched once while they
stay in the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compute_node.sql.planner.paths import (
    CPU_INDEX_TUPLE_COST,
    CPU_OPERATOR_COST,
    CPU_TUPLE_COST,
    RANDOM_PAGE_COST,
    SEQ_PAGE_COST,
)

ENTRIES_A_PAGE = 367
"""of an index over an integer, whose leaves are filled to 90 %"""
_FANOUT = 285
_ADDRESSES_A_PAGE = 8192 // 3
BRIN_PAGES = 3
"""of a small BRIN index"""
_DESCENT_OPERATORS = 50
"""What a page of a descent costs, in operators."""


@dataclass(frozen=True, slots=True)
class ScanSize:
    """A table of ``rows`` on ``pages``, of which the index finds ``matched``; checking conditions on each row found
    costs ``tests``. ``loops``: how often the scan runs, for other values each time."""

    rows: float
    pages: float
    matched: float
    tests: float
    correlation: float = 0.0
    """of the table's order with the index's, -1 to 1"""
    loops: float = 1.0
    descents: float = 1.0
    """how often a scan starts again, for each element of an array"""
    index_pages: int = 0
    """0: not known"""

    @property
    def entries_a_page(self) -> float:
        """Of the index."""
        return self.rows / self.index_pages if self.index_pages else ENTRIES_A_PAGE


@dataclass(frozen=True, slots=True)
class Costs:
    """To the first row, and to the last."""

    startup: float
    total: float


def heap_pages(size: ScanSize, loops: float = 1.0) -> float:
    """Pages of the table that hold the rows found, each counted once."""
    return 1.0 if size.pages <= 1 else _fetched(size.pages, size.matched * loops)


def _fetched(pages: float, wanted: float) -> float:
    """Of so many pages, those that are read when so many are wanted one after the other, and stay in the cache."""
    return float(min(pages, math.ceil(2.0 * pages * wanted / (2.0 * pages + wanted))))


def _entries_cost(size: ScanSize, keys: int) -> Costs:
    """Finding the entries alone."""
    a_page = size.entries_a_page
    matched = max(1.0, round(size.matched / size.descents))
    pages = max(1.0, math.ceil(matched / a_page))
    scans = size.descents * size.loops
    if scans > 1:
        # A page of the index that one scan reads is in the cache for the next.
        whole = max(1.0, math.ceil(size.rows / a_page))
        pages = _fetched(whole, pages * scans) / size.loops
    height = max(0, math.ceil(math.log(max(size.rows / a_page, 1.0), _FANOUT)))
    descent = math.ceil(math.log2(max(size.rows, 2.0))) * CPU_OPERATOR_COST
    descent += (height + 1) * _DESCENT_OPERATORS * CPU_OPERATOR_COST
    each = CPU_INDEX_TUPLE_COST + CPU_OPERATOR_COST * keys
    found = matched * size.descents * each
    return Costs(descent, size.descents * descent + pages * RANDOM_PAGE_COST + found)


def index_scan_cost(size: ScanSize, keys: int) -> Costs:
    """A scan that fetches each row as it finds its entry: pages come in the index's order, which may be the
    table's."""
    entries = _entries_cost(size, keys)
    if size.loops > 1:
        worst = heap_pages(size, size.loops) * RANDOM_PAGE_COST / size.loops
        share = math.ceil(size.pages * size.matched / size.rows)
        best = _fetched(size.pages, share * size.loops) * RANDOM_PAGE_COST / size.loops
    else:
        worst = heap_pages(size) * RANDOM_PAGE_COST
        best = RANDOM_PAGE_COST + (math.ceil(size.pages * size.matched / size.rows) - 1) * SEQ_PAGE_COST
    pages = worst + size.correlation**2 * (best - worst)
    rows = size.matched * (CPU_TUPLE_COST + size.tests)
    return Costs(entries.startup, entries.total + pages + rows)


def bitmap_index_cost(size: ScanSize, keys: int = 1) -> float:
    """Gathering the row addresses of the entries alone."""
    return _entries_cost(size, keys).total + size.matched * 0.1 * CPU_OPERATOR_COST


def gin_cost(size: ScanSize, keys: int, items: int) -> float:
    """Gathering the row addresses for ``keys`` conditions on ``items`` items: a page for each item, and pages of
    addresses."""
    pages = items + math.ceil(size.matched / _ADDRESSES_A_PAGE)
    each = CPU_INDEX_TUPLE_COST + CPU_OPERATOR_COST * (keys + 0.1)
    return size.descents * pages * RANDOM_PAGE_COST + size.matched * each


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a BRIN index's summaries let through: ``fraction`` of the table, for ``cost``."""

    fraction: float
    cost: float


def brin_cost(size: ScanSize, pages_per_range: int) -> Ranges:
    """Reading all summaries, and adding the pages of the ranges that may have rows: as few as hold the rows found if
    they lie together (a ``correlation`` of 1), all if nothing is known of that."""
    ranges = max(math.ceil(size.pages / pages_per_range), 1.0)
    least = math.ceil(ranges * min(size.matched / max(size.rows, 1.0), 1.0))
    correlation = abs(size.correlation)
    found = ranges if correlation < 1.0e-10 else min(least / correlation, ranges)
    pages = (size.index_pages or BRIN_PAGES) * RANDOM_PAGE_COST
    return Ranges(found / ranges, pages + 0.1 * CPU_OPERATOR_COST * found * pages_per_range)


def bitmap_heap_cost(size: ScanSize) -> float:
    """Fetching the rows of a bitmap in the order of their pages: the more of them, the more like reading in
    sequence."""
    pages = heap_pages(size)
    if size.loops > 1:
        # Pages that one run reads are in the cache for the next.
        pages = min(size.pages, math.ceil(heap_pages(size, size.loops) / size.loops))
    page_cost = RANDOM_PAGE_COST
    if pages >= 2.0:
        page_cost -= (RANDOM_PAGE_COST - SEQ_PAGE_COST) * math.sqrt(pages / max(size.pages, pages))
    return pages * page_cost + size.matched * (CPU_TUPLE_COST + size.tests)
