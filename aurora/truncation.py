"""Truncation ranges: what writer recovery has declared void for ever.

A range ``(epoch, vdl, upper)`` says: the writer that recovered under ``epoch`` found the volume durable up to ``vdl``,
and no LSN above ``upper`` had been allocated before it; records in ``(vdl, upper]`` are void. A recovery that died
before its range reached a write quorum may have left it on some nodes; a later epoch that did not see it, because it
found its VDL inside that range, overrides it.

A range is kept for ever, 20 bytes or so for each writer that found log behind its VDL: a node that comes back after
years may hold what it voids, and must hear of it from somebody. So whatever is done often finds its range by bisection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import itemgetter

Range = tuple[int, int, int]
"""``(epoch, vdl, upper)``."""

_upper = itemgetter(2)


def effective(ranges: Iterable[Range]) -> list[Range]:
    """The ranges that hold, by epoch: those that no later epoch overrides, which leaves each to begin where the one
    before it ends, or behind that. Idempotent; the order given does not matter.
    """
    kept: list[Range] = []
    for epoch, vdl, upper in sorted(set(ranges)):
        while kept and kept[-1][2] > vdl:
            kept.pop()
        kept.append((epoch, vdl, upper))
    return kept


def has_epoch(ranges: Sequence[Range], epoch: int) -> bool:
    """Whether one of the ranges, as ``effective`` gives them, is of that epoch."""
    at = bisect_left(ranges, (epoch,))
    return at < len(ranges) and ranges[at][0] == epoch


def is_void(ranges: Sequence[Range], lsn: int) -> bool:
    """Whether the record at ``lsn`` lies in one of the ranges, as ``effective`` gives them."""
    return valid_upto(ranges, lsn, lsn) < lsn


def valid_upto(ranges: Sequence[Range], first_lsn: int, last_lsn: int) -> int:
    """Last LSN of a run ``first_lsn..last_lsn`` that is not void; less than ``first_lsn`` when the whole run is. The
    ranges are as ``effective`` gives them.

    A run was written by one writer, so what lies behind a void record in it is void too.
    """
    at = bisect_left(ranges, first_lsn, key=_upper)
    return min(last_lsn, ranges[at][1]) if at < len(ranges) else last_lsn
