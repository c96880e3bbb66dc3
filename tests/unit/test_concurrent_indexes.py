"""Indexes that are built, rebuilt and dropped beside writers: whatever these do meanwhile, the index is right at the
end, and nobody waits for the build."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from support_server import CountingEngine
from test_session_protocol import connect
from wire_fakes import CLIENTS, FakeRoles, fake_clock

from aurora.kernels import arena as arena_kernel
from compute_node.access.index_missing import RowSet
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap import install
from compute_node.catalog.databases import Databases
from compute_node.hub import HUB
from compute_node.wire.server import Server, WireConfig
from compute_node.work.account import Account, Area

ROWS = 3000
SETUP = f"""
create table t (id int primary key, k text, n int, p point, span int4range);
insert into t select i, 'k' || i % 50, i, point(i, i % 77), int4range(i, i + 3) from generate_series(1, {ROWS}) i;
"""
INDEXES = [
    ("create unique index concurrently made on t (n)", "n between 100 and 2000"),
    ("create index concurrently made on t (k, n) where n % 2 = 0", "k = 'k8' and n % 2 = 0"),
    ("create index concurrently made on t (lower(k))", "lower(k) = 'k7'"),
    ("create index concurrently made on t using hash (k)", "k = 'k7'"),
    ("create index concurrently made on t using gin ((array[n % 100, n % 7]))", "array[n % 100, n % 7] @> array[5]"),
    ("create index concurrently made on t using gist (p)", "p <@ box(point(100, 10), point(2000, 50))"),
    ("create index concurrently made on t using spgist (span)", "span && int4range(500, 900)"),
    ("create index concurrently made on t using brin (n) with (pages_per_range = 1)", "n between 100 and 400"),
    ("reindex index concurrently t_pkey", "id between 200 and 900"),
]
Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]


def served(test: Callable[[Connect], Awaitable[None]]) -> None:
    """Run a test with connections to a server."""

    async def run() -> None:
        HUB.bind(asyncio.get_running_loop())
        volume = MemoryVolume()
        install(volume)

        def open_engine() -> CountingEngine:
            storage = Storage(arena_kernel.Arena(4096), volume)
            engine: CountingEngine = Databases(storage, lambda catalogs: CountingEngine(storage, catalogs)).initial
            engine.catalog.warm()
            return engine

        server = Server(await HUB.call(open_engine), FakeRoles(), WireConfig(port=0), fake_clock)
        await server.start()
        try:
            await test(lambda: connect(server))
        finally:
            for close in CLIENTS:
                await close()
            CLIENTS.clear()
            await server.shutdown(1.0)

    asyncio.run(run())


async def write(db: psycopg.AsyncConnection[Any], seed: int, done: asyncio.Event) -> int:
    """Change rows of its own, now and then in long transactions, some of which are rolled back; how many it has
    committed while the statement ran."""
    rng, count, last = random.Random(seed), 0, ROWS + 100_000 * (seed + 1)
    while not done.is_set():
        await db.execute("begin")
        for _ in range(rng.choice((1, 1, 5, 20))):
            one = rng.randrange(ROWS // 4) * 4 + seed + 1
            last += 1
            await db.execute(
                rng.choice(
                    (
                        f"update t set n = {last}, p = point(n, id) where id = {one}",
                        f"update t set k = 'k' || {rng.randrange(50)} where id = {one}",
                        f"update t set span = int4range({one}, {one + 5}) where id = {one}",
                        f"delete from t where id = {one}",
                        f"insert into t values ({last}, 'k7', {last}, point(200, 20), int4range(600, 700))",
                    )
                )
            )
        await db.execute(rng.choice(("commit", "commit", "commit", "rollback")))
        count += 1
    return count


@pytest.mark.parametrize(("statement", "condition"), INDEXES, ids=[each[:60] for each, _ in INDEXES])
def test_an_index_is_right_whatever_is_written_meanwhile(statement: str, condition: str) -> None:
    async def test(connected: Connect) -> None:
        builder = await connected()
        await builder.execute(SETUP)
        done = asyncio.Event()
        writers = [asyncio.ensure_future(write(await connected(), seed, done)) for seed in range(3)]
        for _ in range(2):
            await asyncio.wait_for(builder.execute(statement), 60)
            if not statement.startswith("reindex"):
                await asyncio.wait_for(builder.execute("reindex index concurrently made"), 60)
                await asyncio.wait_for(builder.execute("drop index concurrently made"), 60)
        await asyncio.wait_for(builder.execute(statement), 60)
        done.set()
        assert all(await asyncio.gather(*writers)), "a writer had to wait"
        answers = []
        for scan in ("seqscan", "indexscan"):
            await builder.execute(f"set enable_seqscan = {'on' if scan == 'seqscan' else 'off'}")
            for off in ("indexscan", "bitmapscan", "indexonlyscan"):
                await builder.execute(f"set enable_{off} = {'off' if scan == 'seqscan' else 'on'}")
            query = f"select id, k, n from t where {condition} order by id"
            plan = [row[0] for row in await (await builder.execute(f"explain {query}")).fetchall()]
            name = "t_pkey" if statement.startswith("reindex") else "made"
            assert any(name in line for line in plan) == (scan == "indexscan"), plan
            answers.append(await (await builder.execute(query)).fetchall())
        assert answers[0] == answers[1]
        assert await (await builder.execute("select * from aurora_check()")).fetchall() == []

    served(test)


def test_a_key_that_comes_twice_between_the_parts_is_found() -> None:
    """The second row is committed after the build has looked, and before it is kept up: 23505 as for a row that is
    entered, and the index stays, not valid, but kept up."""

    async def test(connected: Connect) -> None:
        builder, one, other = [await connected() for _ in range(3)]
        await builder.execute("create table t (id int primary key, n int); insert into t values (1, 1), (2, 2)")
        await one.execute("begin; insert into t values (3, 3)")
        building = asyncio.ensure_future(builder.execute("create unique index concurrently made on t (n)"))
        await until(other, "select count(*) from pg_class where relname = 'made'", 1)
        # It knows of the index, which is not ready: no entry, and nobody looks at the key.
        await other.execute("begin; insert into t values (4, 1)")
        await one.execute("commit")
        await until(one, "select count(*) from pg_index where indexrelid = 'made'::regclass and indisready", 1)
        await other.execute("commit")
        with pytest.raises(psycopg.errors.UniqueViolation) as raised:
            await building
        assert raised.value.diag.message_primary == 'duplicate key value violates unique constraint "made"'
        assert raised.value.diag.message_detail == "Key (n)=(1) already exists."
        flags = "select indisvalid, indisready from pg_index where indexrelid = 'made'::regclass"
        assert await (await one.execute(flags)).fetchone() == (False, True)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await one.execute("insert into t values (5, 2)")
        await one.execute("delete from t where id = 4")
        await one.execute("reindex index concurrently made")
        assert await (await one.execute(flags)).fetchone() == (True, True)
        assert await (await one.execute("select * from aurora_check()")).fetchall() == []

    served(test)


def test_a_row_that_has_gone_by_the_time_it_is_entered_is_no_conflict() -> None:
    """Its key is another row's by then, which has come with the index kept up."""

    async def test(connected: Connect) -> None:
        builder, one, other, third = [await connected() for _ in range(4)]
        await builder.execute("create table t (id int primary key, n int); insert into t values (1, 1), (2, 2)")
        await one.execute("begin; insert into t values (3, 3)")
        building = asyncio.ensure_future(builder.execute("create unique index concurrently made on t (n)"))
        await until(other, "select count(*) from pg_class where relname = 'made'", 1)
        await other.execute("begin; insert into t values (4, 4)")  # seen only after the build: to be entered later
        await one.execute("commit")
        await until(one, "select count(*) from pg_index where indexrelid = 'made'::regclass and indisready", 1)
        await third.execute("begin")
        await other.execute("commit; begin")
        await third.execute("delete from t where id = 4")
        await third.execute("insert into t values (5, 4)")
        await third.execute("commit")
        await other.execute("commit")
        await building
        await one.execute("set enable_seqscan = off")
        assert await (await one.execute("select id from t where n = 4")).fetchall() == [(5,)]
        assert await (await one.execute("select * from aurora_check()")).fetchall() == []

    served(test)


async def until(db: psycopg.AsyncConnection[Any], query: str, wanted: int) -> None:
    """Ask until the answer is the wanted one."""
    async with asyncio.timeout(30):
        while await (await db.execute(query)).fetchone() != (wanted,):
            await asyncio.sleep(0.01)


def test_a_set_of_rows() -> None:
    account = Account()
    area = Area(account, 1 << 40)
    rows = RowSet(area)
    rows.add([1 << 16 | 1, 1 << 16 | 200, 7 << 16 | 3, 7 << 16 | 3])
    assert rows.without([1 << 16 | 200, 1 << 16 | 2, 7 << 16 | 3, 8 << 16 | 3]) == [1 << 16 | 2, 8 << 16 | 3]
    assert area.used_bytes > 0
    account.close()
