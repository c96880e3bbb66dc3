"""Metrics and status of real processes under load, with a node killed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aurora.programs.supervisor import Cluster
from compute_node.metrics import INSTANCE_METRICS
from storage_node.metrics import NODE_METRICS
from tests.cluster.support import all_caught_up, wait_for

pytestmark = pytest.mark.cluster


def _get(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def _scrape(address: str) -> dict[str, float]:
    """Sample name (with its labels' values) → value."""
    return {
        "|".join((sample.name, *(value for _, value in sorted(sample.labels.items())))): sample.value
        for family in text_string_to_metric_families(_get(address, "/metrics"))
        for sample in family.samples
    }


def _declared(samples: dict[str, float], metrics: Any) -> None:
    """Each declared metric has a sample, and no other metric of ours is there."""
    names = {name.split("|")[0] for name in samples if name.startswith("aurora_")}
    told = {metric.name + ("_count" if metric.kind == "histogram" else ""): metric for metric in metrics}
    parts = {metric.name + end for metric in metrics if metric.kind == "histogram" for end in ("_sum", "_bucket")}
    assert names - parts == set(told)


def _status(cluster: Cluster, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "aurora.programs.cli", "status", "--json", "--data", str(cluster.data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _healths(status: dict[str, Any]) -> dict[str, str]:
    (group,) = status["protection_groups"]
    return {segment["node"]: segment["health"] for segment in group["segments"]}


def test_load_moves_the_metrics_and_a_killed_node_is_seen(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(cache_mb=8)
    spec = cluster.required
    writer = cluster.writer.metrics
    before = {part.id: _scrape(part.metrics) for part in (*spec.nodes, *spec.instances)}
    for node in spec.nodes:
        assert _get(node.metrics, "/healthz") == "ok\n"
    assert _get(writer, "/healthz") == "ok\n"

    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE wide (n int PRIMARY KEY, filler text)")
        connection.execute("INSERT INTO wide SELECT i, repeat('x', 1000) FROM generate_series(1, 15000) AS i")
        for n in range(20):
            connection.execute("INSERT INTO wide VALUES (%s, 'y')", (20000 + n,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO wide VALUES (1, 'z')")
        assert connection.execute("SELECT sum(length(filler)) FROM wide").fetchone() == (15_000_020,)
        wait_for(lambda: all_caught_up(cluster), "all nodes to have the log")

        after = _scrape(writer)
        _declared(after, INSTANCE_METRICS)
        now = {name: value - before[cluster.writer.id].get(name, 0) for name, value in after.items()}
        assert now["aurora_compute_transactions_total|committed"] >= 22
        assert now["aurora_compute_transactions_total|rolled back"] == 1
        assert now["aurora_compute_statements_total"] >= 24
        assert now["aurora_compute_commit_wait_seconds_count"] >= 20
        assert now["aurora_compute_flushes_total"] >= 20
        assert now["aurora_compute_flush_seconds_count"] == now["aurora_compute_flushes_total"]
        assert now["aurora_compute_vdl_lsn"] > 10_000_000
        assert now["aurora_compute_cache_evictions_total"] > 100
        assert now["aurora_compute_page_read_seconds_count"] > 10
        assert sum(value for name, value in after.items() if name.startswith("aurora_compute_sessions")) >= 1
        for node in spec.nodes:
            samples = _scrape(node.metrics)
            _declared(samples, NODE_METRICS)
            grown = {name: value - before[node.id].get(name, 0) for name, value in samples.items()}
            assert grown["aurora_storage_log_batches_total"] > 10
            assert grown["aurora_storage_ack_seconds_count"] > 10
            assert grown["aurora_storage_log_sync_seconds_count"] > 10
            assert grown["aurora_storage_log_written_bytes_total"] > 100_000
            assert grown["aurora_storage_scl_lsn|0"] > 10_000_000
        reads = [_scrape(node.metrics)["aurora_storage_read_pages_total"] for node in spec.nodes]
        assert sum(reads) > 100

        assert set(_healths(_status(cluster)).values()) == {"up"}
        cluster.kill("az2-b")
        connection.execute("INSERT INTO wide SELECT i, repeat('x', 100) FROM generate_series(30001, 31000) AS i")
        status = _status(cluster)
        assert _healths(status) == {node.id: "down" if node.id == "az2-b" else "up" for node in spec.nodes}
        (group,) = status["protection_groups"]
        assert (group["state"], group["durable_from"], group["pg"]) == ("degraded", "writer", 0)
        wait_for(lambda: _scrape(writer)["aurora_compute_node_state|az2|az2-b|down"] == 1, "the writer to see it")
        assert _scrape(writer)["aurora_compute_node_lag_bytes|az2|az2-b"] > 100_000

    told = _status(cluster, "--storage", spec.storage, "--secret-file", str(cluster.secret_path))
    assert _healths(told)["az2-b"] == "down"
    cluster.stop(cluster.writer.id)
    told = _status(cluster, "--storage", spec.storage, "--secret-file", str(cluster.secret_path))
    assert (told["instances"], told["protection_groups"][0]["durable_from"]) == ([], "segments")
    cluster.start_node("az2-b")
    wait_for(
        lambda: (
            _healths(_status(cluster, "--storage", spec.storage, "--secret-file", str(cluster.secret_path)))["az2-b"]
            == "up"
        ),
        "the node to catch up",
    )
    assert sum(v for n, v in _scrape(spec.node("az2-b").metrics).items() if n.startswith("aurora_storage_fetched")) > 0


def test_a_long_turn_is_counted_and_logged_with_its_statement(shared_cluster: Cluster) -> None:
    writer = shared_cluster.writer
    before = _scrape(writer.metrics)["aurora_compute_loop_stalls_total"]
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        # One value, made by one call into C: nothing can run beside it.
        connection.execute("SELECT length(repeat(repeat('stall', 1000), 40000))")
    after = _scrape(writer.metrics)
    assert after["aurora_compute_loop_stalls_total"] > before
    assert after["aurora_compute_loop_stall_max_seconds"] > 0.02
    log = (shared_cluster.data / "log" / f"{writer.id}.log").read_text()
    assert re.search(r"stood still for \d+ ms in session \d+: SELECT length\(repeat\(repeat\('stall'", log), log
