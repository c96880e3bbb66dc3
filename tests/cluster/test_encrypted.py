"""A cluster with mutual TLS and encryption at rest: it loses nothing, shows nothing, and lets nobody in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aurora import keys, sealed_store
from aurora.keys import KeySource
from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import LOOPBACK, NODES, Cluster
from aurora.rpc.channels import Access
from aurora.seams import LOCK_NAME
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


def _files(cluster: Cluster, folder: str = "storage") -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (cluster.data / folder).rglob("*") if path.is_file()}


def _held(folder: Path) -> dict[str, bytes]:
    """A node's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK_NAME}


def test_tls_and_encryption_from_end_to_end(safe: Cluster, tmp_path: Path) -> None:
    with psycopg.connect(safe.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE secrets (id int PRIMARY KEY, what text)")
        for start in range(0, 6000, 1000):
            connection.execute(
                "INSERT INTO secrets SELECT n, md5(n::text) || %s || n FROM generate_series(%s::int, %s::int) n",
                (MARKER, start, start + 999),
            )
    assert all(
        ask_nodes([node.address], Access(secret=safe.secret()))[0]["state"] == "down" for node in safe.required.nodes
    ), "in the clear"
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
    before = _held(folder)
    master = safe.keys
    assert master is not None
    keys.make_master_key_file(tmp_path / "other.key")
    safe.set_keys(KeySource(tmp_path / "other.key"))
    safe.start_node(victim)
    assert safe.wait_gone(victim)
    assert "cannot be had" in safe.log_tail(victim, 1)
    assert _held(folder) == before
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


def _listed(backup: Path, master_key: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "storage_node.restore", "--from", backup.as_uri(), "--list"]
    command += ["--master-key-file", str(master_key)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
    return found


def _staged(backup: Path, master_key: Path, vdl: int) -> bool:
    ranges = _listed(backup, master_key).get("ranges")
    return bool(ranges) and ranges[-1][1] >= vdl


def _restore(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aurora.programs.cli", "restore", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def _fill(cluster: Cluster, start: int) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO secrets SELECT n, md5(n::text) || %s || n FROM generate_series(%s::int, %s::int) n",
            (MARKER, start, start + 999),
        )


def _rows(cluster: Cluster) -> list[tuple[int, str]]:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        return connection.execute("SELECT id, what FROM secrets ORDER BY id").fetchall()


def _check_sealed(cluster: Cluster) -> None:
    """Nothing in the cluster's backup is in the clear but keys, and those are wrapped."""
    held = _files(cluster, "backup")
    assert {path.name for path, data in held.items() if not data.startswith(sealed_store.MAGIC)} == set(keys.NAMES)
    for path, data in held.items():
        for plain in (MARKER.encode(), b"secrets", b"pg_catalog", NODES[0][0].encode()):
            assert plain not in data, path


def test_a_backup_that_only_the_master_key_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURORA_NODE_TAKEOVER_S", "1")
    monkeypatch.setenv("AURORA_NODE_COALESCE_LOG_MB", "0.2")
    monkeypatch.setenv("AURORA_NODE_SNAPSHOT_AGE_S", "2")
    cluster = Cluster(tmp_path / "old")
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=64, password=None, encrypt=True)
    backup, master = tmp_path / "old" / "backup", tmp_path / "old" / "master.key"
    try:
        cluster.up()
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE secrets (id int PRIMARY KEY, what text)")
        _fill(cluster, 0)
        wait_for(lambda: bool(_listed(backup, master).get("ranges")), "the first log to be staged")
        shutil.copy(master, tmp_path / "first.key")
        count, rewrapped = cluster.rekey(None)
        assert count == 6 and rewrapped.count >= 1 and not rewrapped.left
        cluster.kill("az1-a")  # it stages PG 0: its key is needed all the same, another node's comes to it
        _fill(cluster, 1000)
        vdl = cluster.status()["volume"]["vdl"]
        wait_for(lambda: _staged(backup, master, vdl), "everything to be staged")
        wait_for(lambda: any("snapshot" in path.parts for path in _files(cluster, "backup")), "a snapshot")
        rows = _rows(cluster)
    finally:
        cluster.down()
    assert len(rows) == 2000
    assert len(list((backup / _listed(backup, master)["volume_id"] / "keys").iterdir())) > 1
    _check_sealed(cluster)
    shutil.rmtree(tmp_path / "old" / "storage")
    (tmp_path / "old" / "cluster.json").unlink()

    source, new = ("--from", backup.as_uri()), tmp_path / "new"
    first, second = (keys.FileKeyProvider(path).key_id for path in (tmp_path / "first.key", master))
    for flags, told in (
        ((), f"wrapped by master key '{second}': give that with --master-key-file"),
        (("--master-key-file", str(tmp_path / "first.key")), f"'{second}' and cannot be had with '{first}'"),
        (("--master-key-file", str(tmp_path / "none" / "master.key")), "cannot be read"),
    ):
        for what in (("--list",), ("--to", str(new), "--port", "0")):
            done = _restore(*source, *what, *flags)
            assert done.returncode == 1 and told in done.stderr, done.stderr
    assert not new.exists()
    assert "It can be restored" in _restore("--data", str(tmp_path / "old"), "--list").stdout  # it knows DIR/master.key
    done = _restore(*source, "--master-key-file", str(master), "--to", str(new), "--port", "0", "--cache-mb", "64")
    assert done.returncode == 0, done.stderr
    assert f"its master key is in {new / 'master.key'}" in done.stdout
    shutil.rmtree(tmp_path / "old")
    restored = Cluster(new)
    try:
        restored.up()
        assert _rows(restored) == rows
        _fill(restored, 2000)
        assert restored.rekey(None)[0] == 6
        vdl = restored.status()["volume"]["vdl"]
        wait_for(lambda: _staged(new / "backup", new / "master.key", vdl), "the new backup")
    finally:
        restored.down()
    for path, data in {**_files(restored), **_files(restored, "backup")}.items():
        assert MARKER.encode() not in data, path
    _check_sealed(restored)
