"""GIN indexes: a B-tree whose items have the rows of one item of a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.kernels.python.btree import TID_BYTES, pack_tid
from compute_node.access.check.btree import TreeCheck
from compute_node.access.gin.entries import key_bytes, tids_of
from compute_node.access.gin.index import GinIndex

if TYPE_CHECKING:
    from compute_node.work.account import Area


class GinCheck(TreeCheck):
    """See ``TreeCheck``."""

    def __init__(self, index: GinIndex, area: Area) -> None:
        super().__init__(index, area)
        self._index = index

    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """See ``IndexCheck``: each item of each column, with the row's address."""
        keys = self._index.keys.of(values) or ()
        found = {key for column, value in enumerate(keys) for key in self._index.keys_of(column, value)}
        return [key + pack_tid(tid) for key in found], b""

    def is_below(self, item: bytes, low: bytes) -> bool:
        """See ``TreeCheck``: an entry packed anew keeps its first row; the rows behind it may be others."""
        size = key_bytes(item) + TID_BYTES
        return item[:size] < low[:size]

    def rows_of(self, items: Sequence[bytes]) -> Iterable[tuple[bytes, int]]:
        """See ``TreeCheck``: an item of several rows is an entry for each."""
        for item in items:
            end = key_bytes(item)
            for tid in tids_of(item, end).tolist():
                yield item[:end] + pack_tid(tid), tid
