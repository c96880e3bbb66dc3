"""Indexes on expressions that ask for the catalog: built, written to, and read on a volume that is opened again."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from support_server import CLIENTS, CountingEngine, FakeRoles, fake_clock, serve_engine
from test_session_protocol import connect

from aurora.kernels import arena as arena_kernel
from compute_node.access.storage import Storage
from compute_node.catalog.databases import Databases
from compute_node.hub import HUB
from compute_node.wire.server import Server, WireConfig

EXPRESSION = "length(to_tsvector('english'::regconfig, x))"
CUSTOM = "to_tsvector('mine'::regconfig, x)::text"


async def rows(db: psycopg.AsyncConnection[Any], sql: str) -> list[tuple[Any, ...]]:
    return await (await db.execute(sql)).fetchall()


def test_functions_of_text_search() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        db = await connect(server)
        await db.execute("create text search configuration mine (copy = simple)")
        await db.execute("create table t (id int, x text)")
        await db.execute(f"create index on t (({EXPRESSION}), ({CUSTOM}))")
        await db.execute("insert into t values (1, 'the quick foxes')")
        await db.execute("create table filled as select n as id, repeat('fox ', n) as x from generate_series(1, 3) n")
        await db.execute(f"create index on filled (({EXPRESSION})) where {EXPRESSION} > 0")
        await check(db)

        def open_again() -> CountingEngine:
            storage = Storage(arena_kernel.Arena(4096), engine.storage.volume)
            opened: CountingEngine = Databases(storage, lambda catalogs: CountingEngine(storage, catalogs)).initial
            return opened

        opened = await HUB.call(open_again)
        again = Server(opened, FakeRoles(), WireConfig(port=0), fake_clock)
        opened.databases.sessions = lambda: list(again.sessions.values())
        await again.start()
        db = await connect(again)
        await db.execute("insert into t values (2, 'slow foxes jump'), (3, null)")
        await db.execute("update filled set x = x || 'dogs'")
        assert await rows(db, f"select id from t where {EXPRESSION} = 3") == [(2,)]
        assert await rows(db, f"select count(*) from filled where {EXPRESSION} = 2") == [(3,)]
        for close in CLIENTS:
            await close()
        CLIENTS.clear()
        await again.shutdown(1.0)

    async def check(db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute("set enable_seqscan = off")
        assert await rows(db, f"select id from t where {EXPRESSION} = 2 and {CUSTOM} like '%foxes%'") == [(1,)]
        assert await rows(db, f"select count(*) from filled where {EXPRESSION} = 1") == [(3,)]

    serve_engine(body)


@pytest.mark.parametrize("is_filled", [False, True])
def test_notices_reach_who_writes(is_filled: bool) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        db = await connect(server)
        told: list[str] = []
        db.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        insert, index = "insert into t values (repeat('a', 3000))", f"create index on t (({EXPRESSION}))"
        await db.execute("create table t (x text)")
        for statement in (insert, index) if is_filled else (index, insert):
            await db.execute(statement)
        await asyncio.sleep(0)
        assert told == ["word is too long to be indexed"]

    serve_engine(body)
