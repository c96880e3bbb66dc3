"""SET TRANSACTION SNAPSHOT in SERIALIZABLE transactions: who may take whose snapshot, and that anomalies are found
between them. The answers are PostgreSQL 15's."""

from __future__ import annotations

import pytest
from psycopg import AsyncConnection, Error
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

Db = AsyncConnection[tuple[object, ...]]
NOT_SERIALIZABLE = "a serializable transaction cannot import a snapshot from a non-serializable transaction"
READ_ONLY_SOURCE = "a non-read-only serializable transaction cannot import a snapshot from a read-only transaction"
DEFERRABLE = "a snapshot-importing transaction must not be READ ONLY DEFERRABLE"


async def _exported(db: Db, isolation: str) -> str:
    await db.execute(f"begin isolation level {isolation}".encode())
    found = await (await db.execute("select pg_export_snapshot()")).fetchone()
    assert found is not None
    return str(found[0])


async def _value(db: Db, statement: str) -> object:
    found = await (await db.execute(statement.encode())).fetchone()
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("read committed", "serializable", NOT_SERIALIZABLE),
        ("repeatable read", "serializable read only", NOT_SERIALIZABLE),
        ("serializable", "serializable", ""),
        ("serializable", "serializable read only", ""),
        ("serializable", "serializable read only deferrable", DEFERRABLE),
        ("serializable", "repeatable read", ""),
        ("serializable read only", "serializable", READ_ONLY_SOURCE),
        ("serializable read only", "serializable read only", ""),
        ("serializable read only deferrable", "serializable read only", ""),
    ],
)
def test_who_may_take_whose_snapshot(source: str, target: str, refused: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        one, two, three = await connect(server), await connect(server), await connect(server)
        await three.execute("create table t (k int)")
        snapshot = await _exported(one, source)
        await three.execute("insert into t values (1)")
        await two.execute(f"begin isolation level {target}".encode())
        take = f"set transaction snapshot '{snapshot}'".encode()
        if refused:
            with pytest.raises(Error) as caught:
                await two.execute(take)
            assert (caught.value.sqlstate, caught.value.diag.message_primary) == ("0A000", refused)
        else:
            await two.execute(take)
            assert await _value(two, "select count(*) from t") == 0
            await two.execute("commit")

    serve_engine(test)


@pytest.mark.parametrize("ends_first", [True, False])
def test_write_skew_between_two_with_one_snapshot(ends_first: bool) -> None:
    """If the first one ends before the other writes, without having read anything of it, both commit."""

    async def test(server: Server, engine: CountingEngine) -> None:
        one, two = await connect(server), await connect(server)
        await one.execute("create table t (k int primary key, v int)")
        await one.execute("insert into t values (1, 0), (2, 0)")
        snapshot = await _exported(one, "serializable")
        await two.execute("begin isolation level serializable")
        await two.execute(f"set transaction snapshot '{snapshot}'".encode())
        assert await _value(two, "select sum(v) from t") == 0
        if ends_first:
            await one.execute("commit")
        else:
            assert await _value(one, "select sum(v) from t") == 0
            await one.execute("update t set v = 1 where k = 2")
        await two.execute("update t set v = 1 where k = 1")
        await two.execute("commit")
        if not ends_first:
            with pytest.raises(Error) as caught:
                await one.execute("commit")
            assert caught.value.sqlstate == "40001"

    serve_engine(test)


def test_a_third_one_that_has_committed_since_the_snapshot() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        one, two, three = await connect(server), await connect(server), await connect(server)
        await one.execute("create table t (k int primary key, v int)")
        await one.execute("insert into t values (1, 0), (2, 0)")
        snapshot = await _exported(one, "serializable")
        await three.execute("begin isolation level serializable")
        await three.execute("select v from t where k = 1")
        await three.execute("update t set v = 1 where k = 2")
        await three.execute("commit")
        await two.execute("begin isolation level serializable")
        await two.execute(f"set transaction snapshot '{snapshot}'".encode())
        await one.execute("commit")
        assert await _value(two, "select sum(v) from t") == 0
        with pytest.raises(Error) as caught:
            await two.execute("update t set v = 1 where k = 1")
        assert caught.value.sqlstate == "40001"

    serve_engine(test)
