"""BRIN indexes: each summary has its place in the map, and holds every visible row of its range."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_RELFILE, PageKind
from compute_node.access.brin.index import BrinIndex
from compute_node.access.brin.pages import DIRECTORY, MAP, META, entries_of
from compute_node.access.check.findings import NONSENSE, IndexCheck, page_of
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.work.account import Area


class BrinCheck(IndexCheck):
    """See ``IndexCheck``. There are no entries of rows: each visible row is looked up in its range's summary."""

    def __init__(self, index: BrinIndex, area: Area) -> None:
        super().__init__(area)
        self._index = index

    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """See ``IndexCheck``: none."""
        return (), b""

    def fault_of(self, values: Sequence[Datum], tid: int) -> str:
        """See ``IndexCheck``: a row that is visible was entered before, so the summary of now must hold it."""
        index = self._index
        key = index.keys.of(values)
        if key is None:
            return ""
        try:
            summary = index.summary(index.range_of(tid >> 16))
        except (*NONSENSE, InvariantViolation, struct.error) as error:
            return f"its range cannot be read ({error}) in"
        if summary is None or index.summaries.extended(summary, [key]) is summary:
            return ""
        return "is not held by its range's summary in"

    def walk(self) -> Iterator[tuple[str, str]]:
        """See ``IndexCheck``: each page, and that the map leads to each summary."""
        index = self._index
        cache, file = index.table.storage.cache, index.file
        for block in range(file.map.blocks):
            HUB.pulse()
            page = page_of(cache, file, block)
            if page[OFF_KIND] == PageKind.FREE and block:
                continue  # taken for a change that has not come
            owner = int.from_bytes(page[OFF_RELFILE:HEADER_BYTES], "little")
            wanted = (META,) if not block else (0, MAP, DIRECTORY)
            if page[OFF_KIND] != PageKind.BRIN or page[OFF_FLAGS] not in wanted or owner != file.relfile:
                yield f"block {block}", f"is no page of a BRIN index, but of kind {page[OFF_KIND]}"
            elif block and not page[OFF_FLAGS]:
                yield from self._summaries(block, page)

    def _summaries(self, block: int, page: bytes) -> Iterator[tuple[str, str]]:
        index = self._index
        try:
            entries = entries_of(memoryview(page), index.file.relfile, block)
        except (*NONSENSE, InvariantViolation, struct.error) as error:
            yield f"block {block}", str(error)
            return
        for number, (_, data) in entries.items():
            try:
                index.summaries.decode(data)
                if not self._is_mapped(block, number):
                    yield f"range {number}", f"has a summary on block {block} to which the map does not lead"
            except (*NONSENSE, InvariantViolation, struct.error) as error:
                yield f"range {number}", str(error)

    def _is_mapped(self, block: int, number: int) -> bool:
        """Whether the map leads to a summary; one that has left its page meanwhile needs no place there."""
        store = self._index.store
        while True:
            cache = self._index.table.storage.cache
            waits = cache.waits
            found = store.block_of(number)
            there = number in store.entries(block)
            if cache.waits == waits:
                return found == block or not there
