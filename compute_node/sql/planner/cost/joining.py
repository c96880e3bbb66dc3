"""Joins (PostgreSQL's cost_nestloop, cost_mergejoin, cost_hashjoin, and cost_memoize_rescan)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compute_node.sql.planner.cost.parameters import (
    DISABLED_COST,
    CostParameters,
    aligned,
    clamped,
    pages_of,
    row_bytes,
)

_BUCKETS_MIN = 1024
_ROW_OVERHEAD_BYTES = 32
_POINTER_BYTES = 8
_SKEW_PERCENT = 2


@dataclass(slots=True)
class Side:
    """An input: what it costs, gives, and costs when it is read again."""

    startup: float
    total: float
    rows: float
    width: float
    again_startup: float = 0.0
    again_total: float = 0.0


@dataclass(slots=True)
class Matches:
    """Of a semi or anti join, or an inner side with one row a key: the share of outer rows that match, and how many
    inner rows those have."""

    share: float
    count: float


def nest_loop(
    known: CostParameters, outer: Side, inner: Side, matches: Matches | None, indexed: bool, tests: float
) -> tuple[float, float]:
    """``indexed``: the inner side finds its matches by their keys. ``tests``: what the conditions cost for a pair."""
    startup = outer.startup + inner.startup
    run = outer.total - outer.startup
    rows = outer.rows
    if rows > 1:
        run += (rows - 1.0) * inner.again_startup
    inner_run = inner.total - inner.startup
    again_run = inner.again_total - inner.again_startup
    if matches is None:
        run += inner_run
        if rows > 1:
            run += (rows - 1.0) * again_run
        pairs = rows * inner.rows
    else:
        matched = float(round(rows * matches.share))
        unmatched = rows - matched
        part = 2.0 / (matches.count + 1.0)
        pairs = matched * inner.rows * part
        if indexed:
            run += inner_run * part
            if matched > 1:
                run += (matched - 1.0) * again_run * part
            run += unmatched * again_run / inner.rows
        else:
            pairs += unmatched * inner.rows
            run += inner_run
            if unmatched >= 1:
                unmatched -= 1.0
            else:
                matched -= 1.0
            if matched > 0:
                run += matched * again_run * part
            if unmatched > 0:
                run += unmatched * again_run
    run += (known.cpu_tuple + tests) * pairs
    return startup, startup + run


@dataclass(slots=True)
class Scanned:
    """Of each side, the part before the other side's first key, and that up to its last one."""

    outer_start: float = 0.0
    outer_end: float = 1.0
    inner_start: float = 0.0
    inner_end: float = 1.0


@dataclass(slots=True)
class Merged:
    """A merge join's costs. ``kept``: its inner side is better kept than read again."""

    startup: float
    total: float
    kept: bool


@dataclass(slots=True)
class MergeInput:
    """What a merge join reads. ``marks``: the inner side can go back to a place by itself; ``sorted``: it is sorted for
    the join; ``may_keep``: enable_material."""

    scanned: Scanned
    pairs: float
    single: bool
    """no outer row needs more than one inner row, so no place is gone back to"""
    marks: bool
    sorted: bool
    may_keep: bool
    merge_tests: float
    tests: float


def merge_join(known: CostParameters, outer: Side, inner: Side, found: MergeInput) -> Merged:
    """Both sides in the order of the keys; their sorts are in their costs."""
    outer_rows, inner_rows = max(outer.rows, 1.0), max(inner.rows, 1.0)
    part = found.scanned
    outer_skip, inner_skip = float(round(outer_rows * part.outer_start)), float(round(inner_rows * part.inner_start))
    outer_read, inner_read = clamped(outer_rows * part.outer_end), clamped(inner_rows * part.inner_end)
    outer_start, inner_start = outer_skip / outer_rows, inner_skip / inner_rows
    outer_end, inner_end = outer_read / outer_rows, inner_read / inner_rows
    outer_run, inner_run = outer.total - outer.startup, inner.total - inner.startup
    startup = outer.startup + outer_run * outer_start + inner.startup + inner_run * inner_start
    run = outer_run * (outer_end - outer_start)
    inner_run *= inner_end - inner_start
    again = 0.0 if found.single else max(found.pairs - inner_rows, 0.0)
    ratio = 1.0 + again / inner_read
    bare = inner_run * ratio
    keeping = inner_run + known.cpu_operator * inner_read * ratio
    if found.single:
        kept = False
    elif (found.may_keep and keeping < bare) or (not found.sorted and not found.marks):
        kept = True
    else:
        too_large = inner_rows * row_bytes(inner.width) > known.work_mem_bytes
        kept = found.may_keep and found.sorted and too_large
    run += keeping if kept else bare
    startup += found.merge_tests * (outer_skip + inner_skip * ratio)
    run += found.merge_tests * (outer_read - outer_skip + (inner_read - inner_skip) * ratio)
    run += (known.cpu_tuple + found.tests) * found.pairs
    return Merged(startup, startup + run, kept)


def hash_table(known: CostParameters, rows: float, width: float) -> tuple[float, float]:
    """(buckets, batches) of a hash table of so many rows."""
    each = _ROW_OVERHEAD_BYTES + aligned(width)
    room = known.hash_mem_bytes
    # A part is kept free for the most common values of the outer side.
    skew_each = each + 8 * _POINTER_BYTES + 4 + 16
    skew = math.floor(room * _SKEW_PERCENT / 100 / skew_each)
    room -= skew * skew_each
    rows = max(rows, 1.0)
    wanted = rows * each
    pointers = 2.0 ** math.floor(math.log2(max(room / _POINTER_BYTES, 2.0)))
    buckets = power_of_two(min(max(rows, _BUCKETS_MIN), pointers))
    if wanted + buckets * _POINTER_BYTES <= room:
        return buckets, 1.0
    buckets = power_of_two(max(room / (each + _POINTER_BYTES), 1.0))
    buckets = min(buckets, pointers)
    batches = math.ceil(wanted / max(room - buckets * _POINTER_BYTES, each))
    return buckets, power_of_two(max(batches, 2.0))


def power_of_two(number: float) -> float:
    """The next one, at least as large."""
    return float(1 << max(math.ceil(number) - 1, 0).bit_length())


@dataclass(slots=True)
class HashInput:
    """``bucket``: the share of the inner rows in a bucket; ``common``: those of its most common key; ``pairs``: that
    the keys make equal."""

    keys: int
    bucket: float
    common: float
    pairs: float
    tests: float


def hash_join(
    known: CostParameters,
    outer: Side,
    inner: Side,
    found: HashInput,
    matches: Matches | None,
    is_anti: bool,
    table: tuple[float, float],
) -> tuple[float, float]:
    """The inner side is hashed, into ``table`` (buckets, batches)."""
    startup = outer.startup + inner.total
    startup += (known.cpu_operator * found.keys + known.cpu_tuple) * inner.rows
    run = outer.total - outer.startup + known.cpu_operator * found.keys * outer.rows
    buckets, batches = table
    if batches > 1:
        inner_pages = pages_of(inner.rows, inner.width)
        startup += known.seq_page * inner_pages
        run += known.seq_page * (inner_pages + 2.0 * pages_of(outer.rows, outer.width))
    if clamped(inner.rows * found.common) * row_bytes(inner.width) > known.hash_mem_bytes:
        startup += DISABLED_COST
    test = known.cpu_operator * found.keys
    if matches is None:
        run += test * outer.rows * clamped(inner.rows * found.bucket) * 0.5
        joined = found.pairs
    else:
        matched = float(round(outer.rows * matches.share))
        part = 2.0 / (matches.count + 1.0)
        run += test * matched * clamped(inner.rows * found.bucket * part) * 0.5
        run += test * (outer.rows - matched) * clamped(inner.rows / (buckets * batches)) * 0.05
        joined = outer.rows - matched if is_anti else matched
    run += (known.cpu_tuple + found.tests) * joined
    return startup, startup + run


@dataclass(slots=True)
class Cached:
    """What reading through a cache costs each time, and how many keys it has room for."""

    startup: float
    total: float
    entries: float


def memoize(known: CostParameters, inner: Side, calls: float, distinct: float) -> Cached:
    """The inner side of a nested loop, its rows kept by their parameters: asked ``calls`` times for ``distinct``
    keys."""
    each = inner.rows * (row_bytes(inner.width) + 16) + 48
    room = max(math.floor(known.hash_mem_bytes / each), 0.0)
    entries = min(min(distinct, room), 4294967295.0)
    evicted = 1.0 - min(room, distinct) / distinct
    hit = max((calls - distinct) / calls * (room / max(distinct, room)), 0.0) if calls > 0 else 0.0
    startup = inner.startup * (1.0 - hit) + known.cpu_tuple
    total = inner.total * (1.0 - hit) + known.cpu_operator
    total += known.cpu_tuple * evicted + known.cpu_operator * evicted * inner.rows
    total += known.cpu_tuple + known.cpu_operator * inner.rows
    return Cached(startup, total, entries)
