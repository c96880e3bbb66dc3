"""Sorting whole inputs or groups of them, and keeping rows (PostgreSQL's cost_tuplesort, cost_incremental_sort,
cost_material, cost_rescan)."""

from __future__ import annotations

import math

from compute_node.sql.planner.cost.parameters import PAGE_BYTES, CostParameters, pages_of, row_bytes

TAPE_BYTES = 8192
MERGE_BUFFER_BYTES = 32 * 8192
FAN_IN_MIN, FAN_IN_MAX = 6, 500


def tuplesort(known: CostParameters, rows: float, width: float, limit: float) -> tuple[float, float]:
    """(startup, run) of a sort alone; ``limit``: how many rows are wanted, below 0 all of them."""
    compare = 2.0 * known.cpu_operator
    rows = max(rows, 2.0)
    input_bytes = rows * row_bytes(width)
    output = limit if 0 < limit < rows else rows
    output_bytes = output * row_bytes(width)
    if output_bytes > known.work_mem_bytes:
        startup = compare * rows * math.log2(rows)
        pages = math.ceil(input_bytes / PAGE_BYTES)
        runs = input_bytes / known.work_mem_bytes
        fan_in = min(max(known.work_mem_bytes // (2 * TAPE_BYTES + MERGE_BUFFER_BYTES), FAN_IN_MIN), FAN_IN_MAX)
        passes = math.ceil(math.log(runs) / math.log(fan_in)) if runs > fan_in else 1.0
        startup += 2.0 * pages * passes * (known.seq_page * 0.75 + known.random_page * 0.25)
    elif rows > 2 * output or input_bytes > known.work_mem_bytes:
        startup = compare * rows * math.log2(2.0 * output)
    else:
        startup = compare * rows * math.log2(rows)
    return startup, known.cpu_operator * rows


def sort(known: CostParameters, total: float, rows: float, width: float, limit: float = -1.0) -> tuple[float, float]:
    """A sort of an input that costs ``total``."""
    startup, run = tuplesort(known, rows, width, limit)
    return total + startup, total + startup + run


def incremental_sort(
    known: CostParameters,
    costs: tuple[float, float],
    rows: float,
    width: float,
    groups: float,
    limit: float = -1.0,
) -> tuple[float, float]:
    """A sort of an input that is in ``groups`` of rows which are in order already. ``costs``: of the input."""
    startup_in, total_in = costs
    rows = max(rows, 2.0)
    groups = max(min(groups, rows), 1.0)
    each_input = (total_in - startup_in) / groups
    startup, run = tuplesort(known, rows / groups, width, limit)
    first = startup + startup_in + each_input
    rest = run + (run + startup + each_input) * (groups - 1.0)
    rest += known.cpu_tuple * rows + 2.0 * known.cpu_tuple * groups
    return first, first + rest


def material(known: CostParameters, costs: tuple[float, float], rows: float, width: float) -> tuple[float, float]:
    """Keeping the rows of an input, the first time."""
    run = costs[1] - costs[0] + 2.0 * known.cpu_operator * rows
    if rows * row_bytes(width) > known.work_mem_bytes:
        run += known.seq_page * pages_of(rows, width)
    return costs[0], costs[0] + run


def kept_again(known: CostParameters, each: float, rows: float, width: float) -> float:
    """Reading kept rows once more, at ``each`` a row."""
    run = each * rows
    if rows * row_bytes(width) > known.work_mem_bytes:
        run += known.seq_page * pages_of(rows, width)
    return run
