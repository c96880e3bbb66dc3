"""Batches of columns in temporary files, and rows divided among files by a hash of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compute_node.exec.vectors.vector import ColumnBatch, packed, stacked, unpacked
from compute_node.work.spill import BLOCK_BYTES, PARTITIONS

if TYPE_CHECKING:
    from aurora.datum import Row
    from compute_node.exec.vectors.keys import Hashes
    from compute_node.work.spill import TempFile


def packed_batches(*batches: ColumnBatch) -> list[Row]:
    """Batches of as many rows, for a file."""
    return [
        tuple([packed(batch.column(index).spread(batch.count)) for index in range(batch.width)]) for batch in batches
    ]


def unpacked_batch(row: Row, count: int) -> ColumnBatch:
    """One of ``packed_batches``; ``count``: its rows, if it has no column."""
    columns = [unpacked(each) for each in row]
    return ColumnBatch(len(columns[0]) if columns else count, columns)


class ColumnFile:
    """Batches in a file, written when about a block is together."""

    __slots__ = ("_bytes", "_counts", "_parts", "file")

    def __init__(self, file: TempFile) -> None:
        self.file = file
        self._parts: list[ColumnBatch] = []
        self._bytes = 0
        self._counts: list[int] = []

    def add(self, batch: ColumnBatch) -> None:
        """Append rows."""
        self._parts.append(batch)
        self._bytes += batch.size_bytes
        if self._bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        parts, self._parts, self._bytes = self._parts, [], 0
        if not parts:
            return
        together = stacked(parts)
        self.file.write(packed_batches(together))
        self._counts.append(together.count)

    def batches(self) -> Iterator[ColumnBatch]:
        """All rows, in their order."""
        for count, block in zip(self._counts, self.file.batches(), strict=True):
            yield unpacked_batch(block[0], count)


class ColumnPartitions:
    """Rows in files by a hash of their keys, to be worked on one file at a time."""

    __slots__ = ("files",)

    def __init__(self, open_file: Callable[[], TempFile]) -> None:
        self.files: Sequence[ColumnFile] = [ColumnFile(open_file()) for _ in range(PARTITIONS)]

    def add(self, batch: ColumnBatch, hashes: Hashes) -> None:
        """Put rows where their keys belong."""
        places = (hashes % np.uint64(PARTITIONS)).astype(np.int64)
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=PARTITIONS)).tolist()
        start = 0
        for file, end in zip(self.files, ends, strict=True):
            if end > start:
                file.add(batch.some(order[start:end]))
            start = end

    def flush(self) -> None:
        """No more rows come."""
        for file in self.files:
            file.flush()

    def rows(self) -> Iterator[list[Row]]:
        """All rows as tuples, file by file; the files are closed."""
        self.flush()
        for file in self.files:
            for batch in file.batches():
                yield batch.rows()
            file.file.close()

    @property
    def bytes(self) -> int:
        """What is in the files."""
        return sum(file.file.bytes for file in self.files)
