"""Large objects: a model of bytes, what descriptors see, who waits for whom, files of the server."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.catalog.large_objects.pages import PAGE
from compute_node.hub import HUB
from compute_node.wire.server import Server
from compute_node.work.server_files import ServerFile

READ, WRITE = 0x40000, 0x20000
Db = psycopg.AsyncConnection[Any]


def served(test: Callable[[Db, Db], Awaitable[None]]) -> None:
    """Two connections to a server."""

    async def body(server: Server, engine: CountingEngine) -> None:
        await test(await connect(server), await connect(server))

    serve_engine(body)


async def one(db: Db, sql: str, *params: object) -> Any:
    row = await (await db.execute(sql, params)).fetchone()
    return None if row is None else row[0]


def test_random_changes_give_what_a_file_would() -> None:
    choose = random.Random(12)
    model = bytearray()

    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_create(9000)")
        for _ in range(120):
            at = choose.choice((0, 1, PAGE - 1, PAGE, PAGE + 1, choose.randrange(5 * PAGE)))
            kind = choose.randrange(4)
            if kind == 0:
                async with connection.transaction():
                    fd = await one(connection, "select lo_open(9000, %s)", WRITE)
                    await one(connection, "select lo_truncate(%s, %s)", fd, at)
                del model[at:]
                model.extend(bytes(at - len(model)))
            elif kind == 1:
                data = bytes([choose.randrange(256)]) * choose.choice((1, 10, PAGE, 3 * PAGE))
                await one(connection, "select lo_put(9000, %s, %s)", at, data)
                model.extend(bytes(max(at + len(data) - len(model), 0)))
                model[at : at + len(data)] = data
            else:
                count = choose.choice((0, 1, PAGE, 10 * PAGE))
                assert await one(connection, "select lo_get(9000, %s, %s)", at, count) == bytes(model[at : at + count])
        assert await one(connection, "select lo_get(9000)") == bytes(model)

    served(body)


def test_a_descriptor_for_reading_sees_what_was_there() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_from_bytea(9000, 'before')")
        await connection.execute("begin")
        old = await one(connection, "select lo_open(9000, %s)", READ)
        new = await one(connection, "select lo_open(9000, %s)", READ | WRITE)
        await one(other, "select lo_put(9000, 0, 'AFTER!')")
        assert await one(connection, "select loread(%s, 99)", old) == b"before"
        assert await one(connection, "select loread(%s, 99)", new) == b"AFTER!"
        assert await one(other, "select lo_unlink(9000)") == 1
        await one(connection, "select lo_lseek(%s, 0, 0)", old)
        assert await one(connection, "select loread(%s, 99)", old) == b"before"
        await connection.execute("rollback")
        with pytest.raises(errors.UndefinedObject):
            await one(connection, "select lo_get(9000)")

    served(body)


def test_the_second_writer_waits_for_the_first() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_from_bytea(9000, '\\x0000')")
        await connection.execute("begin")
        await one(connection, "select lo_put(9000, 0, '\\x01')")
        second = asyncio.ensure_future(one(other, "select lo_put(9000, 1, '\\x02')"))
        while not await one(connection, "select count(*) from pg_locks where not granted"):
            assert not second.done()
        await connection.execute("commit")
        await second
        assert await one(connection, "select lo_get(9000)") == b"\1\2"

    served(body)


def test_descriptors_end_with_what_they_were_opened_in() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_create(9000)")
        await connection.execute("begin")
        assert await one(connection, "select lo_open(9000, %s)", READ) == 0
        await connection.execute("savepoint s")
        assert await one(connection, "select lo_open(9000, %s)", READ) == 1
        await connection.execute("rollback to s")
        assert await one(connection, "select lo_open(9000, %s)", READ) == 1
        await connection.execute("release s")
        assert await one(connection, "select lo_tell(1)") == 0
        await connection.execute("commit")
        assert await one(connection, "select lo_open(9000, %s)", READ) == 0
        with pytest.raises(errors.UndefinedObject):
            await one(connection, "select lo_tell(0)")

    served(body)


def test_files_of_the_server(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 100)

    async def body(connection: Db, other: Db) -> None:
        oid = await one(connection, "select lo_import(%s)", str(source))
        assert await one(connection, "select lo_export(%s, %s)", oid, str(target)) == 1
        assert target.read_bytes() == source.read_bytes()
        with pytest.raises(errors.UndefinedFile):
            await one(connection, "select lo_import(%s)", str(tmp_path / "missing"))
        with pytest.raises(errors.WrongObjectType):
            await one(connection, "select lo_export(%s, %s)", oid, str(tmp_path))
        await connection.execute("create role plain")
        await connection.execute("set role plain")
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied for function lo_import"):
            await one(connection, "select lo_import(%s)", str(source))

    served(body)


@pytest.mark.parametrize("to_read", [True, False])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, to_read: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    other_end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_create(9000)")
        with pytest.raises(errors.WrongObjectType, match="is not a regular file"):
            await one(connection, "select lo_import(%s)" if to_read else "select lo_export(9000, %s)", str(pipe))

    try:
        served(body)
    finally:
        os.close(other_end)


def test_a_file_is_closed_when_its_thread_has_done_with_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    file = ServerFile(str(tmp_path / "in"), True)
    file.open()
    inner = file._file
    assert inner is not None

    def cancelled_meanwhile() -> bytes:
        file.leave()
        return inner.read()

    assert file._run(cancelled_meanwhile, "read") == b"data"
    assert inner.closed


async def waiting(connection: Db, *others: asyncio.Future[Any]) -> None:
    """Until somebody waits for a lock."""
    while not await one(connection, "select count(*) from pg_locks where not granted"):
        assert not any(each.done() for each in others)


def test_the_oid_of_a_table_does_not_lock_the_table() -> None:
    async def body(connection: Db, other: Db) -> None:
        await connection.execute("create table secret (a int)")
        await connection.execute("create role plain")
        await other.execute("set role plain")
        await other.execute("begin")
        oid = await one(other, "select lo_create('secret'::regclass::oid)")
        await connection.execute("set lock_timeout = '2s'")
        await connection.execute("vacuum secret")
        await connection.execute("create index on secret (a)")
        row = await (
            await connection.execute("select locktype, classid, objid from pg_locks where objid = %s", [oid])
        ).fetchone()
        assert row == ("object", 2613, oid)
        await other.execute("rollback")

    served(body)


@pytest.mark.parametrize(
    "change",
    [
        "select lo_put(9000, 0, 'late')",
        "select lo_unlink(9000)",
        "alter large object 9000 owner to plain",
        "comment on large object 9000 is 'late'",
    ],
)
def test_who_waited_for_an_unlink_finds_nothing(change: str) -> None:
    async def body(connection: Db, other: Db) -> None:
        await connection.execute("create role plain")
        await one(connection, "select lo_from_bytea(9000, 'before')")
        await connection.execute("begin")
        await one(connection, "select lo_unlink(9000)")
        second = asyncio.ensure_future(other.execute(change))
        await waiting(connection, second)
        await connection.execute("commit")
        with pytest.raises(errors.UndefinedObject, match="large object 9000 does not exist"):
            await second
        await one(connection, "select lo_create(9000)")
        assert await one(connection, "select lo_get(9000)") == b""
        assert await one(connection, "select obj_description(9000, 'pg_largeobject')") is None

    served(body)


def test_a_descriptor_does_not_write_to_what_another_has_removed() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_create(9000)")
        await connection.execute("begin")
        fd = await one(connection, "select lo_open(9000, %s)", WRITE)
        await one(other, "select lo_unlink(9000)")
        with pytest.raises(errors.UndefinedObject, match="large object 9000 does not exist"):
            await one(connection, "select lowrite(%s, 'orphan')", fd)
        await connection.execute("rollback")
        assert await one(connection, "select count(*) from pg_largeobject") == 0

    served(body)


def test_a_rollback_to_a_savepoint_gives_the_lock_back() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_create(9000)")
        await connection.execute("begin")
        fd = await one(connection, "select lo_open(9000, %s)", WRITE)
        await connection.execute("savepoint s")
        await one(connection, "select lowrite(%s, 'a')", fd)
        await connection.execute("rollback to s")
        await one(other, "select lo_unlink(9000)")
        with pytest.raises(errors.UndefinedObject):
            await one(connection, "select lowrite(%s, 'b')", fd)
        await connection.execute("rollback")

    served(body)


@pytest.mark.parametrize("statement", ["drop owned by mine", "reassign owned by mine to postgres"])
def test_changes_of_owners_wait_for_who_writes(statement: str) -> None:
    async def body(connection: Db, other: Db) -> None:
        await connection.execute("create role mine")
        await one(connection, "select lo_create(9000)")
        await connection.execute("alter large object 9000 owner to mine")
        await connection.execute("begin")
        await one(connection, "select lo_put(9000, 0, 'kept')")
        second = asyncio.ensure_future(other.execute(statement))
        await waiting(connection, second)
        await one(connection, "select lo_unlink(9000)")
        await connection.execute("commit")
        await second
        assert await one(connection, "select count(*) from pg_largeobject") == 0
        await connection.execute("drop role mine")

    served(body)


def test_drop_owned_closes_what_is_open() -> None:
    async def body(connection: Db, other: Db) -> None:
        await connection.execute("create role mine")
        await one(connection, "select lo_create(9000)")
        await connection.execute("alter large object 9000 owner to mine")
        await connection.execute("begin")
        fd = await one(connection, "select lo_open(9000, %s)", READ | WRITE)
        await connection.execute("drop owned by mine")
        with pytest.raises(errors.UndefinedObject, match="invalid large-object descriptor"):
            await one(connection, "select lowrite(%s, 'x')", fd)
        await connection.execute("rollback")

    served(body)


def test_reading_is_bounded_and_gaps_cost_nothing() -> None:
    async def body(connection: Db, other: Db) -> None:
        await one(connection, "select lo_from_bytea(9000, 'abc')")
        async with connection.transaction():
            fd = await one(connection, "select lo_open(9000, %s)", READ | WRITE)
            await one(connection, "select lo_truncate64(%s, %s)", fd, 300_000_000)
            await one(connection, "select lo_lseek64(%s, 299999990, 0)", fd)
            await one(connection, "select lowrite(%s, 'xyz')", fd)
            assert await one(connection, "select loread(%s, 99)", fd) == bytes(7)
            pulses = HUB.pulses
            await one(connection, "select lo_lseek(%s, 0, 0)", fd)
            assert await one(connection, "select length(loread(%s, 300000000))", fd) == 300_000_000
            assert HUB.pulses - pulses < 1000, "pages that nobody has written are no steps"
        with pytest.raises(errors.ProgramLimitExceeded, match="large object read request is too large"):
            await one(connection, "select loread(lo_open(9000, %s), 2147483647)", READ)
        assert await one(connection, "select lo_get(9000, 0, 2147483647) = lo_get(9000)")

    served(body)


def test_numbers_are_found_and_holds_let_go_at_once() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        connection = await connect(server)
        await one(connection, "select lo_create(9000)")
        await connection.execute("begin")
        opened = "select max(lo_open(9000, %s)) from generate_series(1, %s)"
        assert await one(connection, opened, READ, 5000) == 4999
        assert await one(connection, "select count(lo_close(n)) from generate_series(0, 4998) n") == 4999
        assert await one(connection, "select lo_open(9000, %s)", READ) == 0
        holds = [each for each in engine.storage.txns.holds.current if each.owner == "large object"]
        (txn,) = [each for each in engine.storage.txns.active if each.ties is not None and each.ties.holds]
        assert len(holds) == len([each for each in txn.ties.holds if each.owner == "large object"]) == 2
        await connection.execute("savepoint s")
        await one(connection, opened, READ, 10)
        with pytest.raises(errors.UndefinedObject):
            await one(connection, "select lo_open(9001, %s)", READ)
        await connection.execute("rollback to s")
        holds = [each for each in engine.storage.txns.holds.current if each.owner == "large object"]
        assert len(holds) == 2
        assert await one(connection, "select lo_open(9000, %s)", READ) == 1
        await connection.execute("rollback")

    serve_engine(body)
