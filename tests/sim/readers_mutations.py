"""Rules of readers and promotions broken on purpose; see ``mutations.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aurora.kernels import redo
from aurora.rpc import compute_pb2 as cpb
from aurora.sim.compute.checks import DURABLE, HORIZON, INDEXES, SNAPSHOT_ROWS, WAITS
from aurora.sim.readers import scenario, writer
from aurora.sim.readers.checks import DURABLE_ONLY, FORWARD, NEEDED, NOTED, ONE_WRITER, PAGES
from aurora.sim.readers.volume import WriterVolume
from aurora.sim.runs import CORES_OWN
from compute_node.access.cache import PageCache
from compute_node.access.extents import Extents
from compute_node.replica.apply import ApplyCore, StreamGap
from compute_node.replica.feed import FeedCore
from compute_node.replica.replica import Replica
from compute_node.txn.locks import LockManager
from compute_node.txn.manager import TransactionManager
from tests.sim.mutations import Mutation, _replace

WRONG = (PAGES, SNAPSHOT_ROWS, CORES_OWN)
"""What shows pages that are not of their LSN: whichever looks first."""


def _sent_before_durable() -> Iterable[Any]:
    def make(flushed: Any) -> Any:
        def mutated(self: Any, runs: Any) -> None:
            flushed(self, runs)
            self.advance(1 << 62)

        return mutated

    yield _replace(FeedCore, "flushed", make)


def _late_records_are_dropped() -> Iterable[Any]:
    yield _replace(ApplyCore, "patched", lambda _: lambda self, page_no, image: image)


def _no_hold_at_the_join() -> Iterable[Any]:
    def make(join: Any) -> Any:
        def mutated(self: Any, *args: Any) -> Any:
            follower = join(self, *args)
            follower.hold.release()
            return follower

        return mutated

    yield _replace(FeedCore, "join", make)


def _read_points_do_not_count() -> Iterable[Any]:
    yield _replace(FeedCore, "read_point", lambda _: lambda self, limit: limit)


def _a_lost_message_is_not_noticed() -> Iterable[Any]:
    def lose(received: Any) -> Any:
        def mutated(self: Any, log: Any) -> None:
            if log.vdl % 5:
                received(self, log)

        return mutated

    def receive_blindly(receive: Any) -> Any:
        def mutated(self: Any, runs: Any) -> None:
            runs = list(runs)
            try:
                receive(self, runs)
            except StreamGap:
                found = sorted((*record, data, pg) for pg, prev, data in runs for record in redo.scan(data, prev))
                self._queue.extend(record for record in found if record[0] > self.received_lsn)
                self.received_lsn = found[-1][0]

        return mutated

    yield _replace(Replica, "received", lose)
    yield _replace(ApplyCore, "receive", receive_blindly)


def _the_commit_log_is_not_read_again() -> Iterable[Any]:
    def make(look_again: Any) -> Any:
        def mutated(self: Any, done: Any) -> None:
            notes, done.notes, done.commit_log = done.notes, [], False
            look_again(self, done)
            done.notes = notes

        return mutated

    yield _replace(Replica, "_look_again", make)


def _extents_are_not_read_again() -> Iterable[Any]:
    yield _replace(Extents, "reread", lambda _: lambda self: None)


def _lock_notes_are_not_honoured() -> Iterable[Any]:
    yield _replace(Replica, "_lock", lambda _: lambda self, xid, relations: None)


def _the_whole_cache_is_kept() -> Iterable[Any]:
    yield _replace(writer, "drop_changed", lambda _: lambda arena, pg_of, pg, changed: None)


def _who_was_not_held_reads_on() -> Iterable[Any]:
    def join(original: Any) -> Any:
        def mutated(self: Any, state: Any, outlet: Any, *args: Any) -> Any:
            send = outlet.send
            outlet.send = lambda message: send(_readable(message))
            try:
                return original(self, state, outlet, *args)
            finally:
                del outlet.send

        return mutated

    yield _replace(FeedCore, "join", join)


def _readable(message: bytes) -> bytes:
    reply = cpb.FollowReply.FromString(message)
    if reply.WhichOneof("body") == "begin":
        reply.begin.held = True
    return bytes(reply.SerializeToString())


def _what_the_writer_before_held_is_not_held() -> Iterable[Any]:
    def make(hold_in: Any) -> Any:
        def mutated(self: Any, holds: Any) -> None:
            self._holds = holds

        return mutated

    yield _replace(FeedCore, "hold_in", make)


def _a_refusal_counts_as_an_ack() -> Iterable[Any]:
    def make(arrived: Any) -> Any:
        def mutated(self: Any, runs: Any, cpl: int, *args: Any) -> None:
            if self.nodes.epoch != self.epoch:
                self._process.do(lambda: self.advance(cpl))
            else:
                arrived(self, runs, cpl, *args)

        return mutated

    yield _replace(WriterVolume, "_arrived", make)
    yield _replace(WriterVolume, "probe", lambda _: lambda self: None)


def _what_is_removed_is_not_told() -> Iterable[Any]:
    yield _replace(TransactionManager, "removed", lambda _: lambda self, below: None)


def _an_older_epoch_is_followed() -> Iterable[Any]:
    def make(followable: Any) -> Any:
        return lambda answering, epoch: followable(answering, 0)

    yield _replace(scenario, "followable", make)


def _loads_are_kept_over_a_new_beginning() -> Iterable[Any]:
    yield _replace(PageCache, "abandon_loads", lambda _: lambda self: None)


def _locks_are_not_told_at_the_join() -> Iterable[Any]:
    yield _replace(LockManager, "exclusive_at", lambda _: lambda self, vdl: iter(()))


MUTATIONS = (
    Mutation("log is sent before it is durable", (DURABLE_ONLY, *WRONG), _sent_before_durable),
    Mutation("late records of a page on its way are dropped", WRONG, _late_records_are_dropped),
    Mutation("no hold at the join", (HORIZON,), _no_hold_at_the_join),
    Mutation("read points of readers do not count", (NEEDED,), _read_points_do_not_count),
    Mutation("a lost message is not noticed", WRONG, _a_lost_message_is_not_noticed),
    Mutation("the commit log is not read again", WRONG, _the_commit_log_is_not_read_again),
    Mutation("extents are not read again", WRONG, _extents_are_not_read_again),
    Mutation("lock notes are not honoured", (NOTED, *WRONG), _lock_notes_are_not_honoured),
    Mutation("the whole cache is kept at a promotion", (DURABLE, INDEXES, *WRONG), _the_whole_cache_is_kept),
    Mutation("who was not held reads on", (HORIZON, SNAPSHOT_ROWS), _who_was_not_held_reads_on),
    Mutation("what the writer before held is not held", (HORIZON,), _what_the_writer_before_held_is_not_held),
    Mutation("a refusal counts as an acknowledgement", (ONE_WRITER, WAITS), _a_refusal_counts_as_an_ack),
    Mutation("what is removed is not told", WRONG, _what_is_removed_is_not_told, 200),
    Mutation("a log of an older epoch is followed", (FORWARD,), _an_older_epoch_is_followed),
    Mutation("loads of pages are kept over a new beginning", WRONG, _loads_are_kept_over_a_new_beginning),
    Mutation("locks are not told at the join", (NOTED, *WRONG), _locks_are_not_told_at_the_join, 350),
)
