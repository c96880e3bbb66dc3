"""Two writers on one volume: the older one gets nothing acknowledged, however long it slept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import psycopg
import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster, InstanceSpec, free_ports
from tests.cluster.support import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.logs("is fenced by epoch", r"has ended \(exit status 3")]

SECOND = "instance-2"


def _answers(cluster: Cluster) -> bool:
    try:
        with psycopg.connect(cluster.dsn(SECOND), connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _start_second(cluster: Cluster) -> None:
    """A second compute process on the same storage, as if the first had been lost sight of."""
    with cluster.changing() as spec:
        spec.instances.append(InstanceSpec(SECOND, "writer", LOOPBACK, free_ports(1)[0]))
    command = cluster.instance_command(SECOND, "writer")
    peers = command.index("--peers")
    del command[peers : peers + 2]  # with them it would ask, and follow
    cluster.processes.spawn(SECOND, command)
    wait_for(lambda: _answers(cluster), "the second writer")


def test_a_paused_writer_that_wakes_up(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    old = cluster.writer.id
    first = psycopg.connect(cluster.dsn(), autocommit=True)
    first.execute("CREATE TABLE writes (who text, n int)")
    first.execute("INSERT INTO writes VALUES ('old', 1)")
    open_transaction = psycopg.connect(cluster.dsn())
    open_transaction.execute("INSERT INTO writes VALUES ('old', 2)")

    readers = [psycopg.connect(cluster.dsn(), autocommit=True) for _ in range(8)]
    for reader in readers:
        reader.execute("SELECT count(*) FROM writes")

    assert cluster.signal(old, signal.SIGSTOP)
    outcomes: list[BaseException | str] = []

    def write_while_paused() -> None:
        try:
            first.execute("INSERT INTO writes VALUES ('old', 3)")
            outcomes.append("acknowledged")
        except psycopg.Error as error:
            outcomes.append(error)

    shown: list[object] = []

    def read_while_paused(reader: psycopg.Connection) -> None:
        try:
            shown.append(reader.execute("SELECT who, n FROM writes").fetchall())
        except psycopg.Error:
            shown.append("nothing")

    sleeper = threading.Thread(target=write_while_paused, daemon=True)
    sleeper.start()
    readings = [threading.Thread(target=read_while_paused, args=(reader,), daemon=True) for reader in readers]
    for reading in readings:
        reading.start()
    _start_second(cluster)
    with psycopg.connect(cluster.dsn(SECOND), autocommit=True) as second:
        second.execute("INSERT INTO writes VALUES ('new', 1)")
        assert second.execute("SELECT who, n FROM writes ORDER BY 1, 2").fetchall() == [("new", 1), ("old", 1)]

        assert cluster.signal(old, signal.SIGCONT)
        sleeper.join(60)
        assert not sleeper.is_alive()
        assert len(outcomes) == 1 and isinstance(outcomes[0], psycopg.Error), outcomes
        for reading in readings:
            reading.join(60)
        assert shown == ["nothing"] * len(readers), "what a superseded writer reads is not shown"
        with pytest.raises(psycopg.Error):
            open_transaction.commit()
        for connection in (first, open_transaction, *readers):
            connection.close()
        wait_for(lambda: "another writer has taken over" in cluster.log_tail(old, 1000), "the fenced writer to end")
        second.execute("INSERT INTO writes VALUES ('new', 2)")
        rows = second.execute("SELECT who, n FROM writes ORDER BY 1, 2").fetchall()
        assert rows == [("new", 1), ("new", 2), ("old", 1)]


def test_a_paused_writer_that_was_not_superseded_goes_on(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE here AS SELECT 1 AS n")
        for missing in ((), ("az3-a", "az3-b", "az2-b")):
            for node in missing:
                cluster.kill(node)
            assert cluster.signal(cluster.writer.id, signal.SIGSTOP)
            shown: list[object] = []

            def read(shown: list[object] = shown) -> None:
                shown.append(connection.execute("SELECT n FROM here").fetchone())

            reading = threading.Thread(target=read, daemon=True)
            reading.start()
            reading.join(1.0)
            assert cluster.signal(cluster.writer.id, signal.SIGCONT)
            reading.join(60)
            assert shown == [(1,)]


def test_a_second_writer_takes_over_from_a_busy_one(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        try:
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                for n in range(1_000_000):
                    connection.execute("INSERT INTO taken VALUES (%s)", (n,))
                    acknowledged.append(n)
        except psycopg.Error:
            ended.set()

    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE taken (n int PRIMARY KEY)")
    threading.Thread(target=write, daemon=True).start()
    wait_for(lambda: len(acknowledged) > 100, "commits")
    _start_second(cluster)
    assert ended.wait(30), "the older writer goes on"
    with psycopg.connect(cluster.dsn(SECOND), autocommit=True) as connection:
        present = {n for (n,) in connection.execute("SELECT n FROM taken").fetchall()}
    assert set(acknowledged) <= present <= set(range(len(acknowledged) + 1))
