"""COPY from and to files and programs of the server: what is read and written, what is refused, what a cancel ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
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

from compute_node.session import copy_kept
from compute_node.wire.server import Server
from compute_node.work import instance_folder
from compute_node.work.account import INSTANCE

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


def test_what_may_not_run_touches_no_file(tmp_path: Path) -> None:
    kept, started = tmp_path / "keep", tmp_path / "started"

    async def body(db: Db, other: Db) -> None:
        await db.execute("insert into t values (1, 'x')")
        await db.execute("create role w")
        await db.execute("grant pg_write_server_files, pg_execute_server_program to w")
        kept.write_text("what is kept")
        kept.chmod(0o666)
        for target in (f"'{kept}'", f"program 'touch {started}'"):
            await db.execute("set role w")
            for source in ("t", "(select * from t)"):
                with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table t"):
                    await db.execute(f"copy {source} to {target}")
            await db.execute("reset role")
            await db.execute("begin read only")
            with pytest.raises(errors.ReadOnlySqlTransaction):
                await db.execute(f"copy (delete from t returning a) to {target}")
            await db.execute("rollback")
        assert kept.read_text() == "what is kept"
        assert not started.exists()
        assert (await db.execute(f"copy t to '{kept}'")).statusmessage == "COPY 1"
        assert kept.read_text() == "1\tx\n"

    served(body)


def test_a_line_without_an_end_is_charged_and_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(db: Db, other: Db) -> None:
        monkeypatch.setattr(INSTANCE, "limit_bytes", INSTANCE.used_bytes + (32 << 20))
        before = INSTANCE.used_bytes
        with pytest.raises(errors.OutOfMemory):
            await db.execute("copy t from '/dev/zero'")
        with pytest.raises(errors.OutOfMemory):
            async with db.cursor().copy("copy t from stdin") as copy:
                for _ in range(64):
                    await copy.write(b"x" * (1 << 20))
        assert INSTANCE.used_bytes == before
        monkeypatch.setattr(INSTANCE, "limit_bytes", 1 << 40)
        monkeypatch.setattr(copy_kept, "BUFFER_BYTES", 64 << 20)
        with pytest.raises(errors.ProgramLimitExceeded, match="out of memory"):
            await db.execute("copy t from '/dev/zero'")
        monkeypatch.setattr(copy_kept, "BUFFER_BYTES", 1 << 40)
        await db.execute("set statement_timeout = '50ms'")
        with pytest.raises(errors.QueryCanceled):
            await db.execute("copy t from '/dev/zero'")

    served(body)


def test_a_program_runs_in_the_instances_folder_without_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURORA_PASSWORD", "not for programs")
    monkeypatch.setenv("FOR_PROGRAMS", "x")

    async def body(db: Db, other: Db) -> None:
        for _ in range(2):
            await db.execute("copy t(b) from program 'pwd; env'")
            said = {line for (line,) in await rows(db, "select b from t")}
            assert {instance_folder.path(), "FOR_PROGRAMS=x"} <= said
            assert not [line for line in said if "AURORA_" in line]
            await db.execute("copy t to program 'cat > taken'")
            assert (await rows(db, "select length(pg_read_file('taken')) > 0")) == [(True,)]
            shutil.rmtree(instance_folder.path())  # it is made again

    served(body)


async def _gone(pids: list[int]) -> None:
    for _ in range(500):
        if not any(map(_lives, pids)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("something runs on")


async def _written(file: Path, count: int) -> list[int]:
    while not file.exists() or len(file.read_text().split()) < count:
        await asyncio.sleep(0.01)
    return [int(word) for word in file.read_text().split()]


@pytest.mark.parametrize(
    "statement",
    [
        "copy t(b) from program 'sleep 77 & echo $! $$ > PIDS; echo hi'",  # the shell has ended, its pipe has not
        "copy t(b) from program 'sleep 77 & echo $! $$ > PIDS; wait'",
        "copy (select repeat('x', 100000) from generate_series(1, 99)) to program 'sleep 77 & echo $! $$ > PIDS; wait'",
        "copy (select 'x' from pg_sleep(77)) to program 'sleep 77 & echo $! $$ > PIDS; cat; wait'",
    ],
)
def test_a_cancel_leaves_nothing_behind(tmp_path: Path, statement: str) -> None:
    async def body(db: Db, other: Db) -> None:
        running = asyncio.create_task(db.execute(statement.replace("PIDS", str(tmp_path / "pids"))))
        pids = await _written(tmp_path / "pids", 2)
        await asyncio.sleep(0.1)
        await db.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            await running
        await _gone(pids)

    served(body)


def test_what_a_program_leaves_running_after_a_good_end_runs_on(tmp_path: Path) -> None:
    async def body(db: Db, other: Db) -> None:
        await db.execute(f"copy t(b) from program 'sleep 77 >/dev/null & echo $! > {tmp_path}/pid; echo hi'")
        (pid,) = await _written(tmp_path / "pid", 1)
        await asyncio.sleep(0.1)
        assert _lives(pid)
        os.kill(pid, signal.SIGKILL)

    served(body)
