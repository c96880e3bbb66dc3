"""A cluster with readers by its verbs: up, another reader, reboot, failover, a killed writer, one less, down and up."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aurora.exit_status import HELD
from aurora.programs import cli
from aurora.programs.description import connect_host
from aurora.programs.places import free_ports
from aurora.programs.supervisor import KEEPER, LOOPBACK, Cluster
from compute_node.roles import TELL_S
from tests.log_rule import WRITER_CHANGES

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(*WRITER_CHANGES),
]

DEADLINE_S = 60.0


def starts(folder: Path, *arguments: str) -> str:
    """A verb that starts processes, as one of its own, which leaves them behind; its output."""
    command = [sys.executable, "-m", "aurora.programs.cli", *arguments, "--data", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up(folder: Path, *flags: str) -> str:
    return starts(folder, "up", "--detach", *flags)


def aurora(folder: Path, *arguments: str) -> str:
    """Another verb's output; it is expected to do what it is told."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = cli.main([*arguments, "--data", str(folder)])
    assert status == 0, output.getvalue()
    return output.getvalue()


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A writer and two readers that ``aurora up --detach`` has left behind."""
    folder = tmp_path_factory.mktemp("readers") / "cluster"
    told = up(folder, "--readers", "2", "--port", "0", "--pages-per-pg", "4096", "--cache-mb", "32")
    made = Cluster(folder)
    first, *readers = made.required.instances
    assert f"instance-1 (writer) are up; connect with:\n  psql -h {first.host}" in told
    for reader in readers:
        assert f"{reader.id} (reader) is up; connect with:\n  psql -h {reader.host} -p {first.port}" in told
    yield made
    aurora(folder, "down")


def ask(cluster: Cluster, name: str, query: str) -> Any:
    """One value from an instance."""
    with psycopg.connect(cluster.dsn(name), connect_timeout=10, autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def shown(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The instances as ``aurora status --json`` has them."""
    told = cluster.status()
    return {one["id"]: one for one in told["instances"]}


def all_well(cluster: Cluster) -> bool:
    """One writer, and everybody else follows it."""
    told = shown(cluster).values()
    return [one["role"] for one in told].count("writer") == 1 and all(one["state"] == "up" for one in told)


def written_everywhere(cluster: Cluster, value: int) -> None:
    """What the writer writes is soon read on all instances, whichever is the writer."""
    cluster.read()
    with psycopg.connect(cluster.dsn(), connect_timeout=10, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS written (n int)")
        connection.execute("INSERT INTO written VALUES (%s)", (value,))
    query = f"SELECT count(*) FROM written WHERE n = {value}"
    for instance in cluster.required.instances:
        wait_until(lambda name=instance.id: ask(cluster, name, query) == 1, f"{value} on {instance.id}")


def test_a_writer_and_two_readers_on_one_port(cluster: Cluster) -> None:
    written_everywhere(cluster, 1)
    told = shown(cluster)
    assert [(one["role"], one["state"]) for one in told.values()] == [("writer", "up"), *[("reader", "up")] * 2]
    assert len({one["address"] for one in told.values()}) == 3
    assert len({one["address"].partition(":")[2] for one in told.values()}) == 1
    assert told["instance-1"]["lag_ms"] is None
    assert all(told[name]["lag_ms"] >= 0 and told[name]["sessions"] == 0 for name in ("instance-2", "instance-3"))
    for name, one in told.items():
        assert ask(cluster, name, "SELECT pg_is_in_recovery()") is (one["role"] == "reader")
    with psycopg.connect(cluster.dsn("instance-2"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE no (n int)")


def test_a_reader_is_added_and_removed_while_all_run(cluster: Cluster) -> None:
    told = starts(cluster.data, "instance", "add", "reports", "--promotion-tier", "15", "--cache-mb", "16")
    cluster.read()
    added = cluster.required.instance("reports")
    assert told == f"reports (reader) is up; connect with:\n  psql -h {connect_host(added)} -p {added.port} " + (
        "-U postgres postgres\n"
    )
    written_everywhere(cluster, 2)
    assert shown(cluster)["reports"]["promotion_tier"] == 15
    assert aurora(cluster.data, "instance", "remove", "reports") == "reports is removed\n"
    cluster.read()
    rest = ["instance-1", "instance-2", "instance-3"]
    assert [one.id for one in cluster.required.instances] == rest
    assert cluster.pid("reports") is None
    known = "SELECT array_agg(server_id ORDER BY server_id) FROM aurora_replica_status()"
    assert [ask(cluster, name, known) for name in rest] == [rest] * 3
    wait_until(lambda: not held(cluster, "reports"), "the end of what was held ready for it")
    time.sleep(2 * TELL_S)  # the writer tells its readers again
    assert [ask(cluster, name, known) for name in rest] == [rest] * 3


def held(cluster: Cluster, name: str) -> bool:
    """Whether a process waits to begin in the place of an instance."""
    wanted = [HELD.encode(), str(cluster.data).encode(), name.encode()]
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if file.read_bytes().split(b"\0")[-4:-1] == wanted:
                return True
    return False


def test_a_second_process_of_a_readers_name_is_refused_and_the_first_goes_on(cluster: Cluster) -> None:
    def life() -> Any:
        one = "SELECT session_id FROM aurora_replica_status() WHERE server_id = 'instance-2'"
        return ask(cluster, "instance-1", one)

    wait_until(lambda: all_well(cluster), "all instances")
    before = life()
    whom = {
        ("instance-2", "reader"): "another process is instance-2 already",
        ("instance-1", "reader"): "instance-1 is the name of the writer",
        ("instance-1", "writer"): "instance-1 is the name of the writer",
    }
    running = {}
    for name, role in whom:
        words = cluster.instance_command(name, role)
        for flag, port in zip(("--listen", "--feed-listen", "--metrics-listen"), free_ports(3), strict=True):
            words[words.index(flag) + 1] = f"{LOOPBACK}:{port}"
        at = words.index("--handover")
        del words[at : at + 2]
        running[name, role] = subprocess.Popen([sys.executable, "-m", *words], stderr=subprocess.PIPE, text=True)
    for (name, role), process in running.items():
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1, said
        there = cluster.required.instance(name).address
        assert f"compute_node: {whom[name, role]}, at {there}; " in said.splitlines()[-1], said
    assert life() == before
    assert all_well(cluster)


def test_up_adds_the_readers_that_are_missing(cluster: Cluster) -> None:
    pids = {name: cluster.pid(name) for name in cluster.process_ids()}
    up(cluster.data, "--readers", "3")
    cluster.read()
    assert ask(cluster, "instance-4", "SELECT pg_is_in_recovery()") is True
    assert {name: cluster.pid(name) for name in pids} == pids
    aurora(cluster.data, "instance", "remove", "instance-4")


def test_a_reader_reboots(cluster: Cluster) -> None:
    before = cluster.pid("instance-3")
    starts(cluster.data, "instance", "reboot", "instance-3")
    assert cluster.pid("instance-3") not in (None, before)
    written_everywhere(cluster, 3)
    assert shown(cluster)["instance-3"]["restarts"] == 0


def test_a_reader_stops_in_good_order_while_the_log_waits_for_a_session(cluster: Cluster) -> None:
    """Its sessions end first: one of them holds the lock that the writer's next change needs there."""
    wait_until(lambda: all_well(cluster), "all instances")
    with (
        psycopg.connect(cluster.dsn("instance-3")) as holding,
        psycopg.connect(cluster.dsn(), autocommit=True) as writer,
    ):
        assert holding.execute("SELECT count(*) >= 0 FROM written").fetchone() == (True,)
        writer.execute("ALTER TABLE written ADD COLUMN IF NOT EXISTS more int")
        lag = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
        wait_until(lambda: ask(cluster, "instance-3", lag), "the log to wait")
        aurora(cluster.data, "instance", "stop", "instance-3")
        with pytest.raises(psycopg.errors.AdminShutdown):
            holding.execute("SELECT 1")
    wait_until(lambda: cluster.processes.exit_status("instance-3") is not None, "its exit status")
    ended = cluster.processes.exit_status("instance-3")
    starts(cluster.data, "instance", "start", "instance-3")
    assert ended == 0, "it was killed"


def test_planned_failover_there_and_back(cluster: Cluster) -> None:
    wait_until(lambda: all_well(cluster), "all instances")
    told = aurora(cluster.data, "failover", "--to", "instance-3")
    assert told.startswith("instance-3 is the writer now (volume epoch "), told
    assert float(told.split("away for ")[1].split()[0]) < DEADLINE_S
    assert cluster.writer.id == "instance-3"
    wait_until(lambda: all_well(cluster), "the former writer as a reader")
    written_everywhere(cluster, 4)
    told = aurora(cluster.data, "failover", "--to", "instance-1")
    wait_until(lambda: all_well(cluster), "the former writer as a reader")
    assert cluster.writer.id == "instance-1"
    written_everywhere(cluster, 5)


def test_a_killed_writer_is_followed_by_a_reader_and_comes_back_as_one(cluster: Cluster) -> None:
    old = cluster.writer.id
    written_everywhere(cluster, 6)
    pid = cluster.pid(old)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: cluster.writer.id != old, "another writer")
    assert ask(cluster, cluster.writer.id, "SELECT count(*) FROM written WHERE n = 6") == 1
    wait_until(lambda: all_well(cluster), "the killed one as a reader")
    written_everywhere(cluster, 7)
    assert shown(cluster)[old]["last_end"] == "killed by SIGKILL"


def test_a_writer_that_is_removed_hands_over(cluster: Cluster) -> None:
    old = cluster.writer.id
    told = aurora(cluster.data, "instance", "remove", old)
    assert told.endswith(f" is the writer now; {old} is removed\n"), told
    cluster.read()
    assert len(cluster.required.instances) == 2
    written_everywhere(cluster, 8)


def test_down_and_up_again_with_the_same_writer(cluster: Cluster) -> None:
    writer = cluster.writer.id
    assert writer != cluster.required.instances[0].id or len(cluster.required.instances) == 2
    aurora(cluster.data, "down")
    assert [name for name in (KEEPER, *cluster.process_ids()) if cluster.pid(name) is not None] == []
    up(cluster.data)
    assert cluster.writer.id == writer
    written_everywhere(cluster, 9)
    assert ask(cluster, writer, "SELECT sum(n) FROM written") == 45
