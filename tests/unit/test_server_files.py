"""Functions over files of the server: what is read, who may, what a name means."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server
from compute_node.work import instance_folder, server_files
from compute_node.work.account import INSTANCE

Db = psycopg.AsyncConnection[Any]


def served(test: Callable[[Db], Awaitable[None]]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        await test(await connect(server))

    serve_engine(body)


async def rows(db: Db, sql: str, *params: object) -> list[Any]:
    return await (await db.execute(sql, params)).fetchall()


def test_a_file_is_read_whole_and_in_part(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("zero\none\ntwo — ü\n")
    size = text.stat().st_size

    async def body(db: Db) -> None:
        name = str(text)
        assert await rows(db, "select pg_read_file(%s)", name) == [("zero\none\ntwo — ü\n",)]
        assert await rows(db, "select pg_read_file(%s, 5, 3)", name) == [("one",)]
        assert await rows(db, "select pg_read_binary_file(%s, -4, 10)", name) == [(b" \xc3\xbc\n",)]
        assert await rows(db, "select pg_read_file_old(%s, 5, -1)", name) == [("one\ntwo — ü\n",)]
        assert await rows(db, "select size, isdir from pg_stat_file(%s)", name) == [(size, False)]
        with pytest.raises(errors.CharacterNotInRepertoire):
            await rows(db, "select pg_read_file(%s, -3, 1)", name)
        with pytest.raises(psycopg.OperationalError, match=f'could not seek in file "{name}": Invalid argument'):
            await rows(db, "select pg_read_file(%s, -100, 1)", name)

    served(body)


def test_a_folder_is_listed(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    (tmp_path / "plain").touch()
    (tmp_path / "inner").mkdir()

    async def body(db: Db) -> None:
        name = str(tmp_path)
        assert sorted(await rows(db, "select pg_ls_dir(%s)", name)) == [(".hidden",), ("inner",), ("plain",)]
        dots = await rows(db, "select pg_ls_dir(%s, false, true)", name)
        assert sorted(dots) == [(".",), ("..",), (".hidden",), ("inner",), ("plain",)]

    served(body)
    assert [entry.name for entry in server_files.regular_files(str(tmp_path))] == ["plain"]


def test_what_is_not_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def body(db: Db) -> None:
        with pytest.raises(errors.WrongObjectType, match="is not a regular file"):
            await rows(db, "select pg_read_file(%s)", str(tmp_path / "pipe"))

    served(body)


def test_relative_names_are_names_in_the_instances_folder() -> None:
    async def body(db: Db) -> None:
        assert await rows(db, "select pg_ls_dir('.')") == []
        folder = Path(instance_folder.path())
        assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
        (folder / "note").write_text("mine")
        try:
            assert await rows(db, "select pg_ls_dir('.')") == [("note",)]
            await db.execute("create role guest")
            await db.execute("grant execute on function pg_read_file(text) to guest")
            await db.execute("set role guest")
            for name in ("note", "./a/../note", str(folder / "note"), f"{folder}//note"):
                assert await rows(db, "select pg_read_file(%s)", name) == [("mine",)]
            for name in (f"{folder}/../note", f"{folder}x/note", "../note", "/etc/passwd"):
                with pytest.raises(errors.InsufficientPrivilege, match=r"absolute path not|in or below the current"):
                    await rows(db, "select pg_read_file(%s)", name)
        finally:
            (folder / "note").unlink()

    served(body)


def test_a_file_larger_than_a_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_files, "READ_BYTES_MAX", 9)
    (tmp_path / "ten").write_bytes(bytes(10))

    async def body(db: Db) -> None:
        with pytest.raises(errors.ProgramLimitExceeded, match="file length too large"):
            await rows(db, "select pg_read_binary_file(%s)", str(tmp_path / "ten"))
        assert await rows(db, "select pg_read_binary_file(%s, 0, 9)", str(tmp_path / "ten")) == [(bytes(9),)]
        with pytest.raises(errors.InvalidParameterValue, match="requested length too large"):
            await rows(db, "select pg_read_binary_file(%s, 0, 10)", str(tmp_path / "ten"))

    served(body)


def test_what_another_has_put_in_the_folders_place_is_not_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.symlink_to(tmp_path)
    monkeypatch.setattr(instance_folder, "path", lambda: str(place))

    async def body(db: Db) -> None:
        with pytest.raises(errors.InsufficientPrivilege, match="could not open file"):
            await db.execute("select pg_read_file('x')")

    served(body)


def test_what_is_read_is_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").write_bytes(b"x" * (1 << 23))
    large = str(tmp_path / "large")

    async def body(db: Db) -> None:
        before = INSTANCE.used_bytes
        monkeypatch.setattr(INSTANCE, "limit_bytes", before + (1 << 24))
        for call in ("pg_read_binary_file(%s)", "pg_read_file(%s)", "pg_read_file_old(%s, 0, -1)"):
            with pytest.raises(errors.OutOfMemory):
                await db.execute(f"select {call}", (large,))
            assert INSTANCE.used_bytes == before
        assert await rows(db, "select length(pg_read_binary_file(%s, 0, 1 << 22))", large) == [(1 << 22,)]
        assert INSTANCE.used_bytes == before

    served(body)
