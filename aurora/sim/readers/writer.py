"""One life of a writer that readers follow: the compute half's ``Instance``, with ``FeedCore`` and fencing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aurora.errors import SqlError
from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from aurora.sim.compute.instance import Instance
from aurora.sim.compute.loop import SimLoop
from aurora.sim.compute.session import Reading
from aurora.sim.compute.volume import SimVolume
from aurora.sim.readers.checks import ONE_WRITER
from aurora.sim.readers.knobs import ReaderKnobs
from aurora.sim.readers.link import Link
from aurora.sim.readers.nodes import Opened
from aurora.sim.readers.process import Process
from aurora.sim.readers.volume import WriterVolume
from compute_node.replica.feed import FeedCore, LastWord
from compute_node.replica.keep import behind, drop_changed
from compute_node.replica.messages import from_proto
from compute_node.txn.horizon import Holds

if TYPE_CHECKING:
    import greenlet

    from aurora.kernels.python.arena import Arena
    from aurora.sim.readers.reader import Reader
    from aurora.sim.readers.scenario import Scenario

TICK_S: Final = 0.05
PROBE: Final = 0.3
"""How often a tick asks whether this is the writer still."""
TELL: Final = 0.5
"""How often it tells its readers what it holds."""
UNREADABLE: Final = 0.2
"""How often no node tells which pages a protection group's newer log has changed."""


class Writer(Instance):
    """``arena`` and ``applied``: of the reader that it was."""

    volume: WriterVolume
    knobs: ReaderKnobs

    def __init__(
        self,
        scenario: Scenario,
        process: Process,
        opened: Opened,
        arena: Arena | None,
        applied: dict[int, int],
        word: LastWord,
    ) -> None:
        self.scenario = scenario
        self.process = process
        self.epoch = opened.epoch
        self.feed: FeedCore | None = None
        self.ending = False
        self._send_armed = False
        self.told_lsn = 0
        """The newest commit that a client of this writer knows to be done."""
        self._opened = opened
        self._kept = arena
        self._applied = applied
        super().__init__(scenario.world, scenario.knobs, scenario.oracle, scenario.checks, opened.epoch)
        self.index_lsn = scenario.index_lsn
        self._opened_volume(word)

    def _opened_volume(self, word: LastWord) -> None:
        """As ``Place.opened``."""
        volume = self.volume
        feed = self._feed = FeedCore(volume.vdl, self.epoch, Holds(), self.now_us)
        feed.expect(word, self.world.now)
        volume.flushed = feed.flushed
        volume.durable_callbacks.append(lambda vdl: feed.advance(Lsn(vdl)))
        volume.pgmrpl_source = lambda: feed.read_point(volume.vdl)

    def _make_loop(self) -> SimLoop:
        return self.process.loop

    def _make_volume(self, before: SimVolume | None) -> SimVolume:
        world, name = self.scenario.world, f"volume {self._opened.epoch}"
        return WriterVolume(
            self.process, world.stream(name), self.scenario.knobs, self.scenario.nodes, self._opened, self._fenced
        )

    def _make_arena(self) -> Arena:
        arena = self._kept
        if arena is None:
            return super()._make_arena()
        self._catch_up(arena)
        arena.durable_lsn = self.volume.vdl
        return arena

    def _catch_up(self, arena: Arena) -> None:
        """As ``ComputeServer._catch_up``."""
        volume, nodes = self.volume, self.scenario.nodes
        for pg, after in behind(self._applied, volume.pg_last).items():
            changed = None
            if self.rng.random() >= UNREADABLE:
                changed = nodes.changed_pages(pg, after, volume.pg_last[pg])
            drop_changed(arena, lambda page_no: page_no // nodes.pages_per_pg, pg, changed)

    # Its life

    @property
    def dead(self) -> bool:
        """Whether its process has ended."""
        return self.process.dead

    @property
    def fenced(self) -> bool:
        """Whether another one has opened the volume, known here or not."""
        return self.scenario.nodes.epoch != self.epoch

    def _storage_made(self) -> None:
        self._feed.hold_in(self.storage.txns.holds)

    def _recovered(self) -> None:
        if not self.fenced:
            super()._recovered()

    def run(self, function: Callable[[], None]) -> None:
        self.busy += 1

        def body() -> None:
            function()
            self.busy -= 1

        self.process.run(body)

    def interrupt(self, worker: greenlet.greenlet, error: SqlError) -> bool:
        with self.process:
            return super().interrupt(worker, error)

    def serve(self) -> None:
        """As ``Place.writes``: the volume is open, the storage stands on it."""
        feed, storage = self._feed, self.storage
        feed.removed_below = lambda: storage.txns.removed_below
        self.feed = feed
        self.volume.durable_callbacks.append(self._durable)
        self.process.soon(TICK_S, self._tick)

    def _durable(self, vdl: int) -> None:
        """As in ``Place.writes``; the pause between two messages is the seed's."""
        if self.feed is not None:
            if self.feed.waiting and not self._send_armed:
                self._send_armed = True
                self.process.soon(self.rng.choice((0.0, 0.0, self.knobs.link_s)), self._send)

    def _send(self) -> None:
        self._send_armed = False
        if self.feed is not None:
            self.feed.send()

    def now_us(self) -> int:
        """Virtual µs."""
        return int(self.world.now * 1e6)

    def _tick(self) -> None:
        if self.feed is not None:
            self.feed.tick(self.world.now)
            if self.rng.random() < TELL:
                told = cpb.Topology(epoch=self.epoch, held=self.feed.holding(self.world.now))
                self.feed.tell(cpb.FollowReply(topology=told).SerializeToString())
        if self.rng.random() < PROBE:
            self.volume.probe()
        if not self.dead:
            self.process.soon(TICK_S, self._tick)

    def _fenced(self, _: object) -> None:
        """Another writer has taken over: the process ends."""
        self.scenario.ended(self, "fenced")

    def die(self) -> int:
        self.process.end()
        self.readings.clear()
        self.volume.close()
        return self.volume.vdl

    def acknowledged(self, lsn: int) -> None:
        limit = self.scenario.nodes.limit(self.epoch)
        self.checks.require(
            ONE_WRITER, lsn <= limit, f"epoch {self.epoch} acknowledges {lsn}, and its log ends at {limit}"
        )
        super().acknowledged(lsn)

    # Its followers

    def hears(self, link: Link, request: cpb.FollowRequest) -> None:
        """As ``Place.joins`` and ``Place.hears``."""
        feed = self.feed
        if feed is None or link.closed:
            link.close()
        elif link.follower is None:
            self._joins(feed, link, request)
        else:
            feed.heard(
                link.follower, from_proto(request.self), Lsn(request.row_horizon), Lsn(request.read_point),
                self.world.now,
            )  # fmt: skip

    def _joins(self, feed: FeedCore, link: Link, request: cpb.FollowRequest) -> None:
        volume, storage = self.volume, self.storage

        def details(begin: cpb.Begin) -> None:
            begin.first_xid = storage.txns.first_xid
            for xid, relation in storage.locks.exclusive_at(volume.vdl):
                begin.locks.add(xid=xid, relations=[relation])

        link.follower = feed.join(
            from_proto(request.self), link, Lsn(request.resume_lsn), Lsn(request.row_horizon), volume.pg_last,
            volume.vdl, details, self.world.now,
        )  # fmt: skip
        self.world.note(f"{link.reader.name} joins epoch {self.epoch} at {request.resume_lsn}, VDL {volume.vdl}")

    def left(self, link: Link) -> None:
        """As ``Place.leaves``."""
        if self.feed is not None and link.follower is not None:
            self.feed.cut(link.follower)

    def holds_for(self, reader: Reader) -> bool:
        """Whether what the reader reads is held here, by what this writer knows."""
        feed = self.feed
        if feed is None or self.dead:
            return False
        follower = feed.followers.get(reader.name) or feed._parked.get(reader.name)
        outlet = None if follower is None else follower.outlet
        return isinstance(outlet, Link) and outlet.reader is reader and outlet.settled

    def _everybody(self) -> Iterator[Reading]:
        yield from self.readings
        for reader in self.scenario.readers if self.knobs.feedback else ():
            if self.holds_for(reader):
                yield from reader.readings
            elif (expected := self._expected(reader)) is not None:
                yield from (reading for reading in reader.readings if reading.lsn >= expected)

    def _expected(self, reader: Reader) -> Lsn | None:
        """From where on what the reader reads is held here, because the writer before held it."""
        parked = None if self.feed is None or self.dead else self.feed._parked.get(reader.name)
        return None if parked is None or isinstance(parked.outlet, Link) else parked.hold.lsn
