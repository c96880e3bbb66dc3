"""DISTINCT of column batches: the first row of each key, as it comes; past the memory of a hash by files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from compute_node.exec.vectors.files import ColumnPartitions
from compute_node.exec.vectors.keys import GroupKeys, key_kinds
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Unsuited
from compute_node.work.spill import LEVELS_MAX

if TYPE_CHECKING:
    from aurora.datum import Row
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex

PART_KEYS = 4096
"""Keys that become rows at once."""


class ColumnDistinct:
    """Of the first ``len(kinds)`` columns. ``rest``: (keys so far, rows, level) to batches of rows, for what is not for
    columns."""

    __slots__ = ("_kinds", "_rest", "_types")

    def __init__(self, kinds: str, types: Sequence[int], rest: Rest) -> None:
        self._kinds, self._types, self._rest = kinds, types, rest

    @classmethod
    def of(cls, keys: Sequence[ex.Expr], types: Sequence[int], kinds: str | None, rest: Rest) -> ColumnDistinct | None:
        """``types``: as what the keys are compared. None when some is not comparable as a column."""
        if kinds is None or list(types) != [key.type for key in keys]:
            return None
        found = key_kinds(keys, [KINDS.get(key.type, "o") for key in keys])
        return None if found is None else cls(found, types, rest)

    def batches(self, ctx: ExecContext, source: Iterator[ColumnBatch], level: int = 0) -> Iterator[ColumnBatch]:
        """The rows of ``source`` with new keys; then those that had to wait in files."""
        keys = GroupKeys(self._kinds, self._types)
        area = ctx.area(hashed=True)
        files: ColumnPartitions | None = None
        size = 0
        for batch in source:
            ctx.check()
            columns = [batch.column(place).spread(batch.count) for place in range(len(self._kinds))]
            try:
                keys.check(columns)
            except Unsuited:
                before = iter(()) if files is None else files.rows()
                rows = chain(before, [batch.rows()], (each.rows() for each in source))
                for part in self._rest(ctx, _rows(keys), rows, level):
                    if part:
                        yield ColumnBatch.of_rows(part, batch.width)
                area.clear()
                return
            if files is not None:
                fresh = np.flatnonzero(keys.find(columns) < 0)
                files.add(batch.some(fresh), keys.hashes([column.take(fresh) for column in columns], level))
                continue
            known = keys.count
            numbers = keys.assign(columns)
            # New keys are numbered as they come: the first row of one is above all before it.
            highest = np.maximum.accumulate(np.concatenate([np.array([known - 1], np.int32), numbers]))
            first = np.flatnonzero(numbers > highest[:-1])
            grown, size = keys.size_bytes - size, keys.size_bytes
            if grown and area.add(grown) and level < LEVELS_MAX:
                files = ColumnPartitions(ctx.open_file)
            if len(first):
                yield batch.some(first)
        del keys
        area.clear()
        if files is not None:
            files.flush()
            for file in files.files:
                yield from self.batches(ctx, file.batches(), level + 1)
                file.file.close()


def _rows(keys: GroupKeys) -> Iterator[list[Row]]:
    for start in range(0, keys.count, PART_KEYS):
        yield keys.rows_of(np.arange(start, min(start + PART_KEYS, keys.count)))


Rest = Callable[["ExecContext", "Iterator[list[Row]]", "Iterator[list[Row]]", int], "Iterator[list[Row]]"]
