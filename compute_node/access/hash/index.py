"""A hash index of a table: rows by equality of one column.

value → hash → bucket → row addresses of the entries with that hash → visible rows, among them those of other values
with the same hash. NULLs have no entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.access.hash.build import build_hash
from compute_node.access.hash.pages import POPULATING, bucket_of, entry, hash_of, parent_of, tid_of
from compute_node.access.hash.values import value_hash
from compute_node.access.hash.writer import HashWriter
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.hub import HUB
from compute_node.relations.access_methods import HASH
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.serializable import SerialSnapshot, Span
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.table_reader import TableReader
    from compute_node.work.account import Area


class HashIndex(IndexAccess):
    """One hash index of ``table``."""

    method = HASH

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        storage = table.storage
        kind = desc.key_types[0] if desc.key_types else table.desc.columns[desc.columns[0] - 1].type
        self.hash: Callable[[Datum], int] = value_hash(table.desc.type_lookup(storage.type_lookup)(kind))
        self.writer = HashWriter(storage, self.file, desc.name)

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``: entries sorted by bucket, written page by page."""
        build_hash(self, txn)

    # Reading

    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """See ``IndexAccess``. Rows of other values with the same hash are among them."""
        if type(snapshot) is SerialSnapshot:
            return self.noted_lookup(snapshot, key_values, columns, want_tid)
        proj = self.table.projection(columns, want_tid)
        tids = self._find(key_values[0])
        found = [row for rows in self._reader.rows(snapshot, tids, proj) for row in rows] if tids else []
        self.counts.scans += 1
        self.counts.returned += len(tids)
        self.counts.fetched += len(found)
        return found

    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """See ``IndexAccess``: one key, equality."""
        if len(keys) != 1 or keys[0].strategy != HASH.equality:
            raise InvariantViolation(f"scan of hash index {self.desc.name} by {keys}")
        tids = self._find(keys[0].value)
        if tids:
            yield tids

    def entered(self) -> Iterator[list[int]]:
        """See ``IndexAccess``. Buckets are split upwards only, so that nothing moves to where this has been."""
        bucket = 0
        while bucket <= self.writer.last_bucket:
            block = self.writer.primary(bucket)
            while block:
                page = self.writer.page(block)
                tids, block = [tid_of(item) for item in page.items()], page.following
                HUB.pulse()
                yield tids
            bucket += 1

    def _find(self, value: Datum) -> list[int]:
        """Row addresses of the entries with the value's hash, each once."""
        if value is None:
            return []
        hash_ = self.hash(value)
        found: dict[int, None] = {}
        looked = -1
        while True:
            # A split that began while this waited for a page may have moved entries to another bucket: look there too.
            bucket = bucket_of(hash_, self.writer.last_bucket)
            if bucket == looked:
                return list(found)
            looked = bucket
            self._gather(bucket, hash_, found)

    def _gather(self, bucket: int, hash_: int, found: dict[int, None]) -> None:
        """Look through a bucket; first through the one it is split from, as long as entries may still be there."""
        block = self.writer.primary(bucket)
        if self.writer.page(block).flags & POPULATING:
            self._gather(parent_of(bucket), hash_, found)
        while block:
            page = self.writer.page(block)
            found.update(dict.fromkeys(page.tids(hash_)))
            block = page.following

    def span(self, keys: Sequence[ScanKey]) -> Span | None:
        """See ``IndexAccess``: all values of one hash."""
        value = keys[0].value
        if value is None:
            return None
        low = self.hash(value).to_bytes(4, "big")
        return low, low + b"\0"

    def entry_key(self, values: Sequence[Datum]) -> bytes | None:
        """See ``IndexAccess``."""
        key = self.keys.of(values)
        return None if key is None or key[0] is None else self.hash(key[0]).to_bytes(4, "big")

    # Writing

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``."""
        key = self.keys.of(values)
        if key is not None and key[0] is not None:
            self.writer.insert([entry(self.hash(key[0]), tid)])
        return 0

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``: those of a bucket together."""
        of, hash_value = self.keys.of, self.hash
        keyed = ((of(row), tid) for row, tid in zip(rows, tids, strict=True))
        items = [entry(hash_value(key[0]), tid) for key, tid in keyed if key is not None and key[0] is not None]
        last = self.writer.last_bucket
        items.sort(key=lambda item: (bucket_of(hash_of(item), last), item))
        self.writer.insert(items)

    # Vacuum

    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """See ``IndexAccess``. Buckets are split upwards only, so that nothing moves to where this has been."""
        gone = {entry(0, tid)[4:] for tid in dead}
        removed, bucket = 0, 0
        while bucket <= self.writer.last_bucket:
            block = self.writer.primary(bucket)
            while block:
                breathe()
                count, block = self.writer.remove(block, gone)
                removed += count
            bucket += 1
        return removed
