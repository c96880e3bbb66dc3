"""Hash indexes: each bucket's pages, the order of entries in them, and that they belong there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import IndexCorrupted
from compute_node.access.check.findings import IndexCheck
from compute_node.access.hash.index import HashIndex
from compute_node.access.hash.pages import (
    SPLITTING,
    bucket_of,
    entry,
    hash_of,
    newest_child_of,
    tid_of,
)
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.work.account import Area


class HashCheck(IndexCheck):
    """See ``IndexCheck``."""

    def __init__(self, index: HashIndex, area: Area) -> None:
        super().__init__(area)
        self._index = index

    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """See ``IndexCheck``: hash and address; a hash index is never unique."""
        key = self._index.keys.of(values)
        return () if key is None or key[0] is None else (entry(self._index.hash(key[0]), tid),), b""

    def walk(self) -> Iterator[tuple[str, str]]:
        """See ``IndexCheck``. Buckets are split upwards only, so that nothing moves to where this has been."""
        bucket = 0
        try:
            while bucket <= self._index.writer.last_bucket:
                yield from self._bucket(bucket)
                bucket += 1
        except IndexCorrupted as error:
            yield f"bucket {bucket}", str(error)

    def _bucket(self, bucket: int) -> Iterator[tuple[str, str]]:
        writer = self._index.writer
        block = writer.primary(bucket)
        flags = writer.page(block).flags
        seen: set[int] = set()
        while block:
            HUB.pulse()
            if block in seen:
                yield f"bucket {bucket}", f"its pages lead to block {block} twice"
                return
            seen.add(block)
            page = writer.page(block)
            items = [bytes(item) for item in page.items()]
            following, owner = page.following, page.bucket
            if owner != bucket:
                yield f"block {block}", f"belongs to bucket {owner}, and is in the chain of bucket {bucket}"
            if any(one > other for one, other in pairwise(items)):
                yield f"block {block}", "entries are not in order"
            last = writer.last_bucket
            homes = {bucket}
            if flags & SPLITTING:
                homes.add(newest_child_of(bucket, last))
            if any(bucket_of(hash_of(item), last) not in homes for item in items):
                yield f"block {block}", f"has entries that do not belong to bucket {bucket}"
            self.keep([(item, tid_of(item)) for item in items])
            block = following
