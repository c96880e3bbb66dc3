"""A reader while the writer changes what there is: its answers are the writer's at some moment, and it stays up."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.failover_kinds import settled, who_writes
from tests.log_rule import WATCH

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        r"compute_node\.roles: the stream from the writer has ended",
        r"compute_node\.server: instance-\d becomes the writer",
        r"keeper: \S+ has ended",
    ),
]

ROWS, GROUPS, LONG_ROWS = 200, 10, 10
SECONDS = float(os.environ.get("AURORA_READER_CHANGES_S", "8"))
CHANGES = (
    "CREATE TABLE made (a int PRIMARY KEY, b text)",
    "INSERT INTO made SELECT i, repeat('y', i % 200) FROM generate_series(1, 500) i ON CONFLICT DO NOTHING",
    "ALTER TABLE made ADD COLUMN c int DEFAULT 5",
    "ALTER TABLE made DROP COLUMN c",
    "CREATE INDEX ON made (b)",
    "DELETE FROM made WHERE a % 3 = 0",
    "VACUUM made",
    "TRUNCATE made",
    "DROP TABLE made",
    "VACUUM FULL kept",
    "VACUUM kept",
    "DROP INDEX kept_group",
    "CREATE INDEX kept_group ON kept (g)",
    "DROP INDEX kept_text",
    "CREATE INDEX kept_text ON kept USING hash (t)",
    "ALTER TABLE kept ALTER COLUMN v TYPE numeric",
    "ALTER TABLE kept ALTER COLUMN v TYPE bigint",
    "ALTER TABLE kept ADD COLUMN more int DEFAULT 1",
    "ALTER TABLE kept DROP COLUMN more",
    "CREATE TYPE mood AS ENUM ('a', 'b')",
    "DROP TYPE mood",
    "CREATE OR REPLACE VIEW shown AS SELECT count(*) AS n FROM kept",
    "DROP VIEW shown",
    "CREATE SEQUENCE counter",
    "SELECT nextval('counter')",
    "DROP SEQUENCE counter",
    "CREATE DATABASE another",
    "DROP DATABASE another",
)
EXPECTED_OF_CHANGES = {"42P01", "42P07", "42703", "42701", "42704", "42710", "42P04", "3D000", "40P01", "55006"}
SUMS = (
    ("SELECT count(*), sum(v)::bigint FROM kept", (ROWS, 0)),
    ("SELECT sum(n)::bigint, sum(s)::bigint FROM (SELECT count(*) n, sum(v) s FROM kept GROUP BY g) q", (ROWS, 0)),
    ("SELECT count(*), min(id) FROM kept WHERE id = 77", (1, 77)),
    ("SELECT count(*), min(id) FROM kept WHERE t = 'k99'", (1, 99)),
    ("SELECT count(*), max(g) FROM kept WHERE g = 3", (ROWS // GROUPS, 3)),
    ("SELECT count(*), 0 FROM kept a JOIN kept b USING (id) WHERE a.t = b.t", (ROWS, 0)),
    ("SELECT count(*), min(length(t)) FROM long WHERE t = repeat(left(t, 32), 300)", (LONG_ROWS, 9600)),
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(tmp_path, 1)


def running(tmp_path: Path, readers: int) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    made.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, readers=readers)
    WATCH.follow(made.data / "log")
    made.up()
    with psycopg.connect(made.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY, g int, v bigint, t text)")
        connection.execute("CREATE INDEX kept_group ON kept (g)")
        connection.execute("CREATE INDEX kept_text ON kept USING hash (t)")
        connection.execute(f"INSERT INTO kept SELECT i, i % {GROUPS}, 0, 'k' || i FROM generate_series(1, {ROWS}) i")
        connection.execute("CREATE TABLE long (id int PRIMARY KEY, t text)")
        connection.execute(
            f"INSERT INTO long SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, {LONG_ROWS}) i"
        )
    yield made
    made.down()


@pytest.fixture
def cluster_of_three(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(tmp_path, 2)


def the_reader(cluster: Cluster) -> str:
    return next(one.id for one in cluster.required.instances if one.id != cluster.writer.id)


def hold_nothing(cluster: Cluster, reader: str) -> None:
    """The writer removes what the reader's sessions still need, and they are told soon."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET hot_standby_feedback = off")
        connection.execute("ALTER SYSTEM SET max_standby_streaming_delay = '50ms'")
        row = connection.execute("SELECT aurora_last_commit_lsn()").fetchone()
        assert row is not None
    with psycopg.connect(cluster.dsn(reader), autocommit=True) as connection:
        connection.execute("SELECT aurora_wait_for_lsn(%s::pg_lsn, 10000)", row)
        connection.execute("SELECT pg_reload_conf()")


def test_a_reader_beside_changes_of_everything(cluster: Cluster) -> None:
    seed = random.SystemRandom().randrange(1, 1 << 32)
    print(f"seed {seed}")
    stop, wrong = threading.Event(), []
    reader, writer = the_reader(cluster), cluster.writer.id
    pid = cluster.pid(reader)
    feedback = random.Random(f"{seed}/feedback").random() < 0.5
    print(f"hot_standby_feedback {feedback}")
    if not feedback:
        hold_nothing(cluster, reader)

    def change(rng: random.Random) -> None:
        with psycopg.connect(cluster.dsn(writer), autocommit=True) as connection:
            while not stop.is_set():
                text = rng.choice(CHANGES)
                try:
                    connection.execute(text)
                except psycopg.Error as error:
                    if error.sqlstate not in EXPECTED_OF_CHANGES:
                        wrong.append(f"{text}: {error.sqlstate} {error}")

    def move(rng: random.Random) -> None:
        with psycopg.connect(cluster.dsn(writer), autocommit=True) as connection:
            while not stop.is_set():
                low, high = sorted(rng.sample(range(1, ROWS + 1), 2))
                try:
                    with connection.transaction():
                        connection.execute("UPDATE kept SET v = v - 3 WHERE id = %s", (low,))
                        connection.execute("UPDATE kept SET v = v + 3 WHERE id = %s", (high,))
                        connection.execute(
                            "UPDATE long SET t = repeat(md5(%s::text), 300) WHERE id = %s",
                            (str(rng.random()), rng.randrange(1, LONG_ROWS + 1)),
                        )
                except psycopg.errors.DeadlockDetected:
                    continue
                time.sleep(0.005)

    def look(rng: random.Random, isolation: str) -> None:
        looks = 0
        while not stop.is_set() or not looks:
            try:
                with psycopg.connect(cluster.dsn(reader), autocommit=True) as connection:
                    while not stop.is_set() or not looks:
                        with connection.transaction():
                            connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
                            # A rewrite by ALTER TABLE is not MVCC-safe (PostgreSQL, chapter 13.6): to an older
                            # snapshot the table is empty after it. A lock keeps it away, and takes no snapshot.
                            connection.execute("LOCK TABLE kept, long IN ACCESS SHARE MODE")
                            for text, expected in rng.sample(SUMS, len(SUMS)):
                                found = connection.execute(text).fetchone()
                                if found != expected:
                                    wrong.append(f"{isolation}: {text} gives {found}")
                        looks += 1
            except psycopg.Error as error:
                # Who sends a query just when its session ends may see the end alone.
                if error.sqlstate != "40001" and (feedback or error.sqlstate is not None):
                    wrong.append(f"{isolation}: {error.sqlstate} {error}")
                    return

    threads = [
        threading.Thread(target=change, args=(random.Random(f"{seed}/change"),), daemon=True),
        threading.Thread(target=move, args=(random.Random(f"{seed}/move"),), daemon=True),
        *(
            threading.Thread(target=look, args=(random.Random(f"{seed}/{n}"), isolation), daemon=True)
            for n, isolation in enumerate(("READ COMMITTED", "REPEATABLE READ"))
        ),
    ]
    for thread in threads:
        thread.start()
    stop.wait(SECONDS)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a session hangs"
    assert not wrong, "\n".join([f"seed {seed}", *wrong[:20]])
    assert cluster.pid(reader) == pid


def test_a_lock_that_a_reader_waits_for_keeps_it_from_no_promotion(cluster: Cluster) -> None:
    reader, writer = the_reader(cluster), cluster.writer.id
    with (
        contextlib.closing(psycopg.connect(cluster.dsn(reader))) as reading,
        contextlib.closing(psycopg.connect(cluster.dsn(writer))) as writing,
    ):
        assert reading.execute("SELECT count(*) FROM kept").fetchone() == (ROWS,)
        writing.execute("LOCK TABLE kept IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(cluster.dsn(writer), autocommit=True) as other:
            other.execute("CREATE TABLE after_lock (n int)")  # durable, so the lock's note is on its way
        time.sleep(0.3)  # the reader has it, and waits for ``reading``: nothing shows that from outside
        cluster.signal(writer, signal.SIGKILL)
        settled(lambda: who_writes(cluster) == reader, "the reader to write", 20)
        with pytest.raises(psycopg.Error):
            reading.execute("SELECT count(*) FROM kept")
    with psycopg.connect(cluster.dsn(reader), autocommit=True) as connection:
        connection.execute("UPDATE kept SET v = v WHERE id = 1")
        assert connection.execute("SELECT count(*) FROM after_lock").fetchone() == (0,)


def test_a_snapshot_on_another_reader_outlives_the_writer(cluster_of_three: Cluster) -> None:
    """The reader that takes over holds from its first moment what the writer before held."""
    cluster, before = cluster_of_three, cluster_of_three.writer.id
    readers = [one.id for one in cluster.required.instances if one.id != before]
    counted = "SELECT count(*), sum(v) FROM kept"
    with contextlib.ExitStack() as stack:
        reading = {
            each: stack.enter_context(contextlib.closing(psycopg.connect(cluster.dsn(each)))) for each in readers
        }
        for connection in reading.values():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert connection.execute(counted).fetchone() == (ROWS, 0)
        held = "SELECT count(*) FROM aurora_replica_status() WHERE session_id <> 'MASTER_SESSION_ID'"
        with psycopg.connect(cluster.dsn(before), autocommit=True) as writing:
            assert writing.execute(held).fetchone() == (len(readers),)
            writing.execute("DELETE FROM kept WHERE id <= 50")
        time.sleep(1.2)  # the writer tells its readers twice a second what it holds: nothing shows that from outside
        cluster.signal(before, signal.SIGKILL)
        settled(lambda: who_writes(cluster) in readers, "a reader to write", 20)
        after = who_writes(cluster)
        [other] = [each for each in readers if each != after]
        with psycopg.connect(cluster.dsn(after), autocommit=True) as writing:
            assert writing.execute("SELECT count(*) FROM kept").fetchone() == (ROWS - 50,)
            writing.execute("UPDATE kept SET v = 7")
            writing.execute("VACUUM kept")
            row = writing.execute("SELECT aurora_last_commit_lsn()").fetchone()
        with psycopg.connect(cluster.dsn(other), autocommit=True) as newer:
            assert row is not None
            assert newer.execute("SELECT aurora_wait_for_lsn(%s, 20000)", row).fetchone() == (True,)
            assert newer.execute(counted).fetchone() == (ROWS - 50, 7 * (ROWS - 50))
        assert reading[other].execute(counted).fetchone() == (ROWS, 0)
        with pytest.raises(psycopg.Error):
            reading[after].execute(counted)
