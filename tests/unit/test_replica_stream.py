"""The replica stream's two ends against each other: what a writer's flushes become in a reader's cache."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from aurora.ids import Lsn
from aurora.kernels import arena as arena_kernel
from aurora.kernels import mtr as mtr_kernel
from aurora.page import OFF_KIND, PageKind
from aurora.rpc import compute_pb2 as cpb
from compute_node.replica import feed as feeds
from compute_node.replica.apply import ApplyCore, StreamGap
from compute_node.replica.feed import SILENT_S, FeedCore, Follower, LastWord
from compute_node.replica.known import followable
from compute_node.replica.replica import Replica
from compute_node.replica.topology import InstanceState
from compute_node.txn.horizon import Holds

if TYPE_CHECKING:
    from compute_node.replica.volume import ReplicaVolume

PAGES_PER_PG = 16
FIRST_LSN = 100


class Wire:
    """An outlet that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[cpb.FollowReply] = []
        self.backlog_bytes = 0
        self.closed = False

    def send(self, message: bytes) -> None:
        self.sent.append(cpb.FollowReply.FromString(message))

    def close(self) -> None:
        self.closed = True

    @property
    def logs(self) -> list[cpb.Log]:
        return [reply.log for reply in self.sent if reply.WhichOneof("body") == "log"]

    @property
    def begin(self) -> cpb.Begin:
        [begin] = [reply.begin for reply in self.sent if reply.WhichOneof("body") == "begin"]
        return begin


class Writer:
    """Pages, log and feed of a writer; ``flush`` gives what left, ``durable`` is the VDL's advance."""

    def __init__(self, seed: int = 1) -> None:
        self.arena = arena_kernel.Arena(64)
        self.log = mtr_kernel.RedoLog(FIRST_LSN, FIRST_LSN - 1, PAGES_PER_PG, {})
        self.mtr = mtr_kernel.Mtr(self.arena, self.log)
        self.holds = Holds()
        self.vdl = Lsn(FIRST_LSN - 1)
        self.feed = FeedCore(self.vdl, 7, self.holds, lambda: 0)
        self.random = random.Random(seed)
        self.pg_last: dict[int, int] = {}

    def frame(self, page_no: int) -> int:
        frame = int(self.arena.lookup(page_no))
        return frame if frame >= 0 else int(self.arena.install(page_no, None))

    def write(self, *page_nos: int, note: bytes = b"") -> None:
        """One mini-transaction over these pages."""
        with self.mtr:
            if note:
                self.mtr.note(note)
            for page_no in page_nos:
                self.mtr.put(self.frame(page_no), self.random.randrange(100, 8000), self.random.randbytes(40))

    def flush(self) -> int:
        runs = self.log.take()
        self.feed.flushed(runs)
        return max(run[3] for run in runs)

    def durable(self, vdl: int) -> None:
        self.vdl = Lsn(vdl)
        self.pg_last = {pg: lsn for pg, lsn in self.log.pg_last.items() if lsn <= vdl}
        self.feed.advance(self.vdl)
        if self.feed.waiting:
            self.feed.send()

    def join(self, name: str = "r", resume: int = 0, horizon: int = 0, now_s: float = 0.0) -> tuple[Follower, Wire]:
        wire = Wire()
        state = InstanceState(name, "reader")
        follower = self.feed.join(
            state, wire, Lsn(resume), Lsn(horizon), self.pg_last, self.vdl, lambda begin: None, now_s
        )
        return follower, wire


class Reader:
    """A cache and what applies to it."""

    def __init__(self, begin: cpb.Begin) -> None:
        self.arena = arena_kernel.Arena(64)
        self.loading: set[int] = set()
        self.core = ApplyCore(
            self.arena, Lsn(begin.vdl), {point.pg: int(point.lsn) for point in begin.pg_last}, self.loading.__contains__
        )

    def take(self, log: cpb.Log) -> None:
        self.core.receive((run.pg, run.prev_lsn, run.records) for run in log.runs)
        while self.core.step() is not None:
            pass


def page(arena: arena_kernel.Arena, page_no: int) -> bytes:
    return bytes(arena.page(arena.lookup(page_no)))


def test_cached_pages_are_the_writers_at_the_applied_point() -> None:
    writer = Writer()
    _, wire = writer.join()
    reader = Reader(wire.begin)
    for page_no in (1, 2, 17, 33):
        reader.arena.install(page_no, None)
    for _ in range(200):
        writer.write(*writer.random.sample((1, 2, 3, 17, 33, 40), 3))
        if writer.random.random() < 0.4:
            end = writer.flush()
            writer.durable(end)
            reader.take(wire.logs[-1])
            assert reader.core.applied_lsn == end
            for page_no in (1, 2, 17, 33):
                if writer.arena.contains(page_no):
                    assert page(reader.arena, page_no) == page(writer.arena, page_no)
    assert not reader.arena.contains(3), "a page that nobody has read is not read for the log"
    assert reader.core.pg_last == writer.pg_last


def test_nothing_is_sent_before_it_is_durable() -> None:
    writer = Writer()
    _, wire = writer.join()
    writer.write(1)
    first = writer.flush()
    writer.write(2)
    second = writer.flush()
    writer.durable(first - 1)
    assert wire.logs == []
    writer.durable(second - 1)
    assert [log.vdl for log in wire.logs] == [first], "a flush goes as a whole"
    writer.durable(second)
    assert [log.vdl for log in wire.logs] == [first, second]


def test_a_page_that_is_being_read_gets_the_log_that_came_meanwhile() -> None:
    writer = Writer()
    writer.write(5)
    writer.durable(writer.flush())
    _, wire = writer.join()
    reader = Reader(wire.begin)
    asked = page(writer.arena, 5)
    reader.loading.add(5)
    writer.write(5)
    writer.write(5, 6)
    writer.durable(writer.flush())
    reader.take(wire.logs[-1])
    image = reader.core.patched(5, asked)
    assert image == page(writer.arena, 5)
    assert reader.core.patched(5, asked) == asked, "what was kept is used once"


def test_what_was_kept_for_a_load_that_failed_does_no_harm_to_the_next() -> None:
    """A FREE among it above all: the page may have been written anew since."""
    writer = Writer()
    writer.write(5)
    writer.durable(writer.flush())
    _, wire = writer.join()
    reader = Reader(wire.begin)
    reader.loading.add(5)
    writer.arena.drop(5)
    with writer.mtr:
        writer.mtr.free_page(5)
    writer.durable(writer.flush())
    reader.take(wire.logs[-1])
    reader.loading.remove(5)  # the read has failed
    writer.write(5)
    writer.durable(writer.flush())
    reader.take(wire.logs[-1])
    reader.loading.add(5)
    asked = page(writer.arena, 5)
    assert reader.core.patched(5, asked) == asked


def test_a_page_that_was_never_written_begins_with_the_log() -> None:
    writer = Writer()
    _, wire = writer.join()
    reader = Reader(wire.begin)
    reader.loading.add(9)
    writer.write(9)
    writer.durable(writer.flush())
    reader.take(wire.logs[-1])
    assert reader.core.patched(9, None) == page(writer.arena, 9)


def test_a_gap_is_noticed() -> None:
    writer = Writer()
    _, wire = writer.join()
    reader = Reader(wire.begin)
    for _ in range(2):
        writer.write(1)
        writer.durable(writer.flush())
    with pytest.raises(StreamGap):
        reader.take(wire.logs[1])
    assert reader.core.applied_lsn == wire.begin.vdl


def test_what_stands_on_pages_is_told() -> None:
    writer = Writer()
    _, wire = writer.join()
    reader = Reader(wire.begin)
    reader.arena.install(4, None)
    with writer.mtr:
        writer.mtr.note(b"hello")
        writer.mtr.put_u8(writer.frame(4), OFF_KIND, PageKind.EXTENTS)
    writer.durable(writer.flush())
    reader.core.receive((run.pg, run.prev_lsn, run.records) for run in wire.logs[0].runs)
    done = reader.core.step()
    assert done is not None
    assert done.extents
    assert not done.commit_log
    assert [payload for _, payload in done.notes] == [b"hello"]
    assert done.lsn == wire.logs[0].vdl
    assert reader.core.step() is None


def test_a_reader_that_comes_back_goes_on_where_it_was() -> None:
    writer = Writer()
    follower, wire = writer.join()
    writer.feed.heard(follower, follower.state, Lsn(wire.begin.vdl), Lsn(wire.begin.vdl), 0.0)
    reader = Reader(wire.begin)
    reader.arena.install(1, None)
    writer.write(1)
    writer.durable(writer.flush())
    reader.take(wire.logs[0])
    writer.feed.cut(follower)
    writer.write(1)
    writer.durable(writer.flush())
    _, again = writer.join(resume=reader.core.received_lsn, horizon=wire.begin.vdl)
    assert again.begin.resumed
    assert again.begin.held
    [log] = again.logs
    reader.take(log)
    assert page(reader.arena, 1) == page(writer.arena, 1)


def test_followers_are_told_once_of_what_is_removed_and_of_nothing_that_is_still_to_come() -> None:
    writer = Writer()
    _, wire = writer.join()
    removed = 0
    writer.feed.removed_below = lambda: removed

    def told() -> int:
        writer.write(1)
        writer.durable(writer.flush())
        return int(wire.logs[-1].removed_below)

    assert told() == 0
    first = removed = writer.vdl
    assert told() == first
    assert told() == 0
    removed = writer.vdl + 10_000  # its records are above that, and no message has them yet
    assert told() == writer.vdl
    assert told() == writer.vdl


def test_what_a_reader_needs_is_held_until_it_is_silent_for_long() -> None:
    writer = Writer()
    writer.write(1)
    writer.durable(writer.flush())
    follower, wire = writer.join()
    held_at = Lsn(wire.begin.vdl)
    writer.write(1)
    writer.durable(writer.flush())
    assert writer.holds.oldest(writer.vdl) == held_at
    assert writer.feed.read_point(writer.vdl) == held_at
    writer.feed.heard(follower, follower.state, held_at, writer.vdl, 1.0)
    assert writer.holds.oldest(writer.vdl) == held_at, "its sessions still read there"
    writer.feed.cut(follower)
    writer.feed.tick(1.0 + feeds.SILENT_S)
    assert writer.holds.oldest(writer.vdl) == held_at
    writer.feed.tick(1.1 + feeds.SILENT_S)
    assert writer.holds.oldest(writer.vdl) == writer.vdl
    _, again = writer.join(resume=held_at, horizon=held_at)
    assert not again.begin.held


def test_a_reader_that_does_not_read_is_sent_away() -> None:
    writer = Writer()
    follower, wire = writer.join()
    _, other = writer.join("other")
    wire.backlog_bytes = feeds.BACKLOG_BYTES_MAX + 1
    writer.write(1)
    writer.durable(writer.flush())
    assert wire.closed
    assert follower.state.id not in writer.feed.followers
    assert len(other.logs) == 1


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT_BYTES_MAX", 2000)
    writer = Writer()
    follower, wire = writer.join()
    for _ in range(50):
        writer.write(1)
        writer.durable(writer.flush())
    writer.feed.cut(follower)
    _, again = writer.join(resume=wire.logs[0].vdl)
    assert not again.begin.resumed
    assert again.begin.vdl == writer.vdl
    _, soon = writer.join("r2", resume=wire.logs[-2].vdl)
    assert soon.begin.resumed
    assert [log.vdl for log in soon.logs] == [writer.vdl]


def test_a_writer_of_an_older_epoch_is_not_followed() -> None:
    def writes(name: str, epoch: int, state: str = "available") -> InstanceState:
        return InstanceState(name, "writer", state=state, epoch=epoch)

    old, new = writes("a", 3), writes("b", 4)
    assert followable([old, new], 3) is new
    assert followable([old], 3) is old
    assert followable([old], 4) is None, "it does not know yet that it is over"
    assert followable([old, writes("b", 4, "promoting"), InstanceState("c", "reader", epoch=5)], 0) is old


# -- lag


def test_a_late_message_is_not_the_lag_of_a_reader_that_has_caught_up() -> None:
    writer = Writer()
    _, wire = writer.join()
    now_us = 10_000_000
    volume = SimpleNamespace(vdl=Lsn(wire.begin.vdl), recovered=SimpleNamespace(pg_last={}))
    replica = Replica(arena_kernel.Arena(8), cast("ReplicaVolume", volume), wire.begin, lambda: now_us)
    replica.lag_us = 4_000_000  # of the last message of log
    replica.measured(Lsn(wire.begin.vdl), now_us - 300)
    assert replica.lag_now_us == 300
    replica.measured(Lsn(wire.begin.vdl + 1), now_us - 5_000_000)  # something is missing: no measurement
    assert replica.lag_now_us == 300


# -- holds over a change of the writer


def successor(word: LastWord, *, epoch: int = 8, now_s: float = 3.0) -> Writer:
    """The writer after ``Writer``, whose log it goes on with; it has heard that word."""
    made = Writer()
    made.feed = FeedCore(made.vdl, epoch, Holds(), lambda: 0)
    made.feed.expect(word, now_s)
    made.feed.hold_in(made.holds)
    return made


def last_word(now_s: float = 2.0) -> tuple[LastWord, Lsn]:
    """Of a writer whose reader ``r`` has sessions that read at its beginning."""
    writer = Writer()
    follower, _ = writer.join("r")
    horizon = follower.hold.lsn
    writer.feed.heard(follower, InstanceState("r", "reader"), horizon, horizon, 1.9)
    return LastWord(writer.feed.holding(now_s), writer.feed.epoch, now_s), horizon


def test_who_takes_over_holds_what_the_writer_before_held_until_its_reader_comes() -> None:
    word, horizon = last_word()
    writer = successor(word)
    writer.write(1)
    writer.durable(writer.flush())
    assert writer.holds.oldest(writer.vdl) == horizon < writer.vdl
    assert writer.feed.read_point(writer.vdl) == horizon
    _, wire = writer.join("r", resume=int(horizon), horizon=int(horizon), now_s=5.0)
    assert wire.begin.held
    assert wire.begin.resumed
    assert writer.holds.oldest(writer.vdl) == horizon
    writer.feed.tick(9.0)
    assert "r" in writer.feed.followers


def test_who_reads_below_what_was_held_is_not_told_that_it_was() -> None:
    word, horizon = last_word()
    writer = successor(word)
    writer.write(1)
    writer.durable(writer.flush())
    _, wire = writer.join("r", resume=int(horizon), horizon=int(horizon) - 1, now_s=5.0)
    assert not wire.begin.held
    assert wire.begin.held_from == writer.vdl


def test_a_reader_that_does_not_come_is_not_held_for_ever() -> None:
    word, _ = last_word()
    writer = successor(word)
    writer.write(1)
    writer.durable(writer.flush())
    writer.feed.tick(3.0 + SILENT_S + 0.1)
    assert writer.holds.oldest(writer.vdl) == writer.vdl == writer.feed.read_point(writer.vdl)


@pytest.mark.parametrize(
    ("epoch", "now_s"),
    [pytest.param(9, 3.0, id="another wrote in between"), pytest.param(8, 2.0 + SILENT_S, id="long ago")],
)
def test_a_word_that_may_not_hold_any_more_counts_for_nothing(epoch: int, now_s: float) -> None:
    word, horizon = last_word()
    writer = successor(word, epoch=epoch, now_s=now_s)
    _, wire = writer.join("r", resume=int(horizon), horizon=int(horizon), now_s=now_s)
    assert not wire.begin.held


def test_a_stream_goes_on_only_while_storage_has_what_the_reader_reads() -> None:
    """A reader whose log waits reads pages of the point that it has applied, not of what has come."""
    writer = Writer()
    writer.join("other")
    follower, _ = writer.join()
    writer.write(1)
    writer.durable(writer.flush())
    applied = writer.vdl
    writer.feed.heard(follower, InstanceState("r", "reader", applied_lsn=applied), applied, applied, 0.0)
    writer.write(1)
    writer.durable(writer.flush())
    come = writer.vdl
    writer.feed.cut(follower)
    assert writer.feed.read_point(writer.vdl) <= applied

    def back() -> tuple[Follower, Wire]:
        wire = Wire()
        state = InstanceState("r", "reader", applied_lsn=applied)
        joined = writer.feed.join(state, wire, come, applied, writer.pg_last, writer.vdl, lambda begin: None, 1.0)
        return joined, wire

    again, wire = back()
    assert wire.begin.resumed
    assert again.read_point <= applied
    writer.feed.leave(again)
    for each in list(writer.feed.followers.values()):
        writer.feed.heard(each, each.state, writer.vdl, writer.vdl, 1.0)
    assert writer.feed.read_point(writer.vdl) > applied
    late, wire = back()
    assert not wire.begin.resumed
    assert late.read_point > applied


def test_a_stream_that_was_to_begin_anew_does_not_go_on_from_further_back() -> None:
    """A reader that fetches the log it has missed, and is cut off meanwhile, has come far and applied little: nothing
    was kept for it below the point where it was to begin."""
    writer = Writer()
    writer.join("other")
    for _ in range(3):
        writer.write(1)
        writer.durable(writer.flush())
    begun, wire = writer.join()
    assert not wire.begin.resumed
    writer.feed.cut(begun)
    wire = Wire()
    state = InstanceState("r", "reader", applied_lsn=Lsn(FIRST_LSN))
    come = begun.read_point
    writer.feed.join(state, wire, come, Lsn(FIRST_LSN), writer.pg_last, writer.vdl, lambda begin: None, 1.0)
    assert not wire.begin.resumed
