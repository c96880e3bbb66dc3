"""Large objects: a model of bytes, what descriptors see, who waits for whom, files of the server."""

from __future__ import annotations

import asyncio
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
from compute_node.wire.server import Server

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
