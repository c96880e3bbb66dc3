"""What reading through an index costs, in PostgreSQL's units.

Heap pages by Mackert and Lohman's bound; index pages are taken as a descent, and a hundred or so entries a leaf
beyond it.
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

STARTUP = 0.285


@dataclass(frozen=True, slots=True)
class ScanSize:
    """A table of ``rows`` on ``pages``, of which the index finds ``matched``; ``tests`` conditions are checked on each
    row found."""

    rows: float
    pages: float
    matched: float
    tests: int
    correlated: bool = False
    """rows lie in the table in the index's order, as they mostly do by primary keys"""


def heap_pages(size: ScanSize) -> float:
    """Pages of the table that hold the rows found, each counted once."""
    if size.pages <= 1:
        return 1.0
    return min(size.pages, 2.0 * size.pages * size.matched / (2.0 * size.pages + size.matched))


def index_scan_cost(size: ScanSize) -> float:
    """A scan that fetches each row as it finds its entry: pages come in no order, unless that is the index's."""
    cost = STARTUP + RANDOM_PAGE_COST
    if size.correlated:
        cost += RANDOM_PAGE_COST + (math.ceil(size.pages * size.matched / size.rows) - 1) * SEQ_PAGE_COST
    else:
        cost += heap_pages(size) * RANDOM_PAGE_COST
    cost += size.matched * (CPU_INDEX_TUPLE_COST + CPU_TUPLE_COST)
    return cost + size.matched * CPU_OPERATOR_COST * size.tests


def bitmap_index_cost(size: ScanSize) -> float:
    """Gathering the row addresses of the entries alone."""
    return RANDOM_PAGE_COST + size.matched * (CPU_INDEX_TUPLE_COST + 0.1 * CPU_OPERATOR_COST)


def bitmap_heap_cost(size: ScanSize) -> float:
    """Fetching the rows of a bitmap in the order of their pages: the more of them, the more like reading in
    sequence."""
    pages = heap_pages(size)
    page_cost = RANDOM_PAGE_COST
    if pages >= 2.0:
        page_cost -= (RANDOM_PAGE_COST - SEQ_PAGE_COST) * math.sqrt(pages / max(size.pages, pages))
    return pages * page_cost + size.matched * (CPU_TUPLE_COST + CPU_OPERATOR_COST * (size.tests + 1))
