"""Processes that die are started again, in detached mode; what a verb has stopped stays down; status tells."""

from __future__ import annotations

import contextlib
import json
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

from aurora import exit_status
from aurora.programs.supervisor import KEEPER, Cluster
from tests.log_rule import DAMAGE

pytestmark = pytest.mark.logs(r"has ended \(", r"storage_node: meta", DAMAGE)

DEADLINE_S = 60.0


def aurora(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    verb, *rest = arguments
    command = [sys.executable, "-m", "aurora.programs.cli", verb, *rest, "--data", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def detached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that ``aurora up --detach`` has left behind."""
    folder = tmp_path_factory.mktemp("kept") / "cluster"
    done = aurora(folder, "up", "--detach", "--port", "0", "--pages-per-pg", "4096", "--cache-mb", "64")
    assert done.returncode == 0, done.stderr
    yield Cluster(folder)
    aurora(folder, "down")


def status_of(cluster: Cluster, process_id: str) -> dict[str, Any]:
    told = json.loads(aurora(cluster.data, "status", "--json").stdout)
    return next(one for one in told["storage_nodes"] + told["instances"] if one["id"] == process_id)


def answers(cluster: Cluster) -> bool:
    try:
        with psycopg.connect(cluster.dsn(), connect_timeout=2, autocommit=True) as connection:
            return connection.execute("select count(*) from kept").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_a_writer_that_dies_is_started_again(detached: Cluster) -> None:
    writer = detached.writer.id
    with psycopg.connect(detached.dsn(), autocommit=True) as connection:
        connection.execute("create table if not exists kept as select 1 as id")
    for _ in range(2):
        pid = detached.pid(writer)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: detached.pid(writer) not in (None, pid), "another writer")
        wait_until(lambda: answers(detached), "its answer")
    told = status_of(detached, writer)
    assert (told["state"], told["restarts"], told["last_end"]) == ("up", 2, "killed by SIGKILL")
    assert "started again 2 times, last: killed by SIGKILL" in aurora(detached.data, "status").stdout


def processes_of(cluster: Cluster, *words: str) -> list[int]:
    """The processes whose command names the cluster's folder, and these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has gone meanwhile
            command = path.read_bytes().decode(errors="replace").split("\0")
            if any(str(cluster.data) in word for word in command) and set(words) <= set(command):
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_a_writer_that_dies_is_followed_by_the_one_held_ready(detached: Cluster) -> None:
    writer = detached.writer.id

    def held() -> list[int]:
        return [pid for pid in processes_of(detached, exit_status.HELD, "compute_node") if pid != detached.pid(writer)]

    wait_until(held, "a process that is held ready")
    ready, pid = held(), detached.pid(writer)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: detached.pid(writer) not in (None, pid), "another writer")
    assert detached.pid(writer) in ready
    wait_until(lambda: answers(detached), "its answer")


def test_a_storage_node_that_dies_is_started_again(detached: Cluster) -> None:
    pid = detached.pid("az2-b")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: detached.pid("az2-b") not in (None, pid), "another node")


def test_what_a_verb_has_stopped_stays_down(detached: Cluster) -> None:
    assert aurora(detached.data, "node", "kill", "az3-a").returncode == 0
    other = detached.pid("az1-b")
    assert other is not None
    os.kill(other, signal.SIGKILL)
    wait_until(lambda: detached.pid("az1-b") not in (None, other), "the other node: the keeper has looked at all")
    assert detached.pid("az3-a") is None
    assert status_of(detached, "az3-a")["last_end"] == "killed by SIGKILL"
    assert aurora(detached.data, "node", "start", "az3-a").returncode == 0
    assert detached.pid("az3-a") is not None


def test_a_node_that_refuses_to_start_says_why(detached: Cluster) -> None:
    assert aurora(detached.data, "node", "stop", "az3-b").returncode == 0
    meta = next((detached.data / "storage" / "az3-b").glob("meta*"))
    held = meta.read_bytes()
    for copy in meta.parent.glob("meta*"):
        copy.write_bytes(b"this is no meta file")
    done = aurora(detached.data, "node", "start", "az3-b")
    assert done.returncode == 1
    assert "az3-b ended while starting" in done.stderr
    assert "meta" in done.stderr
    assert detached.pid("az3-b") is None
    for copy in meta.parent.glob("meta*"):
        copy.write_bytes(held)


def test_a_keeper_that_dies_leaves_the_cluster_and_comes_back_with_up(detached: Cluster) -> None:
    keeper, writer = detached.pid(KEEPER), detached.pid(detached.writer.id)
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    assert detached.wait_gone(KEEPER)
    assert detached.pid(detached.writer.id) == writer
    assert aurora(detached.data, "up", "--detach").returncode == 0
    assert detached.pid(KEEPER) not in (None, keeper)
    assert detached.pid(detached.writer.id) == writer


def test_down_leaves_nothing(detached: Cluster) -> None:
    assert aurora(detached.data, "down").returncode == 0
    assert [name for name in [KEEPER, *detached.process_ids()] if detached.pid(name) is not None] == []
    if os.path.isdir("/proc/self"):
        wait_until(lambda: not processes_of(detached), "the end of what was held ready")
