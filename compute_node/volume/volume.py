"""The volume as the rest of the compute node sees it: a redo log that becomes durable, and pages to read.

::

    RedoLog ── flush_soon ─► [end of loop turn] Flusher ─► WriterCore ─► six NodeStreams
    on_vdl ◄── VDL advanced ◄── tracker ◄── acks ◄─────────────────────────┘
      └► durable_callbacks, when_durable, wait_durable, reserve

All methods run on the event loop's thread; ``reserve``, ``wait_durable`` and ``read_page`` in a session greenlet.

Flushes have no timer. A flush is armed by a commit, a waiter or 64 KiB of log and runs at the end of the loop's turn,
or later where ``Flusher`` has a reason. Only what nobody waits for is left to the housekeeping round (100 ms), which
also tells idle nodes the VDL and asks lagging ones for theirs.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from aurora.errors import AdminShutdown, CrashShutdown, InvariantViolation, SqlError
from aurora.geometry import Descriptor, Member
from aurora.histogram import Histogram
from aurora.ids import NO_LSN, Lsn, PageNo
from aurora.kernels import mtr
from compute_node.hub import HUB, Waiter
from compute_node.volume import driver
from compute_node.volume.doubt import Doubt
from compute_node.volume.durable import Done, DurableQueue
from compute_node.volume.fleet import AskStates, Fleet, SendDescriptor
from compute_node.volume.flusher import FLUSH_BYTES, Flushed, Flusher
from compute_node.volume.messages import Requests
from compute_node.volume.monitor import Monitor
from compute_node.volume.points import RestorePoints
from compute_node.volume.reads import PageReader
from compute_node.volume.recovery import LAL_BYTES, Recovered, Superseded
from compute_node.volume.streams import NodeStream
from compute_node.volume.writer_core import WriterCore

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.kernels.python.mtr import RedoLog, Run
    from aurora.rpc import storage_pb2 as pb


logger = logging.getLogger(__name__)

HOUSEKEEPING_S: Final = 0.1
REPLACE_AFTER_S: Final = 30.0
AWAY_AFTER_S: Final = 600.0
HEARTBEAT_ROUNDS: Final = 10
"""Every so many housekeeping rounds each idle node hears from its writer, and the writer whether it is fenced."""


def _nobody() -> int:
    return 0


class VolumeNotFound(SqlError):
    """The storage nodes hold no volume yet: ``Volume.create`` one."""

    sqlstate = "55000"


class ReadBehind(Exception):
    """The volume's log goes on beyond what was read of it: caches and counters are of an older end."""


class Volume:
    """An open volume. Made by ``Volume.open``.

    ``log`` is the open end of the log. ``fenced``: a newer writer has taken over; ``broken``: work in the background
    met a defect. With either it is ``over``: nothing is acknowledged any more, sessions get ``over_error``.
    ``read_only``: only three nodes could be fenced; reads work, ``reserve`` waits for a fourth.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        writer_id: str,
        in_flight_max: int = 1,
        replace_after_s: float = REPLACE_AFTER_S,
        away_after_s: float = AWAY_AFTER_S,
    ) -> None:
        self.descriptor = descriptor
        self.writer_id = writer_id
        self.requests = Requests(descriptor.volume_id, writer_id)
        self.recovered: Recovered
        self.core: WriterCore
        self.log: RedoLog
        self.read_only = True
        self.fenced = False
        self.broken = False
        self.over = False
        """Nothing is acknowledged any more, and nothing read: it is fenced, broken or closed."""
        self.vdl = NO_LSN
        self.durable_callbacks: list[Callable[[int], None]] = []
        """Called with the new VDL each time it has advanced, before those who wait for it are woken."""
        self.on_over: Callable[[], None] | None = None
        """Called when it is over."""
        self.on_writable: Callable[[], None] | None = None
        """Called when a volume that was opened for reading is open for writing."""
        self.flushed: Callable[[list[Run]], None] | None = None
        """Told of each flush's runs: the feed of readers; set before the volume is written to."""
        self.siblings: Callable[[], int] = _nobody
        """How many transactions are writing and have not committed."""
        self.pgmrpl_source: Callable[[], int] | None = None
        """Lowest read point that others (replicas, cursors) still need; None: the VDL."""
        self.fleet: Fleet
        self.monitor: Monitor
        self._patience_s = replace_after_s, away_after_s
        self.streams: list[NodeStream] = []
        self._meet(descriptor.nodes)
        self.reader = PageReader(self)
        self.flush_seconds = Histogram()
        """From a flush to its durability on a write quorum."""
        self.read_seconds = Histogram()
        self._flushed: deque[tuple[int, float]] = deque()
        self._in_flight_max = in_flight_max
        self._durable = DurableQueue()
        self.doubt = Doubt(monotonic())
        self.closed = False
        self._space: OrderedDict[Waiter, int] = OrderedDict()
        """Who waits for log space, in turn, and for how many bytes; one that is cancelled leaves."""
        self._loop = asyncio.get_running_loop()
        self._armed = False
        self._flusher: Flusher
        self._growing: dict[Waiter, None] = {}
        """Who waits for the volume to grow; one that is cancelled leaves."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._points = RestorePoints(self)

    @staticmethod
    async def create(
        members: Sequence[Member], pages_per_pg: int, volume_id: bytes | None = None, tails: bool = False
    ) -> Descriptor:
        """See ``driver.create``."""
        return await driver.create(members, pages_per_pg, volume_id, tails)

    @classmethod
    async def open(
        cls,
        storage_addresses: Sequence[str],
        writer_id: str,
        *,
        in_flight_max: int = 1,
        read_only_after_s: float | None = None,
        find_timeout_s: float = 60.0,
        replace_after_s: float = REPLACE_AFTER_S,
        away_after_s: float = AWAY_AFTER_S,
    ) -> Volume:
        """Find the volume, fence older writers, recover, and begin to stream.

        Waits for four nodes without limit; with ``read_only_after_s`` it opens for reading with three after that
        time, and for writing when a fourth comes. Should that one know of more log than was read, all of it
        unacknowledged, the volume is broken (``ReadBehind``): the process is to start again.

        Raises ``VolumeNotFound`` (55000), ConnectionFailure (08006) when no read quorum answers within
        ``find_timeout_s``, AdminShutdown (57P01) when another writer takes over meanwhile.
        """
        descriptor = await driver.find(storage_addresses, find_timeout_s)
        if descriptor is None:
            raise VolumeNotFound("the storage nodes hold no volume")
        # Unique to this incarnation: the fence must shut out an older self as well.
        volume = cls(descriptor, f"{writer_id}/{uuid.uuid4().hex[:12]}", in_flight_max, replace_after_s, away_after_s)
        try:
            await volume._recover(read_only_after_s)
        except BaseException:
            await volume.close()
            raise
        volume.background(volume._housekeeping())
        return volume

    async def _recover(self, read_only_after_s: float | None) -> None:
        try:
            recovered = await driver.recover(self.descriptor, self._calls_of, read_only_after_s)
        except Superseded as error:
            raise AdminShutdown("terminating connection due to administrator command", detail=str(error)) from error
        self.recovered, self.descriptor = recovered, recovered.descriptor
        self.vdl = recovered.vdl
        if not hasattr(self, "log"):
            self.log = mtr.RedoLog(recovered.next_lsn, recovered.vdl, self.descriptor.pages_per_pg, recovered.pg_last)
        if recovered.read_only:
            self.background(self._upgrade())
            return
        self._start_writing(recovered)

    def _meet(self, members: Sequence[Member]) -> None:
        """Have a stream for each node, at its node index and to its address."""
        kept = 0
        for stream, node in zip(self.streams, members):
            if stream.member.node_id != node.node_id:
                break
            stream.move(node)
            kept += 1
        # While the volume is open nodes are only added. Recovery may begin again with a descriptor that another writer
        # proposed: it has other nodes where the one before had its newest.
        for stream in self.streams[kept:]:
            self.background(stream.close())
        added = [NodeStream(self, index, node) for index, node in enumerate(members) if index >= kept]
        self.streams[kept:] = added

    def _calls_of(self, descriptor: Descriptor) -> list[driver.NodeCalls]:
        self.descriptor = descriptor
        self._meet(descriptor.nodes)
        return [stream.calls for stream in self.streams]

    def _start_writing(self, recovered: Recovered) -> None:
        log = self.log
        log.next_lsn, log.last_lsn, log.last_cpl = recovered.next_lsn, recovered.vdl, recovered.vdl
        log.pg_last.clear()
        log.pg_last.update(recovered.pg_last)
        self.descriptor = recovered.descriptor
        self.core = WriterCore(self.descriptor.volume_id, recovered, self._message, self._in_flight_max)
        self.fleet = Fleet(self.core)
        self.monitor = Monitor(self.core, self.fleet, *self._patience_s)
        self._flusher = Flusher(log, self.core, self.fleet, self._pgmrpl)
        self._flusher.sent = self._sent
        self.read_only = False
        self._adopt(self.descriptor)

    async def _upgrade(self) -> None:
        """Opened with three nodes: recover again for writing, as soon as there are four."""
        try:
            recovered = await driver.recover(self.descriptor, self._calls_of, reading_epoch=self.epoch)
        except Superseded:
            self.fenced = self.over = True
            self._on_over()
            return
        if recovered.vdl < self.vdl:
            raise InvariantViolation(f"VDL {recovered.vdl} after {self.vdl} was read from")
        if recovered.vdl > self.vdl:
            raise ReadBehind(f"the nodes hold log up to {recovered.vdl}, sessions have read up to {self.vdl}")
        self.recovered = recovered
        self._start_writing(recovered)
        if self.on_writable is not None:
            self.on_writable()
        self._wake_space()

    def _message(self, sequence: int, batches: bytes, vdl: int, pgmrpl: int) -> bytes:
        core = self.core
        return self.requests.append(core.epoch, core.descriptor.membership_epoch, sequence, batches, vdl, pgmrpl)

    # Flushing

    def flush_soon(self, reason: str = "") -> None:
        """Flush at the end of this turn of the loop; ``reason`` is for the reader of the caller's code."""
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        try:
            self._flush_pending()
        except Exception as error:
            self.on_defect(error)

    def _flush_pending(self) -> None:
        if self.read_only or self.over:
            self._armed = False
            return
        if self._flusher.lingers(self.siblings, monotonic):
            self._loop.call_soon(self._flush)
            return
        self._armed = False
        flushed = self._flusher.flush()
        if flushed is Flushed.GROW:
            self._step_fleet()
        elif flushed is not Flushed.NOTHING:
            if flushed is Flushed.SENT_FIRST:
                self.flush_soon("what was logged while the volume grew")
            self._flushed.append((self.core.tracker.appended, monotonic()))
            for stream in self.streams:
                stream.pump()

    def _sent(self, runs: list[Run]) -> None:
        if self.flushed is not None:
            self.flushed(runs)

    # The fleet

    def _step_fleet(self) -> None:
        """Carry on what the fleet is changing to."""
        fleet = self.fleet
        effects = fleet.tick()
        self.on_vdl()
        for effect in effects:
            stream = self.streams[effect.node]
            if isinstance(effect, SendDescriptor):
                stream.tell(effect.descriptor)
            elif isinstance(effect, AskStates):
                stream.ask()
        if self.core.descriptor is not self.descriptor:
            self._adopt(self.core.descriptor)

    def _adopt(self, descriptor: Descriptor) -> None:
        self.descriptor = descriptor
        self._meet(self.core.members)
        for stream in self.streams:
            stream.start()

    def on_taken(self, index: int, descriptor: Descriptor) -> None:
        """A node has taken a descriptor."""
        if self.fleet.on_taken(index, descriptor):
            self._adopt(self.core.descriptor)
            self.on_vdl()
            self.flush_soon("the fleet has changed")
            growing, self._growing = self._growing, {}
            for waiter in growing:
                waiter.wake()
            self._step_fleet()
            for stream in self.streams:
                stream.pump()
        elif self.core.vdl > self.vdl:
            self.on_vdl()

    def change_fleet(self, change: Callable[[Fleet], None]) -> None:
        """Ask for a change: ``change`` calls one of the fleet's requests. ChangeRefused when it cannot be made."""
        change(self.fleet)
        self._step_fleet()

    def _pgmrpl(self) -> int:
        lowest: int = self.core.vdl
        reading = self.reader.lowest_read_point()
        if reading is not None:
            lowest = min(lowest, reading)
        if self.pgmrpl_source is not None:
            lowest = min(lowest, self.pgmrpl_source())
        return lowest

    def on_reply(self, index: int, reply: pb.AppendReply) -> None:
        """A stream's reply: the hot path of acks."""
        core = self.core
        if reply.refused_membership:
            core.on_stale(index)
            return
        if core.on_ack(
            index, reply.sequence, [(entry.pg, entry.lsn) for entry in reply.scl], reply.refused_epoch, reply.error
        ):
            self.on_vdl()
        if self._flusher.wanted:
            self.flush_soon("an ack made room")

    def on_vdl(self) -> None:
        """The core's VDL may have advanced: tell everybody."""
        vdl = self.core.vdl
        if vdl > self.vdl:
            try:
                self._advance(vdl)
            except Exception as error:  # whoever has not been told would wait for ever
                self.on_defect(error)

    def _advance(self, vdl: Lsn) -> None:
        self.vdl = vdl
        now_s = monotonic()
        flushed = self._flushed
        while flushed and flushed[0][0] <= vdl:
            self.flush_seconds.observe(now_s - flushed.popleft()[1])
        for callback in self.durable_callbacks:
            callback(vdl)
        self._durable.advance(vdl)
        if self._space:
            self._wake_space()

    def when_durable(self, lsn: Lsn, done: Done) -> None:
        """Call ``done(None)`` once ``lsn`` ≤ VDL (now, if it is), and arm a flush; ``done(error)`` when it is over."""
        if lsn <= self.vdl:
            done(None)
            return
        if self.over:
            done(self.over_error())
            return
        self._durable.add(lsn, done)
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._flush)

    def when_sure(self, done: Done) -> None:
        """Call ``done(None)`` once nothing is held back any more (``holds_back``), ``done(error)`` when it is over."""
        if self.over:
            done(self.over_error())
        else:
            self.doubt.when_sure(done)

    def wait_durable(self, lsn: Lsn) -> None:
        """Wait in a session greenlet until ``lsn`` is durable. ``over_error`` when it is over."""
        if lsn > self.vdl:
            waiter = Waiter()
            self.when_durable(lsn, lambda error: waiter.wake() if error is None else waiter.fail(error))
            HUB.wait(waiter)

    # Log space

    def reserve(self, nbytes: int) -> None:
        """Before an MTR of about ``nbytes``, last thing in its gather phase: wait while the log is too far above the
        VDL.

        Also arms a flush when much log is pending. ``over_error`` when it is over.
        """
        while True:
            if self.over:
                raise self.over_error()
            if not self.read_only:
                if self.log.pending_bytes >= FLUSH_BYTES:
                    self.flush_soon("much log is pending")
                if self.log.next_lsn + nbytes <= self.core.lsn_limit:
                    return
                if nbytes > LAL_BYTES:
                    raise InvariantViolation(f"reservation of {nbytes} bytes")
                self.flush_soon("the log is full")
            waiter = Waiter()
            self._space[waiter] = nbytes
            try:
                HUB.wait(waiter)
            except BaseException:
                self._space.pop(waiter, None)
                self._wake_space()
                raise

    def _wake_space(self) -> None:
        # In turn, and no more than fit: everybody else would only queue again.
        if self.read_only:
            return
        room = self.core.lsn_limit - self.log.next_lsn
        while self._space:
            waiter, nbytes = next(iter(self._space.items()))
            if not waiter.done:  # else it is cancelled and about to leave
                if nbytes > room:
                    return
                room -= nbytes
                waiter.wake()
            del self._space[waiter]

    def ensure_pages(self, upto_page: int) -> None:
        """Before log of pages below ``upto_page`` is first allocated: wait until the volume has their protection
        groups. In the gather phase of an MTR, in a session greenlet. ``over_error`` when it is over.

        The next group is asked for when three quarters of the last are spoken for, so that few ever wait. Log that
        comes without this call is held by the ``Flusher`` until the volume has grown.
        """
        if self.read_only:
            return  # ``reserve`` waits for a write quorum
        ahead = self.descriptor.pg_of(upto_page + self.descriptor.pages_per_pg // 4) + 1
        if ahead > len(self.fleet.committed.groups) and self.fleet.grow(ahead):
            self._step_fleet()
        groups = self.descriptor.pg_of(max(0, upto_page - 1)) + 1
        while groups > len(self.fleet.committed.groups):
            if self.over:
                raise self.over_error()
            waiter = Waiter()
            self._growing[waiter] = None
            try:
                HUB.wait(waiter)
            finally:
                self._growing.pop(waiter, None)

    # Reading

    async def read_pages(self, page_nos: Sequence[PageNo]) -> list[bytes | None]:
        """Pages as of the VDL now: 8192 bytes, or None for a page never written. See ``PageReader.read``."""
        start_s = monotonic()
        pages = await self.reader.read(page_nos)
        self.read_seconds.observe(monotonic() - start_s)
        return pages

    def read_page(self, page_no: PageNo) -> bytes | None:
        """``read_pages`` of one page, in a session greenlet."""
        pages: list[bytes | None] = HUB.await_(self.read_pages((page_no,)))
        return pages[0]

    def pg_last(self, pg: int) -> int:
        """The protection group's last LSN ≤ VDL; 0 when it has none."""
        known = self.recovered.pg_last if self.read_only else self.core.tracker.pg_durable
        return known.get(pg, 0)

    def scl(self, pg: int, index: int) -> int:
        """What segment ``index`` of the group is known to have."""
        if self.read_only:
            return self.recovered.scls.get(index, {}).get(pg, 0)
        return self.core.told_scl(pg, index)

    def connected(self, index: int) -> bool:
        """Whether a stream to the node is up."""
        return not self.read_only and self.core.links[index].connected

    @property
    def volume_id(self) -> bytes:
        """As the descriptor has it."""
        return self.descriptor.volume_id

    @property
    def epoch(self) -> int:
        """The volume epoch of this writer."""
        return self.recovered.epoch

    @property
    def vcl(self) -> int:
        """Volume complete LSN."""
        return self.recovered.vdl if self.read_only else self.core.tracker.vcl

    # Housekeeping

    async def _housekeeping(self) -> None:
        rounds = 0
        flushes = -1
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            now_s = monotonic()
            if self.read_only:
                self.doubt.settle(now_s)
            elif not self.holds_back(now_s):
                self.doubt.beat(now_s)
            if self.read_only or self.over:
                continue
            rounds += 1
            core = self.core
            if self._flusher.pending:
                self.flush_soon("nobody waits for it, but it shall not lie about")
            core.pgmrpl = self._pgmrpl()
            for stream in self.streams:
                stream.watch()
            beat = rounds % HEARTBEAT_ROUNDS == 0
            if beat:
                self._points.tell()
            if beat or flushes == core.flushes:
                core.nudge_idle(beat)
                for stream in self.streams:
                    stream.pump()
            flushes = core.flushes
            for stream in self.streams:
                if core.lagging(stream.index):
                    stream.ask()
            self.monitor.tick(monotonic())
            self._step_fleet()

    # After a pause

    def holds_back(self, now_s: float) -> bool:
        """Whether sessions must show nothing now: this process stood still, and the nodes have not said yet that no
        other writer has opened the volume meanwhile.
        """
        doubt = self.doubt
        if not doubt.is_late(now_s) or self.read_only:
            return False
        if doubt.beat(now_s):
            self.background(self._ask_who_writes())
        return True

    async def _ask_who_writes(self) -> None:
        """Ask the nodes until they settle the doubt, or this writer is found to be superseded."""
        while not self.over:
            core = self.core
            said = await asyncio.gather(*(stream.newest_epoch() for stream in self.streams))
            sure = sum(1 << index for index, epoch in enumerate(said) if epoch is not None and epoch <= core.epoch)
            if core is self.core and core.excludes_others(sure):
                self.doubt.settle(monotonic())
                return
            await asyncio.sleep(HOUSEKEEPING_S)

    def background(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run beside the rest until ``close``. What it raises is a defect: see ``on_defect``."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_defect(error)

    # The end

    def over_error(self) -> SqlError:
        """What sessions get once it is over, and those that wait when it is closed: CrashShutdown (57P02) after a
        defect, else AdminShutdown (57P01).
        """
        if self.broken:
            return CrashShutdown(
                "terminating connection because of a defect in the writer",
                detail="What was not acknowledged may or may not be there after the restart.",
                severity="FATAL",
            )
        return AdminShutdown(
            "terminating connection due to administrator command",
            detail="Another writer has taken over the volume." if self.fenced else "",
            severity="FATAL",
        )

    def check_fenced(self) -> None:
        """Called when a stream ended: has a newer writer taken the write quorum away?"""
        epoch = 0 if self.read_only else self.core.fenced_by()
        if epoch and not self.over:
            logger.warning("this writer (epoch %d) is fenced by epoch %d", self.epoch, epoch)
            self.fenced = self.over = True
            self._on_over()

    def on_defect(self, error: BaseException) -> None:
        """A part that the writer cannot do without has raised: it must not go on half alive."""
        logger.critical("the writer is broken", exc_info=error)
        if not self.over:
            self.broken = self.over = True
            self._on_over()

    def _on_over(self) -> None:
        self._fail_waiters()
        if self.on_over is not None:
            self.on_over()

    def _fail_waiters(self) -> None:
        self._durable.fail(self.over_error())
        self.doubt.fail(self.over_error())
        for waiter in (*self._space, *self._growing):
            waiter.fail(self.over_error())
        self._space.clear()
        self._growing.clear()

    def problems(self) -> str:
        """What is wrong with the nodes, in words."""
        found = [f"{stream.member.node_id}: {stream.problem}" for stream in self.streams if stream.problem]
        return "; ".join(found) or "no node reports a problem"

    @property
    def state(self) -> str:
        """In a word: broken, fenced, closed, read only or open."""
        if self.over:
            return "broken" if self.broken else "fenced" if self.fenced else "closed"
        return "read only" if self.read_only else "open"

    def status(self) -> JsonObject:
        """For ``aurora status``: LSNs, epoch, counters, each protection group's last LSN ≤ VDL, and a list of nodes
        with state, SCL and lag in log bytes.
        """
        committed = self.descriptor if self.read_only else self.fleet.committed
        nodes = []
        for stream, member in zip(self.streams, committed.nodes):
            index = stream.index
            if member.retired:
                continue
            node: JsonObject = {
                "id": stream.member.node_id,
                "az": stream.member.az,
                "address": stream.member.address,
                "state": "unknown",
                "scl": 0,
                "lag_bytes": 0,
                "in_flight": 0,
                "read_latency_ms": round(stream.source.latency.typical_s * 1000, 3),
                "problem": stream.problem,
            }
            if not self.read_only:
                link = self.core.links[index]
                node["state"] = (
                    "fenced"
                    if link.refused_epoch
                    else "down"
                    if not link.connected
                    else "behind"
                    if self.core.lagging(index) or (link.behind and self.core.lag_bytes(index))
                    else "up"
                )
                node["scl"] = max((self.scl(pg, index) for pg in self.core.tracker.pg_durable), default=0)
                node["in_flight"] = link.in_flight
                node["lag_bytes"] = self.core.lag_bytes(index)
            nodes.append(node)
        return {
            "volume_id": self.descriptor.volume_id.hex(),
            "vcl": self.vcl,
            "vdl": self.vdl,
            "next_lsn": self.log.next_lsn,
            "epoch": self.epoch,
            "writer_id": self.writer_id,
            "membership_epoch": self.descriptor.membership_epoch,
            "geometry_epoch": self.descriptor.geometry_epoch,
            "protection_groups": len(self.descriptor.groups),
            "zone_away": committed.zone_away,
            "fleet_changing": not self.read_only and self.fleet.busy,
            "state": self.state,
            "flushes": 0 if self.read_only else self.core.flushes,
            "messages": 0 if self.read_only else self.core.messages,
            "retained_bytes": 0 if self.read_only else self.core.retained_bytes,
            "page_reads": self.reader.reads,
            "page_hedges": self.reader.hedges,
            "pg_durable": self.recovered.pg_last if self.read_only else self.core.tracker.pg_durable,
            "nodes": nodes,
        }

    async def close(self) -> None:
        """Stop streaming and close the channels; what waits for durability fails. Does not flush."""
        self.closed = self.over = True
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*(stream.close() for stream in self.streams), *self._tasks, return_exceptions=True)
        for error in ended[: len(self.streams)]:
            if isinstance(error, Exception):
                logger.error("a stream could not be closed", exc_info=error)
        self._fail_waiters()
