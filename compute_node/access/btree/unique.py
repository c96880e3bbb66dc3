"""Unique checks: whether a live row other than this one has the key; waits for rows in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.ids import Lsn, Xid
from aurora.kernels.python.btree import next_prefix
from aurora.kernels.python.heap import LIVE, NOT_LIVE, UNDECIDED
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from aurora.kernels.python.heap import HeapFile
    from compute_node.access.storage import Storage


class ConflictCheck:
    """The unique checks of one B-tree. ``name`` is the index's, for messages of lock waits."""

    def __init__(self, storage: Storage, heap: HeapFile, tree: BTree, name: str) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._load = storage.cache.load
        self._heap = heap
        self._tree = tree
        self._name = name

    def find(self, txn: Txn, key: bytes, tid: int) -> int:
        """The entry's row address of a live row other than ``tid`` with the key; 0: there is none, and nothing else ran
        since it looked."""
        while True:
            outcome, extra, other = self._look(txn, key, tid)
            if outcome == UNDECIDED:
                self._storage.locks.wait_for_xid(txn, extra, self._name)
                continue
            # The row found, or the commits that removed the rows of this key: the next snapshot must know of them.
            if extra:
                txn.depend(Lsn(extra))
            return other if outcome == LIVE else 0

    def count(self, txn: Txn, key: bytes) -> int:
        """How many live rows have the key, once those in doubt are decided."""
        upper = next_prefix(key)
        while True:
            waits = self._cache.waits
            lower: bytes | None = key
            live = undecided = newest_lsn = 0
            while lower is not None and not undecided:
                found = self._tree.range_tids(lower, upper, False)
                if isinstance(found, int):
                    self._load(found)
                    continue
                tids, lower = found
                for each in tids:
                    outcome, extra = self._state(each, txn.own)
                    if outcome == UNDECIDED:
                        undecided = extra
                        break
                    live += outcome == LIVE
                    newest_lsn = max(newest_lsn, extra)
            if undecided:
                self._storage.locks.wait_for_xid(txn, undecided, self._name)
            elif self._cache.waits == waits:
                txn.depend(Lsn(newest_lsn))
                return live

    def _look(self, txn: Txn, key: bytes, tid: int) -> tuple[int, int, int]:
        upper = next_prefix(key)
        while True:
            waits = self._cache.waits
            lower: bytes | None = key
            outcome: tuple[int, int, int] = (NOT_LIVE, 0, 0)
            removed_lsn = 0
            while lower is not None and outcome[0] not in (LIVE, UNDECIDED):
                found = self._tree.range_tids(lower, upper, False)
                if isinstance(found, int):
                    self._load(found)
                    continue
                tids, lower = found
                for other in tids:
                    if other == tid:
                        continue
                    outcome = (*self._state(other, txn.own), other)
                    if outcome[0] in (LIVE, UNDECIDED):
                        break
                    removed_lsn = max(removed_lsn, outcome[1])
            if self._cache.waits == waits:
                return outcome if outcome[0] in (LIVE, UNDECIDED) else (NOT_LIVE, removed_lsn, 0)

    def _state(self, tid: int, own: set[Xid]) -> tuple[int, int]:
        while True:
            state = self._heap.conflict(tid, own)
            if not isinstance(state, int):
                return state
            self._load(state)
