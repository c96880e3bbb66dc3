"""Grouping (PostgreSQL's cost_agg, cost_group, create_upper_unique_path)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compute_node.sql.planner.cost.joining import power_of_two
from compute_node.sql.planner.cost.parameters import CostParameters, aligned, pages_of

_GROUP_OVERHEAD_BYTES = 16 + 16 + 8
_STATE_BYTES = 8


@dataclass(slots=True)
class Grouped:
    """``keys`` columns that group; ``steps`` and ``finals``: what aggregates cost an input row, and a group."""

    keys: int
    groups: float
    steps: float
    finals: float
    aggregates: int
    having: float = 0.0


def sorted_groups(
    known: CostParameters, costs: tuple[float, float], rows: float, found: Grouped
) -> tuple[float, float]:
    """Over rows in the order of the keys."""
    total = costs[1] + (found.steps + known.cpu_operator * found.keys) * rows
    total += (found.finals + known.cpu_tuple + found.having) * found.groups
    return costs[0], total


def hashed_groups(
    known: CostParameters, total: float, rows: float, width: float, found: Grouped
) -> tuple[float, float]:
    """Groups in a hash table; those past its memory go to files."""
    startup = total + (found.steps + known.cpu_operator * found.keys) * rows
    run = found.finals * found.groups + known.cpu_tuple * found.groups
    each = _GROUP_OVERHEAD_BYTES + aligned(width) + _STATE_BYTES * 2 * found.aggregates
    wanted = found.groups * each
    batches = max(wanted / known.hash_mem_bytes, found.groups / max(known.hash_mem_bytes / each, 1.0))
    batches = max(math.ceil(batches), 1.0)
    if batches > 1:
        partitions = min(max(power_of_two(batches), 4.0), 1024.0)
        depth = math.ceil(math.log(batches) / math.log(partitions))
        pages = pages_of(rows, width) * depth
        startup += pages * known.random_page * 2.0
        run += pages * known.seq_page * 2.0
        spilled = depth * rows * 2.0 * known.cpu_tuple
        startup += spilled
        run += spilled
    return startup, startup + run + found.having * found.groups


def unique(known: CostParameters, costs: tuple[float, float], rows: float, columns: int) -> tuple[float, float]:
    """The first of each run of equal rows."""
    return costs[0], costs[1] + known.cpu_operator * rows * columns
