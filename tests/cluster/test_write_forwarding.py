"""Write forwarding on real processes: a writer and two readers, whose sessions have the writer run what they write."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

import aurora
from aurora.programs.embedded import EmbeddedCluster
from tests.cluster import forwarding_twins

Db = psycopg.Connection[Any]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        r"compute_node\.roles: the stream from the writer has ended",
        r"compute_node\.server: instance-\d becomes the writer",
        r"keeper: \S+ has ended",
    ),
]


class Sessions:
    """Connections to the instances of a cluster."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self.writer = self.connect(cluster.dsn)
        self._open: list[Db] = []

    @staticmethod
    def connect(dsn: str, **options: Any) -> Db:
        return psycopg.connect(dsn, autocommit=True, **options)

    def open(self, dsn: str, **options: Any) -> Db:
        """A connection that is closed at the test's end."""
        self._open.append(self.connect(dsn, **options))
        return self._open[-1]

    def reader(self, number: int = 0, **options: Any) -> Db:
        """A session of a reader that shows all that is committed."""
        db = self.open(self.cluster.readers[number].dsn, **options)
        lsn = value(self.writer, "select aurora_last_commit_lsn()::text")
        assert lsn is None or value(db, f"select aurora_wait_for_lsn('{lsn}', 10000)")
        return db

    def close(self) -> None:
        """Those of one test."""
        for db in self._open:
            db.close()
        self._open.clear()


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with aurora.cluster(readers=2) as made:
        yield made


@pytest.fixture(scope="module")
def all_sessions(cluster: EmbeddedCluster) -> Iterator[Sessions]:
    made = Sessions(cluster)
    made.writer.execute("alter system set aurora.local_write_forwarding = on")
    made.writer.execute("create type mood as enum ('sad', 'happy')")
    made.writer.execute("create role clerk login; create role guest login")
    yield made
    made.close()
    made.writer.close()


@pytest.fixture
def db(all_sessions: Sessions) -> Iterator[Sessions]:
    all_sessions.writer.execute("drop table if exists t cascade; create table t (id int primary key, n text)")
    all_sessions.writer.execute("grant all on t to clerk")
    yield all_sessions
    all_sessions.close()


def value(db: Db, sql: str, params: Any = None) -> Any:
    row = db.execute(sql, params).fetchone()
    assert row is not None
    return row[0]


def rows(db: Db, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    return db.execute(sql, params).fetchall()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def beside(call: Callable[[], Any]) -> Future[Any]:
    """Run it in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return future


def runs(db: Db, pattern: str) -> bool:
    """Whether a session of this instance runs a statement like that."""
    return bool(value(db, "select count(*) from pg_stat_activity where state = 'active' and query like %s", (pattern,)))


# Statements


def test_statements_answer_as_on_the_writer_and_the_session_reads_what_it_has_written(db: Sessions) -> None:
    reader = db.reader()
    assert value(reader, "select pg_is_in_recovery()") is True
    assert reader.execute("insert into t values (1, 'one'), (2, 'two')").statusmessage == "INSERT 0 2"
    assert rows(reader, "select * from t order by id") == [(1, "one"), (2, "two")]
    assert reader.execute("update t set n = n || '!' where id = 1").statusmessage == "UPDATE 1"
    assert value(reader, "select n from t where id = 1") == "one!"
    assert rows(reader, "insert into t values (3, 'x') returning id + 1 as next, n") == [(4, "x")]
    assert rows(reader, "delete from t where id = 3 returning *") == [(3, "x")]
    upsert = "insert into t values (1, 'new') on conflict (id) do update set n = excluded.n returning n"
    assert rows(reader, upsert) == [("new",)]
    assert reader.execute("insert into t values (1, '') on conflict do nothing").statusmessage == "INSERT 0 0"
    assert reader.execute("delete from t where false").statusmessage == "DELETE 0"
    assert rows(db.writer, "select * from t order by id") == [(1, "new"), (2, "two")]
    assert rows(reader, "select id from t order by id for update") == [(1,), (2,)]
    assert rows(reader, "select n from t where id = 2 for key share") == [("two",)]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_parameters_and_results_of_many_types(db: Sessions, binary: bool, prepare: bool) -> None:
    reader = db.reader(prepare_threshold=0 if prepare else None)
    db.writer.execute("drop table if exists typed")
    db.writer.execute(
        "create table typed (i int8, f float8, s text, b bytea, ts timestamptz, d date, j jsonb, a int[], m mood,"
        " u uuid, nu numeric, iv interval, bo bool)"
    )
    lsn = value(db.writer, "select aurora_last_commit_lsn()::text")
    reader.execute(f"set aurora.read_after_lsn = '{lsn}'")
    for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'ISO, DMY'", "extra_float_digits = 0"):
        reader.execute(f"set {setting}")
    insert = (
        "insert into typed values (%s, 1.5, %s, %s, '1/2/2030 12:00', '3/4/2031', '{\"k\": [1]}', '{1,NULL}', 'happy',"
        " '00000000-0000-0000-0000-00000000000f', 1.50, '1 day', null) returning *"
    )
    with reader.cursor(binary=binary) as cursor:
        given = cursor.execute(insert, (7, "é", b"\0\xff")).fetchall()
        kept = cursor.execute("select * from typed").fetchall()
    assert given == kept
    assert rows(db.writer, "select i, ts at time zone 'UTC', d, s from typed") == [
        (7, given[0][4].replace(tzinfo=None) - given[0][4].utcoffset(), given[0][5], "é")
    ]
    assert (given[0][5].month, given[0][5].day) == (4, 3)
    assert value(reader, "insert into typed (i) values (9) returning row(i, 'x'::text, null::int)::text") == "(9,x,)"
    assert rows(reader, "update typed set i = 1 where i = 9 returning row(i, s)")[0][0] == ("1", None)


def test_a_large_value_and_many_rows(db: Sessions) -> None:
    reader = db.reader()
    large = "large" * 2_000_000
    assert value(reader, "insert into t values (1, %s) returning length(n)", (large,)) == len(large)
    assert value(reader, "update t set id = id returning n") == large
    reader.execute(f"insert into t values (2, '{large[:3_000_000]}')")
    assert rows(db.writer, "select length(n) from t order by id") == [(10_000_000,), (3_000_000,)]
    many = rows(reader, "insert into t select g, 'r' || g from generate_series(10, 10009) g returning id, n")
    assert many[0] == (10, "r10")
    assert len(many) == 10_000
    values = ",".join(f"({number}, 'v')" for number in range(100_000, 106_000))
    assert reader.execute(f"insert into t values {values}").rowcount == 6_000
    assert value(reader, "select count(*) from t") == 16_002


def test_errors_arrive_with_all_their_fields(db: Sessions) -> None:
    reader = db.reader()
    reader.execute("insert into t values (1, 'a')")
    with pytest.raises(errors.UniqueViolation) as unique:
        reader.execute("insert into t values (1, 'b')")
    diag = unique.value.diag
    assert (diag.message_detail, diag.constraint_name, diag.table_name, diag.schema_name) == (
        "Key (id)=(1) already exists.",
        "t_pkey",
        "t",
        "public",
    )
    # Known only to the writer: its position is counted in the client's text.
    with db.writer.transaction():
        db.writer.execute("alter table t add check (n <> 'bad')")
    with pytest.raises(errors.CheckViolation, match="t_n_check"):
        reader.execute("update t set n = 'bad'")
    with pytest.raises(errors.DivisionByZero):
        reader.execute("update t set n = (id / (id - 1))::text")
    with pytest.raises(errors.UndefinedColumn) as missing:
        reader.execute("select 1; update t set nothing = 1")
    assert missing.value.diag.statement_position == "24"


def test_privileges_are_the_user_s_own(db: Sessions) -> None:
    reader = db.reader(user="guest")
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table t"):
        reader.execute("insert into t values (1, 'a')")
    db.writer.execute("create table who (name text default current_user, session text default session_user)")
    db.writer.execute("grant all on who to clerk")
    clerk = db.reader(user="clerk")
    assert rows(clerk, "insert into who default values returning *") == [("clerk", "clerk")]
    admin = db.reader()
    admin.execute("set role clerk")
    assert rows(admin, "insert into who default values returning *") == [("clerk", "postgres")]
    with admin.transaction():
        admin.execute("set local role guest")
        with pytest.raises(errors.InsufficientPrivilege), admin.transaction():
            admin.execute("insert into who default values")
            raise AssertionError
    db.writer.execute("drop table who")


def test_settings_of_the_session_hold_for_what_it_forwards(db: Sessions) -> None:
    db.writer.execute("drop schema if exists other cascade; create schema other; create table other.t (id int, n text)")
    reader = db.reader(application_name="forwarding test")
    reader.execute("set search_path = other; set app.tenant = 'blue'")
    shown = "current_setting('app.tenant') || ' ' || current_setting('application_name')"
    assert value(reader, f"insert into t values (1, {shown}) returning n") == "blue forwarding test"
    with reader.transaction():
        reader.execute("set local search_path = public")
        reader.execute("insert into t values (5, 'public')")
        reader.execute("reset search_path; set app.tenant = 'red'")
        assert value(reader, f"insert into t values (6, {shown}) returning n") == "red forwarding test"
    assert rows(reader, "select id from public.t order by id") == [(5,), (6,)]
    reader.execute("set lock_timeout = '50ms'")
    with db.writer.transaction():
        db.writer.execute("update t set n = 'w' where id = 5")
        with pytest.raises(errors.LockNotAvailable):
            reader.execute("update public.t set n = 'r' where id = 5")
    assert (
        value(db.writer, "select usename from pg_stat_activity where application_name = 'forwarding test'")
        == "postgres"
    )


def test_explain_and_prepare(db: Sessions) -> None:
    reader = db.reader()
    reader.execute("insert into t values (1, 'a'), (2, 'b')")
    assert "Update on t" in rows(reader, "explain (costs off) update t set n = 'x'")[0][0]
    assert value(db.writer, "select count(*) from t where n = 'x'") == 0
    plan = rows(reader, "explain (analyze, costs off, timing off, summary off) update t set n = 'x' where id = 1")
    assert any("rows=1" in line for (line,) in plan)
    assert value(reader, "select n from t where id = 1") == "x"
    assert isinstance(value(reader, "explain (analyze, format json) delete from t where id = 9"), list)
    reader.execute("/* AS it is */ prepare change(int, text) as update t set n = $2 where id = $1 returning n")
    assert rows(reader, "execute change(2, 'y')") == [("y",)]
    assert any("rows=1" in line for (line,) in rows(reader, "explain analyze execute change(1, 'z')"))
    assert rows(reader, "select n from t order by id") == [("z",), ("y",)]
    assert any("rows=1" in line for (line,) in rows(reader, "explain analyze select * from t where id = 1 for update"))


def test_several_statements_and_pipelines_are_one_transaction(db: Sessions) -> None:
    reader = db.reader()
    with pytest.raises(errors.UniqueViolation):
        reader.execute("insert into t values (1, 'a'); select 1; insert into t values (1, 'b')")
    assert value(db.writer, "select count(*) from t") == 0
    reader.execute("insert into t values (1, 'a'); update t set n = 'b' where id = 1; insert into t values (2, 'c')")
    assert rows(reader, "select * from t order by id") == [(1, "b"), (2, "c")]
    with reader.pipeline():
        reader.execute("insert into t values (%s, 'p')", (3,))
        counted = reader.execute("select count(*) from t where n = %s", ("p",))
        reader.execute("insert into t values (%s, 'p')", (4,))
    assert counted.fetchone() == (1,)
    with pytest.raises(errors.UniqueViolation), reader.pipeline() as pipeline:
        reader.execute("insert into t values (%s, 'q')", (5,))
        reader.execute("insert into t values (%s, 'q')", (1,))
        pipeline.sync()
    assert value(reader, "select count(*) from t where n = 'q'") == 0

    async def drive(host: str, port: int) -> None:
        connection = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
        await connection.executemany("insert into t values ($1, $2)", [(n, "many") for n in range(100, 200)])
        assert await connection.fetchval("select count(*) from t where n = 'many'") == 100
        async with connection.transaction():
            await connection.execute("delete from t where id = $1", 100)
            assert await connection.fetchval("select count(*) from t where n = 'many'") == 99
        await connection.close()

    asyncio.run(drive(*db.cluster.readers[0].address))
    assert value(db.writer, "select count(*) from t where n = 'many'") == 99


# Transactions


def test_uncommitted_rows_are_the_session_s_alone(db: Sessions) -> None:
    reader, other = db.reader(), db.reader()
    with pytest.raises(ZeroDivisionError), reader.transaction():
        reader.execute("insert into t values (1, 'a'), (2, 'b')")
        assert value(reader, "select count(*) from t") == 2
        reader.execute("update t set n = 'c' where id = 1")
        reader.execute("delete from t where id = 2")
        assert rows(reader, "select * from t") == [(1, "c")]
        lsn = value(db.writer, "select pg_current_wal_flush_lsn()::text")
        assert value(other, f"select aurora_wait_for_lsn('{lsn}', 10000)")
        assert value(other, "select count(*) from t") == 0
        assert value(db.writer, "select count(*) from t") == 0
        raise ZeroDivisionError
    assert value(reader, "select count(*) from t") == 0
    with reader.transaction():
        reader.execute("insert into t values (1, 'a')")
        with reader.cursor(name="before") as opened:
            opened.execute("select id from t order by id")
            reader.execute("insert into t values (2, 'b')")
            assert opened.fetchall() == [(1,)]
        started = value(reader, "select now()")
        assert value(reader, "update t set n = now()::text where id = 1 returning n::timestamptz") == started
        assert value(reader, "select count(*) from t") == 2
    assert value(db.writer, "select count(*) from t") == 2


def test_a_failed_statement_fails_its_block(db: Sessions) -> None:
    reader = db.reader()
    reader.execute("begin")
    reader.execute("insert into t values (1, 'a')")
    with pytest.raises(errors.UniqueViolation):
        reader.execute("insert into t values (1, 'b')")
    with pytest.raises(errors.InFailedSqlTransaction):
        reader.execute("insert into t values (2, 'b')")
    # Its locks are free at once, as on the writer.
    db.writer.execute("insert into t values (1, 'writer')")
    assert reader.execute("commit").statusmessage == "ROLLBACK"
    assert rows(reader, "update t set n = 'r' returning id") == [(1,)]
    # An error here ends the writer's part too.
    reader.execute("begin")
    reader.execute("insert into t values (7, 'a')")
    with pytest.raises(errors.DivisionByZero):
        reader.execute("select 1 / 0")
    db.writer.execute("insert into t values (7, 'writer')")
    reader.execute("rollback")
    # A constraint that is checked at the end.
    db.writer.execute(
        "drop table if exists child; create table child (t int references t deferrable initially deferred)"
    )
    lsn = value(db.writer, "select aurora_last_commit_lsn()::text")
    reader.execute(f"set aurora.read_after_lsn = '{lsn}'")
    with pytest.raises(errors.ForeignKeyViolation):
        reader.execute("insert into child values (99)")
    reader.execute("begin")
    reader.execute("insert into child values (99)")
    with pytest.raises(errors.ForeignKeyViolation):
        reader.execute("commit")
    assert value(reader, "select count(*) from child") == 0
    reader.execute("begin")
    reader.execute("insert into child values (99)")
    reader.execute("insert into t values (99, 'parent')")
    reader.execute("commit and chain")
    reader.execute("delete from child")
    reader.execute("rollback")
    assert value(db.writer, "select count(*) from child") == 1
    db.writer.execute("drop table child")


def test_repeatable_read_has_one_snapshot_on_both_sides(db: Sessions) -> None:
    db.writer.execute("insert into t values (1, 'a'), (2, 'b')")
    reader = db.reader()
    reader.execute("begin isolation level repeatable read")
    assert value(reader, "select count(*) from t") == 2
    db.writer.execute("insert into t values (3, 'c')")
    db.writer.execute("update t set n = 'w' where id = 2")
    db.writer.execute("vacuum t")
    assert reader.execute("update t set n = 'r' where id <> 2").rowcount == 1
    assert rows(reader, "select * from t order by id") == [(1, "r"), (2, "b")]
    with pytest.raises(errors.SerializationFailure, match="could not serialize access due to concurrent update"):
        reader.execute("update t set n = 'r' where id = 2")
    reader.execute("rollback")
    assert rows(reader, "select n from t order by id") == [("a",), ("w",), ("c",)]


def test_row_locks_and_deadlocks_between_a_reader_and_the_writer(db: Sessions) -> None:
    db.writer.execute("insert into t values (1, 'a'), (2, 'b')")
    reader, local = db.reader(), db.open(db.cluster.dsn)
    reader.execute("begin")
    reader.execute("select 1 from t where id = 1 for update")
    waiting = beside(lambda: local.execute("update t set n = n || 'l' where id = 1").rowcount)
    until(lambda: runs(db.writer, "update t set n = n || 'l'%"))
    reader.execute("update t set n = n || 'r' where id = 1")
    reader.execute("commit")
    assert waiting.result(20) == 1
    assert value(reader, "update t set n = n where id = 1 returning n") == "arl"
    reader.execute("begin")
    reader.execute("update t set n = 'r' where id = 1")
    local.execute("begin")
    local.execute("update t set n = 'l' where id = 2")
    waiting = beside(lambda: reader.execute("update t set n = 'r' where id = 2"))
    until(lambda: runs(db.writer, "update t set n = 'r'%"))
    failed = []
    for call in (lambda: local.execute("update t set n = 'l' where id = 1"), lambda: waiting.result(20)):
        try:
            call()
        except errors.DeadlockDetected:
            failed.append(call)
            if len(failed) == 1 and not waiting.done():
                local.execute("rollback")
    assert len(failed) == 1
    reader.execute("rollback")
    local.execute("rollback")


# What ends a wait


def test_cancel_and_timeouts_reach_the_writer(db: Sessions) -> None:
    db.writer.execute("insert into t values (1, 'a')")
    reader = db.reader()
    with db.writer.transaction():
        db.writer.execute("update t set n = 'w'")
        waiting = beside(lambda: reader.execute("update t set n = 'cancelled'"))
        monitor = db.open(db.cluster.dsn)
        until(lambda: runs(monitor, "update t set n%"))
        shown = db.reader()
        until(
            lambda: (
                value(shown, "select count(*) from pg_stat_activity where wait_event = 'AuroraWriteForwardExecute'")
                == 1
            )
        )
        reader.cancel()
        with pytest.raises(errors.QueryCanceled, match="due to user request"):
            waiting.result(20)
        assert not runs(monitor, "update t set n%")
        reader.execute("set statement_timeout = '100ms'")
        with pytest.raises(errors.QueryCanceled, match="due to statement timeout"):
            reader.execute("update t set n = 'late'")
        reader.execute("begin")
        with pytest.raises(errors.QueryCanceled, match="due to statement timeout"):
            reader.execute("update t set n = 'late'")
        reader.execute("rollback")
        reader.execute("reset statement_timeout")
        # The session goes away while it waits.
        gone = db.reader()
        waiting = beside(lambda: gone.execute("update t set n = 'gone'"))
        until(lambda: runs(monitor, "update t set n%"))
        assert value(shown, "select pg_terminate_backend(%s)", (gone.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            waiting.result(20)
        until(lambda: not runs(monitor, "update t set n%"))
    assert reader.execute("update t set n = 'fine'").rowcount == 1
    assert value(reader, "select waits > 0 from aurora_stat_system_waits() where event_id = (8 << 24) + 3")


def test_the_forwarded_session_ends_on_the_writer(db: Sessions) -> None:
    reader = db.reader(application_name="to be ended")
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'to be ended'"
    reader.execute("begin")
    reader.execute("insert into t values (1, 'a')")
    assert rows(db.writer, ended) == [(True,)]
    until(lambda: value(db.writer, "select count(*) from pg_stat_activity where application_name = 'to be ended'") == 0)
    with pytest.raises(errors.ConnectionFailure, match="the connection to the writer was lost"):
        reader.execute("select count(*) from t")
    reader.execute("rollback")
    assert reader.execute("insert into t values (1, 'b')").rowcount == 1
    # And while idle outside a transaction: nobody notices.
    assert rows(db.writer, ended) == [(True,)]
    assert reader.execute("insert into t values (2, 'b')").rowcount == 1
    # Its own timeouts.
    reader = db.reader(application_name="idle")
    reader.execute("set apg_write_forward.idle_in_transaction_session_timeout = 50")
    reader.execute("set apg_write_forward.idle_session_timeout = 50")
    reader.execute("insert into t values (3, 'b')")
    until(lambda: value(db.writer, "select count(*) from pg_stat_activity where application_name = 'idle'") == 0)
    reader.execute("begin")
    reader.execute("insert into t values (4, 'b')")
    until(lambda: value(db.writer, "select count(*) from pg_stat_activity where application_name = 'idle'") == 0)
    with pytest.raises(errors.ConnectionFailure):
        reader.execute("commit")
    assert rows(reader, "select id from t order by id") == [(1,), (2,), (3,)]


# Modes and refusals


def test_modes_of_consistency(db: Sessions) -> None:
    reader, other = db.reader(), db.reader(1)
    reader.execute("set apg_write_forward.consistency_mode = off")
    with pytest.raises(errors.ReadOnlySqlTransaction):
        reader.execute("insert into t values (1, 'a')")
    reader.execute("set apg_write_forward.consistency_mode = eventual")
    reader.execute("insert into t values (1, 'a')")
    until(lambda: value(reader, "select count(*) from t") == 1)
    other.execute("set apg_write_forward.consistency_mode = global")
    for number in range(2, 30):
        (db.writer if number % 2 else reader).execute(f"insert into t values ({number}, 'g')")
        # Both protocols, planned and not.
        assert value(other, "select count(*) from t") == number
        assert value(other, "select count(*) from t where id = %s", (number,)) == 1
    assert value(other, "select count(*) from pg_stat_activity") >= 1
    other.execute("begin isolation level repeatable read")
    assert value(other, "select count(*) from t") == 29
    db.writer.execute("insert into t values (1000, '')")
    assert value(other, "select count(*) from t") == 29
    other.execute("commit")
    assert value(other, "select count(*) from t") == 30


@pytest.mark.parametrize(
    ("sql", "state"),
    [
        ("insert into t values (nextval('s'), '')", "0A000"),
        ("update t set id = setval('s', 5)", "0A000"),
        ("insert into t select f(1), ''", "0A000"),
        ("select f(id) from t for update", "0A000"),
        ("select set_config('a.b', 'c', false) from t for update", "0A000"),
        ("begin; declare c cursor for select * from t for update", "0A000"),
        ("begin; insert into t values (1, ''); savepoint a", "0A000"),
        ("begin; savepoint a; insert into t values (1, '')", "0A000"),
        ("begin; insert into t values (1, ''); set constraints all deferred", "0A000"),
        ("begin isolation level serializable; insert into t values (1, '')", "0A000"),
        ("begin read only; insert into t values (1, '')", "25006"),
        ("begin; set transaction read only; insert into t values (1, '')", "25006"),
        ("set default_transaction_read_only = on; commit; insert into t values (1, '')", "25006"),
        ("select w(1)", "25006"),
        ("create table u ()", "25006"),
        ("create temp table u ()", "25006"),
        ("select 1 as a into u", "25006"),
        ("truncate t", "25006"),
        ("grant all on t to guest", "25006"),
        ("copy t from stdin", "25006"),
        ("lock t in exclusive mode", "25006"),
        ("select nextval('s')", "25006"),
        ("vacuum t", "25006"),
        ("analyze t", "25006"),
        ("cluster t", "25006"),
        ("listen a", "25006"),
        ("notify a", "25006"),
        ("begin; prepare transaction 'x'", "25006"),
        ("alter system set work_mem = '5MB'", "25006"),
    ],
)
def test_what_is_not_forwarded(db: Sessions, sql: str, state: str) -> None:
    db.writer.execute("create sequence if not exists s")
    db.writer.execute("create or replace function f(a int) returns int language sql as 'select a'")
    db.writer.execute(
        "create or replace function w(a int) returns int language sql as 'insert into t values (a, null) returning id'"
    )
    reader = db.reader()
    with pytest.raises(psycopg.Error) as found:
        reader.execute(sql)
    assert found.value.sqlstate == state
    reader.execute("rollback")
    reader.execute("reset default_transaction_read_only")
    assert reader.execute("insert into t values (1, 'nextval(1), f(1)')").rowcount == 1
    with psycopg.connect(reader.info.dsn, autocommit=True) as again, again.transaction():
        again.execute("set transaction read write")
        assert again.execute("delete from t").rowcount == 1


def test_defaults_of_the_table_run_on_the_writer(db: Sessions) -> None:
    db.writer.execute("drop table if exists counted")
    db.writer.execute("create table counted (id serial, n text)")
    reader = db.reader()
    assert value(reader, "insert into counted (n) values ('a') returning id") == 1
    assert value(reader, "insert into counted (n) values ('nextval(b)') returning id") == 2


def test_the_writer_has_only_so_many_connections_for_readers(db: Sessions) -> None:
    name = "apg_write_forward.max_forwarding_connections_percent"
    most = int(value(db.writer, "show max_connections")) // 100
    first = db.reader()
    first.execute("insert into t values (1, 'a')")
    db.writer.execute(f"alter system set {name} = 1")
    opened = []
    try:
        with pytest.raises(errors.TooManyConnections, match="connection slots"):
            for number in range(2, most + 3):
                opened.append(db.reader())
                opened[-1].execute(f"insert into t values ({number}, 'a')")
        assert first.execute("insert into t values (1000, 'a')").rowcount == 1
    finally:
        db.writer.execute(f"alter system reset {name}")
    assert opened[-1].execute("insert into t values (1001, 'a')").rowcount == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_random_statements_are_answered_as_on_the_writer(db: Sessions, seed: int) -> None:
    assert forwarding_twins.run(db.cluster, seed) == 80


# The writer goes away: this comes last


def test_another_instance_takes_over(db: Sessions) -> None:
    """The writer hangs and is killed: what is open fails, what may have been committed is unknown, the next transaction
    goes to the new writer. Then this reader itself is promoted."""
    cluster = db.cluster
    reader, other = db.reader(0), db.reader(1)
    names = [each.id for each in cluster.instances]
    reader.execute("begin")
    reader.execute("insert into t values (1, 'lost')")
    other.execute("insert into t values (2, 'kept')")
    dsns = [each.dsn for each in cluster.readers]
    shown = db.reader(1)
    os.kill(json.loads(value(db.writer, "select aurora_status()"))["pid"], signal.SIGSTOP)
    unknown = beside(lambda: other.execute("insert into t values (3, 'perhaps')"))
    until(lambda: runs(shown, "insert into t values%"))
    cluster.kill(names[0])
    with pytest.raises(errors.TransactionResolutionUnknown, match="may or may not have been committed"):
        unknown.result(20)
    with pytest.raises(psycopg.OperationalError, match=r"writer was lost|terminating connection"):
        reader.execute("insert into t values (3, 'more')")
    until(lambda: len(cluster.readers) == 1 and cluster.instances[0].id != names[0])
    left = reader if cluster.readers[0].dsn == dsns[0] else other
    left.execute("rollback")
    assert left.execute("insert into t values (5, 'after')").rowcount == 1
    left.execute("delete from t where id = 3")
    assert rows(left, "select id from t order by id") == [(2,), (5,)]
    assert value(left, "select pg_is_in_recovery()") is True
    # A planned change of roles in the middle of a transaction; then it writes by itself.
    left.execute("begin")
    left.execute("insert into t values (6, 'lost')")
    here = dsns[0] if left is reader else dsns[1]
    (name,) = [each.id for each in cluster.instances if each.dsn == here]
    cluster.failover(name)
    with pytest.raises(psycopg.OperationalError):
        left.execute("insert into t values (7, 'lost')")
    with psycopg.connect(here, autocommit=True) as local:
        assert value(local, "select pg_is_in_recovery()") is False
        assert local.execute("insert into t values (8, 'local')").rowcount == 1
        assert rows(local, "select id from t order by id") == [(2,), (5,), (8,)]
        assert value(local, "select count(*) from pg_locks where locktype = 'transactionid'") <= 1
        far = psycopg.connect(next(each.dsn for each in cluster.readers), autocommit=True)
        assert far.execute("insert into t values (9, 'far')").rowcount == 1
        assert value(local, "select count(*) from t") == 4
        far.close()
