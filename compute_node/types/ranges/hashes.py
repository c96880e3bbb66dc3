"""Hashes of ranges and multiranges, of those of their bounds (hash_range and the like)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aurora.datum import Datum
from compute_node.types.ranges.value import EMPTY, LOWER_INFINITE, UPPER_INFINITE, Multirange, Range, steps

Mix = Callable[[int], int]
"""one word → its hash"""
_NO_LOWER, _NO_UPPER = EMPTY | LOWER_INFINITE, EMPTY | UPPER_INFINITE


class Width(NamedTuple):
    """How hashes of 32 or 64 bits are combined."""

    mask: int
    turned: Mix
    """the hash with its bits one place further, those of each half by themselves"""


NARROW = Width(0xFFFFFFFF, lambda x: (x << 1 | x >> 31) & 0xFFFFFFFF)
WIDE = Width(0xFFFFFFFFFFFFFFFF, lambda x: (x << 1) & 0xFFFFFFFEFFFFFFFE | (x >> 31) & 0x100000001)


def range_hash(width: Width, of_flags: Mix, of_bound: Callable[[Datum], int], value: Range) -> int:
    """The hash of a range."""
    flags = value.flags
    lower = 0 if flags & _NO_LOWER else of_bound(value.lower)
    upper = 0 if flags & _NO_UPPER else of_bound(value.upper)
    return width.turned((of_flags(flags) ^ lower) & width.mask) ^ (upper & width.mask)


def multirange_hash(width: Width, of_flags: Mix, of_bound: Callable[[Datum], int], value: Multirange) -> int:
    """The hash of a multirange: of its ranges as of an array's elements."""
    total = 1
    for each in steps(value.ranges):
        total = (total << 5) - total + range_hash(width, of_flags, of_bound, each) & width.mask
    return total
