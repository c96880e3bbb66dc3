"""The durability gate: what depends on an LSN above VDL stays, in order, and everything else goes."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from test_session_protocol import SYNC, Raw, bind, connect, execute, parse
from wire_fakes import FakeEngine, fields, serve, tags

from compute_node.protocol.messages import message
from compute_node.wire.server import Server


async def held(server: Server) -> None:
    while not any(connection.is_held for connection in server.connections):
        await asyncio.sleep(0)


def test_commit_waits_and_later_output_queues_behind() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"begin\0") + message(b"Q", b"insert into t values (1)\0"))
        assert tags(await raw.until_ready()) == "CZ"
        assert tags(await raw.until_ready()) == "CZ"
        raw.send(message(b"Q", b"commit\0"))
        await held(server)
        raw.send(message(b"Q", b"select 5\0"))
        other = await Raw.open(server)
        assert tags(await other.query("select 1")) == "TDCZ"
        assert server.activity()[0]["pid"] > 0
        pending = asyncio.ensure_future(raw.until_ready())
        await asyncio.sleep(0)
        assert not pending.done()
        engine.volume.advance()
        assert tags(await pending) == "CZ"
        assert tags(await raw.until_ready()) == "TDCZ"

    serve(body)


def test_autocommit_in_both_protocols() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        raw.send(parse("i", "insert into t values ($1)") + SYNC)
        await raw.until_ready()
        for packet in (bind("", "i", "7") + execute() + SYNC, message(b"Q", b"insert into t values (8)\0")):
            raw.send(packet)
            await held(server)
            engine.volume.advance()
            assert tags(await raw.until_ready())[-2:] == "CZ"

    serve(body)


def test_overtaken_commit_gates_rows_but_not_progress() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        await raw.query("begin")
        (session,) = server.sessions.values()
        session.dependency.on(engine.volume.append())
        # The count of an update says nothing that outlives a crash; a row or an error does.
        assert tags(await raw.query("insert into t values (1)")) == "CZ"
        raw.send(message(b"Q", b"select 1\0"))
        await held(server)
        engine.volume.advance()
        assert tags(await raw.until_ready()) == "TDCZ"
        session.dependency.on(engine.volume.append())
        raw.send(message(b"Q", b"select reciprocal(0)\0"))
        await held(server)
        engine.volume.advance()
        assert fields(await raw.until_ready())["C"] == "22012"

    serve(body)


def test_synchronous_commit_off() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        await raw.query("set synchronous_commit = off")
        assert tags(await raw.query("insert into t values (1)")) == "CZ"
        assert tags(await raw.query("select v from t")) == "TDCZ"
        (session,) = server.sessions.values()
        session.dependency.on(engine.volume.append())
        raw.send(message(b"Q", b"insert into t values (2)\0"))
        await held(server)
        engine.volume.advance()
        assert tags(await raw.until_ready()) == "CZ"

    serve(body)


def test_cancel_while_held_is_unknown_outcome() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        db = await connect(server)
        running = asyncio.create_task(db.execute("insert into t values (1)"))
        await held(server)
        await db.cancel_safe()
        with pytest.raises(psycopg.OperationalError) as caught:
            await running
        assert caught.value.sqlstate == "08007"
        timed = await connect(server)
        await timed.execute("set statement_timeout = '10ms'")
        with pytest.raises(psycopg.OperationalError) as caught:
            await timed.execute("insert into t values (2)")
        assert caught.value.sqlstate == "08007"
        assert engine.table == [1, 2]

    serve(body)


def test_disconnect_while_held() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"insert into t values (1)\0"))
        await held(server)
        raw.writer.transport.abort()
        while server.sessions:
            await asyncio.sleep(0.001)
        engine.volume.advance()
        assert engine.table == [1]

    serve(body)


def test_fenced_writer_answers_unknown() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.volume.automatic = False
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"insert into t values (1)\0"))
        await held(server)
        waiting: list[Any] = engine.volume._waiting
        for _, callback in waiting:
            callback(RuntimeError("fenced"))
        assert fields(await raw.reader.read())["C"] == "08007"

    serve(body)


def test_large_results_wait_for_the_reader() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"select series(700000)\0"))
        while not any(connection.is_running for connection in server.connections):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        (connection,) = server.connections
        # The client does not read, so the session stopped long before the end.
        assert connection.is_running
        size, tail = 0, b""
        while not tail.endswith(b"Z\0\0\0\x05I"):
            piece = await raw.reader.read(1 << 20)
            size += len(piece)
            tail = (tail + piece)[-6:]
        assert size > 10_000_000

    serve(body)


def test_who_is_told_to_end_does_not_wait_for_a_client_that_never_reads() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(message(b"Q", b"select series(700000)\0"))
        while not any(connection._paused_writing for connection in server.connections):
            await asyncio.sleep(0)
        (pid,) = server.sessions
        assert server.signal(pid, True)
        async with asyncio.timeout(20):
            while server.connections or server.sessions:
                await asyncio.sleep(0)
        raw.writer.transport.abort()

    serve(body)


async def quiet(server: Server) -> None:
    """Until nothing more happens: what the server does for one connection is done within some turns of the loop."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize("packets", [1, 100])
def test_output_of_pipelined_queries_is_bounded_when_the_client_does_not_read(packets: int) -> None:
    """100 queries of 30 KB each, in one packet or in 100."""

    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        query = message(b"Q", b"select series(2000)\0")
        for _ in range(packets):
            raw.send(query * (100 // packets))
            await quiet(server)
        (connection,) = server.connections
        (session,) = server.sessions.values()
        held_bytes = connection._transport.get_write_buffer_size() + sum(map(len, session.out))
        assert held_bytes < 1 << 20
        assert len(connection.data) <= (1 << 20) + len(query) * 100
        raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(100):
            assert tags(await raw.until_ready())[-2:] == "CZ"

    serve(body)


def test_a_client_that_is_gone_ends_its_pipelined_queries() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(message(b"Q", b"select series(4000)\0") * 400)
        await quiet(server)
        raw.writer.transport.abort()
        while server.connections:
            await asyncio.sleep(0)
        while server.sessions:
            await asyncio.sleep(0)
        assert len(engine.compiled) <= 1

    serve(body)


def test_a_cancel_between_two_pipelined_queries_ends_neither() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(message(b"Q", b"select 7\0") + message(b"Q", b"select series(2000)\0") * 60)
        await quiet(server)
        (connection,) = server.connections
        connection.cancel()
        raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        found = [tags(await raw.until_ready()) for _ in range(61)]
        assert found[0] == "TDCZ"
        assert sum("E" in each for each in found) <= 1

    serve(body)
