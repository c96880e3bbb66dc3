"""Rules of the compute half broken on purpose; see ``mutations.py``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any
from unittest import mock

from aurora.kernels import clog as clog_kernel
from aurora.kernels.python.btree import DUPLICATE, LEAF
from aurora.kernels.python.heap import NOT_LIVE, UNDECIDED
from aurora.sim.compute.checks import (
    CHUNKS,
    DURABLE,
    EXTENTS,
    GATE,
    HORIZON,
    INDEXES,
    LOCKS,
    NEWEST,
    SNAPSHOT_ROWS,
    UNIQUE,
)
from aurora.sim.runs import CORES_OWN
from compute_node.access.btree.index import BTreeIndex
from compute_node.access.btree.shrink import TreeShrinker
from compute_node.access.btree.unique import ConflictCheck
from compute_node.access.extents import Extents
from compute_node.access.storage import Storage
from compute_node.access.toast import Toaster
from compute_node.hub import Hub
from compute_node.txn.dependency import Dependency
from compute_node.txn.horizon import Holds
from compute_node.txn.locks import LockManager
from compute_node.txn.manager import TransactionManager
from compute_node.txn.transaction import Txn
from tests.sim.mutations import Mutation, _replace


def _horizon_without_cursors() -> Iterable[Any]:
    yield _replace(Holds, "oldest", lambda _: lambda self, limit: limit)


def _horizon_without_statements() -> Iterable[Any]:
    yield _replace(
        TransactionManager, "row_horizon", lambda _: lambda self: self.holds.oldest(int(self._volume.vdl))
    )  # fmt: skip


def _vacuum_at_the_vdl() -> Iterable[Any]:
    yield _replace(Storage, "row_horizon", lambda _: lambda self: int(self.volume.vdl))

    def make(begin: Any) -> Any:
        def extents_keep_the_rule(self: Any, cache: Any, mtr: Any, superblock: Any, horizon: Any, *more: Any) -> None:
            begin(self, cache, mtr, superblock, lambda: horizon.__self__.txns.row_horizon(), *more)

        return extents_keep_the_rule

    yield _replace(Extents, "__init__", make)


def _locks_before_the_commit_lsn() -> Iterable[Any]:
    def make(commit: Any) -> Any:
        def mutated(self: Any, txn: Any) -> Any:
            if txn.ties is not None:
                self.locks.release_all(txn, txn.ties, 0)
            return commit(self, txn)

        return mutated

    yield _replace(TransactionManager, "commit", make)


def _locks_forget_the_commit() -> Iterable[Any]:
    yield _replace(
        LockManager, "release_all", lambda original: lambda self, txn, ties, lsn: original(self, txn, ties, 0)
    )  # fmt: skip


def _snapshot_without_own_commits() -> Iterable[Any]:
    def make(snapshot: Any) -> Any:
        def mutated(self: Any, txn: Any) -> Any:
            found = snapshot(self, txn)
            if not txn.follow:
                return found
            return clog_kernel.Snapshot(min(found.lsn, self._volume.vdl), txn.own, txn.cid)

        return mutated

    yield _replace(TransactionManager, "snapshot", make)


def _output_without_the_gate() -> Iterable[Any]:
    def make(depend: Any) -> Any:
        def mutated(self: Any, lsn: int) -> None:
            # The transaction's snapshots know of it, its session's output does not.
            own = Dependency()
            own.on(max(self.dependency.lsn, lsn))
            self.dependency = own

        return mutated

    yield _replace(Txn, "depend", make)


def _unique_check_does_not_wait() -> Iterable[Any]:
    def make(state: Any) -> Any:
        def mutated(self: Any, tid: int, own: set[int]) -> tuple[int, int]:
            found: tuple[int, int] = state(self, tid, own)
            return (NOT_LIVE, 0) if found[0] == UNDECIDED else found

        return mutated

    yield _replace(ConflictCheck, "_state", make)


def _unique_check_does_not_look() -> Iterable[Any]:
    def make(add_item: Any) -> Any:
        def mutated(self: Any, txn: Any, key: Any, item: Any, tid: int, unique: bool, raises: bool) -> Any:
            return add_item(self, txn, key, item, tid, unique and DUPLICATE > 1, raises)

        return mutated

    yield _replace(BTreeIndex, "_add_item", make)


def _removed_keys_are_forgotten() -> Iterable[Any]:
    def make(state: Any) -> Any:
        def mutated(self: Any, tid: int, own: set[int]) -> tuple[int, int]:
            found: tuple[int, int] = state(self, tid, own)
            return (NOT_LIVE, 0) if found[0] == NOT_LIVE else found

        return mutated

    yield _replace(ConflictCheck, "_state", make)


def _cancels_cut_rollbacks_short() -> Iterable[Any]:
    yield _replace(Hub, "shield", lambda _: lambda self: nullcontext())


def _extent_reused_at_once() -> Iterable[Any]:
    def make(take: Any) -> Any:
        def mutated(self: Any, pages: int) -> Any:
            with mock.patch.object(self, "_horizon", return_value=1 << 62):
                return take(self, pages)

        return mutated

    yield _replace(Extents, "_take_free", make)


def _pages_given_back_at_once() -> Iterable[Any]:
    def make(find: Any) -> Any:
        def mutated(self: Any) -> Any:
            return next((entry for entry in self._free if not entry.flags & 2), None)

        return mutated

    yield _replace(Extents, "next_to_give_back", make)


def _recovery_forgets_who_was_cut_off() -> Iterable[Any]:
    def make(begin: Any) -> Any:
        def mutated(self: Any, storage: Any) -> None:
            begin(self, storage)
            self._clog.recovered_below = 0

        return mutated

    yield _replace(TransactionManager, "__init__", make)


def _vacuum_leaves_index_entries() -> Iterable[Any]:
    yield _replace(BTreeIndex, "remove", lambda _: lambda self, dead, breathe: 0)


def _merges_lose_what_they_take_over() -> Iterable[Any]:
    def make(absorb: Any) -> Any:
        def mutated(self: Any, left: int, right: int) -> Any:
            page = self._writer.page

            def without_items(block: int) -> Any:
                found = page(block)
                return (*found[:4], found[4][:-1]) if block == right and found[0] & LEAF else found

            with mock.patch.object(self._writer, "page", without_items):
                return absorb(self, left, right)

        return mutated

    yield _replace(TreeShrinker, "_absorb", make)


def _orphans_stay() -> Iterable[Any]:
    yield _replace(Extents, "orphans", lambda _: lambda self, is_aborted: [])


def _savepoints_share_one_fate() -> Iterable[Any]:
    """A released savepoint's xids are forgotten by the commit."""

    def make(release: Any) -> Any:
        def mutated(self: Any, txn: Any, name: str) -> None:
            before = set(txn.own)
            release(self, txn, name)
            for xid in [xid for xid in before if xid != txn.levels[0].xid]:
                txn.own.discard(xid)
                del self.by_xid[xid]

        return mutated

    yield _replace(TransactionManager, "release", make)


def _superseded_values_stay() -> Iterable[Any]:
    yield _replace(Toaster, "drop_superseded", lambda _: lambda self, txn, tid, positions, new_tid: None)


def _kept_values_are_deleted() -> Iterable[Any]:
    def make(_: Any) -> Any:
        def mutated(self: Any, txn: Any, tid: int, positions: Any, new_tid: int) -> None:
            for handle in self.externals(tid):
                self.delete(txn, handle)

        return mutated

    yield _replace(Toaster, "drop_superseded", make)


MUTATIONS = (
    Mutation("horizon without cursors", (HORIZON,), _horizon_without_cursors),
    Mutation("horizon without statements", (HORIZON,), _horizon_without_statements),
    Mutation("vacuum removes at the VDL", (SNAPSHOT_ROWS,), _vacuum_at_the_vdl),
    Mutation("locks released before the commit LSN", (LOCKS, NEWEST, UNIQUE), _locks_before_the_commit_lsn),
    Mutation("locks pass on without their LSN", (LOCKS,), _locks_forget_the_commit),
    Mutation("snapshot without its session's commits", (SNAPSHOT_ROWS, LOCKS), _snapshot_without_own_commits),
    Mutation("output without the gate", (GATE, DURABLE), _output_without_the_gate),
    Mutation("unique check does not wait", (UNIQUE,), _unique_check_does_not_wait, first=30),
    Mutation("unique check does not look", (UNIQUE,), _unique_check_does_not_look),
    Mutation("unique check forgets who removed a key", (UNIQUE,), _removed_keys_are_forgotten, first=50),
    # Where ``first`` is given the fault is rare, and the search begins near a seed that has it: here a cancel must meet
    # a rollback that waits for a page.
    Mutation("cancels cut rollbacks short", (CORES_OWN, LOCKS, HORIZON), _cancels_cut_rollbacks_short, first=217),
    Mutation("extent reused before the horizon", (EXTENTS, CORES_OWN), _extent_reused_at_once),
    Mutation("pages given back before the horizon", (EXTENTS, CORES_OWN), _pages_given_back_at_once),
    Mutation(
        "recovery forgets who was cut off", (DURABLE, INDEXES, EXTENTS, CORES_OWN), _recovery_forgets_who_was_cut_off
    ),
    Mutation("vacuum leaves index entries", (INDEXES, SNAPSHOT_ROWS), _vacuum_leaves_index_entries),
    Mutation(
        "a leaf loses an entry when it takes over its neighbour's",
        (INDEXES, SNAPSHOT_ROWS),
        _merges_lose_what_they_take_over,
        first=80,
    ),
    Mutation("orphans stay", (EXTENTS,), _orphans_stay),
    Mutation("superseded values out of line stay", (CHUNKS,), _superseded_values_stay),
    Mutation(
        "values out of line that a new version has are deleted",
        (CHUNKS, SNAPSHOT_ROWS, CORES_OWN),
        _kept_values_are_deleted,
    ),
    Mutation("a released savepoint is forgotten", (SNAPSHOT_ROWS, CORES_OWN), _savepoints_share_one_fate),
)
