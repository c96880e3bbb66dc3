"""How far commands are: another session looks while one runs, and who may not see it gets its number alone."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from support_server import serve_engine

from compute_node.catalog.ddl import context
from compute_node.hub import HUB
from compute_node.wire.server import Server
from compute_node.work.progress import Progress, reporting

Db = psycopg.AsyncConnection[Any]
VIEWS = ("vacuum", "analyze", "cluster", "create_index", "copy", "basebackup")


async def connect(server: Server) -> Db:
    host, port = server.addresses[0]
    return await Db.connect(host=host, port=port, user="postgres", dbname="postgres", autocommit=True)


async def rows(db: Db, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await (await db.execute(sql.encode())).fetchall()]


async def nothing_runs(db: Db) -> None:
    for view in VIEWS:
        assert await rows(db, f"select * from pg_stat_progress_{view}") == [], view


def test_copy_tells_bytes_and_rows() -> None:
    async def body(server: Server, _engine: Any) -> None:
        db, other = await connect(server), await connect(server)
        await db.execute("create table t (a int, b text)")
        (relation,) = (await rows(db, "select 't'::regclass::oid"))[0]
        async with db.cursor() as cursor, cursor.copy("copy t from stdin where a > 3") as copy:
            # Enough for the client to send it at once.
            await copy.write("".join(f"{number}\t{'x' * 9997}\n" for number in range(1, 9)))
            for _ in range(200):
                found = await rows(other, "select * from pg_stat_progress_copy")
                if found and found[0][6] == 80_000:
                    break
                await asyncio.sleep(0.01)
            expected = (db.info.backend_pid, "postgres", relation, "COPY FROM", "PIPE", 80_000, 0, 5, 3)
            assert [(each[0], *each[2:]) for each in found] == [expected]
            await other.execute("create role plain")
            await other.execute("set role plain")
            hidden = await rows(
                other, "select pid, datname, relid, command, bytes_processed from pg_stat_progress_copy"
            )
            assert hidden == [(db.info.backend_pid, "postgres", None, None, None)]
            await other.execute("reset role")
            await other.execute("grant pg_read_all_stats to plain")
            await other.execute("set role plain")
            assert await rows(other, "select relid, command from pg_stat_progress_copy") == [(relation, "COPY FROM")]
        await nothing_runs(other)
        assert await rows(db, "select count(*) from t") == [(5,)]
        await db.close()
        await other.close()

    serve_engine(body)


@pytest.mark.parametrize(
    ("statement", "view", "expected"),
    [
        ("create index on t (b)", "create_index", ("CREATE INDEX", "building index")),
        ("reindex index i", "create_index", ("REINDEX", "building index")),
        (
            "create index concurrently on t (b)",
            "create_index",
            ("CREATE INDEX CONCURRENTLY", "building index"),
        ),
        ("cluster t using i", "cluster", ("CLUSTER", "rebuilding index")),
        ("vacuum full t", "cluster", ("VACUUM FULL", "rebuilding index")),
    ],
)  # fmt: skip
def test_builds_and_rewrites_tell_their_phase(
    statement: str, view: str, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(server: Server, _engine: Any) -> None:
        db, other = await connect(server), await connect(server)
        await db.execute("create table t (a int, b int)")
        await db.execute("insert into t select g, g from generate_series(1, 9) g")
        await db.execute("create index i on t (a)")
        entered, go_on = asyncio.Event(), asyncio.Event()
        build = context.build_index

        def build_paused(*arguments: Any) -> Any:
            entered.set()
            while not go_on.is_set():
                HUB.sleep(0.01)
            return build(*arguments)

        monkeypatch.setattr(context, "build_index", build_paused)
        running = asyncio.create_task(db.execute(statement.encode()))
        await asyncio.wait_for(entered.wait(), 20)
        found = await rows(other, f"select command, phase from pg_stat_progress_{view}")
        go_on.set()
        await running
        assert found == [expected]
        await nothing_runs(other)
        await db.close()
        await other.close()

    serve_engine(body)


def test_a_command_within_another_reports_to_nobody() -> None:
    class Session:
        progress: Progress | None = None

    session = Session()
    with reporting(session, "CLUSTER", 7) as outer:
        with reporting(session, "CREATE INDEX", 8) as inner:
            inner.add(13, 5)
        assert session.progress is outer
        assert not any(outer.values)
    assert session.progress is None
    with pytest.raises(ZeroDivisionError), reporting(session, "COPY", 0):
        raise ZeroDivisionError
    assert session.progress is None
