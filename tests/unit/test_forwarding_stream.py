"""Both ends of a Forward stream in one process, over two databases: what a strange peer says, who may not come in, and
who waits for a writer in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect
from wire_fakes import FakeRoles, fake_clock

from aurora.kernels import arena as arena_kernel
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc.stream import GrpcStream, open_stream
from aurora.rpc.stream_server import ServedStream, serve_streams
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap import install
from compute_node.catalog.databases import Databases
from compute_node.forward import requests
from compute_node.forward.reader import ReaderForwarder
from compute_node.forward.writer import Forwarded
from compute_node.hub import HUB
from compute_node.replica.service import FORWARD
from compute_node.replica.topology import InstanceState
from compute_node.wire.server import Server, WireConfig

VOLUME = b"the volume"
Check = Callable[["Pair"], Awaitable[None]]


class Pair:
    """A reader's server and a writer's, each over a volume of its own that has the table ``t``."""

    def __init__(self, reader: Server, writer: Server) -> None:
        self.reader, self.writer = reader, writer
        self.instance: InstanceState | None = None
        self.answer: Callable[[ServedStream], Any] = lambda stream: Forwarded(stream, writer, VOLUME.__eq__)

    async def start(self) -> asyncio.Server:
        served = await serve_streams("127.0.0.1", 0, lambda stream, path: self.answer(stream))
        port = served.sockets[0].getsockname()[1]
        self.instance = InstanceState("w", "writer", feed_address="127.0.0.1:1", stream_port=port)
        engine: Any = self.reader.engine
        engine.databases.forwarder = ReaderForwarder(lambda: self.instance, "r", VOLUME)
        engine.in_recovery = True
        return served

    async def session(self, *settings: str) -> Any:
        """Of the reader; it does not wait for the other volume's LSNs."""
        db = await connect(self.reader)
        for setting in ("apg_write_forward.consistency_mode = eventual", *settings):
            await db.execute(f"set {setting}")
        return db


def with_pair(check: Check) -> None:
    async def test(reader: Server, engine: CountingEngine) -> None:
        def open_engine() -> CountingEngine:
            volume = MemoryVolume()
            install(volume)
            storage = Storage(arena_kernel.Arena(4096), volume)
            made: CountingEngine = Databases(storage, lambda catalogs: CountingEngine(storage, catalogs)).initial
            return made

        writer = Server(await HUB.call(open_engine), FakeRoles(), WireConfig(port=0, max_connections=20), fake_clock)
        await writer.start()
        for server in (reader, writer):
            db = await connect(server)
            await db.execute("create table t (a int primary key, b text)")
            await db.execute("alter system set aurora.local_write_forwarding = on")
        pair = Pair(reader, writer)
        served = await pair.start()
        try:
            await check(pair)
        finally:
            served.close()
            await writer.shutdown(1.0)

    serve_engine(test)


class Peer:
    """A client of the writer's port that says what it likes."""

    def __init__(self) -> None:
        self.output = b""
        self.positions: list[cpb.ForwardPosition] = []
        self.closed = asyncio.Event()
        self.stream: GrpcStream

    @classmethod
    async def connect(cls, pair: Pair) -> Peer:
        peer = cls()
        assert pair.instance is not None
        address = f"127.0.0.1:{pair.instance.stream_port}"
        peer.stream = await open_stream(address, FORWARD, peer._received, lambda _: peer.closed.set())
        return peer

    def _received(self, message: bytes) -> None:
        reply = cpb.ForwardReply.FromString(message)
        self.output += reply.output
        if reply.HasField("position"):
            self.positions.append(reply.position)

    def send(self, **fields: Any) -> None:
        self.stream.send(cpb.ForwardRequest(**fields).SerializeToString())

    async def ready(self, count: int) -> None:
        while len(self.positions) < count:
            await asyncio.sleep(0.001)


def opening(**changes: Any) -> cpb.ForwardOpen:
    return cpb.ForwardOpen(**{"user": "postgres", "database": "postgres", "volume_id": VOLUME} | changes)


def test_a_session_writes_on_the_other_server() -> None:
    async def check(pair: Pair) -> None:
        db = await pair.session()
        cursor = await db.execute("insert into t values (1, 'a') returning b, a")
        assert await cursor.fetchall() == [("a", 1)]
        with pytest.raises(errors.UniqueViolation):
            await db.execute("insert into t values (1, 'b')")
        await db.execute("begin")
        await db.execute("update t set b = 'c'")
        await db.execute("commit")
        there = await connect(pair.writer)
        assert await (await there.execute("select * from t")).fetchall() == [(1, "c")]
        (session,) = [each for each in pair.writer.sessions.values() if not each.port.stays]
        assert session.user == "postgres"
        await db.close()
        while session.pid in pair.writer.sessions:
            await asyncio.sleep(0.001)

    with_pair(check)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"user": "nobody"}, b"C28000"),
        ({"database": "nothing"}, b"C3D000"),
        ({"volume_id": b"another"}, b"C57P03"),
    ],
)
def test_who_is_not_let_in_is_told_why(changes: dict[str, Any], state: bytes) -> None:
    async def check(pair: Pair) -> None:
        peer = await Peer.connect(pair)
        peer.send(open=opening(**changes))
        await asyncio.wait_for(peer.closed.wait(), 10)
        assert state in peer.output
        assert b"SFATAL" in peer.output

    with_pair(check)


def test_requests_out_of_turn_end_the_stream() -> None:
    async def check(pair: Pair) -> None:
        asking = await Peer.connect(pair)
        asking.send(cancel=True)  # of nothing
        asking.send(ask=True)
        await asking.ready(1)
        assert asking.positions[0].lsn == pair.writer.engine.volume.vdl
        asking.send(input=requests.query("select 1"))
        await asyncio.wait_for(asking.closed.wait(), 10)
        garbage = await Peer.connect(pair)
        garbage.stream.send(b"\xff\xff")
        await asyncio.wait_for(garbage.closed.wait(), 10)
        hasty = await Peer.connect(pair)
        hasty.send(open=opening())
        await hasty.ready(1)
        hasty.send(input=requests.query("select pg_sleep(60)"))
        hasty.send(input=requests.query("select 1"))
        await asyncio.wait_for(hasty.closed.wait(), 10)
        again = await Peer.connect(pair)
        again.send(open=opening())
        await again.ready(1)
        begin = cpb.ForwardBegin(isolation="read committed")
        again.send(begin=begin, input=requests.query("insert into t values (5, 'x')"))
        await again.ready(2)
        assert len(again.positions[-1].xids) == 1
        again.send(begin=begin, input=requests.query("select 1"))
        await asyncio.wait_for(again.closed.wait(), 10)
        assert b"C08P01" in again.output
        while any(not each.port.stays for each in pair.writer.sessions.values()):
            await asyncio.sleep(0.001)
        there = await connect(pair.writer)
        assert await (await there.execute("select count(*) from t")).fetchall() == [(0,)]

    with_pair(check)


def test_input_in_pieces_and_a_setting_that_fails() -> None:
    async def check(pair: Pair) -> None:
        peer = await Peer.connect(pair)
        peer.send(open=opening(application_name="pieces"))
        await peer.ready(1)
        data = requests.query("insert into t values (1, 'long')")
        alone = cpb.ForwardBegin(isolation="repeatable read", alone=True)
        peer.send(begin=alone, input=data[:7], more=True)
        peer.send(input=data[7:])
        await peer.ready(2)
        assert b"INSERT 0 1" in peer.output
        peer.send(begin=alone, input=data, settings=[cpb.ForwardSetting(name="work_mem", value="none")])
        await peer.ready(3)
        assert b"C22023" in peer.output
        assert peer.output.endswith(b"Z\0\0\0\5I")
        peer.stream.close()

    with_pair(check)


class Strange:
    """A writer that answers each request with these bytes."""

    def __init__(self, stream: ServedStream, reply: bytes) -> None:
        self._stream, self._reply = stream, reply

    def received(self, message: bytes) -> None:
        self._stream.send(self._reply)

    def read_done(self) -> None:
        pass

    def ended(self) -> None:
        pass


@pytest.mark.parametrize("reply", [b"\xff", cpb.ForwardReply(output=b"Z\0\0\0\1").SerializeToString()])
def test_a_writer_that_says_nothing_sensible_is_an_error(reply: bytes) -> None:
    async def check(pair: Pair) -> None:
        pair.answer = lambda stream: Strange(stream, reply)
        db = await pair.session()
        with pytest.raises(errors.ConnectionFailure, match="the writer sends what is no answer"):
            await db.execute("insert into t values (1, 'a')")

    with_pair(check)


def test_who_waits_for_a_writer_gives_up_in_time() -> None:
    async def check(pair: Pair) -> None:
        listening, pair.instance = pair.instance, None
        db = await pair.session("apg_write_forward.connect_timeout = 1")
        with pytest.raises(errors.ConnectionFailure, match="could not connect to the writer in time") as nobody:
            await db.execute("insert into t values (1, 'a')")
        assert nobody.value.diag.message_detail == "no writer is known"
        await db.execute("set statement_timeout = 50")
        await db.execute("set apg_write_forward.connect_timeout = 0")
        with pytest.raises(errors.QueryCanceled):
            await db.execute("insert into t values (1, 'a')")
        # Nobody listens there yet; then somebody does, but is not the writer yet.
        await db.execute("set statement_timeout = 0")
        pair.instance = InstanceState("w", "writer", feed_address="127.0.0.1:1", stream_port=1)
        waiting = asyncio.ensure_future(db.execute("insert into t values (1, 'a')"))
        await asyncio.sleep(0.05)
        good, pair.answer = pair.answer, lambda stream: Forwarded(stream, pair.writer, lambda volume: False)
        pair.instance = listening
        await asyncio.sleep(0.15)
        assert not waiting.done()
        pair.answer = good
        assert (await waiting).rowcount == 1

    with_pair(check)
