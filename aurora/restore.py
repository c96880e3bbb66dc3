"""``aurora restore``: a new cluster's folder from a backup, and nothing else: the old cluster need not exist any more.

The storage nodes' folders are built by the program that they belong to, ``python -m storage_node.restore``; here the
cluster around them is described. ``cluster.json`` is written last, so that a restore that was cut short leaves no
cluster behind that could be started.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from aurora.supervisor import LOOPBACK, NODES, Cluster, ClusterError, free_ports


def list_backup(source: str, volume: str | None) -> dict[str, Any]:
    """What can be restored from the object store: ``{"volume_id", "ranges": [[low LSN, high LSN] …], "text"}``."""
    return _run(["--from", source, "--list"], volume)


def restore_cluster(
    cluster: Cluster, source: str, at: str | None, volume: str | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Build the cluster's folder; ``options`` go to ``Cluster.create``. Returns ``{"lsn", "time", …}``.

    ClusterError when the folder is in use, or the point cannot be restored: then nothing is left of it.
    """
    if cluster.data.exists() and any(cluster.data.iterdir()):
        raise ClusterError(f"{cluster.data} is not empty: a restore makes a new cluster in a new folder")
    existed = cluster.data.exists()
    cluster.data.mkdir(parents=True, exist_ok=True)
    ports = free_ports(len(NODES))
    nodes = ",".join(f"{node}={az}={LOOPBACK}:{port}" for (node, az), port in zip(NODES, ports, strict=True))
    arguments = ["--from", source, "--folder", str(cluster.data / "storage"), "--nodes", nodes]
    if at is not None:
        arguments += ["--at", at]
    try:
        done = _run(arguments, volume)
    except BaseException:
        if not existed and not any(cluster.data.iterdir()):
            cluster.data.rmdir()
        raise
    cluster.create(**options, pages_per_pg=done["pages_per_pg"], node_ports=ports)
    return done


def _run(arguments: list[str], volume: str | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "storage_node.restore", *arguments]
    if volume is not None:
        command += ["--volume", volume]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise ClusterError(f"the restore ended with status {done.returncode}") from error
    if "error" in result:
        raise ClusterError(result["error"])
    return result
