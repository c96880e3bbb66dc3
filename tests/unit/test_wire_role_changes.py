"""Clients while an instance changes its role: refused in a way that they understand, or heard a little later."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import pytest
from support_server import serve_engine

from compute_node.engine import Engine
from compute_node.protocol import messages
from compute_node.wire.server import Server


def packet(code: int, payload: bytes = b"") -> bytes:
    return struct.pack("!ii", len(payload) + 8, code) + payload


STARTUP = packet(messages.PROTOCOL_3, b"user\0postgres\0\0")
SSL_REQUEST = packet(messages.SSL_REQUEST)


def test_who_connects_while_the_role_changes_is_told_after_the_question_for_tls() -> None:
    async def connect(server: Server) -> tuple[bytes, bytes]:
        host, port = server.addresses[0]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(SSL_REQUEST)
        tls = await reader.readexactly(1)
        writer.write(STARTUP)
        answer = await reader.read()
        writer.close()
        return tls, answer

    async def test(server: Server, engine: Engine) -> None:
        server.away = "the database system is starting up"
        tls, answer = await connect(server)
        assert tls == b"N"
        assert answer[:1] == b"E" and b"57P03" in answer and b"the database system is starting up" in answer

        # Those on their way are no sessions: whoever waits for the sessions' end does not wait for them.
        host, port = server.addresses[0]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(SSL_REQUEST)
        assert await reader.readexactly(1) == b"N"
        await asyncio.wait_for(server.end_sessions(30.0), 1.0)
        server.away = ""
        writer.write(STARTUP)
        assert await reader.readexactly(1) == b"R"
        writer.close()

    serve_engine(test)


@pytest.mark.parametrize("over", [False, True], ids=["under way", "over"])
def test_who_waited_to_be_let_in_while_the_role_changed_gets_no_session_of_the_role_before(
    monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    async def test(server: Server, engine: Engine) -> None:
        connecting = engine.connecting

        @contextmanager
        def slowly(*arguments: Any) -> Iterator[Any]:
            with connecting(*arguments) as its:
                if over:
                    server.engine = copy(engine)
                else:
                    server.away = "the database system is starting up"
                yield its

        monkeypatch.setattr(engine, "connecting", slowly)
        host, port = server.addresses[0]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(STARTUP)
        assert b"57P03" in await reader.read()
        assert not server.sessions
        writer.close()

    serve_engine(test)


@pytest.fixture(params=["asyncio", "uvloop"])
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Loops differ in what a pause does to a connection that has just been made."""
    before = asyncio.get_event_loop_policy()
    if request.param == "uvloop":
        asyncio.set_event_loop_policy(pytest.importorskip("uvloop").EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(before)


@pytest.mark.usefixtures("_loop")
def test_clients_that_are_not_heard_for_a_while_are_heard_again() -> None:
    async def test(server: Server, engine: Engine) -> None:
        host, port = server.addresses[0]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(STARTUP)
        while not (await reader.read(4096)).endswith(b"Z\0\0\0\5I"):
            pass
        server.hold_input()
        later_reader, later = await asyncio.open_connection(host, port)
        later.write(STARTUP)
        writer.write(b"Q" + struct.pack(">i", 4 + 9) + b"SELECT 7\0")
        for waiting in (reader, later_reader):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(waiting.readexactly(1), 0.05)
        server.release_input()
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"T"
        assert await asyncio.wait_for(later_reader.readexactly(1), 5) == b"R"
        for each in (writer, later):
            each.close()

    serve_engine(test)
