"""Truncation ranges: what writer recovery has declared void for ever.

A range ``(epoch, vdl, upper)`` says: the writer that recovered under ``epoch`` found the volume durable up to ``vdl``,
and no LSN above ``upper`` had been allocated before it; records in ``(vdl, upper]`` are void. A recovery that died
before its range reached a write quorum may have left it on some nodes; a later epoch that did not see it, because it
found its VDL inside that range, overrides it.
"""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int, int]
"""``(epoch, vdl, upper)``."""


def effective(ranges: Iterable[Range]) -> list[Range]:
    """The ranges that hold, by epoch: those that no later epoch overrides. Idempotent; the order given does not
    matter.
    """
    kept: list[Range] = []
    for epoch, vdl, upper in sorted(set(ranges)):
        kept = [held for held in kept if vdl >= held[2]]
        kept.append((epoch, vdl, upper))
    return kept


def is_void(ranges: Iterable[Range], lsn: int) -> bool:
    """Whether the record at ``lsn`` lies in one of the ranges."""
    return any(vdl < lsn <= upper for _, vdl, upper in ranges)


def valid_upto(ranges: Iterable[Range], first_lsn: int, last_lsn: int) -> int:
    """Last LSN of a run ``first_lsn..last_lsn`` that is not void; less than ``first_lsn`` when the whole run is.

    A run was written by one writer, so what lies behind a void record in it is void too.
    """
    for _, vdl, upper in ranges:
        if vdl < last_lsn and first_lsn <= upper:
            last_lsn = min(last_lsn, vdl)
    return last_lsn
