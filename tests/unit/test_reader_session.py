"""A reader's session, statement by statement as PostgreSQL 15's hot standby answers it
(``golden/record_reader.py``), and what becomes of sessions when their instance has another role."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import Raw, connect
from wire_fakes import fields, tags

from compute_node.wire.server import Server

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
from record_reader import ANSWERS, SETUP

RECORDED: list[list[list[Any]]] = json.loads(ANSWERS.read_text())
PARTIAL = ("explain (costs off)", "select * from pg_stat_wal_receiver")
"""Statements whose rows differ where both work."""


async def _answer(db: psycopg.AsyncConnection[Any], sql: str) -> list[Any]:
    try:
        cursor = await db.execute(sql)
        rows = [[str(value) for value in row] for row in await cursor.fetchall()] if cursor.description else None
        head = ["", cursor.statusmessage, None, None]
    except psycopg.Error as error:
        found = error.diag
        head, rows = [found.sqlstate, found.message_primary, found.message_detail, found.message_hint], None
    return [*head, db.info.transaction_status.name, rows]


async def _reader(server: Server, engine: CountingEngine) -> psycopg.AsyncConnection[Any]:
    """What ``SETUP`` has made is there, and the instance is a reader from now on."""
    engine.databases.sessions = lambda: list(server.sessions.values())
    writer = await connect(server)
    await writer.execute(SETUP)
    await writer.close()
    engine.in_recovery = True
    return await connect(server)


def test_every_statement_answers_as_a_hot_standby_does() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _reader(server, engine)
        db.prepare_threshold = None  # DISCARD ALL would take its statements away
        wrong = []
        for script in RECORDED:
            for sql, *expected in script:
                found = await _answer(db, sql)
                if sql.startswith(PARTIAL):
                    found[5] = expected[5] = None
                if found != expected:
                    wrong.append((sql, found, expected))
            if db.info.transaction_status.name != "IDLE":
                await db.execute("rollback")
            await db.execute("reset session authorization")
            await db.execute("discard all")
        assert not wrong, "\n".join(map(str, wrong))

    serve_engine(test)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_writes_are_refused_in_every_protocol(isolation: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _reader(server, engine)
        await db.execute(f"set default_transaction_isolation = '{isolation}'")
        for _ in range(4):
            # From the third on these are prepared, point statements.
            with pytest.raises(errors.ReadOnlySqlTransaction, match="cannot execute UPDATE in a read-only"):
                await db.execute("update t set v = %s where id = %s", ("z", 1), prepare=True)
            with pytest.raises(errors.ReadOnlySqlTransaction, match="cannot execute INSERT in a read-only"):
                await db.execute("insert into t values (%s, 'n')", (9,), prepare=True)
            found = await db.execute("select v from t where id = %s", (1,), prepare=True)
            assert await found.fetchall() == [("x",)]
        with pytest.raises(errors.ReadOnlySqlTransaction, match="cannot execute COPY during recovery"):
            async with db.cursor().copy("copy t from stdin") as copy:
                await copy.write(b"5\tx\n")
        assert await (await db.execute("select count(*) from t")).fetchone() == (3,)

    serve_engine(test)


def test_settings_are_of_the_volume_so_alter_system_is_the_writer_s() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _reader(server, engine)
        with pytest.raises(errors.ReadOnlySqlTransaction, match="cannot execute ALTER SYSTEM during recovery"):
            await db.execute("alter system set work_mem = '5MB'")
        await db.execute("begin")
        await db.execute("reset transaction_read_only")
        assert await (await db.execute("show transaction_read_only")).fetchone() == ("on",)

    serve_engine(test)


def test_temporary_tables_of_the_writer_s_sessions_are_not_read() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        writer = await connect(server)
        await writer.execute("create temp table tt (a int); insert into tt values (1)")
        name = await (
            await writer.execute("select relnamespace::regnamespace::text from pg_class where relname = 'tt'")
        ).fetchone()
        assert name is not None
        db = await _reader(server, engine)
        with pytest.raises(errors.FeatureNotSupported, match="cannot access temporary or unlogged relations during"):
            await db.execute(f"select * from {name[0]}.tt")
        engine.in_recovery = False

    serve_engine(test)


def test_a_session_outlives_a_change_of_role() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        raw = await Raw.open(server)
        await raw.query("create table t (a int primary key)")
        await raw.query("insert into t values (1)")
        assert tags(await raw.query("select * from t")) == "TDCZ"
        assert raw_setting(await raw.query("show transaction_read_only")) == b"off"
        engine.in_recovery = True
        answer = await raw.query("insert into t values (2)")
        assert tags(answer) == "ESZ", "the new role is reported with the next answer"
        assert b"in_hot_standby\0on" in answer and b"25006" in answer
        assert raw_setting(await raw.query("show transaction_read_only")) == b"on"
        assert raw_setting(await raw.query("select * from t")) == b"1"
        # A transaction that began on the reader stays read-only; the next one is not.
        await raw.query("begin")
        await raw.query("select * from t")
        engine.in_recovery = False
        answer = await raw.query("insert into t values (2)")
        assert b"25006" in answer and b"in_hot_standby\0off" in answer
        await raw.query("rollback")
        assert tags(await raw.query("insert into t values (2)")) == "CZ"
        assert raw_setting(await raw.query("show transaction_read_only")) == b"off"

    serve_engine(test)


def raw_setting(answer: bytes) -> bytes:
    """The first value of the first row."""
    at = answer.index(b"D")
    start = answer.index(b"D", at)
    while answer[start : start + 1] != b"D" or int.from_bytes(answer[start + 5 : start + 7], "big") != 1:
        start = answer.index(b"D", start + 1)
    length = int.from_bytes(answer[start + 7 : start + 11], "big")
    return answer[start + 11 : start + 11 + length]


def test_a_transaction_under_way_becomes_read_only_with_its_instance() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _reader(server, engine)
        engine.in_recovery = False
        await db.execute("begin")
        await db.execute("select * from t")
        engine.in_recovery = True
        with pytest.raises(errors.ReadOnlySqlTransaction):
            await db.execute("insert into t values (50)")
        await db.execute("rollback")

    serve_engine(test)


def test_libpq_tells_reader_from_writer() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        async def opens(wanted: str) -> bool:
            try:
                db = await connect(server, target_session_attrs=wanted)
            except psycopg.OperationalError:
                return False
            await db.close()
            return True

        kinds = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
        on_writer = [await opens(each) for each in kinds]
        engine.in_recovery = True
        on_reader = [await opens(each) for each in kinds]
        assert on_writer == [True, True, False, True, False, True]
        assert on_reader == [True, False, True, False, True, True]

    serve_engine(test)


def test_reads_leave_no_transaction_behind() -> None:
    """A plain read on a reader is as cheap as on the writer: its transaction is used again."""

    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _reader(server, engine)
        await db.execute("select * from t")
        (session,) = server.sessions.values()
        first = session.retired_txn
        assert first is not None and first.read_only
        await db.execute("select * from t")
        assert session.retired_txn is first
        await db.execute("begin isolation level repeatable read")
        await db.execute("select * from t")
        await db.execute("commit")
        assert await (await db.execute("show transaction_isolation")).fetchone() == ("read committed",)

    serve_engine(test)


@pytest.mark.parametrize("sql", ["insert into tt values (1)", "select * from tt for update", "select nextval('ts')"])
def test_a_read_only_transaction_of_the_writer_may_change_temporary_tables(sql: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create temp table tt (a int); create temp sequence ts; create sequence s")
        await db.execute("begin read only")
        await db.execute(sql)
        with pytest.raises(errors.ReadOnlySqlTransaction, match=r"cannot execute nextval\(\) in a read-only"):
            await db.execute("select nextval('s')")
        await db.execute("rollback")
        await db.execute("begin read only")
        await db.execute("select pg_current_xact_id()")
        await db.execute("notify x")
        await db.execute("lock table tt in access exclusive mode")
        await db.execute("rollback")

    serve_engine(test)


def test_serializable_is_refused_at_the_first_snapshot_and_begin_leaves_no_block() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        raw = await Raw.open(server)
        engine.in_recovery = True
        answer = await raw.query("begin isolation level serializable")
        assert fields(answer)["C"] == "0A000"
        assert answer[-1:] == b"I"

    serve_engine(test)
