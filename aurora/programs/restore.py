"""``aurora restore``: a new cluster's folder from a backup, and nothing else: the old cluster need not exist any more.

The storage nodes' folders are built by the program that they belong to, ``python -m storage_node.restore``; here the
cluster around them is described. ``cluster.json`` is written last, so that a restore that was cut short leaves no
cluster behind that could be started.

An encrypted backup makes an encrypted cluster, with the same master key: where it is now, as with ``aurora up
--master-key-file``. But a ``master.key`` in another cluster's folder, as ``aurora up --encrypt`` makes it, is copied to
the new one's: else to replace or remove the one cluster's key would lock the other out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aurora.addresses import LOOPBACK
from aurora.keys import KeySource
from aurora.programs.description import ClusterError
from aurora.programs.places import free_ports
from aurora.programs.supervisor import MASTER_KEY, NODES, Cluster

if TYPE_CHECKING:
    from aurora.documents import JsonObject


_MARKS = ("cluster.json", "storage", "backup")
"""What tells a cluster's folder from others; some of it may have been lost."""


def list_backup(source: str, volume: str | None, keys: KeySource | None = None) -> JsonObject:
    """What can be restored from the object store: ``{"volume_id", "ranges": [[low LSN, high LSN] …], "text"}``."""
    return _run(["--from", source, "--list"], volume, keys)


def restore_cluster(
    cluster: Cluster,
    source: str,
    at: str | None,
    volume: str | None,
    options: JsonObject,
    keys: KeySource | None = None,
) -> JsonObject:
    """Build the cluster's folder; ``options`` go to ``Cluster.create``, ``keys`` says where the backup's master key is,
    which becomes the cluster's. Returns ``{"lsn", "time", …}``.

    ClusterError when the options are refused, the folder is in use, or the point cannot be restored: then nothing is
    left of it.
    """
    cluster.check_options(**{name: options[name] for name in ("host", "port", "password", "backup")})
    if cluster.data.exists() and any(cluster.data.iterdir()):
        raise ClusterError(f"{cluster.data} is not empty: a restore makes a new cluster in a new folder")
    existed = cluster.data.exists()
    cluster.make_folder()
    ports = free_ports(len(NODES))
    nodes = ",".join(f"{node}={az}={LOOPBACK}:{port}" for (node, az), port in zip(NODES, ports, strict=True))
    arguments = ["--from", source, "--folder", str(cluster.data / "storage"), "--nodes", nodes]
    if at is not None:
        arguments += ["--at", at]
    theirs = keys.master_key_file if keys is not None else None
    ours = cluster.data / MASTER_KEY
    try:
        if theirs is not None and _is_of_a_cluster(theirs):
            _copy_key(theirs, ours)
            keys = KeySource(ours)
        done = _run(arguments, volume, keys)
    except BaseException:
        ours.unlink(missing_ok=True)
        if not existed and not any(cluster.data.iterdir()):
            cluster.data.rmdir()
        raise
    cluster.create(**options, pages_per_pg=done["pages_per_pg"], node_ports=ports, keys=keys)
    return done


def _is_of_a_cluster(file: Path) -> bool:
    folder = file.absolute().parent
    return file.name == MASTER_KEY and any((folder / mark).exists() for mark in _MARKS)


def _copy_key(source: Path, target: Path) -> None:
    with open(source, "rb") as held, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(held, file)
        file.flush()
        os.fsync(file.fileno())


def _run(arguments: list[str], volume: str | None, keys: KeySource | None) -> JsonObject:
    command = [sys.executable, "-m", "storage_node.restore", *arguments]
    if volume is not None:
        command += ["--volume", volume]
    command += keys.flags() if keys is not None else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        result: JsonObject = json.loads(done.stdout)
    except ValueError as error:
        raise ClusterError(f"the restore ended with status {done.returncode}") from error
    if "error" in result:
        raise ClusterError(result["error"])
    return result
