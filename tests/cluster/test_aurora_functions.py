"""Aurora's statistics and settings: counters that move by what was done, and settings that do what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import aurora
from aurora.programs import rds_roles
from aurora.programs.embedded import EmbeddedCluster

pytestmark = pytest.mark.cluster

THIS = "(SELECT oid FROM pg_database WHERE datname = current_database())"


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with aurora.cluster() as running:
        with psycopg.connect(running.dsn, autocommit=True) as admin:
            admin.execute("CREATE ROLE plain LOGIN")
            admin.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
            admin.execute("INSERT INTO t SELECT g, g FROM generate_series(1, 100) g")
        yield running


def connect(cluster: EmbeddedCluster, user: str = "postgres") -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn.replace("user=postgres", f"user={user}"), autocommit=True)


@pytest.fixture
def db(cluster: EmbeddedCluster) -> Iterator[psycopg.Connection[Any]]:
    with connect(cluster) as opened:
        yield opened


def row(db: psycopg.Connection[Any], sql: str) -> tuple[Any, ...]:
    found = db.execute(sql).fetchall()
    assert len(found) == 1
    return tuple(found[0])


def waits_of(db: psycopg.Connection[Any], source: str) -> dict[str, tuple[int, int]]:
    sql = f"SELECT event_name, waits, wait_time FROM {source} NATURAL JOIN aurora_stat_wait_event()"
    return {name: (count, took) for name, count, took in db.execute(sql).fetchall()}


@pytest.mark.parametrize("prepare", [False, True])
def test_statements_are_counted_by_kind_and_database(db: psycopg.Connection[Any], prepare: bool) -> None:
    activity = f"SELECT * FROM aurora_stat_dml_activity({THIS})"
    row(db, activity)
    before = row(db, activity)
    for _ in range(7):
        db.execute("SELECT v FROM t WHERE id = %s", (1,), prepare=prepare)
        db.execute("UPDATE t SET v = %s WHERE id = %s", (2, 1), prepare=prepare)
    db.execute("INSERT INTO t VALUES (%s, %s)", (1000, 1), prepare=prepare)
    db.execute("DELETE FROM t WHERE id = %s", (1000,), prepare=prepare)
    after = row(db, activity)
    counted = [now - then for then, now in zip(before[::2], after[::2], strict=True)]
    assert counted == [7 + 1, 1, 7, 1], "select, insert, update, delete; the look itself is a SELECT"
    assert after[1::2] == (None,) * 4, "no times are taken"
    template = "SELECT * FROM aurora_stat_dml_activity((SELECT oid FROM pg_database WHERE datname = 'template0'))"
    assert row(db, template) == (None,) * 8


def test_commits_are_waited_for_and_their_time_is_kept(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    latency = f"SELECT aurora_stat_get_db_commit_latency({THIS})"
    (before_us,) = row(db, latency)
    with connect(cluster) as other:
        for value in range(20):
            other.execute("UPDATE t SET v = %s WHERE id = 2", (value,))
        pid = other.info.backend_pid
        count, took_us = waits_of(db, f"aurora_stat_backend_waits({pid})")["LsnDurable"]
        assert count >= 20
        assert took_us > 0
    (after_us,) = row(db, latency)
    rounding_us = 2  # each figure is a sum of seconds, cut to µs
    assert after_us - before_us >= took_us - rounding_us, "a session that has ended is still counted"
    assert waits_of(db, "aurora_stat_system_waits()")["LsnDurable"][0] >= count
    assert db.execute(f"SELECT * FROM aurora_stat_backend_waits({pid})").fetchall() == []
    db.execute("CREATE DATABASE other")
    unused = "SELECT aurora_stat_get_db_commit_latency((SELECT oid FROM pg_database WHERE datname = 'other'))"
    assert row(db, unused) == (None,)
    db.execute("DROP DATABASE other")


def test_waits_for_locks_and_sleeps_are_told_by_session(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    with connect(cluster) as holder, connect(cluster) as waiter:
        holder.execute("BEGIN")
        holder.execute("UPDATE t SET v = 0 WHERE id = 3")
        holder.execute("SELECT pg_advisory_lock(7)")
        running = threading.Thread(target=waiter.execute, args=("UPDATE t SET v = 1 WHERE id = 3",))
        running.start()
        waiting = f"SELECT pid FROM pg_locks WHERE pid = {waiter.info.backend_pid}"
        blocked = f"SELECT cardinality(pg_blocking_pids({waiter.info.backend_pid}))"
        deadline = time.monotonic() + 20
        while row(db, blocked) == (0,):
            assert time.monotonic() < deadline, db.execute(waiting).fetchall()
        row(db, "SELECT pg_sleep(0.05)")
        holder.execute("COMMIT")
        running.join()
        found = waits_of(db, f"aurora_stat_backend_waits({waiter.info.backend_pid})")
        events = {"tuple", "transactionid"} & set(found)
        assert events
        assert max(found[event][1] for event in events) >= 50_000
        assert not {"tuple", "transactionid"} & set(
            waits_of(db, f"aurora_stat_backend_waits({holder.info.backend_pid})")
        )
        assert waits_of(db, f"aurora_stat_backend_waits({db.info.backend_pid})")["PgSleep"][1] >= 50_000
    types = dict(db.execute("SELECT * FROM aurora_stat_wait_type()").fetchall())
    assert {3: "Lock", 9: "Timeout", 10: "IO", 11: "LSN"}.items() <= types.items()
    strange = "SELECT * FROM aurora_stat_wait_event() WHERE event_id / 16777216 <> type_id"
    assert db.execute(strange).fetchall() == []


def test_another_roles_waits_take_a_right(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    with connect(cluster, "plain") as plain:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            plain.execute(f"SELECT * FROM aurora_stat_backend_waits({db.info.backend_pid})")
        plain.execute(f"SELECT * FROM aurora_stat_backend_waits({plain.info.backend_pid})")
        db.execute("GRANT pg_read_all_stats TO plain")
        plain.execute(f"SELECT * FROM aurora_stat_backend_waits({db.info.backend_pid})")
        db.execute("REVOKE pg_read_all_stats FROM plain")


def test_a_report_of_waits_says_what_went_on(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    notices: list[str] = []
    db.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    with connect(cluster) as other:
        found: list[Any] = []
        ask = "SELECT * FROM aurora_wait_report(1)"
        running = threading.Thread(target=lambda: found.extend(db.execute(ask).fetchall()))
        running.start()
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            other.execute("UPDATE t SET v = v + 1 WHERE id = 4")
        running.join()
    events = {(kind, event): rest for kind, event, *rest in found}
    waits, _, ms_per_wait, waits_per_xact, _ = events["LSN", "LsnDurable"]
    assert waits > 0
    assert ms_per_wait > 0
    assert waits_per_xact > 0
    (notice,) = notices
    assert notice.startswith("committed ")
    assert "transactions in 1 seconds (tps " in notice


def test_what_is_counted_for_the_instance_is_told_once(db: psycopg.Connection[Any]) -> None:
    total = "SELECT sum(xact_commit), sum(blks_hit), sum(blks_read) FROM aurora_stat_database()"
    commits, hits, reads = row(db, total)
    db.execute("UPDATE t SET v = 0")
    after = row(db, total)
    assert after[0] > commits
    assert after[1] > hits
    assert after[2] >= reads > 0
    assert row(db, "SELECT blks_read = storage_blks_read + orcache_blks_hit + local_blks_read"
               " FROM aurora_stat_database() WHERE datid = 0") == (True,)  # fmt: skip
    mine = "SELECT numbackends > 0, xact_commit FROM aurora_stat_database() WHERE datname = current_database()"
    assert row(db, mine) == (True, None)
    assert row(db, "SELECT checkpoints_timed, buffers_alloc > 0 FROM aurora_stat_bgwriter()") == (0, True)
    memory = dict(db.execute("SELECT name, used <= allocated FROM aurora_stat_memctx_usage()").fetchall())
    assert memory == {"statements": True, "page cache": True}


def test_files_of_the_volume_are_the_relations(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE filed AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 100)")
    sql = """SELECT used_bytes = pg_relation_size('filed'), used_bytes <= allocated_bytes
             FROM aurora_stat_file() WHERE filename = pg_relation_filepath('filed')"""
    assert row(db, sql) == (True, True)


def test_activity_is_as_in_the_view(db: psycopg.Connection[Any]) -> None:
    ours = db.execute("SELECT * FROM aurora_stat_activity() WHERE pid = pg_backend_pid()")
    names = [column.name for column in ours.description or ()]
    theirs = db.execute("SELECT * FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert names == [column.name for column in theirs.description or ()] + ["plan_id"]
    skipped = ("xact_start", "query_start", "state_change", "query")
    left = {name: value for name, value in zip(names, ours.fetchone() or (), strict=True) if name not in skipped}
    right = dict(zip(names, [*(theirs.fetchone() or ()), None], strict=True))
    assert left == {name: right[name] for name in left}


def test_the_builtins_list_themselves(db: psycopg.Connection[Any]) -> None:
    cursor = db.execute("SELECT * FROM aurora_list_builtins()")
    assert [column.name for column in cursor.description or ()] == [
        "Name", "Result data type", "Argument data types", "Type", "Volatility", "Parallel", "Security", "Description"
    ]  # fmt: skip
    listed = {name: rest[-1] for name, *rest in cursor.fetchall()}
    assert all(listed.values()), "each has a description"
    there = "SELECT proname FROM pg_proc WHERE proname LIKE 'aurora\\_%' AND pronamespace = 'pg_catalog'::regnamespace"
    assert set(listed) == {name for (name,) in db.execute(there).fetchall()}
    version = 'SELECT "Result data type", "Volatility" FROM aurora_list_builtins() WHERE "Name" = \'aurora_version\''
    assert row(db, version) == ("text", "stable")


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message"),
    [
        ("SELECT * FROM aurora_ccm_status()", "55000", "Cluster Cache Manager is disabled"),
        ("SELECT * FROM aurora_stat_optimized_reads_cache()", "0A000", "Optimized Reads is not supported"),
        ("SELECT aurora_inject_crash('instance')", "0A000", "cannot crash alone"),
        ("SELECT aurora_inject_crash('disk')", "22023", 'invalid crash type: "disk"'),
        ("SELECT aurora_inject_replica_failure(100, 5, 'nobody')", "22023", 'there is no reader "nobody"'),
        ("SELECT aurora_inject_replica_failure(101, 5, '')", "22023", "from 0 to 100"),
        ("SELECT count(*) FROM aurora_stat_statements(true)", "55000", "must be loaded via shared_preload_libraries"),
        ("SELECT planid, plan_type FROM aurora_stat_plans(false)", "0A000", "no statistics are kept by plan"),
        ("SELECT plan_type FROM aurora_stat_statements(true)", "42703", "does not exist"),
        ("SELECT * FROM aurora_wait_report(-1)", "55000", "from 0 to 3600"),
    ],
)  # fmt: skip
@pytest.mark.logs("a crash of the", "is kept back")
def test_what_cannot_be_told_says_so(db: psycopg.Connection[Any], statement: str, sqlstate: str, message: str) -> None:
    with pytest.raises(psycopg.Error, match=message) as caught:
        db.execute(statement)
    assert caught.value.sqlstate == sqlstate


@pytest.mark.logs("is kept back")
def test_faults_are_for_superusers_and_rds_superuser(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    with connect(cluster, "plain") as plain:
        for call in ("aurora_inject_crash('node')", "aurora_inject_replica_failure(0, 0, '')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                plain.execute(f"SELECT {call}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            plain.execute("SELECT aurora_stat_reset_wal_cache(NULL)")
        db.execute("CREATE ROLE rds_superuser")
        db.execute("GRANT rds_superuser TO plain")
        plain.execute("SELECT aurora_inject_replica_failure(0, 0, '')")
        db.execute("DROP ROLE rds_superuser")


def test_wal_functions_are_refused_where_that_is_wanted(db: psycopg.Connection[Any]) -> None:
    db.execute("SELECT pg_current_wal_lsn(), pg_last_wal_replay_lsn()")
    db.execute("SET aurora.refuse_wal_functions = on")
    for name in ("pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_current_wal_lsn"):
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            db.execute(f"SELECT {name}()")
        assert caught.value.diag.message_primary == f"Function {name}() is currently not supported for Aurora"
    db.execute("RESET aurora.refuse_wal_functions")
    db.execute("SELECT pg_current_wal_lsn()")


def test_update_may_qualify_what_it_sets(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE tellers (tid int PRIMARY KEY, tbalance int)")
    db.execute("INSERT INTO tellers VALUES (1, 0)")
    qualified = "UPDATE tellers SET tellers.tbalance = 1"
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedColumn, match='column "tellers" of relation "tellers"'):
            db.execute(qualified)
        db.execute("SET ansi_qualified_update_set_target = on")
        db.execute(qualified)
        db.execute("UPDATE tellers SET public.tellers.tbalance = tbalance + 1, tid = 1")
        db.execute("UPDATE tellers AS x SET x.tbalance = x.tbalance + 1")
        assert row(db, "SELECT tbalance FROM tellers") == (3,)
        for wrong in ("tellers.nope = 1", "other.tbalance = 1", "other.tellers.tbalance = 1"):
            with pytest.raises(psycopg.errors.UndefinedColumn):
                db.execute(f"UPDATE tellers SET {wrong}")
        db.execute("RESET ansi_qualified_update_set_target")
    db.execute("SET ansi_qualified_update_set_target = on")
    db.execute("CREATE TYPE pair AS (tbalance int, x int)")
    db.execute("CREATE TABLE paired (paired pair, tbalance int)")
    db.execute("INSERT INTO paired VALUES (ROW(1, 2), 3)")
    db.execute("UPDATE paired SET paired.tbalance = 9")
    assert row(db, "SELECT (paired).tbalance, tbalance FROM paired") == (9, 3), "a column of that name goes first"


def test_auroras_settings_are_listed(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    sql = "SELECT setting, unit, context, vartype, min_val, max_val FROM pg_settings WHERE name = %s"
    with connect(cluster, "plain") as plain:
        for name, shown in (
            ("rds.force_ssl", ("off", None, "sighup", "bool", None, None)),
            ("rds.log_retention_period", ("4320", "min", "sighup", "integer", "1440", "10080")),
            ("apg_plan_mgmt.max_plans", ("10000", None, "postmaster", "integer", "500", "2147483647")),
            ("apg_write_forward.connect_timeout", ("30", "s", "user", "integer", "0", "2147483647")),
            ("ansi_force_foreign_key_checks", ("off", None, "sighup", "bool", None, None)),
        ):
            assert plain.execute(sql, (name,)).fetchall() == [shown]
        for statement, sqlstate in (
            ("SET rds.force_ssl = on", "55P02"),
            ("SET rds.extensions = 'x'", "55P02"),
            ("ALTER ROLE plain SET rds.force_ssl = off", "55P02"),
            ("SET apg_plan_mgmt.capture_plan_baselines = sometimes", "22023"),
        ):
            with pytest.raises(psycopg.Error) as caught:
                plain.execute(statement)
            assert caught.value.sqlstate == sqlstate
        plain.execute("SET apg_enable_not_in_transform = on")
        assert plain.execute("SHOW apg_enable_not_in_transform").fetchone() == ("on",)


def test_passwords_may_be_left_to_rds_password(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    db.execute("CREATE ROLE maker LOGIN CREATEROLE")
    db.execute("CREATE ROLE other PASSWORD 'a'")
    try:
        with connect(cluster, "maker") as maker:
            maker.execute("ALTER ROLE other PASSWORD 'b'")
        db.execute("ALTER SYSTEM SET rds.restrict_password_commands = on")
        with connect(cluster, "maker") as maker:
            for statement in (
                "ALTER ROLE other PASSWORD 'c'",
                "ALTER ROLE maker PASSWORD NULL",
                "ALTER ROLE other VALID UNTIL 'infinity'",
                "ALTER ROLE other RENAME TO another",
                "CREATE ROLE third PASSWORD 'c'",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be a member of rds_password"):
                    maker.execute(statement)
            maker.execute("CREATE ROLE third")
            maker.execute("ALTER ROLE other CONNECTION LIMIT 5")
            db.execute("CREATE ROLE rds_password")
            db.execute("GRANT rds_password TO maker")
            maker.execute("ALTER ROLE other PASSWORD 'c'")
        db.execute("ALTER ROLE other PASSWORD 'd'")
    finally:
        db.execute("ALTER SYSTEM RESET rds.restrict_password_commands")
        db.execute("DROP ROLE IF EXISTS rds_password, maker, other, third")


@pytest.mark.logs("is kept back")
def test_auroras_roles_are_made_on_request(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    assert db.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'rds%'").fetchall() == []
    db.execute("CREATE ROLE rds_iam LOGIN")
    assert rds_roles.make(cluster.dsn) == [name for name in rds_roles.ROLES if name != "rds_iam"]
    assert rds_roles.make(cluster.dsn) == []
    try:
        login = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'rds%' AND (rolcanlogin OR rolsuper)"
        assert db.execute(login).fetchall() == [("rds_iam",)], "it is left as it was"
        db.execute("GRANT rds_superuser TO plain")
        with connect(cluster, "plain") as plain:
            plain.execute("SELECT aurora_stat_reset_wal_cache(NULL)")  # by rds_replication
            plain.execute("SELECT aurora_inject_replica_failure(0, 0, '')")
            plain.execute("CHECKPOINT")
            plain.execute("SET ROLE rds_superuser")
            plain.execute("GRANT pg_monitor TO plain")
    finally:
        db.execute("REVOKE pg_monitor FROM plain")
        db.execute(f"DROP ROLE {', '.join(rds_roles.ROLES)}")


def test_rds_superuser_may_set_what_is_named_for_it(db: psycopg.Connection[Any], cluster: EmbeddedCluster) -> None:
    db.execute("CREATE ROLE rds_superuser")
    try:
        with connect(cluster, "plain") as plain:
            change = "SET session_replication_role = replica"
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                plain.execute(change)
            db.execute("GRANT rds_superuser TO plain")
            plain.execute(change)
            assert plain.execute("SHOW session_replication_role").fetchone() == ("replica",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                plain.execute("SET log_statement = 'all'")
    finally:
        db.execute("DROP ROLE rds_superuser")
