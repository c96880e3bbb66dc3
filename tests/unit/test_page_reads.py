"""Page reads between the wire and the core: clients that go away, what is held for those that wait or do not read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from storage_tools import PAGES_PER_PG, VOLUME, Writer, append, make_node
from support_virtual_loop import run_virtual

from aurora import batch
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node import page_reads
from storage_node.admission import READ_BYTES_MAX, READ_PAGES_MAX, TAKE_S, UNREAD_BYTES_MAX
from storage_node.append import READ_STREAM, Appends, LogPort
from storage_node.node import INDEX_ENTRIES, StorageNode
from storage_node.page_reads import SLICE_PAGES, PageReads
from storage_node.service import StorageService

pytestmark = pytest.mark.logs(r"read stream ended: the client leaves")

PAGES = 40


class Rig:
    """A node with some pages in it, and its page reads."""

    def __init__(self) -> None:
        self.node: StorageNode[Any] = make_node(SimDisk(), slice_ms=1e-6)
        self.writer = Writer(random.Random(1), pages=PAGES)
        append(self.node, self.writer.frames(400))  # one batch
        self.reads = PageReads(self.node)
        self.service = StorageService(self.node, Appends(self.node, lambda: None), self.reads)
        self.port = LogPort(Appends(self.node, lambda: None), self.reads)

    def write(self, batches: int, first_page: int = 0) -> None:
        """So many batches more, of one record each; all are acknowledged."""
        frames = []
        for _ in range(batches):
            self.writer.edit(first_page + self.writer.rng.randrange(PAGES))
            frames += [batch.encode(VOLUME, 1, run) for run in self.writer.log.take()]
        reply = append(self.node, frames)
        assert not reply.error and reply.scl[0].lsn == self.writer.log.last_lsn

    def request(self, number: int, pages: int, first_page: int = 0) -> pb.ReadPagesRequest:
        """For so many pages, again and again the same, as of now."""
        lsn = self.writer.log.last_lsn
        pg_lsn = self.writer.pg_lsn(first_page // PAGES_PER_PG, lsn)
        asked = [pb.PageAt(page_no=first_page + n % PAGES, pg_lsn=pg_lsn, read_point=lsn) for n in range(pages)]
        return pb.ReadPagesRequest(request_id=number, volume_id=VOLUME, pages=asked)

    def check(self, reply: pb.ReadPagesReply, pages: int, first_page: int = 0) -> None:
        """The answer to such a request."""
        lsn = self.writer.log.last_lsn
        images = [self.writer.at(first_page + n % PAGES, lsn) for n in range(pages)]
        assert not reply.error
        assert [image.image for image in reply.pages] == images


class Client:
    """Takes answers; ``gone`` can be set."""

    def __init__(self) -> None:
        self.gone = False
        self.replies: list[pb.ReadPagesReply] = []

    def answer(self, reply: pb.ReadPagesReply) -> None:
        """See ``Asker``."""
        self.replies.append(reply)


def on_a_loop(body: Callable[[Rig], Awaitable[None]]) -> None:
    """Run ``body`` on a loop whose callbacks must not fail."""
    failed: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        await body(Rig())

    run_virtual(run)
    assert not failed


async def turns(count: int) -> None:
    """So many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Context:
    """A call's, of a client that takes what it gets, or nothing."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.written: list[pb.ReadPagesReply] = []
        self.aborted = ""

    async def write(self, reply: pb.ReadPagesReply) -> None:
        """Send."""
        if not self.takes:
            await asyncio.Event().wait()
        self.written.append(reply)

    async def abort(self, code: Any, details: str) -> None:
        """End the call."""
        self.aborted = details


async def requests_of(*requests: pb.ReadPagesRequest) -> AsyncIterator[pb.ReadPagesRequest]:
    """A client's stream."""
    for request in requests:
        yield request


def test_a_call_that_is_cancelled_in_the_middle_of_a_run_costs_nobody_else_an_answer() -> None:
    async def body(rig: Rig) -> None:
        call = asyncio.ensure_future(rig.service.ReadStream(requests_of(rig.request(1, PAGES)), Context()))
        await turns(3)
        assert not call.done() and rig.reads.counts.requests == 0  # it is under way
        others = [Client() for _ in range(3)]
        for number, client in enumerate(others):
            rig.reads.ask(rig.request(number, PAGES), client)
        call.cancel()
        await turns(4 * PAGES // SLICE_PAGES + 4)
        late = Client()
        rig.reads.ask(rig.request(9, PAGES), late)
        await turns(PAGES // SLICE_PAGES + 2)
        for client in (*others, late):
            rig.check(client.replies[0], PAGES)
        assert call.cancelled() and not rig.service._reads.held

    on_a_loop(body)


def test_a_backlog_of_log_is_indexed_in_slices_while_reads_wait_and_appends_go_on() -> None:
    async def body(rig: Rig) -> None:
        node, segment = rig.node, rig.node.segments[0]
        rig.write(500)
        goal = segment.scl
        singles, run, other = [Client() for _ in range(300)], Client(), Client()
        for number, client in enumerate(singles):
            rig.reads.ask(rig.request(number, 1), client)
        assert segment.indexed == INDEX_ENTRIES  # tried once; further ones wait for their turns
        assert sum(bool(client.replies) for client in singles) == 300 - page_reads.RUNS_MAX
        assert "wait already" in singles[-1].replies[0].error
        rig.reads.ask(rig.request(0, PAGES), run)
        assert "wait already" in run.replies[0].error
        expected = rig.writer.at(0, goal)
        while not singles[0].replies:
            before = segment.indexed
            await turns(1)
            assert segment.indexed <= before + INDEX_ENTRIES
            rig.write(2 * INDEX_ENTRIES)  # more than is indexed meanwhile: the goal does not move
        assert goal <= segment.indexed_lsn < node.segments[0].scl
        await turns(page_reads.RUNS_MAX)
        for client in singles[: page_reads.RUNS_MAX]:
            assert [image.image for image in client.replies[0].pages] == [expected]
        rig.reads.ask(rig.request(0, 2), other)
        while not other.replies:
            await turns(1)
        rig.check(other.replies[0], 2)

    on_a_loop(body)


def test_a_protection_group_whose_index_is_behind_does_not_hold_up_another() -> None:
    async def body(rig: Rig) -> None:
        while rig.node.segments[0].index(INDEX_ENTRIES):
            pass
        rig.write(400, PAGES_PER_PG)
        slow, quick = Client(), Client()
        rig.reads.ask(rig.request(0, 1, PAGES_PER_PG), slow)
        rig.reads.ask(rig.request(1, PAGES), quick)
        await turns(2 * PAGES // SLICE_PAGES + 4)
        rig.check(quick.replies[0], PAGES)
        assert not slow.replies
        while not slow.replies:
            await turns(1)
        rig.check(slow.replies[0], 1, PAGES_PER_PG)

    on_a_loop(body)


def test_a_run_that_fails_in_an_unforeseen_way_costs_nobody_else_an_answer() -> None:
    class Broken(Client):
        def answer(self, reply: pb.ReadPagesReply) -> None:
            raise ArithmeticError("an answer that cannot be taken")

    async def run() -> None:
        rig, failed, client = Rig(), [], Client()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context["exception"]))
        rig.reads.ask(rig.request(1, PAGES), Broken())
        rig.reads.ask(rig.request(2, PAGES), client)
        await turns(2 * PAGES // SLICE_PAGES + 2)
        rig.check(client.replies[0], PAGES)
        assert [type(error) for error in failed] == [ArithmeticError]

    run_virtual(run)


def test_one_run_at_a_time_is_built_and_those_of_clients_that_have_gone_are_not() -> None:
    async def body(rig: Rig) -> None:
        clients = [Client() for _ in range(page_reads.RUNS_MAX + 1)]
        for number, client in enumerate(clients):
            rig.reads.ask(rig.request(number, READ_PAGES_MAX), client)
        assert "wait already" in clients[-1].replies[0].error
        for client in clients[3:]:
            client.gone = True
        read: list[int] = []
        read_slice = rig.node.read_slice

        def counted(request: pb.ReadPagesRequest, start: int, stop: int) -> list[pb.PageImage]:
            read.append(request.request_id)
            return read_slice(request, start, stop)

        rig.node.read_slice = counted  # type: ignore[method-assign]
        while rig.reads._runs:
            await turns(1)
            assert sum(bool(run.reply.pages) for run in rig.reads._runs) <= 1
        for client in clients[:3]:
            rig.check(client.replies[0], READ_PAGES_MAX)
        assert read == [n for n in range(3) for _ in range(READ_PAGES_MAX // SLICE_PAGES)]
        assert not any(client.replies for client in clients[3:-1])

    on_a_loop(body)


class Stream:
    """A served stream. ``reads``: whether its client takes what is sent."""

    def __init__(self, reads: bool) -> None:
        self.reads = reads
        self.backlog_bytes = self.sent = 0
        self.closed = False

    def send(self, message: bytes) -> None:
        """Send."""
        self.sent += 1
        if not self.reads:
            self.backlog_bytes += len(message)

    def close(self) -> None:
        """The connection ends."""
        self.closed = True
        self.backlog_bytes = 0


def test_what_all_clients_leave_unread_is_bounded_and_the_worst_goes_first(caplog: pytest.LogCaptureFixture) -> None:
    async def body(rig: Rig) -> None:
        streams = [Stream(reads=False) for _ in range(6)] + [Stream(reads=True)]
        receivers: list[Any] = [rig.port(stream, READ_STREAM) for stream in streams]  # type: ignore[arg-type]
        small = [rig.request(1, PAGES).SerializeToString(), rig.request(2, 2 * PAGES).SerializeToString()]
        most = 0
        for _ in range(40):
            for at, (stream, receiver) in enumerate(zip(streams, receivers, strict=True)):
                if not stream.closed:
                    receiver.received(small[at == 4])
            while rig.reads._runs:
                await turns(1)
                most = max(most, sum(stream.backlog_bytes for stream in streams))
        assert UNREAD_BYTES_MAX // 2 < most <= UNREAD_BYTES_MAX
        assert streams[4].closed and not streams[6].closed and streams[6].sent == 40
        assert 1 <= sum(stream.closed for stream in streams) < 6
        assert "bytes unread" in caplog.text

    on_a_loop(body)


def test_requests_of_a_stream_that_has_ended_are_dropped() -> None:
    async def body(rig: Rig) -> None:
        stream, client = Stream(reads=True), Client()
        receiver: Any = rig.port(stream, READ_STREAM)  # type: ignore[arg-type]
        for number in range(20):
            receiver.received(rig.request(number, PAGES).SerializeToString())
        rig.reads.ask(rig.request(1, PAGES), client)
        receiver.ended()
        await turns(20 + PAGES // SLICE_PAGES + 2)
        rig.check(client.replies[0], PAGES)
        assert not stream.sent and not rig.reads.streams and rig.reads.counts.requests == 1

    on_a_loop(body)


def test_a_client_of_the_contracts_port_that_takes_no_answer_holds_room_for_a_while_only() -> None:
    async def body(rig: Rig) -> None:
        loop = asyncio.get_running_loop()
        context, began_s = Context(takes=False), loop.time()
        slow = asyncio.ensure_future(rig.service.ReadStream(requests_of(rig.request(1, READ_PAGES_MAX)), context))
        await turns(READ_PAGES_MAX // SLICE_PAGES + 5)
        assert rig.service._reads.held == READ_BYTES_MAX
        others = Context()
        await rig.service.ReadStream(requests_of(*(rig.request(n, PAGES) for n in range(3))), others)
        assert loop.time() - began_s == pytest.approx(TAKE_S)
        for reply in others.written:
            rig.check(reply, PAGES)
        await slow
        assert "not taken" in context.aborted and not rig.service._reads.held

    on_a_loop(body)
