"""What is done to a table and its descendants is done to those that came while it waited for a lock. PostgreSQL 15
answers alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]


def served(test: Callable[[Db, Db], Awaitable[None]]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        one, other = await connect(server), await connect(server)
        await one.execute("create table parent (a int); create table child () inherits (parent)")
        await test(one, other)
        await one.close()
        await other.close()

    serve_engine(body)


async def value(db: Db, sql: str) -> Any:
    found = await (await db.execute(sql.encode())).fetchone()
    return None if found is None else found[0]


async def waits(db: Db, second: asyncio.Future[Any]) -> None:
    """Until the second one waits for a lock."""
    while not await value(db, "select count(*) from pg_locks where not granted"):
        assert not second.done()


@pytest.mark.parametrize(
    ("sql", "check", "expected"),
    [
        ("truncate parent", "select count(*) from parent", 0),
        ("alter table parent rename a to b", "select b from only grandchild", 1),
        ("alter table parent alter a type text", "select a from only grandchild", "1"),
        ("alter table parent alter a set default 7", "insert into grandchild default values returning a", 7),
        ("alter table parent add b int default 7", "select b from only grandchild", 7),
        (
            "alter table parent add constraint x check (a > 0)",
            "select count(*) from pg_constraint where conname='x'",
            3,
        ),
        ("begin; lock parent", "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted", 3),
    ],
)
def test_a_table_that_comes_meanwhile_is_of_the_family(sql: str, check: str, expected: object) -> None:
    async def body(one: Db, other: Db) -> None:
        await one.execute("begin")
        await one.execute("lock table only child in share update exclusive mode")
        second = asyncio.ensure_future(other.execute(sql.encode()))
        await waits(one, second)
        await one.execute("create table grandchild () inherits (child)")
        await one.execute("insert into grandchild values (1)")
        await one.execute("commit")
        await second
        assert await value(other, check) == expected

    served(body)


@pytest.mark.parametrize("meanwhile", ["drop policy p on parent", "drop table parent cascade"])
def test_a_policy_that_went_meanwhile_is_not_dropped_twice(meanwhile: str) -> None:
    async def body(one: Db, other: Db) -> None:
        await one.execute("create policy p on parent using (true)")
        await one.execute("begin")
        await one.execute(meanwhile.encode())
        second = asyncio.ensure_future(other.execute("drop policy p on parent"))
        await waits(one, second)
        await one.execute("commit")
        with pytest.raises((errors.UndefinedObject, errors.UndefinedTable)):
            await second
        await other.execute("drop policy if exists p on parent")

    served(body)
