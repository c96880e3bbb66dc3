"""COPY from and to files and programs of the server: what is read and written, what is refused, what a cancel ends."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
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
        db, other = await connect(server), await connect(server)
        await db.execute("create table t (a int, b text)")
        await test(db, other)

    serve_engine(body)


async def rows(db: Db, sql: str) -> list[Any]:
    return await (await db.execute(sql)).fetchall()


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_what_is_written_to_a_file_is_read_again(tmp_path: Path, form: str) -> None:
    name = tmp_path / "rows"

    async def body(db: Db, other: Db) -> None:
        fill = (
            "select i, case when i % 7 = 0 then null else repeat('x,\"\\', i % 50) end from generate_series(1, 3000) i"
        )
        await db.execute(f"insert into t {fill}")
        name.write_text("what was there before" * 100_000)
        done = await db.execute(f"copy t to '{name}' (format {form})")
        assert done.statusmessage == "COPY 3000"
        await db.execute("create table u (like t)")
        done = await db.execute(f"copy u from '{name}' (format {form})")
        assert done.statusmessage == "COPY 3000"
        assert await rows(db, "(table t except all table u) union all (table u except all table t)") == []
        assert name.stat().st_mode & 0o777 == 0o644 & ~_umask()

    served(body)


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def test_programs_give_and_take_rows(tmp_path: Path) -> None:
    async def body(db: Db, other: Db) -> None:
        done = await db.execute("copy t(a) from program 'seq 1 20000'")
        assert done.statusmessage == "COPY 20000"
        await db.execute(f"copy (select a from t order by a) to program 'tail -n 1 > {tmp_path}/last'")
        assert (tmp_path / "last").read_text() == "20000\n"
        # One that does not read its input ends well while that is short.
        assert (await db.execute("copy (select 1) to program 'true'")).statusmessage == "COPY 1"
        with pytest.raises(psycopg.OperationalError, match="could not write to COPY program: Broken pipe"):
            await db.execute("copy (select repeat('x', 100) from generate_series(1, 20000)) to program 'true'")
        with pytest.raises(errors.ExternalRoutineException, match='program "exit 4" failed') as caught:
            await db.execute("copy (select repeat('x', 100) from generate_series(1, 20000)) to program 'exit 4'")
        assert caught.value.diag.message_detail == "child process exited with exit code 4"
        # What comes after the mark of the end is not read, and who writes it may fail for that.
        done = await db.execute(r"copy t(a) from program 'echo 1; echo \\.; exec yes'")
        assert done.statusmessage == "COPY 1"

    served(body)


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        ("exit 3", "child process exited with exit code 3"),
        ("exec kill -9 $$", "child process was terminated by signal 9: Killed"),
        ("no_such_command_anywhere 2>/dev/null", "command not found"),
        ("/ 2>/dev/null", "command not executable"),
    ],
)
def test_a_program_that_fails_fails_the_copy(command: str, detail: str) -> None:
    async def body(db: Db, other: Db) -> None:
        for way in ("from", "to"):
            with pytest.raises(errors.ExternalRoutineException) as caught:
                await db.execute(f"copy t {way} program '{command}'")
            assert caught.value.diag.message_detail == detail
        assert await rows(db, "select count(*) from t") == [(0,)]

    served(body)


def test_a_pipe_with_a_name_is_waited_for_and_a_cancel_ends_the_wait(tmp_path: Path) -> None:
    """However many wait so, the others go on: no thread is kept."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body(db: Db, other: Db) -> None:
        for statement in (f"copy t from '{pipe}'", f"copy (select 1) to '{pipe}'", "copy t from program 'sleep 60'"):
            waiting = asyncio.create_task(db.execute(statement))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            assert await rows(other, "select length(pg_read_file('/etc/passwd')) > 0") == [(True,)]
            assert not waiting.done()
            await db.cancel_safe()
            with pytest.raises(errors.QueryCanceled):
                await waiting
            assert time.monotonic() - started < 5

        def write() -> None:
            with pipe.open("w") as end:
                for number in range(100):
                    end.write(f"{number}\tpiped\n")
                    end.flush()

        writer = threading.Thread(target=write)
        writer.start()
        assert (await db.execute(f"copy t from '{pipe}'")).statusmessage == "COPY 100"
        writer.join()
        found: list[str] = []
        reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
        waiting = asyncio.create_task(db.execute(f"copy (select generate_series(1, 20000)) to '{pipe}'"))
        await asyncio.sleep(0.1)
        reader.start()
        assert (await waiting).statusmessage == "COPY 20000"
        await asyncio.to_thread(reader.join)
        assert found[0].split() == [str(number) for number in range(1, 20001)]

    served(body)


def test_a_copy_that_fails_ends_its_program(tmp_path: Path) -> None:
    async def body(db: Db, other: Db) -> None:
        with pytest.raises(errors.InvalidTextRepresentation):
            await db.execute(f"copy t(a) from program 'echo $$ > {tmp_path}/pid; echo x; exec sleep 60'")
        pid = int((tmp_path / "pid").read_text())
        for _ in range(500):
            if not _lives(pid):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the program runs on")

    served(body)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_devices() -> None:
    async def body(db: Db, other: Db) -> None:
        await db.execute("insert into t values (1, 'x')")
        assert (await db.execute("copy t to '/dev/null'")).statusmessage == "COPY 1"
        assert (await db.execute("copy t from '/dev/null'")).statusmessage == "COPY 0"
        with pytest.raises(errors.DiskFull):
            await db.execute("copy t to '/dev/full'")

    served(body)
