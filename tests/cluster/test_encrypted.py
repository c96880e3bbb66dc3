"""A cluster with mutual TLS and encryption at rest: it loses nothing, shows nothing, and lets nobody in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aurora import keys
from aurora.keys import KeySource
from aurora.status import ask_nodes
from aurora.supervisor import LOOPBACK, NODES, Cluster
from tests.cluster.support import all_caught_up, wait_for
from tests.conftest import SMALL_PAGES_PER_PG

pytestmark = pytest.mark.cluster

MARKER = "the-secret-of-the-marker"


@pytest.fixture
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with both, whose nodes write pages early."""
    monkeypatch.setenv("AURORA_NODE_COALESCE_LOG_MB", "0.2")
    monkeypatch.setenv("AURORA_NODE_LOG_FILE_MB", "0.25")
    cluster = Cluster(tmp_path / "cluster")
    cluster.create(
        host=LOOPBACK, port=0, pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=8, password=None, storage_tls=True,
        encrypt=True,
    )  # fmt: skip
    cluster.up()
    yield cluster
    cluster.down()


def _files(cluster: Cluster) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (cluster.data / "storage").rglob("*") if path.is_file()}


def test_tls_and_encryption_from_end_to_end(safe: Cluster, tmp_path: Path) -> None:
    with psycopg.connect(safe.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE secrets (id int PRIMARY KEY, what text)")
        for start in range(0, 6000, 1000):
            connection.execute(
                "INSERT INTO secrets SELECT n, md5(n::text) || %s || n FROM generate_series(%s::int, %s::int) n",
                (MARKER, start, start + 999),
            )
    assert all(ask_nodes([node.address])[0]["state"] == "down" for node in safe.required.nodes), "in the clear"
    wait_for(lambda: any(p.name.startswith("pages-") for p in _files(safe)), "pages to be written")
    everyone = [safe.writer.id, *(node_id for node_id, _ in NODES)]
    for process_id in everyone:
        safe.kill(process_id)
    files = _files(safe)
    assert {path.name.partition("-")[0] for path in files} >= {"key", "log", "meta", "pages", "torn"}
    for path, data in files.items():
        for plain in (MARKER.encode(), b"secrets", b"pg_catalog", NODES[0][0].encode()):
            assert plain not in data, path
    safe.up()
    with psycopg.connect(safe.dsn(), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*), min(what), sum(length(what)) FROM secrets WHERE what LIKE %s", (f"%{MARKER}%",)
        ).fetchone()
        assert row is not None and row[0] == 6000

    victim = NODES[2][0]
    folder = safe.data / "storage" / victim
    safe.stop(victim)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    master = safe.keys
    assert master is not None
    keys.make_master_key_file(tmp_path / "other.key")
    safe.set_keys(KeySource(tmp_path / "other.key"))
    safe.start_node(victim)
    assert safe.wait_gone(victim)
    assert "cannot be had" in safe.log_tail(victim, 1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with psycopg.connect(safe.dsn(), autocommit=True) as connection:
        connection.execute("DELETE FROM secrets WHERE id < 1000")  # five of six go on
    safe.set_keys(master)
    assert safe.rekey(None)[0] == 6
    safe.start_node(victim)
    wait_for(lambda: all_caught_up(safe), "the node to catch up with its master key")
    for process_id in everyone:
        told = (safe.data / "log" / f"{process_id}.log").read_text().splitlines()
        # gRPC itself names calls that a killed client left as errors.
        errors = [line for line in told if " ERROR " in line and " ERROR grpc" not in line]
        assert all(process_id == victim and "cannot be had" in line for line in errors), errors
