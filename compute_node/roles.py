"""An instance among the others: who writes, whom it follows or who follows it, and when it takes over.

::

    role writer: FeedCore ◄── volume's flushes, VDL     role reader: Following ─► Replica
                    └─► followers                                        └─ ends ─► settle: follow another, or promote

``Place`` owns the instance's service (``protos/compute.proto``) and what is known of the others; ``server`` opens and
closes volumes and engines as it says.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from aurora.cpu import CpuMeter
from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc import storage_pb2 as pb
from aurora.rpc import tls
from aurora.rpc.instances import describe
from aurora.rpc.stream_server import Receiver, ServedStream
from compute_node.config import READER, WRITER, Config
from compute_node.replica.elsewhere import Elsewhere
from compute_node.replica.feed import PACE_S, FeedCore, Follower, LastWord
from compute_node.replica.following import Following, Moved
from compute_node.replica.injected import HeldOutlet, InjectedFailure
from compute_node.replica.known import AVAILABLE, DISCONNECTED, PROMOTING, STARTING, Known, followable, rank
from compute_node.replica.messages import from_proto, states, topology
from compute_node.replica.replica import Replica
from compute_node.replica.service import FOLLOWERS_MAX, InstanceService
from compute_node.replica.topology import InstanceState
from compute_node.txn.horizon import Holds
from compute_node.volume.volume import Volume

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.forward.reader import ReaderForwarder


LOGGER = logging.getLogger(__name__)

TELL_S: Final = 0.5
"""How often the writer tells its followers who is who: also the sign that it lives."""
ASK_TIMEOUT_S: Final = 0.5
ASK_AGAIN_S: Final = 0.05
HESITATE_S: Final = 1.5
"""How long a reader waits for a better one to take over."""
ALIVE_S: Final = 2.0
"""A follower that has told something within this time lives; it tells ten times a second."""
NAME_TAKEN_S: Final = 3.0
"""How long an instance tries to follow while another process has its name: that one may be about to be missed."""
COMING_S: Final = 3.0
"""How long an instance that has just begun, and follows nobody, waits for others to be there."""


class NameTaken(Exception):
    """Another process is the instance of this name; the message says where."""


class Place:
    """``now_us`` gives µs since 2000-01-01 UTC. ``promote`` and ``step_down`` are the server's."""

    def __init__(
        self,
        config: Config,
        now_us: Callable[[], int],
        promote: Callable[[str], Awaitable[cpb.PromoteReply]],
        step_down: Callable[[str], Awaitable[cpb.StepDownReply]],
    ) -> None:
        self.config = config
        me = InstanceState(
            config.id,
            READER,
            state=STARTING,
            promotion_tier=config.promotion_tier,
            session_id=str(uuid.uuid4()),
            started_us=now_us(),
        )
        self.known = Known(me, config.peers)
        self.known.refresh = self.me
        self.feed: FeedCore | None = None
        self._feed: FeedCore
        """Of the volume that is open, served or not."""
        self.replica: Replica | None = None
        self.following: Following | None = None
        self.promote = promote
        self.step_down = step_down
        self.cancel: Callable[[int, int], bool] = lambda pid, secret: False
        """Cancels a session here; see ``InstanceCalls``."""
        self.use_database: Callable[[int], Awaitable[cpb.UseDatabaseReply]] = self._writes_none
        """Of the writer; see ``InstanceCalls``."""
        self.elsewhere = Elsewhere(self.known)
        self._taken_s: float | None = None
        """Since when another process has this instance's name."""
        self._now_us = now_us
        self._cpu = CpuMeter()
        self._volume: Volume | None = None
        self._storage: Storage | None = None
        self._descriptor: object = None
        self._send_armed = False
        self._sent_s = 0.0
        self._service: InstanceService | None = None
        self.injected = InjectedFailure(monotonic, random.random)
        """failures of replication that somebody asks for"""
        self._ticking: asyncio.Task[None] | None = None
        self._word = LastWord()
        """Of the writer that this instance followed last."""
        self._early: list[cpb.Log] = []
        self._sink: Callable[[cpb.Log], None] = self._early.append
        self.lost = asyncio.Event()
        """The stream from the writer has ended."""
        self.forwarder: ReaderForwarder | None = None
        """of this reader"""
        self.take_forwarded: Callable[[ServedStream], Receiver] | None = None
        """serves a reader's session; None while nobody is served"""

    async def start(self) -> None:
        """Answer the other instances, if they are to find this one."""
        if self.config.feed_listen:
            self._service = InstanceService(self, tls.identity(), self.config.storage_secret)
            address = await self._service.start(self.config.feed_listen)
            self.known.me = replace(self.known.me, feed_address=address, stream_port=self._service.stream_port)
        self._ticking = asyncio.ensure_future(self._tick())

    async def close(self) -> None:
        """Leave."""
        if self._ticking is not None:
            self._ticking.cancel()
        self.elsewhere.close()
        if self.following is not None:
            self.following.close()
        if self.feed is not None:
            self.feed.close()
        if self._service is not None:
            await self._service.close()

    # This instance

    def be(self, **changes: object) -> None:
        """It has another role, state or address now."""
        self.known.me = replace(self.known.me, **changes)  # type: ignore[arg-type]

    def me(self) -> InstanceState:
        """This instance, now."""
        changes: dict[str, object] = {"last_update_us": self._now_us(), "cpu_percent": self._cpu.percent()}
        volume, replica = self._volume, self.replica
        if volume is not None:
            changes |= {"applied_lsn": volume.vdl, "epoch": volume.epoch}
        if replica is not None:
            changes["lag_us"] = replica.lag_now_us
        if self._storage is not None:
            changes["oldest_read_lsn"] = self._storage.row_horizon()
        self.be(**changes)
        return self.known.me

    def topology(self) -> cpb.Topology:
        """See ``InstanceCalls``."""
        told = topology(self.me(), {state.id: state for state in self.known.instances()})
        if self.feed is not None:
            told.held.extend(self.feed.holding(monotonic()))
        return told

    def forget(self, instance_id: str) -> None:
        """See ``InstanceCalls``."""
        self.known.forget(instance_id)

    # Writing

    def opened(self, volume: Volume) -> None:
        """This instance has opened the volume for writing, and nothing is logged yet: a follower will need all that
        is. What the writer before held for its readers is held on."""
        feed = self._feed = FeedCore(volume.vdl, volume.epoch, Holds(), self._now_us)
        if self._service is not None:
            feed.expect(self._word, monotonic())
            volume.flushed = feed.flushed
            volume.durable_callbacks.append(lambda vdl: feed.advance(Lsn(vdl)))
            volume.pgmrpl_source = lambda: feed.read_point(volume.vdl)

    def opens(self, storage: Storage) -> None:
        """The storage of the opened volume is there, and has removed nothing yet."""
        self._feed.hold_in(storage.txns.holds)

    def writes(self, volume: Volume, storage: Storage) -> None:
        """This instance writes: it feeds who follows."""
        self._volume, self._storage, self.replica = volume, storage, None
        self._descriptor = volume.descriptor
        feed = self.feed = self._feed
        feed.removed_below = lambda: storage.txns.removed_below
        self.be(role=WRITER, state=AVAILABLE, lag_us=-1)
        if self._service is None:
            return  # nobody can find it

        def durable(vdl: int) -> None:
            if volume.descriptor is not self._descriptor:
                self._tell_descriptor(volume)
            if feed.waiting and not self._send_armed:
                pause_s = self._sent_s + PACE_S - monotonic()
                if pause_s <= 0:
                    self._send()
                else:
                    self._send_armed = True
                    asyncio.get_running_loop().call_later(pause_s, self._send)

        volume.durable_callbacks.append(durable)

    def _send(self) -> None:
        self._send_armed, self._sent_s = False, monotonic()
        if self.feed is not None:
            self.feed.send()

    def _tell_descriptor(self, volume: Volume) -> None:
        self._descriptor = volume.descriptor
        if self.feed is not None:
            self.feed.tell(cpb.FollowReply(descriptor=_descriptor_bytes(volume)).SerializeToString())

    def steps_back(self) -> None:
        """This instance writes no more, and follows nobody yet."""
        feed, self.feed = self.feed, None
        if feed is not None:
            feed.close()
        self._storage = None
        self._early = []
        self._sink = self._early.append
        self.be(role=READER, state=STARTING)

    def follow(self, stream: ServedStream) -> _Reader:
        """See ``InstanceCalls``."""
        return _Reader(self, stream)

    def forward(self, stream: ServedStream) -> Receiver | None:
        """See ``InstanceCalls``."""
        return None if self.take_forwarded is None else self.take_forwarded(stream)

    def is_writing(self, volume_id: bytes) -> bool:
        """Whether this instance writes that volume."""
        volume = self._volume
        if self.feed is None or volume is None or volume.over or volume.read_only:
            return False
        return bool(volume.descriptor.volume_id == volume_id)

    def joins(self, stream: ServedStream, request: cpb.FollowRequest) -> Follower | None:
        """A reader introduces itself; None: this is not the writer."""
        feed, volume, storage = self.feed, self._volume, self._storage
        if feed is None or volume is None or storage is None or volume.over or volume.read_only:
            writer = self.known.writer()
            moved = cpb.Moved()
            if writer is not None and writer.id != self.known.me.id:
                moved = cpb.Moved(writer_feed_address=writer.feed_address, writer_id=writer.id)
            stream.send(cpb.FollowReply(moved=moved).SerializeToString())
            return None
        problem = self._refusal(request, feed, volume)
        taken = self._who_has_its_name(request, feed)
        if problem or taken:
            LOGGER.info("reader %s is sent away: %s", request.self.id, problem or taken)
            stream.send(cpb.FollowReply(moved=cpb.Moved(problem=taken)).SerializeToString())
            return None
        state = from_proto(request.self)
        LOGGER.info("reader %s follows from %d", state.id, request.resume_lsn)
        self.known.told([replace(state, last_update_us=self._now_us())], monotonic())

        def details(begin: cpb.Begin) -> None:
            begin.first_xid = storage.txns.first_xid
            begin.descriptor = _descriptor_bytes(volume)
            for xid, relation in storage.locks.exclusive_at(volume.vdl):
                begin.locks.add(xid=xid, relations=[relation])

        outlet = HeldOutlet(stream, self.injected, state.id, asyncio.get_running_loop().call_later)
        follower = feed.join(
            state,
            outlet,
            Lsn(request.resume_lsn),
            Lsn(request.row_horizon),
            volume.core.tracker.pg_durable,
            volume.vdl,
            details,
            monotonic(),
        )
        stream.send(cpb.FollowReply(topology=self.topology()).SerializeToString())
        return follower

    @staticmethod
    def _refusal(request: cpb.FollowRequest, feed: FeedCore, volume: Volume) -> str:
        """Why a reader may not follow; empty when it may. One that has just begun knows of no volume."""
        if request.volume_id not in (b"", volume.descriptor.volume_id):
            return "it reads another volume"
        if not request.self.id:
            return "it has no name"
        if len(feed.followers) >= FOLLOWERS_MAX and request.self.id not in feed.followers:
            return f"{FOLLOWERS_MAX} follow already"
        return ""

    def _who_has_its_name(self, request: cpb.FollowRequest, feed: FeedCore) -> str:
        """The other living process of a reader's name, in words; empty: there is none. Who is there stays: it has
        sessions, and the one that comes has none."""
        me, it = self.known.me, request.self
        if it.id == me.id:
            return f"{it.id} is the name of the writer, at {me.sql_address}; start this one with another --id"
        there = feed.followers.get(it.id)
        if there is None or there.state.session_id == it.session_id or monotonic() - there.heard_s > ALIVE_S:
            return ""
        where = there.state.sql_address
        return f"another process is {it.id} already, at {where}; stop that one, or start this one with another --id"

    def hears(self, follower: Follower, request: cpb.FollowRequest) -> None:
        """A follower tells how far it is."""
        feed = self.feed
        if feed is not None:
            state = replace(from_proto(request.self), feed_bytes=follower.sent_bytes, last_update_us=self._now_us())
            feed.heard(follower, state, Lsn(request.row_horizon), Lsn(request.read_point), monotonic())
            self.known.told([state], monotonic())

    def leaves(self, follower: Follower) -> None:
        """A follower's stream has ended."""
        self.known.lost(follower.state.id)
        if self.feed is not None:
            self.feed.cut(follower)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            now_s = monotonic()
            self.known.tick(now_s)
            if self.feed is not None:
                self.feed.tick(now_s)
                if self.feed.followers:
                    self.feed.tell(cpb.FollowReply(topology=self.topology()).SerializeToString())

    # Following

    def cut(self) -> None:
        """End the stream: it does not go on from what is applied."""
        following, self.following = self.following, None
        if following is not None:
            following.close()
        self._ended("it has a gap")

    def hold_back(self, much: bool) -> None:
        """More log has come than is applied: read no further for now."""
        if self.following is not None:
            self.following.pause(much)

    def deliver(self, sink: Callable[[cpb.Log], None]) -> None:
        """Give the stream's log to ``sink``: what has come already, and what comes."""
        early, self._early = self._early, []
        self._sink = sink
        for log in early:
            sink(log)

    async def connect(self, writer: InstanceState) -> cpb.Begin:
        """Follow the writer from where this instance is. ConnectionError; Moved; NameTaken."""
        self.lost.clear()
        replica = self.replica
        following = Following(self.me, lambda log: self._sink(log), self._heard, self._redescribed, self._ended)
        try:
            begin = await following.connect(
                writer.feed_address.rpartition(":")[0].strip("[]"),
                writer.stream_port,
                Lsn(0) if replica is None else replica.received_lsn,
                Lsn(0) if replica is None else replica.needs()[0],
                b"" if replica is None else replica.volume.descriptor.volume_id,
            )
        except Moved as moved:
            self._mind_the_name(moved)
            raise
        self._taken_s = None
        self.following = following
        return begin

    def _mind_the_name(self, moved: Moved) -> None:
        """NameTaken when another process has had this one's name for too long."""
        if not moved.problem:
            self._taken_s = None
            return
        now_s = monotonic()
        if self._taken_s is None:
            self._taken_s = now_s
            LOGGER.warning("%s", moved.problem)
        if now_s - self._taken_s > NAME_TAKEN_S:
            raise NameTaken(moved.problem)

    def reads(self, volume: Volume, storage: Storage, replica: Replica) -> None:
        """This instance follows."""
        self._volume, self._storage, self.replica, self.feed = volume, storage, replica, None
        self.be(role=READER, state=AVAILABLE)
        replica.hold_back = self.hold_back
        if self.following is not None:
            self.following.keep_telling(replica.needs)

    def _heard(self, told: cpb.Topology) -> None:
        self._word = LastWord(told.held, told.epoch, monotonic())
        self._told(told)
        if self.replica is not None:
            self.replica.measured(Lsn(told.self.applied_lsn), told.self.last_update_us)

    def _told(self, told: cpb.Topology) -> None:
        self.known.told(states(told.instances).values(), monotonic())
        writer = self.known.writer()
        if self.replica is not None and writer is not None and writer.role == WRITER:
            self.replica.told(writer.applied_lsn)

    def _redescribed(self, descriptor: bytes) -> None:
        if self.replica is not None:
            self.replica.redescribed(descriptor)

    def _ended(self, reason: str) -> None:
        LOGGER.warning("the stream from the writer has ended: %s", reason)
        self.following = None
        self.be(state=DISCONNECTED)
        self.lost.set()
        if self.forwarder is not None:
            self.forwarder.writer_lost(f"the stream from the writer has ended: {reason}")

    # Who writes

    async def _ask_all(self) -> list[InstanceState]:
        """The instances that answer now, this one not among them."""

        async def ask(address: str) -> InstanceState | None:
            try:
                told = await describe(address, timeout_s=ASK_TIMEOUT_S)
            except ConnectionError:
                return None
            self._told(told)
            return from_proto(told.self)

        asked: set[str] = set()
        found: list[InstanceState | None] = []
        while new := self.known.addresses - asked:  # who is asked tells of more
            asked |= new
            found += await asyncio.gather(*(ask(address) for address in new))
        # One that has this one's name is another process all the same, and may be the writer.
        answering = [state for state in found if state is not None and state.session_id != self.known.me.session_id]
        self.known.told(answering, monotonic())
        for instance_id in set(self.known.others) - {state.id for state in answering}:
            self.known.lost(instance_id)
        return answering

    async def writer_among_others(self) -> InstanceState | None:
        """Another instance that says that it writes, or is about to; one look."""
        answering = await self._ask_all()
        writing = [state for state in answering if state.role == WRITER or state.state == PROMOTING]
        return max(writing, key=lambda state: state.epoch, default=None)

    async def _writes_none(self, _oid: int) -> cpb.UseDatabaseReply:
        return cpb.UseDatabaseReply(problem=f"{self.config.id} does not write")

    async def settle(self) -> InstanceState | None:
        """Find out whom to follow; None: this instance is to take over."""
        began_s = monotonic()
        while True:
            answering = await self._ask_all()
            writer = followable(answering, 0 if self._volume is None else self._volume.epoch)
            if writer is not None:
                return writer
            waited_s = monotonic() - began_s
            if not any(state.state == PROMOTING for state in answering):
                me = self.me()
                readers = [state for state in answering if state.role != WRITER]
                ready = [state for state in (*readers, me) if state.state in (AVAILABLE, DISCONNECTED)]
                best = min(ready or [*answering, me], key=rank)
                patient_s = COMING_S if not ready else HESITATE_S
                if (best is me and ready) or waited_s > patient_s:
                    return None
            await asyncio.sleep(ASK_AGAIN_S)


class _Reader:
    """One reader's stream, on the writer."""

    def __init__(self, place: Place, stream: ServedStream) -> None:
        self._place = place
        self._stream = stream
        self._follower: Follower | None = None

    def received(self, message: bytes) -> None:
        """See ``Receiver``."""
        try:
            request = cpb.FollowRequest.FromString(message)
        except DecodeError:
            LOGGER.info("a follower is sent away: what it says is no request")
            self._stream.close()
            self.ended()
            return
        if self._follower is not None:
            self._place.hears(self._follower, request)
            return
        self._follower = self._place.joins(self._stream, request)
        if self._follower is None:
            self._stream.finish()

    def read_done(self) -> None:
        """See ``Receiver``."""

    def ended(self) -> None:
        """See ``Receiver``."""
        if self._follower is not None:
            self._place.leaves(self._follower)


def _descriptor_bytes(volume: Volume) -> bytes:
    made: bytes = volume.descriptor.to_proto(pb.Descriptor()).SerializeToString()
    return made
