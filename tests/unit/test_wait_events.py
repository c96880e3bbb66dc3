"""What pg_stat_activity says that another session waits for: a lock, or its client. PostgreSQL 15's words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from psycopg import AsyncConnection
from support_server import CountingEngine, serve_engine
from test_session_protocol import Raw, connect

from compute_node.wire.server import Server

Db = AsyncConnection[tuple[object, ...]]


async def _until(db: Db, condition: str) -> tuple[object, ...]:
    """The event of the one other session that is as the condition says."""
    while True:
        text = f"select wait_event_type, wait_event from pg_stat_activity where {condition}"
        found = await (await db.execute(text.encode())).fetchall()
        if found:
            assert len(found) == 1
            return found[0]
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "statement", "event"),
    [
        ("lock table t", "select 1 as waits from t", "relation"),
        ("update t set v = 1", "update t set v = 2 /* waits */", "transactionid"),
        ("select pg_advisory_xact_lock(5)", "select pg_advisory_xact_lock(5) as waits", "advisory"),
    ],
)
def test_locks(before: str, statement: str, event: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        one, two, three = await connect(server), await connect(server), await connect(server)
        await one.execute("create table t (v int)")
        await one.execute("insert into t values (0)")
        await one.execute("begin")
        await one.execute(before.encode())
        waits: Awaitable[object] = asyncio.ensure_future(two.execute(statement.encode()))
        found = await _until(three, "query like '%waits%' and state = 'active' and pid <> pg_backend_pid()")
        assert found == ("Lock", event)
        await one.execute("commit")
        await waits

    serve_engine(test)


def test_clients() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db, idle = await connect(server), await connect(server)
        assert await _until(db, "pid <> pg_backend_pid()") == ("Client", "ClientRead")
        await idle.execute("create table t (v text)")
        await idle.execute("begin")
        await idle.execute("select 1 as mine")
        found = await _until(db, "state = 'idle in transaction' and query like '%mine%'")
        assert found == ("Client", "ClientRead")
        await idle.execute("commit")
        raw = await Raw.open(server)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a socket's transport
        raw.send(b"Q" + (len(_LONG) + 5).to_bytes(4, "big") + _LONG + b"\0")
        found = await _until(db, "query like '%unread%' and pid <> pg_backend_pid() and wait_event is not null")
        assert found == ("Client", "ClientWrite")
        async with idle.cursor() as cursor, cursor.copy("copy t from stdin /* copied */") as copy:
            await copy.write("a\n")
            found = await _until(db, "query like '%copied%' and pid <> pg_backend_pid() and wait_event is not null")
            assert found == ("Client", "ClientRead")

    serve_engine(test)


_LONG = b"select repeat('unread', 1000) from generate_series(1, 1000000)"
