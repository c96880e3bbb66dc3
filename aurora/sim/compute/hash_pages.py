"""A hash index's pages, all at once: its entries, and what is wrong with them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.page import HEADER_BYTES
from compute_node.access.hash.pages import (
    MAP_ENTRIES,
    OFF_LAST_BUCKET,
    OFF_MAP_BLOCKS,
    POPULATING,
    SPLITTING,
    BucketPage,
    bucket_of,
    hash_of,
    parent_of,
    tid_of,
)

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from aurora.kernels.python.clog import BlockMap


class HashPages:
    """``arena`` has all pages; ``blocks`` is the relation file's map."""

    def __init__(self, arena: Arena, blocks: BlockMap, relfile: int) -> None:
        self._arena = arena
        self._blocks = blocks
        self._relfile = relfile
        self.last_bucket: int = struct.unpack_from("<I", self._bytes(0), OFF_LAST_BUCKET)[0]

    def _bytes(self, block: int) -> memoryview:
        return self._arena.page(self._blocks.page_no(block))

    def chain(self, bucket: int) -> Iterator[BucketPage]:
        """The pages of a bucket."""
        map_block = struct.unpack_from("<I", self._bytes(0), OFF_MAP_BLOCKS + 4 * (bucket // MAP_ENTRIES))[0]
        block = struct.unpack_from("<I", self._bytes(map_block), HEADER_BYTES + 4 * (bucket % MAP_ENTRIES))[0]
        while block:
            page = BucketPage(self._bytes(block), self._relfile, block)
            yield page
            block = page.following

    def tids(self) -> Iterator[int]:
        """The row addresses of all entries."""
        for bucket in range(self.last_bucket + 1):
            for page in self.chain(bucket):
                yield from map(tid_of, page.items())

    def disorder(self) -> Iterator[str]:
        """Entries in a wrong bucket or order, flags without their counterparts."""
        for bucket in range(self.last_bucket + 1):
            pages = list(self.chain(bucket))
            flags = pages[0].flags
            for page in pages:
                items = page.items()
                if page.bucket != bucket or items != sorted(set(items)):
                    yield f"a page of bucket {bucket} of relation file {self._relfile} is in disorder"
                for item in items:
                    home = bucket_of(hash_of(item), self.last_bucket)
                    if home != bucket and not (flags & SPLITTING and parent_of(home) == bucket):
                        yield f"relation file {self._relfile}: an entry of bucket {home} is in bucket {bucket}"
            if flags & POPULATING and not next(self.chain(parent_of(bucket))).flags & SPLITTING:
                yield f"relation file {self._relfile}: bucket {bucket} is being populated, and its parent not split"
