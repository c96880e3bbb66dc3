"""Locks, timeouts, stored settings, temporary objects, vacuum: what sessions meet on the real cluster."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

from aurora.programs.supervisor import LOOPBACK, Cluster

pytestmark = pytest.mark.cluster
DEADLINE_S = 15.0


def connect(cluster: Cluster, **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn(), autocommit=True, **options)


def one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def until(condition: Callable[[], bool]) -> None:
    """Poll for what another session brings about."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Background:
    """A statement in a thread: ``result`` gives its rows or raises its error."""

    def __init__(self, connection: psycopg.Connection[Any], query: str, *arguments: Any) -> None:
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, args=(connection, query, *arguments))
        self._thread.start()

    def _run(self, connection: psycopg.Connection[Any], query: str, *arguments: Any) -> None:
        try:
            cursor = connection.execute(query, *arguments)
            self._outcome = cursor.fetchall() if cursor.description else cursor.statusmessage
        except psycopg.Error as error:
            self._outcome = error

    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(DEADLINE_S)
        if isinstance(self._outcome, psycopg.Error):
            raise self._outcome
        return self._outcome


def test_ddl_and_statements_wait_for_each_other(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as one_, connect(shared_cluster) as two, connect(shared_cluster) as three:
        three.execute("CREATE TABLE locked (a int PRIMARY KEY, b int)")
        three.execute("INSERT INTO locked VALUES (1, 1)")
        for _ in range(7):
            two.execute("SELECT * FROM locked WHERE a = %s", (1,), prepare=True)
        with one_.transaction():
            one_.execute("SELECT * FROM locked WHERE a = 1")
            alter = Background(three, "TRUNCATE locked")
            blocked = (
                "SELECT count(*) FROM pg_stat_activity WHERE query = 'TRUNCATE locked'"
                " AND cardinality(pg_blocking_pids(pid)) = 1"
            )
            until(lambda: one(one_, blocked) == 1)
            read = Background(two, "SELECT * FROM locked WHERE a = %s", (1,))
            assert alter.running()
        assert alter.result() == "TRUNCATE TABLE"
        assert read.result() == []
        with one_.transaction():
            one_.execute("DROP TABLE locked")
            read = Background(two, "SELECT * FROM locked WHERE a = %s", (1,))
        with pytest.raises(errors.UndefinedTable):
            read.result()


def test_timeouts(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as holder, connect(shared_cluster) as waiter:
        holder.execute("CREATE TABLE timed (a int)")
        with holder.transaction():
            holder.execute("LOCK TABLE timed")
            waiter.execute("SET lock_timeout = '50ms'")
            with pytest.raises(errors.LockNotAvailable, match="canceling statement due to lock timeout"):
                waiter.execute("SELECT * FROM timed")
            waiter.execute("RESET lock_timeout")
            waiter.execute("SET statement_timeout = '50ms'")
            for query, arguments in (
                ("INSERT INTO timed VALUES (1)", None),
                ("SELECT * FROM timed WHERE a = %s", (1,)),
                ("SELECT pg_sleep(30)", None),
                ("SELECT count(*) FROM generate_series(1, 100000000)", None),
            ):
                with pytest.raises(errors.QueryCanceled, match="canceling statement due to statement timeout"):
                    waiter.execute(query, arguments)
        assert one(waiter, "SELECT count(*) FROM timed") == 0
        waiter.execute("RESET statement_timeout")
        waiter.execute("SET idle_in_transaction_session_timeout = '50ms'")
        waiter.execute("BEGIN")
        pid = waiter.info.backend_pid
        until(lambda: one(holder, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == 0)
        with pytest.raises(errors.IdleInTransactionSessionTimeout):
            waiter.execute("SELECT 1")


def test_a_session_takes_its_temporary_objects_and_locks_along(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as stays:
        with connect(shared_cluster) as goes:
            goes.execute("CREATE TEMP TABLE passing (a int)")
            assert one(goes, "SELECT pg_try_advisory_lock(42)")
            assert one(goes, "SELECT pg_try_advisory_lock(42)")
            assert not one(stays, "SELECT pg_try_advisory_xact_lock(42)")
            assert one(goes, "SELECT pg_advisory_unlock(42)")
            assert not one(stays, "SELECT pg_try_advisory_lock(42)")
        until(lambda: one(stays, "SELECT count(*) FROM pg_class WHERE relname = 'passing'") == 0)
        until(lambda: bool(one(stays, "SELECT pg_try_advisory_lock(42)")))
        assert one(stays, "SELECT pg_advisory_unlock(42)")
        assert not one(stays, "SELECT pg_advisory_unlock(42)")


def test_stored_settings_and_roles(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as admin:
        admin.execute("CREATE ROLE stored LOGIN")
        try:
            admin.execute("ALTER ROLE stored SET statement_timeout = '3s'")
            admin.execute("ALTER SYSTEM SET work_mem = '7MB'")
            with connect(shared_cluster, user="stored") as user:
                assert one(user, "SHOW work_mem") == "7MB"
                user.execute("SET statement_timeout = 0")
                user.execute("RESET statement_timeout")
                assert one(user, "SHOW statement_timeout") == "3s"
                with pytest.raises(errors.InsufficientPrivilege):
                    user.execute("SET session_replication_role = 'replica'")
            admin.execute("SET ROLE stored")
            assert one(admin, "SHOW is_superuser") == "off"
            with pytest.raises(errors.InsufficientPrivilege):
                admin.execute("SET session_replication_role = 'replica'")
            admin.execute("RESET ROLE")
            assert one(admin, "SHOW is_superuser") == "on"
        finally:
            admin.execute("RESET ROLE")
            admin.execute("ALTER SYSTEM RESET work_mem")
            admin.execute("DROP ROLE stored")
        assert one(admin, "SELECT count(*) FROM pg_db_role_setting") == 0


def test_system_catalogs_are_closed_to_dml(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as connection:
        for query in ("INSERT INTO pg_am VALUES (1)", "UPDATE pg_class SET relname = 'x'", "DELETE FROM pg_class"):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table pg_"):
                connection.execute(query)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ("1\t1\n2\t\\N\n", 'COPY copied, line 2: "2\t\\N"'),
        ("1\t1\n2\t-2\n", 'COPY copied, line 2: "2\t-2"'),
        ("1\t1\n2\t2\n1\t3\n", "COPY copied, line 3"),
        ("".join(f"{number}\t1\n" for number in range(40)) + "7\t1\n", "COPY copied, line 41"),
    ],
)
def test_errors_of_copy_name_the_line(shared_cluster: Cluster, data: str, where: str) -> None:
    with connect(shared_cluster) as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute("CREATE TABLE copied (a int PRIMARY KEY, b int NOT NULL CHECK (b > 0))")
        with pytest.raises(psycopg.Error) as caught, connection.cursor().copy("COPY copied FROM STDIN") as copy:
            copy.write(data)
        assert caught.value.diag.context == where


def test_asyncpg_pools_reset_their_connections(shared_cluster: Cluster) -> None:
    async def main() -> None:
        pool = await asyncpg.create_pool(
            host=LOOPBACK, port=shared_cluster.writer.port, user="postgres", database="postgres", min_size=1, max_size=1
        )
        for _ in range(3):
            async with pool.acquire() as connection:
                await connection.execute("SET application_name = 'pooled'; SELECT pg_advisory_lock(7)")
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW application_name") == ""
        await pool.close()

    asyncio.run(main())


def test_updates_of_few_rows_keep_the_table_small(shared_cluster: Cluster) -> None:
    with connect(shared_cluster) as writer, connect(shared_cluster) as reader:
        writer.execute("CREATE TABLE hot (a int PRIMARY KEY, b int)")
        writer.execute("INSERT INTO hot SELECT n, 0 FROM generate_series(1, 5) n")
        with reader.transaction():
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert one(reader, "SELECT sum(b) FROM hot") == 0
            for number in range(300):
                writer.execute("UPDATE hot SET b = b + 1 WHERE a = %s", (number % 5 + 1,))
            writer.execute("VACUUM hot")
            # What the older snapshot sees is still there.
            assert one(reader, "SELECT sum(b) FROM hot") == 0
        writer.execute("VACUUM ANALYZE hot")
        size = one(writer, "SELECT pg_relation_size('hot')")
        for number in range(2000):
            writer.execute("UPDATE hot SET b = b + 1 WHERE a = %s", (number % 5 + 1,))
        assert one(writer, "SELECT pg_relation_size('hot')") == size
        assert one(writer, "SELECT sum(b) FROM hot") == 2300
        assert one(writer, "SELECT reltuples FROM pg_class WHERE relname = 'hot'") == 5


def test_discard_temp_outside_a_block(shared_cluster: Cluster) -> None:
    """It has no statement before it in its transaction, and drops tables all the same."""
    with connect(shared_cluster) as connection:
        connection.execute("create temporary table for_now (a int)")
        connection.execute("discard temp")
        with pytest.raises(errors.UndefinedTable):
            connection.execute("select * from for_now")
