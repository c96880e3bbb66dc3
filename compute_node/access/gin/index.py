"""A GIN index of a table: rows by the items of their values.

value → items → keys → entries of a B-tree; condition → search → row addresses of the items' entries, put together as
the search says. It gives row addresses alone, for bitmaps. The pending list that PostgreSQL keeps for new entries
(``fastupdate``) is not there: entries go into the tree at once, and a full leaf packs them together before it splits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, ProgramLimitExceeded
from aurora.kernels import btree as btree_kernel
from aurora.kernels import entries as entries_kernel
from aurora.kernels import pglz as pglz_kernel
from aurora.kernels.python.btree import NO_CHECK
from compute_node.access.btree.shrink import TreeShrinker
from compute_node.access.btree.writer import BTreeWriter, page_bytes
from compute_node.access.gin.build import build_gin
from compute_node.access.gin.classes import GinClass, gin_class
from compute_node.access.gin.entries import (
    ITEM_BYTES_MAX,
    NO_ITEMS,
    NULL_ITEM,
    NULL_VALUE,
    Span,
    Tids,
    category_key,
    compacted,
    entries_of,
    gathered,
    item_key,
    shortened,
    without,
)
from compute_node.access.gin.search import ALL, find, places
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.access.vacuum import is_no
from compute_node.hub import HUB
from compute_node.relations.access_methods import GIN
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.table_reader import TableReader
    from compute_node.txn.serializable import SerialSnapshot, SerialTxn
    from compute_node.work.account import Area

_ROW_HEADER_BYTES = 8
_ROW_BYTES_MAX = 2712
"""PostgreSQL's."""
PACKED_MAX = 0.85
"""A full leaf is packed instead of split when it takes at most so much of its size then."""
_BATCH_TIDS = 4096
_NO_TIDS: Tids = np.empty(0, dtype=np.int64)


class GinIndex(IndexAccess):
    """One GIN index of ``table``."""

    method = GIN

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        storage = table.storage
        types = table.desc.type_lookup(storage.type_lookup)
        self.classes: list[GinClass] = [
            gin_class(code, types(kind)) for code, kind in zip(desc.codes, desc.key_types, strict=True)
        ]
        self.tree: BTree = btree_kernel.BTree(storage.arena, storage.mtr, self.file.map, desc.relfile)
        self.writer = BTreeWriter(storage, self.tree, self.file, desc.name)
        self._shrinker = TreeShrinker(storage, self.tree, self.file, self.writer)

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``: items with all their rows, in the order of the items."""
        build_gin(self, txn)

    # Entries

    def keys_of(self, column: int, value: Datum) -> Iterator[bytes]:
        """The keys of a column's value. Errors: 54000."""
        if value is None:
            yield category_key(column, NULL_VALUE)
            return
        gin = self.classes[column]
        items = gin.items(value)
        if not items:
            yield category_key(column, NO_ITEMS)
        for item in items:
            yield self.key_of(column, item)

    def key_of(self, column: int, item: Datum) -> bytes:
        """The key of an item. Errors: 54000."""
        if item is None:
            return category_key(column, NULL_ITEM)
        data = self.classes[column].encode(item)
        return item_key(column, data if len(data) <= ITEM_BYTES_MAX else self._shortened(data))

    def _shortened(self, data: bytes) -> bytes:
        """What stands for a long item: its beginning and a hash. PostgreSQL keeps it, if it is short when
        compressed."""
        compressed = pglz_kernel.compress(data)
        size = _ROW_HEADER_BYTES + (len(data) + 4 if compressed is None else len(compressed) + 8)
        if (size := (size + 7) & ~7) > _ROW_BYTES_MAX:
            raise ProgramLimitExceeded(
                f'index row size {size} exceeds maximum {_ROW_BYTES_MAX} for index "{self.desc.name}"'
            )
        return shortened(data)

    # Reading

    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """There is no whole key to look up."""
        raise InvariantViolation(f"look-up of a whole key in GIN index {self.desc.name}")

    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """See ``IndexAccess``; in the order of the table."""
        searches = [(self.classes[key.column].asked(key), key.column) for key in keys]
        # What asks nothing would read the whole index.
        asking = [each for each in searches if each[0] != ALL] or searches[:1]
        found: Tids | None = None
        for search, column in asking:
            tids = find(search, column, partial(self._read, area))
            found = tids if found is None else np.intersect1d(found, tids, assume_unique=True)
            if not len(found):
                return
        for start in range(0, 0 if found is None else len(found), _BATCH_TIDS):
            yield found[start : start + _BATCH_TIDS].tolist() if found is not None else []

    def entered(self) -> Iterator[list[int]]:
        """See ``IndexAccess``."""
        for entries in self._entries(b"", None):
            yield gathered(entries).tolist()

    # Serializable transactions

    def note_span(self, snapshot: SerialSnapshot, keys: Sequence[ScanKey]) -> None:
        """See ``IndexAccess``. With ``fastupdate``, which is on by default, a read is one of the whole index: in
        PostgreSQL new entries may stand in a list that has no order."""
        if not any(each.startswith("fastupdate=") and is_no(each) for each in self.desc.options):
            super().note_span(snapshot, keys)
        elif self.serial_id:
            searches = [(self.classes[key.column].asked(key), key.column) for key in keys]
            column, search = next(((column, each) for each, column in searches if each != ALL), (0, ALL))
            for span in places(search, column):
                snapshot.reader.reads_span(self.serial_id, span)

    def note_entry(self, serial: SerialTxn, values: Sequence[Datum]) -> None:
        """See ``IndexAccess``: one for each item."""
        key = self.keys.of(values) if self.serial_id else None
        for column, value in enumerate(key or ()):
            for each in self.keys_of(column, value):
                serial.enters(self.serial_id, each)

    def _read(self, area: Area | None, span: Span, of_one_leaf: bool) -> Tids | None:
        """The row addresses of the entries of a span, counted in ``area``; None if they should be ``of_one_leaf`` and
        are not. May wait."""
        lower, upper = span
        if of_one_leaf:
            _, _, _, high, entries = self.writer.page(self.writer.leaf_of(lower))
            if high and (upper is None or high < upper):
                return None
            end = len(entries) if upper is None else bisect_left(entries, upper)
            return gathered(entries[bisect_left(entries, lower) : end])
        parts: list[Tids] = []
        for entries in self._entries(lower, upper):
            parts.append(gathered(entries))
            if area is not None:
                area.add(parts[-1].nbytes)
        if not parts:
            return _NO_TIDS
        return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))

    def _entries(self, lower: bytes, upper: bytes | None) -> Iterator[list[bytes]]:
        """The entries in ``[lower, upper)``, a leaf at a time."""
        is_first = True
        while True:
            block = self.writer.leaf_of(lower)
            _, _, _, high, entries = self.writer.page(block)
            # ``lower`` is a high key then: an entry as it once was. Packed anew since, it may be below that.
            start, is_first = bisect_left(entries, lower) if is_first else 0, False
            end = len(entries) if upper is None else bisect_left(entries, upper)
            if start < end:
                yield entries[start:end]
            if not high or (upper is not None and high >= upper):
                return
            lower = high
            HUB.pulse()

    # Writing

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``."""
        self.add_many(txn, [values], [tid], check)
        return 0

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``: the rows of an item together, in the order of the items."""
        found: dict[bytes, list[int]] = {}
        for row, tid in zip(rows, tids, strict=True):
            key = self.keys.of(row)
            for column, value in enumerate(key or ()):
                for each in self.keys_of(column, value):
                    found.setdefault(each, []).append(tid)
            HUB.pulse()
        run: EntryRun = entries_kernel.EntryRun()
        for each, those in found.items():
            run.add(entries_of(each, np.unique(np.array(those, dtype=np.int64))), False)
            HUB.pulse()
        run.sort()
        self._insert(run)

    def _insert(self, run: EntryRun) -> None:
        at, total = 0, len(run)
        while at < total:
            HUB.pulse()
            self.table.reserve_write()
            done = self.tree.insert_run(run, at, NO_CHECK)
            if done < 0:
                self._load(-done)
                continue
            if not done:
                (entry,) = run.items(at, at + 1)
                if self._pack(self.writer.leaf_of(entry)):
                    continue
                done = self.writer.extend(run, at, NO_CHECK) if total - at > 1 else 0
                if not done:
                    self.writer.insert_splitting(entry)
                    done = 1
            at += done

    def _pack(self, block: int) -> bool:
        """Put the rows of each item on a leaf into as few entries as can be; whether that makes much room."""

        def packed(entries: list[bytes]) -> list[bytes] | None:
            found = compacted(entries)
            is_small = page_bytes(found) <= PACKED_MAX * page_bytes(entries)
            return found if is_small and not self._beyond(block, found) else None

        return self.writer.rewrite(block, packed)[0]

    def _beyond(self, block: int, entries: list[bytes]) -> list[bytes]:
        """Those of a leaf's new entries that belong to the right of it: rows of one item may lie between each other's,
        so an entry may come to begin with a row behind the leaf's high key. The leaf is in memory."""
        high = self.writer.page(block)[3]
        return entries[bisect_left(entries, high) :] if high else []

    # Vacuum

    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """See ``IndexAccess``: leaf after leaf by their right links. Entries that come to belong further right are
        entered there before they go."""
        removed = count = 0
        moved: set[bytes] = set()
        beyond: list[bytes] = []

        def alive(entries: list[bytes]) -> list[bytes] | None:
            nonlocal count, beyond
            kept, count = without(entries, dead.has)
            found = _packed(kept) if count else []
            beyond = self._beyond(block, found)
            return found[: len(found) - len(beyond)] if count and moved.issuperset(beyond) else None

        block = self.writer.first_leaf()
        while block:
            breathe()
            is_written, following, is_empty = self.writer.rewrite(block, alive)
            if beyond and not is_written:
                moved.update(beyond)
                run: EntryRun = entries_kernel.EntryRun()
                run.add(beyond, False)
                self._insert(run)
                continue
            moved.clear()
            removed += count
            block = self._shrinker.drop_empty(block) if is_empty else following
        self._shrinker.finish()
        return removed


def _packed(entries: Iterable[bytes]) -> list[bytes]:
    """Entries in order, those of one item together where that takes less room."""
    # Those whose first rows are gone have another place.
    plain = sorted(entries)
    found = compacted(plain)
    return found if page_bytes(found) <= page_bytes(plain) else plain
