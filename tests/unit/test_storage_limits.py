"""Limits of a node: a full disk, memory, queues, slow syncs. It refuses and says so; the rest carries on."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from storage_tools import VOLUME, Net, StepClock, Writer, append, descriptor, make_node, read

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.sim.disk import SimDisk
from compute_node.volume.recovery import Recovered
from compute_node.volume.writer_core import WriterCore
from storage_node import admission
from storage_node.admission import Admission
from storage_node.append import APPEND_LOG, READ_STREAM, Appends, LogPort
from storage_node.config import NodeConfig
from storage_node.limits import APPENDS_SHARE
from storage_node.node import StorageNode
from storage_node.page_reads import PageReads
from storage_node.server import NodeServer
from storage_node.service import AppendStream
from tests.log_rule import DISK_REFUSES

pytestmark = pytest.mark.logs(
    DISK_REFUSES, r"storage_node\.(node: node n0: memory limit|append: (append )?stream ended)"
)


def _state(node: StorageNode[int]) -> tuple[str, str]:
    status = node.on_status(pb.StatusRequest())
    return status.state, status.note


def _check(node: StorageNode[int], writer: Writer, lsn: int) -> None:
    for page_no in range(writer.pages):
        assert read(node, writer, page_no, lsn).image == writer.at(page_no, lsn), page_no


# --- disk


def test_one_full_disk_among_six_refuses_and_catches_up_when_there_is_room() -> None:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(6)}
    nodes = {name: make_node(disk, clock, name) for name, disk in disks.items()}
    net = Net(nodes, clock)
    writer = Writer(random.Random(1), pages=50)
    full = disks["n0"]
    for turn in range(20):
        if turn == 5:
            full.capacity_bytes = sum(full.size(name) for name in full.list()) + 100
        frames = writer.frames(20)
        replies = {name: append(node, frames, vdl=writer.log.last_lsn) for name, node in nodes.items()}
        taken = [name for name, reply in replies.items() if not reply.error]
        assert taken == sorted(nodes) if turn < 5 else taken == [f"n{i}" for i in range(1, 6)]
        net.tick(2)
    state, note = _state(nodes["n0"])
    assert state == "refusing"
    assert "No space" in note
    lsn = writer.log.last_lsn
    full.capacity_bytes = None
    net.tick(40)
    assert _state(nodes["n0"]) == ("serving", "")
    for node in nodes.values():
        _check(node, writer, lsn)


class NoMeta(SimDisk):
    """Has room for everything but files written as a whole."""

    full = True

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk``."""
        if self.full:
            raise OSError(28, "No space left on device")
        super().write_atomic(name, data)


def test_log_is_kept_until_the_meta_file_says_that_it_is_collected() -> None:
    clock, disk = StepClock(), NoMeta()
    disk.full = False
    node = make_node(disk, clock, coalesce_log_mb=0.001, log_file_mb=0.002)
    net = Net({"n0": node}, clock)
    writer = Writer(random.Random(2), pages=20)
    append(node, writer.frames(5))
    disk.full = True
    for _ in range(10):
        append(node, writer.frames(20), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    lsn = writer.log.last_lsn
    net.tick(30)
    assert _state(node)[0] == "refusing"
    assert node.segments[0].collected_lsn > 0
    copy = make_node(disk.crash(random.Random(2)), clock)
    assert copy.segments[0].collected_lsn == 0
    _check(copy, writer, lsn)
    disk.full = False
    net.tick(30)  # nothing new comes; what was collected is remembered all the same
    assert _state(node) == ("serving", "")
    assert node.meta.value.segments[0].collected_lsn == lsn
    assert node.log.total_bytes < 4_000
    _check(make_node(disk.crash(random.Random(2)), clock), writer, lsn)


def test_what_is_collected_can_be_deleted_on_a_full_disk() -> None:
    clock, disk = StepClock(), SimDisk()
    node = make_node(disk, clock, coalesce_log_mb=0.001, log_file_mb=0.002)
    net = Net({"n0": node}, clock)
    writer = Writer(random.Random(3), pages=20)
    for _ in range(5):  # every page is stored, so that the page files have their sizes
        append(node, writer.frames(300), vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        net.tick(20)
    for _ in range(10):
        append(node, writer.frames(20), vdl=writer.log.last_lsn, pgmrpl=0)
    disk.capacity_bytes = sum(disk.size(name) for name in disk.list()) + 64  # a number in the meta file may grow
    assert append(node, writer.frames(20)).error
    held_bytes = node.log.total_bytes
    node.on_advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", pgmrpl=writer.log.last_lsn))
    net.tick(60)
    assert node.log.total_bytes < held_bytes / 2


# --- memory


def _flood(node: StorageNode[int], writer: Writer, pgmrpl: int, turns: int) -> list[bytes]:
    """Append until the node refuses; the frames that it refused."""
    for _ in range(turns):
        frames = writer.frames(100)
        if append(node, frames, vdl=writer.log.last_lsn, pgmrpl=pgmrpl).error:
            return frames
    raise AssertionError("the node takes log without end")


def test_an_index_that_cannot_be_coalesced_makes_the_node_refuse() -> None:
    clock = StepClock()
    nodes = {f"n{i}": make_node(SimDisk(), clock, f"n{i}", coalesce_log_mb=1000) for i in range(2)}
    net = Net(nodes, clock)
    writer = Writer(random.Random(4), pages=200)
    node = nodes["n0"]
    node.memory.limit_bytes = 300_000
    nodes["n1"].memory.limit_bytes = 1 << 30
    frames = writer.frames(10)
    for each in nodes.values():
        append(each, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    held = writer.log.last_lsn
    for _ in range(100):
        frames = writer.frames(50)
        replies = [append(each, frames, vdl=writer.log.last_lsn, pgmrpl=held).error for each in nodes.values()]
        net.tick(1)
        if replies[0]:
            break
    else:
        raise AssertionError("the node takes log without end")
    assert "n0: memory limit" in replies[0]
    assert not replies[1]
    assert _state(node) == ("refusing", replies[0])
    assert node.memory.bytes < 310_000
    net.tick(20)
    assert node.memory.bytes < 310_000  # nor does gossip fill it further
    before = node.segments[0].collected_lsn
    for each in nodes.values():
        each.on_advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", pgmrpl=writer.log.last_lsn))
    net.tick(100)  # it is pressed: it coalesces long before its log has the size at which it would otherwise
    assert node.segments[0].collected_lsn > before
    assert _state(node) == ("serving", "")
    _check(node, writer, writer.log.last_lsn)


def test_log_that_fills_a_gap_is_taken_while_appends_are_refused() -> None:
    node = make_node(SimDisk())
    writer = Writer(random.Random(5), pages=50)
    gap, rest = writer.frames(3), writer.frames(400)
    append(node, rest)
    node.memory.measure(node.segments.values())
    node.memory.limit_bytes = int(node.memory.bytes / (APPENDS_SHARE + 0.05))
    assert "memory limit" in append(node, writer.frames(1)).error
    node.take_log(0, b"".join(gap))
    assert node.segments[0].scl == writer.lsns[0][402]


def test_the_estimate_of_the_index_follows_it_up_and_down() -> None:
    clock = StepClock()
    node = make_node(SimDisk(), clock, coalesce_log_mb=0.001)
    net = Net({"n0": node}, clock)
    writer = Writer(random.Random(6), pages=100)
    assert node.memory.bytes == 0
    append(node, writer.frames(2000))
    while node.segments[0].index(8):
        pass
    node.memory.measure(node.segments.values())
    chains = node.segments[0].chains
    assert node.memory.bytes > sum(16 * len(chain) // 2 + 64 for chain in chains.values())
    node.on_advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1",
                                      vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn))  # fmt: skip
    net.tick(40)
    assert node.segments[0].collected_lsn == writer.lsns[0][-1]
    assert node.memory.bytes < 2_000


def test_memory_that_leaves_no_room_for_an_index_is_refused_at_the_start() -> None:
    with pytest.raises(InvariantViolation, match="memory_mb is 64"):
        NodeConfig(memory_mb=64)


# --- queues


def test_admission_is_first_come_first_served_and_bounded() -> None:
    async def run() -> None:
        room = Admission(10)
        order: list[int] = []

        async def take(number: int, amount: int) -> None:
            await room.enter(amount)
            order.append(number)

        tasks = [asyncio.ensure_future(take(i, amount)) for i, amount in enumerate((6, 6, 2, 20, 1))]
        await asyncio.sleep(0)
        assert (order, room.held, room.waiting) == ([0], 6, 4)
        tasks[1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, room.held) == ([0, 2], 8)  # the big one waits for an empty room, and the last behind it
        room.leave(6)
        room.leave(2)
        await asyncio.sleep(0)
        assert (order, room.held) == ([0, 2, 3], 20)
        room.leave(20)
        await asyncio.sleep(0)
        room.leave(1)
        assert (order, room.held, room.waiting) == ([0, 2, 3, 4], 0, 0)

    asyncio.run(run())


def test_a_caller_that_goes_away_as_room_is_made_lets_the_next_in() -> None:
    async def run() -> None:
        room = Admission(1)
        await room.enter(1)
        gone = asyncio.create_task(room.enter(1))
        after = asyncio.create_task(room.enter(1))
        await asyncio.sleep(0)
        gone.cancel()
        room.leave(1)  # before the one that was cancelled has woken up
        with pytest.raises(asyncio.CancelledError):
            await gone
        await after
        assert (room.held, room.waiting) == (1, 0)

    asyncio.run(run())


def test_page_reads_are_bounded_and_give_back_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n0", data=tmp_path))
        address = await server.start()
        serving = asyncio.ensure_future(server.wait())
        channel = open_channel(address)
        stub: Any = storage_stub(channel)
        try:
            with pytest.raises(grpc.aio.AioRpcError, match="belongs to no volume"):
                await stub.ReadPages(pb.ReadPagesRequest(volume_id=VOLUME, pages=[pb.PageAt(page_no=1)]))
            await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))
            pages = [pb.PageAt(page_no=1)] * admission.READ_PAGES_MAX
            calls = [stub.ReadPages(pb.ReadPagesRequest(volume_id=VOLUME, pages=pages)) for _ in range(20)]
            calls[3].cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(reply, pb.ReadPagesReply) for reply in done) >= 19
            with pytest.raises(grpc.aio.AioRpcError, match="pages in one request"):
                await stub.ReadPages(pb.ReadPagesRequest(volume_id=VOLUME, pages=[*pages, pages[0]]))
            reads = server._service._reads
            async with asyncio.timeout(5):
                while reads.held or reads.waiting:
                    await asyncio.sleep(0.01)
        finally:
            await channel.close()
            server.stop()
            await serving

    asyncio.run(run())


class FakeStream:
    """A served stream whose client takes nothing."""

    def __init__(self) -> None:
        self.backlog_bytes = 0
        self.closed = False

    def send(self, message: bytes) -> None:
        """Keep it."""
        self.backlog_bytes += len(message)

    def close(self) -> None:
        """The connection ends."""
        self.closed = True
        self.backlog_bytes = 0


def test_append_streams_are_bounded_in_number_and_in_replies_that_nobody_takes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node: StorageNode[Any] = make_node(SimDisk())
    port = LogPort(Appends(node, lambda: None), PageReads(node))
    streams = [FakeStream() for _ in range(admission.APPEND_STREAMS_MAX + 1)]
    receivers = [port(stream, APPEND_LOG) for stream in streams]  # type: ignore[arg-type]
    message = Lab._build(1, b"", 0, 0)
    for receiver in receivers:
        receiver.received(message)
        receiver.read_done()
    assert [stream.closed for stream in streams] == [False] * admission.APPEND_STREAMS_MAX + [True]
    reply = pb.AppendReply(sequence=1, error="x" * 1000)
    sent = 0
    while not streams[0].closed:
        receivers[0].put(reply)
        sent += 1
    assert 1000 < sent < 1100
    assert "does not take its replies" in caplog.text


def test_streams_of_one_kind_leave_the_room_of_the_other_on_the_log_port() -> None:
    node: StorageNode[Any] = make_node(SimDisk())
    port = LogPort(Appends(node, lambda: None), PageReads(node))
    message = Lab._build(1, b"", 0, 0)
    readers = [FakeStream() for _ in range(admission.READ_STREAMS_MAX + 1)]
    receivers = [port(stream, READ_STREAM) for stream in readers]  # type: ignore[arg-type]
    receivers[-1].received(message)
    assert [stream.closed for stream in readers] == [False] * admission.READ_STREAMS_MAX + [True]
    appending = [FakeStream() for _ in range(admission.APPEND_STREAMS_MAX)]
    for stream in appending:
        port(stream, APPEND_LOG).received(message)  # type: ignore[arg-type,union-attr]
    assert not any(stream.closed for stream in appending)
    receivers[0].ended()
    again = FakeStream()
    port(again, READ_STREAM).received(pb.ReadPagesRequest().SerializeToString())  # type: ignore[arg-type,union-attr]
    assert again.backlog_bytes and not again.closed


def test_append_streams_of_the_contracts_port_are_bounded_in_number(tmp_path: Path) -> None:
    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n0", data=tmp_path))
        address = await server.start()
        serving = asyncio.ensure_future(server.wait())
        channel = open_channel(address)
        stub: Any = storage_stub(channel)
        try:
            calls = [stub.AppendLog() for _ in range(admission.APPEND_STREAMS_MAX)]
            for call in calls:
                await call.write(pb.AppendRequest(sequence=1))
                assert (await call.read()).sequence == 1
            surplus = stub.AppendLog()
            assert await surplus.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await calls[0].done_writing()
            assert await calls[0].code() is grpc.StatusCode.OK
            await calls[1].write(pb.AppendRequest(sequence=2))
            assert (await calls[1].read()).sequence == 2
            next_one = stub.AppendLog()
            await next_one.write(pb.AppendRequest(sequence=3))
            assert (await next_one.read()).sequence == 3
        finally:
            await channel.close()
            server.stop()
            await serving

    asyncio.run(run())


def test_a_client_of_the_contracts_port_that_takes_no_replies_is_not_read_on() -> None:
    async def run() -> None:
        stream = AppendStream(0.0)
        for sequence in range(admission.REPLIES_MAX):
            assert stream.room.is_set()
            stream.put(pb.AppendReply(sequence=sequence))
        assert not stream.room.is_set()
        gone: list[int] = []

        class Context:
            async def write(self, reply: pb.AppendReply) -> None:
                gone.append(reply.sequence)

        stream.close()
        await stream.send(Context())
        assert stream.room.is_set()
        assert gone == list(range(admission.REPLIES_MAX))

    asyncio.run(run())


# --- a slow node


class Lab:
    """A writer core and six nodes on one fake clock: messages take 0.2 ms, a sync what ``sync_s`` says for its node."""

    NET_S = 0.0002

    def __init__(self, sync_s: dict[int, float], retained_bytes_max: int) -> None:
        self.clock = StepClock()
        self.sync_s = sync_s
        self.nodes = [make_node(SimDisk(), self.clock, f"n{i}", log_file_mb=16) for i in range(6)]
        recovered = Recovered(
            epoch=1,
            vdl=0,
            next_lsn=16,
            pg_last={},
            truncations=frozenset(),
            read_only=False,
            scls={},
            descriptor=Descriptor.from_proto(descriptor()),
        )
        self.core = WriterCore(VOLUME, recovered, self._build, retained_bytes_max=retained_bytes_max)
        self.writer = Writer(random.Random(7), pages=50)
        self.latencies_s: list[float] = []
        self.retained_bytes = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._waiting: list[tuple[int, float]] = []

    @staticmethod
    def _build(sequence: int, batches: bytes, vdl: int, pgmrpl: int) -> bytes:
        return pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", sequence=sequence, batches=batches,
                                membership_epoch=1,
                                vdl=vdl, pgmrpl=pgmrpl).SerializeToString()  # fmt: skip

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        """Have it done later."""
        heapq.heappush(self._events, (self.clock.now + delay_s, next(self._order), what))

    def run(self, commits: int) -> None:
        """One commit a millisecond."""
        for index in range(6):
            self.core.on_connected(index, {})
        for number in range(commits):
            self.after(number * 0.001, self._commit)
        while self._events:
            self.clock.now, _, what = heapq.heappop(self._events)
            what()

    def _commit(self) -> None:
        runs = self.writer.runs(5)
        self._waiting.append((self.writer.log.last_lsn, self.clock.now))
        self.core.flush(runs)
        self._pump()

    def _pump(self) -> None:
        for index in range(6):
            while (message := self.core.next_message(index)) is not None:
                request = pb.AppendRequest.FromString(message)
                self.after(self.NET_S, lambda i=index, r=request: self._arrive(i, r))  # type: ignore[misc]

    def _arrive(self, index: int, request: pb.AppendRequest) -> None:
        assert self.nodes[index].on_append(request, index) is None
        self.after(self.sync_s.get(index, 0.0003), lambda: self._synced(index))

    def _synced(self, index: int) -> None:
        for _, reply in self.nodes[index].flush():
            scls = [(item.pg, item.lsn) for item in reply.scl]
            self.after(self.NET_S, lambda r=reply, s=scls: self._acked(index, r, s))  # type: ignore[misc]

    def _acked(self, index: int, reply: pb.AppendReply, scls: list[tuple[int, int]]) -> None:
        self.core.on_ack(index, reply.sequence, scls, error=reply.error)
        self.retained_bytes = max(self.retained_bytes, self.core.retained_bytes)
        while self._waiting and self._waiting[0][0] <= self.core.vdl:
            self.latencies_s.append(self.clock.now - self._waiting.pop(0)[1])
        self._pump()


@pytest.mark.parametrize("slow", [{5: 0.2}, {4: 0.2, 5: 0.5}], ids=["one", "two"])
def test_a_slow_node_never_slows_the_quorum(slow: dict[int, float]) -> None:
    level = Lab({}, 16 << 10)
    level.run(250)
    lab = Lab(slow, 16 << 10)
    lab.run(250)
    assert len(lab.latencies_s) == len(level.latencies_s) == 250
    assert max(lab.latencies_s) == pytest.approx(max(level.latencies_s))
    assert max(lab.latencies_s) < 0.001
    assert lab.core.links[5].behind  # what the writer retains is bounded: the rest comes from peers
    assert lab.retained_bytes < (16 << 10) + 2_000
    net = Net({node.config.node_id: node for node in lab.nodes}, lab.clock)
    net.tick(40)
    assert {node.segments[0].scl for node in lab.nodes} == {lab.writer.lsns[0][-1]}
