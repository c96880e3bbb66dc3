"""Rules broken on purpose: each mutation makes production code break one of them, and says who must notice.

``with mutation.applied():`` patches; ``expected`` are the checkers of which one must fail first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from aurora import geometry
from aurora.kernels import redo
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from aurora.sim.runs import CORES_OWN
from compute_node.volume import fleet, recovery, writer_core
from storage_node import gossip, hot_log, membership, meta, node, page_cache, page_store, segment

Patch = Callable[[], Iterable[Any]]


@dataclass(frozen=True)
class Mutation:
    """``patches`` gives context managers. ``first``: where the rare ones begin, to save the tests' time."""

    name: str
    expected: tuple[str, ...]
    patches: Patch
    first: int = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The rule is broken inside the block."""
        patches = list(self.patches())
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in reversed(patches):
                patch.stop()


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """A patch that puts ``make(original)`` in place of a function."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))


def _write_quorum_3() -> Iterable[Any]:
    yield mock.patch.object(geometry, "WRITE_SEGMENTS", 3)


def _ack_before_sync() -> Iterable[Any]:
    original = hot_log.HotLog.sync

    def append_after_syncing_the_last(append: Any) -> Any:
        def mutated(self: Any, batches: Any) -> Any:
            original(self)
            return append(self, batches)

        return mutated

    yield _replace(hot_log.HotLog, "append", append_after_syncing_the_last)
    yield _replace(hot_log.HotLog, "sync", lambda _: lambda self: None)


def _no_epoch_check() -> Iterable[Any]:
    def make(on_append: Any) -> Any:
        def mutated(self: Any, request: Any, token: Any) -> Any:
            if request.volume_epoch < self.epoch:
                request = pb.AppendRequest.FromString(request.SerializeToString())
                request.volume_epoch, request.writer_id = self.epoch, self.meta.value.writer_id
            return on_append(self, request, token)

        return mutated

    yield _replace(node.StorageNode, "on_append", make)


def _staged_appends_outlive_a_fence() -> Iterable[Any]:
    def make(flush: Any) -> Any:
        def mutated(self: Any) -> Any:
            for at, (token, request, touched, new) in enumerate(self._staged):
                copy = pb.AppendRequest.FromString(request.SerializeToString())
                copy.volume_epoch = self.epoch
                self._staged[at] = (token, copy, touched, new)
            return flush(self)

        return mutated

    yield _replace(node.StorageNode, "flush", make)


def _epoch_not_durable() -> Iterable[Any]:
    def make(adopt: Any) -> Any:
        def mutated(self: Any, epoch: int, writer_id: str, opened: bool = False) -> Any:
            with mock.patch.object(meta.MetaStore, "write"):
                return adopt(self, epoch, writer_id, opened)

        return mutated

    yield _replace(node.StorageNode, "_adopt", make)


def _any_writer_of_the_epoch_is_adopted() -> Iterable[Any]:
    def make(adopt: Any) -> Any:
        def mutated(self: Any, epoch: int, writer_id: str, opened: bool = False) -> Any:
            return adopt(self, epoch, writer_id, True)

        return mutated

    yield _replace(node.StorageNode, "_adopt", make)


def _collect_above_pgmrpl() -> Iterable[Any]:
    def make(coalesce_limit: Any) -> Any:
        def mutated(self: Any, held: Any) -> Any:
            with mock.patch.object(self, "pgmrpl", 1 << 62):
                return coalesce_limit(self, held)

        return mutated

    yield _replace(node.StorageNode, "coalesce_limit", make)


def _coalesce_above_vdl() -> Iterable[Any]:
    yield _replace(node.StorageNode, "coalesce_limit", lambda _: lambda self, held: held.scl)


def _truncation_not_durable() -> Iterable[Any]:
    def make(truncate: Any) -> Any:
        def mutated(self: Any, new: Any) -> Any:
            before = list(self.meta.value.truncations)
            with mock.patch.object(meta.MetaStore, "write"):
                truncate(self, new)
            del self.meta.value.truncations[:]
            self.meta.value.truncations.extend(before)

        return mutated

    yield _replace(node.StorageNode, "_truncate", make)


def _truncation_not_applied() -> Iterable[Any]:
    yield _replace(segment.Segment, "truncate", lambda _: lambda self, truncations: None)


def _scl_over_a_gap() -> Iterable[Any]:
    def make(add: Any) -> Any:
        def mutated(self: Any, entry: Any, truncations: Any) -> Any:
            if entry.prev_lsn > self.scl:
                self._attach(entry)
                return
            add(self, entry, truncations)

        return mutated

    yield _replace(segment.Segment, "add", make)


def _ack_claims_what_lies_behind_a_gap() -> Iterable[Any]:
    def make(flush: Any) -> Any:
        def mutated(self: Any) -> Any:
            replies = flush(self)
            for _, reply in replies:
                for entry in reply.scl:
                    entry.lsn = self.segments[entry.pg].highest_lsn
            return replies

        return mutated

    yield _replace(node.StorageNode, "flush", make)


def _chain(change: Callable[[Any, dict[int, tuple[int, int]]], None]) -> Any:
    """Recovery sees its volume chain (LSN → previous LSN, flags) after ``change(recovery, chain)``."""

    def make(pg_chain: Any) -> Any:
        def mutated(self: Any, effect: Any, answer: Any, chain: dict[int, tuple[int, int]]) -> Any:
            found = pg_chain(self, effect, answer, chain)
            change(self, chain)
            return found

        return mutated

    return _replace(recovery.Recovery, "_pg_chain", make)


def _recovery_takes_the_highest_lsn() -> Iterable[Any]:
    def change(self: Any, chain: dict[int, tuple[int, int]]) -> None:
        at = self._base
        for lsn in sorted(chain):
            chain[lsn] = (at, chain[lsn][1])
            at = lsn

    yield _chain(change)


def _recovery_ignores_cpls() -> Iterable[Any]:
    def change(self: Any, chain: dict[int, tuple[int, int]]) -> None:
        for lsn, (prev, flags) in chain.items():
            chain[lsn] = (prev, flags | redo.FLAG_CPL)

    yield _chain(change)


def _recovery_copies_nothing() -> Iterable[Any]:
    yield _replace(recovery.Recovery, "_repair", lambda _: lambda self: self._truncate())


def _recovery_truncates_nothing() -> Iterable[Any]:
    yield _replace(recovery.Recovery, "_truncate", lambda _: lambda self: self._finish(read_only=False))


def _read_without_scl_check() -> Iterable[Any]:
    def make(read_page: Any) -> Any:
        def mutated(self: Any, page_no: int, pg_lsn: int) -> Any:
            scl = self.segment(self.pg_of(page_no)).scl
            return read_page(self, page_no, min(pg_lsn, scl))

        return mutated

    yield _replace(node.StorageNode, "_read_page", make)


def _stale_page_cache() -> Iterable[Any]:
    def make(cached: Any) -> Any:
        def mutated(self: Any, page_no: int, upto_lsn: int) -> Any:
            return cached(self, page_no, 1 << 62)

        return mutated

    yield _replace(page_cache.PageCache, "get", make)


def _no_double_write() -> Iterable[Any]:
    def make(stage: Any) -> Any:
        def mutated(self: Any, pages: Any) -> Any:
            stage(self, pages)
            self._disk.write(self.torn_name, 0, bytes(16))

        return mutated

    yield _replace(page_store.PageStore, "stage", make)


def _log_collected_before_pages_are_synced() -> Iterable[Any]:
    def make(sync: Any) -> Any:
        def mutated(self: Any, name: str) -> Any:
            if not name.startswith(("pages-", "torn-")):
                sync(self, name)

        return mutated

    yield _replace(SimDisk, "sync", make)


def _recovery_asks_three() -> Iterable[Any]:
    yield _replace(recovery.Recovery, "_writable", lambda _: recovery.Recovery._readable)


def _lsns_used_again() -> Iterable[Any]:
    def make(finish: Any) -> Any:
        def mutated(self: Any, read_only: bool) -> Any:
            effects = finish(self, read_only)
            self.result = replace(self.result, next_lsn=self.result.vdl + 100)
            return effects

        return mutated

    yield _replace(recovery.Recovery, "_finish", make)


def _nodes_are_told_what_is_not_durable() -> Iterable[Any]:
    def make(gather: Any) -> Any:
        def mutated(self: Any, pgs: Any, start: int, end: int) -> Any:
            with mock.patch.object(self.tracker, "vdl", max(self.tracker.vdl, self.tracker.appended)):
                return gather(self, pgs, start, end)

        return mutated

    yield _replace(writer_core.WriterCore, "_gather", make)


def _gossip_fetches_nothing() -> Iterable[Any]:
    yield _replace(gossip.Gossip, "_compare", lambda _: lambda self, call, reply: [])


def _first_membership_counts_for_ever() -> Iterable[Any]:
    def make(adopt: Any) -> Any:
        def mutated(self: Any, descriptor: Any, and_also: Any = None) -> Any:
            advanced = adopt(self, descriptor, and_also)
            first = self.__dict__.setdefault("first_descriptor", descriptor)
            self.tracker.require(
                lambda pg: (first if pg < len(first.groups) else descriptor).write_quorum(pg), len(descriptor.nodes)
            )
            return self.tracker.recount() or advanced

        return mutated

    yield _replace(writer_core.WriterCore, "adopt", make)


def _proposal_counts_alone() -> Iterable[Any]:
    def make(adopt: Any) -> Any:
        def mutated(self: Any, descriptor: Any, and_also: Any = None) -> Any:
            return adopt(self, descriptor)

        return mutated

    yield _replace(writer_core.WriterCore, "adopt", make)


def _model_changed_at_once() -> Iterable[Any]:
    def make(settled: Any) -> Any:
        def mutated(self: Any, pg: int, group: Any) -> Any:
            with mock.patch.object(self, "_marks", {}):
                return settled(self, pg, group)

        return mutated

    yield _replace(fleet.Fleet, "_settled", make)


def _descriptor_committed_by_a_minority() -> Iterable[Any]:
    def make(quorums_took: Any) -> Any:
        def mutated(self: Any, new: Any, took: int) -> bool:
            return took.bit_count() >= 3

        return mutated

    yield _replace(fleet.Fleet, "_quorums_took", make)


def _hollow_candidate_counted_as_filled() -> Iterable[Any]:
    def make(settled: Any) -> Any:
        def mutated(self: Any, pg: int, group: Any) -> Any:
            for slot in group.slots:
                if slot.candidate:
                    self.core.links[self.committed.index_of[slot.candidate]].filled.add(pg)
            return settled(self, pg, group)

        return mutated

    yield _replace(fleet.Fleet, "_settled", make)


def _lost_disk_is_not_hollow() -> Iterable[Any]:
    yield _replace(membership, "joins_hollow", lambda _: lambda *args, **kwargs: False)


LOST, KEPT, HALF, SAME, VDL, ONE, GAP, PGMRPL, COPIES = (
    "acknowledged-never-lost", "descriptor-kept", "nothing-half-there", "same-bytes", "vdl-forward", "one-writer",
    "scl-no-gap", "collected-below-pgmrpl", "six-equal-copies",
)  # fmt: skip

MUTATIONS = (
    Mutation("write quorum 3", (LOST,), _write_quorum_3),
    Mutation("ack before sync", (LOST,), _ack_before_sync),
    Mutation("no epoch check", (ONE,), _no_epoch_check),
    Mutation("collection above PGMRPL", (PGMRPL,), _collect_above_pgmrpl),
    Mutation("staged appends outlive a fence", (ONE,), _staged_appends_outlive_a_fence),
    Mutation("epoch not durable", (ONE, LOST), _epoch_not_durable),
    Mutation("any writer of the epoch is adopted", (ONE, LOST, HALF, SAME), _any_writer_of_the_epoch_is_adopted),
    Mutation("coalescing above the VDL", (PGMRPL, CORES_OWN), _coalesce_above_vdl),
    Mutation("truncation not durable", (HALF, LOST, VDL), _truncation_not_durable),
    Mutation("truncation not applied", (HALF,), _truncation_not_applied),
    Mutation("SCL counts over a gap", (GAP, HALF, CORES_OWN), _scl_over_a_gap),
    Mutation("ack claims what lies behind a gap", (GAP,), _ack_claims_what_lies_behind_a_gap),
    Mutation("recovery takes the highest LSN", (HALF, LOST, SAME, CORES_OWN), _recovery_takes_the_highest_lsn, 90),
    Mutation("recovery ignores CPLs", (HALF,), _recovery_ignores_cpls, 90),
    Mutation("recovery copies nothing", (LOST,), _recovery_copies_nothing),
    Mutation("recovery truncates nothing", (HALF, LOST, SAME, COPIES, CORES_OWN), _recovery_truncates_nothing),
    Mutation("recovery asks three nodes only", (LOST,), _recovery_asks_three),
    Mutation("LSNs are used again", (HALF, LOST, COPIES, CORES_OWN), _lsns_used_again),
    Mutation("page read without SCL check", (SAME,), _read_without_scl_check),
    Mutation("page cache newer than the read point", (SAME, PGMRPL), _stale_page_cache),
    Mutation("torn pages without double write", (LOST,), _no_double_write),
    Mutation("nodes are told a VDL that is not durable", (VDL,), _nodes_are_told_what_is_not_durable),
    Mutation("gossip fetches nothing", (COPIES,), _gossip_fetches_nothing),
    Mutation("log collected before pages are synced", (LOST, SAME, COPIES), _log_collected_before_pages_are_synced),
    Mutation("the first membership counts for ever", (LOST,), _first_membership_counts_for_ever),
    Mutation("a proposal counts alone", (LOST,), _proposal_counts_alone),
    Mutation("a model is changed at once", (LOST,), _model_changed_at_once, 60),
    Mutation("a descriptor is committed by a minority", (KEPT,), _descriptor_committed_by_a_minority),
    Mutation("a lost disk leaves no hollow segments", (LOST,), _lost_disk_is_not_hollow),
    Mutation("a hollow candidate is counted as filled", (LOST,), _hollow_candidate_counted_as_filled),
)
