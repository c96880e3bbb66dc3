"""Endpoints of a cluster with readers: where they lead, through a planned failover, a killed and a stopped writer."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dnslib import DNSRecord
from prometheus_client.parser import text_string_to_metric_families

from aurora.programs.cli import main
from aurora.programs.endpoints import command
from aurora.programs.endpoints.command import ENDPOINTS
from aurora.programs.endpoints.metrics import ENDPOINTS_METRICS
from aurora.programs.supervisor import Cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        r"keeper: (instance-\d|endpoints) has ended",
        "the stream from the writer has ended",
        "becomes the writer",
        "the stream begins anew",
        "is fenced by epoch",
        "instance .* cannot be followed",
    ),
]

DEADLINE_S = 60.0


def aurora(folder: Path, *arguments: str) -> str:
    """A verb's output; it is expected to do what it is told."""
    command_line = [sys.executable, "-m", "aurora.programs.cli", *arguments, "--data", str(folder)]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("endpoints") / "cluster"
    told = aurora(
        folder, "up", "--detach", "--readers", "2", "--port", "0", "--pages-per-pg", "4096", "--cache-mb", "32"
    )
    assert "endpoints, which stay through failovers:" in told
    yield Cluster(folder)
    aurora(folder, "down")


def dsn(cluster: Cluster, name: str) -> str:
    """A connection string for an endpoint."""
    (found,) = [each for each in command.endpoints_of(cluster.data, cluster.required) if each.name == name]
    host, _, port = found.address.rpartition(":")
    return f"host={host} port={port} user=postgres dbname=postgres"


def connect(cluster: Cluster, name: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn(cluster, name), autocommit=True)


def who(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT aurora_db_instance_identifier()").fetchone()
    assert row is not None
    return str(row[0])


def writer(cluster: Cluster) -> str:
    """Who writes, as the cluster endpoint has it."""
    with connect(cluster, "cluster") as connection:
        return who(connection)


def all_read(cluster: Cluster) -> bool:
    """Whether the reader endpoint leads to both instances that do not write."""
    seen = set()
    for _ in range(4):
        with connect(cluster, "reader") as connection:
            seen.add(who(connection))
    return len(seen) == 2 and writer(cluster) not in seen


def test_new_connections_go_where_the_endpoint_leads(cluster: Cluster) -> None:
    wait_until(lambda: all_read(cluster), "both readers")
    with connect(cluster, "cluster") as one:
        row = one.execute("SELECT pg_is_in_recovery(), inet_client_addr()::text, inet_server_addr()::text").fetchone()
        assert row == (False, "127.0.0.1/32", dsn(cluster, "cluster").split()[0].removeprefix("host=") + "/32")
    some = [connect(cluster, "reader") for _ in range(6)]
    counts = [[who(each) for each in some].count(name) for name in {who(each) for each in some}]
    assert counts == [3, 3]
    for each in some:
        each.close()


def test_the_endpoints_tell_prometheus_what_they_do(cluster: Cluster) -> None:
    wait_until(lambda: all_read(cluster), "both readers")
    (address,) = {each["metrics"] for each in cluster.status()["endpoints"]}

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def scrape() -> dict[tuple[str, ...], float]:
        samples = [one for family in text_string_to_metric_families(get("/metrics")) for one in family.samples]
        return {(one.name, *one.labels.values()): one.value for one in samples}

    assert get("/healthz") == "ok\n"
    before = scrape()
    here = writer(cluster)
    some = [connect(cluster, "cluster") for _ in range(3)] + [connect(cluster, "reader") for _ in range(2)]
    after = scrape()
    assert {m.name for m in ENDPOINTS_METRICS} <= {re.sub("_(sum|count|bucket)$", "", name) for name, *_ in after}
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown["aurora_endpoints_accepted_total", "cluster"] == 4
    assert grown["aurora_endpoints_given_total", "cluster", here] == 4
    others = [one.id for one in cluster.required.instances if one.id != here]
    assert [grown["aurora_endpoints_given_total", "reader", name] for name in others] == [1, 1]
    assert grown[("aurora_endpoints_wait_seconds_count",)] == 6
    assert after["aurora_endpoints_connections", "cluster", here] >= 3
    assert [after["aurora_endpoints_leads_to", "reader", name] for name in others] == [1, 1]
    assert after["aurora_endpoints_waiting", "cluster"] == 0
    for each in some:
        each.close()


def test_a_cancel_request_through_the_reader_endpoint_finds_its_session(cluster: Cluster) -> None:
    for _ in range(3):
        with connect(cluster, "reader") as connection:
            timer = threading.Timer(0.3, connection.cancel)
            timer.start()
            begun = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(20)")
            assert time.monotonic() - begun < 10


def test_custom_endpoints_are_made_and_dropped(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    def verb(*arguments: str) -> str:
        assert main([*arguments, "--data", str(cluster.data)]) == 0
        return capsys.readouterr().out

    here = writer(cluster)
    reader = next(one.id for one in cluster.required.instances if one.id != here)
    told = verb("endpoint", "create", "reports", "--type", "READER", "--static", f"{reader},{here}")
    assert told.startswith("endpoint reports listens on 127.0.0.")
    for _ in range(3):
        with connect(cluster, "reports") as connection:
            assert who(connection) == reader
    assert "reports" in verb("endpoint", "list")
    shown = {each["name"]: each for each in json.loads(verb("status", "--json"))["endpoints"]}
    assert shown["reports"]["leads_to"] == f"readers among {reader}, {here}" and shown["cluster"]["state"] == "up"
    assert "the readers; the writer when there is none" in verb("status")
    assert json.loads(verb("endpoint", "describe", "reports"))["static"] == [reader, here]
    gone = dsn(cluster, "reports")
    assert verb("endpoint", "drop", "reports") == "endpoint reports is dropped\n"
    assert main(["endpoint", "drop", "cluster", "--data", str(cluster.data)]) == 1
    assert main(["endpoint", "create", "x", "--static", "nobody", "--data", str(cluster.data)]) == 1
    assert "no instance 'nobody'" in capsys.readouterr().err

    def refused() -> bool:
        try:
            psycopg.connect(gone).close()
        except psycopg.OperationalError:
            return True
        return False

    wait_until(refused, "the end of the dropped endpoint")
    names = verb("dns", "--hosts", "--name", "shop")
    assert len(names.splitlines()) == 5 and "\tshop.cluster-ro-c" in names


def test_names_lead_to_the_endpoints(cluster: Cluster) -> None:
    arguments = ["dns", "--name", "shop", "--listen", "127.0.0.1:0", "--data", str(cluster.data)]
    command_line = [sys.executable, "-m", "aurora.programs.cli", *arguments]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        ready = server.stdout.readline().split()
        assert ready[0] == "ready"
        host, _, port = ready[1].rpartition(":")
        name = server.stdout.readline().split()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(DNSRecord.question(name).pack(), (host, int(port)))
            answer = DNSRecord.parse(client.recv(2000))
        assert f"host={answer.rr[0].rdata} " in dsn(cluster, "cluster")
        server.terminate()
    assert server.returncode == 0


@pytest.mark.parametrize("how", ["planned", "killed", "stopped"])
def test_new_connections_wait_for_the_next_writer(cluster: Cluster, how: str) -> None:
    """Nobody is refused while there is no writer; connections to the old one end."""
    wait_until(lambda: all_read(cluster), "both readers")
    before = writer(cluster)
    old = connect(cluster, "cluster")
    pid = cluster.pid(before)
    assert pid is not None
    refused: list[str] = []
    seen: list[str] = []
    stop = threading.Event()

    def go_on_connecting() -> None:
        while not stop.is_set():
            try:
                with connect(cluster, "cluster") as connection:
                    connection.execute("CREATE TEMP TABLE mine (a int)")
                    seen.append(who(connection))
            except psycopg.Error as error:
                refused.append(f"{type(error).__name__}: {error}")
            time.sleep(0.01)

    thread = threading.Thread(target=go_on_connecting)
    thread.start()
    try:
        if how == "planned":
            aurora(cluster.data, "failover")
        else:
            os.kill(pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        wait_until(lambda: seen and seen[-1] != before, "another writer")
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")
    finally:
        if how == "stopped":
            os.kill(pid, signal.SIGCONT)
        stop.set()
        thread.join(DEADLINE_S)
    # One that was being served when its writer ended is cut off; who came in between waited.
    assert len(refused) <= 1, refused
    assert before not in seen[seen.index(next(name for name in seen if name != before)) :]


def test_connections_outlive_the_process_that_made_them(cluster: Cluster) -> None:
    with connect(cluster, "cluster") as connection:
        pid = cluster.pid(ENDPOINTS)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        connection.execute("SELECT 1")
        wait_until(lambda: cluster.pid(ENDPOINTS) not in (None, pid), "another one")

        def listens() -> bool:
            try:
                return bool(writer(cluster))
            except psycopg.OperationalError:
                return False

        wait_until(listens, "the endpoints")
        connection.execute("SELECT 1")
