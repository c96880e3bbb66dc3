"""Waiting for an LSN, conflicts with recovery, pause and promotion, snapshots that are handed on: through live sessions
on a volume whose durable point the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import Raw, connect
from wire_fakes import fields

from aurora.ids import Lsn
from compute_node.catalog.reading import holders
from compute_node.protocol.messages import message
from compute_node.session.conflicts import cancel_for_conflict
from compute_node.txn.recovery import Conflict, Receiver
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]


async def value(db: Db, sql: str) -> Any:
    row = await (await db.execute(sql)).fetchone()
    assert row is not None
    return row[0]


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


async def waiting(engine: CountingEngine, sessions: int = 1) -> None:
    """So many sessions wait for an LSN."""
    await until(lambda: sum(map(len, engine.lsn_waits.waiting.values())) == sessions)


async def behind(server: Server, engine: CountingEngine) -> tuple[Db, str]:
    """A reader's session, and the LSN of a row in ``t`` that the reader does not show yet."""
    volume: Any = engine.volume
    writer = await connect(server)
    await writer.execute("create table t (a int primary key); insert into t values (1)")
    assert await value(await connect(server), "select aurora_last_commit_lsn()") is None
    volume.auto = False
    task = asyncio.ensure_future(writer.execute("insert into t values (2)"))
    await until(lambda: any(connection.is_held for connection in server.connections))
    (session,) = [each for each in server.sessions.values() if each.dependency.lsn]
    lsn = session.dependency.lsn
    engine.in_recovery = True
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await connect(server), f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("sql", ["select count(*) from t", "select count(*) from t where a > %s"])
def test_a_query_waits_for_the_lsn_that_its_session_reads_after(sql: str, prepare: bool) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        volume: Any = engine.volume
        db, lsn = await behind(server, engine)
        arguments = (0,) if "%s" in sql else None
        for _ in range(3):
            assert await (await db.execute(sql, arguments, prepare=prepare)).fetchone() == (1,)
        await db.execute(f"set aurora.read_after_lsn = '{lsn.lower()}'")
        assert await value(db, "show aurora.read_after_lsn") == lsn
        task = asyncio.ensure_future(db.execute(sql, arguments, prepare=prepare))
        await waiting(engine)
        assert not task.done()
        volume.advance()
        assert await (await task).fetchone() == (2,)
        (session,) = [each for each in server.sessions.values() if each.pid == db.info.backend_pid]
        assert not session.read_after_lsn and not engine.lsn_waits.waiting

    serve_engine(test)


def test_the_wait_ends_with_statement_timeout_and_a_cancel_and_can_be_taken_back() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        volume: Any = engine.volume
        db, _ = await behind(server, engine)
        await db.execute("set aurora.read_after_lsn = 'FF/0'; set statement_timeout = '20ms'")
        for sql in ("select 1", "explain select * from t", "select * from t for update"):
            with pytest.raises(errors.QueryCanceled, match="statement timeout"):
                await db.execute(sql)
        await db.execute("set statement_timeout = 0")
        task = asyncio.ensure_future(db.execute("select 1"))
        await waiting(engine)
        await db.cancel_safe()
        with pytest.raises(errors.QueryCanceled, match="user request"):
            await task
        assert len(engine.lsn_waits.waiting) == 1, "an LSN is asked for once"
        # Statements without a snapshot do not wait.
        await db.execute("begin; rollback; show work_mem; reset aurora.read_after_lsn")
        assert await value(db, "select count(*) from t") == 1
        with pytest.raises(errors.InvalidParameterValue, match="invalid value for parameter"):
            await db.execute("set aurora.read_after_lsn = '12'")
        volume.advance()

    serve_engine(test)


def test_wait_for_lsn_says_whether_it_came() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        volume: Any = engine.volume
        db, lsn = await behind(server, engine)
        assert await value(db, f"select aurora_wait_for_lsn('{lsn}', 0)") is False
        assert await value(db, f"select aurora_wait_for_lsn('{lsn}', 5)") is False
        assert await value(db, "select aurora_wait_for_lsn('0/1', 0)") is True
        with pytest.raises(errors.InvalidParameterValue, match="timeout must not be negative"):
            await db.execute("select aurora_wait_for_lsn('0/1', -1)")
        task = asyncio.ensure_future(value(db, f"select aurora_wait_for_lsn('{lsn}', 60000)"))
        await waiting(engine)
        volume.advance()
        assert await task is True
        assert await value(db, f"select pg_last_wal_replay_lsn() >= '{lsn}'") is True
        engine.in_recovery = False
        assert await value(db, f"select pg_last_wal_replay_lsn() >= '{lsn}'") is True, "of its life as a reader"

    serve_engine(test)


def test_positions_of_the_writer_s_log() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        assert await value(db, "select pg_last_wal_replay_lsn()") is None
        await db.execute("create table t (a int)")
        assert await value(db, "select aurora_last_commit_lsn() <= pg_current_wal_lsn()")
        assert await value(db, "select pg_current_wal_insert_lsn() = pg_current_wal_flush_lsn()")
        assert await value(db, "select pg_create_restore_point('here') = pg_switch_wal()")
        # What a client reads here, a reader that has applied everything has reached.
        assert await value(db, "select pg_current_wal_lsn() - '0/0'") == engine.volume.vdl
        with pytest.raises(errors.InvalidParameterValue, match=r"restore point \(maximum 63 characters\)"):
            await db.execute("select pg_create_restore_point(repeat('x', 64))")
        for sql in (
            "select pg_wal_replay_pause()", "select pg_wal_replay_resume()", "select pg_is_wal_replay_paused()",
            "select pg_get_wal_replay_pause_state()", "select pg_promote()",
        ):  # fmt: skip
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="recovery is not in progress") as caught:
                await db.execute(sql)
            assert caught.value.diag.message_hint == "Recovery control functions can only be executed during recovery."

    serve_engine(test)


class FakeReplay:
    received_lsn, applied_lsn, last_commit_us = Lsn(40), Lsn(30), 5_000_000
    is_paused = False

    def receiver(self) -> Receiver | None:
        return Receiver("streaming", Lsn(16), self.received_lsn, 1_000_000, 2_000_000, "127.0.0.2", 7000)


def test_replay_is_shown_paused_and_ended() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        engine.in_recovery = True
        recovery, told = engine.recovery, []
        recovery.replay = replay = FakeReplay()
        recovery.on_pause = lambda: told.append(recovery.pause_requested)
        db = await connect(server)
        sql = "select pg_last_wal_receive_lsn()::text, pg_last_wal_replay_lsn()::text"
        assert await (await db.execute(sql)).fetchone() == ("0/28", "0/1E")
        assert await value(db, "select pg_last_xact_replay_timestamp() = '2000-01-01 00:00:05+00'")
        row = await (
            await db.execute("select status, written_lsn::text, sender_host from pg_stat_wal_receiver")
        ).fetchone()
        assert row == ("streaming", "0/28", "127.0.0.2")
        await db.execute("select pg_wal_replay_pause()")
        assert await value(db, "select pg_get_wal_replay_pause_state()") == "pause requested"
        replay.is_paused = True
        assert await value(db, "select pg_get_wal_replay_pause_state()") == "paused"
        await db.execute("select pg_wal_replay_resume()")
        assert told == [True, False] and not recovery.is_paused
        with pytest.raises(errors.FeatureNotSupported, match="this instance cannot become the writer"):
            await db.execute("select pg_promote()")
        asked: list[bool] = []
        recovery.promote = lambda: asked.append(True)
        assert await value(db, "select pg_promote(false)") is True
        notices: list[str | None] = []
        db.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        task = asyncio.ensure_future(value(db, "select pg_promote(wait_seconds => 1)"))
        assert await task is False
        assert notices[0] == "server did not promote within 1 seconds"
        task = asyncio.ensure_future(value(db, "select pg_promote()"))
        await until(lambda: len(asked) == 3)
        engine.in_recovery = False
        assert await task is True
        assert await (await db.execute("select * from pg_stat_wal_receiver")).fetchall() == []
        await db.execute("create table t (a int)")

    serve_engine(test)


async def conflicting(server: Server, engine: CountingEngine) -> Db:
    db = await connect(server)
    await db.execute("create table t (a int); insert into t values (1)")
    engine.in_recovery = True
    return db


def session_of(server: Server, db: Db) -> Any:
    return server.sessions[db.info.backend_pid]


@pytest.mark.parametrize("reason", [each for each in Conflict if each is not Conflict.DATABASE])
def test_a_running_statement_ends_with_40001(reason: Conflict) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await conflicting(server, engine)
        session = session_of(server, db)
        fresh = session_of(server, await connect(server))
        assert fresh.greenlet is None and fresh.state == "idle", "nothing runs for a client that has only come"
        assert not cancel_for_conflict(session, reason), "idle: it is in nobody's way"
        task = asyncio.ensure_future(db.execute("select pg_sleep(60)"))
        await until(lambda: session.greenlet is not None)
        assert cancel_for_conflict(session, reason)
        with pytest.raises(errors.SerializationFailure) as caught:
            await task
        diag = caught.value.diag
        assert (diag.severity, diag.message_primary) == ("ERROR", "canceling statement due to conflict with recovery")
        assert (diag.message_detail, diag.message_hint) == (reason.value, None)
        assert await value(db, "select conflicts from pg_stat_database where datname = 'postgres'") == 1
        sql = "select confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock"
        assert await value(db, f"{sql} from pg_stat_database_conflicts where datname = 'postgres'") == 1

    serve_engine(test)


def test_an_idle_transaction_ends_with_its_session() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await conflicting(server, engine)
        raw = await Raw.open(server)
        await raw.query("begin")
        await raw.query("select * from t")
        (session,) = [each for each in server.sessions.values() if each.block]
        assert cancel_for_conflict(session, Conflict.SNAPSHOT)
        error = fields(await raw.reader.read())
        assert (error["S"], error["C"]) == ("FATAL", "40001")
        assert error["M"] == "terminating connection due to conflict with recovery"
        assert error["D"] == Conflict.SNAPSHOT.value
        assert error["H"] == "In a moment you should be able to reconnect to the database and repeat your command."
        await until(lambda: len(server.sessions) == 1)
        assert await value(db, "select confl_snapshot from pg_stat_database_conflicts where datname = 'postgres'") == 1

    serve_engine(test)


def test_a_failed_transaction_is_left_alone_and_one_in_a_savepoint_ends() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await conflicting(server, engine)
        session = session_of(server, db)
        await db.execute("begin")
        with pytest.raises(errors.UndefinedTable):
            await db.execute("select * from nowhere")
        assert not cancel_for_conflict(session, Conflict.LOCK)
        await db.execute("rollback; begin; savepoint a")
        task = asyncio.ensure_future(db.execute("select pg_sleep(60)"))
        await until(lambda: session.greenlet is not None)
        assert cancel_for_conflict(session, Conflict.LOCK)
        with pytest.raises(errors.SerializationFailure, match="terminating connection due to conflict with") as caught:
            await task
        assert caught.value.diag.severity == "FATAL" and caught.value.diag.message_hint is None

    serve_engine(test)


def test_whose_locks_stand_in_the_way_of_the_log() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await conflicting(server, engine)
        engine.databases.sessions = lambda: list(server.sessions.values())
        oid = await value(db, "select 't'::regclass::oid::int8")
        key = engine.database_oid << 32 | oid
        other = await connect(server)
        await other.execute("begin; select 1")
        assert list(holders(engine.databases, key)) == []
        await db.execute("begin; select * from t")
        assert list(holders(engine.databases, key)) == [session_of(server, db)]
        await other.execute("lock table t in row exclusive mode")
        assert len(list(holders(engine.databases, key))) == 2
        assert list(holders(engine.databases, key + 1)) == []

    serve_engine(test)


@pytest.mark.parametrize("running", [False, True])
def test_sessions_of_a_dropped_database_end_with_57p04(running: bool) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        await conflicting(server, engine)
        raw = await Raw.open(server)
        session = max(server.sessions.values(), key=lambda each: each.pid)
        await raw.query("select 1")
        if running:
            raw.send(message(b"Q", b"select pg_sleep(60)\0"))
            await until(lambda: session.greenlet is not None)
        assert cancel_for_conflict(session, Conflict.DATABASE)
        error = fields(await raw.reader.read())
        assert (error["S"], error["C"]) == ("FATAL", "57P04")
        assert error["M"] == "terminating connection due to conflict with recovery"
        assert error["D"] == "User was connected to a database that must be dropped."

    serve_engine(test)


@pytest.mark.parametrize("reader", [False, True])
def test_a_snapshot_is_handed_on(reader: bool) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        one, two = await connect(server), await connect(server)
        await one.execute("create table t (a int); insert into t values (1)")
        await one.execute("begin isolation level repeatable read")
        name = await value(one, "select pg_export_snapshot()")
        await two.execute("insert into t values (2)")
        engine.in_recovery = reader
        await two.execute("begin isolation level repeatable read")
        await two.execute(f"set transaction snapshot '{name}'")
        assert await value(two, "select count(*) from t") == 1
        assert engine.txns.row_horizon() < engine.volume.vdl
        await one.execute("commit")
        assert await value(two, "select count(*) from t") == 1
        await two.execute("commit")
        await two.execute("begin isolation level repeatable read")
        with pytest.raises(errors.InvalidParameterValue, match="invalid snapshot identifier"):
            await two.execute(f"set transaction snapshot '{name}'")

    serve_engine(test)
