"""The volume as a writer and as a reader of the simulation see it, over ``Nodes``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aurora.errors import IoError, ReadOnlySqlTransaction, SqlError
from aurora.ids import Lsn
from aurora.kernels import mtr as mtr_kernel
from aurora.kernels.python.mtr import Run
from aurora.sim.compute.knobs import Knobs
from aurora.sim.compute.loop import Delay
from aurora.sim.compute.volume import SimVolume
from aurora.sim.readers.nodes import COLLECTED, Nodes, Opened
from aurora.sim.readers.process import Process
from compute_node.hub import HUB, Waiter
from compute_node.volume.doubt import Doubt

if TYPE_CHECKING:
    from aurora.kernels.python.mtr import RedoLog

Done = Callable[[SqlError | None], None]

AGAIN_S: Final = 0.002
PATIENCE_S: Final = 0.2


class WriterVolume(SimVolume):
    """A flush reaches the nodes, is acknowledged there, and the writer hears of it, each some time later.
    ``on_over``: another writer has opened the volume."""

    def __init__(
        self, process: Process, rng: random.Random, knobs: Knobs, nodes: Nodes, opened: Opened, on_over: Done
    ) -> None:
        super().__init__(process.loop, rng, knobs)
        self.nodes = nodes
        self.epoch = opened.epoch
        self.flushed: Callable[[list[Run]], None] | None = None
        self.durable_callbacks: list[Callable[[int], None]] = []
        self.pgmrpl_source: Callable[[], int] | None = None
        self.keep_history = True
        self._process = process
        self._on_over = on_over
        self._last_arrival_s = 0.0
        if opened.vdl:
            self.vdl, self.pages, self.pg_last = opened.vdl, opened.pages, dict(opened.pg_last)
            self.log: RedoLog = mtr_kernel.RedoLog(opened.next_lsn, self.vdl, knobs.pages_per_pg, self.pg_last)

    def _take(self) -> None:
        """Nothing leaves the log but by ``_flush``."""

    def _flush(self) -> None:
        self._armed = False
        self.history = []
        super()._take()
        runs, self.history = self.history, []
        if not runs:
            return
        if self.flushed is not None:
            self.flushed(runs)
        cpl = int(self.log.last_cpl)
        pgmrpl = self.vdl if self.pgmrpl_source is None else self.pgmrpl_source()
        low, high = self._knobs.flush_s
        world = self._loop.world
        arrival_s = max(self._last_arrival_s, world.now + self._rng.uniform(0, low) * self.slow_log)
        ack_s = max(self._last_ack_s, arrival_s + self._rng.uniform(low, high) * self.slow_log)
        self._last_arrival_s, self._last_ack_s = arrival_s, ack_s
        part = self._rng.randint(self.vdl, cpl) if self._rng.random() < 0.3 else 0
        world.when(arrival_s, lambda: self._arrived(runs, cpl, part, ack_s, pgmrpl))

    def _arrived(self, runs: list[Run], cpl: int, part: int, ack_s: float, pgmrpl: int) -> None:
        if not self.nodes.append(self.epoch, runs):
            self._process.do(lambda: self._on_over(None))
            return
        self.nodes.pgmrpl = max(self.nodes.pgmrpl, pgmrpl)
        world = self._loop.world
        if part:
            world.after((ack_s - world.now) / 2, lambda: self._acked(part))
        world.when(ack_s, lambda: self._acked(cpl))

    def _acked(self, lsn: int) -> None:
        """Enough nodes have said that they have everything up to ``lsn``; the writer will hear of it."""
        if self.nodes.epoch != self.epoch:
            return
        self.nodes.acked_lsn = max(self.nodes.acked_lsn, lsn)
        self._process.soon(self._knobs.jitter_s, lambda: self.advance(Lsn(lsn)))

    def advance(self, lsn: Lsn | None = None) -> None:
        before = self.vdl
        super().advance(lsn)
        if self.vdl > before:
            for callback in self.durable_callbacks:
                callback(self.vdl)

    def probe(self) -> None:
        """Ask whether this is still the writer."""
        if self.nodes.epoch != self.epoch:
            self._on_over(None)

    def close(self) -> None:
        """The process is gone."""
        self._waiting.clear()


class _PagesNow:
    """The pages as of a volume's applied point."""

    def __init__(self, volume: ReaderVolume) -> None:
        self._volume = volume

    def get(self, page_no: int) -> bytes | None:
        return self._volume.nodes.page_at(page_no, self._volume.vdl)


class ReaderVolume:
    """What ``ReplicaVolume`` is to a reader, over ``Nodes``. ``collected`` is told of a read whose version is gone."""

    def __init__(
        self,
        rng: random.Random,
        knobs: Knobs,
        nodes: Nodes,
        point: tuple[Lsn, int, dict[int, int]],
        collected: Callable[[int], None],
        now_s: Callable[[], float],
    ) -> None:
        self._now_s = now_s
        self.vdl, self.epoch, self.last_of_pg = point
        self.nodes = nodes
        self.fenced = False
        self.doubt = Doubt(float("inf"))
        self.log: RedoLog = mtr_kernel.RedoLog(self.vdl + 1, self.vdl, nodes.pages_per_pg, {})
        self.durable_callbacks: list[Callable[[int], None]] = []
        self.slow_pages = 1.0
        self.pages = _PagesNow(self)
        self.reads: Counter[int] = Counter()
        """In flight, by read point."""
        self._rng = rng
        self._knobs = knobs
        self._collected = collected
        self._waiting: list[tuple[int, Done]] = []

    # What ``Replica`` moves

    @property
    def recovered(self) -> ReaderVolume:
        """Where ``pg_last`` is."""
        return self

    @property
    def reader(self) -> ReaderVolume:
        """Where ``lowest_read_point`` is."""
        return self

    @property
    def pg_last(self) -> dict[int, int]:
        """Each protection group's last LSN that is applied."""
        return self.last_of_pg

    def lowest_read_point(self) -> int | None:
        """Of the reads in flight."""
        return min(self.reads, default=None)

    def applied(self, lsn: Lsn) -> None:
        """See ``ReplicaVolume``."""
        log = self.log
        log.next_lsn, log.last_lsn, log.last_cpl = Lsn(lsn + 1), lsn, lsn
        self.vdl = lsn
        for callback in self.durable_callbacks:
            callback(lsn)
        ready = [done for at, done in self._waiting if at <= lsn]
        self._waiting = [each for each in self._waiting if each[0] > lsn]
        for done in ready:
            done(None)

    def follow(self, epoch: int, descriptor: object = None) -> None:
        """See ``ReplicaVolume``."""
        self.epoch = epoch

    def begin_anew(self, vdl: Lsn, pg_last: Mapping[int, int]) -> None:
        """See ``ReplicaVolume``."""
        self.last_of_pg.clear()
        self.last_of_pg.update(pg_last)
        self.applied(vdl)

    # Pages

    def _delay_s(self) -> float:
        if self._rng.random() >= self._knobs.page_wait:
            return 0.0
        return self._rng.expovariate(1 / self._knobs.page_s) * self.slow_pages

    def _ask(self, page_no: int, read_point: int, pg_lsn: int) -> bytes | None:
        image = self.nodes.read(page_no, read_point, pg_lsn, self._rng)
        if image is COLLECTED:
            self._collected(read_point)
        return image

    def _pg_lsn(self, page_no: int) -> int:
        return self.last_of_pg.get(page_no // self.nodes.pages_per_pg, 0)

    def _over(self, read_point: int) -> None:
        self.reads[read_point] -= 1
        if not self.reads[read_point]:
            del self.reads[read_point]

    def read_page(self, page_no: int) -> bytes | None:
        """The page as of what is applied now; a node answers some time later, and the answer takes a while."""
        give_up_s = self._now_s() + PATIENCE_S
        while True:
            read_point, pg_lsn = self.vdl, self._pg_lsn(page_no)
            self.reads[read_point] += 1
            try:
                self._wait(self._delay_s())
                image = self._ask(page_no, read_point, pg_lsn)
                self._wait(self._delay_s())
            finally:
                self._over(read_point)
            if image is not COLLECTED:
                return image
            if self._now_s() > give_up_s:
                raise IoError(f"could not read page {page_no} of the volume: no storage node answers for it")
            HUB.sleep(AGAIN_S)

    @staticmethod
    def _wait(seconds: float) -> None:
        if seconds and HUB.in_greenlet():
            HUB.sleep(seconds)

    async def read_pages(self, page_nos: Sequence[int]) -> list[bytes | None]:
        """The same for several; those that are collected are asked for once more at a newer point."""
        found: dict[int, bytes | None] = {}
        while missing := [page_no for page_no in page_nos if page_no not in found]:
            read_point = self.vdl
            pg_lsns = [self._pg_lsn(page_no) for page_no in missing]
            self.reads[read_point] += 1
            try:
                await Delay(self._delay_s())
                for page_no, pg_lsn in zip(missing, pg_lsns, strict=True):
                    image = self._ask(page_no, read_point, pg_lsn)
                    if image is not COLLECTED:
                        found[page_no] = image
                await Delay(self._delay_s() + AGAIN_S)
            finally:
                self._over(read_point)
        return [found[page_no] for page_no in page_nos]

    # What a reader's sessions ask

    def flush_soon(self, reason: str = "") -> None:
        """There is nothing to flush."""

    def when_durable(self, lsn: Lsn, done: Done) -> None:
        """Call ``done(None)`` once ``lsn`` is applied."""
        if self.vdl >= lsn:
            done(None)
        else:
            self._waiting.append((lsn, done))

    def wait_durable(self, lsn: Lsn) -> None:
        """Wait until ``lsn`` is applied."""
        if self.vdl < lsn:
            waiter = Waiter()
            self.when_durable(lsn, waiter.wake)
            HUB.wait(waiter)

    def holds_back(self, _now_s: float) -> bool:
        """A reader shows what is applied."""
        return False

    def when_sure(self, done: Done) -> None:
        """It always is."""
        done(None)

    def reserve(self, nbytes: int) -> None:
        """A reader logs nothing."""
        raise ReadOnlySqlTransaction("cannot write to the volume during recovery")

    def ensure_pages(self, upto_page: int) -> None:
        """See ``reserve``."""
        self.reserve(0)
