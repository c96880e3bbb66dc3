"""A random sample of a table's rows, in their order: some of its blocks, and of those some rows (manual, ANALYZE)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING

from aurora.datum import Row
from compute_node.hub import HUB
from compute_node.work.account import Area, batch_bytes

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.table import Table

ROWS_A_TARGET = 300
"""rows of a sample for each entry of a histogram: Chaudhuri, Motwani and Narasayya (SIGMOD 1998)"""


@dataclass(frozen=True, slots=True)
class Sample:
    """``rows`` of a table that has ``pages`` and about ``total`` rows; ``seen`` of them on the pages ``scanned``."""

    rows: list[Row]
    pages: int = 0
    total: float = 0.0
    scanned: int = 0
    seen: int = 0


def together(parts: Sequence[Sample]) -> Sample:
    """The samples of several tables as one."""
    return Sample(
        [row for part in parts for row in part.rows],
        sum(part.pages for part in parts),
        sum(part.total for part in parts),
        sum(part.scanned for part in parts),
        sum(part.seen for part in parts),
    )


def take(table: Table, snapshot: Snapshot, columns: tuple[int, ...], size: int, area: Area) -> Sample:
    """At most ``size`` rows, which ``area`` counts. The choice follows from the table's identity and length alone."""
    pages = int(table.file.map.blocks)
    choice = Random(table.relfile * 1_000_003 + pages)
    blocks: Sequence[int] = range(pages)
    if pages > size:
        blocks = sorted(choice.sample(blocks, size))
    kept, seen = _reservoir(_batches(table, snapshot, columns, blocks), size, choice, area)
    total = float(seen) if pages <= size else float(round(seen * pages / len(blocks)))
    return Sample(kept, pages, total, len(blocks), seen)


def choose(batches: Iterator[list[Row]], pages: int, seed: int, size: int, area: Area) -> Sample:
    """At most ``size`` of the rows of a table that is not stored here, all of which are read."""
    kept, seen = _reservoir(batches, size, Random(seed), area)
    return Sample(kept, pages, float(seen), pages, seen)


def _reservoir(batches: Iterator[list[Row]], size: int, choice: Random, area: Area) -> tuple[list[Row], int]:
    """(``size`` of the rows, each as likely as the others, in their order; how many rows there were). By skips: Li's
    algorithm L (ACM TOMS 20, 1994)."""
    kept: list[tuple[int, Row]] = []
    seen, following, weight = 0, -1, 1.0
    for batch in batches:
        end = seen + len(batch)
        if len(kept) < size:
            fresh = batch[: size - len(kept)]
            area.add(batch_bytes(fresh))
            kept += enumerate(fresh, seen)
        if len(kept) == size:
            if following < 0:
                weight, following = _skip(weight, size - 1, size, choice)
            while following < end:
                kept[choice.randrange(size)] = following, batch[following - seen]
                weight, following = _skip(weight, following, size, choice)
        seen = end
    kept.sort(key=itemgetter(0))
    return [row for _, row in kept], seen


def _skip(weight: float, last: int, size: int, choice: Random) -> tuple[float, int]:
    weight *= math.exp(math.log(1.0 - choice.random()) / size)
    return weight, last + math.floor(math.log(1.0 - choice.random()) / math.log1p(-weight)) + 1


def _batches(table: Table, snapshot: Snapshot, columns: tuple[int, ...], blocks: Sequence[int]) -> Iterator[list[Row]]:
    at = 0
    while at < len(blocks):
        end = at + 1
        while end < len(blocks) and blocks[end] == blocks[end - 1] + 1:
            end += 1
        for batch in table.scan_blocks(snapshot, columns, False, blocks[at], blocks[end - 1] + 1, counted=False):
            HUB.pulse()
            yield batch
        at = end
