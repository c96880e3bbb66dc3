"""A B-tree index of a table: lookups and scans by key, entries for new row versions, unique checks.

key values → memcmp bytes → B-tree leaf items → chains in the heap → visible rows. Scans go leaf by leaf and find
their place again by key, so nothing is pinned across a wait.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aurora.datum import Datum, Row
from aurora.errors import SqlError
from aurora.kernels import btree as btree_kernel
from aurora.kernels import columns as columns_kernel
from aurora.kernels import entries as entries_kernel
from aurora.kernels.python.btree import (
    DUPLICATE,
    NEEDS_SPLIT,
    NO_CHECK,
    NULLS_DISTINCT,
    NULLS_EQUAL,
    TID_BYTES,
)
from aurora.kernels.python.columns import FETCH_ROWS_MAX
from compute_node.access.btree.build import build_tree
from compute_node.access.btree.keys import key_codec
from compute_node.access.btree.ranges import byte_range
from compute_node.access.btree.shrink import TreeShrinker
from compute_node.access.btree.unique import ConflictCheck
from compute_node.access.btree.writer import BTreeWriter
from compute_node.access.index_access import BATCH_VALUES, Finder, IndexAccess, ScanKey, equality_keys
from compute_node.access.row_events import NewEntries, UniqueKey, events_of
from compute_node.access.stored import resolved_row
from compute_node.hub import HUB
from compute_node.relations.access_methods import BTREE
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.serializable import SerialSnapshot, Span
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aurora.kernels.python.btree import BTree, KeyCodec
    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.index_access import KeyedRows
    from compute_node.access.table_reader import TableReader
    from compute_node.work.account import Area


KEYS_AT_ONCE = 512
"""Keys that are looked up in one call."""
LONG_ITEM_BYTES = 2000
"""An item longer than this is measured before it is inserted."""


class BTreeIndex(IndexAccess):
    """One B-tree of ``table``."""

    method = BTREE

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        storage = table.storage
        self.codec: KeyCodec = key_codec(desc, table.desc, table.desc.type_lookup(storage.type_lookup))
        self.tree: BTree = btree_kernel.BTree(storage.arena, storage.mtr, self.file.map, desc.relfile)
        self.writer = BTreeWriter(storage, self.tree, self.file, desc.name)
        self._shrinker = TreeShrinker(storage, self.tree, self.file, self.writer)
        self._conflicts = ConflictCheck(storage, table.heap, self.tree, desc.name)
        self._lookup = self.tree.lookup_key
        self._insert = self.tree.insert
        self._item = self.codec.item
        self._key_of = self.keys.of
        self._alone = desc.unique and desc.immediate
        """no snapshot sees two rows of one key"""
        positions = self.keys.positions
        self._one = positions[0] if self.keys.is_plain and len(positions) == 1 else -1

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``: scan, sort by key bytes, unique check, load bottom up."""
        build_tree(self, txn)

    # Reading

    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """See ``IndexAccess``."""
        if type(snapshot) is SerialSnapshot:
            return self.noted_lookup(snapshot, key_values, columns, want_tid)
        table = self.table
        proj = table.projections.get((columns, want_tid)) or table.projection(columns, want_tid)
        codec = table.codec
        handles = codec.handles
        while True:
            rows = self._lookup(snapshot, self.codec, key_values, self._heap, proj, self._alone)
            if not isinstance(rows, int):
                counts = self.counts
                counts.scans += 1
                if rows:
                    counts.returned += len(rows)
                    counts.fetched += len(rows)
                if codec.handles == handles:
                    return rows
                return [resolved_row(row, proj.eager) for row in rows]
            if not self._alone:
                # Many rows may have the key: not all of their pages need fit the cache at once.
                found = self.scan(snapshot, equality_keys(key_values), False, columns, want_tid)
                return [row for batch in found for row in batch]
            self._load(rows)

    def finder(self, columns: tuple[int, ...], want_tid: bool) -> Finder:
        """See ``IndexAccess``."""
        proj = self.table.projection(columns, want_tid)
        if not self._alone or proj.eager:
            return super().finder(columns, want_tid)
        look_up, codec, heap, counts = self._lookup, self.codec, self._heap, self.counts

        def find(snapshot: Snapshot, key_values: Row) -> list[Row]:
            if type(snapshot) is not SerialSnapshot:
                rows = look_up(snapshot, codec, key_values, heap, proj, True)
                if not isinstance(rows, int):
                    if rows:
                        counts.found_one += 1
                    else:
                        counts.scans += 1
                    return rows
            return self.lookup(snapshot, key_values, columns, want_tid)

        return find

    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """See ``IndexAccess``: equality (or IS NULL) on leading columns, then bounds on the next one. A batch a
        leaf."""
        limits = byte_range(self.codec, keys)
        if limits is None:
            return
        low, high = limits
        while True:
            found = self.tree.range_tids(low, high, backward)
            if isinstance(found, int):
                self._load(found)
                continue
            tids, following = found
            if tids:
                yield tids
            if following is None:
                return
            if backward:
                high = following
            else:
                low = following

    def rows_of_keys(
        self, snapshot: Snapshot, keys: list[Row], columns: tuple[int, ...], kinds: str
    ) -> Iterator[KeyedRows]:
        """See ``IndexAccess``."""
        table, counts = self.table, self.counts
        codec = table.codec
        gathered = columns_kernel.Columns(table.projection(columns, False), kinds)
        most = max(FETCH_ROWS_MAX, min(columns_kernel.BATCH_ROWS, BATCH_VALUES // max(len(columns), 1)))
        numbers: list[NDArray[np.int64]] = []
        handles = codec.handles
        for tids, of_keys in self._tids_of(keys):
            counts.returned += len(tids)
            for start in range(0, len(tids), FETCH_ROWS_MAX):
                part = tids[start : start + FETCH_ROWS_MAX]
                found = np.zeros(len(part), np.uint8)
                self._reader.put(snapshot, part, gathered, found)
                numbers.append(of_keys[start : start + FETCH_ROWS_MAX][found != 0])
                if gathered.count >= most:
                    counts.fetched += gathered.count
                    yield np.concatenate(numbers), (gathered.count, gathered.take(), codec.handles != handles)
                    numbers, handles = [], codec.handles
        if gathered.count:
            counts.fetched += gathered.count
            yield np.concatenate(numbers), (gathered.count, gathered.take(), codec.handles != handles)

    def _tids_of(self, keys: list[Row]) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
        """Row addresses of each key, and the key's number for each of them."""
        at = 0
        self.counts.scans += len(keys)
        while at < len(keys):
            HUB.pulse()
            tids, of_each, missing = self.tree.tids_of(self.codec, keys[at : at + KEYS_AT_ONCE], 0, FETCH_ROWS_MAX)
            is_long = bool(of_each) and of_each[-1] < 0
            if is_long:
                of_each.pop()
            if tids:
                yield tids, np.repeat(np.arange(at, at + len(of_each)), of_each)
            at += len(of_each)
            if is_long:
                for some in self.tids(equality_keys(keys[at])):
                    yield some, np.full(len(some), at)
                at += 1
            if missing:
                self._load(missing)

    def span(self, keys: Sequence[ScanKey]) -> Span | None:
        """See ``IndexAccess``."""
        return byte_range(self.codec, keys)

    def entry_key(self, values: Sequence[Datum]) -> bytes | None:
        """See ``IndexAccess``."""
        key = self._key_of(values)
        return None if key is None else self._item(key, 0)

    # Writing

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``."""
        return self._add(txn, values, tid, check and self.unique, True)

    def try_add(self, txn: Txn, values: Sequence[Datum], tid: int) -> int:
        """See ``IndexAccess``."""
        return self._add(txn, values, tid, self.unique, False)

    def _add(self, txn: Txn, values: Sequence[Datum], tid: int, unique: bool, raises: bool) -> int:
        if self._one >= 0:
            key: Row = (values[self._one],)
        else:
            found = self._key_of(values)
            if found is None:
                return 0
            key = found
        return self._add_item(txn, key, self._item(key, tid), tid, unique, raises)

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``: in key order, so that neighbours go to the same leaf."""
        run: EntryRun = entries_kernel.EntryRun()
        if self.keys.is_plain:
            self.codec.gather(run, rows, self.keys.positions, tids)
        else:
            keyed = [(*key, tid) for row, tid in zip(rows, tids, strict=True) if (key := self._key_of(row)) is not None]
            self.codec.gather(run, keyed, None, None)
        self.writer.check_size(run.too_long)
        run.sort()
        check = check and self.unique
        unique = NO_CHECK if not check else NULLS_EQUAL if self.desc.nulls_not_distinct else NULLS_DISTINCT
        insert_run, at, total = self.tree.insert_run, 0, len(run)
        while at < total:
            self.table.reserve_write()
            done = insert_run(run, at, unique)
            if done < 0:
                self._load(-done)
                continue
            if not done and total - at > 1:
                done = self.writer.extend(run, at, unique)
            if not done:
                self._add_one(txn, run.items(at, at + 1)[0], rows, tids, check)
                done = 1
            at += done

    def _add_one(
        self, txn: Txn, item: bytes, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool
    ) -> None:
        """An item of a run that needs a split, or a look at its key."""
        tid = int.from_bytes(item[-TID_BYTES:], "big")
        number = tids.index(tid)
        try:
            self._add_item(txn, self._key_of(rows[number]) or (), item, tid, check, True)
        except SqlError as error:
            error.row = number
            raise

    def _add_item(self, txn: Txn, key: Row, item: bytes, tid: int, unique: bool, raises: bool) -> int:
        """Enter an encoded item; 1 when it is not entered because of a conflict."""
        if unique and None in key and not self.desc.nulls_not_distinct:
            unique = False
        if len(item) > LONG_ITEM_BYTES:
            self.writer.check_size(len(item))
        if unique and not self.desc.immediate:
            self._add_deferrable(txn, item, tid)
            return 0
        outcome = self._insert(item, unique)
        while outcome:
            conflict = 0
            if outcome == NEEDS_SPLIT:
                self.writer.insert_splitting(item)
                # The split may have waited, so somebody may have come in between: look once more.
                conflict = self._conflicts.find(txn, item[:-TID_BYTES], tid) if unique else 0
                outcome = 0
            elif outcome == DUPLICATE:
                conflict = self._conflicts.find(txn, item[:-TID_BYTES], tid)
                if not conflict:
                    # No wait since the check.
                    outcome = self._insert(item, False)
                    if outcome < NEEDS_SPLIT:
                        self._load(-outcome)
                        outcome = self._insert(item, unique)
            else:
                self._load(-outcome)
                outcome = self._insert(item, unique)
            if conflict:
                if raises:
                    raise self.violation(key, txn)
                return 1
        return 0

    def _add_deferrable(self, txn: Txn, item: bytes, tid: int) -> None:
        """Enter an item whose key need not be its own yet. Who finds that another has it looks again, when its
        statement ends or its transaction commits; who was there first need not."""
        later = False
        outcome = self._insert(item, True)
        while outcome:
            if outcome == NEEDS_SPLIT:
                self.writer.insert_splitting(item)
                later, outcome = True, 0
            elif outcome == DUPLICATE:
                later, outcome = True, self._insert(item, False)
            else:
                self._load(-outcome)
                outcome = self._insert(item, not later)
        if later:
            desc = self.desc
            key = UniqueKey(desc.constraint, desc.oid, desc.deferred)
            events_of(txn).now.append(NewEntries(key, self.table.desc, array("Q", (tid,))))

    def recheck(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        """See ``IndexAccess``."""
        key = self._key_of(values)
        if key is None or (None in key and not self.desc.nulls_not_distinct):
            return
        if self._conflicts.count(txn, self._item(key, 0)[:-TID_BYTES]) > 1:
            raise self.violation(key, txn)

    def key_bytes(self, key: Sequence[Datum]) -> bytes:
        """See ``IndexAccess``."""
        return self.codec.encode(key)

    def find_conflict(self, txn: Txn, values: Sequence[Datum]) -> int:
        """See ``IndexAccess``."""
        key = self._key_of(values)
        if key is None or (None in key and not self.desc.nulls_not_distinct):
            return 0
        root = self._conflicts.find(txn, self._item(key, 0)[:-TID_BYTES], 0)
        if not root:
            return 0
        # The entry names the chain's root; the row is the version of it that is live now.
        proj = self.table.projection((), True)
        snapshot = self._storage.txns.latest_snapshot(txn)
        while isinstance(row := self._heap.fetch_chain(snapshot, root, proj), int):
            self._load(row)
        return int(row[-1]) if row is not None else 0

    # Vacuum

    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """See ``IndexAccess``: leaf after leaf by their right links."""
        removed = 0
        block = self.writer.first_leaf()
        while block:
            breathe()
            count, following, is_empty = self.writer.remove(block, dead)
            removed += count
            block = self._shrinker.drop_empty(block) if is_empty else following
        self._shrinker.finish()
        return removed
