"""Prepared transactions: a crash at any point of PREPARE TRANSACTION or COMMIT PREPARED, and what is held meanwhile."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from test_ddl_crashes import Recording, cut, served

from compute_node.access.memory_volume import MemoryVolume
from compute_node.catalog.bootstrap import install

Db = psycopg.AsyncConnection[Any]

ROOM = "alter system set max_prepared_transactions = 4"
SETUP = """
create table t (id int primary key, k text);
insert into t select i, 'k' || i from generate_series(1, 300) i;
create table c (ref int references t);
"""
WORK = [
    "begin",
    "insert into t values (1000, 'new')",
    "update t set k = 'changed' where id = 1",
    "savepoint s",
    "delete from t where id = 2",
    "release s",
    "savepoint undone",
    "delete from t where id = 3",
    "rollback to undone",
    "insert into c values (4)",
    "select * from t where id = 5 for update",
    "create table made (x int)",
    "insert into made values (7)",
    "alter table c add column more int",
]
AFTER = (300, "changed", 7, 2)
"""rows of t, of row 1, of made; columns of c"""
BEFORE = (300, "k1", None, 1)


def fresh() -> Recording:
    """A volume whose sessions may prepare transactions."""
    volume = Recording()
    install(volume)

    async def run(db: Db) -> None:
        await db.execute(ROOM)

    asyncio.run(served(volume, run))
    return volume


async def one(db: Db, text: str) -> Any:
    row = await (await db.execute(text)).fetchone()
    return None if row is None else row[0]


async def shown(db: Db) -> tuple[Any, ...]:
    made = await one(db, "select to_regclass('made')")
    return (
        await one(db, "select count(*) from t"),
        await one(db, "select k from t where id = 1"),
        None if made is None else await one(db, "select x from made"),
        await one(db, "select count(*) from pg_attribute where attrelid = 'c'::regclass and attnum > 0"),
    )


async def gids(db: Db) -> list[str]:
    return [gid for (gid,) in await (await db.execute("select gid from pg_prepared_xacts order by 1")).fetchall()]


async def sound(db: Db) -> None:
    assert await (await db.execute("select * from aurora_check()")).fetchall() == []


def base_of(volume: MemoryVolume) -> MemoryVolume:
    base = copy.copy(volume)
    base.pages, base.pg_last = copy.deepcopy(volume.pages), dict(volume.pg_last)
    return base


class History:
    """A volume with the work done and prepared, and its log from before the work on."""

    def __init__(self, last: str = "") -> None:
        self.volume = fresh()
        self.base: MemoryVolume
        self.records: list[Any] = []
        self.cpls: list[int] = []
        asyncio.run(served(self.volume, lambda db: self._run(db, last)))

    async def _run(self, db: Db, last: str) -> None:
        await db.execute(SETUP)
        for text in WORK if last else ():
            await db.execute(text)
        if last:
            await db.execute("prepare transaction 'p'")
        self.volume.advance()
        self.base, at, records = base_of(self.volume), self.volume.vdl, len(self.volume.records)
        for text in [last] if last else [*WORK, "prepare transaction 'p'"]:
            await db.execute(text)
        self.volume.advance()
        self.records = self.volume.records[records:]
        self.cpls = sorted(lsn for lsn in self.volume.cpls if lsn > at)

    def after(self, upto: int, test: Callable[[Db], Any]) -> Any:
        """``await test(connection)`` when the log was durable up to there."""
        return asyncio.run(served(cut(self.base, self.records, upto), test))


@pytest.fixture(scope="module")
def preparing() -> History:
    return History()


def test_a_crash_in_prepare_leaves_all_or_nothing(preparing: History) -> None:
    seen = []

    async def look(db: Db) -> None:
        there = await gids(db)
        assert there in ([], ["p"])
        seen.append(bool(there))
        assert await shown(db) == BEFORE
        if there:
            await db.execute("commit prepared 'p'")
        assert await shown(db) == (AFTER if there else BEFORE)
        assert await gids(db) == []
        await sound(db)

    points = preparing.cpls
    for upto in [points[0], points[len(points) // 2], *points[-5:]]:
        preparing.after(upto, look)
    assert seen == sorted(seen)
    assert seen[-1], "what was durable is gone"
    assert not seen[-3], "no point between the state and the mark"


def test_a_state_without_a_mark_is_removed(preparing: History) -> None:
    """The state is durable, the mark in the commit log is not."""

    async def prepare_again(db: Db) -> None:
        assert await gids(db) == []
        for text in [*WORK, "prepare transaction 'p'"]:
            await db.execute(text)
        assert await gids(db) == ["p"]
        await db.execute("rollback prepared 'p'")
        assert await shown(db) == BEFORE
        await sound(db)

    preparing.after(preparing.cpls[-2], prepare_again)


def test_rolled_back_after_a_restart(preparing: History) -> None:
    async def look(db: Db) -> None:
        await db.execute("rollback prepared 'p'")
        assert await shown(db) == BEFORE
        with pytest.raises(errors.UndefinedObject):
            await db.execute("commit prepared 'p'")
        await sound(db)

    preparing.after(preparing.cpls[-1], look)


@pytest.mark.parametrize(("last", "end"), [("commit prepared 'p'", AFTER), ("rollback prepared 'p'", BEFORE)])
def test_a_crash_while_it_ends(last: str, end: tuple[Any, ...]) -> None:
    history = History(last)
    seen = []

    async def look(db: Db) -> None:
        there = await gids(db)
        seen.append(not there)
        assert await shown(db) == (BEFORE if there else end)
        if there:
            await db.execute(last)
            assert await shown(db) == end
        assert await gids(db) == []
        await sound(db)

    for upto in [history.base.vdl, *history.cpls]:
        history.after(upto, look)
    assert not seen[0]
    assert seen[-1]
    assert seen == sorted(seen)


HELD = [
    "update t set k = 'x' where id = 1",
    "delete from t where id = 2",
    "delete from t where id = 4",  # a row of the prepared transaction refers to it
    "select * from t where id = 5 for share",
    "insert into t values (1000, 'other')",
    "truncate t",
    "select * from c",
    "create table made (y int)",
]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_prepared_transaction_holds(preparing: History, restarted: bool) -> None:
    async def look(db: Db) -> None:
        if not restarted:
            for text in [*WORK, "prepare transaction 'p'"]:
                await db.execute(text)
        await db.execute("set lock_timeout = '20ms'")
        for text in HELD:
            with pytest.raises(errors.LockNotAvailable):
                await db.execute(text)
        await db.execute("update t set k = 'free' where id = 3")
        await db.execute("commit prepared 'p'")
        for text in HELD[3:4] + HELD[6:7]:
            await db.execute(text)
        with pytest.raises(errors.ForeignKeyViolation):
            await db.execute(HELD[2])
        await sound(db)

    preparing.after(preparing.cpls[-1 if restarted else 0], look)


@pytest.mark.parametrize("restarted", [False, True])
def test_write_skew_with_a_prepared_transaction(restarted: bool) -> None:
    """Each of two serializable transactions reads what the other changes; one is prepared when the other comes."""
    volume = fresh()

    async def first(db: Db) -> None:
        await db.execute(SETUP)
        await db.execute("begin isolation level serializable")
        await db.execute("select count(*) from t")
        await db.execute("update t set k = 'a' where id = 1")
        await db.execute("prepare transaction 'p'")
        if not restarted:
            await second(db)

    async def second(db: Db) -> None:
        await db.execute("begin isolation level serializable")
        assert await one(db, "select k from t where id = 1") == "k1"
        with pytest.raises(errors.SerializationFailure):
            await db.execute("update t set k = 'b' where id = 2")
        await db.execute("rollback")
        await db.execute("begin isolation level serializable")
        await one(db, "select count(*) from c")
        await db.execute("commit")
        await db.execute("commit prepared 'p'")
        assert await one(db, "select k from t where id = 1") == "a"

    asyncio.run(served(volume, first))
    volume.advance()
    if restarted:
        asyncio.run(served(cut(base_of(volume), [], volume.vdl), second))


def test_nothing_is_left_of_it() -> None:
    """No transaction, no lock, no state; and a new one may have its identifier."""
    volume = fresh()

    async def run(db: Db) -> None:
        await db.execute(SETUP)
        for _ in range(3):
            for end in ("commit", "rollback"):
                await db.execute("begin")
                await db.execute("update t set k = k || 'x'")
                await db.execute("prepare transaction 'again'")
                await db.execute(f"{end} prepared 'again'")
        assert await one(db, "select count(*) from pg_locks where pid is null") == 0
        assert await one(db, "select k from t where id = 1") == "k1xxx"
        await sound(db)

    asyncio.run(served(volume, run))
