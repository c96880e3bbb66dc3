"""Foreign data beyond single statements: other sessions and roles, rollback, a reader, files that a scan has open, rows
that somebody else changes meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_extensions import Db, refused, rows, served
from test_session_protocol import connect

from compute_node.wire.server import Server

FILE = """
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table f (a int, b text) server files options (filename '{}', format 'csv');
"""


def _file(folder: Path, count: int) -> Path:
    path = folder / "rows.csv"
    path.write_text("".join(f"{number},row {number}\n" for number in range(count)))
    return path


def _open(path: Path) -> int:
    """How many descriptors of this process have the file."""
    links = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return links.count(str(path))


def test_objects_come_and_go_with_their_transaction() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        await db.set_autocommit(False)
        await db.execute("create foreign data wrapper w; create server s foreign data wrapper w")
        await db.execute("create foreign table t (a int) server s options (x '1')")
        assert await rows(other, "select count(*) from pg_foreign_table") == [(0,)]
        await db.execute("savepoint one; alter foreign table t options (set x '2'); drop server s cascade")
        await db.execute("rollback to one")
        assert await rows(db, "select ftoptions from pg_foreign_table") == [(["x=1"],)]
        await db.commit()
        assert await rows(other, "select ftoptions from pg_foreign_table") == [(["x=1"],)]
        await db.execute("drop foreign data wrapper w cascade")
        await db.rollback()
        await refused(other, "select * from t", errors.ObjectNotInPrerequisiteState)

    served(test)


def test_analyze_samples_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{number % 5},row {number}\n" for number in range(40_000)))
    known = "select reltuples, relpages from pg_class where relname = 'f'"

    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute(FILE.format(path))
        await db.execute("analyze")
        assert await rows(other, known) == [(-1, 0)]
        told: list[str] = []
        db.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        await db.execute("analyze verbose f")
        assert told == ['analyzing "public.f"', '"f": file contains 40000 rows; 30000 rows in sample']
        assert await rows(other, known) == [(40_000, -(-path.stat().st_size // 8192))]
        found = "select attname, n_distinct, array_length(most_common_vals::text::text[], 1) from pg_stats"
        assert (await rows(other, f"{found} where tablename = 'f' order by 1"))[0] == ("a", 5, 5)
        assert _open(path) == 0
        path.write_text("x,y\n")
        await refused(db, "analyze f", errors.InvalidTextRepresentation)
        assert (await rows(other, known))[0][0] == 40_000
        path.unlink()
        await refused(db, "analyze f", errors.UndefinedFile)
        await db.execute("create role pl")
        await db.execute("set role pl")
        told.clear()
        await db.execute("analyze f")
        assert told == ['skipping "f" --- only table or database owner can analyze it']

    served(test)


def test_a_prepared_scan_follows_its_table_s_options(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1,a\n")
    two.write_text("2;b\n")

    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute(FILE.format(one))
        await db.execute("prepare p as select * from f")
        assert await rows(db, "execute p") == [(1, "a")]
        await other.execute(f"alter foreign table f options (set filename '{two}', add delimiter ';')")
        assert await rows(db, "execute p") == [(2, "b")]
        await other.execute("alter foreign data wrapper file_fdw no handler")
        await refused(db, "execute p", errors.ObjectNotInPrerequisiteState)

    served(test)


def test_a_file_is_closed_when_its_scan_is(tmp_path: Path) -> None:
    path = _file(tmp_path, 50_000)

    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute(FILE.format(path))
        assert await rows(db, "select count(*), sum(a) from f") == [(50_000, 50_000 * 49_999 // 2)]
        assert await rows(db, "select a from f limit 1") == [(0,)]
        assert not _open(path)
        await db.execute("begin; declare c cursor for select a from f; ")
        assert await rows(db, "fetch 2 from c") == [(0,), (1,)]
        assert _open(path) == 1
        await db.execute("close c; commit")
        assert not _open(path)
        await refused(db, "select 1 / (a - 40000) from f", errors.DivisionByZero)
        assert not _open(path)

    served(test)


def test_who_may_read_a_file_by_a_table_need_not_name_it(tmp_path: Path) -> None:
    path = _file(tmp_path, 2)

    async def test(db: Db, plain: Db, server: Server) -> None:
        await db.execute(FILE.format(path))
        await db.execute("create role plain; grant usage on foreign server files to plain")
        await db.execute("grant create on schema public to plain")
        await plain.execute("set role plain")
        await refused(plain, "select * from f", errors.InsufficientPrivilege)
        made = f"create foreign table mine (a int, b text) server files options (filename '{path}', format 'csv')"
        diag = await refused(plain, made, errors.InsufficientPrivilege)
        assert "pg_read_server_files" in (diag.message_primary or "")
        await db.execute("grant select on f to plain")
        assert await rows(plain, "select a from f") == [(0,), (1,)]
        await db.execute("grant pg_read_server_files to plain")
        await plain.execute(made)
        assert await rows(plain, "select b from mine where a = 1") == [("row 1",)]

    served(test)


def test_a_reader_reads_its_own_files(tmp_path: Path) -> None:
    path = _file(tmp_path, 3)

    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        writer = await connect(server)
        await writer.execute(FILE.format(path))
        await writer.close()
        engine.in_recovery = True
        reader = await connect(server)
        assert await rows(reader, "select sum(a) from f") == [(3,)]
        for sql in (
            "create foreign data wrapper w",
            "create server s foreign data wrapper file_fdw",
            "drop server files cascade",
            "create user mapping for public server files",
            "alter foreign table f options (drop format)",
        ):
            await refused(reader, sql, errors.ReadOnlySqlTransaction)

    serve_engine(body)


def test_a_row_that_was_waited_for_is_joined_with_the_file_s_again(tmp_path: Path) -> None:
    path = _file(tmp_path, 3)

    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute(FILE.format(path))
        await db.execute("create table t (id int, k int, note text); insert into t values (1, 1, ''), (2, 2, '')")
        await db.set_autocommit(False)
        await db.execute("update t set k = 0 where id = 2; update t set note = 'seen' where id = 1")
        change = "update t set note = note || f.b from f where f.a = t.k returning id, note"
        waiting = asyncio.ensure_future(rows(other, change))
        while await rows(db, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == [(0,)]:
            await asyncio.sleep(0.01)
        await db.commit()
        # Of the row whose key has changed, the file's row is no match any more.
        assert await waiting == [(1, "seenrow 1")]

    served(test)
